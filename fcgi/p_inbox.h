#ifndef PARLEY_P_INBOX_H
#define PARLEY_P_INBOX_H

#include "req.h"
#include "rsp.h"

/* The agents' inbox. */

int inbox_page(struct req *rq, struct rsp *rs);
int inbox_conversation(struct req *rq, struct rsp *rs);
int inbox_post_message(struct req *rq, struct rsp *rs);
int inbox_post_update(struct req *rq, struct rsp *rs);

#endif
