/*
 * live_send.c: what a socket client sends: messages, typing, what it has read.
 *
 * Each is the ordinary request to api.fcgi, and the answer its
 * acknowledgement.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "clock.h"
#include "fcgirec.h"
#include "id.h"
#include "json.h"
#include "limits.h"
#include "live_work.h"

/* Into the line of requests: ${what} of the conversation ${id}. */
static void
ask(struct live *v, const struct outbox_ask *q, const struct buf *body)
{
	if (outbox_add(&v->work->outbox, v->use.ident->ref, v->host->addr(v), q,
		body) == -1)
		live_close(v, 1011, "memory");
}

/* The object, to ${q}->path.  Takes ${body}. */
static void
pass_on(struct live *v, struct outbox_ask *q, struct json_object *body)
{
	struct buf b;

	buf_init(&b, 65536);
	json_write(body, &b);
	json_object_put(body);
	ask(v, q, &b);
	buf_fini(&b);
}

/* POST the object to ${what} of the conversation.  Takes ${body}. */
static void
pass_on_in(struct live *v, struct outbox_ask q, const char *id,
    const char *what, struct json_object *body)
{
	char path[OUTBOX_PATH_MAX];

	snprintf(path, sizeof(path), "/api/conversations/%s/%s", id, what);
	q.method = "POST";
	q.path = path;
	q.conversation = id;
	pass_on(v, &q, body);
}

/* --- typing --- */

static struct live_typed **
typed_find(struct live *v, const char *id)
{
	struct live_typed **at = &v->work->typed;

	while (*at != NULL && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

static void
typed_drop(struct live_typed **at)
{
	struct live_typed *t = *at;

	*at = t->next;
	free(t);
}

void
live_typed_old(struct live *v)
{
	int64_t since = clock_mono_ms() - live_push(v)->typing.life_ms;
	struct live_typed **at = &v->work->typed;

	while (*at != NULL)
		if ((*at)->at_ms <= since)
			typed_drop(at);
		else
			at = &(*at)->next;
}

static void
say_typing(struct live *v, const struct about *a, const char *id, int typing)
{
	struct json_object *body = json_object_new_object();
	struct outbox_ask q = { .about = a, .drops = 1 };

	json_put_bool(body, "typing", typing);
	pass_on_in(v, q, id, "typing", body);
}

void
live_typed_end(struct live *v, const char *id)
{
	static const struct about nobody = { .tag = -1 };
	struct live_typed **at;

	live_typed_old(v);
	at = typed_find(v, id);
	if (*at == NULL)
		return;
	typed_drop(at);
	say_typing(v, &nobody, id, 0);
}

void
live_typed_fini(struct live *v)
{
	struct push *p = live_push(v);

	live_typed_old(v);
	while (v->work->typed != NULL) {
		typing_end(&p->typing, v->work->typed->id,
		    v->sub.form == HUB_CUSTOMER ? "customer" : "agent",
		    v->use.ident->person->id);
		typed_drop(&v->work->typed);
	}
}

/* 1 to pass it on, 0 not to, -1 without memory. */
static int
typed_note(struct live *v, const char *id, int typing)
{
	struct live_typed **at, *t;
	int64_t now = clock_mono_ms();

	live_typed_old(v);
	at = typed_find(v, id);
	t = *at;
	if (!typing) {
		if (t != NULL)
			typed_drop(at);
		return t != NULL;
	}
	if (t != NULL && !v->unlimited &&
	    now - t->at_ms < 1000 / live_push(v)->cf.typing_rate_max)
		return 0; /* once a second is enough */
	if (t == NULL) {
		t = calloc(1, sizeof(*t));
		if (t == NULL)
			return -1;
		memcpy(t->id, id, strlen(id) + 1);
		t->next = v->work->typed;
		v->work->typed = t;
	}
	t->at_ms = now;
	return 1;
}

void
live_typing(struct live *v, const struct about *a, int typing)
{
	char id[OUTBOX_ID_MAX];

	if (!live_ready(v, a) || !live_named(v, a, 1, id))
		return;
	switch (typed_note(v, id, typing)) {
	case 1:
		say_typing(v, a, id, typing);
		break;
	case 0:
		v->host->words->done(v, a);
		break;
	default:
		live_close(v, 1011, "memory");
	}
}

/* Up to a message of whatever conversation. */
static void
read_to(struct live *v, const struct about *a, const char *message)
{
	struct outbox_ask q = { .about = a, .method = "POST" };
	char path[OUTBOX_PATH_MAX];

	snprintf(path, sizeof(path), "/api/messages/%s/read", message);
	q.path = path;
	pass_on(v, &q, json_object_new_object());
}

void
live_read(struct live *v, const struct about *a, const char *message)
{
	struct outbox_ask q = { .about = a };
	struct json_object *body;
	char id[OUTBOX_ID_MAX];

	if (!live_ready(v, a))
		return;
	if (message == NULL || message[0] == '\0') {
		live_error(v, a, "bad_request", "Name the message", 0);
	} else if (a->has_name == 0) {
		if (id_parse(message, strlen(message)) > 0)
			read_to(v, a, message);
		else
			live_error(
			    v, a, "not_found", "There is no such message", 0);
	} else if (live_named(v, a, 0, id)) {
		body = json_object_new_object();
		json_put_str(body, "message_id", message);
		pass_on_in(v, q, id, "read", body);
	}
}

void
live_status(struct live *v, const struct about *a, const char *status)
{
	struct outbox_ask q = {
		.about = a, .method = "PATCH", .path = "/api/me"
	};
	struct json_object *body;

	if (!live_ready(v, a))
		return;
	body = json_object_new_object();
	json_put_str(body, "status", status);
	pass_on(v, &q, body);
}

/* --- messages --- */

/* The body of the request, from what the client may say of a message. */
static int
send_body(struct buf *b, struct json_object *o, const char *client_id, int note)
{
	static const char *const as_is[] = { "kind", "attachments", "reply_to",
		"seen" };
	struct json_object *body, *v;
	const char *content = "";
	size_t len = 0, i;
	int rc;

	rc = json_get_str(o, "content", &content, &len);
	if (rc == 0)
		rc = json_get_str(o, "text", &content, &len);
	if (rc == -1)
		return -1;
	body = json_object_new_object();
	json_put_strn(body, "content", content, len);
	json_put_str(body, "client_id", client_id);
	for (i = 0; i < sizeof(as_is) / sizeof(*as_is); i++)
		if (json_object_object_get_ex(o, as_is[i], &v) && v != NULL)
			json_put(body, as_is[i], json_object_get(v));
	if (json_object_object_get_ex(o, "replyTo", &v) && v != NULL)
		json_put(body, "reply_to", json_object_get(v));
	if (note)
		json_put_str(body, "type", "note");
	json_write(body, b);
	json_object_put(body);
	return b->err ? -1 : 0;
}

/* Whether the client's own id of its message will do. */
static int
client_id_ok(struct live *v, const struct about *a)
{
	const struct about nameless = { .tag = a->tag };

	if (a->has_client_id == 0 ||
	    (a->has_client_id == 1 && (int64_t)strlen(a->client_id) <=
					  live_push(v)->cf.client_id_bytes_max))
		return 1;
	live_error(v, &nameless, "invalid", "The message's id is too long", 0);
	return 0;
}

/* POST the message ${o} to ${q}.path. */
static void
post(struct live *v, struct outbox_ask q, struct json_object *o, int note)
{
	const struct about *a = q.about;
	char client_id[OUTBOX_CLIENT_ID_MAX] = "pushd-";
	unsigned char random[12];
	struct buf b;

	if (a->has_client_id == 1) {
		q.client_id = a->client_id;
	} else {
		randombytes_buf(random, sizeof(random));
		sodium_bin2hex(client_id + 6, sizeof(client_id) - 6, random,
		    sizeof(random));
		q.client_id = client_id;
	}
	q.method = "POST";
	buf_init(&b, BODY_BYTES_MAX);
	if (send_body(&b, o, q.client_id, note) == -1)
		live_error(v, a, "invalid", "A message's content is a text", 0);
	else
		ask(v, &q, &b);
	buf_fini(&b);
}

void
live_send(struct live *v, const struct about *a, struct json_object *o,
    int note, int heard)
{
	struct outbox_ask q = { .about = a, .heard = heard };
	char path[OUTBOX_PATH_MAX], id[OUTBOX_ID_MAX];
	struct live_typed **at;

	if (!live_ready(v, a) || !client_id_ok(v, a) ||
	    !live_named(v, a, 1, id))
		return;
	at = typed_find(v, id);
	if (*at != NULL)
		typed_drop(at); /* the message ends it */
	snprintf(path, sizeof(path), "/api/conversations/%s/messages", id);
	q.path = path;
	q.conversation = id;
	post(v, q, o, note);
}

void
live_send_to(struct live *v, const struct about *a, struct json_object *o,
    const char *to)
{
	struct outbox_ask q = { .about = a };
	char path[OUTBOX_PATH_MAX];

	if (!live_ready(v, a) || !client_id_ok(v, a))
		return;
	if (id_parse(to, strlen(to)) <= 0) {
		live_error(v, a, "not_found", "There is nobody of that id", 0);
		return;
	}
	snprintf(path, sizeof(path), "/api/users/%s/messages", to);
	q.path = path;
	post(v, q, o, 0);
}

/* --- the answers --- */

static void
on_refused(
    void *arg, const struct outbox_item *m, const struct backend_answer *a)
{
	struct json_object *o = NULL;
	char code[64] = "busy", error[256] = "Try again in a moment";
	const char *why, *value;
	int64_t retry = a->status == 0 ? 2 : 0;
	size_t len;
	int n = -1;

	if (a->status != 0) {
		if (json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 10000,
			65536, &o, &why) == 0) {
			if (json_get_str(o, "code", &value, &len) == 1)
				snprintf(code, sizeof(code), "%s", value);
			if (json_get_str(o, "error", &value, &len) == 1)
				snprintf(error, sizeof(error), "%s", value);
		}
		json_object_put(o);
		n = fcgirec_field(a->head, a->head_len, "Retry-After", &value);
	}
	if (n > 0)
		retry = id_parse(value, (size_t)n);
	live_error(arg, &m->about, code, error, (int)retry);
}

static void
on_done(void *arg, const struct outbox_item *m)
{
	struct live *v = arg;

	v->host->words->done(v, &m->about);
}

/* Whether events up to the hub's head are still on their way to the client. */
static int
is_behind(void *arg)
{
	const struct live *v = arg;

	return !v->sub.live || v->sub.held || v->work->joins != NULL;
}

static void
on_stored(void *arg, const struct outbox_item *m, struct json_object *message,
    int64_t event_id)
{
	struct live *v = arg;
	int64_t id = 0;

	/*
	 * The answer stands for the event, and has the event's id, where that
	 * comes in the order of the log; where the log is not so far here, or
	 * is farther, or the client has older ones still to get, an id would
	 * make the client's cursor wrong.
	 */
	if (!v->all && !m->heard && !is_behind(v) && event_id > v->sent_id &&
	    event_id <= live_push(v)->hub.head)
		id = event_id;
	v->host->words->stored(v, m, message, event_id, id);
}

static void
on_answered(void *arg)
{
	struct live *v = arg;

	v->host->answered(v);
}

const struct outbox_ops live_outbox_ops = { on_stored, on_refused, on_done,
	on_answered, is_behind };

/* --- from one pushd to the next --- */

void
live_typed_carry(const struct live *v, struct buf *b)
{
	const struct live_typed *t = v->work ? v->work->typed : NULL;

	for (; t != NULL; t = t->next) {
		carry_num(b, 1);
		carry_text(b, t->id);
		carry_int(b, t->at_ms);
	}
	carry_num(b, 0);
}

int
live_typed_adopt(struct live *v, struct carry_in *in)
{
	struct live_typed *t;
	const char *id;

	while (carry_get_num(in, 1)) {
		id = carry_get_text(in, sizeof(t->id));
		if (id == NULL || live_work(v) == NULL)
			return -1;
		t = calloc(1, sizeof(*t));
		if (t == NULL)
			return -1;
		memcpy(t->id, id, strlen(id) + 1);
		t->at_ms = carry_get_int(in, 0, INT64_MAX);
		t->next = v->work->typed;
		v->work->typed = t;
	}
	return in->bad ? -1 : 0;
}
