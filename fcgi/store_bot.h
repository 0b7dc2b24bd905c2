#ifndef STORE_BOT_H
#define STORE_BOT_H

#include "bot_rules.h"
#include "store.h"

/*
 * Bots, the channels they answer in, and what they were asked.  A customer's
 * message in a channel with a bot makes an ask in its own transaction; whoever
 * answers claims it under a lease, and the answer and its end are one commit.
 * So an ask has one answer at most, whatever is killed.
 */

struct bot {
	int64_t id;
	char name[808];
	char kind[12]; /* rules, http, assistant */
	char state[8]; /* on, off */
	struct json_object *config, *secrets;
	int64_t calls_max, tokens_max; /* of a day; 0: any */
};

/* store_bot_get(st, id, b): deleted ones are none.  bot_fini after DONE. */
int store_bot_get(struct store *st, int64_t id, struct bot *b);
void bot_fini(struct bot *b);

/*
 * A bot to be made, or changed: NULL and -1 leave a member as it is.  Members
 * of ${config} and ${secrets} go over those that are; a null removes.
 */
struct bot_change {
	const char *name, *kind, *state;
	struct json_object *config, *secrets; /* objects; borrowed */
	const int64_t *channels;
	size_t nchannels;
	bool rehome; /* ${channels} replaces those that are */
	int64_t calls_max, tokens_max;
	const char *key_hash;
};
#define BOT_CHANGE_INIT                                                    \
	{                                                                  \
		NULL, NULL, NULL, NULL, NULL, NULL, 0, false, -1, -1, NULL \
	}

/*
 * store_bot_add(st, c, id), store_bot_set(st, id, c), store_bot_delete(st, id).
 * STORE_INVALID: no such channel; STORE_REFUSED: it has another bot.
 */
int store_bot_add(struct store *st, const struct bot_change *c, int64_t *id);
int store_bot_set(struct store *st, int64_t id, const struct bot_change *c);
int store_bot_delete(struct store *st, int64_t id);

/*
 * store_bots(st, day, out): returns new {"items":[...],...};
 * store_bot_json(st, id, day, out): one of them: {id, name, kind, state,
 * config, secrets: {name: "set"}, channels: [id], calls_max, tokens_max,
 * calls, tokens, error, error_at, created_at}; ${day} is today's number.
 */
int store_bots(struct store *st, int64_t day, struct json_object **out);
int store_bot_json(
    struct store *st, int64_t id, int64_t day, struct json_object **out);

/* store_bot_key(st, id, hash): DONE if that is the hash of its key. */
int store_bot_key(struct store *st, int64_t id, const char *hash);

/* What a bot was asked, in the hands of whoever answers. */
struct bot_ask {
	int64_t id, bot, message, conversation; /* message 0: tried out */
	int64_t tries;                          /* this one counted */
	int64_t created_at;
	bool greeted;   /* the conversation was, before */
	bool spent;     /* the day's budget is: do not ask its endpoint */
	bool loop;      /* the hour's answers in the conversation are */
	char *text;     /* "" without; owned */
	char kind[16];  /* of the message */
	char locale[8]; /* of the customer */
};
void bot_ask_fini(struct bot_ask *k);

/* Limits of a claim. */
struct bot_bounds {
	int64_t lease_ms, day, hour_max; /* day: today's number */
};

/*
 * store_bot_due(st, at): when the next ask is due; NONE: none waits.
 * store_bot_claim(st, by, lim, k): the ask that is due longest, with nothing
 * older of its conversation under way.  Those that need no answer any more are
 * dropped on the way.
 * store_bot_claim_id(st, by, lim, id, k): that ask.
 * store_bot_spend(st, bot, day): count a call of its endpoint, before it is
 * made; REFUSED: the day's budget is used up.
 * store_bot_again(st, by, id, due_at): put it back.
 * store_bot_expired(st, n): leases that ran out.
 * store_bot_late(st): DONE if an answer that was to come later did not come in
 * its time.  store_bot_claim_late(st, by, lim, k): its ask; NONE: there is
 * none; with ${k}->id 0 it needs no answer any more, and is dropped.
 */
int store_bot_due(struct store *st, int64_t *at);
int store_bot_claim(struct store *st, const char *by,
    const struct bot_bounds *lim, struct bot_ask *k);
int store_bot_claim_id(struct store *st, const char *by,
    const struct bot_bounds *lim, int64_t id, struct bot_ask *k);
int store_bot_spend(struct store *st, int64_t bot, int64_t day);
int store_bot_again(
    struct store *st, const char *by, int64_t id, int64_t due_at);
int store_bot_expired(struct store *st, int64_t *n);
int store_bot_late(struct store *st);
int store_bot_claim_late(struct store *st, const char *by,
    const struct bot_bounds *lim, struct bot_ask *k);

/*
 * store_bot_end(st, by, k, a, day): the answer ${a} to ${k}: its message,
 * unless it is not wanted any more; the hand-over; the notification of an
 * error; what it cost.  NONE: the lease is not ours any more, nothing but the
 * cost was stored.
 */
int store_bot_end(struct store *st, const char *by, const struct bot_ask *k,
    const struct bot_answer *a, int64_t day);

/*
 * store_bot_say(st, bot, conversation, message, client_id, a, out): what a bot
 * says by a call of its own: to ${message} (0: to none), under its name for it
 * (NULL: none).  Whatever it was to answer there later is answered, then, if
 * it says something to none.  NONE: not a conversation of its; REFUSED: it was
 * handed over, or closed; REPEATED, CONFLICT as store_message_add; returns new
 * the message (NULL without a text).
 */
int store_bot_say(struct store *st, int64_t bot, int64_t conversation,
    int64_t message, const char *client_id, const struct bot_answer *a,
    struct json_object **out);

/*
 * store_bot_history(st, k, n, out): returns new the last ${n} messages before
 * and with that of ${k}, oldest first, without notes: [{id, sender: customer,
 * agent or bot, kind, content, created_at}].
 */
int store_bot_history(struct store *st, const struct bot_ask *k, int64_t n,
    struct json_object **out);

/*
 * store_bot_try(st, bot, text, id): an ask to try it out.
 * store_bot_tried(st, bot, id, out): one of them, returned new: {question,
 * state, result}: `result` is null or what it gave.
 * store_bot_asked(st, message, id): the ask that a message made.
 * store_bot_outcome(st, id, state, answer, result): how an ask stands; a state
 * of 12 bytes, the answer's message or 0, and returns new what trying it out
 * gave, or NULL.
 */
int store_bot_try(struct store *st, int64_t bot, const char *text, int64_t *id);
int store_bot_tried(
    struct store *st, int64_t bot, int64_t id, struct json_object **out);
int store_bot_asked(struct store *st, int64_t message, int64_t *id);
int store_bot_outcome(struct store *st, int64_t id, char state[12],
    int64_t *answer, struct json_object **result);

/* store_bot_purge(st, older_ms): a batch of asks that have long ended. */
int store_bot_purge(struct store *st, int64_t older_ms);

#endif
