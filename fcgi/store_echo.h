#ifndef STORE_ECHO_H
#define STORE_ECHO_H

#include "store.h"

/*
 * Telling our own messages among what platforms echo, and finding channels
 * and threads by the names that platforms know.  What goes out, and in which
 * state it is, stands in store_delivery.h.
 */

/* store_echo_channel(st, platform, account, id): by our id over there. */
int store_echo_channel(struct store *st, const char *platform,
    const char *account, int64_t *id);

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
 * store_echo_waiting(st, conversation, text, units, at, n):
 * The oldest delivery of the conversation that left and got no answer, with
 * just this text (texts longer than ${units} went in parts).  ${at}: when the
 * echo says it was sent; only younger than a day.  One whose answer may still
 * come is left alone.  NONE if there is none.
 */
int store_echo_waiting(struct store *st, int64_t conversation,
    const char *text, size_t units, int64_t at, int64_t *n);

/*
 * store_echo_row(st, delivery, units, external_id, size):
 * The platform's id of an echo that came while the delivery was under way and
 * says the same.  NONE if there is none.
 */
int store_echo_row(struct store *st, int64_t delivery, size_t units,
    char *external_id, size_t size);

/*
 * store_echo_lapsed(st, ids, max, n):
 * Deliveries that left and whose time is over: about to become unknown.
 */
int store_echo_lapsed(
    struct store *st, int64_t *ids, size_t max, size_t *n);

#endif
