#ifndef PARLEY_CLOCK_H
#define PARLEY_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_ISO_SIZE 25 /* "2025-01-31T23:59:59.999Z" and a NUL */

/* clock_now_ms(): wall clock, Unix milliseconds; for stamps and `exp`. */
int64_t clock_now_ms(void);

/* clock_mono_ms(): never jumps; for time-outs and rates on this host. */
int64_t clock_mono_ms(void);

/* clock_now_us(), clock_mono_us(): in microseconds, for measuring. */
int64_t clock_now_us(void);
int64_t clock_mono_us(void);

/* clock_iso(ms, out): ISO 8601 in UTC with milliseconds. */
void clock_iso(int64_t ms, char out[CLOCK_ISO_SIZE]);

#endif
