/*
 * ws.c: the native WebSocket: handshake, frames, pings, the closing.
 *
 * What is said in its messages is a vocabulary's, words_X.c.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect.h"
#include "json.h"
#include "log.h"
#include "push.h"
#include "words.h"
#include "ws.h"
#include "wsframe.h"

enum { SETTLE_BEATS = 2 };

struct ws {
	struct live live; /* first */
	struct conn *c;
	struct ws_more *more; /* only while something is in pieces */
	uint32_t heard_s;     /* when any byte came */
	uint8_t pings_s;      /* the second of ${pings}, its low bits */
	uint8_t pings;
	uint8_t beats;
	uint8_t echo; /* --echo: messages go back as they came */
};

/* What a client has from the first byte of something to its last. */
struct ws_more {
	struct wsframe frame;
	struct buf *message;  /* of several pieces, else NULL */
	struct ws_open *open; /* while the upgrade is not answered */
	uint16_t peer_code;   /* of its Close; 1: it had none; 0: none yet */
};

/* What an upgrade said, until it is answered. */
struct ws_open {
	struct ident_wait *wait;
	char accept[29];
	int direct; /* it named somebody by a token: no auth message needed */
};

static void ws_open(struct conn *c, const struct request *rq);
static void chat_open(struct conn *c, const struct request *rq);
static void ws_input(struct conn *c, char *p, size_t len);
static void ws_drained(struct conn *c);
static unsigned ws_tick(struct conn *c);
static void ws_settle(struct conn *c);
static void ws_bye(struct conn *c, unsigned back_s);
static void ws_describe(
    const struct conn *c, const char **dialect, const char **state);
static void ws_gone(struct conn *c);
static int ws_carry(struct conn *c, struct buf *b);
static int ws_adopt(struct conn *c, struct carry_in *in);
static int chat_adopt(struct conn *c, struct carry_in *in);

const struct transport ws_transport = { .name = "websocket",
	.open = ws_open,
	.input = ws_input,
	.drained = ws_drained,
	.tick = ws_tick,
	.settle = ws_settle,
	.bye = ws_bye,
	.describe = ws_describe,
	.gone = ws_gone,
	.carry = ws_carry,
	.adopt = ws_adopt };

const struct transport ws_chat_transport = { .name = "chat",
	.open = chat_open,
	.input = ws_input,
	.drained = ws_drained,
	.tick = ws_tick,
	.settle = ws_settle,
	.bye = ws_bye,
	.describe = ws_describe,
	.gone = ws_gone,
	.carry = ws_carry,
	.adopt = chat_adopt };

/* --- what goes out --- */

static void
control(struct ws *w, int opcode, const void *p, size_t len)
{
	unsigned char text[WSFRAME_HEAD_MAX + 125];
	size_t n = wsframe_head(text, opcode, len);

	assert(len <= 125);
	memcpy(text + n, p, len);
	conn_write(w->c, text, n + len);
}

/* Close and end; ${w} is gone after this. */
static void
ws_close(struct ws *w, int code, const char *reason)
{
	char text[125] = { (char)(code >> 8), (char)code };

	snprintf(text + 2, sizeof(text) - 2, "%s", reason);
	control(w, WS_CLOSE, text, code == 0 ? 0 : 2 + strlen(text + 2));
	conn_end(w->c, reason[0] ? reason : "close");
}

/* --- what lasts only for a while --- */

/* The last that was freed: so a pong takes nothing from the heap. */
static struct ws_more *spare;

static struct ws_more *
more_get(struct ws *w)
{
	const struct conf *cf = w->c->all->cf;

	if (w->more != NULL)
		return w->more;
	w->more = spare != NULL ? spare : calloc(1, sizeof(*w->more));
	spare = NULL;
	if (w->more == NULL)
		return NULL;
	w->more->frame.message_max = (uint32_t)cf->ws_message_bytes_max;
	w->more->frame.fragments_max = (uint32_t)cf->ws_fragments_max;
	return w->more;
}

static void
more_free(struct ws *w)
{
	struct ws_more *m = w->more;

	if (m == NULL)
		return;
	if (m->open != NULL)
		ident_cancel(&push_of(w->c)->idents, m->open->wait);
	free(m->open);
	wsframe_fini(&m->frame);
	if (m->message != NULL)
		buf_fini(m->message);
	free(m->message);
	w->more = NULL;
	if (spare != NULL) {
		free(m);
		return;
	}
	memset(m, 0, sizeof(*m));
	spare = m;
}

/* Nothing of it is being worked on: what is not needed goes. */
static void
rest(struct ws *w)
{
	struct ws_more *m = w->more;

	live_rest(&w->live);
	if (m != NULL && m->open == NULL && m->message == NULL &&
	    m->peer_code == 0 && wsframe_idle(&m->frame))
		more_free(w);
}

/* --- what the application wants done --- */

static struct push *
host_push(const struct live *v)
{
	return push_of(((const struct ws *)v)->c);
}

static void
host_send(struct live *v, struct frame *f)
{
	conn_send(((struct ws *)v)->c, f);
}

static int
host_outlet(const struct live *v)
{
	return ((const struct ws *)v)->c->fd;
}

static void
host_close(struct live *v, int code, const char *reason)
{
	ws_close((struct ws *)v, code, reason);
}

static void
host_hear(struct live *v, int yes)
{
	struct ws *w = (struct ws *)v;

	if (yes)
		conn_resume(w->c);
	else
		conn_pause(w->c);
}

static void
host_in(struct live *v)
{
	struct conn *c = ((struct ws *)v)->c;
	const struct conf *cf = c->all->cf;
	unsigned life = (unsigned)cf->stream_life_s;

	c->life_s = c->all->now_s + life + conn_jitter(life / 2 + 1);
	conn_due(c, 1 + conn_jitter((unsigned)cf->ws_ping_s));
}

/* The client's Close is answered when the answers that are due have gone. */
static void
maybe_closed(struct ws *w)
{
	int code = w->more == NULL ? 0 : w->more->peer_code;

	if (code == 0 || live_open(&w->live) > 0)
		return;
	ws_close(w, code == 1 ? 0 : code, "");
}

static void
host_answered(struct live *v)
{
	maybe_closed((struct ws *)v);
}

static int
host_is_full(const struct live *v)
{
	return conn_full(((const struct ws *)v)->c);
}

static const char *
host_addr(const struct live *v)
{
	return conn_addr(((const struct ws *)v)->c);
}

static uint32_t
host_active_s(const struct live *v)
{
	return ((const struct ws *)v)->c->active_s;
}

/* clang-format off */
#define HOST								\
	.push = host_push,						\
	.send = host_send,						\
	.outlet = host_outlet,						\
	.close = host_close,						\
	.hear = host_hear,						\
	.in = host_in,							\
	.answered = host_answered,					\
	.is_full = host_is_full,					\
	.addr = host_addr,						\
	.active_s = host_active_s
/* clang-format on */

static const struct live_host live_host = { .words = &words_live, HOST };
static const struct live_host chat_host = { .words = &words_chat, HOST };

/* --- the upgrade --- */

static void
switch_protocols(struct ws *w)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_printf(&b,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    w->more->open->accept);
	conn_write(w->c, b.data, b.len);
	buf_fini(&b);
	free(w->more->open);
	w->more->open = NULL;
	w->heard_s = w->c->all->now_s;
	conn_due(w->c, (unsigned)w->c->all->cf->login_wait_s);
}

/* The answer to what the upgrade request showed. */
static void
on_upgrade(void *arg, struct ident *id, int status, const char *code,
    const char *error)
{
	struct ws *w = arg;
	struct conn *c = w->c;
	int direct = w->more->open->direct;

	w->more->open->wait = NULL;
	conn_resume(c);
	if (status == 403 || status == 429 || status == 503) {
		conn_error(c, 0, status,
		    status == 429   ? PUSH_TOO_MANY
		    : status == 503 ? "Retry-After: 2\r\n"
				    : NULL,
		    code, error);
		return;
	}
	if (id != NULL && !push_may(c, id)) {
		conn_error(c, 0, 429, PUSH_TOO_MANY, "rate_limited",
		    "Too many requests");
		return;
	}
	switch_protocols(w);
	if (direct && id == NULL)
		w->live.host->words->refused(&w->live, -1, error);
	else if (direct)
		live_login(&w->live, id);
	else if (id != NULL)
		live_cookie(&w->live, id);
	if (c->state == CONN_OPEN && c->t == w)
		rest(w);
}

/* An upgrade that is refused: what it is told. */
static void
refuse(struct conn *c, int status)
{
	switch (status) {
	case 405:
		conn_error(c, 0, 405, "Allow: GET\r\n", "method_not_allowed",
		    "This address is for WebSockets");
		break;
	case 426:
		conn_error(c, 0, 426,
		    "Upgrade: websocket\r\nConnection: Upgrade, close\r\n",
		    "upgrade_required", "This address is for WebSockets");
		break;
	case 4260:
		conn_error(c, 0, 426,
		    "Upgrade: websocket\r\nConnection: Upgrade, close\r\n"
		    "Sec-WebSocket-Version: 13\r\n",
		    "upgrade_required", "Use version 13 of the protocol");
		break;
	default:
		conn_error(c, 0, 400, NULL, "bad_request",
		    "The handshake could not be read");
	}
}

static int64_t
url_cursor(const struct request *rq)
{
	static const char *const names[] = { "cursor", "lastEventId",
		"last_event_id", "offset" };
	char text[64];
	size_t i;
	int n;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		n = http_query(rq->head, rq->p, names[i], text, sizeof(text));
		if (n == -2)
			return PUSH_BAD;
		if (n > 0)
			return push_cursor(text, (size_t)n);
	}
	return PUSH_NOW;
}

/* Returns a new one with room for its upgrade. */
static struct ws *
ws_new(struct conn *c, const struct live_host *host)
{
	struct ws *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->c = c;
	live_init(&w->live, host, c->unlimited);
	if (more_get(w) != NULL)
		w->more->open = calloc(1, sizeof(*w->more->open));
	if (w->more == NULL || w->more->open == NULL) {
		more_free(w);
		free(w);
		return NULL;
	}
	return w;
}

static void
upgrade(struct conn *c, const struct request *rq, const struct transport *tr,
    const struct live_host *host)
{
	char token[PUSH_TOKEN_MAX], session[PUSH_TOKEN_MAX], accept[29];
	int status = http_ws_key(rq->head, rq->p, accept);
	struct ident_cred cred;
	struct ws_open *open;
	struct ws *w;

	if (status != 101) {
		refuse(c, status);
		return;
	}
	w = ws_new(c, host);
	if (w == NULL) {
		conn_close(c, "memory");
		return;
	}
	open = w->more->open;
	memcpy(open->accept, accept, sizeof(accept));
	w->live.cursor = url_cursor(rq);
	w->live.all = http_query(rq->head, rq->p, "events", token, 8) == 3 &&
		      strcmp(token, "all") == 0;
	conn_take(c, tr, w);
	if (push_of(c)->mode == MODE_ECHO) {
		w->echo = 1;
		switch_protocols(w);
		return;
	}
	if (!push_cred(c, rq, &cred, token, session)) {
		switch_protocols(w);
		rest(w);
		return;
	}
	open->direct = cred.authorization || cred.token || cred.session;
	open->wait = ident_ask(&push_of(c)->idents, &cred, on_upgrade, w);
	if (open->wait == NULL) {
		conn_close(c, "memory");
		return;
	}
	conn_pause(c);
	conn_due(c, 30);
}

static void
ws_open(struct conn *c, const struct request *rq)
{
	upgrade(c, rq, &ws_transport, &live_host);
}

static void
chat_open(struct conn *c, const struct request *rq)
{
	upgrade(c, rq, &ws_chat_transport, &chat_host);
}

/* A message is whole. */
static void
on_message(struct ws *w, int opcode, const char *p, size_t len)
{
	unsigned char head[WSFRAME_HEAD_MAX];

	if (!w->echo) {
		w->c->active_s = w->c->all->now_s;
		w->live.host->words->text(&w->live, p, len);
		return;
	}
	conn_write(w->c, head, wsframe_head(head, opcode, len));
	conn_write(w->c, p, len);
	if (conn_full(w->c))
		conn_pause(w->c); /* until it has read some */
}

/* A piece of a message; whole ones are not copied. */
static void
on_data(struct ws *w, const struct wsframe_got *got)
{
	struct buf *b = w->more->message;

	if (got->opcode == WS_BINARY && !w->echo) {
		if (got->fin)
			w->live.host->words->text(&w->live, NULL, 0);
		return;
	}
	if (b == NULL && got->fin) {
		on_message(w, got->opcode, got->p, got->len);
		return;
	}
	if (b == NULL) {
		b = calloc(1, sizeof(*b));
		if (b != NULL)
			buf_init(b, w->more->frame.message_max);
		w->more->message = b;
	}
	if (b != NULL)
		buf_append(b, got->p, got->len);
	if (b == NULL || b->err) {
		ws_close(w, 1011, "memory");
		return;
	}
	if (!got->fin)
		return;
	/* Taken off first: the message may end the connection. */
	w->more->message = NULL;
	on_message(w, got->opcode, b->data, b->len);
	buf_fini(b);
	free(b);
}

static void
on_ping(struct ws *w, const char *p, size_t len)
{
	uint8_t now = (uint8_t)w->c->all->now_s;

	if (w->pings_s != now) {
		w->pings_s = now;
		w->pings = 0;
	}
	if (w->pings < UINT8_MAX)
		w->pings++;
	if (w->pings > w->c->all->cf->ws_ping_rate_max && !w->c->unlimited) {
		ws_close(w, 1008, "too many pings");
		return;
	}
	control(w, WS_PONG, p, len);
}

/* What was found; 0 if it is the last thing that was to be heard. */
static int
on_got(struct ws *w, const struct wsframe_got *got)
{
	switch (got->what) {
	case WSFRAME_MORE:
		return 0;
	case WSFRAME_DATA:
		on_data(w, got);
		return 1;
	case WSFRAME_PING:
		on_ping(w, got->p, got->len);
		return 1;
	case WSFRAME_PONG:
		return 1;
	case WSFRAME_CLOSE:
		w->more->peer_code = (uint16_t)(got->code ? got->code : 1);
		maybe_closed(w);
		return 0;
	case WSFRAME_FAIL:
		ws_close(w, got->code,
		    got->code == 1009   ? "too large"
		    : got->code == 1007 ? "not UTF-8"
		    : got->code == 1002 ? "protocol error"
					: "fault");
	}
	return 0;
}

static void
ws_input(struct conn *c, char *p, size_t len)
{
	struct ws *w = c->t;
	struct wsframe_got got;
	size_t at = 0;

	w->heard_s = c->all->now_s;
	if (more_get(w) == NULL) {
		ws_close(w, 1011, "memory");
		return;
	}
	while (!c->paused) {
		at += wsframe_read(&w->more->frame, p + at, len - at, &got);
		if (!on_got(w, &got) || c->state != CONN_OPEN || c->t != w)
			break;
	}
	if (c->state == CONN_OPEN && c->t == w && c->paused && at < len)
		conn_stash(c, p + at, len - at);
	if (c->state == CONN_OPEN && c->t == w)
		rest(w);
}

/* --- the transport's part --- */

static void
ws_drained(struct conn *c)
{
	struct ws *w = c->t;

	if (w->echo)
		conn_resume(c);
	else
		live_go(&w->live);
	if (c->state == CONN_OPEN && c->t == w)
		rest(w);
}

static void
ws_settle(struct conn *c)
{
	struct ws *w = c->t;

	live_settle(&w->live);
}

static unsigned
ws_tick(struct conn *c)
{
	static struct frame *ping;
	struct ws *w = c->t;
	const struct conf *cf = c->all->cf;
	uint32_t now = c->all->now_s;

	if (w->more != NULL && w->more->open != NULL) {
		conn_error(c, 0, 503, "Retry-After: 2\r\n", "busy",
		    "Try again in a moment");
		return 0;
	}
	if (w->echo)
		return 60;
	if (w->live.state == LIVE_ASKING)
		return 1; /* it has said who it is: we have to find out */
	if (w->live.state == LIVE_NOBODY) {
		ws_close(w, 1008, "no authentication");
		return 0;
	}
	if (now - w->heard_s >= (uint64_t)cf->silence_s_max) {
		conn_close(c, "silent");
		return 0;
	}
	if (now >= c->life_s && live_open(&w->live) == 0) {
		ws_close(w, 1001, "resume");
		return 0;
	}
	w->pings = 0;
	if (ping == NULL)
		ping = frame_new("\x89\x00", 2);
	conn_send(c, ping);
	if (++w->beats % SETTLE_BEATS == 0)
		ws_settle(c);
	rest(w);
	return (unsigned)cf->ws_ping_s;
}

static void
ws_bye(struct conn *c, unsigned back_s)
{
	struct ws *w = c->t;
	char reason[48];

	if (w->more != NULL && w->more->open != NULL) {
		conn_error(c, 0, 503, "Retry-After: 2\r\n", "busy",
		    "Try again in a moment");
		return;
	}
	if (live_open(&w->live) > 0) {
		conn_due(c, 1); /* the answers first */
		return;
	}
	snprintf(reason, sizeof(reason), "restart retry=%u",
	    back_s * 1000 + conn_jitter(1000));
	ws_close(w, 1012, reason);
}

static void
ws_describe(const struct conn *c, const char **dialect, const char **state)
{
	const struct ws *w = c->t;

	*dialect = w->live.host->words->name;
	*state = live_stage(&w->live);
}

static void
ws_gone(struct conn *c)
{
	struct ws *w = c->t;

	live_fini(&w->live);
	more_free(w);
	free(w);
}

/* --- from one pushd to the next --- */

static int
ws_carry(struct conn *c, struct buf *b)
{
	struct ws *w = c->t;
	const struct ws_more *m = w->more;

	if (w->echo || (m != NULL && m->open != NULL))
		return -1;
	carry_num(b, w->heard_s);
	carry_num(b, w->pings_s);
	carry_num(b, w->pings);
	carry_num(b, w->beats);
	carry_num(b, m != NULL);
	if (m != NULL) {
		carry_num(b, m->peer_code);
		carry_num(b, m->message != NULL);
		if (m->message != NULL)
			carry_bytes(b, m->message->data, m->message->len);
		wsframe_carry(&m->frame, b);
	}
	return live_carry(&w->live, b);
}

static int
adopt_more(struct ws *w, struct carry_in *in)
{
	struct ws_more *m = more_get(w);
	struct buf *message;
	const char *p;
	size_t len;

	if (m == NULL)
		return -1;
	m->peer_code = (uint16_t)carry_get_num(in, UINT16_MAX);
	if (carry_get_num(in, 1)) {
		p = carry_get_bytes(in, &len, m->frame.message_max);
		message = calloc(1, sizeof(*message));
		if (message == NULL)
			return -1;
		buf_init(message, m->frame.message_max);
		buf_append(message, p, len);
		m->message = message;
		if (message->err)
			return -1;
	}
	return wsframe_adopt(&m->frame, in);
}

static int
adopt(struct conn *c, struct carry_in *in, const struct transport *tr,
    const struct live_host *host)
{
	struct ws *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -1;
	w->c = c;
	live_init(&w->live, host, c->unlimited);
	conn_take(c, tr, w);
	w->heard_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	w->pings_s = (uint8_t)carry_get_num(in, UINT8_MAX);
	w->pings = (uint8_t)carry_get_num(in, UINT8_MAX);
	w->beats = (uint8_t)carry_get_num(in, UINT8_MAX);
	if (carry_get_num(in, 1) && adopt_more(w, in) == -1)
		return -1;
	return live_adopt(&w->live, in);
}

static int
ws_adopt(struct conn *c, struct carry_in *in)
{
	return adopt(c, in, &ws_transport, &live_host);
}

static int
chat_adopt(struct conn *c, struct carry_in *in)
{
	return adopt(c, in, &ws_chat_transport, &chat_host);
}
