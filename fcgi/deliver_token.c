/*
 * Renewing tokens.  A refresh token may work only once, so one process at a
 * time renews, under a lease in the database, and the new pair is stored
 * before anybody uses it; whoever else met the old token waits for that.
 *
 * Between the platform's answer and the commit the pair lies in a file, so
 * that nobody who is killed there takes it along: the next one to hold the
 * lease finds it.  What is left is the time the answer is on its way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "deliver_job.h"
#include "deliver_pair.h"
#include "log.h"
#include "store_channel_health.h"
#include "store_customer.h"
#include "watch.h"

#define TOKEN_WAIT_MS 60000 /* for somebody else's refresh */

static const char *
token_now(const struct job *j)
{
	return j->ac.ch->token_key != NULL
		   ? channel_conf(&j->ac, j->ac.ch->token_key)
		   : "";
}

void
token_note(struct job *j)
{
	free(j->token);
	j->token = strdup(token_now(j));
}

bool
token_same(struct job *j)
{
	char *token = j->token;
	bool same;

	j->token = NULL;
	if (!job_account(j)) {
		j->token = token;
		return true;
	}
	token_note(j);
	same =
	    token == NULL || j->token == NULL || strcmp(token, j->token) == 0;
	free(token);
	return same;
}

/* Whether there is no token, or it is known to end soon, and a way to one. */
bool
token_stale(const struct job *j)
{
	struct http_request rq;
	int64_t at;
	bool can;

	if (j->ac.ch->expires_key == NULL || j->refreshed)
		return false;
	at = channel_conf_int(&j->ac, j->ac.ch->expires_key, 0, INT64_MAX);
	if (*token_now(j) != '\0' &&
	    (at == 0 || at > clock_now_ms() + 1000LL * j->ac.ch->early_s))
		return false;
	http_request_init(&rq, "POST");
	can = j->ac.ch->refresh != NULL && j->ac.ch->refresh(&j->ac, &rq) == 1;
	http_request_fini(&rq);
	return can;
}

void
token_wait(struct job *j)
{
	j->waiting = true;
	j->since = clock_mono_ms();
}

/* Tell the agents, once, that an admin must act; the account's queue stops. */
void
token_refused(struct deliver *dl, int64_t channel, const char *why)
{
	struct channel_row row;
	int rc;

	if (store_begin(dl->st) == STORE_FAILED)
		return;
	memset(&row, 0, sizeof(row));
	rc = store_channel_get(dl->st, channel, &row);
	if (rc == STORE_DONE && strcmp(row.state, "ok") != 0)
		rc = STORE_REPEATED;
	if (rc == STORE_DONE)
		rc = store_channel_state(dl->st, channel, "reauth", why);
	if (rc == STORE_DONE) {
		log_warn("channel refused id=%lld platform=%s",
		    (long long)channel, row.platform);
		rc = watch_tell(dl->st, &row, "error", "reauth", why);
	}
	if (rc == STORE_DONE)
		rc = store_channel_error(dl->st, channel, why);
	channel_row_fini(&row);
	store_end(dl->st, rc);
}

/* Resume a job that waited, with whatever token is there now. */
static void
token_resume(struct job *j)
{
	j->waiting = false;
	j->refreshed = true;
	if (j->kind == JOB_SEND)
		send_go(j);
	else if (j->kind == JOB_FETCH)
		fetch_go(j);
	else if (j->kind == JOB_TEST)
		test_go(j);
	else
		profile_go(j);
}

/* No token came: the job's end; ${refused}: an admin must act. */
void
token_missed(struct job *j, bool refused)
{
	j->waiting = false;
	if (j->kind == JOB_FETCH && refused) {
		fetch_held(j);
	} else if (j->kind == JOB_FETCH) {
		fetch_again(j, 0);
	} else if (j->kind == JOB_TEST) {
		test_missed(j);
	} else if (j->kind != JOB_SEND) {
		store_customer_profile_later(j->dl->st, j->customer);
		job_free(j);
	} else if (refused) {
		send_held(j);
	} else {
		send_again(j, 0, "token", "no new token");
	}
}

static struct job *
waiting_of(struct deliver *dl, int64_t channel)
{
	struct job *j;

	for (j = dl->jobs; j != NULL; j = j->next)
		if (j->waiting && j->channel == channel)
			return j;
	return NULL;
}

/* The new pair must be in the database before anybody uses it. */
void
token_store(struct job *r)
{
	int rc = store_lease_token(r->dl->st, r->channel, r->dl->by, r->fresh);

	if (rc == STORE_FAILED) {
		r->ending = true;
		return;
	}
	if (rc == STORE_NONE) {
		/* The lease ran out, yet this is the only pair that works. */
		log_warn(
		    "token lease lost channel=%lld", (long long)r->channel);
		rc = store_channel_set(
		    r->dl->st, r->channel, NULL, NULL, r->fresh);
		if (rc == STORE_FAILED) {
			r->ending = true;
			return;
		}
	}
	pair_drop(r->dl->cf->db, r->channel);
	log_info("token refreshed channel=%lld", (long long)r->channel);
	job_free(r);
}

void
token_done(struct job *r, const struct http_answer *an)
{
	struct deliver *dl = r->dl;
	bool refused =
	    an->end == HTTP_ANSWERED && an->status < 500 && an->status != 429;
	struct job *j;

	if (refused && r->ac.ch->refresh_later != NULL)
		refused = !r->ac.ch->refresh_later(&r->ac, an);
	r->fresh = r->ac.ch->refreshed(&r->ac, an, clock_now_ms());
	if (r->fresh != NULL) {
		(void)pair_keep(dl->cf->db, r->channel, token_now(r), r->fresh);
		token_store(r);
		return;
	}
	if (refused)
		token_refused(dl, r->channel, "the refresh token is refused");
	else
		log_warn(
		    "token not refreshed channel=%lld", (long long)r->channel);
	store_lease_drop(dl->st, r->channel, dl->by);
	while ((j = waiting_of(dl, r->channel)) != NULL)
		token_missed(j, refused);
	job_free(r);
}

/* Begin a refresh for what waits on that channel; we hold the lease. */
static void
refresh_begin(struct job *j)
{
	struct deliver *dl = j->dl;
	struct job *r = job_new(dl, JOB_REFRESH, j->channel);
	struct http_request rq;
	int rc = 0;

	http_request_init(&rq, "POST");
	if (r == NULL || !job_account(r)) {
		rc = -1;
	} else if (strcmp(token_now(r),
		       j->token != NULL ? j->token : token_now(r)) != 0) {
		rc = 2; /* somebody was faster */
	} else if ((r->fresh = pair_find(
			dl->cf->db, r->channel, token_now(r))) != NULL) {
		rc = 4; /* somebody had it, and died */
	} else if (r->ac.ch->refresh == NULL ||
		   r->ac.ch->refresh(&r->ac, &rq) != 1) {
		rc = 3;
	} else if (job_start(r, &rq) == 0) {
		rc = 1;
	}
	http_request_fini(&rq);
	if (rc == 1)
		return;
	if (rc == 4) {
		log_warn(
		    "token found again channel=%lld", (long long)r->channel);
		token_store(r);
		return;
	}
	store_lease_drop(dl->st, j->channel, dl->by);
	if (rc == 3) {
		token_refused(dl, j->channel, "there is no refresh token");
		token_missed(j, true);
	} else if (rc != 2) {
		token_missed(j, false);
	}
	if (r != NULL)
		job_free(r);
}

static bool
refresh_under_way(const struct deliver *dl, int64_t channel)
{
	for (const struct job *j = dl->jobs; j != NULL; j = j->next)
		if (j->kind == JOB_REFRESH && j->channel == channel)
			return true;
	return false;
}

/* See what has become of the token that ${j} waits for. */
void
token_look(struct job *j)
{
	struct deliver *dl = j->dl;
	int64_t until = clock_now_ms() + 2 * dl->cf->platform_total_ms;
	int rc;

	if (!job_account(j) || strcmp(j->row.state, "ok") != 0) {
		token_missed(j, true);
	} else if (j->token != NULL && strcmp(j->token, token_now(j)) != 0) {
		token_resume(j);
	} else if (clock_mono_ms() - j->since > TOKEN_WAIT_MS) {
		token_missed(j, false);
	} else if (!refresh_under_way(dl, j->channel)) {
		rc = store_lease_take(dl->st, j->channel, dl->by, until);
		if (rc == STORE_DONE)
			refresh_begin(j);
	}
}
