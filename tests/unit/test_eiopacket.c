/*
 * Engine.IO packets and payloads: what goes in comes out again, and what is
 * cut anywhere is refused or shorter, never something else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "eiopacket.h"

/* The payload's packets as text: "4(abc)" "4[bytes]"; "!" where it fails. */
static void
list(struct buf *out, int eio, int binary, const char *p, size_t len)
{
	struct eiopayload x = { .eio = eio, .binary = binary, .len = len };
	struct eiopacket got;
	int rc;

	buf_reset(out);
	x.p = malloc(len + 1); /* exact but for an empty one's */
	memcpy(x.p, p, len);
	while ((rc = eiopayload_next(&x, &got)) == 1) {
		assert_true(x.at <= x.len);
		buf_printf(out, "%d%c", (int)got.type, got.binary ? '[' : '(');
		buf_append(out, got.p, got.len);
		buf_putc(out, got.binary ? ']' : ')');
	}
	if (rc == -1)
		buf_putc(out, '!');
	free(x.p);
}

static void
check(int eio, int binary, const char *p, size_t len, const char *expected)
{
	struct buf whole, cut;
	size_t i, n;

	buf_init(&whole, 1 << 20);
	buf_init(&cut, 1 << 20);
	list(&whole, eio, binary, p, len);
	assert_int_equal(whole.len, strlen(expected));
	assert_memory_equal(whole.data, expected, whole.len);
	for (i = 0; i < len; i++) {
		list(&cut, eio, binary, p, i);
		/* Whole packets before the cut are the same ones. */
		n = cut.len > 0 && cut.data[cut.len - 1] == '!' ? cut.len - 1
								: 0;
		assert_memory_equal(cut.data, whole.data, n);
	}
	buf_fini(&whole);
	buf_fini(&cut);
}

#define CHECK(eio, binary, text, expected) \
	check(eio, binary, text, sizeof(text) - 1, expected)

static void
test_four(void **state)
{
	(void)state;
	CHECK(4, 0, "4hello", "4(hello)");
	CHECK(4, 0,
	    "2probe\x1e"
	    "3\x1e"
	    "4\xe2\x82\xac",
	    "2(probe)3()4(\xe2\x82\xac)");
	CHECK(4, 0,
	    "bAQID\x1e"
	    "4x",
	    "4[\1\2\3]4(x)");
	CHECK(4, 0,
	    "bAQ==\x1e"
	    "bAQ",
	    "4[\1]4[\1]");
	CHECK(4, 0, "b", "4[]");
	CHECK(4, 0, "", "!");
	CHECK(4, 0,
	    "\x1e"
	    "4",
	    "!");
	CHECK(4, 0, "4\x1e", "!");
	CHECK(4, 0,
	    "4a\x1e\x1e"
	    "4b",
	    "4(a)!");
	CHECK(4, 0, "7", "!");
	CHECK(4, 0, "abc", "!");
	CHECK(4, 0, "b***", "!");
	CHECK(4, 0, "4\xff", "!");
}

static void
test_three(void **state)
{
	(void)state;
	CHECK(3, 0, "6:4hello", "4(hello)");
	CHECK(3, 0,
	    "2:4\xe2\x82\xac"
	    "1:2",
	    "4(\xe2\x82\xac)2()");
	/* An emoji counts two. */
	CHECK(3, 0,
	    "3:4\xf0\x9f\x98\x80"
	    "2:4a",
	    "4(\xf0\x9f\x98\x80)4(a)");
	CHECK(3, 0, "2:4\xf0\x9f\x98\x80", "!");
	CHECK(3, 0,
	    "6:b4AQID"
	    "2:4x",
	    "4[\1\2\3]4(x)");
	CHECK(3, 0, "5:bAQID", "!");
	CHECK(3, 0, "", "!");
	CHECK(3, 0, "0:", "!");
	CHECK(3, 0, ":4", "!");
	CHECK(3, 0, "1", "!");
	CHECK(3, 0, "4hello", "!");
	CHECK(3, 0, "7:4hello", "!");
	CHECK(3, 0, "99999999999999999999:4", "!");
	CHECK(3, 0, "1:8", "!");
	CHECK(3, 0, "2:4\xff", "!");
	CHECK(3, 0, "-1:4", "!");
}

static void
test_three_binary(void **state)
{
	static const char two[] = "\0\5\xff"
				  "4\xe2\x82\xac"
				  "a\1\4\xff\4\1\2\3";
	char many[400];

	(void)state;
	check(3, 1, two, sizeof(two) - 1,
	    "4(\xe2\x82\xac"
	    "a)4[\1\2\3]");
	CHECK(3, 1,
	    "\0\1\xff"
	    "2",
	    "2()");
	CHECK(3, 1,
	    "\0\1\0\xff"
	    "4123456789",
	    "4(123456789)");
	CHECK(3, 1, "\1\1\xff\4", "4[]");
	CHECK(3, 1,
	    "\1\1\xff"
	    "4",
	    "!");
	CHECK(3, 1, "\1\0\xff", "!");
	CHECK(3, 1,
	    "\2\1\xff"
	    "4",
	    "!");
	CHECK(3, 1, "\0\xff", "!");
	CHECK(3, 1,
	    "\0\12\xff"
	    "4",
	    "!");
	CHECK(3, 1,
	    "\0\2\xff"
	    "4",
	    "!");
	CHECK(3, 1,
	    "\0\2\xff"
	    "4\xff",
	    "!");
	CHECK(3, 1, "\0\1", "!");
	/* A length may be written long, but not longer than any number is. */
	memset(many, 0, sizeof(many));
	many[310] = 1;
	memcpy(many + 311,
	    "\xff"
	    "2",
	    2);
	check(3, 1, many, 313, "2()");
	memset(many, 0, sizeof(many));
	many[311] = 1;
	memcpy(many + 312,
	    "\xff"
	    "2",
	    2);
	check(3, 1, many, 314, "!");
}

static void
test_websocket(void **state)
{
	struct eiopacket x;
	char text[] = "4abc", probe[] = "2probe", none[] = "9",
	     base[] = "bAQID", old[] = "b4AQID", three[] = "\4\1\2",
	     wrong[] = "\3\1";

	(void)state;
	assert_int_equal(eiopacket_text(4, text, 4, &x), 0);
	assert_int_equal(x.type, EIO_MESSAGE);
	assert_memory_equal(x.p, "abc", 3);
	assert_int_equal(eiopacket_text(4, probe, 6, &x), 0);
	assert_int_equal(x.type, EIO_PING);
	assert_int_equal(x.len, 5);
	assert_int_equal(eiopacket_text(4, none, 1, &x), -1);
	assert_int_equal(eiopacket_text(4, none, 0, &x), -1);
	assert_int_equal(eiopacket_text(4, base, 5, &x), 0);
	assert_true(x.binary && x.len == 3);
	assert_int_equal(eiopacket_text(3, old, 6, &x), 0);
	assert_true(x.binary && x.len == 3 && x.p[0] == 1);

	assert_int_equal(eiopacket_binary(4, three, 3, &x), 0);
	assert_true(x.binary && x.len == 3 && x.type == EIO_MESSAGE);
	assert_int_equal(eiopacket_binary(4, three, 0, &x), 0);
	assert_int_equal(eiopacket_binary(3, three, 3, &x), 0);
	assert_true(x.len == 2 && x.p[0] == 1);
	assert_int_equal(eiopacket_binary(3, wrong, 2, &x), -1);
	assert_int_equal(eiopacket_binary(3, wrong, 0, &x), -1);
}

/* What is put together is what is read. */
static void
test_put(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	eiopayload_put(&b, EIO_FORM_4, 0, "4a", 2);
	eiopayload_put(&b, EIO_FORM_4, 1, "\1\2\3\4", 4);
	eiopayload_put(&b, EIO_FORM_4, 0, "2", 1);
	assert_string_equal(b.data, "4a\x1e"
				    "bAQIDBA==\x1e"
				    "2");
	check(4, 0, b.data, b.len, "4(a)4[\1\2\3\4]2()");

	buf_reset(&b);
	eiopayload_put(&b, EIO_FORM_3, 0, "4\xf0\x9f\x98\x80", 5);
	eiopayload_put(&b, EIO_FORM_3, 0, "3probe", 6);
	assert_string_equal(b.data, "3:4\xf0\x9f\x98\x80"
				    "6:3probe");

	buf_reset(&b);
	eiopayload_put(&b, EIO_FORM_3_BINARY, 0, "4\xe2\x82\xac", 4);
	eiopayload_put(
	    &b, EIO_FORM_3_BINARY, 1, "\4\0\1\2\3\4\5\6\7\10\11", 11);
	assert_int_equal(b.len, 3 + 4 + 4 + 11);
	assert_memory_equal(b.data,
	    "\0\4\xff"
	    "4\xe2\x82\xac\1\1\1\xff\4\0\1",
	    14);
	b.data[13] = 'x'; /* the list shows texts */
	b.data[12] = 'y';
	check(3, 1, b.data, b.len, "4(\xe2\x82\xac)4[yx\2\3\4\5\6\7\10\11]");

	buf_reset(&b);
	eiopacket_base64(&b, 3, "\1", 1);
	assert_string_equal(b.data, "b4AQ==");
	buf_reset(&b);
	eiopayload_put(&b, EIO_FORM_4, 1, "", 0);
	assert_string_equal(b.data, "b");
	/* Past the ceiling nothing is half put. */
	b.max = 4;
	eiopayload_put(&b, EIO_FORM_4, 1, "123456", 6);
	assert_true(b.err);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_four),
		cmocka_unit_test(test_three),
		cmocka_unit_test(test_three_binary),
		cmocka_unit_test(test_websocket),
		cmocka_unit_test(test_put),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
