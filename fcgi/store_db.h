#ifndef STORE_DB_H
#define STORE_DB_H

/*
 * What the store_*.c files share and nobody else sees: statements, binding,
 * rows as JSON, and the open database.
 */

#include <sqlite3.h>

#include "heads.h"
#include "store.h"
#include "store_event.h"
#include "who.h"

#define STORE_STMTS 1024 /* slots for statements, a power of two */
#define STORE_DEPTH 8    /* transactions within transactions */
#define STORE_LOCK_MS 2000
#define STORE_LOCK_LATE_MS 100 /* after waiting in vain */
#define STORE_STOP_MS 2000     /* of one read or write, inside a request */

/* An event that waits for COMMIT. */
struct store_queued {
	struct store_queued *next;
	struct event e;
	char except[32];
};

struct store {
	sqlite3 *db;
	char *path;
	int lock_fd;     /* write.lock */
	bool lock_late;  /* the last wait for it was in vain */
	int64_t lock_ms; /* to wait for it; 0: STORE_LOCK_MS */
	enum store_mode mode;
	bool read_only;
	int64_t space_min;
	int64_t now_ms;  /* of the request; 0: ask the clock */
	int64_t stop_at; /* monotonic; 0: no end */
	enum store_trouble trouble;
	char field[32];
	int fail_commit;

	int depth;          /* open write transactions */
	int reads;          /* open read transactions */
	bool log_loaded;    /* last and epoch are of this transaction */
	bool log_moved;     /* last must be written */
	int64_t last;       /* newest event id */
	int64_t next;       /* the one promised after it, if greater */
	int64_t last_added; /* newest this store added */
	char epoch[40];
	struct {
		int64_t last;
		bool moved;
		struct store_queued *tail;
	} saved[STORE_DEPTH]; /* state when each inner one began */
	struct store_queued *queue, *queue_tail;

	struct heads *heads;
	void (*emit)(void *, const struct event *);
	void *emit_arg;

	struct {
		const char *sql;
		sqlite3_stmt *q;
	} stmts[STORE_STMTS];
	size_t nstmts;
};

/*
 * store_stmt(st, sql): the statement of this very string, prepared once; NULL
 * on failure, which all below take and turn into -1.
 */
sqlite3_stmt *store_stmt(struct store *st, const char *sql);

/*
 * Bind by name, copies; a failure shows when it is run.  bind_id: 0 is NULL;
 * bind_str, bind_strn and bind_json: NULL is NULL; bind_blob: never NULL.
 */
void bind_int(sqlite3_stmt *q, const char *name, int64_t v);
void bind_id(sqlite3_stmt *q, const char *name, int64_t v);
void bind_str(sqlite3_stmt *q, const char *name, const char *s);
void bind_strn(sqlite3_stmt *q, const char *name, const char *s, size_t len);
void bind_blob(sqlite3_stmt *q, const char *name, const void *p, size_t len);
void bind_json(sqlite3_stmt *q, const char *name, struct json_object *o);

/*
 * step_row(st, q): 1 a row, 0 no more, -1 failed and logged.  A write outside
 * store_begin fails: it would be deferred.
 * step_done(st, q): run to its end: 1, or -1; then stmt_end.
 * step_changed(st, q): the same, but 0 if it changed no row.
 * step_id(st, sql, id): step_done of store_stmt(st, sql) with its :id, which
 * is all it asks for.
 * step_int(st, q, v): first column of the first row: 1, 0, -1; then stmt_end.
 */
int step_row(struct store *st, sqlite3_stmt *q);
int step_done(struct store *st, sqlite3_stmt *q);
int step_changed(struct store *st, sqlite3_stmt *q);
int step_id(struct store *st, const char *sql, int64_t id);
int step_int(struct store *st, sqlite3_stmt *q, int64_t *v);
void stmt_end(sqlite3_stmt *q); /* reset, and forget what was bound */

/* store_changes(st): rows the last statement changed. */
int store_changes(const struct store *st);

/* Columns as they are; text is "" for NULL in col_copy. */
int64_t col_int(sqlite3_stmt *q, int i);
const char *col_str(sqlite3_stmt *q, int i);
void col_copy(sqlite3_stmt *q, int i, char *out, size_t size);
struct json_object *col_json(sqlite3_stmt *q, int i);

/*
 * row_json(q): the row as an object, returned new; each column a key.  The
 * first character of a column's name says what it is: '#' an id (a string;
 * NULL and 0 are null), '{' JSON (NULL is null), '[' JSON (NULL is []), '?' a
 * bool, '-' not for the object; anything else: as SQLite has it.
 */
struct json_object *row_json(sqlite3_stmt *q);

/*
 * step_list(st, q, limit, items): rows as row_json into the array, at most
 * ${limit}; 1 if there were more, 0, -1; then stmt_end.
 */
int step_list(
    struct store *st, sqlite3_stmt *q, int limit, struct json_object *items);

/*
 * list_json(st, items, next, out): the answer of a list; takes ${items};
 * ${next} NULL or a text.  Inside store_read.
 */
int list_json(struct store *st, struct json_object *items, const char *next,
    struct json_object **out);

/* store_failed(st, what, code): log it, note the trouble; STORE_FAILED. */
int store_failed(struct store *st, const char *what, int code);

/* store_invalid(st, field): note it; STORE_INVALID. */
int store_invalid(struct store *st, const char *field);

/* store_uuid(out): a random one, 36 characters. */
void store_uuid(char out[37]);

/* store_fold(p, len): returns new text for searching: lower case, no marks. */
char *store_fold(const char *p, size_t len);

/* store_like(text): returns new '%text%' with wildcards escaped by '\'. */
char *store_like(const char *text);

/* who_word(who): 'agent', 'customer' or 'system', as columns have it. */
const char *who_word(const struct who *who);
/* who_text(who, out): "agent:5". */
void who_text(const struct who *who, char out[40]);

/* Rooms of an event, gathered. */
struct rooms {
	const char **name; /* for store_event_add */
	char (*text)[EVENT_ROOM_MAX];
	size_t n, cap;
	int err;
};
void rooms_init(struct rooms *r);
void rooms_fini(struct rooms *r);
void rooms_add(struct rooms *r, const char *kind, int64_t id); /* 0: kind */
/*
 * rooms_quote(r, message): the event holds the words of that message.  Nobody
 * is ever in this room; by it they are found when the message is deleted.
 */
#define ROOM_QUOTE "message"
void rooms_quote(struct rooms *r, struct json_object *message);

/* store_log_load(st): last and epoch of this transaction. */
int store_log_load(struct store *st);
/* store_log_flush(st): write last before COMMIT. */
int store_log_flush(struct store *st);
/* store_log_start(st): the first life, in store_init's transaction. */
int store_log_start(struct store *st);
/* store_log_boot(st): at opening: did the machine fall over? */
int store_log_boot(struct store *st);

/* store_event_next(st): the id the next event will have; -1 on failure. */
int64_t store_event_next(struct store *st);

/*
 * store_synchronous(st, full): FULL for a moment, then what was asked for at
 * opening again.  Not within a transaction.
 */
int store_synchronous(struct store *st, bool full);

/* The parts of conversations that messages and deliveries need. */
struct conversation;

/*
 * conversation_rooms(st, c, public, r): who is to see its events; ${public}:
 * its customer too.
 */
int conversation_rooms(struct store *st, const struct conversation *c,
    bool public, struct rooms *r);
/*
 * conversation_event(st, who, id, type, changed): one with the whole
 * conversation; takes ${changed} (NULL: none).
 */
int conversation_event(struct store *st, const struct who *who, int64_t id,
    const char *type, struct json_object *changed);
/*
 * message_forget(st, id): as if it had never been: the echo of one of ours.
 * Its text leaves the log, message_deleted is told, the row goes.
 */
int message_forget(struct store *st, int64_t id);
/* conversation_read(st, who, id, message): the watermark alone, no event. */
int conversation_read(
    struct store *st, const struct who *who, int64_t id, int64_t message);
/*
 * What messages and conversations tell bots (store_bot_ask.c), inside
 * store_begin.
 * bot_hear(st, m, c): a message was stored; where a bot answers, it is asked.
 * ${c} is the conversation as it was before.
 * bot_hush(st, conversation, channel, by, reason): a person speaks now.  NONE:
 * no bot is there, or it was silent.
 * bot_wake(st, conversation, channel): the bot speaks again, from the next
 * message on.  NONE: none is there.
 * bot_put(st, o, conversation, channel): `bot` of the conversation ${o}; 0, -1.
 */
struct message;
int bot_hear(
    struct store *st, const struct message *m, const struct conversation *c);
int bot_hush(struct store *st, int64_t conversation, int64_t channel,
    const char *by, const char *reason);
int bot_wake(struct store *st, int64_t conversation, int64_t channel);
int bot_put(struct store *st, struct json_object *o, int64_t conversation,
    int64_t channel);
/* json_pick(o, keys): returns new the members named, NULL ends the list. */
struct json_object *json_pick(struct json_object *o, const char *const *keys);
/*
 * json_over(o, change): returns new the members of ${change} over those of
 * ${o}; a null takes one away.  Either may be NULL.
 */
struct json_object *json_over(
    struct json_object *o, struct json_object *change);
/*
 * tags_set(st, customer, id, names): ${names} are the tags of the customer, or
 * else the conversation, ${id}; 1 or -1.
 */
int tags_set(
    struct store *st, bool customer, int64_t id, struct json_object *names);

#endif
