/*
 * http.c: the head of an HTTP/1 request, parsed strictly.
 *
 * Whatever two parsers could read in two ways is refused: bare LF, folded
 * lines, a space before the colon, two lengths, a length with chunks.  What
 * the answer says and whether the method is allowed is left to the caller.
 * Bodies are handed on as they come, without the chunks they came in.
 */
#include <string.h>
#include <strings.h>

#include <openssl/sha.h>
#include <sodium.h>

#include "hex.h"
#include "http.h"

/* RFC 9110, 5.6.2: what a method and a header's name are made of. */
static int
is_token(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9'))
		return 1;
	return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

void
http_begin(struct http_head *h, const struct http_limits *limits)
{
	memset(h, 0, offsetof(struct http_head, field));
	h->limits = limits;
	h->content_length = -1;
}

static int
refuse(struct http_head *h, int status)
{
	h->status = status;
	return -1;
}

static struct http_span
span(const char *p, const char *from, const char *to)
{
	struct http_span s;

	s.at = (uint16_t)(from - p);
	s.len = (uint16_t)(to - from);
	return s;
}

/* "GET /path?query HTTP/1.1", without its CRLF. */
static int
parse_request_line(struct http_head *h, const char *p, const char *s, size_t n)
{
	const char *end = s + n, *at = s, *target, *stop, *mark;

	while (at < end && is_token((unsigned char)*at))
		at++;
	if (at == s || at == end || *at != ' ' || at - s > HTTP_METHOD_MAX)
		return refuse(h, 400);
	h->method = span(p, s, at);

	target = ++at;
	while (at < end && (unsigned char)*at > 0x20 && *at != 0x7f)
		at++;
	if (at - target > h->limits->target)
		return refuse(h, 414);
	if (at == target || at == end || *at != ' ' || end - at != 9 ||
	    memcmp(at, " HTTP/", 6) != 0 || at[7] != '.')
		return refuse(h, 400);
	if (at[6] != '1' || (at[8] != '0' && at[8] != '1'))
		return refuse(h, at[6] >= '0' && at[6] <= '9' ? 505 : 400);
	h->minor = at[8] - '0';
	stop = at;

	/* The absolute form is what a proxy is sent; the host is ignored. */
	if (*target != '/' && stop - target > 7) {
		if (strncasecmp(target, "http://", 7) == 0)
			target += 7;
		else if (stop - target > 8 &&
			 strncasecmp(target, "https://", 8) == 0)
			target += 8;
		else
			return refuse(h, 400);
		target = memchr(target, '/', (size_t)(stop - target));
	}
	if (target == NULL || *target != '/')
		return refuse(h, 400);
	if (memchr(target, '#', (size_t)(stop - target)) != NULL)
		return refuse(h, 400);
	mark = memchr(target, '?', (size_t)(stop - target));
	h->path = span(p, target, mark ? mark : stop);
	h->query = span(p, mark ? mark + 1 : stop, stop);
	return 0;
}

/* A header that says how long the body is: only one way of saying it. */
static int
parse_framing(struct http_head *h, const char *name, size_t nlen,
    const char *value, size_t vlen)
{
	int64_t n = 0;
	size_t i;

	if (nlen == 4 && strncasecmp(name, "Host", 4) == 0 && ++h->hosts > 1)
		return refuse(h, 400);
	if (nlen == 14 && strncasecmp(name, "Content-Length", 14) == 0) {
		if (h->content_length != -1 || h->chunked || vlen == 0 ||
		    vlen > 15)
			return refuse(h, 400);
		for (i = 0; i < vlen; i++) {
			if (value[i] < '0' || value[i] > '9')
				return refuse(h, 400);
			n = n * 10 + (value[i] - '0');
		}
		h->content_length = n;
	}
	if (nlen == 17 && strncasecmp(name, "Transfer-Encoding", 17) == 0) {
		if (h->content_length != -1 || h->chunked || h->minor == 0 ||
		    vlen != 7 || strncasecmp(value, "chunked", 7) != 0)
			return refuse(h, 400);
		h->chunked = 1;
	}
	return 0;
}

/* "Name: value", without its CRLF. */
static int
parse_field(struct http_head *h, const char *p, const char *s, size_t n)
{
	const char *end = s + n, *at = s, *value;

	if (n > h->limits->field || h->nfields == h->limits->fields ||
	    h->nfields == HTTP_FIELDS_MAX)
		return refuse(h, 431);
	while (at < end && is_token((unsigned char)*at))
		at++;
	/* Also refuses a folded line and "Name :". */
	if (at == s || at == end || *at != ':')
		return refuse(h, 400);
	h->field[h->nfields].name = span(p, s, at);

	value = at + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (at = value; at < end; at++)
		if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f)
			return refuse(h, 400);
	h->field[h->nfields].value = span(p, value, end);

	if (parse_framing(h, s, h->field[h->nfields].name.len, value,
		(size_t)(end - value)) == -1)
		return -1;
	h->nfields++;
	return 0;
}

/*
 * What a line of ${n} bytes, whole or not yet, is refused for at once.  Whole
 * lines are looked at by this first, so that it makes no difference how the
 * bytes came.
 */
static int
check_line(struct http_head *h, const char *line, size_t n)
{
	if (!h->begun && n > 0 && !is_token((unsigned char)line[0]))
		return refuse(h, 400);
	if (!h->begun && n > (size_t)h->limits->target + HTTP_METHOD_MAX + 16)
		return refuse(h, 414);
	if (h->begun && n > (size_t)h->limits->field + 1)
		return refuse(h, 431);
	return 0;
}

int
http_parse(struct http_head *h, const char *p, size_t len)
{
	const char *lf, *line;
	size_t n;

	if (len > h->limits->head)
		len = h->limits->head;
	while ((lf = memchr(p + h->scan, '\n', len - h->scan)) != NULL) {
		line = p + h->line;
		n = (size_t)(lf - line);
		if (check_line(h, line, n) == -1)
			return -1;
		if (n == 0 || lf[-1] != '\r')
			return refuse(h, 400);
		n--;
		h->line = h->scan = (uint16_t)(lf + 1 - p);
		if (!h->begun) {
			if (parse_request_line(h, p, line, n) == -1)
				return -1;
			h->begun = 1;
			continue;
		}
		if (n == 0)
			return h->line;
		if (parse_field(h, p, line, n) == -1)
			return -1;
	}
	h->scan = (uint16_t)len;
	if (check_line(h, p + h->line, len - h->line) == -1)
		return -1;
	if (len >= h->limits->head)
		return refuse(h, h->begun ? 431 : 414);
	return 0;
}

static int
named(const struct http_head *h, const char *p, unsigned i, const char *name,
    size_t len)
{
	return h->field[i].name.len == len &&
	       strncasecmp(p + h->field[i].name.at, name, len) == 0;
}

const char *
http_field(
    const struct http_head *h, const char *p, const char *name, size_t *len)
{
	size_t n = strlen(name);
	unsigned i;

	for (i = 0; i < h->nfields; i++)
		if (named(h, p, i, name, n)) {
			*len = h->field[i].value.len;
			return p + h->field[i].value.at;
		}
	*len = 0;
	return NULL;
}

unsigned
http_count(const struct http_head *h, const char *p, const char *name)
{
	size_t n = strlen(name);
	unsigned i, count = 0;

	for (i = 0; i < h->nfields; i++)
		count += (unsigned)named(h, p, i, name, n);
	return count;
}

int
http_lists(const struct http_head *h, const char *p, const char *name,
    const char *token)
{
	size_t n = strlen(name), tlen = strlen(token), len;
	const char *s, *end, *stop;
	unsigned i;

	for (i = 0; i < h->nfields; i++) {
		if (!named(h, p, i, name, n))
			continue;
		s = p + h->field[i].value.at;
		end = s + h->field[i].value.len;
		for (; s < end; s = stop + 1) {
			stop = memchr(s, ',', (size_t)(end - s));
			if (stop == NULL)
				stop = end;
			while (s < stop && (*s == ' ' || *s == '\t'))
				s++;
			len = (size_t)(stop - s);
			while (len > 0 &&
			       (s[len - 1] == ' ' || s[len - 1] == '\t'))
				len--;
			if (len == tlen && strncasecmp(s, token, len) == 0)
				return 1;
		}
	}
	return 0;
}

int
http_is(const char *p, struct http_span s, const char *text)
{
	return s.len == strlen(text) && memcmp(p + s.at, text, s.len) == 0;
}

/* Percent and plus; a broken escape stays as it is. */
static int
decode(const char *s, size_t n, char *out, size_t size)
{
	size_t i, len = 0;
	char c;

	for (i = 0; i < n; i++) {
		c = s[i];
		if (c == '+')
			c = ' ';
		if (c == '%' && n - i > 2 && hex_digit(s[i + 1]) != -1 &&
		    hex_digit(s[i + 2]) != -1) {
			c = (char)(hex_digit(s[i + 1]) * 16 +
				   hex_digit(s[i + 2]));
			i += 2;
		}
		if (c == '\0' || len + 1 >= size)
			return -2;
		out[len++] = c;
	}
	out[len] = '\0';
	return (int)len;
}

int
http_query(const struct http_head *h, const char *p, const char *name,
    char *out, size_t size)
{
	const char *s = p + h->query.at, *end = s + h->query.len, *stop;
	size_t n = strlen(name);

	for (; s < end; s = stop + 1) {
		stop = memchr(s, '&', (size_t)(end - s));
		if (stop == NULL)
			stop = end;
		if ((size_t)(stop - s) > n && s[n] == '=' &&
		    memcmp(s, name, n) == 0)
			return decode(
			    s + n + 1, (size_t)(stop - s) - n - 1, out, size);
	}
	return -1;
}

/* Whether the value is base64 of exactly 16 bytes, in its one spelling. */
static int
ws_key_good(const char *key, size_t len)
{
	unsigned char raw[18];
	char again[25];
	size_t n;

	if (len != 24 ||
	    sodium_base642bin(raw, sizeof(raw), key, len, NULL, &n, NULL,
		sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    n != 16)
		return 0;
	sodium_bin2base64(
	    again, sizeof(again), raw, n, sodium_base64_VARIANT_ORIGINAL);
	return memcmp(again, key, 24) == 0;
}

int
http_ws_key(const struct http_head *h, const char *p, char accept[29])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[20];
	char text[24 + sizeof(guid)];
	const char *key, *version;
	size_t klen, vlen;

	if (!http_is(p, h->method, "GET"))
		return 405;
	if (h->minor == 0 || !http_lists(h, p, "Upgrade", "websocket"))
		return 426;
	if (!http_lists(h, p, "Connection", "Upgrade") || h->hosts != 1 ||
	    h->content_length > 0 || h->chunked)
		return 400;
	version = http_field(h, p, "Sec-WebSocket-Version", &vlen);
	if (version == NULL || vlen == 0)
		return 400;
	if (vlen != 2 || memcmp(version, "13", 2) != 0 ||
	    http_count(h, p, "Sec-WebSocket-Version") != 1)
		return 4260;
	key = http_field(h, p, "Sec-WebSocket-Key", &klen);
	if (key == NULL || http_count(h, p, "Sec-WebSocket-Key") != 1 ||
	    !ws_key_good(key, klen))
		return 400;

	memcpy(text, key, 24);
	memcpy(text + 24, guid, sizeof(guid));
	SHA1((const unsigned char *)text, 24 + sizeof(guid) - 1, digest);
	sodium_bin2base64(
	    accept, 29, digest, sizeof(digest), sodium_base64_VARIANT_ORIGINAL);
	return 101;
}

/* --- bodies --- */

enum {
	BODY_PLAIN,   /* ${left} bytes of Content-Length */
	BODY_SIZE,    /* the digits of a chunk's size */
	BODY_EXT,     /* what may follow them */
	BODY_SIZE_LF, /* the end of that line */
	BODY_CHUNK,   /* ${left} bytes */
	BODY_CR,
	BODY_LF,
	BODY_TRAILER,    /* at the start of a line behind the last chunk */
	BODY_TRAILER_IN, /* inside of it */
	BODY_TRAILER_LF,
	BODY_LAST_LF,
	BODY_DONE,
	BODY_FAILED
};

enum { CHUNK_DIGITS_MAX = 8, CHUNK_EXTRA_MAX = 4096 };

void
http_body_begin(struct http_body *b, const struct http_head *h)
{
	memset(b, 0, sizeof(*b));
	if (h->chunked)
		b->state = BODY_SIZE;
	else if (h->content_length > 0)
		b->left = h->content_length;
	else
		b->state = BODY_DONE;
}

/* The line of a chunk's size has ended; of 0 means that it was the last. */
static int
after_size(const struct http_body *b)
{
	return b->left > 0 ? BODY_CHUNK : BODY_TRAILER;
}

static int
in_size(struct http_body *b, char c)
{
	int d = hex_digit(c);

	if (d != -1) {
		if (b->digits++ == CHUNK_DIGITS_MAX)
			return BODY_FAILED;
		b->left = b->left * 16 + d;
		return BODY_SIZE;
	}
	if (b->digits == 0)
		return BODY_FAILED;
	b->digits = 0;
	if (c == '\r')
		return BODY_SIZE_LF;
	return c == ';' || c == ' ' || c == '\t' ? BODY_EXT : BODY_FAILED;
}

/* One byte of a body's framing: the state behind it. */
static int
body_step(struct http_body *b, char c)
{
	int lf = c == '\n';

	switch (b->state) {
	case BODY_SIZE:
		return in_size(b, c);
	case BODY_EXT:
	case BODY_TRAILER_IN:
		if (lf || ++b->extra > CHUNK_EXTRA_MAX)
			return BODY_FAILED;
		if (c != '\r')
			return b->state;
		return b->state == BODY_EXT ? BODY_SIZE_LF : BODY_TRAILER_LF;
	case BODY_SIZE_LF:
		return lf ? after_size(b) : BODY_FAILED;
	case BODY_CR:
		return c == '\r' ? BODY_LF : BODY_FAILED;
	case BODY_LF:
		return lf ? BODY_SIZE : BODY_FAILED;
	case BODY_TRAILER:
		if (c == '\r')
			return BODY_LAST_LF;
		return lf ? BODY_FAILED : BODY_TRAILER_IN;
	case BODY_TRAILER_LF:
		return lf ? BODY_TRAILER : BODY_FAILED;
	case BODY_LAST_LF:
		return lf ? BODY_DONE : BODY_FAILED;
	default:
		return b->state;
	}
}

size_t
http_body_read(struct http_body *b, const char *p, size_t len,
    enum http_body_what *what, const char **data, size_t *data_len)
{
	size_t at = 0, n;

	for (;;) {
		if (b->state == BODY_DONE || b->state == BODY_FAILED) {
			*what = b->state == BODY_DONE ? HTTP_BODY_END
						      : HTTP_BODY_BAD;
			return at;
		}
		if (at == len) {
			*what = HTTP_BODY_MORE;
			return at;
		}
		if (b->state == BODY_PLAIN || b->state == BODY_CHUNK)
			break;
		b->state = (uint8_t)body_step(b, p[at++]);
	}
	n = len - at;
	if ((int64_t)n > b->left)
		n = (size_t)b->left;
	b->left -= (int64_t)n;
	if (b->left == 0)
		b->state = b->state == BODY_PLAIN ? BODY_DONE : BODY_CR;
	*what = HTTP_BODY_DATA;
	*data = p + at;
	*data_len = n;
	return at + n;
}
