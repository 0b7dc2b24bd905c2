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

/* Called from http_client_run, once for each started request. */
typedef void http_done(void *arg, struct http_answer *an);

/*
 * http_client_new(limits) returns new, or NULL, logged.
 * http_client_free(c) drops what is still under way without calling back.
 */
struct http_client *http_client_new(const struct http_limits *limits);
void http_client_free(struct http_client *c);

/*
 * http_client_start(c, rq, done, arg):
 * Begin ${rq} (takes its contents).  ${done} gets the answer, which it may
 * read until it returns.  0, or -1 when nothing was begun and ${done} will
 * not be called.
 */
int http_client_start(struct http_client *c, struct http_request *rq,
    http_done *done, void *arg);

/* http_client_busy(c): requests begun whose ${done} has not been called. */
size_t http_client_busy(const struct http_client *c);

/*
 * http_client_run(c, wait_ms):
 * Move bytes for at most ${wait_ms}, calling back what ended; returns at the
 * first chance after something did, or a signal came.  0, or -1, logged.
 */
int http_client_run(struct http_client *c, int wait_ms);

#endif
