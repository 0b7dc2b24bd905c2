#ifndef HOOK_H
#define HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "conf.h"
#include "http_client.h"
#include "store_hook.h"

/* Outgoing webhooks, the worker's side: follows the log, sends, tries again. */
struct hooks;

/*
 * hooks_new(cf, st, http): returns new, borrows all; NULL, logged.
 * hooks_free(hk): drops what is under way, as a kill would; after ${http}'s
 * end, or when it is not run any more.
 */
struct hooks *hooks_new(
    const struct conf *cf, struct store *st, struct http_client *http);
void hooks_free(struct hooks *hk);

/*
 * hooks_take(hk, stopping): store what has ended and, unless ${stopping},
 * begin what is due as far as there is room.  How much was new or begun.
 */
size_t hooks_take(struct hooks *hk, bool stopping);

/* hooks_busy(hk): how much is under way or not stored yet. */
size_t hooks_busy(const struct hooks *hk);

/* hooks_settle(hk): what another worker left behind, its time being over. */
void hooks_settle(struct hooks *hk);

/* For hook.c and tests. */

/*
 * hook_pause_ms(tries, percent, random):
 * After the ${tries}-th failure in a row: 5 s, 30 s, 2 min, 10 min, 30 min,
 * then an hour each time, to ${percent} of it and up to a quarter longer.
 */
int64_t hook_pause_ms(int64_t tries, int64_t percent, uint32_t random);

/*
 * hook_body(s, now_ms, b): append {"id","type","timestamp","data"};
 * the timestamp is ${now_ms}.
 */
void hook_body(const struct hook_send *s, int64_t now_ms, struct buf *b);

/*
 * hook_sign(secret, time, body, len, out): "v1=" and the HMAC-SHA256 in hex of
 * the text ${time}, a point and the body.
 */
#define HOOK_SIGN_SIZE 68
void hook_sign(const char *secret, const char *time, const char *body,
    size_t len, char out[HOOK_SIGN_SIZE]);

#endif
