/*
 * live.c: the application of one socket client: its life, the events it gets,
 * what it missed.
 *
 * Events come as they are to a client that asked for all, else in its
 * dialect's names and, of what is said in conversations, only from those that
 * it joined.
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "limits.h"
#include "live_work.h"
#include "log.h"

enum { COMMANDS_PER_MESSAGE = 2, COMMANDS_BURST = 100 };

/* --- its life --- */

void
live_init(struct live *v, const struct live_host *host, int unlimited)
{
	v->host = host;
	v->credit = COMMANDS_BURST;
	v->cursor = PUSH_NOW;
	v->unlimited = unlimited != 0;
}

struct push *
live_push(const struct live *v)
{
	return v->host->push(v);
}

struct live_work *
live_work(struct live *v)
{
	struct push *p = live_push(v);
	struct live_work *w = v->work;

	if (w != NULL)
		return w;
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		live_close(v, 1011, "memory");
		return NULL;
	}
	live_attend(v);
	w->outbox.backend = p->backend;
	w->outbox.hub = &p->hub;
	w->outbox.ops = &live_outbox_ops;
	w->outbox.arg = v;
	v->work = w;
	return w;
}

void
live_rest(struct live *v)
{
	struct live_work *w = v->work;

	if (w == NULL)
		return;
	live_typed_old(v);
	if (w->outbox.items != NULL || w->cookie != NULL || w->wait != NULL ||
	    w->replay != NULL || w->rooms != NULL || w->joins != NULL ||
	    w->typed != NULL || w->gone != NULL)
		return;
	free(w);
	v->work = NULL;
}

void
live_fini(struct live *v)
{
	struct push *p = live_push(v);
	struct live_work *w = v->work;

	if (w != NULL) {
		if (w->gone != NULL)
			*w->gone = 1;
		live_typed_fini(v);
		ident_cancel(&p->idents, w->wait);
		replay_stop(w->replay);
		live_rooms_fini(v);
		outbox_fini(&w->outbox);
		if (w->cookie != NULL)
			ident_drop(&p->idents, w->cookie);
		free(w);
		v->work = NULL;
	}
	hub_leave_all(&p->hub, &v->sub);
	ident_unuse(&p->idents, &v->use);
}

void
live_close(struct live *v, int code, const char *reason)
{
	v->host->close(v, code, reason);
}

const char *
live_stage(const struct live *v)
{
	if (v->state != LIVE_IN)
		return v->state == LIVE_NOBODY ? "nobody" : "asking";
	return v->sub.live ? "live" : "replaying";
}

unsigned
live_open(const struct live *v)
{
	return v->work == NULL ? 0 : v->work->outbox.open + v->work->njoining;
}

void
live_frame(struct live *v, struct frame *f, int64_t id)
{
	if (f != NULL)
		v->host->send(v, f);
	frame_unref(f);
	live_attend(v);
	if (id > v->sent_id)
		v->sent_id = id;
}

void
live_error(struct live *v, const struct about *a, const char *code,
    const char *message, int retry_s)
{
	v->host->words->error(v, a, code, message, retry_s);
}

/* Commands it may give: so many a second, and some at once. */
int
live_may(struct live *v, const struct about *a)
{
	const struct push *p = live_push(v);
	uint32_t now = p->conns.now_s, gain;

	if (v->unlimited)
		return 1;
	gain = (now - v->credit_s) * (uint32_t)p->cf.user_message_rate_max *
	       COMMANDS_PER_MESSAGE;
	if (v->credit_s != now)
		v->over = 0;
	v->credit_s = now;
	gain += v->credit;
	v->credit = (gain > COMMANDS_BURST ? COMMANDS_BURST : gain) & 0x7f;
	if (v->credit == 0) {
		if (v->over < LIVE_OVER_MAX)
			v->over++;
		live_error(v, a, "rate_limited", "Too many messages", 1);
		return 0;
	}
	v->credit--;
	return 1;
}

int
live_is_in(struct live *v, const struct about *a)
{
	if (v->state == LIVE_IN)
		return 1;
	live_error(v, a, "unauthenticated", "Authentication required", 0);
	return 0;
}

int
live_ready(struct live *v, const struct about *a)
{
	if (!live_is_in(v, a))
		return 0;
	if (live_open(v) >= live_push(v)->cf.socket_acks_max) {
		live_error(v, a, "rate_limited",
		    "Wait for the answers that are due", 1);
		return 0;
	}
	return live_work(v) != NULL;
}

/* --- events --- */

size_t
live_room_name(char out[LIVE_ROOM_MAX], const char *id)
{
	return (size_t)snprintf(out, LIVE_ROOM_MAX, "conversation:%s", id);
}

/* Whether the client joined a conversation of this event. */
static int
in_joined(const struct live *v, const struct event *e)
{
	struct hub_link *l;
	size_t i;

	if (v->work == NULL || v->work->rooms == NULL)
		return 0;
	for (i = 0; i < e->nrooms; i++) {
		if (strncmp(e->rooms[i], "conversation:", 13) != 0)
			continue;
		l = hub_link_find(&v->sub, e->rooms[i], strlen(e->rooms[i]));
		if (l != NULL &&
		    (l->flags & (LIVE_JOINED | LIVE_PENDING)) == LIVE_JOINED)
			return 1;
	}
	return 0;
}

static int
is_text(struct json_object *o, const char *key, const char *text)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 && len == strlen(text) &&
	       memcmp(p, text, len) == 0;
}

struct outbox_item *
live_own(struct live *v, const struct event *e)
{
	if (v->work == NULL)
		return NULL;
	return outbox_own(&v->work->outbox, e, v->use.ident->person->id,
	    v->sub.form == HUB_CUSTOMER ? "customer" : "agent");
}

/* A presence of the client's own is no news to it. */
static int
own_presence(const struct live *v, const struct event *e)
{
	char text[200];
	int n;

	if (v->sub.form != HUB_AGENT)
		return 0;
	n = snprintf(
	    text, sizeof(text), "\"user_id\":\"%s\"", v->use.ident->person->id);
	return n > 0 && memmem(e->data, e->data_len, text, (size_t)n) != NULL;
}

/*
 * Members of a group have changed: who is no longer one leaves its room, in
 * the order of the log.  1 if that is this client.
 */
static int
taken_out(struct live *v, const struct event *e)
{
	struct json_object *o = NULL, *list = NULL, *item;
	char room[LIVE_ROOM_MAX];
	const char *why, *id;
	size_t len, i;
	int in = 1;

	if (v->work == NULL || v->work->nrooms == 0 ||
	    v->sub.form == HUB_CUSTOMER ||
	    json_parse(e->data, e->data_len, JSON_DEPTH_MAX, 1000000,
		EVENT_LINE_MAX, &o, &why) == -1)
		return 0;
	if (json_get_str(o, "id", &id, &len) == 1 && len < OUTBOX_ID_MAX &&
	    !is_text(o, "type", "customer") &&
	    json_get_arr(o, "participants", &list) == 1) {
		in = 0;
		for (i = 0; !in && i < json_object_array_length(list); i++) {
			item = json_object_array_get_idx(list, i);
			in = is_text(item, "id", v->use.ident->person->id);
		}
		if (!in)
			hub_leave(&live_push(v)->hub, &v->sub, room,
			    live_room_name(room, id),
			    LIVE_JOINED | LIVE_PENDING);
	}
	json_object_put(o);
	return !in;
}

int
live_member(const struct live *v, const struct event *e)
{
	size_t i;

	if (!v->host->words->members || v->sub.form != HUB_AGENT)
		return 0;
	for (i = 0; i < e->nrooms; i++)
		if (strncmp(e->rooms[i], "user:", 5) == 0 &&
		    strcmp(e->rooms[i] + 5, v->use.ident->person->id) == 0)
			return 1;
	return 0;
}

/* Whether the event goes to this client at all, in whatever shape. */
static int
shows(struct live *v, struct hub_event *he)
{
	struct outbox_item *m = live_own(v, he->e);
	int own = m != NULL, heard = own && m->heard;
	unsigned about = dialect_about(he);

	if (own)
		outbox_seen(&v->work->outbox, m, he);
	if (v->all)
		return 1;
	if (own)
		return heard; /* else the answer to it stands for it */
	if ((about & SHAPE_MEMBERS) && taken_out(v, he->e))
		return 0;
	if (about & SHAPE_TALK)
		return v->sub.form == HUB_CUSTOMER || in_joined(v, he->e) ||
		       live_member(v, he->e);
	return !(about & SHAPE_PRESENCE) || !own_presence(v, he->e);
}

/* Whether a join has, or will have, something to give that was missed. */
static int
joins_owe(const struct live *v)
{
	const struct live_join *j = v->work ? v->work->joins : NULL;

	while (j != NULL && j->cursor == PUSH_NOW)
		j = j->next;
	return j != NULL;
}

int
live_owes(const struct live *v)
{
	if (v->all || v->sub.form != HUB_AGENT || v->work == NULL)
		return 0;
	return joins_owe(v) ||
	       (!v->whole && v->work->replay != NULL && !v->caught_up);
}

int64_t
live_cursor(const struct live *v)
{
	/* Joins go on as they began, though it wants all events by now. */
	return v->sub.live && !joins_owe(v) ? v->sub.cursor : -1;
}

void
live_give(struct live *v, struct hub_event *he)
{
	const struct live_words *words = v->host->words;
	enum dialect d = v->all ? words->all : words->dialect;
	struct frame *f;

	/*
	 * What was missed in a conversation is older than what came, and
	 * comes, from elsewhere.  An id now would let a client that breaks
	 * off resume behind what a join still owes it.
	 */
	if (he->e->id > 0 && live_owes(v)) {
		d = words->bare;
		v->bare = 1;
	} else if (he->e->id > v->sent_id) {
		v->sent_id = he->e->id;
	}
	f = dialect_frame(he, d, v->sub.form);
	if (f != NULL)
		v->host->send(v, f);
}

/* Who gets every event, and does nothing else, needs no looking at it. */
static void
let_pass(struct live *v)
{
	const struct live_words *words = v->host->words;
	int fd;

	if (v->work != NULL || v->sent_id != v->sub.cursor ||
	    (!v->all && v->sub.form != HUB_CUSTOMER) ||
	    (fd = v->host->outlet(v)) == -1)
		return;
	v->sub.outlet = (uint32_t)fd;
	v->sub.dialect = (uint8_t)(v->all ? words->all : words->dialect);
	v->sub.event = push_event;
}

static void
on_event(struct hub *h, struct hub_sub *sub, struct hub_event *he)
{
	struct live *v = (struct live *)sub;

	(void)h;
	if (shows(v, he))
		live_give(v, he);
	let_pass(v);
}

void
live_attend(struct live *v)
{
	if (v->sub.event != push_event)
		return;
	/* All that it got since was sent. */
	if (v->sub.cursor > v->sent_id)
		v->sent_id = v->sub.cursor;
	v->sub.event = on_event;
}

/* --- catching up --- */

/* Before the first that it missed: that nothing is missing. */
static void
tell(struct live *v, int good, int64_t cursor)
{
	if (v->told)
		return;
	v->told = 1;
	v->host->words->resumed(v, good, cursor);
}

static int
on_missed(void *arg, struct hub_event *he)
{
	struct live *v = arg;

	tell(v, 1, -1);
	if (shows(v, he))
		live_give(v, he);
	return v->host->is_full(v);
}

void
live_say_reset(struct live *v)
{
	push_reset_count(live_push(v), v->cursor);
	log_info("websocket reset cursor=%lld", (long long)v->cursor);
	v->host->words->reset(v);
}

static void
on_caught_up(void *arg, enum replay_end how, int64_t cursor)
{
	struct live *v = arg;

	v->work->replay = NULL;
	if (how == REPLAY_FAILED) {
		live_close(v, 1011, "try again retry=2000");
		return;
	}
	tell(v, how != REPLAY_RESET, cursor);
	if (how == REPLAY_RESET) {
		live_say_reset(v);
		v->cursor = PUSH_NOW;
	}
	v->sub.cursor = cursor;
	v->sub.live = 1;
	v->caught_up = 1;
	/* Ids left out follow with the next event, after joins, or a tick. */
	if (v->sent_id < cursor && !v->bare)
		v->sent_id = cursor;
	live_go(v);
}

static const struct replay_ops replay_ops = { on_missed, on_caught_up };

/* Have what it missed ready, for live_go.  -1: no memory. */
static int
live_replay(struct live *v, int64_t cursor)
{
	v->work->replay = replay_new(&live_push(v)->replays, &v->sub,
	    v->use.ident->ref, NULL, cursor, &replay_ops, v);
	return v->work->replay == NULL ? -1 : 0;
}

void
live_catch_up(struct live *v, int64_t cursor)
{
	if (live_work(v) == NULL)
		return;
	live_attend(v);
	v->sub.event = on_event;
	if (live_replay(v, cursor) == -1)
		live_close(v, 1011, "memory");
	else
		live_go(v);
}

void
live_start(struct live *v, int whole)
{
	v->waits = 0;
	v->whole = whole != 0;
	live_catch_up(v, v->cursor);
}

void
live_go(struct live *v)
{
	struct live_work *w = v->work;
	int gone = 0, *outer;

	if (w == NULL)
		return;
	outer = w->gone;
	w->gone = &gone;
	if (v->adopted) {
		v->adopted = 0;
		live_joins_ask(v);
		if (!gone)
			outbox_go(&w->outbox);
		/* It may wait for just these to be refused. */
		if (!gone && live_open(v) == 0)
			v->host->answered(v);
	}
	if (!gone && w->replay != NULL)
		replay_go(w->replay);
	if (!gone && v->sub.live)
		live_joins_go(v);
	if (gone) {
		if (outer != NULL)
			*outer = 1;
		return;
	}
	w->gone = outer;
	live_rest(v);
}

void
live_settle(struct live *v)
{
	struct hub *h = &live_push(v)->hub;

	live_attend(v);
	if (v->work != NULL)
		outbox_forget(&v->work->outbox);
	/* Only to who showed that it keeps a cursor. */
	if (!v->sub.live || v->sub.held || v->sent_id >= h->head ||
	    (v->work != NULL && v->work->joins != NULL) ||
	    (!v->all && !v->keeps && v->cursor == PUSH_NOW))
		return;
	v->bare = 0;
	v->host->words->tick(v, h->head);
}

/* --- from one pushd to the next --- */

int
live_carry(const struct live *v, struct buf *b)
{
	const struct live_work *w = v->work;

	/* Who is being asked about is answered here. */
	if (v->state == LIVE_ASKING ||
	    (w != NULL && (w->wait != NULL || w->cookie != NULL)))
		return -1;
	carry_text(b, v->state == LIVE_IN ? v->use.ident->ref : NULL);
	carry_int(b, v->cursor);
	carry_int(b, v->sub.event == push_event && v->sub.cursor > v->sent_id
			 ? v->sub.cursor
			 : v->sent_id);
	carry_num(b, v->credit_s);
	carry_num(b, v->credit);
	carry_num(b, v->all);
	carry_num(b, v->caught_up);
	carry_num(b, v->told);
	carry_num(b, v->bare);
	carry_num(b, v->keeps);
	carry_num(b, v->sub.live);
	carry_num(b, v->sub.held);
	carry_int(b, v->sub.cursor);
	if (v->state != LIVE_IN)
		return 0;
	live_rooms_carry(v, b);
	live_typed_carry(v, b);
	carry_num(b, w != NULL && w->replay != NULL);
	if (w != NULL && w->replay != NULL)
		carry_int(b, replay_cursor(w->replay));
	carry_num(b, w != NULL && w->outbox.items != NULL);
	if (w != NULL && w->outbox.items != NULL)
		outbox_carry(&w->outbox, b);
	return 0;
}

/* What is going on with who is somebody. */
static int
adopt_work(struct live *v, struct carry_in *in)
{
	if (live_rooms_adopt(v, in) == -1 || live_typed_adopt(v, in) == -1)
		return -1;
	if (carry_get_num(in, 1) &&
	    (live_work(v) == NULL ||
		live_replay(v, carry_get_int(in, PUSH_BAD, INT64_MAX)) == -1))
		return -1;
	if (carry_get_num(in, 1) &&
	    (live_work(v) == NULL || outbox_adopt(&v->work->outbox, in) == -1))
		return -1;
	v->adopted = v->work != NULL;
	return in->bad ? -1 : 0;
}

int
live_adopt(struct live *v, struct carry_in *in)
{
	const char *ref = carry_get_text(in, REF_BYTES_MAX);
	struct ident *id = ref ? ident_of(&live_push(v)->idents, ref) : NULL;
	int held;

	v->cursor = carry_get_int(in, PUSH_BAD, INT64_MAX);
	v->sent_id = carry_get_int(in, 0, INT64_MAX);
	v->credit_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	v->credit = carry_get_num(in, COMMANDS_BURST) & 0x7f;
	v->all = carry_get_num(in, 1) & 1;
	v->caught_up = carry_get_num(in, 1) & 1;
	v->told = carry_get_num(in, 1) & 1;
	v->bare = carry_get_num(in, 1) & 1;
	v->keeps = carry_get_num(in, 1) & 1;
	v->sub.live = (uint8_t)carry_get_num(in, 1);
	held = (int)carry_get_num(in, 1);
	v->sub.cursor = carry_get_int(in, PUSH_BAD, INT64_MAX);
	if (in->bad || (ref != NULL && id == NULL))
		return -1;
	if (id == NULL)
		return 0;
	v->sub.event = on_event;
	if (live_become(v, id, 1) == -1)
		return -1;
	v->sub.held = (uint8_t)held;
	return adopt_work(v, in);
}
