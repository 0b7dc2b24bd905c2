#ifndef BOT_PROMPT_H
#define BOT_PROMPT_H

#include "http_request.h"
#include "store_bot.h"

/*
 * What is said to a bot's endpoint, and what its answer means: a program of
 * the shop's own (kind http), or a chat of the OpenAI form (kind assistant).
 * Values in, values out; nothing here asks anybody.
 */

/* The word by which an assistant asks for a person. */
#define BOT_WORD "[[handover]]"

/* bot_history_max(b): how many messages of before its endpoint is told. */
int64_t bot_history_max(const struct bot *b);

/*
 * bot_request(b, k, history, now_ms, rq): the request; ${history} as
 * store_bot_history gives it, or NULL.  0; -1: the settings do not allow one.
 */
int bot_request(const struct bot *b, const struct bot_ask *k,
    struct json_object *history, int64_t now_ms, struct http_request *rq);

enum bot_reply {
	BOT_ANSWERED, /* the answer is in a */
	BOT_AGAIN,    /* the same request may do better in a->wait_s */
	BOT_FAILED,   /* a->error says why */
};

/*
 * bot_reply(b, an, body, a, wait_s): what came back; ${body} is that of an
 * answer of 200.  ${wait_s}: as the endpoint said, or 0.
 */
enum bot_reply bot_reply(const struct bot *b, const struct http_answer *an,
    const struct buf *body, struct bot_answer *a, int64_t *wait_s);

/*
 * bot_said(o, text_max, a): what an HTTP bot says, in an answer or by a call of
 * its own: {"text"?, "quick_replies"?, "handover"?, "later"?}.  NULL, or the
 * member that is wrong.
 */
const char *bot_said(
    struct json_object *o, size_t text_max, struct bot_answer *a);

#endif
