/*
 * What bots are asked: a customer's message makes an ask, somebody claims it,
 * its answer ends it.  A conversation in which a person has spoken is the
 * person's until it is closed.
 */
#include "store_bot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "store_conversation.h"
#include "store_db.h"
#include "store_event.h"
#include "store_message.h"

#define ASK_BATCH 500
#define DROPS_MAX 100 /* of one claim */
#define HOUR_MS 3600000

/* ---- hearing ------------------------------------------------------------ */

/* The bot of a channel that is on: 1, 0, -1. */
static int
channel_bot(struct store *st, int64_t channel, int64_t *bot)
{
	static const char sql[] =
	    "SELECT b.id FROM bot_channels h JOIN bots b ON b.id = h.bot_id"
	    " WHERE h.channel_id = :channel AND b.state = 'on'";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":channel", channel);
	return step_int(st, q, bot);
}

/* Whether it is the bot's: 1 its, 0 somebody's, -1; 2: not heard of yet. */
static int
conversation_active(struct store *st, int64_t conversation)
{
	static const char sql[] =
	    "SELECT state = 'active' FROM bot_conversations"
	    " WHERE conversation_id = :conversation";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t active = 0;
	int rc;

	bind_int(q, ":conversation", conversation);
	rc = step_int(st, q, &active);
	return rc == 0 ? 2 : rc == 1 ? (int)active : -1;
}

static int
conversation_forget(struct store *st, int64_t conversation)
{
	static const char sql[] = "DELETE FROM bot_conversations"
				  " WHERE conversation_id = :conversation";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":conversation", conversation);
	return step_done(st, q);
}

/* Whether an agent has written there before the bot came. */
static int
agent_spoke(struct store *st, int64_t conversation)
{
	static const char sql[] =
	    "SELECT 1 FROM messages WHERE conversation_id = :conversation"
	    " AND sender_kind = 'agent' AND type = 'outgoing' LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":conversation", conversation);
	return step_int(st, q, &one);
}

/* Begin with a conversation: the bot's, or that of who is there already. */
static int
conversation_meet(struct store *st, const struct conversation *c, int64_t bot,
    bool fresh, bool *active)
{
	static const char sql[] =
	    "INSERT INTO bot_conversations (conversation_id, bot_id, state,"
	    " handed_by, handed_at, reason) VALUES (:conversation, :bot,"
	    " iif(:active, 'active', 'handed_over'),"
	    " iif(:active, NULL, 'agent'), iif(:active, NULL, :now),"
	    " iif(:active, NULL, 'agent'))";
	sqlite3_stmt *q;
	int rc = 0;

	if (!fresh && c->assignee != 0)
		rc = 1;
	else if (!fresh)
		rc = agent_spoke(st, c->id);
	if (rc == -1)
		return STORE_FAILED;
	*active = rc == 0;
	q = store_stmt(st, sql);
	bind_int(q, ":conversation", c->id);
	bind_int(q, ":bot", bot);
	bind_int(q, ":active", *active);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

int
bot_hear(
    struct store *st, const struct message *m, const struct conversation *c)
{
	static const char sql[] =
	    "INSERT INTO bot_asks (bot_id, message_id, conversation_id, due_at,"
	    " created_at) VALUES (:bot, :message, :conversation, :now, :now)";
	bool fresh = strcmp(c->status, "closed") == 0, active = true;
	sqlite3_stmt *q;
	int64_t bot = 0;
	int rc;

	if (!m->incoming || m->echo || m->quiet || c->channel == 0 ||
	    strcmp(m->sender_kind, "customer") != 0 ||
	    strcmp(m->kind, "system") == 0)
		return STORE_DONE;
	if ((rc = channel_bot(st, c->channel, &bot)) != 1)
		return rc == 0 ? STORE_DONE : STORE_FAILED;
	if (fresh && conversation_forget(st, c->id) == STORE_FAILED)
		return STORE_FAILED;
	if ((rc = conversation_active(st, c->id)) == 2)
		rc = conversation_meet(st, c, bot, fresh, &active);
	if (rc != 1 || !active)
		return rc == -1 ? STORE_FAILED : STORE_DONE;
	q = store_stmt(st, sql);
	bind_int(q, ":bot", bot);
	bind_int(q, ":message", m->id);
	bind_int(q, ":conversation", c->id);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

/* What waits there needs no answer any more. */
static int
asks_drop(struct store *st, int64_t conversation)
{
	static const char sql[] =
	    "UPDATE bot_asks SET state = 'dropped' WHERE state IN"
	    " ('queued', 'asking') AND conversation_id = :conversation";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":conversation", conversation);
	return step_done(st, q);
}

int
bot_hush(struct store *st, int64_t conversation, int64_t channel,
    const char *by, const char *reason)
{
	static const char sql[] =
	    "INSERT INTO bot_conversations (conversation_id, bot_id, state,"
	    " handed_by, handed_at, reason) SELECT :conversation, bot_id,"
	    " 'handed_over', :by, :now, :reason FROM bot_channels"
	    " WHERE channel_id = :channel"
	    " ON CONFLICT(conversation_id) DO UPDATE SET state = 'handed_over',"
	    " handed_by = :by, handed_at = :now, reason = :reason"
	    " WHERE state = 'active'";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":conversation", conversation);
	bind_int(q, ":channel", channel);
	bind_str(q, ":by", by);
	bind_str(q, ":reason", reason);
	bind_int(q, ":now", store_now(st));
	if ((rc = step_changed(st, q)) != STORE_DONE)
		return rc;
	return asks_drop(st, conversation);
}

int
bot_wake(struct store *st, int64_t conversation, int64_t channel)
{
	static const char sql[] =
	    "INSERT INTO bot_conversations (conversation_id, bot_id, state)"
	    " VALUES (:conversation, :bot, 'active')"
	    " ON CONFLICT(conversation_id) DO UPDATE SET bot_id = :bot,"
	    " state = 'active', handed_by = NULL, handed_at = NULL,"
	    " reason = NULL WHERE state <> 'active'";
	sqlite3_stmt *q;
	int64_t bot = 0;
	int rc;

	if ((rc = channel_bot(st, channel, &bot)) != 1)
		return rc == 0 ? STORE_NONE : STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":conversation", conversation);
	bind_int(q, ":bot", bot);
	return step_done(st, q);
}

int
bot_put(struct store *st, struct json_object *o, int64_t conversation,
    int64_t channel)
{
	static const char sql[] =
	    "SELECT b.id AS \"#id\", b.name AS name,"
	    /* Of one it has not heard of yet, as conversation_meet decides. */
	    " coalesce(v.state, iif(c.status <> 'closed'"
	    "  AND (c.assignee_id IS NOT NULL OR EXISTS (SELECT 1"
	    "   FROM messages m WHERE m.conversation_id = c.id"
	    "   AND m.sender_kind = 'agent' AND m.type = 'outgoing')),"
	    "  'handed_over', 'active')) AS state,"
	    " v.handed_by AS handed_by,"
	    " v.handed_at AS handed_at, v.reason AS reason"
	    " FROM bot_channels h JOIN bots b ON b.id = h.bot_id"
	    " JOIN conversations c ON c.id = :conversation"
	    " LEFT JOIN bot_conversations v"
	    "  ON v.conversation_id = :conversation"
	    " WHERE h.channel_id = :channel AND b.state = 'on'";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":conversation", conversation);
	bind_int(q, ":channel", channel);
	if ((rc = step_row(st, q)) == 1)
		json_put(o, "bot", row_json(q));
	stmt_end(q);
	return rc == -1 ? -1 : 0;
}

/* ---- claiming ----------------------------------------------------------- */

int
store_bot_due(struct store *st, int64_t *at)
{
	/* What waits for the one before it is not due. */
	static const char sql[] =
	    "SELECT a.due_at FROM bot_asks a WHERE a.state = 'queued'"
	    " AND a.due_at > 0 AND NOT EXISTS (SELECT 1 FROM bot_asks o"
	    "  WHERE o.conversation_id = a.conversation_id"
	    "  AND o.state IN ('queued', 'asking') AND o.id < a.id)"
	    " ORDER BY a.due_at, a.id LIMIT 1";

	return step_int(st, store_stmt(st, sql), at);
}

static int
ask_drop(struct store *st, int64_t id)
{
	static const char sql[] =
	    "UPDATE bot_asks SET state = 'dropped' WHERE id = :id";

	return step_id(st, sql, id);
}

void
bot_ask_fini(struct bot_ask *k)
{
	free(k->text);
	k->text = NULL;
}

/*
 * Whether an ask still wants an answer: its bot is on and at home there, the
 * conversation is open and the bot's, the message is there.
 */
#define ASK_FROM                                                 \
	" FROM bot_asks a JOIN bots b ON b.id = a.bot_id"        \
	" LEFT JOIN messages m ON m.id = a.message_id"           \
	" LEFT JOIN conversations c ON c.id = a.conversation_id" \
	" LEFT JOIN bot_conversations v"                         \
	"  ON v.conversation_id = a.conversation_id"             \
	" LEFT JOIN bot_channels h"                              \
	"  ON h.channel_id = c.channel_id AND h.bot_id = a.bot_id"
#define ASK_WANTED                                                            \
	" a.id = :id AND b.deleted_at IS NULL AND (a.message_id IS NULL"      \
	" OR (b.state = 'on' AND v.state = 'active' AND m.deleted_at IS NULL" \
	" AND h.bot_id IS NOT NULL AND c.merged_into IS NULL"                 \
	" AND c.status <> 'closed'))"

/* The same of one that is under way: 1, 0, -1. */
static int
ask_wanted(struct store *st, int64_t id)
{
	static const char sql[] = "SELECT 1" ASK_FROM " WHERE" ASK_WANTED;
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":id", id);
	return step_int(st, q, &one);
}

/* What it asks, if it still wants an answer: 1, 0, -1. */
static int
ask_read(struct store *st, int64_t id, const struct bot_bounds *lim,
    struct bot_ask *k)
{
	static const char sql[] =
	    "SELECT a.bot_id, a.message_id, a.conversation_id, a.tries,"
	    " a.created_at, v.greeted, b.kind <> 'rules' AND"
	    "  b.day = :day AND ((b.calls_max > 0 AND b.calls >= b.calls_max)"
	    "  OR (b.tokens_max > 0 AND b.tokens >= b.tokens_max)),"
	    " v.hour = :hour AND v.answers >= :most,"
	    " coalesce(a.text, m.content, ''), coalesce(m.kind, 'text'),"
	    " k.locale" ASK_FROM
	    " LEFT JOIN customers k ON k.id = c.customer_id WHERE" ASK_WANTED;
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(k, 0, sizeof *k);
	bind_int(q, ":id", id);
	bind_int(q, ":day", lim->day);
	bind_int(q, ":hour", store_now(st) / HOUR_MS);
	bind_int(q, ":most", lim->hour_max);
	if ((rc = step_row(st, q)) == 1) {
		k->id = id;
		k->bot = col_int(q, 0);
		k->message = col_int(q, 1);
		k->conversation = col_int(q, 2);
		k->tries = col_int(q, 3) + 1;
		k->created_at = col_int(q, 4);
		k->greeted = col_int(q, 5) != 0;
		k->spent = col_int(q, 6) != 0;
		k->loop = col_int(q, 7) != 0;
		k->text = strdup(col_str(q, 8));
		col_copy(q, 9, k->kind, sizeof k->kind);
		col_copy(q, 10, k->locale, sizeof k->locale);
	}
	stmt_end(q);
	return rc == 1 && k->text == NULL
		   ? store_failed(st, "bot", SQLITE_NOMEM)
		   : rc;
}

static int
ask_lease(struct store *st, const char *by, const struct bot_bounds *lim,
    const struct bot_ask *k)
{
	static const char sql[] =
	    "UPDATE bot_asks SET state = 'asking', tries = :tries,"
	    " lease_by = :by, lease_until = :until WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", k->id);
	bind_int(q, ":tries", k->tries);
	bind_str(q, ":by", by);
	bind_int(q, ":until", store_now(st) + lim->lease_ms);
	return step_done(st, q);
}

/* The oldest that is due and first of its conversation: 1, 0, -1. */
static int
ask_next(struct store *st, int64_t *id)
{
	static const char sql[] =
	    "SELECT a.id FROM bot_asks a WHERE a.state = 'queued'"
	    " AND a.due_at <= :now AND NOT EXISTS (SELECT 1 FROM bot_asks o"
	    "  WHERE o.conversation_id = a.conversation_id"
	    "  AND o.state IN ('queued', 'asking') AND o.id < a.id)"
	    " ORDER BY a.due_at, a.id LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":now", store_now(st));
	return step_int(st, q, id);
}

/* The same for one: it is first of its conversation. */
static int
ask_first(struct store *st, int64_t id)
{
	static const char sql[] =
	    "SELECT a.id FROM bot_asks a WHERE a.id = :id"
	    " AND a.state = 'queued' AND NOT EXISTS (SELECT 1 FROM bot_asks o"
	    "  WHERE o.conversation_id = a.conversation_id"
	    "  AND o.state IN ('queued', 'asking') AND o.id < a.id)";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t found;

	bind_int(q, ":id", id);
	return step_int(st, q, &found);
}

int
store_bot_claim(struct store *st, const char *by, const struct bot_bounds *lim,
    struct bot_ask *k)
{
	int64_t id = 0;
	int rc = STORE_NONE, i;
	bool dropped = false;

	memset(k, 0, sizeof *k);
	if (store_begin(st) == -1)
		return STORE_FAILED;
	for (i = 0; i < DROPS_MAX; i++) {
		if ((rc = ask_next(st, &id)) != 1 ||
		    (rc = ask_read(st, id, lim, k)) != 0)
			break;
		if ((rc = ask_drop(st, id)) != 1)
			break;
		dropped = true;
		rc = STORE_NONE;
	}
	if (rc == STORE_DONE)
		rc = ask_lease(st, by, lim, k);
	if (rc == STORE_NONE && dropped)
		return store_end(st, STORE_DONE) == STORE_DONE ? STORE_NONE
							       : STORE_FAILED;
	if ((rc = store_end(st, rc)) != STORE_DONE)
		bot_ask_fini(k);
	return rc;
}

int
store_bot_claim_id(struct store *st, const char *by,
    const struct bot_bounds *lim, int64_t id, struct bot_ask *k)
{
	int rc;

	memset(k, 0, sizeof *k);
	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = ask_first(st, id)) == 1)
		rc = ask_read(st, id, lim, k);
	if (rc == STORE_DONE)
		rc = ask_lease(st, by, lim, k);
	if ((rc = store_end(st, rc)) != STORE_DONE)
		bot_ask_fini(k);
	return rc;
}

int
store_bot_spend(struct store *st, int64_t bot, int64_t day)
{
	static const char sql[] =
	    "UPDATE bots SET calls = iif(day = :day, calls, 0) + 1,"
	    " tokens = iif(day = :day, tokens, 0), day = :day WHERE id = :bot"
	    " AND (day <> :day OR ((calls_max = 0 OR calls < calls_max)"
	    "  AND (tokens_max = 0 OR tokens < tokens_max)))";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":bot", bot);
	bind_int(q, ":day", day);
	rc = step_done(st, q);
	if (rc == STORE_DONE && store_changes(st) == 0)
		rc = STORE_REFUSED;
	return store_end(st, rc);
}

int
store_bot_again(struct store *st, const char *by, int64_t id, int64_t due_at)
{
	static const char sql[] =
	    "UPDATE bot_asks SET state = 'queued', lease_by = NULL,"
	    " lease_until = NULL, due_at = :due WHERE id = :id"
	    " AND state = 'asking' AND lease_by = :by";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_str(q, ":by", by);
	bind_int(q, ":due", due_at);
	return store_end(st, step_changed(st, q));
}

int
store_bot_expired(struct store *st, int64_t *n)
{
	static const char sql[] =
	    "UPDATE bot_asks SET state = 'queued', lease_by = NULL,"
	    " lease_until = NULL WHERE state = 'asking'"
	    " AND lease_until < :now";
	static const char any_sql[] =
	    "SELECT 1 FROM bot_asks WHERE state = 'asking'"
	    " AND lease_until < :now LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, any_sql);
	int rc;

	*n = 0;
	bind_int(q, ":now", store_now(st));
	if ((rc = step_int(st, q, n)) != 1)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":now", store_now(st));
	rc = step_done(st, q);
	*n = store_changes(st);
	return store_end(st, rc);
}

static int
late_next(struct store *st, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM bot_asks WHERE state = 'later'"
	    " AND lease_until < :now ORDER BY lease_until LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":now", store_now(st));
	return step_int(st, q, id);
}

int
store_bot_late(struct store *st)
{
	int64_t id;

	return late_next(st, &id);
}

int
store_bot_claim_late(struct store *st, const char *by,
    const struct bot_bounds *lim, struct bot_ask *k)
{
	int64_t id = 0;
	int rc;

	memset(k, 0, sizeof *k);
	if (store_begin(st) == -1)
		return STORE_FAILED;
	if ((rc = late_next(st, &id)) == STORE_DONE &&
	    (rc = ask_read(st, id, lim, k)) == STORE_DONE)
		rc = ask_lease(st, by, lim, k);
	else if (rc == STORE_NONE && id != 0)
		rc = ask_drop(st, id);
	if ((rc = store_end(st, rc)) != STORE_DONE)
		bot_ask_fini(k);
	return rc;
}

/* ---- answering ---------------------------------------------------------- */

/* The bot's words, as a message of its own. */
static int
answer_say(struct store *st, int64_t bot, int64_t conversation,
    const char *client_id, const struct bot_answer *a, int64_t *id,
    struct json_object **out)
{
	struct message m = { .conversation = conversation,
		.content = a->text,
		.content_len = strlen(a->text),
		.client_id = client_id,
		.sender_kind = "bot",
		.sender_id = bot };
	int rc;

	if (a->quick != NULL) {
		m.payload = json_object_new_object();
		json_put(m.payload, "quick_replies", json_object_get(a->quick));
	}
	rc = store_message_add(st, NULL, &m);
	*id = m.id;
	if (out != NULL && (rc == STORE_DONE || rc == STORE_REPEATED))
		*out = json_object_get(m.json);
	json_object_put(m.payload);
	message_fini(&m);
	return rc;
}

/* The hour's answers, and that it was greeted. */
static int
answer_count(struct store *st, int64_t conversation, bool greets)
{
	static const char sql[] =
	    "UPDATE bot_conversations SET greeted = max(greeted, :greets),"
	    " answers = iif(hour = :hour, answers, 0) + 1, hour = :hour"
	    " WHERE conversation_id = :conversation";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":conversation", conversation);
	bind_int(q, ":greets", greets);
	bind_int(q, ":hour", store_now(st) / HOUR_MS);
	return step_done(st, q);
}

/* Tell the agents that the bot needs them. */
static int
error_tell(struct store *st, int64_t bot, int64_t conversation,
    const char *action, const char *error)
{
	/* Once an hour is enough to be told the same. */
	static const char sql[] =
	    "UPDATE bots SET error = :error, error_at = :now WHERE id = :bot"
	    " AND (error IS NOT :error OR error_at < :now - :pause)";
	static const char *const rooms[] = { "inbox" };
	struct json_object *o;
	struct bot b;
	char text[1100];
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":bot", bot);
	bind_str(q, ":error", error);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":pause", HOUR_MS);
	if (step_done(st, q) != 1)
		return STORE_FAILED;
	if (store_changes(st) == 0)
		return STORE_DONE;
	if (store_bot_get(st, bot, &b) != STORE_DONE)
		return STORE_FAILED;
	snprintf(text, sizeof text, "%s: %s", b.name, error);
	bot_fini(&b);
	o = json_object_new_object();
	json_put_str(o, "level", "error");
	json_put_str(o, "message", text);
	json_put_str(o, "action", action);
	json_put_id(o, "bot_id", bot);
	json_put_id(o, "conversation_id", conversation);
	rc =
	    store_event_add(st, "system_notification", o, NULL, rooms, 1, NULL);
	json_object_put(o);
	return rc;
}

/* Hand the conversation to people, and let them see it. */
static int
answer_hand_over(struct store *st, int64_t bot, int64_t conversation,
    const struct bot_answer *a)
{
	const char *reason = a->reason != NULL ? a->reason : "bot";
	struct json_object *changed;
	struct conversation c;
	char by[40];
	int rc;

	rc = store_conversation_may(st, NULL, conversation, MAY_SEE, &c);
	if (rc != STORE_DONE)
		return rc;
	snprintf(by, sizeof by, "bot:%lld", (long long)bot);
	rc = bot_hush(st, conversation, c.channel, by, reason);
	if (rc != STORE_DONE)
		return rc == STORE_NONE ? STORE_DONE : rc;
	changed = json_object_new_array();
	json_object_array_add(changed, json_object_new_string("bot"));
	rc = conversation_event(
	    st, NULL, conversation, "conversation_updated", changed);
	if (rc == STORE_DONE && a->error[0] != '\0')
		rc = error_tell(st, bot, conversation,
		    strcmp(reason, "budget") == 0 ? "bot_budget" : "bot_error",
		    a->error);
	return rc;
}

/* What an answer does to its conversation; ${id}: of its message, or 0. */
static int
answer_apply(struct store *st, int64_t bot, int64_t conversation,
    const char *client_id, const struct bot_answer *a, int64_t *id,
    struct json_object **out)
{
	int rc = STORE_DONE, said = STORE_DONE;

	*id = 0;
	if (a->text != NULL && a->text[0] != '\0') {
		said = answer_say(st, bot, conversation, client_id, a, id, out);
		if (said == STORE_REPEATED)
			return said;
		if (said != STORE_DONE)
			return said;
		rc = answer_count(st, conversation, a->greets);
	}
	if (rc == STORE_DONE && a->handover)
		rc = answer_hand_over(st, bot, conversation, a);
	return rc;
}

static int
ask_finish(struct store *st, int64_t id, const char *state, int64_t answer,
    struct json_object *result)
{
	static const char sql[] =
	    "UPDATE bot_asks SET state = :state, answer_id = :answer,"
	    " result = :result, lease_by = NULL, lease_until = NULL"
	    " WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_str(q, ":state", state);
	bind_id(q, ":answer", answer);
	bind_json(q, ":result", result);
	return step_done(st, q);
}

/* Its answer comes by a call of its own, in this time. */
static int
ask_later(struct store *st, int64_t id, int64_t later_ms)
{
	static const char sql[] =
	    "UPDATE bot_asks SET state = 'later', lease_by = NULL,"
	    " lease_until = :until WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_int(q, ":until", store_now(st) + later_ms);
	return step_done(st, q);
}

/* What it said there, to nothing in particular, answers those. */
static int
later_finish(struct store *st, int64_t bot, int64_t conversation)
{
	static const char sql[] =
	    "UPDATE bot_asks SET state = 'done', lease_until = NULL"
	    " WHERE state = 'later' AND conversation_id = :conversation"
	    " AND bot_id = :bot";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":conversation", conversation);
	bind_int(q, ":bot", bot);
	return step_done(st, q);
}

static int
tokens_count(struct store *st, int64_t bot, int64_t day, int64_t tokens)
{
	static const char sql[] =
	    "UPDATE bots SET calls = iif(day = :day, calls, 0),"
	    " tokens = iif(day = :day, tokens, 0) + :tokens, day = :day"
	    " WHERE id = :bot";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":bot", bot);
	bind_int(q, ":day", day);
	bind_int(q, ":tokens", tokens);
	return step_done(st, q);
}

/* What trying it out gave, new. */
static struct json_object *
answer_json(const struct bot_answer *a)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "text", a->text);
	json_put(o, "quick_replies",
	    a->quick != NULL ? json_object_get(a->quick)
			     : json_object_new_array());
	json_put_bool(o, "handover", a->handover);
	json_put_str(o, "reason", a->handover ? a->reason : NULL);
	json_put_bool(o, "later", a->later);
	json_put_int(o, "tokens", a->tokens);
	json_put_str(o, "error", a->error[0] != '\0' ? a->error : NULL);
	return o;
}

/* The lease is ours still: 1, 0, -1. */
static int
ask_ours(struct store *st, const char *by, int64_t id)
{
	static const char sql[] = "SELECT 1 FROM bot_asks WHERE id = :id"
				  " AND state = 'asking' AND lease_by = :by";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":id", id);
	bind_str(q, ":by", by);
	return step_int(st, q, &one);
}

static void
answer_name(int64_t message, char out[32])
{
	snprintf(out, 32, "re:%lld", (long long)message);
}

/* A message's ask: its words, unless nobody wants them by now. */
static int
end_message(
    struct store *st, const struct bot_ask *k, const struct bot_answer *a)
{
	char name[32];
	int64_t answer = 0;
	int rc = ask_wanted(st, k->id);

	if (rc == -1)
		return STORE_FAILED;
	if (rc != 1)
		return ask_drop(st, k->id);
	answer_name(k->message, name);
	rc = answer_apply(st, k->bot, k->conversation, name, a, &answer, NULL);
	/* It came by a call of its own, or there is no place for it. */
	if (rc == STORE_FAILED)
		return rc;
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		answer = 0;
	if (a->later && answer == 0)
		return ask_later(st, k->id, a->later_ms);
	return ask_finish(st, k->id, "done", answer, NULL);
}

static int
end_try(struct store *st, const struct bot_ask *k, const struct bot_answer *a)
{
	struct json_object *o = answer_json(a);
	int rc = ask_finish(st, k->id, "done", 0, o);

	json_object_put(o);
	return rc;
}

int
store_bot_end(struct store *st, const char *by, const struct bot_ask *k,
    const struct bot_answer *a, int64_t day)
{
	bool ours;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = ask_ours(st, by, k->id);
	ours = rc == STORE_DONE;
	if (ours)
		rc =
		    k->message != 0 ? end_message(st, k, a) : end_try(st, k, a);
	/* They are spent, whatever became of the words. */
	if (rc != STORE_FAILED && a->tokens > 0)
		rc = tokens_count(st, k->bot, day, a->tokens);
	rc = store_end(st, rc);
	return rc == STORE_DONE && !ours ? STORE_NONE : rc;
}

/* ---- by a call of its own ----------------------------------------------- */

/* The conversation of an ask of that bot: 1, 0, -1. */
static int
ask_of(struct store *st, int64_t bot, int64_t message, int64_t *id,
    int64_t *conversation)
{
	static const char sql[] =
	    "SELECT id, conversation_id FROM bot_asks"
	    " WHERE message_id = :message AND bot_id = :bot";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":message", message);
	bind_int(q, ":bot", bot);
	if ((rc = step_row(st, q)) == 1) {
		*id = col_int(q, 0);
		*conversation = col_int(q, 1);
	}
	stmt_end(q);
	return rc;
}

static int
say_apply(struct store *st, int64_t bot, int64_t conversation, int64_t message,
    const char *client_id, const struct bot_answer *a, struct json_object **out)
{
	struct conversation c;
	int64_t has = 0, ask = 0, of = 0, answer = 0;
	char name[32];
	int rc;

	if (message != 0) {
		if ((rc = ask_of(st, bot, message, &ask, &of)) != 1)
			return rc;
		if (conversation != 0 && conversation != of)
			return STORE_NONE;
		conversation = of;
		answer_name(message, name);
		client_id = name;
	}
	rc = store_conversation_may(st, NULL, conversation, MAY_SEE, &c);
	if (rc != STORE_DONE || c.channel == 0)
		return rc == STORE_FAILED ? rc : STORE_NONE;
	if ((rc = channel_bot(st, c.channel, &has)) == -1)
		return rc;
	if (rc == 0 || has != bot)
		return STORE_NONE;
	if ((rc = conversation_active(st, conversation)) == -1)
		return rc;
	if (rc != 1 || strcmp(c.status, "closed") == 0)
		return STORE_REFUSED;
	rc = answer_apply(st, bot, conversation, client_id, a, &answer, out);
	if (rc == STORE_DONE)
		rc = ask != 0 ? ask_finish(st, ask, "done", answer, NULL)
			      : later_finish(st, bot, conversation);
	return rc;
}

int
store_bot_say(struct store *st, int64_t bot, int64_t conversation,
    int64_t message, const char *client_id, const struct bot_answer *a,
    struct json_object **out)
{
	int rc;

	*out = NULL;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = say_apply(st, bot, conversation, message, client_id, a, out);
	rc = store_end(st, rc);
	if (rc != STORE_DONE && rc != STORE_REPEATED) {
		json_object_put(*out);
		*out = NULL;
	}
	return rc;
}

/* ---- reading ------------------------------------------------------------ */

int
store_bot_history(struct store *st, const struct bot_ask *k, int64_t n,
    struct json_object **out)
{
	static const char sql[] =
	    "SELECT id AS \"#id\", sender_kind AS sender, kind AS kind,"
	    " content AS content, created_at AS created_at FROM messages"
	    " WHERE conversation_id = :conversation AND id <= :id"
	    " AND type <> 'note' AND deleted_at IS NULL"
	    " ORDER BY id DESC LIMIT :n";
	struct json_object *items = json_object_new_array(), *list;
	sqlite3_stmt *q = store_stmt(st, sql);
	size_t i;

	bind_int(q, ":conversation", k->conversation);
	bind_int(q, ":id", k->message);
	bind_int(q, ":n", n);
	if (step_list(st, q, (int)n, items) == -1) {
		json_object_put(items);
		return STORE_FAILED;
	}
	list = json_object_new_array();
	for (i = json_object_array_length(items); i > 0; i--)
		json_object_array_add(list,
		    json_object_get(json_object_array_get_idx(items, i - 1)));
	json_object_put(items);
	*out = list;
	return STORE_DONE;
}

int
store_bot_try(struct store *st, int64_t bot, const char *text, int64_t *id)
{
	static const char sql[] =
	    "INSERT INTO bot_asks (bot_id, text, due_at, created_at)"
	    " SELECT id, :text, :now, :now FROM bots WHERE id = :bot"
	    " AND deleted_at IS NULL RETURNING id";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":bot", bot);
	bind_str(q, ":text", text);
	bind_int(q, ":now", store_now(st));
	rc = step_int(st, q, id);
	return store_end(st, rc);
}

int
store_bot_tried(
    struct store *st, int64_t bot, int64_t id, struct json_object **out)
{
	static const char sql[] =
	    "SELECT text AS question, state AS state, result AS \"{result\""
	    " FROM bot_asks WHERE id = :id AND bot_id = :bot"
	    " AND message_id IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	bind_int(q, ":bot", bot);
	if ((rc = step_row(st, q)) == 1)
		*out = row_json(q);
	stmt_end(q);
	return rc;
}

int
store_bot_asked(struct store *st, int64_t message, int64_t *id)
{
	static const char sql[] =
	    "SELECT id FROM bot_asks WHERE message_id = :message";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":message", message);
	return step_int(st, q, id);
}

int
store_bot_outcome(struct store *st, int64_t id, char state[12], int64_t *answer,
    struct json_object **result)
{
	static const char sql[] =
	    "SELECT state, answer_id, result FROM bot_asks WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	*result = NULL;
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		col_copy(q, 0, state, 12);
		*answer = col_int(q, 1);
		*result = col_json(q, 2);
	}
	stmt_end(q);
	return rc;
}

int
store_bot_purge(struct store *st, int64_t older_ms)
{
	static const char sql[] =
	    "DELETE FROM bot_asks WHERE id IN (SELECT id FROM bot_asks"
	    " WHERE created_at < :before AND state IN ('later', 'done',"
	    " 'dropped') LIMIT :batch)";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":before", store_now(st) - older_ms);
	bind_int(q, ":batch", ASK_BATCH);
	return store_end(st, step_changed(st, q));
}
