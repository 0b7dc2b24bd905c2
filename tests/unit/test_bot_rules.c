/* Bots by rule: hours, words, greeting, hand-over; and their settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bot_rules.h"
#include "json.h"

/* 2026-11-16 is a Monday; its midnight in UTC. */
#define MONDAY INT64_C(1794787200000)
#define HOUR INT64_C(3600000)

static const struct bot_limits lim = { .text_chars = 100, .base_chars = 200 };

static struct json_object *
js(const char *text)
{
	struct json_object *o = NULL;
	const char *why;

	if (json_parse(text, strlen(text), 32, 1000, 10000, &o, &why) == -1)
		fail_msg("%s: %s", why, text);
	return o;
}

static bool
open_at(const char *config, int64_t at, int64_t zone)
{
	struct json_object *o = js(config);
	bool open = bot_hours_open(o, at, zone);

	json_object_put(o);
	return open;
}

static void
test_hours(void **state)
{
	static const char week[] =
	    "{\"hours\":[{\"days\":[1,2,3,4,5],\"from\":\"08:00\","
	    "\"to\":\"17:30\"}]}";
	static const char night[] = "{\"hours\":[{\"days\":[7],"
				    "\"from\":\"22:00\",\"to\":\"02:00\"}]}";

	(void)state;
	assert_true(open_at("{}", MONDAY, 0));
	assert_true(open_at("{\"hours\":[]}", MONDAY, 0));
	assert_false(open_at(week, MONDAY + 8 * HOUR - 1, 0));
	assert_true(open_at(week, MONDAY + 8 * HOUR, 0));
	assert_true(open_at(week, MONDAY + 17 * HOUR + HOUR / 2 - 1, 0));
	assert_false(open_at(week, MONDAY + 17 * HOUR + HOUR / 2, 0));
	/* In Hanoi it is seven hours later. */
	assert_true(open_at(week, MONDAY + HOUR, 420));
	assert_false(open_at(week, MONDAY + 12 * HOUR, 420));
	/* West of Greenwich it is Sunday still. */
	assert_false(open_at(week, MONDAY + HOUR, -720));
	/* Saturday, Sunday. */
	assert_false(open_at(week, MONDAY + (5 * 24 + 10) * HOUR, 0));
	assert_false(open_at(week, MONDAY + (6 * 24 + 10) * HOUR, 0));
	assert_true(open_at(week, MONDAY + (7 * 24 + 10) * HOUR, 0));
	/* Past midnight belongs to the day it began on. */
	assert_true(open_at(night, MONDAY - HOUR, 0));
	assert_true(open_at(night, MONDAY + HOUR, 0));
	assert_false(open_at(night, MONDAY + 2 * HOUR, 0));
	assert_false(open_at(night, MONDAY + 23 * HOUR, 0));
}

static void
test_duty(void **state)
{
	static const char *const when[] = { "always", "open", "closed" };
	struct bot_question q = { .text = "", .at_ms = MONDAY };
	char text[200];
	int i, k;

	(void)state;
	for (i = 0; i < 3; i++)
		for (k = 0; k < 2; k++) {
			struct json_object *o;

			snprintf(text, sizeof text,
			    "{\"when\":\"%s\",\"hours\":[{\"days\":[1],"
			    "\"from\":\"08:00\",\"to\":\"09:00\"}]}",
			    when[i]);
			o = js(text);
			q.at_ms = MONDAY + (k ? 8 : 9) * HOUR;
			assert_int_equal(
			    bot_on_duty(o, &q), i == 0 || (i == 1) == (k == 1));
			json_object_put(o);
		}
}

static bool
says(const char *text, const char *words)
{
	struct json_object *o = js(words);
	bool found = bot_says(text, o);

	json_object_put(o);
	return found;
}

static void
test_words(void **state)
{
	(void)state;
	assert_true(says("Cho hỏi GIÁ bao nhiêu?", "[\"giá\"]"));
	assert_true(says("cho hoi gia bao nhieu", "[\"Giá\"]"));
	assert_true(says("giờ mở cửa", "[\"x\",\"mo cua\"]"));
	assert_true(says("giá", "[\"giá\"]"));
	assert_true(says("(giá)", "[\"giá\"]"));
	/* A part of another word is not the word. */
	assert_false(says("giang hồ", "[\"gia\"]"));
	assert_false(says("ngoaigia", "[\"gia\"]"));
	assert_true(says("giang gia", "[\"gia\"]"));
	/* Thai has no spaces between words. */
	assert_true(says("อยากทราบราคาสินค้า", "[\"ราคา\"]"));
	assert_false(says("", "[\"gia\"]"));
	assert_false(says("gia", "[]"));
	assert_false(says("gia", "[\"\"]"));
}

static const char shop[] =
    "{\"greeting\":\"Hello!\",\"fallback\":\"Somebody will answer.\","
    "\"closed\":\"We open at 8.\",\"handover\":[\"agent\",\"nhân viên\"],"
    "\"handover_text\":\"One moment.\",\"hours\":[{\"days\":[1],"
    "\"from\":\"08:00\",\"to\":\"17:00\"}],\"rules\":["
    "{\"keywords\":[\"price\"],\"reply\":\"Ten.\",\"quick_replies\":"
    "[{\"title\":\"Buy\"}]},"
    "{\"keywords\":[\"price\",\"refund\"],\"reply\":\"Sorry.\","
    "\"handover\":true},{\"keywords\":[\"quiet\"]}]}";

static struct bot_answer
ask(const char *config, const char *text, bool open, bool greeted)
{
	struct json_object *o = js(config);
	struct bot_question q = { .text = text,
		.at_ms = MONDAY + (open ? 9 : 18) * HOUR,
		.greeted = greeted };
	struct bot_answer a = { 0 };

	assert_null(bot_config_bad("rules", o, &lim));
	bot_rules_answer(o, &q, &a);
	json_object_put(o);
	return a;
}

static void
expect(const char *text, bool open, bool greeted, const char *reply, bool over)
{
	struct bot_answer a = ask(shop, text, open, greeted);

	if (reply == NULL)
		assert_null(a.text);
	else
		assert_string_equal(a.text, reply);
	assert_int_equal(a.handover, over);
	assert_int_equal(a.greets, !greeted);
	if (over)
		assert_string_equal(a.reason, "rule");
	bot_answer_fini(&a);
}

static void
test_answers(void **state)
{
	struct bot_answer a;

	(void)state;
	expect("hi", true, false, "Hello!\n\nSomebody will answer.", false);
	expect("hi", true, true, "Somebody will answer.", false);
	expect("hi", false, true, "We open at 8.", false);
	/* The first rule that matches, at any hour. */
	expect("What PRICE?", true, true, "Ten.", false);
	expect("price", false, false, "Hello!\n\nTen.", false);
	expect("refund", true, true, "Sorry.\n\nOne moment.", true);
	expect("refund", false, true, "Sorry.\n\nWe open at 8.", true);
	/* Who asks for a person gets one, whatever else it says. */
	expect("price, agent!", true, true, "One moment.", true);
	expect("gặp nhan vien", false, true, "We open at 8.", true);
	expect("quiet", true, true, NULL, false);
	expect("quiet", true, false, "Hello!", false);

	a = ask(shop, "price", true, true);
	assert_non_null(a.quick);
	bot_answer_fini(&a);
	/* A bot without words says nothing. */
	a = ask("{}", "hi", true, false);
	assert_null(a.text);
	assert_false(a.greets || a.handover);
	bot_answer_fini(&a);
}

static void
bad(const char *kind, const char *config, const char *field)
{
	struct json_object *o = js(config);
	const char *got = bot_config_bad(kind, o, &lim);

	if (field == NULL)
		assert_null(got);
	else if (got == NULL)
		fail_msg("taken: %s", config);
	else
		assert_string_equal(got, field);
	json_object_put(o);
}

static void
test_settings(void **state)
{
	struct json_object *o;

	(void)state;
	bad("rules", "{}", NULL);
	bad("rules", shop, NULL);
	bad("rules", "{\"greeting\":5}", "greeting");
	bad("rules", "{\"greeting\":\"a\\u0000b\"}", "greeting");
	bad("rules", "{\"colour\":\"red\"}", "config");
	bad("rules", "{\"url\":\"https://x\"}", "config");
	bad("rules", "{\"when\":\"sometimes\"}", "when");
	bad("rules", "{\"when\":\"closed\"}", NULL);
	bad("rules",
	    "{\"hours\":[{\"days\":[8],\"from\":\"08:00\","
	    "\"to\":\"09:00\"}]}",
	    "hours");
	bad("rules",
	    "{\"hours\":[{\"days\":[1],\"from\":\"8:00\","
	    "\"to\":\"09:00\"}]}",
	    "hours");
	bad("rules",
	    "{\"hours\":[{\"days\":[1],\"from\":\"08:00\","
	    "\"to\":\"24:01\"}]}",
	    "hours");
	bad("rules",
	    "{\"hours\":[{\"days\":[1],\"from\":\"08:00\","
	    "\"to\":\"24:00\"}]}",
	    NULL);
	bad("rules", "{\"handover\":[\" \"]}", "handover");
	bad("rules", "{\"handover\":\"agent\"}", "handover");
	bad("rules", "{\"rules\":[{\"reply\":\"no words\"}]}", "rules");
	bad("rules",
	    "{\"hours\":[{\"days\":[],\"from\":\"08:00\","
	    "\"to\":\"09:00\"}]}",
	    "hours");
	bad("rules", "{\"rules\":[{\"keywords\":[]}]}", "rules");
	bad("rules", "{\"rules\":[{\"keywords\":[\"a\"],\"say\":\"b\"}]}",
	    "rules");
	bad("rules",
	    "{\"rules\":[{\"keywords\":[\"a\"],\"quick_replies\":"
	    "[{\"title\":\"longer than twenty letters\"}]}]}",
	    "rules");
	bad("http", "{}", "url");
	bad("http", "{\"url\":\"ftp://x\"}", "url");
	bad("http", "{\"url\":\"https://x/a b\"}", "url");
	bad("http", "{\"url\":\"https://x/bot\",\"history\":10}", NULL);
	bad("assistant", "{\"model\":\"m\"}", "base_url");
	bad("assistant", "{\"base_url\":\"https://x/v1\"}", "model");
	bad("assistant",
	    "{\"base_url\":\"https://x/v1\",\"model\":\"m\",\"history\":51}",
	    "history");
	bad("assistant",
	    "{\"base_url\":\"https://x/v1\",\"model\":\"m\",\"system\":\"be "
	    "brief\",\"max_tokens\":200}",
	    NULL);

	o = js("{\"secret\":\"s3cret\"}");
	assert_null(bot_secrets_bad("http", o));
	assert_string_equal(bot_secrets_bad("rules", o), "secrets");
	assert_string_equal(bot_secrets_bad("assistant", o), "secrets");
	json_object_put(o);
	o = js("{\"api_key\":\"a\\r\\nX: y\"}");
	assert_string_equal(bot_secrets_bad("assistant", o), "api_key");
	json_object_put(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hours),
		cmocka_unit_test(test_duty),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
