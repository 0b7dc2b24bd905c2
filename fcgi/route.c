/*
 * Method and path to handler, and all that stands between them: who asks, how
 * much they send, and whether a page of ours made them send it.
 */

#include "route.h"

#include "auth.h"
#include "id.h"
#include "log.h"
#include "seen.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define STREAM_AROUND_BYTES (1u << 20) /* fields and heads about a file */

/*
 * Whether the request's path has the form ${path}.  ${*score} has a bit for
 * each literal segment, the first the highest, so that literals win early.
 */
static bool
path_match(const char *path, const struct req *rq, unsigned *score,
    const char *args[PATH_ARGS_MAX])
{
	const char *end;
	size_t n = 0, nargs = 0, len;

	*score = 0;
	while (*path == '/') {
		path++;
		if (*path == '\0')
			break;
		end = path + strcspn(path, "/");
		len = (size_t)(end - path);
		if (n == rq->nsegments)
			return false;
		if (*path == ':') {
			assert(nargs < PATH_ARGS_MAX);
			args[nargs++] = rq->segments[n];
		} else if (strlen(rq->segments[n]) == len &&
			   memcmp(rq->segments[n], path, len) == 0) {
			*score |= 1u << (PATH_SEGMENTS_MAX - n);
		} else {
			return false;
		}
		n++;
		path = end;
	}
	for (; nargs < PATH_ARGS_MAX; nargs++)
		args[nargs] = NULL;
	return n == rq->nsegments;
}

static bool
method_match(const char *route, const char *asked)
{
	return strcmp(route, asked) == 0 ||
	       (strcmp(asked, "HEAD") == 0 && strcmp(route, "GET") == 0);
}

/* Add ${method} to the list in ${b} unless it is there. */
static void
allow_add(struct buf *b, const char *method)
{
	const char *p = strstr(b->data, method);
	size_t n = strlen(method);

	if (p != NULL && (p[n] == ',' || p[n] == '\0'))
		return;
	buf_printf(b, "%s%s", b->len > 0 ? ", " : "", method);
	if (strcmp(method, "GET") == 0)
		allow_add(b, "HEAD");
}

/*
 * The route for the request's method and path, its parameters put into
 * ${rq}->id and arg.  NULL with ${*allow} = "" if no route has the path, or
 * the methods it does have ("GET, HEAD, POST"), in ${rq}'s memory.  A literal
 * segment wins over a parameter.
 */
static const struct route *
route_find(
    const struct route *routes, size_t n, struct req *rq, const char **allow)
{
	const struct route *best = NULL;
	const char *args[PATH_ARGS_MAX];
	unsigned score, top = 0;
	struct buf methods;
	size_t i, j;

	*allow = "";
	for (i = 0; i < n; i++) {
		if (!method_match(routes[i].method, rq->method) ||
		    !path_match(routes[i].path, rq, &score, args) ||
		    (best != NULL && score <= top))
			continue;
		best = &routes[i];
		top = score;
		for (j = 0; j < PATH_ARGS_MAX; j++) {
			rq->arg[j] = args[j];
			rq->id[j] = args[j] != NULL
					? id_parse(args[j], strlen(args[j]))
					: 0;
		}
	}
	if (best != NULL)
		return best;
	buf_init(&methods, 256);
	for (i = 0; i < n; i++)
		if (path_match(routes[i].path, rq, &score, args))
			allow_add(&methods, routes[i].method);
	if (methods.len > 0) {
		allow_add(&methods, "OPTIONS");
		*allow = req_strdup(rq, methods.data, methods.len);
		if (*allow == NULL)
			*allow = "GET";
	}
	buf_fini(&methods);
	return NULL;
}

/* No route has path and method. */
static int
route_none(struct req *rq, struct rsp *rs, const char *allow)
{
	if (allow[0] == '\0')
		return rsp_error(rs, 404, "not_found", NULL);
	rsp_header(rs, "Allow", "%s", allow);
	if (req_is(rq, "OPTIONS"))
		return rsp_empty(rs, 204);
	return rsp_error(rs, 405, "method_not_allowed", NULL);
}

/* Fetch and parse the body.  0, or the status of the error answered. */
static int
route_body(struct req *rq, struct rsp *rs,
    int (*read_body)(struct req *, size_t, struct buf *), struct buf *body)
{
	const struct route *rt = rq->route;
	const char *code = "bad_request", *said;
	size_t max = rt->body_max;
	int status = 0;
	int64_t n;

	if ((rt->flags & ROUTE_STREAM) != 0)
		max = (size_t)rq->cf->file_bytes_max + STREAM_AROUND_BYTES;
	else if ((rt->flags & (ROUTE_FORM | ROUTE_RAW)) == 0 &&
		 max > (size_t)rq->cf->json_bytes_max)
		max = (size_t)rq->cf->json_bytes_max;
	said = req_header(rq, "Content-Length");
	if (said != NULL && said[0] != '\0') {
		if (id_number(said, strlen(said), 0, INT64_MAX, &n) == -1)
			return rsp_error(rs, 400, code, NULL);
		/* Refused before it is read. */
		if (max > 0 && n > (int64_t)max)
			return rsp_error(rs, 413, "too_large", NULL);
	}
	if (max == 0 || (rt->flags & ROUTE_STREAM) != 0)
		return 0;
	switch (read_body(rq, max, body)) {
	case 0:
		break;
	case -1:
		return rsp_error(rs, 413, "too_large", NULL);
	default:
		/* Shorter than it said, or no memory: never half a message. */
		return rsp_error(rs, 400, code, NULL);
	}
	if (!req_is(rq, "GET") && !req_is(rq, "HEAD"))
		status = req_body(rq, body->data, body->len, &code);
	return status != 0 ? rsp_error(rs, status, code, NULL) : 0;
}

int
route_run(const struct route *routes, size_t n, struct req *rq, struct rsp *rs,
    int (*read_body)(struct req *, size_t, struct buf *), struct buf *body)
{
	const char *allow, *code = "unauthenticated";
	int64_t wait_s = 0;
	int status;

	if ((rq->route = route_find(routes, n, rq, &allow)) == NULL)
		return route_none(rq, rs, allow);
	if (!req_query_good(rq))
		return rsp_error(rs, 400, "bad_request", NULL);
	if ((rq->route->flags & ROUTE_NODB) == 0 && req_store(rq) == NULL)
		return rsp_error(rs, 503, "busy", NULL);
	if ((status = auth_request(rq, &code, &wait_s)) != 0) {
		if (status == 429)
			return rsp_retry(rs, 429, code, wait_s);
		return rsp_error(rs, status, code, NULL);
	}
	if ((status = route_body(rq, rs, read_body, body)) != 0)
		return status;
	if ((rq->route->flags & (ROUTE_STREAM | ROUTE_FORM)) !=
		(ROUTE_STREAM | ROUTE_FORM) &&
	    (status = auth_csrf(rq, &code)) != 0)
		return rsp_error(rs, status, code, NULL);
	seen_tidy(rq);
	status = rq->route->handler(rq, rs);
	if (rs->status == 0) {
		log_error(
		    "route handler of %s gave no answer", rq->route->path);
		status = rsp_error(rs, 500, "internal", NULL);
	}
	return status;
}
