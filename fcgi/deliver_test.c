/*
 * Testing accounts: somebody asked for it (store_test_want), the platform is
 * asked who we are, and what it said is stored for whoever wants to know.
 */
#include <string.h>

#include "channel_probe.h"
#include "clock.h"
#include "deliver_job.h"
#include "log.h"
#include "store_channel_health.h"

#define TEST_POLL_MS 1000
#define TESTS_AT_ONCE 4

/* The end of it; ${an} NULL: nothing was asked. */
static void
test_end(struct job *j, const struct http_answer *an)
{
	struct channel_result rs;
	struct json_object *o;

	memset(&rs, 0, sizeof(rs));
	if (an != NULL)
		j->ac.ch->probed(&j->ac, an, &rs);
	o = channel_probe_result(&j->ac, an, &rs);
	log_info("channel tested id=%lld class=%d code=%s",
	    (long long)j->channel, (int)rs.cls, rs.code);
	(void)store_test_done(j->dl->st, j->channel, o);
	json_object_put(o);
	job_free(j);
}

void
test_go(struct job *j)
{
	struct http_request rq;

	http_request_init(&rq, "GET");
	token_note(j);
	if (j->ac.ch->probe(&j->ac, clock_now_ms(), &rq) != 1 ||
	    job_start(j, &rq) == -1)
		test_end(j, NULL);
	http_request_fini(&rq);
}

/* An account whose queue stands gets no new token by itself. */
static bool
may_refresh(const struct job *j)
{
	return !j->refreshed && strcmp(j->row.state, "ok") == 0;
}

void
test_done(struct job *j, const struct http_answer *an)
{
	struct channel_result rs;

	j->ac.ch->probed(&j->ac, an, &rs);
	if (rs.cls == CHANNEL_REAUTH && rs.refreshable && may_refresh(j))
		token_wait(j);
	else
		test_end(j, an);
}

void
test_missed(struct job *j)
{
	/* With what there is: the answer says what is wrong with it. */
	j->refreshed = true;
	test_go(j);
}

int
deliver_test(struct deliver *dl, int64_t channel)
{
	struct job *j = job_new(dl, JOB_TEST, channel);

	if (j == NULL)
		return -1;
	if (!job_account(j)) {
		job_free(j);
		return -1;
	}
	if (may_refresh(j) && token_stale(j)) {
		token_note(j);
		token_wait(j);
	} else {
		test_go(j);
	}
	return 0;
}

void
tests_take(struct deliver *dl)
{
	int64_t now = clock_mono_ms(), channel;

	if (now < dl->test_at)
		return;
	for (int i = 0; i < TESTS_AT_ONCE; i++) {
		if (store_test_take(dl->st, &channel) != STORE_DONE) {
			dl->test_at = now + TEST_POLL_MS;
			return;
		}
		(void)deliver_test(dl, channel);
	}
}
