/* json.c: what is taken can be written and read again. */

#include "buf.h"
#include "json.h"
#include "utf8.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_object *o, *again;
	struct buf b;
	const char *why;

	if (json_parse((const char *)data, size, 32, 1000, 4096, &o, &why) ==
	    -1)
		return 0;
	buf_init(&b, 16 * size + 64);
	json_write(o, &b);
	assert(!b.err && utf8_valid(b.data, b.len));
	assert(json_parse(b.data, b.len, 32, 1000, 16384, &again, &why) == 0);
	assert(json_span(b.data, b.len) == b.len);
	(void)json_object_put(again);
	(void)json_object_put(o);
	buf_fini(&b);
	return 0;
}
