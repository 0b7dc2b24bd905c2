/*
 * webhook.fcgi: what platforms post.  Proof over the raw bytes first, then one
 * transaction that keeps them, then the answer; and only then what they mean
 * (inbound.c).  Nothing here waits for a network: media and names are fetched
 * by the worker.
 */
#include <string.h>

#include "channel.h"
#include "clock.h"
#include "id.h"
#include "inbound.h"
#include "log.h"
#include "rate.h"
#include "serve.h"
#include "store_channel.h"
#include "store_channel_health.h"
#include "store_echo.h"
#include "store_webhook.h"

#define WEBHOOK_BODY_MAX (16u << 20) /* the setting's ceiling */
#define NOTES 16                     /* channels whose refusals are counted */
#define TAIL_EVERY_MS 100            /* although others wait */
#define TAIL_MS_MAX 1000             /* a front end may end us after three */

/*
 * The account that the address names: by our channel id, or by the account's
 * key over there.  1, 0, -1; channel_row_fini after 1.
 */
static int
account_find(
    struct req *rq, struct channel_row *row, struct channel_account *ac)
{
	const char *platform = rq->arg[0];
	int64_t id = rq->id[1];
	int rc = STORE_NONE;

	memset(row, 0, sizeof(*row));
	if ((ac->ch = channel_find(platform)) == NULL)
		return 0;
	if (id > 0) {
		rc = store_channel_get(rq->st, id, row);
		if (rc == STORE_DONE && strcmp(row->platform, platform) != 0) {
			channel_row_fini(row);
			rc = STORE_NONE;
		}
	}
	if (rc == STORE_NONE) {
		rc = store_echo_channel(rq->st, platform, rq->arg[1], &id);
		if (rc == STORE_DONE)
			rc = store_channel_get(rq->st, id, row);
	}
	if (rc != STORE_DONE)
		return rc == STORE_FAILED ? -1 : 0;
	if (strcmp(row->state, "off") == 0) {
		channel_row_fini(row);
		return 0;
	}
	ac->id = row->id;
	ac->config = row->all;
	return 1;
}

static const char *
header_of(void *arg, const char *name)
{
	return req_header(arg, name);
}

/* Note for the channel's health that one was not taken. */
static void
note_refused(struct req *rq, int64_t id, const char *why)
{
	static struct {
		int64_t id, n; /* not written yet */
	} kept[NOTES];
	size_t i = (size_t)id % NOTES;

	if (kept[i].id != id) {
		kept[i].id = id;
		kept[i].n = 0;
	}
	kept[i].n++;
	if (store_channel_refused(rq->st, id, kept[i].n, why) == STORE_DONE)
		kept[i].n = 0;
}

/*
 * Refuse what proves nothing, and say so in the log; past the limit of the
 * address with 429 and in silence.  This comes after the look at the proof,
 * never instead: what is well signed is taken however many forgeries its
 * address sent, since a platform may not send it again, and a wrong secret,
 * once mended, must not go on costing messages.
 */
static int
refused(struct req *rq, struct rsp *rs, const struct channel_account *ac,
    int status, const char *code)
{
	int64_t wait_s = rate_take(rq, RATE_WEBHOOK_FAILURE, 0);

	if (wait_s > 0)
		return rsp_retry(rs, 429, "rate_limited", wait_s);
	log_warn("webhook refused status=%d platform=%.32s channel=%lld",
	    status, rq->arg[0], (long long)rq->id[1]);
	if (ac != NULL && status != 405)
		note_refused(rq, ac->id, code);
	return rsp_error(rs, status, code, NULL);
}

/*
 * GET /webhooks/:platform/:channel
 * The platform's handshake: 200 with what it wants to read back.
 * 404 no such channel; 403 wrong token; 405 the platform has no handshake;
 * 429 too many of these
 */
static int
webhook_get(struct req *rq, struct rsp *rs)
{
	struct channel_account ac;
	struct channel_row row;
	struct buf out;
	int status;

	switch (account_find(rq, &row, &ac)) {
	case 0:
		return refused(rq, rs, NULL, 404, "not_found");
	case -1:
		return rsp_error(rs, 503, "busy", NULL);
	default:
		break;
	}
	buf_init(&out, 512);
	status = ac.ch->handshake(&ac, rq->query, &out);
	if (status == 405)
		rsp_header(rs, "Allow", "%s", ac.ch->methods);
	if (status == 200)
		rsp_text(rs, 200, out.len > 0 && !out.err ? out.data : "");
	else
		status = refused(rq, rs, &ac, status,
		    status == 405 ? "method_not_allowed" : "forbidden");
	buf_fini(&out);
	channel_row_fini(&row);
	return status;
}

/* Nothing was stored: the platform shall send it again. */
static int
not_stored(struct req *rq, struct rsp *rs)
{
	return rsp_error(rs, 503,
	    store_trouble(rq->st) == STORE_NO_SPACE ? "no_space" : "busy",
	    NULL);
}

/* 200 in the platform's own words. */
static int
accepted(struct rsp *rs, const struct channel *ch, bool again)
{
	const char *body = again ? ch->ok_again : ch->ok;

	if (body == NULL)
		return rsp_text(rs, 200, "");
	return rsp_raw(rs, 200, "application/json", body, strlen(body));
}

/* Who sent it holds the secret: a fault to look at. */
static int
malformed(struct req *rq, struct rsp *rs, const struct channel_account *ac,
    int status, const char *field)
{
	const char *code = status == 400 ? "bad_json" : "invalid";

	note_refused(rq, ac->id, code);
	return rsp_error(rs, status, code, field);
}

/*
 * One application has one address, whichever of its accounts something is of:
 * keep the body for another of them, too, where that one's own secret proves
 * it.  NONE: there is no such account here.
 */
static int
astray_keep(struct req *rq, const struct channel *ch,
    const struct channel_hook *hook, const char *account)
{
	struct channel_account ac = { .ch = ch };
	struct channel_row row;
	int64_t id;
	int rc;

	memset(&row, 0, sizeof(row));
	rc = store_echo_channel(rq->st, ch->platform, account, &ac.id);
	if (rc != STORE_DONE ||
	    (rc = store_channel_get(rq->st, ac.id, &row)) != STORE_DONE)
		return rc;
	ac.config = row.all;
	if (strcmp(row.state, "off") == 0 ||
	    ch->verify(&ac, hook) != CHANNEL_GOOD)
		rc = STORE_NONE;
	else
		rc = store_webhook_add(
		    rq->st, ac.id, hook->body, hook->len, &id);
	channel_row_fini(&row);
	return rc;
}

/* In one commit for all accounts that it is of.  REPEATED: all had it. */
static int
body_keep(struct req *rq, const struct channel_account *ac,
    const struct channel_hook *hook, const struct channel_batch *batch)
{
	int64_t id;
	int rc, one;

	if (store_begin(rq->st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_webhook_add(rq->st, ac->id, hook->body, hook->len, &id);
	for (size_t i = 0; i < batch->nastray && rc != STORE_FAILED; i++) {
		one = astray_keep(rq, ac->ch, hook, batch->astray[i]);
		if (one == STORE_FAILED || one == STORE_DONE)
			rc = one;
	}
	return store_end(rq->st, rc);
}

/* A proven body: look whether it can be read, keep it, answer. */
static int
webhook_keep(struct req *rq, struct rsp *rs, const struct channel_account *ac,
    const struct channel_hook *hook)
{
	struct channel_batch batch;
	int64_t wait_s;
	int rc = STORE_NONE, status;

	if ((wait_s = rate_take(rq, RATE_WEBHOOK, ac->id)) > 0)
		return rsp_retry(rs, 503, "busy", wait_s);
	channel_batch_init(&batch);
	batch.max = (size_t)rq->cf->webhook_entries_max * CHANNEL_ENTRY_ITEMS;
	if ((status = ac->ch->parse(ac, hook, &batch)) == 0)
		rc = body_keep(rq, ac, hook, &batch);
	else
		log_warn("webhook malformed platform=%s channel=%lld",
		    ac->ch->platform, (long long)ac->id);
	if (status == 0)
		status = rc == STORE_FAILED
			     ? not_stored(rq, rs)
			     : accepted(rs, ac->ch, rc == STORE_REPEATED);
	else
		status = malformed(rq, rs, ac, status, batch.field);
	channel_batch_fini(&batch);
	return status;
}

/*
 * POST /webhooks/:platform/:channel    whatever the platform sends
 * 200 stored, or known, or not for us; 400 not JSON; 401 not proven;
 * 404 no such channel; 413 too large; 415 not JSON where the platform must
 * say so; 429 too many that were not proven; 503 not stored: send it again
 */
static int
webhook_post(struct req *rq, struct rsp *rs)
{
	struct channel_hook hook = { .body = rq->body,
		.len = rq->body_len,
		.now_ms = rq->now_ms,
		.header = header_of,
		.arg = rq };
	struct channel_account ac;
	struct channel_row row;
	int status;

	/* Those behind it would wait in vain too: all are told at once. */
	if (rq->behind_ms >= rq->cf->webhook_wait_ms_max)
		return rsp_error(rs, 503, "busy", NULL);
	store_set_wait(rq->st, rq->cf->webhook_wait_ms_max - rq->behind_ms);
	switch (account_find(rq, &row, &ac)) {
	case 0:
		return refused(rq, rs, NULL, 404, "not_found");
	case -1:
		return not_stored(rq, rs);
	default:
		break;
	}
	if (ac.ch->json_only && !req_has_type(rq, "application/json"))
		status = refused(rq, rs, &ac, 415, "bad_media_type");
	else if ((int64_t)rq->body_len > rq->cf->webhook_bytes_max)
		status = rsp_error(rs, 413, "too_large", NULL);
	else if (ac.ch->verify(&ac, &hook) != CHANNEL_GOOD)
		status = refused(rq, rs, &ac, 401, "bad_signature");
	else
		status = webhook_keep(rq, rs, &ac, &hook);
	channel_row_fini(&row);
	return status;
}

/* clang-format off */
static const struct route routes[] = {
	{ "GET",  "/webhooks/:platform/:channel", WHO_ANY, 0,                webhook_get,  ROUTE_OPEN | ROUTE_PROVEN },
	{ "POST", "/webhooks/:platform/:channel", WHO_ANY, WEBHOOK_BODY_MAX, webhook_post, ROUTE_RAW | ROUTE_OPEN | ROUTE_PROVEN },
};
/* clang-format on */

/*
 * What was stored is thought about at once: it costs nobody but this process.
 * While the next one waits already that one comes first, for a little.
 */
static void
webhook_tail(const struct conf *cf, struct store *st)
{
	static int64_t ran_at;
	int64_t now = clock_mono_ms();

	if (st == NULL || (serve_waiting() && now - ran_at < TAIL_EVERY_MS))
		return;
	while (inbound_run(cf, st, 0) == STORE_DONE && !serve_waiting())
		if (clock_mono_ms() - now > TAIL_MS_MAX)
			break;
	ran_at = clock_mono_ms();
}

int
main(int argc, char **argv)
{
	serve_tail = webhook_tail;
	return serve(argc, argv, routes, sizeof(routes) / sizeof(routes[0]));
}
