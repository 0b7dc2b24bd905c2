/*
 * The generic webhook: one's own programs as a platform.  They post events
 * signed with a shared secret over the time and the body; what agents answer
 * is posted to them the same way, under an idempotency key.  What is wrong
 * with an event is said by naming its member.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "channel.h"
#include "json.h"
#include "token.h"

#define ID_MAX 255 /* bytes of a name of theirs */
#define MEDIA_MAX 64
#define TOLERANCE_MAX_S 86400
#define TIME_DIGITS 15 /* of the header, at most */
#define RATE_WAIT_S 5  /* where a 429 does not say */

static const struct channel_key custom_keys[] = {
	{ "custom_secret", NULL,
	    CHANNEL_SECRET | CHANNEL_REQUIRED | CHANNEL_MADE,
	    "signs what both sides post" },
	{ "custom_out_url", "", 0,
	    "where answers are posted; without it they cannot leave" },
	{ "custom_sig_tolerance_s", "300", 0,
	    "seconds that a signed time may be off" },
	{ "custom_text_max", "20000", 0, "UTF-16 units of one text" },
};

static const char *
custom_check(const struct channel_account *ac, const char **key)
{
	const char *t = channel_conf(ac, "custom_sig_tolerance_s");
	int64_t n =
	    channel_conf_int(ac, "custom_sig_tolerance_s", 0, INT64_MAX);

	*key = "custom_sig_tolerance_s";
	return n >= 1 && n <= TOLERANCE_MAX_S && *t != '+' && *t != ' '
		   ? NULL
		   : "seconds";
}

/* --- the signature --- */

/* The signed time in ms, or -1. */
static int64_t
signed_ms(const char *text)
{
	int64_t t = 0;
	size_t n = strlen(text);

	if (n == 0 || n > TIME_DIGITS ||
	    text[strspn(text, "0123456789")] != '\0')
		return -1;
	for (size_t i = 0; i < n; i++)
		t = 10 * t + (text[i] - '0');
	return 1000 * t;
}

static enum channel_verdict
custom_verify(const struct channel_account *ac, const struct channel_hook *hook)
{
	const char *secret = channel_conf(ac, "custom_secret");
	const char *time = hook->header(hook->arg, "X-Parley-Timestamp");
	const char *sig = hook->header(hook->arg, "X-Parley-Signature");
	int64_t tolerance_s =
	    channel_conf_int(ac, "custom_sig_tolerance_s", 1, TOLERANCE_MAX_S);
	unsigned char mac[TOKEN_MAC_BYTES];
	int64_t at;

	if (*secret == '\0' || time == NULL || sig == NULL ||
	    strncmp(sig, "v1=", 3) != 0 || (at = signed_ms(time)) == -1)
		return CHANNEL_FORGED;
	token_hmac_at(secret, time, strlen(time), hook->body, hook->len, mac);
	if (!channel_hex_equal(sig + 3, strlen(sig + 3), mac, sizeof(mac)))
		return CHANNEL_FORGED;
	if (at < hook->now_ms - 1000 * tolerance_s ||
	    at > hook->now_ms + 1000 * tolerance_s)
		return CHANNEL_FORGED;
	return CHANNEL_GOOD;
}

/* --- events in --- */

/* An event being read; the first fault sticks. */
struct custom_event {
	struct channel_batch *b;
	struct json_object *root;
	const char *fault; /* the member at fault */
};

static void
fault(struct custom_event *ev, const char *name)
{
	if (ev->fault == NULL)
		ev->fault = name;
}

/* A name: text or whole number; ${name} says where it is. */
static const char *
id_read(struct custom_event *ev, struct json_object *o, const char *key,
    const char *name, bool required)
{
	const char *t;

	if (!required && channel_member(o, key) == NULL)
		return NULL;
	t = json_object_is_type(o, json_type_object)
		? channel_text(ev->b, o, key)
		: NULL;
	if (t == NULL || *t == '\0' || strlen(t) > ID_MAX) {
		fault(ev, name);
		return NULL;
	}
	return t;
}

/* A text that may be missing; an empty one is as good as none. */
static const char *
text_read(struct custom_event *ev, struct json_object *o, const char *key,
    const char *name)
{
	struct json_object *v = channel_member(o, key);
	const char *t;

	if (v == NULL)
		return NULL;
	if (!json_object_is_type(v, json_type_string)) {
		fault(ev, name);
		return NULL;
	}
	t = channel_text(ev->b, o, key);
	return t != NULL && *t != '\0' ? t : NULL;
}

/* An address that may be missing; others than of the web are a fault. */
static const char *
url_read(struct custom_event *ev, struct json_object *o, const char *key,
    const char *name)
{
	const char *t = text_read(ev, o, key, name);

	if (t != NULL && strncmp(t, "https://", 8) != 0 &&
	    strncmp(t, "http://", 7) != 0)
		fault(ev, name);
	return t;
}

static void
place_read(
    struct custom_event *ev, struct json_object *msg, struct channel_item *it)
{
	struct json_object *o = channel_member(msg, "location");

	if (o == NULL)
		return;
	it->located = channel_degrees(o, "lat", 90, &it->lat) &&
		      channel_degrees(o, "lon", 180, &it->lon);
	if (!it->located)
		fault(ev, "message.location");
}

static bool
kind_known(const char *kind)
{
	static const char *const kinds[] = { "text", "image", "video", "audio",
		"file", "sticker", "location", "postback" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

/* The kind of a file that came with what is called a text. */
static const char *
kind_of_mime(const char *mime)
{
	if (mime == NULL)
		return "file";
	return strncmp(mime, "image/", 6) == 0   ? "image"
	       : strncmp(mime, "video/", 6) == 0 ? "video"
	       : strncmp(mime, "audio/", 6) == 0 ? "audio"
						 : "file";
}

/* One of message.media into ${it}. */
static void
medium_read(
    struct custom_event *ev, struct json_object *o, struct channel_item *it)
{
	struct json_object *size = channel_member(o, "size");

	it->media_url = url_read(ev, o, "url", "message.media.url");
	if (it->media_url == NULL)
		fault(ev, "message.media.url");
	it->mime = text_read(ev, o, "mime", "message.media.mime");
	it->name = text_read(ev, o, "name", "message.media.name");
	if (size != NULL) {
		it->size = json_object_get_int64(size);
		if (!json_object_is_type(size, json_type_int) || it->size < 0)
			fault(ev, "message.media.size");
	}
	if (strcmp(it->kind, "text") == 0)
		it->kind = kind_of_mime(it->mime);
}

/* The time it was written, in ms. */
static int64_t
time_read(struct custom_event *ev)
{
	int64_t t = channel_time(channel_text(ev->b, ev->root, "sent_at"));

	if (t <= 0)
		fault(ev, "sent_at");
	return t;
}

/* What all rows of a message share. */
static void
head_read(
    struct custom_event *ev, struct json_object *msg, struct channel_item *it)
{
	struct json_object *user = channel_member(ev->root, "user");
	const char *kind;

	it->op = CHANNEL_MESSAGE;
	it->what = "message";
	it->size = -1;
	it->raw = ev->root;
	it->user = id_read(ev, user, "id", "user.id", true);
	it->user_name = text_read(ev, user, "name", "user.name");
	it->user_avatar = url_read(ev, user, "avatar_url", "user.avatar_url");
	it->message_id = id_read(ev, msg, "id", "message.id", true);
	kind = text_read(ev, msg, "kind", "message.kind");
	if (kind == NULL || !kind_known(kind)) {
		fault(ev, "message.kind");
		kind = "unsupported";
	}
	it->kind = kind;
	it->text = text_read(ev, msg, "text", "message.text");
	it->payload = text_read(ev, msg, "payload", "message.payload");
	it->reply_to = id_read(ev, msg, "reply_to", "message.reply_to", false);
	place_read(ev, msg, it);
	it->sent_at = time_read(ev);
	if (it->text == NULL && strcmp(kind, "postback") == 0)
		it->text = it->payload;
}

static void
message_read(struct custom_event *ev, const char *conversation)
{
	struct json_object *msg = channel_member(ev->root, "message");
	struct json_object *list = channel_member(msg, "media");
	struct channel_item head = { .conversation = conversation }, *it;
	size_t n = 0;

	head_read(ev, msg, &head);
	if (list != NULL && !json_object_is_type(list, json_type_array))
		fault(ev, "message.media");
	else if (list != NULL)
		n = json_object_array_length(list);
	if (n > MEDIA_MAX)
		fault(ev, "message.media");
	/* There must be something to see, whatever it is called. */
	if (n == 0 && head.text == NULL && head.payload == NULL &&
	    !head.located)
		head.kind = "unsupported";
	for (size_t i = 0; i == 0 || (i < n && ev->fault == NULL); i++) {
		if ((it = channel_batch_add(ev->b)) == NULL)
			return;
		*it = head;
		if (i < n)
			medium_read(ev, json_object_array_get_idx(list, i), it);
		if (i > 0) {
			it->text = NULL;
			it->located = false;
			it->message_id = channel_batch_printf(
			    ev->b, "%s#%zu", head.message_id, i);
		}
	}
}

static void
status_read(struct custom_event *ev, const char *conversation)
{
	struct json_object *list = channel_member(ev->root, "message_ids");
	const char *status = text_read(ev, ev->root, "status", "status");
	struct channel_item *it;
	size_t n;

	if (status == NULL ||
	    (strcmp(status, "delivered") != 0 && strcmp(status, "read") != 0))
		fault(ev, "status");
	if (!json_object_is_type(list, json_type_array))
		fault(ev, "message_ids");
	if (ev->fault != NULL || (it = channel_batch_add(ev->b)) == NULL)
		return;
	it->op = CHANNEL_STATUS;
	it->what = "status";
	it->raw = ev->root;
	it->status = status;
	it->conversation = conversation;
	n = json_object_array_length(list);
	if ((it->ids = calloc(n + 1, sizeof(*it->ids))) == NULL) {
		ev->b->err = 1;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (!json_object_is_type(v, json_type_string) &&
		    !json_object_is_type(v, json_type_int)) {
			fault(ev, "message_ids");
			return;
		}
		it->ids[it->nids++] =
		    channel_batch_text(ev->b, json_object_get_string(v),
			strlen(json_object_get_string(v)));
	}
}

static int
custom_parse(const struct channel_account *ac, const struct channel_hook *hook,
    struct channel_batch *b)
{
	struct custom_event ev = { .b = b };
	const char *type, *conversation;
	struct channel_item *it;

	(void)ac;
	if (channel_json(hook->body, hook->len, &b->root) == -1)
		return 400;
	ev.root = b->root;
	id_read(&ev, ev.root, "event_id", "event_id", true);
	if ((type = text_read(&ev, ev.root, "type", "type")) == NULL) {
		fault(&ev, "type");
	} else if (strcmp(type, "message") == 0 ||
		   strcmp(type, "status") == 0) {
		conversation = id_read(
		    &ev, ev.root, "conversation_id", "conversation_id", true);
		if (*type == 'm')
			message_read(&ev, conversation);
		else
			status_read(&ev, conversation);
	} else if ((it = channel_batch_add(b)) != NULL) {
		it->op = CHANNEL_NOTE;
		it->what = type;
		it->raw = ev.root;
	}
	b->field = ev.fault;
	return ev.fault != NULL ? 422 : 0;
}

/* --- messages out --- */

static size_t
custom_text_max(const struct channel_account *ac)
{
	return (size_t)channel_conf_int(ac, "custom_text_max", 20, 100000);
}

/* The message in the form of one that comes in; new. */
static struct json_object *
message_json(const struct channel_out *out)
{
	struct json_object *o = json_object_new_object(), *list, *file;

	json_put_str(o, "kind", out->kind);
	if (out->text != NULL)
		json_put_str(o, "text", out->text);
	if (out->quote != NULL)
		json_put_str(o, "reply_to", out->quote);
	if (out->quick != NULL)
		json_put(o, "quick_replies", json_object_get(out->quick));
	if (out->media_url != NULL) {
		file = json_object_new_object();
		json_put_str(file, "url", out->media_url);
		if (out->mime != NULL)
			json_put_str(file, "mime", out->mime);
		if (out->media_name != NULL)
			json_put_str(file, "name", out->media_name);
		if (out->media_size > 0)
			json_put_int(file, "size", out->media_size);
		list = json_object_new_array();
		json_object_array_add(list, file);
		json_put(o, "media", list);
	}
	return o;
}

/* Whether there is where to post to, and what to sign it with. */
static bool
can_post(const struct channel_account *ac)
{
	return *channel_conf(ac, "custom_out_url") != '\0' &&
	       *channel_conf(ac, "custom_secret") != '\0';
}

/* ${root}, taken, signed. */
static void
signed_request(const struct channel_account *ac, struct json_object *root,
    int64_t now_ms, struct http_request *rq)
{
	const char *secret = channel_conf(ac, "custom_secret");
	char time[24], sig[3 + 2 * TOKEN_MAC_BYTES + 1] = "v1=";
	unsigned char mac[TOKEN_MAC_BYTES];

	json_write(root, &rq->body);
	json_object_put(root);
	snprintf(time, sizeof(time), "%lld", (long long)(now_ms / 1000));
	token_hmac_at(
	    secret, time, strlen(time), rq->body.data, rq->body.len, mac);
	sodium_bin2hex(sig + 3, sizeof(sig) - 3, mac, sizeof(mac));
	rq->method = "POST";
	buf_puts(&rq->url, channel_conf(ac, "custom_out_url"));
	http_request_header(rq, "Content-Type", "application/json");
	http_request_header(rq, "X-Parley-Timestamp", time);
	http_request_header(rq, "X-Parley-Signature", sig);
}

static int
custom_send(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	struct json_object *root;

	if (!can_post(ac) || out->conversation == NULL ||
	    (out->text == NULL && out->media_url == NULL))
		return -1;
	root = json_object_new_object();
	json_put_str(root, "type", "message");
	json_put_str(root, "conversation_id", out->conversation);
	json_put_int(root, "outbound_id", out->number);
	json_put(root, "message", message_json(out));
	signed_request(ac, root, out->now_ms, rq);
	http_request_header(
	    rq, "Idempotency-Key", out->uuid != NULL ? out->uuid : "");
	return rq->url.err || rq->headers.err || rq->body.err ? -1 : 0;
}

static void
classify(long status, struct channel_result *rs)
{
	if (status >= 200 && status < 300) {
		rs->cls = CHANNEL_SENT;
	} else if (status == 401 || status == 403) {
		rs->cls = CHANNEL_REAUTH;
		snprintf(rs->reason, sizeof(rs->reason), "account");
	} else if (status == 408 || status == 425 || status >= 500) {
		rs->cls = CHANNEL_RETRY;
	} else if (status == 429) {
		rs->cls = CHANNEL_RETRY;
		rs->hold = true;
		rs->wait_s = RATE_WAIT_S;
		snprintf(rs->reason, sizeof(rs->reason), "rate");
	} else {
		rs->cls = CHANNEL_PERMANENT;
		snprintf(rs->reason, sizeof(rs->reason), "refused");
	}
}

static void
custom_answer(const struct channel_account *ac, struct channel_out *out,
    const struct http_answer *an, struct channel_result *rs)
{
	struct channel_batch b;
	const char *t;

	(void)ac;
	memset(rs, 0, sizeof(*rs));
	channel_copy(
	    rs->message, sizeof(rs->message), an->why, strlen(an->why));
	if (an->barred) { /* by the settings: nothing goes until they change */
		rs->cls = CHANNEL_REAUTH;
		snprintf(rs->reason, sizeof(rs->reason), "address");
		return;
	}
	if (an->end != HTTP_ANSWERED) {
		/* The key is the same next time: nothing goes out twice. */
		rs->cls = CHANNEL_RETRY;
		return;
	}
	channel_batch_init(&b);
	classify(an->status, rs);
	snprintf(rs->code, sizeof(rs->code), "http %ld", an->status);
	if (channel_json(an->body.data, an->body.len, &b.root) == -1 ||
	    !json_object_is_type(b.root, json_type_object)) {
		json_object_put(b.root);
		b.root = NULL;
	}
	if (rs->cls == CHANNEL_SENT) {
		t = channel_text(&b, b.root, "message_id");
		if (t != NULL && *t != '\0' && strlen(t) <= ID_MAX)
			snprintf(
			    rs->message_id, sizeof(rs->message_id), "%s", t);
		else
			snprintf(rs->message_id, sizeof(rs->message_id), "%lld",
			    (long long)out->number);
	} else {
		if ((t = channel_text(&b, b.root, "error")) == NULL)
			t = channel_text(&b, b.root, "message");
		if (t == NULL)
			t = rs->code;
		channel_copy(rs->message, sizeof(rs->message), t, strlen(t));
	}
	if (rs->cls == CHANNEL_RETRY && an->retry_after_s > 0)
		rs->wait_s = an->retry_after_s;
	channel_batch_fini(&b);
}

/* --- the account itself --- */

static int
custom_probe(
    const struct channel_account *ac, int64_t now_ms, struct http_request *rq)
{
	struct json_object *root;

	if (!can_post(ac))
		return 0;
	root = json_object_new_object();
	json_put_str(root, "type", "ping");
	signed_request(ac, root, now_ms, rq);
	return rq->url.err || rq->headers.err || rq->body.err ? 0 : 1;
}

static void
custom_probed(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	struct channel_out out = { .kind = "text" };

	custom_answer(ac, &out, an, rs);
	rs->message_id[0] = '\0';
	if (rs->cls == CHANNEL_SENT)
		rs->message[0] = '\0';
}

const struct channel channel_custom = {
	.platform = "custom",
	.prefix = "custom",
	.methods = "POST",
	.ok = "{\"ok\":true,\"duplicate\":false}",
	.ok_again = "{\"ok\":true,\"duplicate\":true}",
	.paste =
	    "In your program:\n"
	    "  post events to  {webhook}\n"
	    "  secret          {custom_secret}\n"
	    "It signs \"TIMESTAMP.BODY\" with HMAC-SHA-256, for you as for us.\n",
	.keys = custom_keys,
	.nkeys = sizeof(custom_keys) / sizeof(custom_keys[0]),
	.keyed = true,
	.json_only = true,
	.anybodys = true,
	.at_once = 8,
	.per_s = 20,
	.check = custom_check,
	.handshake = channel_no_handshake,
	.verify = custom_verify,
	.parse = custom_parse,
	.window = channel_always_open,
	.text_max = custom_text_max,
	.send = custom_send,
	.answer = custom_answer,
	.probe = custom_probe,
	.probed = custom_probed,
};
