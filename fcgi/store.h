#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json.h>

#include "event.h"

/*
 * The database: opening it, transactions, and what all store_*.h share.  What
 * is kept in it stands in a file per noun: store_user.h, store_message.h, ...
 *
 * Every function answers with one of these.  A write that is refused has
 * changed nothing.  After STORE_FAILED nothing was stored, nothing will be
 * sent, the cause is logged, and store_trouble says how to answer.
 */
enum {
	STORE_FAILED = -1,
	STORE_NONE = 0,     /* not there, or not for the asker: 404 */
	STORE_DONE = 1,     /* found, done */
	STORE_REPEATED = 2, /* the same again: here is the first result */
	STORE_CONFLICT = 3, /* same key, other body: 409 idempotency_conflict */
	STORE_NEWER = 4,    /* something newer is there: 409 new_messages */
	STORE_FORBIDDEN = 5, /* may be seen, not done: 403 */
	STORE_REFUSED = 6,   /* its state does not allow it: 409 conflict */
	STORE_INVALID = 7,   /* names a thing that is not: 422, store_field */
};

/* Why STORE_FAILED. */
enum store_trouble {
	STORE_OK,
	STORE_BUSY,     /* the write lock did not come in time: 503 busy */
	STORE_NO_SPACE, /* 503 no_space */
	STORE_BROKEN,   /* anything else: 500 internal */
};

enum store_mode {
	STORE_MODE_FULL,
	STORE_MODE_NORMAL,
};

struct store;
struct who; /* who.h: who asks; NULL means the program itself */

struct store_options {
	const char *path;  /* of the database */
	const char *heads; /* of heads.map; NULL: beside the database */
	enum store_mode mode;
	bool remote_ok;    /* take a database on a network file system */
	bool create;       /* make the file if it is missing (parley init) */
	bool any_schema;   /* do not insist on the newest schema (likewise) */
	bool read_only;    /* never writes: no write lock at open and close
			      beyond what recovery needs */
	int64_t space_min; /* bytes that must be free for a write; 0: any */
	const char *boot;  /* tests: the machine's boot id; NULL: ask it */

	/*
	 * Called for each event after COMMIT, in order; borrows.  NULL: to
	 * emit.h.  Must not block and must not call the store.
	 */
	void (*emit)(void *arg, const struct event *e);
	void *emit_arg;
};

/*
 * store_open(op, st) / store_close(st):
 * Open an existing database and the mapped file of newest ids.  STORE_NONE:
 * the file is not there, or its schema is not this program's (logged).
 * Opening and closing hold the write lock, since they may recover or
 * checkpoint.  Open after fork.  store_close takes NULL.
 */
int store_open(const struct store_options *op, struct store **st);
void store_close(struct store *st);

/*
 * store_leave(st):
 * The process ends now: what the system takes back is left to it.  Closes only
 * where something waits for a checkpoint.  ${st} is not to be used any more.
 */
void store_leave(struct store *st);

/*
 * store_init(op):
 * Make the database, or bring it to the newest schema by its numbered steps,
 * each in a transaction.  A new one starts the first life of the event log.
 * STORE_REPEATED when there was nothing to do.
 */
int store_init(const struct store_options *op);

/*
 * store_schema(st) / store_schema_newest():
 * Number of the newest step applied, -1 on failure; and of the newest one this
 * program knows.
 */
int store_schema(struct store *st);
int store_schema_newest(void);

enum store_trouble store_trouble(const struct store *st);

/* store_field(st): after STORE_INVALID, the member at fault; never NULL. */
const char *store_field(const struct store *st);

/*
 * store_now(st) / store_set_now(st, now_ms):
 * The time of the request under way: what is written now happened then.
 * 0: ask the clock each time, which is how a store begins.
 */
int64_t store_now(const struct store *st);
void store_set_now(struct store *st, int64_t now_ms);

/* store_set_wait(st, wait_ms): for the write lock, not 2 s; until store_idle.
 */
void store_set_wait(struct store *st, int64_t wait_ms);

/*
 * store_begin(st) ... store_end(st, rc):
 * Several writes as one transaction: all of it is there or nothing is.  Takes
 * the write lock (at most 2 s, then STORE_FAILED and STORE_BUSY) and BEGIN
 * IMMEDIATE.  store_end commits if ${rc} is STORE_DONE and answers it, or
 * STORE_FAILED if the commit failed; with any other ${rc} it rolls back and
 * answers that.  Events go out after the outermost commit.  They nest: an
 * inner pair is undone alone, and store functions that write are such pairs.
 * Between them: no network, no waiting.
 *
 * To commit with another answer, e.g. a stored first result, end with
 * STORE_DONE and return what you like.
 */
int store_begin(struct store *st);
int store_end(struct store *st, int rc);

/*
 * store_read(st) ... store_read_end(st):
 * Several reads of one state, in a read transaction.  They nest, and inside
 * store_begin they are free.  Lists do it themselves.
 */
int store_read(struct store *st);
void store_read_end(struct store *st);

/*
 * store_idle(st):
 * At the end of a request: nothing of it may stay.  Rolls back and logs a
 * transaction left open (a bug), resets statements, forgets store_set_now.
 */
void store_idle(struct store *st);

/* store_checkpoint(st, truncate): under the write lock; the worker's. */
int store_checkpoint(struct store *st, bool truncate);

/* store_check(st, why): PRAGMA integrity_check; returns new text on NONE. */
int store_check(struct store *st, char **why);

/*
 * store_free_bytes(st) / store_full(st):
 * What is free on the database's disk, INT64_MAX where it does not say; and
 * whether that is less than a write wants: space_min, or so little that a
 * commit may fail.
 */
int64_t store_free_bytes(const struct store *st);
bool store_full(const struct store *st);

/* store_wal_bytes(st): size of the write-ahead log, 0 when there is none. */
int64_t store_wal_bytes(const struct store *st);

/*
 * A page of a list.  ${after} and ${before} are 0 or an id as the list's
 * comment says; ${limit} was checked by the caller.
 */
struct store_page {
	int64_t before, after; /* keyset borders, exclusive; 0: none */
	int64_t before_id;     /* second part of a border of two */
	int limit;
};

/*
 * Lists answer one object {"items":[...],"next":"..."|null,"cursor":"..."}:
 * ${cursor} is the log's head of the same state.  `next` goes back as before=
 * (or after=, if after was given).  Returned new.
 *
 * store_page_parse(text, len, pg): a `next` text into ${pg}->before, before_id;
 * 0, or -1 if it is none.
 */
int store_page_parse(const char *text, size_t len, struct store_page *pg);

/* store_each_sql(st, fn, arg): every statement prepared so far, for tests. */
void store_each_sql(
    struct store *st, void (*fn)(void *arg, const char *sql), void *arg);

/* Tests: fails the next COMMIT as a full disk or a bad disk would. */
void store_fail_commit(struct store *st, int sqlite_code);

#endif
