#ifndef PARLEY_H_HEALTH_H
#define PARLEY_H_HEALTH_H

/* Whether all is well, and how much of it there is. */

#include "../common/buf.h"
#include "req.h"
#include "rsp.h"

int health_get(struct req *rq, struct rsp *rs);
int metrics_get(struct req *rq, struct rsp *rs);

/*
 * metrics_text(rq, out):
 * All figures as Prometheus text, pushd's with them where it answers; ${out} is
 * begun here.
 */
void metrics_text(struct req *rq, struct buf *out);

/*
 * health_body(p, len, out):
 * From an HTTP/1.1 answer of pushd, read to its end, append the body to
 * ${out}: plain or chunked.  0, or -1 if its status is not 200 or it is torn.
 */
int health_body(const char *p, size_t len, struct buf *out);

#endif
