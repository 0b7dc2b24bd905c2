#ifndef PARLEY_SHAPE_H
#define PARLEY_SHAPE_H

/*
 * What an event is called, and what its data looks like, for each family of
 * clients: the one table of all types.
 */

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

enum family {
	FAMILY_LIVE, /* {type, payload, timestamp} */
	FAMILY_CHAT, /* flat, milliseconds */
	FAMILY_SIO,  /* an event with arguments */
	FAMILIES
};

/* What an event is about; bits. */
enum {
	SHAPE_TALK = 1,     /* what is said in a conversation, and around it */
	SHAPE_MEMBERS = 2,  /* members of a conversation may be others */
	SHAPE_PRESENCE = 4, /* who is there */
	SHAPE_KNOWN = 8     /* it is in the table */
};

/* shape_about(type): its bits. */
unsigned shape_about(const char *type);

struct shape {
	const char *name;         /* what it is called; borrowed from ${e} */
	const char *under;        /* FAMILY_CHAT: the member that holds the
				     data; NULL: its members stand by
				     themselves */
	struct json_object *data; /* new; NULL: as the event has it */
};

/*
 * shape_of(e, f, data, len, stamp, out):
 * The event as ${f} shows it; ${data} is the form of its data that is shown,
 * ${stamp} its time.  0, or -1 if the data cannot be read.
 */
int shape_of(const struct event *e, enum family f, const char *data, size_t len,
    int64_t stamp, struct shape *out);

/* shape_type(i): the i-th type of the table, NULL behind the last one. */
const char *shape_type(size_t i);

#endif
