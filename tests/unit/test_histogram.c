/* histogram.c */

#include "histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct histogram h;

static int
setup(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
	return 0;
}

/* To the microsecond. */
static int64_t
us(unsigned percent, uint32_t now_s)
{
	double s = histogram_recent(&h, percent, now_s);

	return s < 0 ? -1 : (int64_t)(s * 1e6 + .5);
}

static void
steps(void **state)
{
	unsigned i;

	(void)state;
	histogram_add(&h, -5, 1);
	histogram_add(&h, 0, 1);
	histogram_add(&h, 100, 1);
	histogram_add(&h, 101, 1);
	histogram_add(&h, 10000000, 1);
	histogram_add(&h, 10000001, 1);
	assert_int_equal(h.step[0], 3);
	assert_int_equal(h.step[1], 1);
	assert_int_equal(h.step[HISTOGRAM_STEPS - 1], 1);
	assert_int_equal(h.step[HISTOGRAM_STEPS], 1);
	assert_int_equal(h.n, 6);
	assert_int_equal(h.sum_us, 20000202);
	for (i = 1; i < HISTOGRAM_STEPS; i++)
		assert_true(histogram_us[i] > histogram_us[i - 1]);
}

static void
shares(void **state)
{
	unsigned i;

	(void)state;
	assert_int_equal(us(50, 0), -1);
	for (i = 0; i < 98; i++)
		histogram_add(&h, 300, 1);
	histogram_add(&h, 30000, 1);
	histogram_add(&h, 30000, 1);
	assert_int_equal(us(0, 1), 200);
	assert_int_equal(us(49, 1), 350); /* the middle of its step */
	assert_int_equal(us(98, 1), 500);
	assert_int_equal(us(99, 1), 35000);
	assert_int_equal(us(100, 1), 50000);
	/* Of what is beyond all steps the last bound is said. */
	for (i = 0; i < 1000; i++)
		histogram_add(&h, INT64_MAX / 2000, 1);
	assert_int_equal(us(50, 1), 10000000);
}

/* What was long ago counts no more, but in the sums. */
static void
forgets(void **state)
{
	uint32_t w = HISTOGRAM_WINDOW_S;

	(void)state;
	histogram_add(&h, 50, 10);
	assert_int_equal(us(100, w - 1), 100);
	histogram_add(&h, 900, w + 10);
	assert_int_equal(us(50, w + 11), 100);
	assert_int_equal(us(100, w + 11), 1000);
	assert_int_equal(us(50, 2 * w + 10), 750); /* the first is gone */
	assert_int_equal(us(50, 9 * w), -1);
	histogram_add(&h, 900, 9 * w);
	assert_int_equal(us(100, 9 * w), 1000);
	assert_int_equal(h.n, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(steps, setup),
		cmocka_unit_test_setup(shares, setup),
		cmocka_unit_test_setup(forgets, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
