/* Tags: words on conversations and customers. */

#include "h_tag.h"

#include "../common/json.h"
#include "h.h"
#include "store_conversation.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * GET /api/tags
 * 200 {"items":[{"id","name","colour","conversations"}],"next":null,"cursor"},
 * by name.
 */
int
tag_list(struct req *rq, struct rsp *rs)
{
	struct json_object *items = NULL, *o;
	char text[24];
	int64_t cursor;
	int rc;

	if ((cursor = h_read(rq)) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_tags(rq->st, &items);
	h_read_end(rq);
	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	(void)snprintf(text, sizeof(text), "%" PRId64, cursor);
	o = json_object_new_object();
	json_put(o, "items", items);
	json_put(o, "next", NULL);
	json_put_str(o, "cursor", text);
	return rsp_json(rs, 200, o);
}

/* "#a1b2c3", or bad_field. */
static const char *
read_colour(struct req *rq)
{
	const char *s = req_opt(rq, "colour", 7, NULL);

	if (s != NULL && (s[0] != '#' || strlen(s) != 7 ||
			     strspn(s + 1, "0123456789abcdefABCDEF") != 6)) {
		rq->bad_field = "colour";
		return NULL;
	}
	return s;
}

static int
tag_make(struct req *rq, struct rsp *rs)
{
	const char *name, *colour;
	struct json_object *o;
	int64_t id = 0;
	int rc;

	name = h_name(rq, "name", 1);
	colour = name != NULL ? read_colour(rq) : NULL;
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	rc = store_tag_add(rq->st, name, colour, &id);
	if (!h_good(rc))
		return h_refuse(rq, rs, rc);
	o = json_object_new_object();
	json_put_id(o, "id", id);
	json_put_str(o, "name", name);
	json_put_str(o, "colour", colour);
	json_put_int(o, "conversations", 0);
	return rsp_json(rs, 201, o);
}

/*
 * POST /api/tags    {"name", "colour"?: "#a1b2c3"}
 * 201 the tag.  409 conflict: there is one of that name; 422 invalid: name,
 * colour.
 */
int
tag_post(struct req *rq, struct rsp *rs)
{
	return h_once(rq, rs, tag_make);
}

/*
 * DELETE /api/tags/:id
 * 200 {"success":true}: it is gone from everything that had it.  404.
 */
int
tag_delete(struct req *rq, struct rsp *rs)
{
	int rc = store_tag_delete(rq->st, rq->id[0]);

	return h_good(rc) ? h_success(rs) : h_refuse(rq, rs, rc);
}
