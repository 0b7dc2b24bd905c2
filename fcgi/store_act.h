#ifndef STORE_ACT_H
#define STORE_ACT_H

#include "store.h"

/*
 * What platforms show their customers besides messages: that an agent types,
 * and that what they wrote was seen.
 */

/* A conversation on a platform. */
struct act {
	int64_t conversation, channel;
	char conversation_external[256];
	char customer_external[256]; /* "" if not known */
	char message_external[256];  /* the customer's newest, "" */
	char seen_token[512];        /* that came with it, or "" */
};

/*
 * store_act(st, conversation, a): ${a} of that one; NONE: gone, or not on a
 * platform.
 */
int store_act(struct store *st, int64_t conversation, struct act *a);

/*
 * store_act_typing(st, list, max, n): platforms' conversations that an agent
 * types in at this moment.
 */
int store_act_typing(struct store *st, int64_t *list, size_t max, size_t *n);

/*
 * store_act_seen(st, conversation): one that an agent has read further, whose
 * platform is to be told; it is told once: DONE takes it off the list.  NONE.
 */
int store_act_seen(struct store *st, int64_t *conversation);

#endif
