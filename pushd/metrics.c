/*
 * metrics.c: /health and /metrics.
 *
 * Figures are for the addresses of the setting metrics_addresses; to others
 * there is no such thing.  Labels name transports, never people.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <sodium.h>

#include "addr.h"
#include "clock.h"
#include "inside.h"
#include "json.h"
#include "metrics.h"
#include "ws.h"

#ifndef PARLEY_VERSION
#define PARLEY_VERSION "0"
#endif

static void health_open(struct conn *c, const struct request *rq);
static void metrics_open(struct conn *c, const struct request *rq);

const struct transport health_transport = { .name = "health",
	.open = health_open };
const struct transport metrics_transport = { .name = "metrics",
	.open = metrics_open };

enum { KINDS = 48 /* of connections */ };

/* --- taking the time --- */

/* Before the connections' writes, which come last in a turn of the loop. */
static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct push *p = w->data;
	struct push_times *t = &p->times;
	int64_t now;
	unsigned i;

	(void)loop;
	(void)revents;
	if (t->n == 0)
		return;
	now = clock_now_us();
	for (i = 0; i < t->n; i++)
		histogram_add(
		    &t->first_write, now - t->ids[i] * 1000, p->conns.now_s);
	t->n = 0;
}

/*
 * The loop is about to sleep: so long ago it had woken.  Not by ev_now(), which
 * has just been made anew.
 */
static void
on_release(struct ev_loop *loop) EV_NOEXCEPT
{
	struct push *p = ev_userdata(loop);

	histogram_add(
	    &p->times.turn, clock_mono_us() - p->times.woke_us, p->conns.now_s);
}

static void
on_acquire(struct ev_loop *loop) EV_NOEXCEPT
{
	struct push *p = ev_userdata(loop);

	p->times.woke_us = clock_mono_us();
}

void
metrics_start(struct push *p)
{
	struct push_times *t = &p->times;

	t->began_ms = clock_now_ms();
	t->woke_us = clock_mono_us();
	ev_prepare_init(&t->prepare, on_prepare);
	t->prepare.data = p;
	ev_prepare_start(p->loop, &t->prepare);
	ev_set_userdata(p->loop, p);
	ev_set_loop_release_cb(p->loop, on_release, on_acquire);
}

void
metrics_stop(struct push *p)
{
	ev_prepare_stop(p->loop, &p->times.prepare);
	ev_set_loop_release_cb(p->loop, NULL, NULL);
}

/* Of more than that in one turn the first ones tell enough. */
void
metrics_event(struct push *p, int64_t id)
{
	struct push_times *t = &p->times;

	if (t->n < PUSH_EVENTS_TIMED)
		t->ids[t->n++] = id;
}

/* --- who is there --- */

/* Connections alike. */
struct kind {
	const char *transport, *dialect, *state;
	unsigned n;
};

struct counts {
	struct kind kind[KINDS];
	unsigned n; /* kinds */
	uint64_t queued, queued_max, waiting, blocked;
};

static void
count(struct conn *c, void *arg)
{
	struct counts *n = arg;
	struct kind k = { "none", "", "open", 1 };
	uint64_t queued = conn_queued(c);
	unsigned i;

	n->queued += queued;
	n->queued_max = queued > n->queued_max ? queued : n->queued_max;
	n->waiting += queued > 0;
	n->blocked += c->blocked;
	if (c->tr != NULL)
		k.transport =
		    c->tr == &ws_chat_transport ? "websocket" : c->tr->name;
	if (c->state != CONN_OPEN)
		k.state = c->state == CONN_HEAD ? "head" : "ending";
	else if (c->tr != NULL && c->tr->describe != NULL)
		c->tr->describe(c, &k.dialect, &k.state);
	if (k.dialect == NULL)
		k.dialect = "";
	for (i = 0; i < n->n; i++)
		if (strcmp(n->kind[i].transport, k.transport) == 0 &&
		    strcmp(n->kind[i].dialect, k.dialect) == 0 &&
		    strcmp(n->kind[i].state, k.state) == 0) {
			n->kind[i].n++;
			return;
		}
	if (n->n < KINDS)
		n->kind[n->n++] = k;
}

/* Those that a transport has, whatever they are doing. */
static unsigned
counted(const struct counts *n, const char *transport)
{
	unsigned i, sum = 0;

	for (i = 0; i < n->n; i++)
		if (strcmp(n->kind[i].transport, transport) == 0)
			sum += n->kind[i].n;
	return sum;
}

/* An address that may see figures, or one of our own programs. */
static int
allowed(const struct conn *c, const struct request *rq)
{
	const char *text = conn_addr(c), *given;
	char word[INSIDE_SIZE];
	struct addr a;
	size_t len;

	given = http_field(rq->head, rq->p, "X-Parley-Internal", &len);
	inside_word(push_of(c)->cf.internal_key, "figures", word);
	if (given != NULL && len > 0 && len == strlen(word) &&
	    sodium_memcmp(given, word, len) == 0)
		return 1;
	return addr_parse(text, strlen(text), &a) == 0 &&
	       addr_listed(push_of(c)->cf.metrics_addresses, &a);
}

/* Methods other than GET and HEAD; 1 if it was one. */
static int
other_method(struct conn *c, const struct request *rq)
{
	if (conn_method(rq, "GET") || conn_method(rq, "HEAD"))
		return 0;
	conn_error(c, 0, 405, "Allow: GET, HEAD\r\n", "method_not_allowed",
	    "This address is for GET");
	return 1;
}

/* From commit to first write, lately; null if there were none. */
static void
put_ms(struct json_object *o, const char *name, struct push *p, unsigned share)
{
	double s =
	    histogram_recent(&p->times.first_write, share, p->conns.now_s);

	json_put(o, name, s < 0 ? NULL : json_object_new_double(s * 1000));
}

static void
health_open(struct conn *c, const struct request *rq)
{
	struct push *p = push_of(c);
	struct backend_stats bs;
	struct json_object *o;
	struct counts n = { .n = 0 };
	int good = p->hub.ready && !p->conns.draining;
	struct buf b;

	if (other_method(c, rq))
		return;
	o = json_object_new_object();
	json_put_str(o, "status",
	    p->conns.draining ? "draining"
	    : p->hub.ready    ? "ok"
			      : "starting");
	if (allowed(c, rq)) {
		backend_stats(p->backend, &bs);
		conns_each(&p->conns, count, &n);
		json_put_str(o, "version", PARLEY_VERSION);
		json_put_int(o, "head", p->hub.head);
		json_put_int(o, "sse", counted(&n, "sse"));
		json_put_int(o, "websocket", counted(&n, "websocket"));
		json_put_int(o, "longpoll", counted(&n, "longpoll"));
		json_put_int(o, "socketio", (int64_t)p->eios.n);
		json_put_int(o, "backend_up", bs.up);
		json_put_int(o, "backend_waiting", bs.waiting);
		put_ms(o, "latency_ms_p50", p, 50);
		put_ms(o, "latency_ms_p99", p, 99);
	}
	buf_init(&b, 4096);
	json_write(o, &b);
	json_object_put(o);
	conn_reply(c, conn_method(rq, "HEAD"), good ? 200 : 503, NULL, b.data);
	buf_fini(&b);
}

/* --- the text --- */

static void
family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP parley_push_%s %s\n# TYPE parley_push_%s %s\n",
	    name, help, name, type);
}

static void
put(struct buf *b, const char *name, const char *type, const char *help,
    uint64_t v)
{
	family(b, name, type, help);
	buf_printf(b, "parley_push_%s %llu\n", name, (unsigned long long)v);
}

static void
put_labelled(struct buf *b, const char *name, const char *label,
    const char *value, uint64_t v)
{
	buf_printf(b, "parley_push_%s{%s=\"%s\"} %llu\n", name, label, value,
	    (unsigned long long)v);
}

/* ${name}_seconds since the start, ${name}_recent_seconds of late. */
static void
put_times(struct buf *b, const char *name, const char *help,
    struct histogram *h, uint32_t now_s)
{
	static const unsigned shares[] = { 50, 99, 100 };
	char full[64];
	uint64_t seen = 0;
	double s;
	size_t i;

	snprintf(full, sizeof(full), "%s_seconds", name);
	family(b, full, "histogram", help);
	for (i = 0; i < HISTOGRAM_STEPS; i++) {
		seen += h->step[i];
		buf_printf(b, "parley_push_%s_bucket{le=\"%g\"} %llu\n", full,
		    histogram_us[i] / 1e6, (unsigned long long)seen);
	}
	buf_printf(b,
	    "parley_push_%s_bucket{le=\"+Inf\"} %llu\n"
	    "parley_push_%s_sum %g\nparley_push_%s_count %llu\n",
	    full, (unsigned long long)h->n, full, (double)h->sum_us / 1e6, full,
	    (unsigned long long)h->n);
	snprintf(full, sizeof(full), "%s_recent_seconds", name);
	family(b, full, "gauge", "... in the last five to ten minutes.");
	for (i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
		buf_printf(b, "parley_push_%s{quantile=\"%g\"} ", full,
		    shares[i] / 100.);
		s = histogram_recent(h, shares[i], now_s);
		if (s < 0)
			buf_puts(b, "NaN\n");
		else
			buf_printf(b, "%.6g\n", s);
	}
}

static void
put_process(struct buf *b, const struct push *p)
{
	struct rusage ru;

	family(b, "start_time_seconds", "gauge", "When pushd started.");
	buf_printf(b, "parley_push_start_time_seconds %lld\n",
	    (long long)p->times.began_ms / 1000);
	if (getrusage(RUSAGE_SELF, &ru) == -1)
		return;
	family(b, "cpu_seconds_total", "counter", "Processor time of pushd.");
	buf_printf(b, "parley_push_cpu_seconds_total %.3f\n",
	    (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
		(double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
	put(b, "memory_max_bytes", "gauge", "The most memory it has had.",
	    (uint64_t)ru.ru_maxrss * 1024);
}

static void
put_connections(struct buf *b, struct push *p)
{
	struct conns *all = &p->conns;
	struct counts n = { .n = 0 };
	unsigned i;

	conns_each(all, count, &n);
	family(b, "connections", "gauge",
	    "Connections now, by transport, dialect and what they do.");
	for (i = 0; i < n.n; i++)
		buf_printf(b,
		    "parley_push_connections{transport=\"%s\",dialect=\"%s\","
		    "state=\"%s\"} %u\n",
		    n.kind[i].transport, n.kind[i].dialect, n.kind[i].state,
		    n.kind[i].n);
	put(b, "connections_max", "gauge", "As many are possible.", all->max);
	put(b, "accepted_total", "counter", "Connections taken.",
	    all->accepted);
	put(b, "refused_total", "counter", "Connections over a limit.",
	    all->refused);
	family(b, "ended_total", "counter", "Connections ended, by reason.");
	for (i = 0; i < ENDS; i++)
		put_labelled(
		    b, "ended_total", "reason", ends_name(i), all->ends.n[i]);
	put(b, "slow_total", "counter", "Readers dropped as too slow.",
	    all->slow);
	put(b, "shed_total", "counter",
	    "Connections without a request, closed when there was no room.",
	    all->shed);
	put(b, "stalled_total", "counter", "Readers that took nothing.",
	    all->stalled);
	put(b, "queued_bytes", "gauge", "Bytes that wait for readers.",
	    n.queued);
	put(b, "queued_bytes_max", "gauge", "... for the one with the most.",
	    n.queued_max);
	put(b, "queued_readers", "gauge", "Readers that bytes wait for.",
	    n.waiting);
	put(b, "blocked_readers", "gauge", "... whose socket takes no more.",
	    n.blocked);
	put(b, "writes_total", "counter", "Writes to clients.", all->writes);
	put(b, "written_bytes_total", "counter", "Bytes to clients.",
	    all->bytes);
}

static void
put_socketio(struct buf *b, const struct eios *x)
{
	static const char name[] = "socketio_ended_total";

	put(b, "socketio_sessions", "gauge", "Socket.IO sessions.", x->n);
	put(b, "socketio_opened_total", "counter", "Sessions opened.",
	    x->opened);
	put(b, "socketio_upgraded_total", "counter",
	    "... that changed from polling to a WebSocket.", x->upgraded);
	put(b, "socketio_polls_total", "counter", "Polls of sessions.",
	    x->polls);
	put(b, "socketio_posts_total", "counter", "Posts to sessions.",
	    x->posts);
	put(b, "socketio_refused_total", "counter", "Requests refused.",
	    x->refused);
	family(b, name, "counter", "Sessions ended, by reason.");
	put_labelled(b, name, "reason", "client", x->ended_client);
	put_labelled(b, name, "reason", "silent", x->ended_ping);
	put_labelled(b, name, "reason", "protocol", x->ended_error);
	put_labelled(b, name, "reason", "slow", x->ended_slow);
	put_labelled(b, name, "reason", "own", x->ended_own);
}

static void
put_events(struct buf *b, struct push *p)
{
	static const char *const resets[RESETS] = { [RESET_OLD] = "old",
		[RESET_FUTURE] = "future",
		[RESET_UNKNOWN] = "unknown",
		[RESET_BAD] = "unreadable" };
	const struct hub *h = &p->hub;
	unsigned i;

	put(b, "events_total", "counter", "Events given to rooms.", h->events);
	put(b, "deliveries_total", "counter", "Events given to subscribers.",
	    h->deliveries);
	put(b, "head", "gauge", "Newest event seen.", (uint64_t)h->head);
	put(b, "ready", "gauge", "The log's state is known.",
	    (uint64_t)h->ready);
	put(b, "ring_events", "gauge", "Events kept for resumes.", h->ring_n);
	put(b, "ring_bytes", "gauge", "... and their size, about.",
	    h->ring_bytes);
	put(b, "rooms", "gauge", "Rooms that somebody is in.", h->rooms.used);
	put(b, "log_regress_total", "counter",
	    "Events below the head that were never seen; must stay 0.",
	    h->regress);
	put_times(b, "first_write",
	    "From an event's commit to its first write.", &p->times.first_write,
	    p->conns.now_s);
	put(b, "resumes_ring_total", "counter", "Resumes from the ring.",
	    p->replays.from_ring);
	put(b, "resumes_log_total", "counter", "Pages asked of the log.",
	    p->replays.from_log);
	family(b, "resets_total", "counter",
	    "Cursors not honoured, by what was wrong with them.");
	for (i = 0; i < RESETS; i++)
		put_labelled(
		    b, "resets_total", "reason", resets[i], p->resets[i]);
	put(b, "longpoll_answers_total", "counter", "Long polls answered.",
	    p->longpolls.answers);
	put(b, "longpoll_empty_total", "counter", "... with nothing.",
	    p->longpolls.empty);
}

static void
put_hints(struct buf *b, const struct ingest *g)
{
	put(b, "hints_total", "counter", "Hints heard.", g->hints);
	put(b, "hints_late_total", "counter", "Hints known already.", g->late);
	put(b, "gaps_total", "counter", "Hints that showed a gap.", g->gaps);
	put(b, "backfills_total", "counter", "Questions to the log.",
	    g->backfills);
	put(b, "backfill_failures_total", "counter", "... not answered.",
	    g->failures);
	put(b, "malformed_total", "counter", "Events that were none.",
	    g->malformed);
	put(b, "hints_refused_total", "counter",
	    "Programs with hints that were too many at once.", g->refused);
}

static void
put_identities(struct buf *b, const struct idents *x)
{
	put(b, "identities", "gauge", "Sessions known.", x->refs.used);
	put(b, "identify_asked_total", "counter", "Credentials asked about.",
	    x->asked);
	put(b, "identify_remembered_total", "counter",
	    "Credentials remembered.", x->remembered);
	put(b, "identify_refused_total", "counter", "Credentials refused.",
	    x->refused);
	put(b, "identify_limited_total", "counter",
	    "... unseen: too many from an address were worth nothing.",
	    x->limited);
}

static void
put_backend(struct buf *b, const struct push *p)
{
	static const char *const lines[BACKEND_LINES] = { [BACKEND_LOG] = "log",
		[BACKEND_WHO] = "who",
		[BACKEND_SEND] = "send",
		[BACKEND_REPLAY] = "replay" };
	struct backend_stats bs;
	unsigned i;

	backend_stats(p->backend, &bs);
	put(b, "backend_calls_total", "counter", "Requests to api.fcgi.",
	    bs.calls);
	put(b, "backend_failed_total", "counter", "... that failed.",
	    bs.failed);
	put(b, "backend_timeouts_total", "counter", "... without answer.",
	    bs.timeouts);
	put(b, "backend_refused_total", "counter", "... with a full line.",
	    bs.refused);
	family(b, "backend_waiting", "gauge", "Requests in line.");
	for (i = 0; i < BACKEND_LINES; i++)
		put_labelled(
		    b, "backend_waiting", "line", lines[i], bs.line[i]);
	put(b, "backend_busy", "gauge", "Requests in work.", bs.busy);
	put(b, "backend_up", "gauge", "Connections to api.fcgi.", bs.up);
	put_times(b, "backend", "From a request to api.fcgi to its answer.",
	    &bs.took, p->conns.now_s);
}

static void
metrics_open(struct conn *c, const struct request *rq)
{
	struct push *p = push_of(c);
	struct buf b;

	if (!allowed(c, rq)) {
		conn_error(c, conn_method(rq, "HEAD"), 404, NULL, "not_found",
		    "There is nothing here");
		return;
	}
	if (other_method(c, rq))
		return;
	buf_init(&b, 131072);
	put_process(&b, p);
	put_connections(&b, p);
	put_socketio(&b, &p->eios);
	put_events(&b, p);
	put_hints(&b, &p->ingest);
	put_identities(&b, &p->idents);
	put_backend(&b, p);
	put(&b, "adopted_connections", "gauge",
	    "Connections taken over at the start.", p->handover.took);
	put_times(&b, "turn", "A turn of the loop: others wait so long.",
	    &p->times.turn, p->conns.now_s);
	conn_reply(c, conn_method(rq, "HEAD"), 200,
	    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
	    b.data);
	buf_fini(&b);
}
