#ifndef PARLEY_BUF_H
#define PARLEY_BUF_H

/*
 * A growing byte string with a ceiling.  The caller builds a whole message
 * and tests ${err} once at the end: the first error sticks.
 */

#include <stddef.h>

struct buf {
	char *data; /* ${len} bytes and a NUL; never NULL after buf_init */
	size_t len;
	size_t cap; /* bytes allocated; 0 while ${data} is the empty string */
	size_t max; /* ceiling of ${len}, bytes */
	int err;    /* 1 after an append that did not fit or had no memory */
};

/*
 * buf_init(b, max):
 * Make ${b} empty with a ceiling of ${max} bytes.  Allocates nothing yet.
 */
void buf_init(struct buf *b, size_t max);

/*
 * buf_fini(b):
 * Free what ${b} owns.  Harmless twice and on a zeroed struct.
 */
void buf_fini(struct buf *b);

/*
 * buf_reset(b):
 * Forget content and error, keep the memory for the next message.
 */
void buf_reset(struct buf *b);

/*
 * buf_append(b, p, len):
 * Copy the ${len} bytes at ${p} to the end of ${b}.  Past ${b}->max, or out of
 * memory, set ${b}->err and change nothing, now and for every later append, so
 * the caller builds a whole message and tests ${b}->err once.
 */
void buf_append(struct buf *b, const void *p, size_t len);

/* buf_puts(b, s): append the string ${s}.  Errors as buf_append. */
void buf_puts(struct buf *b, const char *s);

/* buf_putc(b, c): append one byte.  Errors as buf_append. */
void buf_putc(struct buf *b, char c);

/* buf_printf(b, fmt, ...): append as printf would.  Errors as buf_append. */
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * buf_room(b, len):
 * Make room for ${len} more bytes and return where they go, for callers that
 * read(2) straight into the buffer and then add to ${b}->len themselves (the
 * NUL behind them is theirs to write too).  NULL and ${b}->err if impossible.
 */
char *buf_room(struct buf *b, size_t len);

/* buf_drop(b, n): remove the first ${n} bytes; ${n} <= ${b}->len. */
void buf_drop(struct buf *b, size_t n);

#endif
