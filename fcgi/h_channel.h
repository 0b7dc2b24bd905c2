#ifndef PARLEY_H_CHANNEL_H
#define PARLEY_H_CHANNEL_H

/* Channels: accounts of platforms, for admins. */

#include "buf.h"
#include "req.h"
#include "rsp.h"

#include <stdint.h>

int channel_list(struct req *rq, struct rsp *rs);
int channel_create(struct req *rq, struct rsp *rs);
int channel_get(struct req *rq, struct rsp *rs);
int channel_patch(struct req *rq, struct rsp *rs);
int channel_delete(struct req *rq, struct rsp *rs);
int channel_post_test(struct req *rq, struct rsp *rs);

/*
 * channel_put_webhook(rq, platform, id, b):
 * The address at which the platform reaches the channel ${id}: below base_url,
 * or where there is none below the address that was asked.
 */
void channel_put_webhook(
    struct req *rq, const char *platform, int64_t id, struct buf *b);

#endif
