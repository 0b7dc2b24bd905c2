/* ends.c */

#include "ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static uint64_t
counted(const char *why, const char *name)
{
	struct ends e;
	uint64_t n = 0;
	unsigned i;

	memset(&e, 0, sizeof(e));
	ends_count(&e, why);
	for (i = 0; i < ENDS; i++)
		if (strcmp(ends_name(i), name) == 0)
			n = e.n[i];
	return n;
}

static void
reasons(void **state)
{
	(void)state;
	assert_int_equal(counted("gone", "client"), 1);
	assert_int_equal(counted("Connection reset by peer", "client"), 1);
	assert_int_equal(counted("slow", "slow"), 1);
	assert_int_equal(counted("too many connections", "crowded"), 1);
	assert_int_equal(counted("too many pings", "protocol"), 1);
	assert_int_equal(counted("session changed", "session"), 1);
	assert_int_equal(counted("restart retry=1234", "restart"), 1);
	assert_int_equal(counted("try again retry=2000", "unable"), 1);
	assert_int_equal(counted("", "other"), 1);
	assert_int_equal(counted("what a client says", "other"), 1);
}

static void
names(void **state)
{
	unsigned i, k;

	(void)state;
	for (i = 0; i < ENDS; i++) {
		assert_non_null(ends_name(i));
		for (k = 0; k < i; k++)
			assert_string_not_equal(ends_name(i), ends_name(k));
	}
	assert_null(ends_name(ENDS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
