/* id.c: ids, cursors and numbers. */

#include "id.h"
#include "limits.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	int64_t v = 0;

	assert(id_parse(p, size) >= 0);
	assert(id_cursor(p, size) <= CURSOR_MAX);
	if (id_number(p, size, -5, 1000, &v) == 0)
		assert(v >= -5 && v <= 1000);
	return 0;
}
