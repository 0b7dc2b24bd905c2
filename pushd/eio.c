/*
 * eio.c: Engine.IO sessions: handshake, table, heartbeat, their end.
 *
 * A session waits for its next deadline in a wheel of its own, since it may be
 * without any connection; the heartbeat's packets are shared frames.  What
 * ends a session may stand anywhere up the stack, so its memory goes before
 * the loop sleeps.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "clock.h"
#include "dialect.h"
#include "eio_own.h"
#include "log.h"

enum {
	TICK_MS_MAX = 250,
	DUE_A_TURN = 64,
	TICKS = 100,          /* in the shorter of the protocol's times */
	JITTER_MS_MIN = 5000, /* shorter intervals are kept to the letter */
	ENDING_MS = 10000,    /* for a request that takes the goodbye */
	FULL = 4,             /* of queue_bytes_max */
	SETTLE_BEATS = 3,
	SLOTS_FIRST = 64
};

/* --- frames --- */

static struct frame *
frame_binary(const char *p, size_t len)
{
	unsigned char head[WSFRAME_HEAD_MAX];
	size_t n = wsframe_head(head, WS_BINARY, len);
	struct frame *f = frame_new(NULL, n + len);

	if (f == NULL)
		return NULL;
	memcpy(f->data, head, n);
	if (len > 0)
		memcpy(f->data + n, p, len);
	return f;
}

void
eio_send(struct eio *s, struct frame *f)
{
	if (f == NULL || f->len == 0 || s->state >= EIO_ENDING)
		return;
	if (s->c != NULL)
		conn_send(s->c, f);
	else
		eio_poll_push(s, f);
}

static void
send_own(struct eio *s, struct frame *f)
{
	if (f == NULL) {
		s->slow = 1;
		eio_flush_add(s);
		return;
	}
	eio_send(s, f);
	frame_unref(f);
}

void
eio_text(struct eio *s, const char *p, size_t len)
{
	send_own(s, dialect_websocket(p, len));
}

void
eio_bytes(struct eio *s, const char *p, size_t len)
{
	struct frame *f = NULL;
	struct buf b;

	buf_init(&b, (size_t)s->all->lim.payload_bytes_max * 2 + 64);
	if (s->b64) {
		eiopacket_base64(&b, s->eio, p, len);
	} else {
		if (s->eio == 3)
			buf_putc(&b, EIO_MESSAGE);
		buf_append(&b, p, len);
	}
	if (!b.err)
		f = s->b64 ? dialect_websocket(b.data, b.len)
			   : frame_binary(b.data, b.len);
	buf_fini(&b);
	send_own(s, f);
}

/* --- the table, by sid --- */

static struct eio **
slot_of(const struct eios *x, const char *sid)
{
	uint64_t h;

	/* Sids in the table are ours, and random. */
	memcpy(&h, sid, sizeof(h));
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return &x->slots[(h >> 32) & (x->size - 1)];
}

struct eio *
eio_find(const struct eios *x, const char *sid, size_t len)
{
	struct eio *s;

	if (len != EIO_SID || x->size == 0)
		return NULL;
	for (s = *slot_of(x, sid); s != NULL; s = s->next)
		if (s->state != EIO_SHAKING && !s->leaves &&
		    sodium_memcmp(s->sid, sid, EIO_SID) == 0)
			return s;
	return NULL;
}

static int
grow(struct eios *x)
{
	struct eios n = *x;
	struct eio *s, **at;
	size_t i;

	n.size = x->size ? x->size * 2 : SLOTS_FIRST;
	n.slots = calloc(n.size, sizeof(struct eio *));
	if (n.slots == NULL)
		return -1;
	for (i = 0; i < x->size; i++)
		while ((s = x->slots[i]) != NULL) {
			x->slots[i] = s->next;
			at = slot_of(&n, s->sid);
			s->next = *at;
			*at = s;
		}
	free(x->slots);
	x->slots = n.slots;
	x->size = n.size;
	return 0;
}

static void
table_add(struct eio *s)
{
	struct eio **at = slot_of(s->all, s->sid);

	s->next = *at;
	*at = s;
}

static void
table_take(struct eio *s)
{
	struct eio **at = slot_of(s->all, s->sid);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->next = NULL;
}

/* --- time --- */

static void
wheel_take(struct eio *s)
{
	if (s->wheel_at == NULL)
		return;
	*s->wheel_at = s->wheel_next;
	if (s->wheel_next != NULL)
		s->wheel_next->wheel_at = s->wheel_at;
	s->wheel_at = NULL;
}

/* Into the slot of its tick, or, if that is far, the last one before. */
static void
wheel_add(struct eio *s)
{
	uint32_t at = s->due, now = s->all->now, turned = s->all->turned;
	struct eio **slot;

	wheel_take(s);
	if (at <= now)
		at = now + 1;
	if (at - turned >= EIO_WHEEL)
		at = turned + EIO_WHEEL - 1;
	slot = &s->all->wheel[at % EIO_WHEEL];
	s->wheel_next = *slot;
	if (s->wheel_next != NULL)
		s->wheel_next->wheel_at = &s->wheel_next;
	s->wheel_at = slot;
	*slot = s;
}

/* The tick that comes in ${ms}, but for a part of a tick. */
static uint32_t
tick_in(const struct eios *x, int64_t ms)
{
	return x->now + 1 + (uint32_t)((ms - 1) / x->tick_ms);
}

void
eio_schedule(struct eio *s)
{
	uint32_t at = s->beat_due;

	if (s->app_due != 0 && s->app_due < at)
		at = s->app_due;
	if (s->wheel_at != NULL && s->due <= at)
		return; /* looked at then, and put off */
	s->due = at;
	wheel_add(s);
}

void
eio_due(struct eio *s, int64_t ms)
{
	s->app_due = ms < 0 ? 0 : tick_in(s->all, ms);
	if (s->state <= EIO_SOCKET)
		eio_schedule(s);
}

/* What of the client's is waited for: its ping, or nothing yet. */
static void
heartbeat(struct eio *s)
{
	const struct eio_limits *lim = &s->all->lim;
	int64_t ms = lim->ping_interval_ms;

	s->pinged = 0;
	if (s->eio == 3)
		ms += lim->ping_timeout_ms;
	s->beat_due = tick_in(s->all, ms);
	eio_schedule(s);
}

/* A server's beginnings come in crowds; their pings should not. */
static void
heartbeat_first(struct eio *s)
{
	int64_t ms = s->all->lim.ping_interval_ms;

	heartbeat(s);
	if (s->eio == 3 || ms < JITTER_MS_MIN)
		return;
	s->beat_due =
	    tick_in(s->all, ms / 2 + conn_jitter((unsigned)(ms / 2) + 1));
	eio_schedule(s);
}

static void
settle(struct eio *s)
{
	if (++s->beats % SETTLE_BEATS == 0 && s->app->settle != NULL)
		s->app->settle(s);
}

static void
beat(struct eio *s)
{
	struct eios *x = s->all;

	if (s->state == EIO_ENDING) {
		eio_gone(s);
		return;
	}
	if (s->eio == 3 || s->pinged) {
		x->ended_ping++;
		eio_finish(s, 1001, "ping timeout", x->close);
		return;
	}
	s->pinged = 1;
	s->beat_due +=
	    1 + (uint32_t)((x->lim.ping_timeout_ms - 1) / x->tick_ms);
	eio_send(s, x->ping);
	settle(s);
}

static void
on_due(struct eio *s)
{
	uint32_t now = s->all->now;

	if (s->app_due != 0 && s->app_due <= now) {
		s->app_due = 0;
		if (s->state <= EIO_SOCKET && s->app->due != NULL)
			s->app->due(s);
	}
	if (s->state != EIO_GONE && s->beat_due <= now)
		beat(s);
	if (s->state != EIO_GONE)
		eio_schedule(s);
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct eios *x = w->data;
	uint32_t now = (uint32_t)(clock_mono_ms() / x->tick_ms);

	(void)loop;
	(void)revents;
	if (x->now < now)
		x->now = now;
}

/*
 * Those whose tick has come, but only so many of them in a turn of the loop:
 * who came in a crowd holds up nobody's events.
 */
static void
wheel_turn(struct eios *x)
{
	int budget = DUE_A_TURN;
	struct eio *s;

	while (x->turned < x->now) {
		s = x->wheel[(x->turned + 1) % EIO_WHEEL];
		if (s == NULL) {
			x->turned++;
			continue;
		}
		if (budget-- == 0) {
			ev_idle_start(x->conns->loop, &x->spin);
			return;
		}
		wheel_take(s);
		if (s->due <= x->now)
			on_due(s);
		else
			wheel_add(s);
	}
}

int
eio_pinged(struct eio *s)
{
	struct conns *all = s->all->conns;

	if (s->pings_s != (uint8_t)all->now_s) {
		s->pings_s = (uint8_t)all->now_s;
		s->pings = 0;
	}
	if (s->pings < UINT8_MAX)
		s->pings++;
	return s->unlimited || s->pings <= all->cf->ws_ping_rate_max;
}

/* --- its life --- */

void
eio_sid(char out[EIO_SID])
{
	unsigned char random[EIO_SID * 3 / 4];
	char text[EIO_SID + 1];

	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(text, sizeof(text), random, sizeof(random),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	memcpy(out, text, EIO_SID);
}

struct eio *
eio_new(struct eios *x, const struct eio_app *app)
{
	char sid[EIO_SID];

	eio_sid(sid);
	return eio_named(x, app, sid);
}

struct eio *
eio_named(struct eios *x, const struct eio_app *app, const char sid[EIO_SID])
{
	struct eio *s;

	if (x->n >= x->conns->max ||
	    (x->n >= x->size && grow(x) == -1 && x->size == 0))
		return NULL;
	s = calloc(1, app->size);
	if (s == NULL)
		return NULL;
	s->more = calloc(1, sizeof(*s->more));
	if (s->more == NULL) {
		free(s);
		return NULL;
	}
	s->app = app;
	s->all = x;
	memcpy(s->sid, sid, EIO_SID);
	table_add(s);
	x->n++;
	return s;
}

static void
say_open(struct eio *s)
{
	const struct eio_limits *lim = &s->all->lim;
	char text[300];
	int n;

	n = snprintf(text, sizeof(text),
	    "0{\"sid\":\"%.*s\",\"upgrades\":[%s],\"pingInterval\":%lld,"
	    "\"pingTimeout\":%lld,\"maxPayload\":%lld}",
	    EIO_SID, s->sid, s->c ? "" : "\"websocket\"",
	    (long long)lim->ping_interval_ms, (long long)lim->ping_timeout_ms,
	    (long long)lim->payload_bytes_max);
	eio_text(s, text, (size_t)n);
}

void
eio_begin(struct eio *s, struct ident *id)
{
	struct eio_more *m = s->more;
	struct conn *c = m->get;
	int direct = m->direct;

	s->all->opened++;
	s->state = EIO_POLLS;
	heartbeat_first(s);
	if (m->socket) {
		m->get = NULL;
		eio_socket_switch(c, m->accept);
		eio_socket_take(s, c);
	}
	say_open(s);
	if (s->app->ask)
		s->app->who(s, id, direct);
	if (s->state <= EIO_SOCKET)
		s->app->open(s);
}

static void
more_free(struct eio *s)
{
	struct eio_more *m = s->more;

	if (m == NULL)
		return;
	while (m->q_n > 0)
		frame_unref(m->q[--m->q_n]);
	free(m->q);
	free(m->cors);
	free(m);
	s->more = NULL;
}

/* A session that only a socket has needs no more than that. */
static void
more_drop(struct eio *s)
{
	const struct eio_more *m = s->more;

	if (m != NULL && s->c != NULL && m->q_n == 0 && m->get == NULL &&
	    m->post == NULL && m->probe == NULL && m->wait == NULL &&
	    !m->in_flush && !s->leaves)
		more_free(s);
}

void
eio_flush_add(struct eio *s)
{
	struct eio_more *m = s->more;

	if (m == NULL)
		m = s->more = calloc(1, sizeof(*m));
	/* Without memory for it the session has no future. */
	if (m == NULL) {
		eio_finish(s, 1011, "memory", NULL);
		return;
	}
	if (m->in_flush)
		return;
	m->in_flush = 1;
	m->flush_next = s->all->flush;
	s->all->flush = s;
	ev_idle_start(s->all->conns->loop, &s->all->spin);
}

/* --- its end --- */

/* The application lets go of it. */
static void
app_closed(struct eio *s, enum eio_state next)
{
	int open = s->state == EIO_POLLS || s->state == EIO_SOCKET;

	s->state = (uint8_t)next;
	if (open)
		s->app->closed(s);
}

void
eio_gone(struct eio *s)
{
	struct eios *x = s->all;
	struct eio_more *m = s->more;

	if (s->state == EIO_GONE)
		return;
	table_take(s);
	app_closed(s, EIO_GONE);
	wheel_take(s);
	if (s->rx != NULL)
		eio_rx_fini(s->rx);
	free(s->rx);
	s->rx = NULL;
	if (m != NULL) {
		ident_cancel(x->idents, m->wait);
		m->wait = NULL;
		conn_peer_drop(x->conns, m->peer);
		m->peer = NULL;
	}
	x->n--;
	s->next = x->dead;
	x->dead = s;
	ev_idle_start(x->conns->loop, &x->spin);
}

void
eio_finish(struct eio *s, int code, const char *why, struct frame *last)
{
	struct conn *c = s->c;

	if (s->state == EIO_GONE)
		return;
	log_debug("eio end why=%s", why);
	s->c = NULL;
	if (s->more != NULL)
		eio_poll_drop(s, last);
	eio_gone(s);
	if (c != NULL)
		eio_socket_drop(c, code, why);
}

static int
is_busy(const struct eio *s)
{
	return s->app->busy != NULL && s->app->busy(s);
}

void
eio_leave(struct eio *s, int code, const char *why)
{
	s->all->ended_client++;
	if (!is_busy(s)) {
		eio_finish(s, code, why, s->all->noop);
		return;
	}
	s->leaves = 1;
	eio_hear(s, 0);
	if (s->more != NULL)
		eio_poll_drop(s, s->all->noop);
	eio_flush_add(s);
	if (s->more != NULL)
		s->more->peer_code = code;
}

void
eio_refuse(struct eio *s)
{
	if (s->state >= EIO_ENDING)
		return;
	s->all->ended_error++;
	eio_finish(s, 1002, "protocol error", s->all->close);
}

void
eio_end(struct eio *s, int code, const char *why)
{
	struct eios *x = s->all;

	if (s->state >= EIO_ENDING)
		return;
	x->ended_own++;
	if (s->state != EIO_POLLS) {
		eio_finish(s, code, why, NULL);
		return;
	}
	log_debug("eio end why=%s", why);
	eio_poll_push(s, x->close);
	app_closed(s, EIO_ENDING);
	eio_poll_drop_post(s);
	if (s->more->probe != NULL)
		eio_socket_drop(s->more->probe, code, why);
	s->beat_due = tick_in(x, ENDING_MS);
	eio_schedule(s);
}

/* --- before the loop sleeps --- */

static void
flush(struct eio *s)
{
	if (s->state == EIO_GONE)
		return;
	if (s->slow) {
		s->all->ended_slow++;
		log_info("eio close why=slow");
		eio_finish(s, 1008, "slow reader", s->all->close);
		return;
	}
	if (s->leaves && !is_busy(s)) {
		eio_finish(s, s->more->peer_code, "", NULL);
		return;
	}
	eio_poll_flush(s);
	if (s->state != EIO_GONE)
		more_drop(s);
}

static void
dead_free(struct eios *x)
{
	struct eio *s;

	while ((s = x->dead) != NULL) {
		x->dead = s->next;
		more_free(s);
		free(s);
	}
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct eios *x = w->data;
	struct eio *s, *list;
	int rounds = 0;

	(void)revents;
	wheel_turn(x);
	while ((list = x->flush) != NULL && rounds++ < 8) {
		x->flush = NULL;
		while ((s = list) != NULL) {
			list = s->more->flush_next;
			s->more->in_flush = 0;
			flush(s);
		}
	}
	if (x->flush != NULL)
		return; /* the rest of it after the events that wait */
	dead_free(x);
	if (x->turned == x->now)
		ev_idle_stop(loop, &x->spin);
}

/* Its being active is all: the loop does not sleep then. */
static void
on_spin(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

/* --- packets --- */

static int
on_ping(struct eio *s, const struct eiopacket *x)
{
	char text[126];

	if (s->eio == 4 || x->len >= sizeof(text) - 1 || !eio_pinged(s))
		return -1;
	if (x->len == 0) {
		eio_send(s, s->all->pong);
	} else {
		text[0] = '0' + EIO_PONG;
		memcpy(text + 1, x->p, x->len);
		eio_text(s, text, x->len + 1);
	}
	settle(s);
	return 0;
}

int
eio_packet(struct eio *s, const struct eiopacket *x)
{
	if (s->eio == 3) /* anything is a sign of life */
		heartbeat(s);
	switch (x->type) {
	case EIO_PING:
		return on_ping(s, x);
	case EIO_PONG:
		if (s->eio == 3)
			return -1;
		if (s->pinged)
			heartbeat(s);
		return 0;
	case EIO_MESSAGE:
		s->app->message(s, x->binary, x->p, x->len);
		return 0;
	case EIO_CLOSE:
		eio_leave(s, 1000, "client");
		return 0;
	case EIO_NOOP:
		return 0;
	case EIO_OPEN:
	case EIO_UPGRADE:
		break;
	}
	return -1;
}

/* --- what else an application does with a session --- */

void
eio_hear(struct eio *s, int yes)
{
	s->deaf = !yes;
	if (s->state == EIO_GONE)
		return;
	if (s->c != NULL && yes)
		conn_resume(s->c);
	else if (s->c != NULL)
		conn_pause(s->c);
	if (yes && s->more != NULL && s->more->post != NULL)
		eio_flush_add(s);
}

int
eio_full(struct eio *s)
{
	size_t max = (size_t)s->all->conns->cf->queue_bytes_max / FULL;

	if (s->c != NULL)
		s->full = conn_queued(s->c) > max;
	else
		s->full = s->more != NULL && s->more->q_bytes > max;
	return s->full;
}

void
eio_soon(struct eio *s)
{
	if (s->state >= EIO_ENDING)
		return;
	s->full = 1;
	eio_flush_add(s);
}

const char *
eio_addr(const struct eio *s)
{
	if (s->more != NULL && s->more->peer != NULL)
		return conn_peer_addr(s->more->peer);
	return s->c != NULL ? conn_addr(s->c) : "";
}

/* --- all of them --- */

void
eios_each(struct eios *x, void (*fn)(struct eio *s))
{
	struct eio *s, *next;
	size_t i;

	for (i = 0; i < x->size; i++)
		for (s = x->slots[i]; s != NULL; s = next) {
			next = s->next;
			fn(s);
		}
}

static struct frame *
packet_frame(enum eiopacket_type type)
{
	char text[1] = { (char)('0' + type) };

	return dialect_websocket(text, 1);
}

int
eios_init(struct eios *x, struct conns *conns, struct idents *idents,
    const struct eio_limits *lim)
{
	int64_t least = lim->ping_interval_ms < lim->ping_timeout_ms
			    ? lim->ping_interval_ms
			    : lim->ping_timeout_ms;

	memset(x, 0, sizeof(*x));
	x->conns = conns;
	x->idents = idents;
	x->lim = *lim;
	least /= TICKS;
	x->tick_ms = least > TICK_MS_MAX ? TICK_MS_MAX : (uint32_t)least;
	if (x->tick_ms == 0)
		x->tick_ms = 1;
	x->now = x->turned = (uint32_t)(clock_mono_ms() / x->tick_ms);
	randombytes_buf(x->key, sizeof(x->key));
	x->ping = packet_frame(EIO_PING);
	x->pong = packet_frame(EIO_PONG);
	x->noop = packet_frame(EIO_NOOP);
	x->close = packet_frame(EIO_CLOSE);
	if (x->ping == NULL || x->pong == NULL || x->noop == NULL ||
	    x->close == NULL)
		return -1;
	ev_timer_init(
	    &x->timer, on_tick, x->tick_ms / 1000., x->tick_ms / 1000.);
	x->timer.data = x;
	ev_timer_start(conns->loop, &x->timer);
	ev_prepare_init(&x->prepare, on_prepare);
	x->prepare.data = x;
	ev_prepare_start(conns->loop, &x->prepare);
	ev_idle_init(&x->spin, on_spin);
	return 0;
}

static void
end_now(struct eio *s)
{
	eio_finish(s, 1001, "end", NULL);
}

void
eios_fini(struct eios *x)
{
	if (x->conns == NULL)
		return;
	eios_each(x, end_now);
	dead_free(x);
	free(x->slots);
	frame_unref(x->ping);
	frame_unref(x->pong);
	frame_unref(x->noop);
	frame_unref(x->close);
	ev_timer_stop(x->conns->loop, &x->timer);
	ev_prepare_stop(x->conns->loop, &x->prepare);
	ev_idle_stop(x->conns->loop, &x->spin);
}
