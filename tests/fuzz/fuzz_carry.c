/*
 * What one pushd tells the next: no bytes are read past the end, and what was
 * read good is written the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "carry.h"

/* The values of a content, by what its own bytes call for. */
static void
values(struct carry_in *in)
{
	const char *p;
	struct buf b;
	struct carry_in back;
	uint64_t n;
	int64_t d;
	size_t len;

	buf_init(&b, 1 << 20);
	while (in->left > 0 && !in->bad) {
		buf_reset(&b);
		switch (in->left % 4) {
		case 0:
			n = carry_get_num(in, UINT32_MAX);
			assert(n <= UINT32_MAX);
			carry_num(&b, n);
			back = (struct carry_in){ b.data, b.len, 0 };
			assert(carry_get_num(&back, UINT32_MAX) == n);
			break;
		case 1:
			d = carry_get_int(in, -1000, INT64_MAX);
			assert(d >= -1000);
			carry_int(&b, d);
			back = (struct carry_in){ b.data, b.len, 0 };
			assert(carry_get_int(&back, -1000, INT64_MAX) == d);
			break;
		case 2:
			p = carry_get_bytes(in, &len, 1000);
			assert(len <= 1000);
			carry_bytes(&b, p, len);
			break;
		case 3:
			p = carry_get_text(in, 1000);
			assert(p == NULL || strlen(p) < 1000);
			carry_text(&b, p);
			break;
		}
		assert(!b.err);
	}
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = malloc(size ? size : 1);
	struct carry_record r;
	size_t at = 0;
	ssize_t n;

	if (p == NULL)
		return 0;
	memcpy(p, data, size);
	while ((n = carry_next(p + at, size - at, &r)) > 0) {
		assert(r.in.left + CARRY_HEAD == (size_t)n);
		values(&r.in);
		at += (size_t)n;
		assert(at <= size);
	}
	free(p);
	return 0;
}
