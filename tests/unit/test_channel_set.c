/* Setting up an account: made up, sorted, checked as it will be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channel_set.h"
#include "json.h"

static struct json_object *
parsed(const char *text)
{
	struct json_object *o = NULL;

	assert_int_equal(channel_json(text, strlen(text), &o), 0);
	return o;
}

static const char *
said(struct json_object *o, const char *key)
{
	const char *p = NULL;

	(void)json_get_str(o, key, &p, NULL);
	return p;
}

static void
made_up(void **state)
{
	const struct channel *ch = channel_find("facebook");
	struct json_object *all = parsed("{\"fb_page_id\":\"1\"}");
	struct json_object *made = json_object_new_object();
	struct json_object *again = json_object_new_object();

	(void)state;
	channel_set_make(ch, all, made);
	assert_int_equal(json_object_object_length(made), 1);
	assert_int_equal(strlen(said(made, "fb_verify_token")), 43);
	assert_string_equal(
	    said(all, "fb_verify_token"), said(made, "fb_verify_token"));

	/* What is there stays. */
	channel_set_make(ch, all, again);
	assert_int_equal(json_object_object_length(again), 0);
	json_object_put(all);
	json_object_put(made);
	json_object_put(again);
}

static void
sorted(void **state)
{
	const struct channel *ch = channel_find("line");
	struct json_object *all = parsed(
	    "{\"line_channel_secret\":\"s\",\"line_channel_id\":\"7\","
	    "\"line_channel_token\":null,\"line_use_reply\":null,\"x\":\"y\"}");
	struct json_object *config = json_object_new_object();
	struct json_object *secrets = json_object_new_object();
	struct json_object *v;

	(void)state;
	channel_set_sort(ch, all, config, secrets);
	assert_int_equal(json_object_object_length(config), 2);
	assert_string_equal(said(config, "line_channel_id"), "7");
	assert_true(json_object_object_get_ex(config, "line_use_reply", &v));
	assert_null(v);
	assert_int_equal(json_object_object_length(secrets), 2);
	assert_string_equal(said(secrets, "line_channel_secret"), "s");
	assert_true(
	    json_object_object_get_ex(secrets, "line_channel_token", &v));
	json_object_put(all);
	json_object_put(config);
	json_object_put(secrets);
}

static int
checked(const char *change, struct buf *why, struct channel_wrong *wrong)
{
	struct json_object *old = parsed("{\"zalo_app_id\":\"1\","
					 "\"zalo_oa_id\":\"2\","
					 "\"zalo_oa_secret\":\"s\","
					 "\"zalo_text_max\":\"30\"}");
	struct json_object *o = parsed(change);
	int rc;

	buf_reset(why);
	rc = channel_set_check(channel_find("zalo"), old, "2", o, why, wrong);
	json_object_put(old);
	json_object_put(o);
	return rc;
}

static void
checked_as_it_will_be(void **state)
{
	struct buf why;
	struct channel_wrong wrong;

	(void)state;
	buf_init(&why, 4096);
	assert_int_equal(checked("{}", &why, &wrong), 0);
	assert_int_equal(checked("{\"zalo_text_max\":null}", &why, &wrong), 0);

	/* One of the old ones is taken away, or becomes bad. */
	assert_int_equal(
	    checked("{\"zalo_oa_secret\":null}", &why, &wrong), -1);
	assert_string_equal(wrong.code, "required");
	assert_memory_equal(why.data, "zalo_oa_secret is required", 26);
	assert_int_equal(
	    checked("{\"zalo_api_base\":\"ftp://x\"}", &why, &wrong), -1);
	assert_string_equal(wrong.code, "https");

	/* What is secret is not told another address by who does not know it.
	 */
	assert_int_equal(
	    checked("{\"zalo_api_base\":\"https://x.example\"}", &why, &wrong),
	    -1);
	assert_string_equal(wrong.code, "again");
	assert_memory_equal(why.data, "zalo_oa_secret is wanted again", 30);
	assert_int_equal(
	    checked("{\"zalo_api_base\":\"https://openapi.zalo.me\"}", &why,
		&wrong),
	    0);
	assert_int_equal(checked("{\"zalo_api_base\":\"https://x.example\","
				 "\"zalo_oa_secret\":\"s\"}",
			     &why, &wrong),
	    0);

	/* An account does not become another one. */
	assert_int_equal(checked("{\"zalo_oa_id\":\"3\"}", &why, &wrong), -1);
	assert_string_equal(wrong.code, "other");
	assert_string_equal(wrong.key->name, "zalo_oa_id");
	assert_string_equal(
	    why.data, "3 is another account: add a channel for it");
	buf_fini(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_up),
		cmocka_unit_test(sorted),
		cmocka_unit_test(checked_as_it_will_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
