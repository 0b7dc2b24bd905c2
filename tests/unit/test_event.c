/* event.c: what is written is read; all else is refused. */

#include "buf.h"
#include "event.h"
#include "limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *rooms[] = { "inbox", "customer:9", "conversation:12" };

static struct event
sample(void)
{
	struct event e = { .id = 1767225599999,
		.prev = 1767225599998,
		.type = "new_message",
		.rooms = rooms,
		.nrooms = 3 };

	e.data = "{\"id\":\"5\",\"content\":\"a\\n\xe1\xba\xa1 }]\\\"\"}";
	e.data_len = strlen(e.data);
	return e;
}

static int
parse(const char *s)
{
	struct event *e;
	int rc = event_parse(s, strlen(s), &e);

	event_free(e);
	return rc;
}

static void
there_and_back(void **state)
{
	struct event e = sample(), *got;
	struct buf b;

	(void)state;
	buf_init(&b, EVENT_PACKET_MAX);
	event_encode(&e, &b);
	assert_int_equal(event_parse(b.data, b.len, &got), 1);
	assert_true(got->id == e.id && got->prev == e.prev);
	assert_string_equal(got->type, e.type);
	assert_string_equal(got->data, e.data);
	assert_int_equal(got->nrooms, 3);
	assert_string_equal(got->rooms[0], "inbox");
	assert_string_equal(got->rooms[2], "conversation:12");
	assert_null(got->public);
	assert_null(got->except);
	event_free(got);

	/* Public as it is, or in a form of its own. */
	e.public = e.data;
	e.public_len = e.data_len;
	buf_reset(&b);
	event_encode(&e, &b);
	assert_non_null(strstr(b.data, ",\"public\":true}"));
	assert_int_equal(event_parse(b.data, b.len, &got), 1);
	assert_ptr_equal(got->public, got->data);
	assert_int_equal(got->public_len, got->data_len);
	event_free(got);
	e.public = "{}";
	e.public_len = 2;
	buf_reset(&b);
	event_encode(&e, &b);
	assert_int_equal(event_parse(b.data, b.len, &got), 1);
	assert_string_equal(got->public, "{}");
	event_free(got);

	/* Ephemeral. */
	e.id = e.prev = 0;
	e.except = "user:5";
	buf_reset(&b);
	event_encode(&e, &b);
	assert_int_equal(event_parse(b.data, b.len, &got), 1);
	assert_string_equal(got->except, "user:5");
	event_free(got);
	buf_fini(&b);
}

static void
cut_anywhere(void **state)
{
	struct event e = sample(), *got;
	struct buf b;
	size_t i;

	(void)state;
	e.public = "{\"a\":[1]}";
	e.public_len = 9;
	e.except = "user:7";
	buf_init(&b, EVENT_PACKET_MAX);
	event_encode(&e, &b);
	for (i = 0; i < b.len; i++) {
		/* From the heap, so that reading too far is seen. */
		char *p = malloc(i > 0 ? i : 1);

		memcpy(p, b.data, i);
		assert_int_equal(event_parse(p, i, &got), -1);
		assert_null(got);
		free(p);
	}
	buf_fini(&b);
}

static void
refusals(void **state)
{
	static const char *const bad[] = {
		"", "{}", "[]", "null", "{\"id\":1}", "{\"id\":0}",
		"{\"id\":5,\"prev\":5}", "{\"id\":-1,\"prev\":0}",
		"{\"id\":1.5,\"prev\":0}",
		"{\"id\":9007199254740992,\"prev\":0}",
		"{\"id\":\"5\",\"prev\":4}", "{\"id\":5,\"prev\":4} x",
		"{\"id\":5,\"prev\":4,\"id\":6}",
		"{\"id\":5,\"prev\":4,\"type\":\"a\"}",
		"{\"id\":5,\"prev\":4,\"rooms\":[],\"data\":{}}",
		"{\"id\":5,\"prev\":4,\"type\":\"a b\",\"rooms\":[],\"data\":1}",
		"{\"id\":5,\"prev\":4,\"type\":\"\",\"rooms\":[],\"data\":1}",
		"{\"id\":5,\"prev\":4,\"type\":\"a\",\"rooms\":[\"x\",],\"data\":1}",
		"{\"id\":5,\"prev\":4,\"type\":\"a\",\"rooms\":[\"\"],\"data\":1}",
		"{\"id\":5,\"prev\":4,\"type\":\"a\",\"rooms\":[],\"data\":}",
		"{\"id\":5,\"prev\":4,\"type\":\"a\",\"rooms\":[],\"data\":{\"a\"}}",
		"{\"id\":5,\"prev\":4,\"type\":\"a\",\"rooms\":[],\"data\":{}\n}",
		"{\"id\":5,\"prev\":4,\"type\":\"a\\u0041\",\"rooms\":[],\"data\":1}",
		"{\"id\":0,\"prev\":4,\"type\":\"a\",\"rooms\":[],\"data\":1}",
		"{\"id\":5,\"prev\":4,\"type\":\"a\",\"rooms\":[],\"data\":\"\xff\"}"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i]) != -1)
			fail_msg("taken: %s", bad[i]);
	/* A hint alone, and members of a newer writer. */
	assert_int_equal(parse("{\"id\":5,\"prev\":4}"), 1);
	assert_int_equal(parse("{\"id\":1,\"prev\":0}"), 1);
	assert_int_equal(parse("{ \"id\": 5, \"prev\": 4, \"new\": [1] }"), 1);
	assert_int_equal(parse("{\"id\":5,\"prev\":4,\"type\":\"a\","
			       "\"rooms\":[],\"data\":{},\"public\":false}"),
	    1);
}

static void
too_many_rooms(void **state)
{
	struct event *e;
	struct buf b;
	int i, n;

	(void)state;
	for (n = EVENT_ROOMS_MAX; n <= EVENT_ROOMS_MAX + 1; n++) {
		buf_init(&b, EVENT_LINE_MAX);
		buf_puts(&b, "{\"id\":5,\"prev\":4,\"type\":\"a\",\"rooms\":[");
		for (i = 0; i < n; i++)
			buf_printf(&b, "%s\"user:%d\"", i > 0 ? "," : "", i);
		buf_puts(&b, "],\"data\":1}");
		assert_int_equal(event_parse(b.data, b.len, &e),
		    n > EVENT_ROOMS_MAX ? -1 : 1);
		event_free(e);
		buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(refusals),
		cmocka_unit_test(too_many_rooms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
