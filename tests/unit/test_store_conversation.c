/* Conversations: rights, lists, changes, watermarks. */
#include "store_fixture.h"
#include "store_read.h"
#include "store_tag.h"

#include <sqlite3.h>

#include "store_db.h"

static struct json_object *
list(struct fixture *f, const struct who *who,
    const struct conversation_filter *cf, int limit)
{
	struct store_page pg = { .limit = limit };
	struct json_object *out = NULL;

	assert_int_equal(
	    store_conversations(f->st, who, cf, &pg, &out), STORE_DONE);
	return out;
}

static size_t
listed(struct fixture *f, const struct who *who,
    const struct conversation_filter *cf)
{
	struct json_object *out = list(f, who, cf, 200);
	size_t n = count_of(out);

	json_object_put(out);
	return n;
}

static void
test_rights(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), d;
	struct conversation v;
	struct who nobody = { .kind = WHO_NOBODY };

	assert_int_equal(
	    store_conversation_direct(f->st, &f->agent, f->other.id, &d),
	    STORE_DONE);
	struct {
		const struct who *who;
		int64_t id;
		enum conversation_need need;
		int rc;
	} t[] = {
		{ NULL, c, MAY_PATCH, STORE_DONE },
		{ &nobody, c, MAY_SEE, STORE_NONE },
		{ &f->customer, c, MAY_SEE, STORE_DONE },
		{ &f->customer, c, MAY_WRITE, STORE_DONE },
		{ &f->customer, c, MAY_NOTE, STORE_FORBIDDEN },
		{ &f->customer, c, MAY_PATCH, STORE_FORBIDDEN },
		{ &f->stranger, c, MAY_SEE, STORE_NONE },
		{ &f->agent, c, MAY_PATCH, STORE_DONE },
		{ &f->admin, c, MAY_PATCH, STORE_DONE },
		{ &f->agent, 77, MAY_SEE, STORE_NONE },
		{ &f->agent, d, MAY_PATCH, STORE_DONE },
		{ &f->other, d, MAY_WRITE, STORE_DONE },
		{ &f->admin, d, MAY_SEE, STORE_NONE },
		{ &f->customer, d, MAY_SEE, STORE_NONE },
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		assert_int_equal(store_conversation_may(
				     f->st, t[i].who, t[i].id, t[i].need, &v),
		    t[i].rc);
}

static void
test_direct(void **state)
{
	struct fixture *f = *state;
	int64_t a, b;

	/* One a pair, whoever asks. */
	assert_int_equal(
	    store_conversation_direct(f->st, &f->agent, f->other.id, &a),
	    STORE_DONE);
	assert_string_equal(f->type, "new_conversation");
	assert_non_null(strstr(f->rooms, "user:2 "));
	assert_non_null(strstr(f->rooms, "user:3 "));
	assert_null(strstr(f->rooms, "inbox"));
	assert_int_equal(
	    store_conversation_direct(f->st, &f->other, f->agent.id, &b),
	    STORE_REPEATED);
	assert_int_equal(a, b);
	assert_int_equal(
	    store_conversation_direct(f->st, &f->agent, f->agent.id, &b),
	    STORE_INVALID);
	assert_int_equal(store_conversation_direct(f->st, &f->agent, 999, &b),
	    STORE_INVALID);
	assert_string_equal(store_field(f->st), "participants");
}

static void
test_group(void **state)
{
	struct fixture *f = *state;
	int64_t users[2] = { f->agent.id, 999 }, g;
	struct json_object *out, *v;

	assert_int_equal(
	    store_conversation_group(f->st, &f->admin, users, 2, "Team", &g),
	    STORE_INVALID);
	users[1] = f->other.id;
	assert_int_equal(
	    store_conversation_group(f->st, &f->admin, users, 2, "Team", &g),
	    STORE_DONE);
	assert_int_equal(
	    store_conversation(f->st, &f->other, g, &out), STORE_DONE);
	json_object_object_get_ex(out, "participants", &v);
	assert_int_equal(json_object_array_length(v), 3);
	json_object_put(out);
	/* Out, and it is not there any more; in again. */
	assert_int_equal(
	    store_participant(f->st, &f->admin, g, f->other.id, false),
	    STORE_DONE);
	assert_int_equal(
	    store_conversation(f->st, &f->other, g, &out), STORE_NONE);
	assert_int_equal(
	    store_participant(f->st, &f->admin, g, f->other.id, false),
	    STORE_REPEATED);
	assert_int_equal(
	    store_participant(f->st, &f->other, g, f->other.id, true),
	    STORE_NONE);
	assert_int_equal(
	    store_participant(f->st, &f->agent, g, f->other.id, true),
	    STORE_DONE);
	/* Not of two, nor of a customer's. */
	int64_t d;
	store_conversation_direct(f->st, &f->admin, f->agent.id, &d);
	assert_int_equal(
	    store_participant(f->st, &f->admin, d, f->other.id, true),
	    STORE_REFUSED);
}

static void
test_patch(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer);
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct json_object *out, *v;
	size_t sent;

	p.status = "snoozed";
	p.snoozed_until = NOW + 1000;
	p.assignee = f->agent.id;
	p.subject = "Order 5";
	p.priority = 2;
	p.tags = json_tokener_parse("[\"vip\",\"VIP\",\"late\"]");
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_DONE);
	json_object_put(p.tags);
	assert_string_equal(f->type, "conversation_updated");
	assert_non_null(strstr(f->data, "\"by\":\"agent:2\""));
	assert_non_null(strstr(f->data, "assignee_id"));
	/* The customer's form has neither tags nor who changed what. */
	assert_non_null(strstr(f->pub, "snoozed"));
	assert_null(strstr(f->pub, "vip"));
	assert_null(strstr(f->pub, "changed"));
	assert_null(strstr(f->pub, "assignee"));
	assert_int_equal(
	    store_conversation(f->st, &f->agent, c, &out), STORE_DONE);
	json_object_object_get_ex(out, "tags", &v);
	assert_int_equal(json_object_array_length(v), 2);
	assert_string_equal(text_of(out, "assignee_id"), "2");
	json_object_put(out);
	/* The same again changes nothing and tells nobody. */
	sent = f->sent;
	p.tags = NULL;
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_REPEATED);
	assert_int_equal(f->sent, sent);
	p.assignee = 999;
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_INVALID);
	assert_string_equal(store_field(f->st), "assignee_id");
	assert_int_equal(store_conversation_patch(f->st, &f->customer, c, &p),
	    STORE_FORBIDDEN);
	assert_int_equal(
	    store_conversation_patch(f->st, &f->stranger, c, &p), STORE_NONE);
	/* It wakes by itself. */
	assert_int_equal(store_conversation_wake(f->st), STORE_NONE);
	store_set_now(f->st, NOW + 1000);
	assert_int_equal(store_conversation_wake(f->st), STORE_DONE);
	assert_int_equal(
	    store_conversation(f->st, &f->agent, c, &out), STORE_DONE);
	assert_string_equal(text_of(out, "status"), "open");
	assert_string_equal(text_of(out, "snoozed_until"), "");
	json_object_put(out);
	/* Nobody's, and without a subject, again. */
	struct conversation_patch n = CONVERSATION_PATCH_INIT;
	n.assignee = 0;
	n.subject = "";
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &n), STORE_DONE);
	assert_int_equal(
	    store_conversation(f->st, &f->agent, c, &out), STORE_DONE);
	assert_string_equal(text_of(out, "assignee_id"), "");
	assert_string_equal(text_of(out, "subject"), "");
	json_object_put(out);
}

static void
test_filters(void **state)
{
	struct fixture *f = *state;
	int64_t a = fixture_talk(f, &f->customer), d, z;
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct conversation_filter cf = { 0 };

	fixture_talk(f, &f->stranger);
	z = fixture_zalo(f, "giá bao nhiêu", NULL);
	assert_int_equal(
	    store_conversation_direct(f->st, &f->agent, f->other.id, &d),
	    STORE_DONE);
	fixture_sql(f, "INSERT INTO teams (id, name, created_at)"
		       " VALUES (1, 'Sales', 1)");
	p.assignee = f->agent.id;
	p.team = 1;
	p.status = "pending";
	p.subject = "Đổi trả";
	p.tags = json_tokener_parse("[\"vip\"]");
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, a, &p), STORE_DONE);
	json_object_put(p.tags);

	assert_int_equal(listed(f, &f->agent, &cf), 4);
	assert_int_equal(listed(f, &f->admin, &cf), 3); /* not others' */
	assert_int_equal(listed(f, &f->customer, &cf), 1);
	cf.status = "pending";
	assert_int_equal(listed(f, &f->agent, &cf), 1);
	assert_int_equal(listed(f, &f->stranger, &cf), 0);
	cf = (struct conversation_filter){ .assignee = f->agent.id };
	assert_int_equal(listed(f, &f->other, &cf), 1);
	cf.assignee = -1;
	assert_int_equal(listed(f, &f->admin, &cf), 2);
	cf = (struct conversation_filter){ .team = 1 };
	assert_int_equal(listed(f, &f->other, &cf), 1);
	cf = (struct conversation_filter){ .channel = f->zalo };
	assert_int_equal(listed(f, &f->other, &cf), 1);
	cf = (struct conversation_filter){ .customer = f->stranger.id };
	assert_int_equal(listed(f, &f->other, &cf), 1);
	/* A customer asks for its own, whatever it names. */
	assert_int_equal(listed(f, &f->customer, &cf), 1);
	cf = (struct conversation_filter){ .type = "direct" };
	assert_int_equal(listed(f, &f->agent, &cf), 1);
	assert_int_equal(listed(f, &f->admin, &cf), 0);
	cf = (struct conversation_filter){ .type = "customer" };
	assert_int_equal(listed(f, &f->agent, &cf), 3);
	cf = (struct conversation_filter){ .tag = "VIP" };
	assert_int_equal(listed(f, &f->agent, &cf), 1);
	cf = (struct conversation_filter){ .unread = true };
	assert_int_equal(listed(f, &f->agent, &cf), 1);
	store_read_mark(f->st, &f->agent, z, 0);
	assert_int_equal(listed(f, &f->agent, &cf), 0);
	assert_int_equal(listed(f, &f->other, &cf), 1);

	/* Words: of the name, the subject, the last message; no marks. */
	cf = (struct conversation_filter){ .q = "xuan chao" };
	assert_int_equal(listed(f, &f->agent, &cf), 1);
	cf.q = "doi TRA";
	assert_int_equal(listed(f, &f->agent, &cf), 1);
	cf.q = "bao nhieu";
	assert_int_equal(listed(f, &f->agent, &cf), 1);
	cf.q = "%";
	assert_int_equal(listed(f, &f->agent, &cf), 0);
	cf.q = "' OR 1=1 --";
	assert_int_equal(listed(f, &f->agent, &cf), 0);
}

static void
test_paging(void **state)
{
	struct fixture *f = *state;
	struct conversation_filter cf = { 0 };
	struct store_page pg = { .limit = 7 };
	struct json_object *out, *items;
	int64_t last = INT64_MAX;
	size_t n = 0, i;

	for (i = 0; i < 30; i++) {
		/* Some at one moment: the id decides. */
		store_set_now(f->st, NOW + (int64_t)(i / 3));
		fixture_talk(f, i % 2 ? &f->customer : &f->stranger);
	}
	for (;;) {
		const char *next;

		assert_int_equal(
		    store_conversations(f->st, &f->agent, &cf, &pg, &out),
		    STORE_DONE);
		items = items_of(out);
		for (i = 0; i < json_object_array_length(items); i++) {
			int64_t id = strtoll(
			    text_of(json_object_array_get_idx(items, i), "id"),
			    NULL, 10);
			assert_true(id < last);
			last = id;
			n++;
		}
		next = text_of(out, "next");
		if (*next == '\0')
			break;
		assert_int_equal(store_page_parse(next, strlen(next), &pg), 0);
		json_object_put(out);
	}
	json_object_put(out);
	assert_int_equal(n, 30);
}

static void
test_read_mark(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), a, b, other, d;
	struct json_object *out;
	size_t sent;

	fixture_say(f, &f->customer, c, "a", NULL, &a);
	fixture_say(f, &f->customer, c, "b", NULL, &b);
	assert_int_equal(store_read_mark(f->st, &f->agent, c, b), STORE_DONE);
	assert_string_equal(f->type, "read_receipt");
	assert_string_equal(f->except, "user:2"); /* not to oneself */
	assert_non_null(strstr(f->data, "\"read_by\":\"2\""));
	/* The customer learns that it was read, not by whom. */
	assert_non_null(strstr(f->pub, "message_id"));
	assert_null(strstr(f->pub, "\"2\""));
	assert_null(strstr(f->pub, "bo"));
	/* Forward only. */
	sent = f->sent;
	assert_int_equal(
	    store_read_mark(f->st, &f->agent, c, a), STORE_REPEATED);
	assert_int_equal(
	    store_read_mark(f->st, &f->agent, c, 0), STORE_REPEATED);
	assert_int_equal(f->sent, sent);
	/* Foreign, missing, not one's own. */
	d = fixture_talk(f, &f->stranger);
	fixture_say(f, &f->stranger, d, "x", NULL, &other);
	assert_int_equal(
	    store_read_mark(f->st, &f->agent, c, other), STORE_INVALID);
	assert_int_equal(
	    store_read_mark(f->st, &f->agent, c, INT64_MAX), STORE_INVALID);
	assert_int_equal(
	    store_read_mark(f->st, &f->customer, d, other), STORE_NONE);
	/* Agents see whose; the customer only how far. */
	assert_int_equal(store_receipts(f->st, &f->admin, c, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 2);
	json_object_put(out);
	assert_int_equal(
	    store_receipts(f->st, &f->customer, c, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 1);
	assert_int_equal(
	    strtoll(text_of(json_object_array_get_idx(out, 0), "message_id"),
		NULL, 10),
	    b);
	assert_string_equal(
	    text_of(json_object_array_get_idx(out, 0), "name"), "");
	json_object_put(out);
	assert_int_equal(
	    store_receipts(f->st, &f->stranger, c, &out), STORE_NONE);
	/* One's own reading is not among what one replays. */
	struct log_page pg;
	size_t i;
	assert_int_equal(
	    store_events_since(f->st, &f->agent, NOW - 1, 0, 500, &out, &pg),
	    STORE_DONE);
	for (i = 0; i < json_object_array_length(out); i++)
		assert_string_not_equal(
		    text_of(json_object_array_get_idx(out, i), "type"),
		    "read_receipt");
	json_object_put(out);
}

static void
test_unread(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), d, i;
	struct conversation_patch closed = CONVERSATION_PATCH_INIT;
	struct json_object *out;

	for (i = 0; i < 120; i++)
		fixture_say(f, &f->customer, c, "a", NULL, NULL);
	store_conversation_direct(f->st, &f->agent, f->other.id, &d);
	fixture_say(f, &f->other, d, "psst", NULL, NULL);
	assert_int_equal(store_unread(f->st, &f->agent, &out), STORE_DONE);
	assert_int_equal(count_of(out), 2);
	assert_string_equal(text_of(out, "total"), "101");
	json_object_put(out);
	/* A closed one counts again when somebody writes. */
	closed.status = "closed";
	assert_int_equal(
	    store_conversation_patch(f->st, NULL, c, &closed), STORE_DONE);
	assert_int_equal(store_unread(f->st, &f->agent, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	assert_string_equal(text_of(out, "total"), "1");
	json_object_put(out);
	fixture_say(f, &f->customer, c, "b", NULL, NULL);
	assert_int_equal(store_unread(f->st, &f->agent, &out), STORE_DONE);
	assert_string_equal(text_of(out, "total"), "101");
	json_object_put(out);
	/* Own words, and colleagues' answers, are not unread. */
	fixture_say(f, &f->agent, c, "answer", NULL, NULL);
	assert_int_equal(store_unread(f->st, &f->agent, &out), STORE_DONE);
	assert_string_equal(text_of(out, "total"), "1");
	json_object_put(out);
	assert_int_equal(store_unread(f->st, &f->customer, &out), STORE_DONE);
	assert_string_equal(text_of(out, "total"), "1");
	json_object_put(out);
	assert_int_equal(store_unread(f->st, &f->stranger, &out), STORE_DONE);
	assert_string_equal(text_of(out, "total"), "0");
	json_object_put(out);
}

static void
test_merged(void **state)
{
	struct fixture *f = *state;
	int64_t a = fixture_talk(f, &f->customer), b;
	struct conversation_filter cf = { 0 };
	struct json_object *out;
	char sql[80];

	b = fixture_talk(f, &f->customer);
	snprintf(sql, sizeof sql,
	    "UPDATE conversations SET merged_into ="
	    " %lld WHERE id = %lld",
	    (long long)b, (long long)a);
	fixture_sql(f, sql);
	/* The old id leads to the new one; nothing new goes into it. */
	assert_int_equal(
	    store_conversation(f->st, &f->agent, a, &out), STORE_REPEATED);
	assert_int_equal(strtoll(text_of(out, "id"), NULL, 10), b);
	json_object_put(out);
	assert_int_equal(listed(f, &f->agent, &cf), 1);
	assert_int_equal(
	    fixture_say(f, &f->customer, a, "x", NULL, NULL), STORE_REFUSED);
}

static void
test_public_form(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer);
	static const char *const hidden[] = { "assignee_id", "team_id", "tags",
		"priority", "participants", "channel_id", NULL };
	struct json_object *out, *v;
	int i;

	assert_int_equal(
	    store_conversation(f->st, &f->customer, c, &out), STORE_DONE);
	for (i = 0; hidden[i] != NULL; i++)
		assert_false(json_object_object_get_ex(out, hidden[i], &v));
	json_object_put(out);
}

static void
test_external(void **state)
{
	struct fixture *f = *state;
	int64_t a, b;

	a = fixture_zalo(f, "x", NULL);
	assert_int_equal(store_conversation_external(
			     f->st, f->zalo, "u7", f->customer.id, &b),
	    STORE_REPEATED);
	assert_int_equal(a, b);
	assert_int_equal(store_conversation_external(
			     f->st, f->zalo, "u8", f->customer.id, &b),
	    STORE_DONE);
	assert_int_not_equal(a, b);
	assert_int_equal(
	    store_conversation_current(f->st, f->customer.id, f->zalo, &a),
	    STORE_DONE);
	assert_int_equal(a, b);
	assert_int_equal(
	    store_conversation_current(f->st, f->customer.id, f->web, &a),
	    STORE_NONE);
	assert_int_equal(
	    store_conversation_customer(f->st, &f->agent, 999, 0, NULL, &a),
	    STORE_INVALID);
	assert_int_equal(store_conversation_customer(
			     f->st, &f->agent, f->customer.id, 999, NULL, &a),
	    STORE_INVALID);
	assert_string_equal(store_field(f->st), "channel_id");
}

static void
test_tags(void **state)
{
	struct fixture *f = *state;
	struct json_object *out;
	int64_t a, b;

	assert_int_equal(store_tag_add(f->st, "vip", "#f00", &a), STORE_DONE);
	assert_int_equal(store_tag_add(f->st, "VIP", NULL, &b), STORE_DONE);
	assert_int_equal(a, b);
	assert_int_equal(store_tags(f->st, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	json_object_put(out);
	assert_int_equal(store_tag_delete(f->st, a), STORE_DONE);
	assert_int_equal(store_tag_delete(f->st, a), STORE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_rights),
		STORE_TEST(test_direct),
		STORE_TEST(test_group),
		STORE_TEST(test_patch),
		STORE_TEST(test_filters),
		STORE_TEST(test_paging),
		STORE_TEST(test_read_mark),
		STORE_TEST(test_unread),
		STORE_TEST(test_merged),
		STORE_TEST(test_public_form),
		STORE_TEST(test_external),
		STORE_TEST(test_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
