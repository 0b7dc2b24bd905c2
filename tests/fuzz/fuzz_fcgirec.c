/*
 * FastCGI answers: whole and byte by byte give the same bytes.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fcgirec.h"

static void
run(const uint8_t *data, size_t size, size_t step, struct buf *out, int *end)
{
	struct fcgirec r;
	struct fcgirec_got got;
	size_t at, n, k;
	char *p;

	memset(&r, 0, sizeof(r));
	*end = 0;
	for (at = 0; at < size && *end != FCGIREC_BAD; at += n) {
		n = size - at < step ? size - at : step;
		p = malloc(n);
		memcpy(p, data + at, n);
		for (k = 0;;) {
			k += fcgirec_read(&r, p + k, n - k, &got);
			assert(k <= n);
			if (got.what == FCGIREC_MORE)
				break;
			*end = (int)got.what;
			if (got.what == FCGIREC_BAD)
				break;
			if (got.what == FCGIREC_OUT)
				buf_append(out, got.p, got.len);
		}
		free(p);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf a, b;
	const char *v;
	int ea, eb, n, status;

	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	run(data, size, size + 1, &a, &ea);
	run(data, size, 1, &b, &eb);
	assert(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
	assert(ea == eb);
	n = fcgirec_head(a.data, a.len, &status);
	if (n > 0) {
		assert((size_t)n <= a.len && status >= 100 && status < 600);
		fcgirec_field(a.data, (size_t)n, "X-Event-Id", &v);
	}
	/* Also as a head of its own. */
	n = fcgirec_head((const char *)data, size, &status);
	assert(n <= (int)size);
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
