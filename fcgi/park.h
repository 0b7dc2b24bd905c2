#ifndef PARLEY_PARK_H
#define PARLEY_PARK_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Connections whose request has begun to come.  Some web servers, Apache among
 * them, pass a body on as it arrives: whoever sends slowly would hold a process
 * that others wait for.  So requests wait here until they are whole, or so
 * large that no socket holds them.
 */

#define PARK_MAX 64 /* then the one that waits longest is cut off */

struct park {
	int listener; /* not ours; -1: none is accepted any more */
	int ep;       /* epoll of what waits, or -1: nothing can */
	int64_t wait_ms;
	size_t n;
	struct {
		int fd;
		/* monotonic, then it is cut off; INT64_MAX: it is kept */
		int64_t until_ms;
	} c[PARK_MAX];
};

/*
 * park_init(pk, listener, wait_ms) / park_fini(pk):
 * A request has ${wait_ms} to come, then its connection is closed; fini closes
 * all of them.
 */
void park_init(struct park *pk, int listener, int64_t wait_ms);
void park_fini(struct park *pk);

/*
 * park_take(pk):
 * A connection whose request can be read, which is the caller's from now on;
 * accepts what is there.  -1: none just now.
 */
int park_take(struct park *pk);

/*
 * park_keep(pk, fd):
 * Takes a connection that the server keeps: its next request may be long in
 * coming, and until then none is accepted from others.
 */
void park_keep(struct park *pk, int fd);

/* park_stop(pk): accept no more; what has begun may come for a second. */
void park_stop(struct park *pk);

/*
 * park_wait(pk, mask):
 * Sleep until there may be something to take, or a signal that ${mask} lets
 * through.  0, or -1 after logging.
 */
int park_wait(struct park *pk, const sigset_t *mask);

/* park_waiting(pk): whether there may be something to take now. */
bool park_waiting(const struct park *pk);

/*
 * park_whole(p, len):
 * Whether the FastCGI records in the ${len} bytes at ${p} are a whole request,
 * or none that waiting would help.
 */
int park_whole(const unsigned char *p, size_t len);

#endif
