#ifndef PARLEY_H_TAG_H
#define PARLEY_H_TAG_H

/* Tags. */

#include "req.h"
#include "rsp.h"

int tag_list(struct req *rq, struct rsp *rs);
int tag_post(struct req *rq, struct rsp *rs);
int tag_delete(struct req *rq, struct rsp *rs);

#endif
