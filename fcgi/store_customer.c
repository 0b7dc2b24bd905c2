/* Customers, and who they are on each channel. */
#include "store_customer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "store_conversation.h"
#include "store_db.h"
#include "store_event.h"
#include "store_session.h"

#define PROFILE_PAUSE_MS 60000
#define PROFILE_PAUSE_MAX_MS 86400000

#define LIST_SCAN 2000 /* rows looked at for one page */

/* ---- as JSON ------------------------------------------------------------ */

static int
customer_json(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	static const char sql[] =
	    "SELECT k.id AS \"#id\", k.name AS name, k.phone AS phone,"
	    " k.email AS email, k.locale AS locale,"
	    " k.avatar_url AS avatar_url, k.attributes AS \"{attributes\","
	    " (SELECT json_group_array(t.name) FROM customer_tags ct"
	    "  JOIN tags t ON t.id = ct.tag_id WHERE ct.customer_id = k.id)"
	    "  AS \"[tags\", k.notes AS notes,"
	    " (SELECT json_group_array(json_object("
	    "   'channel_id', CAST(i.channel_id AS TEXT),"
	    "   'platform', h.platform, 'external_id', i.external_id,"
	    "   'followed_at', i.followed_at,"
	    "   'unfollowed_at', i.unfollowed_at))"
	    "  FROM customer_identities i JOIN channels h"
	    "  ON h.id = i.channel_id WHERE i.customer_id = k.id)"
	    "  AS \"[identities\", k.status AS status,"
	    " k.last_seen_at AS last_seen_at, k.created_at AS created_at,"
	    " k.updated_at AS updated_at FROM customers k"
	    " WHERE k.id = :id AND k.deleted_at IS NULL";
	static const char *const keys[] = { "id", "name", "phone", "email",
		"locale", "avatar_url", NULL };
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		*out = row_json(q);
		if (who != NULL && who->kind == WHO_CUSTOMER) {
			struct json_object *all = *out;

			*out = json_pick(all, keys);
			json_object_put(all);
		}
	}
	stmt_end(q);
	return rc;
}

int
store_customer(struct store *st, const struct who *who, int64_t id,
    struct json_object **out)
{
	if (who != NULL && who->kind == WHO_CUSTOMER && who->id != id)
		return STORE_NONE;
	return customer_json(st, who, id, out);
}

int
store_customer_name(struct store *st, int64_t id, char *name, size_t size)
{
	static const char sql[] = "SELECT name FROM customers WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	name[0] = '\0';
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1)
		col_copy(q, 0, name, size);
	stmt_end(q);
	return rc;
}

static int
customers_bind(sqlite3_stmt *q, const char *text, const struct store_page *pg)
{
	char *fold, *like;

	bind_int(q, ":before", pg->before != 0 ? pg->before : INT64_MAX);
	bind_int(q, ":before_id", pg->before != 0 ? pg->before_id : INT64_MAX);
	bind_int(q, ":scan", LIST_SCAN);
	if (text == NULL || *text == '\0')
		return 0;
	if ((fold = store_fold(text, strlen(text))) == NULL)
		return -1;
	like = store_like(fold);
	bind_str(q, ":q", like);
	free(fold);
	free(like);
	return like != NULL ? 0 : -1;
}

static int
customers_page(struct store *st, const struct who *who, const char *text,
    const struct store_page *pg, struct json_object **out)
{
	static const char sql[] =
	    "SELECT id, updated_at, :q IS NULL OR fold LIKE :q ESCAPE '\\'"
	    " FROM customers INDEXED BY customers_updated"
	    " WHERE deleted_at IS NULL"
	    " AND (updated_at, id) < (:before, :before_id)"
	    " ORDER BY updated_at DESC, id DESC LIMIT :scan";
	struct json_object *items = json_object_new_array(), *o;
	sqlite3_stmt *q = store_stmt(st, sql);
	char next[48] = "";
	int64_t at = 0, id = 0;
	int rc, n = 0, rows = 0;

	if (customers_bind(q, text, pg) == -1) {
		json_object_put(items);
		return store_failed(st, "list", SQLITE_NOMEM);
	}
	while ((rc = step_row(st, q)) == 1 && n < pg->limit) {
		rows++;
		id = col_int(q, 0);
		at = col_int(q, 1);
		if (!col_int(q, 2))
			continue;
		n++;
		if ((rc = customer_json(st, who, id, &o)) == -1)
			break;
		if (rc == 1)
			json_object_array_add(items, o);
	}
	stmt_end(q);
	if (rc == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	if (rc == 1 || rows == LIST_SCAN)
		snprintf(next, sizeof next, "%lld.%lld", (long long)at,
		    (long long)id);
	return list_json(st, items, *next ? next : NULL, out);
}

int
store_customers(struct store *st, const struct who *who, const char *q,
    const struct store_page *pg, struct json_object **out)
{
	int rc;

	if (store_read(st) == -1)
		return STORE_FAILED;
	rc = customers_page(st, who, q, pg, out);
	store_read_end(st);
	return rc;
}

int
store_customer_conversations(struct store *st, const struct who *who,
    int64_t id, const struct store_page *pg, struct json_object **out)
{
	struct conversation_filter f = { .customer = id };

	return store_conversations(st, who, &f, pg, out);
}

/* ---- writing ------------------------------------------------------------ */

static int
customer_event(struct store *st, int64_t id, const char *type)
{
	static const char *const rooms[] = { "inbox" };
	struct json_object *o = NULL;
	int rc;

	rc = customer_json(st, NULL, id, &o);
	if (rc == STORE_DONE)
		rc = store_event_add(st, type, o, NULL, rooms, 1, NULL);
	json_object_put(o);
	return rc;
}

/* What searching looks at, made of what is stored now. */
static int
customer_fold(struct store *st, int64_t id)
{
	static const char sql[] =
	    "UPDATE customers SET fold = fold(name || ' ' ||"
	    " coalesce(phone, '') || ' ' || coalesce(email, ''))"
	    " WHERE id = :id";

	return step_id(st, sql, id);
}

static void
customer_bind(sqlite3_stmt *q, const struct customer_patch *p)
{
	bind_str(q, ":name", p->name);
	bind_str(q, ":phone", p->phone);
	bind_str(q, ":email", p->email);
	bind_str(q, ":locale", p->locale);
	bind_str(q, ":avatar", p->avatar_url);
	bind_str(q, ":notes", p->notes);
	bind_json(q, ":attributes", p->attributes);
}

static int
customer_insert(struct store *st, const struct customer_patch *p, int64_t *id)
{
	static const char sql[] =
	    "INSERT INTO customers (name, phone, email, locale, avatar_url,"
	    " notes, attributes, created_at, updated_at)"
	    " VALUES (coalesce(:name, ''), nullif(:phone, ''),"
	    " nullif(:email, ''), coalesce(:locale, ''), nullif(:avatar, ''),"
	    " nullif(:notes, ''), coalesce(:attributes, '{}'), :now, :now)"
	    " RETURNING id";
	static const struct customer_patch none;
	sqlite3_stmt *q = store_stmt(st, sql);

	if (p == NULL)
		p = &none;
	customer_bind(q, p);
	bind_int(q, ":now", store_now(st));
	if (step_int(st, q, id) != 1 || customer_fold(st, *id) != STORE_DONE)
		return STORE_FAILED;
	if (p->tags != NULL && tags_set(st, true, *id, p->tags) != STORE_DONE)
		return STORE_FAILED;
	return STORE_DONE;
}

int
store_customer_add(struct store *st, const struct who *who,
    const struct customer_patch *p, int64_t *id)
{
	int rc;

	(void)who;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = customer_insert(st, p, id);
	if (rc == STORE_DONE)
		rc = customer_event(st, *id, "customer_created");
	return store_end(st, rc);
}

static int
customer_write(struct store *st, int64_t id, const struct customer_patch *p)
{
	static const char sql[] =
	    "UPDATE customers SET name = coalesce(:name, name),"
	    " phone = CASE WHEN :phone IS NULL THEN phone"
	    "  ELSE nullif(:phone, '') END,"
	    " email = CASE WHEN :email IS NULL THEN email"
	    "  ELSE nullif(:email, '') END,"
	    " locale = coalesce(:locale, locale),"
	    " avatar_url = CASE WHEN :avatar IS NULL THEN avatar_url"
	    "  ELSE nullif(:avatar, '') END,"
	    " notes = CASE WHEN :notes IS NULL THEN notes"
	    "  ELSE nullif(:notes, '') END,"
	    " attributes = coalesce(:attributes, attributes),"
	    " updated_at = :now WHERE id = :id AND deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	customer_bind(q, p);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	if ((rc = step_changed(st, q)) != STORE_DONE)
		return rc;
	if (customer_fold(st, id) != STORE_DONE)
		return STORE_FAILED;
	if (p->tags != NULL)
		return tags_set(st, true, id, p->tags);
	return STORE_DONE;
}

int
store_customer_patch(struct store *st, const struct who *who, int64_t id,
    const struct customer_patch *p)
{
	int rc;

	if (who != NULL && who->kind == WHO_CUSTOMER && who->id != id)
		return STORE_NONE;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = customer_write(st, id, p);
	if (rc == STORE_DONE)
		rc = customer_event(st, id, "customer_updated");
	return store_end(st, rc);
}

/* Its open conversations end, each with its event. */
static int
customer_close(struct store *st, const struct who *who, int64_t id)
{
	static const char sql[] =
	    "SELECT id FROM conversations WHERE customer_id = :id"
	    " AND status <> 'closed' LIMIT 1";
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	sqlite3_stmt *q;
	int64_t c;
	int rc;

	p.status = "closed";
	for (;;) {
		q = store_stmt(st, sql);
		bind_int(q, ":id", id);
		if ((rc = step_int(st, q, &c)) != 1)
			return rc == 0 ? STORE_DONE : STORE_FAILED;
		rc = store_conversation_patch(st, who, c, &p);
		if (rc != STORE_DONE)
			return rc;
	}
}

static int
customer_delete(struct store *st, const struct who *who, int64_t id)
{
	static const char sql[] =
	    "UPDATE customers SET deleted_at = :now, updated_at = :now,"
	    " name = '', phone = NULL, email = NULL, avatar_url = NULL,"
	    " notes = NULL, attributes = '{}', fold = ''"
	    " WHERE id = :id AND deleted_at IS NULL";
	static const char identity_sql[] =
	    "DELETE FROM customer_identities WHERE customer_id = :id";
	static const char thread_sql[] =
	    "UPDATE conversations SET external_id = NULL"
	    " WHERE customer_id = :id AND external_id IS NOT NULL";
	static const char *const rooms[] = { "inbox" };
	struct json_object *o;
	sqlite3_stmt *q;
	int rc;

	if ((rc = customer_close(st, who, id)) != STORE_DONE)
		return rc;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	if ((rc = step_changed(st, q)) != STORE_DONE)
		return rc;
	/* Who writes again is somebody new, in a thread of its own. */
	if (step_id(st, identity_sql, id) != STORE_DONE ||
	    step_id(st, thread_sql, id) != STORE_DONE ||
	    store_session_end_customer(st, id, 0) == STORE_FAILED)
		return STORE_FAILED;
	o = json_object_new_object();
	json_put_id(o, "id", id);
	rc = store_event_add(st, "customer_deleted", o, NULL, rooms, 1, NULL);
	json_object_put(o);
	return rc;
}

int
store_customer_delete(struct store *st, const struct who *who, int64_t id)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, customer_delete(st, who, id));
}

/* ---- identities --------------------------------------------------------- */

/* Whose it is, without making one. */
static int
store_identity_find(
    struct store *st, int64_t channel, const char *external, int64_t *customer)
{
	static const char sql[] =
	    "SELECT customer_id FROM customer_identities"
	    " WHERE channel_id = :channel AND external_id = :external";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	return step_int(st, q, customer);
}

static int
identity_insert(
    struct store *st, int64_t channel, const char *external, int64_t customer)
{
	static const char sql[] =
	    "INSERT INTO customer_identities (channel_id, external_id,"
	    " customer_id, created_at) VALUES (:channel, :external,"
	    " :customer, :now)";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	bind_int(q, ":customer", customer);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

int
store_identity(struct store *st, int64_t channel, const char *external,
    const struct customer_patch *p, int64_t *customer)
{
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_identity_find(st, channel, external, customer);
	if (rc == STORE_DONE)
		return store_end(st, STORE_REPEATED);
	if (rc == STORE_NONE)
		rc = customer_insert(st, p, customer);
	if (rc == STORE_DONE)
		rc = identity_insert(st, channel, external, *customer);
	if (rc == STORE_DONE)
		rc = customer_event(st, *customer, "customer_created");
	return store_end(st, rc);
}

int
store_identity_of(struct store *st, int64_t channel, int64_t customer,
    char *external, size_t size)
{
	static const char sql[] =
	    "SELECT external_id FROM customer_identities"
	    " WHERE customer_id = :customer AND channel_id = :channel LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	external[0] = '\0';
	bind_int(q, ":channel", channel);
	bind_int(q, ":customer", customer);
	if ((rc = step_row(st, q)) == 1)
		col_copy(q, 0, external, size);
	stmt_end(q);
	return rc;
}

int
store_identity_follow(struct store *st, int64_t channel, const char *external,
    bool follow, int64_t at)
{
	static const char follow_sql[] =
	    "UPDATE customer_identities SET followed_at = :at,"
	    " unfollowed_at = NULL WHERE channel_id = :channel"
	    " AND external_id = :external"
	    " AND max(coalesce(followed_at, 0), coalesce(unfollowed_at, 0))"
	    "  < :at RETURNING customer_id";
	static const char unfollow_sql[] =
	    "UPDATE customer_identities SET unfollowed_at = :at"
	    " WHERE channel_id = :channel AND external_id = :external"
	    " AND max(coalesce(followed_at, 0), coalesce(unfollowed_at, 0))"
	    "  < :at RETURNING customer_id";
	sqlite3_stmt *q;
	int64_t customer;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_identity_find(st, channel, external, &customer);
	if (rc == STORE_DONE) {
		q = store_stmt(st, follow ? follow_sql : unfollow_sql);
		bind_int(q, ":channel", channel);
		bind_str(q, ":external", external);
		bind_int(q, ":at", at);
		if ((rc = step_int(st, q, &customer)) == 0)
			rc = STORE_REPEATED;
	}
	if (rc == STORE_DONE)
		rc = customer_event(st, customer, "customer_updated");
	return store_end(st, rc);
}

/* ---- profiles ----------------------------------------------------------- */

int
store_customers_bare(
    struct store *st, const char *platform, int limit, struct json_object **out)
{
	static const char sql[] =
	    "SELECT k.id AS \"#customer_id\", i.channel_id AS \"#channel_id\","
	    " i.external_id AS external_id, (SELECT c.external_id"
	    " FROM conversations c INDEXED BY conversations_customer"
	    " WHERE c.customer_id = k.id AND c.channel_id = i.channel_id"
	    " ORDER BY c.activity_at DESC LIMIT 1) AS conversation"
	    " FROM customers k INDEXED BY customers_bare"
	    " CROSS JOIN customer_identities i ON i.customer_id = k.id"
	    " CROSS JOIN channels h ON h.id = i.channel_id"
	    " WHERE k.profile_due <= :now AND k.name = '' AND k.deleted_at IS NULL"
	    " AND k.profiled_at IS NULL"
	    " AND h.platform = :platform AND h.state = 'ok'"
	    " AND h.deleted_at IS NULL ORDER BY k.profile_due, k.id DESC"
	    " LIMIT :limit";
	struct json_object *a = json_object_new_array();
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_str(q, ":platform", platform);
	bind_int(q, ":limit", limit);
	bind_int(q, ":now", store_now(st));
	if (step_list(st, q, limit, a) == -1) {
		json_object_put(a);
		return STORE_FAILED;
	}
	*out = a;
	return STORE_DONE;
}

int
store_customer_profile_later(struct store *st, int64_t id)
{
	static const char sql[] =
	    "UPDATE customers SET profile_due = :now"
	    " + min(max(:now - created_at, :least), :most) WHERE id = :id";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":least", PROFILE_PAUSE_MS);
	bind_int(q, ":most", PROFILE_PAUSE_MAX_MS);
	return store_end(st, step_done(st, q));
}

int
store_customer_profiled(
    struct store *st, int64_t id, const char *name, const char *avatar_url)
{
	static const char sql[] = "UPDATE customers SET profiled_at = :now"
				  " WHERE id = :id AND deleted_at IS NULL";
	struct customer_patch p = { .name = name, .avatar_url = avatar_url };
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	rc = step_changed(st, q);
	if (rc == STORE_DONE &&
	    ((name != NULL && *name != '\0') || avatar_url != NULL))
		rc = store_customer_patch(st, NULL, id, &p);
	return store_end(st, rc);
}
