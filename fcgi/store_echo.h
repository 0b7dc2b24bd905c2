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

/*
 * echo_mark(kind, text, out):
 * A mark of what was said, so that an echo is told by it: of the text, or
 * without one (NULL or "") of the kind.
 */
#define ECHO_MARK_SIZE 33
void echo_mark(const char *kind, const char *text, char out[ECHO_MARK_SIZE]);

/* A delivery that left, and the platform's id of which is not known. */
struct echo {
	int64_t delivery, channel;
	bool awaited; /* its answer may still come */
};

/*
 * store_echo_waiting(st, conversation, said, at, came_at, list, max, n):
 * Those of the conversation that said that and left shortly before either time,
 * oldest first; 0 for both times: whenever it was.
 */
int store_echo_waiting(struct store *st, int64_t conversation, const char *said,
    int64_t at, int64_t came_at, struct echo *list, size_t max, size_t *n);

/*
 * store_echo_lapsed(st, list, max, n): those about to become unknown, as many
 * at least as store_delivery_expired() takes if ${max} is LAPSED_AT_ONCE.
 */
#define LAPSED_AT_ONCE 100
int store_echo_lapsed(
    struct store *st, struct echo *list, size_t max, size_t *n);

/*
 * store_echo_row(st, delivery, external_id, size):
 * The platform's id of an echo in its conversation that says the same, was not
 * written by a person and is of when the delivery left, or was told then.  NONE
 * if there is none.
 */
int store_echo_row(
    struct store *st, int64_t delivery, char *external_id, size_t size);

#endif
