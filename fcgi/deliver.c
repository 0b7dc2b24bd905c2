/*
 * Sending to platforms.  A delivery is claimed under a lease, marked as
 * written before its first byte leaves, and ended by one transaction after the
 * answer.  So whatever is killed, a message that may have left is never sent
 * again.  What an answer means is the adapter's business.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "channel.h"
#include "clock.h"
#include "deliver.h"
#include "echo.h"
#include "http_client.h"
#include "inbound.h"
#include "json.h"
#include "log.h"
#include "store_channel.h"
#include "store_customer.h"
#include "store_delivery.h"
#include "store_echo.h"
#include "store_event.h"

#define TRIES_MAX 5
#define CLAIM_PAUSE_MS 1000   /* something is due, but blocked */
#define PROFILES_AT_ONCE 4
#define PROFILE_PAUSE_MS 60000 /* after a failure that may pass */
#define PROFILE_POLL_MS 1000
#define TOKEN_WAIT_MS 60000   /* for somebody else's refresh */
#define TOKEN_EARLY_MS 60000  /* renew before the token ends */
#define PENDING_WAIT_MS 50

enum job_kind { JOB_SEND, JOB_PROFILE, JOB_REFRESH };

/* One thing under way. */
struct job {
	struct job *next;
	struct deliver *dl;
	enum job_kind kind;
	bool going;     /* the HTTP client has it */
	bool waiting;   /* for a new token */
	bool refreshed; /* has had its new token: the next refusal counts */
	unsigned turn;  /* of deliver_run that looked at it last */
	int64_t since;  /* waiting since then, monotonic ms */
	int64_t channel;
	struct channel_row row;
	struct channel_account ac;
	char *token; /* the one the last request carried */

	/* JOB_SEND */
	struct delivery d;
	struct channel_out out;
	char *text; /* of this part */
	bool visible, bared, paid;
	bool ending; /* the outcome is known but not yet stored */
	char state[12], external_id[256], error[400];
	int64_t due_at, wait_until;

	/* JOB_PROFILE */
	int64_t customer;
	char external[256];

	/* JOB_REFRESH: the new settings, until they are stored */
	struct json_object *fresh;
};

struct deliver {
	const struct conf *cf;
	struct store *st;
	struct http_client *http;
	char by[64]; /* our name in leases */
	struct job *jobs;
	size_t n;
	unsigned turn;
	int64_t claim_at, profile_at; /* not before, monotonic ms */
};

static void job_answered(void *arg, struct http_answer *an);
static int job_before(void *arg);
static void send_go(struct job *j);
static void profile_go(struct job *j);

static const struct http_calls job_calls = { job_before, job_answered };

/* --- jobs ---------------------------------------------------------------------- */

struct deliver *
deliver_new(const struct conf *cf, struct store *st)
{
	struct http_limits limits = { .connect_ms = (long)cf->platform_connect_ms,
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

static struct job *
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

static void
job_free(struct job *j)
{
	struct job **p = &j->dl->jobs;

	assert(!j->going);
	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	j->dl->n--;
	channel_row_fini(&j->row);
	delivery_fini(&j->d);
	json_object_put(j->fresh);
	free(j->token);
	free(j->text);
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
	free(dl);
}

size_t
deliver_busy(const struct deliver *dl)
{
	return dl->n;
}

/* Read the account again; false when it is gone or has no adapter. */
static bool
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

static const char *
token_now(const struct job *j)
{
	return j->ac.ch->token_key != NULL
	    ? channel_conf(&j->ac, j->ac.ch->token_key)
	    : "";
}

static void
token_note(struct job *j)
{
	free(j->token);
	j->token = strdup(token_now(j));
}

/* Whether the token is known to end soon, and there is a way to another. */
static bool
token_stale(const struct job *j)
{
	struct http_request rq;
	int64_t at;
	bool can;

	if (j->ac.ch->expires_key == NULL || j->refreshed)
		return false;
	at = channel_conf_int(&j->ac, j->ac.ch->expires_key, 0, INT64_MAX);
	if (at == 0 || at > clock_now_ms() + TOKEN_EARLY_MS)
		return false;
	http_request_init(&rq, "POST");
	can = j->ac.ch->refresh != NULL && j->ac.ch->refresh(&j->ac, &rq) == 1;
	http_request_fini(&rq);
	return can;
}

static void
token_wait(struct job *j)
{
	j->waiting = true;
	j->since = clock_mono_ms();
}

/* --- how a delivery ends --------------------------------------------------------- */

/* Store the outcome; when the store cannot just now, keep it for later. */
static void
end_store(struct job *j)
{
	struct store *st = j->dl->st;
	struct delivery_end e = { .state = j->state,
		.external_id = j->external_id[0] != '\0' ? j->external_id : NULL,
		.error = j->error[0] != '\0' ? j->error : NULL,
		.due_at = j->due_at, .wait_until = j->wait_until };
	int rc = store_delivery_end(st, j->d.id, j->dl->by, &e);

	if (rc == STORE_FAILED) {
		j->ending = true;
		return;
	}
	if (rc == STORE_NONE)
		log_info("delivery settled elsewhere id=%lld",
		    (long long)j->d.id);
	else if (j->external_id[0] != '\0')
		inbound_receipts(st, j->channel, j->external_id);
	job_free(j);
}

static void
end_as(struct job *j, const char *state, const char *error)
{
	snprintf(j->state, sizeof(j->state), "%s", state);
	snprintf(j->error, sizeof(j->error), "%s", error);
	log_info("delivery %s id=%lld channel=%lld try=%lld", state,
	    (long long)j->d.id, (long long)j->channel, (long long)j->d.tries);
	end_store(j);
}

/* The pause before the next try, somewhat spread. */
static int64_t
backoff_ms(const struct job *j)
{
	static const int64_t pause_ms[TRIES_MAX] = { 1000, 5000, 30000, 120000,
		600000 };
	int64_t i = j->d.tries < 1 ? 0 : j->d.tries - 1;
	int64_t ms = pause_ms[i < TRIES_MAX ? i : TRIES_MAX - 1];

	ms = ms * j->dl->cf->backoff_percent / 100;
	return ms + (int64_t)randombytes_uniform((uint32_t)(ms / 4) + 1);
}

/* Again later, as long as there are tries left. */
static void
end_retry(struct job *j, int64_t wait_s, const char *reason, const char *words)
{
	int64_t ms = backoff_ms(j);
	char error[400];

	snprintf(error, sizeof(error), "%s%s%s", reason,
	    *reason != '\0' && *words != '\0' ? ": " : "", words);
	if (j->d.tries >= TRIES_MAX) {
		end_as(j, "failed", error);
		return;
	}
	if (ms < 1000 * wait_s)
		ms = 1000 * wait_s;
	j->due_at = clock_now_ms() + ms;
	end_as(j, "queued", "");
}

/* Back into the queue as it was: the account must be mended first. */
static void
end_held(struct job *j)
{
	j->due_at = clock_now_ms();
	end_as(j, "queued", "");
}

/* It left, and nobody knows what became of it. */
static void
end_unknown(struct job *j, const char *words)
{
	char error[400];

	if (j->out.text != NULL &&
	    store_echo_row(j->dl->st, j->d.id, j->out.text,
	    strlen(j->out.text), j->external_id,
	    sizeof(j->external_id)) == STORE_DONE) {
		end_as(j, "sent", "");
		return;
	}
	j->external_id[0] = '\0';
	j->wait_until = clock_now_ms() + 1000 * j->dl->cf->echo_wait_s;
	snprintf(error, sizeof(error), "no answer%s%s",
	    *words != '\0' ? ": " : "", words);
	end_as(j, "unknown", error);
}

/* Tell the agents, once, that an admin must act; the account's queue stops. */
static void
account_refused(struct deliver *dl, int64_t channel, const char *why)
{
	static const char *const rooms[] = { "inbox" };
	struct json_object *data;
	struct channel_row row;
	char text[1200];
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
		snprintf(text, sizeof(text), "%s: %s", row.name, why);
		data = json_object_new_object();
		json_put_str(data, "level", "error");
		json_put_str(data, "message", text);
		json_put_str(data, "action", "reauth");
		json_put_id(data, "channel_id", channel);
		rc = store_event_send(dl->st, "system_notification", data,
		    NULL, rooms, 1, NULL);
		json_object_put(data);
	}
	channel_row_fini(&row);
	store_end(dl->st, rc);
}

/* --- sending ----------------------------------------------------------------------- */

static int
text_parts(const char *text, size_t units)
{
	const char *p;
	size_t len;
	int n = 0;

	while (channel_part(text, units, n, &p, &len))
		n++;
	return n;
}

static const char *
member_text(struct json_object *o, const char *key)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 ? p : NULL;
}

/* Where the platform may fetch an attachment; new, or NULL. */
static char *
public_url(const struct conf *cf, const char *url)
{
	struct buf b;
	char *copy = NULL;

	if (url == NULL)
		return NULL;
	buf_init(&b, 8192);
	if (url[0] == '/' && cf->base_url[0] != '\0')
		buf_printf(&b, "%s%s%s", cf->base_url, cf->base_path, url);
	else if (strncmp(url, "https://", 8) == 0)
		buf_puts(&b, url);
	if (b.len > 0 && !b.err)
		copy = strdup(b.data);
	buf_fini(&b);
	return copy;
}

/*
 * Fill j->out with the part that this delivery is: texts first, then the
 * attachments one by one.  How many parts the message has; 0 when this one is
 * none of them.
 */
static int
part_fill(struct job *j)
{
	struct delivery *d = &j->d;
	struct channel_out *out = &j->out;
	size_t units = j->ac.ch->text_max(&j->ac), len;
	const char *content = d->content != NULL ? d->content : "", *p, *mime;
	int texts = text_parts(content, units), files = 0;
	struct json_object *at;

	if (d->attachments != NULL)
		files = (int)json_object_array_length(d->attachments);
	out->number = d->id;
	out->uuid = d->uuid;
	out->conversation = d->conversation_external;
	out->user = d->customer_external[0] != '\0' ? d->customer_external
						    : NULL;
	out->quote = d->part == 0 && d->quote_external[0] != '\0'
	    ? d->quote_external : NULL;
	out->last_inbound_at = d->last_inbound_at;
	if (channel_part(content, units, d->part, &p, &len)) {
		out->kind = "text";
		if ((j->text = strndup(p, len)) == NULL)
			return 0;
		out->text = j->text;
	} else if (d->part >= texts && d->part < texts + files) {
		at = json_object_array_get_idx(
		    d->attachments, (size_t)(d->part - texts));
		mime = member_text(at, "mime");
		out->kind = mime != NULL && strncmp(mime, "image/", 6) == 0
		    ? "image" : "file";
		out->mime = mime;
		out->media_name = member_text(at, "name");
		j->text = public_url(j->dl->cf, member_text(at, "url"));
		out->media_url = j->text;
	} else {
		return 0;
	}
	return texts + files;
}

/* Start the request of the step that j->out is at. */
static void
send_go(struct job *j)
{
	struct http_request rq;
	int rc;

	http_request_init(&rq, "POST");
	token_note(j);
	rc = j->ac.ch->send(&j->ac, &j->out, &rq);
	j->visible = rc == 0;
	if (rc == -1) {
		end_as(j, "failed", "unsupported");
	} else if (http_client_start(j->dl->http, &rq, &job_calls, j) == -1) {
		end_retry(j, 0, "", "not begun");
	} else {
		j->going = true;
	}
	http_request_fini(&rq);
}

/* Just before the first byte: from here it may have been sent. */
static int
job_before(void *arg)
{
	struct job *j = arg;

	if (j->kind != JOB_SEND || !j->visible)
		return 0;
	return store_delivery_written(j->dl->st, j->d.id, j->dl->by) ==
	    STORE_DONE ? 0 : -1;
}

static void
send_done(struct job *j, const struct http_answer *an)
{
	struct channel_result rs;
	char error[400];

	j->ac.ch->answer(&j->ac, &j->out, an, &rs);
	if (rs.cls == CHANNEL_UNKNOWN && j->ac.ch->keyed)
		rs.cls = CHANNEL_RETRY;
	if (rs.cls != CHANNEL_SENT && rs.cls != CHANNEL_MORE)
		log_info("delivery answer id=%lld code=%s reason=%s",
		    (long long)j->d.id, rs.code, rs.reason);
	switch (rs.cls) {
	case CHANNEL_SENT:
		snprintf(j->external_id, sizeof(j->external_id), "%s",
		    rs.message_id);
		end_as(j, "sent", j->paid ? "window_paid" : "");
		return;
	case CHANNEL_MORE:
		j->out.step++;
		send_go(j);
		return;
	case CHANNEL_RETRY_BARE:
		if (!j->bared) {
			j->bared = true;
			j->out.quote = NULL;
			send_go(j);
			return;
		}
		break;
	case CHANNEL_RETRY:
		if (rs.hold)
			store_delivery_hold(j->dl->st, j->channel,
			    clock_now_ms() + 1000 * rs.wait_s);
		end_retry(j, rs.wait_s, rs.reason, rs.message);
		return;
	case CHANNEL_REAUTH:
		if (rs.refreshable && !j->refreshed) {
			token_wait(j);
			return;
		}
		account_refused(j->dl, j->channel, rs.message);
		end_held(j);
		return;
	case CHANNEL_UNKNOWN:
		end_unknown(j, rs.message);
		return;
	case CHANNEL_PERMANENT:
		break;
	}
	snprintf(error, sizeof(error), "%s%s%s", rs.reason,
	    rs.message[0] != '\0' ? ": " : "", rs.message);
	end_as(j, "failed", error);
}

/* Begin a claimed delivery. */
static void
send_begin(struct job *j)
{
	struct delivery *d = &j->d;
	int n;

	if (!job_account(j)) {
		end_as(j, "failed", "unsupported");
		return;
	}
	switch (j->ac.ch->window(
	    &j->ac, d->last_inbound_at, d->sent_since, clock_now_ms())) {
	case CHANNEL_WINDOW_CLOSED:
		end_as(j, "failed", "window_closed");
		return;
	case CHANNEL_WINDOW_PAID:
		j->paid = true;
		break;
	case CHANNEL_WINDOW_OPEN:
		break;
	}
	if ((n = part_fill(j)) == 0) {
		end_as(j, "failed", "empty");
		return;
	}
	if (d->part == 0 && n > 1 &&
	    store_delivery_parts(j->dl->st, d->id, n) == STORE_FAILED) {
		end_held(j);
		return;
	}
	if (token_stale(j))
		token_wait(j);
	else
		send_go(j);
}

/* --- profiles ------------------------------------------------------------------------ */

static void
profile_go(struct job *j)
{
	struct http_request rq;

	http_request_init(&rq, "GET");
	token_note(j);
	if (j->ac.ch->profile(&j->ac, j->external, &rq) == 1 &&
	    http_client_start(j->dl->http, &rq, &job_calls, j) == 0) {
		j->going = true;
	} else {
		store_customer_profiled(j->dl->st, j->customer, NULL, NULL);
		job_free(j);
	}
	http_request_fini(&rq);
}

static void
profile_done(struct job *j, const struct http_answer *an)
{
	struct channel_profile pf;
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
		j->dl->profile_at = clock_mono_ms() + PROFILE_PAUSE_MS;
		break;
	}
	job_free(j);
}

/* Look up new customers of one platform. */
static size_t
profiles_take(struct deliver *dl, const struct channel *ch)
{
	struct json_object *list = NULL, *o;
	const char *external;
	size_t n = 0;
	struct job *j;
	int64_t customer, channel;

	if (ch->profile == NULL ||
	    store_customers_bare(dl->st, ch->platform, PROFILES_AT_ONCE,
	    &list) != STORE_DONE)
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
		if (!job_account(j) || strcmp(j->row.state, "ok") != 0) {
			job_free(j);
			continue;
		}
		n++;
		profile_go(j);
	}
out:
	json_object_put(list);
	return n;
}

/* --- tokens -------------------------------------------------------------------------- */

/* Resume a job that waited, with whatever token is there now. */
static void
token_resume(struct job *j)
{
	j->waiting = false;
	j->refreshed = true;
	if (j->kind == JOB_SEND)
		send_go(j);
	else
		profile_go(j);
}

/* No token came: the job's end; ${refused}: an admin must act. */
static void
token_missed(struct job *j, bool refused)
{
	j->waiting = false;
	if (j->kind != JOB_SEND) {
		j->dl->profile_at = clock_mono_ms() + PROFILE_PAUSE_MS;
		job_free(j);
	} else if (refused) {
		end_held(j);
	} else {
		end_retry(j, 0, "token", "no new token");
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
static void
refresh_store(struct job *r)
{
	int rc = store_lease_token(
	    r->dl->st, r->channel, r->dl->by, r->fresh);

	if (rc == STORE_FAILED) {
		r->ending = true;
		return;
	}
	if (rc == STORE_NONE) {
		/* The lease ran out, yet this is the only pair that works. */
		log_warn("token lease lost channel=%lld", (long long)r->channel);
		rc = store_channel_set(
		    r->dl->st, r->channel, NULL, NULL, r->fresh);
		if (rc == STORE_FAILED) {
			r->ending = true;
			return;
		}
	}
	log_info("token refreshed channel=%lld", (long long)r->channel);
	job_free(r);
}

static void
refresh_done(struct job *r, const struct http_answer *an)
{
	struct deliver *dl = r->dl;
	bool refused = an->end == HTTP_ANSWERED && an->status < 500 &&
	    an->status != 429;
	struct job *j;

	r->fresh = r->ac.ch->refreshed(&r->ac, an, clock_now_ms());
	if (r->fresh != NULL) {
		refresh_store(r);
		return;
	}
	if (refused)
		account_refused(dl, r->channel, "the refresh token is refused");
	else
		log_warn("token not refreshed channel=%lld",
		    (long long)r->channel);
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
	} else if (strcmp(token_now(r), j->token != NULL ? j->token
	    : token_now(r)) != 0) {
		rc = 2; /* somebody was faster */
	} else if (r->ac.ch->refresh == NULL ||
	    r->ac.ch->refresh(&r->ac, &rq) != 1) {
		rc = 3;
	} else if (http_client_start(dl->http, &rq, &job_calls, r) == 0) {
		r->going = true;
		rc = 1;
	}
	http_request_fini(&rq);
	if (rc == 1)
		return;
	store_lease_drop(dl->st, j->channel, dl->by);
	if (rc == 3) {
		account_refused(dl, j->channel, "there is no refresh token");
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
static void
token_look(struct job *j)
{
	struct deliver *dl = j->dl;
	int64_t until = clock_now_ms() + 2 * dl->cf->platform_total_ms;
	int rc;

	if (!job_account(j) || strcmp(j->row.state, "ok") != 0) {
		token_missed(j, true);
	} else if (j->token != NULL && strcmp(j->token, token_now(j)) != 0) {
		token_resume(j);
	} else if (j->token == NULL && !token_stale(j)) {
		token_resume(j);
	} else if (clock_mono_ms() - j->since > TOKEN_WAIT_MS) {
		token_missed(j, false);
	} else if (!refresh_under_way(dl, j->channel)) {
		rc = store_lease_take(dl->st, j->channel, dl->by, until);
		if (rc == STORE_DONE)
			refresh_begin(j);
	}
}

/* --- the loop's parts ------------------------------------------------------------------- */

static void
job_answered(void *arg, struct http_answer *an)
{
	struct job *j = arg;

	j->going = false;
	switch (j->kind) {
	case JOB_SEND:
		send_done(j, an);
		return;
	case JOB_PROFILE:
		profile_done(j, an);
		return;
	case JOB_REFRESH:
		refresh_done(j, an);
		return;
	}
}

size_t
deliver_take(struct deliver *dl)
{
	int64_t now = clock_mono_ms(), at;
	size_t begun = 0;
	struct job *j;
	int rc;

	while (dl->n < (size_t)dl->cf->worker_jobs_max && now >= dl->claim_at &&
	    store_delivery_due(dl->st, &at) == STORE_DONE &&
	    at <= clock_now_ms()) {
		if ((j = job_new(dl, JOB_SEND, 0)) == NULL)
			break;
		rc = store_delivery_claim(
		    dl->st, dl->by, dl->cf->delivery_lease_ms, &j->d);
		if (rc != STORE_DONE) {
			job_free(j);
			dl->claim_at = now + CLAIM_PAUSE_MS;
			break;
		}
		j->channel = j->d.channel;
		begun++;
		send_begin(j);
	}
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
			refresh_store(j);
		else
			end_store(j);
	}
	return http_client_run(dl->http, wait_ms);
}

void
deliver_settle(struct deliver *dl)
{
	int64_t n = 0;

	if (echo_settle(dl->st) == STORE_FAILED)
		return;
	if (store_delivery_expired(dl->st, &n) == STORE_DONE && n > 0)
		log_warn("deliveries lapsed n=%lld", (long long)n);
}

void
deliver_stop(struct deliver *dl)
{
	struct job *j = dl->jobs;

	while (j != NULL) {
		if (j->waiting) {
			token_missed(j, true);
			j = dl->jobs;
		} else {
			j = j->next;
		}
	}
}
