#ifndef PARLEY_ROUTE_H
#define PARLEY_ROUTE_H

/* Method and path to handler, who may, and how much they may send. */

#include "req.h"
#include "rsp.h"

#include <stddef.h>

/* Who may call; nobody of these: 401, or 403 for another kind. */
#define WHO_ANY 1u       /* everybody, known or not */
#define WHO_AGENT 2u     /* agents and admins */
#define WHO_ADMIN 4u     /* admins only */
#define WHO_CUST 8u      /* customers */
#define WHO_INTERNAL 16u /* pushd alone; 404 for others */
#define WHO_MEMBER (WHO_AGENT | WHO_CUST)

/*
 * ROUTE_FORM	takes application/x-www-form-urlencoded (with a `csrf` field),
 *		and JSON too where the method is not GET.
 * ROUTE_RAW	takes any body as it is; no CSRF field is looked for in it.
 * ROUTE_PAGE	answers HTML: errors are pages, 401 redirects to /login.
 * ROUTE_NODB	the store is not opened before the handler asks (req_store);
 *		who asks is known by the credential's signature alone.
 * ROUTE_OPEN	reads another site's page may make without credentials and
 *		unsafe methods without Origin check (webhooks).
 * ROUTE_PROVEN	the body proves where it is from: counted by what it names, and
 *		not against its sender's address, which may speak for many.
 * ROUTE_HERE	who asks for this is there (seen.h).
 * ROUTE_STREAM	the handler reads the body itself, as it comes (req_more), up to
 *		file_bytes_max and what surrounds it; with ROUTE_FORM it is a
 *		form, and the handler checks its CSRF field (auth_csrf).
 */
#define ROUTE_FORM 1u
#define ROUTE_RAW 2u
#define ROUTE_PAGE 4u
#define ROUTE_NODB 8u
#define ROUTE_OPEN 16u
#define ROUTE_PROVEN 32u
#define ROUTE_HERE 64u
#define ROUTE_STREAM 128u

struct route {
	const char *method; /* GET serves HEAD too */
	const char *path;   /* "/api/conversations/:id/messages" */
	unsigned who;
	size_t body_max; /* bytes; 0: takes none (what comes is dropped) */
	int (*handler)(struct req *, struct rsp *); /* answers the status */
	unsigned flags;
};

/*
 * route_run(routes, n, rq, rs, read_body, body):
 * Everything between a parsed head and a finished answer: OPTIONS, 404, 405,
 * limits, authentication, body, handler.  ${read_body} fetches at most
 * ${max} bytes of body into ${body} (-1: too large; -2: shorter than it said).
 * Returns the status.
 */
int route_run(const struct route *routes, size_t n, struct req *rq,
    struct rsp *rs, int (*read_body)(struct req *, size_t max, struct buf *out),
    struct buf *body);

#endif
