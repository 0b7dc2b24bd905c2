#ifndef PARLEY_H_CUSTOMER_H
#define PARLEY_H_CUSTOMER_H

/* Customers, as agents keep them. */

#include "req.h"
#include "rsp.h"

int customer_list(struct req *rq, struct rsp *rs);
int customer_post(struct req *rq, struct rsp *rs);
int customer_get(struct req *rq, struct rsp *rs);
int customer_patch(struct req *rq, struct rsp *rs);
int customer_delete(struct req *rq, struct rsp *rs);
int customer_conversations(struct req *rq, struct rsp *rs);

#endif
