/* Whether all is well, and how much of it there is.  No names, no texts. */

#include "h_health.h"

#include "../common/addr.h"
#include "../common/clock.h"
#include "../common/inside.h"
#include "../common/json.h"
#include "../common/sock.h"
#include "emit.h"
#include "h.h"
#include "store_channel_health.h"
#include "store_delivery.h"
#include "store_event.h"
#include "store_hook.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUSH_WAIT_MS 300            /* for pushd's answer */
#define PUSH_BYTES_MAX (256u << 10) /* of it */

/* Whether this address may see figures. */
static bool
may_see(const struct req *rq)
{
	struct addr a;

	return addr_parse(rq->addr, strlen(rq->addr), &a) == 0 &&
	       addr_listed(rq->cf->metrics_addresses, &a);
}

/* Connects to where pushd listens: a path (of state_dir) or HOST:PORT. */
static int
push_connect(const struct conf *cf)
{
	struct buf path;
	int fd;

	if (strchr(cf->push_listen, '/') == NULL || *cf->push_listen == '/')
		return sock_connect(cf->push_listen, SOCK_STREAM);
	buf_init(&path, 4096);
	buf_printf(&path, "%s/%s", cf->state_dir, cf->push_listen);
	fd = path.err ? -1 : sock_connect(path.data, SOCK_STREAM);
	buf_fini(&path);
	return fd;
}

static bool
wait_for(int fd, short what, int64_t until)
{
	struct pollfd p = { .fd = fd, .events = what };
	int64_t left = until - clock_mono_ms();

	return left > 0 && poll(&p, 1, (int)left) == 1;
}

/* Asks pushd for ${path}; its whole answer in ${in}.  0, or -1. */
static int
push_talk(int fd, const char *key, const char *path, struct buf *in)
{
	int64_t until = clock_mono_ms() + PUSH_WAIT_MS;
	char *room, word[INSIDE_SIZE];
	struct buf rq;
	ssize_t n;
	bool sent;

	buf_init(&rq, 4096);
	buf_printf(&rq, "GET %s HTTP/1.1\r\nHost: localhost\r\n", path);
	inside_word(key, "figures", word);
	if (word[0] != '\0')
		buf_printf(&rq, "X-Parley-Internal: %s\r\n", word);
	buf_puts(&rq, "Connection: close\r\n\r\n");
	sent = !rq.err && wait_for(fd, POLLOUT, until) &&
	       send(fd, rq.data, rq.len, MSG_NOSIGNAL) == (ssize_t)rq.len;
	buf_fini(&rq);
	if (!sent)
		return -1;
	while (wait_for(fd, POLLIN, until)) {
		if ((room = buf_room(in, 16384)) == NULL)
			return -1;
		n = recv(fd, room, 16384, 0);
		if (n == 0)
			return 0;
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			return -1;
		}
		in->len += (size_t)n;
		in->data[in->len] = '\0';
	}
	return -1;
}

int
health_body(const char *p, size_t len, struct buf *out)
{
	const char *body, *end, *line;
	unsigned long size;
	char *after;

	if (len < 12 || strncmp(p, "HTTP/1.", 7) != 0 ||
	    strncmp(p + 8, " 200", 4) != 0 ||
	    (body = strstr(p, "\r\n\r\n")) == NULL)
		return -1;
	end = p + len;
	for (line = strstr(p, "\r\n"); line != NULL && line < body;
	     line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, "Transfer-Encoding: chunked", 26) ==
		    0)
			break;
	}
	body += 4;
	if (line == NULL || line >= body - 4) {
		buf_append(out, body, (size_t)(end - body));
		return out->err ? -1 : 0;
	}
	for (;;) {
		size = strtoul(body, &after, 16);
		if (after == body || after + 2 > end ||
		    strncmp(after, "\r\n", 2) != 0)
			return -1;
		if (size == 0)
			return out->err ? -1 : 0;
		body = after + 2;
		if (size > (size_t)(end - body) ||
		    (size_t)(end - body) - size < 2)
			return -1;
		buf_append(out, body, size);
		body += size + 2;
	}
}

/* What pushd says at ${path}, in ${out}.  0, or -1 if it does not answer. */
static int
push_ask(const struct conf *cf, const char *path, struct buf *out)
{
	struct buf in;
	int fd, rc = -1;

	buf_init(&in, PUSH_BYTES_MAX);
	if ((fd = push_connect(cf)) != -1) {
		rc = push_talk(fd, cf->internal_key, path, &in);
		close(fd);
	}
	if (rc == 0)
		rc = health_body(in.data, in.len, out);
	buf_fini(&in);
	return rc;
}

/* Figures of the database. */
struct figures {
	bool database; /* it answers */
	struct log_state log;
	int64_t wal_bytes;
	int64_t free_bytes;        /* of its disk; INT64_MAX: not known */
	bool full;                 /* too few to write */
	struct json_object *queue; /* deliveries: {state: n}; owned, or NULL */
	struct hook_counts hooks;
};

/* Values of one metric, a label each. */
static void
labelled(struct buf *b, const char *name, const char *label,
    struct json_object *values)
{
	if (values == NULL)
		return;
	json_object_object_foreach(values, key, n)
	{
		buf_printf(b, "%s{%s=\"%s\"} %" PRId64 "\n", name, label, key,
		    json_object_get_int64(n));
	}
}

static void
look(struct req *rq, struct figures *f)
{
	struct store *st = req_store(rq);

	memset(f, 0, sizeof(*f));
	if (st == NULL || store_read(st) == STORE_FAILED)
		return;
	f->database = store_log_state(st, &f->log) == STORE_DONE &&
		      store_delivery_counts(st, &f->queue) == STORE_DONE &&
		      store_hook_counts(st, &f->hooks) == STORE_DONE;
	store_read_end(st);
	f->wal_bytes = store_wal_bytes(st);
	f->free_bytes = store_free_bytes(st);
	f->full = store_full(st);
}

/*
 * GET /health
 * 200 {"status":"ok"|"degraded"}, 503 {"status":"down"}: the database does not
 * answer.  Addresses of metrics_addresses also get "database", "disk" (ok, or
 * full: what is there is read, nothing is taken), "push" (up, down, or off:
 * push_daemon; without pushd clients poll), "queue" {state: n}, "cursor".
 */
int
health_get(struct req *rq, struct rsp *rs)
{
	struct json_object *o = json_object_new_object();
	struct figures f;
	struct buf b;
	bool off = !rq->cf->push_daemon, up;

	look(rq, &f);
	buf_init(&b, PUSH_BYTES_MAX);
	up = f.database && !off && push_ask(rq->cf, "/health", &b) == 0;
	buf_fini(&b);
	json_put_str(o, "status",
	    !f.database              ? "down"
	    : (up || off) && !f.full ? "ok"
				     : "degraded");
	if (may_see(rq)) {
		json_put_str(o, "database", f.database ? "up" : "down");
		json_put_str(o, "disk", f.full ? "full" : "ok");
		json_put_str(o, "push", off ? "off" : up ? "up" : "down");
		json_put(o, "queue", f.queue);
		f.queue = NULL;
		json_put_int(o, "cursor", f.log.head);
	}
	json_object_put(f.queue);
	return rsp_json(rs, f.database ? 200 : 503, o);
}

/* One metric of one value. */
static void
metric(struct buf *b, const char *name, const char *type, const char *help,
    int64_t value)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %" PRId64 "\n", name,
	    help, name, type, name, value);
}

void
metrics_text(struct req *rq, struct buf *out)
{
	struct json_object *wrong = NULL;
	struct figures f;
	struct buf push;
	bool up;

	look(rq, &f);
	buf_init(&push, PUSH_BYTES_MAX);
	up = rq->cf->push_daemon && push_ask(rq->cf, "/metrics", &push) == 0;

	buf_init(out, PUSH_BYTES_MAX + 65536);
	metric(out, "parley_up", "gauge", "The database answers.", f.database);
	metric(out, "parley_push_up", "gauge", "pushd answers.", up);
	metric(out, "parley_log_head", "gauge", "Newest event id.", f.log.head);
	metric(out, "parley_log_floor", "gauge",
	    "Smallest cursor that misses nothing.", f.log.floor);
	metric(out, "parley_log_ahead_ms", "gauge",
	    "How far event ids run ahead of the clock.",
	    f.log.head > rq->now_ms ? f.log.head - rq->now_ms : 0);
	metric(out, "parley_wal_bytes", "gauge", "Size of the write-ahead log.",
	    f.wal_bytes);
	if (f.database && f.free_bytes != INT64_MAX)
		metric(out, "parley_disk_free_bytes", "gauge",
		    "Free on the database's disk.", f.free_bytes);
	metric(out, "parley_disk_full", "gauge",
	    "Nothing is written for want of space.", f.full);
	metric(out, "parley_hints_sent_total", "counter",
	    "Hints that pushd took.", (int64_t)emit_sent());
	metric(out, "parley_hints_lost_total", "counter",
	    "Hints that found no taker; pushd asks for those events.",
	    (int64_t)emit_lost());
	buf_puts(out, "# HELP parley_deliveries Deliveries to platforms.\n"
		      "# TYPE parley_deliveries gauge\n");
	labelled(out, "parley_deliveries", "state", f.queue);
	metric(out, "parley_webhook_events_waiting", "gauge",
	    "Events on their way to receivers of webhooks.", f.hooks.waiting);
	buf_printf(out,
	    "# HELP parley_webhook_requests_total Requests to receivers of"
	    " webhooks.\n# TYPE parley_webhook_requests_total counter\n"
	    "parley_webhook_requests_total{result=\"ok\"} %" PRId64 "\n"
	    "parley_webhook_requests_total{result=\"failed\"} %" PRId64 "\n",
	    f.hooks.ok, f.hooks.failed);
	buf_puts(out, "# HELP parley_channel_problems Channels that are not "
		      "well, by what is wrong.\n"
		      "# TYPE parley_channel_problems gauge\n");
	if (f.database && store_channel_problems(rq->st, &wrong) == STORE_DONE)
		labelled(out, "parley_channel_problems", "problem", wrong);
	json_object_put(wrong);
	if (up)
		buf_append(out, push.data, push.len);
	json_object_put(f.queue);
	buf_fini(&push);
}

/*
 * GET /metrics
 * 200 counters as Prometheus text, pushd's with them; 404 not_found for
 * addresses that are not in metrics_addresses.
 */
int
metrics_get(struct req *rq, struct rsp *rs)
{
	struct buf b;
	int status;

	if (!may_see(rq))
		return rsp_error(rs, 404, "not_found", NULL);
	metrics_text(rq, &b);
	status =
	    b.err ? rsp_error(rs, 500, "internal", NULL)
		  : rsp_raw(rs, 200, "text/plain; version=0.0.4; charset=utf-8",
			b.data, b.len);
	buf_fini(&b);
	return status;
}
