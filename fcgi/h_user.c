/* Users, and who of them is there. */

#include "h_user.h"

#include "../common/id.h"
#include "../common/json.h"
#include "h.h"
#include "store_presence.h"
#include "store_user.h"

#include <string.h>

#define PRESENCE_USERS_MAX 200 /* asked for in one request */

/* What agents see of each other in the list; the rest is for admins. */
static void
keep_public(struct json_object *list)
{
	static const char *const hidden[] = { "email", "locale", "role",
		"teams", "last_seen_at", "disabled_at", "created_at",
		"updated_at", "status_text" };
	struct json_object *items = NULL, *u;
	size_t i, k;

	if (json_get_arr(list, "items", &items) != 1)
		return;
	for (i = 0; i < json_object_array_length(items); i++) {
		u = json_object_array_get_idx(items, i);
		for (k = 0; k < sizeof(hidden) / sizeof(hidden[0]); k++)
			json_object_object_del(u, hidden[k]);
	}
}

/*
 * GET /api/users    ?after= ?limit=
 * 200 {"items","next","cursor"}, by id.  Agents see id, name, avatar_url and
 * status; admins all members.  400 bad_request: limit, after.
 */
int
user_list(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	struct store_page pg;
	int rc, status;

	if ((status = h_page(rq, rs, &pg)) != 0)
		return status;
	rc = store_users(rq->st, &rq->who, &pg, &o);
	if (h_good(rc) && !rq->who.admin)
		keep_public(o);
	return h_answer(rq, rs, 200, rc, o, 0);
}

/*
 * GET /api/presence    ?users=ID,ID...
 * 200 {"items":[{"user_id","status","text","last_seen"}],"next","cursor"};
 * without `users` all of them.  422 invalid: users.
 */
int
presence_get(struct req *rq, struct rsp *rs)
{
	int64_t ids[PRESENCE_USERS_MAX];
	struct json_object *o = NULL;
	size_t len = 0, n = 0, part;
	const char *p = req_query(rq, "users", &len);
	int rc;

	while (p != NULL && len > 0) {
		part = strcspn(p, ",");
		if (n == PRESENCE_USERS_MAX || part > len ||
		    (ids[n++] = id_parse(p, part)) == 0) {
			rq->bad_field = "users";
			return h_invalid(rq, rs);
		}
		p += part;
		len -= part;
		if (len > 0) {
			p++;
			len--;
		}
	}
	rc = store_presence(rq->st, &rq->who, ids, n, &o);
	if (h_good(rc) && !json_object_object_get_ex(o, "next", NULL))
		json_put(o, "next", NULL);
	return h_answer(rq, rs, 200, rc, o, 0);
}
