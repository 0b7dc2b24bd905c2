/*
 * A load of HTTP/1.1 requests over a few kept connections, one in flight on
 * each.
 *
 *	load ADDR:PORT CONNS SECONDS METHOD PATH [HEADER...] [-- BODY]
 *
 * `%d` in BODY becomes a name that no other request of the run has, `%u` a
 * number in digits.
 * Prints one line of JSON: requests, refused (status 400 and above), cut,
 * per second, and times in ms.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "sock.h"

#define CONNS_MAX 256
#define SAMPLES_MAX 4000000
#define BYTES_MAX 65536

struct conn {
	int fd; /* -1: to be opened */
	int busy;
	char in[BYTES_MAX];
	size_t len;
	double sent_us;
};

static struct conn conns[CONNS_MAX];
static float *samples;
static size_t nsamples;
static long refused, cut;
static const char *method, *path, *body, *addr;
static char headers[8192];
static long number;

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* The body of the next request: its length. */
static size_t
next_body(char *out, size_t size)
{
	const char *at = body != NULL ? strstr(body, "%d") : NULL;
	const char *plain = body != NULL ? strstr(body, "%u") : NULL;
	int n;

	if (body == NULL)
		return 0;
	if (plain != NULL)
		n = snprintf(out, size, "%.*s%ld%07ld%s", (int)(plain - body),
		    body, (long)getpid(), ++number, plain + 2);
	else if (at == NULL)
		n = snprintf(out, size, "%s", body);
	else
		n = snprintf(out, size, "%.*s%ld-%ld%s", (int)(at - body), body,
		    (long)getpid(), ++number, at + 2);
	return (size_t)n;
}

static void
drop(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
	c->busy = 0;
	c->len = 0;
}

static void
ask(struct conn *c)
{
	static char text[BYTES_MAX], what[BYTES_MAX / 2];
	size_t len = next_body(what, sizeof(what));
	int n;

	if (c->fd == -1) {
		struct pollfd pf = { .events = POLLOUT };

		if ((c->fd = sock_connect(addr, SOCK_STREAM)) == -1)
			return;
		pf.fd = c->fd;
		poll(&pf, 1, 1000);
	}
	n = snprintf(text, sizeof(text),
	    "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %zu\r\n\r\n%s",
	    method, path, addr, headers, len, len > 0 ? what : "");
	c->sent_us = now_us();
	c->busy = 1;
	c->len = 0;
	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n) {
		cut++;
		drop(c);
	}
}

/* A header's value in the head ${p}, or NULL. */
static const char *
head_value(const char *p, const char *end, const char *name)
{
	size_t len = strlen(name);

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		p++;
		if ((size_t)(end - p) > len && strncasecmp(p, name, len) == 0)
			return p + len;
	}
	return NULL;
}

/* Whether the answer in ${c} is whole. */
static int
whole(struct conn *c)
{
	char *end;
	const char *v;

	c->in[c->len] = '\0';
	if ((end = strstr(c->in, "\r\n\r\n")) == NULL)
		return 0;
	end += 4;
	if (strncmp(c->in + 9, "304", 3) == 0 ||
	    strncmp(c->in + 9, "204", 3) == 0)
		return 1;
	if ((v = head_value(c->in, end, "Content-Length:")) != NULL)
		return c->len >=
		       (size_t)(end - c->in) + (size_t)strtoul(v, NULL, 10);
	if (head_value(c->in, end, "Transfer-Encoding:") != NULL)
		return c->len > 5 &&
		       memcmp(c->in + c->len - 5, "0\r\n\r\n", 5) == 0;
	return 0; /* till its end */
}

static void
done(struct conn *c)
{
	if (nsamples < SAMPLES_MAX)
		samples[nsamples++] = (float)(now_us() - c->sent_us);
	if (c->in[9] >= '4')
		refused++;
	c->busy = 0;
	if (strstr(c->in, "Connection: close") != NULL)
		drop(c);
}

static void
hear(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, sizeof(c->in) - 1 - c->len, 0);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (c->len > 12 && strstr(c->in, "\r\n\r\n") != NULL)
			done(c);
		else
			cut++;
		if (c->fd != -1)
			drop(c);
		return;
	}
	c->len += (size_t)n;
	if (whole(c))
		done(c);
}

static int
less(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double
percentile(double p)
{
	return nsamples == 0
		   ? 0
		   : (double)samples[(size_t)((double)(nsamples - 1) * p)] /
			 1e3;
}

int
main(int argc, char **argv)
{
	struct pollfd pf[CONNS_MAX];
	double began, ends, took;
	size_t i, n, used = 0;
	int a;

	if (argc < 6) {
		fputs("usage: load ADDR:PORT CONNS SECONDS METHOD PATH "
		      "[HEADER...] [-- BODY]\n",
		    stderr);
		return 2;
	}
	addr = argv[1];
	n = (size_t)strtoul(argv[2], NULL, 10);
	method = argv[4];
	path = argv[5];
	for (a = 6; a < argc && strcmp(argv[a], "--") != 0; a++)
		used += (size_t)snprintf(
		    headers + used, sizeof(headers) - used, "%s\r\n", argv[a]);
	if (a + 1 < argc)
		body = argv[a + 1];
	samples = malloc(SAMPLES_MAX * sizeof(*samples));
	if (samples == NULL || n == 0 || n > CONNS_MAX)
		return 2;
	began = now_us();
	ends = began + strtod(argv[3], NULL) * 1e6;
	for (i = 0; i < n; i++)
		conns[i].fd = -1;
	while (now_us() < ends) {
		for (i = 0; i < n; i++) {
			if (!conns[i].busy)
				ask(&conns[i]);
			pf[i].fd = conns[i].fd;
			pf[i].events = POLLIN;
			pf[i].revents = 0;
		}
		if (poll(pf, n, 1000) <= 0)
			continue;
		for (i = 0; i < n; i++)
			if (pf[i].revents != 0 && conns[i].fd != -1)
				hear(&conns[i]);
	}
	took = (now_us() - began) / 1e6;
	qsort(samples, nsamples, sizeof(*samples), less);
	printf("{\"requests\":%zu,\"refused\":%ld,\"cut\":%ld,"
	       "\"per_s\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
	    nsamples, refused, cut, (double)nsamples / took, percentile(0.5),
	    percentile(0.99));
	free(samples);
	return 0;
}
