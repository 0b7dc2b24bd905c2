/*
 * The modes for conformance suites.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mode.h"

static void
test_loopback(void **state)
{
	static const char *const good[] = { "127.0.0.1:9001", "127.9.9.9:1",
		"[::1]:9001", "localhost:9001", "[::ffff:127.0.0.1]:80" };
	static const char *const bad[] = { "0.0.0.0:9001", "[::]:9001",
		"192.168.1.1:9001", "10.0.0.1:80", "run/pushd.sock",
		"/run/127.0.0.1:80", ":9001", "9001", "", "localhost",
		"127.0.0.1.example:80", "127.0.0.1 :80", "[]:80",
		"[2001:db8::1]:80" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(mode_listen_ok(MODE_ECHO, good[i]) &&
			    mode_listen_ok(MODE_PROTOCOL_TEST, good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(mode_listen_ok(MODE_ECHO, bad[i]) ||
			     mode_listen_ok(MODE_PROTOCOL_TEST, bad[i]));
		assert_true(mode_listen_ok(MODE_SERVE, bad[i]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
