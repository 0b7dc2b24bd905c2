#ifndef BOT_HERE_H
#define BOT_HERE_H

#include "conf.h"
#include "store_bot.h"

/* What a bot answers without asking anybody: every program can do that. */

#define BOT_TRIES_MAX 3 /* of an ask whose answer does not come */

/* bot_day(cf, now_ms): the number of the day there, for budgets. */
int64_t bot_day(const struct conf *cf, int64_t now_ms);

/* bot_bounds(cf, now_ms): limits of a claim now. */
struct bot_bounds bot_bounds(const struct conf *cf, int64_t now_ms);

/* bot_question(cf, k): what a claimed ask asks, in terms of rules. */
struct bot_question bot_question(
    const struct conf *cf, const struct bot_ask *k);

/*
 * bot_alone(cf, b, k, a): the answer, if it needs nobody else: true and ${a}.
 * That is a bot of kind rules always, and any other that is off duty, is asked
 * for a person, or may not ask its endpoint any more.
 */
bool bot_alone(const struct conf *cf, const struct bot *b,
    const struct bot_ask *k, struct bot_answer *a);

/* bot_finish(cf, b, k, a): what an endpoint said, with hand-over and greeting.
 */
void bot_finish(const struct conf *cf, const struct bot *b,
    const struct bot_ask *k, struct bot_answer *a);

/*
 * bot_here(cf, st, id): answer the ask ${id} now if that is possible here.
 * DONE; NONE: it is not, or somebody else does.
 */
int bot_here(const struct conf *cf, struct store *st, int64_t id);

/*
 * bot_late(cf, st): the question whose answer was to come later, and whose time
 * for that has been over longest, ends as one that nobody answered.  DONE;
 * NONE: there is none.
 */
int bot_late(const struct conf *cf, struct store *st);

#endif
