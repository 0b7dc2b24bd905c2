/*
 * Messenger and Instagram: the events of a page's or a business account's
 * conversations, and the Send API that answers them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "channel_meta.h"
#include "json.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)
#define PAGE_INBOX "263902037430900" /* the app that people answer in */
#define METADATA "parley:"
#define QUICK_MAX 13

/* What stands in every event. */
struct meta_event {
	const struct channel_account *ac;
	struct channel_batch *b;
	struct json_object *o;          /* the event */
	const char *sender, *recipient; /* ids or NULL */
	const char *user;               /* the one who is not us */
	int64_t at;
	bool standby;
};

static struct channel_item *
item_new(const struct meta_event *ev, enum channel_op op)
{
	struct channel_item *it = channel_batch_add(ev->b);

	if (it != NULL) {
		it->op = op;
		it->sent_at = ev->at;
		it->standby = ev->standby;
		it->conversation = it->user = ev->user;
		it->raw = ev->o;
	}
	return it;
}

static bool
is_true(struct json_object *o, const char *key)
{
	bool v;

	return json_get_bool(o, key, &v) == 1 && v;
}

/*
 * Who is not us, of the two; ${ours}: we are the sender.  NULL: neither is
 * us, or both, or one is missing.
 */
static const char *
customer(const struct meta_event *ev, bool ours)
{
	const char *own = meta_account(ev->ac);
	const char *us = ours ? ev->sender : ev->recipient;
	const char *them = ours ? ev->recipient : ev->sender;

	if (us == NULL || them == NULL || strcmp(us, own) != 0 ||
	    *them == '\0' || strcmp(them, own) == 0)
		return NULL;
	return them;
}

/* --- attachments --- */

static const char *
media_kind(const char *type)
{
	static const char *const kinds[][2] = { { "image", "image" },
		{ "video", "video" }, { "audio", "audio" }, { "file", "file" },
		{ "reel", "video" }, { "ig_reel", "video" },
		{ "sticker", "sticker" } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i][0], type) == 0)
			return kinds[i][1];
	return NULL;
}

/* Whether one of the attachments is called a sticker. */
static bool
sticker_in(const struct meta_event *ev, struct json_object *message)
{
	struct json_object *o;
	const char *type;

	for (size_t i = 0; (o = meta_at(message, "attachments", i)) != NULL;
	     i++)
		if ((type = channel_text(ev->b, o, "type")) != NULL &&
		    strcmp(type, "sticker") == 0)
			return true;
	return false;
}

/* Fill the medium of ${it} from an attachment; false: it is no medium. */
static bool
attachment_read(const struct meta_event *ev, struct json_object *o,
    const char *type, struct channel_item *it)
{
	struct json_object *payload = channel_obj(o, "payload"), *where;

	if (strcmp(type, "location") == 0) {
		where = channel_obj(payload, "coordinates");
		it->kind = "location";
		it->located = channel_degrees(where, "lat", 90, &it->lat) &&
			      channel_degrees(where, "long", 180, &it->lon);
		it->text = channel_some(ev->b, o, "title");
		return it->located;
	}
	if ((it->kind = media_kind(type)) == NULL)
		return false;
	if (strcmp(type, "image") == 0 &&
	    channel_member(payload, "sticker_id") != NULL)
		it->kind = "sticker";
	it->media_url = channel_some(ev->b, payload, "url");
	return it->media_url != NULL;
}

/* Words of what is not a medium: its title, else its address. */
static const char *
attachment_words(const struct meta_event *ev, struct json_object *o)
{
	struct json_object *payload = channel_obj(o, "payload");
	const char *t = channel_some(ev->b, o, "title");

	if (t == NULL)
		t = channel_some(ev->b, payload, "title");
	if (t == NULL)
		t = channel_some(ev->b, payload, "url");
	return t != NULL ? t : channel_some(ev->b, o, "url");
}

/* --- messages --- */

/* N of "parley:N", 0 when it is not that. */
static int64_t
own_number(const char *metadata)
{
	size_t n = strlen(METADATA);

	if (metadata == NULL || strncmp(metadata, METADATA, n) != 0)
		return 0;
	metadata += n;
	n = strlen(metadata);
	if (n == 0 || n > 18 || strspn(metadata, "0123456789") != n)
		return 0;
	return strtoll(metadata, NULL, 10);
}

/* A row with what all rows of a message share. */
static struct channel_item *
row_new(
    const struct meta_event *ev, const struct channel_item *head, size_t row)
{
	struct channel_item *it = item_new(ev, CHANNEL_MESSAGE);

	if (it == NULL)
		return NULL;
	it->out = head->out;
	it->by_person = head->by_person;
	it->outbound = row == 0 ? head->outbound : 0;
	it->payload = head->payload;
	it->reply_to = head->reply_to;
	it->message_id = row == 0 ? head->message_id
				  : channel_batch_printf(
					ev->b, "%s#%zu", head->message_id, row);
	return it;
}

/*
 * One row for each medium, else one of text, else one that says that
 * something came.
 */
static void
message_rows(const struct meta_event *ev, struct json_object *message,
    const struct channel_item *head)
{
	const char *text = channel_some(ev->b, message, "text"), *words = NULL;
	bool sticker = sticker_in(ev, message);
	struct channel_item *it;
	struct json_object *o;
	size_t rows = 0;

	for (size_t i = 0;
	     !ev->b->err && (o = meta_at(message, "attachments", i)) != NULL;
	     i++) {
		struct channel_item media = { .size = -1 };
		const char *type = channel_text(ev->b, o, "type");

		if (type == NULL)
			continue;
		if (sticker && strcmp(type, "image") == 0 &&
		    channel_member(channel_obj(o, "payload"), "sticker_id") !=
			NULL)
			continue;
		if (!attachment_read(ev, o, type, &media)) {
			if (words == NULL)
				words = attachment_words(ev, o);
			continue;
		}
		if ((it = row_new(ev, head, rows)) == NULL)
			return;
		it->kind = media.kind;
		it->media_url = media.media_url;
		it->located = media.located;
		it->lat = media.lat;
		it->lon = media.lon;
		if (rows == 0)
			it->text = text != NULL ? text : media.text;
		rows++;
	}
	if (rows > 0 || ev->b->err || (it = row_new(ev, head, 0)) == NULL)
		return;
	it->kind = text != NULL ? "text" : "unsupported";
	it->text = text != NULL ? text : words;
}

static void
message_read(struct meta_event *ev, struct json_object *message)
{
	struct channel_item head = { .out = is_true(message, "is_echo") }, *it;
	struct json_object *reply = channel_obj(message, "reply_to");
	const char *app, *id;

	ev->user = customer(ev, head.out);
	head.message_id = channel_some(ev->b, message, "mid");
	if (ev->user == NULL || head.message_id == NULL) {
		ev->b->skipped++;
		return;
	}
	if (is_true(message, "is_deleted")) {
		if ((it = item_new(ev, CHANNEL_DELETE)) != NULL)
			it->message_id = head.message_id;
		return;
	}
	if (head.out) {
		app = channel_text(ev->b, message, "app_id");
		head.by_person = app != NULL && strcmp(app, PAGE_INBOX) == 0;
		head.outbound =
		    own_number(channel_text(ev->b, message, "metadata"));
	}
	head.payload =
	    channel_text(ev->b, channel_obj(message, "quick_reply"), "payload");
	head.reply_to = channel_some(ev->b, reply, "mid");
	id = channel_some(ev->b, channel_obj(reply, "story"), "id");
	if (head.reply_to == NULL && id != NULL)
		head.reply_to = channel_batch_printf(ev->b, "story:%s", id);
	message_rows(ev, message, &head);
}

static void
postback_read(struct meta_event *ev, struct json_object *postback)
{
	struct channel_item *it;

	if ((ev->user = customer(ev, false)) == NULL) {
		ev->b->skipped++;
		return;
	}
	if ((it = item_new(ev, CHANNEL_MESSAGE)) == NULL)
		return;
	it->kind = "postback";
	it->message_id = channel_some(ev->b, postback, "mid");
	if (it->message_id == NULL)
		it->message_id = channel_batch_printf(
		    ev->b, "pb:%s:%lld", ev->user, (long long)ev->at);
	it->payload = channel_text(ev->b, postback, "payload");
	it->text = channel_some(ev->b, postback, "title");
	if (it->text == NULL)
		it->text = it->payload;
}

/* --- receipts and changes --- */

/* Delivered or read, by the customer: ids, a watermark, or both. */
static void
receipt_read(
    struct meta_event *ev, struct json_object *receipt, const char *status)
{
	const char *id = channel_some(ev->b, receipt, "mid");
	struct json_object *list = channel_array(receipt, "mids");
	struct channel_item *it;
	const char **ids = NULL;
	size_t n = 0, max;

	if ((ev->user = customer(ev, false)) == NULL) {
		ev->b->skipped++;
		return;
	}
	max = (list != NULL ? json_object_array_length(list) : 0) + 1;
	if ((ids = calloc(max, sizeof(*ids))) == NULL) {
		ev->b->err = 1;
		return;
	}
	if (id != NULL)
		ids[n++] = id;
	for (size_t i = 0; i + 1 < max; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (json_object_is_type(v, json_type_string) &&
		    json_object_get_string_len(v) > 0)
			ids[n++] =
			    channel_batch_text(ev->b, json_object_get_string(v),
				(size_t)json_object_get_string_len(v));
	}
	if ((it = item_new(ev, CHANNEL_STATUS)) == NULL) {
		free(ids);
		return;
	}
	it->status = status;
	it->ids = ids;
	it->nids = n;
	it->watermark = channel_time(channel_text(ev->b, receipt, "watermark"));
}

static void
edit_read(struct meta_event *ev, struct json_object *edit)
{
	const char *id = channel_some(ev->b, edit, "mid");
	const char *text = channel_text(ev->b, edit, "text");
	const char *number = channel_text(ev->b, edit, "num_edit");
	const char *own = meta_account(ev->ac);
	struct channel_item *it;

	/* Either side may edit what it wrote. */
	ev->user =
	    customer(ev, ev->sender != NULL && strcmp(ev->sender, own) == 0);
	if (ev->user == NULL || id == NULL || text == NULL) {
		ev->b->skipped++;
		return;
	}
	if ((it = item_new(ev, CHANNEL_EDIT)) == NULL)
		return;
	it->message_id = id;
	it->text = text;
	it->version = ev->at;
	if (number != NULL && *number != '\0' && strlen(number) <= 9 &&
	    number[strspn(number, "0123456789")] == '\0')
		it->version = strtoll(number, NULL, 10);
}

/* What is only logged: by the name of the member that makes it different. */
static void
note_read(struct meta_event *ev)
{
	static const char *const common[] = { "sender", "recipient",
		"timestamp" };
	struct channel_item *it = item_new(ev, CHANNEL_NOTE);
	bool known;

	if (it == NULL)
		return;
	json_object_object_foreach(ev->o, key, v)
	{
		(void)v;
		known = false;
		for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
			known = known || strcmp(key, common[i]) == 0;
		if (!known && it->what == NULL)
			it->what = channel_batch_text(ev->b, key, strlen(key));
	}
}

static void
event_read(struct meta_event *ev)
{
	struct json_object *o;

	if ((o = channel_obj(ev->o, "message")) != NULL)
		message_read(ev, o);
	else if ((o = channel_obj(ev->o, "postback")) != NULL)
		postback_read(ev, o);
	else if ((o = channel_obj(ev->o, "delivery")) != NULL)
		receipt_read(ev, o, "delivered");
	else if ((o = channel_obj(ev->o, "read")) != NULL)
		receipt_read(ev, o, "read");
	else if ((o = channel_obj(ev->o, "message_edit")) != NULL)
		edit_read(ev, o);
	else
		note_read(ev);
}

/* One entry: the events of one account, ours or not. */
static void
page_entry(const struct channel_account *ac, const struct channel_hook *hook,
    struct channel_batch *b, struct json_object *entry)
{
	static const char *const lists[] = { "messaging", "standby" };
	const char *id = channel_text(b, entry, "id");
	int64_t at = channel_time(channel_text(b, entry, "time"));
	struct json_object *list;

	if (id == NULL || strcmp(id, meta_account(ac)) != 0) {
		b->skipped++;
		channel_batch_astray(b, id);
		return;
	}
	for (size_t k = 0; k < 2; k++) {
		if ((list = channel_array(entry, lists[k])) == NULL)
			continue;
		for (size_t i = 0;
		     i < json_object_array_length(list) && !b->err; i++) {
			struct meta_event ev = { .ac = ac,
				.b = b,
				.o = json_object_array_get_idx(list, i),
				.standby = k == 1 };

			if (!json_object_is_type(ev.o, json_type_object)) {
				b->skipped++;
				continue;
			}
			ev.sender =
			    channel_text(b, channel_obj(ev.o, "sender"), "id");
			ev.recipient = channel_text(
			    b, channel_obj(ev.o, "recipient"), "id");
			ev.at =
			    channel_time(channel_text(b, ev.o, "timestamp"));
			if (ev.at == 0)
				ev.at = at != 0 ? at : hook->now_ms;
			event_read(&ev);
		}
	}
}

int
meta_page_parse(const struct channel_account *ac,
    const struct channel_hook *hook, struct channel_batch *b,
    const char *object)
{
	return meta_entries(ac, hook, b, object, page_entry);
}

/* --- messages out --- */

static bool
human_agent(const struct channel_account *ac)
{
	return strcmp(meta_conf(ac, "human_agent"), "1") == 0;
}

struct channel_reply
meta_page_window(const struct channel_account *ac, int64_t last_inbound_at,
    int64_t sent_since, int64_t now_ms)
{
	struct channel_reply r = { .state = CHANNEL_WINDOW_OPEN,
		.free_left = -1 };
	int64_t week = last_inbound_at + 7 * DAY_MS;

	(void)sent_since;
	if (last_inbound_at == 0)
		return r;
	r.until = human_agent(ac) ? week : last_inbound_at + DAY_MS;
	if (now_ms > r.until)
		r.state = CHANNEL_WINDOW_CLOSED;
	/* Who came by an advertisement may be answered for a week. */
	r.asked = r.state == CHANNEL_WINDOW_CLOSED && now_ms <= week;
	return r;
}

/* ["title","payload"] as the platform wants them, or NULL; new. */
static struct json_object *
quick_json(struct json_object *quick)
{
	struct json_object *list, *one;
	const char *title, *payload;
	size_t n = quick != NULL ? json_object_array_length(quick) : 0;

	if (n == 0)
		return NULL;
	list = json_object_new_array();
	for (size_t i = 0; i < n && i < QUICK_MAX; i++) {
		struct json_object *o = json_object_array_get_idx(quick, i);

		if (json_get_str(o, "title", &title, NULL) != 1)
			continue;
		if (json_get_str(o, "payload", &payload, NULL) != 1)
			payload = title;
		one = json_object_new_object();
		json_put_str(one, "content_type", "text");
		json_put_str(one, "title", title);
		json_put_str(one, "payload", payload);
		json_object_array_add(list, one);
	}
	return list;
}

/* The file of a message, or NULL when that has no way; new. */
static struct json_object *
attachment_json(const struct channel_out *out)
{
	static const char *const kinds[] = { "image", "video", "audio" };
	struct json_object *at, *payload;
	const char *type = "file";

	if (out->media_url == NULL ||
	    strncmp(out->media_url, "https://", 8) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(out->kind, kinds[i]) == 0)
			type = kinds[i];
	payload = json_object_new_object();
	json_put_str(payload, "url", out->media_url);
	json_put_bool(payload, "is_reusable", false);
	at = json_object_new_object();
	json_put_str(at, "type", type);
	json_put(at, "payload", payload);
	return at;
}

static struct json_object *
recipient_json(const char *user)
{
	struct json_object *root = json_object_new_object();
	struct json_object *to = json_object_new_object();

	json_put_str(to, "id", user);
	json_put(root, "recipient", to);
	return root;
}

static int
send_request(const struct channel_account *ac, struct json_object *root,
    struct http_request *rq)
{
	const char *from = meta_conf(ac, "page_id");

	meta_url(ac, rq, *from != '\0' ? from : meta_account(ac), "messages");
	meta_query_token(ac, rq, '?');
	return channel_body(rq, root);
}

int
meta_page_send(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	bool text = out->text != NULL && *out->text != '\0';
	struct json_object *root, *msg, *at = NULL, *quick;
	char metadata[40];

	/* A file has no caption here: it goes alone. */
	if (out->user == NULL || *out->user == '\0')
		return -1;
	if (strcmp(out->kind, "text") != 0 &&
	    (text || (at = attachment_json(out)) == NULL))
		return -1;
	if (at == NULL && !text)
		return -1;
	root = recipient_json(out->user);
	if (human_agent(ac) && !out->by_bot && out->last_inbound_at != 0 &&
	    out->now_ms > out->last_inbound_at + DAY_MS) {
		json_put_str(root, "messaging_type", "MESSAGE_TAG");
		json_put_str(root, "tag", "HUMAN_AGENT");
	} else {
		json_put_str(root, "messaging_type", "RESPONSE");
	}
	msg = json_object_new_object();
	if (at != NULL)
		json_put(msg, "attachment", at);
	else
		json_put_str(msg, "text", out->text);
	if ((quick = quick_json(out->quick)) != NULL)
		json_put(msg, "quick_replies", quick);
	snprintf(metadata, sizeof(metadata), METADATA "%lld",
	    (long long)out->number);
	json_put_str(msg, "metadata", metadata);
	json_put(root, "message", msg);
	return send_request(ac, root, rq);
}

int
meta_page_act(const struct channel_account *ac, const struct channel_act *act,
    struct http_request *rq)
{
	static const char *const words[] = { [CHANNEL_TYPING] = "typing_on",
		[CHANNEL_TYPING_END] = "typing_off",
		[CHANNEL_SEEN] = "mark_seen" };
	const char *to = act->user != NULL ? act->user : act->conversation;
	struct json_object *root;

	if (to == NULL || *to == '\0')
		return 0;
	root = recipient_json(to);
	json_put_str(root, "sender_action", words[act->what]);
	return send_request(ac, root, rq) == 0 ? 1 : 0;
}

static const struct meta_rule page_rules[] = {
	{ 2, 2, META_ANY, CHANNEL_RETRY, "temporary", META_PLAIN },
	{ 1200, 1200, META_ANY, CHANNEL_RETRY, "temporary", META_PLAIN },
	{ 4, 4, META_ANY, CHANNEL_RETRY, "rate", META_HOLD },
	{ 32, 32, META_ANY, CHANNEL_RETRY, "rate", META_HOLD },
	{ 613, 613, META_ANY, CHANNEL_RETRY, "rate", META_HOLD },
	{ 1, 1, META_ANY, CHANNEL_RETRY, "refused", META_ONCE },
	{ 190, 190, META_ANY, CHANNEL_REAUTH, "token", META_PLAIN },
	{ 10, 10, 2018278, CHANNEL_PERMANENT, "window_closed", META_PLAIN },
	{ 10, 10, 2534022, CHANNEL_PERMANENT, "window_closed", META_PLAIN },
	{ 10, 10, META_ANY, CHANNEL_REAUTH, "permission", META_PLAIN },
	{ 200, 299, META_ANY, CHANNEL_REAUTH, "permission", META_PLAIN },
};
#define PAGE_RULES (sizeof(page_rules) / sizeof(page_rules[0]))

void
meta_page_answer(const struct channel_account *ac, struct channel_out *out,
    const struct http_answer *an, struct channel_result *rs)
{
	struct channel_batch b;
	const char *id;

	(void)out;
	channel_batch_init(&b);
	if (!meta_refused(ac, an, page_rules, PAGE_RULES, rs, &b)) {
		id = channel_some(&b, b.root, "message_id");
		if (id != NULL && strlen(id) < sizeof(rs->message_id))
			memcpy(rs->message_id, id, strlen(id) + 1);
		else if (channel_some(&b, b.root, "recipient_id") == NULL)
			rs->cls = CHANNEL_UNKNOWN; /* says nothing */
	}
	channel_batch_fini(&b);
}

/* --- profiles --- */

int
meta_page_profile(const struct channel_account *ac, const char *user,
    const char *fields, struct http_request *rq)
{
	meta_url(ac, rq, user, NULL);
	buf_printf(&rq->url, "?fields=%s", fields);
	meta_query_token(ac, rq, '&');
	return rq->url.err ? 0 : 1;
}

enum channel_class
meta_page_profiled(const struct channel_account *ac,
    const struct http_answer *an, struct channel_batch *b,
    struct channel_profile *pf)
{
	struct channel_result rs;

	memset(pf, 0, sizeof(*pf));
	if (meta_refused(ac, an, page_rules, PAGE_RULES, &rs, b)) {
		/* Not to be told a name is no fault of the account. */
		if (rs.cls == CHANNEL_REAUTH && strcmp(rs.reason, "token") != 0)
			rs.cls = CHANNEL_PERMANENT;
		return rs.cls;
	}
	channel_face(pf, NULL, channel_some(b, b->root, "profile_pic"));
	return CHANNEL_SENT;
}

/* --- the account itself --- */

int
meta_page_probe(const struct channel_account *ac, const char *fields,
    struct http_request *rq)
{
	if (*channel_conf(ac, ac->ch->token_key) == '\0')
		return 0;
	rq->method = "GET";
	meta_url(ac, rq, "me", NULL);
	buf_printf(&rq->url, "?fields=%s", fields);
	meta_query_token(ac, rq, '&');
	return rq->url.err ? 0 : 1;
}

void
meta_page_probed(const struct channel_account *ac, const struct http_answer *an,
    const char *id, const char *name, struct channel_result *rs)
{
	struct channel_batch b;

	channel_batch_init(&b);
	if (!meta_refused(ac, an, page_rules, PAGE_RULES, rs, &b))
		channel_named(&b, b.root, id, name, rs);
	channel_batch_fini(&b);
}
