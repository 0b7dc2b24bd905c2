#ifndef PARLEY_API_FIXTURE_H
#define PARLEY_API_FIXTURE_H

/*
 * api.fcgi as pushd sees it, in the test's hands: what is asked waits here
 * until the test answers.  Stands in for backend.c, which is not linked then.
 */
#include <stdlib.h>
#include <string.h>

#include "backend.h"

struct backend_call {
	struct backend_call *next;
	backend_fn *fn;
	void *arg;
	char *uri, *body;
};

static struct backend_call *api_calls; /* oldest first */

struct backend *
backend_new(struct ev_loop *loop, const struct backend_conf *cf)
{
	(void)loop;
	(void)cf;
	return NULL;
}

static void
api_forget(struct backend_call *k)
{
	struct backend_call **at = &api_calls;

	while (*at != k) {
		assert_non_null(*at);
		at = &(*at)->next;
	}
	*at = k->next;
	free(k->uri);
	free(k->body);
	free(k);
}

void
backend_free(struct backend *b)
{
	(void)b;
	while (api_calls != NULL)
		api_forget(api_calls);
}

struct backend_call *
backend_call(struct backend *b, enum backend_line line, const char *method,
    const char *uri, const char *ref, const char *addr, const char *body,
    size_t len, backend_fn *fn, void *arg)
{
	struct backend_call *k = calloc(1, sizeof(*k)), **at = &api_calls;

	(void)b;
	(void)line;
	(void)method;
	(void)ref;
	(void)addr;
	assert_non_null(k);
	k->fn = fn;
	k->arg = arg;
	k->uri = strdup(uri);
	k->body = calloc(1, len + 1);
	assert_non_null(k->body);
	if (len > 0)
		memcpy(k->body, body, len);
	while (*at != NULL)
		at = &(*at)->next;
	*at = k;
	return k;
}

void
backend_cancel(struct backend_call *k)
{
	if (k != NULL)
		api_forget(k);
}

void
backend_lean(struct backend *b)
{
	(void)b;
}

void
backend_stats(const struct backend *b, struct backend_stats *st)
{
	(void)b;
	memset(st, 0, sizeof(*st));
}

/* How many questions wait whose address begins like that. */
static size_t
api_asked(const char *uri)
{
	const struct backend_call *k = api_calls;
	size_t n = 0;

	for (; k != NULL; k = k->next)
		n += strncmp(k->uri, uri, strlen(uri)) == 0;
	return n;
}

/* The oldest of them. */
static struct backend_call *
api_call(const char *uri)
{
	struct backend_call *k = api_calls;

	while (k != NULL && strncmp(k->uri, uri, strlen(uri)) != 0)
		k = k->next;
	assert_non_null(k);
	return k;
}

/* Answer it. */
static void
api_say(const char *uri, int status, const char *body)
{
	struct backend_call *k = api_call(uri);
	struct backend_answer a = {
		.status = status, .body = body, .body_len = strlen(body)
	};
	backend_fn *fn = k->fn;
	void *arg = k->arg;

	api_forget(k);
	fn(arg, &a);
}

#endif
