#ifndef HEADS_H
#define HEADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * heads.map: for each hash of a room's name the newest event id in it, in a
 * file that all processes map.  A writer raises the slots before its COMMIT;
 * so a poller whose slots are all at or below its cursor has missed nothing
 * and need not ask the database.  Two rooms may share a slot and a commit may
 * fail: that costs a query for nothing, never a miss.
 *
 * The file is no record of anything.  Missing, of another boot of the machine
 * or of another life of the log it is filled anew with the log's head, which
 * only writers can do; until then readers are told to ask the database.
 */

struct heads;

/*
 * heads_open(path, boot, write): map the file.  A reader (${write} false) gets
 * one even when there is none yet: it then answers INT64_MAX until there is.
 * ${boot} NULL asks the machine.  NULL on failure (logged).
 */
struct heads *heads_open(const char *path, const char *boot, bool write);
void heads_close(struct heads *h);

/* heads_boot_id(h): the machine's boot id as it was asked at opening. */
const char *heads_boot_id(const struct heads *h);

/*
 * heads_good(h): whether the file can be trusted.  Call it once a request: it
 * notices that the file was removed or made anew.
 */
bool heads_good(struct heads *h);

/*
 * heads_fill(h, head, epoch): writer, under the write lock: all slots to at
 * least ${head}, then the file counts for life ${epoch}.
 */
int heads_fill(struct heads *h, int64_t head, const char *epoch);
/* heads_is(h, epoch): good, and of that life. */
bool heads_is(struct heads *h, const char *epoch);

/* heads_raise(h, room, id): to at least ${id}. */
void heads_raise(struct heads *h, const char *room, int64_t id);

/*
 * heads_newest(h, room): no event of the room is newer than this.  INT64_MAX
 * when the file cannot be trusted.  heads_all: the same over ${n} rooms.
 */
int64_t heads_newest(struct heads *h, const char *room);
int64_t heads_all(struct heads *h, const char *const *rooms, size_t n);

/*
 * heads_commit(h, id): writer, after COMMIT: the log's head is ${id}.
 *
 * heads_head(h): a head the log really had, not long ago; 0 when unknown.  Read
 * it before the slots: a reader whose slots are at or below it has nothing to
 * wait for up to there, and may take it as its next cursor.
 */
void heads_commit(struct heads *h, int64_t id);
int64_t heads_head(struct heads *h);

/*
 * heads_signal(h, room, until_ms) / heads_signalled(h, room, now_ms):
 * Something ephemeral (typing) is to be seen in the room until then; a poller
 * asks the database meanwhile.
 */
void heads_signal(struct heads *h, const char *room, int64_t until_ms);
bool heads_signalled(struct heads *h, const char *room, int64_t now_ms);

#endif
