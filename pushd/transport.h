#ifndef PARLEY_TRANSPORT_H
#define PARLEY_TRANSPORT_H

/*
 * What a transport does: the one interface between connections and the
 * protocols spoken on them.  A transport is one file; it is listed with its
 * paths in main.c, and nothing else knows its name.
 */

#include <stddef.h>
#include <stdint.h>

#include "carry.h"
#include "http.h"

struct conn;

/* A request whose head is whole; all borrowed until open returns. */
struct request {
	const struct http_head *head;
	const char *p; /* the head's bytes */
};

struct transport {
	const char *name; /* in logs and metrics */

	/*
	 * A request for one of its paths.  It answers with conn_reply, or
	 * takes the connection with conn_take, now or later.
	 */
	void (*open)(struct conn *c, const struct request *rq);

	/* Below: of a connection that it has taken. */

	/* Bytes from the client, which it may change; NULL: thrown away. */
	void (*input)(struct conn *c, char *p, size_t len);

	/* The client's FIN.  NULL: it counts as gone. */
	void (*eof)(struct conn *c);

	/*
	 * Its queue had become full (conn_full), and all of it is with the
	 * kernel now.  May be NULL.
	 */
	void (*drained)(struct conn *c);

	/*
	 * The time it asked for has come.  Returns the seconds until the
	 * next; 0 if it ended the connection.
	 */
	unsigned (*tick)(struct conn *c);

	/*
	 * The client's cursor gets old: give it the newest id, if it wants
	 * ids.  May be NULL.
	 */
	void (*settle)(struct conn *c);

	/* pushd ends: say goodbye; the client is to be back in some seconds. */
	void (*bye)(struct conn *c, unsigned back_s);

	/*
	 * For metrics: its dialect and what it is doing, a word each, which
	 * are "" and "open" before.  May be NULL.
	 */
	void (*describe)(
	    const struct conn *c, const char **dialect, const char **state);

	/* The connection ends, by whatever way: free what is its own. */
	void (*gone)(struct conn *c);

	/*
	 * Another pushd takes the connection: append what it has to know, and
	 * change nothing, since it may come to nothing.  -1: it cannot be
	 * carried now, and is sent back by bye.  NULL: never.
	 */
	int (*carry)(struct conn *c, struct buf *b);

	/*
	 * Such a connection comes, with what carry said of it: conn_take it.
	 * Sends nothing and asks nothing before drained or another call.  -1:
	 * malformed; what was taken is undone by gone.
	 */
	int (*adopt)(struct conn *c, struct carry_in *in);
};

/* Which transport has a path. */
struct transport_path {
	const char *path;
	const struct transport *transport;
};

#endif
