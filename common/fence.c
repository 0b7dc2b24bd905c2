/*
 * Landlock, by its system calls: the C library has none.  What a program may
 * touch its caller says.
 */

#define _GNU_SOURCE /* O_PATH, syscall */

#include "fence.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of some systems. */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* from version 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* from version 5 */
#define NET_ALL UINT64_C(3)   /* bind and connect TCP, from version 4 */
#define SCOPE_ALL UINT64_C(3) /* abstract sockets, signals: from version 6 */

#define ON_FILES                                                         \
	((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE |                        \
	    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | \
	    FS_TRUNCATE)
#define READ_ONLY \
	((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define READ_WRITE                                                           \
	(READ_ONLY | LANDLOCK_ACCESS_FS_WRITE_FILE |                         \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |      \
	    FS_TRUNCATE)
/* All of the first version, so that what is not granted is refused. */
#define ALL ((UINT64_C(1) << 13) - 1)

/* The kernel's struct, whole; older kernels take the front of it. */
struct attr {
	uint64_t fs, net, scoped;
};

int
fence_begin(struct fence *f, int alone)
{
	struct attr a = { .fs = ALL };
	size_t size = sizeof(a.fs);

	f->failed = 0;
	f->rules = -1;
	f->version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (f->version < 1)
		return -1;
	if (f->version >= 3)
		a.fs |= FS_TRUNCATE;
	if (alone && f->version >= 5)
		a.fs |= FS_IOCTL_DEV;
	if (alone && f->version >= 4) {
		a.net = NET_ALL;
		size = offsetof(struct attr, scoped);
	}
	if (alone && f->version >= 6) {
		a.scoped = SCOPE_ALL;
		size = sizeof(a);
	}
	f->rules = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
	if (f->rules == -1)
		return -1;
	(void)fcntl(f->rules, F_SETFD, FD_CLOEXEC);
	return 0;
}

void
fence_grant(struct fence *f, const char *path, enum fence_access access)
{
	struct landlock_path_beneath_attr at;
	uint64_t rights = access == FENCE_READ ? READ_ONLY : READ_WRITE;
	struct stat st;

	if (f->version < 3)
		rights &= ~FS_TRUNCATE;
	memset(&at, 0, sizeof(at));
	at.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (at.parent_fd == -1) {
		/* What is not there needs no grant. */
		if (errno != ENOENT && errno != EACCES)
			f->failed = errno;
		return;
	}
	if (fstat(at.parent_fd, &st) == 0) {
		at.allowed_access =
		    S_ISDIR(st.st_mode) ? rights : rights & ON_FILES;
		if (syscall(SYS_landlock_add_rule, f->rules,
			LANDLOCK_RULE_PATH_BENEATH, &at, 0) == -1)
			f->failed = errno;
	} else {
		f->failed = errno;
	}
	(void)close(at.parent_fd);
}

void
fence_grant_folder(struct fence *f, const char *path, enum fence_access access)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (slash == NULL || slash == path)
		return;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	fence_grant(f, dir, access);
}

int
fence_end(struct fence *f)
{
	int e = f->failed, rc = -1;

	if (e == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		    syscall(SYS_landlock_restrict_self, f->rules, 0) == 0)
			rc = 0;
		else
			e = errno;
	}
	(void)close(f->rules);
	f->rules = -1;
	errno = e;
	return rc;
}
