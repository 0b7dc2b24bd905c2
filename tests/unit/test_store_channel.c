/* Channels, leases, webhooks; deliveries with their ends and echoes. */
#include "store_fixture.h"

#include <sys/wait.h>

#include <sqlite3.h>

#include "store_db.h"
#include "store_delivery.h"
#include "store_media.h"

static void
test_channels(void **state)
{
	struct fixture *f = *state;
	struct json_object *cf =
	    json_tokener_parse("{\"a\":\"1\",\"b\":\"2\"}");
	struct json_object *sc = json_tokener_parse("{\"key\":\"HUSH\"}"), *o;
	struct channel_row c;
	int64_t id, first, ids[8];
	size_t n;

	assert_int_equal(
	    store_channel_add(f->st, "line", "L", "acc", cf, sc, &id),
	    STORE_DONE);
	assert_int_equal(
	    store_channel_add(f->st, "line", "L", "acc", cf, sc, &first),
	    STORE_REFUSED);
	assert_int_equal(store_channel_get(f->st, id, &c), STORE_DONE);
	assert_string_equal(text_of(c.all, "a"), "1");
	assert_string_equal(text_of(c.all, "key"), "HUSH");
	channel_row_fini(&c);
	json_object_put(cf);
	cf = json_tokener_parse("{\"a\":null,\"c\":\"3\"}");
	assert_int_equal(
	    store_channel_set(f->st, id, "New", cf, NULL), STORE_DONE);
	store_channel_get(f->st, id, &c);
	assert_string_equal(c.name, "New");
	assert_string_equal(text_of(c.all, "a"), "");
	assert_string_equal(text_of(c.all, "b"), "2");
	assert_string_equal(text_of(c.all, "c"), "3");
	assert_string_equal(text_of(c.all, "key"), "HUSH");
	channel_row_fini(&c);
	/* Secrets are write-only. */
	assert_int_equal(store_channels(f->st, &o), STORE_DONE);
	assert_int_equal(count_of(o), 3);
	assert_null(strstr(json_object_to_json_string(o), "HUSH"));
	assert_non_null(
	    strstr(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
		"\"key\":\"set\""));
	json_object_put(o);
	assert_int_equal(
	    store_channel_first(f->st, "line", &first), STORE_DONE);
	assert_int_equal(first, id);
	assert_int_equal(
	    store_channel_state(f->st, id, "off", NULL), STORE_DONE);
	assert_int_equal(
	    store_channel_first(f->st, "line", &first), STORE_NONE);
	assert_int_equal(
	    store_channel_ids(f->st, NULL, ids, 8, &n), STORE_DONE);
	assert_int_equal(n, 3);
	assert_int_equal(store_channel_delete(f->st, id), STORE_DONE);
	assert_int_equal(store_channel_delete(f->st, id), STORE_NONE);
	assert_int_equal(store_channel_get(f->st, id, &c), STORE_NONE);
	assert_int_equal(
	    store_channel_add(f->st, "line", "L", "acc", cf, sc, &first),
	    STORE_DONE);
	json_object_put(cf);
	json_object_put(sc);
}

static void
test_lease(void **state)
{
	struct fixture *f = *state;
	struct json_object *s =
	    json_tokener_parse("{\"access\":\"A1\",\"refresh\":\"R1\"}");
	struct channel_row c;

	store_channel_set(f->st, f->zalo, NULL, NULL, s);
	json_object_put(s);
	store_channel_state(f->st, f->zalo, "reauth", "expired");
	assert_int_equal(
	    store_lease_take(f->st, f->zalo, "w1", NOW + 1000), STORE_DONE);
	assert_int_equal(
	    store_lease_take(f->st, f->zalo, "w2", NOW + 1000), STORE_NONE);
	/* Held no longer: another's. */
	store_set_now(f->st, NOW + 1001);
	assert_int_equal(
	    store_lease_take(f->st, f->zalo, "w2", NOW + 9000), STORE_DONE);
	s = json_tokener_parse("{\"access\":\"A2\",\"refresh\":\"R2\"}");
	assert_int_equal(
	    store_lease_token(f->st, f->zalo, "w1", s), STORE_NONE);
	store_channel_get(f->st, f->zalo, &c);
	assert_string_equal(text_of(c.secrets, "refresh"), "R1");
	channel_row_fini(&c);
	assert_int_equal(
	    store_lease_token(f->st, f->zalo, "w2", s), STORE_DONE);
	json_object_put(s);
	store_channel_get(f->st, f->zalo, &c);
	assert_string_equal(text_of(c.secrets, "refresh"), "R2");
	assert_string_equal(text_of(c.secrets, "previous_refresh"), "R1");
	assert_string_equal(c.state, "ok");
	channel_row_fini(&c);
	/* It was given back with that. */
	assert_int_equal(store_lease_drop(f->st, f->zalo, "w2"), STORE_NONE);
	assert_int_equal(
	    store_lease_take(f->st, f->zalo, "w3", NOW + 9000), STORE_DONE);
	assert_int_equal(store_lease_drop(f->st, f->zalo, "w3"), STORE_DONE);
}

static void
test_webhook(void **state)
{
	struct fixture *f = *state;
	int64_t id, again;

	/* Stored with its effects or not at all. */
	assert_int_equal(store_begin(f->st), 0);
	assert_int_equal(
	    store_webhook_add(f->st, f->zalo, "{\"a\":1}", 7, &id), STORE_DONE);
	fixture_zalo(f, "hello", NULL);
	assert_int_equal(store_end(f->st, STORE_REFUSED), STORE_REFUSED);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM webhook_inbox"), 0);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), 0);

	assert_int_equal(store_begin(f->st), 0);
	assert_int_equal(
	    store_webhook_add(f->st, f->zalo, "{\"a\":1}", 7, &id), STORE_DONE);
	assert_int_equal(
	    store_webhook_seen(f->st, f->zalo, "follow:1"), STORE_DONE);
	assert_int_equal(
	    store_webhook_seen(f->st, f->zalo, "follow:1"), STORE_REPEATED);
	assert_int_equal(store_webhook_done(f->st, id, "done"), STORE_DONE);
	assert_int_equal(store_end(f->st, STORE_DONE), STORE_DONE);
	/* The same body again, and of another channel. */
	assert_int_equal(
	    store_webhook_add(f->st, f->zalo, "{\"a\":1}", 7, &again),
	    STORE_REPEATED);
	assert_int_equal(again, id);
	assert_int_equal(
	    store_webhook_add(f->st, f->web, "{\"a\":1}", 7, &again),
	    STORE_DONE);
	assert_int_equal(
	    store_webhook_seen(f->st, f->zalo, "follow:1"), STORE_REPEATED);
	assert_int_equal(store_webhook_purge(f->st, 1000), STORE_NONE);
	store_set_now(f->st, NOW + 2000);
	assert_int_equal(store_webhook_purge(f->st, 1000), STORE_DONE);
	assert_int_equal(store_webhook_purge(f->st, 1000), STORE_NONE);
}

/* The same platform event ten times in parallel: one message. */
static void
test_webhook_parallel(void **state)
{
	struct fixture *f = *state;
	int i, status, done = 0;

	for (i = 0; i < 10; i++)
		if (fork() == 0) {
			struct store_options op = f->op;
			int64_t id;
			int rc;

			if (store_open(&op, &f->st) != STORE_DONE ||
			    store_begin(f->st) == -1)
				_exit(99);
			rc = store_webhook_add(f->st, f->zalo, "{}", 2, &id);
			if (rc == STORE_DONE) {
				fixture_zalo(f, "once", NULL);
				rc = store_webhook_done(f->st, id, "done");
			}
			_exit(store_end(f->st, rc));
		}
	for (i = 0; i < 10; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WEXITSTATUS(status) == STORE_DONE ||
			    WEXITSTATUS(status) == STORE_REPEATED);
		done += WEXITSTATUS(status) == STORE_DONE;
	}
	assert_int_equal(done, 1);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), 1);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM conversations"), 1);
}

/* ---- deliveries --------------------------------------------------------- */

static void
check_status(struct fixture *f, int64_t message, const char *status)
{
	struct json_object *out;

	assert_int_equal(
	    store_message(f->st, &f->agent, message, &out), STORE_DONE);
	assert_string_equal(text_of(out, "status"), status);
	json_object_put(out);
}

/* What ${sql} takes of the database, in steps of its machine. */
static int
steps(struct fixture *f, const char *sql)
{
	sqlite3_stmt *q = store_stmt(f->st, sql);
	int n;

	bind_int(q, ":now", NOW);
	sqlite3_stmt_status(q, SQLITE_STMTSTATUS_VM_STEP, 1);
	while (step_row(f->st, q) == 1)
		;
	n = sqlite3_stmt_status(q, SQLITE_STMTSTATUS_VM_STEP, 0);
	stmt_end(q);
	return n;
}

struct due_steps {
	struct fixture *f;
	int most;
};

/* Those that look for what is due. */
static void
due_steps_one(void *arg, const char *sql)
{
	struct due_steps *ds = arg;
	int n;

	if (strstr(sql, "INDEXED BY channels_ok") == NULL)
		return;
	n = steps(ds->f, sql);
	if (n > ds->most)
		ds->most = n;
}

/* However much waits for a stopped account, looking for more is cheap. */
static void
test_stopped_accounts_cost_nothing(void **state)
{
	struct fixture *f = *state;
	struct due_steps ds = { .f = f };
	int64_t in, c = fixture_zalo(f, "hi", &in), id, at;

	fixture_say(f, &f->agent, c, "one", NULL, &id);
	assert_int_equal(
	    store_fetch_add(f->st, in, f->zalo, "https://x.example", NULL),
	    STORE_DONE);
	assert_int_equal(sqlite3_exec(f->st->db,
			     "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL"
			     " SELECT n + 1 FROM i WHERE n < 2000)"
			     " INSERT INTO deliveries (uuid, message_id, part,"
			     " conversation_id, channel_id, due_at, created_at,"
			     " updated_at) SELECT 'u' || n, message_id, n,"
			     " conversation_id, channel_id, due_at, created_at,"
			     " updated_at FROM deliveries, i",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(store_delivery_due(f->st, &at), STORE_DONE);
	assert_int_equal(store_fetch_due(f->st, &at), STORE_DONE);
	assert_int_equal(
	    store_channel_state(f->st, f->zalo, "reauth", NULL), STORE_DONE);
	assert_int_equal(store_delivery_due(f->st, &at), STORE_NONE);
	assert_int_equal(store_fetch_due(f->st, &at), STORE_NONE);
	store_each_sql(f->st, due_steps_one, &ds);
	assert_in_range(ds.most, 1, 200);
	assert_int_equal(
	    store_channel_state(f->st, f->zalo, "ok", NULL), STORE_DONE);
	assert_int_equal(store_delivery_due(f->st, &at), STORE_DONE);
	/* Nor does one that waits. */
	assert_int_equal(
	    store_delivery_hold(f->st, f->zalo, NOW + 1), STORE_DONE);
	assert_int_equal(store_delivery_due(f->st, &at), STORE_NONE);
	ds.most = 0;
	store_each_sql(f->st, due_steps_one, &ds);
	assert_in_range(ds.most, 1, 200);
}

static void
test_sent(void **state)
{
	struct fixture *f = *state;
	int64_t in, c = fixture_zalo(f, "hi", &in), a, b, due;
	struct delivery_end e = { .state = "sent", .external_id = "out-1" };
	struct message m = { .conversation = c,
		.content = "re",
		.content_len = 2,
		.reply_to = in };
	struct delivery d, x;

	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_NONE);
	assert_int_equal(store_message_add(f->st, &f->agent, &m), STORE_DONE);
	a = m.id;
	message_fini(&m);
	assert_non_null(strstr(f->data, "\"status\":\"queued\""));
	fixture_say(f, &f->agent, c, "two", NULL, &b);
	assert_int_equal(store_delivery_due(f->st, &due), STORE_DONE);
	assert_int_equal(due, NOW);

	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_DONE);
	assert_int_equal(d.message, a);
	assert_string_equal(d.content, "re");
	assert_string_equal(d.platform, "zalo");
	assert_string_equal(d.customer_external, "u7");
	assert_string_equal(d.conversation_external, "u7");
	assert_string_equal(d.quote_external, "in-1");
	assert_int_equal(d.tries, 1);
	assert_int_equal(strlen(d.uuid), 36);
	check_status(f, a, "sending");
	/* The next of the conversation waits for this one. */
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &x), STORE_NONE);
	assert_int_equal(
	    store_delivery_written(f->st, d.id, "other", NULL), STORE_NONE);
	assert_int_equal(
	    store_delivery_written(f->st, d.id, "w", NULL), STORE_DONE);
	assert_int_equal(
	    store_delivery_end(f->st, d.id, "other", &e), STORE_NONE);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	assert_string_equal(f->type, "message_status");
	assert_non_null(strstr(f->data, "\"status\":\"sent\""));
	assert_non_null(strstr(f->rooms, "customer:"));
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_NONE);
	delivery_fini(&d);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &x), STORE_DONE);
	assert_int_equal(x.message, b);
	delivery_fini(&x);

	/* Receipts move forward only. */
	assert_int_equal(
	    store_delivery_receipt(f->st, f->zalo, "out-1", "read"),
	    STORE_DONE);
	check_status(f, a, "read");
	assert_int_equal(
	    store_delivery_receipt(f->st, f->zalo, "out-1", "delivered"),
	    STORE_REPEATED);
	/* Of nothing that is known: kept, and known then. */
	assert_int_equal(
	    store_delivery_receipt(f->st, f->zalo, "no", "read"), STORE_DONE);
	assert_int_equal(store_delivery_receipt(f->st, f->zalo, "no", "read"),
	    STORE_REPEATED);
	/* Theirs, not ours. */
	assert_int_equal(
	    store_delivery_receipt(f->st, f->zalo, "in-1", "read"), STORE_DONE);
	check_status(f, a, "read");
	check_status(f, b, "sending");
}

/* Receipts before the id they name: as soon as that is told, whoever tells. */
static void
test_receipts_first(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, b;
	struct delivery_end e = { .state = "sent", .external_id = "out-1" };
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	fixture_say(f, &f->agent, c, "two", NULL, &b);
	store_delivery_receipt(f->st, f->zalo, "out-1", "delivered");
	store_delivery_receipt(f->st, f->zalo, "out-2", "read");
	store_delivery_receipt(f->st, f->zalo, "out-2", "delivered");
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	check_status(f, a, "delivered");
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(
	    store_delivery_echo(f->st, d.id, f->zalo, c, "out-2", NOW),
	    STORE_DONE);
	delivery_fini(&d);
	check_status(f, b, "read");
}

static void
test_retry_and_failure(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a;
	struct delivery_end e = {
		.state = "queued", .error = "busy", .due_at = NOW + 5000
	};
	struct json_object *out;
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	check_status(f, a, "queued");
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_NONE);
	store_set_now(f->st, NOW + 5000);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_DONE);
	assert_int_equal(d.tries, 2);
	e = (struct delivery_end){ .state = "failed",
		.error = "window_closed" };
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	assert_non_null(strstr(f->data, "window_closed"));
	assert_null(strstr(f->pub, "window_closed"));
	check_status(f, a, "failed");
	assert_int_equal(store_delivery_counts(f->st, &out), STORE_DONE);
	assert_string_equal(text_of(out, "failed"), "1");
	json_object_put(out);
	/* A failed one does not hold up the next; by hand it goes again. */
	assert_int_equal(
	    store_delivery_resend(f->st, &f->customer, a, &out), STORE_NONE);
	assert_int_equal(
	    store_delivery_resend(f->st, &f->agent, a, &out), STORE_DONE);
	assert_string_equal(text_of(out, "status"), "queued");
	json_object_put(out);
	assert_int_equal(
	    store_delivery_resend(f->st, &f->agent, a, &out), STORE_REFUSED);
	char uuid[37];
	snprintf(uuid, sizeof uuid, "%s", d.uuid);
	delivery_fini(&d);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_DONE);
	assert_string_equal(d.uuid, uuid); /* the same key */
	delivery_fini(&d);
}

/* What comes behind a part that failed waits for that one. */
static void
test_parts_in_order(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, b, n;
	struct delivery_end e = { .state = "failed", .error = "refused" };
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(store_delivery_parts(f->st, d.id, 3), STORE_DONE);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	assert_non_null(strstr(f->data, "\"error\":\"refused\""));
	delivery_fini(&d);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_NONE);
	check_status(f, a, "failed");
	/* The next message need not wait; by hand all goes again, in order. */
	fixture_say(f, &f->agent, c, "two", NULL, &b);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_DONE);
	assert_int_equal(d.message, b);
	e = (struct delivery_end){ .state = "sent", .external_id = "o" };
	store_delivery_end(f->st, d.id, "w", &e);
	delivery_fini(&d);
	assert_int_equal(
	    store_delivery_resend(f->st, &f->agent, a, NULL), STORE_DONE);
	for (int i = 0; i < 2; i++) {
		char id[8];

		assert_int_equal(
		    store_delivery_claim(f->st, f->zalo, "w", 1000, &d),
		    STORE_DONE);
		assert_int_equal(d.part, i);
		snprintf(id, sizeof id, "p%d", i);
		e.external_id = id;
		if (i == 0)
			store_delivery_end(f->st, d.id, "w", &e);
		else
			store_delivery_written(f->st, d.id, "w", NULL);
		delivery_fini(&d);
	}
	/* Nor after one that may not have arrived. */
	store_set_now(f->st, NOW + 1001);
	assert_int_equal(store_delivery_expired(f->st, &n), STORE_DONE);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_NONE);
	check_status(f, a, "failed");
}

/* What waits behind it uses up none of what may go free of charge. */
static void
test_free_ones(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL);
	struct delivery_end e = { .state = "sent" };
	struct delivery d;
	char id[8];

	for (int i = 0; i < 4; i++)
		fixture_say(f, &f->agent, c, "hello", NULL, NULL);
	for (int i = 1; i <= 4; i++) {
		assert_int_equal(
		    store_delivery_claim(f->st, f->zalo, "w", 1000, &d),
		    STORE_DONE);
		assert_int_equal(d.sent_since, i);
		snprintf(id, sizeof id, "o%d", i);
		e.external_id = id;
		store_delivery_end(f->st, d.id, "w", &e);
		delivery_fini(&d);
	}
}

/* A platform has what was said when it was taken up. */
static void
test_edited_in_time(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a;
	struct delivery_end e = { .state = "failed", .error = "refused" };
	struct json_object *out = NULL;
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	assert_int_equal(
	    store_message_edit(f->st, &f->agent, a, "two", 3, &out),
	    STORE_DONE);
	json_object_put(out);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_string_equal(d.content, "two");
	delivery_fini(&d);
	assert_int_equal(
	    store_message_edit(f->st, &f->agent, a, "three", 5, &out),
	    STORE_REFUSED);
	store_delivery_end(f->st, d.id, "w", &e);
	assert_int_equal(
	    store_delivery_resend(f->st, &f->agent, a, NULL), STORE_DONE);
	assert_int_equal(
	    store_message_edit(f->st, &f->agent, a, "four", 4, &out),
	    STORE_REFUSED);
	check_status(f, a, "queued");
}

/* A lease that ran out: written is unknown, else it is queued again. */
static void
test_leases(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, n;
	struct delivery_end e = { .state = "failed", .error = "no" };
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(store_delivery_expired(f->st, &n), STORE_NONE);
	store_set_now(f->st, NOW + 1001);
	assert_int_equal(store_delivery_written(f->st, d.id, "w", NULL),
	    STORE_NONE); /* too late to begin */
	assert_int_equal(store_delivery_expired(f->st, &n), STORE_DONE);
	assert_int_equal(n, 1);
	check_status(f, a, "queued");
	assert_false(d.doubt);
	delivery_fini(&d);

	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_DONE);
	assert_true(d.doubt); /* under a key it is not marked as written */
	assert_int_equal(
	    store_delivery_written(f->st, d.id, "w", NULL), STORE_DONE);
	store_set_now(f->st, NOW + 3000);
	assert_int_equal(store_delivery_expired(f->st, &n), STORE_DONE);
	check_status(f, a, "unknown");
	delivery_fini(&d);
	/* Never again by itself; a late refusal is not taken. */
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_NONE);
	assert_int_equal(store_delivery_end(f->st, 1, "w", &e), STORE_NONE);
	/* An echo that names it settles it, in its conversation. */
	assert_int_equal(
	    store_delivery_echo(f->st, 1, f->zalo, c + 1, "out-9", 0),
	    STORE_NONE);
	assert_int_equal(
	    store_delivery_echo(f->st, 1, f->web, c, "out-9", 0), STORE_NONE);
	assert_int_equal(
	    store_delivery_echo(f->st, 1, f->zalo, c, "out-9", NOW),
	    STORE_DONE);
	check_status(f, a, "sent");
	assert_int_equal(
	    store_delivery_echo(f->st, 1, f->zalo, c, "out-9", NOW),
	    STORE_REPEATED);
	assert_int_equal(
	    store_message_external(f->st, f->zalo, "out-9", &n), STORE_DONE);
	assert_int_equal(n, a);
}

/* An answer or an echo that says it arrived is right, however late it is. */
static void
test_late_truth(void **state)
{
	struct fixture *f = *state;
	struct delivery_end sent = { .state = "sent", .external_id = "out-1" };
	struct delivery_end failed = { .state = "failed", .error = "no" };
	int64_t c = fixture_zalo(f, "hi", NULL), a, b, n;
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	fixture_say(f, &f->agent, c, "two", NULL, &b);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(
	    store_delivery_written(f->st, d.id, "w", NULL), STORE_DONE);
	store_set_now(f->st, NOW + 2000);
	assert_int_equal(store_delivery_expired(f->st, &n), STORE_DONE);
	check_status(f, a, "unknown");
	assert_int_equal(
	    store_delivery_end(f->st, d.id, "w", &failed), STORE_NONE);
	assert_int_equal(
	    store_delivery_end(f->st, d.id, "w", &sent), STORE_DONE);
	check_status(f, a, "sent");
	delivery_fini(&d);

	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(
	    store_delivery_end(f->st, d.id, "w", &failed), STORE_DONE);
	assert_int_equal(
	    store_delivery_echo(f->st, d.id, f->zalo, c, "out-2", 0),
	    STORE_DONE);
	check_status(f, b, "sent");
	/* Not what it took, and then told us did not arrive. */
	assert_int_equal(
	    store_delivery_refused(f->st, f->zalo, "out-2", "no"), STORE_DONE);
	assert_int_equal(
	    store_delivery_echo(f->st, d.id, f->zalo, c, "out-2", 0),
	    STORE_REPEATED);
	check_status(f, b, "failed");
	delivery_fini(&d);
}

/* What waits for a channel that is gone is told to have failed. */
static void
test_orphans(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, n;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	assert_int_equal(store_delivery_orphans(f->st, &n), STORE_NONE);
	assert_int_equal(
	    store_channel_state(f->st, f->zalo, "off", NULL), STORE_DONE);
	assert_int_equal(store_delivery_orphans(f->st, &n), STORE_NONE);
	assert_int_equal(store_channel_delete(f->st, f->zalo), STORE_DONE);
	assert_int_equal(store_delivery_orphans(f->st, &n), STORE_DONE);
	assert_int_equal(n, 1);
	check_status(f, a, "failed");
	assert_int_equal(store_delivery_orphans(f->st, &n), STORE_NONE);
}

/* Nobody knows yet: an echo may settle it for a while. */
static void
test_waits_for_echo(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, n;
	struct delivery_end e = { .state = "unknown",
		.wait_until = NOW + 20000 };
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 60000, &d);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	check_status(f, a, "sending");
	store_set_now(f->st, NOW + 20001);
	assert_int_equal(store_delivery_expired(f->st, &n), STORE_DONE);
	check_status(f, a, "unknown");
	delivery_fini(&d);
}

/* The echo was stored before the answer came. */
static void
test_echo_race(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, found;
	struct delivery_end e = { .state = "sent", .external_id = "out-1" };
	struct message m = { .conversation = c,
		.content = "one",
		.content_len = 3,
		.sender_kind = "agent",
		.echo = true,
		.channel = f->zalo,
		.inbox = 1,
		.external_id = "out-1" };
	struct conversation v;
	struct store_page pg = { .limit = 10 };
	struct json_object *out;
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	message_fini(&m);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM deliveries"), 1);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	/* One message, ours, with that id; readers of the echo lose it. */
	assert_int_equal(
	    store_message_external(f->st, f->zalo, "out-1", &found),
	    STORE_DONE);
	assert_int_equal(found, a);
	assert_int_equal(
	    store_messages(f->st, &f->agent, c, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 2);
	json_object_put(out);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM events WHERE"
				 " type = 'message_deleted'"),
	    1);
	store_conversation_may(f->st, NULL, c, MAY_SEE, &v);
	assert_int_equal(v.last_message, a);
	/* The echo once more: known. */
	m.id = 0;
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_REPEATED);
	assert_int_equal(m.id, a);
	message_fini(&m);
}

/* Another installation with the same account counts its own. */
static void
test_echo_of_what_never_left(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a;
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	assert_int_equal(
	    store_delivery_echo(f->st, 1, f->zalo, c, "out-9", 0), STORE_NONE);
	check_status(f, a, "queued");
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	delivery_fini(&d);
	assert_int_equal(
	    store_delivery_echo(f->st, 1, f->zalo, c, "out-9", 0), STORE_DONE);
	check_status(f, a, "sent");
}

/* What was taken and did not arrive failed, whichever is told first. */
static void
test_refused_late(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, b;
	struct delivery_end e = { .state = "sent", .external_id = "x" };
	struct json_object *out;
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 60000, &d);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	assert_int_equal(
	    store_delivery_refused(f->st, f->zalo, "x", "refused: no"),
	    STORE_DONE);
	assert_non_null(strstr(f->data, "refused: no"));
	check_status(f, a, "failed");
	assert_int_equal(store_delivery_receipt(f->st, f->zalo, "x", "read"),
	    STORE_REPEATED);
	assert_int_equal(
	    store_delivery_resend(f->st, &f->agent, a, &out), STORE_DONE);
	json_object_put(out);
	store_delivery_claim(f->st, f->zalo, "w", 60000, &d);
	assert_int_equal(d.message, a);
	e.external_id = "x2";
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	check_status(f, a, "sent");

	/* Before the answer; and of what arrived. */
	fixture_say(f, &f->agent, c, "two", NULL, &b);
	store_delivery_claim(f->st, f->zalo, "w", 60000, &d);
	assert_int_equal(
	    store_delivery_refused(f->st, f->zalo, "y", "window_closed"),
	    STORE_DONE);
	e.external_id = "y";
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	check_status(f, b, "failed");
	store_delivery_receipt(f->st, f->zalo, "x2", "delivered");
	store_delivery_refused(f->st, f->zalo, "x2", "refused");
	check_status(f, a, "delivered");
}

/* What was read is told by the time of the newest that was. */
static void
test_watermark_first(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, b;
	struct delivery_end e = { .state = "sent", .external_id = "x" };
	struct message m = { .conversation = c,
		.content = "elsewhere",
		.content_len = 9,
		.sender_kind = "agent",
		.echo = true,
		.channel = f->zalo,
		.inbox = 1,
		.sent_at = NOW - 500,
		.external_id = "y" };
	struct delivery d;

	/* Before the answer to the request that it is about. */
	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 60000, &d);
	assert_int_equal(
	    store_delivery_written(f->st, d.id, "w", NULL), STORE_DONE);
	store_set_now(f->st, NOW + 2000);
	assert_int_equal(
	    store_delivery_watermark(f->st, c, NOW + 1000, "delivered"),
	    STORE_REPEATED);
	assert_int_equal(store_delivery_watermark(f->st, c, NOW + 1000, "read"),
	    STORE_REPEATED);
	assert_int_equal(store_delivery_watermark(f->st, c, NOW - 1000, "read"),
	    STORE_REPEATED);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	check_status(f, a, "read");

	/* One that left later was not read; its echo says when it came. */
	e.external_id = "z";
	fixture_say(f, &f->agent, c, "two", NULL, &b);
	store_delivery_claim(f->st, f->zalo, "w", 60000, &d);
	assert_int_equal(
	    store_delivery_written(f->st, d.id, "w", NULL), STORE_DONE);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	check_status(f, b, "sent");
	assert_int_equal(
	    store_delivery_echoed(f->st, f->zalo, "z", c, NOW + 900),
	    STORE_DONE);
	check_status(f, b, "read");

	/* So is what another console sent, whichever is told first. */
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	check_status(f, m.id, "sent");
	assert_int_equal(
	    store_delivery_echoed(f->st, f->zalo, "y", c, NOW - 500),
	    STORE_DONE);
	check_status(f, m.id, "read");
	message_fini(&m);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM webhook_seen"), 2);
}

/* Where the platform has no id our number stands for it; customers' may too. */
static void
test_own_number(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, found;
	struct delivery_end e = { .state = "sent", .external_id = "1" };
	struct message m = { .conversation = c,
		.content = "theirs",
		.content_len = 6,
		.sender_kind = "customer",
		.incoming = true,
		.channel = f->zalo,
		.inbox = 1,
		.external_id = "1" };
	struct message r = { .conversation = c,
		.content = "re",
		.content_len = 2,
		.sender_kind = "customer",
		.incoming = true,
		.channel = f->zalo,
		.external_id = "r",
		.reply_external = "1" };
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(d.id, 1);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	check_status(f, a, "sent");
	/* What it names in a quote or a receipt is ours... */
	assert_int_equal(store_message_add(f->st, NULL, &r), STORE_DONE);
	assert_int_equal(r.reply_to, a);
	message_fini(&r);
	assert_int_equal(
	    store_delivery_receipt(f->st, f->zalo, "1", "read"), STORE_DONE);
	check_status(f, a, "read");
	/* ... and a customer's message of that id is no repetition of it. */
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	message_fini(&m);

	/* Nor does an answer that names it take a customer's message away. */
	fixture_say(f, &f->agent, c, "two", NULL, &a);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(store_delivery_end(f->st, d.id, "w", &e), STORE_DONE);
	delivery_fini(&d);
	check_status(f, a, "sent");
	assert_int_equal(
	    store_message_external(f->st, f->zalo, "1", &found), STORE_DONE);
	assert_int_equal(found, m.id);
}

static void
test_parts(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, b;
	struct delivery_end e = { .state = "sent", .external_id = "p0" };
	struct delivery d;

	fixture_say(f, &f->agent, c, "a long one", NULL, &a);
	fixture_say(f, &f->agent, c, "next", NULL, &b);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(store_delivery_parts(f->st, d.id, 3), STORE_DONE);
	assert_int_equal(store_delivery_parts(f->st, d.id, 3), STORE_DONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM deliveries"), 4);
	store_delivery_end(f->st, d.id, "w", &e);
	delivery_fini(&d);
	check_status(f, a, "queued"); /* as far as the least */
	/* Its other parts go before the next message. */
	e.external_id = "p1";
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_DONE);
	assert_int_equal(d.message, a);
	assert_int_equal(d.part, 1);
	store_delivery_end(f->st, d.id, "w", &e);
	delivery_fini(&d);
	e.external_id = "p2";
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(d.part, 2);
	store_delivery_end(f->st, d.id, "w", &e);
	delivery_fini(&d);
	check_status(f, a, "sent");
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(d.message, b);
	delivery_fini(&d);
	/* Read when all of it is; a watermark reaches what was sent by it. */
	assert_int_equal(
	    store_delivery_receipt(f->st, f->zalo, "p1", "read"), STORE_DONE);
	check_status(f, a, "sent");
	assert_int_equal(store_delivery_watermark(f->st, c, NOW - 1, "read"),
	    STORE_REPEATED);
	assert_int_equal(
	    store_delivery_watermark(f->st, c, NOW, "read"), STORE_DONE);
	check_status(f, a, "read");
	check_status(f, b, "sending");
	assert_int_equal(
	    store_delivery_watermark(f->st, c, NOW, "read"), STORE_REPEATED);
}

static void
test_account_stops(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), a, due;
	struct delivery d;

	fixture_say(f, &f->agent, c, "one", NULL, &a);
	store_channel_state(f->st, f->zalo, "reauth", "expired");
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_NONE);
	assert_int_equal(store_delivery_due(f->st, &due), STORE_NONE);
	store_channel_state(f->st, f->zalo, "ok", NULL);
	assert_int_equal(
	    store_delivery_hold(f->st, f->zalo, NOW + 60000), STORE_DONE);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, &d), STORE_NONE);
	assert_int_equal(store_delivery_due(f->st, &due), STORE_NONE);
	/* Deleted before it went: it does not go. */
	store_set_now(f->st, NOW + 60000);
	store_delivery_claim(f->st, f->zalo, "w", 1000, &d);
	assert_int_equal(
	    store_message_delete(f->st, &f->agent, a, NULL), STORE_DONE);
	assert_int_equal(
	    store_delivery_written(f->st, d.id, "w", NULL), STORE_NONE);
	delivery_fini(&d);
}

/* A customer's or internal word, and an echo, are not sent out. */
static void
test_not_sent(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), w;
	struct message m = { .conversation = c,
		.content = "n",
		.content_len = 1,
		.note = true };

	assert_int_equal(store_message_add(f->st, &f->agent, &m), STORE_DONE);
	message_fini(&m);
	w = fixture_talk(f, &f->customer);
	fixture_say(f, &f->agent, w, "web", NULL, NULL);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM deliveries"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_channels),
		STORE_TEST(test_lease),
		STORE_TEST(test_webhook),
		STORE_TEST(test_webhook_parallel),
		STORE_TEST(test_stopped_accounts_cost_nothing),
		STORE_TEST(test_sent),
		STORE_TEST(test_retry_and_failure),
		STORE_TEST(test_parts_in_order),
		STORE_TEST(test_edited_in_time),
		STORE_TEST(test_free_ones),
		STORE_TEST(test_leases),
		STORE_TEST(test_receipts_first),
		STORE_TEST(test_late_truth),
		STORE_TEST(test_orphans),
		STORE_TEST(test_waits_for_echo),
		STORE_TEST(test_echo_race),
		STORE_TEST(test_own_number),
		STORE_TEST(test_echo_of_what_never_left),
		STORE_TEST(test_refused_late),
		STORE_TEST(test_watermark_first),
		STORE_TEST(test_parts),
		STORE_TEST(test_account_stops),
		STORE_TEST(test_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
