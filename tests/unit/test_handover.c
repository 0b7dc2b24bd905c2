/*
 * What another pushd gives: connections go on, and one whose record is no good
 * is closed, alone.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "carry.h"
#include "log.h"
#include "push.h"
#include "sock.h"
#include "ws.h"

enum { LOG = 1, HEAD = 3, DOOR = 5, HINTS, IDENT = 9, CONN, END, SESSION };

enum { FDS = 9, CLIENTS = 5 };

static struct push p;

/* --- the other one --- */

static void
record(struct buf *all, unsigned type, unsigned fds, struct buf *b)
{
	carry_record(all, type, fds, b);
	buf_reset(b);
}

static void
zeros(struct buf *b, int n)
{
	while (n-- > 0)
		carry_num(b, 0);
}

/* What each connection has, but for its transport's part. */
static void
put_conn(struct buf *b, const char *transport)
{
	carry_text(b, transport);
	carry_text(b, "127.0.0.1");
	zeros(b, 5);
	carry_num(b, UINT32_MAX);
	zeros(b, 3);
	carry_bytes(b, "", 0);
	carry_bytes(b, "", 0);
}

/* Agent 1 in the middle of a join with ${tag}. */
static void
put_live(struct buf *b, int64_t tag)
{
	put_conn(b, "websocket");
	zeros(b, 5);
	carry_text(b, "agent:1");
	carry_int(b, 0);
	carry_int(b, 0);
	zeros(b, 3);
	carry_num(b, 1);
	carry_num(b, 1);
	zeros(b, 2);
	carry_num(b, 1);
	carry_num(b, 0);
	carry_int(b, 5);
	zeros(b, 1); /* rooms */
	carry_num(b, 1);
	carry_num(b, 0);
	carry_int(b, 0);
	carry_text(b, "21");
	carry_int(b, tag);
	carry_int(b, 1);
	carry_int(b, 0);
	carry_int(b, 0);
	carry_text(b, "21");
	carry_text(b, "");
	zeros(b, 2); /* who else asked, joins */
	zeros(b, 3); /* typing, catching up, sends */
}

static void
put_ident(struct buf *b)
{
	carry_text(b, "agent:1");
	carry_text(b, "1");
	carry_text(b, "Mai");
	carry_text(b, "agent");
	carry_num(b, 1);
	carry_text(b, "inbox");
	carry_num(b, 0);
	carry_num(b, HUB_AGENT);
	carry_num(b, 0);
	carry_num(b, UINT32_MAX);
}

static void
put_all(struct buf *all)
{
	struct buf b;

	buf_init(&b, 65536);
	carry_int(&b, 5);
	record(all, LOG, 0, &b);
	carry_int(&b, 5);
	carry_int(&b, 0);
	carry_int(&b, 0);
	carry_int(&b, 0);
	carry_text(&b, "e");
	record(all, HEAD, 0, &b);
	carry_text(&b, NULL);
	record(all, DOOR, 2, &b);
	record(all, HINTS, 2, &b);
	put_ident(&b);
	record(all, IDENT, 0, &b);
	/* A session whose state is none. */
	carry_num(&b, 1);
	carry_bytes(&b, "01234567890123456789", EIO_SID);
	carry_num(&b, 99);
	record(all, SESSION, 0, &b);
	/* Nothing; a tag that is none; two good ones; no such transport. */
	record(all, CONN, 1, &b);
	put_live(&b, -1000);
	record(all, CONN, 1, &b);
	put_live(&b, -3);
	record(all, CONN, 1, &b);
	put_conn(&b, NULL);
	record(all, CONN, 1, &b);
	put_conn(&b, "pigeon");
	record(all, CONN, 1, &b);
	carry_num(&b, CLIENTS);
	record(all, END, 0, &b);
	assert_false(all->err);
	buf_fini(&b);
}

/* The first ${len} bytes at once, with all descriptors. */
static int
give(int fd, const struct buf *all, size_t len, const int *fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDS)];
	} control = { .space = { 0 } };
	struct iovec iov = { .iov_base = all->data, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int) * FDS);
	memcpy(CMSG_DATA(cm), fds, sizeof(int) * FDS);
	return sendmsg(fd, &m, 0) == (ssize_t)len ? 0 : -1;
}

/* The other's life: 0 if it went as it should. */
static int
giver(int at, const struct buf *all, const int *fds)
{
	struct pollfd pf = { .fd = at, .events = POLLIN };
	char line[16] = "";
	int fd;

	/* The socket does not block: accept would not wait for the taker. */
	fd = poll(&pf, 1, 10000) == 1 ? accept(at, NULL, NULL) : -1;
	return fd == -1 || recv(fd, line, 7, MSG_WAITALL) != 7 ||
	       strcmp(line, "take 1\n") != 0 || write(fd, "OK\n", 3) != 3 ||
	       give(fd, all, all->len, fds) == -1 ||
	       recv(fd, line, 5, MSG_WAITALL) != 5 ||
	       memcmp(line, "HAVE\n", 5) != 0 || write(fd, "GO\n", 3) != 3;
}

/* --- */

/* The taker, of this process. */
static int
begin(void **state)
{
	static const struct eio_limits lim = { .ping_interval_ms = 25000,
		.ping_timeout_ms = 20000,
		.payload_bytes_max = 1000000 };
	static const struct transport_path paths[] = {
		{ "/ws/live-chat", &ws_transport }, { NULL, NULL }
	};
	static const int64_t most = 100;

	(void)state;
	p.loop = ev_loop_new(0);
	p.cf.connections_max = 100;
	p.cf.head_bytes_max = 16384;
	hub_init(&p.hub, 10, 1 << 20);
	p.replays.hub = &p.hub;
	presence_init(&p.presence, p.loop, NULL, 1000);
	idents_init(&p.idents, p.loop, NULL, &p.presence, 60, 2, &most);
	conns_init(&p.conns, p.loop, &p.cf, paths);
	eios_init(&p.eios, &p.conns, &p.idents, &lim);
	handover_init(&p.handover, &p);
	return 0;
}

static void
alone(void **state)
{
	static const int lost[CLIENTS] = { 1, 1, 0, 0, 1 };
	char dir[] = "/tmp/parley-handover-XXXXXX", path[64], byte;
	int fds[FDS], both[2], clients[CLIENTS], at, i, status;
	struct buf all;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	at = sock_listen(path, SOCK_STREAM, 1);
	assert_int_not_equal(at, -1);
	for (i = 0; i < FDS; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
		fds[i] = both[0];
		if (i >= FDS - CLIENTS)
			clients[i - (FDS - CLIENTS)] = both[1];
		else
			close(both[1]);
	}
	buf_init(&all, 1 << 20);
	put_all(&all);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(giver(at, &all, fds));
	for (i = 0; i < FDS; i++)
		close(fds[i]);
	assert_int_equal(
	    handover_take(&p.handover, path, HANDOVER_ALL, NULL, 0), 1);
	assert_int_equal(handover_go(&p.handover), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(p.handover.took, 2);
	assert_int_equal(p.handover.lost, 3);
	assert_int_equal(p.conns.n, 2);
	assert_int_equal(p.eios.n, 0);
	for (i = 0; i < CLIENTS; i++) {
		n = recv(clients[i], &byte, 1, MSG_DONTWAIT);
		assert_int_equal(n, lost[i] ? 0 : -1);
		close(clients[i]);
	}
	close(at);
	unlink(path);
	strcat(path, ".lock");
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	buf_fini(&all);
}

/* Whose words end before all is said is not taken over from. */
static void
cut(void **state)
{
	char dir[] = "/tmp/parley-handover-XXXXXX", path[64], line[8];
	int fds[FDS], both[2], at, fd, i, status;
	struct buf all;
	pid_t pid;
	size_t n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	at = sock_listen(path, SOCK_STREAM, 1);
	assert_int_not_equal(at, -1);
	for (i = 0; i < FDS; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
		fds[i] = both[0];
		close(both[1]);
	}
	buf_init(&all, 1 << 20);
	put_all(&all);
	for (n = 1; n < all.len; n++) {
		pid = fork();
		assert_int_not_equal(pid, -1);
		if (pid == 0) {
			log_open("taker", "/dev/null", LOG_ERROR);
			begin(NULL);
			_exit(handover_take(&p.handover, path, HANDOVER_ALL,
				  NULL, 0) != -1);
		}
		fd = -1;
		if (poll(&(struct pollfd){ .fd = at, .events = POLLIN }, 1,
			10000) == 1)
			fd = accept(at, NULL, NULL);
		assert_int_not_equal(fd, -1);
		assert_int_equal(recv(fd, line, 7, MSG_WAITALL), 7);
		assert_int_equal(write(fd, "OK\n", 3), 3);
		assert_int_equal(give(fd, &all, n, fds), 0);
		close(fd);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	for (i = 0; i < FDS; i++)
		close(fds[i]);
	close(at);
	unlink(path);
	strcat(path, ".lock");
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	buf_fini(&all);
}

/* One that takes the connection and says nothing: given up, not waited for. */
static void
silent(void **state)
{
	char dir[] = "/tmp/parley-handover-XXXXXX", path[64];
	int at;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	at = sock_listen(path, SOCK_STREAM, 1);
	assert_int_not_equal(at, -1);
	assert_int_equal(
	    handover_take(&p.handover, path, HANDOVER_ALL, NULL, 0), -1);
	close(at);
	unlink(path);
	strcat(path, ".lock");
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut),
		cmocka_unit_test_setup(silent, begin),
		cmocka_unit_test(alone),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
