/*
 * live_room.c: conversations that a socket client joins and leaves.
 *
 * api.fcgi says whether it may; then it gets what it missed there, and what
 * is said from then on.
 */
#include <stdlib.h>
#include <string.h>

#include "id.h"
#include "json.h"
#include "limits.h"
#include "live_work.h"

/* Asked for while the same join was on its way: answered with it. */
struct live_also {
	struct live_also *next;
	int64_t tag;
};

static struct live_room *
room_find(const struct live *v, const char *id)
{
	struct live_room *r = v->work == NULL ? NULL : v->work->rooms;

	while (r != NULL && strcmp(r->id, id) != 0)
		r = r->next;
	return r;
}

/* The conversation that the client calls ${name}: 1, or -1 there is none. */
static int
conversation_of(const struct live *v, const char *name, char *id)
{
	struct live_room *r = v->work == NULL ? NULL : v->work->rooms;

	for (; r != NULL; r = r->next)
		if (strcmp(r->id, name) == 0 ||
		    (r->alias != NULL && strcmp(r->alias, name) == 0)) {
			memcpy(id, r->id, sizeof(r->id));
			return 1;
		}
	if (id_parse(name, strlen(name)) <= 0)
		return -1;
	memcpy(id, name, strlen(name) + 1);
	return 1;
}

/* The only conversation there is: 1, or 0. */
static int
only_conversation(const struct live *v, char *id)
{
	const struct person *who = v->use.ident->person;
	const struct live_work *w = v->work;
	const char *only;

	if (w != NULL && w->nrooms == 1)
		only = w->rooms->id;
	else if (w != NULL && w->nrooms > 0)
		return 0;
	else if (w != NULL && w->joins != NULL && w->joins->next == NULL &&
		 id_parse(w->joins->about.name, strlen(w->joins->about.name)) >
		     0)
		only = w->joins->about.name; /* about to be it */
	else if (who->nconversations == 1 &&
		 strlen(who->conversations) < OUTBOX_ID_MAX)
		only = who->conversations;
	else
		return 0;
	memcpy(id, only, strlen(only) + 1);
	return 1;
}

int
live_named(
    struct live *v, const struct about *a, int only, char id[OUTBOX_ID_MAX])
{
	int rc = a->has_name;

	if (rc == 1)
		rc = conversation_of(v, a->name, id);
	else if (rc == 0 && only)
		rc = only_conversation(v, id);
	if (rc == 1)
		return 1;
	if (rc == 0)
		live_error(v, a, "bad_request", "Name the conversation", 0);
	else
		live_error(
		    v, a, "not_found", "There is no such conversation", 0);
	return 0;
}

/* --- a join --- */

/* The next that waits for the answer of ${j}: 1 and its tag, or 0. */
static int
also_next(struct live_join *j, int64_t *tag)
{
	struct live_also *also = j->also;

	if (also == NULL)
		return 0;
	j->also = also->next;
	*tag = also->tag;
	free(also);
	j->v->work->njoining--;
	return 1;
}

/* Whether it has no answer yet. */
static int
is_open(const struct live_join *j)
{
	return j->call != NULL || j->asks;
}

static void
join_free(struct live_join *j)
{
	struct live_join **at;
	int64_t tag;

	backend_cancel(j->call);
	if (is_open(j))
		j->v->work->njoining--;
	replay_stop(j->replay);
	for (at = &j->v->work->joins; *at != j; at = &(*at)->next)
		;
	*at = j->next;
	while (also_next(j, &tag))
		;
	free(j);
}

/* All that joins owed has been given: the id that was left out. */
static void
settle(struct live *v)
{
	struct hub *h = &live_push(v)->hub;

	if (!v->bare || !v->sub.live || v->sub.held || live_owes(v))
		return;
	v->bare = 0;
	v->host->words->tick(v, h->head);
}

static void
join_failed(
    struct live_join *j, const char *code, const char *message, int retry_s)
{
	struct live *v = j->v;
	struct about a = j->about;

	do
		live_error(v, &a, code, message, retry_s);
	while (also_next(j, &a.tag));
	join_free(j);
	settle(v);
	v->host->answered(v);
}

static int
on_join_missed(void *arg, struct hub_event *he)
{
	struct live_join *j = arg;
	struct live *v = j->v;
	struct outbox_item *m;

	/* The rest came, or comes, through the identity's own rooms. */
	if ((dialect_about(he) & SHAPE_TALK) && !live_member(v, he->e) &&
	    ((m = live_own(v, he->e)) == NULL || m->heard))
		live_give(v, he);
	return v->host->is_full(v);
}

static void
on_join_caught_up(void *arg, enum replay_end how, int64_t cursor)
{
	struct live_join *j = arg;
	struct live *v = j->v;
	char room[LIVE_ROOM_MAX];
	struct hub_link *l;
	size_t n = live_room_name(room, j->id);

	(void)cursor;
	j->replay = NULL;
	l = hub_link_find(&v->sub, room, n);
	if (l != NULL)
		l->flags &= (uint16_t)~LIVE_PENDING;
	if (how == REPLAY_RESET)
		live_say_reset(v);
	join_free(j);
	if (how == REPLAY_FAILED)
		live_close(v, 1011, "try again retry=2000");
	else
		settle(v);
}

static const struct replay_ops join_ops = { on_join_missed, on_join_caught_up };

/* Whether what is said in the conversation waits for the join's end. */
static int
is_pending(const struct live *v, const char *id)
{
	char room[LIVE_ROOM_MAX];
	size_t n = live_room_name(room, id);
	const struct hub_link *l = hub_link_find(&v->sub, room, n);

	return !v->all && v->sub.form == HUB_AGENT && l != NULL &&
	       (l->flags & LIVE_PENDING);
}

/* Let in: what was missed in the conversation since the client's cursor. */
static void
join_missed(struct live_join *j)
{
	struct live *v = j->v;
	struct hub *h = &live_push(v)->hub;
	char room[LIVE_ROOM_MAX];

	/* After what it missed elsewhere; what comes till then is missed. */
	if (!v->sub.live || v->sub.held) {
		if (j->cursor == PUSH_NOW && h->ready && is_pending(v, j->id))
			j->cursor = h->head;
		return;
	}
	if (j->cursor == PUSH_NOW) {
		on_join_caught_up(j, REPLAY_LIVE, 0);
		return;
	}
	(void)live_room_name(room, j->id);
	j->replay = replay_new(&live_push(v)->replays, &v->sub,
	    v->use.ident->ref, room, j->cursor, &join_ops, j);
	if (j->replay == NULL)
		live_close(v, 1011, "memory");
	else
		replay_go(j->replay);
}

void
live_joins_void(struct live *v)
{
	struct live_join *j;

	for (j = v->work->joins; j != NULL; j = j->next)
		replay_void(j->replay);
}

void
live_joins_go(struct live *v)
{
	struct live_work *w = v->work;
	int gone = 0, *outer = w->gone;
	struct live_join *j, *next;

	w->gone = &gone;
	for (j = w->joins; j != NULL && !gone; j = next) {
		next = j->next;
		if (j->replay != NULL)
			replay_go(j->replay); /* was held, or full */
		else if (j->call == NULL)
			join_missed(j);
	}
	if (!gone)
		w->gone = outer;
	else if (outer != NULL)
		*outer = 1;
}

static int
room_add(struct live *v, const char *id, const char *alias)
{
	struct live_room *r = room_find(v, id);
	struct live_work *w = v->work;
	char room[LIVE_ROOM_MAX];
	size_t n = live_room_name(room, id);
	const struct hub_link *l = hub_link_find(&v->sub, room, n);
	unsigned flags = LIVE_JOINED;

	if (!v->waits && (l == NULL || !(l->flags & LIVE_JOINED)))
		flags |= LIVE_PENDING;
	if (r == NULL) {
		r = calloc(1, sizeof(*r));
		if (r == NULL)
			return -1;
		memcpy(r->id, id, strlen(id) + 1);
		r->next = w->rooms;
		w->rooms = r;
		w->nrooms++;
	}
	if (r->alias == NULL && strcmp(alias, id) != 0)
		r->alias = strdup(alias);
	return hub_join(&live_push(v)->hub, &v->sub, room, n, flags);
}

static void on_join(void *arg, const struct backend_answer *a);

/* Ask whether it may join the conversation. */
static void
join_ask(struct live_join *j)
{
	struct live *v = j->v;
	struct json_object *ask = json_object_new_object();
	struct buf b;

	buf_init(&b, 4096);
	json_put_str(ask, "ref", v->use.ident->ref);
	json_put_str(ask, "conversation", j->id);
	json_write(ask, &b);
	json_object_put(ask);
	j->call = backend_call(live_push(v)->backend, BACKEND_SEND, "POST",
	    "/internal/join", NULL, NULL, b.data, b.len, on_join, j);
	buf_fini(&b);
	if (!j->asks)
		v->work->njoining++;
	j->asks = 0;
	if (j->call == NULL)
		on_join(j, &(struct backend_answer){ .why = "busy" });
}

/* What api.fcgi says: ${id}, ${alias}, ${seen}; -1 if it says no. */
static int
join_read(const struct backend_answer *a, char *id, char *alias, int64_t *seen)
{
	struct json_object *o = NULL;
	const char *why, *p;
	size_t len;
	int rc = -1;

	if (a->status != 200 || json_parse(a->body, a->body_len, JSON_DEPTH_MAX,
				    1000, 65536, &o, &why) == -1)
		return -1;
	if (json_get_str(o, "conversation", &p, &len) == 1 && len > 0 &&
	    len < OUTBOX_ID_MAX) {
		memcpy(id, p, len + 1);
		rc = 0;
	}
	if (json_get_str(o, "line_user_id", &p, &len) == 1 &&
	    len < OUTBOX_ID_MAX)
		memcpy(alias, p, len + 1);
	json_get_int(o, "cursor", seen);
	json_object_put(o);
	return rc;
}

static void
say_joined(struct live_join *j, const char *alias)
{
	struct live *v = j->v;
	struct about a = j->about;
	const char *line = a.by_line ? a.name : alias[0] ? alias : j->id;

	do
		v->host->words->joined(v, &a, j->id, line);
	while (also_next(j, &a.tag));
	j->about.tag = -1; /* what is left of it is answered to nobody */
}

static void
on_join(void *arg, const struct backend_answer *a)
{
	struct live_join *j = arg;
	struct live *v = j->v;
	struct live_work *w = v->work;
	int gone = 0, *outer = w->gone;
	char alias[OUTBOX_ID_MAX] = "";
	int64_t seen = 0;

	j->call = NULL;
	v->work->njoining--;
	if (join_read(a, j->id, alias, &seen) == -1) {
		if (a->status == 401 || a->status == 403 || a->status == 404)
			join_failed(
			    j, "not_found", "There is no such conversation", 0);
		else
			join_failed(j, "busy", "Try again in a moment", 2);
		return;
	}
	/* Access that was taken meanwhile: the answer did not know of it. */
	if (seen < live_push(v)->idents.control_id) {
		join_ask(j);
		return;
	}
	if (room_add(v, j->id, alias[0] ? alias : j->about.name) == -1) {
		live_close(v, 1011, "memory");
		return;
	}
	say_joined(j, alias);
	w->gone = &gone;
	join_missed(j);
	if (gone) {
		if (outer != NULL)
			*outer = 1;
		return;
	}
	w->gone = outer;
	v->host->answered(v);
}

/* The same again, while it is on its way: only who waits is answered. */
static void
join_also(struct live_join *j, const struct about *a)
{
	struct live_also *also;

	if (a->tag == -1)
		return;
	if (!is_open(j)) {
		j->v->host->words->joined(j->v, a, j->id, a->name);
		return;
	}
	also = calloc(1, sizeof(*also));
	if (also == NULL) {
		live_close(j->v, 1011, "memory");
		return;
	}
	also->tag = a->tag;
	also->next = j->also;
	j->also = also;
	j->v->work->njoining++;
}

void
live_join(struct live *v, const struct about *a, int64_t cursor)
{
	struct live_join *j;
	char id[OUTBOX_ID_MAX];

	if (!live_ready(v, a) || !live_named(v, a, 0, id))
		return;
	if (room_find(v, id) == NULL &&
	    v->work->nrooms >= live_push(v)->cf.socket_rooms_max) {
		live_error(v, a, "too_many_rooms",
		    "Leave another conversation first", 0);
		return;
	}
	for (j = v->work->joins; j != NULL; j = j->next)
		if (strcmp(j->about.name, a->name) == 0) {
			join_also(j, a);
			return;
		}
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		live_close(v, 1011, "memory");
		return;
	}
	j->v = v;
	j->next = v->work->joins;
	v->work->joins = j;
	j->about = *a;
	/*
	 * Who is in already, or gets all by itself, or with what it missed
	 * elsewhere, has missed nothing.
	 */
	if (room_find(v, id) || v->all || v->sub.form == HUB_CUSTOMER ||
	    v->waits)
		j->cursor = PUSH_NOW;
	else
		j->cursor = cursor == PUSH_NOW ? v->cursor : cursor;
	memcpy(j->id, id, strlen(id) + 1);
	join_ask(j);
}

/* --- a leave --- */

static void
joins_drop(struct live *v, const char *name, const char *id)
{
	struct live_join *j, *next;
	struct about a;

	for (j = v->work->joins; j != NULL; j = next) {
		next = j->next;
		if (strcmp(j->about.name, name) != 0 && strcmp(j->id, id) != 0)
			continue;
		a = j->about;
		if (is_open(j))
			do
				if (a.tag != -1)
					live_error(
					    v, &a, "left", "It was left", 0);
			while (also_next(j, &a.tag));
		join_free(j);
	}
	settle(v);
}

static void
room_drop(struct live *v, const char *id)
{
	struct live_room **at, *r;

	for (at = &v->work->rooms; (r = *at) != NULL; at = &r->next)
		if (strcmp(r->id, id) == 0) {
			*at = r->next;
			v->work->nrooms--;
			free(r->alias);
			free(r);
			return;
		}
}

void
live_leave(struct live *v, const struct about *a)
{
	char room[LIVE_ROOM_MAX], id[OUTBOX_ID_MAX];

	if (!live_is_in(v, a) || !live_named(v, a, 0, id))
		return;
	if (v->work != NULL) {
		live_typed_end(v, id);
		joins_drop(v, a->name, id);
		room_drop(v, id);
	}
	hub_leave(&live_push(v)->hub, &v->sub, room, live_room_name(room, id),
	    LIVE_JOINED | LIVE_PENDING);
	v->host->words->left(v, a, id);
}

void
live_rooms(const struct live *v, struct buf *b)
{
	const struct live_room *r = v->work == NULL ? NULL : v->work->rooms;

	for (; r != NULL; r = r->next)
		buf_append(b, r->id, strlen(r->id) + 1);
}

void
live_rooms_fini(struct live *v)
{
	struct live_room *r;

	while (v->work->joins != NULL)
		join_free(v->work->joins);
	while ((r = v->work->rooms) != NULL) {
		v->work->rooms = r->next;
		free(r->alias);
		free(r);
	}
}

/* --- from one pushd to the next --- */

static void
join_carry(const struct live_join *j, struct buf *b)
{
	const struct live_also *also;

	carry_num(b, is_open(j) != 0);
	carry_int(b, j->replay ? replay_cursor(j->replay) : j->cursor);
	carry_text(b, j->id);
	about_carry(&j->about, b);
	for (also = j->also; also != NULL; also = also->next) {
		carry_num(b, 1);
		carry_int(b, also->tag);
	}
	carry_num(b, 0);
}

void
live_rooms_carry(const struct live *v, struct buf *b)
{
	const struct live_room *r = v->work ? v->work->rooms : NULL;
	const struct live_join *j = v->work ? v->work->joins : NULL;
	const struct hub_link *l;
	char room[LIVE_ROOM_MAX];

	for (; r != NULL; r = r->next) {
		l = hub_link_find(&v->sub, room, live_room_name(room, r->id));
		carry_num(b, 1);
		carry_text(b, r->id);
		carry_text(b, r->alias);
		carry_num(b, l ? l->flags & (LIVE_JOINED | LIVE_PENDING) : 0);
	}
	carry_num(b, 0);
	for (; j != NULL; j = j->next) {
		carry_num(b, 1);
		join_carry(j, b);
	}
	carry_num(b, 0);
}

static int
room_adopt(struct live *v, struct carry_in *in)
{
	const char *id = carry_get_text(in, OUTBOX_ID_MAX);
	const char *alias = carry_get_text(in, OUTBOX_ID_MAX);
	unsigned flags =
	    (unsigned)carry_get_num(in, LIVE_JOINED | LIVE_PENDING);
	char room[LIVE_ROOM_MAX];

	if (in->bad || id == NULL || room_add(v, id, alias ? alias : id) == -1)
		return -1;
	flags &= LIVE_JOINED | LIVE_PENDING;
	hub_leave(&live_push(v)->hub, &v->sub, room, live_room_name(room, id),
	    (LIVE_JOINED | LIVE_PENDING) & ~flags);
	return 0;
}

static int
join_adopt(struct live *v, struct live_join **at, struct carry_in *in)
{
	struct live_join *j = calloc(1, sizeof(*j));
	struct live_also **last, *also;
	const char *id;

	if (j == NULL)
		return -1;
	j->v = v;
	*at = j;
	j->asks = (int)carry_get_num(in, 1);
	if (j->asks)
		v->work->njoining++;
	j->cursor = carry_get_int(in, PUSH_BAD, INT64_MAX);
	id = carry_get_text(in, sizeof(j->id));
	if (id == NULL)
		return -1;
	memcpy(j->id, id, strlen(id) + 1);
	about_adopt(&j->about, in);
	for (last = &j->also; carry_get_num(in, 1); last = &also->next) {
		also = *last = calloc(1, sizeof(*also));
		if (also == NULL)
			return -1;
		also->tag = carry_get_int(in, INT8_MIN, INT64_MAX);
		v->work->njoining++;
	}
	return in->bad ? -1 : 0;
}

int
live_rooms_adopt(struct live *v, struct carry_in *in)
{
	struct live_join **at;

	while (carry_get_num(in, 1))
		if (live_work(v) == NULL || room_adopt(v, in) == -1)
			return -1;
	while (carry_get_num(in, 1)) {
		if (live_work(v) == NULL)
			return -1;
		for (at = &v->work->joins; *at != NULL; at = &(*at)->next)
			;
		if (join_adopt(v, at, in) == -1)
			return -1;
	}
	return in->bad ? -1 : 0;
}

void
live_joins_ask(struct live *v)
{
	struct live_work *w = v->work;
	int gone = 0, *outer = w->gone;
	struct live_join *j, *next;

	/* Where it cannot be asked, the answer may be the client's end. */
	w->gone = &gone;
	for (j = w->joins; j != NULL && !gone; j = next) {
		next = j->next;
		if (j->asks)
			join_ask(j);
	}
	if (!gone)
		w->gone = outer;
	else if (outer != NULL)
		*outer = 1;
}
