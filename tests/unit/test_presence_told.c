/*
 * Who is here, as it is told: what before what, and what is forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "presence.h"

static struct presence p;

/* --- api.fcgi: what it is told, answered when the test wants that --- */

static char told[512];
static backend_fn *answer_fn;
static void *answer_arg;

struct backend_call *
backend_call(struct backend *b, enum backend_line line, const char *method,
    const char *uri, const char *ref, const char *addr, const char *body,
    size_t len, backend_fn *fn, void *arg)
{
	(void)b;
	(void)line;
	(void)method;
	(void)ref;
	(void)addr;
	assert_string_equal(uri, "/internal/presence");
	assert_null(answer_fn);
	snprintf(told, sizeof(told), "%.*s", (int)len, body);
	answer_fn = fn;
	answer_arg = arg;
	return (struct backend_call *)told; /* only ever compared with NULL */
}

void
backend_cancel(struct backend_call *k)
{
	(void)k;
}

/* It was told ${what}, among other things. */
static void
hears(const char *what)
{
	while (answer_fn == NULL)
		ev_run(p.loop, EVRUN_ONCE);
	if (strstr(told, what) == NULL)
		fail_msg("%s instead of %s", told, what);
}

static void
answers(int status, const char *body)
{
	struct backend_answer a = {
		.status = status, .body = body, .body_len = strlen(body)
	};
	backend_fn *fn = answer_fn;

	assert_non_null(fn);
	answer_fn = NULL;
	fn(answer_arg, &a);
}

static int
begin(void **state)
{
	(void)state;
	presence_init(&p, ev_loop_new(0), NULL, 10);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	answer_fn = NULL;
	presence_fini(&p);
	ev_loop_destroy(p.loop);
	return 0;
}

/* --- */

static void
test_anew(void **state)
{
	(void)state;
	presence_begin(&p, 1);
	presence_up(&p, "u:1", "u:1:7");
	/* First of all that there was nobody, until that is known. */
	hears("\"items\":[],\"began\":1");
	answers(503, "");
	hears("\"began\":");
	answers(200, "{\"more\":false}");
	hears("{\"ref\":\"u:1:7\",\"status\":\"online\"}");
	answers(200, "{\"more\":false}");
	/* In the end the others are gone, in lots. */
	hears("\"items\":[],\"settled\":true");
	presence_up(&p, "u:2", "u:2:8");
	answers(200, "{\"more\":true}");
	hears("u:2:8");
	answers(200, "{\"more\":false}");
	hears("\"settled\":true");
	answers(200, "{\"more\":false}");
	assert_int_equal(p.others, PRESENCE_NONE);
}

/* Of another pushd it was taken over: that it began is not said. */
static void
test_taken(void **state)
{
	(void)state;
	presence_begin(&p, 0);
	presence_up(&p, "u:1", "u:1:7");
	hears("online");
	answers(200, "{\"more\":false}");
	hears("settled");
	answers(200, "{\"more\":false}");
	assert_int_equal(p.others, PRESENCE_NONE);
}

/* Here again while its end is told, and gone before that could be told. */
static void
test_to_and_fro(void **state)
{
	(void)state;
	presence_up(&p, "u:1", "u:1:7");
	hears("online");
	answers(200, "{}");
	presence_down(&p, "u:1");
	hears("offline");
	presence_up(&p, "u:1", "u:1:7");
	answers(200, "{}");
	presence_down(&p, "u:1");
	presence_up(&p, "u:2", "u:2:8");
	/* Nothing can be told meanwhile. */
	p.wait_until = INT64_MAX;
	while (p.grace != NULL)
		ev_run(p.loop, EVRUN_ONCE);
	p.wait_until = 0;
	hears("u:2:8");
	assert_null(strstr(told, "u:1:7"));
	answers(200, "{}");
	assert_int_equal(p.all.used, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_anew, begin, end),
		cmocka_unit_test_setup_teardown(test_taken, begin, end),
		cmocka_unit_test_setup_teardown(test_to_and_fro, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
