/*
 * p_hook.c: the admin's pages about outgoing webhooks: which there are, one of
 * them, and what was tried.
 */

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "h.h"
#include "h_hook.h"
#include "json.h"
#include "p_hook.h"
#include "p_settings.h"
#include "p_view.h"
#include "p_words.h"
#include "store_hook.h"
#include "token.h"

#define ROWS 50
#define FIELD_MAX (HOOK_TYPE_MAX + 8)

/* --- reading forms ------------------------------------------------------- */

static void
field_of(const char *type, char out[FIELD_MAX])
{
	snprintf(out, FIELD_MAX, "type_%s", type);
}

/* Returns new the types that are ticked. */
static struct json_object *
ticked(struct req *rq)
{
	struct json_object *list = json_object_new_array();
	char field[FIELD_MAX];

	for (size_t i = 0; hook_types[i] != NULL; i++) {
		field_of(hook_types[i], field);
		if (req_form(rq, field, NULL) != NULL)
			json_object_array_add(
			    list, json_object_new_string(hook_types[i]));
	}
	return list;
}

/* What can be wrong with a field: the text, and its name in the template. */
static const struct {
	const char *fault, *at;
} fields[] = {
	{ "hooks.fault_name", "bad_name" },
	{ "hooks.fault_url", "bad_url" },
	{ "hooks.fault_types", "bad_types" },
};

/* The form; NULL, or the text of what is wrong.  p->types is ours to put. */
static const char *
form_read(struct req *rq, struct hook_patch *p)
{
	const char *why; /* the page has its own words for it */

	p->types = ticked(rq);
	if ((p->name = h_name(rq, "name", 1)) == NULL)
		return "hooks.fault_name";
	if ((p->url = hook_url(rq, true, &why)) == NULL)
		return "hooks.fault_url";
	return json_object_array_length(p->types) > 0 ? NULL
						      : "hooks.fault_types";
}

/* --- what is shown ------------------------------------------------------- */

static bool
has(struct json_object *types, const char *type)
{
	for (size_t i = 0; i < json_object_array_length(types); i++)
		if (strcmp(type, json_object_get_string(
				     json_object_array_get_idx(types, i))) == 0)
			return true;
	return false;
}

/* Returns new [{type, field, on}]: all there are, those of ${types} ticked. */
static struct json_object *
choices(struct json_object *types)
{
	struct json_object *list = json_object_new_array(), *o;
	char field[FIELD_MAX];

	for (size_t i = 0; hook_types[i] != NULL; i++) {
		o = json_object_new_object();
		field_of(hook_types[i], field);
		json_put_str(o, "type", hook_types[i]);
		json_put_str(o, "field", field);
		json_put_bool(o, "on", has(types, hook_types[i]));
		json_object_array_add(list, o);
	}
	return list;
}

/* What was typed, for a form that comes back: ${fault} where it belongs. */
static void
put_typed(struct view *v, struct json_object *form, const char *fault)
{
	struct json_object *types = ticked(v->rq);
	const char *said = view_text(v, fault);

	json_put_str(form, "name", req_form(v->rq, "name", NULL));
	json_put_str(form, "url", req_form(v->rq, "url", NULL));
	json_put(form, "choices", choices(types));
	json_object_put(types);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fault, fields[i].fault) == 0) {
			json_put_str(form, fields[i].at, said);
			said = view_text(v, "channels.faulty");
			break;
		}
	json_put_str(v->model, "fault", said);
}

/* Returns new the form as it stands: nothing, or what ${hook} has. */
static struct json_object *
form_of(struct json_object *hook, struct json_object *types)
{
	struct json_object *form = json_object_new_object();
	const char *name = NULL, *url = NULL;

	(void)json_get_str(hook, "name", &name, NULL);
	(void)json_get_str(hook, "url", &url, NULL);
	json_put_str(form, "name", name);
	json_put_str(form, "url", url);
	json_put(form, "choices", choices(types));
	return form;
}

/* Returns new [{type}]. */
static struct json_object *
told(struct json_object *types)
{
	struct json_object *list = json_object_new_array(), *o;

	for (size_t i = 0; i < json_object_array_length(types); i++) {
		o = json_object_new_object();
		json_put(o, "type",
		    json_object_get(json_object_array_get_idx(types, i)));
		json_object_array_add(list, o);
	}
	return list;
}

/* One made ready for reading. */
static void
put_hook(const struct view *v, struct json_object *o)
{
	const char *state = "";

	(void)json_get_str(o, "state", &state, NULL);
	json_put_bool(o, "on", strcmp(state, "on") == 0);
	words_moment(v, o, "ok_at");
	words_moment(v, o, "failing_since");
}

/* ${fault}: the key of a text, or NULL. */
static int
hooks_show(struct req *rq, struct rsp *rs, int status, const char *fault)
{
	struct json_object *list = NULL, *items = NULL, *form, *most;
	struct view v;
	int rc = STORE_FAILED;

	if (store_read(rq->st) != STORE_FAILED) {
		rc = settings_begin(&v, rq, rs, "webhooks", "hooks.title");
		if (rc == STORE_DONE &&
		    (rc = store_hooks(rq->st, &list)) != STORE_DONE)
			view_drop(&v);
		store_read_end(rq->st);
	}
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	(void)json_get_arr(list, "items", &items);
	for (size_t i = 0; i < json_object_array_length(items); i++)
		put_hook(&v, json_object_array_get_idx(items, i));
	json_put(v.model, "hooks", json_object_get(items));
	json_object_put(list);
	most = json_tokener_parse("[\"new_message\"]");
	form = form_of(NULL, most);
	json_object_put(most);
	if (fault != NULL)
		put_typed(&v, form, fault);
	json_put(v.model, "form", form);
	view_key(&v, "key");
	return view_end(&v, status, "settings_webhooks");
}

/* GET /settings/webhooks    200 all of them, and a form for another. */
int
hooks_page(struct req *rq, struct rsp *rs)
{
	return hooks_show(rq, rs, 200, NULL);
}

static void
put_attempt(const struct view *v, struct json_object *o)
{
	const char *error = NULL;
	int64_t ms;

	json_put_bool(o, "good", json_get_str(o, "error", &error, NULL) != 1);
	if (json_get_int(o, "at", &ms) == 1)
		words_when(v, o, ms);
}

static int
put_attempts(struct view *v, int64_t id)
{
	struct json_object *list = NULL, *items = NULL;
	struct store_page pg = { .limit = ROWS };
	const char *page, *next = NULL;
	char url[80];
	size_t len;
	int rc;

	page = req_query(v->rq, "page", &len);
	if (page != NULL && store_page_parse(page, len, &pg) == -1)
		return STORE_NONE;
	rc = store_hook_attempts(v->rq->st, id, &pg, &list);
	if (rc != STORE_DONE)
		return rc;
	(void)json_get_arr(list, "items", &items);
	for (size_t i = 0; i < json_object_array_length(items); i++)
		put_attempt(v, json_object_array_get_idx(items, i));
	json_put(v->model, "attempts", json_object_get(items));
	if (json_get_str(list, "next", &next, NULL) == 1) {
		snprintf(url, sizeof(url),
		    "/settings/webhooks/%" PRId64 "?page=%s", id, next);
		json_put_str(v->model, "next_url", url);
	}
	json_put_bool(v->model, "paged", pg.before != 0);
	json_object_put(list);
	return STORE_DONE;
}

/* ${secret}: to be shown this once, or NULL. */
static int
hook_show(struct req *rq, struct rsp *rs, int64_t id, const char *secret,
    int status, const char *fault)
{
	struct json_object *hook = NULL, *types = NULL, *form;
	struct view v;
	int rc = STORE_FAILED;

	if (store_read(rq->st) != STORE_FAILED) {
		rc = settings_begin(&v, rq, rs, "webhooks", "hooks.title");
		if (rc == STORE_DONE) {
			rc = store_hook(rq->st, id, &hook);
			if (rc == STORE_DONE)
				rc = put_attempts(&v, id);
			if (rc != STORE_DONE)
				view_drop(&v);
		}
		store_read_end(rq->st);
	}
	if (rc != STORE_DONE) {
		json_object_put(hook);
		return h_refuse(rq, rs, rc);
	}
	put_hook(&v, hook);
	(void)json_get_arr(hook, "types", &types);
	json_put(hook, "told", told(types));
	form = form_of(hook, types);
	if (fault != NULL)
		put_typed(&v, form, fault);
	json_put(v.model, "hook", hook);
	json_put(v.model, "form", form);
	json_put_str(v.model, "secret_once", secret);
	json_put_bool(v.model, "sent", req_query(rq, "sent", NULL) != NULL);
	view_key(&v, "key");
	return view_end(&v, status, "settings_webhook");
}

/*
 * GET /settings/webhooks/:id    ?page
 * 200 one of them and what was tried, newest first.  404.
 */
int
hook_page(struct req *rq, struct rsp *rs)
{
	return hook_show(rq, rs, rq->id[0], NULL, 200, NULL);
}

/* --- forms --------------------------------------------------------------- */

static int
hook_made(struct req *rq, const struct hook_patch *p, const char *key,
    const char *secret, int64_t *id, const char **url)
{
	char path[64];
	int rc = once_begin(rq, key, url);

	if (rc != STORE_DONE)
		return rc;
	rc = store_hook_add(rq->st, &rq->who, p, secret, rq->cf->hooks_max, id);
	if (h_good(rc))
		rc = hook_note(rq, "webhook_added", *id);
	snprintf(path, sizeof(path), "/settings/webhooks/%" PRId64, *id);
	return once_end(rq, key, rc, path);
}

/*
 * POST /settings/webhooks    name, url, type_TYPE..., key
 * 201 the page of the new one, with its secret: what is shown only once cannot
 * stand behind a redirect.  The form sent again: 303 to that page, without.
 * 422 the page again; 409 the same: there are too many.
 */
int
hooks_post(struct req *rq, struct rsp *rs)
{
	const char *key = req_str(rq, "key", 1, 128), *url = NULL, *fault;
	struct hook_patch p = { 0 };
	char secret[TOKEN_SIZE];
	int64_t id = 0;
	int rc;

	if (key == NULL)
		return rsp_error(rs, 400, "bad_request", "key");
	if ((fault = form_read(rq, &p)) != NULL) {
		json_object_put(p.types);
		return hooks_show(rq, rs, 422, fault);
	}
	token_new(secret);
	rc = hook_made(rq, &p, key, secret, &id, &url);
	json_object_put(p.types);
	if (rc == STORE_DONE)
		rc = hook_show(rq, rs, id, secret, 201, NULL);
	else if (rc == STORE_REPEATED)
		rc = rsp_redirect(rs, url);
	else if (rc == STORE_REFUSED)
		rc = hooks_show(rq, rs, 409, "hooks.fault_many");
	else
		rc = h_refuse(rq, rs, rc);
	sodium_memzero(secret, sizeof(secret));
	return rc;
}

/* The end of a form of one: back to it with ${mark} in the query. */
static int
back(struct req *rq, struct rsp *rs, int rc, const char *mark)
{
	char path[80];

	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	snprintf(path, sizeof(path), "/settings/webhooks/%" PRId64 "?%s=1",
	    rq->id[0], mark);
	return rsp_redirect(rs, path);
}

static int
changed(struct req *rq, const struct hook_patch *p)
{
	int rc;

	if (store_begin(rq->st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_hook_patch(rq->st, rq->id[0], p);
	if (h_good(rc))
		rc = hook_note(rq, "webhook_changed", rq->id[0]);
	return store_end(rq->st, rc);
}

/*
 * POST /settings/webhooks/:id    name, url, type_TYPE...
 * 303 back; 422 the page again; 404.
 */
int
hook_post_change(struct req *rq, struct rsp *rs)
{
	struct hook_patch p = { 0 };
	const char *fault = form_read(rq, &p);
	int rc = fault == NULL ? changed(rq, &p) : 0;

	json_object_put(p.types);
	if (fault != NULL)
		return hook_show(rq, rs, rq->id[0], NULL, 422, fault);
	return back(rq, rs, rc, "saved");
}

/* POST /settings/webhooks/:id/state    state=on|off    303 back; 400; 404. */
int
hook_post_state(struct req *rq, struct rsp *rs)
{
	struct hook_patch p = { .state = h_word(rq, "state", "on|off") };

	if (p.state == NULL)
		return rsp_error(rs, 400, "bad_request", "state");
	return back(rq, rs, changed(rq, &p), "saved");
}

/*
 * Begin what a form with a key does once: STORE_DONE, end it with once_end;
 * else the answer is given.
 */
static int
once_open(struct req *rq, struct rsp *rs, const char **key, int *status)
{
	const char *url = NULL;
	int rc;

	if ((*key = req_str(rq, "key", 1, 128)) == NULL) {
		*status = rsp_error(rs, 400, "bad_request", "key");
		return STORE_INVALID;
	}
	rc = once_begin(rq, *key, &url);
	if (rc == STORE_REPEATED)
		*status = rsp_redirect(rs, url);
	else if (rc != STORE_DONE)
		*status = h_refuse(rq, rs, rc);
	return rc;
}

/* The end of one that sends something: back, where that is said. */
static int
once_sent(struct req *rq, struct rsp *rs, const char *key, int rc)
{
	char path[80];

	snprintf(path, sizeof(path), "/settings/webhooks/%" PRId64 "?sent=1",
	    rq->id[0]);
	return back(rq, rs, once_end(rq, key, rc, path), "sent");
}

/* POST /settings/webhooks/:id/test    key    303 back; 404; 409 too many wait.
 */
int
hook_post_ping(struct req *rq, struct rsp *rs)
{
	const char *key;
	char event_id[32];
	int status;

	if (once_open(rq, rs, &key, &status) != STORE_DONE)
		return status;
	return once_sent(
	    rq, rs, key, store_hook_test(rq->st, rq->id[0], event_id));
}

/*
 * POST /settings/webhooks/:id/replay    key, attempt
 * 303 back; 400; 404; 409 it is not in the log any more, or too many wait.
 */
int
hook_post_again(struct req *rq, struct rsp *rs)
{
	const char *key;
	char event_id[32];
	int64_t attempt;
	int status;

	if (req_id(rq, "attempt", &attempt) != 1)
		return rsp_error(rs, 400, "bad_request", "attempt");
	if (once_open(rq, rs, &key, &status) != STORE_DONE)
		return status;
	return once_sent(rq, rs, key,
	    store_hook_replay(rq->st, rq->id[0], attempt, event_id));
}

/*
 * POST /settings/webhooks/:id/secret    key
 * 200 the page with a new secret, this once.  The form sent again: 303 to that
 * page, without.  404.
 */
int
hook_post_key(struct req *rq, struct rsp *rs)
{
	char secret[TOKEN_SIZE], path[64];
	const char *key;
	int rc, status;

	if (once_open(rq, rs, &key, &status) != STORE_DONE)
		return status;
	token_new(secret);
	rc = store_hook_secret(rq->st, rq->id[0], secret);
	if (h_good(rc))
		rc = hook_note(rq, "webhook_secret", rq->id[0]);
	snprintf(path, sizeof(path), "/settings/webhooks/%" PRId64, rq->id[0]);
	rc = once_end(rq, key, rc, path);
	rc = h_good(rc) ? hook_show(rq, rs, rq->id[0], secret, 200, NULL)
			: h_refuse(rq, rs, rc);
	sodium_memzero(secret, sizeof(secret));
	return rc;
}

/* POST /settings/webhooks/:id/delete    key    303 to the list; 404. */
int
hook_post_remove(struct req *rq, struct rsp *rs)
{
	static const char path[] = "/settings/webhooks?saved=1";
	const char *key;
	int rc, status;

	if (once_open(rq, rs, &key, &status) != STORE_DONE)
		return status;
	rc = store_hook_delete(rq->st, rq->id[0]);
	if (h_good(rc))
		rc = hook_note(rq, "webhook_deleted", rq->id[0]);
	rc = once_end(rq, key, rc, path);
	return h_good(rc) ? rsp_redirect(rs, path) : h_refuse(rq, rs, rc);
}
