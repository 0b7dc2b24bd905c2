#ifndef STORE_CONVERSATION_H
#define STORE_CONVERSATION_H

#include "store.h"

/* Conversations: of a customer, of two users, of many. */

/* What one may do with a conversation.  Each includes those before it. */
enum conversation_need {
	MAY_SEE,
	MAY_WRITE, /* a message */
	MAY_NOTE,  /* a note; see what is for agents only */
	MAY_PATCH,
};

/* A conversation as rules need it. */
struct conversation {
	int64_t id;
	char type[12];     /* customer, direct, group */
	char platform[12]; /* "" without a channel */
	char status[12];
	int64_t channel, customer, assignee, team;
	int64_t merged_into;
	int64_t last_message;
	int64_t last_inbound_at, sent_since;
	int64_t activity_at;
	int64_t bot; /* of its channel, be it on or off; 0: none */
};

/*
 * store_conversation_may(st, who, id, need, c):
 * The one place that decides.  STORE_DONE and ${c} (NULL: not wanted),
 * STORE_NONE: not there or not to be seen, STORE_FORBIDDEN: seen, but not
 * that.  ${who} NULL may all.  Agents may all of customers' conversations,
 * members all of their direct and group ones, customers see and write their
 * own.
 */
int store_conversation_may(struct store *st, const struct who *who, int64_t id,
    enum conversation_need need, struct conversation *c);

/* Filters of the list; 0 and NULL: any. */
struct conversation_filter {
	const char *status; /* open, pending, snoozed, closed */
	int64_t assignee;   /* a user; -1: nobody */
	int64_t team, channel, customer;
	const char *type; /* customer, direct, group */
	const char *tag;  /* a tag's name */
	bool live;        /* none that is closed */
	bool unread;      /* only with something the asker has not read */
	const char *q;    /* in customer's name, phone, email, subject, last
			     message; among the newest 2,000 */
};

/*
 * store_conversations(st, who, f, pg, out): what the asker may see, newest
 * activity first; next: "activity_at.id" (store_page_parse).
 * store_conversation(st, who, id, out): one, in the asker's form.  A merged
 * one answers STORE_REPEATED with the one it went into.
 */
int store_conversations(struct store *st, const struct who *who,
    const struct conversation_filter *f, const struct store_page *pg,
    struct json_object **out);
int store_conversation(struct store *st, const struct who *who, int64_t id,
    struct json_object **out);

/*
 * store_unread(st, who, out): returns new {"items":[{conversation_id,
 * unread_count}],"total","cursor"}; counts stop at 100, looks at the newest
 * 500 conversations.  For agents without the closed ones, which are done with
 * until somebody writes again.
 */
int store_unread(
    struct store *st, const struct who *who, struct json_object **out);

/*
 * store_conversation_direct(st, who, user, id): the one of these two, made if
 * missing (DONE), else REPEATED.  STORE_INVALID: no such user, or oneself.
 * store_conversation_group(st, who, users, n, subject, id): the maker is in.
 * store_conversation_customer(st, who, customer, channel, subject, id): a new
 * one with a customer; channel 0: the first web channel.
 */
int store_conversation_direct(
    struct store *st, const struct who *who, int64_t user, int64_t *id);
int store_conversation_group(struct store *st, const struct who *who,
    const int64_t *users, size_t n, const char *subject, int64_t *id);
int store_conversation_customer(struct store *st, const struct who *who,
    int64_t customer, int64_t channel, const char *subject, int64_t *id);

/*
 * store_conversation_external(st, channel, external, customer, id):
 * A platform's thread, made if missing (DONE), else REPEATED.  ${customer} is
 * whose it becomes when made.
 */
int store_conversation_external(struct store *st, int64_t channel,
    const char *external, int64_t customer, int64_t *id);

/*
 * store_conversation_current(st, customer, channel, id): the customer's newest
 * one there that is not merged away, for resuming.
 */
int store_conversation_current(
    struct store *st, int64_t customer, int64_t channel, int64_t *id);

#define BOT_WORDS "active|handed_over"

/* A change; NULL, and the number PATCH_STAYS, leave a member as it is. */
#define PATCH_STAYS INT64_MIN
struct conversation_patch {
	const char *status;
	const char *subject;
	int64_t assignee; /* 0: nobody */
	int64_t team;     /* 0: none */
	int64_t priority;
	int64_t snoozed_until;
	struct json_object *tags; /* array of names; replaces */
	const char *bot;          /* active, handed_over: who answers */
};
#define CONVERSATION_PATCH_INIT                                    \
	{                                                          \
		NULL, NULL, PATCH_STAYS, PATCH_STAYS, PATCH_STAYS, \
		    PATCH_STAYS, NULL, NULL                        \
	}

/*
 * store_conversation_patch(st, who, id, p): conversation_updated with
 * changed[] and by.  STORE_REPEATED: nothing changed, nothing told.
 * STORE_INVALID: no such assignee, team.
 */
int store_conversation_patch(struct store *st, const struct who *who,
    int64_t id, const struct conversation_patch *p);

/* store_conversation_wake(st): those snoozed until now are open; a batch. */
int store_conversation_wake(struct store *st);

/*
 * store_participant(st, who, id, user, in): into or out of a group, or out of
 * it oneself.  Losing access cuts in log order: session_changed.
 */
int store_participant(
    struct store *st, const struct who *who, int64_t id, int64_t user, bool in);

#endif
