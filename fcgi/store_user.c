/* Users: agents and admins. */
#include "store_user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "store_db.h"
#include "store_session.h"

#define USER_COLUMNS                                                       \
	"SELECT id, email, name, role = 'admin', disabled_at IS NOT NULL," \
	" locale, password FROM users"

static int
user_row(struct store *st, sqlite3_stmt *q, struct user *u)
{
	int rc;

	memset(u, 0, sizeof *u);
	if ((rc = step_row(st, q)) == 1) {
		u->id = col_int(q, 0);
		col_copy(q, 1, u->email, sizeof u->email);
		col_copy(q, 2, u->name, sizeof u->name);
		u->admin = col_int(q, 3) != 0;
		u->disabled = col_int(q, 4) != 0;
		col_copy(q, 5, u->locale, sizeof u->locale);
		col_copy(q, 6, u->password, sizeof u->password);
	}
	stmt_end(q);
	return rc;
}

int
store_user_by_id(struct store *st, int64_t id, struct user *u)
{
	static const char sql[] = USER_COLUMNS " WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	return user_row(st, q, u);
}

int
store_user_by_email(struct store *st, const char *email, struct user *u)
{
	static const char sql[] = USER_COLUMNS " WHERE email = :email";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_str(q, ":email", email);
	return user_row(st, q, u);
}

/* Whether somebody else has the email. */
static int
email_taken(struct store *st, const char *email, int64_t id)
{
	struct user u;
	int rc = store_user_by_email(st, email, &u);

	if (rc == STORE_FAILED)
		return rc;
	return rc == STORE_DONE && u.id != id ? STORE_REFUSED : STORE_DONE;
}

static int
user_insert(struct store *st, struct user *u)
{
	static const char sql[] =
	    "INSERT INTO users (email, name, role, password, locale,"
	    " created_at, updated_at) VALUES (:email, :name, :role,"
	    " nullif(:password, ''), :locale, :now, :now) RETURNING id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_str(q, ":email", u->email);
	bind_str(q, ":name", u->name);
	bind_str(q, ":role", u->admin ? "admin" : "agent");
	bind_str(q, ":password", u->password);
	bind_str(q, ":locale", u->locale);
	bind_int(q, ":now", store_now(st));
	return step_int(st, q, &u->id) == 1 ? STORE_DONE : STORE_FAILED;
}

int
store_user_add(struct store *st, struct user *u)
{
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = email_taken(st, u->email, 0);
	if (rc == STORE_DONE)
		rc = user_insert(st, u);
	return store_end(st, rc);
}

int
store_user_password(struct store *st, int64_t id, const char *hash)
{
	static const char sql[] =
	    "UPDATE users SET password = :hash, updated_at = :now"
	    " WHERE id = :id";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":hash", hash);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":id", id);
	return store_end(st, step_changed(st, q));
}

/* An installation nobody can administer is of no use. */
static int
last_admin(struct store *st, const struct user *u, const struct user_patch *p)
{
	static const char sql[] =
	    "SELECT 1 FROM users INDEXED BY users_admins"
	    " WHERE role = 'admin' AND disabled_at IS NULL"
	    " AND id <> :id LIMIT 1";
	sqlite3_stmt *q;
	int64_t one;
	int rc;

	if (!u->admin || u->disabled || (p->admin != 0 && p->disabled != 1))
		return STORE_DONE;
	q = store_stmt(st, sql);
	bind_int(q, ":id", u->id);
	rc = step_int(st, q, &one);
	return rc == 0 ? STORE_REFUSED : rc;
}

static int
user_write(struct store *st, int64_t id, const struct user_patch *p)
{
	static const char sql[] =
	    "UPDATE users SET name = coalesce(:name, name),"
	    " email = coalesce(:email, email),"
	    " locale = coalesce(:locale, locale),"
	    " avatar_url = CASE WHEN :avatar IS NULL THEN avatar_url"
	    "  ELSE nullif(:avatar, '') END,"
	    " role = CASE :admin WHEN 1 THEN 'admin' WHEN 0 THEN 'agent'"
	    "  ELSE role END,"
	    " disabled_at = CASE :disabled"
	    "  WHEN 1 THEN coalesce(disabled_at, :now)"
	    "  WHEN 0 THEN NULL ELSE disabled_at END,"
	    " updated_at = :now WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_str(q, ":name", p->name);
	bind_str(q, ":email", p->email);
	bind_str(q, ":locale", p->locale);
	bind_str(q, ":avatar", p->avatar_url);
	bind_int(q, ":admin", p->admin);
	bind_int(q, ":disabled", p->disabled);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

static int
user_patch(struct store *st, int64_t id, const struct user_patch *p)
{
	struct user u;
	int rc;

	if ((rc = store_user_by_id(st, id, &u)) != STORE_DONE)
		return rc;
	if (p->email != NULL)
		rc = email_taken(st, p->email, id);
	if (rc == STORE_DONE)
		rc = last_admin(st, &u, p);
	if (rc == STORE_DONE)
		rc = user_write(st, id, p);
	if (rc == STORE_DONE &&
	    ((p->admin != -1 && (p->admin == 1) != u.admin) ||
		p->disabled == 1) &&
	    store_session_end_user(st, id, 0) == STORE_FAILED)
		rc = STORE_FAILED;
	return rc;
}

int
store_user_patch(struct store *st, int64_t id, const struct user_patch *p)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, user_patch(st, id, p));
}

/* ---- as JSON ------------------------------------------------------------ */

#define USER_JSON                                                          \
	"SELECT u.id AS \"#id\", u.name AS name, u.email AS email,"        \
	" u.role AS role, u.locale AS locale, u.avatar_url AS avatar_url," \
	" coalesce(s.status, 'offline') AS status, s.text AS status_text," \
	" u.last_seen_at AS last_seen_at,"                                 \
	" (SELECT json_group_array(json_object('id', CAST(t.id AS TEXT),"  \
	"   'name', t.name)) FROM team_members tm JOIN teams t"            \
	"  ON t.id = tm.team_id WHERE tm.user_id = u.id) AS \"[teams\","   \
	" u.disabled_at AS disabled_at, u.created_at AS created_at,"       \
	" u.updated_at AS updated_at FROM users u"                         \
	" LEFT JOIN user_presence s ON s.user_id = u.id"

static struct json_object *
user_json(sqlite3_stmt *q, const struct who *who)
{
	static const char *const keys[] = { "id", "name", "avatar_url", NULL };
	struct json_object *o = row_json(q), *pub;

	if (who == NULL || who->kind == WHO_USER)
		return o;
	pub = json_pick(o, keys);
	json_object_put(o);
	return pub;
}

int
store_user_json(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	static const char sql[] = USER_JSON " WHERE u.id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1)
		*out = user_json(q, who);
	stmt_end(q);
	return rc;
}

static int
users_page(struct store *st, const struct who *who, const struct store_page *pg,
    struct json_object **out)
{
	static const char sql[] =
	    USER_JSON " WHERE u.id > :after ORDER BY u.id LIMIT :limit";
	struct json_object *items = json_object_new_array();
	sqlite3_stmt *q = store_stmt(st, sql);
	char next[24];
	int rc, n = 0;

	bind_int(q, ":after", pg->after);
	bind_int(q, ":limit", (int64_t)pg->limit + 1);
	while ((rc = step_row(st, q)) == 1 && n++ < pg->limit) {
		snprintf(next, sizeof next, "%lld", (long long)col_int(q, 0));
		json_object_array_add(items, user_json(q, who));
	}
	stmt_end(q);
	if (rc == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	return list_json(st, items, rc == 1 ? next : NULL, out);
}

int
store_users(struct store *st, const struct who *who,
    const struct store_page *pg, struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = users_page(st, who, pg, out);
	store_read_end(st);
	return rc;
}

int
store_user_count(struct store *st, int64_t *n)
{
	static const char sql[] = "SELECT count(*) FROM users";

	return step_int(st, store_stmt(st, sql), n);
}
