#ifndef P_FILES_H
#define P_FILES_H

#include "req.h"
#include "rsp.h"

/* Files from the forms of pages, for browsers without a script. */

int inbox_post_file(struct req *rq, struct rsp *rs);
int visit_post_file(struct req *rq, struct rsp *rs);

#endif
