#ifndef PARLEY_P_CHAT_H
#define PARLEY_P_CHAT_H

#include "p_view.h"
#include "req.h"
#include "rsp.h"

/* The visitor's side: a form to begin, then the conversation. */

int visit_page(struct req *rq, struct rsp *rs);
int visit_post_start(struct req *rq, struct rsp *rs);
int visit_conversation(struct req *rq, struct rsp *rs);
int visit_post_message(struct req *rq, struct rsp *rs);

/* The same with files, which ${keep} stores. */
int visit_post_with(struct req *rq, struct rsp *rs, post_file *keep);

int visit_post_end(struct req *rq, struct rsp *rs);

#endif
