#ifndef PARLEY_LIVE_WORK_H
#define PARLEY_LIVE_WORK_H

/*
 * What the files of the application share: what a client has only while
 * something is going on.
 */

#include "live.h"

enum {
	LIVE_JOINED = 2,
	LIVE_PENDING = 4 /* flags of a room, beside IDENT_ROOM */
};

#define LIVE_ROOM_MAX (OUTBOX_ID_MAX + 16) /* bytes of a room's name */

/* A conversation that was joined. */
struct live_room {
	struct live_room *next;
	char *alias; /* what else the client calls it, or NULL */
	char id[OUTBOX_ID_MAX];
};

/* A join on its way: asked for, then what was missed there. */
struct live_join {
	struct live_join *next;
	struct live *v;
	struct backend_call *call;
	struct replay *replay;
	struct live_also *also; /* asked for again meanwhile */
	int64_t cursor;
	int asks; /* taken over: it is to be asked for once more */
	struct about about;
	char id[OUTBOX_ID_MAX]; /* once it is known */
};

/* Where the client types, as it told last. */
struct live_typed {
	struct live_typed *next;
	int64_t at_ms; /* monotonic */
	char id[OUTBOX_ID_MAX];
};

struct live_work {
	struct outbox outbox;
	struct ident *cookie; /* whom the request's cookie names */
	struct ident_wait *wait;
	struct replay *replay;
	struct live_room *rooms;
	struct live_join *joins;
	struct live_typed *typed;
	int *gone;    /* set when the client ends; somebody looks at it */
	int64_t auth; /* the tag of what is waited for */
	uint16_t nrooms, njoining; /* joined; joins without answer */
};

/* live_work(v): of the client; NULL, with the client closed: no memory. */
struct live_work *live_work(struct live *v);

/*
 * live_attend(v):
 * From now on each event is looked at before it goes out.
 */
void live_attend(struct live *v);

/* live_close(v, code, reason): its end; ${v} is gone then. */
void live_close(struct live *v, int code, const char *reason);

/* live_error(v, a, code, message, retry_s): say that something did not go. */
void live_error(struct live *v, const struct about *a, const char *code,
    const char *message, int retry_s);

/* live_give(v, he): the event goes to it, whatever it is. */
void live_give(struct live *v, struct hub_event *he);

/* live_own(v, e): the open request whose event this is, or NULL. */
struct outbox_item *live_own(struct live *v, const struct event *e);

/*
 * live_member(v, e):
 * Whether it hears the event as a member of the group, without having joined.
 */
int live_member(const struct live *v, const struct event *e);

/* live_catch_up(v, cursor): what it missed since.  May end it. */
void live_catch_up(struct live *v, int64_t cursor);

/* live_say_reset(v): its cursor cannot be honoured. */
void live_say_reset(struct live *v);

extern const struct outbox_ops live_outbox_ops;

/* live_room_name(out, id): its length. */
size_t live_room_name(char out[LIVE_ROOM_MAX], const char *id);

/* live_rooms_fini(v), live_typed_fini(v): forget joins; say typing ended. */
void live_rooms_fini(struct live *v);
void live_typed_fini(struct live *v);

/*
 * live_rooms_carry(v, b), live_rooms_adopt(v, in), live_typed_carry(v, b),
 * live_typed_adopt(v, in):
 * Append what there is of them; take it over.  0, or -1 if it was malformed.
 */
void live_rooms_carry(const struct live *v, struct buf *b);
int live_rooms_adopt(struct live *v, struct carry_in *in);
void live_typed_carry(const struct live *v, struct buf *b);
int live_typed_adopt(struct live *v, struct carry_in *in);

/*
 * live_joins_ask(v):
 * The joins that were taken over without their answer.  May end it.
 */
void live_joins_ask(struct live *v);

/*
 * live_become(v, id, unlimited): the client is ${id}, in its rooms; unless
 * ${unlimited} it counts against its account's limit.  -1: no memory.
 */
int live_become(struct live *v, struct ident *id, int unlimited);

/* live_typed_old(v): forget where it has not typed for long. */
void live_typed_old(struct live *v);

/* live_typed_end(v, id): it left the conversation. */
void live_typed_end(struct live *v, const char *id);

/* live_joins_void(v): what joins may show is to be asked for again. */
void live_joins_void(struct live *v);

/* live_joins_go(v): joins that were let in: their turn.  May end it. */
void live_joins_go(struct live *v);

/* live_owes(v): whether there may be older ones to come than the newest. */
int live_owes(const struct live *v);

/*
 * live_named(v, a, only, id):
 * The conversation that ${a} names, or with ${only} the one that there is.
 * 1; 0 with an error said.
 */
int live_named(
    struct live *v, const struct about *a, int only, char id[OUTBOX_ID_MAX]);

/*
 * live_ready(v, a):
 * Whether it may ask something that is answered later.  0 with an error said.
 */
int live_ready(struct live *v, const struct about *a);

#endif
