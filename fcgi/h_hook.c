/* Outgoing webhooks: who else is told of events.  The worker sends them. */

#include "h_hook.h"

#include "../common/json.h"
#include "fetch_url.h"
#include "h.h"
#include "store_setting.h"
#include "token.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

int
hook_note(struct req *rq, const char *action, int64_t id)
{
	char object[40];

	snprintf(object, sizeof(object), "webhook:%" PRId64, id);
	return store_audit(rq->st, &rq->who, rq->addr, action, object, NULL);
}

const char *
hook_url(struct req *rq, bool need, const char **why)
{
	const char *s = need ? req_str(rq, "url", 1, HOOK_URL_MAX)
			     : req_opt(rq, "url", HOOK_URL_MAX, NULL);
	struct fetch_url u;

	*why = s == NULL ? NULL
	       : fetch_url_read(s, &u) == -1
		   ? "The url must be an absolute https address in its plainest"
		     " form, without a user."
		   : fetch_url_why(rq->cf, &u);
	if (*why == NULL)
		return s;
	rq->bad_field = "url";
	return NULL;
}

static int
refuse(struct req *rq, struct rsp *rs, const char *why)
{
	return why != NULL ? h_invalid_text(rs, rq->bad_field, why)
			   : h_invalid(rq, rs);
}

/* Member `types`: one or more of hook_types; NULL absent, or bad_field. */
static struct json_object *
read_types(struct req *rq, bool need)
{
	struct json_object *list = NULL, *o;
	int rc = json_get_arr(rq->json, "types", &list);
	size_t n = rc == 1 ? json_object_array_length(list) : 0;

	if (rc == 0 && !need)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		o = json_object_array_get_idx(list, i);
		if (!json_object_is_type(o, json_type_string) ||
		    !hook_type_good(json_object_get_string(o)))
			n = 0;
	}
	if (n == 0 && rq->bad_field == NULL)
		rq->bad_field = "types";
	return list;
}

/* A webhook and, this once, its secret. */
static int
with_secret(
    struct req *rq, int64_t id, const char *secret, struct json_object **out)
{
	int rc = store_hook(rq->st, id, out);

	if (h_good(rc))
		json_put_str(*out, "secret", secret);
	return rc;
}

/*
 * GET /api/webhooks
 * 200 {"items":[{"id","name","url","types":[],"state":"on"|"off","reason":
 * null|"admin"|"failing"|"gone","secret":"set","waiting","failures",
 * "failing_since","ok_at","created_by","created_at","updated_at"}],"next":null,
 * "cursor"}: all of them.
 */
int
hook_list(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int rc = store_hooks(rq->st, &o);

	return h_answer(rq, rs, 200, rc, o, 0);
}

/*
 * POST /api/webhooks    {"name", "url", "types": [one or more]}
 * 201 the webhook, with its secret this once.  It begins with what happens from
 * now on.  409 conflict: there are hooks_max.  422 invalid: name, url, types.
 */
int
hook_post(struct req *rq, struct rsp *rs)
{
	struct hook_patch p = { .name = h_name(rq, "name", 1) };
	struct json_object *o = NULL;
	const char *why = NULL;
	char secret[TOKEN_SIZE];
	int64_t id = 0;
	int rc;

	if (rq->bad_field == NULL)
		p.url = hook_url(rq, true, &why);
	if (rq->bad_field == NULL)
		p.types = read_types(rq, true);
	if (rq->bad_field != NULL)
		return refuse(rq, rs, why);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	token_new(secret);
	rc = store_hook_add(
	    rq->st, &rq->who, &p, secret, rq->cf->hooks_max, &id);
	if (h_good(rc))
		rc = hook_note(rq, "webhook_added", id);
	if (h_good(rc))
		rc = with_secret(rq, id, secret, &o);
	sodium_memzero(secret, sizeof(secret));
	return h_end(rq, rs, 201, rc, o);
}

/* GET /api/webhooks/:id    200 the webhook, its secret as "set".  404. */
int
hook_get(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t cursor = h_read(rq);
	int rc = STORE_FAILED;

	if (cursor != -1) {
		rc = store_hook(rq->st, rq->id[0], &o);
		h_read_end(rq);
	}
	return h_answer(rq, rs, 200, rc, o, cursor);
}

/*
 * PATCH /api/webhooks/:id    {"name"?, "url"?, "types"?, "state"?: "on"|"off"}
 * 200 the webhook.  Switched on, it goes on with what it has not been told of
 * yet.  404; 422 invalid: name, url, types, state.
 */
int
hook_patch(struct req *rq, struct rsp *rs)
{
	struct hook_patch p = { .name = h_name(rq, "name", 0) };
	struct json_object *o = NULL;
	const char *why = NULL;
	int rc;

	if (rq->bad_field == NULL)
		p.url = hook_url(rq, false, &why);
	if (rq->bad_field == NULL)
		p.types = read_types(rq, false);
	if (rq->bad_field == NULL)
		p.state = h_word(rq, "state", "on|off");
	if (rq->bad_field != NULL)
		return refuse(rq, rs, why);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_hook_patch(rq->st, rq->id[0], &p);
	if (h_good(rc))
		rc = hook_note(rq, "webhook_changed", rq->id[0]);
	if (h_good(rc))
		rc = store_hook(rq->st, rq->id[0], &o);
	return h_end(rq, rs, 200, rc, o);
}

/* DELETE /api/webhooks/:id    200 {"success":true}, its attempts too.  404. */
int
hook_delete(struct req *rq, struct rsp *rs)
{
	int rc;

	if (store_begin(rq->st) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_hook_delete(rq->st, rq->id[0]);
	if (h_good(rc))
		rc = hook_note(rq, "webhook_deleted", rq->id[0]);
	rc = store_end(rq->st, rc);
	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}

/*
 * POST /api/webhooks/:id/secret
 * 200 the webhook with a new secret, this once; it signs from now on.  404.
 */
int
hook_post_secret(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	char secret[TOKEN_SIZE];
	int rc;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	token_new(secret);
	rc = store_hook_secret(rq->st, rq->id[0], secret);
	if (h_good(rc))
		rc = hook_note(rq, "webhook_secret", rq->id[0]);
	if (h_good(rc))
		rc = with_secret(rq, rq->id[0], secret, &o);
	sodium_memzero(secret, sizeof(secret));
	return h_end(rq, rs, 200, rc, o);
}

/* 202 with the id under which it will come, or what the store said. */
static int
accepted(struct req *rq, struct rsp *rs, int rc, const char *event_id)
{
	struct json_object *o;

	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	o = json_object_new_object();
	json_put_str(o, "event_id", event_id);
	return rsp_json(rs, 202, o);
}

/*
 * POST /api/webhooks/:id/test
 * 202 {"event_id"}: an event of type webhook_test is sent once, also while the
 * webhook is off; how it went stands among its attempts.  404; 409 conflict: a
 * hundred tests and replays wait already.
 */
int
hook_post_test(struct req *rq, struct rsp *rs)
{
	char event_id[32] = "";
	int rc = store_hook_test(rq->st, rq->id[0], event_id);

	return accepted(rq, rs, rc, event_id);
}

/*
 * GET /api/webhooks/:id/attempts ?limit,before
 * 200 {"items":[{"id","event_id","type","conversation_id","try","manual","at",
 * "took_ms","status","error","detail","answer","state"}],"next","cursor"},
 * newest first.  404.
 */
int
hook_attempts(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	struct store_page pg;
	int rc = h_page(rq, rs, &pg);

	if (rc != 0)
		return rc;
	if (pg.after != 0)
		return h_bad(rs, "after");
	rc = store_hook_attempts(rq->st, rq->id[0], &pg, &o);
	return h_answer(rq, rs, 200, rc, o, 0);
}

/*
 * POST /api/webhooks/:id/attempts/:attempt/replay
 * 202 {"event_id"}: what was sent in that attempt is sent once more, under the
 * same id, as a test is.  404; 409 conflict: it is not in the event log any
 * more, or a hundred wait already.
 */
int
hook_post_replay(struct req *rq, struct rsp *rs)
{
	char event_id[32] = "";
	int rc = store_hook_replay(rq->st, rq->id[0], rq->id[1], event_id);

	return accepted(rq, rs, rc, event_id);
}
