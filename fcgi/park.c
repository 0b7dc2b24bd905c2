/*
 * Connections whose request has begun to come, until it is there.  Nothing is
 * taken from them: what is there is looked at, and read by libfcgi later.
 */
#define _GNU_SOURCE /* accept4, ppoll */

#include "park.h"

#include "clock.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_BYTES (32 << 10) /* that many are enough to begin with */
#define FIRST_MS 10           /* for one just taken, before others are */
#define STOP_MS 1000          /* when we end */

/* Of a FastCGI record. */
#define HEAD_BYTES 8
#define VERSION 1
#define BEGIN_REQUEST 1
#define PARAMS 4
#define STDIN 5

int
park_whole(const unsigned char *p, size_t len)
{
	size_t content, all;

	while (len > 0) {
		if (p[0] != VERSION)
			return 1;
		if (len < HEAD_BYTES)
			return 0;
		/* An end, a question of the server's, or nonsense. */
		if (p[1] != BEGIN_REQUEST && p[1] != PARAMS && p[1] != STDIN)
			return 1;
		content = (size_t)p[4] << 8 | p[5];
		if (p[1] == STDIN && content == 0)
			return 1;
		all = HEAD_BYTES + content + p[6];
		if (all > len)
			return 0;
		p += all;
		len -= all;
	}
	return 0;
}

/* Whether waiting for more of it is of no use. */
static bool
ready(int fd)
{
	static unsigned char look[LOOK_BYTES];
	ssize_t n = recv(fd, look, sizeof(look), MSG_PEEK | MSG_DONTWAIT);

	if (n == -1)
		return errno != EAGAIN && errno != EINTR;
	return n == 0 || n == (ssize_t)sizeof(look) ||
	       park_whole(look, (size_t)n);
}

/* Give the place back; the connection is left as it is. */
static int
leave(struct park *pk, size_t i)
{
	int fd = pk->c[i].fd;

	(void)epoll_ctl(pk->ep, EPOLL_CTL_DEL, fd, NULL);
	memmove(&pk->c[i], &pk->c[i + 1], (--pk->n - i) * sizeof(pk->c[0]));
	return fd;
}

static void
cut(struct park *pk, size_t i)
{
	log_info("serve: a request did not come");
	(void)close(leave(pk, i));
}

/* Have it wait, the newest last; false: it cannot. */
static bool
enter(struct park *pk, int fd, int64_t until_ms)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.fd = fd };

	if (pk->ep == -1)
		return false;
	if (pk->n == PARK_MAX)
		cut(pk, 0); /* a kept one is never among so many */
	if (epoll_ctl(pk->ep, EPOLL_CTL_ADD, fd, &ev) == -1) {
		log_sys("serve epoll");
		return false;
	}
	pk->c[pk->n].fd = fd;
	pk->c[pk->n++].until_ms = until_ms;
	return true;
}

/* One of those that wait, within ${wait_ms}; or -1. */
static int
take_parked(struct park *pk, int64_t wait_ms)
{
	int64_t end = clock_mono_ms() + wait_ms, left = wait_ms;
	struct epoll_event ev;
	size_t i;

	while (pk->n > 0 && epoll_wait(pk->ep, &ev, 1, (int)left) == 1) {
		for (i = 0; i < pk->n && pk->c[i].fd != ev.data.fd; i++)
			;
		if (i < pk->n && ready(ev.data.fd))
			return leave(pk, i);
		if (i < pk->n &&
		    (ev.events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0)
			(void)close(leave(pk, i));
		left = end - clock_mono_ms();
		left = left > 0 ? left : 0;
	}
	return -1;
}

/* Cut off who had its time; the newest may have been there the shortest. */
static void
expire(struct park *pk)
{
	int64_t now = clock_mono_ms();
	size_t i;

	for (i = pk->n; i-- > 0;)
		if (pk->c[i].until_ms <= now)
			cut(pk, i);
}

void
park_init(struct park *pk, int listener, int64_t wait_ms)
{
	memset(pk, 0, sizeof(*pk));
	pk->listener = listener;
	pk->wait_ms = wait_ms;
	if ((pk->ep = epoll_create1(EPOLL_CLOEXEC)) == -1)
		log_sys("serve epoll");
}

void
park_fini(struct park *pk)
{
	while (pk->n > 0)
		cut(pk, 0);
	if (pk->ep != -1)
		(void)close(pk->ep);
	pk->ep = -1;
}

void
park_keep(struct park *pk, int fd)
{
	if (!enter(pk, fd, INT64_MAX))
		(void)close(fd);
}

void
park_stop(struct park *pk)
{
	int64_t until = clock_mono_ms() + STOP_MS;
	size_t i;

	pk->listener = -1;
	for (i = pk->n; i-- > 0;)
		if (pk->c[i].until_ms == INT64_MAX)
			(void)close(leave(pk, i));
		else if (pk->c[i].until_ms > until)
			pk->c[i].until_ms = until;
}

/* Who has a kept connection leaves new ones to others. */
static int
open_listener(const struct park *pk)
{
	size_t i;

	for (i = 0; i < pk->n; i++)
		if (pk->c[i].until_ms == INT64_MAX)
			return -1;
	return pk->listener;
}

int
park_take(struct park *pk)
{
	int fd;

	if (pk->n > 0) {
		if ((fd = take_parked(pk, 0)) != -1)
			return fd;
		expire(pk);
	}
	while (open_listener(pk) != -1 &&
	       (fd = accept4(pk->listener, NULL, NULL, SOCK_CLOEXEC)) != -1) {
		if (ready(fd) || !enter(pk, fd, clock_mono_ms() + pk->wait_ms))
			return fd;
		/* As a rule the rest is on its way. */
		if ((fd = take_parked(pk, FIRST_MS)) != -1)
			return fd;
	}
	return -1;
}

int
park_wait(struct park *pk, const sigset_t *mask)
{
	struct pollfd p[2] = { { .fd = open_listener(pk), .events = POLLIN },
		{ .fd = pk->n > 0 ? pk->ep : -1, .events = POLLIN } };
	int64_t until = INT64_MAX, left;
	struct timespec ts;
	size_t i;

	for (i = 0; i < pk->n; i++)
		if (pk->c[i].until_ms < until)
			until = pk->c[i].until_ms;
	left = until - clock_mono_ms();
	left = left > 0 ? left : 0;
	ts.tv_sec = (time_t)(left / 1000);
	ts.tv_nsec = (long)(left % 1000) * 1000000;
	if (ppoll(p, 2, until == INT64_MAX ? NULL : &ts, mask) != -1 ||
	    errno == EINTR)
		return 0;
	log_sys("serve poll");
	return -1;
}

bool
park_waiting(const struct park *pk)
{
	struct pollfd p[2] = { { .fd = open_listener(pk), .events = POLLIN },
		{ .fd = pk->n > 0 ? pk->ep : -1, .events = POLLIN } };

	return poll(p, 2, 0) > 0;
}
