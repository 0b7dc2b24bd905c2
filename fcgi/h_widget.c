/* The visitor's side: a session, and messages in one's own conversation. */

#include "h_widget.h"

#include "../common/json.h"
#include "auth_login.h"
#include "h.h"
#include "h_message.h"
#include "rate.h"
#include "store_channel.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_session.h"
#include "token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RESUME_BYTES_MAX 128

/* What a visitor says of itself.  Claims, all of them. */
struct claims {
	struct customer_patch p;
	struct json_object *fields; /* borrowed; NULL: none */
	const char *page;           /* where the widget stands; NULL: unknown */
	const char *resume;         /* what stands in a resume link, or NULL */
};

/* A session under way or about to be. */
struct visit {
	int64_t customer, conversation, channel;
	bool fresh; /* customer and conversation are made now */
	char token[TOKEN_TEXT_SIZE];
	char resume[TOKEN_SIZE];
};

static void
read_claims(struct req *rq, struct claims *c)
{
	memset(c, 0, sizeof(*c));
	c->p.name = h_name(rq, "name", 0);
	c->p.email = h_email(rq, "email");
	c->p.phone = h_phone(rq, "phone");
	c->p.locale = req_opt(rq, "locale", 8, NULL);
	c->page = req_text(rq, "page", 0, (size_t)rq->cf->value_chars_max,
	    (size_t)rq->cf->value_chars_max * 4, NULL);
	c->resume = req_opt(rq, "resume", RESUME_BYTES_MAX, NULL);
	(void)h_attributes(rq, "fields", &c->fields);
}

/*
 * The attributes of ${customer} (0: of a new one) with the fields and the page
 * of ${c} put in: new, or NULL if there is nothing to put.
 */
static struct json_object *
merge_fields(struct req *rq, const struct claims *c, int64_t customer)
{
	struct json_object *was = NULL, *old = NULL, *out;

	if (c->fields == NULL && (c->page == NULL || customer != 0))
		return NULL;
	out = json_object_new_object();
	if (customer != 0 &&
	    store_customer(rq->st, NULL, customer, &was) == STORE_DONE &&
	    json_get_obj(was, "attributes", &old) == 1) {
		json_object_object_foreach(old, key, value)
		{
			json_put(out, key, json_object_get(value));
		}
	}
	json_object_put(was);
	if (c->fields != NULL) {
		json_object_object_foreach(c->fields, key, value)
		{
			if (json_object_object_length(out) <
				(int)rq->cf->attributes_max ||
			    json_object_object_get_ex(out, key, NULL))
				json_put(out, key, json_object_get(value));
		}
	}
	if (c->page != NULL && customer == 0)
		json_put_str(out, "page", c->page);
	return out;
}

/* A new customer with a conversation.  As a store function. */
static int
start(struct req *rq, struct claims *c, struct visit *v)
{
	struct json_object *fields = merge_fields(rq, c, 0);
	int rc;

	c->p.attributes = fields;
	rc = store_customer_add(rq->st, NULL, &c->p, &v->customer);
	json_object_put(fields);
	if (rc != STORE_DONE)
		return rc;
	v->fresh = true;
	return store_conversation_customer(
	    rq->st, NULL, v->customer, v->channel, NULL, &v->conversation);
}

/* What a known visitor says anew, and a conversation if it has none. */
static int
resume(struct req *rq, struct claims *c, struct visit *v)
{
	struct json_object *fields = merge_fields(rq, c, v->customer);
	int rc = STORE_DONE;

	c->p.attributes = fields;
	if (c->p.name != NULL || c->p.email != NULL || c->p.phone != NULL ||
	    c->p.locale != NULL || fields != NULL)
		rc = store_customer_patch(rq->st, NULL, v->customer, &c->p);
	json_object_put(fields);
	if (!h_good(rc) || v->conversation != 0)
		return rc;
	rc = store_conversation_current(
	    rq->st, v->customer, v->channel, &v->conversation);
	if (rc == STORE_NONE)
		rc = store_conversation_customer(rq->st, NULL, v->customer,
		    v->channel, NULL, &v->conversation);
	return rc;
}

/*
 * The secret of the conversation's resume link.  It is made from the signing
 * key and the half-life it falls into, so that coming back does not make a new
 * link each time; each lives a whole life from its first use.
 */
static int
link_make(struct req *rq, struct visit *v)
{
	char hash[TOKEN_HASH_SIZE];
	char text[96];
	int64_t life_ms = rq->cf->resume_life_s * 1000, customer, conversation;
	int n, rc;

	n = snprintf(text, sizeof(text), "%" PRId64 ".%" PRId64 ".%" PRId64,
	    v->customer, v->conversation, rq->now_ms / (life_ms / 2));
	token_mac(rq->cf, "resume", text, (size_t)n, v->resume);
	token_hash(v->resume, strlen(v->resume), hash);
	rc = store_link_find(rq->st, hash, &customer, &conversation);
	if (rc != STORE_NONE && rc != STORE_REFUSED)
		return rc;
	if (rc == STORE_REFUSED) { /* withdrawn: one by chance */
		token_new(v->resume);
		token_hash(v->resume, strlen(v->resume), hash);
	}
	return store_link_add(
	    rq->st, hash, v->customer, v->conversation, rq->now_ms + life_ms);
}

/*
 * The token: the one it came with, while half of its life is left, else a new
 * session's.
 */
static int
token_make(struct req *rq, struct visit *v)
{
	const char *p = req_header(rq, "Authorization");
	int64_t left_ms = rq->who.expires_at - rq->now_ms, expires_at;
	size_t len;

	if (rq->who.kind == WHO_CUSTOMER && rq->who.id == v->customer &&
	    rq->who.via == 'b' && p != NULL &&
	    left_ms > rq->cf->session_life_s * 500) {
		p += strcspn(p, " ");
		p += strspn(p, " ");
		len = strlen(p);
		if (len > 0 && len < sizeof(v->token)) {
			memcpy(v->token, p, len + 1);
			return STORE_DONE;
		}
	}
	return auth_customer_new(
	    rq->st, rq->cf, v->customer, rq->addr, v->token, &expires_at);
}

/* {"token","conversation","customer","resume_url"} */
static int
answer(struct req *rq, struct rsp *rs, const struct visit *v, int rc)
{
	struct who self = { .kind = WHO_CUSTOMER, .id = v->customer };
	struct json_object *o = json_object_new_object(), *thing = NULL;
	struct buf url;

	json_put_str(o, "token", v->token);
	if (h_good(rc))
		rc = store_conversation(rq->st, &self, v->conversation, &thing);
	if (h_good(rc)) {
		json_put(o, "conversation", thing);
		thing = NULL;
		rc = store_customer(rq->st, &self, v->customer, &thing);
	}
	if (h_good(rc))
		json_put(o, "customer", thing);
	buf_init(&url, 4096);
	buf_printf(
	    &url, "%s%s/chat/%s", rq->cf->base_url, rq->base_path, v->resume);
	json_put_str(o, "resume_url", url.data);
	buf_fini(&url);
	return h_end(rq, rs, v->fresh ? 201 : 200, rc, o);
}

/*
 * POST /api/widget/session    {"name"?, "email"?, "phone"?, "page"?, "locale"?,
 *	"fields"?: {text: text}, "resume"?: what stands in a resume link}
 * 201 {"token","conversation","customer","resume_url"}: a new customer; 200
 * the one whose token (Authorization) or resume link it is.  X-Event-Cursor.
 * 401 unauthenticated: a bad token; 404, 410 gone: the link; 422 invalid: the
 * member that is; 429 rate_limited: 10 new conversations a minute per address.
 */
int
widget_post_session(struct req *rq, struct rsp *rs)
{
	char hash[TOKEN_HASH_SIZE];
	struct claims c;
	struct visit v;
	int64_t wait_s;
	int rc;

	memset(&v, 0, sizeof(v));
	read_claims(rq, &c);
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if (c.resume != NULL && *c.resume != '\0') {
		token_hash(c.resume, strlen(c.resume), hash);
		rc =
		    store_link_find(rq->st, hash, &v.customer, &v.conversation);
		if (rc == STORE_REFUSED)
			return rsp_error(rs, 410, "gone", NULL);
		if (rc != STORE_DONE)
			return h_refuse(rq, rs, rc);
	} else if (rq->who.kind == WHO_CUSTOMER)
		v.customer = rq->who.id;
	else if (req_header(rq, "Authorization") != NULL &&
		 rq->who.kind == WHO_NOBODY)
		return rsp_error(rs, 401, "unauthenticated", NULL);
	else if ((wait_s = rate_take(rq, RATE_CONVERSATION_NEW, 0)) != 0)
		return rsp_retry(rs, 429, "rate_limited", wait_s);

	rc = store_channel_first(rq->st, "web", &v.channel);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = v.customer == 0 ? start(rq, &c, &v) : resume(rq, &c, &v);
	if (h_good(rc))
		rc = token_make(rq, &v);
	if (h_good(rc))
		rc = link_make(rq, &v);
	return answer(rq, rs, &v, rc);
}

/* The customer's own conversation: 0 and its id, or the status. */
static int
own_conversation(struct req *rq, struct rsp *rs, int64_t *id)
{
	int64_t channel = 0;
	int rc = store_channel_first(rq->st, "web", &channel);

	if (rc == STORE_DONE)
		rc =
		    store_conversation_current(rq->st, rq->who.id, channel, id);
	return h_good(rc) ? 0 : h_refuse(rq, rs, rc);
}

/*
 * GET /api/widget/messages    ?before= ?after= ?limit=
 * As GET /api/conversations/:id/messages for the customer's own conversation.
 */
int
widget_get_messages(struct req *rq, struct rsp *rs)
{
	int64_t id = 0;
	int status = own_conversation(rq, rs, &id);

	return status != 0 ? status : message_list_in(rq, rs, id);
}

/*
 * POST /api/widget/messages    {"content","client_id"?,"reply_to"?,"seen"?}
 * As POST /api/conversations/:id/messages for the customer's own conversation.
 */
int
widget_post_message(struct req *rq, struct rsp *rs)
{
	int64_t id = 0;
	int status = own_conversation(rq, rs, &id);

	return status != 0 ? status : message_post_in(rq, rs, id);
}
