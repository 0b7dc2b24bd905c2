#ifndef PARLEY_H_BOT_H
#define PARLEY_H_BOT_H

#include "bot_rules.h"
#include "req.h"
#include "rsp.h"
#include "token.h"

#include <json.h>
#include <stdbool.h>
#include <stdint.h>

#define BOT_KINDS "rules|http|assistant"
#define BOT_CHANNELS_MAX 200

int bot_list(struct req *rq, struct rsp *rs);
int bot_post(struct req *rq, struct rsp *rs);
int bot_get(struct req *rq, struct rsp *rs);
int bot_patch(struct req *rq, struct rsp *rs);
int bot_delete(struct req *rq, struct rsp *rs);
int bot_post_message(struct req *rq, struct rsp *rs);
int bot_post_test(struct req *rq, struct rsp *rs);

/*
 * bot_wait(rq, id, answer, result):
 * Have the ask ${id} answered: at once if no endpoint is needed, else by the
 * worker, waited for as long and by as many as the settings allow.  1 it has
 * ended: ${*answer} is the message that answers it or 0, ${*result} what trying
 * it out gave (returned new) or NULL; 0 not yet; -1 failed.
 */
int bot_wait(
    struct req *rq, int64_t id, int64_t *answer, struct json_object **result);

/* What a bot of kind http is known by, and knows us by: shown once. */
struct bot_made {
	bool key, secret; /* which of them are new */
	char key_text[TOKEN_SIZE], hash[TOKEN_HASH_SIZE];
	char secret_text[TOKEN_SIZE];
};

/*
 * What API and pages share, inside store_begin.  Names, words and numbers are
 * the request's members or its form's fields; ${parts} has `config`, `secrets`
 * and `channels`; NULL: they stay.
 * bot_make(rq, kind, parts, id, m), bot_alter(rq, parts, id, m), bot_remove(rq,
 * id): STORE_INVALID: ${rq}->bad_field, or if that is NULL store_field, says
 * which; STORE_REFUSED: a channel has another bot.
 */
int bot_make(struct req *rq, const char *kind, struct json_object *parts,
    int64_t *id, struct bot_made *m);
int bot_alter(
    struct req *rq, struct json_object *parts, int64_t id, struct bot_made *m);
int bot_remove(struct req *rq, int64_t id);

/* bot_limits_of(cf): how long the texts of a bot may be. */
struct bot_limits bot_limits_of(const struct conf *cf);

/* bot_question_read(rq): `message`, to try a bot out; NULL with bad_field. */
const char *bot_question_read(struct req *rq);

#endif
