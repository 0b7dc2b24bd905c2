/*
 * Polling: GET /api/events/poll.  Most polls find nothing new, and those are
 * answered from the mapped newest ids alone (heads.h): the credential proves
 * itself, the asker's rooms show nothing past its cursor, done.  Everything
 * else asks the database.
 */

#include "h_poll.h"

#include "../common/event.h"
#include "../common/id.h"
#include "../common/json.h"
#include "auth.h"
#include "h.h"
#include "heads.h"
#include "store_event.h"
#include "store_presence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define AHEAD_MS 60000     /* how far `since` may lie past now */
#define ETAG_AGE_MS 600000 /* a 304 leaves the cursor at most this far back */
#define NEXT_MIN_MS 1000
#define ROOMS_MAX 3

/* Newest ids of the asker's rooms, by the mapped file. */
struct view {
	char room[EVENT_ROOM_MAX]; /* the asker's own */
	const char *rooms[ROOMS_MAX];
	size_t n;
	int64_t head;   /* of the log, not long ago; 0: not known */
	int64_t newest; /* in the asker's rooms; INT64_MAX: not known */
	int64_t own;    /* in the asker's own room, where sessions end too */
	bool typing;    /* somebody types there */
};

int
poll_number(const char *p, size_t len, size_t max, int64_t *cursor)
{
	size_t i;

	if (len == 0 || len > max)
		return 0;
	for (i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return 0;
	}
	while (len > 1 && *p == '0') {
		p++;
		len--;
	}
	*cursor = id_cursor(p, len);
	if (*cursor < 0)
		*cursor = CURSOR_MAX;
	return 1;
}

int64_t
poll_next_ms(int64_t age_ms, int64_t load, uint32_t random)
{
	int64_t ms;

	if (age_ms < 60000)
		ms = NEXT_MIN_MS;
	else if (age_ms < 300000)
		ms = 2000;
	else if (age_ms < 1800000)
		ms = 3000;
	else
		ms = 5000;
	/* Neighbours on a shared host make load too: never much longer. */
	if (load > 200)
		ms = ms * (load < 600 ? load : 600) / 200;
	return ms * 4 / 5 + ms * 2 / 5 * (int64_t)(random % 1001) / 1000;
}

bool
poll_matches(const char *tag, int64_t from, int64_t to)
{
	int64_t id;
	size_t len;

	for (; tag != NULL && *tag != '\0'; tag += *tag == ',') {
		tag += strspn(tag, " \t");
		if (*tag == '*')
			return true;
		if (strncmp(tag, "W/", 2) == 0)
			tag += 2;
		if (*tag == '"') {
			len = strcspn(++tag, "\"");
			id = id_cursor(tag, len);
			if (id >= 0 && id >= from && id <= to)
				return true;
			tag += len;
		}
		tag += strcspn(tag, ",");
	}
	return false;
}

/*
 * Hundredths of a runnable process per CPU, of this second: the machine's, so
 * it may outlive the request.
 */
static int64_t
load_now(int64_t now_ms)
{
	static long cpus;
	static int64_t at_s, load;
	struct sysinfo si;

	if (now_ms / 1000 == at_s)
		return load;
	at_s = now_ms / 1000;
	if (cpus == 0 && (cpus = sysconf(_SC_NPROCESSORS_ONLN)) < 1)
		cpus = 1;
	if (sysinfo(&si) == 0)
		load = (int64_t)(si.loads[0] >> 8) * 100 / 256 / cpus;
	return load;
}

/* Spreads clients that ask in step; no secret. */
static uint32_t
spread(const struct req *rq)
{
	static uint64_t n;
	uint64_t x;

	if (n == 0)
		n = (uint64_t)getpid() << 32;
	x = (uint64_t)rq->now_ms * 2654435761u + (uint64_t)rq->who.id * 40503u +
	    ++n * 97u;
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	return (uint32_t)(x >> 32);
}

/* Reads the cursor: Last-Event-ID, else after, else since.  0, or the status.
 */
static int
read_ask(struct req *rq, struct rsp *rs, struct poll_ask *ask)
{
	const char *p = req_header(rq, "Last-Event-ID");
	size_t len = p != NULL ? strlen(p) : 0;

	memset(ask, 0, sizeof(*ask));
	if (len == 0)
		p = req_query(rq, "after", &len);
	if (p == NULL) {
		p = req_query(rq, "since", &len);
		ask->clock = true;
	}
	if (p == NULL)
		return 0;
	ask->given = true;
	if (!poll_number(
		p, len, (size_t)rq->cf->cursor_bytes_max, &ask->cursor))
		return rsp_error(rs, 400, "bad_cursor", NULL);
	return 0;
}

/* The mapped file; opened once a process, kept. */
static struct heads *
heads_of(const struct req *rq)
{
	static struct heads *h;
	struct buf path;
	const char *slash;

	if (h != NULL)
		return h;
	buf_init(&path, 4096);
	slash = strrchr(rq->cf->db, '/');
	if (slash != NULL)
		buf_append(&path, rq->cf->db, (size_t)(slash - rq->cf->db) + 1);
	buf_puts(&path, "heads.map");
	if (!path.err)
		h = heads_open(path.data, NULL, false);
	buf_fini(&path);
	return h;
}

/* Looks at the asker's rooms.  The head first: heads.h says why. */
static void
look(struct req *rq, struct view *v)
{
	struct heads *h = heads_of(rq);
	size_t i;

	memset(v, 0, sizeof(*v));
	v->newest = v->own = INT64_MAX;
	if (h == NULL || !heads_good(h))
		return;
	v->rooms[v->n++] = "broadcast";
	if (rq->who.kind == WHO_USER)
		v->rooms[v->n++] = "inbox";
	(void)snprintf(v->room, sizeof(v->room), "%s:%" PRId64,
	    rq->who.kind == WHO_USER ? "user" : "customer", rq->who.id);
	v->rooms[v->n++] = v->room;

	v->head = heads_head(h);
	v->newest = heads_all(h, v->rooms, v->n);
	v->own = heads_newest(h, v->room);
	for (i = 0; i < v->n && !v->typing; i++)
		v->typing = heads_signalled(h, v->rooms[i], rq->now_ms);
}

/*
 * A clock ahead of the log passes over the event by which a session ended; so
 * there the signature does only while nothing came to the asker's own room
 * since the credential was issued.
 */
static bool
surely_alive(const struct req *rq, const struct view *v)
{
	int64_t life_s = rq->who.kind == WHO_USER ? rq->cf->token_life_s
						  : rq->cf->session_life_s;

	return rq->who.expires_at > 0 &&
	       v->own < rq->who.expires_at - life_s * 1000;
}

/* Whether the asker has surely missed nothing; then ${v}->head is its cursor.
 */
static bool
is_idle(const struct req *rq, const struct poll_ask *ask, const struct view *v)
{
	if (!ask->given || v->head == 0 || v->typing ||
	    v->newest > ask->cursor || v->newest > v->head)
		return false;
	if (ask->cursor <= v->head)
		return true;
	return ask->clock && ask->cursor <= rq->now_ms + AHEAD_MS &&
	       surely_alive(rq, v);
}

/* Appends ${n} >= 0 in digits; printf would take longer than all the rest. */
static void
add_number(struct buf *b, int64_t n)
{
	char text[24];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	buf_append(b, text + at, sizeof(text) - at);
}

/*
 * The answer.  ${events} is a JSON array without its brackets; ${newest} the
 * time of the newest event the asker has rooms for.
 */
static int
answer(struct req *rq, struct rsp *rs, const struct buf *events, int64_t cursor,
    bool more, int64_t newest)
{
	struct buf *b = &rs->body;
	int64_t next_ms = 0;
	bool none = events == NULL || events->len == 0;
	int64_t from = cursor - ETAG_AGE_MS;

	rsp_header(rs, "ETag", "W/\"%" PRId64 "\"", cursor);
	if (newest > from)
		from = newest;
	if (none && !more &&
	    poll_matches(req_header(rq, "If-None-Match"), from, cursor))
		return rsp_empty(rs, 304);
	if (!more)
		next_ms = poll_next_ms(
		    rq->now_ms - newest, load_now(rq->now_ms), spread(rq));

	buf_reset(b);
	buf_puts(b, "{\"success\":true,\"events\":[");
	if (!none)
		buf_append(b, events->data, events->len);
	buf_puts(b, "],\"timestamp\":");
	add_number(b, cursor);
	buf_puts(b, ",\"cursor\":\"");
	add_number(b, cursor);
	buf_puts(b, more ? "\",\"more\":true" : "\",\"more\":false");
	buf_puts(b, ",\"next_poll_ms\":");
	add_number(b, next_ms);
	buf_puts(b, ",\"data\":{\"events\":[");
	if (!none)
		buf_append(b, events->data, events->len);
	buf_puts(b, "],\"timestamp\":");
	add_number(b, cursor);
	buf_puts(b, "}}");
	if (b->err)
		return rsp_error(rs, 500, "internal", NULL);
	rs->status = 200;
	rs->type = "application/json; charset=utf-8";
	return 200;
}

static void
add_event(struct buf *b, struct json_object *o)
{
	if (b->len > 0)
		buf_putc(b, ',');
	json_write(o, b);
}

/* The event that says: your cursor is of no use, load again. */
static void
add_reset(struct req *rq, struct buf *b, const struct log_state *s)
{
	struct json_object *o = json_object_new_object();
	struct json_object *d = json_object_new_object();

	json_put_str(d, "epoch", s->epoch);
	json_put_id(d, "oldest", s->oldest);
	json_put_id(d, "latest", s->head);
	json_put_str(o, "type", "reset");
	json_put(o, "data", d);
	json_put_int(o, "timestamp", rq->now_ms);
	json_put(o, "id", NULL);
	add_event(b, o);
	json_object_put(o);
}

/* Who types, as events without an id. */
static void
add_typing(struct req *rq, struct store *st, struct buf *b)
{
	struct json_object *a = NULL, *o;
	size_t i;

	if (store_typing(st, &rq->who, rq->now_ms, &a) != STORE_DONE)
		return; /* may be lost */
	for (i = 0; i < json_object_array_length(a); i++) {
		o = json_object_new_object();
		json_put_str(o, "type", "typing_indicator");
		json_put(o, "data",
		    json_object_get(json_object_array_get_idx(a, i)));
		json_put_int(o, "timestamp", rq->now_ms);
		json_put(o, "id", NULL);
		add_event(b, o);
		json_object_put(o);
	}
	json_object_put(a);
}

/* What the log has for the asker, within one read transaction. */
static int
gather(struct req *rq, struct store *st, const struct poll_ask *ask,
    struct buf *b, struct log_page *pg)
{
	struct json_object *a = NULL;
	size_t i;
	int rc = STORE_DONE;

	memset(pg, 0, sizeof(*pg));
	if (store_log_state(st, &pg->state) != STORE_DONE)
		return STORE_FAILED;
	pg->last = pg->state.head;
	if (!ask->given || (ask->clock && ask->cursor >= pg->state.head &&
			       ask->cursor <= rq->now_ms + AHEAD_MS))
		return STORE_DONE;
	if (ask->cursor > 0)
		rc = store_cursor(st, ask->cursor);
	if (rc == STORE_NONE) {
		add_reset(rq, b, &pg->state);
		return STORE_NONE;
	}
	if (rc == STORE_DONE)
		rc = store_events_since(
		    st, &rq->who, ask->cursor, 0, POLL_EVENTS_MAX, &a, pg);
	for (i = 0; rc == STORE_DONE && i < json_object_array_length(a); i++)
		add_event(b, json_object_array_get_idx(a, i));
	json_object_put(a);
	return rc;
}

/* The answer from the database. */
static int
look_up(struct req *rq, struct rsp *rs, const struct poll_ask *ask,
    const struct view *v)
{
	struct log_page pg;
	struct store *st;
	const char *code;
	struct buf b;
	int64_t newest;
	int rc, status;

	if ((status = auth_confirm(rq, &code)) != 0)
		return rsp_error(rs, status, code, NULL);
	if ((st = req_store(rq)) == NULL)
		return rsp_error(rs, 503, "busy", NULL);
	if (store_read(st) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	buf_init(&b, ANSWER_BYTES_MAX / 2 - 1024);
	rc = gather(rq, st, ask, &b, &pg);
	if (rc == STORE_DONE && !pg.more)
		add_typing(rq, st, &b);
	store_read_end(st);

	newest = v->newest <= pg.state.head ? v->newest : pg.last;
	if (rc == STORE_FAILED || b.err)
		status = h_refuse(rq, rs, STORE_FAILED);
	else
		status = answer(rq, rs, &b, pg.last, pg.more, newest);
	buf_fini(&b);
	return status;
}

/*
 * GET /api/events/poll    ?since= or ?after=, or Last-Event-ID
 * 200 {"success":true,"events":[{"type","data","timestamp","id"}...],
 * "timestamp","cursor","more","next_poll_ms","data":{"events","timestamp"}}:
 * events past the cursor that the asker may see, oldest first, at most 500;
 * `more` if there are others.  Without a cursor nothing old; since=0 all that
 * is kept.  `cursor` (and `timestamp`) is the newest event looked at.  A cursor
 * out of reach gives the one event `reset` {"epoch","oldest","latest"}; typing
 * comes as events whose id is null.
 * 304 nothing new for the ETag in If-None-Match.
 * 400 bad_cursor: no number; 401; 429; 503 busy.
 */
int
poll_get(struct req *rq, struct rsp *rs)
{
	struct poll_ask ask;
	struct view v;
	int status;

	if ((status = read_ask(rq, rs, &ask)) != 0)
		return status;
	look(rq, &v);
	if (is_idle(rq, &ask, &v))
		return answer(rq, rs, NULL, v.head, false, v.newest);
	return look_up(rq, rs, &ask, &v);
}
