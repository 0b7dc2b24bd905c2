#ifndef PARLEY_SEEN_H
#define PARLEY_SEEN_H

/*
 * Who is there, on hosts without pushd (push_daemon = off): whoever polls or
 * reads a page, until nothing was asked for presence_quiet_s.  Where there is
 * a pushd, nothing here does anything.
 */

#include "req.h"

#include <stdbool.h>

/*
 * seen_due(rq, status):
 * Whether the asker of a ROUTE_HERE route, answered with ${status}, is to be
 * marked as there: a few times in presence_quiet_s.  Then the database has
 * confirmed who it is; else it was not asked.  While ${rq}'s headers are there.
 */
bool seen_due(struct req *rq, int status);

/* seen_mark(rq): mark the asker, for whom seen_due said so. */
void seen_mark(struct req *rq);

/*
 * seen_tidy(rq):
 * Whoever fell silent goes offline, so that nobody reads otherwise though no
 * worker runs.  Where the request has the store open; now and then.
 */
void seen_tidy(struct req *rq);

#endif
