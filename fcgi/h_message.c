/* Messages, how far they were read, and who types. */

#include "h_message.h"

#include "../common/event.h"
#include "../common/id.h"
#include "../common/json.h"
#include "../common/utf8.h"
#include "emit.h"
#include "h.h"
#include "rate.h"
#include "store_conversation.h"
#include "store_delivery.h"
#include "store_message.h"
#include "store_presence.h"
#include "store_read.h"
#include "token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Answers to tap: as much as the platforms that have them take. */
#define QUICK_MAX 13
#define QUICK_TITLE_CHARS 20
#define QUICK_PAYLOAD_BYTES 1000

int
message_list_in(struct req *rq, struct rsp *rs, int64_t conversation)
{
	struct json_object *o = NULL;
	struct store_page pg;
	const char *p;
	size_t len;
	int rc, status;

	/* after=0 is a client with nothing yet: oldest first, from the first.
	 * Ids are times, so none is 1. */
	p = req_query(rq, "after", &len);
	if (p != NULL && len == 1 && *p == '0') {
		int64_t limit = 50;

		if (req_query_int(
			rq, "limit", 1, rq->cf->page_items_max, &limit) == -1)
			return h_bad(rs, "limit");
		pg = (struct store_page){ .after = 1, .limit = (int)limit };
	} else if ((status = h_page(rq, rs, &pg)) != 0)
		return status;

	rc = store_messages(rq->st, &rq->who, conversation, &pg, &o);
	return h_answer(rq, rs, 200, rc, o, 0);
}

/*
 * GET /api/conversations/:id/messages    ?before= ?after= ?limit=
 * 200 {"items","next","cursor"}: newest first; with `after` (a message's id,
 * or 0) oldest first.  Notes only for agents.
 * 400 bad_request: limit, before, after; 404.
 */
int
message_list(struct req *rq, struct rsp *rs)
{
	return message_list_in(rq, rs, rq->id[0]);
}

/* What makes a repeated message the same one.  0, or -1 without memory. */
static int
hash_message(const struct message *m, char out[TOKEN_HASH_SIZE])
{
	struct buf b;
	int rc;

	buf_init(&b, ANSWER_BYTES_MAX);
	buf_printf(&b, "%" PRId64 " %" PRId64 " %d", m->conversation,
	    m->reply_to, m->note ? 1 : 0);
	for (size_t i = 0; i < m->nfiles; i++)
		buf_printf(&b, " %" PRId64, m->files[i]);
	buf_putc(&b, '\n');
	buf_append(&b, m->content, m->content_len);
	if (m->payload != NULL)
		json_write(m->payload, &b);
	token_hash(b.data, b.len, out);
	rc = b.err ? -1 : 0;
	buf_fini(&b);
	return rc;
}

/*
 * `seen`, the newest message the sender had read, as req_id.  0 is a sender
 * who saw none; for the store that is "does not matter", and no id is 1.
 */
static int
read_seen(struct req *rq, int64_t *id)
{
	const char *p;
	int64_t n;
	size_t len;

	if ((json_get_str(rq->json, "seen", &p, &len) == 1 && len == 1 &&
		*p == '0') ||
	    (json_get_int(rq->json, "seen", &n) == 1 && n == 0)) {
		*id = 1;
		return 1;
	}
	return req_id(rq, "seen", id);
}

/* One answer to tap into ${list}; false when it is none. */
static bool
read_quick_one(struct json_object *o, struct json_object *list)
{
	const char *title, *payload;
	struct json_object *one;
	size_t len, plen;

	if (!json_object_is_type(o, json_type_object) ||
	    json_get_str(o, "title", &title, &len) != 1 || len == 0 ||
	    utf8_chars(title, len) > QUICK_TITLE_CHARS || strlen(title) != len)
		return false;
	switch (json_get_str(o, "payload", &payload, &plen)) {
	case 1:
		if (plen > QUICK_PAYLOAD_BYTES || strlen(payload) != plen)
			return false;
		break;
	case 0:
		payload = title;
		break;
	default:
		return false;
	}
	one = json_object_new_object();
	json_put_str(one, "title", title);
	json_put_str(one, "payload", payload);
	json_object_array_add(list, one);
	return true;
}

/*
 * `quick_replies`, answers to tap below an agent's message: new payload of the
 * message, or NULL without.
 */
static struct json_object *
read_quick(struct req *rq)
{
	struct json_object *list = NULL, *clean, *payload;
	int rc = json_get_arr(rq->json, "quick_replies", &list);
	size_t n = rc == 1 ? json_object_array_length(list) : 0;

	if (rc == -1 || n > QUICK_MAX ||
	    (n > 0 && rq->who.kind == WHO_CUSTOMER)) {
		rq->bad_field = "quick_replies";
		return NULL;
	}
	if (n == 0)
		return NULL;
	clean = json_object_new_array();
	for (size_t i = 0; i < n; i++)
		if (!read_quick_one(json_object_array_get_idx(list, i), clean))
			rq->bad_field = "quick_replies";
	payload = json_object_new_object();
	json_put(payload, "quick_replies", clean);
	return payload;
}

/* "attachments": ids of uploads.  0, or -1 and bad_field. */
static int
read_files(struct req *rq, struct message *m)
{
	struct json_object *list = NULL, *v;
	int rc = json_get_arr(rq->json, "attachments", &list);
	int64_t *ids;
	size_t i, n;

	if (rc == 0)
		return 0;
	n = rc == 1 ? json_object_array_length(list) : 0;
	if (rc == 1 && n == 0)
		return 0;
	rq->bad_field = "attachments";
	if (rc == -1 || n > (size_t)rq->cf->message_files_max ||
	    (ids = req_alloc(rq, n * sizeof(*ids))) == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		v = json_object_array_get_idx(list, i);
		ids[i] = json_object_is_type(v, json_type_string) ||
				 json_object_is_type(v, json_type_int)
			     ? id_parse(json_object_get_string(v),
				   strlen(json_object_get_string(v)))
			     : 0;
		if (ids[i] == 0)
			return -1;
	}
	rq->bad_field = NULL;
	m->files = ids;
	m->nfiles = n;
	return 0;
}

/*
 * Reads the members of a new message, whose payload is then the caller's to
 * free.  0, or the status of the refusal.
 */
static int
read_message(struct req *rq, struct rsp *rs, struct message *m)
{
	const char *kind, *type, *key;
	int status;

	if (read_files(rq, m) == -1)
		return h_invalid(rq, rs);
	/* With a file there need be no text. */
	m->content = req_text(rq, "content", m->nfiles > 0 ? 0 : 1,
	    (size_t)rq->cf->message_chars_max,
	    (size_t)rq->cf->message_bytes_max, m->nfiles > 0 ? "" : NULL);
	if (m->content == NULL)
		return h_invalid(rq, rs);
	m->content_len = strlen(m->content);

	kind = req_opt(rq, "kind", 32, "text");
	/* A note misspelt must not become an answer. */
	type = h_word(rq, "type", "note|incoming|outgoing");
	m->client_id =
	    req_opt(rq, "client_id", (size_t)rq->cf->client_id_bytes_max, NULL);
	if (rq->bad_field == NULL && strcmp(kind, "text") != 0)
		rq->bad_field = "kind";
	if (m->client_id != NULL && *m->client_id == '\0')
		rq->bad_field = "client_id";
	(void)req_id(rq, "reply_to", &m->reply_to);
	(void)read_seen(rq, &m->seen);
	m->payload = read_quick(rq);
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);

	m->note = type != NULL && strcmp(type, "note") == 0;
	if ((status = h_key(rq, rs, &key)) != 0)
		return status;
	if (m->client_id == NULL)
		m->client_id = key;
	return 0;
}

/* 409 with what the sender had not seen. */
static int
answer_newer(struct rsp *rs, struct message *m)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "error", rsp_sentence("new_messages"));
	json_put_str(o, "code", "new_messages");
	json_put_bool(o, "success", false);
	json_put(o, "items", m->newer);
	m->newer = NULL;
	rs->code = "new_messages";
	return rsp_json(rs, 409, o);
}

/* 201 the message; X-Event-Id is its event, the cursor the newest of ours. */
static int
answer_new(struct req *rq, struct rsp *rs, struct message *m)
{
	struct json_object *o = m->json;
	int64_t last = store_event_last(rq->st);

	m->json = NULL;
	rsp_header(rs, "X-Event-Id", "%" PRId64, m->id);
	return h_answer(
	    rq, rs, 201, STORE_DONE, o, last > m->id ? last : m->id);
}

/* 200 the message as it is now. */
static int
answer_again(struct req *rq, struct rsp *rs, int64_t id)
{
	struct json_object *o = NULL;
	int64_t cursor;
	int rc;

	if ((cursor = h_read(rq)) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_message(rq->st, &rq->who, id, &o);
	h_read_end(rq);
	if (h_good(rc))
		rsp_header(rs, "X-Event-Id", "%" PRId64, id);
	return h_answer(rq, rs, 200, rc, o, cursor);
}

/* The direct conversation with the user, made if there is none. */
static int
direct_with(struct req *rq, int64_t user, int64_t *conversation)
{
	int rc =
	    store_conversation_direct(rq->st, &rq->who, user, conversation);

	if (rc == STORE_REPEATED)
		return STORE_DONE;
	return rc == STORE_INVALID ? STORE_NONE : rc;
}

/* What was read, to the user ${to}, or if that is 0 into the conversation. */
static int
post_read(struct req *rq, struct rsp *rs, int64_t conversation, int64_t to,
    struct message *m)
{
	char hash[TOKEN_HASH_SIZE] = "";
	int64_t wait_s;
	int rc = STORE_DONE, status;

	if ((wait_s = rate_take(rq, RATE_USER_MESSAGE, 0)) != 0)
		return rsp_retry(rs, 429, "rate_limited", wait_s);
	if (to != 0)
		rc = direct_with(rq, to, &conversation);
	m->conversation = conversation;
	if (rc == STORE_DONE)
		rc = store_conversation_may(rq->st, &rq->who, conversation,
		    m->note ? MAY_NOTE : MAY_WRITE, NULL);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	if ((wait_s = rate_take(rq, RATE_CONVERSATION, conversation)) != 0)
		return rsp_retry(rs, 429, "rate_limited", wait_s);
	if (hash_message(m, hash) == -1)
		return rsp_error(rs, 503, "busy", NULL);
	m->hash = hash;

	rc = store_message_add(rq->st, &rq->who, m);
	switch (rc) {
	case STORE_DONE:
		status = answer_new(rq, rs, m);
		break;
	case STORE_REPEATED:
		status = answer_again(rq, rs, m->id);
		break;
	case STORE_NEWER:
		status = answer_newer(rs, m);
		break;
	default:
		status = h_refuse(rq, rs, rc);
		break;
	}
	message_fini(m);
	m->hash = NULL;
	return status;
}

static int
post(struct req *rq, struct rsp *rs, int64_t conversation, int64_t to)
{
	struct message m = { .note = false };
	int status = read_message(rq, rs, &m);

	if (status == 0)
		status = post_read(rq, rs, conversation, to, &m);
	json_object_put(m.payload);
	return status;
}

int
message_post_in(struct req *rq, struct rsp *rs, int64_t conversation)
{
	return post(rq, rs, conversation, 0);
}

/*
 * POST /api/conversations/:id/messages
 *	{"content": 1..10000 characters, "client_id"?: 1..128 bytes,
 *	 "type"?: "note", "reply_to"?, "seen"?, "kind"?: "text",
 *	 "quick_replies"?: [{"title", "payload"?}]: an agent's, up to 13}
 *	 "attachments"?: at most 10 ids of own uploads, not used before}
 * With attachments the content may be absent; the kind is the first one's.
 * 201 the message, X-Event-Id its event; 200 the same again for a client_id
 * (or Idempotency-Key) that was here.  With `seen`, the newest message the
 * sender had read (0: none), nothing is stored if others wrote since.
 * 403 forbidden: a customer's note; 404; 409 new_messages {"items"},
 * idempotency_conflict, conflict (merged away); 422 invalid: the member that
 * is; 429 rate_limited; 503 busy, no_space.
 */
int
message_post(struct req *rq, struct rsp *rs)
{
	return message_post_in(rq, rs, rq->id[0]);
}

/*
 * POST /api/users/:id/messages    as POST /api/conversations/:id/messages
 * The message goes into the direct conversation of the two, which is made if
 * there is none.  404 also: no such user, or oneself.
 */
int
message_post_user(struct req *rq, struct rsp *rs)
{
	return post(rq, rs, 0, rq->id[0]);
}

/*
 * PATCH /api/messages/:id    {"content": 1..10000 characters}
 * 200 the message; what it said before stays in its history.
 * 403 forbidden: neither author nor admin; 404; 409 conflict: deleted, not a
 * text, or its platform may have it already; 422 invalid: content.
 */
int
message_patch(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	const char *content;
	int rc;

	content = req_text(rq, "content", 1, (size_t)rq->cf->message_chars_max,
	    (size_t)rq->cf->message_bytes_max, NULL);
	if (content == NULL)
		return h_invalid(rq, rs);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_message_edit(
	    rq->st, &rq->who, rq->id[0], content, strlen(content), &o);
	return h_end(rq, rs, 200, rc, o);
}

/*
 * DELETE /api/messages/:id
 * 200 the message, which keeps its place and loses its content; again: the
 * same.  403 forbidden: neither author nor admin; 404.
 */
int
message_delete(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int rc;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_message_delete(rq->st, &rq->who, rq->id[0], &o);
	return h_end(rq, rs, 200, rc, o);
}

/*
 * POST /api/messages/:id/resend
 * 200 the message: what failed or has an unknown end goes to the platform
 * again, under the same key.  404; 409 conflict: there is nothing of it to
 * send again.
 */
int
message_post_resend(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int rc;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_delivery_resend(rq->st, &rq->who, rq->id[0], &o);
	return h_end(rq, rs, 200, rc, o);
}

/*
 * POST /api/conversations/:id/read    {"message_id"}
 * 200 {"success":true}: all up to it is read.  The watermark only moves
 * forward; the others get a read_receipt.
 * 404; 422 invalid: message_id is missing or not of this conversation.
 */
int
message_post_read(struct req *rq, struct rsp *rs)
{
	int64_t id = 0;
	int rc;

	if (req_id(rq, "message_id", &id) != 1) {
		rq->bad_field = "message_id";
		return h_invalid(rq, rs);
	}
	rc = store_read_mark(rq->st, &rq->who, rq->id[0], id);
	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}

/*
 * POST /api/messages/:id/read
 * 200 {"success":true}: all up to it is read in its conversation, as POST
 * /api/conversations/:id/read does.  404.
 */
int
message_post_read_to(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t conversation = 0;
	int rc;

	rc = store_message(rq->st, &rq->who, rq->id[0], &o);
	if (rc == STORE_DONE &&
	    json_get_id(o, "conversation_id", &conversation) != 1)
		rc = STORE_NONE;
	json_object_put(o);
	if (rc == STORE_DONE)
		rc = store_read_mark(rq->st, &rq->who, conversation, rq->id[0]);
	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}

/*
 * The rooms that hear who types in ${c}, as texts in ${rq}'s memory.  The
 * number of them, or 0 if there is no memory.
 */
static size_t
typing_rooms(struct req *rq, const struct conversation *c, const char *rooms[],
    size_t max)
{
	struct json_object *o = NULL, *a = NULL;
	char text[EVENT_ROOM_MAX];
	size_t i, n = 0;
	int64_t id;

	(void)snprintf(text, sizeof(text), "conversation:%" PRId64, c->id);
	rooms[n++] = req_strdup(rq, text, strlen(text));
	if (c->customer != 0) {
		rooms[n++] = "inbox";
		(void)snprintf(
		    text, sizeof(text), "customer:%" PRId64, c->customer);
		rooms[n++] = req_strdup(rq, text, strlen(text));
	} else if (store_conversation(rq->st, &rq->who, c->id, &o) ==
		       STORE_DONE &&
		   json_get_arr(o, "participants", &a) == 1) {
		for (i = 0; i < json_object_array_length(a) && n < max; i++) {
			if (json_get_id(json_object_array_get_idx(a, i), "id",
				&id) != 1)
				continue;
			(void)snprintf(text, sizeof(text), "user:%" PRId64, id);
			rooms[n++] = req_strdup(rq, text, strlen(text));
		}
	}
	json_object_put(o);
	for (i = 0; i < n; i++) {
		if (rooms[i] == NULL)
			return 0;
	}
	return n;
}

/* Tells pushd; a hint without id, nothing is stored by it. */
static void
typing_emit(
    struct req *rq, const struct conversation *c, const char *name, bool on)
{
	const char *rooms[256];
	struct json_object *o = json_object_new_object();
	bool agent = rq->who.kind == WHO_USER;
	char self[EVENT_ROOM_MAX];
	struct event e;
	struct buf b;

	(void)snprintf(self, sizeof(self), "%s:%" PRId64,
	    agent ? "user" : "customer", rq->who.id);
	json_put_id(o, "conversation_id", c->id);
	json_put_id(o, "user_id", rq->who.id);
	json_put_str(o, "user_name", name);
	json_put_str(o, "kind", agent ? "agent" : "customer");
	json_put_bool(o, "typing", on);
	buf_init(&b, EVENT_PACKET_MAX);
	json_write(o, &b);
	json_object_put(o);

	memset(&e, 0, sizeof(e));
	e.type = "typing_indicator";
	e.data = e.public = b.data;
	e.data_len = e.public_len = b.len;
	e.rooms = rooms;
	e.nrooms = typing_rooms(rq, c, rooms, 256);
	e.except = self;
	if (!b.err && e.nrooms > 0)
		emit_ephemeral(&e);
	buf_fini(&b);
}

/*
 * POST /api/conversations/:id/typing    {"typing": bool}
 * 200 {"success":true}: the others are told, if not told within the second.
 * It ends by itself after 3 s.
 * 404; 422 invalid: typing.
 */
int
message_post_typing(struct req *rq, struct rsp *rs)
{
	char name[NAME_BYTES_MAX] = "";
	struct conversation c;
	bool on = false;
	int rc;

	if (req_bool(rq, "typing", &on) != 1) {
		rq->bad_field = "typing";
		return h_invalid(rq, rs);
	}
	rc = store_conversation_may(rq->st, &rq->who, rq->id[0], MAY_WRITE, &c);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	/* An end is never dropped: it must not outlive its beginning. */
	if (on && rate_take(rq, RATE_TYPING, c.id) != 0)
		return h_success(rs);
	rc = store_typing_set(rq->st, &rq->who, c.id, on,
	    rq->now_ms + rq->cf->typing_ms, name, sizeof(name));
	if (h_good(rc))
		typing_emit(rq, &c, name, on);
	else if (rc != STORE_FAILED)
		return h_refuse(rq, rs, rc);
	return h_success(rs); /* what is ephemeral may be lost */
}

/*
 * GET /api/unread
 * 200 {"items":[{"conversation_id","unread_count"}],"total","cursor"}: the
 * asker's own; for agents without closed conversations.  A count stops at 100.
 */
int
unread_get(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int rc = store_unread(rq->st, &rq->who, &o);

	return h_answer(rq, rs, 200, rc, o, 0);
}
