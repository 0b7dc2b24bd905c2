#ifndef PARLEY_BACKEND_H
#define PARLEY_BACKEND_H

/*
 * The FastCGI client: requests to api.fcgi over a few kept connections, one
 * request in flight on each, the rest waiting in line.
 *
 * Every request may be sent several times, as when the processes behind it are
 * renewed: what changes something carries a key that makes that harmless.
 */

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

/* Lines in front of the pool; served in turn, so that none starves another. */
enum backend_line {
	BACKEND_LOG,    /* what we missed */
	BACKEND_WHO,    /* who somebody is; presence */
	BACKEND_SEND,   /* what clients send; the one that may be full */
	BACKEND_REPLAY, /* what a client missed */
	BACKEND_LINES
};

struct backend_answer {
	int status;       /* HTTP status, or 0: no answer */
	const char *why;  /* of status 0: "timeout" or "lost" */
	const char *head; /* CGI head, see fcgirec_field */
	size_t head_len;
	const char *body;
	size_t body_len;
};

/* Called once, never from within backend_call; ${a} and all in it borrowed. */
typedef void backend_fn(void *arg, const struct backend_answer *a);

struct backend;
struct backend_call;

/* What every request carries. */
struct backend_conf {
	const char *socket; /* api.fcgi's */
	const char *key;    /* proves that we are pushd; borrowed */
	unsigned pool;      /* connections */
	size_t waiting_max; /* in the line of sends */
	int timeout_ms;     /* from the call to the answer */
};

struct backend_stats {
	uint64_t calls, failed, timeouts, refused;
	unsigned waiting, busy, up;
	unsigned line[BACKEND_LINES]; /* those that wait, by line */
	struct histogram took;        /* from the call to its answer */
};

/* backend_new(loop, cf): returns new; NULL without memory.  Connects later. */
struct backend *backend_new(
    struct ev_loop *loop, const struct backend_conf *cf);

/* backend_free(b): forget all; no callback is called any more. */
void backend_free(struct backend *b);

/*
 * backend_call(b, line, method, uri, ref, addr, body, len, fn, arg):
 * Ask; ${ref} (or NULL) is who is asking through us, ${addr} from where.  All
 * texts are copied.  Returns a handle good until ${fn} is called, or NULL if
 * the line is full or memory is out.
 */
struct backend_call *backend_call(struct backend *b, enum backend_line line,
    const char *method, const char *uri, const char *ref, const char *addr,
    const char *body, size_t len, backend_fn *fn, void *arg);

/*
 * backend_cancel(call):
 * ${fn} will not be called.  What is sent already is still done.  Takes NULL.
 */
void backend_cancel(struct backend_call *call);

/*
 * backend_lean(b):
 * Somebody else needs the processes behind the pool: hold a connection only as
 * long as there is something to ask.
 */
void backend_lean(struct backend *b);

/* backend_stats(b, st): the counts since the start, and how it is now. */
void backend_stats(const struct backend *b, struct backend_stats *st);

#endif
