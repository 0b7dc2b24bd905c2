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
#include "store_customer.h"
#include "store_delivery.h"
#include "store_echo.h"
#include "store_message.h"
#include "store_webhook.h"

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

static const struct conf conf = { .webhook_entries_max = 1 };
static const struct conf many = { .webhook_entries_max = 2000 };

/* Keep one event, written with single quotes; its id into ${id}. */
static int
keep(struct fixture *f, const char *text, int64_t *id)
{
	char body[2048];
	int rc;

	snprintf(body, sizeof(body), "%s", text);
	for (char *p = body; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	rc = store_webhook_add(f->st, f->ac.id, body, strlen(body), id);
	store_idle(f->st);
	return rc;
}

/* The same, and think about it. */
static int
hook(struct fixture *f, const char *text)
{
	int64_t id;
	int rc = keep(f, text, &id);

	if (rc == STORE_DONE)
		assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
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

/* Its state, and how often it was tried. */
static void
is(struct fixture *f, int64_t id, const char *state, int64_t tries)
{
	struct webhook_row w;

	assert_int_equal(store_webhook_get(f->st, id, &w), STORE_DONE);
	assert_string_equal(w.state, state);
	assert_int_equal(w.tries, tries);
	webhook_row_fini(&w);
}

static void
first_kept_then_done_in_order(void **state)
{
	struct fixture *f = *state;
	int64_t a, b, c, id;
	char text[400];

	assert_int_equal(keep(f, TEXT("a", "one"), &a), STORE_DONE);
	assert_int_equal(keep(f, TEXT("b", "two"), &b), STORE_DONE);
	assert_int_equal(keep(f, TEXT("a", "one"), &id), STORE_REPEATED);
	assert_int_equal(id, a);
	assert_int_equal(f->events, 0);
	is(f, a, "new", 0);
	/* A commit that fails leaves all of it for the next. */
	store_fail_commit(f->st, SQLITE_FULL);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_FAILED);
	store_idle(f->st);
	assert_int_equal(f->events, 0);
	is(f, a, "new", 0);
	assert_int_equal(
	    keep(f, "{'event_name':'x','recipient':{'id':'100'}}", &c),
	    STORE_DONE);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	is(f, a, "done", 0);
	is(f, b, "done", 0);
	is(f, c, "ignored", 0);
	assert_int_equal(count(f, "SELECT count(*) FROM messages m JOIN"
				  " messages n ON n.id > m.id"
				  " WHERE m.external_id = 'a'"
				  " AND n.external_id = 'b'"),
	    1);
	/* Many are more than one commit, and a short run ends between. */
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text),
		    "{'event_name':'user_send_text','sender':{'id':'5'},"
		    "'recipient':{'id':'100'},'timestamp':'1795000000000',"
		    "'message':{'msg_id':'m%d','text':'x'}}",
		    i);
		assert_int_equal(keep(f, text, &id), STORE_DONE);
	}
	assert_int_equal(inbound_run(&conf, f->st, 0), STORE_DONE);
	assert_true(count(f, "SELECT count(*) FROM messages") < 42);
	assert_int_equal(inbound_run(&conf, f->st, 10000), STORE_NONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 42);
}

/* A statement on a connection of its own. */
static void
change(struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
what_fails_harms_no_other_and_is_tried_again(void **state)
{
	struct fixture *f = *state;
	int64_t a, b, at, now = store_now(f->st);

	change(f, "CREATE TRIGGER boom BEFORE INSERT ON messages"
		  " WHEN new.content = 'bad' BEGIN"
		  " SELECT raise(ABORT, 'boom'); END");
	assert_int_equal(store_webhook_due(f->st, &at), STORE_NONE);
	assert_int_equal(keep(f, TEXT("a", "bad"), &a), STORE_DONE);
	assert_int_equal(keep(f, TEXT("b", "good"), &b), STORE_DONE);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	store_idle(f->st);
	is(f, a, "failed", 1);
	is(f, b, "done", 0);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 1);
	assert_int_equal(store_webhook_due(f->st, &at), STORE_DONE);
	assert_true(at >= now + 60000 && at < now + 120000);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	is(f, a, "failed", 1);
	/* Ten times in all, then not by itself. */
	for (int i = 2; i <= 10; i++) {
		now += 7 * 3600 * 1000;
		store_set_now(f->st, now);
		assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
		is(f, a, "failed", i);
	}
	assert_int_equal(store_webhook_due(f->st, &at), STORE_NONE);
	change(f, "DROP TRIGGER boom");
	/* After the fix somebody has it run again; twice changes nothing. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_webhook_again(f->st, a), STORE_DONE);
		assert_int_equal(store_webhook_again(f->st, b), STORE_DONE);
		assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
		assert_int_equal(count(f, "SELECT count(*) FROM messages"), 2);
	}
	assert_int_equal(store_webhook_again(f->st, 999), STORE_NONE);
	store_idle(f->st);
}

static void
one_that_kills_is_put_off(void **state)
{
	struct fixture *f = *state;
	int64_t a, b, now = store_now(f->st);
	int i;

	assert_int_equal(keep(f, TEXT("a", "x"), &a), STORE_DONE);
	assert_int_equal(keep(f, TEXT("b", "y"), &b), STORE_DONE);
	store_set_now(f->st, now + 60000);
	/* Each run counts it first, and then comes to nothing. */
	for (i = 1; i <= 5; i++) {
		change(f, "CREATE TRIGGER stop BEFORE UPDATE OF state"
			  " ON webhook_inbox BEGIN"
			  " SELECT raise(ROLLBACK, 'stop'); END");
		assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_FAILED);
		store_idle(f->st);
		store_set_now(f->st, now + 60000);
		is(f, a, "new", i);
		change(f, "DROP TRIGGER stop");
	}
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	is(f, a, "failed", 6);
	is(f, b, "done", 0);
	store_set_now(f->st, now + 86400000);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	is(f, a, "done", 7);
	store_idle(f->st);
}

static void
what_was_deleted_does_not_come_back(void **state)
{
	struct fixture *f = *state;
	struct webhook_row w;
	int64_t a, m;

	assert_int_equal(keep(f, TEXT("a", "secret"), &a), STORE_DONE);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	assert_int_equal(
	    store_message_external(f->st, f->ac.id, "a", &m), STORE_DONE);
	assert_int_equal(
	    store_message_delete_external(f->st, f->ac.id, "a"), STORE_DONE);
	assert_int_equal(store_webhook_get(f->st, a, &w), STORE_DONE);
	assert_int_equal(w.len, 0);
	webhook_row_fini(&w);
	assert_int_equal(store_webhook_again(f->st, a), STORE_REFUSED);
}

/* An agent's message in the conversation of customer 5; its delivery. */
static int64_t
answer(struct fixture *f, const char *text, const char *by)
{
	struct message m = { .sender_kind = "agent",
		.sender_id = 1,
		.content = text,
		.content_len = strlen(text) };
	char said[ECHO_MARK_SIZE];
	struct delivery d;
	int64_t id;

	assert_int_equal(
	    store_echo_thread(f->st, f->ac.id, "5", &m.conversation),
	    STORE_DONE);
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	message_fini(&m);
	assert_int_equal(
	    store_delivery_claim(f->st, f->ac.id, by, 60000, &d), STORE_DONE);
	echo_mark("text", text, said);
	assert_int_equal(
	    store_delivery_written(f->st, d.id, by, said), STORE_DONE);
	id = d.id;
	delivery_fini(&d);
	return id;
}

/* Those of its items that could not be stored are still in it. */
static void
a_deletion_waits_for_what_is_to_be_done(void **state)
{
	struct fixture *f = *state;
	struct webhook_row w;
	int64_t a, b, other;

	assert_int_equal(keep(f, TEXT("a", "secret"), &a), STORE_DONE);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	change(f, "UPDATE webhook_inbox SET state = 'failed',"
		  " due_at = 4000000000000");
	assert_int_equal(
	    store_message_delete_external(f->st, f->ac.id, "a"), STORE_DONE);
	assert_int_equal(store_webhook_get(f->st, a, &w), STORE_DONE);
	assert_true(w.len > 0);
	webhook_row_fini(&w);
	assert_int_equal(store_webhook_again(f->st, a), STORE_DONE);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	assert_int_equal(store_webhook_get(f->st, a, &w), STORE_DONE);
	assert_int_equal(w.len, 0);
	webhook_row_fini(&w);

	/* The same body of another account goes with it. */
	assert_int_equal(
	    store_channel_add(f->st, "zalo", "OA", "101", NULL, NULL, &other),
	    STORE_DONE);
	assert_int_equal(keep(f, TEXT("b", "secret"), &a), STORE_DONE);
	assert_int_equal(store_webhook_get(f->st, a, &w), STORE_DONE);
	assert_int_equal(
	    store_webhook_add(f->st, other, w.body, w.len, &b), STORE_DONE);
	webhook_row_fini(&w);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	assert_int_equal(
	    store_message_delete_external(f->st, f->ac.id, "b"), STORE_DONE);
	assert_int_equal(store_webhook_get(f->st, b, &w), STORE_DONE);
	assert_int_equal(w.len, 0);
	webhook_row_fini(&w);
	store_idle(f->st);
}

#define IMAGE(id, files)                                        \
	"{'event_name':'user_send_image','sender':{'id':'5'},"  \
	"'recipient':{'id':'100'},'timestamp':'1795000000000'," \
	"'message':{'msg_id':'" id "','attachments':[" files "]}}"
#define FILE_AT(n) \
	"{'type':'image','payload':{'url':'https://f.example/" n "'}}"

static void
all_of_a_message_is_taken_back(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
	    hook(f, IMAGE("a", FILE_AT("1") "," FILE_AT("2") "," FILE_AT("3"))),
	    STORE_DONE);
	assert_int_equal(hook(f, IMAGE("a#", FILE_AT("4"))), STORE_DONE);
	assert_int_equal(hook(f, IMAGE("a#1x", FILE_AT("5"))), STORE_DONE);
	assert_int_equal(hook(f, IMAGE("ab", FILE_AT("6"))), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 6);
	assert_int_equal(
	    store_message_delete_external(f->st, f->ac.id, "a"), STORE_DONE);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"
				  " WHERE deleted_at IS NOT NULL"
				  " AND external_id IN ('a','a#1','a#2')"),
	    3);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"
				  " WHERE deleted_at IS NOT NULL"),
	    3);
	assert_int_equal(store_message_delete_external(f->st, f->ac.id, "a"),
	    STORE_REPEATED);
	assert_int_equal(
	    store_message_delete_external(f->st, f->ac.id, "b"), STORE_NONE);
	store_idle(f->st);
}

#define THREE(n) FILE_AT(n "1") "," FILE_AT(n "2") "," FILE_AT(n "3")

/* As many as webhook_entries_max says; what it costs is bounded. */
static void
too_many_are_skipped(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
	    hook(f, IMAGE("many", THREE("a") "," THREE("b") "," THREE("c"))),
	    STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 8);
	assert_int_equal(count(f, "SELECT count(*) FROM webhook_inbox"
				  " WHERE state = 'done'"),
	    1);
}

/* Who was erased and writes again is somebody new, who can be answered. */
static void
an_erased_customer_may_come_back(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	assert_int_equal(store_customer_delete(f->st, NULL, 1), STORE_DONE);
	assert_int_equal(hook(f, TEXT("b", "hi again")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages m"
				  " JOIN conversations c"
				  " ON c.id = m.conversation_id"
				  " JOIN customers k ON k.id = c.customer_id"
				  " WHERE m.external_id = 'b'"
				  " AND k.deleted_at IS NULL"
				  " AND m.sender_id = k.id"),
	    1);
	(void)answer(f, "yes", "w");
	assert_int_equal(count(f, "SELECT count(*) FROM deliveries d"
				  " JOIN conversations c"
				  " ON c.id = d.conversation_id"
				  " JOIN customer_identities i"
				  " ON i.customer_id = c.customer_id"
				  " WHERE i.external_id = '5'"),
	    1);
}

/* LINE need not say who wrote in a group. */
static void
nobodys_message_in_a_group_is_kept(void **state)
{
	static const char *const body =
	    "{\"destination\":\"Ubot\",\"events\":[{\"type\":\"message\","
	    "\"mode\":\"active\",\"timestamp\":1795000000000,"
	    "\"webhookEventId\":\"e\",\"source\":{\"type\":\"group\","
	    "\"groupId\":\"Cgroup\"},\"message\":{\"type\":\"text\","
	    "\"id\":\"7\",\"text\":\"from nobody\"}}]}";
	struct fixture *f = *state;
	struct json_object *config = json_object_new_object();
	int64_t line, id;

	json_put_str(config, "line_bot_user_id", "Ubot");
	assert_int_equal(
	    store_channel_add(f->st, "line", "L", "Ubot", config, NULL, &line),
	    STORE_DONE);
	json_object_put(config);
	assert_int_equal(
	    store_webhook_add(f->st, line, body, strlen(body), &id),
	    STORE_DONE);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	store_idle(f->st);
	is(f, id, "done", 0);
	assert_int_equal(count(f, "SELECT count(*) FROM messages m"
				  " JOIN conversations c"
				  " ON c.id = m.conversation_id"
				  " JOIN customer_identities i"
				  " ON i.customer_id = c.customer_id"
				  " WHERE m.content = 'from nobody'"
				  " AND c.external_id = 'Cgroup'"
				  " AND i.external_id = 'Cgroup'"),
	    1);
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
	    echo_match(f->st, c, "text", "yes", 0, store_now(f->st), &n),
	    STORE_NONE);
	assert_int_equal(
	    store_delivery_end(f->st, d, "w", &unknown), STORE_DONE);
	assert_int_equal(
	    echo_match(f->st, c, "text", "no", 0, store_now(f->st), &n),
	    STORE_NONE);
	assert_int_equal(
	    echo_match(f->st, c, "text", "yes", 0, store_now(f->st), &n),
	    STORE_DONE);
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

/* The same words said again are another message. */
static void
an_echo_of_the_same_words_is_not_taken_for_it(void **state)
{
	struct delivery_end unknown = { .state = "unknown" };
	struct delivery_end sent = { .state = "sent", .external_id = "e1" };
	struct fixture *f = *state;
	int64_t d, now;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	now = store_now(f->st);
	store_set_now(f->st, now);
	d = answer(f, "yes", "w");
	assert_int_equal(
	    store_delivery_end(f->st, d, "w", &unknown), STORE_DONE);
	/* While an answer is awaited it is not the older one's. */
	d = answer(f, "yes", "w");
	store_set_now(f->st, now);
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	store_set_now(f->st, now);
	assert_int_equal(count(f, "SELECT count(*) FROM deliveries"
				  " WHERE external_id IS NOT NULL"),
	    0);
	assert_int_equal(store_delivery_end(f->st, d, "w", &sent), STORE_DONE);
	/* Nor long after. */
	store_set_now(f->st, now + 60000);
	assert_int_equal(hook(f, ECHO("e2", "yes")), STORE_DONE);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"
				  " WHERE status = 'unknown'"),
	    1);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 4);
}

/* It was taken, and its answer held no id: the echo is no second message. */
static void
an_echo_names_what_was_sent_without_an_id(void **state)
{
	struct delivery_end sent = { .state = "sent" };
	struct fixture *f = *state;
	int64_t a, b;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	store_set_now(f->st, store_now(f->st));
	a = answer(f, "yes", "w");
	assert_int_equal(store_delivery_end(f->st, a, "w", &sent), STORE_DONE);
	b = answer(f, "yes", "w");
	assert_int_equal(store_delivery_end(f->st, b, "w", &sent), STORE_DONE);
	assert_int_equal(hook(f, SEEN("e2")), STORE_DONE);
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	assert_int_equal(hook(f, ECHO("e2", "yes")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 3);
	assert_int_equal(count(f, "SELECT count(*) FROM deliveries d"
				  " JOIN messages m ON m.id = d.message_id"
				  " WHERE d.said IS NULL AND"
				  " m.external_id = d.external_id AND"
				  " d.id || d.external_id || d.state"
				  " IN ('1e1sent', '2e2read')"),
	    2);
	/* Both are known: the next is somebody else's. */
	assert_int_equal(hook(f, ECHO("e3", "yes")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 4);
}

/* Nor is it of what somebody else's program says there much later. */
static void
a_later_echo_is_not_adopted(void **state)
{
	struct delivery_end sent = { .state = "sent" };
	struct fixture *f = *state;
	char said[ECHO_MARK_SIZE];
	int64_t a, c;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	assert_int_equal(
	    store_echo_thread(f->st, f->ac.id, "5", &c), STORE_DONE);
	echo_mark("text", "yes", said);
	a = answer(f, "yes", "w");
	assert_int_equal(store_delivery_end(f->st, a, "w", &sent), STORE_DONE);
	change(f, "UPDATE deliveries SET sent_at = sent_at - 60000");
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	assert_int_equal(echo_adopt(f->st, c, said), STORE_DONE);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 3);
	assert_int_equal(count(f, "SELECT count(*) FROM deliveries"
				  " WHERE external_id IS NULL"),
	    1);
}

/* Which of two an echo is of is seen when the answer is there. */
static void
an_echo_is_adopted_when_nothing_is_awaited(void **state)
{
	struct delivery_end sent = { .state = "sent" };
	struct delivery_end named = { .state = "sent", .external_id = "e2" };
	struct fixture *f = *state;
	char said[ECHO_MARK_SIZE];
	int64_t a, b, c;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	assert_int_equal(
	    store_echo_thread(f->st, f->ac.id, "5", &c), STORE_DONE);
	echo_mark("text", "yes", said);
	a = answer(f, "yes", "w");
	assert_int_equal(store_delivery_end(f->st, a, "w", &sent), STORE_DONE);
	b = answer(f, "yes", "w");
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	assert_int_equal(hook(f, ECHO("e2", "yes")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 5);
	assert_int_equal(store_delivery_end(f->st, b, "w", &named), STORE_DONE);
	assert_int_equal(echo_adopt(f->st, c, said), STORE_DONE);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 3);
	assert_int_equal(count(f, "SELECT count(*) FROM deliveries WHERE"
				  " id || external_id IN ('1e1', '2e2')"),
	    2);
}

/* Files say nothing: their kind tells. */
static void
a_files_echo_is_told_by_its_kind(void **state)
{
	char one[ECHO_MARK_SIZE], two[ECHO_MARK_SIZE];

	(void)state;
	echo_mark("image", NULL, one);
	echo_mark("image", "", two);
	assert_string_equal(one, two);
	echo_mark("file", NULL, two);
	assert_string_not_equal(one, two);
	echo_mark("text", "image", two);
	assert_string_not_equal(one, two);
	/* A caption tells more. */
	echo_mark("image", "image", one);
	assert_string_equal(one, two);
}

/* Of many it is done in several turns; none is skipped, none comes twice. */
static void
a_batch_may_be_long(void **state)
{
	struct fixture *f = *state;
	struct json_object *config = json_object_new_object();
	int64_t line, id, n = 9000;
	struct buf b;

	json_put_str(config, "line_bot_user_id", "Ubot");
	assert_int_equal(
	    store_channel_add(f->st, "line", "L", "Ubot", config, NULL, &line),
	    STORE_DONE);
	json_object_put(config);
	buf_init(&b, 4 << 20);
	buf_puts(&b, "{\"destination\":\"Ubot\",\"events\":[");
	for (int64_t i = 0; i < n; i++)
		buf_printf(&b,
		    "%s{\"type\":\"unsend\",\"timestamp\":1795000000000,"
		    "\"unsend\":{\"messageId\":\"%lld\"}}",
		    i > 0 ? "," : "", (long long)i);
	buf_puts(&b, ",{\"type\":\"message\",\"mode\":\"active\","
		     "\"timestamp\":1795000000000,\"webhookEventId\":\"e\","
		     "\"source\":{\"type\":\"user\",\"userId\":\"U1\"},"
		     "\"message\":{\"type\":\"text\",\"id\":\"7\","
		     "\"text\":\"the last\"}}]}");
	assert_false(b.err);
	assert_int_equal(
	    store_webhook_add(f->st, line, b.data, b.len, &id), STORE_DONE);
	buf_fini(&b);
	/* Who comes to it again and again does not take it for a killer. */
	store_set_now(f->st, store_now(f->st) + 20000);
	for (int i = 0; inbound_run(&many, f->st, 0) == STORE_DONE; i++)
		assert_in_range(i, 0, n);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages m"
				  " JOIN webhook_inbox w ON w.id = m.inbox_id"
				  " WHERE m.content = 'the last'"
				  " AND w.state = 'done'"),
	    1);
}

/* One whose items are partly done goes on there, and fails as a whole. */
static void
what_was_missed_on_the_way_is_told_in_the_end(void **state)
{
	struct fixture *f = *state;
	struct webhook_row w;
	int64_t id;

	assert_int_equal(keep(f, TEXT("a", "hi"), &id), STORE_DONE);
	assert_int_equal(store_webhook_partly(f->st, id, 1, 1, 3), STORE_DONE);
	assert_int_equal(store_webhook_get(f->st, id, &w), STORE_DONE);
	assert_int_equal(w.next_item, 1);
	assert_int_equal(w.missed, 1);
	assert_int_equal(w.tries, 3);
	webhook_row_fini(&w);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 0);
	is(f, id, "failed", 4);
	/* Again from its beginning. */
	assert_int_equal(store_webhook_again(f->st, id), STORE_DONE);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	store_idle(f->st);
	is(f, id, "done", 0);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 1);
}

/* What an agent sends again, and had arrived after all, does not go again. */
static void
an_echo_stops_what_is_to_go_again(void **state)
{
	struct delivery_end unknown = { .state = "unknown" };
	struct fixture *f = *state;
	struct delivery d;
	int64_t a;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	store_set_now(f->st, store_now(f->st));
	a = answer(f, "yes", "w");
	assert_int_equal(
	    store_delivery_end(f->st, a, "w", &unknown), STORE_DONE);
	change(f, "UPDATE deliveries SET state = 'queued', tries = 0,"
		  " due_at = 1");
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 2);
	assert_int_equal(
	    store_delivery_claim(f->st, f->ac.id, "w", 60000, &d), STORE_NONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"
				  " WHERE status = 'sent'"
				  " AND external_id = 'e1'"),
	    1);
}

/* Nor what a colleague wrote elsewhere. */
static void
a_persons_echo_is_not_ours(void **state)
{
	struct fixture *f = *state;
	char external[64];
	int64_t d;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	d = answer(f, "yes", "w");
	assert_int_equal(
	    hook(f, "{'event_name':'oa_send_text','sender':{'id':'100',"
		    "'admin_id':'7'},'recipient':{'id':'5'},"
		    "'timestamp':'1795000000000',"
		    "'message':{'msg_id':'e','text':'yes'}}"),
	    STORE_DONE);
	assert_int_equal(
	    store_echo_row(f->st, d, external, sizeof(external)), STORE_NONE);
	store_idle(f->st);
}

static void
an_echo_that_came_first_is_found(void **state)
{
	struct fixture *f = *state;
	char external[64];
	int64_t d, n;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	d = answer(f, "yes", "w");
	assert_int_equal(
	    store_echo_row(f->st, d, external, sizeof(external)), STORE_NONE);
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 3);
	assert_int_equal(
	    store_echo_row(f->st, d, external, sizeof(external)), STORE_DONE);
	assert_string_equal(external, "e1");
	/* The worker died: when its time is over, the echo tells. */
	store_set_now(f->st, store_now(f->st) + 61000);
	assert_int_equal(echo_settle(f->st, &n), STORE_DONE);
	assert_int_equal(n, 0);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 2);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"
				  " WHERE status = 'sent'"
				  " AND external_id = 'e1'"),
	    1);
}

/* However many there are, none becomes unknown that an echo tells of. */
static void
echoes_are_found_among_many(void **state)
{
	struct fixture *f = *state;
	int64_t n;

	assert_int_equal(hook(f, TEXT("a", "hi")), STORE_DONE);
	answer(f, "yes", "w");
	assert_int_equal(hook(f, ECHO("e1", "yes")), STORE_DONE);
	/* Before it, and after the last of them another. */
	change(f, "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL"
		  " SELECT n + 1 FROM i WHERE n < 150)"
		  " INSERT INTO deliveries (uuid, message_id, part,"
		  " conversation_id, channel_id, state, due_at, lease_by,"
		  " lease_until, written_at, said, created_at, updated_at)"
		  " SELECT 'u' || n, message_id, n, conversation_id,"
		  " channel_id, state, due_at, lease_by, lease_until - 200 + n,"
		  " written_at, 'x', created_at, updated_at"
		  " FROM deliveries, i");
	store_set_now(f->st, store_now(f->st) + 61000);
	assert_int_equal(echo_settle(f->st, &n), STORE_DONE);
	assert_int_equal(n, LAPSED_AT_ONCE);
	assert_int_equal(echo_settle(f->st, &n), STORE_DONE);
	assert_int_equal(n, 150 - LAPSED_AT_ONCE);
	assert_int_equal(echo_settle(f->st, &n), STORE_NONE);
	store_idle(f->st);
	assert_int_equal(count(f, "SELECT count(*) FROM messages"), 2);
	assert_int_equal(count(f, "SELECT count(*) FROM deliveries"
				  " WHERE state = 'sent'"
				  " AND external_id = 'e1'"),
	    1);
}

/* A text of somebody on Telegram, who tells a name with it. */
static int
telegram(struct fixture *f, int64_t channel, int n, const char *name)
{
	char body[600];
	int64_t id;

	snprintf(body, sizeof(body),
	    "{\"update_id\":%d,\"message\":{\"message_id\":%d,"
	    "\"from\":{\"id\":9,\"is_bot\":false,\"first_name\":\"%s\"},"
	    "\"chat\":{\"id\":9,\"type\":\"private\"},"
	    "\"date\":1795000000,\"text\":\"hi\"}}",
	    n, n, name);
	assert_int_equal(
	    store_webhook_add(f->st, channel, body, strlen(body), &id),
	    STORE_DONE);
	assert_int_equal(inbound_run(&conf, f->st, 1000), STORE_NONE);
	store_idle(f->st);
	return count(f, "SELECT count(*) FROM messages");
}

static void
who_has_no_name_gets_the_platforms(void **state)
{
	struct fixture *f = *state;
	struct json_object *cf = json_object_new_object();
	char name[300];
	int64_t ch;

	json_put_str(cf, "tg_bot_token", "7:AA");
	assert_int_equal(
	    store_channel_add(f->st, "telegram", "Bot", "7", cf, NULL, &ch),
	    STORE_DONE);
	json_object_put(cf);
	assert_int_equal(telegram(f, ch, 1, " "), 1);
	assert_int_equal(
	    count(f, "SELECT count(*) FROM customers WHERE name = ''"
		     " AND id > 0"),
	    1);
	/* Told later it is taken, cut to what a name may be; once. */
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(telegram(f, ch, 2, name), 2);
	assert_int_equal(
	    count(f, "SELECT length(name) FROM customers WHERE id > 0"), 200);
	assert_int_equal(telegram(f, ch, 3, "Other"), 3);
	assert_int_equal(
	    count(f, "SELECT length(name) FROM customers WHERE id > 0"), 200);
	/* Known from the first word on: the event of the new one has it. */
	change(f, "DELETE FROM customer_identities");
	assert_int_equal(telegram(f, ch, 4, "Lan"), 4);
	assert_int_equal(
	    count(f, "SELECT count(*) FROM events WHERE"
		     " type = 'customer_created' AND data LIKE '%\"Lan\"%'"),
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
		T(first_kept_then_done_in_order),
		T(what_fails_harms_no_other_and_is_tried_again),
		T(one_that_kills_is_put_off),
		T(what_was_deleted_does_not_come_back),
		T(a_deletion_waits_for_what_is_to_be_done),
		T(all_of_a_message_is_taken_back),
		T(too_many_are_skipped),
		T(an_erased_customer_may_come_back),
		T(nobodys_message_in_a_group_is_kept),
		T(receipts_may_come_first),
		T(an_echo_settles_what_got_no_answer),
		T(a_batch_may_be_long),
		T(what_was_missed_on_the_way_is_told_in_the_end),
		T(an_echo_of_the_same_words_is_not_taken_for_it),
		T(an_echo_stops_what_is_to_go_again),
		T(an_echo_names_what_was_sent_without_an_id),
		T(an_echo_is_adopted_when_nothing_is_awaited),
		T(a_later_echo_is_not_adopted),
		T(a_files_echo_is_told_by_its_kind),
		T(a_persons_echo_is_not_ours),
		T(an_echo_that_came_first_is_found),
		T(echoes_are_found_among_many),
		T(who_has_no_name_gets_the_platforms),
		T(names_of_the_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
