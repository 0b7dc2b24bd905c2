/*
 * Telegram: updates of the Bot API in, its methods out.  The bot's token is
 * part of every address, so no address is ever put into a text or a log.  A
 * message's number counts within its chat only: here it is "CHAT:NUMBER".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "json.h"
#include "token.h"

#define RATE_WAIT_S 5      /* where a 429 does not say */
#define CALLBACK_MAX 64    /* bytes that a button can carry */
#define CAPTION_MAX 1024   /* UTF-16 units */
#define PHOTO_MAX 10000000 /* bytes that go up as a picture */
#define FILE_ID_MAX 250
#define REF "tg:"

static const struct channel_key telegram_keys[] = {
	{ "tg_bot_token", NULL, CHANNEL_SECRET | CHANNEL_REQUIRED,
	    "the bot's token, as @BotFather gave it" },
	{ "tg_secret", NULL, CHANNEL_SECRET | CHANNEL_REQUIRED | CHANNEL_MADE,
	    "what setWebhook was told as secret_token" },
	{ "tg_api_base", "https://api.telegram.org", 0, "address of the API" },
	{ "tg_text_max", "4096", 0, "UTF-16 units of one text" },
};

#define WORD_CHARS                     \
	"abcdefghijklmnopqrstuvwxyz"   \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ_-" \
	"0123456789"

/* Bytes of the bot's number in front of a token; 0: it is no token. */
static size_t
token_number(const char *token)
{
	size_t n = strspn(token, "0123456789"), m;

	if (n == 0 || n > 20 || token[n] != ':')
		return 0;
	m = strspn(token + n + 1, WORD_CHARS);
	return m > 0 && token[n + 1 + m] == '\0' ? n : 0;
}

static const char *
telegram_check(const struct channel_account *ac, const char **key)
{
	const char *secret = channel_conf(ac, "tg_secret");

	*key = "tg_bot_token";
	if (token_number(channel_conf(ac, *key)) == 0)
		return "token";
	*key = "tg_secret";
	return strlen(secret) > 256 ||
		       secret[strspn(secret, WORD_CHARS)] != '\0'
		   ? "characters"
		   : NULL;
}

static void
telegram_account(const struct channel_account *ac, struct buf *out)
{
	const char *token = channel_conf(ac, "tg_bot_token");

	buf_append(out, token, token_number(token));
}

/* --- updates in --- */

static enum channel_verdict
telegram_verify(
    const struct channel_account *ac, const struct channel_hook *hook)
{
	const char *secret = channel_conf(ac, "tg_secret");
	const char *said =
	    hook->header(hook->arg, "X-Telegram-Bot-Api-Secret-Token");

	return *secret != '\0' && said != NULL &&
		       token_equal(secret, strlen(secret), said, strlen(said))
		   ? CHANNEL_GOOD
		   : CHANNEL_FORGED;
}

/* What an update is about. */
struct update {
	struct channel_batch *b;
	struct json_object *raw;
	const char *name;
	int64_t now_ms;
};

static struct channel_item *
item_new(const struct update *u, enum channel_op op)
{
	struct channel_item *it = channel_batch_add(u->b);

	if (it != NULL) {
		it->op = op;
		it->sent_at = u->now_ms;
		it->what = u->name;
		it->raw = u->raw;
	}
	return it;
}

/* "CHAT:NUMBER" of a message, or NULL. */
static const char *
message_name(struct channel_batch *b, struct json_object *msg)
{
	const char *chat = channel_some(b, channel_obj(msg, "chat"), "id");
	const char *n = channel_some(b, msg, "message_id");

	return chat != NULL && n != NULL
		   ? channel_batch_printf(b, "%s:%s", chat, n)
		   : NULL;
}

/* What a person is called, or NULL. */
static const char *
person_name(struct channel_batch *b, struct json_object *o)
{
	const char *first = channel_some(b, o, "first_name");
	const char *last = channel_some(b, o, "last_name");

	if (first != NULL && last != NULL)
		return channel_batch_printf(b, "%s %s", first, last);
	if (first == NULL)
		first = last;
	if (first == NULL)
		first = channel_some(b, o, "title");
	return first != NULL ? first : channel_some(b, o, "username");
}

/* Who wrote: a person, or in groups a chat in whose name one did. */
static void
from_read(
    const struct update *u, struct json_object *msg, struct channel_item *it)
{
	struct json_object *from = channel_obj(msg, "sender_chat");

	if (from == NULL)
		from = channel_obj(msg, "from");
	it->user = channel_some(u->b, from, "id");
	it->user_name = person_name(u->b, from);
}

/* A file: its handle and what is stated of it; false: it has none. */
static bool
file_read(
    const struct update *u, struct json_object *o, struct channel_item *it)
{
	const char *id = channel_some(u->b, o, "file_id");

	if (id == NULL || strlen(id) > FILE_ID_MAX)
		return false;
	it->media_ref = channel_batch_printf(u->b, REF "%s", id);
	it->mime = channel_some(u->b, o, "mime_type");
	it->name = channel_some(u->b, o, "file_name");
	it->size = channel_size(channel_text(u->b, o, "file_size"));
	return true;
}

/* The largest of a picture's sizes. */
static struct json_object *
photo_best(struct json_object *list)
{
	struct json_object *best = NULL, *o;
	double area, most = -1;

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		o = json_object_array_get_idx(list, i);
		area = json_object_get_double(channel_member(o, "width")) *
		       json_object_get_double(channel_member(o, "height"));
		if (area > most) {
			most = area;
			best = o;
		}
	}
	return best;
}

/* A place, its name and address where it is a venue. */
static bool
place_read(
    const struct update *u, struct json_object *msg, struct channel_item *it)
{
	struct json_object *venue = channel_obj(msg, "venue");
	struct json_object *o = channel_obj(msg, "location");
	const char *title = channel_some(u->b, venue, "title");
	const char *address = channel_some(u->b, venue, "address");

	if (o == NULL)
		o = channel_obj(venue, "location");
	it->located = channel_degrees(o, "latitude", 90, &it->lat) &&
		      channel_degrees(o, "longitude", 180, &it->lon);
	if (title != NULL && address != NULL)
		it->text = channel_batch_printf(u->b, "%s\n%s", title, address);
	else
		it->text = title != NULL ? title : address;
	return it->located;
}

/* Something that has no kind here, in words as far as it has any. */
static const char *
other_words(const struct update *u, struct json_object *msg)
{
	struct json_object *o;
	const char *name, *phone;

	if ((o = channel_obj(msg, "contact")) != NULL) {
		name = person_name(u->b, o);
		phone = channel_some(u->b, o, "phone_number");
		return name != NULL && phone != NULL
			   ? channel_batch_printf(u->b, "%s\n%s", name, phone)
		       : name != NULL ? name
				      : phone;
	}
	if ((o = channel_obj(msg, "poll")) != NULL)
		return channel_some(u->b, o, "question");
	if ((o = channel_obj(msg, "dice")) != NULL)
		return channel_some(u->b, o, "emoji");
	return channel_some(u->b, msg, "caption");
}

/* Kind and content of a message. */
static void
content_read(
    const struct update *u, struct json_object *msg, struct channel_item *it)
{
	/* An animation comes with a document of the same file: it is first. */
	static const char *const files[][2] = { { "animation", "video" },
		{ "video", "video" }, { "video_note", "video" },
		{ "voice", "audio" }, { "audio", "audio" },
		{ "sticker", "sticker" }, { "document", "file" } };

	it->kind = "text";
	if ((it->text = channel_some(u->b, msg, "text")) != NULL)
		return;
	if (channel_member(msg, "location") != NULL ||
	    channel_member(msg, "venue") != NULL) {
		it->kind = place_read(u, msg, it) ? "location" : "unsupported";
		return;
	}
	it->text = channel_some(u->b, msg, "caption");
	it->kind = "image";
	if (file_read(u, photo_best(channel_array(msg, "photo")), it))
		return;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct json_object *o = channel_obj(msg, files[i][0]);

		if (o == NULL || !file_read(u, o, it))
			continue;
		it->kind = files[i][1];
		if (strcmp(it->kind, "sticker") == 0)
			it->text = channel_some(u->b, o, "emoji");
		return;
	}
	it->kind = "unsupported";
	it->text = other_words(u, msg);
}

/* Whether it tells of the chat itself: who came, what it is called. */
static bool
is_service(struct json_object *msg)
{
	static const char *const names[] = { "new_chat_members",
		"left_chat_member", "new_chat_title", "new_chat_photo",
		"delete_chat_photo", "group_chat_created",
		"supergroup_chat_created", "channel_chat_created",
		"message_auto_delete_timer_changed", "migrate_to_chat_id",
		"migrate_from_chat_id", "pinned_message",
		"write_access_allowed", "proximity_alert_triggered",
		"boost_added", "chat_background_set", "forum_topic_created",
		"forum_topic_edited", "forum_topic_closed",
		"forum_topic_reopened", "general_forum_topic_hidden",
		"general_forum_topic_unhidden", "video_chat_scheduled",
		"video_chat_started", "video_chat_ended",
		"video_chat_participants_invited", "connected_website" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (channel_member(msg, names[i]) != NULL)
			return true;
	return false;
}

static void
message_read(const struct update *u, struct json_object *msg)
{
	const char *chat = channel_some(u->b, channel_obj(msg, "chat"), "id");
	const char *id = message_name(u->b, msg);
	struct channel_item *it;
	int64_t at;

	if (id == NULL) {
		u->b->skipped++;
		return;
	}
	if (is_service(msg)) {
		item_new(u, CHANNEL_NOTE);
		return;
	}
	if ((it = item_new(u, CHANNEL_MESSAGE)) == NULL)
		return;
	it->conversation = chat;
	it->message_id = id;
	from_read(u, msg, it);
	if ((at = channel_time(channel_text(u->b, msg, "date"))) > 0)
		it->sent_at = at;
	it->reply_to = message_name(u->b, channel_obj(msg, "reply_to_message"));
	content_read(u, msg, it);
}

static void
edit_read(const struct update *u, struct json_object *msg)
{
	const char *id = message_name(u->b, msg);
	const char *text = channel_some(u->b, msg, "text");
	struct channel_item *it;

	if (id == NULL) {
		u->b->skipped++;
		return;
	}
	if (text == NULL)
		text = channel_some(u->b, msg, "caption");
	if (text == NULL) { /* a live place moves on */
		item_new(u, CHANNEL_NOTE);
		return;
	}
	if ((it = item_new(u, CHANNEL_EDIT)) == NULL)
		return;
	it->conversation = channel_some(u->b, channel_obj(msg, "chat"), "id");
	from_read(u, msg, it);
	it->message_id = id;
	it->text = text;
	it->version = channel_time(channel_text(u->b, msg, "edit_date"));
	if (it->version == 0)
		it->version = u->now_ms;
	it->sent_at = it->version;
}

/* What stands on the button that carries ${data}, or NULL. */
static const char *
button_label(const struct update *u, struct json_object *msg, const char *data)
{
	struct json_object *rows =
	    channel_array(channel_obj(msg, "reply_markup"), "inline_keyboard");
	struct json_object *row, *o;
	const char *t;

	if (rows == NULL)
		return NULL;
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		if (!json_object_is_type(row, json_type_array))
			continue;
		for (size_t k = 0; k < json_object_array_length(row); k++) {
			o = json_object_array_get_idx(row, k);
			if (!json_object_is_type(o, json_type_object))
				continue;
			t = channel_text(u->b, o, "callback_data");
			if (t != NULL && strcmp(t, data) == 0)
				return channel_some(u->b, o, "text");
		}
	}
	return NULL;
}

/* A button under a message of ours was pressed. */
static void
callback_read(const struct update *u, struct json_object *cb)
{
	struct json_object *msg = channel_obj(cb, "message");
	struct json_object *from = channel_obj(cb, "from");
	const char *id = channel_some(u->b, cb, "id");
	const char *user = channel_some(u->b, from, "id");
	const char *data = channel_some(u->b, cb, "data");
	const char *chat = channel_some(u->b, channel_obj(msg, "chat"), "id");
	struct channel_item *it;

	if (id == NULL || user == NULL || data == NULL) {
		u->b->skipped++;
		return;
	}
	if ((it = item_new(u, CHANNEL_MESSAGE)) == NULL)
		return;
	it->conversation = chat != NULL ? chat : user;
	it->user = user;
	it->user_name = person_name(u->b, from);
	it->message_id = channel_batch_printf(u->b, "cb:%s", id);
	it->kind = "postback";
	it->payload = data;
	it->text = button_label(u, msg, data);
	if (it->text == NULL)
		it->text = data;
	it->reply_to = message_name(u->b, msg);
	it->seen_token = id;
}

/* Blocked, or started again; in groups, what became of us there. */
static void
member_read(const struct update *u, struct json_object *o)
{
	struct json_object *chat = channel_obj(o, "chat");
	const char *type = channel_some(u->b, chat, "type");
	const char *user = channel_some(u->b, chat, "id");
	const char *status =
	    channel_some(u->b, channel_obj(o, "new_chat_member"), "status");
	struct channel_item *it;
	int64_t at;

	if (type == NULL || user == NULL || status == NULL) {
		u->b->skipped++;
		return;
	}
	if (strcmp(type, "private") != 0 ||
	    (strcmp(status, "kicked") != 0 && strcmp(status, "member") != 0)) {
		item_new(u, CHANNEL_NOTE);
		return;
	}
	if ((it = item_new(u, CHANNEL_CONTACT)) == NULL)
		return;
	it->conversation = it->user = user;
	it->user_name = person_name(u->b, chat);
	it->follow = strcmp(status, "member") == 0;
	if ((at = channel_time(channel_text(u->b, o, "date"))) > 0)
		it->sent_at = at;
}

static int
telegram_parse(const struct channel_account *ac,
    const struct channel_hook *hook, struct channel_batch *b)
{
	static const struct {
		const char *name;
		void (*read)(const struct update *u, struct json_object *o);
	} kinds[] = { { "message", message_read },
		{ "edited_message", edit_read },
		{ "callback_query", callback_read },
		{ "my_chat_member", member_read } };
	struct update u = { .b = b, .now_ms = hook->now_ms };
	struct json_object *o;

	(void)ac;
	if (channel_json(hook->body, hook->len, &b->root) == -1)
		return 400;
	if (!json_object_is_type(b->root, json_type_object)) {
		b->skipped++;
		return 0;
	}
	u.raw = b->root;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if ((o = channel_obj(b->root, kinds[i].name)) == NULL)
			continue;
		u.name = kinds[i].name;
		kinds[i].read(&u, o);
		return 0;
	}
	/* What else there is, is called like its member. */
	u.name = "update";
	json_object_object_foreach(b->root, name, v)
	{
		if (json_object_is_type(v, json_type_object))
			u.name = channel_batch_text(b, name, strlen(name));
	}
	item_new(&u, CHANNEL_NOTE);
	return 0;
}

/* --- messages out --- */

static size_t
telegram_text_max(const struct channel_account *ac)
{
	return (size_t)channel_conf_int(ac, "tg_text_max", 20, 100000);
}

/* "BASE${between}TOKEN/": false when there is no token to speak of. */
static bool
bot_address(const struct channel_account *ac, struct http_request *rq,
    const char *between)
{
	const char *token = channel_conf(ac, "tg_bot_token");

	if (token_number(token) == 0)
		return false;
	channel_url(ac, "tg_api_base", between, rq);
	buf_puts(&rq->url, token);
	buf_putc(&rq->url, '/');
	return true;
}

/* A request of ${method} with the members of ${o}, which it takes. */
static bool
method_request(const struct channel_account *ac, struct http_request *rq,
    const char *method, struct json_object *o)
{
	bool good = bot_address(ac, rq, "/bot");

	rq->method = "POST";
	buf_puts(&rq->url, method);
	return channel_body(rq, o) == 0 && good;
}

/* A number as such: chats and messages have them. */
static struct json_object *
number_json(const char *text)
{
	size_t n = strlen(text), sign = *text == '-';

	if (n > sign && n < 18 &&
	    text[sign + strspn(text + sign, "0123456789")] == '\0')
		return json_object_new_int64(strtoll(text, NULL, 10));
	return json_object_new_string(text);
}

/* The message's number in "CHAT:NUMBER" of this chat, or NULL. */
static const char *
number_here(const char *name, const char *chat)
{
	size_t n = strlen(chat);

	if (name == NULL || strncmp(name, chat, n) != 0 || name[n] != ':')
		return NULL;
	name += n + 1;
	return *name != '\0' && name[strspn(name, "0123456789")] == '\0' ? name
									 : NULL;
}

static const char *
text_of(struct json_object *o, const char *key)
{
	struct json_object *v = channel_member(o, key);

	return json_object_is_type(v, json_type_string)
		   ? json_object_get_string(v)
		   : "";
}

/*
 * Answers to tap: buttons under the message that carry their payload, or, where
 * one is too long for that, a keyboard that says the title as a text; new.
 */
static struct json_object *
keyboard_json(struct json_object *quick)
{
	struct json_object *rows = json_object_new_array(), *row, *key;
	struct json_object *o = json_object_new_object();
	size_t n = json_object_array_length(quick);
	bool carry = true;

	for (size_t i = 0; i < n; i++) {
		const char *data =
		    text_of(json_object_array_get_idx(quick, i), "payload");

		carry = carry && strlen(data) <= CALLBACK_MAX;
	}
	for (size_t i = 0; i < n; i++) {
		struct json_object *q = json_object_array_get_idx(quick, i);
		const char *title = text_of(q, "title");
		const char *data = text_of(q, "payload");

		key = json_object_new_object();
		json_put_str(key, "text", title);
		if (carry)
			json_put_str(
			    key, "callback_data", *data != '\0' ? data : title);
		row = json_object_new_array();
		json_object_array_add(row, key);
		json_object_array_add(rows, row);
	}
	json_put(o, carry ? "inline_keyboard" : "keyboard", rows);
	if (!carry) {
		json_put_bool(o, "resize_keyboard", true);
		json_put_bool(o, "one_time_keyboard", true);
	}
	return o;
}

/* What every message has: where to, what it answers, what to tap; new. */
static struct json_object *
head_json(const struct channel_out *out)
{
	struct json_object *o = json_object_new_object(), *quote;
	const char *n = number_here(out->quote, out->conversation);

	json_put(o, "chat_id", number_json(out->conversation));
	if (n != NULL) {
		quote = json_object_new_object();
		json_put(quote, "message_id", number_json(n));
		json_put_bool(quote, "allow_sending_without_reply", true);
		json_put(o, "reply_parameters", quote);
	}
	if (json_object_is_type(out->quick, json_type_array) &&
	    json_object_array_length(out->quick) > 0)
		json_put(o, "reply_markup", keyboard_json(out->quick));
	return o;
}

static bool
mime_is(const struct channel_out *out, const char *mime)
{
	return out->mime != NULL && strcmp(out->mime, mime) == 0;
}

/* The method for a file and its member; NULL: only as a link. */
static const char *
file_method(const struct channel_out *out, const char **field)
{
	bool up = out->media_path != NULL;

	if (strcmp(out->kind, "image") == 0 && mime_is(out, "image/gif")) {
		*field = "animation";
		return "sendAnimation";
	}
	if (strcmp(out->kind, "image") == 0 && out->media_size <= PHOTO_MAX) {
		*field = "photo";
		return "sendPhoto";
	}
	if (strcmp(out->kind, "video") == 0) {
		*field = "video";
		return "sendVideo";
	}
	if (strcmp(out->kind, "audio") == 0) {
		*field = "audio";
		return "sendAudio";
	}
	*field = "document";
	/* By address it fetches no other documents than these. */
	return up || mime_is(out, "application/pdf") ||
		       mime_is(out, "application/zip")
		   ? "sendDocument"
		   : NULL;
}

/* UTF-16 units of a text. */
static size_t
units(const char *t)
{
	size_t n = 0;

	for (; *t != '\0'; t++) {
		unsigned char c = (unsigned char)*t;

		n += (c & 0xc0) == 0x80 ? 0 : c >= 0xf0 ? 2 : 1;
	}
	return n;
}

/* The file itself goes up, the rest beside it. */
static bool
upload_request(const struct channel_account *ac, const struct channel_out *out,
    const char *method, const char *field, struct http_request *rq)
{
	struct json_object *o = head_json(out);
	bool good = bot_address(ac, rq, "/bot");
	struct buf v;

	rq->method = "POST";
	buf_puts(&rq->url, method);
	if (out->text != NULL)
		json_put_str(o, "caption", out->text);
	buf_init(&v, 65536);
	json_object_object_foreach(o, name, value)
	{
		buf_reset(&v);
		if (json_object_is_type(value, json_type_object))
			json_write(value, &v);
		else
			buf_puts(&v, json_object_get_string(value));
		http_request_field(rq, name, v.data);
		good = good && !v.err;
	}
	buf_fini(&v);
	json_object_put(o);
	rq->file_field = field;
	rq->file_path = strdup(out->media_path);
	rq->file_name =
	    strdup(out->media_name != NULL ? out->media_name : "file");
	return good && !rq->url.err && !rq->fields.err &&
	       rq->file_path != NULL && rq->file_name != NULL;
}

/* A text, and the address of what cannot go as a file. */
static bool
text_request(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	struct json_object *o;
	struct buf text;
	bool good;

	buf_init(&text, 262144);
	if (out->text != NULL)
		buf_puts(&text, out->text);
	if (out->media_url != NULL) {
		if (text.len > 0)
			buf_putc(&text, '\n');
		buf_puts(&text, out->media_url);
	}
	o = head_json(out);
	json_put_str(o, "text", text.data);
	good = text.len > 0 && !text.err;
	buf_fini(&text);
	return method_request(ac, rq, "sendMessage", o) && good;
}

static int
telegram_send(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	bool file = out->media_path != NULL || out->media_url != NULL;
	const char *field, *method;
	struct json_object *o;

	if (out->conversation == NULL || *out->conversation == '\0')
		return -1;
	if (!file || (method = file_method(out, &field)) == NULL)
		return text_request(ac, out, rq) ? 0 : -1;
	if (out->text != NULL && units(out->text) > CAPTION_MAX)
		return -1;
	if (out->media_path != NULL)
		return upload_request(ac, out, method, field, rq) ? 0 : -1;
	o = head_json(out);
	json_put_str(o, field, out->media_url);
	if (out->text != NULL)
		json_put_str(o, "caption", out->text);
	return method_request(ac, rq, method, o) ? 0 : -1;
}

/* --- answers --- */

/* A status with or without the platform's own words for it. */
static void
classify(long status, bool told, struct channel_result *rs)
{
	const char *reason = "refused";

	rs->cls = CHANNEL_PERMANENT;
	if (status == 429) {
		rs->cls = CHANNEL_RETRY;
		rs->hold = true;
		rs->wait_s = RATE_WAIT_S;
		reason = "rate";
	} else if (!told || status >= 500 || status < 400) {
		rs->cls = CHANNEL_UNKNOWN;
		reason = "";
	} else if (status == 401 || status == 404) {
		/* A token that is none has no such address. */
		rs->cls = CHANNEL_REAUTH;
		reason = "token";
	}
	snprintf(rs->reason, sizeof(rs->reason), "%s", reason);
}

/* The words of a refusal; should they name the token, none of them. */
static void
words_copy(
    const struct channel_account *ac, const char *t, struct channel_result *rs)
{
	const char *token = channel_conf(ac, "tg_bot_token");
	const char *word = strchr(token, ':');

	if (word != NULL && word[1] != '\0' && strstr(t, word + 1) != NULL)
		t = rs->code;
	channel_copy(rs->message, sizeof(rs->message), t, strlen(t));
}

static void
sent_read(const struct channel_out *out, struct channel_batch *b,
    struct channel_result *rs)
{
	struct json_object *o = channel_obj(b->root, "result");
	const char *n = channel_some(b, o, "message_id");
	size_t chat = out->conversation != NULL ? strlen(out->conversation) : 0;

	rs->cls = CHANNEL_SENT;
	/* The chat as we know it, for what comes in says the same. */
	if (n == NULL || chat == 0 ||
	    chat + 1 + strlen(n) >= sizeof(rs->message_id))
		return;
	memcpy(rs->message_id, out->conversation, chat);
	rs->message_id[chat] = ':';
	memcpy(rs->message_id + chat + 1, n, strlen(n) + 1);
}

static bool
is_true(struct json_object *v)
{
	return json_object_is_type(v, json_type_boolean) &&
	       json_object_get_boolean(v);
}

/*
 * An answer's class, and its body in ${b}, which the caller ends: SENT where
 * the body says ok.
 */
static void
answer_read(const struct channel_account *ac, const struct http_answer *an,
    struct channel_batch *b, struct channel_result *rs)
{
	struct json_object *ok;
	const char *t;
	int64_t wait_s;

	memset(rs, 0, sizeof(*rs));
	channel_batch_init(b);
	rs->cls = an->end == HTTP_UNSENT ? CHANNEL_RETRY : CHANNEL_UNKNOWN;
	words_copy(ac, an->why, rs);
	if (an->end != HTTP_ANSWERED)
		return;
	snprintf(rs->code, sizeof(rs->code), "http %ld", an->status);
	if (channel_json(an->body.data, an->body.len, &b->root) == -1) {
		classify(an->status, false, rs);
	} else if (ok = channel_member(b->root, "ok"), is_true(ok)) {
		rs->cls = an->status == 200 ? CHANNEL_SENT : CHANNEL_UNKNOWN;
	} else {
		bool told = json_object_is_type(ok, json_type_boolean);
		long status = an->status;

		wait_s = channel_size(channel_text(b, b->root, "error_code"));
		if (told && wait_s >= 400 && wait_s < 600)
			status = (long)wait_s;
		classify(status, told, rs);
		snprintf(rs->code, sizeof(rs->code), "%ld", status);
		t = channel_text(b, b->root, "description");
		if (t != NULL)
			words_copy(ac, t, rs);
		wait_s = channel_size(channel_text(
		    b, channel_obj(b->root, "parameters"), "retry_after"));
		if (rs->cls == CHANNEL_RETRY && wait_s > 0)
			rs->wait_s = wait_s;
	}
	if (rs->cls == CHANNEL_RETRY && an->retry_after_s > rs->wait_s)
		rs->wait_s = an->retry_after_s;
}

static void
telegram_answer(const struct channel_account *ac, struct channel_out *out,
    const struct http_answer *an, struct channel_result *rs)
{
	struct channel_batch b;

	answer_read(ac, an, &b, rs);
	if (rs->cls == CHANNEL_SENT)
		sent_read(out, &b, rs);
	channel_batch_fini(&b);
}

/* --- what shows, files, names --- */

static int
telegram_act(const struct channel_account *ac, const struct channel_act *act,
    struct http_request *rq)
{
	struct json_object *o;
	const char *method;

	o = json_object_new_object();
	if (act->what == CHANNEL_TYPING && act->conversation != NULL) {
		json_put(o, "chat_id", number_json(act->conversation));
		json_put_str(o, "action", "typing");
		method = "sendChatAction";
	} else if (act->what == CHANNEL_SEEN && act->seen_token != NULL) {
		/* Ends the waiting of who pressed a button. */
		json_put_str(o, "callback_query_id", act->seen_token);
		method = "answerCallbackQuery";
	} else {
		json_object_put(o);
		return 0;
	}
	return method_request(ac, rq, method, o) ? 1 : 0;
}

/* A path as getFile tells it, into the address; false: it is none. */
static bool
path_good(const char *path)
{
	for (const char *p = path; *p != '\0'; p += strcspn(p, "/")) {
		p += *p == '/';
		if (*p == '/' || *p == '\0' ||
		    (p[0] == '.' &&
			(p[1] == '.' || p[1] == '/' || p[1] == '\0')))
			return false;
	}
	return *path != '\0' && *path != '/';
}

static int
telegram_media(const struct channel_account *ac, const struct channel_media *md,
    struct http_request *rq)
{
	struct json_object *o;
	bool good;

	if (md->step == 0) {
		if (md->ref == NULL || strncmp(md->ref, REF, strlen(REF)) != 0)
			return 0;
		o = json_object_new_object();
		json_put_str(o, "file_id", md->ref + strlen(REF));
		return method_request(ac, rq, "getFile", o) ? 1 : 0;
	}
	if (!path_good(md->handle))
		return 0;
	rq->method = "GET";
	good = bot_address(ac, rq, "/file/bot");
	for (const char *p = md->handle; *p != '\0';) {
		size_t n = strcspn(p, "/");

		http_urlencode(&rq->url, p, n);
		p += n;
		if (*p == '/')
			buf_putc(&rq->url, *p++);
	}
	return good && !rq->url.err ? 2 : 0;
}

static enum channel_class
telegram_media_answer(const struct channel_account *ac,
    struct channel_media *md, const struct http_answer *an)
{
	struct channel_result rs;
	struct channel_batch b;
	const char *path;

	answer_read(ac, an, &b, &rs);
	if (md->step > 0) {
		/* An address is good for an hour: ask for a new one. */
		if (rs.cls == CHANNEL_SENT || rs.cls == CHANNEL_UNKNOWN ||
		    (an->end == HTTP_ANSWERED && an->status == 404))
			rs.cls = CHANNEL_RETRY;
	} else if (rs.cls == CHANNEL_SENT) {
		path = channel_some(
		    &b, channel_obj(b.root, "result"), "file_path");
		rs.cls = CHANNEL_PERMANENT;
		if (path != NULL && strlen(path) < sizeof(md->handle) &&
		    path_good(path)) {
			memcpy(md->handle, path, strlen(path) + 1);
			rs.cls = CHANNEL_MORE;
		}
	} else if (rs.cls == CHANNEL_UNKNOWN) {
		rs.cls = CHANNEL_RETRY;
	}
	channel_batch_fini(&b);
	return rs.cls;
}

static int
telegram_profile(const struct channel_account *ac, const char *user,
    const char *conversation, struct http_request *rq)
{
	struct json_object *o = json_object_new_object();

	(void)conversation;
	json_put(o, "chat_id", number_json(user));
	return method_request(ac, rq, "getChat", o) ? 1 : 0;
}

static enum channel_class
telegram_profiled(const struct channel_account *ac,
    const struct http_answer *an, struct channel_profile *pf)
{
	struct channel_result rs;
	struct channel_batch b;

	memset(pf, 0, sizeof(*pf));
	answer_read(ac, an, &b, &rs);
	if (rs.cls == CHANNEL_SENT)
		channel_face(
		    pf, person_name(&b, channel_obj(b.root, "result")), NULL);
	channel_batch_fini(&b);
	return rs.cls;
}

/* --- the account itself --- */

static int
telegram_probe(
    const struct channel_account *ac, int64_t now_ms, struct http_request *rq)
{
	(void)now_ms;
	return method_request(ac, rq, "getMe", json_object_new_object()) ? 1
									 : 0;
}

static void
telegram_probed(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	struct channel_batch b;

	answer_read(ac, an, &b, rs);
	if (rs->cls == CHANNEL_SENT)
		channel_named(
		    &b, channel_obj(b.root, "result"), "id", "first_name", rs);
	channel_batch_fini(&b);
}

const struct channel channel_telegram = {
	.platform = "telegram",
	.prefix = "tg",
	.methods = "POST",
	.paste = "Tell Telegram, by the bot's method setWebhook:\n"
		 "  url              {webhook}\n"
		 "  secret_token     {tg_secret}\n"
		 "  allowed_updates  [\"message\",\"edited_message\","
		 "\"callback_query\",\"my_chat_member\"]\n",
	.keys = telegram_keys,
	.nkeys = sizeof(telegram_keys) / sizeof(telegram_keys[0]),
	.at_once = 8,
	.per_s = 25,
	.check = telegram_check,
	.account = telegram_account,
	.handshake = channel_no_handshake,
	.verify = telegram_verify,
	.parse = telegram_parse,
	.window = channel_always_open,
	.text_max = telegram_text_max,
	.send = telegram_send,
	.answer = telegram_answer,
	.act = telegram_act,
	.media = telegram_media,
	.media_answer = telegram_media_answer,
	.profile = telegram_profile,
	.profiled = telegram_profiled,
	.probe = telegram_probe,
	.probed = telegram_probed,
};
