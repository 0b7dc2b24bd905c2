#ifndef PARLEY_P_LOGIN_H
#define PARLEY_P_LOGIN_H

#include "req.h"
#include "rsp.h"

/* Log-in and log-out. */

int login_page(struct req *rq, struct rsp *rs);
int login_post(struct req *rq, struct rsp *rs);
int logout_post(struct req *rq, struct rsp *rs);
int home_page(struct req *rq, struct rsp *rs);

#endif
