/* Telegram's adapter: its updates, its methods, and its token kept quiet. */
#include "channel_fixture.h"

#define NOW 1795000200000LL
#define TOKEN "700000001:AAtest-token_0123456789"
#define API "https://api.telegram.org"

static struct channel_account
account(void)
{
	struct channel_account ac = { .id = 1,
		.ch = channel_find("telegram"),
		.config = json_object_new_object() };

	json_put_str(ac.config, "tg_bot_token", TOKEN);
	json_put_str(ac.config, "tg_secret", "tg-sample_secret");
	return ac;
}

/* --- proof --- */

static const char *
header(void *arg, const char *name)
{
	assert_string_equal(name, "X-Telegram-Bot-Api-Secret-Token");
	return arg;
}

static enum channel_verdict
verdict(const struct channel_account *ac, const char *secret)
{
	char copy[64];
	struct channel_hook hook = {
		.body = "{}", .len = 2, .now_ms = NOW, .header = header
	};

	if (secret != NULL) {
		snprintf(copy, sizeof(copy), "%s", secret);
		hook.arg = copy;
	}
	return ac->ch->verify(ac, &hook);
}

static void
the_secret_proves(void **state)
{
	struct channel_account ac = account();

	(void)state;
	assert_int_equal(verdict(&ac, "tg-sample_secret"), CHANNEL_GOOD);
	assert_int_equal(verdict(&ac, NULL), CHANNEL_FORGED);
	assert_int_equal(verdict(&ac, ""), CHANNEL_FORGED);
	assert_int_equal(verdict(&ac, "tg-sample_secre"), CHANNEL_FORGED);
	assert_int_equal(verdict(&ac, "tg-sample_secret "), CHANNEL_FORGED);
	assert_int_equal(verdict(&ac, "tg-sample_secreT"), CHANNEL_FORGED);
	assert_int_equal(verdict(&ac, "another_secret__"), CHANNEL_FORGED);
	json_put_str(ac.config, "tg_secret", "");
	assert_int_equal(verdict(&ac, ""), CHANNEL_FORGED);
	json_object_put(ac.config);
}

static void
the_account_is_checked(void **state)
{
	static const char *const bad[][2] = {
		{ "tg_bot_token", "" },
		{ "tg_bot_token", "700000001" },
		{ "tg_bot_token", "700000001:" },
		{ "tg_bot_token", ":AA" },
		{ "tg_bot_token", "x7:AA" },
		{ "tg_bot_token", "7:A/../B" },
		{ "tg_bot_token", "7:A?b" },
		{ "tg_bot_token", "7:A\nb" },
		{ "tg_bot_token", "700000001700000001700:A" },
		{ "tg_secret", "" },
		{ "tg_secret", "has space" },
		{ "tg_secret", "has:colon" },
		{ "tg_api_base", "http://api.telegram.org" },
	};
	struct channel_account ac = account();
	struct http_request rq;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(channel_config_check(ac.ch, ac.config, &b), 0);
	/* The bot's number names the account. */
	channel_account_name(ac.ch, ac.config, &b);
	assert_string_equal(b.data, "700000001");
	assert_int_equal(ac.ch->handshake(&ac, "", &b), 405);
	assert_int_equal(
	    ac.ch->window(&ac, 1, 1000, NOW).state, CHANNEL_WINDOW_OPEN);
	assert_int_equal(ac.ch->text_max(&ac), 4096);
	buf_fini(&b);
	json_object_put(ac.config);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ac = account();
		json_put_str(ac.config, bad[i][0], bad[i][1]);
		buf_init(&b, 1000);
		assert_int_equal(
		    channel_config_check(ac.ch, ac.config, &b), -1);
		assert_non_null(strstr(b.data, bad[i][0]));
		/* Not even a fault repeats a secret. */
		if (strlen(bad[i][1]) > 2 && i < 12)
			assert_null(strstr(b.data, bad[i][1]));
		buf_fini(&b);
		if (strcmp(bad[i][0], "tg_bot_token") == 0) {
			http_request_init(&rq, "POST");
			assert_int_equal(
			    ac.ch->send(&ac,
				&(struct channel_out){ .kind = "text",
				    .text = "t",
				    .conversation = "5" },
				&rq),
			    -1);
			http_request_fini(&rq);
		}
		json_object_put(ac.config);
	}
}

/* --- updates --- */

static void
the_sample_is_a_text(void **state)
{
	struct channel_account ac = account();
	size_t len;
	char *body = file_read("telegram-text.json", &len);
	struct channel_batch b;
	const struct channel_item *it;

	(void)state;
	assert_int_equal(hook_parse(&ac, body, len, NOW, &b), 0);
	assert_int_equal(b.n, 1);
	it = &b.items[0];
	assert_int_equal(it->op, CHANNEL_MESSAGE);
	assert_false(it->out);
	assert_string_equal(it->conversation, "500000001");
	assert_string_equal(it->user, "500000001");
	assert_string_equal(it->user_name, "Hạnh");
	assert_string_equal(it->message_id, "500000001:15");
	assert_string_equal(it->kind, "text");
	assert_string_equal(it->text, "Shop mở cửa mấy giờ? ⏰");
	assert_int_equal(it->sent_at, 1795000700000);
	assert_null(it->media_ref);
	assert_null(it->reply_to);
	channel_batch_fini(&b);
	cuts_are_refused(&ac, body, len, NOW);
	json_object_put(ac.config);
	free(body);
}

/* Parse an update written in short, single quotes for double ones. */
static struct channel_item *
update(struct channel_batch *b, const char *text)
{
	struct channel_account ac = account();

	assert_int_equal(short_parse(&ac, text, NOW, b), 0);
	json_object_put(ac.config);
	return b->n > 0 ? &b->items[0] : NULL;
}

#define PRIVATE "'chat':{'id':5,'type':'private'},'from':{'id':5}"
#define MESSAGE(rest)                                                         \
	"{'update_id':1,'message':{'message_id':9,'date':1795000700," PRIVATE \
	"," rest "}}"

static void
content_has_its_kind(void **state)
{
	static const struct {
		const char *rest, *kind, *text, *ref, *mime, *name;
		int64_t size;
	} table[] = {
		{ "'text':'hi','entities':[]", "text", "hi", NULL, NULL, NULL,
		    -1 },
		{ "'photo':[{'file_id':'s','width':90,'height':60},{'file_id':"
		  "'l','width':1280,'height':853,'file_size':99},{'file_id':"
		  "'m','width':320,'height':213}],'caption':'c'",
		    "image", "c", "tg:l", NULL, NULL, 99 },
		{ "'video':{'file_id':'v','mime_type':'video/mp4','file_name':"
		  "'a.mp4','file_size':5000000000}",
		    "video", NULL, "tg:v", "video/mp4", "a.mp4", 5000000000 },
		{ "'video_note':{'file_id':'n'}", "video", NULL, "tg:n", NULL,
		    NULL, -1 },
		{ "'animation':{'file_id':'g','mime_type':'video/mp4'},"
		  "'document':{'file_id':'g'}",
		    "video", NULL, "tg:g", "video/mp4", NULL, -1 },
		{ "'voice':{'file_id':'o','mime_type':'audio/ogg'},'caption':"
		  "'c'",
		    "audio", "c", "tg:o", "audio/ogg", NULL, -1 },
		{ "'audio':{'file_id':'a','file_name':'x.mp3'}", "audio", NULL,
		    "tg:a", NULL, "x.mp3", -1 },
		{ "'document':{'file_id':'d','file_name':'../b.pdf',"
		  "'mime_type':'application/pdf','file_size':0}",
		    "file", NULL, "tg:d", "application/pdf", "../b.pdf", 0 },
		{ "'sticker':{'file_id':'k','emoji':'\xf0\x9f\x98\x80'}",
		    "sticker", "\xf0\x9f\x98\x80", "tg:k", NULL, NULL, -1 },
		{ "'contact':{'phone_number':'+84 9','first_name':'A'}",
		    "unsupported", "A\n+84 9", NULL, NULL, NULL, -1 },
		{ "'poll':{'question':'q?'}", "unsupported", "q?", NULL, NULL,
		    NULL, -1 },
		{ "'dice':{'emoji':'d','value':3}", "unsupported", "d", NULL,
		    NULL, NULL, -1 },
		{ "'hologram':{'file_id':'h'},'caption':'c'", "unsupported",
		    "c", NULL, NULL, NULL, -1 },
		{ "'photo':[]", "unsupported", NULL, NULL, NULL, NULL, -1 },
		{ "'photo':[5,{'width':1}]", "unsupported", NULL, NULL, NULL,
		    NULL, -1 },
		{ "'video':{'file_size':1}", "unsupported", NULL, NULL, NULL,
		    NULL, -1 },
		{ "'text':''", "unsupported", NULL, NULL, NULL, NULL, -1 },
	};
	struct channel_batch b;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[1024];
		const struct channel_item *it;

		snprintf(text, sizeof(text), MESSAGE("%s"), table[i].rest);
		it = update(&b, text);
		assert_int_equal(b.n, 1);
		assert_string_equal(it->kind, table[i].kind);
#define SAME(got, want)                                 \
	do {                                            \
		if ((want) == NULL)                     \
			assert_null(got);               \
		else                                    \
			assert_string_equal(got, want); \
	} while (0)
		SAME(it->text, table[i].text);
		SAME(it->media_ref, table[i].ref);
		SAME(it->mime, table[i].mime);
		SAME(it->name, table[i].name);
#undef SAME
		assert_int_equal(it->size, table[i].size);
		assert_null(it->media_url);
		channel_batch_fini(&b);
	}
}

static void
places_are_read(void **state)
{
	struct channel_batch b;
	struct channel_item *it;

	(void)state;
	it = update(&b, MESSAGE("'location':{'latitude':0,'longitude':-0.5}"));
	assert_string_equal(it->kind, "location");
	assert_true(it->located && it->lat == 0 && it->lon == -0.5);
	assert_null(it->text);
	channel_batch_fini(&b);
	it = update(&b, MESSAGE("'venue':{'title':'Ga','address':'1 Lê Lợi',"
				"'location':{'latitude':1,'longitude':2}}"));
	assert_string_equal(it->kind, "location");
	assert_string_equal(it->text, "Ga\n1 Lê Lợi");
	assert_true(it->located && it->lat == 1 && it->lon == 2);
	channel_batch_fini(&b);
	it = update(&b, MESSAGE("'location':{'latitude':91,'longitude':'x'}"));
	assert_string_equal(it->kind, "unsupported");
	assert_false(it->located);
	channel_batch_fini(&b);
}

static void
groups_and_quotes(void **state)
{
	struct channel_batch b;
	struct channel_item *it;

	(void)state;
	it = update(&b,
	    "{'update_id':1,'message':{'message_id':9007199254740993,'date':"
	    "1795000700,'chat':{'id':-1001234567890,'type':'supergroup',"
	    "'title':'G'},'from':{'id':5,'first_name':'A','last_name':'B',"
	    "'username':'ab'},'text':'a\\u0000\\ud800b',"
	    "'reply_to_message':{'message_id':7,'chat':{'id':"
	    "-1001234567890}}}}");
	assert_string_equal(it->conversation, "-1001234567890");
	assert_string_equal(it->user, "5");
	assert_string_equal(it->user_name, "A B");
	assert_string_equal(it->message_id, "-1001234567890:9007199254740993");
	assert_string_equal(it->reply_to, "-1001234567890:7");
	assert_string_equal(it->text, "a\xef\xbf\xbd\xef\xbf\xbd"
				      "b");
	channel_batch_fini(&b);

	/* In the name of a chat; without any name. */
	it = update(&b, "{'message':{'message_id':9,'chat':{'id':-7},"
			"'from':{'id':1087968824},'sender_chat':{'id':-7,"
			"'title':'G'},'text':'t'}}");
	assert_string_equal(it->user, "-7");
	assert_string_equal(it->user_name, "G");
	assert_int_equal(it->sent_at, NOW);
	channel_batch_fini(&b);
	it = update(&b, "{'message':{'message_id':9,'chat':{'id':-7},"
			"'text':'t'}}");
	assert_null(it->user);
	assert_null(it->user_name);
	channel_batch_fini(&b);
}

static void
edits_presses_and_marks(void **state)
{
	struct channel_batch b;
	struct channel_item *it;

	(void)state;
	it = update(&b, "{'edited_message':{'message_id':9,'date':1795000700,"
			"'edit_date':1795000800," PRIVATE ",'text':'new'}}");
	assert_int_equal(it->op, CHANNEL_EDIT);
	assert_string_equal(it->message_id, "5:9");
	assert_string_equal(it->text, "new");
	assert_int_equal(it->version, 1795000800000);
	channel_batch_fini(&b);
	it = update(&b,
	    "{'edited_message':{'message_id':9,'edit_date':1," PRIVATE
	    ",'photo':[],'caption':'c'}}");
	assert_string_equal(it->text, "c");
	channel_batch_fini(&b);
	it = update(&b,
	    "{'edited_message':{'message_id':9,'edit_date':1," PRIVATE
	    ",'location':{}}}");
	assert_int_equal(it->op, CHANNEL_NOTE);
	channel_batch_fini(&b);

	it = update(&b,
	    "{'callback_query':{'id':'4382bfdwdsb323b2d9','from':{'id':5,"
	    "'first_name':'A'},'data':'BUY:1','message':{'message_id':7,"
	    "'chat':{'id':5},'reply_markup':{'inline_keyboard':[5,[7,{'text':"
	    "'No','callback_data':'NO'}],[{'text':'Yes','callback_data':"
	    "'BUY:1'}]]}}}}");
	assert_int_equal(it->op, CHANNEL_MESSAGE);
	assert_string_equal(it->kind, "postback");
	assert_string_equal(it->message_id, "cb:4382bfdwdsb323b2d9");
	assert_string_equal(it->conversation, "5");
	assert_string_equal(it->text, "Yes");
	assert_string_equal(it->payload, "BUY:1");
	assert_string_equal(it->reply_to, "5:7");
	assert_string_equal(it->seen_token, "4382bfdwdsb323b2d9");
	assert_int_equal(it->sent_at, NOW);
	channel_batch_fini(&b);
	it = update(&b, "{'callback_query':{'id':1,'from':{'id':5},'data':"
			"'D','inline_message_id':'x'}}");
	assert_string_equal(it->conversation, "5");
	assert_string_equal(it->text, "D");
	channel_batch_fini(&b);

#define MEMBER(type, status)                                                \
	"{'my_chat_member':{'chat':{'id':5,'type':'" type "','first_name':" \
	"'A'},'from':{'id':5},'date':1795000900,'new_chat_member':{"        \
	"'status':'" status "'}}}"
	it = update(&b, MEMBER("private", "kicked"));
	assert_int_equal(it->op, CHANNEL_CONTACT);
	assert_false(it->follow);
	assert_string_equal(it->user, "5");
	assert_int_equal(it->sent_at, 1795000900000);
	channel_batch_fini(&b);
	it = update(&b, MEMBER("private", "member"));
	assert_true(it->op == CHANNEL_CONTACT && it->follow);
	channel_batch_fini(&b);
	it = update(&b, MEMBER("private", "restricted"));
	assert_int_equal(it->op, CHANNEL_NOTE);
	channel_batch_fini(&b);
	it = update(&b, MEMBER("group", "kicked"));
	assert_int_equal(it->op, CHANNEL_NOTE);
	channel_batch_fini(&b);
#undef MEMBER
}

static void
what_is_no_message_is_no_fault(void **state)
{
	static const char *const skipped[] = { "[]", "7", "null",
		"{'message':{}}", "{'message':{'message_id':1}}",
		"{'message':{'message_id':1,'chat':{'id':{}}}}",
		"{'message':{'chat':{'id':1}}}", "{'edited_message':{}}",
		"{'callback_query':{'id':'1'}}",
		"{'callback_query':{'id':'1','from':{'id':5}}}",
		"{'my_chat_member':{'chat':{'id':1}}}" };
	static const char *const noted[][2] = {
		{ "{}", "update" },
		{ "{'update_id':1}", "update" },
		{ "{'update_id':1,'channel_post':{}}", "channel_post" },
		{ "{'update_id':1,'message_reaction':{'a':1}}",
		    "message_reaction" },
		{ "{'message':5,'poll_answer':{}}", "poll_answer" },
		{ MESSAGE("'new_chat_members':[{}]"), "message" },
		{ MESSAGE("'pinned_message':{}"), "message" },
	};
	struct channel_batch b;
	struct channel_item *it;

	(void)state;
	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++) {
		assert_null(update(&b, skipped[i]));
		assert_int_equal(b.skipped, 1);
		channel_batch_fini(&b);
	}
	for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++) {
		it = update(&b, noted[i][0]);
		assert_int_equal(b.n, 1);
		assert_int_equal(it->op, CHANNEL_NOTE);
		assert_string_equal(it->what, noted[i][1]);
		channel_batch_fini(&b);
	}
}

/* --- sending --- */

/* The request of ${out}: its body must be this one, single quotes as above. */
static void
sends(const struct channel_out *out, const char *method, const char *want)
{
	struct channel_account ac = account();
	struct json_object *got = NULL, *o;
	char text[2048], url[200];
	struct http_request rq;

	snprintf(text, sizeof(text), "%s", want);
	quotes(text);
	assert_non_null(o = json_tokener_parse(text));
	http_request_init(&rq, "GET");
	assert_int_equal(ac.ch->send(&ac, out, &rq), 0);
	assert_string_equal(rq.method, "POST");
	snprintf(url, sizeof(url), API "/bot" TOKEN "/%s", method);
	assert_string_equal(rq.url.data, url);
	assert_string_equal(
	    rq.headers.data, "Content-Type: application/json\n");
	assert_int_equal(channel_json(rq.body.data, rq.body.len, &got), 0);
	if (!json_object_equal(got, o))
		fail_msg("%s", rq.body.data);
	json_object_put(got);
	json_object_put(o);
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
texts_and_buttons(void **state)
{
	struct channel_out out = { .number = 7,
		.kind = "text",
		.conversation = "500000001",
		.user = "500000001",
		.text = "Dạ 8 giờ ạ" };

	(void)state;
	sends(&out, "sendMessage", "{'chat_id':500000001,'text':'Dạ 8 giờ ạ'}");
	out.conversation = "-1001234567890";
	out.quote = "-1001234567890:7";
	sends(&out, "sendMessage",
	    "{'chat_id':-1001234567890,'text':'Dạ 8 giờ ạ','reply_parameters':"
	    "{'message_id':7,'allow_sending_without_reply':true}}");
	/* A button press is no message that one could quote. */
	out.quote = "cb:77";
	sends(&out, "sendMessage",
	    "{'chat_id':-1001234567890,'text':'Dạ 8 giờ ạ'}");
	out.quote = NULL;

	out.conversation = "5";
	out.text = "?";
	out.quick = json_tokener_parse("[{\"title\":\"A\",\"payload\":\"P\"},"
				       "{\"title\":\"B\"}]");
	sends(&out, "sendMessage",
	    "{'chat_id':5,'text':'?','reply_markup':{'inline_keyboard':[[{"
	    "'text':'A','callback_data':'P'}],[{'text':'B','callback_data':'B'"
	    "}]]}}");
	json_object_put(out.quick);
	/* A button carries 64 bytes; more than that is said as a text. */
	out.quick = json_tokener_parse(
	    "[{\"title\":\"A\",\"payload\":\""
	    "12345678901234567890123456789012345678901234567890123456789012345"
	    "\"}]");
	sends(&out, "sendMessage",
	    "{'chat_id':5,'text':'?','reply_markup':{'keyboard':[[{'text':'A'}"
	    "]],'resize_keyboard':true,'one_time_keyboard':true}}");
	json_object_put(out.quick);
}

static void
files_go_by_address_or_up(void **state)
{
	struct channel_account ac = account();
	struct channel_out out = { .kind = "image",
		.conversation = "5",
		.text = "Sơ đồ & giá",
		.quote = "5:7",
		.mime = "image/png",
		.media_name = "a.png",
		.media_size = 1000,
		.media_url = "https://shop.example/a.png" };
	struct http_request rq;
	char *caption;

	(void)state;
	sends(&out, "sendPhoto",
	    "{'chat_id':5,'photo':'https://shop.example/a.png','caption':"
	    "'Sơ đồ & giá','reply_parameters':{'message_id':7,"
	    "'allow_sending_without_reply':true}}");
	out.text = out.quote = NULL;
	out.mime = "image/gif";
	sends(&out, "sendAnimation",
	    "{'chat_id':5,'animation':'https://shop.example/a.png'}");
	out.kind = "video";
	out.mime = "video/mp4";
	sends(&out, "sendVideo",
	    "{'chat_id':5,'video':'https://shop.example/a.png'}");
	out.kind = "audio";
	sends(&out, "sendAudio",
	    "{'chat_id':5,'audio':'https://shop.example/a.png'}");
	out.kind = "file";
	out.mime = "application/pdf";
	sends(&out, "sendDocument",
	    "{'chat_id':5,'document':'https://shop.example/a.png'}");
	/* What it does not fetch goes as a link. */
	out.mime = "text/csv";
	out.text = "Giá:";
	sends(&out, "sendMessage",
	    "{'chat_id':5,'text':'Giá:\\nhttps://shop.example/a.png'}");

	/* The file itself: any, with the rest beside it. */
	out.media_path = "/nowhere/a.csv";
	out.quote = "5:7";
	http_request_init(&rq, "GET");
	assert_int_equal(ac.ch->send(&ac, &out, &rq), 0);
	assert_string_equal(rq.method, "POST");
	assert_string_equal(rq.url.data, API "/bot" TOKEN "/sendDocument");
	assert_string_equal(rq.file_field, "document");
	assert_string_equal(rq.file_path, "/nowhere/a.csv");
	assert_string_equal(rq.file_name, "a.png");
	assert_int_equal(rq.body.len, 0);
	assert_string_equal(rq.fields.data, "chat_id");
	assert_string_equal(rq.fields.data + 8, "5");
	assert_string_equal(rq.fields.data + 10, "reply_parameters");
	assert_string_equal(rq.fields.data + 27,
	    "{\"message_id\":7,\"allow_sending_without_reply\":true}");
	http_request_fini(&rq);

	/* A picture too large for one goes as a document. */
	out.kind = "image";
	out.mime = "image/png";
	out.media_size = 10000001;
	http_request_init(&rq, "POST");
	assert_int_equal(ac.ch->send(&ac, &out, &rq), 0);
	assert_string_equal(rq.file_field, "document");
	http_request_fini(&rq);

	/* A caption has its length, in UTF-16 units. */
	out.media_size = 1;
	assert_non_null(caption = calloc(1, 1030));
	memset(caption, 'x', 1022);
	memcpy(caption + 1022, "\xf0\x9f\x98\x80", 4);
	out.text = caption;
	http_request_init(&rq, "POST");
	assert_int_equal(ac.ch->send(&ac, &out, &rq), 0);
	http_request_fini(&rq);
	caption[1026] = 'x';
	http_request_init(&rq, "POST");
	assert_int_equal(ac.ch->send(&ac, &out, &rq), -1);
	http_request_fini(&rq);
	free(caption);

	/* Nothing at all, to nobody. */
	out = (struct channel_out){ .kind = "text", .conversation = "5" };
	http_request_init(&rq, "POST");
	assert_int_equal(ac.ch->send(&ac, &out, &rq), -1);
	out.text = "t";
	out.conversation = "";
	assert_int_equal(ac.ch->send(&ac, &out, &rq), -1);
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static struct channel_result
answered(long status, const char *text)
{
	struct channel_account ac = account();
	struct channel_out out = { .kind = "text", .conversation = "5" };
	struct channel_result rs;
	char body[1024];

	snprintf(body, sizeof(body), "%s", text);
	quotes(body);
	rs = answer_to(&ac, &out, status, body, strlen(body));
	json_object_put(ac.config);
	return rs;
}

static void
answers_have_classes(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum channel_class cls;
	} table[] = {
#define ERROR(code) "{'ok':false,'error_code':" #code ",'description':'d'}"
		{ 400, ERROR(400), CHANNEL_PERMANENT },
		{ 401, ERROR(401), CHANNEL_REAUTH },
		{ 403, ERROR(403), CHANNEL_PERMANENT },
		{ 404, ERROR(404), CHANNEL_REAUTH },
		{ 409, ERROR(409), CHANNEL_PERMANENT },
		{ 413, ERROR(413), CHANNEL_PERMANENT },
		{ 429, ERROR(429), CHANNEL_RETRY },
		{ 200, ERROR(429), CHANNEL_RETRY },
		{ 200, ERROR(403), CHANNEL_PERMANENT },
		{ 500, ERROR(500), CHANNEL_UNKNOWN },
		{ 502, ERROR(502), CHANNEL_UNKNOWN },
#undef ERROR
		{ 200, "{'ok':false}", CHANNEL_UNKNOWN },
		{ 403, "{'ok':false}", CHANNEL_PERMANENT },
		{ 200, "{'ok':'true'}", CHANNEL_UNKNOWN },
		{ 502, "{'ok':true}", CHANNEL_UNKNOWN },
		{ 403, "{}", CHANNEL_UNKNOWN },
		{ 429, "{}", CHANNEL_RETRY },
		{ 429, "<html>", CHANNEL_RETRY },
		{ 502, "<html>", CHANNEL_UNKNOWN },
		{ 200, "<html>", CHANNEL_UNKNOWN },
		{ 200, "", CHANNEL_UNKNOWN },
		{ 200, "[]", CHANNEL_UNKNOWN },
		{ 302, "", CHANNEL_UNKNOWN },
		{ 200, "{'ok':true}", CHANNEL_SENT },
	};
	static const char good[] =
	    "{'ok':true,'result':{'message_id':16,'chat':{'id':5}}}";
	struct channel_account ac = account();
	struct channel_out out = { .kind = "text", .conversation = "5" };
	struct channel_result rs;
	char cut[sizeof(good)];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (answered(table[i].status, table[i].body).cls !=
		    table[i].cls)
			fail_msg("%ld %s", table[i].status, table[i].body);
	rs = answered(200, good);
	assert_int_equal(rs.cls, CHANNEL_SENT);
	assert_string_equal(rs.message_id, "5:16");
	assert_string_equal(answered(200, "{'ok':true}").message_id, "");
	for (size_t i = 0; i < strlen(good); i++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)i, good);
		assert_int_equal(answered(200, cut).cls, CHANNEL_UNKNOWN);
	}

	rs = answered(429, "{'ok':false,'error_code':429,'parameters':{"
			   "'retry_after':35}}");
	assert_true(rs.hold && rs.wait_s == 35);
	rs = answered(429, "");
	assert_true(rs.hold && rs.wait_s == 5);
	rs = answered(401, "{'ok':false,'description':'Unauthorized'}");
	assert_false(rs.refreshable);
	assert_string_equal(rs.message, "Unauthorized");
	assert_string_equal(rs.code, "401");

	/* The token stays at home, whatever the far side says. */
	rs = answered(400, "{'ok':false,'error_code':400,'description':"
			   "'/bot" TOKEN "/sendMessage'}");
	assert_null(strstr(rs.message, "AAtest"));

	no_answer_is(&ac, &out, CHANNEL_UNKNOWN);
	assert_int_equal(answer_later(&ac, &out, 429, "", 90).wait_s, 90);
	assert_false(ac.ch->keyed);
	json_object_put(ac.config);
}

/* --- what shows, files, names --- */

static void
acts_are_shown(void **state)
{
	struct channel_account ac = account();
	struct channel_act act = { .what = CHANNEL_TYPING,
		.conversation = "5" };
	struct http_request rq;

	(void)state;
	http_request_init(&rq, "POST");
	assert_int_equal(ac.ch->act(&ac, &act, &rq), 1);
	assert_string_equal(rq.url.data, API "/bot" TOKEN "/sendChatAction");
	assert_string_equal(
	    rq.body.data, "{\"chat_id\":5,\"action\":\"typing\"}");
	http_request_fini(&rq);
	http_request_init(&rq, "POST");
	act.what = CHANNEL_TYPING_END;
	assert_int_equal(ac.ch->act(&ac, &act, &rq), 0);
	act.what = CHANNEL_SEEN;
	assert_int_equal(ac.ch->act(&ac, &act, &rq), 0);
	act.seen_token = "43";
	assert_int_equal(ac.ch->act(&ac, &act, &rq), 1);
	assert_string_equal(
	    rq.url.data, API "/bot" TOKEN "/answerCallbackQuery");
	assert_string_equal(rq.body.data, "{\"callback_query_id\":\"43\"}");
	http_request_fini(&rq);
	json_object_put(ac.config);
}

static void
files_take_two_steps(void **state)
{
	static const char *const bad[] = { "", "/etc/x", "a//b", "a/", "../x",
		"a/../b", "a/.", "./a" };
	struct channel_account ac = account();
	struct channel_media md = { .kind = "image", .ref = "tg:AgAC-1" };
	struct http_request rq;
	char body[200];

	(void)state;
	http_request_init(&rq, "GET");
	assert_int_equal(ac.ch->media(&ac, &md, &rq), 1);
	assert_string_equal(rq.method, "POST");
	assert_string_equal(rq.url.data, API "/bot" TOKEN "/getFile");
	assert_string_equal(rq.body.data, "{\"file_id\":\"AgAC-1\"}");
	http_request_fini(&rq);
	assert_int_equal(media_says(&ac, &md, 200,
			     "{\"ok\":true,\"result\":{\"file_path\":"
			     "\"photos/file 0.jpg\"}}"),
	    CHANNEL_MORE);
	assert_string_equal(md.handle, "photos/file 0.jpg");
	md.step = 1;
	http_request_init(&rq, "POST");
	assert_int_equal(ac.ch->media(&ac, &md, &rq), 2);
	assert_string_equal(rq.method, "GET");
	assert_string_equal(
	    rq.url.data, API "/file/bot" TOKEN "/photos/file%200.jpg");
	assert_int_equal(rq.body.len, 0);
	http_request_fini(&rq);

	/* The address has run out: from the start. */
	assert_int_equal(media_says(&ac, &md, 404,
			     "{\"ok\":false,\"error_code\":"
			     "404}"),
	    CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 502, "<html>"), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 401,
			     "{\"ok\":false,\"error_code\":"
			     "401}"),
	    CHANNEL_REAUTH);
	md.step = 0;
	assert_int_equal(
	    media_says(&ac, &md, 400,
		"{\"ok\":false,\"error_code\":400,\"description\":\"Bad "
		"Request: file is too big\"}"),
	    CHANNEL_PERMANENT);
	assert_int_equal(media_says(&ac, &md, 429, ""), CHANNEL_RETRY);
	assert_int_equal(media_says(&ac, &md, 200, "<html>"), CHANNEL_RETRY);
	assert_int_equal(
	    media_says(&ac, &md, 200, "{\"ok\":true}"), CHANNEL_PERMANENT);

	/* No path leads elsewhere. */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(body, sizeof(body),
		    "{\"ok\":true,\"result\":{\"file_path\":\"%s\"}}", bad[i]);
		assert_int_equal(
		    media_says(&ac, &md, 200, body), CHANNEL_PERMANENT);
		snprintf(md.handle, sizeof(md.handle), "%s", bad[i]);
		md.step = 1;
		http_request_init(&rq, "GET");
		assert_int_equal(ac.ch->media(&ac, &md, &rq), 0);
		http_request_fini(&rq);
		md.step = 0;
	}
	md.ref = "line:1";
	http_request_init(&rq, "GET");
	assert_int_equal(ac.ch->media(&ac, &md, &rq), 0);
	http_request_fini(&rq);
	assert_int_equal(media_says(&ac, &md, 0, ""), CHANNEL_RETRY);
	json_object_put(ac.config);
}

static void
profiles_are_read(void **state)
{
	struct channel_account ac = account();
	struct channel_profile pf;
	struct http_request rq;
	struct http_answer an;

	(void)state;
	http_request_init(&rq, "GET");
	assert_int_equal(ac.ch->profile(&ac, "5", "-7", &rq), 1);
	assert_string_equal(rq.url.data, API "/bot" TOKEN "/getChat");
	assert_string_equal(rq.body.data, "{\"chat_id\":5}");
	http_request_fini(&rq);
	answer_init(&an, 200,
	    "{\"ok\":true,\"result\":{\"id\":5,\"first_name\":"
	    "\"Hạnh\",\"last_name\":\"Lê\"}}");
	assert_int_equal(ac.ch->profiled(&ac, &an, &pf), CHANNEL_SENT);
	assert_string_equal(pf.name, "Hạnh Lê");
	assert_string_equal(pf.avatar_url, "");
	http_answer_fini(&an);
	answer_init(&an, 400, "{\"ok\":false,\"error_code\":400}");
	assert_int_equal(ac.ch->profiled(&ac, &an, &pf), CHANNEL_PERMANENT);
	assert_string_equal(pf.name, "");
	http_answer_fini(&an);
	json_object_put(ac.config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_secret_proves),
		cmocka_unit_test(the_account_is_checked),
		cmocka_unit_test(the_sample_is_a_text),
		cmocka_unit_test(content_has_its_kind),
		cmocka_unit_test(places_are_read),
		cmocka_unit_test(groups_and_quotes),
		cmocka_unit_test(edits_presses_and_marks),
		cmocka_unit_test(what_is_no_message_is_no_fault),
		cmocka_unit_test(texts_and_buttons),
		cmocka_unit_test(files_go_by_address_or_up),
		cmocka_unit_test(answers_have_classes),
		cmocka_unit_test(acts_are_shown),
		cmocka_unit_test(files_take_two_steps),
		cmocka_unit_test(profiles_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
