/* Small mapped files for soft state that all processes share. */

#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "share.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int
share_reserve(int fd, const struct stat *st, size_t size)
{
	int err;

	if ((uint64_t)st->st_size >= size &&
	    (uint64_t)st->st_blocks * 512 >= size)
		return 0;
	if ((err = posix_fallocate(fd, 0, (off_t)size)) == 0)
		return 0;
	errno = err;
	return -1;
}

static int
share_open(const char *path, size_t size)
{
	struct stat st;
	int fd;

	fd = open(
	    path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd == -1)
		return -1;
	/* One maker at a time; growing keeps what other processes mapped. */
	if (flock(fd, LOCK_EX) == -1 || fstat(fd, &st) == -1 ||
	    !S_ISREG(st.st_mode) || st.st_uid != geteuid())
		goto bad;
	if (share_reserve(fd, &st, size) == -1)
		goto bad;
	(void)flock(fd, LOCK_UN);
	return fd;
bad:
	(void)close(fd);
	return -1;
}

void *
share_map(const char *path, size_t size)
{
	static bool told;
	void *p = MAP_FAILED;
	int fd;

	if ((fd = share_open(path, size)) != -1) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		(void)close(fd);
	}
	if (p != MAP_FAILED)
		return p;
	if (!told) {
		told = true;
		log_sys("share file=%s, counting alone", path);
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p != MAP_FAILED ? p : NULL;
}

void
share_unmap(void *p, size_t size)
{
	if (p != NULL)
		(void)munmap(p, size);
}
