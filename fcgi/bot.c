/*
 * Bots in the worker: what is due is claimed, answered here (bot_here.c) or
 * put to the bot's endpoint (bot_prompt.c), and ended.  What is killed in
 * between is asked again when its lease has run out; the answer is stored once
 * whatever the endpoint was asked.
 */
#include "bot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "bot_here.h"
#include "bot_prompt.h"
#include "clock.h"
#include "fetch_url.h"
#include "log.h"

#define AT_A_TIME 50 /* then others may write */

/* A question under way, or its answer until it is stored. */
struct question {
	struct question *next;
	struct bots *bt;
	struct bot_ask k;
	struct bot b;
	struct http_file into;
	struct buf body; /* of an answer of 200 */
	bool going;      /* the HTTP client has it */
	bool again;      /* no answer yet: back into the queue */
	int64_t due_at;
	struct bot_answer a;
};

struct bots {
	const struct conf *cf;
	struct store *st;
	struct http_client *http;
	char by[64]; /* our name in leases */
	struct question *list;
	size_t n;
};

static void question_done(void *arg, struct http_answer *an);

static const struct http_calls question_calls = { NULL, question_done };

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

static void
question_free(struct question *qn)
{
	struct question **p = &qn->bt->list;

	while (*p != qn)
		p = &(*p)->next;
	*p = qn->next;
	qn->bt->n--;
	bot_ask_fini(&qn->k);
	bot_fini(&qn->b);
	bot_answer_fini(&qn->a);
	buf_fini(&qn->body);
	free(qn);
}

void
bots_free(struct bots *bt)
{
	if (bt == NULL)
		return;
	while (bt->list != NULL)
		question_free(bt->list);
	free(bt);
}

size_t
bots_busy(const struct bots *bt)
{
	return bt->n;
}

/* Store what came of it; it stays while the store cannot take it. */
static void
question_store(struct question *qn)
{
	struct bots *bt = qn->bt;
	int rc;

	if (qn->again)
		rc = store_bot_again(bt->st, bt->by, qn->k.id, qn->due_at);
	else
		rc = store_bot_end(bt->st, bt->by, &qn->k, &qn->a,
		    bot_day(bt->cf, clock_now_ms()));
	if (rc == STORE_FAILED && store_trouble(bt->st) != STORE_BROKEN)
		return;
	question_free(qn);
}

/* Its endpoint will not say anything. */
static void
question_fail(struct question *qn, const char *error)
{
	qn->a.handover = true;
	qn->a.reason = "error";
	snprintf(qn->a.error, sizeof(qn->a.error), "%s", error);
	bot_finish(qn->bt->cf, &qn->b, &qn->k, &qn->a);
	question_store(qn);
}

static void
question_done(void *arg, struct http_answer *an)
{
	struct question *qn = arg;
	int64_t wait_s, tries = qn->k.tries;
	enum bot_reply rc;

	qn->going = false;
	qn->a.later_ms = qn->bt->cf->bot_later_s * 1000;
	rc = bot_reply(&qn->b, an, &qn->body, &qn->a, &wait_s);
	if (rc != BOT_ANSWERED)
		log_info("bot answer id=%lld ask=%lld try=%lld why=%s",
		    (long long)qn->b.id, (long long)qn->k.id, (long long)tries,
		    qn->a.error);
	if (rc == BOT_AGAIN && tries < BOT_TRIES_MAX) {
		bot_answer_fini(&qn->a);
		memset(&qn->a, 0, sizeof(qn->a));
		if (wait_s < tries * tries)
			wait_s = tries * tries;
		qn->again = true;
		qn->due_at =
		    clock_now_ms() + wait_s * 10 * qn->bt->cf->backoff_percent;
	} else {
		bot_finish(qn->bt->cf, &qn->b, &qn->k, &qn->a);
	}
	question_store(qn);
}

static int
bytes_in(void *arg, const void *p, size_t n)
{
	struct question *qn = arg;

	buf_append(&qn->body, p, n);
	return qn->body.err ? -1 : 0;
}

static bool
address_good(void *arg, const struct addr *a, int port)
{
	const struct question *qn = arg;

	return fetch_addr_good(qn->bt->cf, a, port);
}

/* No answer yet: back into the queue. */
static void
question_again(struct question *qn)
{
	qn->again = true;
	qn->due_at = clock_now_ms();
	question_store(qn);
}

/* Whether its endpoint may be asked; else that is the answer. */
static bool
question_paid(struct question *qn)
{
	const struct conf *cf = qn->bt->cf;
	int rc =
	    store_bot_spend(qn->bt->st, qn->b.id, bot_day(cf, clock_now_ms()));

	if (rc == STORE_FAILED) {
		question_again(qn);
	} else if (rc != STORE_DONE) {
		qn->k.spent = true;
		(void)bot_alone(cf, &qn->b, &qn->k, &qn->a);
		question_store(qn);
	}
	return rc == STORE_DONE;
}

/* Put the question to the endpoint. */
static void
question_ask(struct question *qn)
{
	const struct conf *cf = qn->bt->cf;
	struct json_object *history = NULL;
	const char *error = NULL;
	struct http_request rq;
	struct fetch_url u;

	if (qn->k.message != 0 &&
	    store_bot_history(qn->bt->st, &qn->k, bot_history_max(&qn->b) + 1,
		&history) == STORE_FAILED) {
		question_again(qn);
		return;
	}
	http_request_init(&rq, "POST");
	if (bot_request(&qn->b, &qn->k, history, clock_now_ms(), &rq) == -1)
		error = "its settings are not complete";
	else if (rq.url.err || fetch_url_read(rq.url.data, &u) == -1 ||
		 !fetch_url_good(cf, &u))
		error = "address not allowed";
	qn->into = (struct http_file){ .bytes_max = cf->bot_bytes_max,
		.total_ms = (long)cf->bot_total_ms,
		.stall_s = (long)cf->bot_total_ms / 1000 + 1,
		.take = bytes_in,
		.arg = qn };
	rq.into = &qn->into;
	rq.allow = address_good;
	rq.allow_arg = qn;
	if (error == NULL &&
	    http_client_start(qn->bt->http, &rq, &question_calls, qn) == -1)
		error = "the request cannot be made";
	qn->going = error == NULL;
	http_request_fini(&rq);
	json_object_put(history);
	if (error != NULL)
		question_fail(qn, error);
}

/* A claimed ask, which is taken: answer it, or ask for it. */
static void
ask_begin(struct bots *bt, struct bot_ask *k)
{
	struct question *qn = calloc(1, sizeof(*qn));

	if (qn == NULL || store_bot_get(bt->st, k->bot, &qn->b) != STORE_DONE) {
		bot_ask_fini(k); /* its lease will run out */
		free(qn);
		return;
	}
	qn->k = *k;
	qn->bt = bt;
	qn->next = bt->list;
	bt->list = qn;
	bt->n++;
	buf_init(&qn->body, (size_t)bt->cf->bot_bytes_max);
	if (bot_alone(bt->cf, &qn->b, &qn->k, &qn->a))
		question_store(qn);
	else if (question_paid(qn))
		question_ask(qn);
}

/* What could not be stored before. */
static void
store_again(struct bots *bt)
{
	struct question *qn = bt->list, *next;

	for (; qn != NULL; qn = next) {
		next = qn->next;
		if (!qn->going)
			question_store(qn);
	}
}

size_t
bots_take(struct bots *bt, bool stopping)
{
	struct bot_bounds lim;
	struct bot_ask k;
	size_t begun = 0;
	int64_t at;

	store_again(bt);
	while (!stopping && begun < AT_A_TIME &&
	       bt->n < (size_t)bt->cf->bot_jobs_max) {
		if (store_bot_due(bt->st, &at) != STORE_DONE ||
		    at > clock_now_ms())
			break;
		lim = bot_bounds(bt->cf, clock_now_ms());
		if (store_bot_claim(bt->st, bt->by, &lim, &k) != STORE_DONE)
			break;
		ask_begin(bt, &k);
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
	for (n = 0; n < AT_A_TIME; n++)
		if (bot_late(bt->cf, bt->st) != STORE_DONE)
			break;
	if (n > 0)
		log_warn("bots late n=%lld", (long long)n);
}
