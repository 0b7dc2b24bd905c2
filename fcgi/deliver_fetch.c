/*
 * Customers' files: asked for where the adapter must ask, fetched where a URL
 * is given, streamed to the disk, looked at, stored.  Where a URL leads is
 * checked before and while it is connected to (fetch_url.h); what we are known
 * by goes only to the addresses that the account is set up with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "clock.h"
#include "deliver_job.h"
#include "deliver_plan.h"
#include "log.h"

#define LEASE_MORE_MS 60000 /* beyond what the requests may take */
#define OWN_FAULT_MS 60000  /* until we look again whether we can */

/* --- how it ends --------------------------------------------------------- */

void
fetch_end(struct job *j)
{
	media_drop(&j->in);
	fetch_fini(&j->f);
	j->dl->fetch_at = 0; /* there is room for another */
}

static void
give_up(struct job *j, const char *why)
{
	log_info("fetch failed message=%lld channel=%lld try=%lld why=%.80s",
	    (long long)j->f.message, (long long)j->channel,
	    (long long)j->f.tries, why);
	(void)store_fetch_failed(j->dl->st, j->f.message, j->dl->by);
	job_free(j);
}

void
fetch_again(struct job *j, int64_t wait_s)
{
	const struct conf *cf = j->dl->cf;
	int64_t ms = deliver_pause_ms(
	    j->f.tries, cf->backoff_percent, randombytes_random());

	if (j->f.tries >= cf->fetch_tries_max || ms == -1) {
		give_up(j, "tries");
		return;
	}
	if (wait_s > DELIVER_WAIT_S_MAX)
		wait_s = DELIVER_WAIT_S_MAX;
	if (ms < 1000 * wait_s)
		ms = 1000 * wait_s;
	(void)store_fetch_again(
	    j->dl->st, j->f.message, j->dl->by, clock_now_ms() + ms, true);
	job_free(j);
}

/* It is us who cannot take it just now: until we can. */
static void
fetch_wait(struct job *j)
{
	(void)store_fetch_again(j->dl->st, j->f.message, j->dl->by,
	    clock_now_ms() + OWN_FAULT_MS * j->dl->cf->backoff_percent / 100,
	    false);
	job_free(j);
}

void
fetch_held(struct job *j)
{
	(void)store_fetch_again(
	    j->dl->st, j->f.message, j->dl->by, clock_now_ms(), false);
	job_free(j);
}

/* --- requests ------------------------------------------------------------ */

static int
bytes_in(void *arg, const void *p, size_t n)
{
	struct job *j = arg;

	if (j->verdict == MEDIA_GOOD)
		j->verdict = media_write(&j->in, p, n);
	return j->verdict == MEDIA_GOOD ? 0 : -1;
}

/* Whether it is of an origin that the account is set up with. */
static bool
of_account(const struct job *j, const struct fetch_url *u)
{
	const struct channel *ch = j->ac.ch;
	struct fetch_url base;
	const char *name;
	size_t n;

	for (size_t i = 0; i < ch->nkeys; i++) {
		name = ch->keys[i].name;
		n = strlen(name);
		if (n > 5 && strcmp(name + n - 5, "_base") == 0 &&
		    fetch_url_read(channel_conf(&j->ac, name), &base) == 0 &&
		    fetch_url_same(&base, u))
			return true;
	}
	return false;
}

/* Begin ${rq}, whose answer is the file.  0, or -1: the job has ended. */
static int
into_file(struct job *j, struct http_request *rq)
{
	const struct conf *cf = j->dl->cf;
	bool known;

	if (rq->url.err || fetch_url_read(rq->url.data, &j->at) == -1) {
		give_up(j, "address");
		return -1;
	}
	known = !j->open && of_account(j, &j->at);
	if (!known && !fetch_url_good(cf, &j->at)) {
		give_up(j, "address not allowed");
		return -1;
	}
	media_drop(&j->in);
	j->verdict = media_begin(cf, &j->in);
	if (j->verdict != MEDIA_GOOD) {
		fetch_wait(j);
		return -1;
	}
	j->into = (struct http_file){ .bytes_max = cf->file_bytes_max,
		.total_ms = (long)cf->fetch_total_ms,
		.stall_s = (long)cf->fetch_stall_s,
		.take = bytes_in,
		.arg = j };
	rq->into = &j->into;
	if (!known)
		job_gate(j, rq);
	if (job_start(j, rq) == -1) {
		fetch_again(j, 0);
		return -1;
	}
	return 0;
}

/* Fetch what lies openly at ${url}. */
static void
fetch_open(struct job *j, const char *url)
{
	struct http_request rq;

	http_request_init(&rq, "GET");
	buf_puts(&rq.url, url);
	j->open = true;
	j->asks = false;
	(void)into_file(j, &rq);
	http_request_fini(&rq);
}

void
fetch_go(struct job *j)
{
	struct http_request rq;

	http_request_init(&rq, "GET");
	token_note(j);
	j->open = false;
	switch (j->ac.ch->media(&j->ac, &j->md, &rq)) {
	case 1:
		j->asks = true;
		if (rq.url.err || fetch_url_read(rq.url.data, &j->at) == -1 ||
		    !of_account(j, &j->at))
			give_up(j, "address not allowed");
		else if (job_start(j, &rq) == -1)
			fetch_again(j, 0);
		break;
	case 2:
		j->asks = false;
		(void)into_file(j, &rq);
		break;
	default:
		give_up(j, "no way to it");
		break;
	}
	http_request_fini(&rq);
}

/* --- answers ------------------------------------------------------------- */

/* All of it is here. */
static void
file_whole(struct job *j)
{
	const struct conf *cf = j->dl->cf;
	struct attachment a;
	int rc;

	j->verdict = media_check(&j->in);
	if (j->verdict == MEDIA_GOOD)
		j->verdict = media_keep(&j->in);
	if (j->verdict == MEDIA_FAILED || j->verdict == MEDIA_NO_SPACE) {
		fetch_wait(j);
		return;
	}
	if (j->verdict != MEDIA_GOOD) {
		give_up(j, "kind");
		return;
	}
	store_media_fill(&a, &j->in, j->f.name, strlen(j->f.name));
	rc = store_fetch_done(j->dl->st, j->f.message, j->dl->by, &a,
	    cf->customer_day_bytes_max, cf->media_bytes_max);
	if (rc != STORE_DONE)
		(void)media_remove(cf, a.path);
	if (rc == STORE_REFUSED) {
		give_up(j, "quota");
		return;
	}
	if (rc == STORE_DONE)
		log_info("fetch done message=%lld channel=%lld size=%lld",
		    (long long)j->f.message, (long long)j->channel,
		    (long long)a.size);
	/* Else the lease runs out, and it is tried again. */
	job_free(j);
}

static bool
is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 ||
	       status == 307 || status == 308;
}

/* Elsewhere: as an open address, without what we are known by. */
static void
redirected(struct job *j, const char *to)
{
	struct fetch_url u;

	if (j->redirects++ >= j->dl->cf->fetch_redirects_max ||
	    fetch_url_read(to, &u) == -1 || (j->at.https && !u.https)) {
		give_up(j, "redirect");
		return;
	}
	fetch_open(j, to);
}

/* What the adapter makes of an answer that is not the file. */
static void
answered(struct job *j, const struct http_answer *an)
{
	switch (j->ac.ch->media_answer(&j->ac, &j->md, an)) {
	case CHANNEL_MORE:
		j->md.step++;
		fetch_go(j);
		return;
	case CHANNEL_REAUTH:
		if (!j->refreshed && j->ac.ch->refresh != NULL) {
			token_wait(j);
			return;
		}
		/* Its next file, or message, would be refused as well. */
		if (j->asks) {
			if (token_same(j))
				token_refused(
				    j->dl, j->channel, "the token is refused");
			fetch_held(j);
			return;
		}
		/* fall through */
	case CHANNEL_RETRY:
	case CHANNEL_RETRY_BARE:
	case CHANNEL_UNKNOWN:
		fetch_again(j, an->retry_after_s);
		return;
	case CHANNEL_SENT:
	case CHANNEL_PERMANENT:
		break;
	}
	give_up(j, "refused");
}

void
fetch_done(struct job *j, const struct http_answer *an)
{
	if (an->barred || an->too_large || j->verdict == MEDIA_TOO_LARGE) {
		give_up(j, an->barred ? "address not allowed" : "size");
	} else if (j->verdict != MEDIA_GOOD) {
		fetch_wait(j);
	} else if (an->end == HTTP_ANSWERED && !j->asks && an->status == 200) {
		file_whole(j);
	} else if (an->end == HTTP_ANSWERED && !j->asks &&
		   is_redirect(an->status) && an->location != NULL) {
		redirected(j, an->location);
	} else if (!j->open) {
		answered(j, an);
	} else if (an->end != HTTP_ANSWERED || an->status >= 500 ||
		   an->status == 429 || an->status == 408) {
		fetch_again(j, an->retry_after_s);
	} else {
		give_up(j, "status");
	}
}

/* --- beginning ----------------------------------------------------------- */

static void
fetch_begin(struct job *j)
{
	struct fetch *f = &j->f;

	if (!job_account(j)) {
		give_up(j, "no channel");
		return;
	}
	if (f->url != NULL) {
		fetch_open(j, f->url);
		return;
	}
	if (j->ac.ch->media == NULL) {
		give_up(j, "no way to it");
		return;
	}
	j->md.conversation = f->conversation_external;
	j->md.message_id = f->message_external;
	j->md.kind = f->kind;
	j->md.ref = f->ref;
	if (token_stale(j))
		token_wait(j);
	else
		fetch_go(j);
}

/*
 * The conversations that have half of what may be under way: a host that gives
 * a byte now and then holds up its own customer's files, not everybody's.
 */
static void
busy_ones(const struct deliver *dl, struct buf *out)
{
	int64_t most = (dl->cf->fetches_max + 1) / 2, n;
	const struct job *j, *k;

	buf_reset(out);
	for (j = dl->jobs; j != NULL; j = j->next) {
		if (j->kind != JOB_FETCH)
			continue;
		n = 0;
		for (k = j; k != NULL; k = k->next)
			n += k->kind == JOB_FETCH &&
			     k->f.conversation == j->f.conversation;
		if (n == most)
			buf_printf(out, ",%lld,", (long long)j->f.conversation);
	}
}

size_t
fetch_take(struct deliver *dl)
{
	const struct conf *cf = dl->cf;
	int64_t lease_ms =
	    cf->fetch_total_ms * (cf->fetch_redirects_max + 2) + LEASE_MORE_MS;
	int64_t now = clock_mono_ms(), under_way = 0;
	size_t begun = 0;
	struct job *j;
	struct buf busy;

	if (now < dl->fetch_at)
		return 0;
	for (j = dl->jobs; j != NULL; j = j->next)
		under_way += j->kind == JOB_FETCH;
	buf_init(&busy, 4096);
	for (; under_way < cf->fetches_max; under_way++) {
		busy_ones(dl, &busy);
		if ((j = job_new(dl, JOB_FETCH, 0)) == NULL)
			break;
		j->in.fd = j->in.dir = -1;
		if (store_fetch_claim(dl->st, dl->by, lease_ms,
			busy.len > 0 ? busy.data : "", &j->f) != STORE_DONE) {
			job_free(j);
			dl->fetch_at = now + cf->worker_poll_ms;
			break;
		}
		j->channel = j->f.channel;
		begun++;
		fetch_begin(j);
	}
	buf_fini(&busy);
	return begun;
}
