#ifndef PARLEY_P_HOOK_H
#define PARLEY_P_HOOK_H

/* Pages for admins: outgoing webhooks. */

#include "req.h"
#include "rsp.h"

int hooks_page(struct req *rq, struct rsp *rs);
int hooks_post(struct req *rq, struct rsp *rs);
int hook_page(struct req *rq, struct rsp *rs);
int hook_post_change(struct req *rq, struct rsp *rs);
int hook_post_state(struct req *rq, struct rsp *rs);
int hook_post_ping(struct req *rq, struct rsp *rs);
int hook_post_again(struct req *rq, struct rsp *rs);
int hook_post_key(struct req *rq, struct rsp *rs);
int hook_post_remove(struct req *rq, struct rsp *rs);

#endif
