/*
 * table.c: a map from bytes to pointers; open addressing, linear probing,
 * removal by shifting back, so that there are no tombstones.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "table.h"

static uint32_t
hash(const char *key, size_t len)
{
	static unsigned char secret[crypto_shorthash_KEYBYTES];
	static int made;
	uint64_t h;

	if (!made) {
		randombytes_buf(secret, sizeof(secret));
		made = 1;
	}
	crypto_shorthash(
	    (unsigned char *)&h, (const unsigned char *)key, len, secret);
	return (uint32_t)h;
}

/* The slot of the key, or the free one where it would go. */
static size_t
find(const struct table *t, const char *key, size_t len, uint32_t h)
{
	size_t i = h & (t->size - 1);

	while (t->slots[i].value != NULL &&
	       (t->slots[i].hash != h || t->slots[i].len != len ||
		   memcmp((const char *)t->slots[i].value + t->key_at, key,
		       len) != 0))
		i = (i + 1) & (t->size - 1);
	return i;
}

void *
table_get(const struct table *t, const char *key, size_t len)
{
	if (t->size == 0)
		return NULL;
	return t->slots[find(t, key, len, hash(key, len))].value;
}

static int
grow(struct table *t)
{
	struct table n = { NULL, t->size ? t->size * 2 : 16, t->used,
		t->key_at };
	size_t i, j;

	n.slots = calloc(n.size, sizeof(*n.slots));
	if (n.slots == NULL)
		return -1;
	for (i = 0; i < t->size; i++) {
		if (t->slots[i].value == NULL)
			continue;
		j = t->slots[i].hash & (n.size - 1);
		while (n.slots[j].value != NULL)
			j = (j + 1) & (n.size - 1);
		n.slots[j] = t->slots[i];
	}
	free(t->slots);
	*t = n;
	return 0;
}

int
table_put(struct table *t, const char *key, size_t len, void *value)
{
	uint32_t h = hash(key, len);
	ptrdiff_t at = key - (const char *)value;
	size_t i;

	assert(t->used == 0 || t->key_at == at);
	t->key_at = at;

	if (t->used * 4 >= t->size * 3 && grow(t) == -1)
		return -1;
	i = find(t, key, len, h);
	t->slots[i].value = value;
	t->slots[i].len = (uint32_t)len;
	t->slots[i].hash = h;
	t->used++;
	return 0;
}

void *
table_del(struct table *t, const char *key, size_t len)
{
	size_t mask = t->size - 1, i, j, home;
	void *value;

	if (t->size == 0)
		return NULL;
	i = find(t, key, len, hash(key, len));
	value = t->slots[i].value;
	if (value == NULL)
		return NULL;
	/* Move back what may stand nearer to its home now. */
	for (j = (i + 1) & mask; t->slots[j].value != NULL;
	     j = (j + 1) & mask) {
		home = t->slots[j].hash & mask;
		if (((j - home) & mask) >= ((j - i) & mask)) {
			t->slots[i] = t->slots[j];
			i = j;
		}
	}
	t->slots[i].value = NULL;
	t->used--;
	return value;
}

void *
table_next(const struct table *t, size_t *at)
{
	while (*at < t->size)
		if (t->slots[(*at)++].value != NULL)
			return t->slots[*at - 1].value;
	return NULL;
}

void
table_fini(struct table *t)
{
	free(t->slots);
	memset(t, 0, sizeof(*t));
}
