#ifndef PARLEY_P_BOTS_H
#define PARLEY_P_BOTS_H

/* The admin's pages of bots. */

#include "req.h"
#include "rsp.h"

int bots_page(struct req *rq, struct rsp *rs);
int bot_new_page(struct req *rq, struct rsp *rs);
int bot_new_post(struct req *rq, struct rsp *rs);
int bot_page(struct req *rq, struct rsp *rs);
int bot_post_change(struct req *rq, struct rsp *rs);
int bot_post_state(struct req *rq, struct rsp *rs);
int bot_post_try(struct req *rq, struct rsp *rs);
int bot_post_renew(struct req *rq, struct rsp *rs);
int bot_delete_page(struct req *rq, struct rsp *rs);
int bot_post_delete(struct req *rq, struct rsp *rs);

#endif
