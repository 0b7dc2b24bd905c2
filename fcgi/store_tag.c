/* Tags of conversations and customers. */
#include "store_tag.h"

#include <string.h>

#include "json.h"
#include "store_db.h"

static int
tag_id(struct store *st, const char *name, int64_t *id)
{
	static const char find_sql[] = "SELECT id FROM tags WHERE name = :name";
	static const char add_sql[] =
	    "INSERT INTO tags (name, created_at) VALUES (:name, :now)"
	    " RETURNING id";
	sqlite3_stmt *q = store_stmt(st, find_sql);
	int rc;

	bind_str(q, ":name", name);
	if ((rc = step_int(st, q, id)) != 0)
		return rc;
	q = store_stmt(st, add_sql);
	bind_str(q, ":name", name);
	bind_int(q, ":now", store_now(st));
	return step_int(st, q, id);
}

int
tags_set(struct store *st, bool customer, int64_t id, struct json_object *names)
{
	static const char clear_conversation[] =
	    "DELETE FROM conversation_tags WHERE conversation_id = :id";
	static const char clear_customer[] =
	    "DELETE FROM customer_tags WHERE customer_id = :id";
	static const char add_conversation[] =
	    "INSERT OR IGNORE INTO conversation_tags VALUES (:id, :tag)";
	static const char add_customer[] =
	    "INSERT OR IGNORE INTO customer_tags VALUES (:id, :tag)";
	sqlite3_stmt *q =
	    store_stmt(st, customer ? clear_customer : clear_conversation);
	size_t i, n = json_object_array_length(names);
	int64_t tag;

	bind_int(q, ":id", id);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	for (i = 0; i < n; i++) {
		if (tag_id(st,
			json_object_get_string(
			    json_object_array_get_idx(names, i)),
			&tag) != 1)
			return STORE_FAILED;
		q = store_stmt(st, customer ? add_customer : add_conversation);
		bind_int(q, ":id", id);
		bind_int(q, ":tag", tag);
		if (step_done(st, q) != 1)
			return STORE_FAILED;
	}
	return STORE_DONE;
}

int
store_tags(struct store *st, struct json_object **out)
{
	static const char sql[] =
	    "SELECT t.id AS \"#id\", t.name AS name, t.colour AS colour,"
	    " (SELECT count(*) FROM conversation_tags ct"
	    "  WHERE ct.tag_id = t.id) AS conversations"
	    " FROM tags t INDEXED BY sqlite_autoindex_tags_1"
	    " WHERE t.name > '' ORDER BY t.name LIMIT 1000";
	struct json_object *items = json_object_new_array();
	int rc;

	if (store_read(st) == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	rc = step_list(st, store_stmt(st, sql), 1000, items);
	if (rc == -1)
		json_object_put(items);
	else
		rc = list_json(st, items, NULL, out);
	store_read_end(st);
	return rc;
}

int
store_tag_add(
    struct store *st, const char *name, const char *colour, int64_t *id)
{
	static const char sql[] = "UPDATE tags SET colour = :colour"
				  " WHERE id = :id";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = tag_id(st, name, id);
	if (rc == 1 && colour != NULL) {
		q = store_stmt(st, sql);
		bind_str(q, ":colour", colour);
		bind_int(q, ":id", *id);
		rc = step_done(st, q);
	}
	return store_end(st, rc);
}

int
store_tag_delete(struct store *st, int64_t id)
{
	static const char sql[] = "DELETE FROM tags WHERE id = :id";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	return store_end(st, step_changed(st, q));
}
