#ifndef STORE_MEDIA_H
#define STORE_MEDIA_H

#include "file_kind.h"
#include "media_dir.h"
#include "store.h"

/*
 * Files of messages: what the database knows of those below media_dir, and
 * the ones of platforms that are still to be fetched.
 */

struct attachment {
	int64_t id;
	char path[MEDIA_PATH_SIZE]; /* below media_dir */
	char mime[96];
	int64_t size; /* bytes */
	char name[FILE_NAME_SIZE];
	int64_t width, height; /* pixels; 0: no image */
	char sha256[TOKEN_HASH_SIZE];
	int64_t message; /* 0: an upload that waits for its message */
	int64_t created_at;
};

/*
 * store_media_fill(a, in, name, len): from a file that was checked and kept,
 * and the name that its sender gave it.
 */
void store_media_fill(struct attachment *a, const struct media_in *in,
    const char *name, size_t len);

/*
 * store_media_add(st, who, a, day_max, total_max): a new upload of ${who};
 * ${a}->id.  REFUSED: more than ${day_max} bytes of this customer in 24 hours,
 * or than ${total_max} (0: any) of all.
 */
int store_media_add(struct store *st, const struct who *who,
    struct attachment *a, int64_t day_max, int64_t total_max);

/*
 * store_media_room(st, who, size, day_max, total_max): whether ${size} bytes
 * more would be taken: DONE or REFUSED; asked before they are read.
 */
int store_media_room(struct store *st, const struct who *who, int64_t size,
    int64_t day_max, int64_t total_max);

/*
 * store_media_get(st, who, id, a): one that the asker may see: of a message
 * that it may see, or its own upload; with ${who} NULL any.
 */
int store_media_get(
    struct store *st, const struct who *who, int64_t id, struct attachment *a);

/* store_media_json(a): as the API has it; returns new. */
struct json_object *store_media_json(const struct attachment *a);

/*
 * store_media_take(st, who, message, ids, n, out):
 * Inside a transaction: the asker's own uploads, not used before, become those
 * of ${message}; ${*out} is new, the array for the message.  INVALID
 * "attachments" if one is not.
 */
int store_media_take(struct store *st, const struct who *who, int64_t message,
    const int64_t *ids, size_t n, struct json_object **out);

/*
 * For media_tidy.  named: DONE if a row has that path.  unused: a batch of the
 * files of no message from before ${before} (ms) goes; NONE: there was none.
 * gone: the path of one that no row has any more; forget: it is off the disk.
 */
int store_media_named(struct store *st, const char *path);
int store_media_unused(struct store *st, int64_t before);
int store_media_gone(struct store *st, char path[MEDIA_PATH_SIZE]);
int store_media_forget(struct store *st, const char *path);

/* --- files of platforms --- */

/* One to be fetched; texts are owned. */
struct fetch {
	int64_t message, conversation, channel;
	char *url, *ref; /* one of them */
	int64_t tries;   /* this one counted */
	char kind[16], platform[16];
	char conversation_external[256], message_external[256];
	char name[FILE_NAME_SIZE];
};
void fetch_fini(struct fetch *f);

/*
 * store_fetch_add(st, message, channel, url, ref): inside the transaction of
 * the message, whose first attachment it is.
 */
int store_fetch_add(struct store *st, int64_t message, int64_t channel,
    const char *url, const char *ref);

/* store_fetch_due(st, at): when the next one is due; NONE if there is none. */
int store_fetch_due(struct store *st, int64_t *at);

/*
 * store_fetch_claim(st, by, lease_ms, but, f): the one due longest, of a
 * channel that is ok and of none of the conversations ${but}, ",1,2,"; ours for
 * ${lease_ms}.  NONE: nothing is due.
 */
int store_fetch_claim(struct store *st, const char *by, int64_t lease_ms,
    const char *but, struct fetch *f);

/*
 * store_fetch_again(st, message, by, due_at, counts): not before ${due_at};
 * this try counts, or it was no fault of over there.
 */
int store_fetch_again(struct store *st, int64_t message, const char *by,
    int64_t due_at, bool counts);

/*
 * store_fetch_done(st, message, by, a, day_max, total_max): it is here: the
 * message's attachment points to it; message_updated.  NONE: the message is
 * gone, or the lease is not ours; REFUSED: no room, as for store_media_add.
 * store_fetch_failed(st, message, by): it cannot be had; so does the
 * attachment say; message_updated.
 */
int store_fetch_done(struct store *st, int64_t message, const char *by,
    struct attachment *a, int64_t day_max, int64_t total_max);
int store_fetch_failed(struct store *st, int64_t message, const char *by);

#endif
