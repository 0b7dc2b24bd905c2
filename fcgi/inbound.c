/*
 * What a platform told us, out of the inbox into customers, conversations,
 * messages, receipts and marks.  What the bytes mean is said by the adapter.
 *
 * The write lock is the lease: who has it takes the oldest that is new, and
 * what it makes of it and that it is done are one commit.  So nothing is done
 * twice or forgotten, and the order is that of arrival, whoever does it and
 * whoever dies.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "echo.h"
#include "inbound.h"
#include "json.h"
#include "log.h"
#include "store_channel.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_delivery.h"
#include "store_echo.h"
#include "store_media.h"
#include "store_message.h"
#include "store_webhook.h"
#include "utf8.h"

/* The longest names that are kept; what has longer ones is not a platform. */
#define EXTERNAL_MAX 255
#define NAME_CHARS_MAX 200
#define AVATAR_BYTES_MAX 1024

/*
 * In one commit, so that many that wait cost few; no more than others may wait
 * for the write lock, or than hints fit into pushd's socket.
 */
#define GROUP_MAX 16
#define GROUP_MS 20

/* Of one that has very many items: to read it anew each time costs more. */
#define LONG_MS 200

/* New for so long although everybody looks: it may kill who tries it. */
#define SUSPECT_MS 10000
#define DEATHS_MAX 5
#define TRIES_MAX 10

/* Before each next try. */
static const int64_t pauses_ms[] = { 60000, 60000, 600000, 3600000, 21600000 };

/* A webhook being thought about. */
struct inbound {
	struct store *st;
	size_t most; /* items of a body, ids of a receipt */
	struct channel_account ac;
	struct channel_row row; /* of ${ac} */
	int64_t inbox;          /* webhook_inbox.id */
	int64_t received_at;
	int64_t counted; /* the one whose try was counted already */
	size_t kept;     /* items that had an effect */
	size_t failed;   /* items that could not be stored */
	int64_t read;    /* the one that ${batch} is of, 0: none */
	int status;      /* that reading it gave */
	struct channel_batch batch;
};

static bool
name_fits(const char *id)
{
	return id == NULL || (*id != '\0' && strlen(id) <= EXTERNAL_MAX);
}

/* Whether there is a file that the worker can fetch. */
static bool
has_file(const struct inbound *in, const struct channel_item *it)
{
	if (it->media_url != NULL)
		return true;
	return it->media_ref != NULL && in->ac.ch->media != NULL &&
	       strcmp(it->kind, "sticker") != 0;
}

/* The medium in the API's form, or NULL without one; new. */
static struct json_object *
attachments_json(const struct inbound *in, const struct channel_item *it)
{
	struct json_object *list, *o;

	if (!has_file(in, it))
		return NULL;
	o = json_object_new_object();
	json_put_str(o, "id", NULL);
	json_put_str(o, "name", it->name);
	json_put_str(o, "mime", it->mime);
	if (it->size >= 0)
		json_put_int(o, "size", it->size);
	else
		json_put_str(o, "size", NULL);
	json_put_str(o, "url", it->media_url);
	json_put_str(o, "state", "fetching");
	json_put_str(o, "width", NULL);
	json_put_str(o, "height", NULL);
	list = json_object_new_array();
	json_object_array_add(list, o);
	return list;
}

/* What has no column of its own, or NULL; new. */
static struct json_object *
payload_json(const struct channel_item *it)
{
	struct json_object *o;

	if (it->media_ref == NULL && it->payload == NULL && !it->located &&
	    !it->standby)
		return NULL;
	o = json_object_new_object();
	if (it->media_ref != NULL)
		json_put_str(o, "media_ref", it->media_ref);
	if (it->payload != NULL)
		json_put_str(o, "payload", it->payload);
	if (it->located) {
		json_put(o, "lat", json_object_new_double(it->lat));
		json_put(o, "lon", json_object_new_double(it->lon));
	}
	if (it->standby)
		json_put_bool(o, "standby", true);
	return o;
}

/*
 * The customer of an item, made if missing.  What the platform calls it is its
 * name as long as it has none.
 */
static int
customer_find(
    struct inbound *in, const struct channel_item *it, int64_t *customer)
{
	const char *avatar = it->user_avatar;
	char name[NAME_CHARS_MAX * 4 + 1] = "", had[sizeof(name)];
	struct customer_patch p = { 0 };
	int rc;

	if (it->user_name != NULL && !it->out) {
		channel_copy(
		    name, sizeof(name), it->user_name, strlen(it->user_name));
		name[utf8_cut(name, strlen(name), NAME_CHARS_MAX)] = '\0';
	}
	if (avatar != NULL && (it->out || strncmp(avatar, "https://", 8) != 0 ||
				  strlen(avatar) > AVATAR_BYTES_MAX))
		avatar = NULL;
	if (name[0] != '\0' && !utf8_blank(name, strlen(name))) {
		p.name = name;
		p.avatar_url = avatar;
	}
	rc = store_identity(in->st, in->ac.id, it->user, &p, customer);
	if (rc != STORE_REPEATED || p.name == NULL)
		return rc;
	if (store_customer_name(in->st, *customer, had, sizeof(had)) ==
	    STORE_FAILED)
		return STORE_FAILED;
	if (had[0] == '\0' && store_customer_profiled(in->st, *customer, p.name,
				  p.avatar_url) == STORE_FAILED)
		return STORE_FAILED;
	return rc;
}

/* The customer and the conversation of an item, made if missing. */
static int
whereabouts(struct inbound *in, const struct channel_item *it,
    int64_t *customer, int64_t *conversation)
{
	struct channel_item who = *it;
	int rc;

	*customer = 0;
	if (it->user == NULL) {
		rc = store_echo_thread(
		    in->st, in->ac.id, it->conversation, conversation);
		/* A group that only we wrote in, so far, is nobody's yet. */
		if (rc != STORE_NONE || it->out)
			return rc;
		/* Somebody there, whom the platform does not name. */
		who.user = it->conversation;
		it = &who;
	}
	rc = customer_find(in, it, customer);
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		return rc;
	return store_conversation_external(
	    in->st, in->ac.id, it->conversation, *customer, conversation);
}

/*
 * An echo may be of a message that we sent ourselves: one we know the id of,
 * one it names, or one whose answer we never got.  DONE if so.
 */
static int
echo_settles(
    struct inbound *in, const struct channel_item *it, int64_t conversation)
{
	int64_t n = it->outbound;
	int rc;

	if (it->message_id != NULL && (rc = store_echo_known(in->st, in->ac.id,
					   it->message_id)) != STORE_NONE)
		return rc;
	if (n == 0 && !it->by_person) {
		rc = echo_match(in->st, conversation, it->kind, it->text,
		    it->sent_at, in->received_at, &n);
		if (rc == STORE_FAILED)
			return rc;
	}
	if (n == 0)
		return STORE_NONE;
	return store_delivery_echo(
	    in->st, n, in->ac.id, conversation, it->message_id, it->sent_at);
}

/* When the platform took it tells how far the customer has read. */
static int
echo_counts(struct inbound *in, const struct channel_item *it,
    int64_t conversation, int rc)
{
	if (rc == STORE_FAILED ||
	    store_delivery_echoed(in->st, in->ac.id, it->message_id,
		conversation, it->sent_at) == STORE_FAILED)
		return STORE_FAILED;
	return rc;
}

static int
message_store(struct inbound *in, const struct channel_item *it)
{
	struct message m = { .kind = it->kind,
		.content = it->text,
		.channel = in->ac.id,
		.external_id = it->message_id,
		.reply_external = it->reply_to,
		.reply_token = it->reply_token,
		.seen_token = it->seen_token,
		.quote_token = it->quote_token,
		.sent_at = it->sent_at,
		.inbox = in->inbox,
		.echo = it->out,
		.quiet = it->standby,
		.incoming = !it->out };
	int64_t customer;
	int rc;

	if (!name_fits(it->message_id) || !name_fits(it->conversation) ||
	    !name_fits(it->user)) {
		log_warn("webhook item left out channel=%lld inbox=%lld"
			 " why=id",
		    (long long)in->ac.id, (long long)in->inbox);
		return STORE_NONE;
	}
	rc = whereabouts(in, it, &customer, &m.conversation);
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		return rc;
	if (it->out &&
	    (rc = echo_settles(in, it, m.conversation)) != STORE_NONE)
		return echo_counts(in, it, m.conversation, rc);

	m.sender_kind = !it->out ? "customer" : it->by_person ? "agent" : "bot";
	m.sender_id = it->out ? 0 : customer;
	m.content_len = it->text != NULL ? strlen(it->text) : 0;
	m.attachments = attachments_json(in, it);
	m.payload = payload_json(it);
	rc = store_message_add(in->st, NULL, &m);
	if (rc == STORE_DONE && m.attachments != NULL)
		rc = store_fetch_add(
		    in->st, m.id, in->ac.id, it->media_url, it->media_ref);
	if (rc == STORE_DONE && it->out)
		rc = echo_counts(in, it, m.conversation, rc);
	json_object_put(m.attachments);
	json_object_put(m.payload);
	message_fini(&m);
	return rc;
}

static int
status_store(struct inbound *in, const struct channel_item *it)
{
	int64_t conversation;
	int rc = STORE_NONE, last = STORE_NONE;

	if (it->nids > in->most)
		log_info("webhook skipped platform=%s channel=%lld ids=%zu",
		    in->ac.ch->platform, (long long)in->ac.id,
		    it->nids - in->most);
	for (size_t i = 0; i < it->nids && i < in->most; i++) {
		if (it->ids[i] == NULL || !name_fits(it->ids[i]))
			continue;
		rc = strcmp(it->status, "failed") == 0
			 ? store_delivery_refused(in->st, in->ac.id, it->ids[i],
			       it->error != NULL ? it->error : "refused")
			 : store_delivery_receipt(
			       in->st, in->ac.id, it->ids[i], it->status);
		if (rc == STORE_FAILED)
			return rc;
		last = rc;
	}
	if (it->watermark == 0 || it->conversation == NULL)
		return last;
	rc = store_echo_thread(
	    in->st, in->ac.id, it->conversation, &conversation);
	if (rc != STORE_DONE)
		return rc == STORE_FAILED ? rc : last;
	return store_delivery_watermark(
	    in->st, conversation, it->watermark, it->status);
}

static int
contact_store(struct inbound *in, const struct channel_item *it)
{
	int64_t customer;
	int rc = STORE_DONE;

	if (!name_fits(it->user))
		return STORE_NONE;
	if (it->follow)
		rc = customer_find(in, it, &customer);
	if (rc == STORE_FAILED)
		return rc;
	return store_identity_follow(
	    in->st, in->ac.id, it->user, it->follow, it->sent_at);
}

static int
item_store(struct inbound *in, const struct channel_item *it)
{
	switch (it->op) {
	case CHANNEL_MESSAGE:
		return message_store(in, it);
	case CHANNEL_STATUS:
		return status_store(in, it);
	case CHANNEL_EDIT:
		return it->message_id == NULL
			   ? STORE_NONE
			   : store_message_edit_external(in->st, in->ac.id,
				 it->message_id, it->version, it->text,
				 it->text != NULL ? strlen(it->text) : 0);
	case CHANNEL_DELETE:
		return it->message_id == NULL
			   ? STORE_NONE
			   : store_message_delete_external(
				 in->st, in->ac.id, it->message_id);
	case CHANNEL_CONTACT:
		return contact_store(in, it);
	case CHANNEL_NOTE:
		break;
	}
	log_info("webhook event platform=%s channel=%lld what=%.64s",
	    in->ac.ch->platform, (long long)in->ac.id,
	    it->what != NULL ? it->what : "-");
	return STORE_NONE;
}

/*
 * One item, undone alone if it fails.  What has no id of its own is known by
 * its place in the body, or running it again would store it twice.
 */
static int
item_run(struct inbound *in, const struct channel_item *it, size_t i)
{
	char key[64];
	int rc = STORE_DONE;

	if (store_begin(in->st) == STORE_FAILED)
		return STORE_FAILED;
	if (it->op == CHANNEL_MESSAGE && it->message_id == NULL) {
		snprintf(
		    key, sizeof(key), "item:%lld:%zu", (long long)in->inbox, i);
		rc = store_webhook_seen(in->st, in->ac.id, key);
		if (rc == STORE_DONE)
			rc = item_store(in, it);
		return store_end(in->st, rc);
	}
	rc = item_store(in, it);
	if (rc == STORE_FAILED)
		return store_end(in->st, rc);
	/* Whatever came of it: it may have marked something on the way. */
	return store_end(in->st, STORE_DONE) == STORE_DONE ? rc : STORE_FAILED;
}

/* Whether it was not the item's fault: then nobody gets anywhere now. */
static bool
store_stuck(const struct store *st)
{
	enum store_trouble t = store_trouble(st);

	return t == STORE_BUSY || t == STORE_NO_SPACE;
}

/* Items from ${*next} on; DONE, or FAILED when none of it may stay. */
static int
items_run(struct inbound *in, const struct channel_batch *batch, size_t *next)
{
	int64_t end = clock_mono_ms() + LONG_MS;
	size_t first = *next;
	int rc;

	for (size_t i = first; i < batch->n; *next = ++i) {
		if (i > first && clock_mono_ms() >= end)
			return STORE_DONE;
		rc = item_run(in, &batch->items[i], i);
		if (rc == STORE_DONE)
			in->kept++;
		else if (rc == STORE_FAILED && store_stuck(in->st))
			return STORE_FAILED;
		else if (rc == STORE_FAILED)
			in->failed++;
		if (rc == STORE_FAILED || rc > STORE_REPEATED)
			log_warn("webhook item refused channel=%lld inbox=%lld"
				 " item=%zu rc=%d",
			    (long long)in->ac.id, (long long)in->inbox, i, rc);
	}
	if (batch->skipped > 0)
		log_info("webhook skipped platform=%s channel=%lld items=%zu",
		    in->ac.ch->platform, (long long)in->ac.id, batch->skipped);
	return STORE_DONE;
}

/* It did not come through: again later, unless that cannot help. */
static int
webhook_fail(struct inbound *in, const struct webhook_row *w, const char *why,
    bool again)
{
	int64_t tries = w->tries + (in->counted != w->id), due = 0;
	size_t n = sizeof(pauses_ms) / sizeof(pauses_ms[0]);
	size_t i = (size_t)(tries > 0 ? tries - 1 : 0);

	if (again && tries < TRIES_MAX)
		due = store_now(in->st) + pauses_ms[i < n ? i : n - 1];
	log_warn("webhook failed channel=%lld inbox=%lld tries=%lld why=%s",
	    (long long)w->channel, (long long)w->id, (long long)tries, why);
	return store_webhook_failed(in->st, w->id, why, tries, due);
}

static const char *
header_gone(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return NULL;
}

/* Its account as it is now; NONE: there is none any more. */
static int
account_get(struct inbound *in, int64_t channel)
{
	int rc;

	if (in->ac.id == channel)
		return STORE_DONE;
	channel_row_fini(&in->row);
	memset(&in->ac, 0, sizeof(in->ac));
	if ((rc = store_channel_get(in->st, channel, &in->row)) != STORE_DONE)
		return rc;
	if ((in->ac.ch = channel_find(in->row.platform)) == NULL)
		return STORE_NONE;
	in->ac.id = channel;
	in->ac.config = in->row.all;
	return STORE_DONE;
}

/* What is read is kept: with many items it is run in several turns. */
static void
webhook_read(struct inbound *in, const struct webhook_row *w)
{
	struct channel_hook hook = { .body = w->body,
		.len = w->len,
		.now_ms = w->received_at,
		.header = header_gone };

	if (in->read == w->id)
		return;
	channel_batch_fini(&in->batch);
	channel_batch_init(&in->batch);
	in->batch.max = in->most;
	in->read = w->id;
	in->status = in->ac.ch->parse(&in->ac, &hook, &in->batch);
}

/* All its items are done. */
static int
webhook_end(struct inbound *in, const struct webhook_row *w)
{
	char why[64];

	if (in->failed == 0)
		return store_webhook_done(in->st, w->id,
		    in->kept > 0 || w->next_item > 0 ? "done" : "ignored");
	snprintf(why, sizeof(why), "%zu of %zu items not stored", in->failed,
	    in->batch.n);
	return webhook_fail(in, w, why, true);
}

/* The rest in the next turn.  A try that was counted killed nobody. */
static int
webhook_pause(struct inbound *in, const struct webhook_row *w, size_t next)
{
	int64_t tries = w->tries - (in->counted == w->id);

	in->counted = 0;
	return store_webhook_partly(in->st, w->id, next, in->failed, tries);
}

/* What one webhook means; DONE, or FAILED when none of it may stay. */
static int
webhook_run(struct inbound *in, const struct webhook_row *w)
{
	size_t next = w->next_item;
	int rc;

	if (w->len == 0 || (rc = account_get(in, w->channel)) == STORE_NONE)
		return store_webhook_done(in->st, w->id, "ignored");
	if (rc != STORE_DONE)
		return rc;
	in->inbox = w->id;
	in->received_at = w->received_at;
	in->kept = 0;
	in->failed = w->missed;
	webhook_read(in, w);
	if (in->status != 0) {
		rc = webhook_fail(in, w, "not readable", false);
	} else if (in->batch.err) {
		rc = webhook_fail(in, w, "out of memory", true);
	} else if ((rc = items_run(in, &in->batch, &next)) == STORE_DONE) {
		rc = next < in->batch.n ? webhook_pause(in, w, next)
					: webhook_end(in, w);
	}
	return rc == STORE_NONE ? STORE_DONE : rc;
}

/* Some, as one commit.  NONE: no new one is left. */
static int
group_run(struct inbound *in)
{
	int64_t end = clock_mono_ms() + GROUP_MS;
	struct webhook_row w = { 0 };
	int n = 0, rc;

	if (store_begin(in->st) == STORE_FAILED)
		return STORE_FAILED;
	do {
		if ((rc = store_webhook_next(in->st, &w)) == STORE_DONE)
			rc = webhook_run(in, &w);
		webhook_row_fini(&w);
	} while (rc == STORE_DONE && ++n < GROUP_MAX && clock_mono_ms() < end);
	if (store_end(in->st, rc == STORE_FAILED ? rc : STORE_DONE) ==
	    STORE_FAILED)
		return STORE_FAILED;
	return rc;
}

/*
 * One that is new for long may be one whose program died of it: count the try
 * before, and put it off when there were many.
 */
static int
suspect_check(struct inbound *in)
{
	struct webhook_row w = { 0 };
	int64_t id, since;
	int rc = store_webhook_head(in->st, &id, &since);

	if (rc != STORE_DONE || store_now(in->st) - since < SUSPECT_MS)
		return rc;
	if (store_begin(in->st) == STORE_FAILED)
		return STORE_FAILED;
	if ((rc = store_webhook_next(in->st, &w)) == STORE_DONE) {
		rc = store_webhook_tried(in->st, w.id);
		in->counted = w.id;
		if (rc == STORE_DONE && w.tries >= DEATHS_MAX &&
		    strcmp(w.error, WEBHOOK_TRIED) == 0) {
			w.tries++;
			rc = webhook_fail(in, &w, "nobody survived it", true);
		}
	}
	webhook_row_fini(&w);
	return store_end(in->st, rc);
}

int
inbound_run(const struct conf *cf, struct store *st, int64_t max_ms)
{
	struct inbound in = { .st = st,
		.most = (size_t)cf->webhook_entries_max * CHANNEL_ENTRY_ITEMS };
	int64_t end = clock_mono_ms() + max_ms;
	int rc;

	if (store_webhook_renew(st) == STORE_FAILED)
		return STORE_FAILED;
	if ((rc = suspect_check(&in)) == STORE_DONE)
		do
			rc = group_run(&in);
		while (rc == STORE_DONE && clock_mono_ms() < end);
	channel_batch_fini(&in.batch);
	channel_row_fini(&in.row);
	return rc;
}
