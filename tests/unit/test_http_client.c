/* How far a request came is what decides whether it may be sent again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_client.h"

/* A server in a child: reads one request, says ${answer}, closes. */
struct server {
	pid_t pid;
	int port;
};

static int
listener(int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static struct server
serve_times(const char *answer, int times)
{
	struct server s;
	int fd = listener(&s.port);

	assert_true((s.pid = fork()) != -1);
	if (s.pid == 0) {
		char in[8192];

		alarm(60);
		for (; times > 0; times--) {
			int c = accept(fd, NULL, NULL);

			if (c == -1 || read(c, in, sizeof(in)) <= 0 ||
			    write(c, answer, strlen(answer)) == -1)
				_exit(1);
			if (*answer == '\0')
				pause(); /* says nothing, holds the line */
			close(c);
		}
		_exit(0);
	}
	close(fd);
	return s;
}

static void
server_end(struct server *s)
{
	int status;

	kill(s->pid, SIGKILL);
	waitpid(s->pid, &status, 0);
}

/* What one exchange led to. */
struct seen {
	int before, done;
	int before_says;
	enum http_end end;
	long status;
	int64_t retry_after_s;
	char body[64];
};

static int
before(void *arg)
{
	struct seen *s = arg;

	s->before++;
	return s->before_says;
}

static void
done(void *arg, struct http_answer *an)
{
	struct seen *s = arg;

	s->done++;
	s->end = an->end;
	s->status = an->status;
	s->retry_after_s = an->retry_after_s;
	snprintf(s->body, sizeof(s->body), "%s",
	    an->body.len > 0 ? an->body.data : "");
}

static struct seen
exchange(const char *url, int before_says)
{
	static const struct http_limits limits = {
		.connect_ms = 2000, .total_ms = 2000, .body_max = 32
	};
	static const struct http_calls calls = { before, done };
	struct http_client *c = http_client_new(&limits);
	struct seen s = { .before_says = before_says };
	struct http_request rq;

	assert_non_null(c);
	http_request_init(&rq, "POST");
	buf_puts(&rq.url, url);
	http_request_header(&rq, "Content-Type", "application/json");
	buf_puts(&rq.body, "{}");
	assert_int_equal(http_client_start(c, &rq, &calls, &s), 0);
	http_request_fini(&rq);
	for (int i = 0; i < 100 && s.done == 0; i++)
		assert_int_equal(http_client_run(c, 100), 0);
	assert_int_equal(s.done, 1);
	http_client_free(c);
	return s;
}

/* A request with a time of its own does not take that of the client. */
static void
a_time_of_its_own(void **state)
{
	static const struct http_limits limits = {
		.connect_ms = 2000, .total_ms = 600000, .body_max = 32
	};
	static const struct http_calls calls = { before, done };
	struct http_client *c = http_client_new(&limits);
	struct server srv = serve_times("", 1);
	struct seen s = { .before_says = 0 };
	struct http_request rq;
	char url[64];

	(void)state;
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", srv.port);
	http_request_init(&rq, "POST");
	buf_puts(&rq.url, url);
	buf_puts(&rq.body, "{}");
	rq.total_ms = 300;
	assert_int_equal(http_client_start(c, &rq, &calls, &s), 0);
	http_request_fini(&rq);
	for (int i = 0; i < 300 && s.done == 0; i++)
		assert_int_equal(http_client_run(c, 100), 0);
	assert_int_equal(s.done, 1);
	assert_int_equal(s.end, HTTP_LOST);
	http_client_free(c);
	server_end(&srv);
}

static struct seen
ask(const char *answer, int before_says)
{
	struct server srv = serve_times(answer, 1);
	struct seen s;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", srv.port);
	s = exchange(url, before_says);
	server_end(&srv);
	return s;
}

static void
a_whole_answer(void **state)
{
	struct seen s = ask("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
			    "Retry-After: 90\r\n\r\nok",
	    0);

	(void)state;
	assert_int_equal(s.end, HTTP_ANSWERED);
	assert_int_equal(s.status, 200);
	assert_int_equal(s.retry_after_s, 90);
	assert_string_equal(s.body, "ok");
	assert_int_equal(s.before, 1);
	/* No redirect is followed: our tokens would go with it. */
	s = ask("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n"
		"Content-Length: 0\r\n\r\n",
	    0);
	assert_int_equal(s.end, HTTP_ANSWERED);
	assert_int_equal(s.status, 302);
}

static void
lost_after_the_first_byte(void **state)
{
	(void)state;
	assert_int_equal(ask("", 0).end, HTTP_LOST);
	assert_int_equal(
	    ask("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 0).end,
	    HTTP_LOST);
	assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"
			     "0123456789012345678901234567890123456789",
			     0)
			     .end,
	    HTTP_LOST);
	assert_int_equal(ask("nonsense\r\n\r\n", 0).end, HTTP_LOST);
}

static void
unsent_before_it(void **state)
{
	char url[64];
	struct seen s;
	int port, fd;

	(void)state;
	/* Nobody listens: the connection never stood. */
	fd = listener(&port);
	close(fd);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
	s = exchange(url, 0);
	assert_int_equal(s.end, HTTP_UNSENT);
	assert_int_equal(s.before, 0);
	assert_int_equal(
	    exchange("http://nowhere.invalid/", 0).end, HTTP_UNSENT);
	assert_int_equal(exchange("file:///etc/passwd", 0).end, HTTP_UNSENT);
	/* The caller changed its mind at the last moment. */
	s = ask("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", -1);
	assert_int_equal(s.end, HTTP_UNSENT);
	assert_int_equal(s.before, 1);
}

/* A kept connection that dies would make libcurl send a POST again. */
static void
never_twice_by_itself(void **state)
{
	static const struct http_limits limits = {
		.connect_ms = 2000, .total_ms = 30000, .body_max = 64
	};
	static const struct http_calls calls = { before, done };
	struct server srv =
	    serve_times("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2);
	struct http_client *c = http_client_new(&limits);
	struct seen s[2] = { { 0 }, { 0 } };
	char url[64];

	(void)state;
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", srv.port);
	for (int i = 0; i < 2; i++) {
		struct http_request rq;

		http_request_init(&rq, "POST");
		buf_puts(&rq.url, url);
		assert_int_equal(http_client_start(c, &rq, &calls, &s[i]), 0);
		http_request_fini(&rq);
		while (s[i].done == 0)
			assert_int_equal(http_client_run(c, 100), 0);
		assert_int_equal(s[i].end, HTTP_ANSWERED);
		assert_int_equal(s[i].before, 1);
	}
	http_client_free(c);
	server_end(&srv);
}

/* A server that answers 200 when one request ends in ${tail}, else 400. */
static struct server
serve_form(const char *tail)
{
	static const char yes[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
				  "Connection: close\r\n\r\n";
	static const char no[] = "HTTP/1.1 400 No\r\nContent-Length: 0\r\n"
				 "Connection: close\r\n\r\n";
	struct server s;
	int fd = listener(&s.port);

	assert_true((s.pid = fork()) != -1);
	if (s.pid == 0) {
		int c = accept(fd, NULL, NULL);
		const char *says;
		size_t len = 0;
		char in[8192];
		ssize_t n;

		alarm(60);
		/* The end of a multipart body: "--boundary--". */
		while ((n = read(c, in + len, sizeof(in) - 1 - len)) > 0) {
			len += (size_t)n;
			in[len] = '\0';
			if (len > 4 && strcmp(in + len - 4, "--\r\n") == 0 &&
			    strstr(in, "name=\"up\"") != NULL)
				break;
		}
		says = strstr(in, tail) != NULL ? yes : no;
		if (write(c, says, strlen(says)) == -1)
			_exit(1);
		close(c);
		_exit(0);
	}
	close(fd);
	return s;
}

static void
fields_travel_with_the_file(void **state)
{
	static const char *const tails[] = { "name=\"a\"\r\n\r\none\r\n",
		"name=\"b\"\r\n\r\n\r\n", "name=\"up\"; filename=\"f.txt\"",
		"\r\n\r\ncontent\r\n" };
	static const struct http_limits limits = {
		.connect_ms = 20000, .total_ms = 30000, .body_max = 32
	};
	static const struct http_calls calls = { before, done };
	char path[] = "/tmp/parley-field-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd != -1);
	assert_int_equal(write(fd, "content", 7), 7);
	close(fd);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		struct server srv = serve_form(tails[i]);
		struct http_client *c = http_client_new(&limits);
		struct seen s = { 0 };
		struct http_request rq;

		http_request_init(&rq, "POST");
		buf_printf(&rq.url, "http://127.0.0.1:%d/", srv.port);
		http_request_field(&rq, "a", "one");
		http_request_field(&rq, "b", "");
		rq.file_field = "up";
		rq.file_path = strdup(path);
		rq.file_name = strdup("f.txt");
		assert_int_equal(http_client_start(c, &rq, &calls, &s), 0);
		http_request_fini(&rq);
		for (int k = 0; k < 100 && s.done == 0; k++)
			assert_int_equal(http_client_run(c, 100), 0);
		assert_int_equal(s.status, 200);
		http_client_free(c);
		server_end(&srv);
	}
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_answer),
		cmocka_unit_test(lost_after_the_first_byte),
		cmocka_unit_test(unsent_before_it),
		cmocka_unit_test(never_twice_by_itself),
		cmocka_unit_test(fields_travel_with_the_file),
		cmocka_unit_test(a_time_of_its_own),
	};

	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
