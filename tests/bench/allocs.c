/*
 * Counts what a program takes from the heap, from within:
 *
 *	LD_PRELOAD=allocs.so BENCH_ALLOCS=FILE BENCH_ALLOCS_OF=pushd ...
 *
 * In FILE.PID stand two numbers of 8 bytes, always true: how often memory was
 * taken, and how many bytes are in use now, the heap's own heads included.
 * Other programs than the one that is named are left alone.
 */
#define _GNU_SOURCE /* program_invocation_short_name */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

struct counts {
	uint64_t taken, bytes;
};

static struct counts own, *counts = &own;

static void *
took(void *p)
{
	if (p != NULL) {
		counts->taken++;
		counts->bytes += malloc_usable_size(p) + sizeof(size_t);
	}
	return p;
}

static void
gave(void *p)
{
	if (p != NULL)
		counts->bytes -= malloc_usable_size(p) + sizeof(size_t);
}

void *
malloc(size_t n)
{
	return took(__libc_malloc(n));
}

void *
calloc(size_t n, size_t size)
{
	return took(__libc_calloc(n, size));
}

void *
realloc(void *p, size_t n)
{
	void *q;

	gave(p);
	if ((q = __libc_realloc(p, n)) == NULL && n > 0 && p != NULL) {
		counts->bytes += malloc_usable_size(p) + sizeof(size_t);
		return NULL;
	}
	return took(q);
}

void *
aligned_alloc(size_t align, size_t n)
{
	return took(__libc_memalign(align, n));
}

int
posix_memalign(void **p, size_t align, size_t n)
{
	void *q = took(__libc_memalign(align, n));

	if (q == NULL)
		return ENOMEM;
	*p = q;
	return 0;
}

void
free(void *p)
{
	gave(p);
	__libc_free(p);
}

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("BENCH_ALLOCS"),
		   *of = getenv("BENCH_ALLOCS_OF");
	char name[4200];
	void *p;
	int fd;

	if (path == NULL || of == NULL ||
	    strcmp(of, program_invocation_short_name) != 0)
		return;
	snprintf(name, sizeof(name), "%s.%ld", path, (long)getpid());
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1 || ftruncate(fd, sizeof(own)) == -1)
		return;
	p = mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return;
	memcpy(p, &own, sizeof(own));
	counts = p;
}
