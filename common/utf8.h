#ifndef PARLEY_UTF8_H
#define PARLEY_UTF8_H

/* UTF-8 as RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF.
 */

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Where a byte stream stands; a zeroed one is at the start. */
struct utf8 {
	unsigned char need;   /* continuation bytes still to come */
	unsigned char lo, hi; /* bounds of the next of them */
};

/*
 * utf8_feed(u, p, len):
 * Take the next ${len} bytes of a stream.  0, or -1 as soon as it cannot be
 * UTF-8 any more.  At the end of the text ${u}->need must be 0.
 */
int utf8_feed(struct utf8 *u, const void *p, size_t len);

/* utf8_valid(p, len): whether all of it is UTF-8. */
bool utf8_valid(const void *p, size_t len);

/*
 * utf8_len(p, len):
 * Bytes of the character at the start of ${p} (1..4), or 0 if malformed or cut.
 */
size_t utf8_len(const void *p, size_t len);

/* utf8_clean(b, p, len): append ${p} to ${b}, faults replaced by U+FFFD. */
void utf8_clean(struct buf *b, const void *p, size_t len);

/* utf8_chars(p, len): characters (code points) of valid UTF-8. */
size_t utf8_chars(const void *p, size_t len);

/*
 * utf8_blank(p, len):
 * Whether valid UTF-8 shows nothing: it is empty, or white space throughout,
 * the kinds without width among them.
 */
bool utf8_blank(const void *p, size_t len);

/* utf8_utf16_units(p, len): UTF-16 code units of valid UTF-8. */
size_t utf8_utf16_units(const void *p, size_t len);

/*
 * utf8_cut(p, len, chars_max):
 * The greatest length <= ${len} that holds at most ${chars_max} whole
 * characters.
 */
size_t utf8_cut(const void *p, size_t len, size_t chars_max);

#endif
