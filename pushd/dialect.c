/*
 * dialect.c: one event, its several shapes on the wire.
 *
 * The data of an event is JSON in one line already; most shapes only put
 * something around it.  Where socket clients have names of their own for it,
 * shape.c says which.
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
	size_t n = 0;
	char c;

	while (n <= EVENT_TYPE_MAX && (c = type[n]) != '\0') {
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '.' ||
			c == ':' || c == '-'))
			return 0;
		n++;
	}
	return n > 0 && n <= EVENT_TYPE_MAX;
}

unsigned
dialect_about(struct hub_event *he)
{
	if (!he->has_about) {
		he->about = (uint8_t)shape_about(he->e->type);
		he->has_about = 1;
	}
	return he->about;
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

/* --- the chat dialect --- */

/* Members of ${b}'s object that nobody else has written. */
static void
flat_members(struct buf *b, struct json_object *fields)
{
	struct json_object_iterator it = json_object_iter_begin(fields);
	struct json_object_iterator end = json_object_iter_end(fields);
	const char *key;

	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		key = json_object_iter_peek_name(&it);
		if (strcmp(key, "type") == 0 || strcmp(key, "timestamp") == 0 ||
		    strcmp(key, "cursor") == 0)
			continue;
		buf_putc(b, ',');
		json_write_str(b, key, strlen(key));
		buf_putc(b, ':');
		json_write(json_object_iter_peek_value(&it), b);
	}
}

/* The end of a message of the chat dialect, and its frame. */
static struct frame *
flat_end(struct buf *b, int64_t id, int64_t stamp)
{
	struct frame *f = NULL;

	buf_printf(b, ",\"timestamp\":%lld", (long long)stamp);
	if (id > 0)
		buf_printf(b, ",\"cursor\":\"%lld\"", (long long)id);
	buf_putc(b, '}');
	if (!b->err)
		f = dialect_websocket(b->data, b->len);
	buf_fini(b);
	return f;
}

struct frame *
dialect_flat(
    const char *type, struct json_object *fields, int64_t id, int64_t stamp)
{
	struct json_object *cursor;
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX * 2);
	buf_printf(&b, "{\"type\":\"%s\"", type);
	if (fields != NULL) {
		flat_members(&b, fields);
		/* One of its own, where there is no event's. */
		if (id <= 0 &&
		    json_object_object_get_ex(fields, "cursor", &cursor)) {
			buf_puts(&b, ",\"cursor\":");
			json_write(cursor, &b);
		}
	}
	json_object_put(fields);
	return flat_end(&b, id, stamp);
}

/* --- Socket.IO --- */

/* Names that its clients take for news of the connection. */
static int
sio_reserved(const char *name)
{
	static const char *const names[] = { "connect", "connect_error",
		"disconnect", "disconnecting", "newListener",
		"removeListener" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return 1;
	return 0;
}

struct frame *
dialect_sio(const char *type, const char *data, size_t len, int64_t id)
{
	struct frame *f = NULL;
	struct buf b;

	/* Engine.IO's message, then Socket.IO's event. */
	buf_init(&b, EVENT_LINE_MAX * 2);
	buf_printf(&b, "42[\"%s\",", type);
	buf_append(&b, data, len);
	if (id > 0)
		buf_printf(&b, ",\"%lld\"", (long long)id);
	else if (len > 0 && data[0] == '"')
		/* A text that comes last is a cursor to stock clients. */
		buf_puts(&b, ",null");
	buf_putc(&b, ']');
	if (!b.err)
		f = dialect_websocket(b.data, b.len);
	buf_fini(&b);
	return f;
}

/* --- what socket clients have names of their own for --- */

/* {"type","<under>":data,...}; without ${under}: the members of ${o}. */
static struct frame *
chat(const struct shape *shape, const char *data, size_t len, int64_t id,
    int64_t stamp)
{
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX * 2);
	buf_printf(&b, "{\"type\":\"%s\"", shape->name);
	if (shape->under == NULL && shape->data != NULL) {
		flat_members(&b, shape->data);
	} else {
		buf_printf(&b,
		    ",\"%s\":", shape->under == NULL ? "data" : shape->under);
		buf_append(&b, data, len);
	}
	return flat_end(&b, id, stamp);
}

static struct frame *
shaped(
    const struct event *e, enum family family, enum hub_form form, int64_t id)
{
	int64_t stamp = stamp_of(e);
	struct frame *f = NULL;
	struct shape shape;
	const char *data;
	struct buf b;
	size_t len;

	data = data_of(e, form, &len);
	if (shape_of(e, family, data, len, stamp, &shape) == -1)
		return NULL;
	buf_init(&b, EVENT_LINE_MAX * 2);
	if (shape.data != NULL) {
		json_write(shape.data, &b);
		data = b.data;
		len = b.len;
	}
	if (b.err)
		f = NULL;
	else if (family == FAMILY_LIVE)
		f = message(shape.name, data, len, id, stamp);
	else if (family == FAMILY_CHAT)
		f = chat(&shape, data, len, id, stamp);
	else if (!sio_reserved(shape.name))
		f = dialect_sio(shape.name, data, len, id);
	json_object_put(shape.data);
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
	/* Nothing from outside reaches the framing. */
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
		return shaped(e, FAMILY_LIVE, form, e->id);
	case DIALECT_LIVE_BARE:
		return shaped(e, FAMILY_LIVE, form, 0);
	case DIALECT_CHAT:
		return shaped(e, FAMILY_CHAT, form, e->id);
	case DIALECT_CHAT_BARE:
		return shaped(e, FAMILY_CHAT, form, 0);
	case DIALECT_SIO:
		return shaped(e, FAMILY_SIO, form, e->id);
	case DIALECT_SIO_BARE:
		return shaped(e, FAMILY_SIO, form, 0);
	case DIALECT_SIO_ALL:
		return sio_reserved(e->type)
			   ? NULL
			   : dialect_sio(e->type, data, len, e->id);
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
