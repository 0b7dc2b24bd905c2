/*
 * Who asks, whether they may, and whether a page of ours made them ask.
 */

#include "auth.h"

#include "clock.h"
#include "cred.h"
#include "origin.h"
#include "rate.h"
#include "route.h"
#include "store.h"
#include "token.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* What the store's failure is for the asker. */
static int
auth_failed(struct store *st, const char **code)
{
	switch (store_trouble(st)) {
	case STORE_BUSY:
		*code = "busy";
		return 503;
	case STORE_NO_SPACE:
		*code = "no_space";
		return 503;
	default:
		*code = "internal";
		return 500;
	}
}

int
auth_identify(struct store *st, const struct conf *cf, const struct cred *c,
    struct who *w, const char **code)
{
	struct shown sh;
	int rc;

	*code = "unauthenticated";
	if (c->ref != NULL) {
		rc = cred_ref(st, cf, c->ref, w);
	} else {
		rc = cred_read(cf, c, false, clock_now_ms(), w, &sh);
		if (rc != CRED_GOOD)
			return 401;
		/* A cookie travels with any site's request. */
		if (w->via == 'c' && c->origin != NULL &&
		    origin_check(c->origin, cf->cors_origins, cf->base_url,
			c->host,
			cred_secure(cf, c->host, c->https)) < ORIGIN_LISTED) {
			*code = "bad_origin";
			return 403;
		}
		rc = cred_confirm(st, cf, w, &sh);
		sodium_memzero(&sh, sizeof(sh));
	}
	if (rc == STORE_FAILED)
		return auth_failed(st, code);
	if (rc != STORE_DONE) {
		memset(w, 0, sizeof(*w));
		return 401;
	}
	return 0;
}

/* The credentials of the request. */
static void
req_cred(struct req *rq, struct cred *c)
{
	memset(c, 0, sizeof(*c));
	c->authorization = req_header(rq, "Authorization");
	if (rq->cf->url_tokens) {
		c->token = req_query(rq, "token", NULL);
		c->session = req_query(rq, "session", NULL);
	}
	c->cookie = req_header(rq, "Cookie");
	c->host = rq->host;
	c->https = rq->https;
	c->addr = rq->addr;
}

/* Whether the request comes from pushd: it alone has the key. */
static bool
from_pushd(struct req *rq)
{
	const char *key = req_param(rq, "PARLEY_INTERNAL");

	return key != NULL && rq->cf->internal_key[0] != '\0' &&
	       token_equal(key, strlen(key), rq->cf->internal_key,
		   strlen(rq->cf->internal_key));
}

/* pushd asks for itself or for somebody. */
static int
auth_internal(struct req *rq, const char **code)
{
	const char *ref = req_param(rq, "PARLEY_AS");
	struct store *st;

	if (ref == NULL || ref[0] == '\0') {
		rq->who.kind = WHO_PUSHD;
		rq->who.via = 'i';
		return 0;
	}
	*code = "busy";
	if ((st = req_store(rq)) == NULL)
		return 503;
	switch (cred_ref(st, rq->cf, ref, &rq->who)) {
	case STORE_DONE:
		return 0;
	case STORE_FAILED:
		return auth_failed(st, code);
	default:
		memset(&rq->who, 0, sizeof(rq->who));
		*code = "unauthenticated";
		return 401;
	}
}

/* Whether who asks may call the route. */
static int
may_call(const struct req *rq, const char **code)
{
	unsigned need = rq->route->who;
	const struct who *w = &rq->who;

	if ((need & WHO_INTERNAL) != 0) {
		*code = "not_found";
		return w->kind == WHO_PUSHD ? 0 : 404;
	}
	if ((need & WHO_ANY) != 0)
		return 0;
	if (w->kind == WHO_USER &&
	    ((need & WHO_AGENT) != 0 || ((need & WHO_ADMIN) != 0 && w->admin)))
		return 0;
	if (w->kind == WHO_CUSTOMER && (need & WHO_CUST) != 0)
		return 0;
	/* A visitor who opens an agents' page may be an agent not logged in. */
	if (w->kind == WHO_NOBODY ||
	    (w->kind == WHO_CUSTOMER && (rq->route->flags & ROUTE_PAGE) != 0)) {
		*code = "unauthenticated";
		return 401;
	}
	*code = "forbidden";
	return 403;
}

int
auth_confirm(struct req *rq, const char **code)
{
	struct store *st;
	struct shown sh;
	struct cred c;
	bool customer = rq->who.kind == WHO_CUSTOMER;
	int rc;

	if (rq->who.confirmed || rq->who.kind == WHO_PUSHD)
		return 0;
	*code = "busy";
	if ((st = req_store(rq)) == NULL)
		return 503;
	req_cred(rq, &c);
	*code = "unauthenticated";
	if (cred_read(rq->cf, &c, customer, rq->now_ms, &rq->who, &sh) !=
	    CRED_GOOD)
		return 401;
	rc = cred_confirm(st, rq->cf, &rq->who, &sh);
	sodium_memzero(&sh, sizeof(sh));
	if (rc == STORE_DONE)
		return 0;
	memset(&rq->who, 0, sizeof(rq->who));
	return rc == STORE_FAILED ? auth_failed(st, code) : 401;
}

int
auth_request(struct req *rq, const char **code, int64_t *wait_s)
{
	unsigned need = rq->route->who;
	bool customer = (need & WHO_CUST) != 0 && (need & WHO_AGENT) == 0;
	struct shown sh;
	struct cred c;
	int status;

	if (from_pushd(rq)) {
		if ((status = auth_internal(rq, code)) != 0)
			return status;
	} else {
		req_cred(rq, &c);
		(void)cred_read(
		    rq->cf, &c, customer, rq->now_ms, &rq->who, &sh);
		sodium_memzero(&sh, sizeof(sh));
	}
	/* Counted before the database hears of it. */
	*wait_s = (rq->route->flags & ROUTE_PROVEN) != 0
		      ? 0
		      : rate_take(rq,
			    rq->who.kind == WHO_NOBODY || rq->who.ref[0] == '\0'
				? RATE_ADDRESS
				: RATE_CREDENTIAL,
			    0);
	if (*wait_s > 0) {
		*code = "rate_limited";
		return 429;
	}
	if (rq->who.kind != WHO_NOBODY && !rq->who.confirmed &&
	    ((rq->route->flags & ROUTE_NODB) == 0 || rq->who.id == 0 ||
		(need & WHO_ADMIN) != 0)) {
		status = auth_confirm(rq, code);
		if (status != 0 && (status != 401 || (need & WHO_ANY) == 0))
			return status;
	}
	return may_call(rq, code);
}

/* CSRF. */

bool
auth_secure(const struct req *rq)
{
	return cred_secure(rq->cf, rq->host, rq->https);
}

/* The secret of a browser where nobody is known, or NULL. */
static const char *
form_cookie(struct req *rq)
{
	unsigned char raw[32];
	const char *v;

	v = req_cookie(rq,
	    auth_secure(rq) ? "__Host-" AUTH_COOKIE_FORM : AUTH_COOKIE_FORM);
	if (v == NULL || token_unb64(v, strlen(v), raw, sizeof(raw)) != 32)
		return NULL;
	return v;
}

/*
 * What the browser says of the page that asks.  A browser sends `Origin: null`
 * with forms of pages that have `Referrer-Policy: no-referrer`, as ours do:
 * then, and where there is no Origin, Sec-Fetch-Site speaks; browsers that send
 * neither are held by the token alone.
 */
static bool
origin_good(const struct req *rq, enum origin least)
{
	const char *origin = req_header(rq, "Origin"), *site;

	if (origin != NULL && origin[0] != '\0' && strcmp(origin, "null") != 0)
		return origin_check(origin, rq->cf->cors_origins,
			   rq->cf->base_url, rq->host, rq->https) >= least;
	site = req_header(rq, "Sec-Fetch-Site");
	return site == NULL || strcmp(site, "same-origin") == 0 ||
	       strcmp(site, "none") == 0;
}

int
auth_csrf(struct req *rq, const char **code)
{
	const struct who *w = &rq->who;
	const char *sent, *secret;
	char good[TOKEN_SIZE];
	bool form = rq->form_fields != NULL;

	if (req_is(rq, "GET") || req_is(rq, "HEAD") ||
	    (rq->route->flags & ROUTE_OPEN) != 0)
		return 0;
	/* Credentials that a browser does not add by itself. */
	if (w->kind != WHO_NOBODY && w->via != 'c')
		return 0;
	*code = "bad_origin";
	if (w->kind == WHO_NOBODY && !form)
		return origin_good(rq, ORIGIN_ANY) ? 0 : 403;
	if (!origin_good(rq, ORIGIN_OURS))
		return 403;
	*code = "csrf";
	if ((sent = req_header(rq, "X-CSRF-Token")) == NULL)
		sent = req_form(rq, "csrf", NULL);
	if (sent == NULL)
		return 403;
	if (w->kind == WHO_NOBODY) {
		if ((secret = form_cookie(rq)) == NULL)
			return 403;
		token_mac(rq->cf, "form", secret, strlen(secret), good);
		memcpy(rq->who.csrf, good, sizeof(good));
	} else {
		memcpy(good, w->csrf, sizeof(good));
	}
	if (token_equal(sent, strlen(sent), good, strlen(good)))
		return 0;
	/* A form from before the session began, pressed once more. */
	if ((rq->route->who & WHO_ANY) == 0 ||
	    (secret = form_cookie(rq)) == NULL)
		return 403;
	token_mac(rq->cf, "form", secret, strlen(secret), good);
	return token_equal(sent, strlen(sent), good, strlen(good)) ? 0 : 403;
}

void
auth_form(struct req *rq, struct rsp *rs)
{
	const char *secret;
	char fresh[TOKEN_SIZE];

	if (rq->who.csrf[0] != '\0')
		return;
	if ((secret = form_cookie(rq)) == NULL) {
		token_new(fresh);
		rsp_cookie(rs, AUTH_COOKIE_FORM, fresh, 0);
		secret = fresh;
	}
	token_mac(rq->cf, "form", secret, strlen(secret), rq->who.csrf);
}

const char *
auth_customer_token(struct req *rq)
{
	return req_cookie(rq,
	    auth_secure(rq) ? "__Host-" AUTH_COOKIE_CUST : AUTH_COOKIE_CUST);
}

bool
auth_customer_cookie(struct req *rq, struct who *who)
{
	const char *token = auth_customer_token(rq), *code;
	struct cred c = { .addr = rq->addr, .https = rq->https };
	char bearer[TOKEN_TEXT_SIZE + 8];

	if (token == NULL || strlen(token) >= TOKEN_TEXT_SIZE)
		return false;
	snprintf(bearer, sizeof(bearer), "Bearer %s", token);
	c.authorization = bearer;
	return auth_identify(rq->st, rq->cf, &c, who, &code) == 0 &&
	       who->kind == WHO_CUSTOMER;
}
