#ifndef PARLEY_PRESENCE_H
#define PARLEY_PRESENCE_H

/*
 * Who is here: tells api.fcgi when an account's first connection comes and,
 * after a grace in which it may come back, when its last one has gone.
 */

#include <ev.h>
#include <stddef.h>

#include "backend.h"
#include "carry.h"
#include "table.h"

struct presence_one;

/* Those of before us whom nobody here knows of. */
enum presence_others {
	PRESENCE_NONE,    /* there are none any more */
	PRESENCE_BEGIN,   /* api.fcgi is to be told that we know of nobody */
	PRESENCE_RETURNS, /* they may come back, until ${return_until} */
};

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
	enum presence_others others;
	long long return_until; /* monotonic ms */
	int64_t began_ms;
	ev_timer timer;
};

void presence_init(struct presence *p, struct ev_loop *loop,
    struct backend *backend, int grace_ms);
void presence_fini(struct presence *p);

/*
 * presence_begin(p, alone):
 * Nobody is here yet, and (${alone}) no other pushd says who was: who was here
 * by what api.fcgi knows, and does not come back in time, is gone.
 */
void presence_begin(struct presence *p, int alone);

/*
 * presence_up(p, account, ref):
 * The account has a connection now; ${ref} names one of its sessions.
 */
void presence_up(struct presence *p, const char *account, const char *ref);

/* presence_down(p, account): its last connection has ended. */
void presence_down(struct presence *p, const char *account);

/*
 * presence_carry(p, each, arg):
 * Call ${each} with what the next pushd has to know, an account a time.
 */
void presence_carry(const struct presence *p,
    void (*each)(void *arg, const struct buf *one), void *arg);

/*
 * presence_adopt(p, in, wait_ms):
 * Take over what presence_carry said of an account.  If it was here it is
 * taken for gone unless presence_up comes, at the end of a grace and
 * ${wait_ms}.  0, or -1 if that was malformed.
 */
int presence_adopt(struct presence *p, struct carry_in *in, int wait_ms);

/* presence_mute(p): another tells api.fcgi from now on. */
void presence_mute(struct presence *p);

#endif
