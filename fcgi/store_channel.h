#ifndef STORE_CHANNEL_H
#define STORE_CHANNEL_H

#include "store.h"

/* Channels and their tokens. */

struct channel_row {
	int64_t id;
	char platform[12];
	char name[808];
	char account[256];
	char state[12]; /* ok, reauth, off */
	char state_text[256];
	struct json_object *config;  /* settings that may be shown */
	struct json_object *secrets; /* settings that may not */
	struct json_object *all;     /* both in one, for adapters */
};

/* store_channel_get(st, id, c): deleted ones are none.  channel_row_fini. */
int store_channel_get(struct store *st, int64_t id, struct channel_row *c);
void channel_row_fini(struct channel_row *c);

/*
 * store_channel_first(st, platform, id): the oldest that is not off.
 * store_channel_ids(st, platform, ids, max, n): all; NULL: of all platforms.
 */
int store_channel_first(struct store *st, const char *platform, int64_t *id);
int store_channel_ids(struct store *st, const char *platform, int64_t *ids,
    size_t max, size_t *n);

/*
 * store_channel_add(st, platform, name, account, config, secrets, id):
 * STORE_REFUSED: that account is connected already.  Objects are borrowed.
 * store_channel_set: merges members into config and secrets (a null removes);
 * NULL: stay.  The end of a token goes with the token it is of.
 * store_channel_state: ok, reauth, off with a reason.
 * store_channel_delete: its secrets go, its account may be connected again, its
 * conversations stay.
 */
int store_channel_add(struct store *st, const char *platform, const char *name,
    const char *account, struct json_object *config,
    struct json_object *secrets, int64_t *id);
int store_channel_set(struct store *st, int64_t id, const char *name,
    struct json_object *config, struct json_object *secrets);
int store_channel_state(
    struct store *st, int64_t id, const char *state, const char *why);
int store_channel_delete(struct store *st, int64_t id);

/*
 * store_channels(st, out): returns new {"items":[{id,platform,name,account,
 * config,secrets:{key:"set"},state,state_text,created_at}],...}.
 * store_channel_show(st, id, out): returns new one of them.
 */
int store_channel_show(struct store *st, int64_t id, struct json_object **out);
int store_channels(struct store *st, struct json_object **out);

/*
 * One refresher of a token at a time.
 * store_lease_take(st, channel, by, until_ms): DONE: it is ours; NONE:
 * somebody else's.  store_lease_token: the new settings, before their first
 * use, only while the lease is ours; each old value is kept as
 * `previous_NAME`; gives the lease back and sets the state to ok.  NONE: the
 * lease was lost, nothing stored.  store_lease_drop: give it back.
 */
int store_lease_take(
    struct store *st, int64_t channel, const char *by, int64_t until_ms);
int store_lease_token(struct store *st, int64_t channel, const char *by,
    struct json_object *secrets);
int store_lease_drop(struct store *st, int64_t channel, const char *by);

#endif
