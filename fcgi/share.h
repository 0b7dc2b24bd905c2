#ifndef PARLEY_SHARE_H
#define PARLEY_SHARE_H

#include <stddef.h>

struct stat;

/*
 * share_map(path, size):
 * Map the first ${size} bytes of the file ${path}, made 0600 and grown with
 * zeros as needed, for all processes to share.  Where there can be no file
 * (logged once), memory of this process alone; NULL if there is none either.
 */
void *share_map(const char *path, size_t size);

/*
 * share_reserve(fd, st, size):
 * Give the file ${fd}, which is as ${st} says, ${size} bytes and their place on
 * the disk: a store into a hole of a mapped file kills when the disk is full.
 * 0, or -1 and errno.
 */
int share_reserve(int fd, const struct stat *st, size_t size);

/* share_unmap(p, size): give it back.  Takes NULL. */
void share_unmap(void *p, size_t size);

#endif
