/*
 * Who asks, and whether a page of ours made them ask.  A credential is proved
 * first by its signature, without the database; then the database confirms
 * that it still counts.
 */

#include "auth.h"

#include "log.h"
#include "origin.h"
#include "rate.h"
#include "route.h"
#include "store.h"
#include "store_session.h"
#include "store_setting.h"
#include "store_user.h"

#include "clock.h"
#include "id.h"

#include <ctype.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define AUDIENCE "parley"

/* A credential read and proved, before the database was asked. */
struct shown {
	enum { SHOWN_SESSION, SHOWN_KEY, SHOWN_INTEGRATOR } kind;
	char secret[TOKEN_SIZE]; /* of a cookie or API key; "" if none */
	bool lesser;             /* the token says agent: never admin */
	struct jwt jwt;          /* of an integrator */
};

/* Answers of cred_read and its like. */
enum { CRED_BAD = -1, CRED_NONE = 0, CRED_GOOD = 1 };

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

/* Credentials, read and proved. */

static void
who_ref(struct who *w)
{
	char kind = w->via == 'k' ? 'k' : w->kind == WHO_CUSTOMER ? 'c' : 'u';

	(void)snprintf(w->ref, sizeof(w->ref), "%c:%lld:%lld", kind,
	    (long long)w->id, (long long)w->session);
}

/* A token of ours that proves itself. */
static int
token_shown(const struct conf *cf, const char *p, size_t len, int64_t now_ms,
    struct who *w, struct shown *sh)
{
	struct token t;
	int rc;

	if ((rc = token_read(cf, p, len, &t)) != 1)
		return rc;
	w->id = t.owner;
	w->session = t.session;
	switch (t.kind) {
	case TOKEN_CUSTOMER:
		w->kind = WHO_CUSTOMER;
		w->expires_at =
		    t.exp > CURSOR_MAX / 1000 ? CURSOR_MAX : t.exp * 1000;
		sh->kind = SHOWN_SESSION;
		if (now_ms >= w->expires_at)
			return CRED_BAD;
		break;
	case TOKEN_COOKIE:
		/* A cookie's value is good in the cookie alone. */
		if (w->via != 'c')
			return CRED_BAD;
		w->kind = WHO_USER;
		sh->kind = SHOWN_SESSION;
		memcpy(sh->secret, t.secret, sizeof(t.secret));
		break;
	default:
		w->kind = WHO_USER;
		w->via = 'k';
		sh->kind = SHOWN_KEY;
		memcpy(sh->secret, t.secret, sizeof(t.secret));
		break;
	}
	who_ref(w);
	return CRED_GOOD;
}

/* A JWT, signed by us or by the integrator's server. */
static int
jwt_shown(const struct conf *cf, const char *p, size_t len, int64_t now_ms,
    struct who *w, struct shown *sh)
{
	struct jwt *j = &sh->jwt;

	if (jwt_verify(cf->jwt_key, strlen(cf->jwt_key), p, len, now_ms / 1000,
		j) == 0) {
		/* Without a session there would be no end to it. */
		if (j->user_id == 0 || j->session == 0 ||
		    (j->aud[0] != '\0' && strcmp(j->aud, AUDIENCE) != 0))
			return CRED_BAD;
		sh->kind = SHOWN_SESSION;
		sh->lesser = strcmp(j->role, "admin") != 0;
		w->kind =
		    strcmp(j->role, "customer") == 0 ? WHO_CUSTOMER : WHO_USER;
		w->id = j->user_id;
		w->session = j->session;
		w->expires_at = j->exp * 1000;
		who_ref(w);
		return CRED_GOOD;
	}
	if (cf->integrator_key[0] == '\0' ||
	    jwt_verify(cf->integrator_key, strlen(cf->integrator_key), p, len,
		now_ms / 1000, j) == -1)
		return CRED_BAD;
	if (cf->integrator_audience[0] != '\0' &&
	    strcmp(cf->integrator_audience, j->aud) != 0)
		return CRED_BAD;
	/* A token for less than an agent never becomes one. */
	if (j->role[0] != '\0' && strcmp(j->role, "agent") != 0 &&
	    strcmp(j->role, "admin") != 0)
		return CRED_BAD;
	sh->kind = SHOWN_INTEGRATOR;
	sh->lesser = strcmp(cf->integrator_role, "admin") != 0 ||
		     strcmp(j->role, "admin") != 0;
	w->kind = WHO_USER;
	w->expires_at = j->exp * 1000;
	/* For its rate, until the database gives it an id. */
	(void)snprintf(w->ref, sizeof(w->ref), "i:%.60s", j->user);
	return CRED_GOOD;
}

static int
text_shown(const struct conf *cf, const char *p, char via, int64_t now_ms,
    struct who *w, struct shown *sh)
{
	size_t len = strlen(p);
	int rc;

	w->via = via;
	if ((rc = token_shown(cf, p, len, now_ms, w, sh)) != 0)
		return rc;
	return jwt_shown(cf, p, len, now_ms, w, sh);
}

/* The token behind "Bearer", or NULL. */
static const char *
bearer(const char *authorization)
{
	if (authorization == NULL ||
	    strncasecmp(authorization, "Bearer", 6) != 0 ||
	    (authorization[6] != ' ' && authorization[6] != '\0'))
		return NULL;
	authorization += 6;
	return authorization + strspn(authorization, " ");
}

/* Whether Host is this machine: localhost, 127.x or [::1]. */
static bool
host_loopback(const char *host)
{
	size_t n;

	if (host == NULL)
		return false;
	n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	return (n == 9 && strncasecmp(host, "localhost", 9) == 0) ||
	       (n > 10 && strncasecmp(host + n - 10, ".localhost", 10) == 0) ||
	       (n >= 7 && strncmp(host, "127.", 4) == 0 &&
		   strspn(host, "0123456789.") >= n) ||
	       (n == 5 && strncmp(host, "[::1]", 5) == 0);
}

static bool
secure(const struct conf *cf, const char *host, bool https)
{
	if (https || strncmp(cf->base_url, "https:", 6) == 0)
		return true;
	return !cf->allow_http && !host_loopback(host);
}

bool
auth_secure(const struct req *rq)
{
	return secure(rq->cf, rq->host, rq->https);
}

/* The cookies of a header, for a look at a few names. */
struct jar {
	char text[8192 + 2];
	struct req_field f[COOKIES_MAX];
	size_t n;
};

static void
jar_read(struct jar *j, const char *header)
{
	size_t len = strlen(header);
	int n = 0;

	if (len < sizeof(j->text) - 1)
		n = req_parse_cookies(header, len, j->text, j->f, COOKIES_MAX);
	j->n = n > 0 ? (size_t)n : 0;
}

static const char *
jar_find(const struct jar *j, const char *prefix, const char *name)
{
	size_t n = strlen(prefix), i;

	for (i = 0; i < j->n; i++)
		if (strncmp(j->f[i].name, prefix, n) == 0 &&
		    strcmp(j->f[i].name + n, name) == 0 &&
		    j->f[i].value_len > 0)
			return j->f[i].value;
	return NULL;
}

/*
 * Who the cookies show; a customer's before a user's if ${customer}.  A cookie
 * that is worth nothing does not hide a good one behind it.
 */
static int
cookie_shown(const struct conf *cf, const struct cred *c, bool customer,
    int64_t now_ms, struct who *w, struct shown *sh)
{
	static const char *const names[2][3] = {
		{ AUTH_COOKIE, AUTH_COOKIE_CUST, "auth_token" },
		{ AUTH_COOKIE_CUST, AUTH_COOKIE, "auth_token" },
	};
	const char *prefix = secure(cf, c->host, c->https) ? "__Host-" : "";
	char text[TOKEN_SIZE + REF_BYTES_MAX + 8];
	int rc, last = CRED_NONE, n;
	const char *v;
	struct jar j;
	size_t i;

	if (c->cookie == NULL)
		return CRED_NONE;
	jar_read(&j, c->cookie);
	for (i = 0; i < 3; i++) {
		v = jar_find(&j, i < 2 ? prefix : "", names[customer][i]);
		if (v == NULL)
			continue;
		memset(w, 0, sizeof(*w));
		memset(sh, 0, sizeof(*sh));
		rc = text_shown(cf, v, 'c', now_ms, w, sh);
		/* The cookie of a kind holds that kind and no other. */
		if (rc == CRED_GOOD && i < 2 &&
		    (w->kind == WHO_CUSTOMER) !=
			(strcmp(names[customer][i], AUTH_COOKIE_CUST) == 0))
			rc = CRED_BAD;
		last = rc;
		if (rc == CRED_GOOD)
			break;
	}
	if (last == CRED_GOOD) {
		w->via = 'c'; /* an API key too, where it came in a cookie */
		n = snprintf(text, sizeof(text), "%s.%s", w->ref, sh->secret);
		token_mac(cf, "csrf", text, (size_t)n, w->csrf);
	}
	return last;
}

/* Whatever ${c} shows, in the order of precedence. */
static int
cred_read(const struct conf *cf, const struct cred *c, bool customer,
    int64_t now_ms, struct who *w, struct shown *sh)
{
	const char *t;
	int rc;

	memset(w, 0, sizeof(*w));
	memset(sh, 0, sizeof(*sh));
	if ((t = bearer(c->authorization)) != NULL)
		rc = text_shown(cf, t, 'b', now_ms, w, sh);
	else if (cf->url_tokens && c->token != NULL && c->token[0] != '\0')
		rc = text_shown(cf, c->token, 'q', now_ms, w, sh);
	else if (cf->url_tokens && c->session != NULL && c->session[0] != '\0')
		rc = text_shown(cf, c->session, 'q', now_ms, w, sh);
	else
		rc = cookie_shown(cf, c, customer, now_ms, w, sh);
	if (rc != CRED_GOOD)
		memset(w, 0, sizeof(*w));
	return rc;
}

/* What the database says. */

static void
who_named(struct who *w, const char *name, const char *locale, bool admin)
{
	(void)snprintf(w->name, sizeof(w->name), "%s", name);
	(void)snprintf(w->locale, sizeof(w->locale), "%.7s", locale);
	w->admin = admin;
	w->confirmed = true;
}

/* Whether session ${s} counts still. */
static bool
session_lives(const struct conf *cf, const struct session *s, int64_t now_ms)
{
	if (s->ended_at != 0 || s->gone ||
	    (s->expires_at != 0 && now_ms >= s->expires_at))
		return false;
	return s->user == 0 || now_ms < s->seen_at + cf->session_idle_s * 1000;
}

static int
confirm_session(
    struct store *st, const struct conf *cf, struct who *w, const char *secret)
{
	char hash[TOKEN_HASH_SIZE];
	int64_t now_ms = clock_now_ms();
	struct session s;
	int rc;

	if ((rc = store_session_get(st, w->session, &s)) != STORE_DONE)
		return rc;
	if ((w->kind == WHO_CUSTOMER ? s.customer : s.user) != w->id ||
	    !session_lives(cf, &s, now_ms))
		return STORE_NONE;
	if (secret[0] != '\0') {
		token_hash(secret, strlen(secret), hash);
		if (!token_equal(hash, strlen(hash), s.hash, strlen(s.hash)))
			return STORE_NONE;
	}
	who_named(w, s.name, s.locale, w->kind == WHO_USER && s.admin);
	if (w->expires_at == 0 ||
	    (s.expires_at != 0 && s.expires_at < w->expires_at))
		w->expires_at = s.expires_at;
	/* A write that fails costs a minute of idle time, not the request. */
	(void)store_session_touch(st, &s);
	return STORE_DONE;
}

static int
confirm_user(struct store *st, struct who *w)
{
	struct user u;
	int rc;

	if ((rc = store_user_by_id(st, w->id, &u)) != STORE_DONE)
		return rc;
	sodium_memzero(u.password, sizeof(u.password));
	if (u.disabled)
		return STORE_NONE;
	who_named(w, u.name, u.locale, u.admin);
	return STORE_DONE;
}

static int
confirm_key(struct store *st, struct who *w, const char *secret)
{
	char hash[TOKEN_HASH_SIZE];
	int64_t id, user;
	int rc;

	if (secret[0] != '\0') {
		token_hash(secret, strlen(secret), hash);
		rc = store_key_find(st, hash, &id, &user);
		if (rc == STORE_DONE && (id != w->session || user != w->id))
			rc = STORE_NONE;
	} else {
		rc = store_key_get(st, w->session, w->id);
	}
	return rc == STORE_DONE ? confirm_user(st, w) : rc;
}

/*
 * The name under which an integrator's user has its row: an address that can
 * receive nothing, one for each userId, whatever its letters.
 */
static void
integrator_email(const char *id, char out[EMAIL_BYTES_MAX + 1])
{
	size_t n = strlen(id), i;
	char hex[2 * REF_BYTES_MAX + 1];
	bool plain = true;

	for (i = 0; i < n; i++)
		if (!(islower((unsigned char)id[i]) ||
			isdigit((unsigned char)id[i]) || id[i] == '-'))
			plain = false;
	if (plain) {
		(void)snprintf(
		    out, EMAIL_BYTES_MAX + 1, "u.%s@integrator.invalid", id);
		return;
	}
	(void)sodium_bin2hex(hex, sizeof(hex), (const unsigned char *)id, n);
	(void)snprintf(
	    out, EMAIL_BYTES_MAX + 1, "x.%s@integrator.invalid", hex);
}

/* The user of an integrator's token, made at its first use. */
static int
confirm_integrator(struct store *st, struct who *w, const struct shown *sh)
{
	struct user u;
	char email[EMAIL_BYTES_MAX + 1];
	int rc;

	integrator_email(sh->jwt.user, email);
	rc = store_user_by_email(st, email, &u);
	if (rc == STORE_NONE) {
		memset(&u, 0, sizeof(u));
		memcpy(u.email, email, sizeof(email));
		(void)snprintf(u.name, sizeof(u.name), "%s",
		    sh->jwt.name[0] != '\0' ? sh->jwt.name : sh->jwt.user);
		rc = store_user_add(st, &u);
		/* Another process was first. */
		if (rc == STORE_REFUSED)
			rc = store_user_by_email(st, email, &u);
	}
	if (rc != STORE_DONE)
		return rc;
	if (u.disabled)
		return STORE_NONE;
	w->id = u.id;
	/* The role is the token's, within the setting; the row's is agent. */
	who_named(w, u.name, u.locale, !sh->lesser);
	(void)snprintf(w->ref, sizeof(w->ref), "i:%lld:%s:%lld",
	    (long long)u.id, sh->lesser ? "agent" : "admin",
	    (long long)sh->jwt.exp);
	return STORE_DONE;
}

/* STORE_DONE: still so; STORE_NONE: no more; STORE_FAILED. */
static int
confirm(struct store *st, const struct conf *cf, struct who *w,
    const struct shown *sh)
{
	int rc;

	switch (sh->kind) {
	case SHOWN_SESSION:
		rc = confirm_session(st, cf, w, sh->secret);
		break;
	case SHOWN_KEY:
		rc = confirm_key(st, w, sh->secret);
		break;
	default:
		rc = confirm_integrator(st, w, sh);
		break;
	}
	if (rc == STORE_DONE && sh->kind == SHOWN_SESSION && sh->lesser)
		w->admin = false;
	return rc;
}

/* Cut the part before the next colon off ${*p}. */
static size_t
ref_part(const char **p, const char **from)
{
	size_t n = strcspn(*p, ":");

	*from = *p;
	*p += n;
	if (**p == ':')
		(*p)++;
	return n;
}

int
auth_ref(
    struct store *st, const struct conf *cf, const char *ref, struct who *w)
{
	const char *p = ref, *from;
	char kind = ref[0];
	bool admin;
	int rc;
	size_t n;

	memset(w, 0, sizeof(*w));
	if (strlen(ref) >= sizeof(w->ref) || ref[0] == '\0' || ref[1] != ':')
		return STORE_NONE;
	w->via = 'i';
	p += 2;
	n = ref_part(&p, &from);
	if ((w->id = id_parse(from, n)) == 0)
		return STORE_NONE;
	w->kind = kind == 'c' ? WHO_CUSTOMER : WHO_USER;
	n = ref_part(&p, &from);
	(void)snprintf(w->ref, sizeof(w->ref), "%s", ref);
	if (kind == 'i') {
		admin = n == 5 && memcmp(from, "admin", 5) == 0 &&
			strcmp(cf->integrator_role, "admin") == 0;
		n = ref_part(&p, &from);
		w->expires_at = id_parse(from, n) * 1000;
		if (cf->integrator_key[0] == '\0' ||
		    clock_now_ms() >=
			w->expires_at + JWT_LEEWAY_S * INT64_C(1000))
			return STORE_NONE;
		if ((rc = confirm_user(st, w)) == STORE_DONE)
			w->admin = admin;
		return rc;
	}
	if ((w->session = id_parse(from, n)) == 0 || *p != '\0')
		return STORE_NONE;
	switch (kind) {
	case 'u':
	case 'c':
		return confirm_session(st, cf, w, "");
	case 'k':
		return confirm_key(st, w, "");
	default:
		return STORE_NONE;
	}
}

/* The doors. */

int
auth_identify(struct store *st, const struct conf *cf, const struct cred *c,
    struct who *w, const char **code)
{
	struct shown sh;
	int rc;

	*code = "unauthenticated";
	if (c->ref != NULL) {
		rc = auth_ref(st, cf, c->ref, w);
	} else {
		rc = cred_read(cf, c, false, clock_now_ms(), w, &sh);
		if (rc != CRED_GOOD)
			return 401;
		/* A cookie travels with any site's request. */
		if (w->via == 'c' && c->origin != NULL &&
		    origin_check(c->origin, cf->cors_origins, cf->base_url,
			c->host,
			secure(cf, c->host, c->https)) < ORIGIN_LISTED) {
			*code = "bad_origin";
			return 403;
		}
		rc = confirm(st, cf, w, &sh);
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
	switch (auth_ref(st, rq->cf, ref, &rq->who)) {
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
	rc = confirm(st, rq->cf, &rq->who, &sh);
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

/* Sessions. */

static void
session_jwt(const struct conf *cf, int64_t user, const char *name, bool admin,
    int64_t now_ms, struct auth_session *s)
{
	struct jwt j = { .user_id = user, .session = s->id };

	j.iat = now_ms / 1000;
	j.exp = j.iat + cf->token_life_s;
	if (s->expires_at != 0 && j.exp * 1000 > s->expires_at)
		j.exp = s->expires_at / 1000;
	(void)snprintf(j.role, sizeof(j.role), "%s", admin ? "admin" : "agent");
	(void)snprintf(j.name, sizeof(j.name), "%s", name);
	(void)snprintf(j.aud, sizeof(j.aud), "%s", AUDIENCE);
	s->token_expires_at = j.exp * 1000;
	if (jwt_sign(cf->jwt_key, strlen(cf->jwt_key), &j, s->token) == 0)
		s->token[0] = '\0';
}

/* Begin a session of ${u}, who was asked for already. */
static int
session_begin(struct store *st, const struct conf *cf, const struct user *u,
    const char *via, struct auth_session *s)
{
	struct token t = { .kind = TOKEN_COOKIE, .owner = u->id };
	char text[TOKEN_SIZE + REF_BYTES_MAX + 8];
	int64_t now_ms = clock_now_ms();
	struct session row;
	int rc, n;

	memset(s, 0, sizeof(*s));
	memset(&row, 0, sizeof(row));
	token_new(t.secret);
	token_hash(t.secret, strlen(t.secret), row.hash);
	row.user = u->id;
	(void)snprintf(row.via, sizeof(row.via), "%.11s", via);
	row.expires_at = now_ms + cf->session_life_s * 1000;
	if ((rc = store_session_add(st, &row)) != STORE_DONE)
		return rc == STORE_FAILED ? -1 : 0;
	t.session = s->id = row.id;
	s->user = u->id;
	s->expires_at = row.expires_at;
	token_write(cf, &t, s->cookie);
	n = snprintf(text, sizeof(text), "u:%lld:%lld.%s", (long long)u->id,
	    (long long)row.id, t.secret);
	token_mac(cf, "csrf", text, (size_t)n, s->csrf);
	session_jwt(cf, u->id, u->name, u->admin, now_ms, s);
	sodium_memzero(&t, sizeof(t));
	sodium_memzero(text, sizeof(text));
	return 1;
}

int
auth_session_new(struct store *st, const struct conf *cf, int64_t user,
    const char *addr, const char *agent, struct auth_session *s)
{
	struct user u;
	int rc;

	(void)addr;
	if ((rc = store_user_by_id(st, user, &u)) == STORE_DONE) {
		sodium_memzero(u.password, sizeof(u.password));
		rc = u.disabled ? 0
				: session_begin(st, cf, &u,
				      agent != NULL ? agent : "", s);
	}
	return rc;
}

int
auth_token(struct req *rq, struct auth_session *s)
{
	memset(s, 0, sizeof(*s));
	if (rq->who.kind != WHO_USER || rq->who.session == 0 ||
	    rq->who.via == 'k')
		return 0;
	s->id = rq->who.session;
	s->user = rq->who.id;
	/* Of the cookie the session's own end; of a token its session's. */
	s->expires_at = rq->who.via == 'c' ? rq->who.expires_at : 0;
	if (s->expires_at == 0) {
		struct session row;
		int rc = store_session_get(rq->st, s->id, &row);

		if (rc != STORE_DONE)
			return rc == STORE_FAILED ? -1 : 0;
		s->expires_at = row.expires_at;
	}
	session_jwt(
	    rq->cf, s->user, rq->who.name, rq->who.admin, rq->now_ms, s);
	return 1;
}

void
auth_cookie_set(struct rsp *rs, const struct auth_session *s)
{
	int64_t age = (s->expires_at - clock_now_ms()) / 1000;

	rsp_cookie(rs, AUTH_COOKIE, s->cookie, age > 0 ? age : 1);
}

void
auth_cookie_clear(struct rsp *rs)
{
	rsp_cookie(rs, AUTH_COOKIE, "", -1);
	rsp_cookie(rs, AUTH_COOKIE_CUST, "", -1);
}

/* Log-in. */

/* Note it in the audit log; its failing is logged and costs nothing more. */
static void
login_audit(struct req *rq, const char *action, int64_t user)
{
	struct who w = { .kind = WHO_NOBODY };
	char object[32];

	if (user != 0) {
		w.kind = WHO_USER;
		w.id = user;
	}
	(void)snprintf(object, sizeof(object), "user:%lld", (long long)user);
	if (store_audit(rq->st, &w, rq->addr, action, user != 0 ? object : NULL,
		NULL) == STORE_FAILED)
		log_warn("auth audit action=%s not written", action);
}

/* A good password made with lesser settings is hashed anew. */
static void
login_rehash(struct req *rq, const struct user *u, const char *p, size_t len)
{
	char hash[PASSWORD_HASH_SIZE];

	if (!password_old(u->password) ||
	    password_hash(rq->cf, p, len, hash) == -1)
		return;
	(void)store_user_password(rq->st, u->id, hash);
	sodium_memzero(hash, sizeof(hash));
}

/* The account as limits count it: without spaces around, in small letters. */
static void
login_name(const char *email, char out[EMAIL_BYTES_MAX + 1])
{
	size_t n;

	email += strspn(email, " \t");
	n = strlen(email);
	while (n > 0 && (email[n - 1] == ' ' || email[n - 1] == '\t'))
		n--;
	(void)snprintf(out, EMAIL_BYTES_MAX + 1, "%.*s",
	    (int)(n > EMAIL_BYTES_MAX ? EMAIL_BYTES_MAX : n), email);
}

int
auth_login(struct req *rq, const char *email, const char *password, size_t plen,
    struct auth_session *s, int64_t *wait_s)
{
	char name[EMAIL_BYTES_MAX + 1];
	struct user u;
	int found, good, status = 401;

	memset(s, 0, sizeof(*s));
	memset(&u, 0, sizeof(u));
	login_name(email, name);
	if ((*wait_s = rate_peek(rq->cf, name, rq->addr)) > 0)
		return 429;
	/* Counted first, so that many tries at once do not slip through. */
	rate_fail(rq->cf, name, rq->addr);
	if ((found = store_user_by_email(rq->st, name, &u)) == STORE_FAILED)
		return 503;
	if (plen > PASSWORD_BYTES_MAX)
		plen = 0; /* no such password; the same work */
	good = password_verify(
	    rq->cf, found == STORE_DONE ? u.password : NULL, password, plen);
	if (good == -1) {
		rate_clear(rq->cf, name, rq->addr);
		status = 503;
	} else if (good == 1 && !u.disabled) {
		rate_clear(rq->cf, name, rq->addr);
		login_rehash(rq, &u, password, plen);
		status = session_begin(rq->st, rq->cf, &u, "password", s) == 1
			     ? 200
			     : 503;
		if (status == 200)
			login_audit(rq, "login", u.id);
	} else {
		login_audit(rq, "login_failed", found == STORE_DONE ? u.id : 0);
	}
	sodium_memzero(&u, sizeof(u));
	return status;
}

int
auth_customer_new(struct store *st, const struct conf *cf, int64_t customer,
    const char *addr, char token[TOKEN_TEXT_SIZE], int64_t *expires_at)
{
	struct token t = { .kind = TOKEN_CUSTOMER, .owner = customer };
	char fresh[TOKEN_SIZE];
	struct session row;

	(void)addr;
	memset(&row, 0, sizeof(row));
	/* The row needs a hash; the token's own proof is its signature. */
	token_new(fresh);
	token_hash(fresh, strlen(fresh), row.hash);
	row.customer = customer;
	(void)snprintf(row.via, sizeof(row.via), "widget");
	t.exp = clock_now_ms() / 1000 + cf->session_life_s;
	row.expires_at = t.exp * 1000;
	if (store_session_add(st, &row) != STORE_DONE)
		return -1;
	t.session = row.id;
	token_write(cf, &t, token);
	if (expires_at != NULL)
		*expires_at = row.expires_at;
	return 1;
}

int
auth_key_new(struct store *st, const struct conf *cf, int64_t user,
    const char *name, int64_t *key, char text[TOKEN_TEXT_SIZE])
{
	struct token t = { .kind = TOKEN_KEY, .owner = user };
	char hash[TOKEN_HASH_SIZE];
	int rc;

	token_new(t.secret);
	token_hash(t.secret, strlen(t.secret), hash);
	rc = store_key_add(st, user, name, hash, key);
	if (rc == STORE_DONE) {
		t.session = *key;
		token_write(cf, &t, text);
	}
	sodium_memzero(&t, sizeof(t));
	return rc == STORE_DONE ? 1 : rc == STORE_FAILED ? -1 : 0;
}

int
auth_logout(struct req *rq, struct rsp *rs, bool all)
{
	const struct who *w = &rq->who;
	int rc;

	auth_cookie_clear(rs);
	if (w->id == 0)
		return 0;
	if (all && w->kind == WHO_USER)
		rc = store_session_end_user(rq->st, w->id, 0);
	else if (all)
		rc = store_session_end_customer(rq->st, w->id, 0);
	else if (w->session != 0 && w->via == 'k')
		rc = STORE_NONE; /* an API key is ended where it was made */
	else if (w->session != 0)
		rc = store_session_end(rq->st, w->session);
	else
		rc = STORE_NONE;
	return rc == STORE_DONE ? 1 : rc == STORE_FAILED ? -1 : 0;
}

const char *
auth_next(const char *next)
{
	const char *p;

	if (next == NULL || next[0] != '/' || next[1] == '/' || next[1] == '\\')
		return "/inbox";
	for (p = next; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\')
			return "/inbox";
	return next;
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
