/* image.c: what is made of a picture is such a picture, and says the same. */

#include "image.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mem {
	const uint8_t *p;
	size_t len, out_len;
	uint8_t *out;
};

static ssize_t
mem_read(void *arg, uint64_t at, void *to, size_t n)
{
	struct mem *m = arg;

	if (at >= m->len)
		return 0;
	if (n > m->len - at)
		n = m->len - (size_t)at;
	memcpy(to, m->p + at, n);
	return (ssize_t)n;
}

static int
mem_write(void *arg, const void *p, size_t n)
{
	struct mem *m = arg;

	/* Nothing grows but by the orientation. */
	assert(m->out_len + n <= m->len + 64);
	memcpy(m->out + m->out_len, p, n);
	m->out_len += n;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem m = { .p = data, .len = size }, again;
	const struct image_io io = { mem_read, mem_write, &m };
	const struct image_io io2 = { mem_read, mem_write, &again };
	struct image im, im2;

	if ((m.out = malloc(size + 64)) == NULL)
		return 0;
	for (int kind = IMAGE_JPEG; kind <= IMAGE_WEBP; kind++) {
		if (image_look(&io, (enum image_kind)kind, &im) != 1)
			continue;
		assert(im.orientation >= 1 && im.orientation <= 8);
		if (kind > IMAGE_PNG)
			continue;
		m.out_len = 0;
		assert(image_strip(&io, (enum image_kind)kind, &im) == 1);
		again = (struct mem){ .p = m.out, .len = m.out_len };
		assert(image_look(&io2, (enum image_kind)kind, &im2) == 1);
		assert(memcmp(&im, &im2, sizeof(im)) == 0);
	}
	free(m.out);
	return 0;
}
