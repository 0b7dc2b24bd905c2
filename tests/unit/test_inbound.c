/* What a platform told us, into a real database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "channel.h"
#include "echo.h"
#include "inbound.h"
#include "json.h"
#include "store_channel.h"
#include "store_delivery.h"
#include "store_echo.h"
#include "store_message.h"

/* A database in a folder of its own, with one Zalo account. */
struct fixture {
	char dir[64], path[80];
	struct store *st;
	struct channel_account ac;
	int events;
};

static void
emitted(void *arg, const struct event *e)
{
	struct fixture *f = arg;

	(void)e;
	f->events++;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store_options op = { 0 };

	snprintf(f->dir, sizeof(f->dir), "/tmp/parley-inbound-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/p.db", f->dir);
	op.path = f->path;
	op.create = true;
	op.emit = emitted;
	op.emit_arg = f;
	assert_int_equal(store_init(&op), STORE_DONE);
	op.create = false;
	assert_int_equal(store_open(&op, &f->st), STORE_DONE);
	f->ac.ch = channel_find("zalo");
	f->ac.config = json_object_new_object();
	json_put_str(f->ac.config, "zalo_app_id", "7");
	json_put_str(f->ac.config, "zalo_oa_id", "100");
	assert_int_equal(store_channel_add(f->st, "zalo", "OA", "100",
			     f->ac.config, NULL, &f->ac.id),
	    STORE_DONE);
	f->events = 0;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[120];

	store_close(f->st);
	json_object_put(f->ac.config);
	snprintf(cmd, sizeof(cmd), "rm -r %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* Store one event, written with single quotes. */
static int
hook(struct fixture *f, const char *text)
{
	struct channel_hook h = { .now_ms = 1795000000000 };
	struct channel_batch b;
	char body[2048];
	int rc;

	snprintf(body, sizeof(body), "%s", text);
	for (char *p = body; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	h.body = body;
	h.len = strlen(body);
	channel_batch_init(&b);
	assert_int_equal(f->ac.ch->parse(&f->ac, &h, &b), 0);
	rc = inbound_store(f->st, &f->ac, &h, &b);
	channel_batch_fini(&b);
	store_idle(f->st);
	return rc;
}

#define TEXT(id, text)                                          \
	"{'event_name':'user_send_text','sender':{'id':'5'},"   \
	"'recipient':{'id':'100'},'timestamp':'1795000000000'," \
	"'message':{'msg_id':'" id "','text':'" text "'}}"
#define ECHO(id, text)                                        \
	"{'event_name':'oa_send_text','sender':{'id':'100'}," \
	"'recipient':{'id':'5'},'timestamp':'1795000000000'," \
	"'message':{'msg_id':'" id "','text':'" text "'}}"
#define SEEN(id)                                                 \
	"{'event_name':'user_seen_message','sender':{'id':'5'}," \
	"'recipient':{'id':'100'},'timestamp':'1795000000000',"  \
	"'message':{'msg_ids':['" id "']}}"

/* A number out of the database, on a connection of its own. */
static int
count(struct fixture *f, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	int n;

	assert_int_equal(
	    sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

static void
the_same_again_changes_nothing(void **state)
{
	struct fixture *f = *state;
	int events;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	events = f->events;
	assert_true(events >= 1);
	/* The same body, then the same message in other bytes. */
	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_REPEATED);
	assert_int_equal(hook(f, TEXT("a", "hi") " "), STORE_DONE);
	assert_int_equal(f->events, events);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 1);
	assert_int_equal(count(f, "SELECT count(*) FROM webhook_inbox"), 2);
	assert_int_equal(count(f, "SELECT count(*) FROM customers"), 1);
}

static void
all_or_nothing(void **state)
{
	struct fixture *f = *state;

	store_fail_commit(f->st, SQLITE_FULL);
	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_FAILED);
	assert_int_equal(f->events, 0);
	assert_int_equal(count(f, "SELECT count(*) FROM webhook_inbox"), 0);
	assert_int_equal(count(f, "SELECT count(*) FROM customers"), 0);
	/* The platform sends it again. */
	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 1);
}

static void
receipts_may_come_first(void **state)
{
	struct fixture *f = *state;
	int64_t id;

	assert_int_equal(hook(f, SEEN("z")), STORE_DONE);
	assert_int_equal(hook(f, ECHO("z", "hello")), STORE_DONE);
	assert_int_equal(
	    store_message_external(f->st, f->ac.id, "z", &id), STORE_DONE);
	assert_int_equal(
	    store_echo_known(f->st, f->ac.id, "z"), STORE_REPEATED);
	assert_int_equal(store_echo_known(f->st, f->ac.id, "y"), STORE_NONE);
	assert_int_equal(
	    store_echo_seen(f->st, f->ac.id, "receipt:read:z"), STORE_DONE);
	assert_int_equal(
	    store_echo_seen(f->st, f->ac.id, "receipt:read:y"), STORE_NONE);
}

/* An agent's message in the conversation of customer 5; its delivery. */
static int64_t
answer(struct fixture *f, const char *text, const char *by)
{
	struct message m = { .sender_kind = "agent",
		.sender_id = 1,
		.content = text,
		.content_len = strlen(text) };
	struct delivery d;
	int64_t id;

	assert_int_equal(
	    store_echo_thread(f->st, f->ac.id, "5", &m.conversation),
	    STORE_DONE);
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	message_fini(&m);
	assert_int_equal(
	    store_delivery_claim(f->st, f->ac.id, by, 60000, &d), STORE_DONE);
	assert_int_equal(store_delivery_written(f->st, d.id, by), STORE_DONE);
	id = d.id;
	delivery_fini(&d);
	return id;
}

static void
an_echo_settles_what_got_no_answer(void **state)
{
	struct delivery_end unknown = { .state = "unknown" };
	struct fixture *f = *state;
	int64_t c, n, d;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	assert_int_equal(
	    store_echo_thread(f->st, f->ac.id, "5", &c), STORE_DONE);
	d = answer(f, "yes", "w");
	/* The answer may still come: leave it alone. */
	assert_int_equal(
	    echo_match(f->st, &f->ac, c, "yes", 0, &n), STORE_NONE);
	assert_int_equal(
	    store_delivery_end(f->st, d, "w", &unknown), STORE_DONE);
	assert_int_equal(echo_match(f->st, &f->ac, c, "no", 0, &n), STORE_NONE);
	assert_int_equal(
	    echo_match(f->st, &f->ac, c, "yes", 0, &n), STORE_DONE);
	assert_int_equal(n, d);
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 2);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"
				  " WHERE status = 'sent'"
				  " AND external_id = 'e1'"),
	    1);
	/* It settles one, not the next of the same words. */
	assert_int_equal(hook(f, ECHO("e2", "yes")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 3);
}

static void
an_echo_that_came_first_is_found(void **state)
{
	struct fixture *f = *state;
	char external[64];
	int64_t d;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	d = answer(f, "yes", "w");
	assert_int_equal(
	    store_echo_row(f->st, d, "yes", 3, external, sizeof(external)),
	    STORE_NONE);
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 3);
	assert_int_equal(
	    store_echo_row(f->st, d, "yes", 3, external, sizeof(external)),
	    STORE_DONE);
	assert_string_equal(external, "e1");
	/* The worker died: when its time is over, the echo tells. */
	store_set_now(f->st, store_now(f->st) + 61000);
	assert_int_equal(echo_settle(f->st), STORE_DONE);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 2);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"
				  " WHERE status = 'sent'"
				  " AND external_id = 'e1'"),
	    1);
}

static void
names_of_the_account(void **state)
{
	struct fixture *f = *state;
	int64_t id;

	assert_int_equal(
	    store_echo_channel(f->st, "zalo", "100", &id), STORE_DONE);
	assert_int_equal(id, f->ac.id);
	assert_int_equal(
	    store_echo_channel(f->st, "zalo", "101", &id), STORE_NONE);
	assert_int_equal(
	    store_echo_channel(f->st, "line", "100", &id), STORE_NONE);
	assert_int_equal(
	    store_echo_thread(f->st, f->ac.id, "nobody", &id), STORE_NONE);
}

int
main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_same_again_changes_nothing),
		T(all_or_nothing),
		T(receipts_may_come_first),
		T(an_echo_settles_what_got_no_answer),
		T(an_echo_that_came_first_is_found),
		T(names_of_the_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
