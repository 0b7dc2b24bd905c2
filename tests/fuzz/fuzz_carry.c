/*
 * What one pushd tells the next: no bytes are read past the end, and what was
 * read good is written the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "carry.h"
#include "wsframe.h"

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

/* A stream of frames taken over from whatever this says, then fed with it. */
static void
frames(struct carry_in in)
{
	struct wsframe w = { .message_max = 4096, .fragments_max = 16 };
	struct wsframe_got got;
	size_t at = 0, len = in.left;
	char *p = malloc(len ? len : 1);

	assert(p != NULL);
	memcpy(p, in.p, len);
	if (wsframe_adopt(&w, &in) == 0)
		do
			at += wsframe_read(&w, p + at, len - at, &got);
		while (got.what != WSFRAME_MORE);
	wsframe_fini(&w);
	free(p);
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
		frames(r.in);
		values(&r.in);
		at += (size_t)n;
		assert(at <= size);
	}
	free(p);
	return 0;
}
