#ifndef PARLEY_P_INBOX_H
#define PARLEY_P_INBOX_H

#include "p_view.h"
#include "req.h"
#include "rsp.h"

/* The agents' inbox. */

int inbox_page(struct req *rq, struct rsp *rs);
int inbox_conversation(struct req *rq, struct rsp *rs);
int inbox_post_message(struct req *rq, struct rsp *rs);

/* The same with files, which ${keep} stores. */
int inbox_post_with(struct req *rq, struct rsp *rs, post_file *keep);

int inbox_post_update(struct req *rq, struct rsp *rs);

#endif
