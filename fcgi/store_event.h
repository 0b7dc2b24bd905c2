#ifndef STORE_EVENT_H
#define STORE_EVENT_H

#include "store.h"
#include "buf.h"

/*
 * The event log: the one cursor of every client.  Events are written with the
 * change they tell of, in its transaction.
 */

/* store_event_add: ${public} is this: customers get what agents get. */
#define EVENT_SAME ((struct json_object *)-1)

/* The state of the log at one moment. */
struct log_state {
	int64_t head;   /* newest id handed out */
	int64_t floor;  /* smallest cursor that misses nothing */
	int64_t oldest; /* id of the oldest event kept, or head */
	char epoch[40]; /* name of the current life */
};

/*
 * store_event_add(st, type, data, public, rooms, n, id):
 * The one place where events are written.  Inside store_begin only.  Borrows
 * everything.  ${public} NULL: never for customers; EVENT_SAME: as ${data}.
 * ${id}, if not NULL, gets the event's id.
 */
int store_event_add(struct store *st, const char *type,
    struct json_object *data, struct json_object *public,
    const char *const *rooms, size_t n, int64_t *id);

/*
 * store_event_send(st, type, data, public, rooms, n, id):
 * The same in a transaction of its own: /chat/notify, /chat/broadcast.
 */
int store_event_send(struct store *st, const char *type,
    struct json_object *data, struct json_object *public,
    const char *const *rooms, size_t n, int64_t *id);

/* store_event_last(st): id of the newest event this store added, or 0. */
int64_t store_event_last(const struct store *st);

/* store_log_state(st, s): in a read transaction of the caller, its state. */
int store_log_state(struct store *st, struct log_state *s);

/* store_log_lives(st, out): returns new [[base,top|null],...] of numbers. */
int store_log_lives(struct store *st, struct json_object **out);

/*
 * store_cursor(st, cursor):
 * STORE_DONE: a client at ${cursor} can go on from there.  STORE_NONE: reset
 * (too old, in the future, between two lives).
 */
int store_cursor(struct store *st, int64_t cursor);

/* An asker's view of the log from a cursor on. */
struct log_page {
	int64_t last; /* newest id looked at: the next cursor */
	bool more;
	struct log_state state; /* read in the same transaction, first */
};

/*
 * store_events_since(st, who, after, upto, limit, out, pg):
 * Events with id > ${after} (and <= ${upto}, unless 0) that ${who} may see now,
 * oldest first, at most ${limit}: returns new [{type,data,timestamp,id}],
 * ${data} in the asker's form, id a string.  Does not judge the cursor:
 * store_cursor does.
 */
int store_events_since(struct store *st, const struct who *who, int64_t after,
    int64_t upto, int limit, struct json_object **out, struct log_page *pg);

/*
 * store_events_raw(st, after, limit, out, pg):
 * All events in their line form (event.h), for pushd: appends the lines to
 * ${out} with commas between, without brackets.
 * store_events_raw_who: those that ${who} may see (as store_events_since), and
 * of ${room} only unless NULL; no more once ${out} has ${enough} bytes.
 */
int store_events_raw(struct store *st, int64_t after, int limit,
    struct buf *out, struct log_page *pg);
int store_events_raw_who(struct store *st, const struct who *who,
    const char *room, int64_t after, int64_t upto, int limit, size_t enough,
    struct buf *out, struct log_page *pg);

/*
 * store_rooms(st, who, out): returns new ["inbox","user:5",...]: the rooms
 * whose events reach ${who}.
 */
int store_rooms(
    struct store *st, const struct who *who, struct json_object **out);

/* store_event_data(st, id, out): returns new the agents' data of one event. */
int store_event_data(struct store *st, int64_t id, struct json_object **out);

/*
 * store_log_purge(st, keep_ms, keep_n, done):
 * Delete one batch (at most 500) of events older than ${keep_ms} that are not
 * among the newest ${keep_n}; the floor rises with them.  STORE_NONE: nothing
 * left to delete.
 */
int store_log_purge(
    struct store *st, int64_t keep_ms, int64_t keep_n, int64_t *done);

/*
 * store_log_clean(st): at an orderly stop, when no other writer runs: from
 * here a power cut loses nothing.
 */
int store_log_clean(struct store *st);

#endif
