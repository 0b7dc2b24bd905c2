/*
 * p_chat.c: the visitor's pages.  Who has the link of a conversation may read
 * and write in it; who has the cookie finds it again from /chat.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "auth_login.h"
#include "h.h"
#include "id.h"
#include "json.h"
#include "p_chat.h"
#include "p_draft.h"
#include "p_view.h"
#include "p_words.h"
#include "rate.h"
#include "store_channel.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_event.h"
#include "store_message.h"
#include "store_presence.h"
#include "store_read.h"
#include "store_session.h"
#include "store_setting.h"
#include "token.h"
#include "utf8.h"

#define MESSAGES 50
#define KEY_BYTES_MIN 32 /* a form's key is also the seed of the link */

/* A conversation being visited. */
struct visit {
	struct who who; /* its customer */
	int64_t conversation;
	const char *token; /* the browser's token for it, or "" */
};

/* Whether the browser has shown that it takes cookies. */
static bool
takes_cookies(struct req *rq)
{
	return req_cookie(rq, auth_secure(rq) ? "__Host-" AUTH_COOKIE_FORM
					      : AUTH_COOKIE_FORM) != NULL;
}

/* From here on the request is the customer's; the form's token stays. */
static void
become(struct req *rq, struct who *who)
{
	memcpy(who->csrf, rq->who.csrf, sizeof(who->csrf));
	rq->who = *who;
}

/* The shop's name, for headings; lives as long as the request. */
static const char *
shop_name(const struct view *v)
{
	const char *name = view_text(v, "app.name"), *p;
	struct json_object *o = NULL;

	if (store_setting_get(v->rq->st, "shop_name", &o) == STORE_DONE &&
	    json_object_is_type(o, json_type_string) &&
	    json_object_get_string_len(o) > 0) {
		p = json_object_get_string(o);
		p = req_strdup(v->rq, p, strlen(p));
		name = p != NULL ? p : name;
	}
	json_object_put(o);
	return name;
}

/* The newest conversation of the cookie's customer: true and ${*id}. */
static bool
current_conversation(struct req *rq, int64_t *id)
{
	struct who who;
	int64_t channel;

	return auth_customer_cookie(rq, &who) &&
	       store_channel_first(rq->st, "web", &channel) == STORE_DONE &&
	       store_conversation_current(rq->st, who.id, channel, id) ==
		   STORE_DONE;
}

static int
start_show(struct req *rq, struct rsp *rs, int status, const char *key,
    const struct draft *d, const char *fault)
{
	struct json_object *form = json_object_new_object();
	struct view v;

	auth_form(rq, rs);
	view_begin(&v, rq, rs, "start");
	view_title(&v, view_text(&v, "chat.title"));
	json_put_str(v.model, "shop", shop_name(&v));
	view_languages(&v);
	json_put_str(v.model, "text", d->text);
	json_put_str(form, "name", req_form(rq, "name", NULL));
	json_put(v.model, "form", form);
	if (key != NULL)
		json_put_str(v.model, "key", key);
	else
		view_key(&v, "key");
	if (fault != NULL)
		json_put_str(v.model, "fault", view_text(&v, fault));
	return view_end(&v, status, "chat_start");
}

/* Not stored: where that passes, the form again, to be sent again. */
static int
start_failed(struct req *rq, struct rsp *rs, int rc, const char *key,
    const struct draft *d)
{
	const char *code = rc == STORE_FAILED ? h_trouble(rq) : NULL;
	char fault[32];

	if (code == NULL)
		return h_refuse(rq, rs, rc);
	snprintf(fault, sizeof(fault), "error.%s", code);
	return start_show(rq, rs, 503, key, d, fault);
}

/*
 * GET /chat    ?locale=
 * 200 the form; 303 to the conversation whose cookie the browser has.
 */
int
visit_page(struct req *rq, struct rsp *rs)
{
	struct draft none = { .text = "" };
	char path[64];
	int64_t id;

	if (req_query(rq, "new", NULL) == NULL &&
	    current_conversation(rq, &id)) {
		snprintf(path, sizeof(path), "/chat/%" PRId64, id);
		return rsp_redirect(rs, path);
	}
	return start_show(rq, rs, 200, NULL, &none, NULL);
}

/* A customer, a conversation, its first message and its link, or none of it. */
static int
start_store(struct req *rq, const struct customer_patch *p, const char *hash,
    struct message *m, int64_t *id)
{
	struct who who = { .kind = WHO_CUSTOMER };
	int64_t channel;
	int rc;

	if (store_begin(rq->st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_link_find(rq->st, hash, id, &m->conversation);
	if (rc == STORE_DONE) { /* the form was sent before */
		(void)store_end(rq->st, STORE_NONE);
		return STORE_REPEATED;
	}
	if (rc == STORE_NONE)
		rc = store_channel_first(rq->st, "web", &channel);
	if (rc == STORE_DONE)
		rc = store_customer_add(rq->st, NULL, p, id);
	if (rc == STORE_DONE)
		rc = store_conversation_customer(
		    rq->st, NULL, *id, channel, NULL, &m->conversation);
	who.id = *id;
	if (rc == STORE_DONE)
		rc = store_message_add(rq->st, &who, m);
	if (rc == STORE_DONE)
		rc = store_link_add(rq->st, hash, *id, m->conversation,
		    rq->now_ms + rq->cf->resume_life_s * 1000);
	return store_end(rq->st, rc);
}

/* Give the browser a session of the customer, so that it finds back. */
static int
remember(struct req *rq, struct rsp *rs, int64_t customer,
    char token[TOKEN_TEXT_SIZE])
{
	int64_t expires_at = 0;

	if (auth_customer_new(
		rq->st, rq->cf, customer, rq->addr, token, &expires_at) != 1)
		return -1;
	rsp_cookie(
	    rs, AUTH_COOKIE_CUST, token, (expires_at - rq->now_ms) / 1000);
	return 0;
}

/* The name is the visitor's choice: a blank one is none. */
static const char *
visitor_name(struct req *rq)
{
	size_t len = 0;
	const char *name = req_form(rq, "name", &len);

	return name == NULL || utf8_blank(name, len) ? NULL
						     : h_name(rq, "name", 0);
}

/*
 * POST /chat/new    key, name?, content, consent=1, locale?
 * 303 to the conversation, by its link; the same key leads to the same one.
 * 422 the form again: no consent, no text, too long; 429 rate_limited; 503
 * busy, no_space.
 */
int
visit_post_start(struct req *rq, struct rsp *rs)
{
	const char *key = req_str(
	    rq, "key", KEY_BYTES_MIN, (size_t)rq->cf->client_id_bytes_max);
	const char *consent = req_form(rq, "consent", NULL), *fault;
	char secret[TOKEN_SIZE], hash[TOKEN_HASH_SIZE], token[TOKEN_TEXT_SIZE];
	struct customer_patch p = { .name = visitor_name(rq),
		.locale = h_word(rq, "locale", "vi|th|en") };
	struct draft d = { .text = "" };
	struct message m = { .client_id = key };
	char path[TOKEN_SIZE + 16];
	int64_t customer = 0, wait_s;
	int rc;

	m.content = req_opt(rq, "content", 65536, "");
	if (key == NULL || m.content == NULL)
		return h_invalid(rq, rs);
	m.content = view_content(rq, m.content, &m.content_len);
	if (m.content == NULL)
		return rsp_error(rs, 503, "busy", NULL);
	d.text = m.content;
	fault = view_content_fault(rq, m.content, m.content_len);
	if (fault != NULL)
		return start_show(rq, rs, 422, key, &d,
		    strcmp(fault, "empty") == 0 ? "error.empty"
						: "error.too_long");
	if (consent == NULL || strcmp(consent, "1") != 0)
		return start_show(rq, rs, 422, key, &d, "chat.consent_needed");
	if (rq->bad_field != NULL)
		return start_show(rq, rs, 422, key, &d, "error.invalid");

	token_mac(rq->cf, "visit", key, strlen(key), secret);
	token_hash(secret, strlen(secret), hash);
	rc = store_link_find(rq->st, hash, &customer, &m.conversation);
	if (rc == STORE_NONE &&
	    (wait_s = rate_take(rq, RATE_CONVERSATION_NEW, 0)) != 0) {
		rsp_header(rs, "Retry-After", "%" PRId64, wait_s);
		return start_show(rq, rs, 429, key, &d, "error.rate_limited");
	}
	if (rc == STORE_NONE)
		rc = start_store(rq, &p, hash, &m, &customer);
	message_fini(&m);
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		return start_failed(rq, rs, rc, key, &d);
	if (remember(rq, rs, customer, token) == -1)
		return start_failed(rq, rs, STORE_FAILED, key, &d);
	snprintf(path, sizeof(path), "/chat/%s", secret);
	return rsp_redirect(rs, path);
}

/*
 * Whose conversation the address names, by link or by cookie.  0 and ${vs}; or
 * the status of the refusal.
 */
static int
visit_find(struct req *rq, struct rsp *rs, struct visit *vs)
{
	char hash[TOKEN_HASH_SIZE];
	struct who cookie;
	bool known = auth_customer_cookie(rq, &cookie);
	int rc;

	*vs = (struct visit){ .token = "" };
	if (rq->id[0] != 0) {
		if (!known)
			return rsp_error(rs, 404, "not_found", NULL);
		vs->who = cookie;
		vs->conversation = rq->id[0];
	} else {
		token_hash(rq->arg[0], strlen(rq->arg[0]), hash);
		rc = store_link_find(
		    rq->st, hash, &vs->who.id, &vs->conversation);
		if (rc == STORE_REFUSED)
			return rsp_error(rs, 410, "gone", NULL);
		if (rc != STORE_DONE)
			return h_refuse(rq, rs, rc);
		vs->who.kind = WHO_CUSTOMER;
		vs->who.confirmed = true;
		snprintf(vs->who.ref, sizeof(vs->who.ref), "c:%" PRId64 ":0",
		    vs->who.id);
		if (known && cookie.id == vs->who.id)
			vs->who = cookie;
	}
	if (known && cookie.id == vs->who.id)
		vs->token = auth_customer_token(rq);
	rc = store_conversation_may(
	    rq->st, &vs->who, vs->conversation, MAY_SEE, NULL);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	become(rq, &vs->who);
	return 0;
}

/* Whether somebody is there to answer. */
static void
put_us(struct view *v, struct json_object *conversation)
{
	struct json_object *list = NULL, *items = NULL;
	const char *status = "offline", *p;

	if (store_presence(v->rq->st, NULL, NULL, 0, &list) == STORE_DONE &&
	    json_get_arr(list, "items", &items) == 1)
		for (size_t i = 0; i < json_object_array_length(items); i++)
			if (json_get_str(json_object_array_get_idx(items, i),
				"status", &p, NULL) == 1 &&
			    strcmp(p, "online") == 0)
				status = "online";
	json_object_put(list);
	json_put_str(conversation, "us_status", status);
	json_put_str(conversation, "us_text",
	    view_text(v, strcmp(status, "online") == 0 ? "presence.somebody"
						       : "chat.answer_soon"));
}

/* How far the shop has read. */
static int
read_upto(struct req *rq, int64_t id, int64_t *upto)
{
	struct json_object *list = NULL;
	int rc = store_receipts(rq->st, &rq->who, id, &list);

	*upto = 0;
	if (rc != STORE_DONE)
		return rc;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		int64_t message = 0;

		(void)json_get_id(
		    json_object_array_get_idx(list, i), "message_id", &message);
		if (message > *upto)
			*upto = message;
	}
	json_object_put(list);
	return rc;
}

static int
put_messages(struct view *v, struct json_object *conversation, int64_t id)
{
	const char *before = req_query(v->rq, "before", NULL), *next = NULL;
	struct words_eyes eyes = { .customer = true, .id = v->rq->who.id };
	struct json_object *list = NULL, *items = NULL;
	struct store_page pg = { .limit = MESSAGES };
	const char *seen = "0";
	struct buf url;
	int rc;

	if (before != NULL &&
	    (pg.before = id_parse(before, strlen(before))) == 0)
		return STORE_NONE;
	if ((rc = read_upto(v->rq, id, &eyes.read_upto)) != STORE_DONE)
		return rc;
	rc = store_messages(v->rq->st, &v->rq->who, id, &pg, &list);
	if (rc != STORE_DONE)
		return rc;
	(void)json_get_arr(list, "items", &items);
	buf_init(&url, 4096);
	buf_printf(&url, "%s/chat/%s", v->rq->base_path, v->rq->arg[0]);
	if (before != NULL)
		json_put_strn(conversation, "newest_url", url.data, url.len);
	if (json_get_str(list, "next", &next, NULL) == 1) {
		view_url(&url, "before", next);
		json_put_strn(conversation, "older_url", url.data, url.len);
	}
	buf_fini(&url);
	if (json_object_array_length(items) > 0)
		(void)json_get_str(
		    json_object_array_get_idx(items, 0), "id", &seen, NULL);
	json_put_str(conversation, "seen", seen);
	json_put(conversation, "messages", words_messages(v, items, &eyes));
	json_object_put(list);
	return STORE_DONE;
}

/* In one read transaction: the conversation, its messages, the cursor. */
static int
visit_load(struct view *v, const struct visit *vs, int64_t *active_at)
{
	struct json_object *conversation = NULL, *customer = NULL;
	struct req *rq = v->rq;
	const char *p = "";
	struct log_state s;
	int rc;

	if (store_read(rq->st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_log_state(rq->st, &s);
	if (rc == STORE_DONE)
		rc = store_conversation(
		    rq->st, &rq->who, vs->conversation, &conversation);
	if (rc == STORE_DONE)
		rc = store_customer(rq->st, &rq->who, vs->who.id, &customer);
	if (rc == STORE_DONE) {
		if (req_query(rq, "locale", NULL) == NULL &&
		    json_get_str(customer, "locale", &p, NULL) == 1)
			view_locale(v, p);
		rc = put_messages(v, conversation, vs->conversation);
	}
	if (rc == STORE_DONE) {
		put_us(v, conversation);
		json_put_int(v->model, "cursor", s.head);
		(void)json_get_int(conversation, "last_message_at", active_at);
		(void)json_get_str(conversation, "status", &p, NULL);
		json_put_bool(
		    conversation, "is_closed", strcmp(p, "closed") == 0);
	}
	store_read_end(rq->st);
	if (rc == STORE_DONE) {
		json_put(conversation, "customer", customer);
		json_put(v->model, "conversation", conversation);
		return rc;
	}
	json_object_put(conversation);
	json_object_put(customer);
	return rc;
}

static int
visit_show(struct req *rq, struct rsp *rs, int status, const struct visit *vs,
    const struct draft *d)
{
	char token[TOKEN_TEXT_SIZE] = "", path[TOKEN_TEXT_SIZE];
	const char *known = vs->token;
	int64_t active_at = 0;
	struct view v;
	int rc;

	auth_form(rq, rs);
	/* Came by a link: from now on the browser finds back by itself. */
	if (vs->token[0] == '\0' && takes_cookies(rq) &&
	    remember(rq, rs, vs->who.id, token) == 0)
		known = token;
	if (req_is(rq, "GET") && req_query(rq, "before", NULL) == NULL)
		(void)store_read_mark(rq->st, &rq->who, vs->conversation, 0);

	view_begin(&v, rq, rs, "chat");
	rc = visit_load(&v, vs, &active_at);
	if (rc != STORE_DONE) {
		view_drop(&v);
		return h_refuse(rq, rs, rc);
	}
	view_title(&v, view_text(&v, "chat.title"));
	json_put_str(v.model, "shop", shop_name(&v));
	json_put_str(v.model, "script", "chat");
	json_put_str(v.model, "resume", rq->arg[0]);
	json_put_bool(v.model, "by_link", rq->id[0] == 0);
	json_put_str(v.model, "token", known);
	json_put(v.model, "blank", words_blank_message());
	draft_put(&v, d);
	if (d->text[0] == '\0' && req_query(rq, "before", NULL) == NULL) {
		snprintf(path, sizeof(path), "/chat/%s", rq->arg[0]);
		view_refresh(&v, path, "", active_at);
	}
	return view_end(&v, status, "chat");
}

/*
 * GET /chat/:resume    ?before=
 * 200 the conversation of a resume link, or by its id the one of the browser's
 * cookie; 404; 410 the link is used up.
 */
int
visit_conversation(struct req *rq, struct rsp *rs)
{
	struct draft none = { .text = "" };
	struct visit vs;
	char path[TOKEN_TEXT_SIZE];
	int status;

	if ((status = visit_find(rq, rs, &vs)) != 0)
		return status;
	if (vs.token[0] == '\0' && req_query(rq, "c", NULL) == NULL &&
	    !takes_cookies(rq) && strlen(rq->arg[0]) < TOKEN_SIZE) {
		/* See whether the browser takes cookies, once. */
		auth_form(rq, rs);
		snprintf(path, sizeof(path), "/chat/%s?c=1", rq->arg[0]);
		return rsp_redirect(rs, path);
	}
	return visit_show(rq, rs, 200, &vs, &none);
}

/* 303 back to the conversation. */
static int
back_to(struct req *rq, struct rsp *rs)
{
	char path[TOKEN_TEXT_SIZE];

	snprintf(path, sizeof(path), "/chat/%s", rq->arg[0]);
	return rsp_redirect(rs, path);
}

/*
 * POST /chat/:resume/messages    content, key, seen
 * 303 back; the same key again is the same message.
 * 409, 422, 429, 503 the page again with the text kept; 404, 410.
 */
int
visit_post_with(struct req *rq, struct rsp *rs, post_file *keep)
{
	struct message m = { 0 };
	struct draft d = { .text = "" };
	struct visit vs;
	int status;

	if ((status = visit_find(rq, rs, &vs)) != 0)
		return status;
	m.conversation = vs.conversation;
	if ((status = draft_read(rq, rs, keep, &m, &d)) == 0) {
		if (req_id(rq, "seen", &m.seen) != 1)
			m.seen = 0;
		status = draft_send(rq, rs, keep, &m, &d);
	}
	if (status == 0)
		return back_to(rq, rs);
	return draft_back(&d) ? visit_show(rq, rs, status, &vs, &d) : status;
}

int
visit_post_message(struct req *rq, struct rsp *rs)
{
	return visit_post_with(rq, rs, NULL);
}

/*
 * POST /chat/:resume/end
 * 303 back; the conversation is closed until somebody writes again.
 */
int
visit_post_end(struct req *rq, struct rsp *rs)
{
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct visit vs;
	int rc, status;

	if ((status = visit_find(rq, rs, &vs)) != 0)
		return status;
	p.status = "closed";
	rc = store_conversation_patch(rq->st, NULL, vs.conversation, &p);
	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	return back_to(rq, rs);
}
