/*
 * words_native.c: what is said over native WebSockets: the live dialect,
 * {type, payload, timestamp}, and the chat dialect, which is flat and has some
 * commands more.  Both are understood in either form.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "json.h"
#include "words.h"

/* --- what the client is told --- */

static int
is_chat(const struct live *v)
{
	return v->host->words == &words_chat;
}

/* Takes ${payload}; ${id} is an event's or 0. */
static void
say(struct live *v, const char *type, struct json_object *payload, int64_t id)
{
	int64_t stamp = id > 0 ? id : clock_now_ms();

	live_frame(v,
	    is_chat(v) ? dialect_flat(type, payload, id, stamp)
		       : dialect_message(type, payload, id, stamp),
	    id);
}

static void
auth_success(struct live *v, int64_t cursor)
{
	const struct ident *id = v->use.ident;
	struct json_object *o = json_object_new_object();
	char text[24];

	json_put_str(o, "userId", id->person->id);
	json_put_str(o, v->sub.form == HUB_AGENT ? "admin_id" : "customer_id",
	    id->person->id);
	json_put_str(o, "role", id->person->role);
	json_put_str(o, "userName", id->person->name);
	if (cursor >= 0) {
		snprintf(text, sizeof(text), "%lld", (long long)cursor);
		json_put_str(o, "cursor", text);
	}
	say(v, "auth_success", o, 0);
}

/*
 * Without a cursor of its own it is given one: once that is known.  Who says
 * again who it is gets none that would leave out what is on its way to it.
 */
static void
say_in(struct live *v, int64_t tag, int again)
{
	(void)tag;
	if (again)
		auth_success(v, live_cursor(v));
	else if (v->cursor != PUSH_NOW)
		auth_success(v, -1);
}

static void
say_resumed(struct live *v, int good, int64_t cursor)
{
	(void)good;
	if (v->cursor == PUSH_NOW)
		auth_success(v, cursor);
}

static void
say_refused(struct live *v, int64_t tag, const char *message)
{
	struct json_object *o = json_object_new_object();

	(void)tag;
	json_put_str(o, "message", message);
	say(v, "auth_error", o, 0);
	v->host->close(v, 1008, "authentication failed");
}

static void
say_error(struct live *v, const struct about *a, const char *code,
    const char *message, int retry_s)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "message", message);
	json_put_str(o, "code", code);
	if (a != NULL && a->name[0] != '\0') {
		json_put_str(o, "conversationId", a->name);
		json_put_str(o, "line_user_id", a->name);
	}
	if (a != NULL && a->has_client_id == 1)
		json_put_str(o, "clientId", a->client_id);
	if (retry_s > 0)
		json_put_int(o, "retry_after", retry_s);
	say(v, "error", o, 0);
}

static void
say_joined(
    struct live *v, const struct about *a, const char *id, const char *line)
{
	struct json_object *o = json_object_new_object();
	char cursor[24];

	(void)a;
	json_put_str(o, "conversationId", id);
	if (is_chat(v)) {
		json_put_str(o, "groupId", id);
	} else {
		json_put_str(o, "line_user_id", line);
		/* Whatever is newer than this comes over this connection. */
		snprintf(cursor, sizeof(cursor), "%lld",
		    (long long)live_push(v)->hub.head);
		json_put_str(o, "cursor", cursor);
	}
	say(v, "conversation_joined", o, 0);
}

static void
say_left(struct live *v, const struct about *a, const char *id)
{
	(void)v;
	(void)a;
	(void)id;
}

static void
say_stored(struct live *v, const struct outbox_item *m,
    struct json_object *message, int64_t event_id, int64_t id)
{
	/* Heard as the others hear it, if that is still to come or has. */
	if (m->heard && event_id > 0 &&
	    (m->seen != NULL || event_id > v->sub.cursor))
		return;
	say(v, "message_sent", words_message(m, message, event_id), id);
}

static void
say_done(struct live *v, const struct about *a)
{
	(void)v;
	(void)a;
}

static void
say_reset(struct live *v)
{
	say(v, "reset", push_reset(live_push(v)), 0);
}

static void
say_tick(struct live *v, int64_t id)
{
	say(v, "tick", json_object_new_object(), id);
}

/* --- what the client says --- */

static void
do_auth(struct live *v, struct json_object *root, struct json_object *o)
{
	static const char *const keys[] = { "token", "sessionId", "session" };
	const char *text = "";
	size_t len = 0, i;
	int64_t cursor;

	if (json_get_str(o, "events", &text, &len) == 1 &&
	    strcmp(text, "all") == 0)
		v->all = 1;
	cursor = words_cursor(o);
	if (v->state == LIVE_NOBODY && cursor != PUSH_NOW)
		v->cursor = cursor;
	len = 0;
	if (json_get_str(root, "payload", &text, &len) != 1)
		for (i = 0; i < 3 && len == 0; i++)
			json_get_str(o, keys[i], &text, &len);
	live_auth(v, -1, text, len);
}

static void
do_read(struct live *v, struct json_object *o, const struct about *a)
{
	static const char *const keys[] = { "messageId", "message_id", NULL };
	char message[OUTBOX_ID_MAX];

	if (words_first(o, keys, message, sizeof(message)) != 1)
		message[0] = '\0';
	live_read(v, a, message);
}

/* However it is spelt, what is meant for agents stays with them. */
static int
is_note(struct json_object *payload)
{
	const char *type;

	return payload != NULL &&
	       json_get_str(payload, "type", &type, NULL) == 1 &&
	       strcasecmp(type, "note") == 0;
}

/* A flag under any of its names; ${otherwise} if it is not there. */
static int
flag(struct json_object *o, const char *const *names, int otherwise)
{
	bool on;

	for (; *names != NULL; names++)
		if (json_get_bool(o, *names, &on) == 1)
			return on;
	return otherwise;
}

static void
do_status(struct live *v, struct json_object *o, const struct about *a)
{
	char status[32];

	if (words_member(o, "status", status, sizeof(status)) == 1)
		live_status(v, a, status);
	else
		say_error(v, a, "bad_request", "Name the status", 0);
}

/* To a user, or into a group: commands of the chat dialect. */
static void
do_message(struct live *v, struct json_object *o, const struct about *a)
{
	char to[OUTBOX_ID_MAX];

	if (words_member(o, "to", to, sizeof(to)) == 1)
		live_send_to(v, a, o, to);
	else if (live_is_in(v, a))
		say_error(v, a, "bad_request", "Name whom it is to", 0);
}

static void
do_group(struct live *v, struct json_object *o, const struct about *a)
{
	if (a->has_name != 0)
		live_send(v, a, o, 0, 1);
	else if (live_is_in(v, a))
		say_error(v, a, "bad_request", "Name the group", 0);
}

/* One of the chat dialect's own commands: whether it was. */
static int
do_chat(struct live *v, const char *type, struct json_object *o,
    const struct about *a)
{
	static const char *const typing[] = { "isTyping", "is_typing", "typing",
		NULL };

	if (!is_chat(v))
		return 0;
	if (strcmp(type, "message") == 0)
		do_message(v, o, a);
	else if (strcmp(type, "group_message") == 0)
		do_group(v, o, a);
	else if (strcmp(type, "typing") == 0)
		live_typing(v, a, flag(o, typing, 1));
	else
		return 0;
	return 1;
}

static void
do_command(struct live *v, const char *type, struct json_object *o,
    struct json_object *payload)
{
	struct about a;

	words_about(o, -1, &a);
	if (do_chat(v, type, o, &a))
		return;
	if (strcmp(type, "leave_conversation") == 0)
		live_leave(v, &a);
	else if (strcmp(type, "message_send") == 0)
		live_send(v, &a, o, is_note(payload), 0);
	else if (strcmp(type, "join_conversation") == 0)
		live_join(v, &a, words_cursor(o));
	else if (strcmp(type, "typing_start") == 0)
		live_typing(v, &a, 1);
	else if (strcmp(type, "typing_stop") == 0)
		live_typing(v, &a, 0);
	else if (strcmp(type, "message_read") == 0 ||
		 strcmp(type, "read_receipt") == 0)
		do_read(v, o, &a);
	else if (strcmp(type, "user_status") == 0 ||
		 strcmp(type, "presence_update") == 0)
		do_status(v, o, &a);
	else if (live_is_in(v, NULL))
		say_error(v, NULL, "unknown_type", "There is no such type", 0);
}

static void
on_object(struct live *v, struct json_object *root)
{
	struct json_object *payload = NULL, *o = root;
	char type[64];

	if (words_member(root, "type", type, sizeof(type)) != 1) {
		say_error(v, NULL, "bad_request", "A message has a type", 0);
		return;
	}
	if (json_get_obj(root, "payload", &payload) == 1)
		o = payload;
	if (strcmp(type, "ping") == 0)
		say(v, "pong", json_object_new_object(), 0);
	else if (strcmp(type, "auth") == 0)
		do_auth(v, root, o);
	else
		do_command(v, type, o, payload);
}

static void
hear(struct live *v, const char *p, size_t len)
{
	struct json_object *root;

	/* Whatever it is: before any work is done for it. */
	if (!live_may(v, NULL)) {
		if (v->over == LIVE_OVER_MAX)
			v->host->close(v, 1008, "too many messages");
		return;
	}
	if (p == NULL) {
		say_error(v, NULL, "binary", "Messages are text", 0);
		return;
	}
	root = words_parse(v, p, len);
	if (root != NULL)
		on_object(v, root);
	json_object_put(root);
}

/* clang-format off */
#define NATIVE								\
	.text = hear,							\
	.in = say_in,							\
	.resumed = say_resumed,						\
	.refused = say_refused,						\
	.error = say_error,						\
	.joined = say_joined,						\
	.left = say_left,						\
	.stored = say_stored,						\
	.done = say_done,						\
	.reset = say_reset,						\
	.tick = say_tick
/* clang-format on */

const struct live_words words_live = {
	.name = "live",
	.dialect = DIALECT_LIVE,
	.bare = DIALECT_LIVE_BARE,
	.all = DIALECT_SOCKET,
	NATIVE,
};

const struct live_words words_chat = {
	.name = "chat",
	.dialect = DIALECT_CHAT,
	.bare = DIALECT_CHAT_BARE,
	.all = DIALECT_CHAT,
	.members = 1,
	NATIVE,
};
