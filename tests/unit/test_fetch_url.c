/* Where nobody is sent to fetch anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fetch_url.h"

static struct conf cf;
static char off[] = "", ports[] = "80,443", ours[] = "127.0.0.1, fd00::/8";

static bool
is_public(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, strlen(s), &a), 0);
	return addr_public(&a);
}

static void
every_form_of_a_bad_address(void **state)
{
	static const char *const bad[] = {
		/* unspecified and this network */
		"0.0.0.0",
		"0.1.2.3",
		"::",
		"::ffff:0.0.0.0",
		/* loopback */
		"127.0.0.1",
		"127.255.255.255",
		"::1",
		"::ffff:127.0.0.1",
		"::127.0.0.1",
		/* private */
		"10.0.0.1",
		"10.255.255.255",
		"172.16.0.1",
		"172.31.255.255",
		"192.168.0.1",
		"192.168.255.255",
		"::ffff:10.0.0.1",
		"::ffff:192.168.1.1",
		"::10.0.0.1",
		/* a carrier's own */
		"100.64.0.1",
		"100.127.255.255",
		/* link-local, and where clouds keep their keys */
		"169.254.0.1",
		"169.254.169.254",
		"::ffff:169.254.169.254",
		"fe80::1",
		"febf::1",
		/* site-local and unique-local */
		"fec0::1",
		"fc00::1",
		"fd00:ec2::254",
		"fdff::1",
		/* multicast, reserved, broadcast */
		"224.0.0.1",
		"239.255.255.255",
		"240.0.0.1",
		"255.255.255.255",
		"ff02::1",
		"ff0e::1",
		/* protocols' own, benchmarks, documentation */
		"192.0.0.1",
		"192.0.2.1",
		"192.88.99.1",
		"198.18.0.1",
		"198.19.255.255",
		"198.51.100.1",
		"203.0.113.1",
		"100::1",
		"2001:db8::1",
		"3fff::1",
		"2001:20::1",
		"2001:10::1",
		/* NAT64 of these, and the one of a network's own */
		"64:ff9b::7f00:1",
		"64:ff9b::a00:1",
		"64:ff9b::c0a8:101",
		"64:ff9b::a9fe:a9fe",
		"64:ff9b::0.0.0.0",
		"64:ff9b:1::1",
		"64:ff9b:1::808:808",
		/* 6to4 and Teredo of these */
		"2002:7f00:1::1",
		"2002:a00:1::1",
		"2002:c0a8:101::1",
		"2002:a9fe:a9fe::",
		"2001::1",
		"2001:0:7f00:1::",
		/* given to nobody */
		"4000::1",
		"8000::1",
		"5f00::1",
		"1::1",
	};
	static const char *const good[] = { "8.8.8.8", "1.1.1.1", "9.255.0.1",
		"11.0.0.1", "172.15.255.255", "172.32.0.1", "100.63.0.1",
		"100.128.0.1", "169.253.1.1", "192.167.1.1", "198.17.0.1",
		"198.20.0.1", "223.255.255.255", "::ffff:8.8.8.8",
		"64:ff9b::808:808", "2002:808:808::1", "2606:4700::1111",
		"2a00:1450::1", "2001:4860:4860::8888", "2001:200::1" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (is_public(bad[i]))
			fail_msg("%s is taken for public", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!is_public(good[i]))
			fail_msg("%s is not taken for public", good[i]);
}

static bool
good(const char *url)
{
	struct fetch_url u;

	return fetch_url_read(url, &u) == 0 && fetch_url_good(&cf, &u);
}

static void
a_refusal_has_its_reason(void **state)
{
	static const char *const list[][2] = {
		{ "http://example.com/", "fetch_http" },
		{ "https://10.0.0.1/", "fetch_networks" },
		{ "https://8.8.8.8:8443/", "fetch_ports" },
		{ "https://example.com:8443/", "fetch_ports" },
	};
	struct fetch_url u;

	(void)state;
	cf.fetch_ports = ports;
	cf.fetch_networks = off;
	cf.fetch_http = false;
	assert_int_equal(fetch_url_read("https://example.com/", &u), 0);
	assert_null(fetch_url_why(&cf, &u));
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		assert_int_equal(fetch_url_read(list[i][0], &u), 0);
		assert_non_null(strstr(fetch_url_why(&cf, &u), list[i][1]));
	}
}

static void
only_plain_addresses(void **state)
{
	static const char *const yes[] = { "https://example.com",
		"https://example.com/a?b#c", "HTTPS://Example.COM:443/",
		"https://8.8.8.8/", "https://[2606:4700::1111]/x",
		"https://a_b.example.com/", "https://a.example:80/",
		"https://example.com/a@b", "https://xn--bcher-kva.example/",
		"https://example.com/\xc4\x91" };
	static const char *const no[] = { "", "example.com", "//example.com",
		"ftp://example.com/", "file:///etc/passwd", "gopher://x/",
		"https:example.com", "https:///x", "https://", "https://:443/",
		"https://user@example.com/", "https://user:pw@example.com/",
		"https://@example.com/", "https://example.com:/",
		"https://example.com:0/", "https://example.com:65536/",
		"https://example.com:22/", "https://example.com:8443/",
		"https://example.com:4 43/", "https://exa mple.com/",
		"https://example.com/a b", "https://example.com\\@evil/",
		"https://example.com/\r\nX: y", "https://ex%61mple.com/",
		"https://\xc4\x91.example/", "https://[::1/", "https://::1/",
		"https://[example.com]/", "https://[fe80::1%25eth0]/",
		/* addresses written oddly: none is looked up */
		"https://127.1/", "https://2130706433/", "https://0x7f000001/",
		"https://0177.0.0.1/", "https://0x7f.1/", "https://127.0.0.1./",
		"https://1.2.3.4.5/", "https://example.com./",
		/* addresses of this house */
		"https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3/",
		"https://[::ffff:10.1.2.3]/", "https://169.254.169.254/x",
		"https://[fd00::1]/", "https://[64:ff9b::7f00:1]/",
		"http://example.com/" };

	(void)state;
	cf.fetch_networks = off;
	cf.fetch_ports = ports;
	cf.fetch_http = false;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!good(yes[i]))
			fail_msg("%s is refused", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (good(no[i]))
			fail_msg("%s is taken", no[i]);
	cf.fetch_http = true;
	assert_true(good("http://example.com/"));
	assert_false(good("http://127.0.0.1/"));
	/* Networks of this house, where they are named; their ports are free.
	 */
	cf.fetch_networks = ours;
	assert_true(good("http://127.0.0.1:4000/"));
	assert_true(good("http://[fd12::1]:1/"));
	assert_false(good("http://127.0.0.2/"));
	assert_false(good("http://10.0.0.1/"));
	assert_false(good("http://8.8.8.8:4000/"));
}

static void
one_origin_or_two(void **state)
{
	static const char *const same[][2] = {
		{ "https://a.b/x", "HTTPS://A.B:443/y" },
		{ "http://[::1]:80/", "http://[::1]" },
	};
	static const char *const two[][2] = {
		{ "https://a.b/", "http://a.b/" },
		{ "https://a.b/", "https://a.b:444/" },
		{ "https://a.b/", "https://a.b.c/" },
		{ "http://a.b:443/", "https://a.b/" },
	};
	struct fetch_url a, b;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(fetch_url_read(same[i][0], &a), 0);
		assert_int_equal(fetch_url_read(same[i][1], &b), 0);
		assert_true(fetch_url_same(&a, &b));
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(fetch_url_read(two[i][0], &a), 0);
		assert_int_equal(fetch_url_read(two[i][1], &b), 0);
		assert_false(fetch_url_same(&a, &b));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_a_bad_address),
		cmocka_unit_test(a_refusal_has_its_reason),
		cmocka_unit_test(only_plain_addresses),
		cmocka_unit_test(one_origin_or_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
