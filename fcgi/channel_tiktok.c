/*
 * TikTok Business Messaging: its webhooks and its API.  One event a POST, its
 * content JSON within a string of the JSON, signed with the time of signing.
 * The platform says little about its codes, so a setting may class them anew.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "channel.h"
#include "json.h"
#include "token.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define OPEN_MS (48 * HOUR_MS) /* after the customer's last message */
#define OPEN_COUNT 10          /* messages in that time */
#define TOLERANCE_MAX_S (30LL * 86400)
#define CHALLENGE_MAX 128
#define IMAGE_MAX 3000000 /* bytes an upload may have */
#define RATE_WAIT_S 10
#define TEXT_ROOM 65536
#define API "/open_api/v1.3"

static const struct channel_key tiktok_keys[] = {
	{ "tiktok_app_id", NULL, CHANNEL_REQUIRED, "the application's id" },
	{ "tiktok_app_secret", NULL, CHANNEL_SECRET | CHANNEL_REQUIRED,
	    "the application's secret, which signs webhooks" },
	{ "tiktok_business_id", NULL, CHANNEL_REQUIRED,
	    "the business account's id (open_id)" },
	{ "tiktok_access_token", NULL, CHANNEL_SECRET, "the access token" },
	{ "tiktok_refresh_token", NULL, CHANNEL_SECRET, "the refresh token" },
	{ "tiktok_refresh_expires_at", "0", 0,
	    "when the refresh token ends, in ms; 0: not known" },
	{ "tiktok_token_expires_at", "0", 0,
	    "end of the access token, ms; 0 not known" },
	{ "tiktok_api_base", "https://business-api.tiktok.com", 0,
	    "address of the API" },
	{ "tiktok_sig_tolerance_s", "300", 0,
	    "oldest webhook taken, and youngest; 0 does not ask" },
	{ "tiktok_sig_header", "Tiktok-Signature", 0,
	    "the header that proves a webhook" },
	{ "tiktok_error_class", "", 0,
	    "codes to class anew: 40064=retryable,51065=unknown" },
	{ "tiktok_text_max", "6000", 0, "UTF-16 units of one text" },
};

/* --- webhooks in --- */

/* Says back a challenge that holds nothing but letters, digits, - and _. */
static int
tiktok_handshake(
    const struct channel_account *ac, const char *query, struct buf *out)
{
	const char *p = query != NULL ? query : "";
	size_t n;

	(void)ac;
	for (; *p != '\0'; p += p[n] == '&' ? n + 1 : n) {
		n = strcspn(p, "&");
		if (strncmp(p, "challenge=", 10) != 0)
			continue;
		for (size_t i = 10; i < n; i++)
			if (!isalnum((unsigned char)p[i]) && p[i] != '-' &&
			    p[i] != '_')
				return 200;
		if (n - 10 <= CHALLENGE_MAX)
			buf_append(out, p + 10, n - 10);
		break;
	}
	return 200;
}

/* One of "t=..., s=...", in any order; its length, 0: not there, or twice. */
static size_t
signed_part(const char *v, char name, const char **at)
{
	size_t len = 0, n;

	for (; *v != '\0'; v += v[n] == ',' ? n + 1 : n) {
		v += strspn(v, " \t");
		n = strcspn(v, ",");
		if (v[0] != name || v[1] != '=')
			continue;
		if (len > 0)
			return 0;
		*at = v + 2;
		len = n - 2;
		while (len > 0 && strchr(" \t", (*at)[len - 1]) != NULL)
			len--;
	}
	return len;
}

static enum channel_verdict
tiktok_verify(const struct channel_account *ac, const struct channel_hook *hook)
{
	const char *secret = channel_conf(ac, "tiktok_app_secret");
	const char *v =
	    hook->header(hook->arg, channel_conf(ac, "tiktok_sig_header"));
	int64_t tolerance_s =
	    channel_conf_int(ac, "tiktok_sig_tolerance_s", 0, TOLERANCE_MAX_S);
	unsigned char mac[TOKEN_MAC_BYTES];
	const char *t = NULL, *s = NULL;
	size_t tlen, slen;
	char digits[16];

	if (v == NULL || *secret == '\0')
		return CHANNEL_FORGED;
	tlen = signed_part(v, 't', &t);
	slen = signed_part(v, 's', &s);
	if (tlen == 0 || slen == 0 || tlen > 12 ||
	    strspn(t, "0123456789") < tlen)
		return CHANNEL_FORGED;
	token_hmac_at(secret, t, tlen, hook->body, hook->len, mac);
	if (!channel_hex_equal(s, slen, mac, sizeof(mac)))
		return CHANNEL_FORGED;
	memcpy(digits, t, tlen);
	digits[tlen] = '\0';
	if (tolerance_s > 0 && llabs(hook->now_ms / 1000 -
				     strtoll(digits, NULL, 10)) > tolerance_s)
		return CHANNEL_FORGED;
	return CHANNEL_GOOD;
}

/* The event and what its content says. */
struct tiktok_event {
	const struct channel_account *ac;
	struct channel_batch *b;
	struct json_object *root, *content;
	const char *name;
	int64_t at;
};

static const char *
id_of(const struct tiktok_event *ev, const char *side)
{
	return channel_some(ev->b, channel_obj(ev->content, side), "id");
}

static bool
is_ours(const struct tiktok_event *ev, const char *id)
{
	return id != NULL &&
	       strcmp(id, channel_conf(ev->ac, "tiktok_business_id")) == 0;
}

static struct channel_item *
item_new(const struct tiktok_event *ev, enum channel_op op)
{
	struct channel_item *it = channel_batch_add(ev->b);

	if (it == NULL)
		return NULL;
	it->op = op;
	it->what = ev->name;
	it->raw = ev->root;
	it->sent_at = ev->at;
	it->conversation = channel_some(ev->b, ev->content, "conversation_id");
	return it;
}

/* Titles, the buttons' as a list; NULL: it has none. */
static const char *
template_text(const struct tiktok_event *ev, struct json_object *o)
{
	struct json_object *list, *one;
	const char *t = channel_some(ev->b, o, "title"), *text = NULL;
	struct buf b;

	buf_init(&b, TEXT_ROOM);
	if (t != NULL)
		buf_puts(&b, t);
	if ((list = channel_array(o, "buttons")) != NULL)
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			one = json_object_array_get_idx(list, i);
			if (!json_object_is_type(one, json_type_object) ||
			    (t = channel_some(ev->b, one, "title")) == NULL)
				continue;
			buf_printf(&b, "%s- %s", b.len > 0 ? "\n" : "", t);
		}
	if (b.len > 0 && !b.err)
		text = channel_batch_text(ev->b, b.data, b.len);
	buf_fini(&b);
	return text;
}

/* Say what kind of content ${type} has; its own member is ${o}. */
static void
content_read(const struct tiktok_event *ev, struct channel_item *it,
    const char *type, struct json_object *o)
{
	const char *ref = channel_some(ev->b, o, "media_id");

	it->kind = "unsupported";
	if (strcasecmp(type, "text") == 0) {
		it->text = channel_some(ev->b, o, "body");
	} else if (strcasecmp(type, "share_post") == 0) {
		it->text = channel_some(ev->b, o, "embed_url");
		if (it->text == NULL)
			it->text = channel_some(ev->b, o, "video_id");
	} else if (strcasecmp(type, "template") == 0) {
		it->text = template_text(ev, o);
	} else if (strcasecmp(type, "sticker") == 0 ||
		   strcasecmp(type, "emoji") == 0) {
		it->media_url = channel_some(ev->b, o, "url");
		if (it->media_url != NULL)
			it->kind = "sticker";
		return;
	} else if ((strcasecmp(type, "image") == 0 ||
		       strcasecmp(type, "video") == 0) &&
		   ref != NULL) {
		it->kind = strcasecmp(type, "image") == 0 ? "image" : "video";
		it->media_ref = channel_batch_printf(ev->b, "tiktok:%s", ref);
		return;
	} else {
		return;
	}
	if (it->text != NULL)
		it->kind = "text";
}

/* The member of the content that is called as its type, in lower case. */
static struct json_object *
own_member(const struct tiktok_event *ev, const char *type)
{
	char key[32];
	size_t n = strlen(type);

	if (n >= sizeof(key))
		return NULL;
	for (size_t i = 0; i <= n; i++)
		key[i] = (char)tolower((unsigned char)type[i]);
	return channel_obj(ev->content, key);
}

static void
message_read(const struct tiktok_event *ev, bool out)
{
	const char *type = channel_some(ev->b, ev->content, "type");
	const char *id = channel_some(ev->b, ev->content, "message_id");
	const char *from;
	struct channel_item *it;

	if (type != NULL && strcasecmp(type, "reaction") == 0) {
		item_new(ev, CHANNEL_NOTE);
		return;
	}
	if (id == NULL || type == NULL ||
	    channel_some(ev->b, ev->content, "conversation_id") == NULL ||
	    (!out && id_of(ev, "from_user") == NULL)) {
		ev->b->skipped++;
		return;
	}
	if ((it = item_new(ev, CHANNEL_MESSAGE)) == NULL)
		return;
	it->out = out;
	it->message_id = id;
	/* Whose unique_identifier it is on an echo, nobody says. */
	it->user = id_of(ev, out ? "to_user" : "from_user");
	it->user_name = channel_some(ev->b, ev->content, out ? "to" : "from");
	from = channel_text(
	    ev->b, channel_obj(ev->content, "message_tag"), "source");
	it->by_person =
	    out && from != NULL &&
	    (strcasecmp(from, "APP") == 0 || strcasecmp(from, "WEB") == 0);
	it->payload = channel_some(ev->b,
	    channel_obj(ev->content, "reply_source_payload"),
	    "reply_source_unique_id");
	it->reply_to = channel_some(ev->b,
	    channel_obj(ev->content, "referenced_message_info"),
	    "referenced_message_id");
	content_read(ev, it, type, own_member(ev, type));
}

/* The customer read everything up to then; what we read is no news. */
static void
read_read(const struct tiktok_event *ev)
{
	int64_t watermark = channel_time(channel_text(
	    ev->b, channel_obj(ev->content, "read"), "last_read_timestamp"));
	struct channel_item *it;

	if (is_ours(ev, id_of(ev, "from_user"))) {
		item_new(ev, CHANNEL_NOTE);
		return;
	}
	if (watermark == 0 ||
	    channel_some(ev->b, ev->content, "conversation_id") == NULL) {
		ev->b->skipped++;
		return;
	}
	if ((it = item_new(ev, CHANNEL_STATUS)) == NULL)
		return;
	it->status = "read";
	it->watermark = watermark;
}

static void
event_read(const struct tiktok_event *ev)
{
	if (strcmp(ev->name, "im_receive_msg") == 0)
		message_read(ev, false);
	else if (strcmp(ev->name, "im_send_msg") == 0)
		message_read(ev, true);
	else if (strcmp(ev->name, "im_mark_read_msg") == 0)
		read_read(ev);
	else
		item_new(ev, CHANNEL_NOTE);
}

static int
tiktok_parse(const struct channel_account *ac, const struct channel_hook *hook,
    struct channel_batch *b)
{
	struct tiktok_event ev = { .ac = ac, .b = b };
	struct json_object *v, *inner = NULL;
	const char *account;

	if (channel_json(hook->body, hook->len, &b->root) == -1)
		return 400;
	ev.root = b->root;
	ev.name = channel_some(b, ev.root, "event");
	account = channel_text(b, ev.root, "user_openid");
	if (ev.name == NULL || !is_ours(&ev, account)) {
		b->skipped++;
		if (ev.name != NULL)
			channel_batch_astray(b, account);
		return 0;
	}
	if (json_object_object_get_ex(ev.root, "content", &v) &&
	    json_object_is_type(v, json_type_string) &&
	    channel_json(json_object_get_string(v),
		(size_t)json_object_get_string_len(v), &inner) == 0 &&
	    json_object_is_type(inner, json_type_object))
		ev.content = inner;
	else
		ev.content = channel_obj(ev.root, "content");
	ev.at = channel_time(channel_text(b, ev.content, "timestamp"));
	if (ev.at == 0)
		ev.at = channel_time(channel_text(b, ev.root, "create_time"));
	if (ev.at == 0)
		ev.at = hook->now_ms;
	if (ev.content != NULL)
		event_read(&ev);
	else
		b->skipped++;
	json_object_put(inner);
	return 0;
}

/* --- messages out --- */

static struct channel_reply
tiktok_window(const struct channel_account *ac, int64_t last_inbound_at,
    int64_t sent_since, int64_t now_ms)
{
	struct channel_reply r = { .state = CHANNEL_WINDOW_OPEN };

	(void)ac;
	r.free_left = OPEN_COUNT;
	if (last_inbound_at == 0) /* may have written before we were here */
		return r;
	r.until = last_inbound_at + OPEN_MS;
	/*
	 * Used up, and nothing more for money.  What failed was counted, too,
	 * so TikTok is asked all the same.
	 */
	if (sent_since >= OPEN_COUNT && r.until >= now_ms) {
		r.until = now_ms - 1;
		r.asked = true;
	}
	r.free_until = r.until;
	if (now_ms > r.until)
		r.state = CHANNEL_WINDOW_CLOSED;
	r.free_left =
	    r.state == CHANNEL_WINDOW_OPEN ? OPEN_COUNT - sent_since : 0;
	return r;
}

static size_t
tiktok_text_max(const struct channel_account *ac)
{
	return (size_t)channel_conf_int(ac, "tiktok_text_max", 20, 100000);
}

/* Begin a request to the API with the token. */
static void
api_request(
    const struct channel_account *ac, const char *path, struct http_request *rq)
{
	channel_url(ac, "tiktok_api_base", path, rq);
	http_request_header(
	    rq, "Access-Token", channel_conf(ac, "tiktok_access_token"));
}

/* A message of that type to the conversation; its content is to be added. */
static struct json_object *
message_json(const struct channel_account *ac, const char *conversation,
    const char *type)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "business_id", channel_conf(ac, "tiktok_business_id"));
	json_put_str(o, "recipient_type", "CONVERSATION");
	json_put_str(o, "recipient", conversation);
	json_put_str(o, "message_type", type);
	return o;
}

/* Only pictures without a caption can be sent as what they are. */
static bool
is_uploaded(const struct channel_out *out)
{
	return strcmp(out->kind, "image") == 0 && out->media_path != NULL &&
	       out->text == NULL && out->media_size <= IMAGE_MAX &&
	       out->mime != NULL &&
	       (strcmp(out->mime, "image/jpeg") == 0 ||
		   strcmp(out->mime, "image/png") == 0);
}

/* The text, then a file's address. */
static void
text_write(const struct channel_out *out, struct buf *b)
{
	if (out->text != NULL)
		buf_puts(b, out->text);
	if (strcmp(out->kind, "text") != 0 && out->media_url != NULL)
		buf_printf(b, "%s%s", b->len > 0 ? "\n" : "", out->media_url);
}

/* There is nothing to tap. */
static bool
tiktok_lines(const struct channel_account *ac, const struct channel_out *out)
{
	(void)ac;
	(void)out;
	return true;
}

static const char *
tiktok_said(const struct channel_account *ac, const struct channel_out *out)
{
	(void)ac;
	if (is_uploaded(out))
		return NULL;
	return out->text != NULL ? out->text : out->media_url;
}

static int
text_request(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	struct json_object *o, *text, *quote;
	struct buf b;
	int rc = -1;

	buf_init(&b, TEXT_ROOM);
	text_write(out, &b);
	if (b.len > 0 && !b.err) {
		o = message_json(ac, out->conversation, "TEXT");
		text = json_object_new_object();
		json_put_str(text, "body", b.data);
		json_put(o, "text", text);
		if (out->quote != NULL) {
			quote = json_object_new_object();
			json_put_str(
			    quote, "referenced_message_id", out->quote);
			json_put(o, "referenced_message_info", quote);
		}
		api_request(ac, API "/business/message/send/", rq);
		rc = channel_body(rq, o);
	}
	buf_fini(&b);
	return rc;
}

static int
tiktok_send(const struct channel_account *ac, const struct channel_out *out,
    struct http_request *rq)
{
	struct json_object *o, *image;

	if (out->conversation == NULL)
		return -1;
	if (!is_uploaded(out))
		return text_request(ac, out, rq);
	if (out->step > 0) {
		o = message_json(ac, out->conversation, "IMAGE");
		image = json_object_new_object();
		json_put_str(image, "media_id", out->handle);
		json_put(o, "image", image);
		api_request(ac, API "/business/message/send/", rq);
		return channel_body(rq, o);
	}
	api_request(ac, API "/business/message/media/upload/", rq);
	http_request_field(
	    rq, "business_id", channel_conf(ac, "tiktok_business_id"));
	http_request_field(rq, "media_type", "IMAGE");
	rq->file_field = "file";
	rq->file_path = strdup(out->media_path);
	rq->file_name =
	    strdup(out->media_name != NULL ? out->media_name : "file");
	return rq->url.err || rq->headers.err || rq->fields.err ||
		       rq->file_path == NULL || rq->file_name == NULL
		   ? -1
		   : 1;
}

/* --- answers --- */

/* One "CODE=CLASS" of the setting; bytes taken, 0: it is none. */
static size_t
override_read(const char *p, int64_t *code, enum channel_class *cls)
{
	static const struct {
		const char *word;
		enum channel_class cls;
	} words[] = { { "retryable", CHANNEL_RETRY },
		{ "reauth", CHANNEL_REAUTH },
		{ "permanent", CHANNEL_PERMANENT },
		{ "unknown", CHANNEL_UNKNOWN } };
	size_t digits = strspn(p, "0123456789"), n = strcspn(p, ",");

	if (digits == 0 || digits > 10 || p[digits] != '=')
		return 0;
	*code = strtoll(p, NULL, 10);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (n - digits - 1 == strlen(words[i].word) &&
		    strncmp(p + digits + 1, words[i].word, n - digits - 1) ==
			0) {
			*cls = words[i].cls;
			return n;
		}
	return 0;
}

/* Past the comma and the spaces behind it. */
static const char *
override_next(const char *p)
{
	p += *p == ',';
	return p + strspn(p, " ");
}

static const char *
tiktok_check(const struct channel_account *ac, const char **key)
{
	const char *p = channel_conf(ac, "tiktok_error_class");
	enum channel_class cls;
	int64_t code;
	size_t n;

	*key = "tiktok_error_class";
	while (*p != '\0') {
		n = override_read(p, &code, &cls);
		if (n == 0 || (p[n] == ',' && p[n + 1] == '\0'))
			return "classes";
		p = override_next(p + n);
	}
	return NULL;
}

/* What the settings say of ${code}, or what is told of it elsewhere. */
static enum channel_class
code_class(const struct channel_account *ac, int64_t code)
{
	const char *p = channel_conf(ac, "tiktok_error_class");
	enum channel_class cls = CHANNEL_UNKNOWN;
	int64_t one;

	while (*p != '\0') {
		if (override_read(p, &one, &cls) > 0 && one == code)
			return cls;
		p = override_next(p + strcspn(p, ","));
	}
	switch (code) {
	case 40100:
	case 51065:
		return CHANNEL_RETRY;
	case 40105:
	case 40001:
		return CHANNEL_REAUTH;
	default:
		return code / 10000 == 4 ? CHANNEL_PERMANENT : CHANNEL_UNKNOWN;
	}
}

static const char *
code_reason(int64_t code, enum channel_class cls)
{
	if (code == 40105)
		return "token";
	if (code == 40001)
		return "account";
	if (code == 40100)
		return "rate";
	if (code == 40064)
		return "blocked_by_dm_rules";
	return cls == CHANNEL_PERMANENT ? "refused" : "";
}

static void
classify(const struct channel_account *ac, int64_t code, bool quoted,
    struct channel_result *rs)
{
	rs->cls = code_class(ac, code);
	rs->refreshable =
	    code == 40105 && *channel_conf(ac, "tiktok_refresh_token") != '\0';
	if (code == 40100 && rs->cls == CHANNEL_RETRY) {
		rs->hold = true;
		rs->wait_s = RATE_WAIT_S;
	}
	snprintf(rs->code, sizeof(rs->code), "%lld", (long long)code);
	snprintf(
	    rs->reason, sizeof(rs->reason), "%s", code_reason(code, rs->cls));
	if (quoted && rs->cls == CHANNEL_PERMANENT &&
	    strcmp(rs->reason, "refused") == 0)
		rs->cls = CHANNEL_RETRY_BARE;
}

/*
 * The member "code" of an answer, its words in ${rs}; false when it is not
 * one of TikTok's.
 */
static bool
code_read(struct channel_batch *b, const struct http_answer *an, int64_t *code,
    struct channel_result *rs)
{
	const char *t, *words;
	char *end;

	if (an->end != HTTP_ANSWERED)
		return false;
	snprintf(rs->code, sizeof(rs->code), "http %ld", an->status);
	if (channel_json(an->body.data, an->body.len, &b->root) == -1 ||
	    (t = channel_some(b, b->root, "code")) == NULL || strlen(t) > 10)
		return false;
	*code = strtoll(t, &end, 10);
	if (*end != '\0' || (*code == 0 && an->status != 200))
		return false;
	words = channel_some(b, b->root, "message");
	if (words != NULL && *code != 0)
		channel_copy(
		    rs->message, sizeof(rs->message), words, strlen(words));
	return true;
}

static void
rate_limited(struct channel_result *rs)
{
	rs->cls = CHANNEL_RETRY;
	rs->hold = true;
	rs->wait_s = RATE_WAIT_S;
	snprintf(rs->reason, sizeof(rs->reason), "rate");
}

/* The upload is there: its name. */
static void
upload_answered(
    struct channel_batch *b, struct channel_out *out, struct channel_result *rs)
{
	const char *id =
	    channel_some(b, channel_obj(b->root, "data"), "media_id");

	rs->cls = CHANNEL_RETRY;
	if (id != NULL && strlen(id) < sizeof(out->handle)) {
		memcpy(out->handle, id, strlen(id) + 1);
		rs->cls = CHANNEL_MORE;
	}
}

static void
tiktok_answer(const struct channel_account *ac, struct channel_out *out,
    const struct http_answer *an, struct channel_result *rs)
{
	bool upload = is_uploaded(out) && out->step == 0;
	bool quoted = out->quote != NULL && !is_uploaded(out);
	struct json_object *data;
	struct channel_batch b;
	const char *id;
	int64_t code = 0;

	memset(rs, 0, sizeof(*rs));
	channel_batch_init(&b);
	/* An upload shows nothing to anybody: it may be done again. */
	rs->cls =
	    an->end == HTTP_UNSENT || upload ? CHANNEL_RETRY : CHANNEL_UNKNOWN;
	channel_copy(
	    rs->message, sizeof(rs->message), an->why, strlen(an->why));
	if (!code_read(&b, an, &code, rs)) {
		if (an->end == HTTP_ANSWERED && an->status == 429)
			rate_limited(rs);
	} else if (code != 0) {
		classify(ac, code, quoted, rs);
		if (upload && rs->cls == CHANNEL_UNKNOWN)
			rs->cls = CHANNEL_RETRY;
	} else if (upload) {
		upload_answered(&b, out, rs);
	} else {
		rs->cls = CHANNEL_SENT;
		data = channel_obj(channel_obj(b.root, "data"), "message");
		id = channel_some(&b, data, "message_id");
		if (id != NULL && strlen(id) < sizeof(rs->message_id))
			memcpy(rs->message_id, id, strlen(id) + 1);
	}
	if (an->retry_after_s > rs->wait_s)
		rs->wait_s = an->retry_after_s;
	channel_batch_fini(&b);
}

/* --- tokens --- */

static int
tiktok_refresh(const struct channel_account *ac, struct http_request *rq)
{
	const char *token = channel_conf(ac, "tiktok_refresh_token");
	struct json_object *o;

	if (*token == '\0')
		return 0;
	channel_url(
	    ac, "tiktok_api_base", API "/tt_user/oauth2/refresh_token/", rq);
	o = json_object_new_object();
	json_put_str(o, "client_id", channel_conf(ac, "tiktok_app_id"));
	json_put_str(o, "client_secret", channel_conf(ac, "tiktok_app_secret"));
	json_put_str(o, "grant_type", "refresh_token");
	json_put_str(o, "refresh_token", token);
	return channel_body(rq, o) == 0 ? 1 : 0;
}

/* A length of time in seconds, as its end in ms; "0" when not told. */
static void
end_text(const char *seconds, int64_t now_ms, char *out, size_t size)
{
	int64_t s = seconds != NULL && strlen(seconds) <= 9 &&
			    seconds[strspn(seconds, "0123456789")] == '\0'
			? strtoll(seconds, NULL, 10)
			: 0;

	snprintf(
	    out, size, "%lld", s > 0 ? (long long)(now_ms + 1000 * s) : 0LL);
}

static struct json_object *
tiktok_refreshed(const struct channel_account *ac, const struct http_answer *an,
    int64_t now_ms)
{
	struct json_object *set = NULL, *data;
	const char *access, *refresh, *whose;
	struct channel_result rs;
	struct channel_batch b;
	int64_t code = 0;
	char at[24];

	channel_batch_init(&b);
	if (!code_read(&b, an, &code, &rs) || code != 0)
		goto out;
	data = channel_obj(b.root, "data");
	access = channel_some(&b, data, "access_token");
	refresh = channel_some(&b, data, "refresh_token");
	whose = channel_some(&b, data, "open_id");
	/* Somebody else's token would write in somebody else's name. */
	if (access == NULL ||
	    (whose != NULL &&
		strcmp(whose, channel_conf(ac, "tiktok_business_id")) != 0))
		goto out;
	set = json_object_new_object();
	json_put_str(set, "tiktok_access_token", access);
	if (refresh != NULL)
		json_put_str(set, "tiktok_refresh_token", refresh);
	end_text(channel_text(&b, data, "expires_in"), now_ms, at, sizeof(at));
	json_put_str(set, "tiktok_token_expires_at", at);
	end_text(channel_text(&b, data, "refresh_token_expires_in"), now_ms, at,
	    sizeof(at));
	json_put_str(set, "tiktok_refresh_expires_at", at);
out:
	channel_batch_fini(&b);
	return set;
}

/* --- what shows, files, profiles --- */

static int
tiktok_act(const struct channel_account *ac, const struct channel_act *act,
    struct http_request *rq)
{
	struct json_object *o;

	if (act->what == CHANNEL_TYPING_END || act->conversation == NULL)
		return 0;
	o = message_json(ac, act->conversation, "SENDER_ACTION");
	json_put_str(o, "sender_action",
	    act->what == CHANNEL_TYPING ? "TYPING" : "MARK_READ");
	api_request(ac, API "/business/message/send/", rq);
	return channel_body(rq, o) == 0 ? 1 : 0;
}

static int
tiktok_media(const struct channel_account *ac, const struct channel_media *md,
    struct http_request *rq)
{
	struct json_object *o;

	if (md->step > 0) {
		rq->method = "GET";
		buf_puts(&rq->url, md->handle);
		http_request_header(
		    rq, "x-user", channel_conf(ac, "tiktok_access_token"));
		return rq->url.err || rq->headers.err ? 0 : 2;
	}
	if (strncmp(md->ref, "tiktok:", 7) != 0 || md->ref[7] == '\0' ||
	    md->conversation == NULL || md->message_id == NULL)
		return 0;
	rq->method = "POST";
	o = json_object_new_object();
	json_put_str(o, "business_id", channel_conf(ac, "tiktok_business_id"));
	json_put_str(o, "conversation_id", md->conversation);
	json_put_str(o, "message_id", md->message_id);
	json_put_str(o, "media_id", md->ref + 7);
	json_put_str(o, "media_type",
	    strcmp(md->kind, "video") == 0 ? "VIDEO" : "IMAGE");
	api_request(ac, API "/business/message/media/download/", rq);
	return channel_body(rq, o) == 0 ? 1 : 0;
}

/*
 * The token goes along to that address: encrypted, or to where the settings
 * send it anyway.
 */
static bool
address_good(const struct channel_account *ac, const char *url)
{
	const char *base = channel_conf(ac, "tiktok_api_base");
	size_t n = strlen(base);

	return strncmp(url, "https://", 8) == 0 ||
	       (strncmp(url, base, n) == 0 && url[n] == '/');
}

/* What the class of an answer is to who may ask again. */
static enum channel_class
asked_class(enum channel_class cls)
{
	return cls == CHANNEL_UNKNOWN ? CHANNEL_RETRY : cls;
}

static enum channel_class
tiktok_media_answer(const struct channel_account *ac, struct channel_media *md,
    const struct http_answer *an)
{
	enum channel_class cls = CHANNEL_RETRY;
	struct channel_result rs;
	struct channel_batch b;
	const char *url;
	int64_t code = 0;

	if (md->step > 0) {
		if (an->end != HTTP_ANSWERED || an->status >= 500 ||
		    an->status == 429)
			return CHANNEL_RETRY;
		return an->status == 401 ? CHANNEL_REAUTH : CHANNEL_PERMANENT;
	}
	channel_batch_init(&b);
	if (code_read(&b, an, &code, &rs)) {
		url = channel_some(
		    &b, channel_obj(b.root, "data"), "download_url");
		if (code != 0) {
			cls = asked_class(code_class(ac, code));
		} else if (url != NULL && address_good(ac, url) &&
			   strlen(url) < sizeof(md->handle)) {
			memcpy(md->handle, url, strlen(url) + 1);
			cls = CHANNEL_MORE;
		} else {
			cls = CHANNEL_PERMANENT;
		}
	}
	channel_batch_fini(&b);
	return cls;
}

/* A limit and a fault of TikTok's come with status 200, too. */
static bool
tiktok_refresh_later(
    const struct channel_account *ac, const struct http_answer *an)
{
	enum channel_class cls = CHANNEL_PERMANENT;
	struct channel_result rs;
	struct channel_batch b;
	int64_t code = 0;

	channel_batch_init(&b);
	if (code_read(&b, an, &code, &rs) && code != 0)
		cls = asked_class(code_class(ac, code));
	channel_batch_fini(&b);
	return cls == CHANNEL_RETRY;
}

/* The newest messages of the conversation say who takes part in it. */
static int
tiktok_profile(const struct channel_account *ac, const char *user,
    const char *conversation, struct http_request *rq)
{
	const char *id = channel_conf(ac, "tiktok_business_id");

	(void)user;
	if (conversation == NULL)
		return 0;
	api_request(ac, API "/business/message/content/list/?business_id=", rq);
	http_urlencode(&rq->url, id, strlen(id));
	buf_puts(&rq->url, "&conversation_id=");
	http_urlencode(&rq->url, conversation, strlen(conversation));
	return rq->url.err || rq->headers.err ? 0 : 1;
}

/* Name and picture of ${user}; false: that one is not there. */
static bool
participant_read(struct channel_batch *b, struct json_object *list,
    const char *user, struct channel_profile *pf)
{
	struct json_object *one;
	const char *id;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		one = json_object_array_get_idx(list, i);
		if (!json_object_is_type(one, json_type_object) ||
		    (id = channel_some(b, one, "id")) == NULL || user == NULL ||
		    strcmp(id, user) != 0)
			continue;
		channel_face(pf, channel_some(b, one, "display_name"),
		    channel_some(b, one, "profile_image"));
		return true;
	}
	return false;
}

static enum channel_class
tiktok_profiled(const struct channel_account *ac, const struct http_answer *an,
    struct channel_profile *pf)
{
	enum channel_class cls = CHANNEL_RETRY;
	struct json_object *data, *list;
	const char *user = pf->user;
	struct channel_result rs;
	struct channel_batch b;
	int64_t code = 0;

	memset(pf, 0, sizeof(*pf));
	channel_batch_init(&b);
	if (code_read(&b, an, &code, &rs)) {
		data = channel_obj(b.root, "data");
		if (code != 0)
			cls = asked_class(code_class(ac, code));
		else if ((list = channel_array(data, "participants")) != NULL &&
			 participant_read(&b, list, user, pf))
			cls = CHANNEL_SENT;
		else
			cls = CHANNEL_PERMANENT;
	}
	channel_batch_fini(&b);
	return cls;
}

/* --- the account itself --- */

/* What the token allows: there is no name in it. */
static int
tiktok_probe(
    const struct channel_account *ac, int64_t now_ms, struct http_request *rq)
{
	const char *token = channel_conf(ac, "tiktok_access_token");
	struct json_object *o;

	(void)now_ms;
	if (*token == '\0')
		return 0;
	rq->method = "POST";
	channel_url(ac, "tiktok_api_base", API "/tt_user/token_info/get/", rq);
	o = json_object_new_object();
	json_put_str(o, "app_id", channel_conf(ac, "tiktok_app_id"));
	json_put_str(o, "access_token", token);
	return channel_body(rq, o) == 0 ? 1 : 0;
}

static void
tiktok_probed(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	struct channel_out out = { .kind = "text" };

	tiktok_answer(ac, &out, an, rs);
	rs->message_id[0] = '\0';
}

const struct channel channel_tiktok = {
	.platform = "tiktok",
	.prefix = "tiktok",
	.account_key = "tiktok_business_id",
	.token_key = "tiktok_access_token",
	.expires_key = "tiktok_token_expires_at",
	.renewal_key = "tiktok_refresh_expires_at",
	.methods = "GET, POST",
	.paste = "TikTok has no page for it; tell its API, with your app's id"
		 " and secret:\n"
		 "  POST /open_api/v1.3/business/webhook/update/\n"
		 "  event_type    DIRECT_MESSAGE\n"
		 "  callback_url  {webhook}\n",
	.keys = tiktok_keys,
	.nkeys = sizeof(tiktok_keys) / sizeof(tiktok_keys[0]),
	.at_once = 4,
	.per_s = 10,
	.early_s = 1800,
	.check = tiktok_check,
	.handshake = tiktok_handshake,
	.verify = tiktok_verify,
	.parse = tiktok_parse,
	.window = tiktok_window,
	.text_max = tiktok_text_max,
	.lines = tiktok_lines,
	.said = tiktok_said,
	.send = tiktok_send,
	.answer = tiktok_answer,
	.refresh = tiktok_refresh,
	.refreshed = tiktok_refreshed,
	.refresh_later = tiktok_refresh_later,
	.act = tiktok_act,
	.media = tiktok_media,
	.media_answer = tiktok_media_answer,
	.profile = tiktok_profile,
	.profiled = tiktok_profiled,
	.probe = tiktok_probe,
	.probed = tiktok_probed,
};
