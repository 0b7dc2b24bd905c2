#ifndef PARLEY_HISTOGRAM_H
#define PARLEY_HISTOGRAM_H

/*
 * How long something takes: counted in steps, since the start and for the
 * last minutes.
 */

#include <stdint.h>

enum {
	HISTOGRAM_STEPS = 16,
	HISTOGRAM_WINDOW_S = 300 /* recent: so long, up to twice of it */
};

/* Zero it to begin. */
struct histogram {
	uint64_t step[HISTOGRAM_STEPS + 1]; /* the last: longer than all */
	uint64_t n, sum_us;
	uint32_t recent[2][HISTOGRAM_STEPS + 1]; /* this window, and before */
	uint32_t since_s;                        /* this window began */
};

/* Each step's upper bound, microseconds. */
extern const uint32_t histogram_us[HISTOGRAM_STEPS];

/* histogram_add(h, us, now_s): it took so long; below 0 counts as 0. */
void histogram_add(struct histogram *h, int64_t us, uint32_t now_s);

/*
 * histogram_recent(h, percent, now_s):
 * The seconds within which so many of a hundred came lately, as if they were
 * spread evenly over their step.  -1 if there were none.
 */
double histogram_recent(struct histogram *h, unsigned percent, uint32_t now_s);

#endif
