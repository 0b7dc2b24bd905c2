/*
 * slab.c: many structs of one size, side by side.
 *
 * Under the address sanitizer each comes from malloc, so that it sees who
 * uses one that was freed.
 */
#include <stdlib.h>
#include <string.h>

#include "slab.h"

#ifdef __SANITIZE_ADDRESS__

void *
slab_new(struct slab *s)
{
	return calloc(1, s->size);
}

void
slab_free(struct slab *s, void *p)
{
	(void)s;
	free(p);
}

void
slab_fini(struct slab *s)
{
	(void)s;
}

#else

enum { LINE = 64, CHUNK = 128 /* lines of memory at a time */ };

/* A struct's bytes in whole lines. */
static size_t
stride(const struct slab *s)
{
	return (s->size + LINE - 1) / LINE * LINE;
}

/* Another chunk: a line that chains it, then structs. */
static int
grow(struct slab *s)
{
	size_t n = CHUNK * LINE / stride(s), i;
	char *p;

	if (n < 8)
		n = 8;
	p = aligned_alloc(LINE, LINE + n * stride(s));
	if (p == NULL)
		return -1;
	memcpy(p, &s->chunks, sizeof(s->chunks));
	s->chunks = p;
	for (i = n; i-- > 0;)
		slab_free(s, p + LINE + i * stride(s));
	return 0;
}

void *
slab_new(struct slab *s)
{
	void *p;

	if (s->free == NULL && grow(s) == -1)
		return NULL;
	p = s->free;
	memcpy(&s->free, p, sizeof(s->free));
	return memset(p, 0, s->size);
}

void
slab_free(struct slab *s, void *p)
{
	if (p == NULL)
		return;
	memcpy(p, &s->free, sizeof(s->free));
	s->free = p;
}

void
slab_fini(struct slab *s)
{
	void *p;

	while ((p = s->chunks) != NULL) {
		memcpy(&s->chunks, p, sizeof(s->chunks));
		free(p);
	}
	s->free = NULL;
}

#endif
