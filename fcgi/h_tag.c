/* Tags: words on conversations and customers. */

#include "h_tag.h"

#include "../common/json.h"
#include "h.h"
#include "store_conversation.h"
#include "store_tag.h"

#include <string.h>

/*
 * GET /api/tags
 * 200 {"items":[{"id","name","colour","conversations"}],"next":null,"cursor"},
 * by name.
 */
int
tag_list(struct req *rq, struct rsp *rs)
{
	struct json_object *o = NULL;
	int rc = store_tags(rq->st, &o);

	return h_answer(rq, rs, 200, rc, o, 0);
}

/* The tag ${id} out of the list of all, new; NULL if it is not there. */
static struct json_object *
tag_of(struct json_object *list, int64_t id)
{
	struct json_object *items = NULL, *tag;
	int64_t this_id;
	size_t i;

	if (json_get_arr(list, "items", &items) != 1)
		return NULL;
	for (i = 0; i < json_object_array_length(items); i++) {
		tag = json_object_array_get_idx(items, i);
		if (json_get_id(tag, "id", &this_id) == 1 && this_id == id)
			return json_object_get(tag);
	}
	return NULL;
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
	struct json_object *list = NULL, *o = NULL;
	int64_t id = 0;
	int rc;

	name = h_name(rq, "name", 1);
	colour = name != NULL ? read_colour(rq) : NULL;
	if (rq->bad_field != NULL)
		return h_invalid(rq, rs);
	if (h_begin(rq) == -1)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_tag_add(rq->st, name, colour, &id);
	if (h_good(rc))
		rc = store_tags(rq->st, &list);
	if (h_good(rc) && (o = tag_of(list, id)) == NULL)
		rc = STORE_NONE;
	json_object_put(list);
	return h_end(rq, rs, 201, rc, o);
}

/*
 * POST /api/tags    {"name", "colour"?: "#a1b2c3"}
 * 201 the tag of that name, made if there was none, its colour set if one is
 * given.  422 invalid: name, colour.
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
