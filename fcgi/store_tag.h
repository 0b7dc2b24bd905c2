#ifndef STORE_TAG_H
#define STORE_TAG_H

#include "store.h"

/* Tags of conversations and customers. */

/*
 * store_tags(st, out): returns new the list of [{id,name,colour,
 * conversations}], by name.
 * store_tag_add(st, name, colour, id): made unless there is one of that name;
 * ${colour} NULL leaves its colour.
 * store_tag_delete(st, id): gone from all that had it.
 */
int store_tags(struct store *st, struct json_object **out);
int store_tag_add(
    struct store *st, const char *name, const char *colour, int64_t *id);
int store_tag_delete(struct store *st, int64_t id);

#endif
