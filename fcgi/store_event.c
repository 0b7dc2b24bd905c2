/*
 * The event log: one place that writes events, the views of it that clients
 * and pushd get, and its lives, floor and retention.
 */
#include "store_event.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "limits.h"
#include "log.h"
#include "store_conversation.h"
#include "store_db.h"
#include "token.h"

#define PURGE_BATCH 500
#define LOST_IDS 600000 /* more than a disk forgets */
#define ROOM_CONVERSATION "conversation:"

/* ---- writing ------------------------------------------------------------ */

int
store_log_load(struct store *st)
{
	static const char sql[] = "SELECT last, epoch FROM log_state";
	sqlite3_stmt *q;
	int rc;

	if (st->log_loaded)
		return 0;
	q = store_stmt(st, sql);
	if ((rc = step_row(st, q)) == 1) {
		st->last = col_int(q, 0);
		col_copy(q, 1, st->epoch, sizeof st->epoch);
	}
	stmt_end(q);
	if (rc != 1) {
		if (rc == 0)
			store_failed(st, "log_state is empty", SQLITE_CORRUPT);
		return -1;
	}
	/* A file of another boot or life says nothing: begin it anew. */
	if (st->heads != NULL && !heads_is(st->heads, st->epoch) &&
	    heads_fill(st->heads, st->last, st->epoch) == -1)
		return store_failed(st, "heads", SQLITE_FULL);
	st->log_loaded = true;
	return 0;
}

int
store_log_flush(struct store *st)
{
	static const char sql[] = "UPDATE log_state SET last = :last";
	sqlite3_stmt *q;

	if (!st->log_moved)
		return 0;
	q = store_stmt(st, sql);
	bind_int(q, ":last", st->last);
	return step_done(st, q) == 1 ? 0 : -1;
}

static int
event_insert(struct store *st, const struct event *e)
{
	static const char sql[] =
	    "INSERT INTO events (id, prev, type, data, public)"
	    " VALUES (:id, :prev, :type, :data, :public)";
	static const char room_sql[] =
	    "INSERT OR IGNORE INTO event_rooms (room, event_id)"
	    " VALUES (:room, :id)";
	sqlite3_stmt *q = store_stmt(st, sql);
	size_t i;

	bind_int(q, ":id", e->id);
	bind_int(q, ":prev", e->prev);
	bind_str(q, ":type", e->type);
	bind_strn(q, ":data", e->data, e->data_len);
	if (e->public == e->data)
		bind_str(q, ":public", "true");
	else if (e->public != NULL)
		bind_strn(q, ":public", e->public, e->public_len);
	if (step_done(st, q) != 1)
		return -1;
	for (i = 0; i < e->nrooms; i++) {
		q = store_stmt(st, room_sql);
		bind_str(q, ":room", e->rooms[i]);
		bind_int(q, ":id", e->id);
		if (step_done(st, q) != 1)
			return -1;
		if (st->heads != NULL)
			heads_raise(st->heads, e->rooms[i], e->id);
	}
	return 0;
}

/* Who must not get a logged event: a reader is not told of its own reading. */
static const char *
event_except(const char *type, struct json_object *data, char *out, size_t size)
{
	const char *id = NULL, *kind = NULL;
	size_t n;

	if (strcmp(type, "read_receipt") != 0 ||
	    json_get_str(data, "read_by", &id, &n) != 1)
		return NULL;
	if (json_get_str(data, "read_by_kind", &kind, &n) != 1)
		return NULL;
	snprintf(
	    out, size, "%s:%s", strcmp(kind, "agent") == 0 ? "user" : kind, id);
	return out;
}

/* A copy of the event in one allocation, to be sent after COMMIT. */
static int
event_queue(struct store *st, const struct event *e, const char *except)
{
	bool apart = e->public != NULL && e->public != e->data;
	size_t size = sizeof(struct store_queued), i, n;
	struct store_queued *x;
	const char **rooms;
	char *p;

	size += e->nrooms * sizeof *rooms + strlen(e->type) + 1;
	size += e->data_len + 1 + (apart ? e->public_len + 1 : 0);
	for (i = 0; i < e->nrooms; i++)
		size += strlen(e->rooms[i]) + 1;
	assert(e->data != NULL);
	if ((x = malloc(size)) == NULL)
		return store_failed(st, "event", SQLITE_NOMEM);
	memset(x, 0, sizeof *x);
	x->e = *e;
	rooms = (const char **)(x + 1);
	p = (char *)(rooms + e->nrooms);
	x->e.rooms = rooms;
	for (i = 0; i < e->nrooms; i++) {
		n = strlen(e->rooms[i]) + 1;
		rooms[i] = memcpy(p, e->rooms[i], n);
		p += n;
	}
	n = strlen(e->type) + 1;
	x->e.type = memcpy(p, e->type, n);
	p += n;
	x->e.data = memcpy(p, e->data, e->data_len);
	p += e->data_len;
	*p++ = '\0';
	if (apart) {
		x->e.public = memcpy(p, e->public, e->public_len);
		p[e->public_len] = '\0';
	} else if (e->public != NULL)
		x->e.public = x->e.data;
	if (except != NULL) {
		snprintf(x->except, sizeof x->except, "%s", except);
		x->e.except = x->except;
	}
	if (st->queue_tail != NULL)
		st->queue_tail->next = x;
	else
		st->queue = x;
	st->queue_tail = x;
	return 0;
}

int64_t
store_event_next(struct store *st)
{
	int64_t now = store_now(st);

	if (store_log_load(st) == -1)
		return -1;
	/* Asked twice before it is used, the answer is the same. */
	if (st->next <= st->last)
		st->next = now > st->last ? now : st->last + 1;
	return st->next;
}

int
store_event_add(struct store *st, const char *type, struct json_object *data,
    struct json_object *public, const char *const *rooms, size_t n, int64_t *id)
{
	struct event e = { 0 };
	struct buf d, p;
	char except[32];
	const char **names = NULL;
	int rc = STORE_FAILED;
	size_t i;

	if (st->depth == 0)
		return store_failed(st, "event alone", SQLITE_MISUSE);
	buf_init(&d, EVENT_LINE_MAX);
	buf_init(&p, EVENT_LINE_MAX);
	if ((e.id = store_event_next(st)) == -1)
		goto out;
	names = malloc((n > 0 ? n : 1) * sizeof *names);
	json_write(data, &d);
	if (public != NULL && public != EVENT_SAME)
		json_write(public, &p);
	if (names == NULL || d.err || p.err) {
		store_failed(st, "event size", SQLITE_TOOBIG);
		goto out;
	}
	for (i = 0; i < n; i++)
		names[i] = rooms[i];
	e.prev = st->last;
	e.type = type;
	e.data = d.data;
	e.data_len = d.len;
	if (public == EVENT_SAME) {
		e.public = e.data;
		e.public_len = e.data_len;
	} else if (public != NULL) {
		e.public = p.data;
		e.public_len = p.len;
	}
	e.rooms = names;
	e.nrooms = n;
	if (event_insert(st, &e) == -1 ||
	    event_queue(
		st, &e, event_except(type, data, except, sizeof except)) == -1)
		goto out;
	st->last = st->last_added = e.id;
	st->log_moved = true;
	if (id != NULL)
		*id = e.id;
	rc = STORE_DONE;
out:
	free(names);
	buf_fini(&d);
	buf_fini(&p);
	return rc;
}

int
store_event_send(struct store *st, const char *type, struct json_object *data,
    struct json_object *public, const char *const *rooms, size_t n, int64_t *id)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(
	    st, store_event_add(st, type, data, public, rooms, n, id));
}

int64_t
store_event_last(const struct store *st)
{
	return st->last_added;
}

/* ---- the state of the log ----------------------------------------------- */

int
store_log_state(struct store *st, struct log_state *s)
{
	static const char sql[] =
	    "SELECT last, floor, epoch, (SELECT min(id) FROM events)"
	    " FROM log_state";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc = step_row(st, q);

	if (rc == 1) {
		s->head = col_int(q, 0);
		s->floor = col_int(q, 1);
		col_copy(q, 2, s->epoch, sizeof s->epoch);
		s->oldest = col_int(q, 3) != 0 ? col_int(q, 3) : s->head;
		if (st->depth > 0 && st->log_loaded)
			s->head = st->last; /* written at COMMIT only */
	}
	stmt_end(q);
	return rc == 0 ? STORE_FAILED : rc;
}

int
store_log_lives(struct store *st, struct json_object **out)
{
	static const char sql[] =
	    "SELECT base, top FROM log_lives ORDER BY base";
	sqlite3_stmt *q = store_stmt(st, sql);
	struct json_object *a = json_object_new_array(), *life;
	int rc;

	while ((rc = step_row(st, q)) == 1) {
		life = json_object_new_array();
		json_object_array_add(
		    life, json_object_new_int64(col_int(q, 0)));
		json_object_array_add(
		    life, sqlite3_column_type(q, 1) == SQLITE_NULL
			      ? NULL
			      : json_object_new_int64(col_int(q, 1)));
		json_object_array_add(a, life);
	}
	stmt_end(q);
	if (rc == -1) {
		json_object_put(a);
		return STORE_FAILED;
	}
	*out = a;
	return STORE_DONE;
}

int
store_cursor(struct store *st, int64_t cursor)
{
	/* The newest life that had begun by then is the only one to ask. */
	static const char sql[] =
	    "SELECT s.floor <= :cursor AND :cursor <= coalesce(l.top, s.last)"
	    " FROM log_lives l, log_state s WHERE l.base <= :cursor + 1"
	    " ORDER BY l.base DESC LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t good = 0;
	int rc;

	if (cursor < 0 || cursor > CURSOR_MAX)
		return STORE_NONE;
	bind_int(q, ":cursor", cursor);
	rc = step_int(st, q, &good);
	if (rc == -1)
		return STORE_FAILED;
	return rc == 1 && good ? STORE_DONE : STORE_NONE;
}

/* ---- who may see what --------------------------------------------------- */

static int
rooms_teams(struct store *st, int64_t user, struct json_object *a)
{
	static const char sql[] =
	    "SELECT 'team:' || team_id FROM team_members"
	    " WHERE user_id = :user ORDER BY team_id LIMIT 190";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":user", user);
	while ((rc = step_row(st, q)) == 1)
		json_object_array_add(a, json_object_new_string(col_str(q, 0)));
	stmt_end(q);
	return rc;
}

int
store_rooms(struct store *st, const struct who *who, struct json_object **out)
{
	struct json_object *a = json_object_new_array();
	char room[EVENT_ROOM_MAX];

	json_object_array_add(a, json_object_new_string("broadcast"));
	if (who->kind == WHO_USER) {
		snprintf(room, sizeof room, "user:%lld", (long long)who->id);
		json_object_array_add(a, json_object_new_string("inbox"));
		json_object_array_add(a, json_object_new_string(room));
		if (rooms_teams(st, who->id, a) == -1) {
			json_object_put(a);
			return STORE_FAILED;
		}
	} else if (who->kind == WHO_CUSTOMER) {
		snprintf(
		    room, sizeof room, "customer:%lld", (long long)who->id);
		json_object_array_add(a, json_object_new_string(room));
	}
	*out = a;
	return STORE_DONE;
}

/*
 * Whether who may see an event now.  An event of a conversation names it among
 * its rooms; what is remembered of the last few spares asking for each event.
 */
struct sight {
	const struct who *who;
	struct {
		int64_t conversation;
		bool may;
	} known[16];
	size_t n;
};

static int
sight_conversation(struct store *st, struct sight *s, int64_t conversation)
{
	size_t i;
	int rc;

	for (i = 0; i < s->n && i < 16; i++)
		if (s->known[i].conversation == conversation)
			return s->known[i].may;
	rc = store_conversation_may(st, s->who, conversation, MAY_SEE, NULL);
	if (rc == STORE_FAILED)
		return -1;
	i = s->n++ % 16;
	s->known[i].conversation = conversation;
	s->known[i].may = rc == STORE_DONE;
	return rc == STORE_DONE;
}

static int
sight_event(struct store *st, struct sight *s, const char *type,
    const char *rooms, bool public)
{
	const char *c;

	if (s->who == NULL)
		return 1;
	if (s->who->kind == WHO_CUSTOMER && !public)
		return 0;
	if (rooms == NULL ||
	    (c = strstr(rooms, "\"" ROOM_CONVERSATION)) == NULL)
		return 1;
	(void)type;
	c += sizeof ROOM_CONVERSATION;
	return sight_conversation(st, s, strtoll(c, NULL, 10));
}

/* ---- reading ------------------------------------------------------------ */

static int
id_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* The oldest ids after a cursor of one room, at most limit, added to ids. */
static int
room_ids(struct store *st, const char *room, int64_t after, int64_t upto,
    int limit, int64_t *ids, size_t *n)
{
	static const char sql[] =
	    "SELECT event_id FROM event_rooms"
	    " WHERE room = :room AND event_id > :after AND event_id <= :upto"
	    " ORDER BY event_id LIMIT :limit";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_str(q, ":room", room);
	bind_int(q, ":after", after);
	bind_int(q, ":upto", upto);
	bind_int(q, ":limit", limit);
	while ((rc = step_row(st, q)) == 1)
		ids[(*n)++] = col_int(q, 0);
	stmt_end(q);
	return rc;
}

/*
 * The ids of the oldest limit events after a cursor in any of the rooms, each
 * once: every room gives its oldest ones, and no event among the oldest of all
 * is missing from the oldest of its room.
 */
static int
rooms_ids(struct store *st, struct json_object *rooms, int64_t after,
    int64_t upto, int limit, int64_t **out, size_t *n)
{
	size_t nrooms = json_object_array_length(rooms), i, k = 0;
	int64_t *ids;

	*n = 0;
	ids = malloc(
	    (nrooms > 0 ? nrooms : 1) * ((size_t)limit + 1) * sizeof *ids);
	if (ids == NULL)
		return store_failed(st, "events", SQLITE_NOMEM);
	for (i = 0; i < nrooms; i++)
		if (room_ids(st,
			json_object_get_string(
			    json_object_array_get_idx(rooms, i)),
			after, upto, limit + 1, ids, n) == -1) {
			free(ids);
			return -1;
		}
	qsort(ids, *n, sizeof *ids, id_compare);
	for (i = 0; i < *n; i++)
		if (k == 0 || ids[k - 1] != ids[i])
			ids[k++] = ids[i];
	*n = k;
	*out = ids;
	return 0;
}

/*
 * One event in the form of an asker, or as a line; 0: not for the asker, 2: it
 * is enough.
 */
typedef int event_put(void *arg, const struct event *e);

static int
event_row(struct store *st, sqlite3_stmt *q, struct sight *s, event_put *put,
    void *arg)
{
	struct json_object *rooms = NULL, *data = NULL;
	const char *names[256];
	struct event e = { 0 };
	char except[32];
	size_t i;
	int rc;

	e.id = col_int(q, 0);
	e.prev = col_int(q, 1);
	e.type = col_str(q, 2);
	e.data = col_str(q, 3);
	e.data_len = (size_t)sqlite3_column_bytes(q, 3);
	e.public = col_str(q, 4);
	e.public_len = (size_t)sqlite3_column_bytes(q, 4);
	if (e.public != NULL && strcmp(e.public, "true") == 0) {
		e.public = e.data;
		e.public_len = e.data_len;
	}
	rc = sight_event(st, s, e.type, col_str(q, 5), e.public != NULL);
	if (rc != 1)
		return rc;
	rooms = col_json(q, 5);
	for (i = 0; i < json_object_array_length(rooms); i++) {
		if (i == sizeof names / sizeof *names)
			break;
		names[i] =
		    json_object_get_string(json_object_array_get_idx(rooms, i));
	}
	e.rooms = names;
	e.nrooms = i;
	if (strcmp(e.type, "read_receipt") == 0) {
		data = json_tokener_parse(e.data);
		e.except = event_except(e.type, data, except, sizeof except);
	}
	rc = put(arg, &e);
	json_object_put(data);
	json_object_put(rooms);
	return rc;
}

#define EVENT_COLUMNS                                          \
	"e.id, e.prev, e.type, e.data, e.public,"              \
	" (SELECT json_group_array(r.room) FROM event_rooms r" \
	"  WHERE r.event_id = e.id)"

static int
event_give(
    struct store *st, int64_t id, struct sight *s, event_put *put, void *arg)
{
	static const char sql[] =
	    "SELECT " EVENT_COLUMNS " FROM events e WHERE e.id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	rc = step_row(st, q);
	if (rc == 1)
		rc = event_row(st, q, s, put, arg);
	stmt_end(q);
	return rc;
}

/*
 * The asker's events of some rooms.  pg->last is the last id looked at: all of
 * the log when nothing is left, so that a quiet reader does not look at the
 * same foreign events again and again.
 */
static int
events_give(struct store *st, const struct who *who, struct json_object *rooms,
    int64_t after, int64_t upto, int limit, event_put *put, void *arg,
    struct log_page *pg)
{
	struct sight s = { .who = who };
	int64_t *ids = NULL, end;
	size_t n = 0, i;
	int rc = 0;

	end = upto > 0 && upto < pg->state.head ? upto : pg->state.head;
	if (rooms_ids(st, rooms, after, end, limit, &ids, &n) == -1)
		return STORE_FAILED;
	assert(ids != NULL);
	pg->more = n > (size_t)limit;
	if (pg->more)
		n = (size_t)limit;
	for (i = 0; i < n && rc != -1 && rc != 2; i++)
		rc = event_give(st, ids[i], &s, put, arg);
	if (rc == 2 && i < n) {
		pg->more = true;
		n = i;
	}
	pg->last = pg->more ? ids[n - 1] : end > after ? end : after;
	free(ids);
	return rc == -1 ? STORE_FAILED : STORE_DONE;
}

struct give_json {
	struct json_object *items;
	const struct who *who;
	char self[40];
};

static int
give_json(void *arg, const struct event *e)
{
	struct give_json *g = arg;
	bool public = g->who != NULL && g->who->kind == WHO_CUSTOMER;
	struct json_object *o;

	if (e->except != NULL && strcmp(e->except, g->self) == 0)
		return 1;
	o = json_object_new_object();
	json_put_str(o, "type", e->type);
	json_put(o, "data", json_tokener_parse(public ? e->public : e->data));
	json_put_int(o, "timestamp", e->id);
	json_put_id(o, "id", e->id);
	json_object_array_add(g->items, o);
	return 1;
}

struct give_lines {
	struct buf *b;
	size_t enough; /* bytes */
};

static int
give_line(void *arg, const struct event *e)
{
	const struct give_lines *g = arg;

	if (g->b->len > 0)
		buf_putc(g->b, ',');
	event_encode(e, g->b);
	return g->b->err ? -1 : g->b->len >= g->enough ? 2 : 1;
}

static void
who_self(const struct who *who, char out[40])
{
	out[0] = '\0';
	if (who != NULL && who->kind == WHO_USER)
		snprintf(out, 40, "user:%lld", (long long)who->id);
	else if (who != NULL && who->kind == WHO_CUSTOMER)
		snprintf(out, 40, "customer:%lld", (long long)who->id);
}

static int
events_read(struct store *st, const struct who *who, const char *room,
    int64_t after, int64_t upto, int limit, event_put *put, void *arg,
    struct log_page *pg)
{
	struct json_object *rooms = NULL;
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = store_log_state(st, &pg->state);
	if (rc == STORE_DONE && room == NULL)
		rc = store_rooms(st, who, &rooms);
	else if (rc == STORE_DONE) {
		rooms = json_object_new_array();
		json_object_array_add(rooms, json_object_new_string(room));
	}
	if (rc == STORE_DONE)
		rc = events_give(
		    st, who, rooms, after, upto, limit, put, arg, pg);
	store_read_end(st);
	json_object_put(rooms);
	return rc;
}

int
store_events_since(struct store *st, const struct who *who, int64_t after,
    int64_t upto, int limit, struct json_object **out, struct log_page *pg)
{
	struct give_json g = { .items = json_object_new_array(), .who = who };
	int rc;

	who_self(who, g.self);
	rc = events_read(st, who, NULL, after, upto, limit, give_json, &g, pg);
	if (rc == STORE_DONE)
		*out = g.items;
	else
		json_object_put(g.items);
	return rc;
}

int
store_events_raw_who(struct store *st, const struct who *who, const char *room,
    int64_t after, int64_t upto, int limit, size_t enough, struct buf *out,
    struct log_page *pg)
{
	struct give_lines g = { out, enough };

	return events_read(
	    st, who, room, after, upto, limit, give_line, &g, pg);
}

int
store_events_raw(struct store *st, int64_t after, int limit, struct buf *out,
    struct log_page *pg)
{
	static const char sql[] =
	    "SELECT " EVENT_COLUMNS " FROM events e WHERE e.id > :after"
	    " ORDER BY e.id LIMIT :limit";
	struct give_lines g = { out, SIZE_MAX };
	struct sight s = { .who = NULL };
	sqlite3_stmt *q;
	int rc, n = 0;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = store_log_state(st, &pg->state);
	pg->last = after;
	pg->more = false;
	if (rc == STORE_DONE) {
		q = store_stmt(st, sql);
		bind_int(q, ":after", after);
		bind_int(q, ":limit", (int64_t)limit + 1);
		while ((rc = step_row(st, q)) == 1) {
			if (n++ == limit) {
				pg->more = true;
				break;
			}
			pg->last = col_int(q, 0);
			if ((rc = event_row(st, q, &s, give_line, &g)) == -1)
				break;
		}
		stmt_end(q);
	}
	store_read_end(st);
	if (rc == -1)
		return STORE_FAILED;
	if (!pg->more && pg->state.head > pg->last)
		pg->last = pg->state.head;
	return STORE_DONE;
}

int
store_event_data(struct store *st, int64_t id, struct json_object **out)
{
	static const char sql[] = "SELECT data FROM events WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1)
		*out = col_json(q, 0);
	stmt_end(q);
	return rc;
}

/* ---- retention and lives ------------------------------------------------ */

/*
 * The newest id that may go: older than keep_ms, and with keep_n newer ones;
 * and among those at most the oldest PURGE_BATCH.
 */
static int
purge_border(struct store *st, int64_t keep_ms, int64_t keep_n, int64_t *id)
{
	static const char sql[] =
	    "SELECT max(id) FROM (SELECT id FROM events WHERE id < :old"
	    " AND id <= (SELECT id FROM events WHERE id > 0"
	    "  ORDER BY id DESC LIMIT 1 OFFSET :keep) ORDER BY id LIMIT :batch)";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":old", store_now(st) - keep_ms);
	bind_int(q, ":keep", keep_n);
	bind_int(q, ":batch", PURGE_BATCH);
	*id = 0;
	rc = step_int(st, q, id);
	return rc == 1 && *id == 0 ? 0 : rc;
}

static int
purge_upto(struct store *st, int64_t id, int64_t *done)
{
	static const char del_sql[] = "DELETE FROM events WHERE id <= :id";
	static const char floor_sql[] =
	    "UPDATE log_state SET floor = max(floor, :id)";

	if (step_id(st, del_sql, id) != 1)
		return STORE_FAILED;
	*done = store_changes(st);
	return step_id(st, floor_sql, id);
}

int
store_log_purge(
    struct store *st, int64_t keep_ms, int64_t keep_n, int64_t *done)
{
	int64_t id;
	int rc;

	*done = 0;
	if ((rc = purge_border(st, keep_ms, keep_n, &id)) != 1)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, purge_upto(st, id, done));
}

static void
log_epoch(char out[40])
{
	char uuid[37];
	size_t i, n = 0;

	store_uuid(uuid);
	for (i = 0; uuid[i] != '\0'; i++)
		if (uuid[i] != '-')
			out[n++] = uuid[i];
	out[n] = '\0';
}

/*
 * Within a transaction: a life that begins above all that was.  Ids may have
 * been handed out that nobody remembers: none of them is later than now,
 * unless ids ran ahead of the clock.
 */
static int
life_begin(struct store *st, bool clean)
{
	static const char close_sql[] =
	    "UPDATE log_lives SET top = :last WHERE base ="
	    " (SELECT max(base) FROM log_lives)";
	static const char open_sql[] =
	    "INSERT INTO log_lives (base) VALUES (:base)";
	static const char state_sql[] =
	    "UPDATE log_state SET last = :base, epoch = :epoch,"
	    " clean = :clean";
	sqlite3_stmt *q;
	int64_t base;

	if ((base = store_event_next(st)) == -1)
		return STORE_FAILED;
	if (base > store_now(st))
		base += LOST_IDS;
	q = store_stmt(st, close_sql);
	bind_int(q, ":last", st->last);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	q = store_stmt(st, open_sql);
	bind_int(q, ":base", base);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	log_epoch(st->epoch);
	q = store_stmt(st, state_sql);
	bind_int(q, ":base", base);
	bind_str(q, ":epoch", st->epoch);
	bind_int(q, ":clean", clean);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	st->last = base;
	if (st->heads != NULL && heads_fill(st->heads, base, st->epoch) == -1)
		return STORE_FAILED;
	log_info("log new_life base=%lld", (long long)base);
	return STORE_DONE;
}

int
store_log_start(struct store *st)
{
	static const char life_sql[] =
	    "INSERT INTO log_lives (base) VALUES (:base)";
	static const char state_sql[] =
	    "INSERT INTO log_state (last, floor, epoch, clean)"
	    " VALUES (:base, :base - 1, :epoch, 1)";
	int64_t base = store_now(st);
	char epoch[40];
	sqlite3_stmt *q;

	log_epoch(epoch);
	q = store_stmt(st, life_sql);
	bind_int(q, ":base", base);
	if (step_done(st, q) != 1)
		return -1;
	q = store_stmt(st, state_sql);
	bind_int(q, ":base", base);
	bind_str(q, ":epoch", epoch);
	return step_done(st, q) == 1 ? 0 : -1;
}

/* What the last writer to start left: 1 its boot is another one. */
static int
boot_state(struct store *st, bool *other, bool *clean)
{
	static const char sql[] = "SELECT clean, (SELECT value FROM settings"
				  " WHERE key = 'log.boot') FROM log_state";
	sqlite3_stmt *q = store_stmt(st, sql);
	char boot[64];
	int rc = step_row(st, q);

	if (rc == 1) {
		*clean = col_int(q, 0) != 0;
		col_copy(q, 1, boot, sizeof boot);
		*other = strcmp(boot, heads_boot_id(st->heads)) != 0;
	}
	stmt_end(q);
	return rc == 1 ? 0 : -1;
}

static int
boot_write(struct store *st, bool clean)
{
	static const char boot_sql[] =
	    "INSERT INTO settings (key, value, updated_at)"
	    " VALUES ('log.boot', :boot, :now) ON CONFLICT DO UPDATE"
	    " SET value = excluded.value, updated_at = excluded.updated_at";
	static const char clean_sql[] = "UPDATE log_state SET clean = :clean";
	sqlite3_stmt *q = store_stmt(st, boot_sql);

	bind_str(q, ":boot", heads_boot_id(st->heads));
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	q = store_stmt(st, clean_sql);
	bind_int(q, ":clean", clean);
	return step_done(st, q);
}

/*
 * With synchronous=NORMAL a machine that falls over may forget acknowledged
 * events, and their ids would be handed out again.  So while a NORMAL writer
 * runs, clean is 0, and whoever first opens the database after another boot
 * and finds it 0 begins a new life.
 */
int
store_log_boot(struct store *st)
{
	bool other = false, clean = true, normal;
	int rc = STORE_DONE;

	normal = st->mode == STORE_MODE_NORMAL;
	if (boot_state(st, &other, &clean) == -1)
		return -1;
	if (!other && !(clean && normal) && heads_good(st->heads))
		return 0;
	if (store_synchronous(st, true) == -1)
		return -1;
	if (store_begin(st) == -1)
		goto fail;
	/* Again, inside: another process may have been quicker. */
	if (boot_state(st, &other, &clean) == -1 || store_log_load(st) == -1)
		rc = STORE_FAILED;
	if (rc == STORE_DONE && other && !clean)
		rc = life_begin(st, !normal);
	if (rc == STORE_DONE)
		rc = boot_write(st, other ? !normal : clean && !normal);
	if (store_end(st, rc) != STORE_DONE)
		goto fail;
	return store_synchronous(st, false);
fail:
	store_synchronous(st, false);
	return -1;
}

int
store_log_clean(struct store *st)
{
	int rc;

	if ((rc = store_checkpoint(st, true)) == STORE_FAILED)
		return rc;
	if (store_synchronous(st, true) == -1)
		return STORE_FAILED;
	rc = store_begin(st) == -1 ? STORE_FAILED
				   : store_end(st, boot_write(st, true));
	if (store_synchronous(st, false) == -1)
		return STORE_FAILED;
	return rc == STORE_DONE ? store_checkpoint(st, true) : rc;
}
