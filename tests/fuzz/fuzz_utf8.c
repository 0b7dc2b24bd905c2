/* utf8.c: bytes at once or one by one, cleaned and cut. */

#include "buf.h"
#include "utf8.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct utf8 u = { 0, 0, 0 };
	struct buf b;
	size_t i;
	int rc = 0;

	for (i = 0; i < size && rc == 0; i++)
		rc = utf8_feed(&u, data + i, 1);
	assert(utf8_valid(data, size) == (rc == 0 && u.need == 0));
	buf_init(&b, 3 * size + 1);
	utf8_clean(&b, data, size);
	assert(!b.err && utf8_valid(b.data, b.len));
	assert(utf8_chars(b.data, b.len) <= utf8_utf16_units(b.data, b.len));
	assert(utf8_valid(b.data, utf8_cut(b.data, b.len, size / 2)));
	buf_fini(&b);
	return 0;
}
