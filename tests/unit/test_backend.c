/*
 * The FastCGI client: what is asked is answered, though the processes behind
 * its connections end meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend.h"
#include "sock.h"

static char dir[] = "/tmp/test_backend.XXXXXX", path[64];
static int listener;

/* One record of the answer. */
static int
record(int fd, unsigned char type, const char *p, size_t len)
{
	unsigned char h[8] = { 1, type, 0, 1, 0, (unsigned char)len, 0, 0 };

	return send(fd, h, 8, MSG_NOSIGNAL) == 8 &&
		       send(fd, p, len, MSG_NOSIGNAL) == (ssize_t)len
		   ? 0
		   : -1;
}

/* Serve: the first ${deaf} that ask are left with their question. */
static void
serve(int deaf)
{
	static const char answer[] = "Status: 201 Created\r\n\r\nhere";
	char text[4096];
	int fd;

	alarm(60);
	fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) & ~O_NONBLOCK);
	while ((fd = accept(listener, NULL, NULL)) != -1) {
		while (recv(fd, text, sizeof(text), 0) > 0) {
			if (deaf-- > 0)
				break;
			if (record(fd, 6, answer, sizeof(answer) - 1) == -1 ||
			    record(fd, 3, "\0\0\0\0\0\0\0\0", 8) == -1)
				break;
		}
		close(fd);
	}
	_exit(1);
}

struct asked {
	struct ev_loop *loop;
	int status, times;
	char why[16];
};

static void
on_answer(void *arg, const struct backend_answer *a)
{
	struct asked *x = arg;

	x->status = a->status;
	x->times++;
	snprintf(x->why, sizeof(x->why), "%s", a->why ? a->why : "");
	ev_break(x->loop, EVBREAK_ALL);
}

/* One question to a pool of two, of which so many connections end. */
static struct asked
ask(int deaf)
{
	struct asked x = { .loop = ev_loop_new(0) };
	struct backend_conf cf = { .socket = path,
		.key = "key",
		.pool = 2,
		.waiting_max = 10,
		.timeout_ms = 30000 };
	struct backend *b;
	pid_t pid;

	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		serve(deaf);
	b = backend_new(x.loop, &cf);
	assert_non_null(b);
	assert_non_null(backend_call(
	    b, BACKEND_SEND, "POST", "/x", "r", NULL, "{}", 2, on_answer, &x));
	ev_run(x.loop, 0);
	backend_free(b);
	ev_loop_destroy(x.loop);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return x;
}

static void
renewed(void **state)
{
	struct asked x;
	int deaf;

	(void)state;
	/* Both of the pool, and both again. */
	for (deaf = 0; deaf <= 4; deaf++) {
		x = ask(deaf);
		assert_int_equal(x.status, 201);
		assert_int_equal(x.times, 1);
	}
}

static void
never(void **state)
{
	struct asked x = ask(1000);

	(void)state;
	assert_int_equal(x.status, 0);
	assert_int_equal(x.times, 1);
	assert_string_equal(x.why, "lost");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renewed),
		cmocka_unit_test(never),
	};
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	listener = sock_listen(path, SOCK_STREAM, 8);
	if (listener == -1)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	snprintf(path, sizeof(path), "%s/sock.lock", dir);
	unlink(path);
	rmdir(dir);
	return rc;
}
