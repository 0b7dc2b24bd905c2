#ifndef PARLEY_EMIT_H
#define PARLEY_EMIT_H

/*
 * Events to pushd, after COMMIT.  A hint for speed: it never blocks, never
 * fails a request, and losing one loses nothing.
 * The queue belongs to the process, which has one transaction at a time.
 */

#include "../common/conf.h"
#include "../common/event.h"

#include <stdint.h>

/* emit_init(cf): where to send; no socket is opened yet.  Keeps ${cf}. */
void emit_init(const struct conf *cf);

/*
 * emit_event(e):
 * Queue a copy of ${e}; called inside the transaction, after its INSERT.
 * Never fails: what finds no room becomes a hint by id alone.
 */
void emit_event(const struct event *e);

/* emit_flush(): send what is queued; called after COMMIT returned good. */
void emit_flush(void);

/* emit_drop(): forget what is queued; called on ROLLBACK. */
void emit_drop(void);

/* emit_ephemeral(e): send an event with id 0 (typing, presence) at once. */
void emit_ephemeral(const struct event *e);

/* emit_lost(), emit_sent(): hints of all processes, for /metrics. */
uint64_t emit_lost(void);
uint64_t emit_sent(void);

/* emit_fini(): close the socket, free the queue. */
void emit_fini(void);

#endif
