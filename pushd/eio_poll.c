/*
 * eio_poll.c: Engine.IO over requests that poll: a GET waits for packets, a
 * POST brings some.
 *
 * What is queued are WebSocket messages; they lose their heads here.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "eio_own.h"
#include "push.h"

static void get_bye(struct conn *c, unsigned back_s);
static void get_gone(struct conn *c);
static int get_carry(struct conn *c, struct buf *b);
static int get_adopt(struct conn *c, struct carry_in *in);
static unsigned get_tick(struct conn *c);
static void post_input(struct conn *c, char *p, size_t len);
static unsigned post_tick(struct conn *c);
static void post_bye(struct conn *c, unsigned back_s);
static void post_gone(struct conn *c);
static void give(struct eio_post *o);

enum { GIVE_MAX = 50 /* packets before others have their turn */ };

/* A client that drops a GET is gone: no input, no eof. */
const struct transport eio_get_transport = { .name = "engineio-poll",
	.tick = get_tick,
	.bye = get_bye,
	.gone = get_gone,
	.carry = get_carry,
	.adopt = get_adopt };

const struct transport eio_post_transport = { .name = "engineio-poll",
	.input = post_input,
	.tick = post_tick,
	.bye = post_bye,
	.gone = post_gone };

/* --- the queue --- */

/* The message in a frame of our own making. */
static void
unframe(const struct frame *f, int *binary, const char **p, size_t *len)
{
	unsigned short_len = (unsigned char)f->data[1];
	size_t head = short_len == 126 ? 4 : short_len == 127 ? 10 : 2;

	*binary = (f->data[0] & 0x0f) == WS_BINARY;
	*p = f->data + head;
	*len = f->len - head;
}

static int
is_binary(const struct frame *f)
{
	return (f->data[0] & 0x0f) == WS_BINARY;
}

void
eio_poll_push(struct eio *s, struct frame *f)
{
	struct eio_more *m = s->more;
	size_t cap = m->q_cap ? m->q_cap * 2 : 4;
	struct frame **q;

	if (s->slow)
		return;
	eio_flush_add(s);
	if (m->q_n == m->q_cap) {
		q = realloc(m->q, cap * sizeof(struct frame *));
		if (q == NULL) {
			s->slow = 1;
			return;
		}
		m->q = q;
		m->q_cap = cap;
	}
	m->q[m->q_n++] = frame_ref(f);
	m->q_bytes += f->len;
	if (m->q_bytes > (size_t)s->all->conns->cf->queue_bytes_max)
		s->slow = 1;
}

/* Let go of the first ${n} that are queued. */
static void
queue_drop(struct eio_more *m, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		m->q_bytes -= m->q[i]->len;
		frame_unref(m->q[i]);
	}
	m->q_n -= n;
	if (m->q_n > 0)
		memmove(m->q, m->q + n, m->q_n * sizeof(struct frame *));
}

void
eio_poll_move(struct eio *s)
{
	struct eio_more *m = s->more;
	size_t i;

	for (i = 0; i < m->q_n; i++)
		conn_send(s->c, m->q[i]);
	queue_drop(m, m->q_n);
}

/* --- answers --- */

static void
reply(struct conn *c, const char *cors, const char *type, const char *p,
    size_t len)
{
	struct buf b;

	buf_init(&b, len + EIO_CORS_MAX + 1024);
	buf_printf(&b,
	    "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: no-referrer\r\n%sConnection: close\r\n\r\n",
	    type, len, cors);
	buf_append(&b, p, len);
	if (b.err) {
		conn_close(c, "memory");
	} else {
		conn_write(c, b.data, b.len);
		conn_end(c, "answered");
	}
	buf_fini(&b);
}

static void
put(struct buf *b, enum eiopayload_form form, const struct frame *f)
{
	const char *p;
	size_t len;
	int binary;

	unframe(f, &binary, &p, &len);
	eiopayload_put(b, form, binary, p, len);
}

/* Answer the GET: what is queued, as much as goes into one, and ${last}. */
static void
answer(struct eio *s, const struct frame *last)
{
	struct eio_more *m = s->more;
	struct conn *c = m->get;
	size_t max = (size_t)s->all->lim.payload_bytes_max, bytes = 0, n, i;
	enum eiopayload_form form = s->eio == 4 ? EIO_FORM_4 : EIO_FORM_3;
	struct buf b;

	for (n = 0; n < m->q_n; n++) {
		bytes += is_binary(m->q[n]) ? m->q[n]->len / 3 * 4 + 4
					    : m->q[n]->len;
		if (n > 0 && bytes > max)
			break;
		if (s->eio == 3 && is_binary(m->q[n]))
			form = EIO_FORM_3_BINARY;
	}
	buf_init(&b, (size_t)s->all->conns->cf->queue_bytes_max * 2 + 4096);
	for (i = 0; i < n; i++)
		put(&b, form, m->q[i]);
	if (last != NULL)
		put(&b, form, last);
	queue_drop(m, n);
	m->get = NULL;
	c->t = NULL;
	if (b.err)
		conn_close(c, "memory");
	else
		reply(c, m->cors,
		    form == EIO_FORM_3_BINARY ? "application/octet-stream"
					      : "text/plain; charset=UTF-8",
		    b.data, b.len);
	buf_fini(&b);
}

/* --- GET --- */

void
eio_poll_get(struct eio *s, struct conn *c, const char *cors)
{
	struct eio_more *m = s->more;
	char *copy;

	if (m->get != NULL) {
		eio_error(c, cors, EIO_BAD_REQUEST);
		eio_refuse(s);
		return;
	}
	copy = strdup(cors);
	if (copy == NULL) {
		conn_close(c, "memory");
		return;
	}
	free(m->cors);
	m->cors = copy;
	m->get = c;
	s->all->polls++;
	conn_take(c, &eio_get_transport, s);
	conn_due(c, EIO_CONN_S);
	eio_flush_add(s);
}

void
eio_poll_flush(struct eio *s)
{
	struct eio_more *m = s->more;
	struct eio_post *o = m->post;
	int waits = m->get != NULL && s->state != EIO_SHAKING;

	if (o != NULL && o->whole && !o->giving && !s->deaf) {
		give(o);
		if (s->state == EIO_GONE)
			return;
		waits = m->get != NULL;
	}
	if (waits && m->q_n > 0)
		answer(s, NULL);
	else if (waits && (m->probing || s->state == EIO_SOCKET))
		answer(s, s->all->noop);
	if (s->state == EIO_ENDING && m->q_n == 0) {
		eio_gone(s);
		return;
	}
	if (s->full && s->state <= EIO_SOCKET && !eio_full(s) &&
	    s->app->drained != NULL)
		s->app->drained(s);
}

static unsigned
get_tick(struct conn *c)
{
	struct eio *s = c->t;

	if (s->state != EIO_SHAKING)
		return EIO_CONN_S;
	get_bye(c, 0);
	return 0;
}

static void
get_bye(struct conn *c, unsigned back_s)
{
	struct eio *s = c->t;

	(void)back_s;
	if (s->state != EIO_SHAKING) {
		eio_end(s, 1012, "restart");
		return;
	}
	s->more->get = NULL;
	c->t = NULL;
	eio_busy(c, s->more->cors);
	eio_gone(s);
}

/* Answered, or the client has dropped it. */
static void
get_gone(struct conn *c)
{
	struct eio *s = c->t;

	if (s == NULL)
		return;
	s->more->get = NULL;
	s->all->ended_client++;
	eio_finish(s, 0, "gone", NULL);
}

static int
get_carry(struct conn *c, struct buf *b)
{
	const struct eio *s = c->t;

	if (!s->carried)
		return -1;
	carry_bytes(b, s->sid, EIO_SID);
	carry_text(b, s->more->cors);
	return 0;
}

static int
get_adopt(struct conn *c, struct carry_in *in)
{
	size_t len;
	const char *sid = carry_get_bytes(in, &len, EIO_SID);
	const char *cors = carry_get_text(in, EIO_CORS_MAX);
	struct eio *s = eio_find(&push_of(c)->eios, sid, len);

	if (s == NULL || s->state != EIO_POLLS || s->more->get != NULL ||
	    cors == NULL)
		return -1;
	s->more->cors = strdup(cors);
	if (s->more->cors == NULL)
		return -1;
	s->more->get = c;
	conn_take(c, &eio_get_transport, s);
	return 0;
}

/* --- POST --- */

static void
post_free(struct eio_post *o)
{
	buf_fini(&o->in);
	free(o);
}

/* Take it off its session and its connection, which is yet to be answered. */
static struct conn *
post_take_off(struct eio_post *o)
{
	struct conn *c = o->c;

	if (o->s != NULL)
		o->s->more->post = NULL;
	o->s = NULL;
	c->t = NULL;
	return c;
}

static void
post_answer(struct eio_post *o, int good)
{
	struct conn *c = post_take_off(o);

	if (good)
		reply(c, o->cors, "text/html", "ok", 2);
	else
		eio_error(c, o->cors, EIO_BAD_REQUEST);
	post_free(o);
}

/*
 * Give the session its packets, as long as it hears and reads; a payload is
 * large and a packet small, so not all of them at once.
 */
static void
give(struct eio_post *o)
{
	struct eio *s = o->s;
	struct eiopacket x;
	unsigned n = 0;
	int rc = 1;

	o->giving = 1;
	while (
	    rc == 1 && o->s != NULL && !s->deaf && !s->slow && n++ < GIVE_MAX) {
		rc = eiopayload_next(&o->payload, &x);
		if (rc == 1 && eio_packet(s, &x) == -1)
			rc = -1;
	}
	o->giving = 0;
	if (rc == 1 && o->s != NULL) {
		if (!s->deaf)
			eio_flush_add(s);
		return; /* goes on soon, or when it hears again */
	}
	post_answer(o, rc != -1);
	if (rc == -1)
		eio_refuse(s);
}

static void
whole(struct eio_post *o)
{
	o->whole = 1;
	o->payload.eio = o->s->eio;
	o->payload.binary = o->binary;
	o->payload.p = o->in.data;
	o->payload.len = o->in.len;
	conn_due(o->c, EIO_CONN_S);
}

static void
post_input(struct conn *c, char *p, size_t len)
{
	struct eio_post *o = c->t;
	enum http_body_what what = HTTP_BODY_MORE;
	const char *data;
	size_t n, at = 0;

	if (o->whole)
		return; /* what follows a body is nobody's */
	while (!o->whole) {
		at += http_body_read(
		    &o->body, p + at, len - at, &what, &data, &n);
		if (what == HTTP_BODY_MORE)
			return;
		if (what == HTTP_BODY_DATA) {
			buf_append(&o->in, data, n);
			conn_due(c, (unsigned)c->all->cf->progress_s_max);
		}
		if (what == HTTP_BODY_END)
			whole(o);
		if (what == HTTP_BODY_BAD || o->in.err) {
			post_take_off(o);
			if (o->in.err)
				conn_error(c, 0, 413, o->cors, "too_large",
				    "The payload is too large");
			else
				eio_error(c, o->cors, EIO_BAD_REQUEST);
			post_free(o);
			return;
		}
	}
	give(o);
}

void
eio_poll_post(
    struct eio *s, struct conn *c, const struct request *rq, const char *cors)
{
	static const char bytes[] = "application/octet-stream";
	size_t max = (size_t)s->all->lim.payload_bytes_max, len;
	const char *type = http_field(rq->head, rq->p, "Content-Type", &len);
	struct eio_post *o;
	char none = 0;
	int binary;

	if (s->more->post != NULL) {
		eio_error(c, cors, EIO_BAD_REQUEST);
		eio_refuse(s);
		return;
	}
	binary = type != NULL && len >= sizeof(bytes) - 1 &&
		 strncasecmp(type, bytes, sizeof(bytes) - 1) == 0;
	if (binary && s->eio == 4) {
		eio_error(c, cors, EIO_BAD_REQUEST);
		return;
	}
	if (rq->head->content_length > (int64_t)max) {
		conn_error(
		    c, 0, 413, cors, "too_large", "The payload is too large");
		return;
	}
	o = calloc(1, sizeof(*o) + strlen(cors) + 1);
	if (o == NULL) {
		conn_close(c, "memory");
		return;
	}
	memcpy(o->cors, cors, strlen(cors) + 1);
	o->s = s;
	o->c = c;
	o->binary = binary != 0;
	buf_init(&o->in, max);
	http_body_begin(&o->body, rq->head);
	s->more->post = o;
	s->all->posts++;
	conn_take(c, &eio_post_transport, o);
	conn_due(c, (unsigned)c->all->cf->progress_s_max);
	post_input(c, &none, 0); /* it may have no body at all */
}

static unsigned
post_tick(struct conn *c)
{
	struct eio_post *o = c->t;

	if (o->whole)
		return EIO_CONN_S;
	post_take_off(o);
	conn_error(c, 0, 408, o->cors, "timeout", "The request took too long");
	post_free(o);
	return 0;
}

static void
post_bye(struct conn *c, unsigned back_s)
{
	(void)back_s;
	conn_due(c, 1); /* it is short */
}

/* Answered, or the client has dropped it: what it had is lost. */
static void
post_gone(struct conn *c)
{
	struct eio_post *o = c->t;
	struct eio *s;

	if (o == NULL)
		return;
	s = o->s;
	post_take_off(o);
	post_free(o);
	if (s != NULL) {
		s->all->ended_client++;
		eio_finish(s, 1001, "gone", s->all->close);
	}
}

void
eio_poll_drop_post(struct eio *s)
{
	struct eio_post *o = s->more->post;

	if (o == NULL)
		return;
	s->more->post = NULL;
	o->s = NULL;
	/* Who gives its packets just now answers it. */
	if (!o->giving)
		post_answer(o, 0);
}

void
eio_poll_drop(struct eio *s, struct frame *last)
{
	struct eio_more *m = s->more;
	struct conn *c = m->get;

	if (c != NULL && s->state == EIO_SHAKING) {
		m->get = NULL;
		c->t = NULL;
		conn_close(c, "end");
	} else if (c != NULL) {
		answer(s, last);
	}
	eio_poll_drop_post(s);
	if (m->probe != NULL)
		eio_socket_drop(m->probe, 1001, "session ended");
}
