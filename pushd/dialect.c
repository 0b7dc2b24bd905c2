/*
 * dialect.c: one event, its several shapes on the wire.
 *
 * The data of an event is JSON in one line already; most shapes only put
 * something around it.  The live dialect has names of its own for some events
 * and is written from the parsed data.
 */
#include <string.h>

#include "clock.h"
#include "dialect.h"
#include "json.h"
#include "limits.h"
#include "log.h"
#include "wsframe.h"

/* Hung on an event that a dialect does not show. */
static struct frame nothing = { .refs = 1, .len = 0 };

int
dialect_type_ok(const char *type)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
	size_t n = strlen(type);

	return n > 0 && n <= EVENT_TYPE_MAX && strspn(type, ok) == n;
}

int
dialect_conversational(const struct event *e)
{
	static const char *const types[] = { "new_message", "message_updated",
		"message_deleted", "message_status", "message_reaction",
		"read_receipt", "typing_indicator" };
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(e->type, types[i]) == 0)
			return 1;
	return 0;
}

static const char *
data_of(const struct event *e, enum hub_form form, size_t *len)
{
	*len = form == HUB_AGENT ? e->data_len : e->public_len;
	return form == HUB_AGENT ? e->data : e->public;
}

static int64_t
stamp_of(const struct event *e)
{
	return e->id > 0 ? e->id : clock_now_ms();
}

static void
envelope(struct buf *b, const char *type, const char *data, size_t len,
    int64_t id, int64_t stamp)
{
	buf_printf(b, "{\"type\":\"%s\",\"data\":", type);
	buf_append(b, data, len);
	buf_printf(b, ",\"timestamp\":%lld", (long long)stamp);
	if (id >= 0)
		buf_printf(b, ",\"id\":\"%lld\"", (long long)id);
	buf_putc(b, '}');
}

void
dialect_envelope(struct buf *b, const struct event *e, enum hub_form form)
{
	size_t len;
	const char *data = data_of(e, form, &len);

	envelope(b, e->type, data, len, e->id > 0 ? e->id : -1, stamp_of(e));
}

void
dialect_sse(struct buf *b, enum dialect d, const char *type, const char *data,
    size_t len, int64_t id, int64_t stamp)
{
	if (d == DIALECT_NAMED || d == DIALECT_BOTH) {
		if (id >= 0)
			buf_printf(b, "id: %lld\n", (long long)id);
		buf_printf(b, "event: %s\ndata: ", type);
		buf_append(b, data, len);
		buf_puts(b, "\n\n");
	}
	if (d == DIALECT_ENVELOPE || d == DIALECT_BOTH) {
		if (id >= 0)
			buf_printf(b, "id: %lld\n", (long long)id);
		buf_puts(b, "data: ");
		envelope(b, type, data, len, id, stamp);
		buf_puts(b, "\n\n");
	}
}

struct frame *
dialect_websocket(const char *text, size_t len)
{
	unsigned char head[WSFRAME_HEAD_MAX];
	size_t n = wsframe_head(head, WS_TEXT, len);
	struct frame *f = frame_new(NULL, n + len);

	if (f == NULL)
		return NULL;
	memcpy(f->data, head, n);
	memcpy(f->data + n, text, len);
	return f;
}

/* {"type","payload","timestamp"} around a payload that is text already. */
static struct frame *
message(const char *type, const char *payload, size_t len, int64_t id,
    int64_t stamp)
{
	char iso[CLOCK_ISO_SIZE];
	struct frame *f = NULL;
	struct buf b;

	clock_iso(stamp, iso);
	buf_init(&b, EVENT_LINE_MAX * 2);
	buf_printf(&b, "{\"type\":\"%s\",\"payload\":", type);
	buf_append(&b, payload, len);
	buf_printf(&b, ",\"timestamp\":\"%s\"", iso);
	if (id > 0)
		buf_printf(&b, ",\"id\":\"%lld\"", (long long)id);
	buf_putc(&b, '}');
	if (!b.err)
		f = dialect_websocket(b.data, b.len);
	buf_fini(&b);
	return f;
}

struct frame *
dialect_message(
    const char *type, struct json_object *payload, int64_t id, int64_t stamp)
{
	struct frame *f = NULL;
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX);
	json_write(payload, &b);
	json_object_put(payload);
	if (!b.err)
		f = message(type, b.data, b.len, id, stamp);
	buf_fini(&b);
	return f;
}

/* --- the live dialect --- */

/* Copy a member under another name; a number becomes its text. */
static void
move(struct json_object *to, const char *name, struct json_object *from,
    const char *key)
{
	const char *p;
	size_t len;
	int64_t n;

	if (json_get_str(from, key, &p, &len) == 1)
		json_put_strn(to, name, p, len);
	else if (json_get_int(from, key, &n) == 1)
		json_put_id(to, name, n);
	else
		json_put_str(to, name, NULL);
}

static void
move_as_is(struct json_object *to, const char *name, struct json_object *from,
    const char *key)
{
	struct json_object *v;

	if (json_object_object_get_ex(from, key, &v) && v != NULL)
		json_put(to, name, json_object_get(v));
}

/* The conversation under both of its names. */
static void
move_conversation(struct json_object *to, struct json_object *from)
{
	const char *p;
	size_t len;

	move(to, "conversationId", from, "conversation_id");
	if (json_get_str(from, "line_user_id", &p, &len) == 1)
		json_put_strn(to, "line_user_id", p, len);
	else
		move(to, "line_user_id", from, "conversation_id");
}

static struct json_object *
live_message(struct json_object *data, const struct event *e)
{
	struct json_object *o = json_object_new_object(), *sender = NULL;
	char iso[CLOCK_ISO_SIZE];
	int64_t at = stamp_of(e);

	json_get_int(data, "created_at", &at);
	clock_iso(at, iso);
	move(o, "id", data, "id");
	json_put_str(o, "type", "message");
	move_conversation(o, data);
	if (json_get_obj(data, "sender", &sender) == 1) {
		move(o, "senderId", sender, "id");
		move(o, "senderName", sender, "name");
		move(o, "sender", sender, "kind");
	}
	move(o, "content", data, "content");
	json_put_str(o, "timestamp", iso);
	move(o, "clientId", data, "client_id");
	move_as_is(o, "kind", data, "kind");
	move_as_is(o, "attachments", data, "attachments");
	move_as_is(o, "reply_to", data, "reply_to");
	move_as_is(o, "status", data, "status");
	return o;
}

static struct json_object *
live_typing(struct json_object *data)
{
	struct json_object *o = json_object_new_object();
	bool typing = false;

	json_get_bool(data, "typing", &typing);
	move(o, "userId", data, "user_id");
	move(o, "userName", data, "user_name");
	move_conversation(o, data);
	json_put_bool(o, "isTyping", typing);
	json_put_bool(o, "is_typing", typing);
	return o;
}

static struct json_object *
live_status(struct json_object *data, const struct event *e)
{
	struct json_object *o = json_object_new_object();
	char iso[CLOCK_ISO_SIZE];

	clock_iso(stamp_of(e), iso);
	move(o, "userId", data, "user_id");
	move(o, "admin_id", data, "user_id");
	move(o, "status", data, "status");
	json_put_str(o, "timestamp", iso);
	return o;
}

static struct frame *
live(const struct event *e, enum hub_form form, int64_t id)
{
	struct json_object *data = NULL, *o = NULL;
	const char *type = e->type, *why, *p;
	struct frame *f;
	size_t len;

	p = data_of(e, form, &len);
	if (strcmp(type, "new_message") != 0 &&
	    strcmp(type, "typing_indicator") != 0 &&
	    strcmp(type, "presence_update") != 0)
		return message(type, p, len, id, stamp_of(e));
	if (json_parse(p, len, JSON_DEPTH_MAX, 1000000, EVENT_LINE_MAX, &data,
		&why) == -1)
		return NULL;
	if (type[0] == 'n') {
		type = "message_received";
		o = live_message(data, e);
	} else if (type[0] == 't') {
		type = "user_typing";
		o = live_typing(data);
	} else {
		type = "operator_status";
		o = live_status(data, e);
	}
	f = dialect_message(type, o, id, stamp_of(e));
	json_object_put(data);
	return f;
}

/* --- Socket.IO --- */

struct frame *
dialect_sio(const char *type, const char *data, size_t len, int64_t id)
{
	struct frame *f = NULL;
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX * 2);
	buf_printf(&b, "42[\"%s\",", type);
	buf_append(&b, data, len);
	if (id > 0)
		buf_printf(&b, ",\"%lld\"", (long long)id);
	buf_putc(&b, ']');
	if (!b.err)
		f = dialect_websocket(b.data, b.len);
	buf_fini(&b);
	return f;
}

/* Milliseconds as ISO 8601. */
static void
move_time(struct json_object *to, const char *name, struct json_object *from,
    const char *key)
{
	char iso[CLOCK_ISO_SIZE];
	int64_t ms;

	if (json_get_int(from, key, &ms) != 1) {
		json_put_str(to, name, NULL);
		return;
	}
	clock_iso(ms, iso);
	json_put_str(to, name, iso);
}

static struct json_object *
sio_presence(struct json_object *data, const struct event *e)
{
	struct json_object *o = json_object_new_object();
	char iso[CLOCK_ISO_SIZE];

	clock_iso(stamp_of(e), iso);
	move(o, "userId", data, "user_id");
	move(o, "status", data, "status");
	move_as_is(o, "text", data, "text");
	json_put_str(o, "timestamp", iso);
	move_time(o, "last_seen", data, "last_seen");
	return o;
}

static struct json_object *
sio_receipt(struct json_object *data)
{
	struct json_object *o = json_object_new_object();

	move(o, "messageId", data, "message_id");
	move_conversation(o, data);
	move_as_is(o, "readBy", data, "read_by");
	move_time(o, "readAt", data, "read_at");
	return o;
}

/* The event's name and argument as a Socket.IO client knows them. */
static struct json_object *
sio_argument(const struct event *e, struct json_object *data, const char **type)
{
	if (strcmp(e->type, "new_message") == 0) {
		*type = "message_received";
		return live_message(data, e);
	}
	if (strcmp(e->type, "typing_indicator") == 0)
		return live_typing(data);
	if (strcmp(e->type, "presence_update") == 0)
		return sio_presence(data, e);
	if (strcmp(e->type, "read_receipt") == 0)
		return sio_receipt(data);
	return NULL;
}

static struct frame *
sio(const struct event *e, enum hub_form form, int64_t id)
{
	struct json_object *data = NULL, *o;
	const char *type = e->type, *why, *p;
	struct frame *f = NULL;
	struct buf b;
	size_t len;

	p = data_of(e, form, &len);
	if (json_parse(p, len, JSON_DEPTH_MAX, 1000000, EVENT_LINE_MAX, &data,
		&why) == -1)
		return NULL;
	o = sio_argument(e, data, &type);
	json_object_put(data);
	if (o == NULL)
		return dialect_sio(type, p, len, id);
	buf_init(&b, EVENT_LINE_MAX * 2);
	json_write(o, &b);
	json_object_put(o);
	if (!b.err)
		f = dialect_sio(type, b.data, b.len, id);
	buf_fini(&b);
	return f;
}

/* --- an event's shapes --- */

static struct frame *
sse(const struct event *e, enum dialect d, enum hub_form form)
{
	struct frame *f = NULL;
	const char *data;
	struct buf b;
	size_t len;

	data = data_of(e, form, &len);
	buf_init(&b, EVENT_LINE_MAX * 2 + 1024);
	dialect_sse(
	    &b, d, e->type, data, len, e->id > 0 ? e->id : -1, stamp_of(e));
	if (!b.err)
		f = frame_new(b.data, b.len);
	buf_fini(&b);
	return f;
}

/* As a poll has it: a signal's id is null. */
static struct frame *
item(const struct event *e, const char *data, size_t len)
{
	struct frame *f = NULL;
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX * 2 + 1024);
	envelope(&b, e->type, data, len, e->id > 0 ? e->id : -1, stamp_of(e));
	if (e->id <= 0 && !b.err) {
		b.len--;
		buf_puts(&b, ",\"id\":null}");
	}
	if (!b.err)
		f = frame_new(b.data, b.len);
	buf_fini(&b);
	return f;
}

static struct frame *
encode(const struct event *e, enum dialect d, enum hub_form form)
{
	const char *data;
	size_t len;

	data = data_of(e, form, &len);
	/* Nothing from outside reaches the framing (security.md F3). */
	if (data == NULL || memchr(data, '\n', len) ||
	    memchr(data, '\r', len) || !dialect_type_ok(e->type)) {
		log_error(
		    "dialect event id=%lld why=malformed", (long long)e->id);
		return NULL;
	}
	switch (d) {
	case DIALECT_ITEM:
		return item(e, data, len);
	case DIALECT_SOCKET:
		return message(e->type, data, len, e->id, stamp_of(e));
	case DIALECT_LIVE:
		return live(e, form, e->id);
	case DIALECT_LIVE_BARE:
		return live(e, form, 0);
	case DIALECT_SIO:
		return sio(e, form, e->id);
	case DIALECT_SIO_BARE:
		return sio(e, form, 0);
	case DIALECT_SIO_ALL:
		return dialect_sio(e->type, data, len, e->id);
	default:
		return sse(e, d, form);
	}
}

struct frame *
dialect_frame(struct hub_event *he, enum dialect d, enum hub_form form)
{
	struct frame **f = &he->frame[d][form];

	_Static_assert(DIALECTS <= HUB_DIALECTS, "room on the event");
	if (*f == NULL) {
		*f = encode(he->e, d, form);
		if (*f == NULL)
			*f = frame_ref(&nothing);
	}
	return *f == &nothing ? NULL : *f;
}
