#ifndef PARLEY_H_WIDGET_H
#define PARLEY_H_WIDGET_H

/* The visitor's side: a session, and messages in one's own conversation. */

#include "req.h"
#include "rsp.h"

int widget_post_session(struct req *rq, struct rsp *rs);
int widget_get_messages(struct req *rq, struct rsp *rs);
int widget_post_message(struct req *rq, struct rsp *rs);

#endif
