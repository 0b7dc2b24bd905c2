#ifndef PARLEY_TYPING_H
#define PARLEY_TYPING_H

/*
 * The end of typing: a signal that nobody renews ends by itself, once; so it
 * does when its message comes.  An end without a beginning is dropped.
 */

#include <ev.h>

#include "carry.h"
#include "event.h"
#include "table.h"

struct typing_one;

struct typing {
	struct ev_loop *loop;
	void (*publish)(void *arg, struct event *e); /* takes it */
	void *arg;
	int life_ms;
	struct table all;                /* by conversation and person */
	struct typing_one *first, *last; /* by the time of their end */
	ev_timer timer;
};

/*
 * typing_init(t, loop, life_ms, publish, arg):
 * Nobody types.  Who falls silent for ${life_ms} has stopped.  ${publish} takes
 * the events of that.  typing_fini(t): without telling anybody.
 */
void typing_init(struct typing *t, struct ev_loop *loop, int life_ms,
    void (*publish)(void *arg, struct event *e), void *arg);
void typing_fini(struct typing *t);

/* typing_signal(t, e): a typing_indicator came.  Takes it. */
void typing_signal(struct typing *t, struct event *e);

/* typing_message(t, e): a new_message came; its author types no more. */
void typing_message(struct typing *t, const struct event *e);

/* typing_end(t, conversation, kind, id): somebody who typed there is gone. */
void typing_end(struct typing *t, const char *conversation, const char *kind,
    const char *id);

/*
 * typing_carry(t, each, arg):
 * Call ${each} with what the next pushd has to know, a signal a time.
 */
void typing_carry(const struct typing *t,
    void (*each)(void *arg, const struct buf *one), void *arg);

/* typing_adopt(t, in): take one over.  0, or -1 if that was malformed. */
int typing_adopt(struct typing *t, struct carry_in *in);

#endif
