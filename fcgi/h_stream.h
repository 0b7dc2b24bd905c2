#ifndef PARLEY_H_STREAM_H
#define PARLEY_H_STREAM_H

/* What stands in for pushd's streams while it is away. */

#include "req.h"
#include "rsp.h"

int stream_get(struct req *rq, struct rsp *rs);

#endif
