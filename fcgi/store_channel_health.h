#ifndef STORE_CHANNEL_HEALTH_H
#define STORE_CHANNEL_HEALTH_H

#include "store.h"

/* How channels fare: what an admin asks when customers stay silent. */

/*
 * store_channel_health(st, id, out): returns new {"state":"ok|reauth|off",
 * "state_text": text|null, "last_inbound_at": newest webhook taken, of those
 * kept, or null, "refused": {"count","at","why"}|null, "last_sent_at",
 * "last_error": {"at","text"}|null, "unconfirmed": n, "waiting": n,
 * "hold_until": ms|null: nothing goes out before, "token_expires_at": ms|null,
 * "token_renewable": bool, "renewal_expires_at": ms|null: end of what renews
 * it, "problems": [code, ...], "test": {"state":"wanted|running|done",
 * "at", "ok", "account", "text", "advice"}|null}; times in ms, the last four
 * only when it is done.  NONE: no such channel.
 *
 * Problems, the worst first: off, reauth, token_expired, token_ends,
 * renewal_ends, refused (webhooks, none taken since), errors (the newest try
 * failed), held, unconfirmed.
 */
int store_channel_health(
    struct store *st, int64_t id, struct json_object **out);

/*
 * store_channel_problems(st, out): returns new {problem: n, ...}: how many
 * channels have each of them, for metrics.
 */
int store_channel_problems(struct store *st, struct json_object **out);

/*
 * store_channel_refused(st, id, n, why): ${n} webhooks were not taken.
 * REPEATED: that was noted within a minute, nothing is stored.
 * store_channel_error(st, id, why): a try to send failed.
 */
int store_channel_refused(
    struct store *st, int64_t id, int64_t n, const char *why);
int store_channel_error(struct store *st, int64_t id, const char *why);

/*
 * store_channel_told(st, id, cause): DONE: agents are to be told of that cause,
 * which is noted; REPEATED: they were.  Inside store_begin.
 */
int store_channel_told(struct store *st, int64_t id, const char *cause);

/*
 * A test of the account, asked for by one program and run by another.
 * store_test_want(st, id): REPEATED: one is wanted or under way already.
 * store_test_take(st, id): the oldest channel with a test wanted; it runs now.
 * store_test_done(st, id, result): {"ok","account","text","advice"}.
 * store_test_wanted(st): DONE if there is any.
 */
int store_test_want(struct store *st, int64_t id);
int store_test_take(struct store *st, int64_t *id);
int store_test_done(struct store *st, int64_t id, struct json_object *result);
int store_test_wanted(struct store *st);

#endif
