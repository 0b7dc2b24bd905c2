/* emit.c: hints go out after commit, never block, and losses are counted. */

#include "emit.h"
#include "limits.h"
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
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/test_emit.XXXXXX";
static struct conf cf;
static int listener, peer = -1;

static struct event
event(int64_t id, const char *data)
{
	static const char *rooms[] = { "inbox" };
	struct event e = { .id = id,
		.prev = id > 0 ? id - 1 : 0,
		.type = "t",
		.rooms = rooms,
		.nrooms = 1,
		.data = data,
		.data_len = strlen(data) };

	return e;
}

/* The next packet, or NULL if there is none. */
static struct event *
next(void)
{
	static char text[EVENT_PACKET_MAX + 1];
	struct event *e = NULL;
	ssize_t n;

	if (peer == -1 && (peer = accept(listener, NULL, NULL)) == -1)
		return NULL;
	n = recv(peer, text, sizeof(text), MSG_DONTWAIT);
	if (n > 0)
		assert_int_equal(event_parse(text, (size_t)n, &e), 1);
	return e;
}

static void
after_commit(void **state)
{
	struct event a = event(1, "{}"), b = event(2, "{\"x\":1}"), *got;

	(void)state;
	emit_event(&a);
	assert_null(next());
	emit_drop();
	emit_flush();
	assert_null(next());
	emit_event(&a);
	emit_event(&b);
	emit_flush();
	got = next();
	assert_non_null(got);
	assert_int_equal(got->id, 1);
	event_free(got);
	got = next();
	assert_int_equal(got->id, 2);
	assert_string_equal(got->data, "{\"x\":1}");
	event_free(got);
	emit_flush();
	assert_null(next());
	assert_int_equal(emit_sent(), 2);
	assert_int_equal(emit_lost(), 0);
}

static void
too_large(void **state)
{
	char *big = malloc(EVENT_PACKET_MAX + 100);
	struct event e, *got;

	(void)state;
	memset(big, 'x', EVENT_PACKET_MAX + 99);
	big[0] = '"';
	big[EVENT_PACKET_MAX + 98] = '"';
	big[EVENT_PACKET_MAX + 99] = '\0';
	e = event(9, big);
	emit_event(&e);
	emit_flush();
	got = next();
	assert_non_null(got);
	assert_int_equal(got->id, 9);
	assert_int_equal(got->prev, 8);
	assert_null(got->type);
	event_free(got);
	/* An ephemeral one has no id to go by. */
	e.id = e.prev = 0;
	emit_ephemeral(&e);
	assert_null(next());
	e = event(0, "{}");
	emit_ephemeral(&e);
	got = next();
	assert_non_null(got);
	assert_int_equal(got->id, 0);
	event_free(got);
	free(big);
}

static void
reader_stopped(void **state)
{
	struct event e = event(5, "{\"a\":\"0123456789012345678901234567\"}");
	struct event *got;
	uint64_t sent = emit_sent(), lost = emit_lost();
	int i;

	(void)state;
	/* Who waited would wait for ever; what found no room is counted. */
	alarm(60);
	for (i = 0; i < 3000; i++) {
		emit_event(&e);
		emit_flush();
	}
	alarm(0);
	assert_int_equal(emit_sent() - sent + emit_lost() - lost, 3000);
	assert_true(emit_lost() > lost);
	while ((got = next()) != NULL)
		event_free(got);
}

static void
reader_gone(void **state)
{
	const struct timespec nap = { 0, 120000000 };
	struct event e = event(6, "{}"), *got;
	uint64_t lost = emit_lost();

	(void)state;
	(void)close(peer);
	(void)close(listener);
	peer = -1;
	emit_event(&e);
	emit_flush();
	assert_true(emit_lost() > lost);
	/* Back again: the next but one finds it. */
	(void)unlink(cf.hint_socket);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	(void)close(listener);
	{
		char lock[128];

		(void)snprintf(lock, sizeof(lock), "%s.lock", cf.hint_socket);
		(void)unlink(lock);
	}
	listener = sock_listen(cf.hint_socket, SOCK_SEQPACKET, 8);
	assert_true(listener >= 0);
	(void)nanosleep(&nap, NULL);
	emit_event(&e);
	emit_flush();
	got = next();
	assert_non_null(got);
	event_free(got);
}

static int
setup(void **state)
{
	struct buf err;
	char path[64];

	(void)state;
	(void)log_open("test", "/dev/null", LOG_ERROR);
	if (mkdtemp(dir) == NULL || setenv("PARLEY_RUN_DIR", dir, 1) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/hint.sock", dir);
	(void)setenv("PARLEY_HINT_SOCKET", path, 1);
	buf_init(&err, 10000);
	if (conf_load(&cf, NULL, CONF_FCGI | CONF_LAX, &err) == -1)
		return -1;
	buf_fini(&err);
	if ((listener = sock_listen(cf.hint_socket, SOCK_SEQPACKET, 8)) == -1)
		return -1;
	emit_init(&cf);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "emit.map", "hint.sock",
		"hint.sock.lock" };
	char path[64];
	size_t i;

	(void)state;
	emit_fini();
	conf_free(&cf);
	for (i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_commit),
		cmocka_unit_test(too_large),
		cmocka_unit_test(reader_stopped),
		cmocka_unit_test(reader_gone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
