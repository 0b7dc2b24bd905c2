#ifndef PARLEY_P_DRAFT_H
#define PARLEY_P_DRAFT_H

/*
 * What somebody writes into the form of a conversation's page: read, sent, and
 * put into the page again when it was not sent.
 */

#include <stdbool.h>

#include "p_view.h"
#include "req.h"
#include "rsp.h"
#include "store_message.h"

struct draft {
	const char *text; /* "" none */
	bool note;
	const char *key;   /* to send it under again, or NULL */
	const char *error; /* code, or NULL */
	bool newer;        /* others wrote in the meantime */
};

/*
 * draft_read(rq, rs, keep, m, d):
 * The fields content and key into ${m}, whose conversation is set, and ${d},
 * if they may be sent: 0.  Else the status: of the page with ${d} where
 * draft_back says so, or of what was answered.
 */
int draft_read(struct req *rq, struct rsp *rs, post_file *keep,
    struct message *m, struct draft *d);

/*
 * draft_send(rq, rs, keep, m, d):
 * Send ${m}, with the files that ${keep} keeps unless it is NULL: 0, also when
 * it was sent before; else as draft_read.  m->client_id and the text are of
 * the request.
 */
int draft_send(struct req *rq, struct rsp *rs, post_file *keep,
    struct message *m, struct draft *d);

/* draft_back(d): the page is to come back with it, saying why. */
bool draft_back(const struct draft *d);

/*
 * draft_put(v, d): `text`, `newer`, `error` of the model, and `key`, a new one
 * where it has none.
 */
void draft_put(struct view *v, const struct draft *d);

#endif
