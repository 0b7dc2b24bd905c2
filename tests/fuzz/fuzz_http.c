/*
 * Request heads: whole and byte by byte give the same verdict.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct http_limits limits = { 2000, 500, 300, 20 };
	static struct http_head a, b;
	char *p = malloc(size + 1), out[64], accept[29];
	size_t i, n;
	int whole, cut = 0;

	memcpy(p, data, size);
	http_begin(&a, &limits);
	whole = http_parse(&a, p, size);
	http_begin(&b, &limits);
	for (i = 0; i <= size && cut == 0; i++)
		cut = http_parse(&b, p, i);
	assert(whole == cut);
	assert(whole != -1 || a.status == b.status);
	if (whole > 0) {
		assert((size_t)whole <= size);
		http_field(&a, p, "Cookie", &n);
		http_lists(&a, p, "Connection", "upgrade");
		http_query(&a, p, "token", out, sizeof(out));
		http_ws_key(&a, p, accept);
	}
	free(p);
	return 0;
}
