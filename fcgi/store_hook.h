#ifndef STORE_HOOK_H
#define STORE_HOOK_H

#include "store.h"
#include "token.h"

/*
 * Outgoing webhooks: programs of others that are told of events.  Each follows
 * the event log by a cursor of its own and sees what every admin sees:
 * customers and their conversations, never what is between agents.  What is to
 * be sent waits in a row that names the event and does not repeat it; rows of
 * one conversation (a lane) go one after the other.
 */

#define HOOK_URL_MAX 2000 /* bytes */
#define HOOK_ANSWER_CHARS_MAX 300
#define HOOK_TYPE_MAX 32

/* What may be chosen; NULL ends it.  "note": the messages of that type. */
extern const char *const hook_types[];

/* hook_type_good(s): whether it is one of them. */
bool hook_type_good(const char *s);

/* What is set; NULL: left as it is. */
struct hook_patch {
	const char *name, *url;
	struct json_object *types; /* array of words */
	const char *state;         /* on, off */
};

/*
 * store_hook_add(st, who, p, secret, most, id): all of ${p} but the state is
 * given.  It begins at the log's head.  STORE_REFUSED: there are ${most}.
 * store_hook_patch: one that is switched on goes on where it was.
 * store_hook_secret: from now on it signs with ${secret}.
 * store_hook_delete: with all that waited for it.
 */
int store_hook_add(struct store *st, const struct who *who,
    const struct hook_patch *p, const char *secret, int64_t most, int64_t *id);
int store_hook_patch(struct store *st, int64_t id, const struct hook_patch *p);
int store_hook_secret(struct store *st, int64_t id, const char *secret);
int store_hook_delete(struct store *st, int64_t id);

/*
 * store_hooks(st, out), store_hook(st, id, out): returns new a list, one:
 * {id, name, url, types[], state, reason, secret: "set", waiting, failures,
 * failing_since, ok_at, created_by, created_at, updated_at}; waiting counts to
 * 1,000 at most.
 */
int store_hooks(struct store *st, struct json_object **out);
int store_hook(struct store *st, int64_t id, struct json_object **out);

/*
 * store_hook_attempts(st, id, pg, out): newest first, pg->before: {id,
 * event_id, type, conversation_id, try, manual, at, took_ms, status, error,
 * detail, answer, state}; state is that of the event now.
 */
int store_hook_attempts(struct store *st, int64_t id,
    const struct store_page *pg, struct json_object **out);

/*
 * store_hook_test(st, id, event_id): a test, sent once also while it is off.
 * store_hook_replay(st, id, attempt, event_id): the same with what was tried
 * then.  STORE_REFUSED: the event is not in the log any more, or a hundred of
 * them wait already.  ${event_id}: as it will be sent.
 */
int store_hook_test(struct store *st, int64_t id, char event_id[32]);
int store_hook_replay(
    struct store *st, int64_t id, int64_t attempt, char event_id[32]);

/* --- the worker's --- */

/*
 * store_hooks_behind(st, wait_max): whether one has not looked at the whole
 * log, and less than ${wait_max} wait for it. store_hooks_fan(st, most,
 * wait_max, n): have those look at their next ${most} events each; ${n} of them
 * are to be sent.
 */
int store_hooks_behind(struct store *st, int64_t wait_max);
int store_hooks_fan(struct store *st, int most, int64_t wait_max, int64_t *n);

/* Something to send. */
struct hook_send {
	int64_t id, hook, event; /* event 0: a test */
	char event_id[32], type[HOOK_TYPE_MAX];
	char *url; /* owned */
	char secret[TOKEN_SIZE];
	bool manual;
	int64_t tries;            /* this one counted */
	struct json_object *data; /* NULL: not in the log any more; owned */
};
void hook_send_fini(struct hook_send *s);

/* What may begin for one webhook. */
struct hook_due {
	int64_t hook;
	int64_t failures; /* in a row */
	char url[HOOK_URL_MAX + 1];
};

/*
 * store_hooks_next(st, at): when the worker is wanted for them; STORE_NONE:
 * nothing is to be done.
 * store_hooks_due(st, due, most, n): those for which something is due.
 * store_hook_claim(st, hook, by, lease_ms, list, most, n): the oldest due of
 * one, ours for ${lease_ms}.
 */
int store_hooks_next(struct store *st, int64_t *at);
int store_hooks_due(
    struct store *st, struct hook_due *due, size_t most, size_t *n);
int store_hook_claim(struct store *st, int64_t hook, const char *by,
    int64_t lease_ms, struct hook_send *list, size_t most, size_t *n);

/* What there was, and is. */
struct hook_counts {
	int64_t ok, failed; /* requests so far */
	int64_t waiting;    /* events that wait for their receiver */
};
int store_hook_counts(struct store *st, struct hook_counts *n);

/* How a try ended. */
struct hook_end {
	int64_t id;
	bool good;
	long status;        /* HTTP; 0: no whole answer */
	const char *error;  /* a word; NULL when good */
	const char *detail; /* or NULL */
	const char *answer; /* UTF-8, or NULL */
	int64_t took_ms;
	int64_t pause_ms;   /* before the next try */
	int64_t hold_ms;    /* the whole webhook pauses; 0: goes on */
	int64_t failing_ms; /* who only fails for so long is switched off */
	bool over;          /* never again: the event is gone */
	bool gone;          /* it wants nothing any more: switched off */
};

/*
 * store_hook_end(st, by, e): STORE_NONE: it is not ours any more.
 * store_hooks_lapsed(st, n): leases that ran out: to be sent again; how many.
 * store_hook_purge(st, before): forget a batch that ended before.
 */
int store_hook_end(struct store *st, const char *by, const struct hook_end *e);
int store_hooks_lapsed(struct store *st, int64_t *n);
int store_hook_purge(struct store *st, int64_t before);

#endif
