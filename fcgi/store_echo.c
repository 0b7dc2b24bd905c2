/*
 * Our own messages among what platforms echo, and channels and threads by the
 * names that platforms know.
 */
#include "store_echo.h"

#include <string.h>

#include <sodium.h>

#include "store_db.h"

#define SLACK_MS 5000 /* the platform's clock may be behind ours */
#define LATE_MS 30000 /* an echo comes so long after the request left */
#define ROWS_MAX 200  /* looked at for one delivery */

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
echo_mark(const char *kind, const char *text, char out[ECHO_MARK_SIZE])
{
	bool words = text != NULL && *text != '\0';
	const char *what = words ? text : kind;
	unsigned char hash[(ECHO_MARK_SIZE - 1) / 2];
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, sizeof(hash));
	crypto_generichash_update(
	    &h, (const unsigned char *)(words ? "t" : "k"), 1);
	crypto_generichash_update(
	    &h, (const unsigned char *)what, strlen(what));
	crypto_generichash_final(&h, hash, sizeof(hash));
	sodium_bin2hex(out, ECHO_MARK_SIZE, hash, sizeof(hash));
}

/* Rows of id, channel, awaited into ${list}. */
static int
echoes_read(
    struct store *st, sqlite3_stmt *q, struct echo *list, size_t max, size_t *n)
{
	int rc = 0;

	for (*n = 0; *n < max && (rc = step_row(st, q)) == 1; ++*n)
		list[*n] = (struct echo){ .delivery = col_int(q, 0),
			.channel = col_int(q, 1),
			.awaited = col_int(q, 2) != 0 };
	stmt_end(q);
	if (rc == -1)
		return STORE_FAILED;
	return *n > 0 ? STORE_DONE : STORE_NONE;
}

int
store_echo_waiting(struct store *st, int64_t conversation, const char *said,
    int64_t at, int64_t came_at, struct echo *list, size_t max, size_t *n)
{
	static const char sql[] =
	    "SELECT id, channel_id, state = 'sending' AND error IS NULL"
	    " AND lease_until > :now FROM deliveries"
	    " WHERE conversation_id = :conversation AND said = :said"
	    " AND external_id IS NULL AND (:at IS NULL"
	    "  OR coalesce(written_at, sent_at)"
	    "   BETWEEN :at - :late AND :at + :slack"
	    "  OR coalesce(written_at, sent_at)"
	    "   BETWEEN :came - :late AND :came + :slack)"
	    " ORDER BY id LIMIT :max";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":conversation", conversation);
	bind_str(q, ":said", said);
	if (at != 0 || came_at != 0)
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
	    "SELECT id, channel_id, 0 FROM deliveries"
	    " WHERE state = 'sending' AND lease_until <= :now"
	    " AND said IS NOT NULL ORDER BY lease_until, id LIMIT :max";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":now", store_now(st));
	bind_int(q, ":max", (int64_t)max);
	return echoes_read(st, q, list, max, n);
}

int
store_echo_row(
    struct store *st, int64_t delivery, char *external_id, size_t size)
{
	static const char sql[] =
	    "SELECT e.external_id, e.kind, e.content, d.said"
	    " FROM deliveries d JOIN messages e"
	    " ON e.conversation_id = d.conversation_id"
	    " AND e.id > coalesce(d.written_at, d.sent_at) - :slack"
	    " WHERE d.id = :delivery AND d.said IS NOT NULL"
	    " AND e.channel_id = d.channel_id AND e.inbox_id IS NOT NULL"
	    " AND e.type = 'outgoing' AND e.sender_kind = 'bot'"
	    " AND e.external_id IS NOT NULL AND e.deleted_at IS NULL"
	    " AND (e.sort_at BETWEEN coalesce(d.written_at, d.sent_at) - :slack"
	    "   AND coalesce(d.written_at, d.sent_at) + :late"
	    "  OR e.id < coalesce(d.written_at, d.sent_at) + :late)"
	    " ORDER BY e.id LIMIT :max";
	sqlite3_stmt *q = store_stmt(st, sql);
	char mark[ECHO_MARK_SIZE];
	int rc;

	bind_int(q, ":delivery", delivery);
	bind_int(q, ":slack", SLACK_MS);
	bind_int(q, ":late", LATE_MS);
	bind_int(q, ":max", ROWS_MAX);
	while ((rc = step_row(st, q)) == 1) {
		echo_mark(col_str(q, 1), col_str(q, 2), mark);
		if (strcmp(mark, col_str(q, 3)) == 0)
			break;
	}
	if (rc == 1)
		col_copy(q, 0, external_id, size);
	stmt_end(q);
	return rc;
}
