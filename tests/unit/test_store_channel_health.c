/* How a channel fares: facts, problems, what is told once, tests asked for. */
#include "store_fixture.h"

#include "store_channel_health.h"
#include "store_delivery.h"

static struct json_object *
health(struct fixture *f)
{
	struct json_object *o = NULL;

	assert_int_equal(store_channel_health(f->st, f->zalo, &o), STORE_DONE);
	return o;
}

/* A member, or one of a member ("refused.count"), as text. */
static void
has(struct fixture *f, const char *key, const char *want)
{
	struct json_object *o = health(f), *v = o;
	char name[64];
	size_t n;

	for (;; key += n + 1) {
		n = strcspn(key, ".");
		snprintf(name, sizeof name, "%.*s", (int)n, key);
		assert_true(json_object_object_get_ex(v, name, &v));
		if (key[n] == '\0')
			break;
	}
	assert_string_equal(v == NULL ? "null"
				      : json_object_to_json_string_ext(
					    v, JSON_C_TO_STRING_PLAIN),
	    want);
	json_object_put(o);
}

static void
test_fresh(void **state)
{
	struct fixture *f = *state;
	struct json_object *o = NULL;

	has(f, "state", "\"ok\"");
	has(f, "state_text", "null");
	has(f, "last_inbound_at", "null");
	has(f, "refused", "null");
	has(f, "last_sent_at", "null");
	has(f, "last_error", "null");
	has(f, "hold_until", "null");
	has(f, "test", "null");
	has(f, "unconfirmed", "0");
	has(f, "waiting", "0");
	has(f, "token_expires_at", "null");
	has(f, "problems", "[]");
	assert_int_equal(store_channel_health(f->st, 999, &o), STORE_NONE);
	assert_null(o);
}

static void
test_webhooks(void **state)
{
	struct fixture *f = *state;
	int64_t id;

	assert_int_equal(
	    store_channel_refused(f->st, f->zalo, 1, "bad_signature"),
	    STORE_DONE);
	/* A flood costs nothing. */
	store_set_now(f->st, NOW + 59999);
	assert_int_equal(
	    store_channel_refused(f->st, f->zalo, 1, "bad_signature"),
	    STORE_REPEATED);
	has(f, "refused.count", "1");
	has(f, "problems", "[\"refused\"]");
	store_set_now(f->st, NOW + 60000);
	assert_int_equal(
	    store_channel_refused(f->st, f->zalo, 7, "bad_json"), STORE_DONE);
	has(f, "refused.count", "8");
	has(f, "refused.why", "\"bad_json\"");
	has(f, "refused.at", "4000000060000");
	/* One that is taken shows that the account is well set up. */
	store_set_now(f->st, NOW + 60001);
	assert_int_equal(
	    store_webhook_add(f->st, f->zalo, "{}", 2, &id), STORE_DONE);
	has(f, "last_inbound_at", "4000000060001");
	has(f, "problems", "[]");
	/* A clock that was set back does not silence it. */
	store_set_now(f->st, NOW);
	assert_int_equal(
	    store_channel_refused(f->st, f->zalo, 1, "bad_json"), STORE_DONE);
}

static void
test_deliveries(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL);
	struct delivery_end e = { .state = "unknown", .error = "no answer" };
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, NULL);
	fixture_say(f, &f->agent, c, "two", NULL, NULL);
	has(f, "waiting", "2");
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	has(f, "waiting", "2"); /* under way is not there */
	store_delivery_written(f->st, d.id, "w", NULL);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	assert_int_equal(
	    store_channel_error(f->st, f->zalo, "no answer"), STORE_DONE);
	has(f, "waiting", "1");
	has(f, "unconfirmed", "1");
	has(f, "last_error.text", "\"no answer\"");
	has(f, "problems", "[\"errors\",\"unconfirmed\"]");
	store_set_now(f->st, NOW + 5);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	e = (struct delivery_end){ .state = "sent", .external_id = "x1" };
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	has(f, "last_sent_at", "4000000000005");
	has(f, "waiting", "0");
	has(f, "problems", "[\"unconfirmed\"]"); /* the error is past */
	store_delivery_hold(f->st, f->zalo, NOW + 100);
	has(f, "hold_until", "4000000000100");
	has(f, "problems", "[\"held\",\"unconfirmed\"]");
	store_set_now(f->st, NOW + 100);
	has(f, "hold_until", "null");
}

/* The end of a token matters where nothing renews it. */
static void
test_tokens(void **state)
{
	struct fixture *f = *state;
	struct json_object *o =
	    json_tokener_parse("{\"zalo_token_expires_at\":\"4000000001000\"}");

	store_channel_set(f->st, f->zalo, NULL, o, NULL);
	json_object_put(o);
	has(f, "token_expires_at", "4000000001000");
	has(f, "token_renewable", "false");
	has(f, "problems", "[\"token_ends\"]");
	store_set_now(f->st, NOW - 8 * 86400000LL);
	has(f, "problems", "[]");
	store_set_now(f->st, NOW + 1000);
	has(f, "problems", "[\"token_expired\"]");
	o = json_tokener_parse(
	    "{\"zalo_refresh_token\":\"R\",\"zalo_app_id\":\"1\","
	    "\"zalo_app_secret\":\"S\"}");
	store_channel_set(f->st, f->zalo, NULL, NULL, o);
	json_object_put(o);
	has(f, "token_renewable", "true");
	has(f, "problems", "[]");
	store_channel_state(f->st, f->zalo, "reauth", "refused");
	has(f, "problems", "[\"reauth\"]");
	has(f, "state_text", "\"refused\"");
}

/* How many channels have which, for metrics. */
static void
test_problems(void **state)
{
	struct fixture *f = *state;
	struct json_object *o = NULL;

	store_channel_state(f->st, f->zalo, "reauth", "refused");
	assert_int_equal(store_channel_problems(f->st, &o), STORE_DONE);
	assert_string_equal(text_of(o, "reauth"), "1");
	assert_string_equal(text_of(o, "held"), "0");
	assert_int_equal(json_object_object_length(o), 9);
	json_object_put(o);
}

/* The end of a token goes with it. */
static void
test_new_token(void **state)
{
	struct fixture *f = *state;
	struct json_object *o =
	    json_tokener_parse("{\"zalo_token_expires_at\":\"5\","
			       "\"zalo_refresh_expires_at\":\"6\"}");
	struct channel_row c;

	store_channel_set(f->st, f->zalo, NULL, o, NULL);
	json_object_put(o);
	o = json_tokener_parse("{\"zalo_access_token\":\"B\"}");
	store_channel_set(f->st, f->zalo, NULL, NULL, o);
	json_object_put(o);
	store_channel_get(f->st, f->zalo, &c);
	assert_string_equal(text_of(c.all, "zalo_token_expires_at"), "");
	assert_string_equal(text_of(c.all, "zalo_refresh_expires_at"), "6");
	channel_row_fini(&c);
	o = json_tokener_parse("{\"zalo_refresh_token\":\"C\","
			       "\"zalo_refresh_expires_at\":\"7\"}");
	store_channel_set(f->st, f->zalo, NULL, NULL, o);
	json_object_put(o);
	store_channel_get(f->st, f->zalo, &c);
	assert_string_equal(text_of(c.all, "zalo_refresh_expires_at"), "7");
	channel_row_fini(&c);
}

static int
tell(struct fixture *f, const char *cause)
{
	int rc;

	assert_int_not_equal(store_begin(f->st), -1);
	rc = store_channel_told(f->st, f->zalo, cause);
	store_end(f->st, STORE_DONE);
	return rc;
}

static void
test_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(tell(f, "token:1"), STORE_DONE);
	assert_int_equal(tell(f, "token:1"), STORE_REPEATED);
	assert_int_equal(tell(f, "token:2"), STORE_DONE);
	assert_int_equal(tell(f, "token:2"), STORE_REPEATED);
}

static void
test_tests(void **state)
{
	struct fixture *f = *state;
	struct json_object *o =
	    json_tokener_parse("{\"ok\":true,\"account\":\"Shop\"}");
	int64_t id = 0;

	assert_int_equal(store_test_wanted(f->st), STORE_NONE);
	assert_int_equal(store_test_take(f->st, &id), STORE_NONE);
	assert_int_equal(store_test_want(f->st, 999), STORE_NONE);
	assert_int_equal(store_test_want(f->st, f->zalo), STORE_DONE);
	assert_int_equal(store_test_want(f->st, f->zalo), STORE_REPEATED);
	assert_int_equal(store_test_wanted(f->st), STORE_DONE);
	has(f, "test.state", "\"wanted\"");
	assert_int_equal(store_test_take(f->st, &id), STORE_DONE);
	assert_int_equal(id, f->zalo);
	assert_int_equal(store_test_take(f->st, &id), STORE_NONE);
	assert_int_equal(store_test_want(f->st, f->zalo), STORE_REPEATED);
	has(f, "test.state", "\"running\"");
	assert_int_equal(store_test_done(f->st, f->zalo, o), STORE_DONE);
	has(f, "test.state", "\"done\"");
	has(f, "test.ok", "true");
	has(f, "test.account", "\"Shop\"");
	has(f, "test.at", "4000000000000");
	/* Another one; and another when the one who ran it died. */
	assert_int_equal(store_test_want(f->st, f->zalo), STORE_DONE);
	assert_int_equal(store_test_take(f->st, &id), STORE_DONE);
	store_set_now(f->st, NOW + 120001);
	assert_int_equal(store_test_want(f->st, f->zalo), STORE_DONE);
	json_object_put(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_fresh),
		STORE_TEST(test_webhooks),
		STORE_TEST(test_deliveries),
		STORE_TEST(test_tokens),
		STORE_TEST(test_problems),
		STORE_TEST(test_new_token),
		STORE_TEST(test_told),
		STORE_TEST(test_tests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
