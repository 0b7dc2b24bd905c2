/* rate.c: buckets shared by processes; log-in delays; limits = off. */

#include "rate.h"
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct conf cf;
static char dir[] = "/tmp/test_rate.XXXXXX";

static int64_t
take(const char *key, int64_t now_ms)
{
	return rate_bucket(&cf, key, strlen(key), 10, 1000, 5, now_ms);
}

static void
buckets(void **state)
{
	int64_t now = 1000000, i;

	(void)state;
	/* Five at once, then one each 100 ms. */
	for (i = 0; i < 5; i++)
		assert_int_equal(take("a", now), 0);
	assert_int_equal(take("a", now), 1);
	assert_int_equal(take("b", now), 0);
	assert_int_equal(take("a", now + 99), 1);
	assert_int_equal(take("a", now + 100), 0);
	assert_int_equal(take("a", now + 100), 1);
	/* Full again after a pause, not fuller. */
	for (i = 0; i < 5; i++)
		assert_int_equal(take("a", now + 60000), 0);
	assert_int_equal(take("a", now + 60000), 1);
	/* A clock set back does not lock anybody out. */
	assert_int_equal(take("a", now - 3600000), 0);
}

static void
shared(void **state)
{
	int64_t now = 5000000;
	int status, i;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		rate_close();
		for (i = 0; i < 5; i++)
			if (take("s", now) != 0)
				_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(take("s", now), 1);
}

/* A store into a hole of a mapped file kills, once the disk is full. */
static void
whole(void **state)
{
	char path[64];
	struct stat sb;
	int i;

	(void)state;
	snprintf(path, sizeof(path), "%s/rate.map", dir);
	for (i = 0; i < 2; i++) {
		assert_int_equal(take("w", 6000000 + i * 60000), 0);
		assert_int_equal(stat(path, &sb), 0);
		assert_true(sb.st_size > 0);
		assert_true((int64_t)sb.st_blocks * 512 >= sb.st_size);
		/* One of holes, as copies are. */
		rate_close();
		assert_int_equal(truncate(path, 0), 0);
		assert_int_equal(truncate(path, sb.st_size), 0);
	}
}

static void
crowded(void **state)
{
	char key[32];
	int i;

	(void)state;
	/* More keys than slots: the table stays good for newcomers. */
	for (i = 0; i < 100000; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(take(key, 9000000 + i), 0);
	}
}

static void
logins(void **state)
{
	int64_t wait;
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		assert_int_equal(rate_peek(&cf, "A@x", "9.9.9.9"), 0);
		rate_fail(&cf, "a@X", "9.9.9.9");
	}
	/* The delay doubles from one second to the greatest. */
	wait = rate_peek(&cf, "a@x", "8.8.8.8");
	assert_in_range(wait, 1, 1);
	rate_fail(&cf, "a@x", "9.9.9.9");
	assert_in_range(rate_peek(&cf, "a@x", "8.8.8.8"), 1, 2);
	for (i = 0; i < 10; i++)
		rate_fail(&cf, "a@x", "9.9.9.9");
	assert_in_range(rate_peek(&cf, "a@x", "8.8.8.8"), 55, 60);
	assert_int_equal(rate_peek(&cf, "other@x", "8.8.8.8"), 0);
	/* Right at last: forgotten, for the account. */
	rate_clear(&cf, "a@x", "9.9.9.9");
	assert_int_equal(rate_peek(&cf, "a@x", "8.8.8.8"), 0);

	/* One network trying many accounts. */
	for (i = 0; i < 25; i++) {
		char account[16];

		(void)snprintf(account, sizeof(account), "u%d", i);
		rate_fail(&cf, account, "2001:db8::1");
	}
	assert_true(rate_peek(&cf, "new", "2001:db8::ffff") > 0);
	assert_int_equal(rate_peek(&cf, "new", "2001:db8:0:1::1"), 0);
}

static void
lifted(void **state)
{
	struct req rq;
	int i;

	(void)state;
	memset(&rq, 0, sizeof(rq));
	rq.cf = &cf;
	rq.addr = "127.0.0.1";
	rq.loopback = true;
	rq.now_ms = 20000000;
	cf.limits = false;
	for (i = 0; i < 1000; i++)
		assert_int_equal(rate_take(&rq, RATE_ADDRESS, 0), 0);
	/* On loopback alone. */
	rq.addr = "9.9.9.8";
	rq.loopback = false;
	for (i = 0; i < 40; i++)
		assert_int_equal(rate_take(&rq, RATE_ADDRESS, 0), 0);
	assert_int_equal(rate_take(&rq, RATE_ADDRESS, 0), 1);
	cf.limits = true;
	rq.loopback = true;
	rq.who.kind = WHO_USER;
	rq.who.id = 5;
	for (i = 0; i < 40; i++)
		assert_int_equal(rate_take(&rq, RATE_USER_MESSAGE, 0), 0);
	assert_int_equal(rate_take(&rq, RATE_USER_MESSAGE, 0), 1);
	assert_int_equal(rate_take(&rq, RATE_TYPING, 1), 0);
	assert_int_equal(rate_take(&rq, RATE_TYPING, 1), 1);
	assert_int_equal(rate_take(&rq, RATE_TYPING, 2), 0);
	rq.who.kind = WHO_PUSHD;
	assert_int_equal(rate_take(&rq, RATE_ADDRESS, 0), 0);
}

static int
setup(void **state)
{
	struct buf err;

	(void)state;
	if (mkdtemp(dir) == NULL || setenv("PARLEY_RUN_DIR", dir, 1) != 0)
		return -1;
	buf_init(&err, 10000);
	if (token_init() == -1 ||
	    conf_load(&cf, NULL, CONF_FCGI | CONF_LAX, &err) == -1)
		return -1;
	buf_fini(&err);
	return 0;
}

static int
teardown(void **state)
{
	char path[64];

	(void)state;
	rate_close();
	conf_free(&cf);
	(void)snprintf(path, sizeof(path), "%s/rate.map", dir);
	(void)unlink(path);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets),
		cmocka_unit_test(shared),
		cmocka_unit_test(whole),
		cmocka_unit_test(crowded),
		cmocka_unit_test(logins),
		cmocka_unit_test(lifted),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
