#ifndef WATCH_H
#define WATCH_H

#include "store_channel.h"

/* Telling agents, once a cause, that an admin must see to a channel. */

/*
 * watch_tell(st, row, level, action, text):
 * A system_notification about that channel, "NAME: TEXT"; ${level} "warning"
 * or "error".  As a store function.
 */
int watch_tell(struct store *st, const struct channel_row *row,
    const char *level, const char *action, const char *text);

/*
 * watch_channels(st): look at all channels for tokens that end and cannot be
 * renewed by themselves.
 */
void watch_channels(struct store *st);

#endif
