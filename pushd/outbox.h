#ifndef PARLEY_OUTBOX_H
#define PARLEY_OUTBOX_H

/*
 * What one client sends, as ordinary requests to api.fcgi: one at a time, so
 * that its messages keep their order, and each answered once.  Remembers the
 * client's own messages until their events have passed, since on this
 * connection the answer stands for the event.
 */

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "buf.h"
#include "carry.h"
#include "hub.h"

#define OUTBOX_ID_MAX 64 /* bytes of a conversation's name, with NUL */
/* Bytes of a message's client_id, with NUL. */
#define OUTBOX_CLIENT_ID_MAX 260
#define OUTBOX_PATH_MAX 120 /* bytes of a request's path, with NUL */

enum outbox_state {
	OUTBOX_WAITS,
	OUTBOX_ASKED,
	OUTBOX_DONE, /* answered; its event is still to come */
	OUTBOX_LOST  /* no answer; its event, if it comes, is the answer */
};

/* What a command is about, in the client's own words. */
struct about {
	int64_t tag;              /* comes back with the answer; -1: none */
	int has_name;             /* 1, 0: no, -1: one that cannot be */
	int has_client_id;        /* as above */
	int by_line;              /* it named it by line_user_id */
	char name[OUTBOX_ID_MAX]; /* the conversation */
	char client_id[OUTBOX_CLIENT_ID_MAX]; /* its message */
};

/* A request to be made; all borrowed. */
struct outbox_ask {
	const struct about *about;
	const char *method; /* static */
	const char *path;
	const char *client_id;    /* of a message; NULL: it is none */
	const char *conversation; /* its id; NULL: not known */
	int heard;                /* its event goes to the sender too */
	int drops;                /* as outbox_item's */
};

struct outbox_item {
	struct outbox_item *next;
	struct outbox *box;
	struct backend_call *call;
	struct hub_event *seen; /* came before the answer, which is due */
	enum outbox_state state;
	int64_t event_id; /* of DONE */
	int64_t since_ms; /* when it was answered, monotonic */
	int heard;        /* its event goes to the sender too */
	int drops;        /* it may be lost where there are too many */
	const char *method;
	struct about about;
	char path[OUTBOX_PATH_MAX];
	char client_id[OUTBOX_CLIENT_ID_MAX]; /* "": no message */
	char conversation[OUTBOX_ID_MAX];     /* its id, or "" */
	size_t body_len;
	char body[];
};

/* The answers.  None of these may free the outbox, but for idle. */
struct outbox_ops {
	/* A message is stored; ${event_id} is 0 if it is not known. */
	void (*stored)(void *arg, const struct outbox_item *m,
	    struct json_object *message, int64_t event_id);
	/* Something was refused, or nobody answered (status 0). */
	void (*refused)(void *arg, const struct outbox_item *m,
	    const struct backend_answer *a);
	/* Something else than a message was done. */
	void (*done)(void *arg, const struct outbox_item *m);
	/* An answer came; the last call made about it. */
	void (*answered)(void *arg);
	/* Whether older events are still on their way to the client. */
	int (*behind)(void *arg);
};

struct outbox {
	struct outbox_item *items;
	unsigned open; /* without answer */
	struct backend *backend;
	const struct hub *hub;
	const struct outbox_ops *ops;
	void *arg;
};

/*
 * outbox_add(o, ref, addr, q, body):
 * Put a request into the line, as ${ref} from ${addr}, both the same at each
 * call.  0, or -1 without memory.
 */
int outbox_add(struct outbox *o, const char *ref, const char *addr,
    const struct outbox_ask *q, const struct buf *body);

/*
 * outbox_own(o, e, id, kind):
 * Whether the event is one of this client's own messages, sent by the person
 * ${id} of ${kind}; NULL if not.
 */
struct outbox_item *outbox_own(
    struct outbox *o, const struct event *e, const char *id, const char *kind);

/*
 * outbox_seen(o, m, he):
 * The event of ${m} came by.  ${m} may be gone after it.
 */
void outbox_seen(struct outbox *o, struct outbox_item *m, struct hub_event *he);

/* outbox_forget(o): what was answered long ago. */
void outbox_forget(struct outbox *o);

/* outbox_fini(o): forget all; what is being asked is cancelled. */
void outbox_fini(struct outbox *o);

/*
 * outbox_carry(o, b), outbox_adopt(o, in):
 * Append all of the line; take it over into the empty ${o}, which asks nobody
 * before outbox_go.  0, or -1 if it was malformed.
 */
void outbox_carry(const struct outbox *o, struct buf *b);
int outbox_adopt(struct outbox *o, struct carry_in *in);
void outbox_go(struct outbox *o);

/* about_carry(a, b), about_adopt(a, in): likewise, what a command is about. */
void about_carry(const struct about *a, struct buf *b);
void about_adopt(struct about *a, struct carry_in *in);

#endif
