/* figures.c */

#include "figures.h"
#include "inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char text[] = "# HELP a_total Of a.\n# TYPE a_total counter\n"
			   "a_total 12\na_total_more 3\n"
			   "b{x=\"one\",y=\"1\"} 4\nb{x=\"two\",y=\"1\"} 5.5\n"
			   "b{x=\"two\",y=\"2\"} NaN\nbad x\nlast 7";

static void
reads(void **state)
{
	char cut[sizeof(text)];
	double v;
	size_t i;

	(void)state;
	assert_int_equal(figures_get(text, "a_total", &v), 0);
	assert_true(v > 11.9 && v < 12.1);
	assert_int_equal(figures_get(text, "b{x=\"two\",y=\"1\"}", &v), 0);
	assert_true(v > 5.4 && v < 5.6);
	assert_int_equal(figures_get(text, "last", &v), 0);
	assert_int_equal(figures_get(text, "b{x=\"two\",y=\"2\"}", &v), -1);
	assert_int_equal(figures_get(text, "bad", &v), -1);
	assert_int_equal(figures_get(text, "a", &v), -1);
	assert_int_equal(figures_get("", "a", &v), -1);
	v = figures_sum(text, "b", "");
	assert_true(v > 9.4 && v < 9.6);
	v = figures_sum(text, "b", "x=\"two\"");
	assert_true(v > 5.4 && v < 5.6);
	v = figures_sum(text, "a_total", "");
	assert_true(v > 11.9 && v < 12.1);
	v = figures_sum(text, "a_total", "x=\"one\""); /* of another line */
	assert_true(v < .1);
	for (i = 0; i < sizeof(text); i++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)i, text);
		(void)figures_get(cut, "last", &v);
		(void)figures_sum(cut, "b", "x=\"two\"");
	}
}

#define SAYS(fn, locale, v, expect)                \
	do {                                       \
		char out_[FIGURES_SIZE];           \
		fn(locale, v, out_);               \
		assert_string_equal(out_, expect); \
	} while (0)

static void
writes(void **state)
{
	(void)state;
	SAYS(figures_count, "en", 0, "0");
	SAYS(figures_count, "en", 999, "999");
	SAYS(figures_count, "en", 1234567, "1,234,567");
	SAYS(figures_count, "th", 1000, "1,000");
	SAYS(figures_count, "vi", 1234567, "1.234.567");
	SAYS(figures_count, "vi", -1, "0");
	SAYS(figures_count, "vi", 1e300, "0");
	SAYS(figures_time, "en", 0, "0 ms");
	SAYS(figures_time, "en", .00081, "0.8 ms");
	SAYS(figures_time, "vi", .00081, "0,8 ms");
	SAYS(figures_time, "en", .0123, "12 ms");
	SAYS(figures_time, "en", .9994, "999 ms");
	SAYS(figures_time, "en", .9996, "1.0 s");
	SAYS(figures_time, "en", 90, "90 s");
	SAYS(figures_bytes, "en", 0, "0 B");
	SAYS(figures_bytes, "en", 999, "999 B");
	SAYS(figures_bytes, "vi", 1234, "1,2 KB");
	SAYS(figures_bytes, "en", 999400, "999 KB");
	SAYS(figures_bytes, "en", 999600, "1.0 MB");
	SAYS(figures_bytes, "en", 5e15, "5,000 TB");
}

/* It differs by key and by what it opens, and tells neither. */
static void
inside(void **state)
{
	char a[INSIDE_SIZE], b[INSIDE_SIZE];

	(void)state;
	inside_word("", "figures", a);
	assert_string_equal(a, "");
	inside_word("key", "figures", a);
	assert_int_equal(strlen(a), INSIDE_SIZE - 1);
	inside_word("key", "figures", b);
	assert_string_equal(a, b);
	inside_word("key2", "figures", b);
	assert_string_not_equal(a, b);
	inside_word("key", "other", b);
	assert_string_not_equal(a, b);
	inside_word("keyf", "igures", b);
	assert_string_not_equal(a, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(writes),
		cmocka_unit_test(inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
