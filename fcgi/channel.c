/*
 * The table of platform adapters, and what they share: settings of an account,
 * texts of a batch, ids that stay digits, cutting long texts.  What a platform
 * says and wants stands in its own channel_X.c.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "channel.h"
#include "hex.h"
#include "json.h"

#define ASTRAY_MAX 256 /* other accounts that one body may name */
#define VALUE_MAX 4096 /* bytes of one setting */
#define JSON_DEPTH 32
#define JSON_MEMBERS 100000
#define DIGITS_EXACT 15 /* a double holds these, and json-c more */
#define SPLIT_BACK 2    /* look for a space in the last 1/n */

static const struct channel *const channels[] = {
	&channel_facebook,
	&channel_instagram,
	&channel_whatsapp,
	&channel_zalo,
	&channel_telegram,
	&channel_custom,
	&channel_line,
	&channel_tiktok,
};

/* A copied text of a batch. */
struct channel_chunk {
	struct channel_chunk *next;
	char text[];
};

/* --- the table and the settings --- */

const struct channel *
channel_at(size_t i)
{
	return i < sizeof(channels) / sizeof(channels[0]) ? channels[i] : NULL;
}

const struct channel *
channel_find(const char *platform)
{
	for (size_t i = 0; channel_at(i) != NULL; i++)
		if (strcmp(channels[i]->platform, platform) == 0)
			return channels[i];
	return NULL;
}

const struct channel_key *
channel_key_find(const struct channel *ch, const char *name)
{
	size_t plen = strlen(ch->prefix);

	for (size_t i = 0; i < ch->nkeys; i++) {
		const char *own = ch->keys[i].name;

		if (strcasecmp(own, name) == 0)
			return &ch->keys[i];
		if (strncmp(own, ch->prefix, plen) == 0 && own[plen] == '_' &&
		    strcasecmp(own + plen + 1, name) == 0)
			return &ch->keys[i];
	}
	return NULL;
}

const char *
channel_conf(const struct channel_account *ac, const char *name)
{
	const struct channel_key *k;
	struct json_object *v;

	if (ac->config != NULL &&
	    json_object_object_get_ex(ac->config, name, &v) && v != NULL)
		return json_object_get_string(v);
	k = channel_key_find(ac->ch, name);
	return k != NULL && k->value != NULL ? k->value : "";
}

int64_t
channel_conf_int(
    const struct channel_account *ac, const char *name, int64_t lo, int64_t hi)
{
	const char *text = channel_conf(ac, name);
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || v < lo)
		return lo;
	return v > hi ? hi : v;
}

/*
 * Tokens and customers' words travel there, so it is https but on this very
 * host; ${not}: characters that it must not hold.
 */
static bool
url_good(const char *url, const char * not )
{
	static const char *const loopback[] = { "http://127.0.0.1",
		"http://localhost", "http://[::1]" };

	if (strncmp(url, "https://", 8) == 0)
		return url[8] != '\0' && strpbrk(url, not ) == NULL;
	for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++) {
		size_t n = strlen(loopback[i]);

		if (strncmp(url, loopback[i], n) == 0 &&
		    (url[n] == '\0' || url[n] == ':' || url[n] == '/'))
			return strpbrk(url, not ) == NULL;
	}
	return false;
}

/* A base takes a path behind it, so it has no query; a *_url may be unset. */
static bool
address_good(const char *name, const char *v)
{
	size_t n = strlen(name);

	if (n > 5 && strcmp(name + n - 5, "_base") == 0)
		return url_good(v, "@?# ");
	if (n > 4 && strcmp(name + n - 4, "_url") == 0 && *v != '\0')
		return url_good(v, "@# ");
	return true;
}

/* Whether ${v}, a setting's value, has no controls; nor a NUL that cuts it. */
static bool
printable(struct json_object *config, const char *name, const char *v)
{
	struct json_object *o;

	if (json_object_object_get_ex(config, name, &o) && o != NULL &&
	    (size_t)json_object_get_string_len(o) != strlen(v))
		return false;
	for (; *v != '\0'; v++)
		if ((unsigned char)*v < 0x20 || *v == 0x7f)
			return false;
	return true;
}

/* The word for what is wrong with the value ${v} of ${k}; NULL: nothing is. */
static const char *
value_wrong(
    struct json_object *config, const struct channel_key *k, const char *v)
{
	if (*v == '\0' && (k->flags & CHANNEL_REQUIRED))
		return "required";
	if (strlen(v) > VALUE_MAX)
		return "too_long";
	if (!printable(config, k->name, v))
		return "control";
	return address_good(k->name, v) ? NULL : "https";
}

bool
channel_config_wrong(const struct channel *ch, struct json_object *config,
    struct channel_wrong *wrong)
{
	struct channel_account ac = { .ch = ch, .config = config };
	const char *name = NULL;

	memset(wrong, 0, sizeof(*wrong));
	for (size_t i = 0; i < ch->nkeys; i++) {
		wrong->key = &ch->keys[i];
		wrong->code = value_wrong(
		    config, wrong->key, channel_conf(&ac, wrong->key->name));
		if (wrong->code != NULL)
			return true;
	}
	wrong->code = ch->check != NULL ? ch->check(&ac, &name) : NULL;
	wrong->key = wrong->code != NULL ? channel_key_find(ch, name) : NULL;
	return wrong->code != NULL;
}

int
channel_config_check(
    const struct channel *ch, struct json_object *config, struct buf *why)
{
	static const struct {
		const char *code, *text;
	} texts[] = {
		{ "required", "is required" },
		{ "too_long", "is too long" },
		{ "control", "holds a control character" },
		{ "https",
		    "must be an https address (http only on this host)" },
		{ "characters", "takes letters, digits, _ and -, at most 256" },
		{ "classes", "is CODE=CLASS,...; a class is retryable, reauth,"
			     " permanent or unknown" },
		{ "seconds", "is from 1 to 86400" },
		{ "token", "is no token: a number, a colon and letters" },
	};
	struct channel_wrong wrong;

	if (!channel_config_wrong(ch, config, &wrong))
		return 0;
	buf_puts(why, wrong.key->name);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].code, wrong.code) == 0)
			buf_printf(why, " %s", texts[i].text);
	if (strcmp(wrong.code, "required") == 0)
		buf_printf(why, ": %s", wrong.key->help);
	return -1;
}

void
channel_account_name(
    const struct channel *ch, struct json_object *config, struct buf *out)
{
	struct channel_account ac = { .ch = ch, .config = config };

	if (ch->account_key != NULL)
		buf_puts(out, channel_conf(&ac, ch->account_key));
	else if (ch->account != NULL)
		ch->account(&ac, out);
}

struct json_object *
channel_reply_json(const char *platform, struct json_object *config,
    int64_t last_inbound_at, int64_t sent_since, int64_t now_ms)
{
	static const char *const words[] = { [CHANNEL_WINDOW_OPEN] = "open",
		[CHANNEL_WINDOW_PAID] = "paid",
		[CHANNEL_WINDOW_CLOSED] = "closed" };
	struct channel_account ac = { .ch = channel_find(platform),
		.config = config };
	struct channel_reply r;
	struct json_object *o;

	if (ac.ch == NULL)
		return NULL;
	r = ac.ch->window(&ac, last_inbound_at, sent_since, now_ms);
	if (r.until == 0)
		return NULL;
	o = json_object_new_object();
	json_put_str(o, "state", words[r.state]);
	if (r.free_until != 0)
		json_put_int(o, "free_until", r.free_until);
	else
		json_put_str(o, "free_until", NULL);
	json_put_int(o, "until", r.until);
	if (r.free_left >= 0)
		json_put_int(o, "free_left", r.free_left);
	else
		json_put_str(o, "free_left", NULL);
	return o;
}

/* --- batches --- */

void
channel_batch_init(struct channel_batch *b)
{
	memset(b, 0, sizeof(*b));
	b->max = SIZE_MAX;
}

void
channel_batch_fini(struct channel_batch *b)
{
	for (struct channel_chunk *c = b->chunks, *next; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	for (size_t i = 0; i < b->n; i++)
		free(b->items[i].ids);
	free(b->items);
	free(b->astray);
	json_object_put(b->root);
	memset(b, 0, sizeof(*b));
}

struct channel_item *
channel_batch_add(struct channel_batch *b)
{
	struct channel_item *it;

	if (b->n >= b->max) {
		b->skipped++;
		return NULL;
	}
	if (b->n == b->cap) {
		size_t cap = b->cap == 0 ? 4 : 2 * b->cap;

		if ((it = realloc(b->items, cap * sizeof(*it))) == NULL) {
			b->err = 1;
			return NULL;
		}
		b->items = it;
		b->cap = cap;
	}
	it = &b->items[b->n++];
	memset(it, 0, sizeof(*it));
	it->size = -1;
	return it;
}

void
channel_batch_astray(struct channel_batch *b, const char *account)
{
	if (account == NULL || *account == '\0' || b->nastray == ASTRAY_MAX)
		return;
	for (size_t i = 0; i < b->nastray; i++)
		if (strcmp(b->astray[i], account) == 0)
			return;
	if (b->astray == NULL &&
	    (b->astray = calloc(ASTRAY_MAX, sizeof(*b->astray))) == NULL) {
		b->err = 1;
		return;
	}
	b->astray[b->nastray++] = account;
}

/* Room for ${len} bytes and a NUL. */
static char *
batch_room(struct channel_batch *b, size_t len)
{
	struct channel_chunk *c = malloc(sizeof(*c) + len + 1);

	if (c == NULL) {
		b->err = 1;
		return NULL;
	}
	c->next = b->chunks;
	b->chunks = c;
	return c->text;
}

const char *
channel_batch_text(struct channel_batch *b, const char *p, size_t len)
{
	size_t nuls = 0;
	char *text, *q;

	for (size_t i = 0; i < len; i++)
		nuls += p[i] == '\0';
	if ((text = batch_room(b, len + 2 * nuls)) == NULL)
		return NULL;
	q = text;
	for (size_t i = 0; i < len; i++) {
		if (p[i] != '\0') {
			*q++ = p[i];
		} else {
			memcpy(q, "\xef\xbf\xbd", 3);
			q += 3;
		}
	}
	*q = '\0';
	return text;
}

const char *
channel_batch_printf(struct channel_batch *b, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && (text = batch_room(b, (size_t)n)) != NULL) {
		va_start(ap, fmt);
		vsnprintf(text, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return text;
}

/* --- reading JSON of others --- */

/*
 * Bytes of the number at ${p}, and whether it is an integer that only a string
 * keeps: too long to be sure of, and a value, not a faulty name.
 */
static size_t
number_span(const char *p, size_t len, bool *keep)
{
	size_t n = 0, digits, after;
	bool whole = true;

	for (; n < len && (isdigit((unsigned char)p[n]) ||
			      (p[n] != '\0' && strchr("+-.eE", p[n]) != NULL));
	     n++)
		whole = whole && (isdigit((unsigned char)p[n]) || n == 0);
	digits = p[0] == '-' ? 1 : 0;
	for (after = n;
	     after < len && (p[after] == ' ' || p[after] == '\t' ||
				p[after] == '\r' || p[after] == '\n');)
		after++;
	*keep = whole && n > DIGITS_EXACT && p[digits] != '0' &&
		(after == len || p[after] != ':');
	return n;
}

/* Copy ${p}, putting quotes around the integers that are too long. */
static void
quote_long_integers(const char *p, size_t len, struct buf *out)
{
	bool in_string = false, keep;

	for (size_t i = 0, n; i < len; i += n) {
		if (!in_string &&
		    (p[i] == '-' || isdigit((unsigned char)p[i]))) {
			n = number_span(p + i, len - i, &keep);
			if (keep)
				buf_putc(out, '"');
			buf_append(out, p + i, n);
			if (keep)
				buf_putc(out, '"');
			continue;
		}
		if (p[i] == '"')
			in_string = !in_string;
		n = in_string && p[i] == '\\' && i + 1 < len ? 2 : 1;
		buf_append(out, p + i, n);
	}
}

int
channel_json(const char *p, size_t len, struct json_object **out)
{
	const char *why;
	struct buf b;
	int rc = -1;

	*out = NULL;
	buf_init(&b, 2 * len + 1);
	quote_long_integers(p, len, &b);
	if (len > 0 && !b.err)
		rc = json_parse(
		    b.data, b.len, JSON_DEPTH, JSON_MEMBERS, b.len, out, &why);
	buf_fini(&b);
	return rc;
}

const char *
channel_text(struct channel_batch *b, struct json_object *o, const char *key)
{
	struct json_object *v;

	if (o == NULL || !json_object_object_get_ex(o, key, &v))
		return NULL;
	switch (json_object_get_type(v)) {
	case json_type_string:
		return channel_batch_text(b, json_object_get_string(v),
		    (size_t)json_object_get_string_len(v));
	case json_type_int:
		return channel_batch_printf(
		    b, "%lld", (long long)json_object_get_int64(v));
	default:
		return NULL;
	}
}

const char *
channel_some(struct channel_batch *b, struct json_object *o, const char *key)
{
	const char *t = channel_text(b, o, key);

	return t != NULL && *t != '\0' ? t : NULL;
}

struct json_object *
channel_member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, key, &v);
	return v;
}

struct json_object *
channel_obj(struct json_object *o, const char *key)
{
	struct json_object *v = channel_member(o, key);

	return json_object_is_type(v, json_type_object) ? v : NULL;
}

struct json_object *
channel_array(struct json_object *o, const char *key)
{
	struct json_object *v = channel_member(o, key);

	return json_object_is_type(v, json_type_array) ? v : NULL;
}

bool
channel_degrees(struct json_object *o, const char *key, double max, double *out)
{
	struct json_object *v = channel_member(o, key);

	if (!json_object_is_type(v, json_type_double) &&
	    !json_object_is_type(v, json_type_int))
		return false;
	*out = json_object_get_double(v);
	return isfinite(*out) && fabs(*out) <= max;
}

int64_t
channel_size(const char *text)
{
	size_t n;

	if (text == NULL || (n = strlen(text)) == 0 || n > 18 ||
	    text[strspn(text, "0123456789")] != '\0')
		return -1;
	return strtoll(text, NULL, 10);
}

int64_t
channel_time(const char *text)
{
	int64_t t = 0;
	size_t n;

	if (text == NULL || (n = strlen(text)) == 0 || n > 15)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)text[i]))
			return 0;
		t = 10 * t + (text[i] - '0');
	}
	return t < 100000000000 ? 1000 * t : t;
}

/* --- texts --- */

/* Bytes of the UTF-8 character that ${c} begins; 1 for a stray byte. */
static size_t
char_len(unsigned char c)
{
	return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
}

size_t
channel_split(const char *text, size_t units, size_t *next)
{
	size_t len = strlen(text), at = 0, used = 0, space = 0, line = 0;

	if (units < 2)
		units = 2;
	while (at < len) {
		size_t n = char_len((unsigned char)text[at]);
		size_t u = n == 4 ? 2 : 1;

		if (used + u > units)
			break;
		if (used >= units - units / SPLIT_BACK) {
			if (text[at] == ' ')
				space = at;
			else if (text[at] == '\n')
				line = at;
		}
		used += u;
		at = n > len - at ? len : at + n;
	}
	*next = at;
	if (at == len)
		return len;
	if (text[at] == ' ' || text[at] == '\n')
		space = at;
	if (line > 0 || space > 0) {
		at = line > 0 ? line : space;
		*next = at + 1;
	}
	return at;
}

bool
channel_part(const char *text, size_t units, int k, const char **p, size_t *len)
{
	size_t next;

	for (;; k--) {
		if (*text == '\0')
			return false;
		*len = channel_split(text, units, &next);
		*p = text;
		if (k == 0)
			return true;
		text += next;
	}
}

void
channel_copy(char *dst, size_t size, const char *src, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)src[i];
		size_t n = char_len(c), k = 1;

		while (k < n && i + k < len &&
		       ((unsigned char)src[i + k] & 0xc0) == 0x80)
			k++;
		if (c >= 0x80 && (c < 0xc2 || c > 0xf4 || k < n)) {
			if (out + 3 >= size)
				break;
			memcpy(dst + out, "\xef\xbf\xbd", 3);
			out += 3;
			i += k;
			continue;
		}
		if (out + n >= size)
			break;
		if (n == 1)
			dst[out] = c < 0x20 || c == 0x7f ? ' ' : src[i];
		else
			memcpy(dst + out, src + i, n);
		out += n;
		i += n;
	}
	dst[out] = '\0';
}

/* --- requests --- */

void
channel_url(const struct channel_account *ac, const char *base,
    const char *path, struct http_request *rq)
{
	const char *b = channel_conf(ac, base);
	size_t n = strlen(b);

	while (n > 0 && b[n - 1] == '/')
		n--;
	buf_append(&rq->url, b, n);
	buf_puts(&rq->url, path);
}

int
channel_body(struct http_request *rq, struct json_object *o)
{
	http_request_header(rq, "Content-Type", "application/json");
	json_write(o, &rq->body);
	json_object_put(o);
	return rq->url.err || rq->headers.err || rq->body.err ? -1 : 0;
}

void
channel_form(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s%s=", b->len > 0 ? "&" : "", name);
	http_urlencode(b, value, strlen(value));
}

/* --- proofs --- */

void
channel_quick_lines(struct buf *b, struct json_object *quick)
{
	size_t n = quick != NULL ? json_object_array_length(quick) : 0;
	const char *title;

	for (size_t i = 0; i < n; i++)
		if (json_get_str(json_object_array_get_idx(quick, i), "title",
			&title, NULL) == 1)
			buf_printf(b, "%s- %s", b->len > 0 ? "\n" : "", title);
}

void
channel_paste(const struct channel *ch, const char *webhook,
    struct json_object *made, struct buf *out)
{
	const char *p = ch->paste, *end;
	struct json_object *v;
	char name[64];

	for (; p != NULL && *p != '\0'; p = end + 1) {
		if (*p != '{' || (end = strchr(p, '}')) == NULL ||
		    (size_t)(end - p) > sizeof(name)) {
			buf_putc(out, *p);
			end = p;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)(end - p - 1), p + 1);
		if (strcmp(name, "webhook") == 0)
			buf_puts(out, webhook);
		else if (json_object_object_get_ex(made, name, &v))
			buf_puts(out, json_object_get_string(v));
		else
			buf_printf(out, "(your %s)", name);
	}
}

void
channel_face(
    struct channel_profile *pf, const char *name, const char *avatar_url)
{
	if (name != NULL)
		channel_copy(pf->name, sizeof(pf->name), name, strlen(name));
	if (avatar_url != NULL && strncmp(avatar_url, "https://", 8) == 0 &&
	    strlen(avatar_url) < sizeof(pf->avatar_url))
		channel_copy(pf->avatar_url, sizeof(pf->avatar_url), avatar_url,
		    strlen(avatar_url));
}

void
channel_named(struct channel_batch *b, struct json_object *o, const char *id,
    const char *name, struct channel_result *rs)
{
	const char *t = channel_some(b, o, id);

	rs->message[0] = rs->message_id[0] = '\0';
	rs->cls = t != NULL ? CHANNEL_SENT : CHANNEL_UNKNOWN;
	if (t == NULL)
		return;
	channel_copy(rs->message_id, sizeof(rs->message_id), t, strlen(t));
	if ((t = channel_some(b, o, name)) != NULL)
		channel_copy(rs->message, sizeof(rs->message), t, strlen(t));
}

int
channel_no_handshake(
    const struct channel_account *ac, const char *query, struct buf *out)
{
	(void)ac;
	(void)query;
	(void)out;
	return 405;
}

struct channel_reply
channel_always_open(const struct channel_account *ac, int64_t last_inbound_at,
    int64_t sent_since, int64_t now_ms)
{
	struct channel_reply r = { .state = CHANNEL_WINDOW_OPEN,
		.free_left = -1 };

	(void)ac;
	(void)last_inbound_at;
	(void)sent_since;
	(void)now_ms;
	return r;
}

bool
channel_hex_equal(
    const char *hex, size_t len, const unsigned char *bytes, size_t n)
{
	unsigned char got[64];

	if (n > sizeof(got) || len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		got[i] = (unsigned char)(hi << 4 | lo);
	}
	return sodium_memcmp(got, bytes, n) == 0;
}
