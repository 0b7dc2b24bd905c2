/* Messenger's adapter against the samples, and against what nobody sends. */
#include "channel_fixture.h"

#define NOW 1795000200000LL
#define HOUR 3600000LL
#define USER "7310000000000011"
#define PAGE "104857600000001"
#define SECRET "fb-sample-app-secret-0001"
#define SEND_URL                                 \
	"https://graph.facebook.com/v25.0/" PAGE \
	"/messages?access_token=fb-sample-page-token"

static struct channel_account
account(void)
{
	return sample_account("facebook");
}

static enum channel_verdict
verdict(const struct channel_account *ac, const char *body, size_t len,
    const char *signature)
{
	return hook_verdict(
	    ac, body, len, "X-Hub-Signature-256", signature, NOW);
}

/* --- handshake and proof --- */

static int
handshake(const char *query, const char *want)
{
	struct channel_account ac = account();
	struct buf out;
	int status;

	buf_init(&out, 512);
	status = channel_facebook.handshake(&ac, query, &out);
	if (want != NULL)
		assert_string_equal(out.len > 0 ? out.data : "", want);
	buf_fini(&out);
	json_object_put(ac.config);
	return status;
}

#define TOKEN "hub.verify_token=fb-sample-verify-token"

static void
handshakes_are_checked(void **state)
{
	char longest[1000];

	(void)state;
	assert_int_equal(
	    handshake("hub.mode=subscribe&" TOKEN "&hub.challenge=1158201444",
		"1158201444"),
	    200);
	/* In any order, percent-encoded; the challenge as it is, if harmless.
	 */
	assert_int_equal(
	    handshake("x=1&hub.challenge=aZ%2D9_.%30&hub%2Emode="
		      "subscri%62e&hub.verify_token=fb%2Dsample-verify-token",
		"aZ-9_.0"),
	    200);
	assert_int_equal(
	    handshake(
		"hub.mode=subscribe&" TOKEN "&hub.challenge=a%3Cb%3E", NULL),
	    403);
	assert_int_equal(
	    handshake("hub.mode=subscribe&" TOKEN "&hub.challenge=a+b", NULL),
	    403);
	assert_int_equal(
	    handshake("hub.mode=subscribe&" TOKEN "&hub.challenge=", ""), 200);

	assert_int_equal(handshake("", NULL), 403);
	assert_int_equal(handshake("hub.mode=subscribe&" TOKEN, NULL), 403);
	assert_int_equal(handshake(TOKEN "&hub.challenge=1", NULL), 403);
	assert_int_equal(
	    handshake("hub.mode=unsubscribe&" TOKEN "&hub.challenge=1", NULL),
	    403);
	assert_int_equal(
	    handshake("hub.mode=subscribe&" TOKEN "x&hub.challenge=1", NULL),
	    403);
	assert_int_equal(
	    handshake(
		"hub.mode=subscribe&hub.verify_token=&hub.challenge=1", NULL),
	    403);
	assert_int_equal(
	    handshake("hub.mode=subscribe&hub.verify_token=Fb-sample-verify-"
		      "token&hub.challenge=1",
		NULL),
	    403);
	assert_int_equal(
	    handshake("hub.mode=subscribe&" TOKEN "&hub.challenge=%0", NULL),
	    403);
	assert_int_equal(
	    handshake("hub.mode=subscribe&" TOKEN "&hub.challenge=a%00b", NULL),
	    403);
	snprintf(longest, sizeof(longest),
	    "hub.mode=subscribe&" TOKEN "&hub.challenge=%0*d", 257, 7);
	assert_int_equal(handshake(longest, NULL), 403);
	longest[strlen(longest) - 1] = '\0';
	assert_int_equal(handshake(longest, strrchr(longest, '=') + 1), 200);
}

static void
without_a_verify_token_there_is_no_handshake(void **state)
{
	struct channel_account ac = account();
	struct buf out;

	(void)state;
	buf_init(&out, 512);
	json_put_str(ac.config, "fb_verify_token", "");
	assert_int_equal(
	    channel_facebook.handshake(&ac,
		"hub.mode=subscribe&hub.verify_token=&hub.challenge=1", &out),
	    403);
	buf_fini(&out);
	json_object_put(ac.config);
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
		const char *sig = text_of(headers, "X-Hub-Signature-256");
		char other[100], *body;
		size_t len;

		if (strncmp(name, "facebook-", 9) != 0)
			continue;
		body = file_read(name, &len);
		assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_GOOD);
		snprintf(other, sizeof(other), " %s ", sig);
		assert_int_equal(verdict(&ac, body, len, other), CHANNEL_GOOD);
		for (char *p = other + 8; *p != '\0'; p++)
			if (*p >= 'a' && *p <= 'f')
				*p = (char)(*p - 32);
		assert_int_equal(verdict(&ac, body, len, other), CHANNEL_GOOD);

		assert_int_equal(verdict(&ac, body, len, NULL), CHANNEL_FORGED);
		assert_int_equal(verdict(&ac, body, len, ""), CHANNEL_FORGED);
		assert_int_equal(
		    verdict(&ac, body, len, "sha256="), CHANNEL_FORGED);
		assert_int_equal(
		    verdict(&ac, body, len, sig + 7), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "sha1=%s", sig + 7);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "%.70s", sig);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "%s0", sig);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		snprintf(other, sizeof(other), "%sx", sig);
		assert_int_equal(
		    verdict(&ac, body, len, other), CHANNEL_FORGED);
		assert_int_equal(
		    verdict(&ac, body, len, meta_sign(body, len, "another")),
		    CHANNEL_FORGED);
		free(body);
		n++;
	}
	assert_int_equal(n, 18);
	json_object_put(all);
	json_object_put(ac.config);
}

static void
any_change_is_refused(void **state)
{
	struct channel_account ac = account();
	size_t len;
	char *body = file_read("facebook-text-escaped.json", &len);
	char sig[80];
	struct sample_header h = { "X-Hub-Signature-256", sig };
	struct channel_hook hook = { .body = body,
		.len = len,
		.now_ms = NOW,
		.header = header_of,
		.arg = &h };

	(void)state;
	snprintf(sig, sizeof(sig), "%s", meta_sign(body, len, SECRET));
	assert_int_equal(verdict(&ac, body, len, sig), CHANNEL_GOOD);
	changes_are_refused(&ac, &hook);
	proof_changes_are_refused(&ac, &hook, sig, 7, 71);
	/* The bytes count, not what they mean: it need be no JSON. */
	assert_int_equal(
	    verdict(&ac, "\t\r\n@\\/", 6, meta_sign("\t\r\n@\\/", 6, SECRET)),
	    CHANNEL_GOOD);
	assert_int_equal(
	    verdict(&ac, "", 0, meta_sign("", 0, SECRET)), CHANNEL_GOOD);
	/* No secret: nothing can be proven. */
	json_put_str(ac.config, "fb_app_secret", "");
	assert_int_equal(
	    verdict(&ac, body, len, meta_sign(body, len, "")), CHANNEL_FORGED);
	free(body);
	json_object_put(ac.config);
}

/* --- meaning --- */

static void
samples_mean_what_is_expected(void **state)
{
	struct channel_account ac = account();

	(void)state;
	samples_mean(&ac, "facebook-", 18, NOW);
	json_object_put(ac.config);
}

/* Parse a body written in short: single quotes for double ones. */
static void
body_of(struct channel_batch *b, const char *text)
{
	struct channel_account ac = account();

	assert_int_equal(short_parse(&ac, text, NOW, b), 0);
	json_object_put(ac.config);
}

/* The same, of one event of our page. */
static void
event(struct channel_batch *b, const char *text)
{
	char body[8192];

	snprintf(body, sizeof(body),
	    "{'object':'page','entry':[{'id':'" PAGE
	    "','time':1795000100009,'messaging':[%s]}]}",
	    text);
	body_of(b, body);
}

#define FROM_USER "'sender':{'id':'" USER "'},'recipient':{'id':'" PAGE "'}"
#define FROM_PAGE "'sender':{'id':'" PAGE "'},'recipient':{'id':'" USER "'}"
#define AT "'timestamp':1795000100001"
#define IN "{" FROM_USER "," AT ",'message':"
#define ECHO "{" FROM_PAGE "," AT ",'message':{'is_echo':true,'mid':'m',"

static void
echoes_name_who_sent_them(void **state)
{
	static const struct {
		const char *more;
		int64_t number;
		bool person;
	} echoes[] = {
		{ "'metadata':'parley:1001','app_id':908070605040302", 1001,
		    false },
		{ "'metadata':'parley:123456789012345678'",
		    123456789012345678LL, false },
		{ "'metadata':'parley:'", 0, false },
		{ "'metadata':'parley:12x'", 0, false },
		{ "'metadata':'parley:-1'", 0, false },
		{ "'metadata':'parley:1234567890123456789'", 0, false },
		{ "'metadata':'Parley:7'", 0, false },
		{ "'metadata':7", 0, false },
		{ "'app_id':263902037430900", 0, true },
		{ "'app_id':'263902037430900'", 0, true },
		{ "'app_id':111222333444555", 0, false },
	};
	struct channel_batch b;
	char text[600];

	(void)state;
	for (size_t i = 0; i < sizeof(echoes) / sizeof(echoes[0]); i++) {
		snprintf(
		    text, sizeof(text), ECHO "'text':'t',%s}}", echoes[i].more);
		event(&b, text);
		assert_int_equal(b.n, 1);
		assert_true(b.items[0].out);
		assert_string_equal(b.items[0].user, USER);
		assert_string_equal(b.items[0].conversation, USER);
		assert_int_equal(b.items[0].outbound, echoes[i].number);
		assert_int_equal(b.items[0].by_person, echoes[i].person);
		channel_batch_fini(&b);
	}
	/* Only an echo settles something of ours. */
	event(&b, IN "{'mid':'m','text':'t','metadata':'parley:1001'}}");
	assert_false(b.items[0].out);
	assert_int_equal(b.items[0].outbound, 0);
	channel_batch_fini(&b);
}

static void
messages_taken_back_and_edited(void **state)
{
	struct channel_batch b;

	(void)state;
	event(&b, IN "{'mid':'m','is_deleted':true}}");
	assert_int_equal(b.n, 1);
	assert_int_equal(b.items[0].op, CHANNEL_DELETE);
	assert_string_equal(b.items[0].message_id, "m");
	channel_batch_fini(&b);

	event(&b, "{" FROM_USER "," AT ",'message_edit':{'mid':'m','text':"
		  "'new','num_edit':'3'}}");
	assert_int_equal(b.items[0].op, CHANNEL_EDIT);
	assert_int_equal(b.items[0].version, 3);
	assert_string_equal(b.items[0].text, "new");
	channel_batch_fini(&b);
	event(
	    &b, "{" FROM_PAGE "," AT ",'message_edit':{'mid':'m','text':''}}");
	assert_int_equal(b.items[0].version, 1795000100001);
	assert_string_equal(b.items[0].text, "");
	assert_string_equal(b.items[0].user, USER);
	channel_batch_fini(&b);
	event(&b, "{" FROM_USER "," AT ",'message_edit':{'mid':'m'}},"
		  "{" FROM_USER "," AT ",'message_edit':{'text':'t'}},"
		  "{'sender':{'id':'1'},'recipient':{'id':'2'}," AT
		  ",'message_edit':{'mid':'m','text':'t'}}");
	assert_int_equal(b.n, 0);
	assert_int_equal(b.skipped, 3);
	channel_batch_fini(&b);
}

static void
postbacks_have_an_id(void **state)
{
	struct channel_batch b;

	(void)state;
	event(&b,
	    "{" FROM_USER "," AT ",'postback':{'title':'Go','payload':'GO'}}");
	assert_string_equal(b.items[0].message_id, "pb:" USER ":1795000100001");
	channel_batch_fini(&b);
	event(&b, "{" FROM_USER "," AT ",'postback':{'mid':'m',"
		  "'payload':'GO'}}");
	assert_string_equal(b.items[0].text, "GO");
	assert_string_equal(b.items[0].message_id, "m");
	channel_batch_fini(&b);
	/* Another app's thread: shown, and without the payload. */
	body_of(&b, "{'object':'page','entry':[{'id':'" PAGE
		    "','time':1795000100009,'standby':[{" FROM_USER "," AT
		    ",'postback':{'mid':'m','title':'Go'}}]}]}");
	assert_int_equal(b.n, 1);
	assert_true(b.items[0].standby);
	assert_string_equal(b.items[0].text, "Go");
	assert_null(b.items[0].payload);
	channel_batch_fini(&b);
}

#define FILE_OF(type, more)                                            \
	"{'type':'" type "','payload':{'url':'https://x.example/" type \
	"'" more "}}"

static void
attachments_are_rows(void **state)
{
	struct channel_batch b;

	(void)state;
	event(&b,
	    IN "{'mid':'m','text':'c','quick_reply':{'payload':'Q'},"
	       "'reply_to':{'mid':'r'},'attachments':[" FILE_OF(
		   "reel", "") ",7,{'type':'hologram'}," FILE_OF("ig_reel",
		   "") "," FILE_OF("image", ",'sticker_id':5") ",{'type':"
							       "'image'}]}}");
	assert_int_equal(b.n, 3);
	assert_string_equal(b.items[0].kind, "video");
	assert_string_equal(b.items[0].text, "c");
	assert_string_equal(b.items[1].message_id, "m#1");
	assert_null(b.items[1].text);
	assert_string_equal(b.items[2].kind, "sticker");
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(b.items[i].payload, "Q");
		assert_string_equal(b.items[i].reply_to, "r");
	}
	channel_batch_fini(&b);

	event(&b, IN "{'mid':'m','attachments':[{'type':'location','title':"
		     "'Here','payload':{'coordinates':{'lat':0,'long':-0.5}}}"
		     "]}}");
	assert_string_equal(b.items[0].kind, "location");
	assert_string_equal(b.items[0].text, "Here");
	assert_true(b.items[0].located);
	assert_true(b.items[0].lat == 0 && b.items[0].lon == -0.5);
	channel_batch_fini(&b);
	event(&b, IN "{'mid':'m','attachments':[{'type':'location','title':"
		     "'Here','payload':{'coordinates':{'lat':90.5,'long':0}}}"
		     "]}}");
	assert_string_equal(b.items[0].kind, "unsupported");
	assert_string_equal(b.items[0].text, "Here");
	channel_batch_fini(&b);

	/* An echo of several files settles one delivery, by its first row. */
	event(&b, ECHO "'metadata':'parley:9','attachments':[" FILE_OF(
		      "image", "") "," FILE_OF("file", "") "]}}");
	assert_int_equal(b.n, 2);
	assert_int_equal(b.items[0].outbound, 9);
	assert_int_equal(b.items[1].outbound, 0);
	channel_batch_fini(&b);
}

static void
content_without_a_kind(void **state)
{
	static const struct {
		const char *attachment, *text;
	} odd[] = {
		{ "{'type':'fallback','title':'T','url':'https://u.example'}",
		    "T" },
		{ "{'type':'fallback','url':'https://u.example'}",
		    "https://u.example" },
		{ "{'type':'template','payload':{'template_type':'generic'}}",
		    NULL },
		{ "{'type':'template','payload':{'title':'P'}}", "P" },
		{ "{'type':'post','payload':{'url':'https://p.example'}}",
		    "https://p.example" },
		{ "{'type':'ig_post','payload':{'title':'I','url':'x'}}", "I" },
		{ "{'type':'appointment_booking'}", NULL },
		{ "{'type':'image','payload':{'url':''}}", NULL },
		{ "{'type':'image','payload':null}", NULL },
		{ "{'type':5}", NULL },
		{ "[]", NULL },
		{ "null", NULL },
	};
	struct channel_batch b;
	char text[500];

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(text, sizeof(text),
		    IN "{'mid':'m','attachments':["
		       "%s]}}",
		    odd[i].attachment);
		event(&b, text);
		assert_int_equal(b.n, 1);
		assert_string_equal(b.items[0].kind, "unsupported");
		if (odd[i].text == NULL)
			assert_null(b.items[0].text);
		else
			assert_string_equal(b.items[0].text, odd[i].text);
		channel_batch_fini(&b);

		snprintf(text, sizeof(text),
		    IN "{'mid':'m','text':'words',"
		       "'attachments':[%s]}}",
		    odd[i].attachment);
		event(&b, text);
		assert_int_equal(b.n, 1);
		assert_string_equal(b.items[0].kind, "text");
		assert_string_equal(b.items[0].text, "words");
		channel_batch_fini(&b);
	}
	event(&b, IN "{'mid':'m'}}");
	assert_string_equal(b.items[0].kind, "unsupported");
	channel_batch_fini(&b);
	event(&b, IN "{'mid':'m','attachments':{'type':'image'}}}");
	assert_string_equal(b.items[0].kind, "unsupported");
	channel_batch_fini(&b);
}

static void
receipts_by_ids_and_watermark(void **state)
{
	struct channel_batch b;

	(void)state;
	event(&b, "{" FROM_USER ",'delivery':{'mids':['a',7,'','b'],"
		  "'watermark':1795000019}}");
	assert_string_equal(b.items[0].status, "delivered");
	assert_int_equal(b.items[0].nids, 2);
	assert_string_equal(b.items[0].ids[1], "b");
	assert_int_equal(b.items[0].watermark, 1795000019000);
	assert_int_equal(b.items[0].sent_at, 1795000100009); /* the entry's */
	channel_batch_fini(&b);
	event(&b, "{" FROM_USER ",'delivery':{'watermark':1795000019500}},"
		  "{" FROM_USER "," AT ",'read':{'watermark':'1795000019500',"
		  "'mids':7}}");
	assert_int_equal(b.n, 2);
	assert_int_equal(b.items[0].nids, 0);
	assert_string_equal(b.items[1].status, "read");
	assert_int_equal(b.items[1].watermark, 1795000019500);
	channel_batch_fini(&b);
	/* Not from the customer: nothing of ours was read. */
	event(&b, "{" FROM_PAGE "," AT ",'read':{'watermark':1795000019500}}");
	assert_int_equal(b.n, 0);
	assert_int_equal(b.skipped, 1);
	channel_batch_fini(&b);
}

static void
what_is_not_ours_is_passed_over(void **state)
{
	static const char *const strange[] = { "7", "null", "[]", "'x'",
		"{" AT ",'message':{'mid':'m','text':'t'}}",
		"{" FROM_USER "," AT ",'message':{'text':'no id'}}",
		"{" FROM_USER "," AT ",'message':{'mid':'','text':'t'}}",
		"{'sender':{'id':'" USER "'}," AT
		",'message':{'mid':'m','text':'t'}}",
		"{'sender':{'id':''},'recipient':{'id':'" PAGE "'}," AT
		",'message':{'mid':'m','text':'t'}}",
		"{'sender':{'id':'" USER "'},'recipient':{'id':'777'}," AT
		",'message':{'mid':'m','text':'t'}}",
		"{'sender':{'id':'" PAGE "'},'recipient':{'id':'" PAGE "'}," AT
		",'message':{'mid':'m','text':'t'}}",
		"{" FROM_USER "," AT
		",'message':{'mid':'m','is_echo':true,'text':'t'}}",
		"{" FROM_PAGE "," AT ",'message':{'mid':'m','text':'t'}}",
		"{" FROM_PAGE "," AT ",'postback':{'mid':'m','title':'t'}}" };
	static const char *const bodies[] = { "[]", "7", "null", "{}",
		"{'object':'page'}", "{'object':'page','entry':{}}",
		"{'object':'user','entry':[{'id':'" PAGE "'}]}",
		"{'object':'instagram','entry':[{'id':'" PAGE
		"','messaging':[" IN "{'mid':'m','text':'t'}}]}]}",
		"{'object':'page','entry':[7]}",
		"{'object':'page','entry':[{'messaging':[" IN
		"{'mid':'m','text':'t'}}]}]}",
		"{'object':'page','entry':[{'id':'777','messaging':[" IN
		"{'mid':'m','text':'t'}}]}]}",
		"{'object':'page','entry':[{'id':'" PAGE
		"','changes':[{'field':'feed','value':{}}]}]}" };
	struct channel_batch b;
	char text[600];

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		body_of(&b, bodies[i]);
		assert_int_equal(b.n, 0);
		assert_int_equal(
		    b.nastray, strstr(bodies[i], "777") != NULL ? 1 : 0);
		channel_batch_fini(&b);
	}
	/* What others of the application may take is named, each once. */
	body_of(&b, "{'object':'page','entry':[{'id':'777'},{'id':'778'},"
		    "{'id':'777'},{'id':''}]}");
	assert_int_equal(b.skipped, 4);
	assert_int_equal(b.nastray, 2);
	assert_string_equal(b.astray[0], "777");
	assert_string_equal(b.astray[1], "778");
	channel_batch_fini(&b);
	/* A bad one in the middle costs its neighbours nothing. */
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		snprintf(text, sizeof(text),
		    IN "{'mid':'a','text':'t'}},%s," IN
		       "{'mid':'b','text':'t'}}",
		    strange[i]);
		event(&b, text);
		assert_int_equal(b.n, 2);
		assert_int_equal(b.skipped, 1);
		assert_string_equal(b.items[0].message_id, "a");
		assert_string_equal(b.items[1].message_id, "b");
		channel_batch_fini(&b);
	}
}

static void
the_unknown_is_named(void **state)
{
	static const char *const names[] = { "reaction", "referral", "optin",
		"account_linking", "pass_thread_control", "new_thing" };
	struct channel_batch b;
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "{" FROM_USER "," AT ",'%s':{}}",
		    names[i]);
		event(&b, text);
		assert_int_equal(b.n, 1);
		assert_int_equal(b.items[0].op, CHANNEL_NOTE);
		assert_string_equal(b.items[0].what, names[i]);
		channel_batch_fini(&b);
	}
	event(&b, "{" FROM_USER "," AT "}");
	assert_int_equal(b.items[0].op, CHANNEL_NOTE);
	assert_null(b.items[0].what);
	channel_batch_fini(&b);
}

static void
ids_and_texts_stay_what_they_are(void **state)
{
	struct channel_batch b;

	(void)state;
	body_of(&b, "{'object':'page','entry':[{'id':" PAGE
		    ",'messaging':[{'sender':{'id':73100000000000000011},"
		    "'recipient':{'id':" PAGE "},'timestamp':'1795000100',"
		    "'message':{'mid':98765432109876543210,"
		    "'text':' a\\u0000\\ud800b\\ud83d\\ude00\\n '}}]}]}");
	assert_int_equal(b.n, 1);
	assert_string_equal(b.items[0].user, "73100000000000000011");
	assert_string_equal(b.items[0].message_id, "98765432109876543210");
	assert_int_equal(b.items[0].sent_at, 1795000100000);
	assert_string_equal(b.items[0].text, " a\xef\xbf\xbd\xef\xbf\xbd"
					     "b\xf0\x9f\x98\x80\n ");
	channel_batch_fini(&b);
	/* Without any time it came now. */
	body_of(&b, "{'object':'page','entry':[{'id':'" PAGE
		    "','messaging':[{" FROM_USER
		    ",'message':{'mid':'m','text':'t'}}]}]}");
	assert_int_equal(b.items[0].sent_at, NOW);
	channel_batch_fini(&b);
}

/* A thousand updates of several files each: none is lost. */
static void
large_batches_are_whole(void **state)
{
	struct channel_account ac = account();
	struct channel_batch b;
	struct buf body;

	(void)state;
	buf_init(&body, 4 << 20);
	buf_puts(&body, "{\"object\":\"page\",\"entry\":[{\"id\":\"" PAGE
			"\",\"messaging\":[");
	for (int i = 0; i < 1000; i++)
		buf_printf(&body,
		    "%s{\"sender\":{\"id\":\"" USER
		    "\"},\"recipient\":{\"id\":\"" PAGE
		    "\"},\"message\":{\"mid\":\"m%d\",\"attachments\":["
		    "{\"type\":\"image\",\"payload\":{\"url\":\"https://a\"}},"
		    "{\"type\":\"image\",\"payload\":{\"url\":\"https://b\"}}"
		    "]}}",
		    i > 0 ? "," : "", i);
	buf_puts(&body, "]}]}");
	assert_false(body.err);
	assert_int_equal(hook_parse(&ac, body.data, body.len, NOW, &b), 0);
	assert_int_equal(b.n, 2000);
	assert_int_equal(b.skipped, 0);
	assert_string_equal(b.items[1999].message_id, "m999#1");
	channel_batch_fini(&b);
	buf_fini(&body);
	json_object_put(ac.config);
}

/* --- sending --- */

static struct channel_out
out_text(void)
{
	return (struct channel_out){ .number = 1001,
		.uuid = "u",
		.kind = "text",
		.text = "Dạ còn size M ạ 👕",
		.user = USER,
		.conversation = USER,
		.last_inbound_at = NOW - HOUR,
		.now_ms = NOW,
		.tries = 1 };
}

/* The body of what is sent, new; NULL: it cannot be said. */
static struct json_object *
sent(struct channel_account *ac, const struct channel_out *out)
{
	struct json_object *got = NULL;
	struct http_request rq;

	http_request_init(&rq, "POST");
	if (channel_facebook.send(ac, out, &rq) == 0) {
		assert_string_equal(rq.method, "POST");
		assert_string_equal(rq.url.data, SEND_URL);
		assert_string_equal(
		    rq.headers.data, "Content-Type: application/json\n");
		assert_int_equal(
		    channel_json(rq.body.data, rq.body.len, &got), 0);
	}
	http_request_fini(&rq);
	return got;
}

static struct channel_result
answered(const struct channel_out *base, long status, const char *p, size_t len)
{
	struct channel_account ac = account();
	struct channel_result rs = answer_to(&ac, base, status, p, len);

	json_object_put(ac.config);
	return rs;
}

static struct channel_result
says(long status, const char *text)
{
	struct channel_out out = out_text();

	return answered(&out, status, text, strlen(text));
}

/* Each answer of a sample has its class; cut anywhere it is none. */
static void
answers_of(struct json_object *sample, const struct channel_out *out)
{
	struct json_object *list = member(sample, "responses");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *body =
		    json_object_to_json_string(member(one, "body"));
		long status = json_object_get_int(member(one, "status"));
		struct channel_result rs =
		    answered(out, status, body, strlen(body));

		assert_string_equal(class_word(rs.cls), text_of(one, "class"));
		if (text_of(one, "reason") != NULL)
			assert_string_equal(rs.reason, text_of(one, "reason"));
		if (text_of(member(one, "body"), "message_id") != NULL)
			assert_string_equal(rs.message_id,
			    text_of(member(one, "body"), "message_id"));
		for (size_t k = 0; k < strlen(body); k++)
			assert_string_equal(
			    class_word(answered(out, status, body, k).cls),
			    status / 100 == 4 ? "permanent" : "unknown");
	}
}

static void
exchanges_are_as_sampled(void **state)
{
	struct channel_account ac = account();
	struct json_object *sample, *got;
	struct channel_out out = out_text();
	struct http_request rq;

	(void)state;
	sample = file_json("facebook-out-text.json");
	got = sent(&ac, &out);
	assert_true(
	    json_object_equal(got, member(member(sample, "request"), "body")));
	json_object_put(got);
	answers_of(sample, &out);
	json_object_put(sample);

	sample = file_json("facebook-out-image.json");
	out.number = 1002;
	out.kind = "image";
	out.text = NULL;
	out.media_url = "https://chat.example/media/9.png";
	got = sent(&ac, &out);
	assert_true(
	    json_object_equal(got, member(member(sample, "request"), "body")));
	json_object_put(got);
	answers_of(sample, &out);
	json_object_put(sample);

	sample = file_json("facebook-out-typing.json");
	http_request_init(&rq, "POST");
	assert_int_equal(
	    channel_facebook.act(&ac,
		&(struct channel_act){ .what = CHANNEL_TYPING, .user = USER },
		&rq),
	    1);
	assert_string_equal(rq.url.data, SEND_URL);
	assert_int_equal(channel_json(rq.body.data, rq.body.len, &got), 0);
	assert_true(
	    json_object_equal(got, member(member(sample, "request"), "body")));
	json_object_put(got);
	http_request_fini(&rq);
	json_object_put(sample);
	json_object_put(ac.config);
}

static void
kinds_of_files_and_answers_to_tap(void **state)
{
	static const char *const kinds[][2] = { { "image", "image" },
		{ "video", "video" }, { "audio", "audio" }, { "file", "file" },
		{ "sticker", "file" } };
	struct channel_account ac = account();
	struct channel_out out = out_text();
	struct json_object *got, *list;

	(void)state;
	out.text = NULL;
	out.media_url = "https://chat.example/f";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		out.kind = kinds[i][0];
		got = sent(&ac, &out);
		assert_string_equal(
		    text_of(
			member(member(got, "message"), "attachment"), "type"),
		    kinds[i][1]);
		json_object_put(got);
	}

	out = out_text();
	list = json_object_new_array();
	for (int i = 0; i < 15; i++) {
		struct json_object *o = json_object_new_object();
		char title[20];

		snprintf(title, sizeof(title), "Màu %d", i);
		json_put_str(o, "title", title);
		if (i > 0)
			json_put_str(o, "payload", "P");
		json_object_array_add(list, o);
	}
	out.quick = list;
	got = sent(&ac, &out);
	json_object_put(list);
	list = member(member(got, "message"), "quick_replies");
	assert_int_equal(json_object_array_length(list), 13);
	assert_string_equal(
	    json_object_to_json_string_ext(
		json_object_array_get_idx(list, 0), JSON_C_TO_STRING_PLAIN),
	    "{\"content_type\":\"text\",\"title\":\"Màu 0\","
	    "\"payload\":\"Màu 0\"}");
	assert_string_equal(
	    text_of(json_object_array_get_idx(list, 12), "payload"), "P");
	json_object_put(got);
	json_object_put(ac.config);
}

static void
people_may_answer_for_a_week(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = out_text();
	struct json_object *got;

	(void)state;
#define TYPE_AFTER(age, type, said)                                        \
	do {                                                               \
		out.last_inbound_at = NOW - (age);                         \
		got = sent(&ac, &out);                                     \
		assert_string_equal(text_of(got, "messaging_type"), type); \
		if ((said) != NULL)                                        \
			assert_string_equal(text_of(got, "tag"), said);    \
		else                                                       \
			assert_null(text_of(got, "tag"));                  \
		json_object_put(got);                                      \
	} while (0)
	TYPE_AFTER(25 * HOUR, "RESPONSE", (const char *)NULL);
	json_put_str(ac.config, "fb_human_agent", "1");
	TYPE_AFTER(24 * HOUR, "RESPONSE", (const char *)NULL);
	TYPE_AFTER(24 * HOUR + 1, "MESSAGE_TAG", "HUMAN_AGENT");
	TYPE_AFTER(7 * 24 * HOUR, "MESSAGE_TAG", "HUMAN_AGENT");
	TYPE_AFTER(NOW, "RESPONSE", (const char *)NULL); /* never wrote */
	out.by_bot = true; /* what it says is a human's word */
	TYPE_AFTER(7 * 24 * HOUR, "RESPONSE", (const char *)NULL);
#undef TYPE_AFTER
	json_object_put(ac.config);
}

static void
windows_are_judged(void **state)
{
	struct channel_account ac = account();
	struct channel_reply r;

	(void)state;
#define WINDOW(age) channel_facebook.window(&ac, NOW - (age), 99, NOW)
	r = WINDOW(HOUR);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, NOW + 23 * HOUR);
	assert_int_equal(r.free_until, 0);
	assert_int_equal(r.free_left, -1);
	assert_int_equal(WINDOW(24 * HOUR).state, CHANNEL_WINDOW_OPEN);
	/* Closed, as far as we know; surely so after a week. */
	r = WINDOW(24 * HOUR + 1);
	assert_int_equal(r.state, CHANNEL_WINDOW_CLOSED);
	assert_true(r.asked && r.until < NOW);
	assert_true(WINDOW(168 * HOUR).asked);
	r = WINDOW(168 * HOUR + 1);
	assert_int_equal(r.state, CHANNEL_WINDOW_CLOSED);
	assert_false(r.asked);

	json_put_str(ac.config, "fb_human_agent", "1");
	r = WINDOW(168 * HOUR);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, NOW);
	r = WINDOW(168 * HOUR + 1);
	assert_int_equal(r.state, CHANNEL_WINDOW_CLOSED);
	assert_false(r.asked);

	r = channel_facebook.window(&ac, 0, 0, NOW);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, 0);
#undef WINDOW
	json_object_put(ac.config);
}

static void
what_cannot_go_says_so(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = out_text();
	struct http_request rq;

	(void)state;
	out.user = NULL;
	assert_null(sent(&ac, &out));
	out = out_text();
	out.text = NULL;
	assert_null(sent(&ac, &out));
	out.text = "";
	assert_null(sent(&ac, &out));
	out.kind = "image"; /* nowhere to be fetched */
	assert_null(sent(&ac, &out));
	out.media_url = "https://chat.example/9.png";
	out.text = "a caption would be lost";
	assert_null(sent(&ac, &out));

	/* A token cannot break out of its place. */
	json_put_str(ac.config, "fb_page_token", "a b&c=d\n#e");
	json_put_str(ac.config, "fb_api_base", "https://proxy.example/g//");
	out = out_text();
	http_request_init(&rq, "POST");
	assert_int_equal(channel_facebook.send(&ac, &out, &rq), 0);
	assert_string_equal(rq.url.data,
	    "https://proxy.example/g/v25.0/" PAGE
	    "/messages?access_token=a%20b%26c%3Dd%0A%23e");
	http_request_fini(&rq);
	http_request_init(&rq, "POST");
	assert_int_equal(
	    channel_facebook.act(
		&ac, &(struct channel_act){ .what = CHANNEL_SEEN }, &rq),
	    0);
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
errors_have_classes(void **state)
{
	static const struct {
		const char *error;
		enum channel_class cls;
		const char *reason;
		bool hold;
	} table[] = {
		{ "'code':2", CHANNEL_RETRY, "temporary", false },
		{ "'code':1200", CHANNEL_RETRY, "temporary", false },
		{ "'code':4", CHANNEL_RETRY, "rate", true },
		{ "'code':613", CHANNEL_RETRY, "rate", true },
		{ "'code':32", CHANNEL_RETRY, "rate", true },
		{ "'code':'613'", CHANNEL_RETRY, "rate", true },
		{ "'code':190", CHANNEL_REAUTH, "token", false },
		{ "'code':190,'error_subcode':463", CHANNEL_REAUTH, "token",
		    false },
		{ "'code':200", CHANNEL_REAUTH, "permission", false },
		{ "'code':230", CHANNEL_REAUTH, "permission", false },
		{ "'code':299", CHANNEL_REAUTH, "permission", false },
		{ "'code':10", CHANNEL_REAUTH, "permission", false },
		{ "'code':10,'error_subcode':1", CHANNEL_REAUTH, "permission",
		    false },
		{ "'code':10,'error_subcode':2018278", CHANNEL_PERMANENT,
		    "window_closed", false },
		{ "'code':10,'error_subcode':'2018278'", CHANNEL_PERMANENT,
		    "window_closed", false },
		{ "'code':100", CHANNEL_PERMANENT, "refused", false },
		{ "'code':100,'error_subcode':2018001", CHANNEL_PERMANENT,
		    "refused", false },
		{ "'code':551", CHANNEL_PERMANENT, "refused", false },
		{ "'code':300", CHANNEL_PERMANENT, "refused", false },
		{ "'code':199", CHANNEL_PERMANENT, "refused", false },
		{ "'code':-7", CHANNEL_PERMANENT, "refused", false },
	};
	char body[200];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(body, sizeof(body), "{'error':{'message':'x\\ny',%s}}",
		    table[i].error);
		quotes(body);
		/* Whatever the status: the error inside decides. */
		for (long status = 200; status <= 500; status += 100) {
			struct channel_result rs = says(status, body);

			if (rs.cls != table[i].cls)
				fail_msg("%s: %d", body, (int)rs.cls);
			assert_string_equal(rs.reason, table[i].reason);
			assert_string_equal(rs.message, "x y");
			assert_int_equal(rs.hold, table[i].hold);
			assert_int_equal(rs.wait_s, table[i].hold ? 60 : 0);
			assert_false(rs.refreshable);
		}
	}
}

static void
answers_have_classes(void **state)
{
	static const char once[] = "{\"error\":{\"code\":1}}";
	struct channel_out out = out_text();
	struct channel_account ac = account();
	struct channel_result rs;

	(void)state;
	rs = says(200, once);
	assert_int_equal(rs.cls, CHANNEL_RETRY);
	assert_true(rs.once);
	rs = says(500, "{\"error\":{\"code\":2}}");
	assert_int_equal(rs.cls, CHANNEL_RETRY);
	assert_false(rs.once);

	rs = says(200, "{\"recipient_id\":\"1\",\"message_id\":\"m1\"}");
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "m1");
	rs = says(200, "{\"recipient_id\":\"1\"}");
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "");
	assert_int_equal(says(200, "{}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(says(200, "[]").cls, CHANNEL_UNKNOWN);
	assert_int_equal(says(200, "").cls, CHANNEL_UNKNOWN);
	assert_int_equal(says(200, "<html>").cls, CHANNEL_UNKNOWN);
	assert_int_equal(
	    says(200, "{\"message_id\":\"m\",\"error\":\"x\"}").cls,
	    CHANNEL_UNKNOWN);
	assert_int_equal(says(302, "").cls, CHANNEL_UNKNOWN);
	assert_int_equal(says(500, "oops").cls, CHANNEL_UNKNOWN);
	assert_int_equal(
	    says(502, "{\"message_id\":\"m\"}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(
	    says(503, "{\"error\":{\"message\":\"m\"}}").cls, CHANNEL_UNKNOWN);
	rs = says(404, "oops");
	assert_int_equal(rs.cls, CHANNEL_PERMANENT);
	assert_string_equal(rs.message, "http 404");
	rs = says(429, "oops");
	assert_int_equal(rs.cls, CHANNEL_RETRY);
	assert_true(rs.hold && rs.wait_s == 60);

	/* How far it came decides, when there is no answer. */
	no_answer_is(&ac, &out, CHANNEL_UNKNOWN);
	assert_int_equal(answer_later(&ac, &out, 429, "", 90).wait_s, 90);
	json_object_put(ac.config);
}

/* The platform repeats a token it does not like. */
static void
a_token_in_their_words_is_taken_out(void **state)
{
	struct channel_result rs;

	(void)state;
	rs =
	    says(400, "{\"error\":{\"code\":190,\"message\":\"Malformed access"
		      " token fb-sample-page-token (fb-sample-page-token)\"}}");
	assert_int_equal(rs.cls, CHANNEL_REAUTH);
	assert_string_equal(rs.message, "Malformed access token *** (***)");
}

static void
profiles_are_read(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum channel_class cls;
		const char *name, *avatar;
	} answers[] = {
		{ 200,
		    "{\"first_name\":\"An\",\"last_name\":\"Nguyễn\","
		    "\"profile_pic\":\"https://p.example/a.jpg\"}",
		    CHANNEL_SENT, "An Nguyễn", "https://p.example/a.jpg" },
		{ 200, "{\"first_name\":\"An\",\"profile_pic\":\"file:///x\"}",
		    CHANNEL_SENT, "An", "" },
		{ 200, "{\"last_name\":\"Nguyễn\"}", CHANNEL_SENT, "Nguyễn",
		    "" },
		{ 200, "{\"id\":\"1\"}", CHANNEL_SENT, "", "" },
		{ 400, "{\"error\":{\"code\":100,\"error_subcode\":33}}",
		    CHANNEL_PERMANENT, "", "" },
		{ 403, "{\"error\":{\"code\":10}}", CHANNEL_PERMANENT, "", "" },
		{ 403, "{\"error\":{\"code\":230}}", CHANNEL_PERMANENT, "",
		    "" },
		{ 400, "{\"error\":{\"code\":190}}", CHANNEL_REAUTH, "", "" },
		{ 400, "{\"error\":{\"code\":4}}", CHANNEL_RETRY, "", "" },
		{ 502, "oops", CHANNEL_UNKNOWN, "", "" },
	};
	struct channel_account ac = account();
	struct channel_profile pf;
	struct http_request rq;
	struct http_answer an;

	(void)state;
	http_request_init(&rq, "GET");
	assert_int_equal(
	    channel_facebook.profile(&ac, USER "/../x", USER, &rq), 1);
	assert_string_equal(rq.url.data,
	    "https://graph.facebook.com/v25.0/" USER
	    "%2F..%2Fx?fields=first_name,last_name,profile_pic"
	    "&access_token=fb-sample-page-token");
	http_request_fini(&rq);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		answer_init(&an, answers[i].status, answers[i].body);
		assert_int_equal(
		    channel_facebook.profiled(&ac, &an, &pf), answers[i].cls);
		assert_string_equal(pf.name, answers[i].name);
		assert_string_equal(pf.avatar_url, answers[i].avatar);
		http_answer_fini(&an);
	}
	json_object_put(ac.config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshakes_are_checked),
		cmocka_unit_test(without_a_verify_token_there_is_no_handshake),
		cmocka_unit_test(samples_are_proven),
		cmocka_unit_test(any_change_is_refused),
		cmocka_unit_test(samples_mean_what_is_expected),
		cmocka_unit_test(echoes_name_who_sent_them),
		cmocka_unit_test(messages_taken_back_and_edited),
		cmocka_unit_test(postbacks_have_an_id),
		cmocka_unit_test(attachments_are_rows),
		cmocka_unit_test(content_without_a_kind),
		cmocka_unit_test(receipts_by_ids_and_watermark),
		cmocka_unit_test(what_is_not_ours_is_passed_over),
		cmocka_unit_test(the_unknown_is_named),
		cmocka_unit_test(ids_and_texts_stay_what_they_are),
		cmocka_unit_test(large_batches_are_whole),
		cmocka_unit_test(exchanges_are_as_sampled),
		cmocka_unit_test(kinds_of_files_and_answers_to_tap),
		cmocka_unit_test(people_may_answer_for_a_week),
		cmocka_unit_test(windows_are_judged),
		cmocka_unit_test(what_cannot_go_says_so),
		cmocka_unit_test(errors_have_classes),
		cmocka_unit_test(answers_have_classes),
		cmocka_unit_test(a_token_in_their_words_is_taken_out),
		cmocka_unit_test(profiles_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
