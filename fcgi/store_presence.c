/* Who is there, and who types. */
#include "store_presence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "store_conversation.h"
#include "store_db.h"
#include "store_event.h"

#define SEEN_MS 60000    /* how exact last_seen_at is, with pushd */
#define LOST_TIMES 10    /* of the quiet time: even a stream is forgotten */
#define TYPING_STEP 1500 /* ms: not written again for less */
#define BATCH 100

/* ---- users -------------------------------------------------------------- */

/* Whether any agent is there. */
static int
somebody(struct store *st, int64_t *here)
{
	static const char sql[] =
	    "SELECT EXISTS (SELECT 1 FROM user_presence"
	    " INDEXED BY user_presence_here WHERE status <> 'offline')";

	return step_int(st, store_stmt(st, sql), here);
}

static int
user_event(struct store *st, int64_t user, bool was_here)
{
	static const char sql[] =
	    "SELECT p.user_id AS \"#user_id\", u.name AS user_name,"
	    " p.status AS status, p.text AS text, u.last_seen_at AS last_seen"
	    " FROM user_presence p JOIN users u ON u.id = p.user_id"
	    " WHERE p.user_id = :user";
	static const char *const rooms[] = { "inbox", "broadcast" };
	struct json_object *o = NULL, *pub = NULL;
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t here;
	int rc;

	bind_int(q, ":user", user);
	if ((rc = step_row(st, q)) == 1)
		o = row_json(q);
	stmt_end(q);
	if (rc != 1 || somebody(st, &here) != 1) {
		json_object_put(o);
		return STORE_FAILED;
	}
	/* Customers learn that somebody is there, when that changes. */
	if ((here != 0) != was_here) {
		pub = json_object_new_object();
		json_put_bool(pub, "here", here != 0);
	}
	rc = store_event_add(
	    st, "presence_update", o, pub, rooms, pub != NULL ? 2 : 1, NULL);
	json_object_put(o);
	json_object_put(pub);
	return rc;
}

static int
user_row(struct store *st, int64_t user)
{
	static const char sql[] =
	    "INSERT INTO user_presence (user_id, status, updated_at)"
	    " SELECT id, 'offline', :now FROM users WHERE id = :user"
	    " ON CONFLICT DO NOTHING";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":user", user);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

static int
user_seen(struct store *st, int64_t user, int64_t seen)
{
	static const char sql[] =
	    "UPDATE users SET last_seen_at = :seen WHERE id = :user";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":user", user);
	bind_int(q, ":seen", seen);
	return step_done(st, q);
}

/* on: holds a stream; here: is there; seen: when that was last known. */
static int
user_here(struct store *st, int64_t user, bool on, bool here, int64_t seen)
{
	static const char connected_sql[] =
	    "UPDATE user_presence SET connected = :on WHERE user_id = :user";
	static const char sql[] =
	    "UPDATE user_presence SET updated_at = :now,"
	    " status = CASE WHEN :here THEN chosen ELSE 'offline' END"
	    " WHERE user_id = :user AND status <>"
	    "  CASE WHEN :here THEN chosen ELSE 'offline' END";
	sqlite3_stmt *q;
	int64_t was;

	if (somebody(st, &was) != 1 || user_row(st, user) != STORE_DONE ||
	    user_seen(st, user, seen) != STORE_DONE)
		return STORE_FAILED;
	q = store_stmt(st, connected_sql);
	bind_int(q, ":user", user);
	bind_int(q, ":on", on);
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":user", user);
	bind_int(q, ":here", here);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	/* DONE even if nothing shows: last_seen_at is to be kept. */
	return store_changes(st) > 0 ? user_event(st, user, was != 0)
				     : STORE_DONE;
}

static int
user_chosen(
    struct store *st, int64_t user, const char *status, const char *text)
{
	static const char sql[] =
	    "UPDATE user_presence SET chosen = coalesce(:status, chosen),"
	    " status = CASE WHEN status = 'offline' THEN status"
	    "  ELSE coalesce(:status, status) END,"
	    " text = CASE WHEN :text IS NULL THEN text"
	    "  ELSE nullif(:text, '') END, updated_at = :now"
	    " WHERE user_id = :user AND (chosen <> coalesce(:status, chosen)"
	    "  OR :text IS NOT NULL AND coalesce(text, '') <> :text)";
	sqlite3_stmt *q;
	int64_t was;

	if (somebody(st, &was) != 1 || user_row(st, user) != STORE_DONE)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":user", user);
	bind_str(q, ":status", status);
	bind_str(q, ":text", text);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	if (store_changes(st) == 0)
		return STORE_REPEATED;
	return user_event(st, user, was != 0);
}

int
store_presence_set(
    struct store *st, int64_t user, const char *status, const char *text)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, user_chosen(st, user, status, text));
}

/* ---- customers ---------------------------------------------------------- */

static int
customer_here(
    struct store *st, int64_t customer, bool on, bool here, int64_t seen)
{
	static const char seen_sql[] =
	    "UPDATE customers SET last_seen_at = :seen, connected = :on"
	    " WHERE id = :id AND deleted_at IS NULL";
	static const char sql[] =
	    "UPDATE customers SET status = :status"
	    " WHERE id = :id AND deleted_at IS NULL AND status <> :status";
	static const char *const rooms[] = { "inbox" };
	struct json_object *o;
	sqlite3_stmt *q = store_stmt(st, seen_sql);
	int rc;

	bind_int(q, ":id", customer);
	bind_int(q, ":on", on);
	bind_int(q, ":seen", seen);
	if ((rc = step_changed(st, q)) != STORE_DONE)
		return rc;
	q = store_stmt(st, sql);
	bind_int(q, ":id", customer);
	bind_str(q, ":status", here ? "online" : "offline");
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	if (store_changes(st) == 0)
		return STORE_DONE;
	o = json_object_new_object();
	json_put_id(o, "customer_id", customer);
	json_put_str(o, "status", here ? "online" : "offline");
	json_put_int(o, "last_seen", seen);
	rc = store_event_add(st, "customer_status", o, NULL, rooms, 1, NULL);
	json_object_put(o);
	return rc;
}

static int
here_apply(
    struct store *st, const struct who *who, bool on, bool here, int64_t seen)
{
	if (who->kind == WHO_USER)
		return user_here(st, who->id, on, here, seen);
	if (who->kind == WHO_CUSTOMER)
		return customer_here(st, who->id, on, here, seen);
	return STORE_NONE;
}

/* What there is of it now, without a lock. */
static int
here_now(struct store *st, const struct who *who, int64_t *seen, bool *here,
    bool *connected)
{
	static const char user_sql[] =
	    "SELECT u.last_seen_at, coalesce(p.status, 'offline') <>"
	    " 'offline', coalesce(p.connected, 0) FROM users u"
	    " LEFT JOIN user_presence p ON p.user_id = u.id"
	    " WHERE u.id = :id";
	static const char customer_sql[] =
	    "SELECT last_seen_at, status <> 'offline', connected"
	    " FROM customers WHERE id = :id";
	sqlite3_stmt *q =
	    store_stmt(st, who->kind == WHO_USER ? user_sql : customer_sql);
	int rc;

	bind_int(q, ":id", who->id);
	if ((rc = step_row(st, q)) == 1) {
		*seen = col_int(q, 0);
		*here = col_int(q, 1) != 0;
		*connected = col_int(q, 2) != 0;
	}
	stmt_end(q);
	return rc;
}

int
store_presence_connected(struct store *st, const struct who *who, bool on)
{
	bool here = false, connected = false;
	int64_t seen = 0;
	int rc;

	if ((rc = here_now(st, who, &seen, &here, &connected)) != STORE_DONE)
		return rc;
	if (here == on && connected == on && store_now(st) - seen < SEEN_MS)
		return STORE_REPEATED;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, here_apply(st, who, on, on, store_now(st)));
}

int
store_presence_seen(struct store *st, const struct who *who, int64_t every_ms)
{
	bool here = false, connected = false;
	int64_t seen = 0;
	int rc;

	if (who->kind != WHO_USER && who->kind != WHO_CUSTOMER)
		return STORE_NONE;
	if ((rc = here_now(st, who, &seen, &here, &connected)) != STORE_DONE)
		return rc;
	if (here && !connected && store_now(st) - seen < every_ms &&
	    seen <= store_now(st))
		return STORE_REPEATED;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	/* A stream that is still noted is of a pushd that there was. */
	return store_end(st, here_apply(st, who, false, true, store_now(st)));
}

static int
presence_list(
    struct store *st, const int64_t *ids, size_t n, struct json_object *items)
{
	static const char all_sql[] =
	    "SELECT u.id AS \"#user_id\", u.name AS user_name,"
	    " coalesce(p.status, 'offline') AS status, p.text AS text,"
	    " u.last_seen_at AS last_seen FROM users u"
	    " LEFT JOIN user_presence p ON p.user_id = u.id"
	    " WHERE u.id > 0 AND u.disabled_at IS NULL ORDER BY u.id"
	    " LIMIT 200";
	static const char sql[] =
	    "SELECT u.id AS \"#user_id\", u.name AS user_name,"
	    " coalesce(p.status, 'offline') AS status, p.text AS text,"
	    " u.last_seen_at AS last_seen FROM users u"
	    " LEFT JOIN user_presence p ON p.user_id = u.id"
	    " WHERE u.id = :id AND u.disabled_at IS NULL";
	sqlite3_stmt *q;
	size_t i;

	if (n == 0)
		return step_list(st, store_stmt(st, all_sql), 200, items);
	for (i = 0; i < n; i++) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", ids[i]);
		if (step_list(st, q, 1, items) == -1)
			return -1;
	}
	return 0;
}

int
store_presence(struct store *st, const struct who *who, const int64_t *ids,
    size_t n, struct json_object **out)
{
	struct json_object *items = json_object_new_array();
	int rc;

	(void)who; /* a route for agents */
	if (store_read(st) == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	rc = presence_list(st, ids, n, items);
	if (rc == -1)
		json_object_put(items);
	else
		rc = list_json(st, items, NULL, out);
	store_read_end(st);
	return rc;
}

/* The next one to go offline: who, or none. */
static int
expire_next(
    struct store *st, int64_t quiet_at, int64_t lost_at, struct who *who)
{
	static const char user_sql[] =
	    "SELECT p.user_id FROM user_presence p"
	    " INDEXED BY user_presence_here JOIN users u ON u.id = p.user_id"
	    " WHERE p.status <> 'offline' AND coalesce(u.last_seen_at, 0)"
	    " < CASE p.connected WHEN 0 THEN :quiet ELSE :lost END LIMIT 1";
	static const char customer_sql[] =
	    "SELECT id FROM customers INDEXED BY customers_here"
	    " WHERE status <> 'offline' AND last_seen_at < :quiet"
	    " AND (connected = 0 OR last_seen_at < :lost)"
	    " AND deleted_at IS NULL LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, user_sql);
	int rc;

	who->kind = WHO_USER;
	bind_int(q, ":quiet", quiet_at);
	bind_int(q, ":lost", lost_at);
	if ((rc = step_int(st, q, &who->id)) != 0)
		return rc;
	who->kind = WHO_CUSTOMER;
	q = store_stmt(st, customer_sql);
	bind_int(q, ":quiet", quiet_at);
	bind_int(q, ":lost", lost_at);
	return step_int(st, q, &who->id);
}

/* Unlike an end that pushd sees, when it was last seen stays as it is. */
static int
expire_one(struct store *st, const struct who *who)
{
	bool here = false, connected = false;
	int64_t seen = 0;

	if (here_now(st, who, &seen, &here, &connected) != STORE_DONE)
		return STORE_FAILED;
	return here_apply(st, who, false, false, seen);
}

/* Some of those whose last sign was before these times. */
static int
expire(struct store *st, int64_t quiet_at, int64_t lost_at)
{
	struct who who = { 0 };
	int rc, n;

	/* Mostly there is nobody: that needs no lock. */
	if ((rc = expire_next(st, quiet_at, lost_at, &who)) != STORE_DONE)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	for (n = 0; n < BATCH; n++) {
		rc = expire_next(st, quiet_at, lost_at, &who);
		if (rc != STORE_DONE ||
		    (rc = expire_one(st, &who)) != STORE_DONE)
			break;
	}
	return store_end(st, rc == STORE_NONE && n > 0 ? STORE_DONE : rc);
}

int
store_presence_expire(struct store *st, int64_t quiet_ms)
{
	int64_t now = store_now(st);

	return expire(st, now - quiet_ms, now - LOST_TIMES * quiet_ms);
}

int
store_presence_settle(struct store *st)
{
	return expire(st, INT64_MAX, 0);
}

static int
forget_streams(struct store *st, int64_t began_ms)
{
	static const char user_sql[] =
	    "UPDATE user_presence INDEXED BY user_presence_here"
	    " SET connected = 0 WHERE status <> 'offline'"
	    " AND coalesce((SELECT u.last_seen_at FROM users u"
	    "  WHERE u.id = user_presence.user_id), 0) < :began";
	static const char customer_sql[] =
	    "UPDATE customers INDEXED BY customers_here SET connected = 0"
	    " WHERE status <> 'offline' AND last_seen_at < :began";
	sqlite3_stmt *q = store_stmt(st, user_sql);

	bind_int(q, ":began", began_ms);
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	q = store_stmt(st, customer_sql);
	bind_int(q, ":began", began_ms);
	return step_done(st, q);
}

int
store_presence_forget(struct store *st, int64_t began_ms)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, forget_streams(st, began_ms));
}

/* ---- typing ------------------------------------------------------------- */

static int
typing_name(struct store *st, const struct who *who, char *name, size_t size)
{
	static const char user_sql[] = "SELECT name FROM users WHERE id = :id";
	static const char customer_sql[] =
	    "SELECT name FROM customers WHERE id = :id";
	sqlite3_stmt *q =
	    store_stmt(st, who->kind == WHO_USER ? user_sql : customer_sql);
	int rc;

	snprintf(name, size, "%s", who->name);
	bind_int(q, ":id", who->id);
	if ((rc = step_row(st, q)) == 1)
		col_copy(q, 0, name, size);
	stmt_end(q);
	return rc == -1 ? STORE_FAILED : STORE_DONE;
}

static int
typing_until(struct store *st, const struct who *who, int64_t conversation,
    int64_t *until)
{
	static const char sql[] =
	    "SELECT until_at FROM typing WHERE conversation_id = :c"
	    " AND kind = :kind AND member_id = :me";
	sqlite3_stmt *q = store_stmt(st, sql);

	*until = 0;
	bind_int(q, ":c", conversation);
	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who->id);
	return step_int(st, q, until);
}

static int
typing_write(struct store *st, const struct who *who, int64_t conversation,
    int64_t until_ms, const char *name)
{
	static const char on_sql[] =
	    "INSERT INTO typing (conversation_id, kind, member_id, name,"
	    " until_at) VALUES (:c, :kind, :me, :name, :until)"
	    " ON CONFLICT DO UPDATE SET until_at = excluded.until_at,"
	    " name = excluded.name";
	static const char off_sql[] =
	    "DELETE FROM typing WHERE conversation_id = :c AND kind = :kind"
	    " AND member_id = :me";
	static const char old_sql[] =
	    "DELETE FROM typing WHERE until_at < :old";
	sqlite3_stmt *q = store_stmt(st, until_ms > 0 ? on_sql : off_sql);

	bind_int(q, ":c", conversation);
	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who->id);
	bind_str(q, ":name", name);
	bind_int(q, ":until", until_ms);
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	q = store_stmt(st, old_sql);
	bind_int(q, ":old", store_now(st) - SEEN_MS);
	return step_done(st, q);
}

static int
typing_signal(struct store *st, const struct conversation *c, int64_t until_ms)
{
	struct rooms r;
	size_t i;
	int rc;

	rooms_init(&r);
	rc = conversation_rooms(st, c, true, &r);
	for (i = 0; rc == STORE_DONE && i < r.n; i++)
		heads_signal(st->heads, r.name[i], until_ms);
	rooms_fini(&r);
	return rc;
}

int
store_typing_set(struct store *st, const struct who *who, int64_t conversation,
    bool on, int64_t until_ms, char *name, size_t size)
{
	struct conversation c;
	int64_t was;
	int rc;

	rc = store_conversation_may(st, who, conversation, MAY_WRITE, &c);
	if (rc != STORE_DONE)
		return rc;
	if (typing_name(st, who, name, size) != STORE_DONE ||
	    typing_until(st, who, conversation, &was) == -1)
		return STORE_FAILED;
	/* Nothing that would be seen: no write. */
	if (on ? was > until_ms - TYPING_STEP && was <= until_ms : was == 0)
		return STORE_DONE;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = typing_write(st, who, conversation, on ? until_ms : 0, name);
	rc = store_end(st, rc);
	if (rc == STORE_DONE && on)
		rc = typing_signal(st, &c, until_ms);
	return rc;
}

int
store_typing(struct store *st, const struct who *who, int64_t now_ms,
    struct json_object **out)
{
	static const char sql[] =
	    "SELECT conversation_id AS \"#conversation_id\","
	    " member_id AS \"#user_id\", name AS user_name, kind AS kind,"
	    " 1 AS \"?typing\" FROM typing WHERE until_at > :now"
	    " AND NOT (kind = :kind AND member_id = :me) LIMIT 200";
	struct json_object *a = json_object_new_array();
	sqlite3_stmt *q;
	int rc, may;

	if (store_read(st) == -1) {
		json_object_put(a);
		return STORE_FAILED;
	}
	q = store_stmt(st, sql);
	bind_int(q, ":now", now_ms);
	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who->id);
	while ((rc = step_row(st, q)) == 1) {
		may = store_conversation_may(
		    st, who, col_int(q, 0), MAY_SEE, NULL);
		if (may == STORE_DONE)
			json_object_array_add(a, row_json(q));
		if (may == STORE_FAILED) {
			rc = -1;
			break;
		}
	}
	stmt_end(q);
	store_read_end(st);
	if (rc == -1) {
		json_object_put(a);
		return STORE_FAILED;
	}
	*out = a;
	return STORE_DONE;
}
