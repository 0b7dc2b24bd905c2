/*
 * p_bots.c: the admin's pages of bots: which there are and how they do, one of
 * them with its settings, trying it out.  What a bot may be and how it changes
 * is h_bot.c's matter, its fields are p_bot_form.c's.
 */

#include "p_bots.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "bot_here.h"
#include "figures.h"
#include "h.h"
#include "h_bot.h"
#include "id.h"
#include "json.h"
#include "p_bot_form.h"
#include "p_settings.h"
#include "p_view.h"
#include "p_words.h"
#include "store_bot.h"
#include "store_channel.h"

#define FIELD_SIZE 40 /* "channel_" and a number */

static const char *const kinds[] = { "rules", "http", "assistant" };

static int
bots_open(struct view *v, struct req *rq, struct rsp *rs)
{
	int rc = settings_begin(v, rq, rs, "bots", "bots.title");

	if (rc == STORE_DONE)
		view_key(v, "key");
	return rc;
}

static const char *
str(struct json_object *o, const char *key)
{
	const char *p = NULL;

	return json_get_str(o, key, &p, NULL) == 1 ? p : "";
}

static int64_t
num(struct json_object *o, const char *key)
{
	int64_t n = 0;

	return json_get_int(o, key, &n) == 1 ? n : 0;
}

static struct json_object *
items_of(struct json_object *list)
{
	struct json_object *items = NULL;

	(void)json_get_arr(list, "items", &items);
	return items;
}

/* ---- how it does -------------------------------------------------------- */

/* What was used of a day's limit: {used, most, spent}; ${most} 0: any. */
static struct json_object *
used_json(const struct view *v, int64_t used, int64_t most)
{
	struct json_object *o = json_object_new_object();
	char text[FIGURES_SIZE];

	figures_count(v->locale, (double)used, text);
	json_put_str(o, "used", text);
	figures_count(v->locale, (double)most, text);
	json_put_str(o, "most", most > 0 ? text : NULL);
	json_put_bool(o, "spent", most > 0 && used >= most);
	return o;
}

/* A bot's own lines, of the API's. */
static struct json_object *
one_json(const struct view *v, struct json_object *bot)
{
	int64_t calls = num(bot, "calls"), tokens = num(bot, "tokens");
	int64_t calls_max = num(bot, "calls_max");
	int64_t tokens_max = num(bot, "tokens_max");
	struct json_object *o = json_object_new_object(), *failed;
	const char *kind = str(bot, "kind");

	json_put_str(o, "id", str(bot, "id"));
	json_put_str(o, "name", str(bot, "name"));
	json_put_str(o, "kind", kind);
	json_put_str(o, "state", str(bot, "state"));
	json_put_bool(o, "on", strcmp(str(bot, "state"), "on") == 0);
	json_put_bool(o, "http", *kind == 'h');
	if (*kind != 'r') {
		json_put(o, "calls", used_json(v, calls, calls_max));
		if (*kind == 'a')
			json_put(o, "tokens", used_json(v, tokens, tokens_max));
		json_put_bool(o, "spent",
		    (calls_max > 0 && calls >= calls_max) ||
			(tokens_max > 0 && tokens >= tokens_max));
	}
	if (num(bot, "error_at") != 0) {
		failed = json_object_new_object();
		words_when(v, failed, num(bot, "error_at"));
		json_put_str(failed, "words", str(bot, "error"));
		json_put(o, "failed", failed);
	}
	return o;
}

/* ---- where it answers --------------------------------------------------- */

static bool
has_text(struct json_object *list, const char *text)
{
	size_t n = list != NULL ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++)
		if (strcmp(text, json_object_get_string(
				     json_object_array_get_idx(list, i))) == 0)
			return true;
	return false;
}

/* The name of another bot than ${id} that answers there, or NULL. */
static const char *
other_bot(struct json_object *bots, const char *id, const char *channel)
{
	struct json_object *o, *list = NULL;

	for (size_t i = 0; i < json_object_array_length(bots); i++) {
		o = json_object_array_get_idx(bots, i);
		if (strcmp(str(o, "id"), id) != 0 &&
		    json_get_arr(o, "channels", &list) == 1 &&
		    has_text(list, channel))
			return str(o, "name");
	}
	return NULL;
}

/*
 * Those of the form: [{field, name, platform, on, other}]; without the platform
 * where the name says it.
 */
static struct json_object *
channels_json(const struct view *v, struct json_object *channels,
    struct json_object *bots, const char *id, struct json_object *on)
{
	struct json_object *list = json_object_new_array(), *o, *c;
	char field[FIELD_SIZE], key[64];
	const char *other;

	for (size_t i = 0; i < json_object_array_length(channels); i++) {
		c = json_object_array_get_idx(channels, i);
		other = other_bot(bots, id, str(c, "id"));
		o = json_object_new_object();
		snprintf(field, sizeof(field), "channel_%s", str(c, "id"));
		json_put_str(o, "field", field);
		json_put_str(o, "name", str(c, "name"));
		snprintf(key, sizeof(key), "platform.%s", str(c, "platform"));
		if (strcmp(str(c, "name"), view_text(v, key)) != 0)
			json_put_str(o, "platform", str(c, "platform"));
		json_put_bool(o, "on", has_text(on, str(c, "id")));
		json_put_str(o, "other", other);
		json_object_array_add(list, o);
	}
	return list;
}

/* Returns new the ids of those that are ticked. */
static struct json_object *
channels_read(struct req *rq, struct json_object *channels)
{
	struct json_object *list = json_object_new_array(), *c;
	char field[FIELD_SIZE];

	for (size_t i = 0; i < json_object_array_length(channels); i++) {
		c = json_object_array_get_idx(channels, i);
		snprintf(field, sizeof(field), "channel_%s", str(c, "id"));
		if (req_form(rq, field, NULL) != NULL)
			json_object_array_add(
			    list, json_object_new_string(str(c, "id")));
	}
	return list;
}

/* Their names in a row. */
static void
put_names(
    struct json_object *o, struct json_object *channels, struct json_object *on)
{
	struct json_object *c;
	struct buf b;

	buf_init(&b, 65536);
	for (size_t i = 0; i < json_object_array_length(channels); i++) {
		c = json_object_array_get_idx(channels, i);
		if (!has_text(on, str(c, "id")))
			continue;
		buf_puts(&b, b.len > 0 ? ", " : "");
		buf_puts(&b, str(c, "name"));
	}
	json_put_strn(o, "places", b.data, b.len);
	buf_fini(&b);
}

/* ---- the list ----------------------------------------------------------- */

/* All bots and channels, new; 0 as a store function. */
static int
read_all(
    struct req *rq, struct json_object **bots, struct json_object **channels)
{
	int rc;

	*bots = *channels = NULL;
	rc = store_bots(rq->st, bot_day(rq->cf, rq->now_ms), bots);
	if (rc == STORE_DONE)
		rc = store_channels(rq->st, channels);
	return rc;
}

/* A page with all of them; unless DONE there is nothing to be put. */
static int
all_open(struct view *v, struct req *rq, struct rsp *rs,
    struct json_object **bots, struct json_object **channels)
{
	int rc = bots_open(v, rq, rs);

	if (rc != STORE_DONE)
		return rc;
	if ((rc = read_all(rq, bots, channels)) != STORE_DONE) {
		json_object_put(*bots);
		view_drop(v);
	}
	return rc;
}

/*
 * GET /settings/bots
 * 200 the bots and how they do, and the kinds there are.
 */
int
bots_page(struct req *rq, struct rsp *rs)
{
	struct json_object *bots, *channels, *list, *items, *o, *on;
	struct view v;
	int rc = all_open(&v, rq, rs, &bots, &channels);

	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	list = json_object_new_array();
	items = items_of(bots);
	for (size_t i = 0; i < json_object_array_length(items); i++) {
		struct json_object *bot = json_object_array_get_idx(items, i);

		o = one_json(&v, bot);
		on = NULL;
		(void)json_get_arr(bot, "channels", &on);
		put_names(o, items_of(channels), on);
		json_object_array_add(list, o);
	}
	json_put(v.model, "bots", list);
	json_put(v.model, "kinds", view_options(kinds, 3, ""));
	json_object_put(bots);
	json_object_put(channels);
	return view_end(&v, 200, "bots");
}

/* ---- the form ----------------------------------------------------------- */

/* A form that comes back: what was typed, and what is wrong with it. */
struct typed {
	struct json_object *parts; /* as bot_form_read, with channels */
	const char *field;         /* refused; NULL: the whole form */
	const char *question;      /* what is wrong is that of trying out */
};

/* What stands in the fields: of the form that comes back, else as stored. */
static struct json_object *
values_of(struct req *rq, struct json_object *bot, const struct typed *t)
{
	static const char *const own[] = { "name", "calls_max", "tokens_max" };
	struct json_object *o = json_object_new_object(), *config = NULL, *v;
	bool back = t != NULL && t->parts != NULL;

	(void)json_get_obj(back ? t->parts : bot, "config", &config);
	if (config != NULL) {
		json_object_object_foreach(config, key, member)
		{
			json_put(o, key, json_object_get(member));
		}
	}
	for (size_t i = 0; i < 3; i++) {
		v = NULL;
		if (back)
			json_put_str(o, own[i], req_form(rq, own[i], NULL));
		else if (json_object_object_get_ex(bot, own[i], &v) &&
			 (i == 0 || num(bot, own[i]) > 0))
			json_put(o, own[i], json_object_get(v));
	}
	return o;
}

/* The form of ${bot}, or of a new one of ${kind}, into ${o}. */
static void
put_form(struct view *v, struct json_object *o, const char *kind,
    struct json_object *bot, struct json_object *bots,
    struct json_object *channels, const struct typed *t)
{
	bool back = t != NULL && t->parts != NULL;
	const char *field = back ? t->field : NULL;
	struct bot_shown shown = { .kind = kind,
		.values = values_of(v->rq, bot, t),
		.back = back,
		.field = field };
	struct json_object *on = NULL;

	(void)json_get_obj(bot, "secrets", &shown.set);
	(void)json_get_arr(back ? t->parts : bot, "channels", &on);
	bot_form_put(v, o, &shown);
	json_put(o, "channels",
	    channels_json(
		v, items_of(channels), items_of(bots), str(bot, "id"), on));
	json_put_str(o, "bad_channels",
	    field != NULL && strcmp(field, "channels") == 0
		? view_text(v, "bot_fault.channels")
		: NULL);
	if (back)
		json_put_str(v->model, "fault",
		    view_text(v, field != NULL && strcmp(field, "config") != 0
				     ? "channels.faulty"
				     : "error.invalid"));
	json_object_put(shown.values);
}

static int
new_show(struct req *rq, struct rsp *rs, const char *kind, int status,
    const struct typed *t)
{
	struct json_object *bots, *channels, *o;
	struct view v;
	int rc = all_open(&v, rq, rs, &bots, &channels);

	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	o = json_object_new_object();
	json_put_str(o, "kind", kind);
	put_form(&v, o, kind, NULL, bots, channels, t);
	json_put(v.model, "bot", o);
	json_object_put(bots);
	json_object_put(channels);
	return view_end(&v, status, "bot_new");
}

/*
 * GET /settings/bots/new/:kind
 * 200 the form of a new bot; 404 no such kind.
 */
int
bot_new_page(struct req *rq, struct rsp *rs)
{
	if (!h_is_word(rq->arg[0], BOT_KINDS))
		return h_refuse(rq, rs, STORE_NONE);
	return new_show(rq, rs, rq->arg[0], 200, NULL);
}

/* The form with its channels; as a store function. */
static int
typed_read(struct req *rq, const char *kind, struct typed *t)
{
	struct json_object *channels = NULL;
	int rc = store_channels(rq->st, &channels);

	memset(t, 0, sizeof(*t));
	if (rc != STORE_DONE)
		return rc;
	t->parts = bot_form_read(rq, kind);
	json_put(t->parts, "channels", channels_read(rq, items_of(channels)));
	json_object_put(channels);
	return STORE_DONE;
}

/* Whether the form comes back for what the store said: 422, 409, or 0. */
static int
typed_fault(struct req *rq, int rc, struct typed *t)
{
	t->field = rq->bad_field;
	if (rc == STORE_REFUSED || (rc == STORE_INVALID && t->field == NULL))
		t->field = "channels";
	else if (rc != STORE_INVALID)
		return 0;
	return rc == STORE_REFUSED ? 409 : 422;
}

/* ---- one bot ------------------------------------------------------------ */

/* What it would have answered to the question that was tried. */
static int
put_tried(struct view *v, struct json_object *o, int64_t bot)
{
	struct json_object *tried = NULL, *result = NULL, *said;
	struct req *rq = v->rq;
	const char *asked, *state;
	int64_t ask = 0;
	size_t len;
	int rc;

	if ((asked = req_query(rq, "ask", &len)) == NULL)
		return STORE_DONE;
	ask = id_parse(asked, len);
	rc = store_bot_tried(rq->st, bot, ask, &tried);
	if (rc != STORE_DONE) /* gone by now */
		return rc == STORE_NONE ? STORE_DONE : rc;
	said = json_object_new_object();
	json_put_str(said, "question", str(tried, "question"));
	state = str(tried, "state");
	if (json_get_obj(tried, "result", &result) == 1) {
		json_put_str(said, "text", str(result, "text"));
		json_put_str(said, "failure", str(result, "error"));
		json_put_str(said, "reason", str(result, "reason"));
		json_put(said, "taps",
		    json_object_get(
			json_object_object_get(result, "quick_replies")));
		json_put_bool(said, "handed",
		    json_object_get_boolean(
			json_object_object_get(result, "handover")));
		json_put_bool(said, "later",
		    json_object_get_boolean(
			json_object_object_get(result, "later")));
		json_put_bool(said, "ended", true);
	} else if (strcmp(state, "queued") == 0 ||
		   strcmp(state, "asking") == 0) {
		/* No refreshing: somebody may be typing below. */
		json_put_bool(said, "waits", true);
		json_put_id(said, "ask", ask);
	}
	json_put(o, "tried", said);
	json_object_put(tried);
	return STORE_DONE;
}

/* ${made}: to be shown this once, or NULL. */
static int
one_show(struct req *rq, struct rsp *rs, int64_t id, int status,
    const struct typed *t, const struct bot_made *made)
{
	struct json_object *bots = NULL, *channels = NULL, *bot = NULL, *o;
	struct view v;
	int rc = bots_open(&v, rq, rs);

	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	rc = store_bot_json(rq->st, id, bot_day(rq->cf, rq->now_ms), &bot);
	if (rc == STORE_DONE)
		rc = read_all(rq, &bots, &channels);
	if (rc == STORE_DONE) {
		o = one_json(&v, bot);
		json_put(v.model, "bot", o);
		rc = put_tried(&v, o, id);
	}
	if (rc != STORE_DONE) {
		json_object_put(bot);
		json_object_put(bots);
		json_object_put(channels);
		view_drop(&v);
		return h_refuse(rq, rs, rc);
	}
	put_form(&v, o, str(bot, "kind"), bot, bots, channels, t);
	if (t != NULL && t->question != NULL) {
		json_put_str(o, "question", t->question);
		json_put_str(
		    o, "bad_question", view_text(&v, "bot_fault.message"));
	}
	if (made != NULL && made->key)
		json_put_str(o, "key_once", made->key_text);
	if (made != NULL && made->secret)
		json_put_str(o, "secret_once", made->secret_text);
	view_title(&v, str(bot, "name"));
	json_object_put(bot);
	json_object_put(bots);
	json_object_put(channels);
	return view_end(&v, status, "bot");
}

/*
 * GET /settings/bots/:id    ?ask
 * 200 the bot: how it does, its settings, what it answered when tried; 404.
 */
int
bot_page(struct req *rq, struct rsp *rs)
{
	return one_show(rq, rs, rq->id[0], 200, NULL, NULL);
}

/*
 * POST /settings/bots/new/:kind    key, the fields
 * 303 to the bot's page.  One of kind http: 201 its page with its key and its
 * secret, since what is shown only once cannot stand behind a redirect.
 * 404 no such kind; 409, 422 the form again, with the fault.
 */
int
bot_new_post(struct req *rq, struct rsp *rs)
{
	const char *key = req_str(rq, "key", 1, 128), *kind = rq->arg[0];
	char path[SETTINGS_PATH];
	const char *url = NULL;
	struct bot_made made;
	struct typed t;
	int64_t id = 0;
	int rc, status;

	if (!h_is_word(kind, BOT_KINDS))
		return h_refuse(rq, rs, STORE_NONE);
	memset(&made, 0, sizeof(made));
	if (key == NULL)
		return h_invalid(rq, rs);
	if ((rc = typed_read(rq, kind, &t)) != STORE_DONE)
		return h_refuse(rq, rs, rc);
	if ((rc = once_begin(rq, key, &url)) == STORE_DONE) {
		rc = bot_make(rq, kind, t.parts, &id, &made);
		snprintf(path, sizeof(path),
		    "/settings/bots/%" PRId64 "?saved=1", id);
		rc = once_end(rq, key, rc, path);
		url = path;
	}
	if ((status = typed_fault(rq, rc, &t)) != 0)
		status = new_show(rq, rs, kind, status, &t);
	else if (rc == STORE_DONE && made.key)
		status = one_show(rq, rs, id, 201, NULL, &made);
	else if (rc == STORE_DONE || rc == STORE_REPEATED)
		status = rsp_redirect(rs, url);
	else
		status = h_refuse(rq, rs, rc);
	sodium_memzero(&made, sizeof(made));
	json_object_put(t.parts);
	return status;
}

/*
 * POST /settings/bots/:id    key, the fields
 * An empty secret stays; clear_api_key takes one away.
 * 303 back; 404; 409, 422 the page again, with the fault.
 */
int
bot_post_change(struct req *rq, struct rsp *rs)
{
	const char *key = req_str(rq, "key", 1, 128), *url = NULL;
	char path[SETTINGS_PATH];
	struct bot_made made;
	struct typed t;
	struct bot b;
	int rc, status;

	if (key == NULL)
		return h_invalid(rq, rs);
	if ((rc = store_bot_get(rq->st, rq->id[0], &b)) != STORE_DONE)
		return h_refuse(rq, rs, rc);
	bot_fini(&b);
	if ((rc = typed_read(rq, b.kind, &t)) != STORE_DONE)
		return h_refuse(rq, rs, rc);
	snprintf(path, sizeof(path), "/settings/bots/%" PRId64 "?saved=1",
	    rq->id[0]);
	if ((rc = once_begin(rq, key, &url)) == STORE_DONE) {
		rc = bot_alter(rq, t.parts, rq->id[0], &made);
		rc = once_end(rq, key, rc, path);
	}
	if ((status = typed_fault(rq, rc, &t)) != 0)
		status = one_show(rq, rs, rq->id[0], status, &t, NULL);
	else if (rc == STORE_DONE || rc == STORE_REPEATED)
		status = rsp_redirect(rs, path);
	else
		status = h_refuse(rq, rs, rc);
	json_object_put(t.parts);
	return status;
}

/* ---- forms without fields ----------------------------------------------- */

static int
state_act(struct req *rq, char path[SETTINGS_PATH])
{
	struct bot_made made;

	if (h_word(rq, "state", "on|off") == NULL) {
		rq->bad_field = "state";
		return STORE_INVALID;
	}
	snprintf(path, SETTINGS_PATH, "/settings/bots/%" PRId64 "?saved=1",
	    rq->id[0]);
	return bot_alter(rq, NULL, rq->id[0], &made);
}

/*
 * POST /settings/bots/:id/state    key, state=on|off
 * 303 back; 404; 422.
 */
int
bot_post_state(struct req *rq, struct rsp *rs)
{
	return settings_once(rq, rs, state_act);
}

/* Ask it, and see its answer where the form was. */
static int
try_act(struct req *rq, char path[SETTINGS_PATH])
{
	const char *text = bot_question_read(rq);
	int64_t ask = 0;
	int rc = text != NULL ? store_bot_try(rq->st, rq->id[0], text, &ask)
			      : STORE_INVALID;

	/* What cannot be answered here is the worker's. */
	if (rc == STORE_DONE && bot_here(rq->cf, rq->st, ask) == STORE_FAILED)
		rc = STORE_FAILED;
	snprintf(path, SETTINGS_PATH,
	    "/settings/bots/%" PRId64 "?ask=%" PRId64 "#try", rq->id[0], ask);
	return rc;
}

/*
 * POST /settings/bots/:id/test    key, message
 * It is answered at once if no endpoint is needed, else by the worker; the page
 * looks again until then.  It counts against the day's budget.
 * 303 back; 404; 422 the page again: an empty question, or too long a one.
 */
int
bot_post_try(struct req *rq, struct rsp *rs)
{
	struct typed t = { .question = req_form(rq, "message", NULL) };

	if (t.question == NULL || bot_question_read(rq) != NULL)
		return settings_once(rq, rs, try_act);
	return one_show(rq, rs, rq->id[0], 422, &t, NULL);
}

/*
 * POST /settings/bots/:id/key    key, new_key=1 or new_secret=1
 * 200 the page with another key or secret, this once.  The form sent again: 303
 * to that page, without.  404; 422 not of its kind.
 */
int
bot_post_renew(struct req *rq, struct rsp *rs)
{
	const char *key = req_str(rq, "key", 1, 128), *url = NULL;
	char path[SETTINGS_PATH];
	struct bot_made made;
	int rc;

	if (key == NULL)
		return h_invalid(rq, rs);
	memset(&made, 0, sizeof(made));
	snprintf(path, sizeof(path), "/settings/bots/%" PRId64, rq->id[0]);
	if ((rc = once_begin(rq, key, &url)) == STORE_DONE) {
		rc = bot_alter(rq, NULL, rq->id[0], &made);
		rc = once_end(rq, key, rc, path);
	}
	if (rq->bad_field != NULL)
		rc = h_invalid(rq, rs);
	else if (rc == STORE_REPEATED)
		rc = rsp_redirect(rs, url);
	else if (rc != STORE_DONE)
		rc = h_refuse(rq, rs, rc);
	else
		rc = one_show(rq, rs, rq->id[0], 200, NULL, &made);
	sodium_memzero(&made, sizeof(made));
	return rc;
}

/*
 * GET /settings/bots/:id/delete
 * 200 the question whether it is meant; 404.
 */
int
bot_delete_page(struct req *rq, struct rsp *rs)
{
	struct json_object *bot = NULL;
	struct view v;
	int rc = bots_open(&v, rq, rs);

	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	rc = store_bot_json(
	    rq->st, rq->id[0], bot_day(rq->cf, rq->now_ms), &bot);
	if (rc != STORE_DONE) {
		view_drop(&v);
		return h_refuse(rq, rs, rc);
	}
	json_put(v.model, "bot", one_json(&v, bot));
	view_title(&v, str(bot, "name"));
	json_object_put(bot);
	return view_end(&v, 200, "bot_delete");
}

static int
delete_act(struct req *rq, char path[SETTINGS_PATH])
{
	snprintf(path, SETTINGS_PATH, "/settings/bots?saved=1");
	return bot_remove(rq, rq->id[0]);
}

/*
 * POST /settings/bots/:id/delete    key
 * 303 to the list; 404.
 */
int
bot_post_delete(struct req *rq, struct rsp *rs)
{
	return settings_once(rq, rs, delete_act);
}
