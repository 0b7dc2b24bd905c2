/*
 * Outgoing webhooks as they are kept: what a webhook is told of, in which
 * order, and what becomes of a try.
 */
#include "store_fixture.h"

#include "store_hook.h"

#define BY "worker"
#define DAY INT64_C(86400000)

static int64_t
hook_of(struct fixture *f, const char *types)
{
	struct hook_patch p = { .name = "Ledger",
		.url = "https://hooks.example.com/",
		.types = json_tokener_parse(types) };
	int64_t id = 0;

	assert_int_equal(
	    store_hook_add(f->st, &f->admin, &p, "secret", 5, &id), STORE_DONE);
	json_object_put(p.types);
	return id;
}

static int64_t
fan(struct fixture *f)
{
	int64_t n = -1;

	assert_int_equal(store_hooks_fan(f->st, 100, 1000, &n), STORE_DONE);
	return n;
}

/* The next that is due; false: none. */
static bool
claim(struct fixture *f, int64_t hook, struct hook_send *s)
{
	size_t n;
	int rc = store_hook_claim(f->st, hook, BY, 1000, s, 1, &n);

	assert_true(rc == STORE_DONE || rc == STORE_NONE);
	assert_int_equal(n, rc == STORE_DONE);
	return rc == STORE_DONE;
}

static int
ended(struct fixture *f, struct hook_send *s, long status)
{
	struct hook_end e = { .id = s->id,
		.good = status == 200,
		.status = status,
		.error = status == 200 ? NULL : "status",
		.answer = "said",
		.pause_ms = 5000,
		.gone = status == 410,
		.failing_ms = DAY };

	hook_send_fini(s);
	return store_hook_end(f->st, BY, &e);
}

static void
test_follow(void **state)
{
	struct fixture *f = *state;
	struct message note = {
		.content = "private", .content_len = 7, .note = true
	};
	struct store_page pg = { .limit = 10 };
	struct json_object *o = NULL;
	struct hook_send s;
	int64_t talk, direct, hook, notes, id;

	talk = fixture_talk(f, &f->customer);
	assert_int_equal(
	    fixture_say(f, &f->customer, talk, "before", NULL, NULL),
	    STORE_DONE);
	hook = hook_of(f, "[\"new_message\"]");
	notes = hook_of(f, "[\"note\"]");
	assert_int_equal(store_hooks_behind(f->st, 1000), STORE_NONE);

	/* Messages of customers' conversations; notes where they are wanted. */
	assert_int_equal(
	    fixture_say(f, &f->customer, talk, "hi", NULL, &id), STORE_DONE);
	note.conversation = talk;
	assert_int_equal(
	    store_message_add(f->st, &f->agent, &note), STORE_DONE);
	message_fini(&note);
	assert_int_equal(
	    store_conversation_direct(f->st, &f->admin, f->agent.id, &direct),
	    STORE_DONE);
	assert_int_equal(
	    fixture_say(f, &f->admin, direct, "lunch?", NULL, NULL),
	    STORE_DONE);
	assert_int_equal(store_hooks_behind(f->st, 1000), STORE_DONE);
	assert_int_equal(fan(f), 2);
	assert_int_equal(store_hooks_behind(f->st, 1000), STORE_NONE);
	assert_int_equal(fan(f), 0);

	assert_true(claim(f, hook, &s));
	assert_int_equal(s.event, id);
	assert_string_equal(s.type, "new_message");
	assert_string_equal(s.secret, "secret");
	assert_string_equal(text_of(s.data, "content"), "hi");
	assert_int_equal(ended(f, &s, 200), STORE_DONE);
	assert_false(claim(f, hook, &s));
	assert_true(claim(f, notes, &s));
	assert_string_equal(text_of(s.data, "content"), "private");
	assert_int_equal(ended(f, &s, 200), STORE_DONE);

	/* An answer that may repeat what is deleted goes with it. */
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM webhook_attempts"
				 " WHERE answer = 'said'"),
	    2);
	assert_int_equal(
	    store_message_delete(f->st, &f->customer, id, NULL), STORE_DONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM webhook_attempts"
				 " WHERE answer = 'said'"),
	    1);
	assert_int_equal(store_hook_attempts(f->st, hook, &pg, &o), STORE_DONE);
	json_object_put(o);
	assert_int_equal(store_hook_attempts(f->st, 99, &pg, &o), STORE_NONE);

	/* Deleted with all that it had. */
	assert_int_equal(store_hook_delete(f->st, hook), STORE_DONE);
	assert_int_equal(store_hook_delete(f->st, hook), STORE_NONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM webhook_attempts"), 1);
}

static void
test_lanes(void **state)
{
	struct fixture *f = *state;
	int64_t a = fixture_talk(f, &f->customer),
		b = fixture_talk(f, &f->stranger);
	int64_t hook = hook_of(f, "[\"new_message\"]"), one, two, other, n;
	struct hook_send s, t;

	fixture_say(f, &f->customer, a, "1", NULL, &one);
	fixture_say(f, &f->customer, a, "2", NULL, &two);
	fixture_say(f, &f->stranger, b, "1", NULL, &other);
	assert_int_equal(fan(f), 3);
	assert_true(claim(f, hook, &s));
	assert_int_equal(s.event, one);
	assert_true(claim(f, hook, &t));
	assert_int_equal(t.event, other);
	assert_int_equal(ended(f, &t, 200), STORE_DONE);
	assert_false(claim(f, hook, &t)); /* the second waits */

	/* A failure: again after the pause, and the second still waits. */
	assert_int_equal(ended(f, &s, 500), STORE_DONE);
	assert_false(claim(f, hook, &t));
	store_set_now(f->st, NOW + 5000);
	assert_true(claim(f, hook, &s));
	assert_int_equal(s.event, one);
	assert_int_equal(s.tries, 2);

	/* A worker that vanished: from the same one on. */
	store_set_now(f->st, NOW + 7000);
	assert_int_equal(store_hooks_lapsed(f->st, &n), STORE_DONE);
	assert_int_equal(n, 1);
	assert_int_equal(store_hooks_lapsed(f->st, &n), STORE_NONE);
	assert_int_equal(ended(f, &s, 200), STORE_NONE);
	assert_true(claim(f, hook, &s));
	assert_int_equal(s.event, one);
	assert_int_equal(ended(f, &s, 200), STORE_DONE);
	assert_true(claim(f, hook, &s));
	assert_int_equal(s.event, two);

	/* What comes while its lane is busy waits too. */
	fixture_say(f, &f->customer, a, "3", NULL, NULL);
	assert_int_equal(fan(f), 1);
	assert_false(claim(f, hook, &t));
	assert_int_equal(ended(f, &s, 200), STORE_DONE);
	assert_true(claim(f, hook, &s));
	assert_int_equal(ended(f, &s, 200), STORE_DONE);

	/* All of it is forgotten in time. */
	assert_int_equal(store_hook_purge(f->st, NOW), STORE_NONE);
	assert_int_equal(store_hook_purge(f->st, NOW + DAY), STORE_DONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM webhook_sends"), 0);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM webhook_attempts"), 0);
}

static void
test_off(void **state)
{
	struct fixture *f = *state;
	int64_t a = fixture_talk(f, &f->customer);
	int64_t hook = hook_of(f, "[\"new_message\"]");
	struct hook_patch on = { .state = "on" };
	struct hook_due due[4];
	struct hook_send s;
	char event[32];
	size_t n;

	fixture_say(f, &f->customer, a, "1", NULL, NULL);
	assert_int_equal(fan(f), 1);
	assert_true(claim(f, hook, &s));
	assert_int_equal(ended(f, &s, 500), STORE_DONE);
	store_set_now(f->st, NOW + DAY - 1);
	assert_true(claim(f, hook, &s));
	assert_int_equal(ended(f, &s, 500), STORE_DONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM outgoing_webhooks"
				 " WHERE state = 'on' AND failures = 2"),
	    1);
	store_set_now(f->st, NOW + DAY + 5000);
	assert_true(claim(f, hook, &s));
	assert_int_equal(ended(f, &s, 500), STORE_DONE);
	assert_string_equal(f->type, "system_notification");
	assert_string_equal(f->rooms, "inbox ");
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM outgoing_webhooks"
				 " WHERE reason = 'failing'"),
	    1);

	/* Off: nothing is due but what somebody asks for, and once. */
	store_set_now(f->st, NOW + 2 * DAY);
	assert_int_equal(store_hooks_due(f->st, due, 4, &n), STORE_NONE);
	assert_false(claim(f, hook, &s));
	assert_int_equal(store_hook_test(f->st, hook, event), STORE_DONE);
	assert_int_equal(store_hook_test(f->st, 99, event), STORE_NONE);
	assert_int_equal(store_hook_replay(f->st, hook, 99, event), STORE_NONE);
	assert_int_equal(store_hooks_due(f->st, due, 4, &n), STORE_DONE);
	assert_true(claim(f, hook, &s));
	assert_true(s.manual);
	assert_string_equal(s.type, "webhook_test");
	assert_int_equal(ended(f, &s, 500), STORE_DONE);
	assert_false(claim(f, hook, &s));

	/* On again, it goes on with what it has not been told of. */
	assert_int_equal(store_hook_patch(f->st, hook, &on), STORE_DONE);
	assert_int_equal(store_hook_patch(f->st, 99, &on), STORE_NONE);
	assert_true(claim(f, hook, &s));
	assert_int_equal(s.tries, 1);
	assert_int_equal(ended(f, &s, 410), STORE_DONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM outgoing_webhooks"
				 " WHERE reason = 'gone'"),
	    1);
}

static void
test_bounds(void **state)
{
	struct fixture *f = *state;
	int64_t a = fixture_talk(f, &f->customer), id, n;
	int64_t hook = hook_of(f, "[\"new_message\"]");
	struct hook_patch p = { .name = "x", .url = "https://x.example/" };
	char event[32];

	p.types = json_tokener_parse("[\"note\"]");
	assert_int_equal(
	    store_hook_add(f->st, NULL, &p, "s", 1, &id), STORE_REFUSED);
	json_object_put(p.types);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
		    store_hook_test(f->st, hook, event), STORE_DONE);
	assert_int_equal(store_hook_test(f->st, hook, event), STORE_REFUSED);

	/* What is too much waits in the log. */
	for (int i = 0; i < 3; i++)
		fixture_say(f, &f->customer, a, "m", NULL, NULL);
	assert_int_equal(store_hooks_behind(f->st, 100), STORE_NONE);
	assert_int_equal(store_hooks_fan(f->st, 10, 100, &n), STORE_DONE);
	assert_int_equal(n, 0);
	assert_int_equal(store_hooks_fan(f->st, 2, 101, &n), STORE_DONE);
	assert_true(n <= 2);
	assert_true(hook_type_good("note"));
	assert_false(hook_type_good("reset"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_follow),
		STORE_TEST(test_lanes),
		STORE_TEST(test_off),
		STORE_TEST(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
