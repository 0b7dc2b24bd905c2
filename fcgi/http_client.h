#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stddef.h>

#include "http_request.h"

/* Many requests at once on one thread. */
struct http_client;

/* Limits and permissions of a client. */
struct http_limits {
	long connect_ms; /* name, connect and TLS */
	long total_ms;   /* the whole exchange */
	size_t body_max; /* bytes of an answer, past it: lost */
};

/*
 * What happens to one request, called from http_client_run: ${before} when the
 * connection stands and before the first byte leaves (0, or -1: send nothing),
 * NULL when nobody cares; then ${done}, exactly once, with an answer to read
 * until it returns.
 */
struct http_calls {
	int (*before)(void *arg);
	void (*done)(void *arg, struct http_answer *an);
};

/*
 * http_client_new(limits) returns new, or NULL, logged.
 * http_client_free(c) drops what is still under way without calling back.
 */
struct http_client *http_client_new(const struct http_limits *limits);
void http_client_free(struct http_client *c);

/*
 * http_client_start(c, rq, calls, arg):
 * Begin ${rq}, which the client copies.  0, or -1 when nothing was begun and
 * nothing will be called.
 */
int http_client_start(struct http_client *c, const struct http_request *rq,
    const struct http_calls *calls, void *arg);

/*
 * http_client_run(c, wait_ms):
 * Move bytes for at most ${wait_ms}, calling back what ended; returns at the
 * first chance after something did, or a signal came.  0, or -1, logged.
 */
int http_client_run(struct http_client *c, int wait_ms);

#endif
