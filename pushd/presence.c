/*
 * presence.c: who is here, told to api.fcgi in batches.
 *
 * An account is an entry here from its first connection until "offline" has
 * been taken in.  What was not taken in is told again.  Who was connected to a
 * pushd that ended without a word has no entry: api.fcgi is told that we began,
 * and, when those who live have come back, that the others are gone.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "limits.h"
#include "log.h"
#include "presence.h"

enum {
	AGAIN_MS = 1000,
	RETURN_TIMES = 12, /* of the grace: clients wait before they try */
	NEWS_BYTES_MAX = 65536
};

struct presence_one {
	struct presence_one *next_dirty;
	struct presence_one *prev, *next; /* in the line of those in grace */
	long long due;                    /* end of the grace */
	char *ref;
	signed char want, told, asked; /* 1 online, 0 offline, -1 neither */
	char in_dirty, in_grace;
	char account[];
};

static void
dirty_add(struct presence *p, struct presence_one *o)
{
	if (o->in_dirty || o->asked != -1 || o->want == o->told)
		return;
	o->in_dirty = 1;
	o->next_dirty = NULL;
	*p->dirty_end = o;
	p->dirty_end = &o->next_dirty;
}

static void
grace_take(struct presence *p, struct presence_one *o)
{
	if (!o->in_grace)
		return;
	if (o->prev != NULL)
		o->prev->next = o->next;
	else
		p->grace = o->next;
	if (o->next != NULL)
		o->next->prev = o->prev;
	else
		p->grace_last = o->prev;
	o->in_grace = 0;
}

/* Into the line of those in grace, by time. */
static void
grace_add(struct presence *p, struct presence_one *o, long long due)
{
	struct presence_one *before = p->grace_last;

	while (before != NULL && before->due > due)
		before = before->prev;
	o->due = due;
	o->in_grace = 1;
	o->prev = before;
	o->next = before ? before->next : p->grace;
	if (o->prev != NULL)
		o->prev->next = o;
	else
		p->grace = o;
	if (o->next != NULL)
		o->next->prev = o;
	else
		p->grace_last = o;
}

static void
drop(struct presence *p, struct presence_one *o)
{
	grace_take(p, o);
	table_del(&p->all, o->account, strlen(o->account));
	free(o->ref);
	free(o);
}

static void
on_answer(void *arg, const struct backend_answer *a)
{
	struct presence *p = arg;
	int good = a->status >= 200 && a->status < 300;
	struct presence_one *o;
	size_t i;

	p->call = NULL;
	if (!good) {
		log_warn("presence status=%d", a->status);
		p->wait_until = clock_mono_ms() + AGAIN_MS;
	}
	for (i = 0; i < p->nasked; i++) {
		o = p->asked[i];
		if (good || (a->status >= 400 && a->status < 500))
			o->told = o->asked;
		o->asked = -1;
		if (o->want == 0 && o->told != 1)
			drop(p, o);
		else
			dirty_add(p, o);
	}
	p->nasked = 0;
}

/* POST it; 0, or -1 if that cannot be.  Takes ${root}. */
static int
post(struct presence *p, struct json_object *root, backend_fn *fn)
{
	struct buf b;

	buf_init(&b, NEWS_BYTES_MAX);
	json_write(root, &b);
	json_object_put(root);
	if (!b.err)
		p->call = backend_call(p->backend, BACKEND_WHO, "POST",
		    "/internal/presence", NULL, NULL, b.data, b.len, fn, p);
	buf_fini(&b);
	return p->call == NULL ? -1 : 0;
}

/* --- those of before us --- */

static void
wait_for_others(struct presence *p)
{
	p->others = PRESENCE_RETURNS;
	p->return_until =
	    clock_mono_ms() + (long long)RETURN_TIMES * p->grace_ms;
}

static void
on_others(void *arg, const struct backend_answer *a)
{
	struct presence *p = arg;
	struct json_object *root = NULL;
	bool more = false;
	const char *why;

	p->call = NULL;
	if (a->status == 0 || a->status >= 500) {
		log_warn("presence status=%d", a->status);
		p->wait_until = clock_mono_ms() + AGAIN_MS;
		return;
	}
	if (p->others == PRESENCE_BEGIN) {
		wait_for_others(p);
		return;
	}
	if (json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 1000,
		NEWS_BYTES_MAX, &root, &why) == 0)
		json_get_bool(root, "more", &more);
	json_object_put(root);
	if (!more)
		p->others = PRESENCE_NONE;
}

static void
tell_of_others(struct presence *p)
{
	struct json_object *root = json_object_new_object();

	json_put(root, "items", json_object_new_array());
	if (p->others == PRESENCE_BEGIN)
		json_put_int(root, "began", p->began_ms);
	else
		json_put_bool(root, "settled", true);
	if (post(p, root, on_others) == -1)
		on_others(p, &(struct backend_answer){ .why = "memory" });
}

void
presence_begin(struct presence *p, int alone)
{
	p->began_ms = clock_now_ms();
	wait_for_others(p);
	if (alone)
		p->others = PRESENCE_BEGIN;
}

/* --- those who are or were here --- */

/* Tell the first hundred of those who changed. */
static void
tell(struct presence *p)
{
	struct json_object *root, *items, *item;
	struct presence_one *o;
	long long now = clock_mono_ms();

	if (p->call != NULL || now < p->wait_until)
		return;
	/* That we began is told before ours, that others are gone after. */
	if (p->others == PRESENCE_BEGIN ||
	    (p->others == PRESENCE_RETURNS && now >= p->return_until &&
		p->dirty == NULL)) {
		tell_of_others(p);
		return;
	}
	if (p->dirty == NULL)
		return;
	root = json_object_new_object();
	items = json_object_new_array();
	json_put(root, "items", items);
	while (p->nasked < IDENTIFY_ITEMS_MAX && (o = p->dirty) != NULL) {
		p->dirty = o->next_dirty;
		if (p->dirty == NULL)
			p->dirty_end = &p->dirty;
		o->in_dirty = 0;
		if (o->want == o->told) {
			if (o->want == 0)
				drop(p, o);
			continue;
		}
		o->asked = o->want;
		p->asked[p->nasked++] = o;
		item = json_object_new_object();
		json_put_str(item, "ref", o->ref);
		json_put_str(item, "status", o->want ? "online" : "offline");
		json_object_array_add(items, item);
	}
	if (p->nasked == 0)
		json_object_put(root);
	else if (post(p, root, on_answer) == -1)
		on_answer(p, &(struct backend_answer){ .why = "memory" });
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct presence *p = w->data;
	struct presence_one *o;
	long long now = clock_mono_ms();

	(void)loop;
	(void)revents;
	while ((o = p->grace) != NULL && o->due <= now) {
		grace_take(p, o);
		o->want = 0;
		if (o->told != 1 && o->asked == -1 && !o->in_dirty)
			drop(p, o);
		else
			dirty_add(p, o);
	}
	tell(p);
}

void
presence_init(struct presence *p, struct ev_loop *loop, struct backend *backend,
    int grace_ms)
{
	memset(p, 0, sizeof(*p));
	p->loop = loop;
	p->backend = backend;
	p->grace_ms = grace_ms;
	p->dirty_end = &p->dirty;
	p->asked = calloc(IDENTIFY_ITEMS_MAX, sizeof(struct presence_one *));
	ev_timer_init(&p->timer, on_timer, .1, .1);
	p->timer.data = p;
	if (p->asked != NULL)
		ev_timer_start(loop, &p->timer);
}

void
presence_fini(struct presence *p)
{
	struct presence_one *o;
	size_t at = 0;

	if (p->loop != NULL)
		ev_timer_stop(p->loop, &p->timer);
	while ((o = table_next(&p->all, &at)) != NULL) {
		free(o->ref);
		free(o);
	}
	table_fini(&p->all);
	free(p->asked);
	p->asked = NULL;
}

void
presence_up(struct presence *p, const char *account, const char *ref)
{
	size_t len = strlen(account);
	struct presence_one *o = table_get(&p->all, account, len);
	char *own = strdup(ref);

	if (o == NULL) {
		o = calloc(1, sizeof(*o) + len + 1);
		if (o == NULL) {
			free(own);
			return;
		}
		memcpy(o->account, account, len + 1);
		o->told = o->asked = -1;
		if (own == NULL ||
		    table_put(&p->all, o->account, len, o) == -1) {
			free(own);
			free(o);
			return;
		}
	}
	grace_take(p, o);
	if (own != NULL) {
		free(o->ref);
		o->ref = own;
	}
	o->want = 1;
	dirty_add(p, o);
}

void
presence_down(struct presence *p, const char *account)
{
	struct presence_one *o = table_get(&p->all, account, strlen(account));

	if (o == NULL || o->in_grace)
		return;
	grace_add(p, o, clock_mono_ms() + p->grace_ms);
}

void
presence_carry(const struct presence *p,
    void (*each)(void *arg, const struct buf *one), void *arg)
{
	const struct presence_one *o;
	struct buf b;
	size_t at = 0;

	buf_init(&b, NEWS_BYTES_MAX);
	while ((o = table_next(&p->all, &at)) != NULL) {
		buf_reset(&b);
		carry_text(&b, o->account);
		carry_text(&b, o->ref);
		carry_num(&b, o->want == 1);
		/*
		 * Of what is being told nobody will know whether it was: told
		 * once more is right, whichever it is.
		 */
		carry_num(&b, o->asked != -1 ? o->want == 0
			      : o->told < 0  ? 2
					     : (uint64_t)o->told);
		carry_int(&b, o->in_grace ? o->due : 0);
		each(arg, &b);
	}
	buf_fini(&b);
}

int
presence_adopt(struct presence *p, struct carry_in *in, int wait_ms)
{
	const char *account = carry_get_text(in, 256);
	const char *ref = carry_get_text(in, REF_BYTES_MAX);
	int want = (int)carry_get_num(in, 1);
	int told = (int)carry_get_num(in, 2);
	int64_t due = carry_get_int(in, 0, INT64_MAX);
	struct presence_one *o;

	if (carry_end(in) == -1 || account == NULL || ref == NULL)
		return -1;
	presence_up(p, account, ref);
	o = table_get(&p->all, account, strlen(account));
	if (o == NULL)
		return -1;
	o->want = (signed char)want;
	o->told = (signed char)(told == 2 ? -1 : told);
	if (want == 1)
		grace_add(
		    p, o, due ? due : clock_mono_ms() + p->grace_ms + wait_ms);
	return 0;
}

void
presence_mute(struct presence *p)
{
	ev_timer_stop(p->loop, &p->timer);
	backend_cancel(p->call);
	p->call = NULL;
}
