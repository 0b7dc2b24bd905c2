/* The two clocks: of the wall, for stamps; monotonic, for time-outs. */

#include "clock.h"

#include <stdio.h>
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

void
clock_iso(int64_t ms, char out[CLOCK_ISO_SIZE])
{
	time_t s = (time_t)(ms / 1000);
	int part = (int)(ms % 1000);
	char day[32];
	struct tm tm;

	if (part < 0) {
		part += 1000;
		s--;
	}
	/* Years of more than four digits do not fit the form. */
	if (s < 0 || s > INT64_C(253402300799) || gmtime_r(&s, &tm) == NULL) {
		s = 0;
		part = 0;
		(void)gmtime_r(&s, &tm);
	}
	(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(
	    out, CLOCK_ISO_SIZE, "%.19s.%03uZ", day, (unsigned)part % 1000u);
}
