/*
 * What a program that speaks to strangers may touch, told to the kernel: an
 * attacker who takes it over gets our own files and no more.
 */

#define _GNU_SOURCE /* O_PATH, syscall */

#include "confine.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of some systems. */
#define FS_TRUNCATE (UINT64_C(1) << 14) /* from version 3 */

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

/* Grant ${access} beneath ${path}; what is not there needs no grant. */
static int
grant(int rules, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr at;
	struct stat st;
	int rc = -1;

	memset(&at, 0, sizeof(at));
	at.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (at.parent_fd == -1)
		return errno == ENOENT || errno == EACCES ? 0 : -1;
	if (fstat(at.parent_fd, &st) == 0) {
		at.allowed_access =
		    S_ISDIR(st.st_mode) ? access : access & ON_FILES;
		rc = (int)syscall(SYS_landlock_add_rule, rules,
		    LANDLOCK_RULE_PATH_BENEATH, &at, 0);
	}
	(void)close(at.parent_fd);
	return rc;
}

/* The folder that holds ${path}. */
static int
grant_folder(int rules, const char *path, uint64_t access)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	if (slash == NULL || slash == path)
		return 0;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	return grant(rules, dir, access);
}

int
confine(const struct conf *cf)
{
	static const char *const read_only[] = { "/proc/sys/kernel/random",
		"/dev/urandom", "/etc/localtime", "/usr/share/zoneinfo" };
	struct landlock_ruleset_attr attr;
	uint64_t extra, read_write;
	int rules = -1, rc = -1;
	long version;
	size_t i;

	version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1) {
		log_info("confine: this kernel has no Landlock");
		return -1;
	}
	extra = version >= 3 ? FS_TRUNCATE : 0;
	read_write = version >= 3 ? READ_WRITE : READ_WRITE & ~FS_TRUNCATE;
	memset(&attr, 0, sizeof(attr));
	attr.handled_access_fs = ALL | extra;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr,
	    sizeof(attr.handled_access_fs), 0);
	if (rules == -1)
		goto out;
	(void)fcntl(rules, F_SETFD, FD_CLOEXEC);
	if (grant(rules, cf->state_dir, read_write) == -1 ||
	    grant(rules, cf->run_dir, read_write) == -1 ||
	    grant(rules, cf->log_dir, read_write) == -1 ||
	    grant(rules, cf->media_dir, read_write) == -1 ||
	    grant_folder(rules, cf->db, read_write) == -1 ||
	    grant_folder(rules, cf->hint_socket, read_write) == -1 ||
	    grant(rules, cf->www_dir, READ_ONLY) == -1)
		goto out;
	for (i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++)
		if (grant(rules, read_only[i], READ_ONLY) == -1)
			goto out;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    syscall(SYS_landlock_restrict_self, rules, 0) == -1)
		goto out;
	rc = 0;
out:
	if (rc == -1)
		log_sys("confine");
	if (rules != -1)
		(void)close(rules);
	return rc;
}
