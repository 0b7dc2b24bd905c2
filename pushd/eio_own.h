#ifndef PARLEY_EIO_OWN_H
#define PARLEY_EIO_OWN_H

/* What eio.c and the files eio_*.c share, and nobody else. */

#include "buf.h"
#include "eio.h"
#include "eiopacket.h"
#include "wsframe.h"

#define EIO_CORS_MAX 1024

enum { EIO_CONN_S = 30 }; /* how often a connection's tick comes */

/* A POST's body on its way. */
struct eio_post {
	struct eio *s; /* NULL: it has ended */
	struct conn *c;
	struct http_body body;
	struct buf in;
	struct eiopayload payload; /* being given, once it is whole */
	uint8_t binary, whole, giving;
	char cors[];
};

/* What a session has only while it polls or changes its transport. */
struct eio_more {
	struct frame **q; /* what waits for a GET */
	size_t q_n, q_cap, q_bytes;
	struct conn *get; /* waits for something; or the handshake */
	char *cors;       /* its headers */
	struct eio_post *post;
	struct conn *probe;     /* a WebSocket that wants the session */
	struct conn_peer *peer; /* counts it by address while no socket does */
	struct ident_wait *wait;
	struct eio *flush_next;
	uint64_t cred;          /* what the handshake showed, hashed */
	uint64_t cred_headless; /* ... but for its Authorization header */
	char accept[29];        /* of a WebSocket's handshake */
	int peer_code;          /* of the Close with which it leaves, or -1 */
	uint8_t socket;         /* the handshake is a WebSocket's */
	uint8_t probing;        /* the new socket has been answered */
	uint8_t direct;         /* the handshake showed more than a cookie */
	uint8_t in_flush;
};

/* A message that came in part, or a frame. */
struct eio_rx {
	struct wsframe frame;
	struct buf message;
};

extern const struct transport eio_get_transport, eio_post_transport,
    eio_socket_transport, eio_probe_transport;

/* eio_error(c, cors, code): refuse a request, with the protocol's code. */
enum eio_code {
	EIO_UNKNOWN_TRANSPORT,
	EIO_UNKNOWN_SID,
	EIO_BAD_METHOD,
	EIO_BAD_REQUEST,
	EIO_FORBIDDEN,
	EIO_UNKNOWN_VERSION
};
void eio_error(struct conn *c, const char *cors, enum eio_code code);

/* eio_busy(c, cors): refuse it for now. */
void eio_busy(struct conn *c, const char *cors);

/* --- the table --- */

/*
 * eio_new(x, app):
 * Returns a new session with its sid and what it needs to poll, in the table;
 * NULL if there is no room or memory for one more.
 */
struct eio *eio_new(struct eios *x, const struct eio_app *app);

/* eio_named(x, app, sid): the same with a sid that there is already. */
struct eio *eio_named(
    struct eios *x, const struct eio_app *app, const char sid[EIO_SID]);

/* eio_schedule(s): its next deadline may be another. */
void eio_schedule(struct eio *s);

/* eio_find(x, sid, len): the session, or NULL. */
struct eio *eio_find(const struct eios *x, const char *sid, size_t len);

/* eio_begin(s, id): its handshake is good; ${id}: who it is, or NULL. */
void eio_begin(struct eio *s, struct ident *id);

/* eio_flush_add(s): look at it before the loop sleeps. */
void eio_flush_add(struct eio *s);

/*
 * eio_packet(s, x):
 * A packet of the client's.  -1 if it may not send it; the session may have
 * ended.
 */
int eio_packet(struct eio *s, const struct eiopacket *x);

/*
 * eio_finish(s, code, why, last):
 * The end at once; a GET that waits gets ${last}, a WebSocket Close with
 * ${code}, or none if that is 0.
 */
void eio_finish(struct eio *s, int code, const char *why, struct frame *last);

/*
 * eio_leave(s, code, why):
 * The client says that it goes, with the Close ${code}, or -1: its end, after
 * the answers that are due.
 */
void eio_leave(struct eio *s, int code, const char *why);

/* eio_gone(s): out of all tables; its memory goes at the turn's end. */
void eio_gone(struct eio *s);

/* --- polling --- */

/* eio_poll_get, eio_poll_post: ${c} asks for packets, brings some. */
void eio_poll_get(struct eio *s, struct conn *c, const char *cors);
void eio_poll_post(
    struct eio *s, struct conn *c, const struct request *rq, const char *cors);

/* eio_poll_push(s, f): queue it for the next GET. */
void eio_poll_push(struct eio *s, struct frame *f);

/* eio_poll_flush(s): answer a GET that waits, if there is something. */
void eio_poll_flush(struct eio *s);

/* eio_poll_drop(s, last): no more requests: end those that there are. */
void eio_poll_drop(struct eio *s, struct frame *last);

/* eio_poll_drop_post(s): what its POST still has is not heard. */
void eio_poll_drop_post(struct eio *s);

/* eio_poll_move(s): what is queued goes over its WebSocket. */
void eio_poll_move(struct eio *s);

/* --- websocket --- */

/* eio_socket_switch(c, accept): answer an upgrade. */
void eio_socket_switch(struct conn *c, const char *accept);

/* eio_socket_take(s, c): the session goes over it from now on. */
void eio_socket_take(struct eio *s, struct conn *c);

/* eio_socket_probe(s, c, accept): it wants the session. */
void eio_socket_probe(struct eio *s, struct conn *c, const char *accept);

/* eio_socket_drop(c, code, why): Close, and the end; 0: no Close. */
void eio_socket_drop(struct conn *c, int code, const char *why);

/* eio_rx_begin(rx, x): nothing has come. */
void eio_rx_begin(struct eio_rx *rx, const struct eios *x);

/* eio_rx_fini(rx): free what a cut message holds. */
void eio_rx_fini(struct eio_rx *rx);

#endif
