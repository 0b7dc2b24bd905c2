/*
 * A client that another pushd had: what was asked for is asked for again, and
 * where that cannot be, each is answered before the client ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "live.h"

static struct push p;
static char told[256];

static void
tell(const char *what, int64_t tag)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof(told) - n, "%s %lld ", what, (long long)tag);
}

/* --- its words and its host --- */

static void
say_in(struct live *v, int64_t tag, int again)
{
	(void)v;
	(void)tag;
	(void)again;
}

static void
say_error(struct live *v, const struct about *a, const char *code,
    const char *message, int retry_s)
{
	(void)v;
	(void)message;
	(void)retry_s;
	tell(code, a->tag);
}

static const struct live_words words = { .in = say_in, .error = say_error };

static struct push *
host_push(const struct live *v)
{
	(void)v;
	return &p;
}

static void
host_in(struct live *v)
{
	(void)v;
}

/* It waits for its answers to end. */
static void
host_answered(struct live *v)
{
	if (live_open(v) > 0)
		return;
	tell("end", 0);
	live_fini(v);
	memset(v, 0xff, sizeof(*v));
	free(v);
}

static int
host_is_full(const struct live *v)
{
	(void)v;
	return 0;
}

static int
host_outlet(const struct live *v)
{
	(void)v;
	return -1;
}

static const char *
host_addr(const struct live *v)
{
	(void)v;
	return "::1";
}

static const struct live_host host = { .words = &words,
	.push = host_push,
	.in = host_in,
	.answered = host_answered,
	.is_full = host_is_full,
	.outlet = host_outlet,
	.addr = host_addr };

/* --- */

/* Agent 1, as another pushd knew it. */
static struct ident *
somebody(void)
{
	struct carry_in in;
	struct ident *id;
	struct buf b;

	buf_init(&b, 4096);
	carry_text(&b, "agent:1");
	carry_text(&b, "1");
	carry_text(&b, "Mai");
	carry_text(&b, "agent");
	carry_num(&b, 1);
	carry_text(&b, "inbox");
	carry_num(&b, 0);
	carry_num(&b, HUB_AGENT);
	carry_num(&b, 0);
	carry_num(&b, UINT32_MAX);
	in = (struct carry_in){ .p = b.data, .left = b.len };
	assert_int_equal(idents_adopt(&p.idents, &in), 0);
	buf_fini(&b);
	id = ident_of(&p.idents, "agent:1");
	assert_non_null(id);
	return id;
}

static struct live *
client(void)
{
	struct live *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	live_init(v, &host, 1);
	return v;
}

/* Two joins and a message on their way; the record of that. */
static void
ask_for(struct live *v, struct buf *b)
{
	static const char *const names[] = { "21", "22" };
	struct about a = { .has_name = 1 };
	struct json_object *o;
	size_t i;

	live_login(v, somebody());
	for (i = 0; i < 2; i++) {
		strcpy(a.name, names[i]);
		a.tag = (int64_t)i + 1;
		live_join(v, &a, PUSH_NOW);
	}
	a.tag = 3;
	o = json_object_new_object();
	json_object_object_add(o, "content", json_object_new_string("x"));
	live_send(v, &a, o, 0, 0);
	json_object_put(o);
	assert_int_equal(live_open(v), 3);
	buf_init(b, 1 << 20);
	assert_int_equal(live_carry(v, b), 0);
}

static void
refused(void **state)
{
	struct backend_conf bc = { .socket = "/nowhere",
		.key = "",
		.pool = 1,
		.timeout_ms = 1000,
		.waiting_max = 10 };
	struct backend *busy, *asked;
	struct live *v, *w;
	struct carry_in in;
	struct buf b;

	(void)state;
	asked = backend_new(p.loop, &bc);
	bc.waiting_max = 0;
	busy = backend_new(p.loop, &bc);
	p.backend = asked;
	v = client();
	ask_for(v, &b);
	p.backend = busy;
	w = client();
	in = (struct carry_in){ .p = b.data, .left = b.len };
	assert_int_equal(live_adopt(w, &in), 0);
	assert_int_equal(carry_end(&in), 0);
	/* What is still to be asked for is open, too. */
	assert_int_equal(live_open(w), 3);
	live_go(w);
	assert_string_equal(told, "busy 2 busy 1 busy 3 end 0 ");
	buf_fini(&b);
	live_fini(v);
	free(v);
	backend_free(asked);
	backend_free(busy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
	};
	static const int64_t most = 100;

	if (sodium_init() == -1)
		return 1;
	p.loop = ev_loop_new(0);
	p.cf.socket_acks_max = p.cf.socket_rooms_max = 10;
	p.cf.client_id_bytes_max = 100;
	hub_init(&p.hub, 10, 1 << 20);
	p.replays.hub = &p.hub;
	presence_init(&p.presence, p.loop, NULL, 1000);
	p.cf.identity_s = 60;
	p.cf.push_pool = 2;
	p.cf.account_connections_max = most;
	idents_init(&p.idents, p.loop, NULL, &p.presence, &p.cf);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
