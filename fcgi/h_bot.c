/* Bots: making, changing, trying out. */

#include "h_bot.h"

#include "../common/clock.h"
#include "../common/id.h"
#include "../common/json.h"
#include "../common/sock.h"
#include "bot_here.h"
#include "h.h"
#include "starter.h"
#include "store_bot.h"
#include "store_setting.h"
#include "token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHANNELS_MAX 200
#define URL_CHARS_MAX 500
#define LOOK_MS 100 /* for an answer that is waited for */
#define QUESTION_CHARS 2000

/*
 * GET /api/bots
 * 200 {"items":[{"id","name","kind","state","config","secrets":{name:"set"},
 * "channels":[id],"calls_max","tokens_max","calls","tokens","error",
 * "error_at","created_at"}],"next":null,"cursor"}; calls and tokens of today.
 */
int
bot_list(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int rc = store_bots(rq->st, bot_day(rq->cf, rq->now_ms), &o);

	return h_answer(rq, rs, 200, rc, o, 0);
}

/* An object that may be absent; bad_field if it is something else. */
static struct json_object *
read_object(struct req *rq, const char *key)
{
	struct json_object *o = NULL;

	if (json_get_obj(rq->json, key, &o) == -1)
		rq->bad_field = key;
	return o;
}

static void
read_channels(struct req *rq, struct bot_change *c, int64_t ids[CHANNELS_MAX])
{
	struct json_object *list = NULL, *v;
	const char *s;
	size_t i, n;
	int rc = json_get_arr(rq->json, "channels", &list);

	n = rc == 1 ? json_object_array_length(list) : 0;
	if (rc == -1 || n > CHANNELS_MAX) {
		rq->bad_field = "channels";
		return;
	}
	for (i = 0; i < n; i++) {
		v = json_object_array_get_idx(list, i);
		s = json_object_get_string(v);
		ids[i] = s != NULL ? id_parse(s, strlen(s)) : 0;
		if (ids[i] <= 0)
			rq->bad_field = "channels";
	}
	c->channels = ids;
	c->nchannels = n;
	c->rehome = rc == 1;
}

/* What the kind must have, of the whole that it will be. */
static void
check_whole(struct req *rq, const char *kind, const struct bot *b,
    const struct bot_change *c)
{
	struct bot_limits lim = { .text_chars =
				      (size_t)rq->cf->message_chars_max,
		.base_chars = URL_CHARS_MAX };
	struct json_object *all = json_object_new_object();
	struct json_object *secrets = json_object_new_object();
	struct json_object *const from[] = { b != NULL ? b->config : NULL,
		c->config };
	const char *bad;
	size_t i;

	for (i = 0; i < 2; i++) {
		if (from[i] == NULL)
			continue;
		json_object_object_foreach(from[i], key, v)
		{
			if (v == NULL)
				json_object_object_del(all, key);
			else
				json_put(all, key, json_object_get(v));
		}
	}
	if (c->secrets != NULL) {
		json_object_object_foreach(c->secrets, name, w)
		{
			if (w != NULL)
				json_put(secrets, name, json_object_get(w));
		}
	}
	bad = bot_config_bad(kind, all, &lim);
	if (bad == NULL)
		bad = bot_secrets_bad(kind, secrets);
	json_object_put(all);
	json_object_put(secrets);
	if (rq->bad_field == NULL)
		rq->bad_field = bad;
}

static void
read_change(struct req *rq, struct bot_change *c, int64_t ids[CHANNELS_MAX])
{
	*c = (struct bot_change)BOT_CHANGE_INIT;
	c->name = h_name(rq, "name", 0);
	c->state = h_word(rq, "state", "on|off");
	c->config = read_object(rq, "config");
	c->secrets = read_object(rq, "secrets");
	read_channels(rq, c, ids);
	(void)req_int(rq, "calls_max", 0, INT32_MAX, &c->calls_max);
	(void)req_int(rq, "tokens_max", 0, INT64_MAX / 4, &c->tokens_max);
}

/* The key that an HTTP bot calls with: its text, shown once. */
static void
key_make(char key[TOKEN_SIZE], char hash[TOKEN_HASH_SIZE])
{
	token_new(key);
	token_hash(key, strlen(key), hash);
}

/* The bot as it is now, with its new key if it has one. */
static int
answer_bot(struct req *rq, struct rsp *rs, int status, int rc, int64_t id,
    const char *key, const char *action)
{
	struct json_object *o = NULL;
	char object[32];

	snprintf(object, sizeof(object), "bot:%" PRId64, id);
	if (h_good(rc))
		rc = store_audit(
		    rq->st, &rq->who, rq->addr, action, object, NULL);
	if (h_good(rc))
		rc =
		    store_bot_json(rq->st, id, bot_day(rq->cf, rq->now_ms), &o);
	if (h_good(rc) && key != NULL)
		json_put_str(o, "key", key);
	return h_end(rq, rs, status, rc, o);
}

/*
 * POST /api/bots    {"name", "kind": "rules"|"http"|"assistant", "state"?,
 *	"channels"?: [id], "config"?: {}, "secrets"?: {}, "calls_max"?,
 *	"tokens_max"?}
 * 201 the bot; one of kind http with the `key` it calls with, shown this once.
 * 409 conflict: a channel has another bot; 422 invalid: the member that is.
 */
int
bot_post(struct req *rq, struct rsp *rs)
{
	char key[TOKEN_SIZE], hash[TOKEN_HASH_SIZE];
	int64_t ids[CHANNELS_MAX], id = 0;
	struct bot_change c;
	bool calls;
	int rc;

	read_change(rq, &c, ids);
	c.kind = h_word(rq, "kind", "rules|http|assistant");
	if (rq->bad_field == NULL && c.name == NULL)
		rq->bad_field = "name";
	if (rq->bad_field == NULL && c.kind == NULL)
		rq->bad_field = "kind";
	if (rq->bad_field == NULL)
		check_whole(rq, c.kind, NULL, &c);
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if ((calls = strcmp(c.kind, "http") == 0)) {
		key_make(key, hash);
		c.key_hash = hash;
	}
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_bot_add(rq->st, &c, &id);
	return answer_bot(rq, rs, 201, rc, id, calls ? key : NULL, "bot_add");
}

/*
 * GET /api/bots/:id
 * 200 the bot.  404.
 */
int
bot_get(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t cursor;
	int rc;

	if ((cursor = h_read(rq)) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_bot_json(rq->st, rq->id[0], bot_day(rq->cf, rq->now_ms), &o);
	h_read_end(rq);
	return h_answer(rq, rs, 200, rc, o, cursor);
}

/*
 * PATCH /api/bots/:id    members as in POST but kind; absent ones stay, as do
 *	absent members of config and secrets (null removes one);
 *	{"new_key": true}: another key
 * 200 the bot, with the new `key`.
 * 404; 409 conflict: a channel has another bot; 422 invalid: the member.
 */
int
bot_patch(struct req *rq, struct rsp *rs)
{
	char key[TOKEN_SIZE], hash[TOKEN_HASH_SIZE];
	int64_t ids[CHANNELS_MAX];
	struct bot_change c;
	bool renew = false;
	struct bot b;
	int rc;

	read_change(rq, &c, ids);
	(void)req_bool(rq, "new_key", &renew);
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_bot_get(rq->st, rq->id[0], &b);
	if (rc == STORE_DONE) {
		check_whole(rq, b.kind, &b, &c);
		if (renew && strcmp(b.kind, "http") != 0)
			rq->bad_field = "new_key";
		bot_fini(&b);
		if (rq->bad_field != NULL) {
			store_end(rq->st, STORE_NONE);
			return h_invalid(rq, rs);
		}
		if (renew) {
			key_make(key, hash);
			c.key_hash = hash;
		}
		rc = store_bot_set(rq->st, rq->id[0], &c);
	}
	return answer_bot(
	    rq, rs, 200, rc, rq->id[0], renew ? key : NULL, "bot_change");
}

/*
 * DELETE /api/bots/:id
 * 200 {"success":true}: it answers nowhere; its messages keep its name.  404.
 */
int
bot_delete(struct req *rq, struct rsp *rs)
{
	char object[32];
	int rc;

	snprintf(object, sizeof(object), "bot:%" PRId64, rq->id[0]);
	if (store_begin(rq->st) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_bot_delete(rq->st, rq->id[0]);
	if (rc == STORE_DONE)
		rc = store_audit(
		    rq->st, &rq->who, rq->addr, "bot_delete", object, NULL);
	rc = store_end(rq->st, rc);
	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}

/* ---- waiting ------------------------------------------------------------ */

/*
 * A turn to wait: a lock file, or -1.  One process of the pool is always left
 * to the others.
 */
static int
wait_turn(const struct req *rq)
{
	int64_t n = rq->cf->chat_waits_max, i;
	char path[4200];
	int fd;

	if (!rq->cgi && n > rq->cf->api_pool - 1)
		n = rq->cf->api_pool - 1;
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/chat.%" PRId64 ".lock",
		    rq->cf->run_dir, i);
		if ((fd = sock_lock(path)) != -1)
			return fd;
	}
	return -1;
}

/* How the ask stands: 1 ended, 0 not yet, -1. */
static int
look(struct req *rq, int64_t id, int64_t *answer, struct json_object **result)
{
	char state[12] = "";
	int rc = store_bot_outcome(rq->st, id, state, answer, result);

	if (rc != STORE_DONE)
		return -1;
	return strcmp(state, "done") == 0 || strcmp(state, "dropped") == 0;
}

int
bot_wait(
    struct req *rq, int64_t id, int64_t *answer, struct json_object **result)
{
	const struct timespec nap = { 0, LOOK_MS * 1000000L };
	int64_t until = clock_mono_ms() + rq->cf->chat_wait_ms;
	int fd, rc;

	*answer = 0;
	*result = NULL;
	if (bot_here(rq->cf, rq->st, id) == STORE_FAILED)
		return -1;
	if ((rc = look(rq, id, answer, result)) != 0)
		return rc;
	starter_look(rq->cf, rq->st);
	if ((fd = wait_turn(rq)) == -1)
		return rc;
	while (rc == 0 && clock_mono_ms() < until) {
		(void)nanosleep(&nap, NULL);
		rc = look(rq, id, answer, result);
	}
	(void)close(fd);
	store_set_now(rq->st, clock_now_ms());
	return rc;
}

/*
 * POST /api/bots/:id/test    {"message": 1..2000 characters}
 * 200 {"text","quick_replies","handover","reason","later","tokens","error"}:
 * what the bot would answer to it, in no conversation.  202 {"text":null,...}:
 * its endpoint has not answered in time.  It counts against the day's budget.
 * 404; 422 invalid: message.
 */
int
bot_post_test(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t id = 0, answer = 0;
	const char *text;
	int rc;

	text = req_text(
	    rq, "message", 1, QUESTION_CHARS, QUESTION_CHARS * 4, NULL);
	if (text == NULL)
		return h_invalid(rq, rs);
	rc = store_bot_try(rq->st, rq->id[0], text, &id);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	rc = bot_wait(rq, id, &answer, &o);
	if (rc == -1 || (rc == 1 && o == NULL))
		return h_refuse(rq, rs, STORE_FAILED);
	if (o == NULL) {
		o = json_object_new_object();
		json_put_str(o, "text", NULL);
	}
	return rsp_json(rs, rc == 1 ? 200 : 202, o);
}
