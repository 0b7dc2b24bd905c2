/*
 * Structs side by side: zeroed, apart from each other, used again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "slab.h"

enum { N = 1000, SIZE = 100 };

static void
test_many(void **state)
{
	static const char zeros[SIZE];
	struct slab s = { .size = SIZE };
	char *p[N];
	size_t i, round;

	(void)state;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < N; i++) {
			p[i] = slab_new(&s);
			assert_non_null(p[i]);
			assert_memory_equal(p[i], zeros, SIZE);
			memset(p[i], (int)(i % 255) + 1, SIZE);
		}
		for (i = 0; i < N; i++) {
			assert_int_equal((unsigned char)p[i][0], i % 255 + 1);
			assert_int_equal(
			    (unsigned char)p[i][SIZE - 1], i % 255 + 1);
			slab_free(&s, p[i]);
		}
	}
	slab_fini(&s);
}

static void
test_again(void **state)
{
	struct slab s = { .size = 8 };
	void *chunks, *p;
	int i;

	(void)state;
	slab_free(&s, NULL);
	p = slab_new(&s);
	assert_non_null(p);
	chunks = s.chunks;
	for (i = 0; i < 100000; i++) {
		slab_free(&s, p);
		p = slab_new(&s);
		assert_non_null(p);
	}
	/* What comes and goes takes no more memory. */
	assert_ptr_equal(s.chunks, chunks);
	slab_free(&s, p);
	slab_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
