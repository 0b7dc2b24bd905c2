#ifndef STORE_WEBHOOK_H
#define STORE_WEBHOOK_H

#include "store.h"

/*
 * Webhooks as they came.  Each is stored before it is thought about, in state
 * `new`; inbound.c then makes of it what it means, in the order of their ids:
 *
 *	store_begin                          the write lock: nobody else does
 *	store_webhook_next(...)              the oldest that is new
 *	... store_message_add and the like ...
 *	store_webhook_done(...)              in the same transaction
 *	store_end
 *
 * Who dies in the middle leaves it as it was.
 */

/* One of them. */
struct webhook_row {
	int64_t id, channel, received_at;
	int64_t tries;            /* that failed, or whose program died of it */
	size_t next_item, missed; /* new: done so far, not stored of these */
	char state[12];
	char error[128]; /* "": none */
	char *body;      /* owned; may hold NUL; empty once a message of it was
			    deleted */
	size_t len;
};
void webhook_row_fini(struct webhook_row *w);

/*
 * store_webhook_add(st, channel, body, len, id): keep what was posted.
 * REPEATED: this very body was here; its ${id}.
 */
int store_webhook_add(struct store *st, int64_t channel, const void *body,
    size_t len, int64_t *id);

/*
 * store_webhook_head(st, id, since): the oldest that is new, and when it came.
 * store_webhook_next(st, w): the same one whole; NONE: none is new.
 * store_webhook_get(st, id, w): any.
 */
int store_webhook_head(struct store *st, int64_t *id, int64_t *since);
int store_webhook_next(struct store *st, struct webhook_row *w);
int store_webhook_get(struct store *st, int64_t id, struct webhook_row *w);

/*
 * store_webhook_done(st, id, state): done or ignored.
 * store_webhook_partly(st, id, next_item, missed, tries): its items before
 * ${next_item} are; it stays new.
 * store_webhook_failed(st, id, why, tries, due_at): after so many tries; it
 * becomes new again at ${due_at} (0: only when asked).
 * store_webhook_tried(st, id): one try more, in case it kills us; its error is
 * WEBHOOK_TRIED until something comes of it.
 */
#define WEBHOOK_TRIED "tried, and nothing was heard of it again"
int store_webhook_done(struct store *st, int64_t id, const char *state);
int store_webhook_failed(struct store *st, int64_t id, const char *why,
    int64_t tries, int64_t due_at);
int store_webhook_partly(struct store *st, int64_t id, size_t next_item,
    size_t missed, int64_t tries);
int store_webhook_tried(struct store *st, int64_t id);

/*
 * store_webhook_due(st, at): when the next failed one is due, or NONE.
 * store_webhook_renew(st): what is due is new again; NONE: nothing was.
 * store_webhook_again(st, id): new again, whatever it was, its tries
 * forgotten.  REFUSED: its body is gone.
 */
int store_webhook_due(struct store *st, int64_t *at);
int store_webhook_renew(struct store *st);
int store_webhook_again(struct store *st, int64_t id);

/*
 * store_webhooks(st, state, before, limit, out): returns new
 * [{id,channel_id,platform,state,tries,error,received_at,bytes}], newest
 * first; ${state} NULL: new and failed ones as well as all others; ${before}
 * 0, or the id that they are below.
 */
int store_webhooks(struct store *st, const char *state, int64_t before,
    int limit, struct json_object **out);

/* store_webhook_seen(st, channel, key): DONE: new; REPEATED: was here. */
int store_webhook_seen(struct store *st, int64_t channel, const char *key);

/* store_webhook_purge(st, older_ms): a batch of both; new ones stay. */
int store_webhook_purge(struct store *st, int64_t older_ms);

#endif
