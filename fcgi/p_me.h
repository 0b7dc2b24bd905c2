#ifndef PARLEY_P_ME_H
#define PARLEY_P_ME_H

#include "req.h"
#include "rsp.h"

/* An agent's own account. */

int account_page(struct req *rq, struct rsp *rs);
int account_post(struct req *rq, struct rsp *rs);
int account_post_status(struct req *rq, struct rsp *rs);
int account_post_password(struct req *rq, struct rsp *rs);

#endif
