#ifndef STORE_READ_H
#define STORE_READ_H

#include "store.h"

/* How far each has read. */

/*
 * store_read_mark(st, who, id, message): the watermark, forward only;
 * read_receipt to the others (customers are told of agents' reading and agents
 * of the customer's).  ${message} 0: the newest.  STORE_REPEATED: it was there
 * already.  STORE_INVALID: no such message in it.
 */
int store_read_mark(
    struct store *st, const struct who *who, int64_t id, int64_t message);

/*
 * store_receipts(st, who, id, out): returns new [{kind,id,name,message_id,
 * read_at}] of the others; a customer sees only how far agents have read, as
 * one entry without name.
 */
int store_receipts(struct store *st, const struct who *who, int64_t id,
    struct json_object **out);

#endif
