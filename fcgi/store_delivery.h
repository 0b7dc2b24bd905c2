#ifndef STORE_DELIVERY_H
#define STORE_DELIVERY_H

#include "store.h"

/*
 * What goes out to platforms.  States move forward only: queued, sending,
 * sent, delivered, read; failed and unknown from queued or sending.  Each
 * change that shows is a message_status event; a message is as far as the
 * least of its parts.
 */

struct delivery {
	int64_t id; /* the number N */
	char uuid[37];
	int64_t message, conversation, channel, customer;
	int part;
	int64_t tries; /* this one counted */
	int64_t created_at;
	int64_t first_at; /* its first claim, this one or one before */
	bool doubt;       /* an earlier try may have arrived */
	bool once;        /* it had an answer that is tried again only once */
	bool by_bot;      /* nobody wrote it: a program did */
	char platform[12];
	char conversation_external[256];
	char customer_external[256]; /* "" if not known */
	char quote_external[256];    /* platform's id of the quoted one, "" */
	char quote_token[512];       /* that came with the quoted one, or "" */
	char reply_token[512]; /* that came with the customer's newest one, not
				  30 s ago, and was not offered yet; or "".
				  At the first claim only */
	int64_t last_inbound_at;
	int64_t sent_since; /* without what waits behind it */
	char kind[12];
	char *content;                   /* whole text of the message; owned */
	struct json_object *attachments; /* array or NULL; owned */
	struct json_object *payload;     /* object or NULL; owned */
};
void delivery_fini(struct delivery *d);

/*
 * store_delivery_claim(st, channel, by, lease_ms, d):
 * The channel's delivery that is due longest, with nothing older of its
 * conversation still to go; it is `sending` and ours for ${lease_ms}.
 * STORE_NONE: nothing is due, or the channel is not ok or must wait.  ${by} is
 * a name for this one claim: who claims twice is two.
 */
int store_delivery_claim(struct store *st, int64_t channel, const char *by,
    int64_t lease_ms, struct delivery *d);

/*
 * store_delivery_written(st, id, by, said): the request is about to leave; from
 * here no outcome but an answer is known.  ${said}, of echo_mark(), is how its
 * echo is told (NULL: not).  Commits by itself.  STORE_NONE: the lease is not
 * ours any more: do not send.
 */
int store_delivery_written(
    struct store *st, int64_t id, const char *by, const char *said);

/*
 * store_delivery_parts(st, id, n): the message takes ${n} requests; the others
 * become deliveries of their own behind this one.  Idempotent.
 */
int store_delivery_parts(struct store *st, int64_t id, int n);

/* How a try ended. */
struct delivery_end {
	const char *state; /* sent, failed, unknown; queued: again later */
	const char *external_id; /* sent */
	const char *error;       /* for agents; NULL: none */
	bool doubt;              /* what was tried may have arrived */
	bool once;               /* queued: not again after such an answer */
	bool held;               /* queued: it was not its fault, and no try */
	int64_t due_at;          /* queued: not before */
	int64_t sent_at;         /* sent: the platform's time, 0: now */
	int64_t wait_until;      /* unknown: an echo may still settle it; it
				    stays `sending` until then.  0: at once */
};
/*
 * store_delivery_end(st, id, by, e): DONE, or NONE if it is not ours (an echo
 * has settled it, or the lease ran out), unless it is known to be sent, and was
 * unknown.  With external_id that an echo row
 * already holds, that row goes and this message takes its id (the echo race).
 * Where it failed or is unknown, the message's later parts fail, too.
 */
int store_delivery_end(
    struct store *st, int64_t id, const char *by, const struct delivery_end *e);

/*
 * store_delivery_echo(st, n, channel, conversation, external_id, sent_at): an
 * echo names our number N (its platform lets it): that delivery is sent, with
 * this id, also when it was taken for failed.  REPEATED: it ended before, and
 * had its id.  STORE_NONE: not one of
 * that channel and ${conversation} (0: any), or never on its way.
 */
int store_delivery_echo(struct store *st, int64_t n, int64_t channel,
    int64_t conversation, const char *external_id, int64_t sent_at);

/*
 * store_delivery_lapsed(st): DONE if a lease ran out.
 * store_delivery_expired(st, n): of those the oldest: written ones become
 * unknown, others are queued again; how many.
 *
 * store_delivery_orphans(st, n): what waits for channels that are deleted has
 * failed, some of it; how many.
 */
int store_delivery_orphans(struct store *st, int64_t *n);
int store_delivery_lapsed(struct store *st);
int store_delivery_expired(struct store *st, int64_t *n);

/*
 * store_delivery_receipt(st, channel, external_id, status) and
 * store_delivery_watermark(st, conversation, at, status): delivered or read.
 * REPEATED: nothing moved.  A receipt for an id that no delivery has is kept
 * for one that is told it later.
 *
 * store_delivery_refused(st, channel, external_id, error): the platform says
 * that what it took did not arrive: failed, unless a receipt said otherwise.
 * Kept likewise.
 *
 * store_delivery_echoed(st, channel, external_id, conversation, at): an echo
 * came, of our own message or another's, that the platform took at ${at}: what
 * was read before we knew of it is read.
 */
int store_delivery_receipt(struct store *st, int64_t channel,
    const char *external_id, const char *status);
int store_delivery_watermark(
    struct store *st, int64_t conversation, int64_t at, const char *status);
int store_delivery_refused(struct store *st, int64_t channel,
    const char *external_id, const char *error);
int store_delivery_echoed(struct store *st, int64_t channel,
    const char *external_id, int64_t conversation, int64_t at);

/*
 * store_delivery_hold(st, channel, until_ms): the whole account waits.
 * store_delivery_resend(st, who, message, out): failed or unknown parts are
 * queued again under the same key.
 * store_delivery_due(st, at): when the next one is due, of accounts that need
 * not wait; NONE if none.
 * store_delivery_counts(st, out): returns new {state: n, ...}, for metrics.
 */
int store_delivery_hold(struct store *st, int64_t channel, int64_t until_ms);
int store_delivery_resend(struct store *st, const struct who *who,
    int64_t message, struct json_object **out);
int store_delivery_due(struct store *st, int64_t *at);
int store_delivery_counts(struct store *st, struct json_object **out);

#endif
