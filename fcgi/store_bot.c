/* Bots: their settings, secrets, channels and what they have cost today. */
#include "store_bot.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "store_db.h"

int
store_bot_get(struct store *st, int64_t id, struct bot *b)
{
	static const char sql[] =
	    "SELECT id, name, kind, state, config, secrets, calls_max,"
	    " tokens_max FROM bots WHERE id = :id AND deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(b, 0, sizeof *b);
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		b->id = col_int(q, 0);
		col_copy(q, 1, b->name, sizeof b->name);
		col_copy(q, 2, b->kind, sizeof b->kind);
		col_copy(q, 3, b->state, sizeof b->state);
		b->config = col_json(q, 4);
		b->secrets = col_json(q, 5);
		b->calls_max = col_int(q, 6);
		b->tokens_max = col_int(q, 7);
	}
	stmt_end(q);
	return rc;
}

void
bot_fini(struct bot *b)
{
	json_object_put(b->config);
	json_object_put(b->secrets);
	b->config = b->secrets = NULL;
}

/* ---- changing ----------------------------------------------------------- */

/* Give the channel to the bot, if it is one and no other bot has it. */
static int
channel_take(struct store *st, int64_t bot, int64_t channel)
{
	static const char there_sql[] =
	    "SELECT h.bot_id FROM channels c"
	    " LEFT JOIN bot_channels h ON h.channel_id = c.id"
	    " WHERE c.id = :channel AND c.deleted_at IS NULL";
	static const char sql[] =
	    "INSERT INTO bot_channels (channel_id, bot_id)"
	    " VALUES (:channel, :bot)";
	sqlite3_stmt *q = store_stmt(st, there_sql);
	int64_t has = 0;
	int rc;

	bind_int(q, ":channel", channel);
	rc = step_int(st, q, &has);
	if (rc != 1)
		return rc == 0 ? store_invalid(st, "channels") : rc;
	if (has != 0)
		return has == bot ? STORE_DONE : STORE_REFUSED;
	q = store_stmt(st, sql);
	bind_int(q, ":channel", channel);
	bind_int(q, ":bot", bot);
	return step_done(st, q);
}

static int
channels_drop(struct store *st, int64_t bot)
{
	static const char sql[] =
	    "DELETE FROM bot_channels WHERE bot_id = :bot";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":bot", bot);
	return step_done(st, q);
}

static int
channels_set(struct store *st, int64_t bot, const struct bot_change *c)
{
	int rc = STORE_DONE;
	size_t i;

	if (!c->rehome)
		return rc;
	rc = channels_drop(st, bot);
	for (i = 0; rc == STORE_DONE && i < c->nchannels; i++)
		rc = channel_take(st, bot, c->channels[i]);
	return rc;
}

static int
bot_write(struct store *st, const struct bot *b, const struct bot_change *c)
{
	static const char sql[] =
	    "UPDATE bots SET name = coalesce(:name, name),"
	    " state = coalesce(:state, state), config = :config,"
	    " secrets = :secrets, calls_max = iif(:calls < 0, calls_max, :calls),"
	    " tokens_max = iif(:tokens < 0, tokens_max, :tokens),"
	    " key_hash = coalesce(:key, key_hash), updated_at = :now"
	    " WHERE id = :id";
	struct json_object *config = json_over(b->config, c->config);
	struct json_object *secrets = json_over(b->secrets, c->secrets);
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", b->id);
	bind_str(q, ":name", c->name);
	bind_str(q, ":state", c->state);
	bind_json(q, ":config", config);
	bind_json(q, ":secrets", secrets);
	bind_int(q, ":calls", c->calls_max);
	bind_int(q, ":tokens", c->tokens_max);
	bind_str(q, ":key", c->key_hash);
	bind_int(q, ":now", store_now(st));
	rc = step_done(st, q);
	json_object_put(config);
	json_object_put(secrets);
	return rc == STORE_DONE ? channels_set(st, b->id, c) : rc;
}

int
store_bot_add(struct store *st, const struct bot_change *c, int64_t *id)
{
	static const char sql[] =
	    "INSERT INTO bots (name, kind, created_at, updated_at)"
	    " VALUES (:name, :kind, :now, :now) RETURNING id";
	struct bot b = { 0 };
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_str(q, ":name", c->name);
	bind_str(q, ":kind", c->kind);
	bind_int(q, ":now", store_now(st));
	rc = step_int(st, q, id);
	b.id = *id;
	if (rc == STORE_DONE)
		rc = bot_write(st, &b, c);
	return store_end(st, rc);
}

int
store_bot_set(struct store *st, int64_t id, const struct bot_change *c)
{
	struct bot b;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = store_bot_get(st, id, &b)) == STORE_DONE) {
		rc = bot_write(st, &b, c);
		bot_fini(&b);
	}
	return store_end(st, rc);
}

int
store_bot_delete(struct store *st, int64_t id)
{
	static const char sql[] =
	    "UPDATE bots SET deleted_at = :now, updated_at = :now,"
	    " state = 'off', secrets = '{}', key_hash = NULL"
	    " WHERE id = :id AND deleted_at IS NULL";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	rc = step_changed(st, q);
	if (rc == STORE_DONE)
		rc = channels_drop(st, id);
	return store_end(st, rc);
}

/* ---- reading ------------------------------------------------------------ */

#define BOT_COLUMNS                                                         \
	"SELECT id AS \"#id\", name AS name, kind AS kind, state AS state," \
	" config AS \"{config\", secrets AS \"{secrets\","                  \
	" NULL AS \"[channels\", calls_max AS calls_max,"                   \
	" tokens_max AS tokens_max, iif(day = :day, calls, 0) AS calls,"    \
	" iif(day = :day, tokens, 0) AS tokens, error AS error,"            \
	" error_at AS error_at, created_at AS created_at FROM bots"

/* Secrets never leave, only that they are set; and the channels' ids. */
static int
bot_dress(struct store *st, struct json_object *o)
{
	static const char sql[] = "SELECT channel_id FROM bot_channels"
				  " WHERE bot_id = :bot";
	struct json_object *secrets, *shown = json_object_new_object(), *list;
	sqlite3_stmt *q;
	char text[24];
	int64_t id = 0;
	int rc;

	if (json_get_obj(o, "secrets", &secrets) == 1) {
		json_object_object_foreach(secrets, key, v)
		{
			(void)v;
			json_put_str(shown, key, "set");
		}
	}
	json_put(o, "secrets", shown);
	(void)json_get_id(o, "id", &id);
	list = json_object_new_array();
	q = store_stmt(st, sql);
	bind_int(q, ":bot", id);
	while ((rc = step_row(st, q)) == 1) {
		snprintf(text, sizeof text, "%lld", (long long)col_int(q, 0));
		json_object_array_add(list, json_object_new_string(text));
	}
	stmt_end(q);
	json_put(o, "channels", list);
	return rc;
}

int
store_bot_json(
    struct store *st, int64_t id, int64_t day, struct json_object **out)
{
	static const char sql[] =
	    BOT_COLUMNS " WHERE id = :id AND deleted_at IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	bind_int(q, ":day", day);
	if ((rc = step_row(st, q)) == 1)
		*out = row_json(q);
	stmt_end(q);
	if (rc == 1 && bot_dress(st, *out) == -1) {
		json_object_put(*out);
		*out = NULL;
		rc = STORE_FAILED;
	}
	return rc;
}

int
store_bots(struct store *st, int64_t day, struct json_object **out)
{
	static const char sql[] =
	    BOT_COLUMNS " WHERE id > 0 AND deleted_at IS NULL ORDER BY id";
	struct json_object *items = json_object_new_array();
	sqlite3_stmt *q;
	size_t i;
	int rc;

	if (store_read(st) == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	q = store_stmt(st, sql);
	bind_int(q, ":day", day);
	rc = step_list(st, q, INT_MAX, items);
	for (i = 0; rc != -1 && i < json_object_array_length(items); i++)
		rc = bot_dress(st, json_object_array_get_idx(items, i));
	if (rc == -1)
		json_object_put(items);
	else
		rc = list_json(st, items, NULL, out);
	store_read_end(st);
	return rc;
}

int
store_bot_key(struct store *st, int64_t id, const char *hash)
{
	static const char sql[] =
	    "SELECT 1 FROM bots WHERE id = :id AND key_hash = :hash"
	    " AND deleted_at IS NULL AND state = 'on'";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":id", id);
	bind_str(q, ":hash", hash);
	return step_int(st, q, &one);
}
