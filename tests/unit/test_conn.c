/*
 * What a connection is sent, in order and whole; which ones go from one pushd
 * to the next.
 */
#include <setjmp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
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

static unsigned ticks;

static unsigned
tick(struct conn *c)
{
	(void)c;
	ticks++;
	return 15;
}

static const struct transport stream = { .name = "stream",
	.tick = tick,
	.gone = gone,
	.carry = carry,
	.adopt = adopt };

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

/* Everything that is to be read, as text. */
static const char *
hears(int fd)
{
	static char got[sizeof(text)];
	ssize_t n = read(fd, got, sizeof(got) - 1);

	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void
give(struct conns *all, int fd, const char *s, size_t len)
{
	struct frame *f = frame_new(s, len);

	conns_give(all, (uint32_t)fd, f);
	frame_unref(f);
}

/* What is given by the descriptor and what is sent keep their order. */
static void
test_given(void **state)
{
	static struct conf cf;
	struct ev_loop *loop = ev_loop_new(0);
	struct frame *f = frame_new("one ", 4);
	struct conns all;
	struct conn *c;
	int fds[2];

	(void)state;
	cf.queue_bytes_max = 400000;
	cf.progress_s_max = 10;
	assert_int_equal(conns_init(&all, loop, &cf, paths), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	take_over(&all, fds[0]);
	c = all.at[fds[0]].c;

	/* New, it is looked at; then it needs no looking at. */
	conns_give(&all, (uint32_t)fds[0], f);
	assert_string_equal(hears(fds[1]), "");
	conns_settle(&all);
	assert_string_equal(hears(fds[1]), "one ");
	assert_int_equal(f->refs, 1);
	conns_give(&all, (uint32_t)fds[0], f);
	assert_null(c->first);
	assert_int_equal(conn_queued(c), 4);
	conns_settle(&all);
	assert_string_equal(hears(fds[1]), "one ");
	assert_int_equal(f->refs, 1);
	assert_int_equal(conn_queued(c), 0);

	/* Several in a turn. */
	conns_give(&all, (uint32_t)fds[0], f);
	give(&all, fds[0], "two ", 4);
	conn_write(c, "three ", 6);
	give(&all, fds[0], "four", 4);
	assert_int_equal(conn_queued(c), 18);
	conns_settle(&all);
	assert_string_equal(hears(fds[1]), "one two three four");
	conns_give(&all, (uint32_t)fds[0], f);
	conn_write(c, "two", 3);
	conns_settle(&all);
	assert_string_equal(hears(fds[1]), "one two");

	/* It takes a part; the rest follows when it reads again. */
	memset(text, 'x', sizeof(text));
	give(&all, fds[0], text, 390000);
	conns_settle(&all);
	assert_true(c->blocked);
	assert_in_range(conn_queued(c), 1, 389999);
	conns_give(&all, (uint32_t)fds[0], f);
	assert_int_equal(
	    strspn(hears(fds[1]), "x") + conn_queued(c) - 4, 390000);
	while (conn_queued(c) > 0) {
		ev_run(loop, EVRUN_NOWAIT);
		last = strlen(hears(fds[1]));
	}
	assert_false(c->blocked);
	assert_true(last >= 4);
	give(&all, fds[0], "end", 3);
	conns_settle(&all);
	assert_string_equal(hears(fds[1]), "end");

	/* What waits goes with it, and what comes later is for nobody. */
	conns_give(&all, (uint32_t)fds[0], f);
	assert_int_equal(f->refs, 2);
	conn_close(c, "test");
	assert_int_equal(f->refs, 1);
	conns_settle(&all);
	assert_string_equal(hears(fds[1]), "");

	conns_fini(&all);
	close(fds[1]);
	frame_unref(f);
	ev_loop_destroy(loop);
}

/* Who reads nothing is closed when too much waits. */
static void
test_given_slow(void **state)
{
	static struct conf cf;
	struct ev_loop *loop = ev_loop_new(0);
	struct conns all;
	int fds[2], i;

	(void)state;
	cf.queue_bytes_max = 1 << 20;
	cf.progress_s_max = 10;
	assert_int_equal(conns_init(&all, loop, &cf, paths), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	take_over(&all, fds[0]);
	conns_settle(&all);
	for (i = 0; i < 100 && all.n > 0; i++) {
		assert_true(conn_queued(all.at[fds[0]].c) <= 1 << 20);
		give(&all, fds[0], text, 65536);
		conns_settle(&all);
	}
	assert_int_equal(all.n, 0);
	assert_int_equal(all.slow, 1);
	assert_true(i > 16);
	conns_fini(&all);
	close(fds[1]);
	ev_loop_destroy(loop);
}

/* Of what a client does not read the kernel gets little. */
static void
test_unsent(void **state)
{
	static struct conf cf;
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct ev_loop *loop = ev_loop_new(0);
	const int fds[] = { socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
		-1 };
	int client = socket(AF_INET, SOCK_STREAM, 0), unsent = 0, i;
	struct conns all;
	struct conn *c = NULL;
	socklen_t len = sizeof(at);

	(void)state;
	cf.connections_max = 10;
	cf.queue_bytes_max = 64 << 20;
	cf.progress_s_max = 10;
	cf.unsent_bytes_max = 8192;
	assert_int_equal(conns_init(&all, loop, &cf, paths), 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fds[0], (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(fds[0], 1), 0);
	assert_int_equal(getsockname(fds[0], (struct sockaddr *)&at, &len), 0);
	assert_int_equal(conns_adopt_listener(&all, "127.0.0.1:0", fds), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&at, len), 0);
	while (all.n == 0)
		ev_run(loop, EVRUN_ONCE);
	for (i = 0; c == NULL; i++)
		c = all.at[i].c;
	for (i = 0; i < 20000 && !c->blocked; i++) {
		give(&all, c->fd, text, 1000);
		conns_settle(&all);
	}
	assert_true(c->blocked);
	assert_int_equal(ioctl(c->fd, SIOCOUTQNSD, &unsent), 0);
	/* ... and fills the segment that it is at. */
	assert_in_range(unsent, 1, 8192 + 65536);
	conns_fini(&all);
	close(client);
	ev_loop_destroy(loop);
}

/* Who is due in one second has its turn, but not all in one of the loop's. */
static void
test_ticks(void **state)
{
	enum { MANY = 300 };
	static struct conf cf;
	struct ev_loop *loop = ev_loop_new(0);
	unsigned seen, turns = 0;
	int fds[MANY][2], i;
	struct conns all;

	(void)state;
	cf.queue_bytes_max = 4096;
	cf.progress_s_max = 10;
	assert_int_equal(conns_init(&all, loop, &cf, paths), 0);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]),
		    0);
		take_over(&all, fds[i][0]);
	}
	conns_settle(&all);
	all.now_s += 2;
	for (ticks = 0; ticks < MANY; turns++) {
		seen = ticks;
		give(&all, fds[0][0], "event", 5);
		ev_run(loop, EVRUN_NOWAIT);
		assert_string_equal(hears(fds[0][1]), "event");
		assert_in_range(ticks - seen, 1, MANY / 2);
	}
	assert_true(turns > 2);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(ticks, MANY);
	assert_false(ev_is_active(&all.spin));

	/* A long sleep: once each, however many seconds it was. */
	all.now_s += 1000;
	for (i = 0; i < 1000 && (i < 3 || ev_is_active(&all.spin)); i++)
		ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(ticks, 2 * MANY);
	conns_fini(&all);
	for (i = 0; i < MANY; i++)
		close(fds[i][1]);
	ev_loop_destroy(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_given_slow),
		cmocka_unit_test(test_unsent),
		cmocka_unit_test(test_last_bytes),
		cmocka_unit_test(test_ticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
