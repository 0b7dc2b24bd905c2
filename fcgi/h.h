#ifndef PARLEY_H_H
#define PARLEY_H_H

/* What the handlers of the API share: reading a page, answering a store. */

#include "req.h"
#include "rsp.h"
#include "store.h"
#include "store_event.h"

#include <json.h>

/*
 * h_refuse(rq, rs, rc):
 * Answer what a store function said that is not its success: 404, 403, 409,
 * 422 with the field, 503 or 500.
 */
int h_refuse(struct req *rq, struct rsp *rs, int rc);

/*
 * h_trouble(rq):
 * After STORE_FAILED, which 503 it is: "busy" or "no_space"; NULL: it is 500.
 */
const char *h_trouble(const struct req *rq);

/* h_busy(rq): likewise where it is 503 in any case. */
const char *h_busy(const struct req *rq);

/* h_invalid(rq, rs): 422 "invalid" with the field that the last req_* named. */
int h_invalid(struct req *rq, struct rsp *rs);

/* h_invalid_text(rs, field, text): likewise, with ${text} for why. */
int h_invalid_text(struct rsp *rs, const char *field, const char *text);

/* h_bad(rs, field): 400 "bad_request": a query that cannot be read. */
int h_bad(struct rsp *rs, const char *field);

/*
 * h_page(rq, rs, pg):
 * Read limit, before and after of the query.  0, or the status of the answer
 * (400; a limit above page_items_max too).
 */
int h_page(struct req *rq, struct rsp *rs, struct store_page *pg);

/*
 * h_answer(rq, rs, status, rc, o, cursor):
 * End of most handlers: ${o} (taken) if ${rc} is good, with X-Event-Cursor
 * unless ${cursor} is 0; else h_refuse, and ${o} is put.
 */
int h_answer(struct req *rq, struct rsp *rs, int status, int rc,
    struct json_object *o, int64_t cursor);

/* h_good(rc): whether a store function did what it was asked. */
int h_good(int rc);

/*
 * h_read(rq) ... h_read_end(rq, rs):
 * One read transaction around what a single thing is read by; the cursor is
 * read in it, first.  h_read answers the cursor, or -1 when the store failed.
 */
int64_t h_read(struct req *rq);
void h_read_end(struct req *rq);

/*
 * h_begin(rq) ... h_end(rq, rs, status, rc, o):
 * A write and the reading of its result as one transaction, so that the cursor
 * belongs to what is answered: h_end reads the head, commits if ${rc} is good,
 * and answers as h_answer does.  h_begin: 0, or -1: h_refuse with STORE_FAILED.
 */
int h_begin(struct req *rq);
int h_end(
    struct req *rq, struct rsp *rs, int status, int rc, struct json_object *o);

/* h_success(rs): 200 {"success":true}. */
int h_success(struct rsp *rs);

/*
 * h_once(rq, rs, write):
 * Run the handler ${write}.  With an Idempotency-Key it runs in a transaction
 * together with its answer, and the same key of the same asker gets that
 * answer for 24 h; 409 "idempotency_conflict" if the request is another one.
 */
int h_once(
    struct req *rq, struct rsp *rs, int (*write)(struct req *, struct rsp *));

/*
 * h_key(rq, rs, key):
 * The Idempotency-Key in ${*key} (NULL: none).  0, or 422.
 */
int h_key(struct req *rq, struct rsp *rs, const char **key);

/*
 * h_tags(rq, key, out):
 * Member ${key}: an array of tag names; borrowed.  1, 0 absent, -1 bad_field.
 */
int h_tags(struct req *rq, const char *key, struct json_object **out);

/*
 * h_attributes(rq, key, out):
 * Member ${key}: an object of texts; borrowed.  1, 0 absent, -1 bad_field.
 */
int h_attributes(struct req *rq, const char *key, struct json_object **out);

/*
 * h_name, h_email, h_phone: members with their limits; as req_opt.  A name of
 * white space alone is wrong.
 */
const char *h_name(struct req *rq, const char *key, size_t chars_min);
const char *h_email(struct req *rq, const char *key);
const char *h_phone(struct req *rq, const char *key);

/* h_word(rq, key, words): as req_opt; one of the ${words} parted by '|'. */
const char *h_word(struct req *rq, const char *key, const char *words);
/* The same for a text; false for NULL. */
int h_is_word(const char *s, const char *words);

/*
 * h_nullable_id(rq, key, v):
 * An id, or null for none: 1 and ${*v} (0: null), 0 absent, -1 bad_field.
 */
int h_nullable_id(struct req *rq, const char *key, int64_t *v);

#endif
