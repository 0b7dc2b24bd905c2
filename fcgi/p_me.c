/* p_me.c: name, language, status and password of whoever is logged in. */

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "auth_login.h"
#include "h.h"
#include "json.h"
#include "p_me.h"
#include "p_view.h"
#include "rate.h"
#include "store_presence.h"
#include "store_session.h"
#include "store_setting.h"
#include "store_user.h"
#include "token.h"

static const char *const statuses[] = { "online", "away", "busy" };

/* ${fault}: the key of a text, or NULL. */
static int
account_show(struct req *rq, struct rsp *rs, int status, const char *fault)
{
	struct json_object *me = NULL;
	const char *chosen = "online";
	struct view v;
	int rc = view_open(&v, rq, rs, "me", "me", "me.title");

	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	if (json_get_obj(v.model, "me", &me) == 1)
		(void)json_get_str(me, "status", &chosen, NULL);
	json_put(v.model, "my_statuses",
	    view_options(
		statuses, sizeof(statuses) / sizeof(statuses[0]), chosen));
	view_languages(&v);
	if (fault != NULL)
		json_put_str(v.model, "fault", view_text(&v, fault));
	return view_end(&v, status, "me");
}

/* GET /me    200 the account of whoever is logged in. */
int
account_page(struct req *rq, struct rsp *rs)
{
	return account_show(rq, rs, 200, NULL);
}

/*
 * POST /me    name, locale
 * 303 back; 422 the page again.
 */
int
account_post(struct req *rq, struct rsp *rs)
{
	struct user_patch p = { .admin = -1, .disabled = -1 };
	int rc;

	p.name = h_name(rq, "name", 1);
	p.locale = h_word(rq, "locale", "vi|th|en");
	if (rq->bad_field != NULL)
		return account_show(rq, rs, 422, "error.invalid");
	rc = store_user_patch(rq->st, rq->who.id, &p);
	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	return rsp_redirect(rs, "/me?saved=1");
}

/*
 * POST /me/status    status=online|away|busy, text
 * 303 back; 422 the page again; 429 more than one change a second.
 */
int
account_post_status(struct req *rq, struct rsp *rs)
{
	const char *status = h_word(rq, "status", "online|away|busy");
	const char *text = req_text(rq, "text", 0,
	    (size_t)rq->cf->name_chars_max, NAME_BYTES_MAX - 1, NULL);
	int64_t wait_s;
	int rc;

	if (rq->bad_field != NULL)
		return account_show(rq, rs, 422, "error.invalid");
	if ((wait_s = rate_take(rq, RATE_PRESENCE, 0)) != 0)
		return rsp_retry(rs, 429, "rate_limited", wait_s);
	rc = store_presence_set(
	    rq->st, rq->who.id, status, text != NULL ? text : "");
	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	return rsp_redirect(rs, "/me?saved=1");
}

/* Whether ${present} is the asker's password: 1, 0, -1; counts failures. */
static int
password_check(struct req *rq, const char *present)
{
	struct user u;
	int ok;

	if (store_user_by_id(rq->st, rq->who.id, &u) != STORE_DONE)
		return -1;
	if (rate_peek(rq->cf, u.email, rq->addr) > 0)
		ok = 0;
	else {
		ok = password_verify(
		    rq->cf, u.password, present, strlen(present));
		if (ok == 0)
			rate_fail(rq->cf, u.email, rq->addr);
	}
	sodium_memzero(&u, sizeof(u));
	return ok;
}

/* Store the new password; every session of the user ends. */
static int
password_store(struct req *rq, const char *hash)
{
	char object[32];
	int rc;

	snprintf(object, sizeof(object), "user:%" PRId64, rq->who.id);
	if (store_begin(rq->st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_user_password(rq->st, rq->who.id, hash);
	if (h_good(rc))
		rc = store_session_end_user(rq->st, rq->who.id, 0);
	if (h_good(rc) || rc == STORE_NONE)
		rc = store_audit(
		    rq->st, &rq->who, rq->addr, "password", object, NULL);
	return store_end(rq->st, rc);
}

/*
 * POST /me/password    password, new, again
 * 303 back, with a new session in place of all that were.
 * 422, 403 the page again: the two differ, the new one is bad, the present one
 * is wrong; 503 busy.
 */
int
account_post_password(struct req *rq, struct rsp *rs)
{
	const char *present = req_str(rq, "password", 1, PASSWORD_BYTES_MAX);
	const char *fresh =
	    req_str(rq, "new", 1, (size_t)2 * PASSWORD_BYTES_MAX);
	const char *again =
	    req_opt(rq, "again", (size_t)2 * PASSWORD_BYTES_MAX, "");
	char hash[PASSWORD_HASH_SIZE];
	struct auth_session s;
	int rc;

	if (present == NULL)
		return account_show(rq, rs, 422, "me.password_wrong");
	if (fresh == NULL || password_bad(fresh, strlen(fresh)) != NULL)
		return account_show(rq, rs, 422, "me.password_bad");
	if (again == NULL || strcmp(fresh, again) != 0)
		return account_show(rq, rs, 422, "me.password_differs");
	rc = password_check(rq, present);
	if (rc == 0)
		return account_show(rq, rs, 403, "me.password_wrong");
	if (rc == -1 || password_hash(rq->cf, fresh, strlen(fresh), hash) == -1)
		return rsp_error(rs, 503, "busy", NULL);
	rc = password_store(rq, hash);
	sodium_memzero(hash, sizeof(hash));
	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	memset(&s, 0, sizeof(s));
	rc = auth_session_new(rq->st, rq->cf, rq->who.id, rq->addr,
	    req_header(rq, "User-Agent"), &s);
	if (rc == 1)
		auth_cookie_set(rs, &s);
	sodium_memzero(&s, sizeof(s));
	return rsp_redirect(rs, rc == 1 ? "/me?saved=1" : "/login");
}
