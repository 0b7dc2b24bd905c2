#ifndef INBOUND_H
#define INBOUND_H

#include "channel.h"
#include "store.h"

/*
 * inbound_store(st, ac, hook, batch):
 * Keep a proven webhook: the raw body and everything its items mean, in one
 * transaction.  STORE_DONE; STORE_REPEATED: this very body was here, nothing
 * happened; STORE_FAILED: nothing was stored.
 */
int inbound_store(struct store *st, const struct channel_account *ac,
    const struct channel_hook *hook, const struct channel_batch *batch);

/*
 * inbound_receipts(st, channel, external_id):
 * Apply receipts that came before the answer that told us the id.
 */
int inbound_receipts(
    struct store *st, int64_t channel, const char *external_id);

#endif
