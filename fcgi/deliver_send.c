/*
 * One delivery from its claim to its end: the window, the part of the text,
 * the request, and what its answer makes of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "clock.h"
#include "deliver_job.h"
#include "deliver_plan.h"
#include "echo.h"
#include "json.h"
#include "log.h"
#include "media_link.h"
#include "store_channel_health.h"

#define WHOLE_MAX (1 << 20) /* bytes of a text with its answers to tap */

/* --- how a delivery ends --- */

/* Store the outcome; when the store cannot just now, keep it for later. */
void
send_store(struct job *j)
{
	struct store *st = j->dl->st;
	struct delivery_end e = { .state = j->state,
		.external_id =
		    j->external_id[0] != '\0' ? j->external_id : NULL,
		.error = j->error[0] != '\0' ? j->error : NULL,
		.doubt = j->d.doubt,
		.once = j->d.once,
		.held = j->held,
		.due_at = j->due_at,
		.wait_until = j->wait_until };
	int rc = STORE_FAILED;

	if (store_begin(st) != STORE_FAILED) {
		rc = store_delivery_end(st, j->d.id, j->by, &e);
		if (rc == STORE_DONE && j->trouble[0] != '\0')
			rc = store_channel_error(st, j->channel, j->trouble);
		if (rc == STORE_DONE && j->said[0] != '\0')
			rc = echo_adopt(st, j->d.conversation, j->said);
		rc = store_end(st, rc);
	}
	if (rc == STORE_FAILED) {
		j->ending = true;
		return;
	}
	if (rc == STORE_NONE)
		log_info(
		    "delivery settled elsewhere id=%lld", (long long)j->d.id);
	job_free(j);
}

static void
end_as(struct job *j, const char *state, const char *error)
{
	snprintf(j->state, sizeof(j->state), "%s", state);
	snprintf(j->error, sizeof(j->error), "%s", error);
	log_info("delivery %s id=%lld channel=%lld try=%lld", state,
	    (long long)j->d.id, (long long)j->channel, (long long)j->d.tries);
	send_store(j);
}

/* It left, and nobody knows what became of it. */
static void
end_unknown(struct job *j, const char *words)
{
	char error[400];

	j->wait_until = clock_now_ms() + 1000 * j->dl->cf->echo_wait_s;
	snprintf(error, sizeof(error), "no answer%s%s",
	    *words != '\0' ? ": " : "", words);
	snprintf(j->trouble, sizeof(j->trouble), "%s", error);
	end_as(j, "unknown", error);
}

/* It is not tried again: failed, unless an earlier try may have arrived. */
static void
end_failed(struct job *j, const char *error)
{
	if (j->d.doubt)
		end_unknown(j, error);
	else
		end_as(j, "failed", error);
}

/* Again later, as long as there are tries left. */
void
send_again(struct job *j, int64_t wait_s, const char *reason, const char *words)
{
	int64_t ms = deliver_pause_ms(
	    j->d.tries, j->dl->cf->backoff_percent, randombytes_random());
	char error[400];

	snprintf(error, sizeof(error), "%s%s%s", reason,
	    *reason != '\0' && *words != '\0' ? ": " : "", words);
	snprintf(j->trouble, sizeof(j->trouble), "%s", error);
	if (ms == -1) {
		end_failed(j, error);
		return;
	}
	if (ms < 1000 * wait_s)
		ms = 1000 * wait_s;
	j->due_at = clock_now_ms() + ms;
	end_as(j, "queued", "");
}

/* Back into the queue as it was: the account must be mended first. */
void
send_held(struct job *j)
{
	j->held = true;
	j->due_at = clock_now_ms();
	end_as(j, "queued", "");
}

/* --- sending --- */

static const char *
member_text(struct json_object *o, const char *key)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 ? p : NULL;
}

/*
 * When the address of a file is from: the same at each try, since it is part of
 * what goes out under one key, until half of its life is over.
 */
static int64_t
link_at(const struct job *j)
{
	int64_t half = 500 * j->dl->cf->media_link_life_s;
	int64_t since = clock_now_ms() - j->d.first_at;

	return j->d.first_at + (since > 0 ? since / half * half : 0);
}

/*
 * Fill j->out with a file: ours, where it lies and an address by which a
 * platform may fetch it; another's, its address.  0, or -1 without memory, or
 * when it is gone.
 */
static int
file_fill(struct job *j, struct json_object *file)
{
	const struct conf *cf = j->dl->cf;
	struct channel_out *out = &j->out;
	const struct file_kind *k;
	struct buf b;
	int64_t id;
	int rc;

	out->mime = member_text(file, "mime");
	k = out->mime != NULL ? file_kind_find(out->mime) : NULL;
	out->kind = k != NULL ? k->group : "file";
	out->media_name = member_text(file, "name");
	if (json_get_id(file, "id", &id) != 1) {
		j->text = deliver_url(
		    cf->base_url, cf->base_path, member_text(file, "url"));
		out->media_url = j->text;
		return 0;
	}
	rc = store_media_get(j->dl->st, NULL, id, &j->file);
	j->busy = rc == STORE_FAILED;
	if (rc != STORE_DONE)
		return -1;
	buf_init(&b, FETCH_URL_MAX);
	buf_printf(&b, "%s/%s", cf->media_dir, j->file.path);
	j->path = b.err ? NULL : strdup(b.data);
	buf_reset(&b);
	if (cf->base_url[0] != '\0')
		media_link(cf, id, j->file.name, link_at(j), &b);
	if (b.len > 0 && !b.err)
		j->text = strdup(b.data);
	buf_fini(&b);
	out->media_path = j->path;
	out->media_size = j->file.size;
	out->media_url = j->text;
	return j->path != NULL ? 0 : -1;
}

/*
 * What the message says, in ${b}: its text, and behind it, as lines, the
 * answers to tap, ${*quick}, where the platform has no form for them; then that
 * is NULL.
 */
static void
text_whole(
    struct job *j, size_t units, struct json_object **quick, struct buf *b)
{
	struct channel_out last = { .kind = "file", .quick = *quick };
	const struct delivery *d = &j->d;
	struct deliver_part part = { .text = NULL };
	char *text = NULL;
	int n;

	buf_puts(b, d->content != NULL ? d->content : "");
	if (*quick == NULL || j->ac.ch->lines == NULL)
		return;
	n = deliver_part(b->data, d->attachments, units, 0, &part);
	if (n > 1)
		(void)deliver_part(
		    b->data, d->attachments, units, n - 1, &part);
	if (part.text != NULL) {
		last.kind = "text";
		last.text = text = strndup(part.text, part.len);
	}
	if (j->ac.ch->lines(&j->ac, &last)) {
		channel_quick_lines(b, *quick);
		*quick = NULL;
	}
	free(text);
}

/*
 * Fill j->out with the part that this delivery is.  How many parts the message
 * has; 0 when this one is none of them.
 */
static int
part_fill(struct job *j)
{
	struct delivery *d = &j->d;
	struct channel_out *out = &j->out;
	size_t units = j->ac.ch->text_max(&j->ac);
	struct json_object *quick = NULL;
	struct deliver_part part;
	struct buf whole;
	int n;

	out->number = d->id;
	out->uuid = d->uuid;
	out->conversation = d->conversation_external;
	out->user =
	    d->customer_external[0] != '\0' ? d->customer_external : NULL;
	out->quote = d->part == 0 && d->quote_external[0] != '\0'
			 ? d->quote_external
			 : NULL;
	out->quote_token = out->quote != NULL && d->quote_token[0] != '\0'
			       ? d->quote_token
			       : NULL;
	out->reply_token = d->reply_token[0] != '\0' ? d->reply_token : NULL;
	out->last_inbound_at = d->last_inbound_at;
	out->now_ms = clock_now_ms();
	out->tries = d->tries;
	out->by_bot = d->by_bot;
	if (d->payload != NULL &&
	    json_get_arr(d->payload, "quick_replies", &quick) != 1)
		quick = NULL;
	buf_init(&whole, WHOLE_MAX);
	text_whole(j, units, &quick, &whole);
	n = whole.err ? 0
		      : deliver_part(
			    whole.data, d->attachments, units, d->part, &part);
	if (n > 0 && part.text != NULL) {
		out->kind = "text";
		out->text = j->text = strndup(part.text, part.len);
		if (j->text == NULL)
			n = 0;
	} else if (n > 0 && file_fill(j, part.file) == -1) {
		n = 0;
	}
	if (n > 0 && d->part == n - 1)
		out->quick = quick;
	buf_fini(&whole);
	return n;
}

/*
 * Why the adapter has no request for it: a platform that fetches files needs
 * an https address, which is base_url's.
 */
static const char *
no_way(const struct job *j)
{
	const char *url = j->out.media_url;

	if (strcmp(j->out.kind, "text") != 0 &&
	    (url == NULL || strncmp(url, "https://", 8) != 0))
		return "no_address";
	return "unsupported";
}

/* How the echo of what now leaves is told, where it tells of nothing else. */
static void
said_note(struct job *j)
{
	const struct channel *ch = j->ac.ch;

	if (j->visible)
		echo_mark(j->out.kind,
		    ch->said != NULL ? ch->said(&j->ac, &j->out) : j->out.text,
		    j->said);
}

/* Start the request of the step that j->out is at. */
void
send_go(struct job *j)
{
	struct http_request rq;
	int rc;

	http_request_init(&rq, "POST");
	token_note(j);
	rc = j->ac.ch->send(&j->ac, &j->out, &rq);
	if (rq.file_path != NULL)
		rq.total_ms =
		    (long)deliver_upload_ms(j->dl->cf->platform_total_ms,
			j->dl->cf->delivery_lease_ms, j->out.media_size);
	/* What must not be sent twice; a key sees to that over there. */
	j->visible = rc == 2 || (rc == 0 && !j->ac.ch->keyed);
	j->keyed = rc == 0 && j->ac.ch->keyed;
	said_note(j);
	if (rc == -1) {
		end_as(j, "failed", no_way(j));
	} else if (job_start(j, &rq) == -1) {
		send_again(j, 0, "", "not begun");
	}
	http_request_fini(&rq);
}

void
send_done(struct job *j, const struct http_answer *an)
{
	struct channel_result rs;
	char error[400];

	j->ac.ch->answer(&j->ac, &j->out, an, &rs);
	if (rs.cls == CHANNEL_UNKNOWN && !j->visible)
		rs.cls = CHANNEL_RETRY;
	if (rs.cls == CHANNEL_RETRY && j->keyed &&
	    (an->end == HTTP_LOST ||
		(an->end == HTTP_ANSWERED &&
		    (an->status < 400 || an->status >= 500))))
		j->d.doubt = true;
	if (rs.wait_s < 0 || rs.wait_s > DELIVER_WAIT_S_MAX)
		rs.wait_s = DELIVER_WAIT_S_MAX;
	if (rs.cls != CHANNEL_SENT && rs.cls != CHANNEL_MORE)
		log_info("delivery answer id=%lld code=%s reason=%s",
		    (long long)j->d.id, rs.code, rs.reason);
	switch (rs.cls) {
	case CHANNEL_SENT:
		snprintf(j->external_id, sizeof(j->external_id), "%s",
		    rs.message_id);
		end_as(j, "sent", j->paid ? "window_paid" : "");
		return;
	case CHANNEL_MORE:
		j->out.step++;
		send_go(j);
		return;
	case CHANNEL_RETRY_BARE:
		if (!j->bared) {
			j->bared = true;
			j->out.quote = NULL;
			send_go(j);
			return;
		}
		break;
	case CHANNEL_RETRY:
		if (rs.once && j->d.once)
			break;
		j->d.once = j->d.once || rs.once;
		if (rs.hold)
			store_delivery_hold(j->dl->st, j->channel,
			    clock_now_ms() + 1000 * rs.wait_s);
		send_again(j, rs.wait_s, rs.reason, rs.message);
		return;
	case CHANNEL_REAUTH:
		if (rs.refreshable && !j->refreshed) {
			token_wait(j);
			return;
		}
		/* An admin may have set another while the answer was on its
		   way. */
		if (token_same(j))
			token_refused(j->dl, j->channel, rs.message);
		send_held(j);
		return;
	case CHANNEL_UNKNOWN:
		end_unknown(j, rs.message);
		return;
	case CHANNEL_PERMANENT:
		break;
	}
	snprintf(error, sizeof(error), "%s%s%s", rs.reason,
	    rs.message[0] != '\0' ? ": " : "", rs.message);
	snprintf(j->trouble, sizeof(j->trouble), "%s", error);
	end_as(j, "failed", error);
}

/* Begin a claimed delivery. */
void
send_begin(struct job *j)
{
	struct delivery *d = &j->d;
	/* It counts itself, unless the customer wrote in the meantime. */
	int64_t before = d->sent_since > 0 ? d->sent_since - 1 : 0;
	struct channel_reply reply;
	int n;

	if (!job_account(j)) {
		end_failed(j, "unsupported");
		return;
	}
	/* Without a key what left is marked as written: there is none. */
	d->doubt = d->doubt && j->ac.ch->keyed;
	reply = j->ac.ch->window(
	    &j->ac, d->last_inbound_at, before, clock_now_ms());
	if (reply.state == CHANNEL_WINDOW_CLOSED && !reply.asked) {
		end_failed(j, "window_closed");
		return;
	}
	j->paid = reply.state == CHANNEL_WINDOW_PAID;
	if ((n = part_fill(j)) == 0) {
		if (j->busy)
			send_again(j, 0, "", "the store is busy");
		else
			end_failed(j, "empty");
		return;
	}
	if (d->part == 0 && n > 1 &&
	    store_delivery_parts(j->dl->st, d->id, n) == STORE_FAILED) {
		send_held(j);
		return;
	}
	if (token_stale(j)) {
		token_note(j); /* any other will do, however short its life */
		token_wait(j);
	} else {
		send_go(j);
	}
}
