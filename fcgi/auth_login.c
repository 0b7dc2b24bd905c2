/* Sessions: begun by a password or by the command line, and ended. */

#include "auth_login.h"

#include "auth.h"
#include "clock.h"
#include "log.h"
#include "rate.h"
#include "store.h"
#include "store_session.h"
#include "store_setting.h"
#include "store_user.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

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
	(void)snprintf(j.aud, sizeof(j.aud), "%s", JWT_AUDIENCE);
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
