/*
 * Engine.IO payloads: what could be read, put together again, reads the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "eiopacket.h"

/* How a packet lies in a WebSocket message of version 4 or 3. */
static void
put(struct buf *b, enum eiopayload_form form, const struct eiopacket *x)
{
	struct buf one;

	buf_init(&one, 1 << 20);
	if (!x->binary)
		buf_putc(&one, (char)('0' + x->type));
	else if (form == EIO_FORM_3_BINARY)
		buf_putc(&one, EIO_MESSAGE);
	buf_append(&one, x->p, x->len);
	eiopayload_put(b, form, x->binary, one.data, one.len);
	buf_fini(&one);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum eiopayload_form forms[] = { EIO_FORM_4,
		EIO_FORM_3_BINARY };
	struct eiopayload x = { 0 }, y = { 0 };
	struct eiopacket a, b;
	struct buf out;
	int rc, n = 0;

	if (size == 0)
		return 0;
	x.eio = data[0] & 1 ? 4 : 3;
	x.binary = data[0] & 2;
	x.len = size - 1;
	x.p = malloc(size);
	memcpy(x.p, data + 1, size - 1);
	buf_init(&out, 1 << 22);
	while ((rc = eiopayload_next(&x, &a)) == 1) {
		assert(
		    x.at <= x.len && a.p >= x.p && a.p + a.len <= x.p + x.len);
		put(&out, forms[x.eio == 3], &a);
		n++;
	}
	if (rc == 0) {
		assert(n > 0);
		y.eio = x.eio;
		y.binary = 1;
		y.p = out.data;
		y.len = out.len;
		memcpy(x.p, data + 1, size - 1); /* base64 was decoded in it */
		x.at = 0;
		while (n-- > 0) {
			assert(eiopayload_next(&x, &a) == 1);
			assert(eiopayload_next(&y, &b) == 1);
			assert(a.type == b.type && !a.binary == !b.binary &&
			       a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
		}
		assert(eiopayload_next(&y, &b) == 0);
	}
	buf_fini(&out);
	free(x.p);
	return 0;
}
