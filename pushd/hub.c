/*
 * hub.c: rooms, subscribers, and the ring of recent events.
 *
 * Callbacks may close connections, so lists may shrink, and rooms go, while
 * they are walked: they are walked from their ends, and marks tell who had the
 * event.
 */
#define _GNU_SOURCE /* memmem */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "hub.h"
#include "json.h"
#include "limits.h"
#include "log.h"

enum {
	AHEAD = 8,    /* so many subscribers before their turn are fetched */
	LINKS_LOT = 4 /* places in rooms are allocated so many at a time */
};

int
hub_init(struct hub *h, size_t events_max, size_t bytes_max)
{
	memset(h, 0, sizeof(*h));
	h->ring_max = events_max;
	h->ring_bytes_max = bytes_max;
	h->nsignals = 1;
	h->ring = calloc(events_max, sizeof(struct hub_event *));
	return h->ring == NULL ? -1 : 0;
}

struct hub_event *
hub_event_new(struct event *e)
{
	struct hub_event *he = calloc(1, sizeof(*he));

	if (he == NULL) {
		event_free(e);
		return NULL;
	}
	he->refs = 1;
	he->e = e;
	return he;
}

void
hub_event_unref(struct hub_event *he)
{
	size_t i;

	if (he == NULL || --he->refs > 0)
		return;
	for (i = 0; i < HUB_DIALECTS; i++) {
		frame_unref(he->frame[i][HUB_AGENT]);
		frame_unref(he->frame[i][HUB_CUSTOMER]);
	}
	event_free(he->e);
	free(he);
}

/* What an event costs the ring; encodings are about as long as the data. */
static size_t
event_bytes(const struct hub_event *he)
{
	return sizeof(*he) + he->e->data_len * 2 +
	       (he->e->public != he->e->data ? he->e->public_len * 2 : 0) + 256;
}

static struct hub_event *
ring_get(const struct hub *h, size_t i)
{
	return h->ring[(h->ring_at + i) % h->ring_max];
}

static void
ring_drop_oldest(struct hub *h)
{
	struct hub_event *he = ring_get(h, 0);

	__builtin_prefetch(ring_get(h, 1)); /* goes next time */
	h->base = he->e->id;
	h->ring_bytes -= event_bytes(he);
	h->ring[h->ring_at] = NULL;
	h->ring_at = (h->ring_at + 1) % h->ring_max;
	h->ring_n--;
	hub_event_unref(he);
}

static void
room_free(struct hub_room *r)
{
	if (r->members != &r->one)
		free(r->members);
	free(r);
}

void
hub_fini(struct hub *h)
{
	struct hub_room *r;
	size_t at = 0;

	while (h->ring_n > 0)
		ring_drop_oldest(h);
	while ((r = table_next(&h->rooms, &at)) != NULL) {
		room_free(r);
	}
	table_fini(&h->rooms);
	for (at = 0; at < HUB_SIGNALS; at++)
		hub_event_unref(h->signals[at].he);
	free(h->ring);
	h->ring = NULL;
}

void
hub_start(struct hub *h, int64_t head, int64_t floor, const char *epoch)
{
	while (h->ring_n > 0)
		ring_drop_oldest(h);
	h->head = h->base = head;
	h->stale_max = 0;
	h->floor = floor;
	strncpy(h->epoch, epoch, sizeof(h->epoch) - 1);
	h->ready = 1;
}

/* Where in the ring the first event above ${cursor} stands. */
static size_t
ring_find(const struct hub *h, int64_t cursor)
{
	size_t lo = 0, hi = h->ring_n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (ring_get(h, mid)->e->id > cursor)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

struct hub_event *
hub_after(const struct hub *h, int64_t cursor)
{
	size_t i = ring_find(h, cursor);

	return i < h->ring_n ? ring_get(h, i) : NULL;
}

int
hub_has(const struct hub *h, int64_t id)
{
	struct hub_event *he = hub_after(h, id - 1);

	return he != NULL && he->e->id == id;
}

int
hub_covers(const struct hub *h, int64_t cursor)
{
	return h->ready && cursor >= h->base && cursor >= h->stale_max &&
	       cursor <= h->head;
}

static int
has_room(const struct event *e, const char *room, size_t len)
{
	size_t i;

	for (i = 0; i < e->nrooms; i++)
		if (strlen(e->rooms[i]) == len &&
		    memcmp(e->rooms[i], room, len) == 0)
			return 1;
	return 0;
}

/* Mark what mentions ${text}: its data in the log is another now. */
static void
ring_stale(struct hub *h, const char *text, const char *room)
{
	size_t len = strlen(text), i;
	struct hub_event *he;

	for (i = 0; i < h->ring_n; i++) {
		he = ring_get(h, i);
		if ((len > 2 &&
			memmem(he->e->data, he->e->data_len, text, len)) ||
		    (room != NULL && has_room(he->e, room, strlen(room)))) {
			he->stale = 1;
			if (h->stale_max < he->e->id)
				h->stale_max = he->e->id;
		}
	}
}

/*
 * A deletion takes a text out of events that were logged before it, and a
 * change of members takes them from those who left; so what the ring still
 * holds of them is not replayed.  Only the log knows.
 */
static void
ring_outdate(struct hub *h, const struct event *e)
{
	struct json_object *o = NULL;
	const char *why, *id, *type;
	char text[72], room[88];
	size_t len;
	int gone, members;

	gone = strcmp(e->type, "message_deleted") == 0 ||
	       strcmp(e->type, "customer_deleted") == 0;
	members = strcmp(e->type, "conversation_updated") == 0 &&
		  memmem(e->data, e->data_len, "\"participants\"", 14) != NULL;
	if (!gone && !members)
		return;
	if (json_parse(e->data, e->data_len, JSON_DEPTH_MAX, 1000000,
		EVENT_LINE_MAX, &o, &why) == 0 &&
	    json_get_str(o, "id", &id, &len) == 1 && len > 0 && len <= 64) {
		memcpy(text + 1, id, len);
		text[0] = text[len + 1] = '"';
		text[len + 2] = '\0';
		room[0] = '\0';
		if (members) {
			(void)snprintf(room, sizeof(room), "conversation:%.*s",
			    (int)len, id);
			/* Everybody on the shop's side sees a customer's. */
			if (json_get_str(o, "type", &type, &len) != 1 ||
			    (len == 8 && memcmp(type, "customer", 8) == 0))
				gone = -1;
			text[0] = '\0';
		} else if (e->type[0] == 'c') {
			(void)snprintf(
			    room, sizeof(room), "customer:%.*s", (int)len, id);
		}
		if (gone != -1)
			ring_stale(h, text, room[0] ? room : NULL);
	}
	json_object_put(o);
}

static int
form_there(const struct hub_sub *sub, const struct event *e)
{
	return sub->form == HUB_AGENT ? e->data != NULL : e->public != NULL;
}

int
hub_excepts(const struct hub_sub *sub, const struct event *e)
{
	return e->except != NULL &&
	       hub_link_find(sub, e->except, strlen(e->except)) != NULL;
}

static void
offer(struct hub *h, struct hub_sub *sub, struct hub_event *he)
{
	const struct event *e = he->e;

	if (sub->m.mark == h->mark)
		return;
	sub->m.mark = h->mark;
	if (!sub->live || sub->held || !form_there(sub, e) ||
	    (e->id > 0 && e->id <= sub->cursor) || hub_excepts(sub, e))
		return;
	if (e->id > 0)
		sub->cursor = e->id;
	h->deliveries++;
	sub->event(h, sub, he);
}

/* Have it near when its turn comes; it may lie across two lines. */
static void
fetch(const struct hub_sub *sub)
{
	__builtin_prefetch(sub, 1);
	__builtin_prefetch(&sub->held, 1);
}

/*
 * To all of the group that is the ${k}th of the room ${r}.  When somebody
 * leaves, the last one, which had its turn, takes that place; and if the group
 * goes as well, nothing of it is left to be looked at.
 */
static void
offer_group(struct hub *h, struct hub_group *g, const struct hub_room *r,
    uint32_t k, const char *room, struct hub_event *he)
{
	uint32_t left = h->left, i;

	if (g->m.mark == h->mark)
		return;
	for (i = g->n; i-- > 0;) {
		if (i >= g->n)
			continue; /* several left */
		if (i >= AHEAD)
			fetch(g->subs[i - AHEAD]);
		offer(h, g->subs[i], he);
		if (left == h->left)
			continue;
		left = h->left;
		if (table_get(&h->rooms, room, strlen(room)) != r ||
		    k >= r->n || r->members[k] != &g->m)
			return;
	}
	g->m.mark = h->mark;
}

/* Fetch whose turn is to come: places, then who is behind them. */
static void
fetch_ahead(const struct hub_room *r, uint32_t k)
{
	const struct hub_member *m;
	const struct hub_group *g;

	if (k >= 2 * AHEAD)
		__builtin_prefetch(r->members[k - 2 * AHEAD]);
	if (k < AHEAD)
		return;
	m = r->members[k - AHEAD];
	g = (const struct hub_group *)m;
	if (m->is_group)
		fetch(g->subs[g->n - 1]);
}

/* To all in a room, likewise. */
static void
offer_room(struct hub *h, const char *room, struct hub_event *he)
{
	struct hub_room *r = table_get(&h->rooms, room, strlen(room));
	uint32_t left = h->left, k;
	struct hub_member *m;

	for (k = r ? r->n : 0; k-- > 0;) {
		if (k >= r->n)
			continue;
		fetch_ahead(r, k);
		m = r->members[k];
		if (m->is_group)
			offer_group(h, (struct hub_group *)m, r, k, room, he);
		else
			offer(h, (struct hub_sub *)m, he);
		if (left == h->left)
			continue;
		left = h->left;
		if (table_get(&h->rooms, room, strlen(room)) != r)
			return;
	}
}

static void
deliver_now(struct hub *h, struct hub_event *he)
{
	const struct event *e = he->e;
	size_t i;

	h->mark++;
	h->events++;
	for (i = 0; i < e->nrooms; i++)
		offer_room(h, e->rooms[i], he);
}

/*
 * Give the event to everybody in its rooms, once.  Who gets it may end, and
 * that may be an event in turn: it follows when all have this one.
 */
static void
deliver(struct hub *h, struct hub_event *he)
{
	if (h->giving) {
		he->refs++;
		*h->later_end = he;
		h->later_end = &he->later;
		return;
	}
	h->giving = 1;
	h->later_end = &h->later;
	deliver_now(h, he);
	while ((he = h->later) != NULL) {
		deliver_now(h, he);
		h->later = he->later;
		if (h->later == NULL)
			h->later_end = &h->later;
		he->later = NULL;
		hub_event_unref(he);
	}
	h->giving = 0;
}

void
hub_append(struct hub *h, struct event *e)
{
	struct hub_event *he;
	int64_t id = e->id;

	assert(id > h->head && e->type != NULL);
	he = hub_event_new(e);
	if (he == NULL) {
		/* The ring has a hole now: what is below comes from the log. */
		log_error("hub event id=%lld why=memory", (long long)id);
		while (h->ring_n > 0)
			ring_drop_oldest(h);
		h->head = h->base = id;
		return;
	}
	ring_outdate(h, e);
	while (h->ring_n > 0 &&
	       (h->ring_n == h->ring_max ||
		   h->ring_bytes + event_bytes(he) > h->ring_bytes_max))
		ring_drop_oldest(h);
	h->ring[(h->ring_at + h->ring_n) % h->ring_max] = he;
	h->ring_n++;
	h->ring_bytes += event_bytes(he);
	h->head = id;
	he->refs++;
	deliver(h, he);
	hub_event_unref(he);
}

void
hub_skip(struct hub *h, int64_t id)
{
	if (id > h->head)
		h->head = id;
}

void
hub_ephemeral(struct hub *h, struct event *e)
{
	struct hub_event *he = hub_event_new(e);
	struct hub_signal *slot;

	if (he == NULL)
		return;
	slot = &h->signals[++h->nsignals % HUB_SIGNALS];
	hub_event_unref(slot->he);
	slot->he = he;
	slot->at_ms = clock_mono_ms();
	he->refs++;
	deliver(h, he);
	hub_event_unref(he);
}

struct hub_event *
hub_signal(const struct hub *h, uint32_t *heard, long long now_ms)
{
	const struct hub_signal *slot;

	if (h->nsignals - *heard > HUB_SIGNALS)
		*heard = h->nsignals - HUB_SIGNALS;
	while (*heard != h->nsignals) {
		slot = &h->signals[++*heard % HUB_SIGNALS];
		if (slot->he != NULL && slot->at_ms + HUB_SIGNAL_MS > now_ms)
			return slot->he;
	}
	return NULL;
}

static struct hub_link *
link_find(const struct hub_member *m, const char *room, size_t len)
{
	size_t i;

	for (i = 0; i < m->nlinks; i++)
		if (m->links[i].room->name_len == len &&
		    memcmp(m->links[i].room->name, room, len) == 0)
			return &m->links[i];
	return NULL;
}

struct hub_link *
hub_link_find(const struct hub_sub *sub, const char *room, size_t len)
{
	struct hub_link *l = link_find(&sub->m, room, len);

	return l == NULL && sub->group ? link_find(&sub->group->m, room, len)
				       : l;
}

int
hub_sees(const struct hub_sub *sub, const struct hub_event *he)
{
	const struct event *e = he->e;
	size_t i;

	if (!form_there(sub, e) || hub_excepts(sub, e))
		return 0;
	for (i = 0; i < e->nrooms; i++)
		if (hub_link_find(sub, e->rooms[i], strlen(e->rooms[i])))
			return 1;
	return 0;
}

static struct hub_room *
room_get(struct hub *h, const char *name, size_t len)
{
	struct hub_room *r = table_get(&h->rooms, name, len);

	if (r != NULL)
		return r;
	r = calloc(1, sizeof(*r) + len + 1);
	if (r == NULL)
		return NULL;
	memcpy(r->name, name, len);
	r->members = &r->one;
	r->cap = 1;
	r->name_len = (uint32_t)len;
	if (table_put(&h->rooms, r->name, len, r) == -1) {
		free(r);
		return NULL;
	}
	return r;
}

static void
room_drop_empty(struct hub *h, struct hub_room *r)
{
	if (r->n > 0)
		return;
	table_del(&h->rooms, r->name, r->name_len);
	room_free(r);
}

static int
join(struct hub *h, struct hub_member *m, const char *name, size_t len,
    unsigned flags)
{
	struct hub_link *l = link_find(m, name, len);
	struct hub_room *r;
	void *p;
	uint32_t cap;

	if (l != NULL) {
		l->flags |= (uint16_t)flags;
		return 0;
	}
	if (m->nlinks % LINKS_LOT == 0) {
		if (m->nlinks > UINT16_MAX - LINKS_LOT)
			return -1;
		p = realloc(m->links, (m->nlinks + LINKS_LOT) * sizeof(*l));
		if (p == NULL)
			return -1;
		m->links = p;
	}
	r = room_get(h, name, len);
	if (r == NULL)
		return -1;
	if (r->n == r->cap) {
		cap = r->cap + r->cap / 2 + 3;
		p = realloc(r->members == &r->one ? NULL : r->members,
		    cap * sizeof(struct hub_member *));
		if (p == NULL)
			return -1;
		r->members = p;
		if (r->cap == 1)
			r->members[0] = r->one;
		r->cap = cap;
	}
	l = &m->links[m->nlinks++];
	l->room = r;
	l->at = r->n;
	l->flags = (uint16_t)flags;
	r->members[r->n++] = m;
	return 1;
}

int
hub_join(struct hub *h, struct hub_sub *sub, const char *room, size_t len,
    unsigned flags)
{
	return join(h, &sub->m, room, len, flags);
}

/* Take the place out; the last of the room takes it over. */
static void
unlink_at(struct hub *h, struct hub_member *m, size_t i)
{
	struct hub_room *r = m->links[i].room;
	uint32_t at = m->links[i].at, last = r->n - 1;
	struct hub_member *moved = r->members[last];
	size_t k;

	assert(r->members[at] == m);
	if (at != last) {
		r->members[at] = moved;
		for (k = 0; moved->links[k].room != r; k++)
			;
		moved->links[k].at = at;
	}
	r->n--;
	h->left++;
	m->links[i] = m->links[--m->nlinks];
	room_drop_empty(h, r);
}

static void
unlink_all(struct hub *h, struct hub_member *m)
{
	while (m->nlinks > 0)
		unlink_at(h, m, m->nlinks - 1u);
	free(m->links);
	m->links = NULL;
}

void
hub_leave(struct hub *h, struct hub_sub *sub, const char *room, size_t len,
    unsigned flags)
{
	struct hub_link *l = link_find(&sub->m, room, len);

	if (l == NULL)
		return;
	l->flags &= (uint16_t)~flags;
	if (l->flags == 0)
		unlink_at(h, &sub->m, (size_t)(l - sub->m.links));
}

/* --- groups --- */

static void
group_leave(struct hub *h, struct hub_sub *sub)
{
	struct hub_group *g = sub->group;
	struct hub_sub *moved;

	if (g == NULL)
		return;
	assert(g->subs[sub->at] == sub);
	sub->group = NULL;
	moved = g->subs[--g->n];
	g->subs[sub->at] = moved;
	moved->at = sub->at;
	h->left++;
	if (g->n > 0)
		return;
	if (g->subs != &g->one)
		free(g->subs);
	g->subs = NULL;
	unlink_all(h, &g->m);
}

int
hub_enter(struct hub *h, struct hub_sub *sub, struct hub_group *g)
{
	uint32_t cap = g->cap + g->cap / 2 + 3;
	struct hub_sub **subs;

	if (sub->group == g)
		return 0;
	group_leave(h, sub);
	if (g->n == 0) {
		g->m.is_group = 1;
		g->subs = &g->one;
		g->cap = 1;
	} else if (g->n == g->cap) {
		subs = realloc(g->subs == &g->one ? NULL : g->subs,
		    cap * sizeof(struct hub_sub *));
		if (subs == NULL)
			return -1;
		if (g->subs == &g->one)
			subs[0] = g->one;
		g->subs = subs;
		g->cap = cap;
	}
	sub->group = g;
	sub->at = g->n;
	g->subs[g->n++] = sub;
	return 0;
}

int
hub_group_rooms(struct hub *h, struct hub_group *g, const char *rooms,
    unsigned n, unsigned flags)
{
	assert(g->n > 0);
	for (; n > 0; n--, rooms += strlen(rooms) + 1)
		if (join(h, &g->m, rooms, strlen(rooms), flags) == -1)
			return -1;
	return 0;
}

void
hub_hold(const struct hub *h, struct hub_sub *sub)
{
	if (sub->live && !sub->held && sub->cursor < h->head)
		sub->cursor = h->head;
	sub->held = 1;
}

void
hub_leave_all(struct hub *h, struct hub_sub *sub)
{
	group_leave(h, sub);
	unlink_all(h, &sub->m);
}
