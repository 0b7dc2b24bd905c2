#ifndef PARLEY_P_CUSTOMER_H
#define PARLEY_P_CUSTOMER_H

#include "req.h"
#include "rsp.h"

/* The agents' pages of customers. */

int people_page(struct req *rq, struct rsp *rs);
int people_post(struct req *rq, struct rsp *rs);
int person_page(struct req *rq, struct rsp *rs);
int person_post(struct req *rq, struct rsp *rs);

#endif
