#ifndef FILE_MAGIC_H
#define FILE_MAGIC_H

#include <stddef.h>

#include "buf.h"
#include "file_kind.h"

#define FILE_KIND_HEAD 65536 /* bytes from the beginning that are looked at */

/*
 * file_magic_open(table, why): read ${table}, or the system's where it is
 * empty, once a process.  0, or -1 with why it cannot be read.
 */
int file_magic_open(const char *table, struct buf *why);

/*
 * file_kind_of(table, p, len, kind): by the first ${len} bytes of the file.
 * 1; 0 not a kind that is taken; -1 the table cannot be read (logged).
 */
int file_kind_of(const char *table, const void *p, size_t len,
    const struct file_kind **kind);

#endif
