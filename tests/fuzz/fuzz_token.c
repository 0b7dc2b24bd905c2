/* token.c: credentials of ours; none is made without the key. */

#include "token.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char key[] = "0123456789abcdef0123456789abcdef";
	struct conf cf = { .jwt_key = key };
	struct token t;

	if (token_read(&cf, (const char *)data, size, &t) != 1)
		assert(t.owner == 0);
	return 0;
}
