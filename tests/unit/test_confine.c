/* confine.c: trying to break out. */

#include "buf.h"
#include "confine.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
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

static char dir[] = "/tmp/test_confine.XXXXXX";
static char inside[64], outside[64];

/* What a taken-over program would try; 0 if each try ends as it should. */
static int
tries(const struct conf *cf)
{
	char *const argv[] = { (char[]){ "true" }, NULL };
	int fd, ran;

	if (confine(cf) == -1)
		return 77; /* the kernel cannot */
	if ((fd = open(inside, O_RDWR | O_CREAT, 0600)) == -1)
		return 1;
	(void)close(fd);
	if (truncate(inside, 0) == -1 || unlink(inside) == -1)
		return 2;
	if (open(outside, O_RDONLY) != -1 || errno != EACCES)
		return 3;
	if (open(outside, O_WRONLY) != -1 || unlink(outside) != -1)
		return 4;
	if (open("/etc/passwd", O_RDONLY) != -1)
		return 5;
	if (mkdir("/tmp/test_confine.new", 0700) != -1)
		return 6;
	ran = execv("/bin/true", argv);
	if (ran != -1 || errno != EACCES)
		return 7;
	return 0;
}

static void
breaking_out(void **state)
{
	struct conf cf;
	struct buf err;
	int status, fd;
	pid_t pid;

	(void)state;
	buf_init(&err, 10000);
	(void)setenv("PARLEY_STATE_DIR", dir, 1);
	(void)setenv("PARLEY_RUN_DIR", dir, 1);
	(void)setenv("PARLEY_LOG_DIR", dir, 1);
	(void)setenv("PARLEY_MEDIA_DIR", dir, 1);
	(void)setenv("PARLEY_WWW_DIR", dir, 1);
	(void)setenv("PARLEY_DB", inside, 1);
	(void)setenv("PARLEY_HINT_SOCKET", inside, 1);
	assert_int_equal(conf_load(&cf, NULL, CONF_FCGI | CONF_LAX, &err), 0);
	fd = open(outside, O_RDWR | O_CREAT, 0600);
	assert_true(fd != -1);
	(void)close(fd);
	if ((pid = fork()) == 0)
		_exit(tries(&cf));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	(void)unlink(outside);
	conf_free(&cf);
	buf_fini(&err);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(inside, sizeof(inside), "%s/x.db", dir);
	(void)snprintf(outside, sizeof(outside), "%s.outside", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(breaking_out),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
