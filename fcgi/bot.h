#ifndef BOT_H
#define BOT_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"
#include "http_client.h"
#include "store.h"

/* The worker's part of bots: asks that wait, each answered under a lease. */
struct bots;

/*
 * bots_new(cf, st, http): returns new, borrows all; NULL without memory.
 * bots_free(bt): drops what is under way, as a kill would; ${http} is gone.
 */
struct bots *bots_new(
    const struct conf *cf, struct store *st, struct http_client *http);
void bots_free(struct bots *bt);

/*
 * bots_take(bt, stopping): store what has ended and, unless ${stopping},
 * answer, or begin to ask about, what is due.  How many.
 */
size_t bots_take(struct bots *bt, bool stopping);

/* bots_busy(bt): how many are under way, or not stored yet. */
size_t bots_busy(const struct bots *bt);

/* bots_settle(bt): leases that ran out. */
void bots_settle(struct bots *bt);

#endif
