#ifndef PARLEY_SIOPAST_H
#define PARLEY_SIOPAST_H

/*
 * Socket.IO clients that broke off: who they were and what they had joined,
 * for as long as they may come back as if nothing had been.  Bounded in time
 * and number, also of one person's; what is forgotten costs a client its
 * joins, not its events.
 */

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "carry.h"
#include "table.h"

enum { SIOPAST_PID = 20 /* bytes of a client's private id */ };

struct siopast_one;
struct siopast_who;

struct siopast {
	struct table pids, whos;
	struct siopast_one *first, **last; /* by time */
	size_t n;
	const int64_t *life_s, *max, *who_max; /* settings */
};

/* siopast_init(x, life_s, max, who_max): borrows the settings. */
void siopast_init(struct siopast *x, const int64_t *life_s, const int64_t *max,
    const int64_t *who_max);
/* siopast_fini(x): forget all. */
void siopast_fini(struct siopast *x);

/*
 * siopast_add(x, pid, who, rooms, len, now_s):
 * The client ${pid} of the person ${who} broke off; ${rooms} (copied) are the
 * names of what it had joined, each with a NUL.  Without memory it is
 * forgotten.
 */
void siopast_add(struct siopast *x, const char pid[SIOPAST_PID],
    const char *who, const char *rooms, size_t len, uint32_t now_s);

/*
 * siopast_take(x, pid, who, rooms, now_s):
 * The client comes back, as ${who}: 1, its rooms are appended and it is
 * forgotten; 0 if it is not known, or was somebody else.
 */
int siopast_take(struct siopast *x, const char pid[SIOPAST_PID],
    const char *who, struct buf *rooms, uint32_t now_s);

/* siopast_lost(x, who, now_s): whether a client of ${who} broke off lately. */
int siopast_lost(struct siopast *x, const char *who, uint32_t now_s);

/*
 * siopast_carry(x, each, arg), siopast_adopt(x, in):
 * Call ${each} with each client, the oldest first; remember it.  0, or -1 if
 * that was malformed.
 */
void siopast_carry(const struct siopast *x,
    void (*each)(void *arg, const struct buf *one), void *arg);
int siopast_adopt(struct siopast *x, struct carry_in *in);

#endif
