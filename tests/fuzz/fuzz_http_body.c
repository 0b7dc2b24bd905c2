/*
 * Bodies of requests: whole and in pieces give the same bytes.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "http.h"

static enum http_body_what
run(struct http_head *h, const uint8_t *data, size_t size, size_t step,
    struct buf *out)
{
	enum http_body_what what = HTTP_BODY_MORE;
	struct http_body b;
	const char *got;
	size_t at, n, k, len;
	char *p;

	http_body_begin(&b, h);
	for (at = 0; at < size && what <= HTTP_BODY_DATA; at += n) {
		n = size - at < step ? size - at : step;
		p = malloc(n);
		memcpy(p, data + at, n);
		k = 0;
		do {
			k +=
			    http_body_read(&b, p + k, n - k, &what, &got, &len);
			assert(k <= n);
			if (what == HTTP_BODY_DATA)
				buf_append(out, got, len);
		} while (what == HTTP_BODY_DATA);
		free(p);
	}
	return what;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head h;
	struct buf a, b;
	enum http_body_what whole;

	if (size < 2)
		return 0;
	h.chunked = data[0] & 1;
	h.content_length = h.chunked ? -1 : data[1];
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	whole = run(&h, data + 2, size - 2, size, &a);
	assert(run(&h, data + 2, size - 2, 1, &b) == whole);
	assert(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
	assert(a.len <= size);
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
