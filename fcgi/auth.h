#ifndef PARLEY_AUTH_H
#define PARLEY_AUTH_H

/*
 * Who asks: session cookie, token, API key, or pushd on somebody's behalf; the
 * CSRF and Origin checks; log-in and log-out.
 */

#include "../common/conf.h"
#include "jwt.h"
#include "req.h"
#include "rsp.h"
#include "token.h"
#include "who.h"

#include <stddef.h>
#include <stdint.h>

/* Names of cookies; on TLS with `__Host-` in front (rsp_cookie does it). */
#define AUTH_COOKIE "parley"           /* a user's session */
#define AUTH_COOKIE_CUST "parley-chat" /* a customer's token */
#define AUTH_COOKIE_FORM "parley-form" /* CSRF secret where nobody is known */

/* What somebody shows; each NULL if absent.  In order of precedence. */
struct cred {
	const char *authorization; /* header, "Bearer T" */
	const char *token;         /* ?token=; only where url_tokens is on */
	const char *session;       /* ?session= */
	const char *cookie;        /* header */
	const char *ref;           /* alone: ask again who this is */
	const char *origin, *host; /* headers, for a cookie */
	const char *addr;          /* the client's address */
	bool https;
};

/*
 * auth_customer_cookie(rq, who): whether the browser also has the cookie of a
 * customer, beside what the request was made with.  auth_customer_token: that
 * cookie's text, or NULL.
 */
bool auth_customer_cookie(struct req *rq, struct who *who);
const char *auth_customer_token(struct req *rq);

/*
 * auth_identify(st, cf, c, who, code):
 * Who shows ${c}, confirmed by the database.  0; or the status (401, 403
 * "bad_origin", 503) and ${*code}.  Nothing shown is 401.
 */
int auth_identify(struct store *st, const struct conf *cf, const struct cred *c,
    struct who *who, const char **code);

/*
 * auth_ref(st, cf, ref, who):
 * Who ${ref} is now: 1; 0 ended, expired or disabled; -1 failed.
 */
int auth_ref(
    struct store *st, const struct conf *cf, const char *ref, struct who *who);

/*
 * auth_request(rq, code):
 * Fill ${rq}->who for the request's route and check that this kind may call
 * it, the CSRF token aside (auth_csrf, when the body is there).  0; or the
 * status and ${*code}.  Counts the request against its rate; a 429 leaves the
 * seconds to wait in ${*wait_s}.
 */
int auth_request(struct req *rq, const char **code, int64_t *wait_s);

/*
 * auth_confirm(rq):
 * For a ROUTE_NODB route that found it has work to do: ask the database what
 * the signature promised (opens the store).  0, or the status and ${*code}.
 */
int auth_confirm(struct req *rq, const char **code);

/*
 * auth_csrf(rq, code): whether what is to change something comes from a page
 * of ours: Origin (or Sec-Fetch-Site), and, where a cookie says who asks, the
 * session's CSRF token.  0, or 403 and the code.
 */
int auth_csrf(struct req *rq, const char **code);

/*
 * auth_secure(rq):
 * Whether cookies of this request are Secure and `__Host-`: always, but over
 * plain HTTP on loopback, or where allow_http is on.
 */
bool auth_secure(const struct req *rq);

/*
 * auth_form(rq, rs):
 * Before rendering a form where nobody is known yet (/login, /chat): see that
 * the browser has a form cookie and put the token for it into
 * ${rq}->who.csrf.  With a session it does nothing.
 */
void auth_form(struct req *rq, struct rsp *rs);

/* A session just begun. */
struct auth_session {
	int64_t id, user;
	char cookie[TOKEN_TEXT_SIZE]; /* value of AUTH_COOKIE */
	char token[JWT_BYTES_MAX];    /* JWT */
	char csrf[WHO_CSRF_SIZE];
	int64_t expires_at;       /* of the session, ms */
	int64_t token_expires_at; /* of the JWT, ms */
};

/*
 * auth_login(rq, email, password, plen, s, wait_s):
 * Check and, if right, begin a session (always a new one).  200 and ${s};
 * 401 "unauthenticated"; 429 and ${*wait_s}; 503.  Unknown and disabled
 * accounts take the time of a wrong password.  Counts failures per account and
 * network; writes the audit log.
 */
int auth_login(struct req *rq, const char *email, const char *password,
    size_t plen, struct auth_session *s, int64_t *wait_s);

/*
 * auth_session_new(st, cf, user, addr, agent, s):
 * Begin a session for user ${user}.  1; 0 no such or disabled user; -1.
 */
int auth_session_new(struct store *st, const struct conf *cf, int64_t user,
    const char *addr, const char *agent, struct auth_session *s);

/*
 * auth_token(rq, s): a fresh JWT for the session that asks (refresh); fills
 * token and token_expires_at.  1, 0 (not a session of a user), -1.
 */
int auth_token(struct req *rq, struct auth_session *s);

/* auth_cookie_set(rs, s): give the browser the session's cookie. */
void auth_cookie_set(struct rsp *rs, const struct auth_session *s);

/* auth_cookie_clear(rs): take session and customer cookies away. */
void auth_cookie_clear(struct rsp *rs);

/*
 * auth_customer_new(st, cf, customer, addr, token, expires_at):
 * Begin a session of a customer and write its token.  1, or -1.
 */
int auth_customer_new(struct store *st, const struct conf *cf, int64_t customer,
    const char *addr, char token[TOKEN_TEXT_SIZE], int64_t *expires_at);

/*
 * auth_key_new(st, cf, user, name, key, text):
 * Make an API key of ${user}; its id in ${key}, ${text} to show once.  1, 0,
 * -1.
 */
int auth_key_new(struct store *st, const struct conf *cf, int64_t user,
    const char *name, int64_t *key, char text[TOKEN_TEXT_SIZE]);

/* auth_logout(rq, rs, all): end this session, or all of this person's. */
int auth_logout(struct req *rq, struct rsp *rs, bool all);

/* auth_next(next): ${next} if it is a safe path of ours, else /inbox. */
const char *auth_next(const char *next);

#endif
