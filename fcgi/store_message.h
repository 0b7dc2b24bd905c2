#ifndef STORE_MESSAGE_H
#define STORE_MESSAGE_H

#include "store.h"
#include "store_conversation.h"

/*
 * Messages.  A message's id is its new_message event's id.
 */

/* A message to store; what is not set is 0, NULL, false. */
struct message {
	int64_t conversation;
	const char *content; /* UTF-8, no NUL; NULL: "" */
	size_t content_len;
	const char *kind;                /* NULL: "text" */
	bool note;                       /* for agents only */
	struct json_object *attachments; /* array in the API's form; borrowed */
	const int64_t *files; /* or the sender's own uploads, by id */
	size_t nfiles;
	struct json_object *payload; /* postback data, place, ...; borrowed */
	int64_t reply_to;            /* a message of the same conversation */
	const char *client_id;       /* 1..128 bytes; NULL: none */
	const char *hash;            /* SHA-256 of the request; NULL: of the
						content, made here */
	int64_t seen;                /* newest message the sender had read, or
					0: does not matter */

	/* Only with who NULL, the program speaking for somebody: */
	const char
	    *sender_kind; /* customer, agent, bot, system; NULL: system */
	int64_t sender_id;
	bool incoming; /* from the customer's side */

	/* From a platform: */
	int64_t channel; /* with external_id: the key against doubles */
	const char *external_id;
	const char *reply_external; /* external id of the quoted one */
	const char *reply_token, *seen_token, *quote_token; /* or NULL */
	int64_t sent_at;                                    /* ms; 0: now */
	int64_t inbox; /* webhook_inbox.id */
	bool echo;     /* went out elsewhere: no delivery is made */
	bool quiet;    /* with a stopped thread (standby): the reply
			  window does not move */

	/* Filled in: */
	int64_t id;                /* also on STORE_REPEATED */
	struct json_object *json;  /* the message for the asker; returned new */
	struct json_object *taken; /* attachments made of ${files} */
	struct json_object
	    *newer; /* STORE_NEWER: array of them; returned new */
};

/*
 * store_message_add(st, who, m):
 * The one place where messages are written; checks the right to, again, inside
 * the transaction.  DONE; REPEATED: this sender's client_id, or the platform's
 * id, was there with the same body: the first one; CONFLICT: with another;
 * NEWER: others than the sender wrote after ${m}->seen; INVALID: reply_to is
 * not in it, or one of ${m}->files is not an unused upload of the sender's;
 * REFUSED: the conversation is merged away.
 *
 * An outgoing message on a platform's channel gets a delivery in the same
 * transaction and starts as `queued`.  A customer's message opens a closed
 * conversation again.  The sender's watermark moves to it.
 */
int store_message_add(
    struct store *st, const struct who *who, struct message *m);
void message_fini(struct message *m); /* frees json, newer and taken */

/* store_message(st, who, id, out): one that the asker may see. */
int store_message(struct store *st, const struct who *who, int64_t id,
    struct json_object **out);

/*
 * store_messages(st, who, conversation, pg, out):
 * pg->before (or neither): newest first, pg->after: oldest first; both are
 * message ids of the conversation.  Notes only for agents.
 */
int store_messages(struct store *st, const struct who *who,
    int64_t conversation, const struct store_page *pg,
    struct json_object **out);

/*
 * store_message_edit(st, who, id, content, len, out): the author or an admin;
 * the old text goes to its history; message_updated.  REFUSED: deleted, not
 * a text, or taken up to be sent to its platform.  store_message_delete:
 * content, attachments, history, the texts in events already logged, in the raw
 * webhook and in its deliveries go in one transaction; message_deleted.
 * REPEATED: it was.
 */
int store_message_edit(struct store *st, const struct who *who, int64_t id,
    const char *content, size_t len, struct json_object **out);
int store_message_delete(struct store *st, const struct who *who, int64_t id,
    struct json_object **out);

/* By the platform's id: NONE if unknown, REPEATED if nothing changed. */
int store_message_external(
    struct store *st, int64_t channel, const char *external, int64_t *id);
int store_message_edit_external(struct store *st, int64_t channel,
    const char *external, int64_t version, const char *content, size_t len);
int store_message_delete_external(
    struct store *st, int64_t channel, const char *external);

/*
 * store_attachment_set(st, message, index, members): what became of a
 * platform's medium: ${members} replace those of that attachment; which has no
 * state then unless they name one; message_updated.
 */
int store_attachment_set(
    struct store *st, int64_t message, int index, struct json_object *members);

#endif
