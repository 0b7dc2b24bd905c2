/* p_settings.c: the admin's pages: how the live connections are. */

#include <stdio.h>
#include <string.h>

#include "figures.h"
#include "h.h"
#include "h_health.h"
#include "json.h"
#include "p_settings.h"
#include "p_view.h"
#include "p_words.h"

/* Beyond these a figure is marked, with a line that says why. */
#define SLOW_EVENT_S .5
#define SLOW_BACKEND_S 1.
#define SLOW_TURN_S .1
#define WAL_BYTES_MAX (64. * 1024 * 1024)
#define AHEAD_MS_MAX 60000.

enum form { COUNT, TIME, BYTES };

/* A figure of the page: its text is push.${key}. */
struct row {
	const char *key;
	enum form form;
	const char *name;  /* of the metric */
	const char *label; /* part of its labels; NULL: ${name} is all of it */
	double much;       /* more than that is marked; 0: nothing is */
};

#define RECENT(name, q) \
	"parley_push_" name "_recent_seconds{quantile=\"" q "\"}"
#define OF(label) "parley_push_connections", label

/* clang-format off */
static const struct row now[] = {
	{ "websocket", COUNT, OF("dialect=\"live\""), 0 },
	{ "chat", COUNT, OF("dialect=\"chat\""), 0 },
	{ "sse", COUNT, OF("transport=\"sse\""), 0 },
	{ "socketio", COUNT, "parley_push_socketio_sessions", "", 0 },
	{ "longpoll", COUNT, OF("transport=\"longpoll\""), 0 },
	{ "waiting", BYTES, "parley_push_queued_bytes", "", 0 },
	{ "blocked", COUNT, "parley_push_blocked_readers", "", 0 },
};

static const struct row speed[] = {
	{ "event_half", TIME, RECENT("first_write", "0.5"), NULL, 0 },
	{ "event_most", TIME, RECENT("first_write", "0.99"), NULL, SLOW_EVENT_S },
	{ "backend_half", TIME, RECENT("backend", "0.5"), NULL, 0 },
	{ "backend_most", TIME, RECENT("backend", "0.99"), NULL, SLOW_BACKEND_S },
	{ "turn_most", TIME, RECENT("turn", "0.99"), NULL, SLOW_TURN_S },
};

static const struct row work[] = {
	{ "accepted", COUNT, "parley_push_accepted_total", "", 0 },
	{ "events", COUNT, "parley_push_events_total", "", 0 },
	{ "deliveries", COUNT, "parley_push_deliveries_total", "", 0 },
	{ "bytes", BYTES, "parley_push_written_bytes_total", "", 0 },
	{ "resumes", COUNT, "parley_push_resumes_ring_total", "", 0 },
	{ "backend_calls", COUNT, "parley_push_backend_calls_total", "", 0 },
};

static const struct row faults[] = {
	{ "resets", COUNT, "parley_push_resets_total", "", .5 },
	{ "regress", COUNT, "parley_push_log_regress_total", "", .5 },
	{ "hints_lost", COUNT, "parley_hints_lost_total", "", 0 },
	{ "gaps", COUNT, "parley_push_gaps_total", "", 0 },
	{ "backfill_failures", COUNT, "parley_push_backfill_failures_total", "", 0 },
	{ "backend_failed", COUNT, "parley_push_backend_failed_total", "", 0 },
	{ "wal", BYTES, "parley_wal_bytes", "", WAL_BYTES_MAX },
	{ "ahead", COUNT, "parley_log_ahead_ms", "", AHEAD_MS_MAX },
};

/* Why connections ended, as far as it says something of them. */
static const char *const reasons[] = { "client", "slow", "stalled", "silent",
	"login", "session", "crowded", "protocol", "life", "restart", "carried",
	"unable", "memory", "refused", "other" };
/* clang-format on */

#define N(list) (sizeof(list) / sizeof((list)[0]))

/* The value as text; whether there is one. */
static bool
value(const struct view *v, const char *text, const struct row *r, double *n,
    char out[FIGURES_SIZE])
{
	if (r->label != NULL)
		*n = figures_sum(text, r->name, r->label);
	else if (figures_get(text, r->name, n) == -1)
		return false;
	switch (r->form) {
	case COUNT:
		figures_count(v->locale, *n, out);
		break;
	case TIME:
		figures_time(v->locale, *n, out);
		break;
	case BYTES:
		figures_bytes(v->locale, *n, out);
		break;
	}
	return true;
}

/* A panel of rows; what is marked adds its line to ${warnings}. */
static void
panel(const struct view *v, const char *text, const char *title,
    const struct row *rows, size_t nrows, struct json_object *panels,
    struct json_object *warnings)
{
	struct json_object *p = json_object_new_object(),
			   *list = json_object_new_array(), *o, *w;
	char out[FIGURES_SIZE];
	size_t i;
	double n;

	for (i = 0; i < nrows; i++) {
		o = json_object_new_object();
		json_put_str(o, "key", rows[i].key);
		n = 0;
		if (value(v, text, &rows[i], &n, out))
			json_put_str(o, "value", out);
		if (rows[i].much > 0 && n > rows[i].much) {
			json_put_bool(o, "warn", true);
			w = json_object_new_object();
			json_put_str(w, "key", rows[i].key);
			json_object_array_add(warnings, w);
		}
		json_object_array_add(list, o);
	}
	json_put_str(p, "title", title);
	json_put(p, "rows", list);
	json_object_array_add(panels, p);
}

/* Returns new [{reason, value}], without those that never were. */
static struct json_object *
ends(const struct view *v, const char *text)
{
	struct json_object *list = json_object_new_array(), *o;
	char label[64], out[FIGURES_SIZE];
	size_t i;
	double n;

	for (i = 0; i < N(reasons); i++) {
		snprintf(label, sizeof(label), "reason=\"%s\"", reasons[i]);
		n = figures_sum(text, "parley_push_ended_total", label);
		if (n < .5)
			continue;
		o = json_object_new_object();
		json_put_str(o, "reason", reasons[i]);
		figures_count(v->locale, n, out);
		json_put_str(o, "value", out);
		json_object_array_add(list, o);
	}
	return list;
}

static void
fill(struct view *v, const char *text)
{
	struct json_object *panels = json_object_new_array(),
			   *warnings = json_object_new_array(),
			   *since = json_object_new_object(), *list;
	double began;

	panel(v, text, "now", now, N(now), panels, warnings);
	panel(v, text, "speed", speed, N(speed), panels, warnings);
	panel(v, text, "work", work, N(work), panels, warnings);
	panel(v, text, "faults", faults, N(faults), panels, warnings);
	json_put_bool(
	    v->model, "well", json_object_array_length(warnings) == 0);
	json_put(v->model, "panels", panels);
	json_put(v->model, "warnings", warnings);
	list = ends(v, text);
	json_put_bool(v->model, "any_ends", json_object_array_length(list) > 0);
	json_put(v->model, "ends", list);
	if (figures_get(text, "parley_push_start_time_seconds", &began) == 0)
		words_when(v, since, (int64_t)began * 1000);
	json_put(v->model, "since", since);
}

/* GET /settings    303 to the first page of them. */
int
settings_page(struct req *rq, struct rsp *rs)
{
	(void)rq;
	return rsp_redirect(rs, "/settings/push");
}

int
settings_begin(struct view *v, struct req *rq, struct rsp *rs, const char *tab,
    const char *title)
{
	struct json_object *tabs;
	int rc = view_open(v, rq, rs, "settings", "settings", title);

	if (rc != STORE_DONE)
		return rc;
	tabs = json_object_new_object();
	json_put_bool(tabs, tab, true);
	json_put(v->model, "tab", tabs);
	return STORE_DONE;
}

int
settings_once(struct req *rq, struct rsp *rs,
    int (*act)(struct req *rq, char path[SETTINGS_PATH]))
{
	const char *key = req_str(rq, "key", 1, 128), *url = NULL;
	char *path = req_alloc(rq, SETTINGS_PATH);
	int rc;

	if (key == NULL)
		return h_invalid(rq, rs);
	rc = path != NULL ? once_begin(rq, key, &url) : STORE_FAILED;
	if (rc == STORE_DONE) {
		path[0] = '\0';
		rc = once_end(rq, key, act(rq, path), path);
		url = path;
	}
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		return h_refuse(rq, rs, rc);
	return rsp_redirect(rs, url);
}

/*
 * GET /settings/push
 * 200 how the live connections are, in the figures of /metrics; also where
 * pushd does not answer, or is not to be.
 */
int
settings_push_page(struct req *rq, struct rsp *rs)
{
	struct json_object *at;
	struct view v;
	struct buf text;
	double up = 0;
	int rc = settings_begin(&v, rq, rs, "push", "push.title");

	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	at = json_object_new_object();
	words_when(&v, at, rq->now_ms);
	json_put(v.model, "at", at);
	metrics_text(rq, &text);
	if (text.err) {
		buf_fini(&text);
		view_drop(&v);
		return rsp_error(rs, 500, "internal", NULL);
	}
	(void)figures_get(text.data, "parley_push_up", &up);
	if (up > 0)
		fill(&v, text.data);
	else if (rq->cf->push_daemon)
		json_put_bool(v.model, "down", true);
	else
		json_put_bool(v.model, "off", true);
	buf_fini(&text);
	return view_end(&v, 200, "settings_push");
}
