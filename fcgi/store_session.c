/* Log-ins, API keys, resume links. */
#include "store_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "store_db.h"
#include "store_event.h"

#define TOUCH_MS 60000
#define SESSION_KEEP_MS (INT64_C(30) * 24 * 3600 * 1000)
#define SESSION_BATCH 500

int
store_session_add(struct store *st, struct session *s)
{
	static const char sql[] =
	    "INSERT INTO sessions (user_id, customer_id, hash, csrf, via,"
	    " created_at, seen_at, expires_at) VALUES (:user, :customer,"
	    " :hash, nullif(:csrf, ''), :via, :now, :now, :expires)"
	    " RETURNING id";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	s->created_at = s->seen_at = store_now(st);
	q = store_stmt(st, sql);
	bind_id(q, ":user", s->user);
	bind_id(q, ":customer", s->customer);
	bind_str(q, ":hash", s->hash);
	bind_str(q, ":csrf", s->csrf);
	bind_str(q, ":via", s->via);
	bind_int(q, ":now", s->created_at);
	bind_int(q, ":expires", s->expires_at);
	rc = step_int(st, q, &s->id);
	return store_end(st, rc == 1 ? STORE_DONE : STORE_FAILED);
}

#define SESSION_COLUMNS                                                   \
	"SELECT s.id, s.user_id, s.customer_id, s.hash, s.csrf, s.via,"   \
	" s.created_at, s.seen_at, s.expires_at, s.ended_at,"             \
	" coalesce(u.role = 'admin', 0),"                                 \
	" CASE WHEN s.user_id IS NOT NULL THEN u.disabled_at IS NOT NULL" \
	"  ELSE k.deleted_at IS NOT NULL END,"                            \
	" coalesce(u.name, k.name), coalesce(u.locale, k.locale)"         \
	" FROM sessions s LEFT JOIN users u ON u.id = s.user_id"          \
	" LEFT JOIN customers k ON k.id = s.customer_id"

static int
session_row(struct store *st, sqlite3_stmt *q, struct session *s)
{
	int rc;

	memset(s, 0, sizeof *s);
	if ((rc = step_row(st, q)) == 1) {
		s->id = col_int(q, 0);
		s->user = col_int(q, 1);
		s->customer = col_int(q, 2);
		col_copy(q, 3, s->hash, sizeof s->hash);
		col_copy(q, 4, s->csrf, sizeof s->csrf);
		col_copy(q, 5, s->via, sizeof s->via);
		s->created_at = col_int(q, 6);
		s->seen_at = col_int(q, 7);
		s->expires_at = col_int(q, 8);
		s->ended_at = col_int(q, 9);
		s->admin = col_int(q, 10) != 0;
		s->gone = col_int(q, 11) != 0;
		col_copy(q, 12, s->name, sizeof s->name);
		col_copy(q, 13, s->locale, sizeof s->locale);
	}
	stmt_end(q);
	return rc;
}

int
store_session_get(struct store *st, int64_t id, struct session *s)
{
	static const char sql[] = SESSION_COLUMNS " WHERE s.id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	return session_row(st, q, s);
}

int
store_session_touch(struct store *st, struct session *s)
{
	static const char sql[] =
	    "UPDATE sessions SET seen_at = :now WHERE id = :id";
	int64_t now = store_now(st);
	sqlite3_stmt *q;
	int rc;

	if (now - s->seen_at < TOUCH_MS && now >= s->seen_at)
		return STORE_REPEATED;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":now", now);
	bind_int(q, ":id", s->id);
	rc = store_end(st, step_done(st, q));
	if (rc == STORE_DONE)
		s->seen_at = now;
	return rc;
}

/* ---- ending ------------------------------------------------------------- */

/*
 * Tell pushd which streams to cut, and make idle polls of the person ask the
 * database again: their slot rises though no event of theirs was written.
 */
static int
sessions_cut(
    struct store *st, struct json_object *refs, struct json_object *owners)
{
	static const char *const control[] = { "control" };
	struct json_object *data = json_object_new_object();
	size_t i, n = json_object_array_length(owners);
	int64_t id;
	int rc;

	json_put(data, "refs", json_object_get(refs));
	rc =
	    store_event_add(st, "session_changed", data, NULL, control, 1, &id);
	for (i = 0; rc == STORE_DONE && st->heads != NULL && i < n; i++)
		heads_raise(st->heads,
		    json_object_get_string(
			json_object_array_get_idx(owners, i)),
		    id);
	json_object_put(data);
	return rc;
}

/* Ends what the statement names, which returns id, user_id, customer_id. */
static int
sessions_end(struct store *st, sqlite3_stmt *q)
{
	struct json_object *refs = json_object_new_array();
	struct json_object *owners = json_object_new_array();
	char ref[64], owner[40];
	int rc;

	while ((rc = step_row(st, q)) == 1) {
		bool user = col_int(q, 1) != 0;
		int64_t id = user ? col_int(q, 1) : col_int(q, 2);

		snprintf(ref, sizeof ref, "%c:%lld:%lld", user ? 'u' : 'c',
		    (long long)id, (long long)col_int(q, 0));
		snprintf(owner, sizeof owner, "%s:%lld",
		    user ? "user" : "customer", (long long)id);
		json_object_array_add(refs, json_object_new_string(ref));
		json_object_array_add(owners, json_object_new_string(owner));
	}
	stmt_end(q);
	if (rc == 0)
		rc = json_object_array_length(refs) == 0
			 ? STORE_NONE
			 : sessions_cut(st, refs, owners);
	json_object_put(refs);
	json_object_put(owners);
	return rc;
}

static int
session_end_by(struct store *st, const char *sql, int64_t id, int64_t except)
{
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":id", id);
	bind_int(q, ":except", except);
	return store_end(st, sessions_end(st, q));
}

int
store_session_end(struct store *st, int64_t id)
{
	static const char sql[] = "UPDATE sessions SET ended_at = :now"
				  " WHERE id = :id AND ended_at IS NULL"
				  " RETURNING id, user_id, customer_id";

	return session_end_by(st, sql, id, 0);
}

int
store_session_end_user(struct store *st, int64_t user, int64_t except)
{
	static const char sql[] =
	    "UPDATE sessions SET ended_at = :now"
	    " WHERE user_id = :id AND ended_at IS NULL AND id <> :except"
	    " RETURNING id, user_id, customer_id";

	return session_end_by(st, sql, user, except);
}

int
store_session_end_customer(struct store *st, int64_t customer, int64_t except)
{
	static const char sql[] =
	    "UPDATE sessions SET ended_at = :now"
	    " WHERE customer_id = :id AND ended_at IS NULL AND id <> :except"
	    " RETURNING id, user_id, customer_id";

	return session_end_by(st, sql, customer, except);
}

static int
purge_run(struct store *st, const char *sql, int *changed)
{
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":before", store_now(st) - SESSION_KEEP_MS);
	bind_int(q, ":batch", SESSION_BATCH);
	rc = step_done(st, q);
	if (rc == STORE_DONE)
		*changed += store_changes(st);
	return rc;
}

int
store_session_purge(struct store *st)
{
	static const char session_sql[] =
	    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions"
	    " WHERE expires_at < :before LIMIT :batch)";
	static const char link_sql[] =
	    "DELETE FROM resume_links WHERE hash IN (SELECT hash"
	    " FROM resume_links WHERE expires_at < :before LIMIT :batch)";
	int changed = 0, rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = purge_run(st, session_sql, &changed);
	if (rc == STORE_DONE)
		rc = purge_run(st, link_sql, &changed);
	if (rc == STORE_DONE && changed == 0)
		rc = STORE_NONE;
	return store_end(st, rc);
}

/* ---- keys --------------------------------------------------------------- */

int
store_key_add(struct store *st, int64_t user, const char *name,
    const char *hash, int64_t *id)
{
	static const char sql[] =
	    "INSERT INTO api_keys (user_id, name, hash, created_at)"
	    " SELECT id, :name, :hash, :now FROM users WHERE id = :user"
	    " AND disabled_at IS NULL RETURNING id";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":user", user);
	bind_str(q, ":name", name);
	bind_str(q, ":hash", hash);
	bind_int(q, ":now", store_now(st));
	return store_end(st, step_int(st, q, id));
}

int
store_key_find(struct store *st, const char *hash, int64_t *id, int64_t *user)
{
	static const char sql[] = "SELECT k.id, k.user_id FROM api_keys k"
				  " JOIN users u ON u.id = k.user_id"
				  " WHERE k.hash = :hash AND k.ended_at IS NULL"
				  " AND u.disabled_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_str(q, ":hash", hash);
	if ((rc = step_row(st, q)) == 1) {
		*id = col_int(q, 0);
		*user = col_int(q, 1);
	}
	stmt_end(q);
	return rc;
}

int
store_key_get(struct store *st, int64_t id, int64_t user)
{
	static const char sql[] =
	    "SELECT 1 FROM api_keys k JOIN users u ON u.id = k.user_id"
	    " WHERE k.id = :id AND k.user_id = :user"
	    " AND k.ended_at IS NULL AND u.disabled_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":id", id);
	bind_int(q, ":user", user);
	return step_int(st, q, &one);
}

int
store_key_end(struct store *st, int64_t id)
{
	static const char sql[] =
	    "UPDATE api_keys SET ended_at = :now"
	    " WHERE id = :id AND ended_at IS NULL RETURNING user_id";
	struct json_object *refs, *owners;
	char text[64];
	sqlite3_stmt *q;
	int64_t user;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":id", id);
	if ((rc = step_int(st, q, &user)) == 1) {
		refs = json_object_new_array();
		owners = json_object_new_array();
		snprintf(text, sizeof text, "k:%lld:%lld", (long long)user,
		    (long long)id);
		json_object_array_add(refs, json_object_new_string(text));
		snprintf(text, sizeof text, "user:%lld", (long long)user);
		json_object_array_add(owners, json_object_new_string(text));
		rc = sessions_cut(st, refs, owners);
		json_object_put(refs);
		json_object_put(owners);
	}
	return store_end(st, rc);
}

/* ---- resume links ------------------------------------------------------- */

int
store_link_add(struct store *st, const char *hash, int64_t customer,
    int64_t conversation, int64_t expires_at)
{
	static const char sql[] =
	    "INSERT INTO resume_links (hash, customer_id, conversation_id,"
	    " created_at, expires_at) VALUES (:hash, :customer,"
	    " :conversation, :now, :expires)";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":hash", hash);
	bind_int(q, ":customer", customer);
	bind_int(q, ":conversation", conversation);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":expires", expires_at);
	return store_end(st, step_done(st, q));
}

int
store_link_find(struct store *st, const char *hash, int64_t *customer,
    int64_t *conversation)
{
	static const char sql[] =
	    "SELECT l.customer_id, l.conversation_id, l.ended_at IS NOT NULL"
	    " OR l.expires_at <= :now OR k.deleted_at IS NOT NULL"
	    " FROM resume_links l JOIN customers k ON k.id = l.customer_id"
	    " WHERE l.hash = :hash";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_str(q, ":hash", hash);
	bind_int(q, ":now", store_now(st));
	if ((rc = step_row(st, q)) == 1) {
		*customer = col_int(q, 0);
		*conversation = col_int(q, 1);
		if (col_int(q, 2))
			rc = STORE_REFUSED;
	}
	stmt_end(q);
	return rc;
}
