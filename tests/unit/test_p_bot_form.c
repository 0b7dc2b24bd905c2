/*
 * test_p_bot_form.c: a bot's form read into settings, settings shown in it, and
 * what is wrong with them where it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "p_bot_form.h"

static char www[] = "www";
static struct conf cf = { .www_dir = www,
	.message_chars_max = 20,
	.message_bytes_max = 80,
	.form_fields_max = 200,
	.form_bytes_max = 65536 };

/* A request with the fields of ${form}: "a=b&c=d". */
static void
up(struct req *rq, const char *form)
{
	static char buf[4096];
	static struct req_field list[200];
	int n = req_parse_form(form, strlen(form), buf, list, 200);

	assert_true(n >= 0);
	memset(rq, 0, sizeof(*rq));
	rq->cf = &cf;
	rq->base_path = "";
	req_fields(rq, list, (size_t)n);
}

/* What the form says, as JSON. */
static const char *
reads(const char *kind, const char *form)
{
	static char out[4096];
	struct json_object *o;
	struct req rq;

	up(&rq, form);
	o = bot_form_read(&rq, kind);
	strcpy(
	    out, json_object_to_json_string_ext(o,
		     JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	req_fini(&rq);
	return out;
}

static void
test_read(void **state)
{
	(void)state;
	/* What is not in the form stays; what is empty there goes. */
	assert_string_equal(
	    reads("rules", "name=x"), "{\"config\":{},\"secrets\":{}}");
	assert_string_equal(
	    reads("rules", "greeting=&handover=+,%0d%0a&url=x&system=y"),
	    "{\"config\":{\"greeting\":null,\"handover\":null},"
	    "\"secrets\":{}}");
	assert_string_equal(reads("rules", "handover=a,+b%0d%0a%0d%0ac&"
					   "greeting=+Hi%0d%0athere+"),
	    "{\"config\":{\"greeting\":\"Hi\\nthere\","
	    "\"handover\":[\"a\",\"b\",\"c\"]},\"secrets\":{}}");
	/* Numbers; what is none is left to be refused. */
	assert_string_equal(
	    reads("assistant", "history=7&max_tokens=1e3&tokens_max=9"),
	    "{\"config\":{\"history\":7,\"max_tokens\":\"1e3\"},"
	    "\"secrets\":{}}");
	assert_string_equal(reads("assistant", "max_tokens=9999999999999999"),
	    "{\"config\":{\"max_tokens\":\"9999999999999999\"},"
	    "\"secrets\":{}}");
	/* A secret is kept, replaced, or taken away. */
	assert_string_equal(
	    reads("assistant", "api_key="), "{\"config\":{},\"secrets\":{}}");
	assert_string_equal(reads("assistant", "api_key=&clear_api_key=1"),
	    "{\"config\":{},\"secrets\":{\"api_key\":null}}");
	assert_string_equal(reads("http", "secret=+s+&api_key=k"),
	    "{\"config\":{},\"secrets\":{\"secret\":\"s\"}}");
}

static void
test_hours(void **state)
{
	(void)state;
	assert_string_equal(reads("http", "hours_1_from=&hours_1_to="),
	    "{\"config\":{\"hours\":null},\"secrets\":{}}");
	/* An empty row between is none; half of one is left to be refused. */
	assert_string_equal(
	    reads("http", "hours_1_1=1&hours_1_7=1&hours_1_from=08:00&"
			  "hours_1_to=17:30&hours_2_from=&hours_2_to=&"
			  "hours_3_from=09:00&hours_3_to="),
	    "{\"config\":{\"hours\":[{\"days\":[1,7],\"from\":\"08:00\","
	    "\"to\":\"17:30\"},{\"days\":[],\"from\":\"09:00\","
	    "\"to\":\"\"}]},\"secrets\":{}}");
}

/* The rules' first words in the order that the form gives them. */
static const char *
order(const char *form)
{
	static char out[64];
	struct json_object *o, *config, *list;
	struct req rq;

	up(&rq, form);
	out[0] = '\0';
	o = bot_form_read(&rq, "rules");
	config = json_object_object_get(o, "config");
	list = json_object_object_get(config, "rules");
	for (size_t i = 0; list != NULL && i < json_object_array_length(list);
	     i++)
		strcat(out,
		    json_object_get_string(json_object_array_get_idx(
			json_object_object_get(
			    json_object_array_get_idx(list, i), "keywords"),
			0)));
	json_object_put(o);
	req_fini(&rq);
	return out;
}

#define R(n, word, place) \
	"&rule_" n "_keywords=" word "&rule_" n "_place=" place

static void
test_rules(void **state)
{
	(void)state;
	assert_string_equal(
	    reads("rules",
		"rule_1_keywords=a,b&rule_1_reply=x&rule_1_quick_replies="
		"Buy+%7c+BUY%0d%0a+No%0d%0aA%7cB&rule_1_handover=1"),
	    "{\"config\":{\"rules\":[{\"keywords\":[\"a\",\"b\"],"
	    "\"reply\":\"x\",\"quick_replies\":[{\"title\":\"Buy\","
	    "\"payload\":\"BUY\"},{\"title\":\"No\"},{\"title\":\"A|B\"}],"
	    "\"handover\":true}]},\"secrets\":{}}");
	assert_string_equal(reads("rules", "rule_1_keywords=&rule_1_reply="),
	    "{\"config\":{\"rules\":null},\"secrets\":{}}");
	assert_string_equal(reads("http", "rule_1_keywords=a"),
	    "{\"config\":{},\"secrets\":{}}");

	assert_string_equal(
	    order(R("1", "a", "1") R("2", "b", "2") R("3", "c", "3")), "abc");
	/* Up, down, to an end, and what is no place. */
	assert_string_equal(
	    order(R("1", "a", "1") R("2", "b", "2") R("3", "c", "1")), "cab");
	assert_string_equal(
	    order(R("1", "a", "2") R("2", "b", "2") R("3", "c", "3")), "bac");
	assert_string_equal(
	    order(R("1", "a", "99") R("2", "b", "2") R("3", "c", "0")), "cba");
	assert_string_equal(
	    order(R("1", "a", "x") R("2", "b", "-1") R("3", "c", "99999")),
	    "abc");
	assert_string_equal(order(R("1", "a", "1") "&rule_1_gone=1" R("2", "b",
				"2") "&rule_3_keywords=&rule_4_keywords=d"),
	    "bd");
}

/* ${path} of what is shown: "rules.0.quick". */
static const char *
shown(struct json_object *o, const char *list, size_t i, const char *key)
{
	struct json_object *one =
	    json_object_array_get_idx(json_object_object_get(o, list), i);

	return json_object_get_string(json_object_object_get(one, key));
}

static void
test_put(void **state)
{
	static const char text[] =
	    "{\"name\":\"Robo\",\"handover\":[\"a\",\"b\"],"
	    "\"hours\":[{\"days\":[7],\"from\":\"00:00\",\"to\":\"24:00\"}],"
	    "\"rules\":[{\"keywords\":[\"x\",\"y\"],\"reply\":\"Yes\","
	    "\"quick_replies\":[{\"title\":\"Buy\",\"payload\":\"BUY\"},"
	    "{\"title\":\"No\",\"payload\":\"No\"}]}]}";
	struct json_object *values = json_tokener_parse(text),
			   *o = json_object_new_object();
	struct req rq;
	struct view v = { .rq = &rq, .locale = "en", .model = NULL };

	(void)state;
	up(&rq, "name=Robo");
	bot_form_put(
	    &v, o, &(struct bot_shown){ .kind = "rules", .values = values });
	assert_string_equal(shown(o, "who", 0, "value"), "Robo");
	assert_string_equal(shown(o, "talk", 2, "value"), "a\nb");
	assert_string_equal(shown(o, "hours", 0, "to"), "00:00");
	assert_string_equal(shown(o, "rules", 0, "keywords"), "x\ny");
	assert_string_equal(shown(o, "rules", 0, "quick"), "Buy | BUY\nNo");
	assert_string_equal(shown(o, "rules", 0, "brief"), "x, y → Yes");
	assert_string_equal(shown(o, "rules", 0, "open"), "false");
	assert_string_equal(shown(o, "rules", 1, "fresh"), "true");
	assert_null(shown(o, "who", 0, "fault"));
	json_object_put(o);
	json_object_put(values);
	req_fini(&rq);
}

/* All that is wrong is said, each where it is. */
static void
test_fault(void **state)
{
	static const char text[] =
	    "{\"greeting\":\"more than twenty letters\",\"fallback\":\"ok\","
	    "\"rules\":[{\"keywords\":[\"a\"],\"reply\":\"b\"},"
	    "{\"keywords\":[],\"reply\":\"more than twenty letters\"},"
	    "{\"keywords\":[\"a\"],\"reply\":\"more than twenty letters\"}],"
	    "\"hours\":[{\"days\":[],\"from\":\"08:00\",\"to\":\"09:00\"}]}";
	struct json_object *o = json_object_new_object();
	struct bot_shown s = { .kind = "rules",
		.values = json_tokener_parse(text),
		.back = true,
		.field = "greeting" };
	struct req rq;
	struct view v = { .rq = &rq, .locale = "en", .model = NULL };

	(void)state;
	up(&rq, "name=");
	bot_form_put(&v, o, &s);
	assert_non_null(shown(o, "who", 0, "fault"));
	assert_non_null(shown(o, "talk", 0, "fault"));
	assert_null(shown(o, "talk", 1, "fault"));
	assert_null(shown(o, "rules", 0, "bad_reply"));
	assert_string_equal(shown(o, "rules", 0, "open"), "false");
	assert_non_null(shown(o, "rules", 1, "bad_keywords"));
	assert_non_null(shown(o, "rules", 2, "bad_reply"));
	assert_null(shown(o, "rules", 2, "bad_keywords"));
	assert_string_equal(shown(o, "rules", 2, "open"), "true");
	assert_non_null(shown(o, "hours", 0, "bad"));
	assert_null(shown(o, "hours", 1, "bad"));
	json_object_put(o);
	json_object_put(s.values);
	req_fini(&rq);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_hours),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
