/* id.c: ids, cursors, numbers; clock.c: stamps. */

#include "clock.h"
#include "id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static int64_t
id(const char *s)
{
	return id_parse(s, strlen(s));
}

static void
ids(void **state)
{
	static const char most[] = "9223372036854775807";
	size_t i;

	(void)state;
	assert_int_equal(id("1"), 1);
	assert_true(id(most) == INT64_MAX);
	assert_int_equal(id("9223372036854775808"), 0);
	assert_int_equal(id("99999999999999999999"), 0);
	assert_int_equal(id("0"), 0);
	assert_int_equal(id("01"), 0);
	assert_int_equal(id(""), 0);
	assert_int_equal(id("-1"), 0);
	assert_int_equal(id("+1"), 0);
	assert_int_equal(id("1 "), 0);
	assert_int_equal(id(" 1"), 0);
	assert_int_equal(id("1e3"), 0);
	assert_int_equal(id_parse("12\0", 3), 0);
	/* Cut at every byte it is the number that stands there. */
	for (i = 1; i < sizeof(most); i++)
		assert_true(id_parse(most, i) > 0);
}

static void
cursors(void **state)
{
	static const char most[] = "9007199254740991";
	size_t i;

	(void)state;
	assert_true(id_cursor(most, strlen(most)) == INT64_C(9007199254740991));
	assert_int_equal(id_cursor("9007199254740992", 16), -1);
	assert_int_equal(id_cursor("0", 1), 0);
	assert_int_equal(id_cursor("007", 3), 7);
	assert_int_equal(id_cursor("", 0), -1);
	assert_int_equal(id_cursor("-1", 2), -1);
	assert_int_equal(id_cursor("1.5", 3), -1);
	assert_int_equal(
	    id_cursor("000000000000000000000000000000001", 33), -1);
	for (i = 1; i < sizeof(most); i++)
		assert_true(id_cursor(most, i) > 0);
}

static void
numbers(void **state)
{
	int64_t v = 7;

	(void)state;
	assert_int_equal(id_number("-5", 2, -5, 5, &v), 0);
	assert_int_equal(v, -5);
	assert_int_equal(id_number("-6", 2, -5, 5, &v), -1);
	assert_int_equal(v, -5);
	assert_int_equal(id_number("-", 1, -5, 5, &v), -1);
	assert_int_equal(
	    id_number("-9223372036854775808", 20, INT64_MIN, INT64_MAX, &v), 0);
	assert_true(v == INT64_MIN);
	assert_int_equal(
	    id_number("-9223372036854775809", 20, INT64_MIN, INT64_MAX, &v),
	    -1);
}

static void
stamps(void **state)
{
	char out[CLOCK_ISO_SIZE], text[40];
	struct tm tm;
	time_t at;

	(void)state;
	clock_iso(0, out);
	assert_string_equal(out, "1970-01-01T00:00:00.000Z");
	clock_iso(INT64_C(1767225599999), out);
	assert_string_equal(out, "2025-12-31T23:59:59.999Z");
	clock_iso(INT64_C(951782399999), out);
	assert_string_equal(out, "2000-02-28T23:59:59.999Z");
	clock_iso(INT64_C(951782400000), out);
	assert_string_equal(out, "2000-02-29T00:00:00.000Z");
	clock_iso(INT64_C(4107542400000), out);
	assert_string_equal(out, "2100-03-01T00:00:00.000Z");
	clock_iso(INT64_C(253402300799999), out);
	assert_string_equal(out, "9999-12-31T23:59:59.999Z");
	/* Every day of some centuries, at odd times. */
	for (at = 0; at < INT64_C(14000000000); at += 86399) {
		assert_non_null(gmtime_r(&at, &tm));
		(void)strftime(
		    text, sizeof(text), "%Y-%m-%dT%H:%M:%S.042Z", &tm);
		clock_iso((int64_t)at * 1000 + 42, out);
		assert_string_equal(out, text);
	}
	clock_iso(INT64_MAX, out);
	assert_string_equal(out, "1970-01-01T00:00:00.000Z");
	clock_iso(-1, out);
	assert_int_equal(strlen(out), 24);
	assert_true(clock_now_ms() > INT64_C(1600000000000));
	assert_true(clock_mono_ms() > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids),
		cmocka_unit_test(cursors),
		cmocka_unit_test(numbers),
		cmocka_unit_test(stamps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
