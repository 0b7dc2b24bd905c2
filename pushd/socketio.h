#ifndef PARLEY_SOCKETIO_H
#define PARLEY_SOCKETIO_H

/*
 * The chat over Socket.IO: its sessions, who they are, how they come back
 * (socketio.c), and the vocabulary of its events (words_sio.c).
 */

#include "live.h"
#include "sio.h"
#include "siopast.h"
#include "transport.h"

extern const struct transport socketio_transport;

/* socketio_adopt(p, in): a session of another's eios_carry; as eios_adopt. */
int socketio_adopt(struct push *p, struct carry_in *in);

/* Tags of commands that no client gave, beside -1. */
enum {
	SOCKETIO_CONNECT = -2, /* who CONNECT says it is */
	SOCKETIO_BACK = -3     /* a conversation it had joined */
};

/* A session. */
struct socketio {
	struct sio sio; /* first */
	struct live live;
	struct socketio_back *back; /* CONNECT is not answered yet, or NULL */
	char pid[SIOPAST_PID];      /* by which it may come back */
	uint32_t active_s;          /* when it last said something */
	uint8_t bad;                /* what its handshake showed is nobody's */
	uint8_t named;              /* its handshake showed who it is */
	uint8_t bye;                /* it said that it goes */
	uint8_t lost;   /* another of the same person broke off lately */
	uint8_t tries;  /* of CONNECT, since it was somebody */
	uint8_t leaves; /* it left; the answers that are due come first */
};

/* socketio_of(v): the client that ${v} is a part of. */
struct socketio *socketio_of(const struct live *v);

/* --- the vocabulary, words_sio.c --- */

extern const struct live_words words_sio;

/* words_sio_event(s, got): what the client says. */
void words_sio_event(struct sio *s, const struct sio_got *got);

/*
 * words_sio_auth(v, o):
 * What ${o} says beside who it is: its cursor, which events it wants.
 */
void words_sio_auth(struct live *v, struct json_object *o);

/*
 * words_sio_authenticated(v, cursor):
 * It is somebody; ${cursor} is its own from now on, if that is not -1.
 */
void words_sio_authenticated(struct live *v, int64_t cursor);

/* words_sio_reconnected(v): ... and had broken off. */
void words_sio_reconnected(struct live *v);

/* --- a session, socketio.c --- */

/* socketio_in(s): it is somebody, for the first time. */
void socketio_in(struct socketio *s);

/* socketio_resumed(s, good, cursor): as of a vocabulary. */
void socketio_resumed(struct socketio *s, int good, int64_t cursor);

/* socketio_refused(s, message): CONNECT said who it is, and is not. */
void socketio_refused(struct socketio *s, const char *message);

/* socketio_over(s): an event was refused, perhaps one too many.  May end it. */
void socketio_over(struct socketio *s);

/* socketio_joined(s, good): it is where it was, or may not be any more. */
void socketio_joined(struct socketio *s, int good);

#endif
