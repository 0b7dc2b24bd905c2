/*
 * typing.c: the end of typing.
 *
 * All signals live equally long, so those waiting stand in the order of their
 * ends and one timer does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "limits.h"
#include "log.h"
#include "typing.h"

enum { ENTRIES_MAX = 20000, KEY_MAX = 200 };

struct typing_one {
	struct typing_one *prev, *next;
	struct event *e; /* the newest signal */
	int64_t ends_ms; /* monotonic */
	size_t key_len;
	char key[];
};

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

/* "conversation kind person" into ${key}; its length, or 0. */
static size_t
make_key(char key[KEY_MAX], struct json_object *o, struct json_object *who,
    const char *id_name)
{
	const char *c, *k, *id;
	size_t clen, klen, ilen;
	int n;

	if (json_get_str(o, "conversation_id", &c, &clen) != 1 ||
	    json_get_str(who, "kind", &k, &klen) != 1 ||
	    json_get_str(who, id_name, &id, &ilen) != 1 || clen > 60 ||
	    klen > 20 || ilen > 60)
		return 0;
	n = snprintf(key, KEY_MAX, "%s %s %s", c, k, id);
	return n > 0 && n < KEY_MAX ? (size_t)n : 0;
}

static void
line_take(struct typing *t, struct typing_one *o)
{
	if (o->prev != NULL)
		o->prev->next = o->next;
	else
		t->first = o->next;
	if (o->next != NULL)
		o->next->prev = o->prev;
	else
		t->last = o->prev;
	o->prev = o->next = NULL;
}

/* It ends last of all. */
static void
line_add(struct typing *t, struct typing_one *o, int64_t ends_ms)
{
	o->ends_ms = ends_ms;
	o->next = NULL;
	o->prev = t->last;
	if (o->prev != NULL)
		o->prev->next = o;
	else
		t->first = o;
	t->last = o;
}

static void
drop(struct typing *t, struct typing_one *o)
{
	line_take(t, o);
	table_del(&t->all, o->key, o->key_len);
	event_free(o->e);
	free(o);
}

/* The same data with typing false, as text; "" if it cannot be. */
static void
ended_data(struct buf *b, const char *p, size_t len)
{
	struct json_object *o = parse(p, len);

	buf_init(b, EVENT_LINE_MAX);
	if (json_object_is_type(o, json_type_object)) {
		json_put_bool(o, "typing", false);
		json_write(o, b);
	}
	json_object_put(o);
}

/* Say that it has ended, and forget it. */
static void
end(struct typing *t, struct typing_one *o)
{
	struct event e = *o->e, *made = NULL;
	struct buf data, public, line;

	ended_data(&data, e.data, e.data_len);
	ended_data(
	    &public, e.public ? e.public : "0", e.public ? e.public_len : 1);
	buf_init(&line, EVENT_LINE_MAX);
	e.data = data.data;
	e.data_len = data.len;
	if (e.public != NULL) {
		e.public = public.data;
		e.public_len = public.len;
	}
	event_encode(&e, &line);
	if (data.len == 0 || data.err || public.err || line.err ||
	    event_parse(line.data, line.len, &made) != 1) {
		log_error("typing end why=malformed");
		made = NULL;
	}
	buf_fini(&data);
	buf_fini(&public);
	buf_fini(&line);
	drop(t, o);
	if (made != NULL)
		t->publish(t->arg, made);
}

static void
timer_set(struct typing *t)
{
	int64_t wait;

	ev_timer_stop(t->loop, &t->timer);
	if (t->first == NULL)
		return;
	wait = t->first->ends_ms - clock_mono_ms();
	ev_timer_set(&t->timer, wait > 0 ? (double)wait / 1000. : 0., 0.);
	ev_timer_start(t->loop, &t->timer);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct typing *t = w->data;
	int64_t now = clock_mono_ms();

	(void)loop;
	(void)revents;
	while (t->first != NULL && t->first->ends_ms <= now)
		end(t, t->first);
	timer_set(t);
}

void
typing_init(struct typing *t, struct ev_loop *loop, int life_ms,
    void (*publish)(void *arg, struct event *e), void *arg)
{
	memset(t, 0, sizeof(*t));
	t->loop = loop;
	t->life_ms = life_ms;
	t->publish = publish;
	t->arg = arg;
	ev_init(&t->timer, on_timer);
	t->timer.data = t;
}

void
typing_fini(struct typing *t)
{
	if (t->loop == NULL)
		return;
	ev_timer_stop(t->loop, &t->timer);
	while (t->first != NULL)
		drop(t, t->first);
	table_fini(&t->all);
}

/* Somebody who types; NULL: too many do, or there is no memory. */
static struct typing_one *
one_new(struct typing *t, const char *key, size_t len, int64_t ends_ms)
{
	struct typing_one *o = NULL;

	if (t->all.used < ENTRIES_MAX)
		o = calloc(1, sizeof(*o) + len + 1);
	if (o == NULL)
		return NULL;
	memcpy(o->key, key, len);
	o->key_len = len;
	if (table_put(&t->all, o->key, len, o) == -1) {
		free(o);
		return NULL;
	}
	line_add(t, o, ends_ms);
	return o;
}

void
typing_signal(struct typing *t, struct event *e)
{
	struct json_object *data = parse(e->data, e->data_len);
	struct event *copy = NULL;
	struct typing_one *o;
	int64_t ends_ms = clock_mono_ms() + t->life_ms;
	char key[KEY_MAX];
	bool typing = false;
	struct buf line;
	size_t len;

	len = data ? make_key(key, data, data, "user_id") : 0;
	if (len == 0 || json_get_bool(data, "typing", &typing) != 1) {
		log_warn("typing signal why=malformed");
		json_object_put(data);
		event_free(e);
		return;
	}
	json_object_put(data);
	o = table_get(&t->all, key, len);
	if (!typing) {
		if (o != NULL) {
			drop(t, o);
			t->publish(t->arg, e);
		} else {
			event_free(e);
		}
		timer_set(t);
		return;
	}
	if (o == NULL)
		o = one_new(t, key, len, ends_ms);
	buf_init(&line, EVENT_LINE_MAX);
	event_encode(e, &line);
	if (o == NULL || line.err ||
	    event_parse(line.data, line.len, &copy) != 1) {
		/* One that could not be ended is not begun. */
		buf_fini(&line);
		if (o != NULL && o->e == NULL)
			drop(t, o);
		event_free(e);
		return;
	}
	buf_fini(&line);
	event_free(o->e);
	o->e = copy;
	line_take(t, o);
	line_add(t, o, ends_ms);
	timer_set(t);
	t->publish(t->arg, e);
}

void
typing_message(struct typing *t, const struct event *e)
{
	struct json_object *data, *sender = NULL;
	struct typing_one *o = NULL;
	char key[KEY_MAX];
	size_t len = 0;

	if (t->all.used == 0)
		return;
	data = parse(e->data, e->data_len);
	if (data != NULL && json_get_obj(data, "sender", &sender) == 1)
		len = make_key(key, data, sender, "id");
	json_object_put(data);
	if (len > 0)
		o = table_get(&t->all, key, len);
	if (o != NULL) {
		end(t, o);
		timer_set(t);
	}
}

void
typing_end(struct typing *t, const char *conversation, const char *kind,
    const char *id)
{
	struct typing_one *o = NULL;
	char key[KEY_MAX];
	int n;

	n = snprintf(key, sizeof(key), "%s %s %s", conversation, kind, id);
	if (n > 0 && n < KEY_MAX)
		o = table_get(&t->all, key, (size_t)n);
	if (o == NULL)
		return;
	end(t, o);
	timer_set(t);
}

void
typing_carry(const struct typing *t,
    void (*each)(void *arg, const struct buf *one), void *arg)
{
	const struct typing_one *o;
	struct buf b, line;

	buf_init(&b, EVENT_LINE_MAX * 2);
	buf_init(&line, EVENT_LINE_MAX);
	for (o = t->first; o != NULL; o = o->next) {
		buf_reset(&b);
		buf_reset(&line);
		event_encode(o->e, &line);
		carry_bytes(&b, o->key, o->key_len);
		carry_int(&b, o->ends_ms);
		carry_bytes(&b, line.data, line.len);
		if (!line.err)
			each(arg, &b);
	}
	buf_fini(&line);
	buf_fini(&b);
}

int
typing_adopt(struct typing *t, struct carry_in *in)
{
	size_t key_len, len;
	const char *key = carry_get_bytes(in, &key_len, KEY_MAX);
	int64_t ends_ms = carry_get_int(in, 0, INT64_MAX);
	const char *line = carry_get_bytes(in, &len, EVENT_LINE_MAX);
	struct event *e = NULL;
	struct typing_one *o;

	if (carry_end(in) == -1 || key_len == 0 ||
	    table_get(&t->all, key, key_len) != NULL ||
	    event_parse(line, len, &e) != 1)
		return -1;
	o = one_new(t, key, key_len, ends_ms);
	if (o == NULL) {
		event_free(e);
		return -1;
	}
	o->e = e;
	timer_set(t);
	return 0;
}
