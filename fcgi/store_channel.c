/* Channels, and the leases on their tokens. */
#include "store_channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "json.h"
#include "store_db.h"

/* ---- channels ----------------------------------------------------------- */

/* A member of an object that is walked through. */
static const char *
member_key(const struct lh_entry *e)
{
	return e->k;
}

static struct json_object *
member(const struct lh_entry *e)
{
	return (struct json_object *)(uintptr_t)e->v;
}

int
store_channel_get(struct store *st, int64_t id, struct channel_row *c)
{
	static const char sql[] =
	    "SELECT id, platform, name, account, state, state_text, config,"
	    " secrets FROM channels WHERE id = :id AND deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(c, 0, sizeof *c);
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		c->id = col_int(q, 0);
		col_copy(q, 1, c->platform, sizeof c->platform);
		col_copy(q, 2, c->name, sizeof c->name);
		col_copy(q, 3, c->account, sizeof c->account);
		col_copy(q, 4, c->state, sizeof c->state);
		col_copy(q, 5, c->state_text, sizeof c->state_text);
		c->config = col_json(q, 6);
		c->secrets = col_json(q, 7);
		c->all = json_over(c->config, c->secrets);
	}
	stmt_end(q);
	return rc;
}

void
channel_row_fini(struct channel_row *c)
{
	json_object_put(c->config);
	json_object_put(c->secrets);
	json_object_put(c->all);
	c->config = c->secrets = c->all = NULL;
}

int
store_channel_first(struct store *st, const char *platform, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM channels WHERE platform = :platform"
	    " AND deleted_at IS NULL AND state <> 'off'"
	    " ORDER BY id LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_str(q, ":platform", platform);
	return step_int(st, q, id);
}

int
store_channel_ids(
    struct store *st, const char *platform, int64_t *ids, size_t max, size_t *n)
{
	static const char sql[] =
	    "SELECT id FROM channels WHERE id > 0 AND deleted_at IS NULL"
	    " AND (:platform IS NULL OR platform = :platform) ORDER BY id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc = 0;

	*n = 0;
	bind_str(q, ":platform", platform);
	while (*n < max && (rc = step_row(st, q)) == 1)
		ids[(*n)++] = col_int(q, 0);
	stmt_end(q);
	if (rc == -1)
		return STORE_FAILED;
	return *n > 0 ? STORE_DONE : STORE_NONE;
}

static int
account_taken(struct store *st, const char *platform, const char *account)
{
	static const char sql[] =
	    "SELECT id FROM channels WHERE platform = :platform"
	    " AND account = :account";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t id;
	int rc;

	bind_str(q, ":platform", platform);
	bind_str(q, ":account", account);
	rc = step_int(st, q, &id);
	return rc == 1 ? STORE_REFUSED : rc == 0 ? STORE_DONE : STORE_FAILED;
}

int
store_channel_add(struct store *st, const char *platform, const char *name,
    const char *account, struct json_object *config,
    struct json_object *secrets, int64_t *id)
{
	static const char sql[] =
	    "INSERT INTO channels (platform, name, account, config, secrets,"
	    " created_at, updated_at) VALUES (:platform, :name, :account,"
	    " coalesce(:config, '{}'), coalesce(:secrets, '{}'), :now, :now)"
	    " RETURNING id";
	sqlite3_stmt *q;
	int rc = STORE_DONE;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	if (account != NULL)
		rc = account_taken(st, platform, account);
	if (rc == STORE_DONE) {
		q = store_stmt(st, sql);
		bind_str(q, ":platform", platform);
		bind_str(q, ":name", name);
		bind_str(q, ":account", account);
		bind_json(q, ":config", config);
		bind_json(q, ":secrets", secrets);
		bind_int(q, ":now", store_now(st));
		rc = step_int(st, q, id);
	}
	return store_end(st, rc);
}

static int
channel_write(struct store *st, const struct channel_row *c, const char *name,
    struct json_object *config, struct json_object *secrets)
{
	static const char sql[] =
	    "UPDATE channels SET name = coalesce(:name, name),"
	    " config = :config, secrets = :secrets, hold_until = 0,"
	    " updated_at = :now"
	    " WHERE id = :id";
	struct json_object *cf = json_over(c->config, config);
	struct json_object *sc = json_over(c->secrets, secrets);
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", c->id);
	bind_str(q, ":name", name);
	bind_json(q, ":config", cf);
	bind_json(q, ":secrets", sc);
	bind_int(q, ":now", store_now(st));
	rc = step_done(st, q);
	json_object_put(cf);
	json_object_put(sc);
	return rc;
}

static void
setting_forget(struct channel_row *c, const char *key)
{
	if (key == NULL)
		return;
	if (c->config != NULL)
		json_object_object_del(c->config, key);
	if (c->secrets != NULL)
		json_object_object_del(c->secrets, key);
}

/* A new token does not end when the old one did, unless that is said. */
static void
ends_forget(struct channel_row *c, struct json_object *secrets)
{
	const struct channel *ch = channel_find(c->platform);
	struct lh_entry *e;

	if (ch == NULL || secrets == NULL)
		return;
	for (e = json_object_get_object(secrets)->head; e != NULL;
	     e = e->next) {
		if (ch->token_key != NULL &&
		    strcmp(member_key(e), ch->token_key) == 0)
			setting_forget(c, ch->expires_key);
		if (strstr(member_key(e), "refresh_token") != NULL)
			setting_forget(c, ch->renewal_key);
	}
}

int
store_channel_set(struct store *st, int64_t id, const char *name,
    struct json_object *config, struct json_object *secrets)
{
	struct channel_row c;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = store_channel_get(st, id, &c)) == STORE_DONE) {
		ends_forget(&c, secrets);
		rc = channel_write(st, &c, name, config, secrets);
	}
	channel_row_fini(&c);
	return store_end(st, rc);
}

int
store_channel_state(
    struct store *st, int64_t id, const char *state, const char *why)
{
	static const char sql[] =
	    "UPDATE channels SET state = :state, state_text = :why,"
	    " updated_at = :now WHERE id = :id AND deleted_at IS NULL";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_str(q, ":state", state);
	bind_str(q, ":why", why);
	bind_int(q, ":now", store_now(st));
	return store_end(st, step_changed(st, q));
}

int
store_channel_delete(struct store *st, int64_t id)
{
	/* The account's name is free again; conversations keep theirs. */
	static const char sql[] =
	    "UPDATE channels SET deleted_at = :now, updated_at = :now,"
	    " account = NULL, secrets = '{}', state = 'off'"
	    " WHERE id = :id AND deleted_at IS NULL";
	static const char bot_sql[] =
	    "DELETE FROM bot_channels WHERE channel_id = :id";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	if ((rc = step_changed(st, q)) == STORE_DONE)
		rc = step_id(st, bot_sql, id);
	return store_end(st, rc);
}

/* Secrets never leave: only that they are set. */
static void
secrets_hide(struct json_object *o)
{
	struct json_object *secrets, *shown = json_object_new_object();
	struct lh_entry *e;

	if (json_get_obj(o, "secrets", &secrets) == 1) {
		e = json_object_get_object(secrets)->head;
		for (; e != NULL; e = e->next)
			if (strncmp(member_key(e), "previous_", 9) != 0)
				json_put_str(shown, member_key(e), "set");
	}
	json_put(o, "secrets", shown);
}

#define CHANNEL_COLUMNS                                      \
	"id AS \"#id\", platform AS platform, name AS name," \
	" account AS account, config AS \"{config\","        \
	" secrets AS \"{secrets\", state AS state,"          \
	" state_text AS state_text, created_at AS created_at"

int
store_channel_show(struct store *st, int64_t id, struct json_object **out)
{
	static const char sql[] =
	    "SELECT " CHANNEL_COLUMNS " FROM channels WHERE id = :id"
	    " AND id > 0 AND deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		*out = row_json(q);
		secrets_hide(*out);
	}
	stmt_end(q);
	return rc;
}

int
store_channels(struct store *st, struct json_object **out)
{
	static const char sql[] =
	    "SELECT " CHANNEL_COLUMNS
	    " FROM channels WHERE id > 0 AND deleted_at IS NULL"
	    " ORDER BY id LIMIT 1000";
	struct json_object *items = json_object_new_array();
	size_t i;
	int rc;

	if (store_read(st) == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	rc = step_list(st, store_stmt(st, sql), 1000, items);
	for (i = 0; i < json_object_array_length(items); i++)
		secrets_hide(json_object_array_get_idx(items, i));
	if (rc == -1)
		json_object_put(items);
	else
		rc = list_json(st, items, NULL, out);
	store_read_end(st);
	return rc;
}

/* ---- leases ------------------------------------------------------------- */

int
store_lease_take(
    struct store *st, int64_t channel, const char *by, int64_t until_ms)
{
	static const char sql[] =
	    "UPDATE channels SET lease_by = :by, lease_until = :until"
	    " WHERE id = :id AND deleted_at IS NULL"
	    " AND (lease_by IS NULL OR lease_by = :by OR lease_until < :now)";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", channel);
	bind_str(q, ":by", by);
	bind_int(q, ":until", until_ms);
	bind_int(q, ":now", store_now(st));
	return store_end(st, step_changed(st, q));
}

static int
lease_end(struct store *st, int64_t channel, const char *by, bool good)
{
	static const char sql[] =
	    "UPDATE channels SET lease_by = NULL, lease_until = 0,"
	    " state_text = CASE WHEN :good AND state = 'reauth' THEN NULL"
	    "  ELSE state_text END,"
	    " state = CASE WHEN :good AND state = 'reauth' THEN 'ok'"
	    "  ELSE state END"
	    " WHERE id = :id AND lease_by = :by AND lease_until >= :now";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", channel);
	bind_str(q, ":by", by);
	bind_int(q, ":good", good);
	bind_int(q, ":now", store_now(st));
	return step_changed(st, q);
}

/* The new settings, and what they replace as previous_NAME. */
static struct json_object *
secrets_keep(struct json_object *was, struct json_object *is)
{
	struct json_object *out = json_object_new_object(), *old;
	struct lh_entry *e = json_object_get_object(is)->head;
	char name[128];

	for (; e != NULL; e = e->next) {
		if (was != NULL &&
		    json_object_object_get_ex(was, member_key(e), &old)) {
			snprintf(
			    name, sizeof name, "previous_%s", member_key(e));
			json_put(out, name, json_object_get(old));
		}
		json_put(out, member_key(e), json_object_get(member(e)));
	}
	return out;
}

int
store_lease_token(struct store *st, int64_t channel, const char *by,
    struct json_object *secrets)
{
	struct channel_row c = { 0 };
	struct json_object *all;
	int rc;

	/* The old ones are void: a loss of power must not bring them back. */
	if (store_synchronous(st, true) == -1)
		return STORE_FAILED;
	if (store_begin(st) == -1) {
		store_synchronous(st, false);
		return STORE_FAILED;
	}
	rc = lease_end(st, channel, by, true);
	if (rc == STORE_DONE)
		rc = store_channel_get(st, channel, &c);
	if (rc == STORE_DONE) {
		all = secrets_keep(c.secrets, secrets);
		rc = channel_write(st, &c, NULL, NULL, all);
		json_object_put(all);
	}
	channel_row_fini(&c);
	rc = store_end(st, rc);
	store_synchronous(st, false);
	return rc;
}

int
store_lease_drop(struct store *st, int64_t channel, const char *by)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, lease_end(st, channel, by, false));
}
