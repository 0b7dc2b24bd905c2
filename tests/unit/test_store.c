/* Opening, transactions, the write lock, faults. */
#include "store_fixture.h"
#include "store_tag.h"

#include <signal.h>
#include <sys/file.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <sqlite3.h>

#include "clock.h"
#include "store_db.h"
#include "store_idem.h"
#include "store_setting.h"

static void
test_init(void **state)
{
	struct fixture *f = *state;
	struct store *again;
	struct stat sb;

	/* A second time there is nothing to do; the file is ours alone. */
	assert_int_equal(store_init(&f->op), STORE_REPEATED);
	assert_int_equal(stat(f->db, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);

	/* Another schema than the program's: not opened. */
	fixture_sql(f, "PRAGMA user_version=99");
	assert_int_equal(store_open(&f->op, &again), STORE_NONE);
	assert_null(again);
	assert_int_equal(store_init(&f->op), STORE_FAILED);
}

/* What is in a database of the first step is there after the others. */
static void
test_steps(void **state)
{
	extern const char *const schema_sql[];
	extern const size_t schema_sql_n;
	static const char rows[] =
	    "INSERT INTO channels (id, platform, name, created_at, updated_at)"
	    " VALUES (7, 'zalo', 'Shop', 1, 1);"
	    "INSERT INTO webhook_inbox (channel_id, body_hash, body, state,"
	    " received_at) VALUES (7, 'h', x'7b7d', 'failed', 5);"
	    "PRAGMA user_version=1";
	struct fixture *f = *state;
	struct store_options op = f->op;
	char path[128];
	struct store *st;
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/old.db", f->dir);
	op.path = path;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(db, schema_sql[0], NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, rows, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(store_init(&op), STORE_DONE);
	assert_int_equal(store_init(&op), STORE_REPEATED);
	op.any_schema = true;
	assert_int_equal(store_open(&op, &st), STORE_DONE);
	assert_int_equal(store_schema(st), (int)schema_sql_n);
	assert_int_equal(
	    fixture_count(st, "SELECT count(*) FROM webhook_inbox"
			      " WHERE state = 'failed' AND tries = 0"
			      " AND body = x'7b7d' AND due_at IS NULL"),
	    1);
	store_close(st);
}

static void
test_missing(void **state)
{
	struct fixture *f = *state;
	struct store_options op = f->op;
	struct store *st;

	op.path = "/tmp/parley-no-such-folder/parley.db";
	assert_int_equal(store_open(&op, &st), STORE_NONE);
	assert_null(st);
	store_close(NULL);
}

static void
test_deferred_write(void **state)
{
	struct fixture *f = *state;
	static const char sql[] = "DELETE FROM tags WHERE id = 1";

	/* A write outside store_begin would be deferred: refused. */
	assert_int_equal(step_done(f->st, store_stmt(f->st, sql)), -1);
	assert_int_equal(store_trouble(f->st), STORE_BROKEN);
	assert_int_equal(store_read(f->st), 0);
	assert_int_equal(store_begin(f->st), -1);
	store_read_end(f->st);
	/* Nor is an event written alone. */
	struct json_object *o = json_object_new_object();
	assert_int_equal(
	    store_event_add(f->st, "x", o, NULL, NULL, 0, NULL), STORE_FAILED);
	json_object_put(o);
}

static void
test_read_only(void **state)
{
	struct fixture *f = *state;
	struct store_options op = f->op;
	struct store *st;

	op.read_only = true;
	assert_int_equal(store_open(&op, &st), STORE_DONE);
	assert_int_equal(store_begin(st), -1);
	assert_int_equal(fixture_count(st, "SELECT count(*) FROM users"), 3);
	store_close(st);
}

/* Neither event nor hint nor answer from a commit that failed. */
static void
test_commit_fails(void **state)
{
	struct fixture *f = *state;
	int codes[] = { SQLITE_FULL, SQLITE_IOERR, SQLITE_BUSY };
	enum store_trouble why[] = { STORE_NO_SPACE, STORE_BUSY, STORE_BUSY };
	int64_t c = fixture_talk(f, &f->customer), id, events;
	size_t i, sent = f->sent;

	events = fixture_count(f->st, "SELECT count(*) FROM events");
	for (i = 0; i < 3; i++) {
		store_fail_commit(f->st, codes[i]);
		assert_int_equal(
		    fixture_say(f, &f->customer, c, "hi", "k1", &id),
		    STORE_FAILED);
		assert_int_equal(store_trouble(f->st), why[i]);
		assert_int_equal(f->sent, sent);
		assert_int_equal(
		    fixture_count(f->st, "SELECT count(*) FROM messages"), 0);
		assert_int_equal(
		    fixture_count(f->st, "SELECT count(*) FROM events"),
		    events);
	}
	/* The client tries again with the same key: stored once. */
	assert_int_equal(
	    fixture_say(f, &f->customer, c, "hi", "k1", &id), STORE_DONE);
	assert_int_equal(f->sent, sent + 1);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), 1);
}

/* A disk that fills up in the middle: SQLite itself says so. */
static void
test_disk_full(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer), pages, id;
	char sql[64], text[9000];
	size_t sent;
	int i, rc = STORE_DONE, stored = 0;

	pages = fixture_count(f->st, "PRAGMA page_count");
	snprintf(sql, sizeof sql, "PRAGMA max_page_count=%lld",
	    (long long)pages + 20);
	fixture_sql(f, sql);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (i = 0; i < 50 && rc == STORE_DONE; i++) {
		sent = f->sent;
		rc = fixture_say(f, &f->customer, c, text, NULL, &id);
		stored += rc == STORE_DONE;
	}
	assert_int_equal(rc, STORE_FAILED);
	assert_int_equal(store_trouble(f->st), STORE_NO_SPACE);
	assert_int_equal(f->sent, sent);
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), stored);
	/* Room again: on it goes. */
	fixture_sql(f, "PRAGMA max_page_count=1000000");
	assert_int_equal(
	    fixture_say(f, &f->customer, c, text, NULL, &id), STORE_DONE);
}

static void
test_space_min(void **state)
{
	struct fixture *f = *state;
	struct store_options op = f->op;
	struct store *st;

	assert_int_equal(store_open(&op, &st), STORE_DONE);
	st->space_min = INT64_MAX;
	assert_int_equal(store_begin(st), -1);
	assert_int_equal(store_trouble(st), STORE_NO_SPACE);
	store_close(st);
}

/* Another file under the database's name: nothing is taken in any more. */
static void
test_replaced(void **state)
{
	struct fixture *f = *state;
	char old[160], wal[160], shm[160], sql[200];
	struct store *now;
	int64_t c = fixture_talk(f, &f->customer);

	snprintf(old, sizeof old, "%s.old", f->db);
	snprintf(wal, sizeof wal, "%s-wal", f->db);
	snprintf(shm, sizeof shm, "%s-shm", f->db);
	snprintf(sql, sizeof sql, "VACUUM INTO '%s'", old);
	fixture_sql(f, sql);
	assert_int_equal(rename(old, f->db), 0);
	assert_int_equal(unlink(wal), 0);
	assert_int_equal(unlink(shm), 0);
	assert_int_equal(
	    fixture_say(f, &f->customer, c, "hi", NULL, NULL), STORE_FAILED);
	assert_int_equal(store_trouble(f->st), STORE_BUSY);

	/* A program that starts now has the new one, and keeps it. */
	assert_int_equal(store_init(&f->op), STORE_REPEATED);
	assert_int_equal(store_open(&f->op, &now), STORE_DONE);
	assert_int_equal(store_begin(now), 0);
	assert_int_equal(store_end(now, STORE_DONE), STORE_DONE);
	assert_int_equal(access(wal, F_OK), 0);
	store_close(f->st);
	assert_int_equal(access(wal, F_OK), 0);
	f->st = now;
}

/* Somebody sits on the lock: two seconds, then busy. */
static void
test_lock_busy(void **state)
{
	struct fixture *f = *state;
	char path[128];
	int64_t t;
	int fd;

	snprintf(path, sizeof path, "%s/write.lock", f->dir);
	fd = open(path, O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	t = clock_mono_ms();
	assert_int_equal(store_begin(f->st), -1);
	t = clock_mono_ms() - t;
	assert_true(t >= 1900 && t < 20000);
	assert_int_equal(store_trouble(f->st), STORE_BUSY);
	/* The next ones do not queue up behind it. */
	t = clock_mono_ms();
	assert_int_equal(store_begin(f->st), -1);
	assert_true(clock_mono_ms() - t < 1900);
	assert_int_equal(store_trouble(f->st), STORE_BUSY);
	close(fd);
	assert_int_equal(store_begin(f->st), 0);
	assert_int_equal(store_end(f->st, STORE_NONE), STORE_NONE);
}

/* The lock comes as soon as it is free, also within the two seconds. */
static void
test_lock_waits(void **state)
{
	struct fixture *f = *state;
	char path[128], c = 0;
	int pfd[2], status;
	pid_t pid;

	snprintf(path, sizeof path, "%s/write.lock", f->dir);
	assert_int_equal(pipe(pfd), 0);
	if ((pid = fork()) == 0) {
		struct timespec ts = { 0, 300000000 };
		int fd = open(path, O_RDWR);

		flock(fd, LOCK_EX);
		c = 1;
		(void)!write(pfd[1], &c, 1);
		nanosleep(&ts, NULL);
		c = 2;
		(void)!write(pfd[1], &c, 1);
		_exit(0);
	}
	close(pfd[1]);
	assert_int_equal(read(pfd[0], &c, 1), 1);
	assert_int_equal(store_begin(f->st), 0);
	/* Not before the other let go of it. */
	fcntl(pfd[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(read(pfd[0], &c, 1), 1);
	assert_int_equal(c, 2);
	store_end(f->st, STORE_NONE);
	waitpid(pid, &status, 0);
	close(pfd[0]);
}

/* An inner pair is undone alone; events of it never go out. */
static void
test_nested(void **state)
{
	struct fixture *f = *state;
	static const char *const rooms[] = { "inbox" };
	struct json_object *o = json_object_new_object();
	int64_t a, b, c;
	size_t sent = f->sent;

	json_put_int(o, "n", 1);
	assert_int_equal(store_begin(f->st), 0);
	assert_int_equal(
	    store_event_send(f->st, "one", o, NULL, rooms, 1, &a), STORE_DONE);
	assert_int_equal(store_begin(f->st), 0);
	assert_int_equal(
	    store_event_send(f->st, "two", o, NULL, rooms, 1, &b), STORE_DONE);
	assert_int_equal(store_end(f->st, STORE_REFUSED), STORE_REFUSED);
	assert_int_equal(
	    store_event_send(f->st, "three", o, NULL, rooms, 1, &c),
	    STORE_DONE);
	assert_int_equal(f->sent, sent); /* nothing before COMMIT */
	assert_int_equal(store_end(f->st, STORE_DONE), STORE_DONE);
	assert_int_equal(f->sent, sent + 2);
	assert_string_equal(f->type, "three");
	assert_int_equal(f->last.prev, a);
	assert_int_equal(f->last.id, c);
	assert_int_equal(c, b); /* an id that was never seen */
	assert_int_equal(fixture_count(f->st,
			     "SELECT count(*) FROM events WHERE type = 'two'"),
	    0);
	json_object_put(o);
}

/* What a request leaves open is undone before the next. */
static void
test_idle(void **state)
{
	struct fixture *f = *state;
	int64_t id;

	assert_int_equal(store_begin(f->st), 0);
	assert_int_equal(store_tag_add(f->st, "left", NULL, &id), STORE_DONE);
	store_idle(f->st);
	assert_int_equal(fixture_count(f->st, "SELECT count(*) FROM tags"), 0);
	assert_int_equal(store_begin(f->st), 0);
	assert_int_equal(store_end(f->st, STORE_NONE), STORE_NONE);
}

static int
write_many(const char *db, int n, int seed)
{
	struct store_options op = {
		.path = db, .mode = STORE_MODE_NORMAL, .emit = NULL
	};
	struct who who = { .kind = WHO_CUSTOMER, .id = 1 };
	struct message m;
	struct store *st;
	char key[32];
	int i, bad = 0;

	if (store_open(&op, &st) != STORE_DONE)
		return 99;
	for (i = 0; i < n; i++) {
		memset(&m, 0, sizeof m);
		snprintf(key, sizeof key, "k-%d-%d", seed, i);
		m.conversation = 1;
		m.content = key;
		m.content_len = strlen(key);
		m.client_id = key;
		if (store_message_add(st, &who, &m) != STORE_DONE)
			bad++;
		message_fini(&m);
	}
	store_close(st);
	return bad;
}

/* Writers in processes of their own: no errors, ids in order, chain whole. */
static void
test_writers(void **state)
{
	struct fixture *f = *state;
	int64_t c = fixture_talk(f, &f->customer);
	int i, status;

	assert_int_equal(c, 1);
	assert_int_equal(f->customer.id, 1);
	for (i = 0; i < 3; i++)
		if (fork() == 0)
			_exit(write_many(f->db, 200, i));
	/* Meanwhile checkpoints, as the worker makes them. */
	for (i = 0; i < 30; i++)
		assert_true(
		    store_checkpoint(f->st, i % 2 == 0) != STORE_FAILED);
	for (i = 0; i < 3; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(
	    fixture_count(f->st, "SELECT count(*) FROM messages"), 600);
	assert_int_equal(
	    fixture_count(f->st,
		"SELECT count(*) FROM messages m JOIN events e ON e.id = m.id"
		" WHERE e.type = 'new_message'"),
	    600);
	/* Each event names the one before it: no hole, no branch. */
	assert_int_equal(fixture_count(f->st,
			     "SELECT count(*) FROM events e WHERE e.prev <>"
			     " (SELECT max(id) FROM events WHERE id < e.id)"),
	    0);
	char *why;
	assert_int_equal(store_check(f->st, &why), STORE_DONE);
	free(why);
}

/* Killed anywhere: all of a message is there, or nothing. */
static void
test_killed(void **state)
{
	struct fixture *f = *state;
	struct timespec ts = { 0, 0 };
	int i, status;
	pid_t pid;

	fixture_talk(f, &f->customer);
	for (i = 0; i < 12; i++) {
		if ((pid = fork()) == 0)
			_exit(write_many(f->db, 100000, 100 + i));
		ts.tv_nsec = 5000000 + i * 3777777;
		nanosleep(&ts, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	assert_int_equal(fixture_count(f->st,
			     "SELECT count(*) FROM messages m WHERE NOT EXISTS"
			     " (SELECT 1 FROM events e WHERE e.id = m.id)"),
	    0);
	assert_int_equal(
	    fixture_count(f->st,
		"SELECT count(*) FROM events e WHERE e.type = 'new_message' AND"
		" NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = e.id)"),
	    0);
	assert_int_equal(
	    fixture_count(f->st,
		"SELECT last = (SELECT max(id) FROM events) FROM log_state"),
	    1);
	assert_int_equal(
	    fixture_say(f, &f->customer, 1, "after", NULL, NULL), STORE_DONE);
}

static void
test_page_parse(void **state)
{
	struct store_page pg;

	(void)state;
	assert_int_equal(store_page_parse("12.7", 4, &pg), 0);
	assert_int_equal(pg.before, 12);
	assert_int_equal(pg.before_id, 7);
	assert_int_equal(store_page_parse("12", 2, &pg), 0);
	assert_int_equal(pg.before_id, 0);
	assert_int_equal(store_page_parse("", 0, &pg), -1);
	assert_int_equal(store_page_parse("12.", 3, &pg), -1);
	assert_int_equal(store_page_parse(".7", 2, &pg), -1);
	assert_int_equal(store_page_parse("12.x", 4, &pg), -1);
	assert_int_equal(store_page_parse("-1", 2, &pg), -1);
}

static void
check_fold(const char *in, const char *out)
{
	char *s = store_fold(in, strlen(in));

	assert_string_equal(s, out);
	free(s);
}

static void
test_fold(void **state)
{
	char *s;

	(void)state;
	check_fold("Xin Chào Đặng", "xin chao dang");
	check_fold("ƯƠNG ừ ở ẽ", "uong u o e");
	check_fold("e\xcc\x81t\xc3\xa9", "ete");
	check_fold("สวัสดี", "สวัสดี");
	check_fold("", "");
	check_fold("\xff", "\xff"); /* a stray byte stays */
	check_fold("\xc3", "\xc3"); /* cut in the middle */
	s = store_like("50%_\\");
	assert_string_equal(s, "%50\\%\\_\\\\%");
	free(s);
}

static void
test_idem(void **state)
{
	struct fixture *f = *state;
	struct idem k = { "agent", 2, "key-1", "aaaa" }, x = k;
	char *answer;
	int status = 0;

	assert_int_equal(
	    store_idem_find(f->st, &k, &status, &answer), STORE_NONE);
	assert_int_equal(
	    store_idem_add(f->st, &k, 201, "{\"id\":\"5\"}"), STORE_DONE);
	assert_int_equal(
	    store_idem_find(f->st, &k, &status, &answer), STORE_REPEATED);
	assert_int_equal(status, 201);
	assert_string_equal(answer, "{\"id\":\"5\"}");
	free(answer);
	/* Another body; another owner; another day. */
	x.hash = "bbbb";
	assert_int_equal(
	    store_idem_find(f->st, &x, &status, &answer), STORE_CONFLICT);
	x = k;
	x.owner = 3;
	assert_int_equal(
	    store_idem_find(f->st, &x, &status, &answer), STORE_NONE);
	store_set_now(f->st, NOW + 24 * 3600 * 1000 + 1);
	assert_int_equal(
	    store_idem_find(f->st, &k, &status, &answer), STORE_NONE);
	assert_int_equal(store_idem_purge(f->st, 24 * 3600 * 1000), STORE_DONE);
	assert_int_equal(store_idem_purge(f->st, 24 * 3600 * 1000), STORE_NONE);
}

static void
test_settings_and_audit(void **state)
{
	struct fixture *f = *state;
	struct json_object *out = NULL;

	assert_int_equal(
	    store_setting_get(f->st, "site.locale", &out), STORE_NONE);
	fixture_sql(f, "INSERT INTO settings (key, value, updated_at)"
		       " VALUES ('site.locale', '\"vi\"', 1)");
	assert_int_equal(
	    store_setting_get(f->st, "site.locale", &out), STORE_DONE);
	assert_string_equal(json_object_get_string(out), "vi");
	json_object_put(out);

	assert_int_equal(
	    store_audit(f->st, &f->admin, "::1", "login", "user:1", NULL),
	    STORE_DONE);
	assert_int_equal(
	    store_audit(f->st, NULL, NULL, "user_add", "user:2", NULL),
	    STORE_DONE);
	assert_int_equal(
	    fixture_count(f->st,
		"SELECT count(*) FROM audit_log"
		" WHERE id = 1 AND who = 'agent:1' AND address = '::1'"
		" OR id = 2 AND who = 'cli' AND object = 'user:2'"),
	    2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_init),
		STORE_TEST(test_steps),
		STORE_TEST(test_missing),
		STORE_TEST(test_deferred_write),
		STORE_TEST(test_read_only),
		STORE_TEST(test_commit_fails),
		STORE_TEST(test_disk_full),
		STORE_TEST(test_space_min),
		STORE_TEST(test_replaced),
		STORE_TEST(test_lock_busy),
		STORE_TEST(test_lock_waits),
		STORE_TEST(test_nested),
		STORE_TEST(test_idle),
		STORE_TEST(test_writers),
		STORE_TEST(test_killed),
		cmocka_unit_test(test_page_parse),
		cmocka_unit_test(test_fold),
		STORE_TEST(test_idem),
		STORE_TEST(test_settings_and_audit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
