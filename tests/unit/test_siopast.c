/*
 * Socket.IO clients that broke off, and come back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "siopast.h"

static void
pid_of(char pid[SIOPAST_PID], int n)
{
	char text[SIOPAST_PID + 1];

	snprintf(text, sizeof(text), "%020d", n);
	memcpy(pid, text, SIOPAST_PID);
}

static int
take(struct siopast *x, int n, const char *who, uint32_t now, const char *rooms,
    size_t len)
{
	char pid[SIOPAST_PID];
	struct buf b;
	int rc;

	pid_of(pid, n);
	buf_init(&b, 1000);
	rc = siopast_take(x, pid, who, &b, now);
	if (rc == 1) {
		assert_int_equal(b.len, len);
		assert_memory_equal(b.data, rooms, len);
	}
	buf_fini(&b);
	return rc;
}

static void
add(struct siopast *x, int n, const char *who, uint32_t now, const char *rooms,
    size_t len)
{
	char pid[SIOPAST_PID];

	pid_of(pid, n);
	siopast_add(x, pid, who, rooms, len, now);
}

static void
test_back(void **state)
{
	int64_t life = 120, max = 100;
	struct siopast x;

	(void)state;
	siopast_init(&x, &life, &max, &max);
	assert_int_equal(take(&x, 1, "a1", 5, "", 0), 0);
	assert_false(siopast_lost(&x, "a1", 5));
	add(&x, 1, "a1", 5, "7\08\0", 4);
	add(&x, 2, "a1", 6, NULL, 0);
	assert_true(siopast_lost(&x, "a1", 7));
	assert_false(siopast_lost(&x, "a2", 7));
	/* Nobody else's, and once. */
	assert_int_equal(take(&x, 1, "a2", 7, "", 0), 0);
	assert_int_equal(take(&x, 1, "a1", 7, "7\08\0", 4), 1);
	assert_int_equal(take(&x, 1, "a1", 7, "", 0), 0);
	/* Not for ever. */
	assert_int_equal(take(&x, 2, "a1", 126, "", 0), 0);
	assert_false(siopast_lost(&x, "a1", 126));
	assert_int_equal(x.n, 0);
	siopast_fini(&x);
}

static void
test_bounds(void **state)
{
	int64_t life = 120, max = 3;
	struct siopast x;
	int i;

	(void)state;
	siopast_init(&x, &life, &max, &max);
	for (i = 0; i < 5; i++)
		add(&x, i, "a1", 5, "9", 2);
	add(&x, 4, "a2", 6, "", 1); /* again, as another */
	assert_int_equal(x.n, 3);
	assert_int_equal(take(&x, 0, "a1", 6, "", 0), 0);
	assert_int_equal(take(&x, 1, "a1", 6, "", 0), 0);
	assert_int_equal(take(&x, 4, "a2", 6, "", 1), 1);
	assert_int_equal(take(&x, 2, "a1", 6, "9", 2), 1);
	life = 0;
	add(&x, 9, "a1", 7, "", 0);
	assert_int_equal(x.n, 0);
	siopast_fini(&x);
}

/* One person's push out each other, and nobody else's. */
static void
test_one_person(void **state)
{
	int64_t life = 120, max = 10, who_max = 3;
	struct siopast x;
	int i;

	(void)state;
	siopast_init(&x, &life, &max, &who_max);
	add(&x, 100, "a2", 5, "9", 2);
	for (i = 0; i < 50; i++) {
		add(&x, i, "a1", 5, "8", 2);
		/* Taken from the midst, and added anew. */
		if (i == 20) {
			assert_int_equal(take(&x, 19, "a1", 5, "8", 2), 1);
			add(&x, 18, "a1", 5, "8", 2);
		}
	}
	assert_int_equal(x.n, 4);
	assert_int_equal(take(&x, 46, "a1", 6, "", 0), 0);
	for (i = 47; i < 50; i++)
		assert_int_equal(take(&x, i, "a1", 6, "8", 2), 1);
	assert_false(siopast_lost(&x, "a1", 6));
	assert_int_equal(take(&x, 100, "a2", 6, "9", 2), 1);
	assert_int_equal(x.n, 0);
	siopast_fini(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_one_person),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
