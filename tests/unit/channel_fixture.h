#ifndef CHANNEL_FIXTURE_H
#define CHANNEL_FIXTURE_H

/*
 * What the tests of the adapters share: the samples, the accounts that these
 * are of, webhooks and answers given to an adapter, and a batch in the form in
 * which expected.json has it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <sodium.h>

#include "channel.h"
#include "json.h"

static inline char *
file_read(const char *name, size_t *len)
{
	char path[200];
	char *p = calloc(1, 65536);
	FILE *f;

	snprintf(path, sizeof(path), "tests/samples/%s", name);
	assert_non_null(f = fopen(path, "rb"));
	*len = fread(p, 1, 65535, f);
	fclose(f);
	return p;
}

static inline struct json_object *
file_json(const char *name)
{
	struct json_object *o = NULL;
	size_t len;
	char *p = file_read(name, &len);

	assert_int_equal(channel_json(p, len, &o), 0);
	free(p);
	return o;
}

static inline struct json_object *
member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, key, &v);
	return v;
}

static inline const char *
text_of(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key);

	return v != NULL ? json_object_get_string(v) : NULL;
}

/* The platform's account of the samples; its config is new. */
static inline struct channel_account
sample_account(const char *platform)
{
	struct json_object *all = file_json("signatures.json");
	struct json_object *own = member(member(all, "accounts"), platform);
	struct channel_account ac = { .id = 1, .ch = channel_find(platform) };

	ac.config = json_object_new_object();
	json_object_object_foreach(own, key, v)
	{
		const struct channel_key *k = channel_key_find(ac.ch, key);

		if (k != NULL)
			json_put_str(
			    ac.config, k->name, json_object_get_string(v));
	}
	json_object_put(all);
	return ac;
}

static inline void
put_some(struct json_object *o, const char *key, const char *v)
{
	if (v != NULL)
		json_put_str(o, key, v);
}

/* A batch in the form of expected.json. */
static inline struct json_object *
batch_json(const struct channel_batch *b)
{
	struct json_object *all = json_object_new_object();
	struct json_object *stored = json_object_new_array();
	struct json_object *statuses = json_object_new_array();
	struct json_object *updates = json_object_new_array();
	struct json_object *contacts = json_object_new_array();

	for (size_t i = 0; i < b->n; i++) {
		const struct channel_item *it = &b->items[i];
		struct json_object *o = json_object_new_object(), *ids;

		switch (it->op) {
		case CHANNEL_MESSAGE:
			json_put_str(o, "direction", it->out ? "out" : "in");
			json_put_str(o, "conversation", it->conversation);
			json_put_str(o, "user", it->user);
			json_put_str(o, "message_id", it->message_id);
			json_put_str(o, "kind", it->kind);
			json_put_str(o, "text", it->text);
			json_put_int(o, "sent_at", it->sent_at);
			put_some(o, "media_url", it->media_url);
			put_some(o, "media_ref", it->media_ref);
			put_some(o, "mime", it->mime);
			put_some(o, "name", it->name);
			put_some(o, "payload", it->payload);
			put_some(o, "reply_to", it->reply_to);
			if (it->size >= 0)
				json_put_int(o, "size", it->size);
			if (it->located) {
				json_put(
				    o, "lat", json_object_new_double(it->lat));
				json_put(
				    o, "lon", json_object_new_double(it->lon));
			}
			json_object_array_add(stored, o);
			break;
		case CHANNEL_STATUS:
			json_put_str(o, "status", it->status);
			json_put_str(o, "conversation", it->conversation);
			ids = json_object_new_array();
			for (size_t k = 0; k < it->nids; k++)
				json_object_array_add(
				    ids, json_object_new_string(it->ids[k]));
			if (it->nids > 0)
				json_put(o, "message_ids", ids);
			else
				json_object_put(ids);
			if (it->watermark != 0)
				json_put_int(o, "watermark", it->watermark);
			json_object_array_add(statuses, o);
			break;
		case CHANNEL_EDIT:
		case CHANNEL_DELETE:
			json_put_str(o, "message_id", it->message_id);
			if (it->op == CHANNEL_EDIT) {
				json_put_str(o, "op", "edit");
				json_put_str(o, "text", it->text);
				json_put_int(o, "version", it->version);
			} else {
				json_put_str(o, "op", "delete");
			}
			json_object_array_add(updates, o);
			break;
		case CHANNEL_CONTACT:
			json_put_str(o, "user", it->user);
			json_put_str(
			    o, "op", it->follow ? "follow" : "unfollow");
			json_object_array_add(contacts, o);
			break;
		default:
			json_object_put(o);
			break;
		}
	}
	json_put(all, "stored", stored);
	json_put(all, "statuses", statuses);
	json_put(all, "updates", updates);
	json_put(all, "contacts", contacts);
	return all;
}

/* Single quotes for double ones, so that JSON can be written in short. */
static inline void
quotes(char *p)
{
	for (; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
}

/* The one header of a webhook; ${value} NULL: it has none. */
struct sample_header {
	const char *name, *value;
};

static inline const char *
header_of(void *arg, const char *name)
{
	const struct sample_header *h = arg;

	return strcasecmp(name, h->name) == 0 ? h->value : NULL;
}

/* What the adapter says of a webhook with that header. */
static inline enum channel_verdict
hook_verdict(const struct channel_account *ac, const char *body, size_t len,
    const char *name, const char *value, int64_t now_ms)
{
	struct sample_header h = { name, value };
	struct channel_hook hook = { .body = body,
		.len = len,
		.now_ms = now_ms,
		.header = header_of,
		.arg = &h };

	return ac->ch->verify(ac, &hook);
}

/* "sha256=<hex>" of the body by that secret, as Meta's platforms make it. */
static inline const char *
meta_sign(const char *body, size_t len, const char *secret)
{
	static char out[80];
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state h;

	crypto_auth_hmacsha256_init(
	    &h, (const unsigned char *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(&h, (const unsigned char *)body, len);
	crypto_auth_hmacsha256_final(&h, mac);
	memcpy(out, "sha256=", 7);
	sodium_bin2hex(out + 7, 65, mac, sizeof(mac));
	return out;
}

/* Its proof is good for ${hook}'s body, and for none that differs in a bit. */
static inline void
changes_are_refused(
    const struct channel_account *ac, const struct channel_hook *good)
{
	struct channel_hook hook = *good;
	char *body;

	assert_int_equal(ac->ch->verify(ac, &hook), CHANNEL_GOOD);
	for (size_t i = 0; i < good->len; i++) {
		assert_non_null(body = malloc(good->len));
		memcpy(body, good->body, good->len);
		body[i] ^= 1;
		hook.body = body;
		hook.len = good->len;
		assert_int_equal(ac->ch->verify(ac, &hook), CHANNEL_FORGED);
		/* Cut, in memory of that size. */
		assert_non_null(body = realloc(body, i + 1));
		body[i] = good->body[i];
		hook.body = body;
		hook.len = i;
		assert_int_equal(ac->ch->verify(ac, &hook), CHANNEL_FORGED);
		free(body);
	}
}

/* ${hook} is refused with another digit at any place of ${sig}, its proof. */
static inline void
proof_changes_are_refused(const struct channel_account *ac,
    const struct channel_hook *hook, char *sig, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		char was = sig[i];

		sig[i] = was == '0' ? '1' : '0';
		assert_int_equal(ac->ch->verify(ac, hook), CHANNEL_FORGED);
		sig[i] = was;
	}
	assert_int_equal(ac->ch->verify(ac, hook), CHANNEL_GOOD);
}

static inline int
hook_parse(const struct channel_account *ac, const char *body, size_t len,
    int64_t now_ms, struct channel_batch *b)
{
	struct channel_hook hook = {
		.body = body, .len = len, .now_ms = now_ms
	};

	channel_batch_init(b);
	return ac->ch->parse(ac, &hook, b);
}

/* The same of a body written in short: single quotes for double ones. */
static inline int
short_parse(const struct channel_account *ac, const char *text, int64_t now_ms,
    struct channel_batch *b)
{
	char body[8192];
	int rc;

	assert_true(strlen(text) < sizeof(body));
	snprintf(body, sizeof(body), "%s", text);
	quotes(body);
	rc = hook_parse(ac, body, strlen(body), now_ms, b);
	assert_false(b->err);
	return rc;
}

/* Cut anywhere, it is no body at all. */
static inline void
cuts_are_refused(const struct channel_account *ac, const char *body, size_t len,
    int64_t now_ms)
{
	struct channel_batch b;
	char *cut;

	for (size_t i = 0; i < len; i++) {
		assert_non_null(cut = malloc(i + 1));
		memcpy(cut, body, i);
		assert_int_equal(hook_parse(ac, cut, i, now_ms, &b), 400);
		channel_batch_fini(&b);
		free(cut);
	}
}

/* The ${count} samples of that name are what expected.json says. */
static inline void
samples_mean(const struct channel_account *ac, const char *prefix, size_t count,
    int64_t now_ms)
{
	struct json_object *want = file_json("expected.json"), *got;
	struct channel_batch b;
	size_t len, n = 0;
	char *body;

	json_object_object_foreach(want, name, one)
	{
		if (strncmp(name, prefix, strlen(prefix)) != 0)
			continue;
		body = file_read(name, &len);
		assert_int_equal(hook_parse(ac, body, len, now_ms, &b), 0);
		got = batch_json(&b);
		if (!json_object_equal(got, one))
			fail_msg(
			    "%s: %s", name, json_object_to_json_string(got));
		json_object_put(got);
		channel_batch_fini(&b);
		cuts_are_refused(ac, body, len, now_ms);
		free(body);
		n++;
	}
	assert_int_equal(n, count);
	json_object_put(want);
}

/* An answer with that body; status 0: lost.  Ended by http_answer_fini. */
static inline void
answer_init(struct http_answer *an, long status, const char *body)
{
	http_answer_init(an);
	an->end = status != 0 ? HTTP_ANSWERED : HTTP_LOST;
	an->status = status;
	buf_puts(&an->body, body);
}

/* The body of a sample's first answer, borrowed from it. */
static inline const char *
sample_answer(struct json_object *sample)
{
	return json_object_to_json_string(member(
	    json_object_array_get_idx(member(sample, "responses"), 0), "body"));
}

/* The class of that answer to the step of a file that ${md} is at. */
static inline enum channel_class
media_says(const struct channel_account *ac, struct channel_media *md,
    long status, const char *body)
{
	enum channel_class cls;
	struct http_answer an;

	answer_init(&an, status, body);
	cls = ac->ch->media_answer(ac, md, &an);
	http_answer_fini(&an);
	return cls;
}

/* What the adapter makes of that answer to ${base}. */
static inline struct channel_result
answer_to(const struct channel_account *ac, const struct channel_out *base,
    long status, const char *p, size_t len)
{
	struct channel_out out = *base;
	struct channel_result rs;
	struct http_answer an;

	http_answer_init(&an);
	an.end = HTTP_ANSWERED;
	an.status = status;
	buf_append(&an.body, p, len);
	ac->ch->answer(ac, &out, &an, &rs);
	http_answer_fini(&an);
	return rs;
}

/* What it makes of none: not sent, it goes again; else it is ${lost}. */
static inline void
no_answer_is(const struct channel_account *ac, const struct channel_out *base,
    enum channel_class lost)
{
	struct channel_out out = *base;
	struct channel_result rs;
	struct http_answer an;

	http_answer_init(&an);
	an.end = HTTP_UNSENT;
	ac->ch->answer(ac, &out, &an, &rs);
	assert_int_equal(rs.cls, CHANNEL_RETRY);
	an.end = HTTP_LOST;
	ac->ch->answer(ac, &out, &an, &rs);
	assert_int_equal(rs.cls, lost);
	http_answer_fini(&an);
}

/* What it makes of that answer, which says when to come again. */
static inline struct channel_result
answer_later(const struct channel_account *ac, const struct channel_out *base,
    long status, const char *body, int64_t retry_after_s)
{
	struct channel_out out = *base;
	struct channel_result rs;
	struct http_answer an;

	answer_init(&an, status, body);
	an.retry_after_s = retry_after_s;
	ac->ch->answer(ac, &out, &an, &rs);
	http_answer_fini(&an);
	return rs;
}

/* The request is the sample's, but for what multipart makes up itself. */
static inline void
request_is(
    const struct http_request *rq, struct json_object *want, const char *base)
{
	struct json_object *got = NULL;
	char line[400];

	assert_string_equal(rq->method, text_of(want, "method"));
	snprintf(line, sizeof(line), "%s%s", base, text_of(want, "path"));
	assert_string_equal(rq->url.data, line);
	json_object_object_foreach(member(want, "headers"), name, value)
	{
		snprintf(line, sizeof(line), "%s: %s\n", name,
		    json_object_get_string(value));
		if (strstr(line, "multipart") == NULL)
			assert_non_null(strstr(rq->headers.data, line));
	}
	if (member(want, "body") == NULL)
		return;
	assert_int_equal(channel_json(rq->body.data, rq->body.len, &got), 0);
	assert_true(json_object_equal(got, member(want, "body")));
	json_object_put(got);
}

static inline const char *
class_word(enum channel_class cls)
{
	switch (cls) {
	case CHANNEL_SENT:
	case CHANNEL_MORE:
		return "sent";
	case CHANNEL_RETRY:
		return "retryable";
	case CHANNEL_REAUTH:
		return "reauth";
	case CHANNEL_PERMANENT:
		return "permanent";
	default:
		return "unknown";
	}
}

/* Each answer of a sample has its class; cut anywhere, a good one is ${cut}. */
static inline void
answers_are(const struct channel_account *ac, const struct channel_out *out,
    struct json_object *sample, enum channel_class cut)
{
	struct json_object *list = member(sample, "responses"), *one, *v;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		one = json_object_array_get_idx(list, i);
		v = member(one, "status");
		const char *body =
		    json_object_to_json_string(member(one, "body"));
		const char *want = text_of(one, "class");
		long status = v != NULL ? (long)json_object_get_int(v) : 200;
		struct channel_result rs =
		    answer_to(ac, out, status, body, strlen(body));

		if (strcmp(want, "fallback_push") == 0)
			assert_int_equal(rs.cls, CHANNEL_MORE);
		else
			assert_string_equal(class_word(rs.cls), want);
		if (text_of(one, "reason") != NULL)
			assert_string_equal(rs.reason, text_of(one, "reason"));
		for (size_t k = 0; status == 200 && k < strlen(body); k++)
			assert_int_equal(
			    answer_to(ac, out, 200, body, k).cls, cut);
	}
}

#endif
