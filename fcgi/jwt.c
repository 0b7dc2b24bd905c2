/* JSON Web Tokens: HS256, one way to write each, all others refused. */

#include "jwt.h"

#include "buf.h"
#include "id.h"
#include "json.h"
#include "token.h"
#include "utf8.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KEY_BYTES_MIN 32
#define HEAD "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

/* Append base64url of the bytes. */
static void
put_b64(struct buf *b, const void *p, size_t len)
{
	char *to = buf_room(b, (len * 4 + 2) / 3);

	if (to != NULL)
		b->len += token_b64(p, len, to);
}

static void
put_text(struct buf *b, const char *name, const char *s)
{
	if (s[0] == '\0')
		return;
	buf_printf(b, ",\"%s\":", name);
	json_write_str(b, s, strlen(s));
}

size_t
jwt_sign(
    const void *key, size_t klen, const struct jwt *j, char out[JWT_BYTES_MAX])
{
	unsigned char mac[TOKEN_MAC_BYTES];
	struct buf text, claims;
	size_t len = 0;

	buf_init(&text, JWT_BYTES_MAX - 1);
	buf_init(&claims, JWT_BYTES_MAX);
	buf_puts(&claims, "{\"userId\":");
	if (j->user_id > 0)
		buf_printf(&claims, "%lld", (long long)j->user_id);
	else
		json_write_str(&claims, j->user, strlen(j->user));
	if (j->session > 0)
		buf_printf(&claims, ",\"sid\":\"%lld\"", (long long)j->session);
	put_text(&claims, "role", j->role);
	put_text(&claims, "name", j->name);
	put_text(&claims, "aud", j->aud);
	if (j->iat > 0)
		buf_printf(&claims, ",\"iat\":%lld", (long long)j->iat);
	buf_printf(&claims, ",\"exp\":%lld}", (long long)j->exp);

	put_b64(&text, HEAD, strlen(HEAD));
	buf_putc(&text, '.');
	put_b64(&text, claims.data, claims.len);
	token_hmac(key, klen, text.data, text.len, mac);
	buf_putc(&text, '.');
	put_b64(&text, mac, sizeof(mac));
	if (!text.err && !claims.err && klen >= KEY_BYTES_MIN) {
		memcpy(out, text.data, text.len + 1);
		len = text.len;
	}
	buf_fini(&text);
	buf_fini(&claims);
	return len;
}

/* The JSON object at ${p}, as a new object; NULL if it is none. */
static struct json_object *
json_of(const char *p, size_t len)
{
	struct json_object *o;
	const char *why;

	if (json_parse(p, len, 8, 100, JWT_BYTES_MAX, &o, &why) == -1)
		return NULL;
	if (!json_object_is_type(o, json_type_object)) {
		(void)json_object_put(o);
		return NULL;
	}
	return o;
}

/* The same in base64url. */
static struct json_object *
part_json(const char *p, size_t len)
{
	char raw[JWT_BYTES_MAX];
	long n = token_unb64(p, len, raw, sizeof(raw));

	return n > 0 ? json_of(raw, (size_t)n) : NULL;
}

/* Copy member ${key}: 1, 0 absent, -1 another type, too long or with a NUL. */
static int
claim_text(struct json_object *o, const char *key, char *out, size_t size)
{
	const char *s;
	size_t len;
	int rc;

	out[0] = '\0';
	if ((rc = json_get_str(o, key, &s, &len)) != 1)
		return rc;
	if (len >= size || memchr(s, '\0', len) != NULL)
		return -1;
	memcpy(out, s, len);
	out[len] = '\0';
	return 1;
}

/* A NumericDate in seconds, perhaps with a fraction: 1, 0 absent, -1. */
static int
claim_time(struct json_object *o, const char *key, int64_t *out)
{
	struct json_object *v;
	double d;

	if (!json_object_object_get_ex(o, key, &v))
		return 0;
	if (json_object_is_type(v, json_type_int)) {
		*out = json_object_get_int64(v);
	} else if (json_object_is_type(v, json_type_double)) {
		d = floor(json_object_get_double(v));
		if (!(d >= 0 && d < 9e15))
			return -1;
		*out = (int64_t)d;
	} else {
		return -1;
	}
	return *out >= 0 && *out <= CURSOR_MAX ? 1 : -1;
}

static bool
head_good(struct json_object *o)
{
	const char *s;
	size_t len;

	if (json_get_str(o, "alg", &s, &len) != 1 || len != 5 ||
	    memcmp(s, "HS256", 5) != 0)
		return false;
	switch (json_get_str(o, "typ", &s, &len)) {
	case 1:
		if (len != 3 || strncasecmp(s, "JWT", 3) != 0)
			return false;
		break;
	case -1:
		return false;
	default:
		break;
	}
	/* What must be understood and is not. */
	return !json_object_object_get_ex(o, "crit", NULL);
}

/* The session: a number, or that number as text; another's own is passed by. */
static int
claim_sid(struct json_object *o, int64_t *sid)
{
	char text[REF_BYTES_MAX * 4];

	*sid = 0;
	if (json_get_id(o, "sid", sid) >= 0)
		return 0;
	return claim_text(o, "sid", text, sizeof(text)) == 1 ? 0 : -1;
}

/* One audience: a text, or an array with a text alone. */
static int
claim_aud(struct json_object *o, char *out, size_t size)
{
	struct json_object *v;
	const char *s;
	size_t len;

	out[0] = '\0';
	if (json_get_arr(o, "aud", &v) != 1)
		return claim_text(o, "aud", out, size) == -1 ? -1 : 0;
	if (json_object_array_length(v) != 1)
		return -1;
	v = json_object_array_get_idx(v, 0);
	if (!json_object_is_type(v, json_type_string))
		return -1;
	s = json_object_get_string(v);
	len = (size_t)json_object_get_string_len(v);
	if (len >= size || strlen(s) != len)
		return -1;
	memcpy(out, s, len + 1);
	return 0;
}

static int
claims_read(struct json_object *o, int64_t now_s, struct jwt *j)
{
	int64_t nbf;
	int rc;

	if (claim_time(o, "exp", &j->exp) != 1 ||
	    now_s >= j->exp + JWT_LEEWAY_S)
		return -1;
	if ((rc = claim_time(o, "nbf", &nbf)) == -1 ||
	    (rc == 1 && nbf > now_s + JWT_LEEWAY_S))
		return -1;
	if (claim_time(o, "iat", &j->iat) == -1)
		return -1;
	if (json_get_id(o, "userId", &j->user_id) == 1)
		(void)snprintf(
		    j->user, sizeof(j->user), "%lld", (long long)j->user_id);
	else if (claim_text(o, "userId", j->user, sizeof(j->user)) != 1 ||
		 j->user[0] == '\0')
		return -1;
	if (claim_sid(o, &j->session) == -1 ||
	    claim_aud(o, j->aud, sizeof(j->aud)) == -1 ||
	    claim_text(o, "role", j->role, sizeof(j->role)) == -1 ||
	    claim_text(o, "name", j->name, sizeof(j->name)) == -1)
		return -1;
	return 0;
}

/* Step over ${word}, if it comes next. */
static bool
eat(const char **p, const char *end, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(end - *p) < len || memcmp(*p, word, len) != 0)
		return false;
	*p += len;
	return true;
}

static bool
eat_number(const char **p, const char *end, int64_t *n)
{
	const char *q = *p;

	while (q < end && *q >= '0' && *q <= '9')
		q++;
	if (q - *p > 15 || (*n = id_parse(*p, (size_t)(q - *p))) == 0)
		return false;
	*p = q;
	return true;
}

/* A text without escapes, and the quote that ends it. */
static bool
eat_text(const char **p, const char *end, char *out, size_t size)
{
	const char *q = *p;
	size_t len;

	while (q < end && *q != '"' && *q != '\\' && (unsigned char)*q >= 0x20)
		q++;
	len = (size_t)(q - *p);
	if (q == end || *q != '"' || len >= size || !utf8_valid(*p, len))
		return false;
	memcpy(out, *p, len);
	out[len] = '\0';
	*p = q + 1;
	return true;
}

/*
 * Claims exactly as jwt_sign writes them, which is what a poller shows every
 * few seconds: a fifth of its request would go into a JSON tree.  false: they
 * are written another way, or have run out; claims_read tells.
 */
static bool
claims_ours(const char *p, size_t len, int64_t now_s, struct jwt *j)
{
	const char *end = p + len;

	if (!eat(&p, end, "{\"userId\":") || !eat_number(&p, end, &j->user_id))
		return false;
	(void)snprintf(j->user, sizeof(j->user), "%lld", (long long)j->user_id);
	if (eat(&p, end, ",\"sid\":\"") &&
	    !(eat_number(&p, end, &j->session) && eat(&p, end, "\"")))
		return false;
	if (eat(&p, end, ",\"role\":\"") &&
	    !eat_text(&p, end, j->role, sizeof(j->role)))
		return false;
	if (eat(&p, end, ",\"name\":\"") &&
	    !eat_text(&p, end, j->name, sizeof(j->name)))
		return false;
	if (eat(&p, end, ",\"aud\":\"") &&
	    !eat_text(&p, end, j->aud, sizeof(j->aud)))
		return false;
	if (eat(&p, end, ",\"iat\":") && !eat_number(&p, end, &j->iat))
		return false;
	return eat(&p, end, ",\"exp\":") && eat_number(&p, end, &j->exp) &&
	       eat(&p, end, "}") && p == end && now_s < j->exp + JWT_LEEWAY_S;
}

int
jwt_verify(const void *key, size_t klen, const char *p, size_t len,
    int64_t now_s, struct jwt *j)
{
	static const char head[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
	unsigned char mac[TOKEN_MAC_BYTES], good[TOKEN_MAC_BYTES];
	const char *dot1, *dot2;
	char claims[JWT_BYTES_MAX];
	struct json_object *o;
	long n;
	bool ok;

	memset(j, 0, sizeof(*j));
	if (klen < KEY_BYTES_MIN || len >= JWT_BYTES_MAX)
		return -1;
	if ((dot1 = memchr(p, '.', len)) == NULL)
		return -1;
	dot2 = memchr(dot1 + 1, '.', len - (size_t)(dot1 + 1 - p));
	if (dot2 == NULL ||
	    memchr(dot2 + 1, '.', len - (size_t)(dot2 + 1 - p)) != NULL)
		return -1;
	if (token_unb64(dot2 + 1, len - (size_t)(dot2 + 1 - p), mac,
		sizeof(mac)) != (long)sizeof(mac))
		return -1;
	token_hmac(key, klen, p, (size_t)(dot2 - p), good);
	if (!token_equal(mac, sizeof(mac), good, sizeof(good)))
		return -1;
	/* The head that we write ourselves needs no reading. */
	if ((size_t)(dot1 - p) == sizeof(head) - 1 &&
	    memcmp(p, head, sizeof(head) - 1) == 0) {
		ok = true;
	} else {
		if ((o = part_json(p, (size_t)(dot1 - p))) == NULL)
			return -1;
		ok = head_good(o);
		(void)json_object_put(o);
	}
	n = token_unb64(
	    dot1 + 1, (size_t)(dot2 - dot1 - 1), claims, sizeof(claims));
	if (!ok || n <= 0)
		return -1;
	if (claims_ours(claims, (size_t)n, now_s, j))
		return 0;
	memset(j, 0, sizeof(*j));
	if ((o = json_of(claims, (size_t)n)) == NULL)
		return -1;
	ok = claims_read(o, now_s, j) == 0;
	(void)json_object_put(o);
	if (!ok)
		memset(j, 0, sizeof(*j));
	return ok ? 0 : -1;
}
