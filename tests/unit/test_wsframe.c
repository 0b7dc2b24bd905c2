/*
 * WebSocket frames: the same events for the same bytes wherever they are cut,
 * and every fault that RFC 6455 names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "wsframe.h"

enum { MESSAGE_MAX = 1048576, FRAGMENTS_MAX = 1024 };

/* A client's frame: head byte, payload, always with a mask. */
static void
frame(struct buf *b, int head, const void *payload, size_t len)
{
	static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	const unsigned char *p = payload;
	size_t i;

	buf_putc(b, (char)head);
	if (len < 126) {
		buf_putc(b, (char)(0x80 | len));
	} else if (len < 65536) {
		buf_putc(b, (char)(0x80 | 126));
		buf_putc(b, (char)(len >> 8));
		buf_putc(b, (char)len);
	} else {
		buf_putc(b, (char)(0x80 | 127));
		for (i = 0; i < 8; i++)
			buf_putc(b, (char)((uint64_t)len >> (56 - 8 * i)));
	}
	buf_append(b, mask, 4);
	for (i = 0; i < len; i++)
		buf_putc(b, (char)(p[i] ^ mask[i & 3]));
}

/* What was found, as text: "T(hello)" "P(x)" "C(1000 bye)" "F1002". */
static void
note(struct buf *out, const struct wsframe_got *got, int *open)
{
	switch (got->what) {
	case WSFRAME_MORE:
		break;
	case WSFRAME_DATA:
		if (!*open)
			buf_puts(out, got->opcode == WS_TEXT ? "T(" : "B(");
		buf_append(out, got->p, got->len);
		*open = !got->fin;
		if (got->fin)
			buf_putc(out, ')');
		break;
	case WSFRAME_PING:
	case WSFRAME_PONG:
		buf_puts(out, got->what == WSFRAME_PING ? "<ping " : "<pong ");
		buf_append(out, got->p, got->len);
		buf_putc(out, '>');
		break;
	case WSFRAME_CLOSE:
		buf_printf(out, "C%d", got->code);
		break;
	case WSFRAME_FAIL:
		buf_printf(out, "F%d", got->code);
		break;
	}
}

/* Another goes on where ${w} is; with ${cuts}, what is cut off is refused. */
static void
carry_on(struct wsframe *w, int cuts)
{
	const struct wsframe fresh = { .message_max = MESSAGE_MAX,
		.fragments_max = FRAGMENTS_MAX };
	struct wsframe other;
	struct carry_in in;
	struct buf b;
	size_t n;
	char *p;

	buf_init(&b, 4096);
	wsframe_carry(w, &b);
	wsframe_fini(w);
	for (n = cuts ? 0 : b.len; n <= b.len; n++) {
		p = malloc(n ? n : 1); /* exact, for the sanitizer */
		assert_non_null(p);
		memcpy(p, b.data, n);
		other = fresh;
		in = (struct carry_in){ p, n, 0 };
		assert_int_equal(
		    wsframe_adopt(&other, &in), n < b.len ? -1 : 0);
		if (n < b.len)
			wsframe_fini(&other);
		free(p);
	}
	assert_int_equal(carry_end(&in), 0);
	*w = other;
	buf_fini(&b);
}

enum { CARRIED = 1 << 30 }; /* flag of a step: from one to the next */

/* Read in pieces of ${step} bytes, the first of ${first}. */
static void
read_in(const struct buf *in, size_t first, size_t step, struct buf *out)
{
	int carried = (step & CARRIED) != 0;

	struct wsframe w = { .message_max = MESSAGE_MAX,
		.fragments_max = FRAGMENTS_MAX };
	struct wsframe_got got;
	size_t at = 0, n, k;
	char *piece;
	int open = 0;

	buf_reset(out);
	step &= ~(size_t)CARRIED;
	while (at < in->len) {
		if (carried)
			carry_on(&w, in->len < 200);
		n = at == 0 && first > 0 ? first : step;
		if (n > in->len - at)
			n = in->len - at;
		piece = malloc(n); /* exact, for the sanitizer */
		memcpy(piece, in->data + at, n);
		for (k = 0;;) {
			k += wsframe_read(&w, piece + k, n - k, &got);
			note(out, &got, &open);
			if (got.what == WSFRAME_MORE)
				break;
		}
		assert_int_equal(k, n);
		free(piece);
		at += n;
	}
	wsframe_fini(&w);
}

/* The same at every split. */
static void
check(const struct buf *in, const char *expected)
{
	struct buf out;
	size_t i, step = in->len > 3000 ? 997 : 1;

	buf_init(&out, 1 << 22);
	read_in(in, 0, in->len, &out);
	assert_string_equal(out.data, expected);
	read_in(in, 0, 1, &out);
	assert_string_equal(out.data, expected);
	for (i = 1; i < in->len; i += step) {
		read_in(in, i, in->len, &out);
		assert_string_equal(out.data, expected);
	}
	/* Another goes on at each of these cuts. */
	if (in->len < 3000) {
		read_in(in, 0, 1 | CARRIED, &out);
		assert_string_equal(out.data, expected);
	}
	for (i = 1; i < in->len; i += step) {
		read_in(in, i, in->len | CARRIED, &out);
		assert_string_equal(out.data, expected);
	}
	buf_fini(&out);
}

static void
one(int head, const void *p, size_t len, const char *expected)
{
	struct buf b;

	buf_init(&b, 1 << 22);
	frame(&b, head, p, len);
	check(&b, expected);
	buf_fini(&b);
}

static void
test_messages(void **state)
{
	struct buf b;

	(void)state;
	one(0x81, "Hello", 5, "T(Hello)");
	one(0x81, "", 0, "T()");
	one(0x82, "\x01\xff", 2, "B(\x01\xff)");
	buf_init(&b, 1 << 22);
	frame(&b, 0x01, "Hel", 3);
	frame(&b, 0x89, "p", 1);
	frame(&b, 0x00, "", 0);
	frame(&b, 0x8a, "", 0);
	frame(&b, 0x80, "lo", 2);
	frame(&b, 0x81, "x", 1);
	check(&b, "T(Hel<ping p><pong >lo)T(x)");
	buf_fini(&b);
}

static void
test_lengths(void **state)
{
	static const size_t lengths[] = { 125, 126, 127, 65535, 65536, 70000 };
	char *text = malloc(70001), *expected = malloc(70010);
	size_t i;

	(void)state;
	memset(text, 'a', 70001);
	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		sprintf(expected, "T(%.*s)", (int)lengths[i], text);
		one(0x81, text, lengths[i], expected);
	}
	free(text);
	free(expected);
}

/* Lengths not in their shortest form are taken. */
static void
test_long_lengths(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_append(&b, "\x81\xfe\x00\x01\0\0\0\0a", 9);
	buf_append(&b, "\x81\xff\0\0\0\0\0\0\0\x01\0\0\0\0b", 15);
	check(&b, "T(a)T(b)");
	buf_fini(&b);
}

static void
raw(const void *p, size_t len, const char *expected)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_append(&b, p, len);
	check(&b, expected);
	buf_fini(&b);
}

static void
test_protocol_errors(void **state)
{
	struct buf b;
	int i;

	(void)state;
	for (i = 1; i < 8; i++) /* RSV bits */
		one(0x81 | i << 4, "a", 1, "F1002");
	for (i = 3; i < 16; i++) /* opcodes that are none */
		if (i < 8 || i > 10)
			one(0x80 | i, "a", 1, "F1002");
	raw("\x81\x01"
	    "a",
	    3, "F1002");                            /* no mask */
	one(0x09, "a", 1, "F1002");                 /* fragmented ping */
	raw("\x89\xfe\0\x01\0\0\0\0a", 9, "F1002"); /* long ping */
	one(0x80, "a", 1, "F1002");                 /* nothing to continue */
	one(0x00, "a", 1, "F1002");
	raw("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14, "F1002");
	buf_init(&b, 1000);
	frame(&b, 0x01, "a", 1);
	frame(&b, 0x81, "b", 1); /* a message in a message */
	check(&b, "T(aF1002");
	buf_fini(&b);
}

static void
test_utf8(void **state)
{
	struct buf b;

	(void)state;
	one(0x81, "\xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80", 9,
	    "T(\xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80)");
	buf_init(&b, 1000);
	frame(&b, 0x01, "\xf0\x9f", 2); /* cut inside a character */
	frame(&b, 0x00, "\x98", 1);
	frame(&b, 0x80, "\x80", 1);
	check(&b, "T(\xf0\x9f\x98\x80)");
	buf_fini(&b);
}

/* A fault is told at its byte, so the text before it may be out already. */
static void
test_bad_utf8(void **state)
{
	static const char *const bad[] = { "\xc0\xaf", "\xe0\x80\xaf",
		"\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
		"\x80", "\xce" };
	struct wsframe w;
	struct wsframe_got got;
	struct buf b;
	size_t i, at;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		buf_init(&b, 1000);
		frame(&b, 0x81, bad[i], strlen(bad[i]));
		memset(&w, 0, sizeof(w));
		w.message_max = MESSAGE_MAX;
		w.fragments_max = FRAGMENTS_MAX;
		at = 0;
		do
			at += wsframe_read(&w, b.data + at, b.len - at, &got);
		while (got.what == WSFRAME_DATA);
		assert_int_equal(got.what, WSFRAME_FAIL);
		assert_int_equal(got.code, 1007);
		buf_fini(&b);
	}
	/* In a message that is far from its end. */
	buf_init(&b, 1000);
	frame(&b, 0x01, "a\xff", 2);
	memset(&w, 0, sizeof(w));
	w.message_max = MESSAGE_MAX;
	w.fragments_max = FRAGMENTS_MAX;
	wsframe_read(&w, b.data, b.len, &got);
	assert_int_equal(got.code, 1007);
	buf_fini(&b);
}

static void
test_sizes(void **state)
{
	static const char zero[600000];
	struct buf b;
	int i;

	(void)state;
	/* Refused at the head: nothing of 2^62 bytes has come. */
	raw("\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 14, "F1009");
	raw("\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0", 14, "F1009");
	buf_init(&b, 4 << 20);
	frame(&b, 0x02, zero, sizeof(zero));
	frame(&b, 0x80, zero, sizeof(zero));
	{
		struct wsframe w = { .message_max = MESSAGE_MAX,
			.fragments_max = FRAGMENTS_MAX };
		struct wsframe_got got;
		size_t at = 0;

		do
			at += wsframe_read(&w, b.data + at, b.len - at, &got);
		while (got.what == WSFRAME_DATA);
		assert_int_equal(got.what, WSFRAME_FAIL);
		assert_int_equal(got.code, 1009);
	}
	buf_reset(&b);
	frame(&b, 0x01, "", 0);
	for (i = 0; i < FRAGMENTS_MAX; i++)
		frame(&b, 0x00, "", 0);
	check(&b, "F1009");
	buf_fini(&b);
}

static void
test_close(void **state)
{
	static const int good[] = { 1000, 1001, 1003, 1007, 1011, 1012, 1014,
		3000, 3999, 4000, 4999 };
	static const int bad[] = { 0, 999, 1004, 1005, 1006, 1015, 1016, 2999,
		5000, 65535 };
	char p[4], expected[16];
	struct buf b;
	size_t i;

	(void)state;
	one(0x88, "", 0, "C0");
	one(0x88, "a", 1, "F1002");
	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		p[0] = (char)(good[i] >> 8);
		p[1] = (char)good[i];
		sprintf(expected, "C%d", good[i]);
		one(0x88, p, 2, expected);
	}
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		p[0] = (char)(bad[i] >> 8);
		p[1] = (char)bad[i];
		one(0x88, p, 2, "F1002");
	}
	one(0x88, "\x03\xe8\xc3\xa4", 4, "C1000");
	one(0x88, "\x03\xe8\xff", 3, "F1007");
	/* What follows a Close, or a fault, is not read. */
	buf_init(&b, 1000);
	frame(&b, 0x88, "\x03\xe8", 2);
	frame(&b, 0x81, "x", 1);
	check(&b, "C1000");
	buf_fini(&b);
}

static void
test_head(void **state)
{
	unsigned char out[WSFRAME_HEAD_MAX];

	(void)state;
	assert_int_equal(wsframe_head(out, WS_TEXT, 125), 2);
	assert_memory_equal(out, "\x81\x7d", 2);
	assert_int_equal(wsframe_head(out, WS_BINARY, 126), 4);
	assert_memory_equal(out, "\x82\x7e\x00\x7e", 4);
	assert_int_equal(wsframe_head(out, WS_CLOSE, 65535), 4);
	assert_memory_equal(out, "\x88\x7e\xff\xff", 4);
	assert_int_equal(wsframe_head(out, WS_TEXT, 65536), 10);
	assert_memory_equal(out, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_long_lengths),
		cmocka_unit_test(test_protocol_errors),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_bad_utf8),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
