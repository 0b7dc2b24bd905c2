/*
 * shape.c: what an event is called, and what its data looks like, for each
 * family of clients.
 *
 * SSE and polls show every event under its own name, as it is.  Socket clients
 * have names of their own for some, and expect camelCase and times in one
 * form; what a family has no shape for it gets as it is.
 */
#include <string.h>

#include "clock.h"
#include "json.h"
#include "limits.h"
#include "shape.h"

/* What a shape is made from. */
struct from {
	struct json_object *data;
	enum family family;
	int64_t stamp;
};

/* How a family shows a type. */
struct look {
	const char *name; /* NULL: its own */
	void (*fill)(
	    struct json_object *to, const struct from *from); /* NULL: as is */
	const char *under; /* as in struct shape */
};

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

static int
has(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && v != NULL;
}

static void
move_as_is(struct json_object *to, const char *name, struct json_object *from,
    const char *key)
{
	struct json_object *v;

	if (json_object_object_get_ex(from, key, &v) && v != NULL)
		json_put(to, name, json_object_get(v));
}

/* A time, if it is there, as ISO. */
static void
move_time(struct json_object *to, const char *name, const struct from *from,
    const char *key)
{
	char iso[CLOCK_ISO_SIZE];
	int64_t at;

	if (json_get_int(from->data, key, &at) != 1)
		return;
	clock_iso(at, iso);
	json_put_str(to, name, iso);
}

static void
put_time(struct json_object *to, const char *name, const struct from *from,
    int64_t at)
{
	char iso[CLOCK_ISO_SIZE];

	clock_iso(at, iso);
	if (from->family == FAMILY_CHAT)
		json_put_int(to, name, at);
	else
		json_put_str(to, name, iso);
}

/* The conversation, under each name that the family knows it by. */
static void
move_conversation(struct json_object *to, const struct from *from)
{
	static const char key[] = "conversation_id", line[] = "line_user_id";

	move(to, "conversationId", from->data, key);
	if (from->family == FAMILY_CHAT)
		move(to, "groupId", from->data, key);
	else
		move(to, line, from->data, has(from->data, line) ? line : key);
}

/* --- messages --- */

static void
message_rest(struct json_object *to, const struct from *from)
{
	struct json_object *data = from->data;

	if (has(data, "client_id"))
		move(to, "clientId", data, "client_id");
	move_as_is(to, "kind", data, "kind");
	move_as_is(to, "attachments", data, "attachments");
	move_as_is(to, "reply_to", data, "reply_to");
	move_as_is(to, "status", data, "status");
	move_time(to, "editedAt", from, "edited_at");
	move_time(to, "deletedAt", from, "deleted_at");
}

static void
message(struct json_object *to, const struct from *from)
{
	struct json_object *data = from->data, *sender = NULL;
	int64_t at = from->stamp;

	json_get_int(data, "created_at", &at);
	move(to, "id", data, "id");
	json_put_str(to, "type", "message");
	move_conversation(to, from);
	if (json_get_obj(data, "sender", &sender) == 1) {
		move(to, "senderId", sender, "id");
		move(to, "senderName", sender, "name");
		move(to, "sender", sender, "kind");
	}
	move(to, "content", data, "content");
	put_time(to, "timestamp", from, at);
	message_rest(to, from);
}

/* To one user, or into a conversation, which is a group here. */
static void
chat_message(struct json_object *to, const struct from *from)
{
	struct json_object *data = from->data, *sender = NULL;
	int64_t at = from->stamp;
	int direct;
	const char *type;

	direct = json_get_str(data, "conversation_type", &type, NULL) == 1 &&
		 strcmp(type, "direct") == 0;
	json_get_int(data, "created_at", &at);
	move(to, "id", data, "id");
	if (json_get_obj(data, "sender", &sender) == 1) {
		move(to, "from", sender, "id");
		move(to, "fromName", sender, "name");
		move(to, "sender", sender, "kind");
	}
	if (direct)
		move(to, "to", data, "to");
	move_conversation(to, from);
	move(to, "content", data, "content");
	put_time(to, "timestamp", from, at);
	json_put_str(to, "type", direct ? "direct" : "group");
	message_rest(to, from);
}

/* --- signals --- */

static void
typing(struct json_object *to, const struct from *from)
{
	bool on = false;

	json_get_bool(from->data, "typing", &on);
	move(to, "userId", from->data, "user_id");
	move(to, "userName", from->data, "user_name");
	move_conversation(to, from);
	json_put_bool(to, "isTyping", on);
	if (from->family == FAMILY_LIVE)
		json_put_bool(to, "is_typing", on);
	if (from->family == FAMILY_CHAT)
		json_put_int(to, "timestamp", from->stamp);
}

/* Customers are told only whether somebody is there. */
static void
presence(struct json_object *to, const struct from *from)
{
	struct json_object *data = from->data;
	bool here = false;

	if (json_get_bool(data, "here", &here) == 1) {
		json_put_bool(to, "here", here);
		json_put_str(to, "status", here ? "online" : "offline");
	} else {
		move(to, "userId", data, "user_id");
		if (from->family == FAMILY_LIVE)
			move(to, "admin_id", data, "user_id");
		if (has(data, "user_name"))
			move(to, "userName", data, "user_name");
		move(to, "status", data, "status");
		if (has(data, "text"))
			move(to, "text", data, "text");
		move_time(to, "last_seen", from, "last_seen");
	}
	put_time(to, "timestamp", from, from->stamp);
}

/* --- others --- */

/* As it is, and again under the names that are usual among these clients. */
static void
named(struct json_object *to, const struct from *from)
{
	static const char *const ids[][2] = { { "message_id", "messageId" },
		{ "customer_id", "customerId" }, { "user_id", "userId" },
		{ "read_by", "readBy" }, { "read_by_kind", "readByKind" },
		{ "read_by_name", "readByName" },
		{ "deleted_by", "deletedBy" } };
	static const char *const times[][2] = { { "read_at", "readAt" },
		{ "deleted_at", "deletedAt" }, { "last_seen", "lastSeen" } };
	struct json_object_iterator it = json_object_iter_begin(from->data);
	struct json_object_iterator end = json_object_iter_end(from->data);
	size_t i;

	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it))
		json_put(to, json_object_iter_peek_name(&it),
		    json_object_get(json_object_iter_peek_value(&it)));
	if (has(from->data, "conversation_id"))
		move_conversation(to, from);
	for (i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		if (json_object_object_get_ex(from->data, ids[i][0], NULL))
			move(to, ids[i][1], from->data, ids[i][0]);
	for (i = 0; i < sizeof(times) / sizeof(*times); i++)
		move_time(to, times[i][1], from, times[i][0]);
}

/* --- the table --- */

#define TALK (SHAPE_TALK | SHAPE_KNOWN)

/* clang-format off */
static const struct row {
	const char *type;
	unsigned about;
	struct look look[FAMILIES];
} rows[] = {
	/* type, about
	     live			chat				socket.io */
	{ "new_message", TALK, {
	    { "message_received", message, NULL },
	    { NULL, chat_message, "message" },
	    { "message_received", message, NULL } } },
	{ "message_sent", TALK, {
	    { NULL, message, NULL },
	    { NULL, chat_message, "message" },
	    { NULL, message, NULL } } },
	{ "message_updated", TALK, {
	    { NULL, message, NULL },
	    { NULL, chat_message, "message" },
	    { NULL, message, NULL } } },
	{ "message_deleted", TALK, {
	    { NULL, named, NULL },
	    { NULL, named, "message" },
	    { NULL, named, NULL } } },
	{ "message_status", TALK, {
	    { NULL, named, NULL }, { NULL, named, NULL },
	    { NULL, named, NULL } } },
	{ "message_reaction", TALK, {
	    { NULL, named, NULL }, { NULL, named, NULL },
	    { NULL, named, NULL } } },
	{ "read_receipt", TALK, {
	    { NULL, named, NULL }, { NULL, named, NULL },
	    { NULL, named, NULL } } },
	{ "typing_indicator", TALK, {
	    { "user_typing", typing, NULL },
	    { NULL, typing, "typing" },
	    { NULL, typing, NULL } } },
	{ "presence_update", SHAPE_PRESENCE | SHAPE_KNOWN, {
	    { "operator_status", presence, NULL },
	    { "user_status", presence, "status" },
	    { NULL, presence, NULL } } },
	{ "customer_status", SHAPE_KNOWN, {
	    { NULL, named, NULL },
	    { NULL, named, "status" },
	    { NULL, named, NULL } } },
	{ "new_conversation", SHAPE_KNOWN, {
	    { NULL, NULL, NULL }, { NULL, NULL, "conversation" },
	    { NULL, NULL, NULL } } },
	{ "conversation_updated", SHAPE_MEMBERS | SHAPE_KNOWN, {
	    { NULL, NULL, NULL }, { NULL, NULL, "conversation" },
	    { NULL, NULL, NULL } } },
	{ "customer_created", SHAPE_KNOWN, {
	    { NULL, NULL, NULL }, { NULL, NULL, "customer" },
	    { NULL, NULL, NULL } } },
	{ "customer_updated", SHAPE_KNOWN, {
	    { NULL, NULL, NULL }, { NULL, NULL, "customer" },
	    { NULL, NULL, NULL } } },
	{ "customer_deleted", SHAPE_KNOWN, {
	    { NULL, NULL, NULL }, { NULL, NULL, "customer" },
	    { NULL, NULL, NULL } } },
	{ "notification", SHAPE_KNOWN, {
	    { NULL, NULL, NULL }, { NULL, NULL, "notification" },
	    { NULL, NULL, NULL } } },
	{ "system_notification", SHAPE_KNOWN, {
	    { NULL, NULL, NULL }, { NULL, NULL, "notification" },
	    { NULL, NULL, NULL } } },
	{ "call_signal", SHAPE_KNOWN, {
	    { NULL, named, NULL }, { NULL, named, "signal" },
	    { NULL, named, NULL } } },
	/* What programs send to a user's sockets. */
	{ "message", SHAPE_KNOWN, {
	    { NULL, NULL, NULL }, { NULL, named, NULL },
	    { NULL, NULL, NULL } } },
};
/* clang-format on */

/* What a program publishes under a name of its own. */
static const struct row other = { NULL, 0,
	{ { NULL, NULL, NULL }, { NULL, NULL, "data" },
	    { NULL, NULL, NULL } } };

static const struct row *
row_of(const char *type)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(rows[i].type, type) == 0)
			return &rows[i];
	return &other;
}

const char *
shape_type(size_t i)
{
	return i < sizeof(rows) / sizeof(*rows) ? rows[i].type : NULL;
}

unsigned
shape_about(const char *type)
{
	return row_of(type)->about;
}

int
shape_of(const struct event *e, enum family f, const char *data, size_t len,
    int64_t stamp, struct shape *out)
{
	const struct look *look = &row_of(e->type)->look[f];
	struct from from = { .family = f, .stamp = stamp };
	const char *why;
	int rc;

	out->name = look->name != NULL ? look->name : e->type;
	out->under = look->under;
	out->data = NULL;
	if (look->fill == NULL)
		return 0;
	rc = json_parse(data, len, JSON_DEPTH_MAX, 1000000, EVENT_LINE_MAX,
	    &from.data, &why);
	if (rc == 0 && json_object_is_type(from.data, json_type_object)) {
		out->data = json_object_new_object();
		look->fill(out->data, &from);
	}
	json_object_put(from.data);
	return rc;
}
