/*
 * Presence without pushd.  A poll with nothing new costs no database here
 * either: the shared file of rates says when somebody's mark is due again.
 */

#include "seen.h"

#include "auth.h"
#include "rate.h"
#include "route.h"
#include "store_presence.h"

#include <string.h>

/* Of presence_quiet_s, so that one mark may fail unnoticed. */
#define MARK_PERCENT 40
#define TIDY_PERCENT 10

static int64_t
quiet_ms(const struct req *rq, int percent)
{
	return rq->cf->presence_quiet_s * 10 * percent;
}

/* Whether it is the first time in ${every_ms}, of all processes. */
static bool
first(const struct req *rq, char kind, int64_t id, int64_t every_ms)
{
	char key[2 + sizeof(id)] = { 's', kind };

	memcpy(key + 2, &id, sizeof(id));
	return rate_bucket(
		   rq->cf, key, sizeof(key), 1, every_ms, 1, rq->now_ms) == 0;
}

bool
seen_due(struct req *rq, int status)
{
	const char *code;

	if (rq->cf->push_daemon || rq->route == NULL || status >= 400 ||
	    (rq->route->flags & ROUTE_HERE) == 0 ||
	    (rq->who.kind != WHO_USER && rq->who.kind != WHO_CUSTOMER) ||
	    !first(rq, rq->who.kind == WHO_USER ? 'u' : 'c', rq->who.id,
		quiet_ms(rq, MARK_PERCENT)))
		return false;
	/* A signature may outlive its session. */
	return auth_confirm(rq, &code) == 0;
}

void
seen_mark(struct req *rq)
{
	struct store *st = req_store(rq);

	/* What fails is done at the next mark. */
	if (st == NULL)
		return;
	(void)store_presence_seen(st, &rq->who, quiet_ms(rq, MARK_PERCENT));
	seen_tidy(rq);
}

void
seen_tidy(struct req *rq)
{
	if (rq->cf->push_daemon || rq->st == NULL ||
	    !first(rq, 't', 0, quiet_ms(rq, TIDY_PERCENT)))
		return;
	(void)store_presence_expire(rq->st, quiet_ms(rq, 100));
}
