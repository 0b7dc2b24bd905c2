#ifndef CHANNEL_META_H
#define CHANNEL_META_H

#include "channel.h"

/*
 * What Messenger, Instagram and WhatsApp share, all of them Meta's: how a
 * webhook is set up and proven, how a request is addressed and refused; and
 * what only the first two share, the events of a page.  Settings are called
 * alike behind each adapter's prefix: app_secret, verify_token, api_base,
 * api_version, human_agent, page_id where one sends; the account and its token
 * are named by struct channel.
 */

/*
 * One line of a table of error codes; the first that fits decides, without
 * one a refusal is for good.
 */
struct meta_rule {
	int64_t lo, hi;  /* codes */
	int64_t subcode; /* META_ANY: whichever */
	enum channel_class cls;
	const char *reason;
	enum { META_PLAIN, META_HOLD, META_WAIT, META_ONCE } how;
};
#define META_ANY INT64_C(-1)
/*
 * META_HOLD: RETRY, and the whole account waits a minute; META_WAIT: this
 * message does; META_ONCE: RETRY, at the second such answer PERMANENT.
 */

/* meta_conf(ac, word): the setting ${word} behind the adapter's prefix. */
const char *meta_conf(const struct channel_account *ac, const char *word);

/* meta_account(ac): the account's id over there. */
const char *meta_account(const struct channel_account *ac);

/* meta_at(o, key, i): the i-th element of the list ${key}; NULL past it. */
struct json_object *meta_at(struct json_object *o, const char *key, size_t i);

/* Of struct channel. */
int meta_handshake(
    const struct channel_account *ac, const char *query, struct buf *out);
enum channel_verdict meta_verify(
    const struct channel_account *ac, const struct channel_hook *hook);

/*
 * meta_entries(ac, hook, b, object, entry):
 * Parse a body, and call ${entry} with each entry of each envelope that has
 * ${object}, in order.  As struct channel's parse.
 */
int meta_entries(const struct channel_account *ac,
    const struct channel_hook *hook, struct channel_batch *b,
    const char *object,
    void (*entry)(const struct channel_account *ac,
	const struct channel_hook *hook, struct channel_batch *b,
	struct json_object *o));

/*
 * meta_url(ac, rq, id, edge): base, version, ${id}, and ${edge} where it is
 * not NULL.  meta_query_token / meta_bearer: the token in the query (after
 * ${sep}) or in a header.
 */
void meta_url(const struct channel_account *ac, struct http_request *rq,
    const char *id, const char *edge);
void meta_query_token(
    const struct channel_account *ac, struct http_request *rq, char sep);
void meta_bearer(const struct channel_account *ac, struct http_request *rq);

/*
 * meta_refused(ac, an, rules, n, rs, b):
 * Whether ${an} is anything but a success, with its class in ${rs}.  Else
 * ${b}->root is the object that came, and ${rs} is SENT, without an id.
 */
bool meta_refused(const struct channel_account *ac,
    const struct http_answer *an, const struct meta_rule *rules, size_t n,
    struct channel_result *rs, struct channel_batch *b);

/* --- Messenger and Instagram --- */

/*
 * meta_page_parse(ac, hook, b, object): the events of pages.  The other
 * functions are those of struct channel.
 */
int meta_page_parse(const struct channel_account *ac,
    const struct channel_hook *hook, struct channel_batch *b,
    const char *object);
struct channel_reply meta_page_window(const struct channel_account *ac,
    int64_t last_inbound_at, int64_t sent_since, int64_t now_ms);
int meta_page_send(const struct channel_account *ac,
    const struct channel_out *out, struct http_request *rq);
void meta_page_answer(const struct channel_account *ac, struct channel_out *out,
    const struct http_answer *an, struct channel_result *rs);
int meta_page_act(const struct channel_account *ac,
    const struct channel_act *act, struct http_request *rq);

/*
 * meta_page_profile(ac, user, fields, rq) / meta_page_profiled(ac, an, b, pf):
 * Ask for ${fields}; the class of the answer, and on SENT the picture in
 * ${pf} and ${b}->root for the name.
 */
int meta_page_profile(const struct channel_account *ac, const char *user,
    const char *fields, struct http_request *rq);
enum channel_class meta_page_profiled(const struct channel_account *ac,
    const struct http_answer *an, struct channel_batch *b,
    struct channel_profile *pf);

/*
 * meta_page_probe(ac, fields, rq) / meta_page_probed(ac, an, id, name, rs):
 * Ask for ${fields} of whose token it is; of those, what names the account.
 */
int meta_page_probe(const struct channel_account *ac, const char *fields,
    struct http_request *rq);
void meta_page_probed(const struct channel_account *ac,
    const struct http_answer *an, const char *id, const char *name,
    struct channel_result *rs);

#endif
