#ifndef STORE_CUSTOMER_H
#define STORE_CUSTOMER_H

#include "store.h"

/* Customers and who they are on each channel. */

/* A new customer or a change; NULL members stay (or start empty). */
struct customer_patch {
	const char *name, *phone, *email, *locale, *avatar_url, *notes;
	struct json_object *attributes; /* object; replaces; NULL: stays */
	struct json_object *tags;       /* array of names; replaces */
};

/*
 * store_customer_add(st, who, p, id) / store_customer_patch(st, who, id, p):
 * customer_created, customer_updated in the same transaction.
 */
int store_customer_add(struct store *st, const struct who *who,
    const struct customer_patch *p, int64_t *id);
int store_customer_patch(struct store *st, const struct who *who, int64_t id,
    const struct customer_patch *p);

/*
 * store_customer_delete(st, who, id): gone from lists, identities freed, its
 * sessions ended, its conversations closed.  customer_deleted {id}.
 */
int store_customer_delete(struct store *st, const struct who *who, int64_t id);

/*
 * store_customer(st, who, id, out): all of it for agents; for the customer
 * itself {id, name, phone, email, locale, avatar_url}.
 * store_customers: newest change first (next: "updated_at.id"); ${q} NULL or
 * text to find in name, phone or email among the newest 2,000.
 * store_customer_conversations: its conversations, newest activity first.
 */
int store_customer(struct store *st, const struct who *who, int64_t id,
    struct json_object **out);
int store_customers(struct store *st, const struct who *who, const char *q,
    const struct store_page *pg, struct json_object **out);
int store_customer_conversations(struct store *st, const struct who *who,
    int64_t id, const struct store_page *pg, struct json_object **out);

/* store_customer_name(st, id, name, size): 0 bytes if it has none. */
int store_customer_name(struct store *st, int64_t id, char *name, size_t size);

/*
 * store_identity(st, channel, external, p, customer):
 * The customer that is ${external} there; made from ${p} (may be NULL) if
 * nobody is.  STORE_DONE: made now; STORE_REPEATED: was there.
 */
int store_identity(struct store *st, int64_t channel, const char *external,
    const struct customer_patch *p, int64_t *customer);
/* store_identity_of: how the customer is called on that channel. */
int store_identity_of(struct store *st, int64_t channel, int64_t customer,
    char *external, size_t size);
/* store_identity_follow: follow or unfollow mark, the newer one wins. */
int store_identity_follow(struct store *st, int64_t channel,
    const char *external, bool follow, int64_t at);

/*
 * store_customers_bare(st, platform, limit, out): returns new [{customer_id,
 * channel_id,external_id,conversation}] of customers without a name, for
 * looking up profiles, with the external id of their newest conversation;
 * store_customer_profiled marks that it was tried (no event unless something
 * changed); store_customer_profile_later: not before a while, which is the
 * longer the older the customer is.
 */
int store_customers_bare(struct store *st, const char *platform, int limit,
    struct json_object **out);
int store_customer_profile_later(struct store *st, int64_t id);
int store_customer_profiled(
    struct store *st, int64_t id, const char *name, const char *avatar_url);

#endif
