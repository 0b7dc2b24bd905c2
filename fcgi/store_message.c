/*
 * Messages: the one place that writes them, lists, edits, deletions with what
 * the log still holds of them.
 */
#include "store_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "limits.h"
#include "store_db.h"
#include "store_event.h"
#include "store_media.h"
#include "token.h"

#define ANSWER_SLACK_MS 3600000 /* the clock may have gone back */
#define NEWER_MAX 50            /* messages told with STORE_NEWER */

/* ---- forms -------------------------------------------------------------- */

/* Newest message that the other side of m has read: shown as `read`. */
#define MESSAGE_STATUS                                                    \
	" CASE WHEN m.status NOT IN ('sent', 'delivered') THEN m.status"  \
	"  WHEN m.type = 'outgoing' AND c.type = 'customer' AND EXISTS"   \
	"   (SELECT 1 FROM participants r WHERE r.conversation_id = c.id" \
	"    AND r.kind = 'customer' AND r.member_id = c.customer_id"     \
	"    AND r.read_id >= m.id) THEN 'read'"                          \
	"  WHEN m.type = 'incoming' AND EXISTS"                           \
	"   (SELECT 1 FROM participants r WHERE r.conversation_id = c.id" \
	"    AND r.kind = 'agent' AND r.read_id >= m.id) THEN 'read'"     \
	"  ELSE m.status END AS status"

#define MESSAGE_COLUMNS                                                          \
	"SELECT m.id AS \"#id\", m.conversation_id AS \"#conversation_id\","     \
	" c.type AS conversation_type,"                                          \
	" c.customer_id AS \"#customer_id\", k.name AS customer_name,"           \
	" json_object('kind', m.sender_kind,"                                    \
	"  'id', CASE WHEN m.sender_id <> 0 THEN CAST(m.sender_id AS TEXT) END," \
	"  'name', CASE m.sender_kind WHEN 'agent' THEN"                         \
	"    (SELECT s.name FROM users s WHERE s.id = m.sender_id)"              \
	"   WHEN 'customer' THEN"                                                \
	"    (SELECT s.name FROM customers s WHERE s.id = m.sender_id)"          \
	"   WHEN 'bot' THEN"                                                     \
	"    (SELECT s.name FROM bots s WHERE s.id = m.sender_id) END)"          \
	"  AS \"{sender\","                                                      \
	" m.type AS type, m.kind AS kind,"                                       \
	" CASE WHEN m.deleted_at IS NULL THEN m.content END AS content,"         \
	" m.attachments AS \"[attachments\", m.payload AS \"{payload\","         \
	" m.reply_to AS \"#reply_to\", m.client_id AS client_id,"                \
	" m.external_id AS platform_message_id," MESSAGE_STATUS                  \
	", m.error AS error, NULL AS \"[reactions\","                            \
	" CASE WHEN m.sort_at < m.id THEN m.sort_at END AS sent_at,"             \
	" m.created_at AS created_at, m.edited_at AS edited_at,"                 \
	" m.deleted_at AS deleted_at, m.deleted_by AS deleted_by,"               \
	" m.sort_at AS \"-sort_at\""                                             \
	" FROM messages m JOIN conversations c ON c.id = m.conversation_id"      \
	" LEFT JOIN customers k ON k.id = c.customer_id"

/* What a customer gets of a message: nothing internal. */
static struct json_object *
message_public(struct json_object *o)
{
	static const char *const keys[] = { "id", "conversation_id",
		"conversation_type", "sender", "type", "kind", "content",
		"attachments", "payload", "reply_to", "client_id", "status",
		"reactions", "created_at", "edited_at", "deleted_at",
		"conversationId", "sentAt", NULL };

	return json_pick(o, keys);
}

static struct json_object *
message_row(sqlite3_stmt *q, const struct who *who)
{
	struct json_object *o = row_json(q), *pub;

	if (who == NULL || who->kind != WHO_CUSTOMER)
		return o;
	pub = message_public(o);
	json_object_put(o);
	return pub;
}

static int
message_json(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	static const char sql[] = MESSAGE_COLUMNS " WHERE m.id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1)
		*out = message_row(q, who);
	stmt_end(q);
	return rc;
}

/* What rules need of a message. */
struct message_row {
	int64_t id, conversation, sender_id, inbox, channel, sort_at;
	char sender_kind[12], type[12], kind[16];
	int64_t version;
	bool deleted;
};

static int
message_get(struct store *st, int64_t id, struct message_row *m)
{
	static const char sql[] =
	    "SELECT id, conversation_id, sender_id, inbox_id, channel_id,"
	    " sort_at, sender_kind, type, kind, version,"
	    " deleted_at IS NOT NULL FROM messages WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		m->id = col_int(q, 0);
		m->conversation = col_int(q, 1);
		m->sender_id = col_int(q, 2);
		m->inbox = col_int(q, 3);
		m->channel = col_int(q, 4);
		m->sort_at = col_int(q, 5);
		col_copy(q, 6, m->sender_kind, sizeof m->sender_kind);
		col_copy(q, 7, m->type, sizeof m->type);
		col_copy(q, 8, m->kind, sizeof m->kind);
		m->version = col_int(q, 9);
		m->deleted = col_int(q, 10) != 0;
	}
	stmt_end(q);
	return rc;
}

/* The one place that decides about a message. */
static int
message_may(struct store *st, const struct who *who, int64_t id,
    struct message_row *m, struct conversation *c)
{
	int rc;

	if ((rc = message_get(st, id, m)) != 1)
		return rc;
	rc = store_conversation_may(st, who, m->conversation, MAY_SEE, c);
	if (rc == STORE_DONE && who != NULL && who->kind == WHO_CUSTOMER &&
	    strcmp(m->type, "note") == 0)
		return STORE_NONE;
	return rc;
}

/* Whether the asker may change it: its author, or an admin. */
static int
message_may_change(struct store *st, const struct who *who, int64_t id,
    struct message_row *m, struct conversation *c)
{
	int rc = message_may(st, who, id, m, c);

	if (rc != STORE_DONE || who == NULL)
		return rc;
	if (strcmp(who_word(who), m->sender_kind) == 0 &&
	    who->id == m->sender_id)
		return STORE_DONE;
	if (who->kind == WHO_USER && who->admin)
		return STORE_DONE;
	return STORE_FORBIDDEN;
}

void
message_fini(struct message *m)
{
	json_object_put(m->json);
	json_object_put(m->newer);
	json_object_put(m->taken);
	m->json = m->newer = m->taken = NULL;
}

/* ---- adding ------------------------------------------------------------- */

/* An unbroken name of what was asked for, to know a repeated request by. */
static void
message_hash(const struct message *m, char out[TOKEN_HASH_SIZE])
{
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX);
	buf_printf(&b, "%lld %d %lld %s\n", (long long)m->conversation, m->note,
	    (long long)m->reply_to, m->kind);
	if (m->attachments != NULL)
		json_write(m->attachments, &b);
	for (size_t i = 0; i < m->nfiles; i++)
		buf_printf(&b, " %lld", (long long)m->files[i]);
	buf_putc(&b, '\n');
	if (m->payload != NULL)
		json_write(m->payload, &b);
	buf_putc(&b, '\n');
	buf_append(&b, m->content, m->content_len);
	token_hash(b.data, b.len, out);
	buf_fini(&b);
}

/* The same message again, by the sender's name for it or the platform's. */
static int
message_repeated(struct store *st, const struct who *who, struct message *m)
{
	static const char client_sql[] =
	    "SELECT id, body_hash IS :hash FROM messages"
	    " WHERE sender_kind = :kind AND sender_id = :sender"
	    " AND client_id = :client";
	static const char platform_sql[] =
	    "SELECT id, 1 FROM messages WHERE channel_id = :channel"
	    " AND external_id = :external";
	sqlite3_stmt *q;
	bool same = false;
	int rc = 0;

	if (m->client_id != NULL) {
		q = store_stmt(st, client_sql);
		bind_str(q, ":hash", m->hash);
		bind_str(q, ":kind", m->sender_kind);
		bind_int(q, ":sender", m->sender_id);
		bind_str(q, ":client", m->client_id);
	} else if (m->external_id != NULL) {
		q = store_stmt(st, platform_sql);
		bind_int(q, ":channel", m->channel);
		bind_str(q, ":external", m->external_id);
	} else
		return 0;
	if ((rc = step_row(st, q)) == 1) {
		m->id = col_int(q, 0);
		same = col_int(q, 1) != 0;
	}
	stmt_end(q);
	if (rc != 1)
		return rc;
	if (!same)
		return STORE_CONFLICT;
	rc = message_json(st, who, m->id, &m->json);
	return rc == STORE_DONE ? STORE_REPEATED : STORE_FAILED;
}

static int
message_newer(struct store *st, const struct who *who, struct message *m)
{
	static const char sql[] = MESSAGE_COLUMNS
	    " WHERE m.conversation_id = :conversation AND m.id > :seen"
	    " AND NOT (m.sender_kind = :kind AND m.sender_id = :sender)"
	    " AND (:asker <> 'customer' OR m.type <> 'note')"
	    " AND m.deleted_at IS NULL ORDER BY m.id LIMIT :limit";
	sqlite3_stmt *q;
	int rc;

	if (m->seen == 0)
		return 0;
	q = store_stmt(st, sql);
	bind_int(q, ":conversation", m->conversation);
	bind_int(q, ":seen", m->seen);
	bind_str(q, ":kind", m->sender_kind);
	bind_int(q, ":sender", m->sender_id);
	bind_str(q, ":asker", who_word(who));
	bind_int(q, ":limit", NEWER_MAX);
	while ((rc = step_row(st, q)) == 1) {
		if (m->newer == NULL)
			m->newer = json_object_new_array();
		json_object_array_add(m->newer, message_row(q, who));
	}
	stmt_end(q);
	return rc == 0 && m->newer != NULL ? STORE_NEWER : rc;
}

static int
message_reply(struct store *st, struct message *m)
{
	static const char id_sql[] = "SELECT id FROM messages WHERE id = :id"
				     " AND conversation_id = :conversation"
				     " AND (:note OR type <> 'note')";
	static const char external_sql[] =
	    "SELECT id FROM messages WHERE channel_id = :channel"
	    " AND external_id = :external"
	    " AND conversation_id = :conversation"
	    " UNION ALL SELECT message_id FROM deliveries"
	    " WHERE channel_id = :channel AND external_id = :external"
	    " AND conversation_id = :conversation LIMIT 1";
	sqlite3_stmt *q;
	int rc;

	if (m->reply_to != 0) {
		q = store_stmt(st, id_sql);
		bind_int(q, ":id", m->reply_to);
		bind_int(q, ":note", m->note);
		bind_int(q, ":conversation", m->conversation);
		rc = step_int(st, q, &m->reply_to);
		return rc == 0 ? store_invalid(st, "reply_to") : rc;
	}
	if (m->reply_external == NULL)
		return STORE_DONE;
	q = store_stmt(st, external_sql);
	bind_int(q, ":channel", m->channel);
	bind_str(q, ":external", m->reply_external);
	bind_int(q, ":conversation", m->conversation);
	return step_int(st, q, &m->reply_to) == -1 ? STORE_FAILED : STORE_DONE;
}

static const char *
message_type(const struct message *m)
{
	return m->note ? "note" : m->incoming ? "incoming" : "outgoing";
}

static int
message_insert(struct store *st, const struct message *m,
    const struct conversation *c, bool queued)
{
	static const char sql[] =
	    "INSERT INTO messages (id, conversation_id, sort_at, sender_kind,"
	    " sender_id, type, kind, content, attachments, payload, reply_to,"
	    " client_id, body_hash, channel_id, external_id, inbox_id, status,"
	    " created_at) VALUES (:id, :conversation, :sort, :kind, :sender,"
	    " :type, :what, :content, :attachments, :payload, :reply,"
	    " :client, :hash, :channel, :external, :inbox, :status, :now)";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t sort = m->id;

	if (m->sent_at > 0 && m->sent_at < sort)
		sort = m->sent_at;
	bind_int(q, ":id", m->id);
	bind_int(q, ":conversation", c->id);
	bind_int(q, ":sort", sort);
	bind_str(q, ":kind", m->sender_kind);
	bind_int(q, ":sender", m->sender_id);
	bind_str(q, ":type", message_type(m));
	bind_str(q, ":what", m->kind);
	bind_strn(q, ":content", m->content, m->content_len);
	bind_json(
	    q, ":attachments", m->taken != NULL ? m->taken : m->attachments);
	bind_json(q, ":payload", m->payload);
	bind_id(q, ":reply", m->reply_to);
	bind_str(q, ":client", m->client_id);
	if (m->client_id != NULL)
		bind_str(q, ":hash", m->hash);
	bind_id(q, ":channel", m->channel);
	bind_str(q, ":external", m->external_id);
	bind_id(q, ":inbox", m->inbox);
	bind_str(q, ":status", queued ? "queued" : "sent");
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

/* The tokens that came with it, where the platform gave any. */
static int
message_marks(
    struct store *st, const struct message *m, const struct conversation *c)
{
	static const char sql[] =
	    "INSERT INTO message_marks (message_id, conversation_id,"
	    " reply_token, seen_token, quote_token)"
	    " VALUES (:id, :conversation, :reply, :seen, :quote)";
	sqlite3_stmt *q;

	if (m->reply_token == NULL && m->seen_token == NULL &&
	    m->quote_token == NULL)
		return STORE_DONE;
	q = store_stmt(st, sql);
	bind_int(q, ":id", m->id);
	bind_int(q, ":conversation", c->id);
	bind_str(q, ":reply", m->reply_token);
	bind_str(q, ":seen", m->seen_token);
	bind_str(q, ":quote", m->quote_token);
	return step_done(st, q);
}

static int
message_conversation(
    struct store *st, const struct message *m, const struct conversation *c)
{
	static const char sql[] =
	    "UPDATE conversations SET last_message_id = :id,"
	    " activity_at = max(activity_at, :id), updated_at = :now,"
	    " status = CASE WHEN :in THEN 'open' ELSE status END,"
	    " snoozed_until = CASE WHEN :in THEN NULL ELSE snoozed_until END,"
	    " last_inbound_at = CASE WHEN :window"
	    "  THEN max(coalesce(last_inbound_at, 0), :sent)"
	    "  ELSE last_inbound_at END,"
	    " sent_since = CASE WHEN :window THEN 0 WHEN :out"
	    "  THEN sent_since + 1 ELSE sent_since END"
	    " WHERE id = :conversation";
	sqlite3_stmt *q;

	if (m->note)
		return STORE_DONE;
	q = store_stmt(st, sql);
	bind_int(q, ":id", m->id);
	bind_int(q, ":conversation", c->id);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":in", m->incoming);
	bind_int(q, ":window", m->incoming && !m->quiet);
	bind_int(q, ":out", !m->incoming);
	bind_int(q, ":sent", m->sent_at > 0 ? m->sent_at : store_now(st));
	return step_done(st, q);
}

static int
message_delivery(
    struct store *st, const struct message *m, const struct conversation *c)
{
	static const char sql[] =
	    "INSERT INTO deliveries (uuid, message_id, conversation_id,"
	    " channel_id, due_at, created_at, updated_at)"
	    " VALUES (:uuid, :message, :conversation, :channel, :now, :now,"
	    " :now)";
	sqlite3_stmt *q = store_stmt(st, sql);
	char uuid[37];

	store_uuid(uuid);
	bind_str(q, ":uuid", uuid);
	bind_int(q, ":message", m->id);
	bind_int(q, ":conversation", c->id);
	bind_int(q, ":channel", c->channel);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

/* In a direct conversation: the one of the two who did not send it. */
static void
message_to(struct json_object *o, const struct rooms *r)
{
	struct json_object *sender = NULL;
	const char *from, *user;
	size_t i;

	if (json_get_obj(o, "sender", &sender) != 1 ||
	    json_get_str(sender, "id", &from, NULL) != 1)
		return;
	for (i = 0; i < r->n; i++) {
		if (strncmp(r->name[i], "user:", 5) != 0)
			continue;
		user = r->name[i] + 5;
		if (strcmp(user, from) != 0)
			json_put_str(o, "to", user);
	}
}

/* An event about a message, with the forms that live clients want. */
static int
message_event(struct store *st, const struct conversation *c, const char *type,
    struct json_object *o, bool note, int64_t *id)
{
	struct json_object *pub = NULL;
	char iso[CLOCK_ISO_SIZE];
	int64_t at = 0;
	struct rooms r;
	int rc;

	rooms_init(&r);
	rc = conversation_rooms(st, c, c->customer != 0 && !note, &r);
	if (strcmp(c->type, "direct") == 0)
		message_to(o, &r);
	/* Names under which older clients look for the same. */
	if (strcmp(type, "new_message") == 0) {
		json_get_int(o, "created_at", &at);
		clock_iso(at, iso);
		json_put_id(o, "conversationId", c->id);
		json_put_str(o, "sentAt", iso);
	}
	if (c->customer != 0 && !note)
		pub = message_public(o);
	if (strcmp(type, "new_message") != 0)
		rooms_quote(&r, o);
	if (rc == STORE_DONE)
		rc = store_event_add(st, type, o, pub, r.name, r.n, id);
	rooms_fini(&r);
	json_object_put(pub);
	return rc;
}

static int
message_new_event(struct store *st, const struct who *who, struct message *m,
    const struct conversation *c)
{
	int64_t event;
	int rc;

	rc = message_json(st, NULL, m->id, &m->json);
	if (rc == STORE_DONE)
		rc = message_event(
		    st, c, "new_message", m->json, m->note, &event);
	if (rc != STORE_DONE)
		return STORE_FAILED;
	if (event != m->id)
		return store_failed(st, "message id", SQLITE_MISUSE);
	if (who != NULL && who->kind == WHO_CUSTOMER) {
		struct json_object *all = m->json;

		m->json = message_public(all);
		json_object_put(all);
	}
	return STORE_DONE;
}

static void
message_speaker(const struct who *who, struct message *m)
{
	if (m->content == NULL) {
		m->content = "";
		m->content_len = 0;
	}
	if (m->kind == NULL)
		m->kind = "text";
	if (who != NULL) {
		m->sender_kind = who_word(who);
		m->sender_id = who->id;
		m->incoming = who->kind == WHO_CUSTOMER;
	} else if (m->sender_kind == NULL)
		m->sender_kind = "system";
}

/* The sender's uploads become the message's; what they are, it is. */
static int
message_files(struct store *st, const struct who *who, struct message *m)
{
	const struct file_kind *k;
	const char *mime = "";
	int rc;

	if (m->nfiles == 0)
		return STORE_DONE;
	rc = store_media_take(st, who, m->id, m->files, m->nfiles, &m->taken);
	if (rc != STORE_DONE)
		return rc;
	(void)json_get_str(
	    json_object_array_get_idx(m->taken, 0), "mime", &mime, NULL);
	k = file_kind_find(mime);
	m->kind = k != NULL ? k->group : "file";
	return STORE_DONE;
}

/*
 * A bot is asked, or made silent by a person's words.  ${c} is what the
 * conversation was before.
 */
static int
message_bot(struct store *st, const struct who *who, const struct message *m,
    const struct conversation *c)
{
	struct json_object *changed;
	char by[40];
	int rc;

	if (c->customer == 0 || m->note || c->bot == 0)
		return STORE_DONE;
	if (m->incoming || strcmp(m->sender_kind, "agent") != 0)
		return bot_hear(st, m, c);
	if (who != NULL)
		who_text(who, by);
	else
		snprintf(by, sizeof by, "platform");
	rc = bot_hush(st, c->id, c->channel, by, "agent");
	if (rc != STORE_DONE)
		return rc == STORE_NONE ? STORE_DONE : rc;
	changed = json_object_new_array();
	json_object_array_add(changed, json_object_new_string("bot"));
	return conversation_event(
	    st, who, c->id, "conversation_updated", changed);
}

/* Whatever the message means for its conversation, and its own event. */
static int
message_store(struct store *st, const struct who *who, struct message *m,
    const struct conversation *c)
{
	bool queued, woken;
	int rc;

	queued = !m->incoming && !m->note && !m->echo && c->customer != 0 &&
		 c->channel != 0 && strcmp(c->platform, "web") != 0;
	woken = m->incoming && strcmp(c->status, "open") != 0;
	if ((m->id = store_event_next(st)) == -1)
		return STORE_FAILED;
	if ((rc = message_files(st, who, m)) != STORE_DONE)
		return rc;
	rc = message_insert(st, m, c, queued);
	if (rc == STORE_DONE)
		rc = message_marks(st, m, c);
	if (rc == STORE_DONE)
		rc = message_conversation(st, m, c);
	if (rc == STORE_DONE && queued)
		rc = message_delivery(st, m, c);
	if (rc == STORE_DONE && who != NULL &&
	    conversation_read(st, who, c->id, m->id) == STORE_FAILED)
		rc = STORE_FAILED;
	if (rc == STORE_DONE)
		rc = message_new_event(st, who, m, c);
	if (rc == STORE_DONE && woken) {
		struct json_object *changed = json_object_new_array();

		json_object_array_add(
		    changed, json_object_new_string("status"));
		rc = conversation_event(
		    st, who, c->id, "conversation_updated", changed);
	}
	if (rc == STORE_DONE)
		rc = message_bot(st, who, m, c);
	return rc;
}

static int
message_apply(struct store *st, const struct who *who, struct message *m)
{
	struct conversation c;
	int rc;

	if ((rc = message_repeated(st, who, m)) != 0)
		return rc;
	rc = store_conversation_may(
	    st, who, m->conversation, m->note ? MAY_NOTE : MAY_WRITE, &c);
	if (rc != STORE_DONE)
		return rc;
	if (c.merged_into != 0)
		return STORE_REFUSED;
	if ((rc = message_newer(st, who, m)) != 0)
		return rc;
	if ((rc = message_reply(st, m)) != STORE_DONE)
		return rc;
	return message_store(st, who, m, &c);
}

int
store_message_add(struct store *st, const struct who *who, struct message *m)
{
	char hash[TOKEN_HASH_SIZE];
	bool own = m->hash == NULL;
	int rc;

	message_speaker(who, m);
	if (own) {
		message_hash(m, hash);
		m->hash = hash;
	}
	if (store_begin(st) == -1)
		rc = STORE_FAILED;
	else
		rc = store_end(st, message_apply(st, who, m));
	if (own)
		m->hash = NULL;
	if (rc != STORE_DONE && rc != STORE_REPEATED) {
		json_object_put(m->json);
		m->json = NULL;
	}
	return rc;
}

/* ---- reading ------------------------------------------------------------ */

int
store_message(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	struct message_row m;
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = message_may(st, who, id, &m, NULL);
	if (rc == STORE_DONE)
		rc = message_json(st, who, id, out);
	store_read_end(st);
	return rc;
}

static int
messages_page(struct store *st, const struct who *who, int64_t conversation,
    const struct store_page *pg, struct json_object **out)
{
	static const char back_sql[] =
	    MESSAGE_COLUMNS " WHERE m.conversation_id = :conversation"
			    " AND (m.sort_at, m.id) < (:at, :border)"
			    " AND (:asker <> 'customer' OR m.type <> 'note')"
			    " ORDER BY m.sort_at DESC, m.id DESC LIMIT :limit";
	static const char on_sql[] =
	    MESSAGE_COLUMNS " WHERE m.conversation_id = :conversation"
			    " AND (m.sort_at, m.id) > (:at, :border)"
			    " AND (:asker <> 'customer' OR m.type <> 'note')"
			    " ORDER BY m.sort_at, m.id LIMIT :limit";
	struct message_row border = { .id = INT64_MAX, .sort_at = INT64_MAX };
	struct json_object *items, *o;
	int64_t at = pg->after != 0 ? pg->after : pg->before;
	const char *next = NULL;
	char text[24];
	sqlite3_stmt *q;
	int rc, n = 0;

	if (at != 0) {
		rc = message_get(st, at, &border);
		if (rc == -1)
			return STORE_FAILED;
		if (rc == 0 || border.conversation != conversation)
			border.id = border.sort_at = at; /* by its time */
	}
	q = store_stmt(st, pg->after != 0 ? on_sql : back_sql);
	bind_int(q, ":conversation", conversation);
	bind_int(q, ":at", border.sort_at);
	bind_int(q, ":border", border.id);
	bind_str(q, ":asker", who_word(who));
	bind_int(q, ":limit", (int64_t)pg->limit + 1);
	items = json_object_new_array();
	while ((rc = step_row(st, q)) == 1 && n < pg->limit) {
		o = message_row(q, who);
		snprintf(text, sizeof text, "%lld", (long long)col_int(q, 0));
		json_object_array_add(items, o);
		n++;
	}
	stmt_end(q);
	if (rc == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	if (rc == 1)
		next = text;
	return list_json(st, items, next, out);
}

int
store_messages(struct store *st, const struct who *who, int64_t conversation,
    const struct store_page *pg, struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = store_conversation_may(st, who, conversation, MAY_SEE, NULL);
	if (rc == STORE_DONE)
		rc = messages_page(st, who, conversation, pg, out);
	store_read_end(st);
	return rc;
}

/* ---- editing ------------------------------------------------------------ */

static int
edit_write(struct store *st, const struct message_row *m, int64_t version,
    const char *by, const char *content, size_t len)
{
	static const char keep_sql[] =
	    "INSERT INTO message_edits (message_id, version, content,"
	    " edited_at, edited_by) SELECT id, version, content, :now, :by"
	    " FROM messages WHERE id = :id ON CONFLICT DO NOTHING";
	static const char sql[] =
	    "UPDATE messages SET content = :content, version = :version,"
	    " edited_at = :now WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, keep_sql);

	bind_int(q, ":id", m->id);
	bind_int(q, ":now", store_now(st));
	bind_str(q, ":by", by);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", m->id);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":version", version);
	bind_strn(q, ":content", content, len);
	return step_done(st, q);
}

static int
edit_event(
    struct store *st, const struct message_row *m, const struct conversation *c)
{
	struct json_object *o = NULL;
	int rc;

	rc = message_json(st, NULL, m->id, &o);
	if (rc == STORE_DONE)
		rc = message_event(st, c, "message_updated", o,
		    strcmp(m->type, "note") == 0, NULL);
	json_object_put(o);
	return rc;
}

/* Whether a platform has it, or may get it any moment. */
static int
edit_late(struct store *st, int64_t message)
{
	static const char sql[] =
	    "SELECT 1 FROM deliveries WHERE message_id = :id"
	    " AND first_at IS NOT NULL LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":id", message);
	return step_int(st, q, &one);
}

static int
edit_apply(struct store *st, const struct who *who, int64_t id, int64_t version,
    const char *content, size_t len)
{
	struct message_row m;
	struct conversation c;
	char by[40];
	int rc;

	if ((rc = message_may_change(st, who, id, &m, &c)) != STORE_DONE)
		return rc;
	if (m.deleted)
		return STORE_REFUSED;
	if (who != NULL && strcmp(m.kind, "text") != 0)
		return STORE_REFUSED;
	if (who != NULL && (rc = edit_late(st, id)) != STORE_NONE)
		return rc == STORE_DONE ? STORE_REFUSED : rc;
	if (version == 0)
		version = m.version + 1;
	else if (version <= m.version)
		return STORE_REPEATED; /* an older edit that came late */
	if (who == NULL)
		snprintf(by, sizeof by, "platform");
	else
		who_text(who, by);
	rc = edit_write(st, &m, version, by, content, len);
	return rc == STORE_DONE ? edit_event(st, &m, &c) : rc;
}

int
store_message_edit(struct store *st, const struct who *who, int64_t id,
    const char *content, size_t len, struct json_object **out)
{
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = edit_apply(st, who, id, 0, content, len);
	if (rc == STORE_DONE)
		rc = message_json(st, who, id, out);
	rc = store_end(st, rc);
	if (rc == STORE_FAILED)
		*out = NULL;
	return rc;
}

/* ---- deleting ----------------------------------------------------------- */

/*
 * Take the words out of whatever in ${o} is the message ${id}: it itself, a
 * conversation's last one, one of a list.  How many were found.
 */
static int
scrub_walk(struct json_object *o, const char *id, int64_t now, int depth)
{
	static const char *const texts[] = { "content", "payload",
		"attachments" };
	struct json_object *v;
	struct lh_entry *e;
	const char *is;
	size_t i, n;
	int hits = 0;

	if (depth > JSON_DEPTH_MAX)
		return 0;
	if (json_object_is_type(o, json_type_array)) {
		n = json_object_array_length(o);
		for (i = 0; i < n; i++)
			hits += scrub_walk(json_object_array_get_idx(o, i), id,
			    now, depth + 1);
		return hits;
	}
	if (!json_object_is_type(o, json_type_object))
		return 0;
	for (e = json_object_get_object(o)->head; e != NULL; e = e->next)
		hits +=
		    scrub_walk((struct json_object *)(uintptr_t)lh_entry_v(e),
			id, now, depth + 1);
	if (!json_object_object_get_ex(o, "content", &v) ||
	    json_get_str(o, "id", &is, &n) != 1 || strcmp(is, id) != 0)
		return hits;
	for (i = 0; i < sizeof texts / sizeof *texts; i++)
		if (json_object_object_get_ex(o, texts[i], &v))
			json_put(o, texts[i],
			    json_object_is_type(v, json_type_array)
				? json_object_new_array()
				: NULL);
	json_put_int(o, "deleted_at", now);
	return hits + 1;
}

/* A text of JSON without what the message said; NULL: it said nothing. */
static struct json_object *
scrub_text(const char *text, const char *id, int64_t now)
{
	struct json_object *o;

	if (text == NULL || strstr(text, id) == NULL)
		return NULL;
	if ((o = json_tokener_parse(text)) == NULL)
		return NULL;
	if (scrub_walk(o, id, now, 0) > 0)
		return o;
	json_object_put(o);
	return NULL;
}

static int
scrub_event(struct store *st, int64_t event, struct json_object *data,
    struct json_object *public)
{
	static const char sql[] =
	    "UPDATE events SET data = coalesce(:data, data),"
	    " public = coalesce(:public, public) WHERE id = :id";
	sqlite3_stmt *q;
	int rc = STORE_DONE;

	if (data != NULL || public != NULL) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", event);
		bind_json(q, ":data", data);
		bind_json(q, ":public", public);
		rc = step_done(st, q);
	}
	json_object_put(data);
	json_object_put(public);
	return rc;
}

/*
 * Take the message's text out of the events already logged: whoever resumes
 * from before sees it as deleted.  They are its own event, which has
 * its id, and those that quote it: a conversation may have very many others.
 */
static int
scrub_log(struct store *st, const struct message_row *m)
{
	static const char sql[] =
	    "SELECT e.id, e.data, e.public FROM event_rooms r"
	    " JOIN events e ON e.id = r.event_id"
	    " WHERE r.room = :room AND r.event_id > :from"
	    " ORDER BY r.event_id LIMIT 1";
	static const char own_sql[] =
	    "SELECT id, data, public FROM events WHERE id = :from";
	char room[EVENT_ROOM_MAX], id[24];
	struct json_object *data, *public;
	int64_t from = m->id, event, now = store_now(st);
	bool own = true;
	sqlite3_stmt *q;
	int rc;

	snprintf(room, sizeof room, ROOM_QUOTE ":%lld", (long long)m->id);
	snprintf(id, sizeof id, "%lld", (long long)m->id);
	q = store_stmt(st, own_sql);
	for (;;) {
		/* One at a time: no cursor stays open over the update. */
		bind_str(q, ":room", room);
		bind_int(q, ":from", from);
		if ((rc = step_row(st, q)) == 1) {
			event = from = col_int(q, 0);
			data = scrub_text(col_str(q, 1), id, now);
			public = scrub_text(col_str(q, 2), id, now);
		}
		stmt_end(q);
		if (rc == -1)
			return STORE_FAILED;
		if (rc == 1 &&
		    scrub_event(st, event, data, public) != STORE_DONE)
			return STORE_FAILED;
		if (rc == 0 && !own)
			return STORE_DONE;
		own = false;
		q = store_stmt(st, sql);
	}
}

static int
scrub_answer(struct store *st, struct json_object *row, const char *id)
{
	static const char sql[] =
	    "UPDATE idempotency SET answer = :answer WHERE kind = :kind"
	    " AND owner_id = :owner AND key = :key";
	const char *kind = "", *key = "", *answer = "";
	struct json_object *o;
	int64_t owner = 0;
	sqlite3_stmt *q;
	size_t n;
	int rc;

	json_get_str(row, "kind", &kind, &n);
	json_get_str(row, "key", &key, &n);
	json_get_str(row, "answer", &answer, &n);
	json_get_int(row, "owner_id", &owner);
	if ((o = scrub_text(answer, id, store_now(st))) == NULL)
		return STORE_DONE;
	q = store_stmt(st, sql);
	bind_json(q, ":answer", o);
	bind_str(q, ":kind", kind);
	bind_int(q, ":owner", owner);
	bind_str(q, ":key", key);
	rc = step_done(st, q);
	json_object_put(o);
	return rc;
}

/* And out of the first answers kept for those who ask again. */
static int
scrub_answers(struct store *st, const struct message_row *m)
{
	static const char sql[] =
	    "SELECT kind, owner_id, key, answer FROM idempotency"
	    " WHERE created_at > :since AND instr(answer, :id) > 0";
	struct json_object *rows = json_object_new_array();
	sqlite3_stmt *q = store_stmt(st, sql);
	char id[24];
	int rc = STORE_DONE;
	size_t i;

	/* A message's id is its time. */
	snprintf(id, sizeof id, "%lld", (long long)m->id);
	bind_int(q, ":since", m->id - ANSWER_SLACK_MS);
	bind_str(q, ":id", id);
	if (step_list(st, q, 1000, rows) == -1)
		rc = STORE_FAILED;
	for (i = 0; rc == STORE_DONE && i < json_object_array_length(rows); i++)
		rc = scrub_answer(st, json_object_array_get_idx(rows, i), id);
	json_object_put(rows);
	return rc;
}

static int
delete_rows(struct store *st, const struct message_row *m, const char *by)
{
	static const char sql[] =
	    "UPDATE messages SET content = '', attachments = NULL,"
	    " payload = NULL, deleted_at = :now, deleted_by = :by"
	    " WHERE id = :id";
	static const char edits_sql[] =
	    "DELETE FROM message_edits WHERE message_id = :id";
	static const char files_sql[] =
	    "DELETE FROM attachments WHERE message_id = :id";
	static const char fetch_sql[] =
	    "DELETE FROM media_fetches WHERE message_id = :id";
	/* What is still to be done keeps its other items until then. */
	static const char inbox_sql[] =
	    "UPDATE webhook_inbox SET body = x''"
	    " WHERE channel_id IN (SELECT id FROM channels)"
	    " AND body_hash ="
	    "  (SELECT body_hash FROM webhook_inbox WHERE id = :id)"
	    " AND state <> 'new' AND due_at IS NULL";
	static const char delivery_sql[] =
	    "UPDATE deliveries SET state = 'failed', error = 'deleted',"
	    " updated_at = :now WHERE message_id = :id AND state = 'queued'";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", m->id);
	bind_int(q, ":now", store_now(st));
	bind_str(q, ":by", by);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	if (step_id(st, edits_sql, m->id) != 1 ||
	    step_id(st, files_sql, m->id) != 1 ||
	    step_id(st, fetch_sql, m->id) != 1)
		return STORE_FAILED;
	if (m->inbox != 0 && step_id(st, inbox_sql, m->inbox) != 1)
		return STORE_FAILED;
	q = store_stmt(st, delivery_sql);
	bind_int(q, ":id", m->id);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

static int
delete_event(struct store *st, const struct message_row *m,
    const struct conversation *c, const char *by)
{
	struct json_object *o = json_object_new_object(), *pub = NULL;
	struct rooms r;
	int rc;

	json_put_id(o, "id", m->id);
	json_put_id(o, "conversation_id", m->conversation);
	json_put_int(o, "deleted_at", store_now(st));
	if (c->customer != 0 && strcmp(m->type, "note") != 0)
		json_object_deep_copy(o, &pub, NULL);
	json_put_str(o, "deleted_by", by);
	rooms_init(&r);
	rc = conversation_rooms(st, c, pub != NULL, &r);
	if (rc == STORE_DONE)
		rc = store_event_add(
		    st, "message_deleted", o, pub, r.name, r.n, NULL);
	rooms_fini(&r);
	json_object_put(o);
	json_object_put(pub);
	return rc;
}

static int
delete_apply(struct store *st, const struct who *who, int64_t id)
{
	struct message_row m;
	struct conversation c;
	char by[40];
	int rc;

	if ((rc = message_may_change(st, who, id, &m, &c)) != STORE_DONE)
		return rc;
	if (m.deleted)
		return STORE_REPEATED;
	if (who == NULL)
		snprintf(by, sizeof by, "platform");
	else
		who_text(who, by);
	rc = delete_rows(st, &m, by);
	if (rc == STORE_DONE)
		rc = scrub_log(st, &m);
	if (rc == STORE_DONE)
		rc = scrub_answers(st, &m);
	return rc == STORE_DONE ? delete_event(st, &m, &c, by) : rc;
}

int
message_forget(struct store *st, int64_t id)
{
	static const char last_sql[] =
	    "UPDATE conversations SET last_message_id ="
	    " (SELECT id FROM messages WHERE conversation_id = :conversation"
	    "  AND id <> :id AND type <> 'note' ORDER BY id DESC LIMIT 1)"
	    " WHERE id = :conversation AND last_message_id = :id";
	static const char sql[] = "DELETE FROM messages WHERE id = :id";
	struct message_row m;
	struct conversation c;
	sqlite3_stmt *q;
	int rc;

	if ((rc = message_may(st, NULL, id, &m, &c)) != STORE_DONE)
		return rc;
	if (scrub_log(st, &m) != STORE_DONE ||
	    delete_event(st, &m, &c, "platform") != STORE_DONE)
		return STORE_FAILED;
	q = store_stmt(st, last_sql);
	bind_int(q, ":conversation", m.conversation);
	bind_int(q, ":id", id);
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	return step_id(st, sql, id);
}

int
store_message_delete(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_end(st, delete_apply(st, who, id));
	if (out != NULL && (rc == STORE_DONE || rc == STORE_REPEATED) &&
	    message_json(st, who, id, out) != STORE_DONE)
		return STORE_FAILED;
	return rc;
}

/* ---- by the platform's id ----------------------------------------------- */

int
store_message_external(
    struct store *st, int64_t channel, const char *external, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM messages WHERE channel_id = :channel"
	    " AND external_id = :external";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	return step_int(st, q, id);
}

int
store_message_edit_external(struct store *st, int64_t channel,
    const char *external, int64_t version, const char *content, size_t len)
{
	int64_t id;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_message_external(st, channel, external, &id);
	if (rc == STORE_DONE)
		rc = edit_apply(st, NULL, id, version, content, len);
	return store_end(st, rc);
}

/*
 * The next of the rows that one message of the platform became, which is not
 * deleted: itself, and ID#1, ID#2, ... for its further files.
 */
static int
external_next(
    struct store *st, int64_t channel, const char *external, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM messages WHERE channel_id = :channel"
	    " AND external_id = :external AND deleted_at IS NULL"
	    " UNION ALL SELECT id FROM messages WHERE channel_id = :channel"
	    " AND external_id > :external || '#'"
	    " AND external_id < :external || '$'"
	    " AND substr(external_id, length(:external) + 2)"
	    "  NOT GLOB '*[^0-9]*' AND deleted_at IS NULL LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	return step_int(st, q, id);
}

int
store_message_delete_external(
    struct store *st, int64_t channel, const char *external)
{
	int64_t id;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_message_external(st, channel, external, &id);
	if (rc == STORE_DONE)
		rc = STORE_REPEATED;
	while (rc == STORE_DONE || rc == STORE_REPEATED) {
		int next = external_next(st, channel, external, &id);

		if (next == STORE_NONE)
			break;
		rc = next == STORE_DONE ? delete_apply(st, NULL, id) : next;
	}
	return store_end(st, rc);
}

/* ---- attachments -------------------------------------------------------- */

static int
attachment_apply(
    struct store *st, int64_t message, int index, struct json_object *members)
{
	static const char get_sql[] =
	    "SELECT attachments FROM messages WHERE id = :id";
	static const char sql[] =
	    "UPDATE messages SET attachments = :attachments WHERE id = :id";
	struct json_object *a = NULL, *o;
	struct message_row m;
	struct conversation c;
	sqlite3_stmt *q;
	int rc;

	if ((rc = message_may(st, NULL, message, &m, &c)) != STORE_DONE)
		return rc;
	q = store_stmt(st, get_sql);
	bind_int(q, ":id", message);
	if ((rc = step_row(st, q)) == 1)
		a = col_json(q, 0);
	stmt_end(q);
	if (rc != 1)
		return rc;
	if (a == NULL || index < 0 ||
	    (size_t)index >= json_object_array_length(a) || m.deleted) {
		json_object_put(a);
		return STORE_NONE;
	}
	o = json_object_array_get_idx(a, (size_t)index);
	json_object_object_del(o, "state");
	json_object_object_foreach(members, key, v)
	{
		json_put(o, key, json_object_get(v));
	}
	q = store_stmt(st, sql);
	bind_int(q, ":id", message);
	bind_json(q, ":attachments", a);
	rc = step_done(st, q);
	json_object_put(a);
	return rc == STORE_DONE ? edit_event(st, &m, &c) : rc;
}

int
store_attachment_set(
    struct store *st, int64_t message, int index, struct json_object *members)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, attachment_apply(st, message, index, members));
}
