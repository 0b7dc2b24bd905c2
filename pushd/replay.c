/*
 * replay.c: one reader's way from its cursor to the present.
 *
 * A page from the log is asked for up to the hub's head; what comes meanwhile
 * is in the ring when the page has been given, so there is no second queue.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "limits.h"
#include "log.h"
#include "replay.h"

enum {
	PAGE = 500,
	/* It is kept for who does not read; only its last event goes beyond. */
	PAGE_BYTES = 1 << 20
};

struct replay {
	struct replays *x;
	struct hub_sub *sub;
	const struct replay_ops *ops;
	void *arg;
	int64_t cursor; /* all up to here was given, or was not for it */
	int64_t upto;   /* of the page asked for */
	struct backend_call *call;
	struct json_object *page; /* being given; NULL: none */
	size_t at;                /* next of its items */
	int64_t page_last;
	int page_more;
	int waiting, busy, dead;
	struct replay *prev, *next;
	char *room; /* in ${ref} */
	char ref[];
};

struct replay *
replay_new(struct replays *x, struct hub_sub *sub, const char *ref,
    const char *room, int64_t cursor, const struct replay_ops *ops, void *arg)
{
	size_t n = strlen(ref) + 1, m = room ? strlen(room) + 1 : 0;
	struct replay *r = calloc(1, sizeof(*r) + n + m);

	if (r == NULL)
		return NULL;
	r->x = x;
	r->sub = sub;
	r->ops = ops;
	r->arg = arg;
	r->cursor = cursor;
	memcpy(r->ref, ref, n);
	if (m > 0) {
		r->room = r->ref + n;
		memcpy(r->room, room, m);
	}
	return r;
}

int64_t
replay_cursor(const struct replay *r)
{
	return r->cursor;
}

static void
wait_add(struct replay *r)
{
	if (r->waiting)
		return;
	r->waiting = 1;
	r->prev = NULL;
	r->next = r->x->waiting;
	if (r->next != NULL)
		r->next->prev = r;
	r->x->waiting = r;
}

static void
wait_take(struct replay *r)
{
	if (!r->waiting)
		return;
	r->waiting = 0;
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		r->x->waiting = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
}

void
replay_stop(struct replay *r)
{
	if (r == NULL)
		return;
	wait_take(r);
	backend_cancel(r->call);
	r->call = NULL;
	json_object_put(r->page);
	r->page = NULL;
	if (r->busy)
		r->dead = 1; /* freed where it is being worked on */
	else
		free(r);
}

void
replay_void(struct replay *r)
{
	if (r == NULL)
		return;
	assert(!r->busy);
	backend_cancel(r->call);
	r->call = NULL;
	json_object_put(r->page);
	r->page = NULL;
}

static void
end(struct replay *r, enum replay_end how)
{
	const struct replay_ops *ops = r->ops;
	int64_t cursor = r->cursor >= 0 ? r->cursor : r->x->hub->head;
	void *arg = r->arg;

	if (how == REPLAY_RESET)
		r->x->resets++;
	r->busy = 0;
	replay_stop(r);
	ops->end(arg, how, cursor);
}

static int
has_room(const struct event *e, const char *room)
{
	size_t i;

	for (i = 0; i < e->nrooms; i++)
		if (strcmp(e->rooms[i], room) == 0)
			return 1;
	return 0;
}

/* Give it what the ring has.  1 when the present is reached. */
static int
from_ring(struct replay *r)
{
	struct hub_event *he;
	int full;

	while ((he = hub_after(r->x->hub, r->cursor)) != NULL) {
		r->cursor = he->e->id;
		if (!hub_sees(r->sub, he) ||
		    (r->room != NULL && !has_room(he->e, r->room)))
			continue;
		he->refs++;
		full = r->ops->event(r->arg, he);
		hub_event_unref(he);
		if (full || r->dead)
			return 0;
	}
	if (r->cursor < r->x->hub->head)
		r->cursor = r->x->hub->head;
	return 1;
}

/* An item of a page as an event; NULL if it cannot be one. */
static struct hub_event *
item_event(struct json_object *item)
{
	struct event *e = NULL;
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX);
	json_write(item, &b);
	if (b.err || event_parse(b.data, b.len, &e) != 1)
		e = NULL;
	buf_fini(&b);
	if (e == NULL || e->type == NULL) {
		log_error("replay event why=malformed");
		event_free(e);
		return NULL;
	}
	return hub_event_new(e);
}

/* Give it what the page has.  1 when all is given. */
static int
from_page(struct replay *r)
{
	struct hub_event *he;
	int full;

	while (r->at < json_object_array_length(r->page)) {
		he = item_event(json_object_array_get_idx(r->page, r->at++));
		if (he == NULL)
			continue;
		if (he->e->id <= r->cursor || hub_excepts(r->sub, he->e) ||
		    (r->sub->form == HUB_CUSTOMER && he->e->public == NULL)) {
			hub_event_unref(he);
			continue;
		}
		r->cursor = he->e->id;
		full = r->ops->event(r->arg, he);
		hub_event_unref(he);
		if (r->dead)
			return 0;
		if (full)
			return 0;
	}
	if (r->cursor < r->page_last)
		r->cursor = r->page_last;
	if (!r->page_more && r->cursor < r->upto)
		r->cursor = r->upto;
	json_object_put(r->page);
	r->page = NULL;
	return 1;
}

static void
on_page(void *arg, const struct backend_answer *a)
{
	struct replay *r = arg;
	struct json_object *root = NULL, *events = NULL;
	bool reset = false, more = false;
	const char *why;
	int64_t last = 0;

	r->call = NULL;
	if (a->status != 200 ||
	    json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 10000000,
		EVENT_LINE_MAX, &root, &why) == -1) {
		log_warn("replay status=%d", a->status);
		json_object_put(root);
		end(r, REPLAY_FAILED);
		return;
	}
	json_get_bool(root, "reset", &reset);
	json_get_bool(root, "more", &more);
	json_get_int(root, "last", &last);
	if (!reset && json_get_arr(root, "events", &events) == 1) {
		r->page = json_object_get(events);
		r->at = 0;
		r->page_last = last;
		r->page_more = more;
	}
	json_object_put(root);
	if (reset)
		end(r, REPLAY_RESET);
	else if (r->page == NULL || (more && last <= r->cursor &&
					json_object_array_length(r->page) == 0))
		end(r, REPLAY_FAILED);
	else
		replay_go(r);
}

static void
ask(struct replay *r)
{
	char uri[512];
	int n;

	r->upto = r->x->hub->head;
	n = snprintf(uri, sizeof(uri),
	    "/internal/replay?ref=%s&after=%lld&upto=%lld&limit=%d&bytes=%d"
	    "%s%s",
	    r->ref, (long long)r->cursor, (long long)r->upto, PAGE, PAGE_BYTES,
	    r->room ? "&room=" : "", r->room ? r->room : "");
	if (n > 0 && (size_t)n < sizeof(uri))
		r->call = backend_call(r->x->backend, BACKEND_REPLAY, "GET",
		    uri, NULL, NULL, NULL, 0, on_page, r);
	if (r->call == NULL)
		end(r, REPLAY_FAILED);
	else
		r->x->from_log++;
}

void
replay_go(struct replay *r)
{
	struct hub *h = r->x->hub;
	int asked = r->page != NULL, more = 1;

	if (r->call != NULL || r->waiting || r->busy || r->sub->held)
		return;
	if (!h->ready) {
		wait_add(r);
		return;
	}
	if (r->cursor < 0) {
		end(r, r->cursor == REPLAY_NOW ? REPLAY_LIVE : REPLAY_RESET);
		return;
	}
	r->busy = 1;
	if (r->page != NULL)
		more = from_page(r);
	if (more && !r->dead && asked && r->cursor > h->head) {
		/* Good, and newer than what we have heard of. */
		end(r, REPLAY_LIVE);
		return;
	}
	if (more && !r->dead && hub_covers(h, r->cursor)) {
		if (!asked)
			r->x->from_ring++;
		if (from_ring(r)) {
			end(r, REPLAY_LIVE);
			return;
		}
		more = 0;
	}
	r->busy = 0;
	if (r->dead)
		free(r);
	else if (more)
		ask(r);
}

void
replays_ready(struct replays *x)
{
	struct replay *r;

	while (x->hub->ready && (r = x->waiting) != NULL) {
		x->waiting = r->next;
		if (r->next != NULL)
			r->next->prev = NULL;
		r->waiting = 0;
		replay_go(r);
	}
}
