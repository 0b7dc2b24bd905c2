/*
 * p_draft.c: a message from the form of a page, an agent's or a visitor's.
 * Nothing that was typed is lost: what cannot be sent comes back with the page.
 */
#include <string.h>

#include "h.h"
#include "json.h"
#include "p_draft.h"
#include "rate.h"
#include "token.h"

int
draft_read(struct req *rq, struct rsp *rs, post_file *keep, struct message *m,
    struct draft *d)
{
	m->content = req_opt(rq, "content", 65536, "");
	m->client_id =
	    req_str(rq, "key", 1, (size_t)rq->cf->client_id_bytes_max);
	if (m->content == NULL || m->client_id == NULL)
		return h_invalid(rq, rs);
	m->content = view_content(rq, m->content, &m->content_len);
	if (m->content == NULL)
		return rsp_error(rs, 503, "busy", NULL);
	d->text = m->content;
	d->error = view_content_fault(rq, m->content, m->content_len);
	if (keep != NULL && m->content_len == 0)
		d->error = NULL;
	if (d->error != NULL)
		return 422;
	if (rate_take(rq, RATE_USER_MESSAGE, 0) != 0 ||
	    rate_take(rq, RATE_CONVERSATION, m->conversation) != 0) {
		d->error = "rate_limited";
		return 429;
	}
	return 0;
}

int
draft_send(struct req *rq, struct rsp *rs, post_file *keep, struct message *m,
    struct draft *d)
{
	char hash[TOKEN_HASH_SIZE];
	int rc, status;

	if (keep != NULL) {
		if ((status = keep(rq, rs, &m->files, &m->nfiles)) != 0)
			return status;
		/* The files are others each time, the key is not. */
		token_hash(m->client_id, strlen(m->client_id), hash);
		m->hash = hash;
	}
	rc = store_message_add(rq->st, &rq->who, m);
	message_fini(m);
	switch (rc) {
	case STORE_DONE:
	case STORE_REPEATED:
		return 0;
	case STORE_NEWER:
		d->newer = true;
		return 409;
	case STORE_CONFLICT:
		d->error = "idempotency_conflict";
		return 409;
	case STORE_FAILED:
		/* It can be sent again later, the same text, the same key. */
		if (keep == NULL && (d->error = h_trouble(rq)) != NULL) {
			d->key = m->client_id;
			return 503;
		}
		break;
	default:
		break;
	}
	return h_refuse(rq, rs, rc);
}

bool
draft_back(const struct draft *d)
{
	return d->error != NULL || d->newer;
}

void
draft_put(struct view *v, const struct draft *d)
{
	if (d->key != NULL)
		json_put_str(v->model, "key", d->key);
	else
		view_key(v, "key");
	json_put_str(v->model, "text", d->text);
	json_put_bool(v->model, "newer", d->newer);
	if (d->error != NULL)
		json_put_str(v->model, "error", d->error);
}
