/*
 * What the worker makes of answers: with a real store, and answers that the
 * test makes up.
 */
#include "store_fixture.h"

#include "clock.h"
#include "deliver_job.h"

static char media_dir[] = "/nowhere", base[] = "", path[] = "", db[] = "";

static const struct conf cf = { .db = db,
	.base_url = base,
	.base_path = path,
	.media_dir = media_dir,
	.backoff_percent = 100,
	.echo_wait_s = 20,
	.delivery_lease_ms = 60000,
	.media_link_life_s = 86400,
	.platform_connect_ms = 1000,
	.platform_total_ms = 1000,
	.platform_bytes_max = 65536,
	.worker_jobs_max = 64,
	.fetch_tries_max = 5 };

/* Connect an account of that platform with one setting; it is ${f->zalo}. */
static void
account(
    struct fixture *f, const char *platform, const char *key, const char *value)
{
	struct json_object *config = json_object_new_object();

	json_put_str(config, key, value);
	assert_int_equal(store_channel_add(f->st, platform, "A", NULL, config,
			     NULL, &f->zalo),
	    STORE_DONE);
	json_object_put(config);
	store_set_now(f->st, clock_now_ms());
}

/* A message of the agent, taken up by a job that has sent it. */
static struct job *
sent_job(struct fixture *f, struct deliver *dl, int64_t conversation)
{
	struct job *j = job_new(dl, JOB_SEND, f->zalo);

	fixture_say(f, &f->agent, conversation, "hello", NULL, NULL);
	snprintf(
	    j->by, sizeof j->by, "w:%llu", (unsigned long long)++dl->claims);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, j->by, 60000, &j->d),
	    STORE_DONE);
	assert_true(job_account(j));
	j->keyed = j->ac.ch->keyed;
	j->visible = !j->keyed;
	token_note(j);
	return j;
}

static void
answered(struct job *j, enum http_end end, long status, const char *body)
{
	struct http_answer an;

	http_answer_init(&an);
	an.end = end;
	an.status = status;
	buf_puts(&an.body, body);
	send_done(j, &an);
	http_answer_fini(&an);
}

/* What the only row says. */
static void
row(struct fixture *f, const char *sql, const char *want)
{
	char full[300];
	sqlite3_stmt *q;

	snprintf(full, sizeof full, "SELECT %s", sql);
	assert_int_equal(
	    sqlite3_prepare_v2(f->st->db, full, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(q, 0), want);
	sqlite3_finalize(q);
}

/* Under a key it is tried again, and in the end it may have arrived. */
static void
lost_tries_end_unknown(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);
	struct job *j;
	int64_t c;

	account(f, "custom", "custom_out_url", "https://shop.example/");
	c = fixture_zalo(f, "hi", NULL);
	j = sent_job(f, dl, c);
	answered(j, HTTP_LOST, 0, "");
	row(f, "state || doubt || tries FROM deliveries", "queued11");

	store_set_now(f->st, clock_now_ms() + 60000);
	j = job_new(dl, JOB_SEND, f->zalo);
	snprintf(j->by, sizeof j->by, "w");
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 60000, &j->d),
	    STORE_DONE);
	assert_true(j->d.doubt);
	assert_true(job_account(j));
	j->keyed = true;
	j->d.tries = 6;
	answered(j, HTTP_ANSWERED, 429, "{}");
	row(f, "state || ' ' || error FROM deliveries",
	    "sending no answer: rate: http 429");
	deliver_free(dl);
}

/* Under a key it may have arrived, too, where the answer is none. */
static void
an_answer_that_says_nothing_is_a_doubt(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);

	account(f, "line", "line_channel_token", "t");
	answered(sent_job(f, dl, fixture_zalo(f, "hi", NULL)), HTTP_ANSWERED,
	    200, "<html>");
	row(f, "state || doubt || tries FROM deliveries", "queued11");
	deliver_free(dl);
}

/* What keeps all of an account uses up none of a message's tries. */
static void
a_refused_token_is_no_try(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);

	account(f, "telegram", "telegram_bot_token", "1:a");
	answered(sent_job(f, dl, fixture_zalo(f, "hi", NULL)), HTTP_ANSWERED,
	    401,
	    "{\"ok\":false,\"error_code\":401,"
	    "\"description\":\"Unauthorized\"}");
	row(f, "state FROM channels WHERE platform = 'telegram'", "reauth");
	row(f, "state || tries FROM deliveries", "queued0");
	deliver_free(dl);
}

/* What was refused each time did not arrive. */
static void
refused_tries_end_failed(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);
	struct job *j;

	account(f, "custom", "custom_out_url", "https://shop.example/");
	j = sent_job(f, dl, fixture_zalo(f, "hi", NULL));
	j->d.tries = 6;
	answered(j, HTTP_ANSWERED, 429, "{}");
	row(f, "state || doubt FROM deliveries", "failed0");
	deliver_free(dl);
}

/* The next try of the only delivery, as if its pause were over. */
static struct job *
next_job(struct fixture *f, struct deliver *dl)
{
	struct job *j = job_new(dl, JOB_SEND, f->zalo);

	fixture_sql(f, "UPDATE deliveries SET due_at = 1");
	snprintf(
	    j->by, sizeof j->by, "w:%llu", (unsigned long long)++dl->claims);
	store_set_now(f->st, clock_now_ms());
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, j->by, 60000, &j->d),
	    STORE_DONE);
	assert_true(job_account(j));
	j->visible = !j->ac.ch->keyed;
	token_note(j);
	return j;
}

/* "Unknown error" is tried again once, whatever else was tried before. */
static void
only_that_answer_counts_for_once(void **state)
{
	static const char temporary[] = "{\"error\":{\"code\":2}}";
	static const char once[] =
	    "{\"error\":{\"message\":\"no\",\"code\":1}}";
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);
	int64_t message;
	struct job *j;

	account(f, "facebook", "fb_page_token", "t");
	j = sent_job(f, dl, fixture_zalo(f, "hi", NULL));
	message = j->d.message;
	answered(j, HTTP_ANSWERED, 500, temporary);
	row(f, "state || tries || once FROM deliveries", "queued10");
	answered(next_job(f, dl), HTTP_UNSENT, 0, "");
	row(f, "state || tries || once FROM deliveries", "queued20");
	answered(next_job(f, dl), HTTP_ANSWERED, 500, once);
	row(f, "state || tries || once FROM deliveries", "queued31");
	answered(next_job(f, dl), HTTP_ANSWERED, 500, temporary);
	row(f, "state || tries || once FROM deliveries", "queued41");
	answered(next_job(f, dl), HTTP_ANSWERED, 500, once);
	row(f, "state || tries || ' ' || error FROM deliveries",
	    "failed5 refused: no");

	/* Who sends it again begins anew. */
	assert_int_equal(
	    store_delivery_resend(f->st, &f->agent, message, NULL), STORE_DONE);
	row(f, "state || tries || once FROM deliveries", "queued00");
	deliver_free(dl);
}

/* However long a platform wants us to wait, an hour is the most. */
static void
no_account_waits_for_years(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);
	int64_t now, c;
	struct job *j;

	account(f, "telegram", "telegram_bot_token", "1:a");
	c = fixture_zalo(f, "hi", NULL);
	j = sent_job(f, dl, c);
	now = clock_now_ms();
	answered(j, HTTP_ANSWERED, 429,
	    "{\"ok\":false,\"error_code\":429,\"description\":\"slow down\","
	    "\"parameters\":{\"retry_after\":999999999999999999}}");
	row(f, "state FROM deliveries", "queued");
	char sql[200];
	snprintf(sql, sizeof sql,
	    "abs(hold_until - %lld) < 60000 FROM channels"
	    " WHERE platform = 'telegram'",
	    (long long)(now + 3600000));
	row(f, sql, "1");
	snprintf(sql, sizeof sql, "abs(due_at - %lld) < 60000 FROM deliveries",
	    (long long)(now + 3600000));
	row(f, sql, "1");
	/* Who mends the account need not wait for that. */
	assert_int_equal(
	    store_channel_set(f->st, f->zalo, NULL, NULL, NULL), STORE_DONE);
	row(f, "hold_until FROM channels WHERE platform = 'telegram'", "0");
	deliver_free(dl);
}

/* A refusal of a token that has been replaced says nothing of the new one. */
static void
a_late_refusal_does_not_stop_the_account(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);
	struct json_object *fresh = json_object_new_object();
	struct job *j;
	int64_t c;

	account(f, "facebook", "fb_page_token", "old");
	c = fixture_zalo(f, "hi", NULL);
	j = sent_job(f, dl, c);
	json_put_str(fresh, "fb_page_token", "new");
	assert_int_equal(
	    store_channel_set(f->st, f->zalo, NULL, fresh, NULL), STORE_DONE);
	json_object_put(fresh);
	answered(j, HTTP_ANSWERED, 400,
	    "{\"error\":{\"message\":\"expired\",\"code\":190}}");
	row(f, "state FROM channels WHERE platform = 'facebook'", "ok");
	row(f, "state FROM deliveries", "queued");

	j = job_new(dl, JOB_SEND, f->zalo);
	snprintf(j->by, sizeof j->by, "w");
	store_set_now(f->st, clock_now_ms() + 1);
	assert_int_equal(
	    store_delivery_claim(f->st, f->zalo, "w", 60000, &j->d),
	    STORE_DONE);
	assert_true(job_account(j));
	token_note(j);
	answered(j, HTTP_ANSWERED, 400,
	    "{\"error\":{\"message\":\"expired\",\"code\":190}}");
	row(f, "state FROM channels WHERE platform = 'facebook'", "reauth");
	row(f, "state FROM deliveries", "queued");
	deliver_free(dl);
}

/* The store was away for longer than the lease: what is known comes first. */
static void
what_is_known_is_not_called_unknown(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);
	struct job *j;

	account(f, "zalo", "zalo_oa_id", "7");
	j = sent_job(f, dl, fixture_zalo(f, "hi", NULL));
	assert_int_equal(
	    store_delivery_written(f->st, j->d.id, j->by, NULL), STORE_DONE);
	snprintf(j->state, sizeof j->state, "sent");
	snprintf(j->external_id, sizeof j->external_id, "out-1");
	j->ending = true; /* it could not be stored */
	store_set_now(f->st, clock_now_ms() + 120000);
	deliver_settle(dl);
	assert_int_equal(deliver_run(dl, 0), 0);
	row(f, "state || external_id FROM deliveries", "sentout-1");
	assert_int_equal(deliver_busy(dl), 0);
	deliver_free(dl);
}

/* One that lost its lease to another job of the same worker. */
static void
who_claims_twice_is_two(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);
	int64_t now = clock_now_ms() - 120000;
	struct job *j;
	char first[80] = "";

	account(f, "zalo", "zalo_oa_id", "7");
	store_set_now(f->st, now);
	fixture_say(
	    f, &f->agent, fixture_zalo(f, "hi", NULL), "hello", NULL, NULL);
	for (int i = 0; i < 2; i++) {
		assert_true(deliver_take(dl) > 0);
		for (j = dl->jobs; j != NULL && j->kind != JOB_SEND;)
			j = j->next;
		assert_non_null(j);
		assert_string_not_equal(first, j->by);
		if (i == 1)
			break;
		snprintf(first, sizeof first, "%s", j->by);
		store_set_now(f->st, now + 60001);
		deliver_settle(dl);
		dl->claim_at = 0;
	}
	/* The first must not send any more, nor say how it ended. */
	assert_int_equal(
	    store_delivery_written(f->st, j->d.id, first, NULL), STORE_NONE);
	assert_int_equal(
	    store_delivery_written(f->st, j->d.id, j->by, NULL), STORE_DONE);
	deliver_free(dl);
}

/* A file that a token's end keeps from us waits for the next token. */
static void
a_refused_token_stops_files_too(void **state)
{
	struct fixture *f = *state;
	struct deliver *dl = deliver_new(&cf, f->st);
	struct message m = { .incoming = true,
		.sender_kind = "customer",
		.kind = "image",
		.external_id = "pic" };
	struct http_answer an;
	struct job *j;
	int64_t at;

	account(f, "telegram", "telegram_bot_token", "1:a");
	m.conversation = fixture_zalo(f, "hi", NULL);
	m.sender_id = 1;
	m.channel = f->zalo;
	assert_int_equal(store_message_add(f->st, NULL, &m), STORE_DONE);
	fixture_sql(f, "INSERT INTO media_fetches (message_id, channel_id,"
		       " ref, due_at) SELECT id, channel_id, 'x', 1"
		       " FROM messages WHERE external_id = 'pic'");
	message_fini(&m);
	j = job_new(dl, JOB_FETCH, f->zalo);
	j->in.fd = j->in.dir = -1;
	assert_int_equal(
	    store_fetch_claim(f->st, dl->by, 1000, "", &j->f), STORE_DONE);
	assert_true(job_account(j));
	token_note(j);
	j->asks = true;
	j->f.tries = 5; /* the last that it has */
	http_answer_init(&an);
	an.end = HTTP_ANSWERED;
	an.status = 401;
	buf_puts(&an.body, "{\"ok\":false,\"error_code\":401,"
			   "\"description\":\"Unauthorized\"}");
	fetch_done(j, &an);
	http_answer_fini(&an);
	row(f, "state FROM channels WHERE platform = 'telegram'", "reauth");
	row(f, "lease_by IS NULL FROM media_fetches", "1");
	store_set_now(f->st, clock_now_ms() + 1000);
	assert_int_equal(store_fetch_due(f->st, &at), STORE_NONE);
	assert_int_equal(
	    store_channel_state(f->st, f->zalo, "ok", NULL), STORE_DONE);
	assert_int_equal(store_fetch_due(f->st, &at), STORE_DONE);
	deliver_free(dl);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		STORE_TEST(lost_tries_end_unknown),
		STORE_TEST(an_answer_that_says_nothing_is_a_doubt),
		STORE_TEST(a_refused_token_is_no_try),
		STORE_TEST(refused_tries_end_failed),
		STORE_TEST(only_that_answer_counts_for_once),
		STORE_TEST(no_account_waits_for_years),
		STORE_TEST(a_late_refusal_does_not_stop_the_account),
		STORE_TEST(what_is_known_is_not_called_unknown),
		STORE_TEST(who_claims_twice_is_two),
		STORE_TEST(a_refused_token_stops_files_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
