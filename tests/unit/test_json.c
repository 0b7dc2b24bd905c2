/* json.c: what the grammar does not have is refused; limits; one safe line. */

#include "buf.h"
#include "json.h"
#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char *why;

static struct json_object *
parse(const char *s, size_t len)
{
	struct json_object *o = NULL;

	if (json_parse(s, len, 32, 10000, 65536, &o, &why) == -1) {
		assert_null(o);
		return NULL;
	}
	why = "";
	return o;
}

static int
good(const char *s)
{
	struct json_object *o = parse(s, strlen(s));

	(void)json_object_put(o);
	return why[0] == '\0';
}

static void
grammar(void **state)
{
	static const char *const yes[] = { "{}", "[]", "null", "true", "false",
		"0", "-0", "1", "-1.5e+3", "\"\"", " \t\r\n{ } ", "[1,2,[]]",
		"{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"", "\"\\ud83d\\ude00\"",
		"\"\\ud800\"", "\"\\udc00x\"", "9223372036854775807",
		"-9223372036854775808", "\"\\u0000\"", "1e308" };
	static const char *const no[] = { "", " ", "{", "}", "[", "]", "{]",
		"[1,]", "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "'a'", "NaN",
		"Infinity", "-Infinity", "-", "+1", "01", "1.", ".5", "1e",
		"1e+", "0x10", "tru", "nul", "True", "\"", "\"\\\"", "\"\\x\"",
		"\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "\"\t\"", "1 2", "{} x",
		"{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
		"{\"x\":{\"b\":1,\"b\":2}}", "9223372036854775808",
		"-9223372036854775809", "1e999", "{\"a\\u0000b\":1}", "// c\n1",
		"/*c*/1", "[1 2]", "{\"a\" 1}", "\"\\", "{\"a\":}", "[,1]",
		"nullx", "--1" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!good(yes[i]))
			fail_msg("refused: %s (%s)", yes[i], why);
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (good(no[i]))
			fail_msg("taken: %s", no[i]);
	assert_int_equal(good("\"\xff\""), 0);
	assert_string_equal(why, "bad_utf8");
	assert_null(parse("{\"a\":1}\0", 8));
	assert_string_equal(why, "bad_json");
}

static void
cut_anywhere(void **state)
{
	static const char text[] =
	    " {\"a\":[1,-2.5e3,\"x\\n\\ud83d\\ude00\","
	    "true,false,null,{}],\"b\":{\"c\":\"\xc3\xa9\"}}";
	struct json_object *o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text) - 1; i++)
		assert_null(parse(text, i));
	o = parse(text, sizeof(text) - 1);
	assert_non_null(o);
	(void)json_object_put(o);
	/* The value's own length is found, whatever follows. */
	assert_int_equal(
	    json_span(text + 1, sizeof(text) - 2), sizeof(text) - 2);
	assert_int_equal(json_span("{\"a\":[]},x", 10), 8);
	assert_int_equal(json_span("12,", 3), 2);
	assert_int_equal(json_span(" 1", 2), 0);
	for (i = 1; i < sizeof(text) - 2; i++)
		assert_int_equal(json_span(text + 1, i), 0);
}

/* Whatever ends or breaks a string, wherever in a word it stands. */
static void
strings(void **state)
{
	char text[64];
	size_t at;
	int c;

	(void)state;
	for (at = 1; at < 40; at++)
		for (c = 1; c < 256; c++) {
			memset(text, 'a', sizeof(text));
			text[0] = text[50] = '"';
			text[at] = (char)c;
			if (c == '\\')
				text[at + 1] = 'n';
			assert_int_equal(
			    json_span(text, sizeof(text)), c == '"'   ? at + 1
							   : c < 0x20 ? 0
								      : 51);
			if (c == '\\')
				text[at + 1] = 'a';
			if (c == '\\')
				assert_int_equal(json_span(text, 64), 0);
		}
}

static void
limits(void **state)
{
	struct json_object *o;
	char text[200];
	int i;

	(void)state;
	/* 32 levels are good, 33 are not. */
	memset(text, '[', 100);
	for (i = 31; i < 34; i++) {
		memset(text, '[', (size_t)i);
		memset(text + i, ']', (size_t)i);
		text[2 * i] = '\0';
		assert_int_equal(good(text), i <= 32);
		if (i > 32)
			assert_string_equal(why, "too_large");
	}
	assert_int_equal(json_parse("[1,2,3]", 7, 32, 3, 10, &o, &why), 0);
	(void)json_object_put(o);
	assert_int_equal(json_parse("[1,2,3]", 7, 32, 2, 10, &o, &why), -1);
	assert_string_equal(why, "too_large");
	assert_int_equal(
	    json_parse("{\"a\":{\"b\":1}}", 13, 32, 1, 10, &o, &why), -1);
	/* Bytes of a string are counted decoded. */
	assert_int_equal(
	    json_parse("\"\\u00e9\\n\"", 10, 32, 3, 3, &o, &why), 0);
	(void)json_object_put(o);
	assert_int_equal(json_parse("\"abcd\"", 6, 32, 3, 3, &o, &why), -1);
	assert_string_equal(why, "too_large");
}

static void
members(void **state)
{
	static const char text[] =
	    "{\"s\":\"x\\u0000y\",\"i\":5,\"d\":1.5,"
	    "\"b\":true,\"n\":null,\"o\":{},\"a\":[],\"id\":\"17\","
	    "\"bad\":\"017\"}";
	struct json_object *o = parse(text, sizeof(text) - 1), *v;
	const char *p = NULL;
	size_t len = 0;
	int64_t n = 9;
	bool b = false;

	(void)state;
	assert_non_null(o);
	assert_int_equal(json_get_str(o, "s", &p, &len), 1);
	assert_int_equal(len, 3);
	assert_memory_equal(p, "x\0y", 3);
	assert_int_equal(json_get_str(o, "i", &p, &len), -1);
	assert_int_equal(json_get_str(o, "n", &p, &len), 0);
	assert_int_equal(json_get_str(o, "zz", &p, &len), 0);
	assert_int_equal(json_get_int(o, "i", &n), 1);
	assert_int_equal(n, 5);
	assert_int_equal(json_get_int(o, "d", &n), -1);
	assert_int_equal(json_get_int(o, "s", &n), -1);
	assert_int_equal(json_get_bool(o, "b", &b), 1);
	assert_true(b);
	assert_int_equal(json_get_bool(o, "i", &b), -1);
	assert_int_equal(json_get_obj(o, "o", &v), 1);
	assert_int_equal(json_get_obj(o, "a", &v), -1);
	assert_int_equal(json_get_arr(o, "a", &v), 1);
	assert_int_equal(json_get_id(o, "id", &n), 1);
	assert_int_equal(n, 17);
	assert_int_equal(json_get_id(o, "i", &n), 1);
	assert_int_equal(n, 5);
	assert_int_equal(json_get_id(o, "bad", &n), -1);
	assert_int_equal(json_get_id(o, "b", &n), -1);
	assert_int_equal(json_get_int(NULL, "i", &n), -1);
	(void)json_object_put(o);
}

static void
writes(void **state)
{
	struct json_object *o = json_object_new_object();
	struct buf b;

	(void)state;
	json_put_str(o, "a", "x/y\"\\\n\r\t\x01");
	json_put_strn(o, "z", "n\0l", 3);
	json_put_str(o, "u", "\xe2\x80\xa8\xff\xc3\xa9");
	json_put_str(o, "none", NULL);
	json_put_id(o, "id", 12);
	json_put_id(o, "no", 0);
	json_put_int(o, "i", INT64_MIN);
	json_put_bool(o, "b", true);
	json_put(o, "arr", json_object_new_array());
	json_put(o, "nan", json_object_new_double(0.0 / 0.0));
	buf_init(&b, 1000);
	json_write(o, &b);
	assert_string_equal(b.data,
	    "{\"a\":\"x/y\\\"\\\\\\n\\r\\t\\u0001\",\"z\":\"n\\u0000l\","
	    "\"u\":\"\\u2028\xef\xbf\xbd\xc3\xa9\",\"none\":null,"
	    "\"id\":\"12\",\"no\":null,\"i\":-9223372036854775808,"
	    "\"b\":true,\"arr\":[],\"nan\":null}");
	assert_true(utf8_valid(b.data, b.len));
	(void)json_object_put(o);
	/* What was written can be read. */
	o = parse(b.data, b.len);
	assert_non_null(o);
	(void)json_object_put(o);
	buf_fini(&b);

	/* A lone surrogate comes out as U+FFFD. */
	o = parse("\"\\ud800\"", 8);
	buf_init(&b, 100);
	json_write(o, &b);
	assert_string_equal(b.data, "\"\xef\xbf\xbd\"");
	(void)json_object_put(o);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grammar),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(strings),
		cmocka_unit_test(limits),
		cmocka_unit_test(members),
		cmocka_unit_test(writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
