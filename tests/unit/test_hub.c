/*
 * Rooms, subscribers, the ring: each event once to each, in order, whatever
 * callbacks do meanwhile; and what the ring can answer.
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

#include "clock.h"
#include "hub.h"

struct reader {
	struct hub_sub sub; /* first */
	struct hub *h;
	struct reader *leaves; /* taken out of all rooms when this one hears */
	const char *says;      /* the line of an event that hearing makes */
	struct hub_group **group; /* freed when its last one leaves */
	int n;
	int64_t ids[200];
};

static void
leave(struct reader *r)
{
	hub_leave_all(r->h, &r->sub);
	if (r->group != NULL && *r->group != NULL && (*r->group)->n == 0) {
		free(*r->group);
		*r->group = NULL;
	}
}

static struct event *
event(const char *line)
{
	struct event *e = NULL;

	if (event_parse(line, strlen(line), &e) != 1)
		fail_msg("%s", line);
	return e;
}

static void
heard(struct hub *h, struct hub_sub *sub, struct hub_event *he)
{
	struct reader *r = (struct reader *)sub;

	const char *says = r->says;

	(void)h;
	r->ids[r->n++] = he->e->id;
	r->says = NULL;
	if (says != NULL)
		hub_ephemeral(r->h, event(says));
	if (r->leaves != NULL)
		leave(r->leaves);
}

static void
nowhere(struct reader *r, struct hub *h, int form)
{
	memset(r, 0, sizeof(*r));
	r->h = h;
	r->sub.event = heard;
	r->sub.live = 1;
	r->sub.form = (uint8_t)form;
}

static void
reader(struct reader *r, struct hub *h, const char *room, int form)
{
	nowhere(r, h, form);
	assert_int_equal(hub_join(h, &r->sub, room, strlen(room), 1), 1);
}

static void
append(struct hub *h, int64_t id, const char *type, const char *rooms,
    const char *rest)
{
	char line[512];

	snprintf(line, sizeof(line),
	    "{\"id\":%lld,\"prev\":%lld,\"type\":\"%s\",\"rooms\":[%s],%s}",
	    (long long)id, (long long)h->head, type, rooms, rest);
	hub_append(h, event(line));
}

#define DATA "\"data\":{\"id\":\"7\"}"
#define PUBLIC "\"data\":{\"id\":\"7\"},\"public\":true"

static void
test_rooms(void **state)
{
	struct reader a, b, c;
	struct hub h;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	hub_start(&h, 100, 50, "e");
	reader(&a, &h, "inbox", HUB_AGENT);
	reader(&b, &h, "conversation:1", HUB_AGENT);
	reader(&c, &h, "customer:9", HUB_CUSTOMER);
	assert_int_equal(hub_join(&h, &a.sub, "conversation:1", 14, 2), 1);
	assert_int_equal(hub_join(&h, &a.sub, "conversation:1", 14, 4), 0);

	append(&h, 101, "t", "\"inbox\",\"conversation:1\",\"customer:9\"",
	    PUBLIC);
	append(&h, 105, "t", "\"inbox\",\"customer:9\"", DATA); /* a note */
	append(&h, 106, "t", "\"user:1\"", DATA);
	assert_int_equal(a.n, 2);
	assert_int_equal(b.n, 1);
	assert_int_equal(c.n, 1);
	assert_int_equal(h.head, 106);

	/* Flags: the last one taken is the way out. */
	hub_leave(&h, &a.sub, "conversation:1", 14, 2);
	assert_non_null(hub_link_find(&a.sub, "conversation:1", 14));
	hub_leave(&h, &a.sub, "conversation:1", 14, 4);
	assert_null(hub_link_find(&a.sub, "conversation:1", 14));

	hub_leave_all(&h, &a.sub);
	hub_leave_all(&h, &b.sub);
	hub_leave_all(&h, &c.sub);
	assert_int_equal(h.rooms.used, 0);
	hub_fini(&h);
}

/* Nothing that was given before, nothing while catching up. */
static void
test_cursor(void **state)
{
	struct reader a;
	struct hub h;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	hub_start(&h, 0, 0, "e");
	reader(&a, &h, "inbox", HUB_AGENT);
	a.sub.cursor = 10;
	append(&h, 10, "t", "\"inbox\"", DATA);
	append(&h, 11, "t", "\"inbox\"", DATA);
	assert_int_equal(a.n, 1);
	a.sub.live = 0;
	append(&h, 12, "t", "\"inbox\"", DATA);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.sub.cursor, 11);
	hub_leave_all(&h, &a.sub);
	hub_fini(&h);
}

static void
test_ephemeral(void **state)
{
	struct reader a, b;
	struct hub h;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	hub_start(&h, 5, 0, "e");
	reader(&a, &h, "inbox", HUB_AGENT);
	reader(&b, &h, "inbox", HUB_AGENT);
	hub_join(&h, &b.sub, "user:5", 6, 1);
	hub_ephemeral(
	    &h, event("{\"id\":0,\"type\":\"typing_indicator\",\"rooms\":"
		      "[\"inbox\"],\"except\":\"user:5\",\"data\":{}}"));
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 0);
	assert_int_equal(a.sub.cursor, 0);
	assert_int_equal(h.head, 5);

	/* A logged one is left out live and when it is replayed. */
	append(&h, 6, "read_receipt", "\"inbox\"",
	    "\"except\":\"user:5\",\"data\":{}");
	assert_int_equal(a.n, 2);
	assert_int_equal(b.n, 0);
	assert_true(hub_sees(&a.sub, hub_after(&h, 5)));
	assert_false(hub_sees(&b.sub, hub_after(&h, 5)));
	hub_leave_all(&h, &a.sub);
	hub_leave_all(&h, &b.sub);
	hub_fini(&h);
}

/* Signals are kept for a moment, the newest of them, and each found once. */
static void
test_signals(void **state)
{
	long long now = clock_mono_ms();
	uint32_t heard = 1, i;
	struct hub h;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	hub_start(&h, 5, 0, "e");
	assert_null(hub_signal(&h, &heard, now));
	for (i = 0; i < HUB_SIGNALS + 10; i++)
		hub_ephemeral(&h,
		    event("{\"id\":0,\"type\":\"typing_indicator\",\"rooms\":"
			  "[\"inbox\"],\"data\":{}}"));
	for (i = 0; hub_signal(&h, &heard, now) != NULL; i++)
		;
	assert_int_equal(i, HUB_SIGNALS);
	assert_int_equal(heard, h.nsignals);
	heard -= 3;
	assert_non_null(hub_signal(&h, &heard, now));
	assert_null(hub_signal(&h, &heard, now + 60000 + HUB_SIGNAL_MS));
	assert_int_equal(heard, h.nsignals);
	hub_fini(&h);
}

/* Whoever is closed in the middle of a delivery, nobody hears twice. */
static void
test_leaving_meanwhile(void **state)
{
	struct reader r[20];
	struct hub h;
	int i, leaver, victim, n;

	(void)state;
	for (leaver = 0; leaver < 20; leaver++)
		for (victim = 0; victim < 20; victim++) {
			hub_init(&h, 10, 1 << 20);
			hub_start(&h, 0, 0, "e");
			for (i = 0; i < 20; i++)
				reader(&r[i], &h, "inbox", HUB_AGENT);
			r[leaver].leaves = &r[victim];
			append(&h, 1, "t", "\"inbox\",\"inbox\"", DATA);
			for (i = n = 0; i < 20; i++) {
				assert_true(r[i].n <= 1);
				n += r[i].n;
			}
			assert_true(n >= 19);
			assert_int_equal(r[leaver].n, 1);
			append(&h, 2, "t", "\"inbox\"", DATA);
			assert_true(r[victim].n <= 1);
			for (i = 0; i < 20; i++)
				hub_leave_all(&h, &r[i].sub);
			assert_int_equal(h.rooms.used, 0);
			hub_fini(&h);
		}
}

/* What a delivery makes follows when all have had what made it. */
static void
test_saying_meanwhile(void **state)
{
	static const char says[] =
	    "{\"id\":0,\"type\":\"typing_indicator\",\"rooms\":"
	    "[\"inbox\"],\"data\":{}}";
	struct reader r[5];
	struct hub h;
	int i;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	hub_start(&h, 0, 0, "e");
	for (i = 0; i < 5; i++)
		reader(&r[i], &h, "inbox", HUB_AGENT);
	r[0].says = r[2].says = r[4].says = says;
	append(&h, 1, "t", "\"inbox\"", DATA);
	append(&h, 2, "t", "\"inbox\"", DATA);
	for (i = 0; i < 5; i++) {
		assert_int_equal(r[i].n, 5);
		assert_int_equal(r[i].ids[0], 1);
		assert_int_equal(r[i].ids[1] + r[i].ids[2] + r[i].ids[3], 0);
		assert_int_equal(r[i].ids[4], 2);
		hub_leave_all(&h, &r[i].sub);
	}
	hub_fini(&h);
}

/* A group has one place in a room for all in it, and only its rooms. */
static void
test_group(void **state)
{
	static const char first[] = "inbox\0user:1", then[] = "user:1\0team:2";
	struct hub_group g = { .n = 0 }, other = { .n = 0 };
	struct reader r[12];
	struct hub h;
	int i;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	hub_start(&h, 0, 0, "e");
	for (i = 0; i < 12; i++) {
		nowhere(&r[i], &h, HUB_AGENT);
		assert_int_equal(hub_enter(&h, &r[i].sub, &g), 0);
		assert_int_equal(hub_enter(&h, &r[i].sub, &g), 0);
		assert_int_equal(hub_group_rooms(&h, &g, first, 2, 1), 0);
	}
	assert_int_equal(g.n, 12);
	hub_join(&h, &r[3].sub, "inbox", 5, 2);
	append(&h, 1, "t", "\"inbox\",\"user:1\"", DATA);
	append(&h, 2, "t", "\"team:2\"", DATA);
	for (i = 0; i < 12; i++)
		assert_int_equal(r[i].n, 1);

	/* Its own place is what is found, and what it may leave. */
	assert_int_equal(hub_link_find(&r[3].sub, "inbox", 5)->flags, 2);
	assert_int_equal(hub_link_find(&r[4].sub, "inbox", 5)->flags, 1);
	hub_leave(&h, &r[4].sub, "inbox", 5, 1);
	assert_non_null(hub_link_find(&r[4].sub, "inbox", 5));

	/* To another group and its rooms; who is there by itself stays. */
	for (i = 0; i < 12; i++)
		assert_int_equal(hub_enter(&h, &r[i].sub, &other), 0);
	assert_int_equal(g.n, 0);
	assert_int_equal(hub_group_rooms(&h, &other, then, 2, 1), 0);
	append(&h, 3, "t", "\"inbox\"", DATA);
	append(&h, 4, "t", "\"team:2\"", DATA);
	append(&h, 5, "t", "\"team:2\"", "\"except\":\"user:1\",\"data\":{}");
	for (i = 0; i < 12; i++)
		assert_int_equal(r[i].n, i == 3 ? 3 : 2);
	assert_true(hub_sees(&r[0].sub, hub_after(&h, 3)));
	assert_false(hub_sees(&r[0].sub, hub_after(&h, 2)));

	/* The last one's leaving empties the rooms; it can begin again. */
	for (i = 0; i < 12; i++)
		leave(&r[i]);
	assert_int_equal(h.rooms.used, 0);
	assert_int_equal(hub_enter(&h, &r[0].sub, &g), 0);
	assert_int_equal(hub_group_rooms(&h, &g, first, 2, 1), 0);
	append(&h, 6, "t", "\"inbox\"", DATA);
	assert_int_equal(r[0].n, 3);
	leave(&r[0]);
	assert_int_equal(h.rooms.used, 0);
	hub_fini(&h);
}

/* Who leaves meanwhile may take the group, and the room, along. */
static void
test_groups_leaving_meanwhile(void **state)
{
	enum { READERS = 14, GROUPS = 5 };
	static const int of[READERS] = { 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, -1,
		4 };
	struct hub_group *g[GROUPS];
	struct reader r[READERS];
	struct hub h;
	int i, leaver, victim, n, all;

	(void)state;
	for (leaver = 0; leaver < READERS; leaver++)
		for (victim = -1; victim < READERS; victim++) {
			hub_init(&h, 10, 1 << 20);
			hub_start(&h, 0, 0, "e");
			for (i = 0; i < GROUPS; i++) {
				g[i] = calloc(1, sizeof(*g[i]));
				assert_non_null(g[i]);
			}
			for (i = 0; i < READERS; i++) {
				if (of[i] == -1) {
					reader(&r[i], &h, "inbox", HUB_AGENT);
					continue;
				}
				nowhere(&r[i], &h, HUB_AGENT);
				r[i].group = &g[of[i]];
				hub_enter(&h, &r[i].sub, g[of[i]]);
				hub_group_rooms(&h, g[of[i]], "inbox", 1, 1);
			}
			/* -1: from this one on, each goes when it hears. */
			all = victim == -1;
			for (i = leaver; all && i < READERS; i++)
				r[i].leaves = &r[i];
			if (!all)
				r[leaver].leaves = &r[victim];
			append(&h, 1, "t", "\"inbox\",\"inbox\"", DATA);
			for (i = n = 0; i < READERS; i++) {
				assert_true(r[i].n <= 1);
				n += r[i].n;
			}
			assert_true(n >= READERS - !all);
			for (i = 0; i < READERS; i++)
				leave(&r[i]);
			for (i = 0; i < GROUPS; i++)
				assert_null(g[i]);
			assert_int_equal(h.rooms.used, 0);
			hub_fini(&h);
		}
}

/* The last one of a room leaves in its own callback: the room goes. */
static void
test_room_goes(void **state)
{
	struct reader a;
	struct hub h;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	hub_start(&h, 0, 0, "e");
	reader(&a, &h, "x", HUB_AGENT);
	hub_join(&h, &a.sub, "y", 1, 1);
	a.leaves = &a;
	append(&h, 1, "t", "\"x\",\"y\"", DATA);
	assert_int_equal(a.n, 1);
	assert_int_equal(h.rooms.used, 0);
	hub_fini(&h);
}

static void
test_ring(void **state)
{
	struct hub_event *he;
	struct hub h;
	int64_t id;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	assert_false(hub_covers(&h, 0)); /* not ready */
	hub_start(&h, 100, 40, "e");
	assert_true(hub_covers(&h, 100));
	assert_false(hub_covers(&h, 99));
	assert_false(hub_covers(&h, 101));
	for (id = 110; id <= 200; id += 10)
		append(&h, id, "t", "\"inbox\"", DATA);
	assert_true(hub_covers(&h, 100));
	append(&h, 210, "t", "\"inbox\"", DATA);
	assert_false(hub_covers(&h, 109)); /* 110 is gone */
	assert_true(hub_covers(&h, 110));
	assert_true(hub_covers(&h, 115));
	he = hub_after(&h, 115);
	assert_int_equal(he->e->id, 120);
	assert_int_equal(hub_after(&h, 209)->e->id, 210);
	assert_null(hub_after(&h, 210));
	assert_true(hub_has(&h, 150));
	assert_false(hub_has(&h, 151));
	hub_skip(&h, 250);
	assert_int_equal(h.head, 250);
	assert_true(hub_covers(&h, 250));
	assert_null(hub_after(&h, 215));
	hub_start(&h, 1000, 900, "f");
	assert_false(hub_covers(&h, 250));
	assert_int_equal(h.ring_n, 0);
	hub_fini(&h);
}

static void
test_ring_bytes(void **state)
{
	struct hub h;
	int64_t id;

	(void)state;
	hub_init(&h, 1000, 10000);
	hub_start(&h, 0, 0, "e");
	for (id = 1; id <= 500; id++)
		append(&h, id, "t", "\"inbox\"", DATA);
	assert_true(h.ring_n < 30);
	assert_true(h.ring_bytes <= 10000);
	assert_int_equal(h.base, 500 - (int64_t)h.ring_n);
	hub_fini(&h);
}

/* What was deleted, or whose members changed, is not served from here. */
static void
test_outdated(void **state)
{
	struct hub h;

	(void)state;
	hub_init(&h, 10, 1 << 20);
	hub_start(&h, 0, 0, "e");
	append(&h, 1, "new_message", "\"inbox\"", "\"data\":{\"id\":\"12\"}");
	append(&h, 2, "new_message", "\"inbox\"", "\"data\":{\"id\":\"13\"}");
	append(
	    &h, 3, "message_deleted", "\"inbox\"", "\"data\":{\"id\":\"12\"}");
	assert_false(hub_covers(&h, 0));
	assert_true(hub_covers(&h, 1));
	append(&h, 4, "new_message", "\"user:1\",\"conversation:5\"",
	    "\"data\":{\"id\":\"14\"}");
	append(&h, 5, "conversation_updated", "\"user:1\",\"conversation:5\"",
	    "\"data\":{\"id\":\"5\",\"type\":\"group\",\"participants\":[]}");
	assert_false(hub_covers(&h, 3));
	assert_true(hub_covers(&h, 4));
	append(&h, 6, "new_message", "\"inbox\",\"conversation:8\"",
	    "\"data\":{\"id\":\"15\"}");
	append(&h, 7, "conversation_updated", "\"inbox\",\"conversation:8\"",
	    "\"data\":{\"id\":\"8\",\"type\":\"customer\","
	    "\"participants\":[]}");
	assert_true(hub_covers(&h, 5));
	hub_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rooms),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_ephemeral),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_leaving_meanwhile),
		cmocka_unit_test(test_saying_meanwhile),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_groups_leaving_meanwhile),
		cmocka_unit_test(test_room_goes),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_ring_bytes),
		cmocka_unit_test(test_outdated),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
