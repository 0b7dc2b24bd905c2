/* Instagram's adapter: what is different from Messenger's. */
#include "channel_fixture.h"

#define NOW 1795000600000LL
#define HOUR 3600000LL
#define USER "6841100000000001"
#define OWN "17841400000000001"

static struct channel_account
account(void)
{
	struct channel_account ac = { .id = 1, .ch = &channel_instagram };

	ac.config = json_object_new_object();
	json_put_str(ac.config, "ig_account_id", OWN);
	json_put_str(ac.config, "ig_app_secret", "ig-secret");
	json_put_str(ac.config, "ig_verify_token", "ig-verify");
	json_put_str(ac.config, "ig_token", "ig-token");
	return ac;
}

/* Parse a body written in short: single quotes for double ones. */
static void
body_of(struct channel_batch *b, const char *text)
{
	struct channel_account ac = account();

	assert_int_equal(short_parse(&ac, text, NOW, b), 0);
	json_object_put(ac.config);
}

#define ENVELOPE(events)                             \
	"{'object':'instagram','entry':[{'id':'" OWN \
	"','time':1795000500009,'messaging':[" events "]}]}"
#define FROM_USER                                            \
	"'sender':{'id':'" USER "'},'recipient':{'id':'" OWN \
	"'},'timestamp':1795000500000"
#define FROM_OWN                                             \
	"'sender':{'id':'" OWN "'},'recipient':{'id':'" USER \
	"'},'timestamp':1795000500000"

static void
the_sample_is_read(void **state)
{
	struct channel_account ac = account();
	struct channel_batch b;
	size_t len;
	char *body = file_read("instagram-text.json", &len);

	(void)state;
	assert_int_equal(hook_parse(&ac, body, len, NOW, &b), 0);
	assert_int_equal(b.n, 1);
	assert_string_equal(b.items[0].conversation, USER);
	assert_string_equal(b.items[0].user, USER);
	assert_string_equal(b.items[0].message_id, "aWdfZG1fMDAwMQ");
	assert_string_equal(b.items[0].kind, "text");
	assert_string_equal(b.items[0].text, "Mẫu này còn không ạ ✨");
	assert_string_equal(b.items[0].reply_to, "story:17900000000000001");
	assert_int_equal(b.items[0].sent_at, 1795000500000);
	channel_batch_fini(&b);
	cuts_are_refused(&ac, body, len, NOW);
	free(body);
	json_object_put(ac.config);
}

static void
its_own_events(void **state)
{
	struct channel_batch b;

	(void)state;
	/* Some pages show a list of envelopes. */
	body_of(&b,
	    "[7," ENVELOPE("{" FROM_USER ",'message':{'mid':'a','text':'t'}}") ",{'object':'page'}," ENVELOPE(
		"{" FROM_USER ",'message':{'mid':'b','is_deleted':true}}") "]");
	assert_int_equal(b.n, 2);
	assert_int_equal(b.skipped, 2);
	assert_int_equal(b.items[0].op, CHANNEL_MESSAGE);
	assert_int_equal(b.items[1].op, CHANNEL_DELETE);
	channel_batch_fini(&b);

	body_of(&b, ENVELOPE("{" FROM_USER ",'read':{'mid':'m_out'}}"));
	assert_int_equal(b.items[0].op, CHANNEL_STATUS);
	assert_string_equal(b.items[0].status, "read");
	assert_int_equal(b.items[0].nids, 1);
	assert_string_equal(b.items[0].ids[0], "m_out");
	channel_batch_fini(&b);

	/* Its echoes say nothing of who sent them. */
	body_of(&b, ENVELOPE("{" FROM_OWN ",'message':{'mid':'a','text':'t',"
			     "'is_echo':true}}"));
	assert_true(b.items[0].out);
	assert_false(b.items[0].by_person);
	assert_int_equal(b.items[0].outbound, 0);
	channel_batch_fini(&b);

	body_of(
	    &b, ENVELOPE("{" FROM_USER ",'message':{'mid':'a','attachments':[{"
			 "'type':'story_mention','payload':{'url':"
			 "'https://s.example'}}]}},"
			 "{" FROM_USER ",'message':{'mid':'b','is_unsupported':"
			 "true}},"
			 "{" FROM_USER ",'message':{'mid':'c','attachments':[{"
			 "'type':'ig_reel','payload':{'url':"
			 "'https://r.example'}}]}}"));
	assert_int_equal(b.n, 3);
	assert_string_equal(b.items[0].kind, "unsupported");
	assert_string_equal(b.items[0].text, "https://s.example");
	assert_string_equal(b.items[1].kind, "unsupported");
	assert_string_equal(b.items[2].kind, "video");
	channel_batch_fini(&b);

	body_of(&b,
	    "{'object':'page','entry':[{'id':'" OWN "','messaging':[{" FROM_USER
	    ",'message':{'mid':'a','text':'t'}}]}]}");
	assert_int_equal(b.n, 0);
	channel_batch_fini(&b);
}

static void
proof_and_handshake(void **state)
{
	static const char name[] = "X-Hub-Signature-256";
	struct channel_account ac = account();
	const char *sig = meta_sign("{}", 2, "ig-secret");
	struct buf out;

	(void)state;
	assert_int_equal(
	    hook_verdict(&ac, "{}", 2, name, sig, NOW), CHANNEL_GOOD);
	assert_int_equal(
	    hook_verdict(&ac, "[]", 2, name, sig, NOW), CHANNEL_FORGED);
	assert_int_equal(
	    hook_verdict(&ac, "[]", 2, name, NULL, NOW), CHANNEL_FORGED);

	buf_init(&out, 512);
	assert_int_equal(
	    channel_instagram.handshake(&ac,
		"hub.mode=subscribe&hub.challenge=5&hub.verify_token=ig-verify",
		&out),
	    200);
	assert_string_equal(out.data, "5");
	buf_fini(&out);
	json_object_put(ac.config);
}

static void
sending_is_messengers(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = { .number = 7,
		.kind = "text",
		.text = "Dạ còn ạ",
		.user = USER,
		.conversation = USER,
		.last_inbound_at = NOW - HOUR,
		.now_ms = NOW,
		.tries = 1 };
	struct channel_result rs;
	struct http_request rq;
	struct http_answer an;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_instagram.send(&ac, &out, &rq), 0);
	assert_string_equal(rq.url.data,
	    "https://graph.instagram.com/v25.0/" OWN
	    "/messages?access_token=ig-token");
	assert_string_equal(rq.body.data,
	    "{\"recipient\":{\"id\":\"" USER "\"},\"messaging_type\":"
	    "\"RESPONSE\",\"message\":{\"text\":\"Dạ còn ạ\",\"metadata\":"
	    "\"parley:7\"}}");
	http_request_fini(&rq);

	/* By a Page's token it is the Page that sends. */
	json_put_str(ac.config, "ig_page_id", "1048");
	json_put_str(ac.config, "ig_api_base", "https://graph.facebook.com");
	json_put_str(ac.config, "ig_human_agent", "1");
	out.last_inbound_at = NOW - 25 * HOUR;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_instagram.send(&ac, &out, &rq), 0);
	assert_string_equal(rq.url.data,
	    "https://graph.facebook.com/v25.0/1048/messages"
	    "?access_token=ig-token");
	assert_non_null(strstr(rq.body.data, "\"tag\":\"HUMAN_AGENT\""));
	http_request_fini(&rq);

	answer_init(&an, 403,
	    "{\"error\":{\"message\":\"outside\",\"type\":"
	    "\"IGApiException\",\"code\":10,"
	    "\"error_subcode\":2534022}}");
	channel_instagram.answer(&ac, &out, &an, &rs);
	assert_int_equal(rs.cls, CHANNEL_PERMANENT);
	assert_string_equal(rs.reason, "window_closed");
	http_answer_fini(&an);

	/* 1000 bytes of any text. */
	assert_int_equal(channel_instagram.text_max(&ac), 333);
	assert_int_equal(
	    channel_instagram.window(&ac, NOW - 25 * HOUR, 0, NOW).state,
	    CHANNEL_WINDOW_OPEN);
	json_object_put(ac.config);
}

static void
profiles_are_read(void **state)
{
	static const char *const answers[][2] = {
		{ "{\"name\":\"Lan\",\"username\":\"lan.shop\"}", "Lan" },
		{ "{\"name\":\"\",\"username\":\"lan.shop\"}", "lan.shop" },
		{ "{}", "" },
	};
	struct channel_account ac = account();
	struct channel_profile pf;
	struct http_request rq;
	struct http_answer an;

	(void)state;
	http_request_init(&rq, "GET");
	assert_int_equal(channel_instagram.profile(&ac, USER, USER, &rq), 1);
	assert_string_equal(rq.url.data,
	    "https://graph.instagram.com/v25.0/" USER
	    "?fields=name,username,profile_pic&access_token=ig-token");
	http_request_fini(&rq);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		answer_init(&an, 200, answers[i][0]);
		assert_int_equal(
		    channel_instagram.profiled(&ac, &an, &pf), CHANNEL_SENT);
		assert_string_equal(pf.name, answers[i][1]);
		http_answer_fini(&an);
	}
	json_object_put(ac.config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sample_is_read),
		cmocka_unit_test(its_own_events),
		cmocka_unit_test(proof_and_handshake),
		cmocka_unit_test(sending_is_messengers),
		cmocka_unit_test(profiles_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
