/*
 * Starts `parley work` where nobody else does.  What it does is worker.c's
 * matter, and that it is alone too: a lock file, so here a mistake costs a
 * process that ends at once.
 */
#define _GNU_SOURCE /* pipe2 */

#include "starter.h"

#include "clock.h"
#include "log.h"
#include "store_bot.h"
#include "store_channel_health.h"
#include "store_delivery.h"
#include "store_hook.h"
#include "store_media.h"
#include "store_webhook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 60000 /* it keeps house so often */
#define FDS_MAX 1024  /* that a front end may have left open */
#define ENV_MAX 256

extern char **environ;

static struct {
	char program[4200]; /* parley; "": not found, or not wanted */
	char conf[4200];
	char log[4200];
	char every[24];
	int fd; /* to the child that starts it; -1: we do, as CGI */
} sr = { .fd = -1 };

/* parley, beside us, or as `make install` puts it. */
static int
find_program(char *out, size_t size)
{
	char dir[4096];
	char *slash;
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (n <= 0)
		return -1;
	dir[n] = '\0';
	if ((slash = strrchr(dir, '/')) == NULL)
		return -1;
	*slash = '\0';
	(void)snprintf(out, size, "%s/parley", dir);
	if (access(out, X_OK) == 0)
		return 0;
	(void)snprintf(out, size, "%s/../../bin/parley", dir);
	return access(out, X_OK);
}

/* A request's headers and the like are none of its business. */
static char **
own_environment(void)
{
	static const char *const keep[] = { "PARLEY_",
		"PATH=", "TZ=", "SSL_CERT_FILE=", "SSL_CERT_DIR=" };
	static char *env[ENV_MAX + 1];
	size_t n = 0, i, k;

	for (i = 0; environ[i] != NULL && n < ENV_MAX; i++)
		for (k = 0; k < sizeof(keep) / sizeof(keep[0]); k++)
			if (strncmp(environ[i], keep[k], strlen(keep[k])) == 0)
				env[n++] = environ[i];
	env[n] = NULL;
	return env;
}

/* Nothing of ours goes with it. */
static _Noreturn void
become_worker(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
		SIGPIPE, SIGCHLD, SIGALRM };
	char word[] = "work", once[] = "--once", wait[] = "--wait";
	char conf[] = "--conf";
	char *const argv[] = { sr.program, word, once, wait, sr.every, conf,
		sr.conf, NULL };
	sigset_t none;
	size_t i;
	int fd;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_DFL);
	for (fd = 0; fd < FDS_MAX; fd++)
		(void)close(fd);
	if (open("/dev/null", O_RDONLY) != STDIN_FILENO ||
	    open("/dev/null", O_WRONLY) != STDOUT_FILENO)
		_exit(1);
	fd = open(sr.log, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
	if (fd == -1)
		(void)open("/dev/null", O_WRONLY);
	if (chdir("/") == -1)
		_exit(1);
	(void)execve(sr.program, argv, own_environment());
	_exit(127);
}

/* In a session of its own, and nobody's child. */
static void
start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)setsid();
		if (fork() == 0)
			become_worker();
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
}

/* The child's life: a byte, a start; the end of the program is its own. */
static _Noreturn void
be_starter(int fd)
{
	char byte;
	ssize_t n;
	int i;

	for (i = 0; i < FDS_MAX; i++)
		if (i != fd && i != STDERR_FILENO)
			(void)close(i);
	for (;;) {
		n = read(fd, &byte, 1);
		if (n == 1)
			start();
		else if (n == 0 || errno != EINTR)
			_exit(0);
	}
}

void
starter_begin(const struct conf *cf, const char *conf_path, bool cgi)
{
	int fds[2];
	pid_t pid;

	if (cf->worker_daemon)
		return;
	if (find_program(sr.program, sizeof(sr.program)) == -1 ||
	    strlen(conf_path) >= sizeof(sr.conf)) {
		log_warn("starter: parley is not found, start `parley work` by "
			 "other means");
		sr.program[0] = '\0';
		return;
	}
	if (realpath(conf_path, sr.conf) == NULL)
		(void)snprintf(sr.conf, sizeof(sr.conf), "%s", conf_path);
	(void)snprintf(sr.log, sizeof(sr.log), "%s/worker.log", cf->log_dir);
	(void)snprintf(
	    sr.every, sizeof(sr.every), "%lld", (long long)cf->worker_every_s);
	if (cgi)
		return;
	if (pipe2(fds, O_CLOEXEC) == -1 || (pid = fork()) == -1) {
		log_sys("starter");
		sr.program[0] = '\0';
		return;
	}
	if (pid == 0)
		be_starter(fds[0]);
	(void)close(fds[0]);
	(void)fcntl(fds[1], F_SETFL, O_NONBLOCK);
	sr.fd = fds[1];
}

static void
stamp_path(const struct conf *cf, char *out, size_t size)
{
	(void)snprintf(out, size, "%s/work.at", cf->run_dir);
}

static int64_t
ms_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000 + ts->tv_nsec / 1000000;
}

/* Last started and next wanted, in ms; ${started} 0: as it is. */
static void
stamp(const struct conf *cf, int64_t started, int64_t wanted)
{
	struct timespec ts[2] = { { 0, UTIME_OMIT }, { 0, 0 } };
	char path[4200];
	int fd;

	if (started > 0) {
		ts[0].tv_sec = (time_t)(started / 1000);
		ts[0].tv_nsec = (long)(started % 1000) * 1000000;
	}
	ts[1].tv_sec = (time_t)(wanted / 1000);
	ts[1].tv_nsec = (long)(wanted % 1000) * 1000000;
	stamp_path(cf, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 || futimens(fd, ts) == -1)
		log_sys("starter %s", path);
	if (fd != -1)
		(void)close(fd);
}

int64_t
starter_due(struct store *st)
{
	int64_t now = clock_now_ms(), due = now + LOOK_MS, id, at;

	if (store_webhook_head(st, &id, &at) == STORE_DONE)
		return now;
	if (store_test_wanted(st) == STORE_DONE)
		return now;
	if (store_webhook_due(st, &at) == STORE_DONE && at < due)
		due = at;
	if (store_delivery_due(st, &at) == STORE_DONE && at < due)
		due = at;
	if (store_fetch_due(st, &at) == STORE_DONE && at < due)
		due = at;
	if (store_bot_due(st, &at) == STORE_DONE && at < due)
		due = at;
	if (store_hooks_next(st, &at) == STORE_DONE && at < due)
		due = at;
	return due;
}

void
starter_wanted(const struct conf *cf, int64_t at_ms)
{
	stamp(cf, 0, at_ms);
}

void
starter_look(const struct conf *cf, struct store *st)
{
	int64_t now = clock_now_ms(), started, wanted;
	char path[4200];
	struct stat sb;

	if (cf->worker_daemon || sr.program[0] == '\0')
		return;
	stamp_path(cf, path, sizeof(path));
	if (stat(path, &sb) == 0) {
		started = ms_of(&sb.st_atim);
		wanted = ms_of(&sb.st_mtim);
		if (started <= now && now - started < cf->worker_every_s * 1000)
			return; /* it is there */
		if (wanted > now && wanted <= now + LOOK_MS &&
		    (st == NULL || starter_due(st) > now))
			return;
	}
	stamp(cf, now, now + LOOK_MS);
	if (sr.fd == -1)
		start();
	else if (write(sr.fd, "", 1) == -1 && errno != EAGAIN)
		log_sys("starter");
}
