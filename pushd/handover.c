/*
 * handover.c: from one pushd to the next.
 *
 * The old one's standing still is a function that does not return to the loop:
 * nothing is read, written or timed meanwhile, so there is nothing to undo
 * where the new one fails.  It lasts FREEZE_MS at most.
 */
#define _GNU_SOURCE /* accept4 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "carry.h"
#include "clock.h"
#include "handover.h"
#include "limits.h"
#include "log.h"
#include "push.h"
#include "socketio.h"
#include "sock.h"

enum {
	LINE_S = 10,        /* a taker says what it wants */
	WARM_S = 60,        /* the recent events are taken */
	REST_S = 1,         /* out of descriptors */
	SETTLE_MS = 400,    /* who is being identified is let in first */
	FREEZE_MS = 3000,   /* the new one has it all, or we go on */
	SILENT_MS = 10000,  /* the old one says nothing: the new one gives up */
	WINDOW_MS = 120000, /* of recent events */
	LOT_BYTES = 65536,
	LOT_FDS = 200,
	FDS_MAX = 253 /* SCM_MAX_FD */
};

enum record {
	REC_LOG = 1,  /* the log below the events that follow */
	REC_EVENT,    /* the next, its line */
	REC_HEAD,     /* how far all above goes */
	REC_LISTENER, /* of clients; the socket, perhaps its lock */
	REC_DOOR,     /* of takers; likewise */
	REC_HINTS,    /* some of ingest's descriptors */
	REC_PRESENCE,
	REC_TYPING,
	REC_IDENT,
	REC_CONN,
	REC_END,     /* how many connections there were */
	REC_SESSION, /* of Engine.IO; before the connections */
	REC_PAST     /* a Socket.IO client that broke off */
};

enum step { ASKING, WARMING, SETTLING };

/* Somebody who wants our place. */
struct handover_taker {
	struct handover *h;
	int fd;
	ev_io io;
	ev_timer timer;
	enum step step;
	enum handover_want want;
	int64_t sent_id;   /* the newest event it was sent */
	int64_t settle_ms; /* not longer than this */
	char line[64];
	size_t len;
	struct buf out; /* records on their way */
	/* While we stand still: */
	int fds[FDS_MAX];
	unsigned nfds;
	int64_t until_ms;
	const char *why; /* it failed */
	size_t conns;
};

/* --- both --- */

/* Wait until ${fd} is ready, not beyond ${until_ms} (-1: for ever). */
static int
wait_for(int fd, short events, int64_t until_ms)
{
	struct pollfd pf = { .fd = fd, .events = events };
	int64_t left = until_ms == -1 ? -1 : until_ms - clock_mono_ms();
	int n;

	if (until_ms != -1 && left <= 0)
		return -1;
	n = poll(&pf, 1, (int)left);
	return n == 0 || (n == -1 && errno != EINTR) ? -1 : 0;
}

/* A line of a few bytes, which an empty socket takes whole. */
static int
say(int fd, const char *line)
{
	size_t len = strlen(line);

	return send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* Whether the other says just that line. */
static int
hear(int fd, const char *line, int64_t until_ms)
{
	char text[16] = "";
	size_t len = strlen(line), have = 0;
	ssize_t n;

	assert(len <= sizeof(text));
	while (have < len && memcmp(text, line, have) == 0) {
		n = recv(fd, text + have, len - have, 0);
		if (n > 0)
			have += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR) ||
			 wait_for(fd, POLLIN, until_ms) == -1)
			return -1;
	}
	return memcmp(text, line, have) == 0 ? 0 : -1;
}

/* --- giving --- */

static void
taker_drop(struct handover_taker *t, const char *why)
{
	struct handover *h = t->h;

	ev_io_stop(h->p->loop, &t->io);
	ev_timer_stop(h->p->loop, &t->timer);
	if (t->step == SETTLING)
		conns_hold(&h->p->conns, 0);
	if (why != NULL)
		log_warn("handover failed why=\"%s\"", why);
	close(t->fd);
	buf_fini(&t->out);
	h->taker = NULL;
	free(t);
}

/* Send the lot, its descriptors with its first bytes. */
static void
lot_flush(struct handover_taker *t)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control;
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	ssize_t n;

	if (t->nfds > 0) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * t->nfds);
		cm = CMSG_FIRSTHDR(&m);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * t->nfds);
		memcpy(CMSG_DATA(cm), t->fds, sizeof(int) * t->nfds);
	}
	while (t->out.len > 0 && t->why == NULL) {
		iov.iov_base = t->out.data;
		iov.iov_len = t->out.len;
		n = sendmsg(t->fd, &m, MSG_NOSIGNAL);
		if (n > 0) {
			buf_drop(&t->out, (size_t)n);
			m.msg_control = NULL;
			m.msg_controllen = 0;
			t->nfds = 0;
		} else if (errno == ETOOMANYREFS) {
			/* Of descriptors on their way: until it took some. */
			nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
			if (clock_mono_ms() >= t->until_ms)
				t->why = "time-out";
		} else if (errno != EAGAIN && errno != EINTR) {
			t->why = strerror(errno);
		} else if (wait_for(t->fd, POLLOUT, t->until_ms) == -1) {
			t->why = "time-out";
		}
	}
}

static void
record(struct handover_taker *t, enum record type, const int *fds, unsigned n,
    const struct buf *content)
{
	if (t->why != NULL)
		return; /* what did not go is still there, and fills the lot */
	if (t->out.len >= LOT_BYTES || t->nfds + n > LOT_FDS)
		lot_flush(t);
	if (n > 0)
		memcpy(t->fds + t->nfds, fds, n * sizeof(int));
	t->nfds += n;
	carry_record(&t->out, type, n, content);
	if (t->out.err)
		t->why = "memory";
}

/* A record without descriptors, from a module. */
static void
give_presence(void *arg, const struct buf *one)
{
	record(arg, REC_PRESENCE, NULL, 0, one);
}

static void
give_typing(void *arg, const struct buf *one)
{
	record(arg, REC_TYPING, NULL, 0, one);
}

static void
give_ident(void *arg, const struct buf *one)
{
	record(arg, REC_IDENT, NULL, 0, one);
}

static void
give_session(void *arg, const struct buf *one)
{
	record(arg, REC_SESSION, NULL, 0, one);
}

static void
give_past(void *arg, const struct buf *one)
{
	record(arg, REC_PAST, NULL, 0, one);
}

static void
give_conn(struct conn *c, void *arg)
{
	static struct buf one;
	struct handover_taker *t = arg;

	if (t->why != NULL)
		return;
	if (one.max == 0)
		buf_init(&one, CARRY_RECORD_MAX);
	buf_reset(&one);
	if (conn_carry(c, &one) == -1)
		return;
	t->conns++;
	record(t, REC_CONN, &c->fd, 1, &one);
}

static void
give_socket(struct handover_taker *t, enum record type, const char *addr,
    const int fds[2])
{
	struct buf b;

	buf_init(&b, 4096);
	carry_text(&b, addr);
	record(t, type, fds, fds[1] == -1 ? 1 : 2, &b);
	buf_fini(&b);
}

static void
give_sockets(struct handover_taker *t)
{
	static int hints[INGEST_FDS_MAX];
	struct push *p = t->h->p;
	struct buf none;
	const char *addr;
	int fds[2];
	size_t i, n, lot;

	for (i = 0; conns_listener(&p->conns, i, &addr, fds); i++)
		give_socket(t, REC_LISTENER, addr, fds);
	fds[0] = t->h->fd;
	fds[1] = t->h->lock;
	give_socket(t, REC_DOOR, NULL, fds);
	buf_init(&none, 1);
	n = ingest_fds(&p->ingest, hints, INGEST_FDS_MAX);
	for (i = 0; i < n; i += lot) {
		lot = n - i < LOT_FDS ? n - i : LOT_FDS;
		record(t, REC_HINTS, hints + i, (unsigned)lot, &none);
	}
}

/* The log, for the other, begins at what it was sent last. */
static void
give_log(struct handover_taker *t)
{
	struct buf b;

	buf_init(&b, 4096);
	carry_int(&b, t->sent_id);
	record(t, REC_LOG, NULL, 0, &b);
	buf_fini(&b);
}

/* The next event it has not got; 0 if it has all. */
static int
give_event(struct handover_taker *t)
{
	const struct hub *hub = &t->h->p->hub;
	struct hub_event *he;
	struct buf line;

	/* Some have left the ring before it got them: it begins anew. */
	if (t->sent_id < hub->base) {
		t->sent_id = hub->base;
		give_log(t);
	}
	he = hub_after(hub, t->sent_id);
	if (he == NULL)
		return 0;
	t->sent_id = he->e->id;
	buf_init(&line, EVENT_LINE_MAX * 2);
	event_encode(he->e, &line);
	record(t, REC_EVENT, NULL, 0, &line);
	buf_fini(&line);
	return 1;
}

/* All that is ours, with us standing still. */
static void
give_all(struct handover_taker *t)
{
	struct push *p = t->h->p;
	struct buf b;

	while (t->why == NULL && give_event(t))
		;
	buf_init(&b, 4096);
	carry_int(&b, p->hub.head);
	carry_int(&b, p->hub.floor);
	carry_int(&b, p->hub.stale_max);
	carry_int(&b, p->idents.control_id);
	carry_text(&b, p->hub.epoch);
	record(t, REC_HEAD, NULL, 0, &b);
	give_sockets(t);
	presence_carry(&p->presence, give_presence, t);
	typing_carry(&p->typing, give_typing, t);
	siopast_carry(&p->siopast, give_past, t);
	if (t->want == HANDOVER_ALL) {
		idents_carry(&p->idents, give_ident, t);
		eios_carry(&p->eios, give_session, t);
		conns_each(&p->conns, give_conn, t);
	}
	buf_reset(&b);
	carry_num(&b, t->conns);
	record(t, REC_END, NULL, 0, &b);
	buf_fini(&b);
	lot_flush(t);
}

static void
door_close(struct handover *h)
{
	if (h->fd == -1)
		return;
	ev_io_stop(h->p->loop, &h->io);
	ev_timer_stop(h->p->loop, &h->rest);
	close(h->fd);
	close(h->lock);
	h->fd = h->lock = -1;
}

/* It is another's place now: send away whom it did not take, and end. */
static void
gone(struct handover *h, size_t left)
{
	struct push *p = h->p;

	if (left == 0) {
		/*
		 * To take apart what is another's would only take the time
		 * from who serves it now.  Nothing here is to be saved.
		 */
		log_info("end");
		_exit(0);
	}
	presence_mute(&p->presence);
	conns_carried(&p->conns, 1);
	eios_carried(&p->eios, 1);
	ingest_leave(&p->ingest);
	backend_lean(p->backend);
	door_close(h);
	push_drain(p);
}

/* Stand still, give all, hear that it came, let go. */
static void
give(struct handover_taker *t)
{
	struct handover *h = t->h;
	struct push *p = h->p;
	int64_t began = clock_mono_ms();
	size_t left;

	ev_io_stop(p->loop, &t->io);
	ev_timer_stop(p->loop, &t->timer);
	t->until_ms = began + FREEZE_MS;
	conns_settle(&p->conns);
	give_all(t);
	if (t->why == NULL && hear(t->fd, "HAVE\n", t->until_ms) == -1)
		t->why = "the new one did not take it";
	if (t->why == NULL && say(t->fd, "GO\n") == -1)
		t->why = "the new one has gone";
	ev_now_update(p->loop);
	if (t->why != NULL) {
		conns_carried(&p->conns, 0);
		eios_carried(&p->eios, 0);
		taker_drop(t, t->why);
		return;
	}
	left = p->conns.n - t->conns;
	log_info("handover conns=%zu left=%zu pause_ms=%lld", t->conns, left,
	    (long long)(clock_mono_ms() - began));
	taker_drop(t, NULL);
	gone(h, left);
}

/* Let in who is being asked about; then stand still. */
static void
settle(struct handover_taker *t)
{
	struct push *p = t->h->p;

	if (p->conns.draining) {
		taker_drop(t, "we end");
	} else if (t->want == HANDOVER_ALL && p->idents.asking.used > 0 &&
		   clock_mono_ms() < t->settle_ms) {
		ev_timer_set(&t->timer, .01, 0.);
		ev_timer_start(p->loop, &t->timer);
	} else {
		give(t);
	}
}

/* Some of the recent events, without standing still for them. */
static void
warm(struct handover_taker *t)
{
	struct push *p = t->h->p;
	ssize_t n;

	while (t->out.len < LOT_BYTES && give_event(t))
		;
	if (t->out.len > 0) {
		n = send(t->fd, t->out.data, t->out.len, MSG_NOSIGNAL);
		if (n > 0)
			buf_drop(&t->out, (size_t)n);
		else if (errno != EAGAIN && errno != EINTR)
			taker_drop(t, strerror(errno));
		return;
	}
	t->step = SETTLING;
	t->settle_ms = clock_mono_ms() + SETTLE_MS;
	ev_io_stop(p->loop, &t->io);
	ev_timer_stop(p->loop, &t->timer);
	conns_hold(&p->conns, 1);
	settle(t);
}

static void
begin(struct handover_taker *t, enum handover_want want)
{
	struct push *p = t->h->p;
	struct hub *hub = &p->hub;
	struct hub_event *he;

	t->want = want;
	t->step = WARMING;
	t->sent_id = hub->head - WINDOW_MS;
	he = hub_after(hub, t->sent_id);
	if (t->sent_id < hub->base || he == NULL)
		t->sent_id = he == NULL ? hub->head : hub->base;
	log_info("handover begins connections=%d", want == HANDOVER_ALL);
	buf_puts(&t->out, "OK\n");
	give_log(t);
	ev_timer_stop(p->loop, &t->timer);
	ev_timer_set(&t->timer, WARM_S, 0.);
	ev_timer_start(p->loop, &t->timer);
	ev_io_stop(p->loop, &t->io);
	ev_io_set(&t->io, t->fd, EV_WRITE);
	ev_io_start(p->loop, &t->io);
}

/* What the taker wants: "take 1", "listen 1". */
static void
on_line(struct handover_taker *t, const char *line)
{
	struct push *p = t->h->p;
	char take[24], sockets[24];

	snprintf(take, sizeof(take), "take %d", HANDOVER_TAKE);
	snprintf(sockets, sizeof(sockets), "listen %d", HANDOVER_LISTEN);
	if (p->conns.draining || !p->hub.ready) {
		(void)say(
		    t->fd, p->conns.draining ? "NO ends\n" : "NO starts\n");
		taker_drop(t, "asked too early or late");
	} else if (strcmp(line, take) == 0) {
		begin(t, HANDOVER_ALL);
	} else if (strcmp(line, sockets) == 0) {
		begin(t, HANDOVER_SOCKETS);
	} else if (say(t->fd, "NO version\n") == -1) {
		taker_drop(t, strerror(errno));
	}
}

static void
on_taker(struct ev_loop *loop, ev_io *w, int revents)
{
	struct handover_taker *t = w->data;
	char *end;
	ssize_t n;

	(void)loop;
	(void)revents;
	if (t->step == WARMING) {
		warm(t);
		return;
	}
	n = recv(t->fd, t->line + t->len, sizeof(t->line) - 1 - t->len, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		taker_drop(t, "the new one has gone");
		return;
	}
	t->len += (size_t)n;
	t->line[t->len] = '\0';
	end = strchr(t->line, '\n');
	if (end != NULL) {
		*end = '\0';
		t->len = 0;
		on_line(t, t->line);
	} else if (t->len == sizeof(t->line) - 1) {
		taker_drop(t, "malformed");
	}
}

static void
on_time(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct handover_taker *t = w->data;

	(void)loop;
	(void)revents;
	if (t->step == SETTLING)
		settle(t);
	else
		taker_drop(t, "time-out");
}

static void
on_rested(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct handover *h = w->data;

	(void)revents;
	ev_io_start(loop, &h->io);
}

static void
on_door(struct ev_loop *loop, ev_io *w, int revents)
{
	struct handover *h = w->data;
	struct handover_taker *t;
	int fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)revents;
	if (fd == -1) {
		if (errno != EAGAIN && errno != EINTR) {
			/* It would be ready for ever. */
			log_sys("handover accept");
			ev_io_stop(loop, w);
			ev_timer_set(&h->rest, REST_S, 0.);
			ev_timer_start(loop, &h->rest);
		}
		return;
	}
	t = h->taker == NULL && sock_peer_ok(fd) ? calloc(1, sizeof(*t)) : NULL;
	if (t == NULL) {
		log_warn("handover refused busy=%d", h->taker != NULL);
		(void)say(fd, "NO busy\n");
		close(fd);
		return;
	}
	h->taker = t;
	t->h = h;
	t->fd = fd;
	buf_init(&t->out, (size_t)CARRY_RECORD_MAX + (size_t)LOT_BYTES * 2);
	ev_io_init(&t->io, on_taker, fd, EV_READ);
	ev_timer_init(&t->timer, on_time, LINE_S, 0.);
	t->io.data = t->timer.data = t;
	ev_io_start(loop, &t->io);
	ev_timer_start(loop, &t->timer);
}

/* --- taking --- */

/* What comes, and the descriptors that came with it, in order. */
struct source {
	int fd;
	struct buf in;
	size_t at;
	int *fds;
	size_t nfds, fds_at, fds_cap;
	int ended; /* by the other */
};

static int
fds_keep(struct source *s, const struct cmsghdr *cm)
{
	size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int), cap;
	int *more;

	if (s->fds_at > 0) {
		s->nfds -= s->fds_at;
		memmove(s->fds, s->fds + s->fds_at, s->nfds * sizeof(int));
		s->fds_at = 0;
	}
	if (s->nfds + n > s->fds_cap) {
		cap = s->fds_cap * 2 + n;
		more = realloc(s->fds, cap * sizeof(int));
		if (more == NULL)
			return -1;
		s->fds = more;
		s->fds_cap = cap;
	}
	memcpy(s->fds + s->nfds, CMSG_DATA(cm), n * sizeof(int));
	s->nfds += n;
	return 0;
}

/* More bytes.  -1: none come, or not all of their descriptors. */
static int
source_read(struct source *s)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control;
	struct msghdr m = { 0 };
	struct cmsghdr *cm;
	struct iovec iov;
	ssize_t n;

	buf_drop(&s->in, s->at);
	s->at = 0;
	iov.iov_base = buf_room(&s->in, LOT_BYTES);
	iov.iov_len = LOT_BYTES;
	if (iov.iov_base == NULL)
		return -1;
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	m.msg_control = control.space;
	m.msg_controllen = sizeof(control.space);
	for (;;) {
		n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
		if (n >= 0)
			break;
		if ((errno != EAGAIN && errno != EINTR) ||
		    wait_for(s->fd, POLLIN, clock_mono_ms() + SILENT_MS) == -1)
			return -1;
	}
	for (cm = CMSG_FIRSTHDR(&m); cm != NULL; cm = CMSG_NXTHDR(&m, cm))
		if (cm->cmsg_level == SOL_SOCKET &&
		    cm->cmsg_type == SCM_RIGHTS && fds_keep(s, cm) == -1)
			return -1;
	s->in.len += (size_t)n;
	s->in.data[s->in.len] = '\0';
	s->ended = n == 0;
	return n == 0 || (m.msg_flags & MSG_CTRUNC) ? -1 : 0;
}

/* The next record, with its descriptors.  -1: there is none. */
static int
source_next(struct source *s, struct carry_record *r, const int **fds)
{
	ssize_t n;

	while ((n = carry_next(s->in.data + s->at, s->in.len - s->at, r)) == 0)
		if (source_read(s) == -1)
			return -1;
	if (n == -1 || r->fds > s->nfds - s->fds_at)
		return -1;
	s->at += (size_t)n;
	*fds = s->fds + s->fds_at;
	s->fds_at += r->fds;
	return 0;
}

static int
take_event(struct push *p, struct carry_in *in)
{
	struct event *e = NULL;

	if (event_parse(in->p, in->left, &e) != 1)
		return -1;
	if (e->type == NULL || e->id <= p->hub.head) {
		event_free(e);
		return -1;
	}
	hub_append(&p->hub, e);
	return 0;
}

static int
take_head(struct push *p, struct carry_in *in)
{
	int64_t head = carry_get_int(in, 0, CURSOR_MAX);
	int64_t floor = carry_get_int(in, 0, CURSOR_MAX);
	int64_t stale = carry_get_int(in, 0, CURSOR_MAX);
	int64_t control = carry_get_int(in, 0, CURSOR_MAX);
	const char *epoch = carry_get_text(in, sizeof(p->hub.epoch));

	if (carry_end(in) == -1 || epoch == NULL || head < p->hub.head)
		return -1;
	hub_skip(&p->hub, head);
	p->hub.floor = floor;
	p->hub.stale_max = stale;
	p->hub.ready = 1;
	strncpy(p->hub.epoch, epoch, sizeof(p->hub.epoch) - 1);
	p->idents.control_id = control;
	return 0;
}

static int
take_listener(struct handover *h, struct carry_record *r, const int *fds,
    const char *const *addrs, size_t n)
{
	const char *addr = carry_get_text(&r->in, 4200);
	int both[2];
	size_t i;

	if (addr == NULL || r->fds < 1 || r->fds > 2)
		return -1;
	both[0] = fds[0];
	both[1] = r->fds == 2 ? fds[1] : -1;
	for (i = 0; i < n; i++)
		if (strcmp(addrs[i], addr) == 0) {
			h->came |= 1ul << i;
			return conns_adopt_listener(&h->p->conns, addr, both);
		}
	log_info("handover listener address=%s no longer wanted", addr);
	close(both[0]);
	if (both[1] != -1)
		close(both[1]);
	return 0;
}

static int
take_hints(struct handover *h, const int *fds, unsigned n)
{
	int *more;

	if (n == 0)
		return -1;
	more = realloc(h->hints, (h->nhints + n) * sizeof(int));
	if (more == NULL)
		return -1;
	h->hints = more;
	memcpy(h->hints + h->nhints, fds, n * sizeof(int));
	h->nhints += n;
	return 0;
}

/*
 * What is one client's and cannot be gone on with costs that client its
 * connection: it comes back with its cursor.  All others would lose theirs if
 * the take-over failed for it.
 */
static int
take_conn(struct handover *h, int fd, struct carry_in *in)
{
	h->came_conns++;
	if (conn_adopt(&h->p->conns, fd, in) == 0)
		h->took++;
	else
		h->lost++;
	return 0;
}

static int
take_session(struct handover *h, struct carry_in *in)
{
	/* Its connection, if it has one, finds it gone, and is lost. */
	if (socketio_adopt(h->p, in) == -1)
		log_debug("handover session why=malformed");
	return 0;
}

/* One record.  1 at the end, -1 if it is not as it must be. */
static int
take_record(struct handover *h, struct carry_record *r, const int *fds,
    const char *const *addrs, size_t n)
{
	struct push *p = h->p;
	struct carry_in *in = &r->in;
	int64_t base;

	switch (r->type) {
	case REC_LOG:
		base = carry_get_int(in, 0, CURSOR_MAX);
		hub_start(&p->hub, base, 0, "");
		return carry_end(in);
	case REC_EVENT:
		return take_event(p, in);
	case REC_HEAD:
		h->began_ms = clock_mono_ms();
		return take_head(p, in);
	case REC_LISTENER:
		return take_listener(h, r, fds, addrs, n);
	case REC_DOOR:
		if (r->fds != 2 || h->fd != -1)
			return -1;
		h->fd = fds[0];
		h->lock = fds[1];
		return 0;
	case REC_HINTS:
		return take_hints(h, fds, r->fds);
	case REC_PRESENCE:
		return presence_adopt(
		    &p->presence, in, (int)p->cf.drain_s * 1000);
	case REC_TYPING:
		return typing_adopt(&p->typing, in);
	case REC_IDENT:
		return idents_adopt(&p->idents, in);
	case REC_SESSION:
		return take_session(h, in);
	case REC_PAST:
		return siopast_adopt(&p->siopast, in);
	case REC_CONN:
		return r->fds == 1 ? take_conn(h, fds[0], in) : -1;
	case REC_END:
		if (carry_get_num(in, UINT32_MAX) != h->came_conns ||
		    carry_end(in) == -1 || h->nhints < 2 || h->fd == -1)
			return -1;
		eios_adopted(&p->eios);
		idents_adopted(&p->idents);
		return 1;
	default:
		return -1;
	}
}

static int
take_records(struct handover *h, const char *const *addrs, size_t n)
{
	struct source s = { .fd = h->from };
	struct carry_record r = { 0 };
	const int *fds = NULL;
	int rc;

	buf_init(&s.in, (size_t)CARRY_RECORD_MAX + (size_t)LOT_BYTES * 2);
	do
		rc = source_next(&s, &r, &fds);
	while (rc == 0 && (rc = take_record(h, &r, fds, addrs, n)) == 0);
	if (rc == -1)
		log_error("handover why=%s record=%u",
		    s.ended ? "ended" : "malformed", r.type);
	buf_fini(&s.in);
	free(s.fds);
	return rc;
}

/* Ask for it.  1 if it comes, 0 if what we ask for is no version of theirs. */
static int
ask(int fd, const char *what, int version)
{
	char line[32], text[32] = "";
	size_t len = 0;
	ssize_t n;

	snprintf(line, sizeof(line), "%s %d\n", what, version);
	if (say(fd, line) == -1)
		return -1;
	/* Byte by byte: what follows the line is not ours to read. */
	while (len < sizeof(text) - 1 && (len == 0 || text[len - 1] != '\n')) {
		n = recv(fd, text + len, 1, 0);
		if (n == 1)
			len++;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR) ||
			 wait_for(fd, POLLIN, clock_mono_ms() + SILENT_MS) ==
			     -1)
			break;
	}
	if (strcmp(text, "OK\n") == 0)
		return 1;
	if (strcmp(text, "NO version\n") == 0)
		return 0;
	if (len > 4)
		log_error("handover refused why=%.*s", (int)len - 4, text + 3);
	else
		log_error("handover why=ended");
	return -1;
}

int
handover_take(struct handover *h, const char *path, enum handover_want want,
    const char *const *addrs, size_t n)
{
	int rc = 0;

	h->from = sock_connect(path, SOCK_STREAM);
	if (h->from == -1) {
		if (errno == ENOENT || errno == ECONNREFUSED) {
			log_info("handover from=nobody");
			return 0;
		}
		log_sys("handover path=%s", path);
		return -1;
	}
	if (!sock_peer_ok(h->from)) {
		log_error("handover path=%s why=foreign", path);
		return -1;
	}
	if (want == HANDOVER_ALL) {
		rc = ask(h->from, "take", HANDOVER_TAKE);
		if (rc == 0)
			log_warn("handover why=version clients come back");
	}
	if (rc == 0) {
		rc = ask(h->from, "listen", HANDOVER_LISTEN);
		if (rc == 0)
			log_error("handover refused why=version");
	}
	if (rc != 1)
		return -1;
	return take_records(h, addrs, n);
}

int
handover_go(struct handover *h)
{
	if (say(h->from, "HAVE\n") == -1 || hear(h->from, "GO\n", -1) == -1) {
		log_error("handover why=ended");
		return -1;
	}
	close(h->from);
	h->from = -1;
	if (h->lost > 0)
		log_warn("handover lost=%zu why=malformed", h->lost);
	log_info("handover took=%zu ms=%lld", h->took,
	    (long long)(clock_mono_ms() - h->began_ms));
	return 0;
}

/* --- its life --- */

void
handover_init(struct handover *h, struct push *p)
{
	h->p = p;
	h->fd = h->lock = h->from = -1;
}

int
handover_listen(struct handover *h, const char *path)
{
	if (h->fd == -1) {
		h->fd = sock_listen_locked(path, SOCK_STREAM, 8, &h->lock);
		if (h->fd == -1)
			return -1;
		if (chmod(path, 0600) == -1) {
			log_sys("handover path=%s", path);
			return -1;
		}
	}
	ev_io_init(&h->io, on_door, h->fd, EV_READ);
	ev_init(&h->rest, on_rested);
	h->io.data = h->rest.data = h;
	ev_io_start(h->p->loop, &h->io);
	return 0;
}

void
handover_fini(struct handover *h)
{
	if (h->p == NULL)
		return;
	if (h->taker != NULL)
		taker_drop(h->taker, "we end");
	door_close(h);
	free(h->hints);
}
