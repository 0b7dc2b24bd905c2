/*
 * socketio.c: sessions of the chat over Socket.IO: who they are, what waits
 * for CONNECT's answer, how a client that broke off comes back.
 *
 * The answer to CONNECT says whether nothing was missed, so it waits until
 * that is known; what the client is to be sent meanwhile waits behind it.
 */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "json.h"
#include "live_work.h"
#include "push.h"
#include "socketio.h"
#include "words.h"

enum {
	FULL = 4,     /* of queue_bytes_max */
	TRIES_MAX = 5 /* of CONNECT, by nobody */
};

/* While CONNECT is not answered. */
struct socketio_back {
	struct buf rooms; /* what it had joined, each with a NUL */
	size_t at;        /* ... and is to join again */
	unsigned joining;
	struct frame **q;
	size_t n, cap, bytes;
	int64_t cursor;
	char pid[SIOPAST_PID]; /* what it showed */
	uint8_t has_pid;
	uint8_t known;  /* who it was is remembered */
	uint8_t told;   /* ${good} and ${cursor} are set */
	uint8_t good;   /* nothing was missed */
	uint8_t failed; /* it may not be where it was */
};

static void transport_open(struct conn *c, const struct request *rq);
static void host_close(struct live *v, int code, const char *reason);

const struct transport socketio_transport = { .name = "socketio",
	.open = transport_open };

struct socketio *
socketio_of(const struct live *v)
{
	return (
	    struct socketio *)((uintptr_t)v - offsetof(struct socketio, live));
}

static struct push *
push_of_session(const struct socketio *s)
{
	struct conns *all = s->sio.eio.all->conns;

	return (struct push *)((char *)all - offsetof(struct push, conns));
}

static int
is_over(const struct socketio *s)
{
	return s->sio.eio.state >= EIO_ENDING;
}

/* The person, as a key. */
static void
who_of(const struct live *v, char *out, size_t size)
{
	snprintf(out, size, "%c%s", v->sub.form == HUB_CUSTOMER ? 'c' : 'a',
	    v->use.ident->person->id);
}

/* --- what waits for CONNECT's answer --- */

static void
back_free(struct socketio *s)
{
	struct socketio_back *b = s->back;

	if (b == NULL)
		return;
	while (b->n > 0)
		frame_unref(b->q[--b->n]);
	free(b->q);
	buf_fini(&b->rooms);
	free(b);
	s->back = NULL;
}

/* -1 without memory. */
static int
back_add(struct socketio_back *b, struct frame *f)
{
	size_t cap = b->cap ? b->cap * 2 : 8;
	struct frame **q;

	if (b->n == b->cap) {
		q = realloc(b->q, cap * sizeof(struct frame *));
		if (q == NULL)
			return -1;
		b->q = q;
		b->cap = cap;
	}
	b->q[b->n++] = frame_ref(f);
	b->bytes += f->len;
	return 0;
}

/* CONNECT is answered: what waited for that goes. */
static void
release(struct socketio *s, struct socketio_back *b)
{
	size_t i;

	s->back = NULL;
	words_sio_authenticated(&s->live, b->cursor);
	if (s->lost)
		words_sio_reconnected(&s->live);
	for (i = 0; i < b->n; i++)
		eio_send(&s->sio.eio, b->q[i]);
	eio_soon(&s->sio.eio); /* what was missed may go on, or all rests */
}

/* It is connected: by what id, and by what it may come back. */
static void
say_connected(struct socketio *s)
{
	struct json_object *o = json_object_new_object();
	unsigned char hash[16];
	char sid[EIO_SID + 1];

	/* The id is public, and stays when it comes back: made of the pid. */
	crypto_generichash(hash, sizeof(hash), (const unsigned char *)s->pid,
	    sizeof(s->pid), NULL, 0);
	sodium_bin2base64(sid, sizeof(sid), hash, EIO_SID * 3 / 4,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	json_put_str(o, "sid", sid);
	json_put_strn(o, "pid", s->pid, sizeof(s->pid));
	sio_connected(&s->sio, 0, o);
}

/* Answer CONNECT, once all is known. */
static void
maybe_connected(struct socketio *s)
{
	struct socketio_back *b = s->back;
	int recovered;

	if (!b->told)
		return;
	recovered = b->known && b->good && !b->failed;
	if (recovered)
		memcpy(s->pid, b->pid, sizeof(s->pid));
	say_connected(s);
	release(s, b);
	s->back = b;
	back_free(s);
}

/* The next of the conversations that it had joined. */
static void
join_next(struct socketio *s)
{
	struct socketio_back *b = s->back;
	struct about a = { .tag = SOCKETIO_BACK, .has_name = 1 };
	unsigned most =
	    (unsigned)push_of_session(s)->cf.socket_acks_max / 2 + 1;

	/* After one that fails it is not who it was: it joins them itself. */
	while (!is_over(s) && s->back == b && !b->failed && b->joining < most &&
	       b->at < b->rooms.len) {
		snprintf(a.name, sizeof(a.name), "%s", b->rooms.data + b->at);
		b->at += strlen(b->rooms.data + b->at) + 1;
		b->joining++;
		live_join(&s->live, &a, PUSH_NOW);
	}
}

void
socketio_joined(struct socketio *s, int good)
{
	struct socketio_back *b = s->back;

	if (b == NULL)
		return;
	b->joining--;
	if (!good)
		b->failed = 1;
	join_next(s);
	/* Not from within the join. */
	if (!is_over(s) && s->back == b && b->joining == 0)
		eio_soon(&s->sio.eio);
}

/* It is where it was, as far as it may be: now what it missed. */
static void
maybe_start(struct socketio *s)
{
	const struct socketio_back *b = s->back;

	if (b != NULL && s->live.waits && b->joining == 0)
		live_start(&s->live, !b->failed);
}

void
socketio_resumed(struct socketio *s, int good, int64_t cursor)
{
	struct socketio_back *b = s->back;

	if (b == NULL) {
		words_sio_authenticated(&s->live, cursor);
		if (s->lost)
			words_sio_reconnected(&s->live);
		eio_soon(&s->sio.eio);
		return;
	}
	b->told = 1;
	b->good = good != 0;
	b->cursor = cursor;
	maybe_connected(s);
}

/* --- coming back --- */

/* Whether the client has the pid, or came back by it and waits for the answer.
 */
static int
has_pid(const struct socketio *s, const char pid[SIOPAST_PID])
{
	return memcmp(s->pid, pid, SIOPAST_PID) == 0 ||
	       (s->back != NULL && s->back->known &&
		   memcmp(s->back->pid, pid, SIOPAST_PID) == 0);
}

/* Another session of the same person by the same pid, whose end was not seen.
 */
static struct socketio *
half_open(const struct socketio *s, const struct socketio_back *b)
{
	struct ident_use *use;
	struct live *v;
	struct socketio *other;

	for (use = s->live.use.ident->uses; use != NULL; use = use->next) {
		v = live_using(use);
		if (v == NULL || v == &s->live || v->host != s->live.host)
			continue;
		other = socketio_of(v);
		if (has_pid(other, b->pid))
			return other;
	}
	return NULL;
}

void
socketio_in(struct socketio *s)
{
	struct push *p = push_of_session(s);
	uint32_t now_s = p->conns.now_s;
	struct socketio_back *b = s->back;
	struct socketio *other;
	char who[OUTBOX_ID_MAX + 2];

	s->tries = 0;
	who_of(&s->live, who, sizeof(who));
	if (b != NULL && b->has_pid) {
		other = half_open(s, b);
		if (other != NULL)
			eio_end(&other->sio.eio, 1001, "came back");
	}
	s->lost = siopast_lost(&p->siopast, who, now_s) != 0;
	if (b == NULL || !b->has_pid || s->live.cursor == PUSH_NOW)
		return;
	b->known =
	    siopast_take(&p->siopast, b->pid, who, &b->rooms, now_s) == 1;
	if (b->rooms.err)
		b->known = 0;
	s->live.whole = b->known != 0;
	s->live.waits = b->rooms.len > 0;
	join_next(s);
}

/* It ends: it may come back. */
static void
remember(struct socketio *s)
{
	struct push *p = push_of_session(s);
	char who[OUTBOX_ID_MAX + 2];
	struct buf rooms;

	if (s->live.state != LIVE_IN || s->bye)
		return;
	who_of(&s->live, who, sizeof(who));
	/* Nothing was answered yet: it is who it was. */
	if (s->back != NULL) {
		if (s->back->known)
			siopast_add(&p->siopast, s->back->pid, who,
			    s->back->rooms.data, s->back->rooms.len,
			    p->conns.now_s);
		return;
	}
	/* Its cursor is newer than what a join still owes. */
	if (live_owes(&s->live))
		return;
	buf_init(&rooms, (size_t)p->cf.socket_rooms_max * OUTBOX_ID_MAX);
	live_rooms(&s->live, &rooms);
	if (!rooms.err)
		siopast_add(&p->siopast, s->pid, who, rooms.data, rooms.len,
		    p->conns.now_s);
	buf_fini(&rooms);
}

void
socketio_over(struct socketio *s)
{
	if (s->live.over == LIVE_OVER_MAX && !is_over(s))
		host_close(&s->live, 1008, "too many messages");
}

void
socketio_refused(struct socketio *s, const char *message)
{
	back_free(s);
	sio_refused(&s->sio, 0, message);
}

/* --- what the application wants done --- */

static struct push *
host_push(const struct live *v)
{
	return push_of_session(socketio_of(v));
}

static void
host_send(struct live *v, struct frame *f)
{
	struct socketio *s = socketio_of(v);

	if (s->leaves)
		return;
	if (s->back == NULL)
		eio_send(&s->sio.eio, f);
	else if (back_add(s->back, f) == -1)
		eio_end(&s->sio.eio, 1011, "memory");
}

static int
host_outlet(const struct live *v)
{
	const struct socketio *s = socketio_of(v);

	if (s->back != NULL || s->leaves || s->sio.eio.c == NULL)
		return -1;
	return s->sio.eio.c->fd;
}

/* Who is sent away comes back by itself only where no DISCONNECT was said. */
static void
host_close(struct live *v, int code, const char *reason)
{
	struct socketio *s = socketio_of(v);

	if (code == 1008) {
		s->bye = 1;
		sio_disconnect(&s->sio, code, reason);
	} else {
		eio_end(&s->sio.eio, code, reason);
	}
}

static void
host_hear(struct live *v, int yes)
{
	eio_hear(&socketio_of(v)->sio.eio, yes);
}

static void
host_in(struct live *v)
{
	eio_due(&socketio_of(v)->sio.eio, -1);
}

static void
host_answered(struct live *v)
{
	eio_soon(&socketio_of(v)->sio.eio);
}

static int
host_is_full(const struct live *v)
{
	struct socketio *s = socketio_of(v);

	if (s->back == NULL)
		return eio_full(&s->sio.eio);
	return s->back->bytes >
	       (size_t)push_of_session(s)->cf.queue_bytes_max / FULL;
}

static const char *
host_addr(const struct live *v)
{
	return eio_addr(&socketio_of(v)->sio.eio);
}

static uint32_t
host_active_s(const struct live *v)
{
	return socketio_of(v)->active_s;
}

static const struct live_host live_host = {
	.words = &words_sio,
	.push = host_push,
	.send = host_send,
	.outlet = host_outlet,
	.close = host_close,
	.hear = host_hear,
	.in = host_in,
	.answered = host_answered,
	.is_full = host_is_full,
	.addr = host_addr,
	.active_s = host_active_s,
};

/* --- a session's life --- */

static void
begin(struct socketio *s)
{
	memset(&s->live, 0, sizeof(s->live));
	live_init(&s->live, &live_host, s->sio.eio.unlimited);
	s->live.keeps = s->sio.eio.eio == 4;
	eio_sid(s->pid);
}

/* Nobody again, but for what it has used up. */
static void
begin_again(struct socketio *s)
{
	uint32_t credit_s = s->live.credit_s;
	uint32_t credit = s->live.credit, over = s->live.over;

	s->leaves = 0;
	live_fini(&s->live);
	begin(s);
	s->live.credit_s = credit_s;
	s->live.credit = credit & 0x7f;
	s->live.over = over & 0x3ff;
}

static void
on_who(struct eio *e, struct ident *id, int direct)
{
	struct socketio *s = (struct socketio *)e;

	begin(s);
	s->bad = direct && id == NULL;
	s->named = id != NULL && live_cookie(&s->live, id) == 0;
}

/* CONNECT without anybody: it has to say who it is, and soon. */
static void
connect_nobody(struct socketio *s)
{
	back_free(s);
	say_connected(s);
	eio_due(&s->sio.eio, push_of_session(s)->cf.login_wait_s * 1000);
}

static void
on_connect(struct sio *x, unsigned nsp, struct json_object *auth)
{
	static const char *const keys[] = { "token", "sessionId", "session" };
	const struct about a = { .tag = SOCKETIO_CONNECT };
	struct socketio *s = (struct socketio *)x;
	const char *text = "", *pid;
	size_t len = 0, n, i;

	(void)nsp;
	s->active_s = x->eio.all->conns->now_s;
	if (s->leaves)
		begin_again(s);
	s->bye = 0;
	/* Who it is costs more to find out than to ask. */
	if (s->tries++ >= TRIES_MAX || !live_may(&s->live, &a)) {
		host_close(&s->live, 1008, "too many attempts");
		return;
	}
	s->back = calloc(1, sizeof(*s->back));
	if (s->back == NULL) {
		eio_end(&x->eio, 1011, "memory");
		return;
	}
	buf_init(&s->back->rooms, SIZE_MAX);
	if (auth != NULL) {
		words_sio_auth(&s->live, auth);
		if (json_get_str(auth, "pid", &pid, &n) == 1 &&
		    n == SIOPAST_PID) {
			memcpy(s->back->pid, pid, n);
			s->back->has_pid = 1;
		}
		for (i = 0; i < 3 && len == 0; i++)
			json_get_str(auth, keys[i], &text, &len);
	}
	if (len > 0 || s->named)
		live_auth(&s->live, SOCKETIO_CONNECT, text, len);
	else if (s->bad)
		socketio_refused(s, "Authentication failed");
	else
		connect_nobody(s);
}

static void
on_event(struct sio *x, const struct sio_got *got)
{
	struct socketio *s = (struct socketio *)x;

	s->active_s = x->eio.all->conns->now_s;
	words_sio_event(x, got);
	if (!is_over(s))
		live_rest(&s->live);
}

/* It left the namespace: nobody again, when all it asked for is done. */
static void
on_disconnect(struct sio *x, unsigned nsp)
{
	struct socketio *s = (struct socketio *)x;

	(void)nsp;
	s->bye = 1;
	s->bad = s->named = 0;
	if (live_open(&s->live) > 0)
		s->leaves = 1;
	else
		begin_again(s);
}

static void
on_late(struct sio *x)
{
	struct socketio *s = (struct socketio *)x;

	if (s->live.state == LIVE_ASKING)
		eio_due(&x->eio, 1000);
	else if (s->live.state == LIVE_NOBODY)
		host_close(&s->live, 1008, "no authentication");
}

/* There is room; or something was done, and perhaps nothing is left to do. */
static void
on_drained(struct eio *e)
{
	struct socketio *s = (struct socketio *)e;

	maybe_start(s);
	if (is_over(s))
		return;
	live_go(&s->live);
	if (is_over(s))
		return;
	if (s->leaves && live_open(&s->live) == 0)
		begin_again(s);
	live_rest(&s->live);
}

static void
on_settle(struct eio *e)
{
	struct socketio *s = (struct socketio *)e;

	if (s->back != NULL)
		return;
	live_settle(&s->live);
	live_rest(&s->live);
}

static int
is_busy(const struct eio *e)
{
	return live_open(&((const struct socketio *)e)->live) > 0;
}

static void
on_closed(struct sio *x)
{
	struct socketio *s = (struct socketio *)x;

	if (s->live.host == NULL)
		return;
	remember(s);
	back_free(s);
	live_fini(&s->live);
}

/* --- from one pushd to the next --- */

static int
on_carry(const struct eio *e, struct buf *b)
{
	const struct socketio *s = (const struct socketio *)e;

	/* What is in the middle of something ends here. */
	if (s->back != NULL || s->sio.in != NULL || s->sio.asks != 0 ||
	    s->leaves || s->live.host == NULL)
		return -1;
	carry_num(b, s->sio.joined);
	carry_bytes(b, s->pid, sizeof(s->pid));
	carry_num(b, s->active_s);
	carry_num(b, s->bad);
	carry_num(b, s->named);
	carry_num(b, s->bye);
	carry_num(b, s->lost);
	return live_carry(&s->live, b);
}

static int
on_adopt(struct eio *e, struct carry_in *in)
{
	struct socketio *s = (struct socketio *)e;
	const char *pid;
	size_t len;

	begin(s);
	s->sio.joined = (uint8_t)carry_get_num(in, 1);
	pid = carry_get_bytes(in, &len, sizeof(s->pid));
	if (len != sizeof(s->pid))
		return -1;
	memcpy(s->pid, pid, len);
	s->active_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	s->bad = (uint8_t)carry_get_num(in, 1);
	s->named = (uint8_t)carry_get_num(in, 1);
	s->bye = (uint8_t)carry_get_num(in, 1);
	s->lost = (uint8_t)carry_get_num(in, 1);
	return live_adopt(&s->live, in);
}

static const char *const namespaces[] = { "/", NULL };

static const char *
stage(const struct eio *e)
{
	return live_stage(&((const struct socketio *)e)->live);
}

static const struct sio_app app = {
	.eio = { .size = sizeof(struct socketio),
	    .ask = 1,
	    .who = on_who,
	    .open = sio_open,
	    .message = sio_message,
	    .drained = on_drained,
	    .due = sio_due,
	    .settle = on_settle,
	    .busy = is_busy,
	    .closed = sio_closed,
	    .carry = on_carry,
	    .stage = stage,
	    .adopt = on_adopt },
	.namespaces = namespaces,
	.connect = on_connect,
	.event = on_event,
	.disconnect = on_disconnect,
	.late = on_late,
	.closed = on_closed,
};

static void
transport_open(struct conn *c, const struct request *rq)
{
	eio_open(&push_of(c)->eios, c, rq, &app.eio);
}

int
socketio_adopt(struct push *p, struct carry_in *in)
{
	return eios_adopt(&p->eios, &app.eio, in);
}
