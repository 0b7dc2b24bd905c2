#ifndef PARLEY_H_MESSAGE_H
#define PARLEY_H_MESSAGE_H

/* Messages, how far they were read, and who types. */

#include "req.h"
#include "rsp.h"

#include <stdint.h>

int message_list(struct req *rq, struct rsp *rs);
int message_post(struct req *rq, struct rsp *rs);
int message_post_user(struct req *rq, struct rsp *rs);
int message_patch(struct req *rq, struct rsp *rs);
int message_delete(struct req *rq, struct rsp *rs);
int message_post_resend(struct req *rq, struct rsp *rs);
int message_post_read(struct req *rq, struct rsp *rs);
int message_post_read_to(struct req *rq, struct rsp *rs);
int message_post_typing(struct req *rq, struct rsp *rs);
int unread_get(struct req *rq, struct rsp *rs);

/* The same for a conversation that the path does not name (h_widget.c). */
int message_list_in(struct req *rq, struct rsp *rs, int64_t conversation);
int message_post_in(struct req *rq, struct rsp *rs, int64_t conversation);

#endif
