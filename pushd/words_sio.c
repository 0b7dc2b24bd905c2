/*
 * words_sio.c: the vocabulary of Socket.IO: events with arguments, answered by
 * acknowledgements.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "json.h"
#include "limits.h"
#include "socketio.h"
#include "words.h"

/* --- what the client is told --- */

/* Takes ${o}; ${id} is an event's or 0. */
static void
emit(struct live *v, const char *type, struct json_object *o, int64_t id)
{
	struct frame *f = NULL;
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX);
	json_write(o, &b);
	json_object_put(o);
	if (!b.err)
		f = dialect_sio(type, b.data, b.len, id);
	buf_fini(&b);
	live_frame(v, f, id);
}

/* Answer the event that asked for it.  Takes ${o}. */
static void
ack(struct live *v, int64_t tag, struct json_object *o)
{
	struct json_object *a = json_object_new_array();

	json_object_array_add(a, o);
	sio_send(&socketio_of(v)->sio, 0, tag, 1, a, NULL, 0);
	json_object_put(a);
}

static struct json_object *
success(void)
{
	struct json_object *o = json_object_new_object();

	json_put_bool(o, "success", true);
	return o;
}

void
words_sio_authenticated(struct live *v, int64_t cursor)
{
	const struct ident *id = v->use.ident;
	struct json_object *o = success();
	char text[24];

	json_put_str(o, "userId", id->person->id);
	json_put_str(o, "role", id->person->role);
	json_put_str(o, "userName", id->person->name);
	if (cursor >= 0) {
		snprintf(text, sizeof(text), "%lld", (long long)cursor);
		json_put_str(o, "cursor", text);
	}
	emit(v, "authenticated", o, cursor > 0 ? cursor : 0);
}

void
words_sio_reconnected(struct live *v)
{
	struct json_object *o = success();
	char iso[CLOCK_ISO_SIZE];

	clock_iso(clock_now_ms(), iso);
	json_put_str(o, "timestamp", iso);
	emit(v, "reconnected", o, 0);
}

static void
sio_in(struct live *v, int64_t tag, int again)
{
	if (tag >= 0)
		ack(v, tag, success());
	if (again)
		words_sio_authenticated(v, -1);
	else
		socketio_in(socketio_of(v));
}

static void
sio_resumed(struct live *v, int good, int64_t cursor)
{
	socketio_resumed(socketio_of(v), good, cursor);
}

static void
sio_refuse(struct live *v, int64_t tag, const char *message)
{
	static const char text[] = "Authentication failed";
	struct json_object *o;

	(void)message;
	if (tag == SOCKETIO_CONNECT) {
		socketio_refused(socketio_of(v), text);
		return;
	}
	o = json_object_new_object();
	json_put_str(o, "message", text);
	emit(v, "error", o, 0);
	if (tag >= 0) {
		o = json_object_new_object();
		json_put_bool(o, "success", false);
		json_put_str(o, "error", text);
		ack(v, tag, o);
	}
	v->host->close(v, 1008, "authentication failed");
}

static void
sio_error(struct live *v, const struct about *a, const char *code,
    const char *message, int retry_s)
{
	struct json_object *o;

	if (a != NULL && a->tag == SOCKETIO_BACK) {
		socketio_joined(socketio_of(v), 0);
		return;
	}
	o = json_object_new_object();
	if (a != NULL && a->tag >= 0) {
		json_put_bool(o, "success", false);
		json_put_str(o, "error", message);
	} else {
		json_put_str(o, "message", message);
	}
	json_put_str(o, "code", code);
	if (a != NULL && a->name[0] != '\0')
		json_put_str(o, "conversationId", a->name);
	if (a != NULL && a->has_client_id == 1)
		json_put_str(o, "clientId", a->client_id);
	if (retry_s > 0)
		json_put_int(o, "retry_after", retry_s);
	if (a != NULL && a->tag >= 0)
		ack(v, a->tag, o);
	else
		emit(v, "error", o, 0);
}

static void
sio_joined(
    struct live *v, const struct about *a, const char *id, const char *line)
{
	struct json_object *o;
	char cursor[24];

	if (a->tag == SOCKETIO_BACK) {
		socketio_joined(socketio_of(v), 1);
		return;
	}
	o = a->tag >= 0 ? success() : json_object_new_object();
	json_put_str(o, "conversationId", id);
	json_put_str(o, "line_user_id", line);
	/* Whatever is newer than this comes over this connection. */
	snprintf(
	    cursor, sizeof(cursor), "%lld", (long long)live_push(v)->hub.head);
	json_put_str(o, "cursor", cursor);
	if (a->tag >= 0)
		ack(v, a->tag, o);
	else
		emit(v, "conversation_joined", o, 0);
}

static void
sio_left(struct live *v, const struct about *a, const char *id)
{
	struct json_object *o;

	if (a->tag < 0)
		return;
	o = success();
	json_put_str(o, "conversationId", id);
	ack(v, a->tag, o);
}

static void
sio_tick(struct live *v, int64_t id)
{
	emit(v, "tick", json_object_new_object(), id);
}

/* An acknowledgement moves no client's cursor: the id follows by itself. */
static void
sio_stored(struct live *v, const struct outbox_item *m,
    struct json_object *message, int64_t event_id, int64_t id)
{
	struct json_object *o = words_message(m, message, event_id), *of;

	if (m->about.tag < 0) {
		emit(v, "message_sent", o, id);
		return;
	}
	json_put_bool(o, "success", true);
	if (json_object_object_get_ex(o, "id", &of))
		json_put(o, "messageId", json_object_get(of));
	ack(v, m->about.tag, o);
	if (id > 0 && (v->keeps || v->cursor != PUSH_NOW))
		sio_tick(v, id);
}

static void
sio_done(struct live *v, const struct about *a)
{
	if (a->tag >= 0)
		ack(v, a->tag, success());
}

static void
sio_reset(struct live *v)
{
	struct push *p = live_push(v);

	emit(v, "reset", push_reset(p), p->hub.head);
}

const struct live_words words_sio = {
	.name = "socketio",
	.dialect = DIALECT_SIO,
	.bare = DIALECT_SIO_BARE,
	.all = DIALECT_SIO_ALL,
	.in = sio_in,
	.resumed = sio_resumed,
	.refused = sio_refuse,
	.error = sio_error,
	.joined = sio_joined,
	.left = sio_left,
	.stored = sio_stored,
	.done = sio_done,
	.reset = sio_reset,
	.tick = sio_tick,
};

/* --- what the client says --- */

static struct json_object *
argument(const struct sio_got *got, size_t i)
{
	return i < json_object_array_length(got->data)
		   ? json_object_array_get_idx(got->data, i)
		   : NULL;
}

/* An id as text or number: 1, 0 none, -1 not usable. */
static int
text_of(struct json_object *o, char *out, size_t size)
{
	struct json_object *in;
	int rc;

	if (o == NULL || json_object_is_type(o, json_type_object))
		return 0;
	in = json_object_new_object();
	json_put(in, "x", json_object_get(o));
	rc = words_member(in, "x", out, size);
	json_object_put(in);
	return rc;
}

/* (id, ...) or ({conversationId, ...}, ...). */
static void
about_of(const struct sio_got *got, struct about *a)
{
	struct json_object *o = argument(got, 1);

	memset(a, 0, sizeof(*a));
	if (json_object_is_type(o, json_type_object))
		words_about(o, got->id, a);
	else
		a->has_name = text_of(o, a->name, sizeof(a->name));
	a->tag = got->id;
}

/* authenticate(token | {token | sessionId, offset?, events?}) */
static void
do_authenticate(struct live *v, const struct sio_got *got)
{
	static const char *const keys[] = { "token", "sessionId", "session" };
	struct json_object *o = argument(got, 1);
	const char *text = "";
	size_t len = 0, i;

	if (json_object_is_type(o, json_type_string)) {
		text = json_object_get_string(o);
		len = (size_t)json_object_get_string_len(o);
	} else if (json_object_is_type(o, json_type_object)) {
		words_sio_auth(v, o);
		for (i = 0; i < 3 && len == 0; i++)
			json_get_str(o, keys[i], &text, &len);
	}
	live_auth(v, got->id, text, len);
}

/* send_message({id?, conversationId?, content, ...}) or (id, content) */
static void
do_send(struct live *v, const struct sio_got *got)
{
	struct json_object *o = argument(got, 1), *content;
	const char *type;
	struct about a;
	int note;

	about_of(got, &a);
	if (json_object_is_type(o, json_type_object)) {
		note = json_get_str(o, "type", &type, NULL) == 1 &&
		       strcasecmp(type, "note") == 0;
		live_send(v, &a, o, note, 0);
		return;
	}
	o = json_object_new_object();
	content = argument(got, 2);
	json_put(o, "content",
	    content ? json_object_get(content) : json_object_new_int(0));
	live_send(v, &a, o, 0, 0);
	json_object_put(o);
}

/* read_receipt({conversationId, messageId}) or (conversation, message) */
static void
do_read(struct live *v, const struct sio_got *got)
{
	static const char *const keys[] = { "messageId", "message_id", NULL };
	struct json_object *o = argument(got, 1);
	char message[OUTBOX_ID_MAX];
	struct about a;
	int rc;

	about_of(got, &a);
	if (json_object_is_type(o, json_type_object))
		rc = words_first(o, keys, message, sizeof(message));
	else
		rc = text_of(argument(got, 2), message, sizeof(message));
	if (rc != 1)
		message[0] = '\0';
	live_read(v, &a, message);
}

static void
do_join(struct live *v, const struct sio_got *got)
{
	struct json_object *o = argument(got, 1);
	struct about a;

	about_of(got, &a);
	live_join(v, &a,
	    json_object_is_type(o, json_type_object) ? words_cursor(o)
						     : PUSH_NOW);
}

static void
do_typing(struct live *v, const struct sio_got *got, int typing)
{
	struct about a;

	about_of(got, &a);
	live_typing(v, &a, typing);
}

/* presence_update(status | {status}) */
static void
do_status(struct live *v, const struct sio_got *got)
{
	struct json_object *o = argument(got, 1);
	const struct about a = { .tag = got->id };
	char status[32];
	int rc;

	if (json_object_is_type(o, json_type_object))
		rc = words_member(o, "status", status, sizeof(status));
	else
		rc = text_of(o, status, sizeof(status));
	if (rc == 1)
		live_status(v, &a, status);
	else
		sio_error(v, &a, "bad_request", "Name the status", 0);
}

static void
do_leave(struct live *v, const struct sio_got *got)
{
	struct about a;

	about_of(got, &a);
	live_leave(v, &a);
}

void
words_sio_event(struct sio *s, const struct sio_got *got)
{
	struct live *v = &((struct socketio *)s)->live;
	const struct about a = { .tag = got->id };
	const char *name = json_object_get_string(argument(got, 0));

	if (!live_may(v, &a)) {
		socketio_over((struct socketio *)s);
		return;
	}
	if (strcmp(name, "authenticate") == 0)
		do_authenticate(v, got);
	else if (strcmp(name, "join_conversation") == 0)
		do_join(v, got);
	else if (strcmp(name, "leave_conversation") == 0)
		do_leave(v, got);
	else if (strcmp(name, "send_message") == 0)
		do_send(v, got);
	else if (strcmp(name, "typing_start") == 0)
		do_typing(v, got, 1);
	else if (strcmp(name, "typing_stop") == 0)
		do_typing(v, got, 0);
	else if (strcmp(name, "read_receipt") == 0 ||
		 strcmp(name, "message_read") == 0)
		do_read(v, got);
	else if (strcmp(name, "presence_update") == 0 ||
		 strcmp(name, "user_status") == 0)
		do_status(v, got);
	/* Any other is ignored. */
}

void
words_sio_auth(struct live *v, struct json_object *o)
{
	int64_t cursor = words_cursor(o);
	const char *text;
	size_t len;

	if (v->state != LIVE_NOBODY)
		return;
	if (cursor != PUSH_NOW)
		v->cursor = cursor;
	if (json_get_str(o, "events", &text, &len) == 1 &&
	    strcmp(text, "all") == 0)
		v->all = 1;
}
