#ifndef DELIVER_H
#define DELIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"
#include "http_client.h"
#include "store.h"

/*
 * Sending what is queued for platforms, many messages at once, each under a
 * lease; and looking up who wrote.
 */
struct deliver;

/*
 * deliver_new(cf, st): returns new, borrows both; NULL, logged.
 * deliver_free(dl): drops what is under way, as a kill would.
 */
struct deliver *deliver_new(const struct conf *cf, struct store *st);
void deliver_free(struct deliver *dl);

/* deliver_http(dl): where its requests run, for others'; borrowed. */
struct http_client *deliver_http(const struct deliver *dl);

/*
 * deliver_take(dl): begin what is due, as far as there is room.  How many.
 */
size_t deliver_take(struct deliver *dl);

/*
 * deliver_run(dl, wait_ms): move on what is under way, for at most ${wait_ms}.
 * 0, or -1 when that is impossible (logged).
 */
int deliver_run(struct deliver *dl, int wait_ms);

/* deliver_busy(dl): how much is under way, or held back by an account's pace.
 */
size_t deliver_busy(const struct deliver *dl);

/*
 * deliver_test(dl, channel): begin a test of that account, as was wanted
 * (store_test_want) or not; its result is stored.  0, or -1: it is gone, or
 * has no adapter.
 */
int deliver_test(struct deliver *dl, int64_t channel);

/* deliver_settle(dl): what left and was never answered, its time being over. */
void deliver_settle(struct deliver *dl);

/* deliver_stop(dl): what waits for a token goes back into the queue. */
void deliver_stop(struct deliver *dl);

#endif
