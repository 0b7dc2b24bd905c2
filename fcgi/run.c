/*
 * parley run: everything of one workspace in the foreground.  It makes the
 * listening sockets, starts the web server, the FastCGI pools, pushd and the
 * worker, starts again what dies, and ends all of it on SIGINT or SIGTERM.
 * As root it gives the workspace to an unprivileged user and becomes it.
 * It knows nothing of what the programs do.  Its parts are the run_*.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "limits.h"
#include "log.h"
#include "parley.h"
#include "run.h"
#include "sock.h"
#include "store.h"
#include "store_event.h"

#define BACKLOG 512         /* of a pool's socket */
#define FIRST_STOP_MS 10000 /* web server, pushd (and drain_s), worker */
#define SECOND_STOP_MS 5000 /* then the pools */
#define FAILS_MAX 5         /* starts in vain before we were ready: give up */

/* Collect who has ended.  -1 if it makes no sense to go on. */
static int
reap(struct run *r, bool stopping)
{
	int status, rc = 0;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == r->probe) {
			r->probe = 0;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
				if (!stopping)
					run_ready_say(r);
			} else {
				rc = -1;
			}
			continue;
		}
		for (i = 0; i < r->n; i++) {
			struct run_proc *p = &r->proc[i];

			if (p->old == pid) {
				run_proc_old_ended(r, p, stopping);
				break;
			}
			if (p->pid != pid)
				continue;
			run_proc_ended(r, p, status, stopping);
			if (p->old != 0 && !stopping && WIFEXITED(status) &&
			    WEXITSTATUS(status) != 0) {
				run_proc_restored(r, p);
				break;
			}
			if (!r->ready && !stopping && p->fails >= FAILS_MAX) {
				parley_err("%s does not start", p->name);
				run_ready_log(r, p->log);
				rc = -1;
			}
			break;
		}
	}
	return rc;
}

static bool
pooled(const struct run_proc *p)
{
	return p->kind == RUN_POOL;
}

/* Whether there is such a process; what is to end goes with its children. */
static size_t
signal_one(pid_t pid, int sig)
{
	if (pid == 0)
		return 0;
	if (sig != 0)
		kill(sig == SIGKILL ? -pid : pid, sig);
	return 1;
}

/* Signal the pools, or all the others; how many of them there still are. */
static size_t
signal_some(struct run *r, bool pools, int sig)
{
	size_t i, n = 0;

	for (i = 0; i < r->n; i++) {
		struct run_proc *p = &r->proc[i];

		if (pooled(p) != pools)
			continue;
		n += signal_one(p->pid, sig);
		n += signal_one(p->old, sig);
	}
	return n;
}

static void
wait_signal(const sigset_t *set, int64_t ms, int *sig)
{
	struct timespec ts = { .tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000 };

	*sig = sigtimedwait(set, NULL, &ts);
}

/* End those of one half; after ${ms}, or a second Ctrl-C, by force. */
static void
stop_half(struct run *r, const sigset_t *set, bool pools, int64_t ms)
{
	int64_t end = clock_mono_ms() + ms, now;
	bool forced = false;
	int sig;

	signal_some(r, pools, SIGTERM);
	for (;;) {
		reap(r, true);
		if (signal_some(r, pools, 0) == 0)
			return;
		now = clock_mono_ms();
		if (now >= end && !forced) {
			log_warn("killed what did not end");
			signal_some(r, pools, SIGKILL);
			forced = true;
		}
		wait_signal(set, forced ? 20 : end - now, &sig);
		if (sig == SIGINT || sig == SIGTERM)
			end = clock_mono_ms();
	}
}

/* The log of events ends here in order: nothing to doubt at the next start. */
static void
close_log(const struct run *r)
{
	struct store *st = NULL;

	if (parley_store(&r->cf, &st) == -1)
		return;
	if (store_log_clean(st) == STORE_FAILED)
		log_warn("event log not marked clean");
	store_close(st);
}

/* Have requests served by programs with the configuration of now. */
static void
renew(struct run *r)
{
	size_t i;

	log_info("renew");
	log_reopen();
	for (i = 0; i < r->n; i++) {
		struct run_proc *p = &r->proc[i];

		if (p->pid == 0)
			continue;
		p->started_ms = 0; /* no short life */
		if (p->kind == RUN_POOL || p->kind == RUN_WORKER)
			kill(p->pid, SIGTERM);
		else if (p->kind == RUN_PUSHD)
			run_proc_succeed(r, p);
	}
}

static int
watch(struct run *r)
{
	sigset_t set;
	int sig = 0, rc = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	run_proc_due(r, 0);
	if ((r->probe = fork()) == 0) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		run_ready_probe(r);
	}
	while (sig != SIGINT && sig != SIGTERM) {
		wait_signal(&set, run_proc_due(r, 60000), &sig);
		if (reap(r, false) == -1) {
			if (r->probe == 0)
				run_ready_log(r, "web");
			rc = 1;
			break;
		}
		if (sig == SIGHUP)
			renew(r);
	}
	log_info("stopping");
	if (r->probe > 0)
		kill(r->probe, SIGTERM);
	stop_half(r, &set, false, FIRST_STOP_MS + 1000 * r->cf.drain_s);
	stop_half(r, &set, true, SECOND_STOP_MS);
	close_log(r);
	log_info("stopped");
	return rc;
}

static int
add_proc(struct run *r, enum run_kind kind, const char *name, int i,
    const char *program, int fd)
{
	struct run_proc *p = &r->proc[r->n];

	if (r->n == RUN_PROCS_MAX) {
		parley_err("more than %d processes", RUN_PROCS_MAX);
		return -1;
	}
	p->kind = kind;
	if (i > 0)
		snprintf(p->name, sizeof(p->name), "%s-%d", name, i);
	else
		snprintf(p->name, sizeof(p->name), "%s", name);
	p->program = program;
	p->log = name;
	p->fd = fd;
	r->n++;
	return 0;
}

static int
add_pool(struct run *r, const char *name, const char *program, const char *path,
    int64_t count)
{
	int fd, i;

	if (strlen(path) > SOCK_PATH_MAX) {
		parley_err("%s: %zu bytes, but a socket's path has at most %d: "
			   "put the workspace into a folder with a shorter "
			   "name",
		    path, strlen(path), SOCK_PATH_MAX);
		return -1;
	}
	if ((fd = sock_listen(path, SOCK_STREAM, BACKLOG)) == -1) {
		parley_err(
		    "cannot listen at %s (is it running already?)", path);
		return -1;
	}
	for (i = 1; i <= (int)count; i++)
		if (add_proc(r, RUN_POOL, name, i, program, fd) == -1)
			return -1;
	return 0;
}

/* Sockets, and what stands behind them; the web server last. */
static int
set_up(struct run *r)
{
	const struct conf *cf = &r->cf;

	if (!r->cgi && (add_pool(r, "api", "api.fcgi", cf->api_socket,
			    cf->api_pool) == -1 ||
			   add_pool(r, "poll", "poll.fcgi", cf->poll_socket,
			       cf->poll_pool) == -1 ||
			   add_pool(r, "pages", "pages.fcgi", cf->pages_socket,
			       cf->pages_pool) == -1 ||
			   add_pool(r, "webhook", "webhook.fcgi",
			       cf->webhook_socket, cf->webhook_pool) == -1 ||
			   add_pool(r, "media", "media.fcgi", cf->media_socket,
			       cf->media_pool) == -1 ||
			   add_pool(r, "push-api", "api.fcgi",
			       cf->push_api_socket, cf->push_pool) == -1 ||
			   add_proc(r, RUN_PUSHD, "pushd", 0, NULL, -1) == -1))
		return -1;
	if (cf->worker_daemon &&
	    add_proc(r, RUN_WORKER, "worker", 0, NULL, -1) == -1)
		return -1;
	return add_proc(r, RUN_WEB, "web", 0, NULL, -1);
}

static bool
loopback(const char *addr)
{
	return strncmp(addr, "127.", 4) == 0 || strcmp(addr, "[::1]") == 0;
}

static void
more_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		if (rl.rlim_cur == RLIM_INFINITY || rl.rlim_cur > 65536)
			rl.rlim_cur = 65536;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static int
check_options(struct run *r, const char *port, const char *web,
    const char *mode, const char *listen)
{
	char path[PARLEY_PATH_MAX + 64];

	r->port = run_place_port(r);
	if (r->port == 0)
		r->port = 8080;
	if (port != NULL && parley_number(port, 1, 65535, &r->port) == -1) {
		parley_err("--port %s: not a port", port);
		return -1;
	}
	if (strcmp(web, "apache") != 0 && strcmp(web, "lighttpd") != 0) {
		parley_err("--web %s: apache or lighttpd", web);
		return -1;
	}
	if (strcmp(mode, "fcgi") != 0 && strcmp(mode, "cgi") != 0) {
		parley_err("--mode %s: fcgi or cgi", mode);
		return -1;
	}
	r->apache = strcmp(web, "apache") == 0;
	r->cgi = strcmp(mode, "cgi") == 0;
	r->listen = listen;
	snprintf(path, sizeof(path), "%s/" PARLEY_DEMO_FILE, r->cf.state_dir);
	r->demo = access(path, F_OK) == 0;
	if (r->demo && !loopback(listen)) {
		parley_err("a demo workspace has known log-ins: it listens at "
			   "127.0.0.1 only");
		return -1;
	}
	if (run_web_find(r->apache, path, sizeof(path)) == NULL) {
		parley_err("%s is not installed", web);
		return -1;
	}
	if (r->apache && run_web_modules() == NULL) {
		parley_err("Apache's modules are not where they usually are: "
			   "set PARLEY_MODULES");
		return -1;
	}
	return 0;
}

static int
run_main(const struct parley_cmd *c, int n, char **args)
{
	static struct run r; /* large */
	const char *port = NULL, *web = "apache", *mode = "fcgi";
	const char *listen = "127.0.0.1";
	const struct parley_opt opts[] = { { "--port", &port, NULL },
		{ "--web", &web, NULL }, { "--mode", &mode, NULL },
		{ "--listen", &listen, NULL }, { NULL, NULL, NULL } };
	char path[PARLEY_PATH_MAX + 64];
	struct buf err;
	int rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (parley_conf_path(r.conf, sizeof(r.conf), 0) == -1)
		return 1;
	buf_init(&err, 65536);
	rc = conf_load(&r.cf, r.conf, CONF_ALL, &err);
	if (rc == -1)
		fprintf(stderr, "%s", err.data);
	buf_fini(&err);
	if (rc == -1 || run_place_find(&r) == -1 ||
	    check_options(&r, port, web, mode, listen) == -1) {
		conf_free(&r.cf);
		return 1;
	}
	umask(077);
	more_files();
	rc = 1;
	if (parley_dirs(&r.cf) == -1 || run_user_drop(&r) == -1 ||
	    run_place_check(&r) == -1 || run_place_lock(&r) == -1)
		goto out;
	run_place_clear(&r);
	if (parley_store_there(&r.cf) == -1)
		goto out;
	if (run_place_ports(&r) == -1 || run_place_url(&r) == -1 ||
	    set_up(&r) == -1 || run_web_secret(&r) == -1)
		goto out;
	snprintf(path, sizeof(path), "%s/run.log", r.cf.log_dir);
	log_open("run", path, log_level(r.cf.log_level));
	rc = watch(&r);
out:
	conf_free(&r.cf);
	return rc;
}

const struct parley_cmd parley_run = { "run",
	"[--port N] [--web apache|lighttpd] [--mode fcgi|cgi] [--listen ADDR]",
	"Run a workspace in the foreground, until Ctrl-C.\n"
	"That is the web server, the FastCGI pools, pushd and the worker, until\n"
	"SIGINT or SIGTERM.  What dies is started again.  Prints a line\n"
	"\"ready http://ADDRESS\" when all answer.\n"
	"  --port N       port of the web server (that of base_url, or 8080)\n"
	"  --web NAME     apache or lighttpd (apache)\n"
	"  --mode NAME    fcgi: FastCGI pools and pushd; cgi: plain CGI, browsers\n"
	"                 poll (fcgi)\n"
	"  --listen ADDR  address of the web server (127.0.0.1)\n"
	"SIGHUP renews pools, worker and pushd, after a change of the settings or\n"
	"of the programs; no client is cut off by that.\n",
	run_main };
