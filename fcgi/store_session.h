#ifndef STORE_SESSION_H
#define STORE_SESSION_H

#include "store.h"
#include "limits.h"

/* Log-ins, API keys, resume links, first answers.  Only SHA-256 (token_hash) is
 * kept. */

#define STORE_HASH_SIZE 65 /* hex and a NUL, as token_hash makes it */

struct session {
	int64_t id;
	int64_t user, customer; /* one of them is 0 */
	char hash[STORE_HASH_SIZE];
	char csrf[STORE_HASH_SIZE]; /* "": none */
	char via[12];
	int64_t created_at, seen_at, expires_at;
	int64_t ended_at; /* 0: not ended */
	/* of its owner, for convenience */
	bool admin;
	bool gone; /* owner disabled, deleted or merged away */
	char name[NAME_BYTES_MAX];
	char locale[16];
};

/* store_session_add(st, s): sets id, created_at, seen_at. */
int store_session_add(struct store *st, struct session *s);

/*
 * store_session_get(st, id, s):
 * Ended and expired ones are found too: judge by ended_at, expires_at, gone.
 */
int store_session_get(struct store *st, int64_t id, struct session *s);

/* store_session_touch(st, s): seen_at, written at most once a minute. */
int store_session_touch(struct store *st, struct session *s);

/*
 * store_session_end(st, id) / store_session_end_user(st, user, except) /
 * store_session_end_customer(st, customer, except):
 * End one, or all but ${except} (0: all).  In the same transaction the control
 * event session_changed {"refs":[...]} cuts their streams, and the slot of
 * user:ID or customer:ID rises so that idle polls look again.
 */
int store_session_end(struct store *st, int64_t id);
int store_session_end_user(struct store *st, int64_t user, int64_t except);
int store_session_end_customer(
    struct store *st, int64_t customer, int64_t except);

/* store_session_purge(st): forget those over for 30 days, and old links. */
int store_session_purge(struct store *st);

/* Keys of programs. */
int store_key_add(struct store *st, int64_t user, const char *name,
    const char *hash, int64_t *id);
/* The key's own id and its user's; none if it or its user is ended. */
int store_key_find(
    struct store *st, const char *hash, int64_t *id, int64_t *user);
/* By id, for references; none if ended or not that user's. */
int store_key_get(struct store *st, int64_t id, int64_t user);
/* As store_session_end does. */
int store_key_end(struct store *st, int64_t id);

/*
 * Resume links.  store_link_find: STORE_REFUSED if it is expired or used up
 * (410).
 */
int store_link_add(struct store *st, const char *hash, int64_t customer,
    int64_t conversation, int64_t expires_at);
int store_link_find(struct store *st, const char *hash, int64_t *customer,
    int64_t *conversation);

#endif
