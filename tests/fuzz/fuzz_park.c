/*
 * Whether FastCGI records are a whole request: what is one stays one, whatever
 * comes behind it.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "park.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *p;
	int was = 0, is;
	size_t n;

	for (n = 0; n <= size && n <= 256; n++) {
		p = malloc(n + 1);
		memcpy(p, data, n);
		is = park_whole(p, n);
		assert(is >= was);
		was = is;
		free(p);
	}
	return 0;
}
