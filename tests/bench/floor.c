/*
 * The floor: the least that holding and feeding connections can cost.
 *
 *	floor HOST:PORT HINT_SOCKET
 *
 * Takes requests for event streams, WebSockets and Socket.IO, answers each
 * with a greeting that does, and keeps of it a descriptor in a record of 16
 * bytes.  A packet at the Unix socket HINT_SOCKET is the frame to send, behind
 * four bytes that say to whom: one subscriber, in the order they came, or
 * FLOOR_ALL.  Each gets it by a plain send() of its own.
 */
#define _GNU_SOURCE /* accept4 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "sock.h"
#include "tests/bench/lib/streams.h"

enum { SUBSCRIBERS_MAX = 100000, FDS_MAX = 200000 };

struct subscriber {
	int fd;      /* -1: gone */
	int greeted; /* its request was answered */
	uint64_t spare;
};

_Static_assert(sizeof(struct subscriber) == 16, "what the floor may hold");

static struct subscriber *subs;
static uint32_t nsubs, by_fd[FDS_MAX];
static int ep, listener, hints;

static void
watch(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	ev.data.fd = fd;
	if (fd >= FDS_MAX || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1)
		exit(1);
}

/* All of it; a reader that lags is waited for. */
static void
put(struct subscriber *s, const char *p, size_t len)
{
	struct pollfd pf = { .fd = s->fd, .events = POLLOUT };
	ssize_t n;

	while (len > 0) {
		n = send(s->fd, p, len, MSG_NOSIGNAL);
		if (n == -1 && errno == EAGAIN) {
			poll(&pf, 1, 1000);
			continue;
		}
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void
greet(struct subscriber *s, char *p, size_t len)
{
	static const char upgrade[] =
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: none\r\n\r\n";
	static const char sse[] = "HTTP/1.1 200 OK\r\nContent-Type: "
				  "text/event-stream\r\n\r\ndata: hello\n\n";
	char out[256];
	int n;

	p[len] = '\0';
	if (strstr(p, "Upgrade:") == NULL)
		n = snprintf(out, sizeof(out), "%s", sse);
	else if (strncmp(p, "GET /socket.io/", 15) == 0)
		n = snprintf(out, sizeof(out),
		    "%s\x81\x0d"
		    "40{\"sid\":\"x\"}",
		    upgrade);
	else
		n = snprintf(out, sizeof(out),
		    "%s\x81\x17"
		    "{\"type\":\"auth_success\"}",
		    upgrade);
	s->greeted = 1;
	put(s, out, (size_t)n);
}

static void
hear(int fd)
{
	static char data[65536];
	struct subscriber *s = &subs[by_fd[fd]];
	ssize_t n = recv(fd, data, sizeof(data) - 1, 0);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		close(fd);
		s->fd = -1;
		while (nsubs > 0 && subs[nsubs - 1].fd == -1)
			nsubs--;
	} else if (!s->greeted) {
		greet(s, data, (size_t)n);
	}
}

static void
take(void)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		if (nsubs == SUBSCRIBERS_MAX)
			exit(1);
		watch(fd);
		by_fd[fd] = nsubs;
		subs[nsubs++] = (struct subscriber){ .fd = fd };
	}
}

/* What one who tells us what to send has; until there is no more. */
static void
hint(int fd)
{
	static char packet[65536];
	uint32_t to, i;
	ssize_t n;
	int left = 256;

	while (left-- > 0) {
		n = recv(fd, packet, sizeof(packet), 0);
		if (n == -1 && errno == EAGAIN)
			return;
		if (n < (ssize_t)sizeof(to)) {
			close(fd);
			return;
		}
		memcpy(&to, packet, sizeof(to));
		n -= (ssize_t)sizeof(to);
		if (to != FLOOR_ALL && to < nsubs)
			put(&subs[to], packet + sizeof(to), (size_t)n);
		for (i = 0; to == FLOOR_ALL && i < nsubs; i++)
			if (subs[i].fd != -1)
				put(&subs[i], packet + sizeof(to), (size_t)n);
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event ev[256];
	static char is_hint[FDS_MAX];
	struct rlimit rl;
	int i, n, fd;

	if (argc != 3) {
		fputs("usage: floor HOST:PORT HINT_SOCKET\n", stderr);
		return 2;
	}
	log_open("floor", NULL, LOG_WARN);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	subs = calloc(SUBSCRIBERS_MAX, sizeof(*subs));
	ep = epoll_create1(EPOLL_CLOEXEC);
	listener = sock_listen(argv[1], SOCK_STREAM, 4096);
	hints = sock_listen(argv[2], SOCK_SEQPACKET, 16);
	if (subs == NULL || ep == -1 || listener == -1 || hints == -1)
		return 1;
	watch(listener);
	watch(hints);
	puts("ready");
	fflush(stdout);
	for (;;) {
		n = epoll_wait(ep, ev, 256, -1);
		for (i = 0; i < n; i++) {
			fd = ev[i].data.fd;
			if (fd == listener) {
				take();
			} else if (fd == hints) {
				fd = accept4(hints, NULL, NULL,
				    SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (fd != -1) {
					watch(fd);
					is_hint[fd] = 1;
				}
			} else if (is_hint[fd]) {
				hint(fd);
			} else {
				hear(fd);
			}
		}
	}
}
