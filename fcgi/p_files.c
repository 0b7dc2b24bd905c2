/*
 * p_files.c: a message with files from a form.  The form is streamed to the
 * disk as it comes; what it says is p_inbox.c's and p_chat.c's business.
 */
#include "p_files.h"

#include "h.h"
#include "h_media.h"
#include "p_chat.h"
#include "p_inbox.h"
#include "store_media.h"

/* The files of the form that is being read; one request at a time. */
static struct upload up;

static int
keep(struct req *rq, struct rsp *rs, const int64_t **list, size_t *n)
{
	int64_t *ids = req_alloc(rq, up.nfiles * sizeof(*ids));
	const char *code = NULL, *field = NULL;
	struct attachment a;
	int rc = STORE_DONE, status;
	size_t i;

	if (ids == NULL)
		return rsp_error(rs, 503, "busy", NULL);
	if ((status = upload_check(&up, &code, &field)) != 0)
		return rsp_error(rs, status, code, field);
	for (i = 0; i < up.nfiles; i++) {
		struct upload_file *f = &up.files[i];

		store_media_fill(&a, &f->in, f->name, f->name_len);
		if (rc == STORE_DONE)
			rc = store_media_add(rq->st, &rq->who, &a,
			    rq->cf->customer_day_bytes_max,
			    rq->cf->media_bytes_max);
		/* Those before it are uploads that no message used. */
		if (rc != STORE_DONE)
			(void)media_remove(rq->cf, a.path);
		ids[i] = a.id;
	}
	*list = ids;
	*n = up.nfiles;
	if (rc == STORE_REFUSED)
		return rsp_error(rs, 507, "quota", NULL);
	return rc == STORE_DONE ? 0 : h_refuse(rq, rs, rc);
}

static int
post(struct req *rq, struct rsp *rs,
    int (*say)(struct req *, struct rsp *, post_file *))
{
	const char *code = NULL, *field = NULL;
	int status = upload_read(rq, &up, &code, &field);

	status = status != 0 ? rsp_error(rs, status, code, field)
			     : say(rq, rs, up.nfiles > 0 ? keep : NULL);
	upload_drop(&up);
	return status;
}

/*
 * POST /inbox/:id/files    as POST /inbox/:id/messages, with files
 * As there; and 413 too_large, 415 bad_media_type, 507 quota, no_space.
 */
int
inbox_post_file(struct req *rq, struct rsp *rs)
{
	return post(rq, rs, inbox_post_with);
}

/* POST /chat/:resume/files    as POST /chat/:resume/messages, with files */
int
visit_post_file(struct req *rq, struct rsp *rs)
{
	return post(rq, rs, visit_post_with);
}
