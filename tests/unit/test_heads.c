/* The mapped file of newest ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heads.h"

static char dir[64], path[96];

static int
up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/parley-heads-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/heads.map", dir);
	return 0;
}

static int
down(void **state)
{
	(void)state;
	unlink(path);
	rmdir(dir);
	return 0;
}

static void
test_reader_without_file(void **state)
{
	(void)state;
	struct heads *r = heads_open(path, "boot", false), *w;

	/* Nothing there: always ask the database. */
	assert_non_null(r);
	assert_false(heads_good(r));
	assert_true(heads_newest(r, "inbox") == INT64_MAX);
	assert_true(heads_signalled(r, "inbox", 1));

	/* Made, but not yet filled: the same. */
	w = heads_open(path, "boot", true);
	assert_non_null(w);
	assert_false(heads_good(r));
	assert_int_equal(heads_fill(w, 100, "life"), 0);
	assert_true(heads_good(r));
	assert_int_equal(heads_newest(r, "inbox"), 100);
	assert_int_equal(heads_head(r), 100);
	assert_true(heads_is(w, "life"));
	assert_false(heads_is(w, "other"));
	heads_close(r);
	heads_close(w);
}

static void
test_raise(void **state)
{
	static const char *const rooms[] = { "inbox", "user:5" };
	(void)state;
	struct heads *w = heads_open(path, "boot", true);
	struct heads *r = heads_open(path, "boot", false);

	heads_fill(w, 100, "life");
	heads_raise(w, "user:5", 107);
	heads_raise(w, "user:5", 103); /* never down */
	assert_true(heads_good(r));
	assert_int_equal(heads_newest(r, "user:5"), 107);
	assert_int_equal(heads_newest(r, "inbox"), 100);
	assert_int_equal(heads_all(r, rooms, 2), 107);
	/* The head is what was committed. */
	assert_int_equal(heads_head(r), 100);
	heads_commit(w, 107);
	assert_int_equal(heads_head(r), 107);
	heads_close(r);
	heads_close(w);
}

static void
test_other_boot(void **state)
{
	(void)state;
	struct heads *w = heads_open(path, "boot", true), *r;

	heads_fill(w, 100, "life");
	heads_close(w);
	/* After a power cut the slots may be older than the log. */
	r = heads_open(path, "another", false);
	assert_false(heads_good(r));
	assert_true(heads_newest(r, "inbox") == INT64_MAX);
	w = heads_open(path, "another", true);
	assert_false(heads_is(w, "life"));
	heads_fill(w, 90, "life");
	assert_true(heads_good(r));
	assert_int_equal(heads_newest(r, "inbox"), 100); /* never down */
	heads_close(r);
	heads_close(w);
}

static void
test_removed(void **state)
{
	(void)state;
	struct heads *w = heads_open(path, "boot", true);
	struct heads *r = heads_open(path, "boot", false);

	heads_fill(w, 100, "life");
	assert_true(heads_good(r));
	unlink(path);
	/* Both see that what they map is not the file any more. */
	assert_false(heads_good(r));
	assert_false(heads_is(w, "life"));
	heads_fill(w, 120, "life");
	assert_true(heads_good(r));
	assert_int_equal(heads_newest(r, "inbox"), 120);
	heads_close(r);
	heads_close(w);
}

/* Renamed it still has a name: writers and readers must not part over it. */
static void
test_renamed(void **state)
{
	(void)state;
	struct heads *w = heads_open(path, "boot", true);
	struct heads *r = heads_open(path, "boot", false);
	struct heads *late;
	char old[128];

	heads_fill(w, 100, "life");
	assert_true(heads_good(r));
	snprintf(old, sizeof old, "%s.old", path);
	assert_int_equal(rename(path, old), 0);
	/* A writer that starts now makes the file anew and uses that. */
	late = heads_open(path, "boot", true);
	heads_fill(late, 120, "life");
	heads_raise(late, "inbox", 130);
	assert_true(heads_good(r));
	assert_int_equal(heads_newest(r, "inbox"), 130);
	assert_true(heads_is(w, "life"));
	heads_raise(w, "inbox", 140);
	assert_int_equal(heads_newest(r, "inbox"), 140);
	unlink(old);
	heads_close(late);
	heads_close(r);
	heads_close(w);
}

/* Cut short it is filled again, before anybody touches what is missing. */
static void
test_truncated(void **state)
{
	(void)state;
	struct heads *w = heads_open(path, "boot", true);
	struct heads *r = heads_open(path, "boot", false);

	heads_fill(w, 100, "life");
	assert_true(heads_good(r));
	assert_int_equal(truncate(path, 0), 0);
	assert_false(heads_good(r));
	assert_int_equal(heads_newest(r, "inbox"), INT64_MAX);
	assert_false(heads_is(w, "life"));
	assert_int_equal(heads_fill(w, 120, "life"), 0);
	assert_true(heads_good(r));
	assert_int_equal(heads_newest(r, "inbox"), 120);
	heads_close(r);
	heads_close(w);
}

static void
test_garbage(void **state)
{
	(void)state;
	FILE *fp = fopen(path, "w");
	struct heads *r, *w;
	int i;

	for (i = 0; i < 1100000; i++)
		putc(i * 7, fp);
	fclose(fp);
	r = heads_open(path, "boot", false);
	assert_false(heads_good(r));
	assert_true(heads_newest(r, "inbox") == INT64_MAX);
	w = heads_open(path, "boot", true);
	assert_false(heads_is(w, "life"));
	/* Nothing of it is taken for an id. */
	assert_int_equal(heads_fill(w, 100, "life"), 0);
	assert_true(heads_good(r));
	assert_int_equal(heads_newest(r, "inbox"), 100);
	assert_int_equal(heads_head(r), 100);
	heads_close(w);
	heads_close(r);
}

static void
test_signal(void **state)
{
	(void)state;
	struct heads *w = heads_open(path, "boot", true);

	heads_fill(w, 100, "life");
	assert_false(heads_signalled(w, "conversation:1", 5000));
	heads_signal(w, "conversation:1", 9000);
	assert_true(heads_signalled(w, "conversation:1", 8999));
	assert_false(heads_signalled(w, "conversation:1", 9000));
	/* A clock set back far: not for ever. */
	assert_false(heads_signalled(w, "conversation:1", -100000));
	heads_close(w);
}

/* Two processes raise one slot at once: the greatest stays. */
static void
test_processes(void **state)
{
	(void)state;
	struct heads *w = heads_open(path, "boot", true);
	pid_t pid;
	int64_t i;
	int status;

	heads_fill(w, 0, "life");
	if ((pid = fork()) == 0) {
		struct heads *c = heads_open(path, "boot", true);

		for (i = 1; i < 200000; i += 2)
			heads_raise(c, "inbox", i);
		_exit(0);
	}
	for (i = 2; i <= 200000; i += 2) {
		heads_raise(w, "inbox", i);
		assert_true(heads_newest(w, "inbox") >= i);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(heads_newest(w, "inbox"), 200000);
	heads_close(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_reader_without_file, up, down),
		cmocka_unit_test_setup_teardown(test_raise, up, down),
		cmocka_unit_test_setup_teardown(test_other_boot, up, down),
		cmocka_unit_test_setup_teardown(test_removed, up, down),
		cmocka_unit_test_setup_teardown(test_renamed, up, down),
		cmocka_unit_test_setup_teardown(test_truncated, up, down),
		cmocka_unit_test_setup_teardown(test_garbage, up, down),
		cmocka_unit_test_setup_teardown(test_signal, up, down),
		cmocka_unit_test_setup_teardown(test_processes, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
