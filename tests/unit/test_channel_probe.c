/*
 * The request by which each platform is asked whether its token is good, and
 * what the answers mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "channel_probe.h"

#define NOW 1767000000000LL

static struct platform {
	const char *name, *config;
	const char *method, *url, *headers, *body; /* parts of; NULL: empty */
	const char *good, *account, *id;
	long bad_status;
	const char *bad, *words;
} const platforms[] = {
	{ "facebook",
	    "{\"fb_page_id\":\"12\",\"fb_page_token\":\"T/1\","
	    "\"fb_api_base\":\"http://127.0.0.1:1\"}",
	    "GET",
	    "http://127.0.0.1:1/v25.0/me?fields=id,name&access_token=T%2F1",
	    NULL, NULL, "{\"id\":\"12\",\"name\":\"Shop\"}", "Shop", "12", 400,
	    "{\"error\":{\"message\":\"Session has expired\",\"code\":190}}",
	    "Session has expired" },
	{ "instagram",
	    "{\"ig_account_id\":\"17\",\"ig_token\":\"T\","
	    "\"ig_api_base\":\"http://127.0.0.1:1/\"}",
	    "GET",
	    "http://127.0.0.1:1/v25.0/me?fields=user_id,username"
	    "&access_token=T",
	    NULL, NULL, "{\"user_id\":\"17\",\"username\":\"shop\"}", "shop",
	    "17", 400,
	    "{\"error\":{\"message\":\"Session has expired\",\"code\":190}}",
	    "Session has expired" },
	{ "whatsapp",
	    "{\"wa_phone_number_id\":\"106\",\"wa_token\":\"T\","
	    "\"wa_api_base\":\"http://127.0.0.1:1\"}",
	    "GET", "http://127.0.0.1:1/v25.0/106?fields=id,verified_name",
	    "Authorization: Bearer T\n", NULL,
	    "{\"id\":\"106\",\"verified_name\":\"Shop\"}", "Shop", "106", 401,
	    "{\"error\":{\"message\":\"Bad token\",\"code\":190}}",
	    "Bad token" },
	{ "zalo",
	    "{\"zalo_oa_id\":\"25\",\"zalo_access_token\":\"T\","
	    "\"zalo_api_base\":\"http://127.0.0.1:1\"}",
	    "GET", "http://127.0.0.1:1/v2.0/oa/getoa", "access_token: T\n",
	    NULL,
	    "{\"error\":0,\"data\":{\"oa_id\":9007199254740993,"
	    "\"name\":\"Shop\"}}",
	    "Shop", "9007199254740993", 200,
	    "{\"error\":-216,\"message\":\"Access token is invalid\"}",
	    "Access token is invalid" },
	{ "line",
	    "{\"line_channel_token\":\"T\","
	    "\"line_api_base\":\"http://127.0.0.1:1\"}",
	    "GET", "http://127.0.0.1:1/v2/bot/info",
	    "Authorization: Bearer T\n", NULL,
	    "{\"userId\":\"U1\",\"displayName\":\"Shop\"}", "Shop", "U1", 401,
	    "{\"message\":\"Authentication failed\"}",
	    "Authentication failed" },
	{ "telegram",
	    "{\"tg_bot_token\":\"7:AAx_1\","
	    "\"tg_api_base\":\"http://127.0.0.1:1\"}",
	    "POST", "http://127.0.0.1:1/bot7:AAx_1/getMe",
	    "Content-Type: application/json\n", "{}",
	    "{\"ok\":true,\"result\":{\"id\":7,\"first_name\":\"Shop\"}}",
	    "Shop", "7", 401,
	    "{\"ok\":false,\"error_code\":401,"
	    "\"description\":\"Unauthorized\"}",
	    "Unauthorized" },
	{ "tiktok",
	    "{\"tiktok_app_id\":\"5\",\"tiktok_access_token\":\"T\","
	    "\"tiktok_api_base\":\"http://127.0.0.1:1\"}",
	    "POST", "http://127.0.0.1:1/open_api/v1.3/tt_user/token_info/get/",
	    "Content-Type: application/json\n",
	    "{\"app_id\":\"5\",\"access_token\":\"T\"}",
	    "{\"code\":0,\"message\":\"OK\",\"data\":{\"scope\":\"a\"}}", "",
	    "", 200,
	    "{\"code\":40105,\"message\":\"Access token is incorrect\"}",
	    "Access token is incorrect" },
	{ "custom",
	    "{\"custom_secret\":\"S\","
	    "\"custom_out_url\":\"http://127.0.0.1:1/x\"}",
	    "POST", "http://127.0.0.1:1/x",
	    "Content-Type: application/json\nX-Parley-Timestamp: 1767000000\n"
	    "X-Parley-Signature: v1=",
	    "{\"type\":\"ping\"}", "", "", "", 403, "{\"error\":\"go away\"}",
	    "go away" },
};
#define PLATFORMS (sizeof(platforms) / sizeof(platforms[0]))

/* A member as text, "" for null. */
static const char *
text_at(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	assert_true(json_object_object_get_ex(o, key, &v));
	return v != NULL ? json_object_get_string(v) : "";
}

static struct channel_account
account_of(const char *name, const char *config)
{
	struct channel_account ac = { .id = 1, .ch = channel_find(name) };

	assert_non_null(ac.ch);
	assert_non_null(ac.config = json_tokener_parse(config));
	return ac;
}

/* The members in any order. */
static void
same_json(const char *got, const char *want)
{
	struct json_object *a = json_tokener_parse(got);
	struct json_object *b = json_tokener_parse(want);

	assert_true(json_object_equal(a, b));
	json_object_put(a);
	json_object_put(b);
}

static void
test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < PLATFORMS; i++) {
		const struct platform *p = &platforms[i];
		struct channel_account ac = account_of(p->name, p->config);
		struct http_request rq;

		http_request_init(&rq, "POST");
		assert_int_equal(ac.ch->probe(&ac, NOW, &rq), 1);
		assert_string_equal(rq.method, p->method);
		assert_string_equal(rq.url.data, p->url);
		if (p->headers == NULL)
			assert_int_equal(rq.headers.len, 0);
		else
			assert_non_null(strstr(rq.headers.data, p->headers));
		if (p->body == NULL)
			assert_int_equal(rq.body.len, 0);
		else
			same_json(rq.body.data, p->body);
		http_request_fini(&rq);
		json_object_put(ac.config);

		/* With nothing to ask with there is no request. */
		ac = account_of(p->name, "{}");
		http_request_init(&rq, "POST");
		assert_int_equal(ac.ch->probe(&ac, NOW, &rq), 0);
		http_request_fini(&rq);
		json_object_put(ac.config);
	}
}

static void
answered(const struct platform *p, long status, const char *body,
    struct channel_result *rs)
{
	struct channel_account ac = account_of(p->name, p->config);
	struct http_answer an;

	http_answer_init(&an);
	an.end = HTTP_ANSWERED;
	an.status = status;
	buf_puts(&an.body, body);
	ac.ch->probed(&ac, &an, rs);
	http_answer_fini(&an);
	json_object_put(ac.config);
}

static void
test_answers(void **state)
{
	struct channel_result rs;

	(void)state;
	for (size_t i = 0; i < PLATFORMS; i++) {
		const struct platform *p = &platforms[i];

		answered(p, 200, p->good, &rs);
		assert_int_equal(rs.cls, CHANNEL_SENT);
		if (*p->account != '\0')
			assert_string_equal(rs.message, p->account);
		assert_string_equal(rs.message_id, p->id);

		answered(p, p->bad_status, p->bad, &rs);
		assert_int_equal(rs.cls, CHANNEL_REAUTH);
		assert_string_equal(rs.message, p->words);

		/* An answer of somebody else's is no proof. */
		if (strcmp(p->name, "custom") != 0) {
			answered(p, 200, "<html>sign in</html>", &rs);
			assert_int_not_equal(rs.cls, CHANNEL_SENT);
			answered(p, 200, "[]", &rs);
			assert_int_not_equal(rs.cls, CHANNEL_SENT);
		}
		answered(p, 503, "down", &rs);
		assert_int_not_equal(rs.cls, CHANNEL_SENT);
		assert_int_not_equal(rs.cls, CHANNEL_REAUTH);
		assert_int_not_equal(rs.cls, CHANNEL_PERMANENT);
	}
}

/* A Page's token speaks for the Instagram account that is linked to it. */
static void
test_instagram_page(void **state)
{
	static const struct platform p = { "instagram",
		"{\"ig_account_id\":\"17\",\"ig_page_id\":\"12\","
		"\"ig_token\":\"T\"}",
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL };
	struct channel_account ac = account_of(p.name, p.config);
	struct channel_result rs;
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(ac.ch->probe(&ac, NOW, &rq), 1);
	assert_non_null(strstr(rq.url.data, "/me?fields=id,name&"));
	http_request_fini(&rq);
	json_object_put(ac.config);
	answered(&p, 200, "{\"id\":\"12\",\"name\":\"Shop\"}", &rs);
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message, "Shop");
	assert_string_equal(rs.message_id, "");
	answered(&p, 200, "{\"id\":\"13\",\"name\":\"Other\"}", &rs);
	assert_string_equal(rs.message_id, "13");
}

static void
tells(long status, enum http_end end, const char *body, const char *code,
    const char *account, const char *text, const char *advice)
{
	struct channel_account ac = account_of(
	    "facebook", "{\"fb_page_id\":\"12\",\"fb_page_token\":\"T\"}");
	struct channel_result rs = { 0 };
	struct http_answer an;
	struct json_object *o;

	http_answer_init(&an);
	an.end = end;
	an.status = status;
	snprintf(an.why, sizeof(an.why), "%s",
	    end == HTTP_ANSWERED ? "" : "timeout");
	if (body != NULL) {
		buf_puts(&an.body, body);
		ac.ch->probed(&ac, &an, &rs);
	}
	o = channel_probe_result(&ac, body != NULL ? &an : NULL, &rs);
	assert_string_equal(text_at(o, "code"), code);
	assert_string_equal(
	    text_at(o, "ok"), strcmp(code, "ok") == 0 ? "true" : "false");
	assert_string_equal(text_at(o, "account"), account);
	assert_string_equal(text_at(o, "text"), text);
	if (*advice == '\0')
		assert_string_equal(text_at(o, "advice"), "");
	else
		assert_non_null(strstr(text_at(o, "advice"), advice));
	json_object_put(o);
	http_answer_fini(&an);
	json_object_put(ac.config);
}

/* What a person is told. */
static void
test_results(void **state)
{
	(void)state;
	tells(200, HTTP_ANSWERED, "{\"id\":\"12\",\"name\":\"Shop\"}", "ok",
	    "Shop", "", "");
	tells(200, HTTP_ANSWERED, "{\"id\":\"12\"}", "ok", "12", "", "");
	tells(200, HTTP_ANSWERED, "{\"id\":\"13\",\"name\":\"Other\"}",
	    "other_account", "Other", "", "fb_page_id");
	tells(0, HTTP_ANSWERED, NULL, "unset", "", "", "Enter fb_page_token");
	tells(400, HTTP_ANSWERED,
	    "{\"error\":{\"message\":\"Expired\",\"code\":190}}", "token", "",
	    "Expired", "fb_page_token is refused");
	tells(0, HTTP_UNSENT, "", "unreachable", "", "timeout", "Nobody");
	tells(0, HTTP_LOST, "", "unreachable", "", "timeout", "Nobody");
	tells(502, HTTP_ANSWERED, "down", "busy", "", "http 502", "Try again");
	tells(400, HTTP_ANSWERED,
	    "{\"error\":{\"message\":\"No such field\",\"code\":100}}",
	    "refused", "", "No such field", "Compare");
}

/* Of the settings only what was made up is told. */
static void
test_paste(void **state)
{
	struct json_object *made =
	    json_tokener_parse("{\"fb_verify_token\":\"WORD\"}");
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	channel_paste(
	    channel_find("facebook"), "https://x.example/h", made, &b);
	assert_non_null(strstr(b.data, "callback URL  https://x.example/h\n"));
	assert_non_null(strstr(b.data, "verify token  WORD\n"));
	json_object_put(made);
	made = json_object_new_object();
	buf_reset(&b);
	channel_paste(
	    channel_find("facebook"), "https://x.example/h", made, &b);
	assert_non_null(strstr(b.data, "(your fb_verify_token)\n"));
	buf_fini(&b);
	json_object_put(made);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_paste),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_instagram_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
