#ifndef PARLEY_EVENT_H
#define PARLEY_EVENT_H

/*
 * The contract between fcgi/ and pushd/: an event and its one-line form, the
 * same in a hint packet and in answers of /internal/events:
 *
 * {"id":N,"prev":N,"type":"new_message","rooms":["inbox","customer:9"],
 *  "data":{...},"public":{...}|true}
 *
 * `public` is the form for customers: true means the same as data, absent
 * means never to customers.  An ephemeral event has id 0, no prev, and may
 * have "except":"user:5".  A hint alone (event too large for a packet) is
 * {"id":N,"prev":N}.
 */

#include "buf.h"

#include <stddef.h>
#include <stdint.h>

struct event {
	int64_t id;       /* 0: ephemeral */
	int64_t prev;     /* id of the event before it */
	const char *type; /* NULL: a hint alone */
	const char *data; /* JSON, one line */
	size_t data_len;
	const char *public; /* JSON for customers; NULL: not for them;
			       may be ${data} itself */
	size_t public_len;
	const char **rooms;
	size_t nrooms;
	const char *except; /* a room the event is not for, or NULL */
};

/*
 * event_encode(e, b):
 * Append the line of ${e}, without a newline.  ${e}->data and public are
 * copied as they are: they must be JSON in one line.
 */
void event_encode(const struct event *e, struct buf *b);

/*
 * event_parse(line, len, out):
 * Read one line.  1 and ${*out}, one allocation that owns all it points to;
 * -1 if it is malformed or breaks a limit (EVENT_*_MAX of limits.h).
 */
int event_parse(const char *line, size_t len, struct event **out);

/* event_free(e): free what event_parse made.  Takes NULL. */
void event_free(struct event *e);

#endif
