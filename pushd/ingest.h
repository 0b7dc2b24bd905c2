#ifndef PARLEY_INGEST_H
#define PARLEY_INGEST_H

/*
 * Events from fcgi/: hints over a Unix socket, one a packet, and, wherever a
 * hint shows a gap or none comes for a second, the log itself through
 * api.fcgi.  The log is right; a hint only saves waiting.
 */

#include <ev.h>
#include <stdint.h>

#include "backend.h"
#include "event.h"
#include "hub.h"

struct ingest_ops {
	/* The next event of the log; takes it. */
	void (*event)(void *arg, struct event *e);
	/* An event without id; takes it. */
	void (*ephemeral)(void *arg, struct event *e);
	/* The log's state is known, and the hub ready. */
	void (*ready)(void *arg);
	/* The log is another one than before: all cursors are void. */
	void (*restart)(void *arg);
	/* The log honours cursors from here on only. */
	void (*floor)(void *arg, int64_t floor);
};

struct ingest_source;

struct ingest {
	struct ev_loop *loop;
	struct hub *hub;
	struct backend *backend;
	const struct ingest_ops *ops;
	void *arg;
	struct ingest_source *sources;
	unsigned nsources;
	int fd, lock; /* where writers come in, and what keeps others out */
	ev_io io;
	ev_timer timer;
	struct backend_call *call; /* the one question in flight */
	int64_t after;             /* ... asked from here on */
	int again;                 /* a gap was seen meanwhile */
	int started;               /* the state was answered once */
	int64_t heard_ms;          /* last hint or answer, monotonic */
	int64_t retry_ms;          /* not before this, after a failure */
	int64_t rest_ms;           /* out of descriptors: not before this */
	int64_t silence_ms;
	int limit; /* events of a page */
	uint64_t hints, late, gaps, backfills, failures, malformed, refused;
};

/*
 * ingest_start(g, loop, hub, backend, path, silence_ms, ops, arg):
 * Listen for hints at ${path} and ask for the log's state.  0, or -1 after
 * logging: another pushd has the socket, for one.
 */
int ingest_start(struct ingest *g, struct ev_loop *loop, struct hub *hub,
    struct backend *backend, const char *path, int silence_ms,
    const struct ingest_ops *ops, void *arg);
void ingest_stop(struct ingest *g);

/*
 * ingest_leave(g):
 * Another listens from now on: what comes is heard by asking for it alone.
 */
void ingest_leave(struct ingest *g);

/*
 * ingest_fds(g, out, max):
 * The descriptors of all that it listens at: the socket, its lock, then the
 * writers' connections.  How many there are.
 */
size_t ingest_fds(const struct ingest *g, int *out, size_t max);

/*
 * ingest_adopt(g, loop, hub, backend, fds, n, silence_ms, ops, arg):
 * As ingest_start, with the descriptors of another's ingest_fds and a hub that
 * knows the log's state.  Takes the descriptors.  0, or -1 after logging.
 */
int ingest_adopt(struct ingest *g, struct ev_loop *loop, struct hub *hub,
    struct backend *backend, const int *fds, size_t n, int silence_ms,
    const struct ingest_ops *ops, void *arg);

#define INGEST_FDS_MAX 1026

#endif
