#ifndef PARLEY_H_CHAT_H
#define PARLEY_H_CHAT_H

/* The short routes by which programs publish events of their own. */

#include "req.h"
#include "rsp.h"

#include <stdbool.h>
#include <stddef.h>

int chat_post_send(struct req *rq, struct rsp *rs);
int chat_post_notify(struct req *rq, struct rsp *rs);
int chat_post_broadcast(struct req *rq, struct rsp *rs);

/*
 * chat_event_name(p, len): whether somebody may publish an event of that name:
 * [A-Za-z0-9_.:-]{1,64}, and none of those that steer streams.
 */
bool chat_event_name(const char *p, size_t len);

#endif
