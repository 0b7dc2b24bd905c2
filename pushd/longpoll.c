/*
 * longpoll.c: polls that wait for something.
 *
 * What was missed is answered at once; else the poll stands in its rooms like
 * a stream, and the first event that comes, with those of the next
 * milliseconds, is its answer.  Body and cursor are those of a poll
 * (fcgi/h_poll.c); events are encoded once for all polls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dialect.h"
#include "id.h"
#include "json.h"
#include "limits.h"
#include "log.h"
#include "longpoll.h"
#include "push.h"

#define GATHER_S 0.01  /* after the first event: a burst is one answer */
#define AHEAD_MS 60000 /* how far `since` may lie past now */

enum { HEAD_BYTES = 8192 /* of an answer beside its events, at most */ };

/* What an answer has so far. */
struct longpoll_got {
	struct longpoll *lp;
	struct longpoll_got *prev, *next; /* those that gather */
	struct frame **items;
	uint32_t n, cap;
	size_t bytes;
	int64_t last; /* all up to here is among them, or was not for it */
	int gathers;
};

/* What the request said that is of no use once it waits. */
struct longpoll_open {
	struct ident_wait *ident;
	struct replay *replay;
	int64_t cursor;
	int head_only, clock; /* ${cursor} may be the client's own clock */
};

struct longpoll {
	struct hub_sub sub; /* first */
	struct ident_use use;
	struct conn *c;
	struct longpoll_open *open; /* NULL: it waits */
	struct longpoll_got *got;   /* NULL: nothing yet */
	char *cors;                 /* header lines, or NULL */
	uint8_t wait_s;
};

static void longpoll_open(struct conn *c, const struct request *rq);
static unsigned longpoll_tick(struct conn *c);
static void longpoll_bye(struct conn *c, unsigned back_s);
static void longpoll_describe(
    const struct conn *c, const char **dialect, const char **state);
static void longpoll_gone(struct conn *c);
static int longpoll_carry(struct conn *c, struct buf *b);
static int longpoll_adopt(struct conn *c, struct carry_in *in);

/* A client that is gone is not answered: no input, no eof. */
const struct transport longpoll_transport = { .name = "longpoll",
	.open = longpoll_open,
	.tick = longpoll_tick,
	.bye = longpoll_bye,
	.describe = longpoll_describe,
	.gone = longpoll_gone,
	.carry = longpoll_carry,
	.adopt = longpoll_adopt };

/* --- what an answer gathers --- */

static void
got_free(struct longpolls *x, struct longpoll_got *g)
{
	if (g == NULL)
		return;
	if (g->gathers) {
		if (g->prev != NULL)
			g->prev->next = g->next;
		else
			x->first = g->next;
		if (g->next != NULL)
			g->next->prev = g->prev;
	}
	while (g->n > 0)
		frame_unref(g->items[--g->n]);
	free(g->items);
	free(g);
}

/* Put the frame into the answer: 1, or 0 if it has to go without. */
static int
got_add(struct longpoll *lp, struct frame *f, int64_t id)
{
	struct longpoll_got *g = lp->got;
	struct frame **items;
	uint32_t cap;

	if (g == NULL) {
		g = lp->got = calloc(1, sizeof(*g));
		if (g == NULL)
			return 0;
		g->lp = lp;
		g->last =
		    lp->open ? lp->open->cursor : push_of(lp->c)->hub.head;
	}
	/* Each is in the answer twice. */
	if (g->n == POLL_EVENTS_MAX ||
	    (g->n > 0 && 2 * (g->bytes + f->len) + HEAD_BYTES +
				 (size_t)2 * POLL_EVENTS_MAX >
			     (size_t)lp->c->all->cf->queue_bytes_max))
		return 0;
	if (g->n == g->cap) {
		cap = g->cap ? g->cap * 2 : 4;
		items = realloc(g->items, cap * sizeof(struct frame *));
		if (items == NULL)
			return 0;
		g->items = items;
		g->cap = cap;
	}
	g->items[g->n++] = frame_ref(f);
	g->bytes += f->len;
	if (id > 0)
		g->last = id;
	return 1;
}

/* Answer soon, with what comes until then. */
static void
gather(struct longpoll *lp)
{
	struct longpolls *x = &push_of(lp->c)->longpolls;
	struct longpoll_got *g = lp->got;

	if (g->gathers)
		return;
	g->gathers = 1;
	g->prev = NULL;
	g->next = x->first;
	if (g->next != NULL)
		g->next->prev = g;
	x->first = g;
	if (!ev_is_active(&x->timer)) {
		ev_timer_set(&x->timer, GATHER_S, 0.);
		ev_timer_start(x->loop, &x->timer);
	}
}

/* --- the answer; ${lp} is gone after each of these --- */

static void
refuse(struct longpoll *lp, int status, const char *code, const char *error)
{
	char headers[1200];

	snprintf(headers, sizeof(headers), "%s%s", lp->cors ? lp->cors : "",
	    status == 401 ? "WWW-Authenticate: Bearer\r\n"
	    : status == 429
		? lp->use.ident != NULL ? "Retry-After: 10\r\n" : PUSH_TOO_MANY
	    : status == 503 ? "Retry-After: 2\r\n"
			    : "");
	conn_error(lp->c, lp->open != NULL && lp->open->head_only, status,
	    headers, code, error);
}

static void
send_list(struct longpoll *lp)
{
	static struct frame *comma;
	struct longpoll_got *g = lp->got;
	uint32_t i;

	if (comma == NULL)
		comma = frame_new(",", 1);
	for (i = 0; g != NULL && i < g->n; i++) {
		if (i > 0)
			conn_send(lp->c, comma);
		conn_send(lp->c, g->items[i]);
	}
}

/* What was got, as of ${cursor}; the next poll is to come after so long. */
static void
answer(struct longpoll *lp, int64_t cursor, int more, unsigned next_ms)
{
	struct longpolls *x = &push_of(lp->c)->longpolls;
	uint32_t n = lp->got ? lp->got->n : 0;
	size_t list = n > 0 ? lp->got->bytes + n - 1 : 0;
	int head_only = lp->open != NULL && lp->open->head_only;
	char start[32], middle[192], end[64], head[1700];
	int ns, nm, ne, nh;

	ns = snprintf(start, sizeof(start), "{\"success\":true,\"events\":[");
	nm = snprintf(middle, sizeof(middle),
	    "],\"timestamp\":%lld,\"cursor\":\"%lld\",\"more\":%s,"
	    "\"next_poll_ms\":%u,\"data\":{\"events\":[",
	    (long long)cursor, (long long)cursor, more ? "true" : "false",
	    next_ms);
	ne = snprintf(
	    end, sizeof(end), "],\"timestamp\":%lld}}", (long long)cursor);
	nh = snprintf(head, sizeof(head),
	    "HTTP/1.1 200 OK\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Content-Length: %zu\r\nCache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: no-referrer\r\n%sConnection: close\r\n\r\n%s",
	    (size_t)(ns + nm + ne) + 2 * list, lp->cors ? lp->cors : "",
	    head_only ? "" : start);
	conn_write(lp->c, head, (size_t)nh);
	if (!head_only) {
		send_list(lp);
		conn_write(lp->c, middle, (size_t)nm);
		send_list(lp);
		conn_write(lp->c, end, (size_t)ne);
	}
	/* It goes on from here with signals, which no cursor has. */
	if (lp->sub.live)
		lp->use.ident->heard = push_of(lp->c)->hub.nsignals;
	x->answers++;
	x->empty += n == 0;
	conn_end(lp->c, "answered");
}

/* All up to where it stands was given to it. */
static void
answer_now(struct longpoll *lp, unsigned next_ms)
{
	struct hub *h = &push_of(lp->c)->hub;

	answer(lp,
	    lp->sub.held || lp->sub.cursor > h->head ? lp->sub.cursor : h->head,
	    0, next_ms);
}

static void
on_gathered(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct longpolls *x = w->data;

	(void)loop;
	(void)revents;
	while (x->first != NULL)
		answer_now(x->first->lp, 0);
}

/* --- events --- */

/* 1 if the answer is full and has gone. */
static int
give(struct longpoll *lp, struct hub_event *he)
{
	struct frame *f = dialect_frame(he, DIALECT_ITEM, lp->sub.form);

	if (f == NULL || got_add(lp, f, he->e->id))
		return 0;
	if (lp->got == NULL || lp->got->n == 0)
		conn_close(lp->c, "memory");
	else if (he->e->id <= 0)
		answer_now(lp, 0); /* a signal may be lost */
	else
		answer(lp, lp->got->last, 1, 0);
	return 1;
}

static void
on_event(struct hub *h, struct hub_sub *sub, struct hub_event *he)
{
	struct longpoll *lp = (struct longpoll *)sub;

	(void)h;
	if (!give(lp, he) && lp->got != NULL)
		gather(lp);
}

/* --- catching up --- */

static int
on_missed(void *arg, struct hub_event *he)
{
	return give(arg, he);
}

static void
answer_reset(struct longpoll *lp)
{
	struct push *p = push_of(lp->c);
	struct json_object *data = push_reset(p);
	struct frame *f = NULL;
	struct buf b;

	push_reset_count(p, lp->open->cursor);
	log_info("longpoll reset cursor=%lld", (long long)lp->open->cursor);
	buf_init(&b, 4096);
	buf_puts(&b, "{\"type\":\"reset\",\"data\":");
	json_write(data, &b);
	json_object_put(data);
	buf_printf(
	    &b, ",\"timestamp\":%lld,\"id\":null}", (long long)clock_now_ms());
	if (!b.err)
		f = frame_new(b.data, b.len);
	buf_fini(&b);
	if (f == NULL || !got_add(lp, f, 0))
		conn_close(lp->c, "memory");
	else
		answer(lp, p->hub.head, 0, 0);
	frame_unref(f);
}

/* Signals that came since its last poll was answered.  1 if it is gone. */
static int
give_signals(struct longpoll *lp)
{
	struct hub *h = &push_of(lp->c)->hub;
	uint32_t heard = lp->use.ident->heard;
	long long now = clock_mono_ms();
	struct hub_event *he;

	if (heard == 0 || lp->sub.held)
		return 0; /* its first one */
	while ((he = hub_signal(h, &heard, now)) != NULL)
		if (hub_sees(&lp->sub, he) && give(lp, he))
			return 1;
	return 0;
}

static void
go_live(struct longpoll *lp, int64_t cursor)
{
	lp->sub.cursor = cursor;
	lp->sub.live = 1;
	if (give_signals(lp))
		return;
	if (lp->got != NULL || lp->wait_s == 0 || lp->sub.held) {
		answer_now(lp, 0);
		return;
	}
	free(lp->open);
	lp->open = NULL;
	conn_due(lp->c, lp->wait_s - 1u);
}

static void
on_caught_up(void *arg, enum replay_end how, int64_t cursor)
{
	struct longpoll *lp = arg;
	struct longpoll_open *o = lp->open;

	o->replay = NULL;
	switch (how) {
	case REPLAY_LIVE:
		go_live(lp, cursor);
		break;
	case REPLAY_RESET:
		/* A clock ahead of the log has missed nothing. */
		if (o->clock && o->cursor >= push_of(lp->c)->hub.head &&
		    o->cursor <= clock_now_ms() + AHEAD_MS)
			go_live(lp, push_of(lp->c)->hub.head);
		else
			answer_reset(lp);
		break;
	case REPLAY_FAILED:
		refuse(lp, 503, "busy", "Try again in a moment");
		break;
	}
}

static const struct replay_ops replay_ops = { on_missed, on_caught_up };

/* --- identity --- */

static struct longpoll *
of_use(struct ident_use *use)
{
	return (
	    struct longpoll *)((char *)use - offsetof(struct longpoll, use));
}

static void
on_changed(struct ident_use *use)
{
	struct longpoll *lp = of_use(use);

	if (ident_join(&push_of(lp->c)->hub, &lp->sub, use->ident) == -1) {
		conn_close(lp->c, "memory");
	} else if (lp->sub.held) {
		lp->sub.held = 0;
		replay_go(lp->open->replay);
	}
}

/* Who waits is to come again; what it may see then is decided then. */
static void
on_doubted(struct ident_use *use)
{
	struct longpoll *lp = of_use(use);

	if (lp->open == NULL) {
		answer_now(lp, 0);
	} else {
		lp->sub.held = 1;
		replay_void(lp->open->replay);
	}
}

static void
on_gone(struct ident_use *use, const char *why)
{
	struct longpoll *lp = of_use(use);

	if (strcmp(why, IDENT_TOO_MANY) == 0)
		refuse(lp, 429, "rate_limited", "Too many connections");
	else if (lp->open == NULL)
		answer_now(lp, 0);
	else
		refuse(lp, 401, "unauthenticated", "Authentication required");
}

static uint32_t
on_idle_since(struct ident_use *use)
{
	return of_use(use)->c->active_s;
}

static const struct ident_ops ident_ops = { on_doubted, on_changed, on_gone,
	on_idle_since };

static void
on_ident(void *arg, struct ident *id, int status, const char *code,
    const char *error)
{
	struct longpoll *lp = arg;
	struct push *p = push_of(lp->c);

	lp->open->ident = NULL;
	if (id == NULL) {
		refuse(lp, status, code, error);
		return;
	}
	if (!push_may(lp->c, id)) {
		refuse(lp, 429, "rate_limited", "Too many requests");
		return;
	}
	if (lp->open->head_only) {
		answer(lp, p->hub.head, 0, 0);
		return;
	}
	lp->sub.form = id->form;
	lp->sub.event = on_event;
	lp->sub.held = id->doubt;
	ident_use(&p->idents, id, &lp->use, &ident_ops, lp->c->unlimited);
	if (ident_join(&p->hub, &lp->sub, id) == -1) {
		conn_close(lp->c, "memory");
		return;
	}
	lp->open->replay = replay_new(&p->replays, &lp->sub, id->ref, NULL,
	    lp->open->cursor, &replay_ops, lp);
	if (lp->open->replay == NULL)
		conn_close(lp->c, "memory");
	else
		replay_go(lp->open->replay);
}

/* --- the request --- */

/*
 * The number ${name} of the query.  0, or 1 if it is there: ${*n} is its value,
 * PUSH_BAD if it is out of reach; -1 if it is no number.
 */
static int
query_number(const struct request *rq, const char *name, int64_t *n)
{
	char text[65];
	int len = http_query(rq->head, rq->p, name, text, sizeof(text));

	if (len == -1)
		return 0;
	if (len <= 0 || strspn(text, "0123456789") != (size_t)len)
		return -1;
	*n = push_cursor(text, (size_t)len);
	return 1;
}

/* Its cursor, as a poll has it: 0, or -1 if it is no number. */
static int
read_cursor(struct longpoll_open *o, const struct request *rq)
{
	const char *p;
	size_t len, i;
	int rc;

	o->cursor = PUSH_NOW;
	p = http_field(rq->head, rq->p, "Last-Event-ID", &len);
	if (p != NULL && len > 0) {
		for (i = 0; i < len; i++)
			if (p[i] < '0' || p[i] > '9')
				return -1;
		o->cursor = push_cursor(p, len);
		return 0;
	}
	rc = query_number(rq, "after", &o->cursor);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	o->clock = 1;
	return query_number(rq, "since", &o->cursor) == -1 ? -1 : 0;
}

static int
read_wait(struct longpoll *lp, const struct request *rq)
{
	int64_t max = lp->c->all->cf->longpoll_s_max, s = max;
	int rc = query_number(rq, "wait", &s);

	if (rc == -1)
		return -1;
	lp->wait_s = (uint8_t)(s == PUSH_BAD || s > max ? max : s);
	return 0;
}

/*
 * GET /api/events/longpoll    ?after= (or since=, Last-Event-ID), wait=
 * As GET /api/events/poll, but with nothing new it waits for something, up to
 * ${wait} seconds, at most and if absent longpoll_s_max.  No cursor: from now.
 * No ETag and no 304: each answer moves the cursor on.
 */
static void
longpoll_open(struct conn *c, const struct request *rq)
{
	char token[PUSH_TOKEN_MAX], session[PUSH_TOKEN_MAX], cors[1024];
	struct ident_cred cred;
	struct longpoll *lp;

	conn_cors(c, rq, cors, sizeof(cors));
	if (conn_get_only(c, rq, cors))
		return;
	lp = calloc(1, sizeof(*lp));
	if (lp != NULL)
		lp->open = calloc(1, sizeof(*lp->open));
	if (lp == NULL || lp->open == NULL ||
	    (cors[0] != '\0' && (lp->cors = strdup(cors)) == NULL)) {
		free(lp ? lp->open : NULL);
		free(lp);
		conn_close(c, "memory");
		return;
	}
	lp->c = c;
	lp->open->head_only = conn_method(rq, "HEAD");
	conn_take(c, &longpoll_transport, lp);
	if (!push_cred(c, rq, &cred, token, session)) {
		refuse(lp, 401, "unauthenticated", "Authentication required");
		return;
	}
	if (read_cursor(lp->open, rq) == -1) {
		refuse(lp, 400, "bad_cursor", "The cursor is no number");
		return;
	}
	if (read_wait(lp, rq) == -1) {
		refuse(lp, 400, "bad_wait", "The wait is no number");
		return;
	}
	lp->open->ident = ident_ask(&push_of(c)->idents, &cred, on_ident, lp);
	if (lp->open->ident == NULL)
		conn_close(c, "memory");
	else
		conn_due(c, 30);
}

/* --- the transport's part --- */

static unsigned
longpoll_tick(struct conn *c)
{
	struct longpoll *lp = c->t;

	if (lp->open == NULL)
		answer_now(lp, 0);
	else
		refuse(lp, 503, "busy", "Try again in a moment");
	return 0;
}

static void
longpoll_bye(struct conn *c, unsigned back_s)
{
	struct longpoll *lp = c->t;

	/* Its own cursor: the log may have begun another life. */
	if (lp->open == NULL)
		answer(
		    lp, lp->sub.cursor, 0, back_s * 1000 + conn_jitter(1000));
	else
		refuse(lp, 503, "busy", "Try again in a moment");
}

static void
longpoll_describe(
    const struct conn *c, const char **dialect, const char **state)
{
	const struct longpoll *lp = c->t;

	*dialect = "poll";
	*state = lp->open == NULL          ? "live"
		 : lp->open->ident != NULL ? "asking"
					   : "replaying";
}

static void
longpoll_gone(struct conn *c)
{
	struct longpoll *lp = c->t;
	struct push *p = push_of(c);

	if (lp->open != NULL) {
		ident_cancel(&p->idents, lp->open->ident);
		replay_stop(lp->open->replay);
		free(lp->open);
	}
	got_free(&p->longpolls, lp->got);
	hub_leave_all(&p->hub, &lp->sub);
	ident_unuse(&p->idents, &lp->use);
	free(lp->cors);
	free(lp);
}

/* --- all of them --- */

void
longpolls_init(struct longpolls *x, struct ev_loop *loop)
{
	memset(x, 0, sizeof(*x));
	x->loop = loop;
	ev_init(&x->timer, on_gathered);
	x->timer.data = x;
}

void
longpolls_fini(struct longpolls *x)
{
	if (x->loop != NULL)
		ev_timer_stop(x->loop, &x->timer);
}

/* --- from one pushd to the next --- */

/* Who waits; the others are answered here, and soon. */
static int
longpoll_carry(struct conn *c, struct buf *b)
{
	const struct longpoll *lp = c->t;

	if (lp->open != NULL || lp->got != NULL || lp->sub.held)
		return -1;
	carry_text(b, lp->use.ident->ref);
	carry_text(b, lp->cors);
	carry_int(b, lp->sub.cursor);
	return 0;
}

static int
longpoll_adopt(struct conn *c, struct carry_in *in)
{
	const char *ref = carry_get_text(in, REF_BYTES_MAX);
	const char *cors = carry_get_text(in, 1024);
	int64_t cursor = carry_get_int(in, 0, CURSOR_MAX);
	struct push *p = push_of(c);
	struct longpoll *lp = calloc(1, sizeof(*lp));
	struct ident *id = ref ? ident_of(&p->idents, ref) : NULL;

	if (lp == NULL)
		return -1;
	lp->c = c;
	conn_take(c, &longpoll_transport, lp);
	if (id == NULL || in->bad ||
	    (cors != NULL && (lp->cors = strdup(cors)) == NULL))
		return -1;
	lp->sub.form = id->form;
	lp->sub.event = on_event;
	lp->sub.cursor = cursor;
	lp->sub.live = 1;
	ident_use(&p->idents, id, &lp->use, &ident_ops, 1);
	return ident_join(&p->hub, &lp->sub, id);
}
