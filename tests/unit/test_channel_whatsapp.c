/* WhatsApp's adapter against the samples, and against what nobody sends. */
#include "channel_fixture.h"

#define NOW 1795000700000LL
#define HOUR 3600000LL
#define USER "84900000002"
#define NUMBER "106540352242922"

static struct channel_account
account(void)
{
	struct channel_account ac = { .id = 1, .ch = &channel_whatsapp };

	ac.config = json_object_new_object();
	json_put_str(ac.config, "wa_phone_number_id", NUMBER);
	json_put_str(ac.config, "wa_app_secret", "wa-secret");
	json_put_str(ac.config, "wa_verify_token", "wa-verify");
	json_put_str(ac.config, "wa_token", "wa-token");
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

#define CHANGE(more)                                                   \
	"{'field':'messages','value':{'messaging_product':'whatsapp'," \
	"'metadata':{'phone_number_id':'" NUMBER "'}," more "}}"
#define ENVELOPE(changes)                                              \
	"{'object':'whatsapp_business_account','entry':[{'id':'1022'," \
	"'changes':[" changes "]}]}"

/* The same, of one customer's messages. */
static void
messages(struct channel_batch *b, const char *list)
{
	char body[8192];

	snprintf(body, sizeof(body),
	    ENVELOPE(
		CHANGE("'contacts':[7,{'wa_id':'1'},{'profile':{'name':"
		       "'Lê Văn C'},'wa_id':'" USER "'}],'messages':[%s]")),
	    list);
	body_of(b, body);
}

#define FROM "'from':'" USER "','id':'wamid.1','timestamp':'1795000600'"

static void
samples_are_read(void **state)
{
	static const char *const names[] = { "whatsapp-text.json",
		"whatsapp-status.json" };
	struct channel_account ac = account();
	struct channel_batch b;
	size_t len;
	char *body;

	(void)state;
	body = file_read(names[0], &len);
	assert_int_equal(hook_parse(&ac, body, len, NOW, &b), 0);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.items[0].op, CHANNEL_MESSAGE);
	assert_string_equal(b.items[0].conversation, USER);
	assert_string_equal(b.items[0].user, USER);
	assert_string_equal(b.items[0].user_name, "Lê Văn C");
	assert_string_equal(b.items[0].message_id, "wamid.SAMPLE0001");
	assert_string_equal(b.items[0].kind, "text");
	assert_string_equal(b.items[0].text, "Xin chào 👋");
	assert_int_equal(b.items[0].sent_at, 1795000600000);
	channel_batch_fini(&b);
	free(body);

	body = file_read(names[1], &len);
	assert_int_equal(hook_parse(&ac, body, len, NOW, &b), 0);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.items[0].op, CHANNEL_STATUS);
	assert_string_equal(b.items[0].status, "delivered");
	assert_string_equal(b.items[0].conversation, USER);
	assert_int_equal(b.items[0].nids, 1);
	assert_string_equal(b.items[0].ids[0], "wamid.SAMPLEOUT1");
	channel_batch_fini(&b);
	free(body);

	for (size_t k = 0; k < 2; k++) {
		body = file_read(names[k], &len);
		cuts_are_refused(&ac, body, len, NOW);
		free(body);
	}
	json_object_put(ac.config);
}

static void
same(const char *got, const char *want)
{
	if (want == NULL)
		assert_null(got);
	else
		assert_string_equal(got, want);
}

static void
kinds_of_messages(void **state)
{
	static const struct {
		const char *json, *kind, *text, *ref, *payload;
	} table[] = {
		{ "'type':'image','image':{'id':'77','mime_type':'image/jpeg',"
		  "'caption':'c'}",
		    "image", "c", "wa:77", NULL },
		{ "'type':'video','video':{'id':77}", "video", NULL, "wa:77",
		    NULL },
		{ "'type':'audio','audio':{'id':'77','voice':true}", "audio",
		    NULL, "wa:77", NULL },
		{ "'type':'sticker','sticker':{'id':'77'}", "sticker", NULL,
		    "wa:77", NULL },
		{ "'type':'document','document':{'id':'77','filename':"
		  "'../a.pdf'}",
		    "file", NULL, "wa:77", NULL },
		{ "'type':'image','image':{'caption':'c'}", "unsupported", NULL,
		    NULL, NULL },
		{ "'type':'image'", "unsupported", NULL, NULL, NULL },
		{ "'type':'button','button':{'text':'Yes','payload':'Y'}",
		    "text", "Yes", NULL, "Y" },
		{ "'type':'interactive','interactive':{'type':'button_reply',"
		  "'button_reply':{'id':'Y','title':'Yes'}}",
		    "text", "Yes", NULL, "Y" },
		{ "'type':'interactive','interactive':{'type':'list_reply',"
		  "'list_reply':{'id':'Y','title':'Yes','description':'d'}}",
		    "text", "Yes", NULL, "Y" },
		{ "'type':'interactive','interactive':{'type':'nfm_reply',"
		  "'nfm_reply':{'body':'Sent'}}",
		    "unsupported", NULL, NULL, NULL },
		{ "'type':'contacts','contacts':[{'name':{'formatted_name':"
		  "'An'}}]",
		    "unsupported", "An", NULL, NULL },
		{ "'type':'system','system':{'body':'new number'}",
		    "unsupported", "new number", NULL, NULL },
		{ "'type':'unsupported','errors':[{'code':131051,'title':"
		  "'Message type unknown'}]",
		    "unsupported", "Message type unknown", NULL, NULL },
		{ "'type':'hologram'", "unsupported", NULL, NULL, NULL },
		{ "'x':1", "unsupported", NULL, NULL, NULL },
		{ "'type':'text'", "unsupported", NULL, NULL, NULL },
		{ "'type':'text','text':{'body':''}", "unsupported", NULL, NULL,
		    NULL },
		{ "'type':'text','text':{'body':'a\\u0000\\ud800b'}", "text",
		    "a\xef\xbf\xbd\xef\xbf\xbd"
		    "b",
		    NULL, NULL },
		{ "'type':'location','location':{'latitude':91,"
		  "'longitude':0,'name':'N'}",
		    "unsupported", "N", NULL, NULL },
	};
	struct channel_batch b;
	char text[600];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(text, sizeof(text), "{" FROM ",%s}", table[i].json);
		messages(&b, text);
		assert_int_equal(b.n, 1);
		assert_string_equal(b.items[0].kind, table[i].kind);
		same(b.items[0].text, table[i].text);
		same(b.items[0].media_ref, table[i].ref);
		same(b.items[0].payload, table[i].payload);
		channel_batch_fini(&b);
	}

	messages(&b, "{" FROM ",'type':'document','document':{'id':'7',"
		     "'filename':'../a.pdf','mime_type':'application/pdf'},"
		     "'context':{'id':'wamid.0','from':'1'}}");
	assert_string_equal(b.items[0].name, "../a.pdf");
	assert_string_equal(b.items[0].mime, "application/pdf");
	assert_string_equal(b.items[0].reply_to, "wamid.0");
	channel_batch_fini(&b);
	messages(&b, "{" FROM ",'type':'location','location':{'latitude':0,"
		     "'longitude':-0.5,'name':'Ga','address':'1 Hàng Bông'}}");
	assert_true(b.items[0].located);
	assert_true(b.items[0].lat == 0 && b.items[0].lon == -0.5);
	assert_string_equal(b.items[0].text, "Ga, 1 Hàng Bông");
	channel_batch_fini(&b);
	messages(&b, "{" FROM ",'type':'reaction','reaction':{'emoji':'x'}}");
	assert_int_equal(b.n, 1);
	assert_int_equal(b.items[0].op, CHANNEL_NOTE);
	assert_string_equal(b.items[0].what, "reaction");
	channel_batch_fini(&b);
}

static void
bad_items_cost_their_neighbours_nothing(void **state)
{
	static const char *const strange[] = { "7", "null", "[]",
		"{'id':'x','type':'text','text':{'body':'t'}}",
		"{'from':'1','type':'text','text':{'body':'t'}}",
		"{'from':'','id':'','type':'text'}" };
	static const char *const bodies[] = { "[]", "7", "{}",
		"{'object':'page','entry':[]}",
		"{'object':'whatsapp_business_account','entry':[7,{}]}",
		ENVELOPE("7"), ENVELOPE("{}"), ENVELOPE("{'field':'messages'}"),
		ENVELOPE(
		    "{'field':'messages','value':{'messages':[{" FROM "}]}}"),
		ENVELOPE("{'field':'messages','value':{'metadata':{"
			 "'phone_number_id':'777'},'messages':[{" FROM "}]}}"),
		ENVELOPE(CHANGE("'messages':{},'statuses':7")) };
	struct channel_batch b;
	char text[800];

	(void)state;
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		snprintf(text, sizeof(text),
		    "{" FROM ",'type':'text','text':{'body':'a'}},%s,"
		    "{" FROM ",'type':'text','text':{'body':'b'}}",
		    strange[i]);
		messages(&b, text);
		assert_int_equal(b.n, 2);
		assert_int_equal(b.skipped, 1);
		channel_batch_fini(&b);
	}
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		body_of(&b, bodies[i]);
		assert_int_equal(b.n, 0);
		channel_batch_fini(&b);
	}
	/* Several numbers of one business in one body: ours is read. */
	body_of(&b,
	    ENVELOPE(
		"{'field':'messages','value':{'metadata':{"
		"'phone_number_id':'777'},'messages':[{" FROM "}]}}," CHANGE(
		    "'messages':[{'from':84900000002,'id':"
		    "98765432109876543210,'type':'text','text':{'body':"
		    "'t'}}]") ",{'field':'account_update','value':{}}"));
	assert_int_equal(b.n, 2);
	assert_int_equal(b.nastray, 1);
	assert_string_equal(b.astray[0], "777");
	assert_string_equal(b.items[0].user, USER);
	assert_string_equal(b.items[0].message_id, "98765432109876543210");
	assert_int_equal(b.items[0].sent_at, NOW);
	assert_null(b.items[0].user_name);
	assert_string_equal(b.items[1].what, "account_update");
	channel_batch_fini(&b);
}

static void
statuses_go_by_ids(void **state)
{
	struct channel_batch b;

	(void)state;
	body_of(&b,
	    ENVELOPE(CHANGE("'statuses':[7,{'status':'read'},{'id':'x'},"
			    "{'id':'a','status':'sent'},{'id':'b','status':"
			    "'failed','errors':[{'code':131047}]},{'id':'c',"
			    "'status':'read','recipient_id':'" USER "'}]")));
	assert_int_equal(b.skipped, 3);
	assert_int_equal(b.n, 3);
	assert_string_equal(b.items[0].what, "sent");
	assert_int_equal(b.items[1].op, CHANNEL_STATUS);
	assert_string_equal(b.items[1].status, "failed");
	assert_string_equal(b.items[1].ids[0], "b");
	assert_string_equal(b.items[1].error, "window_closed");
	assert_int_equal(b.items[2].op, CHANNEL_STATUS);
	assert_string_equal(b.items[2].status, "read");
	assert_string_equal(b.items[2].ids[0], "c");
	assert_int_equal(b.items[2].watermark, 0);
	channel_batch_fini(&b);
	body_of(
	    &b, ENVELOPE(CHANGE("'statuses':[{'id':'a','status':'failed'},"
				"{'id':'b','status':'failed','errors':[{'code':"
				"131026,'title':'Undeliverable'}]}]")));
	assert_string_equal(b.items[0].error, "refused: failed");
	assert_string_equal(b.items[1].error, "refused: Undeliverable");
	channel_batch_fini(&b);
}

static void
proof_is_metas(void **state)
{
	static const char name[] = "X-Hub-Signature-256";
	struct channel_account ac = account();
	const char *sig = meta_sign("{}", 2, "wa-secret");

	(void)state;
	assert_int_equal(
	    hook_verdict(&ac, "{}", 2, name, sig, NOW), CHANNEL_GOOD);
	assert_int_equal(
	    hook_verdict(&ac, "{}", 1, name, sig, NOW), CHANNEL_FORGED);
	json_object_put(ac.config);
}

/* --- sending --- */

static struct channel_out
out_text(void)
{
	return (struct channel_out){ .number = 7,
		.kind = "text",
		.text = "Dạ còn ạ",
		.user = USER,
		.conversation = USER,
		.last_inbound_at = NOW - HOUR,
		.now_ms = NOW,
		.tries = 1 };
}

/* Whether what is sent has this body, written in short; NULL: it cannot. */
static void
sends(const struct channel_out *out, const char *want)
{
	struct channel_account ac = account();
	struct http_request rq;
	char text[4096];

	http_request_init(&rq, "POST");
	if (want == NULL) {
		assert_int_equal(channel_whatsapp.send(&ac, out, &rq), -1);
	} else {
		snprintf(text, sizeof(text),
		    "{'messaging_product':'whatsapp','to':'" USER "',%s}",
		    want);
		quotes(text);
		assert_int_equal(channel_whatsapp.send(&ac, out, &rq), 0);
		assert_string_equal(rq.body.data, text);
		assert_string_equal(rq.url.data,
		    "https://graph.facebook.com/v25.0/" NUMBER "/messages");
		assert_string_equal(rq.headers.data,
		    "Authorization: Bearer wa-token\n"
		    "Content-Type: application/json\n");
	}
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
requests_are_as_documented(void **state)
{
	struct channel_out out = out_text();

	(void)state;
	sends(&out, "'type':'text','text':{'body':'Dạ còn ạ'}");
	out.quote = "wamid.1";
	sends(&out, "'context':{'message_id':'wamid.1'},'type':'text','text':"
		    "{'body':'Dạ còn ạ'}");
	out.quote = NULL;

	out.media_url = "https://chat.example/f";
	out.media_name = "giá.pdf";
	out.kind = "image";
	sends(&out, "'type':'image','image':{'link':'https://chat.example/f',"
		    "'caption':'Dạ còn ạ'}");
	out.mime = "image/webp";
	out.text = NULL;
	sends(&out, "'type':'document','document':{'link':"
		    "'https://chat.example/f','filename':'giá.pdf'}");
	out.kind = "video";
	out.mime = "video/webm";
	sends(&out, "'type':'document','document':{'link':"
		    "'https://chat.example/f','filename':'giá.pdf'}");
	out.mime = "video/mp4";
	sends(&out, "'type':'video','video':{'link':'https://chat.example/f'}");
	out.media_size = (16 << 20) + 1;
	sends(&out, "'type':'document','document':{'link':"
		    "'https://chat.example/f','filename':'giá.pdf'}");
	out.media_size = 16 << 20;
	out.kind = "audio";
	out.mime = "audio/mpeg";
	out.text = "lost";
	sends(&out, "'type':'audio','audio':{'link':'https://chat.example/f'}");
	out.kind = "file";
	out.text = "";
	sends(&out, "'type':'document','document':{'link':"
		    "'https://chat.example/f','filename':'giá.pdf'}");

	out.media_url = "http://chat.example/f";
	sends(&out, NULL);
	out.media_url = NULL;
	sends(&out, NULL);
	out = out_text();
	out.text = NULL;
	sends(&out, NULL);
	out = out_text();
	out.user = NULL;
	sends(&out, NULL);
}

static void
answers_to_tap(void **state)
{
	struct channel_out out = out_text();
	struct json_object *o = NULL;
	struct channel_account ac = account();
	char *text;
	static const char three[] =
	    "[{\"title\":\"Có\",\"payload\":\"Y\"},{\"title\":\"Không\"},"
	    "{\"title\":\"?\",\"payload\":\"\"}]";
	static const char four[] = "[{\"title\":\"a\"},{\"title\":\"b\"},{},"
				   "{\"title\":\"c\"},{\"title\":\"d\"}]";

	(void)state;
	assert_int_equal(channel_json(three, strlen(three), &o), 0);
	out.quick = o;
	sends(&out, "'type':'interactive','interactive':{'type':'button',"
		    "'body':{'text':'Dạ còn ạ'},'action':{'buttons':["
		    "{'type':'reply','reply':{'id':'Y','title':'Có'}},"
		    "{'type':'reply','reply':{'id':'Không','title':'Không'}},"
		    "{'type':'reply','reply':{'id':'?','title':'?'}}]}}");
	/* A text that is too long for buttons has lines instead. */
	assert_non_null(text = calloc(1, 1026));
	memset(text, 'x', 1025);
	out.text = text;
	assert_true(channel_whatsapp.lines(&ac, &out));
	out.text = text + 1;
	assert_false(channel_whatsapp.lines(&ac, &out));
	out.text = NULL;
	assert_true(channel_whatsapp.lines(&ac, &out));
	free(text);
	json_object_put(o);

	assert_int_equal(channel_json(four, strlen(four), &o), 0);
	out = out_text();
	out.quick = o;
	assert_true(channel_whatsapp.lines(&ac, &out));
	json_object_put(o);
	json_object_put(ac.config);
}

static struct channel_result
answered(const struct channel_out *base, long status, const char *text)
{
	struct channel_account ac = account();
	struct channel_result rs =
	    answer_to(&ac, base, status, text, strlen(text));

	json_object_put(ac.config);
	return rs;
}

static void
answers_have_classes(void **state)
{
	static const struct {
		int code;
		enum channel_class cls;
		const char *reason;
		bool hold;
	} table[] = { { 2, CHANNEL_RETRY, "temporary", false },
		{ 131016, CHANNEL_RETRY, "temporary", false },
		{ 131057, CHANNEL_RETRY, "temporary", false },
		{ 133004, CHANNEL_RETRY, "temporary", false },
		{ 1, CHANNEL_RETRY, "refused", false },
		{ 131000, CHANNEL_RETRY, "refused", false },
		{ 4, CHANNEL_RETRY, "rate", true },
		{ 80007, CHANNEL_RETRY, "rate", true },
		{ 130429, CHANNEL_RETRY, "rate", true },
		{ 131048, CHANNEL_RETRY, "rate", true },
		{ 131056, CHANNEL_RETRY, "rate", false },
		{ 0, CHANNEL_REAUTH, "token", false },
		{ 190, CHANNEL_REAUTH, "token", false },
		{ 3, CHANNEL_REAUTH, "permission", false },
		{ 10, CHANNEL_REAUTH, "permission", false },
		{ 200, CHANNEL_REAUTH, "permission", false },
		{ 131005, CHANNEL_REAUTH, "permission", false },
		{ 368, CHANNEL_REAUTH, "account", false },
		{ 131031, CHANNEL_REAUTH, "account", false },
		{ 133010, CHANNEL_REAUTH, "account", false },
		{ 131047, CHANNEL_PERMANENT, "window_closed", false },
		{ 131026, CHANNEL_PERMANENT, "refused", false },
		{ 100, CHANNEL_PERMANENT, "refused", false } };
	static const char good[] =
	    "{\"messaging_product\":\"whatsapp\",\"contacts\":[{\"input\":"
	    "\"84\",\"wa_id\":\"84\"}],\"messages\":[{\"id\":\"wamid.9\"}]}";
	struct channel_out out = out_text();
	struct channel_result rs;
	char body[200], cut[200];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(body, sizeof(body),
		    "{\"error\":{\"message\":\"m\",\"code\":%d}}",
		    table[i].code);
		rs = answered(&out, 400, body);
		assert_int_equal(rs.cls, table[i].cls);
		assert_string_equal(rs.reason, table[i].reason);
		assert_int_equal(rs.hold, table[i].hold);
		assert_int_equal(
		    rs.wait_s, strcmp(table[i].reason, "rate") == 0 ? 60 : 0);
	}
	rs = answered(&out, 200, good);
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "wamid.9");
	for (size_t i = 0; i < strlen(good); i++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)i, good);
		assert_int_equal(answered(&out, 200, cut).cls, CHANNEL_UNKNOWN);
	}
	assert_int_equal(
	    answered(&out, 200, "{\"messages\":[]}").cls, CHANNEL_UNKNOWN);
	assert_int_equal(answered(&out, 500, "oops").cls, CHANNEL_UNKNOWN);
	rs = answered(&out, 500, "{\"error\":{\"code\":131000}}");
	assert_int_equal(rs.cls, CHANNEL_RETRY);
	assert_true(rs.once);
	/* A refused quote: once without. */
	out.quote = "wamid.0";
	assert_int_equal(
	    answered(&out, 400, "{\"error\":{\"code\":131009}}").cls,
	    CHANNEL_RETRY_BARE);
	assert_int_equal(
	    answered(&out, 400, "{\"error\":{\"code\":131047}}").cls,
	    CHANNEL_PERMANENT);
}

static void
the_window_is_a_day(void **state)
{
	struct channel_account ac = account();
	struct channel_reply r;

	(void)state;
	r = channel_whatsapp.window(&ac, NOW - 24 * HOUR, 5, NOW);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, NOW);
	assert_int_equal(r.free_left, -1);
	r = channel_whatsapp.window(&ac, NOW - 24 * HOUR - 1, 0, NOW);
	assert_int_equal(r.state, CHANNEL_WINDOW_CLOSED);
	assert_false(r.asked);
	r = channel_whatsapp.window(&ac, 0, 0, NOW);
	assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(r.until, 0);
	assert_int_equal(channel_whatsapp.text_max(&ac), 4096);
	json_object_put(ac.config);
}

static void
what_shows_meanwhile(void **state)
{
	struct channel_account ac = account();
	struct channel_act act = {
		.what = CHANNEL_SEEN, .user = USER, .message_id = "wamid.1"
	};
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_whatsapp.act(&ac, &act, &rq), 1);
	assert_string_equal(rq.body.data,
	    "{\"messaging_product\":\"whatsapp\",\"status\":\"read\","
	    "\"message_id\":\"wamid.1\"}");
	http_request_fini(&rq);
	act.what = CHANNEL_TYPING;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_whatsapp.act(&ac, &act, &rq), 1);
	assert_string_equal(rq.body.data,
	    "{\"messaging_product\":\"whatsapp\",\"status\":\"read\","
	    "\"message_id\":\"wamid.1\",\"typing_indicator\":{\"type\":"
	    "\"text\"}}");
	http_request_fini(&rq);
	http_request_init(&rq, "POST");
	act.what = CHANNEL_TYPING_END;
	assert_int_equal(channel_whatsapp.act(&ac, &act, &rq), 0);
	act.what = CHANNEL_TYPING;
	act.message_id = NULL;
	assert_int_equal(channel_whatsapp.act(&ac, &act, &rq), 0);
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
files_are_asked_for(void **state)
{
	static const char *const bad[] = { NULL, "", "77", "wa:", "line:77" };
	struct channel_account ac = account();
	struct channel_media md = { .ref = "wa:7/7", .kind = "image" };
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(channel_whatsapp.media(&ac, &md, &rq), 1);
	assert_string_equal(rq.method, "GET");
	assert_string_equal(
	    rq.url.data, "https://graph.facebook.com/v25.0/7%2F7");
	assert_string_equal(
	    rq.headers.data, "Authorization: Bearer wa-token\n");
	http_request_fini(&rq);

	/* The token goes nowhere but over TLS, or to the API itself. */
	assert_int_equal(
	    media_says(&ac, &md, 200, "{\"url\":\"http://x.example/f\"}"),
	    CHANNEL_PERMANENT);
	assert_int_equal(media_says(&ac, &md, 200, "{}"), CHANNEL_PERMANENT);
	assert_int_equal(
	    media_says(&ac, &md, 200, "{\"url\":\"https://l.example/f?a=1\"}"),
	    CHANNEL_MORE);
	md.step = 1;
	http_request_init(&rq, "GET");
	assert_int_equal(channel_whatsapp.media(&ac, &md, &rq), 2);
	assert_string_equal(rq.url.data, "https://l.example/f?a=1");
	assert_string_equal(
	    rq.headers.data, "Authorization: Bearer wa-token\n");
	http_request_fini(&rq);
	assert_int_equal(media_says(&ac, &md, 404, "gone"), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 0, ""), CHANNEL_RETRY);
	assert_int_equal(
	    media_says(&ac, &md, 400, "{\"error\":{\"code\":190}}"),
	    CHANNEL_REAUTH);
	md.step = 0;
	assert_int_equal(media_says(&ac, &md, 400,
			     "{\"error\":{\"code\":100,"
			     "\"error_subcode\":33}}"),
	    CHANNEL_PERMANENT);
	assert_int_equal(media_says(&ac, &md, 502, "oops"), CHANNEL_RETRY);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		md.ref = bad[i];
		http_request_init(&rq, "GET");
		assert_int_equal(channel_whatsapp.media(&ac, &md, &rq), 0);
		http_request_fini(&rq);
	}
	json_object_put(ac.config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_are_read),
		cmocka_unit_test(kinds_of_messages),
		cmocka_unit_test(bad_items_cost_their_neighbours_nothing),
		cmocka_unit_test(statuses_go_by_ids),
		cmocka_unit_test(proof_is_metas),
		cmocka_unit_test(requests_are_as_documented),
		cmocka_unit_test(answers_to_tap),
		cmocka_unit_test(answers_have_classes),
		cmocka_unit_test(the_window_is_a_day),
		cmocka_unit_test(what_shows_meanwhile),
		cmocka_unit_test(files_are_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
