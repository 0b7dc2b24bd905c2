/* The generic webhook against the samples, and against careless senders. */
#include "channel_fixture.h"

#define CLOCK_S INT64_C(1795000300) /* of the samples' signatures */
#define NOW (1000 * CLOCK_S)

/* The two headers of a webhook. */
struct heads {
	const char *time, *sig;
};

static const char *
header(void *arg, const char *name)
{
	const struct heads *h = arg;

	if (strcmp(name, "X-Parley-Timestamp") == 0)
		return h->time;
	assert_string_equal(name, "X-Parley-Signature");
	return h->sig;
}

static enum channel_verdict
verdict_at(const struct channel_account *ac, const char *body, size_t len,
    const char *time, const char *sig, int64_t now_ms)
{
	struct heads h = { time, sig };
	struct channel_hook hook = { .body = body,
		.len = len,
		.now_ms = now_ms,
		.header = header,
		.arg = &h };

	return ac->ch->verify(ac, &hook);
}

static enum channel_verdict
verdict(const struct channel_account *ac, const char *body, size_t len,
    const char *time, const char *sig)
{
	return verdict_at(ac, body, len, time, sig, NOW);
}

/* "v1=<hex>" of the body at that time. */
static const char *
sign(const char *secret, const char *time, const char *body, size_t len)
{
	static char out[80];
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state h;

	crypto_auth_hmacsha256_init(
	    &h, (const unsigned char *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(
	    &h, (const unsigned char *)time, strlen(time));
	crypto_auth_hmacsha256_update(&h, (const unsigned char *)".", 1);
	crypto_auth_hmacsha256_update(&h, (const unsigned char *)body, len);
	crypto_auth_hmacsha256_final(&h, mac);
	memcpy(out, "v1=", 3);
	sodium_bin2hex(out + 3, 65, mac, sizeof(mac));
	return out;
}

/* --- proof --- */

static void
samples_are_proven(void **state)
{
	struct channel_account ac = sample_account("custom");
	struct json_object *all = file_json("signatures.json");
	size_t n = 0;

	(void)state;
	json_object_object_foreach(member(all, "files"), name, heads)
	{
		const char *time = text_of(heads, "X-Parley-Timestamp");
		const char *sig = text_of(heads, "X-Parley-Signature");
		char other[100];
		size_t len;
		char *body;

		if (strncmp(name, "custom-", 7) != 0)
			continue;
		body = file_read(name, &len);
		assert_int_equal(
		    verdict(&ac, body, len, time, sig), CHANNEL_GOOD);
		snprintf(other, sizeof(other), "%s", sig);
		for (char *p = other + 3; *p != '\0'; p++)
			if (*p >= 'a' && *p <= 'f')
				*p = (char)(*p - 32);
		assert_int_equal(
		    verdict(&ac, body, len, time, other), CHANNEL_GOOD);

#define FORGED(t, s) \
	assert_int_equal(verdict(&ac, body, len, t, s), CHANNEL_FORGED)
		FORGED(NULL, sig);
		FORGED(time, NULL);
		FORGED(NULL, NULL);
		FORGED("", sig);
		FORGED(time, "");
		FORGED(time, "v1=");
		FORGED(time, sig + 3);
		FORGED("1795000301", sig);
		FORGED("1795000300.0", sig);
		FORGED(" 1795000300", sig);
		FORGED("+1795000300", sig);
		FORGED("1795000300000", sig);
		FORGED("99999999999999999999", sig);
		snprintf(other, sizeof(other), "v2=%s", sig + 3);
		FORGED(time, other);
		snprintf(other, sizeof(other), "%.66s", sig);
		FORGED(time, other);
		snprintf(other, sizeof(other), "%s0", sig);
		FORGED(time, other);
		FORGED(time, sign("another", time, body, len));
		FORGED(time, sign("", time, body, len));
#undef FORGED
		free(body);
		n++;
	}
	assert_int_equal(n, 3);
	json_object_put(all);
	json_object_put(ac.config);
}

static void
any_change_is_refused(void **state)
{
	struct channel_account ac = sample_account("custom");
	const char *secret = "custom-sample-secret";
	char sig[80], *body;
	struct heads h = { "1795000300", sig };
	struct channel_hook hook = {
		.now_ms = NOW, .header = header, .arg = &h
	};
	size_t len;

	(void)state;
	body = file_read("custom-text.json", &len);
	snprintf(sig, sizeof(sig), "%s", sign(secret, "1795000300", body, len));
	assert_int_equal(
	    verdict(&ac, body, len, "1795000300", sig), CHANNEL_GOOD);
	hook.body = body;
	hook.len = len;
	changes_are_refused(&ac, &hook);
	proof_changes_are_refused(&ac, &hook, sig, 3, 67);

	/* 300 seconds both ways, to the second. */
#define AT(ms) verdict_at(&ac, body, len, "1795000300", sig, ms)
	assert_int_equal(AT(NOW + 300000), CHANNEL_GOOD);
	assert_int_equal(AT(NOW + 300001), CHANNEL_FORGED);
	assert_int_equal(AT(NOW - 300000), CHANNEL_GOOD);
	assert_int_equal(AT(NOW - 300001), CHANNEL_FORGED);
	json_put_str(ac.config, "custom_sig_tolerance_s", "10");
	assert_int_equal(AT(NOW + 10000), CHANNEL_GOOD);
	assert_int_equal(AT(NOW + 10001), CHANNEL_FORGED);
#undef AT
	/* No secret: nothing can be proven. */
	json_put_str(ac.config, "custom_secret", "");
	assert_int_equal(verdict(&ac, body, len, "1795000300",
			     sign("", "1795000300", body, len)),
	    CHANNEL_FORGED);
	free(body);
	json_object_put(ac.config);
}

/* --- meaning --- */

static void
samples_mean_what_is_expected(void **state)
{
	struct channel_account ac = sample_account("custom");
	struct channel_batch b;
	size_t len;
	char *body = file_read("custom-text.json", &len);

	(void)state;
	samples_mean(&ac, "custom-", 3, NOW);
	assert_int_equal(hook_parse(&ac, body, len, NOW, &b), 0);
	assert_string_equal(b.items[0].user_name, "Trần Thị B");
	assert_string_equal(
	    b.items[0].user_avatar, "https://cdn.example/a.png");
	channel_batch_fini(&b);
	free(body);
	json_object_put(ac.config);
}

/* Parse an event written in short, single quotes for double ones: status. */
static int
event(struct channel_batch *b, const char *text)
{
	struct channel_account ac = sample_account("custom");
	int rc = short_parse(&ac, text, NOW, b);

	json_object_put(ac.config);
	return rc;
}

#define MESSAGE(rest) \
	"{'event_id':'e','type':'message','conversation_id':'c'," rest "}"
#define USER "'user':{'id':'u'}"
#define AT "'sent_at':1795000400000"

static void
faults_name_their_member(void **state)
{
	static const char *const bad[][2] = {
		{ "[]", "event_id" },
		{ "7", "event_id" },
		{ "{}", "event_id" },
		{ "{'event_id':'','type':'x'}", "event_id" },
		{ "{'event_id':1.5,'type':'x'}", "event_id" },
		{ "{'event_id':['e'],'type':'x'}", "event_id" },
		{ "{'event_id':'e'}", "type" },
		{ "{'event_id':'e','type':7}", "type" },
		{ "{'event_id':'e','type':null}", "type" },
		{ "{'event_id':'e','type':'message'}", "conversation_id" },
		{ "{'event_id':'e','type':'status'}", "conversation_id" },
		{ "{'event_id':'e','type':'message','conversation_id':''}",
		    "conversation_id" },
		{ MESSAGE("'a':1"), "user.id" },
		{ MESSAGE("'user':'u'"), "user.id" },
		{ MESSAGE("'user':{'id':true}"), "user.id" },
		{ MESSAGE("'user':{'id':'u','name':5}"), "user.name" },
		{ MESSAGE("'user':{'id':'u','avatar_url':'javascript:1'}"),
		    "user.avatar_url" },
		{ MESSAGE(USER), "message.id" },
		{ MESSAGE(USER ",'message':[]"), "message.id" },
		{ MESSAGE(USER ",'message':{'id':'m'}"), "message.kind" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'unsupported'}"),
		    "message.kind" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'fax'}," AT),
		    "message.kind" },
		{ MESSAGE(
		      USER ",'message':{'id':'m','kind':'text','text':5}," AT),
		    "message.text" },
		{ MESSAGE(USER
		      ",'message':{'id':'m','kind':'postback','payload':{}}," AT),
		    "message.payload" },
		{ MESSAGE(USER
		      ",'message':{'id':'m','kind':'text','reply_to':{}}," AT),
		    "message.reply_to" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'location',"
			       "'location':{'lat':91,'lon':0}}," AT),
		    "message.location" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'location',"
			       "'location':{'lat':'1','lon':0}}," AT),
		    "message.location" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'text'}"),
		    "sent_at" },
		{ MESSAGE(
		      USER ",'message':{'id':'m','kind':'text'},'sent_at':0"),
		    "sent_at" },
		{ MESSAGE(
		      USER ",'message':{'id':'m','kind':'text'},'sent_at':-5"),
		    "sent_at" },
		{ MESSAGE(USER
		      ",'message':{'id':'m','kind':'text'},'sent_at':'now'"),
		    "sent_at" },
		{ MESSAGE(USER
		      ",'message':{'id':'m','kind':'image','media':{}}," AT),
		    "message.media" },
		{ MESSAGE(USER
		      ",'message':{'id':'m','kind':'image','media':[5]}," AT),
		    "message.media.url" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'image',"
			       "'media':[{'url':'file:///etc/passwd'}]}," AT),
		    "message.media.url" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'image','media':[{"
			       "'url':'https://a','size':-1}]}," AT),
		    "message.media.size" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'image','media':[{"
			       "'url':'https://a','size':'9'}]}," AT),
		    "message.media.size" },
		{ MESSAGE(USER ",'message':{'id':'m','kind':'image','media':[{"
			       "'url':'https://a','mime':1}]}," AT),
		    "message.media.mime" },
		{ "{'event_id':'e','type':'status','conversation_id':'c',"
		  "'message_ids':['a']}",
		    "status" },
		{ "{'event_id':'e','type':'status','conversation_id':'c',"
		  "'status':'sent','message_ids':['a']}",
		    "status" },
		{ "{'event_id':'e','type':'status','conversation_id':'c',"
		  "'status':'read'}",
		    "message_ids" },
		{ "{'event_id':'e','type':'status','conversation_id':'c',"
		  "'status':'read','message_ids':['a',{}]}",
		    "message_ids" },
	};
	struct channel_batch b;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = event(&b, bad[i][0]);

		if (rc != 422 || b.field == NULL ||
		    strcmp(b.field, bad[i][1]) != 0)
			fail_msg("%s: %d %s", bad[i][0], rc,
			    b.field != NULL ? b.field : "-");
		channel_batch_fini(&b);
	}
	assert_int_equal(event(&b, "{'event_id':"), 400);
	channel_batch_fini(&b);
	assert_int_equal(event(&b, "{'event_id':'\xff'}"), 400);
	channel_batch_fini(&b);
	assert_int_equal(event(&b, ""), 400);
	channel_batch_fini(&b);
}

static void
ids_have_a_length(void **state)
{
	char id[300], text[600];
	struct channel_batch b;

	(void)state;
	for (size_t n = 255; n <= 256; n++) {
		memset(id, 'x', n);
		id[n] = '\0';
		snprintf(text, sizeof(text),
		    "{'event_id':'e','type':'status','conversation_id':'%s',"
		    "'status':'read','message_ids':[]}",
		    id);
		assert_int_equal(event(&b, text), n == 255 ? 0 : 422);
		channel_batch_fini(&b);
	}
}

static void
unusual_but_legal(void **state)
{
	struct channel_batch b;

	(void)state;
	/* Types to come are taken, with whatever they have. */
	assert_int_equal(
	    event(&b, "{'event_id':'e','type':'typing','user':5}"), 0);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.items[0].op, CHANNEL_NOTE);
	assert_string_equal(b.items[0].what, "typing");
	channel_batch_fini(&b);

	/* Numbers beyond 2^53 keep their digits; null is not there. */
	assert_int_equal(
	    event(&b, "{'event_id':9007199254740993,'type':'message',"
		      "'conversation_id':9007199254740993,'extra':{},"
		      "'user':{'id':12345678901234567890,'name':null},"
		      "'message':{'id':-9007199254740993,'kind':'text',"
		      "'text':'a\\u0000\\ud800b\\ud83d\\ude00','reply_to':7},"
		      "'sent_at':'1795000400'}"),
	    0);
	assert_string_equal(b.items[0].conversation, "9007199254740993");
	assert_string_equal(b.items[0].user, "12345678901234567890");
	assert_string_equal(b.items[0].message_id, "-9007199254740993");
	assert_string_equal(b.items[0].reply_to, "7");
	assert_string_equal(b.items[0].text, "a\xef\xbf\xbd\xef\xbf\xbd"
					     "b\xf0\x9f\x98\x80");
	assert_int_equal(b.items[0].sent_at, 1795000400000);
	assert_null(b.items[0].user_name);
	channel_batch_fini(&b);

	/* A place at zero. */
	assert_int_equal(
	    event(&b, MESSAGE(USER ",'message':{'id':'m','kind':'location',"
				   "'location':{'lat':0,'lon':-0.5}}," AT)),
	    0);
	assert_true(b.items[0].located && b.items[0].lat == 0 &&
		    b.items[0].lon == -0.5);
	assert_string_equal(b.items[0].kind, "location");
	channel_batch_fini(&b);

	/* A choice shows what it carries. */
	assert_int_equal(
	    event(&b, MESSAGE(USER ",'message':{'id':'m','kind':'postback',"
				   "'payload':'BUY'}," AT)),
	    0);
	assert_string_equal(b.items[0].text, "BUY");
	assert_string_equal(b.items[0].payload, "BUY");
	channel_batch_fini(&b);

	/* Nothing in it, yet something came. */
	assert_int_equal(
	    event(&b, MESSAGE(USER ",'message':{'id':'m','kind':'image'}," AT)),
	    0);
	assert_string_equal(b.items[0].kind, "unsupported");
	channel_batch_fini(&b);

	/* Several files are rows; one that came as a text is what it is. */
	assert_int_equal(
	    event(&b,
		MESSAGE(USER ",'message':{'id':'m','kind':'text','text':'t',"
			     "'payload':'p','reply_to':'r','media':["
			     "{'url':'https://a','mime':'image/png','size':0},"
			     "{'url':'http://b'}]}," AT)),
	    0);
	assert_int_equal(b.n, 2);
	assert_string_equal(b.items[0].message_id, "m");
	assert_string_equal(b.items[0].kind, "image");
	assert_string_equal(b.items[0].text, "t");
	assert_int_equal(b.items[0].size, 0);
	assert_string_equal(b.items[1].message_id, "m#1");
	assert_string_equal(b.items[1].kind, "file");
	assert_null(b.items[1].text);
	assert_string_equal(b.items[1].payload, "p");
	assert_string_equal(b.items[1].reply_to, "r");
	assert_int_equal(b.items[1].size, -1);
	channel_batch_fini(&b);

	assert_int_equal(event(&b, "{'event_id':'e','type':'status',"
				   "'conversation_id':'c','status':'delivered',"
				   "'message_ids':[7,'b']}"),
	    0);
	assert_int_equal(b.items[0].nids, 2);
	assert_string_equal(b.items[0].ids[0], "7");
	channel_batch_fini(&b);
}

/* --- sending --- */

static void
requests_are_signed(void **state)
{
	struct channel_account ac = sample_account("custom");
	struct channel_out out = { .number = 7,
		.uuid = "0b8fd7a5-6f8e-4a5e-9b0f-0d2a3c4b5e6f",
		.kind = "text",
		.conversation = "crm-77",
		.user = "kh-9",
		.text = "Dạ có \"ạ\"",
		.quote = "crm-77-1",
		.now_ms = NOW + 999 };
	struct http_request rq;
	char line[200];

	(void)state;
	json_put_str(
	    ac.config, "custom_out_url", "https://crm.example/hook?x=1");
	out.quick =
	    json_tokener_parse("[{\"title\":\"Có\",\"payload\":\"YES\"}]");
	http_request_init(&rq, "GET");
	assert_int_equal(ac.ch->send(&ac, &out, &rq), 0);
	assert_string_equal(rq.method, "POST");
	assert_string_equal(rq.url.data, "https://crm.example/hook?x=1");
	assert_string_equal(rq.body.data,
	    "{\"type\":\"message\",\"conversation_id\":\"crm-77\","
	    "\"outbound_id\":7,\"message\":{\"kind\":\"text\","
	    "\"text\":\"Dạ có \\\"ạ\\\"\",\"reply_to\":\"crm-77-1\","
	    "\"quick_replies\":[{\"title\":\"Có\",\"payload\":\"YES\"}]}}");
	snprintf(line, sizeof(line), "X-Parley-Signature: %s\n",
	    sign("custom-sample-secret", "1795000300", rq.body.data,
		rq.body.len));
	assert_non_null(strstr(rq.headers.data, line));
	assert_non_null(
	    strstr(rq.headers.data, "X-Parley-Timestamp: 1795000300\n"));
	assert_non_null(strstr(rq.headers.data,
	    "Idempotency-Key: 0b8fd7a5-6f8e-4a5e-9b0f-0d2a3c4b5e6f\n"));
	assert_non_null(
	    strstr(rq.headers.data, "Content-Type: application/json\n"));
	http_request_fini(&rq);
	json_object_put(out.quick);
	out.quick = NULL;

	out.kind = "image";
	out.text = out.quote = NULL;
	out.media_url = "https://shop.example/media/1/a.png";
	out.mime = "image/png";
	out.media_name = "a.png";
	out.media_size = 20480;
	http_request_init(&rq, "POST");
	assert_int_equal(ac.ch->send(&ac, &out, &rq), 0);
	assert_non_null(strstr(rq.body.data,
	    "\"message\":{\"kind\":\"image\",\"media\":[{\"url\":"
	    "\"https://shop.example/media/1/a.png\",\"mime\":\"image/png\","
	    "\"name\":\"a.png\",\"size\":20480}]}}"));
	http_request_fini(&rq);

	/* Nothing to say, nowhere to say it. */
	http_request_init(&rq, "POST");
	out.media_url = NULL;
	assert_int_equal(ac.ch->send(&ac, &out, &rq), -1);
	out.text = "t";
	out.conversation = NULL;
	assert_int_equal(ac.ch->send(&ac, &out, &rq), -1);
	out.conversation = "c";
	json_put_str(ac.config, "custom_out_url", "");
	assert_int_equal(ac.ch->send(&ac, &out, &rq), -1);
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static struct channel_result
answered(long status, const char *body)
{
	struct channel_account ac = sample_account("custom");
	struct channel_out out = { .number = 7, .kind = "text" };
	struct channel_result rs =
	    answer_to(&ac, &out, status, body, strlen(body));

	json_object_put(ac.config);
	return rs;
}

static void
answers_have_classes(void **state)
{
	static const struct {
		long status;
		enum channel_class cls;
	} table[] = { { 200, CHANNEL_SENT }, { 201, CHANNEL_SENT },
		{ 204, CHANNEL_SENT }, { 299, CHANNEL_SENT },
		{ 302, CHANNEL_PERMANENT }, { 400, CHANNEL_PERMANENT },
		{ 401, CHANNEL_REAUTH }, { 403, CHANNEL_REAUTH },
		{ 404, CHANNEL_PERMANENT }, { 408, CHANNEL_RETRY },
		{ 409, CHANNEL_PERMANENT }, { 410, CHANNEL_PERMANENT },
		{ 422, CHANNEL_PERMANENT }, { 425, CHANNEL_RETRY },
		{ 429, CHANNEL_RETRY }, { 500, CHANNEL_RETRY },
		{ 502, CHANNEL_RETRY }, { 503, CHANNEL_RETRY },
		{ 599, CHANNEL_RETRY } };
	struct channel_account ac = sample_account("custom");
	struct channel_out out = { .number = 7, .kind = "text" };
	struct channel_result rs;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(
		    answered(table[i].status, "").cls, table[i].cls);

	assert_string_equal(
	    answered(200, "{\"message_id\":\"out-1\"}").message_id, "out-1");
	assert_string_equal(
	    answered(200, "{\"message_id\":12345678901234567890}").message_id,
	    "12345678901234567890");
	/* Without an id our number is the message's. */
	assert_string_equal(answered(204, "").message_id, "7");
	assert_string_equal(answered(200, "{}").message_id, "7");
	assert_string_equal(answered(200, "[1]").message_id, "7");
	assert_string_equal(
	    answered(200, "{\"message_id\":\"\"}").message_id, "7");
	assert_string_equal(
	    answered(200, "{\"message_id\":{}}").message_id, "7");

	assert_string_equal(
	    answered(400, "{\"error\":\"no\\nsuch\"}").message, "no such");
	assert_string_equal(
	    answered(400, "{\"message\":\"gone\"}").message, "gone");
	assert_string_equal(answered(400, "<html>").message, "http 400");
	assert_true(answered(429, "").hold && answered(429, "").wait_s == 5);

	/* Lost or never left: the same key may go again. */
	no_answer_is(&ac, &out, CHANNEL_RETRY);
	rs = answer_later(&ac, &out, 503, "", 90);
	assert_int_equal(rs.wait_s, 90);
	assert_false(rs.hold);
	assert_true(ac.ch->keyed);
	json_object_put(ac.config);
}

static void
the_account_is_checked(void **state)
{
	static const char *const urls[][2] = { { "https://a.example/x?y=1",
						   "" },
		{ "http://127.0.0.1:8080/x", "" }, { "", "" },
		{ "http://a.example/", "bad" }, { "ftp://a.example/", "bad" },
		{ "https://u@a.example/", "bad" }, { "https://", "bad" },
		{ "https://a.example/ x", "bad" } };
	static const char *const spans[][2] = { { "1", "" }, { "86400", "" },
		{ "0", "bad" }, { "86401", "bad" }, { "-5", "bad" },
		{ "", "bad" }, { "5m", "bad" }, { "+5", "bad" } };
	struct channel_account ac = sample_account("custom");
	struct buf why;

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		buf_init(&why, 1000);
		json_put_str(ac.config, "custom_out_url", urls[i][0]);
		assert_int_equal(channel_config_check(ac.ch, ac.config, &why),
		    *urls[i][1] != '\0' ? -1 : 0);
		buf_fini(&why);
	}
	json_put_str(ac.config, "custom_out_url", "");
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		buf_init(&why, 1000);
		json_put_str(ac.config, "custom_sig_tolerance_s", spans[i][0]);
		assert_int_equal(channel_config_check(ac.ch, ac.config, &why),
		    *spans[i][1] != '\0' ? -1 : 0);
		buf_fini(&why);
	}
	/* Nothing names it, so there may be many. */
	buf_init(&why, 100);
	channel_account_name(ac.ch, ac.config, &why);
	assert_int_equal(why.len, 0);
	assert_int_equal(ac.ch->handshake(&ac, "hub.challenge=x", &why), 405);
	assert_int_equal(
	    ac.ch->window(&ac, 1, 1000, NOW).state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(ac.ch->text_max(&ac), 20000);
	buf_fini(&why);
	json_object_put(ac.config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_are_proven),
		cmocka_unit_test(any_change_is_refused),
		cmocka_unit_test(samples_mean_what_is_expected),
		cmocka_unit_test(faults_name_their_member),
		cmocka_unit_test(ids_have_a_length),
		cmocka_unit_test(unusual_but_legal),
		cmocka_unit_test(requests_are_signed),
		cmocka_unit_test(answers_have_classes),
		cmocka_unit_test(the_account_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
