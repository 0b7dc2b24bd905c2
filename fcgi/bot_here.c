/*
 * What a bot answers without asking anybody: rules, and all that comes before
 * and after the words of an endpoint.
 */
#include "bot_here.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "utf8.h"

#define MINUTE_MS 60000
#define DAY_MINUTES 1440

int64_t
bot_day(const struct conf *cf, int64_t now_ms)
{
	return (now_ms / MINUTE_MS + cf->zone_minutes) / DAY_MINUTES;
}

struct bot_bounds
bot_bounds(const struct conf *cf, int64_t now_ms)
{
	return (
	    struct bot_bounds){ .lease_ms = cf->bot_total_ms + cf->bot_lease_ms,
		.day = bot_day(cf, now_ms),
		.hour_max = cf->bot_hour_answers_max };
}

struct bot_question
bot_question(const struct conf *cf, const struct bot_ask *k)
{
	return (struct bot_question){ .text = k->text,
		.at_ms = k->created_at,
		.zone_minutes = cf->zone_minutes,
		.greeted = k->greeted };
}

/* No more than a message may hold. */
static void
cut(const struct conf *cf, struct bot_answer *a)
{
	size_t len, most = (size_t)cf->message_bytes_max;

	if (a->text == NULL)
		return;
	len = strlen(a->text);
	len = utf8_cut(a->text, len, (size_t)cf->message_chars_max);
	while (len > most)
		len = utf8_cut(a->text, len, utf8_chars(a->text, len) - 1);
	a->text[len] = '\0';
}

static void
give_up(struct bot_answer *a, const char *reason, const char *error)
{
	a->handover = true;
	a->reason = reason;
	snprintf(a->error, sizeof(a->error), "%s", error);
}

bool
bot_alone(const struct conf *cf, const struct bot *b, const struct bot_ask *k,
    struct bot_answer *a)
{
	struct bot_question q = bot_question(cf, k);

	if (k->loop) {
		give_up(a, "loop", "too many answers in one conversation");
		return true;
	}
	if (k->message != 0 && !bot_on_duty(b->config, &q))
		return true;
	if (strcmp(b->kind, "rules") == 0) {
		bot_rules_answer(b->config, &q, a);
		cut(cf, a);
		return true;
	}
	if (bot_wants_person(b->config, &q, a)) {
		bot_greet(b->config, &q, a);
		cut(cf, a);
		return true;
	}
	if (k->spent)
		give_up(a, "budget", "the budget of the day is used up");
	else if (k->tries > BOT_TRIES_MAX)
		give_up(a, "error", "no answer came");
	else
		return false;
	bot_finish(cf, b, k, a);
	return true;
}

void
bot_finish(const struct conf *cf, const struct bot *b, const struct bot_ask *k,
    struct bot_answer *a)
{
	struct bot_question q = bot_question(cf, k);

	if (a->handover)
		bot_handover(b->config, &q, a);
	if (!a->later)
		bot_greet(b->config, &q, a);
	cut(cf, a);
}

int
bot_here(const struct conf *cf, struct store *st, int64_t id)
{
	struct bot_bounds lim = bot_bounds(cf, store_now(st));
	struct bot_answer a = { 0 };
	struct bot_ask k;
	struct bot b;
	char by[64];
	int rc;

	snprintf(by, sizeof(by), "here:%ld", (long)getpid());
	/* One transaction: nobody sees it claimed, or counted. */
	if (store_begin(st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_bot_claim_id(st, by, &lim, id, &k);
	if (rc != STORE_DONE)
		return store_end(st, rc);
	if ((rc = store_bot_get(st, k.bot, &b)) == STORE_DONE) {
		rc = bot_alone(cf, &b, &k, &a)
			 ? store_bot_end(st, by, &k, &a, lim.day)
			 : STORE_NONE;
		bot_fini(&b);
	}
	bot_answer_fini(&a);
	bot_ask_fini(&k);
	return store_end(st, rc);
}

int
bot_late(const struct conf *cf, struct store *st)
{
	struct bot_bounds lim = bot_bounds(cf, store_now(st));
	struct bot_answer a = { 0 };
	struct bot_ask k = { 0 };
	struct bot b;
	char by[64];
	int rc;

	snprintf(by, sizeof(by), "late:%ld", (long)getpid());
	/* It looks every second: without the write lock. */
	if ((rc = store_bot_late(st)) != STORE_DONE)
		return rc;
	if (store_begin(st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_bot_claim_late(st, by, &lim, &k);
	if (rc == STORE_DONE && k.id != 0 &&
	    (rc = store_bot_get(st, k.bot, &b)) == STORE_DONE) {
		give_up(&a, "error", "no answer came, which was to come later");
		bot_finish(cf, &b, &k, &a);
		rc = store_bot_end(st, by, &k, &a, lim.day);
		bot_fini(&b);
	}
	bot_answer_fini(&a);
	bot_ask_fini(&k);
	return store_end(st, rc);
}
