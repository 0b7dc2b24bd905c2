/*
 * The map from bytes to pointers, against a plain list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "table.h"

enum { N = 2000, STEPS = 60000 };

static void
test_table(void **state)
{
	static char keys[N][16];
	static int in[N];
	struct table t = { .used = 0 };
	size_t at = 0, used = 0, seen = 0;
	unsigned i, k;

	(void)state;
	srand(1);
	assert_null(table_get(&t, "x", 1));
	assert_null(table_del(&t, "x", 1));
	for (i = 0; i < N; i++)
		sprintf(keys[i], "room:%u", i);
	for (i = 0; i < STEPS; i++) {
		k = (unsigned)rand() % N;
		if (in[k]) {
			assert_ptr_equal(
			    table_del(&t, keys[k], strlen(keys[k])), keys[k]);
			used--;
		} else {
			assert_int_equal(
			    table_put(&t, keys[k], strlen(keys[k]), keys[k]),
			    0);
			used++;
		}
		in[k] = !in[k];
		k = (unsigned)rand() % N;
		assert_ptr_equal(table_get(&t, keys[k], strlen(keys[k])),
		    in[k] ? keys[k] : NULL);
		assert_int_equal(t.used, used);
	}
	for (k = 0; k < N; k++)
		assert_ptr_equal(table_get(&t, keys[k], strlen(keys[k])),
		    in[k] ? keys[k] : NULL);
	while (table_next(&t, &at) != NULL)
		seen++;
	assert_int_equal(seen, used);
	table_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_table) };

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
