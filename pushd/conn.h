#ifndef PARLEY_CONN_H
#define PARLEY_CONN_H

/*
 * One client connection: its descriptor, what is queued for it, its time
 * limits.  What is spoken on it is a transport's.
 *
 * While idle a connection has no buffers.  What a turn of the loop queues for
 * it leaves in one write.  Its next deadline sits in a wheel of seconds.
 */

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "buf.h"
#include "conf.h"
#include "ends.h"
#include "frame.h"
#include "http.h"
#include "slab.h"
#include "table.h"
#include "transport.h"

enum { CONN_WHEEL = 64 /* seconds */ };

enum conn_state {
	CONN_HEAD,   /* its request is being read */
	CONN_OPEN,   /* a transport has it */
	CONN_END,    /* what is queued, then FIN */
	CONN_LINGER, /* FIN sent, waits for the client's */
	CONN_DEAD    /* closed; its memory goes at the end of the turn */
};

struct conns;

struct conn {
	/* A cache line with all that sending touches. */
	struct conns *all;
	struct frame *first;      /* what goes out next; NULL: nothing waits */
	struct conn_queue *queue; /* what comes behind it, else NULL */
	int fd;
	uint32_t queued;     /* bytes in all */
	uint32_t off;        /* bytes of the first that are sent */
	uint32_t progress_s; /* when the kernel last took bytes, or END began */
	uint32_t active_s;   /* when the client last did something */
	uint32_t due_s;      /* the wheel calls then */
	uint32_t life_s;     /* a held stream ends then */
	uint8_t state;       /* enum conn_state */
	uint8_t slow : 1, broken : 1, blocked : 1, full : 1;
	uint8_t paused : 1, resumed : 1, eof : 1, unix_peer : 1, unlimited : 1;
	uint8_t carried : 1; /* another pushd has it, or is about to */
	uint8_t leaving : 1; /* it was told to go, and goes when it can */
	uint8_t watched;     /* EPOLLIN and EPOLLOUT, as the kernel was told */
	uint8_t dialect, beats; /* the transport's own */

	/* The others. */
	const struct transport *tr;          /* NULL until taken */
	void *t;                             /* the transport's own */
	struct conn *wheel_next, **wheel_at; /* or the next of the dead */
	struct conn_peer *peer; /* counted by address; NULL: not yet */
	struct buf *in;         /* bytes kept for later, else NULL */
	struct http_head *head; /* of a request that came in pieces */
};

/*
 * What a delivery looks at of a connection, by its descriptor: as long as all
 * that was sent has gone it needs no more of it.
 */
struct conn_slot {
	struct conn *c;    /* NULL: there is none */
	struct frame *one; /* all that waits; NULL: nothing; or look at ${c} */
};

/* All connections and what they share. */
struct conns {
	struct ev_loop *loop;
	const struct conf *cf;
	struct http_limits limits;
	const struct transport_path *paths; /* ends with a NULL path */
	/* Those that connections change to; ends with NULL, or is NULL. */
	const struct transport *const *pathless;
	struct slab slab;
	struct conn *wheel[CONN_WHEEL];
	uint32_t now_s;       /* monotonic */
	uint32_t wheel_s;     /* the wheel has turned so far */
	struct conn_slot *at; /* by descriptor, for ${fds} of them */
	uint64_t *turn; /* a bit each: look at it before the loop sleeps */
	uint32_t fds;
	uint32_t turn_from, turn_to; /* words of ${turn} that have any */
	struct conn *dead;           /* closed in this turn */
	struct table peers;          /* connections by address */
	struct conn_listener *listeners;
	int ep;   /* an epoll of connections alone: no watcher for each */
	ev_io io; /* ... something happened there */
	ev_timer timer;
	ev_prepare prepare;
	ev_idle spin; /* active while somebody is left to be looked at */
	size_t n, max;
	int draining;
	int held; /* nobody is accepted, no request read */
	unsigned drain_over_s;
	uint32_t drain_until_s;
	/* counters */
	uint64_t accepted, refused, shed, slow, stalled, bytes, writes;
	struct ends ends;
};

/*
 * conns_init(all, loop, cf, paths):
 * No connection yet; borrows all it is given.  0, or -1 after logging.
 * conns_fini(all): close all, listening sockets too.
 */
int conns_init(struct conns *all, struct ev_loop *loop, const struct conf *cf,
    const struct transport_path *paths);
void conns_fini(struct conns *all);

/* conns_listen(all, addr): 0, or -1 after logging. */
int conns_listen(struct conns *all, const char *addr);

/*
 * conns_hold(all, on):
 * Accept nobody and read no requests, for a moment; again.
 */
void conns_hold(struct conns *all, int on);

/*
 * conns_settle(all):
 * Give the kernel all that is queued, now, as far as it takes it.
 */
void conns_settle(struct conns *all);

/*
 * conns_listener(all, i, addr, fds):
 * The address and the descriptors, the socket's and its lock's or -1, of
 * listener ${i}; 0 if there are not so many.
 */
int conns_listener(
    const struct conns *all, size_t i, const char **addr, int fds[2]);

/*
 * conns_adopt_listener(all, addr, fds):
 * Listen with what another had; takes the descriptors.  0, or -1 after logging.
 */
int conns_adopt_listener(struct conns *all, const char *addr, const int fds[2]);

/*
 * conn_carry(c, b):
 * Append what another pushd has to know to go on with the connection, and
 * mark it as carried; nothing is changed otherwise.  -1: it has to stay.
 */
int conn_carry(struct conn *c, struct buf *b);

/*
 * conn_adopt(all, fd, in):
 * Take over a connection, from what conn_carry said.  Not a byte is read or
 * written before the loop runs.  Takes ${fd}.  0, or -1 if it was malformed.
 */
int conn_adopt(struct conns *all, int fd, struct carry_in *in);

/*
 * conns_carried(all, gone):
 * They are another's now: close our descriptors of them without a word.  Or
 * not ${gone}: they are not.
 */
void conns_carried(struct conns *all, int gone);

/*
 * conns_each(all, fn, arg):
 * Call ${fn} for each connection; it may close that one.
 */
void conns_each(
    struct conns *all, void (*fn)(struct conn *, void *), void *arg);

/*
 * conns_drain(all, over_s):
 * Accept no more; send everybody away, spread over so many seconds; then stop
 * the loop, at once if there is nobody.
 */
void conns_drain(struct conns *all, unsigned over_s);

/*
 * conn_take(c, tr, t):
 * The transport ${tr} has the connection from now on, with ${t} as its own.
 */
void conn_take(struct conn *c, const struct transport *tr, void *t);

/*
 * conn_pass(c, tr, t):
 * The transport that has the connection gives it to ${tr}; its gone() is not
 * called.
 */
void conn_pass(struct conn *c, const struct transport *tr, void *t);

/*
 * conn_send(c, f):
 * Queue the frame, holding it; past queue_bytes_max the connection is closed
 * at the end of the turn, as too slow.
 */
void conn_send(struct conn *c, struct frame *f);

/*
 * conns_give(all, fd, f):
 * As conn_send, to the connection of the descriptor.
 */
void conns_give(struct conns *all, uint32_t fd, struct frame *f);

/* conn_queued(c): bytes that wait. */
size_t conn_queued(const struct conn *c);

/*
 * conn_full(c):
 * Whether so much is queued that whoever has more should wait until drained
 * is called.
 */
int conn_full(const struct conn *c);

/* conn_write(c, p, len): queue a copy of bytes that are for ${c} alone. */
void conn_write(struct conn *c, const void *p, size_t len);

/*
 * conn_reply(c, head_only, status, headers, body):
 * A plain HTTP answer, then the end.  ${headers}: more lines, each with CRLF,
 * or NULL; ${body}: JSON text or NULL; HEAD gets none.
 */
void conn_reply(struct conn *c, int head_only, int status, const char *headers,
    const char *body);

/* conn_error(c, head_only, status, headers, code, error): as JSON. */
void conn_error(struct conn *c, int head_only, int status, const char *headers,
    const char *code, const char *error);

/* conn_end(c, why): send what is queued, FIN, wait shortly, close. */
void conn_end(struct conn *c, const char *why);

/* conn_close(c, why): close at once. */
void conn_close(struct conn *c, const char *why);

/* conn_due(c, s): tick in ${s} to ${s} + 1 seconds, not when it was due. */
void conn_due(struct conn *c, unsigned s);

/*
 * conn_pause(c), conn_resume(c):
 * Hear no more from the client; again, beginning with what conn_stash kept,
 * before the loop sleeps.
 */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
void conn_stash(struct conn *c, const char *p, size_t len);

/* conn_addr(c): the client's address as text, "" if there is none. */
const char *conn_addr(const struct conn *c);

/*
 * conn_peer_hold(c), conn_peer_drop(all, p):
 * Count one more at the address of ${c}: what lives on without a connection.
 * conn_peer_count(all, addr): the same by the address itself; NULL without
 * memory.  conn_peer_addr(p): its address as text.
 */
struct conn_peer *conn_peer_count(struct conns *all, const char *addr);
struct conn_peer *conn_peer_hold(const struct conn *c);
void conn_peer_drop(struct conns *all, struct conn_peer *p);
const char *conn_peer_addr(const struct conn_peer *p);

/* conn_method(rq, name): whether the request's method is that. */
int conn_method(const struct request *rq, const char *name);

/*
 * conn_get_only(c, rq, cors):
 * Answer methods other than GET and HEAD: OPTIONS with what there is, others
 * 405, both with ${cors} (of conn_cors).  1 if it was one.
 */
int conn_get_only(struct conn *c, const struct request *rq, const char *cors);

/*
 * conn_cors(c, rq, out, size):
 * The CORS header lines for the request's Origin, "" if none are due.
 */
void conn_cors(
    const struct conn *c, const struct request *rq, char *out, size_t size);

/* conn_jitter(n): a number in 0..n-1. */
unsigned conn_jitter(unsigned n);

#endif
