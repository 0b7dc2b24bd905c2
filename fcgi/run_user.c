/*
 * parley run as root: it gives the workspace to an unprivileged user and
 * becomes that user.
 */
#define _GNU_SOURCE /* setgroups, nftw */

#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parley.h"
#include "run.h"

static uid_t give_uid;
static gid_t give_gid;

static int
give_one(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	(void)f;
	if (type == FTW_NS)
		return 0;
	if (sb->st_uid == give_uid && sb->st_gid == give_gid)
		return 0;
	if (lchown(path, give_uid, give_gid) == -1 && errno != ENOENT) {
		parley_err("cannot give %s away: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

/*
 * See that the folders above ${path} let the unprivileged user through: a
 * clone in root's home does not.
 */
static int
let_through(const char *path)
{
	char part[PARLEY_PATH_MAX];
	struct stat sb;
	size_t i;

	for (i = 1; path[i] != '\0'; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (stat(part, &sb) == -1)
			continue;
		if ((sb.st_mode & S_IXOTH) != 0 ||
		    (sb.st_uid == give_uid && (sb.st_mode & S_IXUSR) != 0))
			continue;
		if (chmod(part, (sb.st_mode & 07777) | S_IXOTH) == -1) {
			parley_err(
			    "%s is closed to the unprivileged user", part);
			return -1;
		}
		parley_err("note: chmod o+x %s, since the servers do not run "
			   "as root",
		    part);
	}
	return 0;
}

int
run_user_drop(struct run *r)
{
	const char *su = getenv("SUDO_UID"), *sg = getenv("SUDO_GID");
	char name[64] = "nobody";
	long uid = 0, gid = 0;
	struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	if (su != NULL && parley_number(su, 1, 0x7ffffffe, &uid) == 0) {
		if (sg == NULL || parley_number(sg, 1, 0x7ffffffe, &gid) == -1)
			gid = uid;
		snprintf(name, sizeof(name), "user %ld", uid);
	} else {
		if ((pw = getpwnam("nobody")) == NULL || pw->pw_uid == 0) {
			parley_err("no user nobody here: run as another user "
				   "than root");
			return -1;
		}
		uid = (long)pw->pw_uid;
		gid = (long)pw->pw_gid;
	}
	give_uid = (uid_t)uid;
	give_gid = (gid_t)gid;
	if (nftw(r->cf.state_dir, give_one, 16, FTW_PHYS | FTW_MOUNT) != 0)
		return -1;
	if (let_through(r->conf) == -1 || let_through(r->bin) == -1 ||
	    let_through(r->cf.www_dir) == -1)
		return -1;
	if (setgroups(0, NULL) == -1 || setgid(give_gid) == -1 ||
	    setuid(give_uid) == -1 || setuid(0) != -1) {
		parley_err("cannot become %s", name);
		return -1;
	}
	return 0;
}
