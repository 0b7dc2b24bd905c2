#ifndef PARLEY_STARTER_H
#define PARLEY_STARTER_H

#include "../common/conf.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The worker where none runs (worker_daemon = off: a shared host without
 * daemons and cron): the programs start it, detached, when there is something
 * to do after an answer.  It stays for worker_every_s and is alone, so that is
 * how often it is started at most.  When it was and when it is wanted again
 * are the times of the file run/work.at.
 */

/*
 * starter_begin(cf, conf_path, cgi):
 * Before confine(), after which a program can start no other: as FastCGI a
 * child is left behind that can do this one thing, and ends with us.
 */
void starter_begin(const struct conf *cf, const char *conf_path, bool cgi);

/* starter_look(cf, st): after an answer; ${st} NULL: not open. */
void starter_look(const struct conf *cf, struct store *st);

/*
 * starter_due(st): when the worker is wanted, of all that waits for it; a
 * minute from now if nothing is known: it also keeps house.
 * starter_wanted(cf, at_ms): the worker's word at its end.
 */
int64_t starter_due(struct store *st);
void starter_wanted(const struct conf *cf, int64_t at_ms);

#endif
