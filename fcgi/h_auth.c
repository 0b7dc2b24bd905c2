/* Log-in, log-out, and who one is oneself. */

#include "h_auth.h"

#include "auth.h"
#include "auth_login.h"
#include "h.h"
#include "rate.h"
#include "store_presence.h"
#include "store_session.h"
#include "store_setting.h"
#include "store_user.h"

#include <sodium.h>
#include <string.h>

/* {"token","token_type","expires_at","csrf_token","user"} */
static int
answer_session(
    struct req *rq, struct rsp *rs, const struct auth_session *s, int64_t user)
{
	struct json_object *u = NULL, *o;
	struct who self = { .kind = WHO_USER, .id = user };
	int rc;

	rc = store_user_json(rq->st, &self, user, &u);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	o = json_object_new_object();
	json_put_str(o, "token", s->token);
	json_put_str(o, "token_type", "Bearer");
	json_put_int(o, "expires_at", s->token_expires_at);
	json_put_str(o, "csrf_token", s->csrf);
	json_put(o, "user", u);
	return rsp_json(rs, 200, o);
}

/*
 * POST /api/auth/login    {"email", "password"}
 * 200 {"token": a JWT, "token_type": "Bearer", "expires_at", "csrf_token",
 * "user"}, and the session's cookie.
 * 401 unauthenticated: no such account, disabled, or wrong password, all the
 * same; 422 invalid: email, password; 429 rate_limited after 5 failures of the
 * account or 20 of the network in a quarter of an hour; 503 busy,
 * no_space.
 */
int
auth_post_login(struct req *rq, struct rsp *rs)
{
	struct auth_session s;
	const char *email, *password;
	int64_t wait_s = 1;
	int status;

	memset(&s, 0, sizeof(s));
	if ((email = req_str(rq, "email", 1, EMAIL_BYTES_MAX)) == NULL ||
	    (password = req_str(rq, "password", 1, PASSWORD_BYTES_MAX)) == NULL)
		return h_invalid(rq, rs);

	status = auth_login(rq, email, password, strlen(password), &s, &wait_s);
	switch (status) {
	case 200:
		auth_cookie_set(rs, &s);
		status = answer_session(rq, rs, &s, s.user);
		break;
	case 429:
		status = rsp_retry(rs, 429, "rate_limited", wait_s);
		break;
	case 401:
		status = rsp_error(rs, 401, "unauthenticated", NULL);
		break;
	case 503:
		status = rsp_error(rs, 503, h_busy(rq), NULL);
		break;
	default:
		status = rsp_error(rs, 500, "internal", NULL);
		break;
	}
	sodium_memzero(&s, sizeof(s));
	return status;
}

/*
 * POST /api/auth/logout    {"all": bool?}
 * 200 {"success":true}: this session is over, its tokens and streams with it;
 * with `all`, every session of the asker.  Also where nobody was logged in.
 */
int
auth_post_logout(struct req *rq, struct rsp *rs)
{
	bool all = false;

	if (req_bool(rq, "all", &all) == -1)
		return h_invalid(rq, rs);
	if (rq->who.kind != WHO_NOBODY &&
	    auth_logout(rq, rs, all) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	auth_cookie_clear(rs);
	return h_success(rs);
}

/*
 * POST /api/auth/refresh    {}
 * 200 as log-in, with a new JWT for the same session.
 * 403 forbidden: the asker has no session (an API key, a foreign token).
 */
int
auth_post_refresh(struct req *rq, struct rsp *rs)
{
	struct auth_session s;
	int rc, status;

	memset(&s, 0, sizeof(s));
	rc = auth_token(rq, &s);
	if (rc == 1) {
		(void)snprintf(s.csrf, sizeof(s.csrf), "%s", rq->who.csrf);
		status = answer_session(rq, rs, &s, rq->who.id);
	} else if (rc == 0)
		status = rsp_error(rs, 403, "forbidden", NULL);
	else
		status = h_refuse(rq, rs, STORE_FAILED);
	sodium_memzero(&s, sizeof(s));
	return status;
}

/*
 * GET /api/me
 * 200 the user who asks.
 */
int
me_get(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t cursor;
	int rc;

	if ((cursor = h_read(rq)) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_user_json(rq->st, &rq->who, rq->who.id, &o);
	h_read_end(rq);
	return h_answer(rq, rs, 200, rc, o, cursor);
}

/*
 * A new password: the present one must be right.  Every session of the user
 * ends; whoever changed it by a session gets a new one.  0, or the status.
 */
static int
password_change(struct req *rq, struct rsp *rs, const char *password)
{
	char hash[PASSWORD_HASH_SIZE];
	struct auth_session s;
	struct user u;
	const char *present;
	int64_t wait_s;
	int rc, ok;

	if (password_bad(password, strlen(password)) != NULL)
		return rsp_error(rs, 422, "invalid", "password");
	present = req_str(rq, "current_password", 1, PASSWORD_BYTES_MAX);
	if (present == NULL)
		return h_invalid(rq, rs);
	rc = store_user_by_id(rq->st, rq->who.id, &u);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	wait_s = rate_peek(rq->cf, u.email, rq->addr);
	if (wait_s > 0) {
		sodium_memzero(&u, sizeof(u));
		return rsp_retry(rs, 429, "rate_limited", wait_s);
	}
	ok = password_verify(rq->cf, u.password, present, strlen(present));
	if (ok == 0)
		rate_fail(rq->cf, u.email, rq->addr);
	if (ok == 1 &&
	    password_hash(rq->cf, password, strlen(password), hash) != 0)
		ok = -1;
	sodium_memzero(&u, sizeof(u));
	if (ok == 0)
		return rsp_error(rs, 403, "forbidden", "current_password");
	if (ok == -1)
		return rsp_error(rs, 503, "busy", NULL);

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_user_password(rq->st, rq->who.id, hash);
	sodium_memzero(hash, sizeof(hash));
	if (rc == STORE_DONE) {
		rc = store_session_end_user(rq->st, rq->who.id, 0);
		rc = rc == STORE_NONE ? STORE_DONE : rc;
	}
	if (rc == STORE_DONE)
		rc = store_audit(
		    rq->st, &rq->who, rq->addr, "password", NULL, NULL);
	if (store_end(rq->st, rc) != STORE_DONE)
		return h_refuse(rq, rs, rc == STORE_DONE ? STORE_FAILED : rc);
	if (rq->who.session == 0 || rq->who.via == 'k')
		return 0;

	memset(&s, 0, sizeof(s));
	if (auth_session_new(rq->st, rq->cf, rq->who.id, rq->addr,
		req_header(rq, "User-Agent"), &s) == 1) {
		auth_cookie_set(rs, &s);
		rsp_header(rs, "X-Token", "%s", s.token);
		rsp_header(rs, "X-CSRF-Token", "%s", s.csrf);
	}
	sodium_memzero(&s, sizeof(s));
	return 0;
}

/*
 * PATCH /api/me    {"name"?, "locale"?: vi|th|en, "status"?: online|away|busy,
 *                  "status_text"?, "password"?, "current_password"?}
 * 200 the user.  A new password ends every session of the user; the answer
 * then brings a new one: its cookie, X-Token (a JWT), X-CSRF-Token.  Of status
 * and text one change a second counts, the others are dropped.
 * 403 forbidden: current_password is wrong; 422 invalid: the member that is;
 * 429, 503 busy as log-in.
 */
int
me_patch(struct req *rq, struct rsp *rs)
{
	struct user_patch p = { NULL, NULL, NULL, NULL, -1, -1 };
	struct json_object *o = NULL;
	const char *status, *text, *password;
	int rc = STORE_DONE, answer;

	p.name = h_name(rq, "name", 0);
	p.locale = h_word(rq, "locale", "vi|th|en");
	status = h_word(rq, "status", "online|away|busy");
	text = req_text(rq, "status_text", 0, (size_t)rq->cf->name_chars_max,
	    NAME_BYTES_MAX - 1, NULL);
	password = req_opt(rq, "password", PASSWORD_BYTES_MAX, NULL);
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if (text == NULL &&
	    json_object_object_get_ex(rq->json, "status_text", NULL))
		text = "";
	if ((status != NULL || text != NULL) &&
	    rate_take(rq, RATE_PRESENCE, 0) != 0)
		status = text = NULL; /* dropped; the answer tells */
	if (password != NULL &&
	    (answer = password_change(rq, rs, password)) != 0)
		return answer;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	if (p.name != NULL || p.locale != NULL)
		rc = store_user_patch(rq->st, rq->who.id, &p);
	if (h_good(rc) && (status != NULL || text != NULL))
		rc = store_presence_set(rq->st, rq->who.id, status, text);
	if (h_good(rc))
		rc = store_user_json(rq->st, &rq->who, rq->who.id, &o);
	return h_end(rq, rs, 200, rc, o);
}
