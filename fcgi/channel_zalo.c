/*
 * Zalo Official Account: its webhooks and its Open API.  One event a POST,
 * signed with a plain SHA-256 over a concatenation that needs two members of
 * the body, so this is the one platform whose body is parsed to be verified.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "channel.h"
#include "json.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define FREE_MS (48 * HOUR_MS) /* after the last action of the user */
#define PAID_MS (INT64_C(7) * 24 * HOUR_MS) /* then nothing but templates */
#define FREE_COUNT 8                        /* free messages in the free time */
#define RATE_WAIT_S 60
#define REFRESH_LIFE_MS \
	(INT64_C(90) * 24 * HOUR_MS) /* three months, never told */
#define TOLERANCE_MAX_S (30LL * 86400)
#define IMAGE_MAX (1 << 20) /* bytes an upload may have */
#define FILE_MAX (5 << 20)

static const struct channel_key zalo_keys[] = {
	{ "zalo_app_id", NULL, CHANNEL_REQUIRED, "the application's id" },
	{ "zalo_app_secret", NULL, CHANNEL_SECRET,
	    "the application's secret key, for new tokens" },
	{ "zalo_oa_id", NULL, CHANNEL_REQUIRED, "the Official Account's id" },
	{ "zalo_oa_secret", NULL, CHANNEL_SECRET | CHANNEL_REQUIRED,
	    "the OA secret key that signs webhooks" },
	{ "zalo_access_token", NULL, CHANNEL_SECRET, "the access token" },
	{ "zalo_refresh_token", NULL, CHANNEL_SECRET,
	    "the refresh token; it works once" },
	{ "zalo_refresh_expires_at", "0", 0,
	    "when the refresh token ends, in ms; 0: not known" },
	{ "zalo_token_expires_at", "0", 0,
	    "end of the access token, ms; 0 not known" },
	{ "zalo_api_base", "https://openapi.zalo.me", 0, "address of the API" },
	{ "zalo_oauth_base", "https://oauth.zaloapp.com", 0,
	    "address that gives tokens" },
	{ "zalo_allow_paid", "0", 0,
	    "1: also write from 48 hours to 7 days after the customer" },
	{ "zalo_text_max", "2000", 0, "UTF-16 units of one text" },
	{ "zalo_sig_tolerance_s", "0", 0,
	    "oldest webhook taken; 0 does not ask" },
};

/* --- webhooks in --- */

static int
zalo_handshake(
    const struct channel_account *ac, const char *query, struct buf *out)
{
	(void)ac;
	(void)query;
	(void)out;
	return 200;
}

/* The 64 hex digits of "mac=<hex>", "mac = <hex>" or "<hex>", or NULL. */
static const char *
signature_hex(const char *v)
{
	size_t n;

	if (v == NULL)
		return NULL;
	v += strspn(v, " \t");
	if (strncasecmp(v, "mac", 3) == 0) {
		v += 3;
		v += strspn(v, " \t");
		if (*v++ != '=')
			return NULL;
		v += strspn(v, " \t");
	}
	n = strspn(v, "0123456789abcdefABCDEF");
	return n == 64 && v[n + strspn(v + n, " \t")] == '\0' ? v : NULL;
}

/* The digits that the platform hashed, or NULL. */
static const char *
signed_time(struct channel_batch *b, struct json_object *root)
{
	const char *t = channel_text(b, root, "timestamp");

	if (t == NULL || *t == '\0' || t[strspn(t, "0123456789")] != '\0')
		return NULL;
	return t;
}

static enum channel_verdict
zalo_verify(const struct channel_account *ac, const struct channel_hook *hook)
{
	const char *secret = channel_conf(ac, "zalo_oa_secret");
	const char *hex =
	    signature_hex(hook->header(hook->arg, "X-ZEvent-Signature"));
	int64_t tolerance_s =
	    channel_conf_int(ac, "zalo_sig_tolerance_s", 0, TOLERANCE_MAX_S);
	enum channel_verdict verdict = CHANNEL_FORGED;
	unsigned char mac[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state h;
	struct channel_batch b;
	const char *app, *t;

	channel_batch_init(&b);
	if (hex == NULL || *secret == '\0' ||
	    channel_json(hook->body, hook->len, &b.root) == -1)
		goto out;
	app = channel_text(&b, b.root, "app_id");
	t = signed_time(&b, b.root);
	if (app == NULL || t == NULL ||
	    strcmp(app, channel_conf(ac, "zalo_app_id")) != 0)
		goto out;

	crypto_hash_sha256_init(&h);
	crypto_hash_sha256_update(&h, (const unsigned char *)app, strlen(app));
	crypto_hash_sha256_update(
	    &h, (const unsigned char *)hook->body, hook->len);
	crypto_hash_sha256_update(&h, (const unsigned char *)t, strlen(t));
	crypto_hash_sha256_update(
	    &h, (const unsigned char *)secret, strlen(secret));
	crypto_hash_sha256_final(&h, mac);
	if (!channel_hex_equal(hex, 64, mac, sizeof(mac)))
		goto out;
	if (tolerance_s > 0 &&
	    llabs(hook->now_ms - channel_time(t)) > 1000 * tolerance_s)
		goto out;
	verdict = CHANNEL_GOOD;
out:
	channel_batch_fini(&b);
	return verdict;
}

/* What stands in every event. */
struct zalo_event {
	const struct channel_account *ac;
	struct channel_batch *b;
	struct json_object *root, *message;
	const char *name;
	const char *sender, *recipient; /* ids or NULL */
	const char *timestamp;
	int64_t at;
};

static const char *
conf_oa(const struct zalo_event *ev)
{
	return channel_conf(ev->ac, "zalo_oa_id");
}

static bool
is_oa(const struct zalo_event *ev, const char *id)
{
	return id != NULL && strcmp(id, conf_oa(ev)) == 0;
}

static struct channel_item *
item_new(const struct zalo_event *ev, enum channel_op op)
{
	struct channel_item *it = channel_batch_add(ev->b);

	if (it != NULL) {
		it->op = op;
		it->sent_at = ev->at;
		it->what = ev->name;
		it->raw = ev->root;
	}
	return it;
}

/* Media kinds by what an attachment or the end of an event's name says. */
static const char *
media_kind(const char *type)
{
	static const char *const kinds[][2] = { { "image", "image" },
		{ "gif", "image" }, { "audio", "audio" }, { "voice", "audio" },
		{ "video", "video" }, { "sticker", "sticker" },
		{ "location", "location" }, { "file", "file" } };

	for (size_t i = 0; type != NULL && i < sizeof(kinds) / sizeof(kinds[0]);
	     i++)
		if (strcmp(kinds[i][0], type) == 0)
			return kinds[i][1];
	return NULL;
}

/* A coordinate, from a string or a number. */
static bool
degrees(struct json_object *o, const char *key, double max, double *out)
{
	struct json_object *v = channel_member(o, key);
	const char *text;
	char *end;

	if (!json_object_is_type(v, json_type_string))
		return channel_degrees(o, key, max, out);
	text = json_object_get_string(v);
	if (*text == '\0' || text[strspn(text, "+-.0123456789eE")] != '\0')
		return false;
	*out = strtod(text, &end);
	return *end == '\0' && isfinite(*out) && fabs(*out) <= max;
}

/* Fill the media of ${it} from an attachment; false: there is none in it. */
static bool
attachment_read(const struct zalo_event *ev, struct channel_item *it,
    const char *type, struct json_object *payload)
{
	const char *id;

	if ((it->kind = media_kind(type)) == NULL)
		return false;
	if (strcmp(it->kind, "location") == 0) {
		struct json_object *c = channel_obj(payload, "coordinates");

		it->located = degrees(c, "latitude", 90, &it->lat) &&
			      degrees(c, "longitude", 180, &it->lon);
		return it->located;
	}
	it->media_url = channel_some(ev->b, payload, "url");
	if (strcmp(type, "gif") == 0)
		it->mime = "image/gif";
	if (strcmp(type, "sticker") == 0 &&
	    (id = channel_some(ev->b, payload, "id")) != NULL)
		it->media_ref =
		    channel_batch_printf(ev->b, "zalo-sticker:%s", id);
	if (strcmp(type, "file") == 0) {
		it->name = channel_some(ev->b, payload, "name");
		it->size = channel_size(channel_text(ev->b, payload, "size"));
	}
	return it->media_url != NULL || it->media_ref != NULL;
}

/* The i-th attachment's payload, its type in ${type}; NULL past the last. */
static struct json_object *
attachment_at(const struct zalo_event *ev, size_t i, const char **type)
{
	struct json_object *list = channel_array(ev->message, "attachments");
	struct json_object *o;

	*type = NULL;
	if (list == NULL || i >= json_object_array_length(list))
		return NULL;
	o = json_object_array_get_idx(list, i);
	if (!json_object_is_type(o, json_type_object))
		return ev->message; /* no payload in it, but not the end */
	*type = channel_text(ev->b, o, "type");
	o = channel_obj(o, "payload");
	return o != NULL ? o : ev->message;
}

/* What every row of a message shares. */
static void
row_head(const struct zalo_event *ev, struct channel_item *it,
    const struct channel_item *head)
{
	it->out = head->out;
	it->by_person = head->by_person;
	it->conversation = head->conversation;
	it->user = head->user;
	it->message_id = head->message_id;
	it->reply_to = channel_text(ev->b, ev->message, "quote_msg_id");
}

/*
 * Rows of a message whose event name ends in ${suffix}: one for each media
 * attachment, else one of text, else one that says something came.
 */
static void
message_rows(const struct zalo_event *ev, const struct channel_item *head,
    const char *suffix)
{
	bool link = strcmp(suffix, "link") == 0;
	bool known =
	    link || strcmp(suffix, "text") == 0 || media_kind(suffix) != NULL;
	const char *text = channel_some(ev->b, ev->message, "text");
	const char *type, *described = NULL, *url = NULL;
	struct json_object *payload;
	struct channel_item *it;
	size_t rows = 0;

	for (size_t i = 0;
	     !ev->b->err && (payload = attachment_at(ev, i, &type)) != NULL;
	     i++) {
		struct channel_item media = { .size = -1 };

		if (payload == ev->message)
			continue;
		if (described == NULL)
			described = channel_some(ev->b, payload, "description");
		if (url == NULL)
			url = channel_some(ev->b, payload, "url");
		if (type == NULL || media_kind(type) == NULL)
			type = media_kind(suffix) != NULL ? suffix : NULL;
		if (!known || type == NULL ||
		    !attachment_read(ev, &media, type, payload))
			continue;
		if ((it = item_new(ev, CHANNEL_MESSAGE)) == NULL)
			return;
		media.op = it->op;
		media.sent_at = it->sent_at;
		media.what = it->what;
		media.raw = it->raw;
		*it = media;
		row_head(ev, it, head);
		if (rows == 0)
			it->text =
			    text != NULL ? text
			    : strcmp(media.kind, "video") == 0
				? channel_some(ev->b, payload, "description")
				: NULL;
		else
			it->message_id = channel_batch_printf(
			    ev->b, "%s#%zu", head->message_id, rows);
		rows++;
	}
	if (rows > 0 || ev->b->err ||
	    (it = item_new(ev, CHANNEL_MESSAGE)) == NULL)
		return;
	row_head(ev, it, head);
	if (text == NULL)
		text = link ? url : described != NULL ? described : url;
	it->text = text;
	it->kind = known && media_kind(suffix) == NULL && text != NULL
		       ? "text"
		       : "unsupported";
}

/* A message of the user or, as an echo, of our own side. */
static void
message_read(
    const struct zalo_event *ev, const char *suffix, bool out, char where)
{
	struct channel_item head = { .out = out };
	struct json_object *sender = channel_obj(ev->root, "sender");
	const char *own = channel_some(ev->b, ev->root, "oa_id");

	if (ev->message == NULL)
		goto skip;
	head.user = out ? ev->recipient : ev->sender;
	head.conversation = head.user;
	if (where == 'g') {
		head.conversation = ev->recipient;
		if (out)
			head.user = NULL;
		/* Without a name it can only be of who has the address. */
		if (own == NULL)
			own = out ? ev->sender : conf_oa(ev);
	} else {
		own = out ? ev->sender : ev->recipient;
	}
	if (!is_oa(ev, own)) {
		channel_batch_astray(ev->b, own);
		goto skip;
	}
	if (where == 'a') {
		const char *c =
		    channel_some(ev->b, ev->message, "conversation_id");

		if (c == NULL && !out)
			goto skip;
		head.conversation = c != NULL ? c : head.user;
	}
	if (head.conversation == NULL || *head.conversation == '\0' ||
	    (!out && (head.user == NULL || *head.user == '\0')))
		goto skip;
	head.by_person = out && channel_text(ev->b, sender, "admin_id") != NULL;
	head.message_id = channel_some(ev->b, ev->message, "msg_id");
	if (head.message_id == NULL)
		head.message_id = channel_batch_printf(
		    ev->b, "zalo:%s:%s", ev->timestamp, head.conversation);
	message_rows(ev, &head, suffix);
	return;
skip:
	ev->b->skipped++;
}

/* Delivered or read: by whichever of the two is not the account. */
static void
receipt_read(const struct zalo_event *ev, const char *status)
{
	struct json_object *list = NULL;
	struct channel_item *it;
	const char *one, *user;
	size_t n = 0;

	if (is_oa(ev, ev->sender))
		user = ev->recipient;
	else
		user = is_oa(ev, ev->recipient) ? ev->sender : NULL;
	/* Notices of templates have the same name, and no message. */
	if (ev->message == NULL || user == NULL || *user == '\0') {
		ev->b->skipped++;
		/* One of the two is another account; which, nobody says. */
		if (ev->message != NULL && user == NULL) {
			channel_batch_astray(ev->b, ev->sender);
			channel_batch_astray(ev->b, ev->recipient);
		}
		return;
	}
	if ((list = channel_array(ev->message, "msg_ids")) != NULL)
		n = json_object_array_length(list);
	one = channel_some(ev->b, ev->message, "msg_id");
	if ((it = item_new(ev, CHANNEL_STATUS)) == NULL)
		return;
	it->status = status;
	it->conversation = it->user = user;
	if ((it->ids = calloc(n + 1, sizeof(*it->ids))) == NULL) {
		ev->b->err = 1;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (json_object_is_type(v, json_type_string) ||
		    json_object_is_type(v, json_type_int))
			it->ids[it->nids++] =
			    channel_batch_text(ev->b, json_object_get_string(v),
				strlen(json_object_get_string(v)));
	}
	if (it->nids == 0 && one != NULL)
		it->ids[it->nids++] = one;
}

static void
contact_read(const struct zalo_event *ev, bool follow)
{
	const char *own = channel_text(ev->b, ev->root, "oa_id");
	const char *user =
	    channel_some(ev->b, channel_obj(ev->root, "follower"), "id");
	struct channel_item *it;

	if (own != NULL && !is_oa(ev, own)) {
		ev->b->skipped++;
		channel_batch_astray(ev->b, own);
		return;
	}
	if (user == NULL) {
		ev->b->skipped++;
		return;
	}
	if ((it = item_new(ev, CHANNEL_CONTACT)) == NULL)
		return;
	it->conversation = it->user = user;
	it->follow = follow;
}

/* What follows ${prefix} in ${name}, or NULL. */
static const char *
after(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

static void
event_read(const struct zalo_event *ev)
{
	const char *s;

	if (strcmp(ev->name, "oa_send_consent") == 0)
		item_new(ev, CHANNEL_NOTE);
	else if ((s = after(ev->name, "user_send_group_")) != NULL)
		message_read(ev, s, false, 'g');
	else if ((s = after(ev->name, "user_send_")) != NULL)
		message_read(ev, s, false, 'u');
	else if ((s = after(ev->name, "anonymous_send_")) != NULL)
		message_read(ev, s, false, 'a');
	else if ((s = after(ev->name, "oa_send_group_")) != NULL)
		message_read(ev, s, true, 'g');
	else if ((s = after(ev->name, "oa_send_anonymous_")) != NULL)
		message_read(ev, s, true, 'a');
	else if ((s = after(ev->name, "oa_send_")) != NULL)
		message_read(ev, s, true, 'u');
	else if (strcmp(ev->name, "user_received_message") == 0)
		receipt_read(ev, "delivered");
	else if (strcmp(ev->name, "user_seen_message") == 0)
		receipt_read(ev, "read");
	else if (strcmp(ev->name, "follow") == 0)
		contact_read(ev, true);
	else if (strcmp(ev->name, "unfollow") == 0)
		contact_read(ev, false);
	else
		item_new(ev, CHANNEL_NOTE);
}

static int
zalo_parse(const struct channel_account *ac, const struct channel_hook *hook,
    struct channel_batch *b)
{
	struct zalo_event ev = { .ac = ac, .b = b };

	if (channel_json(hook->body, hook->len, &b->root) == -1)
		return 400;
	ev.root = b->root;
	ev.name = channel_text(b, ev.root, "event_name");
	if (!json_object_is_type(ev.root, json_type_object) ||
	    ev.name == NULL) {
		b->skipped++;
		return 0;
	}
	ev.message = channel_obj(ev.root, "message");
	ev.sender = channel_text(b, channel_obj(ev.root, "sender"), "id");
	ev.recipient = channel_text(b, channel_obj(ev.root, "recipient"), "id");
	ev.timestamp = channel_text(b, ev.root, "timestamp");
	if ((ev.at = channel_time(ev.timestamp)) == 0)
		ev.at = hook->now_ms;
	if (ev.timestamp == NULL)
		ev.timestamp = "";
	event_read(&ev);
	return 0;
}

/* --- messages out --- */

static struct channel_reply
zalo_window(const struct channel_account *ac, int64_t last_inbound_at,
    int64_t sent_since, int64_t now_ms)
{
	struct channel_reply r = { .state = CHANNEL_WINDOW_OPEN };
	bool paid = channel_conf_int(ac, "zalo_allow_paid", 0, 1) == 1;

	r.free_left = FREE_COUNT;
	if (last_inbound_at == 0) /* may have followed us: the platform knows */
		return r;
	r.free_until = last_inbound_at + FREE_MS;
	r.until = last_inbound_at + PAID_MS;
	if (now_ms > r.until || (now_ms > r.free_until && !paid))
		r.state = CHANNEL_WINDOW_CLOSED;
	else if (now_ms > r.free_until || sent_since >= FREE_COUNT)
		r.state = CHANNEL_WINDOW_PAID;
	r.free_left =
	    r.state == CHANNEL_WINDOW_OPEN ? FREE_COUNT - sent_since : 0;
	return r;
}

static size_t
zalo_text_max(const struct channel_account *ac)
{
	return (size_t)channel_conf_int(ac, "zalo_text_max", 20, 100000);
}

/* Begin a request to the API: base, path and the token. */
static void
api_request(
    const struct channel_account *ac, struct http_request *rq, const char *path)
{
	channel_url(ac, "zalo_api_base", path, rq);
	http_request_header(
	    rq, "access_token", channel_conf(ac, "zalo_access_token"));
}

/* How a file can go: by upload (the path), or only as a link (NULL). */
static const char *
upload_path(const struct channel_out *out)
{
	const char *mime = out->mime != NULL ? out->mime : "";

	if (out->media_path == NULL)
		return NULL;
	if (strcmp(mime, "image/gif") == 0)
		return out->media_size <= FILE_MAX ? "/v2.0/oa/upload/gif"
						   : NULL;
	if (strcmp(mime, "image/jpeg") == 0 || strcmp(mime, "image/png") == 0)
		return out->media_size <= IMAGE_MAX ? "/v2.0/oa/upload/image"
						    : NULL;
	if (strcmp(mime, "application/pdf") == 0 ||
	    strcmp(mime, "application/msword") == 0 ||
	    strcmp(mime,
		"application/vnd.openxmlformats-officedocument.wordprocessingml"
		".document") == 0)
		return out->media_size <= FILE_MAX ? "/v2.0/oa/upload/file"
						   : NULL;
	return NULL;
}

static bool
is_image(const struct channel_out *out)
{
	return strcmp(out->kind, "image") == 0;
}

/* The attachment of a message, or NULL when it is text alone; new. */
static struct json_object *
attachment_json(const struct channel_out *out, const char *uploaded)
{
	struct json_object *at, *payload, *list, *el;
	bool by_url =
	    is_image(out) && out->media_path == NULL && out->media_url != NULL;

	if (uploaded == NULL && !by_url)
		return NULL;
	at = json_object_new_object();
	payload = json_object_new_object();
	if (!is_image(out)) {
		json_put_str(at, "type", "file");
		json_put_str(payload, "token", uploaded);
	} else {
		json_put_str(at, "type", "template");
		json_put_str(payload, "template_type", "media");
		el = json_object_new_object();
		json_put_str(el, "media_type", "image");
		if (by_url)
			json_put_str(el, "url", out->media_url);
		else
			json_put_str(el, "attachment_id", uploaded);
		list = json_object_new_array();
		json_object_array_add(list, el);
		json_put(payload, "elements", list);
	}
	json_put(at, "payload", payload);
	return at;
}

/* Step 1 of a file, or the only step of the rest: the message itself. */
static int
message_request(const struct channel_account *ac, const struct channel_out *out,
    const char *uploaded, struct http_request *rq)
{
	struct json_object *root = json_object_new_object();
	struct json_object *to = json_object_new_object();
	struct json_object *msg = json_object_new_object();
	struct json_object *at = attachment_json(out, uploaded);
	bool media = strcmp(out->kind, "text") != 0;
	struct buf text;
	int rc = -1;

	buf_init(&text, 65536);
	if (out->text != NULL)
		buf_puts(&text, out->text);
	if (at == NULL && media && out->media_url != NULL) {
		if (text.len > 0)
			buf_putc(&text, '\n');
		buf_puts(&text, out->media_url);
	}
	json_put_str(to, "user_id", out->user);
	json_put(root, "recipient", to);
	if (text.len > 0)
		json_put_str(msg, "text", text.data);
	if (at != NULL)
		json_put(msg, "attachment", at);
	if (out->quote != NULL)
		json_put_str(msg, "quote_message_id", out->quote);
	json_put(root, "message", msg);
	if (text.len > 0 || at != NULL) {
		api_request(ac, rq, "/v3.0/oa/message/cs");
		http_request_header(rq, "Content-Type", "application/json");
		json_write(root, &rq->body);
		rc = rq->url.err || rq->headers.err || rq->body.err || text.err
			 ? -1
			 : 0;
	}
	buf_fini(&text);
	json_object_put(root);
	return rc;
}

/* There is nothing to tap. */
static bool
zalo_lines(const struct channel_account *ac, const struct channel_out *out)
{
	(void)ac;
	(void)out;
	return true;
}

static const char *
zalo_said(const struct channel_account *ac, const struct channel_out *out)
{
	(void)ac;
	if (out->text != NULL)
		return out->text;
	return upload_path(out) != NULL || is_image(out) ? NULL
							 : out->media_url;
}

static int
zalo_send(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	const char *up = upload_path(out);

	/* Groups and strangers have other ways, which we do not offer. */
	if (out->user == NULL || out->conversation == NULL ||
	    strcmp(out->user, out->conversation) != 0)
		return -1;
	if (up == NULL || out->step > 0)
		return message_request(
		    ac, out, up != NULL ? out->handle : NULL, rq);
	api_request(ac, rq, up);
	rq->file_field = "file";
	rq->file_path = strdup(out->media_path);
	rq->file_name =
	    strdup(out->media_name != NULL ? out->media_name : "file");
	return rq->url.err || rq->file_path == NULL || rq->file_name == NULL
		   ? -1
		   : 1;
}

/* What the table of error codes says; the rest is permanent. */
static const struct {
	int code;
	enum channel_class cls;
	const char *reason;
} zalo_errors[] = {
	{ -32, CHANNEL_RETRY, "rate" },
	{ -100, CHANNEL_RETRY, "attachment_expired" },
	{ -216, CHANNEL_REAUTH, "token" },
	{ -220, CHANNEL_REAUTH, "token" },
	{ -204, CHANNEL_REAUTH, "account" },
	{ -205, CHANNEL_REAUTH, "account" },
	{ -209, CHANNEL_REAUTH, "account" },
	{ -212, CHANNEL_REAUTH, "account" },
	{ -219, CHANNEL_REAUTH, "account" },
	{ -221, CHANNEL_REAUTH, "account" },
	{ -223, CHANNEL_REAUTH, "account" },
	{ -224, CHANNEL_REAUTH, "account" },
	{ -235, CHANNEL_REAUTH, "account" },
	{ -242, CHANNEL_REAUTH, "account" },
	{ -320, CHANNEL_REAUTH, "account" },
	{ -321, CHANNEL_REAUTH, "account" },
	{ -213, CHANNEL_PERMANENT, "window_closed" },
	{ -217, CHANNEL_PERMANENT, "window_closed" },
	{ -218, CHANNEL_PERMANENT, "window_closed" },
	{ -227, CHANNEL_PERMANENT, "window_closed" },
	{ -230, CHANNEL_PERMANENT, "window_closed" },
	{ -232, CHANNEL_PERMANENT, "window_closed" },
	{ -234, CHANNEL_PERMANENT, "window_closed" },
	{ -244, CHANNEL_PERMANENT, "window_closed" },
	{ -211, CHANNEL_PERMANENT, "quota" },
};

static void
classify(int64_t code, struct channel_result *rs)
{
	const char *reason = "refused";

	rs->cls = CHANNEL_PERMANENT;
	for (size_t i = 0; i < sizeof(zalo_errors) / sizeof(zalo_errors[0]);
	     i++)
		if (zalo_errors[i].code == code) {
			rs->cls = zalo_errors[i].cls;
			reason = zalo_errors[i].reason;
		}
	rs->refreshable = code == -216 || code == -220;
	if (code == -32) {
		rs->hold = true;
		rs->wait_s = RATE_WAIT_S;
	}
	snprintf(rs->reason, sizeof(rs->reason), "%s", reason);
	snprintf(rs->code, sizeof(rs->code), "%lld", (long long)code);
}

/* The member "error" as a number; false when it says nothing. */
static bool
error_code(struct channel_batch *b, struct json_object *root, int64_t *code)
{
	const char *t = channel_text(b, root, "error");
	char *end;

	if (t == NULL || *t == '\0' || strlen(t) > 10)
		return false;
	*code = strtoll(t, &end, 10);
	return *end == '\0';
}

/* The answer to an upload: something to name it by. */
static void
upload_answered(
    struct channel_batch *b, struct channel_out *out, struct channel_result *rs)
{
	struct json_object *data = channel_obj(b->root, "data");
	const char *h =
	    channel_some(b, data, is_image(out) ? "attachment_id" : "token");

	if (h == NULL || strlen(h) >= sizeof(out->handle)) {
		rs->cls = CHANNEL_RETRY;
		return;
	}
	memcpy(out->handle, h, strlen(h) + 1);
	rs->cls = CHANNEL_MORE;
}

static void
zalo_answer(const struct channel_account *ac, struct channel_out *out,
    const struct http_answer *an, struct channel_result *rs)
{
	bool upload = upload_path(out) != NULL && out->step == 0;
	struct channel_batch b;
	const char *id, *words;
	int64_t code = 0;

	(void)ac;
	memset(rs, 0, sizeof(*rs));
	channel_batch_init(&b);
	/* An upload shows nothing to anybody: it may be done again. */
	rs->cls =
	    an->end == HTTP_UNSENT || upload ? CHANNEL_RETRY : CHANNEL_UNKNOWN;
	channel_copy(
	    rs->message, sizeof(rs->message), an->why, strlen(an->why));
	if (an->end != HTTP_ANSWERED)
		goto out;
	snprintf(rs->code, sizeof(rs->code), "http %ld", an->status);
	if (channel_json(an->body.data, an->body.len, &b.root) == -1 ||
	    !error_code(&b, b.root, &code) ||
	    (code == 0 && an->status >= 400)) {
		if (an->status == 429) {
			classify(-32, rs);
			rs->cls = CHANNEL_RETRY;
		}
	} else if (code != 0) {
		words = channel_text(&b, b.root, "message");
		if (words != NULL)
			channel_copy(rs->message, sizeof(rs->message), words,
			    strlen(words));
		classify(code, rs);
		if (rs->cls == CHANNEL_PERMANENT && out->quote != NULL &&
		    strcmp(rs->reason, "refused") == 0)
			rs->cls = CHANNEL_RETRY_BARE;
	} else if (upload) {
		upload_answered(&b, out, rs);
	} else {
		rs->cls = CHANNEL_SENT;
		id =
		    channel_text(&b, channel_obj(b.root, "data"), "message_id");
		if (id != NULL && strlen(id) < sizeof(rs->message_id))
			memcpy(rs->message_id, id, strlen(id) + 1);
	}
	if (an->retry_after_s > rs->wait_s)
		rs->wait_s = an->retry_after_s;
out:
	channel_batch_fini(&b);
}

/* --- tokens and profiles --- */

static int
zalo_refresh(const struct channel_account *ac, struct http_request *rq)
{
	const char *token = channel_conf(ac, "zalo_refresh_token");
	const char *secret = channel_conf(ac, "zalo_app_secret");

	if (*token == '\0' || *secret == '\0')
		return 0;
	channel_url(ac, "zalo_oauth_base", "/v4/oa/access_token", rq);
	http_request_header(
	    rq, "Content-Type", "application/x-www-form-urlencoded");
	http_request_header(rq, "secret_key", secret);
	channel_form(&rq->body, "refresh_token", token);
	channel_form(&rq->body, "app_id", channel_conf(ac, "zalo_app_id"));
	channel_form(&rq->body, "grant_type", "refresh_token");
	return rq->url.err || rq->headers.err || rq->body.err ? 0 : 1;
}

static struct json_object *
zalo_refreshed(const struct channel_account *ac, const struct http_answer *an,
    int64_t now_ms)
{
	struct json_object *set = NULL;
	struct channel_batch b;
	const char *access, *refresh, *expires;
	int64_t life_s;
	char at[24];

	(void)ac;
	channel_batch_init(&b);
	if (an->end != HTTP_ANSWERED || an->status != 200 ||
	    channel_json(an->body.data, an->body.len, &b.root) == -1)
		goto out;
	access = channel_some(&b, b.root, "access_token");
	refresh = channel_some(&b, b.root, "refresh_token");
	expires = channel_text(&b, b.root, "expires_in");
	if (access == NULL)
		goto out;
	life_s = channel_size(expires);
	set = json_object_new_object();
	json_put_str(set, "zalo_access_token", access);
	json_put_str(set, "zalo_refresh_token", refresh != NULL ? refresh : "");
	snprintf(at, sizeof(at), "%lld",
	    life_s > 0 && life_s < 366LL * 86400
		? (long long)(now_ms + 1000 * life_s)
		: 0LL);
	json_put_str(set, "zalo_token_expires_at", at);
	snprintf(at, sizeof(at), "%lld", (long long)now_ms + REFRESH_LIFE_MS);
	json_put_str(set, "zalo_refresh_expires_at", at);
out:
	channel_batch_fini(&b);
	return set;
}

static int
zalo_profile(const struct channel_account *ac, const char *user,
    const char *conversation, struct http_request *rq)
{
	struct json_object *o = json_object_new_object();
	struct buf b;

	(void)conversation;
	buf_init(&b, 4096);
	json_put_str(o, "user_id", user);
	json_write(o, &b);
	json_object_put(o);
	api_request(ac, rq, "/v3.0/oa/user/detail?data=");
	http_urlencode(&rq->url, b.data, b.len);
	if (b.err)
		rq->url.err = 1;
	buf_fini(&b);
	return rq->url.err || rq->headers.err ? 0 : 1;
}

static enum channel_class
zalo_profiled(const struct channel_account *ac, const struct http_answer *an,
    struct channel_profile *pf)
{
	struct channel_out out = { .kind = "text" };
	struct channel_result rs;
	struct channel_batch b;
	struct json_object *data;
	const char *url;

	memset(pf, 0, sizeof(*pf));
	zalo_answer(ac, &out, an, &rs);
	if (rs.cls != CHANNEL_SENT)
		return rs.cls;
	channel_batch_init(&b);
	if (channel_json(an->body.data, an->body.len, &b.root) == 0) {
		data = channel_obj(b.root, "data");
		url = channel_some(&b, channel_obj(data, "avatars"), "240");
		if (url == NULL)
			url = channel_some(&b, data, "avatar");
		channel_face(pf, channel_some(&b, data, "display_name"), url);
	}
	channel_batch_fini(&b);
	return CHANNEL_SENT;
}

/* --- the account itself --- */

static int
zalo_probe(
    const struct channel_account *ac, int64_t now_ms, struct http_request *rq)
{
	(void)now_ms;
	if (*channel_conf(ac, "zalo_access_token") == '\0')
		return 0;
	rq->method = "GET";
	api_request(ac, rq, "/v2.0/oa/getoa");
	return rq->url.err || rq->headers.err ? 0 : 1;
}

static void
zalo_probed(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	struct channel_out out = { .kind = "text" };
	struct channel_batch b;

	zalo_answer(ac, &out, an, rs);
	if (rs->cls != CHANNEL_SENT)
		return;
	channel_batch_init(&b);
	(void)channel_json(an->body.data, an->body.len, &b.root);
	channel_named(&b, channel_obj(b.root, "data"), "oa_id", "name", rs);
	channel_batch_fini(&b);
}

const struct channel channel_zalo = {
	.platform = "zalo",
	.prefix = "zalo",
	.account_key = "zalo_oa_id",
	.token_key = "zalo_access_token",
	.expires_key = "zalo_token_expires_at",
	.renewal_key = "zalo_refresh_expires_at",
	.methods = "GET, POST",
	.paste =
	    "At developers.zalo.me, in the application's webhook settings:\n"
	    "  address  {webhook}\n"
	    "  events   messages of users and of the OA, received, seen,"
	    " follow,\n"
	    "           unfollow\n",
	.keys = zalo_keys,
	.nkeys = sizeof(zalo_keys) / sizeof(zalo_keys[0]),
	.at_once = 8,
	.per_s = 60,
	.early_s = 60,
	.handshake = zalo_handshake,
	.verify = zalo_verify,
	.parse = zalo_parse,
	.window = zalo_window,
	.text_max = zalo_text_max,
	.lines = zalo_lines,
	.said = zalo_said,
	.send = zalo_send,
	.answer = zalo_answer,
	.refresh = zalo_refresh,
	.refreshed = zalo_refreshed,
	.profile = zalo_profile,
	.profiled = zalo_profiled,
	.probe = zalo_probe,
	.probed = zalo_probed,
};
