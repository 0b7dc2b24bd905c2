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

static void
blanks(void **state)
{
	static const char *const blank[] = { "", " ", " \t\r\n\v\f", "\xc2\xa0",
		"\xc2\x85", "\xe1\x9a\x80", "\xe2\x80\x83 ",
		"\xe2\x80\x8b\xe2\x80\x8d", "\xe2\x80\xa8", "\xe2\x80\xaf",
		"\xe2\x81\xa0", " \xe3\x80\x80", "\xef\xbb\xbf" };
	static const char *const not_blank[] = { "a", "  .", "\xc2\xa1",
		"\xc3\xa0", "\xe2\x80\x90", "\xe2\x80\x8bx", "\xe3\x80\x81",
		"\xf0\x9f\x98\x80", mixed };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(blank) / sizeof(blank[0]); i++)
		assert_true(utf8_blank(blank[i], strlen(blank[i])));
	for (i = 0; i < sizeof(not_blank) / sizeof(not_blank[0]); i++)
		assert_false(utf8_blank(not_blank[i], strlen(not_blank[i])));
	/* What is cut in the middle is no space. */
	assert_false(utf8_blank("\xe2\x80\x8b", 2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_and_bad),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(counts),
		cmocka_unit_test(cleans),
		cmocka_unit_test(blanks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
