#ifndef PARLEY_ID_H
#define PARLEY_ID_H

#include <stddef.h>
#include <stdint.h>

/*
 * id_parse(p, len):
 * The id written at ${p}: [1-9][0-9]{0,18} within int64, all ${len} bytes.
 * > 0, or 0 if it is not one.
 */
int64_t id_parse(const char *p, size_t len);

/*
 * id_cursor(p, len):
 * The cursor written at ${p}: digits, "0" too, below 2^53, at most
 * CURSOR_BYTES_MAX bytes.  >= 0, or -1 if it is not one.
 */
int64_t id_cursor(const char *p, size_t len);

/*
 * id_number(p, len, lo, hi, out):
 * A whole decimal number, perhaps with '-', within ${lo}..${hi}.  0, or -1.
 */
int id_number(const char *p, size_t len, int64_t lo, int64_t hi, int64_t *out);

#endif
