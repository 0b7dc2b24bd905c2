/* Zalo's adapter against the samples, and against what nobody should send. */
#include "channel_fixture.h"

#define NOW 1795000200000LL
#define USER "4830000000000000091"
#define OA "2520000000000000017"

static struct channel_account
account(void)
{
	return sample_account("zalo");
}

static enum channel_verdict
verdict(const struct channel_account *ac, const char *body, size_t len,
    const char *signature)
{
	return hook_verdict(
	    ac, body, len, "X-ZEvent-Signature", signature, NOW);
}

/* "mac=<hex>" of the body, as the platform makes it. */
static const char *
sign(const char *body, const char *app, const char *time)
{
	static char out[80];
	unsigned char mac[32];
	char text[8192];

	snprintf(text, sizeof(text), "%s%s%s%s", app, body, time,
	    "zalo-sample-oa-secret");
	crypto_hash_sha256(mac, (unsigned char *)text, strlen(text));
	memcpy(out, "mac=", 4);
	sodium_bin2hex(out + 4, 65, mac, sizeof(mac));
	return out;
}

/* --- proof --- */

static void
samples_are_proven(void **state)
{
	struct channel_account ac = account();
	struct json_object *all = file_json("signatures.json");
	size_t n = 0;

	(void)state;
	json_object_object_foreach(member(all, "files"), name, headers)
	{
		const char *sig = text_of(headers, "X-ZEvent-Signature");
		char other[100], *body;
		size_t len;

		if (strncmp(name, "zalo-", 5) != 0)
			continue;
		body = file_read(name, &len);
		assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_GOOD);
		snprintf(other, sizeof(other), " MAC = %s ", sig + 4);
		assert_int_equal(verdict(&ac, body, len, other), CHANNEL_GOOD);
		assert_int_equal(
		    verdict(&ac, body, len, sig + 4), CHANNEL_GOOD);
		for (char *p = other; *p != '\0'; p++)
			if (*p >= 'a' && *p <= 'f')
				*p = (char)(*p - 32);
		assert_int_equal(verdict(&ac, body, len, other), CHANNEL_GOOD);

		assert_int_equal(verdict(&ac, body, len, NULL), CHANNEL_FORGED);
		assert_int_equal(verdict(&ac, body, len, ""), CHANNEL_FORGED);
		assert_int_equal(
		    verdict(&ac, body, len, "mac="), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "%.60s", sig);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "sha=%s", sig + 4);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		free(body);
		n++;
	}
	assert_int_equal(n, 16);
	json_object_put(all);
	json_object_put(ac.config);
}

static void
any_change_is_refused(void **state)
{
	struct channel_account ac = account();
	size_t len;
	char *body = file_read("zalo-text.json", &len);
	char sig[80];
	struct sample_header h = { "X-ZEvent-Signature", sig };
	struct channel_hook hook = { .body = body,
		.len = len,
		.now_ms = NOW,
		.header = header_of,
		.arg = &h };

	(void)state;
	snprintf(sig, sizeof(sig), "%s",
	    sign(body, "1845200000000000123", "1795000100001"));
	assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_GOOD);
	changes_are_refused(&ac, &hook);
	proof_changes_are_refused(&ac, &hook, sig, 4, 68);
	/* No secret: nothing can be proven. */
	json_put_str(ac.config, "zalo_oa_secret", "");
	assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_FORGED);
	free(body);
	json_object_put(ac.config);
}

static void
unprovable_is_refused(void **state)
{
	static const char *const bodies[][3] = {
		/* body, app, time */
		{ "{\"app_id\":\"7\",\"timestamp\":\"5\"}", "7", "5" },
		{ "{\"app_id\":\"1845200000000000123\"}", "1845200000000000123",
		    "" },
		{ "{\"timestamp\":\"5\"}", "1845200000000000123", "5" },
		{ "{\"app_id\":\"1845200000000000123\",\"timestamp\":5.5}",
		    "1845200000000000123", "5.5" },
		{ "{\"app_id\":\"1845200000000000123\",\"timestamp\":\"x5\"}",
		    "1845200000000000123", "x5" },
		{ "{\"app_id\":\"1845200000000000123\",\"timestamp\":null}",
		    "1845200000000000123", "" },
		{ "[]", "1845200000000000123", "" },
		{ "null", "1845200000000000123", "" },
		{ "x", "1845200000000000123", "" },
	};
	static const char number[] =
	    "{\"app_id\":1845200000000000123,\"timestamp\":1795000100001}";
	struct channel_account ac = account();

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		assert_int_equal(
		    verdict(&ac, bodies[i][0], strlen(bodies[i][0]),
			sign(bodies[i][0], bodies[i][1], bodies[i][2])),
		    CHANNEL_FORGED);
	/* Numbers instead of strings are as good. */
	assert_int_equal(
	    verdict(&ac, number, strlen(number),
		sign(number, "1845200000000000123", "1795000100001")),
	    CHANNEL_GOOD);
	/* Stale only where a tolerance is set. */
	json_put_str(ac.config, "zalo_sig_tolerance_s", "300");
	assert_int_equal(
	    verdict(&ac, number, strlen(number),
		sign(number, "1845200000000000123", "1795000100001")),
	    CHANNEL_GOOD);
	json_put_str(ac.config, "zalo_sig_tolerance_s", "60");
	assert_int_equal(
	    verdict(&ac, number, strlen(number),
		sign(number, "1845200000000000123", "1795000100001")),
	    CHANNEL_FORGED);
	json_object_put(ac.config);
}

/* --- meaning --- */

static void
samples_mean_what_is_expected(void **state)
{
	struct channel_account ac = account();

	(void)state;
	samples_mean(&ac, "zalo-", 16, NOW);
	json_object_put(ac.config);
}

/* Parse one event written in short: single quotes for double ones. */
static void
event(struct channel_batch *b, const char *text)
{
	struct channel_account ac = account();

	assert_int_equal(short_parse(&ac, text, NOW, b), 0);
	json_object_put(ac.config);
}

#define FROM_USER "'sender':{'id':'" USER "'},'recipient':{'id':'" OA "'}"
#define FROM_OA "'sender':{'id':'" OA "'},'recipient':{'id':'" USER "'}"
#define AT "'timestamp':'1795000100001'"

static void
content_without_a_kind(void **state)
{
	struct channel_batch b;

	(void)state;
	event(&b,
	    "{'event_name':'user_send_business_card'," FROM_USER "," AT
	    ",'message':{'msg_id':'m','attachments':[{'type':'link',"
	    "'payload':{'description':'card','url':'https://u.example'}}]}}");
	assert_int_equal(b.n, 1);
	assert_string_equal(b.items[0].kind, "unsupported");
	assert_string_equal(b.items[0].text, "card");
	channel_batch_fini(&b);

	event(&b, "{'event_name':'user_send_hologram'," FROM_USER "," AT
		  ",'message':{'msg_id':'m','text':'hm'}}");
	assert_string_equal(b.items[0].kind, "unsupported");
	assert_string_equal(b.items[0].text, "hm");
	channel_batch_fini(&b);

	/* An image without its address still came. */
	event(&b,
	    "{'event_name':'user_send_image'," FROM_USER "," AT
	    ",'message':{'msg_id':'m','attachments':[{'type':'image'}]}}");
	assert_int_equal(b.n, 1);
	assert_string_equal(b.items[0].kind, "unsupported");
	assert_null(b.items[0].text);
	channel_batch_fini(&b);

	event(&b,
	    "{'event_name':'user_send_link'," FROM_USER "," AT
	    ",'message':{'msg_id':'m','attachments':[{'type':'link',"
	    "'payload':{'description':'d','url':'https://u.example'}}]}}");
	assert_string_equal(b.items[0].kind, "text");
	assert_string_equal(b.items[0].text, "https://u.example");
	channel_batch_fini(&b);

	/* Unknown names are no fault. */
	event(&b, "{'event_name':'user_reacted_message'," FROM_USER "," AT "}");
	assert_int_equal(b.n, 1);
	assert_int_equal(b.items[0].op, CHANNEL_NOTE);
	channel_batch_fini(&b);
	event(&b, "{'event_name':'oa_send_consent'," FROM_OA "," AT "}");
	assert_int_equal(b.items[0].op, CHANNEL_NOTE);
	channel_batch_fini(&b);
	event(&b, "{'a':1}");
	assert_int_equal(b.n, 0);
	assert_int_equal(b.skipped, 1);
	channel_batch_fini(&b);
}

static void
several_attachments_are_rows(void **state)
{
	struct channel_batch b;

	(void)state;
	event(&b, "{'event_name':'user_send_image'," FROM_USER "," AT
		  ",'message':{'msg_id':'m','quote_msg_id':9007199254740993,"
		  "'text':'two','attachments':["
		  "{'type':'image','payload':{'url':'https://a.example'}},7,"
		  "{'type':'image','payload':{'url':'https://b.example'}}]}}");
	assert_int_equal(b.n, 2);
	assert_string_equal(b.items[0].message_id, "m");
	assert_string_equal(b.items[0].text, "two");
	assert_string_equal(b.items[1].message_id, "m#1");
	assert_null(b.items[1].text);
	assert_string_equal(b.items[1].media_url, "https://b.example");
	assert_string_equal(b.items[1].reply_to, "9007199254740993");
	channel_batch_fini(&b);
}

static void
ids_times_and_places(void **state)
{
	struct channel_batch b;

	(void)state;
	event(&b, "{'event_name':'user_send_location','sender':{'id':"
		  "4830000000000000091},'recipient':{'id':2520000000000000017},"
		  "'timestamp':1795000100,'message':{'attachments':[{'type':"
		  "'location','payload':{'coordinates':{'latitude':0,"
		  "'longitude':'-0.5'}}}]}}");
	assert_int_equal(b.n, 1);
	assert_string_equal(b.items[0].user, USER);
	assert_string_equal(b.items[0].message_id, "zalo:1795000100:" USER);
	assert_int_equal(b.items[0].sent_at, 1795000100000);
	assert_true(b.items[0].located);
	assert_true(b.items[0].lat == 0 && b.items[0].lon == -0.5);
	channel_batch_fini(&b);

	event(&b,
	    "{'event_name':'user_send_location'," FROM_USER "," AT
	    ",'message':{'msg_id':'m','attachments':[{'type':'location',"
	    "'payload':{'coordinates':{'latitude':'91','longitude':'0'}}}]}}");
	assert_string_equal(b.items[0].kind, "unsupported");
	channel_batch_fini(&b);
	event(&b,
	    "{'event_name':'user_send_location'," FROM_USER "," AT
	    ",'message':{'msg_id':'m','attachments':[{'type':'location',"
	    "'payload':{'coordinates':{'latitude':'nan','longitude':0}}}]}}");
	assert_string_equal(b.items[0].kind, "unsupported");
	channel_batch_fini(&b);

	/* Without a time it came now. */
	event(&b, "{'event_name':'user_send_text'," FROM_USER
		  ",'message':{'msg_id':'m','text':'a\\u0000\\ud800b'}}");
	assert_int_equal(b.items[0].sent_at, NOW);
	assert_string_equal(b.items[0].text, "a\xef\xbf\xbd\xef\xbf\xbd"
					     "b");
	channel_batch_fini(&b);
}

/* Nothing for us; ${n} accounts it may be for, the first of them 777. */
static void
astray(const char *text, size_t n)
{
	struct channel_batch b;

	event(&b, text);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.skipped, 1);
	assert_int_equal(b.nastray, n);
	assert_string_equal(b.astray[0], "777");
	channel_batch_fini(&b);
}

static void
who_speaks_to_whom(void **state)
{
	struct channel_batch b;

	(void)state;
	event(&b,
	    "{'event_name':'anonymous_send_text'," FROM_USER "," AT
	    ",'message':{'msg_id':'m','text':'t','conversation_id':'c9'}}");
	assert_string_equal(b.items[0].conversation, "c9");
	assert_string_equal(b.items[0].user, USER);
	channel_batch_fini(&b);

	event(&b, "{'event_name':'oa_send_group_text','sender':{'id':'" OA
		  "'},'recipient':{'id':'g1'}," AT
		  ",'message':{'msg_id':'m','text':'t'}}");
	assert_true(b.items[0].out);
	assert_string_equal(b.items[0].conversation, "g1");
	assert_null(b.items[0].user);
	channel_batch_fini(&b);

	event(&b, "{'event_name':'oa_send_text','sender':{'id':'" OA
		  "','admin_id':'7001'},'recipient':{'id':'" USER "'}," AT
		  ",'message':{'msg_id':'m','text':'t'}}");
	assert_true(b.items[0].out && b.items[0].by_person);
	channel_batch_fini(&b);

	/* Another account's are not ours: they are left for that one. */
	astray("{'event_name':'user_send_text','sender':{'id':'" USER
	       "'},'recipient':{'id':'777'}," AT
	       ",'message':{'msg_id':'m','text':'t'}}",
	    1);
	astray("{'event_name':'oa_send_text','sender':{'id':'777'},"
	       "'recipient':{'id':'" USER "'}," AT
	       ",'message':{'msg_id':'m','text':'t'}}",
	    1);
	astray("{'event_name':'follow','oa_id':'777','follower':{'id':'" USER
	       "'}," AT "}",
	    1);
	astray("{'event_name':'user_send_group_text','oa_id':'777',"
	       "'sender':{'id':'" USER "'},'recipient':{'id':'g1'}," AT
	       ",'message':{'msg_id':'m','text':'t'}}",
	    1);
	astray("{'event_name':'oa_send_group_text','sender':{'id':'777'},"
	       "'recipient':{'id':'g1'}," AT
	       ",'message':{'msg_id':'m','text':'t'}}",
	    1);
	astray("{'event_name':'user_seen_message','sender':{'id':'777'},"
	       "'recipient':{'id':'" USER "'}," AT ",'message':{'msg_id':'m'}}",
	    2);

	/* Receipts come in either direction. */
	event(&b, "{'event_name':'user_seen_message'," FROM_USER "," AT
		  ",'message':{'msg_id':'m'}}");
	assert_string_equal(b.items[0].conversation, USER);
	assert_string_equal(b.items[0].ids[0], "m");
	channel_batch_fini(&b);
	event(&b, "{'event_name':'user_received_message'," FROM_OA "," AT
		  ",'message':{'msg_ids':[5,'b',{}]}}");
	assert_int_equal(b.items[0].nids, 2);
	assert_string_equal(b.items[0].ids[0], "5");
	channel_batch_fini(&b);
	/* Template notices: flat, with a phone number, no message. */
	event(&b, "{'event_name':'user_received_message','sender':{'id':'" OA
		  "'},'recipient':{'id':'84900'},'msg_id':'x'," AT "}");
	assert_int_equal(b.n, 0);
	channel_batch_fini(&b);
}

/* --- sending --- */

static struct channel_out
out_of(const char *file)
{
	struct channel_out out = { .number = 7,
		.uuid = "u",
		.kind = "text",
		.user = USER,
		.conversation = USER };

	if (strstr(file, "text") != NULL) {
		out.text = "Dạ giá vé là 350.000đ ạ";
	} else if (strstr(file, "image") != NULL) {
		out.kind = "image";
		out.text = "Sơ đồ ga";
		out.media_path = "/nowhere/a.png";
		out.mime = "image/png";
		out.step = 1;
		snprintf(out.handle, sizeof(out.handle), "zAtt0001");
	} else {
		out.kind = "file";
		out.media_path = "/nowhere/a.pdf";
		out.mime = "application/pdf";
		out.step = strstr(file, "upload") == NULL;
		snprintf(out.handle, sizeof(out.handle), "zTok0001");
	}
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
	assert_int_equal(channel_zalo.send(&ac, &out, &req), upload ? 1 : 0);
	request_is(&req, member(sample, "request"), "https://openapi.zalo.me");
	if (upload)
		assert_string_equal(req.file_field, "file");
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
	exchange("zalo-out-text.json");
	exchange("zalo-out-image.json");
	exchange("zalo-out-file.json");
	exchange("zalo-out-upload-file.json");
}

static void
answers_have_classes(void **state)
{
	struct channel_out out = out_of("text");
	struct channel_account ac = account();
	struct channel_result rs;

	(void)state;
#define SAYS(status, text) answer_to(&ac, &out, status, text, strlen(text))
	rs = SAYS(200, "{\"error\":0,\"data\":{\"message_id\":\"m1\"}}");
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "m1");
	rs = SAYS(200,
	    "{\"error\":\"0\",\"data\":{\"message_id\":12345678901234567890}}");
	assert_string_equal(rs.message_id, "12345678901234567890");
	rs = SAYS(200, "{\"error\":-32,\"message\":\"slow\"}");
	assert_int_equal(rs.cls, CHANNEL_RETRY);
	assert_true(rs.hold && rs.wait_s == 60);
	rs = SAYS(200, "{\"error\":-216}");
	assert_true(rs.cls == CHANNEL_REAUTH && rs.refreshable);
	rs = SAYS(200, "{\"error\":-224}");
	assert_true(rs.cls == CHANNEL_REAUTH && !rs.refreshable);
	rs = SAYS(200, "{\"error\":-99999,\"message\":\"x\\ny\"}");
	assert_int_equal(rs.cls, CHANNEL_PERMANENT);
	assert_string_equal(rs.message, "x y");
	assert_int_equal(SAYS(200, "{}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(200, "[]").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(200, "<html>").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(200, "").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(502, "{\"error\":0}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(500, "oops").cls, CHANNEL_UNKNOWN);
	assert_int_equal(SAYS(429, "oops").cls, CHANNEL_RETRY);
	assert_int_equal(SAYS(429, "oops").wait_s, 60);

	/* Refused with a quote: once without, but not when the window is shut.
	 */
	out.quote = "q";
	assert_int_equal(SAYS(200, "{\"error\":-201}").cls, CHANNEL_RETRY_BARE);
	assert_int_equal(SAYS(200, "{\"error\":-230}").cls, CHANNEL_PERMANENT);
	out.quote = NULL;
#undef SAYS

	/* How far it came decides, when there is no answer. */
	no_answer_is(&ac, &out, CHANNEL_UNKNOWN);
	rs = answer_later(&ac, &out, 200, "{\"error\":-32}", 90);
	assert_int_equal(rs.wait_s, 90);
	json_object_put(ac.config);
}

static void
what_cannot_go_says_so(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = out_of("text");
	struct http_request rq;
	struct json_object *body = NULL;

	(void)state;
	http_request_init(&rq, "POST");
	out.conversation = "g7";
	assert_int_equal(channel_zalo.send(&ac, &out, &rq), -1);
	out = out_of("text");
	out.text = NULL;
	assert_int_equal(channel_zalo.send(&ac, &out, &rq), -1);
	json_put_str(ac.config, "zalo_access_token", "a\nb");
	assert_int_equal(channel_zalo.send(&ac,
			     &(struct channel_out){ .kind = "text",
				 .text = "t",
				 .user = "u",
				 .conversation = "u" },
			     &rq),
	    -1);
	http_request_fini(&rq);

	/* What the platform does not take as a file goes as a link. */
	json_put_str(ac.config, "zalo_access_token", "a");
	http_request_init(&rq, "POST");
	out = out_of("text");
	out.kind = "file";
	out.text = NULL;
	out.mime = "application/zip";
	out.media_url = "https://shop.example/f.zip";
	assert_int_equal(channel_zalo.send(&ac, &out, &rq), 0);
	assert_int_equal(channel_json(rq.body.data, rq.body.len, &body), 0);
	assert_string_equal(
	    text_of(member(body, "message"), "text"), out.media_url);
	assert_string_equal(channel_zalo.said(&ac, &out), out.media_url);
	out.kind = "image";
	assert_null(channel_zalo.said(&ac, &out));
	json_object_put(body);
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
#define WINDOW(age, n) channel_zalo.window(&ac, now - (age), n, now)
	r = WINDOW(hour, 0);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.free_until, now + 47 * hour);
	assert_int_equal(r.until, now + 167 * hour);
	assert_int_equal(r.free_left, 8);
	r = WINDOW(48 * hour, 7);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.free_left, 1);

	/* The ninth costs, whatever the account allows after two days. */
	r = WINDOW(hour, 8);
	assert_int_equal(r.state, CHANNEL_WINDOW_PAID);
	assert_int_equal(r.free_left, 0);
	assert_int_equal(WINDOW(hour, 800).free_left, 0);

	/* Then only paid ones, where they are allowed; then none. */
	r = WINDOW(48 * hour + 1, 0);
	assert_int_equal(r.state, CHANNEL_WINDOW_CLOSED);
	assert_true(r.until > now);
	assert_int_equal(r.free_left, 0);
	json_put_str(ac.config, "zalo_allow_paid", "1");
	assert_int_equal(WINDOW(48 * hour + 1, 0).state, CHANNEL_WINDOW_PAID);
	assert_int_equal(WINDOW(168 * hour, 0).state, CHANNEL_WINDOW_PAID);
	r = WINDOW(168 * hour + 1, 0);
	assert_int_equal(r.state, CHANNEL_WINDOW_CLOSED);
	assert_true(r.until < now);

	/* Who never wrote may have followed: nothing is known. */
	r = channel_zalo.window(&ac, 0, 0, now);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, 0);
#undef WINDOW
	json_object_put(ac.config);
}

static void
tokens_are_renewed(void **state)
{
	struct channel_account ac = account();
	struct json_object *sample = file_json("zalo-out-refresh.json"), *set;
	struct json_object *list = member(sample, "responses");
	struct http_request rq;
	struct http_answer an;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_zalo.refresh(&ac, &rq), 1);
	assert_string_equal(
	    rq.url.data, "https://oauth.zaloapp.com/v4/oa/access_token");
	assert_non_null(
	    strstr(rq.headers.data, "secret_key: zalo-sample-app-secret\n"));
	assert_string_equal(rq.body.data,
	    "refresh_token=zalo-sample-refresh-1&app_id=1845200000000000123"
	    "&grant_type=refresh_token");
	http_request_fini(&rq);

	for (size_t i = 0; i < 2; i++) {
		const char *body = json_object_to_json_string(
		    member(json_object_array_get_idx(list, i), "body"));

		answer_init(&an, 200, body);
		set = channel_zalo.refreshed(&ac, &an, NOW);
		if (i == 0) {
			assert_string_equal(text_of(set, "zalo_access_token"),
			    "zalo-sample-access-2");
			assert_string_equal(text_of(set, "zalo_refresh_token"),
			    "zalo-sample-refresh-2");
			assert_string_equal(
			    text_of(set, "zalo_token_expires_at"),
			    "1795090200000");
		} else {
			assert_null(set);
		}
		json_object_put(set);
		http_answer_fini(&an);
	}
	json_put_str(ac.config, "zalo_refresh_token", "");
	http_request_init(&rq, "POST");
	assert_int_equal(channel_zalo.refresh(&ac, &rq), 0);
	http_request_fini(&rq);
	json_object_put(sample);
	json_object_put(ac.config);
}

static void
profiles_are_read(void **state)
{
	struct channel_account ac = account();
	struct json_object *sample = file_json("zalo-out-profile.json");
	const char *body = sample_answer(sample);
	struct channel_profile pf;
	struct http_request rq;
	struct http_answer an;

	(void)state;
	http_request_init(&rq, "GET");
	assert_int_equal(channel_zalo.profile(&ac, USER, USER, &rq), 1);
	assert_string_equal(rq.url.data,
	    "https://openapi.zalo.me/v3.0/oa/user/detail?data="
	    "%7B%22user_id%22%3A%22" USER "%22%7D");
	http_request_fini(&rq);
	answer_init(&an, 200, body);
	assert_int_equal(channel_zalo.profiled(&ac, &an, &pf), CHANNEL_SENT);
	assert_string_equal(pf.name, "Nguyễn Văn A");
	assert_string_equal(pf.avatar_url, "https://s240.example/a.jpg");
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
		cmocka_unit_test(unprovable_is_refused),
		cmocka_unit_test(samples_mean_what_is_expected),
		cmocka_unit_test(content_without_a_kind),
		cmocka_unit_test(several_attachments_are_rows),
		cmocka_unit_test(ids_times_and_places),
		cmocka_unit_test(who_speaks_to_whom),
		cmocka_unit_test(exchanges_are_as_sampled),
		cmocka_unit_test(answers_have_classes),
		cmocka_unit_test(what_cannot_go_says_so),
		cmocka_unit_test(windows_are_judged),
		cmocka_unit_test(tokens_are_renewed),
		cmocka_unit_test(profiles_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
