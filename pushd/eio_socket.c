/*
 * eio_socket.c: Engine.IO over a WebSocket: one packet a message; and the
 * change from polling to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect.h"
#include "eio_own.h"
#include "push.h"

static void socket_input(struct conn *c, char *p, size_t len);
static void socket_drained(struct conn *c);
static unsigned socket_tick(struct conn *c);
static void socket_settle(struct conn *c);
static void socket_bye(struct conn *c, unsigned back_s);
static void socket_describe(
    const struct conn *c, const char **dialect, const char **state);
static void socket_gone(struct conn *c);
static int socket_carry(struct conn *c, struct buf *b);
static int socket_adopt(struct conn *c, struct carry_in *in);
static void probe_input(struct conn *c, char *p, size_t len);
static unsigned probe_tick(struct conn *c);
static void probe_bye(struct conn *c, unsigned back_s);
static void probe_gone(struct conn *c);

const struct transport eio_socket_transport = { .name = "engineio",
	.input = socket_input,
	.drained = socket_drained,
	.tick = socket_tick,
	.settle = socket_settle,
	.bye = socket_bye,
	.describe = socket_describe,
	.gone = socket_gone,
	.carry = socket_carry,
	.adopt = socket_adopt };

const struct transport eio_probe_transport = { .name = "engineio-probe",
	.input = probe_input,
	.tick = probe_tick,
	.bye = probe_bye,
	.gone = probe_gone };

/* A WebSocket that wants a session. */
struct eio_probe {
	struct eio *s;
	struct eio_rx rx;
};

/* --- what goes out beside packets --- */

static void
control(struct conn *c, int opcode, const void *p, size_t len)
{
	unsigned char text[WSFRAME_HEAD_MAX + 125];
	size_t n = wsframe_head(text, opcode, len);

	if (len > 0)
		memcpy(text + n, p, len);
	conn_write(c, text, n + len);
}

/* Close with a code, or empty for -1, and the end. */
static void
say_close(struct conn *c, int code, const char *why)
{
	unsigned n = code == -1 ? 0 : (unsigned)code;
	char text[125] = { (char)(n >> 8), (char)n };

	snprintf(text + 2, sizeof(text) - 2, "%s", why);
	control(c, WS_CLOSE, text, n == 0 ? 0 : 2 + strlen(text + 2));
	conn_end(c, why[0] ? why : "close");
}

void
eio_socket_drop(struct conn *c, int code, const char *why)
{
	struct eio_probe *pr;

	if (c->tr == &eio_probe_transport) {
		pr = c->t;
		pr->s->more->probe = NULL;
		pr->s->more->probing = 0;
		eio_rx_fini(&pr->rx);
		free(pr);
	}
	c->t = NULL;
	if (code != 0)
		say_close(c, code, why);
	else
		conn_close(c, why);
}

void
eio_socket_switch(struct conn *c, const char *accept)
{
	char text[200];
	int n;

	n = snprintf(text, sizeof(text),
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    accept);
	conn_write(c, text, (size_t)n);
}

/* --- messages --- */

void
eio_rx_fini(struct eio_rx *rx)
{
	wsframe_fini(&rx->frame);
	buf_fini(&rx->message);
}

void
eio_rx_begin(struct eio_rx *rx, const struct eios *x)
{
	memset(rx, 0, sizeof(*rx));
	rx->frame.message_max = (uint32_t)x->lim.payload_bytes_max;
	rx->frame.fragments_max = (uint32_t)x->conns->cf->ws_fragments_max;
	buf_init(&rx->message, (size_t)x->lim.payload_bytes_max);
}

/*
 * A piece of a message: 1 if that is whole, at ${p} until rx_done; 0 if not, -1
 * without memory.
 */
static int
rx_data(struct eio_rx *rx, const struct wsframe_got *got, char **p, size_t *len)
{
	*p = got->p;
	*len = got->len;
	if (rx->message.len == 0 && got->fin)
		return 1;
	buf_append(&rx->message, got->p, got->len);
	*p = rx->message.data;
	*len = rx->message.len;
	return rx->message.err ? -1 : got->fin;
}

static void
rx_done(struct eio_rx *rx)
{
	size_t max = rx->message.max;

	if (rx->message.len == 0)
		return;
	buf_fini(&rx->message);
	buf_init(&rx->message, max);
}

/* Between messages a session keeps nothing. */
static void
rx_keep(struct eio *s, struct eio_rx *rx, struct eio_rx *old)
{
	if (s->state == EIO_GONE ||
	    (wsframe_idle(&rx->frame) && rx->message.len == 0)) {
		eio_rx_fini(rx);
		free(old);
		return;
	}
	if (old == NULL)
		old = malloc(sizeof(*old));
	if (old == NULL) {
		eio_rx_fini(rx);
		eio_finish(s, 1011, "memory", NULL);
		return;
	}
	*old = *rx;
	s->rx = old;
}

static const char *
why_failed(int code)
{
	return code == 1009   ? "too large"
	       : code == 1007 ? "not UTF-8"
	       : code == 1002 ? "protocol error"
			      : "fault";
}

/* --- a session's socket --- */

void
eio_socket_take(struct eio *s, struct conn *c)
{
	struct eio_more *m = s->more;

	s->c = c;
	s->state = EIO_SOCKET;
	conn_due(c, EIO_CONN_S);
	if (s->deaf)
		conn_pause(c);
	if (m == NULL)
		return;
	eio_poll_move(s);
	conn_peer_drop(s->all->conns, m->peer);
	m->peer = NULL;
	eio_flush_add(s);
}

static void
on_message(struct eio *s, const struct wsframe_got *got, char *p, size_t len)
{
	struct eiopacket x;
	int rc;

	rc = got->opcode == WS_TEXT ? eiopacket_text(s->eio, p, len, &x)
				    : eiopacket_binary(s->eio, p, len, &x);
	if (rc == -1 || eio_packet(s, &x) == -1)
		eio_refuse(s);
}

static void
on_data(struct eio *s, struct eio_rx *rx, const struct wsframe_got *got)
{
	size_t len;
	char *p;
	int rc = rx_data(rx, got, &p, &len);

	if (rc == -1)
		eio_finish(s, 1011, "memory", NULL);
	else if (rc == 1) {
		on_message(s, got, p, len);
		rx_done(rx);
	}
}

static void
on_ws_ping(struct eio *s, const struct wsframe_got *got)
{
	if (eio_pinged(s))
		control(s->c, WS_PONG, got->p, got->len);
	else
		eio_finish(s, 1008, "too many pings", NULL);
}

static void
socket_input(struct conn *c, char *p, size_t len)
{
	struct eio *s = c->t;
	struct eio_rx rx, *old = s->rx;
	struct wsframe_got got = { .what = WSFRAME_DATA };
	size_t at = 0;

	if (old != NULL)
		rx = *old;
	else
		eio_rx_begin(&rx, s->all);
	s->rx = NULL;
	while (s->c == c && got.what != WSFRAME_MORE) {
		if (c->paused) {
			if (at < len)
				conn_stash(c, p + at, len - at);
			break;
		}
		at += wsframe_read(&rx.frame, p + at, len - at, &got);
		switch (got.what) {
		case WSFRAME_DATA:
			on_data(s, &rx, &got);
			break;
		case WSFRAME_PING:
			on_ws_ping(s, &got);
			break;
		case WSFRAME_CLOSE:
			eio_leave(s, got.code ? got.code : -1, "");
			break;
		case WSFRAME_FAIL:
			s->all->ended_error++;
			eio_finish(s, got.code, why_failed(got.code), NULL);
			break;
		case WSFRAME_PONG:
		case WSFRAME_MORE:
			break;
		}
	}
	rx_keep(s, &rx, old);
}

static void
socket_drained(struct conn *c)
{
	struct eio *s = c->t;

	if (s->full && s->app->drained != NULL && !eio_full(s))
		s->app->drained(s);
}

static unsigned
socket_tick(struct conn *c)
{
	struct eio *s = c->t;

	if (s->state != EIO_SHAKING)
		return EIO_CONN_S;
	socket_bye(c, 0);
	return 0;
}

static void
socket_settle(struct conn *c)
{
	struct eio *s = c->t;

	if (s->state == EIO_SOCKET && s->app->settle != NULL)
		s->app->settle(s);
}

static void
socket_bye(struct conn *c, unsigned back_s)
{
	struct eio *s = c->t;
	char why[48];

	if (s->state == EIO_SHAKING) {
		s->more->get = NULL;
		c->t = NULL;
		eio_busy(c, s->more->cors);
		eio_gone(s);
		return;
	}
	if (s->app->busy != NULL && s->app->busy(s)) {
		conn_due(c, 1); /* the answers first */
		return;
	}
	snprintf(why, sizeof(why), "restart retry=%u",
	    back_s * 1000 + conn_jitter(1000));
	eio_end(s, 1012, why);
}

static void
socket_describe(const struct conn *c, const char **dialect, const char **state)
{
	const struct eio *s = c->t;

	*dialect = s->eio == 3 ? "eio3" : "eio4";
	if (s->app->stage != NULL)
		*state = s->app->stage(s);
}

static void
socket_gone(struct conn *c)
{
	struct eio *s = c->t;

	if (s == NULL)
		return;
	if (s->c == c)
		s->c = NULL;
	else
		s->more->get = NULL; /* of its handshake */
	s->all->ended_client++;
	eio_finish(s, 0, "gone", NULL);
}

/* Sessions go before their connections, which name them. */
static int
socket_carry(struct conn *c, struct buf *b)
{
	const struct eio *s = c->t;

	if (!s->carried)
		return -1;
	carry_bytes(b, s->sid, EIO_SID);
	return 0;
}

static int
socket_adopt(struct conn *c, struct carry_in *in)
{
	size_t len;
	const char *sid = carry_get_bytes(in, &len, EIO_SID);
	struct eio *s = eio_find(&push_of(c)->eios, sid, len);

	if (s == NULL || s->state != EIO_SOCKET || s->c != NULL)
		return -1;
	s->c = c;
	conn_take(c, &eio_socket_transport, s);
	return 0;
}

/* --- the change --- */

void
eio_socket_probe(struct eio *s, struct conn *c, const char *accept)
{
	struct eio_probe *pr = calloc(1, sizeof(*pr));

	if (pr == NULL) {
		conn_close(c, "memory");
		return;
	}
	pr->s = s;
	eio_rx_begin(&pr->rx, s->all);
	s->more->probe = c;
	s->more->probing = 0;
	conn_take(c, &eio_probe_transport, pr);
	eio_socket_switch(c, accept);
	conn_due(c, (unsigned)s->all->lim.upgrade_s);
}

static int
is_text(
    const struct wsframe_got *got, const char *p, size_t len, const char *text)
{
	return got->opcode == WS_TEXT && len == strlen(text) &&
	       memcmp(p, text, len) == 0;
}

/* What it may say: 1 if the session is its own now, -1 for anything else. */
static int
probe_message(struct eio_probe *pr, struct conn *c,
    const struct wsframe_got *got, const char *p, size_t len)
{
	static const char answer[] = "3probe";
	struct eio *s = pr->s;
	struct frame *f;

	if (is_text(got, p, len, "2probe") && !s->more->probing) {
		f = dialect_websocket(answer, sizeof(answer) - 1);
		if (f != NULL)
			conn_send(c, f);
		frame_unref(f);
		s->more->probing = 1;
		eio_flush_add(s);
		return 0;
	}
	return is_text(got, p, len, "5") && s->more->probing ? 1 : -1;
}

/* The session changes to it; what follows in its input is the session's. */
static void
take_over(struct conn *c, char *p, size_t len)
{
	struct eio_probe *pr = c->t;
	struct eio *s = pr->s;

	s->more->probe = NULL;
	s->more->probing = 0;
	eio_rx_fini(&pr->rx);
	free(pr);
	s->all->upgraded++;
	conn_pass(c, &eio_socket_transport, s);
	eio_socket_take(s, c);
	if (len > 0)
		socket_input(c, p, len);
}

/* 1: the session is its own; -1: it is closed. */
static int
probe_data(struct conn *c, const struct wsframe_got *got)
{
	struct eio_probe *pr = c->t;
	size_t len;
	char *p;
	int rc = rx_data(&pr->rx, got, &p, &len);

	if (rc == 1)
		rc = probe_message(pr, c, got, p, len);
	if (rc == -1)
		eio_socket_drop(c, 1002, "protocol error");
	else if (got->fin)
		rx_done(&pr->rx);
	return rc;
}

static void
probe_input(struct conn *c, char *p, size_t len)
{
	struct eio_probe *pr = c->t;
	struct wsframe_got got = { .what = WSFRAME_DATA };
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && got.what != WSFRAME_MORE) {
		at += wsframe_read(&pr->rx.frame, p + at, len - at, &got);
		if (got.what == WSFRAME_DATA) {
			rc = probe_data(c, &got);
		} else if (got.what == WSFRAME_PING && eio_pinged(pr->s)) {
			control(c, WS_PONG, got.p, got.len);
		} else if (got.what == WSFRAME_CLOSE ||
			   got.what == WSFRAME_FAIL) {
			eio_socket_drop(c, got.code ? got.code : -1, "");
			rc = -1;
		}
	}
	if (rc == 1)
		take_over(c, p + at, len - at);
}

static unsigned
probe_tick(struct conn *c)
{
	eio_socket_drop(c, 1008, "upgrade timeout");
	return 0;
}

static void
probe_bye(struct conn *c, unsigned back_s)
{
	(void)back_s;
	eio_socket_drop(c, 1012, "restart");
}

static void
probe_gone(struct conn *c)
{
	struct eio_probe *pr = c->t;

	if (pr == NULL)
		return;
	pr->s->more->probe = NULL;
	pr->s->more->probing = 0;
	eio_rx_fini(&pr->rx);
	free(pr);
}
