/*
 * What the next pushd is told of who is here: whatever was being told when it
 * took over is told once more, as it is now.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "limits.h"
#include "log.h"
#include "presence.h"

static struct ev_loop *loop;
static struct backend *backend;
static struct presence p;

/* What it says of the one account that it knows. */
struct said {
	int n, want;
	uint64_t told;
};

static void
read_one(void *arg, const struct buf *one)
{
	struct carry_in in = { .p = one->data, .left = one->len };
	struct said *s = arg;

	assert_string_equal(carry_get_text(&in, 256), "u:1");
	assert_string_equal(carry_get_text(&in, REF_BYTES_MAX), "agent:1");
	s->want = (int)carry_get_num(&in, 1);
	s->told = carry_get_num(&in, 2);
	(void)carry_get_int(&in, 0, INT64_MAX);
	assert_int_equal(carry_end(&in), 0);
	s->n++;
}

static void
says(int want, uint64_t told)
{
	struct said s = { .n = 0 };

	presence_carry(&p, read_one, &s);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.want, want);
	assert_int_equal(s.told, told);
}

/* Until it is being told; nobody answers. */
static void
asked(void)
{
	while (p.call == NULL)
		ev_run(loop, EVRUN_ONCE);
}

static int
begin(void **state)
{
	static const struct backend_conf bc = {
		.socket = "/nonexistent/sock",
		.key = "",
		.pool = 1,
		.waiting_max = 10,
		.timeout_ms = 1000000,
	};

	(void)state;
	(void)log_open("test", NULL, LOG_ERROR);
	loop = ev_loop_new(EVFLAG_AUTO);
	backend = backend_new(loop, &bc);
	presence_init(&p, loop, backend, 0);
	return backend == NULL;
}

static int
end(void **state)
{
	(void)state;
	presence_fini(&p);
	backend_free(backend);
	ev_loop_destroy(loop);
	return 0;
}

/* It came, and went while that was told. */
static void
online_on_its_way(void **state)
{
	int i;

	(void)state;
	presence_up(&p, "u:1", "agent:1");
	says(1, 2);
	asked();
	says(1, 0);
	presence_down(&p, "u:1");
	for (i = 0; i < 50 && p.grace != NULL; i++)
		ev_run(loop, EVRUN_ONCE);
	says(0, 1);
}

/* It came and went at once, and again while that it is gone was told. */
static void
twice_on_its_way(void **state)
{
	int i;

	(void)state;
	presence_up(&p, "u:1", "agent:1");
	presence_down(&p, "u:1");
	asked();
	presence_up(&p, "u:1", "agent:1");
	presence_down(&p, "u:1");
	for (i = 0; i < 50 && p.grace != NULL; i++)
		ev_run(loop, EVRUN_ONCE);
	/* Whoever is asked about stays until there is an answer. */
	assert_int_equal(p.nasked, 1);
	assert_ptr_equal(table_get(&p.all, "u:1", 3), p.asked[0]);
}

/* It went, and came back while that was told. */
static void
offline_on_its_way(void **state)
{
	struct carry_in in;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	carry_text(&b, "u:1");
	carry_text(&b, "agent:1");
	carry_num(&b, 0);
	carry_num(&b, 1);
	carry_int(&b, 0);
	in = (struct carry_in){ .p = b.data, .left = b.len };
	assert_int_equal(presence_adopt(&p, &in, 0), 0);
	buf_fini(&b);
	asked();
	says(0, 1);
	presence_up(&p, "u:1", "agent:1");
	says(1, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(online_on_its_way, begin, end),
		cmocka_unit_test_setup_teardown(twice_on_its_way, begin, end),
		cmocka_unit_test_setup_teardown(offline_on_its_way, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
