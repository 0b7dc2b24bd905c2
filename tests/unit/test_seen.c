/*
 * seen.c: without pushd, who polls or reads a page is there, and later not;
 * with pushd nothing of it.
 */
#include "store_fixture.h"

#include "rate.h"
#include "route.h"
#include "seen.h"
#include "store_presence.h"
#include "token.h"

#define QUIET_S 150
#define MARK_MS 60000 /* between two marks of one person */

static struct conf cf;
static struct fixture *fx;
static size_t opened;

static struct store *
open_store(struct req *rq)
{
	opened++;
	store_set_now(fx->st, rq->now_ms);
	return fx->st;
}

/* A request of ${who}, answered with ${status}; whether it was a mark. */
static bool
asked(const struct who *who, const char *path, unsigned flags, int status,
    int64_t now_ms)
{
	static char *env[] = { NULL };
	struct route rt = { "GET", path, WHO_ANY, 0, NULL, flags };
	struct req rq = { .cf = &cf,
		.route = &rt,
		.who = *who,
		.env = env,
		.addr = "203.0.113.5",
		.host = "localhost",
		.now_ms = now_ms,
		.open_store = open_store };
	bool due = seen_due(&rq, status);

	if (due)
		seen_mark(&rq);
	return due;
}

static bool
poll(const struct who *who, int64_t now_ms)
{
	return asked(
	    who, "/api/events/poll", ROUTE_NODB | ROUTE_HERE, 200, now_ms);
}

/* As before the handler of a request at ${now_ms}. */
static void
looked(int64_t now_ms)
{
	struct req rq = { .cf = &cf, .st = fx->st, .now_ms = now_ms };

	store_set_now(fx->st, now_ms);
	seen_tidy(&rq);
}

static const char *
status(int64_t user)
{
	static char text[16];
	struct json_object *out = NULL, *items = NULL;
	const char *p = "";

	assert_int_equal(
	    store_presence(fx->st, &fx->admin, &user, 1, &out), STORE_DONE);
	assert_int_equal(json_get_arr(out, "items", &items), 1);
	assert_int_equal(json_get_str(json_object_array_get_idx(items, 0),
			     "status", &p, NULL),
	    1);
	(void)snprintf(text, sizeof(text), "%s", p);
	json_object_put(out);
	return text;
}

static int
up(void **state)
{
	static char key[] = "0123456789abcdef0123456789abcdef";
	static char none[] = "";

	if (token_init() == -1 || fixture_up(state) != 0)
		return -1;
	fx = *state;
	fx->agent.confirmed = fx->other.confirmed = fx->customer.confirmed =
	    true;
	memset(&cf, 0, sizeof(cf));
	cf.run_dir = fx->dir;
	cf.jwt_key = key;
	cf.integrator_key = cf.base_url = none;
	cf.presence_quiet_s = QUIET_S;
	opened = 0;
	fx->sent = 0;
	return 0;
}

static int
down(void **state)
{
	rate_close();
	return fixture_down(state);
}

/* A poll in a minute marks; all others cost no database. */
static void
marks(void **state)
{
	int64_t now = NOW;

	(void)state;
	assert_string_equal(status(fx->agent.id), "offline");
	assert_true(poll(&fx->agent, now));
	assert_string_equal(fx->type, "presence_update");
	assert_string_equal(fx->rooms, "inbox broadcast ");
	assert_string_equal(fx->pub, "{\"here\":true}");
	assert_non_null(strstr(fx->data, "\"status\":\"online\""));
	assert_string_equal(status(fx->agent.id), "online");
	for (now += 1000; now < NOW + MARK_MS; now += 1000)
		assert_false(poll(&fx->agent, now));
	assert_int_equal(opened, 1);
	/* Again, and nobody is told what is known. */
	assert_true(poll(&fx->agent, now));
	assert_int_equal(opened, 2);
	assert_int_equal(fx->sent, 1);
	/* Each person alone; a second agent is no news to customers. */
	assert_true(poll(&fx->other, now));
	assert_string_equal(fx->rooms, "inbox ");
	assert_true(poll(&fx->customer, now));
	assert_string_equal(fx->type, "customer_status");
	assert_false(poll(&fx->customer, now + 1));
}

/* What is no sign that somebody is there. */
static void
no_marks(void **state)
{
	struct who nobody = { 0 }, pushd = { .kind = WHO_PUSHD },
		   doubted = fx->other;

	(void)state;
	assert_false(asked(&fx->agent, "/api/conversations", 0, 200, NOW));
	assert_false(
	    asked(&fx->agent, "/inbox/5", ROUTE_PAGE | ROUTE_HERE, 404, NOW));
	assert_false(poll(&nobody, NOW));
	assert_false(poll(&pushd, NOW));
	/* A signature that the database does not confirm. */
	doubted.confirmed = false;
	assert_false(poll(&doubted, NOW));
	cf.push_daemon = true;
	assert_false(poll(&fx->agent, NOW));
	assert_int_equal(fx->sent, 0);
	cf.push_daemon = false;
	assert_true(
	    asked(&fx->agent, "/inbox", ROUTE_PAGE | ROUTE_HERE, 200, NOW));
	assert_int_equal(fx->sent, 1);
}

/* Silence ends it, by whichever request comes next. */
static void
silence(void **state)
{
	int64_t end = NOW + QUIET_S * INT64_C(1000);
	struct json_object *out = NULL;

	(void)state;
	assert_true(poll(&fx->agent, NOW));
	looked(end);
	assert_string_equal(status(fx->agent.id), "online");
	/* Not at every request... */
	looked(end + 1);
	assert_string_equal(status(fx->agent.id), "online");
	/* ...but a tenth of the time later. */
	cf.push_daemon = true;
	looked(end + 15000);
	assert_string_equal(status(fx->agent.id), "online");
	cf.push_daemon = false;
	looked(end + 15000);
	assert_string_equal(status(fx->agent.id), "offline");
	assert_string_equal(fx->pub, "{\"here\":false}");
	/* Last seen when it was. */
	assert_int_equal(json_parse(fx->data, strlen(fx->data), 8, 100, 1000,
			     &out, &(const char *){ NULL }),
	    0);
	assert_true(json_object_get_int64(
			json_object_object_get(out, "last_seen")) == NOW);
	json_object_put(out);
	/* Another's mark does it, too. */
	assert_true(poll(&fx->agent, end + 20000));
	assert_true(poll(&fx->customer, end + 20000 + QUIET_S * 1000 + 1));
	assert_string_equal(status(fx->agent.id), "offline");
	assert_string_equal(fx->type, "presence_update");
}

/* Away and busy are the user's word, while there and afterwards. */
static void
chosen(void **state)
{
	(void)state;
	assert_int_equal(
	    store_presence_set(fx->st, fx->agent.id, "away", NULL), STORE_DONE);
	assert_string_equal(status(fx->agent.id), "offline");
	assert_true(poll(&fx->agent, NOW));
	assert_string_equal(status(fx->agent.id), "away");
	assert_int_equal(
	    store_presence_set(fx->st, fx->agent.id, "busy", NULL), STORE_DONE);
	assert_true(poll(&fx->agent, NOW + MARK_MS));
	assert_string_equal(status(fx->agent.id), "busy");
	looked(NOW + MARK_MS + QUIET_S * 1000 + 1);
	assert_string_equal(status(fx->agent.id), "offline");
	assert_true(poll(&fx->agent, NOW + 10 * MARK_MS));
	assert_string_equal(status(fx->agent.id), "busy");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(marks, up, down),
		cmocka_unit_test_setup_teardown(no_marks, up, down),
		cmocka_unit_test_setup_teardown(silence, up, down),
		cmocka_unit_test_setup_teardown(chosen, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
