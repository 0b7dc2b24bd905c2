/* Files, up and down. */

#include "h_media.h"

#include "../common/json.h"
#include "../common/utf8.h"
#include "auth.h"
#include "h.h"
#include "media_link.h"
#include "multipart.h"
#include "route.h"
#include "store_media.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 65536

#define FILE_CSP "sandbox; default-src 'none'"

/* --- up ------------------------------------------------------------------ */

/* A body being taken apart. */
struct taking {
	struct req *rq;
	struct upload *up;
	bool in_file;
	const char *field; /* name of the part under way */
	struct buf value;
	int status;
	const char *code, *at;
};

static int
refuse(struct taking *t, int status, const char *code, const char *at)
{
	t->status = status;
	t->code = code;
	t->at = at;
	return 1;
}

/* The answer to a file that was not taken. */
static int
verdict(enum media_verdict v, const char **code, const char **field)
{
	*field = "file";
	switch (v) {
	case MEDIA_GOOD:
		return 0;
	case MEDIA_TOO_LARGE:
		*code = "too_large";
		return 413;
	case MEDIA_NO_SPACE:
		*code = "no_space";
		return 507;
	case MEDIA_BAD_KIND:
		*code = "bad_media_type";
		return 415;
	case MEDIA_EMPTY:
		*code = "invalid";
		return 422;
	case MEDIA_FAILED:
		break;
	}
	*field = NULL;
	*code = "busy";
	return 503;
}

static int
file_begin(struct taking *t, const char *name, size_t len)
{
	struct upload *up = t->up;
	struct upload_file *f;
	enum media_verdict v;

	if (up->nfiles == up->files_max)
		return refuse(t, 422, "invalid", "file");
	f = &up->files[up->nfiles++];
	if (len >= sizeof(f->name))
		len = sizeof(f->name) - 1;
	memcpy(f->name, name, len);
	f->name[len] = '\0';
	f->name_len = len;
	t->in_file = true;
	v = media_begin(t->rq->cf, &f->in);
	t->status = verdict(v, &t->code, &t->at);
	return t->status != 0;
}

static int
file_data(struct taking *t, const char *p, size_t len)
{
	struct upload *up = t->up;
	enum media_verdict v =
	    media_write(&up->files[up->nfiles - 1].in, p, len);

	if (v != MEDIA_GOOD)
		t->status = verdict(v, &t->code, &t->at);
	return v != MEDIA_GOOD;
}

/*
 * Of a form, the CSRF field stands before the file: nothing is stored for
 * whoever has none.
 */
static int
form_proven(struct taking *t)
{
	struct req *rq = t->rq;
	int status;

	if ((rq->route->flags & ROUTE_FORM) == 0)
		return 0;
	req_fields(rq, t->up->fields, t->up->nfields);
	if ((status = auth_csrf(rq, &t->code)) == 0)
		return 0;
	return refuse(t, status, t->code, NULL);
}

static int
part_begin(void *arg, const char *name, const char *file)
{
	struct taking *t = arg;

	t->in_file = false;
	if (file != NULL) {
		/* A form's empty file field. */
		if (*file == '\0')
			return 0;
		if (form_proven(t) != 0)
			return 1;
		return file_begin(t, file, strlen(file));
	}
	if (t->up->nfields == t->up->fields_max)
		return refuse(t, 400, "bad_request", NULL);
	t->field = req_strdup(t->rq, name, strlen(name));
	if (t->field == NULL)
		return refuse(t, 503, "busy", NULL);
	buf_reset(&t->value);
	return 0;
}

static int
part_data(void *arg, const char *p, size_t len)
{
	struct taking *t = arg;

	if (t->in_file)
		return file_data(t, p, len);
	if (t->field != NULL)
		buf_append(&t->value, p, len);
	return t->value.err ? refuse(t, 413, "too_large", NULL) : 0;
}

static int
part_end(void *arg)
{
	struct taking *t = arg;
	struct req_field *f;

	if (t->field == NULL || t->in_file)
		return 0;
	if (!utf8_valid(t->value.data, t->value.len) ||
	    !utf8_valid(t->field, strlen(t->field)))
		return refuse(t, 400, "bad_utf8", NULL);
	f = &t->up->fields[t->up->nfields++];
	f->name = t->field;
	f->name_len = strlen(t->field);
	f->value = req_strdup(t->rq, t->value.data, t->value.len);
	f->value_len = t->value.len;
	t->field = NULL;
	return f->value != NULL ? 0 : refuse(t, 503, "busy", NULL);
}

/* Read it all: as a form, or as the file itself. */
static void
take(struct taking *t, struct multipart *mp)
{
	static char buf[READ_BYTES];
	long n;
	int rc = 0;

	while (rc == 0 && (n = req_more(t->rq, buf, sizeof(buf))) != 0) {
		if (n < 0) {
			(void)refuse(t, 408, "timeout", NULL);
			return;
		}
		rc = mp != NULL ? multipart_feed(mp, buf, (size_t)n)
				: file_data(t, buf, (size_t)n);
	}
	if (t->status == 0 && (rc != 0 || (mp != NULL && !multipart_whole(mp))))
		(void)refuse(t, 400, "bad_request", NULL);
}

int
upload_read(
    struct req *rq, struct upload *up, const char **code, const char **field)
{
	static const struct multipart_calls calls = { part_begin, part_data,
		part_end };
	struct taking t = { .rq = rq, .up = up };
	const char *name;
	struct multipart mp;
	size_t len = 0;

	memset(up, 0, sizeof(*up));
	up->fields_max = (size_t)rq->cf->form_fields_max;
	up->fields = req_alloc(rq, up->fields_max * sizeof(*up->fields));
	up->files_max = (rq->route->flags & ROUTE_FORM) != 0
			    ? (size_t)rq->cf->message_files_max
			    : 1;
	up->files = req_alloc(rq, up->files_max * sizeof(*up->files));
	buf_init(&t.value, (size_t)rq->cf->form_bytes_max);
	if (up->fields == NULL || up->files == NULL) {
		(void)refuse(&t, 503, "busy", NULL);
	} else if (req_has_type(rq, "multipart/form-data")) {
		if (multipart_init(
			&mp, req_header(rq, "Content-Type"), &calls, &t) == -1)
			(void)refuse(&t, 400, "bad_request", NULL);
		else
			take(&t, &mp);
		if (t.status == 0 && up->nfiles == 0)
			(void)form_proven(&t);
		req_fields(rq, up->fields, up->nfields);
	} else if ((rq->route->flags & ROUTE_FORM) != 0) {
		(void)refuse(&t, 415, "bad_media_type", NULL);
	} else {
		if ((name = req_query(rq, "name", &len)) == NULL)
			name = "";
		if (file_begin(&t, name, len) == 0)
			take(&t, NULL);
	}
	buf_fini(&t.value);
	*code = t.code;
	*field = t.at;
	return t.status;
}

int
upload_check(struct upload *up, const char **code, const char **field)
{
	enum media_verdict v = MEDIA_GOOD;
	size_t i;

	if (up->nfiles == 0)
		return verdict(MEDIA_EMPTY, code, field);
	for (i = 0; i < up->nfiles && v == MEDIA_GOOD; i++)
		v = media_check(&up->files[i].in);
	for (i = 0; i < up->nfiles && v == MEDIA_GOOD; i++)
		v = media_keep(&up->files[i].in);
	return verdict(v, code, field);
}

void
upload_drop(struct upload *up)
{
	for (size_t i = 0; i < up->nfiles; i++)
		media_drop(&up->files[i].in);
	up->nfiles = 0;
}

/* Nobody is made to send what would be refused. */
static int
room(struct req *rq, struct rsp *rs, int64_t size)
{
	int rc = store_media_room(rq->st, &rq->who, size,
	    rq->cf->customer_day_bytes_max, rq->cf->media_bytes_max);

	if (rc == STORE_REFUSED)
		return rsp_error(rs, 507, "quota", NULL);
	return rc == STORE_DONE ? 0 : h_refuse(rq, rs, rc);
}

/*
 * POST /api/uploads    the file as the body (?name=), or a form with one file
 * 201 the attachment {"id","name","mime","size","url","width","height"}, for
 * "attachments":[id] of a message within upload_keep_s.  What it is, its
 * content says.
 * 400 bad_request; 408 timeout; 413 too_large; 415 bad_media_type: a kind that
 * is not taken, an image too large or malformed; 422 invalid: file (none,
 * empty, or two); 507 quota, no_space; 503 busy.
 */
int
upload_post(struct req *rq, struct rsp *rs)
{
	const char *code = NULL, *field = NULL;
	struct attachment a;
	struct upload up;
	int rc, status;

	if ((status = room(rq, rs, 1)) != 0)
		return status;
	status = upload_read(rq, &up, &code, &field);
	if (status == 0)
		status = upload_check(&up, &code, &field);
	if (status != 0) {
		upload_drop(&up);
		return rsp_error(rs, status, code, field);
	}
	store_media_fill(&a, &up.files->in, up.files->name, up.files->name_len);
	rc = store_media_add(rq->st, &rq->who, &a,
	    rq->cf->customer_day_bytes_max, rq->cf->media_bytes_max);
	if (rc != STORE_DONE)
		(void)media_remove(rq->cf, a.path);
	upload_drop(&up);
	if (rc == STORE_REFUSED)
		return rsp_error(rs, 507, "quota", NULL);
	if (rc != STORE_DONE)
		return h_refuse(rq, rs, rc);
	return rsp_json(rs, 201, store_media_json(&a));
}

/* --- down ---------------------------------------------------------------- */

/* Decimal digits at ${*p}: true and ${*v}, at most ${max}. */
static bool
digits(const char **p, int64_t max, int64_t *v)
{
	const char *s = *p;

	for (*v = 0; *s >= '0' && *s <= '9'; s++) {
		if (*v > (max - 9) / 10)
			*v = max;
		else
			*v = *v * 10 + (*s - '0');
	}
	if (s == *p)
		return false;
	*p = s;
	return true;
}

/*
 * The bytes asked for by Range: 1 a part, 0 all of it (no range, or one of a
 * form that may be passed over), -1 none that there are.
 */
static int
range(const char *s, int64_t size, int64_t *from, int64_t *len)
{
	int64_t a, b;

	*from = 0;
	*len = size;
	if (s == NULL || strncmp(s, "bytes=", 6) != 0)
		return 0;
	s += 6;
	if (*s == '-') {
		s++;
		if (!digits(&s, INT64_MAX, &a) || *s != '\0')
			return 0;
		if (a == 0)
			return -1;
		*len = a < size ? a : size;
		*from = size - *len;
		return 1;
	}
	if (!digits(&s, INT64_MAX, &a) || *s++ != '-')
		return 0;
	b = size - 1;
	if (*s != '\0' && (!digits(&s, INT64_MAX, &b) || *s != '\0' || b < a))
		return 0;
	if (a >= size)
		return -1;
	if (b >= size)
		b = size - 1;
	*from = a;
	*len = b - a + 1;
	return 1;
}

/* Whose browser has two cookies may see what either may. */
static int
find(struct req *rq, struct attachment *a)
{
	struct who other;
	int64_t id;
	int rc;

	if (strchr(rq->arg[0], '.') != NULL) {
		id = media_link_read(rq->cf, rq->arg[0], rq->now_ms);
		return id == 0 ? STORE_NONE
			       : store_media_get(rq->st, NULL, id, a);
	}
	if (rq->id[0] == 0)
		return STORE_NONE;
	rc = rq->who.kind == WHO_NOBODY
		 ? STORE_NONE
		 : store_media_get(rq->st, &rq->who, rq->id[0], a);
	if (rc == STORE_NONE && auth_customer_cookie(rq, &other))
		rc = store_media_get(rq->st, &other, rq->id[0], a);
	return rc;
}

static void
headers(struct rsp *rs, const struct attachment *a)
{
	const struct file_kind *k = file_kind_find(a->mime);
	struct buf name;

	buf_init(&name, 4 * FILE_NAME_SIZE);
	for (const char *p = a->name; *p != '\0'; p++)
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || strchr("-_.", *p) != NULL)
			buf_putc(&name, *p);
		else
			buf_printf(&name, "%%%02X", (unsigned char)*p);
	rsp_header(rs, "Content-Disposition", "%s; filename*=UTF-8''%s",
	    k != NULL && file_kind_inline(k) ? "inline" : "attachment",
	    name.data);
	buf_fini(&name);
	rsp_header(rs, "Cross-Origin-Resource-Policy", "same-origin");
	rsp_header(rs, "Accept-Ranges", "bytes");
	rsp_header(rs, "ETag", "\"%.32s\"", a->sha256);
	rs->csp = FILE_CSP;
	rs->cache = "private, no-cache";
}

/*
 * GET /media/:id/:name    Range, If-Range, If-None-Match
 * 200, 206 the file; the name does not matter.  :id is the attachment's, seen
 * by who may see its message (or made the upload), or "ID.END.PROOF", an
 * address given to a platform.
 * 304; 404 not there, not for the asker, deleted; 416 bad_range.
 */
int
media_get(struct req *rq, struct rsp *rs)
{
	const char *type = "application/octet-stream", *had;
	const struct file_kind *k;
	struct attachment a;
	int64_t from, len;
	char tag[40];
	int fd, rc;

	if ((rc = find(rq, &a)) != STORE_DONE)
		return h_refuse(rq, rs, rc);
	if ((fd = media_open(rq->cf, a.path)) == -1)
		return rsp_error(rs, 404, "not_found", NULL);
	if ((k = file_kind_find(a.mime)) != NULL)
		type = strcmp(k->mime, "text/plain") == 0
			   ? "text/plain; charset=utf-8"
			   : k->mime;
	headers(rs, &a);
	snprintf(tag, sizeof(tag), "\"%.32s\"", a.sha256);
	had = req_header(rq, "If-None-Match");
	if (had != NULL && strstr(had, tag) != NULL) {
		close(fd);
		return rsp_empty(rs, 304);
	}
	had = req_header(rq, "If-Range");
	rc =
	    range(had == NULL || strcmp(had, tag) == 0 ? req_header(rq, "Range")
						       : NULL,
		a.size, &from, &len);
	if (rc == -1) {
		close(fd);
		rsp_header(rs, "Content-Range", "bytes */%" PRId64, a.size);
		return rsp_error(rs, 416, "bad_range", NULL);
	}
	if (rc == 1)
		rsp_header(rs, "Content-Range",
		    "bytes %" PRId64 "-%" PRId64 "/%" PRId64, from,
		    from + len - 1, a.size);
	return rsp_file(rs, rc == 1 ? 206 : 200, type, fd, from, len);
}
