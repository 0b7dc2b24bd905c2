/*
 * The short routes by which programs publish events of their own.  Their
 * callers are old: faults in the body are 400, not 422, and the token comes in
 * the Authorization header alone.
 */

#include "h_chat.h"

#include "../common/json.h"
#include "h.h"
#include "store_event.h"
#include "store_user.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool
chat_event_name(const char *p, size_t len)
{
	static const char *const ours[] = { "batch", "connected", "connection",
		"heartbeat", "reset", "session_changed", "tick" };
	size_t i;

	if (len == 0 || len > EVENT_TYPE_MAX)
		return false;
	for (i = 0; i < len; i++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "abcdefghijklmnopqrstuvwxyz0123456789_.:-",
			p[i]) == NULL ||
		    p[i] == '\0')
			return false;
	}
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strlen(ours[i]) == len && memcmp(ours[i], p, len) == 0)
			return false;
	}
	return true;
}

/* A cookie or an address does not do here. */
static bool
by_header(const struct req *rq)
{
	return rq->who.via == 'b' || rq->who.via == 'k';
}

static int
answer_sent(struct req *rq, struct rsp *rs, int rc, int64_t id)
{
	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	rsp_header(rs, "X-Event-Id", "%" PRId64, id);
	return h_success(rs);
}

/* Sends ${type} to one user: the body's userId.  Takes ${data}. */
static int
send_user(
    struct req *rq, struct rsp *rs, const char *type, struct json_object *data)
{
	char room[EVENT_ROOM_MAX];
	const char *rooms[1] = { room };
	struct user u;
	int64_t user = 0, id = 0;
	int rc;

	if (json_get_id(rq->json, "userId", &user) != 1) {
		json_object_put(data);
		return h_bad(rs, "userId");
	}
	rc = store_user_by_id(rq->st, user, &u);
	memset(u.password, 0, sizeof(u.password));
	if (rc == STORE_DONE && u.disabled)
		rc = STORE_NONE;
	if (rc == STORE_DONE) {
		(void)snprintf(room, sizeof(room), "user:%" PRId64, user);
		rc = store_event_send(rq->st, type, data, NULL, rooms, 1, &id);
	}
	json_object_put(data);
	return answer_sent(rq, rs, rc, id);
}

static int
send_message(struct req *rq, struct rsp *rs)
{
	struct json_object *message, *data;

	if (!json_object_object_get_ex(rq->json, "message", &message) ||
	    message == NULL)
		return h_bad(rs, "message");
	data = json_object_new_object();
	json_put(data, "content", json_object_get(message));
	return send_user(rq, rs, "message", data);
}

/*
 * POST /chat/send    {"userId", "message": anything}
 * 200 {"success":true}: event `message` {"content": message} for that user's
 * native connections.
 * 400 bad_json, bad_request: userId, message; 401 unauthenticated: no token in
 * the Authorization header; 404: no such user.
 */
int
chat_post_send(struct req *rq, struct rsp *rs)
{
	if (!by_header(rq))
		return rsp_error(rs, 401, "unauthenticated", NULL);
	return h_once(rq, rs, send_message);
}

static int
send_notification(struct req *rq, struct rsp *rs)
{
	struct json_object *n;

	if (!json_object_object_get_ex(rq->json, "notification", &n) ||
	    n == NULL)
		return h_bad(rs, "notification");
	return send_user(rq, rs, "notification", json_object_get(n));
}

/*
 * POST /chat/notify    {"userId", "notification": anything}
 * 200 {"success":true}: event `notification` to that user.  Errors as
 * /chat/send.
 */
int
chat_post_notify(struct req *rq, struct rsp *rs)
{
	if (!by_header(rq))
		return rsp_error(rs, 401, "unauthenticated", NULL);
	return h_once(rq, rs, send_notification);
}

static int
send_broadcast(struct req *rq, struct rsp *rs)
{
	static const char *const rooms[1] = { "broadcast" };
	struct json_object *data = NULL;
	const char *type;
	int64_t id = 0;
	size_t len;
	int rc;

	if (json_get_str(rq->json, "event", &type, &len) != 1 ||
	    !chat_event_name(type, len))
		return h_bad(rs, "event");
	if (json_object_object_get_ex(rq->json, "data", &data) && data != NULL)
		json_object_get(data);
	else
		data = json_object_new_object();
	rc = store_event_send(rq->st, type, data, EVENT_SAME, rooms, 1, &id);
	json_object_put(data);
	return answer_sent(rq, rs, rc, id);
}

/*
 * POST /chat/broadcast    {"event": [A-Za-z0-9_.:-]{1,64}, "data": anything}
 * 200 {"success":true}: that event to all, customers too.
 * 400 bad_json, bad_request: event; 401 as /chat/send; 403: no admin.
 */
int
chat_post_broadcast(struct req *rq, struct rsp *rs)
{
	if (!by_header(rq))
		return rsp_error(rs, 401, "unauthenticated", NULL);
	return h_once(rq, rs, send_broadcast);
}
