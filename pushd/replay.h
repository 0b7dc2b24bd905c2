#ifndef PARLEY_REPLAY_H
#define PARLEY_REPLAY_H

/*
 * One reader's way from its cursor to the present.
 *
 * The reader stands in its rooms already, not yet live.  What it missed comes
 * from the ring, or, where the ring does not reach, page by page from the log
 * through api.fcgi, until the ring does.  In the same turn it goes live, so
 * that nothing falls between and nothing comes twice.
 */

#include <stdint.h>

#include "backend.h"
#include "hub.h"

enum replay_end {
	REPLAY_LIVE,  /* caught up: go live in this very call */
	REPLAY_RESET, /* the cursor cannot be honoured */
	REPLAY_FAILED /* nobody could say; the client should come again */
};

struct replay_ops {
	/* An event it missed; 1 if there is no room for more just now. */
	int (*event)(void *arg, struct hub_event *he);
	/* The end.  The replay is freed already. */
	void (*end)(void *arg, enum replay_end how, int64_t cursor);
};

#define REPLAY_NOW INT64_C(-1)

struct replay;

/* What all replays share, and those that wait for the log's state. */
struct replays {
	struct hub *hub;
	struct backend *backend;
	struct replay *waiting;
	uint64_t from_ring, from_log, resets;
};

/*
 * replay_new(x, sub, ref, room, cursor, ops, arg):
 * For the subscriber ${sub} of the identity ${ref} (copied); ${room} (copied)
 * or NULL for all its rooms.  ${cursor} REPLAY_NOW has missed nothing, but
 * waits until the log's state is known; any other below 0 is refused then.
 * Nothing happens before replay_go.  NULL without memory.
 */
struct replay *replay_new(struct replays *x, struct hub_sub *sub,
    const char *ref, const char *room, int64_t cursor,
    const struct replay_ops *ops, void *arg);

/* replay_go(r): go on; also when there is room again. */
void replay_go(struct replay *r);

/*
 * replay_void(r):
 * What it may see may have changed: what the log has answered, or is about to,
 * is asked for again.  Not from within its own calls.  Takes NULL.
 */
void replay_void(struct replay *r);

/* replay_cursor(r): where another would have to begin, to go on with it. */
int64_t replay_cursor(const struct replay *r);

/* replay_stop(r): forget it.  Takes NULL. */
void replay_stop(struct replay *r);

/* replays_ready(x): the log's state is known now: go on, all who wait. */
void replays_ready(struct replays *x);

#endif
