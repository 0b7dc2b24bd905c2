/*
 * parley run: everything of one workspace in the foreground.  It makes the
 * listening sockets, starts the web server, the FastCGI pools, pushd and the
 * worker, starts again what dies, and ends all of it on SIGINT or SIGTERM.
 * As root it gives the workspace to an unprivileged user and becomes it.
 * It knows nothing of what the programs do.
 */
#define _GNU_SOURCE /* setgroups, nftw, prctl */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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
#include "sock.h"
#include "store.h"
#include "store_event.h"

#define PROCS_MAX 512       /* 6 pools of at most 64, and the rest */
#define BACKLOG 512         /* of a pool's socket */
#define READY_MS 30000      /* to answer, all of them */
#define SHORT_LIFE_MS 2000  /* who dies younger is held back */
#define HOLD_MS_MAX 5000    /* longest time it is held back */
#define FIRST_STOP_MS 10000 /* web server, pushd (and drain_s), worker */
#define SECOND_STOP_MS 5000 /* then the pools */
#define FAILS_MAX 5         /* starts in vain before we were ready: give up */
#define ORPHANS_MS 10000    /* what a killed run left has to end */

enum kind { WEB, PUSHD, WORKER, POOL };

/* One process that is to be there. */
struct proc {
	enum kind kind;
	char name[24];       /* api-1; run/NAME.pid */
	const char *program; /* api.fcgi, of a pool */
	const char *log;     /* log/LOG.log */
	int fd;              /* its pool's socket, or -1 */
	pid_t pid;           /* 0: not running */
	pid_t old;           /* whose place it takes, until that is gone */
	bool again;          /* ... and then another is to take it */
	pid_t group;         /* of its predecessor, until all of that is gone */
	int64_t started_ms;
	int64_t due_ms; /* not before */
	int fails;      /* short lives in a row */
};

struct run {
	struct conf cf;
	char conf[PARLEY_PATH_MAX];
	char bin[PARLEY_PATH_MAX];
	char home[PARLEY_PATH_MAX]; /* of apache.conf and lighttpd.conf */
	char self[PARLEY_PATH_MAX];
	char push[PARLEY_PATH_MAX]; /* push_listen, its path absolute */
	const char *listen; /* address of the web server, without port */
	long port;
	bool apache; /* else lighttpd */
	bool cgi;    /* no pools, no pushd */
	bool demo;
	bool ready;
	pid_t probe; /* watches for everything to answer; 0 when done */
	struct proc proc[PROCS_MAX];
	size_t n;
};

/* --- who we are ---------------------------------------------------------- */

static uid_t give_uid;
static gid_t give_gid;

static int
give_one(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	(void)f;
	if (type == FTW_NS)
		return 0;
	if (sb->st_uid == give_uid && sb->st_gid == give_gid)
		return 0;
	if (lchown(path, give_uid, give_gid) == -1 && errno != ENOENT) {
		parley_err("cannot give %s away: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

/*
 * See that the folders above ${path} let the unprivileged user through: a
 * clone in root's home does not.
 */
static int
let_through(const char *path)
{
	char part[PARLEY_PATH_MAX];
	struct stat sb;
	size_t i;

	for (i = 1; path[i] != '\0'; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (stat(part, &sb) == -1)
			continue;
		if ((sb.st_mode & S_IXOTH) != 0 ||
		    (sb.st_uid == give_uid && (sb.st_mode & S_IXUSR) != 0))
			continue;
		if (chmod(part, (sb.st_mode & 07777) | S_IXOTH) == -1) {
			parley_err(
			    "%s is closed to the unprivileged user", part);
			return -1;
		}
		parley_err("note: chmod o+x %s, since the servers do not run "
			   "as root",
		    part);
	}
	return 0;
}

/* As root: who shall run it all, and give that user the workspace. */
static int
drop_root(struct run *r)
{
	const char *su = getenv("SUDO_UID"), *sg = getenv("SUDO_GID");
	char name[64] = "nobody";
	long uid = 0, gid = 0;
	struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	if (su != NULL && parley_number(su, 1, 0x7ffffffe, &uid) == 0) {
		if (sg == NULL || parley_number(sg, 1, 0x7ffffffe, &gid) == -1)
			gid = uid;
		snprintf(name, sizeof(name), "user %ld", uid);
	} else {
		if ((pw = getpwnam("nobody")) == NULL || pw->pw_uid == 0) {
			parley_err("no user nobody here: run as another user "
				   "than root");
			return -1;
		}
		uid = (long)pw->pw_uid;
		gid = (long)pw->pw_gid;
	}
	give_uid = (uid_t)uid;
	give_gid = (gid_t)gid;
	if (nftw(r->cf.state_dir, give_one, 16, FTW_PHYS | FTW_MOUNT) != 0)
		return -1;
	if (let_through(r->conf) == -1 || let_through(r->bin) == -1 ||
	    let_through(r->cf.www_dir) == -1)
		return -1;
	if (setgroups(0, NULL) == -1 || setgid(give_gid) == -1 ||
	    setuid(give_uid) == -1 || setuid(0) != -1) {
		parley_err("cannot become %s", name);
		return -1;
	}
	return 0;
}

/* Things that must be there, said before anything starts. */
static int
look_for(const struct run *r)
{
	static const char *const programs[] = { "api.fcgi", "poll.fcgi",
		"pages.fcgi", "webhook.fcgi", "media.fcgi", NULL };
	char path[PARLEY_PATH_MAX + 64];
	struct stat sb;
	size_t i;

	/* The programs would refuse it, one after the other. */
	if (stat(r->cf.state_dir, &sb) == 0 && (sb.st_mode & S_IWOTH) != 0) {
		parley_err("%s may be written by others: chmod o-w it",
		    r->cf.state_dir);
		return -1;
	}
	for (i = 0; programs[i] != NULL; i++) {
		snprintf(path, sizeof(path), "%s/%s", r->bin, programs[i]);
		if (access(path, X_OK) == -1)
			goto missing;
	}
	snprintf(path, sizeof(path), "%s/pushd", r->bin);
	if (!r->cgi && access(path, X_OK) == -1)
		goto missing;
	snprintf(path, sizeof(path), "%s/%s.conf", r->home,
	    r->apache ? "apache" : "lighttpd");
	if (access(path, R_OK) == -1)
		goto missing;
	snprintf(path, sizeof(path), "%s/tmpl", r->cf.www_dir);
	if (access(path, R_OK | X_OK) == -1)
		goto missing;
	return 0;
missing:
	parley_err("%s: %s%s", path, strerror(errno),
	    errno == EACCES ? " (for the user that runs the servers)" : "");
	return -1;
}

/* --- starting one process ------------------------------------------------ */

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
pid_file(const struct run *r, const struct proc *p, pid_t pid)
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

/* The first of ${names} in PATH or where servers usually are. */
static const char *
find_program(const char *const *names, char *out, size_t size)
{
	const char *path = getenv("PATH");
	char dirs[8192];
	char *p, *dir;
	size_t i;

	for (i = 0; names[i] != NULL; i++) {
		snprintf(dirs, sizeof(dirs), "%s:/usr/sbin:/usr/local/sbin",
		    path != NULL ? path : "/usr/bin");
		for (p = dirs; (dir = strsep(&p, ":")) != NULL;) {
			if (*dir == '\0')
				continue;
			if (parley_path(out, size, "%s/%s", dir, names[i]) ==
				0 &&
			    access(out, X_OK) == 0)
				return out;
		}
	}
	return NULL;
}

static const char *const apache_names[] = { "apache2", "httpd", NULL };
static const char *const lighttpd_names[] = { "lighttpd", NULL };

/* Where distributions put Apache's modules. */
static const char *
apache_modules(void)
{
	static const char *const dirs[] = { "/usr/lib/apache2/modules",
		"/usr/lib64/httpd/modules", "/usr/lib/httpd/modules",
		"/usr/lib64/apache2", "/usr/lib/apache2",
		"/usr/local/libexec/apache24", NULL };
	const char *dir = getenv("PARLEY_MODULES");
	char path[PARLEY_PATH_MAX];
	size_t i;

	if (dir != NULL)
		return dir;
	for (i = 0; dirs[i] != NULL; i++) {
		snprintf(path, sizeof(path), "%s/mod_alias.so", dirs[i]);
		if (access(path, R_OK) == 0)
			return dirs[i];
	}
	return NULL;
}

static void
put_env(const char *name, const char *value)
{
	if (setenv(name, value, 1) == -1)
		_exit(127);
}

/* In the child: what apache.conf or lighttpd.conf wants to know; then exec. */
static void
exec_web(const struct run *r)
{
	const char *push = r->push, *colon = strrchr(push, ':');
	char file[PARLEY_PATH_MAX + 64], program[PARLEY_PATH_MAX], num[16];
	char addr[PARLEY_PATH_MAX + 64], host[PARLEY_PATH_MAX];
	bool local = strchr(push, '/') != NULL;

	put_env("PARLEY_VAR", r->cf.state_dir);
	put_env("PARLEY_WWW", r->cf.www_dir);
	put_env("PARLEY_BIN", r->bin);
	put_env("PARLEY_LISTEN", r->listen);
	snprintf(num, sizeof(num), "%ld", r->port);
	put_env("PARLEY_PORT", num);
	snprintf(file, sizeof(file), "%s/%s.conf", r->home,
	    r->apache ? "apache" : "lighttpd");
	if (r->apache) {
		snprintf(addr, sizeof(addr),
		    local ? "unix:%s|http://pushd" : "http://%s", push);
		put_env("PARLEY_PUSH", addr);
		put_env("PARLEY_MODULES", apache_modules());
		if (find_program(apache_names, program, sizeof(program)) ==
		    NULL)
			_exit(127);
		if (r->cgi)
			execl(program, program, "-f", file, "-D",
			    "PARLEY_ALONE", "-D", "FOREGROUND", (char *)NULL);
		else
			execl(program, program, "-f", file, "-D",
			    "PARLEY_ALONE", "-D", "FOREGROUND", "-D",
			    "PARLEY_FCGI", (char *)NULL);
		_exit(127);
	}
	snprintf(host, sizeof(host), "%.*s",
	    local || colon == NULL ? (int)strlen(push) : (int)(colon - push),
	    push);
	put_env("PARLEY_PUSH_HOST", host);
	put_env("PARLEY_PUSH_PORT", local || colon == NULL ? "0" : colon + 1);
	put_env("PARLEY_IF_FCGI", r->cgi ? "(?!)" : "");
	put_env("PARLEY_IF_CGI", r->cgi ? "" : "(?!)");
	if (find_program(lighttpd_names, program, sizeof(program)) == NULL)
		_exit(127);
	execl(program, program, "-D", "-f", file, (char *)NULL);
	_exit(127);
}

/* In the child: become ${p}. */
static void
exec_proc(const struct run *r, const struct proc *p)
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
	put_env("PARLEY_CONF", r->conf);
	if (r->cgi)
		put_env("PARLEY_PUSH_DAEMON", "off");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	switch (p->kind) {
	case WEB:
		exec_web(r);
		break;
	case PUSHD:
		snprintf(path, sizeof(path), "%s/pushd", r->bin);
		execl(
		    path, path, "--conf", r->conf, "--take-over", (char *)NULL);
		break;
	case WORKER:
		execl(
		    r->self, r->self, "work", "--conf", r->conf, (char *)NULL);
		break;
	case POOL:
		snprintf(path, sizeof(path), "%s/%s", r->bin, p->program);
		execl(path, path, "--conf", r->conf, (char *)NULL);
		break;
	}
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	_exit(127);
}

static void
proc_start(struct run *r, struct proc *p)
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

/* ${p} has ended: its children go too, then it may start again. */
static void
proc_ended(struct run *r, struct proc *p, int status, bool stopping)
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

/*
 * A new pushd takes the place of the one that runs, its sockets and clients;
 * the old one sends back whom it could not pass on, and ends.
 */
static void
succeed(struct run *r, struct proc *p)
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

/* The predecessor has ended. */
static void
old_ended(struct run *r, struct proc *p, bool stopping)
{
	log_info("ended name=%s pid=%ld old=1", p->name, (long)p->old);
	kill(-p->old, SIGKILL);
	p->old = 0;
	if (p->again && p->pid != 0 && !stopping)
		succeed(r, p);
}

/* The successor did not get what it came for: the old one goes on. */
static void
restored(struct run *r, struct proc *p)
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

/* Start what is due; ms until something else is, at most ${most_ms}. */
static int64_t
start_due(struct run *r, int64_t most_ms)
{
	int64_t now, wait = most_ms;
	size_t i;

	for (i = 0; i < r->n; i++) {
		struct proc *p = &r->proc[i];

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

/* --- the first answer of each --------------------------------------------- */

/* Wait until ${fd} is as ${events} says: 0, or -1. */
static int
wait_fd(int fd, short events)
{
	struct pollfd pf = { .fd = fd, .events = events };

	return poll(&pf, 1, 3000) == 1 ? 0 : -1;
}

/* Status of GET ${path} at ${addr}, or -1. */
static int
ask(const char *addr, const char *path)
{
	char text[512];
	size_t len = 0;
	ssize_t n;
	int status = -1, fd = sock_connect(addr, SOCK_STREAM);

	if (fd == -1)
		return -1;
	n = snprintf(text, sizeof(text),
	    "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path,
	    strchr(addr, '/') != NULL ? "localhost" : addr);
	if (wait_fd(fd, POLLOUT) == -1 ||
	    send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		goto out;
	while (len < 12 && wait_fd(fd, POLLIN) == 0) {
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	if (len >= 12 && strncmp(text, "HTTP/1.", 7) == 0)
		status = (int)strtol(text + 9, NULL, 10);
out:
	close(fd);
	return status;
}

/* In a child of its own: until all answer.  Says who does not. */
static void
probe(const struct run *r)
{
	static const struct {
		const char *what, *path;
		int ok, also;
	} door[] = {
		{ "api.fcgi", "/health", 200, 200 },
		{ "pages.fcgi", "/login", 200, 303 },
		{ "poll.fcgi", "/api/events/poll", 401, 200 },
	};
	int64_t end = clock_mono_ms() + READY_MS;
	char web[128];
	int status = -1;
	size_t i;

	snprintf(web, sizeof(web), "%s:%ld", r->listen, r->port);
	for (i = 0; i < 3; i++) {
		for (;;) {
			status = ask(web, door[i].path);
			if (status == door[i].ok || status == door[i].also)
				break;
			if (clock_mono_ms() > end)
				goto late;
			nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
		}
	}
	while (!r->cgi && ask(r->push, "/health") != 200) {
		if (clock_mono_ms() > end) {
			parley_err(
			    "pushd does not answer at %s", r->cf.push_listen);
			_exit(1);
		}
		nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	}
	_exit(0);
late:
	if (status == -1)
		parley_err("the web server does not answer at %s", web);
	else
		parley_err("%s does not answer: GET %s gives %d", door[i].what,
		    door[i].path, status);
	_exit(1);
}

/* The last lines of a log, to say why. */
static void
show_log(const struct run *r, const char *log)
{
	char path[PARLEY_PATH_MAX + 64], text[2048];
	ssize_t n;
	off_t size;
	int fd;

	snprintf(path, sizeof(path), "%s/%s.log", r->cf.log_dir, log);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	size = lseek(fd, 0, SEEK_END);
	if (size > (off_t)sizeof(text))
		lseek(fd, size - (off_t)sizeof(text), SEEK_SET);
	else
		lseek(fd, 0, SEEK_SET);
	if ((n = read(fd, text, sizeof(text))) > 0)
		fprintf(stderr, "--- %s\n%.*s\n", path, (int)n, text);
	close(fd);
}

static void
say_ready(struct run *r)
{
	char path[PARLEY_PATH_MAX + 64], text[4096];
	size_t n;
	FILE *f;

	r->ready = true;
	printf("ready http://%s:%ld\n", r->listen, r->port);
	snprintf(path, sizeof(path), "%s/" PARLEY_DEMO_FILE, r->cf.state_dir);
	if (r->demo && (f = fopen(path, "r")) != NULL) {
		while ((n = fread(text, 1, sizeof(text), f)) > 0)
			fwrite(text, 1, n, stdout);
		fclose(f);
		printf("  a shop's page: http://%s:%ld/demo.html\n"
		       "  the inbox:     http://%s:%ld/inbox\n",
		    r->listen, r->port, r->listen, r->port);
	}
	fflush(stdout);
	log_info("ready port=%ld web=%s mode=%s", r->port,
	    r->apache ? "apache" : "lighttpd", r->cgi ? "cgi" : "fcgi");
}

/* --- the whole ----------------------------------------------------------- */

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
					say_ready(r);
			} else {
				rc = -1;
			}
			continue;
		}
		for (i = 0; i < r->n; i++) {
			struct proc *p = &r->proc[i];

			if (p->old == pid) {
				old_ended(r, p, stopping);
				break;
			}
			if (p->pid != pid)
				continue;
			proc_ended(r, p, status, stopping);
			if (p->old != 0 && !stopping && WIFEXITED(status) &&
			    WEXITSTATUS(status) != 0) {
				restored(r, p);
				break;
			}
			if (!r->ready && !stopping && p->fails >= FAILS_MAX) {
				parley_err("%s does not start", p->name);
				show_log(r, p->log);
				rc = -1;
			}
			break;
		}
	}
	return rc;
}

static bool
pooled(const struct proc *p)
{
	return p->kind == POOL;
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
		struct proc *p = &r->proc[i];

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
		struct proc *p = &r->proc[i];

		if (p->pid == 0)
			continue;
		p->started_ms = 0; /* no short life */
		if (p->kind == POOL || p->kind == WORKER)
			kill(p->pid, SIGTERM);
		else if (p->kind == PUSHD)
			succeed(r, p);
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

	start_due(r, 0);
	if ((r->probe = fork()) == 0) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		probe(r);
	}
	while (sig != SIGINT && sig != SIGTERM) {
		wait_signal(&set, start_due(r, 60000), &sig);
		if (reap(r, false) == -1) {
			if (r->probe == 0)
				show_log(r, "web");
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
add_proc(struct run *r, enum kind kind, const char *name, int i,
    const char *program, int fd)
{
	struct proc *p = &r->proc[r->n];

	if (r->n == PROCS_MAX) {
		parley_err("more than %d processes", PROCS_MAX);
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
		if (add_proc(r, POOL, name, i, program, fd) == -1)
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
			   add_proc(r, PUSHD, "pushd", 0, NULL, -1) == -1))
		return -1;
	if (cf->worker_daemon &&
	    add_proc(r, WORKER, "worker", 0, NULL, -1) == -1)
		return -1;
	return add_proc(r, WEB, "web", 0, NULL, -1);
}

/*
 * The files by which the web server learns the word that pushd knows it by.
 * Not by the environment, which its children would inherit.
 */
static int
write_secret(const struct run *r)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_.~+=";
	const char *secret = r->cf.proxy_secret;
	char path[PARLEY_PATH_MAX + 64];
	int fd, i;
	FILE *f;

	if (secret[strspn(secret, plain)] != '\0') {
		parley_err("proxy_secret may hold letters, digits and -_.~+=");
		return -1;
	}
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s-secret.conf", r->cf.run_dir,
		    i == 0 ? "apache" : "lighttpd");
		unlink(path);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd == -1 || (f = fdopen(fd, "w")) == NULL) {
			parley_err("%s: %s", path, strerror(errno));
			return -1;
		}
		fprintf(f,
		    i == 0 ? "Define PARLEY_PROXY_SECRET \"%s\"\n"
			   : "var.proxy_secret = \"%s\"\n",
		    secret);
		if (fclose(f) != 0)
			return -1;
	}
	return 0;
}

/* Whether ${pid} is a process of this workspace's: its command line says so. */
static bool
is_ours(const struct run *r, long pid)
{
	char path[64], text[PARLEY_PATH_MAX * 2], file[PARLEY_PATH_MAX + 64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	if ((f = fopen(path, "r")) != NULL) {
		n = fread(text, 1, sizeof(text), f);
		fclose(f);
	}
	if (memmem(text, n, r->conf, strlen(r->conf)) != NULL)
		return true;
	/* The web server knows its own file only, which others may use too. */
	snprintf(file, sizeof(file), "%s/apache.conf", r->home);
	if (memmem(text, n, file, strlen(file)) != NULL)
		return true;
	snprintf(file, sizeof(file), "%s/lighttpd.conf", r->home);
	return memmem(text, n, file, strlen(file)) != NULL;
}

/*
 * What a run left that was killed: its processes end by themselves, but not at
 * once, and until then have our ports and locks.  Then their pid files go,
 * which would name strangers soon.
 */
static void
clear_orphans(const struct run *r)
{
	char path[PARLEY_PATH_MAX + 320], text[32];
	int64_t end = clock_mono_ms() + ORPHANS_MS;
	const struct dirent *e;
	long pid;
	size_t len;
	FILE *f;
	DIR *d = opendir(r->cf.run_dir);

	while (d != NULL && (e = readdir(d)) != NULL) {
		len = strlen(e->d_name);
		if (len < 5 || strcmp(e->d_name + len - 4, ".pid") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", r->cf.run_dir, e->d_name);
		pid = 0;
		if ((f = fopen(path, "r")) != NULL) {
			if (fgets(text, sizeof(text), f) != NULL)
				pid = strtol(text, NULL, 10);
			fclose(f);
		}
		while (pid > 1 && clock_mono_ms() < end && is_ours(r, pid))
			nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
		unlink(path);
	}
	if (d != NULL)
		closedir(d);
}

/* One run a workspace: the lock is held as long as this process lives. */
static int
lock_run(const struct run *r)
{
	char path[PARLEY_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/run.lock", r->cf.run_dir);
	if (sock_lock(path) != -1)
		return 0;
	if (errno == EWOULDBLOCK)
		parley_err(
		    "%s is in use: this workspace is running already", path);
	else
		parley_err("%s: %s", path, strerror(errno));
	return -1;
}

static bool
loopback(const char *addr)
{
	return strncmp(addr, "127.", 4) == 0 || strcmp(addr, "[::1]") == 0;
}

/* Ports that must be ours.  A demo's own pushd port moves out of the way. */
static int
take_ports(struct run *r)
{
	char addr[300];
	int port;

	snprintf(addr, sizeof(addr), "%s:%ld", r->listen, r->port);
	if (parley_port_busy(addr)) {
		parley_err("port %ld is in use: choose another (--port, or "
			   "make run PORT=...)",
		    r->port);
		return -1;
	}
	if (strchr(r->cf.push_listen, '/') != NULL)
		return parley_path(r->push, sizeof(r->push), "%s%s%s",
		    *r->cf.push_listen == '/' ? "" : r->cf.state_dir,
		    *r->cf.push_listen == '/' ? "" : "/", r->cf.push_listen);
	snprintf(r->push, sizeof(r->push), "%s", r->cf.push_listen);
	if (r->cgi || !parley_port_busy(r->push))
		return 0;
	if (!r->demo || (port = parley_free_port((int)r->port + 1)) == 0) {
		parley_err("pushd's address %s (push_listen) is in use",
		    r->cf.push_listen);
		return -1;
	}
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", port);
	snprintf(r->push, sizeof(r->push), "%s", addr);
	return parley_conf_set(r->conf, "push_listen", addr);
}

/* The port of a loopback base_url, or 0. */
static long
base_port(const struct run *r)
{
	static const char *const at[] = {
		"http://127.0.0.1:", "http://localhost:", NULL
	};
	long port;
	size_t i;

	for (i = 0; at[i] != NULL; i++)
		if (strncmp(r->cf.base_url, at[i], strlen(at[i])) == 0 &&
		    parley_number(
			r->cf.base_url + strlen(at[i]), 1, 65535, &port) == 0)
			return port;
	return 0;
}

/* The demo's links name the port that it has this time. */
static int
follow_port(struct run *r)
{
	char url[300];

	if (!r->demo || base_port(r) == r->port)
		return 0;
	snprintf(url, sizeof(url), "http://127.0.0.1:%ld", r->port);
	free(r->cf.base_url);
	if ((r->cf.base_url = strdup(url)) == NULL)
		return -1;
	return parley_conf_set(r->conf, "base_url", url);
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

	r->port = base_port(r);
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
	if (find_program(r->apache ? apache_names : lighttpd_names, path,
		sizeof(path)) == NULL) {
		parley_err("%s is not installed", web);
		return -1;
	}
	if (r->apache && apache_modules() == NULL) {
		parley_err("Apache's modules are not where they usually are: "
			   "set PARLEY_MODULES");
		return -1;
	}
	return 0;
}

static int
find_places(struct run *r)
{
	ssize_t n = readlink("/proc/self/exe", r->self, sizeof(r->self) - 1);
	char *slash;

	if (n <= 0 || parley_bin(r->bin, sizeof(r->bin)) == -1) {
		parley_err("cannot find the programs beside this one");
		return -1;
	}
	r->self[n] = '\0';
	/* apache.conf and lighttpd.conf stand beside www/. */
	if (parley_path(r->home, sizeof(r->home), "%s", r->cf.www_dir) == -1)
		return -1;
	if ((slash = strrchr(r->home, '/')) != NULL && slash != r->home)
		*slash = '\0';
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
	if (rc == -1 || find_places(&r) == -1 ||
	    check_options(&r, port, web, mode, listen) == -1) {
		conf_free(&r.cf);
		return 1;
	}
	umask(077);
	more_files();
	rc = 1;
	if (parley_dirs(&r.cf) == -1 || drop_root(&r) == -1 ||
	    look_for(&r) == -1 || lock_run(&r) == -1)
		goto out;
	clear_orphans(&r);
	if (parley_store_there(&r.cf) == -1)
		goto out;
	if (take_ports(&r) == -1 || follow_port(&r) == -1 || set_up(&r) == -1 ||
	    write_secret(&r) == -1)
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
