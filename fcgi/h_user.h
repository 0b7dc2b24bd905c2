#ifndef PARLEY_H_USER_H
#define PARLEY_H_USER_H

/* Users, and who of them is there. */

#include "req.h"
#include "rsp.h"

int user_list(struct req *rq, struct rsp *rs);
int presence_get(struct req *rq, struct rsp *rs);

#endif
