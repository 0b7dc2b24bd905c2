#ifndef PARLEY_AUTH_H
#define PARLEY_AUTH_H

/*
 * Who asks: session cookie, token, API key, or pushd on somebody's behalf;
 * whether they may; the CSRF and Origin checks.
 */

#include "../common/conf.h"
#include "cred.h"
#include "req.h"
#include "rsp.h"
#include "who.h"

#include <stdbool.h>
#include <stdint.h>

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
 * auth_request(rq, code, wait_s):
 * Fill ${rq}->who for the request's route and check that this kind may call
 * it, the CSRF token aside (auth_csrf, when the body is there).  0; or the
 * status and ${*code}.  Counts the request against its rate; a 429 leaves the
 * seconds to wait in ${*wait_s}.
 */
int auth_request(struct req *rq, const char **code, int64_t *wait_s);

/*
 * auth_confirm(rq, code):
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

#endif
