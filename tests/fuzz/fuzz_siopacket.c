/*
 * Socket.IO packets: a head that could be read is written the same again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "siopacket.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_object *o = NULL;
	struct siopacket x, y;
	const char *why;
	struct buf b;
	char *p = malloc(size + 1);

	memcpy(p, data, size);
	if (siopacket_read(p, size, 10, &x) == -1) {
		free(p);
		return 0;
	}
	assert(x.attachments <= 10 && x.len <= size && x.nsp_len > 0);
	/* Anything but JSON's beginning could be taken for more of the head. */
	if (x.len > 0 && *x.data != '[' && *x.data != '{') {
		free(p);
		return 0;
	}
	buf_init(&b, 1 << 20);
	siopacket_head(&b, x.type, x.attachments, x.nsp, x.nsp_len, x.id);
	buf_append(&b, x.data, x.len);
	assert(siopacket_read(b.data, b.len, 10, &y) == 0);
	assert(x.type == y.type && x.attachments == y.attachments &&
	       x.id == y.id && x.len == y.len && x.nsp_len == y.nsp_len &&
	       memcmp(x.nsp, y.nsp, x.nsp_len) == 0);
	buf_fini(&b);
	if (x.len == 0 ||
	    json_parse(x.data, x.len, 32, 1000, 10000, &o, &why) == 0)
		siopacket_fits(&x, o);
	json_object_put(o);
	free(p);
	return 0;
}
