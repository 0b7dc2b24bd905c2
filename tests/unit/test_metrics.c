/*
 * test_metrics.c: what others wait for is measured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "clock.h"
#include "metrics.h"

enum { WORK_US = 20000 };

static struct push p;

/* Keeps the loop busy before it sleeps, as what is queued does. */
static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	int64_t ends = clock_mono_us() + WORK_US;

	(void)revents;
	while (clock_mono_us() < ends)
		;
	ev_prepare_stop(loop, w);
}

static void
test_turn(void **state)
{
	ev_prepare work;

	(void)state;
	memset(&p, 0, sizeof(p));
	p.loop = ev_loop_new(0);
	metrics_start(&p);
	ev_prepare_init(&work, on_prepare);
	ev_set_priority(&work, EV_MINPRI);
	ev_prepare_start(p.loop, &work);
	ev_run(p.loop, EVRUN_NOWAIT);
	assert_int_equal(p.times.turn.n, 1);
	assert_true(p.times.turn.sum_us >= WORK_US);
	metrics_stop(&p);
	ev_loop_destroy(p.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_turn) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
