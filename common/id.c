/* Ids, cursors and numbers from outside: read whole, with bounds. */

#include "id.h"
#include "limits.h"

int64_t
id_parse(const char *p, size_t len)
{
	int64_t v;

	if (len == 0 || p[0] < '1' || p[0] > '9')
		return 0;
	if (id_number(p, len, 1, INT64_MAX, &v) == -1)
		return 0;
	return v;
}

int64_t
id_cursor(const char *p, size_t len)
{
	int64_t v;

	if (len == 0 || len > CURSOR_BYTES_MAX || p[0] == '-')
		return -1;
	if (id_number(p, len, 0, CURSOR_MAX, &v) == -1)
		return -1;
	return v;
}

int
id_number(const char *p, size_t len, int64_t lo, int64_t hi, int64_t *out)
{
	uint64_t v = 0, top = INT64_MAX;
	size_t i = 0;
	int minus = 0;
	unsigned d;
	int64_t n;

	if (len > 0 && p[0] == '-') {
		minus = 1;
		top++;
		i = 1;
	}
	if (i == len)
		return -1;
	for (; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		d = (unsigned)(p[i] - '0');
		if (v > (top - d) / 10)
			return -1;
		v = v * 10 + d;
	}
	if (minus)
		n = v == top ? INT64_MIN : -(int64_t)v;
	else
		n = (int64_t)v;
	if (n < lo || n > hi)
		return -1;
	*out = n;
	return 0;
}
