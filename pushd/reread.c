/*
 * reread.c: the settings, read by a child.
 *
 * A question is a byte, an answer a packet: a letter, then the settings or
 * what is wrong with them.  The child ends with its socket.
 */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "reread.h"
#include "sandbox.h"

enum { ANSWER_MAX = 131072, DESCRIPTORS_MAX = 1024 /* at the start */ };

/* --- the child --- */

static void
child_answer(int fd, const char *path)
{
	struct buf err, out;
	struct conf cf;

	buf_init(&err, 65536);
	buf_init(&out, ANSWER_MAX);
	if (conf_load(&cf, path, CONF_PUSHD, &err) == 0) {
		buf_putc(&out, 'c');
		conf_pack(&cf, CONF_PUSHD, &out);
	}
	if (err.len > 0 || out.err) {
		buf_reset(&out);
		buf_putc(&out, 'e');
		buf_puts(&out, err.len > 0 ? err.data : "too much");
	}
	(void)send(fd, out.data, out.len, MSG_NOSIGNAL);
	conf_free(&cf);
	buf_fini(&err);
	buf_fini(&out);
}

static void
child(int fd, const char *path)
{
	char full[PATH_MAX], byte;
	int i;

	/* Signals of a terminal or a group are for the parent. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (dup2(fd, 3) != 3)
		_exit(1);
	for (i = 4; i < DESCRIPTORS_MAX; i++)
		close(i);
	if (path != NULL && realpath(path, full) == NULL)
		snprintf(full, sizeof(full), "%s", path);
	sandbox_reader(path != NULL ? full : "");
	while (recv(3, &byte, 1, 0) == 1)
		child_answer(3, path);
	_exit(0);
}

/* --- the parent --- */

static void
on_answer(struct ev_loop *loop, ev_io *w, int revents)
{
	static char packet[ANSWER_MAX + 1];
	struct reread *r = w->data;
	struct conf cf;
	ssize_t n;

	(void)loop;
	(void)revents;
	n = recv(r->fd, packet, sizeof(packet) - 1, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		log_error("reread why=the child has ended");
		reread_stop(r);
		return;
	}
	packet[n] = '\0';
	if (packet[0] != 'c') {
		r->done(r->arg, NULL, packet + 1);
	} else if (conf_unpack(&cf, CONF_PUSHD, packet + 1, (size_t)n - 1) ==
		   -1) {
		conf_free(&cf);
		r->done(r->arg, NULL, "not understood");
	} else {
		r->done(r->arg, &cf, NULL);
	}
	memset(packet, 0, (size_t)n); /* it had a key */
}

int
reread_start(struct reread *r, struct ev_loop *loop, const char *path,
    void (*done)(void *arg, struct conf *cf, const char *fault), void *arg)
{
	int pair[2], room = ANSWER_MAX * 2;
	pid_t pid;

	r->loop = loop;
	r->done = done;
	r->arg = arg;
	r->fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
		log_sys("reread socketpair");
		return -1;
	}
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		child(pair[1], path);
	}
	close(pair[1]);
	if (pid == -1) {
		log_sys("reread fork");
		close(pair[0]);
		return -1;
	}
	r->fd = pair[0];
	ev_io_init(&r->io, on_answer, r->fd, EV_READ);
	r->io.data = r;
	ev_io_start(loop, &r->io);
	return 0;
}

void
reread_ask(struct reread *r)
{
	if (r->fd == -1 ||
	    send(r->fd, "?", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		log_error("conf not reread: nobody to read it");
}

void
reread_stop(struct reread *r)
{
	if (r->fd == -1)
		return;
	ev_io_stop(r->loop, &r->io);
	close(r->fd);
	r->fd = -1;
}
