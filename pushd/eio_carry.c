/*
 * eio_carry.c: Engine.IO sessions go from one pushd to the next.
 *
 * A session whose POST is being read, or that is changing its transport, stays
 * where it is; the others go with what is queued for them.
 */
#include <stdlib.h>
#include <string.h>

#include "eio_own.h"

enum { KEY, SESSION }; /* what a record is */

const struct transport *const eio_transports[] = { &eio_socket_transport,
	&eio_get_transport, NULL };

static int
can_go(const struct eio *s)
{
	const struct eio_more *m = s->more;

	if (s->slow || s->deaf || s->app->carry == NULL)
		return 0;
	if (s->state == EIO_SOCKET)
		return s->c != NULL && (m == NULL || m->post == NULL);
	return s->state == EIO_POLLS && m->post == NULL && m->probe == NULL &&
	       m->wait == NULL;
}

static void
rx_carry(const struct eio_rx *rx, struct buf *b)
{
	carry_num(b, rx != NULL);
	if (rx == NULL)
		return;
	carry_bytes(b, rx->message.data, rx->message.len);
	wsframe_carry(&rx->frame, b);
}

/* What one that polls has beside a GET. */
static void
more_carry(const struct eio_more *m, struct buf *b)
{
	size_t i;

	carry_text(b, m->peer ? conn_peer_addr(m->peer) : NULL);
	carry_num(b, m->cred);
	carry_num(b, m->cred_headless);
	carry_num(b, m->q_n);
	for (i = 0; i < m->q_n; i++)
		carry_bytes(b, m->q[i]->data, m->q[i]->len);
}

static int
session_carry(const struct eio *s, struct buf *b)
{
	uint64_t tick_ms = s->all->tick_ms;

	if (!can_go(s))
		return -1;
	carry_num(b, SESSION);
	carry_bytes(b, s->sid, EIO_SID);
	carry_num(b, s->state);
	carry_num(b, s->eio);
	carry_num(b, s->beat_due * tick_ms);
	carry_num(b, s->app_due * tick_ms);
	carry_num(b, s->pings_s);
	carry_num(b, s->pings);
	carry_num(b, s->beats);
	carry_num(b, s->pinged);
	carry_num(b, s->b64);
	carry_num(b, s->unlimited);
	rx_carry(s->rx, b);
	if (s->state == EIO_POLLS)
		more_carry(s->more, b);
	return s->app->carry(s, b) == -1 || b->err ? -1 : 0;
}

void
eios_carry(
    struct eios *x, void (*each)(void *arg, const struct buf *one), void *arg)
{
	struct eio *s;
	struct buf b;
	size_t i;

	buf_init(&b, CARRY_RECORD_MAX);
	carry_num(&b, KEY);
	carry_bytes(&b, x->key, sizeof(x->key));
	each(arg, &b);
	for (i = 0; i < x->size; i++)
		for (s = x->slots[i]; s != NULL; s = s->next) {
			buf_reset(&b);
			if (session_carry(s, &b) == -1)
				continue;
			s->carried = 1;
			each(arg, &b);
		}
	buf_fini(&b);
}

static int
rx_adopt(struct eio *s, struct carry_in *in)
{
	const char *p;
	size_t len;

	if (!carry_get_num(in, 1))
		return in->bad ? -1 : 0;
	s->rx = malloc(sizeof(*s->rx));
	if (s->rx == NULL)
		return -1;
	eio_rx_begin(s->rx, s->all);
	p = carry_get_bytes(in, &len, s->rx->message.max);
	buf_append(&s->rx->message, p, len);
	if (s->rx->message.err)
		return -1;
	return wsframe_adopt(&s->rx->frame, in);
}

/* Whether it is one whole frame of a server. */
static int
is_frame(const char *p, size_t len)
{
	unsigned char head[WSFRAME_HEAD_MAX];
	int opcode = len > 0 ? p[0] & 0x0f : WS_CLOSE;
	size_t n, h;

	if (opcode != WS_TEXT && opcode != WS_BINARY)
		return 0;
	for (h = 2; h <= WSFRAME_HEAD_MAX && h <= len; h++) {
		n = wsframe_head(head, opcode, len - h);
		if (n == h && memcmp(p, head, h) == 0)
			return 1;
	}
	return 0;
}

static int
more_adopt(struct eio *s, struct carry_in *in)
{
	struct eio_more *m = s->more;
	const char *addr = carry_get_text(in, ADDR_TEXT_MAX), *p;
	struct frame *f;
	uint64_t n;
	size_t len;

	m->cred = carry_get_num(in, UINT64_MAX);
	m->cred_headless = carry_get_num(in, UINT64_MAX);
	if (addr != NULL) {
		m->peer = conn_peer_count(s->all->conns, addr);
		if (m->peer == NULL)
			return -1;
	}
	for (n = carry_get_num(in, UINT32_MAX); n > 0 && !in->bad; n--) {
		p = carry_get_bytes(in, &len, CARRY_RECORD_MAX);
		f = is_frame(p, len) ? frame_new(p, len) : NULL;
		if (f == NULL)
			return -1;
		eio_poll_push(s, f);
		frame_unref(f);
	}
	return in->bad || s->slow ? -1 : 0;
}

/* All behind its id. */
static int
rest_adopt(struct eio *s, struct carry_in *in)
{
	const struct eios *x = s->all;

	s->state = (uint8_t)carry_get_num(in, EIO_SOCKET);
	s->eio = (uint8_t)carry_get_num(in, 4);
	s->beat_due = (uint32_t)(carry_get_num(in, INT64_MAX) / x->tick_ms) + 1;
	s->app_due = (uint32_t)(carry_get_num(in, INT64_MAX) / x->tick_ms);
	s->pings_s = (uint8_t)carry_get_num(in, UINT8_MAX);
	s->pings = (uint8_t)carry_get_num(in, UINT8_MAX);
	s->beats = (uint8_t)carry_get_num(in, UINT8_MAX);
	s->pinged = carry_get_num(in, 1) & 1;
	s->b64 = carry_get_num(in, 1) & 1;
	s->unlimited = carry_get_num(in, 1) & 1;
	if (s->state == EIO_SHAKING || s->eio < 3 || rx_adopt(s, in) == -1 ||
	    (s->state == EIO_POLLS && more_adopt(s, in) == -1) ||
	    s->app->adopt(s, in) == -1)
		return -1;
	eio_soon(s);
	eio_schedule(s);
	return carry_end(in);
}

static int
session_adopt(struct eios *x, const struct eio_app *app, struct carry_in *in)
{
	size_t len;
	const char *sid = carry_get_bytes(in, &len, EIO_SID);
	struct eio *s;

	if (len != EIO_SID || eio_find(x, sid, len) != NULL)
		return -1;
	s = eio_named(x, app, sid);
	if (s == NULL)
		return -1;
	if (rest_adopt(s, in) == 0)
		return 0;
	/* As if it had ended here: who comes back is known. */
	eio_finish(s, 0, "malformed", NULL);
	return -1;
}

int
eios_adopt(struct eios *x, const struct eio_app *app, struct carry_in *in)
{
	const char *key;
	size_t len;

	if (carry_get_num(in, SESSION) == SESSION)
		return in->bad ? -1 : session_adopt(x, app, in);
	key = carry_get_bytes(in, &len, sizeof(x->key));
	if (len != sizeof(x->key))
		return -1;
	memcpy(x->key, key, len);
	return carry_end(in);
}

/* Its connection was the other's to end. */
static void
drop_alone(struct eio *s)
{
	if (s->state == EIO_SOCKET && s->c == NULL)
		eio_finish(s, 0, "left", NULL);
}

void
eios_adopted(struct eios *x)
{
	eios_each(x, drop_alone);
}

static void
keep(struct eio *s)
{
	s->carried = 0;
}

/* Those without a connection; the others go with theirs. */
static void
let_go(struct eio *s)
{
	if (s->carried && s->c == NULL &&
	    (s->more == NULL || s->more->get == NULL))
		eio_finish(s, 0, "carried", NULL);
	s->carried = 0;
}

void
eios_carried(struct eios *x, int gone)
{
	eios_each(x, gone ? let_go : keep);
}
