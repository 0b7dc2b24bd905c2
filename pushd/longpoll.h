#ifndef PARLEY_LONGPOLL_H
#define PARLEY_LONGPOLL_H

/* Long polling: polls that wait for something. */

#include <ev.h>
#include <stdint.h>

#include "transport.h"

extern const struct transport longpoll_transport;

struct longpoll_got;

/* What all waiting polls share. */
struct longpolls {
	struct ev_loop *loop;
	struct longpoll_got *first; /* have something, gather a little more */
	ev_timer timer;
	/* counters */
	uint64_t answers, empty;
};

/* longpolls_init(x, loop): none yet. */
void longpolls_init(struct longpolls *x, struct ev_loop *loop);

/* longpolls_fini(x): when there are no connections any more. */
void longpolls_fini(struct longpolls *x);

#endif
