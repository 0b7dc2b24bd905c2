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
#include "hub.h"
#include "ident.h"
#include "ingest.h"
#include "longpoll.h"
#include "mode.h"
#include "presence.h"
#include "replay.h"
#include "reread.h"
#include "typing.h"

#define PUSH_LATENCY_BUCKETS 12

/* How long after their commit events came. */
struct push_latency {
	uint64_t bucket[PUSH_LATENCY_BUCKETS + 1], n, sum_ms;
};

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
	struct ingest ingest;
	struct typing typing;
	struct reread reread;
	struct longpolls longpolls;
	struct handover handover;
	struct push_latency latency;
	uint64_t resets; /* cursors that could not be honoured, sent out */
};

/* push_of(c): what the connection's transport works with. */
struct push *push_of(const struct conn *c);

/*
 * push_cred(rq, cred, token, session):
 * What the request shows of who it is; ${token} and ${session} (PUSH_TOKEN_MAX
 * bytes each) take what its URL has, where the setting url_tokens allows that.
 * Whether it shows anything.
 */
#define PUSH_TOKEN_MAX 4097
int push_cred(const struct conn *c, const struct request *rq,
    struct ident_cred *cred, char *token, char *session);

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

/* push_reset(p): returns the new data of a `reset`: epoch, oldest, latest. */
struct json_object *push_reset(const struct push *p);

#endif
