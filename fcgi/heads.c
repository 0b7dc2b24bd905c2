/*
 * heads.map: the newest event id for each hash of a room's name, mapped by all
 * processes of the host.  What the numbers mean is the log's business
 * (store_event.c); here are the file, its validity and the atomic maximum.
 *
 * The file is only ever changed in place, under a lock while it is filled, so
 * that every process that maps it sees the same memory.
 */
#include "heads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "share.h"

#define HEADS_MAGIC UINT64_C(0x3150414d53444148) /* "HADSMAP1" */
#define HEADS_SLOTS 65536u                       /* a power of two */
#define HEADS_NAME 40                            /* bytes of boot and epoch */

/* The file as it is mapped. */
struct heads_map {
	uint64_t magic;
	_Atomic int64_t head;   /* newest id committed, as far as told */
	_Atomic uint32_t valid; /* 0 while it is being filled */
	uint32_t slots;
	char boot[HEADS_NAME];  /* of the machine when it was filled */
	char epoch[HEADS_NAME]; /* life of the log */
	char rest[4096 - 24 - 2 * HEADS_NAME];
	_Atomic int64_t newest[HEADS_SLOTS];
	_Atomic int64_t until[HEADS_SLOTS]; /* ms: an ephemeral to be seen */
};

struct heads {
	char *path;
	char boot[HEADS_NAME];
	bool write;
	int fd;
	dev_t dev; /* which file is mapped */
	ino_t ino;
	struct heads_map *map; /* NULL: not there yet */
	bool good;             /* as heads_good last saw it */
};

static unsigned
heads_slot(const char *room)
{
	uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

	for (; *room != '\0'; room++)
		h = (h ^ (unsigned char)*room) * UINT64_C(1099511628211);
	return (unsigned)(h ^ (h >> 32)) & (HEADS_SLOTS - 1);
}

static void
heads_max(_Atomic int64_t *slot, int64_t v)
{
	int64_t was = atomic_load(slot);

	while (was < v && !atomic_compare_exchange_weak(slot, &was, v))
		;
}

static void
heads_unmap(struct heads *h)
{
	if (h->map != NULL)
		munmap(h->map, sizeof *h->map);
	h->map = NULL;
	if (h->fd != -1)
		close(h->fd);
	h->fd = -1;
	h->good = false;
}

/* Map the file; a writer makes it, and gives it its disk space at once. */
static int
heads_map(struct heads *h)
{
	struct stat sb;
	void *p;

	h->fd = open(h->path,
	    (h->write ? O_RDWR | O_CREAT : O_RDWR) | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (h->fd == -1) {
		if (errno == ENOENT && !h->write)
			return 0; /* not yet */
		log_sys("heads open");
		return -1;
	}
	if (fstat(h->fd, &sb) == -1) {
		log_sys("heads stat");
		goto fail;
	}
	h->dev = sb.st_dev;
	h->ino = sb.st_ino;
	if ((uint64_t)sb.st_size < sizeof *h->map) {
		if (!h->write) {
			heads_unmap(h);
			return 0;
		}
	}
	if (h->write && share_reserve(h->fd, &sb, sizeof *h->map) == -1) {
		log_sys("heads allocate");
		goto fail;
	}
	p = mmap(
	    NULL, sizeof *h->map, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
	if (p == MAP_FAILED) {
		log_sys("heads map");
		goto fail;
	}
	h->map = p;
	return 1;
fail:
	heads_unmap(h);
	return -1;
}

static void
heads_boot(char out[HEADS_NAME])
{
	ssize_t n = 0;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd != -1) {
		n = read(fd, out, HEADS_NAME - 1);
		close(fd);
	}
	if (n < 0)
		n = 0;
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
}

struct heads *
heads_open(const char *path, const char *boot, bool write)
{
	struct heads *h = calloc(1, sizeof *h);

	if (h == NULL)
		return NULL;
	h->fd = -1;
	h->write = write;
	if ((h->path = strdup(path)) == NULL) {
		free(h);
		return NULL;
	}
	if (boot == NULL)
		heads_boot(h->boot);
	else
		strncpy(h->boot, boot, sizeof h->boot - 1);
	if (heads_map(h) == -1) {
		heads_close(h);
		return NULL;
	}
	heads_good(h);
	return h;
}

void
heads_close(struct heads *h)
{
	if (h == NULL)
		return;
	heads_unmap(h);
	free(h->path);
	free(h);
}

const char *
heads_boot_id(const struct heads *h)
{
	return h->boot;
}

bool
heads_good(struct heads *h)
{
	struct stat sb;

	/* Removed, renamed, cut short: look for the one that is there now. */
	if (h->fd != -1 &&
	    (stat(h->path, &sb) == -1 || sb.st_ino != h->ino ||
		sb.st_dev != h->dev || (uint64_t)sb.st_size < sizeof *h->map))
		heads_unmap(h);
	if (h->map == NULL && heads_map(h) != 1)
		return false;
	h->good = h->map->magic == HEADS_MAGIC &&
		  h->map->slots == HEADS_SLOTS &&
		  atomic_load(&h->map->valid) == 1 &&
		  strncmp(h->map->boot, h->boot, HEADS_NAME) == 0;
	return h->good;
}

bool
heads_is(struct heads *h, const char *epoch)
{
	return heads_good(h) && strncmp(h->map->epoch, epoch, HEADS_NAME) == 0;
}

int
heads_fill(struct heads *h, int64_t head, const char *epoch)
{
	unsigned i;

	if (h->map == NULL && heads_map(h) != 1)
		return -1;
	atomic_store(&h->map->valid, 0);
	if (h->map->magic != HEADS_MAGIC || h->map->slots != HEADS_SLOTS)
		memset(h->map, 0, sizeof *h->map); /* whatever it was */
	for (i = 0; i < HEADS_SLOTS; i++)
		heads_max(&h->map->newest[i], head);
	heads_max(&h->map->head, head);
	h->map->magic = HEADS_MAGIC;
	h->map->slots = HEADS_SLOTS;
	memset(h->map->boot, 0, HEADS_NAME);
	memcpy(h->map->boot, h->boot, strlen(h->boot));
	memset(h->map->epoch, 0, HEADS_NAME);
	strncpy(h->map->epoch, epoch, HEADS_NAME - 1);
	atomic_store(&h->map->valid, 1);
	h->good = true;
	return 0;
}

void
heads_raise(struct heads *h, const char *room, int64_t id)
{
	if (h->map == NULL)
		return;
	heads_max(&h->map->newest[heads_slot(room)], id);
}

void
heads_commit(struct heads *h, int64_t id)
{
	if (h->map != NULL)
		heads_max(&h->map->head, id);
}

int64_t
heads_newest(struct heads *h, const char *room)
{
	if (!h->good)
		return INT64_MAX;
	return atomic_load(&h->map->newest[heads_slot(room)]);
}

int64_t
heads_all(struct heads *h, const char *const *rooms, size_t n)
{
	int64_t id, newest = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		id = heads_newest(h, rooms[i]);
		if (id > newest)
			newest = id;
	}
	return newest;
}

int64_t
heads_head(struct heads *h)
{
	return h->good ? atomic_load(&h->map->head) : 0;
}

void
heads_signal(struct heads *h, const char *room, int64_t until_ms)
{
	if (h->good)
		atomic_store(&h->map->until[heads_slot(room)], until_ms);
}

bool
heads_signalled(struct heads *h, const char *room, int64_t now_ms)
{
	int64_t until;

	if (!h->good)
		return true;
	until = atomic_load(&h->map->until[heads_slot(room)]);
	/* A clock set back must not leave it on for ever. */
	return until > now_ms && until < now_ms + 60000;
}
