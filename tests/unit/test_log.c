/* log.c: one line per fact, nothing that steers a terminal, no floods. */

#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char path[] = "/tmp/test_log.XXXXXX";

static size_t
slurp(char *to, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(to, 1, size - 1, f);
	to[n] = '\0';
	(void)fclose(f);
	return n;
}

static void
lines(void **state)
{
	char text[16384], big[5000];
	size_t i, n = 0;

	(void)state;
	assert_int_equal(log_open("test", path, LOG_INFO), 0);
	log_info("one fd=%d", 3);
	log_debug("not seen");
	log_warn("a\nb\x1b[31m\xff\xc2\x9b \xe1\xba\xa1");
	(void)slurp(text, sizeof(text));
	assert_non_null(strstr(text, "] info: one fd=3\n"));
	assert_null(strstr(text, "not seen"));
	assert_non_null(strstr(
	    text, "warn: a\\x0ab\\x1b[31m\\xff\\xc2\\x9b \xe1\xba\xa1\n"));

	/* Cut at the limit, still one line. */
	memset(big, '\x01', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_error("%s", big);
	(void)slurp(text, sizeof(text));
	for (i = 0; text[i] != '\0'; i++)
		n += text[i] == '\n';
	assert_int_equal(n, 3);
	assert_true(strlen(strrchr(text, ']')) < 2100);

	/* The same again and again collapses. */
	for (i = 0; i < 100; i++)
		log_info("same");
	log_info("other");
	(void)slurp(text, sizeof(text));
	assert_non_null(strstr(text, "log 99 suppressed\n"));

	/* A renamed file is left, and made anew on demand. */
	(void)unlink(path);
	log_reopen();
	log_info("after");
	(void)slurp(text, sizeof(text));
	assert_non_null(strstr(text, "after"));
}

static void
floods(void **state)
{
	static char text[1 << 20];
	size_t i, n = 0;

	(void)state;
	assert_int_equal(log_open("test", path, LOG_INFO), 0);
	for (i = 0; i < 5000; i++)
		log_info("flood %zu", i);
	(void)slurp(text, sizeof(text));
	for (i = 0; text[i] != '\0'; i++)
		n += text[i] == '\n';
	assert_true(n < 1000);
}

static void
levels(void **state)
{
	(void)state;
	assert_int_equal(log_level("error"), LOG_ERROR);
	assert_int_equal(log_level("debug"), LOG_DEBUG);
	assert_int_equal(log_level("loud"), -1);
	assert_int_equal(log_open("test", "/nonexistent/log", LOG_ERROR), -1);
	assert_int_equal(log_open("test", NULL, LOG_ERROR), 0);
}

static int
setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd == -1 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(floods),
		cmocka_unit_test(levels),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
