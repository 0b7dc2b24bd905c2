/* What all adapters share: settings, long ids, times, cutting texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channel.h"
#include "json.h"

static struct json_object *
parsed(const char *text)
{
	struct json_object *o = NULL;

	assert_int_equal(channel_json(text, strlen(text), &o), 0);
	return o;
}

static void
settings_by_any_spelling(void **state)
{
	const struct channel *ch = channel_find("zalo");

	(void)state;
	assert_non_null(ch);
	assert_null(channel_find("fax"));
	assert_string_equal(
	    channel_key_find(ch, "ZALO_APP_ID")->name, "zalo_app_id");
	assert_string_equal(
	    channel_key_find(ch, "app_id")->name, "zalo_app_id");
	assert_string_equal(
	    channel_key_find(ch, "Oa_Secret")->name, "zalo_oa_secret");
	assert_null(channel_key_find(ch, "colour"));
}

static int
check(const char *config, char *said, size_t size)
{
	struct json_object *o = parsed(config);
	struct buf why;
	int rc;

	buf_init(&why, 1000);
	rc = channel_config_check(channel_find("zalo"), o, &why);
	snprintf(said, size, "%s", why.len > 0 ? why.data : "");
	buf_fini(&why);
	json_object_put(o);
	return rc;
}

static void
settings_are_checked(void **state)
{
	char said[400];

	(void)state;
#define NEEDED \
	"\"zalo_app_id\":\"1\",\"zalo_oa_id\":\"2\",\"zalo_oa_secret\":\"s\""
	assert_int_equal(check("{" NEEDED "}", said, sizeof(said)), 0);
	assert_int_equal(
	    check("{\"zalo_app_id\":\"1\"}", said, sizeof(said)), -1);
	assert_non_null(strstr(said, "zalo_oa_id"));

	/* Tokens go to base addresses: https, or this very host. */
	assert_int_equal(
	    check("{" NEEDED ",\"zalo_api_base\":\"http://127.0.0.1:4000\"}",
		said, sizeof(said)),
	    0);
	assert_int_equal(
	    check("{" NEEDED ",\"zalo_api_base\":\"http://openapi.example\"}",
		said, sizeof(said)),
	    -1);
	assert_int_equal(
	    check("{" NEEDED
		  ",\"zalo_api_base\":\"http://127.0.0.1.evil.example\"}",
		said, sizeof(said)),
	    -1);
	assert_int_equal(
	    check("{" NEEDED ",\"zalo_api_base\":\"https://a@b.example\"}",
		said, sizeof(said)),
	    -1);
	/* What a NUL would cut is not what was meant. */
	assert_int_equal(check("{" NEEDED ",\"zalo_app_secret\":\"a\\u0000b\"}",
			     said, sizeof(said)),
	    -1);
	assert_string_equal(said, "zalo_app_secret holds a control character");
	/* A line break would be another header. */
	assert_int_equal(
	    check("{" NEEDED ",\"zalo_access_token\":\"a\\r\\nb: c\"}", said,
		sizeof(said)),
	    -1);
#undef NEEDED
}

static void
ids_keep_their_digits(void **state)
{
	struct channel_batch b;
	struct json_object *o;

	(void)state;
	channel_batch_init(&b);
	b.root = o =
	    parsed("{\"a\":9007199254740993,\"b\":-42,"
		   "\"c\":123456789012345678901234567890,\"d\":\"007\","
		   "\"e\":1.5,\"f\":[98765432109876543210],"
		   "\"g\\\"12345678901234567890\":1,\"h\":true}");
	assert_string_equal(channel_text(&b, o, "a"), "9007199254740993");
	assert_string_equal(channel_text(&b, o, "b"), "-42");
	assert_string_equal(
	    channel_text(&b, o, "c"), "123456789012345678901234567890");
	assert_string_equal(channel_text(&b, o, "d"), "007");
	assert_null(channel_text(&b, o, "e"));
	assert_null(channel_text(&b, o, "h"));
	assert_null(channel_text(&b, o, "none"));
	assert_int_equal(json_object_object_length(o), 8);
	channel_batch_fini(&b);

	/* What was no JSON does not become some. */
	assert_int_equal(channel_json("{12345678901234567890:1}", 24, &o), -1);
	assert_int_equal(channel_json("[12345678901234567890x]", 23, &o), -1);
	assert_int_equal(channel_json("[01234567890123456789]", 22, &o), -1);
	assert_int_equal(channel_json("", 0, &o), -1);
	assert_int_equal(channel_json("{\"a\":1,\"a\":2}", 13, &o), -1);
	assert_int_equal(channel_json("{\"a\":\"\xff\"}", 9, &o), -1);
}

static void
texts_are_clean(void **state)
{
	struct channel_batch b;
	char out[16];

	(void)state;
	channel_batch_init(&b);
	b.root = parsed("{\"a\":\"x\\u0000y\",\"b\":\"\\ud83d\\ude00\","
			"\"c\":\"\\ud83d\"}");
	assert_string_equal(channel_text(&b, b.root, "a"), "x\xef\xbf\xbdy");
	assert_string_equal(channel_text(&b, b.root, "b"), "\xf0\x9f\x98\x80");
	assert_string_equal(channel_text(&b, b.root, "c"), "\xef\xbf\xbd");
	channel_batch_fini(&b);

	channel_copy(out, sizeof(out), "a\nb\xff\xc3\xa9", 6);
	assert_string_equal(out, "a b\xef\xbf\xbd\xc3\xa9");
	channel_copy(out, 4, "\xc3\xa9\xc3\xa9", 4); /* no half characters */
	assert_string_equal(out, "\xc3\xa9");
	channel_copy(out, sizeof(out), "", 0);
	assert_string_equal(out, "");
}

static void
times_in_seconds_or_ms(void **state)
{
	(void)state;
	assert_int_equal(channel_time("1795000100"), 1795000100000);
	assert_int_equal(channel_time("1795000100001"), 1795000100001);
	assert_int_equal(channel_time("99999999999"), 99999999999000);
	assert_int_equal(channel_time("100000000000"), 100000000000);
	assert_int_equal(channel_time(""), 0);
	assert_int_equal(channel_time("-5"), 0);
	assert_int_equal(channel_time("12x"), 0);
	assert_int_equal(channel_time("9999999999999999"), 0);
	assert_int_equal(channel_time(NULL), 0);
}

static void
long_texts_are_cut_at_spaces(void **state)
{
	size_t next, len;
	const char *p;

	(void)state;
	assert_int_equal(channel_split("abc", 10, &next), 3);
	assert_int_equal(next, 3);
	assert_int_equal(channel_split("aaaa bbbb cccc", 10, &next), 9);
	assert_int_equal(next, 10);
	/* A line break wins over a later space. */
	assert_int_equal(channel_split("aaaaaaaa\nb cccccc", 11, &next), 8);
	assert_int_equal(next, 9);
	assert_int_equal(channel_split("aaaaaaaaaaaaaa", 10, &next), 10);
	assert_int_equal(next, 10);
	/* A pair of units is one character. */
	assert_int_equal(
	    channel_split("\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 3, &next), 4);
	assert_int_equal(channel_split("\xf0\x9f\x98\x80", 0, &next), 4);

	assert_true(channel_part("aaaa bbbb cccc", 10, 1, &p, &len));
	assert_int_equal(len, 4);
	assert_memory_equal(p, "cccc", 4);
	assert_false(channel_part("aaaa bbbb cccc", 10, 2, &p, &len));
	assert_false(channel_part("", 10, 0, &p, &len));
}

/* Whatever the limit: nothing but one separator a cut is lost, all is UTF-8. */
static void
parts_make_the_whole(void **state)
{
	static const char text[] = "Dạ giá vé là 350.000đ ạ\n🚠🚠🚠 một hai ba "
				   "bốn\n\nnămsáubảytámchínmười 🚠";

	(void)state;
	for (size_t units = 2; units < 70; units++) {
		size_t next, at = 0, len;

		while (at < strlen(text)) {
			len = channel_split(text + at, units, &next);
			assert_true(next > 0 && len <= next && next - len <= 1);
			assert_true(at + next == strlen(text) ||
				    (text[at + next] & 0xc0) != 0x80);
			at += next;
		}
	}
}

static void
digests_are_compared_whole(void **state)
{
	static const unsigned char bytes[2] = { 0xab, 0x01 };

	(void)state;
	assert_true(channel_hex_equal("ab01", 4, bytes, 2));
	assert_true(channel_hex_equal("AB01", 4, bytes, 2));
	assert_false(channel_hex_equal("ab0", 3, bytes, 2));
	assert_false(channel_hex_equal("ab0101", 6, bytes, 2));
	assert_false(channel_hex_equal("ab0g", 4, bytes, 2));
	assert_false(channel_hex_equal("ab02", 4, bytes, 2));
}

static void
requests_cannot_be_split(void **state)
{
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "GET");
	http_request_header(&rq, "a", "b");
	assert_string_equal(rq.headers.data, "a: b\n");
	http_request_header(&rq, "a", "b\nc: d");
	assert_true(rq.url.err);
	http_request_fini(&rq);
	http_request_init(&rq, "GET");
	http_urlencode(&rq.url, "a b/\xc3\xa9\0", 7);
	assert_string_equal(rq.url.data, "a%20b%2F%C3%A9%00");
	http_request_fini(&rq);
}

static void
reply_is(int64_t last, int64_t sent, int64_t now, const char *config,
    const char *want)
{
	struct json_object *set = parsed(config), *o;
	struct buf b;

	o = channel_reply_json("zalo", set, last, sent, now);
	buf_init(&b, 1000);
	if (o != NULL)
		json_write(o, &b);
	assert_string_equal(b.len > 0 ? b.data : "", want);
	buf_fini(&b);
	json_object_put(o);
	json_object_put(set);
}

static void
reply_windows_are_told(void **state)
{
	int64_t hour = 3600000, at = INT64_C(1795000000000);

	(void)state;
	reply_is(at, 3, at + hour, "{}",
	    "{\"state\":\"open\",\"free_until\":1795172800000,"
	    "\"until\":1795604800000,\"free_left\":5}");
	reply_is(at, 8, at + hour, "{}",
	    "{\"state\":\"paid\",\"free_until\":1795172800000,"
	    "\"until\":1795604800000,\"free_left\":0}");
	reply_is(at, 0, at + 50 * hour, "{}",
	    "{\"state\":\"closed\",\"free_until\":1795172800000,"
	    "\"until\":1795604800000,\"free_left\":0}");
	reply_is(at, 0, at + 50 * hour, "{\"zalo_allow_paid\":\"1\"}",
	    "{\"state\":\"paid\",\"free_until\":1795172800000,"
	    "\"until\":1795604800000,\"free_left\":0}");
	/* Nothing to tell of who never wrote, nor where there is no limit. */
	reply_is(0, 0, at, "{}", "");
	assert_null(channel_reply_json("web", NULL, at, 0, at));
	/* An account without settings has their defaults. */
	json_object_put(channel_reply_json("zalo", NULL, at, 0, at));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_by_any_spelling),
		cmocka_unit_test(settings_are_checked),
		cmocka_unit_test(ids_keep_their_digits),
		cmocka_unit_test(texts_are_clean),
		cmocka_unit_test(times_in_seconds_or_ms),
		cmocka_unit_test(long_texts_are_cut_at_spaces),
		cmocka_unit_test(parts_make_the_whole),
		cmocka_unit_test(digests_are_compared_whole),
		cmocka_unit_test(requests_cannot_be_split),
		cmocka_unit_test(reply_windows_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
