#ifndef PARLEY_H_CHANNEL_H
#define PARLEY_H_CHANNEL_H

/* Channels: accounts of platforms, for admins. */

#include "req.h"
#include "rsp.h"

int channel_list(struct req *rq, struct rsp *rs);
int channel_create(struct req *rq, struct rsp *rs);
int channel_get(struct req *rq, struct rsp *rs);
int channel_patch(struct req *rq, struct rsp *rs);
int channel_delete(struct req *rq, struct rsp *rs);
int channel_post_test(struct req *rq, struct rsp *rs);

#endif
