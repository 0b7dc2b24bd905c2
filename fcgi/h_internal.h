#ifndef PARLEY_H_INTERNAL_H
#define PARLEY_H_INTERNAL_H

/* What pushd asks.  Nobody else reaches these: PARLEY_INTERNAL. */

#include "req.h"
#include "rsp.h"

int internal_post_identify(struct req *rq, struct rsp *rs);
int internal_post_join(struct req *rq, struct rsp *rs);
int internal_post_presence(struct req *rq, struct rsp *rs);
int internal_get_events(struct req *rq, struct rsp *rs);
int internal_get_replay(struct req *rq, struct rsp *rs);

/* What a reference names: 'u', 'c', 'i' or 'k' and the person's id. */
struct ref {
	char kind;
	int64_t id;
};

/* ref_read(p, len, r): 1, or 0 if it is malformed. */
int ref_read(const char *p, size_t len, struct ref *r);

#endif
