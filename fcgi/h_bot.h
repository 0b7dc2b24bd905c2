#ifndef PARLEY_H_BOT_H
#define PARLEY_H_BOT_H

#include "req.h"
#include "rsp.h"

#include <json.h>

int bot_list(struct req *rq, struct rsp *rs);
int bot_post(struct req *rq, struct rsp *rs);
int bot_get(struct req *rq, struct rsp *rs);
int bot_patch(struct req *rq, struct rsp *rs);
int bot_delete(struct req *rq, struct rsp *rs);
int bot_post_message(struct req *rq, struct rsp *rs);
int bot_post_test(struct req *rq, struct rsp *rs);

/*
 * bot_wait(rq, id, answer, result):
 * Have the ask ${id} answered: at once if no endpoint is needed, else by the
 * worker, waited for as long and by as many as the settings allow.  1 it has
 * ended: ${*answer} is the message that answers it or 0, ${*result} what trying
 * it out gave (returned new) or NULL; 0 not yet; -1 failed.
 */
int bot_wait(
    struct req *rq, int64_t id, int64_t *answer, struct json_object **result);

#endif
