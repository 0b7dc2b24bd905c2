#ifndef PARLEY_H_HOOK_H
#define PARLEY_H_HOOK_H

/* Outgoing webhooks, for admins. */

#include "req.h"
#include "rsp.h"
#include "store_hook.h"

int hook_list(struct req *rq, struct rsp *rs);
int hook_post(struct req *rq, struct rsp *rs);
int hook_get(struct req *rq, struct rsp *rs);
int hook_patch(struct req *rq, struct rsp *rs);
int hook_delete(struct req *rq, struct rsp *rs);
int hook_post_secret(struct req *rq, struct rsp *rs);
int hook_post_test(struct req *rq, struct rsp *rs);
int hook_attempts(struct req *rq, struct rsp *rs);
int hook_post_replay(struct req *rq, struct rsp *rs);

/*
 * hook_url(rq, need, why): member `url`: one that may be asked; NULL absent
 * (not ${need}), or wrong: bad_field, and ${*why}, in English, where that is of
 * an address.
 */
const char *hook_url(struct req *rq, bool need, const char **why);

/*
 * hook_note(rq, action, id): into the audit log, within a transaction.
 */
int hook_note(struct req *rq, const char *action, int64_t id);

#endif
