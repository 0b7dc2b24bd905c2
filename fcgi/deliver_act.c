/*
 * What platforms show their customers besides messages: that an agent types,
 * that what they wrote was seen.  Nobody waits for an answer, and what fails
 * is not tried again: a moment later it would be untrue.
 */
#include <string.h>

#include "clock.h"
#include "deliver_job.h"
#include "log.h"
#include "store_act.h"

#define LOOK_MS 500
#define TYPING_AGAIN_MS 4000 /* platforms forget it after five seconds */
#define SEEN_AT_ONCE 4

/* Tell the platform; false: it has no such thing, or it could not be begun. */
static bool
act_go(struct deliver *dl, const struct act *a, int what)
{
	struct channel_act act = { .what = what,
		.conversation = a->conversation_external,
		.user = a->customer_external[0] != '\0' ? a->customer_external
							: NULL,
		.message_id =
		    a->message_external[0] != '\0' ? a->message_external : NULL,
		.seen_token = a->seen_token[0] != '\0' ? a->seen_token : NULL };
	struct pace *p = pace_of(dl, a->channel);
	struct job *j;
	struct http_request rq;
	bool gone = false;

	/* Messages are more urgent than that somebody types. */
	if (what != CHANNEL_SEEN && p != NULL &&
	    pace_wait_ms(p, clock_mono_ms()) > 0)
		return false;
	if ((j = job_new(dl, JOB_ACT, a->channel)) == NULL)
		return false;
	http_request_init(&rq, "POST");
	if (job_account(j) && strcmp(j->row.state, "ok") == 0 &&
	    j->ac.ch->act != NULL && j->ac.ch->act(&j->ac, &act, &rq) == 1)
		gone = job_start(j, &rq) == 0;
	http_request_fini(&rq);
	if (!gone)
		job_free(j);
	return gone;
}

void
act_done(struct job *j, const struct http_answer *an)
{
	if (an->end != HTTP_ANSWERED || an->status >= 400)
		log_debug("act channel=%lld status=%ld", (long long)j->channel,
		    an->status);
	job_free(j);
}

static struct typed *
typed_find(struct deliver *dl, int64_t conversation)
{
	for (size_t i = 0; i < TYPED_MAX; i++)
		if (dl->typed[i].conversation == conversation)
			return &dl->typed[i];
	return NULL;
}

static void
typing_take(struct deliver *dl, int64_t now)
{
	int64_t list[TYPED_MAX];
	struct typed *t;
	struct act a;
	size_t n, i, k;

	if (store_act_typing(dl->st, list, TYPED_MAX, &n) != STORE_DONE)
		return;
	for (i = 0; i < n; i++) {
		t = typed_find(dl, list[i]);
		if (t != NULL && now - t->at < TYPING_AGAIN_MS)
			continue;
		if (t == NULL && (t = typed_find(dl, 0)) == NULL)
			continue;
		t->conversation = list[i];
		t->at = now;
		if (store_act(dl->st, list[i], &a) == STORE_DONE)
			(void)act_go(dl, &a, CHANNEL_TYPING);
	}
	for (i = 0; i < TYPED_MAX; i++) {
		t = &dl->typed[i];
		for (k = 0; k < n && list[k] != t->conversation; k++)
			;
		if (t->conversation == 0 || k < n)
			continue;
		if (store_act(dl->st, t->conversation, &a) == STORE_DONE)
			(void)act_go(dl, &a, CHANNEL_TYPING_END);
		t->conversation = 0;
	}
}

void
acts_take(struct deliver *dl)
{
	int64_t now = clock_mono_ms(), conversation;
	struct act a;

	if (now < dl->act_at)
		return;
	dl->act_at = now + LOOK_MS;
	typing_take(dl, now);
	for (int i = 0; i < SEEN_AT_ONCE; i++) {
		if (store_act_seen(dl->st, &conversation) != STORE_DONE)
			break;
		if (store_act(dl->st, conversation, &a) == STORE_DONE &&
		    a.message_external[0] != '\0')
			(void)act_go(dl, &a, CHANNEL_SEEN);
	}
}
