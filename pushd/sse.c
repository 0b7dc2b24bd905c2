/*
 * sse.c: Server-Sent Events.
 *
 * The answer has no length and no chunks: it ends with the connection.  Its
 * head and the greeting leave at once; then what was missed; then life.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dialect.h"
#include "json.h"
#include "limits.h"
#include "log.h"
#include "push.h"
#include "sse.h"

enum { BATCH_MAX = 10, TICK_BEATS = 4 };

#define BATCH_S 0.1

/* A stream on its way to being live; gone when it is. */
struct sse_open {
	struct ident_wait *wait;
	struct replay *replay;
	int64_t cursor;
	int head_only, greeted;
	char cors[1024];
};

/* Events that wait to leave together. */
struct sse_batch {
	struct hub_event *he[BATCH_MAX];
	unsigned n;
	ev_timer timer;
};

struct sse {
	struct hub_sub sub; /* first */
	struct ident_use use;
	struct conn *c;
	struct sse_open *open;
	struct sse_batch *batch; /* NULL: not asked for */
};

static void sse_open(struct conn *c, const struct request *rq);
static void sse_eof(struct conn *c);
static void sse_drained(struct conn *c);
static unsigned sse_tick(struct conn *c);
static void sse_settle(struct conn *c);
static void sse_bye(struct conn *c, unsigned back_s);
static void sse_describe(
    const struct conn *c, const char **dialect, const char **state);
static void sse_gone(struct conn *c);
static int sse_carry(struct conn *c, struct buf *b);
static int sse_adopt(struct conn *c, struct carry_in *in);

const struct transport sse_transport = { .name = "sse",
	.open = sse_open,
	.eof = sse_eof,
	.drained = sse_drained,
	.tick = sse_tick,
	.settle = sse_settle,
	.bye = sse_bye,
	.describe = sse_describe,
	.gone = sse_gone,
	.carry = sse_carry,
	.adopt = sse_adopt };

/* --- what goes out --- */

/* An event of our own making, for this stream alone. */
static void
say(struct sse *s, const char *type, struct json_object *data, int64_t id)
{
	struct buf b, text;

	buf_init(&text, 65536);
	buf_init(&b, 262144);
	json_write(data, &text);
	json_object_put(data);
	dialect_sse(
	    &b, s->c->dialect, type, text.data, text.len, id, clock_now_ms());
	if (!b.err && !text.err)
		conn_write(s->c, b.data, b.len);
	buf_fini(&text);
	buf_fini(&b);
}

static struct json_object *
greeting(void)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "status", "connected");
	json_put_int(o, "timestamp", clock_now_ms());
	return o;
}

/* The greeting has its own name in each format. */
static void
greet(struct sse *s, int64_t id)
{
	uint8_t d = s->c->dialect;

	if (s->open->greeted)
		return;
	s->open->greeted = 1;
	if (d != DIALECT_ENVELOPE) {
		s->c->dialect = DIALECT_NAMED;
		say(s, "connected", greeting(), id);
	}
	if (d != DIALECT_NAMED) {
		s->c->dialect = DIALECT_ENVELOPE;
		say(s, "connection", greeting(), id);
	}
	s->c->dialect = d;
}

static void
batch_flush(struct sse *s)
{
	struct sse_batch *b = s->batch;
	struct buf text, out;
	int64_t id = -1;
	unsigned i;

	ev_timer_stop(s->c->all->loop, &b->timer);
	if (b->n == 0)
		return;
	buf_init(&text, 64 << 20);
	buf_init(&out, 128 << 20);
	buf_puts(&text, "{\"events\":[");
	for (i = 0; i < b->n; i++) {
		if (i > 0)
			buf_putc(&text, ',');
		dialect_envelope(&text, b->he[i]->e, s->sub.form);
		if (b->he[i]->e->id > 0)
			id = b->he[i]->e->id;
		hub_event_unref(b->he[i]);
	}
	b->n = 0;
	buf_puts(&text, "]}");
	dialect_sse(&out, s->c->dialect, "batch", text.data, text.len, id,
	    clock_now_ms());
	if (!out.err && !text.err)
		conn_write(s->c, out.data, out.len);
	buf_fini(&text);
	buf_fini(&out);
}

static void
on_batch(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	batch_flush(w->data);
}

/* It wants events together; without memory it gets them one by one. */
static void
batch_begin(struct sse *s)
{
	s->batch = calloc(1, sizeof(*s->batch));
	if (s->batch == NULL)
		return;
	ev_init(&s->batch->timer, on_batch);
	s->batch->timer.data = s;
}

static void
give(struct sse *s, struct hub_event *he)
{
	struct sse_batch *b = s->batch;

	if (b == NULL) {
		conn_send(s->c, dialect_frame(he, s->c->dialect, s->sub.form));
		return;
	}
	/* Unencodable ones are refused there; the batch has their text. */
	if (dialect_frame(he, DIALECT_ENVELOPE, s->sub.form) == NULL)
		return;
	he->refs++;
	b->he[b->n++] = he;
	if (b->n == BATCH_MAX)
		batch_flush(s);
	else if (!ev_is_active(&b->timer)) {
		ev_timer_set(&b->timer, BATCH_S, 0.);
		ev_timer_start(s->c->all->loop, &b->timer);
	}
}

static void
on_event(struct hub *h, struct hub_sub *sub, struct hub_event *he)
{
	(void)h;
	give((struct sse *)sub, he);
}

/* What comes of its rooms, from now on. */
static void
hear(struct sse *s)
{
	s->sub.event = s->batch != NULL ? on_event : push_event;
	s->sub.outlet = (uint32_t)s->c->fd;
	s->sub.dialect = s->c->dialect;
}

/* --- catching up --- */

static int
on_missed(void *arg, struct hub_event *he)
{
	struct sse *s = arg;

	greet(s, -1);
	give(s, he);
	return conn_full(s->c);
}

static void
go_live(struct sse *s, int64_t cursor)
{
	s->sub.cursor = cursor;
	s->sub.live = 1;
	free(s->open);
	s->open = NULL;
	if (s->c->eof)
		conn_end(s->c, "gone");
}

static void
on_caught_up(void *arg, enum replay_end how, int64_t cursor)
{
	struct sse *s = arg;
	struct push *p = push_of(s->c);

	s->open->replay = NULL;
	switch (how) {
	case REPLAY_LIVE:
		greet(s, s->open->cursor == PUSH_NOW ? cursor : -1);
		go_live(s, cursor);
		break;
	case REPLAY_RESET:
		push_reset_count(p, s->open->cursor);
		log_info("sse reset cursor=%lld", (long long)s->open->cursor);
		if (s->batch != NULL)
			batch_flush(s);
		say(s, "reset", push_reset(p), -1);
		greet(s, p->hub.head);
		go_live(s, p->hub.head);
		break;
	case REPLAY_FAILED:
		conn_end(s->c, "replay");
		break;
	}
}

static const struct replay_ops replay_ops = { on_missed, on_caught_up };

/* It is who it was: from where it was held. */
static void
go_on(struct sse *s)
{
	s->sub.held = 0;
	if (s->sub.live) {
		s->sub.live = 0;
		s->open = calloc(1, sizeof(*s->open));
		if (s->open != NULL) {
			s->open->greeted = 1;
			s->open->cursor = s->sub.cursor;
			s->open->replay = replay_new(&push_of(s->c)->replays,
			    &s->sub, s->use.ident->ref, NULL, s->sub.cursor,
			    &replay_ops, s);
		}
	}
	if (s->open == NULL || s->open->replay == NULL)
		conn_end(s->c, "memory");
	else
		replay_go(s->open->replay);
}

/* --- identity --- */

static void
on_changed(struct ident_use *use)
{
	struct sse *s = (struct sse *)((char *)use - offsetof(struct sse, use));

	if (ident_join(&push_of(s->c)->hub, &s->sub, use->ident) == -1)
		conn_end(s->c, "memory");
	else if (s->sub.held)
		go_on(s);
}

static void
on_doubted(struct ident_use *use)
{
	struct sse *s = (struct sse *)((char *)use - offsetof(struct sse, use));

	hub_hold(&push_of(s->c)->hub, &s->sub);
	if (s->open != NULL)
		replay_void(s->open->replay);
}

static void
on_gone(struct ident_use *use, const char *why)
{
	struct sse *s = (struct sse *)((char *)use - offsetof(struct sse, use));

	conn_end(s->c, why);
}

static uint32_t
on_idle_since(struct ident_use *use)
{
	struct sse *s = (struct sse *)((char *)use - offsetof(struct sse, use));

	return s->c->active_s;
}

static const struct ident_ops ident_ops = { on_doubted, on_changed, on_gone,
	on_idle_since };

static void
send_head(struct sse *s)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_puts(&b, "HTTP/1.1 200 OK\r\n"
		     "Content-Type: text/event-stream; charset=utf-8\r\n"
		     "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"
		     "X-Content-Type-Options: nosniff\r\n"
		     "Referrer-Policy: no-referrer\r\n");
	buf_puts(&b, s->open->cors);
	buf_puts(&b, "Connection: close\r\n\r\n");
	if (!s->open->head_only)
		buf_puts(&b, "retry: 3000\n\n");
	conn_write(s->c, b.data, b.len);
	buf_fini(&b);
}

static void
refuse(struct sse *s, int status, const char *code, const char *error)
{
	char headers[1200];
	int head_only = s->open->head_only;

	snprintf(headers, sizeof(headers), "%s%s", s->open->cors,
	    status == 401 ? "WWW-Authenticate: Bearer\r\n" : "");
	conn_error(s->c, head_only, status, headers, code, error);
}

/* Say when to come back, and end. */
static void
send_back(struct sse *s, unsigned ms, const char *why)
{
	char text[48];
	int n = snprintf(text, sizeof(text), "retry: %u\n\n", ms);

	conn_write(s->c, text, (size_t)n);
	conn_end(s->c, why);
}

/*
 * Not now: nobody could say who it is, or too many asked.  EventSource gives up
 * for good on any status but 200, so it gets a stream with nothing but when to
 * come back.
 */
static void
put_off(struct sse *s, const char *why)
{
	send_head(s);
	if (s->open->head_only)
		conn_end(s->c, why);
	else
		send_back(s, 2000 + conn_jitter(4000), why);
}

static void
on_ident(void *arg, struct ident *id, int status, const char *code,
    const char *error)
{
	struct sse *s = arg;
	struct push *p = push_of(s->c);
	uint32_t life = (uint32_t)p->cf.stream_life_s;

	s->open->wait = NULL;
	if (id == NULL && (status == 429 || status == 503)) {
		put_off(s, status == 503 ? "identity" : "refused");
		return;
	}
	if (id == NULL) {
		refuse(s, status, code, error);
		return;
	}
	if (!push_may(s->c, id)) {
		put_off(s, "refused");
		return;
	}
	send_head(s);
	if (s->open->head_only) {
		conn_end(s->c, "head");
		return;
	}
	s->sub.form = id->form;
	hear(s);
	s->sub.held = id->doubt;
	ident_use(&p->idents, id, &s->use, &ident_ops, s->c->unlimited);
	if (ident_join(&p->hub, &s->sub, id) == -1) {
		conn_end(s->c, "memory");
		return;
	}
	s->c->life_s = s->c->all->now_s + life + conn_jitter(life / 2 + 1);
	conn_due(s->c, (unsigned)p->cf.keepalive_s - 1);
	s->open->replay = replay_new(&p->replays, &s->sub, id->ref, NULL,
	    s->open->cursor, &replay_ops, s);
	if (s->open->replay == NULL)
		conn_end(s->c, "memory");
	else
		replay_go(s->open->replay);
}

/* --- the request --- */

static int64_t
cursor_of(const struct request *rq)
{
	const char *p;
	char text[64];
	size_t len;
	int n;

	/* EventSource repeats an old query, so the header wins. */
	p = http_field(rq->head, rq->p, "Last-Event-ID", &len);
	if (p != NULL && len > 0)
		return push_cursor(p, len);
	n = http_query(rq->head, rq->p, "lastEventId", text, sizeof(text));
	if (n == -2)
		return PUSH_BAD;
	return n < 0 ? PUSH_NOW : push_cursor(text, (size_t)n);
}

static enum dialect
dialect_of(const struct request *rq, int by_query)
{
	const char *path = rq->p + rq->head->path.at;
	size_t len = rq->head->path.len;
	char text[16];

	if (http_query(rq->head, rq->p, "format", text, sizeof(text)) > 0) {
		if (strcmp(text, "envelope") == 0)
			return DIALECT_ENVELOPE;
		if (strcmp(text, "named") == 0)
			return DIALECT_NAMED;
		if (strcmp(text, "both") == 0)
			return DIALECT_BOTH;
	}
	if (by_query && len >= 18 &&
	    memcmp(path + len - 18, "/api/events/stream", 18) == 0)
		return DIALECT_ENVELOPE;
	return DIALECT_NAMED;
}

static void
sse_open(struct conn *c, const struct request *rq)
{
	char token[PUSH_TOKEN_MAX], session[PUSH_TOKEN_MAX], text[8];
	struct ident_cred cred;
	struct sse *s;
	int shown;

	s = calloc(1, sizeof(*s));
	if (s != NULL)
		s->open = calloc(1, sizeof(*s->open));
	if (s == NULL || s->open == NULL) {
		free(s);
		conn_close(c, "memory");
		return;
	}
	s->c = c;
	conn_cors(c, rq, s->open->cors, sizeof(s->open->cors));
	if (conn_get_only(c, rq, s->open->cors)) {
		free(s->open);
		free(s);
		return;
	}
	s->open->head_only = conn_method(rq, "HEAD");
	conn_take(c, &sse_transport, s);
	shown = push_cred(c, rq, &cred, token, session);
	s->open->cursor = cursor_of(rq);
	s->c->dialect = (uint8_t)dialect_of(
	    rq, !cred.authorization && (cred.token || cred.session));
	if (http_query(rq->head, rq->p, "batch", text, sizeof(text)) > 0 &&
	    strcmp(text, "1") == 0)
		batch_begin(s);
	if (!shown) {
		refuse(s, 401, "unauthenticated", "Authentication required");
		return;
	}
	s->open->wait = ident_ask(&push_of(c)->idents, &cred, on_ident, s);
	if (s->open->wait == NULL)
		conn_close(c, "memory");
	else
		conn_due(c, 30);
}

/* --- the transport's part --- */

static void
sse_eof(struct conn *c)
{
	struct sse *s = c->t;

	/* It may still read the answer that is on its way. */
	if (s->open == NULL)
		conn_close(c, "gone");
}

static void
sse_drained(struct conn *c)
{
	struct sse *s = c->t;

	if (s->open != NULL && s->open->replay != NULL)
		replay_go(s->open->replay);
}

/* The newest id, for a stream whose events were all for others. */
static void
sse_settle(struct conn *c)
{
	struct sse *s = c->t;
	struct hub *h = &push_of(c)->hub;

	if (!s->sub.live || s->sub.held || s->sub.cursor >= h->head)
		return;
	if (s->batch != NULL)
		batch_flush(s);
	s->sub.cursor = h->head;
	say(s, "tick", json_object_new_object(), h->head);
}

/* A heartbeat of a second, the same for all that are due in it. */
static struct frame *
heartbeat(uint32_t now_s)
{
	static struct frame *f;
	static uint32_t made_s;
	char text[96];
	int n;

	if (f != NULL && made_s == now_s)
		return f;
	frame_unref(f);
	made_s = now_s;
	n = snprintf(text, sizeof(text),
	    ": keep-alive\n\n"
	    "data: {\"type\":\"heartbeat\",\"timestamp\":%lld}\n\n",
	    (long long)clock_now_ms());
	f = frame_new(text, (size_t)n);
	return f;
}

static unsigned
sse_tick(struct conn *c)
{
	static struct frame *keep_alive;
	struct sse *s = c->t;

	if (s->use.ident == NULL) {
		put_off(s, "identity");
		return 0;
	}
	if (c->all->now_s >= c->life_s) {
		if (s->batch != NULL)
			batch_flush(s);
		conn_end(c, "life");
		return 0;
	}
	if (keep_alive == NULL)
		keep_alive = frame_new(": keep-alive\n\n", 14);
	c->beats++;
	conn_send(c, c->beats % 2 == 0 && s->c->dialect != DIALECT_NAMED
			 ? heartbeat(c->all->now_s)
			 : keep_alive);
	if (c->beats % TICK_BEATS == 0)
		sse_settle(c);
	return (unsigned)c->all->cf->keepalive_s;
}

static void
sse_bye(struct conn *c, unsigned back_s)
{
	struct sse *s = c->t;

	if (s->batch != NULL)
		batch_flush(s);
	if (s->use.ident == NULL)
		put_off(s, "identity"); /* still being asked who it is */
	else
		send_back(s, back_s * 1000 + conn_jitter(1000), "drain");
}

static void
sse_describe(const struct conn *c, const char **dialect, const char **state)
{
	const struct sse *s = c->t;

	*dialect = s->c->dialect == DIALECT_NAMED      ? "named"
		   : s->c->dialect == DIALECT_ENVELOPE ? "envelope"
						       : "both";
	*state = s->sub.live                ? "live"
		 : s->open && s->open->wait ? "asking"
					    : "replaying";
}

static void
sse_gone(struct conn *c)
{
	struct sse *s = c->t;
	struct push *p = push_of(c);
	unsigned i;

	if (s->open != NULL) {
		ident_cancel(&p->idents, s->open->wait);
		replay_stop(s->open->replay);
		free(s->open);
	}
	hub_leave_all(&p->hub, &s->sub);
	ident_unuse(&p->idents, &s->use);
	if (s->batch != NULL) {
		ev_timer_stop(p->loop, &s->batch->timer);
		for (i = 0; i < s->batch->n; i++)
			hub_event_unref(s->batch->he[i]);
		free(s->batch);
	}
	free(s);
}

/* --- from one pushd to the next --- */

static int
sse_carry(struct conn *c, struct buf *b)
{
	struct sse *s = c->t;
	const struct sse_open *o = s->open;

	/* Who has no identity yet is answered here. */
	if (s->use.ident == NULL || (o != NULL && o->replay == NULL))
		return -1;
	if (s->batch != NULL)
		batch_flush(s);
	carry_text(b, s->use.ident->ref);
	carry_num(b, s->c->dialect);
	carry_num(b, c->beats);
	carry_num(b, s->batch != NULL);
	carry_num(b, s->sub.live);
	carry_num(b, s->sub.held);
	carry_int(b, s->sub.cursor);
	carry_num(b, o != NULL);
	if (o == NULL)
		return 0;
	carry_int(b, o->cursor);
	carry_num(b, o->greeted != 0);
	carry_int(b, replay_cursor(o->replay));
	return 0;
}

/* On its way to being live: from where it was. */
static int
adopt_open(struct sse *s, struct carry_in *in, const struct ident *id)
{
	struct sse_open *o = calloc(1, sizeof(*o));
	int64_t cursor;

	s->open = o;
	if (o == NULL)
		return -1;
	o->cursor = carry_get_int(in, PUSH_BAD, INT64_MAX);
	o->greeted = (int)carry_get_num(in, 1);
	cursor = carry_get_int(in, PUSH_BAD, INT64_MAX);
	o->replay = replay_new(&push_of(s->c)->replays, &s->sub, id->ref, NULL,
	    cursor, &replay_ops, s);
	return o->replay == NULL ? -1 : 0;
}

static int
sse_adopt(struct conn *c, struct carry_in *in)
{
	const char *ref = carry_get_text(in, REF_BYTES_MAX);
	struct push *p = push_of(c);
	struct sse *s = calloc(1, sizeof(*s));
	struct ident *id = ref ? ident_of(&p->idents, ref) : NULL;

	if (s == NULL)
		return -1;
	s->c = c;
	conn_take(c, &sse_transport, s);
	s->c->dialect = (uint8_t)carry_get_num(in, DIALECT_BOTH);
	c->beats = (uint8_t)carry_get_num(in, UINT8_MAX);
	if (carry_get_num(in, 1))
		batch_begin(s);
	s->sub.live = (uint8_t)carry_get_num(in, 1);
	s->sub.held = (uint8_t)carry_get_num(in, 1);
	s->sub.cursor = carry_get_int(in, PUSH_BAD, INT64_MAX);
	if (id == NULL || in->bad)
		return -1;
	s->sub.form = id->form;
	hear(s);
	ident_use(&p->idents, id, &s->use, &ident_ops, 1);
	if (ident_join(&p->hub, &s->sub, id) == -1)
		return -1;
	return carry_get_num(in, 1) ? adopt_open(s, in, id) : 0;
}
