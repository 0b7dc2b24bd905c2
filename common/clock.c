/* The two clocks: of the wall, for stamps; monotonic, for time-outs. */

#include "clock.h"

#include <string.h>
#include <time.h>

static int64_t
clock_read(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) == -1)
		return 0;
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_now_ms(void)
{
	return clock_read(CLOCK_REALTIME) / 1000;
}

int64_t
clock_mono_ms(void)
{
	return clock_read(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_now_us(void)
{
	return clock_read(CLOCK_REALTIME);
}

int64_t
clock_mono_us(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* Write ${v} over the ${n} characters at ${p}. */
static void
digits(char *p, int n, unsigned v)
{
	for (; n-- > 0; v /= 10)
		p[n] = (char)('0' + v % 10);
}

/* By arithmetic alone: this is in every event of most dialects. */
void
clock_iso(int64_t ms, char out[CLOCK_ISO_SIZE])
{
	unsigned s, days, of_400, year, day, month;

	/* Years of more than four digits do not fit the form. */
	if (ms < 0 || ms / 1000 > INT64_C(253402300799))
		ms = 0;
	days = (unsigned)(ms / 86400000);
	s = (unsigned)(ms / 1000 % 86400);
	/* Years begin in March, so that leap days end them. */
	days += 719468;
	of_400 = days % 146097;
	year =
	    (of_400 - of_400 / 1460 + of_400 / 36524 - of_400 / 146096) / 365;
	day = of_400 - (365 * year + year / 4 - year / 100);
	month = (5 * day + 2) / 153;
	day -= (153 * month + 2) / 5;
	year += days / 146097 * 400 + (month >= 10);
	memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_ISO_SIZE);
	digits(out, 4, year);
	digits(out + 5, 2, month < 10 ? month + 3 : month - 9);
	digits(out + 8, 2, day + 1);
	digits(out + 11, 2, s / 3600);
	digits(out + 14, 2, s / 60 % 60);
	digits(out + 17, 2, s % 60);
	digits(out + 20, 3, (unsigned)(ms % 1000));
}
