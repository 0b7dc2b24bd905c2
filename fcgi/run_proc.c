/*
 * One process of parley run: started, started again when it ends, its place
 * taken by a successor.  Who is to be there, and when all end, is run.c's.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "parley.h"
#include "run.h"

#define SHORT_LIFE_MS 2000 /* who dies younger is held back */
#define HOLD_MS_MAX 5000   /* longest time it is held back */

static int
pid_put(const char *path, int flags, const char *text, int n)
{
	int fd, rc = -1;

	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (fd == -1)
		return -1;
	if (write(fd, text, (size_t)n) == n && ftruncate(fd, n) == 0)
		rc = 0;
	close(fd);
	return rc;
}

static void
pid_file(const struct run *r, const struct run_proc *p, pid_t pid)
{
	char path[PARLEY_PATH_MAX + 64], tmp[PARLEY_PATH_MAX + 64];
	char text[32];
	int n;

	snprintf(path, sizeof(path), "%s/%s.pid", r->cf.run_dir, p->name);
	if (pid == 0) {
		unlink(path);
		return;
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)pid);
	snprintf(tmp, sizeof(tmp), "%s/%s.pid.new", r->cf.run_dir, p->name);
	if (pid_put(tmp, O_CREAT | O_TRUNC, text, n) == 0) {
		rename(tmp, path);
		return;
	}
	/* On a full disk the one before still has its place. */
	unlink(tmp);
	if (pid_put(path, 0, text, n) == -1)
		log_sys("pid file name=%s", p->name);
}

/* In the child: become ${p}. */
static void
exec_proc(const struct run *r, const struct run_proc *p)
{
	char path[PARLEY_PATH_MAX + 64];
	sigset_t none;
	int null, log;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	signal(SIGPIPE, SIG_DFL);
	snprintf(path, sizeof(path), "%s/%s.log", r->cf.log_dir, p->log);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (log == -1 || null == -1 || dup2(log, 1) == -1 ||
	    dup2(log, 2) == -1 || dup2(p->fd != -1 ? p->fd : null, 0) == -1)
		_exit(127);
	run_env("PARLEY_CONF", r->conf);
	if (r->cgi)
		run_env("PARLEY_PUSH_DAEMON", "off");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	switch (p->kind) {
	case RUN_WEB:
		run_web_exec(r);
		break;
	case RUN_PUSHD:
		snprintf(path, sizeof(path), "%s/pushd", r->bin);
		execl(
		    path, path, "--conf", r->conf, "--take-over", (char *)NULL);
		break;
	case RUN_WORKER:
		execl(
		    r->self, r->self, "work", "--conf", r->conf, (char *)NULL);
		break;
	case RUN_POOL:
		snprintf(path, sizeof(path), "%s/%s", r->bin, p->program);
		execl(path, path, "--conf", r->conf, (char *)NULL);
		break;
	}
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	_exit(127);
}

static void
proc_start(struct run *r, struct run_proc *p)
{
	pid_t pid;

	assert(p->pid == 0);
	p->started_ms = clock_mono_ms();
	if ((pid = fork()) == -1) {
		log_sys("fork name=%s", p->name);
		p->due_ms = p->started_ms + 1000;
		return;
	}
	if (pid == 0)
		exec_proc(r, p);
	setpgid(pid, pid); /* whoever of the two is first */
	p->pid = pid;
	pid_file(r, p, pid);
}

/* How long to wait before the next start: not at all the first two times. */
static int64_t
hold_ms(int fails)
{
	int64_t ms = 100;

	if (fails <= 1)
		return 0;
	while (--fails > 1 && ms < HOLD_MS_MAX)
		ms *= 2;
	return ms < HOLD_MS_MAX ? ms : HOLD_MS_MAX;
}

void
run_proc_ended(struct run *r, struct run_proc *p, int status, bool stopping)
{
	int64_t now = clock_mono_ms();

	if (WIFSIGNALED(status))
		log_info("ended name=%s pid=%ld signal=%d", p->name,
		    (long)p->pid, WTERMSIG(status));
	else
		log_info("ended name=%s pid=%ld status=%d", p->name,
		    (long)p->pid, WEXITSTATUS(status));
	kill(-p->pid, SIGKILL);
	p->group = p->pid;
	p->pid = 0;
	if (stopping) {
		pid_file(r, p, 0);
		return;
	}
	p->fails = now - p->started_ms < SHORT_LIFE_MS ? p->fails + 1 : 0;
	p->due_ms = now + hold_ms(p->fails);
}

void
run_proc_succeed(struct run *r, struct run_proc *p)
{
	if (p->old != 0) {
		p->again = true;
		return;
	}
	p->old = p->pid;
	p->pid = 0;
	p->again = false;
	proc_start(r, p);
	if (p->pid == 0) {
		p->pid = p->old;
		p->old = 0;
	}
}

void
run_proc_old_ended(struct run *r, struct run_proc *p, bool stopping)
{
	log_info("ended name=%s pid=%ld old=1", p->name, (long)p->old);
	kill(-p->old, SIGKILL);
	p->old = 0;
	if (p->again && p->pid != 0 && !stopping)
		run_proc_succeed(r, p);
}

void
run_proc_restored(struct run *r, struct run_proc *p)
{
	log_warn("name=%s pid=%ld goes on, its successor did not start",
	    p->name, (long)p->old);
	p->pid = p->old;
	p->old = 0;
	p->started_ms = 0;
	p->fails = 0;
	p->group = 0;
	pid_file(r, p, p->pid);
	kill(p->pid, SIGHUP); /* then it has the new settings at least */
}

int64_t
run_proc_due(struct run *r, int64_t most_ms)
{
	int64_t now, wait = most_ms;
	size_t i;

	for (i = 0; i < r->n; i++) {
		struct run_proc *p = &r->proc[i];

		if (p->pid != 0)
			continue;
		now = clock_mono_ms();
		if (p->group != 0 && kill(-p->group, 0) == 0) {
			p->due_ms = now + 5; /* its children still are */
		} else {
			p->group = 0;
			if (p->due_ms <= now)
				proc_start(r, p);
		}
		if (p->pid == 0 && p->due_ms - now < wait)
			wait = p->due_ms - now;
	}
	return wait < 1 ? 1 : wait;
}
