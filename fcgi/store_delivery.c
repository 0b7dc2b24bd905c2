/*
 * What goes out to platforms: claims under a lease, ends of tries, echoes and
 * receipts.  The rules are in store_delivery.h.
 */
#include "store_delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "store_conversation.h"
#include "store_db.h"
#include "store_echo.h"
#include "store_event.h"
#include "store_message.h"
#include "store_webhook.h"

#define RECEIPT_KEY_MAX 288 /* an id has at most 255 bytes */
#define REFUSED_KEY_MAX 800 /* and 500 of words */
#define REPLY_TOKEN_MS 30000
#define WATERMARK_MS (INT64_C(7) * 24 * 3600 * 1000)
#define MARK_KEY_MAX 80
#define MARK_MAX INT64_C(99999999999999) /* ms: the year 5138 */

void
delivery_fini(struct delivery *d)
{
	free(d->content);
	json_object_put(d->attachments);
	json_object_put(d->payload);
	d->content = NULL;
	d->attachments = d->payload = NULL;
}

/* ---- what shows of it --------------------------------------------------- */

/* As far as the least of the parts; a part that failed decides. */
static int
status_rank(const char *state)
{
	static const char *const order[] = { "failed", "unknown", "queued",
		"sending", "sent", "delivered", "read" };
	int i;

	for (i = 0; i < 7; i++)
		if (strcmp(order[i], state) == 0)
			return i;
	return -1;
}

static int
status_parts(struct store *st, int64_t message, char state[12], char error[512])
{
	static const char sql[] =
	    "SELECT state, error FROM deliveries WHERE message_id = :message"
	    " ORDER BY part";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc, rank, least = 99;

	state[0] = error[0] = '\0';
	bind_int(q, ":message", message);
	while ((rc = step_row(st, q)) == 1) {
		rank = status_rank(col_str(q, 0));
		if (rank >= least)
			continue;
		least = rank;
		col_copy(q, 0, state, 12);
		col_copy(q, 1, error, 512);
	}
	stmt_end(q);
	return rc == -1 ? STORE_FAILED : STORE_DONE;
}

static int
status_event(struct store *st, int64_t message, int64_t conversation,
    const char *state, const char *error)
{
	static const char *const keys[] = { "message_id", "conversation_id",
		"status", NULL };
	struct json_object *o = json_object_new_object(), *pub;
	struct conversation c;
	struct rooms r;
	int rc;

	json_put_id(o, "message_id", message);
	json_put_id(o, "conversation_id", conversation);
	json_put_str(o, "status", state);
	json_put_str(o, "error", *error ? error : NULL);
	pub = json_pick(o, keys);
	rooms_init(&r);
	rc = store_conversation_may(st, NULL, conversation, MAY_SEE, &c);
	if (rc == STORE_DONE)
		rc = conversation_rooms(st, &c, true, &r);
	if (rc == STORE_DONE)
		rc = store_event_add(
		    st, "message_status", o, pub, r.name, r.n, NULL);
	rooms_fini(&r);
	json_object_put(o);
	json_object_put(pub);
	return rc;
}

/* The message is in this state now: stored, and told if it was not. */
static int
status_set(
    struct store *st, int64_t message, const char *state, const char *error)
{
	static const char sql[] =
	    "UPDATE messages SET status = :state, error = nullif(:error, '')"
	    " WHERE id = :id AND (status <> :state"
	    "  OR coalesce(error, '') <> :error)"
	    " RETURNING conversation_id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t conversation;
	int rc;

	bind_int(q, ":id", message);
	bind_str(q, ":state", state);
	bind_str(q, ":error", error);
	rc = step_int(st, q, &conversation);
	if (rc != 1)
		return rc == 0 ? STORE_REPEATED : STORE_FAILED;
	return status_event(st, message, conversation, state, error);
}

static int
status_update(struct store *st, int64_t message)
{
	char state[12], error[512];
	int rc;

	rc = status_parts(st, message, state, error);
	if (rc == STORE_DONE && *state != '\0')
		rc = status_set(st, message, state, error);
	return rc == STORE_REPEATED ? STORE_DONE : rc;
}

/* ---- claiming ----------------------------------------------------------- */

/* The channel's next, not taken yet. */
static int
claim_next(struct store *st, int64_t channel, int64_t *id)
{
	static const char sql[] =
	    "SELECT d.id FROM channels h JOIN deliveries d"
	    " INDEXED BY deliveries_channel ON d.channel_id = h.id"
	    " WHERE h.id = :channel AND h.state = 'ok'"
	    " AND h.deleted_at IS NULL AND h.hold_until <= :now"
	    " AND d.state = 'queued' AND d.due_at <= :now"
	    " AND NOT EXISTS (SELECT 1 FROM deliveries e"
	    "  WHERE e.conversation_id = d.conversation_id"
	    "  AND (e.message_id, e.part) < (d.message_id, d.part)"
	    "  AND e.state IN ('queued','sending'))"
	    " ORDER BY d.due_at, d.message_id, d.part LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":channel", channel);
	bind_int(q, ":now", store_now(st));
	return step_int(st, q, id);
}

static int
claim_take(struct store *st, int64_t id, const char *by, int64_t lease_ms)
{
	static const char sql[] =
	    "UPDATE deliveries SET state = 'sending', lease_by = :by,"
	    " lease_until = :until, tries = tries + 1, written_at = NULL,"
	    " said = NULL, updated_at = :now WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_str(q, ":by", by);
	bind_int(q, ":now", store_now(st));
	bind_int(q, ":until", store_now(st) + lease_ms);
	return step_done(st, q);
}

static int
claim_fill(struct store *st, int64_t id, struct delivery *d)
{
	static const char sql[] =
	    "SELECT d.uuid, d.message_id, d.conversation_id, d.channel_id,"
	    " c.customer_id, d.part, d.tries, d.created_at, h.platform,"
	    " c.external_id, (SELECT i.external_id FROM customer_identities i"
	    "  WHERE i.customer_id = c.customer_id"
	    "  AND i.channel_id = d.channel_id LIMIT 1),"
	    " (SELECT r.external_id FROM messages r WHERE r.id = m.reply_to"
	    "  AND r.channel_id = d.channel_id),"
	    " c.last_inbound_at, c.sent_since - (SELECT count(*)"
	    "  FROM deliveries e INDEXED BY deliveries_open"
	    "  WHERE e.conversation_id = d.conversation_id"
	    "  AND e.message_id > d.message_id AND e.part = 0"
	    "  AND e.state IN ('queued','sending')), m.kind, m.content,"
	    " m.attachments, m.payload, (SELECT k.quote_token"
	    "  FROM message_marks k WHERE k.message_id = m.reply_to),"
	    " d.first_at, d.doubt, m.sender_kind <> 'agent', d.once"
	    " FROM deliveries d"
	    " JOIN messages m ON m.id = d.message_id"
	    " JOIN conversations c ON c.id = d.conversation_id"
	    " JOIN channels h ON h.id = d.channel_id WHERE d.id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	memset(d, 0, sizeof *d);
	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		d->id = id;
		col_copy(q, 0, d->uuid, sizeof d->uuid);
		d->message = col_int(q, 1);
		d->conversation = col_int(q, 2);
		d->channel = col_int(q, 3);
		d->customer = col_int(q, 4);
		d->part = (int)col_int(q, 5);
		d->tries = col_int(q, 6);
		d->created_at = col_int(q, 7);
		col_copy(q, 8, d->platform, sizeof d->platform);
		col_copy(q, 9, d->conversation_external,
		    sizeof d->conversation_external);
		col_copy(
		    q, 10, d->customer_external, sizeof d->customer_external);
		col_copy(q, 11, d->quote_external, sizeof d->quote_external);
		d->last_inbound_at = col_int(q, 12);
		d->sent_since = col_int(q, 13);
		col_copy(q, 14, d->kind, sizeof d->kind);
		d->content = strdup(col_str(q, 15));
		d->attachments = col_json(q, 16);
		d->payload = col_json(q, 17);
		col_copy(q, 18, d->quote_token, sizeof d->quote_token);
		d->first_at = col_int(q, 19);
		d->doubt = col_int(q, 20) != 0;
		d->by_bot = col_int(q, 21) != 0;
		d->once = col_int(q, 22) != 0;
		if (d->content == NULL)
			rc = store_failed(st, "delivery", SQLITE_NOMEM);
	}
	stmt_end(q);
	return rc;
}

/* It is taken up: nobody changes what it says any more. */
static int
claim_first(struct store *st, struct delivery *d)
{
	static const char sql[] = "UPDATE deliveries SET first_at = :now"
				  " WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	d->first_at = store_now(st);
	bind_int(q, ":id", d->id);
	bind_int(q, ":now", d->first_at);
	return step_done(st, q);
}

/* The token of the customer's newest message, offered once. */
static int
claim_reply_token(struct store *st, struct delivery *d)
{
	static const char sql[] =
	    "SELECT message_id, reply_token FROM message_marks"
	    " WHERE conversation_id = :conversation AND message_id > :since"
	    " ORDER BY message_id DESC LIMIT 1";
	static const char used_sql[] =
	    "UPDATE message_marks SET reply_token = NULL WHERE message_id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t id = 0;
	int rc;

	/* A message's id is its time. */
	bind_int(q, ":conversation", d->conversation);
	bind_int(q, ":since", store_now(st) - REPLY_TOKEN_MS);
	if ((rc = step_row(st, q)) == 1) {
		id = col_int(q, 0);
		col_copy(q, 1, d->reply_token, sizeof d->reply_token);
	}
	stmt_end(q);
	if (rc == -1)
		return STORE_FAILED;
	if (d->reply_token[0] == '\0')
		return STORE_DONE;
	return step_id(st, used_sql, id);
}

static int
claim_apply(struct store *st, int64_t channel, const char *by, int64_t lease_ms,
    struct delivery *d)
{
	int64_t id;
	int rc;

	if ((rc = claim_next(st, channel, &id)) != STORE_DONE)
		return rc;
	if (claim_take(st, id, by, lease_ms) != STORE_DONE)
		return STORE_FAILED;
	rc = claim_fill(st, id, d);
	/* An earlier try may have arrived: this one has to carry its key. */
	if (rc == STORE_DONE && d->first_at == 0) {
		rc = claim_first(st, d);
		if (rc == STORE_DONE)
			rc = claim_reply_token(st, d);
	}
	return rc == STORE_DONE ? status_update(st, d->message) : STORE_FAILED;
}

int
store_delivery_claim(struct store *st, int64_t channel, const char *by,
    int64_t lease_ms, struct delivery *d)
{
	int64_t id;
	int rc;

	memset(d, 0, sizeof *d);
	/* A worker looks often: it takes no lock for that. */
	if ((rc = claim_next(st, channel, &id)) != STORE_DONE)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_end(st, claim_apply(st, channel, by, lease_ms, d));
	if (rc != STORE_DONE)
		delivery_fini(d);
	return rc;
}

int
store_delivery_written(
    struct store *st, int64_t id, const char *by, const char *said)
{
	static const char sql[] =
	    "UPDATE deliveries SET written_at = :now, said = :said"
	    " WHERE id = :id"
	    " AND state = 'sending' AND lease_by = :by"
	    " AND lease_until > :now AND EXISTS (SELECT 1 FROM messages m"
	    "  WHERE m.id = message_id AND m.deleted_at IS NULL)";
	sqlite3_stmt *q;
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":id", id);
	bind_str(q, ":by", by);
	bind_str(q, ":said", said);
	bind_int(q, ":now", store_now(st));
	rc = step_done(st, q);
	if (rc == STORE_DONE && store_changes(st) == 0)
		rc = STORE_NONE;
	return store_end(st, rc);
}

static int
parts_add(struct store *st, int64_t id, int part)
{
	static const char sql[] =
	    "INSERT INTO deliveries (uuid, message_id, part, conversation_id,"
	    " channel_id, due_at, created_at, updated_at)"
	    " SELECT :uuid, message_id, :part, conversation_id, channel_id,"
	    " :now, :now, :now FROM deliveries WHERE id = :id"
	    " ON CONFLICT (message_id, part) DO NOTHING";
	sqlite3_stmt *q = store_stmt(st, sql);
	char uuid[37];

	store_uuid(uuid);
	bind_str(q, ":uuid", uuid);
	bind_int(q, ":part", part);
	bind_int(q, ":id", id);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

int
store_delivery_parts(struct store *st, int64_t id, int n)
{
	int rc = STORE_DONE, i;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	for (i = 1; i < n && rc == STORE_DONE; i++)
		rc = parts_add(st, id, i);
	return store_end(st, rc);
}

/* ---- ends --------------------------------------------------------------- */

static int receipts_kept(
    struct store *st, int64_t channel, const char *external);
static int refused_kept(
    struct store *st, int64_t channel, const char *external);
static int marks_kept(struct store *st, int64_t conversation);

struct part {
	int64_t id, message, channel, conversation;
	int part;
	bool named; /* the platform's id is known */
	char state[12];
};

static int
part_get(struct store *st, int64_t id, struct part *p, char by[80])
{
	static const char sql[] =
	    "SELECT id, message_id, channel_id, part, state, lease_by,"
	    " conversation_id, external_id IS NOT NULL"
	    " FROM deliveries WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", id);
	if ((rc = step_row(st, q)) == 1) {
		p->id = col_int(q, 0);
		p->message = col_int(q, 1);
		p->channel = col_int(q, 2);
		p->part = (int)col_int(q, 3);
		col_copy(q, 4, p->state, sizeof p->state);
		col_copy(q, 5, by, 80);
		p->conversation = col_int(q, 6);
		p->named = col_int(q, 7) != 0;
	}
	stmt_end(q);
	return rc;
}

/*
 * A row that came as an echo under that id was this message: it goes.  NONE:
 * the id is another's, who keeps it.
 */
static int
part_echo(struct store *st, const struct part *p, const char *external)
{
	static const char sql[] =
	    "SELECT id, type = 'outgoing' AND inbox_id IS NOT NULL"
	    " FROM messages WHERE channel_id = :channel"
	    " AND external_id = :external AND id <> :message";
	sqlite3_stmt *q = store_stmt(st, sql);
	bool echo = false;
	int64_t id = 0;
	int rc;

	bind_int(q, ":channel", p->channel);
	bind_str(q, ":external", external);
	bind_int(q, ":message", p->message);
	if ((rc = step_row(st, q)) == 1) {
		id = col_int(q, 0);
		echo = col_int(q, 1) != 0;
	}
	stmt_end(q);
	if (rc != 1)
		return rc == 0 ? STORE_DONE : STORE_FAILED;
	if (!echo)
		return STORE_NONE;
	return message_forget(st, id) == STORE_DONE ? STORE_DONE : STORE_FAILED;
}

/*
 * The platform's id of a part; of the first one it is the message's own.  Our
 * own number, where the platform has none, is the delivery's alone: customers'
 * ids may look the same.
 */
static int
part_external(struct store *st, const struct part *p, const char *external)
{
	static const char sql[] =
	    "UPDATE messages SET channel_id = :channel,"
	    " external_id = :external WHERE id = :message";
	sqlite3_stmt *q;
	char own[24];
	int rc;

	snprintf(own, sizeof own, "%lld", (long long)p->id);
	if (strcmp(external, own) == 0)
		return STORE_DONE;
	rc = part_echo(st, p, external);
	if (rc != STORE_DONE || p->part != 0)
		return rc == STORE_FAILED ? rc : STORE_DONE;
	q = store_stmt(st, sql);
	bind_int(q, ":channel", p->channel);
	bind_str(q, ":external", external);
	bind_int(q, ":message", p->message);
	return step_done(st, q);
}

static int
part_write(struct store *st, const struct part *p, const struct delivery_end *e)
{
	static const char sql[] =
	    "UPDATE deliveries SET state = :state,"
	    " external_id = coalesce(:external, external_id), error = :error,"
	    " due_at = coalesce(:due, due_at), sent_at = CASE :state"
	    "  WHEN 'sent' THEN min(coalesce(:sent, :now),"
	    "   coalesce(written_at, :now)) ELSE sent_at END,"
	    " lease_by = CASE WHEN :wait IS NULL THEN NULL ELSE lease_by END,"
	    " lease_until = :wait, written_at = CASE"
	    "  WHEN :wait IS NULL AND :state <> 'unknown' THEN NULL"
	    "  ELSE coalesce(written_at, :now) END,"
	    " said = CASE WHEN :external IS NULL AND :state NOT IN"
	    "  ('queued','failed') THEN said END,"
	    " doubt = max(doubt, :doubt), once = max(once, :once),"
	    " tries = tries - :held,"
	    " updated_at = :now WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", p->id);
	bind_str(q, ":state", e->wait_until != 0 ? "sending" : e->state);
	bind_str(q, ":external", e->external_id);
	bind_str(q, ":error", e->error);
	bind_id(q, ":due", e->due_at);
	bind_id(q, ":sent", e->sent_at);
	bind_id(q, ":wait", e->wait_until);
	bind_int(q, ":doubt", e->doubt);
	bind_int(q, ":once", e->once);
	bind_int(q, ":held", e->held);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

/*
 * A text's second half never arrives without its first: what comes behind a
 * part that failed, or that may have, fails too, and is sent again with it.
 */
static int
part_rest(struct store *st, const struct part *p)
{
	static const char sql[] =
	    "UPDATE deliveries SET state = 'failed', error = 'an earlier part"
	    " of the message was not sent', updated_at = :now"
	    " WHERE message_id = :message AND part > :part"
	    " AND state = 'queued'";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":message", p->message);
	bind_int(q, ":part", p->part);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

static int
part_end(struct store *st, const struct part *p, const struct delivery_end *e)
{
	bool named = e->external_id != NULL && *e->external_id != '\0';
	int rc;

	rc = part_write(st, p, e);
	if (rc == STORE_DONE && e->wait_until == 0 &&
	    status_rank(e->state) <= status_rank("unknown"))
		rc = part_rest(st, p);
	if (rc == STORE_DONE && named)
		rc = part_external(st, p, e->external_id);
	if (rc == STORE_DONE)
		rc = status_update(st, p->message);
	if (rc == STORE_DONE && named)
		rc = receipts_kept(st, p->channel, e->external_id);
	if (rc == STORE_DONE && named &&
	    refused_kept(st, p->channel, e->external_id) == STORE_FAILED)
		rc = STORE_FAILED;
	if (rc == STORE_DONE && strcmp(e->state, "sent") == 0)
		rc = marks_kept(st, p->conversation);
	return rc;
}

static int
end_apply(
    struct store *st, int64_t id, const char *by, const struct delivery_end *e)
{
	struct part p;
	char holder[80];
	int rc;

	if ((rc = part_get(st, id, &p, holder)) != STORE_DONE)
		return rc;
	/* The answer came when nobody waited for it any more: it still tells.
	 */
	if (strcmp(p.state, "unknown") == 0 && strcmp(e->state, "sent") == 0)
		return part_end(st, &p, e);
	if (strcmp(p.state, "sending") != 0 || strcmp(holder, by) != 0)
		return STORE_NONE;
	return part_end(st, &p, e);
}

int
store_delivery_end(
    struct store *st, int64_t id, const char *by, const struct delivery_end *e)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, end_apply(st, id, by, e));
}

/*
 * Whether an echo may tell of it: it left, and that conversation's it is.  The
 * number may be of another installation with the same account.
 */
static int
echo_fits(struct store *st, int64_t n, int64_t channel, int64_t conversation)
{
	static const char sql[] =
	    "SELECT 1 FROM deliveries d"
	    " JOIN conversations c ON c.id = d.conversation_id"
	    " WHERE d.id = :id AND d.channel_id = :channel"
	    " AND d.first_at IS NOT NULL"
	    " AND coalesce(:conversation, c.id)"
	    "  IN (c.id, c.merged_into)";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":id", n);
	bind_int(q, ":channel", channel);
	bind_id(q, ":conversation", conversation);
	return step_int(st, q, &one);
}

/* It was sent, as its answer said without an id: this is the id. */
static int
echo_names(struct store *st, const struct part *p, const char *external)
{
	static const char sql[] =
	    "UPDATE deliveries SET external_id = :external, said = NULL,"
	    " updated_at = :now WHERE id = :id AND external_id IS NULL";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":id", p->id);
	bind_str(q, ":external", external);
	bind_int(q, ":now", store_now(st));
	rc = step_done(st, q);
	if (rc == STORE_DONE && store_changes(st) == 0)
		return STORE_REPEATED;
	if (rc == STORE_DONE)
		rc = part_external(st, p, external);
	if (rc == STORE_DONE)
		rc = receipts_kept(st, p->channel, external);
	if (rc == STORE_DONE &&
	    refused_kept(st, p->channel, external) == STORE_FAILED)
		rc = STORE_FAILED;
	return rc;
}

static int
echo_apply(struct store *st, int64_t n, int64_t channel, int64_t conversation,
    const char *external_id, int64_t sent_at)
{
	struct delivery_end e = {
		.state = "sent", .external_id = external_id, .sent_at = sent_at
	};
	struct part p;
	char holder[80];
	int rc;

	if ((rc = echo_fits(st, n, channel, conversation)) != STORE_DONE ||
	    (rc = part_get(st, n, &p, holder)) != STORE_DONE)
		return rc;
	rc = status_rank(p.state);
	/* What it took and then gave up had its id before. */
	if (strcmp(p.state, "failed") == 0 && p.named)
		return STORE_REPEATED;
	if (rc >= status_rank("sent"))
		return external_id != NULL && *external_id != '\0'
			   ? echo_names(st, &p, external_id)
			   : STORE_REPEATED;
	return part_end(st, &p, &e);
}

int
store_delivery_echo(struct store *st, int64_t n, int64_t channel,
    int64_t conversation, const char *external_id, int64_t sent_at)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(
	    st, echo_apply(st, n, channel, conversation, external_id, sent_at));
}

static int
expired_apply(struct store *st, int64_t *n)
{
	static const char sql[] =
	    "SELECT id, message_id, written_at IS NOT NULL, part"
	    " FROM deliveries"
	    " WHERE state = 'sending' AND lease_until < :now"
	    " ORDER BY lease_until, id LIMIT 1";
	struct part p = { .id = 0 };
	struct delivery_end e = { .state = "queued" };
	sqlite3_stmt *q;
	bool written = false;
	int rc;

	for (*n = 0; *n < LAPSED_AT_ONCE; ++*n) {
		q = store_stmt(st, sql);
		bind_int(q, ":now", store_now(st));
		if ((rc = step_row(st, q)) == 1) {
			p.id = col_int(q, 0);
			p.message = col_int(q, 1);
			written = col_int(q, 2) != 0;
			p.part = (int)col_int(q, 3);
		}
		stmt_end(q);
		if (rc != 1)
			return rc == 0 ? STORE_DONE : STORE_FAILED;
		e.state = written ? "unknown" : "queued";
		e.error = written ? "no answer" : NULL;
		e.due_at = written ? 0 : store_now(st);
		e.doubt = !written; /* sent under a key, perhaps */
		if (part_end(st, &p, &e) != STORE_DONE)
			return STORE_FAILED;
	}
	return STORE_DONE;
}

/* The oldest of a deleted channel. */
static int
orphan_next(struct store *st, int64_t *id)
{
	static const char sql[] =
	    "SELECT d.id FROM channels h INDEXED BY channels_gone"
	    " CROSS JOIN deliveries d INDEXED BY deliveries_channel"
	    " ON d.channel_id = h.id"
	    " WHERE h.deleted_at IS NOT NULL AND d.state = 'queued' LIMIT 1";

	return step_int(st, store_stmt(st, sql), id);
}

static int
orphans_apply(struct store *st, int64_t *n)
{
	struct delivery_end e = { .state = "failed",
		.error = "the channel is deleted" };
	char holder[80];
	struct part p;
	int64_t id;
	int rc = STORE_DONE;

	for (*n = 0; *n < LAPSED_AT_ONCE; ++*n) {
		if ((rc = orphan_next(st, &id)) != STORE_DONE)
			break;
		if (part_get(st, id, &p, holder) != STORE_DONE ||
		    part_end(st, &p, &e) != STORE_DONE)
			return STORE_FAILED;
	}
	return rc == STORE_FAILED ? rc : STORE_DONE;
}

int
store_delivery_orphans(struct store *st, int64_t *n)
{
	int64_t id;
	int rc;

	*n = 0;
	if ((rc = orphan_next(st, &id)) != STORE_DONE)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, orphans_apply(st, n));
}

int
store_delivery_lapsed(struct store *st)
{
	static const char sql[] =
	    "SELECT 1 FROM deliveries WHERE state = 'sending'"
	    " AND lease_until < :now LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t one;

	bind_int(q, ":now", store_now(st));
	return step_int(st, q, &one);
}

int
store_delivery_expired(struct store *st, int64_t *n)
{
	int rc;

	*n = 0;
	if ((rc = store_delivery_lapsed(st)) != STORE_DONE)
		return rc;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, expired_apply(st, n));
}

/* ---- receipts ----------------------------------------------------------- */

/* Forward only: delivered from sent, read from either. */
static bool
receipt_moves(const char *from, const char *to)
{
	int f = status_rank(from), t = status_rank(to);

	return f >= status_rank("sent") && t > f;
}

static int
receipt_part(struct store *st, int64_t id, int64_t message, const char *status)
{
	static const char sql[] =
	    "UPDATE deliveries SET state = :state, updated_at = :now"
	    " WHERE id = :id";
	sqlite3_stmt *q = store_stmt(st, sql);

	bind_int(q, ":id", id);
	bind_str(q, ":state", status);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	return status_update(st, message);
}

/* A message that went out elsewhere and came back as an echo. */
static int
receipt_message(
    struct store *st, int64_t channel, const char *external, const char *status)
{
	static const char sql[] =
	    "SELECT id, status FROM messages WHERE channel_id = :channel"
	    " AND external_id = :external AND type = 'outgoing'";
	sqlite3_stmt *q = store_stmt(st, sql);
	char from[12];
	int64_t id = 0;
	int rc;

	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	if ((rc = step_row(st, q)) == 1) {
		id = col_int(q, 0);
		col_copy(q, 1, from, sizeof from);
	}
	stmt_end(q);
	if (rc != 1)
		return rc;
	if (!receipt_moves(from, status))
		return STORE_REPEATED;
	return status_set(st, id, status, "");
}

static void
receipt_key(char key[RECEIPT_KEY_MAX], const char *external, const char *status)
{
	snprintf(key, RECEIPT_KEY_MAX, "receipt:%s:%s", status, external);
}

/*
 * The id may be that of a message whose send has not returned yet, even if an
 * echo with it is here already: that row will go.
 */
static int
receipt_keep(
    struct store *st, int64_t channel, const char *external, const char *status)
{
	char key[RECEIPT_KEY_MAX];
	int rc = receipt_message(st, channel, external, status);

	if (rc == STORE_FAILED)
		return rc;
	receipt_key(key, external, status);
	return store_webhook_seen(st, channel, key);
}

static int
receipt_apply(
    struct store *st, int64_t channel, const char *external, const char *status)
{
	static const char sql[] =
	    "SELECT id, message_id, state FROM deliveries"
	    " WHERE channel_id = :channel AND external_id = :external LIMIT 1";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t id = 0, message = 0;
	char from[12];
	int rc;

	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	if ((rc = step_row(st, q)) == 1) {
		id = col_int(q, 0);
		message = col_int(q, 1);
		col_copy(q, 2, from, sizeof from);
	}
	stmt_end(q);
	if (rc == 0)
		return receipt_keep(st, channel, external, status);
	if (rc != 1)
		return rc;
	if (!receipt_moves(from, status))
		return STORE_REPEATED;
	return receipt_part(st, id, message, status);
}

/* Those that came before we knew the id. */
static int
receipts_kept(struct store *st, int64_t channel, const char *external)
{
	static const char *const statuses[] = { "delivered", "read" };
	char key[RECEIPT_KEY_MAX];
	int rc = STORE_NONE;

	for (size_t i = 0; i < 2 && rc != STORE_FAILED; i++) {
		receipt_key(key, external, statuses[i]);
		if ((rc = store_echo_seen(st, channel, key)) == STORE_DONE)
			rc = receipt_apply(st, channel, external, statuses[i]);
	}
	return rc == STORE_FAILED ? rc : STORE_DONE;
}

int
store_delivery_receipt(struct store *st, int64_t channel,
    const char *external_id, const char *status)
{
	if (store_begin(st) == -1)
		return STORE_FAILED;
	return store_end(st, receipt_apply(st, channel, external_id, status));
}

/*
 * What was taken did not arrive after all.  It has to be said, although states
 * go forward otherwise; not of what arrived.
 */
static int
refused_apply(
    struct store *st, int64_t channel, const char *external, const char *error)
{
	static const char sql[] =
	    "UPDATE deliveries SET state = 'failed', error = :error,"
	    " updated_at = :now WHERE channel_id = :channel"
	    " AND external_id = :external AND state = 'sent'"
	    " RETURNING message_id";
	sqlite3_stmt *q = store_stmt(st, sql);
	int64_t message;
	int rc;

	bind_str(q, ":error", error);
	bind_int(q, ":channel", channel);
	bind_str(q, ":external", external);
	bind_int(q, ":now", store_now(st));
	if ((rc = step_int(st, q, &message)) != STORE_DONE)
		return rc;
	return status_update(st, message);
}

/* The key of those that came before the id, up to their words. */
static void
refused_key(char key[REFUSED_KEY_MAX], const char *external, const char *error)
{
	snprintf(key, REFUSED_KEY_MAX, "receipt:failed:%s:%s", external, error);
}

static int
refused_kept(struct store *st, int64_t channel, const char *external)
{
	static const char sql[] =
	    "SELECT substr(key, length(:key) + 1) FROM webhook_seen"
	    " WHERE channel_id = :channel AND key >= :key AND key < :end"
	    " ORDER BY key LIMIT 1";
	char key[REFUSED_KEY_MAX], end[REFUSED_KEY_MAX];
	char error[REFUSED_KEY_MAX];
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	refused_key(key, external, "");
	refused_key(end, external, "\xff");
	bind_int(q, ":channel", channel);
	bind_str(q, ":key", key);
	bind_str(q, ":end", end);
	if ((rc = step_row(st, q)) == 1)
		col_copy(q, 0, error, sizeof error);
	stmt_end(q);
	return rc == 1 ? refused_apply(st, channel, external, error) : rc;
}

int
store_delivery_refused(struct store *st, int64_t channel,
    const char *external_id, const char *error)
{
	char key[REFUSED_KEY_MAX];
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = refused_apply(st, channel, external_id, error);
	if (rc == STORE_NONE) {
		refused_key(key, external_id, error);
		rc = store_webhook_seen(st, channel, key);
	}
	return store_end(st, rc);
}

/* Our deliveries up to then. */
static int
watermark_parts(
    struct store *st, int64_t conversation, int64_t at, const char *status)
{
	static const char sql[] =
	    "SELECT id, message_id FROM deliveries"
	    " WHERE conversation_id = :conversation AND sent_at <= :at"
	    " AND state IN ('sent','delivered') AND state <> :state"
	    " ORDER BY sent_at LIMIT 1";
	int64_t id = 0, message = 0;
	sqlite3_stmt *q;
	int rc, moved = 0;

	for (;;) {
		q = store_stmt(st, sql);
		bind_int(q, ":conversation", conversation);
		bind_int(q, ":at", at);
		bind_str(q, ":state", status);
		if ((rc = step_row(st, q)) == 1) {
			id = col_int(q, 0);
			message = col_int(q, 1);
		}
		stmt_end(q);
		if (rc != 1)
			break;
		if (receipt_part(st, id, message, status) != STORE_DONE)
			return STORE_FAILED;
		moved++;
	}
	if (rc == -1)
		return STORE_FAILED;
	return moved > 0 ? STORE_DONE : STORE_REPEATED;
}

/* And what went out elsewhere, not too long before. */
static int
watermark_messages(
    struct store *st, int64_t conversation, int64_t at, const char *status)
{
	static const char sql[] =
	    "SELECT id FROM messages WHERE conversation_id = :conversation"
	    " AND sort_at BETWEEN :from AND :at AND type = 'outgoing'"
	    " AND inbox_id IS NOT NULL AND status IN ('sent','delivered')"
	    " AND status <> :state ORDER BY sort_at LIMIT 1";
	sqlite3_stmt *q;
	int64_t id = 0;
	int rc, moved = 0;

	for (;;) {
		q = store_stmt(st, sql);
		bind_int(q, ":conversation", conversation);
		bind_int(q, ":from", at - WATERMARK_MS);
		bind_int(q, ":at", at);
		bind_str(q, ":state", status);
		if ((rc = step_int(st, q, &id)) != 1)
			break;
		if (status_set(st, id, status, "") == STORE_FAILED)
			return STORE_FAILED;
		moved++;
	}
	if (rc == -1)
		return STORE_FAILED;
	return moved > 0 ? STORE_DONE : STORE_REPEATED;
}

static int
watermark_apply(
    struct store *st, int64_t conversation, int64_t at, const char *status)
{
	int ours = watermark_parts(st, conversation, at, status);
	int others = ours == STORE_FAILED
			 ? STORE_FAILED
			 : watermark_messages(st, conversation, at, status);

	return others == STORE_REPEATED ? ours : others;
}

/*
 * A watermark may come before the answer to what it is about: the highest is
 * kept, as "watermark:STATUS:CONVERSATION:TIME" among the channel's events.
 */
static void
mark_key(char key[MARK_KEY_MAX], const char *status, int64_t conversation,
    int64_t at)
{
	snprintf(key, MARK_KEY_MAX, "watermark:%s:%lld:%015lld", status,
	    (long long)conversation, (long long)at);
}

static int
mark_get(
    struct store *st, int64_t conversation, const char *status, int64_t *at)
{
	static const char sql[] =
	    "SELECT CAST(substr(key, -15) AS INTEGER) FROM webhook_seen"
	    " WHERE channel_id = (SELECT channel_id FROM conversations"
	    "  WHERE id = :conversation)"
	    " AND key BETWEEN :low AND :high ORDER BY key DESC LIMIT 1";
	char low[MARK_KEY_MAX], high[MARK_KEY_MAX];
	sqlite3_stmt *q = store_stmt(st, sql);

	mark_key(low, status, conversation, 0);
	mark_key(high, status, conversation, MARK_MAX);
	bind_int(q, ":conversation", conversation);
	bind_str(q, ":low", low);
	bind_str(q, ":high", high);
	return step_int(st, q, at);
}

/* Keep this one alone if it is the highest.  REPEATED: it is not. */
static int
mark_keep(
    struct store *st, int64_t conversation, const char *status, int64_t at)
{
	static const char drop_sql[] =
	    "DELETE FROM webhook_seen WHERE channel_id ="
	    " (SELECT channel_id FROM conversations WHERE id = :conversation)"
	    " AND key BETWEEN :low AND :high";
	static const char sql[] =
	    "INSERT INTO webhook_seen (channel_id, key, seen_at)"
	    " SELECT channel_id, :key, :now FROM conversations"
	    " WHERE id = :conversation AND channel_id IS NOT NULL";
	char low[MARK_KEY_MAX], key[MARK_KEY_MAX];
	int64_t had;
	sqlite3_stmt *q;
	int rc = mark_get(st, conversation, status, &had);

	if (rc == STORE_FAILED || (rc == STORE_DONE && had >= at))
		return rc == STORE_FAILED ? rc : STORE_REPEATED;
	mark_key(low, status, conversation, 0);
	mark_key(key, status, conversation, at);
	q = store_stmt(st, drop_sql);
	bind_int(q, ":conversation", conversation);
	bind_str(q, ":low", low);
	bind_str(q, ":high", key);
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":conversation", conversation);
	bind_str(q, ":key", key);
	bind_int(q, ":now", store_now(st));
	return step_done(st, q);
}

/* Those that came before. */
static int
marks_kept(struct store *st, int64_t conversation)
{
	static const char *const statuses[] = { "delivered", "read" };
	int64_t at;
	int rc = STORE_NONE;

	for (size_t i = 0; i < 2 && rc != STORE_FAILED; i++)
		if ((rc = mark_get(st, conversation, statuses[i], &at)) ==
		    STORE_DONE)
			rc = watermark_apply(st, conversation, at, statuses[i]);
	return rc == STORE_FAILED ? rc : STORE_DONE;
}

int
store_delivery_watermark(
    struct store *st, int64_t conversation, int64_t at, const char *status)
{
	int rc;

	if (status_rank(status) <= status_rank("sent") || at <= 0 ||
	    at > MARK_MAX)
		return STORE_REPEATED;
	if (store_begin(st) == -1)
		return STORE_FAILED;
	if (mark_keep(st, conversation, status, at) == STORE_FAILED)
		return store_end(st, STORE_FAILED);
	rc = watermark_apply(st, conversation, at, status);
	if (rc == STORE_FAILED)
		return store_end(st, rc);
	return store_end(st, STORE_DONE) == STORE_DONE ? rc : STORE_FAILED;
}

int
store_delivery_echoed(struct store *st, int64_t channel,
    const char *external_id, int64_t conversation, int64_t at)
{
	static const char sql[] =
	    "UPDATE deliveries SET sent_at = :at WHERE channel_id = :channel"
	    " AND external_id = :external AND sent_at > :at";
	sqlite3_stmt *q;
	int rc = STORE_DONE;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	if (external_id != NULL && at > 0) {
		q = store_stmt(st, sql);
		bind_int(q, ":at", at);
		bind_int(q, ":channel", channel);
		bind_str(q, ":external", external_id);
		rc = step_done(st, q);
	}
	if (rc == STORE_DONE)
		rc = marks_kept(st, conversation);
	return store_end(st, rc);
}

/* ---- the queue ---------------------------------------------------------- */

int
store_delivery_hold(struct store *st, int64_t channel, int64_t until_ms)
{
	static const char sql[] =
	    "UPDATE channels SET hold_until = max(hold_until, :until)"
	    " WHERE id = :channel";
	sqlite3_stmt *q;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	q = store_stmt(st, sql);
	bind_int(q, ":channel", channel);
	bind_int(q, ":until", until_ms);
	return store_end(st, step_done(st, q));
}

static int
resend_apply(struct store *st, const struct who *who, int64_t message)
{
	static const char find_sql[] =
	    "SELECT conversation_id FROM messages WHERE id = :id"
	    " AND deleted_at IS NULL";
	static const char sql[] =
	    "UPDATE deliveries SET state = 'queued', due_at = :now,"
	    " tries = 0, once = 0, error = NULL, lease_by = NULL,"
	    " lease_until = NULL, updated_at = :now WHERE message_id = :id"
	    " AND state IN ('failed','unknown')";
	sqlite3_stmt *q = store_stmt(st, find_sql);
	int64_t conversation;
	int rc;

	bind_int(q, ":id", message);
	if ((rc = step_int(st, q, &conversation)) != STORE_DONE)
		return rc;
	rc = store_conversation_may(st, who, conversation, MAY_PATCH, NULL);
	if (rc != STORE_DONE)
		return rc;
	q = store_stmt(st, sql);
	bind_int(q, ":id", message);
	bind_int(q, ":now", store_now(st));
	if (step_done(st, q) != STORE_DONE)
		return STORE_FAILED;
	if (store_changes(st) == 0)
		return STORE_REFUSED;
	return status_update(st, message);
}

int
store_delivery_resend(struct store *st, const struct who *who, int64_t message,
    struct json_object **out)
{
	int rc;

	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = store_end(st, resend_apply(st, who, message));
	if (rc == STORE_DONE && out != NULL)
		rc = store_message(st, who, message, out);
	return rc;
}

int
store_delivery_due(struct store *st, int64_t *at)
{
	/* Whatever waits for an account that is stopped is not looked at. */
	static const char sql[] =
	    "SELECT coalesce(min((SELECT d.due_at"
	    "  FROM deliveries d INDEXED BY deliveries_channel"
	    "  WHERE d.channel_id = h.id AND d.state = 'queued' AND NOT EXISTS"
	    "  (SELECT 1 FROM deliveries e"
	    "   WHERE e.conversation_id = d.conversation_id"
	    "   AND (e.message_id, e.part) < (d.message_id, d.part)"
	    "   AND e.state IN ('queued','sending'))"
	    "  ORDER BY d.due_at LIMIT 1)), 0)"
	    " FROM channels h INDEXED BY channels_ok WHERE h.state = 'ok'"
	    " AND h.deleted_at IS NULL AND h.hold_until <= :now";
	sqlite3_stmt *q = store_stmt(st, sql);
	int rc;

	bind_int(q, ":now", store_now(st));
	rc = step_int(st, q, at);
	return rc == STORE_DONE && *at == 0 ? STORE_NONE : rc;
}

int
store_delivery_counts(struct store *st, struct json_object **out)
{
	static const char sql[] =
	    "SELECT state, count(*) FROM deliveries INDEXED BY deliveries_state"
	    " WHERE state IN ('queued','sending','failed','unknown')"
	    " GROUP BY state";
	static const char *const states[] = { "queued", "sending", "failed",
		"unknown" };
	struct json_object *o = json_object_new_object();
	sqlite3_stmt *q = store_stmt(st, sql);
	size_t i;
	int rc;

	for (i = 0; i < sizeof states / sizeof *states; i++)
		json_put_int(o, states[i], 0);
	while ((rc = step_row(st, q)) == 1)
		json_put_int(o, col_str(q, 0), col_int(q, 1));
	stmt_end(q);
	if (rc == -1) {
		json_object_put(o);
		return STORE_FAILED;
	}
	*out = o;
	return STORE_DONE;
}
