#ifndef ECHO_H
#define ECHO_H

#include "channel.h"
#include "store.h"

/*
 * echo_match(st, ac, conversation, text, at, came_at, n):
 * The oldest delivery of the conversation that left without an answer, not long
 * before ${at}, by the platform, or ${came_at}, when we were told, and says
 * ${text}: the one that an echo without our number tells of.  NONE if there is
 * none, or while the answer to another that says it is awaited.
 */
int echo_match(struct store *st, const struct channel_account *ac,
    int64_t conversation, const char *text, int64_t at, int64_t came_at,
    int64_t *n);

/*
 * echo_settle(st, n): deliveries whose time is over, by echoes that came while
 * their answer was awaited; others as store_delivery_expired() does, ${n} of
 * them.  The oldest, NONE: there was none.
 */
int echo_settle(struct store *st, int64_t *n);

#endif
