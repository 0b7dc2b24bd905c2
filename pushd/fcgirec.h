#ifndef PARLEY_FCGIREC_H
#define PARLEY_FCGIREC_H

/*
 * FastCGI records, the web server's side, and the head of the answer that
 * comes in them.  Bytes in, values out: no socket, no loop.
 */

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum {
	FCGIREC_BEGIN = 1,
	FCGIREC_ABORT = 2,
	FCGIREC_END = 3,
	FCGIREC_PARAMS = 4,
	FCGIREC_STDIN = 5,
	FCGIREC_STDOUT = 6,
	FCGIREC_STDERR = 7
};

/*
 * fcgirec_begin(b):
 * Append BEGIN_REQUEST for a responder that keeps the connection.  The request
 * id is always 1: one request at a time is on a connection.
 */
void fcgirec_begin(struct buf *b);

/*
 * fcgirec_param(params, name, value, len):
 * Append a name and its value of ${len} bytes to the bytes of PARAMS.
 */
void fcgirec_param(
    struct buf *params, const char *name, const char *value, size_t len);

/*
 * fcgirec_stream(b, type, p, len):
 * Append ${len} bytes as records of ${type}, and the empty record that ends
 * the stream.
 */
void fcgirec_stream(struct buf *b, int type, const void *p, size_t len);

/* What fcgirec_read found. */
enum fcgirec_what {
	FCGIREC_MORE = 1, /* nothing yet, all bytes are taken */
	FCGIREC_OUT,      /* bytes of the answer at ${p} */
	FCGIREC_ERR,      /* bytes for the log at ${p} */
	FCGIREC_DONE,     /* the request has ended; ${status} */
	FCGIREC_BAD       /* not FastCGI, or not for us: drop the connection */
};

/* Decoder of one connection; zeroed at its start. */
struct fcgirec {
	unsigned char head[8], end[8];
	unsigned char have, end_have;
	unsigned char pad; /* padding bytes still to come */
	unsigned char in;  /* 1: in a record's content */
	uint16_t left;     /* content bytes still to come */
};

struct fcgirec_got {
	enum fcgirec_what what;
	const char *p;
	size_t len;
	uint32_t status; /* of DONE: 0, or why the request was not served */
};

/*
 * fcgirec_read(r, p, len, got):
 * Take bytes from the ${len} at ${p} up to the next thing found.  Return how
 * many; call again with the rest until FCGIREC_MORE.
 */
size_t fcgirec_read(
    struct fcgirec *r, const char *p, size_t len, struct fcgirec_got *got);

/*
 * fcgirec_head(p, len, status):
 * Read the CGI head of a whole answer.  Return its bytes with the empty line
 * and ${status} (200 if it has none), or -1 if it is malformed.
 */
int fcgirec_head(const char *p, size_t len, int *status);

/*
 * fcgirec_field(p, len, name, out):
 * The value of the header ${name} in the CGI head of ${len} bytes at ${p}:
 * its length and ${*out}, or -1 if it is not there.
 */
int fcgirec_field(
    const char *p, size_t len, const char *name, const char **out);

#endif
