/*
 * Conversations: who may do what with them, lists of them, changes.
 */
#include "store_conversation.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "json.h"
#include "store_db.h"
#include "store_event.h"

#define LIST_SCAN 2000  /* rows looked at for one page of a list */
#define UNREAD_SCAN 500 /* conversations looked at for unread counts */
#define SNOOZE_BATCH 100

/* ---- rights ------------------------------------------------------------- */

static int
may_decide(const struct who *who, const struct conversation *c, bool member,
    bool active, enum conversation_need need)
{
	bool customers = strcmp(c->type, "customer") == 0;

	if (who == NULL || who->kind == WHO_PUSHD)
		return STORE_DONE;
	if (!active)
		return STORE_NONE;
	if (who->kind == WHO_USER)
		return customers || member ? STORE_DONE : STORE_NONE;
	if (who->kind == WHO_CUSTOMER && customers && c->customer == who->id)
		return need <= MAY_WRITE ? STORE_DONE : STORE_FORBIDDEN;
	return STORE_NONE;
}

int
store_conversation_may(struct store *st, const struct who *who, int64_t id,
    enum conversation_need need, struct conversation *c)
{
	static const char sql[] =
	    "SELECT c.id, c.type, h.platform, c.status, c.channel_id,"
	    " c.customer_id, c.assignee_id, c.team_id, c.merged_into,"
	    " c.last_message_id, c.last_inbound_at, c.sent_since,"
	    " c.activity_at,"
	    " EXISTS (SELECT 1 FROM participants p"
	    "  WHERE p.conversation_id = c.id AND p.kind = :kind"
	    "  AND p.member_id = :me AND p.member = 1),"
	    " CASE :kind WHEN 'agent' THEN NOT EXISTS (SELECT 1 FROM users u"
	    "   WHERE u.id = :me AND u.disabled_at IS NOT NULL)"
	    "  ELSE NOT EXISTS (SELECT 1 FROM customers k"
	    "   WHERE k.id = :me AND k.deleted_at IS NOT NULL) END,"
	    " (SELECT b.bot_id FROM bot_channels b"
	    "  WHERE b.channel_id = c.channel_id)"
	    " FROM conversations c LEFT JOIN channels h ON h.id = c.channel_id"
	    " WHERE c.id = :id";
	struct conversation own;
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	if (c == NULL)
		c = &own;
	memset(c, 0, sizeof *c);
	bind_int(q, ":id", id);
	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who != NULL ? who->id : 0);
	if ((rc = step_row(st, q)) == 1) {
		c->id = col_int(q, 0);
		col_copy(q, 1, c->type, sizeof c->type);
		col_copy(q, 2, c->platform, sizeof c->platform);
		col_copy(q, 3, c->status, sizeof c->status);
		c->channel = col_int(q, 4);
		c->customer = col_int(q, 5);
		c->assignee = col_int(q, 6);
		c->team = col_int(q, 7);
		c->merged_into = col_int(q, 8);
		c->last_message = col_int(q, 9);
		c->last_inbound_at = col_int(q, 10);
		c->sent_since = col_int(q, 11);
		c->activity_at = col_int(q, 12);
		c->bot = col_int(q, 15);
		rc = may_decide(
		    who, c, col_int(q, 13) != 0, col_int(q, 14) != 0, need);
	}
	stmt_end(q);
	return rc;
}

static int
rooms_members(struct store *st, int64_t id, struct rooms *r)
{
	static const char sql[] =
	    "SELECT member_id FROM participants"
	    " WHERE conversation_id = :id AND kind = 'agent' AND member = 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	while ((rc = step_row(st, q)) == 1)
		rooms_add(r, "user", col_int(q, 0));
	stmt_end(q);
	return rc;
}

int
conversation_rooms(struct store *st, const struct conversation *c, bool public,
    struct rooms *r)
{
	rooms_add(r, "conversation", c->id);
	if (strcmp(c->type, "customer") != 0) {
		if (rooms_members(st, c->id, r) == -1)
			return STORE_FAILED;
	} else {
		rooms_add(r, "inbox", 0);
		if (public)
			rooms_add(r, "customer", c->customer);
	}
	return r->err ? store_failed(st, "rooms", SQLITE_NOMEM) : STORE_DONE;
}

/* ---- one ---------------------------------------------------------------- */

/*
 * Messages that count as unread for :kind :me.  To be added: of which
 * conversation, past which, and, where it is a customer's, UNREAD_TYPE only.
 */
#define UNREAD_FROM                                   \
	" FROM messages u WHERE u.deleted_at IS NULL" \
	" AND NOT (u.sender_kind = :kind AND u.sender_id = :me)"
#define UNREAD_TYPE "iif(:kind = 'customer', 'outgoing', 'incoming')"

/*
 * Until when the customer of ${o} can be answered, on a platform that has such
 * limits, by the row that ${q} stands at; new, or NULL.  A state of this very
 * moment: not for the log.
 */
static struct json_object *
reply_window(struct store *st, sqlite3_stmt *q, struct json_object *o)
{
	const char *platform = "";
	int64_t last_inbound_at = 0, sent_since = 0;
	struct json_object *config, *w;

	(void)json_get_str(o, "platform", &platform, NULL);
	if (channel_find(platform) == NULL)
		return NULL;
	(void)json_get_int(o, "last_inbound_at", &last_inbound_at);
	(void)json_get_int(o, "sent_since", &sent_since);
	config = col_json(q, 0);
	w = channel_reply_json(
	    platform, config, last_inbound_at, sent_since, store_now(st));
	json_object_put(config);
	return w;
}

/* Puts the name of a user, or of a customer, as ${key} of ${o}. */
static int
put_name(struct store *st, struct json_object *o, const char *key,
    const char *kind, int64_t id)
{
	static const char agent[] = "SELECT name FROM users WHERE id = :id";
	static const char customer[] =
	    "SELECT name FROM customers WHERE id = :id";
	static const char bot[] = "SELECT name FROM bots WHERE id = :id";
	sqlite3_stmt *q;
	int rc;

	json_put_str(o, key, NULL);
	if (id == 0 || kind == NULL ||
	    (strcmp(kind, "agent") != 0 && strcmp(kind, "customer") != 0 &&
		strcmp(kind, "bot") != 0))
		return 0;
	q = store_stmt(st, *kind == 'a'   ? agent
			   : *kind == 'b' ? bot
					  : customer);
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1)
		json_put_str(o, key, col_str(q, 0));
	stmt_end(q);
	return rc == -1 ? -1 : 0;
}

static int
put_tags(struct store *st, struct json_object *o, int64_t id)
{
	static const char sql[] = "SELECT t.name FROM conversation_tags ct"
				  " JOIN tags t ON t.id = ct.tag_id"
				  " WHERE ct.conversation_id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	struct json_object *a = json_object_new_array();
	int rc;

	bind_int(q, ":id", id);
	while ((rc = step_row(st, q)) == 1)
		json_object_array_add(a, json_object_new_string(col_str(q, 0)));
	stmt_end(q);
	json_put(o, "tags", a);
	return rc;
}

static int
put_participants(struct store *st, struct json_object *o, int64_t id)
{
	static const char sql[] =
	    "SELECT m.kind AS kind, m.member_id AS \"#id\", u.name AS name"
	    " FROM participants m JOIN users u ON u.id = m.member_id"
	    " WHERE m.conversation_id = :id AND m.kind = 'agent'"
	    " AND m.member = 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	struct json_object *a = json_object_new_array();
	int rc;

	bind_int(q, ":id", id);
	rc = step_list(st, q, INT_MAX, a);
	json_put(o, "participants", a);
	return rc;
}

static int
put_unread(struct store *st, struct json_object *o, const struct who *who,
    int64_t id, const char *type, int64_t read)
{
	static const char sql[] =
	    "SELECT count(*) FROM (SELECT 1" UNREAD_FROM
	    " AND u.conversation_id = :id AND u.id > :read"
	    " AND (:type <> 'customer' OR u.type = " UNREAD_TYPE ") LIMIT 100)";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t n = 0;

	bind_int(q, ":id", id);
	bind_int(q, ":read", read);
	bind_str(q, ":type", type);
	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who->id);
	if (step_int(st, q, &n) != 1)
		return -1;
	json_put_int(o, "unread_count", n);
	return 0;
}

/* What a row of conversation_json has for its making; row_json hides it. */
enum {
	ROW_CONFIG,
	ROW_CUSTOMER,
	ROW_CUSTOMER_NAME,
	ROW_AVATAR,
	ROW_LAST,
	ROW_LAST_TYPE,
	ROW_LAST_KIND,
	ROW_LAST_CONTENT,
	ROW_SENDER_KIND,
	ROW_SENDER,
	ROW_LAST_STATUS,
	ROW_LAST_CREATED,
	ROW_LAST_DELETED,
	ROW_LAST_ID,
	ROW_READ,
	ROW_ID,
	ROW_TYPE,
	ROW_ASSIGNEE,
	ROW_CHANNEL,
	ROW_BOT
};

static int
put_last(struct store *st, struct json_object *o, sqlite3_stmt *q)
{
	struct json_object *m = json_object_new_object();
	struct json_object *s = json_object_new_object();
	const char *kind = col_str(q, ROW_SENDER_KIND);
	int64_t sender = col_int(q, ROW_SENDER);
	int rc = 0;

	json_put_str(s, "kind", kind);
	json_put_id(s, "id", sender);
	if (kind != NULL && strcmp(kind, "customer") == 0 &&
	    sender == col_int(q, ROW_CUSTOMER))
		json_put_str(s, "name", col_str(q, ROW_CUSTOMER_NAME));
	else
		rc = put_name(st, s, "name", kind, sender);
	json_put_id(m, "id", col_int(q, ROW_LAST));
	json_put_str(m, "type", col_str(q, ROW_LAST_TYPE));
	json_put_str(m, "kind", col_str(q, ROW_LAST_KIND));
	json_put_str(m, "content", col_str(q, ROW_LAST_CONTENT));
	json_put(m, "sender", s);
	json_put_str(m, "status", col_str(q, ROW_LAST_STATUS));
	json_put_int(m, "created_at", col_int(q, ROW_LAST_CREATED));
	if (sqlite3_column_type(q, ROW_LAST_DELETED) == SQLITE_NULL)
		json_put_str(m, "deleted_at", NULL);
	else
		json_put_int(m, "deleted_at", col_int(q, ROW_LAST_DELETED));
	json_put(o, "last_message", m);
	return rc;
}

/* The members that are NULL in the row so far, in ${o}. */
static int
put_parts(struct store *st, const struct who *who, struct json_object *o,
    sqlite3_stmt *q)
{
	int64_t id = col_int(q, ROW_ID), read = col_int(q, ROW_READ);
	const char *type = col_str(q, ROW_TYPE);
	struct json_object *k;

	if (col_int(q, ROW_CUSTOMER) != 0) {
		k = json_object_new_object();
		json_put_id(k, "id", col_int(q, ROW_CUSTOMER));
		json_put_str(k, "name", col_str(q, ROW_CUSTOMER_NAME));
		json_put_str(k, "avatar_url", col_str(q, ROW_AVATAR));
		json_put(o, "customer", k);
	}
	if (put_name(st, o, "assignee_name", "agent",
		col_int(q, ROW_ASSIGNEE)) == -1 ||
	    put_tags(st, o, id) == -1)
		return -1;
	if (col_int(q, ROW_CUSTOMER) != 0 && col_int(q, ROW_BOT) != 0 &&
	    (who == NULL || who->kind != WHO_CUSTOMER) &&
	    bot_put(st, o, id, col_int(q, ROW_CHANNEL)) == -1)
		return -1;
	if (strcmp(type, "customer") != 0 && put_participants(st, o, id) == -1)
		return -1;
	if (col_int(q, ROW_LAST) != 0 && put_last(st, o, q) == -1)
		return -1;
	if (who == NULL)
		json_object_object_del(o, "unread_count");
	else if (col_int(q, ROW_LAST_ID) > read &&
		 put_unread(st, o, who, id, type, read) == -1)
		return -1;
	if (who != NULL && who->kind == WHO_USER)
		json_put(o, "reply_window", reply_window(st, q, o));
	return 0;
}

/* What the customer gets of conversation_json. */
static struct json_object *
conversation_public(struct json_object *o)
{
	static const char *const keys[] = { "id", "type", "platform",
		"customer", "subject", "status", "last_message",
		"last_message_at", "unread_count", "created_at", "updated_at",
		NULL };

	return json_pick(o, keys);
}

/*
 * One conversation in the asker's form; ${who} NULL: for events, without
 * anybody's unread count and without the reply window, which agents get.
 * In several plain statements: a process that answers one
 * request (CGI) spends more on preparing them than on running them, and one
 * with all of it in subqueries took twice as long.
 */
static int
conversation_json(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	static const char sql[] =
	    "SELECT h.config AS \"-\", k.id AS \"-\", k.name AS \"-\","
	    " k.avatar_url AS \"-\", l.id AS \"-\", l.type AS \"-\","
	    " l.kind AS \"-\", CASE WHEN l.deleted_at IS NULL"
	    "  THEN substr(l.content, 1, 300) END AS \"-\","
	    " l.sender_kind AS \"-\", l.sender_id AS \"-\","
	    " l.status AS \"-\", l.created_at AS \"-\","
	    " l.deleted_at AS \"-\", c.last_message_id AS \"-\","
	    " p.read_id AS \"-\","
	    " c.id AS \"#id\", c.type AS type,"
	    " c.assignee_id AS \"-\", c.channel_id AS \"-\","
	    " (SELECT b.bot_id FROM bot_channels b"
	    "  WHERE b.channel_id = c.channel_id) AS \"-\","
	    " c.channel_id AS \"#channel_id\","
	    " coalesce(h.platform, 'web') AS platform, NULL AS customer,"
	    " c.subject AS subject, c.status AS status,"
	    " c.snoozed_until AS snoozed_until, c.priority AS priority,"
	    " c.assignee_id AS \"#assignee_id\", NULL AS assignee_name,"
	    " c.team_id AS \"#team_id\", NULL AS bot, NULL AS \"[tags\","
	    " NULL AS \"[participants\", NULL AS last_message,"
	    " l.created_at AS last_message_at, 0 AS unread_count,"
	    " c.merged_into AS \"#merged_into\","
	    " c.last_inbound_at AS last_inbound_at,"
	    " c.sent_since AS sent_since,"
	    " c.created_at AS created_at, c.updated_at AS updated_at"
	    " FROM conversations c"
	    " LEFT JOIN channels h ON h.id = c.channel_id"
	    " LEFT JOIN customers k ON k.id = c.customer_id"
	    " LEFT JOIN messages l ON l.id = c.last_message_id"
	    " LEFT JOIN participants p ON p.conversation_id = c.id"
	    "  AND p.kind = :kind AND p.member_id = :me"
	    " WHERE c.id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	struct json_object *o;
	int rc;

	bind_int(q, ":id", id);
	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who != NULL ? who->id : 0);
	if ((rc = step_row(st, q)) == 1) {
		o = row_json(q);
		if (put_parts(st, who, o, q) == -1) {
			json_object_put(o);
			rc = -1;
		} else if (who != NULL && who->kind == WHO_CUSTOMER) {
			*out = conversation_public(o);
			json_object_put(o);
		} else
			*out = o;
	}
	stmt_end(q);
	return rc;
}

int
store_conversation(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	struct conversation c;
	int rc, hops = 0;

	if (store_read(st) == -1)
		return STORE_FAILED;
	while ((rc = store_conversation_may(st, who, id, MAY_SEE, &c)) ==
		   STORE_DONE &&
	       c.merged_into != 0 && hops++ < 8)
		id = c.merged_into;
	if (rc == STORE_DONE)
		rc = conversation_json(st, who, id, out);
	store_read_end(st);
	return rc == STORE_DONE && hops > 0 ? STORE_REPEATED : rc;
}

/* ---- lists -------------------------------------------------------------- */

/*
 * A list walks an index in order and looks at LIST_SCAN rows at most; those
 * that match are shown.  A page may so hold fewer than asked for and still
 * have a next one.
 */
#define LIST_COLUMNS                                                           \
	"SELECT c.id, c.activity_at,"                                          \
	" (c.type = 'customer' AND :kind = 'agent'"                            \
	"  OR c.customer_id = :me AND :kind = 'customer'"                      \
	"  OR coalesce(p.member, 0))"                                          \
	" AND (:type IS NULL OR c.type = :type)"                               \
	" AND (:status IS NULL OR c.status = :status)"                         \
	" AND (:live IS NULL OR c.status <> 'closed')"                         \
	" AND (:assignee IS NULL OR coalesce(c.assignee_id, -1) = :assignee)"  \
	" AND (:team IS NULL OR c.team_id IS :team)"                           \
	" AND (:channel IS NULL OR c.channel_id IS :channel)"                  \
	" AND (:customer IS NULL OR c.customer_id IS :customer)"               \
	" AND (:tag IS NULL OR EXISTS (SELECT 1 FROM conversation_tags ct"     \
	"  JOIN tags t ON t.id = ct.tag_id"                                    \
	"  WHERE ct.conversation_id = c.id AND t.name = :tag))"                \
	" AND (:unread IS NULL OR (coalesce(c.last_message_id, 0) >"           \
	"  coalesce(p.read_id, 0) AND EXISTS (SELECT 1" UNREAD_FROM            \
	"  AND u.conversation_id = c.id AND u.id > coalesce(p.read_id, 0)"     \
	"  AND (c.type <> 'customer' OR u.type = " UNREAD_TYPE "))))"          \
	" AND (:q IS NULL OR fold(c.subject) LIKE :q ESCAPE '\\'"              \
	"  OR EXISTS (SELECT 1 FROM customers k WHERE k.id = c.customer_id"    \
	"   AND k.fold LIKE :q ESCAPE '\\')"                                   \
	"  OR EXISTS (SELECT 1 FROM messages l WHERE l.id = c.last_message_id" \
	"   AND fold(l.content) LIKE :q ESCAPE '\\'))"
#define LIST_JOIN                                               \
	" LEFT JOIN participants p ON p.conversation_id = c.id" \
	"  AND p.kind = :kind AND p.member_id = :me"
#define LIST_ORDER                                           \
	" AND c.merged_into IS NULL"                         \
	" AND (c.activity_at, c.id) < (:before, :before_id)" \
	" ORDER BY c.activity_at DESC, c.id DESC LIMIT :scan"

static const char *
list_sql(const struct who *who, const struct conversation_filter *f)
{
	static const char all[] = LIST_COLUMNS
	    " FROM conversations c INDEXED BY conversations_inbox" LIST_JOIN
	    " WHERE 1" LIST_ORDER;
	static const char by_status[] = LIST_COLUMNS
	    " FROM conversations c INDEXED BY conversations_status" LIST_JOIN
	    " WHERE c.status = :status" LIST_ORDER;
	static const char by_assignee[] = LIST_COLUMNS
	    " FROM conversations c INDEXED BY conversations_assignee" LIST_JOIN
	    " WHERE c.assignee_id = :assignee" LIST_ORDER;
	static const char by_nobody[] = LIST_COLUMNS
	    " FROM conversations c INDEXED BY conversations_assignee" LIST_JOIN
	    " WHERE c.assignee_id IS NULL" LIST_ORDER;
	static const char by_team[] = LIST_COLUMNS
	    " FROM conversations c INDEXED BY conversations_team" LIST_JOIN
	    " WHERE c.team_id = :team" LIST_ORDER;
	static const char by_channel[] = LIST_COLUMNS
	    " FROM conversations c INDEXED BY conversations_channel" LIST_JOIN
	    " WHERE c.channel_id = :channel" LIST_ORDER;
	static const char by_customer[] = LIST_COLUMNS
	    " FROM conversations c INDEXED BY conversations_customer" LIST_JOIN
	    " WHERE c.customer_id = :customer" LIST_ORDER;
	static const char by_member[] = LIST_COLUMNS
	    " FROM participants p INDEXED BY participants_member"
	    " JOIN conversations c ON c.id = p.conversation_id"
	    " WHERE p.kind = :kind AND p.member_id = :me AND p.member = 1" LIST_ORDER;

	if (who->kind == WHO_CUSTOMER || f->customer != 0)
		return by_customer;
	if (f->type != NULL && strcmp(f->type, "customer") != 0)
		return by_member;
	if (f->assignee != 0)
		return f->assignee > 0 ? by_assignee : by_nobody;
	if (f->team != 0)
		return by_team;
	if (f->status != NULL)
		return by_status;
	return f->channel != 0 ? by_channel : all;
}

static int
list_bind(sqlite3_stmt *q, const struct who *who,
    const struct conversation_filter *f, const struct store_page *pg)
{
	bool all = pg->before == 0;
	char *fold, *like;

	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who->id);
	bind_str(q, ":status", f->status);
	bind_id(q, ":assignee", f->assignee);
	bind_id(q, ":team", f->team);
	bind_id(q, ":channel", f->channel);
	bind_id(
	    q, ":customer", who->kind == WHO_CUSTOMER ? who->id : f->customer);
	bind_str(q, ":type", f->type);
	bind_str(q, ":tag", f->tag);
	bind_id(q, ":live", f->live);
	bind_id(q, ":unread", f->unread);
	bind_int(q, ":before", all ? INT64_MAX : pg->before);
	bind_int(q, ":before_id", all ? INT64_MAX : pg->before_id);
	bind_int(q, ":scan", LIST_SCAN);
	if (f->q == NULL || *f->q == '\0')
		return 0;
	if ((fold = store_fold(f->q, strlen(f->q))) == NULL)
		return -1;
	like = store_like(fold);
	bind_str(q, ":q", like);
	free(fold);
	free(like);
	return like != NULL ? 0 : -1;
}

/* The ids of a page into ids (of limit), and where the next page begins. */
static int
list_ids(struct store *st, const struct who *who,
    const struct conversation_filter *f, const struct store_page *pg,
    int64_t *ids, int *n, char next[48])
{
	sqlite3_stmt *q = store_stmt(st, list_sql(who, f));
	int64_t at = 0, id = 0;
	int rc, rows = 0;

	*n = 0;
	next[0] = '\0';
	if (list_bind(q, who, f, pg) == -1)
		return store_failed(st, "list", SQLITE_NOMEM);
	while ((rc = step_row(st, q)) == 1) {
		if (*n == pg->limit)
			break;
		id = col_int(q, 0);
		at = col_int(q, 1);
		rows++;
		if (col_int(q, 2))
			ids[(*n)++] = id;
	}
	stmt_end(q);
	if (rc == 1 || rows == LIST_SCAN)
		snprintf(next, 48, "%lld.%lld", (long long)at, (long long)id);
	return rc == -1 ? STORE_FAILED : STORE_DONE;
}

static int
list_page(struct store *st, const struct who *who,
    const struct conversation_filter *f, const struct store_page *pg,
    struct json_object **out)
{
	struct json_object *items = json_object_new_array(), *o;
	int64_t *ids = calloc((size_t)pg->limit + 1, sizeof *ids);
	char next[48];
	int rc, n, i;

	if (ids == NULL) {
		json_object_put(items);
		return store_failed(st, "list", SQLITE_NOMEM);
	}
	rc = list_ids(st, who, f, pg, ids, &n, next);
	for (i = 0; rc == STORE_DONE && i < n; i++) {
		rc = conversation_json(st, who, ids[i], &o);
		if (rc == STORE_DONE)
			json_object_array_add(items, o);
	}
	free(ids);
	if (rc == STORE_DONE)
		return list_json(st, items, *next ? next : NULL, out);
	json_object_put(items);
	return STORE_FAILED;
}

int
store_conversations(struct store *st, const struct who *who,
    const struct conversation_filter *f, const struct store_page *pg,
    struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = list_page(st, who, f, pg, out);
	store_read_end(st);
	return rc;
}

/* ---- what is unread ------------------------------------------------------ */

static int
unread_count(struct store *st, const struct who *who, int64_t id, int64_t *n)
{
	static const char sql[] =
	    "SELECT count(*) FROM (SELECT 1 FROM conversations c" LIST_JOIN
	    " JOIN messages u ON u.conversation_id = c.id"
	    " WHERE c.id = :id AND u.id > coalesce(p.read_id, 0)"
	    " AND u.deleted_at IS NULL"
	    " AND NOT (u.sender_kind = :kind AND u.sender_id = :me)"
	    " AND CASE WHEN :kind = 'customer' THEN u.type = 'outgoing'"
	    "  WHEN c.type = 'customer' THEN u.type = 'incoming' ELSE 1 END"
	    " LIMIT 100)";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_str(q, ":kind", who_word(who));
	bind_int(q, ":me", who->id);
	bind_int(q, ":id", id);
	return step_int(st, q, n);
}

static int
unread_list(struct store *st, const struct who *who, struct json_object **out)
{
	struct conversation_filter f = { .unread = true,
		.live = who->kind != WHO_CUSTOMER };
	struct store_page pg = { .limit = UNREAD_SCAN };
	struct json_object *items = json_object_new_array(), *o;
	int64_t ids[UNREAD_SCAN], count, total = 0;
	char next[48];
	int rc, n, i;

	rc = list_ids(st, who, &f, &pg, ids, &n, next);
	for (i = 0; rc == STORE_DONE && i < n; i++) {
		if ((rc = unread_count(st, who, ids[i], &count)) != 1)
			break;
		o = json_object_new_object();
		json_put_id(o, "conversation_id", ids[i]);
		json_put_int(o, "unread_count", count);
		json_object_array_add(items, o);
		total += count;
	}
	if (rc == STORE_DONE)
		rc = list_json(st, items, NULL, out);
	else
		json_object_put(items);
	if (rc == STORE_DONE)
		json_put_int(*out, "total", total);
	return rc;
}

int
store_unread(struct store *st, const struct who *who, struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = unread_list(st, who, out);
	store_read_end(st);
	return rc;
}

/* ---- making ------------------------------------------------------------- */

int
conversation_event(struct store *st, const struct who *who, int64_t id,
    const char *type, struct json_object *changed)
{
	struct conversation c;
	struct json_object *o = NULL, *pub = NULL, *last;
	struct rooms r;
	char by[40];
	int rc;

	rooms_init(&r);
	rc = store_conversation_may(st, NULL, id, MAY_SEE, &c);
	if (rc == STORE_DONE)
		rc = conversation_json(st, NULL, id, &o);
	if (rc == STORE_DONE) {
		if (c.customer != 0)
			pub = conversation_public(o);
		who_text(who, by);
		if (changed != NULL)
			json_put(o, "changed", json_object_get(changed));
		json_put_str(o, "by", by);
		rc = conversation_rooms(st, &c, true, &r);
		if (json_get_obj(o, "last_message", &last) == 1)
			rooms_quote(&r, last);
	}
	if (rc == STORE_DONE)
		rc = store_event_add(st, type, o, pub, r.name, r.n, NULL);
	rooms_fini(&r);
	json_object_put(o);
	json_object_put(pub);
	json_object_put(changed);
	return rc;
}

struct new_conversation {
	const char *type, *external, *pair, *subject;
	int64_t channel, customer;
};

static int
conversation_insert(
    struct store *st, const struct new_conversation *n, int64_t *id)
{
	static const char sql[] =
	    "INSERT INTO conversations (type, channel_id, external_id,"
	    " customer_id, pair, subject, activity_at, created_at, updated_at)"
	    " VALUES (:type, :channel, :external, :customer, :pair, :subject,"
	    " :now, :now, :now) RETURNING id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_str(q, ":type", n->type);
	bind_id(q, ":channel", n->channel);
	bind_str(q, ":external", n->external);
	bind_id(q, ":customer", n->customer);
	bind_str(q, ":pair", n->pair);
	bind_str(q, ":subject", n->subject);
	bind_int(q, ":now", store_now(st));
	return step_int(st, q, id) == 1 ? STORE_DONE : STORE_FAILED;
}

static int
member_set(struct store *st, int64_t id, int64_t user, bool in)
{
	static const char sql[] =
	    "INSERT INTO participants (conversation_id, kind, member_id,"
	    " member, joined_at) VALUES (:id, 'agent', :user, :in, :now)"
	    " ON CONFLICT DO UPDATE SET member = excluded.member,"
	    " joined_at = excluded.joined_at"
	    " WHERE member <> excluded.member";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_int(q, ":user", user);
	bind_int(q, ":in", in);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	return store_changes(st) > 0 ? STORE_DONE : STORE_REPEATED;
}

/* Whether all are users that are not disabled. */
static int
users_good(struct store *st, const int64_t *users, size_t n)
{
	static const char sql[] =
	    "SELECT 1 FROM users WHERE id = :id AND disabled_at IS NULL";
	sqlite3_stmt *q;
	int64_t one;
	size_t i;
	int rc;

	for (i = 0; i < n; i++) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", users[i]);
		if ((rc = step_int(st, q, &one)) != 1)
			return rc == 0 ? store_invalid(st, "participants")
				       : STORE_FAILED;
	}
	return STORE_DONE;
}

static int
direct_find(struct store *st, const char *pair, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM conversations WHERE pair = :pair";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_str(q, ":pair", pair);
	return step_int(st, q, id);
}

static int
members_new(struct store *st, const struct who *who,
    const struct new_conversation *n, const int64_t *users, size_t nusers,
    int64_t *id)
{
	size_t i;
	int rc;

	if ((rc = users_good(st, users, nusers)) != STORE_DONE)
		return rc;
	if (conversation_insert(st, n, id) != STORE_DONE ||
	    member_set(st, *id, who->id, true) == STORE_FAILED)
		return STORE_FAILED;
	for (i = 0; i < nusers; i++)
		if (member_set(st, *id, users[i], true) == STORE_FAILED)
			return STORE_FAILED;
	return conversation_event(st, who, *id, "new_conversation", NULL);
}

int
store_conversation_direct(
    struct store *st, const struct who *who, int64_t user, int64_t *id)
{
	struct new_conversation n = { .type = "direct" };
	char pair[48];
	int rc;

	if (user == who->id)
		return store_invalid(st, "participants");
	snprintf(pair, sizeof pair, "%lld:%lld",
	    (long long)(user < who->id ? user : who->id),
	    (long long)(user < who->id ? who->id : user));
	n.pair = pair;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = direct_find(st, pair, id)) == 1)
		rc = STORE_REPEATED;
	else if (rc == 0)
		rc = members_new(st, who, &n, &user, 1, id);
	return store_end(st, rc);
}

int
store_conversation_group(struct store *st, const struct who *who,
    const int64_t *users, size_t n, const char *subject, int64_t *id)
{
	struct new_conversation c = { .type = "group", .subject = subject };

	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, members_new(st, who, &c, users, n, id));
}

static int
channel_or_web(struct store *st, int64_t *channel)
{
	static const char web_sql[] =
	    "SELECT id FROM channels WHERE platform = 'web'"
	    " AND deleted_at IS NULL ORDER BY id LIMIT 1";
	static const char is_sql[] =
	    "SELECT id FROM channels WHERE id = :id AND deleted_at IS NULL";
	int64_t asked = *channel;
	sqlite3_stmt *q = store_stmt(st, asked != 0 ? is_sql : web_sql);
	int rc;

	bind_id(q, ":id", asked);
	rc = step_int(st, q, channel);
	if (rc == 0 && asked != 0)
		return store_invalid(st, "channel_id");
	return rc == 0 ? STORE_DONE : rc; /* none at all: the web */
}

static int
customer_there(struct store *st, int64_t customer)
{
	static const char sql[] =
	    "SELECT 1 FROM customers WHERE id = :id AND deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;
	int rc;

	bind_int(q, ":id", customer);
	rc = step_int(st, q, &one);
	return rc == 0 ? store_invalid(st, "customer_id") : rc;
}

int
store_conversation_customer(struct store *st, const struct who *who,
    int64_t customer, int64_t channel, const char *subject, int64_t *id)
{
	struct new_conversation n = {
		.type = "customer", .customer = customer, .subject = subject
	};
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = customer_there(st, customer)) == STORE_DONE)
		rc = channel_or_web(st, &channel);
	n.channel = channel;
	if (rc == STORE_DONE)
		rc = conversation_insert(st, &n, id);
	if (rc == STORE_DONE)
		rc = conversation_event(st, who, *id, "new_conversation", NULL);
	return store_end(st, rc);
}

int
store_conversation_external(struct store *st, int64_t channel,
    const char *external, int64_t customer, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM conversations WHERE channel_id = :channel"
	    " AND external_id = :external AND merged_into IS NULL"
	    " ORDER BY id DESC LIMIT 1";
	struct new_conversation n = { .type = "customer",
		.channel = channel,
		.customer = customer,
		.external = external };
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	rc = step_int(st, q, id);
	if (rc == 1)
		rc = STORE_REPEATED;
	else if (rc == 0) {
		rc = conversation_insert(st, &n, id);
		if (rc == STORE_DONE)
			rc = conversation_event(
			    st, NULL, *id, "new_conversation", NULL);
	}
	return store_end(st, rc);
}

int
store_conversation_current(
    struct store *st, int64_t customer, int64_t channel, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM conversations WHERE customer_id = :customer"
	    " AND (:channel IS NULL OR channel_id IS :channel)"
	    " AND merged_into IS NULL"
	    " ORDER BY activity_at DESC, id DESC LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":customer", customer);
	bind_id(q, ":channel", channel);
	return step_int(st, q, id);
}

/* ---- changing ----------------------------------------------------------- */

static int
row_exists(struct store *st, const char *sql, int64_t id, const char *field)
{
	sqlite3_stmt *q;
	int64_t one;
	int rc;

	if (id == 0 || id == PATCH_STAYS)
		return STORE_DONE;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	rc = step_int(st, q, &one);
	return rc == 0 ? store_invalid(st, field) : rc;
}

static int
patch_check(struct store *st, const struct conversation_patch *p)
{
	static const char user_sql[] =
	    "SELECT 1 FROM users WHERE id = :id AND disabled_at IS NULL";
	static const char team_sql[] = "SELECT 1 FROM teams WHERE id = :id";
	int rc;

	rc = row_exists(st, user_sql, p->assignee, "assignee_id");
	if (rc == STORE_DONE)
		rc = row_exists(st, team_sql, p->team, "team_id");
	return rc;
}

static bool
json_same(struct json_object *a, struct json_object *b, const char *key)
{
	struct json_object *x = NULL, *y = NULL;

	json_object_object_get_ex(a, key, &x);
	json_object_object_get_ex(b, key, &y);
	return json_object_equal(x, y) != 0;
}

/* Members that differ between the conversation before and after. */
static struct json_object *
json_changed(
    struct json_object *a, struct json_object *b, const char *const *keys)
{
	struct json_object *out = json_object_new_array();

	for (; *keys != NULL; keys++)
		if (!json_same(a, b, *keys))
			json_object_array_add(
			    out, json_object_new_string(*keys));
	return out;
}

static int
patch_write(struct store *st, int64_t id, const struct conversation_patch *p)
{
	static const char sql[] =
	    "UPDATE conversations SET status = coalesce(:status, status),"
	    " subject = CASE WHEN :subject IS NULL THEN subject"
	    "  WHEN :subject = '' THEN NULL ELSE :subject END,"
	    " assignee_id = CASE WHEN :assignee IS NULL THEN assignee_id"
	    "  ELSE nullif(:assignee, 0) END,"
	    " team_id = CASE WHEN :team IS NULL THEN team_id"
	    "  ELSE nullif(:team, 0) END,"
	    " priority = coalesce(:priority, priority),"
	    " snoozed_until = CASE WHEN coalesce(:status, status) <> 'snoozed'"
	    "  THEN NULL WHEN :snoozed IS NULL THEN snoozed_until"
	    "  ELSE nullif(:snoozed, 0) END,"
	    " updated_at = :now WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	bind_str(q, ":status", p->status);
	bind_str(q, ":subject", p->subject);
	if (p->assignee != PATCH_STAYS)
		bind_int(q, ":assignee", p->assignee);
	if (p->team != PATCH_STAYS)
		bind_int(q, ":team", p->team);
	if (p->priority != PATCH_STAYS)
		bind_int(q, ":priority", p->priority);
	if (p->snoozed_until != PATCH_STAYS)
		bind_int(q, ":snoozed", p->snoozed_until);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	return p->tags != NULL ? tags_set(st, false, id, p->tags) : STORE_DONE;
}

/*
 * Who answers from now on: a person, whom it was given to or who takes over, or
 * the bot again.
 */
static int
patch_bot(struct store *st, const struct who *who, const struct conversation *c,
    const struct conversation_patch *p)
{
	bool back = p->bot != NULL && strcmp(p->bot, "active") == 0;
	char by[40];
	int rc;

	if (c->customer == 0 || c->bot == 0 ||
	    (p->bot == NULL && p->assignee <= 0))
		return back ? store_invalid(st, "bot") : STORE_DONE;
	if (back) {
		rc = bot_wake(st, c->id, c->channel);
		return rc == STORE_NONE ? store_invalid(st, "bot") : rc;
	}
	who_text(who, by);
	rc = bot_hush(
	    st, c->id, c->channel, by, p->bot != NULL ? "agent" : "assigned");
	return rc == STORE_NONE ? STORE_DONE : rc;
}

static int
patch_apply(struct store *st, const struct who *who, int64_t id,
    const struct conversation_patch *p)
{
	static const char *const keys[] = { "status", "subject", "assignee_id",
		"team_id", "priority", "snoozed_until", "tags", "bot", NULL };
	struct json_object *before = NULL, *after = NULL, *changed = NULL;
	struct conversation c;
	int rc;

	rc = store_conversation_may(st, who, id, MAY_PATCH, &c);
	if (rc == STORE_DONE)
		rc = patch_check(st, p);
	if (rc == STORE_DONE)
		rc = conversation_json(st, NULL, id, &before);
	if (rc == STORE_DONE)
		rc = patch_write(st, id, p);
	if (rc == STORE_DONE)
		rc = patch_bot(st, who, &c, p);
	if (rc == STORE_DONE)
		rc = conversation_json(st, NULL, id, &after);
	if (rc == STORE_DONE) {
		changed = json_changed(before, after, keys);
		if (json_object_array_length(changed) == 0)
			rc = STORE_REPEATED;
		else
			rc = conversation_event(st, who, id,
			    "conversation_updated", json_object_get(changed));
	}
	json_object_put(before);
	json_object_put(after);
	json_object_put(changed);
	return rc;
}

int
store_conversation_patch(struct store *st, const struct who *who, int64_t id,
    const struct conversation_patch *p)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, patch_apply(st, who, id, p));
}

int
store_conversation_wake(struct store *st)
{
	static const char sql[] =
	    "SELECT id FROM conversations WHERE status = 'snoozed'"
	    " AND snoozed_until <= :now ORDER BY snoozed_until LIMIT :batch";
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t ids[SNOOZE_BATCH];
	int rc, n = 0, i;

	bind_int(q, ":now", store_now(st));
	bind_int(q, ":batch", SNOOZE_BATCH);
	while ((rc = step_row(st, q)) == 1)
		ids[n++] = col_int(q, 0);
	stmt_end(q);
	p.status = "open";
	for (i = 0; i < n && rc != STORE_FAILED; i++)
		rc = store_conversation_patch(st, NULL, ids[i], &p);
	if (rc == STORE_FAILED)
		return rc;
	return n > 0 ? STORE_DONE : STORE_NONE;
}

/* Streams of a user are asked about again: its rooms have changed. */
static int
participant_cut(struct store *st, int64_t user)
{
	static const char sql[] =
	    "SELECT id FROM sessions WHERE user_id = :user"
	    " AND ended_at IS NULL AND expires_at > :now";
	static const char *const control[] = { "control" };
	struct json_object *data = json_object_new_object(), *refs;
	sqlite3_stmt *q = store_stmt(st, sql);
	char ref[64];
	int rc;

	refs = json_object_new_array();
	json_put(data, "refs", refs);
	bind_int(q, ":user", user);
	bind_int(q, ":now", store_now(st));
	while ((rc = step_row(st, q)) == 1) {
		snprintf(ref, sizeof ref, "u:%lld:%lld", (long long)user,
		    (long long)col_int(q, 0));
		json_object_array_add(refs, json_object_new_string(ref));
	}
	stmt_end(q);
	if (rc == 0)
		rc = store_event_add(
		    st, "session_changed", data, NULL, control, 1, NULL);
	json_object_put(data);
	return rc;
}

static int
participant_apply(
    struct store *st, const struct who *who, int64_t id, int64_t user, bool in)
{
	struct json_object *changed;
	struct conversation c;
	int rc;

	rc = store_conversation_may(st, who, id, MAY_PATCH, &c);
	if (rc == STORE_DONE && strcmp(c.type, "group") != 0)
		rc = STORE_REFUSED;
	if (rc == STORE_DONE && in)
		rc = users_good(st, &user, 1);
	if (rc == STORE_DONE)
		rc = member_set(st, id, user, in);
	if (rc == STORE_DONE && !in)
		rc = participant_cut(st, user);
	if (rc != STORE_DONE)
		return rc;
	changed = json_object_new_array();
	json_object_array_add(changed, json_object_new_string("participants"));
	return conversation_event(st, who, id, "conversation_updated", changed);
}

int
store_participant(
    struct store *st, const struct who *who, int64_t id, int64_t user, bool in)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, participant_apply(st, who, id, user, in));
}
