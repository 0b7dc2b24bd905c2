/*
 * streams.c: event streams as cheap clients; see streams.h.
 */
#define _GNU_SOURCE /* memmem */

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sock.h"
#include "tests/bench/lib/streams.h"

#define DIGITS 10
#define READ_MAX (256u << 10)

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static int ep = -1;

double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void
die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

enum kind
kind_of(const char *name)
{
	static const char *const names[] = { "sse", "ws", "sio" };
	int i;

	for (i = 0; i < KINDS; i++)
		if (strcmp(names[i], name) == 0)
			return (enum kind)i;
	fprintf(stderr, "bench: %s is no kind of stream\n", name);
	exit(2);
}

void
descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

double
cpu_us(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 ||
	    clock_gettime(clock, &ts) == -1)
		die("the process is gone");
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

size_t
tokens_read(const char *path, char ***tokens, char ***rooms)
{
	size_t n = 0, cap = 0;
	char line[8192], token[4200], room[256];
	FILE *f = fopen(path, "r");

	*tokens = *rooms = NULL;
	if (f == NULL)
		die(path);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%4199s %255s", token, room) != 2)
			continue;
		if (n == cap) {
			cap = cap * 2 + 16;
			*tokens = realloc(*tokens, cap * sizeof(char *));
			*rooms = realloc(*rooms, cap * sizeof(char *));
			if (*tokens == NULL || *rooms == NULL)
				die("memory");
		}
		(*tokens)[n] = strdup(token);
		(*rooms)[n++] = strdup(room);
	}
	fclose(f);
	if (n == 0)
		die("no tokens");
	return n;
}

static int
dial_as(const char *addr, unsigned source, int small)
{
	struct sockaddr_in from = { .sin_family = AF_INET },
			   to = { .sin_family = AF_INET };
	const char *colon = strchr(addr, ':');
	struct pollfd pf = { .events = POLLOUT };
	char host[64];
	int fd, one = 1, e = 0, segment = 536;
	socklen_t len = sizeof(e);

	if (colon == NULL)
		return -1;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - addr), addr);
	to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
	    (fd = socket(
		 AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	if (small) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &one, sizeof(one));
		setsockopt(
		    fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
	}
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + source);
	if (source > 0 &&
	    (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
		 sizeof(one)) == -1 ||
		bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1))
		die("bind");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	pf.fd = fd;
	if (errno == EINPROGRESS && poll(&pf, 1, 5000) == 1 &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0 && e == 0)
		return fd;
	close(fd);
	errno = e ? e : errno;
	return -1;
}

int
dial(const char *addr, unsigned source)
{
	return dial_as(addr, source, 0);
}

int
dial_small(const char *addr, unsigned source)
{
	return dial_as(addr, source, 1);
}

int
put_all(int fd, const char *p, size_t len)
{
	struct pollfd pf = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	while (len > 0) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n == -1 && errno == EAGAIN) {
			poll(&pf, 1, 1000);
			continue;
		}
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- what clients send --- */

size_t
ws_frame(char *out, int opcode, const char *p, size_t len)
{
	size_t head = 2;

	assert(len < 65536);
	out[0] = (char)(0x80 | opcode);
	if (len < 126) {
		out[1] = (char)(0x80 | len);
	} else {
		out[1] = (char)(0x80 | 126);
		out[2] = (char)(len >> 8);
		out[3] = (char)(len & 0xff);
		head = 4;
	}
	memset(out + head, 0, 4); /* the mask */
	memcpy(out + head + 4, p, len);
	return head + 4 + len;
}

size_t
request(enum kind kind, const char *addr, const char *token, const char *cursor,
    char *out, size_t size)
{
	static const char *const paths[KINDS] = { "/api/events/stream"
						  "?format=envelope",
		"/ws/live-chat", "/socket.io/?EIO=4&transport=websocket" };
	char text[4600];
	size_t n;
	int len;

	n = (size_t)snprintf(
	    out, size, "GET %s HTTP/1.1\r\nHost: %s\r\n", paths[kind], addr);
	if (kind == KIND_SSE) {
		n += (size_t)snprintf(out + n, size - n,
		    "Authorization: Bearer %s\r\n"
		    "Accept: text/event-stream\r\n",
		    token);
		if (cursor != NULL)
			n += (size_t)snprintf(
			    out + n, size - n, "Last-Event-ID: %s\r\n", cursor);
		n += (size_t)snprintf(out + n, size - n, "\r\n");
		return n;
	}
	n += (size_t)snprintf(out + n, size - n,
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n");
	if (kind == KIND_WS)
		len = snprintf(text, sizeof(text),
		    "{\"type\":\"auth\",\"payload\":{\"token\":\"%s\","
		    "%s%s%s\"events\":\"all\"}}",
		    token, cursor ? "\"cursor\":\"" : "", cursor ? cursor : "",
		    cursor ? "\"," : "");
	else
		len = snprintf(text, sizeof(text),
		    "40{\"token\":\"%s\",%s%s%s\"events\":\"all\"}", token,
		    cursor ? "\"offset\":\"" : "", cursor ? cursor : "",
		    cursor ? "\"," : "");
	assert((size_t)len < sizeof(text) && n + (size_t)len + 8 < size);
	return n + ws_frame(out + n, 1, text, (size_t)len);
}

/* --- opening --- */

void
streams_init(struct streams *x, enum kind kind, const char *addr, size_t n)
{
	size_t i;

	memset(x, 0, sizeof(*x));
	x->kind = kind;
	x->addr = addr;
	x->n = n;
	x->step = 1;
	x->opening_max = 200;
	x->s = calloc(n, sizeof(*x->s));
	if (ep == -1)
		ep = epoll_create1(EPOLL_CLOEXEC);
	if (x->s == NULL || ep == -1)
		die("streams");
	for (i = 0; i < n; i++) {
		x->s[i].fd = -1;
		x->s[i].all = x;
	}
}

/* 0, or -1 if the server is not to be reached just now. */
static int
stream_open(struct streams *x, struct stream *s)
{
	struct epoll_event ev = { .events = EPOLLIN };
	char text[16384];
	size_t n;

	if ((s->fd = dial(x->addr, 0)) == -1)
		return -1;
	s->ready = s->carried = 0;
	n = request(x->kind, x->addr,
	    x->tokens ? x->tokens[(size_t)(s - x->s) % x->ntokens] : "none",
	    x->cursor, text, sizeof(text));
	ev.data.ptr = s;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev) == -1)
		die("epoll");
	put_all(s->fd, text, n); /* its end shows when it is read */
	x->nopen++;
	return 0;
}

int
streams_open(struct streams *x, int ms)
{
	double ends = now_s() + ms / 1e3;
	size_t at = 0;
	int reached = 1;

	while (x->nready < x->n) {
		while (reached && x->nopen < x->n &&
		       x->nopen - x->nready < x->opening_max) {
			for (; x->s[at].fd != -1; at = (at + 1) % x->n)
				;
			reached = stream_open(x, &x->s[at]) == 0;
		}
		streams_read(x->nopen == 0 ? 1 : 100);
		reached = 1;
		if (now_s() > ends)
			return -1;
	}
	return 0;
}

void
streams_close(struct streams *x)
{
	struct linger reset = { 1, 0 };
	size_t i;

	for (i = 0; i < x->n; i++) {
		if (x->s[i].fd == -1)
			continue;
		setsockopt(
		    x->s[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(x->s[i].fd);
		x->s[i].fd = -1;
		x->s[i].ready = 0;
	}
	x->nready = x->nopen = 0;
}

/* --- reading --- */

static void
stream_ended(struct streams *x, struct stream *s)
{
	close(s->fd);
	s->fd = -1;
	x->nopen--;
	x->nready -= s->ready;
	x->ended += s->ready;
	s->ready = 0;
}

/* Whether the server has let it in; ${p} moves behind that. */
static int
greeted(struct stream *s, char **p, size_t *len)
{
	static const char *const words[KINDS] = { "data:", "auth_success",
		"40{" };
	const char *word = words[s->all->kind];
	char *at = memmem(*p, *len, word, strlen(word));

	if (at == NULL)
		return 0;
	at += strlen(word);
	*len -= (size_t)(at - *p);
	*p = at;
	s->ready = 1;
	s->all->nready++;
	return 1;
}

static void
event(struct streams *x, struct stream *s, uint32_t number)
{
	double us;

	if (number != s->want) {
		if (x->wrong++ < 5 && getenv("BENCH_SHOW") != NULL)
			fprintf(stderr, "stream %zu: %u, not %u\n",
			    (size_t)(s - x->s), number, s->want);
		return;
	}
	s->want += x->step;
	x->seen++;
	if (x->due == NULL)
		return;
	us = (now_s() - x->due(number)) * 1e6;
	if (us < 0)
		us = 0;
	x->late[us >= LATE_US ? LATE_US : (size_t)us]++;
}

/* Answer a ping; it stands at the beginning of what came. */
static void
pong(struct stream *s, const char *p, size_t len)
{
	char frame[160];

	if (s->all->kind == KIND_SIO && len >= 3 &&
	    memcmp(p,
		"\x81\x01"
		"2",
		3) == 0)
		put_all(s->fd, frame, ws_frame(frame, 1, "3", 1));
	else if (s->all->kind == KIND_WS && len >= 2 && p[0] == (char)0x89 &&
		 (size_t)p[1] + 2 <= len)
		put_all(s->fd, frame,
		    ws_frame(frame, 10, p + 2, (size_t)(p[1] & 127)));
}

static void
stream_read(struct stream *s)
{
	static char data[CARRY + READ_MAX + 1];
	struct streams *x = s->all;
	char *p = data, *at, *end;
	size_t len, had = s->carried;
	ssize_t n = recv(s->fd, data + had, READ_MAX, 0);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		stream_ended(x, s);
		return;
	}
	memcpy(data, s->carry, had);
	len = had + (size_t)n;
	end = data + len;
	*end = '\0';
	x->bytes += (uint64_t)n;
	if (s->ready && s->all->kind != KIND_SSE)
		pong(s, p + had, (size_t)n);
	if (s->ready || greeted(s, &p, &len)) {
		while ((at = memmem(p, (size_t)(end - p), MARK,
			    strlen(MARK))) != NULL) {
			if (end - at < (ptrdiff_t)strlen(MARK) + DIGITS)
				break;
			if (s == x->s && n < FRAME_MAX) {
				memcpy(x->frame, data + had, (size_t)n);
				x->frame_len = (size_t)n;
			}
			p = at + strlen(MARK) + DIGITS;
			event(x, s,
			    (uint32_t)strtoul(at + strlen(MARK), NULL, 10));
		}
	}
	len = (size_t)(end - p) < CARRY ? (size_t)(end - p) : CARRY;
	memcpy(s->carry, end - len, len);
	s->carried = (uint8_t)len;
}

void
streams_read(int ms)
{
	struct epoll_event ev[512];
	int i, n = epoll_wait(ep, ev, 512, ms);

	for (i = 0; i < n; i++)
		if (((struct stream *)ev[i].data.ptr)->fd != -1)
			stream_read(ev[i].data.ptr);
}

void
streams_want(struct streams *x, uint32_t number, uint32_t of)
{
	size_t i;

	for (i = 0; i < x->n; i++)
		x->s[i].want = number + (uint32_t)i * of;
}

int
streams_until(struct streams *x, uint64_t seen, int ms)
{
	double ends = now_s() + ms / 1e3;
	uint64_t had = x->seen;

	while (x->seen < seen) {
		streams_read(100);
		if (x->seen != had) {
			had = x->seen;
			ends = now_s() + ms / 1e3;
		} else if (now_s() > ends) {
			return -1;
		}
	}
	return 0;
}

/* --- where events come from --- */

void
source_open(struct source *s, const char *path, int64_t base)
{
	s->base = base;
	if ((s->fd = sock_connect(path, SOCK_SEQPACKET)) == -1)
		die(path);
	fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) & ~O_NONBLOCK);
}

void
source_hint(struct source *s, uint32_t number, const char *room, size_t bytes)
{
	static const char head[] =
	    "{\"id\":\"%010u\",\"conversation_id\":\"4\",\"sender\":{\"kind\":"
	    "\"customer\",\"id\":\"1\",\"name\":\"Bench\"},\"created_at\":"
	    "1700000000000,\"content\":\"" MARK "%010u ";
	char data[FRAME_MAX], text[2 * FRAME_MAX];
	int n;

	assert(bytes >= 200 && bytes < sizeof(data));
	n = snprintf(data, sizeof(data), head, number, number);
	memset(data + n, 'x', bytes - (size_t)n);
	memcpy(data + bytes - 2, "\"}", 3);
	n = snprintf(text, sizeof(text),
	    "{\"id\":%lld,\"prev\":%lld,\"type\":\"new_message\","
	    "\"rooms\":[\"%s\"],\"data\":%s,\"public\":true}",
	    (long long)(s->base + number), (long long)(s->base + number - 1),
	    room, data);
	if (send(s->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		die("hint");
}

void
source_frame(struct source *s, uint32_t number, uint32_t to, const char *frame,
    size_t len)
{
	char packet[4 + FRAME_MAX + 1], digits[DIGITS + 1], *at;

	memcpy(packet, &to, 4);
	memcpy(packet + 4, frame, len);
	at = memmem(packet + 4, len, MARK, strlen(MARK));
	assert(at != NULL);
	snprintf(digits, sizeof(digits), "%010u", number);
	memcpy(at + strlen(MARK), digits, DIGITS);
	if (send(s->fd, packet, len + 4, MSG_NOSIGNAL) != (ssize_t)len + 4)
		die("floor");
}
