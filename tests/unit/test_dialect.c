/*
 * One event, its shapes on the wire.
 *
 * golden/events.jsonl has an event of each type; golden/NAME.txt is what it
 * looks like in the dialect NAME.  GOLDEN=write writes those anew: look at the
 * difference then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dialect.h"

static struct hub_event *
event(const char *line)
{
	struct event *e = NULL;

	if (event_parse(line, strlen(line), &e) != 1)
		fail_msg("%s", line);
	return hub_event_new(e);
}

/* The frame's text, without a WebSocket head. */
static void
check(struct hub_event *he, enum dialect d, enum hub_form form,
    const char *expected)
{
	struct frame *f = dialect_frame(he, d, form);
	size_t skip = 0;

	assert_non_null(f);
	if (d >= DIALECT_SOCKET)
		skip = f->len - 2 < 126 ? 2 : 4;
	assert_int_equal(f->len - skip, strlen(expected));
	assert_memory_equal(f->data + skip, expected, f->len - skip);
	/* Made once. */
	assert_ptr_equal(dialect_frame(he, d, form), f);
}

/* A short frame of one's own, which is let go. */
static void
check_text(struct frame *f, const char *expected)
{
	assert_non_null(f);
	assert_int_equal(f->len - 2, strlen(expected));
	assert_memory_equal(f->data + 2, expected, f->len - 2);
	frame_unref(f);
}

static void
test_shapes(void **state)
{
	struct hub_event *he = event(
	    "{\"id\":1700000000123,\"prev\":1,\"type\":\"notification\","
	    "\"rooms\":[\"user:1\"],\"data\":{\"a\":1},\"public\":{\"b\":2}}");

	(void)state;
	check(he, DIALECT_NAMED, HUB_AGENT,
	    "id: 1700000000123\nevent: notification\ndata: {\"a\":1}\n\n");
	check(he, DIALECT_ENVELOPE, HUB_CUSTOMER,
	    "id: 1700000000123\ndata: {\"type\":\"notification\","
	    "\"data\":{\"b\":2},\"timestamp\":1700000000123,"
	    "\"id\":\"1700000000123\"}\n\n");
	check(he, DIALECT_BOTH, HUB_AGENT,
	    "id: 1700000000123\nevent: notification\ndata: {\"a\":1}\n\n"
	    "id: 1700000000123\ndata: {\"type\":\"notification\","
	    "\"data\":{\"a\":1},\"timestamp\":1700000000123,"
	    "\"id\":\"1700000000123\"}\n\n");
	check(he, DIALECT_ITEM, HUB_CUSTOMER,
	    "{\"type\":\"notification\",\"data\":{\"b\":2},"
	    "\"timestamp\":1700000000123,\"id\":\"1700000000123\"}");
	check(he, DIALECT_SOCKET, HUB_AGENT,
	    "{\"type\":\"notification\",\"payload\":{\"a\":1},"
	    "\"timestamp\":\"2023-11-14T22:13:20.123Z\","
	    "\"id\":\"1700000000123\"}");
	check(he, DIALECT_LIVE, HUB_AGENT,
	    "{\"type\":\"notification\",\"payload\":{\"a\":1},"
	    "\"timestamp\":\"2023-11-14T22:13:20.123Z\","
	    "\"id\":\"1700000000123\"}");
	hub_event_unref(he);
}

static void
test_live(void **state)
{
	struct hub_event *he = event(
	    "{\"id\":1700000000123,\"prev\":1,\"type\":\"new_message\","
	    "\"rooms\":[\"inbox\"],\"data\":{\"id\":\"9\",\"conversation_id\":"
	    "\"4\",\"sender\":{\"kind\":\"customer\",\"id\":\"3\",\"name\":"
	    "\"Lan\"},\"content\":\"xin ch\xc3\xa0o\",\"client_id\":\"c\","
	    "\"created_at\":1700000000123}}");

	(void)state;
	check(he, DIALECT_LIVE, HUB_AGENT,
	    "{\"type\":\"message_received\",\"payload\":{\"id\":\"9\","
	    "\"type\":\"message\",\"conversationId\":\"4\","
	    "\"line_user_id\":\"4\",\"senderId\":\"3\",\"senderName\":\"Lan\","
	    "\"sender\":\"customer\",\"content\":\"xin ch\xc3\xa0o\","
	    "\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"clientId\":\"c\"},"
	    "\"timestamp\":\"2023-11-14T22:13:20.123Z\","
	    "\"id\":\"1700000000123\"}");
	assert_true(dialect_about(he) & SHAPE_TALK);
	hub_event_unref(he);

	he = event(
	    "{\"id\":1700000000124,\"prev\":1,\"type\":\"presence_update\","
	    "\"rooms\":[\"inbox\"],\"data\":{\"user_id\":\"5\",\"status\":"
	    "\"online\"}}");
	check(he, DIALECT_LIVE, HUB_AGENT,
	    "{\"type\":\"operator_status\",\"payload\":{\"userId\":\"5\","
	    "\"admin_id\":\"5\",\"status\":\"online\","
	    "\"timestamp\":\"2023-11-14T22:13:20.124Z\"},"
	    "\"timestamp\":\"2023-11-14T22:13:20.124Z\","
	    "\"id\":\"1700000000124\"}");
	assert_int_equal(
	    dialect_about(he) & (SHAPE_TALK | SHAPE_PRESENCE), SHAPE_PRESENCE);
	hub_event_unref(he);
}

/* No id for what is not in the log. */
static void
test_ephemeral(void **state)
{
	struct hub_event *he =
	    event("{\"id\":0,\"type\":\"typing_indicator\",\"rooms\":"
		  "[\"inbox\"],\"data\":{\"typing\":true}}");
	static const char end[] = ",\"id\":null}";
	struct frame *f;

	(void)state;
	check(he, DIALECT_NAMED, HUB_AGENT,
	    "event: typing_indicator\ndata: {\"typing\":true}\n\n");
	f = dialect_frame(he, DIALECT_ITEM, HUB_AGENT);
	assert_true(f->len > strlen(end));
	assert_memory_equal(f->data + f->len - strlen(end), end, strlen(end));
	hub_event_unref(he);
}

/* What a program publishes as "connect" would confuse such clients. */
static void
test_reserved(void **state)
{
	struct hub_event *he =
	    event("{\"id\":1700000000124,\"prev\":1,\"type\":\"connect\","
		  "\"rooms\":[\"inbox\"],\"data\":{}}");

	(void)state;
	assert_null(dialect_frame(he, DIALECT_SIO, HUB_AGENT));
	assert_non_null(dialect_frame(he, DIALECT_CHAT, HUB_AGENT));
	hub_event_unref(he);
}

static void
test_types(void **state)
{
	char text[66];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[64] = '\0';
	assert_true(dialect_type_ok(text));
	text[64] = 'a';
	text[65] = '\0';
	assert_false(dialect_type_ok(text));
	assert_true(dialect_type_ok("aZ09_.:-"));
	assert_false(dialect_type_ok(""));
	assert_false(dialect_type_ok("a b"));
	assert_false(dialect_type_ok("a\n"));
}

/* --- golden files --- */

#define GOLDEN "tests/unit/golden/"

static const char *const names[] = {
	[DIALECT_NAMED] = "named",
	[DIALECT_ENVELOPE] = "envelope",
	[DIALECT_BOTH] = "both",
	[DIALECT_ITEM] = "item",
	[DIALECT_SOCKET] = "socket",
	[DIALECT_LIVE] = "live",
	[DIALECT_LIVE_BARE] = "live_bare",
	[DIALECT_CHAT] = "chat",
	[DIALECT_CHAT_BARE] = "chat_bare",
	[DIALECT_SIO] = "sio",
	[DIALECT_SIO_BARE] = "sio_bare",
	[DIALECT_SIO_ALL] = "sio_all",
};

static void
slurp(const char *path, struct buf *b)
{
	FILE *f = fopen(path, "r");
	char part[4096];
	size_t n;

	if (f == NULL)
		fail_msg("%s: run from the project's root", path);
	buf_init(b, 1 << 20);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_append(b, part, n);
	fclose(f);
	buf_putc(b, '\0');
	assert_false(b->err);
}

/* Append the text, with the time of what has none of its own as NOW. */
static void
put(struct buf *b, const char *p, size_t len, int ephemeral)
{
	static const char key[] = "\"timestamp\":";
	size_t i = 0, n = strlen(key);

	while (i < len) {
		if (!ephemeral || len - i < n || memcmp(p + i, key, n) != 0) {
			buf_putc(b, p[i++]);
			continue;
		}
		buf_printf(b, "%sNOW", key);
		for (i += n; i < len && p[i] != ',' && p[i] != '}'; i++)
			;
	}
}

/* The event, as the dialect has it for agents and, if at all, customers. */
static void
put_event(struct buf *b, struct hub_event *he, enum dialect d)
{
	static const char *const who[] = { "agent", "customer" };
	struct frame *f;
	size_t skip;
	int form;

	for (form = HUB_AGENT; form <= HUB_CUSTOMER; form++) {
		if (form == HUB_CUSTOMER && he->e->public == NULL)
			continue;
		f = dialect_frame(he, d, form);
		assert_non_null(f);
		assert_ptr_equal(dialect_frame(he, d, form), f);
		skip = 0;
		if (d >= DIALECT_SOCKET) {
			assert_int_equal((unsigned char)f->data[0], 0x81);
			skip = f->len - 2 < 126 ? 2 : 4;
		}
		buf_printf(b, "# %s %s\n", he->e->type, who[form]);
		put(b, f->data + skip, f->len - skip, he->e->id == 0);
		buf_putc(b, '\n');
	}
}

static void
golden(enum dialect d, const char *events)
{
	const char *line = events, *end;
	struct hub_event *he;
	struct buf made, kept;
	struct event *e;
	char path[128];
	FILE *f;

	buf_init(&made, 1 << 20);
	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		assert_int_equal(
		    event_parse(line, (size_t)(end - line), &e), 1);
		he = hub_event_new(e);
		put_event(&made, he, d);
		hub_event_unref(he);
	}
	buf_putc(&made, '\0');
	assert_false(made.err);
	snprintf(path, sizeof(path), GOLDEN "%s.txt", names[d]);
	if (getenv("GOLDEN") != NULL) {
		assert_non_null(f = fopen(path, "w"));
		fputs(made.data, f);
		fclose(f);
	}
	slurp(path, &kept);
	assert_string_equal(made.data, kept.data);
	buf_fini(&kept);
	buf_fini(&made);
}

static void
test_golden(void **state)
{
	struct buf events;
	enum dialect d;
	char key[80];
	size_t i;

	(void)state;
	slurp(GOLDEN "events.jsonl", &events);
	for (i = 0; shape_type(i) != NULL; i++) {
		snprintf(key, sizeof(key), "\"type\":\"%s\",\"rooms\"",
		    shape_type(i));
		if (strstr(events.data, key) == NULL)
			fail_msg("no event %s", shape_type(i));
	}
	for (d = 0; d < DIALECTS; d++)
		golden(d, events.data);
	buf_fini(&events);
}

/* Members that a message of the chat dialect has of its own are kept. */
static void
test_flat(void **state)
{
	struct json_object *o = json_object_new_object();
	struct frame *f;

	(void)state;
	json_object_object_add(o, "a", json_object_new_string("x\n\"y"));
	json_object_object_add(o, "type", json_object_new_string("no"));
	json_object_object_add(o, "timestamp", json_object_new_int(1));
	json_object_object_add(o, "cursor", json_object_new_string("5"));
	f = dialect_flat("t", json_object_get(o), 0, 7);
	check_text(f, "{\"type\":\"t\",\"a\":\"x\\n\\\"y\","
		      "\"cursor\":\"5\",\"timestamp\":7}");
	f = dialect_flat("t", o, 9, 7);
	check_text(f, "{\"type\":\"t\",\"a\":\"x\\n\\\"y\","
		      "\"timestamp\":7,\"cursor\":\"9\"}");
	f = dialect_flat("t", NULL, 0, 7);
	check_text(f, "{\"type\":\"t\",\"timestamp\":7}");
	f = dialect_sio("t", "1", 1, 9);
	check_text(f, "42[\"t\",1,\"9\"]");
	/* No text of somebody else's is taken for a cursor. */
	f = dialect_sio("t", "\"9\"", 3, 0);
	check_text(f, "42[\"t\",\"9\",null]");
	f = dialect_sio("t", "\"9\"", 3, 8);
	check_text(f, "42[\"t\",\"9\",\"8\"]");
	f = dialect_sio("t", "[\"9\"]", 5, 0);
	check_text(f, "42[\"t\",[\"9\"]]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_ephemeral),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_flat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
