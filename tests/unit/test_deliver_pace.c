/* How fast an account is sent to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "deliver_pace.h"

static void
no_more_than_so_many_at_once(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 7, 2, 0, 100);
	assert_int_equal(p.channel, 7);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pace_wait_ms(&p, 100), 0);
		pace_begin(&p);
	}
	assert_int_equal(pace_wait_ms(&p, 100000), -1);
	pace_end(&p);
	assert_int_equal(pace_wait_ms(&p, 100000), 0);
}

static void
no_more_than_so_many_in_a_second(void **state)
{
	struct pace p;
	int64_t now = 5000, wait;
	int begun = 0;

	(void)state;
	pace_init(&p, 1, 0, 10, now);
	/* Two at first, then one each 100 ms, to the ms. */
	while (now < 6000) {
		if ((wait = pace_wait_ms(&p, now)) == 0) {
			pace_begin(&p);
			begun++;
			continue;
		}
		assert_true(wait > 0 && wait <= 100);
		now += wait;
	}
	assert_in_range(begun, 10, 12);
	/* Rest fills no more than the bucket. */
	now += 3600 * 1000;
	for (begun = 0; pace_wait_ms(&p, now) == 0; begun++)
		pace_begin(&p);
	assert_int_equal(begun, 2);
}

static void
what_does_not_ask_counts_too(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 1, 0, 10, 1000);
	for (int i = 0; i < 6; i++)
		pace_spend(&p);
	assert_int_equal(pace_wait_ms(&p, 1000), 450);
	assert_int_equal(pace_wait_ms(&p, 1449), 1);
	assert_int_equal(pace_wait_ms(&p, 1450), 0);
}

static void
who_does_not_answer_gets_less_room(void **state)
{
	static const unsigned room[] = { 4, 2, 1, 1 };
	struct pace p;

	(void)state;
	pace_init(&p, 1, 8, 0, 1000);
	for (int i = 0; i < 4; i++) {
		pace_answered(&p, true);
		for (unsigned k = 0; k < room[i]; k++) {
			assert_int_equal(pace_wait_ms(&p, 1000), 0);
			pace_begin(&p);
		}
		assert_int_equal(pace_wait_ms(&p, 1000), -1);
		for (unsigned k = 0; k < room[i]; k++)
			pace_end(&p);
	}
	pace_answered(&p, false);
	for (int k = 0; k < 8; k++) {
		assert_int_equal(pace_wait_ms(&p, 1000), 0);
		pace_begin(&p);
	}
	assert_int_equal(pace_wait_ms(&p, 1000), -1);
}

/* Who asks for several at once is told how many. */
static void
some_may_begin_together(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 0, 0, 20, 1000);
	assert_int_equal(pace_wait_ms(&p, 1000), 0);
	assert_int_equal(pace_room(&p), 5);
	for (int i = 0; i < 5; i++)
		pace_spend(&p);
	assert_int_equal(pace_wait_ms(&p, 1000), 50);
	assert_int_equal(pace_room(&p), 0);
	assert_int_equal(pace_wait_ms(&p, 1100), 0);
	assert_int_equal(pace_room(&p), 2);
	pace_init(&p, 0, 3, 0, 1000);
	pace_begin(&p);
	assert_int_equal(pace_room(&p), 2);
}

static void
time_that_goes_back_gives_nothing(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 1, 0, 1, 1000);
	pace_begin(&p);
	assert_int_equal(pace_wait_ms(&p, 500), 1000);
	assert_int_equal(pace_wait_ms(&p, 1499), 1);
	assert_int_equal(pace_wait_ms(&p, 1500), 0);
}

static void
no_limits_no_waiting(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 1, 0, 0, 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(pace_wait_ms(&p, 0), 0);
		pace_begin(&p);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_more_than_so_many_at_once),
		cmocka_unit_test(no_more_than_so_many_in_a_second),
		cmocka_unit_test(what_does_not_ask_counts_too),
		cmocka_unit_test(who_does_not_answer_gets_less_room),
		cmocka_unit_test(some_may_begin_together),
		cmocka_unit_test(time_that_goes_back_gives_nothing),
		cmocka_unit_test(no_limits_no_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
