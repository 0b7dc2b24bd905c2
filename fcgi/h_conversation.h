#ifndef PARLEY_H_CONVERSATION_H
#define PARLEY_H_CONVERSATION_H

/* Conversations and who takes part in them. */

#include "req.h"
#include "rsp.h"

int conversation_list(struct req *rq, struct rsp *rs);
int conversation_post(struct req *rq, struct rsp *rs);
int conversation_get(struct req *rq, struct rsp *rs);
int conversation_patch(struct req *rq, struct rsp *rs);
int participant_post(struct req *rq, struct rsp *rs);
int participant_delete(struct req *rq, struct rsp *rs);

#endif
