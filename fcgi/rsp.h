#ifndef PARLEY_RSP_H
#define PARLEY_RSP_H

/*
 * The answer: status, headers, body.  Built whole, written once by serve.c
 * with Content-Length and the headers every answer has.  Every call that sets
 * the body returns the status, for `return rsp_json(...)`.
 */

#include "../common/buf.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct req;

struct rsp {
	struct req *rq; /* whose answer this is */
	int status;
	const char *type;   /* Content-Type; static */
	struct buf headers; /* "Name: value\r\n"... of rsp_header */
	struct buf body;
	const char *csp;   /* Content-Security-Policy of a page, or NULL
			      for the default of rsp.c */
	const char *cache; /* Cache-Control; NULL: no-store */
	const char *code;  /* of an error, for the log; else NULL */
	bool file;         /* instead of the body: */
	int fd;            /* ${len} bytes from ${from} of this */
	int64_t from, len;
};

/* rsp_json(rs, status, o): answer ${o}, which it takes (NULL: 500). */
int rsp_json(struct rsp *rs, int status, struct json_object *o);

/*
 * rsp_error(rs, status, code, field):
 * Answer {"error","code","success":false}, the sentence from the table of
 * rsp.c, and "field", which the sentence names then, unless NULL; on a
 * ROUTE_PAGE route the same as a page (401 there: a redirect to the log-in).
 * 503 gets a Retry-After.
 */
int rsp_error(struct rsp *rs, int status, const char *code, const char *field);

/* rsp_retry(rs, status, code, after_s): rsp_error with Retry-After. */
int rsp_retry(struct rsp *rs, int status, const char *code, int64_t after_s);

/*
 * rsp_header(rs, name, fmt, ...):
 * Add a header.  Controls in the value are dropped.
 */
void rsp_header(struct rsp *rs, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* rsp_text(rs, status, s): answer plain text. */
int rsp_text(struct rsp *rs, int status, const char *s);

/* rsp_raw(rs, status, type, p, len): answer bytes; ${type} is static. */
int rsp_raw(
    struct rsp *rs, int status, const char *type, const void *p, size_t len);

/*
 * rsp_file(rs, status, type, fd, from, len): answer ${len} bytes of ${fd} from
 * ${from} on, which are read while they are written; takes ${fd}.
 */
int rsp_file(struct rsp *rs, int status, const char *type, int fd, int64_t from,
    int64_t len);

/* rsp_html(rs, status, page): answer a page; takes the content of ${page}. */
int rsp_html(struct rsp *rs, int status, struct buf *page);

/*
 * rsp_redirect(rs, url):
 * 303 to ${url}: a path of ours ("/inbox"; the base path goes in front), or
 * whole if it has a scheme.
 */
int rsp_redirect(struct rsp *rs, const char *url);

/* rsp_empty(rs, status): no body: 204, 304 and the like. */
int rsp_empty(struct rsp *rs, int status);

/*
 * rsp_cookie(rs, name, value, age_s):
 * Set a cookie, HttpOnly; SameSite=Lax; Path=/; with `__Host-` before its
 * name and Secure where the browser came by HTTPS.  ${age_s} 0: until the
 * browser ends; < 0: delete it.
 */
void rsp_cookie(
    struct rsp *rs, const char *name, const char *value, int64_t age_s);

/* rsp_sentence(code): the human sentence of an error code. */
const char *rsp_sentence(const char *code);

/*
 * For serve.c and tests.  rsp_init(rs, rq): an empty answer to ${rq}, in the
 * buffers of the one before.  rsp_fini(rs): free them.
 */
void rsp_init(struct rsp *rs, struct req *rq);
void rsp_fini(struct rsp *rs);

/* rsp_reset(rs): forget body and headers, for an error in their place. */
void rsp_reset(struct rsp *rs);

/*
 * rsp_head(rs, out):
 * Write the CGI head (Status: first, ends with the empty line) into ${out}.
 */
void rsp_head(struct rsp *rs, struct buf *out);

/*
 * rsp_page_error: how an error looks on a ROUTE_PAGE route; pages.c may set
 * it.  Fills ${page} with HTML and returns 0, or -1 to leave it to the plain
 * page of rsp.c.
 */
extern int (*rsp_page_error)(struct rsp *rs, int status, const char *code,
    const char *field, struct buf *page);

#endif
