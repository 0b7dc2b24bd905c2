/*
 * Channels: accounts of platforms, for admins.  What a platform wants to know
 * is its adapter's matter (channel.h), how its settings change
 * channel_set.c's.  Testing one takes the network: the worker does that.
 */

#include "h_channel.h"

#include "../common/json.h"
#include "channel.h"
#include "channel_set.h"
#include "h.h"
#include "store_channel.h"
#include "store_channel_health.h"
#include "store_setting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_MAX 4096 /* bytes of one of ours */
#define PASTE_MAX 16384

/* Settings as they were given, and what becomes of them.  All owned. */
struct settings {
	struct json_object *all;     /* changes, by their whole names */
	struct json_object *config;  /* of those, what may be shown */
	struct json_object *secrets; /* and what may not */
	struct json_object *made;    /* made up by us */
	struct buf why;              /* at fault */
};

static void
settings_init(struct settings *s)
{
	s->all = json_object_new_object();
	s->config = json_object_new_object();
	s->secrets = json_object_new_object();
	s->made = json_object_new_object();
	buf_init(&s->why, ADDRESS_MAX);
}

static void
settings_fini(struct settings *s)
{
	json_object_put(s->all);
	json_object_put(s->config);
	json_object_put(s->secrets);
	json_object_put(s->made);
	buf_fini(&s->why);
}

/* Member `settings`, by any of their names: 0, or -1 and bad_field. */
static int
settings_read(struct req *rq, const struct channel *ch, struct settings *s)
{
	struct json_object *given = NULL;
	const struct channel_key *k;
	int rc = json_get_obj(rq->json, "settings", &given);

	if (rc == -1 || (rc == 1 && ch == NULL)) {
		rq->bad_field = "settings";
		return -1;
	}
	if (rc == 0)
		return 0;
	json_object_object_foreach(given, name, value)
	{
		k = channel_key_find(ch, name);
		if (k == NULL || (value != NULL && !json_object_is_type(value,
						       json_type_string))) {
			rq->bad_field =
			    k != NULL ? k->name
				      : req_strdup(rq, name, strlen(name));
			return -1;
		}
		json_put(s->all, k->name, json_object_get(value));
	}
	return 0;
}

/* 422 in the words of who looked at the settings. */
static int
settings_refuse(struct rsp *rs, const struct settings *s)
{
	return h_invalid_text(
	    rs, "settings", s->why.len > 0 ? s->why.data : "");
}

void
channel_put_webhook(
    struct req *rq, const char *platform, int64_t id, struct buf *b)
{
	if (*rq->cf->base_url != '\0')
		buf_puts(b, rq->cf->base_url);
	else
		buf_printf(
		    b, "%s://%s", rq->https ? "https" : "http", rq->host);
	buf_printf(b, "%s/webhooks/%s/%" PRId64, rq->base_path, platform, id);
}

/* With its address and its health. */
static int
channel_whole(struct req *rq, struct json_object *o)
{
	struct json_object *health = NULL;
	const char *platform = "";
	struct buf b;
	int64_t id = 0;
	int rc;

	if (json_get_id(o, "id", &id) != 1 ||
	    json_get_str(o, "platform", &platform, NULL) != 1)
		return STORE_FAILED;
	buf_init(&b, ADDRESS_MAX);
	if (channel_find(platform) != NULL)
		channel_put_webhook(rq, platform, id, &b);
	json_put_str(o, "webhook", b.len > 0 && !b.err ? b.data : NULL);
	buf_fini(&b);
	rc = store_channel_health(rq->st, id, &health);
	if (rc == STORE_DONE)
		json_put(o, "health", health);
	return rc;
}

static int
channel_one(struct req *rq, int64_t id, struct json_object **out)
{
	int rc = store_channel_show(rq->st, id, out);

	return rc == STORE_DONE ? channel_whole(rq, *out) : rc;
}

static int
note(struct req *rq, const char *action, int64_t id)
{
	char object[40];

	snprintf(object, sizeof(object), "channel:%" PRId64, id);
	return store_audit(rq->st, &rq->who, rq->addr, action, object, NULL);
}

/*
 * GET /api/channels
 * 200 {"items":[{"id","platform","name","account","config":{setting: value},
 * "secrets":{setting: "set"},"state":"ok"|"reauth"|"off","state_text",
 * "created_at","webhook": address or null,"health": as store_channel_health
 * tells it}],"next":null,"cursor"}: all of them, by id.
 */
int
channel_list(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL, *items = NULL;
	int rc = store_channels(rq->st, &o);

	if (h_good(rc) && json_get_arr(o, "items", &items) == 1)
		for (size_t i = 0; i < json_object_array_length(items); i++)
			if (channel_whole(rq, json_object_array_get_idx(
						  items, i)) == STORE_FAILED)
				rc = STORE_FAILED;
	return h_answer(rq, rs, 200, rc, o, 0);
}

/* What to enter over there, behind the channel that was made. */
static void
put_paste(
    const struct channel *ch, const struct settings *s, struct json_object *o)
{
	const char *webhook = "";
	struct buf b;

	buf_init(&b, PASTE_MAX);
	(void)json_get_str(o, "webhook", &webhook, NULL);
	channel_paste(ch, webhook, s->made, &b);
	json_put_str(o, "paste", b.err ? "" : b.data);
	buf_fini(&b);
}

/* Store the settings, which are good. */
static int
channel_make(struct req *rq, struct rsp *rs, const struct channel *ch,
    const char *platform, const char *name, struct settings *s)
{
	struct json_object *o = NULL;
	struct buf account;
	int64_t id = 0;
	int rc;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	buf_init(&account, ADDRESS_MAX);
	if (ch != NULL) {
		channel_account_name(ch, s->all, &account);
		channel_set_sort(ch, s->all, s->config, s->secrets);
	}
	rc = store_channel_add(rq->st, platform, name,
	    account.len > 0 ? account.data : NULL, s->config, s->secrets, &id);
	buf_fini(&account);
	if (h_good(rc))
		rc = note(rq, "channel_added", id);
	if (h_good(rc))
		rc = channel_one(rq, id, &o);
	if (h_good(rc) && ch != NULL)
		put_paste(ch, s, o);
	return h_end(rq, rs, 201, rc, o);
}

/*
 * POST /api/channels    {"platform", "name", "settings"?: {name: text}}
 * 201 the channel, and "paste": lines that say what to enter at the platform,
 * this once with the words that were made up.  409 conflict: that account is
 * connected already.  422 invalid: platform, name, the name of a setting, or
 * settings: "error" says what is wrong with them.
 */
int
channel_create(struct req *rq, struct rsp *rs)
{
	const char *name = h_name(rq, "name", 1), *platform = NULL;
	const struct channel *ch = NULL;
	struct settings s;
	int status;

	if (rq->bad_field == NULL)
		platform = req_str(rq, "platform", 1, 20);
	if (platform != NULL && (ch = channel_find(platform)) == NULL &&
	    strcmp(platform, "web") != 0)
		rq->bad_field = "platform";
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	settings_init(&s);
	if (settings_read(rq, ch, &s) == -1) {
		status = h_invalid(rq, rs);
	} else {
		if (ch != NULL)
			channel_set_make(ch, s.all, s.made);
		if (ch != NULL && channel_config_check(ch, s.all, &s.why) == -1)
			status = settings_refuse(rs, &s);
		else
			status = channel_make(rq, rs, ch, platform, name, &s);
	}
	settings_fini(&s);
	return status;
}

/* GET /api/channels/:id    200 the channel.  404. */
int
channel_get(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t cursor = h_read(rq);
	int rc = STORE_FAILED;

	if (cursor != -1) {
		rc = channel_one(rq, rq->id[0], &o);
		h_read_end(rq);
	}
	return h_answer(rq, rs, 200, rc, o, cursor);
}

/* Store what is good; ${state} NULL: as it is, unless this mends it. */
static int
channel_change(struct req *rq, const struct channel_row *row, const char *name,
    const char *state, const struct settings *s)
{
	int rc =
	    store_channel_set(rq->st, row->id, name, s->config, s->secrets);

	if (state == NULL && strcmp(row->state, "reauth") == 0 &&
	    json_object_object_length(s->all) > 0)
		state = "ok";
	if (rc == STORE_DONE && state != NULL)
		rc = store_channel_state(rq->st, row->id, state, NULL);
	return rc == STORE_DONE ? note(rq, "channel_changed", row->id) : rc;
}

static int
patch_apply(struct req *rq, struct rsp *rs, const struct channel_row *row,
    const char *name, const char *state)
{
	const struct channel *ch = channel_find(row->platform);
	struct json_object *o = NULL;
	struct settings s;
	struct channel_wrong wrong;
	int rc, status;

	settings_init(&s);
	if (settings_read(rq, ch, &s) == -1) {
		status = h_invalid(rq, rs);
		goto out;
	}
	if (json_object_object_length(s.all) > 0 &&
	    channel_set_check(
		ch, row->all, row->account, s.all, &s.why, &wrong) == -1) {
		status = settings_refuse(rs, &s);
		goto out;
	}
	if (ch != NULL)
		channel_set_sort(ch, s.all, s.config, s.secrets);
	if (h_begin(rq) == -1) {
		status = h_refuse(rq, rs, STORE_FAILED);
		goto out;
	}
	rc = channel_change(rq, row, name, state, &s);
	if (h_good(rc))
		rc = channel_one(rq, row->id, &o);
	status = h_end(rq, rs, 200, rc, o);
out:
	settings_fini(&s);
	return status;
}

/*
 * PATCH /api/channels/:id    {"name"?, "settings"?: {name: text or null},
 *     "state"?: "ok"|"off"}
 * 200 the channel.  New settings, or the state ok, let its queue go on after
 * the platform refused it.  404; 422 invalid: name, state, settings as above.
 */
int
channel_patch(struct req *rq, struct rsp *rs)
{
	const char *name = h_name(rq, "name", 0), *state = NULL;
	struct channel_row row = { 0 };
	int rc, status;

	if (name != NULL && *name == '\0')
		rq->bad_field = "name";
	if (rq->bad_field == NULL)
		state = h_word(rq, "state", "ok|off");
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	rc = store_channel_get(rq->st, rq->id[0], &row);
	status = rc == STORE_DONE ? patch_apply(rq, rs, &row, name, state)
				  : h_refuse(rq, rs, rc);
	channel_row_fini(&row);
	return status;
}

/*
 * DELETE /api/channels/:id
 * 200 {"success":true}: nothing comes in or goes out any more, its settings
 * are gone, its conversations stay.  404.
 */
int
channel_delete(struct req *rq, struct rsp *rs)
{
	int rc;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_channel_delete(rq->st, rq->id[0]);
	if (h_good(rc))
		rc = note(rq, "channel_deleted", rq->id[0]);
	rc = store_end(rq->st, rc);
	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}

/*
 * POST /api/channels/:id/test
 * 202 the channel: the worker asks the platform whether the token is good, and
 * "health"."test" is `wanted`, `running`, then `done` with what it said.  404.
 * 409 conflict: it is no account of a platform.
 */
int
channel_post_test(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	struct channel_row row = { 0 };
	bool known;
	int rc = store_channel_get(rq->st, rq->id[0], &row);

	known = rc == STORE_DONE && channel_find(row.platform) != NULL;
	channel_row_fini(&row);
	if (rc != STORE_DONE || !known)
		return h_refuse(rq, rs, rc == STORE_DONE ? STORE_REFUSED : rc);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_test_want(rq->st, rq->id[0]);
	if (rc == STORE_REPEATED)
		rc = STORE_DONE;
	if (h_good(rc))
		rc = channel_one(rq, rq->id[0], &o);
	return h_end(rq, rs, 202, rc, o);
}
