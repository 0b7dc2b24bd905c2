/*
 * hub.c: rooms, subscribers, and the ring of recent events.
 *
 * Callbacks may close connections, so a room's list may shrink while it is
 * walked: it is walked from its end, and the last takes a leaver's place.
 */
#define _GNU_SOURCE /* memmem */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "json.h"
#include "limits.h"
#include "log.h"

int
hub_init(struct hub *h, size_t events_max, size_t bytes_max)
{
	memset(h, 0, sizeof(*h));
	h->ring_max = events_max;
	h->ring_bytes_max = bytes_max;
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

	h->base = he->e->id;
	h->ring_bytes -= event_bytes(he);
	h->ring[h->ring_at] = NULL;
	h->ring_at = (h->ring_at + 1) % h->ring_max;
	h->ring_n--;
	hub_event_unref(he);
}

void
hub_fini(struct hub *h)
{
	struct hub_room *r;
	size_t at = 0;

	while (h->ring_n > 0)
		ring_drop_oldest(h);
	while ((r = table_next(&h->rooms, &at)) != NULL) {
		free(r->subs);
		free(r);
	}
	table_fini(&h->rooms);
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

/* Give the event to everybody in its rooms, once. */
static void
deliver(struct hub *h, struct hub_event *he)
{
	const struct event *e = he->e;
	struct hub_room *r;
	struct hub_sub *sub;
	size_t i;
	uint32_t mark = ++h->mark, k;

	h->events++;
	for (i = 0; i < e->nrooms; i++) {
		r = table_get(&h->rooms, e->rooms[i], strlen(e->rooms[i]));
		for (k = r ? r->n : 0; k-- > 0;) {
			if (k >= r->n)
				continue; /* callbacks took several out */
			sub = r->subs[k];
			if (sub->mark == mark)
				continue;
			sub->mark = mark;
			if (!sub->live || sub->held || !form_there(sub, e) ||
			    (e->id > 0 && e->id <= sub->cursor))
				continue;
			if (hub_excepts(sub, e))
				continue;
			if (e->id > 0)
				sub->cursor = e->id;
			h->deliveries++;
			/* May empty the room, and so free it. */
			sub->event(sub, he);
			r = table_get(
			    &h->rooms, e->rooms[i], strlen(e->rooms[i]));
			if (r == NULL)
				break;
		}
	}
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

	if (he == NULL)
		return;
	deliver(h, he);
	hub_event_unref(he);
}

struct hub_link *
hub_link_find(const struct hub_sub *sub, const char *room, size_t len)
{
	size_t i;

	for (i = 0; i < sub->nlinks; i++)
		if (sub->links[i].room->name_len == len &&
		    memcmp(sub->links[i].room->name, room, len) == 0)
			return &sub->links[i];
	return NULL;
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
	free(r->subs);
	free(r);
}

int
hub_join(struct hub *h, struct hub_sub *sub, const char *name, size_t len,
    unsigned flags)
{
	struct hub_link *l = hub_link_find(sub, name, len);
	struct hub_room *r;
	struct hub_sub **subs;
	uint32_t cap;

	if (l != NULL) {
		l->flags |= (uint16_t)flags;
		return 0;
	}
	if (sub->nlinks == sub->links_cap) {
		cap = sub->links_cap + 4u;
		if (cap > UINT16_MAX)
			return -1;
		l = realloc(sub->links, cap * sizeof(*l));
		if (l == NULL)
			return -1;
		sub->links = l;
		sub->links_cap = (uint16_t)cap;
	}
	r = room_get(h, name, len);
	if (r == NULL)
		return -1;
	if (r->n == r->cap) {
		cap = r->cap ? r->cap + r->cap / 2 + 1 : 1;
		subs = realloc(r->subs, cap * sizeof(struct hub_sub *));
		if (subs == NULL) {
			room_drop_empty(h, r);
			return -1;
		}
		r->subs = subs;
		r->cap = cap;
	}
	l = &sub->links[sub->nlinks++];
	l->room = r;
	l->at = r->n;
	l->flags = (uint16_t)flags;
	r->subs[r->n++] = sub;
	return 1;
}

/* Take the place out; the last of the room takes it over. */
static void
unlink_at(struct hub *h, struct hub_sub *sub, size_t i)
{
	struct hub_room *r = sub->links[i].room;
	uint32_t at = sub->links[i].at, last = r->n - 1;
	struct hub_sub *moved = r->subs[last];
	size_t k;

	assert(r->subs[at] == sub);
	if (at != last) {
		r->subs[at] = moved;
		for (k = 0; moved->links[k].room != r; k++)
			;
		moved->links[k].at = at;
	}
	r->n--;
	sub->links[i] = sub->links[--sub->nlinks];
	room_drop_empty(h, r);
}

void
hub_leave(struct hub *h, struct hub_sub *sub, const char *room, size_t len,
    unsigned flags)
{
	struct hub_link *l = hub_link_find(sub, room, len);

	if (l == NULL)
		return;
	l->flags &= (uint16_t)~flags;
	if (l->flags == 0)
		unlink_at(h, sub, (size_t)(l - sub->links));
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
	while (sub->nlinks > 0)
		unlink_at(h, sub, sub->nlinks - 1u);
	free(sub->links);
	sub->links = NULL;
	sub->links_cap = 0;
}
