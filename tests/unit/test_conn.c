/*
 * Which connections go from one pushd to the next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "conn.h"

static char text[1 << 20];
static size_t last; /* bytes that a stream sends before it goes */

static int
carry(struct conn *c, struct buf *b)
{
	(void)b;
	conn_write(c, text, last);
	return 0;
}

static int adopt(struct conn *c, struct carry_in *in);

static void
gone(struct conn *c)
{
	(void)c;
}

static const struct transport stream = {
	.name = "stream", .gone = gone, .carry = carry, .adopt = adopt
};

static const struct transport_path paths[] = { { "/stream", &stream },
	{ NULL, NULL } };

static int
adopt(struct conn *c, struct carry_in *in)
{
	(void)in;
	conn_take(c, &stream, NULL);
	return 0;
}

/* A stream whose client reads nothing, as another pushd had it. */
static void
take_over(struct conns *all, int fd)
{
	struct carry_in in;
	struct buf b;
	int i;

	buf_init(&b, 4096);
	carry_text(&b, stream.name);
	carry_text(&b, "127.0.0.1");
	for (i = 0; i < 9; i++)
		carry_num(&b, 0);
	carry_bytes(&b, "", 0); /* read */
	carry_bytes(&b, "", 0); /* not sent yet */
	in = (struct carry_in){ .p = b.data, .left = b.len };
	assert_int_equal(conn_adopt(all, fd, &in), 0);
	buf_fini(&b);
}

static void
try(struct conn *c, void *arg)
{
	struct buf b;

	buf_init(&b, CARRY_RECORD_MAX);
	*(int *)arg = conn_carry(c, &b);
	buf_fini(&b);
}

/* What does not get all that it is sent at the last stays, and is closed. */
static void
test_last_bytes(void **state)
{
	static const size_t sizes[] = { 10, sizeof(text) };
	static struct conf cf;
	struct ev_loop *loop = ev_loop_new(0);
	struct conns all;
	int fds[2], rc, i;

	(void)state;
	cf.queue_bytes_max = 4096;
	memset(text, 'x', sizeof(text));
	for (i = 0; i < 2; i++) {
		assert_int_equal(conns_init(&all, loop, &cf, paths), 0);
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
		    0);
		take_over(&all, fds[0]);
		last = sizes[i];
		conns_each(&all, try, &rc);
		assert_int_equal(rc, i == 0 ? 0 : -1);
		conns_fini(&all);
		close(fds[1]);
	}
	ev_loop_destroy(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
