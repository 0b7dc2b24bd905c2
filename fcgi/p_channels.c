/*
 * p_channels.c: the admin's pages of platform accounts: connect one step by
 * step, see how it is, change, stop, delete.  What a platform wants to know is
 * its adapter's matter (channel.h), how its settings change channel_set.c's;
 * their names and what to do over there are texts of www/i18n.
 */
#define _GNU_SOURCE /* explicit_bzero */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "channel.h"
#include "channel_set.h"
#include "h.h"
#include "json.h"
#include "p_channel_put.h"
#include "p_channels.h"
#include "p_settings.h"
#include "p_view.h"
#include "p_words.h"
#include "store_channel.h"
#include "store_channel_health.h"
#include "store_setting.h"
#include "token.h"

#define ADDRESS_MAX 4096 /* bytes of one of ours */
#define COOKIE_MADE "parley_made"
#define MADE_S 600 /* to follow a redirect, which takes the cookie away */

/* --- what was made up is shown once -------------------------------------- */

/* The setting that may be made up, or NULL; adapters have one at most. */
static const struct channel_key *
made_key(const struct channel *ch)
{
	for (size_t i = 0; i < ch->nkeys; i++)
		if ((ch->keys[i].flags & CHANNEL_MADE) != 0)
			return &ch->keys[i];
	return NULL;
}

/* Whether the form asks for a new one; ${fresh}: of a new account. */
static bool
made_asked(struct req *rq, const struct channel_key *k, bool fresh)
{
	const char *typed = req_form(rq, k->name, NULL);
	char make[96];

	if (typed != NULL && *typed != '\0')
		return false;
	snprintf(make, sizeof(make), "make_%s", k->name);
	return fresh || req_form(rq, make, NULL) != NULL;
}

/*
 * After a form that made something up: the browser that sent it carries it
 * over the redirect, also when the form comes a second time.
 */
static void
made_carry(struct req *rq, struct rsp *rs, const struct channel *ch, int64_t id,
    bool fresh)
{
	const struct channel_key *k = ch != NULL ? made_key(ch) : NULL;
	struct channel_row row = { 0 };
	const char *value = NULL;
	char cookie[96];

	if (k == NULL || !made_asked(rq, k, fresh))
		return;
	if (store_channel_get(rq->st, id, &row) == STORE_DONE &&
	    json_get_str(row.all, k->name, &value, NULL) == 1) {
		snprintf(
		    cookie, sizeof(cookie), "%" PRId64 ".%.64s", id, value);
		rsp_cookie(rs, COOKIE_MADE, cookie, MADE_S);
		explicit_bzero(cookie, sizeof(cookie));
	}
	channel_row_fini(&row);
}

/* Returns new {SETTING: value} of what the cookie brings, which ends it. */
static struct json_object *
made_take(struct req *rq, struct rsp *rs, const struct channel *ch,
    const struct channel_row *row)
{
	struct json_object *made = json_object_new_object();
	const struct channel_key *k = ch != NULL ? made_key(ch) : NULL;
	const char *sent = req_cookie(
	    rq, auth_secure(rq) ? "__Host-" COOKIE_MADE : COOKIE_MADE);
	const char *value = NULL;
	char want[96];

	if (k == NULL || sent == NULL ||
	    json_get_str(row->all, k->name, &value, NULL) != 1)
		return made;
	snprintf(want, sizeof(want), "%" PRId64 ".%.64s", row->id, value);
	if (token_equal(sent, strlen(sent), want, strlen(want))) {
		json_put_str(made, k->name, value);
		rsp_cookie(rs, COOKIE_MADE, "", -1);
	}
	explicit_bzero(want, sizeof(want));
	return made;
}

/* --- the list ------------------------------------------------------------ */

static int
channels_open(struct view *v, struct req *rq, struct rsp *rs)
{
	int rc = settings_begin(v, rq, rs, "channels", "channels.title");

	if (rc == STORE_DONE)
		view_key(v, "key");
	return rc;
}

/* The worst of what is wrong with one of the list. */
static int
put_problem(struct req *rq, struct json_object *o)
{
	struct json_object *health, *problems = NULL;
	int64_t id = 0;
	int rc;

	(void)json_get_id(o, "id", &id);
	rc = store_channel_health(rq->st, id, &health);
	if (rc == STORE_NONE) /* deleted meanwhile */
		return STORE_DONE;
	if (rc != STORE_DONE)
		return rc;
	(void)json_get_arr(health, "problems", &problems);
	if (problems != NULL && json_object_array_length(problems) > 0)
		json_put(o, "problem",
		    json_object_get(json_object_array_get_idx(problems, 0)));
	json_object_put(health);
	return STORE_DONE;
}

/*
 * GET /settings/channels
 * 200 the accounts and how they are, and what can be connected.
 */
int
channels_page(struct req *rq, struct rsp *rs)
{
	struct json_object *list = NULL, *items = NULL,
			   *platforms = json_object_new_array(), *o;
	const struct channel *ch;
	struct view v;
	int rc = channels_open(&v, rq, rs);

	if (rc == STORE_DONE &&
	    (rc = store_channels(rq->st, &list)) != STORE_DONE)
		view_drop(&v);
	if (rc != STORE_DONE) {
		json_object_put(platforms);
		return h_refuse(rq, rs, rc);
	}
	(void)json_get_arr(list, "items", &items);
	for (size_t i = 0; i < json_object_array_length(items); i++) {
		o = json_object_array_get_idx(items, i);
		if ((rc = put_problem(rq, o)) != STORE_DONE)
			break;
	}
	if (rc != STORE_DONE) {
		json_object_put(platforms);
		json_object_put(list);
		view_drop(&v);
		return h_refuse(rq, rs, rc);
	}
	for (size_t i = 0; (ch = channel_at(i)) != NULL; i++) {
		o = json_object_new_object();
		json_put_str(o, "platform", ch->platform);
		json_object_array_add(platforms, o);
	}
	json_put_bool(v.model, "any", json_object_array_length(items) > 0);
	json_put(v.model, "channels", json_object_get(items));
	json_put(v.model, "platforms", platforms);
	json_object_put(list);
	return view_end(&v, 200, "channels");
}

/* --- the form ------------------------------------------------------------ */

/* A faulty form's words above it. */
static void
put_fault(struct view *v, const struct channel_fault *fault)
{
	if (fault == NULL)
		return;
	json_put_str(v->model, "fault",
	    fault->key != NULL    ? view_text(v, "channels.faulty")
	    : fault->text != NULL ? fault->text
				  : view_text(v, "error.invalid"));
}

static int
new_show(struct req *rq, struct rsp *rs, const struct channel *ch, int status,
    const struct channel_fault *fault)
{
	const char *name = fault != NULL ? req_form(rq, "name", NULL) : NULL;
	struct json_object *o;
	struct view v;
	int rc = channels_open(&v, rq, rs);

	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	o = json_object_new_object();
	json_put_str(o, "platform", ch->platform);
	json_put_str(o, "name", name);
	channel_put_guide(&v, o, ch);
	channel_put_fields(&v, o, ch, NULL, fault);
	json_put(v.model, "channel", o);
	put_fault(&v, fault);
	return view_end(&v, status, "channel_new");
}

/*
 * GET /settings/channels/new/:platform
 * 200 the steps and the form for a new account; 404 no such platform.
 */
int
channel_new_page(struct req *rq, struct rsp *rs)
{
	const struct channel *ch = channel_find(rq->arg[0]);

	if (ch == NULL)
		return h_refuse(rq, rs, STORE_NONE);
	return new_show(rq, rs, ch, 200, NULL);
}

/* A setting as typed, without what clings to what is copied; NULL: absent. */
static const char *
typed_value(struct req *rq, const struct channel_key *k)
{
	const char *sent = req_form(rq, k->name, NULL);
	size_t len;

	return sent == NULL ? NULL : view_content(rq, sent, &len);
}

/*
 * What the form changes, into ${all}: texts, and nulls for what is taken away.
 * ${fresh}: a new account, which takes nothing away.  What cannot be read, or
 * NULL.
 */
static const struct channel_key *
form_read(struct req *rq, const struct channel *ch, bool fresh,
    struct json_object *all)
{
	struct json_object *v;
	char clear[96], ms[24];

	for (size_t i = 0; i < ch->nkeys; i++) {
		const struct channel_key *k = &ch->keys[i];
		const char *typed = typed_value(rq, k);
		bool gone = false;

		snprintf(clear, sizeof(clear), "clear_%s", k->name);
		if (channel_form_of(ch, k) == FORM_KEPT)
			continue;
		if (channel_form_of(ch, k) == FORM_TICK) {
			typed = typed != NULL ? "1" : NULL;
			gone = typed == NULL;
		} else if (typed != NULL && *typed == '\0') {
			gone = (k->flags & CHANNEL_SECRET) == 0;
			typed = NULL;
		} else if (typed != NULL &&
			   channel_form_of(ch, k) == FORM_DATE) {
			if (channel_day_read(typed, ms) == -1)
				return k;
			typed = ms;
		} else if (typed != NULL && k->value != NULL &&
			   strcmp(typed, k->value) == 0) {
			gone = true;
			typed = NULL;
		}
		if (typed == NULL && (k->flags & CHANNEL_SECRET) != 0 &&
		    (k->flags & CHANNEL_REQUIRED) == 0)
			gone = req_form(rq, clear, NULL) != NULL;
		if (typed != NULL)
			json_put_str(all, k->name, typed);
		else if (gone && !fresh)
			json_put_str(all, k->name, NULL);
	}
	/* Nothing is known yet of how long a new token lasts. */
	if (!fresh && ch->expires_key != NULL && ch->token_key != NULL &&
	    json_object_object_get_ex(all, ch->token_key, &v) &&
	    !json_object_object_get_ex(all, ch->expires_key, &v))
		json_put_str(all, ch->expires_key, NULL);
	return NULL;
}

/* A text of the reader's language outside of a page. */
static const char *
text_now(struct req *rq, struct rsp *rs, const char *key)
{
	const char *text;
	struct view v;

	view_begin(&v, rq, rs, "settings");
	text = view_text(&v, key);
	view_drop(&v);
	return text;
}

/* What is wrong, at its field in the reader's language. */
static struct channel_fault
wrong_fault(struct req *rq, struct rsp *rs, const struct channel_wrong *wrong)
{
	char key[64];

	snprintf(key, sizeof(key), "channel_fault.%s", wrong->code);
	return (struct channel_fault){ wrong->key, text_now(rq, rs, key) };
}

static int
audit(struct req *rq, const char *action, int64_t id)
{
	char object[32];

	snprintf(object, sizeof(object), "channel:%" PRId64, id);
	return store_audit(rq->st, &rq->who, rq->addr, action, object, NULL);
}

/* Store a new account once; its page in ${path}. */
static int
new_store(struct req *rq, const struct channel *ch, const char *key,
    const char *name, struct json_object *all, const char **path)
{
	struct json_object *config = json_object_new_object(),
			   *secrets = json_object_new_object();
	char *url = req_alloc(rq, 64);
	struct buf account;
	int64_t id = 0;
	int rc = STORE_FAILED;

	buf_init(&account, ADDRESS_MAX);
	channel_set_sort(ch, all, config, secrets);
	channel_account_name(ch, all, &account);
	if (url != NULL)
		rc = once_begin(rq, key, path);
	if (url != NULL && rc == STORE_DONE) {
		rc = store_channel_add(rq->st, ch->platform, name,
		    account.len > 0 ? account.data : NULL, config, secrets,
		    &id);
		if (rc == STORE_DONE)
			rc = audit(rq, "channel_added", id);
		snprintf(url, 64, "/settings/channels/%" PRId64 "?saved=1", id);
		rc = once_end(rq, key, rc, url);
		*path = url;
	}
	buf_fini(&account);
	json_object_put(config);
	json_object_put(secrets);
	return rc;
}

/*
 * POST /settings/channels/new/:platform    key, name, settings by their names
 * 303 to the account's page, which says what to enter over there.
 * 404 no such platform; 409 the account is connected already; 422 the form
 * again, with the fault.
 */
int
channel_new_post(struct req *rq, struct rsp *rs)
{
	const struct channel *ch = channel_find(rq->arg[0]);
	const char *key = req_str(rq, "key", 1, 128), *name, *path = NULL;
	struct json_object *all, *made;
	struct channel_fault fault = { 0 };
	struct channel_wrong wrong;
	int64_t id = 0;
	int rc;

	if (ch == NULL)
		return h_refuse(rq, rs, STORE_NONE);
	if (key == NULL)
		return h_invalid(rq, rs);
	if ((name = h_name(rq, "name", 1)) == NULL) {
		fault.text = text_now(rq, rs, "channels.name_bad");
		return new_show(rq, rs, ch, 422, &fault);
	}
	all = json_object_new_object();
	made = json_object_new_object();
	if ((fault.key = form_read(rq, ch, true, all)) != NULL) {
		fault.text = text_now(rq, rs, "error.field");
		rc = new_show(rq, rs, ch, 422, &fault);
		goto out;
	}
	channel_set_make(ch, all, made);
	if (channel_config_wrong(ch, all, &wrong)) {
		fault = wrong_fault(rq, rs, &wrong);
		rc = new_show(rq, rs, ch, 422, &fault);
		goto out;
	}
	rc = new_store(rq, ch, key, name, all, &path);
	if (rc == STORE_REFUSED) {
		fault.key = ch->account_key != NULL
				? channel_key_find(ch, ch->account_key)
				: NULL;
		fault.text = text_now(rq, rs, "channels.taken");
		rc = new_show(rq, rs, ch, 409, &fault);
	} else if (rc != STORE_DONE && rc != STORE_REPEATED) {
		rc = h_refuse(rq, rs, rc);
	} else {
		if (sscanf(path, "/settings/channels/%" SCNd64, &id) == 1)
			made_carry(rq, rs, ch, id, true);
		rc = rsp_redirect(rs, path);
	}
out:
	json_object_put(all);
	json_object_put(made);
	return rc;
}

/* --- one account --------------------------------------------------------- */

/* The page of one; ${row} is taken. */
static int
one_show(struct req *rq, struct rsp *rs, struct channel_row *row, int status,
    const struct channel_fault *fault)
{
	const struct channel *ch = channel_find(row->platform);
	const char *name = fault != NULL ? req_form(rq, "name", NULL) : NULL;
	struct json_object *o, *made, *health = NULL;
	struct view v;
	int rc = channels_open(&v, rq, rs);

	if (rc == STORE_DONE && ch != NULL &&
	    (rc = store_channel_health(rq->st, row->id, &health)) != STORE_DONE)
		view_drop(&v);
	if (rc != STORE_DONE) {
		channel_row_fini(row);
		return h_refuse(rq, rs, rc);
	}
	o = channel_row_json(row);
	json_put_str(o, "typed_name", name != NULL ? name : row->name);
	if (ch != NULL) {
		made = made_take(rq, rs, ch, row);
		json_put_bool(o, "adapter", true);
		json_put(o, "health", channel_health_json(&v, health, row->id));
		json_object_put(health);
		channel_put_guide(&v, o, ch);
		channel_put_fields(&v, o, ch, row, fault);
		channel_put_paste(&v, o, ch, row, made);
		json_object_put(made);
		json_put_bool(o, "unreachable",
		    strncmp(rq->cf->base_url, "https://", 8) != 0);
	}
	json_put(v.model, "channel", o);
	view_title(&v, row->name);
	put_fault(&v, fault);
	channel_row_fini(row);
	return view_end(&v, status, "channel");
}

/* The account of the address: STORE_DONE, or the answer is given. */
static int
one_get(struct req *rq, struct rsp *rs, struct channel_row *row, int *status)
{
	int rc = rq->id[0] > 0 ? store_channel_get(rq->st, rq->id[0], row)
			       : STORE_NONE;

	if (rc != STORE_DONE) {
		if (rq->id[0] > 0)
			channel_row_fini(row);
		*status = h_refuse(rq, rs, rc);
	}
	return rc;
}

/*
 * GET /settings/channels/:id
 * 200 the account: how it is, what to enter over there, its settings; 404.
 */
int
channel_page(struct req *rq, struct rsp *rs)
{
	struct channel_row row;
	int status;

	if (one_get(rq, rs, &row, &status) != STORE_DONE)
		return status;
	return one_show(rq, rs, &row, 200, NULL);
}

/* Store what changed once. */
static int
one_store(struct req *rq, const struct channel *ch,
    const struct channel_row *row, const char *key, const char *name,
    struct json_object *all, const char *path)
{
	struct json_object *config = json_object_new_object(),
			   *secrets = json_object_new_object();
	const char *before = NULL;
	int rc;

	if (ch != NULL) {
		channel_set_sort(ch, all, config, secrets);
		/* The worker keeps it there. */
		if (ch->expires_key != NULL &&
		    json_object_object_get_ex(config, ch->expires_key, NULL))
			json_put_str(secrets, ch->expires_key, NULL);
	}
	rc = once_begin(rq, key, &before);
	if (rc == STORE_DONE) {
		rc = store_channel_set(rq->st, row->id, name, config, secrets);
		/* It may be what the platform's refusal waited for. */
		if (rc == STORE_DONE && strcmp(row->state, "reauth") == 0)
			rc = store_channel_state(rq->st, row->id, "ok", NULL);
		if (rc == STORE_DONE)
			rc = audit(rq, "channel_changed", row->id);
		rc = once_end(rq, key, rc, path);
	}
	json_object_put(config);
	json_object_put(secrets);
	return rc;
}

/*
 * POST /settings/channels/:id    key, name, settings by their names
 * An empty secret stays; make_NAME makes up a new one, clear_NAME takes one
 * away.
 * 303 back; 404; 422 the page again, with the fault.
 */
int
channel_post_change(struct req *rq, struct rsp *rs)
{
	const char *key = req_str(rq, "key", 1, 128), *name;
	const struct channel_key *k;
	const struct channel *ch;
	struct json_object *all;
	struct channel_fault fault = { 0 };
	struct channel_row row;
	char path[64], token[TOKEN_SIZE];
	struct channel_wrong wrong;
	struct buf why;
	int rc, status;

	if (key == NULL)
		return h_invalid(rq, rs);
	if (one_get(rq, rs, &row, &status) != STORE_DONE)
		return status;
	if ((name = h_name(rq, "name", 1)) == NULL) {
		fault.text = text_now(rq, rs, "channels.name_bad");
		return one_show(rq, rs, &row, 422, &fault);
	}
	ch = channel_find(row.platform);
	all = json_object_new_object();
	buf_init(&why, ADDRESS_MAX);
	if (ch != NULL && (fault.key = form_read(rq, ch, false, all)) != NULL) {
		fault.text = text_now(rq, rs, "error.field");
		rc = one_show(rq, rs, &row, 422, &fault);
		goto out;
	}
	if (ch != NULL && (k = made_key(ch)) != NULL &&
	    made_asked(rq, k, false)) {
		token_new(token);
		json_put_str(all, k->name, token);
		explicit_bzero(token, sizeof(token));
	}
	if (ch != NULL && channel_set_check(ch, row.all, row.account, all, &why,
			      &wrong) == -1) {
		fault = wrong_fault(rq, rs, &wrong);
		rc = one_show(rq, rs, &row, 422, &fault);
		goto out;
	}
	snprintf(path, sizeof(path), "/settings/channels/%" PRId64 "?saved=1",
	    row.id);
	rc = one_store(rq, ch, &row, key, name, all, path);
	channel_row_fini(&row);
	if (rc == STORE_DONE || rc == STORE_REPEATED) {
		made_carry(rq, rs, ch, rq->id[0], false);
		rc = rsp_redirect(rs, path);
	} else {
		rc = h_refuse(rq, rs, rc);
	}
out:
	buf_fini(&why);
	json_object_put(all);
	return rc;
}

static int
state_act(struct req *rq, char path[SETTINGS_PATH])
{
	const char *state = h_word(rq, "state", "ok|off");
	int rc;

	if (state == NULL) {
		rq->bad_field = "state";
		return STORE_INVALID;
	}
	snprintf(path, SETTINGS_PATH, "/settings/channels/%" PRId64 "?saved=1",
	    rq->id[0]);
	rc = rq->id[0] > 0 ? store_channel_state(rq->st, rq->id[0], state, NULL)
			   : STORE_NONE;
	if (rc == STORE_DONE)
		rc = audit(rq,
		    strcmp(state, "ok") == 0 ? "channel_on" : "channel_off",
		    rq->id[0]);
	return rc;
}

/*
 * POST /settings/channels/:id/state    key, state=ok|off
 * ok lets one that is off, or that its platform refused, go on.
 * 303 back; 404; 422.
 */
int
channel_post_state(struct req *rq, struct rsp *rs)
{
	return settings_once(rq, rs, state_act);
}

static int
probe_act(struct req *rq, char path[SETTINGS_PATH])
{
	snprintf(path, SETTINGS_PATH, "/settings/channels/%" PRId64, rq->id[0]);
	return rq->id[0] > 0 ? store_test_want(rq->st, rq->id[0]) : STORE_NONE;
}

/*
 * POST /settings/channels/:id/test    key
 * The worker asks the platform; the page says what it answered.
 * 303 back; 404.
 */
int
channel_post_probe(struct req *rq, struct rsp *rs)
{
	return settings_once(rq, rs, probe_act);
}

/*
 * GET /settings/channels/:id/delete
 * 200 the question whether it is meant; 404.
 */
int
channel_delete_page(struct req *rq, struct rsp *rs)
{
	struct channel_row row;
	struct view v;
	int rc, status;

	if (one_get(rq, rs, &row, &status) != STORE_DONE)
		return status;
	if ((rc = channels_open(&v, rq, rs)) != STORE_DONE) {
		channel_row_fini(&row);
		return h_refuse(rq, rs, rc);
	}
	json_put(v.model, "channel", channel_row_json(&row));
	view_title(&v, row.name);
	channel_row_fini(&row);
	return view_end(&v, 200, "channel_delete");
}

static int
delete_act(struct req *rq, char path[SETTINGS_PATH])
{
	int rc = rq->id[0] > 0 ? store_channel_delete(rq->st, rq->id[0])
			       : STORE_NONE;

	snprintf(path, SETTINGS_PATH, "/settings/channels?saved=1");
	return rc == STORE_DONE ? audit(rq, "channel_deleted", rq->id[0]) : rc;
}

/*
 * POST /settings/channels/:id/delete    key
 * Conversations stay; secrets go.  303 to the list; 404.
 */
int
channel_post_delete(struct req *rq, struct rsp *rs)
{
	return settings_once(rq, rs, delete_act);
}
