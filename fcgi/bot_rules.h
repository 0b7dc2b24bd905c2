#ifndef BOT_RULES_H
#define BOT_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json.h>

/*
 * What a bot says by rule, and when it may speak: settings and a question in,
 * an answer out.  Nothing here asks anybody or reads a clock.
 */

/* What a bot was asked. */
struct bot_question {
	const char *text; /* "" when it has none */
	int64_t at_ms;
	int64_t zone_minutes; /* of the opening hours */
	bool greeted;         /* in this conversation, before */
};

/* What it answers.  bot_answer_fini frees what is its own. */
struct bot_answer {
	char *text;                /* NULL: nothing */
	struct json_object *quick; /* [{"title","payload"}] or NULL */
	bool handover;             /* to people */
	const char *reason;        /* why: rule, bot, budget, error, loop */
	bool greets;               /* the greeting is in it */
	bool later;                /* it comes by a call of its own */
	int64_t later_ms;          /* and must, within this */
	int64_t tokens;            /* it cost */
	char error[200];           /* for agents and admins; "": none */
};
void bot_answer_fini(struct bot_answer *a);

/*
 * bot_hours_open(config, at_ms, zone_minutes): whether that is within
 * `hours`: [{"days":[1..7, Monday first],"from":"HH:MM","to":"HH:MM"}]; a span
 * that does not end after it begins goes on past midnight.  Without: always.
 */
bool bot_hours_open(
    struct json_object *config, int64_t at_ms, int64_t zone_minutes);

/*
 * bot_on_duty(config, q): whether the bot answers at that time, by `when`:
 * "always", "open" or "closed".
 */
bool bot_on_duty(struct json_object *config, const struct bot_question *q);

/*
 * bot_says(text, keywords): whether one of the words stands in the text, both
 * folded as for searching; where a word begins or ends with a Latin letter or
 * digit, none may stand beside it.
 */
bool bot_says(const char *text, struct json_object *keywords);

/*
 * bot_wants_person(config, q, a): whether the text holds a word of `handover`;
 * then ${a} is the hand-over, with the words for it.
 */
bool bot_wants_person(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a);

/*
 * bot_handover(config, q, a): hand over, with `handover_text`, or `closed`
 * outside the hours; what ${a} says already stays.
 */
void bot_handover(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a);

/*
 * bot_greet(config, q, a): put `greeting` before what it says, once a
 * conversation.
 */
void bot_greet(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a);

/*
 * bot_rules_answer(config, q, a): the whole answer of a bot of kind `rules`:
 * hand-over, else the first of `rules` whose keywords match, else `closed`
 * outside the hours, else `fallback`; the greeting before it.
 */
void bot_rules_answer(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a);

/*
 * bot_quick(list): the answers to tap as a message has them, returned new; NULL
 * if they are none.
 */
struct json_object *bot_quick(struct json_object *list);

/* Limits of settings. */
struct bot_limits {
	size_t text_chars; /* of a text that customers read */
	size_t base_chars; /* of an address, a model's name */
};

/*
 * bot_config_bad(kind, config, lim): the member that is wrong or unknown, or
 * NULL when all is well.  bot_secrets_bad: the same of the secrets.
 */
const char *bot_config_bad(
    const char *kind, struct json_object *config, const struct bot_limits *lim);
const char *bot_secrets_bad(const char *kind, struct json_object *secrets);

#endif
