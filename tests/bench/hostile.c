/*
 * Clients that mean harm, and clients that vanish.
 *
 *	hostile mute N ADDR TOKENS     log in, then never read again
 *	hostile unsaid N ADDR          connect, and never say who they are
 *	hostile slow N ADDR            send a head that does not end, slowly
 *	hostile pings N ADDR TOKENS    send pings as fast as they can
 *	hostile pieces N ADDR TOKENS   send a message that does not end
 *	hostile connects N ADDR        connect so often, from one address
 *	hostile vanish N ADDR TOKENS KIND...
 *
 * ADDR is HOST:PORT, TOKENS a file of lines `TOKEN ROOM`.  All but vanish say
 * "ready" when all N are there, and "thrown out" when that happened N times;
 * who was comes back.  They go on until stdin ends, and print a line of JSON.
 * They come from many addresses, but connects.
 *
 * vanish lives N lives: connect, subscribe, and go, in every way there is, on
 * every KIND in turn.  What no lifetime should leave behind is the caller's to
 * measure.
 */
#define _GNU_SOURCE /* memmem */

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "tests/bench/lib/streams.h"

enum { ADDRESSES = 200, EACH = 50, STEP_MS = 10, TEXT_MAX = 8192 };

static const char *addr;
static char **tokens, **rooms;
static size_t ntokens;
static int ep;

static const char *
token_of(size_t i)
{
	return tokens[i % ntokens];
}

/* Vanish without a word: not even a FIN.  -1 where that is not allowed. */
static int
drop(int fd)
{
	int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on));
}

static void
cut(int fd)
{
	struct linger reset = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

/* Frames have NULs. */
static int
holds(const char *p, size_t len, const char *word)
{
	return memmem(p, len, word, strlen(word)) != NULL;
}

static int
stdin_ended(void)
{
	struct pollfd pf = { .fd = 0, .events = POLLIN };
	char c;

	return poll(&pf, 1, 0) == 1 && read(0, &c, 1) <= 0;
}

/* --- attacks -------------------------------------------------------------- */

struct foe {
	int fd; /* -1: not open */
	uint8_t greeted, deaf;
	uint32_t steps; /* made since it was opened */
	size_t i;
};

struct attack {
	const char *name;
	uint8_t logs_in, one_address, comes_back;
	void (*open)(struct foe *);
	void (*step)(struct foe *);
};

static struct {
	uint64_t opened, refused, thrown_out, sent;
} sum;

static void
foe_close(struct foe *f)
{
	close(f->fd);
	f->fd = -1;
	f->greeted = f->deaf = 0;
	f->steps = 0;
	sum.thrown_out++;
}

/* Whatever the kernel takes of it now. */
static void
foe_send(struct foe *f, const char *p, size_t len)
{
	ssize_t n = send(f->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		sum.sent += (uint64_t)n;
}

static void
login(struct foe *f, enum kind kind)
{
	char text[16384];

	foe_send(f, text,
	    request(kind, addr, token_of(f->i), NULL, text, sizeof(text)));
}

static void
login_ws(struct foe *f)
{
	login(f, KIND_WS);
}

static void
login_any(struct foe *f)
{
	login(f, (enum kind)(f->i % KINDS));
}

static const char upgrade[] =
    "GET /ws/live-chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n";

/* Nothing, half of a head, or all of it but no word of who it is. */
static void
open_unsaid(struct foe *f)
{
	if (f->i % 3 > 0)
		foe_send(f, upgrade, sizeof(upgrade) / (f->i % 3));
}

static void
step_slow(struct foe *f)
{
	static const char head[] = "GET /api/events/stream HTTP/1.1\r\n"
				   "Host: x\r\nX-Slow: ";
	size_t at = f->steps / 10;

	if (f->steps % 10 == 0)
		foe_send(f, at < sizeof(head) - 1 ? head + at : "x", 1);
}

static void
step_pings(struct foe *f)
{
	char text[64 * 16];
	size_t n = 0;
	int i;

	for (i = 0; i < 64; i++)
		n += ws_frame(text + n, 9, "ping", 4);
	foe_send(f, text, n);
}

/* Of one byte each, or of none. */
static void
step_pieces(struct foe *f)
{
	char text[64 * 16];
	size_t n = 0, len = f->i % 2, at;
	int i;

	for (i = 0; i < 64; i++) {
		at = n;
		n += ws_frame(
		    text + n, f->steps == 1 && i == 0 ? 1 : 0, "x", len);
		text[at] &= 0x7f; /* not the last one */
	}
	foe_send(f, text, n);
}

/* No credential: an answer, if there is room for one more. */
static void
open_connects(struct foe *f)
{
	if (f->i % 2)
		foe_send(f, upgrade, sizeof(upgrade) - 1);
}

static const struct attack attacks[] = {
	/* name, logs in, one address, comes back, open, step */
	{ "mute", 1, 0, 0, login_any, NULL },
	{ "unsaid", 0, 0, 1, open_unsaid, NULL },
	{ "slow", 0, 0, 1, NULL, step_slow },
	{ "pings", 1, 0, 1, login_ws, step_pings },
	{ "pieces", 1, 0, 1, login_ws, step_pieces },
	{ "connects", 0, 1, 1, open_connects, NULL },
};

static int
foe_open(const struct attack *a, struct foe *f)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP };
	unsigned from =
	    a->one_address ? 2 : 2 + (unsigned)(f->i / EACH % ADDRESSES);

	f->fd = dial_small(addr, from);
	if (f->fd == -1) {
		sum.refused++;
		return -1;
	}
	sum.opened++;
	ev.data.ptr = f;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, f->fd, &ev) == -1)
		die("epoll");
	if (a->open != NULL)
		a->open(f);
	return 0;
}

static void
foe_read(const struct attack *a, struct foe *f, uint32_t events)
{
	static char data[65536];
	struct epoll_event ev = { .events = EPOLLRDHUP };
	ssize_t n = 1;

	if (!f->deaf)
		n = recv(f->fd, data, sizeof(data), 0);
	if ((n == -1 && errno == EAGAIN) || n > 0)
		n = (events & (EPOLLHUP | EPOLLERR)) != 0 ||
			    (f->deaf && (events & EPOLLRDHUP) != 0)
			? 0
			: n;
	if (n == 0 || (n == -1 && errno != EAGAIN)) {
		foe_close(f);
		return;
	}
	if (n == -1 || f->greeted || f->deaf)
		return;
	if (!a->logs_in || holds(data, (size_t)n, "data:") ||
	    holds(data, (size_t)n, "auth_success") ||
	    holds(data, (size_t)n, "40{"))
		f->greeted = 1;
	if (f->greeted && strcmp(a->name, "mute") == 0) {
		f->deaf = 1;
		ev.data.ptr = f;
		epoll_ctl(ep, EPOLL_CTL_MOD, f->fd, &ev);
	}
}

static size_t
standing(const struct attack *a, const struct foe *foes, size_t n)
{
	size_t i, there = 0;

	for (i = 0; i < n; i++)
		there += foes[i].fd != -1 && (!a->logs_in || foes[i].greeted);
	return there;
}

static int
attack(const struct attack *a, size_t n)
{
	struct foe *foes = calloc(n, sizeof(*foes));
	struct epoll_event ev[512];
	size_t i, at = 0, made = 0, budget;
	double next = 0;
	int k, got, ready = 0, out = 0;

	if (foes == NULL)
		die("memory");
	for (i = 0; i < n; i++) {
		foes[i].i = i;
		foes[i].fd = -1;
	}
	while (!stdin_ended()) {
		/* Those who were thrown out come back, not too fast. */
		for (budget = 100; budget > 0 && (made < n || a->comes_back);
		     budget--, at = (at + 1) % n)
			if (foes[at].fd == -1) {
				made++;
				if (foe_open(a, &foes[at]) == -1)
					break;
			}
		got = epoll_wait(ep, ev, 512, made < n ? 0 : STEP_MS);
		for (k = 0; k < got; k++)
			foe_read(a, ev[k].data.ptr, ev[k].events);
		if (a->step != NULL && now_s() > next) {
			next = now_s() + STEP_MS / 1e3;
			for (i = 0; i < n; i++)
				if (foes[i].fd != -1 &&
				    (!a->logs_in || foes[i].greeted)) {
					foes[i].steps++;
					a->step(&foes[i]);
				}
		}
		if (!ready && made >= n &&
		    (!a->logs_in || a->comes_back ||
			standing(a, foes, n) == n)) {
			ready = 1;
			puts("ready");
			fflush(stdout);
		}
		if (!out && sum.thrown_out >= n) {
			out = 1;
			puts("thrown out");
			fflush(stdout);
		}
	}
	printf("{\"opened\":%llu,\"refused\":%llu,\"thrown_out\":%llu,"
	       "\"standing\":%zu,\"sent\":%llu}\n",
	    (unsigned long long)sum.opened, (unsigned long long)sum.refused,
	    (unsigned long long)sum.thrown_out, standing(a, foes, n),
	    (unsigned long long)sum.sent);
	free(foes);
	return 0;
}

/* --- connect, subscribe, vanish ------------------------------------------- */

enum way {
	WAY_FIN,
	WAY_RESET,
	WAY_HALF,      /* FIN, and wait for the server's */
	WAY_MID_HEAD,  /* before the request is whole */
	WAY_MID_FRAME, /* a frame, or a body, is left unfinished */
	WAY_UNHEARD,   /* as soon as the request is sent */
	WAY_SILENT,    /* the network is gone */
	WAYS
};

/* How a client of each kind begins. */
struct life_kind {
	const char *name;
	const char *path;
	const char *log_in;    /* %s: the token; NULL: in a header */
	const char *greeting;  /* NULL: none comes, it waits */
	const char *subscribe; /* NULL: it follows from who it is */
	uint8_t session;       /* the greeting names one, to be polled */
};

static const struct life_kind life_kinds[] = {
	{ "sse", "/api/events/stream?format=envelope", NULL, "data:", NULL, 0 },
	{ "named", "/chat/sse", NULL, "data:", NULL, 0 },
	{ "ws", "/ws/live-chat",
	    "{\"type\":\"auth\",\"payload\":{\"token\":\"%s\"}}",
	    "auth_success",
	    "{\"type\":\"join_conversation\",\"payload\":"
	    "{\"conversationId\":\"4\"}}",
	    0 },
	{ "chat", "/chat/ws", "{\"type\":\"auth\",\"token\":\"%s\"}",
	    "auth_success",
	    "{\"type\":\"join_conversation\",\"conversationId\":\"4\"}", 0 },
	{ "sio", "/socket.io/?EIO=4&transport=websocket",
	    "40{\"token\":\"%s\"}", "40{", "42[\"join_conversation\",\"4\"]",
	    0 },
	{ "longpoll", "/api/events/longpoll?wait=25", NULL, NULL, NULL, 0 },
	{ "eio", "/socket.io/?EIO=4&transport=polling", NULL, "0{", NULL, 1 },
	{ "eio3", "/socket.io/?EIO=3&transport=polling", NULL, "0{", NULL, 1 },
};

enum { LIVES_AT_ONCE = 64, LIFE_S = 20 };

struct life {
	int fd; /* -1: none */
	const struct life_kind *kind;
	enum way way;
	uint8_t greeted, leaving;
	double ends, leaves; /* leaves: 0 until it is to go */
	size_t i, len;
	char text[TEXT_MAX];
};

static struct {
	uint64_t lived, failed, greeted, by_way[WAYS];
} lives;

static size_t
life_request(const struct life *l, char *out, size_t size)
{
	const struct life_kind *k = l->kind;
	char text[4600];
	const char *token = token_of(l->i);
	int n, len;

	n = snprintf(
	    out, size, "GET %s HTTP/1.1\r\nHost: %s\r\n", k->path, addr);
	if (k->log_in == NULL)
		return (size_t)n + (size_t)snprintf(out + n, size - (size_t)n,
				       "Authorization: Bearer %s\r\n\r\n",
				       token);
	n += snprintf(out + n, size - (size_t)n,
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n");
	len = (int)(strstr(k->log_in, "%s") - k->log_in);
	len = snprintf(text, sizeof(text), "%.*s%s%s", len, k->log_in, token,
	    k->log_in + len + 2);
	return (size_t)n + ws_frame(out + n, 1, text, (size_t)len);
}

static void
life_over(struct life *l)
{
	close(l->fd);
	l->fd = -1;
	lives.lived++;
	lives.by_way[l->way]++;
}

static void
life_failed(struct life *l, const char *why)
{
	if (lives.failed++ < 5)
		fprintf(stderr, "hostile: %s, way %d: %s: %.200s\n",
		    l->kind->name, (int)l->way, why, l->text);
	cut(l->fd);
	life_over(l);
}

/* It goes, in its way. */
static void
life_leave(struct life *l)
{
	static const char piece[] = "\x81\xfe\x01\x00\x00\x00\x00\x00{\"type";

	switch (l->way) {
	case WAY_RESET:
		cut(l->fd);
		break;
	case WAY_HALF:
		shutdown(l->fd, SHUT_WR);
		l->leaving = 1;
		return;
	case WAY_MID_FRAME:
		put_all(l->fd, piece, sizeof(piece) - 1);
		break;
	case WAY_SILENT:
		if (drop(l->fd) == -1)
			cut(l->fd);
		break;
	default:
		break;
	}
	life_over(l);
}

static void
life_begin(struct life *l, size_t i, const struct life_kind *k, enum way way)
{
	struct epoll_event ev = { .events = EPOLLIN };
	char text[16384];
	size_t n;

	memset(l, 0, offsetof(struct life, text) + 1);
	l->i = i;
	l->kind = k;
	l->way = way;
	l->fd = dial(addr, 2 + (unsigned)(i % ADDRESSES));
	if (l->fd == -1)
		die("connect");
	ev.data.ptr = l;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &ev) == -1)
		die("epoll");
	l->ends = now_s() + LIFE_S;
	n = life_request(l, text, sizeof(text));
	if (way == WAY_MID_HEAD)
		n = 1 + i % 60;
	if (put_all(l->fd, text, n) == -1) {
		life_failed(l, "cannot send");
		return;
	}
	if (way == WAY_MID_HEAD) {
		if (i / 7 % 2)
			cut(l->fd);
		life_over(l);
	} else if (way == WAY_UNHEARD) {
		if (i / 7 % 2)
			cut(l->fd);
		life_over(l);
	} else if (k->greeting == NULL) {
		l->leaves = now_s() + 0.02;
	}
}

/* Its next request, which waits for events of the session it was given. */
static void
life_poll(struct life *l)
{
	struct epoll_event ev = { .events = EPOLLIN };
	const char *sid = strstr(l->text, "\"sid\":\"");
	char text[512];
	int n;

	if (sid == NULL) {
		life_failed(l, "no session");
		return;
	}
	sid += 7;
	n = snprintf(text, sizeof(text),
	    "GET %s&sid=%.*s HTTP/1.1\r\nHost: %s\r\n\r\n", l->kind->path,
	    (int)strcspn(sid, "\""), sid, addr);
	close(l->fd);
	l->fd = dial(addr, 2 + (unsigned)(l->i % ADDRESSES));
	if (l->fd == -1)
		die("connect");
	ev.data.ptr = l;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &ev) == -1)
		die("epoll");
	put_all(l->fd, text, (size_t)n);
}

static void
life_read(struct life *l)
{
	char frame[256];
	ssize_t n =
	    recv(l->fd, l->text + l->len, sizeof(l->text) - 1 - l->len, 0);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (l->leaving || l->kind->greeting == NULL ||
		    (l->greeted && l->kind->session))
			life_over(l); /* it had its answer */
		else
			life_failed(l, "the server ended it");
		return;
	}
	l->len += (size_t)n;
	l->text[l->len] = '\0';
	if (!l->greeted && l->kind->greeting != NULL &&
	    !holds(l->text, l->len, l->kind->greeting)) {
		if (memchr(l->text, 0, l->len) == NULL &&
		    strncmp(l->text, "HTTP/1.1 1", 10) != 0 &&
		    strncmp(l->text, "HTTP/1.1 2", 10) != 0)
			life_failed(l, "refused");
		return;
	}
	l->len = 0;
	if (l->greeted)
		return;
	l->greeted = 1;
	lives.greeted++;
	if (l->kind->session)
		life_poll(l);
	if (l->fd == -1)
		return;
	if (l->kind->subscribe != NULL)
		put_all(l->fd, frame,
		    ws_frame(frame, 1, l->kind->subscribe,
			strlen(l->kind->subscribe)));
	/* Some stay for the answer, some do not. */
	l->leaves = now_s() + (l->i / 3 % 2 ? 0.01 : 0);
}

static const struct life_kind *
life_kind_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(life_kinds) / sizeof(*life_kinds); i++)
		if (strcmp(life_kinds[i].name, name) == 0)
			return &life_kinds[i];
	fprintf(stderr, "hostile: %s is no kind of client\n", name);
	exit(2);
}

static int
vanish(size_t n, char **names, int nkinds)
{
	static struct life all[LIVES_AT_ONCE];
	const struct life_kind *kinds[16];
	struct epoll_event ev[LIVES_AT_ONCE];
	size_t begun = 0, i;
	double now;
	int k, got;

	assert(nkinds > 0 && nkinds < 16);
	for (k = 0; k < nkinds; k++)
		kinds[k] = life_kind_of(names[k]);
	for (i = 0; i < LIVES_AT_ONCE; i++)
		all[i].fd = -1;
	while (lives.lived < n) {
		for (i = 0; i < LIVES_AT_ONCE; i++) {
			if (all[i].fd != -1 || begun == n)
				continue;
			life_begin(&all[i], begun,
			    kinds[begun % (size_t)nkinds],
			    (enum way)(begun / (size_t)nkinds % WAYS));
			begun++;
		}
		got = epoll_wait(ep, ev, LIVES_AT_ONCE, 5);
		for (k = 0; k < got; k++)
			if (((struct life *)ev[k].data.ptr)->fd != -1)
				life_read(ev[k].data.ptr);
		now = now_s();
		for (i = 0; i < LIVES_AT_ONCE; i++) {
			if (all[i].fd == -1)
				continue;
			if (now > all[i].ends)
				life_failed(&all[i], "too late");
			else if (all[i].leaves > 0 && now >= all[i].leaves &&
				 !all[i].leaving)
				life_leave(&all[i]);
		}
	}
	printf("{\"lived\":%llu,\"greeted\":%llu,\"failed\":%llu,\"ways\":[",
	    (unsigned long long)lives.lived, (unsigned long long)lives.greeted,
	    (unsigned long long)lives.failed);
	for (i = 0; i < WAYS; i++)
		printf("%s%llu", i ? "," : "",
		    (unsigned long long)lives.by_way[i]);
	puts("]}");
	return 0;
}

int
main(int argc, char **argv)
{
	size_t i, n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	log_open("hostile", NULL, LOG_WARN);
	signal(SIGPIPE, SIG_IGN);
	descriptors();
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) == -1)
		die("epoll");
	if (argc > 3)
		addr = argv[3];
	if (argc > 4)
		ntokens = tokens_read(argv[4], &tokens, &rooms);
	if (argc > 5 && strcmp(argv[1], "vanish") == 0)
		return vanish(n, argv + 5, argc - 5);
	for (i = 0; n > 0 && i < sizeof(attacks) / sizeof(*attacks); i++)
		if (strcmp(argv[1], attacks[i].name) == 0 &&
		    argc == 4 + attacks[i].logs_in)
			return attack(&attacks[i], n);
	fputs("usage: hostile mute|pings|pieces N ADDR TOKENS\n"
	      "       hostile unsaid|slow|connects N ADDR\n"
	      "       hostile vanish N ADDR TOKENS KIND...\n",
	    stderr);
	return 2;
}
