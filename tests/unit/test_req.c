/* req.c: path, query, form, cookies, body: bounded, strict, cut at each byte.
 */

#include "req.h"
#include "route.h"
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct conf cf;
static struct req rq;
static char *env[64];
static size_t nenv;
static const char *code;

/* Begin a request with NAME=VALUE texts. */
static int
begin(const char *uri)
{
	static char text[8192];

	req_fini(&rq);
	(void)snprintf(text, sizeof(text), "REQUEST_URI=%s", uri);
	env[nenv] = text;
	env[nenv + 1] = NULL;
	code = "";
	return req_init(&rq, &cf, env, &code);
}

static void
with(const char *param)
{
	env[nenv++] = strdup(param);
}

static void
plain(void)
{
	while (nenv > 0)
		free(env[--nenv]);
}

static void
paths(void **state)
{
	static const char *const bad[] = { "/..", "/a/../b", "/./a", "//a",
		"/a//b", "/%2e%2e/a", "/a%2Fb", "/a%5Cb", "/a\\b", "/a%00b",
		"/a%0ab", "/%ff", "/a%2", "/a%zz", "/a%", "a", "",
		"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17" };
	size_t i;

	(void)state;
	plain();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (begin(bad[i]) == 0)
			fail_msg("taken: %s as %s", bad[i], rq.path);
	assert_int_equal(begin("/api/v%31/x%20y%C3%A9?q=%41"), 0);
	assert_string_equal(rq.path, "/api/v1/x y\xc3\xa9");
	assert_int_equal(rq.nsegments, 3);
	assert_string_equal(rq.segments[2], "x y\xc3\xa9");
	assert_string_equal(rq.query, "q=%41");
	assert_int_equal(begin("/"), 0);
	assert_string_equal(rq.path, "/");
	assert_int_equal(begin("/a/"), 0);
	assert_string_equal(rq.path, "/a");
	assert_int_equal(begin("http://host:80/a?b"), 0);
	assert_string_equal(rq.path, "/a");
	assert_int_equal(begin("http://host?b"), 0);
	assert_string_equal(rq.path, "/");
}

static void
base_paths(void **state)
{
	static char chat[] = "/chat";
	char *none = cf.base_path;

	(void)state;
	plain();
	cf.base_path = chat;
	assert_int_equal(begin("/chat/api/me"), 0);
	assert_string_equal(rq.path, "/api/me");
	assert_string_equal(rq.base_path, "/chat");
	assert_int_equal(begin("/chat"), 0);
	assert_string_equal(rq.path, "/");
	assert_int_equal(begin("/chatter/x"), 0);
	assert_string_equal(rq.path, "/chatter/x");
	cf.base_path = none;
	with("SCRIPT_NAME=/shop/app.fcgi");
	assert_int_equal(begin("/shop/api/me"), 0);
	assert_string_equal(rq.path, "/api/me");
	assert_string_equal(rq.base_path, "/shop");
	assert_int_equal(begin("/shop/app.fcgi/api/me"), 0);
	assert_string_equal(rq.path, "/api/me");
	plain();
	with("SCRIPT_NAME=/api");
	assert_int_equal(begin("/api/me"), 0);
	assert_string_equal(rq.path, "/api/me");
	plain();
}

static void
head_limits(void **state)
{
	char big[9000];
	int i;

	(void)state;
	plain();
	memset(big, 'x', sizeof(big));
	memcpy(big, "/", 1);
	big[4097] = '\0';
	assert_int_equal(begin(big), 414);
	memset(big, 'x', sizeof(big));
	memcpy(big, "HTTP_X=", 7);
	big[8195] = '\0';
	with(big);
	assert_int_equal(begin("/"), 431);
	assert_string_equal(code, "headers_too_large");
	plain();
	memset(big, 'N', 300);
	memcpy(big + 300, "=1", 3);
	with(big);
	assert_int_equal(begin("/"), 431);
	plain();
	cf.headers_max = 3;
	for (i = 0; i < 4; i++)
		with("HTTP_A=1");
	assert_int_equal(begin("/"), 431);
	cf.headers_max = 100;
	plain();
}

static void
client(void **state)
{
	static char proxies[] = "10.0.0.0/8";
	char *none = cf.trusted_proxies;

	(void)state;
	plain();
	with("REMOTE_ADDR=10.1.1.1");
	with("HTTP_X_FORWARDED_FOR=8.8.8.8");
	with("HTTP_X_FORWARDED_PROTO=https");
	assert_int_equal(begin("/"), 0);
	assert_string_equal(rq.addr, "10.1.1.1");
	assert_false(rq.https);
	cf.trusted_proxies = proxies;
	assert_int_equal(begin("/"), 0);
	assert_string_equal(rq.addr, "8.8.8.8");
	assert_true(rq.https);
	assert_false(rq.loopback);
	cf.trusted_proxies = none;
	plain();
	with("REMOTE_ADDR=127.0.0.1");
	with("REDIRECT_HTTP_AUTHORIZATION=Bearer x");
	with("HTTP_X_CSRF_TOKEN=t");
	assert_int_equal(begin("/"), 0);
	assert_true(rq.loopback);
	assert_string_equal(req_header(&rq, "authorization"), "Bearer x");
	assert_string_equal(req_header(&rq, "X-CSRF-Token"), "t");
	assert_null(req_header(&rq, "X-CSRF"));
	plain();
}

static void
queries(void **state)
{
	size_t len;
	int64_t v = 9;

	(void)state;
	assert_int_equal(begin("/?a=1&b=x+y%2B&&c&=e&a=2&d=%00z&n=x"), 0);
	assert_true(req_query_good(&rq));
	assert_string_equal(req_query(&rq, "a", NULL), "1");
	assert_string_equal(req_query(&rq, "b", &len), "x y+");
	assert_string_equal(req_query(&rq, "c", &len), "");
	assert_int_equal(len, 0);
	(void)req_query(&rq, "d", &len);
	assert_int_equal(len, 2);
	assert_null(req_query(&rq, "zz", NULL));
	assert_int_equal(req_query_int(&rq, "a", 0, 5, &v), 1);
	assert_int_equal(v, 1);
	assert_int_equal(req_query_int(&rq, "zz", 0, 5, &v), 0);
	assert_int_equal(req_query_int(&rq, "n", 0, 5, &v), -1);
	assert_string_equal(rq.bad_field, "n");
	assert_int_equal(begin("/?a=%zz"), 0);
	assert_false(req_query_good(&rq));
	assert_int_equal(begin("/?a=%ff"), 0);
	assert_false(req_query_good(&rq));
	assert_null(req_query(&rq, "a", NULL));
}

/* Each parser over each beginning of ${text}, in memory of just that size. */
static void
cut(const char *text,
    int (*parse)(const char *, size_t, char *, struct req_field *, size_t))
{
	size_t n = strlen(text), i;

	for (i = 0; i <= n; i++) {
		struct req_field f[8];
		char *p = malloc(i > 0 ? i : 1), *buf = malloc(i + 2);
		int got, j;

		memcpy(p, text, i);
		got = parse(p, i, buf, f, 8);
		assert_true(got >= -1 && got <= 8);
		for (j = 0; j < got; j++) {
			assert_true(f[j].name >= buf);
			assert_true(f[j].value + f[j].value_len < buf + i + 2);
			assert_int_equal(f[j].value[f[j].value_len], 0);
			assert_int_equal(f[j].name[f[j].name_len], 0);
		}
		free(p);
		free(buf);
	}
}

static void
cut_anywhere(void **state)
{
	static const char path[] = "/a%41/b%C3%A9/c/";
	size_t i;

	(void)state;
	cut("a=1&b=%C3%A9+x&c&=&d=%41%42", req_parse_form);
	cut("&&&a&b&c=&=d&e=f", req_parse_form);
	cut("a=1&a=2&a=3&a=4&a=5&a=6&a=7&a=8&a=9", req_parse_form);
	cut("a=1; b=\"q\" ;c; =d; e f=1; g=\x01; h=a=b;", req_parse_cookies);
	cut("a=1;a=2;a=3;a=4;a=5;a=6;a=7;a=8;a=9;a", req_parse_cookies);
	for (i = 0; i < sizeof(path); i++) {
		char *p = malloc(i > 0 ? i : 1), *buf = malloc(i + 2);
		char *segments[4];

		memcpy(p, path, i);
		(void)req_parse_path(p, i, buf, segments, 4);
		free(p);
		free(buf);
	}
}

static void
cookies(void **state)
{
	(void)state;
	plain();
	with("HTTP_COOKIE=parley=a.b.c; x=\"y z\"; parley=second; bad name=1;"
	     " e=; =v");
	assert_int_equal(begin("/"), 0);
	assert_string_equal(req_cookie(&rq, "parley"), "a.b.c");
	assert_string_equal(req_cookie(&rq, "x"), "y z");
	assert_string_equal(req_cookie(&rq, "e"), "");
	assert_null(req_cookie(&rq, "bad name"));
	assert_null(req_cookie(&rq, "Parley"));
	plain();
	assert_int_equal(begin("/"), 0);
	assert_null(req_cookie(&rq, "parley"));
}

static int
body(const char *type, unsigned flags, const char *text)
{
	static struct route rt;
	char param[128];

	plain();
	(void)snprintf(param, sizeof(param), "CONTENT_TYPE=%s", type);
	with(param);
	assert_int_equal(begin("/"), 0);
	rt.flags = flags;
	rq.route = &rt;
	return req_body(&rq, text, strlen(text), &code);
}

static void
json_bodies(void **state)
{
	int64_t v = 7;
	bool b;

	(void)state;
	assert_int_equal(
	    body("application/json; charset=utf-8", 0,
		"{\"s\":\"ab\",\"i\":5,\"b\":true,\"n\":null,\"id\":\"9\","
		"\"z\":\"a\\u0000b\",\"v\":\"\xe1\xba\xa1\xe1\xba\xa1\"}"),
	    0);
	assert_string_equal(req_str(&rq, "s", 1, 2), "ab");
	assert_null(rq.bad_field);
	assert_int_equal(req_int(&rq, "i", 0, 9, &v), 1);
	assert_int_equal(v, 5);
	assert_int_equal(req_int(&rq, "n", 0, 9, &v), 0);
	assert_int_equal(req_id(&rq, "id", &v), 1);
	assert_int_equal(v, 9);
	assert_int_equal(req_bool(&rq, "b", &b), 1);
	assert_string_equal(req_opt(&rq, "none", 5, "d"), "d");
	assert_string_equal(
	    req_text(&rq, "v", 1, 2, 100, NULL), "\xe1\xba\xa1\xe1\xba\xa1");
	assert_null(rq.bad_field);
	assert_null(req_text(&rq, "v", 1, 1, 100, NULL));
	assert_string_equal(rq.bad_field, "v");
	rq.bad_field = NULL;
	assert_null(req_str(&rq, "s", 3, 9));
	assert_string_equal(rq.bad_field, "s");
	/* The first fault stays. */
	assert_null(req_str(&rq, "z", 0, 9));
	assert_string_equal(rq.bad_field, "s");
	rq.bad_field = NULL;
	assert_null(req_str(&rq, "i", 0, 9));
	assert_string_equal(rq.bad_field, "i");
	assert_int_equal(req_int(&rq, "i", 6, 9, &v), -1);
	assert_int_equal(v, 9);

	assert_int_equal(body("application/json", 0, "[]"), 400);
	assert_int_equal(body("application/json", 0, "{"), 400);
	assert_string_equal(code, "bad_json");
	assert_int_equal(body("application/json", 0, "{\"a\":\"\xff\"}"), 400);
	assert_string_equal(code, "bad_utf8");
	assert_int_equal(body("text/plain", 0, "{}"), 415);
	assert_int_equal(body("application/jsonx", 0, "{}"), 415);
	assert_int_equal(
	    body("application/x-www-form-urlencoded", 0, "a=1"), 415);
	assert_int_equal(body("", 0, ""), 0);
	assert_non_null(rq.json);
	assert_int_equal(body("x/y", ROUTE_RAW, "raw"), 0);
	assert_string_equal(rq.body, "raw");
}

static void
form_bodies(void **state)
{
	int64_t v = 7;
	size_t len;
	bool b = false;

	(void)state;
	assert_int_equal(body("application/x-www-form-urlencoded", ROUTE_FORM,
			     "s=a+b&i=5&on=1&e=&id=4&bad=x"),
	    0);
	assert_string_equal(req_str(&rq, "s", 1, 9), "a b");
	assert_string_equal(req_form(&rq, "s", &len), "a b");
	assert_int_equal(len, 3);
	assert_int_equal(req_int(&rq, "i", 0, 9, &v), 1);
	assert_int_equal(req_int(&rq, "e", 0, 9, &v), 0);
	assert_int_equal(req_int(&rq, "bad", 0, 9, &v), -1);
	assert_int_equal(req_bool(&rq, "on", &b), 1);
	assert_true(b);
	assert_int_equal(req_id(&rq, "id", &v), 1);
	assert_int_equal(v, 4);
	assert_int_equal(req_id(&rq, "bad", &v), -1);
	assert_string_equal(req_text(&rq, "e", 0, 5, 9, "d"), "d");
	assert_int_equal(
	    body("application/x-www-form-urlencoded", ROUTE_FORM, "a=%"), 400);
	cf.form_fields_max = 2;
	assert_int_equal(
	    body("application/x-www-form-urlencoded", ROUTE_FORM, "a&b&c"),
	    400);
	cf.form_fields_max = 100;
	assert_int_equal(body("application/json", ROUTE_FORM, "{\"a\":1}"), 0);
}

static void
memory(void **state)
{
	char *a, *b;
	int i;

	(void)state;
	assert_int_equal(begin("/"), 0);
	for (i = 0; i < 100; i++) {
		a = req_alloc(&rq, 3001);
		assert_non_null(a);
		memset(a, i, 3001);
		assert_int_equal((uintptr_t)a % 16, 0);
	}
	b = req_alloc(&rq, 1 << 20);
	assert_non_null(b);
	assert_null(req_alloc(&rq, (size_t)1 << 40));
	for (i = 0; i < 1000 && b != NULL; i++)
		b = req_alloc(&rq, 1 << 20);
	assert_null(b);
}

static int
setup(void **state)
{
	struct buf err;

	(void)state;
	buf_init(&err, 10000);
	if (token_init() == -1 ||
	    conf_load(&cf, NULL, CONF_FCGI | CONF_LAX, &err) == -1)
		return -1;
	buf_fini(&err);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	plain();
	req_fini(&rq);
	conf_free(&cf);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(base_paths),
		cmocka_unit_test(head_limits),
		cmocka_unit_test(client),
		cmocka_unit_test(queries),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(cookies),
		cmocka_unit_test(json_bodies),
		cmocka_unit_test(form_bodies),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
