/*
 * FastCGI records: what goes out is what the protocol says, what comes in
 * means the same wherever it is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "fcgirec.h"

static void
record(struct buf *b, int version, int type, int id, const void *p, size_t len,
    size_t pad)
{
	unsigned char h[8] = { (unsigned char)version, (unsigned char)type,
		(unsigned char)(id >> 8), (unsigned char)id,
		(unsigned char)(len >> 8), (unsigned char)len,
		(unsigned char)pad, 0 };

	buf_append(b, h, 8);
	buf_append(b, p, len);
	buf_append(b, "padpadpa", pad);
}

static void
read_in(const struct buf *in, size_t first, size_t step, struct buf *out)
{
	struct fcgirec r;
	struct fcgirec_got got;
	size_t at = 0, n, k;
	char *piece;
	int open = 0;

	memset(&r, 0, sizeof(r));
	buf_reset(out);
	while (at < in->len) {
		n = at == 0 && first > 0 ? first : step;
		if (n > in->len - at)
			n = in->len - at;
		piece = malloc(n);
		memcpy(piece, in->data + at, n);
		for (k = 0;;) {
			k += fcgirec_read(&r, piece + k, n - k, &got);
			if (got.what == FCGIREC_MORE)
				break;
			if (got.what == FCGIREC_OUT ||
			    got.what == FCGIREC_ERR) {
				if (open != (int)got.what)
					buf_puts(out, got.what == FCGIREC_OUT
							  ? "|o:"
							  : "|e:");
				open = (int)got.what;
				buf_append(out, got.p, got.len);
				continue;
			}
			open = 0;
			if (got.what == FCGIREC_DONE)
				buf_printf(out, "|done%u", got.status);
			else {
				buf_puts(out, "|bad");
				free(piece);
				return;
			}
		}
		free(piece);
		at += n;
	}
}

static void
check(const struct buf *in, const char *expected)
{
	struct buf out;
	size_t i;

	buf_init(&out, 1 << 20);
	for (i = 0; i < in->len; i++) {
		read_in(in, i, in->len, &out);
		assert_string_equal(out.data, expected);
	}
	read_in(in, 0, 1, &out);
	assert_string_equal(out.data, expected);
	buf_fini(&out);
}

static void
test_answer(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	record(&b, 1, 6, 1, "Status: 200\r\n\r\n", 15, 1);
	record(&b, 1, 6, 1, "body", 4, 0);
	record(&b, 1, 7, 1, "oops", 4, 4);
	record(&b, 1, 6, 1, "", 0, 0);
	record(&b, 1, 3, 1, "\0\0\0\0\0\0\0\0", 8, 0);
	record(&b, 1, 6, 1, "x", 1, 7);
	record(&b, 1, 3, 1, "\0\0\0\0\2\0\0\0", 8, 3);
	check(&b, "|o:Status: 200\r\n\r\nbody|e:oops|done0|o:x|done2");
	buf_fini(&b);
}

static void
test_bad(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	record(&b, 2, 6, 1, "x", 1, 0);
	check(&b, "|bad");
	buf_reset(&b);
	record(&b, 1, 6, 2, "x", 1, 0);
	check(&b, "|bad");
	buf_reset(&b);
	record(&b, 1, 3, 1, "\0\0\0\0", 4, 0);
	check(&b, "|bad");
	buf_reset(&b);
	record(&b, 1, 10, 0, "FCGI_MAX", 8, 0); /* management: passed over */
	record(&b, 1, 3, 1, "\0\0\0\0\0\0\0\0", 8, 0);
	check(&b, "|done0");
	buf_fini(&b);
}

static void
test_request(void **state)
{
	static char big[70000];
	struct buf b, p;
	unsigned char *u;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_init(&p, 1 << 20);
	fcgirec_begin(&b);
	assert_int_equal(b.len, 16);
	assert_memory_equal(b.data, "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0", 16);
	fcgirec_param(&p, "A", "bc", 2);
	assert_memory_equal(p.data, "\1\2Abc", 5);
	buf_reset(&p);
	fcgirec_param(&p, "N", big, 200);
	assert_memory_equal(p.data, "\1\x80\0\0\xc8N", 6);
	buf_reset(&b);
	fcgirec_stream(&b, FCGIREC_PARAMS, "\1\2Abc", 5);
	assert_int_equal(b.len, 8 + 5 + 3 + 8);
	assert_memory_equal(b.data, "\1\4\0\1\0\5\3\0\1\2Abc\0\0\0", 16);
	assert_memory_equal(b.data + 16, "\1\4\0\1\0\0\0\0", 8);
	buf_reset(&b);
	fcgirec_stream(&b, FCGIREC_STDIN, big, sizeof(big));
	u = (unsigned char *)b.data;
	assert_int_equal(u[4] << 8 | u[5], 65528);
	u += 8 + 65528;
	assert_int_equal(u[4] << 8 | u[5], 70000 - 65528);
	assert_int_equal(b.len, 8 + 65528 + 8 + 4472 + 8);
	buf_fini(&b);
	buf_fini(&p);
}

static int
head(const char *text, int *status)
{
	size_t len = strlen(text), i;
	int n = fcgirec_head(text, len, status), ignored;

	/* A head that is cut is none. */
	for (i = 0; n > 0 && i < (size_t)n; i++)
		assert_int_equal(fcgirec_head(text, i, &ignored), -1);
	return n;
}

static void
test_head(void **state)
{
	static const char text[] =
	    "Status: 404 Not Found\r\nX-Event-Id:  12\r\nX: y\n\nbody";
	const char *v;
	int status;

	(void)state;
	assert_int_equal(head(text, &status), (int)sizeof(text) - 5);
	assert_int_equal(status, 404);
	assert_int_equal(
	    fcgirec_field(text, sizeof(text), "x-event-id", &v), 2);
	assert_memory_equal(v, "12", 2);
	assert_int_equal(fcgirec_field(text, sizeof(text), "X", &v), 1);
	assert_int_equal(fcgirec_field(text, sizeof(text), "body", &v), -1);
	assert_int_equal(head("A: b\r\n\r\n", &status), 8);
	assert_int_equal(status, 200);
	assert_int_equal(head("Status: 200\r\n\r\n", &status), 15);
	assert_int_equal(head("Status: 20\r\n\r\n", &status), -1);
	assert_int_equal(head("Status: 2000\r\n\r\n", &status), -1);
	assert_int_equal(head("no colon\r\n\r\n", &status), -1);
	assert_int_equal(head("\r\n", &status), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
