#ifndef PARLEY_TABLE_H
#define PARLEY_TABLE_H

/*
 * A map from bytes to pointers.  The keys live in what the pointers point to,
 * at the same place in each.  Keyed hashing, so that no client can choose
 * collisions.
 */

#include <stddef.h>
#include <stdint.h>

struct table_slot {
	void *value; /* NULL: free */
	uint32_t len, hash;
};

struct table {
	struct table_slot *slots; /* a power of two of them, or NULL */
	size_t size, used;
	ptrdiff_t key_at; /* in what is pointed to */
};

/* table_get(t, key, len): the value, or NULL. */
void *table_get(const struct table *t, const char *key, size_t len);

/*
 * table_put(t, key, len, value):
 * Add ${value} under ${key}, which is not there yet and lives as long as the
 * entry.  0, or -1 without memory.
 */
int table_put(struct table *t, const char *key, size_t len, void *value);

/* table_del(t, key, len): take the entry out; returns its value or NULL. */
void *table_del(struct table *t, const char *key, size_t len);

/*
 * table_next(t, at):
 * Walk: the next value at or behind ${*at} (0 to begin), which moves on; NULL
 * at the end.  The table must not be changed meanwhile.
 */
void *table_next(const struct table *t, size_t *at);

/* table_fini(t): free the slots, not the values. */
void table_fini(struct table *t);

#endif
