/* How channels fare: gathered from what is kept of them anyway. */
#include "store_channel_health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "json.h"
#include "store_channel.h"
#include "store_db.h"

#define NOTED_MS 60000      /* one refusal a minute is written */
#define TEST_LOST_MS 120000 /* who ran it must be dead */
#define DAY_MS (24 * 3600 * 1000LL)
#define CHANNELS_MAX 1000
#define TOLD_DAYS 7 /* an end is near */

/* ---- asking ------------------------------------------------------------- */

/* What one query answers. */
struct facts {
	int64_t inbound_at, sent_at, hold_until;
	int64_t refused, refused_at, error_at;
	char refused_why[64], error[512];
	struct json_object *test; /* owned, or NULL */
};

static int
facts_get(struct store *st, int64_t id, struct facts *f)
{
	static const char sql[] =
	    "SELECT coalesce((SELECT received_at FROM webhook_inbox"
	    "  WHERE channel_id = c.id AND received_at > 0"
	    "  ORDER BY received_at DESC LIMIT 1), 0),"
	    " coalesce((SELECT sent_at FROM deliveries INDEXED BY"
	    "  deliveries_sent WHERE channel_id = c.id AND sent_at IS NOT NULL"
	    "  ORDER BY sent_at DESC LIMIT 1), 0),"
	    " c.hold_until, coalesce(h.refused, 0),"
	    " coalesce(h.refused_at, 0), h.refused_why,"
	    " coalesce(h.error_at, 0), h.error, h.test, h.test_at,"
	    " h.test_result FROM channels c"
	    " LEFT JOIN channel_health h ON h.channel_id = c.id"
	    " WHERE c.id = :id AND c.deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	char state[12];
	int rc;

	memset(f, 0, sizeof *f);
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		f->inbound_at = col_int(q, 0);
		f->sent_at = col_int(q, 1);
		f->hold_until = col_int(q, 2);
		f->refused = col_int(q, 3);
		f->refused_at = col_int(q, 4);
		col_copy(q, 5, f->refused_why, sizeof f->refused_why);
		f->error_at = col_int(q, 6);
		col_copy(q, 7, f->error, sizeof f->error);
		col_copy(q, 8, state, sizeof state);
		if (strcmp(state, "done") == 0)
			f->test = col_json(q, 10);
		else if (*state != '\0')
			f->test = json_object_new_object();
		if (f->test != NULL) {
			json_put_str(f->test, "state", state);
			json_put_int(f->test, "at", col_int(q, 9));
		}
	}
	stmt_end(q);
	return rc;
}

/* Deliveries that wait, and those of which nobody knows. */
static int
counts_get(struct store *st, int64_t id, int64_t *waiting, int64_t *unknown)
{
	static const char sql[] =
	    "SELECT state, count(*) FROM deliveries INDEXED BY deliveries_state"
	    " WHERE state IN ('queued','sending','failed','unknown')"
	    " AND channel_id = :id AND state <> 'failed' GROUP BY state";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	*waiting = *unknown = 0;
	bind_int(q, ":id", id);
	while ((rc = step_row(st, q)) == 1)
		*(strcmp(col_str(q, 0), "unknown") == 0 ? unknown : waiting) +=
		    col_int(q, 1);
	stmt_end(q);
	return rc == -1 ? STORE_FAILED : STORE_DONE;
}

/* How long the token lasts, and what renews it; 0: not known. */
struct token_life {
	int64_t ends_at, renewal_ends_at;
	bool renewable;
};

static struct token_life
token_life(const struct channel_row *row)
{
	const struct channel *ch = channel_find(row->platform);
	struct channel_account ac = {
		.id = row->id, .ch = ch, .config = row->all
	};
	struct token_life life = { 0, 0, false };
	struct http_request rq;

	if (ch == NULL)
		return life;
	if (ch->expires_key != NULL)
		life.ends_at =
		    channel_conf_int(&ac, ch->expires_key, 0, INT64_MAX);
	if (ch->refresh != NULL) {
		http_request_init(&rq, "POST");
		life.renewable = ch->refresh(&ac, &rq) == 1;
		http_request_fini(&rq);
	}
	if (life.renewable && ch->renewal_key != NULL)
		life.renewal_ends_at =
		    channel_conf_int(&ac, ch->renewal_key, 0, INT64_MAX);
	return life;
}

static void
problem(struct json_object *list, bool is, const char *code)
{
	if (is)
		json_object_array_add(list, json_object_new_string(code));
}

/* The worst first. */
static struct json_object *
problems(const struct channel_row *row, const struct facts *f,
    const struct token_life *life, int64_t unknown, int64_t now)
{
	struct json_object *list = json_object_new_array();
	int64_t soon = now + TOLD_DAYS * DAY_MS;
	bool ends = life->ends_at > 0 && !life->renewable;

	problem(list, strcmp(row->state, "off") == 0, "off");
	problem(list, strcmp(row->state, "reauth") == 0, "reauth");
	problem(list, ends && life->ends_at <= now, "token_expired");
	problem(list, ends && life->ends_at > now && life->ends_at <= soon,
	    "token_ends");
	problem(list,
	    life->renewal_ends_at > 0 && life->renewal_ends_at <= soon,
	    "renewal_ends");
	problem(list, f->refused_at > f->inbound_at, "refused");
	problem(list, f->error_at > f->sent_at, "errors");
	problem(list, f->hold_until > now, "held");
	problem(list, unknown > 0, "unconfirmed");
	return list;
}

/* A time, or null. */
static void
put_time(struct json_object *o, const char *key, int64_t at)
{
	if (at > 0)
		json_put_int(o, key, at);
	else
		json_put(o, key, NULL);
}

static void
facts_put(struct json_object *o, struct facts *f, int64_t now)
{
	struct json_object *part = NULL;

	put_time(o, "last_inbound_at", f->inbound_at);
	if (f->refused_at > 0) {
		part = json_object_new_object();
		json_put_int(part, "count", f->refused);
		json_put_int(part, "at", f->refused_at);
		json_put_str(part, "why", f->refused_why);
	}
	json_put(o, "refused", part);
	put_time(o, "last_sent_at", f->sent_at);
	part = NULL;
	if (f->error_at > 0) {
		part = json_object_new_object();
		json_put_int(part, "at", f->error_at);
		json_put_str(part, "text", f->error);
	}
	json_put(o, "last_error", part);
	put_time(o, "hold_until", f->hold_until > now ? f->hold_until : 0);
	json_put(o, "test", f->test);
	f->test = NULL;
}

static int
health_json(struct store *st, int64_t id, struct json_object **out)
{
	int64_t waiting = 0, unknown = 0, now = store_now(st);
	struct channel_row row = { 0 };
	struct facts f = { 0 };
	struct token_life life;
	struct json_object *o;
	int rc;

	if ((rc = store_channel_get(st, id, &row)) == STORE_DONE)
		rc = facts_get(st, id, &f);
	if (rc == STORE_DONE)
		rc = counts_get(st, id, &waiting, &unknown);
	if (rc == STORE_DONE) {
		life = token_life(&row);
		o = json_object_new_object();
		json_put_str(o, "state", row.state);
		json_put_str(o, "state_text",
		    *row.state_text != '\0' ? row.state_text : NULL);
		json_put(
		    o, "problems", problems(&row, &f, &life, unknown, now));
		facts_put(o, &f, now);
		json_put_int(o, "unconfirmed", unknown);
		json_put_int(o, "waiting", waiting);
		put_time(o, "token_expires_at", life.ends_at);
		json_put_bool(o, "token_renewable", life.renewable);
		put_time(o, "renewal_expires_at", life.renewal_ends_at);
		*out = o;
	}
	json_object_put(f.test);
	channel_row_fini(&row);
	return rc;
}

int
store_channel_health(struct store *st, int64_t id, struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = health_json(st, id, out);
	store_read_end(st);
	return rc;
}

/* Count what one channel has. */
static void
problems_count(struct json_object *health, struct json_object *sums)
{
	struct json_object *list = NULL;
	const char *code;
	int64_t n;

	if (json_get_arr(health, "problems", &list) != 1)
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		code =
		    json_object_get_string(json_object_array_get_idx(list, i));
		n = 0;
		(void)json_get_int(sums, code, &n);
		json_put_int(sums, code, n + 1);
	}
}

int
store_channel_problems(struct store *st, struct json_object **out)
{
	static const char *const codes[] = { "off", "reauth", "token_expired",
		"token_ends", "renewal_ends", "refused", "errors", "held",
		"unconfirmed" };
	struct json_object *sums = json_object_new_object(), *o;
	int64_t ids[CHANNELS_MAX];
	size_t n = 0, i;
	int rc = store_read(st) == -1 ? STORE_FAILED : STORE_DONE;

	for (i = 0; i < sizeof codes / sizeof *codes; i++)
		json_put_int(sums, codes[i], 0);
	if (rc == STORE_DONE) {
		rc = store_channel_ids(st, NULL, ids, CHANNELS_MAX, &n);
		for (i = 0; i < n && rc != STORE_FAILED; i++) {
			o = NULL;
			rc = health_json(st, ids[i], &o);
			problems_count(o, sums);
			json_object_put(o);
		}
		store_read_end(st);
	}
	if (rc == STORE_FAILED) {
		json_object_put(sums);
		return STORE_FAILED;
	}
	*out = sums;
	return STORE_DONE;
}

/* ---- noting ------------------------------------------------------------- */

/* Whether a refusal was noted a moment ago; without any lock. */
static int
refused_lately(struct store *st, int64_t id)
{
	static const char sql[] =
	    "SELECT refused_at FROM channel_health WHERE channel_id = :id"
	    " AND refused_at > :since AND refused_at <= :now";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t at;

	bind_int(q, ":id", id);
	bind_int(q, ":since", store_now(st) - NOTED_MS);
	bind_int(q, ":now", store_now(st));
	return step_int(st, q, &at);
}

int
store_channel_refused(struct store *st, int64_t id, int64_t n, const char *why)
{
	static const char sql[] =
	    "INSERT INTO channel_health (channel_id, refused, refused_at,"
	    " refused_why) VALUES (:id, :n, :now, :why) ON CONFLICT DO UPDATE"
	    " SET refused = refused + excluded.refused,"
	    " refused_at = excluded.refused_at,"
	    " refused_why = excluded.refused_why";
	sqlite3_stmt *q;
	int rc;

	if ((rc = refused_lately(st, id)) != 0)
		return rc == 1 ? STORE_REPEATED : STORE_FAILED;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":n", n);
	bind_int(q, ":now", store_now(st));
	bind_str(q, ":why", why);
	return store_end(st, step_done(st, q));
}

int
store_channel_error(struct store *st, int64_t id, const char *why)
{
	static const char sql[] =
	    "INSERT INTO channel_health (channel_id, error_at, error)"
	    " VALUES (:id, :now, :why) ON CONFLICT DO UPDATE"
	    " SET error_at = excluded.error_at, error = excluded.error";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	bind_str(q, ":why", why);
	return store_end(st, step_done(st, q));
}

int
store_channel_told(struct store *st, int64_t id, const char *cause)
{
	static const char sql[] =
	    "INSERT INTO channel_health (channel_id, told) VALUES (:id, :cause)"
	    " ON CONFLICT DO UPDATE SET told = excluded.told"
	    " WHERE told IS NOT excluded.told";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	bind_str(q, ":cause", cause);
	rc = step_done(st, q);
	return rc == STORE_DONE && store_changes(st) == 0 ? STORE_REPEATED : rc;
}

/* ---- tests -------------------------------------------------------------- */

int
store_test_want(struct store *st, int64_t id)
{
	static const char sql[] =
	    "INSERT INTO channel_health (channel_id, test, test_at)"
	    " SELECT id, 'wanted', :now FROM channels"
	    " WHERE id = :id AND deleted_at IS NULL"
	    " ON CONFLICT DO UPDATE SET test = 'wanted', test_at = :now,"
	    " test_result = NULL WHERE coalesce(test, 'done') = 'done'"
	    " OR test_at < :lost OR test_at > :now";
	sqlite3_stmt *q;
	struct channel_row row = { 0 };
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_channel_get(st, id, &row);
	channel_row_fini(&row);
	if (rc == STORE_DONE) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", id);
		bind_int(q, ":now", store_now(st));
		bind_int(q, ":lost", store_now(st) - TEST_LOST_MS);
		rc = step_done(st, q);
		if (rc == STORE_DONE && store_changes(st) == 0)
			rc = STORE_REPEATED;
	}
	return store_end(st, rc);
}

static int
test_first(struct store *st, int64_t *id)
{
	static const char sql[] =
	    "SELECT channel_id FROM channel_health INDEXED BY"
	    " channel_health_test WHERE test = 'wanted' AND channel_id > 0"
	    " ORDER BY channel_id LIMIT 1";

	return step_int(st, store_stmt(st, sql), id);
}

int
store_test_wanted(struct store *st)
{
	int64_t id;

	return test_first(st, &id);
}

int
store_test_take(struct store *st, int64_t *id)
{
	static const char sql[] =
	    "UPDATE channel_health SET test = 'running', test_at = :now"
	    " WHERE channel_id = :id";
	sqlite3_stmt *q;
	int rc;

	/* Without the lock: mostly there is none. */
	if ((rc = test_first(st, id)) != STORE_DONE)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = test_first(st, id)) == STORE_DONE) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", *id);
		bind_int(q, ":now", store_now(st));
		rc = step_done(st, q);
	}
	return store_end(st, rc);
}

int
store_test_done(struct store *st, int64_t id, struct json_object *result)
{
	static const char sql[] =
	    "INSERT INTO channel_health (channel_id, test, test_at,"
	    " test_result) VALUES (:id, 'done', :now, :result)"
	    " ON CONFLICT DO UPDATE SET test = 'done',"
	    " test_at = excluded.test_at, test_result = excluded.test_result";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	bind_json(q, ":result", result);
	return store_end(st, step_done(st, q));
}
