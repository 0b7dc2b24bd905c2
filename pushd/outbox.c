/*
 * outbox.c: what one client sends.
 *
 * A message's event may come before its answer, after it, or instead of it;
 * whichever way, the client hears of its message once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fcgirec.h"
#include "id.h"
#include "json.h"
#include "limits.h"
#include "outbox.h"

enum { LATE_MS = 60000 /* an event may be the answer for so long */ };

/* The line's own copy of whose it is, behind the body. */
struct origin {
	const char *ref, *addr;
};

static void next(struct outbox *o);

static void
item_free(struct outbox_item *m)
{
	struct outbox_item **at;

	backend_cancel(m->call);
	hub_event_unref(m->seen);
	for (at = &m->box->items; *at != m; at = &(*at)->next)
		;
	*at = m->next;
	free(m);
}

void
outbox_fini(struct outbox *o)
{
	struct outbox_item *m, *after;

	for (m = o->items; m != NULL; m = after) {
		after = m->next;
		backend_cancel(m->call);
		hub_event_unref(m->seen);
		free(m);
	}
	o->items = NULL;
	o->open = 0;
}

/* It was answered, and is not asked for again: no text of it is kept. */
static void
item_shrink(struct outbox_item *m)
{
	struct outbox_item **at, *less;

	hub_event_unref(m->seen);
	m->seen = NULL;
	for (at = &m->box->items; *at != m; at = &(*at)->next)
		;
	m->body_len = 0;
	m->body[0] = m->body[1] = '\0'; /* whose it is goes along */
	less = realloc(m, sizeof(*m) + 2);
	if (less != NULL)
		*at = less;
}

static struct json_object *
parse(const char *p, size_t len)
{
	struct json_object *o = NULL;
	const char *why;

	if (json_parse(p, len, JSON_DEPTH_MAX, 1000000, EVENT_LINE_MAX, &o,
		&why) == -1)
		return NULL;
	return o;
}

/*
 * Whether the message's event does not come by any more.  Who catches up may
 * meet it twice: among all that it missed, and in the conversation it joins.
 */
static int
has_passed(const struct outbox *o, const struct outbox_item *m)
{
	return !o->ops->behind(o->arg) && m->event_id <= o->hub->head;
}

/* Tell it from the event, which proves it as well as an answer. */
static int
stored_by(struct outbox_item *m, const struct event *e)
{
	struct json_object *data = parse(e->data, e->data_len);

	if (data == NULL)
		return 0;
	m->box->ops->stored(m->box->arg, m, data, e->id);
	json_object_put(data);
	return 1;
}

/* The answer to a message: its acknowledgement. */
static void
message_answer(struct outbox_item *m, const struct backend_answer *a)
{
	struct outbox *o = m->box;
	struct json_object *message;
	const char *v;
	int n;

	if (a->status == 200 || a->status == 201) {
		n = fcgirec_field(a->head, a->head_len, "X-Event-Id", &v);
		m->event_id = n > 0 ? id_parse(v, (size_t)n) : 0;
		message = parse(a->body, a->body_len);
		if (message != NULL)
			o->ops->stored(o->arg, m, message, m->event_id);
		json_object_put(message);
	} else if (m->seen == NULL || !stored_by(m, m->seen->e)) {
		o->ops->refused(o->arg, m, a);
		if (a->status == 0 || a->status >= 500) {
			m->state = OUTBOX_LOST;
			/* That was its answer: what may follow is news. */
			m->about.tag = -1;
		}
	}
	if (m->state == OUTBOX_DONE && has_passed(o, m))
		item_free(m);
	else
		item_shrink(m);
}

static void
on_answer(void *arg, const struct backend_answer *a)
{
	struct outbox_item *m = arg;
	struct outbox *o = m->box;

	m->call = NULL;
	m->state = OUTBOX_DONE;
	m->since_ms = clock_mono_ms();
	o->open--;
	if (m->client_id[0] != '\0') {
		message_answer(m, a);
	} else {
		if ((a->status < 200 || a->status > 299) &&
		    (a->status != 429 || !m->drops))
			o->ops->refused(o->arg, m, a);
		else
			o->ops->done(o->arg, m);
		item_free(m);
	}
	next(o);
	o->ops->answered(o->arg);
}

/* The oldest that waits goes out, if none is out. */
static void
next(struct outbox *o)
{
	struct backend_answer busy = { .why = "busy" };
	struct outbox_item *m, *after;
	struct origin from;

	for (m = o->items; m != NULL; m = after) {
		after = m->next;
		if (m->state == OUTBOX_ASKED)
			return;
		if (m->state != OUTBOX_WAITS)
			continue;
		m->state = OUTBOX_ASKED;
		from.ref = m->body + m->body_len;
		from.addr = from.ref + strlen(from.ref) + 1;
		m->call = backend_call(o->backend, BACKEND_SEND, m->method,
		    m->path, from.ref, from.addr, m->body, m->body_len,
		    on_answer, m);
		if (m->call != NULL)
			return;
		o->open--;
		o->ops->refused(o->arg, m, &busy);
		item_free(m);
	}
}

int
outbox_add(struct outbox *o, const char *ref, const char *addr,
    const struct outbox_ask *q, const struct buf *body)
{
	size_t rlen = strlen(ref) + 1, alen = strlen(addr) + 1;
	struct outbox_item *m, **at;

	m = calloc(1, sizeof(*m) + body->len + rlen + alen);
	if (m == NULL)
		return -1;
	m->box = o;
	m->about = *q->about;
	m->heard = q->heard;
	m->drops = q->drops;
	m->method = q->method;
	snprintf(m->path, sizeof(m->path), "%s", q->path);
	if (q->client_id != NULL)
		snprintf(
		    m->client_id, sizeof(m->client_id), "%s", q->client_id);
	if (q->conversation != NULL) {
		snprintf(m->conversation, sizeof(m->conversation), "%s",
		    q->conversation);
		if (m->about.has_name == 0)
			memcpy(m->about.name, m->conversation,
			    sizeof(m->about.name));
	}
	memcpy(m->body, body->data, body->len);
	m->body_len = body->len;
	memcpy(m->body + m->body_len, ref, rlen);
	memcpy(m->body + m->body_len + rlen, addr, alen);
	outbox_forget(o);
	for (at = &o->items; *at != NULL; at = &(*at)->next)
		;
	*at = m;
	o->open++;
	next(o);
	return 0;
}

static int
is_text(struct json_object *o, const char *key, const char *text)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 && len == strlen(text) &&
	       memcmp(p, text, len) == 0;
}

struct outbox_item *
outbox_own(
    struct outbox *o, const struct event *e, const char *id, const char *kind)
{
	struct json_object *data, *sender = NULL;
	struct outbox_item *m = NULL;

	if (o->items == NULL || strcmp(e->type, "new_message") != 0)
		return NULL;
	data = parse(e->data, e->data_len);
	if (data != NULL && json_get_obj(data, "sender", &sender) == 1 &&
	    is_text(sender, "id", id) && is_text(sender, "kind", kind))
		for (m = o->items; m != NULL; m = m->next)
			if (m->client_id[0] != '\0' &&
			    is_text(data, "client_id", m->client_id))
				break;
	json_object_put(data);
	return m;
}

void
outbox_seen(struct outbox *o, struct outbox_item *m, struct hub_event *he)
{
	if (m->seen == NULL && m->state < OUTBOX_DONE) {
		he->refs++;
		m->seen = he;
	}
	if (m->state == OUTBOX_LOST) {
		stored_by(m, he->e);
		m->state = OUTBOX_DONE;
	}
	if (m->state == OUTBOX_DONE && has_passed(o, m))
		item_free(m);
}

void
outbox_forget(struct outbox *o)
{
	struct outbox_item *m, *after;
	int64_t now = clock_mono_ms();

	for (m = o->items; m != NULL; m = after) {
		after = m->next;
		if ((m->state == OUTBOX_DONE && has_passed(o, m)) ||
		    (m->state == OUTBOX_LOST && now - m->since_ms > LATE_MS))
			item_free(m);
	}
}

/* --- from one pushd to the next --- */

static const char *const methods[] = { "POST", "PUT", "PATCH", "DELETE" };

enum { METHODS = sizeof(methods) / sizeof(*methods) };

void
about_carry(const struct about *a, struct buf *b)
{
	carry_int(b, a->tag);
	carry_int(b, a->has_name);
	carry_int(b, a->has_client_id);
	carry_int(b, a->by_line);
	carry_text(b, a->name);
	carry_text(b, a->client_id);
}

/* A text into ${out} of ${size} bytes. */
static void
copy(struct carry_in *in, char *out, size_t size)
{
	const char *s = carry_get_text(in, size);

	if (s == NULL)
		in->bad = 1;
	else
		memcpy(out, s, strlen(s) + 1);
}

void
about_adopt(struct about *a, struct carry_in *in)
{
	memset(a, 0, sizeof(*a));
	a->tag = carry_get_int(in, INT8_MIN, INT64_MAX);
	a->has_name = (int)carry_get_int(in, -1, 1);
	a->has_client_id = (int)carry_get_int(in, -1, 1);
	a->by_line = (int)carry_get_int(in, 0, 1);
	copy(in, a->name, sizeof(a->name));
	copy(in, a->client_id, sizeof(a->client_id));
}

static unsigned
method_of(const struct outbox_item *m)
{
	unsigned i = 0;

	while (i < METHODS && strcmp(methods[i], m->method) != 0)
		i++;
	return i;
}

void
outbox_carry(const struct outbox *o, struct buf *b)
{
	const struct outbox_item *m;

	for (m = o->items; m != NULL; m = m->next) {
		carry_num(b, 1);
		/* Whoever was asked is asked again: the same comes of it. */
		carry_num(
		    b, m->state == OUTBOX_ASKED ? OUTBOX_WAITS : m->state);
		carry_int(b, m->event_id);
		carry_int(b, m->since_ms);
		carry_int(b, m->seen != NULL ? m->seen->e->id : 0);
		carry_num(b, m->heard != 0);
		carry_num(b, m->drops != 0);
		carry_num(b, method_of(m));
		about_carry(&m->about, b);
		carry_text(b, m->path);
		carry_text(b, m->client_id);
		carry_text(b, m->conversation);
		carry_bytes(b, m->body, m->body_len);
		carry_text(b, m->body + m->body_len);
		carry_text(b,
		    m->body + m->body_len + strlen(m->body + m->body_len) + 1);
	}
	carry_num(b, 0);
}

/* What stands before an item's body. */
static void
item_adopt(struct outbox_item *m, struct carry_in *in, const struct hub *h)
{
	struct hub_event *he;
	int64_t seen;
	unsigned method;

	m->state = (enum outbox_state)carry_get_num(in, OUTBOX_LOST);
	m->event_id = carry_get_int(in, -1, CURSOR_MAX);
	m->since_ms = carry_get_int(in, 0, INT64_MAX);
	seen = carry_get_int(in, 0, CURSOR_MAX);
	m->heard = (int)carry_get_num(in, 1);
	m->drops = (int)carry_get_num(in, 1);
	method = (unsigned)carry_get_num(in, METHODS - 1);
	m->method = methods[method];
	about_adopt(&m->about, in);
	copy(in, m->path, sizeof(m->path));
	copy(in, m->client_id, sizeof(m->client_id));
	copy(in, m->conversation, sizeof(m->conversation));
	if (m->state == OUTBOX_ASKED)
		in->bad = 1;
	he = seen > 0 && !in->bad ? hub_after(h, seen - 1) : NULL;
	if (he != NULL && he->e->id == seen) {
		he->refs++;
		m->seen = he;
	}
}

/* Returns the new item; NULL if it is malformed. */
static struct outbox_item *
adopt_one(struct outbox *o, struct carry_in *in)
{
	struct outbox_item head = { .box = o }, *m;
	const char *body, *ref, *addr;
	size_t len, rlen, alen;

	item_adopt(&head, in, o->hub);
	body = carry_get_bytes(in, &len, BODY_BYTES_MAX);
	ref = carry_get_text(in, REF_BYTES_MAX);
	addr = carry_get_text(in, 256);
	if (in->bad || ref == NULL || addr == NULL) {
		hub_event_unref(head.seen);
		return NULL;
	}
	rlen = strlen(ref) + 1;
	alen = strlen(addr) + 1;
	m = malloc(sizeof(*m) + len + rlen + alen);
	if (m == NULL) {
		hub_event_unref(head.seen);
		return NULL;
	}
	*m = head;
	m->body_len = len;
	memcpy(m->body, body, len);
	memcpy(m->body + len, ref, rlen);
	memcpy(m->body + len + rlen, addr, alen);
	return m;
}

int
outbox_adopt(struct outbox *o, struct carry_in *in)
{
	struct outbox_item **at = &o->items;

	while (carry_get_num(in, 1)) {
		*at = adopt_one(o, in);
		if (*at == NULL)
			return -1;
		o->open += (*at)->state == OUTBOX_WAITS;
		at = &(*at)->next;
	}
	return in->bad ? -1 : 0;
}

void
outbox_go(struct outbox *o)
{
	next(o);
}
