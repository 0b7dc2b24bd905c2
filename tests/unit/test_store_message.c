/* Messages: stored once, seen, edited, deleted without a trace. */
#include "store_fixture.h"
#include "store_read.h"

#include <sys/wait.h>

#include <sqlite3.h>

#include "store_db.h"
#include "store_idem.h"

static void
test_add(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer);
	struct message m = { .conversation = c,
		.content = "Xin chào",
		.content_len = strlen("Xin chào"),
		.client_id = "k1" };

	assert_int_equal(
	    store_message_add(f->st, &f->customer, &m), STORE_DONE);
	/* The event is the message, and its id is the message's. */
	assert_string_equal(f->type, "new_message");
	assert_int_equal(f->last.id, m.id);
	assert_non_null(strstr(f->rooms, "inbox "));
	assert_non_null(strstr(f->rooms, "conversation:1 "));
	assert_non_null(strstr(f->rooms, "customer:1 "));
	assert_non_null(strstr(f->data, "Xin chào"));
	assert_non_null(strstr(f->pub, "Xin chào"));
	assert_string_equal(text_of(m.json, "type"), "incoming");
	assert_string_equal(text_of(m.json, "client_id"), "k1");
	assert_string_equal(text_of(m.json, "status"), "sent");
	message_fini(&m);
}

static void
test_repeat(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), a, b, d;
	size_t sent;

	assert_int_equal(
	    fixture_say(f, &f->customer, c, "hi", "k", &a), STORE_DONE);
	sent = f->sent;
	/* Again: the first one, nothing new. */
	assert_int_equal(
	    fixture_say(f, &f->customer, c, "hi", "k", &b), STORE_REPEATED);
	assert_int_equal(a, b);
	/* Another body under that name. */
	assert_int_equal(
	    fixture_say(f, &f->customer, c, "ho", "k", NULL), STORE_CONFLICT);
	assert_int_equal(f->sent, sent);
	/* Another sender's key is another key. */
	assert_int_equal(
	    fixture_say(f, &f->agent, c, "ho", "k", &d), STORE_DONE);
	assert_int_equal(
	    fixture_say(f, &f->other, c, "hi", "k", &d), STORE_DONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), 3);
	/* None: each is its own. */
	assert_int_equal(
	    fixture_say(f, &f->other, c, "hi", NULL, &d), STORE_DONE);
	assert_int_equal(
	    fixture_say(f, &f->other, c, "hi", NULL, &d), STORE_DONE);
}

/* The same key at once from many processes: one row, one id. */
static void
test_repeat_parallel(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer);
	int i, status, done = 0, repeated = 0;

	for (i = 0; i < 8; i++)
		if (fork() == 0) {
			struct store_options op = f->op;
			struct message m = { .conversation = c,
				.content = "once",
				.content_len = 4,
				.client_id = "same" };
			int rc;

			if (store_open(&op, &f->st) != STORE_DONE)
				_exit(99);
			rc = store_message_add(f->st, &f->customer, &m);
			_exit(rc);
		}
	for (i = 0; i < 8; i++) {
		assert_true(wait(&status) > 0);
		done += WEXITSTATUS(status) == STORE_DONE;
		repeated += WEXITSTATUS(status) == STORE_REPEATED;
	}
	assert_int_equal(done, 1);
	assert_int_equal(repeated, 7);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), 1);
}

static void
test_rights(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), d, id;
	struct message m = { .conversation = c,
		.content = "x",
		.content_len = 1,
		.note = true };

	assert_int_equal(
	    fixture_say(f, &f->stranger, c, "hi", NULL, NULL), STORE_NONE);
	assert_int_equal(
	    fixture_say(f, &f->agent, 999, "hi", NULL, NULL), STORE_NONE);
	assert_int_equal(store_message_add(f->st, &f->customer, &m),
	    STORE_FORBIDDEN); /* a note is for agents */
	assert_int_equal(
	    store_conversation_direct(f->st, &f->admin, f->agent.id, &d),
	    STORE_DONE);
	assert_int_equal(
	    fixture_say(f, &f->other, d, "hi", NULL, NULL), STORE_NONE);
	assert_int_equal(
	    fixture_say(f, &f->agent, d, "hi", NULL, &id), STORE_DONE);
	assert_null(strstr(f->rooms, "inbox"));
	assert_string_equal(f->pub, "");
	/* Disabled since it was asked who this is: no more. */
	struct user_patch p = { .admin = -1, .disabled = 1 };
	assert_int_equal(store_user_patch(f->st, f->agent.id, &p), STORE_DONE);
	assert_int_equal(
	    fixture_say(f, &f->agent, d, "hi", NULL, NULL), STORE_NONE);
}

static void
test_seen(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), first;
	struct message m = {
		.conversation = c, .content = "a", .content_len = 1
	};

	fixture_say(f, &f->customer, c, "one", NULL, &first);
	fixture_say(f, &f->customer, c, "two", NULL, NULL);
	m.seen = first;
	assert_int_equal(store_message_add(f->st, &f->agent, &m), STORE_NEWER);
	assert_int_equal(json_object_array_length(m.newer), 1);
	assert_string_equal(
	    text_of(json_object_array_get_idx(m.newer, 0), "content"), "two");
	message_fini(&m);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), 2);
	/* One's own are no news. */
	m = (struct message){ .conversation = c,
		.content = "b",
		.content_len = 1,
		.seen = first };
	assert_int_equal(
	    store_message_add(f->st, &f->customer, &m), STORE_DONE);
	message_fini(&m);
	/* A note is none to the customer. */
	m = (struct message){ .conversation = c,
		.content = "n",
		.content_len = 1,
		.note = true };
	assert_int_equal(store_message_add(f->st, &f->agent, &m), STORE_DONE);
	message_fini(&m);
	m = (struct message){ .conversation = c,
		.content = "c",
		.content_len = 1,
		.seen = first };
	assert_int_equal(
	    store_message_add(f->st, &f->customer, &m), STORE_DONE);
	message_fini(&m);
}

static void
test_note(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), last;
	struct message m = { .conversation = c,
		.content = "beware",
		.content_len = 6,
		.note = true };
	struct store_page pg = { .limit = 50 };
	struct json_object *out;

	fixture_say(f, &f->customer, c, "hello", NULL, &last);
	assert_int_equal(store_message_add(f->st, &f->agent, &m), STORE_DONE);
	assert_string_equal(f->pub, "");
	assert_null(strstr(f->rooms, "customer:"));
	assert_int_equal(
	    store_messages(f->st, &f->agent, c, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 2);
	json_object_put(out);
	assert_int_equal(
	    store_messages(f->st, &f->customer, c, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	json_object_put(out);
	assert_int_equal(
	    store_message(f->st, &f->customer, m.id, &out), STORE_NONE);
	/* Nor may it be answered to by the customer. */
	struct message r = { .conversation = c,
		.content = "?",
		.content_len = 1,
		.reply_to = m.id };
	assert_int_equal(
	    store_message_add(f->st, &f->customer, &r), STORE_INVALID);
	assert_string_equal(store_field(f->st), "reply_to");
	/* It is not what a conversation shows as its last word. */
	assert_int_equal(
	    store_conversation(f->st, &f->agent, c, &out), STORE_DONE);
	struct json_object *lm;
	json_object_object_get_ex(out, "last_message", &lm);
	assert_string_equal(text_of(lm, "content"), "hello");
	json_object_put(out);
	message_fini(&m);
}

static void
test_reply(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), d, a, b;
	struct message m = { .content = "re", .content_len = 2 };

	d = fixture_talk(f, &f->stranger);
	fixture_say(f, &f->customer, c, "a", NULL, &a);
	fixture_say(f, &f->stranger, d, "b", NULL, &b);
	m.conversation = c;
	m.reply_to = b; /* of another conversation */
	assert_int_equal(
	    store_message_add(f->st, &f->agent, &m), STORE_INVALID);
	m.reply_to = a;
	assert_int_equal(store_message_add(f->st, &f->agent, &m), STORE_DONE);
	assert_int_equal(strtoll(text_of(m.json, "reply_to"), NULL, 10), a);
	message_fini(&m);
}

static void
test_pages(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), ids[25];
	struct store_page pg = { .limit = 10 };
	struct json_object *out, *items;
	struct log_state s;
	char text[8];
	int i, n = 0;

	for (i = 0; i < 25; i++) {
		snprintf(text, sizeof text, "%d", i);
		fixture_say(f, &f->customer, c, text, NULL, &ids[i]);
	}
	/* Back from the newest. */
	for (;;) {
		assert_int_equal(
		    store_messages(f->st, &f->agent, c, &pg, &out), STORE_DONE);
		items = items_of(out);
		for (i = 0; i < (int)json_object_array_length(items); i++)
			assert_int_equal(
			    strtoll(text_of(json_object_array_get_idx(
						items, (size_t)i),
					"id"),
				NULL, 10),
			    ids[24 - n++]);
		store_log_state(f->st, &s);
		assert_int_equal(
		    strtoll(text_of(out, "cursor"), NULL, 10), s.head);
		pg.before = strtoll(text_of(out, "next"), NULL, 10);
		json_object_put(out);
		if (pg.before == 0)
			break;
	}
	assert_int_equal(n, 25);
	/* And on from one, oldest first. */
	pg = (struct store_page){ .after = ids[10], .limit = 50 };
	assert_int_equal(
	    store_messages(f->st, &f->agent, c, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 14);
	assert_string_equal(
	    text_of(json_object_array_get_idx(items_of(out), 0), "content"),
	    "11");
	json_object_put(out);
	assert_int_equal(
	    store_messages(f->st, &f->stranger, c, &pg, &out), STORE_NONE);
}

static void
test_edit(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), id;
	struct json_object *out;

	fixture_say(f, &f->agent, c, "teh price", NULL, &id);
	assert_int_equal(
	    store_message_edit(f->st, &f->other, id, "no", 2, &out),
	    STORE_FORBIDDEN);
	assert_int_equal(
	    store_message_edit(f->st, &f->customer, id, "no", 2, &out),
	    STORE_FORBIDDEN);
	assert_int_equal(
	    store_message_edit(f->st, &f->stranger, id, "no", 2, &out),
	    STORE_NONE);
	assert_int_equal(
	    store_message_edit(f->st, &f->agent, id, "the price", 9, &out),
	    STORE_DONE);
	assert_string_equal(text_of(out, "content"), "the price");
	json_object_put(out);
	assert_string_equal(f->type, "message_updated");
	assert_non_null(strstr(f->pub, "the price"));
	assert_int_equal(
	    store_message_edit(f->st, &f->admin, id, "our price", 9, &out),
	    STORE_DONE);
	json_object_put(out);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM message_edits"
				 " WHERE content = 'teh price'"
				 " OR content = 'the price'"
				 " AND edited_by = 'agent:1'"),
	    2);
	/* What is deleted is not edited. */
	assert_int_equal(
	    store_message_delete(f->st, &f->agent, id, NULL), STORE_DONE);
	assert_int_equal(store_message_edit(f->st, &f->agent, id, "x", 1, &out),
	    STORE_REFUSED);
}

/* Whether a text is anywhere in the database's live rows. */
static bool
anywhere(struct fixture *f, const char *text)
{
	static const char *const columns[] = { "events.data", "events.public",
		"messages.content", "messages.attachments", "messages.payload",
		"message_edits.content", "webhook_inbox.body",
		"deliveries.error", "idempotency.answer" };
	char sql[256], table[32];
	size_t i;

	for (i = 0; i < sizeof columns / sizeof *columns; i++) {
		snprintf(table, sizeof table, "%.*s",
		    (int)strcspn(columns[i], "."), columns[i]);
		snprintf(sql, sizeof sql,
		    "SELECT count(*) FROM %s WHERE instr(CAST(%s AS TEXT),"
		    " '%s')",
		    table, columns[i], text);
		if (fixture_count(f->st, sql) > 0)
			return true;
	}
	return false;
}

/* Whoever resumes from before sees it as deleted. */
static void
test_delete_scrubs(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), id, keep;
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct json_object *out, *data;
	struct log_page pg;
	struct log_state s;
	size_t i, n;

	store_log_state(f->st, &s);
	fixture_say(f, &f->customer, c, "KEEPME", NULL, &keep);
	fixture_say(f, &f->customer, c, "SECRET1", NULL, &id);
	p.status = "pending"; /* an event with the last message in it */
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_DONE);
	assert_non_null(strstr(f->data, "SECRET1"));
	assert_int_equal(
	    store_message_edit(f->st, &f->customer, id, "SECRET2", 7, &out),
	    STORE_DONE);
	json_object_put(out);
	assert_true(anywhere(f, "SECRET1"));
	assert_true(anywhere(f, "SECRET2"));
	/* A first answer kept for a key holds it too. */
	struct idem k = { "agent", 2, "key", "aa" };
	char answer[256];
	snprintf(answer, sizeof answer,
	    "{\"ok\":true,\"items\":[{\"id\":\"%lld\",\"content\":\"SECRET3\"}]}",
	    (long long)id);
	assert_int_equal(store_idem_add(f->st, &k, 201, answer), STORE_DONE);

	assert_int_equal(
	    store_message_delete(f->st, &f->agent, id, &out), STORE_FORBIDDEN);
	assert_int_equal(
	    store_message_delete(f->st, &f->customer, id, &out), STORE_DONE);
	assert_null(json_object_object_get(out, "content"));
	json_object_put(out);
	assert_string_equal(f->type, "message_deleted");
	assert_non_null(strstr(f->data, "customer:1"));
	assert_null(strstr(f->pub, "customer:1"));
	assert_false(anywhere(f, "SECRET1"));
	assert_false(anywhere(f, "SECRET2"));
	assert_false(anywhere(f, "SECRET3"));
	assert_true(anywhere(f, "KEEPME"));
	assert_int_equal(store_message_delete(f->st, &f->customer, id, &out),
	    STORE_REPEATED);
	json_object_put(out);

	/* The replay keeps its place, and says it is gone. */
	assert_int_equal(
	    store_events_since(f->st, &f->customer, s.head, 0, 50, &out, &pg),
	    STORE_DONE);
	n = json_object_array_length(out);
	for (i = 0; i < n; i++) {
		struct json_object *e = json_object_array_get_idx(out, i);

		if (strtoll(text_of(e, "id"), NULL, 10) != id)
			continue;
		json_object_object_get_ex(e, "data", &data);
		assert_string_equal(text_of(e, "type"), "new_message");
		assert_true(strtoll(text_of(data, "deleted_at"), NULL, 10) > 0);
		break;
	}
	assert_true(i < n);
	json_object_put(out);
}

static void
test_status(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), id;
	struct json_object *out;

	/* Written by an agent, read by the customer. */
	fixture_say(f, &f->agent, c, "hello", NULL, &id);
	assert_int_equal(
	    store_read_mark(f->st, &f->customer, c, id), STORE_DONE);
	assert_int_equal(store_message(f->st, &f->agent, id, &out), STORE_DONE);
	assert_string_equal(text_of(out, "status"), "read");
	json_object_put(out);
	fixture_say(f, &f->customer, c, "thanks", NULL, &id);
	assert_int_equal(
	    store_message(f->st, &f->customer, id, &out), STORE_DONE);
	assert_string_equal(text_of(out, "status"), "sent");
	json_object_put(out);
}

static void
test_wakes(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer);
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct conversation v;

	p.status = "closed";
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_DONE);
	assert_int_equal(
	    fixture_say(f, &f->customer, c, "again", NULL, NULL), STORE_DONE);
	assert_string_equal(f->type, "conversation_updated");
	store_conversation_may(f->st, NULL, c, MAY_SEE, &v);
	assert_string_equal(v.status, "open");
	assert_int_equal(v.last_inbound_at, NOW);
	fixture_say(f, &f->agent, c, "yes?", NULL, NULL);
	store_conversation_may(f->st, NULL, c, MAY_SEE, &v);
	assert_int_equal(v.sent_since, 1);
}

static void
test_platform(void **state)
{
	struct fixture *f = *state;
	int64_t in, c = fixture_zalo(f, "xin chào", &in), late;
	struct message m = { .conversation = c,
		.content = "xin chào",
		.content_len = strlen("xin chào"),
		.incoming = true,
		.sender_kind = "customer",
		.channel = f->zalo,
		.external_id = "in-1" };
	struct store_page pg = { .limit = 10 };
	struct json_object *out;
	size_t sent = f->sent;

	/* The platform says it again: known. */
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_REPEATED);
	assert_int_equal(m.id, in);
	assert_int_equal(f->sent, sent);
	message_fini(&m);
	/* One that was written earlier and comes later stands before. */
	m = (struct message){ .conversation = c,
		.content = "sớm hơn",
		.content_len = strlen("sớm hơn"),
		.incoming = true,
		.sender_kind = "customer",
		.channel = f->zalo,
		.external_id = "in-0",
		.sent_at = NOW - 60000 };
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	late = m.id;
	message_fini(&m);
	assert_int_equal(
	    store_messages(f->st, &f->agent, c, &pg, &out), STORE_DONE);
	assert_int_equal(
	    strtoll(text_of(json_object_array_get_idx(items_of(out), 1), "id"),
		NULL, 10),
	    late);
	json_object_put(out);

	/* Edits by version, deletion, unknown ids. */
	assert_int_equal(
	    store_message_edit_external(f->st, f->zalo, "in-1", 5, "v5", 2),
	    STORE_DONE);
	assert_int_equal(
	    store_message_edit_external(f->st, f->zalo, "in-1", 4, "v4", 2),
	    STORE_REPEATED);
	assert_int_equal(
	    store_message_edit_external(f->st, f->zalo, "no", 4, "v4", 2),
	    STORE_NONE);
	assert_int_equal(
	    store_message_delete_external(f->st, f->zalo, "in-1"), STORE_DONE);
	assert_int_equal(store_message_delete_external(f->st, f->zalo, "in-1"),
	    STORE_REPEATED);
	assert_int_equal(
	    store_message_delete_external(f->st, f->zalo, "no"), STORE_NONE);
	assert_false(anywhere(f, "v5"));
}

static void
test_inbox_scrubbed(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "x", NULL), inbox;
	struct message m = { .conversation = c,
		.content = "RAWSECRET",
		.content_len = 9,
		.incoming = true,
		.sender_kind = "customer",
		.channel = f->zalo,
		.external_id = "in-9" };

	assert_int_equal(store_webhook_add(f->st, f->zalo,
			     "{\"text\":\"RAWSECRET\"}", 20, &inbox),
	    STORE_DONE);
	m.inbox = inbox;
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	message_fini(&m);
	assert_int_equal(store_webhook_done(f->st, inbox, "done"), STORE_DONE);
	assert_true(anywhere(f, "RAWSECRET"));
	assert_int_equal(
	    store_message_delete(f->st, &f->admin, m.id, NULL), STORE_DONE);
	assert_false(anywhere(f, "RAWSECRET"));
	/* The body itself is still known as seen. */
	assert_int_equal(store_webhook_add(f->st, f->zalo,
			     "{\"text\":\"RAWSECRET\"}", 20, &inbox),
	    STORE_REPEATED);
}

static void
test_attachments(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer);
	struct json_object
	    *a = json_tokener_parse(
		"[{\"name\":\"a.png\",\"url\":\"https://there/a\"}]"),
	    *out, *x,
	    *set = json_tokener_parse("{\"url\":\"/media/1/a\",\"size\":77}");
	struct message m = {
		.conversation = c, .kind = "image", .attachments = a
	};

	assert_int_equal(
	    store_message_add(f->st, &f->customer, &m), STORE_DONE);
	message_fini(&m);
	assert_int_equal(store_attachment_set(f->st, m.id, 0, set), STORE_DONE);
	assert_string_equal(f->type, "message_updated");
	assert_int_equal(store_attachment_set(f->st, m.id, 1, set), STORE_NONE);
	json_object_put(set);
	assert_int_equal(
	    store_message(f->st, &f->customer, m.id, &out), STORE_DONE);
	json_object_object_get_ex(out, "attachments", &x);
	assert_string_equal(
	    text_of(json_object_array_get_idx(x, 0), "url"), "/media/1/a");
	json_object_put(out);
	json_object_put(a);
}

/* What a customer never receives. */
static void
test_public_form(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), id;
	static const char *const hidden[] = { "error", "customer_name",
		"platform_message_id", "deleted_by", NULL };
	struct json_object *out, *v;
	int i;

	fixture_say(f, &f->agent, c, "hello", NULL, &id);
	assert_int_equal(
	    store_message(f->st, &f->customer, id, &out), STORE_DONE);
	for (i = 0; hidden[i] != NULL; i++)
		assert_false(json_object_object_get_ex(out, hidden[i], &v));
	assert_null(strstr(json_object_to_json_string(out), "shop.test"));
	assert_null(strstr(f->pub, "shop.test"));
	assert_null(strstr(f->pub, "customer_name"));
	json_object_put(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_add),
		STORE_TEST(test_repeat),
		STORE_TEST(test_repeat_parallel),
		STORE_TEST(test_rights),
		STORE_TEST(test_seen),
		STORE_TEST(test_note),
		STORE_TEST(test_reply),
		STORE_TEST(test_pages),
		STORE_TEST(test_edit),
		STORE_TEST(test_delete_scrubs),
		STORE_TEST(test_status),
		STORE_TEST(test_wakes),
		STORE_TEST(test_platform),
		STORE_TEST(test_inbox_scrubbed),
		STORE_TEST(test_attachments),
		STORE_TEST(test_public_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
