/* Helpers of the handlers that need neither request nor database. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "h.h"
#include "h_chat.h"
#include "h_health.h"
#include "h_internal.h"

#include <stdlib.h>
#include <string.h>

static void
words(void **state)
{
	(void)state;
	assert_true(h_is_word("open", "open|closed"));
	assert_true(h_is_word("closed", "open|closed"));
	assert_false(h_is_word("close", "open|closed"));
	assert_false(h_is_word("open|closed", "open|closed"));
	assert_false(h_is_word("", "open|closed"));
	assert_false(h_is_word(NULL, "open|closed"));
}

/* Names by pattern, and none that steers a stream. */
static void
event_names(void **state)
{
	char longest[65];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	assert_true(chat_event_name("price_changed", 13));
	assert_true(chat_event_name("a.b:c-D_9", 9));
	assert_true(chat_event_name("notification", 12));
	assert_true(chat_event_name(longest, 64));
	assert_false(chat_event_name(longest, 65));
	assert_false(chat_event_name("", 0));
	assert_false(chat_event_name("a b", 3));
	assert_false(chat_event_name("a\nb", 3));
	assert_false(chat_event_name("a\0b", 3));
	assert_false(chat_event_name("\xc3\xa9", 2));
	assert_false(chat_event_name("session_changed", 15));
	assert_false(chat_event_name("reset", 5));
}

static int
ref(const char *s, struct ref *r)
{
	return ref_read(s, strlen(s), r);
}

static void
references(void **state)
{
	struct ref r;

	(void)state;
	assert_int_equal(ref("u:5:12", &r), 1);
	assert_int_equal(r.kind, 'u');
	assert_int_equal(r.id, 5);
	assert_int_equal(ref("c:9:40", &r), 1);
	assert_int_equal(r.kind, 'c');
	assert_int_equal(ref("i:7:agent:1732147200", &r), 1);
	assert_int_equal(r.id, 7);
	assert_int_equal(ref("k:5:3", &r), 1);
	assert_int_equal(ref("u:5", &r), 1);
	assert_int_equal(ref("", &r), 0);
	assert_int_equal(ref("u", &r), 0);
	assert_int_equal(ref("u:", &r), 0);
	assert_int_equal(ref("u::12", &r), 0);
	assert_int_equal(ref("x:5:12", &r), 0);
	assert_int_equal(ref("u:05:12", &r), 0);
	assert_int_equal(ref("u:5x:12", &r), 0);
	assert_int_equal(ref("u:-5:12", &r), 0);
	assert_int_equal(ref_read("\0:5:12", 6, &r), 0);
}

/* 0 and the body in ${out}, or -1. */
static int
body(const char *answer, size_t len, char *out, size_t size)
{
	struct buf b;
	char *copy = malloc(len + 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, answer, len);
	copy[len] = '\0';
	buf_init(&b, 4096);
	rc = health_body(copy, len, &b);
	assert_true(b.len < size);
	memcpy(out, b.data, b.len + 1);
	buf_fini(&b);
	free(copy);
	return rc;
}

static void
bodies(void **state)
{
	static const char plain[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	static const char chunked[] = "HTTP/1.1 200 OK\r\n"
				      "transfer-encoding: chunked\r\n\r\n"
				      "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
	static const char bad[] = "HTTP/1.1 503 No\r\n\r\nhello";
	char out[128];
	size_t i;

	(void)state;
	assert_int_equal(body(plain, sizeof(plain) - 1, out, 128), 0);
	assert_string_equal(out, "hello");
	assert_int_equal(body(chunked, sizeof(chunked) - 1, out, 128), 0);
	assert_string_equal(out, "hello!");
	assert_int_equal(body(bad, sizeof(bad) - 1, out, 128), -1);
	/* Torn anywhere before its last chunk it is no answer. */
	for (i = 0; i < sizeof(chunked) - 1 - 4; i++)
		assert_int_equal(body(chunked, i, out, 128), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(event_names),
		cmocka_unit_test(references),
		cmocka_unit_test(bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
