/* Conversations and who takes part in them. */

#include "h_conversation.h"

#include "../common/id.h"
#include "../common/json.h"
#include "../common/utf8.h"
#include "h.h"
#include "store_conversation.h"

#include <string.h>

#define PARTICIPANTS_MAX 200 /* users named in one request */
#define STATUS_WORDS "open|pending|snoozed|closed"

/* An id in the query: 1, 0 absent, -1 none. */
static int
query_id(struct req *rq, const char *name, int64_t *id)
{
	size_t len;
	const char *p = req_query(rq, name, &len);

	if (p == NULL || len == 0)
		return 0;
	if ((*id = id_parse(p, len)) > 0)
		return 1;
	rq->bad_field = name;
	return -1;
}

/* A text in the query, NULL if absent or empty; bad_field if too long. */
static const char *
query_text(struct req *rq, const char *name)
{
	size_t len;
	const char *p = req_query(rq, name, &len);

	if (p == NULL || len == 0)
		return NULL;
	if (strlen(p) == len &&
	    utf8_chars(p, len) <= (size_t)rq->cf->name_chars_max)
		return p;
	rq->bad_field = name;
	return NULL;
}

/* Reads the filters of the list; bad_field says what is wrong. */
static void
read_filter(struct req *rq, struct conversation_filter *f)
{
	const char *p;

	memset(f, 0, sizeof(*f));
	f->status = query_text(rq, "status");
	if (f->status != NULL && !h_is_word(f->status, STATUS_WORDS))
		rq->bad_field = "status";
	f->type = query_text(rq, "type");
	if (f->type != NULL && !h_is_word(f->type, "customer|direct|group"))
		rq->bad_field = "type";
	p = req_query(rq, "assignee", NULL);
	if (p != NULL && strcmp(p, "none") == 0)
		f->assignee = -1;
	else if (p != NULL && strcmp(p, "me") == 0)
		f->assignee = rq->who.id;
	else
		(void)query_id(rq, "assignee", &f->assignee);
	(void)query_id(rq, "team", &f->team);
	(void)query_id(rq, "channel", &f->channel);
	f->tag = query_text(rq, "tag");
	f->q = query_text(rq, "q");
	p = req_query(rq, "unread", NULL);
	if (p != NULL && !h_is_word(p, "0|1|true|false"))
		rq->bad_field = "unread";
	f->unread = p != NULL && (*p == '1' || *p == 't');
	/* What a customer does not see it cannot ask about either. */
	if (rq->who.kind == WHO_CUSTOMER) {
		f->assignee = f->team = f->channel = 0;
		f->tag = NULL;
	}
}

/*
 * GET /api/conversations    ?status= ?type= ?assignee=ID|me|none ?team=
 *	?channel= ?tag= ?unread=1 ?q= ?before= ?limit=
 * 200 {"items","next","cursor"}: what the asker may see, newest activity
 * first.  Of a customer assignee, team, channel and tag are ignored.
 * 400 bad_request: limit, before; 422 invalid: the filter that is.
 */
int
conversation_list(struct req *rq, struct rsp *rs)
{
	struct conversation_filter f;
	struct json_object *o = NULL;
	struct store_page pg;
	int rc, status;

	if ((status = h_page(rq, rs, &pg)) != 0)
		return status;
	read_filter(rq, &f);
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	rc = store_conversations(rq->st, &rq->who, &f, &pg, &o);
	return h_answer(rq, rs, 200, rc, o, 0);
}

/*
 * Users named by the array ${key}, the asker left out: 0 and ${ids} (heap),
 * or -1 with bad_field.
 */
static int
read_users(struct req *rq, const char *key, int64_t **ids, size_t *n)
{
	struct json_object *a = NULL, *v;
	const char *p;
	int64_t id;
	size_t i, len;

	*n = 0;
	if (json_get_arr(rq->json, key, &a) != 1 ||
	    json_object_array_length(a) > PARTICIPANTS_MAX)
		goto bad;
	*ids = req_alloc(rq, (json_object_array_length(a) + 1) * sizeof(**ids));
	if (*ids == NULL)
		goto bad;
	for (i = 0; i < json_object_array_length(a); i++) {
		v = json_object_array_get_idx(a, i);
		if (!json_object_is_type(v, json_type_string) &&
		    !json_object_is_type(v, json_type_int))
			goto bad;
		p = json_object_get_string(v);
		len = strlen(p);
		if ((id = id_parse(p, len)) == 0)
			goto bad;
		if (id != rq->who.id)
			(*ids)[(*n)++] = id;
	}
	return 0;
bad:
	rq->bad_field = key;
	return -1;
}

/* Makes what the body asks for: a store's answer, or 0 with bad_field set. */
static int
make(struct req *rq, int64_t *id)
{
	const char *type = h_word(rq, "type", "direct|group|customer");
	const char *subject = h_name(rq, "subject", 0);
	int64_t customer = 0, channel = 0, *users = NULL;
	size_t n = 0;

	(void)req_id(rq, "customer_id", &customer);
	(void)req_id(rq, "channel_id", &channel);
	if (rq->bad_field != NULL)
		return 0;
	if (type == NULL && customer != 0)
		type = "customer";
	if (type == NULL) {
		rq->bad_field = "type";
		return 0;
	}
	if (strcmp(type, "customer") == 0) {
		if (customer == 0) {
			rq->bad_field = "customer_id";
			return 0;
		}
		return store_conversation_customer(
		    rq->st, &rq->who, customer, channel, subject, id);
	}
	if (read_users(rq, "participants", &users, &n) == -1)
		return 0;
	if (n == 0 || (strcmp(type, "direct") == 0 && n != 1)) {
		rq->bad_field = "participants";
		return 0;
	}
	if (strcmp(type, "direct") == 0)
		return store_conversation_direct(
		    rq->st, &rq->who, users[0], id);
	return store_conversation_group(
	    rq->st, &rq->who, users, n, subject, id);
}

static int
conversation_make(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t id = 0;
	int rc, made;

	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	made = rc = make(rq, &id);
	if (h_good(rc))
		rc = store_conversation(rq->st, &rq->who, id, &o);
	else if (rq->bad_field != NULL) {
		(void)store_end(rq->st, STORE_NONE);
		return h_invalid(rq, rs);
	}
	return h_end(rq, rs, made == STORE_DONE ? 201 : 200, rc, o);
}

/*
 * POST /api/conversations    {"type":"direct","participants":[user]}
 *	{"type":"group","participants":[user...],"subject"?}
 *	{"customer_id","channel_id"?,"subject"?}
 * 201 the conversation; 200 the direct one these two have already.
 * 404: no such customer; 422 invalid: type, participants, customer_id,
 * channel_id, subject.
 */
int
conversation_post(struct req *rq, struct rsp *rs)
{
	return h_once(rq, rs, conversation_make);
}

/*
 * GET /api/conversations/:id
 * 200 the conversation; one that was merged answers with the one it went into,
 * named in Content-Location.  404.
 */
int
conversation_get(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	const char *id;
	int64_t cursor;
	size_t len;
	int rc;

	if ((cursor = h_read(rq)) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_conversation(rq->st, &rq->who, rq->id[0], &o);
	h_read_end(rq);
	if (rc == STORE_REPEATED && json_get_str(o, "id", &id, &len) == 1)
		rsp_header(rs, "Content-Location", "%s/api/conversations/%s",
		    rq->base_path, id);
	return h_answer(rq, rs, 200, rc, o, cursor);
}

/* -1 low, 0 normal, 1 high, 2 urgent; as a word or as that number. */
static void
read_priority(struct req *rq, int64_t *v)
{
	static const char *const words[] = { "low", "normal", "high",
		"urgent" };
	const char *p;
	size_t i, len;

	if (json_get_str(rq->json, "priority", &p, &len) == 1) {
		for (i = 0; i < 4; i++) {
			if (strcmp(p, words[i]) == 0) {
				*v = (int64_t)i - 1;
				return;
			}
		}
		rq->bad_field = "priority";
	} else
		(void)req_int(rq, "priority", -1, 2, v);
}

/* Reads the members of a change; bad_field says what is wrong. */
static void
read_patch(struct req *rq, struct conversation_patch *p)
{
	struct json_object *until;

	p->status = h_word(rq, "status", STATUS_WORDS);
	p->subject = h_name(rq, "subject", 0);
	if (p->subject == NULL && rq->bad_field == NULL &&
	    json_object_object_get_ex(rq->json, "subject", NULL))
		p->subject = ""; /* null or "": none */
	(void)h_nullable_id(rq, "assignee_id", &p->assignee);
	(void)h_nullable_id(rq, "team_id", &p->team);
	read_priority(rq, &p->priority);
	if (json_object_object_get_ex(rq->json, "snoozed_until", &until)) {
		if (until == NULL)
			p->snoozed_until = 0;
		else
			(void)req_int(rq, "snoozed_until", 0, CURSOR_MAX,
			    &p->snoozed_until);
	}
	(void)h_tags(rq, "tags", &p->tags);
	p->bot = h_word(rq, "bot", BOT_WORDS);
}

/*
 * PATCH /api/conversations/:id    {"status"?: open|pending|snoozed|closed,
 *	"assignee_id"?, "team_id"?, "snoozed_until"?: each null for none,
 *	"subject"?, "priority"?: low|normal|high|urgent, "tags"?: [name...],
 *	"bot"?: active|handed_over: who answers}
 * 200 the conversation.
 * 403 forbidden: seen, but not one's own to change; 404; 409 conflict: merged
 * away; 422 invalid: the member that is.
 */
int
conversation_patch(struct req *rq, struct rsp *rs)
{
	struct conversation_patch p = CONVERSATION_PATCH_INIT;
	struct json_object *o = NULL;
	int rc;

	read_patch(rq, &p);
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_conversation_patch(rq->st, &rq->who, rq->id[0], &p);
	if (h_good(rc))
		rc = store_conversation(rq->st, &rq->who, rq->id[0], &o);
	return h_end(rq, rs, 200, rc, o);
}

/*
 * POST /api/conversations/:id/participants    {"users":[user...]} or
 *	{"user_id"}
 * 200 the conversation, these users in it.
 * 403 forbidden: not one's own group; 404; 409 conflict: no group;
 * 422 invalid: users.
 */
int
participant_post(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int64_t one = 0, *users = &one;
	size_t i, n = 1;
	int rc = STORE_DONE;

	if (req_id(rq, "user_id", &one) == -1 ||
	    (one == 0 && read_users(rq, "users", &users, &n) == -1))
		return h_invalid(rq, rs);
	if (n == 0) {
		rq->bad_field = "users";
		return h_invalid(rq, rs);
	}
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	for (i = 0; i < n && h_good(rc); i++)
		rc = store_participant(
		    rq->st, &rq->who, rq->id[0], users[i], true);
	if (h_good(rc))
		rc = store_conversation(rq->st, &rq->who, rq->id[0], &o);
	return h_end(rq, rs, 200, rc, o);
}

/*
 * DELETE /api/conversations/:id/participants/:user
 * 200 {"success":true}: that user is out; oneself leaves so.
 * 403 forbidden; 404: no such conversation, or not in it; 409 conflict: no
 * group.
 */
int
participant_delete(struct req *rq, struct rsp *rs)
{
	int rc =
	    store_participant(rq->st, &rq->who, rq->id[0], rq->id[1], false);

	if (rc == STORE_REPEATED)
		rc = STORE_NONE; /* was not in it */
	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}
