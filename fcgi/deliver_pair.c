/*
 * The file that new tokens lie in until the database has them.  What is in it,
 * and when it is looked at, is the business of deliver_token.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "buf.h"
#include "deliver_pair.h"
#include "json.h"
#include "log.h"
#include "token.h"

#define PAIR_MAX 32768 /* bytes of the file */
#define DEPTH_MAX 4
#define MEMBERS_MAX 64
#define PATH_BYTES 4300

/* ${db}'s folder with .token-N${more} in it. */
static void
pair_path(const char *db, int64_t channel, const char *more, char *out)
{
	const char *slash = strrchr(db, '/');

	snprintf(out, PATH_BYTES, "%.*s.token-%lld%s",
	    slash != NULL ? (int)(slash - db) + 1 : 0, db, (long long)channel,
	    more);
}

static int
write_whole(int fd, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		if ((n = write(fd, p, len)) == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		p += n;
		len -= (size_t)n;
	}
	return fsync(fd);
}

/* The folder's entry as well shall outlive a loss of power. */
static void
folder_sync(const char *path)
{
	char dir[PATH_BYTES];
	char *slash;
	int fd;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash != NULL)
		slash[1] = '\0';
	fd =
	    open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return;
	(void)fsync(fd);
	close(fd);
}

/* {"replaces": hash of the old token, "settings": {...}} */
static void
pair_write(const char *old, struct json_object *fresh, struct buf *b)
{
	struct json_object *o = json_object_new_object();
	char hash[TOKEN_HASH_SIZE];

	token_hash(old, strlen(old), hash);
	json_put_str(o, "replaces", hash);
	json_put(o, "settings", json_object_get(fresh));
	json_write(o, b);
	json_object_put(o);
}

int
pair_keep(
    const char *db, int64_t channel, const char *old, struct json_object *fresh)
{
	char path[PATH_BYTES], made[PATH_BYTES];
	struct buf b;
	int fd = -1, rc = -1;

	buf_init(&b, PAIR_MAX);
	pair_path(db, channel, "", path);
	pair_path(db, channel, ".new", made);
	pair_write(old, fresh, &b);
	(void)unlink(made);
	if (b.err)
		goto out;
	fd = open(
	    made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 || write_whole(fd, b.data, b.len) == -1 ||
	    rename(made, path) == -1)
		goto out;
	folder_sync(path);
	rc = 0;
out:
	if (rc == -1)
		log_sys("token file channel=%lld", (long long)channel);
	if (fd != -1)
		close(fd);
	if (b.data != NULL)
		sodium_memzero(b.data, b.len);
	buf_fini(&b);
	return rc;
}

/* The file's object, new, or NULL. */
static struct json_object *
pair_read(const char *path)
{
	struct json_object *o = NULL;
	char text[PAIR_MAX];
	const char *why;
	ssize_t n;
	int fd;

	if ((fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		return NULL;
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n > 0 && json_parse(text, (size_t)n, DEPTH_MAX, MEMBERS_MAX,
			 PAIR_MAX, &o, &why) == -1)
		o = NULL;
	sodium_memzero(text, sizeof(text));
	return o;
}

struct json_object *
pair_find(const char *db, int64_t channel, const char *old)
{
	struct json_object *o, *settings = NULL;
	char path[PATH_BYTES], hash[TOKEN_HASH_SIZE];
	const char *replaces;
	size_t len;

	pair_path(db, channel, "", path);
	if ((o = pair_read(path)) == NULL)
		return NULL;
	token_hash(old, strlen(old), hash);
	if (json_get_str(o, "replaces", &replaces, &len) == 1 &&
	    strcmp(replaces, hash) == 0 &&
	    json_get_obj(o, "settings", &settings) == 1)
		json_object_get(settings);
	else
		pair_drop(db, channel);
	json_object_put(o);
	return settings;
}

void
pair_drop(const char *db, int64_t channel)
{
	char path[PATH_BYTES];

	pair_path(db, channel, "", path);
	if (unlink(path) == -1 && errno != ENOENT)
		log_sys("token file channel=%lld", (long long)channel);
}
