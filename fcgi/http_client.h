#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * Requests to others, as values: an adapter builds a struct http_request and
 * reads a struct http_answer without knowing how the bytes travel.  Only the
 * functions at the end need libcurl, and only the worker calls them.
 */

/* One request.  The builder appends; whoever sends it frees it. */
struct http_request {
	const char *method; /* "GET" or "POST", static */
	struct buf url;
	struct buf headers; /* "Name: value" lines, each ended by '\n' */
	struct buf body;    /* empty: none */
	const char *file_field; /* multipart instead of body: field, static */
	char *file_path;        /* and the file to read; ours to free */
	char *file_name;        /* and the name to give it; ours to free */
};

/* How far a request came when no complete answer was had. */
enum http_end {
	HTTP_ANSWERED, /* a whole answer is there */
	HTTP_UNSENT,   /* ended before a byte of the request left: safe */
	HTTP_LOST,     /* some of it was written, no whole answer came */
};

/* What came back.  Untrusted, and the body not even UTF-8. */
struct http_answer {
	enum http_end end;
	long status;           /* 0 unless HTTP_ANSWERED */
	int64_t retry_after_s; /* from Retry-After, 0 without */
	struct buf body;
	char why[96]; /* a word for the log when not answered */
};

/*
 * http_request_init(rq, method) / http_request_fini(rq):
 * An empty request for the static text ${method}; harmless to fini twice.
 */
void http_request_init(struct http_request *rq, const char *method);
void http_request_fini(struct http_request *rq);

/*
 * http_request_header(rq, name, value):
 * Append a header line.  A value that holds a control character would split
 * the request: it marks the request bad (url.err) and nothing is sent.
 */
void http_request_header(
    struct http_request *rq, const char *name, const char *value);

/*
 * http_urlencode(b, p, len):
 * Append ${len} bytes at ${p} with all but the unreserved as %XX.
 */
void http_urlencode(struct buf *b, const char *p, size_t len);

void http_answer_init(struct http_answer *an);
void http_answer_fini(struct http_answer *an);

/* Many requests at once on one thread. */
struct http_client;

/* Limits and permissions of a client. */
struct http_limits {
	long connect_ms; /* name, connect and TLS */
	long total_ms;   /* the whole exchange */
	size_t body_max; /* bytes of an answer, past it: lost */
};

/* Called from http_client_run, once for each started request. */
typedef void http_done(void *arg, struct http_answer *an);

/*
 * http_client_new(limits) returns new, or NULL, logged.
 * http_client_free(c) drops what is still under way without calling back.
 */
struct http_client *http_client_new(const struct http_limits *limits);
void http_client_free(struct http_client *c);

/*
 * http_client_start(c, rq, done, arg):
 * Begin ${rq} (takes its contents).  ${done} gets the answer, which it may
 * read until it returns.  0, or -1 when nothing was begun and ${done} will
 * not be called.
 */
int http_client_start(struct http_client *c, struct http_request *rq,
    http_done *done, void *arg);

/* http_client_busy(c): requests begun whose ${done} has not been called. */
size_t http_client_busy(const struct http_client *c);

/*
 * http_client_run(c, wait_ms):
 * Move bytes for at most ${wait_ms}, calling back what ended; returns at the
 * first chance after something did, or a signal came.  0, or -1, logged.
 */
int http_client_run(struct http_client *c, int wait_ms);

#endif
