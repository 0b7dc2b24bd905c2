#ifndef PARLEY_PRESENCE_H
#define PARLEY_PRESENCE_H

/*
 * Who is here: tells api.fcgi when an account's first connection comes and,
 * after a grace in which it may come back, when its last one has gone.
 */

#include <ev.h>
#include <stddef.h>

#include "backend.h"
#include "table.h"

struct presence_one;

struct presence {
	struct ev_loop *loop;
	struct backend *backend;
	struct table all;                        /* by account */
	struct presence_one *dirty, **dirty_end; /* to be told */
	struct presence_one *grace, *grace_last; /* in order of time */
	struct backend_call *call;
	struct presence_one **asked; /* what ${call} tells */
	size_t nasked;
	int grace_ms;
	long long wait_until; /* monotonic ms: after a failure */
	ev_timer timer;
};

void presence_init(struct presence *p, struct ev_loop *loop,
    struct backend *backend, int grace_ms);
void presence_fini(struct presence *p);

/*
 * presence_up(p, account, ref):
 * The account has a connection now; ${ref} names one of its sessions.
 */
void presence_up(struct presence *p, const char *account, const char *ref);

/* presence_down(p, account): its last connection has ended. */
void presence_down(struct presence *p, const char *account);

#endif
