/*
 * One event, its shapes on the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
	assert_true(dialect_conversational(he->e));
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
	assert_false(dialect_conversational(he->e));
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

/* Socket.IO's clients know some events by other names and members. */
static void
test_sio(void **state)
{
	struct hub_event *he = event(
	    "{\"id\":1700000000123,\"prev\":1,\"type\":\"new_message\","
	    "\"rooms\":[\"inbox\"],\"data\":{\"id\":\"9\",\"conversation_id\":"
	    "\"4\",\"sender\":{\"kind\":\"customer\",\"id\":\"3\",\"name\":"
	    "\"Lan\"},\"content\":\"hi\",\"created_at\":1700000000000}}");

	(void)state;
	check(he, DIALECT_SIO, HUB_AGENT,
	    "42[\"message_received\",{\"id\":\"9\",\"type\":\"message\","
	    "\"conversationId\":\"4\",\"line_user_id\":\"4\","
	    "\"senderId\":\"3\",\"senderName\":\"Lan\","
	    "\"sender\":\"customer\",\"content\":\"hi\","
	    "\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"clientId\":null},"
	    "\"1700000000123\"]");
	check(he, DIALECT_SIO_ALL, HUB_AGENT,
	    "42[\"new_message\",{\"id\":\"9\",\"conversation_id\":\"4\","
	    "\"sender\":{\"kind\":\"customer\",\"id\":\"3\",\"name\":"
	    "\"Lan\"},\"content\":\"hi\",\"created_at\":1700000000000},"
	    "\"1700000000123\"]");
	hub_event_unref(he);
	he = event("{\"id\":1700000000123,\"prev\":1,"
		   "\"type\":\"presence_update\",\"rooms\":[\"agents\"],"
		   "\"data\":{\"user_id\":\"7\",\"status\":\"offline\","
		   "\"last_seen\":1700000000000}}");
	check(he, DIALECT_SIO_BARE, HUB_AGENT,
	    "42[\"presence_update\",{\"userId\":\"7\",\"status\":\"offline\","
	    "\"timestamp\":\"2023-11-14T22:13:20.123Z\","
	    "\"last_seen\":\"2023-11-14T22:13:20.000Z\"}]");
	hub_event_unref(he);
	he = event("{\"id\":1700000000123,\"prev\":1,"
		   "\"type\":\"read_receipt\",\"rooms\":[\"agents\"],"
		   "\"data\":{\"conversation_id\":\"4\",\"message_id\":\"9\","
		   "\"read_by\":\"7\",\"read_at\":1700000000000}}");
	check(he, DIALECT_SIO, HUB_AGENT,
	    "42[\"read_receipt\",{\"messageId\":\"9\","
	    "\"conversationId\":\"4\",\"line_user_id\":\"4\","
	    "\"readBy\":\"7\",\"readAt\":\"2023-11-14T22:13:20.000Z\"},"
	    "\"1700000000123\"]");
	hub_event_unref(he);
	he = event("{\"id\":1700000000123,\"prev\":1,\"type\":\"other\","
		   "\"rooms\":[\"agents\"],\"data\":{\"a\":[1,\"/\"]}}");
	check(he, DIALECT_SIO, HUB_AGENT,
	    "42[\"other\",{\"a\":[1,\"/\"]},\"1700000000123\"]");
	hub_event_unref(he);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_ephemeral),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_sio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
