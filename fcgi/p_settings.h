#ifndef PARLEY_P_SETTINGS_H
#define PARLEY_P_SETTINGS_H

/* Pages for admins. */

#include "req.h"
#include "rsp.h"

int settings_page(struct req *rq, struct rsp *rs);
int settings_push_page(struct req *rq, struct rsp *rs);

#endif
