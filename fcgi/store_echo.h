#ifndef STORE_ECHO_H
#define STORE_ECHO_H

#include "store.h"

/*
 * Telling our own messages among what platforms echo, and finding channels
 * and threads by the names that platforms know.  What goes out, and in which
 * state it is, stands in store_delivery.h.
 */

/* store_echo_channel(st, platform, account, id): by our id over there. */
int store_echo_channel(
    struct store *st, const char *platform, const char *account, int64_t *id);

/* store_echo_thread(st, channel, external, id): a conversation, not made. */
int store_echo_thread(
    struct store *st, int64_t channel, const char *external, int64_t *id);

/*
 * store_echo_known(st, channel, external_id): REPEATED if a message or a
 * delivery of that channel has this id already, else NONE.
 */
int store_echo_known(
    struct store *st, int64_t channel, const char *external_id);

/* store_echo_seen(st, channel, key): DONE if store_webhook_seen kept it. */
int store_echo_seen(struct store *st, int64_t channel, const char *key);

/* A delivery that left, and got no answer so far. */
struct echo {
	int64_t delivery, channel;
	int part;     /* of the message: the text below is the whole */
	bool awaited; /* its answer may still come */
	char platform[12];
	char *content; /* owned */
};
void echoes_fini(struct echo *list, size_t n);

/*
 * store_echo_waiting(st, conversation, at, came_at, list, max, n):
 * Those of the conversation that left shortly before either time, oldest
 * first, the platform's id of which is not known.
 */
int store_echo_waiting(struct store *st, int64_t conversation, int64_t at,
    int64_t came_at, struct echo *list, size_t max, size_t *n);

/*
 * store_echo_lapsed(st, list, max, n): those about to become unknown, as many
 * at least as store_delivery_expired() takes if ${max} is LAPSED_AT_ONCE.
 */
#define LAPSED_AT_ONCE 100
int store_echo_lapsed(
    struct store *st, struct echo *list, size_t max, size_t *n);

/*
 * store_echo_row(st, delivery, text, len, external_id, size):
 * The platform's id of an echo in its conversation that says ${text}, was not
 * written by a person and came since the delivery left.  NONE if there is none.
 */
int store_echo_row(struct store *st, int64_t delivery, const char *text,
    size_t len, char *external_id, size_t size);

#endif
