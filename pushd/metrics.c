/*
 * metrics.c: /health and /metrics.
 *
 * Figures are for the addresses of the setting metrics_addresses; to others
 * there is no such thing.  Labels name transports, never people.
 */
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "json.h"
#include "metrics.h"

#ifndef PARLEY_VERSION
#define PARLEY_VERSION "0"
#endif

static void health_open(struct conn *c, const struct request *rq);
static void metrics_open(struct conn *c, const struct request *rq);

const struct transport health_transport = { .name = "health",
	.open = health_open };
const struct transport metrics_transport = { .name = "metrics",
	.open = metrics_open };

static const int bounds_ms[PUSH_LATENCY_BUCKETS] = { 1, 2, 5, 10, 20, 50, 100,
	250, 500, 1000, 2500, 10000 };

void
metrics_latency(struct push_latency *m, int64_t ms)
{
	size_t i;

	if (ms < 0)
		ms = 0;
	for (i = 0; i < PUSH_LATENCY_BUCKETS && ms > bounds_ms[i]; i++)
		;
	m->bucket[i]++;
	m->n++;
	m->sum_ms += (uint64_t)ms;
}

/* The bound below which ${share} percent of the events came. */
static int
percentile(const struct push_latency *m, unsigned share)
{
	uint64_t seen = 0;
	size_t i;

	for (i = 0; i < PUSH_LATENCY_BUCKETS; i++) {
		seen += m->bucket[i];
		if (seen * 100 >= m->n * share)
			return bounds_ms[i];
	}
	return bounds_ms[PUSH_LATENCY_BUCKETS - 1];
}

struct counts {
	unsigned sse, websocket, longpoll, other;
};

static void
count(struct conn *c, void *arg)
{
	struct counts *n = arg;

	if (c->state != CONN_OPEN)
		n->other++;
	else if (strcmp(c->tr->name, "sse") == 0)
		n->sse++;
	else if (strcmp(c->tr->name, "websocket") == 0)
		n->websocket++;
	else if (strcmp(c->tr->name, "longpoll") == 0)
		n->longpoll++;
	else
		n->other++;
}

static int
allowed(const struct conn *c)
{
	const char *text = conn_addr(c);
	struct addr a;

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

static void
health_open(struct conn *c, const struct request *rq)
{
	struct push *p = push_of(c);
	struct backend_stats bs;
	struct json_object *o;
	struct counts n = { 0, 0, 0, 0 };
	int good = p->hub.ready && !p->conns.draining;
	struct buf b;

	if (other_method(c, rq))
		return;
	o = json_object_new_object();
	json_put_str(o, "status",
	    p->conns.draining ? "draining"
	    : p->hub.ready    ? "ok"
			      : "starting");
	if (allowed(c)) {
		backend_stats(p->backend, &bs);
		conns_each(&p->conns, count, &n);
		json_put_str(o, "version", PARLEY_VERSION);
		json_put_int(o, "head", p->hub.head);
		json_put_int(o, "sse", n.sse);
		json_put_int(o, "websocket", n.websocket);
		json_put_int(o, "longpoll", n.longpoll);
		json_put_int(o, "backend_up", bs.up);
		json_put_int(o, "backend_waiting", bs.waiting);
		json_put_int(o, "latency_ms_p50", percentile(&p->latency, 50));
		json_put_int(o, "latency_ms_p99", percentile(&p->latency, 99));
	}
	buf_init(&b, 4096);
	json_write(o, &b);
	json_object_put(o);
	conn_reply(c, conn_method(rq, "HEAD"), good ? 200 : 503, NULL, b.data);
	buf_fini(&b);
}

static void
put(struct buf *b, const char *name, const char *type, const char *help,
    uint64_t v)
{
	buf_printf(b, "# HELP parley_push_%s %s\n# TYPE parley_push_%s %s\n",
	    name, help, name, type);
	buf_printf(b, "parley_push_%s %llu\n", name, (unsigned long long)v);
}

static void
put_latency(struct buf *b, const struct push_latency *m)
{
	uint64_t seen = 0;
	size_t i;

	buf_puts(b,
	    "# HELP parley_push_latency_seconds From commit to the hub.\n"
	    "# TYPE parley_push_latency_seconds histogram\n");
	for (i = 0; i < PUSH_LATENCY_BUCKETS; i++) {
		seen += m->bucket[i];
		buf_printf(b,
		    "parley_push_latency_seconds_bucket{le=\"%g\"} %llu\n",
		    bounds_ms[i] / 1000., (unsigned long long)seen);
	}
	buf_printf(b,
	    "parley_push_latency_seconds_bucket{le=\"+Inf\"} %llu\n"
	    "parley_push_latency_seconds_sum %g\n"
	    "parley_push_latency_seconds_count %llu\n",
	    (unsigned long long)m->n, (double)m->sum_ms / 1000.,
	    (unsigned long long)m->n);
}

static void
put_connections(struct buf *b, struct push *p)
{
	struct counts n = { 0, 0, 0, 0 };

	conns_each(&p->conns, count, &n);
	buf_printf(b,
	    "# HELP parley_push_connections Connections now.\n"
	    "# TYPE parley_push_connections gauge\n"
	    "parley_push_connections{transport=\"sse\"} %u\n"
	    "parley_push_connections{transport=\"websocket\"} %u\n"
	    "parley_push_connections{transport=\"longpoll\"} %u\n"
	    "parley_push_connections{transport=\"none\"} %u\n",
	    n.sse, n.websocket, n.longpoll, n.other);
}

static void
metrics_open(struct conn *c, const struct request *rq)
{
	struct push *p = push_of(c);
	struct conns *all = &p->conns;
	struct ingest *g = &p->ingest;
	struct backend_stats bs;
	struct buf b;

	if (!allowed(c)) {
		conn_error(c, conn_method(rq, "HEAD"), 404, NULL, "not_found",
		    "There is nothing here");
		return;
	}
	if (other_method(c, rq))
		return;
	backend_stats(p->backend, &bs);
	buf_init(&b, 65536);
	put_connections(&b, p);
	put(&b, "accepted_total", "counter", "Connections taken.",
	    all->accepted);
	put(&b, "refused_total", "counter", "Connections over a limit.",
	    all->refused);
	put(&b, "slow_total", "counter", "Readers dropped as too slow.",
	    all->slow);
	put(&b, "shed_total", "counter",
	    "Connections without a request, closed when there was no room.",
	    all->shed);
	put(&b, "stalled_total", "counter", "Readers that took nothing.",
	    all->stalled);
	put(&b, "writes_total", "counter", "Writes to clients.", all->writes);
	put(&b, "written_bytes_total", "counter", "Bytes to clients.",
	    all->bytes);
	put(&b, "events_total", "counter", "Events given to rooms.",
	    p->hub.events);
	put(&b, "deliveries_total", "counter", "Events given to subscribers.",
	    p->hub.deliveries);
	put(&b, "head", "gauge", "Newest event seen.", (uint64_t)p->hub.head);
	put(&b, "ready", "gauge", "The log's state is known.",
	    (uint64_t)p->hub.ready);
	put(&b, "ring_events", "gauge", "Events kept for resumes.",
	    p->hub.ring_n);
	put(&b, "ring_bytes", "gauge", "... and their size, about.",
	    p->hub.ring_bytes);
	put(&b, "rooms", "gauge", "Rooms that somebody is in.",
	    p->hub.rooms.used);
	put(&b, "log_regress_total", "counter",
	    "Events below the head that were never seen; must stay 0.",
	    p->hub.regress);
	put(&b, "hints_total", "counter", "Hints heard.", g->hints);
	put(&b, "hints_late_total", "counter", "Hints known already.", g->late);
	put(&b, "gaps_total", "counter", "Hints that showed a gap.", g->gaps);
	put(&b, "backfills_total", "counter", "Questions to the log.",
	    g->backfills);
	put(&b, "backfill_failures_total", "counter", "... not answered.",
	    g->failures);
	put(&b, "malformed_total", "counter", "Events that were none.",
	    g->malformed);
	put(&b, "resumes_ring_total", "counter", "Resumes from the ring.",
	    p->replays.from_ring);
	put(&b, "resumes_log_total", "counter", "Pages asked of the log.",
	    p->replays.from_log);
	put(&b, "longpoll_answers_total", "counter", "Long polls answered.",
	    p->longpolls.answers);
	put(&b, "longpoll_empty_total", "counter", "... with nothing.",
	    p->longpolls.empty);
	put(&b, "resets_total", "counter", "Cursors not honoured.", p->resets);
	put(&b, "identities", "gauge", "Sessions known.", p->idents.refs.used);
	put(&b, "identify_asked_total", "counter", "Credentials asked about.",
	    p->idents.asked);
	put(&b, "identify_remembered_total", "counter",
	    "Credentials remembered.", p->idents.remembered);
	put(&b, "identify_refused_total", "counter", "Credentials refused.",
	    p->idents.refused);
	put(&b, "backend_calls_total", "counter", "Requests to api.fcgi.",
	    bs.calls);
	put(&b, "backend_failed_total", "counter", "... that failed.",
	    bs.failed);
	put(&b, "backend_timeouts_total", "counter", "... without answer.",
	    bs.timeouts);
	put(&b, "backend_refused_total", "counter", "... with a full line.",
	    bs.refused);
	put(&b, "backend_waiting", "gauge", "Requests in line.", bs.waiting);
	put(&b, "backend_up", "gauge", "Connections to api.fcgi.", bs.up);
	put_latency(&b, &p->latency);
	conn_reply(c, conn_method(rq, "HEAD"), 200,
	    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
	    b.data);
	buf_fini(&b);
}
