#ifndef MEDIA_DIR_H
#define MEDIA_DIR_H

#include <stdint.h>

#include "conf.h"
#include "file_kind.h"
#include "token.h"

/*
 * Files below media_dir: one comes in under a name for the time being, is
 * looked at, cleaned, and gets its own random name when it is whole.  No path
 * from outside is ever used; the database knows the names (store_media.h).
 */

#define MEDIA_PATH_SIZE TOKEN_SIZE /* a file's name with its NUL */

/* A file coming in.  media_begin makes it, media_drop ends it. */
struct media_in {
	const struct conf *cf;
	int dir, fd;
	char path[MEDIA_PATH_SIZE + 4]; /* of now */
	int64_t size;
	int64_t max; /* bytes; what is longer is refused */

	/* After media_check: */
	const struct file_kind *kind;
	uint32_t width, height; /* 0: no image */
	char sha256[TOKEN_HASH_SIZE];
};

enum media_verdict {
	MEDIA_GOOD,
	MEDIA_TOO_LARGE, /* 413 */
	MEDIA_NO_SPACE,  /* 507 */
	MEDIA_BAD_KIND,  /* 415: not taken, malformed, too many pixels */
	MEDIA_EMPTY,     /* 422 */
	MEDIA_FAILED,    /* logged */
};

/*
 * media_begin(cf, in): a new file; NO_SPACE when the disk is too full for
 * uploads.  Whatever it says, media_drop is right afterwards.
 */
enum media_verdict media_begin(const struct conf *cf, struct media_in *in);

/* media_write(in, p, n): the next bytes: GOOD, TOO_LARGE, NO_SPACE, FAILED. */
enum media_verdict media_write(struct media_in *in, const void *p, size_t n);

/*
 * media_check(in): it is all there: what is it?  JPEG and PNG are cleaned of
 * their metadata; then kind, size, pixels and hash are filled in.
 */
enum media_verdict media_check(struct media_in *in);

/*
 * media_keep(in): give it the name under which it stays, and see to it that
 * both survive a power cut.  ${in}->path is that name then.  GOOD, NO_SPACE or
 * FAILED.  What is kept and not named in the database goes by itself
 * (media_tidy).
 */
enum media_verdict media_keep(struct media_in *in);

/* media_drop(in): close it; what was not kept is gone. */
void media_drop(struct media_in *in);

/* media_remove(cf, path): take a file away; 0 also when it is not there. */
int media_remove(const struct conf *cf, const char *path);

/* media_open(cf, path): for reading, or -1 (logged unless it is not there). */
int media_open(const struct conf *cf, const char *path);

struct store;

/*
 * media_tidy(cf, st, all): the worker's: remove files whose rows are gone; with
 * ${all} uploads that no message used and files that no row names, too.
 */
void media_tidy(const struct conf *cf, struct store *st, int all);

#endif
