#ifndef PARLEY_CARRY_H
#define PARLEY_CARRY_H

/*
 * What one pushd tells the next, as bytes: numbers, texts, and the records
 * that hold them.  Bytes in, values out: no socket, no loop.
 *
 * Both ends are of one machine and, by the version that they compare first, of
 * one opinion; still nothing read here is believed: each number has a bound,
 * each text a length.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

#define CARRY_HEAD 6                 /* bytes of a record's head */
#define CARRY_RECORD_MAX (64u << 20) /* bytes of a record's content */

/* carry_num(b, n): append a number. */
void carry_num(struct buf *b, uint64_t n);

/* carry_int(b, n): append a number that may be below 0. */
void carry_int(struct buf *b, int64_t n);

/* carry_bytes(b, p, len): append ${len} bytes and how many they are. */
void carry_bytes(struct buf *b, const void *p, size_t len);

/* carry_text(b, s): append a text; NULL is told from "". */
void carry_text(struct buf *b, const char *s);

/* What is still to be read.  The first fault sticks, as with struct buf. */
struct carry_in {
	const char *p;
	size_t left;
	int bad;
};

/* carry_get_num(in, max): the number; 0 and a fault if above ${max}. */
uint64_t carry_get_num(struct carry_in *in, uint64_t max);

/* carry_get_int(in, min, max): the number; 0 and a fault if out of bounds. */
int64_t carry_get_int(struct carry_in *in, int64_t min, int64_t max);

/*
 * carry_get_bytes(in, len, max):
 * The next bytes, borrowed, at most ${max} of them; "" and a fault else.
 */
const char *carry_get_bytes(struct carry_in *in, size_t *len, size_t max);

/*
 * carry_get_text(in, max):
 * The next text, borrowed, with its NUL, below ${max} bytes; NULL if it was
 * that, or with a fault.
 */
const char *carry_get_text(struct carry_in *in, size_t max);

/* carry_end(in): 0 if all was read and good, else -1. */
int carry_end(const struct carry_in *in);

/* One record: what it is, how many descriptors belong to it, its content. */
struct carry_record {
	unsigned type, fds;
	struct carry_in in;
};

/* carry_record(b, type, fds, content): append a record. */
void carry_record(
    struct buf *b, unsigned type, unsigned fds, const struct buf *content);

/*
 * carry_next(p, len, r):
 * Read a record, whose content stays in ${p}.  Return its bytes; 0 if there
 * are not all of them yet; -1 if it is too large.
 */
ssize_t carry_next(const char *p, size_t len, struct carry_record *r);

#endif
