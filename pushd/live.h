#ifndef PARLEY_LIVE_H
#define PARLEY_LIVE_H

/*
 * The application of one socket client, in nobody's words: who it is, which
 * events it gets, what it missed, what it may ask.  A transport owns a struct
 * live and is its host; a vocabulary reads what the client sends, calls the
 * commands below, and says the answers on the wire.
 *
 * Where a function may close the client, its struct live may be gone when it
 * returns: that is told below as "may end it".
 */

#include <json-c/json.h>
#include <stdint.h>

#include "dialect.h"
#include "hub.h"
#include "ident.h"
#include "outbox.h"
#include "push.h"

enum live_state { LIVE_NOBODY, LIVE_ASKING, LIVE_IN };

struct live;
struct live_work;

/* How a client speaks: a const table for each vocabulary. */
struct live_words {
	const char *name;     /* in metrics */
	enum dialect dialect; /* its events */
	enum dialect bare;    /* ... without their ids */
	enum dialect all;     /* ... when it asked for every event */
	int members; /* hears groups that it is a member of, unjoined */

	/*
	 * A message of the client; ${p} is NULL of one that is no text.  NULL:
	 * the transport reads it itself.
	 */
	void (*text)(struct live *v, const char *p, size_t len);

	/* It is somebody now, or (${again}) said so once more. */
	void (*in)(struct live *v, int64_t tag, int again);

	/*
	 * Once, after in() and before the first event it missed: all since
	 * its cursor follows, up to ${cursor} if that is not -1; or (not
	 * ${good}) the cursor cannot be honoured, and reset() is next.
	 */
	void (*resumed)(struct live *v, int good, int64_t cursor);

	/* It could not be told who this is.  Ends it, or lets it try again. */
	void (*refused)(struct live *v, int64_t tag, const char *message);

	/* A command did not go; ${a} is NULL if it is about none. */
	void (*error)(struct live *v, const struct about *a, const char *code,
	    const char *message, int retry_s);

	/* It is in the conversation ${id}, which it calls ${line}. */
	void (*joined)(struct live *v, const struct about *a, const char *id,
	    const char *line);
	void (*left)(struct live *v, const struct about *a, const char *id);

	/*
	 * Its message is stored.  ${message}: as the API has it; ${event_id}:
	 * of its event, or 0; ${id}: the same if the answer may carry it as a
	 * cursor, in the event's stead, else 0.
	 */
	void (*stored)(struct live *v, const struct outbox_item *m,
	    struct json_object *message, int64_t event_id, int64_t id);

	/* Any other command was done. */
	void (*done)(struct live *v, const struct about *a);

	/* Its cursor is void: it has to load its state anew. */
	void (*reset)(struct live *v);

	/* Nothing but a newer cursor. */
	void (*tick)(struct live *v, int64_t id);
};

/* What carries a client; its connection may change. */
struct live_host {
	const struct live_words *words;
	struct push *(*push)(const struct live *v);
	/* Send the client a frame. */
	void (*send)(struct live *v, struct frame *f);
	/* The descriptor to which frames could go as they are, or -1. */
	int (*outlet)(const struct live *v);
	/* End it with the WebSocket code; ${v} is gone then. */
	void (*close)(struct live *v, int code, const char *reason);
	/* Read no more from the client (0), or again, but not from within. */
	void (*hear)(struct live *v, int yes);
	/* It is somebody now: its time limits are others. */
	void (*in)(struct live *v);
	/* An answer that was due has gone. */
	void (*answered)(struct live *v);
	/* Whether so much waits for it that what it missed has to wait. */
	int (*is_full)(const struct live *v);
	const char *(*addr)(const struct live *v);
	/* When the client last did something; monotonic seconds. */
	uint32_t (*active_s)(const struct live *v);
};

struct live {
	struct hub_sub sub; /* first */
	struct ident_use use;
	const struct live_host *host;
	struct live_work *work; /* only while something is going on */
	int64_t cursor;         /* the client's, where joins begin */
	int64_t sent_id;        /* the newest event id it was sent */
	uint32_t credit_s;
	uint32_t credit : 7;    /* commands it may give at once */
	uint32_t over : 10;     /* those refused in this second */
	uint32_t state : 2;     /* enum live_state */
	uint32_t all : 1;       /* it asked for every event, by its own name */
	uint32_t caught_up : 1; /* ... with what it missed before it came */
	uint32_t told : 1;      /* ... and whether its cursor was good */
	uint32_t bare : 1;      /* it was sent events without their ids */
	uint32_t unlimited : 1;
	uint32_t keeps : 1;   /* it keeps a cursor, whatever it showed */
	uint32_t adopted : 1; /* from another pushd; not gone on with yet */
	uint32_t waits : 1;   /* it is joining what it had joined; live_start */
	uint32_t whole : 1;   /* ... and has: what it missed is all there is */
};

/* live_init(v, host, unlimited): of the zeroed ${v}. */
void live_init(struct live *v, const struct live_host *host, int unlimited);
/* live_fini(v): out of all rooms; its identity is let go. */
void live_fini(struct live *v);

/* live_stage(v): what it is doing, a word for metrics. */
const char *live_stage(const struct live *v);

/* --- who it is --- */

/*
 * live_auth(v, tag, text, len):
 * The client shows a token or a session's id; ${len} 0: what its cookie named.
 * The answer is in() or refused().  May end it.
 */
void live_auth(struct live *v, int64_t tag, const char *text, size_t len);

/*
 * live_start(v, whole):
 * Of one that waits, which in() may let it do: now give it what it missed.
 * With ${whole} it is where it was, so that this comes in the order of the log,
 * with its ids; else joins are still to come, which may owe what is older.  May
 * end it.
 */
void live_start(struct live *v, int whole);

/* live_login(v, id): the client is ${id} from now on.  May end it. */
void live_login(struct live *v, struct ident *id);

/* live_using(use): the client whose hold on an identity it is, or NULL. */
struct live *live_using(struct ident_use *use);

/* live_cookie(v, id): whom the request's cookie names.  -1: no memory. */
int live_cookie(struct live *v, struct ident *id);

/* --- commands; each is answered with its ${a}; each may end it --- */

/*
 * live_may(v, a):
 * Count a message of the client's; 0, with an error said, if there are too
 * many of them.  To refuse them costs something too: ${v}->over at
 * LIVE_OVER_MAX, the client should go.
 */
enum { LIVE_OVER_MAX = 1000 };
int live_may(struct live *v, const struct about *a);

/* live_is_in(v, a): whether it is somebody; 0 with an error said. */
int live_is_in(struct live *v, const struct about *a);

/*
 * live_join(v, a, cursor):
 * Into a conversation, with what was missed there since ${cursor}, or since
 * its own if that is PUSH_NOW.
 */
void live_join(struct live *v, const struct about *a, int64_t cursor);
/* live_leave(v, a): out of it again; nothing if it is not in. */
void live_leave(struct live *v, const struct about *a);

/* live_rooms(v, b): append the ids of what it joined, each with a NUL. */
void live_rooms(const struct live *v, struct buf *b);

/* live_typing(v, a, typing): without a conversation in the only one. */
void live_typing(struct live *v, const struct about *a, int typing);

/* live_read(v, a, message): it has read up to there, wherever that is. */
void live_read(struct live *v, const struct about *a, const char *message);

/*
 * live_send(v, a, o, note, heard):
 * Send the message in ${o} (content or text, kind, attachments, reply_to,
 * seen); ${heard}: its event goes to the sender too.
 */
void live_send(struct live *v, const struct about *a, struct json_object *o,
    int note, int heard);

/* live_send_to(v, a, o, to): as live_send, to the user ${to}. */
void live_send_to(struct live *v, const struct about *a, struct json_object *o,
    const char *to);

/* live_status(v, a, status): it is online, away or busy, as it says. */
void live_status(struct live *v, const struct about *a, const char *status);

/* --- in the course of time --- */

/* live_go(v): there is room again: go on with what it missed. */
void live_go(struct live *v);

/* live_rest(v): nothing of it is being worked on: free what is not needed. */
void live_rest(struct live *v);

/* live_settle(v): give it the newest id, if it keeps a cursor. */
void live_settle(struct live *v);

/* live_cursor(v): where it may go on later, or -1: it is owed older ones. */
int64_t live_cursor(const struct live *v);

/* live_open(v): answers that are due. */
unsigned live_open(const struct live *v);

/* live_frame(v, f, id): send it and let go of it; ${id}: its event's, or 0. */
void live_frame(struct live *v, struct frame *f, int64_t id);

/*
 * live_carry(v, b), live_adopt(v, in):
 * Append what another pushd has to know to go on with it (-1: it cannot be
 * carried just now); take it over after live_init, so that live_go goes on.
 * 0, or -1 if it was malformed.
 */
int live_carry(const struct live *v, struct buf *b);
int live_adopt(struct live *v, struct carry_in *in);

/* live_push(v): what its transport works with. */
struct push *live_push(const struct live *v);

#endif
