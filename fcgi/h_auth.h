#ifndef PARLEY_H_AUTH_H
#define PARLEY_H_AUTH_H

/* Log-in, log-out, and who one is oneself. */

#include "req.h"
#include "rsp.h"

int auth_post_login(struct req *rq, struct rsp *rs);
int auth_post_logout(struct req *rq, struct rsp *rs);
int auth_post_refresh(struct req *rq, struct rsp *rs);
int me_get(struct req *rq, struct rsp *rs);
int me_patch(struct req *rq, struct rsp *rs);

#endif
