/*
 * The head of a request: what is taken, what is refused and how, and that it
 * makes no difference where the bytes are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "http.h"

static const struct http_limits limits = { 16384, 8192, 4096, 100 };
static struct http_head h;

static int
parse(const char *p, size_t len)
{
	http_begin(&h, &limits);
	return http_parse(&h, p, len);
}

/* Byte by byte; the verdict must come no later than at the last byte. */
static int
parse_slowly(const char *p, size_t len)
{
	size_t i;
	int n = 0;

	http_begin(&h, &limits);
	for (i = 1; i <= len && n == 0; i++)
		n = http_parse(&h, p, i);
	return n;
}

static int
status(const char *text)
{
	size_t len = strlen(text), i;
	int whole, n;

	whole = parse(text, len) == -1 ? h.status : 0;
	assert_int_equal(parse_slowly(text, len) == -1 ? h.status : 0, whole);
	for (i = 0; i <= len; i++) {
		http_begin(&h, &limits);
		n = http_parse(&h, text, i);
		if (n == 0)
			n = http_parse(&h, text, len);
		assert_int_equal(n == -1 ? h.status : 0, whole);
	}
	return whole;
}

static void
test_taken(void **state)
{
	static const char text[] =
	    "GET /api/events/stream?token=a%2Bb&x=1+2 HTTP/1.1\r\n"
	    "Host: chat.example\r\nAuthorization:Bearer T\r\n"
	    "X-Odd: \t a b \t \r\nEmpty:\r\n\r\nrest";
	size_t len = sizeof(text) - 1, n, i;
	char out[16];
	const char *v;

	(void)state;
	for (i = 0; i < len - 4; i++) {
		http_begin(&h, &limits);
		assert_int_equal(http_parse(&h, text, i), 0);
		assert_int_equal(http_parse(&h, text, len), (int)len - 4);
	}
	assert_true(http_is(text, h.method, "GET"));
	assert_true(http_is(text, h.path, "/api/events/stream"));
	assert_int_equal(h.minor, 1);
	assert_int_equal(h.hosts, 1);
	assert_int_equal(h.nfields, 4);
	v = http_field(&h, text, "authorization", &n);
	assert_int_equal(n, 8);
	assert_memory_equal(v, "Bearer T", 8);
	v = http_field(&h, text, "X-ODD", &n);
	assert_int_equal(n, 3);
	assert_memory_equal(v, "a b", 3);
	assert_non_null(http_field(&h, text, "Empty", &n));
	assert_int_equal(n, 0);
	assert_null(http_field(&h, text, "Hos", &n));
	assert_int_equal(http_query(&h, text, "token", out, sizeof(out)), 3);
	assert_string_equal(out, "a+b");
	assert_int_equal(http_query(&h, text, "x", out, sizeof(out)), 3);
	assert_string_equal(out, "1 2");
	assert_int_equal(http_query(&h, text, "toke", out, sizeof(out)), -1);
	assert_int_equal(http_query(&h, text, "token", out, 3), -2);
}

static void
test_other_forms(void **state)
{
	(void)state;
	assert_int_equal(status("GET / HTTP/1.0\r\n\r\n"), 0);
	assert_int_equal(h.minor, 0);
	assert_int_equal(status("GET http://a.b/x?y HTTP/1.1\r\n\r\n"), 0);
	assert_int_equal(status("OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
	assert_int_equal(
	    status("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), 0);
	assert_int_equal(h.content_length, 5);
	assert_int_equal(
	    status("GET / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"), 0);
	assert_true(h.chunked);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
		"\r\n",
		"\n",
		" GET / HTTP/1.1\r\n\r\n",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/1.1 \r\n\r\n",
		"GET / http/1.1\r\n\r\n",
		"GET / HTTP/1.1\n\r\n",
		"GET / HTTP/1.1\r\nA: b\n\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\r\n A: b\r\n\r\n",
		"GET / HTTP/1.1\r\nA : b\r\n\r\n",
		"GET / HTTP/1.1\r\n: b\r\n\r\n",
		"GET / HTTP/1.1\r\nA\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\001c\r\n\r\n",
		"GET / HTTP/1.1\r\nA(: b\r\n\r\n",
		"GET x HTTP/1.1\r\n\r\n",
		"GET * HTTP/1.1\r\n\r\n",
		"GET /a#b HTTP/1.1\r\n\r\n",
		"GET ftp://a/ HTTP/1.1\r\n\r\n",
		"GET http://a HTTP/1.1\r\n\r\n",
		"GET /\x7f HTTP/1.1\r\n\r\n",
		"ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\n"
		"Content-Length: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\n"
		"Transfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
		"Content-Length: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 99999999999999999\r\n\r\n",
		"GET / HTTP/x.1\r\n\r\n",
		"GET / HTTQ/1.1\r\n\r\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (status(bad[i]) != 400)
			fail_msg("%zu: %s gives %d", i, bad[i], status(bad[i]));
	assert_int_equal(status("GET / HTTP/2.0\r\n\r\n"), 505);
	assert_int_equal(status("GET / HTTP/9.9\r\n\r\n"), 505);
	assert_int_equal(status("GET / HTTP/1.2\r\n\r\n"), 505);
}

/* A head with one line of so many bytes, or so many lines. */
static int
sized(size_t target, size_t value, unsigned lines)
{
	char *p = malloc(200000);
	size_t n;
	int rc;

	n = (size_t)sprintf(p, "GET /");
	memset(p + n, 'a', target);
	n += target;
	n += (size_t)sprintf(p + n, " HTTP/1.1\r\nV: ");
	memset(p + n, 'v', value);
	n += value;
	n += (size_t)sprintf(p + n, "\r\n");
	while (lines-- > 1)
		n += (size_t)sprintf(p + n, "A: b\r\n");
	n += (size_t)sprintf(p + n, "\r\n");
	rc = parse(p, n) == -1 ? h.status : 0;
	assert_int_equal(parse_slowly(p, n) == -1 ? h.status : 0, rc);
	free(p);
	return rc;
}

static void
test_limits(void **state)
{
	(void)state;
	assert_int_equal(sized(4095, 0, 1), 0);
	assert_int_equal(sized(4096, 0, 1), 414);
	assert_int_equal(sized(100000, 0, 1), 414);
	assert_int_equal(sized(1, 8192 - 3, 1), 0);
	assert_int_equal(sized(1, 8192 - 2, 1), 431);
	assert_int_equal(sized(1, 150000, 1), 431);
	assert_int_equal(sized(1, 1, 100), 0);
	assert_int_equal(sized(1, 1, 101), 431);
	/* All together. */
	assert_int_equal(sized(4000, 8000, 100), 0);
}

static void
test_head_too_large(void **state)
{
	char *p = malloc(40000);
	size_t n = (size_t)sprintf(p, "GET / HTTP/1.1\r\n");
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		n += (size_t)sprintf(p + n, "A: ");
		memset(p + n, 'x', 4000);
		n += 4000;
		n += (size_t)sprintf(p + n, "\r\n");
	}
	n += (size_t)sprintf(p + n, "\r\n");
	assert_int_equal(parse(p, n), -1);
	assert_int_equal(h.status, 431);
	assert_int_equal(parse_slowly(p, n), -1);
	assert_int_equal(h.status, 431);
	free(p);
}

static void
test_lists(void **state)
{
	static const char text[] =
	    "GET / HTTP/1.1\r\nConnection: keep-alive , Upgrade\r\n"
	    "Connection:,x,\r\nUpgrade: h2c\r\nupgrade:  WebSocket \r\n\r\n";

	(void)state;
	assert_true(parse(text, sizeof(text) - 1) > 0);
	assert_true(http_lists(&h, text, "connection", "upgrade"));
	assert_true(http_lists(&h, text, "connection", "X"));
	assert_true(http_lists(&h, text, "Upgrade", "websocket"));
	assert_false(http_lists(&h, text, "Upgrade", "web"));
	assert_int_equal(http_count(&h, text, "Upgrade"), 2);
}

static int
shake(const char *request, const char *fields)
{
	char text[1024], accept[29];
	int n = snprintf(text, sizeof(text), "%s\r\n%s\r\n", request, fields);

	assert_true(parse(text, (size_t)n) > 0);
	return http_ws_key(&h, text, accept);
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UP "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"

static void
test_handshake(void **state)
{
	static const char text[] =
	    "GET /ws HTTP/1.1\r\nHost: a\r\n" UP KEY V13 "\r\n";
	char accept[29];

	(void)state;
	assert_true(parse(text, sizeof(text) - 1) > 0);
	assert_int_equal(http_ws_key(&h, text, accept), 101);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

	assert_int_equal(
	    shake("POST / HTTP/1.1", "Host: a\r\n" UP KEY V13), 405);
	assert_int_equal(
	    shake("GET / HTTP/1.0", "Host: a\r\n" UP KEY V13), 426);
	assert_int_equal(shake("GET / HTTP/1.1", "Host: a\r\n" KEY V13), 426);
	assert_int_equal(shake("GET / HTTP/1.1", UP KEY V13), 400);
	assert_int_equal(shake("GET / HTTP/1.1",
			     "Host: a\r\nUpgrade: websocket\r\n" KEY V13),
	    400);
	assert_int_equal(shake("GET / HTTP/1.1", "Host: a\r\n" UP V13), 400);
	assert_int_equal(
	    shake("GET / HTTP/1.1", "Host: a\r\n" UP KEY KEY V13), 400);
	assert_int_equal(
	    shake("GET / HTTP/1.1",
		"Host: a\r\n" UP "Sec-WebSocket-Key: dGhlIHNhbXBs\r\n" V13),
	    400);
	/* The last character's spare bits must be zero. */
	assert_int_equal(
	    shake("GET / HTTP/1.1",
		"Host: a\r\n" UP
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" V13),
	    400);
	assert_int_equal(
	    shake("GET / HTTP/1.1",
		"Host: a\r\n" UP KEY "Sec-WebSocket-Version: 8\r\n"),
	    4260);
	assert_int_equal(shake("GET / HTTP/1.1", "Host: a\r\n" UP KEY), 400);
	assert_int_equal(shake("GET / HTTP/1.1",
			     "Host: a\r\nContent-Length: 2\r\n" UP KEY V13),
	    400);
}

/* What a body says, read in pieces; "!" at its end if it is malformed. */
static void
body_in(const struct http_head *head, const char *p, size_t len, size_t first,
    size_t step, char out[128])
{
	enum http_body_what what = HTTP_BODY_MORE;
	struct http_body b;
	const char *data;
	size_t at = 0, n, k, data_len, o = 0;
	char *piece;

	http_body_begin(&b, head);
	while (at < len && what <= HTTP_BODY_DATA) {
		n = at == 0 && first > 0 ? first : step;
		if (n > len - at)
			n = len - at;
		piece = malloc(n); /* exact, for the sanitizer */
		memcpy(piece, p + at, n);
		k = 0;
		do {
			k += http_body_read(
			    &b, piece + k, n - k, &what, &data, &data_len);
			if (what == HTTP_BODY_DATA) {
				memcpy(out + o, data, data_len);
				o += data_len;
			}
		} while (what == HTTP_BODY_DATA);
		free(piece);
		at += n;
	}
	memcpy(out + o,
	    what == HTTP_BODY_END   ? "."
	    : what == HTTP_BODY_BAD ? "!"
				    : "~",
	    2);
}

static void
body(const char *fields, const char *p, const char *expected)
{
	char head[200], out[128];
	size_t len = strlen(p), i;
	int n = snprintf(
	    head, sizeof(head), "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);

	assert_int_equal(parse(head, (size_t)n), n);
	body_in(&h, p, len, 0, len, out);
	assert_string_equal(out, expected);
	body_in(&h, p, len, 0, 1, out);
	assert_string_equal(out, expected);
	for (i = 1; i < len; i++) {
		body_in(&h, p, len, i, len, out);
		assert_string_equal(out, expected);
	}
}

static void
test_bodies(void **state)
{
	static const char chunked[] = "Transfer-Encoding: chunked\r\n";
	struct http_body b;
	enum http_body_what what;
	const char *data;
	size_t len;

	(void)state;
	body("Content-Length: 5\r\n", "hello", "hello.");
	body("Content-Length: 5\r\n", "hello, and more", "hello.");
	body("Content-Length: 6\r\n", "hello", "hello~");
	body(chunked, "5\r\nhello\r\n0\r\n\r\n", "hello.");
	body(chunked, "5\r\nhello\r\n00a ; x=y\r\n0123456789\r\n0\r\n\r\nmore",
	    "hello0123456789.");
	body(chunked, "1\r\na\r\n0;x\r\nA: b\r\nC: d\r\n\r\n", "a.");
	body(chunked, "5\r\nhel", "hel~");
	body(chunked, "0\r\n\r", "~");
	body(chunked, "\r\n", "!");
	body(chunked, "x\r\n", "!");
	body(chunked, "-1\r\n", "!");
	body(chunked, "5\nhello", "!");
	body(chunked, "5\r\rhello", "!");
	body(chunked, "2\r\nabc\r\n", "ab!");
	body(chunked, "1\r\na\n0\r\n\r\n", "a!");
	body(chunked, "100000000\r\n", "!");
	body(chunked, "000000001\r\na", "!");
	body(chunked, "0\r\n\n", "!");
	body(chunked, "0\r\nA: b\n\r\n", "!");
	/* Without any it is whole at once. */
	assert_true(parse("POST / HTTP/1.1\r\n\r\n", 19) > 0);
	http_body_begin(&b, &h);
	assert_int_equal(http_body_read(&b, "x", 1, &what, &data, &len), 0);
	assert_int_equal(what, HTTP_BODY_END);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_other_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_head_too_large),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_bodies),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
