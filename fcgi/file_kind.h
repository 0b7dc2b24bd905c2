#ifndef FILE_KIND_H
#define FILE_KIND_H

#include <stddef.h>

/*
 * What kind of file it is, by its content: only these are taken, whatever
 * their names or their senders say.
 */
struct file_kind {
	const char *mime;  /* as it is stored and served */
	const char *group; /* image, video, audio, file: a message's kind */
	const char *exts; /* " jpg jpeg ": the first is given to the nameless */
};

/* file_kind_find(mime): one of ours by its name, or NULL. */
const struct file_kind *file_kind_find(const char *mime);

/*
 * file_kind_inline(k): whether it may be shown in a page; others are to be
 * saved.
 */
int file_kind_inline(const struct file_kind *k);

#define FILE_NAME_SIZE 256 /* bytes of a cleaned name with its NUL */

/*
 * file_name_clean(k, name, len, out):
 * A name for people: the last part of a path, UTF-8 without controls, marks of
 * direction, and what file systems dislike; cut; with an ending of its kind.
 * Never empty.
 */
void file_name_clean(const struct file_kind *k, const char *name, size_t len,
    char out[FILE_NAME_SIZE]);

#endif
