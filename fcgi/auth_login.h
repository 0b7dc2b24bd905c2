#ifndef PARLEY_AUTH_LOGIN_H
#define PARLEY_AUTH_LOGIN_H

/* Sessions, tokens and keys: begun, renewed, ended. */

#include "../common/conf.h"
#include "jwt.h"
#include "req.h"
#include "rsp.h"
#include "token.h"
#include "who.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
