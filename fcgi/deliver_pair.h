#ifndef DELIVER_PAIR_H
#define DELIVER_PAIR_H

#include <stdint.h>

#include <json-c/json.h>

/*
 * New tokens on their way into the database.  Where a refresh token works once
 * the old pair is void as soon as the platform answers, while the database may
 * make us wait for seconds; who is killed then would leave an account without
 * a token.  So the answer lies first in a file beside the database, .token-N
 * for channel N, 0600.
 *
 * pair_keep(db, channel, old, fresh): write the settings ${fresh}, which
 * replace the token ${old}; on the disk when it returns.  0, or -1, logged:
 * the database is then the first to have them.
 * pair_find(db, channel, old): returns new the settings that were kept as what
 * replaces ${old}, or NULL; what replaces another token is of the past, and
 * goes.
 * pair_drop(db, channel): the database has them.
 *
 * Only who holds the account's lease calls these.
 */
int pair_keep(const char *db, int64_t channel, const char *old,
    struct json_object *fresh);
struct json_object *pair_find(const char *db, int64_t channel, const char *old);
void pair_drop(const char *db, int64_t channel);

#endif
