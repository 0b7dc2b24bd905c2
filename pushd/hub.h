#ifndef PARLEY_HUB_H
#define PARLEY_HUB_H

/*
 * Rooms, their subscribers, and the newest events of the log.
 *
 * Events come in strictly by id and go, each once, to every subscriber of any
 * of their rooms.  The hub knows nothing of transports, sockets or JSON: a
 * subscriber has a callback, and encodings are hung on the event by others.
 */

#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "frame.h"
#include "table.h"

#define HUB_DIALECTS 12 /* encodings that may hang on one event */

enum hub_form { HUB_AGENT, HUB_CUSTOMER };

/* An event in the ring or on its way; counted. */
struct hub_event {
	uint32_t refs;
	uint8_t stale; /* changed by a later event: replay asks the log */
	uint8_t about, has_about; /* what dialect.c found out of it */
	struct event *e;          /* owned */
	struct hub_event *later;  /* made while another was given */
	struct frame *frame[HUB_DIALECTS][2]; /* made when first asked for */
};

/* Somebody's place in a room. */
struct hub_link {
	struct hub_room *room;
	uint32_t at;    /* in the room's list */
	uint16_t flags; /* the member's own */
};

struct hub;

/* Who has places in rooms: a subscriber, or a group of them. */
struct hub_member {
	struct hub_link *links;
	uint32_t mark; /* the last delivery it was part of */
	uint16_t nlinks;
	uint8_t is_group;
};

/* Who hears events; part of a connection's struct.  Zero it to begin. */
struct hub_sub {
	struct hub_member m; /* first; what it joined by itself */
	/* Called for each event of its rooms, never twice for the same. */
	void (*event)(struct hub *, struct hub_sub *, struct hub_event *);
	struct hub_group *group; /* whose rooms are its own, too; or NULL */
	int64_t cursor;  /* newest event given to it; older are skipped */
	uint32_t at;     /* in the group's list */
	uint32_t outlet; /* of event(), its own: where to */
	uint8_t dialect; /* of event(), its own: in what shape */
	uint8_t form;    /* enum hub_form */
	uint8_t live;    /* 0: still catching up, gets nothing */
	uint8_t held;    /* 1: gets nothing, missed or new, till released */
};

/*
 * Subscribers whose rooms are the same, so that each room has one place for
 * all of them.  Zero it to begin.
 */
struct hub_group {
	struct hub_member m; /* first */
	uint32_t n, cap;
	struct hub_sub *one; /* a list for a single one */
	struct hub_sub **subs;
};

struct hub_room {
	struct hub_member **members;
	struct hub_member *one; /* a list for a single one */
	uint32_t n, cap;
	uint32_t name_len;
	char name[];
};

/* Signals are kept for those that come back at once. */
enum { HUB_SIGNALS = 64, HUB_SIGNAL_MS = 3000 };

struct hub {
	int ready;         /* the log's state is known */
	int64_t head;      /* newest event seen */
	int64_t base;      /* the ring has every event above it */
	int64_t stale_max; /* a replay from below this asks the log */
	int64_t floor;     /* oldest cursor that the log can honour */
	char epoch[64];
	struct hub_event **ring;
	size_t ring_max, ring_at, ring_n; /* slots, the oldest, how many */
	size_t ring_bytes, ring_bytes_max;
	struct hub_signal {
		struct hub_event *he; /* NULL: none yet */
		long long at_ms;      /* monotonic */
	} signals[HUB_SIGNALS];       /* the newest, by number */
	uint32_t nsignals;            /* that there were, from 1 on */
	struct table rooms;
	int giving; /* an event is being given to its rooms */
	struct hub_event *later, **later_end;
	uint32_t mark, left; /* deliveries; places and members given up */
	uint64_t events, deliveries, regress; /* counters */
};

/*
 * hub_init(h, events_max, bytes_max):
 * An empty hub, not ready, that keeps so many events at most.  0, or -1
 * without memory.
 */
int hub_init(struct hub *h, size_t events_max, size_t bytes_max);
void hub_fini(struct hub *h);

/*
 * hub_start(h, head, floor, epoch):
 * The log is at ${head}: forget the ring and go on from there.
 */
void hub_start(struct hub *h, int64_t head, int64_t floor, const char *epoch);

/*
 * hub_append(h, e):
 * Put the next event of the log, with an id above the head, into the ring and
 * give it to its rooms.  Takes ${e}.
 */
void hub_append(struct hub *h, struct event *e);

/* hub_skip(h, id): the log has nothing up to ${id} that is not here. */
void hub_skip(struct hub *h, int64_t id);

/* hub_ephemeral(h, e): give an event without id to its rooms.  Takes it. */
void hub_ephemeral(struct hub *h, struct event *e);

/*
 * hub_signal(h, heard, now_ms):
 * The next event without id behind the one numbered ${*heard}, which it moves
 * on; NULL if there is none.  Left out are those older than HUB_SIGNAL_MS and
 * all but the newest HUB_SIGNALS.
 */
struct hub_event *hub_signal(
    const struct hub *h, uint32_t *heard, long long now_ms);

/*
 * hub_join(h, sub, room, len, flags):
 * Give it a place of its own in the room, whether its group is there or not.
 * 1 it has one now, 0 it had (the flags are or-ed), -1 without memory.
 */
int hub_join(struct hub *h, struct hub_sub *sub, const char *room, size_t len,
    unsigned flags);

/*
 * hub_leave(h, sub, room, len, flags):
 * Take ${flags} from its own place in the room, and the place when none are
 * left.  Nothing if it has none.
 */
void hub_leave(struct hub *h, struct hub_sub *sub, const char *room, size_t len,
    unsigned flags);

/*
 * hub_hold(h, sub):
 * It gets nothing beyond the head from now on.  Once it is not held any more,
 * one that was live has to catch up from its cursor.
 */
void hub_hold(const struct hub *h, struct hub_sub *sub);

/*
 * hub_enter(h, sub, g):
 * Make ${sub} one of the group ${g}, and of no other: it hears what goes to the
 * group's rooms.  0, or -1 without memory: it is in none then.
 */
int hub_enter(struct hub *h, struct hub_sub *sub, struct hub_group *g);

/*
 * hub_group_rooms(h, g, rooms, n, flags):
 * The group, which is not empty, is in these ${n} rooms too from now on, until
 * its last one leaves; their names are parted by NULs.  0, or -1 without
 * memory.
 */
int hub_group_rooms(struct hub *h, struct hub_group *g, const char *rooms,
    unsigned n, unsigned flags);

/*
 * hub_leave_all(h, sub):
 * Out of its group and of every room.  The last one's group leaves its rooms.
 */
void hub_leave_all(struct hub *h, struct hub_sub *sub);

/*
 * hub_link_find(sub, room, len):
 * Its place in a room: its own, else its group's, else NULL.
 */
struct hub_link *hub_link_find(
    const struct hub_sub *sub, const char *room, size_t len);

/* hub_sees(sub, he): whether the event is for it: a room of its, a form. */
int hub_sees(const struct hub_sub *sub, const struct hub_event *he);

/* hub_excepts(sub, e): whether the event leaves out just this subscriber. */
int hub_excepts(const struct hub_sub *sub, const struct event *e);

/* hub_covers(h, cursor): whether the ring has all that follows ${cursor}. */
int hub_covers(const struct hub *h, int64_t cursor);

/* hub_after(h, cursor): the oldest event in the ring above it, or NULL. */
struct hub_event *hub_after(const struct hub *h, int64_t cursor);

/* hub_has(h, id): whether the event of this id is in the ring. */
int hub_has(const struct hub *h, int64_t id);

/* hub_event_new(e): returns a new event outside of the ring.  Takes ${e}. */
struct hub_event *hub_event_new(struct event *e);
/* hub_event_unref(he): free it if that was its last holder.  Takes NULL. */
void hub_event_unref(struct hub_event *he);

#endif
