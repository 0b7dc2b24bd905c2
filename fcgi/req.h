#ifndef PARLEY_REQ_H
#define PARLEY_REQ_H

/*
 * A request, parsed within limits.  The same over FastCGI and CGI.  All
 * pointers live until the request ends; texts are NUL-terminated, and where a
 * length is given they may hold NUL inside.
 */

#include "../common/conf.h"
#include "../common/json.h"
#include "../common/limits.h"
#include "who.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route;
struct store;

struct req_field {
	const char *name;
	size_t name_len;
	const char *value;
	size_t value_len;
};

struct req {
	const char *method; /* as sent; a HEAD runs the GET route */
	const char *path;   /* decoded, without base path; "/api/me" */
	const char *query;  /* raw, without '?'; never NULL */
	const struct route *route;
	struct who who;
	int64_t id[PATH_ARGS_MAX];      /* path parameters; 0 if no id */
	const char *arg[PATH_ARGS_MAX]; /* the same as text */
	struct store *st; /* NULL in a ROUTE_NODB route: see req_store */
	struct conf *cf;
	const char *addr;      /* the client's address, proxies resolved */
	const char *host;      /* Host header or "" */
	const char *base_path; /* "/chat" or ""; in front of our own links */
	bool https;            /* the browser speaks TLS */
	bool cgi;              /* one request a process: do not wait */
	bool loopback;         /* the peer is of this machine */
	int64_t now_ms;
	int64_t behind_ms; /* it waited at most so long to be taken */
	const char *body;  /* "" if there is none */
	size_t body_len;
	struct json_object *json; /* body of a JSON route: always an object */
	const char *bad_field;    /* what the first failing req_* asked for */
	char id_text[20];         /* request id of the log and of 5xx answers */

	/* req.c's own. */
	char **env; /* parameters, NAME=VALUE */
	size_t nsegments;
	char *segments[PATH_SEGMENTS_MAX]; /* of the path, decoded */
	struct req_field *query_fields, *form_fields, *cookies;
	size_t nquery, nform, ncookies;
	bool query_read, cookies_read;
	struct req_mem *mem; /* strings that live as long as the request */
	size_t mem_bytes;
	struct store *(*open_store)(struct req *); /* serve.c's */
	long (*more)(struct req *, char *, size_t);
};

/* req_header(rq, name): a header's value by its name in HTTP, or NULL. */
const char *req_header(const struct req *rq, const char *name);

/* req_has_type(rq, type): whether that is the Content-Type, parameters aside.
 */
bool req_has_type(const struct req *rq, const char *type);

/* req_param(rq, name): a CGI parameter, REMOTE_ADDR or so, or NULL. */
const char *req_param(const struct req *rq, const char *name);

/*
 * req_query(rq, name, len):
 * The first query parameter ${name}, decoded, and its length in ${len} (may be
 * NULL); NULL if absent.
 */
const char *req_query(struct req *rq, const char *name, size_t *len);

/* req_query_good(rq): whether the query could be parsed. */
int req_query_good(struct req *rq);

/*
 * req_query_int(rq, name, lo, hi, v):
 * A number in the query: 1 and ${v}, 0 absent (${v} untouched), -1 no number
 * within ${lo}..${hi}; then ${rq}->bad_field is set.
 */
int req_query_int(
    struct req *rq, const char *name, int64_t lo, int64_t hi, int64_t *v);

/* req_cookie(rq, name): a cookie's value, the first of that name, or NULL. */
const char *req_cookie(struct req *rq, const char *name);

/*
 * req_str(rq, key, min, max):
 * Member ${key} of the JSON body, or field of the form: ${min} to ${max} bytes
 * of UTF-8 without NUL.  NULL and ${rq}->bad_field = ${key} if it is missing,
 * of another type, or its length is wrong.
 */
const char *req_str(struct req *rq, const char *key, size_t min, size_t max);

/*
 * req_opt(rq, key, max, dflt):
 * The same where it may be absent or null: then ${dflt}.  NULL with bad_field
 * set only if it is there and wrong; test ${rq}->bad_field when ${dflt} is
 * NULL.
 */
const char *req_opt(
    struct req *rq, const char *key, size_t max, const char *dflt);

/*
 * req_text(rq, key, chars_min, chars_max, bytes_max, dflt):
 * As req_opt with a count of characters; a value of 0 characters counts as
 * absent where ${chars_min} is 0.  With ${chars_min} > 0 absent is an error,
 * and so is a text of white space alone.
 */
const char *req_text(struct req *rq, const char *key, size_t chars_min,
    size_t chars_max, size_t bytes_max, const char *dflt);

/*
 * req_int(rq, key, lo, hi, v), req_bool(rq, key, v), req_id(rq, key, v):
 * 1 and ${v}; 0 absent or null (or, of a form, empty); -1 wrong, bad_field set.
 * An id is taken as text or number; what is no id is wrong.  In a form a bool
 * is 1, on, true or 0, off, false.
 */
int req_int(
    struct req *rq, const char *key, int64_t lo, int64_t hi, int64_t *v);
int req_bool(struct req *rq, const char *key, bool *v);
int req_id(struct req *rq, const char *key, int64_t *v);

/* req_form(rq, key, len): a form field as sent, or NULL if absent. */
const char *req_form(struct req *rq, const char *key, size_t *len);

/*
 * req_store(rq):
 * The store, opened if it is not yet; for ROUTE_NODB routes.  NULL if it
 * cannot be opened: answer 503 "busy".
 */
struct store *req_store(struct req *rq);

/*
 * req_more(rq, to, size):
 * In a ROUTE_STREAM route: the next bytes of the body.  Their number; 0 at its
 * end; -1 it was cut short, or nothing came for too long.
 */
long req_more(struct req *rq, char *to, size_t size);

/*
 * req_fields(rq, fields, n): the body was a form that the handler itself took
 * apart; borrows ${fields}, until the request ends.
 */
void req_fields(struct req *rq, struct req_field *fields, size_t n);

/*
 * req_alloc(rq, size), req_strdup(rq, p, len):
 * Memory until the request ends; req_strdup adds a NUL.  NULL if there is none.
 */
void *req_alloc(struct req *rq, size_t size);
char *req_strdup(struct req *rq, const char *p, size_t len);

/*
 * req_is(rq, method): whether the request's method is ${method}.
 */
bool req_is(const struct req *rq, const char *method);

/* For serve.c and tests. */

/*
 * req_init(rq, cf, env, code):
 * Begin a request with the parameters ${env} (NAME=VALUE, NULL at the end;
 * borrowed).  0, or the status to refuse with and ${*code}.
 */
int req_init(struct req *rq, struct conf *cf, char **env, const char **code);

/*
 * req_body(rq, p, len, code):
 * Give the request its body, wholly read, for its route: JSON, form or raw.
 * Borrows ${p}, which must have a NUL behind it.  0, or a status and ${*code}.
 */
int req_body(struct req *rq, const char *p, size_t len, const char **code);

/* req_fini(rq): free all that the request owns. */
void req_fini(struct req *rq);

/*
 * req_parse_form(p, len, buf, fields, max):
 * Of a form or query; apart from struct req, so that tests and fuzzers reach
 * it.  ${buf} takes the decoded bytes (${len} + 2 are enough), ${fields} at
 * most ${max} fields that point into it.  The number of fields, or -1: too
 * many, a bad escape or not UTF-8.
 */
int req_parse_form(
    const char *p, size_t len, char *buf, struct req_field *fields, size_t max);

/* The same for a Cookie header; faulty pairs are passed over. */
int req_parse_cookies(
    const char *p, size_t len, char *buf, struct req_field *fields, size_t max);

/*
 * req_parse_path(p, len, buf, segments, max):
 * Cut the path of a request URI at '/', decode each segment into ${buf}
 * (${len} + 2 bytes).  The number of segments (0 for "/"), or -1: a segment is
 * `.`, `..`, empty, holds '/', NUL or control bytes, or is not UTF-8.  One
 * empty segment at the end is dropped.
 */
int req_parse_path(
    const char *p, size_t len, char *buf, char **segments, size_t max);

#endif
