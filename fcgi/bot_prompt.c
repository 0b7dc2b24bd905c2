/*
 * What is said to a bot's endpoint, and what its answer means.  The answers
 * come from outside: anything may stand in them.
 */
#include "bot_prompt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "json.h"
#include "token.h"

#define HISTORY 10          /* messages, unless it is set */
#define BODY_MAX (4u << 20) /* of a request, bytes */
#define TEXT_MAX 262144     /* of an answer, bytes; a message is cut later */
#define DEPTH_MAX 32
#define MEMBERS_MAX 10000
#define WAIT_S_MAX 10 /* nobody waits longer for a bot */

static const char asks_person[] =
    "If the customer should talk to a person, or asks for one, end your "
    "answer with " BOT_WORD ".";

int64_t
bot_history_max(const struct bot *b)
{
	int64_t n = HISTORY;

	(void)json_get_int(b->config, "history", &n);
	return n;
}

static const char *
text_of(struct json_object *o, const char *key)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 && *p != '\0' &&
		       strlen(p) == len
		   ? p
		   : NULL;
}

/* ---- requests ----------------------------------------------------------- */

/* The body and its signature over time and body. */
static int
http_request(const struct bot *b, const struct bot_ask *k,
    struct json_object *history, int64_t now_ms, struct http_request *rq)
{
	const char *url = text_of(b->config, "url");
	const char *secret = text_of(b->secrets, "secret");
	struct json_object *o;
	unsigned char mac[TOKEN_MAC_BYTES];
	char hex[2 * sizeof(mac) + 1], sig[sizeof(hex) + 3], text[24];
	struct buf b2;

	if (url == NULL || secret == NULL)
		return -1;
	buf_puts(&rq->url, url);
	o = json_object_new_object();
	json_put_id(o, "id", k->id);
	json_put_id(o, "bot_id", k->bot);
	json_put_id(o, "conversation_id", k->conversation);
	json_put_id(o, "message_id", k->message);
	json_put_str(o, "text", k->text);
	json_put_str(o, "kind", k->kind);
	json_put_str(o, "locale", k->locale);
	json_put_int(o, "created_at", k->created_at);
	json_put(o, "history",
	    history != NULL ? json_object_get(history)
			    : json_object_new_array());
	json_write(o, &rq->body);
	json_object_put(o);
	if (rq->body.err)
		return -1;

	snprintf(text, sizeof(text), "%" PRId64, now_ms / 1000);
	buf_init(&b2, BODY_MAX + 32);
	buf_printf(&b2, "%s.", text);
	buf_append(&b2, rq->body.data, rq->body.len);
	token_hmac(secret, strlen(secret), b2.data, b2.len, mac);
	buf_fini(&b2);
	sodium_bin2hex(hex, sizeof(hex), mac, sizeof(mac));
	snprintf(sig, sizeof(sig), "v1=%s", hex);
	http_request_header(rq, "X-Parley-Timestamp", text);
	http_request_header(rq, "X-Parley-Signature", sig);
	snprintf(text, sizeof(text), "%" PRId64, k->id);
	http_request_header(rq, "Idempotency-Key", text);
	return 0;
}

static void
turn_add(struct json_object *list, const char *role, const char *content)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "role", role);
	json_put_str(o, "content", content);
	json_object_array_add(list, o);
}

/* What was said so far, each message as a turn of one of the two. */
static void
turns_add(struct json_object *list, struct json_object *history)
{
	const char *sender, *content, *kind;
	struct json_object *m;
	char what[40];
	size_t i;

	for (i = 0; i < json_object_array_length(history); i++) {
		m = json_object_array_get_idx(history, i);
		sender = text_of(m, "sender");
		content = text_of(m, "content");
		kind = text_of(m, "kind");
		if (sender == NULL || strcmp(sender, "system") == 0)
			continue;
		snprintf(what, sizeof(what), "[%.30s]",
		    kind != NULL ? kind : "message");
		turn_add(list,
		    strcmp(sender, "customer") == 0 ? "user" : "assistant",
		    content != NULL ? content : what);
	}
}

static int
chat_request(const struct bot *b, const struct bot_ask *k,
    struct json_object *history, struct http_request *rq)
{
	const char *base = text_of(b->config, "base_url");
	const char *key = text_of(b->secrets, "api_key");
	const char *model = text_of(b->config, "model");
	const char *system = text_of(b->config, "system");
	struct json_object *o, *list;
	struct buf line;
	int64_t most = 0;
	size_t n;

	if (base == NULL || model == NULL)
		return -1;
	for (n = strlen(base); n > 0 && base[n - 1] == '/'; n--)
		;
	buf_append(&rq->url, base, n);
	buf_puts(&rq->url, "/chat/completions");
	buf_init(&line, BODY_MAX);
	if (key != NULL) {
		buf_printf(&line, "Bearer %s", key);
		http_request_header(rq, "Authorization", line.data);
	}
	buf_reset(&line);
	buf_printf(&line, "%s%s%s", system != NULL ? system : "",
	    system != NULL ? "\n\n" : "", asks_person);
	list = json_object_new_array();
	turn_add(list, "system", line.data);
	buf_fini(&line);
	if (history != NULL && json_object_array_length(history) > 0)
		turns_add(list, history);
	else
		turn_add(list, "user", k->text);
	o = json_object_new_object();
	json_put_str(o, "model", model);
	json_put(o, "messages", list);
	json_put_bool(o, "stream", false);
	if (json_get_int(b->config, "max_tokens", &most) == 1)
		json_put_int(o, "max_tokens", most);
	json_write(o, &rq->body);
	json_object_put(o);
	return rq->body.err ? -1 : 0;
}

int
bot_request(const struct bot *b, const struct bot_ask *k,
    struct json_object *history, int64_t now_ms, struct http_request *rq)
{
	http_request_header(rq, "Content-Type", "application/json");
	http_request_header(rq, "Accept", "application/json");
	return strcmp(b->kind, "http") == 0
		   ? http_request(b, k, history, now_ms, rq)
		   : chat_request(b, k, history, rq);
}

/* ---- answers ------------------------------------------------------------ */

const char *
bot_said(struct json_object *o, size_t text_max, struct bot_answer *a)
{
	struct json_object *quick;
	const char *text;
	size_t len;

	switch (json_get_str(o, "text", &text, &len)) {
	case 1:
		if (strlen(text) != len || len > text_max)
			return "text";
		if (len > 0 && (a->text = strdup(text)) == NULL)
			return "text";
		break;
	case -1:
		return "text";
	default:
		break;
	}
	switch (json_get_arr(o, "quick_replies", &quick)) {
	case 1:
		if (json_object_array_length(quick) > 0 &&
		    (a->quick = bot_quick(quick)) == NULL)
			return "quick_replies";
		break;
	case -1:
		return "quick_replies";
	default:
		break;
	}
	if (json_get_bool(o, "handover", &a->handover) == -1)
		return "handover";
	if (json_get_bool(o, "later", &a->later) == -1)
		return "later";
	if (a->handover)
		a->reason = "bot";
	return NULL;
}

/* The text of a chat's first choice, whatever form it has; new, or NULL. */
static char *
chat_text(struct json_object *o)
{
	struct json_object *list, *m, *parts;
	const char *p;
	struct buf b;
	char *text = NULL;
	size_t i, len;

	if (json_get_arr(o, "choices", &list) != 1 ||
	    json_object_array_length(list) == 0 ||
	    json_get_obj(json_object_array_get_idx(list, 0), "message", &m) !=
		1)
		return NULL;
	buf_init(&b, TEXT_MAX);
	if (json_get_str(m, "content", &p, &len) == 1) {
		buf_append(&b, p, len);
	} else if (json_get_arr(m, "content", &parts) == 1) {
		for (i = 0; i < json_object_array_length(parts); i++)
			if (json_get_str(json_object_array_get_idx(parts, i),
				"text", &p, &len) == 1)
				buf_append(&b, p, len);
	}
	if (!b.err && b.len > 0 && strlen(b.data) == b.len)
		text = strdup(b.data);
	buf_fini(&b);
	return text;
}

/* Take the word out; whether it was there. */
static bool
word_out(char *text)
{
	size_t len = strlen(BOT_WORD);
	bool found = false;
	char *p;

	while ((p = strstr(text, BOT_WORD)) != NULL) {
		memmove(p, p + len, strlen(p + len) + 1);
		found = true;
	}
	return found;
}

static void
trim(char *text)
{
	size_t n = strlen(text), lead = strspn(text, " \t\r\n");

	memmove(text, text + lead, n - lead + 1);
	n -= lead;
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		text[--n] = '\0';
}

static const char *
chat_said(struct json_object *o, struct bot_answer *a)
{
	struct json_object *usage;

	if (json_get_obj(o, "usage", &usage) == 1 &&
	    (json_get_int(usage, "total_tokens", &a->tokens) != 1 ||
		a->tokens < 0 || a->tokens > INT32_MAX))
		a->tokens = 0;
	if ((a->text = chat_text(o)) == NULL)
		return "choices";
	if (word_out(a->text)) {
		a->handover = true;
		a->reason = "bot";
	}
	trim(a->text);
	return a->text[0] == '\0' && !a->handover ? "content" : NULL;
}

static enum bot_reply
failed(struct bot_answer *a, const char *what, const char *why)
{
	bot_answer_fini(a);
	a->handover = true;
	a->later = false;
	a->reason = "error";
	snprintf(a->error, sizeof(a->error), "%s%s", what, why);
	return BOT_FAILED;
}

/* A good answer's body. */
static enum bot_reply
body_read(const struct bot *b, const struct buf *body, struct bot_answer *a)
{
	struct json_object *o = NULL;
	const char *why = "no JSON";
	enum bot_reply rc = BOT_ANSWERED;
	bool http = strcmp(b->kind, "http") == 0;

	if (body->err || body->len == 0 ||
	    json_parse(body->data, body->len, DEPTH_MAX, MEMBERS_MAX, TEXT_MAX,
		&o, &why) == -1 ||
	    !json_object_is_type(o, json_type_object)) {
		rc = failed(a, "answer not readable: ", why);
	} else {
		why = http ? bot_said(o, TEXT_MAX, a) : chat_said(o, a);
		if (why != NULL)
			rc = failed(a, "answer not understood: ", why);
	}
	json_object_put(o);
	return rc;
}

enum bot_reply
bot_reply(const struct bot *b, const struct http_answer *an,
    const struct buf *body, struct bot_answer *a, int64_t *wait_s)
{
	char text[32];

	*wait_s = 0;
	if (an->barred)
		return failed(a, "address not allowed", "");
	if (an->too_large)
		return failed(a, "answer too large", "");
	if (an->end == HTTP_UNSENT) {
		(void)failed(a, "not reached: ", an->why);
		return BOT_AGAIN;
	}
	if (an->end == HTTP_LOST)
		return failed(a, "no answer: ", an->why);
	if (an->status == 200)
		return body_read(b, body, a);
	if (strcmp(b->kind, "http") == 0 &&
	    (an->status == 202 || an->status == 204)) {
		a->later = true;
		return BOT_ANSWERED;
	}
	snprintf(text, sizeof(text), "%ld", an->status);
	(void)failed(a, "HTTP ", text);
	if ((an->status != 429 && an->status != 500 && an->status != 502 &&
		an->status != 503 && an->status != 504) ||
	    an->retry_after_s > WAIT_S_MAX)
		return BOT_FAILED;
	*wait_s = an->retry_after_s;
	return BOT_AGAIN;
}
