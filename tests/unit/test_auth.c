/*
 * route.c, rsp.c and auth.c over a real store: what is asked, by whom, from
 * which page; and what every answer carries.
 */

#include "auth.h"
#include "auth_login.h"
#include "clock.h"
#include "log.h"
#include "rate.h"
#include "route.h"
#include "store.h"
#include "store_customer.h"
#include "store_session.h"
#include "store_user.h"
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define KEY "0123456789abcdef0123456789abcdef"
#define OTHER_KEY "ffffffffffffffffffffffffffffffff"
#define PASSWORD "correct horse battery"

static char dir[] = "/tmp/test_auth.XXXXXX";
static struct conf cf;
static struct store *st;
static struct rsp rs;
static struct req rq;
static struct who seen; /* who the handler saw */
static int64_t agent, admin, customer;

/* What the request holds: headers as NAME=VALUE parameters, and the body. */
static char *env[64];
static size_t nenv;
static const char *sent;
static struct buf body, head;

static int
whoami(struct req *r, struct rsp *s)
{
	struct json_object *o = json_object_new_object();

	seen = r->who;
	json_put_str(o, "ref", r->who.ref);
	return rsp_json(s, 200, o);
}

static int
bug(struct req *r, struct rsp *s)
{
	(void)r;
	(void)s;
	return 200;
}

static const struct route routes[] = {
	{ "GET", "/any", WHO_ANY, 0, whoami, 0 },
	{ "POST", "/any", WHO_ANY, 1000, whoami, ROUTE_FORM },
	{ "GET", "/agent", WHO_AGENT, 0, whoami, 0 },
	{ "POST", "/agent", WHO_AGENT, 1000, whoami, ROUTE_FORM },
	{ "GET", "/admin", WHO_ADMIN, 0, whoami, 0 },
	{ "GET", "/cust", WHO_CUST, 0, whoami, 0 },
	{ "GET", "/member", WHO_MEMBER, 0, whoami, 0 },
	{ "GET", "/quick", WHO_MEMBER, 0, whoami, ROUTE_NODB },
	{ "POST", "/internal/x", WHO_INTERNAL, 1000, whoami, 0 },
	{ "GET", "/page", WHO_AGENT, 0, whoami, ROUTE_PAGE },
	{ "GET", "/things/:id", WHO_ANY, 0, whoami, 0 },
	{ "DELETE", "/things/:id", WHO_ANY, 0, whoami, 0 },
	{ "GET", "/things/new", WHO_ANY, 0, whoami, 0 },
	{ "GET", "/things/:id/parts/:part", WHO_ANY, 0, whoami, 0 },
	{ "GET", "/bug", WHO_ANY, 0, bug, 0 },
};

static struct store *
open_store(struct req *r)
{
	(void)r;
	return st;
}

static int
read_body(struct req *r, size_t max, struct buf *out)
{
	(void)r;
	if (strlen(sent) > max)
		return -1;
	buf_puts(out, sent);
	return 0;
}

static void
with(const char *fmt, ...)
{
	char text[8192];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	env[nenv++] = strdup(text);
}

/* Ask, and forget the headers. */
static int
ask(const char *method, const char *uri)
{
	const char *code = "";
	int status;
	size_t i;

	with("REQUEST_METHOD=%s", method);
	with("REQUEST_URI=%s", uri);
	with("HTTP_HOST=localhost:8080");
	env[nenv] = NULL;
	for (i = 0; i < nenv; i++)
		if (strncmp(env[i], "REMOTE_ADDR=", 12) == 0)
			break;
	if (i == nenv)
		with("REMOTE_ADDR=127.0.0.1");
	env[nenv] = NULL;
	memset(&seen, 0, sizeof(seen));
	status = req_init(&rq, &cf, env, &code);
	rq.open_store = open_store;
	rsp_init(&rs, &rq);
	buf_reset(&body);
	if (status != 0)
		status = rsp_error(&rs, status, code, NULL);
	else
		status = route_run(routes, sizeof(routes) / sizeof(routes[0]),
		    &rq, &rs, read_body, &body);
	assert_int_equal(status, rs.status);
	buf_reset(&head);
	rsp_head(&rs, &head);
	store_idle(st);
	req_fini(&rq);
	while (nenv > 0)
		free(env[--nenv]);
	sent = "";
	return status;
}

static int
code_is(const char *code)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "\"code\":\"%s\"", code);
	return strstr(rs.body.data, text) != NULL;
}

static int
head_has(const char *text)
{
	return strstr(head.data, text) != NULL;
}

static void
routing(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "/any"), 200);
	assert_true(head_has("Status: 200 OK\r\n"));
	assert_true(head_has("Content-Type: application/json; charset=utf-8"));
	assert_true(head_has("X-Content-Type-Options: nosniff\r\n"));
	assert_true(head_has("Referrer-Policy: no-referrer\r\n"));
	assert_true(head_has("Cache-Control: no-store\r\n"));
	assert_true(head_has("Content-Length: 10\r\n"));
	assert_int_equal(ask("HEAD", "/any"), 200);
	assert_int_equal(ask("GET", "/nothing"), 404);
	assert_true(code_is("not_found"));
	assert_non_null(strstr(rs.body.data, "\"success\":false"));
	assert_int_equal(ask("GET", "/any/.."), 404);
	assert_int_equal(ask("PUT", "/any"), 405);
	assert_true(head_has("Allow: GET, HEAD, POST, OPTIONS\r\n"));
	assert_int_equal(ask("OPTIONS", "/things/5"), 204);
	assert_true(head_has("Allow: GET, HEAD, DELETE, OPTIONS\r\n"));
	assert_false(head_has("Content-Length"));
	assert_int_equal(ask("GET", "/any?a=%zz"), 400);
	assert_int_equal(ask("GET", "/bug"), 500);
	assert_true(code_is("internal"));
	assert_non_null(strstr(rs.body.data, "\"request_id\":\""));
	assert_int_equal(ask("POST", "/internal/x"), 404);
	/* A literal wins over a parameter. */
	assert_int_equal(ask("GET", "/things/new"), 200);
	assert_int_equal(ask("DELETE", "/things/new"), 200);
	assert_int_equal(ask("GET", "/things/7/parts/x"), 200);
	assert_int_equal(ask("GET", "/things/7/parts"), 404);
}

static void
bodies(void **state)
{
	(void)state;
	sent = "{\"a\":1}";
	with("CONTENT_TYPE=application/json");
	assert_int_equal(ask("POST", "/any"), 200);
	sent = "{\"a\":1}";
	with("CONTENT_TYPE=text/plain");
	assert_int_equal(ask("POST", "/any"), 415);
	with("CONTENT_LENGTH=1001");
	assert_int_equal(ask("POST", "/any"), 413);
	with("CONTENT_LENGTH=x");
	assert_int_equal(ask("POST", "/any"), 400);
	sent = "{";
	with("CONTENT_TYPE=application/json");
	assert_int_equal(ask("POST", "/any"), 400);
	assert_true(code_is("bad_json"));
}

static void
cors(void **state)
{
	char *was = cf.cors_origins;
	static char list[] = "https://shop.example", star[] = "*";

	(void)state;
	with("HTTP_ORIGIN=https://shop.example");
	assert_int_equal(ask("GET", "/any"), 200);
	assert_false(head_has("Access-Control"));
	cf.cors_origins = list;
	with("HTTP_ORIGIN=https://shop.example");
	assert_int_equal(ask("GET", "/nothing"), 404);
	assert_true(
	    head_has("Access-Control-Allow-Origin: https://shop.example\r\n"));
	assert_true(head_has("Access-Control-Allow-Credentials: true\r\n"));
	assert_true(head_has("Vary: Origin\r\n"));
	with("HTTP_ORIGIN=https://evil.example");
	assert_int_equal(ask("GET", "/any"), 200);
	assert_false(head_has("Access-Control"));
	assert_true(head_has("Vary: Origin\r\n"));
	with("HTTP_ORIGIN=null");
	assert_int_equal(ask("GET", "/any"), 200);
	assert_false(head_has("Access-Control"));
	with("HTTP_ORIGIN=https://shop.example");
	assert_int_equal(ask("OPTIONS", "/agent"), 204);
	assert_true(head_has("Access-Control-Allow-Headers: Authorization"));
	assert_true(head_has("Access-Control-Allow-Methods: GET"));
	cf.cors_origins = star;
	with("HTTP_ORIGIN=https://any.example");
	assert_int_equal(ask("GET", "/any"), 200);
	assert_true(head_has("Access-Control-Allow-Origin: *\r\n"));
	assert_false(head_has("Credentials"));
	cf.cors_origins = was;
}

static struct auth_session s;

static void
login_as(int64_t user)
{
	assert_int_equal(
	    auth_session_new(st, &cf, user, "127.0.0.1", "test", &s), 1);
}

static void
kinds(void **state)
{
	char token[TOKEN_TEXT_SIZE];

	(void)state;
	assert_int_equal(ask("GET", "/agent"), 401);
	assert_true(code_is("unauthenticated"));
	assert_true(head_has("WWW-Authenticate: Bearer\r\n"));
	assert_non_null(strstr(rs.body.data, "Authentication required"));
	login_as(agent);
	with("HTTP_AUTHORIZATION=bearer %s", s.token);
	assert_int_equal(ask("GET", "/agent"), 200);
	assert_int_equal(seen.id, agent);
	assert_int_equal(seen.via, 'b');
	assert_string_equal(seen.name, "Agent");
	assert_true(seen.confirmed);
	with("REDIRECT_HTTP_AUTHORIZATION=Bearer %s", s.token);
	assert_int_equal(ask("GET", "/member"), 200);
	with("HTTP_AUTHORIZATION=Bearer %s", s.token);
	assert_int_equal(ask("GET", "/admin"), 403);
	with("HTTP_AUTHORIZATION=Bearer %s", s.token);
	assert_int_equal(ask("GET", "/cust"), 403);
	with("HTTP_AUTHORIZATION=Bearer %sx", s.token);
	assert_int_equal(ask("GET", "/agent"), 401);
	with("HTTP_AUTHORIZATION=Bearer %sx", s.token);
	assert_int_equal(ask("GET", "/any"), 200);
	assert_int_equal(seen.kind, WHO_NOBODY);
	/* A cookie's value is no bearer token. */
	with("HTTP_AUTHORIZATION=Bearer %s", s.cookie);
	assert_int_equal(ask("GET", "/agent"), 401);
	with("HTTP_AUTHORIZATION=Basic eDp5");
	with("HTTP_COOKIE=parley=%s", s.cookie);
	assert_int_equal(ask("GET", "/agent"), 200);
	/* Under TLS another name. */
	with("HTTPS=on");
	with("HTTP_COOKIE=parley=%s", s.cookie);
	assert_int_equal(ask("GET", "/agent"), 401);
	with("HTTPS=on");
	with("HTTP_COOKIE=__Host-parley=%s", s.cookie);
	assert_int_equal(ask("GET", "/agent"), 200);
	assert_true(head_has("Strict-Transport-Security"));
	with("HTTP_COOKIE=auth_token=%s", s.token);
	assert_int_equal(ask("GET", "/agent"), 200);
	assert_int_equal(seen.via, 'c');
	login_as(admin);
	with("HTTP_AUTHORIZATION=Bearer %s", s.token);
	assert_int_equal(ask("GET", "/admin"), 200);
	assert_true(seen.admin);

	assert_int_equal(
	    auth_customer_new(st, &cf, customer, "", token, NULL), 1);
	with("HTTP_AUTHORIZATION=Bearer %s", token);
	assert_int_equal(ask("GET", "/cust"), 200);
	assert_int_equal(seen.kind, WHO_CUSTOMER);
	assert_int_equal(seen.id, customer);
	with("HTTP_AUTHORIZATION=Bearer %s", token);
	assert_int_equal(ask("GET", "/agent"), 403);
	with("HTTP_COOKIE=parley-chat=%s; parley=%s", token, s.cookie);
	assert_int_equal(ask("GET", "/cust"), 200);
	assert_int_equal(seen.kind, WHO_CUSTOMER);
	with("HTTP_COOKIE=parley-chat=%s; parley=%s", token, s.cookie);
	assert_int_equal(ask("GET", "/member"), 200);
	assert_int_equal(seen.kind, WHO_USER);
	/* A customer's token is none in the user's cookie. */
	with("HTTP_COOKIE=parley=%s", token);
	assert_int_equal(ask("GET", "/member"), 401);
	/* An error of a page leads to the log-in. */
	assert_int_equal(ask("GET", "/page?x=1"), 303);
	assert_true(head_has("Location: /login?next=/page\r\n"));
	with("HTTP_X_USER_ID=1");
	assert_int_equal(ask("GET", "/agent"), 401);
}

static void
tokens_in_urls(void **state)
{
	char uri[JWT_BYTES_MAX + 16];

	(void)state;
	login_as(agent);
	(void)snprintf(uri, sizeof(uri), "/agent?token=%s", s.token);
	assert_int_equal(ask("GET", uri), 401);
	cf.url_tokens = true;
	assert_int_equal(ask("GET", uri), 200);
	assert_int_equal(seen.via, 'q');
	cf.url_tokens = false;
}

static void
sessions_end(void **state)
{
	char token[TOKEN_TEXT_SIZE], ref[64];
	struct who w;

	(void)state;
	login_as(agent);
	(void)snprintf(
	    ref, sizeof(ref), "u:%lld:%lld", (long long)agent, (long long)s.id);
	assert_int_equal(cred_ref(st, &cf, ref, &w), 1);
	assert_string_equal(w.ref, ref);
	assert_int_equal(store_session_end(st, s.id), STORE_DONE);
	assert_int_equal(cred_ref(st, &cf, ref, &w), 0);
	with("HTTP_AUTHORIZATION=Bearer %s", s.token);
	assert_int_equal(ask("GET", "/agent"), 401);
	with("HTTP_COOKIE=parley=%s", s.cookie);
	assert_int_equal(ask("GET", "/agent"), 401);
	/* The signature alone is still good: the poller asks its slot. */
	with("HTTP_COOKIE=parley=%s", s.cookie);
	assert_int_equal(ask("GET", "/quick"), 200);
	assert_false(seen.confirmed);
	assert_int_equal(seen.id, agent);

	assert_int_equal(
	    auth_customer_new(st, &cf, customer, "", token, NULL), 1);
	with("HTTP_AUTHORIZATION=Bearer %s", token);
	assert_int_equal(ask("GET", "/cust"), 200);
	assert_int_equal(
	    store_session_end_customer(st, customer, 0), STORE_DONE);
	with("HTTP_AUTHORIZATION=Bearer %s", token);
	assert_int_equal(ask("GET", "/cust"), 401);
	/* References that are none. */
	assert_int_equal(cred_ref(st, &cf, "", &w), 0);
	assert_int_equal(cred_ref(st, &cf, "u", &w), 0);
	assert_int_equal(cred_ref(st, &cf, "u:1", &w), 0);
	assert_int_equal(cred_ref(st, &cf, "u:1:2:3", &w), 0);
	assert_int_equal(cred_ref(st, &cf, "x:1:2", &w), 0);
}

static void
csrf(void **state)
{
	char form[256];

	(void)state;
	login_as(agent);
	/* By cookie: the token, in header or form, and an Origin of ours. */
	with("HTTP_COOKIE=parley=%s", s.cookie);
	assert_int_equal(ask("POST", "/agent"), 403);
	assert_true(code_is("csrf"));
	with("HTTP_COOKIE=parley=%s", s.cookie);
	with("HTTP_X_CSRF_TOKEN=%s", s.csrf);
	with("HTTP_ORIGIN=http://localhost:8080");
	assert_int_equal(ask("POST", "/agent"), 200);
	assert_string_equal(seen.csrf, s.csrf);
	with("HTTP_COOKIE=parley=%s", s.cookie);
	with("HTTP_X_CSRF_TOKEN=%s", s.csrf);
	with("HTTP_ORIGIN=http://evil.example");
	assert_int_equal(ask("POST", "/agent"), 403);
	assert_true(code_is("bad_origin"));
	with("HTTP_COOKIE=parley=%s", s.cookie);
	with("HTTP_X_CSRF_TOKEN=%s", s.csrf);
	with("HTTP_SEC_FETCH_SITE=cross-site");
	assert_int_equal(ask("POST", "/agent"), 403);
	with("HTTP_COOKIE=parley=%s", s.cookie);
	with("HTTP_X_CSRF_TOKEN=%s", s.csrf);
	with("HTTP_ORIGIN=null");
	with("HTTP_SEC_FETCH_SITE=same-origin");
	assert_int_equal(ask("POST", "/agent"), 200);
	with("HTTP_COOKIE=parley=%s", s.cookie);
	with("HTTP_X_CSRF_TOKEN=%.20s", s.csrf);
	assert_int_equal(ask("POST", "/agent"), 403);
	(void)snprintf(form, sizeof(form), "csrf=%s&x=1", s.csrf);
	with("HTTP_COOKIE=parley=%s", s.cookie);
	with("CONTENT_TYPE=application/x-www-form-urlencoded");
	sent = form;
	assert_int_equal(ask("POST", "/agent"), 200);
	/* A token that a browser does not add by itself needs none. */
	with("HTTP_AUTHORIZATION=Bearer %s", s.token);
	with("HTTP_ORIGIN=http://evil.example");
	assert_int_equal(ask("POST", "/agent"), 200);
	/* Nobody: JSON by Origin alone, a form by its cookie. */
	with("HTTP_ORIGIN=http://evil.example");
	assert_int_equal(ask("POST", "/any"), 403);
	assert_int_equal(ask("POST", "/any"), 200);
	with("CONTENT_TYPE=application/x-www-form-urlencoded");
	sent = "x=1";
	assert_int_equal(ask("POST", "/any"), 403);
}

static void
form_cookie(void **state)
{
	char cookie[TOKEN_SIZE] = "", mac[TOKEN_SIZE], form[128], *p;

	(void)state;
	env[0] = NULL;
	(void)req_init(&rq, &cf, env, &(const char *){ "" });
	rq.host = "localhost";
	rsp_init(&rs, &rq);
	auth_form(&rq, &rs);
	assert_non_null(
	    p = strstr(rs.headers.data, "Set-Cookie: parley-form="));
	assert_non_null(strstr(p, "; HttpOnly; SameSite=Lax"));
	memcpy(cookie, p + 24, TOKEN_SIZE - 1);
	memcpy(mac, rq.who.csrf, sizeof(mac));
	req_fini(&rq);
	(void)snprintf(form, sizeof(form), "csrf=%s", mac);
	with("CONTENT_TYPE=application/x-www-form-urlencoded");
	with("HTTP_COOKIE=parley-form=%s", cookie);
	sent = form;
	assert_int_equal(ask("POST", "/any"), 200);
	cookie[0] = cookie[0] == 'A' ? 'B' : 'A';
	with("CONTENT_TYPE=application/x-www-form-urlencoded");
	with("HTTP_COOKIE=parley-form=%s", cookie);
	sent = form;
	assert_int_equal(ask("POST", "/any"), 403);
}

/* A request by hand, for functions that take one. */
static void
begin(void)
{
	static char addr[] = "REMOTE_ADDR=9.9.9.9", uri[] = "REQUEST_URI=/any";
	static char *by_hand[] = { addr, uri, NULL };
	const char *code;

	assert_int_equal(req_init(&rq, &cf, by_hand, &code), 0);
	rq.st = st;
}

static void
logins(void **state)
{
	struct user_patch off = { .admin = -1, .disabled = 1 };
	struct user_patch on = { .admin = -1, .disabled = 0 };
	int64_t wait = 0, i;

	(void)state;
	begin();
	assert_int_equal(auth_login(&rq, " AGENT@example.com", PASSWORD,
			     strlen(PASSWORD), &s, &wait),
	    200);
	assert_int_equal(s.user, agent);
	with("HTTP_COOKIE=parley=%s", s.cookie);
	assert_int_equal(ask("GET", "/agent"), 200);
	begin();
	assert_int_equal(
	    auth_login(&rq, "agent@example.com", "wrong wrong", 11, &s, &wait),
	    401);
	assert_int_equal(s.user, 0);
	assert_int_equal(auth_login(&rq, "nobody@example.com", PASSWORD,
			     strlen(PASSWORD), &s, &wait),
	    401);
	assert_int_equal(store_user_patch(st, agent, &off), STORE_DONE);
	assert_int_equal(auth_login(&rq, "agent@example.com", PASSWORD,
			     strlen(PASSWORD), &s, &wait),
	    401);
	assert_int_equal(store_user_patch(st, agent, &on), STORE_DONE);
	for (i = 0; i < 10 && wait == 0; i++)
		(void)auth_login(
		    &rq, "agent@example.com", "wrong wrong", 11, &s, &wait);
	assert_in_range(i, 3, 5);
	assert_int_equal(wait, 1);
	/* Even the right one waits now. */
	assert_int_equal(auth_login(&rq, "agent@example.com", PASSWORD,
			     strlen(PASSWORD), &s, &wait),
	    429);
	rate_clear(&cf, "agent@example.com", "9.9.9.9");
	assert_int_equal(auth_login(&rq, "agent@example.com", PASSWORD,
			     strlen(PASSWORD), &s, &wait),
	    200);
	req_fini(&rq);
}

static void
integrators(void **state)
{
	struct jwt j = { .user = "Ext-7", .name = "Ext", .role = "agent" };
	char text[JWT_BYTES_MAX];
	char *was = cf.integrator_key, *role = cf.integrator_role;
	static char key[] = OTHER_KEY, as_admin[] = "admin";
	struct who w;
	int64_t id;

	(void)state;
	j.exp = clock_now_ms() / 1000 + 100;
	assert_true(jwt_sign(OTHER_KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 401);
	cf.integrator_key = key;
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 200);
	id = seen.id;
	assert_true(id > 0 && id != agent && id != admin);
	assert_string_equal(seen.name, "Ext");
	assert_int_equal(cred_ref(st, &cf, seen.ref, &w), 1);
	assert_int_equal(w.id, id);
	/* The same again is the same user; other letters are another. */
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/quick"), 200);
	assert_int_equal(seen.id, id);
	(void)snprintf(j.user, sizeof(j.user), "ext-7");
	assert_true(jwt_sign(OTHER_KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 200);
	assert_int_not_equal(seen.id, id);
	/* No more than the setting gives, no more than the token says. */
	(void)snprintf(j.role, sizeof(j.role), "admin");
	assert_true(jwt_sign(OTHER_KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/admin"), 403);
	cf.integrator_role = as_admin;
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/admin"), 200);
	j.role[0] = '\0';
	assert_true(jwt_sign(OTHER_KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/admin"), 403);
	(void)snprintf(j.role, sizeof(j.role), "customer");
	assert_true(jwt_sign(OTHER_KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 401);
	cf.integrator_key = was;
	cf.integrator_role = role;
}

static void
own_jwt(void **state)
{
	struct jwt j = { .role = "admin" };
	char text[JWT_BYTES_MAX];

	(void)state;
	login_as(agent);
	j.user_id = agent;
	j.session = s.id;
	j.exp = clock_now_ms() / 1000 + 100;
	/* The token says admin, the database does not. */
	assert_true(jwt_sign(KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/admin"), 403);
	/* Of another's session. */
	j.user_id = admin;
	assert_true(jwt_sign(KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 401);
	/* Without a session, for another audience, expired. */
	j.user_id = agent;
	j.session = 0;
	assert_true(jwt_sign(KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 401);
	j.session = s.id;
	(void)snprintf(j.aud, sizeof(j.aud), "other");
	assert_true(jwt_sign(KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 401);
	j.aud[0] = '\0';
	j.exp = clock_now_ms() / 1000 - 61;
	assert_true(jwt_sign(KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 401);
	/* Less in the token than in the database: the token's. */
	login_as(admin);
	j.user_id = admin;
	j.session = s.id;
	j.exp += 200;
	j.role[0] = '\0';
	assert_true(jwt_sign(KEY, 32, &j, text) > 0);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/admin"), 403);
}

static void
api_keys(void **state)
{
	char text[TOKEN_TEXT_SIZE];
	int64_t id;
	struct who w;
	char ref[64];

	(void)state;
	assert_int_equal(auth_key_new(st, &cf, agent, "script", &id, text), 1);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("POST", "/agent"), 200);
	assert_int_equal(seen.via, 'k');
	(void)snprintf(
	    ref, sizeof(ref), "k:%lld:%lld", (long long)agent, (long long)id);
	assert_string_equal(seen.ref, ref);
	assert_int_equal(cred_ref(st, &cf, ref, &w), 1);
	assert_int_equal(store_key_end(st, id), STORE_DONE);
	with("HTTP_AUTHORIZATION=Bearer %s", text);
	assert_int_equal(ask("GET", "/agent"), 401);
	assert_int_equal(cred_ref(st, &cf, ref, &w), 0);
}

static void
pushd(void **state)
{
	(void)state;
	with("PARLEY_INTERNAL=wrong");
	assert_int_equal(ask("POST", "/internal/x"), 404);
	with("PARLEY_INTERNAL=internal-key-of-16");
	assert_int_equal(ask("POST", "/internal/x"), 200);
	assert_int_equal(seen.kind, WHO_PUSHD);
	/* As a header it is a client's word. */
	with("HTTP_PARLEY_INTERNAL=internal-key-of-16");
	assert_int_equal(ask("POST", "/internal/x"), 404);
	login_as(agent);
	with("PARLEY_INTERNAL=internal-key-of-16");
	with("PARLEY_AS=u:%lld:%lld", (long long)agent, (long long)s.id);
	assert_int_equal(ask("POST", "/agent"), 200);
	assert_int_equal(seen.id, agent);
	assert_int_equal(seen.via, 'i');
	with("PARLEY_AS=u:%lld:%lld", (long long)agent, (long long)s.id);
	assert_int_equal(ask("POST", "/agent"), 401);
	with("PARLEY_INTERNAL=internal-key-of-16");
	with("PARLEY_AS=u:1:999999");
	assert_int_equal(ask("POST", "/agent"), 401);
}

static void
identify(void **state)
{
	struct cred c = { .host = "localhost:8080" };
	const char *code;
	char cookie[256];
	struct who w;

	(void)state;
	assert_int_equal(auth_identify(st, &cf, &c, &w, &code), 401);
	login_as(agent);
	(void)snprintf(cookie, sizeof(cookie), "x=1; parley=%s", s.cookie);
	c.cookie = cookie;
	assert_int_equal(auth_identify(st, &cf, &c, &w, &code), 0);
	assert_int_equal(w.id, agent);
	c.origin = "http://localhost:8080";
	assert_int_equal(auth_identify(st, &cf, &c, &w, &code), 0);
	c.origin = "http://evil.example";
	assert_int_equal(auth_identify(st, &cf, &c, &w, &code), 403);
	assert_string_equal(code, "bad_origin");
	c.origin = "null";
	assert_int_equal(auth_identify(st, &cf, &c, &w, &code), 403);
}

static void
rates(void **state)
{
	int i, status = 0;

	(void)state;
	for (i = 0; i < 60 && status != 429; i++) {
		with("REMOTE_ADDR=7.7.7.7");
		status = ask("GET", "/any");
	}
	assert_in_range(i, 40, 45);
	assert_true(head_has("Retry-After: 1\r\n"));
	assert_true(code_is("rate_limited"));
	with("REMOTE_ADDR=7.7.7.8");
	assert_int_equal(ask("GET", "/any"), 200);
}

static void
redirects(void **state)
{
	static const char *const bad[] = { "//evil", "/\\evil", "http://evil",
		"", "x", "/a\nb", "/a\\b" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(auth_next(bad[i]), "/inbox");
	assert_string_equal(auth_next(NULL), "/inbox");
	assert_string_equal(auth_next("/inbox/5?x=1"), "/inbox/5?x=1");
	/* A header cannot be broken into two. */
	begin();
	rsp_init(&rs, &rq);
	rsp_header(&rs, "X-A", "%s", "b\r\nSet-Cookie: c=d");
	assert_string_equal(rs.headers.data, "X-A: bSet-Cookie: c=d\r\n");
	req_fini(&rq);
}

static int
add_user(const char *email, const char *name, bool is_admin, int64_t *id)
{
	struct user u;

	memset(&u, 0, sizeof(u));
	(void)snprintf(u.email, sizeof(u.email), "%s", email);
	(void)snprintf(u.name, sizeof(u.name), "%s", name);
	u.admin = is_admin;
	if (password_hash(&cf, PASSWORD, strlen(PASSWORD), u.password) == -1 ||
	    store_user_add(st, &u) != STORE_DONE)
		return -1;
	*id = u.id;
	return 0;
}

static int
setup(void **state)
{
	struct customer_patch p = { .name = "Lan" };
	struct store_options op = { .create = true };
	struct buf err;
	char path[128];

	(void)state;
	(void)log_open("test", "/dev/null", LOG_ERROR);
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)setenv("PARLEY_RUN_DIR", dir, 1);
	(void)setenv("PARLEY_JWT_KEY", KEY, 1);
	(void)setenv("PARLEY_INTERNAL_KEY", "internal-key-of-16", 1);
	(void)setenv("PARLEY_LIMITS", "off", 1);
	buf_init(&err, 10000);
	buf_init(&body, 100000);
	buf_init(&head, 100000);
	if (token_init() == -1 || conf_load(&cf, NULL, CONF_FCGI, &err) == -1)
		return -1;
	buf_fini(&err);
	(void)snprintf(path, sizeof(path), "%s/parley.db", dir);
	op.path = path;
	op.mode = STORE_MODE_NORMAL;
	if (store_init(&op) == STORE_FAILED ||
	    store_open(&op, &st) != STORE_DONE)
		return -1;
	if (add_user("agent@example.com", "Agent", false, &agent) == -1 ||
	    add_user("admin@example.com", "Admin", true, &admin) == -1 ||
	    store_customer_add(st, NULL, &p, &customer) != STORE_DONE)
		return -1;
	sent = "";
	return 0;
}

static int
teardown(void **state)
{
	char cmd[64];

	(void)state;
	store_close(st);
	rate_close();
	rsp_fini(&rs);
	buf_fini(&body);
	buf_fini(&head);
	conf_free(&cf);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routing),
		cmocka_unit_test(bodies),
		cmocka_unit_test(cors),
		cmocka_unit_test(kinds),
		cmocka_unit_test(tokens_in_urls),
		cmocka_unit_test(sessions_end),
		cmocka_unit_test(csrf),
		cmocka_unit_test(form_cookie),
		cmocka_unit_test(logins),
		cmocka_unit_test(integrators),
		cmocka_unit_test(own_jwt),
		cmocka_unit_test(api_keys),
		cmocka_unit_test(pushd),
		cmocka_unit_test(identify),
		cmocka_unit_test(rates),
		cmocka_unit_test(redirects),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
