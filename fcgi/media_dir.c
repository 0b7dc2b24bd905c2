/*
 * Files below media_dir: coming in, staying, going.  Every name is of our own
 * making and opened beneath the folder's descriptor without following links.
 */
#define _GNU_SOURCE /* O_NOFOLLOW with O_DIRECTORY, d_name */

#include "media_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <sodium.h>

#include "clock.h"
#include "file_magic.h"
#include "image.h"
#include "log.h"
#include "store_media.h"

#define COPY_BYTES 65536
#define PART_PREFIX "new-"
#define ALONE_MS (3600 * INT64_C(1000)) /* a file may be without a row */
#define ALONE_MAX 1000                  /* removed in one turn */

static int
folder_open(const struct conf *cf)
{
	int fd = open(
	    cf->media_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1)
		log_sys("media folder");
	return fd;
}

/* What a call that failed means for the file. */
static enum media_verdict
fault(const char *what)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return MEDIA_NO_SPACE;
	if (errno == EFBIG) /* the host's limit of a file */
		return MEDIA_TOO_LARGE;
	log_sys("media %s", what);
	return MEDIA_FAILED;
}

/* Whether the disk may take another upload. */
static enum media_verdict
space(const struct conf *cf, int dir)
{
	struct statvfs v;
	uint64_t left, all;

	if (fstatvfs(dir, &v) == -1)
		return MEDIA_GOOD;
	left = (uint64_t)v.f_bavail * v.f_frsize;
	all = (uint64_t)v.f_blocks * v.f_frsize;
	if (left < (uint64_t)cf->upload_free_bytes_min ||
	    left / 100 < all / 10000 * (uint64_t)cf->upload_free_percent_min)
		return MEDIA_NO_SPACE;
	return MEDIA_GOOD;
}

/* A new file of a random name that shows that it is not whole yet. */
static int
part_create(int dir, char path[MEDIA_PATH_SIZE + 4])
{
	char name[TOKEN_SIZE];
	int fd;

	token_new(name);
	snprintf(path, MEDIA_PATH_SIZE + 4, PART_PREFIX "%s", name);
	fd = openat(dir, path,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		path[0] = '\0';
	return fd;
}

enum media_verdict
media_begin(const struct conf *cf, struct media_in *in)
{
	enum media_verdict v;

	memset(in, 0, sizeof(*in));
	in->cf = cf;
	in->fd = -1;
	in->max = cf->file_bytes_max;
	if ((in->dir = folder_open(cf)) == -1)
		return MEDIA_FAILED;
	if ((v = space(cf, in->dir)) != MEDIA_GOOD)
		return v;
	if ((in->fd = part_create(in->dir, in->path)) == -1)
		return fault("create");
	return MEDIA_GOOD;
}

static int
write_whole(int fd, const char *p, size_t n)
{
	ssize_t put;

	while (n > 0) {
		put = write(fd, p, n);
		if (put == -1 && errno == EINTR)
			continue;
		if (put <= 0)
			return -1;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

enum media_verdict
media_write(struct media_in *in, const void *p, size_t n)
{
	if ((int64_t)n > in->max - in->size)
		return MEDIA_TOO_LARGE;
	if (write_whole(in->fd, p, n) == -1)
		return fault("write");
	in->size += (int64_t)n;
	return MEDIA_GOOD;
}

/* --- what it is ---------------------------------------------------------- */

struct strip {
	int from, to;
};

static ssize_t
strip_read(void *arg, uint64_t at, void *to, size_t n)
{
	struct strip *s = arg;
	size_t all = 0;
	ssize_t got;

	while (all < n) {
		got = pread(
		    s->from, (char *)to + all, n - all, (off_t)(at + all));
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		if (got == 0)
			break;
		all += (size_t)got;
	}
	return (ssize_t)all;
}

static int
strip_write(void *arg, const void *p, size_t n)
{
	struct strip *s = arg;

	return write_whole(s->to, p, n);
}

/* Put a copy without metadata in the place of ${in}'s file. */
static enum media_verdict
strip(struct media_in *in, const struct image_io *io, struct strip *s,
    enum image_kind kind, const struct image *im)
{
	char path[sizeof(in->path)];
	enum media_verdict v;
	int rc;

	if ((s->to = part_create(in->dir, path)) == -1)
		return fault("create");
	rc = image_strip(io, kind, im);
	if (rc != 1) {
		v = rc == 0 ? MEDIA_BAD_KIND : fault("strip");
		(void)unlinkat(in->dir, path, 0);
		close(s->to);
		return v;
	}
	(void)unlinkat(in->dir, in->path, 0);
	close(in->fd);
	in->fd = s->to;
	in->size = lseek(s->to, 0, SEEK_END);
	memcpy(in->path, path, sizeof(path));
	return in->size > 0 ? MEDIA_GOOD : MEDIA_FAILED;
}

static enum media_verdict
image_check(struct media_in *in)
{
	static const char *const mimes[] = { [IMAGE_JPEG] = "image/jpeg",
		[IMAGE_PNG] = "image/png",
		[IMAGE_GIF] = "image/gif",
		[IMAGE_WEBP] = "image/webp" };
	struct strip s = { .from = in->fd, .to = -1 };
	struct image_io io = { strip_read, strip_write, &s };
	enum image_kind kind = IMAGE_JPEG;
	struct image im;
	int rc;

	while (strcmp(mimes[kind], in->kind->mime) != 0) {
		if (kind == IMAGE_WEBP)
			return MEDIA_BAD_KIND;
		kind++;
	}
	if ((rc = image_look(&io, kind, &im)) == -1) {
		log_sys("media read");
		return MEDIA_FAILED;
	}
	if (rc == 0 ||
	    (uint64_t)im.width * im.height > (uint64_t)in->cf->image_pixels_max)
		return MEDIA_BAD_KIND;
	in->width = im.orientation > 4 ? im.height : im.width;
	in->height = im.orientation > 4 ? im.width : im.height;
	if (kind != IMAGE_JPEG && kind != IMAGE_PNG)
		return MEDIA_GOOD;
	return strip(in, &io, &s, kind, &im);
}

static int
hash(struct media_in *in)
{
	unsigned char raw[crypto_hash_sha256_BYTES];
	struct strip s = { .from = in->fd };
	crypto_hash_sha256_state st;
	char buf[COPY_BYTES];
	int64_t at = 0;
	ssize_t n;

	(void)crypto_hash_sha256_init(&st);
	while ((n = strip_read(&s, (uint64_t)at, buf, sizeof(buf))) > 0) {
		(void)crypto_hash_sha256_update(
		    &st, (unsigned char *)buf, (size_t)n);
		at += n;
	}
	(void)crypto_hash_sha256_final(&st, raw);
	(void)sodium_bin2hex(in->sha256, sizeof(in->sha256), raw, sizeof(raw));
	return n == 0 && at == in->size ? 0 : -1;
}

enum media_verdict
media_check(struct media_in *in)
{
	struct strip s = { .from = in->fd };
	static char head[FILE_KIND_HEAD];
	enum media_verdict v = MEDIA_GOOD;
	ssize_t n;

	if (in->size == 0)
		return MEDIA_EMPTY;
	if ((n = strip_read(&s, 0, head, sizeof(head))) <= 0)
		return MEDIA_FAILED;
	switch (file_kind_of(in->cf->magic_file, head, (size_t)n, &in->kind)) {
	case 1:
		break;
	case 0:
		return MEDIA_BAD_KIND;
	default:
		return MEDIA_FAILED;
	}
	if (strcmp(in->kind->group, "image") == 0)
		v = image_check(in);
	if (v == MEDIA_GOOD && hash(in) == -1) {
		log_error("media: a file changed under our hands");
		v = MEDIA_FAILED;
	}
	return v;
}

enum media_verdict
media_keep(struct media_in *in)
{
	char path[MEDIA_PATH_SIZE];

	token_new(path);
	if (fsync(in->fd) == -1 ||
	    renameat(in->dir, in->path, in->dir, path) == -1)
		return fault("keep");
	memcpy(in->path, path, sizeof(path));
	return fsync(in->dir) == 0 ? MEDIA_GOOD : fault("keep");
}

void
media_drop(struct media_in *in)
{
	if (in->fd != -1) {
		if (strncmp(in->path, PART_PREFIX, strlen(PART_PREFIX)) == 0)
			(void)unlinkat(in->dir, in->path, 0);
		close(in->fd);
	}
	if (in->dir != -1)
		close(in->dir);
	in->fd = in->dir = -1;
}

/* --- what stays and goes ------------------------------------------------- */

/* Whether ${path} is a name as media_keep makes them. */
static int
path_ours(const char *path)
{
	return strlen(path) == MEDIA_PATH_SIZE - 1 &&
	       strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
			    "yz0123456789-_") == MEDIA_PATH_SIZE - 1;
}

int
media_open(const struct conf *cf, const char *path)
{
	int dir, fd;

	if (!path_ours(path) || (dir = folder_open(cf)) == -1)
		return -1;
	fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 && errno != ENOENT)
		log_sys("media open");
	close(dir);
	return fd;
}

int
media_remove(const struct conf *cf, const char *path)
{
	int dir, rc;

	if (!path_ours(path) || (dir = folder_open(cf)) == -1)
		return -1;
	rc = unlinkat(dir, path, 0);
	if (rc == -1 && errno == ENOENT)
		rc = 0;
	if (rc == -1)
		log_sys("media remove");
	close(dir);
	return rc;
}

/* Files that no row names: their upload was cut off, or its transaction. */
static void
tidy_folder(const struct conf *cf, struct store *st)
{
	int64_t before = clock_now_ms() - ALONE_MS;
	struct dirent *e;
	int dir, n = 0;
	struct stat sb;
	DIR *d;

	if ((dir = folder_open(cf)) == -1)
		return;
	if ((d = fdopendir(dir)) == NULL) {
		log_sys("media folder");
		close(dir);
		return;
	}
	while (n < ALONE_MAX && (e = readdir(d)) != NULL) {
		bool part =
		    strncmp(e->d_name, PART_PREFIX, strlen(PART_PREFIX)) == 0;

		if ((!part && !path_ours(e->d_name)) ||
		    fstatat(dir, e->d_name, &sb, AT_SYMLINK_NOFOLLOW) == -1 ||
		    (int64_t)sb.st_mtime * 1000 > before)
			continue;
		if (!part && store_media_named(st, e->d_name) != STORE_NONE)
			continue;
		if (unlinkat(dir, e->d_name, 0) == 0)
			n++;
	}
	closedir(d);
	if (n > 0)
		log_info("media removed alone=%d", n);
}

void
media_tidy(const struct conf *cf, struct store *st, int all)
{
	char path[MEDIA_PATH_SIZE];

	if (all)
		while (store_media_unused(
			   st, clock_now_ms() - 1000 * cf->upload_keep_s) ==
		       STORE_DONE)
			;
	/* The row goes after the file: nothing is forgotten. */
	while (store_media_gone(st, path) == STORE_DONE) {
		if (media_remove(cf, path) == -1 ||
		    store_media_forget(st, path) != STORE_DONE)
			break;
	}
	if (all)
		tidy_folder(cf, st);
	store_idle(st);
}
