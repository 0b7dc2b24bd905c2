/* How far each has read, and who is told of it. */
#include "store_read.h"

#include <string.h>

#include "json.h"
#include "store_conversation.h"
#include "store_db.h"
#include "store_event.h"

static int
read_newest(
    struct store *st, const struct who *who, int64_t id, int64_t *message)
{
	static const char newest_sql[] =
	    "SELECT id FROM messages WHERE conversation_id = :id"
	    " AND (:kind <> 'customer' OR type <> 'note')"
	    " ORDER BY id DESC LIMIT 1";
	static const char is_sql[] =
	    "SELECT id FROM messages WHERE id = :message"
	    " AND conversation_id = :id"
	    " AND (:kind <> 'customer' OR type <> 'note')";
	sqlite3_stmt *q = store_stmt(st, *message == 0 ? newest_sql : is_sql);
	int64_t asked = *message;
	int rc;

	bind_int(q, ":id", id);
	bind_id(q, ":message", asked);
	bind_str(q, ":kind", who_word(who));
	rc = step_int(st, q, message);
	if (rc == 0)
		return asked == 0 ? STORE_REPEATED
				  : store_invalid(st, "message_id");
	return rc;
}

static int
read_write(struct store *st, const struct who *who, int64_t id, int64_t message)
{
	static const char sql[] =
	    "INSERT INTO participants (conversation_id, kind, member_id,"
	    " read_id, read_at, joined_at)"
	    " VALUES (:id, :kind, :me, :message, :now, :now)"
	    " ON CONFLICT DO UPDATE SET read_id = excluded.read_id,"
	    " read_at = excluded.read_at WHERE read_id < excluded.read_id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who->id);
	bind_int(q, ":message", message);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	return store_changes(st) > 0 ? STORE_DONE : STORE_REPEATED;
}

int
conversation_read(
    struct store *st, const struct who *who, int64_t id, int64_t message)
{
	return read_write(st, who, id, message);
}

static int
read_event(struct store *st, const struct who *who,
    const struct conversation *c, int64_t message)
{
	static const char *const keys[] = { "conversation_id", "message_id",
		"read_at", "read_by_kind", NULL };
	struct json_object *o = json_object_new_object(), *pub = NULL;
	struct rooms r;
	int rc;

	rooms_init(&r);
	json_put_id(o, "conversation_id", c->id);
	json_put_id(o, "message_id", message);
	json_put_id(o, "read_by", who->id);
	json_put_str(o, "read_by_kind", who_word(who));
	json_put_str(o, "read_by_name", who->name);
	json_put_int(o, "read_at", store_now(st));
	if (who->kind == WHO_USER && c->customer != 0) {
		pub = json_pick(o, keys); /* that it was read, not by whom */
		json_put_str(pub, "read_by", NULL);
	}
	rc = conversation_rooms(st, c, pub != NULL, &r);
	if (rc == STORE_DONE)
		rc = store_event_add(
		    st, "read_receipt", o, pub, r.name, r.n, NULL);
	rooms_fini(&r);
	json_object_put(o);
	json_object_put(pub);
	return rc;
}

/* An agent read further in a platform's conversation: it is to be told. */
static int
read_seen(struct store *st, const struct who *who, const struct conversation *c)
{
	static const char sql[] =
	    "INSERT INTO seen_marks (conversation_id) VALUES (:id)"
	    " ON CONFLICT DO NOTHING";

	if (who->kind != WHO_USER || c->channel == 0 ||
	    c->platform[0] == '\0' || strcmp(c->platform, "web") == 0)
		return STORE_DONE;
	return step_id(st, sql, c->id);
}

static int
read_apply(struct store *st, const struct who *who, int64_t id, int64_t message)
{
	struct conversation c;
	int rc;

	rc = store_conversation_may(st, who, id, MAY_SEE, &c);
	if (rc == STORE_DONE)
		rc = read_newest(st, who, id, &message);
	if (rc == STORE_DONE)
		rc = read_write(st, who, id, message);
	if (rc == STORE_DONE)
		rc = read_seen(st, who, &c);
	if (rc == STORE_DONE)
		rc = read_event(st, who, &c, message);
	return rc;
}

int
store_read_mark(
    struct store *st, const struct who *who, int64_t id, int64_t message)
{
	static const char sql[] =
	    "SELECT read_id FROM participants WHERE conversation_id = :id"
	    " AND kind = :kind AND member_id = :me";
	sqlite3_stmt *q;
	int64_t was = 0;
	int rc;

	/* Most marks are where they are already: no write lock for those. */
	if (message != 0) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", id);
		bind_str(q, ":kind", who_word(who));
		bind_int(q, ":me", who->id);
		if (step_int(st, q, &was) == -1)
			return STORE_FAILED;
		if (was >= message) {
			rc = store_conversation_may(st, who, id, MAY_SEE, NULL);
			if (rc == STORE_DONE)
				rc = read_newest(st, who, id, &message);
			return rc == STORE_DONE ? STORE_REPEATED : rc;
		}
	}
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, read_apply(st, who, id, message));
}

static int
receipts_agents(struct store *st, int64_t id, struct json_object *a)
{
	static const char sql[] =
	    "SELECT 'agent' AS kind, NULL AS id, NULL AS name,"
	    " max(read_id) AS \"#message_id\", read_at AS read_at"
	    " FROM participants WHERE conversation_id = :id"
	    " AND kind = 'agent' AND read_id > 0";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1 && col_int(q, 3) != 0)
		json_object_array_add(a, row_json(q));
	stmt_end(q);
	return rc == -1 ? STORE_FAILED : STORE_DONE;
}

static int
receipts_all(
    struct store *st, const struct who *who, int64_t id, struct json_object *a)
{
	static const char sql[] =
	    "SELECT p.kind AS kind, p.member_id AS \"#id\","
	    " CASE p.kind WHEN 'agent' THEN"
	    "  (SELECT name FROM users WHERE id = p.member_id) ELSE"
	    "  (SELECT name FROM customers WHERE id = p.member_id) END"
	    "  AS name, p.read_id AS \"#message_id\", p.read_at AS read_at"
	    " FROM participants p WHERE p.conversation_id = :id"
	    " AND p.read_id > 0 AND NOT (p.kind = :kind AND p.member_id = :me)"
	    " ORDER BY p.kind, p.member_id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who->id);
	return step_list(st, q, 1000, a) == -1 ? STORE_FAILED : STORE_DONE;
}

int
store_receipts(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	struct json_object *a;
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	a = json_object_new_array();
	rc = store_conversation_may(st, who, id, MAY_SEE, NULL);
	if (rc == STORE_DONE)
		rc = who->kind == WHO_CUSTOMER ? receipts_agents(st, id, a)
					       : receipts_all(st, who, id, a);
	store_read_end(st);
	if (rc == STORE_DONE)
		*out = a;
	else
		json_object_put(a);
	return rc;
}
