#ifndef PARLEY_H_ASK_H
#define PARLEY_H_ASK_H

#include "req.h"
#include "rsp.h"

int ask_post(struct req *rq, struct rsp *rs);

#endif
