#ifndef PARLEY_PUSH_H
#define PARLEY_PUSH_H

/*
 * What a transport works with: the one of each that main.c makes and joins.
 */

#include <ev.h>

#include "backend.h"
#include "conf.h"
#include "conn.h"
#include "eio.h"
#include "handover.h"
#include "histogram.h"
#include "hub.h"
#include "ident.h"
#include "ingest.h"
#include "longpoll.h"
#include "mode.h"
#include "presence.h"
#include "replay.h"
#include "siopast.h"
#include "reread.h"
#include "typing.h"

enum { PUSH_EVENTS_TIMED = 64 /* of a turn of the loop */ };

/* How long things take. */
struct push_times {
	struct histogram first_write;   /* from an event's commit */
	struct histogram turn;          /* of the loop: others wait meanwhile */
	int64_t began_ms;               /* when we started */
	int64_t woke_us;                /* when the loop last did, monotonic */
	int64_t ids[PUSH_EVENTS_TIMED]; /* events about to be written */
	unsigned n;
	ev_prepare prepare;
};

/* Why a cursor could not be honoured. */
enum push_reset { RESET_OLD, RESET_FUTURE, RESET_UNKNOWN, RESET_BAD, RESETS };

struct push {
	struct ev_loop *loop;
	enum mode mode;
	struct conf cf;
	struct hub hub;
	struct backend *backend;
	struct presence presence;
	struct idents idents;
	struct replays replays;
	struct conns conns;
	struct eios eios;
	struct siopast siopast;
	struct ingest ingest;
	struct typing typing;
	struct reread reread;
	struct longpolls longpolls;
	struct handover handover;
	struct push_times times;
	uint64_t resets[RESETS]; /* cursors that could not be honoured */
};

/* push_of(c): what the connection's transport works with. */
struct push *push_of(const struct conn *c);

/*
 * push_cred(c, rq, cred, token, session):
 * What the request shows of who it is; ${token} and ${session} (PUSH_TOKEN_MAX
 * bytes each) take what its URL has, where the setting url_tokens allows that.
 * Whether it shows anything.
 */
#define PUSH_TOKEN_MAX 4097
int push_cred(const struct conn *c, const struct request *rq,
    struct ident_cred *cred, char *token, char *session);

/*
 * push_may(c, id):
 * Count a request of ${id} over ${c}, beside those of its other connections;
 * 0 if it has made too many of them, PUSH_TOO_MANY for the headers of that
 * answer.
 */
#define PUSH_TOO_MANY "Retry-After: 1\r\n"
int push_may(const struct conn *c, struct ident *id);

/*
 * push_cursor(p, len):
 * The cursor a client names: its number; PUSH_NOW if it is empty, PUSH_BAD if
 * it is none.
 */
#define PUSH_NOW INT64_C(-1)
#define PUSH_BAD INT64_C(-2)
int64_t push_cursor(const char *p, size_t len);

/*
 * push_drain(p):
 * Accept no more, send all clients away over some seconds, then end.
 */
void push_drain(struct push *p);

/*
 * push_event(h, sub, he):
 * What sub->event() is for who gets all of its rooms' events as they are in its
 * dialect, over the connection whose descriptor is its outlet.
 */
void push_event(struct hub *h, struct hub_sub *sub, struct hub_event *he);

/* push_reset_count(p, cursor): that one could not be honoured. */
void push_reset_count(struct push *p, int64_t cursor);

/* push_reset(p): returns the new data of a `reset`: epoch, oldest, latest. */
struct json_object *push_reset(const struct push *p);

#endif
