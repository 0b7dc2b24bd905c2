/*
 * Who a credential shows.  It is proved first by its signature, without the
 * database; then the database confirms that it still counts.
 */

#include "cred.h"

#include "clock.h"
#include "id.h"
#include "req.h"
#include "store_session.h"
#include "store_user.h"
#include "token.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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
		    (j->aud[0] != '\0' && strcmp(j->aud, JWT_AUDIENCE) != 0))
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

bool
cred_secure(const struct conf *cf, const char *host, bool https)
{
	if (https || strncmp(cf->base_url, "https:", 6) == 0)
		return true;
	return !cf->allow_http && !host_loopback(host);
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
	const char *prefix =
	    cred_secure(cf, c->host, c->https) ? "__Host-" : "";
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

int
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

int
cred_confirm(struct store *st, const struct conf *cf, struct who *w,
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
cred_ref(
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
