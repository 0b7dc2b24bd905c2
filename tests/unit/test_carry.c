/*
 * What one pushd tells the next: the same values come out, and whatever is cut
 * off, too large or not of the form is a fault, never a value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "carry.h"

static const uint64_t nums[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX,
	UINT64_C(1) << 53, UINT64_MAX };
static const int64_t ints[] = { 0, -1, 1, -2, 63, -64, 64, INT64_MAX,
	INT64_MIN };

enum { NUMS = sizeof(nums) / sizeof(*nums), INTS = sizeof(ints) / 8 };

static void
fill(struct buf *b)
{
	size_t i;

	buf_init(b, 65536);
	for (i = 0; i < NUMS; i++)
		carry_num(b, nums[i]);
	for (i = 0; i < INTS; i++)
		carry_int(b, ints[i]);
	carry_text(b, NULL);
	carry_text(b, "");
	carry_text(b, "customer:7");
	carry_bytes(b, "a\0b", 3);
	carry_bytes(b, "", 0);
	assert_int_equal(b->err, 0);
}

/* Read what fill wrote; asserts on the values as far as it is good. */
static int
read_all(struct carry_in *in)
{
	const char *p;
	uint64_t n;
	int64_t d;
	size_t i, len;

	for (i = 0; i < NUMS; i++) {
		n = carry_get_num(in, UINT64_MAX);
		assert_true(n == (in->bad ? 0 : nums[i]));
	}
	for (i = 0; i < INTS; i++) {
		d = carry_get_int(in, INT64_MIN, INT64_MAX);
		assert_true(d == (in->bad ? 0 : ints[i]));
	}
	assert_null(carry_get_text(in, 100));
	p = carry_get_text(in, 100);
	assert_true(in->bad ? p == NULL : *p == '\0');
	p = carry_get_text(in, 100);
	assert_true(in->bad ? p == NULL : strcmp(p, "customer:7") == 0);
	p = carry_get_bytes(in, &len, 3);
	assert_true(in->bad ? len == 0 : memcmp(p, "a\0b", 3) == 0);
	carry_get_bytes(in, &len, 3);
	assert_int_equal(len, 0);
	return carry_end(in);
}

static void
values_come_out(void **state)
{
	struct buf b;
	struct carry_in in;

	(void)state;
	fill(&b);
	in = (struct carry_in){ b.data, b.len, 0 };
	assert_int_equal(read_all(&in), 0);
	/* One byte too many is a fault as well. */
	in = (struct carry_in){ b.data, b.len + 1, 0 };
	assert_int_equal(read_all(&in), -1);
	buf_fini(&b);
}

static void
cut_anywhere_is_a_fault(void **state)
{
	struct buf b;
	struct carry_in in;
	size_t n;
	char *p;

	(void)state;
	fill(&b);
	for (n = 0; n < b.len; n++) {
		p = malloc(n ? n : 1); /* so that a byte too far is seen */
		assert_non_null(p);
		memcpy(p, b.data, n);
		in = (struct carry_in){ p, n, 0 };
		assert_int_equal(read_all(&in), -1);
		free(p);
	}
	buf_fini(&b);
}

static void
bounds_hold(void **state)
{
	/* Ten bytes whose last says more than 64 bits; eleven bytes. */
	static const char over[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
	static const char longer[] =
	    "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01";
	struct carry_in in = { over, 10, 0 };
	struct buf b;
	size_t len;

	(void)state;
	assert_true(carry_get_num(&in, UINT64_MAX) == 0 && in.bad);
	in = (struct carry_in){ longer, 11, 0 };
	assert_true(carry_get_num(&in, UINT64_MAX) == 0 && in.bad);
	buf_init(&b, 1000);
	carry_num(&b, 10);
	carry_int(&b, -5);
	carry_text(&b, "four");
	in = (struct carry_in){ b.data, b.len, 0 };
	assert_true(carry_get_num(&in, 10) == 10 && !in.bad);
	assert_true(carry_get_int(&in, -4, 4) == 0 && in.bad);
	in = (struct carry_in){ b.data, b.len, 0 };
	assert_true(carry_get_num(&in, 9) == 0 && in.bad);
	/* The first fault sticks. */
	assert_null(carry_get_text(&in, 100));
	in = (struct carry_in){ b.data + 2, b.len - 2, 0 };
	assert_null(carry_get_text(&in, 4));
	assert_int_equal(in.bad, 1);
	/* A NUL inside a text, and a text without one. */
	buf_reset(&b);
	carry_bytes(&b, "a\0b", 4);
	in = (struct carry_in){ b.data, b.len, 0 };
	assert_null(carry_get_text(&in, 100));
	buf_reset(&b);
	carry_bytes(&b, "ab", 2);
	in = (struct carry_in){ b.data, b.len, 0 };
	assert_null(carry_get_text(&in, 100));
	in = (struct carry_in){ b.data, b.len, 0 };
	carry_get_bytes(&in, &len, 1);
	assert_true(in.bad && len == 0);
	buf_fini(&b);
}

static void
records_at_every_cut(void **state)
{
	struct buf b, content;
	struct carry_record r;
	size_t n, first;
	ssize_t took;

	(void)state;
	buf_init(&b, 65536);
	buf_init(&content, 65536);
	carry_record(&b, 9, 0, &content);
	first = b.len;
	buf_puts(&content, "hello");
	carry_record(&b, 200, 2, &content);
	for (n = 0; n <= b.len; n++) {
		took = carry_next(b.data, n, &r);
		assert_int_equal(took, n < first ? 0 : (ssize_t)first);
		if (n < first)
			continue;
		assert_int_equal(r.type, 9);
		assert_int_equal(carry_end(&r.in), 0);
		took = carry_next(b.data + first, n - first, &r);
		assert_int_equal(took, n < b.len ? 0 : (ssize_t)(n - first));
	}
	assert_int_equal(r.type, 200);
	assert_int_equal(r.fds, 2);
	assert_int_equal(r.in.left, 5);
	assert_memory_equal(r.in.p, "hello", 5);
	/* Too large is told from the head alone. */
	assert_int_equal(carry_next("\x01\0\0\x04\1\0", 6, &r), -1);
	/* A content that did not fit spoils what it goes into. */
	content.err = 1;
	carry_record(&b, 1, 0, &content);
	assert_int_equal(b.err, 1);
	buf_fini(&content);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_out),
		cmocka_unit_test(cut_anywhere_is_a_fault),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(records_at_every_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
