#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * Requests to others, as values: an adapter builds a struct http_request and
 * reads a struct http_answer without knowing how the bytes travel.
 */

struct addr;

/*
 * A request for a file: its answer goes to where ${take} puts it, as it comes,
 * and is bounded otherwise than the answers of platforms.  Borrowed until the
 * answer is there.
 */
struct http_file {
	int64_t bytes_max;
	long total_ms, stall_s; /* the whole; without a byte */
	/* The next bytes of an answer of 200; -1 gives up. */
	int (*take)(void *arg, const void *p, size_t n);
	void *arg;
};

/* One request.  The builder appends; whoever sends it frees it. */
struct http_request {
	const char *method; /* "GET" or "POST", static */
	struct buf url;
	struct buf headers;     /* "Name: value" lines, each ended by '\n' */
	struct buf body;        /* empty: none */
	const char *file_field; /* multipart instead of body: field, static */
	char *file_path;        /* and the file to read; ours to free */
	char *file_name;        /* and the name to give it; ours to free */
	long total_ms;          /* for the whole; 0: as the client has it */
	struct buf fields;      /* and more fields: name NUL value NUL ... */
	const struct http_file *into; /* NULL: the answer into memory */
	/*
	 * Whether to connect to the address that the name led to; one that is
	 * refused ends it.  NULL: any.
	 */
	bool (*allow)(void *arg, const struct addr *a, int port);
	void *allow_arg;
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
	struct buf body;       /* without what went into a file */
	char *location;        /* of a redirect, absolute; ours; or NULL */
	bool barred;           /* to an address that ${allow} refuses */
	bool too_large;        /* for ${into} */
	char why[96];          /* a word for the log when not answered */
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
 * http_request_field(rq, name, value):
 * Append a field to the multipart that carries rq->file_path.
 */
void http_request_field(
    struct http_request *rq, const char *name, const char *value);

/*
 * http_urlencode(b, p, len):
 * Append ${len} bytes at ${p} with all but the unreserved as %XX.
 */
void http_urlencode(struct buf *b, const char *p, size_t len);

/* http_answer_init(an): none yet.  http_answer_fini(an): free what came. */
void http_answer_init(struct http_answer *an);
void http_answer_fini(struct http_answer *an);

#endif
