#ifndef PARLEY_DIALECT_H
#define PARLEY_DIALECT_H

/*
 * One event, its several shapes on the wire.  Each is made when the first
 * connection needs it, hung on the event, and shared by all.
 */

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "frame.h"
#include "hub.h"
#include "shape.h"

enum dialect {
	DIALECT_NAMED,     /* SSE: id, event, data */
	DIALECT_ENVELOPE,  /* SSE: id, data with type and data inside */
	DIALECT_BOTH,      /* SSE: one after the other */
	DIALECT_ITEM,      /* long poll: an item of the answer's list */
	DIALECT_SOCKET,    /* WebSocket: every event under its own name */
	DIALECT_LIVE,      /* WebSocket: the live dialect's names */
	DIALECT_LIVE_BARE, /* ... without the event's id */
	DIALECT_CHAT,      /* WebSocket: the chat dialect, flat */
	DIALECT_CHAT_BARE, /* ... without the event's id */
	DIALECT_SIO, /* Socket.IO: its names; the id is the last argument */
	DIALECT_SIO_BARE, /* ... without the event's id */
	DIALECT_SIO_ALL,  /* Socket.IO: every event under its own name */
	DIALECTS
};

/*
 * dialect_frame(he, d, form):
 * The event as it goes out, borrowed from it.  NULL if this dialect does not
 * show it, or without memory.
 */
struct frame *dialect_frame(
    struct hub_event *he, enum dialect d, enum hub_form form);

/*
 * dialect_envelope(b, e, form):
 * Append {"type","data","timestamp","id"} of an event.
 */
void dialect_envelope(struct buf *b, const struct event *e, enum hub_form form);

/*
 * dialect_sse(b, d, type, data, len, id, stamp):
 * Append an SSE event of one's own making in the dialect ${d}, with `id:` if
 * ${id} >= 0.  ${data} is JSON in one line.
 */
void dialect_sse(struct buf *b, enum dialect d, const char *type,
    const char *data, size_t len, int64_t id, int64_t stamp);

/*
 * dialect_message(type, payload, id, stamp):
 * Returns a new frame with a WebSocket message {type, payload, timestamp} and
 * `id` if it is above 0; NULL without memory.  Takes ${payload}.
 */
struct frame *dialect_message(
    const char *type, struct json_object *payload, int64_t id, int64_t stamp);

/*
 * dialect_flat(type, fields, id, stamp):
 * Returns a new frame with a message of the chat dialect: ${type}, the members
 * of ${fields}, `timestamp`, and `cursor` if ${id} is above 0; NULL without
 * memory.  Takes ${fields}, NULL for none.
 */
struct frame *dialect_flat(
    const char *type, struct json_object *fields, int64_t id, int64_t stamp);

/*
 * dialect_sio(type, data, len, id):
 * Returns a new frame with a Socket.IO event of one argument, the JSON text at
 * ${data}, and the cursor ${id} as the last one if that is above 0, which a
 * text never is without one; NULL without memory.
 */
struct frame *dialect_sio(
    const char *type, const char *data, size_t len, int64_t id);

/*
 * dialect_websocket(text, len):
 * Returns a new frame: the text as one WebSocket message.
 */
struct frame *dialect_websocket(const char *text, size_t len);

/* dialect_about(he): what the event is about, the bits of shape.h. */
unsigned dialect_about(struct hub_event *he);

/* dialect_type_ok(type): [A-Za-z0-9_.:-]{1,64} */
int dialect_type_ok(const char *type);

#endif
