#ifndef PARLEY_EIO_H
#define PARLEY_EIO_H

/*
 * Engine.IO sessions, versions 4 and 3 of the protocol: a session lives over
 * the connections that carry it, first requests that poll, perhaps, then one
 * WebSocket.
 *
 * What is said in messages is an application's.  It is given as frames: a
 * WebSocket message with an Engine.IO packet in it, which sockets send as it
 * is and polling takes out of its frame; so one frame does for all sessions.
 */

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "carry.h"
#include "conn.h"
#include "ident.h"
#include "transport.h"

enum {
	EIO_SID = 20,   /* characters of a session's id */
	EIO_WHEEL = 256 /* ticks */
};

struct eio;

/* What speaks in sessions' messages. */
struct eio_app {
	size_t size; /* of its struct, which begins with a struct eio */
	int ask;     /* requests may show who they are: who() is told */

	/*
	 * Whom the handshake named; NULL: nobody.  ${direct}: by more than a
	 * cookie.  Before open().
	 */
	void (*who)(struct eio *s, struct ident *id, int direct);
	/* The session is there, its open packet is queued. */
	void (*open)(struct eio *s);
	/* A message, which may be changed.  May end the session. */
	void (*message)(struct eio *s, int binary, char *p, size_t len);
	/* There is room again after eio_full.  May be NULL. */
	void (*drained)(struct eio *s);
	/* The time set with eio_due has come.  May be NULL. */
	void (*due)(struct eio *s);
	/* Now and then: whatever is to be looked after.  May be NULL. */
	void (*settle)(struct eio *s);
	/* Whether it should have answers before it ends.  May be NULL. */
	int (*busy)(const struct eio *s);
	/* What it is doing, a word for metrics.  May be NULL: "open". */
	const char *(*stage)(const struct eio *s);
	/* The session has ended: free what is the application's own. */
	void (*closed)(struct eio *s);
	/*
	 * Another pushd takes the session: append what the application has
	 * of it, or -1; take it over from that, -1 if it was malformed.  NULL:
	 * its sessions are never carried.
	 */
	int (*carry)(const struct eio *s, struct buf *b);
	int (*adopt)(struct eio *s, struct carry_in *in);
};

enum eio_state {
	EIO_SHAKING, /* its handshake is not answered yet */
	EIO_POLLS,
	EIO_SOCKET, /* a WebSocket has it */
	EIO_ENDING, /* ended, and says so to the next request */
	EIO_GONE    /* its memory goes at the end of the turn */
};

/* A session.  Zeroed to begin; an application's struct begins with it. */
struct eio {
	struct eio *next; /* of those whose sids hash alike; of the dead */
	const struct eio_app *app;
	struct eios *all;
	struct conn *c;        /* its WebSocket, or NULL */
	struct eio_more *more; /* what polling and changes need, or NULL */
	struct eio_rx *rx;     /* a message that came in part, or NULL */
	struct eio *wheel_next, **wheel_at;
	uint32_t due;      /* the wheel calls in this tick */
	uint32_t beat_due; /* a ping, or what ends for want of one */
	uint32_t app_due;  /* 0: none */
	char sid[EIO_SID];
	uint8_t pings_s; /* the second of ${pings}, its low bits */
	uint8_t pings;
	uint8_t beats;
	uint8_t eio;   /* 4 or 3 */
	uint8_t state; /* enum eio_state */
	uint8_t pinged : 1, b64 : 1, deaf : 1, slow : 1, full : 1,
	    unlimited : 1, carried : 1, leaves : 1;
};

/* How the protocol is run. */
struct eio_limits {
	int64_t ping_interval_ms, ping_timeout_ms, payload_bytes_max;
	int64_t upgrade_s;
	int64_t connect_ms; /* of Socket.IO: CONNECT has to come */
};

/* All sessions. */
struct eios {
	struct conns *conns;
	struct idents *idents; /* whom requests are asked about */
	struct eio_limits lim;
	struct eio **slots; /* by sid */
	size_t size, n;
	struct eio *wheel[EIO_WHEEL];
	uint32_t now;    /* in ticks */
	uint32_t turned; /* the wheel has, so far */
	uint32_t tick_ms;
	struct eio *flush; /* to be looked at before the loop sleeps */
	struct eio *dead;
	struct frame *ping, *pong, *noop, *close; /* shared by all */
	unsigned char key[16];                    /* of hashed credentials */
	ev_timer timer;
	ev_prepare prepare;
	ev_idle spin; /* active while something is in ${flush} */
	/* counters */
	uint64_t opened, upgraded, polls, posts, refused;
	uint64_t ended_client, ended_ping, ended_error, ended_slow, ended_own;
};

/* eios_init(x, conns, idents, lim): 0, or -1 without memory. */
int eios_init(struct eios *x, struct conns *conns, struct idents *idents,
    const struct eio_limits *lim);

/* eios_fini(x): end all sessions; before conns_fini. */
void eios_fini(struct eios *x);

/* eios_each(x, fn): call ${fn} for each session; it may end that one. */
void eios_each(struct eios *x, void (*fn)(struct eio *s));

/*
 * eios_carry(x, each, arg):
 * Call ${each} with what another pushd has to know to go on, a session a time;
 * its connections follow by themselves and name it.
 */
void eios_carry(
    struct eios *x, void (*each)(void *arg, const struct buf *one), void *arg);

/* eios_adopt(x, app, in): take one over.  0, or -1 if it was malformed. */
int eios_adopt(struct eios *x, const struct eio_app *app, struct carry_in *in);

/* eios_adopted(x): all connections have come; who has none is gone. */
void eios_adopted(struct eios *x);

/* eios_carried(x, gone): those carried are another's now; or are not. */
void eios_carried(struct eios *x, int gone);

/* The transports that no path leads to, and connections are carried as. */
extern const struct transport *const eio_transports[]; /* ends with NULL */

/*
 * eio_open(x, c, rq, app):
 * A request for one of the application's paths.
 */
void eio_open(struct eios *x, struct conn *c, const struct request *rq,
    const struct eio_app *app);

/* eio_send(s, f): queue the frame, holding it. */
void eio_send(struct eio *s, struct frame *f);

/* eio_text(s, p, len): queue a packet made for this session alone. */
void eio_text(struct eio *s, const char *p, size_t len);

/* eio_bytes(s, p, len): queue a binary message. */
void eio_bytes(struct eio *s, const char *p, size_t len);

/*
 * eio_end(s, code, why):
 * The end, behind what is queued; ${code}: of a WebSocket's Close.  closed()
 * is called from within; ${s} itself is good until the end of the turn.
 */
void eio_end(struct eio *s, int code, const char *why);

/*
 * eio_refuse(s):
 * What the client sent is not allowed: the end, at once.
 */
void eio_refuse(struct eio *s);

/*
 * eio_pinged(s):
 * Count a ping of the client's, or what else it has no use for; 0 if there are
 * too many of them in a second.
 */
int eio_pinged(struct eio *s);

/* eio_hear(s, yes): hear no more messages (0), or again, but later. */
void eio_hear(struct eio *s, int yes);

/* eio_full(s): so much is queued that who has more should wait: drained(). */
int eio_full(struct eio *s);

/* eio_soon(s): call drained() before the loop sleeps, if it is not full. */
void eio_soon(struct eio *s);

/* eio_due(s, ms): call due() in so many milliseconds; -1: not any more. */
void eio_due(struct eio *s, int64_t ms);

/* eio_addr(s): the client's address as text, "" if there is none. */
const char *eio_addr(const struct eio *s);

/* eio_sid(out): a new random id of EIO_SID characters, not terminated. */
void eio_sid(char out[EIO_SID]);

#endif
