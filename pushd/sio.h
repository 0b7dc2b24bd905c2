#ifndef PARLEY_SIO_H
#define PARLEY_SIO_H

/*
 * Socket.IO, versions 5 and 4 of the protocol, on Engine.IO sessions: packets
 * and their attachments, namespaces, what closes a connection.  What events
 * mean is an application's.
 */

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "eio.h"

/* One attachment. */
struct sio_part {
	char *p;
	size_t len;
};

struct sio;

/* A whole packet with what came with it; all borrowed. */
struct sio_got {
	unsigned nsp;             /* its namespace's number */
	int64_t id;               /* of its acknowledgement; -1: none */
	struct json_object *data; /* an event: [name, arguments...] */
	const struct sio_part *parts;
	unsigned nparts;
};

/* An application; its sessions' struct begins with a struct sio. */
struct sio_app {
	struct eio_app eio; /* open, message, due and closed: sio_... */
	const char *const *namespaces; /* at most 8; ends with NULL */

	/*
	 * CONNECT to a namespace, with an object or NULL.  Answered, then or
	 * later, with sio_connected or sio_refused.
	 */
	void (*connect)(struct sio *s, unsigned nsp, struct json_object *auth);
	void (*event)(struct sio *s, const struct sio_got *got);
	/* The client left the namespace.  May be NULL. */
	void (*disconnect)(struct sio *s, unsigned nsp);
	/* The time set with eio_due has come, after CONNECT.  May be NULL. */
	void (*late)(struct sio *s);
	/* The session has ended.  May be NULL. */
	void (*closed)(struct sio *s);
};

struct sio {
	struct eio eio;    /* first */
	struct sio_in *in; /* a packet whose attachments come, or NULL */
	uint8_t asks;      /* namespaces, as bits: CONNECT without answer */
	uint8_t joined;    /* ... connected */
};

/* The functions of Engine.IO's application; see struct sio_app. */
void sio_open(struct eio *e);
void sio_message(struct eio *e, int binary, char *p, size_t len);
void sio_due(struct eio *e);
void sio_closed(struct eio *e);

/*
 * sio_connected(s, nsp, fields):
 * The namespace is the client's; ${fields} (taken, or NULL) go along, with a
 * new id if they have no `sid`.
 */
void sio_connected(struct sio *s, unsigned nsp, struct json_object *fields);

/* sio_refused(s, nsp, message): it is not. */
void sio_refused(struct sio *s, unsigned nsp, const char *message);

/*
 * sio_send(s, nsp, id, ack, data, parts, nparts):
 * An event, or with ${ack} the acknowledgement ${id} of one; ${data} is
 * borrowed.
 */
void sio_send(struct sio *s, unsigned nsp, int64_t id, int ack,
    struct json_object *data, const struct sio_part *parts, unsigned nparts);

/* sio_disconnect(s, code, why): says that it ends it, and ends. */
void sio_disconnect(struct sio *s, int code, const char *why);

#endif
