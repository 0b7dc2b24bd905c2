/*
 * WhatsApp Cloud API: the messages of a business' phone number.  Set up and
 * proven like Messenger; its events and requests are its own.  Every message
 * says who wrote it, and files are asked for by their ids.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel_meta.h"
#include "json.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define BUTTONS_MAX 3
#define BUTTON_ID_MAX 256         /* bytes */
#define INTERACTIVE_TEXT_MAX 1024 /* UTF-16 units */
#define MEDIA_REF "wa:"
#define WINDOW_CODE "131047"

static const struct channel_key whatsapp_keys[] = {
	{ "wa_phone_number_id", NULL, CHANNEL_REQUIRED,
	    "the phone number's id (not the number)" },
	{ "wa_app_secret", NULL, CHANNEL_SECRET | CHANNEL_REQUIRED,
	    "the application's secret, which signs webhooks" },
	{ "wa_verify_token", NULL,
	    CHANNEL_SECRET | CHANNEL_REQUIRED | CHANNEL_MADE,
	    "a word that both sides know; made up where not given" },
	{ "wa_token", NULL, CHANNEL_SECRET,
	    "a system user's access token, which does not end" },
	{ "wa_api_base", "https://graph.facebook.com", 0,
	    "address of the API" },
	{ "wa_api_version", "v25.0", 0, "its version" },
	{ "wa_text_max", "4096", 0, "UTF-16 units of one text" },
};

/* --- webhooks in --- */

/* One change of one phone number. */
struct wa_change {
	const struct channel_account *ac;
	struct channel_batch *b;
	struct json_object *value;
	int64_t now_ms;
};

static struct channel_item *
item_new(const struct wa_change *ch, enum channel_op op, struct json_object *o)
{
	struct channel_item *it = channel_batch_add(ch->b);

	if (it == NULL)
		return NULL;
	it->op = op;
	it->raw = o;
	it->sent_at = channel_time(channel_text(ch->b, o, "timestamp"));
	if (it->sent_at == 0)
		it->sent_at = ch->now_ms;
	return it;
}

/* The name that the customer goes by, or NULL. */
static const char *
contact_name(const struct wa_change *ch, const char *user)
{
	struct json_object *o;
	const char *id;

	for (size_t i = 0; (o = meta_at(ch->value, "contacts", i)) != NULL; i++)
		if ((id = channel_text(ch->b, o, "wa_id")) != NULL &&
		    strcmp(id, user) == 0)
			return channel_some(
			    ch->b, channel_obj(o, "profile"), "name");
	return NULL;
}

static bool
media_read(const struct wa_change *ch, const char *type, struct json_object *o,
    struct channel_item *it)
{
	static const char *const kinds[][2] = { { "image", "image" },
		{ "video", "video" }, { "audio", "audio" },
		{ "sticker", "sticker" }, { "document", "file" } };
	const char *id = channel_some(ch->b, o, "id");

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(type, kinds[i][0]) == 0)
			it->kind = kinds[i][1];
	if (it->kind == NULL || id == NULL) {
		it->kind = NULL;
		return false;
	}
	it->media_ref = channel_batch_printf(ch->b, MEDIA_REF "%s", id);
	it->mime = channel_some(ch->b, o, "mime_type");
	it->name = channel_some(ch->b, o, "filename");
	it->text = channel_some(ch->b, o, "caption");
	return true;
}

static void
location_read(
    const struct wa_change *ch, struct json_object *o, struct channel_item *it)
{
	const char *name = channel_some(ch->b, o, "name");
	const char *address = channel_some(ch->b, o, "address");

	it->located = channel_degrees(o, "latitude", 90, &it->lat) &&
		      channel_degrees(o, "longitude", 180, &it->lon);
	if (it->located)
		it->kind = "location";
	it->text = name != NULL && address != NULL
		       ? channel_batch_printf(ch->b, "%s, %s", name, address)
		   : name != NULL ? name
				  : address;
}

/* A tap on one of the answers that we, or a template, offered. */
static void
tap_read(const struct wa_change *ch, const char *type, struct json_object *o,
    struct channel_item *it)
{
	struct json_object *reply;

	if (strcmp(type, "button") == 0) {
		it->text = channel_some(ch->b, o, "text");
		it->payload = channel_text(ch->b, o, "payload");
	} else {
		if ((reply = channel_obj(o, "button_reply")) == NULL)
			reply = channel_obj(o, "list_reply");
		it->text = channel_some(ch->b, reply, "title");
		it->payload = channel_text(ch->b, reply, "id");
	}
	if (it->text != NULL)
		it->kind = "text";
}

/* Words of what has no kind here: a system's notice, a contact, a fault. */
static const char *
words_read(
    const struct wa_change *ch, struct json_object *m, struct json_object *o)
{
	struct json_object *card = meta_at(m, "contacts", 0);
	const char *t = channel_some(ch->b, o, "body");

	if (t == NULL)
		t = channel_some(
		    ch->b, channel_obj(card, "name"), "formatted_name");
	return t != NULL
		   ? t
		   : channel_some(ch->b, meta_at(m, "errors", 0), "title");
}

static void
content_read(const struct wa_change *ch, struct json_object *m,
    const char *type, struct channel_item *it)
{
	struct json_object *o = channel_obj(m, type);

	if (strcmp(type, "text") == 0) {
		it->text = channel_some(ch->b, o, "body");
		if (it->text != NULL)
			it->kind = "text";
	} else if (strcmp(type, "location") == 0) {
		location_read(ch, o, it);
	} else if (strcmp(type, "button") == 0 ||
		   strcmp(type, "interactive") == 0) {
		tap_read(ch, type, o, it);
	} else if (!media_read(ch, type, o, it)) {
		it->text = words_read(ch, m, o);
	}
	if (it->kind == NULL)
		it->kind = "unsupported";
}

static void
message_read(const struct wa_change *ch, struct json_object *m)
{
	const char *user = channel_some(ch->b, m, "from");
	const char *id = channel_some(ch->b, m, "id");
	const char *type = channel_some(ch->b, m, "type");
	struct channel_item *it;

	if (user == NULL || id == NULL) {
		ch->b->skipped++;
		return;
	}
	if (type != NULL && strcmp(type, "reaction") == 0) {
		if ((it = item_new(ch, CHANNEL_NOTE, m)) != NULL)
			it->what = "reaction";
		return;
	}
	if ((it = item_new(ch, CHANNEL_MESSAGE, m)) == NULL)
		return;
	it->conversation = it->user = user;
	it->user_name = contact_name(ch, user);
	it->message_id = id;
	it->reply_to = channel_some(ch->b, channel_obj(m, "context"), "id");
	content_read(ch, m, type != NULL ? type : "", it);
}

/* Why one of ours did not arrive: as an answer to the request would say it. */
static const char *
failure(const struct wa_change *ch, struct json_object *s)
{
	struct json_object *o = meta_at(s, "errors", 0);
	const char *code = channel_some(ch->b, o, "code");
	const char *words =
	    channel_some(ch->b, channel_obj(o, "error_data"), "details");

	if (words == NULL)
		words = channel_some(ch->b, o, "message");
	if (words == NULL)
		words = channel_some(ch->b, o, "title");
	if (code != NULL && strcmp(code, WINDOW_CODE) == 0)
		return "window_closed";
	return channel_batch_printf(ch->b, "refused: %.200s",
	    words != NULL  ? words
	    : code != NULL ? code
			   : "failed");
}

/* What became of ours. */
static void
status_read(const struct wa_change *ch, struct json_object *s)
{
	static const char *const known[] = { "delivered", "read", "failed" };
	const char *word = NULL;
	const char *status = channel_some(ch->b, s, "status");
	const char *user = channel_some(ch->b, s, "recipient_id");
	const char *id = channel_some(ch->b, s, "id");
	struct channel_item *it;

	if (status == NULL || id == NULL) {
		ch->b->skipped++;
		return;
	}
	for (size_t i = 0; i < 3; i++)
		if (strcmp(status, known[i]) == 0)
			word = known[i];
	if (word == NULL) {
		if ((it = item_new(ch, CHANNEL_NOTE, s)) != NULL)
			it->what = status;
		return;
	}
	if ((it = item_new(ch, CHANNEL_STATUS, s)) == NULL)
		return;
	it->conversation = it->user = user;
	it->status = word;
	if (strcmp(word, "failed") == 0)
		it->error = failure(ch, s);
	if ((it->ids = calloc(1, sizeof(*it->ids))) == NULL) {
		ch->b->err = 1;
		return;
	}
	it->ids[0] = id;
	it->nids = 1;
}

/* Call ${read} with the objects of a list; what else is in it is skipped. */
static void
each(const struct wa_change *ch, const char *key,
    void (*read)(const struct wa_change *ch, struct json_object *o))
{
	struct json_object *list = channel_array(ch->value, key);

	if (list == NULL)
		return;
	for (size_t i = 0; i < json_object_array_length(list) && !ch->b->err;
	     i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (json_object_is_type(o, json_type_object))
			read(ch, o);
		else
			ch->b->skipped++;
	}
}

static void
change_read(struct wa_change *ch, struct json_object *o)
{
	const char *field = channel_text(ch->b, o, "field"), *number;
	struct channel_item *it;

	ch->value = channel_obj(o, "value");
	if (field == NULL || ch->value == NULL) {
		ch->b->skipped++;
		return;
	}
	if (strcmp(field, "messages") != 0) {
		if ((it = item_new(ch, CHANNEL_NOTE, o)) != NULL)
			it->what = field;
		return;
	}
	number = channel_text(
	    ch->b, channel_obj(ch->value, "metadata"), "phone_number_id");
	if (number == NULL || strcmp(number, meta_account(ch->ac)) != 0) {
		ch->b->skipped++;
		channel_batch_astray(ch->b, number);
		return;
	}
	each(ch, "messages", message_read);
	each(ch, "statuses", status_read);
}

/* An entry is of a business; its changes, of one phone number each. */
static void
whatsapp_entry(const struct channel_account *ac,
    const struct channel_hook *hook, struct channel_batch *b,
    struct json_object *entry)
{
	struct wa_change ch = { .ac = ac, .b = b, .now_ms = hook->now_ms };
	struct json_object *list = channel_array(entry, "changes");

	if (list == NULL) {
		b->skipped++;
		return;
	}
	for (size_t i = 0; i < json_object_array_length(list) && !b->err; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (json_object_is_type(o, json_type_object))
			change_read(&ch, o);
		else
			b->skipped++;
	}
}

static int
whatsapp_parse(const struct channel_account *ac,
    const struct channel_hook *hook, struct channel_batch *b)
{
	return meta_entries(
	    ac, hook, b, "whatsapp_business_account", whatsapp_entry);
}

/* --- messages out --- */

static struct channel_reply
whatsapp_window(const struct channel_account *ac, int64_t last_inbound_at,
    int64_t sent_since, int64_t now_ms)
{
	struct channel_reply r = { .state = CHANNEL_WINDOW_OPEN,
		.free_left = -1 };

	(void)ac;
	(void)sent_since;
	if (last_inbound_at == 0)
		return r;
	r.until = last_inbound_at + DAY_MS;
	if (now_ms > r.until)
		r.state = CHANNEL_WINDOW_CLOSED;
	return r;
}

static size_t
whatsapp_text_max(const struct channel_account *ac)
{
	return (size_t)channel_conf_int(ac, "wa_text_max", 20, 100000);
}

static bool
fits(const char *text, size_t units)
{
	size_t next;

	return channel_split(text, units, &next) == strlen(text);
}

/* The i-th answer to tap: its title, and its payload or the title again. */
static const char *
quick_at(struct json_object *quick, size_t i, const char **payload)
{
	struct json_object *o = json_object_array_get_idx(quick, i);
	const char *title;

	*payload = NULL;
	if (json_get_str(o, "title", &title, NULL) != 1 || *title == '\0')
		return NULL;
	if (json_get_str(o, "payload", payload, NULL) != 1 || **payload == '\0')
		*payload = title;
	return title;
}

/* Whether the answers to tap can be buttons. */
static bool
buttons_fit(const struct channel_out *out)
{
	size_t n =
	    out->quick != NULL ? json_object_array_length(out->quick) : 0;
	const char *payload;

	if (n == 0 || n > BUTTONS_MAX || !fits(out->text, INTERACTIVE_TEXT_MAX))
		return false;
	for (size_t i = 0; i < n; i++)
		if (quick_at(out->quick, i, &payload) == NULL ||
		    strlen(payload) > BUTTON_ID_MAX)
			return false;
	return true;
}

static struct json_object *
interactive_json(const struct channel_out *out)
{
	struct json_object *o = json_object_new_object();
	struct json_object *body = json_object_new_object();
	struct json_object *action = json_object_new_object();
	struct json_object *list = json_object_new_array(), *one, *reply;
	const char *title, *payload;

	for (size_t i = 0; i < json_object_array_length(out->quick); i++) {
		if ((title = quick_at(out->quick, i, &payload)) == NULL)
			continue;
		reply = json_object_new_object();
		json_put_str(reply, "id", payload);
		json_put_str(reply, "title", title);
		one = json_object_new_object();
		json_put_str(one, "type", "reply");
		json_put(one, "reply", reply);
		json_object_array_add(list, one);
	}
	json_put_str(body, "text", out->text);
	json_put(action, "buttons", list);
	json_put_str(o, "type", "button");
	json_put(o, "body", body);
	json_put(o, "action", action);
	return o;
}

static bool
whatsapp_lines(const struct channel_account *ac, const struct channel_out *out)
{
	(void)ac;
	return out->text == NULL || !buttons_fit(out);
}

static struct json_object *
text_json(const struct channel_out *out)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "body", out->text);
	return o;
}

/* What the platform shows; anything else, and what is larger, is a document. */
static const struct {
	const char *kind, *mimes;
	int64_t max; /* bytes */
} shown[] = {
	{ "image", " image/jpeg image/png ", 5 << 20 },
	{ "video", " video/mp4 ", 16 << 20 },
	{ "audio", " audio/mpeg audio/mp4 audio/ogg ", 16 << 20 },
	{ "sticker", " image/webp ", 500 << 10 },
};

/* How the platform calls a file. */
static const char *
media_type(const struct channel_out *out)
{
	char word[100];

	snprintf(
	    word, sizeof(word), " %s ", out->mime != NULL ? out->mime : "");
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (strcmp(out->kind, shown[i].kind) == 0 &&
		    out->media_size <= shown[i].max &&
		    (out->mime == NULL || strstr(shown[i].mimes, word) != NULL))
			return shown[i].kind;
	return "document";
}

static struct json_object *
media_json(const struct channel_out *out, const char *type)
{
	struct json_object *o = json_object_new_object();
	bool document = strcmp(type, "document") == 0;

	json_put_str(o, "link", out->media_url);
	if (out->text != NULL && *out->text != '\0' &&
	    strcmp(type, "audio") != 0 && strcmp(type, "sticker") != 0)
		json_put_str(o, "caption", out->text);
	if (document && out->media_name != NULL)
		json_put_str(o, "filename", out->media_name);
	return o;
}

static struct json_object *
root_json(void)
{
	struct json_object *root = json_object_new_object();

	json_put_str(root, "messaging_product", "whatsapp");
	return root;
}

static int
post(const struct channel_account *ac, struct json_object *root,
    struct http_request *rq)
{
	meta_url(ac, rq, meta_account(ac), "messages");
	meta_bearer(ac, rq);
	return channel_body(rq, root);
}

static int
whatsapp_send(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	bool text = strcmp(out->kind, "text") == 0;
	struct json_object *root, *context;
	const char *type;

	if (out->user == NULL || *out->user == '\0' ||
	    (text ? out->text == NULL || *out->text == '\0'
		  : out->media_url == NULL ||
			strncmp(out->media_url, "https://", 8) != 0))
		return -1;
	root = root_json();
	json_put_str(root, "to", out->user);
	if (out->quote != NULL) {
		context = json_object_new_object();
		json_put_str(context, "message_id", out->quote);
		json_put(root, "context", context);
	}
	type = !text              ? media_type(out)
	       : buttons_fit(out) ? "interactive"
				  : "text";
	json_put_str(root, "type", type);
	json_put(root, type,
	    !text                       ? media_json(out, type)
	    : strcmp(type, "text") == 0 ? text_json(out)
					: interactive_json(out));
	return post(ac, root, rq);
}

/* Seen, and typing, are said of the customer's newest message. */
static int
whatsapp_act(const struct channel_account *ac, const struct channel_act *act,
    struct http_request *rq)
{
	struct json_object *root, *typing;

	if (act->message_id == NULL || act->what == CHANNEL_TYPING_END)
		return 0;
	root = root_json();
	json_put_str(root, "status", "read");
	json_put_str(root, "message_id", act->message_id);
	if (act->what == CHANNEL_TYPING) {
		typing = json_object_new_object();
		json_put_str(typing, "type", "text");
		json_put(root, "typing_indicator", typing);
	}
	return post(ac, root, rq) == 0 ? 1 : 0;
}

static const struct meta_rule whatsapp_rules[] = {
	{ 2, 2, META_ANY, CHANNEL_RETRY, "temporary", META_PLAIN },
	{ 131016, 131016, META_ANY, CHANNEL_RETRY, "temporary", META_PLAIN },
	{ 131057, 131057, META_ANY, CHANNEL_RETRY, "temporary", META_PLAIN },
	{ 133004, 133004, META_ANY, CHANNEL_RETRY, "temporary", META_PLAIN },
	{ 1, 1, META_ANY, CHANNEL_RETRY, "refused", META_ONCE },
	{ 131000, 131000, META_ANY, CHANNEL_RETRY, "refused", META_ONCE },
	{ 4, 4, META_ANY, CHANNEL_RETRY, "rate", META_HOLD },
	{ 80007, 80007, META_ANY, CHANNEL_RETRY, "rate", META_HOLD },
	{ 130429, 130429, META_ANY, CHANNEL_RETRY, "rate", META_HOLD },
	{ 131048, 131048, META_ANY, CHANNEL_RETRY, "rate", META_HOLD },
	{ 131056, 131056, META_ANY, CHANNEL_RETRY, "rate", META_WAIT },
	{ 0, 0, META_ANY, CHANNEL_REAUTH, "token", META_PLAIN },
	{ 190, 190, META_ANY, CHANNEL_REAUTH, "token", META_PLAIN },
	{ 3, 3, META_ANY, CHANNEL_REAUTH, "permission", META_PLAIN },
	{ 10, 10, META_ANY, CHANNEL_REAUTH, "permission", META_PLAIN },
	{ 200, 299, META_ANY, CHANNEL_REAUTH, "permission", META_PLAIN },
	{ 131005, 131005, META_ANY, CHANNEL_REAUTH, "permission", META_PLAIN },
	{ 368, 368, META_ANY, CHANNEL_REAUTH, "account", META_PLAIN },
	{ 131031, 131031, META_ANY, CHANNEL_REAUTH, "account", META_PLAIN },
	{ 133010, 133010, META_ANY, CHANNEL_REAUTH, "account", META_PLAIN },
	{ 131047, 131047, META_ANY, CHANNEL_PERMANENT, "window_closed",
	    META_PLAIN },
};
#define WHATSAPP_RULES (sizeof(whatsapp_rules) / sizeof(whatsapp_rules[0]))

static void
whatsapp_answer(const struct channel_account *ac, struct channel_out *out,
    const struct http_answer *an, struct channel_result *rs)
{
	struct channel_batch b;
	const char *id;

	channel_batch_init(&b);
	if (!meta_refused(ac, an, whatsapp_rules, WHATSAPP_RULES, rs, &b)) {
		id = channel_some(&b, meta_at(b.root, "messages", 0), "id");
		if (id == NULL)
			rs->cls = CHANNEL_UNKNOWN;
		else if (strlen(id) < sizeof(rs->message_id))
			memcpy(rs->message_id, id, strlen(id) + 1);
	} else if (rs->cls == CHANNEL_PERMANENT && out->quote != NULL &&
		   strcmp(rs->reason, "refused") == 0) {
		rs->cls = CHANNEL_RETRY_BARE;
	}
	channel_batch_fini(&b);
}

/* --- files of customers --- */

/* An address that the token may go to: https, or where the API is. */
static bool
address_good(const struct channel_account *ac, const char *url)
{
	const char *base = channel_conf(ac, "wa_api_base");
	size_t n = strlen(base);

	while (n > 0 && base[n - 1] == '/')
		n--;
	return strncmp(url, "https://", 8) == 0 ||
	       (n > 0 && strncmp(url, base, n) == 0 && url[n] == '/');
}

/* First the file's address, good for minutes; then the file. */
static int
whatsapp_media(const struct channel_account *ac, const struct channel_media *md,
    struct http_request *rq)
{
	size_t n = strlen(MEDIA_REF);

	if (md->ref == NULL || strncmp(md->ref, MEDIA_REF, n) != 0 ||
	    md->ref[n] == '\0')
		return 0;
	rq->method = "GET";
	if (md->step == 0)
		meta_url(ac, rq, md->ref + n, NULL);
	else
		buf_puts(&rq->url, md->handle);
	meta_bearer(ac, rq);
	if (rq->url.err || rq->headers.err)
		return 0;
	return md->step == 0 ? 1 : 2;
}

static enum channel_class
whatsapp_media_answer(const struct channel_account *ac,
    struct channel_media *md, const struct http_answer *an)
{
	struct channel_result rs;
	struct channel_batch b;
	const char *url;

	channel_batch_init(&b);
	if (meta_refused(ac, an, whatsapp_rules, WHATSAPP_RULES, &rs, &b)) {
		/* Nobody sees that we ask, and the address ends soon. */
		if (rs.cls == CHANNEL_UNKNOWN ||
		    (md->step > 0 && rs.cls == CHANNEL_PERMANENT))
			rs.cls = CHANNEL_RETRY;
		goto out;
	}
	url = channel_some(&b, b.root, "url");
	rs.cls = CHANNEL_PERMANENT;
	if (md->step == 0 && url != NULL && address_good(ac, url) &&
	    strlen(url) < sizeof(md->handle)) {
		memcpy(md->handle, url, strlen(url) + 1);
		rs.cls = CHANNEL_MORE;
	}
out:
	channel_batch_fini(&b);
	return rs.cls;
}

/* --- the account itself --- */

static int
whatsapp_probe(
    const struct channel_account *ac, int64_t now_ms, struct http_request *rq)
{
	(void)now_ms;
	if (*channel_conf(ac, "wa_token") == '\0')
		return 0;
	rq->method = "GET";
	meta_url(ac, rq, meta_account(ac), NULL);
	buf_puts(&rq->url, "?fields=id,verified_name");
	meta_bearer(ac, rq);
	return rq->url.err || rq->headers.err ? 0 : 1;
}

static void
whatsapp_probed(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	struct channel_batch b;

	channel_batch_init(&b);
	if (!meta_refused(ac, an, whatsapp_rules, WHATSAPP_RULES, rs, &b))
		channel_named(&b, b.root, "id", "verified_name", rs);
	channel_batch_fini(&b);
}

const struct channel channel_whatsapp = {
	.platform = "whatsapp",
	.prefix = "wa",
	.account_key = "wa_phone_number_id",
	.token_key = "wa_token",
	.methods = "GET, POST",
	.paste =
	    "At developers.facebook.com, in the application under WhatsApp,"
	    " configuration:\n"
	    "  callback URL  {webhook}\n"
	    "  verify token  {wa_verify_token}\n"
	    "  fields        messages\n",
	.keys = whatsapp_keys,
	.nkeys = sizeof(whatsapp_keys) / sizeof(whatsapp_keys[0]),
	.at_once = 16,
	.per_s = 60,
	.handshake = meta_handshake,
	.verify = meta_verify,
	.parse = whatsapp_parse,
	.window = whatsapp_window,
	.text_max = whatsapp_text_max,
	.lines = whatsapp_lines,
	.send = whatsapp_send,
	.answer = whatsapp_answer,
	.act = whatsapp_act,
	.media = whatsapp_media,
	.media_answer = whatsapp_media_answer,
	.probe = whatsapp_probe,
	.probed = whatsapp_probed,
};
