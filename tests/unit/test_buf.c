/* buf.c: the ceiling, the sticking error, what stands behind the end. */

#include "buf.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void
grows(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 10000);
	assert_string_equal(b.data, "");
	for (i = 0; i < 10000; i++) {
		buf_putc(&b, (char)('a' + i % 26));
		assert_int_equal(b.len, i + 1);
		assert_int_equal(b.data[b.len], 0);
	}
	assert_int_equal(b.err, 0);
	assert_int_equal(b.data[9999], 'a' + 9999 % 26);

	/* Past the ceiling nothing changes, and the error sticks. */
	buf_append(&b, "xy", 2);
	assert_int_equal(b.err, 1);
	assert_int_equal(b.len, 10000);
	buf_drop(&b, 9998);
	buf_puts(&b, "z");
	assert_int_equal(b.len, 2);
	buf_reset(&b);
	buf_puts(&b, "z");
	assert_string_equal(b.data, "z");
	buf_fini(&b);
	buf_fini(&b);
}

static void
exact_ceiling(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	buf_puts(&b, "12345");
	assert_int_equal(b.err, 0);
	assert_string_equal(b.data, "12345");
	buf_puts(&b, "");
	assert_int_equal(b.err, 0);
	buf_putc(&b, '6');
	assert_int_equal(b.err, 1);
	buf_fini(&b);

	buf_init(&b, SIZE_MAX);
	assert_null(buf_room(&b, SIZE_MAX));
	assert_int_equal(b.err, 1);
	buf_fini(&b);
}

static void
prints(void **state)
{
	char big[1000];
	struct buf b;

	(void)state;
	memset(big, 'q', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	buf_init(&b, 2000);
	buf_printf(&b, "%d-%s", 7, "x");
	buf_printf(&b, "%s", big);
	assert_int_equal(b.len, 3 + 999);
	assert_int_equal(b.data[b.len], 0);
	buf_printf(&b, "%s", big);
	assert_int_equal(b.err, 1);
	assert_int_equal(b.len, 3 + 999);
	buf_fini(&b);
}

/* What it does by itself is what printf does. */
static void
prints_alike(void **state)
{
	static const long long numbers[] = { 0, 1, -1, 9, 10, -10,
		1790000000123, LLONG_MAX, LLONG_MIN };
	char text[100];
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		int small = (int)numbers[i];

		(void)snprintf(text, sizeof(text), "%%%lld,%d[%s]%%",
		    numbers[i], small, "x%d");
		buf_init(&b, 1000);
		buf_printf(&b, "%%%lld,%d[%s]%%", numbers[i], small, "x%d");
		assert_string_equal(b.data, text);
		buf_reset(&b);
		buf_printf(&b, "%%%lld,%3d[%s]%%", numbers[i], small, "x%d");
		(void)snprintf(text, sizeof(text), "%%%lld,%3d[%s]%%",
		    numbers[i], small, "x%d");
		assert_string_equal(b.data, text);
		buf_fini(&b);
	}

	/* All of a call or nothing of it. */
	buf_init(&b, 8);
	buf_printf(&b, "%d", 12);
	buf_printf(&b, "%d %s", 12, "longer");
	assert_int_equal(b.err, 1);
	assert_string_equal(b.data, "12");
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
		cmocka_unit_test(exact_ceiling),
		cmocka_unit_test(prints),
		cmocka_unit_test(prints_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
