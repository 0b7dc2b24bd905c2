/* Typing and seen marks on their way to platforms. */
#include "store_act.h"

#include <string.h>

#include "store_db.h"

static int
act_newest(struct store *st, struct act *a)
{
	static const char sql[] =
	    "SELECT m.external_id, k.seen_token FROM messages m"
	    " LEFT JOIN message_marks k ON k.message_id = m.id"
	    " WHERE m.conversation_id = :id AND m.type = 'incoming'"
	    " AND m.external_id IS NOT NULL ORDER BY m.id DESC LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", a->conversation);
	if ((rc = step_row(st, q)) == 1) {
		col_copy(q, 0, a->message_external, sizeof a->message_external);
		col_copy(q, 1, a->seen_token, sizeof a->seen_token);
	}
	stmt_end(q);
	return rc == -1 ? STORE_FAILED : STORE_DONE;
}

int
store_act(struct store *st, int64_t conversation, struct act *a)
{
	static const char sql[] =
	    "SELECT c.channel_id, c.external_id,"
	    " (SELECT i.external_id FROM customer_identities i"
	    "  WHERE i.customer_id = c.customer_id"
	    "  AND i.channel_id = c.channel_id LIMIT 1)"
	    " FROM conversations c WHERE c.id = :id"
	    " AND c.channel_id IS NOT NULL AND c.external_id IS NOT NULL"
	    " AND c.merged_into IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(a, 0, sizeof *a);
	bind_int(q, ":id", conversation);
	if ((rc = step_row(st, q)) == 1) {
		a->conversation = conversation;
		a->channel = col_int(q, 0);
		col_copy(q, 1, a->conversation_external,
		    sizeof a->conversation_external);
		col_copy(
		    q, 2, a->customer_external, sizeof a->customer_external);
	}
	stmt_end(q);
	return rc == 1 ? act_newest(st, a) : rc;
}

int
store_act_typing(struct store *st, int64_t *list, size_t max, size_t *n)
{
	static const char sql[] =
	    "SELECT DISTINCT t.conversation_id"
	    " FROM typing t INDEXED BY typing_until"
	    " CROSS JOIN conversations c ON c.id = t.conversation_id"
	    " WHERE t.until_at > :now AND t.kind = 'agent'"
	    " AND c.external_id IS NOT NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc = 0;

	*n = 0;
	bind_int(q, ":now", store_now(st));
	while (*n < max && (rc = step_row(st, q)) == 1)
		list[(*n)++] = col_int(q, 0);
	stmt_end(q);
	return rc == -1 ? STORE_FAILED : STORE_DONE;
}

int
store_act_seen(struct store *st, int64_t *conversation)
{
	static const char sql[] = "SELECT conversation_id FROM seen_marks"
				  " ORDER BY conversation_id LIMIT 1";
	static const char off_sql[] =
	    "DELETE FROM seen_marks WHERE conversation_id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	if ((rc = step_int(st, q, conversation)) != STORE_DONE)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, off_sql);
	bind_int(q, ":id", *conversation);
	rc = step_changed(st, q); /* none: another worker has it */
	return store_end(st, rc);
}
