/* Bots: who is asked, who answers, who is silent. */
#include "store_fixture.h"

#include "store_bot.h"
#include "store_channel.h"

#define HOUR INT64_C(3600000)

static const struct bot_bounds lim = {
	.lease_ms = 1000, .day = 5, .hour_max = 3
};

static int64_t
make_bot(struct fixture *f, const char *kind, int64_t channel, int64_t calls)
{
	struct bot_change c = BOT_CHANGE_INIT;
	int64_t id = 0;

	c.name = "Robo";
	c.kind = kind;
	c.channels = &channel;
	c.nchannels = 1;
	c.rehome = true;
	c.calls_max = calls;
	assert_int_equal(store_bot_add(f->st, &c, &id), STORE_DONE);
	return id;
}

static int64_t
talk(struct fixture *f)
{
	int64_t c = fixture_talk(f, &f->customer);

	assert_int_equal(
	    fixture_count(f->st, "SELECT channel_id FROM conversations"),
	    f->web);
	return c;
}

static int64_t
say(struct fixture *f, const struct who *who, int64_t c, const char *text)
{
	int64_t id = 0;

	assert_int_equal(fixture_say(f, who, c, text, NULL, &id), STORE_DONE);
	return id;
}

/* Claim and answer the next; false: nothing to do. */
static bool
answer(struct fixture *f, const char *text, bool handover)
{
	struct bot_answer a = { .handover = handover, .tokens = 7 };
	struct bot_ask k;

	if (store_bot_claim(f->st, "w", &lim, &k) != STORE_DONE)
		return false;
	a.text = text != NULL ? strdup(text) : NULL;
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_DONE);
	bot_answer_fini(&a);
	bot_ask_fini(&k);
	return true;
}

static void
test_ask(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f), bot, m;
	struct json_object *o = NULL, *b;
	struct bot_ask k;
	struct message e = { .conversation = c,
		.content = "echo",
		.content_len = 4,
		.sender_kind = "bot",
		.echo = true };

	/* Nobody listens yet. */
	say(f, &f->customer, c, "hi");
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM bot_asks"), 0);
	bot = make_bot(f, "rules", f->web, -1);
	m = say(f, &f->customer, c, "Giá?");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	assert_int_equal(k.bot, bot);
	assert_int_equal(k.message, m);
	assert_string_equal(k.text, "Giá?");
	assert_false(k.greeted);
	/* It is ours: nobody else has it, and what follows waits. */
	say(f, &f->customer, c, "still there?");
	struct bot_ask other;
	assert_int_equal(store_bot_claim(f->st, "x", &lim, &other), STORE_NONE);
	struct bot_answer a = { .text = strdup("Ten."), .greets = true };
	assert_int_equal(
	    store_bot_end(f->st, "x", &k, &a, lim.day), STORE_NONE);
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_DONE);
	assert_string_equal(f->type, "new_message");
	assert_non_null(strstr(f->data, "\"kind\":\"bot\""));
	assert_non_null(strstr(f->data, "Robo"));
	assert_non_null(strstr(f->pub, "Ten."));
	/* Once only. */
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_NONE);
	bot_answer_fini(&a);
	bot_ask_fini(&k);
	assert_int_equal(
	    fixture_count(f->st,
		"SELECT count(*) FROM messages WHERE sender_kind = 'bot'"),
	    1);
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	assert_true(k.greeted);
	bot_ask_fini(&k);

	assert_int_equal(
	    store_conversation(f->st, &f->agent, c, &o), STORE_DONE);
	assert_int_equal(json_get_obj(o, "bot", &b), 1);
	assert_string_equal(text_of(b, "state"), "active");
	assert_string_equal(text_of(b, "name"), "Robo");
	json_object_put(o);
	o = NULL;
	assert_int_equal(
	    store_conversation(f->st, &f->customer, c, &o), STORE_DONE);
	assert_false(json_object_object_get_ex(o, "bot", NULL));
	json_object_put(o);

	/* Its own words, echoes and notes ask nobody. */
	assert_int_equal(store_message_add(f->st, NULL, &e), STORE_DONE);
	message_fini(&e);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM bot_asks"), 2);
}

/* What is asked of the database about bots and webhooks: 0 goes on. */
static int
trace(unsigned what, void *arg, void *q, void *sql)
{
	int *n = arg;

	(void)what;
	(void)q;
	*n += strstr(sql, "JOIN bots") != NULL ||
	      strstr(sql, "bot_conversations") != NULL ||
	      strstr(sql, "webhook") != NULL;
	return 0;
}

/* Who has none pays nothing for them. */
static void
test_none(void **state)
{
	struct fixture *f = *state;
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	int64_t c = talk(f);
	struct json_object *o = NULL;
	int n = 0;

	p.assignee = f->agent.id;
	for (int i = 0; i < 2; i++) {
		sqlite3_trace_v2(f->st->db, SQLITE_TRACE_STMT, trace, &n);
		say(f, &f->customer, c, "hi");
		say(f, &f->agent, c, "hello");
		assert_int_equal(
		    store_conversation(f->st, &f->agent, c, &o), STORE_DONE);
		json_object_put(o);
		assert_int_equal(
		    store_conversation_patch(f->st, &f->agent, c, &p),
		    STORE_DONE);
		assert_int_equal(n > 0, i);
		sqlite3_trace_v2(f->st->db, 0, NULL, NULL);
		p.assignee = 0;
		if (i == 0)
			make_bot(f, "rules", f->web, -1);
	}
}

static void
test_standby(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f);
	struct message m = { .conversation = c,
		.content = "x",
		.content_len = 1,
		.sender_kind = "customer",
		.sender_id = f->customer.id,
		.incoming = true,
		.quiet = true };

	make_bot(f, "rules", f->web, -1);
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	message_fini(&m);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM bot_asks"), 0);
}

static void
test_take_over(void **state)
{
	struct fixture *f = *state;
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	int64_t c = talk(f);
	struct bot_ask k;

	make_bot(f, "rules", f->web, -1);
	/* An agent's words, also while the bot thinks. */
	say(f, &f->customer, c, "hi");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	say(f, &f->customer, c, "and?");
	say(f, &f->agent, c, "I am here");
	assert_string_equal(f->type, "conversation_updated");
	assert_non_null(strstr(f->data, "\"changed\":[\"bot\"]"));
	assert_non_null(strstr(f->data, "handed_over"));
	struct bot_answer a = { .text = strdup("late") };
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_NONE);
	bot_answer_fini(&a);
	bot_ask_fini(&k);
	say(f, &f->customer, c, "good");
	assert_false(answer(f, "no", false));
	assert_int_equal(
	    fixture_count(f->st,
		"SELECT count(*) FROM messages WHERE sender_kind = 'bot'"),
	    0);

	/* Until it is closed, and written into again. */
	p.status = "closed";
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_DONE);
	say(f, &f->customer, c, "again");
	assert_true(answer(f, "Hello again", false));

	/* Given to a person. */
	p = (struct conversation_patch)CONVERSATION_PATCH_INIT;
	p.assignee = f->agent.id;
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_DONE);
	assert_non_null(strstr(f->data, "\"assignee_id\",\"bot\""));
	say(f, &f->customer, c, "to whom?");
	assert_false(answer(f, "no", false));
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM bot_conversations"
				 " WHERE reason = 'assigned'"),
	    1);
}

/* Who was there before the bot came goes on. */
/* Whether it answers there, as agents see it. */
static const char *
seen_state(struct fixture *f, int64_t c)
{
	static char out[16];
	struct json_object *o = NULL, *b = NULL;

	assert_int_equal(
	    store_conversation(f->st, &f->agent, c, &o), STORE_DONE);
	assert_int_equal(json_get_obj(o, "bot", &b), 1);
	snprintf(out, sizeof out, "%s", text_of(b, "state"));
	json_object_put(o);
	return out;
}

static void
test_newcomer(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f);

	say(f, &f->customer, c, "hi");
	say(f, &f->agent, c, "hello");
	make_bot(f, "rules", f->web, -1);
	assert_string_equal(seen_state(f, c), "handed_over");
	say(f, &f->customer, c, "and");
	assert_false(answer(f, "no", false));
	assert_string_equal(seen_state(f, c), "handed_over");
}

/* Taken over by word, given back, also where it has never been. */
static void
test_give_back(void **state)
{
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct fixture *f = *state;
	int64_t c = talk(f);

	say(f, &f->customer, c, "hi");
	say(f, &f->agent, c, "hello");
	p.bot = "active";
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_INVALID);
	assert_string_equal(store_field(f->st), "bot");
	make_bot(f, "rules", f->web, -1);
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_DONE);
	assert_non_null(strstr(f->data, "\"changed\":[\"bot\"]"));
	assert_string_equal(seen_state(f, c), "active");
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_REPEATED);
	say(f, &f->customer, c, "and?");

	/* What it was asked and has not answered is dropped. */
	p.bot = "handed_over";
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_DONE);
	assert_string_equal(seen_state(f, c), "handed_over");
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM bot_conversations"
				 " WHERE reason = 'agent'"),
	    1);
	say(f, &f->customer, c, "anybody?");
	assert_false(answer(f, "no", false));
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_REPEATED);

	p.bot = "active";
	assert_int_equal(
	    store_conversation_patch(f->st, &f->agent, c, &p), STORE_DONE);
	say(f, &f->customer, c, "now?");
	assert_true(answer(f, "Yes", false));
	assert_false(answer(f, "no", false));
	assert_int_equal(store_conversation_patch(f->st, &f->customer, c, &p),
	    STORE_FORBIDDEN);
}

static void
test_hand_over(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f), bot = make_bot(f, "assistant", f->web, -1);
	struct bot_answer a = { .handover = true, .reason = "error" };
	struct bot_ask k;
	size_t sent;

	say(f, &f->customer, c, "hi");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	snprintf(a.error, sizeof a.error, "HTTP 500");
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_DONE);
	bot_ask_fini(&k);
	assert_string_equal(f->type, "system_notification");
	assert_non_null(strstr(f->data, "Robo: HTTP 500"));
	assert_string_equal(f->rooms, "inbox ");
	sent = f->sent;
	say(f, &f->customer, c, "more");
	assert_int_equal(f->sent, sent + 1);
	assert_false(answer(f, "no", false));
	assert_int_equal(
	    fixture_count(
		f->st, "SELECT handed_by = 'bot:1' FROM bot_conversations"),
	    1);

	/* The same trouble is not told again for an hour. */
	c = fixture_talk(f, &f->stranger);
	say(f, &f->stranger, c, "hi");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_DONE);
	bot_ask_fini(&k);
	assert_string_equal(f->type, "conversation_updated");
	assert_int_equal(bot, 1);
}

static void
test_lease(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f), n;
	struct bot_answer a = { .text = strdup("late") };
	struct bot_ask k, again;

	make_bot(f, "assistant", f->web, -1);
	say(f, &f->customer, c, "hi");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	assert_int_equal(store_bot_expired(f->st, &n), STORE_NONE);
	store_set_now(f->st, NOW + lim.lease_ms + 1);
	assert_int_equal(store_bot_expired(f->st, &n), STORE_DONE);
	assert_int_equal(n, 1);
	assert_int_equal(store_bot_claim(f->st, "x", &lim, &again), STORE_DONE);
	assert_int_equal(again.tries, 2);
	/* The first is not dead after all: it comes too late. */
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_NONE);
	assert_int_equal(
	    store_bot_end(f->st, "x", &again, &a, lim.day), STORE_DONE);
	assert_int_equal(
	    fixture_count(f->st,
		"SELECT count(*) FROM messages WHERE sender_kind = 'bot'"),
	    1);
	bot_answer_fini(&a);
	bot_ask_fini(&k);
	bot_ask_fini(&again);
}

static void
bot_state(struct fixture *f, int64_t bot, const char *state)
{
	struct bot_change c = BOT_CHANGE_INIT;

	c.state = state;
	assert_int_equal(store_bot_set(f->st, bot, &c), STORE_DONE);
}

/* Nobody wants it any more: neither what waits, nor what is under way. */
static void
test_unwanted(void **state)
{
	struct fixture *f = *state;
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct bot_change home = BOT_CHANGE_INIT;
	int64_t c = talk(f), bot = make_bot(f, "assistant", f->web, -1), m;
	struct bot_answer a = { .text = strdup("late"), .tokens = 7 };
	struct json_object *deleted = NULL;
	struct bot_ask k;

	p.status = "closed";
	home.rehome = true;
	for (int i = 0; i < 4; i++) {
		m = say(f, &f->customer, c, "hi");
		assert_int_equal(
		    store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
		say(f, &f->customer, c, "and?");
		switch (i) {
		case 0:
			bot_state(f, bot, "off");
			break;
		case 1:
			home.nchannels = 0;
			assert_int_equal(
			    store_bot_set(f->st, bot, &home), STORE_DONE);
			break;
		case 2:
			assert_int_equal(
			    store_conversation_patch(f->st, &f->agent, c, &p),
			    STORE_DONE);
			break;
		case 3:
			assert_int_equal(store_message_delete(
					     f->st, &f->customer, m, &deleted),
			    STORE_DONE);
			json_object_put(deleted);
			break;
		}
		assert_int_equal(
		    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_DONE);
		bot_ask_fini(&k);
		assert_int_equal(
		    fixture_count(f->st, "SELECT count(*) FROM messages"
					 " WHERE sender_kind = 'bot'"),
		    0);
		/* The one after it: only the deleted message was alone. */
		assert_int_equal(answer(f, i < 3 ? "no" : NULL, false), i == 3);
		bot_state(f, bot, "on");
		home.channels = &f->web;
		home.nchannels = 1;
		assert_int_equal(store_bot_set(f->st, bot, &home), STORE_DONE);
	}
	/* What was said in vain was paid for. */
	assert_int_equal(
	    fixture_count(f->st, "SELECT tokens FROM bots"), 5 * 7);
	bot_answer_fini(&a);
}

/* What it cost is counted, too, when a person came first. */
static void
test_cost(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f);
	struct bot_answer a = { .text = strdup("late"), .tokens = 7 };
	struct bot_ask k;

	make_bot(f, "assistant", f->web, -1);
	say(f, &f->customer, c, "hi");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	say(f, &f->agent, c, "I am here");
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &a, lim.day), STORE_NONE);
	assert_int_equal(fixture_count(f->st, "SELECT tokens FROM bots"), 7);
	bot_answer_fini(&a);
	bot_ask_fini(&k);
}

static void
test_budget(void **state)
{
	struct fixture *f = *state;
	struct bot_bounds tomorrow = lim;
	int64_t c = talk(f), bot = make_bot(f, "assistant", f->web, 2);
	struct bot_change ch = BOT_CHANGE_INIT;
	struct bot_ask k;

	/* To be asked costs nothing, to ask does. */
	say(f, &f->customer, c, "1");
	assert_true(answer(f, "one", false));
	say(f, &f->customer, c, "2");
	assert_true(answer(f, "two", false));
	assert_int_equal(fixture_count(f->st, "SELECT calls FROM bots"), 0);
	assert_int_equal(store_bot_spend(f->st, bot, lim.day), STORE_DONE);
	assert_int_equal(store_bot_spend(f->st, bot, lim.day), STORE_DONE);
	assert_int_equal(store_bot_spend(f->st, bot, lim.day), STORE_REFUSED);
	say(f, &f->customer, c, "3");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	assert_true(k.spent);
	assert_int_equal(store_bot_again(f->st, "w", k.id, NOW), STORE_DONE);
	bot_ask_fini(&k);
	assert_int_equal(fixture_count(f->st, "SELECT calls FROM bots"), 2);
	assert_int_equal(fixture_count(f->st, "SELECT tokens FROM bots"), 14);
	/* Another day. */
	tomorrow.day++;
	assert_int_equal(
	    store_bot_claim(f->st, "w", &tomorrow, &k), STORE_DONE);
	assert_false(k.spent);
	assert_int_equal(store_bot_again(f->st, "w", k.id, NOW), STORE_DONE);
	bot_ask_fini(&k);
	assert_int_equal(store_bot_spend(f->st, bot, tomorrow.day), STORE_DONE);
	assert_int_equal(fixture_count(f->st, "SELECT tokens FROM bots"), 0);
	assert_int_equal(fixture_count(f->st, "SELECT calls FROM bots"), 1);
	/* By tokens; 5 is as much as it may. */
	ch.calls_max = 0;
	ch.tokens_max = 5;
	assert_int_equal(store_bot_set(f->st, bot, &ch), STORE_DONE);
	assert_true(answer(f, "three", false));
	say(f, &f->customer, c, "4");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	assert_true(k.spent);
	assert_int_equal(store_bot_spend(f->st, bot, lim.day), STORE_REFUSED);
	/* So many answers an hour, then it may be another bot. */
	assert_true(k.loop);
	bot_ask_fini(&k);
}

/* What is not answered in its time is over, once. */
static void
test_late(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f), bot = make_bot(f, "http", f->web, -1);
	struct bot_answer a = { .text = strdup("mine") };
	struct bot_answer later = { .later = true, .later_ms = 5000 };
	struct bot_answer none = { .handover = true, .reason = "error" };
	struct json_object *o = NULL;
	struct bot_ask k;

	for (int i = 0; i < 2; i++) {
		say(f, &f->customer, c, "hi");
		assert_int_equal(
		    store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
		assert_int_equal(
		    store_bot_end(f->st, "w", &k, &later, lim.day), STORE_DONE);
		bot_ask_fini(&k);
	}
	assert_int_equal(store_bot_late(f->st), STORE_NONE);
	assert_int_equal(
	    store_bot_claim_late(f->st, "w", &lim, &k), STORE_NONE);
	/* Of its own accord it answers whatever waits. */
	assert_int_equal(
	    store_bot_say(f->st, bot, c, 0, "k", &a, &o), STORE_DONE);
	json_object_put(o);
	store_set_now(f->st, NOW + 6000);
	assert_int_equal(store_bot_late(f->st), STORE_NONE);

	say(f, &f->customer, c, "hello?");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &later, lim.day), STORE_DONE);
	bot_ask_fini(&k);
	store_set_now(f->st, NOW + 12000);
	assert_int_equal(store_bot_late(f->st), STORE_DONE);
	assert_int_equal(
	    store_bot_claim_late(f->st, "w", &lim, &k), STORE_DONE);
	assert_int_equal(k.conversation, c);
	assert_int_equal(store_bot_late(f->st), STORE_NONE);
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &none, lim.day), STORE_DONE);
	bot_ask_fini(&k);
	assert_int_equal(
	    store_bot_say(f->st, bot, c, 0, "k2", &a, &o), STORE_REFUSED);

	/* A person has taken it: nobody waits any more. */
	say(f, &f->agent, c, "mine now");
	assert_int_equal(
	    sqlite3_exec(f->st->db,
		"UPDATE bot_asks SET state = 'later', lease_until = 1"
		" WHERE id = 1",
		NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(
	    store_bot_claim_late(f->st, "w", &lim, &k), STORE_DONE);
	assert_int_equal(k.id, 0);
	assert_int_equal(
	    fixture_count(
		f->st, "SELECT state = 'dropped' FROM bot_asks WHERE id = 1"),
	    1);
	bot_answer_fini(&a);
}

static void
test_say(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f), bot = make_bot(f, "http", f->web, -1), m;
	struct bot_answer a = { .text = strdup("mine") };
	struct bot_answer later = { .later = true };
	struct json_object *o = NULL;
	struct bot_ask k;

	m = say(f, &f->customer, c, "hi");
	assert_int_equal(store_bot_claim(f->st, "w", &lim, &k), STORE_DONE);
	assert_int_equal(
	    store_bot_end(f->st, "w", &k, &later, lim.day), STORE_DONE);
	bot_ask_fini(&k);
	assert_int_equal(
	    fixture_count(
		f->st, "SELECT count(*) FROM bot_asks WHERE state = 'later'"),
	    1);
	assert_int_equal(
	    store_bot_say(f->st, bot + 1, 0, m, NULL, &a, &o), STORE_NONE);
	assert_int_equal(
	    store_bot_say(f->st, bot, c + 1, m, NULL, &a, &o), STORE_NONE);
	assert_int_equal(
	    store_bot_say(f->st, bot, 0, m, NULL, &a, &o), STORE_DONE);
	assert_string_equal(text_of(o, "content"), "mine");
	json_object_put(o);
	assert_int_equal(
	    store_bot_say(f->st, bot, 0, m, NULL, &a, &o), STORE_REPEATED);
	json_object_put(o);
	/* Of its own accord, under a name of its own. */
	assert_int_equal(
	    store_bot_say(f->st, bot, c, 0, "k", &a, &o), STORE_DONE);
	json_object_put(o);
	assert_int_equal(
	    store_bot_say(f->st, bot, c, 0, "k", &a, &o), STORE_REPEATED);
	json_object_put(o);
	say(f, &f->agent, c, "mine now");
	assert_int_equal(
	    store_bot_say(f->st, bot, c, 0, "k2", &a, &o), STORE_REFUSED);
	assert_null(o);
	bot_answer_fini(&a);
}

static void
test_settings(void **state)
{
	struct fixture *f = *state;
	int64_t bot = make_bot(f, "assistant", f->web, 9), id, none = 999;
	struct json_object *o = NULL, *items, *s;
	struct bot_change c = BOT_CHANGE_INIT;
	struct bot b;
	char hash[] = "abc";

	/* A channel has one bot. */
	c.name = "Two";
	c.kind = "rules";
	c.channels = &f->web;
	c.nchannels = 1;
	c.rehome = true;
	assert_int_equal(store_bot_add(f->st, &c, &id), STORE_REFUSED);
	c.channels = &none;
	assert_int_equal(store_bot_add(f->st, &c, &id), STORE_INVALID);
	assert_int_equal(fixture_count(f->st, "SELECT count(*) FROM bots"), 1);

	c = (struct bot_change)BOT_CHANGE_INIT;
	c.secrets = json_object_new_object();
	c.config = json_object_new_object();
	json_put_str(c.secrets, "api_key", "s3cret");
	json_put_str(c.config, "model", "m");
	c.key_hash = hash;
	assert_int_equal(store_bot_set(f->st, bot, &c), STORE_DONE);
	assert_int_equal(store_bots(f->st, 1, &o), STORE_DONE);
	assert_null(strstr(json_object_to_json_string(o), "s3cret"));
	assert_null(strstr(json_object_to_json_string(o), "abc"));
	assert_int_equal(json_get_arr(o, "items", &items), 1);
	s = json_object_array_get_idx(items, 0);
	assert_int_equal(json_get_obj(s, "secrets", &s), 1);
	assert_string_equal(text_of(s, "api_key"), "set");
	json_object_put(o);
	/* Another member; null takes one away. */
	json_object_object_del(c.config, "model");
	json_put_str(c.config, "system", "be brief");
	json_put_str(c.secrets, "api_key", NULL);
	assert_int_equal(store_bot_set(f->st, bot, &c), STORE_DONE);
	assert_int_equal(store_bot_get(f->st, bot, &b), STORE_DONE);
	assert_string_equal(text_of(b.config, "model"), "m");
	assert_string_equal(text_of(b.config, "system"), "be brief");
	assert_int_equal(json_object_object_length(b.secrets), 0);
	assert_int_equal(b.calls_max, 9);
	bot_fini(&b);
	json_object_put(c.config);
	json_object_put(c.secrets);

	assert_int_equal(store_bot_key(f->st, bot, "abc"), STORE_DONE);
	assert_int_equal(store_bot_key(f->st, bot, "abd"), STORE_NONE);
	assert_int_equal(store_bot_delete(f->st, bot), STORE_DONE);
	assert_int_equal(store_bot_delete(f->st, bot), STORE_NONE);
	assert_int_equal(store_bot_key(f->st, bot, "abc"), STORE_NONE);
	assert_int_equal(store_bot_get(f->st, bot, &b), STORE_NONE);
	assert_int_equal(make_bot(f, "rules", f->web, -1), bot + 1);
}

/* A channel that goes takes its bot's place along, and what waits there. */
static void
test_channel_goes(void **state)
{
	struct fixture *f = *state;
	int64_t c = talk(f), bot = make_bot(f, "rules", f->web, -1);
	struct json_object *o = NULL, *list;

	say(f, &f->customer, c, "hi");
	assert_int_equal(store_channel_delete(f->st, f->web), STORE_DONE);
	assert_false(answer(f, "no", false));
	assert_int_equal(store_bot_json(f->st, bot, 1, &o), STORE_DONE);
	assert_int_equal(json_get_arr(o, "channels", &list), 1);
	assert_int_equal(json_object_array_length(list), 0);
	json_object_put(o);
}

static void
test_try(void **state)
{
	struct fixture *f = *state;
	int64_t bot = make_bot(f, "rules", f->web, -1), id, reply = 1;
	struct json_object *o = NULL;
	struct bot_answer a = { .text = strdup("Ten.") };
	char st[12];
	struct bot_ask k;

	assert_int_equal(store_bot_try(f->st, bot + 1, "x", &id), STORE_NONE);
	assert_int_equal(store_bot_try(f->st, bot, "price", &id), STORE_DONE);
	assert_int_equal(
	    store_bot_claim_id(f->st, "h", &lim, id, &k), STORE_DONE);
	assert_string_equal(k.text, "price");
	assert_int_equal(store_bot_tried(f->st, bot, id, &o), STORE_DONE);
	assert_string_equal(text_of(o, "question"), "price");
	assert_string_equal(text_of(o, "state"), "asking");
	assert_null(json_object_object_get(o, "result"));
	json_object_put(o);
	assert_int_equal(store_bot_tried(f->st, bot + 1, id, &o), STORE_NONE);
	assert_int_equal(
	    store_bot_end(f->st, "h", &k, &a, lim.day), STORE_DONE);
	assert_int_equal(store_bot_tried(f->st, bot, id, &o), STORE_DONE);
	assert_string_equal(
	    text_of(json_object_object_get(o, "result"), "text"), "Ten.");
	json_object_put(o);
	assert_int_equal(
	    store_bot_outcome(f->st, id, st, &reply, &o), STORE_DONE);
	assert_string_equal(st, "done");
	assert_int_equal(reply, 0);
	assert_string_equal(text_of(o, "text"), "Ten.");
	json_object_put(o);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), 0);
	store_set_now(f->st, NOW + HOUR);
	assert_int_equal(store_bot_purge(f->st, HOUR), STORE_NONE);
	assert_int_equal(store_bot_purge(f->st, HOUR - 1), STORE_DONE);
	bot_answer_fini(&a);
	bot_ask_fini(&k);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ask),
		T(test_none),
		T(test_standby),
		T(test_take_over),
		T(test_newcomer),
		T(test_give_back),
		T(test_hand_over),
		T(test_lease),
		T(test_unwanted),
		T(test_cost),
		T(test_budget),
		T(test_late),
		T(test_say),
		T(test_settings),
		T(test_channel_goes),
		T(test_try),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
