/*
 * histogram.c: how long something takes.
 */
#include <string.h>

#include "histogram.h"

const uint32_t histogram_us[HISTOGRAM_STEPS] = { 100, 200, 500, 1000, 2000,
	5000, 10000, 20000, 50000, 100000, 250000, 500000, 1000000, 2500000,
	5000000, 10000000 };

/* Begin another window when this one is over. */
static void
turn(struct histogram *h, uint32_t now_s)
{
	uint32_t age = now_s - h->since_s;

	if (age < HISTOGRAM_WINDOW_S)
		return;
	if (age < 2 * HISTOGRAM_WINDOW_S)
		memcpy(h->recent[1], h->recent[0], sizeof(h->recent[0]));
	else
		memset(h->recent[1], 0, sizeof(h->recent[1]));
	memset(h->recent[0], 0, sizeof(h->recent[0]));
	h->since_s = now_s;
}

void
histogram_add(struct histogram *h, int64_t us, uint32_t now_s)
{
	unsigned i;

	if (us < 0)
		us = 0;
	for (i = 0; i < HISTOGRAM_STEPS && us > histogram_us[i]; i++)
		;
	turn(h, now_s);
	h->step[i]++;
	h->recent[0][i]++;
	h->n++;
	h->sum_us += (uint64_t)us;
}

double
histogram_recent(struct histogram *h, unsigned percent, uint32_t now_s)
{
	double n[HISTOGRAM_STEPS + 1], all = 0, want, low = 0;
	unsigned i;

	turn(h, now_s);
	for (i = 0; i <= HISTOGRAM_STEPS; i++) {
		n[i] = (double)h->recent[0][i] + h->recent[1][i];
		all += n[i];
	}
	if (all <= 0)
		return -1;
	want = all * percent / 100;
	for (i = 0; i < HISTOGRAM_STEPS && (n[i] <= 0 || want > n[i]); i++) {
		want -= n[i];
		low = histogram_us[i];
	}
	if (i < HISTOGRAM_STEPS)
		low += (histogram_us[i] - low) * want / n[i];
	return low / 1e6;
}
