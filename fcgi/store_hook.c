/*
 * Outgoing webhooks as they are kept: who is told of what, what is on its way,
 * and how each try ended.  Sending is hook.c's business.
 */
#include "store_hook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "log.h"
#include "store_db.h"

#define MANUAL_MAX 100 /* tests and replays that wait for one */
#define PURGE_BATCH 500
#define HOOKS_MAX 1000 /* looked at in one go */

const char *const hook_types[] = { "new_message", "note", "message_updated",
	"message_deleted", "message_status", "message_reaction", "read_receipt",
	"new_conversation", "conversation_updated", "customer_created",
	"customer_updated", "customer_deleted", "customer_status",
	"presence_update", "system_notification", NULL };

bool
hook_type_good(const char *s)
{
	for (size_t i = 0; hook_types[i] != NULL; i++)
		if (strcmp(s, hook_types[i]) == 0)
			return true;
	return false;
}

/* ---- what is set -------------------------------------------------------- */

static int
types_set(struct store *st, int64_t id, struct json_object *types)
{
	static const char gone[] =
	    "DELETE FROM webhook_types WHERE webhook_id = :id";
	static const char sql[] =
	    "INSERT OR IGNORE INTO webhook_types (webhook_id, type)"
	    " VALUES (:id, :type)";
	sqlite3_stmt *q;

	if (step_id(st, gone, id) != 1)
		return STORE_FAILED;
	for (size_t i = 0; i < json_object_array_length(types); i++) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", id);
		bind_str(q, ":type",
		    json_object_get_string(
			json_object_array_get_idx(types, i)));
		if (step_done(st, q) != 1)
			return STORE_FAILED;
	}
	return STORE_DONE;
}

static int
hook_insert(struct store *st, const struct who *who, const struct hook_patch *p,
    const char *secret, int64_t most, int64_t *id)
{
	static const char count[] =
	    "SELECT count(*) FROM outgoing_webhooks WHERE id > 0";
	static const char sql[] =
	    "INSERT INTO outgoing_webhooks (name, url, secret, cursor,"
	    " created_by, created_at, updated_at) SELECT :name, :url, :secret,"
	    " last, :by, :now, :now FROM log_state RETURNING id";
	sqlite3_stmt *q = store_stmt(st, count);
	int64_t n;

	if (step_int(st, q, &n) != 1)
		return STORE_FAILED;
	if (n >= most)
		return STORE_REFUSED;
	/* What this very transaction has logged is written at its end. */
	if (store_log_load(st) == -1 || store_log_flush(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":name", p->name);
	bind_str(q, ":url", p->url);
	bind_str(q, ":secret", secret);
	bind_int(q, ":by", who != NULL ? who->id : 0);
	bind_int(q, ":now", store_now(st));
	if (step_int(st, q, id) != 1)
		return STORE_FAILED;
	return types_set(st, *id, p->types);
}

int
store_hook_add(struct store *st, const struct who *who,
    const struct hook_patch *p, const char *secret, int64_t most, int64_t *id)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, hook_insert(st, who, p, secret, most, id));
}

/* Switch it: on, as new; or off, for ${reason}. */
static int
hook_switch(struct store *st, int64_t id, const char *reason)
{
	static const char on[] =
	    "UPDATE outgoing_webhooks SET state = 'on', reason = NULL,"
	    " failures = 0, failing_since = NULL, hold_until = 0,"
	    " updated_at = :now WHERE id = :id AND state <> 'on'";
	static const char off[] =
	    "UPDATE outgoing_webhooks SET state = 'off', reason = :reason,"
	    " updated_at = :now WHERE id = :id AND state <> 'off'";
	static const char due[] =
	    "UPDATE webhook_sends SET due_at = :now, first_at = NULL,"
	    " tries = 0 WHERE webhook_id = :id AND state = 'queued'"
	    " AND manual = 0";
	sqlite3_stmt *q = store_stmt(st, reason == NULL ? on : off);

	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	if (reason != NULL)
		bind_str(q, ":reason", reason);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	if (reason != NULL || store_changes(st) == 0)
		return STORE_DONE;
	q = store_stmt(st, due);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q) == 1 ? STORE_DONE : STORE_FAILED;
}

static int
hook_change(struct store *st, int64_t id, const struct hook_patch *p)
{
	static const char sql[] =
	    "UPDATE outgoing_webhooks SET name = coalesce(:name, name),"
	    " url = coalesce(:url, url), updated_at = :now WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	bind_str(q, ":name", p->name);
	bind_str(q, ":url", p->url);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	rc = store_changes(st) > 0 ? STORE_DONE : STORE_NONE;
	if (rc == STORE_DONE && p->types != NULL)
		rc = types_set(st, id, p->types);
	if (rc == STORE_DONE && p->state != NULL)
		rc = hook_switch(
		    st, id, strcmp(p->state, "on") == 0 ? NULL : "admin");
	return rc;
}

int
store_hook_patch(struct store *st, int64_t id, const struct hook_patch *p)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, hook_change(st, id, p));
}

int
store_hook_secret(struct store *st, int64_t id, const char *secret)
{
	static const char sql[] =
	    "UPDATE outgoing_webhooks SET secret = :secret, updated_at = :now"
	    " WHERE id = :id";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_str(q, ":secret", secret);
	bind_int(q, ":now", store_now(st));
	return store_end(st, step_changed(st, q));
}

int
store_hook_delete(struct store *st, int64_t id)
{
	static const char sql[] =
	    "DELETE FROM outgoing_webhooks WHERE id = :id";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	return store_end(st, step_changed(st, q));
}

/* ---- what is shown ------------------------------------------------------ */

#define HOOK_COLUMNS                                                    \
	"w.id AS \"#id\", w.name AS name, w.url AS url,"                \
	" (SELECT json_group_array(t.type) FROM webhook_types t"        \
	"  WHERE t.webhook_id = w.id) AS \"[types\", w.state AS state," \
	" w.reason AS reason, 'set' AS secret, (SELECT count(*) FROM"   \
	"  (SELECT 1 FROM webhook_sends d WHERE d.webhook_id = w.id"    \
	"   AND d.state IN ('waiting','queued','sending') LIMIT 1000))" \
	" AS waiting, w.failures AS failures,"                          \
	" w.failing_since AS failing_since, w.ok_at AS ok_at,"          \
	" w.created_by AS \"#created_by\", w.created_at AS created_at," \
	" w.updated_at AS updated_at FROM outgoing_webhooks w"

static int
hooks_read(struct store *st, struct json_object **out)
{
	static const char sql[] =
	    "SELECT " HOOK_COLUMNS " WHERE w.id > 0 ORDER BY w.id";
	struct json_object *items = json_object_new_array();

	if (step_list(st, store_stmt(st, sql), HOOKS_MAX, items) == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	return list_json(st, items, NULL, out);
}

int
store_hooks(struct store *st, struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = hooks_read(st, out);
	store_read_end(st);
	return rc;
}

int
store_hook(struct store *st, int64_t id, struct json_object **out)
{
	static const char sql[] = "SELECT " HOOK_COLUMNS " WHERE w.id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1)
		*out = row_json(q);
	stmt_end(q);
	return rc;
}

/* The id an event is sent under. */
#define EVENT_ID "iif(d.event_id = 0, 'test-' || d.id, '' || d.event_id)"

static int
attempts_page(struct store *st, int64_t id, const struct store_page *pg,
    struct json_object **out)
{
	static const char sql[] =
	    "SELECT a.id AS \"#id\", " EVENT_ID " AS event_id, d.type AS type,"
	    " iif(d.lane LIKE 'conversation:%', substr(d.lane, 14), NULL)"
	    " AS conversation_id, d.manual AS \"?manual\","
	    " a.try AS try, a.at AS at, a.took_ms AS took_ms,"
	    " a.status AS status, a.error AS error, a.detail AS detail,"
	    " a.answer AS answer, d.state AS state"
	    " FROM webhook_attempts a LEFT JOIN webhook_sends d"
	    " ON d.id = a.send_id WHERE a.webhook_id = :id AND a.id < :before"
	    " ORDER BY a.id DESC LIMIT :limit";
	static const char there[] =
	    "SELECT id FROM outgoing_webhooks WHERE id = :id";
	struct json_object *items;
	sqlite3_stmt *q = store_stmt(st, there);
	int64_t found;
	char next[24];
	int rc, n = 0;

	bind_int(q, ":id", id);
	if ((rc = step_int(st, q, &found)) != 1)
		return rc;
	items = json_object_new_array();
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":before", pg->before != 0 ? pg->before : INT64_MAX);
	bind_int(q, ":limit", (int64_t)pg->limit + 1);
	while ((rc = step_row(st, q)) == 1 && n++ < pg->limit) {
		snprintf(next, sizeof next, "%lld", (long long)col_int(q, 0));
		json_object_array_add(items, row_json(q));
	}
	stmt_end(q);
	if (rc == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	return list_json(st, items, rc == 1 ? next : NULL, out);
}

int
store_hook_attempts(struct store *st, int64_t id, const struct store_page *pg,
    struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = attempts_page(st, id, pg, out);
	store_read_end(st);
	return rc;
}

/* ---- tests and replays -------------------------------------------------- */

static int
manual_insert(struct store *st, int64_t id, int64_t event, const char *type,
    const char *lane, char event_id[32])
{
	static const char count[] =
	    "SELECT count(*) FROM (SELECT 1 FROM webhook_sends"
	    " WHERE webhook_id = :id AND manual = 1 AND state = 'queued'"
	    " LIMIT :most)";
	static const char sql[] =
	    "INSERT INTO webhook_sends (webhook_id, event_id, type, lane,"
	    " manual, state, due_at, created_at)"
	    " SELECT id, :event, :type, :lane, 1, 'queued', :now, :now"
	    " FROM outgoing_webhooks WHERE id = :id RETURNING id";
	sqlite3_stmt *q = store_stmt(st, count);
	int64_t n, send;
	int rc;

	bind_int(q, ":id", id);
	bind_int(q, ":most", MANUAL_MAX);
	if (step_int(st, q, &n) != 1)
		return STORE_FAILED;
	if (n >= MANUAL_MAX)
		return STORE_REFUSED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":event", event);
	bind_str(q, ":type", type);
	bind_str(q, ":lane", lane);
	bind_int(q, ":now", store_now(st));
	if ((rc = step_int(st, q, &send)) != 1)
		return rc;
	if (event == 0)
		snprintf(event_id, 32, "test-%lld", (long long)send);
	else
		snprintf(event_id, 32, "%lld", (long long)event);
	return STORE_DONE;
}

int
store_hook_test(struct store *st, int64_t id, char event_id[32])
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(
	    st, manual_insert(st, id, 0, "webhook_test", NULL, event_id));
}

static int
replay_insert(struct store *st, int64_t id, int64_t attempt, char event_id[32])
{
	static const char sql[] =
	    "SELECT d.event_id, d.type, d.lane, d.event_id = 0 OR"
	    " EXISTS (SELECT 1 FROM events e WHERE e.id = d.event_id)"
	    " FROM webhook_attempts a JOIN webhook_sends d ON d.id = a.send_id"
	    " WHERE a.id = :attempt AND a.webhook_id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	char type[HOOK_TYPE_MAX], lane[40];
	int64_t event = 0;
	bool there = false;
	int rc;

	bind_int(q, ":id", id);
	bind_int(q, ":attempt", attempt);
	if ((rc = step_row(st, q)) == 1) {
		event = col_int(q, 0);
		col_copy(q, 1, type, sizeof type);
		col_copy(q, 2, lane, sizeof lane);
		there = col_int(q, 3) != 0;
	}
	stmt_end(q);
	if (rc != 1)
		return rc;
	if (!there)
		return STORE_REFUSED;
	return manual_insert(
	    st, id, event, type, lane[0] != '\0' ? lane : NULL, event_id);
}

int
store_hook_replay(
    struct store *st, int64_t id, int64_t attempt, char event_id[32])
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, replay_insert(st, id, attempt, event_id));
}

/* ---- following the log -------------------------------------------------- */

/* What one of them wants. */
struct follower {
	int64_t id, cursor;
	struct json_object *types;
};

static bool
wants(const struct follower *f, const char *type)
{
	for (size_t i = 0; i < json_object_array_length(f->types); i++)
		if (strcmp(type, json_object_get_string(
				     json_object_array_get_idx(f->types, i))) ==
		    0)
			return true;
	return false;
}

/* Whether it wants that event; notes are a matter of their own. */
static bool
wanted(const struct follower *f, const char *type, struct json_object *data)
{
	const char *kind = "";

	if (strcmp(type, "new_message") == 0 ||
	    strcmp(type, "message_updated") == 0) {
		(void)json_get_str(data, "type", &kind, NULL);
		if (strcmp(kind, "note") == 0)
			return wants(f, "note");
	}
	return hook_type_good(type) && wants(f, type);
}

/* What events go one after the other; "" is none. */
static void
lane_of(const char *type, struct json_object *data, char out[40])
{
	const char *kind = NULL, *key = NULL;
	int64_t id;

	if (strcmp(type, "new_conversation") == 0 ||
	    strcmp(type, "conversation_updated") == 0) {
		kind = "conversation";
		key = "id";
	} else if (json_get_id(data, "conversation_id", &id) == 1) {
		kind = "conversation";
		key = "conversation_id";
	} else if (strcmp(type, "customer_status") == 0) {
		kind = "customer";
		key = "customer_id";
	} else if (strncmp(type, "customer_", 9) == 0) {
		kind = "customer";
		key = "id";
	} else if (strcmp(type, "presence_update") == 0) {
		kind = "user";
		key = "user_id";
	}
	out[0] = '\0';
	if (key != NULL && json_get_id(data, key, &id) == 1)
		snprintf(out, 40, "%s:%lld", kind, (long long)id);
}

static int
send_insert(struct store *st, int64_t hook, int64_t event, const char *type,
    const char *lane)
{
	static const char sql[] =
	    "INSERT INTO webhook_sends (webhook_id, event_id, type, lane, state,"
	    " due_at, created_at) VALUES (:hook, :event, :type, :lane,"
	    " iif(EXISTS (SELECT 1 FROM webhook_sends o"
	    "  WHERE o.webhook_id = :hook AND o.lane = :lane AND o.manual = 0"
	    "  AND o.state IN ('waiting','queued','sending')),"
	    " 'waiting', 'queued'), :now, :now)";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":hook", hook);
	bind_int(q, ":event", event);
	bind_str(q, ":type", type);
	bind_str(q, ":lane", lane[0] != '\0' ? lane : NULL);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q) == 1 ? STORE_DONE : STORE_FAILED;
}

static int
attempt_insert(struct store *st, int64_t hook, int64_t send, int64_t tries,
    const struct hook_end *e)
{
	static const char sql[] =
	    "INSERT INTO webhook_attempts (webhook_id, send_id, try, at,"
	    " took_ms, status, error, detail, answer) VALUES (:hook, :send,"
	    " :try, :now, :took, :status, :error, :detail, :answer)";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":hook", hook);
	bind_id(q, ":send", send);
	bind_id(q, ":try", tries);
	bind_int(q, ":now", store_now(st));
	if (e->took_ms >= 0)
		bind_int(q, ":took", e->took_ms);
	bind_id(q, ":status", e->status);
	bind_str(q, ":error", e->error);
	bind_str(q, ":detail", e->detail);
	bind_str(q, ":answer", e->answer);
	return step_done(st, q) == 1 ? STORE_DONE : STORE_FAILED;
}

static int
cursor_set(struct store *st, int64_t hook, int64_t cursor)
{
	static const char sql[] =
	    "UPDATE outgoing_webhooks SET cursor = :cursor WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", hook);
	bind_int(q, ":cursor", cursor);
	return step_done(st, q) == 1 ? STORE_DONE : STORE_FAILED;
}

/* The log does not go back that far: say so, and go on from its beginning. */
static int
follow_lost(struct store *st, struct follower *f)
{
	struct hook_end e = { .error = "events_lost", .took_ms = -1 };
	struct log_state s;

	if (store_log_state(st, &s) != STORE_DONE)
		return STORE_FAILED;
	log_warn("webhook missed events id=%lld", (long long)f->id);
	f->cursor = f->cursor < s.floor ? s.floor : s.head;
	return attempt_insert(st, f->id, 0, 0, &e);
}

/* The next ${most} events of one.  How many it wants, or -1. */
static int64_t
follow(struct store *st, struct follower *f, int most)
{
	/* What every admin sees: customers, and nothing of one user's own. */
	static const struct who anyone = { .kind = WHO_USER, .admin = true };
	struct json_object *items = NULL, *e, *data;
	const char *type;
	struct log_page pg;
	char lane[40];
	int64_t n = 0, id;
	int rc;

	rc = store_cursor(st, f->cursor);
	if (rc == STORE_NONE)
		rc = follow_lost(st, f);
	if (rc != STORE_DONE || store_events_since(st, &anyone, f->cursor, 0,
				    most, &items, &pg) != STORE_DONE)
		return -1;
	for (size_t i = 0; i < json_object_array_length(items); i++) {
		e = json_object_array_get_idx(items, i);
		data = NULL;
		if (json_get_str(e, "type", &type, NULL) != 1 ||
		    json_get_id(e, "id", &id) != 1 ||
		    json_get_obj(e, "data", &data) != 1 ||
		    !wanted(f, type, data))
			continue;
		lane_of(type, data, lane);
		if (send_insert(st, f->id, id, type, lane) != STORE_DONE) {
			json_object_put(items);
			return -1;
		}
		n++;
	}
	json_object_put(items);
	return cursor_set(st, f->id, pg.last) == STORE_DONE ? n : -1;
}

/* The next one after ${id} that is behind and has room for more. */
static int
follower_next(
    struct store *st, int64_t id, int64_t wait_max, struct follower *f)
{
	static const char sql[] =
	    "SELECT w.id, w.cursor, (SELECT json_group_array(t.type)"
	    "  FROM webhook_types t WHERE t.webhook_id = w.id)"
	    " FROM outgoing_webhooks w WHERE w.id > :id AND w.state = 'on'"
	    " AND w.cursor < (SELECT last FROM log_state)"
	    " AND (SELECT count(*) FROM (SELECT 1 FROM webhook_sends d"
	    "  WHERE d.webhook_id = w.id"
	    "  AND d.state IN ('waiting','queued','sending') LIMIT :most))"
	    " < :most ORDER BY w.id LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	bind_int(q, ":most", wait_max);
	if ((rc = step_row(st, q)) == 1) {
		f->id = col_int(q, 0);
		f->cursor = col_int(q, 1);
		f->types = col_json(q, 2);
	}
	stmt_end(q);
	return rc;
}

int
store_hooks_behind(struct store *st, int64_t wait_max)
{
	struct follower f = { 0 };
	int rc = follower_next(st, 0, wait_max, &f);

	json_object_put(f.types);
	return rc;
}

int
store_hooks_fan(struct store *st, int most, int64_t wait_max, int64_t *n)
{
	struct follower f = { 0 };
	int64_t got = 0;
	int rc;

	*n = 0;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	while ((rc = follower_next(st, f.id, wait_max, &f)) == 1) {
		got = follow(st, &f, most);
		json_object_put(f.types);
		if (got == -1)
			break;
		*n += got;
	}
	return store_end(st, got == -1 || rc == -1 ? STORE_FAILED : STORE_DONE);
}

/* ---- sending ------------------------------------------------------------ */

void
hook_send_fini(struct hook_send *s)
{
	json_object_put(s->data);
	free(s->url);
	memset(s, 0, sizeof *s);
}

int
store_hooks_next(struct store *st, int64_t *at)
{
	static const char sql[] =
	    "SELECT min(min("
	    " iif(w.state = 'on' AND w.cursor < (SELECT last FROM log_state),"
	    "  :now, :never), coalesce((SELECT d.due_at FROM webhook_sends d"
	    "   WHERE d.webhook_id = w.id AND d.manual = 1"
	    "   AND d.state = 'queued' ORDER BY d.due_at LIMIT 1), :never),"
	    " iif(w.state = 'on', max(w.hold_until,"
	    "  coalesce((SELECT d.due_at FROM webhook_sends d"
	    "   WHERE d.webhook_id = w.id AND d.manual = 0"
	    "   AND d.state = 'queued' ORDER BY d.due_at LIMIT 1), :never)),"
	    "  :never))) FROM outgoing_webhooks w WHERE w.id > 0";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":now", store_now(st));
	bind_int(q, ":never", INT64_MAX);
	if (step_int(st, q, at) == -1)
		return STORE_FAILED;
	return *at > 0 && *at < INT64_MAX ? STORE_DONE : STORE_NONE;
}

int
store_hooks_due(struct store *st, struct hook_due *due, size_t most, size_t *n)
{
	static const char sql[] =
	    "SELECT w.id, w.failures, w.url FROM outgoing_webhooks w"
	    " WHERE w.id > 0"
	    " AND (EXISTS (SELECT 1 FROM webhook_sends d"
	    "   WHERE d.webhook_id = w.id AND d.manual = 1"
	    "   AND d.state = 'queued' AND d.due_at <= :now)"
	    "  OR w.state = 'on' AND w.hold_until <= :now"
	    "   AND EXISTS (SELECT 1 FROM webhook_sends d"
	    "   WHERE d.webhook_id = w.id AND d.manual = 0"
	    "   AND d.state = 'queued' AND d.due_at <= :now))"
	    " ORDER BY w.id LIMIT :most";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc = 0;

	*n = 0;
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":most", (int64_t)most);
	while (*n < most && (rc = step_row(st, q)) == 1) {
		due[*n].hook = col_int(q, 0);
		due[*n].failures = col_int(q, 1);
		col_copy(q, 2, due[*n].url, sizeof due[*n].url);
		++*n;
	}
	stmt_end(q);
	return rc == -1 ? STORE_FAILED : *n > 0 ? STORE_DONE : STORE_NONE;
}

int
store_hook_counts(struct store *st, struct hook_counts *n)
{
	static const char sql[] =
	    "SELECT ok, failed, (SELECT count(*) FROM webhook_sends"
	    "  INDEXED BY webhook_sends_lane WHERE webhook_id > 0"
	    "  AND state IN ('waiting','queued','sending'))"
	    " FROM webhook_total WHERE one = 0";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(n, 0, sizeof *n);
	if ((rc = step_row(st, q)) == 1) {
		n->ok = col_int(q, 0);
		n->failed = col_int(q, 1);
		n->waiting = col_int(q, 2);
	}
	stmt_end(q);
	return rc;
}

/* The oldest one that is due. */
static int
claim_one(struct store *st, int64_t hook, bool manual, const char *by,
    int64_t lease_ms, struct hook_send *s)
{
	static const char sql[] =
	    "UPDATE webhook_sends SET state = 'sending', tries = tries + 1,"
	    " first_at = coalesce(first_at, :now), lease_by = :by,"
	    " lease_until = :until WHERE id = (SELECT d.id FROM"
	    "  webhook_sends d WHERE d.webhook_id = :hook"
	    "  AND d.manual = :manual AND d.state = 'queued'"
	    "  AND d.due_at <= :now ORDER BY d.due_at, d.id LIMIT 1)"
	    " AND EXISTS (SELECT 1 FROM outgoing_webhooks w"
	    "  WHERE w.id = :hook AND (:manual = 1 OR w.state = 'on'"
	    "   AND w.hold_until <= :now))"
	    " RETURNING id, event_id, type, tries";
	static const char hook_sql[] =
	    "SELECT url, secret FROM outgoing_webhooks WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(s, 0, sizeof *s);
	s->hook = hook;
	s->manual = manual;
	bind_int(q, ":hook", hook);
	bind_int(q, ":manual", manual);
	bind_str(q, ":by", by);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":until", store_now(st) + lease_ms);
	if ((rc = step_row(st, q)) == 1) {
		s->id = col_int(q, 0);
		s->event = col_int(q, 1);
		col_copy(q, 2, s->type, sizeof s->type);
		s->tries = col_int(q, 3);
	}
	stmt_end(q);
	if (rc != 1)
		return rc;
	snprintf(s->event_id, sizeof s->event_id,
	    s->event != 0 ? "%lld" : "test-%lld",
	    (long long)(s->event != 0 ? s->event : s->id));
	q = store_stmt(st, hook_sql);
	bind_int(q, ":id", hook);
	if ((rc = step_row(st, q)) == 1) {
		s->url = strdup(col_str(q, 0));
		col_copy(q, 1, s->secret, sizeof s->secret);
	}
	stmt_end(q);
	if (rc != 1 || s->url == NULL)
		return STORE_FAILED;
	if (s->event == 0)
		s->data = json_object_new_object();
	else if (store_event_data(st, s->event, &s->data) == STORE_FAILED)
		return STORE_FAILED;
	return STORE_DONE;
}

int
store_hook_claim(struct store *st, int64_t hook, const char *by,
    int64_t lease_ms, struct hook_send *list, size_t most, size_t *n)
{
	int rc = STORE_DONE;

	*n = 0;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	/* What somebody waits for goes first. */
	for (int manual = 1; manual >= 0 && rc != STORE_FAILED; manual--)
		while (*n < most) {
			rc = claim_one(
			    st, hook, manual == 1, by, lease_ms, &list[*n]);
			if (rc != STORE_DONE) {
				hook_send_fini(&list[*n]);
				break;
			}
			(*n)++;
		}
	if (rc == STORE_NONE)
		rc = STORE_DONE;
	rc = store_end(st, rc);
	while (rc != STORE_DONE && *n > 0)
		hook_send_fini(&list[--*n]);
	return rc == STORE_DONE && *n == 0 ? STORE_NONE : rc;
}

/* ---- how it ended ------------------------------------------------------- */

/* What the end of a try is judged by. */
struct tried {
	int64_t hook, tries, first_at;
	bool manual;
	char lane[40];
	char state[8]; /* of the webhook */
	int64_t failing_since;
};

static int
tried_get(struct store *st, int64_t id, const char *by, struct tried *t)
{
	static const char sql[] =
	    "SELECT d.webhook_id, d.tries, d.first_at, d.manual, d.lane,"
	    " w.state, w.failing_since FROM webhook_sends d"
	    " JOIN outgoing_webhooks w ON w.id = d.webhook_id"
	    " WHERE d.id = :id AND d.state = 'sending' AND d.lease_by = :by";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	bind_str(q, ":by", by);
	if ((rc = step_row(st, q)) == 1) {
		t->hook = col_int(q, 0);
		t->tries = col_int(q, 1);
		t->first_at = col_int(q, 2);
		t->manual = col_int(q, 3) != 0;
		col_copy(q, 4, t->lane, sizeof t->lane);
		col_copy(q, 5, t->state, sizeof t->state);
		t->failing_since = col_int(q, 6);
	}
	stmt_end(q);
	return rc;
}

/* It goes no further; the next of its lane may. */
static int
send_over(
    struct store *st, int64_t id, const struct tried *t, const char *state)
{
	static const char sql[] =
	    "UPDATE webhook_sends SET state = :state, ended_at = :now,"
	    " lease_by = NULL, lease_until = NULL WHERE id = :id";
	static const char next[] =
	    "UPDATE webhook_sends SET state = 'queued', due_at = :now"
	    " WHERE id = (SELECT d.id FROM webhook_sends d"
	    "  WHERE d.webhook_id = :hook AND d.lane = :lane"
	    "  AND d.manual = 0 AND d.state IN ('waiting','queued','sending')"
	    "  ORDER BY d.id LIMIT 1) AND state = 'waiting'";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_str(q, ":state", state);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	if (t->lane[0] == '\0' || t->manual)
		return STORE_DONE;
	q = store_stmt(st, next);
	bind_int(q, ":hook", t->hook);
	bind_str(q, ":lane", t->lane);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q) == 1 ? STORE_DONE : STORE_FAILED;
}

static int
send_again(struct store *st, int64_t id, int64_t pause_ms)
{
	static const char sql[] =
	    "UPDATE webhook_sends SET state = 'queued', due_at = :due,"
	    " lease_by = NULL, lease_until = NULL WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_int(q, ":due", store_now(st) + pause_ms);
	return step_done(st, q) == 1 ? STORE_DONE : STORE_FAILED;
}

static int
hook_good(struct store *st, int64_t hook)
{
	static const char sql[] =
	    "UPDATE outgoing_webhooks SET failures = 0, failing_since = NULL,"
	    " hold_until = 0, ok_at = :now WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", hook);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q) == 1 ? STORE_DONE : STORE_FAILED;
}

static int
hook_bad(struct store *st, int64_t hook, int64_t hold_ms)
{
	static const char sql[] =
	    "UPDATE outgoing_webhooks SET failures = failures + 1,"
	    " failing_since = coalesce(failing_since, :now),"
	    " hold_until = max(hold_until, :hold) WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", hook);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":hold", hold_ms > 0 ? store_now(st) + hold_ms : 0);
	return step_done(st, q) == 1 ? STORE_DONE : STORE_FAILED;
}

/* Switch it off and tell the people. */
static int
hook_off(struct store *st, int64_t hook, const char *reason)
{
	static const char sql[] =
	    "SELECT name FROM outgoing_webhooks WHERE id = :id";
	static const char *const rooms[] = { "inbox" };
	struct json_object *data;
	sqlite3_stmt *q;
	char text[1000] = "";
	int rc;

	if (hook_switch(st, hook, reason) != STORE_DONE)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", hook);
	if ((rc = step_row(st, q)) == 1)
		snprintf(text, sizeof text, "%s: %s", col_str(q, 0),
		    strcmp(reason, "gone") == 0
			? "the receiver wants nothing any more (410)"
			: "the receiver has failed for too long");
	stmt_end(q);
	if (rc != 1)
		return STORE_FAILED;
	log_warn("webhook off id=%lld why=%s", (long long)hook, reason);
	data = json_object_new_object();
	json_put_str(data, "level", "error");
	json_put_str(data, "message", text);
	json_put_str(data, "action", "webhook");
	json_put_id(data, "webhook_id", hook);
	rc = store_event_add(
	    st, "system_notification", data, NULL, rooms, 1, NULL);
	json_object_put(data);
	return rc;
}

/* A try that failed: again later, or not; and perhaps nothing ever again. */
static int
failed(struct store *st, const struct hook_end *e, const struct tried *t)
{
	int64_t now = store_now(st);
	bool off;

	if (t->manual || e->over)
		return send_over(st, e->id, t, "failed");
	if (hook_bad(st, t->hook, e->hold_ms) != STORE_DONE)
		return STORE_FAILED;
	off = strcmp(t->state, "on") == 0 &&
	      (e->gone || (t->failing_since != 0 &&
			      now - t->failing_since >= e->failing_ms));
	if (off &&
	    hook_off(st, t->hook, e->gone ? "gone" : "failing") != STORE_DONE)
		return STORE_FAILED;
	/* One alone that never goes does not hold up its lane for ever. */
	if (!off && strcmp(t->state, "on") == 0 &&
	    now - t->first_at >= e->failing_ms)
		return send_over(st, e->id, t, "failed");
	return send_again(st, e->id, e->pause_ms);
}

int
store_hook_end(struct store *st, const char *by, const struct hook_end *e)
{
	struct tried t;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = tried_get(st, e->id, by, &t);
	if (rc == STORE_DONE)
		rc = attempt_insert(st, t.hook, e->id, t.tries, e);
	if (rc == STORE_DONE && e->good) {
		rc = send_over(st, e->id, &t, "sent");
		if (rc == STORE_DONE)
			rc = hook_good(st, t.hook);
	} else if (rc == STORE_DONE) {
		rc = failed(st, e, &t);
	}
	return store_end(st, rc);
}

static int
lapsed(struct store *st, int64_t *n)
{
	static const char note[] =
	    "INSERT INTO webhook_attempts (webhook_id, send_id, try, at, error)"
	    " SELECT webhook_id, id, tries, :now, 'worker_lost'"
	    " FROM webhook_sends WHERE state = 'sending' AND lease_until < :now";
	static const char sql[] =
	    "UPDATE webhook_sends SET state = 'queued', due_at = :now,"
	    " lease_by = NULL, lease_until = NULL"
	    " WHERE state = 'sending' AND lease_until < :now";
	sqlite3_stmt *q = store_stmt(st, note);

	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	*n = store_changes(st);
	return STORE_DONE;
}

int
store_hooks_lapsed(struct store *st, int64_t *n)
{
	static const char sql[] =
	    "SELECT 1 FROM webhook_sends WHERE state = 'sending'"
	    " AND lease_until < :now LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;
	int rc;

	*n = 0;
	bind_int(q, ":now", store_now(st));
	if ((rc = step_int(st, q, &one)) != 1)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, lapsed(st, n));
}

int
store_hook_purge(struct store *st, int64_t before)
{
	static const char sends[] =
	    "DELETE FROM webhook_sends WHERE id IN (SELECT id FROM"
	    " webhook_sends WHERE ended_at < :before AND ended_at IS NOT NULL"
	    " LIMIT :most)";
	static const char notices[] =
	    "DELETE FROM webhook_attempts WHERE send_id IS NULL"
	    " AND at < :before";
	static const char any[] =
	    "SELECT 1 FROM webhook_sends WHERE ended_at < :before"
	    " AND ended_at IS NOT NULL UNION ALL SELECT 1 FROM"
	    " webhook_attempts WHERE send_id IS NULL AND at < :before LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, any);
	int64_t one;
	int rc;

	bind_int(q, ":before", before);
	if ((rc = step_int(st, q, &one)) != 1)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, notices);
	bind_int(q, ":before", before);
	rc = step_done(st, q);
	if (rc == 1) {
		q = store_stmt(st, sends);
		bind_int(q, ":before", before);
		bind_int(q, ":most", PURGE_BATCH);
		rc = step_done(st, q);
	}
	return store_end(st, rc == 1 ? STORE_DONE : STORE_FAILED);
}
