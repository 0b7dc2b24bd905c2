/*
 * What pushd asks: who somebody is and which rooms follow, what happened since,
 * who may hear what, and whose connections came and went.  Ids of events are
 * numbers here, as in the event's line.
 */

#include "h_internal.h"

#include "../common/event.h"
#include "../common/id.h"
#include "../common/json.h"
#include "auth.h"
#include "h.h"
#include "h_poll.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_event.h"
#include "store_presence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EVENTS_MAX 500
#define LINES_BYTES_MAX (ANSWER_BYTES_MAX - 65536)
#define OWN_CONVERSATIONS_MAX 50 /* of a customer, told with its identity */

int
ref_read(const char *p, size_t len, struct ref *r)
{
	const char *colon;

	if (len < 3 || len >= REF_BYTES_MAX || p[1] != ':' ||
	    strchr("ucik", p[0]) == NULL || p[0] == '\0')
		return 0;
	colon = memchr(p + 2, ':', len - 2);
	r->kind = p[0];
	r->id =
	    id_parse(p + 2, colon != NULL ? (size_t)(colon - p - 2) : len - 2);
	return r->id > 0;
}

/* A member that may be absent; NULL also where it is no text. */
static const char *
text_of(struct json_object *o, const char *key)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 && strlen(p) == len ? p
								       : NULL;
}

/* The customer's own conversations: an array of ids, new. */
static struct json_object *
own_conversations(struct req *rq, const struct who *who)
{
	struct json_object *out = json_object_new_array(), *list = NULL, *a;
	struct conversation_filter f;
	struct store_page pg;
	const char *id;
	size_t i, len;

	memset(&f, 0, sizeof(f));
	memset(&pg, 0, sizeof(pg));
	pg.limit = OWN_CONVERSATIONS_MAX;
	if (store_conversations(rq->st, who, &f, &pg, &list) == STORE_DONE &&
	    json_get_arr(list, "items", &a) == 1) {
		for (i = 0; i < json_object_array_length(a); i++) {
			if (json_get_str(json_object_array_get_idx(a, i), "id",
				&id, &len) == 1)
				json_object_array_add(
				    out, json_object_new_string(id));
		}
	}
	json_object_put(list);
	return out;
}

static const char *
via_word(char via)
{
	switch (via) {
	case 'c':
		return "cookie";
	case 'q':
		return "query";
	case 'i':
		return "ref";
	default:
		return "bearer";
	}
}

/* Who one credential is, as pushd wants it. */
static struct json_object *
identify(struct req *rq, struct json_object *item)
{
	struct json_object *o = json_object_new_object(), *rooms = NULL;
	bool customer;
	const char *code = "unauthenticated";
	struct cred c;
	struct who who;
	int status;

	memset(&c, 0, sizeof(c));
	memset(&who, 0, sizeof(who));
	c.authorization = text_of(item, "authorization");
	c.token = text_of(item, "token");
	c.session = text_of(item, "session");
	c.cookie = text_of(item, "cookie");
	c.ref = text_of(item, "ref");
	c.origin = text_of(item, "origin");
	c.host = text_of(item, "host");
	c.addr = text_of(item, "addr");
	c.https = rq->https;

	status = auth_identify(rq->st, rq->cf, &c, &who, &code);
	if (status == 0 && store_rooms(rq->st, &who, &rooms) != STORE_DONE) {
		status = 503;
		code = "busy";
	}
	json_put_bool(o, "ok", status == 0);
	if (status != 0) {
		json_put_int(o, "status", status);
		json_put_str(o, "code", code);
		json_put_str(o, "error", rsp_sentence(code));
		return o;
	}
	customer = who.kind == WHO_CUSTOMER;
	json_put_str(o, "ref", who.ref);
	json_put_str(o, "kind", customer ? "customer" : "agent");
	json_put_id(o, "id", who.id);
	json_put_str(o, "name", who.name);
	json_put_str(o, "role",
	    customer    ? "customer"
	    : who.admin ? "admin"
			: "agent");
	json_put(o, "rooms", rooms);
	json_put(o, "conversations",
	    customer ? own_conversations(rq, &who) : json_object_new_array());
	json_put_str(o, "via", c.ref != NULL ? "ref" : via_word(who.via));
	json_put_int(o, "expires_at", who.expires_at);
	return o;
}

/* The array `items` of at most ${max} objects: 0, or the status. */
static int
read_items(struct req *rq, struct rsp *rs, size_t max, struct json_object **a)
{
	size_t i, n;

	if (json_get_arr(rq->json, "items", a) == 1 &&
	    (n = json_object_array_length(*a)) <= max) {
		for (i = 0; i < n; i++) {
			if (!json_object_is_type(
				json_object_array_get_idx(*a, i),
				json_type_object))
				break;
		}
		if (i == n)
			return 0;
	}
	return rsp_error(rs, 422, "invalid", "items");
}

/*
 * POST /internal/identify    {"items":[{"authorization"|"token"|"session"|
 *	"cookie"|"ref", "origin"?, "host"?, "addr"?}]}, at most 100
 * 200 {"items":[{"ok":true,"ref","kind","id","name","role","rooms",
 * "conversations","via","expires_at"} | {"ok":false,"status","code","error"}],
 * "head","floor","epoch"}.  422 invalid: items.
 */
int
internal_post_identify(struct req *rq, struct rsp *rs)
{
	struct json_object *a = NULL, *out, *o;
	struct log_state s;
	size_t i;
	int rc, status;

	if ((status = read_items(rq, rs, IDENTIFY_ITEMS_MAX, &a)) != 0)
		return status;
	/* The state first: what changes meanwhile comes after `head`. */
	if ((rc = store_log_state(rq->st, &s)) != STORE_DONE)
		return h_refuse(rq, rs, rc);
	out = json_object_new_array();
	for (i = 0; i < json_object_array_length(a); i++)
		json_object_array_add(
		    out, identify(rq, json_object_array_get_idx(a, i)));
	o = json_object_new_object();
	json_put(o, "items", out);
	json_put_int(o, "head", s.head);
	json_put_int(o, "floor", s.floor);
	json_put_str(o, "epoch", s.epoch);
	return rsp_json(rs, 200, o);
}

/*
 * POST /internal/join    {"ref","conversation"}
 * 200 {"conversation","line_user_id": the customer's id at LINE or null,
 * "cursor": from which on its events come}.  404: not there, or not for them.
 */
int
internal_post_join(struct req *rq, struct rsp *rs)
{
	const char *ref = req_str(rq, "ref", 1, REF_BYTES_MAX - 1);
	char external[256] = "";
	struct conversation c;
	struct json_object *o;
	struct who who;
	int64_t cursor, id = 0;
	int rc;

	if (ref == NULL)
		return h_invalid(rq, rs);
	if (req_id(rq, "conversation", &id) != 1)
		return rsp_error(rs, 404, "not_found", NULL);
	rc = cred_ref(rq->st, rq->cf, ref, &who);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	if ((cursor = h_read(rq)) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_conversation_may(rq->st, &who, id, MAY_SEE, &c);
	if (rc == STORE_DONE && strcmp(c.platform, "line") == 0 &&
	    who.kind == WHO_USER)
		(void)store_identity_of(
		    rq->st, c.channel, c.customer, external, sizeof(external));
	h_read_end(rq);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	o = json_object_new_object();
	json_put_id(o, "conversation", c.id);
	json_put_str(o, "line_user_id", *external != '\0' ? external : NULL);
	json_put_int(o, "cursor", cursor);
	return rsp_json(rs, 200, o);
}

/*
 * POST /internal/presence    {"items":[{"ref","status":"online"|"offline"}],
 *	"began": ms?, "settled": true?}
 * 200 {"more": whether "settled" is to be said again}: stored and announced.
 * Whoever goes may have logged out before: a reference that has ended still
 * goes offline.  With "began", before the items: a pushd that knows of nobody
 * began then; with "settled", behind them: who is not back goes offline.  422
 * invalid: items.
 */
int
internal_post_presence(struct req *rq, struct rsp *rs)
{
	struct json_object *a = NULL, *item, *out;
	bool on, settled = false;
	const char *ref, *status;
	int64_t began = 0;
	struct who who;
	struct ref r;
	size_t i;
	int rc;

	if ((rc = read_items(rq, rs, IDENTIFY_ITEMS_MAX, &a)) != 0)
		return rc;
	if (json_get_int(rq->json, "began", &began) == 1 &&
	    store_presence_forget(rq->st, began) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	for (i = 0; i < json_object_array_length(a); i++) {
		item = json_object_array_get_idx(a, i);
		ref = text_of(item, "ref");
		status = text_of(item, "status");
		if (ref == NULL || !h_is_word(status, "online|offline") ||
		    !ref_read(ref, strlen(ref), &r))
			return rsp_error(rs, 422, "invalid", "items");
		on = strcmp(status, "online") == 0;
		memset(&who, 0, sizeof(who));
		who.kind = r.kind == 'c' ? WHO_CUSTOMER : WHO_USER;
		who.id = r.id;
		rc = on ? cred_ref(rq->st, rq->cf, ref, &who) : STORE_DONE;
		if (rc == STORE_DONE)
			rc = store_presence_connected(rq->st, &who, on);
		if (rc == STORE_FAILED)
			return h_refuse(rq, rs, rc);
	}
	rc = STORE_NONE;
	if (json_get_bool(rq->json, "settled", &settled) == 1 && settled)
		rc = store_presence_settle(rq->st);
	if (rc == STORE_FAILED)
		return h_refuse(rq, rs, rc);
	out = json_object_new_object();
	json_put_bool(out, "more", rc == STORE_DONE);
	return rsp_json(rs, 200, out);
}

/* Puts what one buffer of JSON holds under ${key} into another. */
static void
put_text(struct buf *b, const char *key, const char *text)
{
	buf_printf(b, ",\"%s\":", key);
	json_write_str(b, text, strlen(text));
}

/* Begins an answer in ${b} with the events; takes ${lines}. */
static void
events_begin(struct buf *b, struct buf *lines)
{
	buf_init(b, ANSWER_BYTES_MAX);
	buf_puts(b, "{\"events\":[");
	buf_append(b, lines->data, lines->len);
	if (lines->err)
		b->err = 1;
	buf_fini(lines);
}

static int
answer_buf(struct rsp *rs, struct buf *b)
{
	int status = b->err
			 ? rsp_error(rs, 500, "internal", NULL)
			 : rsp_raw(rs, 200, "application/json; charset=utf-8",
			       b->data, b->len);

	buf_fini(b);
	return status;
}

/*
 * GET /internal/events    ?after=ID ?limit=
 * 200 {"events":[line...],"last": newest id looked at,"more","head","floor",
 * "epoch","lives":[[base,top|null]...]}; without `after` the state alone.
 * 422 invalid: after, limit.
 */
int
internal_get_events(struct req *rq, struct rsp *rs)
{
	struct json_object *lives = NULL;
	struct log_page pg;
	struct buf b, lines;
	int64_t after = -1, limit = EVENTS_MAX;
	int rc;

	if (req_query_int(rq, "after", 0, CURSOR_MAX, &after) == -1 ||
	    req_query_int(rq, "limit", 1, EVENTS_MAX, &limit) == -1)
		return h_invalid(rq, rs);
	if (store_read(rq->st) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	memset(&pg, 0, sizeof(pg));
	buf_init(&lines, LINES_BYTES_MAX);
	rc = store_log_state(rq->st, &pg.state);
	pg.last = pg.state.head;
	if (rc == STORE_DONE)
		rc = store_log_lives(rq->st, &lives);
	if (rc == STORE_DONE && after >= 0)
		rc = store_events_raw(rq->st, after, (int)limit, &lines, &pg);
	store_read_end(rq->st);
	if (rc == STORE_FAILED) {
		json_object_put(lives);
		buf_fini(&lines);
		return h_refuse(rq, rs, STORE_FAILED);
	}
	events_begin(&b, &lines);
	buf_printf(&b,
	    "],\"last\":%" PRId64 ",\"more\":%s,\"head\":%" PRId64
	    ",\"floor\":%" PRId64,
	    pg.last, pg.more ? "true" : "false", pg.state.head, pg.state.floor);
	put_text(&b, "epoch", pg.state.epoch);
	buf_puts(&b, ",\"lives\":");
	json_write(lives, &b);
	json_object_put(lives);
	buf_putc(&b, '}');
	return answer_buf(rs, &b);
}

static int
answer_reset(struct rsp *rs, const struct log_state *s)
{
	struct json_object *o = json_object_new_object();

	json_put_bool(o, "reset", true);
	json_put_str(o, "epoch", s->epoch);
	json_put_int(o, "oldest", s->oldest);
	json_put_int(o, "latest", s->head);
	return rsp_json(rs, 200, o);
}

/* The conversation that ${room} names, or 0. */
static int64_t
room_conversation(const char *room)
{
	static const char prefix[] = "conversation:";
	size_t n = sizeof(prefix) - 1;

	return strncmp(room, prefix, n) == 0
		   ? id_parse(room + n, strlen(room + n))
		   : 0;
}

/*
 * Events for ${who} after ${after} into ${b}: STORE_DONE; STORE_NONE: reset;
 * STORE_FORBIDDEN: not its room.  Within one read transaction.
 */
static int
replay(struct req *rq, const struct who *who, const char *room, int64_t after,
    int64_t upto, int limit, size_t enough, struct buf *b, struct log_page *pg)
{
	int64_t id = room != NULL ? room_conversation(room) : 0;
	int rc;

	if (room != NULL && (id == 0 || store_conversation_may(rq->st, who, id,
					    MAY_SEE, NULL) != STORE_DONE))
		return STORE_FORBIDDEN;
	if ((rc = store_log_state(rq->st, &pg->state)) != STORE_DONE)
		return rc;
	if (after < 0 || (rc = store_cursor(rq->st, after)) == STORE_NONE)
		return STORE_NONE;
	if (rc == STORE_DONE && upto > 0 && after >= upto) {
		pg->last = after; /* ahead of pushd, not of the log */
		return STORE_DONE;
	}
	return rc == STORE_DONE ? store_events_raw_who(rq->st, who, room, after,
				      upto, limit, enough, b, pg)
				: rc;
}

/*
 * GET /internal/replay    ?ref= ?after= ?upto= ?limit= ?bytes=
 *	?room=conversation:ID
 * 200 {"events":[line...],"last","more"}: oldest first, what that identity may
 * see now, of that room only if one is named, and none behind the one that
 * reaches ?bytes=; or {"reset":true,"epoch","oldest","latest"} for a cursor
 * that is of no use.
 * 401 unauthenticated: the reference has ended; 404: the room; 422 invalid.
 */
int
internal_get_replay(struct req *rq, struct rsp *rs)
{
	const char *ref = req_query(rq, "ref", NULL), *p;
	const char *room = req_query(rq, "room", NULL);
	int64_t after = -1, upto = 0, limit = EVENTS_MAX;
	int64_t enough = LINES_BYTES_MAX;
	struct log_page pg;
	struct who who;
	struct buf b, lines;
	size_t len;
	int rc;

	if (req_query_int(rq, "upto", 0, CURSOR_MAX, &upto) == -1 ||
	    req_query_int(rq, "limit", 1, EVENTS_MAX, &limit) == -1 ||
	    req_query_int(rq, "bytes", 1, LINES_BYTES_MAX, &enough) == -1)
		return h_invalid(rq, rs);
	p = req_query(rq, "after", &len);
	if (p == NULL ||
	    !poll_number(p, len, (size_t)rq->cf->cursor_bytes_max, &after))
		after = -1;
	rc = ref != NULL ? cred_ref(rq->st, rq->cf, ref, &who) : STORE_NONE;
	if (rc == STORE_FAILED)
		return h_refuse(rq, rs, rc);
	if (rc != STORE_DONE)
		return rsp_error(rs, 401, "unauthenticated", NULL);

	memset(&pg, 0, sizeof(pg));
	buf_init(&lines, LINES_BYTES_MAX);
	rc = store_read(rq->st) == STORE_FAILED ? STORE_FAILED : STORE_DONE;
	if (rc == STORE_DONE) {
		rc = replay(rq, &who, room, after, upto, (int)limit,
		    (size_t)enough, &lines, &pg);
		store_read_end(rq->st);
	}
	if (rc == STORE_DONE) {
		events_begin(&b, &lines);
		buf_printf(&b, "],\"last\":%" PRId64 ",\"more\":%s}", pg.last,
		    pg.more ? "true" : "false");
		return answer_buf(rs, &b);
	}
	buf_fini(&lines);
	if (rc == STORE_NONE)
		return answer_reset(rs, &pg.state);
	if (rc == STORE_FORBIDDEN)
		return rsp_error(rs, 404, "not_found", NULL);
	return h_refuse(rq, rs, STORE_FAILED);
}
