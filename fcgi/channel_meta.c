/*
 * What Messenger, Instagram and WhatsApp share: the handshake and the proof of
 * a webhook, the way to an entry, the address of a request, the form of a
 * refusal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "channel_meta.h"
#include "json.h"
#include "req.h"
#include "token.h"

#define HANDSHAKE_MAX 4096 /* bytes of a handshake's query */
#define HANDSHAKE_FIELDS_MAX 16
#define CHALLENGE_MAX 256
#define RATE_WAIT_S 60
#define SECRET_MIN 6 /* bytes of a token that is looked for in their words */

/* --- settings and JSON --- */

const char *
meta_conf(const struct channel_account *ac, const char *word)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%s", ac->ch->prefix, word);
	return channel_conf(ac, name);
}

const char *
meta_account(const struct channel_account *ac)
{
	return channel_conf(ac, ac->ch->account_key);
}

struct json_object *
meta_at(struct json_object *o, const char *key, size_t i)
{
	struct json_object *list = channel_array(o, key);

	if (list == NULL || i >= json_object_array_length(list))
		return NULL;
	return json_object_array_get_idx(list, i);
}

/* --- webhooks in --- */

static bool
field_is(const struct req_field *f, const char *name)
{
	return f->name_len == strlen(name) &&
	       memcmp(f->name, name, f->name_len) == 0;
}

/* It goes back as it came: nothing that could mean something to a reader. */
static bool
harmless(const struct req_field *f)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";

	for (size_t i = 0; i < f->value_len; i++)
		if (f->value[i] == '\0' || strchr(letters, f->value[i]) == NULL)
			return false;
	return f->value_len <= CHALLENGE_MAX;
}

int
meta_handshake(
    const struct channel_account *ac, const char *query, struct buf *out)
{
	const char *want = meta_conf(ac, "verify_token");
	const struct req_field *mode = NULL, *token = NULL, *challenge = NULL;
	struct req_field fields[HANDSHAKE_FIELDS_MAX];
	char text[HANDSHAKE_MAX + 2];
	size_t len = strlen(query);
	int n;

	if (len > HANDSHAKE_MAX || *want == '\0')
		return 403;
	n = req_parse_form(query, len, text, fields, HANDSHAKE_FIELDS_MAX);
	for (int i = n - 1; i >= 0; i--) {
		if (field_is(&fields[i], "hub.mode"))
			mode = &fields[i];
		else if (field_is(&fields[i], "hub.verify_token"))
			token = &fields[i];
		else if (field_is(&fields[i], "hub.challenge"))
			challenge = &fields[i];
	}
	if (mode == NULL || token == NULL || challenge == NULL ||
	    mode->value_len != strlen("subscribe") ||
	    memcmp(mode->value, "subscribe", mode->value_len) != 0 ||
	    token->value_len != strlen(want) ||
	    sodium_memcmp(token->value, want, token->value_len) != 0 ||
	    !harmless(challenge))
		return 403;
	buf_append(out, challenge->value, challenge->value_len);
	return out->err ? 403 : 200;
}

enum channel_verdict
meta_verify(const struct channel_account *ac, const struct channel_hook *hook)
{
	const char *secret = meta_conf(ac, "app_secret");
	const char *v = hook->header(hook->arg, "X-Hub-Signature-256");
	unsigned char mac[TOKEN_MAC_BYTES];
	size_t n;

	if (v == NULL || *secret == '\0')
		return CHANNEL_FORGED;
	v += strspn(v, " \t");
	if (strncmp(v, "sha256=", 7) != 0)
		return CHANNEL_FORGED;
	v += 7;
	n = strspn(v, "0123456789abcdefABCDEF");
	if (v[n + strspn(v + n, " \t")] != '\0')
		return CHANNEL_FORGED;
	token_hmac(secret, strlen(secret), hook->body, hook->len, mac);
	return channel_hex_equal(v, n, mac, sizeof(mac)) ? CHANNEL_GOOD
							 : CHANNEL_FORGED;
}

int
meta_entries(const struct channel_account *ac, const struct channel_hook *hook,
    struct channel_batch *b, const char *object,
    void (*entry)(const struct channel_account *ac,
	const struct channel_hook *hook, struct channel_batch *b,
	struct json_object *o))
{
	bool list;
	size_t n;

	if (channel_json(hook->body, hook->len, &b->root) == -1)
		return 400;
	/* Some pages show a list of envelopes instead of one. */
	list = json_object_is_type(b->root, json_type_array);
	n = list ? json_object_array_length(b->root) : 1;
	for (size_t i = 0; i < n && !b->err; i++) {
		struct json_object *envelope =
		    list ? json_object_array_get_idx(b->root, i) : b->root;
		struct json_object *entries;
		const char *what;

		if (!json_object_is_type(envelope, json_type_object) ||
		    (what = channel_text(b, envelope, "object")) == NULL ||
		    strcmp(what, object) != 0 ||
		    (entries = channel_array(envelope, "entry")) == NULL) {
			b->skipped++;
			continue;
		}
		for (size_t k = 0; k < json_object_array_length(entries); k++) {
			struct json_object *o =
			    json_object_array_get_idx(entries, k);

			if (json_object_is_type(o, json_type_object))
				entry(ac, hook, b, o);
			else
				b->skipped++;
		}
	}
	return 0;
}

/* --- requests --- */

void
meta_url(const struct channel_account *ac, struct http_request *rq,
    const char *id, const char *edge)
{
	const char *version = meta_conf(ac, "api_version");
	char base[64];

	snprintf(base, sizeof(base), "%s_api_base", ac->ch->prefix);
	channel_url(ac, base, "/", rq);
	http_urlencode(&rq->url, version, strlen(version));
	buf_putc(&rq->url, '/');
	http_urlencode(&rq->url, id, strlen(id));
	if (edge != NULL)
		buf_printf(&rq->url, "/%s", edge);
}

void
meta_query_token(
    const struct channel_account *ac, struct http_request *rq, char sep)
{
	const char *token = channel_conf(ac, ac->ch->token_key);

	buf_printf(&rq->url, "%caccess_token=", sep);
	http_urlencode(&rq->url, token, strlen(token));
}

void
meta_bearer(const struct channel_account *ac, struct http_request *rq)
{
	struct buf b;

	buf_init(&b, 8192);
	buf_printf(&b, "Bearer %s", channel_conf(ac, ac->ch->token_key));
	if (b.err)
		rq->headers.err = 1;
	else
		http_request_header(rq, "Authorization", b.data);
	buf_fini(&b);
}

/* --- answers --- */

/* A member as a number; false when it is none. */
static bool
number(
    struct channel_batch *b, struct json_object *o, const char *key, int64_t *v)
{
	const char *t = channel_text(b, o, key);
	char *end;

	if (t == NULL || *t == '\0' || strlen(t) > 18)
		return false;
	*v = strtoll(t, &end, 10);
	return *end == '\0';
}

/*
 * Their words for agents and logs.  "Malformed access token" is followed by
 * the token, so what is ours in them is taken out.
 */
static void
words_copy(const struct channel_account *ac, const char *words,
    struct channel_result *rs)
{
	const char *token = channel_conf(ac, ac->ch->token_key), *p;
	size_t n = strlen(token);
	struct buf b;

	buf_init(&b, 65536);
	while (n >= SECRET_MIN && (p = strstr(words, token)) != NULL) {
		buf_append(&b, words, (size_t)(p - words));
		buf_puts(&b, "***");
		words = p + n;
	}
	buf_puts(&b, words);
	if (b.len > 0 && !b.err)
		channel_copy(rs->message, sizeof(rs->message), b.data, b.len);
	buf_fini(&b);
}

static void
classify(int64_t code, int64_t subcode, const struct meta_rule *rules, size_t n,
    struct channel_result *rs)
{
	const char *reason = "refused";

	rs->cls = CHANNEL_PERMANENT;
	for (size_t i = 0; i < n; i++) {
		const struct meta_rule *r = &rules[i];

		if (code < r->lo || code > r->hi ||
		    (r->subcode != META_ANY && r->subcode != subcode))
			continue;
		rs->cls = r->cls;
		rs->once = r->how == META_ONCE;
		reason = r->reason;
		rs->hold = r->how == META_HOLD;
		if (r->how == META_HOLD || r->how == META_WAIT)
			rs->wait_s = RATE_WAIT_S;
		break;
	}
	snprintf(rs->reason, sizeof(rs->reason), "%s", reason);
	snprintf(rs->code, sizeof(rs->code), "%lld/%lld", (long long)code,
	    (long long)subcode);
}

/* A refusal that is not in the platform's words: a proxy's, say. */
static void
wordless(long status, struct channel_result *rs)
{
	snprintf(rs->message, sizeof(rs->message), "http %ld", status);
	if (status == 429) {
		rs->cls = CHANNEL_RETRY;
		rs->hold = true;
		rs->wait_s = RATE_WAIT_S;
		snprintf(rs->reason, sizeof(rs->reason), "rate");
	} else if (status >= 400 && status < 500) {
		rs->cls = CHANNEL_PERMANENT;
		snprintf(rs->reason, sizeof(rs->reason), "refused");
	}
}

bool
meta_refused(const struct channel_account *ac, const struct http_answer *an,
    const struct meta_rule *rules, size_t n, struct channel_result *rs,
    struct channel_batch *b)
{
	struct json_object *error, *any = NULL;
	int64_t code = 0, subcode = 0;
	const char *words;

	memset(rs, 0, sizeof(*rs));
	rs->cls = an->end == HTTP_UNSENT ? CHANNEL_RETRY : CHANNEL_UNKNOWN;
	channel_copy(
	    rs->message, sizeof(rs->message), an->why, strlen(an->why));
	if (an->end != HTTP_ANSWERED)
		return true;
	snprintf(rs->code, sizeof(rs->code), "http %ld", an->status);
	if (channel_json(an->body.data, an->body.len, &b->root) == -1 ||
	    !json_object_is_type(b->root, json_type_object)) {
		wordless(an->status, rs);
	} else if ((error = channel_obj(b->root, "error")) != NULL &&
		   number(b, error, "code", &code)) {
		(void)number(b, error, "error_subcode", &subcode);
		if ((words = channel_text(b, error, "message")) != NULL)
			words_copy(ac, words, rs);
		classify(code, subcode, rules, n, rs);
	} else if (an->status >= 200 && an->status < 300 &&
		   !json_object_object_get_ex(b->root, "error", &any)) {
		rs->cls = CHANNEL_SENT;
		return false;
	} else {
		wordless(an->status, rs);
	}
	if (an->retry_after_s > rs->wait_s)
		rs->wait_s = an->retry_after_s;
	return true;
}
