#ifndef PARLEY_HANDOVER_H
#define PARLEY_HANDOVER_H

/*
 * A new pushd takes the place of the one that runs, over a Unix socket beside
 * that of the hints: its listening sockets, so that nobody is refused, and, if
 * both speak the same version, its live connections, so that nobody is sent
 * away.  What cannot be carried the old one sends back, spread over seconds.
 *
 * The taker says what it wants, in a line ("take 1", "listen 1"), and hears
 * "OK", or "NO" and why.  Then come records (carry.h): the recent events while
 * the old one goes on working; and, while it stands still, the rest.  The new
 * one has it all ("HAVE") and touches nothing before it hears "GO", after which
 * the old one touches nothing.  If either ends or errs before, the old one
 * goes on as if nothing had been; a connection whose record is no good is
 * closed, alone.  A change of what any part carries is a new
 * HANDOVER_TAKE; "listen" is to stay as it is, for upgrades over versions.
 *
 * System calls beyond those of serving: sendmsg and recvmsg with SCM_RIGHTS,
 * poll and nanosleep by both; of the old one accept4 and
 * getsockopt(SO_PEERCRED) on the Unix socket; of the new one, before it
 * serves, socket, connect, sendto (NOTIFY_SOCKET).
 */

#include <ev.h>
#include <stddef.h>

#define HANDOVER_TAKE 1   /* version of all that is carried */
#define HANDOVER_LISTEN 1 /* ... of what does without the connections */

struct push;
struct handover_taker;

struct handover {
	struct push *p;
	int fd, lock; /* where takers come in */
	ev_io io;
	ev_timer rest;                /* until takers are let in again */
	struct handover_taker *taker; /* the one there may be */
	int from;                     /* whom we take over from, or -1 */
	int *hints;                   /* what came for ingest_adopt */
	size_t nhints;
	size_t came_conns;  /* connections: those that came, */
	size_t took;        /* ... that go on here, */
	size_t lost;        /* ... that could not be gone on with */
	unsigned long came; /* bit i: the i-th address came */
	int64_t began_ms;
};

enum handover_want { HANDOVER_NONE, HANDOVER_SOCKETS, HANDOVER_ALL };

/*
 * handover_init(h, p): of the zeroed ${h}.
 */
void handover_init(struct handover *h, struct push *p);

/*
 * handover_listen(h, path):
 * Wait at ${path} for who takes over from us; nothing if that came with what
 * we took over.  0, or -1 after logging.
 */
int handover_listen(struct handover *h, const char *path);

/*
 * handover_take(h, path, want, addrs, n):
 * Take over from who waits at ${path}; of its listeners those at the ${n}
 * addresses.  1 if it has come: handover_go is to follow, with nothing in
 * between that anybody could see; 0 if nobody is there; -1 after logging.
 */
int handover_take(struct handover *h, const char *path, enum handover_want want,
    const char *const *addrs, size_t n);

/* handover_go(h): we have it all.  0 if it is ours now, or -1. */
int handover_go(struct handover *h);

/* handover_fini(h): whom we were giving it all to gets nothing. */
void handover_fini(struct handover *h);

#endif
