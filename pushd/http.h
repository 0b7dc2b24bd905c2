/*
 * http.h: the head of an HTTP/1 request, parsed strictly.
 *
 * Bytes in, values out: no socket, no loop, no allocation.  The caller keeps
 * the bytes; what is parsed are offsets into them, so that they may move.
 */
#ifndef PARLEY_HTTP_H
#define PARLEY_HTTP_H

#include <stddef.h>
#include <stdint.h>

#define HTTP_FIELDS_MAX 1000 /* room for header lines; see http_limits */
#define HTTP_METHOD_MAX 16   /* bytes of the method */

/* How much a head may hold, bytes and lines; settings of the operator. */
struct http_limits {
	uint16_t head, field, target, fields;
};

/* Where a piece of the head lies: offset and length in bytes. */
struct http_span {
	uint16_t at, len;
};

/* One request head, filled while its bytes come in. */
struct http_head {
	const struct http_limits *limits;
	struct http_span method;
	struct http_span path;  /* as sent, not decoded; begins with '/' */
	struct http_span query; /* behind the '?', empty without one */
	unsigned nfields;
	int minor;              /* 0 or 1: HTTP/1.0 or HTTP/1.1 */
	int64_t content_length; /* -1: none given */
	int chunked;            /* Transfer-Encoding: chunked */
	int status;             /* after -1: 400, 414, 431 or 505 */
	uint16_t line;          /* where the line being read begins */
	uint16_t scan;          /* bytes looked at so far */
	int hosts;              /* Host lines seen */
	int begun;              /* the request line is parsed */
	struct {
		struct http_span name, value;
	} field[HTTP_FIELDS_MAX]; /* the first ${nfields} are set */
};

/*
 * http_begin(h, limits):
 * Make ${h} ready for a new head; borrows ${limits} as long as it parses.
 */
void http_begin(struct http_head *h, const struct http_limits *limits);

/*
 * http_parse(h, p, len):
 * Go on with the head of which ${len} bytes are at ${p}, always the whole of
 * it from its first byte.  Each byte is looked at once, however often this is
 * called.  Return the bytes of the head with its empty line, 0 if more are
 * needed, or -1 if it is refused, with ${h}->status saying how.
 */
int http_parse(struct http_head *h, const char *p, size_t len);

/*
 * http_field(h, p, name, len):
 * Return the value of the only header ${name}, any case, its length in
 * ${len}; NULL if there is none.  Where it came more than once, the first.
 */
const char *http_field(
    const struct http_head *h, const char *p, const char *name, size_t *len);

/*
 * http_count(h, p, name):
 * Return how many lines have the header ${name}.
 */
unsigned http_count(const struct http_head *h, const char *p, const char *name);

/*
 * http_lists(h, p, name, token):
 * Whether one of the comma-separated lists in the headers ${name} holds
 * ${token}, any case.
 */
int http_lists(const struct http_head *h, const char *p, const char *name,
    const char *token);

/*
 * http_is(p, s, text):
 * Whether the piece of the head is exactly ${text}.
 */
int http_is(const char *p, struct http_span s, const char *text);

/*
 * http_query(h, p, name, out, size):
 * Copy the decoded value of the first query parameter ${name} to ${out}, NUL
 * at its end.  Return its length, or -1 if there is none, -2 if it is longer
 * than ${size} - 1 or holds a NUL.
 */
int http_query(const struct http_head *h, const char *p, const char *name,
    char *out, size_t size);

/*
 * http_ws_key(h, p, accept):
 * Check the WebSocket handshake in ${h} (RFC 6455, 4.2.1).  Return 101 with
 * ${accept} (29 bytes) set to Sec-WebSocket-Accept's value, or the status
 * that refuses it: 400, 405, 426 (no Upgrade, or HTTP/1.0) or 4260 (426
 * because of the version).
 */
int http_ws_key(const struct http_head *h, const char *p, char accept[29]);

/* What http_body_read found. */
enum http_body_what {
	HTTP_BODY_MORE, /* all bytes are taken, the body goes on */
	HTTP_BODY_DATA, /* bytes of it */
	HTTP_BODY_END,  /* it is whole */
	HTTP_BODY_BAD   /* its chunks cannot be read */
};

/* A request's body while it comes; see http_body_begin. */
struct http_body {
	int64_t left;   /* bytes of it, or of the chunk, still to come */
	uint16_t extra; /* bytes of chunk heads' and trailers' extras */
	uint8_t state;
	uint8_t digits;
};

/* http_body_begin(b, h): the body of the request with the whole head ${h}. */
void http_body_begin(struct http_body *b, const struct http_head *h);

/*
 * http_body_read(b, p, len, what, data, data_len):
 * Take bytes from the ${len} at ${p} up to the next thing found.  Return how
 * many; of DATA, ${data} borrows from ${p}.  Call again with the rest until
 * MORE, END or BAD; a body without bytes ends at the first call.
 */
size_t http_body_read(struct http_body *b, const char *p, size_t len,
    enum http_body_what *what, const char **data, size_t *data_len);

#endif
