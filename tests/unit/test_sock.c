/* sock.c: a second instance is kept out, long paths are refused. */

#include "log.h"
#include "sock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/test_sock.XXXXXX";
static char path[64];

static void
listens_once(void **state)
{
	int fd, c, a, status;
	struct stat st;
	uid_t uid;
	pid_t pid;

	(void)state;
	fd = sock_listen(path, SOCK_SEQPACKET, 8);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	/* Another process finds the lock held and leaves the socket alone. */
	if ((pid = fork()) == 0) {
		(void)log_open("test", "/dev/null", LOG_ERROR);
		_exit(sock_listen(path, SOCK_SEQPACKET, 8) == -1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	c = sock_connect(path, SOCK_SEQPACKET);
	assert_true(c >= 0);
	a = accept(fd, NULL, NULL);
	assert_true(a >= 0);
	assert_int_equal(sock_peer_uid(a, &uid), 0);
	assert_int_equal(uid, geteuid());
	assert_true(sock_peer_ok(a));
	(void)close(a);
	(void)close(c);
	(void)close(fd);
}

static void
refuses(void **state)
{
	char longer[200];

	(void)state;
	(void)log_open("test", "/dev/null", LOG_ERROR);
	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[108] = '\0';
	assert_int_equal(sock_listen(longer, SOCK_STREAM, 8), -1);
	assert_int_equal(sock_connect(longer, SOCK_STREAM), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(sock_connect("/nonexistent/x", SOCK_STREAM), -1);
	assert_int_equal(sock_connect("127.0.0.1", SOCK_STREAM), -1);
	assert_int_equal(sock_connect("127.0.0.1:99999", SOCK_STREAM), -1);
	assert_int_equal(sock_connect("example.org:80", SOCK_STREAM), -1);
	assert_int_equal(sock_listen("127.0.0.1:0", SOCK_SEQPACKET, 1), -1);
}

static void
tcp(void **state)
{
	int fd = sock_listen("127.0.0.1:0", SOCK_STREAM, 8);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
}

/* How many wait is told of both kinds, and of nothing else. */
static void
backlog(void **state)
{
	int fd, n, conns[3], ends[2];
	char other[80], lock[88];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s.b", path);
	(void)snprintf(lock, sizeof(lock), "%s.lock", other);
	fd = sock_listen(other, SOCK_STREAM, 8);
	(void)unlink(lock);
	assert_true(fd >= 0);
	if (sock_backlog(fd) == -1) {
		(void)close(fd);
		(void)unlink(other);
		skip(); /* a kernel that does not tell */
	}
	for (n = 0; n < 3; n++) {
		assert_int_equal(sock_backlog(fd), n);
		conns[n] = sock_connect(other, SOCK_STREAM);
		assert_true(conns[n] >= 0);
	}
	ends[0] = accept(fd, NULL, NULL);
	assert_int_equal(sock_backlog(fd), 2);
	(void)close(ends[0]);
	while (n-- > 0)
		(void)close(conns[n]);
	(void)close(fd);
	(void)unlink(other);
	fd = sock_listen("127.0.0.1:0", SOCK_STREAM, 8);
	assert_int_equal(sock_backlog(fd), 0);
	(void)close(fd);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(sock_backlog(ends[0]), -1);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int
teardown(void **state)
{
	char lock[80];

	(void)state;
	(void)snprintf(lock, sizeof(lock), "%s.lock", path);
	(void)unlink(path);
	(void)unlink(lock);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listens_once),
		cmocka_unit_test(refuses),
		cmocka_unit_test(tcp),
		cmocka_unit_test(backlog),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
