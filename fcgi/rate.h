#ifndef PARLEY_RATE_H
#define PARLEY_RATE_H

/*
 * Rates, counted in a small mapped file (run/rate.map) that all processes
 * share.  Soft state: without the file each process counts for itself.
 * Two keys may share a slot, and a crowded table forgets the longest unused:
 * a limit may act late, hardly ever early.
 */

#include "../common/conf.h"
#include "req.h"

#include <stddef.h>
#include <stdint.h>

enum rate_kind {
	RATE_CREDENTIAL,       /* requests of a credential */
	RATE_ADDRESS,          /* requests of an address without one */
	RATE_USER_MESSAGE,     /* messages of a person */
	RATE_CONVERSATION,     /* messages of conversation ${id} */
	RATE_CONVERSATION_NEW, /* new conversations of an address */
	RATE_TYPING,           /* typing in conversation ${id} */
	RATE_PRESENCE,         /* presence changes of a person */
	RATE_WEBHOOK,          /* webhooks of channel ${id} */
	RATE_WEBHOOK_FAILURE   /* webhooks without proof of an address */
};

/*
 * rate_take(rq, kind, id):
 * Take one from the asker's bucket of that kind.  0, or the seconds until
 * there is one again: answer rsp_retry(rs, 429, "rate_limited", seconds), or
 * drop it where nobody waits for an answer.
 */
int64_t rate_take(struct req *rq, enum rate_kind kind, int64_t id);

/*
 * rate_peek/rate_fail/rate_clear(cf, account, addr):
 * Log-in failures: seconds to wait before the next try (0: none); count one
 * more, which is done before the try, so that many at once count too; after a
 * good one forget those of the account, and that one of the address. ${account}
 * is the address as typed, whether or not there is such an account.
 */
int64_t rate_peek(const struct conf *cf, const char *account, const char *addr);
void rate_fail(const struct conf *cf, const char *account, const char *addr);
void rate_clear(const struct conf *cf, const char *account, const char *addr);

/*
 * rate_bucket(cf, key, len, rate, per_ms, burst, now_ms):
 * A bucket by itself, as rate_take: ${rate} per ${per_ms}, at most ${burst}.
 */
int64_t rate_bucket(const struct conf *cf, const void *key, size_t len,
    int64_t rate, int64_t per_ms, int64_t burst, int64_t now_ms);

/* rate_close(): unmap; for tests. */
void rate_close(void);

#endif
