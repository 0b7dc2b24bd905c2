/* Settings kept in the database, and the audit log. */
#include "store_setting.h"

#include <stdio.h>

#include "json.h"
#include "store_db.h"

int
store_setting_get(struct store *st, const char *key, struct json_object **out)
{
	static const char sql[] = "SELECT value FROM settings WHERE key = :key";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_str(q, ":key", key);
	if ((rc = step_row(st, q)) == 1)
		*out = col_json(q, 0);
	stmt_end(q);
	return rc;
}

int
store_setting_set(struct store *st, const char *key, struct json_object *value)
{
	static const char sql[] =
	    "INSERT INTO settings (key, value, updated_at)"
	    " VALUES (:key, :value, :now) ON CONFLICT DO UPDATE"
	    " SET value = excluded.value, updated_at = excluded.updated_at";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":key", key);
	bind_json(q, ":value", value);
	bind_int(q, ":now", store_now(st));
	return store_end(st, step_done(st, q));
}

int
store_audit(struct store *st, const struct who *who, const char *address,
    const char *action, const char *object, struct json_object *detail)
{
	static const char sql[] =
	    "INSERT INTO audit_log (at, who, address, action, object, detail)"
	    " VALUES (:now, :who, :address, :action, :object, :detail)";
	sqlite3_stmt *q;
	char by[40];

	if (who == NULL)
		snprintf(by, sizeof by, "cli");
	else
		who_text(who, by);
	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":now", store_now(st));
	bind_str(q, ":who", by);
	bind_str(q, ":address", address);
	bind_str(q, ":action", action);
	bind_str(q, ":object", object);
	bind_json(q, ":detail", detail);
	return store_end(st, step_done(st, q));
}

static int
audit_page(
    struct store *st, const struct store_page *pg, struct json_object **out)
{
	static const char sql[] =
	    "SELECT id AS \"#id\", at AS at, who AS who, address AS address,"
	    " action AS action, object AS object, detail AS \"{detail\""
	    " FROM audit_log WHERE id < :before ORDER BY id DESC"
	    " LIMIT :limit";
	struct json_object *items = json_object_new_array();
	sqlite3_stmt *q = store_stmt(st, sql);
	char next[24];
	int rc, n = 0;

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
store_audit_list(
    struct store *st, const struct store_page *pg, struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = audit_page(st, pg, out);
	store_read_end(st);
	return rc;
}
