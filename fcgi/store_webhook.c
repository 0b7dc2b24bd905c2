/* Webhooks as they came, and which of them is to be thought about next. */
#include "store_webhook.h"

#include <stdlib.h>
#include <string.h>

#include "store_db.h"
#include "token.h"

#define WEBHOOK_BATCH 500

void
webhook_row_fini(struct webhook_row *w)
{
	free(w->body);
	w->body = NULL;
	w->len = 0;
}

int
store_webhook_add(struct store *st, int64_t channel, const void *body,
    size_t len, int64_t *id)
{
	static const char find_sql[] =
	    "SELECT id FROM webhook_inbox WHERE channel_id = :channel"
	    " AND body_hash = :hash";
	static const char sql[] =
	    "INSERT INTO webhook_inbox (channel_id, body_hash, body, state,"
	    " received_at) VALUES (:channel, :hash, :body, 'new', :now)"
	    " RETURNING id";
	char hash[TOKEN_HASH_SIZE];
	sqlite3_stmt *q;
	int rc;

	token_hash(body, len, hash);
	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, find_sql);
	bind_int(q, ":channel", channel);
	bind_str(q, ":hash", hash);
	rc = step_int(st, q, id);
	if (rc == 1)
		return store_end(st, STORE_REPEATED);
	if (rc == 0) {
		q = store_stmt(st, sql);
		bind_int(q, ":channel", channel);
		bind_str(q, ":hash", hash);
		bind_blob(q, ":body", body, len);
		bind_int(q, ":now", store_now(st));
		rc = step_int(st, q, id);
	}
	return store_end(st, rc);
}

int
store_webhook_head(struct store *st, int64_t *id, int64_t *since)
{
	static const char sql[] =
	    "SELECT id, received_at FROM webhook_inbox"
	    " WHERE state = 'new' AND id > 0 ORDER BY id LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc = step_row(st, q);

	if (rc == 1) {
		*id = col_int(q, 0);
		*since = col_int(q, 1);
	}
	stmt_end(q);
	return rc;
}

int
store_webhook_next(struct store *st, struct webhook_row *w)
{
	int64_t id, since;
	int rc = store_webhook_head(st, &id, &since);

	return rc == STORE_DONE ? store_webhook_get(st, id, w) : rc;
}

int
store_webhook_get(struct store *st, int64_t id, struct webhook_row *w)
{
	static const char sql[] =
	    "SELECT id, channel_id, received_at, tries, state, error, body,"
	    " next_item, missed"
	    " FROM webhook_inbox WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(w, 0, sizeof *w);
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		w->id = col_int(q, 0);
		w->channel = col_int(q, 1);
		w->received_at = col_int(q, 2);
		w->tries = col_int(q, 3);
		col_copy(q, 4, w->state, sizeof w->state);
		col_copy(q, 5, w->error, sizeof w->error);
		w->next_item = (size_t)col_int(q, 7);
		w->missed = (size_t)col_int(q, 8);
		w->len = (size_t)sqlite3_column_bytes(q, 6);
		if ((w->body = malloc(w->len + 1)) == NULL)
			rc = store_failed(st, "webhook", SQLITE_NOMEM);
		else {
			if (w->len > 0)
				memcpy(
				    w->body, sqlite3_column_blob(q, 6), w->len);
			w->body[w->len] = '\0';
		}
	}
	stmt_end(q);
	return rc;
}

/* Run the change of one row; NONE: it is not there. */
static int
webhook_change(struct store *st, sqlite3_stmt *q, int64_t id)
{

	bind_int(q, ":id", id);
	return step_changed(st, q);
}

int
store_webhook_done(struct store *st, int64_t id, const char *state)
{
	static const char sql[] =
	    "UPDATE webhook_inbox SET state = :state, done_at = :now,"
	    " due_at = NULL, error = NULL, body = CASE WHEN EXISTS"
	    "  (SELECT 1 FROM messages m WHERE m.inbox_id = :id"
	    "   AND m.deleted_at IS NOT NULL) THEN x'' ELSE body END"
	    " WHERE id = :id";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":state", state);
	bind_int(q, ":now", store_now(st));
	return store_end(st, webhook_change(st, q, id));
}

int
store_webhook_failed(struct store *st, int64_t id, const char *why,
    int64_t tries, int64_t due_at)
{
	static const char sql[] =
	    "UPDATE webhook_inbox SET state = 'failed', tries = :tries,"
	    " error = :why, due_at = :due, done_at = :now, next_item = 0,"
	    " missed = 0 WHERE id = :id";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":why", why);
	bind_int(q, ":tries", tries);
	bind_id(q, ":due", due_at);
	bind_int(q, ":now", store_now(st));
	return store_end(st, webhook_change(st, q, id));
}

int
store_webhook_partly(struct store *st, int64_t id, size_t next_item,
    size_t missed, int64_t tries)
{
	static const char sql[] =
	    "UPDATE webhook_inbox SET next_item = :next, missed = :missed,"
	    " tries = :tries, error = NULL WHERE id = :id AND state = 'new'";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":next", (int64_t)next_item);
	bind_int(q, ":missed", (int64_t)missed);
	bind_int(q, ":tries", tries);
	return store_end(st, webhook_change(st, q, id));
}

int
store_webhook_tried(struct store *st, int64_t id)
{
	static const char sql[] =
	    "UPDATE webhook_inbox SET tries = tries + 1, error = :mark"
	    " WHERE id = :id AND state = 'new'";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":mark", WEBHOOK_TRIED);
	return store_end(st, webhook_change(st, q, id));
}

int
store_webhook_due(struct store *st, int64_t *at)
{
	static const char sql[] = "SELECT due_at FROM webhook_inbox"
				  " WHERE due_at > 0 ORDER BY due_at LIMIT 1";

	return step_int(st, store_stmt(st, sql), at);
}

int
store_webhook_renew(struct store *st)
{
	static const char sql[] =
	    "UPDATE webhook_inbox SET state = 'new', due_at = NULL"
	    " WHERE id IN (SELECT id FROM webhook_inbox"
	    "  WHERE due_at > 0 AND due_at <= :now LIMIT :batch)";
	int64_t at;
	sqlite3_stmt *q;
	int rc = store_webhook_due(st, &at);

	if (rc != STORE_DONE || at > store_now(st))
		return rc == STORE_FAILED ? rc : STORE_NONE;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":batch", WEBHOOK_BATCH);
	return store_end(st, step_done(st, q));
}

int
store_webhook_again(struct store *st, int64_t id)
{
	static const char sql[] =
	    "UPDATE webhook_inbox SET state = 'new', due_at = NULL,"
	    " error = NULL, tries = 0, next_item = 0, missed = 0"
	    " WHERE id = :id AND length(body) > 0";
	static const char find_sql[] =
	    "SELECT 1 FROM webhook_inbox WHERE id = :id";
	sqlite3_stmt *q;
	int64_t one;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = webhook_change(st, store_stmt(st, sql), id);
	if (rc == STORE_NONE) {
		q = store_stmt(st, find_sql);
		bind_int(q, ":id", id);
		if ((rc = step_int(st, q, &one)) == STORE_DONE)
			rc = STORE_REFUSED;
	}
	return store_end(st, rc);
}

#define WEBHOOK_COLUMNS                                                \
	"SELECT w.id AS id, w.channel_id AS channel_id,"               \
	" c.platform AS platform, w.state AS state, w.tries AS tries," \
	" w.error AS error, w.received_at AS received_at,"             \
	" length(w.body) AS bytes"                                     \
	" FROM webhook_inbox w CROSS JOIN channels c ON c.id = w.channel_id"
#define WEBHOOK_ORDER " w.id < :before ORDER BY w.id DESC LIMIT :limit"

int
store_webhooks(struct store *st, const char *state, int64_t before, int limit,
    struct json_object **out)
{
	static const char all_sql[] = WEBHOOK_COLUMNS " WHERE" WEBHOOK_ORDER;
	static const char new_sql[] =
	    WEBHOOK_COLUMNS " WHERE w.state = 'new' AND" WEBHOOK_ORDER;
	static const char failed_sql[] =
	    WEBHOOK_COLUMNS " WHERE w.state = 'failed' AND" WEBHOOK_ORDER;
	struct json_object *list = json_object_new_array();
	sqlite3_stmt *q;

	q = store_stmt(st, state == NULL               ? all_sql
			   : strcmp(state, "new") == 0 ? new_sql
						       : failed_sql);
	bind_int(q, ":before", before > 0 ? before : INT64_MAX);
	bind_int(q, ":limit", limit);
	if (step_list(st, q, limit, list) == -1) {
		json_object_put(list);
		return STORE_FAILED;
	}
	*out = list;
	return STORE_DONE;
}

int
store_webhook_seen(struct store *st, int64_t channel, const char *key)
{
	static const char sql[] =
	    "INSERT INTO webhook_seen (channel_id, key, seen_at)"
	    " VALUES (:channel, :key, :now) ON CONFLICT DO NOTHING";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":channel", channel);
	bind_str(q, ":key", key);
	bind_int(q, ":now", store_now(st));
	rc = step_done(st, q);
	if (rc == STORE_DONE && store_changes(st) == 0)
		rc = STORE_REPEATED;
	return store_end(st, rc);
}

int
store_webhook_purge(struct store *st, int64_t older_ms)
{
	static const char inbox_sql[] =
	    "DELETE FROM webhook_inbox WHERE id IN (SELECT id"
	    " FROM webhook_inbox WHERE received_at < :before"
	    " AND state <> 'new' LIMIT :batch)";
	static const char seen_sql[] =
	    "DELETE FROM webhook_seen WHERE (channel_id, key) IN"
	    " (SELECT channel_id, key FROM webhook_seen"
	    "  WHERE seen_at < :before LIMIT :batch)";
	static const char *const sql[] = { inbox_sql, seen_sql };
	sqlite3_stmt *q;
	int rc = STORE_DONE, changed = 0;
	size_t i;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	for (i = 0; i < 2 && rc == STORE_DONE; i++) {
		q = store_stmt(st, sql[i]);
		bind_int(q, ":before", store_now(st) - older_ms);
		bind_int(q, ":batch", WEBHOOK_BATCH);
		if ((rc = step_done(st, q)) == STORE_DONE)
			changed += store_changes(st);
	}
	if (rc == STORE_DONE && changed == 0)
		rc = STORE_NONE;
	return store_end(st, rc);
}
