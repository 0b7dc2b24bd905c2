/*
 * What a platform told us, into the store: raw body first, then customers,
 * conversations, messages, receipts and marks, all in one transaction.  What
 * the bytes mean was said by the adapter.
 */
#include <stdio.h>
#include <string.h>

#include "echo.h"
#include "inbound.h"
#include "json.h"
#include "log.h"
#include "store_channel.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_delivery.h"
#include "store_echo.h"
#include "store_message.h"

/* The longest names that are kept; what has longer ones is not a platform. */
#define EXTERNAL_MAX 255

/* A webhook being kept. */
struct inbound {
	struct store *st;
	const struct channel_account *ac;
	int64_t inbox; /* webhook_inbox.id */
	size_t kept;   /* items that had an effect */
};

static bool
name_fits(const char *id)
{
	return id == NULL || (*id != '\0' && strlen(id) <= EXTERNAL_MAX);
}

/* The medium in the API's form, or NULL without one; new. */
static struct json_object *
attachments_json(const struct channel_item *it)
{
	struct json_object *list, *o;

	if (it->media_url == NULL)
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

/* The customer and the conversation of an item, made if missing. */
static int
whereabouts(struct inbound *in, const struct channel_item *it,
    int64_t *customer, int64_t *conversation)
{
	int rc;

	*customer = 0;
	if (it->user != NULL) {
		rc = store_identity(
		    in->st, in->ac->id, it->user, NULL, customer);
		if (rc != STORE_DONE && rc != STORE_REPEATED)
			return rc;
	}
	/* A group that only we wrote in, so far, belongs to nobody yet. */
	if (*customer == 0)
		return store_echo_thread(
		    in->st, in->ac->id, it->conversation, conversation);
	return store_conversation_external(
	    in->st, in->ac->id, it->conversation, *customer, conversation);
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

	if (it->message_id != NULL && (rc = store_echo_known(in->st, in->ac->id,
					   it->message_id)) != STORE_NONE)
		return rc;
	if (n == 0 && !it->by_person && it->text != NULL) {
		rc = echo_match(
		    in->st, in->ac, conversation, it->text, it->sent_at, &n);
		if (rc == STORE_FAILED)
			return rc;
	}
	if (n == 0)
		return STORE_NONE;
	return store_delivery_echo(
	    in->st, n, in->ac->id, it->message_id, it->sent_at);
}

static int
message_store(struct inbound *in, const struct channel_item *it)
{
	struct message m = { .kind = it->kind,
		.content = it->text,
		.channel = in->ac->id,
		.external_id = it->message_id,
		.reply_external = it->reply_to,
		.sent_at = it->sent_at,
		.inbox = in->inbox,
		.echo = it->out,
		.quiet = it->standby,
		.incoming = !it->out };
	int64_t customer;
	int rc;

	if (!name_fits(it->message_id) || !name_fits(it->conversation) ||
	    !name_fits(it->user))
		return STORE_NONE;
	rc = whereabouts(in, it, &customer, &m.conversation);
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		return rc;
	if (it->out &&
	    (rc = echo_settles(in, it, m.conversation)) != STORE_NONE)
		return rc;

	m.sender_kind = !it->out ? "customer" : it->by_person ? "agent" : "bot";
	m.sender_id = it->out ? 0 : customer;
	m.content_len = it->text != NULL ? strlen(it->text) : 0;
	m.attachments = attachments_json(it);
	m.payload = payload_json(it);
	rc = store_message_add(in->st, NULL, &m);
	json_object_put(m.attachments);
	json_object_put(m.payload);
	message_fini(&m);
	return rc;
}

/*
 * A receipt for what is not known as ours waits for the send to return, even if
 * its echo is here already: that row will go.
 */
static int
receipt_early(struct inbound *in, const char *id, const char *status)
{
	char key[EXTERNAL_MAX + 32];

	snprintf(key, sizeof(key), "receipt:%s:%s", status, id);
	return store_webhook_seen(in->st, in->ac->id, key);
}

static int
status_store(struct inbound *in, const struct channel_item *it)
{
	int64_t conversation;
	int rc = STORE_NONE, last = STORE_NONE;

	for (size_t i = 0; i < it->nids; i++) {
		if (it->ids[i] == NULL || !name_fits(it->ids[i]))
			continue;
		rc = store_delivery_receipt(
		    in->st, in->ac->id, it->ids[i], it->status);
		if (rc != STORE_FAILED && store_echo_ours(in->st, in->ac->id,
					      it->ids[i]) == STORE_NONE)
			rc = receipt_early(in, it->ids[i], it->status);
		if (rc == STORE_FAILED)
			return rc;
		last = rc;
	}
	if (it->nids > 0 || it->watermark == 0 || it->conversation == NULL)
		return last;
	rc = store_echo_thread(
	    in->st, in->ac->id, it->conversation, &conversation);
	if (rc != STORE_DONE)
		return rc;
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
		rc = store_identity(
		    in->st, in->ac->id, it->user, NULL, &customer);
	if (rc == STORE_FAILED)
		return rc;
	return store_identity_follow(
	    in->st, in->ac->id, it->user, it->follow, it->sent_at);
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
			   : store_message_edit_external(in->st, in->ac->id,
				 it->message_id, it->version, it->text,
				 it->text != NULL ? strlen(it->text) : 0);
	case CHANNEL_DELETE:
		return it->message_id == NULL
			   ? STORE_NONE
			   : store_message_delete_external(
				 in->st, in->ac->id, it->message_id);
	case CHANNEL_CONTACT:
		return contact_store(in, it);
	case CHANNEL_NOTE:
		break;
	}
	log_info("webhook event platform=%s channel=%lld what=%.64s",
	    in->ac->ch->platform, (long long)in->ac->id,
	    it->what != NULL ? it->what : "-");
	return STORE_NONE;
}

int
inbound_store(struct store *st, const struct channel_account *ac,
    const struct channel_hook *hook, const struct channel_batch *batch)
{
	struct inbound in = { .st = st, .ac = ac };
	int rc;

	if (batch->err || store_begin(st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_webhook_add(st, ac->id, hook->body, hook->len, &in.inbox);
	if (rc != STORE_DONE)
		return store_end(st, rc);
	for (size_t i = 0; i < batch->n && rc != STORE_FAILED; i++) {
		rc = item_store(&in, &batch->items[i]);
		if (rc == STORE_DONE)
			in.kept++;
		else if (rc != STORE_FAILED && rc != STORE_NONE &&
			 rc != STORE_REPEATED)
			log_warn("webhook item refused channel=%lld item=%zu"
				 " rc=%d",
			    (long long)ac->id, i, rc);
	}
	if (rc != STORE_FAILED)
		rc = store_webhook_done(
		    st, in.inbox, in.kept > 0 ? "done" : "ignored");
	if (batch->skipped > 0)
		log_info("webhook skipped platform=%s channel=%lld items=%zu",
		    ac->ch->platform, (long long)ac->id, batch->skipped);
	return store_end(st, rc == STORE_FAILED ? rc : STORE_DONE);
}

int
inbound_receipts(struct store *st, int64_t channel, const char *external_id)
{
	static const char *const statuses[] = { "delivered", "read" };
	char key[EXTERNAL_MAX + 32];
	int rc = STORE_NONE;

	for (size_t i = 0; i < 2 && rc != STORE_FAILED; i++) {
		snprintf(key, sizeof(key), "receipt:%s:%s", statuses[i],
		    external_id);
		rc = store_echo_seen(st, channel, key);
		if (rc == STORE_DONE)
			rc = store_delivery_receipt(
			    st, channel, external_id, statuses[i]);
	}
	return rc;
}
