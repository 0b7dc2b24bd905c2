/* What bots' endpoints are told, and what their answers mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bot_prompt.h"
#include "json.h"
#include "token.h"

static struct json_object *
js(const char *text)
{
	struct json_object *o = NULL;
	const char *why;

	if (json_parse(text, strlen(text), 32, 1000, 10000, &o, &why) == -1)
		fail_msg("%s: %s", why, text);
	return o;
}

static struct bot
bot_of(const char *kind, const char *config, const char *secrets)
{
	struct bot b = {
		.id = 3, .config = js(config), .secrets = js(secrets)
	};

	snprintf(b.kind, sizeof b.kind, "%s", kind);
	return b;
}

static const char history[] =
    "[{\"id\":\"1\",\"sender\":\"customer\",\"kind\":\"text\","
    "\"content\":\"hi \\\"you\\\"\"},"
    "{\"id\":\"2\",\"sender\":\"agent\",\"kind\":\"text\","
    "\"content\":\"hello\"},"
    "{\"id\":\"3\",\"sender\":\"bot\",\"kind\":\"text\",\"content\":\"beep\"},"
    "{\"id\":\"4\",\"sender\":\"system\",\"kind\":\"system\","
    "\"content\":\"x\"},"
    "{\"id\":\"5\",\"sender\":\"customer\",\"kind\":\"image\","
    "\"content\":\"\"}]";

static void
test_chat_request(void **state)
{
	struct bot b = bot_of("assistant",
	    "{\"base_url\":\"https://ai.example/v1/\",\"model\":\"m-1\","
	    "\"system\":\"Be brief.\",\"max_tokens\":50,\"history\":7}",
	    "{\"api_key\":\"k3y\"}");
	struct bot_ask k = { .id = 9, .text = (char[]){ "price?" } };
	struct json_object *h = js(history);
	struct http_request rq;

	(void)state;
	assert_int_equal(bot_history_max(&b), 7);
	http_request_init(&rq, "POST");
	assert_int_equal(bot_request(&b, &k, h, 0, &rq), 0);
	assert_string_equal(
	    rq.url.data, "https://ai.example/v1/chat/completions");
	assert_string_equal(rq.headers.data,
	    "Content-Type: application/json\nAccept: application/json\n"
	    "Authorization: Bearer k3y\n");
	assert_string_equal(rq.body.data,
	    "{\"model\":\"m-1\",\"messages\":[{\"role\":\"system\","
	    "\"content\":\"Be brief.\\n\\nIf the customer should talk to a "
	    "person, or asks for one, end your answer with [[handover]].\"},"
	    "{\"role\":\"user\",\"content\":\"hi \\\"you\\\"\"},"
	    "{\"role\":\"assistant\",\"content\":\"hello\"},"
	    "{\"role\":\"assistant\",\"content\":\"beep\"},"
	    "{\"role\":\"user\",\"content\":\"[image]\"}],"
	    "\"stream\":false,\"max_tokens\":50}");
	http_request_fini(&rq);
	/* Tried out: the question alone. */
	http_request_init(&rq, "POST");
	assert_int_equal(bot_request(&b, &k, NULL, 0, &rq), 0);
	assert_non_null(strstr(
	    rq.body.data, "{\"role\":\"user\",\"content\":\"price?\"}]"));
	http_request_fini(&rq);
	json_object_put(h);
	bot_fini(&b);
}

static void
test_http_request(void **state)
{
	struct bot b = bot_of("http", "{\"url\":\"https://shop.example/bot\"}",
	    "{\"secret\":\"s3cret\"}");
	struct bot_ask k = { .id = 9,
		.bot = 3,
		.message = 55,
		.conversation = 7,
		.created_at = 1000,
		.kind = "text",
		.locale = "vi",
		.text = (char[]){ "giá" } };
	static const char want[] =
	    "{\"id\":\"9\",\"bot_id\":\"3\",\"conversation_id\":\"7\","
	    "\"message_id\":\"55\",\"text\":\"giá\",\"kind\":\"text\","
	    "\"locale\":\"vi\",\"created_at\":1000,\"history\":[]}";
	unsigned char mac[TOKEN_MAC_BYTES];
	char text[600], hex[65];
	struct http_request rq;
	size_t i;

	(void)state;
	assert_int_equal(bot_history_max(&b), 10);
	http_request_init(&rq, "POST");
	assert_int_equal(bot_request(&b, &k, NULL, 1700000000999, &rq), 0);
	assert_string_equal(rq.body.data, want);
	snprintf(text, sizeof text, "1700000000.%s", want);
	token_hmac("s3cret", 6, text, strlen(text), mac);
	for (i = 0; i < sizeof mac; i++)
		snprintf(hex + 2 * i, 3, "%02x", mac[i]);
	snprintf(text, sizeof text,
	    "X-Parley-Timestamp: 1700000000\nX-Parley-Signature: v1=%s\n"
	    "Idempotency-Key: 9\n",
	    hex);
	assert_non_null(strstr(rq.headers.data, text));
	http_request_fini(&rq);
	/* Without a secret nothing is sent. */
	json_object_object_del(b.secrets, "secret");
	http_request_init(&rq, "POST");
	assert_int_equal(bot_request(&b, &k, NULL, 0, &rq), -1);
	http_request_fini(&rq);
	bot_fini(&b);
}

/* What an answer of 200 with that body means. */
static enum bot_reply
read_body(const char *kind, const char *body, struct bot_answer *a)
{
	struct bot b = bot_of(kind, "{}", "{}");
	struct http_answer an;
	struct buf text;
	enum bot_reply rc;
	int64_t wait_s;

	memset(a, 0, sizeof *a);
	http_answer_init(&an);
	an.end = HTTP_ANSWERED;
	an.status = 200;
	buf_init(&text, 100000);
	buf_puts(&text, body);
	rc = bot_reply(&b, &an, &text, a, &wait_s);
	assert_int_equal(wait_s, 0);
	buf_fini(&text);
	http_answer_fini(&an);
	bot_fini(&b);
	return rc;
}

static void
chat(const char *body, const char *text, bool handover, int64_t tokens)
{
	struct bot_answer a;

	assert_int_equal(read_body("assistant", body, &a), BOT_ANSWERED);
	assert_string_equal(a.text, text);
	assert_int_equal(a.handover, handover);
	assert_int_equal(a.tokens, tokens);
	if (handover)
		assert_string_equal(a.reason, "bot");
	bot_answer_fini(&a);
}

static void
unfit(const char *kind, const char *body)
{
	struct bot_answer a;

	if (read_body(kind, body, &a) != BOT_FAILED)
		fail_msg("taken: %s", body);
	assert_true(a.handover);
	assert_string_equal(a.reason, "error");
	assert_true(a.error[0] != '\0');
	assert_null(a.text);
	bot_answer_fini(&a);
}

#define CHOICE(c) "{\"choices\":[{\"message\":{\"content\":" c "}}]}"

static void
test_chat_answer(void **state)
{
	(void)state;
	chat("{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	     "\"assistant\",\"content\":\"Ten.\"}}],\"usage\":{"
	     "\"total_tokens\":31}}",
	    "Ten.", false, 31);
	chat(
	    CHOICE("\" One moment. [[handover]]\\n\""), "One moment.", true, 0);
	chat(CHOICE("\"[[handover]]\""), "", true, 0);
	chat(CHOICE("[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
		    "\"text\":\"b\"}]"),
	    "ab", false, 0);
	chat("{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{"
	     "\"total_tokens\":-5}}",
	    "x", false, 0);
	unfit("assistant", "");
	unfit("assistant", "<html>busy</html>");
	unfit("assistant", "[]");
	unfit("assistant", "{}");
	unfit("assistant", "{\"choices\":[]}");
	unfit("assistant", "{\"choices\":[5]}");
	unfit("assistant", "{\"choices\":[{\"message\":null}]}");
	unfit("assistant", CHOICE("null"));
	unfit("assistant", CHOICE("\"\""));
	unfit("assistant", CHOICE("\"  \""));
	unfit("assistant", CHOICE("\"a\\u0000b\""));
	unfit("assistant", CHOICE("{\"a\":1}"));
	unfit("assistant", "{\"choices\":[{\"message\":{\"content\":\"x\"");
}

static void
test_http_answer(void **state)
{
	struct bot_answer a;

	(void)state;
	assert_int_equal(
	    read_body("http",
		"{\"text\":\"Ten.\",\"quick_replies\":[{\"title\":\"Buy\"}],"
		"\"handover\":true}",
		&a),
	    BOT_ANSWERED);
	assert_string_equal(a.text, "Ten.");
	assert_string_equal(
	    json_object_to_json_string_ext(a.quick, JSON_C_TO_STRING_PLAIN),
	    "[{\"title\":\"Buy\",\"payload\":\"Buy\"}]");
	assert_true(a.handover);
	bot_answer_fini(&a);
	assert_int_equal(read_body("http", "{}", &a), BOT_ANSWERED);
	assert_null(a.text);
	assert_false(a.handover || a.later);
	assert_int_equal(
	    read_body("http", "{\"later\":true}", &a), BOT_ANSWERED);
	assert_true(a.later);
	bot_answer_fini(&a);
	unfit("http", "{\"text\":5}");
	unfit("http", "{\"text\":\"a\\u0000\"}");
	unfit("http", "{\"text\":\"a\",\"quick_replies\":[{}]}");
	unfit("http", "{\"text\":\"a\",\"handover\":\"yes\"}");
	unfit("http", "\"Ten.\"");
}

static void
reply(const char *kind, enum http_end end, long status, int64_t after,
    enum bot_reply want, int64_t wait, const char *error)
{
	struct bot b = bot_of(kind, "{}", "{}");
	struct http_answer an;
	struct bot_answer a = { 0 };
	struct buf none;
	int64_t wait_s;

	buf_init(&none, 10);
	http_answer_init(&an);
	an.end = end;
	an.status = status;
	an.retry_after_s = after;
	snprintf(an.why, sizeof an.why, "timed out");
	assert_int_equal(bot_reply(&b, &an, &none, &a, &wait_s), want);
	assert_int_equal(wait_s, wait);
	assert_string_equal(a.error, error);
	assert_int_equal(a.handover, want != BOT_ANSWERED);
	bot_answer_fini(&a);
	http_answer_fini(&an);
	buf_fini(&none);
	bot_fini(&b);
}

static void
test_status(void **state)
{
	static const char ai[] = "assistant";

	(void)state;
	reply(ai, HTTP_UNSENT, 0, 0, BOT_AGAIN, 0, "not reached: timed out");
	reply(ai, HTTP_LOST, 0, 0, BOT_FAILED, 0, "no answer: timed out");
	reply(ai, HTTP_ANSWERED, 429, 0, BOT_AGAIN, 0, "HTTP 429");
	reply(ai, HTTP_ANSWERED, 429, 3, BOT_AGAIN, 3, "HTTP 429");
	reply(ai, HTTP_ANSWERED, 429, 60, BOT_FAILED, 0, "HTTP 429");
	reply(ai, HTTP_ANSWERED, 500, 0, BOT_AGAIN, 0, "HTTP 500");
	reply(ai, HTTP_ANSWERED, 503, 10, BOT_AGAIN, 10, "HTTP 503");
	reply(ai, HTTP_ANSWERED, 401, 0, BOT_FAILED, 0, "HTTP 401");
	reply(ai, HTTP_ANSWERED, 302, 0, BOT_FAILED, 0, "HTTP 302");
	reply(ai, HTTP_ANSWERED, 202, 0, BOT_FAILED, 0, "HTTP 202");
	reply("http", HTTP_ANSWERED, 202, 0, BOT_ANSWERED, 0, "");
	reply("http", HTTP_ANSWERED, 204, 0, BOT_ANSWERED, 0, "");
	reply("http", HTTP_ANSWERED, 404, 0, BOT_FAILED, 0, "HTTP 404");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chat_request),
		cmocka_unit_test(test_http_request),
		cmocka_unit_test(test_chat_answer),
		cmocka_unit_test(test_http_answer),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
