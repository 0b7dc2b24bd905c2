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
