/* Bots: making, changing, trying out. */

#include "h_bot.h"

#include "../common/clock.h"
#include "../common/id.h"
#include "../common/json.h"
#include "../common/sock.h"
#include "../common/utf8.h"
#include "bot_here.h"
#include "bot_prompt.h"
#include "h.h"
#include "starter.h"
#include "store_bot.h"
#include "store_setting.h"
#include "token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

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
read_object(struct req *rq, struct json_object *parts, const char *key)
{
	struct json_object *o = NULL;

	if (parts != NULL && json_get_obj(parts, key, &o) == -1)
		rq->bad_field = key;
	return o;
}

static void
read_channels(struct req *rq, struct json_object *parts, struct bot_change *c,
    int64_t ids[BOT_CHANNELS_MAX])
{
	struct json_object *list = NULL, *v;
	const char *s;
	size_t i, n;
	int rc = parts != NULL ? json_get_arr(parts, "channels", &list) : 0;

	n = rc == 1 ? json_object_array_length(list) : 0;
	if (rc == -1 || n > BOT_CHANNELS_MAX) {
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

struct bot_limits
bot_limits_of(const struct conf *cf)
{
	return (struct bot_limits){ .text_chars = (size_t)cf->message_chars_max,
		.base_chars = URL_CHARS_MAX };
}

/* What the kind must have, of the whole that it will be. */
static void
check_whole(struct req *rq, const char *kind, const struct bot *b,
    const struct bot_change *c)
{
	struct bot_limits lim = bot_limits_of(rq->cf);
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

/* Another address would be told the key that is there: it is given again. */
static bool
key_astray(const struct bot *b, const struct bot_change *c)
{
	const char *was = NULL, *now = NULL;

	return b->secrets != NULL && c->config != NULL &&
	       json_object_object_get_ex(b->secrets, "api_key", NULL) &&
	       json_get_str(b->config, "base_url", &was, NULL) == 1 &&
	       json_get_str(c->config, "base_url", &now, NULL) == 1 &&
	       strcmp(was, now) != 0 &&
	       (c->secrets == NULL ||
		   !json_object_object_get_ex(c->secrets, "api_key", NULL));
}

/* A limit of a day; a form's empty field is none. */
static void
read_limit(struct req *rq, const char *key, int64_t max, int64_t *v)
{
	if (req_int(rq, key, 0, max, v) == 0 && req_form(rq, key, NULL) != NULL)
		*v = 0;
}

static void
read_change(struct req *rq, struct json_object *parts, struct bot_change *c,
    int64_t ids[BOT_CHANNELS_MAX])
{
	*c = (struct bot_change)BOT_CHANGE_INIT;
	/* A form's empty name is not one that stays. */
	c->name = h_name(rq, "name", req_form(rq, "name", NULL) != NULL);
	c->state = h_word(rq, "state", "on|off");
	c->config = read_object(rq, parts, "config");
	c->secrets = read_object(rq, parts, "secrets");
	read_channels(rq, parts, c, ids);
	read_limit(rq, "calls_max", INT32_MAX, &c->calls_max);
	read_limit(rq, "tokens_max", INT64_MAX / 4, &c->tokens_max);
}

static void
make_key(struct bot_made *m, struct bot_change *c)
{
	m->key = true;
	token_new(m->key_text);
	token_hash(m->key_text, strlen(m->key_text), m->hash);
	c->key_hash = m->hash;
}

/* A secret among the others; ${c} borrows ${*own}, which is to be put. */
static void
make_secret(struct bot_made *m, struct bot_change *c, struct json_object **own)
{
	*own = json_object_new_object();
	if (c->secrets != NULL) {
		json_object_object_foreach(c->secrets, key, v)
		{
			json_put(*own, key, json_object_get(v));
		}
	}
	m->secret = true;
	token_new(m->secret_text);
	json_put_str(*own, "secret", m->secret_text);
	c->secrets = *own;
}

static int
note(struct req *rq, int64_t id, const char *action)
{
	char object[32];

	snprintf(object, sizeof(object), "bot:%" PRId64, id);
	return store_audit(rq->st, &rq->who, rq->addr, action, object, NULL);
}

int
bot_make(struct req *rq, const char *kind, struct json_object *parts,
    int64_t *id, struct bot_made *m)
{
	int64_t ids[BOT_CHANNELS_MAX];
	struct json_object *own = NULL, *o;
	struct bot_change c;
	int rc;

	memset(m, 0, sizeof(*m));
	read_change(rq, parts, &c, ids);
	c.kind = kind;
	if (rq->bad_field == NULL && c.name == NULL)
		rq->bad_field = "name";
	if (rq->bad_field == NULL && c.kind == NULL)
		rq->bad_field = "kind";
	if (rq->bad_field == NULL)
		check_whole(rq, c.kind, NULL, &c);
	if (rq->bad_field != NULL)
		return STORE_INVALID;
	if (strcmp(c.kind, "http") == 0) {
		make_key(m, &c);
		if (c.secrets == NULL ||
		    !json_object_object_get_ex(c.secrets, "secret", &o) ||
		    o == NULL)
			make_secret(m, &c, &own);
	}
	rc = store_bot_add(rq->st, &c, id);
	json_object_put(own);
	return rc == STORE_DONE ? note(rq, *id, "bot_add") : rc;
}

/* The change to ${b}, which is there. */
static int
alter(struct req *rq, const struct bot *b, struct bot_change *c,
    struct bot_made *m)
{
	bool http = strcmp(b->kind, "http") == 0, key = false, secret = false;
	struct json_object *own = NULL;
	int rc;

	(void)req_bool(rq, "new_key", &key);
	(void)req_bool(rq, "new_secret", &secret);
	check_whole(rq, b->kind, b, c);
	if (rq->bad_field == NULL && key_astray(b, c))
		rq->bad_field = "api_key";
	if (rq->bad_field == NULL && !http && (key || secret))
		rq->bad_field = key ? "new_key" : "new_secret";
	if (rq->bad_field != NULL)
		return STORE_INVALID;
	if (key)
		make_key(m, c);
	if (secret)
		make_secret(m, c, &own);
	rc = store_bot_set(rq->st, b->id, c);
	json_object_put(own);
	return rc == STORE_DONE ? note(rq, b->id, "bot_change") : rc;
}

int
bot_alter(
    struct req *rq, struct json_object *parts, int64_t id, struct bot_made *m)
{
	int64_t ids[BOT_CHANNELS_MAX];
	struct bot_change c;
	struct bot b;
	int rc;

	memset(m, 0, sizeof(*m));
	read_change(rq, parts, &c, ids);
	rc = store_bot_get(rq->st, id, &b);
	if (rc == STORE_DONE) {
		rc = alter(rq, &b, &c, m);
		bot_fini(&b);
	}
	return rc;
}

int
bot_remove(struct req *rq, int64_t id)
{
	int rc = store_bot_delete(rq->st, id);

	return rc == STORE_DONE ? note(rq, id, "bot_delete") : rc;
}

/* The bot as it is now, with what was made for it. */
static int
answer_bot(struct req *rq, struct rsp *rs, int status, int rc, int64_t id,
    const struct bot_made *m)
{
	struct json_object *o = NULL;

	if (rc == STORE_INVALID && rq->bad_field != NULL) {
		store_end(rq->st, rc);
		return h_invalid(rq, rs);
	}
	if (h_good(rc))
		rc =
		    store_bot_json(rq->st, id, bot_day(rq->cf, rq->now_ms), &o);
	if (h_good(rc) && m->key)
		json_put_str(o, "key", m->key_text);
	if (h_good(rc) && m->secret)
		json_put_str(o, "secret", m->secret_text);
	return h_end(rq, rs, status, rc, o);
}

/*
 * POST /api/bots    {"name", "kind": "rules"|"http"|"assistant", "state"?,
 *	"channels"?: [id], "config"?: {}, "secrets"?: {}, "calls_max"?,
 *	"tokens_max"?}
 * 201 the bot; one of kind http with the `key` it calls with and the `secret`
 *of our signatures, unless it was given one: shown this once. 409 conflict: a
 *channel has another bot; 422 invalid: the member that is.
 */
int
bot_post(struct req *rq, struct rsp *rs)
{
	const char *kind = h_word(rq, "kind", BOT_KINDS);
	struct bot_made m;
	int64_t id = 0;
	int rc;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = bot_make(rq, kind, rq->json, &id, &m);
	return answer_bot(rq, rs, 201, rc, id, &m);
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
 *	{"new_key": true, "new_secret": true}: others, of kind http.
 *	Another base_url wants api_key again.
 * 200 the bot, with the new `key` and `secret`.
 * 404; 409 conflict: a channel has another bot; 422 invalid: the member.
 */
int
bot_patch(struct req *rq, struct rsp *rs)
{
	struct bot_made m;
	int rc;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = bot_alter(rq, rq->json, rq->id[0], &m);
	return answer_bot(rq, rs, 200, rc, rq->id[0], &m);
}

/*
 * DELETE /api/bots/:id
 * 200 {"success":true}: it answers nowhere; its messages keep its name.  404.
 */
int
bot_delete(struct req *rq, struct rsp *rs)
{
	int rc;

	if (store_begin(rq->st) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_end(rq->st, bot_remove(rq, rq->id[0]));
	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}

/* ---- by a call of its own ----------------------------------------------- */

/* Whether the bot's own key came with it: as a store function. */
static int
by_key(struct req *rq)
{
	const char *p = req_header(rq, "Authorization");
	char hash[TOKEN_HASH_SIZE];

	if (p == NULL || strncasecmp(p, "Bearer ", 7) != 0)
		return STORE_NONE;
	p += 7;
	p += strspn(p, " ");
	token_hash(p, strlen(p), hash);
	return store_bot_key(rq->st, rq->id[0], hash);
}

/*
 * POST /api/bots/:id/messages    {"message_id" or "conversation_id", "text"?,
 *	"quick_replies"?, "handover"?, "client_id"?}, Authorization: Bearer KEY
 * 201 the message: the answer to the customer's message ${message_id}, once,
 * or a word of its own, under its client_id; 200 the same again, or nothing
 * said: {"success":true}.
 * 401 unauthenticated: not this bot's key; 404 no such thing of its; 409
 * conflict: a person has the conversation; idempotency_conflict; 422 invalid.
 */
int
bot_post_message(struct req *rq, struct rsp *rs)
{
	struct bot_answer a = { 0 };
	struct json_object *o = NULL;
	int64_t conversation = 0, message = 0;
	const char *client_id, *bad;
	int rc = by_key(rq), status;

	if (rc != STORE_DONE)
		return rc == STORE_FAILED
			   ? h_refuse(rq, rs, rc)
			   : rsp_error(rs, 401, "unauthenticated", NULL);
	(void)req_id(rq, "message_id", &message);
	(void)req_id(rq, "conversation_id", &conversation);
	client_id =
	    req_opt(rq, "client_id", (size_t)rq->cf->client_id_bytes_max, NULL);
	bad = bot_said(rq->json, (size_t)rq->cf->message_bytes_max, &a);
	if (bad == NULL && a.text != NULL &&
	    utf8_chars(a.text, strlen(a.text)) >
		(size_t)rq->cf->message_chars_max)
		bad = "text";
	if (bad == NULL && a.text == NULL && !a.handover)
		bad = "text";
	if (rq->bad_field == NULL)
		rq->bad_field =
		    message == 0 && conversation == 0 ? "message_id" : bad;
	if (rq->bad_field != NULL) {
		bot_answer_fini(&a);
		return h_invalid(rq, rs);
	}
	rc = store_bot_say(rq->st, rq->id[0], conversation, message,
	    client_id != NULL && *client_id != '\0' ? client_id : NULL, &a, &o);
	status = h_good(rc) && o == NULL
		     ? h_success(rs)
		     : h_answer(rq, rs, rc == STORE_DONE ? 201 : 200, rc, o, 0);
	bot_answer_fini(&a);
	return status;
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

const char *
bot_question_read(struct req *rq)
{
	return req_text(
	    rq, "message", 1, QUESTION_CHARS, QUESTION_CHARS * 4, NULL);
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

	text = bot_question_read(rq);
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
