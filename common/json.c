/*
 * json-c with limits.  A scan of the text by the letter of RFC 8259 goes before
 * json-c, which is lenient; and a writer that can be trusted to stay on one
 * line, in UTF-8.
 */

#include "hex.h"
#include "id.h"
#include "json.h"
#include "limits.h"
#include "utf8.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES_MAX 64

/* Where a scan is, and what it may still take. */
struct scan {
	const char *p, *end;
	size_t depth;   /* levels left */
	size_t items;   /* members and items left */
	size_t str_max; /* bytes of a decoded string */
	size_t members; /* members of objects seen */
	const char *why;
};

static int scan_value(struct scan *s);

static int
scan_bad(struct scan *s, const char *why)
{
	s->why = why;
	return -1;
}

static void
scan_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' ||
				    *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

/* The four digits behind \u; -1 if they are not. */
static long
scan_hex4(const struct scan *s, const char *p)
{
	long v = 0;
	int i, d;

	if (s->end - p < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		if ((d = hex_digit(p[i])) == -1)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* An escape at ${s}->p, behind the backslash.  Adds its bytes to ${*n}. */
static int
scan_escape(struct scan *s, int name, size_t *n)
{
	long v, w;

	if (s->p == s->end)
		return scan_bad(s, "bad_json");
	if (*s->p != 'u') {
		if (strchr("\"\\/bfnrt", *s->p) == NULL || *s->p == '\0')
			return scan_bad(s, "bad_json");
		s->p++;
		*n += 1;
		return 0;
	}
	if ((v = scan_hex4(s, s->p + 1)) == -1)
		return scan_bad(s, "bad_json");
	s->p += 5;
	if (v == 0 && name)
		return scan_bad(s, "bad_json"); /* json-c would cut it there */
	if (v >= 0xd800 && v <= 0xdbff && s->end - s->p >= 6 &&
	    s->p[0] == '\\' && s->p[1] == 'u') {
		w = scan_hex4(s, s->p + 2);
		if (w >= 0xdc00 && w <= 0xdfff) {
			s->p += 6;
			*n += 4;
			return 0;
		}
	}
	*n += v < 0x80 ? 1 : v < 0x800 ? 2 : 3;
	return 0;
}

/* Behind what is neither quote nor backslash nor control; eight at a time. */
static const char *
plain_end(const char *p, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	uint64_t w, quote, slash;

	for (; end - p >= 8; p += 8) {
		memcpy(&w, p, 8);
		quote = w ^ ones * '"';
		slash = w ^ ones * '\\';
		/* A byte's high bit: it is zero, zero, or below a space. */
		if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
			((w - ones * 0x20) & ~w)) &
		    high)
			break;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

static int
scan_string(struct scan *s, int name)
{
	const char *from;
	size_t n = 0;

	if (s->p == s->end || *s->p != '"')
		return scan_bad(s, "bad_json");
	s->p++;
	for (;;) {
		from = s->p;
		s->p = plain_end(from, s->end);
		n += (size_t)(s->p - from);
		if (s->p == s->end)
			return scan_bad(s, "bad_json");
		if (*s->p == '"')
			break;
		if (*s->p++ != '\\')
			return scan_bad(s, "bad_json");
		if (scan_escape(s, name, &n) == -1)
			return -1;
	}
	s->p++;
	if (n > s->str_max)
		return scan_bad(s, "too_large");
	return 0;
}

static size_t
scan_digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - from);
}

static int
scan_number(struct scan *s)
{
	char text[NUMBER_BYTES_MAX + 1];
	const char *from = s->p, *first;
	int whole = 1;
	int64_t v;
	size_t n;

	if (s->p < s->end && *s->p == '-')
		s->p++;
	first = s->p;
	n = scan_digits(s);
	if (n == 0 || (n > 1 && *first == '0'))
		return scan_bad(s, "bad_json");
	if (s->p < s->end && *s->p == '.') {
		whole = 0;
		s->p++;
		if (scan_digits(s) == 0)
			return scan_bad(s, "bad_json");
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		whole = 0;
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (scan_digits(s) == 0)
			return scan_bad(s, "bad_json");
	}
	n = (size_t)(s->p - from);
	if (n > NUMBER_BYTES_MAX)
		return scan_bad(s, "bad_json");
	if (whole) {
		/* json-c would bend it to the nearest it can hold. */
		if (id_number(from, n, INT64_MIN, INT64_MAX, &v) == -1)
			return scan_bad(s, "bad_json");
		return 0;
	}
	memcpy(text, from, n);
	text[n] = '\0';
	if (!isfinite(strtod(text, NULL)))
		return scan_bad(s, "bad_json");
	return 0;
}

static int
scan_word(struct scan *s, const char *word, size_t len)
{
	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return scan_bad(s, "bad_json");
	s->p += len;
	return 0;
}

/* What stands in ${open}..${close}: members if it is an object, else items. */
static int
scan_group(struct scan *s, char close)
{
	if (s->depth-- == 0)
		return scan_bad(s, "too_large");
	s->p++;
	scan_space(s);
	if (s->p < s->end && *s->p == close)
		goto done;
	for (;;) {
		if (s->items-- == 0) {
			s->items = 0;
			return scan_bad(s, "too_large");
		}
		if (close == '}') {
			s->members++;
			if (scan_string(s, 1) == -1)
				return -1;
			scan_space(s);
			if (scan_word(s, ":", 1) == -1)
				return -1;
			scan_space(s);
		}
		if (scan_value(s) == -1)
			return -1;
		scan_space(s);
		if (s->p == s->end)
			return scan_bad(s, "bad_json");
		if (*s->p == close)
			break;
		if (*s->p++ != ',')
			return scan_bad(s, "bad_json");
		scan_space(s);
	}
done:
	s->p++;
	s->depth++;
	return 0;
}

/* One value at ${s}->p, which it moves behind it. */
static int
scan_value(struct scan *s)
{
	if (s->p == s->end)
		return scan_bad(s, "bad_json");
	switch (*s->p) {
	case '{':
		return scan_group(s, '}');
	case '[':
		return scan_group(s, ']');
	case '"':
		return scan_string(s, 0);
	case 't':
		return scan_word(s, "true", 4);
	case 'f':
		return scan_word(s, "false", 5);
	case 'n':
		return scan_word(s, "null", 4);
	default:
		return scan_number(s);
	}
}

/* Members of all objects in ${o}: fewer than the scan saw if names doubled. */
static size_t
json_members(struct json_object *o)
{
	struct json_object_iterator it, end;
	size_t n = 0, i, len;

	switch (json_object_get_type(o)) {
	case json_type_object:
		it = json_object_iter_begin(o);
		end = json_object_iter_end(o);
		for (; !json_object_iter_equal(&it, &end);
		     json_object_iter_next(&it))
			n += 1 + json_members(json_object_iter_peek_value(&it));
		break;
	case json_type_array:
		len = json_object_array_length(o);
		for (i = 0; i < len; i++)
			n += json_members(json_object_array_get_idx(o, i));
		break;
	default:
		break;
	}
	return n;
}

int
json_parse(const char *p, size_t len, size_t depth_max, size_t members_max,
    size_t str_max, struct json_object **out, const char **why)
{
	/* One for the process: making one costs more than a small body. */
	static struct json_tokener *tok;
	struct scan s = { .p = p,
		.end = p + len,
		.depth = depth_max,
		.items = members_max,
		.str_max = str_max };

	*out = NULL;
	*why = "bad_json";
	if (len > INT32_MAX) {
		*why = "too_large";
		return -1;
	}
	if (!utf8_valid(p, len)) {
		*why = "bad_utf8";
		return -1;
	}
	scan_space(&s);
	if (scan_value(&s) == -1) {
		*why = s.why;
		return -1;
	}
	scan_space(&s);
	if (s.p != s.end)
		return -1;
	if (tok == NULL &&
	    (tok = json_tokener_new_ex(JSON_DEPTH_MAX + 2)) == NULL)
		return -1;
	json_tokener_reset(tok);
	*out = json_tokener_parse_ex(tok, p, (int)len);
	/* A bare number ends only where something follows it. */
	if (json_tokener_get_error(tok) == json_tokener_continue)
		*out = json_tokener_parse_ex(tok, "", 1);
	if (json_tokener_get_error(tok) != json_tokener_success ||
	    json_members(*out) != s.members) {
		(void)json_object_put(*out);
		*out = NULL;
		return -1;
	}
	return 0;
}

size_t
json_span(const char *p, size_t len)
{
	struct scan s = { .p = p,
		.end = p + len,
		.depth = JSON_DEPTH_MAX,
		.items = len,
		.str_max = len };

	if (scan_value(&s) == -1)
		return 0;
	return (size_t)(s.p - p);
}

/* Member ${key} of ${o}: 1 and ${*v}, 0 absent or null, -1 ${o} no object. */
static int
json_member(struct json_object *o, const char *key, struct json_object **v)
{
	if (!json_object_is_type(o, json_type_object))
		return -1;
	if (!json_object_object_get_ex(o, key, v) || *v == NULL)
		return 0;
	return 1;
}

int
json_get_str(
    struct json_object *o, const char *key, const char **p, size_t *len)
{
	struct json_object *v;
	int rc;

	if ((rc = json_member(o, key, &v)) != 1)
		return rc;
	if (!json_object_is_type(v, json_type_string))
		return -1;
	*p = json_object_get_string(v);
	if (len != NULL)
		*len = (size_t)json_object_get_string_len(v);
	return 1;
}

int
json_get_int(struct json_object *o, const char *key, int64_t *n)
{
	struct json_object *v;
	int rc;

	if ((rc = json_member(o, key, &v)) != 1)
		return rc;
	if (!json_object_is_type(v, json_type_int))
		return -1;
	*n = json_object_get_int64(v);
	return 1;
}

int
json_get_bool(struct json_object *o, const char *key, bool *b)
{
	struct json_object *v;
	int rc;

	if ((rc = json_member(o, key, &v)) != 1)
		return rc;
	if (!json_object_is_type(v, json_type_boolean))
		return -1;
	*b = json_object_get_boolean(v) != 0;
	return 1;
}

static int
json_get_type(struct json_object *o, const char *key, enum json_type type,
    struct json_object **out)
{
	struct json_object *v;
	int rc;

	if ((rc = json_member(o, key, &v)) != 1)
		return rc;
	if (!json_object_is_type(v, type))
		return -1;
	*out = v;
	return 1;
}

int
json_get_obj(struct json_object *o, const char *key, struct json_object **v)
{
	return json_get_type(o, key, json_type_object, v);
}

int
json_get_arr(struct json_object *o, const char *key, struct json_object **v)
{
	return json_get_type(o, key, json_type_array, v);
}

int
json_get_id(struct json_object *o, const char *key, int64_t *id)
{
	struct json_object *v;
	int64_t n = 0;
	int rc;

	if ((rc = json_member(o, key, &v)) != 1)
		return rc;
	if (json_object_is_type(v, json_type_int))
		n = json_object_get_int64(v);
	else if (json_object_is_type(v, json_type_string))
		n = id_parse(json_object_get_string(v),
		    (size_t)json_object_get_string_len(v));
	if (n <= 0)
		return -1;
	*id = n;
	return 1;
}

void
json_put(struct json_object *o, const char *key, struct json_object *v)
{
	assert(json_object_is_type(o, json_type_object));
	(void)json_object_object_add(o, key, v);
}

void
json_put_str(struct json_object *o, const char *key, const char *s)
{
	json_put(o, key, s != NULL ? json_object_new_string(s) : NULL);
}

void
json_put_strn(struct json_object *o, const char *key, const char *p, size_t len)
{
	json_put(o, key,
	    p != NULL && len <= INT32_MAX
		? json_object_new_string_len(p, (int)len)
		: NULL);
}

void
json_put_int(struct json_object *o, const char *key, int64_t v)
{
	json_put(o, key, json_object_new_int64(v));
}

void
json_put_id(struct json_object *o, const char *key, int64_t id)
{
	char text[24];

	if (id == 0) {
		json_put(o, key, NULL);
		return;
	}
	(void)snprintf(text, sizeof(text), "%lld", (long long)id);
	json_put_str(o, key, text);
}

void
json_put_bool(struct json_object *o, const char *key, bool v)
{
	json_put(o, key, json_object_new_boolean(v));
}

/* The escape of the byte ${c} below 0x20, or of '"' and '\\'. */
static void
write_escape(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"':
		buf_append(b, "\\\"", 2);
		break;
	case '\\':
		buf_append(b, "\\\\", 2);
		break;
	case '\n':
		buf_append(b, "\\n", 2);
		break;
	case '\r':
		buf_append(b, "\\r", 2);
		break;
	case '\t':
		buf_append(b, "\\t", 2);
		break;
	default:
		buf_printf(b, "\\u%04x", c);
		break;
	}
}

void
json_write_str(struct buf *b, const char *p, size_t len)
{
	const char *end = p + len, *from = p;
	unsigned char c;
	size_t n;

	buf_putc(b, '"');
	while (p < end) {
		c = (unsigned char)*p;
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			p++;
			continue;
		}
		if (c >= 0x80) {
			n = utf8_len(p, (size_t)(end - p));
			/* All but faults, U+2028 and U+2029 as they are. */
			if (n > 0 &&
			    !(n == 3 && c == 0xe2 &&
				(unsigned char)p[1] == 0x80 &&
				((unsigned char)p[2] & 0xfe) == 0xa8)) {
				p += n;
				continue;
			}
			buf_append(b, from, (size_t)(p - from));
			if (n == 0) {
				buf_append(b, "\xef\xbf\xbd", 3);
				n = 1;
			} else {
				buf_append(b,
				    (p[2] & 1) != 0 ? "\\u2029" : "\\u2028", 6);
			}
			p += n;
			from = p;
			continue;
		}
		buf_append(b, from, (size_t)(p - from));
		write_escape(b, c);
		from = ++p;
	}
	buf_append(b, from, (size_t)(p - from));
	buf_putc(b, '"');
}

static void
write_int(struct buf *b, int64_t v)
{
	char text[24], *p = text + sizeof(text);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) > 0);
	if (v < 0)
		*--p = '-';
	buf_append(b, p, (size_t)(text + sizeof(text) - p));
}

static void
write_object(struct json_object *o, struct buf *b)
{
	struct json_object_iterator it = json_object_iter_begin(o);
	struct json_object_iterator end = json_object_iter_end(o);
	const char *name, *comma = "{";

	if (json_object_iter_equal(&it, &end)) {
		buf_append(b, "{}", 2);
		return;
	}
	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		buf_append(b, comma, 1);
		comma = ",";
		name = json_object_iter_peek_name(&it);
		json_write_str(b, name, strlen(name));
		buf_putc(b, ':');
		json_write(json_object_iter_peek_value(&it), b);
	}
	buf_putc(b, '}');
}

void
json_write(struct json_object *o, struct buf *b)
{
	size_t i, n;

	switch (json_object_get_type(o)) {
	case json_type_null:
		buf_append(b, "null", 4);
		break;
	case json_type_boolean:
		buf_puts(b, json_object_get_boolean(o) ? "true" : "false");
		break;
	case json_type_int:
		write_int(b, json_object_get_int64(o));
		break;
	case json_type_double:
		if (isfinite(json_object_get_double(o)))
			buf_puts(b, json_object_to_json_string_ext(
					o, JSON_C_TO_STRING_PLAIN));
		else
			buf_append(b, "null", 4);
		break;
	case json_type_string:
		json_write_str(b, json_object_get_string(o),
		    (size_t)json_object_get_string_len(o));
		break;
	case json_type_object:
		write_object(o, b);
		break;
	case json_type_array:
		n = json_object_array_length(o);
		buf_putc(b, '[');
		for (i = 0; i < n; i++) {
			if (i > 0)
				buf_putc(b, ',');
			json_write(json_object_array_get_idx(o, i), b);
		}
		buf_putc(b, ']');
		break;
	}
}
