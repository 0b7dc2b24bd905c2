/*
 * frame.c: counted bytes ready for the wire.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

struct frame *
frame_new(const void *p, size_t len)
{
	struct frame *f;

	if (len > UINT32_MAX / 2)
		return NULL;
	f = malloc(sizeof(*f) + len);
	if (f == NULL)
		return NULL;
	f->refs = 1;
	f->len = (uint32_t)len;
	if (p != NULL)
		memcpy(f->data, p, len);
	return f;
}

struct frame *
frame_ref(struct frame *f)
{
	assert(f->refs > 0);
	f->refs++;
	return f;
}

void
frame_unref(struct frame *f)
{
	if (f == NULL)
		return;
	assert(f->refs > 0);
	if (--f->refs == 0)
		free(f);
}
