#ifndef PARLEY_LIVE_H
#define PARLEY_LIVE_H

/*
 * The application on a socket: who it is, what it is told, what it may ask.
 * A transport owns a struct live, feeds it the client's messages and puts on
 * the wire what it says.
 */

#include <json-c/json.h>
#include <stdint.h>

#include "conn.h"
#include "hub.h"
#include "ident.h"
#include "outbox.h"
#include "replay.h"

enum live_state { LIVE_NOBODY, LIVE_ASKING, LIVE_IN };

struct live;

struct live_ops {
	/* Send the client a frame, or a message made for it. */
	void (*send)(struct live *v, struct frame *f);
	/* End the connection with the WebSocket code; ${v} is gone then. */
	void (*close)(struct live *v, int code, const char *reason);
	/* An answer that was due has gone. */
	void (*answered)(struct live *v);
};

struct live {
	struct hub_sub sub; /* first */
	struct ident_use use;
	struct conn *c;
	const struct live_ops *ops;
	struct ident *cookie; /* whom the request's cookie names */
	struct ident_wait *wait;
	struct replay *replay;
	struct live_room *rooms;
	struct live_join *joins;
	struct outbox outbox;
	int64_t cursor;  /* the client's, where joins begin */
	int64_t sent_id; /* the newest event id it was sent */
	uint32_t credit_s;
	uint16_t nrooms, njoining; /* joined; joins without answer */
	uint16_t credit;           /* commands it may give at once */
	uint8_t state;             /* enum live_state */
	uint8_t all;       /* it asked for every event, under its own name */
	uint8_t caught_up; /* ... with what it missed before it came */
	uint8_t bare;      /* it was sent events without their ids */
};

/* live_init(v, c, ops): of the zeroed ${v}. */
void live_init(struct live *v, struct conn *c, const struct live_ops *ops);
void live_fini(struct live *v);

/* live_text(v, p, len): a message of the client, JSON text. */
void live_text(struct live *v, const char *p, size_t len);

/*
 * live_say(v, type, payload, id):
 * Tell the client something; ${id} is an event's or 0.  Takes ${payload}.
 */
void live_say(
    struct live *v, const char *type, struct json_object *payload, int64_t id);

/*
 * live_error(v, code, message, conversation, client_id, retry_s):
 * Tell it that something did not go; what it is about may be NULL.
 */
void live_error(struct live *v, const char *code, const char *message,
    const char *conversation, const char *client_id, int retry_s);

/* live_login(v, id): the client is ${id} from now on. */
void live_login(struct live *v, struct ident *id);

/* live_refuse(v, message): auth_error and the end; ${v} is gone then. */
void live_refuse(struct live *v, const char *message);

/* live_go(v): there is room again: go on with what it missed. */
void live_go(struct live *v);

/* live_settle(v): give it the newest id, if it keeps a cursor. */
void live_settle(struct live *v);

/* live_open(v): answers that are due. */
unsigned live_open(const struct live *v);

#endif
