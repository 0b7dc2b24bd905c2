#ifndef PARLEY_IDENT_H
#define PARLEY_IDENT_H

/*
 * Who connections are.  api.fcgi says it, for up to a hundred credentials a
 * request; the answer is remembered for a minute under a keyed hash of the
 * credential, which itself is forgotten.  Open connections' identities are
 * asked about again each minute, and at once when a session has changed.
 */

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "carry.h"
#include "conf.h"
#include "hub.h"
#include "presence.h"
#include "table.h"

enum {
	IDENT_HASH = 16,    /* bytes of a credential's hash */
	IDENT_RATES = 1024, /* addresses watched at once, a power of two */
};

/*
 * Somebody, with what follows from it; shared by all sessions of which the
 * answer is the same, and never changed.
 */
struct person {
	struct hub_group group; /* the connections' place in its rooms */
	uint32_t refs, len;
	uint16_t nrooms, nconversations;
	const char *id, *name, *role;      /* in ${text} */
	const char *rooms, *conversations; /* NUL-parted, in ${text} */
	char text[];
};

/* One session of somebody; counted by those who use it and by the memory. */
struct ident {
	struct person *person;
	struct ident *prev, *next;  /* those in use, or resting */
	struct ident *account_next; /* of the same account, in use */
	struct ident_use *uses;
	unsigned char hash[IDENT_HASH]; /* of the newest credential for it */
	uint32_t refs;
	uint32_t check_s; /* monotonic: to be asked about again */
	uint32_t until_s; /* monotonic: the credential is good without asking */
	uint32_t heard;   /* the signal up to which a poll was answered, or 0 */
	uint32_t asks;    /* of push_may: requests that still count, */
	uint32_t asks_s;  /* ... as of then; monotonic */
	uint8_t form;     /* enum hub_form */
	uint8_t known : 1;   /* found by the credential's hash */
	uint8_t resting : 1; /* known, and not in use */
	uint8_t asked : 1;   /* a question about it is on its way */
	uint8_t again : 1;   /* ... and already out of date */
	uint8_t doubt : 1;   /* a session changed: its connections are held */
	uint8_t gone : 1;    /* refused since: the memory of it is void */
	uint8_t early : 1;   /* adopted, and in the line before it is used */
	char ref[];
};

/* Identities one behind the other. */
struct ident_line {
	struct ident *first, *last;
};

/* A connection's hold on an identity; part of its struct. */
struct ident_use {
	struct ident *ident; /* NULL: none */
	struct ident_use *prev, *next;
	const struct ident_ops *ops;
};

#define IDENT_TOO_MANY "too many connections" /* a reason to be gone */

/* What a connection is told of its identity. */
struct ident_ops {
	void (*doubted)(struct ident_use *); /* hold it until changed */
	void (*changed)(struct ident_use *); /* its rooms may be others */
	void (*gone)(struct ident_use *, const char *why); /* close it */
	uint32_t (*idle_since)(struct ident_use *); /* monotonic seconds */
};

/* What came from an address and was worth nothing. */
struct ident_rate {
	uint32_t net;   /* hash of the network; another takes its place */
	uint32_t n;     /* that still count, */
	uint32_t since; /* ... as of then; monotonic seconds */
};

/* What a client shows.  Any may be NULL; all are copied. */
struct ident_cred {
	const char *authorization, *token, *session, *cookie;
	size_t authorization_len, cookie_len;
	const char *origin, *host;
	size_t origin_len, host_len;
	const char *addr;
	int unlimited; /* the limits of addresses are not for it */
};

/* Once: the identity (borrowed), or NULL and why: 401, 403, 429, or 503. */
typedef void ident_fn(void *arg, struct ident *id, int status, const char *code,
    const char *error);

struct idents {
	struct ev_loop *loop;
	struct backend *backend;
	struct presence *presence;
	struct table refs, creds, persons, accounts, asking;
	struct ident_ask *first, *last; /* not yet on their way */
	struct ident_line due;          /* in use, by check_s */
	struct ident_line resting;      /* by when their use ended */
	int64_t control_id; /* event of the newest change of a session */
	unsigned inflight, inflight_max;
	unsigned ttl_s;
	const struct conf *cf;
	unsigned char key[32]; /* of the hashes of credentials and networks */
	struct ident_rate rates[IDENT_RATES];
	ev_prepare prepare;
	ev_idle spin; /* active while a question waits unseen */
	ev_timer timer;
	uint64_t asked, remembered, refused, limited;
};

struct ident_wait;

/*
 * idents_init(x, loop, backend, presence, cf):
 * Nobody known.  An answer of ${backend} holds for identity_s; at most
 * push_pool questions are under way.  Borrows all of it.  0, or -1 without
 * memory.
 */
int idents_init(struct idents *x, struct ev_loop *loop, struct backend *backend,
    struct presence *presence, const struct conf *cf);
void idents_fini(struct idents *x);

/*
 * ident_ask(x, cred, fn, arg):
 * Ask who shows ${cred}.  ${fn} is called later, never from within.  Where too
 * much of what its address shows has been worth nothing, nobody is asked of
 * what is not known.  Returns a handle good until then, or NULL without memory.
 */
struct ident_wait *ident_ask(
    struct idents *x, const struct ident_cred *cred, ident_fn *fn, void *arg);

/* ident_cancel(x, w): ${fn} will not be called.  Takes NULL. */
void ident_cancel(struct idents *x, struct ident_wait *w);

/* ident_hold(id), ident_drop(x, id): keep an identity without using it. */
void ident_hold(struct ident *id);
void ident_drop(struct idents *x, struct ident *id);

/*
 * ident_use(x, id, use, ops, unlimited):
 * A connection takes the identity; beyond the account's limit its connection
 * that has been idle longest is told to go, unless ${unlimited}.
 */
void ident_use(struct idents *x, struct ident *id, struct ident_use *use,
    const struct ident_ops *ops, int unlimited);

/* ident_unuse(x, use): the connection ends.  Nothing if it has none. */
void ident_unuse(struct idents *x, struct ident_use *use);

/*
 * ident_control(x, e):
 * Sessions have changed: ask about those of event ${e} at once.
 */
void ident_control(struct idents *x, const struct event *e);

/*
 * ident_join(h, sub, id):
 * Put ${sub} into just the rooms that ${id} has now.  0, or -1 without memory.
 */
int ident_join(struct hub *h, struct hub_sub *sub, struct ident *id);

/*
 * idents_carry(x, each, arg):
 * Call ${each} with what the next pushd has to know, an identity in use a
 * time; its connections name it by its reference.
 */
void idents_carry(const struct idents *x,
    void (*each)(void *arg, const struct buf *one), void *arg);

/*
 * idents_adopt(x, in):
 * Take one over, so that ident_of finds it.  0, or -1 if it was malformed.
 */
int idents_adopt(struct idents *x, struct carry_in *in);

/* idents_adopted(x): all have come and are in use, or go. */
void idents_adopted(struct idents *x);

/* ident_of(x, ref): the identity of that reference (borrowed), or NULL. */
struct ident *ident_of(const struct idents *x, const char *ref);

#define IDENT_ROOM 1u /* flag of a room that follows from the identity */

#endif
