/* park.c: who waits until a request is whole, and who is taken before. */

#include "clock.h"
#include "log.h"
#include "park.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

/* A request: begin, parameters, their end, a body of five bytes, its end. */
static const unsigned char text[] = "\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0"
				    "\1\4\0\1\0\4\4\0\1\1AB\0\0\0\0"
				    "\1\4\0\1\0\0\0\0"
				    "\1\5\0\1\0\5\3\0hello\0\0\0"
				    "\1\5\0\1\0\0\0\0";
#define LEN (sizeof(text) - 1)

static int listener = -1;
static struct sockaddr_un at = { .sun_family = AF_UNIX };

static void
whole(void **state)
{
	static const unsigned char abort[] = "\1\2\0\1\0\0\0\0";
	size_t i;

	(void)state;
	for (i = 0; i < LEN; i++)
		assert_int_equal(park_whole(text, i), 0);
	assert_int_equal(park_whole(text, LEN), 1);
	/* What is none is not waited for. */
	assert_int_equal(park_whole((const unsigned char *)"GET / ", 6), 1);
	assert_int_equal(park_whole(abort, 8), 1);
}

static int
client(const unsigned char *p, size_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(
	    connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(fd, p, len, MSG_NOSIGNAL), len);
	return fd;
}

/* What the taken one has to say, which nobody took from it. */
static void
said(int fd, size_t len)
{
	unsigned char got[2 * LEN];

	assert_int_not_equal(fd, -1);
	assert_int_equal(recv(fd, got, sizeof(got), 0), len);
	assert_memory_equal(got, text, len);
	close(fd);
}

static void
waits(void **state)
{
	struct park pk;
	int slow[3], fast, i;

	(void)state;
	park_init(&pk, listener, 60000);
	assert_int_equal(park_take(&pk), -1);
	for (i = 0; i < 3; i++)
		slow[i] = client(text, LEN - 9);
	fast = client(text, LEN);
	said(park_take(&pk), LEN);
	close(fast);
	assert_int_equal(park_take(&pk), -1);
	assert_int_equal(pk.n, 3);
	/* The second one comes, and the third goes. */
	assert_int_equal(send(slow[1], text + LEN - 9, 9, 0), 9);
	close(slow[2]);
	assert_true(park_waiting(&pk));
	said(park_take(&pk), LEN);
	close(slow[1]);
	assert_int_equal(park_take(&pk), -1);
	assert_int_equal(pk.n, 1);
	/* At our end the first has a moment still. */
	park_stop(&pk);
	fast = client(text, LEN);
	assert_int_equal(park_take(&pk), -1);
	assert_int_equal(send(slow[0], text + LEN - 9, 9, 0), 9);
	assert_int_equal(park_wait(&pk, NULL), 0);
	said(park_take(&pk), LEN);
	assert_int_equal(pk.n, 0);
	close(slow[0]);
	park_fini(&pk);
	/* For another of our kind. */
	park_init(&pk, listener, 60000);
	said(park_take(&pk), LEN);
	close(fast);
	park_fini(&pk);
}

static void
ends(void **state)
{
	static unsigned char large[40000];
	int fd[PARK_MAX + 1], i;
	struct park pk;
	char c;

	(void)state;
	/* Too late. */
	park_init(&pk, listener, 1);
	fd[0] = client(text, 20);
	assert_int_equal(park_take(&pk), -1);
	while (pk.n > 0) {
		assert_int_equal(park_wait(&pk, NULL), 0);
		assert_int_equal(park_take(&pk), -1);
	}
	assert_int_not_equal(recv(fd[0], &c, 1, 0), 1);
	close(fd[0]);
	park_fini(&pk);
	/* One too many: the first goes. */
	park_init(&pk, listener, 60000);
	for (i = 0; i <= PARK_MAX; i++) {
		fd[i] = client(text, 20);
		assert_int_equal(park_take(&pk), -1);
	}
	assert_int_equal(pk.n, PARK_MAX);
	assert_int_not_equal(recv(fd[0], &c, 1, MSG_DONTWAIT), 1);
	for (i = 0; i <= PARK_MAX; i++)
		close(fd[i]);
	park_fini(&pk);
	/* So large a body does not wait. */
	memcpy(large, text, 40);
	memcpy(large + 40, "\1\5\0\1\377\377\0\0", 8);
	park_init(&pk, listener, 60000);
	fd[0] = client(large, sizeof(large));
	i = park_take(&pk);
	assert_int_not_equal(i, -1);
	close(i);
	close(fd[0]);
	park_fini(&pk);
}

/* Who has a kept connection leaves new ones to others. */
static void
keeps(void **state)
{
	struct park pk;
	int pair[2], fd;

	(void)state;
	park_init(&pk, listener, 60000);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	park_keep(&pk, pair[0]);
	fd = client(text, LEN);
	assert_int_equal(park_take(&pk), -1);
	assert_int_equal(send(pair[1], text, LEN, 0), LEN);
	assert_int_equal(park_wait(&pk, NULL), 0);
	said(park_take(&pk), LEN);
	said(park_take(&pk), LEN);
	close(fd);
	close(pair[1]);
	park_fini(&pk);
}

static int
setup(void **state)
{
	(void)state;
	log_open("test", NULL, LOG_ERROR);
	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/test_park.%ld",
	    (long)getpid());
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	return bind(listener, (const struct sockaddr *)&at, sizeof(at)) == -1 ||
	       listen(listener, 128) == -1;
}

static int
teardown(void **state)
{
	(void)state;
	close(listener);
	return unlink(at.sun_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(waits),
		cmocka_unit_test(ends),
		cmocka_unit_test(keeps),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
