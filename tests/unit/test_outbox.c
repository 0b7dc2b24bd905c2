/*
 * What a client sends: each answered once, and as it went.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "outbox.h"

/* --- the other side, which the test speaks for --- */

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
	(void)uri;
	(void)ref;
	(void)addr;
	(void)body;
	(void)len;
	answer_fn = fn;
	answer_arg = arg;
	return (struct backend_call *)(void *)&answer_fn;
}

void
backend_cancel(struct backend_call *k)
{
	(void)k;
}

static void
answer(int status, const char *body)
{
	const struct backend_answer a = { .status = status,
		.head = "",
		.body = body,
		.body_len = strlen(body) };

	answer_fn(answer_arg, &a);
}

/* --- what the client is told, as "stored 7 " --- */

static char told[256];

static void
tell(const char *what, const struct outbox_item *m)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof(told) - n, "%s %lld ", what,
	    (long long)m->about.tag);
}

static void
on_stored(void *arg, const struct outbox_item *m, struct json_object *message,
    int64_t event_id)
{
	(void)arg;
	(void)message;
	(void)event_id;
	tell("stored", m);
}

static void
on_refused(
    void *arg, const struct outbox_item *m, const struct backend_answer *a)
{
	(void)arg;
	(void)a;
	tell("refused", m);
}

static void
on_done(void *arg, const struct outbox_item *m)
{
	(void)arg;
	tell("done", m);
}

static void
on_answered(void *arg)
{
	(void)arg;
}

static int behind;

static int
is_behind(void *arg)
{
	(void)arg;
	return behind;
}

static const struct outbox_ops ops = { on_stored, on_refused, on_done,
	on_answered, is_behind };

static void
begin(struct outbox *o, struct hub *h)
{
	memset(o, 0, sizeof(*o));
	hub_init(h, 10, 1 << 20);
	o->hub = h;
	o->ops = &ops;
	told[0] = '\0';
	behind = 0;
}

static void
add(struct outbox *o, int64_t tag, const char *client_id, int drops)
{
	const struct about a = { .tag = tag };
	const struct outbox_ask q = { .about = &a,
		.method = "POST",
		.path = "/api/x",
		.client_id = client_id,
		.drops = drops };
	struct buf b;

	buf_init(&b, 100);
	buf_puts(&b, "{}");
	assert_int_equal(outbox_add(o, "agent:1", "::1", &q, &b), 0);
	buf_fini(&b);
}

/* The event of the message m1 of agent 1. */
static void
event(struct outbox *o)
{
	static const char line[] =
	    "{\"id\":9,\"prev\":8,\"type\":\"new_message\",\"rooms\":"
	    "[\"inbox\"],\"data\":{\"client_id\":\"m1\",\"sender\":"
	    "{\"kind\":\"agent\",\"id\":\"1\"}}}";
	struct hub_event he = { .refs = 1 };
	struct outbox_item *m;
	struct event *e;

	assert_int_equal(event_parse(line, sizeof(line) - 1, &e), 1);
	he.e = e;
	m = outbox_own(o, e, "1", "agent");
	assert_non_null(m);
	outbox_seen(o, m, &he);
	outbox_fini(o);
	event_free(e);
}

static void
lost(void **state)
{
	static const int statuses[] = { 0, 500, 503 };
	struct outbox o;
	struct hub h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		begin(&o, &h);
		add(&o, 7, "m1", 0);
		answer(statuses[i], "{}");
		assert_string_equal(told, "refused 7 ");
		/* What asked has its answer; that it is stored is news. */
		event(&o);
		assert_string_equal(told, "refused 7 stored -1 ");
		hub_fini(&h);
	}
}

/* Of what was answered only what it is about is kept. */
static void
kept(void **state)
{
	static char text[60000];
	const struct about a = { .tag = 7 };
	const struct outbox_ask q = { .about = &a,
		.method = "POST",
		.path = "/api/x",
		.client_id = "m1" };
	struct outbox o;
	struct hub h;
	struct buf b;

	(void)state;
	begin(&o, &h);
	buf_init(&b, 1 << 20);
	memset(text, 'x', sizeof(text));
	buf_append(&b, text, sizeof(text));
	assert_int_equal(outbox_add(&o, "agent:1", "::1", &q, &b), 0);
	buf_reset(&b);
	outbox_carry(&o, &b);
	assert_true(b.len > sizeof(text));
	answer(503, "{}");
	buf_reset(&b);
	outbox_carry(&o, &b);
	assert_true(b.len < 1000);
	assert_string_equal(told, "refused 7 ");
	event(&o);
	assert_string_equal(told, "refused 7 stored -1 ");
	buf_fini(&b);
	hub_fini(&h);
}

/* Nor is its event, though the client has older ones still to get. */
static void
seen(void **state)
{
	struct hub_event he = { .refs = 1 };
	struct outbox o;
	struct hub h;

	(void)state;
	begin(&o, &h);
	behind = 1;
	add(&o, 7, "m1", 0);
	outbox_seen(&o, o.items, &he);
	assert_int_equal(he.refs, 2);
	answer(201, "{}");
	assert_int_equal(he.refs, 1);
	assert_non_null(o.items);
	outbox_seen(&o, o.items, &he);
	assert_int_equal(he.refs, 1);
	assert_non_null(o.items);
	behind = 0;
	outbox_seen(&o, o.items, &he);
	assert_int_equal(he.refs, 1);
	assert_null(o.items);
	assert_string_equal(told, "stored 7 ");
	hub_fini(&h);
}

static void
limited(void **state)
{
	struct outbox o;
	struct hub h;

	(void)state;
	begin(&o, &h);
	add(&o, 1, NULL, 0);
	answer(429, "{}");
	add(&o, 2, NULL, 1);
	answer(429, "{}");
	add(&o, 3, NULL, 1);
	answer(403, "{}");
	add(&o, 4, NULL, 0);
	answer(204, "");
	assert_string_equal(told, "refused 1 done 2 refused 3 done 4 ");
	outbox_fini(&o);
	hub_fini(&h);
}

/* A line taken over is the line it was. */
static void
carried(void **state)
{
	struct outbox o, p;
	struct carry_in in;
	struct hub h;
	struct buf b, c;

	(void)state;
	begin(&o, &h);
	add(&o, 1, "m1", 0);
	add(&o, -3, NULL, 1);
	buf_init(&b, 1 << 20);
	buf_init(&c, 1 << 20);
	outbox_carry(&o, &b);
	memset(&p, 0, sizeof(p));
	p.hub = &h;
	p.ops = &ops;
	in = (struct carry_in){ .p = b.data, .left = b.len };
	assert_int_equal(outbox_adopt(&p, &in), 0);
	assert_int_equal(carry_end(&in), 0);
	assert_int_equal(p.open, 2);
	outbox_carry(&p, &c);
	assert_int_equal(b.len, c.len);
	assert_memory_equal(b.data, c.data, b.len);
	outbox_go(&p);
	answer(201, "{}");
	answer(429, "{}");
	assert_string_equal(told, "stored 1 done -3 ");
	buf_fini(&b);
	buf_fini(&c);
	outbox_fini(&o);
	outbox_fini(&p);
	hub_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost),
		cmocka_unit_test(kept),
		cmocka_unit_test(seen),
		cmocka_unit_test(limited),
		cmocka_unit_test(carried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
