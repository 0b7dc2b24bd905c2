/*
 * One event to many streams: what a delivery costs pushd, beside what a bare
 * send() loop over as many sockets costs.  And what an idle one weighs.
 *
 *	fanout sse|ws PUSHD TOKEN STREAMS PID WEB CONVERSATION EVENTS
 *	fanout bare STREAMS EVENTS BYTES
 *
 * PUSHD and WEB are ADDR:PORT; PID is pushd's.  Messages are posted at WEB one
 * at a time, each when the one before has reached every stream.  With EVENTS 0
 * it only opens the streams and weighs them.  Prints a line of JSON.
 */
#define _GNU_SOURCE /* accept4, memmem */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sock.h"

#define MARK "fan#" /* in the text of each message; 'f' only at its begin */
#define OPENING_MAX 200
#define WAIT_MS 30000

struct stream {
	int fd;
	int ready;
	size_t matched; /* bytes of MARK, or of the greeting, seen so far */
};

static struct stream *streams;
static size_t nstreams, nready;
static long marks, bytes;
static int ep, ws;
static const char *push_addr, *token;

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "fanout: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Seconds of CPU that process ${pid} has used. */
static double
cpu_of(long pid)
{
	char path[64], text[1024];
	unsigned long user, sys;
	const char *p;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	if ((f = fopen(path, "r")) == NULL)
		die(path);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	if ((p = strrchr(text, ')')) == NULL ||
	    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		&user, &sys) != 2)
		die("stat");
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

/* Bytes of memory of its own that process ${pid} has. */
static long
memory_of(long pid)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", pid);
	if ((f = fopen(path, "r")) == NULL)
		die(path);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Anonymous: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib * 1024;
}

/* How often ${what}, whose first byte comes in it once, ends in these bytes. */
static long
feed(size_t *matched, const char *what, const char *p, ssize_t n)
{
	size_t len = strlen(what);
	long times = 0;

	for (; n > 0; n--, p++) {
		if (*p == what[*matched]) {
			if (++*matched == len) {
				*matched = 0;
				times++;
			}
		} else {
			*matched = *p == what[0];
		}
	}
	return times;
}

static void
send_all(int fd, const char *p, size_t n)
{
	struct pollfd pf = { .fd = fd, .events = POLLOUT };
	ssize_t k;

	while (n > 0) {
		k = send(fd, p, n, MSG_NOSIGNAL);
		if (k == -1 && errno == EAGAIN) {
			poll(&pf, 1, 1000);
			continue;
		}
		if (k <= 0)
			die("send");
		p += k;
		n -= (size_t)k;
	}
}

/* The frame that says who we are, masked with zeros. */
static void
send_auth(int fd)
{
	char frame[4200], text[4096];
	size_t n, head = 2;

	n = (size_t)snprintf(text, sizeof(text),
	    "{\"type\":\"auth\",\"payload\":{\"token\":\"%s\","
	    "\"events\":\"all\"}}",
	    token);
	frame[0] = (char)0x81;
	if (n < 126) {
		frame[1] = (char)(0x80 | n);
	} else {
		frame[1] = (char)(0x80 | 126);
		frame[2] = (char)(n >> 8);
		frame[3] = (char)(n & 0xff);
		head = 4;
	}
	memset(frame + head, 0, 4);
	memcpy(frame + head + 4, text, n);
	send_all(fd, frame, head + 4 + n);
}

static void
stream_open(struct stream *s)
{
	struct pollfd pf = { .events = POLLOUT };
	struct epoll_event ev = { .events = EPOLLIN };
	char text[4600];
	int n;

	if ((s->fd = sock_connect(push_addr, SOCK_STREAM)) == -1)
		die("connect");
	pf.fd = s->fd;
	poll(&pf, 1, 5000);
	if (ws)
		n = snprintf(text, sizeof(text),
		    "GET /ws/live-chat HTTP/1.1\r\nHost: %s\r\n"
		    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
		    "Sec-WebSocket-Version: 13\r\n\r\n",
		    push_addr);
	else
		n = snprintf(text, sizeof(text),
		    "GET /api/events/stream?format=envelope HTTP/1.1\r\n"
		    "Host: %s\r\nAuthorization: Bearer %s\r\n"
		    "Accept: text/event-stream\r\n\r\n",
		    push_addr, token);
	send_all(s->fd, text, (size_t)n);
	if (ws)
		send_auth(s->fd);
	ev.data.ptr = s;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev) == -1)
		die("epoll");
}

static void
stream_read(struct stream *s)
{
	static char data[65536];
	ssize_t n = recv(s->fd, data, sizeof(data), 0);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("a stream ended");
	if (!s->ready) {
		if (feed(&s->matched, ws ? "auth_success" : "data:", data, n) >
		    0) {
			s->ready = 1;
			s->matched = 0;
			nready++;
		}
		return;
	}
	bytes += n;
	marks += feed(&s->matched, MARK, data, n);
}

/* Read what comes, until ${*what} is ${wanted} or ${ms} pass. */
static int
read_until(const long *what, long wanted, int ms)
{
	struct epoll_event ev[256];
	double ends = now_s() + ms / 1e3;
	int i, n;

	while (*what < wanted) {
		n = epoll_wait(ep, ev, 256, 100);
		for (i = 0; i < n; i++)
			stream_read(ev[i].data.ptr);
		if (n <= 0 && now_s() > ends)
			return -1;
	}
	return 0;
}

static void
open_all(void)
{
	struct epoll_event ev[256];
	double ends = now_s() + WAIT_MS / 1e3;
	size_t opened = 0;
	int i, n;

	while (nready < nstreams) {
		while (opened < nstreams && opened - nready < OPENING_MAX)
			stream_open(&streams[opened++]);
		n = epoll_wait(ep, ev, 256, 100);
		for (i = 0; i < n; i++)
			stream_read(ev[i].data.ptr);
		if (now_s() > ends)
			die("streams do not open");
	}
}

static void
post(int fd, const char *web, const char *conversation, int number)
{
	char body[256], text[4600];
	struct pollfd pf = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;
	int m;

	m = snprintf(body, sizeof(body),
	    "{\"content\":\"" MARK " %d\",\"client_id\":\"fan-%ld-%d\"}",
	    number, (long)getpid(), number);
	n = snprintf(text, sizeof(text),
	    "POST /api/conversations/%s/messages HTTP/1.1\r\nHost: %s\r\n"
	    "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
	    "Connection: close\r\nContent-Length: %d\r\n\r\n%s",
	    conversation, web, token, m, body);
	send_all(fd, text, (size_t)n);
	while (poll(&pf, 1, 5000) == 1) {
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0 || (len += (size_t)n) == sizeof(text) - 1)
			break;
	}
	text[len] = '\0';
	if (strncmp(text + 9, "201", 3) != 0) {
		fprintf(stderr, "fanout: post: %.100s\n", text);
		exit(1);
	}
}

/* One message, and wait until every stream has it. */
static void
round_trip(const char *web, const char *conversation, int number, long per)
{
	struct pollfd pf = { .events = POLLOUT };
	long wanted = marks + (long)nstreams * per;
	int fd = sock_connect(web, SOCK_STREAM);

	if (fd == -1)
		die("connect");
	pf.fd = fd;
	poll(&pf, 1, 5000);
	post(fd, web, conversation, number);
	close(fd);
	if (read_until(&marks, wanted, WAIT_MS) == -1)
		die("not every stream got the message");
}

static int
fan(long pid, const char *web, const char *conversation, int events)
{
	long idle, weight, per;
	double cpu;
	int i;

	idle = memory_of(pid);
	open_all();
	weight = (memory_of(pid) - idle) / (long)nstreams;
	if (events == 0) {
		printf("{\"bytes_idle\":%ld}\n", weight);
		return 0;
	}
	/* The first shows how often the mark comes in one event. */
	round_trip(web, conversation, 0, 1);
	read_until(&marks, 1L << 60, 500);
	per = marks / (long)nstreams;
	marks = bytes = 0;
	cpu = cpu_of(pid);
	for (i = 1; i <= events; i++)
		round_trip(web, conversation, i, per);
	cpu = cpu_of(pid) - cpu;
	printf("{\"bytes_idle\":%ld,\"deliveries\":%ld,\"bytes\":%ld,"
	       "\"cpu_us\":%.3f}\n",
	    weight, marks / per, bytes * per / marks,
	    cpu * 1e6 / ((double)marks / (double)per));
	return 0;
}

/* --- the floor ------------------------------------------------------------ */

/* In a child: send to all, each time the other end says so.  Its CPU. */
static void
bare_server(int listener, int go, int events, size_t size)
{
	int *fds = calloc(nstreams, sizeof(*fds));
	char *data = calloc(1, size), c;
	struct rusage a, b;
	double us;
	size_t i;

	for (i = 0; i < nstreams; i++) {
		fds[i] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		if (fds[i] == -1)
			die("accept");
	}
	getrusage(RUSAGE_SELF, &a);
	while (events-- > 0 && read(go, &c, 1) == 1)
		for (i = 0; i < nstreams; i++)
			if (send(fds[i], data, size, MSG_NOSIGNAL) !=
			    (ssize_t)size)
				die("send");
	getrusage(RUSAGE_SELF, &b);
	us = (double)(b.ru_utime.tv_sec - a.ru_utime.tv_sec +
		      b.ru_stime.tv_sec - a.ru_stime.tv_sec) *
		 1e6 +
	     (double)(b.ru_utime.tv_usec - a.ru_utime.tv_usec +
		      b.ru_stime.tv_usec - a.ru_stime.tv_usec);
	printf("%.3f\n", us);
	fflush(stdout);
	while (read(go, &c, 1) == 1) /* till all was read */
		;
	_exit(0);
}

static int
bare(int events, size_t size)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	struct epoll_event ev = { .events = EPOLLIN };
	int listener = socket(AF_INET, SOCK_STREAM, 0), go[2], out[2], i;
	char addr[32], text[64];
	long rounds = 0;
	ssize_t n;
	size_t k;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener == -1 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) == -1 ||
	    listen(listener, 4096) == -1 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) == -1 ||
	    pipe(go) == -1 || pipe(out) == -1)
		die("listen");
	if (fork() == 0) {
		close(go[1]);
		dup2(out[1], 1);
		bare_server(listener, go[0], events, size);
	}
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", ntohs(at.sin_port));
	for (k = 0; k < nstreams; k++) {
		struct pollfd pf = { .events = POLLOUT };

		streams[k].fd = pf.fd = sock_connect(addr, SOCK_STREAM);
		streams[k].ready = 1;
		ev.data.ptr = &streams[k];
		if (pf.fd == -1 || poll(&pf, 1, 5000) != 1 ||
		    epoll_ctl(ep, EPOLL_CTL_ADD, pf.fd, &ev) == -1)
			die("connect");
	}
	for (i = 0; i < events; i++) {
		if (write(go[1], "g", 1) != 1)
			die("write");
		rounds++;
		if (read_until(&bytes, rounds * (long)(nstreams * size),
			WAIT_MS) == -1)
			die("the floor stopped");
	}
	n = read(out[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(go[1]);
	wait(NULL);
	printf("{\"deliveries\":%ld,\"cpu_us\":%.3f}\n",
	    rounds * (long)nstreams,
	    strtod(text, NULL) / (double)(rounds * (long)nstreams));
	return 0;
}

int
main(int argc, char **argv)
{
	struct rlimit rl;
	int floor_too = argc > 1 && strcmp(argv[1], "bare") == 0;

	if (argc != (floor_too ? 5 : 9)) {
		fputs("usage: fanout sse|ws PUSHD TOKEN STREAMS PID WEB "
		      "CONVERSATION EVENTS\n"
		      "       fanout bare STREAMS EVENTS BYTES\n",
		    stderr);
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	signal(SIGPIPE, SIG_IGN);
	nstreams = strtoul(argv[floor_too ? 2 : 4], NULL, 10);
	if (nstreams == 0 || nstreams > 100000 ||
	    (streams = calloc(nstreams, sizeof(*streams))) == NULL ||
	    (ep = epoll_create1(EPOLL_CLOEXEC)) == -1)
		return 2;
	if (floor_too)
		return bare(
		    (int)strtol(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	ws = strcmp(argv[1], "ws") == 0;
	push_addr = argv[2];
	token = argv[3];
	return fan(strtol(argv[5], NULL, 10), argv[6], argv[7],
	    (int)strtol(argv[8], NULL, 10));
}
