#ifndef FIELDS_FUZZ_H
#define FIELDS_FUZZ_H

/* What req.c cuts any bytes into. */
#include "req.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define FIELDS_MAX 50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every field lies in the buffer, with a NUL behind it. */
static inline void
fuzz_fields(const uint8_t *data, size_t size,
    int (*parse)(
	const char *p, size_t len, char *buf, struct req_field *f, size_t max))
{
	struct req_field f[FIELDS_MAX];
	char *buf = malloc(size + 2), *end;
	int n, i;

	if (buf == NULL)
		return;
	end = buf + size + 2;
	n = parse((const char *)data, size, buf, f, FIELDS_MAX);
	assert(n >= -1 && n <= FIELDS_MAX);
	for (i = 0; i < n; i++) {
		assert(f[i].name >= buf && f[i].value >= buf);
		assert(f[i].name + f[i].name_len < end);
		assert(f[i].value + f[i].value_len < end);
		assert(f[i].name[f[i].name_len] == '\0');
		assert(f[i].value[f[i].value_len] == '\0');
	}
	free(buf);
}

#endif
