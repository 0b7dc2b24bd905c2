/* TikTok's adapter against the samples, and against what nobody should send. */
#include "channel_fixture.h"

#define CLOCK_S 1795000300LL
#define NOW (1000 * CLOCK_S)
#define BUSINESS "-000sAmPlEbUsInEsSoPeNiD_0001"
#define USER "+UsErUnIqUe/IdEnTiFiEr0001=="
#define THREAD "a1AbcBdeCfghDijkEF2b3+lmGn=="

static struct channel_account
account(void)
{
	return sample_account("tiktok");
}

/* --- proof --- */

static enum channel_verdict
verdict(const struct channel_account *ac, const char *body, size_t len,
    const char *signature)
{
	return hook_verdict(ac, body, len, "Tiktok-Signature", signature, NOW);
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
		const char *sig = text_of(headers, "Tiktok-Signature"), *hex;
		char other[200], *body;
		size_t len;

		if (strncmp(name, "tiktok-", 7) != 0)
			continue;
		body = file_read(name, &len);
		hex = strstr(sig, "s=") + 2;
		assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_GOOD);
		/* In any order, with spaces, with more, in any case. */
		snprintf(other, sizeof(other), " s=%s , t=1795000300 ", hex);
		assert_int_equal(verdict(&ac, body, len, other), CHANNEL_GOOD);
		snprintf(other, sizeof(other), "v=2,t=1795000300,,x,s=%s", hex);
		assert_int_equal(verdict(&ac, body, len, other), CHANNEL_GOOD);
		for (char *p = strstr(other, "s="); *p != '\0'; p++)
			if (*p >= 'a' && *p <= 'f')
				*p = (char)(*p - 32);
		assert_int_equal(verdict(&ac, body, len, other), CHANNEL_GOOD);

		assert_int_equal(verdict(&ac, body, len, NULL), CHANNEL_FORGED);
		assert_int_equal(verdict(&ac, body, len, ""), CHANNEL_FORGED);
		assert_int_equal(verdict(&ac, body, len, hex), CHANNEL_FORGED);
		assert_int_equal(
		    verdict(&ac, body, len, "t=1795000300"), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "s=%s", hex);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "t=1795000301,s=%s", hex);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "t=+1795000300,s=%s", hex);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "t=1795000300,s=%.62s", hex);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(
		    other, sizeof(other), "t=1795000300,s=%s,s=%s", hex, hex);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "t=1,t=1795000300,s=%s", hex);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		free(body);
		n++;
	}
	assert_int_equal(n, 12);
	json_object_put(all);
	json_object_put(ac.config);
}

static void
any_change_is_refused(void **state)
{
	struct channel_account ac = account();
	struct json_object *all = file_json("signatures.json");
	size_t len;
	char *body = file_read("tiktok-text.json", &len), sig[120];
	struct sample_header h = { "Tiktok-Signature", sig };
	struct channel_hook hook = { .body = body,
		.len = len,
		.now_ms = NOW,
		.header = header_of,
		.arg = &h };

	(void)state;
	snprintf(sig, sizeof(sig), "%s",
	    text_of(member(member(all, "files"), "tiktok-text.json"),
		"Tiktok-Signature"));
	changes_are_refused(&ac, &hook);
	for (size_t i = 2; i < strlen(sig); i++) {
		char was = sig[i];

		if (was == ',' || was == '=' || sig[i + 1] == '=')
			continue;
		sig[i] = was == '0' ? '1' : '0';
		assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_FORGED);
		sig[i] = was;
	}

	/* Five minutes either way, unless the settings say otherwise. */
#define AT(s)         \
	hook_verdict( \
	    &ac, body, len, "Tiktok-Signature", sig, 1000 * (CLOCK_S + (s)))
	assert_int_equal(AT(300), CHANNEL_GOOD);
	assert_int_equal(AT(-300), CHANNEL_GOOD);
	assert_int_equal(AT(301), CHANNEL_FORGED);
	assert_int_equal(AT(-301), CHANNEL_FORGED);
	json_put_str(ac.config, "tiktok_sig_tolerance_s", "5");
	assert_int_equal(AT(5), CHANNEL_GOOD);
	assert_int_equal(AT(6), CHANNEL_FORGED);
	json_put_str(ac.config, "tiktok_sig_tolerance_s", "0");
	assert_int_equal(AT(3000000), CHANNEL_GOOD);
#undef AT
	json_put_str(ac.config, "tiktok_sig_header", "X-Other");
	assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_FORGED);
	json_put_str(ac.config, "tiktok_sig_header", "Tiktok-Signature");
	json_put_str(ac.config, "tiktok_app_secret", "another");
	assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_FORGED);
	json_put_str(ac.config, "tiktok_app_secret", "");
	assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_FORGED);
	free(body);
	json_object_put(all);
	json_object_put(ac.config);
}

static void
challenges_are_said_back(void **state)
{
	static const char *const asked[][2] = { { NULL, "" }, { "", "" },
		{ "challenge=aB-_9", "aB-_9" }, { "a=b&challenge=x&c=d", "x" },
		{ "challenge=<script>", "" }, { "challenge=a%41", "" },
		{ "challenge=", "" }, { "xchallenge=1", "" } };
	struct channel_account ac = account();
	char query[200] = "challenge=";
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		buf_init(&out, 512);
		assert_int_equal(
		    channel_tiktok.handshake(&ac, asked[i][0], &out), 200);
		assert_string_equal(out.data, asked[i][1]);
		buf_fini(&out);
	}
	memset(query + 10, 'a', 128);
	buf_init(&out, 512);
	assert_int_equal(channel_tiktok.handshake(&ac, query, &out), 200);
	assert_int_equal(out.len, 128);
	buf_fini(&out);
	query[138] = 'a';
	buf_init(&out, 512);
	assert_int_equal(channel_tiktok.handshake(&ac, query, &out), 200);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
	json_object_put(ac.config);
}

/* --- meaning --- */

static void
samples_mean_what_is_expected(void **state)
{
	struct channel_account ac = account();

	(void)state;
	samples_mean(&ac, "tiktok-", 12, NOW);
	json_object_put(ac.config);
}

/*
 * Parse an event of that name whose content is written in short: single quotes
 * for double ones.  The content travels as text within the JSON.
 */
static void
event(struct channel_batch *b, const char *name, const char *content)
{
	struct channel_account ac = account();
	struct json_object *o = json_object_new_object();
	const char *body;
	char text[4096];

	snprintf(text, sizeof(text), "%s", content);
	quotes(text);
	json_put_str(o, "event", name);
	json_put_str(o, "user_openid", BUSINESS);
	json_put_int(o, "create_time", 1795000200);
	json_put_str(o, "content", text);
	body = json_object_to_json_string(o);
	assert_int_equal(hook_parse(&ac, body, strlen(body), NOW, b), 0);
	assert_false(b->err);
	json_object_put(o);
	json_object_put(ac.config);
}

#define WHO                                                 \
	"'conversation_id':'" THREAD "','message_id':'m1'," \
	"'from_user':{'id':'" USER "'},'to_user':{'id':'" BUSINESS "'}"

static void
content_of_every_kind(void **state)
{
	static const char *const forms[][4] = {
		/* content, kind, text, media */
		{ "'type':'TEXT','text':{'body':'t'}", "text", "t", NULL },
		{ "'type':'text','text':{'body':''}", "unsupported", NULL,
		    NULL },
		{ "'type':'text'", "unsupported", NULL, NULL },
		{ "'type':'IMAGE','image':{'media_id':98765432109876543210}",
		    "image", NULL, "tiktok:98765432109876543210" },
		{ "'type':'image','image':{}", "unsupported", NULL, NULL },
		{ "'type':'emoji','emoji':{'url':'https://e.example/1'}",
		    "sticker", NULL, "https://e.example/1" },
		{ "'type':'sticker','sticker':{}", "unsupported", NULL, NULL },
		{ "'type':'share_post','share_post':{'video_id':76}", "text",
		    "76", NULL },
		{ "'type':'template','template':{'title':'Q?','buttons':["
		  "{'title':'A'},7,{'id':'x'},{'title':'B'}]}",
		    "text", "Q?\n- A\n- B", NULL },
		{ "'type':'template','template':{'buttons':[{'title':'A'}]}",
		    "text", "- A", NULL },
		{ "'type':'template'", "unsupported", NULL, NULL },
		{ "'type':'a_type_that_is_longer_than_any_of_them_is'",
		    "unsupported", NULL, NULL },
		{ "'type':'text','text':{'body':'a\\u0000\\ud800b"
		  "\\ud83d\\ude00\\/'}",
		    "text",
		    "a\xef\xbf\xbd\xef\xbf\xbd"
		    "b\xf0\x9f\x98\x80/",
		    NULL },
	};
	struct channel_batch b;
	char text[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct channel_item *it;

		snprintf(text, sizeof(text), "{" WHO ",%s}", forms[i][0]);
		event(&b, "im_receive_msg", text);
		assert_int_equal(b.n, 1);
		it = &b.items[0];
		assert_string_equal(it->kind, forms[i][1]);
		if (forms[i][2] != NULL)
			assert_string_equal(it->text, forms[i][2]);
		else
			assert_null(it->text);
		if (forms[i][3] != NULL)
			assert_string_equal(it->media_ref != NULL
						? it->media_ref
						: it->media_url,
			    forms[i][3]);
		else
			assert_true(
			    it->media_ref == NULL && it->media_url == NULL);
		channel_batch_fini(&b);
	}
}

static void
who_speaks_to_whom(void **state)
{
	static const struct {
		const char *source;
		bool person;
	} echoes[] = { { "API", false }, { "APP", true }, { "web", true },
		{ "OTHERS", false } };
	struct channel_batch b;
	char text[1000];

	(void)state;
	event(&b, "im_receive_msg",
	    "{" WHO ",'from':'khach','type':'text','text':{'body':'t'},"
	    "'referenced_message_info':{'referenced_message_id':'m0'}}");
	assert_string_equal(b.items[0].user, USER);
	assert_string_equal(b.items[0].user_name, "khach");
	assert_string_equal(b.items[0].reply_to, "m0");
	/* Without a time of its own, that of the POST. */
	assert_int_equal(b.items[0].sent_at, 1795000200000);
	channel_batch_fini(&b);

	for (size_t i = 0; i < sizeof(echoes) / sizeof(echoes[0]); i++) {
		snprintf(text, sizeof(text),
		    "{'conversation_id':'c','message_id':'m','to':'khach',"
		    "'unique_identifier':'x','from_user':{'id':'" BUSINESS
		    "'},'to_user':{'id':'u'},'type':'text','text':{'body':"
		    "'t'},'message_tag':{'source':'%s'}}",
		    echoes[i].source);
		event(&b, "im_send_msg", text);
		assert_true(b.items[0].out);
		assert_string_equal(b.items[0].user, "u");
		assert_string_equal(b.items[0].user_name, "khach");
		assert_int_equal(b.items[0].by_person, echoes[i].person);
		channel_batch_fini(&b);
	}
	/* Nobody says whose unique_identifier it is. */
	event(&b, "im_send_msg",
	    "{'conversation_id':'c','message_id':'m','unique_identifier':'x',"
	    "'type':'text','text':{'body':'t'}}");
	assert_int_equal(b.n, 1);
	assert_null(b.items[0].user);
	channel_batch_fini(&b);

	/* What we have read is no news; what they have, up to when. */
	event(&b, "im_mark_read_msg",
	    "{'conversation_id':'c','from_user':{'id':'" BUSINESS
	    "'},'read':{'last_read_timestamp':1795000208100}}");
	assert_int_equal(b.n, 1);
	assert_int_equal(b.items[0].op, CHANNEL_NOTE);
	channel_batch_fini(&b);
	event(&b, "im_mark_read_msg",
	    "{'conversation_id':'c','from_user':{'id':'" USER
	    "'},'read':{'last_read_timestamp':'1795000208'}}");
	assert_int_equal(b.items[0].op, CHANNEL_STATUS);
	assert_int_equal(b.items[0].watermark, 1795000208000);
	channel_batch_fini(&b);
}

static void
what_is_left_alone(void **state)
{
	static const char *const bad[][2] = {
		{ "im_receive_msg", "{'type':'text'}" },
		{ "im_receive_msg",
		    "{'message_id':'m','type':'text','from_user':{'id':'u'}}" },
		{ "im_receive_msg", "{'conversation_id':'c','type':'text',"
				    "'from_user':{'id':'u'}}" },
		{ "im_receive_msg",
		    "{'conversation_id':'c','message_id':'m','type':'text'}" },
		{ "im_receive_msg", "{" WHO "}" },
		{ "im_receive_msg", "not JSON" },
		{ "im_receive_msg", "[]" },
		{ "im_receive_msg", "" },
		{ "im_mark_read_msg", "{'conversation_id':'c'}" },
		{ "im_mark_read_msg",
		    "{'read':{'last_read_timestamp':1795000208100}}" },
	};
	static const char *const bodies[] = { "[]", "7", "null", "{}",
		"{\"event\":\"im_receive_msg\"}",
		"{\"event\":\"im_receive_msg\",\"user_openid\":\"other\","
		"\"content\":\"{}\"}",
		"{\"event\":\"im_receive_msg\",\"user_openid\":\"" BUSINESS
		"\"}",
		"{\"event\":\"im_receive_msg\",\"user_openid\":\"" BUSINESS
		"\",\"content\":7}" };
	struct channel_account ac = account();
	struct channel_batch b;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		event(&b, bad[i][0], bad[i][1]);
		assert_int_equal(b.n, 0);
		assert_int_equal(b.skipped, 1);
		channel_batch_fini(&b);
	}
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(
		    hook_parse(&ac, bodies[i], strlen(bodies[i]), NOW, &b), 0);
		assert_int_equal(b.n, 0);
		assert_int_equal(b.skipped, 1);
		assert_int_equal(
		    b.nastray, strstr(bodies[i], "other") != NULL ? 1 : 0);
		channel_batch_fini(&b);
	}
	/* Known and unknown names that say nothing to us. */
	event(&b, "im_auto_message_sent", "{}");
	assert_int_equal(b.items[0].op, CHANNEL_NOTE);
	channel_batch_fini(&b);
	event(&b, "comment.update", "{'comment_id':98765432109876543210}");
	assert_string_equal(b.items[0].what, "comment.update");
	channel_batch_fini(&b);

	/* The content may be an object as well. */
	assert_int_equal(
	    hook_parse(&ac,
		"{\"event\":\"im_receive_msg\",\"user_openid\":\"" BUSINESS
		"\",\"content\":{\"conversation_id\":\"c\",\"message_id\":9,"
		"\"from_user\":{\"id\":\"u\"},\"type\":\"text\",\"text\":"
		"{\"body\":\"t\"}}}",
		strlen(
		    "{\"event\":\"im_receive_msg\",\"user_openid\":\"" BUSINESS
		    "\",\"content\":{\"conversation_id\":\"c\","
		    "\"message_id\":9,\"from_user\":{\"id\":\"u\"},\"type\":"
		    "\"text\",\"text\":{\"body\":\"t\"}}}"),
		NOW, &b),
	    0);
	assert_int_equal(b.n, 1);
	assert_string_equal(b.items[0].message_id, "9");
	assert_int_equal(b.items[0].sent_at, NOW);
	channel_batch_fini(&b);
	json_object_put(ac.config);
}

/* --- sending --- */

static struct channel_out
out_of(const char *file)
{
	struct channel_out out = { .number = 7,
		.uuid = "u",
		.kind = "text",
		.user = USER,
		.conversation = THREAD };

	if (strstr(file, "text") != NULL) {
		out.text = "Dạ còn ạ 🎉";
		return out;
	}
	out.kind = "image";
	out.media_path = "/nowhere/a.png";
	out.media_size = 3000000;
	out.mime = "image/png";
	out.step = strstr(file, "upload") == NULL;
	snprintf(out.handle, sizeof(out.handle), "ttMedia0001");
	return out;
}

static void
exchange(const char *file)
{
	struct channel_account ac = account();
	struct json_object *sample = file_json(file);
	bool upload = strstr(file, "upload") != NULL;
	struct channel_out out = out_of(file);
	struct http_request req;

	http_request_init(&req, "POST");
	assert_int_equal(channel_tiktok.send(&ac, &out, &req), upload ? 1 : 0);
	request_is(
	    &req, member(sample, "request"), "https://business-api.tiktok.com");
	if (upload) {
		static const char want[] =
		    "business_id\0" BUSINESS "\0media_type\0IMAGE";

		assert_string_equal(req.file_field, "file");
		assert_string_equal(req.file_path, "/nowhere/a.png");
		assert_int_equal(req.fields.len, sizeof(want));
		assert_memory_equal(req.fields.data, want, sizeof(want));
	}
	http_request_fini(&req);
	/* What is no answer was never sent, and never refused. */
	answers_are(
	    &ac, &out, sample, upload ? CHANNEL_RETRY : CHANNEL_UNKNOWN);
	json_object_put(sample);
	json_object_put(ac.config);
}

static void
exchanges_are_as_sampled(void **state)
{
	(void)state;
	exchange("tiktok-out-text.json");
	exchange("tiktok-out-image.json");
	exchange("tiktok-out-upload.json");
}

static struct channel_result
coded(const struct channel_account *ac, const struct channel_out *out, int code)
{
	char body[100];

	snprintf(
	    body, sizeof(body), "{\"code\":%d,\"message\":\"w\\nx\"}", code);
	return answer_to(ac, out, 200, body, strlen(body));
}

static void
answers_have_classes(void **state)
{
	static const struct {
		int code;
		enum channel_class cls;
		const char *reason;
	} codes[] = { { 40100, CHANNEL_RETRY, "rate" },
		{ 51065, CHANNEL_RETRY, "" },
		{ 40105, CHANNEL_REAUTH, "token" },
		{ 40001, CHANNEL_REAUTH, "account" },
		{ 40064, CHANNEL_PERMANENT, "blocked_by_dm_rules" },
		{ 40002, CHANNEL_PERMANENT, "refused" },
		{ 40007, CHANNEL_PERMANENT, "refused" },
		{ 40908, CHANNEL_PERMANENT, "refused" },
		{ 49999, CHANNEL_PERMANENT, "refused" },
		{ 50000, CHANNEL_UNKNOWN, "" }, { 51010, CHANNEL_UNKNOWN, "" },
		{ 1, CHANNEL_UNKNOWN, "" }, { -1, CHANNEL_UNKNOWN, "" } };
	struct channel_account ac = account();
	struct channel_out out = out_of("text");
	struct channel_result rs;

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		rs = coded(&ac, &out, codes[i].code);
		assert_int_equal(rs.cls, codes[i].cls);
		assert_string_equal(rs.reason, codes[i].reason);
		assert_string_equal(rs.message, "w x");
		assert_int_equal(rs.hold, codes[i].code == 40100);
		assert_int_equal(rs.refreshable, codes[i].code == 40105);
	}
	json_put_str(ac.config, "tiktok_refresh_token", "");
	assert_false(coded(&ac, &out, 40105).refreshable);
	/* What other sources say of them, by the setting. */
	json_put_str(ac.config, "tiktok_error_class",
	    "40064=retryable, 51065=unknown,40002=reauth,40007=permanently,x,"
	    "50000=permanent");
	assert_int_equal(coded(&ac, &out, 40064).cls, CHANNEL_RETRY);
	assert_int_equal(coded(&ac, &out, 51065).cls, CHANNEL_UNKNOWN);
	assert_int_equal(coded(&ac, &out, 40002).cls, CHANNEL_REAUTH);
	assert_int_equal(coded(&ac, &out, 40007).cls, CHANNEL_PERMANENT);
	assert_int_equal(coded(&ac, &out, 50000).cls, CHANNEL_PERMANENT);
	assert_int_equal(coded(&ac, &out, 40100).cls, CHANNEL_RETRY);
	json_put_str(ac.config, "tiktok_error_class", "");

#define SAYS(status, text) answer_to(&ac, &out, status, text, strlen(text))
	rs = SAYS(200, "{\"code\":0,\"data\":{\"message\":{\"message_id\":"
		       "98765432109876543210}}}");
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "98765432109876543210");
	rs = SAYS(200, "{\"code\":\"0\",\"message\":\"OK\"}");
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "");
	assert_string_equal(rs.message, "");
	assert_int_equal(SAYS(200, "{}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(200, "{\"code\":\"\"}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(200, "{\"code\":\"4x\"}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(200, "[]").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(200, "<html>").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(502, "{\"code\":0}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(500, "oops").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(400, "oops").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(401, "{\"code\":40105}").cls, CHANNEL_REAUTH);
	rs = SAYS(429, "oops");
	assert_true(rs.cls == CHANNEL_RETRY && rs.hold && rs.wait_s == 10);

	/* Refused with a quote: once without, not where rules forbid it. */
	out.quote = "q";
	assert_int_equal(SAYS(200, "{\"code\":40002}").cls, CHANNEL_RETRY_BARE);
	assert_int_equal(SAYS(200, "{\"code\":40064}").cls, CHANNEL_PERMANENT);
	out = out_of("upload");
	out.quote = "q";
	assert_int_equal(SAYS(200, "{\"code\":40908}").cls, CHANNEL_PERMANENT);
	/* An upload may be done again. */
	assert_int_equal(SAYS(200, "{\"code\":50000}").cls, CHANNEL_RETRY);
	assert_int_equal(SAYS(200, "{\"code\":0}").cls, CHANNEL_RETRY);
	assert_int_equal(SAYS(500, "oops").cls, CHANNEL_RETRY);
#undef SAYS

	out = out_of("text");
	no_answer_is(&ac, &out, CHANNEL_UNKNOWN);
	rs = answer_later(&ac, &out, 200, "{\"code\":40100}", 90);
	assert_int_equal(rs.wait_s, 90);
	json_object_put(ac.config);
}

static void
class_words_are_checked(void **state)
{
	static const char *const good[] = { "", "40064=retryable",
		"40064=unknown, 51065=permanent,40100=reauth" };
	static const char *const bad[] = { "40064", "=retryable", "40064=later",
		"40064=retryable;1=unknown", "x=unknown", "40064=retryable," };
	struct channel_account ac = account();
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		json_put_str(ac.config, "tiktok_error_class", good[i]);
		assert_int_equal(
		    channel_config_check(&channel_tiktok, ac.config, &why), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_reset(&why);
		json_put_str(ac.config, "tiktok_error_class", bad[i]);
		assert_int_equal(
		    channel_config_check(&channel_tiktok, ac.config, &why), -1);
		assert_non_null(strstr(why.data, "tiktok_error_class"));
	}
	buf_fini(&why);
	json_object_put(ac.config);
}

/* The request's JSON, new. */
static struct json_object *
sent_json(const struct channel_account *ac, const struct channel_out *out)
{
	struct json_object *got = NULL;
	struct http_request rq;

	http_request_init(&rq, "POST");
	assert_int_equal(channel_tiktok.send(ac, out, &rq), 0);
	assert_int_equal(channel_json(rq.body.data, rq.body.len, &got), 0);
	http_request_fini(&rq);
	return got;
}

static void
messages_have_their_forms(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = out_of("text");
	struct http_request rq;
	struct json_object *got;

	(void)state;
	out.quote = "m0";
	assert_true(channel_tiktok.lines(&ac, &out));
	assert_string_equal(channel_tiktok.said(&ac, &out), "Dạ còn ạ 🎉");
	got = sent_json(&ac, &out);
	assert_string_equal(text_of(member(got, "text"), "body"), "Dạ còn ạ 🎉");
	assert_string_equal(text_of(member(got, "referenced_message_info"),
				"referenced_message_id"),
	    "m0");
	json_object_put(got);

	/* What cannot be uploaded goes as a link. */
	out = out_of("image");
	out.step = 0;
	out.media_url = "https://shop.example/f";
	for (int i = 0; i < 4; i++) {
		struct channel_out no = out;

		if (i == 0)
			no.mime = "image/webp";
		else if (i == 1)
			no.media_size = 3000001;
		else if (i == 2)
			no.media_path = NULL;
		else
			no.text = "caption";
		got = sent_json(&ac, &no);
		assert_string_equal(text_of(got, "message_type"), "TEXT");
		assert_string_equal(text_of(member(got, "text"), "body"),
		    i == 3 ? "caption\nhttps://shop.example/f" : out.media_url);
		if (i < 3)
			assert_string_equal(
			    channel_tiktok.said(&ac, &no), out.media_url);
		json_object_put(got);
	}

	assert_null(channel_tiktok.said(&ac, &out));

	/* Nothing to say, nobody to say it to, a token that is none. */
	out = out_of("text");
	http_request_init(&rq, "POST");
	out.conversation = NULL;
	assert_int_equal(channel_tiktok.send(&ac, &out, &rq), -1);
	out = out_of("text");
	out.text = NULL;
	assert_int_equal(channel_tiktok.send(&ac, &out, &rq), -1);
	out = out_of("text");
	json_put_str(ac.config, "tiktok_access_token", "a\nb");
	assert_int_equal(channel_tiktok.send(&ac, &out, &rq), -1);
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
windows_are_judged(void **state)
{
	struct channel_account ac = account();
	int64_t hour = 3600000, now = NOW;
	struct channel_reply r;

	(void)state;
#define WINDOW(age, n) channel_tiktok.window(&ac, now - (age), n, now)
	r = WINDOW(hour, 0);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, now + 47 * hour);
	assert_int_equal(r.free_until, r.until);
	assert_int_equal(r.free_left, 10);
	r = WINDOW(48 * hour, 9);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.free_left, 1);
	/* Past either limit, not for money either. */
	r = WINDOW(48 * hour + 1, 0);
	assert_int_equal(r.state, CHANNEL_WINDOW_CLOSED);
	assert_true(r.until < now && r.free_left == 0 && !r.asked);
	r = WINDOW(hour, 10);
	assert_int_equal(r.state, CHANNEL_WINDOW_CLOSED);
	assert_true(r.until < now && r.free_left == 0 && r.asked);
	assert_false(WINDOW(48 * hour + 1, 10).asked);
	/* Who never wrote may have, before we were here. */
	r = channel_tiktok.window(&ac, 0, 0, now);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, 0);
#undef WINDOW
	assert_int_equal(channel_tiktok.text_max(&ac), 6000);
	json_object_put(ac.config);
}

/* --- tokens, marks, files, profiles --- */

static void
tokens_are_renewed(void **state)
{
	struct channel_account ac = account();
	struct json_object *sample = file_json("tiktok-out-refresh.json"), *set;
	struct json_object *body = member(
	    json_object_array_get_idx(member(sample, "responses"), 0), "body");
	struct http_request rq;
	struct http_answer an;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_tiktok.refresh(&ac, &rq), 1);
	request_is(
	    &rq, member(sample, "request"), "https://business-api.tiktok.com");
	assert_string_equal(
	    rq.headers.data, "Content-Type: application/json\n");
	http_request_fini(&rq);

	for (int i = 0; i < 4; i++) {
		if (i == 1)
			json_put_int(body, "code", 40105);
		else if (i == 2)
			json_put_int(body, "code", 0);
		if (i == 2)
			json_put_str(member(body, "data"), "open_id", "other");
		if (i == 3) {
			json_put_str(member(body, "data"), "open_id", BUSINESS);
			json_object_object_del(
			    member(body, "data"), "access_token");
		}
		answer_init(&an, 200, json_object_to_json_string(body));
		set = channel_tiktok.refreshed(&ac, &an, NOW);
		if (i == 0) {
			assert_string_equal(text_of(set, "tiktok_access_token"),
			    "act.sample-2");
			assert_string_equal(
			    text_of(set, "tiktok_refresh_token"),
			    "rft.sample-2");
			assert_string_equal(
			    text_of(set, "tiktok_token_expires_at"),
			    "1795086700000");
		} else {
			assert_null(set);
		}
		json_object_put(set);
		http_answer_fini(&an);
	}
	json_put_str(ac.config, "tiktok_refresh_token", "");
	http_request_init(&rq, "POST");
	assert_int_equal(channel_tiktok.refresh(&ac, &rq), 0);
	http_request_fini(&rq);
	json_object_put(sample);
	json_object_put(ac.config);
}

static void
marks_show(void **state)
{
	struct channel_account ac = account();
	struct channel_act act = { .what = CHANNEL_TYPING,
		.conversation = THREAD };
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_tiktok.act(&ac, &act, &rq), 1);
	assert_string_equal(rq.url.data,
	    "https://business-api.tiktok.com/open_api/v1.3/business/message/"
	    "send/");
	assert_string_equal(rq.body.data,
	    "{\"business_id\":\"" BUSINESS "\",\"recipient_type\":"
	    "\"CONVERSATION\",\"recipient\":\"" THREAD "\",\"message_type\":"
	    "\"SENDER_ACTION\",\"sender_action\":\"TYPING\"}");
	http_request_fini(&rq);
	http_request_init(&rq, "POST");
	act.what = CHANNEL_SEEN;
	assert_int_equal(channel_tiktok.act(&ac, &act, &rq), 1);
	assert_non_null(strstr(rq.body.data, "\"MARK_READ\""));
	http_request_fini(&rq);
	http_request_init(&rq, "POST");
	act.what = CHANNEL_TYPING_END;
	assert_int_equal(channel_tiktok.act(&ac, &act, &rq), 0);
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
files_are_asked_for(void **state)
{
	struct channel_account ac = account();
	struct json_object *sample = file_json("tiktok-out-download.json");
	const char *body = sample_answer(sample);
	struct channel_media md = { .kind = "image",
		.ref = "tiktok:v0media0002",
		.conversation = THREAD,
		.message_id = "ttS_msg_0002==" };
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "GET");
	assert_int_equal(channel_tiktok.media(&ac, &md, &rq), 1);
	request_is(
	    &rq, member(sample, "request"), "https://business-api.tiktok.com");
	http_request_fini(&rq);

	assert_int_equal(media_says(&ac, &md, 200, body), CHANNEL_MORE);
	md.step = 1;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_tiktok.media(&ac, &md, &rq), 2);
	assert_string_equal(rq.method, "GET");
	assert_string_equal(rq.url.data, "https://media.example/one.jpg");
	assert_string_equal(rq.headers.data, "x-user: act.sample\n");
	http_request_fini(&rq);
	assert_int_equal(media_says(&ac, &md, 500, ""), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 0, ""), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 401, ""), CHANNEL_REAUTH);
	assert_int_equal(media_says(&ac, &md, 403, ""), CHANNEL_PERMANENT);

	/* The token goes nowhere else. */
	md.step = 0;
#define TO(u)                     \
	media_says(&ac, &md, 200, \
	    "{\"code\":0,\"data\":{\"download_url\":\"" u "\"}}")
	assert_int_equal(TO("http://media.example/1"), CHANNEL_PERMANENT);
	assert_int_equal(TO("file:///etc/passwd"), CHANNEL_PERMANENT);
	assert_int_equal(TO(""), CHANNEL_PERMANENT);
	json_put_str(ac.config, "tiktok_api_base", "http://127.0.0.1:4000");
	assert_int_equal(TO("http://127.0.0.1:4000/f"), CHANNEL_MORE);
	assert_int_equal(TO("http://127.0.0.1:40001/f"), CHANNEL_PERMANENT);
#undef TO
	assert_int_equal(
	    media_says(&ac, &md, 200, "{\"code\":40105}"), CHANNEL_REAUTH);
	assert_int_equal(
	    media_says(&ac, &md, 200, "{\"code\":40002}"), CHANNEL_PERMANENT);
	assert_int_equal(
	    media_says(&ac, &md, 200, "{\"code\":50000}"), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 502, "oops"), CHANNEL_RETRY);

	md.kind = "video";
	http_request_init(&rq, "POST");
	assert_int_equal(channel_tiktok.media(&ac, &md, &rq), 1);
	assert_non_null(strstr(rq.body.data, "\"VIDEO\""));
	http_request_fini(&rq);
	http_request_init(&rq, "POST");
	md.ref = "tiktok:";
	assert_int_equal(channel_tiktok.media(&ac, &md, &rq), 0);
	md.ref = "line:1";
	assert_int_equal(channel_tiktok.media(&ac, &md, &rq), 0);
	http_request_fini(&rq);
	json_object_put(sample);
	json_object_put(ac.config);
}

/* What TikTok may give another time is nothing an admin could mend. */
static void
refreshes_for_later_are_known(void **state)
{
	static const struct {
		const char *body;
		bool later;
	} answers[] = { { "{\"code\":40100,\"message\":\"slow\"}", true },
		{ "{\"code\":51065,\"message\":\"busy\"}", true },
		{ "{\"code\":50000,\"message\":\"broken\"}", true },
		{ "{\"code\":40002,\"message\":\"bad token\"}", false },
		{ "{\"code\":40105,\"message\":\"revoked\"}", false },
		{ "{\"code\":0,\"data\":{}}", false }, { "<html>", false } };
	struct channel_account ac = account();
	struct http_answer an;

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		answer_init(&an, 200, answers[i].body);
		assert_int_equal(
		    channel_tiktok.refresh_later(&ac, &an), answers[i].later);
		http_answer_fini(&an);
	}
	json_object_put(ac.config);
}

static enum channel_class
profile_says(const char *body, struct channel_profile *pf)
{
	struct channel_account ac = account();
	enum channel_class cls;
	struct http_answer an;

	answer_init(&an, 200, body);
	*pf = (struct channel_profile){ .user = USER };
	cls = channel_tiktok.profiled(&ac, &an, pf);
	http_answer_fini(&an);
	json_object_put(ac.config);
	return cls;
}

static void
profiles_are_read(void **state)
{
	struct channel_account ac = account();
	struct channel_profile pf;
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "GET");
	assert_int_equal(channel_tiktok.profile(&ac, USER, NULL, &rq), 0);
	assert_int_equal(channel_tiktok.profile(&ac, USER, THREAD, &rq), 1);
	assert_string_equal(rq.url.data,
	    "https://business-api.tiktok.com/open_api/v1.3/business/message/"
	    "content/list/?business_id=" BUSINESS
	    "&conversation_id=a1AbcBdeCfghDijkEF2b3%2BlmGn%3D%3D");
	assert_string_equal(rq.headers.data, "Access-Token: act.sample\n");
	http_request_fini(&rq);

	assert_int_equal(
	    profile_says("{\"code\":0,\"data\":{\"participants\":[7,"
			 "{\"role\":\"BUSINESS_ACCOUNT\",\"id\":\"" BUSINESS
			 "\",\"display_name\":\"Shop\"},"
			 "{\"id\":\"another\",\"display_name\":\"Minh\"},"
			 "{\"role\":"
			 "\"PERSONAL_ACCOUNT\",\"id\":\"" USER
			 "\",\"display_name\":\"Hoa 🌸\",\"profile_image\":"
			 "\"https://p16.example/a.webp\"}]}}",
		&pf),
	    CHANNEL_SENT);
	assert_string_equal(pf.name, "Hoa 🌸");
	assert_string_equal(pf.avatar_url, "https://p16.example/a.webp");
	assert_int_equal(
	    profile_says("{\"code\":0,\"data\":{\"participants\":[]}}", &pf),
	    CHANNEL_PERMANENT);
	assert_int_equal(profile_says("{\"code\":0,\"data\":{\"participants\":["
				      "{\"id\":\"another\"}]}}",
			     &pf),
	    CHANNEL_PERMANENT);
	assert_int_equal(
	    profile_says("{\"code\":0,\"data\":{}}", &pf), CHANNEL_PERMANENT);
	assert_int_equal(profile_says("{\"code\":40105}", &pf), CHANNEL_REAUTH);
	assert_int_equal(profile_says("{\"code\":50000}", &pf), CHANNEL_RETRY);
	assert_int_equal(profile_says("<html>", &pf), CHANNEL_RETRY);
	json_object_put(ac.config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_are_proven),
		cmocka_unit_test(any_change_is_refused),
		cmocka_unit_test(challenges_are_said_back),
		cmocka_unit_test(samples_mean_what_is_expected),
		cmocka_unit_test(content_of_every_kind),
		cmocka_unit_test(who_speaks_to_whom),
		cmocka_unit_test(what_is_left_alone),
		cmocka_unit_test(exchanges_are_as_sampled),
		cmocka_unit_test(answers_have_classes),
		cmocka_unit_test(class_words_are_checked),
		cmocka_unit_test(messages_have_their_forms),
		cmocka_unit_test(windows_are_judged),
		cmocka_unit_test(tokens_are_renewed),
		cmocka_unit_test(marks_show),
		cmocka_unit_test(files_are_asked_for),
		cmocka_unit_test(refreshes_for_later_are_known),
		cmocka_unit_test(profiles_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
