/* req.c: forms and queries. */

#include "req.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

/* Every field lies in the buffer, with a NUL behind it. */
static void
look(const char *buf, size_t room, const struct req_field *f, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		assert(f[i].name >= buf && f[i].value >= buf);
		assert(f[i].name + f[i].name_len < buf + room);
		assert(f[i].value + f[i].value_len < buf + room);
		assert(f[i].name[f[i].name_len] == '\0');
		assert(f[i].value[f[i].value_len] == '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct req_field f[50];
	char *buf = malloc(size + 2);
	int n;

	if (buf == NULL)
		return 0;
	n = req_parse_form((const char *)data, size, buf, f, 50);
	assert(n >= -1 && n <= 50);
	look(buf, size + 2, f, n);
	free(buf);
	return 0;
}
