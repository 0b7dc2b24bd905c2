/*
 * Socket.IO packets: the heads that there are, and all that closes the
 * connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "siopacket.h"

/* Reads it from memory of just its size; 1 if a client may send it. */
static int
good(const char *text)
{
	size_t len = strlen(text);
	struct json_object *data = NULL;
	struct siopacket x;
	const char *why;
	char *p = malloc(len + 1);
	int rc;

	memcpy(p, text, len);
	rc = siopacket_read(p, len, 10, &x);
	if (rc == 0 && x.len > 0)
		rc = json_parse(x.data, x.len, 32, 1000, 1000, &data, &why);
	if (rc == 0)
		rc = siopacket_fits(&x, data) ? 0 : -1;
	json_object_put(data);
	free(p);
	return rc == 0;
}

static void
test_heads(void **state)
{
	static const char text[] = "52-/admin?a=b,13[\"x\"]";
	struct siopacket x;

	(void)state;
	assert_int_equal(siopacket_read(text, strlen(text), 10, &x), 0);
	assert_int_equal(x.type, SIO_BINARY_EVENT);
	assert_int_equal(x.attachments, 2);
	assert_int_equal(x.nsp_len, 6);
	assert_memory_equal(x.nsp, "/admin", 6);
	assert_int_equal(x.id, 13);
	assert_int_equal(x.len, 5);
	assert_memory_equal(x.data, "[\"x\"]", 5);

	assert_int_equal(siopacket_read("0", 1, 10, &x), 0);
	assert_true(x.type == SIO_CONNECT && x.len == 0 && x.id == -1);
	assert_true(x.nsp_len == 1 && x.nsp[0] == '/');
	assert_int_equal(siopacket_read("0/a", 3, 10, &x), 0);
	assert_true(x.nsp_len == 2 && x.len == 0);
	assert_int_equal(siopacket_read("2[\"a\"]", 6, 10, &x), 0);
	assert_true(x.type == SIO_EVENT && x.id == -1 && x.len == 5);
	assert_int_equal(siopacket_read("212[\"a\"]", 8, 10, &x), 0);
	assert_int_equal(x.id, 12);
}

static void
test_good(void **state)
{
	static const char *const texts[] = { "0", "0{}", "0{\"token\":\"a\"}",
		"0/x,", "0/x,{}", "1", "1/x,", "2[\"a\"]", "2[1]", "2[1.5]",
		"2/x,7[\"a\",{},[],null]", "30[]", "3/x,1[1]",
		"51-[\"a\",{\"_placeholder\":true,\"num\":0}]", "51-[\"a\"]",
		"510-[\"a\",[{\"b\":{\"_placeholder\":true,\"num\":9}}]]",
		"61-4[{\"_placeholder\":true,\"num\":0}]",
		"2[\"a\",{\"_placeholder\":true,\"num\":3}]" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (!good(texts[i]))
			fail_msg("%s", texts[i]);
}

static void
test_bad(void **state)
{
	static const char *const texts[] = { "", "7", "a", "/", "0[]", "0\"a\"",
		"0null", "01", "01{}", "1{}", "11", "2", "2{}", "2[]",
		"2[null]", "2[{}]", "2[[\"a\"]]", "2[true]", "2\"a\"",
		"2[\"connect\"]", "2[\"connect_error\"]", "2[\"disconnect\"]",
		"2[\"disconnecting\"]", "2[\"newListener\"]",
		"2[\"removeListener\"]", "2-1[\"a\"]", "2a[\"a\"]",
		"2 1[\"a\"]", "21.5[\"a\"]", "2[\"a\"", "2[\"a\"]x",
		"21-[\"a\"]", "29999999999999999[\"a\"]", "3[]", "31{}", "31",
		"3-1[]", "4{\"message\":\"a\"}", "4\"a\"", "5[\"a\"]",
		"5-[\"a\"]", "50-[\"a\"]", "511-[\"a\"]", "599999-[\"a\"]",
		"51[\"a\"]", "51", "51-", "51-[]", "51-[\"disconnect\"]",
		"51-[\"a\",{\"_placeholder\":true,\"num\":1}]",
		"51-[\"a\",{\"_placeholder\":true,\"num\":-1}]",
		"51-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]",
		"51-[\"a\",{\"_placeholder\":true}]", "6[]", "61-[]", "60-1[]",
		"61-1[{\"_placeholder\":true,\"num\":1}]", "61-1{}" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (good(texts[i]))
			fail_msg("%s", texts[i]);
}

/* Cut anywhere it is a packet or none, but never read past its end. */
static void
test_cut(void **state)
{
	static const char text[] =
	    "52-/admin,13[\"ev\",{\"_placeholder\":true,\"num\":1}]";
	char cut[sizeof(text)];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text); i++) {
		memcpy(cut, text, i);
		cut[i] = '\0';
		assert_int_equal(good(cut), i == sizeof(text) - 1);
	}
}

static void
test_head_out(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	siopacket_head(&b, SIO_EVENT, 0, "/", 1, -1);
	assert_string_equal(b.data, "2");
	buf_reset(&b);
	siopacket_head(&b, SIO_BINARY_ACK, 3, "/custom", 7, 456);
	assert_string_equal(b.data, "63-/custom,456");
	buf_reset(&b);
	siopacket_head(&b, SIO_CONNECT_ERROR, 0, "/x", 2, -1);
	assert_string_equal(b.data, "4/x,");
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_head_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
