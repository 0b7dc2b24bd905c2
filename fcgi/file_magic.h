#ifndef FILE_MAGIC_H
#define FILE_MAGIC_H

#include <stddef.h>

#include "file_kind.h"

#define FILE_KIND_HEAD 65536 /* bytes from the beginning that are looked at */

/*
 * file_kind_of(p, len, kind): by the first ${len} bytes of the file.  1; 0 not
 * a kind that is taken; -1 the kinds' table of the system cannot be read
 * (logged).
 */
int file_kind_of(const void *p, size_t len, const struct file_kind **kind);

#endif
