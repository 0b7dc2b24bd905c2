/*
 * ingest.c: events from fcgi/.
 *
 * An event is taken from a hint only if it follows the head; else the log is
 * asked, one question at a time, and its answer is final: ids have holes.
 */
#define _GNU_SOURCE /* recvmmsg */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "ingest.h"
#include "json.h"
#include "limits.h"
#include "log.h"
#include "sock.h"

enum {
	PAGE = 500,
	PAGE_SMALL = 20,
	RETRY_MS = 1000,
	SOURCES_MAX = 1024,
	PACKETS_A_TURN = 256,
	PACKETS_A_CALL = 16,
	/* Apart by this, they do not share the same few lines of the cache. */
	PACKET_STRIDE = EVENT_PACKET_MAX + 17 * 64,
	WINDOW_MS = 120000 /* kept for resumes at start */
};

/* A writer's connection. */
struct ingest_source {
	ev_io io;
	struct ingest *g;
	struct ingest_source *prev, *next;
	int fd;
};

static void backfill(struct ingest *g);

/* --- the log --- */

/* An item of an answer as an event; NULL if it cannot be one. */
static struct event *
item_event(struct json_object *item)
{
	struct event *e = NULL;
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX);
	json_write(item, &b);
	if (b.err || event_parse(b.data, b.len, &e) != 1)
		e = NULL;
	buf_fini(&b);
	if (e != NULL && e->type == NULL) {
		event_free(e);
		e = NULL;
	}
	return e;
}

static void
take_events(struct ingest *g, struct json_object *events)
{
	struct event *e;
	size_t i;

	for (i = 0; i < json_object_array_length(events); i++) {
		e = item_event(json_object_array_get_idx(events, i));
		if (e == NULL) {
			g->malformed++;
			log_error("ingest event why=malformed");
		} else if (e->id <= g->hub->head) {
			event_free(e);
		} else {
			g->ops->event(g->arg, e);
		}
	}
}

/* The base of the life that goes on. */
static int64_t
life_base(struct json_object *root)
{
	struct json_object *lives, *life;
	size_t i;

	if (json_get_arr(root, "lives", &lives) != 1)
		return 0;
	for (i = 0; i < json_object_array_length(lives); i++) {
		life = json_object_array_get_idx(lives, i);
		if (json_object_is_type(life, json_type_array) &&
		    json_object_array_length(life) == 2 &&
		    json_object_array_get_idx(life, 1) == NULL)
			return json_object_get_int64(
			    json_object_array_get_idx(life, 0));
	}
	return 0;
}

/*
 * The state for the first time, or of another log than before: begin with the
 * last two minutes, so that who comes back after our restart is served from
 * the ring.
 */
static void
begin(struct ingest *g, struct json_object *root, int64_t head, int64_t floor,
    const char *epoch)
{
	int64_t after = head - WINDOW_MS, base = life_base(root);
	int was = g->started;

	if (after < floor)
		after = floor;
	if (after < base - 1)
		after = base - 1;
	if (after > head)
		after = head;
	hub_start(g->hub, after, floor, epoch);
	g->hub->ready = 0;
	g->started = 1;
	g->again = 1;
	log_info("ingest state head=%lld floor=%lld restart=%d",
	    (long long)head, (long long)floor, was);
	if (was)
		g->ops->restart(g->arg);
}

static void
take_answer(struct ingest *g, struct json_object *root)
{
	struct json_object *events = NULL;
	const char *epoch = "";
	int64_t head = -1, last = 0, floor = 0;
	bool more = false;
	char text[64];
	size_t len = 0;

	json_get_int(root, "head", &head);
	json_get_int(root, "last", &last);
	json_get_int(root, "floor", &floor);
	json_get_bool(root, "more", &more);
	json_get_str(root, "epoch", &epoch, &len);
	if (head < 0 || len >= sizeof(text)) {
		g->failures++;
		g->retry_ms = clock_mono_ms() + RETRY_MS;
		log_error("ingest answer why=malformed");
		return;
	}
	memcpy(text, epoch, len);
	text[len] = '\0';
	if (!g->started || strcmp(text, g->hub->epoch) != 0 ||
	    head < g->after) {
		begin(g, root, head, floor, text);
		return;
	}
	if (json_get_arr(root, "events", &events) == 1)
		take_events(g, events);
	hub_skip(g->hub, last);
	if (floor > g->hub->floor) {
		g->hub->floor = floor;
		g->ops->floor(g->arg, floor);
	}
	if (more) {
		g->again = 1;
	} else if (!g->hub->ready) {
		g->hub->ready = 1;
		g->ops->ready(g->arg);
	}
}

static void
on_answer(void *arg, const struct backend_answer *a)
{
	struct ingest *g = arg;
	struct json_object *root = NULL;
	const char *why = a->why;

	g->call = NULL;
	g->heard_ms = clock_mono_ms();
	if (a->status == 200 &&
	    json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 10000000,
		EVENT_LINE_MAX, &root, &why) == 0) {
		g->limit = PAGE;
		take_answer(g, root);
	} else {
		/* Perhaps the page was too large. */
		g->limit = PAGE_SMALL;
		g->failures++;
		g->retry_ms = g->heard_ms + RETRY_MS;
		log_warn("ingest backfill status=%d why=%s", a->status,
		    why ? why : "status");
	}
	json_object_put(root);
	if (g->again && g->retry_ms <= g->heard_ms)
		backfill(g);
}

static void
backfill(struct ingest *g)
{
	char uri[96] = "/internal/events";

	if (g->call != NULL) {
		g->again = 1;
		return;
	}
	g->again = 0;
	g->after = 0;
	if (g->started) {
		g->after = g->hub->head;
		snprintf(uri, sizeof(uri),
		    "/internal/events?after=%lld&limit=%d", (long long)g->after,
		    g->limit);
	}
	g->backfills++;
	g->call = backend_call(g->backend, BACKEND_LOG, "GET", uri, NULL, NULL,
	    NULL, 0, on_answer, g);
	if (g->call == NULL)
		g->retry_ms = clock_mono_ms() + RETRY_MS;
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct ingest *g = w->data;
	int64_t now = clock_mono_ms();

	(void)revents;
	if (g->rest_ms != 0 && now >= g->rest_ms) {
		g->rest_ms = 0;
		ev_io_start(loop, &g->io);
	}
	if (g->call != NULL || now < g->retry_ms)
		return;
	if (g->again || !g->started || now - g->heard_ms >= g->silence_ms)
		backfill(g);
}

/* --- hints --- */

static void
hint(struct ingest *g, struct event *e)
{
	struct hub *h = g->hub;

	g->hints++;
	if (e->id == 0) {
		g->ops->ephemeral(g->arg, e);
		return;
	}
	if (!h->ready) {
		g->again = 1; /* it is in the log, where we look anyway */
	} else if (e->id <= h->head) {
		g->late++;
		/* Every id up to the head was here, or never will be. */
		if (e->id > h->base && !hub_has(h, e->id)) {
			h->regress++;
			log_error("ingest regress id=%lld head=%lld",
			    (long long)e->id, (long long)h->head);
		}
	} else if (e->type != NULL && e->prev == h->head) {
		g->ops->event(g->arg, e);
		return;
	} else {
		g->gaps++;
		backfill(g);
	}
	event_free(e);
}

static void
source_close(struct ingest_source *s)
{
	struct ingest *g = s->g;

	ev_io_stop(g->loop, &s->io);
	close(s->fd);
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		g->sources = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	g->nsources--;
	free(s);
}

static void
on_packet(struct ingest *g, const char *packet, size_t n)
{
	struct event *e = NULL;

	if (n > EVENT_PACKET_MAX || event_parse(packet, n, &e) != 1) {
		g->malformed++;
		log_error("ingest hint why=malformed bytes=%zu", n);
		g->again = 1; /* whatever it was, the log has it */
		return;
	}
	hint(g, e);
}

/*
 * As many packets as there are, several a call: under load every second call
 * was one for a packet, the others were sends.  -1: the writer has gone.
 */
static int
take_packets(struct ingest *g, int fd)
{
	static char packets[PACKETS_A_CALL][PACKET_STRIDE];
	struct mmsghdr heads[PACKETS_A_CALL];
	struct iovec iov[PACKETS_A_CALL];
	int i, n, taken;

	memset(heads, 0, sizeof(heads));
	for (i = 0; i < PACKETS_A_CALL; i++) {
		iov[i].iov_base = packets[i];
		iov[i].iov_len = EVENT_PACKET_MAX + 1;
		heads[i].msg_hdr.msg_iov = &iov[i];
		heads[i].msg_hdr.msg_iovlen = 1;
	}
	for (taken = 0; taken < PACKETS_A_TURN; taken += n) {
		n = recvmmsg(fd, heads, PACKETS_A_CALL, 0, NULL);
		if (n == -1)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		for (i = 0; i < n && heads[i].msg_len > 0; i++)
			on_packet(g, packets[i], heads[i].msg_len);
		if (i < n)
			return -1;
		if (n < PACKETS_A_CALL)
			return 0;
	}
	return 0;
}

static void
on_packets(struct ev_loop *loop, ev_io *w, int revents)
{
	struct ingest_source *s = w->data;
	struct ingest *g = s->g;
	int64_t head = g->hub->head;

	(void)loop;
	(void)revents;
	if (take_packets(g, s->fd) == -1)
		source_close(s);
	if (g->hub->head > head)
		g->heard_ms = clock_mono_ms();
}

/* A writer's connection, from now on ours.  -1: there is no room. */
static int
source_add(struct ingest *g, int fd)
{
	struct ingest_source *s = NULL;

	if (g->nsources < SOURCES_MAX)
		s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -1;
	s->g = g;
	s->fd = fd;
	s->next = g->sources;
	if (s->next != NULL)
		s->next->prev = s;
	g->sources = s;
	g->nsources++;
	ev_io_init(&s->io, on_packets, fd, EV_READ);
	s->io.data = s;
	ev_set_priority(&s->io, 1); /* before clients */
	ev_io_start(g->loop, &s->io);
	return 0;
}

static void
on_connect(struct ev_loop *loop, ev_io *w, int revents)
{
	struct ingest *g = w->data;
	int fd, flags;

	(void)revents;
	while ((fd = accept(g->fd, NULL, NULL)) != -1) {
		flags = fcntl(fd, F_GETFL);
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (!sock_peer_ok(fd) || source_add(g, fd) == -1) {
			g->refused++;
			log_warn("ingest refused n=%u", g->nsources);
			close(fd);
		}
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
	    errno == ENOMEM) {
		/* It would be ready for ever: hints rest, the log goes on. */
		log_sys("ingest accept");
		ev_io_stop(loop, &g->io);
		g->rest_ms = clock_mono_ms() + RETRY_MS;
	}
}

static void
init(struct ingest *g, struct ev_loop *loop, struct hub *hub,
    struct backend *backend, int silence_ms, const struct ingest_ops *ops,
    void *arg)
{
	memset(g, 0, sizeof(*g));
	g->loop = loop;
	g->hub = hub;
	g->backend = backend;
	g->ops = ops;
	g->arg = arg;
	g->silence_ms = silence_ms;
	g->limit = PAGE;
	g->fd = g->lock = -1;
	ev_timer_init(&g->timer, on_timer, .05, .05);
	g->timer.data = g;
}

static void
listening(struct ingest *g, int fd, int lock)
{
	g->fd = fd;
	g->lock = lock;
	ev_io_init(&g->io, on_connect, g->fd, EV_READ);
	g->io.data = g;
	ev_io_start(g->loop, &g->io);
	ev_timer_start(g->loop, &g->timer);
}

int
ingest_start(struct ingest *g, struct ev_loop *loop, struct hub *hub,
    struct backend *backend, const char *path, int silence_ms,
    const struct ingest_ops *ops, void *arg)
{
	int fd, lock;

	init(g, loop, hub, backend, silence_ms, ops, arg);
	fd = sock_listen_locked(path, SOCK_SEQPACKET, 128, &lock);
	if (fd == -1)
		return -1;
	listening(g, fd, lock);
	backfill(g);
	return 0;
}

size_t
ingest_fds(const struct ingest *g, int *out, size_t max)
{
	const struct ingest_source *s;
	size_t n = 2;

	assert(max >= INGEST_FDS_MAX);
	out[0] = g->fd;
	out[1] = g->lock;
	for (s = g->sources; s != NULL; s = s->next)
		out[n++] = s->fd;
	return n;
}

int
ingest_adopt(struct ingest *g, struct ev_loop *loop, struct hub *hub,
    struct backend *backend, const int *fds, size_t n, int silence_ms,
    const struct ingest_ops *ops, void *arg)
{
	size_t i;

	assert(n >= 2 && hub->ready);
	init(g, loop, hub, backend, silence_ms, ops, arg);
	listening(g, fds[0], fds[1]);
	for (i = 2; i < n; i++)
		if (source_add(g, fds[i]) == -1) {
			log_error("ingest adopt why=memory");
			return -1;
		}
	g->started = 1;
	g->heard_ms = clock_mono_ms();
	return 0;
}

void
ingest_leave(struct ingest *g)
{
	struct ingest_source *s, *next;

	if (g->fd == -1)
		return;
	for (s = g->sources; s != NULL; s = next) {
		next = s->next;
		source_close(s);
	}
	ev_io_stop(g->loop, &g->io);
	close(g->fd);
	close(g->lock);
	g->fd = g->lock = -1;
	g->rest_ms = 0;
}

void
ingest_stop(struct ingest *g)
{
	if (g->loop == NULL)
		return;
	ingest_leave(g);
	ev_timer_stop(g->loop, &g->timer);
	backend_cancel(g->call);
	g->call = NULL;
}
