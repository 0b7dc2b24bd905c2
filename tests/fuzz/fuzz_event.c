/* event.c: a line that is taken comes out and goes in again. */

#include "buf.h"
#include "event.h"
#include "limits.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event *e, *again;
	struct buf b;

	if (event_parse((const char *)data, size, &e) != 1)
		return 0;
	buf_init(&b, 2 * size + 1024);
	event_encode(e, &b);
	assert(!b.err && memchr(b.data, '\n', b.len) == NULL);
	assert(event_parse(b.data, b.len, &again) == 1);
	assert(again->id == e->id && again->nrooms == e->nrooms);
	event_free(again);
	event_free(e);
	buf_fini(&b);
	return 0;
}
