#ifndef PARLEY_SLAB_H
#define PARLEY_SLAB_H

/*
 * Many structs of one size, side by side: none has an allocator's head, and
 * each begins on a cache line of its own.  What was freed is used again; the
 * memory itself is kept until the end.
 */

#include <stddef.h>

struct slab {
	size_t size; /* bytes of each */
	void *free;  /* those to use again, chained through their first word */
	void *chunks;
};

/* slab_new(s): returns a new zeroed struct of ${s}->size bytes, or NULL. */
void *slab_new(struct slab *s);

/* slab_free(s, p): ${p} may be used again.  Takes NULL. */
void slab_free(struct slab *s, void *p);

/* slab_fini(s): free the memory; nothing of it is in use any more. */
void slab_fini(struct slab *s);

#endif
