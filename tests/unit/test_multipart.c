/* multipart/form-data, at every split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "multipart.h"

/* What was told, as text: "name(file)=content;". */
static char seen[65536];
static size_t n;
static int stop_at; /* parts */

static void
note(const char *p, size_t len)
{
	assert_true(n + len < sizeof(seen));
	memcpy(seen + n, p, len);
	seen[n += len] = '\0';
}

static int
part(void *arg, const char *name, const char *file)
{
	(void)arg;
	if (stop_at > 0 && --stop_at == 0)
		return 7;
	note(name, strlen(name));
	if (file != NULL) {
		note("(", 1);
		note(file, strlen(file));
		note(")", 1);
	}
	note("=", 1);
	return 0;
}

static int
data(void *arg, const char *p, size_t len)
{
	(void)arg;
	note(p, len);
	return 0;
}

static int
end(void *arg)
{
	(void)arg;
	note(";", 1);
	return 0;
}

static const struct multipart_calls calls = { part, data, end };

#define TYPE "multipart/form-data; boundary=B"
#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"
#define FILE_(name, file)                                                     \
	"content-disposition: form-data; name=\"" name "\"; filename=\"" file \
	"\"\r\nContent-Type: image/png\r\n"

/* Fed in two pieces cut at ${at}: 1 whole, 0 not yet, else the answer. */
static int
feed(const char *p, size_t len, size_t at)
{
	struct multipart mp;
	int rc;

	n = 0;
	seen[0] = '\0';
	assert_int_equal(multipart_init(&mp, TYPE, &calls, NULL), 0);
	rc = multipart_feed(&mp, p, at);
	if (rc == 0)
		rc = multipart_feed(&mp, p + at, len - at);
	return rc != 0 ? rc : multipart_whole(&mp);
}

static void
parts_at_every_split(void **state)
{
	static const char form[] = "a preamble\r\n--B\r\n" FIELD(
	    "a") "\r\n"
		 "one\r\n--B  \r\n" FIELD("empty") "\r\n\r\n--B\r\n" FILE_("f",
		     "x\\\"y%22z; name=\\\\q.png") "\r\n"
						   "\r\n--A\r\r\n-\r\n--\r\n\r\n--B\r\n" FIELD(
						       "") "X-Other: 1\r\n\r\n\r\n\r\n--B--\r\nan epilogue --B";
	static const char told[] = "a=one;empty=;f(x\"y\"z; name=\\q.png)="
				   "\r\n--A\r\r\n-\r\n--\r\n;=\r\n;";

	(void)state;
	for (size_t at = 0; at < sizeof(form); at++) {
		assert_int_equal(feed(form, sizeof(form) - 1, at), 1);
		assert_string_equal(seen, told);
	}
}

static void
cut_at_every_byte(void **state)
{
	static const char form[] = "--B\r\n" FIELD("a") "\r\none\r\n--B--";

	(void)state;
	for (size_t len = 0; len < sizeof(form) - 1; len++)
		assert_int_equal(feed(form, len, 0), 0);
	assert_int_equal(feed(form, sizeof(form) - 1, 0), 1);
}

static void
what_is_malformed(void **state)
{
	static const char *const bad[] = {
		"--Bx\r\n",
		"--B\r\nX: y\r\n\r\n",
		"--B\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n",
		"--B\r\nContent-Disposition: form-data\r\n\r\n",
		"--B\r\nContent-Disposition: form-data; name=\"a\r\n\r\n",
		"--B\r\n" FIELD("a") "\r\nx\r\n--B-x",
	};
	char large[MULTIPART_HEAD_MAX + 64];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(feed(bad[i], strlen(bad[i]), 0), -1);
	memset(large, 'x', sizeof(large));
	memcpy(large, "--B\r\n", 5);
	assert_int_equal(feed(large, sizeof(large), 0), -1);
	stop_at = 2;
	assert_int_equal(
	    feed("--B\r\n" FIELD("a") "\r\n\r\n--B\r\n" FIELD("b") "\r\n",
		strlen(
		    "--B\r\n" FIELD("a") "\r\n\r\n--B\r\n" FIELD("b") "\r\n"),
		0),
	    7);
}

static void
boundaries(void **state)
{
	static const char *const good[] = { "multipart/form-data;boundary=x",
		"Multipart/Form-Data; charset=utf-8; BOUNDARY=\"a b\"",
		"multipart/form-data ; boundary=x; y=z" };
	static const char *const bad[] = { "", "multipart/form-data",
		"multipart/form-data; boundary=", "multipart/mixed; boundary=x",
		"multipart/form-data; boundary=\"x",
		"multipart/form-data; boundary=\"\"",
		"multipart/form-data; boundary=\"x\x01\"",
		"multipart/form-data; boundary=0123456789012345678901234567890"
		"1234567890123456789012345678901234567890123456789" };
	struct multipart mp;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(multipart_init(&mp, good[i], &calls, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(multipart_init(&mp, bad[i], &calls, NULL), -1);
	assert_int_equal(multipart_init(&mp, NULL, &calls, NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_at_every_split),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(what_is_malformed),
		cmocka_unit_test(boundaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
