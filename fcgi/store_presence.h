#ifndef STORE_PRESENCE_H
#define STORE_PRESENCE_H

#include "store.h"

/* Who is there, and who types. */

/*
 * store_presence_connected(st, who, on):
 * The first connection came or the last one went.  presence_update or
 * customer_status when what is shown changes; STORE_REPEATED when not.
 */
int store_presence_connected(struct store *st, const struct who *who, bool on);

/*
 * store_presence_set(st, user, status, text):
 * The user's own choice: "online", "away", "busy" (or NULL: stays), own words
 * (NULL: stay, "": none).
 */
int store_presence_set(
    struct store *st, int64_t user, const char *status, const char *text);

/*
 * store_presence_seen(st, who, every_ms):
 * Without pushd: ${who} asked for something, so is there.  Events as above;
 * STORE_REPEATED when that was known less than ${every_ms} ago.
 */
int store_presence_seen(
    struct store *st, const struct who *who, int64_t every_ms);

/*
 * store_presence(st, who, ids, n, out): returns new {"items":[{user_id,status,
 * text,last_seen}],"cursor"}; n 0: all users (at most 200).
 */
int store_presence(struct store *st, const struct who *who, const int64_t *ids,
    size_t n, struct json_object **out);

/*
 * store_presence_expire(st, quiet_ms): who was last seen longer ago than that
 * and holds no stream goes offline, at most 100 at once; for hosts without
 * pushd.  STORE_NONE: nobody.
 */
int store_presence_expire(struct store *st, int64_t quiet_ms);

/*
 * store_presence_forget(st, began_ms), store_presence_settle(st):
 * A pushd began at ${began_ms} that knows of nobody: streams that were there
 * before are forgotten, and nobody is told.  Who is back has said so when it
 * settles: who is here then and holds no stream goes offline, at most 100 at
 * once.  STORE_NONE: nobody.
 */
int store_presence_forget(struct store *st, int64_t began_ms);
int store_presence_settle(struct store *st);

/*
 * store_typing_set(st, who, conversation, on, until_ms, name, size):
 * Ephemeral: no event, no id; kept for those who poll until ${until_ms}.
 * Checks the right to see the conversation.  ${name} gets what the others
 * call the typist.
 */
int store_typing_set(struct store *st, const struct who *who,
    int64_t conversation, bool on, int64_t until_ms, char *name, size_t size);

/*
 * store_typing(st, who, now_ms, out): returns new [{conversation_id, user_id,
 * user_name, kind, typing:true}] of others, in what ${who} may see.
 */
int store_typing(struct store *st, const struct who *who, int64_t now_ms,
    struct json_object **out);

#endif
