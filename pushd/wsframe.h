#ifndef PARLEY_WSFRAME_H
#define PARLEY_WSFRAME_H

/*
 * WebSocket frames, RFC 6455 section 5, the server's side.  Bytes in, values
 * out: no socket, no loop.  Input may be cut anywhere.
 */

#include <stddef.h>
#include <stdint.h>

#include "carry.h"
#include "utf8.h"

enum {
	WS_CONT = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10
};

#define WSFRAME_HEAD_MAX 10 /* bytes of a server's frame head */

/* What wsframe_read found. */
enum wsframe_what {
	WSFRAME_MORE, /* nothing whole yet: all bytes are taken */
	WSFRAME_DATA, /* a piece of a message; ${fin} tells its last one */
	WSFRAME_PING, /* a whole control frame with its payload */
	WSFRAME_PONG,
	WSFRAME_CLOSE, /* ${code} is 0 if it had none */
	WSFRAME_FAIL   /* ${code} says why: 1002, 1007, 1009 or 1011 */
};

/* One connection's decoder.  Zero it, then set the limits. */
struct wsframe {
	uint64_t left;        /* payload bytes of the frame still to come */
	uint32_t message_max; /* bytes of a message */
	uint32_t fragments_max;
	uint32_t total;     /* payload bytes of the message so far */
	uint32_t fragments; /* frames of it so far */
	unsigned char *ctl; /* a cut control frame's payload, else NULL */
	unsigned char head[14];
	unsigned char have; /* bytes of ${head} */
	unsigned char in;   /* 1: in a payload; 2: failed or closed */
	unsigned char mask_at;
	unsigned char message; /* WS_TEXT or WS_BINARY while one is open */
	unsigned char ctl_len;
	struct utf8 utf8;
};

/* A found thing; ${p} borrows from the input until the next call. */
struct wsframe_got {
	enum wsframe_what what;
	char *p; /* unmasked */
	size_t len;
	int opcode; /* of DATA: the message's, WS_TEXT or WS_BINARY */
	int fin;
	int code;
};

/*
 * wsframe_read(w, p, len, got):
 * Take bytes from the ${len} at ${p}, unmasking in place, up to the next thing
 * that the caller must hear of.  Return how many were taken (call again with
 * the rest, until WSFRAME_MORE).  After CLOSE and FAIL all is swallowed.
 */
size_t wsframe_read(
    struct wsframe *w, char *p, size_t len, struct wsframe_got *got);

/* wsframe_idle(w): whether it is between two messages and holds nothing. */
int wsframe_idle(const struct wsframe *w);

/* wsframe_fini(w): free what a cut frame holds. */
void wsframe_fini(struct wsframe *w);

/*
 * wsframe_carry(w, b), wsframe_adopt(w, in):
 * Append where the stream stands; go on there, within the limits of the zeroed
 * ${w}.  0, or -1 if that is nothing that a stream comes to.
 */
void wsframe_carry(const struct wsframe *w, struct buf *b);
int wsframe_adopt(struct wsframe *w, struct carry_in *in);

/*
 * wsframe_head(out, opcode, len):
 * Write the head of a final, unmasked frame with ${len} bytes of payload.
 * Return its bytes: 2, 4 or 10.
 */
size_t wsframe_head(
    unsigned char out[WSFRAME_HEAD_MAX], int opcode, size_t len);

#endif
