/* Files of messages, and those of platforms still to be fetched. */
#include "store_media.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "store_db.h"
#include "store_message.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define UNUSED_BATCH 200

#define ATTACHMENT_COLUMNS                                          \
	"SELECT id, path, mime, size, name, width, height, sha256," \
	" message_id, created_at FROM attachments"

static void
attachment_row(sqlite3_stmt *q, struct attachment *a)
{
	a->id = col_int(q, 0);
	col_copy(q, 1, a->path, sizeof a->path);
	col_copy(q, 2, a->mime, sizeof a->mime);
	a->size = col_int(q, 3);
	col_copy(q, 4, a->name, sizeof a->name);
	a->width = col_int(q, 5);
	a->height = col_int(q, 6);
	col_copy(q, 7, a->sha256, sizeof a->sha256);
	a->message = col_int(q, 8);
	a->created_at = col_int(q, 9);
}

void
store_media_fill(struct attachment *a, const struct media_in *in,
    const char *name, size_t len)
{
	memset(a, 0, sizeof *a);
	memcpy(a->path, in->path, sizeof a->path - 1);
	snprintf(a->mime, sizeof a->mime, "%s", in->kind->mime);
	file_name_clean(in->kind, name, len, a->name);
	a->size = in->size;
	a->width = in->width;
	a->height = in->height;
	memcpy(a->sha256, in->sha256, sizeof a->sha256);
}

struct json_object *
store_media_json(const struct attachment *a)
{
	struct json_object *o = json_object_new_object();
	struct buf url;

	json_put_id(o, "id", a->id);
	json_put_str(o, "name", a->name);
	json_put_str(o, "mime", a->mime);
	json_put_int(o, "size", a->size);
	buf_init(&url, 4096);
	buf_printf(&url, "/media/%lld/", (long long)a->id);
	for (const char *p = a->name; *p != '\0'; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || strchr("-_.~", *p) != NULL)
			buf_putc(&url, *p);
		else
			buf_printf(&url, "%%%02X", (unsigned char)*p);
	}
	json_put_strn(o, "url", url.data, url.len);
	buf_fini(&url);
	if (a->width > 0) {
		json_put_int(o, "width", a->width);
		json_put_int(o, "height", a->height);
	} else {
		json_put_str(o, "width", NULL);
		json_put_str(o, "height", NULL);
	}
	return o;
}

/* ---- uploads ------------------------------------------------------------ */

int
store_media_room(struct store *st, const struct who *who, int64_t size,
    int64_t day_max, int64_t total_max)
{
	static const char day_sql[] =
	    "SELECT coalesce(sum(size), 0) FROM attachments"
	    " WHERE owner_kind = 'customer' AND owner_id = :owner"
	    " AND created_at > :since";
	static const char total_sql[] = "SELECT bytes FROM media_total"
					" WHERE rowid = 1";
	sqlite3_stmt *q;
	int64_t bytes = 0;

	if (who != NULL && who->kind == WHO_CUSTOMER) {
		q = store_stmt(st, day_sql);
		bind_int(q, ":owner", who->id);
		bind_int(q, ":since", store_now(st) - DAY_MS);
		if (step_int(st, q, &bytes) == -1)
			return STORE_FAILED;
		if (size > day_max - bytes)
			return STORE_REFUSED;
	}
	if (total_max == 0)
		return STORE_DONE;
	q = store_stmt(st, total_sql);
	if (step_int(st, q, &bytes) == -1)
		return STORE_FAILED;
	return size > total_max - bytes ? STORE_REFUSED : STORE_DONE;
}

static int
attachment_insert(
    struct store *st, const char *kind, int64_t owner, struct attachment *a)
{
	static const char sql[] =
	    "INSERT INTO attachments (path, mime, size, name, width, height,"
	    " sha256, owner_kind, owner_id, message_id, created_at)"
	    " VALUES (:path, :mime, :size, :name, :width, :height, :sha,"
	    " :kind, :owner, :message, :now) RETURNING id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	a->created_at = store_now(st);
	bind_str(q, ":path", a->path);
	bind_str(q, ":mime", a->mime);
	bind_int(q, ":size", a->size);
	bind_str(q, ":name", a->name);
	bind_id(q, ":width", a->width);
	bind_id(q, ":height", a->height);
	bind_str(q, ":sha", a->sha256);
	bind_str(q, ":kind", kind);
	bind_int(q, ":owner", owner);
	bind_id(q, ":message", a->message);
	bind_int(q, ":now", a->created_at);
	rc = step_int(st, q, &a->id);
	return rc == 1 ? STORE_DONE : STORE_FAILED;
}

int
store_media_add(struct store *st, const struct who *who, struct attachment *a,
    int64_t day_max, int64_t total_max)
{
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_media_room(st, who, a->size, day_max, total_max);
	if (rc == STORE_DONE)
		rc = attachment_insert(
		    st, who_word(who), who != NULL ? who->id : 0, a);
	return store_end(st, rc);
}

static int
attachment_get(struct store *st, int64_t id, const struct who *owner,
    struct attachment *a, bool *own)
{
	static const char sql[] = ATTACHMENT_COLUMNS " WHERE id = :id";
	static const char own_sql[] =
	    "SELECT owner_kind = :kind AND owner_id = :owner"
	    " FROM attachments WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t is = 0;
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1)
		attachment_row(q, a);
	stmt_end(q);
	if (rc != 1)
		return rc;
	q = store_stmt(st, own_sql);
	bind_int(q, ":id", id);
	bind_str(q, ":kind", who_word(owner));
	bind_int(q, ":owner", owner != NULL ? owner->id : 0);
	rc = step_int(st, q, &is);
	*own = is != 0;
	return rc;
}

/* The one place that decides about a file. */
static int
attachment_may(
    struct store *st, const struct who *who, int64_t id, struct attachment *a)
{
	struct json_object *o = NULL;
	bool own = false;
	int rc;

	rc = attachment_get(st, id, who, a, &own);
	if (rc != 1 || who == NULL)
		return rc;
	if (a->message == 0)
		return own ? STORE_DONE : STORE_NONE;
	rc = store_message(st, who, a->message, &o);
	json_object_put(o);
	return rc;
}

int
store_media_get(
    struct store *st, const struct who *who, int64_t id, struct attachment *a)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = attachment_may(st, who, id, a);
	store_read_end(st);
	return rc;
}

int
store_media_take(struct store *st, const struct who *who, int64_t message,
    const int64_t *ids, size_t n, struct json_object **out)
{
	static const char sql[] =
	    "UPDATE attachments SET message_id = :message WHERE id = :id"
	    " AND message_id IS NULL";
	struct json_object *list = json_object_new_array();
	struct attachment a;
	sqlite3_stmt *q;
	bool own;
	int rc = STORE_DONE;
	size_t i;

	for (i = 0; i < n && rc == STORE_DONE; i++) {
		rc = attachment_get(st, ids[i], who, &a, &own);
		if (rc == STORE_NONE ||
		    (rc == STORE_DONE && (!own || a.message != 0)))
			rc = store_invalid(st, "attachments");
		if (rc != STORE_DONE)
			break;
		q = store_stmt(st, sql);
		bind_int(q, ":message", message);
		bind_int(q, ":id", ids[i]);
		rc = step_done(st, q);
		json_object_array_add(list, store_media_json(&a));
	}
	if (rc == STORE_DONE)
		*out = list;
	else
		json_object_put(list);
	return rc;
}

/* ---- tidying ------------------------------------------------------------ */

int
store_media_named(struct store *st, const char *path)
{
	static const char sql[] =
	    "SELECT 1 FROM attachments WHERE path = :path";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_str(q, ":path", path);
	return step_int(st, q, &one);
}

int
store_media_unused(struct store *st, int64_t before)
{
	static const char sql[] =
	    "DELETE FROM attachments WHERE id IN (SELECT id FROM attachments"
	    " WHERE message_id IS NULL AND created_at < :before LIMIT :batch)";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":before", before);
	bind_int(q, ":batch", UNUSED_BATCH);
	return store_end(st, step_changed(st, q));
}

int
store_media_gone(struct store *st, char path[MEDIA_PATH_SIZE])
{
	static const char sql[] = "SELECT path FROM media_gone"
				  " WHERE path > '' ORDER BY path LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	if ((rc = step_row(st, q)) == 1)
		col_copy(q, 0, path, MEDIA_PATH_SIZE);
	stmt_end(q);
	return rc;
}

int
store_media_forget(struct store *st, const char *path)
{
	static const char sql[] = "DELETE FROM media_gone WHERE path = :path";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":path", path);
	return store_end(st, step_done(st, q));
}

/* ---- files of platforms ------------------------------------------------- */

void
fetch_fini(struct fetch *f)
{
	free(f->url);
	free(f->ref);
	f->url = f->ref = NULL;
}

int
store_fetch_add(struct store *st, int64_t message, int64_t channel,
    const char *url, const char *ref)
{
	static const char sql[] =
	    "INSERT INTO media_fetches (message_id, channel_id, url, ref,"
	    " due_at) VALUES (:message, :channel, :url, :ref, :now)"
	    " ON CONFLICT DO NOTHING";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":message", message);
	bind_int(q, ":channel", channel);
	bind_str(q, ":url", url);
	bind_str(q, ":ref", url == NULL ? ref : NULL);
	bind_int(q, ":now", store_now(st));
	return store_end(st, step_done(st, q));
}

/*
 * The account that the one due longest is of, and when it is due; those of the
 * conversations ${but} are passed over.
 */
static int
fetch_next(struct store *st, const char *but, int64_t *channel, int64_t *at)
{
	/* Whatever waits for an account that is stopped is not looked at. */
	static const char sql[] =
	    "SELECT h.id, min((SELECT f.due_at"
	    "  FROM media_fetches f INDEXED BY media_fetches_due"
	    "  CROSS JOIN messages m ON m.id = f.message_id"
	    "  WHERE f.channel_id = h.id AND f.lease_until <= :now"
	    "  AND instr(:but, ',' || m.conversation_id || ',') = 0"
	    "  ORDER BY f.due_at LIMIT 1)) AS at"
	    " FROM channels h INDEXED BY channels_ok"
	    " WHERE h.state = 'ok' AND h.deleted_at IS NULL"
	    " HAVING at IS NOT NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_str(q, ":but", but);
	bind_int(q, ":now", store_now(st));
	if ((rc = step_row(st, q)) == 1) {
		*channel = col_int(q, 0);
		*at = col_int(q, 1);
	}
	stmt_end(q);
	return rc;
}

static int
claim_id(struct store *st, int64_t channel, const char *by, int64_t lease_ms,
    const char *but, int64_t *id)
{
	static const char sql[] =
	    "UPDATE media_fetches SET tries = tries + 1, lease_by = :by,"
	    " lease_until = :until WHERE message_id = (SELECT f.message_id"
	    "  FROM media_fetches f INDEXED BY media_fetches_due"
	    "  CROSS JOIN messages m ON m.id = f.message_id"
	    "  WHERE f.channel_id = :channel AND f.due_at <= :now"
	    "  AND f.lease_until <= :now"
	    "  AND instr(:but, ',' || m.conversation_id || ',') = 0"
	    "  ORDER BY f.due_at, f.message_id LIMIT 1)"
	    " RETURNING message_id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":channel", channel);
	bind_str(q, ":by", by);
	bind_str(q, ":but", but);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":until", store_now(st) + lease_ms);
	return step_int(st, q, id);
}

static int
claim_fill(struct store *st, int64_t id, struct fetch *f)
{
	static const char sql[] =
	    "SELECT f.channel_id, f.url, f.ref, f.tries, m.kind, h.platform,"
	    " c.external_id, m.external_id,"
	    " m.attachments ->> '$[0].name', m.conversation_id"
	    " FROM media_fetches f"
	    " JOIN messages m ON m.id = f.message_id"
	    " JOIN conversations c ON c.id = m.conversation_id"
	    " JOIN channels h ON h.id = f.channel_id"
	    " WHERE f.message_id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(f, 0, sizeof *f);
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		f->message = id;
		f->channel = col_int(q, 0);
		if (col_str(q, 1) != NULL)
			f->url = strdup(col_str(q, 1));
		else if (col_str(q, 2) != NULL)
			f->ref = strdup(col_str(q, 2));
		f->tries = col_int(q, 3);
		col_copy(q, 4, f->kind, sizeof f->kind);
		col_copy(q, 5, f->platform, sizeof f->platform);
		col_copy(q, 6, f->conversation_external,
		    sizeof f->conversation_external);
		col_copy(q, 7, f->message_external, sizeof f->message_external);
		col_copy(q, 8, f->name, sizeof f->name);
		f->conversation = col_int(q, 9);
		if (f->url == NULL && f->ref == NULL)
			rc = store_failed(st, "fetch", SQLITE_NOMEM);
	}
	stmt_end(q);
	return rc;
}

int
store_fetch_due(struct store *st, int64_t *at)
{
	int64_t channel;

	return fetch_next(st, "", &channel, at);
}

int
store_fetch_claim(struct store *st, const char *by, int64_t lease_ms,
    const char *but, struct fetch *f)
{
	int64_t id = 0, channel, at;
	int rc;

	memset(f, 0, sizeof *f);
	/* Asked often: without the write lock. */
	if ((rc = fetch_next(st, but, &channel, &at)) != STORE_DONE)
		return rc;
	if (at > store_now(st))
		return STORE_NONE;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = claim_id(st, channel, by, lease_ms, but, &id);
	if (rc == STORE_DONE)
		rc = claim_fill(st, id, f);
	rc = store_end(st, rc);
	if (rc != STORE_DONE)
		fetch_fini(f);
	return rc;
}

/* Whether the lease on it is ours. */
static int
fetch_ours(struct store *st, int64_t message, const char *by)
{
	static const char sql[] = "SELECT 1 FROM media_fetches"
				  " WHERE message_id = :id AND lease_by = :by";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":id", message);
	bind_str(q, ":by", by);
	return step_int(st, q, &one);
}

static int
fetch_remove(struct store *st, int64_t message)
{
	static const char sql[] =
	    "DELETE FROM media_fetches WHERE message_id = :id";

	return step_id(st, sql, message);
}

int
store_fetch_again(struct store *st, int64_t message, const char *by,
    int64_t due_at, bool counts)
{
	static const char sql[] =
	    "UPDATE media_fetches SET due_at = :due, lease_by = NULL,"
	    " tries = tries - :undone, lease_until = 0 WHERE message_id = :id";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = fetch_ours(st, message, by)) == STORE_DONE) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", message);
		bind_int(q, ":due", due_at);
		bind_int(q, ":undone", !counts);
		rc = step_done(st, q);
	}
	return store_end(st, rc);
}

/* Whose message it is: its sender owns the file. */
static int
sender_of(struct store *st, int64_t message, char kind[16], struct who *who)
{
	static const char sql[] =
	    "SELECT sender_kind, sender_id FROM messages WHERE id = :id"
	    " AND deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	*who = (struct who){ .kind = WHO_NOBODY };
	bind_int(q, ":id", message);
	if ((rc = step_row(st, q)) == 1) {
		col_copy(q, 0, kind, 16);
		who->id = col_int(q, 1);
	}
	stmt_end(q);
	who->kind = WHO_CUSTOMER;
	if (rc == 1 && strcmp(kind, "customer") != 0) {
		snprintf(kind, 16, "system");
		*who = (struct who){ .kind = WHO_NOBODY };
	}
	return rc;
}

int
store_fetch_done(struct store *st, int64_t message, const char *by,
    struct attachment *a, int64_t day_max, int64_t total_max)
{
	struct who who = { .kind = WHO_NOBODY };
	struct json_object *o = NULL;
	char kind[16] = "";
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = fetch_ours(st, message, by)) == STORE_DONE)
		rc = sender_of(st, message, kind, &who);
	if (rc == STORE_DONE)
		rc = store_media_room(st, &who, a->size, day_max, total_max);
	a->message = message;
	if (rc == STORE_DONE)
		rc = attachment_insert(st, kind, who.id, a);
	if (rc == STORE_DONE) {
		o = store_media_json(a);
		rc = store_attachment_set(st, message, 0, o);
		json_object_put(o);
	}
	if (rc == STORE_DONE)
		rc = fetch_remove(st, message);
	return store_end(st, rc);
}

int
store_fetch_failed(struct store *st, int64_t message, const char *by)
{
	struct json_object *o = json_object_new_object();
	int rc;

	json_put_str(o, "state", "failed");
	if (store_begin(st) == -1) {
		json_object_put(o);
		return STORE_FAILED;
	}
	if ((rc = fetch_ours(st, message, by)) == STORE_DONE)
		rc = store_attachment_set(st, message, 0, o);
	/* A message that is deleted has nothing to say any more. */
	if (rc == STORE_DONE || rc == STORE_NONE)
		rc = fetch_remove(st, message);
	json_object_put(o);
	return store_end(st, rc);
}
