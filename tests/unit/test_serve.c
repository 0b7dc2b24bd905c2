/*
 * serve.c: the loop as a web server meets it, over FastCGI and as CGI: kept
 * connections, large bodies, signals in the middle, nothing left behind.
 */

#include "log.h"
#include "rsp.h"
#include "serve.h"
#include "sock.h"
#include "store.h"
#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define KEY "0123456789abcdef0123456789abcdef"
#define WAIT_MS 30000

static char dir[] = "/tmp/test_serve.XXXXXX";
static char sock[64], conf[64];
static int listener = -1;
static pid_t child = -1;

/* The program under test. */

static int
echo(struct req *rq, struct rsp *rs)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%s %s %zu %d", rq->method, rq->path,
	    rq->body_len, rq->cgi);
	return rsp_text(rs, 200, text);
}

static int
opens(struct req *rq, struct rsp *rs)
{
	/* A bug: the transaction is never ended. */
	return store_begin(rq->st) != STORE_FAILED
		   ? rsp_text(rs, 200, "open")
		   : rsp_error(rs, 503, "busy", NULL);
}

static int
large(struct req *rq, struct rsp *rs)
{
	static char text[300000];

	(void)rq;
	memset(text, 'x', sizeof(text));
	return rsp_raw(
	    rs, 200, "text/plain; charset=utf-8", text, sizeof(text));
}

static const struct route routes[] = {
	{ "GET", "/echo", WHO_ANY, 0, echo, ROUTE_NODB },
	{ "POST", "/echo", WHO_ANY, 500000, echo, ROUTE_NODB | ROUTE_RAW },
	{ "POST", "/none", WHO_ANY, 0, echo, ROUTE_NODB },
	{ "GET", "/opens", WHO_ANY, 0, opens, 0 },
	{ "GET", "/large", WHO_ANY, 0, large, ROUTE_NODB },
};

/* The end of a child: the program itself. */
static void
run(const char *conf_file)
{
	static char name[] = "test.fcgi";
	static char *args[] = { name, NULL };

	(void)dup2(open("/dev/null", O_WRONLY), 2); /* its log */
	(void)setenv("PARLEY_CONF", conf_file, 1);
	_exit(serve(1, args, routes, sizeof(routes) / sizeof(routes[0])));
}

/* FastCGI, from the other side. */

static int
dial(void)
{
	int fd = sock_connect(sock, SOCK_STREAM);

	assert_true(fd >= 0);
	(void)fcntl(fd, F_SETFL, 0);
	return fd;
}

static void
record(int fd, int type, const char *p, size_t len)
{
	unsigned char h[8] = { 1, 0, 0, 1, 0, 0, 0, 0 };

	h[1] = (unsigned char)type;
	h[4] = (unsigned char)(len >> 8);
	h[5] = (unsigned char)len;
	assert_int_equal(send(fd, h, 8, MSG_NOSIGNAL), 8);
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		assert_true(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

static void
param(struct buf *b, const char *n, const char *v)
{
	buf_putc(b, (char)strlen(n));
	buf_putc(b, (char)strlen(v));
	buf_puts(b, n);
	buf_puts(b, v);
}

static void
begin(int fd, const char *method, const char *uri, long length, int keep)
{
	char start[8] = { 0, 1, (char)keep, 0, 0, 0, 0, 0 }, text[24];
	struct buf b;

	buf_init(&b, 10000);
	record(fd, 1, start, 8);
	param(&b, "REQUEST_METHOD", method);
	param(&b, "REQUEST_URI", uri);
	param(&b, "REMOTE_ADDR", "127.0.0.1");
	param(&b, "CONTENT_TYPE", "text/plain");
	if (length >= 0) {
		(void)snprintf(text, sizeof(text), "%ld", length);
		param(&b, "CONTENT_LENGTH", text);
	}
	record(fd, 4, b.data, b.len);
	record(fd, 4, "", 0);
	buf_fini(&b);
}

static void
body(int fd, size_t len)
{
	static char text[60000];
	size_t n;

	memset(text, 'b', sizeof(text));
	while (len > 0) {
		n = len < sizeof(text) ? len : sizeof(text);
		record(fd, 5, text, n);
		len -= n;
	}
}

static void
take(int fd, void *to, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *at = to;

	while (len > 0) {
		ssize_t n;

		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		n = recv(fd, at, len, 0);
		assert_true(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

static struct buf got;

/* The whole answer into ${got}; its status. */
static int
finish(int fd)
{
	unsigned char h[8];
	char text[65536 + 256];
	size_t len;

	buf_reset(&got);
	for (;;) {
		take(fd, h, 8);
		len = ((size_t)h[4] << 8) + h[5];
		take(fd, text, len + h[6]);
		if (h[1] == 6)
			buf_append(&got, text, len);
		if (h[1] == 3)
			break;
	}
	assert_int_equal(strncmp(got.data, "Status: ", 8), 0);
	return atoi(got.data + 8);
}

static int
get(int fd, const char *method, const char *uri, long length, int keep)
{
	begin(fd, method, uri, length, keep);
	if (length > 0)
		body(fd, (size_t)length);
	record(fd, 5, "", 0);
	return finish(fd);
}

static const char *
text(void)
{
	const char *p = strstr(got.data, "\r\n\r\n");

	return p != NULL ? p + 4 : "";
}

static void
start(void)
{
	if ((child = fork()) == 0) {
		(void)dup2(listener, 0);
		run(conf);
	}
	assert_true(child > 0);
}

/* Ends by itself within the time; its status. */
static int
gone(void)
{
	const struct timespec nap = { 0, 5000000 };
	int status, i;

	for (i = 0; i < WAIT_MS / 5; i++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return status;
		(void)nanosleep(&nap, NULL);
	}
	fail_msg("the program does not end");
	return -1;
}

static void
answers(void **state)
{
	int fd, i;

	(void)state;
	start();
	fd = dial();
	assert_int_equal(get(fd, "GET", "/echo?a=b", -1, 0), 200);
	assert_string_equal(text(), "GET /echo 0 0");
	(void)close(fd);
	/* A kept connection, many requests. */
	fd = dial();
	for (i = 0; i < 50; i++) {
		assert_int_equal(get(fd, "POST", "/echo", i * 100, 1), 200);
		assert_int_equal(get(fd, "HEAD", "/echo", 0, 1), 200);
		assert_string_equal(text(), "");
		assert_non_null(strstr(got.data, "Content-Length: 14\r\n"));
	}
	(void)close(fd);
	fd = dial();
	assert_int_equal(get(fd, "POST", "/echo", 400000, 1), 200);
	assert_string_equal(text(), "POST /echo 400000 0");
	assert_int_equal(get(fd, "POST", "/echo", 500001, 1), 413);
	/* A body nobody wanted does not harm the next request. */
	assert_int_equal(get(fd, "POST", "/none", 100000, 1), 200);
	assert_int_equal(get(fd, "GET", "/large", 0, 1), 200);
	assert_int_equal(strlen(text()), 300000);
	assert_int_equal(get(fd, "GET", "/nothing", 0, 1), 404);
	(void)close(fd);
}

static void
cut_bodies(void **state)
{
	int fd = dial();

	(void)state;
	/* Shorter than stated, then longer than stated. */
	begin(fd, "POST", "/echo", 1000, 0);
	body(fd, 999);
	record(fd, 5, "", 0);
	assert_int_equal(finish(fd), 400);
	(void)close(fd);
	fd = dial();
	begin(fd, "POST", "/echo", 10, 0);
	body(fd, 11);
	record(fd, 5, "", 0);
	assert_int_equal(finish(fd), 400);
	(void)close(fd);
	/* Without a length: to its end. */
	fd = dial();
	begin(fd, "POST", "/echo", -1, 0);
	body(fd, 777);
	record(fd, 5, "", 0);
	assert_int_equal(finish(fd), 200);
	assert_string_equal(text(), "POST /echo 777 0");
	(void)close(fd);
	/* A peer that goes away in the middle. */
	fd = dial();
	begin(fd, "POST", "/echo", 1000, 0);
	body(fd, 10);
	(void)close(fd);
	fd = dial();
	assert_int_equal(get(fd, "GET", "/echo", 0, 0), 200);
	(void)close(fd);
}

static void
nothing_stays(void **state)
{
	int fd = dial(), i;

	(void)state;
	/* An open transaction is rolled back: the next gets the lock. */
	for (i = 0; i < 5; i++)
		assert_int_equal(get(fd, "GET", "/opens", 0, 1), 200);
	(void)close(fd);
}

static void
signal_in_body(void **state)
{
	const struct timespec nap = { 0, 50000000 };
	int fd = dial();

	(void)state;
	begin(fd, "POST", "/echo", 200000, 1);
	body(fd, 100000);
	(void)nanosleep(&nap, NULL);
	assert_int_equal(kill(child, SIGTERM), 0);
	(void)nanosleep(&nap, NULL);
	body(fd, 100000);
	record(fd, 5, "", 0);
	/* The whole body, a whole answer, then the end. */
	assert_int_equal(finish(fd), 200);
	assert_string_equal(text(), "POST /echo 200000 0");
	assert_int_equal(gone(), 0);
	(void)close(fd);
}

static void
signal_when_idle(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	assert_int_equal(get(fd, "GET", "/echo", 0, 1), 200);
	/* Waiting on a kept connection. */
	assert_int_equal(kill(child, SIGTERM), 0);
	assert_int_equal(gone(), 0);
	(void)close(fd);
}

/* A request that came with the signal is answered before the end. */
static void
signal_when_asked(void **state)
{
	int fd, status;

	(void)state;
	start();
	fd = dial();
	assert_int_equal(get(fd, "GET", "/echo", 0, 1), 200);
	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	begin(fd, "GET", "/echo?last", 0, 1);
	record(fd, 5, "", 0);
	assert_int_equal(kill(child, SIGTERM), 0);
	assert_int_equal(kill(child, SIGCONT), 0);
	assert_int_equal(finish(fd), 200);
	assert_string_equal(text(), "GET /echo 0 0");
	assert_int_equal(gone(), 0);
	(void)close(fd);
}

/* As CGI: ${input} on standard input; the answer in ${got}. */
static int
cgi(const char *method, const char *uri, const char *length, const char *input,
    const char *conf_file)
{
	int in[2], out[2], status;
	char chunk[4096];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	if ((pid = fork()) == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)close(in[1]);
		(void)close(out[0]);
		(void)setenv("GATEWAY_INTERFACE", "CGI/1.1", 1);
		(void)setenv("REQUEST_METHOD", method, 1);
		(void)setenv("REQUEST_URI", uri, 1);
		(void)setenv("REMOTE_ADDR", "127.0.0.1", 1);
		if (length != NULL)
			(void)setenv("CONTENT_LENGTH", length, 1);
		run(conf_file);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	n = write(in[1], input, strlen(input));
	assert_int_equal(n, strlen(input));
	/* A GET's input stays open, as some servers leave it. */
	if (strcmp(method, "GET") != 0)
		(void)close(in[1]);
	buf_reset(&got);
	while ((n = read(out[0], chunk, sizeof(chunk))) > 0)
		buf_append(&got, chunk, (size_t)n);
	if (strcmp(method, "GET") == 0)
		(void)close(in[1]);
	(void)close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(strncmp(got.data, "Status: ", 8), 0);
	return atoi(got.data + 8);
}

static void
as_cgi(void **state)
{
	(void)state;
	assert_int_equal(cgi("GET", "/echo", NULL, "", conf), 200);
	assert_string_equal(text(), "GET /echo 0 1");
	assert_int_equal(cgi("POST", "/echo", "5", "hello", conf), 200);
	assert_string_equal(text(), "POST /echo 5 1");
	assert_int_equal(cgi("POST", "/echo", "6", "hello", conf), 400);
	assert_int_equal(cgi("POST", "/echo", NULL, "hello", conf), 200);
	assert_int_equal(cgi("POST", "/echo", "600000", "", conf), 413);
	assert_int_equal(cgi("GET", "/opens", NULL, "", conf), 200);
	/* Without a usable configuration: an answer, not a crash. */
	assert_int_equal(cgi("GET", "/echo", NULL, "", "/nonexistent"), 503);
	assert_non_null(strstr(got.data, "\"maintenance\""));
}

static int
setup(void **state)
{
	struct store_options op = { .create = true, .mode = STORE_MODE_NORMAL };
	char path[80];
	FILE *f;

	(void)state;
	(void)log_open("test", "/dev/null", LOG_ERROR);
	if (mkdtemp(dir) == NULL || token_init() == -1)
		return -1;
	(void)snprintf(sock, sizeof(sock), "%s/api.sock", dir);
	(void)snprintf(conf, sizeof(conf), "%s/parley.conf", dir);
	(void)snprintf(path, sizeof(path), "%s/parley.db", dir);
	if ((f = fopen(conf, "w")) == NULL)
		return -1;
	(void)fprintf(f, "jwt_key = %s\nlimits = off\nrun_dir = .\n", KEY);
	(void)fclose(f);
	(void)chmod(conf, 0600);
	op.path = path;
	if (store_init(&op) == STORE_FAILED)
		return -1;
	buf_init(&got, 1 << 20);
	listener = sock_listen(sock, SOCK_STREAM, 16);
	return listener == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	char cmd[64];

	(void)state;
	buf_fini(&got);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(cut_bodies),
		cmocka_unit_test(nothing_stays),
		cmocka_unit_test(signal_in_body),
		cmocka_unit_test(signal_when_idle),
		cmocka_unit_test(signal_when_asked),
		cmocka_unit_test(as_cgi),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
