/* LINE's adapter against the samples, and against what nobody should send. */
#include "channel_fixture.h"

#define NOW 1795000330000LL
#define USER "U11112222333344445555666677778888"
#define GROUP "C99998888777766665555444433332222"
#define BOT "Uc0ffee00c0ffee00c0ffee00c0ffee00"
#define UUID "123e4567-e89b-12d3-a456-426614174000"

static struct channel_account
account(void)
{
	return sample_account("line");
}

/* --- proof --- */

static enum channel_verdict
verdict(const struct channel_account *ac, const char *body, size_t len,
    const char *signature)
{
	return hook_verdict(ac, body, len, "x-line-signature", signature, NOW);
}

static void
samples_are_proven(void **state)
{
	struct channel_account ac = account();
	struct json_object *all = file_json("signatures.json");
	size_t n = 0;

	(void)state;
	json_object_object_foreach(member(all, "files"), name, headers)
	{
		const char *sig = text_of(headers, "x-line-signature");
		char other[100], *body;
		size_t len;

		if (strncmp(name, "line-", 5) != 0)
			continue;
		body = file_read(name, &len);
		assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_GOOD);
		snprintf(other, sizeof(other), " %s ", sig);
		assert_int_equal(verdict(&ac, body, len, other), CHANNEL_GOOD);
		assert_int_equal(verdict(&ac, body, len, NULL), CHANNEL_FORGED);
		assert_int_equal(verdict(&ac, body, len, ""), CHANNEL_FORGED);
		assert_int_equal(
		    verdict(&ac, body, len - 1, sig), CHANNEL_FORGED);
		/* Without its end, of two, with more, in hex. */
		snprintf(other, sizeof(other), "%.43s", sig);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "%s %s", sig, sig);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "%sAAAA", sig);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "sha256=%s", sig);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		free(body);
		n++;
	}
	assert_int_equal(n, 17);
	json_object_put(all);
	json_object_put(ac.config);
}

static void
any_change_is_refused(void **state)
{
	struct channel_account ac = account();
	struct json_object *all = file_json("signatures.json");
	size_t len;
	char *body = file_read("line-text.json", &len), sig[60];
	struct sample_header h = { "x-line-signature", sig };
	struct channel_hook hook = { .body = body,
		.len = len,
		.now_ms = NOW,
		.header = header_of,
		.arg = &h };

	(void)state;
	snprintf(sig, sizeof(sig), "%s",
	    text_of(member(member(all, "files"), "line-text.json"),
		"x-line-signature"));
	changes_are_refused(&ac, &hook);
	proof_changes_are_refused(&ac, &hook, sig, 0, 43);
	json_put_str(ac.config, "line_channel_secret", "another");
	assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_FORGED);
	/* No secret: nothing can be proven. */
	json_put_str(ac.config, "line_channel_secret", "");
	assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_FORGED);
	free(body);
	json_object_put(all);
	json_object_put(ac.config);
}

/* --- meaning --- */

static void
samples_mean_what_is_expected(void **state)
{
	struct channel_account ac = account();

	(void)state;
	samples_mean(&ac, "line-", 17, NOW);
	json_object_put(ac.config);
}

/* Parse events written in short: single quotes for double ones. */
static void
events(struct channel_batch *b, const char *text)
{
	struct channel_account ac = account();
	char body[8192];

	snprintf(body, sizeof(body), "{'destination':'" BOT "','events':[%s]}",
	    text);
	assert_int_equal(short_parse(&ac, body, NOW, b), 0);
	json_object_put(ac.config);
}

#define FROM "'source':{'type':'user','userId':'" USER "'}"
#define IN_GROUP "'source':{'type':'group','groupId':'" GROUP "'}"
#define AT "'timestamp':1795000300123,'mode':'active'"

static void
tokens_travel_along(void **state)
{
	struct channel_batch b;

	(void)state;
	events(&b, "{'type':'message','replyToken':'rt1'," FROM "," AT
		   ",'message':{'type':'text','id':'1','quoteToken':'q1',"
		   "'markAsReadToken':'m1','quotedMessageId':"
		   "530000000000000001,'text':'t'}}");
	assert_int_equal(b.n, 1);
	assert_string_equal(b.items[0].reply_token, "rt1");
	assert_string_equal(b.items[0].quote_token, "q1");
	assert_string_equal(b.items[0].seen_token, "m1");
	assert_string_equal(b.items[0].reply_to, "530000000000000001");
	assert_false(b.items[0].standby);
	channel_batch_fini(&b);

	/* Another server has the thread: it is shown, never answered. */
	events(&b, "{'type':'message','replyToken':'rt1'," FROM
		   ",'timestamp':1795000300123,'mode':'standby',"
		   "'message':{'type':'text','id':'1','text':'t',"
		   "'markAsReadToken':'m1'}}");
	assert_true(b.items[0].standby);
	assert_null(b.items[0].reply_token);
	assert_null(b.items[0].seen_token);
	channel_batch_fini(&b);
}

static void
groups_may_hide_who_wrote(void **state)
{
	struct channel_batch b;

	(void)state;
	events(&b, "{'type':'message'," IN_GROUP "," AT
		   ",'message':{'type':'text','id':'1','text':'t'}}");
	assert_int_equal(b.n, 1);
	assert_string_equal(b.items[0].conversation, GROUP);
	assert_null(b.items[0].user);
	channel_batch_fini(&b);
	/* With one person there is nobody else it could be. */
	events(&b, "{'type':'message','source':{'type':'user'}," AT
		   ",'message':{'type':'text','id':'1','text':'t'}}");
	assert_int_equal(b.n, 0);
	assert_int_equal(b.skipped, 1);
	channel_batch_fini(&b);
}

static void
bad_items_harm_no_neighbours(void **state)
{
	struct channel_batch b;

	(void)state;
	events(&b, "7,null,{},{'type':[]},{'type':'message'," FROM "," AT "},"
		   "{'type':'message'," FROM "," AT ",'message':{'id':'1'}},"
		   "{'type':'message'," FROM "," AT
		   ",'message':{'type':'text','text':'no id'}},"
		   "{'type':'message'," AT
		   ",'message':{'type':'text','id':'2','text':'nowhere'}},"
		   "{'type':'postback'," FROM "," AT "},"
		   "{'type':'unsend'," FROM "," AT "},"
		   "{'type':'follow'," IN_GROUP "," AT "},"
		   "{'type':'messageEdited'," IN_GROUP "," AT
		   ",'message':{'type':'image','id':'4'}},"
		   "{'type':'message'," FROM "," AT
		   ",'message':{'type':'text','id':'3','text':'good'}}");
	assert_int_equal(b.n, 1);
	assert_int_equal(b.skipped, 12);
	assert_string_equal(b.items[0].message_id, "3");
	channel_batch_fini(&b);
}

static void
foreign_bodies_are_skipped(void **state)
{
	static const char *const bodies[] = { "[]", "7", "null", "\"x\"", "{}",
		"{\"events\":[]}",
		"{\"destination\":\"Uother\",\"events\":[{\"type\":\"follow\"}]}",
		"{\"destination\":\"" BOT "\",\"events\":{}}",
		"{\"destination\":\"" BOT "\"}" };
	struct channel_account ac = account();
	struct channel_batch b;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(
		    hook_parse(&ac, bodies[i], strlen(bodies[i]), NOW, &b), 0);
		assert_int_equal(b.n, 0);
		assert_int_equal(b.skipped, 1);
		channel_batch_fini(&b);
	}
	assert_int_equal(hook_parse(&ac, "", 0, NOW, &b), 400);
	channel_batch_fini(&b);
	json_object_put(ac.config);
}

#define MESSAGE(id, more) \
	"{'type':'message'," FROM "," AT ",'message':{'id':" id "," more "}}"

static void
content_of_every_kind(void **state)
{
	struct channel_batch b;

	(void)state;
	/* Ids beyond 2^53, sizes beyond 2^31, null island. */
	events(&b,
	    MESSAGE("98765432109876543210",
		"'type':'file','fileName':'../a\\u0000b','fileSize':5000000000") "," MESSAGE("'2'",
		"'type':'location','latitude':0,"
		"'longitude':-0.5,'address':'a'") "," MESSAGE("'3'",
		"'type':'location','latitude':91,"
		"'longitude':0,'title':'t'") "," MESSAGE("'4'",
		"'type':'sticker','packageId':1,"
		"'stickerId':'2','text':'hi'") "," MESSAGE("'5'",
		"'type':'hologram','text':'x'") "," MESSAGE("'6'",
		"'type':'image','contentProvider':"
		"{'type':'external'}") "," MESSAGE("'7'",
		"'type':'video'") "," MESSAGE("'8'",
		"'type':'text','text':"
		"'a\\u0000\\ud800b\\ud83d\\ude00 $\\/'"));
	assert_int_equal(b.n, 8);
	assert_string_equal(b.items[0].message_id, "98765432109876543210");
	assert_string_equal(b.items[0].media_ref, "line:98765432109876543210");
	assert_string_equal(b.items[0].name, "../a\xef\xbf\xbd"
					     "b");
	assert_int_equal(b.items[0].size, 5000000000LL);
	assert_true(b.items[1].located);
	assert_true(b.items[1].lat == 0 && b.items[1].lon == -0.5);
	assert_string_equal(b.items[1].text, "a");
	assert_string_equal(b.items[2].kind, "unsupported");
	assert_string_equal(b.items[2].text, "t");
	assert_string_equal(b.items[3].media_ref, "line-sticker:1/2");
	assert_string_equal(b.items[3].text, "hi");
	assert_string_equal(b.items[4].kind, "unsupported");
	assert_string_equal(b.items[4].text, "x");
	assert_string_equal(b.items[5].kind, "unsupported");
	assert_string_equal(b.items[6].media_ref, "line:7");
	assert_string_equal(b.items[7].text, "a\xef\xbf\xbd\xef\xbf\xbd"
					     "b\xf0\x9f\x98\x80 $/");
	channel_batch_fini(&b);
}

static void
edits_and_what_is_only_noted(void **state)
{
	static const char *const names[] = { "join", "leave", "memberJoined",
		"memberLeft", "videoPlayComplete", "beacon", "accountLink",
		"membership", "module", "activated", "deactivated",
		"botSuspended", "botResumed", "delivery", "things", "new" };
	struct channel_batch b;
	char one[200];

	(void)state;
	events(&b, "{'type':'messageEdited'," IN_GROUP ",'timestamp':"
		   "1795000300555,'mode':'active','webhookEventId':'e',"
		   "'message':{'type':'text','id':'530','text':''}}");
	assert_int_equal(b.n, 1);
	assert_int_equal(b.items[0].op, CHANNEL_EDIT);
	assert_string_equal(b.items[0].message_id, "530");
	assert_string_equal(b.items[0].text, "");
	assert_int_equal(b.items[0].version, 1795000300555);
	channel_batch_fini(&b);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(one, sizeof(one), "{'type':'%s'}", names[i]);
		events(&b, one);
		assert_int_equal(b.n, 1);
		assert_int_equal(b.items[0].op, CHANNEL_NOTE);
		assert_string_equal(b.items[0].what, names[i]);
		assert_int_equal(b.items[0].sent_at, NOW);
		channel_batch_fini(&b);
	}

	/* A postback without an id of its own, and one without data. */
	events(&b, "{'type':'postback'," FROM "," AT
		   ",'postback':{'data':'d'}},{'type':'postback',"
		   "'webhookEventId':'w'," FROM "," AT ",'postback':{}}");
	assert_string_equal(b.items[0].message_id, "pb:" USER ":1795000300123");
	assert_string_equal(b.items[0].payload, "d");
	assert_string_equal(b.items[1].message_id, "w");
	assert_null(b.items[1].text);
	channel_batch_fini(&b);
}

/* --- sending --- */

static struct channel_out
out_new(void)
{
	return (struct channel_out){ .number = 7,
		.uuid = UUID,
		.kind = "text",
		.text = "มีค่ะ",
		.user = USER,
		.conversation = USER,
		.last_inbound_at = NOW - 29999,
		.now_ms = NOW,
		.tries = 1 };
}

/* The request's JSON, new; ${rc}: what send said. */
static struct json_object *
sent_json(const struct channel_account *ac, const struct channel_out *out,
    int rc, char *head, size_t size)
{
	struct json_object *got = NULL;
	struct http_request rq;

	http_request_init(&rq, "POST");
	assert_int_equal(channel_line.send(ac, out, &rq), rc);
	if (rc != -1) {
		assert_int_equal(
		    channel_json(rq.body.data, rq.body.len, &got), 0);
		snprintf(head, size, "%s %s\n%s", rq.method, rq.url.data,
		    rq.headers.data);
	}
	http_request_fini(&rq);
	return got;
}

/* A sample's request is the adapter's, and its answers have their classes. */
static void
exchange(const char *file, const struct channel_out *out, bool reply)
{
	struct channel_account ac = account();
	struct json_object *sample = file_json(file), *got, *preview;
	struct json_object *rq = member(sample, "request");
	char head[2000], line[300];

	json_put_str(ac.config, "line_use_reply", reply ? "1" : "0");
	got = sent_json(&ac, out, reply ? 2 : 0, head, sizeof(head));
	snprintf(line, sizeof(line), "%s https://api.line.me%s\n",
	    text_of(rq, "method"), text_of(rq, "path"));
	assert_memory_equal(head, line, strlen(line));
	json_object_object_foreach(member(rq, "headers"), name, value)
	{
		snprintf(line, sizeof(line), "%s: %s\n", name,
		    json_object_get_string(value));
		assert_non_null(strstr(head, line));
	}
	assert_int_equal(strstr(head, "X-Line-Retry-Key") == NULL, reply);
	/* We have no smaller picture: the preview is the picture itself. */
	preview = json_object_array_get_idx(
	    member(member(rq, "body"), "messages"), 0);
	if (out->media_url != NULL)
		json_put_str(preview, "previewImageUrl", out->media_url);
	assert_true(json_object_equal(got, member(rq, "body")));
	json_object_put(got);

	/* What is no answer is asked again, with the key if there is one. */
	answers_are(&ac, out, sample, reply ? CHANNEL_UNKNOWN : CHANNEL_RETRY);
	json_object_put(sample);
	json_object_put(ac.config);
}

static void
exchanges_are_as_sampled(void **state)
{
	struct channel_out out = out_new();

	(void)state;
	out.text = "มีสีดำค่ะ 🖤";
	exchange("line-out-push-text.json", &out, false);
	out.text = NULL;
	out.kind = "image";
	out.mime = "image/jpeg";
	out.conversation = GROUP;
	out.media_url = "https://chat.example/media/9.jpg";
	exchange("line-out-push-image.json", &out, false);
	out = out_new();
	out.reply_token = "rt000000000000000000000000000001";
	exchange("line-out-reply-text.json", &out, true);
}

static void
replies_are_for_fresh_tokens_only(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = out_new();
	struct channel_result rs;
	struct http_answer an;
	char head[2000];

	(void)state;
	out.reply_token = "rt1";
#define SENDS(rc) json_object_put(sent_json(&ac, &out, rc, head, sizeof(head)))
	/* Not unless it is wanted. */
	SENDS(0);
	json_put_str(ac.config, "line_use_reply", "1");
	SENDS(2);
	/* 30 seconds, and never after a push that may have arrived. */
	out.last_inbound_at = NOW - 30000;
	SENDS(0);
	out.last_inbound_at = NOW - 29999;
	out.tries = 2;
	SENDS(0);
	out.tries = 1;
	out.step = 1;
	SENDS(0);
	assert_non_null(strstr(head, "X-Line-Retry-Key: " UUID "\n"));
	out.step = 0;
	out.reply_token = "";
	SENDS(0);
#undef SENDS

	/* What becomes of one whose answer is lost. */
	http_answer_init(&an);
	an.end = HTTP_LOST;
	channel_line.answer(&ac, &out, &an, &rs);
	assert_int_equal(rs.cls, CHANNEL_RETRY);
	out.reply_token = "rt1";
	channel_line.answer(&ac, &out, &an, &rs);
	assert_int_equal(rs.cls, CHANNEL_UNKNOWN);
	an.end = HTTP_UNSENT;
	channel_line.answer(&ac, &out, &an, &rs);
	assert_int_equal(rs.cls, CHANNEL_RETRY);
	http_answer_fini(&an);
	assert_int_equal(
	    answer_to(&ac, &out, 500, "{}", 2).cls, CHANNEL_UNKNOWN);
	assert_int_equal(
	    answer_to(&ac, &out, 409, "{}", 2).cls, CHANNEL_PERMANENT);
	assert_int_equal(answer_to(&ac, &out, 429, "{}", 2).cls, CHANNEL_RETRY);
	assert_int_equal(
	    answer_to(&ac, &out, 400, "{\"message\":\"x\"}", 15).cls,
	    CHANNEL_PERMANENT);
	json_object_put(ac.config);
}

static void
answers_have_classes(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = out_new();
	struct channel_result rs;
	struct http_answer an;

	(void)state;
#define SAYS(status, text) answer_to(&ac, &out, status, text, strlen(text))
	rs = SAYS(200, "{\"sentMessages\":[{\"id\":461230966842064897}]}");
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "461230966842064897");
	/* What LINE once said, and what it never should. */
	assert_int_equal(SAYS(200, "{}").cls, CHANNEL_SENT);
	assert_int_equal(SAYS(200, "{\"sentMessages\":[]}").cls, CHANNEL_SENT);
	assert_int_equal(
	    SAYS(200, "{\"message\":\"error\"}").cls, CHANNEL_RETRY);
	assert_int_equal(SAYS(200, "[]").cls, CHANNEL_RETRY);
	assert_int_equal(SAYS(200, "<html>").cls, CHANNEL_RETRY);
	assert_int_equal(SAYS(204, "").cls, CHANNEL_RETRY);
	assert_int_equal(SAYS(302, "").cls, CHANNEL_RETRY);
	/* The key was taken: it is there, whatever the body says. */
	rs = SAYS(409, "oops");
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "");
	assert_string_equal(rs.message, "");
	rs = SAYS(400,
	    "{\"message\":\"Bad\\n1\",\"details\":[{\"message\":\"too long\","
	    "\"property\":\"messages[0].text\"}]}");
	assert_int_equal(rs.cls, CHANNEL_PERMANENT);
	assert_string_equal(rs.reason, "refused");
	assert_string_equal(rs.message, "Bad 1: too long");
	assert_string_equal(rs.code, "http 400");
	assert_int_equal(SAYS(404, "{}").cls, CHANNEL_PERMANENT);
	assert_int_equal(SAYS(413, "").cls, CHANNEL_PERMANENT);
	assert_int_equal(SAYS(503, "<html>").cls, CHANNEL_RETRY);
	rs = SAYS(429, "oops");
	assert_true(rs.cls == CHANNEL_RETRY && rs.hold && rs.wait_s == 10);
	rs = SAYS(429, "{\"message\":\"your MONTHLY Limit is reached\"}");
	assert_string_equal(rs.reason, "quota");
	rs = SAYS(401, "{}");
	assert_true(rs.cls == CHANNEL_REAUTH && rs.refreshable);
	json_put_str(ac.config, "line_channel_id", "");
	assert_false(SAYS(401, "{}").refreshable);
	json_put_str(ac.config, "line_quota_text", "");
	assert_int_equal(
	    SAYS(429, "{\"message\":\"monthly limit\"}").cls, CHANNEL_RETRY);
	json_put_str(ac.config, "line_quota_text", "used up");
	assert_int_equal(
	    SAYS(429, "{\"message\":\"used up\"}").cls, CHANNEL_PERMANENT);

	/* Refused with a quote: once without. */
	out.quote = "530";
	assert_int_equal(SAYS(400, "{}").cls, CHANNEL_PERMANENT);
	out.quote_token = "q1";
	assert_int_equal(SAYS(400, "{}").cls, CHANNEL_RETRY_BARE);
	assert_int_equal(SAYS(403, "{}").cls, CHANNEL_PERMANENT);
#undef SAYS

	http_answer_init(&an);
	an.end = HTTP_ANSWERED;
	an.status = 429;
	an.retry_after_s = 90;
	channel_line.answer(&ac, &out, &an, &rs);
	assert_int_equal(rs.wait_s, 90);
	an.status = 503;
	channel_line.answer(&ac, &out, &an, &rs);
	assert_int_equal(rs.wait_s, 90);
	http_answer_fini(&an);
	json_object_put(ac.config);
}

static void
messages_have_their_forms(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = out_new();
	struct json_object *got, *m;
	char head[2000], payload[400];

	(void)state;
#define FIRST(got) json_object_array_get_idx(member(got, "messages"), 0)
	/* A quote, by its token. */
	out.quote = "530";
	out.quote_token = "q1";
	got = sent_json(&ac, &out, 0, head, sizeof(head));
	assert_string_equal(text_of(FIRST(got), "quoteToken"), "q1");
	json_object_put(got);
	out.quote = NULL; /* as after a refusal */
	got = sent_json(&ac, &out, 0, head, sizeof(head));
	assert_null(member(FIRST(got), "quoteToken"));
	json_object_put(got);

	/* Answers to tap: 13 at most, long payloads as plain texts. */
	memset(payload, 'p', sizeof(payload) - 1);
	payload[sizeof(payload) - 1] = '\0';
	out.quick = json_object_new_array();
	for (int i = 0; i < 15; i++) {
		m = json_object_new_object();
		json_put_str(m, "title", i == 0 ? "Đỏ" : "Xanh");
		json_put_str(m, "payload", i == 0 ? "red" : payload);
		json_object_array_add(out.quick, m);
	}
	got = sent_json(&ac, &out, 0, head, sizeof(head));
	m = member(member(FIRST(got), "quickReply"), "items");
	assert_int_equal(json_object_array_length(m), 13);
	assert_string_equal(
	    json_object_to_json_string_ext(json_object_array_get_idx(m, 0),
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
	    "{\"type\":\"action\",\"action\":{\"label\":\"Đỏ\",\"type\":"
	    "\"postback\",\"data\":\"red\",\"displayText\":\"Đỏ\"}}");
	assert_string_equal(
	    json_object_to_json_string_ext(
		json_object_array_get_idx(m, 1), JSON_C_TO_STRING_PLAIN),
	    "{\"type\":\"action\",\"action\":{\"label\":\"Xanh\",\"type\":"
	    "\"message\",\"text\":\"Xanh\"}}");
	json_object_put(got);
	json_object_put(out.quick);
	out.quick = json_object_new_array();
	got = sent_json(&ac, &out, 0, head, sizeof(head));
	assert_null(member(FIRST(got), "quickReply"));
	json_object_put(got);
	json_object_put(out.quick);

	/* There are no files: a link. Nor pictures of other kinds. */
	out = out_new();
	out.kind = "file";
	out.mime = "application/pdf";
	out.media_url = "https://shop.example/f.pdf";
	got = sent_json(&ac, &out, 0, head, sizeof(head));
	assert_string_equal(
	    text_of(FIRST(got), "text"), "มีค่ะ\nhttps://shop.example/f.pdf");
	json_object_put(got);
	out.kind = "image";
	out.mime = "image/webp";
	out.text = NULL;
	got = sent_json(&ac, &out, 0, head, sizeof(head));
	assert_string_equal(text_of(FIRST(got), "type"), "text");
	assert_string_equal(text_of(FIRST(got), "text"), out.media_url);
	json_object_put(got);
	out.mime = "image/png";
	out.media_size = 10000001;
	got = sent_json(&ac, &out, 0, head, sizeof(head));
	assert_string_equal(text_of(FIRST(got), "type"), "text");
	json_object_put(got);
	/* With a caption: two messages of one push. */
	out.media_size = 10000000;
	out.text = "look";
	got = sent_json(&ac, &out, 0, head, sizeof(head));
	assert_int_equal(json_object_array_length(member(got, "messages")), 2);
	assert_string_equal(text_of(FIRST(got), "text"), "look");
	json_object_put(got);
#undef FIRST

	/* Nothing to say, nobody to say it to, a token that is none. */
	out = out_new();
	out.text = NULL;
	assert_null(sent_json(&ac, &out, -1, head, sizeof(head)));
	out = out_new();
	out.conversation = NULL;
	assert_null(sent_json(&ac, &out, -1, head, sizeof(head)));
	out = out_new();
	json_put_str(ac.config, "line_channel_token", "a\nb");
	assert_null(sent_json(&ac, &out, -1, head, sizeof(head)));
	json_object_put(ac.config);
}

static void
there_is_no_window(void **state)
{
	struct channel_account ac = account();
	struct channel_reply r;
	struct buf out;

	(void)state;
	r = channel_line.window(&ac, 1, 1000, NOW);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, 0);
	assert_int_equal(r.free_left, -1);
	assert_null(channel_reply_json("line", ac.config, 1, 1000, NOW));
	assert_int_equal(channel_line.text_max(&ac), 5000);
	buf_init(&out, 100);
	assert_int_equal(channel_line.handshake(&ac, "a=b", &out), 405);
	buf_fini(&out);
	json_object_put(ac.config);
}

/* --- tokens, marks, files, profiles --- */

static void
tokens_are_made(void **state)
{
	struct channel_account ac = account();
	struct json_object *sample = file_json("line-out-token-stateless.json");
	struct json_object *form = member(member(sample, "request"), "form");
	struct json_object *set;
	struct http_request rq;
	struct http_answer an;
	struct buf want;

	(void)state;
	buf_init(&want, 1000);
	json_object_object_foreach(form, name, value)
	{
		channel_form(&want, name, json_object_get_string(value));
	}
	http_request_init(&rq, "POST");
	assert_int_equal(channel_line.refresh(&ac, &rq), 1);
	assert_string_equal(rq.url.data, "https://api.line.me/oauth2/v3/token");
	assert_string_equal(rq.headers.data,
	    "Content-Type: application/x-www-form-urlencoded\n");
	assert_string_equal(rq.body.data, want.data);
	http_request_fini(&rq);
	buf_fini(&want);

	answer_init(&an, 200, sample_answer(sample));
	set = channel_line.refreshed(&ac, &an, NOW);
	assert_string_equal(
	    text_of(set, "line_channel_token"), "eyJhbGciOiJIUz.sample");
	assert_string_equal(
	    text_of(set, "line_token_expires_at"), "1795001229000");
	json_object_put(set);
	an.status = 400;
	assert_null(channel_line.refreshed(&ac, &an, NOW));
	http_answer_fini(&an);
	answer_init(&an, 200, "{\"expires_in\":899}");
	assert_null(channel_line.refreshed(&ac, &an, NOW));
	http_answer_fini(&an);

	/* A token of the console has no way to a new one. */
	json_put_str(ac.config, "line_channel_id", "");
	http_request_init(&rq, "POST");
	assert_int_equal(channel_line.refresh(&ac, &rq), 0);
	http_request_fini(&rq);
	json_object_put(sample);
	json_object_put(ac.config);
}

static void
marks_show(void **state)
{
	struct channel_account ac = account();
	struct channel_act act = {
		.what = CHANNEL_TYPING, .conversation = USER, .user = USER
	};
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_line.act(&ac, &act, &rq), 1);
	assert_string_equal(
	    rq.url.data, "https://api.line.me/v2/bot/chat/loading/start");
	assert_string_equal(
	    rq.body.data, "{\"chatId\":\"" USER "\",\"loadingSeconds\":5}");
	http_request_fini(&rq);
	http_request_init(&rq, "POST");
	act.conversation = GROUP;
	assert_int_equal(channel_line.act(&ac, &act, &rq), 0);
	act.what = CHANNEL_TYPING_END;
	act.conversation = USER;
	assert_int_equal(channel_line.act(&ac, &act, &rq), 0);
	act.what = CHANNEL_SEEN;
	act.message_id = "530";
	assert_int_equal(channel_line.act(&ac, &act, &rq), 0);
	act.seen_token = "mr1";
	assert_int_equal(channel_line.act(&ac, &act, &rq), 1);
	assert_string_equal(
	    rq.url.data, "https://api.line.me/v2/bot/chat/markAsRead");
	assert_string_equal(rq.body.data, "{\"markAsReadToken\":\"mr1\"}");
	assert_non_null(strstr(rq.headers.data,
	    "Authorization: Bearer line-sample-channel-token"));
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
files_are_asked_for(void **state)
{
	struct channel_account ac = account();
	struct channel_media md = { .kind = "image", .ref = "line:53/0" };
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_line.media(&ac, &md, &rq), 2);
	assert_string_equal(rq.method, "GET");
	assert_string_equal(rq.url.data,
	    "https://api-data.line.me/v2/bot/message/53%2F0/content");
	assert_non_null(strstr(rq.headers.data,
	    "Authorization: Bearer line-sample-channel-token"));
	http_request_fini(&rq);
	assert_int_equal(media_says(&ac, &md, 202, ""), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 0, ""), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 429, ""), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 500, ""), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 401, ""), CHANNEL_REAUTH);
	assert_int_equal(media_says(&ac, &md, 404, ""), CHANNEL_PERMANENT);
	assert_int_equal(media_says(&ac, &md, 410, ""), CHANNEL_PERMANENT);

	/* Films are made ready first. */
	md.kind = "video";
	md.ref = "line:530";
	http_request_init(&rq, "POST");
	assert_int_equal(channel_line.media(&ac, &md, &rq), 1);
	assert_string_equal(rq.url.data,
	    "https://api-data.line.me/v2/bot/message/530/content/transcoding");
	http_request_fini(&rq);
	assert_int_equal(
	    media_says(&ac, &md, 200, "{\"status\":\"processing\"}"),
	    CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 200, "{\"status\":\"failed\"}"),
	    CHANNEL_PERMANENT);
	assert_int_equal(
	    media_says(&ac, &md, 200, "{\"status\":\"succeeded\"}"),
	    CHANNEL_MORE);
	assert_int_equal(media_says(&ac, &md, 200, "{\"sta"), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 404, "{}"), CHANNEL_PERMANENT);
	md.step = 1;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_line.media(&ac, &md, &rq), 2);
	assert_string_equal(
	    rq.url.data, "https://api-data.line.me/v2/bot/message/530/content");
	http_request_fini(&rq);

	http_request_init(&rq, "POST");
	md.ref = "line-sticker:1/2";
	assert_int_equal(channel_line.media(&ac, &md, &rq), 0);
	md.ref = "line:";
	assert_int_equal(channel_line.media(&ac, &md, &rq), 0);
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
profiles_are_read(void **state)
{
	struct channel_account ac = account();
	struct json_object *sample = file_json("line-out-profile.json");
	struct channel_profile pf;
	struct http_request rq;
	struct http_answer an;

	(void)state;
	http_request_init(&rq, "GET");
	assert_int_equal(channel_line.profile(&ac, USER, USER, &rq), 1);
	request_is(&rq, member(sample, "request"), "https://api.line.me");
	http_request_fini(&rq);
	http_request_init(&rq, "GET");
	assert_int_equal(channel_line.profile(&ac, USER, GROUP, &rq), 1);
	assert_string_equal(rq.url.data,
	    "https://api.line.me/v2/bot/group/" GROUP "/member/" USER);
	http_request_fini(&rq);
	http_request_init(&rq, "GET");
	assert_int_equal(channel_line.profile(&ac, USER, "R1", &rq), 1);
	assert_string_equal(
	    rq.url.data, "https://api.line.me/v2/bot/room/R1/member/" USER);
	http_request_fini(&rq);

	answer_init(&an, 200, sample_answer(sample));
	assert_int_equal(channel_line.profiled(&ac, &an, &pf), CHANNEL_SENT);
	assert_string_equal(pf.name, "มะลิ 🌼");
	assert_string_equal(pf.avatar_url, "https://obs.example/p");
	an.status = 404;
	assert_int_equal(
	    channel_line.profiled(&ac, &an, &pf), CHANNEL_PERMANENT);
	an.status = 401;
	assert_int_equal(channel_line.profiled(&ac, &an, &pf), CHANNEL_REAUTH);
	an.status = 500;
	assert_int_equal(channel_line.profiled(&ac, &an, &pf), CHANNEL_RETRY);
	http_answer_fini(&an);
	json_object_put(sample);
	json_object_put(ac.config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_are_proven),
		cmocka_unit_test(any_change_is_refused),
		cmocka_unit_test(samples_mean_what_is_expected),
		cmocka_unit_test(tokens_travel_along),
		cmocka_unit_test(groups_may_hide_who_wrote),
		cmocka_unit_test(bad_items_harm_no_neighbours),
		cmocka_unit_test(foreign_bodies_are_skipped),
		cmocka_unit_test(content_of_every_kind),
		cmocka_unit_test(edits_and_what_is_only_noted),
		cmocka_unit_test(exchanges_are_as_sampled),
		cmocka_unit_test(replies_are_for_fresh_tokens_only),
		cmocka_unit_test(answers_have_classes),
		cmocka_unit_test(messages_have_their_forms),
		cmocka_unit_test(there_is_no_window),
		cmocka_unit_test(tokens_are_made),
		cmocka_unit_test(marks_show),
		cmocka_unit_test(files_are_asked_for),
		cmocka_unit_test(profiles_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
