/* The log: ids, rooms, who sees what, cursors, lives, retention. */
#include "store_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "heads.h"
#include "store_db.h"
#include "store_session.h"

static int64_t
event(struct fixture *f, const char *type, const char *room, bool public)
{
	struct json_object *o = json_object_new_object();
	int64_t id = 0;

	json_put_str(o, "text", type);
	assert_int_equal(store_event_send(f->st, type, o,
			     public ? EVENT_SAME : NULL, &room, 1, &id),
	    STORE_DONE);
	json_object_put(o);
	return id;
}

static size_t
since(struct fixture *f, const struct who *who, int64_t after, int limit,
    struct log_page *pg, struct json_object **out)
{
	assert_int_equal(
	    store_events_since(f->st, who, after, 0, limit, out, pg),
	    STORE_DONE);
	return json_object_array_length(*out);
}

static void
test_ids(void **state)
{
	struct fixture *f = *state;
	int64_t a, b, c;

	/* An id is its time, pushed up where that was taken. */
	store_set_now(f->st, NOW + 5000);
	a = event(f, "a", "inbox", false);
	assert_int_equal(a, NOW + 5000);
	b = event(f, "b", "inbox", false);
	assert_int_equal(b, a + 1);
	assert_int_equal(f->last.prev, a);
	assert_int_equal(f->last.id, b);
	/* A clock that went back: still growing. */
	store_set_now(f->st, NOW - 86400000);
	c = event(f, "c", "inbox", false);
	assert_int_equal(c, b + 1);
	assert_int_equal(store_event_last(f->st), c);
}

static void
test_purge_keeps_ids(void **state)
{
	struct fixture *f = *state;
	struct log_state s;
	int64_t a, b, done;

	a = event(f, "a", "inbox", false);
	store_set_now(f->st, a + 1000000);
	/* Purge all, set the clock back, insert: the id is larger. */
	assert_int_equal(store_log_purge(f->st, 10, 0, &done), STORE_DONE);
	assert_true(done > 0);
	assert_int_equal(store_log_purge(f->st, 10, 0, &done), STORE_NONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM events"), 0);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM event_rooms"), 0);
	assert_int_equal(store_log_state(f->st, &s), STORE_DONE);
	assert_int_equal(s.floor, a);
	assert_int_equal(s.head, a);
	assert_int_equal(s.oldest, a);
	store_set_now(f->st, NOW - 1000000);
	b = event(f, "b", "inbox", false);
	assert_int_equal(b, a + 1);
	assert_int_equal(f->last.prev, a);
	/* What was purged is out of reach; the floor itself is not. */
	assert_int_equal(store_cursor(f->st, a - 1), STORE_NONE);
	assert_int_equal(store_cursor(f->st, a), STORE_DONE);
}

static void
test_purge_batches(void **state)
{
	struct fixture *f = *state;
	int64_t done, n;
	int i;

	assert_int_equal(store_begin(f->st), 0);
	for (i = 0; i < 700; i++)
		event(f, "e", "inbox", false);
	assert_int_equal(store_end(f->st, STORE_DONE), STORE_DONE);
	n = fixture_count(f->st, "SELECT count(*) FROM events");
	store_set_now(f->st, NOW + 1000000);
	/* Young ones and the newest stay. */
	assert_int_equal(store_log_purge(f->st, 5000000, 0, &done), STORE_NONE);
	assert_int_equal(store_log_purge(f->st, 10, 10000, &done), STORE_NONE);
	assert_int_equal(store_log_purge(f->st, 10, 100, &done), STORE_DONE);
	assert_int_equal(done, 500);
	assert_int_equal(store_log_purge(f->st, 10, 100, &done), STORE_DONE);
	assert_int_equal(done, n - 600);
	assert_int_equal(store_log_purge(f->st, 10, 100, &done), STORE_NONE);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM events"), 100);
}

static void
test_cursor_rules(void **state)
{
	struct fixture *f = *state;
	struct log_state s, t;
	int64_t head, base;

	assert_int_equal(store_log_state(f->st, &s), STORE_DONE);
	head = event(f, "a", "inbox", false);
	assert_int_equal(store_cursor(f->st, head), STORE_DONE);
	assert_int_equal(store_cursor(f->st, s.floor), STORE_DONE);
	assert_int_equal(store_cursor(f->st, s.floor - 1), STORE_NONE);
	assert_int_equal(
	    store_cursor(f->st, head + 1), STORE_NONE); /* future */
	assert_int_equal(store_cursor(f->st, 0), STORE_NONE);
	assert_int_equal(store_cursor(f->st, -5), STORE_NONE);
	assert_int_equal(store_cursor(f->st, INT64_C(1) << 53), STORE_NONE);

	/* After a fall: another life, a gap between, old ids still good. */
	store_close(f->st);
	f->op.boot = "another-boot";
	fixture_open(f);
	assert_int_equal(store_log_state(f->st, &t), STORE_DONE);
	base = t.head;
	assert_true(base > head + 2);
	assert_string_not_equal(s.epoch, t.epoch);
	assert_int_equal(store_cursor(f->st, head), STORE_DONE);
	assert_int_equal(store_cursor(f->st, head + 1), STORE_NONE);
	assert_int_equal(store_cursor(f->st, base - 2), STORE_NONE);
	assert_int_equal(store_cursor(f->st, base - 1), STORE_DONE);
	assert_int_equal(store_cursor(f->st, base), STORE_DONE);
	assert_int_equal(store_cursor(f->st, base + 1), STORE_NONE);
	assert_true(event(f, "b", "inbox", false) > base);

	struct json_object *lives = NULL, *l;
	assert_int_equal(store_log_lives(f->st, &lives), STORE_DONE);
	assert_int_equal(json_object_array_length(lives), 2);
	l = json_object_array_get_idx(lives, 0);
	assert_int_equal(
	    json_object_get_int64(json_object_array_get_idx(l, 1)), head);
	l = json_object_array_get_idx(lives, 1);
	assert_int_equal(
	    json_object_get_int64(json_object_array_get_idx(l, 0)), base);
	assert_null(json_object_array_get_idx(l, 1));
	json_object_put(lives);
}

/* The machine fell over while a NORMAL writer ran. */
static void
test_unclean_boot(void **state)
{
	struct fixture *f = *state;
	struct log_state s, t;
	int64_t lost;

	lost = event(f, "a", "inbox", false) + 10;
	store_log_state(f->st, &s);
	/* The same boot: only the program ended, nothing is lost. */
	store_close(f->st);
	fixture_open(f);
	store_log_state(f->st, &t);
	assert_string_equal(s.epoch, t.epoch);

	/* Another boot: ids that clients saw may be gone. */
	store_close(f->st);
	f->op.boot = "another-boot";
	fixture_open(f);
	store_log_state(f->st, &t);
	assert_string_not_equal(s.epoch, t.epoch);
	assert_int_equal(store_cursor(f->st, lost), STORE_NONE);

	/* An orderly stop before the next one: no new life. */
	assert_int_equal(store_log_clean(f->st), STORE_DONE);
	store_close(f->st);
	f->op.boot = "third-boot";
	fixture_open(f);
	store_log_state(f->st, &s);
	assert_string_equal(s.epoch, t.epoch);
}

static long
file_size(const char *path)
{
	FILE *fp = fopen(path, "r");
	long n;

	assert_non_null(fp);
	fseek(fp, 0, SEEK_END);
	n = ftell(fp);
	fclose(fp);
	return n;
}

/*
 * The same with a disk that really forgot: the log is cut back to an earlier
 * frame.  Ids that clients saw are gone; none is taken for another event's.
 */
static void
test_cut_back(void **state)
{
	struct fixture *f = *state;
	char wal[128];
	long keep;
	int64_t ids[40], head;
	struct log_state s;
	int i, status;
	pid_t pid;

	assert_int_equal(store_checkpoint(f->st, true), STORE_DONE);
	for (i = 0; i < 20; i++)
		ids[i] = event(f, "kept", "inbox", false);
	snprintf(wal, sizeof wal, "%s-wal", f->db);
	keep = file_size(wal);
	/* A process that dies without closing anything. */
	store_close(f->st);
	fixture_open(f);
	for (i = 0; i < 20; i++)
		ids[i] = event(f, "kept", "inbox", false);
	keep = file_size(wal);
	for (i = 20; i < 40; i++)
		ids[i] = event(f, "lost", "inbox", false);
	assert_true(file_size(wal) > keep);
	head = ids[39];
	if ((pid = fork()) == 0) {
		/* What is on the disk now, as after the power cut. */
		char to[80], cmd[512];

		snprintf(to, sizeof to, "%s/after", f->dir);
		snprintf(cmd, sizeof cmd,
		    "mkdir %s && cp %s %s-wal %s && rm -f %s/*-shm", to, f->db,
		    f->db, to, to);
		_exit(system(cmd) == 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 0);

	struct fixture g = *f;
	char *why;
	snprintf(g.db, sizeof g.db, "%s/after/parley.db", f->dir);
	snprintf(wal, sizeof wal, "%s-wal", g.db);
	assert_int_equal(truncate(wal, keep), 0);
	g.op.path = g.db;
	g.op.emit_arg = &g;
	g.op.boot = "after-the-cut";
	fixture_open(&g);
	assert_int_equal(store_log_state(g.st, &s), STORE_DONE);
	for (i = 0; i < 20; i++)
		assert_int_equal(store_cursor(g.st, ids[i]), STORE_DONE);
	for (i = 20; i < 40; i++)
		assert_int_equal(store_cursor(g.st, ids[i]), STORE_NONE);
	store_set_now(g.st, s.head + 1000);
	assert_true(event(&g, "new", "inbox", false) > head);
	assert_int_equal(store_cursor(g.st, head), STORE_NONE);
	assert_int_equal(store_check(g.st, &why), STORE_DONE);
	store_close(g.st);
	snprintf(g.dir, sizeof g.dir, "%.50s/after", f->dir);
	fixture_wipe(g.dir);
}

/* With FULL a fall loses nothing: no new life. */
static void
test_full_boot(void **state)
{
	struct fixture *f = *state;
	struct log_state s, t;

	assert_int_equal(store_log_clean(f->st), STORE_DONE);
	store_close(f->st);
	f->op.mode = STORE_MODE_FULL;
	fixture_open(f);
	event(f, "a", "inbox", false);
	store_log_state(f->st, &s);
	store_close(f->st);
	f->op.boot = "another-boot";
	fixture_open(f);
	store_log_state(f->st, &t);
	assert_string_equal(s.epoch, t.epoch);
}

static void
test_heads_follow(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct heads *h;
	int64_t a, b;

	snprintf(path, sizeof path, "%s/heads.map", f->dir);
	h = heads_open(path, NULL, false);
	assert_true(heads_good(h));
	a = event(f, "a", "user:2", false);
	assert_int_equal(heads_newest(h, "user:2"), a);
	assert_int_equal(heads_head(h), a);
	assert_true(heads_newest(h, "user:3") < a);
	/* A commit that fails may leave a false alarm, never a miss. */
	store_fail_commit(f->st, SQLITE_FULL);
	struct json_object *o = json_object_new_object();
	const char *room = "user:3";
	assert_int_equal(
	    store_event_send(f->st, "x", o, NULL, &room, 1, &b), STORE_FAILED);
	json_object_put(o);
	assert_true(heads_newest(h, "user:3") >= a);
	assert_int_equal(heads_head(h), a);
	/* Removed in between: made anew before the next commit. */
	unlink(path);
	assert_false(heads_good(h));
	b = event(f, "b", "user:2", false);
	assert_true(heads_good(h));
	assert_int_equal(heads_newest(h, "user:2"), b);
	assert_true(heads_newest(h, "user:3") >= a);
	heads_close(h);
}

static void
test_audience(void **state)
{
	struct fixture *f = *state;
	struct json_object *out;
	struct log_page pg;
	struct log_state s;
	char room[32];
	int64_t from;

	store_log_state(f->st, &s);
	from = s.head;
	snprintf(room, sizeof room, "customer:%lld", (long long)f->customer.id);
	event(f, "all", "broadcast", true);
	event(f, "agents", "inbox", false);
	event(f, "mine", room, true);
	event(f, "secret", room, false);
	snprintf(room, sizeof room, "user:%lld", (long long)f->agent.id);
	event(f, "bo", room, false);
	event(f, "gone", "control", false);

	assert_int_equal(since(f, &f->agent, from, 50, &pg, &out), 3);
	assert_int_equal(pg.last, f->last.id);
	assert_false(pg.more);
	json_object_put(out);
	assert_int_equal(since(f, &f->other, from, 50, &pg, &out), 2);
	json_object_put(out);
	/* A customer: what is public, in its own rooms. */
	assert_int_equal(since(f, &f->customer, from, 50, &pg, &out), 2);
	assert_string_equal(
	    text_of(json_object_array_get_idx(out, 1), "type"), "mine");
	json_object_put(out);
	assert_int_equal(since(f, &f->stranger, from, 50, &pg, &out), 1);
	json_object_put(out);
}

static void
test_pages(void **state)
{
	struct fixture *f = *state;
	struct json_object *out;
	struct log_page pg;
	struct log_state s;
	char room[32];
	int64_t cursor, last = 0;
	size_t seen = 0, n, i;

	store_log_state(f->st, &s);
	cursor = s.head;
	snprintf(room, sizeof room, "user:%lld", (long long)f->agent.id);
	assert_int_equal(store_begin(f->st), 0);
	for (i = 0; i < 150; i++) {
		const char *rooms[] = { "inbox", room };
		struct json_object *o = json_object_new_object();

		/* Some in one room, some in two: each is seen once. */
		assert_int_equal(store_event_add(f->st, "e", o, NULL,
				     rooms + i % 2, 2 - i % 2, NULL),
		    STORE_DONE);
		json_object_put(o);
	}
	assert_int_equal(store_end(f->st, STORE_DONE), STORE_DONE);
	do {
		n = since(f, &f->agent, cursor, 40, &pg, &out);
		for (i = 0; i < n; i++) {
			int64_t id = strtoll(
			    text_of(json_object_array_get_idx(out, i), "id"),
			    NULL, 10);
			assert_true(id > last && id > cursor);
			last = id;
		}
		seen += n;
		cursor = pg.last;
		assert_true(pg.more == (seen < 150));
		json_object_put(out);
	} while (pg.more);
	assert_int_equal(seen, 150);
	assert_int_equal(cursor, f->last.id);

	/* A bound from above; a quiet reader gets to the head. */
	assert_int_equal(store_events_since(f->st, &f->agent, s.head,
			     s.head + 10, 500, &out, &pg),
	    STORE_DONE);
	assert_true(pg.last <= s.head + 10);
	json_object_put(out);
	assert_int_equal(since(f, &f->customer, s.head, 10, &pg, &out), 0);
	assert_int_equal(pg.last, f->last.id);
	json_object_put(out);
}

static void
test_raw(void **state)
{
	struct fixture *f = *state;
	struct event *e;
	struct log_page pg;
	struct log_state s;
	struct buf b;

	store_log_state(f->st, &s);
	event(f, "one", "inbox", true);
	buf_init(&b, 1 << 20);
	assert_int_equal(
	    store_events_raw(f->st, s.head, 10, &b, &pg), STORE_DONE);
	assert_int_equal(event_parse(b.data, b.len, &e), 1);
	assert_int_equal(e->id, pg.last);
	assert_int_equal(e->prev, s.head);
	assert_string_equal(e->type, "one");
	assert_int_equal(e->nrooms, 1);
	assert_string_equal(e->rooms[0], "inbox");
	assert_non_null(e->public);
	event_free(e);
	event(f, "two", "inbox", false);
	buf_reset(&b);
	assert_int_equal(
	    store_events_raw(f->st, s.head, 1, &b, &pg), STORE_DONE);
	assert_true(pg.more);
	buf_fini(&b);
}

/* Access taken away before the replay: nothing of it is given. */
static void
test_rights_of_now(void **state)
{
	struct fixture *f = *state;
	struct json_object *out;
	struct log_page pg;
	struct log_state s;
	int64_t users[1], g, id;

	store_log_state(f->st, &s);
	users[0] = f->agent.id;
	assert_int_equal(store_conversation_group(
			     f->st, &f->admin, users, 1, "Night shift", &g),
	    STORE_DONE);
	assert_int_equal(
	    fixture_say(f, &f->admin, g, "hello", NULL, &id), STORE_DONE);
	assert_int_equal(since(f, &f->agent, s.head, 50, &pg, &out), 2);
	json_object_put(out);
	assert_int_equal(since(f, &f->other, s.head, 50, &pg, &out), 0);
	json_object_put(out);
	assert_int_equal(
	    store_participant(f->st, &f->admin, g, f->agent.id, false),
	    STORE_DONE);
	assert_int_equal(since(f, &f->agent, s.head, 50, &pg, &out), 0);
	json_object_put(out);
	assert_int_equal(
	    fixture_say(f, &f->admin, g, "alone", NULL, &id), STORE_DONE);
	assert_null(strstr(f->rooms, "user:2"));
}

static void
test_rooms(void **state)
{
	struct fixture *f = *state;
	struct json_object *out;

	fixture_sql(f, "INSERT INTO teams (id, name, created_at)"
		       " VALUES (1, 'Sales', 1)");
	fixture_sql(f, "INSERT INTO team_members (team_id, user_id)"
		       " VALUES (1, 2)");
	assert_int_equal(store_rooms(f->st, &f->agent, &out), STORE_DONE);
	assert_string_equal(
	    json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN),
	    "[\"broadcast\",\"inbox\",\"user:2\",\"team:1\"]");
	json_object_put(out);
	assert_int_equal(store_rooms(f->st, &f->customer, &out), STORE_DONE);
	assert_string_equal(
	    json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN),
	    "[\"broadcast\",\"customer:1\"]");
	json_object_put(out);
}

/* A million foreign events cost a reader nothing: in small. */
static void
test_quiet_reader(void **state)
{
	struct fixture *f = *state;
	struct json_object *out;
	struct log_page pg;
	struct log_state s;
	int i;

	store_log_state(f->st, &s);
	assert_int_equal(store_begin(f->st), 0);
	for (i = 0; i < 5000; i++)
		event(f, "x", "user:99", false);
	assert_int_equal(store_end(f->st, STORE_DONE), STORE_DONE);
	int before = sqlite3_total_changes(f->st->db);
	assert_int_equal(since(f, &f->agent, s.head, 500, &pg, &out), 0);
	assert_int_equal(pg.last, f->last.id);
	assert_false(pg.more);
	assert_int_equal(sqlite3_total_changes(f->st->db), before);
	json_object_put(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_ids),
		STORE_TEST(test_purge_keeps_ids),
		STORE_TEST(test_purge_batches),
		STORE_TEST(test_cursor_rules),
		STORE_TEST(test_unclean_boot),
		STORE_TEST(test_cut_back),
		STORE_TEST(test_full_boot),
		STORE_TEST(test_heads_follow),
		STORE_TEST(test_audience),
		STORE_TEST(test_pages),
		STORE_TEST(test_raw),
		STORE_TEST(test_rights_of_now),
		STORE_TEST(test_rooms),
		STORE_TEST(test_quiet_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
