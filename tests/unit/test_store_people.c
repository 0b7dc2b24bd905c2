/* Users, sessions, keys, links; customers and identities; presence, typing. */
#include "store_fixture.h"

#include <sqlite3.h>

#include "heads.h"
#include "store_db.h"
#include "store_presence.h"
#include "store_session.h"

static void
test_users(void **state)
{
	struct fixture *f = *state;
	struct user u = { .email = "BO@shop.test", .name = "Copy" }, v;
	struct user_patch p = { .admin = -1, .disabled = -1 };
	struct store_page pg = { .limit = 2 };
	struct json_object *out;
	int64_t n;

	assert_int_equal(store_user_add(f->st, &u), STORE_REFUSED);
	assert_int_equal(
	    store_user_by_email(f->st, "Bo@Shop.Test", &v), STORE_DONE);
	assert_int_equal(v.id, f->agent.id);
	assert_false(v.admin);
	assert_int_equal(store_user_by_id(f->st, 99, &v), STORE_NONE);
	assert_int_equal(store_user_count(f->st, &n), STORE_DONE);
	assert_int_equal(n, 3);
	p.email = "cy@shop.test";
	assert_int_equal(
	    store_user_patch(f->st, f->agent.id, &p), STORE_REFUSED);
	p.email = NULL;
	p.name = "Bình";
	assert_int_equal(store_user_patch(f->st, f->agent.id, &p), STORE_DONE);
	assert_int_equal(store_user_patch(f->st, 99, &p), STORE_NONE);
	/* Somebody must be left to administer. */
	p = (struct user_patch){ .admin = 0, .disabled = -1 };
	assert_int_equal(
	    store_user_patch(f->st, f->admin.id, &p), STORE_REFUSED);
	p = (struct user_patch){ .admin = -1, .disabled = 1 };
	assert_int_equal(
	    store_user_patch(f->st, f->admin.id, &p), STORE_REFUSED);
	p = (struct user_patch){ .admin = 1, .disabled = -1 };
	assert_int_equal(store_user_patch(f->st, f->other.id, &p), STORE_DONE);
	p = (struct user_patch){ .admin = 0, .disabled = -1 };
	assert_int_equal(store_user_patch(f->st, f->admin.id, &p), STORE_DONE);
	assert_int_equal(
	    store_user_password(f->st, f->admin.id, "$argon2"), STORE_DONE);
	assert_int_equal(store_user_password(f->st, 99, "x"), STORE_NONE);

	assert_int_equal(store_users(f->st, &f->agent, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 2);
	assert_string_equal(text_of(out, "next"), "2");
	assert_null(strstr(json_object_to_json_string(out), "argon2"));
	json_object_put(out);
	pg.after = 2;
	assert_int_equal(store_users(f->st, &f->agent, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	json_object_put(out);
	/* A customer: name and picture. */
	assert_int_equal(
	    store_user_json(f->st, &f->customer, f->agent.id, &out),
	    STORE_DONE);
	assert_null(strstr(json_object_to_json_string(out), "shop.test"));
	assert_int_equal(json_object_object_length(out), 3);
	json_object_put(out);
}

static void
session(struct fixture *f, const struct who *who, const char *hash,
    struct session *s)
{
	memset(s, 0, sizeof *s);
	if (who->kind == WHO_USER)
		s->user = who->id;
	else
		s->customer = who->id;
	snprintf(s->hash, sizeof s->hash, "%s", hash);
	snprintf(s->via, sizeof s->via, "cookie");
	s->expires_at = NOW + 1000000;
	assert_int_equal(store_session_add(f->st, s), STORE_DONE);
}

static void
test_sessions(void **state)
{
	struct fixture *f = *state;
	struct session a, b, c, s;
	struct heads *h;
	char path[128];
	int64_t before;

	session(f, &f->agent, "aa", &a);
	session(f, &f->agent, "bb", &b);
	session(f, &f->customer, "cc", &c);
	assert_int_equal(store_session_get(f->st, a.id, &s), STORE_DONE);
	assert_int_equal(s.user, f->agent.id);
	assert_string_equal(s.name, "bo");
	assert_int_equal(store_session_get(f->st, 99, &s), STORE_NONE);
	assert_int_equal(store_session_get(f->st, c.id, &s), STORE_DONE);
	assert_int_equal(s.customer, f->customer.id);
	assert_string_equal(s.name, "Xuân Chào");

	/* Seen: to the minute. */
	assert_int_equal(store_session_touch(f->st, &a), STORE_REPEATED);
	store_set_now(f->st, NOW + 61000);
	assert_int_equal(store_session_touch(f->st, &a), STORE_DONE);
	assert_int_equal(a.seen_at, NOW + 61000);

	/* An end is told to pushd, and idle polls look again. */
	snprintf(path, sizeof path, "%s/heads.map", f->dir);
	h = heads_open(path, NULL, false);
	heads_good(h);
	before = heads_newest(h, "user:2");
	assert_int_equal(store_session_end(f->st, b.id), STORE_DONE);
	assert_string_equal(f->type, "session_changed");
	assert_string_equal(f->rooms, "control ");
	assert_non_null(strstr(f->data, "\"u:2:2\""));
	assert_true(heads_newest(h, "user:2") > before);
	assert_int_equal(store_session_end(f->st, b.id), STORE_NONE);
	assert_int_equal(store_session_get(f->st, b.id, &s), STORE_DONE);
	assert_true(s.ended_at > 0);
	heads_close(h);

	/* All but this one; then by a change of rights. */
	session(f, &f->agent, "ee", &b);
	assert_int_equal(
	    store_session_end_user(f->st, f->agent.id, a.id), STORE_DONE);
	store_session_get(f->st, a.id, &s);
	assert_int_equal(s.ended_at, 0);
	struct user_patch p = { .admin = -1, .disabled = 1 };
	assert_int_equal(store_user_patch(f->st, f->agent.id, &p), STORE_DONE);
	store_session_get(f->st, a.id, &s);
	assert_true(s.ended_at > 0 && s.gone);
	assert_int_equal(
	    store_session_end_customer(f->st, f->customer.id, 0), STORE_DONE);
	assert_non_null(strstr(f->data, "\"c:1:3\""));

	/* Long over: forgotten. */
	assert_int_equal(store_session_purge(f->st), STORE_NONE);
	store_set_now(f->st, NOW + INT64_C(40) * 86400000);
	assert_int_equal(store_session_purge(f->st), STORE_DONE);
	assert_int_equal(store_session_get(f->st, a.id, &s), STORE_NONE);
}

static void
test_keys_and_links(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), k, id, user, customer, v;

	assert_int_equal(
	    store_key_add(f->st, f->agent.id, "bot", "kk", &k), STORE_DONE);
	assert_int_equal(
	    store_key_add(f->st, 99, "bot", "k2", &id), STORE_NONE);
	assert_int_equal(store_key_find(f->st, "kk", &id, &user), STORE_DONE);
	assert_int_equal(id, k);
	assert_int_equal(user, f->agent.id);
	assert_int_equal(store_key_get(f->st, k, f->agent.id), STORE_DONE);
	assert_int_equal(store_key_get(f->st, k, f->other.id), STORE_NONE);
	assert_int_equal(store_key_end(f->st, k), STORE_DONE);
	assert_non_null(strstr(f->data, "\"k:2:1\""));
	assert_int_equal(store_key_end(f->st, k), STORE_NONE);
	assert_int_equal(store_key_find(f->st, "kk", &id, &user), STORE_NONE);

	assert_int_equal(
	    store_link_add(f->st, "ll", f->customer.id, c, NOW + 1000),
	    STORE_DONE);
	assert_int_equal(
	    store_link_find(f->st, "ll", &customer, &v), STORE_DONE);
	assert_int_equal(customer, f->customer.id);
	assert_int_equal(v, c);
	assert_int_equal(
	    store_link_find(f->st, "no", &customer, &v), STORE_NONE);
	store_set_now(f->st, NOW + 1000);
	assert_int_equal(
	    store_link_find(f->st, "ll", &customer, &v), STORE_REFUSED);
	store_set_now(f->st, NOW);
	fixture_sql(f, "UPDATE resume_links SET ended_at = 1");
	assert_int_equal(
	    store_link_find(f->st, "ll", &customer, &v), STORE_REFUSED);
}

static void
test_customers(void **state)
{
	struct fixture *f = *state;
	struct customer_patch p = { .phone = "0901", .notes = "rich" };
	struct store_page pg = { .limit = 50 };
	struct session s;
	struct json_object *out;
	int64_t c = fixture_talk(f, &f->customer), id;
	struct conversation v;

	p.tags = json_tokener_parse("[\"vip\"]");
	p.attributes = json_tokener_parse("{\"size\":\"L\"}");
	assert_int_equal(
	    store_customer_patch(f->st, &f->agent, f->customer.id, &p),
	    STORE_DONE);
	json_object_put(p.tags);
	json_object_put(p.attributes);
	assert_string_equal(f->type, "customer_updated");
	assert_string_equal(f->rooms, "inbox ");
	assert_string_equal(f->pub, "");
	assert_int_equal(
	    store_customer(f->st, &f->agent, f->customer.id, &out), STORE_DONE);
	assert_string_equal(text_of(out, "notes"), "rich");
	assert_string_equal(text_of(out, "name"), "Xuân Chào");
	json_object_put(out);
	/* Itself: no notes, no tags; nobody else. */
	assert_int_equal(
	    store_customer(f->st, &f->customer, f->customer.id, &out),
	    STORE_DONE);
	assert_null(strstr(json_object_to_json_string(out), "rich"));
	json_object_put(out);
	assert_int_equal(
	    store_customer(f->st, &f->stranger, f->customer.id, &out),
	    STORE_NONE);
	assert_int_equal(
	    store_customer_patch(f->st, &f->stranger, f->customer.id, &p),
	    STORE_NONE);

	assert_int_equal(
	    store_customers(f->st, &f->agent, "CHAO", &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	json_object_put(out);
	assert_int_equal(
	    store_customers(f->st, &f->agent, "0901", &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	json_object_put(out);
	pg.limit = 1;
	assert_int_equal(
	    store_customers(f->st, &f->agent, NULL, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	assert_int_equal(store_page_parse(text_of(out, "next"),
			     strlen(text_of(out, "next")), &pg),
	    0);
	json_object_put(out);
	assert_int_equal(
	    store_customers(f->st, &f->agent, NULL, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	assert_string_equal(text_of(out, "next"), "");
	json_object_put(out);
	pg = (struct store_page){ .limit = 9 };
	assert_int_equal(store_customer_conversations(
			     f->st, &f->agent, f->customer.id, &pg, &out),
	    STORE_DONE);
	assert_int_equal(count_of(out), 1);
	json_object_put(out);

	/* Deleted: nobody's session, nobody's name. */
	session(f, &f->customer, "cc", &s);
	assert_int_equal(
	    store_customer_delete(f->st, &f->agent, f->customer.id),
	    STORE_DONE);
	assert_string_equal(f->type, "customer_deleted");
	assert_int_equal(
	    store_customer_delete(f->st, &f->agent, f->customer.id),
	    STORE_NONE);
	assert_int_equal(
	    store_customer(f->st, &f->agent, f->customer.id, &out), STORE_NONE);
	store_session_get(f->st, s.id, &s);
	assert_true(s.ended_at > 0 && s.gone);
	store_conversation_may(f->st, NULL, c, MAY_SEE, &v);
	assert_string_equal(v.status, "closed");
	assert_int_equal(
	    store_conversation_may(f->st, &f->customer, c, MAY_SEE, NULL),
	    STORE_NONE);
	assert_int_equal(
	    store_customers(f->st, &f->agent, NULL, &pg, &out), STORE_DONE);
	assert_int_equal(count_of(out), 1);
	json_object_put(out);
	(void)id;
}

static void
test_identities(void **state)
{
	struct fixture *f = *state;
	struct customer_patch p = { .name = "" };
	struct json_object *out;
	int64_t a, b, c, thread;
	char ext[64], name[64];
	size_t sent;

	assert_int_equal(
	    store_identity(f->st, f->zalo, "u1", &p, &a), STORE_DONE);
	assert_string_equal(f->type, "customer_created");
	sent = f->sent;
	assert_int_equal(
	    store_identity(f->st, f->zalo, "u1", &p, &b), STORE_REPEATED);
	assert_int_equal(a, b);
	assert_int_equal(f->sent, sent);
	assert_int_equal(
	    store_identity_of(f->st, f->zalo, a, ext, sizeof ext), STORE_DONE);
	assert_string_equal(ext, "u1");
	assert_int_equal(
	    store_identity_of(f->st, f->web, a, ext, sizeof ext), STORE_NONE);

	/* Marks: the newer one wins. */
	assert_int_equal(
	    store_identity_follow(f->st, f->zalo, "u1", false, 2000),
	    STORE_DONE);
	assert_int_equal(
	    store_identity_follow(f->st, f->zalo, "u1", true, 1000),
	    STORE_REPEATED);
	assert_int_equal(
	    store_identity_follow(f->st, f->zalo, "u1", true, 3000),
	    STORE_DONE);
	assert_non_null(strstr(f->data, "\"unfollowed_at\":null"));
	assert_int_equal(
	    store_identity_follow(f->st, f->zalo, "no", true, 3000),
	    STORE_NONE);

	/* Nameless ones are looked up once, by what they wrote in last. */
	assert_int_equal(
	    store_conversation_external(f->st, f->zalo, "t1", a, &thread),
	    STORE_DONE);
	assert_int_equal(
	    store_customers_bare(f->st, "zalo", 10, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 1);
	assert_string_equal(
	    text_of(json_object_array_get_idx(out, 0), "external_id"), "u1");
	assert_string_equal(
	    text_of(json_object_array_get_idx(out, 0), "conversation"), "t1");
	json_object_put(out);
	/* Who cannot be asked for now waits longer each time, others do not. */
	assert_int_equal(
	    store_identity(f->st, f->zalo, "u3", NULL, &c), STORE_DONE);
	assert_int_equal(store_customer_profile_later(f->st, c), STORE_DONE);
	assert_int_equal(
	    store_customers_bare(f->st, "zalo", 1, &out), STORE_DONE);
	assert_string_equal(
	    text_of(json_object_array_get_idx(out, 0), "external_id"), "u1");
	json_object_put(out);
	store_set_now(f->st, NOW + 3600000);
	assert_int_equal(
	    store_customers_bare(f->st, "zalo", 9, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 2);
	json_object_put(out);
	assert_int_equal(store_customer_profile_later(f->st, c), STORE_DONE);
	store_set_now(f->st, NOW + 7000000);
	assert_int_equal(
	    store_customers_bare(f->st, "zalo", 9, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 1);
	json_object_put(out);
	sent = f->sent;
	assert_int_equal(
	    store_customer_profiled(f->st, a, NULL, NULL), STORE_DONE);
	assert_int_equal(f->sent, sent);
	assert_int_equal(
	    store_customers_bare(f->st, "zalo", 10, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 0);
	json_object_put(out);
	assert_int_equal(
	    store_customer_profiled(f->st, a, "Lan", "https://there/p.jpg"),
	    STORE_DONE);
	assert_string_equal(f->type, "customer_updated");
	assert_int_equal(
	    store_customer_name(f->st, a, name, sizeof name), STORE_DONE);
	assert_string_equal(name, "Lan");
}

static void
test_presence(void **state)
{
	struct fixture *f = *state;
	struct json_object *out;
	int64_t ids[1];
	size_t sent;

	/* The first that comes: customers learn that somebody is here. */
	assert_int_equal(
	    store_presence_connected(f->st, &f->agent, true), STORE_DONE);
	assert_string_equal(f->type, "presence_update");
	assert_string_equal(f->rooms, "inbox broadcast ");
	assert_string_equal(f->pub, "{\"here\":true}");
	sent = f->sent;
	assert_int_equal(
	    store_presence_connected(f->st, &f->agent, true), STORE_REPEATED);
	assert_int_equal(f->sent, sent);
	assert_int_equal(
	    store_presence_connected(f->st, &f->other, true), STORE_DONE);
	assert_string_equal(f->pub, "");
	/* Busy by choice, also after coming back. */
	assert_int_equal(
	    store_presence_set(f->st, f->agent.id, "busy", "at lunch"),
	    STORE_DONE);
	assert_int_equal(store_presence_set(f->st, f->agent.id, "busy", NULL),
	    STORE_REPEATED);
	assert_int_equal(
	    store_presence_connected(f->st, &f->agent, false), STORE_DONE);
	assert_int_equal(
	    store_presence_connected(f->st, &f->agent, true), STORE_DONE);
	ids[0] = f->agent.id;
	assert_int_equal(
	    store_presence(f->st, &f->admin, ids, 1, &out), STORE_DONE);
	assert_string_equal(
	    text_of(json_object_array_get_idx(items_of(out), 0), "status"),
	    "busy");
	json_object_put(out);
	assert_int_equal(
	    store_presence(f->st, &f->admin, NULL, 0, &out), STORE_DONE);
	assert_int_equal(count_of(out), 3);
	json_object_put(out);

	/* Who only polls is here for a while. */
	assert_int_equal(
	    store_presence_seen(f->st, &f->customer, 60000), STORE_DONE);
	assert_string_equal(f->type, "customer_status");
	sent = f->sent;
	assert_int_equal(
	    store_presence_seen(f->st, &f->customer, 60000), STORE_REPEATED);
	store_set_now(f->st, NOW + 61000);
	assert_int_equal(store_presence_seen(f->st, &f->customer, 60000),
	    STORE_DONE); /* the time alone */
	assert_int_equal(f->sent, sent);
	assert_int_equal(store_presence_expire(f->st, 90000), STORE_NONE);
	store_set_now(f->st, NOW + 61000 + 90001);
	assert_int_equal(store_presence_expire(f->st, 90000), STORE_DONE);
	assert_non_null(strstr(f->data, "offline"));
	assert_int_equal(store_presence_expire(f->st, 90000), STORE_NONE);
	/* Streams that pushd never ended are forgotten later. */
	store_set_now(f->st, NOW + 2000000);
	assert_int_equal(store_presence_expire(f->st, 90000), STORE_DONE);
	assert_string_equal(f->pub, "{\"here\":false}");
	/* A poll says that there is no pushd to hold one: then soon. */
	assert_int_equal(
	    store_presence_connected(f->st, &f->agent, true), STORE_DONE);
	assert_int_equal(
	    store_presence_seen(f->st, &f->agent, 60000), STORE_DONE);
	assert_int_equal(
	    store_presence_seen(f->st, &f->agent, 60000), STORE_REPEATED);
	store_set_now(f->st, NOW + 2000000 + 90001);
	assert_int_equal(store_presence_expire(f->st, 90000), STORE_DONE);
	assert_non_null(strstr(f->data, "\"last_seen\":4000002000000"));
	assert_int_equal(
	    store_presence_seen(f->st, &(struct who){ .kind = WHO_PUSHD }, 1),
	    STORE_NONE);
}

/* Many fall silent at once: some at a time, each told. */
static void
test_presence_many(void **state)
{
	struct fixture *f = *state;
	struct who who;
	char name[16];
	size_t sent;
	int i;

	for (i = 0; i < 120; i++) {
		snprintf(name, sizeof name, "c%d", i);
		fixture_customer(f, name, &who);
		assert_int_equal(
		    store_presence_seen(f->st, &who, 60000), STORE_DONE);
	}
	store_set_now(f->st, NOW + 90001);
	sent = f->sent;
	assert_int_equal(store_presence_expire(f->st, 90000), STORE_DONE);
	assert_int_equal(f->sent, sent + 100);
	assert_int_equal(store_presence_expire(f->st, 90000), STORE_DONE);
	assert_int_equal(f->sent, sent + 120);
	assert_int_equal(store_presence_expire(f->st, 90000), STORE_NONE);
}

/* A pushd ended without a word: who tells the next one of a stream is here. */
static void
test_presence_anew(void **state)
{
	struct fixture *f = *state;
	size_t sent;

	assert_int_equal(
	    store_presence_connected(f->st, &f->agent, true), STORE_DONE);
	assert_int_equal(
	    store_presence_connected(f->st, &f->other, true), STORE_DONE);
	assert_int_equal(
	    store_presence_connected(f->st, &f->customer, true), STORE_DONE);
	assert_int_equal(store_presence_settle(f->st), STORE_NONE);
	store_set_now(f->st, NOW + 10);
	sent = f->sent;
	assert_int_equal(store_presence_forget(f->st, NOW + 5), STORE_DONE);
	assert_int_equal(
	    store_presence_connected(f->st, &f->agent, true), STORE_DONE);
	/* It was said before, and came late: who is back stays. */
	assert_int_equal(store_presence_forget(f->st, NOW + 5), STORE_DONE);
	assert_int_equal(f->sent, sent);
	assert_int_equal(store_presence_settle(f->st), STORE_DONE);
	assert_int_equal(f->sent, sent + 2);
	assert_int_equal(store_presence_settle(f->st), STORE_NONE);
	assert_int_equal(
	    store_presence_connected(f->st, &f->agent, true), STORE_REPEATED);
	assert_int_equal(
	    store_presence_connected(f->st, &f->other, true), STORE_DONE);
}

static void
test_typing(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer);
	struct json_object *out;
	struct heads *h;
	char name[64], path[128];
	size_t sent = f->sent;

	assert_int_equal(store_typing_set(f->st, &f->customer, c, true,
			     NOW + 3000, name, sizeof name),
	    STORE_DONE);
	assert_string_equal(name, "Xuân Chào");
	assert_int_equal(f->sent, sent); /* no event */
	snprintf(path, sizeof path, "%s/heads.map", f->dir);
	h = heads_open(path, NULL, false);
	assert_true(heads_good(h));
	assert_true(heads_signalled(h, "inbox", NOW + 2000));
	assert_false(heads_signalled(h, "inbox", NOW + 3000));
	heads_close(h);
	assert_int_equal(
	    store_typing(f->st, &f->agent, NOW + 1000, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 1);
	assert_string_equal(
	    text_of(json_object_array_get_idx(out, 0), "kind"), "customer");
	json_object_put(out);
	/* Not oneself, not a stranger, not for ever. */
	assert_int_equal(
	    store_typing(f->st, &f->customer, NOW, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 0);
	json_object_put(out);
	assert_int_equal(
	    store_typing(f->st, &f->stranger, NOW, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 0);
	json_object_put(out);
	assert_int_equal(
	    store_typing(f->st, &f->agent, NOW + 3000, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 0);
	json_object_put(out);
	assert_int_equal(store_typing_set(f->st, &f->customer, c, false, 0,
			     name, sizeof name),
	    STORE_DONE);
	assert_int_equal(store_typing(f->st, &f->agent, NOW, &out), STORE_DONE);
	assert_int_equal(json_object_array_length(out), 0);
	json_object_put(out);
	assert_int_equal(store_typing_set(f->st, &f->stranger, c, true,
			     NOW + 3000, name, sizeof name),
	    STORE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_users),
		STORE_TEST(test_sessions),
		STORE_TEST(test_keys_and_links),
		STORE_TEST(test_customers),
		STORE_TEST(test_identities),
		STORE_TEST(test_presence),
		STORE_TEST(test_presence_many),
		STORE_TEST(test_presence_anew),
		STORE_TEST(test_typing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
