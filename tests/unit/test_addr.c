/* addr.c and origin.c: who is asking, and from which page. */

#include "addr.h"
#include "origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static bool
listed(const char *list, const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, strlen(s), &a), 0);
	return addr_listed(list, &a);
}

static void
lists(void **state)
{
	struct addr a;

	(void)state;
	assert_true(listed("10.0.0.0/8, ::1", "10.1.2.3"));
	assert_false(listed("10.0.0.0/8, ::1", "11.1.2.3"));
	assert_true(listed("10.0.0.0/8, ::1", "::1"));
	assert_true(listed("127.0.0.1", "::ffff:127.0.0.1"));
	assert_true(listed("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(listed("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(listed("0.0.0.0/0", "1.2.3.4"));
	assert_false(listed("0.0.0.0/0", "2001::1"));
	assert_false(listed("", "1.2.3.4"));
	assert_false(listed("nonsense 1.2.3.4/33 /", "1.2.3.4"));
	assert_int_equal(addr_parse("1.2.3", 5, &a), -1);
	assert_int_equal(addr_parse("", 0, &a), -1);
	assert_int_equal(addr_parse("[::1]", 5, &a), 0);
	assert_true(addr_loopback("127.9.9.9"));
	assert_true(addr_loopback("::ffff:127.0.0.1"));
	assert_false(addr_loopback("128.0.0.1"));
	assert_false(addr_loopback(""));
	assert_false(addr_loopback(NULL));
}

static void
client(void **state)
{
	char out[ADDR_TEXT_MAX];

	(void)state;
	/* Nobody is believed who was not named. */
	addr_client("9.9.9.9", "1.1.1.1", "", out);
	assert_string_equal(out, "9.9.9.9");
	addr_client("9.9.9.9", "1.1.1.1", "10.0.0.0/8", out);
	assert_string_equal(out, "9.9.9.9");
	/* From the right, past trusted ones, no further. */
	addr_client(
	    "10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "10.0.0.0/8", out);
	assert_string_equal(out, "1.1.1.1");
	addr_client("10.0.0.1", "10.0.0.3", "10.0.0.0/8", out);
	assert_string_equal(out, "10.0.0.3");
	addr_client("10.0.0.1", "1.1.1.1, rubbish", "10.0.0.0/8", out);
	assert_string_equal(out, "10.0.0.1");
	addr_client("10.0.0.1", "", "10.0.0.0/8", out);
	assert_string_equal(out, "10.0.0.1");
	addr_client("", NULL, "10.0.0.0/8", out);
	assert_string_equal(out, "");
	/* IPv6 counts by /64. */
	addr_net("2001:db8:1:2:3:4:5:6", out);
	assert_string_equal(out, "2001:db8:1:2::");
	addr_net("1.2.3.4", out);
	assert_string_equal(out, "1.2.3.4");
}

static void
origins(void **state)
{
	static const char list[] = "https://a.example, http://b.example:8080";

	(void)state;
	assert_int_equal(
	    origin_check("https://a.example", list, "", NULL, true),
	    ORIGIN_LISTED);
	assert_int_equal(
	    origin_check("http://b.example:8080", list, "", NULL, false),
	    ORIGIN_LISTED);
	/* Compared whole. */
	assert_int_equal(
	    origin_check("https://a.example.evil", list, "", NULL, true),
	    ORIGIN_NO);
	assert_int_equal(
	    origin_check("https://a.exampl", list, "", NULL, true), ORIGIN_NO);
	assert_int_equal(
	    origin_check("http://a.example", list, "", NULL, false), ORIGIN_NO);
	assert_int_equal(
	    origin_check("null", "*", "", "null", false), ORIGIN_NO);
	assert_int_equal(origin_check(NULL, "*", "", NULL, false), ORIGIN_NO);
	assert_int_equal(
	    origin_check("https://x/", "*", "", NULL, true), ORIGIN_NO);
	assert_int_equal(
	    origin_check("https://u@x", "*", "", NULL, true), ORIGIN_NO);
	assert_int_equal(
	    origin_check("https://x", "*", "", NULL, true), ORIGIN_ANY);
	/* A listed one stays listed beside a star. */
	assert_int_equal(origin_check("https://a.example",
			     "*,https://a.example", "", NULL, true),
	    ORIGIN_LISTED);
	/* Ours, by the base URL or by Host. */
	assert_int_equal(origin_check("https://chat.example", "",
			     "https://chat.example:443/x", NULL, true),
	    ORIGIN_OURS);
	assert_int_equal(origin_check("http://127.0.0.1:8080", "", "",
			     "127.0.0.1:8080", false),
	    ORIGIN_OURS);
	assert_int_equal(origin_check("http://127.0.0.1:8081", "", "",
			     "127.0.0.1:8080", false),
	    ORIGIN_NO);
	assert_int_equal(
	    origin_check("http://h", "", "", "h", true), ORIGIN_NO);
	assert_int_equal(
	    origin_check("https://h", "", "", "h:443", true), ORIGIN_OURS);
	assert_int_equal(origin_check("http://", "", "", "", false), ORIGIN_NO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(client),
		cmocka_unit_test(origins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
