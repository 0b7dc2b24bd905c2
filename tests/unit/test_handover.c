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
#include <sys/resource.h>
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

enum { LOG = 1, EVENT, HEAD, DOOR = 5, HINTS, IDENT = 9, CONN, END, SESSION };

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
	p.cf.identity_s = 60;
	p.cf.push_pool = 2;
	p.cf.account_connections_max = most;
	idents_init(&p.idents, p.loop, NULL, &p.presence, &p.cf);
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
	/* Who was lost first left the identity as it was: asked about again. */
	assert_non_null(p.idents.due.first);
	assert_string_equal(p.idents.due.first->ref, "agent:1");
	assert_int_equal(p.idents.due.first->early, 0);
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

/* --- what we give --- */

enum { RECENT = 8, LINE = 60000, HINTS_MANY = 500 };

static void
turns(int n)
{
	while (n-- > 0)
		ev_run(p.loop, EVRUN_NOWAIT);
}

/* An event that is large. */
static void
happens(int64_t id)
{
	struct event *e = NULL;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_printf(&b,
	    "{\"id\":%lld,\"prev\":%lld,\"type\":\"tag_added\","
	    "\"rooms\":[\"inbox\"],\"data\":{\"text\":\"",
	    (long long)id, (long long)id - 1);
	while (b.len < LINE)
		buf_puts(&b, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	buf_puts(&b, "\"}}");
	assert_int_equal(event_parse(b.data, b.len, &e), 1);
	hub_append(&p.hub, e);
	buf_fini(&b);
}

/* A pushd that is ready, with hints from so many; where it is found. */
static void
serve(char dir[], char path[64], int hints)
{
	static const struct ingest_ops ops = { 0 };
	int fds[HINTS_MANY], both[2], i;

	assert_non_null(mkdtemp(dir));
	snprintf(path, 64, "%s/sock", dir);
	hub_start(&p.hub, 5, 0, "e");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, both), 0);
	fds[0] = both[0];
	fds[1] = both[1];
	for (i = 2; i < hints; i++) {
		fds[i] = dup(both[0]);
		assert_int_not_equal(fds[i], -1);
	}
	assert_int_equal(ingest_adopt(&p.ingest, p.loop, &p.hub, NULL, fds,
			     (size_t)hints, 1000000, &ops, &p),
	    0);
	assert_int_equal(handover_listen(&p.handover, path), 0);
}

static void
served(const char *dir, char path[64])
{
	ingest_stop(&p.ingest);
	handover_fini(&p.handover);
	handover_init(&p.handover, &p);
	unlink(path);
	strcat(path, ".lock");
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

/* Somebody who wants it all, and has heard so many bytes. */
static int
taker(const char *path)
{
	int fd = sock_connect(path, SOCK_STREAM);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "take 1\n", 7), 7);
	return fd;
}

/* All that comes until nothing more does. */
static void
hear_all(int fd, struct buf *b)
{
	char bytes[65536];
	ssize_t n;
	int quiet = 0;

	while (quiet < 3) {
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0)
			buf_append(b, bytes, (size_t)n);
		quiet = n > 0 ? 0 : quiet + 1;
		if (n <= 0)
			turns(1);
	}
	assert_false(b->err);
}

/*
 * A taker that is slow, while the ring turns over: what it has in the end has
 * no hole, whatever it was sent before.
 */
static void
no_hole(void **state)
{
	char dir[] = "/tmp/parley-handover-XXXXXX", path[64];
	int64_t last = -1;
	struct carry_record r;
	struct buf b;
	size_t at = 3;
	unsigned logs = 0;
	ssize_t n;
	int fd, i;

	(void)state;
	serve(dir, path, 2);
	for (i = 0; i < RECENT; i++)
		happens(6 + i);
	fd = taker(path);
	turns(8);
	for (i = 0; i < 2 * RECENT; i++)
		happens(6 + RECENT + i);
	/* It does not take it, in the end: we go on. */
	assert_int_equal(write(fd, "NO\n", 3), 3);
	buf_init(&b, 16 << 20);
	hear_all(fd, &b);
	assert_memory_equal(b.data, "OK\n", 3);
	while ((n = carry_next(b.data + at, b.len - at, &r)) > 0) {
		at += (size_t)n;
		if (r.type == LOG) {
			last = carry_get_int(&r.in, 0, CURSOR_MAX);
			logs++;
		} else if (r.type == EVENT) {
			struct event *e = NULL;

			assert_int_equal(event_parse(r.in.p, r.in.left, &e), 1);
			assert_int_equal(e->prev, last);
			last = e->id;
			event_free(e);
		}
	}
	assert_int_equal(last, p.hub.head);
	assert_int_equal(logs, 2);
	assert_null(p.handover.taker);
	close(fd);
	buf_fini(&b);
	served(dir, path);
}

/* A taker that ends while descriptors are on their way to it. */
static void
gone_between(void **state)
{
	char dir[] = "/tmp/parley-handover-XXXXXX", path[64], bytes[64];
	int fd, i;

	(void)state;
	serve(dir, path, HINTS_MANY);
	fd = taker(path);
	for (i = 0; i < 100 && recv(fd, bytes, 64, MSG_DONTWAIT) <= 0; i++)
		turns(1);
	assert_non_null(p.handover.taker);
	close(fd);
	turns(8);
	assert_null(p.handover.taker);
	served(dir, path);
}

/* Without descriptors it rests, and goes on when there are some. */
static void
no_room(void **state)
{
	char dir[] = "/tmp/parley-handover-XXXXXX", path[64];
	struct rlimit had, none;
	int fd;

	(void)state;
	serve(dir, path, 2);
	fd = taker(path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = had;
	none.rlim_cur = (rlim_t)fd + 1; /* the lowest was the last free one */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turns(2);
	assert_false(ev_is_active(&p.handover.io));
	assert_null(p.handover.taker);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
	while (p.handover.taker == NULL)
		ev_run(p.loop, EVRUN_ONCE);
	close(fd);
	served(dir, path);
}

/* Another user, who waits for what a taker says: 0 if it says nothing. */
static int
stranger(const char *path, int ready)
{
	struct pollfd pf = { .events = POLLIN };
	char byte;
	int fd;

	pf.fd = setuid(54321) == 0 ? sock_listen(path, SOCK_STREAM, 1) : -1;
	if (pf.fd == -1 || write(ready, "x", 1) != 1)
		return 1;
	fd = poll(&pf, 1, 10000) == 1 ? accept(pf.fd, NULL, NULL) : -1;
	return fd == -1 || recv(fd, &byte, 1, 0) != 0;
}

/* Whoever sits where ours should be, and is not, is told nothing. */
static void
foreign(void **state)
{
	char dir[] = "/tmp/parley-handover-XXXXXX", path[64], byte;
	int ready[2], status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chown(dir, 54321, 54321), 0);
	snprintf(path, sizeof(path), "%s/sock", dir);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(stranger(path, ready[1]));
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(
	    handover_take(&p.handover, path, HANDOVER_ALL, NULL, 0), -1);
	close(p.handover.from);
	handover_init(&p.handover, &p);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	unlink(path);
	strcat(path, ".lock");
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
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
		cmocka_unit_test_setup(foreign, begin),
		cmocka_unit_test(no_hole),
		cmocka_unit_test(gone_between),
		cmocka_unit_test(no_room),
		cmocka_unit_test(silent),
		cmocka_unit_test(alone),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
