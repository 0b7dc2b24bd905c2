/*
 * Our own messages among what platforms echo, and channels and threads by the
 * names that platforms know.
 */
#include "store_echo.h"

#include <stdlib.h>
#include <string.h>

#include "store_db.h"

#define SLACK_MS 5000 /* the platform's clock may be behind ours */
#define LATE_MS 30000 /* an echo comes so long after the request left */
#define DAY_MS INT64_C(86400000)

int
store_echo_channel(
    struct store *st, const char *platform, const char *account, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM channels WHERE platform = :platform"
	    " AND account = :account AND deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_str(q, ":platform", platform);
	bind_str(q, ":account", account);
	return step_int(st, q, id);
}

int
store_echo_thread(
    struct store *st, int64_t channel, const char *external, int64_t *id)
{
	static const char sql[] =
	    "SELECT coalesce(merged_into, id) FROM conversations"
	    " WHERE channel_id = :channel AND external_id = :external"
	    " ORDER BY id DESC LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	return step_int(st, q, id);
}

int
store_echo_known(struct store *st, int64_t channel, const char *external_id)
{
	static const char sql[] =
	    "SELECT 1 FROM messages"
	    " WHERE channel_id = :channel AND external_id = :external"
	    " UNION ALL SELECT 1 FROM deliveries"
	    " WHERE channel_id = :channel AND external_id = :external LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;
	int rc;

	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external_id);
	rc = step_int(st, q, &one);
	return rc == STORE_DONE ? STORE_REPEATED : rc;
}

int
store_echo_seen(struct store *st, int64_t channel, const char *key)
{
	static const char sql[] = "SELECT 1 FROM webhook_seen"
				  " WHERE channel_id = :channel AND key = :key";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":channel", channel);
	bind_str(q, ":key", key);
	return step_int(st, q, &one);
}

void
echoes_fini(struct echo *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].content);
}

/* Rows of id, channel, part, platform, content, awaited into ${list}. */
static int
echoes_read(
    struct store *st, sqlite3_stmt *q, struct echo *list, size_t max, size_t *n)
{
	int rc = 0;

	for (*n = 0; *n < max && (rc = step_row(st, q)) == 1;) {
		struct echo *e = &list[*n];

		e->delivery = col_int(q, 0);
		e->channel = col_int(q, 1);
		e->part = (int)col_int(q, 2);
		col_copy(q, 3, e->platform, sizeof(e->platform));
		e->awaited = col_int(q, 5) != 0;
		if ((e->content = strdup(col_str(q, 4))) == NULL) {
			rc = STORE_FAILED;
			break;
		}
		++*n;
	}
	stmt_end(q);
	if (rc == STORE_FAILED) {
		echoes_fini(list, *n);
		*n = 0;
		return rc;
	}
	return *n > 0 ? STORE_DONE : STORE_NONE;
}

int
store_echo_waiting(struct store *st, int64_t conversation, int64_t at,
    int64_t came_at, struct echo *list, size_t max, size_t *n)
{
	static const char sql[] =
	    "SELECT d.id, d.channel_id, d.part, c.platform, m.content,"
	    " d.state = 'sending' AND d.error IS NULL AND d.lease_until > :now"
	    " FROM messages m JOIN deliveries d ON d.message_id = m.id"
	    " JOIN channels c ON c.id = d.channel_id"
	    " WHERE m.conversation_id = :conversation AND m.id > :since"
	    " AND d.external_id IS NULL AND d.state IN ('unknown','sending')"
	    " AND (d.written_at BETWEEN :at - :late AND :at + :slack"
	    "  OR d.written_at BETWEEN :came - :late AND :came + :slack)"
	    " ORDER BY m.id, d.part LIMIT :max";
	sqlite3_stmt *q = store_stmt(st, sql);

	/* A message's id is its time; it may have waited before it left. */
	bind_int(q, ":conversation", conversation);
	bind_int(q, ":since", (at < came_at ? at : came_at) - DAY_MS);
	bind_int(q, ":at", at);
	bind_int(q, ":came", came_at);
	bind_int(q, ":late", LATE_MS);
	bind_int(q, ":slack", SLACK_MS);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":max", (int64_t)max);
	return echoes_read(st, q, list, max, n);
}

int
store_echo_lapsed(struct store *st, struct echo *list, size_t max, size_t *n)
{
	static const char sql[] =
	    "SELECT d.id, d.channel_id, d.part, c.platform, m.content, 0"
	    " FROM deliveries d JOIN messages m ON m.id = d.message_id"
	    " JOIN channels c ON c.id = d.channel_id"
	    " WHERE d.state = 'sending' AND d.lease_until <= :now"
	    " AND d.written_at IS NOT NULL"
	    " ORDER BY d.lease_until, d.id LIMIT :max";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":now", store_now(st));
	bind_int(q, ":max", (int64_t)max);
	return echoes_read(st, q, list, max, n);
}

int
store_echo_row(struct store *st, int64_t delivery, const char *text, size_t len,
    char *external_id, size_t size)
{
	static const char sql[] =
	    "SELECT e.external_id FROM deliveries d JOIN messages e"
	    " ON e.conversation_id = d.conversation_id"
	    " AND e.id > d.written_at - :slack"
	    " WHERE d.id = :delivery AND d.written_at IS NOT NULL"
	    " AND e.channel_id = d.channel_id AND e.inbox_id IS NOT NULL"
	    " AND e.type = 'outgoing' AND e.sender_kind = 'bot'"
	    " AND e.external_id IS NOT NULL"
	    " AND e.content = :text AND e.deleted_at IS NULL"
	    " ORDER BY e.id LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":delivery", delivery);
	bind_int(q, ":slack", SLACK_MS);
	bind_strn(q, ":text", text, len);
	if ((rc = step_row(st, q)) == 1)
		col_copy(q, 0, external_id, size);
	stmt_end(q);
	return rc;
}
