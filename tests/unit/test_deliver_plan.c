/* Sending: pauses between tries, parts of a message, addresses of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "deliver_plan.h"

static void
five_pauses_then_the_end(void **state)
{
	static const int64_t want[] = { 1000, 5000, 30000, 120000, 600000 };
	int64_t ms;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(deliver_pause_ms(i + 1, 100, 0), want[i]);
		/* Spread, but never earlier, and by a quarter at most. */
		for (uint32_t r = 0; r < 1000; r++) {
			ms = deliver_pause_ms(i + 1, 100, r * 4294967u);
			assert_in_range(ms, want[i], want[i] + want[i] / 4);
		}
		assert_int_equal(
		    deliver_pause_ms(i + 1, 100, 249), want[i] + 249);
	}
	assert_int_equal(deliver_pause_ms(6, 100, 0), -1);
	assert_int_equal(deliver_pause_ms(INT64_MAX, 100, 0), -1);
	/* A try that was never counted is the first. */
	assert_int_equal(deliver_pause_ms(0, 100, 0), 1000);
	assert_int_equal(deliver_pause_ms(2, 50, 0), 2500);
	assert_int_equal(deliver_pause_ms(5, 0, UINT32_MAX), 0);
}

static void
texts_come_before_files(void **state)
{
	struct json_object *files = json_object_new_array();
	const char *text = "one two three";
	struct deliver_part p;

	(void)state;
	json_object_array_add(files, json_object_new_string("a"));
	json_object_array_add(files, json_object_new_string("b"));

	assert_int_equal(deliver_part(text, files, 8, 0, &p), 4);
	assert_memory_equal(p.text, "one two", p.len);
	assert_int_equal(p.len, 7);
	assert_null(p.file);
	assert_int_equal(deliver_part(text, files, 8, 1, &p), 4);
	assert_int_equal(p.len, 5);
	assert_string_equal(p.text, "three");
	assert_int_equal(deliver_part(text, files, 8, 2, &p), 4);
	assert_null(p.text);
	assert_string_equal(json_object_get_string(p.file), "a");
	assert_int_equal(deliver_part(text, files, 8, 3, &p), 4);
	assert_string_equal(json_object_get_string(p.file), "b");
	assert_int_equal(deliver_part(text, files, 8, 4, &p), 0);
	assert_int_equal(deliver_part(text, files, 8, -1, &p), 0);
	assert_null(p.text);
	assert_null(p.file);

	/* Either alone; neither. */
	assert_int_equal(deliver_part("", files, 8, 0, &p), 2);
	assert_null(p.text);
	assert_non_null(p.file);
	assert_int_equal(deliver_part(text, NULL, 2000, 0, &p), 1);
	assert_int_equal(p.len, strlen(text));
	assert_int_equal(deliver_part("", NULL, 8, 0, &p), 0);
	json_object_put(files);
}

static void
url_is(const char *base, const char *url, const char *want)
{
	char *got = deliver_url(base, "/chat", url);

	if (want == NULL)
		assert_null(got);
	else
		assert_string_equal(got, want);
	free(got);
}

static void
files_are_fetched_by_https(void **state)
{
	(void)state;
	url_is("https://a.example", "/media/1/x",
	    "https://a.example/chat/media/1/x");
	url_is(
	    "https://a.example", "https://b.example/y", "https://b.example/y");
	/* Nobody could reach these, or should. */
	url_is("", "/media/1/x", NULL);
	url_is("https://a.example", "http://b.example/y", NULL);
	url_is("https://a.example", "file:///etc/passwd", NULL);
	url_is("https://a.example", "", NULL);
	url_is("https://a.example", NULL, NULL);
}

static void
large_files_have_time(void **state)
{
	(void)state;
	assert_int_equal(deliver_upload_ms(15000, 90000, 0), 15000);
	assert_int_equal(deliver_upload_ms(15000, 90000, 1 << 20), 23000);
	/* Not past the lease, whose end makes it unknown. */
	assert_int_equal(deliver_upload_ms(15000, 90000, 25 << 20), 75000);
	assert_int_equal(deliver_upload_ms(15000, 20000, 25 << 20), 15000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_pauses_then_the_end),
		cmocka_unit_test(texts_come_before_files),
		cmocka_unit_test(files_are_fetched_by_https),
		cmocka_unit_test(large_files_have_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
