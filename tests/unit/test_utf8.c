/* utf8.c: every malformed kind, cut at every byte, counted. */

#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const char mixed[] =
    "A\xc3\xa9\xe1\xba\xa1\xe0\xb8\x81"
    "\xf0\x9f\x98\x80z"; /* A e-acute a-dot-below ko-kai emoji z */

static void
good_and_bad(void **state)
{
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80",
		"\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xfe", "\xc3",
		"\xe1\xba", "\xf0\x9f\x98", "\xc3(", "abcdefgh\xc3",
		"abcdefghijklmno\x80" };
	static const char *const good[] = { "", "abc", "\xc2\x80", "\xdf\xbf",
		"\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
		"abcdefghij\xc3\xa9klmnopqrst" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(utf8_valid(good[i], strlen(good[i])));
}

static void
cut_anywhere(void **state)
{
	size_t n = sizeof(mixed) - 1, i, j;

	(void)state;
	/* In two pieces the verdict is the same as in one. */
	for (i = 0; i <= n; i++) {
		struct utf8 u = { 0, 0, 0 };

		assert_int_equal(utf8_feed(&u, mixed, i), 0);
		assert_int_equal(utf8_feed(&u, mixed + i, n - i), 0);
		assert_int_equal(u.need, 0);
	}
	/* Cut short it is whole only between characters. */
	for (i = 0; i <= n; i++)
		assert_int_equal(utf8_valid(mixed, i),
		    i == n || ((unsigned char)mixed[i] & 0xc0) != 0x80);
	/* Every second byte replaced by each value: feed agrees with itself. */
	for (j = 0; j < 256; j++) {
		char copy[sizeof(mixed)];
		struct utf8 u = { 0, 0, 0 };
		int rc = 0;

		memcpy(copy, mixed, sizeof(mixed));
		copy[3] = (char)j;
		for (i = 0; i < n && rc == 0; i++)
			rc = utf8_feed(&u, copy + i, 1);
		assert_int_equal(utf8_valid(copy, n), rc == 0 && u.need == 0);
	}
}

static void
counts(void **state)
{
	size_t n = sizeof(mixed) - 1;

	(void)state;
	assert_int_equal(utf8_chars(mixed, n), 6);
	assert_int_equal(utf8_utf16_units(mixed, n), 7);
	assert_int_equal(utf8_cut(mixed, n, 0), 0);
	assert_int_equal(utf8_cut(mixed, n, 2), 3);
	assert_int_equal(utf8_cut(mixed, n, 5), n - 1);
	assert_int_equal(utf8_cut(mixed, n, 99), n);
	assert_int_equal(utf8_len(mixed + 1, n - 1), 2);
	assert_int_equal(utf8_len(mixed + 1, 1), 0);
}

static void
cleans(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	utf8_clean(&b, "a\x80z\xe1\xba", 5);
	assert_string_equal(b.data, "a\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd");
	assert_true(utf8_valid(b.data, b.len));
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_and_bad),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(counts),
		cmocka_unit_test(cleans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
