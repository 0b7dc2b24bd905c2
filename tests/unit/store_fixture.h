#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

/*
 * A fresh database in a folder of its own for each test, with an admin, two
 * agents, two customers and channels; and the events that would have gone to
 * pushd.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "json.h"
#include "store.h"
#include "store_channel.h"
#include "store_db.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_event.h"
#include "store_message.h"
#include "store_user.h"
#include "store_webhook.h"
#include "who.h"

#define NOW INT64_C(4000000000000) /* after any real clock */

struct fixture {
	char dir[64], db[96];
	struct store_options op;
	struct store *st;
	struct who admin, agent, other, customer, stranger;
	int64_t web, zalo; /* channels */
	size_t sent;       /* events emitted */
	struct event last; /* of those; texts are cut copies */
	char type[64], data[4096], pub[4096], rooms[512], except[64];
};

static inline void
fixture_emit(void *arg, const struct event *e)
{
	struct fixture *f = arg;
	size_t i;

	f->sent++;
	f->last = *e;
	snprintf(f->type, sizeof f->type, "%s", e->type);
	snprintf(f->data, sizeof f->data, "%s", e->data);
	snprintf(f->pub, sizeof f->pub, "%s", e->public ? e->public : "");
	snprintf(f->except, sizeof f->except, "%s", e->except ? e->except : "");
	f->rooms[0] = '\0';
	for (i = 0; i < e->nrooms; i++) {
		strncat(f->rooms, e->rooms[i], 100);
		strncat(f->rooms, " ", 2);
	}
}

/* Some SQL of the test's own. */
static inline void
fixture_sql(struct fixture *f, const char *sql)
{
	assert_int_equal(
	    sqlite3_exec(f->st->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* The number in its first row; -1 if there is none. */
static inline int64_t
fixture_count(struct store *st, const char *sql)
{
	sqlite3_stmt *q;
	int64_t n = -1;

	assert_int_equal(
	    sqlite3_prepare_v2(st->db, sql, -1, &q, NULL), SQLITE_OK);
	if (sqlite3_step(q) == SQLITE_ROW)
		n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return n;
}

static inline int64_t
fixture_user(struct fixture *f, const char *name, bool admin, struct who *w)
{
	struct user u = { .admin = admin };

	snprintf(u.name, sizeof u.name, "%s", name);
	snprintf(u.email, sizeof u.email, "%s@shop.test", name);
	assert_int_equal(store_user_add(f->st, &u), STORE_DONE);
	w->kind = WHO_USER;
	w->id = u.id;
	w->admin = admin;
	snprintf(w->name, sizeof w->name, "%s", name);
	return u.id;
}

static inline void
fixture_customer(struct fixture *f, const char *name, struct who *w)
{
	struct customer_patch p = { .name = name };

	assert_int_equal(
	    store_customer_add(f->st, NULL, &p, &w->id), STORE_DONE);
	w->kind = WHO_CUSTOMER;
	snprintf(w->name, sizeof w->name, "%s", name);
}

static inline void
fixture_open(struct fixture *f)
{
	assert_int_equal(store_open(&f->op, &f->st), STORE_DONE);
	store_set_now(f->st, NOW);
}

static inline void
fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "/tmp/parley-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->db, sizeof f->db, "%s/parley.db", f->dir);
	f->op.path = f->db;
	f->op.mode = STORE_MODE_NORMAL;
	f->op.emit = fixture_emit;
	f->op.emit_arg = f;
}

static inline int
fixture_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	fixture_init(f);
	assert_int_equal(store_init(&f->op), STORE_DONE);
	fixture_open(f);
	fixture_user(f, "ada", true, &f->admin);
	fixture_user(f, "bo", false, &f->agent);
	fixture_user(f, "cy", false, &f->other);
	fixture_customer(f, "Xuân Chào", &f->customer);
	fixture_customer(f, "Somchai", &f->stranger);
	assert_int_equal(
	    store_channel_add(f->st, "web", "Site", NULL, NULL, NULL, &f->web),
	    STORE_DONE);
	assert_int_equal(
	    store_channel_add(f->st, "zalo", "OA", "oa1", NULL, NULL, &f->zalo),
	    STORE_DONE);
	*state = f;
	return 0;
}

static inline void
fixture_wipe(const char *dir)
{
	char path[512];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d != NULL && (e = readdir(d)) != NULL) {
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.')
			unlink(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

/*
 * No statement a test has run may walk a whole table, or sort without an
 * index what a client can make long.  What is allowed, and why:
 */
static const char *const fixture_allowed[] = { "SCAN log_state",
	"SCAN s",                   /* one row */
	"SCAN log_lives",           /* a row a restore */
	"SCAN (subquery-",          /* what is inside is looked at itself */
	"INDEX user_presence_here", /* agents who are here now */
	"SCAN CONSTANT ROW",        /* no table */
	"SCAN users USING COVERING INDEX", /* counted by parley check */
	"INDEX channels_ok",               /* accounts that are sent to */
	"INDEX channels_gone",             /* and that were */
	NULL };
/* Sorted without an index: rows of one message, thread, person or team. */
static const char *const fixture_sorted[] = {
	"FROM participants p INDEXED BY participants_member", /* one's own */
	"FROM participants p WHERE p.conversation_id",        /* one thread's */
	"UPDATE deliveries SET state = 'sending'", /* those due at one moment */
	"FROM messages m JOIN deliveries d",       /* of one thread */
	"FROM channels WHERE platform",            /* a handful */
	NULL
};

struct fixture_plan {
	struct store *st;
	size_t n, bad;
};

static inline bool
fixture_in(const char *const *list, const char *text)
{
	for (; *list != NULL; list++)
		if (strstr(text, *list) != NULL)
			return true;
	return false;
}

static inline void
fixture_plan_one(void *arg, const char *sql)
{
	struct fixture_plan *p = arg;
	char text[8192];
	sqlite3_stmt *q;
	const char *s;
	bool bad;

	if (strncmp(sql, "PRAGMA", 6) == 0)
		return;
	snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sql);
	if (sqlite3_prepare_v2(p->st->db, text, -1, &q, NULL) != SQLITE_OK) {
		fprintf(stderr, "%s\n", sqlite3_errmsg(p->st->db));
		p->bad++;
		return;
	}
	p->n++;
	while (sqlite3_step(q) == SQLITE_ROW) {
		s = (const char *)sqlite3_column_text(q, 3);
		bad = strncmp(s, "SCAN ", 5) == 0 &&
		      !fixture_in(fixture_allowed, s);
		if (strstr(s, "TEMP B-TREE") != NULL &&
		    strstr(s, "ORDER BY") != NULL)
			bad = bad || !fixture_in(fixture_sorted, sql);
		if (strstr(s, "AUTOMATIC") != NULL)
			bad = true;
		if (bad)
			fprintf(stderr, "plan: %s\n  of: %s\n", s, sql);
		p->bad += bad;
	}
	sqlite3_finalize(q);
}

/* How many statements were looked at; fails on a bad plan. */
static inline size_t
fixture_plans(struct store *st)
{
	struct fixture_plan p = { .st = st };

	store_each_sql(st, fixture_plan_one, &p);
	assert_int_equal(p.bad, 0);
	return p.n;
}

static inline int
fixture_down(void **state)
{
	struct fixture *f = *state;

	if (store_schema(f->st) > 0)
		fixture_plans(f->st);
	store_close(f->st);
	fixture_wipe(f->dir);
	free(f);
	return 0;
}

/* A conversation of the customer on the web. */
static inline int64_t
fixture_talk(struct fixture *f, const struct who *customer)
{
	int64_t id;

	assert_int_equal(store_conversation_customer(
			     f->st, customer, customer->id, f->web, NULL, &id),
	    STORE_DONE);
	return id;
}

/* A message; what store_message_add said, and its id. */
static inline int
fixture_say(struct fixture *f, const struct who *who, int64_t conversation,
    const char *text, const char *client_id, int64_t *id)
{
	struct message m = { .conversation = conversation,
		.content = text,
		.content_len = strlen(text),
		.client_id = client_id };
	int rc = store_message_add(f->st, who, &m);

	if (id != NULL)
		*id = m.id;
	message_fini(&m);
	return rc;
}

/* A thread on Zalo with the customer `u7` and one message of it. */
static inline int64_t
fixture_zalo(struct fixture *f, const char *text, int64_t *message)
{
	struct message m = { .content = text,
		.content_len = strlen(text),
		.incoming = true,
		.sender_kind = "customer",
		.external_id = "in-1" };
	int64_t customer, id;
	int rc;

	rc = store_identity(f->st, f->zalo, "u7", NULL, &customer);
	assert_true(rc == STORE_DONE || rc == STORE_REPEATED);
	rc = store_conversation_external(f->st, f->zalo, "u7", customer, &id);
	assert_true(rc == STORE_DONE || rc == STORE_REPEATED);
	m.conversation = id;
	m.sender_id = customer;
	m.channel = f->zalo;
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	if (message != NULL)
		*message = m.id;
	message_fini(&m);
	return id;
}

/* A member of an object as text; "" if there is none. */
static inline const char *
text_of(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, key, &v);
	return v != NULL ? json_object_get_string(v) : "";
}

static inline struct json_object *
items_of(struct json_object *o)
{
	struct json_object *v = NULL;

	assert_true(json_object_object_get_ex(o, "items", &v));
	return v;
}

static inline size_t
count_of(struct json_object *o)
{
	return json_object_array_length(items_of(o));
}

#define STORE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

#endif
