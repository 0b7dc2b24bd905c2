#ifndef ECHO_H
#define ECHO_H

#include "store.h"

/*
 * echo_match(st, conversation, kind, text, at, came_at, n):
 * The oldest delivery of the conversation whose id over there is not known,
 * that left not long before ${at}, by the platform, or ${came_at}, when we were
 * told, and said ${text}, or was a file of that ${kind}: the one that an echo
 * without our number tells of.  NONE if there is none, or while the answer to
 * one that said the same is awaited.
 */
int echo_match(struct store *st, int64_t conversation, const char *kind,
    const char *text, int64_t at, int64_t came_at, int64_t *n);

/*
 * echo_adopt(st, conversation, said):
 * One that said ${said} is not awaited any more.  Echoes that came meanwhile
 * and were kept as messages, since they might be its, settle those that they
 * tell of.  DONE, or FAILED.
 */
int echo_adopt(struct store *st, int64_t conversation, const char *said);

/*
 * echo_settle(st, n): deliveries whose time is over, by echoes that came while
 * their answer was awaited; others as store_delivery_expired() does, ${n} of
 * them.  The oldest, NONE: there was none.
 */
int echo_settle(struct store *st, int64_t *n);

#endif
