/*
 * Outgoing webhooks, the worker's side.  An event is claimed under a lease,
 * posted, and ended by a transaction after the answer: killed in between, it
 * is posted again under the same id.  What is kept is store_hook.c's business,
 * where one may connect to fetch_url.c's.
 */
#include "hook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "clock.h"
#include "deliver_pace.h"
#include "fetch_url.h"
#include "json.h"
#include "log.h"
#include "token.h"
#include "utf8.h"

#define HOOKS_AT_ONCE 100 /* webhooks looked at in one turn */
#define SENDS_MAX 128     /* under way in all */
#define CLAIM_MAX 8       /* of one webhook in one transaction */
#define RECEIVERS_MAX 256 /* remembered; then all are met anew */
#define FAN_EVENTS 200    /* looked at in one transaction */
#define FAN_ROUNDS 50     /* of these in one turn */
#define FAILURES_MANY 10  /* in a row: only one is tried at a time */
#define HOLD_MS_MAX 3600000
#define LEASE_MORE_MS 10000 /* beyond what a request may take */
#define KEPT_BYTES_MAX ((size_t)4 * HOOK_ANSWER_CHARS_MAX)

/* Who is asked: a host and a port, whichever webhooks lead there. */
struct receiver {
	char host[256];
	int port;
	struct pace pace;
};

/* One request under way. */
struct post {
	struct post *next;
	struct hooks *hk;
	struct hook_send s;
	struct http_file into;
	struct buf answer;      /* its first bytes */
	int64_t failures;       /* of the webhook, before this one */
	int64_t began, lost_at; /* monotonic ms; the lease's end */
	bool ending;            /* the outcome is known but not yet stored */
	struct hook_end end;
	char detail[96], text[KEPT_BYTES_MAX + 1];
};

struct hooks {
	const struct conf *cf;
	struct store *st;
	struct http_client *http;
	char by[64];
	struct post *posts;
	size_t n;
	struct hook_due due[HOOKS_AT_ONCE];
	struct receiver receivers[RECEIVERS_MAX];
	size_t nreceivers;
	bool held_back; /* a pace lets nothing begin just now */
	unsigned turn;
	int64_t fan_at; /* not before, monotonic ms */
};

struct hooks *
hooks_new(const struct conf *cf, struct store *st, struct http_client *http)
{
	struct hooks *hk = calloc(1, sizeof(*hk));

	if (hk == NULL) {
		log_error("hooks: no memory");
		return NULL;
	}
	hk->cf = cf;
	hk->st = st;
	hk->http = http;
	snprintf(hk->by, sizeof(hk->by), "hooks:%ld:%08x", (long)getpid(),
	    randombytes_random());
	return hk;
}

static void
post_free(struct hooks *hk, struct post *p)
{
	struct post **link = &hk->posts;

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	hk->n--;
	sodium_memzero(p->s.secret, sizeof(p->s.secret));
	hook_send_fini(&p->s);
	buf_fini(&p->answer);
	free(p);
}

void
hooks_free(struct hooks *hk)
{
	if (hk == NULL)
		return;
	while (hk->posts != NULL)
		post_free(hk, hk->posts);
	free(hk);
}

size_t
hooks_busy(const struct hooks *hk)
{
	return hk->n + (hk->held_back ? 1 : 0);
}

/* --- what is sent -------------------------------------------------------- */

int64_t
hook_pause_ms(int64_t tries, int64_t percent, uint32_t random)
{
	static const int64_t pause_ms[] = { 5000, 30000, 120000, 600000,
		1800000, 3600000 };
	int64_t n = sizeof(pause_ms) / sizeof(pause_ms[0]), ms;

	tries = tries < 1 ? 1 : tries > n ? n : tries;
	ms = pause_ms[tries - 1] * percent / 100;
	return ms + (int64_t)random % (ms / 4 + 1);
}

void
hook_body(const struct hook_send *s, int64_t now_ms, struct buf *b)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "id", s->event_id);
	json_put_str(o, "type", s->type);
	json_put_int(o, "timestamp", s->event != 0 ? s->event : now_ms);
	json_put(o, "data", json_object_get(s->data));
	json_write(o, b);
	json_object_put(o);
}

void
hook_sign(const char *secret, const char *time, const char *body, size_t len,
    char out[HOOK_SIGN_SIZE])
{
	unsigned char mac[TOKEN_MAC_BYTES];

	token_hmac_at(secret, time, strlen(time), body, len, mac);
	memcpy(out, "v1=", sizeof("v1="));
	sodium_bin2hex(out + 3, HOOK_SIGN_SIZE - 3, mac, sizeof(mac));
}

/* --- how it went --------------------------------------------------------- */

/* The first bytes of an answer; the rest is read and dropped. */
static int
answer_in(void *arg, const void *p, size_t n)
{
	struct post *x = arg;
	size_t room = KEPT_BYTES_MAX - x->answer.len;

	buf_append(&x->answer, p, n < room ? n : room);
	return 0;
}

static bool
address_good(void *arg, const struct addr *a, int port)
{
	const struct post *p = arg;

	return fetch_addr_good(p->hk->cf, a, port);
}

/* The outcome is known; hooks_take stores it. */
static void
post_end(struct post *p, const char *error, const char *detail)
{
	struct hook_end *e = &p->end;

	p->ending = true;
	e->id = p->s.id;
	e->error = error;
	e->took_ms = clock_mono_ms() - p->began;
	e->failing_ms = p->hk->cf->hook_failing_s * 1000;
	if (detail != NULL) {
		snprintf(p->detail, sizeof(p->detail), "%s", detail);
		e->detail = p->detail;
	}
}

/* A stranger's words: UTF-8, cut, without controls. */
static void
answer_keep(struct post *p, const struct buf *body)
{
	struct buf b;
	size_t n;

	buf_init(&b, 3 * KEPT_BYTES_MAX);
	utf8_clean(&b, body->data,
	    body->len < KEPT_BYTES_MAX ? body->len : KEPT_BYTES_MAX);
	n = utf8_cut(b.data, b.len, HOOK_ANSWER_CHARS_MAX);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)b.data[i];

		p->text[i] = (char)(c < 0x20 || c == 0x7f ? ' ' : c);
	}
	p->text[n] = '\0';
	buf_fini(&b);
	p->end.answer = n > 0 ? p->text : NULL;
}

/* When to try again, and whether others wait too. */
static void
post_pauses(struct post *p, const struct http_answer *an)
{
	const struct conf *cf = p->hk->cf;
	int64_t after_ms = an->retry_after_s < HOLD_MS_MAX / 1000
			       ? an->retry_after_s * 1000
			       : HOLD_MS_MAX;
	struct hook_end *e = &p->end;

	e->pause_ms = hook_pause_ms(
	    p->s.tries, cf->backoff_percent, randombytes_random());
	if (p->failures + 1 >= FAILURES_MANY)
		e->hold_ms = hook_pause_ms(p->failures + 2 - FAILURES_MANY,
		    cf->backoff_percent, randombytes_random());
	if (after_ms > e->pause_ms)
		e->pause_ms = after_ms;
	if ((an->status == 429 || an->status == 503) && after_ms > e->hold_ms)
		e->hold_ms = after_ms;
}

static void
post_answered(void *arg, struct http_answer *an)
{
	struct post *p = arg;

	if (an->end == HTTP_ANSWERED) {
		answer_keep(p, p->answer.len > 0 ? &p->answer : &an->body);
		p->end.status = an->status;
		p->end.good = an->status >= 200 && an->status < 300;
		p->end.gone = an->status == 410;
		post_end(p, p->end.good ? NULL : "status", NULL);
	} else if (an->barred) {
		post_end(p, "address", NULL);
	} else {
		post_end(p, an->end == HTTP_LOST ? "no_answer" : "not_reached",
		    an->why);
	}
	if (!p->end.good)
		post_pauses(p, an);
}

/* --- sending ------------------------------------------------------------- */

static const struct http_calls post_calls = { NULL, post_answered };

static int
post_request(struct post *p, struct http_request *rq)
{
	const struct conf *cf = p->hk->cf;
	int64_t now = clock_now_ms();
	char time[24], sign[HOOK_SIGN_SIZE];

	snprintf(time, sizeof(time), "%" PRId64, now / 1000);
	hook_body(&p->s, now, &rq->body);
	hook_sign(p->s.secret, time, rq->body.data, rq->body.len, sign);
	buf_puts(&rq->url, p->s.url);
	http_request_header(rq, "Content-Type", "application/json");
	http_request_header(rq, "X-Parley-Event", p->s.type);
	http_request_header(rq, "X-Parley-Event-Id", p->s.event_id);
	http_request_header(rq, "X-Parley-Timestamp", time);
	http_request_header(rq, "X-Parley-Signature", sign);
	p->into = (struct http_file){ .bytes_max = cf->platform_bytes_max,
		.total_ms = (long)cf->hook_total_ms,
		.stall_s = (long)(cf->hook_total_ms / 1000 + 1),
		.take = answer_in,
		.arg = p };
	rq->into = &p->into;
	rq->allow = address_good;
	rq->allow_arg = p;
	return http_client_start(p->hk->http, rq, &post_calls, p);
}

static void
post_begin(struct post *p)
{
	struct http_request rq;
	struct fetch_url u;
	struct http_answer none = { 0 };

	if (p->s.data == NULL) {
		p->end.over = true;
		post_end(p, "event_gone", NULL);
		return;
	}
	if (fetch_url_read(p->s.url, &u) == -1 ||
	    !fetch_url_good(p->hk->cf, &u)) {
		post_end(p, "address", NULL);
		post_pauses(p, &none);
		return;
	}
	http_request_init(&rq, "POST");
	if (post_request(p, &rq) == -1) {
		post_end(p, "not_reached", "not begun");
		post_pauses(p, &none);
	}
	http_request_fini(&rq);
}

static size_t
going(const struct hooks *hk, int64_t hook)
{
	size_t n = 0;

	for (const struct post *p = hk->posts; p != NULL; p = p->next)
		n += p->s.hook == hook;
	return n;
}

/* The pace of who is there; NULL: that is no address. */
static struct pace *
pace_at(struct hooks *hk, const char *url)
{
	struct receiver *r;
	struct fetch_url u;

	if (fetch_url_read(url, &u) == -1)
		return NULL;
	for (size_t i = 0; i < hk->nreceivers; i++) {
		r = &hk->receivers[i];
		if (r->port == u.port && strcmp(r->host, u.host) == 0)
			return &r->pace;
	}
	if (hk->nreceivers == RECEIVERS_MAX)
		hk->nreceivers = 0;
	r = &hk->receivers[hk->nreceivers++];
	snprintf(r->host, sizeof(r->host), "%s", u.host);
	r->port = u.port;
	pace_init(
	    &r->pace, 0, 0, (unsigned)hk->cf->hook_rate_max, clock_mono_ms());
	return &r->pace;
}

/* Begin what is due for one webhook.  How many. */
static size_t
hook_begin(struct hooks *hk, const struct hook_due *due)
{
	struct pace *pace = pace_at(hk, due->url);
	size_t room =
	    due->failures >= FAILURES_MANY ? 1 : (size_t)hk->cf->hook_at_once;
	size_t busy = going(hk, due->hook), n = 0;
	int64_t lease_ms = hk->cf->hook_total_ms + LEASE_MORE_MS;
	struct hook_send list[CLAIM_MAX];
	struct post *p;

	room = room > busy ? room - busy : 0;
	if (room > SENDS_MAX - hk->n)
		room = SENDS_MAX - hk->n;
	if (room > CLAIM_MAX)
		room = CLAIM_MAX;
	if (room > 0 && pace != NULL) {
		if (pace_wait_ms(pace, clock_mono_ms()) > 0) {
			hk->held_back = true;
			return 0;
		}
		if (room > pace_room(pace))
			room = pace_room(pace);
	}
	if (room == 0 || store_hook_claim(hk->st, due->hook, hk->by, lease_ms,
			     list, room, &n) != STORE_DONE)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if ((p = calloc(1, sizeof(*p))) == NULL) {
			hook_send_fini(&list[i]); /* until its lease ends */
			continue;
		}
		p->hk = hk;
		p->s = list[i];
		p->failures = due->failures;
		p->began = clock_mono_ms();
		p->lost_at = p->began + lease_ms;
		buf_init(&p->answer, KEPT_BYTES_MAX);
		p->next = hk->posts;
		hk->posts = p;
		hk->n++;
		post_begin(p);
		if (pace != NULL)
			pace_spend(pace);
	}
	return n;
}

/* Store what has ended, together; what cannot be stored is tried again. */
static void
ends_store(struct hooks *hk)
{
	int64_t now = clock_mono_ms();
	struct post *p, *next;
	int rc = STORE_FAILED;

	for (p = hk->posts; p != NULL && !p->ending; p = p->next)
		;
	if (p == NULL)
		return;
	if (store_begin(hk->st) != STORE_FAILED) {
		rc = STORE_DONE;
		for (; p != NULL && rc != STORE_FAILED; p = p->next)
			if (p->ending)
				rc = store_hook_end(hk->st, hk->by, &p->end);
		rc = store_end(
		    hk->st, rc == STORE_FAILED ? STORE_FAILED : STORE_DONE);
	}
	for (p = hk->posts; p != NULL; p = next) {
		next = p->next;
		if (p->ending && (rc == STORE_DONE || now >= p->lost_at))
			post_free(hk, p);
	}
}

/* Have the webhooks look at the log.  How much is new to them. */
static size_t
fan(struct hooks *hk)
{
	int64_t now = clock_mono_ms(), wait = hk->cf->hook_wait_max, n;
	size_t all = 0;

	if (now < hk->fan_at)
		return 0;
	hk->fan_at = now + hk->cf->worker_poll_ms;
	for (int i = 0; i < FAN_ROUNDS; i++) {
		if (store_hooks_behind(hk->st, wait) != STORE_DONE ||
		    store_hooks_fan(hk->st, FAN_EVENTS, wait, &n) != STORE_DONE)
			break;
		all += (size_t)n;
	}
	return all;
}

size_t
hooks_take(struct hooks *hk, bool stopping)
{
	size_t begun = 0, n = 0;

	ends_store(hk);
	hk->held_back = false;
	if (stopping)
		return 0;
	begun = fan(hk);
	if (hk->n >= SENDS_MAX ||
	    store_hooks_due(hk->st, hk->due, HOOKS_AT_ONCE, &n) != STORE_DONE)
		return begun;
	/* Another one is first each time: nobody keeps others from sending. */
	hk->turn++;
	for (size_t i = 0; i < n && hk->n < SENDS_MAX; i++)
		begun += hook_begin(hk, &hk->due[(hk->turn + i) % n]);
	return begun;
}

void
hooks_settle(struct hooks *hk)
{
	int64_t n;

	if (store_hooks_lapsed(hk->st, &n) == STORE_DONE && n > 0)
		log_warn("webhook sends lapsed n=%lld", (long long)n);
}
