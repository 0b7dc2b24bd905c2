/* p_customer.c: the list of customers, and one of them. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "h.h"
#include "json.h"
#include "p_card.h"
#include "p_customer.h"
#include "p_view.h"
#include "p_words.h"
#include "store_customer.h"
#include "store_event.h"

#define ROWS 50
#define HISTORY 50
#define QUERY_BYTES_MAX 800

/* The frame around both pages; in a read transaction. */
static int
put_frame(struct view *v)
{
	struct json_object *nav = json_object_new_object();
	struct log_state s;

	json_put_bool(nav, "customers", true);
	json_put(v->model, "nav", nav);
	json_put_str(v->model, "script", "inbox");
	view_title(v, view_text(v, "customer.title"));
	view_key(v, "key");
	if (store_log_state(v->rq->st, &s) != STORE_DONE || view_agent(v) == -1)
		return STORE_FAILED;
	json_put_int(v->model, "cursor", s.head);
	return STORE_DONE;
}

static int
put_people(struct view *v)
{
	const char *q, *page, *next = NULL;
	struct store_page pg = { .limit = ROWS };
	struct json_object *list = NULL, *items = NULL;
	struct buf url;
	size_t len;
	int rc;

	q = req_query(v->rq, "q", &len);
	if (q == NULL || len > QUERY_BYTES_MAX)
		q = "";
	page = req_query(v->rq, "page", &len);
	if (page != NULL && store_page_parse(page, len, &pg) == -1)
		return STORE_NONE;
	rc = store_customers(
	    v->rq->st, &v->rq->who, *q != '\0' ? q : NULL, &pg, &list);
	if (rc != STORE_DONE)
		return rc;
	(void)json_get_arr(list, "items", &items);
	for (size_t i = 0; i < json_object_array_length(items); i++)
		card_customer(v, json_object_array_get_idx(items, i));
	json_put(v->model, "rows", json_object_get(items));
	json_put_str(v->model, "q", q);

	buf_init(&url, 4096);
	buf_printf(&url, "%s/customers", v->rq->base_path);
	view_url(&url, "q", q);
	if (page != NULL)
		json_put_strn(v->model, "first_url", url.data, url.len);
	if (json_get_str(list, "next", &next, NULL) == 1) {
		view_url(&url, "page", next);
		json_put_strn(v->model, "next_url", url.data, url.len);
	}
	buf_fini(&url);
	json_object_put(list);
	return STORE_DONE;
}

/* "Phone: please check what is written there."  ${field}: NULL unknown. */
static void
put_fault(struct view *v, const char *field)
{
	static const char *const known[] = { "name", "phone", "email", "notes",
		"tags" };
	char key[32] = "";
	struct buf b;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (field != NULL && strcmp(field, known[i]) == 0)
			snprintf(key, sizeof(key), "customer.%s", field);
	if (key[0] == '\0') {
		json_put_str(v->model, "fault", view_text(v, "error.invalid"));
		return;
	}
	buf_init(&b, 1024);
	buf_printf(
	    &b, "%s: %s", view_text(v, key), view_text(v, "error.field"));
	json_put_str(v->model, "fault", b.data);
	buf_fini(&b);
}

/* ${form}: what was typed, NULL nothing; taken. */
static int
people_show(
    struct req *rq, struct rsp *rs, int status, struct json_object *form)
{
	struct view v;
	int rc = STORE_FAILED;

	view_begin(&v, rq, rs, "customers");
	if (form != NULL) {
		json_put(v.model, "form", form);
		put_fault(&v, rq->bad_field);
	}
	if (store_read(rq->st) != STORE_FAILED) {
		rc = put_frame(&v);
		if (rc == STORE_DONE)
			rc = put_people(&v);
		store_read_end(rq->st);
	}
	if (rc == STORE_DONE)
		return view_end(&v, status, "customers");
	view_drop(&v);
	return h_refuse(rq, rs, rc);
}

/*
 * GET /customers    ?q= &page=
 * 200 the list, newest change first, and the form for a new one.
 */
int
people_page(struct req *rq, struct rsp *rs)
{
	return people_show(rq, rs, 200, NULL);
}

/* What was typed, for the form that comes back. */
static struct json_object *
form_typed(struct req *rq)
{
	static const char *const keys[] = { "name", "phone", "email" };
	struct json_object *form = json_object_new_object();

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		json_put_str(form, keys[i], req_form(rq, keys[i], NULL));
	return form;
}

/* A text that may be emptied: absent stays, "" clears. */
static const char *
clearable(struct req *rq, const char *key, const char *good)
{
	const char *sent = req_form(rq, key, NULL);

	return good == NULL && sent != NULL && sent[0] == '\0' ? "" : good;
}

static void
read_person(struct req *rq, struct customer_patch *p)
{
	size_t value = (size_t)rq->cf->value_chars_max;

	p->name = clearable(rq, "name", h_name(rq, "name", 0));
	p->phone = clearable(rq, "phone", h_phone(rq, "phone"));
	p->email = clearable(rq, "email", h_email(rq, "email"));
	p->notes = clearable(
	    rq, "notes", req_text(rq, "notes", 0, value, value * 4, NULL));
}

/*
 * POST /customers    key, name, phone?, email?
 * 303 to the new customer; the same key again leads to the same one.
 * 422 the list with the form as typed.
 */
int
people_post(struct req *rq, struct rsp *rs)
{
	const char *key = req_str(rq, "key", 1, 128), *url = NULL;
	struct customer_patch p = { 0 };
	char path[64] = "";
	int64_t id = 0;
	int rc;

	if (key == NULL)
		return h_invalid(rq, rs);
	read_person(rq, &p);
	if (rq->bad_field == NULL && (p.name == NULL || *p.name == '\0'))
		rq->bad_field = "name";
	if (rq->bad_field != NULL)
		return people_show(rq, rs, 422, form_typed(rq));
	rc = once_begin(rq, key, &url);
	if (rc == STORE_DONE) {
		rc = store_customer_add(rq->st, &rq->who, &p, &id);
		snprintf(path, sizeof(path), "/customers/%" PRId64, id);
		rc = once_end(rq, key, rc, path);
	}
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		return h_refuse(rq, rs, rc);
	return rsp_redirect(rs, url != NULL ? url : path);
}

/* What was typed in place of what is stored, in a form that comes back. */
static void
put_typed(struct req *rq, struct json_object *customer)
{
	static const char *const keys[] = { "name", "phone", "email", "notes" };
	const char *typed;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if ((typed = req_form(rq, keys[i], NULL)) != NULL)
			json_put_str(customer, keys[i], typed);
	if ((typed = req_form(rq, "tags", NULL)) != NULL)
		json_put_str(customer, "tags_text", typed);
}

static int
person_show(struct req *rq, struct rsp *rs, int status)
{
	struct json_object *customer = NULL, *history = NULL;
	const char *name = "";
	struct view v;
	int rc = STORE_FAILED;

	view_begin(&v, rq, rs, "customer");
	if (store_read(rq->st) != STORE_FAILED) {
		rc = put_frame(&v);
		if (rc == STORE_DONE)
			rc = store_customer(
			    rq->st, &rq->who, rq->id[0], &customer);
		if (rc == STORE_DONE)
			rc = card_history(&v, rq->id[0], 0, HISTORY, &history);
		store_read_end(rq->st);
	}
	if (rc != STORE_DONE) {
		json_object_put(customer);
		json_object_put(history);
		view_drop(&v);
		return h_refuse(rq, rs, rc);
	}
	card_customer(&v, customer);
	json_put(customer, "history_rows", history);
	(void)json_get_str(customer, "display_name", &name, NULL);
	view_title(&v, name);
	if (status != 200) {
		put_fault(&v, rq->bad_field);
		put_typed(rq, customer);
	}
	json_put(v.model, "customer", customer);
	return view_end(&v, status, "customer");
}

/*
 * GET /customers/:id
 * 200 the customer: what is known, conversations; 404.
 */
int
person_page(struct req *rq, struct rsp *rs)
{
	return person_show(rq, rs, 200);
}

/*
 * POST /customers/:id    key, name, phone, email, tags, notes
 * 303 back to the page; 422 the page again; 404.
 */
int
person_post(struct req *rq, struct rsp *rs)
{
	const char *key = req_str(rq, "key", 1, 128), *url = NULL;
	const char *tags = req_form(rq, "tags", NULL);
	struct customer_patch p = { 0 };
	char path[64];
	int rc;

	if (key == NULL)
		return h_invalid(rq, rs);
	read_person(rq, &p);
	if (rq->bad_field != NULL)
		return person_show(rq, rs, 422);
	if (tags != NULL)
		p.tags = words_taglist(tags);
	if (p.tags != NULL && !words_tags_good(rq->cf, p.tags)) {
		json_object_put(p.tags);
		rq->bad_field = "tags";
		return person_show(rq, rs, 422);
	}
	snprintf(
	    path, sizeof(path), "/customers/%" PRId64 "?saved=1", rq->id[0]);
	rc = once_begin(rq, key, &url);
	if (rc == STORE_DONE) {
		rc = store_customer_patch(rq->st, &rq->who, rq->id[0], &p);
		rc = once_end(rq, key, rc, path);
	}
	json_object_put(p.tags);
	if (rc == STORE_INVALID)
		return person_show(rq, rs, 422);
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		return h_refuse(rq, rs, rc);
	return rsp_redirect(rs, path);
}
