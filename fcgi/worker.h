#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>

#include "conf.h"

/*
 * worker_run(cf, once, wait_s):
 * Do what must not make anyone wait: send what is queued for the platforms,
 * settle what has an unknown end, look up profiles, and keep house (retention,
 * expired sessions, checkpoints).  Without ${once} until SIGTERM or SIGINT,
 * which let what is under way finish.  With ${once}, until nothing is due:
 * meant for cron, and when another such run still holds the lock in run_dir it
 * is done at once.  It then waits ${wait_s} for more before it ends.  Returns
 * the exit status.
 */
int worker_run(struct conf *cf, bool once, int64_t wait_s);

#endif
