/*
 * conn.c: one client connection.
 *
 * A write is tried before the loop sleeps; only what the kernel does not take
 * makes us ask for writability.  Closing unlinks and stops at once, memory
 * goes at the end of the turn, so that callers up the stack stay safe.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <sodium.h>

#include "clock.h"
#include "conn.h"
#include "json.h"
#include "log.h"
#include "origin.h"
#include "sock.h"

enum {
	/* What a turn of the loop takes on: events wait for its end. */
	ACCEPTS_A_TURN = 16,
	READY_A_TURN = 256,
	REQUESTS_A_TURN = 16,
	TICKS_A_TURN = 64,
	FULL = 4, /* of queue_bytes_max */
	IOV_LOT = 128,
	HEAD_S = 10,
	LINGER_S = 2,
	SCRATCH = 65536,
	STASH_MAX = 262144,
	USER_TIMEOUT_MS = 30000
};

struct conn_listener {
	ev_io io;
	struct conns *all;
	struct conn_listener *next;
	int fd, lock, is_unix;
	uint32_t rest_until_s; /* out of descriptors: not before this */
	char addr[];
};

/* Frames behind the first that waits. */
struct conn_queue {
	uint32_t at, n, cap;
	struct frame *f[];
};

/* Connections of one address. */
struct conn_peer {
	unsigned n;
	char net[ADDR_TEXT_MAX]; /* what they are counted by */
	char addr[];
};

unsigned
conn_jitter(unsigned n)
{
	return n > 1 ? randombytes_uniform(n) : 0;
}

const char *
conn_addr(const struct conn *c)
{
	return conn_peer_addr(c->peer);
}

const char *
conn_peer_addr(const struct conn_peer *p)
{
	return p ? p->addr : "";
}

struct conn_peer *
conn_peer_hold(const struct conn *c)
{
	if (c->peer != NULL)
		c->peer->n++;
	return c->peer;
}

void
conn_peer_drop(struct conns *all, struct conn_peer *p)
{
	if (p == NULL || --p->n > 0)
		return;
	table_del(&all->peers, p->net, strlen(p->net));
	free(p);
}

int
conn_method(const struct request *rq, const char *name)
{
	return http_is(rq->p, rq->head->method, name);
}

/* --- the wheel --- */

static void
wheel_take(struct conn *c)
{
	if (c->wheel_at == NULL)
		return;
	*c->wheel_at = c->wheel_next;
	if (c->wheel_next != NULL)
		c->wheel_next->wheel_at = c->wheel_at;
	c->wheel_at = NULL;
}

/* Into the slot of its second, or, if that is far, the last one before. */
static void
wheel_add(struct conn *c)
{
	uint32_t s = c->due_s, now = c->all->now_s, turned = c->all->wheel_s;
	struct conn **slot;

	wheel_take(c);
	if (s <= now)
		s = now + 1;
	if (s - turned >= CONN_WHEEL)
		s = turned + CONN_WHEEL - 1;
	slot = &c->all->wheel[s % CONN_WHEEL];
	c->wheel_next = *slot;
	if (c->wheel_next != NULL)
		c->wheel_next->wheel_at = &c->wheel_next;
	c->wheel_at = slot;
	*slot = c;
}

static void
due_at(struct conn *c, uint32_t s)
{
	c->due_s = s;
	wheel_add(c);
}

void
conn_due(struct conn *c, unsigned s)
{
	/* The second that runs does not count. */
	due_at(c, c->all->now_s + s + 1);
}

/* --- ending --- */

static void
in_free(struct conn *c)
{
	if (c->in != NULL)
		buf_fini(c->in);
	free(c->in);
	c->in = NULL;
	free(c->head);
	c->head = NULL;
}

static void
queue_free(struct conn *c)
{
	struct conn_queue *q = c->queue;

	frame_unref(c->first);
	while (q != NULL && q->n > 0) {
		frame_unref(q->f[q->at++]);
		q->n--;
	}
	free(q);
	c->first = NULL;
	c->queue = NULL;
	c->off = c->queued = 0;
}

static void
peer_leave(struct conn *c)
{
	struct conn_peer *p = c->peer;

	c->peer = NULL;
	conn_peer_drop(c->all, p);
}

/* The transport lets go of what is its own. */
static void
untake(struct conn *c)
{
	const struct transport *tr = c->tr;

	if (tr == NULL)
		return;
	tr->gone(c);
	c->tr = NULL;
	c->t = NULL;
}

/* In a slot: what there is to know stands in the connection. */
static struct frame ask;

/* What waits in the slot is the connection's from now on. */
static void
slot_ask(struct conn *c)
{
	struct conn_slot *s = &c->all->at[c->fd];

	if (s->one == &ask)
		return;
	if (s->one != NULL) {
		assert(c->first == NULL);
		c->first = s->one;
		c->queued = s->one->len;
	}
	s->one = &ask;
}

/* Nothing is going on with it: the slot says all. */
static void
slot_rest(struct conn *c)
{
	if (c->state == CONN_OPEN && c->first == NULL && c->queue == NULL &&
	    !c->slow && !c->broken && !c->blocked && !c->full && !c->resumed &&
	    !c->carried)
		c->all->at[c->fd].one = NULL;
}

/*
 * To be looked at before the loop sleeps; in the order of descriptors, which
 * is nearly that of memory, here and in the kernel.
 */
static void
turn_mark(struct conns *all, uint32_t fd)
{
	uint32_t i = fd / 64;

	all->turn[i] |= UINT64_C(1) << (fd % 64);
	if (i < all->turn_from)
		all->turn_from = i;
	if (i >= all->turn_to)
		all->turn_to = i + 1;
}

static void
turn_add(struct conn *c)
{
	slot_ask(c);
	turn_mark(c->all, (uint32_t)c->fd);
}

static int
turn_empty(const struct conns *all)
{
	return all->turn_from >= all->turn_to;
}

static void
turn_clear(struct conns *all)
{
	all->turn_from = UINT32_MAX;
	all->turn_to = 0;
}

/* Room for the descriptor in ${at} and ${turn}.  -1 without memory. */
static int
fds_grow(struct conns *all, int fd)
{
	uint32_t n = all->fds ? all->fds : 1024;
	uint64_t *turn;
	struct conn_slot *at;

	while (n <= (uint32_t)fd)
		n += n / 2 / 64 * 64;
	if (n == all->fds)
		return 0;
	at = realloc(all->at, n * sizeof(*at));
	if (at == NULL)
		return -1;
	all->at = at;
	turn = realloc(all->turn, n / 64 * sizeof(*turn));
	if (turn == NULL)
		return -1;
	memset(at + all->fds, 0, (n - all->fds) * sizeof(*at));
	memset(turn + all->fds / 64, 0, (n - all->fds) / 64 * sizeof(*turn));
	all->turn = turn;
	all->fds = n;
	return 0;
}

/* What the kernel tells us of it: of EPOLLIN and EPOLLOUT. */
static void
watch(struct conn *c, unsigned events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };
	int op = c->watched == 0 ? EPOLL_CTL_ADD
		 : events == 0   ? EPOLL_CTL_DEL
				 : EPOLL_CTL_MOD;

	if (c->watched == events)
		return;
	if (epoll_ctl(c->all->ep, op, c->fd, &e) == -1) {
		log_sys("conn epoll");
		c->broken = 1;
		turn_add(c);
	}
	c->watched = (uint8_t)events;
}

static void
watch_again(struct conn *c)
{
	watch(c,
	    (c->paused || c->eof ? 0 : EPOLLIN) | (c->blocked ? EPOLLOUT : 0));
}

void
conn_close(struct conn *c, const char *why)
{
	struct conns *all = c->all;

	if (c->state == CONN_DEAD)
		return;
	log_debug("conn close fd=%d why=%s queued=%u", c->fd, why, c->queued);
	if (c->state < CONN_END)
		ends_count(&all->ends, why);
	c->state = CONN_DEAD;
	untake(c);
	watch(c, 0);
	wheel_take(c);
	close(c->fd);
	slot_ask(c);
	all->at[c->fd] = (struct conn_slot){ NULL, NULL };
	queue_free(c);
	in_free(c);
	peer_leave(c);
	all->n--;
	c->wheel_next = all->dead;
	all->dead = c;
}

/* All is sent: FIN, and wait for the client's for a little. */
static void
linger(struct conn *c)
{
	if (c->eof || shutdown(c->fd, SHUT_WR) == -1) {
		conn_close(c, "done");
		return;
	}
	c->state = CONN_LINGER;
	c->blocked = 0;
	watch_again(c);
	conn_due(c, LINGER_S);
}

void
conn_end(struct conn *c, const char *why)
{
	if (c->state >= CONN_END)
		return;
	log_debug("conn end fd=%d why=%s", c->fd, why);
	ends_count(&c->all->ends, why);
	untake(c);
	in_free(c);
	c->state = CONN_END;
	c->paused = 0;
	c->progress_s = c->all->now_s;
	watch_again(c);
	turn_add(c);
	conn_due(c, (unsigned)c->all->cf->progress_s_max);
}

/* --- sending --- */

/* Behind the first.  -1 without memory. */
static int
queue_add(struct conn *c, struct frame *f)
{
	struct conn_queue *q = c->queue;
	uint32_t cap = q ? q->cap : 0;

	if (q != NULL && q->at > 0 && q->at + q->n == cap) {
		memmove(q->f, q->f + q->at, q->n * sizeof(struct frame *));
		q->at = 0;
	}
	if (q == NULL || q->n == cap) {
		cap = cap ? cap * 2 : 6;
		q = realloc(q, sizeof(*q) + cap * sizeof(struct frame *));
		if (q == NULL)
			return -1;
		if (c->queue == NULL)
			q->at = q->n = 0;
		q->cap = cap;
		c->queue = q;
	}
	q->f[q->at + q->n++] = f;
	return 0;
}

static ssize_t
send_some(struct conn *c)
{
	struct iovec iov[IOV_LOT];
	struct msghdr m = { .msg_iov = iov };
	const struct conn_queue *q = c->queue;
	uint32_t i;

	if (q == NULL || q->n == 0)
		return send(c->fd, c->first->data + c->off,
		    c->first->len - c->off, MSG_NOSIGNAL);
	iov[0].iov_base = c->first->data + c->off;
	iov[0].iov_len = c->first->len - c->off;
	for (i = 0; i < q->n && i < IOV_LOT - 1; i++) {
		iov[i + 1].iov_base = q->f[q->at + i]->data;
		iov[i + 1].iov_len = q->f[q->at + i]->len;
	}
	m.msg_iovlen = i + 1;
	return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

/* Let go of the frames that are wholly sent. */
static void
sent(struct conn *c, size_t n)
{
	struct conn_queue *q = c->queue;
	struct frame *f;

	c->queued -= (uint32_t)n;
	n += c->off;
	while ((f = c->first) != NULL && n >= f->len) {
		n -= f->len;
		frame_unref(f);
		c->first = NULL;
		if (q != NULL && q->n > 0) {
			c->first = q->f[q->at++];
			q->n--;
		}
	}
	c->off = (uint32_t)n;
}

/*
 * Send as much as the kernel takes.  Calls nobody and closes nothing, so that
 * it may be done in the middle of whatever queues.
 */
static void
push_out(struct conn *c)
{
	ssize_t n;

	while (c->first != NULL && !c->broken) {
		n = send_some(c);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == ENOBUFS)) {
			if (!c->blocked) {
				c->blocked = 1;
				c->progress_s = c->all->now_s;
				watch_again(c);
			}
			return;
		}
		if (n == -1) {
			c->broken = 1;
			turn_add(c);
			return;
		}
		c->all->writes++;
		c->all->bytes += (uint64_t)n;
		c->progress_s = c->all->now_s;
		sent(c, (size_t)n);
	}
}

size_t
conn_queued(const struct conn *c)
{
	const struct frame *one = c->all->at[c->fd].one;

	return c->queued + (one != NULL ? one->len : 0);
}

int
conn_full(const struct conn *c)
{
	return conn_queued(c) > (size_t)c->all->cf->queue_bytes_max / FULL;
}

/* Much is queued: the transport is told when it has gone. */
static void
filled(struct conn *c)
{
	c->full = 1;
	if (c->queued <= c->all->cf->queue_bytes_max / 2)
		return;
	/* Much in one turn is not the reader's fault: see what it takes. */
	if (!c->blocked)
		push_out(c);
	if (c->queued > c->all->cf->queue_bytes_max)
		c->slow = 1;
}

void
conn_send(struct conn *c, struct frame *f)
{
	if (c->state > CONN_OPEN || c->slow || c->broken || f == NULL ||
	    f->len == 0)
		return;
	turn_add(c);
	if (c->first == NULL) {
		c->first = frame_ref(f);
	} else if (queue_add(c, f) == 0) {
		frame_ref(f);
	} else {
		c->slow = 1;
		return;
	}
	c->queued += f->len;
	if (conn_full(c))
		filled(c);
}

void
conns_give(struct conns *all, uint32_t fd, struct frame *f)
{
	struct conn_slot *s = &all->at[fd];

	if (s->one != NULL || f == NULL || f->len == 0) {
		conn_send(s->c, f);
		return;
	}
	s->one = frame_ref(f);
	turn_mark(all, fd);
}

void
conn_write(struct conn *c, const void *p, size_t len)
{
	struct frame *f = frame_new(p, len);

	if (f == NULL) {
		c->slow = 1;
		turn_add(c);
		return;
	}
	conn_send(c, f);
	frame_unref(f);
}

static void
flush(struct conn *c)
{
	push_out(c);
	if (c->broken) {
		conn_close(c, "gone");
		return;
	}
	if (c->first != NULL)
		return;
	if (c->queue != NULL) {
		free(c->queue);
		c->queue = NULL;
	}
	if (c->blocked) {
		c->blocked = 0;
		watch_again(c);
	}
	if (c->state == CONN_END) {
		linger(c);
	} else if (c->full) {
		c->full = 0;
		if (c->state == CONN_OPEN && c->tr->drained != NULL)
			c->tr->drained(c);
	}
}

void
conn_reply(struct conn *c, int head_only, int status, const char *headers,
    const char *body)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = { { 200, "OK" }, { 204, "No Content" },
		{ 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 408, "Request Timeout" },
		{ 413, "Content Too Large" }, { 414, "URI Too Long" },
		{ 426, "Upgrade Required" }, { 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" } };
	const char *reason = "Error";
	struct buf b;
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].status == status)
			reason = reasons[i].text;
	buf_init(&b, 262144);
	buf_printf(&b, "HTTP/1.1 %d %s\r\n", status, reason);
	if (headers != NULL)
		buf_puts(&b, headers);
	if (body != NULL &&
	    (headers == NULL || strstr(headers, "Content-Type:") == NULL))
		buf_puts(
		    &b, "Content-Type: application/json; charset=utf-8\r\n");
	if (status != 204)
		buf_printf(
		    &b, "Content-Length: %zu\r\n", body ? strlen(body) : 0);
	buf_puts(&b,
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: no-referrer\r\n");
	if (headers == NULL || strstr(headers, "Connection:") == NULL)
		buf_puts(&b, "Connection: close\r\n");
	buf_puts(&b, "\r\n");
	if (body != NULL && !head_only)
		buf_puts(&b, body);
	if (b.err) {
		conn_close(c, "memory");
	} else {
		conn_write(c, b.data, b.len);
		conn_end(c, status < 400 ? "answered" : "refused");
	}
	buf_fini(&b);
}

void
conn_error(struct conn *c, int head_only, int status, const char *headers,
    const char *code, const char *error)
{
	struct json_object *o = json_object_new_object();
	struct buf b;

	json_put_bool(o, "success", false);
	json_put_str(o, "error", error);
	json_put_str(o, "code", code);
	buf_init(&b, 4096);
	json_write(o, &b);
	json_object_put(o);
	conn_reply(c, head_only, status, headers, b.data);
	buf_fini(&b);
}

int
conn_get_only(struct conn *c, const struct request *rq, const char *cors)
{
	char headers[1200];

	if (conn_method(rq, "GET") || conn_method(rq, "HEAD"))
		return 0;
	snprintf(
	    headers, sizeof(headers), "%sAllow: GET, HEAD, OPTIONS\r\n", cors);
	if (conn_method(rq, "OPTIONS"))
		conn_reply(c, 0, 204, headers, NULL);
	else
		conn_error(c, 0, 405, headers, "method_not_allowed",
		    "This address is for GET");
	return 1;
}

void
conn_cors(
    const struct conn *c, const struct request *rq, char *out, size_t size)
{
	static const char rest[] =
	    "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
	    "Access-Control-Allow-Headers: Authorization, Cache-Control, "
	    "Content-Type, Last-Event-ID\r\n"
	    "Access-Control-Max-Age: 600\r\n";
	const struct conf *cf = c->all->cf;
	const char *p, *h;
	char origin[300], host[300];
	size_t len, hlen;
	int star = strcmp(cf->cors_origins, "*") == 0;

	out[0] = '\0';
	p = http_field(rq->head, rq->p, "Origin", &len);
	if (star) {
		snprintf(
		    out, size, "Access-Control-Allow-Origin: *\r\n%s", rest);
		return;
	}
	if (cf->cors_origins[0] == '\0')
		return;
	if (p == NULL || len >= sizeof(origin)) {
		snprintf(out, size, "Vary: Origin\r\n");
		return;
	}
	memcpy(origin, p, len);
	origin[len] = '\0';
	h = http_field(rq->head, rq->p, "Host", &hlen);
	if (h == NULL || hlen >= sizeof(host))
		hlen = 0;
	else
		memcpy(host, h, hlen);
	host[hlen] = '\0';
	if (origin_check(origin, cf->cors_origins, cf->base_url, host, true) ==
	    ORIGIN_LISTED)
		snprintf(out, size,
		    "Access-Control-Allow-Origin: %s\r\n"
		    "Access-Control-Allow-Credentials: true\r\n"
		    "Vary: Origin\r\n%s",
		    origin, rest);
	else
		snprintf(out, size, "Vary: Origin\r\n");
}

/* --- the request --- */

static int
equal(const char *a, size_t len, const char *b)
{
	size_t n = strlen(b);

	return n > 0 && n == len && sodium_memcmp(a, b, n) == 0;
}

/* The last element of X-Forwarded-For, which our own front end added. */
static int
forwarded(const struct request *rq, char out[ADDR_TEXT_MAX])
{
	const char *p, *at;
	struct addr a;
	size_t len;
	unsigned i = rq->head->nfields;

	while (i-- > 0) {
		len = rq->head->field[i].value.len;
		p = rq->p + rq->head->field[i].value.at;
		if (rq->head->field[i].name.len != 15 ||
		    strncasecmp(rq->p + rq->head->field[i].name.at,
			"X-Forwarded-For", 15) != 0)
			continue;
		for (at = p + len; at > p && at[-1] != ',' && at[-1] != ' ';
		     at--)
			;
		if (addr_parse(at, (size_t)(p + len - at), &a) == -1)
			return -1;
		addr_text(&a, out);
		return 0;
	}
	return -1;
}

/* One more at the address.  NULL: ${max} there are already, or no memory. */
static struct conn_peer *
peer_add(struct conns *all, const char *addr, uint64_t max)
{
	char net[ADDR_TEXT_MAX];
	struct conn_peer *p;

	addr_net(addr, net);
	p = table_get(&all->peers, net, strlen(net));
	if (p != NULL && p->n >= max)
		return NULL;
	if (p == NULL) {
		p = calloc(1, sizeof(*p) + strlen(addr) + 1);
		if (p == NULL)
			return NULL;
		memcpy(p->net, net, sizeof(net));
		memcpy(p->addr, addr, strlen(addr) + 1);
		if (table_put(&all->peers, p->net, strlen(p->net), p) == -1) {
			free(p);
			return NULL;
		}
	}
	p->n++;
	return p;
}

struct conn_peer *
conn_peer_count(struct conns *all, const char *addr)
{
	return peer_add(all, addr, UINT64_MAX);
}

/* Whose connection it is, and whether one more is allowed from there. */
static int
peer_join(struct conn *c, const struct request *rq)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t sslen = sizeof(ss);
	char addr[ADDR_TEXT_MAX] = "";
	const char *secret;
	size_t len;
	int known = 0;

	secret = http_field(rq->head, rq->p, "X-Parley-Proxy", &len);
	if (c->unix_peer ||
	    (secret && equal(secret, len, c->all->cf->proxy_secret)))
		known = forwarded(rq, addr) == 0;
	if (!known && !c->unix_peer &&
	    getpeername(c->fd, (struct sockaddr *)&ss, &sslen) == 0) {
		if (ss.ss_family == AF_INET)
			inet_ntop(AF_INET,
			    &((struct sockaddr_in *)&ss)->sin_addr, addr,
			    sizeof(addr));
		else if (ss.ss_family == AF_INET6)
			inet_ntop(AF_INET6,
			    &((struct sockaddr_in6 *)&ss)->sin6_addr, addr,
			    sizeof(addr));
	}
	if (addr[0] == '\0')
		snprintf(addr, sizeof(addr), "127.0.0.1"); /* of the socket */
	c->unlimited = !c->all->cf->limits && addr_loopback(addr);
	c->peer = peer_add(c->all, addr,
	    c->unlimited ? UINT64_MAX
			 : (uint64_t)c->all->cf->address_connections_max);
	return c->peer == NULL ? -1 : 0;
}

static void
route(struct conn *c, const struct request *rq)
{
	const struct transport_path *tp;
	const char *path = rq->p + rq->head->path.at;
	size_t len = rq->head->path.len, base;

	base = strlen(c->all->cf->base_path);
	if (base > 0 && len > base &&
	    memcmp(path, c->all->cf->base_path, base) == 0 &&
	    path[base] == '/') {
		path += base;
		len -= base;
	}
	for (tp = c->all->paths; tp->path != NULL; tp++)
		if (strlen(tp->path) == len &&
		    memcmp(tp->path, path, len) == 0) {
			log_debug(
			    "conn request fd=%d path=%s", c->fd, tp->path);
			tp->transport->open(c, rq);
			return;
		}
	conn_error(c, conn_method(rq, "HEAD"), 404, NULL, "not_found",
	    "There is nothing here");
}

static void
head_refused(struct conn *c, int status)
{
	conn_error(c, 0, status, NULL,
	    status == 400 || status == 505 ? "bad_request"
					   : "headers_too_large",
	    status == 400   ? "The request could not be read"
	    : status == 505 ? "Use HTTP/1.1"
			    : "The request's head is too large");
}

static void
request_whole(
    struct conn *c, const struct http_head *h, char *p, size_t head, size_t len)
{
	struct request rq = { h, p };

	c->active_s = c->all->now_s;
	if (h->minor == 1 && h->hosts != 1) {
		head_refused(c, 400);
		return;
	}
	if (peer_join(c, &rq) == -1) {
		c->all->refused++;
		conn_error(c, 0, 429, "Retry-After: 10\r\n", "rate_limited",
		    "Too many connections from this address");
		return;
	}
	route(c, &rq);
	/* Bytes behind the head are the transport's, when it listens. */
	if (c->state == CONN_OPEN && len > head && c->tr != NULL &&
	    c->tr->input != NULL) {
		if (c->paused)
			conn_stash(c, p + head, len - head);
		else
			c->tr->input(c, p + head, len - head);
	}
}

static void
read_head(struct conn *c, char *p, size_t len)
{
	static struct http_head fresh;
	struct http_head *own = c->head, *h = own ? own : &fresh;
	struct buf *b = c->in;
	int n;

	if (b == NULL)
		http_begin(h, &c->all->limits);
	else {
		buf_append(b, p, len);
		if (b->err) {
			conn_close(c, "memory");
			return;
		}
		p = b->data;
		len = b->len;
	}
	n = http_parse(h, p, len);
	if (n == 0 && b == NULL) {
		c->in = calloc(1, sizeof(*c->in));
		c->head = malloc(sizeof(*c->head));
		if (c->in == NULL || c->head == NULL) {
			conn_close(c, "memory");
			return;
		}
		buf_init(c->in, (size_t)SCRATCH * 2);
		buf_append(c->in, p, len);
		*c->head = *h;
		return;
	}
	if (n == 0)
		return;
	/* The bytes stay while they are read, but are no longer the conn's. */
	c->in = NULL;
	c->head = NULL;
	if (n == -1)
		head_refused(c, h->status);
	else
		request_whole(c, h, p, (size_t)n, len);
	if (b != NULL) {
		buf_fini(b);
		free(b);
		free(own);
	}
}

void
conn_take(struct conn *c, const struct transport *tr, void *t)
{
	assert(c->state <= CONN_OPEN && c->tr == NULL);
	c->tr = tr;
	c->t = t;
	c->state = CONN_OPEN;
}

void
conn_pass(struct conn *c, const struct transport *tr, void *t)
{
	assert(c->state == CONN_OPEN && c->tr != NULL);
	c->tr = tr;
	c->t = t;
}

/* --- reading --- */

void
conn_pause(struct conn *c)
{
	c->paused = 1;
	c->resumed = 0;
	watch_again(c);
}

void
conn_resume(struct conn *c)
{
	if (!c->paused)
		return;
	c->resumed = 1;
	turn_add(c);
}

void
conn_stash(struct conn *c, const char *p, size_t len)
{
	if (c->in == NULL) {
		c->in = calloc(1, sizeof(*c->in));
		if (c->in != NULL)
			buf_init(c->in, STASH_MAX);
	}
	if (c->in != NULL)
		buf_append(c->in, p, len);
	if (c->in == NULL || c->in->err)
		conn_close(c, "memory");
}

/* Give what was kept, then listen again. */
static void
unstash(struct conn *c)
{
	struct buf *b = c->in;

	c->resumed = 0;
	c->paused = 0;
	if (c->state == CONN_HEAD && c->head != NULL)
		b = NULL; /* it goes on where it was held */
	else
		c->in = NULL;
	if (b != NULL && c->state == CONN_HEAD)
		read_head(c, b->data, b->len);
	else if (b != NULL && c->state == CONN_OPEN && c->tr != NULL &&
		 c->tr->input != NULL)
		c->tr->input(c, b->data, b->len);
	if (b != NULL)
		buf_fini(b);
	free(b);
	if (c->state != CONN_DEAD)
		watch_again(c);
}

static void
on_eof(struct conn *c)
{
	c->eof = 1;
	if (c->state == CONN_OPEN && c->tr != NULL && c->tr->eof != NULL) {
		watch_again(c);
		c->tr->eof(c);
	} else if (c->state == CONN_END) {
		watch_again(c); /* it may still read what is queued */
	} else {
		conn_close(c, "gone");
	}
}

static void
on_read(struct conn *c)
{
	static char scratch[SCRATCH];
	ssize_t n;

	n = recv(c->fd, scratch, sizeof(scratch), 0);
	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			conn_close(c, strerror(errno));
		return;
	}
	if (n == 0) {
		on_eof(c);
		return;
	}
	if (c->state == CONN_HEAD)
		read_head(c, scratch, (size_t)n);
	else if (c->state == CONN_OPEN && c->tr != NULL && c->tr->input)
		c->tr->input(c, scratch, (size_t)n);
}

/* A closed one's memory stays until the end of the turn. */
static void
on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conns *all = w->data;
	struct epoll_event e[READY_A_TURN];
	int i, n, requests = 0;
	unsigned got;
	struct conn *c;

	(void)loop;
	(void)revents;
	n = epoll_wait(all->ep, e, READY_A_TURN, 0);
	for (i = 0; i < n; i++) {
		c = e[i].data.ptr;
		got = e[i].events;
		if (got & (EPOLLERR | EPOLLHUP))
			got |= EPOLLIN | EPOLLOUT;
		if (got & c->watched & EPOLLOUT) {
			flush(c);
			slot_rest(c);
		}
		if (all->held && c->state == CONN_HEAD)
			conn_pause(c);
		if (!(got & c->watched & EPOLLIN) || c->state == CONN_DEAD)
			continue;
		/* The others come again. */
		if (c->state == CONN_HEAD && requests++ >= REQUESTS_A_TURN)
			continue;
		on_read(c);
	}
}

/* --- time --- */

static void
tick(struct conn *c)
{
	struct conns *all = c->all;
	uint32_t now = all->now_s;
	unsigned next = 0;

	if ((c->blocked || c->state == CONN_END) &&
	    now - c->progress_s >= (uint64_t)all->cf->progress_s_max) {
		all->stalled++;
		conn_close(c, "stalled");
		return;
	}
	switch (c->state) {
	case CONN_HEAD:
		conn_error(
		    c, 0, 408, NULL, "timeout", "The request took too long");
		break;
	case CONN_OPEN:
		if (all->draining || c->leaving) {
			conn_due(c, 5);
			c->tr->bye(c, 1 + conn_jitter(all->drain_over_s + 1));
			break;
		}
		next = c->tr->tick(c);
		if (c->state == CONN_OPEN)
			due_at(c, now + next);
		break;
	case CONN_END:
		due_at(c, now + 1);
		break;
	default:
		conn_close(c, "done");
	}
}

/* Accept again where that had stopped. */
static void
listeners_wake(struct conns *all)
{
	struct conn_listener *l;

	for (l = all->listeners; l != NULL && !all->held; l = l->next)
		if (l->rest_until_s != 0 && l->rest_until_s <= all->now_s &&
		    all->n < all->max) {
			l->rest_until_s = 0;
			ev_io_start(all->loop, &l->io);
		}
}

/*
 * Those whose second has come, but only so many of them: who came together, and
 * has to go or be told something, holds up nobody's events.
 */
static void
wheel_turn(struct conns *all)
{
	int budget = TICKS_A_TURN;
	struct conn *c;

	while (all->wheel_s < all->now_s) {
		c = all->wheel[(all->wheel_s + 1) % CONN_WHEEL];
		if (c == NULL) {
			all->wheel_s++;
			continue;
		}
		if (budget-- == 0)
			break;
		wheel_take(c);
		if (c->due_s <= all->now_s)
			tick(c);
		else
			wheel_add(c);
	}
}

static void
on_second(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct conns *all = w->data;
	uint32_t now = (uint32_t)(clock_mono_ms() / 1000);

	(void)loop;
	(void)revents;
	if (all->now_s < now)
		all->now_s = now;
	if (!all->draining)
		listeners_wake(all);
	else if (all->n == 0 || all->now_s >= all->drain_until_s)
		ev_break(all->loop, EVBREAK_ALL);
}

static void
dead_free(struct conns *all)
{
	struct conn *c;

	while ((c = all->dead) != NULL) {
		all->dead = c->wheel_next;
		slab_free(&all->slab, c);
	}
}

/* What was queued goes out, what was kept comes in. */
static void
look_at(struct conn *c)
{
	if (c->slow) {
		c->all->slow++;
		log_info(
		    "conn close fd=%d why=slow queued=%u", c->fd, c->queued);
		conn_close(c, "slow");
		return;
	}
	if (!c->blocked || c->broken)
		flush(c);
	if (c->state != CONN_DEAD && c->resumed)
		unstash(c);
	slot_rest(c);
}

/*
 * The usual: a single frame, which the kernel takes whole.  If it does not, the
 * connection is to be looked at: 0.
 */
static int
send_one(struct conns *all, struct conn_slot *s, uint32_t fd)
{
	struct frame *f = s->one;
	ssize_t n = send((int)fd, f->data, f->len, MSG_NOSIGNAL);

	if (n > 0) {
		all->writes++;
		all->bytes += (uint64_t)n;
	}
	if (n == (ssize_t)f->len) {
		s->one = NULL;
		frame_unref(f);
		return 1;
	}
	slot_ask(s->c);
	if (n > 0)
		sent(s->c, (size_t)n);
	return 0;
}

/* All of the turn; some of them may get more to do, and come again. */
static void
turn_walk(struct conns *all)
{
	uint32_t i = all->turn_from, to = all->turn_to, fd;
	struct conn_slot *s;
	uint64_t w;

	turn_clear(all);
	for (; i < to; i++) {
		w = all->turn[i];
		all->turn[i] = 0;
		while (w != 0) {
			fd = i * 64 + (uint32_t)__builtin_ctzll(w);
			w &= w - 1;
			s = &all->at[fd];
			if (s->one != NULL && s->one != &ask &&
			    send_one(all, s, fd))
				continue;
			if (s->c != NULL)
				look_at(s->c);
		}
	}
}

void
conns_settle(struct conns *all)
{
	int rounds = 0;

	while (!turn_empty(all) && rounds++ < 8)
		turn_walk(all);
	dead_free(all);
}

/* Before the loop sleeps: writes, resumed input, and the memory of the dead. */
static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct conns *all = w->data;

	(void)revents;
	wheel_turn(all);
	conns_settle(all);
	if (turn_empty(all) && all->wheel_s == all->now_s)
		ev_idle_stop(loop, &all->spin);
	else
		ev_idle_start(loop, &all->spin);
}

/* Its being active is all: the loop does not sleep then. */
static void
on_spin(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

/* --- accepting --- */

static void
accept_rest(struct conn_listener *l)
{
	ev_io_stop(l->all->loop, &l->io);
	l->rest_until_s = l->all->now_s + 1;
}

/* A connection with nothing known of it yet; takes ${fd}. */
static struct conn *
conn_new(struct conns *all, int fd, int is_unix)
{
	struct conn *c = slab_new(&all->slab);

	if (c == NULL || fds_grow(all, fd) == -1) {
		slab_free(&all->slab, c);
		close(fd);
		return NULL;
	}
	all->at[fd] = (struct conn_slot){ c, &ask };
	c->all = all;
	c->fd = fd;
	c->unix_peer = is_unix != 0;
	c->progress_s = c->active_s = all->now_s;
	watch_again(c);
	conn_due(c, HEAD_S);
	all->n++;
	return c;
}

/* Who has had time to say what it wants, and has not. */
static void
shed(struct conn *c, void *arg)
{
	(void)arg;
	if (c->state == CONN_HEAD && c->all->now_s > c->progress_s + 1) {
		c->all->shed++;
		conn_close(c, "too many connections");
	}
}

static void
on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn_listener *l = w->data;
	int fd, i;

	(void)loop;
	(void)revents;
	for (i = 0; i < ACCEPTS_A_TURN; i++) {
		if (l->all->n >= l->all->max) {
			log_warn("conn accept why=full n=%zu", l->all->n);
			conns_each(l->all, shed, NULL);
			accept_rest(l);
			return;
		}
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM) {
				log_sys("conn accept");
				accept_rest(l);
			}
			return;
		}
		if (conn_new(l->all, fd, l->is_unix) != NULL)
			l->all->accepted++;
	}
}

/*
 * What the kernel does for each connection that is accepted there.  It gets
 * little more than it can send: what waits for a reader who has stopped costs
 * least with us, where it is held once for all.
 */
static void
listener_options(int fd, int unsent_max)
{
	int on = 1, wait_ms = USER_TIMEOUT_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(
	    fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &wait_ms, sizeof(wait_ms));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max,
	    sizeof(unsent_max));
}

int
conns_adopt_listener(struct conns *all, const char *addr, const int fds[2])
{
	size_t len = strlen(addr) + 1;
	struct conn_listener *l = calloc(1, sizeof(*l) + len);

	if (l == NULL) {
		log_error("conn listen why=memory");
		return -1;
	}
	memcpy(l->addr, addr, len);
	l->fd = fds[0];
	l->lock = fds[1];
	l->all = all;
	l->is_unix = strchr(addr, '/') != NULL;
	if (!l->is_unix)
		listener_options(l->fd, (int)all->cf->unsent_bytes_max);
	l->next = all->listeners;
	all->listeners = l;
	ev_io_init(&l->io, on_accept, l->fd, EV_READ);
	l->io.data = l;
	ev_io_start(all->loop, &l->io);
	return 0;
}

int
conns_listen(struct conns *all, const char *addr)
{
	int fds[2];

	fds[0] = sock_listen_locked(addr, SOCK_STREAM, 4096, &fds[1]);
	return fds[0] == -1 ? -1 : conns_adopt_listener(all, addr, fds);
}

int
conns_listener(const struct conns *all, size_t i, const char **addr, int fds[2])
{
	const struct conn_listener *l = all->listeners;

	while (l != NULL && i-- > 0)
		l = l->next;
	if (l == NULL)
		return 0;
	*addr = l->addr;
	fds[0] = l->fd;
	fds[1] = l->lock;
	return 1;
}

/* As many as there are descriptors for, but for those of the other side. */
static size_t
descriptors(const struct conf *cf)
{
	struct rlimit r;
	size_t n = 1024;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
		if (getrlimit(RLIMIT_NOFILE, &r) == 0)
			n = r.rlim_cur > 10000000 ? 10000000
						  : (size_t)r.rlim_cur;
	}
	n -= n > (size_t)cf->descriptors_spare ? (size_t)cf->descriptors_spare
					       : n - 1;
	return n < (size_t)cf->connections_max ? n
					       : (size_t)cf->connections_max;
}

int
conns_init(struct conns *all, struct ev_loop *loop, const struct conf *cf,
    const struct transport_path *paths)
{
	memset(all, 0, sizeof(*all));
	_Static_assert(sizeof(struct conn) <= 128, "two cache lines");
	all->slab.size = sizeof(struct conn);
	turn_clear(all);
	all->ep = epoll_create1(EPOLL_CLOEXEC);
	if (all->ep == -1) {
		log_sys("conn epoll");
		return -1;
	}
	ev_io_init(&all->io, on_io, all->ep, EV_READ);
	all->io.data = all;
	ev_io_start(loop, &all->io);
	all->loop = loop;
	all->cf = cf;
	all->paths = paths;
	all->limits.head =
	    cf->head_bytes_max > 65535 ? 65535 : (uint16_t)cf->head_bytes_max;
	all->limits.field = cf->header_bytes_max > 65535
				? 65535
				: (uint16_t)cf->header_bytes_max;
	all->limits.target = (uint16_t)cf->url_bytes_max;
	all->limits.fields = (uint16_t)cf->headers_max;
	all->now_s = all->wheel_s = (uint32_t)(clock_mono_ms() / 1000);
	all->max = descriptors(cf);
	ev_timer_init(&all->timer, on_second, .25, .25);
	all->timer.data = all;
	ev_timer_start(loop, &all->timer);
	ev_prepare_init(&all->prepare, on_prepare);
	all->prepare.data = all;
	ev_set_priority(&all->prepare, EV_MINPRI); /* behind all others */
	ev_prepare_start(loop, &all->prepare);
	ev_idle_init(&all->spin, on_spin);
	return 0;
}

static void
listeners_close(struct conns *all)
{
	struct conn_listener *l;

	while ((l = all->listeners) != NULL) {
		all->listeners = l->next;
		ev_io_stop(all->loop, &l->io);
		close(l->fd);
		if (l->lock != -1)
			close(l->lock);
		free(l);
	}
}

/* Each connection, by walking the wheel: every live one is in it. */
void
conns_each(struct conns *all, void (*fn)(struct conn *, void *), void *arg)
{
	struct conn *c, *next;
	size_t i;

	for (i = 0; i < CONN_WHEEL; i++)
		for (c = all->wheel[i]; c != NULL; c = next) {
			next = c->wheel_next;
			fn(c, arg);
		}
}

static void
close_now(struct conn *c, void *arg)
{
	(void)arg;
	conn_close(c, "end");
}

void
conns_fini(struct conns *all)
{
	listeners_close(all);
	conns_each(all, close_now, NULL);
	dead_free(all);
	free(all->at);
	free(all->turn);
	slab_fini(&all->slab);
	ev_io_stop(all->loop, &all->io);
	close(all->ep);
	ev_timer_stop(all->loop, &all->timer);
	ev_prepare_stop(all->loop, &all->prepare);
	ev_idle_stop(all->loop, &all->spin);
	table_fini(&all->peers);
}

void
conns_drain(struct conns *all, unsigned over_s)
{
	struct conn *c, *list = NULL;
	size_t i;

	if (all->draining)
		return;
	listeners_close(all);
	all->draining = 1;
	all->drain_over_s = over_s;
	all->drain_until_s = all->now_s + over_s + LINGER_S + 2;
	for (i = 0; i < CONN_WHEEL; i++)
		while ((c = all->wheel[i]) != NULL) {
			wheel_take(c);
			c->wheel_next = list;
			list = c;
		}
	while ((c = list) != NULL) {
		list = c->wheel_next;
		if (c->state == CONN_HEAD)
			conn_close(c, "drain");
		else if (c->state == CONN_OPEN)
			conn_due(c, conn_jitter(over_s));
		else
			wheel_add(c);
	}
	if (all->n == 0)
		ev_break(all->loop, EVBREAK_ALL);
}

/* --- from one pushd to the next --- */

static void
unhold(struct conn *c, void *arg)
{
	(void)arg;
	if (c->state == CONN_HEAD)
		conn_resume(c);
}

void
conns_hold(struct conns *all, int on)
{
	struct conn_listener *l;

	all->held = on;
	for (l = all->listeners; l != NULL; l = l->next)
		if (on)
			ev_io_stop(all->loop, &l->io);
		else if (l->rest_until_s == 0)
			ev_io_start(all->loop, &l->io);
	if (!on)
		conns_each(all, unhold, NULL);
}

/* What was read of a request, or kept for later; what is not sent yet. */
static void
carry_buffers(struct conn *c, struct buf *b)
{
	const struct conn_queue *q = c->queue;
	uint32_t i;

	carry_bytes(b, c->in ? c->in->data : "", c->in ? c->in->len : 0);
	carry_num(b, c->queued);
	if (c->first != NULL)
		buf_append(b, c->first->data + c->off, c->first->len - c->off);
	for (i = 0; q != NULL && i < q->n; i++)
		buf_append(b, q->f[q->at + i]->data, q->f[q->at + i]->len);
}

int
conn_carry(struct conn *c, struct buf *b)
{
	static struct buf own; /* the transport's part */

	if (own.max == 0)
		buf_init(&own, CARRY_RECORD_MAX);
	buf_reset(&own);
	slot_ask(c);
	if (c->state > CONN_OPEN || c->slow || c->broken || c->leaving ||
	    (c->state == CONN_OPEN && c->tr == NULL))
		return -1;
	if (c->tr != NULL &&
	    (c->tr->carry == NULL || c->tr->carry(c, &own) == -1 || own.err))
		return -1;
	/* What it sends first may be too much, and is lost then. */
	if (c->slow || c->broken)
		return -1;
	carry_text(b, c->tr ? c->tr->name : NULL);
	carry_text(b, c->peer ? c->peer->addr : NULL);
	carry_num(b, c->unix_peer);
	carry_num(b, c->unlimited);
	carry_num(b, c->paused);
	carry_num(b, c->resumed);
	carry_num(b, c->eof);
	carry_num(b, c->due_s);
	carry_num(b, c->life_s);
	carry_num(b, c->progress_s);
	carry_num(b, c->active_s);
	carry_buffers(c, b);
	buf_append(b, own.data, own.len);
	c->carried = b->err == 0;
	return b->err ? -1 : 0;
}

static int
adopt_buffers(struct conn *c, struct carry_in *in)
{
	struct frame *f = NULL;
	const char *p;
	size_t len;

	p = carry_get_bytes(in, &len, CARRY_RECORD_MAX);
	if (len > 0)
		conn_stash(c, p, len);
	p = carry_get_bytes(in, &len, CARRY_RECORD_MAX);
	if (len > 0)
		f = frame_new(p, len);
	if (in->bad || c->state == CONN_DEAD || (len > 0 && f == NULL))
		return -1;
	if (f != NULL) {
		c->first = f;
		c->queued = f->len;
	}
	return 0;
}

static const struct transport *
transport_named(const struct conns *all, const char *name)
{
	const struct transport *const *tr = all->pathless;
	const struct transport_path *tp;

	for (tp = all->paths; tp->path != NULL; tp++)
		if (strcmp(tp->transport->name, name) == 0)
			return tp->transport;
	for (; tr != NULL && *tr != NULL; tr++)
		if (strcmp((*tr)->name, name) == 0)
			return *tr;
	return NULL;
}

static int
adopt(struct conn *c, struct carry_in *in)
{
	const char *name = carry_get_text(in, 64);
	const char *addr = carry_get_text(in, ADDR_TEXT_MAX);
	const struct transport *tr;

	c->unix_peer = carry_get_num(in, 1) & 1;
	c->unlimited = carry_get_num(in, 1) & 1;
	c->paused = carry_get_num(in, 1) & 1;
	c->resumed = carry_get_num(in, 1) & 1;
	c->eof = carry_get_num(in, 1) & 1;
	due_at(c, (uint32_t)carry_get_num(in, UINT32_MAX));
	c->life_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	c->progress_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	c->active_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	if (adopt_buffers(c, in) == -1)
		return -1;
	if (name == NULL) {
		conn_pause(c);
		conn_resume(c); /* with the bytes of its request */
		return carry_end(in);
	}
	tr = transport_named(c->all, name);
	if (tr == NULL || tr->adopt == NULL || addr == NULL)
		return -1;
	c->peer = conn_peer_count(c->all, addr);
	if (c->peer == NULL || tr->adopt(c, in) == -1)
		return -1;
	watch_again(c);
	c->full = 1; /* so that it hears when all has gone, and goes on */
	turn_add(c);
	return carry_end(in);
}

int
conn_adopt(struct conns *all, int fd, struct carry_in *in)
{
	struct conn *c = conn_new(all, fd, 0);

	if (c != NULL && adopt(c, in) == 0)
		return 0;
	if (c != NULL)
		conn_close(c, "malformed");
	return -1;
}

/* From here on it takes no byte more of us. */
static void
hush(struct conn *c, void *arg)
{
	(void)arg;
	if (c->carried)
		c->broken = 1;
}

static void
let_go(struct conn *c, void *arg)
{
	if (!c->carried)
		return;
	if (*(const int *)arg)
		conn_close(c, "carried");
	else
		c->carried = 0;
}

void
conns_carried(struct conns *all, int gone)
{
	/* The end of one may be news to another. */
	if (gone)
		conns_each(all, hush, NULL);
	conns_each(all, let_go, &gone);
}
