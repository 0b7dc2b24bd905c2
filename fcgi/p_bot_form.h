#ifndef PARLEY_P_BOT_FORM_H
#define PARLEY_P_BOT_FORM_H

/*
 * The settings of a bot as fields of a form, and back.  What they may be is
 * bot_rules.h's matter: what is typed goes there as it is.
 */

#include "p_view.h"
#include "req.h"

#include <json-c/json.h>
#include <stddef.h>

/* What is wrong with a form that comes back. */
struct bot_fault {
	const char *field; /* as the API calls it; NULL: the whole form */
	size_t at;         /* which of `hours` or `rules`, from 1; 0: unknown */
	const char *part;  /* of a rule, as the API calls it, or NULL */
};

/*
 * bot_form_read(rq, kind): returns new {"config", "secrets"} of the form, as
 * the API has them; an empty field is null, a secret's is absent.
 */
struct json_object *bot_form_read(struct req *rq, const char *kind);

/*
 * bot_form_fault(cf, field, config): ${field} is wrong; where in ${config}.
 */
struct bot_fault bot_form_fault(
    const struct conf *cf, const char *field, struct json_object *config);

/*
 * bot_form_put(v, o, kind, values, set, fault):
 * Add the fields of a bot of that kind to ${o}.  ${values} is its config with
 * `name`, `calls_max` and `tokens_max` beside, ${set} its secrets as the API
 * shows them, or NULL; ${fault} NULL: nothing is wrong.
 */
void bot_form_put(const struct view *v, struct json_object *o, const char *kind,
    struct json_object *values, struct json_object *set,
    const struct bot_fault *fault);

#endif
