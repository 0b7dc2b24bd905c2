/*
 * p_inbox.c: the inbox: a list, one conversation, its customer's card.  What
 * is sent here goes through the same store functions as the API's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "h.h"
#include "id.h"
#include "json.h"
#include "p_card.h"
#include "p_draft.h"
#include "p_inbox.h"
#include "p_view.h"
#include "p_words.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_event.h"
#include "store_message.h"
#include "store_read.h"
#include "store_user.h"

#define ROWS 50
#define MESSAGES 50
#define HISTORY 10
#define QUERY_BYTES_MAX 800
#define WINDOW_SOON_MS INT64_C(7200000) /* the end of free answers is near */

static const char *const filters[] = { "open", "mine", "unassigned", "closed",
	"all" };
/* The last one only where it is so: it wants a time, which scripts give. */
static const char *const statuses[] = { "open", "pending", "closed",
	"snoozed" };

/* Which list is asked for: ${q} "" none. */
static void
filter_read(struct req *rq, const char **name, const char **q)
{
	const char *asked = req_query(rq, "view", NULL);
	size_t len;

	*q = req_query(rq, "q", &len);
	if (*q == NULL || len > QUERY_BYTES_MAX || strlen(*q) != len)
		*q = "";
	*name = **q != '\0' ? "all" : "open";
	for (size_t i = 0;
	     asked != NULL && i < sizeof(filters) / sizeof(filters[0]); i++)
		if (strcmp(asked, filters[i]) == 0)
			*name = filters[i];
}

static struct conversation_filter
filter_make(const struct req *rq, const char *name, const char *q)
{
	struct conversation_filter f = { .q = *q != '\0' ? q : NULL };

	if (strcmp(name, "open") == 0)
		f.status = "open";
	else if (strcmp(name, "closed") == 0)
		f.status = "closed";
	else if (strcmp(name, "mine") == 0) {
		f.status = "open";
		f.assignee = rq->who.id;
	} else if (strcmp(name, "unassigned") == 0) {
		f.status = "open";
		f.assignee = -1;
	}
	return f;
}

static void
put_filters(struct view *v, const char *name, const char *q)
{
	struct json_object *list = json_object_new_array(), *o;
	struct buf url;

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		o = json_object_new_object();
		json_put_str(o, "key", filters[i]);
		json_put_bool(o, "current", strcmp(filters[i], name) == 0);
		json_object_array_add(list, o);
	}
	json_put(v->model, "filters", list);
	json_put_str(v->model, "filter", name);
	json_put_str(v->model, "q", q);

	buf_init(&url, 4096);
	if (strcmp(name, "open") != 0)
		view_url(&url, "view", name);
	view_url(&url, "q", q);
	json_put_strn(v->model, "list_query", url.data, url.len);
	buf_fini(&url);
}

/* Links to the rest of the list. */
static void
put_pager(struct view *v, const char *name, const char *q, const char *page,
    const char *next)
{
	struct buf url;

	buf_init(&url, 8192);
	buf_printf(&url, "%s/inbox", v->rq->base_path);
	view_url(&url, "view", name);
	view_url(&url, "q", q);
	if (page != NULL)
		json_put_strn(v->model, "first_url", url.data, url.len);
	view_url(&url, "page", next);
	if (next != NULL)
		json_put_strn(v->model, "next_url", url.data, url.len);
	buf_fini(&url);
}

/* The list, with ${current} marked; ${*active_at} is its newest activity. */
static int
put_list(struct view *v, int64_t current, int64_t *active_at)
{
	struct store_page pg = { .limit = ROWS };
	const char *name, *q, *page, *next = NULL;
	struct conversation_filter f;
	struct json_object *list = NULL, *items = NULL;
	struct req *rq = v->rq;
	size_t len;
	int rc;

	filter_read(rq, &name, &q);
	page = req_query(rq, "page", &len);
	if (page != NULL && store_page_parse(page, len, &pg) == -1)
		return STORE_NONE;
	f = filter_make(rq, name, q);
	rc = store_conversations(rq->st, &rq->who, &f, &pg, &list);
	if (rc != STORE_DONE)
		return rc;
	(void)json_get_arr(list, "items", &items);
	for (size_t i = 0; i < json_object_array_length(items); i++) {
		struct json_object *o = json_object_array_get_idx(items, i);
		int64_t id = 0, at = 0;

		words_row(v, o);
		(void)json_get_id(o, "id", &id);
		(void)json_get_int(o, "last_message_at", &at);
		json_put_bool(o, "current", id == current);
		if (i == 0)
			*active_at = at;
	}
	(void)json_get_str(list, "next", &next, NULL);
	put_filters(v, name, q);
	put_pager(v, name, q, page, next);
	json_put(v->model, "rows", json_object_get(items));
	json_object_put(list);
	return STORE_DONE;
}

/* The inbox's frame: who asks, the list, the cursor. */
static int
put_frame(struct view *v, int64_t current, int64_t *active_at)
{
	struct log_state s;
	struct json_object *nav = json_object_new_object();
	int rc;

	json_put_bool(nav, "inbox", true);
	json_put(v->model, "nav", nav);
	json_put_str(v->model, "script", "inbox");
	view_title(v, view_text(v, "inbox.title"));
	if (store_log_state(v->rq->st, &s) != STORE_DONE || view_agent(v) == -1)
		return STORE_FAILED;
	json_put_int(v->model, "cursor", s.head);
	rc = put_list(v, current, active_at);
	return rc;
}

/*
 * GET /inbox    ?view=open|mine|unassigned|closed|all &q= &page=
 * 200 the list; 404 for a page there is not.
 */
int
inbox_page(struct req *rq, struct rsp *rs)
{
	const char *name, *q;
	int64_t active_at = 0;
	struct buf query;
	struct view v;
	int rc;

	view_begin(&v, rq, rs, "inbox");
	if (store_read(rq->st) == STORE_FAILED) {
		view_drop(&v);
		return h_refuse(rq, rs, STORE_FAILED);
	}
	rc = put_frame(&v, 0, &active_at);
	store_read_end(rq->st);
	if (rc != STORE_DONE) {
		view_drop(&v);
		return h_refuse(rq, rs, rc);
	}
	filter_read(rq, &name, &q);
	buf_init(&query, 4096);
	buf_printf(&query, "?view=%s", name);
	view_url(&query, "q", q);
	view_refresh(&v, "/inbox", query.data + 1, active_at);
	buf_fini(&query);
	return view_end(&v, 200, "inbox");
}

/* Who a conversation can be given to. */
static int
put_assignees(struct view *v, struct json_object *conversation)
{
	struct store_page pg = { .limit = 200 };
	struct json_object *list = NULL, *items;
	int64_t assignee = 0;
	int rc;

	(void)json_get_id(conversation, "assignee_id", &assignee);
	rc = store_users(v->rq->st, &v->rq->who, &pg, &list);
	if (rc != STORE_DONE)
		return rc;
	if (json_get_arr(list, "items", &items) == 1) {
		for (size_t i = 0; i < json_object_array_length(items); i++) {
			struct json_object *o =
			    json_object_array_get_idx(items, i);
			int64_t id = 0;

			(void)json_get_id(o, "id", &id);
			json_put_bool(o, "selected", id == assignee);
		}
		json_put(conversation, "assignees", json_object_get(items));
	}
	json_object_put(list);
	json_put_bool(conversation, "mine", assignee == v->rq->who.id);
	return STORE_DONE;
}

/* The customer's card in place of the short form the conversation has. */
static int
put_customer(struct view *v, struct json_object *conversation, int64_t id)
{
	struct json_object *customer = NULL, *history = NULL;
	int64_t customer_id = 0;
	int rc;

	if (json_get_obj(conversation, "customer", &customer) != 1 ||
	    json_get_id(customer, "id", &customer_id) != 1)
		return STORE_DONE;
	rc = store_customer(v->rq->st, &v->rq->who, customer_id, &customer);
	if (rc == STORE_NONE)
		return STORE_DONE; /* deleted; its conversations stay */
	if (rc != STORE_DONE)
		return rc;
	card_customer(v, customer);
	json_put(conversation, "customer", customer);
	rc = card_history(v, customer_id, id, HISTORY, &history);
	json_put_bool(
	    conversation, "history", json_object_array_length(history) > 0);
	json_put(conversation, "history_rows", history);
	return rc;
}

/* The newest message the others have read. */
static int
read_upto(struct req *rq, int64_t id, bool among_users, int64_t *upto)
{
	struct json_object *list = NULL;
	int rc = store_receipts(rq->st, &rq->who, id, &list);

	*upto = 0;
	if (rc != STORE_DONE)
		return rc;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *kind = "";
		int64_t message = 0;

		(void)json_get_str(o, "kind", &kind, NULL);
		(void)json_get_id(o, "message_id", &message);
		if ((among_users || strcmp(kind, "customer") == 0) &&
		    message > *upto)
			*upto = message;
	}
	json_object_put(list);
	return rc;
}

/* Links to what is above and below the shown messages, and `seen`. */
static void
put_borders(struct view *v, struct json_object *conversation,
    struct json_object *list, struct json_object *items, int64_t id)
{
	const char *before = req_query(v->rq, "before", NULL), *next = NULL;
	const char *seen = "0", *name, *q;
	struct buf url;

	filter_read(v->rq, &name, &q);
	buf_init(&url, 8192);
	buf_printf(&url, "%s/inbox/%" PRId64, v->rq->base_path, id);
	if (strcmp(name, "open") != 0)
		view_url(&url, "view", name);
	view_url(&url, "q", q);
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
}

/* What is to be known of the reply window before one writes, if anything. */
static void
put_window(const struct view *v, struct json_object *conversation)
{
	int64_t free_until = 0, until = 0, now = v->rq->now_ms;
	const char *state = "", *notice = NULL;
	struct json_object *w;

	if (json_get_obj(conversation, "reply_window", &w) != 1)
		return;
	(void)json_get_str(w, "state", &state, NULL);
	(void)json_get_int(w, "free_until", &free_until);
	(void)json_get_int(w, "until", &until);
	if (strcmp(state, "closed") == 0)
		notice = now <= until ? "not_allowed" : "closed";
	else if (strcmp(state, "paid") == 0)
		notice = "paid";
	else if (free_until != 0 && free_until - now < WINDOW_SOON_MS)
		notice = "soon";
	words_until(
	    v, w, notice != NULL && *notice == 's' ? free_until : until);
	if (notice != NULL)
		json_put_str(w, "notice", notice);
}

/* Whether the bot of the channel answers here, for the line above the log. */
static void
put_bot(struct json_object *conversation)
{
	struct json_object *bot;
	const char *state = "";
	bool closed = false;

	if (json_get_obj(conversation, "bot", &bot) != 1)
		return;
	(void)json_get_str(bot, "state", &state, NULL);
	(void)json_get_bool(conversation, "is_closed", &closed);
	json_put_bool(bot, "active", strcmp(state, "active") == 0);
	/* Of a closed one it is not decided yet. */
	json_put_bool(conversation, "bot_line", !closed);
}

static int
put_conversation(struct view *v, struct json_object *conversation,
    const struct conversation *c)
{
	struct words_eyes eyes = { .id = v->rq->who.id,
		.among_users = strcmp(c->type, "customer") != 0 };
	const char *before = req_query(v->rq, "before", NULL), *status = "";
	struct store_page pg = { .limit = MESSAGES };
	struct json_object *list = NULL, *items = NULL;
	int rc;

	if (before != NULL) {
		pg.before = id_parse(before, strlen(before));
		if (pg.before == 0)
			return STORE_NONE;
	}
	words_row(v, conversation);
	words_tags(conversation);
	(void)json_get_str(conversation, "status", &status, NULL);
	json_put(conversation, "statuses",
	    view_options(
		statuses, strcmp(status, "snoozed") == 0 ? 4 : 3, status));
	put_window(v, conversation);
	put_bot(conversation);
	if ((rc = put_assignees(v, conversation)) != STORE_DONE ||
	    (rc = put_customer(v, conversation, c->id)) != STORE_DONE ||
	    (rc = read_upto(v->rq, c->id, eyes.among_users, &eyes.read_upto)) !=
		STORE_DONE)
		return rc;
	rc = store_messages(v->rq->st, &v->rq->who, c->id, &pg, &list);
	if (rc != STORE_DONE)
		return rc;
	(void)json_get_arr(list, "items", &items);
	put_borders(v, conversation, list, items, c->id);
	json_put(conversation, "messages", words_messages(v, items, &eyes));
	json_object_put(list);
	return STORE_DONE;
}

/* Opening the newest page of it is reading it. */
static void
mark_read(struct req *rq, int64_t id)
{
	const char *purpose = req_header(rq, "Sec-Purpose");

	if (!req_is(rq, "GET") || req_query(rq, "before", NULL) != NULL ||
	    (purpose != NULL && strstr(purpose, "prefetch") != NULL))
		return;
	(void)store_read_mark(rq->st, &rq->who, id, 0);
}

/*
 * The conversation that was asked for, with the frame around it, as of one
 * moment; ${*conversation} is to be put whatever comes of it.
 */
static int
conversation_read(
    struct view *v, struct json_object **conversation, struct conversation *c)
{
	struct req *rq = v->rq;
	int64_t active_at = 0;
	int rc;

	if (store_read(rq->st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_conversation_may(rq->st, &rq->who, rq->id[0], MAY_SEE, c);
	if (rc == STORE_DONE)
		rc = put_frame(v, rq->id[0], &active_at);
	if (rc == STORE_DONE)
		rc = store_conversation(
		    rq->st, &rq->who, rq->id[0], conversation);
	if (rc == STORE_DONE)
		rc = put_conversation(v, *conversation, c);
	store_read_end(rq->st);
	return rc;
}

static int
conversation_show(
    struct req *rq, struct rsp *rs, int status, const struct draft *d)
{
	struct json_object *conversation = NULL;
	const char *name, *q;
	int64_t unread = 0;
	char path[64];
	struct conversation c;
	struct buf query;
	struct view v;
	int rc;

	rc = store_conversation(rq->st, &rq->who, rq->id[0], &conversation);
	if (rc == STORE_REPEATED) { /* merged away */
		(void)json_get_str(conversation, "id", &name, NULL);
		snprintf(path, sizeof(path), "/inbox/%s", name);
		json_object_put(conversation);
		return rsp_redirect(rs, path);
	}
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	(void)json_get_int(conversation, "unread_count", &unread);
	json_object_put(conversation);
	if (unread > 0)
		mark_read(rq, rq->id[0]);

	conversation = NULL;
	view_begin(&v, rq, rs, "conversation");
	if ((rc = conversation_read(&v, &conversation, &c)) != STORE_DONE) {
		json_object_put(conversation);
		view_drop(&v);
		return h_refuse(rq, rs, rc);
	}
	(void)json_get_str(conversation, "name", &name, NULL);
	view_title(&v, name);
	json_put(v.model, "conversation", conversation);
	json_put(v.model, "blank", words_blank_message());
	draft_put(&v, d);
	json_put_bool(v.model, "as_note", d->note);
	view_key(&v, "key_quick");

	/* No refreshing under a draft, nor away from older messages. */
	if (d->text[0] == '\0' && req_query(rq, "before", NULL) == NULL) {
		filter_read(rq, &name, &q);
		snprintf(path, sizeof(path), "/inbox/%" PRId64, rq->id[0]);
		buf_init(&query, 4096);
		buf_printf(&query, "?view=%s", name);
		view_url(&query, "q", q);
		view_refresh(&v, path, query.data + 1, c.activity_at);
		buf_fini(&query);
	}
	return view_end(&v, status, "inbox");
}

/*
 * GET /inbox/:id    ?before= and what /inbox takes
 * 200 the conversation beside the list; opening it marks it as read; 404.
 */
int
inbox_conversation(struct req *rq, struct rsp *rs)
{
	struct draft none = { .text = "" };

	return conversation_show(rq, rs, 200, &none);
}

/* 303 to the conversation, the list as it was. */
static int
back_to(struct req *rq, struct rsp *rs, int64_t id)
{
	const char *name, *q;
	struct buf url;
	int status;

	filter_read(rq, &name, &q);
	buf_init(&url, 4096);
	buf_printf(&url, "/inbox/%" PRId64, id);
	if (strcmp(name, "open") != 0)
		view_url(&url, "view", name);
	view_url(&url, "q", q);
	status = rsp_redirect(rs, url.data);
	buf_fini(&url);
	return status;
}

/*
 * POST /inbox/:id/messages    content, type=note?, key, seen
 * 303 to the conversation.  The same key again is the same message.
 * 409 the page with what others wrote since `seen`, the text kept; 409 the key
 * was used for another text; 422 empty or too long, 503, the text kept; 429.
 */
int
inbox_post_with(struct req *rq, struct rsp *rs, post_file *keep)
{
	const char *type = req_form(rq, "type", NULL);
	struct message m = { .conversation = rq->id[0] };
	struct draft d = { .text = "" };
	int rc, status;

	m.note = d.note = type != NULL && strcmp(type, "note") == 0;
	if ((status = draft_read(rq, rs, keep, &m, &d)) == 0) {
		if (req_id(rq, "seen", &m.seen) != 1)
			m.seen = req_form(rq, "seen", NULL) != NULL ? 1 : 0;
		rc = store_conversation_may(rq->st, &rq->who, m.conversation,
		    m.note ? MAY_NOTE : MAY_WRITE, NULL);
		if (rc != STORE_DONE)
			return h_refuse(rq, rs, rc);
		status = draft_send(rq, rs, keep, &m, &d);
	}
	if (status == 0)
		return back_to(rq, rs, rq->id[0]);
	return draft_back(&d) ? conversation_show(rq, rs, status, &d) : status;
}

int
inbox_post_message(struct req *rq, struct rsp *rs)
{
	return inbox_post_with(rq, rs, NULL);
}

/* Read the form of a change; fields that are not there stay. */
static int
read_update(struct req *rq, struct conversation_patch *p)
{
	const char *assignee = req_form(rq, "assignee", NULL);
	const char *tags = req_form(rq, "tags", NULL);

	p->status = req_opt(rq, "status", 16, NULL);
	if (p->status != NULL && *p->status == '\0')
		p->status = NULL;
	if (assignee != NULL) {
		p->assignee = id_parse(assignee, strlen(assignee));
		if (p->assignee == 0 && *assignee != '\0')
			return -1;
	}
	if (p->status != NULL && strcmp(p->status, "open") != 0 &&
	    strcmp(p->status, "pending") != 0 &&
	    strcmp(p->status, "closed") != 0 &&
	    strcmp(p->status, "snoozed") != 0)
		return -1;
	p->bot = h_word(rq, "bot", BOT_WORDS);
	if (tags != NULL)
		p->tags = words_taglist(tags);
	if (p->tags != NULL && !words_tags_good(rq->cf, p->tags))
		rq->bad_field = "tags";
	return rq->bad_field == NULL ? 0 : -1;
}

/*
 * POST /inbox/:id/update    key, assignee?, status?, tags?, bot?
 * 303 to the conversation.  422 no such assignee, a bad status; 404.
 */
int
inbox_post_update(struct req *rq, struct rsp *rs)
{
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	const char *key = req_str(rq, "key", 1, 128), *url = NULL;
	char path[64];
	int rc;

	if (key == NULL || read_update(rq, &p) == -1) {
		json_object_put(p.tags);
		return h_invalid(rq, rs);
	}
	snprintf(path, sizeof(path), "/inbox/%" PRId64, rq->id[0]);
	rc = once_begin(rq, key, &url);
	if (rc == STORE_DONE) {
		rc = store_conversation_patch(rq->st, &rq->who, rq->id[0], &p);
		rc = once_end(rq, key, rc, path);
	}
	json_object_put(p.tags);
	if (rc != STORE_DONE && rc != STORE_REPEATED)
		return h_refuse(rq, rs, rc);
	return back_to(rq, rs, rq->id[0]);
}
