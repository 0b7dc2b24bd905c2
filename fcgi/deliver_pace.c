/* Requests of one account: how many at once, and how many in a second. */
#include "deliver_pace.h"

#define ONE 1000 /* thousandths */

/* A quarter of a second's worth, at least one request. */
static int64_t
full_of(const struct pace *p)
{
	return p->per_s < 4 ? ONE : (int64_t)p->per_s * ONE / 4;
}

void
pace_init(struct pace *p, int64_t channel, unsigned at_once, unsigned per_s,
    int64_t now_ms)
{
	*p = (struct pace){ .channel = channel,
		.at_once = at_once,
		.room = at_once,
		.per_s = per_s,
		.filled_at = now_ms };
	p->milli = full_of(p);
}

int64_t
pace_wait_ms(struct pace *p, int64_t now_ms)
{
	int64_t full = full_of(p);
	int64_t passed = now_ms - p->filled_at;

	if (p->at_once > 0 && p->going >= p->room)
		return -1;
	if (p->per_s == 0)
		return 0;
	/* per_s requests in 1000 ms are per_s thousandths in each ms. */
	if (passed > 60000)
		passed = 60000;
	if (passed > 0)
		p->milli += passed * (int64_t)p->per_s;
	if (p->milli > full)
		p->milli = full;
	p->filled_at = now_ms;
	if (p->milli >= ONE)
		return 0;
	return (ONE - p->milli + p->per_s - 1) / (int64_t)p->per_s;
}

size_t
pace_room(const struct pace *p)
{
	size_t room = p->per_s == 0 ? SIZE_MAX : (size_t)(p->milli / ONE);

	if (p->at_once > 0 && room > p->room - p->going)
		room = p->room - p->going;
	return room;
}

void
pace_begin(struct pace *p)
{
	p->going++;
	pace_spend(p);
}

void
pace_spend(struct pace *p)
{
	if (p->per_s > 0)
		p->milli -= ONE;
}

void
pace_answered(struct pace *p, bool lost)
{
	if (!lost)
		p->room = p->at_once;
	else if (p->room > 1)
		p->room /= 2;
}

void
pace_end(struct pace *p)
{
	if (p->going > 0)
		p->going--;
}
