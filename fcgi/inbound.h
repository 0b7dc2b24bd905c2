#ifndef INBOUND_H
#define INBOUND_H

#include "channel.h"
#include "conf.h"
#include "store.h"

/*
 * inbound_run(cf, st, max_ms):
 * Make of stored webhooks (store_webhook.h) what they mean, the oldest first,
 * until no new one is left or ${max_ms} are over.  A few are one commit, and
 * one of very many items is several, or others would wait long for the write
 * lock.  Any program may do so at any time, also several at once: each is done
 * once and in its turn, and one whose program dies is left as it was, or as far
 * as it had come.  One that cannot be stored is `failed`, which harms no other,
 * and tried again some times.
 * NONE: none is left; DONE: there are more; FAILED: not now.
 */
int inbound_run(const struct conf *cf, struct store *st, int64_t max_ms);

#endif
