#ifndef CHANNEL_SET_H
#define CHANNEL_SET_H

/* Setting up an account: by the command and on the page, by the same rules. */

#include <json-c/json.h>

#include "buf.h"
#include "channel.h"

/*
 * channel_set_make(ch, all, made):
 * Make up what ${all} does not hold and may be anything; into ${made}, too.
 */
void channel_set_make(const struct channel *ch, struct json_object *all,
    struct json_object *made);

/*
 * channel_set_sort(ch, all, config, secrets):
 * The members of ${all} into what may be shown and what may not; a null goes
 * along, and says that the setting is taken away.
 */
void channel_set_sort(const struct channel *ch, struct json_object *all,
    struct json_object *config, struct json_object *secrets);

/*
 * channel_set_check(ch, old, account, change, why, wrong):
 * The settings ${old} as ${change} will make them: 0, or -1 with the fault in
 * ${wrong}, and in English in ${why}.  Its code "other": they are those of
 * another account than ${account}, and ${why} says so; "again": a secret must
 * be given once more, since another address would get it.
 */
int channel_set_check(const struct channel *ch, struct json_object *old,
    const char *account, struct json_object *change, struct buf *why,
    struct channel_wrong *wrong);

#endif
