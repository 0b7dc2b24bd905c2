/* p_login.c: the pages around logging in. */

#include <sodium.h>
#include <string.h>

#include "auth.h"
#include "auth_login.h"
#include "h.h"
#include "json.h"
#include "p_login.h"
#include "p_view.h"

static int
login_show(struct req *rq, struct rsp *rs, int status, const char *next,
    const char *email, const char *fault)
{
	struct buf url;
	struct view v;

	auth_form(rq, rs);
	view_begin(&v, rq, rs, "login");
	view_languages(&v);
	buf_init(&url, 4096);
	buf_puts(&url, "/login");
	view_url(&url, "next", auth_next(next));
	json_put_strn(v.model, "login_url", url.data, url.len);
	buf_fini(&url);
	view_title(&v, view_text(&v, "login.title"));
	json_put_str(v.model, "next", auth_next(next));
	json_put_str(v.model, "email", email);
	if (fault != NULL)
		json_put_str(v.model, "fault", view_text(&v, fault));
	return view_end(&v, status, "login");
}

/* GET /    to the inbox. */
int
home_page(struct req *rq, struct rsp *rs)
{
	(void)rq;
	return rsp_redirect(rs, "/inbox");
}

/*
 * GET /login    ?next=, locale=
 * 200 the form; 303 to `next` for who is logged in.
 */
int
login_page(struct req *rq, struct rsp *rs)
{
	const char *next = req_query(rq, "next", NULL);

	if (rq->who.kind == WHO_USER)
		return rsp_redirect(rs, auth_next(next));
	return login_show(rq, rs, 200, next, "", NULL);
}

/*
 * POST /login    ?locale=    email, password, next
 * 303 to `next` with the session's cookie; 401, 422, 429, 503 the form again.
 */
int
login_post(struct req *rq, struct rsp *rs)
{
	const char *email = req_str(rq, "email", 1, EMAIL_BYTES_MAX);
	const char *password = req_str(rq, "password", 1, PASSWORD_BYTES_MAX);
	const char *next = req_form(rq, "next", NULL);
	struct auth_session s;
	int64_t wait_s = 1;
	int status;

	if (email == NULL || password == NULL)
		return login_show(rq, rs, 422, next, email, "login.wrong");
	memset(&s, 0, sizeof(s));
	status = auth_login(rq, email, password, strlen(password), &s, &wait_s);
	if (status == 200) {
		auth_cookie_set(rs, &s);
		sodium_memzero(&s, sizeof(s));
		return rsp_redirect(rs, auth_next(next));
	}
	sodium_memzero(&s, sizeof(s));
	if (status == 401)
		return login_show(rq, rs, 401, next, email, "login.wrong");
	if (status == 429) {
		rsp_header(rs, "Retry-After", "%lld", (long long)wait_s);
		return login_show(rq, rs, 429, next, email, "login.slow");
	}
	return rsp_error(
	    rs, status, status == 503 ? h_busy(rq) : "internal", NULL);
}

/*
 * POST /logout
 * 303 to the log-in; the session and all that hangs on it is over.
 */
int
logout_post(struct req *rq, struct rsp *rs)
{
	if (rq->who.kind == WHO_USER &&
	    auth_logout(rq, rs, false) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	return rsp_redirect(rs, "/login");
}
