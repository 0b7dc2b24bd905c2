/*
 * The whole of a program's main: configuration, then requests over FastCGI
 * until a signal, or one as CGI.  Knows routes as a table, nothing of them.
 */

#define _GNU_SOURCE /* ppoll */

#include "serve.h"

#include "auth.h"
#include "clock.h"
#include "confine.h"
#include "emit.h"
#include "id.h"
#include "limits.h"
#include "log.h"
#include "park.h"
#include "seen.h"
#include "sock.h"
#include "starter.h"
#include "store.h"
#include "token.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define STREAK_MAX 64 /* requests between two looks at signals */

#ifndef PARLEY_VERSION
#define PARLEY_VERSION "0"
#endif

/* The leak checker looks at its own process from outside. */
#ifdef __has_feature
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define SLOW_MS 30000              /* to come, where no setting says */
#define QUEUE_LOOK_MS 50           /* then the queue is looked at */
#define READ_BYTES 16384           /* of a body at once */
#define PIECE_BYTES 65536          /* written at once */
#define DRAIN_BYTES_MAX (4u << 20) /* of a body nobody wants */
#define DRAIN_FILE_MAX (64u << 20) /* where files are sent to */
#define STORE_AGAIN_MS 1000        /* after a failed opening */

void (*serve_tail)(const struct conf *cf, struct store *st);

/* One process, one request at a time. */
static struct {
	const char *name; /* of the program */
	const char *conf_path;
	struct conf cf;
	bool conf_good;
	struct store *st;
	int64_t store_at; /* when opening it failed, monotonic ms */
	const struct route *routes;
	size_t nroutes;
	struct req rq;
	struct rsp rs;
	struct buf body, head;
	FCGX_Request *fcgi; /* NULL: CGI */
	bool body_said;     /* there is a CONTENT_LENGTH */
	int64_t body_left;  /* of it; below 0 if more came */
	bool body_end;
	bool body_cut;    /* it failed, or was too slow: no more of it */
	bool body_timed;  /* since it began to be read */
	bool seen;        /* the asker is to be marked as there */
	int64_t taken_us; /* when the last was taken, monotonic */
	int64_t pace_us;  /* from one to the next while others wait */
	int64_t empty_at; /* then nobody waited for us, monotonic ms */
	int64_t slow_at;  /* body or answer should be through, monotonic ms */
	struct park park; /* requests that are not whole yet */
} sv;

static volatile sig_atomic_t stop, reopen;

extern char **environ;

static void
on_signal(int sig)
{
	if (sig == SIGHUP)
		reopen = 1;
	else
		stop = 1;
}

/* Reading and writing, over FastCGI or CGI. */

/*
 * What is read or written may take its time, but not for ever: so long without
 * any (${opt}), and so many bytes a second on the whole.  Whoever is slower
 * holds a process that others wait for.
 */
static void
time_limit(int opt, int64_t bytes)
{
	struct timeval tv = { .tv_sec = (time_t)sv.cf.progress_s_max };

	sv.slow_at = clock_mono_ms() + 1000 * sv.cf.progress_s_max +
		     1000 * bytes / sv.cf.stream_bytes_per_s_min;
	if (sv.fcgi != NULL && sv.fcgi->ipcFd >= 0)
		(void)setsockopt(
		    sv.fcgi->ipcFd, SOL_SOCKET, opt, &tv, sizeof(tv));
}

/*
 * FCGX_GetStr, but as much as came when it is late: libfcgi would wait until
 * all of ${size} is there, however slowly that comes.
 */
static ssize_t
fcgi_read(char *to, size_t size)
{
	FCGX_Stream *in = sv.fcgi->in;
	size_t all = 0, n;
	int c;

	while (all < size && clock_mono_ms() <= sv.slow_at) {
		if ((c = FCGX_GetChar(in)) == -1)
			return all > 0 ? (ssize_t)all
				       : -(FCGX_GetError(in) != 0);
		to[all++] = (char)c;
		n = (size_t)(in->stop - in->rdNext); /* come already */
		if (n > size - all)
			n = size - all;
		if (n > 0)
			all += (size_t)FCGX_GetStr(to + all, (int)n, in);
	}
	return (ssize_t)all;
}

/* The next bytes of the body: their number, 0 at its end or when it is cut. */
static size_t
body_read(char *to, size_t size)
{
	int64_t most = sv.cf.file_bytes_max > DRAIN_FILE_MAX
			   ? sv.cf.file_bytes_max
			   : DRAIN_FILE_MAX;
	ssize_t n;

	if (sv.body_end || sv.body_cut)
		return 0;
	if (!sv.body_timed) {
		sv.body_timed = true;
		time_limit(SO_RCVTIMEO,
		    sv.body_said && sv.body_left < most ? sv.body_left : most);
	}
	if (sv.fcgi != NULL) {
		n = fcgi_read(to, size);
	} else {
		if (sv.body_said && (int64_t)size > sv.body_left)
			size = (size_t)sv.body_left;
		do
			n = size > 0 ? read(STDIN_FILENO, to, size) : 0;
		while (n == -1 && errno == EINTR);
	}
	if (n < 0 || clock_mono_ms() > sv.slow_at) {
		sv.body_cut = true;
		return 0;
	}
	if (n == 0)
		sv.body_end = true;
	sv.body_left -= n;
	return (size_t)n;
}

/* Take note of the length the front end states. */
static void
body_begin(void)
{
	const char *v = req_param(&sv.rq, "CONTENT_LENGTH");

	sv.body_left = 0;
	sv.body_end = sv.body_cut = sv.body_timed = false;
	sv.body_said = v != NULL && id_number(v, strlen(v), 0, INT64_MAX,
					&sv.body_left) == 0;
	/* As CGI the input of a GET may never end. */
	if (sv.fcgi == NULL && !sv.body_said &&
	    (req_is(&sv.rq, "GET") || req_is(&sv.rq, "HEAD")))
		sv.body_end = true;
}

/* For req_more: the next bytes, 0 at the end, -1 cut short or too slow. */
static long
serve_more(struct req *rq, char *to, size_t size)
{
	size_t n = body_read(to, size);

	(void)rq;
	if (n == 0 && (sv.body_cut || (sv.body_said && sv.body_left != 0)))
		return -1;
	return (long)n;
}

/* For route_run: the body whole, -1 too large, -2 cut short. */
static int
serve_body(struct req *rq, size_t max, struct buf *out)
{
	size_t n;
	char *to;

	(void)rq;
	out->max = max;
	for (;;) {
		if (out->len == max) {
			/* Full: anything more is too much. */
			char one;

			if (body_read(&one, 1) > 0)
				return -1;
			break;
		}
		n = max - out->len < READ_BYTES ? max - out->len : READ_BYTES;
		if ((to = buf_room(out, n)) == NULL)
			return -2;
		if ((n = body_read(to, n)) == 0)
			break;
		out->len += n;
		out->data[out->len] = '\0';
	}
	/* What the front end counted and what came must agree. */
	return sv.body_cut || (sv.body_said && sv.body_left != 0) ? -2 : 0;
}

/*
 * Read what is left of the body: a server that still writes it may never read
 * the answer.  Bounded; a kept connection does not outlive more.
 */
static void
body_drain(void)
{
	char waste[READ_BYTES];
	size_t n, all = 0, max = DRAIN_BYTES_MAX;
	const struct route *rt = sv.rq.route;

	if (rt != NULL && (rt->flags & ROUTE_STREAM) != 0)
		max = DRAIN_FILE_MAX;
	while (all < max && (n = body_read(waste, sizeof(waste))) > 0)
		all += n;
}

/* False: nobody takes it any more. */
static bool
write_piece(const char *p, size_t len)
{
	ssize_t n;

	if (sv.fcgi != NULL)
		return FCGX_PutStr(p, (int)len, sv.fcgi->out) != -1;
	while (len > 0) {
		n = write(STDOUT_FILENO, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* The same for any length: by pieces, as long as there is time. */
static bool
write_all(const char *p, size_t len)
{
	size_t n;

	if (len > PIECE_BYTES)
		time_limit(SO_SNDTIMEO, (int64_t)len);
	for (; len > 0; p += n, len -= n) {
		n = len < PIECE_BYTES ? len : PIECE_BYTES;
		if (!write_piece(p, n))
			return false;
		if (n < len && clock_mono_ms() > sv.slow_at) {
			log_info("serve: a reader was too slow");
			return false;
		}
	}
	return true;
}

/* Write the file of the answer as it is read. */
static void
write_file(const struct rsp *rs)
{
	int64_t at = rs->from, end = rs->from + rs->len;
	char buf[PIECE_BYTES];
	ssize_t n;

	time_limit(SO_SNDTIMEO, rs->len);
	while (at < end && clock_mono_ms() < sv.slow_at) {
		size_t want = end - at < (int64_t)sizeof(buf)
				  ? (size_t)(end - at)
				  : sizeof(buf);

		n = pread(rs->fd, buf, want, (off_t)at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_error("serve: a file ended early");
			return;
		}
		if (!write_piece(buf, (size_t)n))
			return;
		at += n;
	}
	if (at < end)
		log_info("serve: a reader was too slow");
}

static void
answer(void)
{
	struct req *rq = &sv.rq;

	buf_reset(&sv.head);
	rsp_head(&sv.rs, &sv.head);
	if (sv.head.err) {
		log_error("serve head does not fit");
		buf_reset(&sv.head);
		buf_puts(&sv.head,
		    "Status: 500 Internal Server Error\r\n"
		    "Content-Length: 0\r\nCache-Control: no-store\r\n\r\n");
		buf_reset(&sv.rs.body);
	}
	if (sv.rs.file) {
		if (write_all(sv.head.data, sv.head.len) && !req_is(rq, "HEAD"))
			write_file(&sv.rs);
		return;
	}
	/* One write: the head and a small body in one packet. */
	if (!req_is(rq, "HEAD") && sv.rs.body.len <= READ_BYTES) {
		buf_append(&sv.head, sv.rs.body.data, sv.rs.body.len);
		(void)write_all(sv.head.data, sv.head.len);
		return;
	}
	if (write_all(sv.head.data, sv.head.len) && !req_is(rq, "HEAD"))
		(void)write_all(sv.rs.body.data, sv.rs.body.len);
}

/* The store, opened once a process, at the first request that needs it. */
static struct store *
serve_store(struct req *rq)
{
	struct store_options op;
	int64_t now = clock_mono_ms();

	(void)rq;
	if (sv.st != NULL) {
		store_set_now(sv.st, sv.rq.now_ms);
		return sv.st;
	}
	if (sv.store_at != 0 && now - sv.store_at < STORE_AGAIN_MS)
		return NULL;
	memset(&op, 0, sizeof(op));
	op.path = sv.cf.db;
	op.mode = strcmp(sv.cf.synchronous, "normal") == 0 ? STORE_MODE_NORMAL
							   : STORE_MODE_FULL;
	op.space_min = sv.cf.write_free_bytes_min;
	if (store_open(&op, &sv.st) != STORE_DONE) {
		log_error("serve store cannot be opened");
		sv.st = NULL;
		sv.store_at = now;
		return NULL;
	}
	sv.store_at = 0;
	store_set_now(sv.st, sv.rq.now_ms);
	return sv.st;
}

/*
 * The request taken now waited no longer than somebody always did.  Where that
 * is long, how many wait and how fast they are taken says better.
 */
static int64_t
serve_behind(void)
{
	int64_t since_ms = clock_mono_ms() - sv.empty_at, ms;
	int n;

	if (sv.fcgi == NULL)
		return 0;
	if (since_ms < QUEUE_LOOK_MS ||
	    (n = sock_backlog(sv.park.listener)) == -1)
		return since_ms;
	ms = (n + 1) * sv.pace_us / 1000;
	return ms < since_ms ? ms : since_ms;
}

/* One was taken; ${next}: while the one before was answered it waited. */
static void
serve_taken(bool next)
{
	int64_t now_us = clock_mono_us(), us = now_us - sv.taken_us;

	sv.taken_us = now_us;
	if (next)
		sv.pace_us = sv.pace_us == 0 ? us : (7 * sv.pace_us + us) / 8;
}

/* One request, from its parameters to its written answer. */
static void
serve_one(char **env)
{
	struct req *rq = &sv.rq;
	const char *code = "bad_request";
	int64_t begin = clock_mono_ms();
	int status;

	status = req_init(rq, &sv.cf, env, &code);
	rq->cgi = sv.fcgi == NULL;
	rq->behind_ms = serve_behind();
	rq->open_store = serve_store;
	rq->more = serve_more;
	rsp_init(&sv.rs, rq);
	buf_reset(&sv.body);
	body_begin();
	if (status != 0)
		(void)rsp_error(&sv.rs, status, code, NULL);
	else
		(void)route_run(
		    sv.routes, sv.nroutes, rq, &sv.rs, serve_body, &sv.body);
	body_drain();
	answer();
	sv.seen = seen_due(rq, sv.rs.status);
	log_debug("request id=%s method=%.8s route=%s status=%d ms=%lld",
	    rq->id_text, rq->method, rq->route != NULL ? rq->route->path : "-",
	    sv.rs.status, (long long)(clock_mono_ms() - begin));
}

/* Nothing of a request may meet the next. */
static void
serve_end(void)
{
	if (sv.seen)
		seen_mark(&sv.rq);
	sv.seen = false;
	if (sv.st != NULL)
		store_idle(sv.st);
	emit_drop();
	req_fini(&sv.rq);
	if (sv.body.cap > (256u << 10)) {
		buf_fini(&sv.body);
		buf_init(&sv.body, BODY_BYTES_MAX);
	} else if (sv.body.cap > 0) {
		sodium_memzero(sv.body.data, sv.body.len);
	}
	buf_reset(&sv.body);
	rsp_reset(&sv.rs);
	if (serve_tail != NULL) {
		serve_tail(&sv.cf, sv.st);
		if (sv.st != NULL)
			store_idle(sv.st);
	}
	starter_look(&sv.cf, sv.st);
}

/* Whether a kept connection's next request has begun to come. */
static bool
serve_pending(const FCGX_Request *fr)
{
	char byte;

	return fr->ipcFd >= 0 &&
	       recv(fr->ipcFd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool
serve_waiting(void)
{
	if (sv.fcgi == NULL)
		return false;
	return (sv.fcgi->ipcFd >= 0 && serve_pending(sv.fcgi)) ||
	       park_waiting(&sv.park);
}

/* Configuration. */

/* Read the configuration; 0, or -1 after logging each fault. */
static int
serve_conf(const char *path)
{
	struct buf err;
	struct stat st;
	char *line, *save = NULL;

	buf_init(&err, 65536);
	if (conf_load(&sv.cf, path, CONF_FCGI, &err) == -1)
		goto bad;
	/* Whoever may write there owns us. */
	if (stat(sv.cf.state_dir, &st) == 0 && (st.st_mode & S_IWOTH) != 0) {
		buf_printf(&err, "state_dir may be written by others\n");
		goto bad;
	}
	buf_fini(&err);
	(void)log_open(sv.name, NULL, log_level(sv.cf.log_level));
	emit_init(&sv.cf);
	starter_begin(&sv.cf, path, FCGX_IsCGI() != 0);
	/* Not having it was logged; a CGI program lives too short to matter. */
	if (!SANITIZED && !FCGX_IsCGI())
		(void)confine(&sv.cf);
	sv.conf_good = true;
	return 0;
bad:
	for (line = strtok_r(err.data, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		log_error("conf %s", line);
	buf_fini(&err);
	conf_free(&sv.cf);
	return -1;
}

/* Where it is: --conf, the environment, our own place, or the request. */
static int
serve_find(char **env)
{
	char path[4096];
	const char *p = sv.conf_path;
	char **e;

	if (p == NULL && conf_find(path, sizeof(path)) == 1)
		p = path;
	/* mod_fcgid passes SetEnv with each request only. */
	for (e = env; p == NULL && e != NULL && *e != NULL; e++)
		if (strncmp(*e, "PARLEY_CONF=", 12) == 0)
			p = *e + 12;
	if (p == NULL)
		return -1;
	return serve_conf(p);
}

/* What an unusable configuration looks like from outside. */
static void
serve_broken(void)
{
	static const char text[] =
	    "Status: 503 Service Unavailable\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "Cache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: no-referrer\r\n"
	    "Retry-After: 5\r\n\r\n"
	    "{\"success\":false,\"error\":\"The server is not set up. "
	    "Its log and `parley check` say why.\",\"code\":\"maintenance\"}";

	(void)write_all(text, sizeof(text) - 1);
}

/* The loops. */

/*
 * The answer is complete.  A front end waits until nobody has our output open,
 * some until nobody has the error log; and then may end us, which may wait
 * until the tail is done.
 */
static void
cgi_leave(void)
{
	char path[4200];
	int fd;

	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	if ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		return;
	(void)dup2(fd, STDIN_FILENO);
	(void)dup2(fd, STDOUT_FILENO);
	(void)close(fd);
	(void)snprintf(path, sizeof(path), "%s/%s.log", sv.cf.log_dir, sv.name);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (fd != -1) {
		(void)dup2(fd, STDERR_FILENO);
		(void)close(fd);
	}
}

static int
serve_cgi(void)
{
	sv.fcgi = NULL;
	if (serve_find(NULL) == -1) {
		serve_broken();
		return 1;
	}
	serve_one(environ);
	if (serve_tail != NULL || !sv.cf.worker_daemon)
		cgi_leave();
	serve_end();
	store_leave(sv.st);
	return 0;
}

/*
 * Wait for a request; signals come through only here.  While a connection is
 * kept, its next request comes on it, not on the listening socket.  Told to
 * stop, what has been sent to us is still answered: nobody else will.
 */
static int
serve_wait(const FCGX_Request *fr, const sigset_t *open_mask)
{
	struct pollfd p = { .fd = fr->ipcFd, .events = POLLIN };

	if (fr->ipcFd < 0) {
		if (park_wait(&sv.park, open_mask) == -1)
			return -1;
		p.revents = POLLIN;
	} else if (ppoll(&p, 1, NULL, open_mask) == -1 && errno != EINTR) {
		log_sys("serve poll");
		return -1;
	}
	if (reopen) {
		reopen = 0;
		log_reopen();
	}
	if (stop && fr->ipcFd >= 0)
		return serve_pending(fr) ? 1 : 0;
	return p.revents != 0 ? 1 : 0;
}

/*
 * The answer goes out.  libfcgi would then wait for the web server to close
 * first, in case it still sends, for the end of a connection may overtake an
 * answer while there is input nobody took.  Here none is left, as a rule.
 */
static void
serve_close(FCGX_Request *fr)
{
	if (sv.body_end && !fr->keepConnection)
		(void)FCGX_Detach(fr);
	/* Else it would wait as long as something comes now and then. */
	if (!sv.body_end)
		(void)shutdown(fr->ipcFd, SHUT_RD);
	FCGX_Finish_r(fr);
}

/*
 * Ours are caught, and come through only where ${open_mask} is in force: in
 * serve_wait.  After FCGX_Init, which installs handlers of its own.
 */
static void
serve_signals(sigset_t *open_mask)
{
	static const int ours[] = { SIGTERM, SIGINT, SIGUSR1, SIGHUP };
	struct sigaction sa;
	sigset_t block;
	size_t i;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_signal;
	(void)sigemptyset(&sa.sa_mask);
	(void)sigemptyset(&block);
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		(void)sigaction(ours[i], &sa, NULL);
		(void)sigaddset(&block, ours[i]);
	}
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &sa, NULL);
	(void)sigprocmask(SIG_BLOCK, &block, open_mask);
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		(void)sigdelset(open_mask, ours[i]);
}

/*
 * The next request into ${fr}; ${streak} counts those since serve_wait.
 * 1 taken, 0 none this time, -1 there will be none.
 */
static int
serve_accept(FCGX_Request *fr, const sigset_t *open_mask, unsigned *streak)
{
	int64_t since;
	bool empty;
	int rc;

	if (fr->ipcFd >= 0 && sv.park.n > 0) {
		/* Whoever of them has a request first. */
		park_keep(&sv.park, fr->ipcFd);
		fr->ipcFd = -1;
	}
	/*
	 * Under load the next connection waits already and is taken without
	 * asking; every so often signals get their turn.
	 */
	if (fr->ipcFd >= 0 || *streak == 0 || *streak >= STREAK_MAX) {
		/* A full queue would not have let us sleep. */
		empty = *streak == 0 || fr->ipcFd >= 0;
		since = clock_mono_ms();
		*streak = 0;
		if ((rc = serve_wait(fr, open_mask)) == -1)
			return -1;
		if (empty || clock_mono_ms() > since)
			sv.empty_at = clock_mono_ms();
		if (rc == 0)
			return 0;
	}
	++*streak;
	if (fr->ipcFd < 0) {
		if ((rc = park_take(&sv.park)) == -1) {
			*streak = 0;
			return 0;
		}
		/* As one that libfcgi kept: its next request is read. */
		fr->ipcFd = rc;
		fr->keepConnection = 1;
	}
	if ((rc = FCGX_Accept_r(fr)) >= 0)
		return 1;
	*streak = 0;
	/* libfcgi itself has nothing to accept from. */
	if (rc == -EAGAIN || rc == -EINTR || rc == -ECONNABORTED ||
	    rc == -EBADF)
		return 0;
	log_error("serve accept failed: %d", rc);
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM ? 0 : -1;
}

/* What has begun to come before we were told to end is answered, too. */
static bool
serve_going(void)
{
	if (!stop)
		return true;
	if (sv.park.listener != -1)
		park_stop(&sv.park);
	return sv.park.n > 0;
}

static int
serve_fcgi(void)
{
	FCGX_Request fr;
	sigset_t open_mask;
	unsigned streak = 0;
	int rc, flags;

	if (FCGX_Init() != 0 ||
	    FCGX_InitRequest(&fr, 0, FCGI_FAIL_ACCEPT_ON_INTR) != 0) {
		log_error("serve: libfcgi does not start");
		return 1;
	}
	serve_signals(&open_mask);
	/* Several processes wait for one connection: one gets it. */
	if ((flags = fcntl(0, F_GETFL)) != -1)
		(void)fcntl(0, F_SETFL, flags | O_NONBLOCK);

	park_init(&sv.park, fr.listen_sock,
	    sv.conf_good ? 1000 * sv.cf.progress_s_max : SLOW_MS);
	fr.listen_sock = -1;
	sv.fcgi = &fr;
	while (serve_going()) {
		if ((rc = serve_accept(&fr, &open_mask, &streak)) == -1)
			break;
		if (rc == 0)
			continue;
		serve_taken(streak > 1);
		if (!sv.conf_good && serve_find(fr.envp) == -1) {
			serve_broken();
			FCGX_Finish_r(&fr);
			continue;
		}
		serve_one(fr.envp);
		serve_close(&fr);
		serve_end();
	}
	FCGX_Free(&fr, 1);
	park_fini(&sv.park);
	store_close(sv.st);
	sv.st = NULL;
	emit_fini();
	rsp_fini(&sv.rs);
	buf_fini(&sv.body);
	buf_fini(&sv.head);
	conf_free(&sv.cf);
	return 0;
}

/* What we make is ours alone, and no dump or child shows our keys. */
static void
serve_harden(void)
{
	struct rlimit none = { 0, 0 };

	(void)umask(077);
	(void)signal(SIGXFSZ, SIG_IGN); /* a write says so, too */
	(void)setrlimit(RLIMIT_CORE, &none);
	if (!SANITIZED)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* Dropped by front ends already; a library might believe it. */
	(void)unsetenv("HTTP_PROXY");
}

static int
usage(FILE *to, int rc)
{
	(void)fprintf(to,
	    "usage: %s [--conf FILE]\n"
	    "A FastCGI and CGI program: started by a web server, by "
	    "`parley run` or by spawn-fcgi.\n",
	    sv.name);
	return rc;
}

int
serve(int argc, char **argv, const struct route *routes, size_t n)
{
	const char *slash = strrchr(argv[0], '/');
	int i;

	sv.name = slash != NULL ? slash + 1 : argv[0];
	sv.routes = routes;
	sv.nroutes = n;
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--version") == 0)
			return printf("%s %s\n", sv.name, PARLEY_VERSION) < 0;
		if (strcmp(argv[i], "--help") == 0)
			return usage(stdout, 0);
		if (strcmp(argv[i], "--conf") != 0 || i + 1 == argc)
			return usage(stderr, 2);
		sv.conf_path = argv[++i];
	}
	serve_harden();
	(void)log_open(sv.name, NULL, LOG_INFO);
	if (token_init() == -1)
		return 1;
	buf_init(&sv.body, BODY_BYTES_MAX);
	buf_init(&sv.head, RSP_HEADERS_BYTES_MAX + 2 * READ_BYTES);
	if (!FCGX_IsCGI()) {
		/* Perhaps only the first request says where it is. */
		if (serve_find(NULL) == -1 && sv.conf_path != NULL)
			return 1;
		return serve_fcgi();
	}
	if (getenv("REQUEST_METHOD") == NULL)
		return usage(stderr, 2);
	return serve_cgi();
}
