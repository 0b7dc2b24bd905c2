/*
 * WebSocket frames: whole and in pieces give the same things.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wsframe.h"

struct sum {
	uint64_t things; /* of what was found, in order */
	size_t bytes;
	int code;
};

static void
run(const uint8_t *data, size_t size, size_t step, struct sum *s)
{
	struct wsframe w = { .message_max = 4096, .fragments_max = 8 };
	struct wsframe_got got;
	size_t at, n, k;
	char *p;

	memset(s, 0, sizeof(*s));
	for (at = 0; at < size; at += n) {
		n = size - at < step ? size - at : step;
		p = malloc(n);
		memcpy(p, data + at, n);
		for (k = 0;;) {
			k += wsframe_read(&w, p + k, n - k, &got);
			assert(k <= n);
			if (got.what == WSFRAME_MORE)
				break;
			if (got.what == WSFRAME_FAIL ||
			    got.what == WSFRAME_CLOSE)
				s->code = got.code;
			if (got.what == WSFRAME_DATA && !got.fin)
				continue;
			s->things = s->things * 31 + (uint64_t)got.what;
			if (got.what == WSFRAME_PING)
				s->bytes += got.len;
		}
		free(p);
	}
	wsframe_fini(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum whole, bytes, some;

	run(data, size, size + 1, &whole);
	run(data, size, 1, &bytes);
	run(data, size, 7, &some);
	assert(memcmp(&whole, &bytes, sizeof(whole)) == 0);
	assert(memcmp(&whole, &some, sizeof(whole)) == 0);
	return 0;
}
