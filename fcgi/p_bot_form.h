#ifndef PARLEY_P_BOT_FORM_H
#define PARLEY_P_BOT_FORM_H

/*
 * The settings of a bot as fields of a form, and back.  What they may be is
 * bot_rules.h's matter: what is typed goes there as it is.
 */

#include "p_view.h"
#include "req.h"

#include <json-c/json.h>
#include <stdbool.h>

/*
 * bot_form_read(rq, kind): returns new {"config", "secrets"} of the form, as
 * the API has them; an empty field is null, a secret's is absent.
 */
struct json_object *bot_form_read(struct req *rq, const char *kind);

/* What is shown in the form. */
struct bot_shown {
	const char *kind;
	/* The config with `name`, `calls_max` and `tokens_max` beside. */
	struct json_object *values;
	struct json_object *set; /* secrets as the API shows them, or NULL */
	bool back;               /* what was typed comes back: it was refused */
	const char *field;       /* for this member, or NULL */
};

/*
 * bot_form_put(v, o, s):
 * Add the fields to ${o}; of a form that comes back each that is refused has
 * its line.
 */
void bot_form_put(
    const struct view *v, struct json_object *o, const struct bot_shown *s);

#endif
