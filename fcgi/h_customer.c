/* Customers, as agents keep them. */

#include "h_customer.h"

#include "../common/utf8.h"
#include "h.h"
#include "store_customer.h"

#include <string.h>

/*
 * GET /api/customers    ?q= ?before= ?limit=
 * 200 {"items","next","cursor"}: newest change first; `q` is looked for in
 * name, phone and email.  400 bad_request: limit, before; 422 invalid: q.
 */
int
customer_list(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	struct store_page pg;
	const char *q;
	size_t len = 0;
	int rc, status;

	if ((status = h_page(rq, rs, &pg)) != 0)
		return status;
	q = req_query(rq, "q", &len);
	if (q != NULL &&
	    (strlen(q) != len ||
		utf8_chars(q, len) > (size_t)rq->cf->name_chars_max)) {
		rq->bad_field = "q";
		return h_invalid(rq, rs);
	}
	rc = store_customers(rq->st, &rq->who, len > 0 ? q : NULL, &pg, &o);
	return h_answer(rq, rs, 200, rc, o, 0);
}

/* Reads the members of a new or changed customer; bad_field if wrong. */
static void
read_customer(struct req *rq, struct customer_patch *p)
{
	size_t max = (size_t)rq->cf->message_chars_max;

	memset(p, 0, sizeof(*p));
	p->name = h_name(rq, "name", 0);
	p->phone = h_phone(rq, "phone");
	p->email = h_email(rq, "email");
	p->locale = req_opt(rq, "locale", 8, NULL);
	p->notes = req_text(
	    rq, "notes", 0, max, (size_t)rq->cf->message_bytes_max, NULL);
	if (p->notes == NULL && rq->bad_field == NULL &&
	    json_object_object_get_ex(rq->json, "notes", NULL))
		p->notes = ""; /* null or "": none */
	(void)h_attributes(rq, "attributes", &p->attributes);
	(void)h_tags(rq, "tags", &p->tags);
}

static int
customer_make(struct req *rq, struct rsp *rs)
{
	struct customer_patch p;
	struct json_object *o = NULL;
	int64_t id = 0;
	int rc;

	read_customer(rq, &p);
	if (rq->bad_field == NULL && p.name == NULL)
		rq->bad_field = "name";
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_customer_add(rq->st, &rq->who, &p, &id);
	if (h_good(rc))
		rc = store_customer(rq->st, &rq->who, id, &o);
	return h_end(rq, rs, 201, rc, o);
}

/*
 * POST /api/customers    {"name", "phone"?, "email"?, "locale"?, "notes"?,
 *	"attributes"?: {text: text}, "tags"?: [name...]}
 * 201 the customer.  422 invalid: the member that is.
 */
int
customer_post(struct req *rq, struct rsp *rs)
{
	return h_once(rq, rs, customer_make);
}

/*
 * GET /api/customers/:id
 * 200 the customer.  404.
 */
int
customer_get(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t cursor;
	int rc;

	if ((cursor = h_read(rq)) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_customer(rq->st, &rq->who, rq->id[0], &o);
	h_read_end(rq);
	return h_answer(rq, rs, 200, rc, o, cursor);
}

/*
 * PATCH /api/customers/:id    members as in POST; absent ones stay
 * 200 the customer.  404; 422 invalid: the member that is.
 */
int
customer_patch(struct req *rq, struct rsp *rs)
{
	struct customer_patch p;
	struct json_object *o = NULL;
	int rc;

	read_customer(rq, &p);
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_customer_patch(rq->st, &rq->who, rq->id[0], &p);
	if (h_good(rc))
		rc = store_customer(rq->st, &rq->who, rq->id[0], &o);
	return h_end(rq, rs, 200, rc, o);
}

/*
 * DELETE /api/customers/:id
 * 200 {"success":true}: gone from every list, its sessions ended, its
 * conversations closed.  404.
 */
int
customer_delete(struct req *rq, struct rsp *rs)
{
	int rc = store_customer_delete(rq->st, &rq->who, rq->id[0]);

	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}

/*
 * GET /api/customers/:id/conversations    ?before= ?limit=
 * 200 {"items","next","cursor"}: newest activity first.
 * 400 bad_request: limit, before; 404.
 */
int
customer_conversations(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL, *customer = NULL;
	struct store_page pg;
	int rc, status;

	if ((status = h_page(rq, rs, &pg)) != 0)
		return status;
	if (h_read(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_customer(rq->st, &rq->who, rq->id[0], &customer);
	json_object_put(customer);
	if (rc == STORE_DONE)
		rc = store_customer_conversations(
		    rq->st, &rq->who, rq->id[0], &pg, &o);
	h_read_end(rq);
	return h_answer(rq, rs, 200, rc, o, 0);
}
