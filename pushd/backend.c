/*
 * backend.c: the FastCGI client.
 *
 * libfcgi loses pipelined requests, so each connection has one request in
 * flight, and the pool of api.fcgi behind it has as many processes as there
 * are connections here.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend.h"
#include "buf.h"
#include "clock.h"
#include "fcgirec.h"
#include "limits.h"
#include "log.h"
#include "sock.h"

enum {
	RETRY_MIN_MS = 100,
	RETRY_MAX_MS = 1000,
	/*
	 * Who is renewed ends between two requests, and may end as one comes:
	 * a pool of two that is renewed twice meets the same one four times.
	 */
	TRIES_MAX = 5,
	KEEP_MAX = 262144 /* bytes of an answer's buffer kept for the next */
};

enum slot_state { SLOT_DOWN, SLOT_CONNECTING, SLOT_IDLE, SLOT_BUSY };

struct backend_call {
	struct backend_call *next, *prev; /* in its line */
	struct backend *b;
	backend_fn *fn; /* NULL: cancelled in flight */
	void *arg;
	int64_t until; /* monotonic ms */
	int64_t began_us;
	struct slot *slot; /* NULL: waits */
	int line, tries;
	const char *method, *uri, *ref, *addr, *body; /* in ${text} */
	size_t len;
	char text[];
};

/* One kept connection. */
struct slot {
	ev_io io;
	struct backend *b;
	enum slot_state state;
	int fd;
	int64_t retry_at; /* DOWN: not before this */
	int retry_ms;
	struct backend_call *call; /* BUSY: whose answer comes */
	struct buf out, in;
	struct fcgirec rec;
};

struct backend {
	struct ev_loop *loop;
	struct backend_conf cf;
	struct slot *slots;
	struct backend_call *first[BACKEND_LINES], *last[BACKEND_LINES];
	unsigned waiting[BACKEND_LINES];
	int turn; /* the line served last */
	int lean; /* no connection is kept */
	ev_timer timer;
	ev_prepare prepare;
	ev_idle spin; /* active while a call waits that nobody looked at */
	uint64_t calls, failed, timeouts, refused;
	struct histogram took;
};

static void slot_io(struct ev_loop *loop, ev_io *w, int revents);
static void dispatch(struct backend *b);

static void
line_take(struct backend *b, struct backend_call *k)
{
	int n = k->line;

	if (k->prev != NULL)
		k->prev->next = k->next;
	else
		b->first[n] = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	else
		b->last[n] = k->prev;
	k->next = k->prev = NULL;
	b->waiting[n]--;
}

/* The oldest of a line that is not empty. */
static struct backend_call *
line_pop(struct backend *b, int n)
{
	struct backend_call *k = b->first[n];

	b->first[n] = k->next;
	if (k->next != NULL)
		k->next->prev = NULL;
	else
		b->last[n] = NULL;
	k->next = k->prev = NULL;
	b->waiting[n]--;
	return k;
}

static void
line_add(struct backend *b, struct backend_call *k, int front)
{
	int n = k->line;

	k->next = front ? b->first[n] : NULL;
	k->prev = front ? NULL : b->last[n];
	if (k->next != NULL)
		k->next->prev = k;
	else
		b->last[n] = k;
	if (k->prev != NULL)
		k->prev->next = k;
	else
		b->first[n] = k;
	b->waiting[n]++;
}

static void
slot_watch(struct slot *s, int events)
{
	if (ev_is_active(&s->io) &&
	    (s->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(s->b->loop, &s->io);
	ev_io_set(&s->io, s->fd, events);
	ev_io_start(s->b->loop, &s->io);
}

static void
took(struct backend *b, int64_t us)
{
	histogram_add(&b->took, us, (uint32_t)(clock_mono_ms() / 1000));
}

/* The call is over: say so, once. */
static void
finish(struct backend_call *k, const struct backend_answer *a)
{
	struct backend *b = k->b;

	if (a->status == 0 || a->status >= 500)
		b->failed++;
	else
		took(b, clock_mono_us() - k->began_us);
	if (k->slot != NULL) {
		assert(k->slot->call == k);
		k->slot->call = NULL;
	}
	if (k->fn != NULL)
		k->fn(k->arg, a);
	free(k);
}

/* The connection is of no use any more; its call is tried on another. */
static void
slot_down(struct slot *s, const char *why)
{
	struct backend_call *k = s->call;
	struct backend_answer a = { .why = "lost" };
	enum slot_state was = s->state;

	if (s->fd != -1) {
		ev_io_stop(s->b->loop, &s->io);
		close(s->fd);
		s->fd = -1;
	}
	s->state = SLOT_DOWN;
	buf_fini(&s->out);
	buf_fini(&s->in);
	memset(&s->rec, 0, sizeof(s->rec));
	/* One that was used and is closed between requests is no fault. */
	if (was == SLOT_IDLE) {
		s->retry_ms = 0;
	} else {
		log_debug("backend down why=%s", why);
		s->retry_ms = s->retry_ms ? s->retry_ms * 2 : RETRY_MIN_MS;
		if (s->retry_ms > RETRY_MAX_MS)
			s->retry_ms = RETRY_MAX_MS;
	}
	s->retry_at = clock_mono_ms() + s->retry_ms;
	if (k == NULL)
		return;
	s->call = NULL;
	k->slot = NULL;
	if (k->fn != NULL && k->tries < TRIES_MAX)
		line_add(s->b, k, 1);
	else
		finish(k, &a);
}

static void
slot_connect(struct slot *s)
{
	s->fd = sock_connect(s->b->cf.socket, SOCK_STREAM);
	if (s->fd == -1) {
		s->state = SLOT_CONNECTING;
		slot_down(s, strerror(errno));
		return;
	}
	ev_io_set(&s->io, s->fd, EV_WRITE);
	ev_io_start(s->b->loop, &s->io);
	s->state = SLOT_CONNECTING;
}

static void
param(struct buf *b, const char *name, const char *value)
{
	if (value != NULL)
		fcgirec_param(b, name, value, strlen(value));
}

static int
slot_request(struct slot *s, struct backend_call *k)
{
	struct buf p;
	const char *q = strchr(k->uri, '?');
	char length[24];

	buf_init(&p, 65536);
	buf_init(&s->out, k->len + 131072);
	snprintf(length, sizeof(length), "%zu", k->len);
	param(&p, "REQUEST_METHOD", k->method);
	param(&p, "REQUEST_URI", k->uri);
	param(&p, "QUERY_STRING", q ? q + 1 : "");
	param(&p, "CONTENT_LENGTH", length);
	if (k->len > 0)
		param(&p, "CONTENT_TYPE", "application/json");
	param(&p, "SERVER_PROTOCOL", "HTTP/1.1");
	param(&p, "GATEWAY_INTERFACE", "CGI/1.1");
	param(&p, "SERVER_SOFTWARE", "parley-pushd");
	param(&p, "REMOTE_ADDR", k->addr ? k->addr : "127.0.0.1");
	param(&p, "PARLEY_INTERNAL", s->b->cf.key);
	param(&p, "PARLEY_AS", k->ref);
	fcgirec_begin(&s->out);
	fcgirec_stream(&s->out, FCGIREC_PARAMS, p.data, p.len);
	fcgirec_stream(&s->out, FCGIREC_STDIN, k->body, k->len);
	if (p.err)
		s->out.err = 1;
	buf_fini(&p);
	return s->out.err ? -1 : 0;
}

/* Send what waits; asks for writability if the socket is full. */
static void
slot_write(struct slot *s)
{
	ssize_t n;

	while (s->out.len > 0) {
		n = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			slot_watch(s, EV_READ | EV_WRITE);
			return;
		}
		if (n == -1) {
			slot_down(s, strerror(errno));
			return;
		}
		buf_drop(&s->out, (size_t)n);
	}
	buf_fini(&s->out);
	slot_watch(s, EV_READ);
}

static void
slot_start(struct slot *s, struct backend_call *k)
{
	struct backend_answer a = { .why = "lost" };

	assert(s->state == SLOT_IDLE && s->call == NULL);
	k->slot = s;
	k->tries++;
	s->call = k;
	s->state = SLOT_BUSY;
	if (slot_request(s, k) == -1) {
		s->state = SLOT_IDLE;
		buf_fini(&s->out);
		finish(k, &a);
		return;
	}
	slot_write(s);
}

/* The next call in turn. */
static struct backend_call *
next_call(struct backend *b)
{
	struct backend_call *k;
	int i;

	for (i = 1; i <= BACKEND_LINES; i++) {
		k = b->first[(b->turn + i) % BACKEND_LINES];
		if (k != NULL) {
			b->turn = k->line;
			return line_pop(b, k->line);
		}
	}
	return NULL;
}

static void
dispatch(struct backend *b)
{
	struct backend_call *k;
	int64_t now = clock_mono_ms();
	unsigned i, waiting = 0;

	for (i = 0; i < BACKEND_LINES; i++)
		waiting += b->waiting[i];
	for (i = 0; i < b->cf.pool && waiting > 0; i++) {
		if (b->slots[i].state == SLOT_DOWN &&
		    b->slots[i].retry_at <= now)
			slot_connect(&b->slots[i]);
		if (b->slots[i].state != SLOT_IDLE)
			continue;
		k = next_call(b);
		if (k == NULL)
			break;
		slot_start(&b->slots[i], k);
		waiting--;
	}
}

/* The request has ended: hand the answer to who asked. */
static void
slot_answer(struct slot *s, uint32_t status)
{
	struct backend_call *k = s->call;
	struct backend_answer a = { .why = "lost" };
	int n = -1;

	if (status == 0 && !s->in.err)
		n = fcgirec_head(s->in.data, s->in.len, &a.status);
	if (n > 0) {
		a.head = s->in.data;
		a.head_len = (size_t)n;
		a.body = s->in.data + n;
		a.body_len = s->in.len - (size_t)n;
	} else {
		a.status = 0;
		log_warn("backend answer why=%s", s->in.err ? "size"
						  : status  ? "refused"
							    : "malformed");
	}
	s->state = SLOT_IDLE;
	s->retry_ms = 0;
	finish(k, &a);
	if (s->in.cap > KEEP_MAX)
		buf_fini(&s->in);
	buf_reset(&s->in);
	if (s->b->lean)
		slot_down(s, "lean");
}

static void
slot_read(struct slot *s)
{
	static char scratch[65536];
	struct fcgirec_got got;
	size_t at = 0, len;
	ssize_t n;

	n = recv(s->fd, scratch, sizeof(scratch), 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		slot_down(s, n == 0 ? "closed" : strerror(errno));
		return;
	}
	if (s->state != SLOT_BUSY) {
		slot_down(s, "unasked");
		return;
	}
	for (len = (size_t)n;;) {
		at += fcgirec_read(&s->rec, scratch + at, len - at, &got);
		switch (got.what) {
		case FCGIREC_MORE:
			return;
		case FCGIREC_OUT:
			buf_append(&s->in, got.p, got.len);
			break;
		case FCGIREC_ERR:
			break; /* it has a log of its own */
		case FCGIREC_DONE:
			if (at < len) {
				slot_down(s, "unasked");
				return;
			}
			slot_answer(s, got.status);
			return;
		case FCGIREC_BAD:
			slot_down(s, "malformed");
			return;
		}
	}
}

static void
slot_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct slot *s = w->data;
	int e = 0;
	socklen_t len = sizeof(e);

	(void)loop;
	if (s->state == SLOT_CONNECTING) {
		if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &len) == -1 ||
		    e != 0) {
			slot_down(s, strerror(e));
			return;
		}
		s->state = SLOT_IDLE;
		buf_init(&s->in, ANSWER_BYTES_MAX);
		slot_watch(s, EV_READ);
	} else if (revents & EV_READ) {
		slot_read(s);
	} else if (revents & EV_WRITE) {
		slot_write(s);
	}
}

/* Calls in line go out before the loop sleeps, and only then. */
static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)revents;
	ev_idle_stop(loop, &((struct backend *)w->data)->spin);
	dispatch(w->data);
}

/* Its being active is all: the loop does not sleep then. */
static void
on_spin(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

/* Time limits: of what waits, the oldest come first; of what is in flight. */
static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct backend *b = w->data;
	struct backend_answer a = { .why = "timeout" };
	struct backend_call *k;
	int64_t now = clock_mono_ms();
	unsigned i;

	(void)loop;
	(void)revents;
	for (i = 0; i < BACKEND_LINES; i++)
		while ((k = b->first[i]) != NULL && k->until <= now) {
			b->timeouts++;
			finish(line_pop(b, (int)i), &a);
		}
	for (i = 0; i < b->cf.pool; i++) {
		k = b->slots[i].call;
		if (k == NULL || k->until > now)
			continue;
		b->timeouts++;
		finish(k, &a);
		slot_down(&b->slots[i], "timeout");
	}
}

struct backend *
backend_new(struct ev_loop *loop, const struct backend_conf *cf)
{
	struct backend *b = calloc(1, sizeof(*b));
	unsigned i;

	if (b == NULL)
		return NULL;
	b->loop = loop;
	b->cf = *cf;
	b->slots = calloc(cf->pool, sizeof(*b->slots));
	if (b->slots == NULL) {
		free(b);
		return NULL;
	}
	for (i = 0; i < cf->pool; i++) {
		b->slots[i].fd = -1;
		b->slots[i].b = b;
		ev_init(&b->slots[i].io, slot_io);
		b->slots[i].io.data = &b->slots[i];
	}
	ev_timer_init(&b->timer, on_timer, .1, .1);
	b->timer.data = b;
	ev_timer_start(loop, &b->timer);
	ev_prepare_init(&b->prepare, on_prepare);
	b->prepare.data = b;
	ev_prepare_start(loop, &b->prepare);
	ev_idle_init(&b->spin, on_spin);
	return b;
}

void
backend_free(struct backend *b)
{
	unsigned i;

	if (b == NULL)
		return;
	ev_timer_stop(b->loop, &b->timer);
	ev_prepare_stop(b->loop, &b->prepare);
	ev_idle_stop(b->loop, &b->spin);
	for (i = 0; i < b->cf.pool; i++) {
		free(b->slots[i].call);
		b->slots[i].call = NULL;
		slot_down(&b->slots[i], "end");
	}
	for (i = 0; i < BACKEND_LINES; i++)
		while (b->first[i] != NULL)
			free(line_pop(b, (int)i));
	free(b->slots);
	free(b);
}

static const char *
copy(char **at, const char *s, size_t len)
{
	char *p = *at;

	if (s == NULL)
		return NULL;
	memcpy(p, s, len);
	p[len] = '\0';
	*at += len + 1;
	return p;
}

static size_t
size(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

struct backend_call *
backend_call(struct backend *b, enum backend_line line, const char *method,
    const char *uri, const char *ref, const char *addr, const char *body,
    size_t len, backend_fn *fn, void *arg)
{
	struct backend_call *k;
	char *at;

	b->calls++;
	if (line == BACKEND_SEND && b->waiting[line] >= b->cf.waiting_max) {
		b->refused++;
		return NULL;
	}
	k = malloc(sizeof(*k) + size(method) + size(uri) + size(ref) +
		   size(addr) + len + 1);
	if (k == NULL)
		return NULL;
	memset(k, 0, sizeof(*k));
	at = k->text;
	k->b = b;
	k->fn = fn;
	k->arg = arg;
	k->line = (int)line;
	k->began_us = clock_mono_us();
	k->until = k->began_us / 1000 + b->cf.timeout_ms;
	k->method = copy(&at, method, strlen(method));
	k->uri = copy(&at, uri, strlen(uri));
	k->ref = copy(&at, ref, ref ? strlen(ref) : 0);
	k->addr = copy(&at, addr, addr ? strlen(addr) : 0);
	k->body = copy(&at, body ? body : "", len);
	k->len = len;
	line_add(b, k, 0);
	ev_idle_start(b->loop, &b->spin);
	return k;
}

void
backend_cancel(struct backend_call *k)
{
	if (k == NULL)
		return;
	k->fn = NULL;
	if (k->slot != NULL)
		return;
	line_take(k->b, k);
	free(k);
}

void
backend_lean(struct backend *b)
{
	unsigned i;

	b->lean = 1;
	for (i = 0; i < b->cf.pool; i++)
		if (b->slots[i].state == SLOT_IDLE)
			slot_down(&b->slots[i], "lean");
}

void
backend_stats(const struct backend *b, struct backend_stats *st)
{
	unsigned i;

	memset(st, 0, sizeof(*st));
	st->calls = b->calls;
	st->failed = b->failed;
	st->timeouts = b->timeouts;
	st->refused = b->refused;
	st->took = b->took;
	for (i = 0; i < BACKEND_LINES; i++) {
		st->line[i] = b->waiting[i];
		st->waiting += b->waiting[i];
	}
	for (i = 0; i < b->cf.pool; i++) {
		st->busy += b->slots[i].state == SLOT_BUSY;
		st->up += b->slots[i].state >= SLOT_IDLE;
	}
}
