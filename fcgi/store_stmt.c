/* Statements, what is bound to them, and their rows as JSON. */
#include "store.h"
#include "store_db.h"

#include <stdio.h>
#include <string.h>

#include "id.h"
#include "json.h"

/* ---- statements --------------------------------------------------------- */

sqlite3_stmt *
store_stmt(struct store *st, const char *sql)
{
	size_t i = ((uintptr_t)sql >> 3) * UINT64_C(0x9E3779B97F4A7C15) >> 40;
	int rc;

	for (i &= STORE_STMTS - 1; st->stmts[i].sql != NULL;
	     i = (i + 1) & (STORE_STMTS - 1))
		if (st->stmts[i].sql == sql)
			return st->stmts[i].q;
	if (st->nstmts >= STORE_STMTS / 2) {
		store_failed(st, "statements", SQLITE_TOOBIG);
		return NULL;
	}
	rc = sqlite3_prepare_v3(
	    st->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st->stmts[i].q, NULL);
	if (rc != SQLITE_OK) {
		store_failed(st, "prepare", rc);
		return NULL;
	}
	st->stmts[i].sql = sql;
	st->nstmts++;
	return st->stmts[i].q;
}

void
store_each_sql(struct store *st, void (*fn)(void *, const char *), void *arg)
{
	size_t i;

	for (i = 0; i < STORE_STMTS; i++)
		if (st->stmts[i].sql != NULL)
			fn(arg, st->stmts[i].sql);
}

static int
bind_at(sqlite3_stmt *q, const char *name)
{
	return q != NULL ? sqlite3_bind_parameter_index(q, name) : 0;
}

void
bind_int(sqlite3_stmt *q, const char *name, int64_t v)
{
	int i = bind_at(q, name);

	if (i > 0)
		sqlite3_bind_int64(q, i, v);
}

void
bind_id(sqlite3_stmt *q, const char *name, int64_t v)
{
	if (v != 0)
		bind_int(q, name, v);
}

void
bind_strn(sqlite3_stmt *q, const char *name, const char *s, size_t len)
{
	int i = bind_at(q, name);

	if (i > 0 && s != NULL)
		sqlite3_bind_text64(
		    q, i, s, len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

void
bind_str(sqlite3_stmt *q, const char *name, const char *s)
{
	if (s != NULL)
		bind_strn(q, name, s, strlen(s));
}

void
bind_blob(sqlite3_stmt *q, const char *name, const void *p, size_t len)
{
	int i = bind_at(q, name);

	if (i > 0)
		sqlite3_bind_blob64(
		    q, i, len > 0 ? p : "", len, SQLITE_TRANSIENT);
}

void
bind_json(sqlite3_stmt *q, const char *name, struct json_object *o)
{
	struct buf b;

	if (o == NULL)
		return;
	buf_init(&b, EVENT_LINE_MAX);
	json_write(o, &b);
	if (!b.err)
		bind_strn(q, name, b.data, b.len);
	buf_fini(&b);
}

int
step_row(struct store *st, sqlite3_stmt *q)
{
	int rc;

	if (q == NULL)
		return -1;
	if (st->depth == 0 && !sqlite3_stmt_readonly(q))
		return store_failed(st, "deferred write", SQLITE_MISUSE);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return store_failed(st, sqlite3_sql(q), rc);
}

int
step_done(struct store *st, sqlite3_stmt *q)
{
	int rc;

	while ((rc = step_row(st, q)) == 1)
		;
	stmt_end(q);
	return rc == 0 ? 1 : -1;
}

int
step_changed(struct store *st, sqlite3_stmt *q)
{
	int rc = step_done(st, q);

	return rc == STORE_DONE && store_changes(st) == 0 ? STORE_NONE : rc;
}

int
step_id(struct store *st, const char *sql, int64_t id)
{
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	return step_done(st, q);
}

int
step_int(struct store *st, sqlite3_stmt *q, int64_t *v)
{
	int rc = step_row(st, q);

	if (rc == 1)
		*v = sqlite3_column_int64(q, 0);
	stmt_end(q);
	return rc;
}

void
stmt_end(sqlite3_stmt *q)
{
	if (q == NULL)
		return;
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
}

int
store_changes(const struct store *st)
{
	return sqlite3_changes(st->db);
}

/* ---- rows --------------------------------------------------------------- */

int64_t
col_int(sqlite3_stmt *q, int i)
{
	return sqlite3_column_int64(q, i);
}

const char *
col_str(sqlite3_stmt *q, int i)
{
	return (const char *)sqlite3_column_text(q, i);
}

void
col_copy(sqlite3_stmt *q, int i, char *out, size_t size)
{
	const char *s = col_str(q, i);

	snprintf(out, size, "%s", s != NULL ? s : "");
}

struct json_object *
col_json(sqlite3_stmt *q, int i)
{
	const char *s = col_str(q, i);

	return s != NULL ? json_tokener_parse(s) : NULL;
}

static void
row_put(struct json_object *o, sqlite3_stmt *q, int i)
{
	const char *key = sqlite3_column_name(q, i);
	int type = sqlite3_column_type(q, i);
	struct json_object *v;

	switch (*key) {
	case '-':
		return;
	case '#':
		json_put_id(o, key + 1, col_int(q, i));
		return;
	case '?':
		json_put_bool(o, key + 1, col_int(q, i) != 0);
		return;
	case '{':
	case '[':
		v = col_json(q, i);
		if (v == NULL && *key == '[')
			v = json_object_new_array();
		json_put(o, key + 1, v);
		return;
	default:
		break;
	}
	if (type == SQLITE_INTEGER)
		json_put_int(o, key, col_int(q, i));
	else if (type == SQLITE_NULL)
		json_put_str(o, key, NULL);
	else
		json_put_strn(
		    o, key, col_str(q, i), (size_t)sqlite3_column_bytes(q, i));
}

struct json_object *
row_json(sqlite3_stmt *q)
{
	struct json_object *o = json_object_new_object();
	int i, n = sqlite3_column_count(q);

	for (i = 0; i < n; i++)
		row_put(o, q, i);
	return o;
}

int
step_list(
    struct store *st, sqlite3_stmt *q, int limit, struct json_object *items)
{
	int rc, n = 0;

	while ((rc = step_row(st, q)) == 1 && n < limit) {
		json_object_array_add(items, row_json(q));
		n++;
	}
	stmt_end(q);
	return rc;
}

int
list_json(struct store *st, struct json_object *items, const char *next,
    struct json_object **out)
{
	struct log_state s;

	if (store_log_state(st, &s) != STORE_DONE) {
		json_object_put(items);
		return STORE_FAILED;
	}
	*out = json_object_new_object();
	json_put(*out, "items", items);
	json_put_str(*out, "next", next);
	json_put_id(*out, "cursor", s.head);
	return STORE_DONE;
}

int
store_page_parse(const char *text, size_t len, struct store_page *pg)
{
	const char *dot = memchr(text, '.', len);
	size_t n = dot != NULL ? (size_t)(dot - text) : len;

	if ((pg->before = id_parse(text, n)) == 0)
		return -1;
	pg->before_id = 0;
	if (dot != NULL &&
	    (pg->before_id = id_parse(dot + 1, len - n - 1)) == 0)
		return -1;
	return 0;
}
