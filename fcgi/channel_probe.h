#ifndef CHANNEL_PROBE_H
#define CHANNEL_PROBE_H

#include <json-c/json.h>

#include "channel.h"

/*
 * channel_probe_result(ac, an, rs):
 * What the test of an account tells a person: returns new {"ok", "code",
 * "account": its name over there or null, "text": the platform's words or
 * null, "advice": what to do or null}.  ${an} NULL: there was nothing to ask
 * with.  ${rs} is probed()'s of ${an}.
 *
 * Codes: ok; unset: a setting is missing; token: refused, make a new one;
 * other_account: the token is of another one; unreachable; busy: no usable
 * answer, try again; refused: for another reason.
 */
struct json_object *channel_probe_result(const struct channel_account *ac,
    const struct http_answer *an, const struct channel_result *rs);

#endif
