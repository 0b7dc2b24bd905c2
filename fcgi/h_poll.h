#ifndef PARLEY_H_POLL_H
#define PARLEY_H_POLL_H

/* Polling: GET /api/events/poll. */

#include "req.h"
#include "rsp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int poll_get(struct req *rq, struct rsp *rs);

/* What a poller asks from. */
struct poll_ask {
	bool given; /* it has a cursor at all */
	bool clock; /* `since`: may be its own clock, a minute ahead */
	int64_t cursor;
};

/*
 * poll_number(p, len, max, cursor):
 * The cursor written at ${p}: 1 and ${*cursor}, where a number past 2^53
 * becomes CURSOR_MAX; 0 if it is no number, or longer than ${max} bytes.
 */
int poll_number(const char *p, size_t len, size_t max, int64_t *cursor);

/*
 * poll_next_ms(age_ms, load, random):
 * When to come back: soon after something happened ${age_ms} ago, later the
 * longer it is quiet and the higher ${load} (runnable processes per CPU, in
 * hundredths); spread by a fifth either way.
 */
int64_t poll_next_ms(int64_t age_ms, int64_t load, uint32_t random);

/*
 * poll_matches(tag, from, to):
 * Whether the If-None-Match ${tag} (NULL: none) names a state of ours within
 * ${from}..${to}: W/"N", in a list perhaps, or `*`.
 */
bool poll_matches(const char *tag, int64_t from, int64_t to);

#endif
