#ifndef PARLEY_P_CHANNELS_H
#define PARLEY_P_CHANNELS_H

/* The admin's pages of platform accounts. */

#include "req.h"
#include "rsp.h"

int channels_page(struct req *rq, struct rsp *rs);
int channel_new_page(struct req *rq, struct rsp *rs);
int channel_new_post(struct req *rq, struct rsp *rs);
int channel_page(struct req *rq, struct rsp *rs);
int channel_post_change(struct req *rq, struct rsp *rs);
int channel_post_state(struct req *rq, struct rsp *rs);
int channel_post_probe(struct req *rq, struct rsp *rs);
int channel_delete_page(struct req *rq, struct rsp *rs);
int channel_post_delete(struct req *rq, struct rsp *rs);

#endif
