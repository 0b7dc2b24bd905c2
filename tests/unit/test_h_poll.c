/* The parts of polling that need no database. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "h_poll.h"

#include "../common/limits.h"

#include <stdio.h>
#include <string.h>

static int
number(const char *s, int64_t *c)
{
	*c = -7;
	return poll_number(s, strlen(s), 32, c);
}

/* A cursor is digits; too many of them are too large, not unreadable. */
static void
cursors(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1.5",
		"1e3", "0x10", "abc", "12a", "null", "\xd9\xa1",
		"000000000000000000000000000000001" };
	int64_t c;
	size_t i;

	(void)state;
	assert_int_equal(number("0", &c), 1);
	assert_int_equal(c, 0);
	assert_int_equal(number("1732147200000", &c), 1);
	assert_int_equal(c, INT64_C(1732147200000));
	assert_int_equal(number("007", &c), 1);
	assert_int_equal(c, 7);
	assert_int_equal(number("9007199254740991", &c), 1);
	assert_int_equal(c, CURSOR_MAX);
	assert_int_equal(number("9007199254740993", &c), 1);
	assert_int_equal(c, CURSOR_MAX);
	assert_int_equal(number("99999999999999999999999999999999", &c), 1);
	assert_int_equal(c, CURSOR_MAX);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(number(bad[i], &c), 0);
	/* A NUL inside is no digit. */
	assert_int_equal(poll_number("1\0", 2, 32, &c), 0);
}

/* Cut at every byte a cursor is a shorter cursor, and nothing at none. */
static void
cursors_cut(void **state)
{
	static const char text[] = "1732147200000";
	char heap[16];
	int64_t c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text); i++) {
		memset(heap, '9', sizeof(heap));
		memcpy(heap, text, i);
		if (i == sizeof(text) - 1)
			break;
		assert_int_equal(poll_number(heap, i, 32, &c), i > 0);
	}
}

/* Soon after something happened, later when quiet or loaded; spread. */
static void
next(void **state)
{
	int64_t ages[] = { 0, 10000, 60000, 300000, 1800000 };
	int64_t means[] = { 1000, 1000, 2000, 3000, 5000 };
	int64_t low, high;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		low = poll_next_ms(ages[i], 50, 0);
		high = poll_next_ms(ages[i], 50, 1000);
		assert_int_equal(low, means[i] * 4 / 5);
		assert_int_equal(high, means[i] * 6 / 5);
	}
	assert_int_equal(
	    poll_next_ms(0, 400, 500), 2 * poll_next_ms(0, 200, 500));
	/* However high the load, somebody who waits is not forgotten. */
	assert_int_equal(
	    poll_next_ms(0, 100000, 500), 3 * poll_next_ms(0, 100, 500));
	/* A clock set back: as if it were now. */
	assert_int_equal(poll_next_ms(-5000, 0, 0), 800);
}

static void
etags(void **state)
{
	(void)state;
	assert_false(poll_matches(NULL, 1, 9));
	assert_false(poll_matches("", 1, 9));
	assert_true(poll_matches("W/\"5\"", 5, 5));
	assert_true(poll_matches("\"5\"", 1, 9));
	assert_true(poll_matches("*", 1, 9));
	assert_true(poll_matches("\"a,b\", W/\"77\" , W/\"5\"", 5, 9));
	assert_false(poll_matches("W/\"4\"", 5, 9));
	assert_false(poll_matches("W/\"10\"", 5, 9));
	assert_false(poll_matches("5", 5, 5));
	assert_false(poll_matches("W/", 0, 9));
	assert_false(poll_matches("\"", 0, 9));
	assert_false(poll_matches("\"-5\"", -9, 9));
	assert_false(poll_matches(",,,", 0, 9));
}

/* Cut at every byte it ends, and matches only what it holds whole. */
static void
etags_cut(void **state)
{
	static const char text[] = "W/\"123\", \"45\"";
	char cut[sizeof(text)];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text); i++) {
		memcpy(cut, text, i);
		cut[i] = '\0';
		assert_int_equal(poll_matches(cut, 123, 123), i >= 6);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cursors),
		cmocka_unit_test(cursors_cut),
		cmocka_unit_test(next),
		cmocka_unit_test(etags),
		cmocka_unit_test(etags_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
