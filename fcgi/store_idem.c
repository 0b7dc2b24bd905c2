/* First answers to writes that named a key. */
#include "store_idem.h"

#include <string.h>

#include "store_db.h"

#define IDEM_LIFE_MS (INT64_C(24) * 3600 * 1000)
#define IDEM_BATCH 500

int
store_idem_find(
    struct store *st, const struct idem *k, int *status, char **answer)
{
	static const char sql[] =
	    "SELECT body_hash = :hash, status, answer FROM idempotency"
	    " WHERE kind = :kind AND owner_id = :owner AND key = :key"
	    " AND created_at > :since";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	*answer = NULL;
	bind_str(q, ":hash", k->hash);
	bind_str(q, ":kind", k->kind);
	bind_int(q, ":owner", k->owner);
	bind_str(q, ":key", k->key);
	bind_int(q, ":since", store_now(st) - IDEM_LIFE_MS);
	if ((rc = step_row(st, q)) == 1) {
		rc = STORE_CONFLICT;
		if (col_int(q, 0)) {
			*status = (int)col_int(q, 1);
			*answer = strdup(col_str(q, 2));
			rc = *answer != NULL ? STORE_REPEATED : STORE_FAILED;
		}
	}
	stmt_end(q);
	return rc;
}

int
store_idem_add(
    struct store *st, const struct idem *k, int status, const char *answer)
{
	static const char sql[] =
	    "INSERT OR REPLACE INTO idempotency (kind, owner_id, key,"
	    " body_hash, status, answer, created_at) VALUES (:kind, :owner,"
	    " :key, :hash, :status, :answer, :now)";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":kind", k->kind);
	bind_int(q, ":owner", k->owner);
	bind_str(q, ":key", k->key);
	bind_str(q, ":hash", k->hash);
	bind_int(q, ":status", status);
	bind_str(q, ":answer", answer);
	bind_int(q, ":now", store_now(st));
	return store_end(st, step_done(st, q));
}

int
store_idem_purge(struct store *st, int64_t older_ms)
{
	static const char sql[] =
	    "DELETE FROM idempotency WHERE (kind, owner_id, key) IN"
	    " (SELECT kind, owner_id, key FROM idempotency"
	    "  WHERE created_at < :before LIMIT :batch)";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":before", store_now(st) - older_ms);
	bind_int(q, ":batch", IDEM_BATCH);
	return store_end(st, step_changed(st, q));
}
