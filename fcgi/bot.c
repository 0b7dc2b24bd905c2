/*
 * Bots in the worker: what is due is claimed and answered.  What the answer is
 * comes of bot_here.c.
 */
#include "bot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "bot_here.h"
#include "clock.h"
#include "log.h"

#define AT_A_TIME 50 /* then others may write */

struct bots {
	const struct conf *cf;
	struct store *st;
	struct http_client *http;
	char by[64]; /* our name in leases */
	size_t n;    /* under way */
};

struct bots *
bots_new(const struct conf *cf, struct store *st, struct http_client *http)
{
	struct bots *bt = calloc(1, sizeof(*bt));

	if (bt == NULL)
		return NULL;
	bt->cf = cf;
	bt->st = st;
	bt->http = http;
	snprintf(bt->by, sizeof(bt->by), "bots:%ld:%08x", (long)getpid(),
	    randombytes_random());
	return bt;
}

void
bots_free(struct bots *bt)
{
	free(bt);
}

size_t
bots_busy(const struct bots *bt)
{
	return bt->n;
}

/* A claimed ask: answer it. */
static void
ask_begin(struct bots *bt, const struct bot_ask *k)
{
	struct bot_answer a = { 0 };
	struct bot b;

	if (store_bot_get(bt->st, k->bot, &b) != STORE_DONE)
		return; /* its lease will run out */
	if (bot_alone(bt->cf, &b, k, &a))
		(void)store_bot_end(
		    bt->st, bt->by, k, &a, bot_day(bt->cf, clock_now_ms()));
	bot_answer_fini(&a);
	bot_fini(&b);
}

size_t
bots_take(struct bots *bt)
{
	struct bot_bounds lim;
	struct bot_ask k;
	size_t begun = 0;
	int64_t at;

	while (begun < AT_A_TIME && bt->n < (size_t)bt->cf->bot_jobs_max) {
		if (store_bot_due(bt->st, &at) != STORE_DONE ||
		    at > clock_now_ms())
			break;
		lim = bot_bounds(bt->cf, clock_now_ms());
		if (store_bot_claim(bt->st, bt->by, &lim, &k) != STORE_DONE)
			break;
		ask_begin(bt, &k);
		bot_ask_fini(&k);
		begun++;
	}
	return begun;
}

void
bots_settle(struct bots *bt)
{
	int64_t n = 0;

	if (store_bot_expired(bt->st, &n) == STORE_DONE && n > 0)
		log_warn("bots lapsed n=%lld", (long long)n);
}
