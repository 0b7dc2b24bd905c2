/*
 * LINE: its webhooks and its Messaging API.  Batches signed over the raw body.
 * A push carries a key, so a repeated one is taken once; an answer by the
 * token of an event is free of charge, but has no key.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "channel.h"
#include "json.h"
#include "token.h"

#define REPLY_MS 30000 /* so old a reply token is still worth a try */
#define RATE_WAIT_S 10
#define LOADING_S 5        /* of the dots that stand for typing */
#define IMAGE_MAX 10000000 /* bytes */
#define QUICK_MAX 13
#define POSTBACK_MAX 300 /* bytes of its data */
#define TEXT_ROOM 65536

static const struct channel_key line_keys[] = {
	{ "line_bot_user_id", NULL, CHANNEL_REQUIRED,
	    "the bot's own user id, U and 32 digits" },
	{ "line_channel_secret", NULL, CHANNEL_SECRET | CHANNEL_REQUIRED,
	    "the channel secret that signs webhooks" },
	{ "line_channel_token", NULL, CHANNEL_SECRET,
	    "a channel access token; without it the channel id gets one" },
	{ "line_channel_id", NULL, 0, "the channel id, to get tokens with" },
	{ "line_token_expires_at", "0", 0,
	    "end of the token, ms; 0 not known" },
	{ "line_api_base", "https://api.line.me", 0, "address of the API" },
	{ "line_data_base", "https://api-data.line.me", 0,
	    "address that gives files" },
	{ "line_use_reply", "0", 0,
	    "1: answers within 30 seconds go free of charge" },
	{ "line_text_max", "5000", 0, "UTF-16 units of one text" },
	{ "line_quota_text", "monthly limit", 0,
	    "how LINE says that the month's messages are used up" },
};

/* --- webhooks in --- */

static enum channel_verdict
line_verify(const struct channel_account *ac, const struct channel_hook *hook)
{
	const char *secret = channel_conf(ac, "line_channel_secret");
	const char *v = hook->header(hook->arg, "X-Line-Signature");
	unsigned char mac[TOKEN_MAC_BYTES], got[sizeof(mac)];
	size_t len, n;

	if (v == NULL || *secret == '\0')
		return CHANNEL_FORGED;
	v += strspn(v, " \t");
	len = strcspn(v, " \t");
	if (v[len + strspn(v + len, " \t")] != '\0' ||
	    sodium_base642bin(got, sizeof(got), v, len, NULL, &n, NULL,
		sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    n != sizeof(got))
		return CHANNEL_FORGED;
	token_hmac(secret, strlen(secret), hook->body, hook->len, mac);
	return sodium_memcmp(got, mac, sizeof(mac)) == 0 ? CHANNEL_GOOD
							 : CHANNEL_FORGED;
}

/* One event of the batch. */
struct line_event {
	struct channel_batch *b;
	struct json_object *root, *message;
	const char *type, *id; /* webhookEventId */
	const char *conversation, *user;
	bool person; /* the conversation is with one person */
	bool standby;
	int64_t at;
};

static struct channel_item *
item_new(const struct line_event *ev, enum channel_op op)
{
	struct channel_item *it = channel_batch_add(ev->b);

	if (it == NULL)
		return NULL;
	it->op = op;
	it->standby = ev->standby;
	it->conversation = ev->conversation;
	it->user = ev->user;
	it->sent_at = ev->at;
	it->what = ev->type;
	it->raw = ev->root;
	if (!ev->standby)
		it->reply_token = channel_some(ev->b, ev->root, "replyToken");
	return it;
}

/* Who wrote where; in groups LINE may not say who. */
static void
source_read(struct line_event *ev)
{
	struct json_object *src = channel_obj(ev->root, "source");
	const char *type = channel_text(ev->b, src, "type");

	if (type == NULL)
		return;
	ev->user = channel_some(ev->b, src, "userId");
	if (strcmp(type, "user") == 0) {
		ev->person = true;
		ev->conversation = ev->user;
	} else if (strcmp(type, "group") == 0) {
		ev->conversation = channel_some(ev->b, src, "groupId");
	} else if (strcmp(type, "room") == 0) {
		ev->conversation = channel_some(ev->b, src, "roomId");
	}
}

/* A picture, film or sound: at LINE's, or somewhere else on the web. */
static void
media_read(
    const struct line_event *ev, struct channel_item *it, const char *kind)
{
	struct json_object *from = channel_obj(ev->message, "contentProvider");
	const char *type = channel_text(ev->b, from, "type");

	it->kind = kind;
	if (type != NULL && strcmp(type, "external") == 0)
		it->media_url = channel_some(ev->b, from, "originalContentUrl");
	else
		it->media_ref =
		    channel_batch_printf(ev->b, "line:%s", it->message_id);
	if (it->media_url == NULL && it->media_ref == NULL)
		it->kind = "unsupported";
}

static void
location_read(const struct line_event *ev, struct channel_item *it)
{
	const char *title = channel_some(ev->b, ev->message, "title");
	const char *address = channel_some(ev->b, ev->message, "address");

	it->located = channel_degrees(ev->message, "latitude", 90, &it->lat) &&
		      channel_degrees(ev->message, "longitude", 180, &it->lon);
	it->kind = it->located ? "location" : "unsupported";
	if (title != NULL && address != NULL)
		it->text =
		    channel_batch_printf(ev->b, "%s\n%s", title, address);
	else
		it->text = title != NULL ? title : address;
}

static void
sticker_read(const struct line_event *ev, struct channel_item *it)
{
	const char *package = channel_some(ev->b, ev->message, "packageId");
	const char *sticker = channel_some(ev->b, ev->message, "stickerId");

	it->text = channel_some(ev->b, ev->message, "text");
	it->kind = "unsupported";
	if (package == NULL || sticker == NULL)
		return;
	it->kind = "sticker";
	it->media_ref =
	    channel_batch_printf(ev->b, "line-sticker:%s/%s", package, sticker);
}

static void
message_read(const struct line_event *ev)
{
	const char *id = channel_some(ev->b, ev->message, "id");
	const char *type = channel_text(ev->b, ev->message, "type");
	struct channel_item *it;

	if (id == NULL || type == NULL || ev->conversation == NULL) {
		ev->b->skipped++;
		return;
	}
	if ((it = item_new(ev, CHANNEL_MESSAGE)) == NULL)
		return;
	it->message_id = id;
	it->reply_to = channel_some(ev->b, ev->message, "quotedMessageId");
	it->quote_token = channel_some(ev->b, ev->message, "quoteToken");
	/* Whose thread it is has read it, or has not. */
	if (!ev->standby)
		it->seen_token =
		    channel_some(ev->b, ev->message, "markAsReadToken");
	if (strcmp(type, "text") == 0) {
		it->text = channel_some(ev->b, ev->message, "text");
		it->kind = it->text != NULL ? "text" : "unsupported";
	} else if (strcmp(type, "image") == 0) {
		media_read(ev, it, "image");
	} else if (strcmp(type, "video") == 0) {
		media_read(ev, it, "video");
	} else if (strcmp(type, "audio") == 0) {
		media_read(ev, it, "audio");
	} else if (strcmp(type, "file") == 0) {
		media_read(ev, it, "file");
		it->name = channel_some(ev->b, ev->message, "fileName");
		it->size =
		    channel_size(channel_text(ev->b, ev->message, "fileSize"));
	} else if (strcmp(type, "location") == 0) {
		location_read(ev, it);
	} else if (strcmp(type, "sticker") == 0) {
		sticker_read(ev, it);
	} else {
		it->kind = "unsupported";
		it->text = channel_some(ev->b, ev->message, "text");
	}
}

static void
postback_read(const struct line_event *ev)
{
	struct json_object *o = channel_obj(ev->root, "postback");
	struct channel_item *it;

	if (o == NULL || ev->conversation == NULL) {
		ev->b->skipped++;
		return;
	}
	if ((it = item_new(ev, CHANNEL_MESSAGE)) == NULL)
		return;
	it->kind = "postback";
	it->text = it->payload = channel_some(ev->b, o, "data");
	it->message_id =
	    ev->id != NULL ? ev->id
			   : channel_batch_printf(ev->b, "pb:%s:%lld",
				 ev->user != NULL ? ev->user : ev->conversation,
				 (long long)ev->at);
}

/* Only texts of groups are edited; the newest event has the last word. */
static void
edit_read(const struct line_event *ev)
{
	const char *id = channel_some(ev->b, ev->message, "id");
	const char *text = channel_text(ev->b, ev->message, "text");
	struct channel_item *it;

	if (id == NULL || text == NULL) {
		ev->b->skipped++;
		return;
	}
	if ((it = item_new(ev, CHANNEL_EDIT)) == NULL)
		return;
	it->message_id = id;
	it->text = text;
	it->version = ev->at;
}

static void
unsend_read(const struct line_event *ev)
{
	const char *id =
	    channel_some(ev->b, channel_obj(ev->root, "unsend"), "messageId");
	struct channel_item *it;

	if (id == NULL)
		ev->b->skipped++;
	else if ((it = item_new(ev, CHANNEL_DELETE)) != NULL)
		it->message_id = id;
}

static void
contact_read(const struct line_event *ev, bool follow)
{
	struct channel_item *it;

	if (!ev->person || ev->user == NULL)
		ev->b->skipped++;
	else if ((it = item_new(ev, CHANNEL_CONTACT)) != NULL)
		it->follow = follow;
}

static void
event_read(struct line_event *ev, int64_t now_ms)
{
	const char *mode = channel_text(ev->b, ev->root, "mode");

	ev->message = channel_obj(ev->root, "message");
	ev->id = channel_some(ev->b, ev->root, "webhookEventId");
	ev->standby = mode != NULL && strcmp(mode, "standby") == 0;
	ev->at = channel_time(channel_text(ev->b, ev->root, "timestamp"));
	if (ev->at == 0)
		ev->at = now_ms;
	source_read(ev);
	if (strcmp(ev->type, "message") == 0)
		message_read(ev);
	else if (strcmp(ev->type, "postback") == 0)
		postback_read(ev);
	else if (strcmp(ev->type, "messageEdited") == 0)
		edit_read(ev);
	else if (strcmp(ev->type, "unsend") == 0)
		unsend_read(ev);
	else if (strcmp(ev->type, "follow") == 0)
		contact_read(ev, true);
	else if (strcmp(ev->type, "unfollow") == 0)
		contact_read(ev, false);
	else
		item_new(ev, CHANNEL_NOTE);
}

static int
line_parse(const struct channel_account *ac, const struct channel_hook *hook,
    struct channel_batch *b)
{
	struct json_object *events;
	const char *to;

	if (channel_json(hook->body, hook->len, &b->root) == -1)
		return 400;
	to = channel_text(b, b->root, "destination");
	if (to == NULL ||
	    strcmp(to, channel_conf(ac, "line_bot_user_id")) != 0 ||
	    (events = channel_array(b->root, "events")) == NULL) {
		b->skipped++;
		return 0;
	}
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		struct line_event ev = { .b = b,
			.root = json_object_array_get_idx(events, i) };

		if (json_object_is_type(ev.root, json_type_object))
			ev.type = channel_some(b, ev.root, "type");
		if (ev.type != NULL)
			event_read(&ev, hook->now_ms);
		else
			b->skipped++;
	}
	return 0;
}

/* --- messages out --- */

static size_t
line_text_max(const struct channel_account *ac)
{
	return (size_t)channel_conf_int(ac, "line_text_max", 20, 100000);
}

/* Begin a request to the API with the token. */
static void
api_request(const struct channel_account *ac, const char *base,
    const char *path, struct http_request *rq)
{
	char bearer[4200];

	channel_url(ac, base, path, rq);
	snprintf(bearer, sizeof(bearer), "Bearer %s",
	    channel_conf(ac, "line_channel_token"));
	http_request_header(rq, "Authorization", bearer);
}

/*
 * Whether this try answers with the token of the customer's last event.  Only
 * the first one: an earlier push may have arrived, and has the key.
 */
static bool
by_reply(const struct channel_account *ac, const struct channel_out *out)
{
	return channel_conf_int(ac, "line_use_reply", 0, 1) == 1 &&
	       out->reply_token != NULL && *out->reply_token != '\0' &&
	       out->step == 0 && out->tries <= 1 &&
	       out->now_ms - out->last_inbound_at < REPLY_MS;
}

static bool
quotes(const struct channel_out *out)
{
	return out->quote != NULL && out->quote_token != NULL &&
	       *out->quote_token != '\0';
}

static bool
goes_as_image(const struct channel_out *out)
{
	return strcmp(out->kind, "image") == 0 && out->media_url != NULL &&
	       strncmp(out->media_url, "https://", 8) == 0 &&
	       out->media_size <= IMAGE_MAX &&
	       (out->mime == NULL || strcmp(out->mime, "image/jpeg") == 0 ||
		   strcmp(out->mime, "image/png") == 0);
}

static const char *
member_text(struct json_object *o, const char *key)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 ? p : NULL;
}

/* The answers to tap, as buttons below the message; new, NULL: none. */
static struct json_object *
quick_json(struct json_object *quick)
{
	struct json_object *root, *items, *item, *action;
	size_t n = quick != NULL ? json_object_array_length(quick) : 0;

	if (n == 0)
		return NULL;
	items = json_object_new_array();
	for (size_t i = 0; i < n && i < QUICK_MAX; i++) {
		struct json_object *one = json_object_array_get_idx(quick, i);
		const char *title = member_text(one, "title");
		const char *payload = member_text(one, "payload");

		if (title == NULL)
			continue;
		action = json_object_new_object();
		json_put_str(action, "label", title);
		if (payload != NULL && *payload != '\0' &&
		    strlen(payload) <= POSTBACK_MAX) {
			json_put_str(action, "type", "postback");
			json_put_str(action, "data", payload);
			json_put_str(action, "displayText", title);
		} else {
			json_put_str(action, "type", "message");
			json_put_str(action, "text", title);
		}
		item = json_object_new_object();
		json_put_str(item, "type", "action");
		json_put(item, "action", action);
		json_object_array_add(items, item);
	}
	root = json_object_new_object();
	json_put(root, "items", items);
	return root;
}

/* A text, or the picture; what LINE takes no files of goes as a link. */
static struct json_object *
messages_json(const struct channel_out *out)
{
	struct json_object *list = json_object_new_array(), *m = NULL, *quick;
	bool image = goes_as_image(out);
	struct buf text;

	buf_init(&text, TEXT_ROOM);
	if (out->text != NULL)
		buf_puts(&text, out->text);
	if (strcmp(out->kind, "text") != 0 && !image &&
	    out->media_url != NULL) {
		if (text.len > 0)
			buf_putc(&text, '\n');
		buf_puts(&text, out->media_url);
	}
	if (text.len > 0) {
		m = json_object_new_object();
		json_put_str(m, "type", "text");
		json_put_str(m, "text", text.data);
		if (quotes(out))
			json_put_str(m, "quoteToken", out->quote_token);
		json_object_array_add(list, m);
	}
	if (image) {
		m = json_object_new_object();
		json_put_str(m, "type", "image");
		json_put_str(m, "originalContentUrl", out->media_url);
		json_put_str(m, "previewImageUrl", out->media_url);
		json_object_array_add(list, m);
	}
	if (m != NULL && (quick = quick_json(out->quick)) != NULL)
		json_put(m, "quickReply", quick);
	if (m == NULL || text.err) {
		json_object_put(list);
		list = NULL;
	}
	buf_fini(&text);
	return list;
}

static int
line_send(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	struct json_object *list, *root;
	bool reply = by_reply(ac, out);

	if (out->conversation == NULL || (list = messages_json(out)) == NULL)
		return -1;
	root = json_object_new_object();
	if (reply) {
		json_put_str(root, "replyToken", out->reply_token);
		api_request(ac, "line_api_base", "/v2/bot/message/reply", rq);
	} else {
		json_put_str(root, "to", out->conversation);
		api_request(ac, "line_api_base", "/v2/bot/message/push", rq);
		http_request_header(rq, "X-Line-Retry-Key", out->uuid);
	}
	json_put(root, "messages", list);
	if (channel_body(rq, root) == -1)
		return -1;
	return reply ? 2 : 0;
}

/* Whether ${text} holds ${word}, in any letter case. */
static bool
holds(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (; *text != '\0'; text++)
		if (strncasecmp(text, word, n) == 0)
			return true;
	return false;
}

/* LINE's words about a refusal, and what it found fault with. */
static void
words_read(struct channel_batch *b, struct channel_result *rs)
{
	const char *said = channel_some(b, b->root, "message"), *more = NULL;
	struct json_object *list;

	if (said == NULL)
		return;
	if ((list = channel_array(b->root, "details")) != NULL &&
	    json_object_array_length(list) > 0) {
		list = json_object_array_get_idx(list, 0);
		if (json_object_is_type(list, json_type_object))
			more = channel_some(b, list, "message");
	}
	if (more != NULL &&
	    (said = channel_batch_printf(b, "%s: %s", said, more)) == NULL)
		return;
	channel_copy(rs->message, sizeof(rs->message), said, strlen(said));
}

/* Accepted now or before: the id, where it says one. */
static void
sent_read(struct channel_batch *b, struct channel_result *rs)
{
	struct json_object *list, *first;
	const char *id = NULL;

	rs->cls = CHANNEL_SENT;
	rs->message[0] = '\0';
	if ((list = channel_array(b->root, "sentMessages")) == NULL ||
	    json_object_array_length(list) == 0)
		return;
	first = json_object_array_get_idx(list, 0);
	if (json_object_is_type(first, json_type_object))
		id = channel_some(b, first, "id");
	if (id != NULL && strlen(id) < sizeof(rs->message_id))
		memcpy(rs->message_id, id, strlen(id) + 1);
}

static void
permanent(struct channel_result *rs, const char *reason)
{
	rs->cls = CHANNEL_PERMANENT;
	snprintf(rs->reason, sizeof(rs->reason), "%s", reason);
}

/* What a status means that says neither yes nor "later, as before". */
static void
classify(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	const char *quota = channel_conf(ac, "line_quota_text");

	if (an->status == 401) {
		rs->cls = CHANNEL_REAUTH;
		rs->refreshable = *channel_conf(ac, "line_channel_id") != '\0';
		snprintf(rs->reason, sizeof(rs->reason), "token");
	} else if (an->status == 429 && *quota != '\0' &&
		   holds(rs->message, quota)) {
		permanent(rs, "quota");
	} else if (an->status == 429) {
		rs->cls = CHANNEL_RETRY;
		rs->hold = true;
		rs->wait_s = an->retry_after_s > RATE_WAIT_S ? an->retry_after_s
							     : RATE_WAIT_S;
		snprintf(rs->reason, sizeof(rs->reason), "rate");
	} else if (an->status >= 400 && an->status < 500) {
		permanent(rs, "refused");
	} else {
		rs->wait_s = an->retry_after_s;
	}
}

static void
line_answer(const struct channel_account *ac, struct channel_out *out,
    const struct http_answer *an, struct channel_result *rs)
{
	bool reply = by_reply(ac, out);
	struct channel_batch b;

	memset(rs, 0, sizeof(*rs));
	channel_batch_init(&b);
	/* The same key makes a push safe to repeat; a reply has none. */
	rs->cls =
	    reply && an->end != HTTP_UNSENT ? CHANNEL_UNKNOWN : CHANNEL_RETRY;
	channel_copy(
	    rs->message, sizeof(rs->message), an->why, strlen(an->why));
	if (an->end != HTTP_ANSWERED)
		goto out;
	snprintf(rs->code, sizeof(rs->code), "http %ld", an->status);
	if (channel_json(an->body.data, an->body.len, &b.root) == 0 &&
	    !json_object_is_type(b.root, json_type_object)) {
		json_object_put(b.root);
		b.root = NULL;
	}
	words_read(&b, rs);
	if (an->status == 409 && !reply)
		sent_read(&b, rs);
	else if (an->status == 200 && b.root != NULL && rs->message[0] == '\0')
		sent_read(&b, rs);
	else if (an->status == 400 && reply &&
		 holds(rs->message, "invalid reply token"))
		rs->cls = CHANNEL_MORE; /* by push */
	else if (an->status == 400 && quotes(out))
		rs->cls = CHANNEL_RETRY_BARE;
	else
		classify(ac, an, rs);
out:
	channel_batch_fini(&b);
}

/* --- tokens --- */

static int
line_refresh(const struct channel_account *ac, struct http_request *rq)
{
	const char *id = channel_conf(ac, "line_channel_id");

	if (*id == '\0')
		return 0;
	channel_url(ac, "line_api_base", "/oauth2/v3/token", rq);
	http_request_header(
	    rq, "Content-Type", "application/x-www-form-urlencoded");
	channel_form(&rq->body, "grant_type", "client_credentials");
	channel_form(&rq->body, "client_id", id);
	channel_form(&rq->body, "client_secret",
	    channel_conf(ac, "line_channel_secret"));
	return rq->url.err || rq->headers.err || rq->body.err ? 0 : 1;
}

static struct json_object *
line_refreshed(const struct channel_account *ac, const struct http_answer *an,
    int64_t now_ms)
{
	struct json_object *set = NULL;
	struct channel_batch b;
	const char *token;
	int64_t life_s;
	char at[24];

	(void)ac;
	channel_batch_init(&b);
	if (an->end == HTTP_ANSWERED && an->status == 200 &&
	    channel_json(an->body.data, an->body.len, &b.root) == 0 &&
	    (token = channel_some(&b, b.root, "access_token")) != NULL) {
		life_s = channel_size(channel_text(&b, b.root, "expires_in"));
		set = json_object_new_object();
		json_put_str(set, "line_channel_token", token);
		snprintf(at, sizeof(at), "%lld",
		    life_s > 0 && life_s < 366LL * 86400
			? (long long)(now_ms + 1000 * life_s)
			: 0LL);
		json_put_str(set, "line_token_expires_at", at);
	}
	channel_batch_fini(&b);
	return set;
}

/* --- what shows, files, profiles --- */

static int
line_act(const struct channel_account *ac, const struct channel_act *act,
    struct http_request *rq)
{
	struct json_object *o;
	const char *path;

	if (act->what == CHANNEL_SEEN && act->seen_token != NULL) {
		path = "/v2/bot/chat/markAsRead";
		o = json_object_new_object();
		json_put_str(o, "markAsReadToken", act->seen_token);
	} else if (act->what == CHANNEL_TYPING && act->user != NULL &&
		   act->conversation != NULL &&
		   strcmp(act->user, act->conversation) == 0) {
		path = "/v2/bot/chat/loading/start";
		o = json_object_new_object();
		json_put_str(o, "chatId", act->user);
		json_put_int(o, "loadingSeconds", LOADING_S);
	} else {
		return 0;
	}
	api_request(ac, "line_api_base", path, rq);
	return channel_body(rq, o) == 0 ? 1 : 0;
}

/* Films and sounds are made ready first, which may take a while. */
static bool
is_transcoded(const struct channel_media *md)
{
	return strcmp(md->kind, "video") == 0 || strcmp(md->kind, "audio") == 0;
}

static int
line_media(const struct channel_account *ac, const struct channel_media *md,
    struct http_request *rq)
{
	bool asks = md->step == 0 && is_transcoded(md);

	if (strncmp(md->ref, "line:", 5) != 0 || md->ref[5] == '\0')
		return 0;
	rq->method = "GET";
	api_request(ac, "line_data_base", "/v2/bot/message/", rq);
	http_urlencode(&rq->url, md->ref + 5, strlen(md->ref + 5));
	buf_puts(&rq->url, asks ? "/content/transcoding" : "/content");
	if (rq->url.err || rq->headers.err)
		return 0;
	return asks ? 1 : 2;
}

/* What a status means for a question that may be asked again. */
static enum channel_class
asked_class(const struct http_answer *an)
{
	if (an->end != HTTP_ANSWERED || an->status < 400 || an->status == 429 ||
	    an->status >= 500)
		return CHANNEL_RETRY;
	return an->status == 401 ? CHANNEL_REAUTH : CHANNEL_PERMANENT;
}

static enum channel_class
line_media_answer(const struct channel_account *ac, struct channel_media *md,
    const struct http_answer *an)
{
	enum channel_class cls = asked_class(an);
	struct channel_batch b;
	const char *status;

	(void)ac;
	if (md->step > 0 || !is_transcoded(md) || cls != CHANNEL_RETRY ||
	    an->end != HTTP_ANSWERED || an->status != 200)
		return cls;
	channel_batch_init(&b);
	if (channel_json(an->body.data, an->body.len, &b.root) == 0 &&
	    (status = channel_text(&b, b.root, "status")) != NULL) {
		if (strcmp(status, "succeeded") == 0)
			cls = CHANNEL_MORE;
		else if (strcmp(status, "processing") != 0)
			cls = CHANNEL_PERMANENT;
	}
	channel_batch_fini(&b);
	return cls;
}

/* Who never wrote to us alone is known by the group or room they are in. */
static int
line_profile(const struct channel_account *ac, const char *user,
    const char *conversation, struct http_request *rq)
{
	/* A group of people who are not named stands for them: no person. */
	if (conversation != NULL && strcmp(conversation, user) == 0 &&
	    user[0] != 'U')
		return 0;
	if (conversation != NULL &&
	    (conversation[0] == 'C' || conversation[0] == 'R')) {
		api_request(ac, "line_api_base",
		    conversation[0] == 'C' ? "/v2/bot/group/" : "/v2/bot/room/",
		    rq);
		http_urlencode(&rq->url, conversation, strlen(conversation));
		buf_puts(&rq->url, "/member/");
	} else {
		api_request(ac, "line_api_base", "/v2/bot/profile/", rq);
	}
	http_urlencode(&rq->url, user, strlen(user));
	http_request_header(rq, "Content-Type", "application/json");
	return rq->url.err || rq->headers.err ? 0 : 1;
}

static enum channel_class
line_profiled(const struct channel_account *ac, const struct http_answer *an,
    struct channel_profile *pf)
{
	enum channel_class cls = asked_class(an);
	struct channel_batch b;
	const char *t;

	(void)ac;
	memset(pf, 0, sizeof(*pf));
	if (an->end != HTTP_ANSWERED || an->status != 200)
		return cls;
	channel_batch_init(&b);
	if (channel_json(an->body.data, an->body.len, &b.root) == 0 &&
	    (t = channel_some(&b, b.root, "displayName")) != NULL) {
		cls = CHANNEL_SENT;
		channel_face(pf, t, channel_some(&b, b.root, "pictureUrl"));
	}
	channel_batch_fini(&b);
	return cls;
}

/* --- the account itself --- */

static int
line_probe(
    const struct channel_account *ac, int64_t now_ms, struct http_request *rq)
{
	(void)now_ms;
	if (*channel_conf(ac, "line_channel_token") == '\0')
		return 0;
	rq->method = "GET";
	api_request(ac, "line_api_base", "/v2/bot/info", rq);
	return rq->url.err || rq->headers.err ? 0 : 1;
}

static void
line_probed(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	struct channel_out out = { .kind = "text" };
	struct channel_batch b;

	line_answer(ac, &out, an, rs);
	if (rs->cls != CHANNEL_SENT)
		return;
	channel_batch_init(&b);
	(void)channel_json(an->body.data, an->body.len, &b.root);
	channel_named(&b, b.root, "userId", "displayName", rs);
	channel_batch_fini(&b);
}

const struct channel channel_line = {
	.platform = "line",
	.prefix = "line",
	.account_key = "line_bot_user_id",
	.token_key = "line_channel_token",
	.expires_key = "line_token_expires_at",
	.methods = "POST",
	.paste = "At developers.line.biz, in the channel's Messaging API tab:\n"
		 "  Webhook URL          {webhook}\n"
		 "  Use webhook          on\n"
		 "  Webhook redelivery   on\n"
		 "At manager.line.biz, in the account's response settings:\n"
		 "  Auto-response        off\n",
	.keys = line_keys,
	.nkeys = sizeof(line_keys) / sizeof(line_keys[0]),
	.keyed = true,
	.at_once = 16,
	.per_s = 100,
	.early_s = 60,
	.handshake = channel_no_handshake,
	.verify = line_verify,
	.parse = line_parse,
	.window = channel_always_open, /* for money or not */
	.text_max = line_text_max,
	.send = line_send,
	.answer = line_answer,
	.refresh = line_refresh,
	.refreshed = line_refreshed,
	.act = line_act,
	.media = line_media,
	.media_answer = line_media_answer,
	.profile = line_profile,
	.profiled = line_profiled,
	.probe = line_probe,
	.probed = line_probed,
};
