/* What platforms gave along with messages, and what they are told besides. */
#include "store_fixture.h"
#include "store_read.h"

#include "store_act.h"
#include "store_delivery.h"
#include "store_presence.h"

/* A customer's message on the platform, with the tokens of ${n}. */
static int64_t
say(struct fixture *f, int64_t conversation, const char *n, int64_t *message)
{
	char reply[20], seen[20], quote[20], id[20];
	struct message m = { .conversation = conversation,
		.content = n,
		.content_len = strlen(n),
		.incoming = true,
		.sender_kind = "customer",
		.sender_id = 1,
		.channel = f->zalo,
		.external_id = id,
		.reply_token = reply,
		.seen_token = seen,
		.quote_token = quote };

	snprintf(id, sizeof id, "m%s", n);
	snprintf(reply, sizeof reply, "r%s", n);
	snprintf(seen, sizeof seen, "s%s", n);
	snprintf(quote, sizeof quote, "q%s", n);
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	*message = m.id;
	message_fini(&m);
	return m.id;
}

static void
claim(struct fixture *f, struct delivery *d)
{
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 1000, d), STORE_DONE);
}

static void
a_reply_token_is_offered_once_and_soon(void **state)
{
	struct delivery_end sent = { .state = "sent", .external_id = "o1" };
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), one, two;
	struct message m = {
		.conversation = c, .content = "a", .content_len = 1
	};
	struct delivery d;

	say(f, c, "1", &one);
	say(f, c, "2", &two);
	m.reply_to = one;
	assert_int_equal(store_message_add(f->st, &f->agent, &m), STORE_DONE);
	message_fini(&m);
	fixture_say(f, &f->agent, c, "b", NULL, NULL);
	claim(f, &d);
	assert_string_equal(d.reply_token, "r2"); /* the newest one's */
	assert_string_equal(d.quote_token, "q1"); /* the quoted one's */
	assert_string_equal(d.quote_external, "m1");
	assert_int_equal(
	    store_delivery_end(f->st, d.id, "w", &sent), STORE_DONE);
	delivery_fini(&d);
	claim(f, &d);
	assert_string_equal(d.reply_token, "");
	assert_string_equal(d.quote_token, "");
	sent.external_id = "o2";
	store_delivery_end(f->st, d.id, "w", &sent);
	delivery_fini(&d);

	say(f, c, "3", &one);
	store_set_now(f->st, one + 30000);
	fixture_say(f, &f->agent, c, "c", NULL, NULL);
	claim(f, &d);
	assert_string_equal(d.reply_token, "");
	delivery_fini(&d);
}

static void
what_an_agent_reads_is_told_once(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), web, id, m;
	struct act a;

	say(f, c, "1", &m);
	assert_int_equal(store_act_seen(f->st, &id), STORE_NONE);
	assert_int_equal(store_read_mark(f->st, &f->agent, c, m), STORE_DONE);
	assert_int_equal(
	    store_read_mark(f->st, &f->agent, c, m), STORE_REPEATED);
	assert_int_equal(store_act_seen(f->st, &id), STORE_DONE);
	assert_int_equal(id, c);
	assert_int_equal(store_act_seen(f->st, &id), STORE_NONE);
	assert_int_equal(store_act(f->st, c, &a), STORE_DONE);
	assert_int_equal(a.channel, f->zalo);
	assert_string_equal(a.conversation_external, "u7");
	assert_string_equal(a.customer_external, "u7");
	assert_string_equal(a.message_external, "m1");
	assert_string_equal(a.seen_token, "s1");

	/* On the web there is nobody to tell. */
	web = fixture_talk(f, &f->customer);
	fixture_say(f, &f->customer, web, "a", NULL, &m);
	assert_int_equal(store_read_mark(f->st, &f->agent, web, m), STORE_DONE);
	assert_int_equal(store_act_seen(f->st, &id), STORE_NONE);
	assert_int_equal(store_act(f->st, web, &a), STORE_NONE);
}

static void
agents_who_type_on_platforms(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_zalo(f, "hi", NULL), list[4];
	int64_t web = fixture_talk(f, &f->customer);
	char name[200];
	size_t n;

	store_typing_set(
	    f->st, &f->agent, web, true, NOW + 3000, name, sizeof name);
	store_typing_set(
	    f->st, &f->customer, web, true, NOW + 3000, name, sizeof name);
	assert_int_equal(store_act_typing(f->st, list, 4, &n), STORE_DONE);
	assert_int_equal(n, 0);
	store_typing_set(
	    f->st, &f->agent, c, true, NOW + 3000, name, sizeof name);
	assert_int_equal(store_act_typing(f->st, list, 4, &n), STORE_DONE);
	assert_int_equal(n, 1);
	assert_int_equal(list[0], c);
	store_set_now(f->st, NOW + 3000);
	assert_int_equal(store_act_typing(f->st, list, 4, &n), STORE_DONE);
	assert_int_equal(n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_reply_token_is_offered_once_and_soon),
		STORE_TEST(what_an_agent_reads_is_told_once),
		STORE_TEST(agents_who_type_on_platforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
