/*
 * What the worker has under way: a list of jobs, each a delivery, a profile to
 * look up, a file to fetch or a token to renew.  A delivery is claimed under a
 * lease, marked as written before its first byte leaves, and ended by one
 * transaction after the answer.  So whatever is killed, a message that may have
 * left is never sent again.  What an answer means is the adapter's business.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "clock.h"
#include "deliver_job.h"
#include "echo.h"
#include "json.h"
#include "log.h"
#include "store_customer.h"

#define CLAIM_PAUSE_MS 200 /* something is due, but blocked */
#define ACCOUNTS_MAX 1000
#define PROFILES_AT_ONCE 4
#define PROFILE_POLL_MS 1000
#define PENDING_WAIT_MS 50

static int job_before(void *arg);
static void job_answered(void *arg, struct http_answer *an);

static const struct http_calls job_calls = { job_before, job_answered };

/* --- jobs --- */

struct deliver *
deliver_new(const struct conf *cf, struct store *st)
{
	struct http_limits limits = { .connect_ms =
					  (long)cf->platform_connect_ms,
		.total_ms = (long)cf->platform_total_ms,
		.body_max = (size_t)cf->platform_bytes_max };
	struct deliver *dl = calloc(1, sizeof(*dl));

	if (dl == NULL)
		return NULL;
	dl->cf = cf;
	dl->st = st;
	snprintf(dl->by, sizeof(dl->by), "worker:%ld:%08x", (long)getpid(),
	    randombytes_random());
	if ((dl->http = http_client_new(&limits)) == NULL) {
		free(dl);
		return NULL;
	}
	return dl;
}

struct pace *
pace_of(const struct deliver *dl, int64_t channel)
{
	for (size_t i = 0; i < dl->npaces; i++)
		if (dl->paces[i].channel == channel)
			return &dl->paces[i];
	return NULL;
}

struct job *
job_new(struct deliver *dl, enum job_kind kind, int64_t channel)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	j->dl = dl;
	j->kind = kind;
	j->channel = channel;
	j->next = dl->jobs;
	dl->jobs = j;
	dl->n++;
	return j;
}

void
job_free(struct job *j)
{
	struct job **p = &j->dl->jobs;

	assert(!j->going);
	if (j->paced)
		pace_end(pace_of(j->dl, j->channel));
	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	j->dl->n--;
	j->dl->claim_at = 0; /* it may have been what the next waits for */
	if (j->kind == JOB_FETCH)
		fetch_end(j);
	channel_row_fini(&j->row);
	delivery_fini(&j->d);
	json_object_put(j->fresh);
	free(j->token);
	free(j->text);
	free(j->path);
	free(j);
}

void
deliver_free(struct deliver *dl)
{
	if (dl == NULL)
		return;
	http_client_free(dl->http);
	while (dl->jobs != NULL) {
		dl->jobs->going = false;
		job_free(dl->jobs);
	}
	free(dl->paces);
	free(dl);
}

struct http_client *
deliver_http(const struct deliver *dl)
{
	return dl->http;
}

size_t
deliver_busy(const struct deliver *dl)
{
	return dl->n + (dl->held_back ? 1 : 0);
}

/* Read the account again; false when it is gone or has no adapter. */
bool
job_account(struct job *j)
{
	channel_row_fini(&j->row);
	memset(&j->row, 0, sizeof(j->row));
	memset(&j->ac, 0, sizeof(j->ac));
	if (store_channel_get(j->dl->st, j->channel, &j->row) != STORE_DONE)
		return false;
	j->ac.id = j->row.id;
	j->ac.config = j->row.all;
	j->ac.ch = channel_find(j->row.platform);
	return j->ac.ch != NULL;
}

static bool
address_good(void *arg, const struct addr *a, int port)
{
	const struct job *j = arg;

	return fetch_addr_good(j->dl->cf, a, port);
}

void
job_gate(struct job *j, struct http_request *rq)
{
	rq->allow = address_good;
	rq->allow_arg = j;
}

int
job_start(struct job *j, struct http_request *rq)
{
	struct pace *p = pace_of(j->dl, j->channel);

	if (j->ac.ch != NULL && j->ac.ch->anybodys)
		job_gate(j, rq);
	if (http_client_start(j->dl->http, rq, &job_calls, j) == -1)
		return -1;
	j->going = true;
	/* The first request of a delivery was asked for when it was claimed;
	   what lies open anywhere is none of the account's. */
	if (p != NULL && !j->open && (!j->paced || j->started))
		pace_spend(p);
	j->started = true;
	return 0;
}

static const char *
member_text(struct json_object *o, const char *key)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 ? p : NULL;
}

/* --- profiles --- */

void
profile_go(struct job *j)
{
	struct http_request rq;

	http_request_init(&rq, "GET");
	token_note(j);
	if (j->ac.ch->profile(&j->ac, j->external,
		j->thread[0] != '\0' ? j->thread : NULL, &rq) == 1 &&
	    job_start(j, &rq) == 0) {
		http_request_fini(&rq);
		return;
	}
	http_request_fini(&rq);
	store_customer_profiled(j->dl->st, j->customer, NULL, NULL);
	job_free(j);
}

static void
profile_done(struct job *j, const struct http_answer *an)
{
	struct channel_profile pf = { .user = j->external };
	enum channel_class cls = j->ac.ch->profiled(&j->ac, an, &pf);

	switch (cls) {
	case CHANNEL_SENT:
		store_customer_profiled(j->dl->st, j->customer,
		    pf.name[0] != '\0' ? pf.name : NULL,
		    pf.avatar_url[0] != '\0' ? pf.avatar_url : NULL);
		break;
	case CHANNEL_PERMANENT:
		/* Some may not be asked about: the id stays the name. */
		store_customer_profiled(j->dl->st, j->customer, NULL, NULL);
		break;
	case CHANNEL_REAUTH:
		if (!j->refreshed && j->ac.ch->refresh != NULL) {
			token_wait(j);
			return;
		}
		/* fall through */
	default:
		store_customer_profile_later(j->dl->st, j->customer);
		break;
	}
	job_free(j);
}

/* Look up new customers of one platform. */
static size_t
profiles_take(struct deliver *dl, const struct channel *ch)
{
	struct json_object *list = NULL, *o;
	const char *external, *thread;
	size_t n = 0;
	struct job *j;
	int64_t customer, channel;

	if (ch->profile == NULL || store_customers_bare(dl->st, ch->platform,
				       PROFILES_AT_ONCE, &list) != STORE_DONE)
		goto out;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		o = json_object_array_get_idx(list, i);
		external = member_text(o, "external_id");
		if (external == NULL ||
		    json_get_id(o, "customer_id", &customer) != 1 ||
		    json_get_id(o, "channel_id", &channel) != 1 ||
		    (j = job_new(dl, JOB_PROFILE, channel)) == NULL)
			continue;
		j->customer = customer;
		snprintf(j->external, sizeof(j->external), "%s", external);
		thread = member_text(o, "conversation");
		snprintf(j->thread, sizeof(j->thread), "%s",
		    thread != NULL ? thread : "");
		if (!job_account(j) || strcmp(j->row.state, "ok") != 0) {
			job_free(j);
			continue;
		}
		n++;
		if (token_stale(j)) {
			token_note(j);
			token_wait(j);
		} else {
			profile_go(j);
		}
	}
out:
	json_object_put(list);
	return n;
}

/* --- the loop's parts --- */

/* Just before the first byte: from here it may have been sent. */
static int
job_before(void *arg)
{
	struct job *j = arg;

	if (j->kind != JOB_SEND || !j->visible)
		return 0;
	return store_delivery_written(j->dl->st, j->d.id, j->by, j->said) ==
		       STORE_DONE
		   ? 0
		   : -1;
}

static void
job_answered(void *arg, struct http_answer *an)
{
	struct job *j = arg;
	struct pace *p = pace_of(j->dl, j->channel);

	j->going = false;
	if (p != NULL && j->kind == JOB_SEND)
		pace_answered(p, an->end == HTTP_LOST);
	switch (j->kind) {
	case JOB_SEND:
		send_done(j, an);
		return;
	case JOB_PROFILE:
		profile_done(j, an);
		return;
	case JOB_REFRESH:
		token_done(j, an);
		return;
	case JOB_FETCH:
		fetch_done(j, an);
		return;
	case JOB_ACT:
		act_done(j, an);
		return;
	case JOB_TEST:
		test_done(j, an);
		return;
	}
}

/* Know the accounts that there are, each with the pace of its platform. */
static void
accounts_meet(struct deliver *dl)
{
	int64_t ids[ACCOUNTS_MAX], now = clock_mono_ms();
	struct channel_row row;
	const struct channel *ch;
	struct pace *list;
	size_t n;

	if (store_channel_ids(dl->st, NULL, ids, ACCOUNTS_MAX, &n) !=
	    STORE_DONE)
		return;
	for (size_t i = 0; i < n; i++) {
		if (pace_of(dl, ids[i]) != NULL)
			continue;
		if (store_channel_get(dl->st, ids[i], &row) != STORE_DONE)
			continue;
		ch = channel_find(row.platform);
		channel_row_fini(&row);
		if (ch == NULL)
			continue;
		list =
		    realloc(dl->paces, (dl->npaces + 1) * sizeof(*dl->paces));
		if (list == NULL)
			return;
		dl->paces = list;
		pace_init(
		    &list[dl->npaces++], ids[i], ch->at_once, ch->per_s, now);
	}
}

/* Begin the next delivery of that account; false: it has none. */
static bool
account_take(struct deliver *dl, struct pace *p)
{
	struct job *j = job_new(dl, JOB_SEND, p->channel);

	if (j == NULL)
		return false;
	/* After its lease ran out another job of ours may have it. */
	snprintf(j->by, sizeof(j->by), "%s:%llu", dl->by,
	    (unsigned long long)++dl->claims);
	if (store_delivery_claim(dl->st, p->channel, j->by,
		dl->cf->delivery_lease_ms, &j->d) != STORE_DONE) {
		job_free(j);
		return false;
	}
	j->paced = true;
	pace_begin(p);
	send_begin(j);
	return true;
}

/*
 * Begin what is due, an account after the other, as each one's pace allows.
 * Nobody's long queue keeps another's waiting.
 */
static size_t
deliveries_take(struct deliver *dl)
{
	int64_t now = clock_mono_ms(), pause = CLAIM_PAUSE_MS, wait;
	size_t begun = 0, idle = 0;
	/* So that accounts which hang leave room for others. */
	unsigned most = (unsigned)(dl->cf->worker_jobs_max + 3) / 4;

	accounts_meet(dl);
	while (idle < dl->npaces && dl->n < (size_t)dl->cf->worker_jobs_max) {
		struct pace *p = &dl->paces[dl->next_pace++ % dl->npaces];

		if (p->going >= most)
			wait = -1;
		else if ((wait = pace_wait_ms(p, now)) > 0) {
			dl->held_back = true;
			pause = wait < pause ? wait : pause;
		}
		if (wait == 0 && account_take(dl, p)) {
			begun++;
			idle = 0;
		} else {
			idle++;
		}
	}
	if (begun == 0)
		dl->claim_at = now + pause;
	return begun;
}

size_t
deliver_take(struct deliver *dl)
{
	int64_t now = clock_mono_ms(), at;
	size_t begun = 0;
	struct job *j;

	acts_take(dl);
	tests_take(dl);
	if (now < dl->claim_at || dl->n >= (size_t)dl->cf->worker_jobs_max)
		goto profiles;
	dl->held_back = false;
	if (store_delivery_due(dl->st, &at) == STORE_DONE &&
	    at <= clock_now_ms())
		begun = deliveries_take(dl);
profiles:
	begun += fetch_take(dl);
	for (j = dl->jobs; j != NULL && j->kind != JOB_PROFILE; j = j->next)
		;
	if (j != NULL || now < dl->profile_at)
		return begun;
	dl->profile_at = now + PROFILE_POLL_MS;
	for (size_t i = 0; channel_at(i) != NULL; i++)
		begun += profiles_take(dl, channel_at(i));
	return begun;
}

/* A job that something is to be done with in this turn, or NULL. */
static struct job *
job_pending(const struct deliver *dl)
{
	for (struct job *j = dl->jobs; j != NULL; j = j->next)
		if ((j->waiting || j->ending) && j->turn != dl->turn)
			return j;
	return NULL;
}

int
deliver_run(struct deliver *dl, int wait_ms)
{
	struct job *j;

	dl->turn++;
	while ((j = job_pending(dl)) != NULL) {
		j->turn = dl->turn;
		if (wait_ms > PENDING_WAIT_MS)
			wait_ms = PENDING_WAIT_MS;
		if (j->waiting) {
			token_look(j);
			continue;
		}
		j->ending = false;
		if (j->kind == JOB_REFRESH)
			token_store(j);
		else
			send_store(j);
	}
	return http_client_run(dl->http, wait_ms);
}

void
deliver_settle(struct deliver *dl)
{
	int64_t n = 0;

	/* After the store's failures first what is known. */
	for (struct job *j = dl->jobs; j != NULL; j = j->next)
		if (j->ending)
			return;
	if (echo_settle(dl->st, &n) == STORE_DONE && n > 0)
		log_warn("deliveries lapsed n=%lld", (long long)n);
	if (store_delivery_orphans(dl->st, &n) == STORE_DONE && n > 0)
		log_info("deliveries of deleted channels n=%lld", (long long)n);
}

void
deliver_stop(struct deliver *dl)
{
	struct job *j = dl->jobs;

	dl->held_back = false;
	while (j != NULL) {
		if (j->waiting) {
			token_missed(j, true);
			j = dl->jobs;
		} else {
			j = j->next;
		}
	}
}
