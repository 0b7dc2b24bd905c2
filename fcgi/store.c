/*
 * The database: opening, the write lock, transactions.  Statements and rows are
 * store_stmt.c's; what is kept stands in store_*.c, a file per noun.
 *
 * Every transaction that writes, and everything that may checkpoint, holds one
 * lock file: waiting for it is fair, and the race of old SQLite versions
 * between a checkpoint and a commit cannot happen.
 */
#include "store.h"
#include "store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "clock.h"
#include "emit.h"
#include "id.h"
#include "json.h"
#include "log.h"

#define STORE_FREE_LEAST (64 << 10) /* bytes; below, a commit may fail */
#define STOP_STEPS 20000 /* of SQLite's machine between looks at the clock */

/* From schema/, put into the program by the Makefile. */
extern const char *const schema_sql[];
extern const size_t schema_sql_n;

/* ---- trouble ------------------------------------------------------------ */

int
store_failed(struct store *st, const char *what, int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		st->trouble = STORE_NO_SPACE;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_INTERRUPT:
	case SQLITE_IOERR:
	case SQLITE_PROTOCOL:
		st->trouble = STORE_BUSY;
		break;
	default:
		st->trouble = STORE_BROKEN;
	}
	log_error("store failed what=%s code=%d cause=%s", what, code,
	    st->db != NULL ? sqlite3_errmsg(st->db) : sqlite3_errstr(code));
	return STORE_FAILED;
}

int
store_invalid(struct store *st, const char *field)
{
	snprintf(st->field, sizeof st->field, "%s", field);
	return STORE_INVALID;
}

enum store_trouble
store_trouble(const struct store *st)
{
	return st->trouble;
}

const char *
store_field(const struct store *st)
{
	return st->field;
}

int64_t
store_now(const struct store *st)
{
	return st->now_ms != 0 ? st->now_ms : clock_now_ms();
}

void
store_set_now(struct store *st, int64_t now_ms)
{
	st->now_ms = now_ms;
}

/* ---- the write lock ----------------------------------------------------- */

static void
lock_alarm(int sig)
{
	(void)sig; /* only to interrupt flock */
}

/*
 * Wait in the kernel's queue, which is fair, until somebody else's lock is
 * gone or the time is up.  The timer fires again and again, so that a signal
 * just before flock sleeps does no harm.
 */
static int
lock_wait(int fd, int64_t wait_ms)
{
	struct sigaction sa, old_sa;
	struct itimerval it = { { 0, 50000 }, { 0, 50000 } }, old_it;
	int64_t until = clock_mono_ms() + wait_ms;
	int rc;

	memset(&sa, 0, sizeof sa);
	sa.sa_handler = lock_alarm;
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGALRM, &sa, &old_sa) == -1)
		return -1;
	if (setitimer(ITIMER_REAL, &it, &old_it) == -1) {
		sigaction(SIGALRM, &old_sa, NULL);
		return -1;
	}
	while ((rc = flock(fd, LOCK_EX)) == -1 && errno == EINTR)
		if (clock_mono_ms() >= until)
			break;
	it = old_it;
	setitimer(ITIMER_REAL, &it, NULL);
	sigaction(SIGALRM, &old_sa, NULL);
	return rc;
}

/*
 * Who waited in vain waits shortly from then on, until it has the lock again:
 * behind a holder that does not move requests would only pile up.
 */
static int
lock_take(struct store *st)
{
	int64_t wait_ms = st->lock_ms > 0 ? st->lock_ms : STORE_LOCK_MS;

	if (st->lock_late && wait_ms > STORE_LOCK_LATE_MS)
		wait_ms = STORE_LOCK_LATE_MS;

	while (flock(st->lock_fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK ||
		    lock_wait(st->lock_fd, wait_ms) == -1) {
			log_warn("store busy what=write.lock");
			st->trouble = STORE_BUSY;
			st->lock_late = true;
			return -1;
		}
		break;
	}
	st->lock_late = false;
	return 0;
}

static void
lock_drop(struct store *st)
{
	flock(st->lock_fd, LOCK_UN);
}

/* A statement without parameters or rows. */
static int
store_run(struct store *st, const char *sql)
{
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	if (q == NULL)
		return -1;
	rc = sqlite3_step(q);
	stmt_end(q);
	if (rc == SQLITE_DONE || rc == SQLITE_ROW)
		return 1;
	return store_failed(st, sql, rc);
}

/* ---- events that wait for COMMIT ---------------------------------------- */

static void
queue_cut(struct store *st, struct store_queued *tail)
{
	struct store_queued *p = tail != NULL ? tail->next : st->queue, *next;

	for (; p != NULL; p = next) {
		next = p->next;
		free(p);
	}
	if (tail != NULL)
		tail->next = NULL;
	else
		st->queue = NULL;
	st->queue_tail = tail;
}

static void
queue_send(struct store *st)
{
	struct store_queued *p;

	for (p = st->queue; p != NULL; p = p->next) {
		if (st->emit != NULL)
			st->emit(st->emit_arg, &p->e);
		else
			emit_event(&p->e);
	}
	if (st->queue != NULL && st->emit == NULL)
		emit_flush();
	queue_cut(st, NULL);
}

/* ---- transactions ------------------------------------------------------- */

int64_t
store_free_bytes(const struct store *st)
{
	struct statvfs sv;
	uint64_t n;

	/* Some file systems do not say. */
	if (statvfs(st->path, &sv) == -1 || sv.f_blocks == 0)
		return INT64_MAX;
	n = (uint64_t)sv.f_bavail * sv.f_frsize;
	return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

bool
store_full(const struct store *st)
{
	int64_t min = st->space_min;

	return store_free_bytes(st) <
	       (min > STORE_FREE_LEAST ? min : STORE_FREE_LEAST);
}

static int
store_space(struct store *st)
{
	if (st->space_min <= 0 || store_free_bytes(st) >= st->space_min)
		return 0;
	log_error("store full free_min=%lld", (long long)st->space_min);
	st->trouble = STORE_NO_SPACE;
	return -1;
}

/*
 * Whether the database's name belongs to another file now, or to none: what
 * is written here nobody would ever read.
 */
static bool
store_moved(const struct store *st)
{
	int moved = 0;

	return sqlite3_file_control(st->db, "main", SQLITE_FCNTL_HAS_MOVED,
		   &moved) == SQLITE_OK &&
	       moved != 0;
}

/* Requests end; what the program does by itself takes its time. */
static void
stop_start(struct store *st)
{
	st->stop_at = st->now_ms != 0 ? clock_mono_ms() + STORE_STOP_MS : 0;
}

static int
store_stop(void *arg)
{
	struct store *st = arg;

	return st->stop_at != 0 && clock_mono_ms() > st->stop_at;
}

int
store_begin(struct store *st)
{
	if (st->read_only || (st->depth == 0 && st->reads > 0))
		return store_failed(st, "write in a read", SQLITE_MISUSE);
	if (st->depth >= STORE_DEPTH)
		return store_failed(st, "depth", SQLITE_MISUSE);
	if (st->depth == 0) {
		st->trouble = STORE_OK;
		if (store_space(st) == -1 || lock_take(st) == -1)
			return -1;
		if (store_moved(st)) {
			lock_drop(st);
			log_error("store replaced: the database is another "
				  "file now, start the programs again");
			st->trouble = STORE_BUSY;
			return -1;
		}
		stop_start(st);
		if (store_run(st, "BEGIN IMMEDIATE") == -1) {
			lock_drop(st);
			return -1;
		}
		st->log_loaded = st->log_moved = false;
	} else if (store_run(st, "SAVEPOINT inner") == -1)
		return -1;
	st->next = 0;
	st->saved[st->depth].last = st->last;
	st->saved[st->depth].moved = st->log_moved;
	st->saved[st->depth].tail = st->queue_tail;
	st->depth++;
	return 0;
}

static void
store_rollback(struct store *st)
{
	size_t i;

	st->stop_at = 0; /* undoing is not to be stopped */
	for (i = 0; i < STORE_STMTS; i++)
		if (st->stmts[i].q != NULL && sqlite3_stmt_busy(st->stmts[i].q))
			stmt_end(st->stmts[i].q);
	if (!sqlite3_get_autocommit(st->db))
		sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
	lock_drop(st);
	queue_cut(st, NULL);
	st->depth = 0;
	st->log_loaded = st->log_moved = false;
}

static int
store_commit(struct store *st)
{
	int rc;

	if (store_log_flush(st) == -1)
		goto fail;
	st->stop_at = 0;
	if (st->fail_commit != 0) {
		store_failed(st, "commit (made to fail)", st->fail_commit);
		st->fail_commit = 0;
		goto fail;
	}
	rc = store_run(st, "COMMIT");
	if (rc == -1)
		goto fail;
	st->depth = 0;
	if (st->heads != NULL && st->log_loaded)
		heads_commit(st->heads, st->last);
	/* Still under the lock, so that hints arrive in the log's order. */
	queue_send(st);
	lock_drop(st);
	return STORE_DONE;
fail:
	store_rollback(st);
	return STORE_FAILED;
}

static int
store_end_inner(struct store *st, int rc)
{
	int d = --st->depth;

	if (rc != STORE_DONE) {
		if (store_run(st, "ROLLBACK TO inner") == -1)
			rc = STORE_FAILED;
		queue_cut(st, st->saved[d].tail);
		st->last = st->saved[d].last;
		st->log_moved = st->saved[d].moved;
		/* Loaded by the inner one: it is the same, read again. */
		if (!st->log_moved)
			st->log_loaded = false;
	}
	if (store_run(st, "RELEASE inner") == -1)
		rc = STORE_FAILED;
	return rc;
}

int
store_end(struct store *st, int rc)
{
	if (st->depth == 0) /* rolled back already, by SQLite or by us */
		return rc == STORE_DONE ? STORE_FAILED : rc;
	if (sqlite3_get_autocommit(st->db)) {
		/* A full or broken disk ends a transaction by itself. */
		store_rollback(st);
		return rc == STORE_DONE ? STORE_FAILED : rc;
	}
	if (st->depth > 1)
		return store_end_inner(st, rc);
	if (rc == STORE_DONE)
		return store_commit(st);
	store_rollback(st);
	return rc;
}

int
store_read(struct store *st)
{
	if (st->depth == 0 && st->reads == 0) {
		st->trouble = STORE_OK;
		stop_start(st);
		if (store_run(st, "BEGIN") == -1)
			return -1;
	}
	st->reads++;
	return 0;
}

void
store_read_end(struct store *st)
{
	if (--st->reads == 0 && st->depth == 0) {
		st->stop_at = 0;
		store_run(st, "COMMIT");
	}
}

void
store_idle(struct store *st)
{
	if (st->depth > 0 || st->reads > 0 || !sqlite3_get_autocommit(st->db)) {
		log_error(
		    "store left open depth=%d reads=%d", st->depth, st->reads);
		st->reads = 0;
		store_rollback(st);
	}
	st->now_ms = st->stop_at = st->lock_ms = 0;
	st->trouble = STORE_OK;
	st->field[0] = '\0';
}

void
store_set_wait(struct store *st, int64_t wait_ms)
{
	st->lock_ms = wait_ms;
}

void
store_fail_commit(struct store *st, int sqlite_code)
{
	st->fail_commit = sqlite_code;
}

/* ---- opening ------------------------------------------------------------ */

/* Whether other machines may have the same file: WAL needs one memory. */
static bool
store_remote(const char *path)
{
	static const uint32_t remote[] = {
		0x6969,     /* NFS */
		0x517B,     /* SMB */
		0xFF534D42, /* CIFS */
		0xFE534D42, /* SMB2 */
		0x01021997, /* 9P */
		0x5346414F, /* AFS */
		0x73757245, /* Coda */
		0x564C,     /* NCP */
		0x00C36400, /* Ceph */
		0x0BD00BD0, /* Lustre */
		0x01161970, /* GFS2 */
		0x7461636F, /* OCFS2 */
	};
	struct statfs sf;
	size_t i;

	if (statfs(path, &sf) == -1)
		return false;
	for (i = 0; i < sizeof remote / sizeof *remote; i++)
		if ((uint32_t)sf.f_type == remote[i])
			return true;
	return false;
}

/* The folder of ${path} with ${name} in it, returned new. */
static char *
path_beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash != NULL ? (size_t)(slash - path) + 1 : 0;
	char *s = malloc(n + strlen(name) + 1);

	if (s == NULL)
		return NULL;
	memcpy(s, path, n);
	memcpy(s + n, name, strlen(name) + 1);
	return s;
}

static int
store_lock_open(struct store *st)
{
	char *p = path_beside(st->path, "write.lock");

	if (p == NULL)
		return -1;
	st->lock_fd = open(p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (st->lock_fd == -1)
		log_sys("store open file=write.lock");
	free(p);
	return st->lock_fd == -1 ? -1 : 0;
}

static int
store_pragmas(struct store *st)
{
	static const char sql[] = "PRAGMA foreign_keys=ON;"
				  "PRAGMA trusted_schema=OFF;"
				  "PRAGMA journal_size_limit=4194304;"
				  "PRAGMA temp_store=MEMORY;";
	int rc = sqlite3_exec(st->db, sql, NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(st->db,
		    st->mode == STORE_MODE_FULL ? "PRAGMA synchronous=FULL"
						: "PRAGMA synchronous=NORMAL",
		    NULL, NULL, NULL);
	if (rc == SQLITE_OK && st->read_only)
		rc = sqlite3_exec(
		    st->db, "PRAGMA query_only=ON", NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : store_failed(st, "pragma", rc);
}

int
store_synchronous(struct store *st, bool full)
{
	int rc = SQLITE_OK;

	if (st->mode == STORE_MODE_NORMAL)
		rc = sqlite3_exec(st->db,
		    full ? "PRAGMA synchronous=FULL"
			 : "PRAGMA synchronous=NORMAL",
		    NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : store_failed(st, "pragma", rc);
}

int
store_schema(struct store *st)
{
	int64_t v;

	if (step_int(st, store_stmt(st, "PRAGMA user_version"), &v) != 1)
		return -1;
	return (int)v;
}

/* fold(text) in SQL: what store_fold makes of it. */
static void
sql_fold(sqlite3_context *cx, int n, sqlite3_value **v)
{
	const char *s = (const char *)sqlite3_value_text(v[0]);
	char *out;

	(void)n;
	if (s == NULL)
		return;
	out = store_fold(s, (size_t)sqlite3_value_bytes(v[0]));
	if (out == NULL)
		sqlite3_result_error_nomem(cx);
	else
		sqlite3_result_text(cx, out, -1, free);
}

static struct store *
store_new(const struct store_options *op)
{
	struct store *st = calloc(1, sizeof *st);

	if (st == NULL)
		return NULL;
	st->lock_fd = -1;
	st->mode = op->mode;
	st->read_only = op->read_only;
	st->space_min = op->space_min;
	st->emit = op->emit;
	st->emit_arg = op->emit_arg;
	st->path = strdup(op->path);
	if (st->path == NULL) {
		free(st);
		return NULL;
	}
	return st;
}

/*
 * One thread, and nobody reads SQLite's count of its memory: without its locks
 * and counters an opening takes a tenth less.  Before the first use; later
 * calls change nothing.
 */
static void
store_config(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int
store_open_db(struct store *st, const struct store_options *op)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, rc;
	int fd;

	if (!op->remote_ok && store_remote(st->path)) {
		log_error("store refused why=remote file system");
		return -1;
	}
	if (op->create) {
		/* The mode before SQLite has it open: -wal and -shm take it. */
		fd =
		    open(st->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd != -1)
			close(fd);
	}
	store_config();
	rc = sqlite3_open_v2(st->path, &st->db, flags, NULL);
	if (rc != SQLITE_OK)
		return store_failed(st, "open", rc);
	sqlite3_extended_result_codes(st->db, 1);
	sqlite3_busy_timeout(st->db, STORE_LOCK_MS);
	sqlite3_create_function(st->db, "fold", 1,
	    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL,
	    sql_fold, NULL, NULL);
	sqlite3_progress_handler(st->db, STOP_STEPS, store_stop, st);
	return store_pragmas(st);
}

static int
store_open_heads(struct store *st, const struct store_options *op)
{
	char *p = op->heads != NULL ? strdup(op->heads)
				    : path_beside(op->path, "heads.map");

	if (p == NULL)
		return -1;
	st->heads = heads_open(p, op->boot, !op->read_only);
	free(p);
	return st->heads != NULL ? 0 : -1;
}

int
store_open(const struct store_options *op, struct store **out)
{
	struct store *st;
	int schema = 0, rc = STORE_FAILED;

	*out = NULL;
	if (access(op->path, F_OK) == -1 && !op->create)
		return STORE_NONE;
	if ((st = store_new(op)) == NULL)
		return STORE_FAILED;
	if (store_lock_open(st) == -1 || lock_take(st) == -1)
		goto out;
	/* The first look may recover the log: still under the lock. */
	if (store_open_db(st, op) == -1 || (schema = store_schema(st)) == -1) {
		lock_drop(st);
		goto out;
	}
	lock_drop(st);
	if (!op->any_schema && schema != (int)schema_sql_n) {
		log_error(
		    "store schema has=%d wants=%zu", schema, schema_sql_n);
		rc = STORE_NONE;
		goto out;
	}
	if (store_open_heads(st, op) == -1)
		goto out;
	if (!op->any_schema && !op->read_only && store_log_boot(st) == -1)
		goto out;
	*out = st;
	return STORE_DONE;
out:
	store_close(st);
	return rc;
}

void
store_close(struct store *st)
{
	bool locked = false;
	size_t i;

	if (st == NULL)
		return;
	if (st->db != NULL) {
		if (st->depth > 0)
			store_rollback(st);
		for (i = 0; i < STORE_STMTS; i++)
			sqlite3_finalize(st->stmts[i].q);
		/*
		 * The last one to close checkpoints: only under the lock, and
		 * not where the log's name is another database's by now.
		 */
		locked = lock_take(st) == 0;
		if (!locked || store_moved(st))
			sqlite3_db_config(
			    st->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		sqlite3_close(st->db);
	}
	if (st->lock_fd != -1)
		close(st->lock_fd); /* and the lock with it */
	heads_close(st->heads);
	queue_cut(st, NULL);
	free(st->path);
	free(st);
}

void
store_leave(struct store *st)
{
	/*
	 * Being killed is no harm, and this is less: without a byte in the log
	 * all is in the database.  Empty, the log is left for the next to find.
	 */
	if (st != NULL && (st->depth > 0 || store_wal_bytes(st) > 0))
		store_close(st);
}

/* ---- schema ------------------------------------------------------------- */

int
store_schema_newest(void)
{
	return (int)schema_sql_n;
}

static int
store_step_schema(struct store *st, size_t i)
{
	char sql[64];
	int rc;

	rc = sqlite3_exec(st->db, schema_sql[i], NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return store_failed(st, "schema", rc);
	snprintf(sql, sizeof sql, "PRAGMA user_version=%zu", i + 1);
	rc = sqlite3_exec(st->db, sql, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return store_failed(st, "schema", rc);
	if (i == 0 && store_log_start(st) == -1)
		return -1;
	return STORE_DONE;
}

static int
store_wal_mode(struct store *st)
{
	int rc;

	if (lock_take(st) == -1)
		return -1;
	rc = sqlite3_exec(st->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
	lock_drop(st);
	return rc == SQLITE_OK ? 0 : store_failed(st, "wal", rc);
}

int
store_init(const struct store_options *op)
{
	struct store_options o = *op;
	struct store *st;
	int schema, rc;

	o.create = o.any_schema = true;
	if ((rc = store_open(&o, &st)) != STORE_DONE)
		return rc;
	rc = STORE_FAILED;
	if (store_wal_mode(st) == -1 || (schema = store_schema(st)) == -1)
		goto out;
	if (schema > (int)schema_sql_n) {
		log_error(
		    "store schema has=%d knows=%zu", schema, schema_sql_n);
		goto out;
	}
	rc = STORE_REPEATED;
	for (; schema < (int)schema_sql_n; schema++) {
		if (store_begin(st) == -1) {
			rc = STORE_FAILED;
			break;
		}
		rc = store_end(st, store_step_schema(st, (size_t)schema));
		if (rc != STORE_DONE)
			break;
	}
out:
	store_close(st);
	return rc;
}

/* ---- keeping house ------------------------------------------------------ */

int
store_checkpoint(struct store *st, bool truncate)
{
	int rc;

	if (lock_take(st) == -1)
		return STORE_FAILED;
	rc = sqlite3_wal_checkpoint_v2(st->db, NULL,
	    truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
	    NULL, NULL);
	lock_drop(st);
	if (rc == SQLITE_OK)
		return STORE_DONE;
	if ((rc & 0xff) == SQLITE_BUSY)
		return STORE_NONE; /* a reader holds it: another time */
	return store_failed(st, "checkpoint", rc);
}

int
store_check(struct store *st, char **why)
{
	sqlite3_stmt *q = store_stmt(st, "PRAGMA integrity_check(1)");
	int rc = step_row(st, q);

	*why = NULL;
	if (rc == 1) {
		const char *s = col_str(q, 0);

		if (s == NULL || strcmp(s, "ok") != 0) {
			*why = strdup(s != NULL ? s : "");
			rc = STORE_NONE;
		}
	}
	stmt_end(q);
	return rc;
}

int64_t
store_wal_bytes(const struct store *st)
{
	struct stat sb;
	size_t n = strlen(st->path) + 5;
	char *p = malloc(n);
	int64_t bytes = 0;

	if (p == NULL)
		return 0;
	snprintf(p, n, "%s-wal", st->path);
	if (stat(p, &sb) == 0)
		bytes = sb.st_size;
	free(p);
	return bytes;
}

/* ---- small things ------------------------------------------------------- */

void
store_uuid(char out[37])
{
	unsigned char r[16];
	char *p = out;
	size_t i;

	if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
		sqlite3_randomness((int)sizeof r, r);
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	for (i = 0; i < sizeof r; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", r[i]);
	}
}

char *
store_like(const char *text)
{
	char *s = malloc(2 * strlen(text) + 3), *p = s;

	if (s == NULL)
		return NULL;
	*p++ = '%';
	for (; *text != '\0'; text++) {
		if (*text == '%' || *text == '_' || *text == '\\')
			*p++ = '\\';
		*p++ = *text;
	}
	*p++ = '%';
	*p = '\0';
	return s;
}

const char *
who_word(const struct who *who)
{
	if (who == NULL)
		return "system";
	return who->kind == WHO_USER       ? "agent"
	       : who->kind == WHO_CUSTOMER ? "customer"
	       : who->kind == WHO_PUSHD    ? "system"
					   : "nobody";
}

void
who_text(const struct who *who, char out[40])
{
	if (who == NULL || who->id == 0)
		snprintf(out, 40, "%s", who_word(who));
	else
		snprintf(out, 40, "%s:%lld", who_word(who), (long long)who->id);
}

void
rooms_init(struct rooms *r)
{
	memset(r, 0, sizeof *r);
}

void
rooms_fini(struct rooms *r)
{
	free(r->name);
	free(r->text);
	rooms_init(r);
}

static int
rooms_grow(struct rooms *r)
{
	size_t cap = r->cap > 0 ? 2 * r->cap : 8, i;
	void *text, *name;

	if (cap > EVENT_ROOMS_MAX || r->err)
		return -1;
	if ((text = realloc(r->text, cap * sizeof *r->text)) == NULL)
		return -1;
	r->text = text;
	if ((name = realloc(r->name, cap * sizeof *r->name)) == NULL)
		return -1;
	r->name = name;
	r->cap = cap;
	for (i = 0; i < r->n; i++) /* the texts may have moved */
		r->name[i] = r->text[i];
	return 0;
}

void
rooms_add(struct rooms *r, const char *kind, int64_t id)
{
	if (r->n == r->cap && rooms_grow(r) == -1) {
		r->err = 1;
		return;
	}
	if (id != 0)
		snprintf(r->text[r->n], sizeof *r->text, "%s:%lld", kind,
		    (long long)id);
	else
		snprintf(r->text[r->n], sizeof *r->text, "%s", kind);
	r->name[r->n] = r->text[r->n];
	r->n++;
}

void
rooms_quote(struct rooms *r, struct json_object *message)
{
	const char *id;
	size_t len;

	if (json_get_str(message, "id", &id, &len) == 1)
		rooms_add(r, ROOM_QUOTE, id_parse(id, len));
}

struct json_object *
json_pick(struct json_object *o, const char *const *keys)
{
	struct json_object *out = json_object_new_object(), *v;

	for (; *keys != NULL; keys++)
		if (json_object_object_get_ex(o, *keys, &v))
			json_put(out, *keys, json_object_get(v));
	return out;
}

struct json_object *
json_over(struct json_object *o, struct json_object *change)
{
	struct json_object *out = json_object_new_object();

	if (o != NULL) {
		json_object_object_foreach(o, key, v)
		{
			json_put(out, key, json_object_get(v));
		}
	}
	if (change != NULL) {
		json_object_object_foreach(change, name, w)
		{
			if (w == NULL)
				json_object_object_del(out, name);
			else
				json_put(out, name, json_object_get(w));
		}
	}
	return out;
}
