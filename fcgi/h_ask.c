/* POST /chat: a message and what the bot says to it, in one exchange. */

#include "h_ask.h"

#include "../common/json.h"
#include "h.h"
#include "h_bot.h"
#include "rate.h"
#include "store_bot.h"
#include "store_channel.h"
#include "store_conversation.h"
#include "store_message.h"

#include <string.h>

/* The conversation that is named, or the customer's own on the web. */
static int
conversation_of(struct req *rq, int64_t *id)
{
	int64_t channel = 0;
	int rc;

	if (*id != 0)
		return store_conversation_may(
		    rq->st, &rq->who, *id, MAY_WRITE, NULL);
	rc = store_channel_first(rq->st, "web", &channel);
	if (rc != STORE_DONE)
		return rc;
	rc = store_conversation_current(rq->st, rq->who.id, channel, id);
	if (rc != STORE_NONE)
		return rc;
	return store_conversation_customer(
	    rq->st, &rq->who, rq->who.id, channel, NULL, id);
}

/* {"message","answer","done"}; takes ${message}. */
static int
answer_both(struct req *rq, struct rsp *rs, struct json_object *message,
    int64_t answer, int waited)
{
	struct json_object *o = json_object_new_object(), *said = NULL;
	int rc = STORE_DONE;

	json_put(o, "message", message);
	if (answer != 0)
		rc = store_message(rq->st, &rq->who, answer, &said);
	if (rc == STORE_NONE) /* deleted meanwhile, or it was a note */
		rc = STORE_DONE;
	json_put(o, "answer", said);
	json_put_bool(o, "done", waited == 1);
	return h_answer(
	    rq, rs, waited == 1 ? 200 : 202, rc, o, store_event_last(rq->st));
}

/* What a customer says, and the bot of the channel to it. */
static int
customer_asks(struct req *rq, struct rsp *rs, struct message *m)
{
	struct json_object *message, *none = NULL;
	int64_t wait_s, ask = 0, answer = 0;
	int rc, waited = 1;

	rc = conversation_of(rq, &m->conversation);
	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	if ((wait_s = rate_take(rq, RATE_CONVERSATION, m->conversation)) != 0)
		return rsp_retry(rs, 429, "rate_limited", wait_s);
	rc = store_message_add(rq->st, &rq->who, m);
	if (!h_good(rc)) {
		message_fini(m);
		return h_refuse(rq, rs, rc);
	}
	message = json_object_get(m->json);
	message_fini(m);
	rc = store_bot_asked(rq->st, m->id, &ask);
	if (rc == STORE_DONE)
		waited = bot_wait(rq, ask, &answer, &none);
	json_object_put(none);
	if (rc == STORE_FAILED || waited == -1) {
		/* The message is stored: its answer comes as an event. */
		waited = 0;
		answer = 0;
	}
	return answer_both(rq, rs, message, answer, waited);
}

/* An agent tries a bot out. */
static int
agent_asks(struct req *rq, struct rsp *rs, int64_t bot, const char *text)
{
	struct json_object *o = json_object_new_object(), *said = NULL;
	int64_t ask = 0, answer = 0;
	int rc, waited;

	rc = store_bot_try(rq->st, bot, text, &ask);
	waited = rc == STORE_DONE ? bot_wait(rq, ask, &answer, &said) : 0;
	if (waited == -1)
		rc = STORE_FAILED;
	json_put(o, "message", NULL);
	json_put(o, "answer", said);
	json_put_bool(o, "done", waited == 1);
	return h_answer(rq, rs, waited == 1 ? 200 : 202, rc, o, 0);
}

/*
 * POST /chat    {"message": 1..10000 characters, "conversation"?, "client_id"?}
 * 200 {"message","answer","done":true}: the customer's message, and the one by
 * which the bot of its channel answers it, or null where none does; both come
 * to everybody else as new_message.  202 the same with "done":false: the bot
 * has not answered in time; its answer comes as an event.
 *	{"message","bot": id} of an agent: what that bot would answer, in no
 * conversation: {"message":null,"answer":{"text",...},"done"}.
 * 404; 409 idempotency_conflict, conflict; 422 invalid: the member that is;
 * 429 rate_limited; 503 busy, no_space.
 */
int
ask_post(struct req *rq, struct rsp *rs)
{
	struct message m = { .note = false };
	int64_t bot = 0, wait_s;

	m.content =
	    req_text(rq, "message", 1, (size_t)rq->cf->message_chars_max,
		(size_t)rq->cf->message_bytes_max, NULL);
	if (m.content == NULL)
		return h_invalid(rq, rs);
	m.content_len = strlen(m.content);
	m.client_id =
	    req_opt(rq, "client_id", (size_t)rq->cf->client_id_bytes_max, NULL);
	if (m.client_id != NULL && *m.client_id == '\0')
		rq->bad_field = "client_id";
	(void)req_id(rq, "conversation", &m.conversation);
	if (rq->who.kind == WHO_USER && req_id(rq, "bot", &bot) == 0)
		rq->bad_field = "bot";
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if ((wait_s = rate_take(rq, RATE_USER_MESSAGE, 0)) != 0)
		return rsp_retry(rs, 429, "rate_limited", wait_s);
	return rq->who.kind == WHO_USER ? agent_asks(rq, rs, bot, m.content)
					: customer_asks(rq, rs, &m);
}
