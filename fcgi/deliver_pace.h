#ifndef DELIVER_PACE_H
#define DELIVER_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How fast one account may be sent to: so many requests at once, and so many
 * begun in a second, by a token bucket that holds a quarter of a second's
 * worth. Time is monotonic ms.  Zero means without limit.
 */
struct pace {
	int64_t channel;
	unsigned at_once, per_s;
	unsigned room;     /* at once just now: fewer while answers stay away */
	unsigned going;    /* under way */
	int64_t milli;     /* thousandths of requests that may begin; below 0
			      after what did not ask */
	int64_t filled_at; /* when ${milli} was right */
};

/* pace_init(p, channel, at_once, per_s, now_ms): with a full bucket. */
void pace_init(struct pace *p, int64_t channel, unsigned at_once,
    unsigned per_s, int64_t now_ms);

/*
 * pace_wait_ms(p, now_ms): 0: one may begin; > 0: not before so long; -1: not
 * before one of those under way has ended.
 */
int64_t pace_wait_ms(struct pace *p, int64_t now_ms);

/* pace_room(p): how many may begin at once, where pace_wait_ms() says 0. */
size_t pace_room(const struct pace *p);

/* pace_begin(p): one begins.  pace_end(p): one has ended. */
void pace_begin(struct pace *p);
void pace_end(struct pace *p);

/* pace_spend(p): a request that did not ask: others begin the later. */
void pace_spend(struct pace *p);

/*
 * pace_answered(p, lost): one was answered, or was not.  An account whose
 * answers stay away gets half the room each time, until one comes.
 */
void pace_answered(struct pace *p, bool lost);

#endif
