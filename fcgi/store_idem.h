#ifndef STORE_IDEM_H
#define STORE_IDEM_H

#include "store.h"

/*
 * First answers to writes that named a key (Idempotency-Key, a form's one-time
 * key): the same key again within 24 h gets the first answer.
 *
 *	store_begin
 *	rc = store_idem_find(...)     REPEATED: store_end(st, STORE_NONE),
 *answer
 *	... the write ...
 *	store_idem_add(...)           in the same transaction as the effect
 *	store_end(st, STORE_DONE)
 */

struct idem {
	const char *kind; /* "agent", "customer", "form", ... */
	int64_t owner;    /* whose key it is */
	const char *key;  /* 1..128 bytes */
	const char *hash; /* SHA-256 of method, path and body */
};

/*
 * store_idem_find(st, k, status, answer): STORE_NONE: new.  STORE_REPEATED:
 * the first answer, returned new.  STORE_CONFLICT: other body.
 */
int store_idem_find(
    struct store *st, const struct idem *k, int *status, char **answer);
int store_idem_add(
    struct store *st, const struct idem *k, int status, const char *answer);

/* store_idem_purge(st, older_ms): forget keys older than that; a batch. */
int store_idem_purge(struct store *st, int64_t older_ms);

#endif
