/* What an outgoing webhook says, how it is signed, and when it is repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hook.h"

static void
test_sign(void **state)
{
	char out[HOOK_SIGN_SIZE];

	(void)state;
	/* openssl dgst -sha256 -hmac secret, of "1760000000.{}" */
	hook_sign("secret", "1760000000", "{}", 2, out);
	assert_string_equal(out,
	    "v1=53dc054739ad94d3532227ba8d397f66ed2166a6b66940c2006692fa6db6829f");
}

static void
test_body(void **state)
{
	struct hook_send s = { .event = 1760000000123,
		.event_id = "1760000000123",
		.type = "new_message",
		.data = json_tokener_parse("{\"content\":\"a/b\"}") };
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	hook_body(&s, 5, &b);
	assert_string_equal(b.data,
	    "{\"id\":\"1760000000123\",\"type\":\"new_message\","
	    "\"timestamp\":1760000000123,\"data\":{\"content\":\"a/b\"}}");
	buf_reset(&b);
	s.event = 0;
	strcpy(s.event_id, "test-7");
	hook_body(&s, 5, &b);
	assert_non_null(strstr(b.data, "\"timestamp\":5,"));
	buf_fini(&b);
	hook_send_fini(&s);
}

static void
test_pause(void **state)
{
	(void)state;
	assert_int_equal(hook_pause_ms(0, 100, 0), 5000);
	assert_int_equal(hook_pause_ms(1, 100, 0), 5000);
	assert_int_equal(hook_pause_ms(2, 100, 0), 30000);
	assert_int_equal(hook_pause_ms(6, 100, 0), 3600000);
	assert_int_equal(hook_pause_ms(1000, 100, 0), 3600000);
	assert_int_equal(hook_pause_ms(1, 100, 1250), 6250);
	assert_int_equal(hook_pause_ms(1, 100, 1251), 5000);
	assert_int_equal(hook_pause_ms(6, 0, 4000000000u), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sign),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
