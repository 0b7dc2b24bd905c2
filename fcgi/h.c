/* What the handlers of the API share. */

#include "h.h"

#include "../common/id.h"
#include "../common/utf8.h"
#include "store_idem.h"
#include "token.h"

#include <stdlib.h>
#include <string.h>

int
h_good(int rc)
{
	return rc == STORE_DONE || rc == STORE_REPEATED;
}

const char *
h_trouble(const struct req *rq)
{
	switch (rq->st != NULL ? store_trouble(rq->st) : STORE_BUSY) {
	case STORE_BUSY:
		return "busy";
	case STORE_NO_SPACE:
		return "no_space";
	default:
		return NULL;
	}
}

const char *
h_busy(const struct req *rq)
{
	const char *code = h_trouble(rq);

	return code != NULL ? code : "busy";
}

int
h_refuse(struct req *rq, struct rsp *rs, int rc)
{
	const char *code;

	switch (rc) {
	case STORE_NONE:
		return rsp_error(rs, 404, "not_found", NULL);
	case STORE_CONFLICT:
		return rsp_error(rs, 409, "idempotency_conflict", NULL);
	case STORE_NEWER:
		return rsp_error(rs, 409, "new_messages", NULL);
	case STORE_FORBIDDEN:
		return rsp_error(rs, 403, "forbidden", NULL);
	case STORE_REFUSED:
		return rsp_error(rs, 409, "conflict", NULL);
	case STORE_INVALID:
		return rsp_error(rs, 422, "invalid", store_field(rq->st));
	default:
		break;
	}
	if ((code = h_trouble(rq)) != NULL)
		return rsp_error(rs, 503, code, NULL);
	return rsp_error(rs, 500, "internal", NULL);
}

int
h_invalid(struct req *rq, struct rsp *rs)
{
	return rsp_error(rs, 422, "invalid", rq->bad_field);
}

int
h_invalid_text(struct rsp *rs, const char *field, const char *text)
{
	struct json_object *o = json_object_new_object();

	rs->code = "invalid";
	json_put_str(o, "error", text);
	json_put_str(o, "code", "invalid");
	json_put_bool(o, "success", false);
	json_put_str(o, "field", field);
	return rsp_json(rs, 422, o);
}

int
h_bad(struct rsp *rs, const char *field)
{
	return rsp_error(rs, 400, "bad_request", field);
}

int
h_page(struct req *rq, struct rsp *rs, struct store_page *pg)
{
	const char *p;
	int64_t limit = 50;
	size_t len;

	memset(pg, 0, sizeof(*pg));
	if (req_query_int(rq, "limit", 1, rq->cf->page_items_max, &limit) == -1)
		return h_bad(rs, "limit");
	pg->limit = (int)limit;
	if ((p = req_query(rq, "before", &len)) != NULL &&
	    store_page_parse(p, len, pg) == -1)
		return h_bad(rs, "before");
	if ((p = req_query(rq, "after", &len)) == NULL)
		return 0;
	if (pg->before != 0 || (pg->after = id_parse(p, len)) == 0)
		return h_bad(rs, "after");
	return 0;
}

int
h_answer(struct req *rq, struct rsp *rs, int status, int rc,
    struct json_object *o, int64_t cursor)
{
	if (!h_good(rc)) {
		json_object_put(o);
		return h_refuse(rq, rs, rc);
	}
	if (cursor > 0)
		rsp_header(rs, "X-Event-Cursor", "%lld", (long long)cursor);
	return rsp_json(rs, status, o);
}

int64_t
h_read(struct req *rq)
{
	struct log_state s;

	if (store_read(rq->st) == STORE_FAILED)
		return -1;
	if (store_log_state(rq->st, &s) != STORE_DONE) {
		store_read_end(rq->st);
		return -1;
	}
	return s.head;
}

void
h_read_end(struct req *rq)
{
	store_read_end(rq->st);
}

int
h_begin(struct req *rq)
{
	return store_begin(rq->st) == STORE_FAILED ? -1 : 0;
}

int
h_end(struct req *rq, struct rsp *rs, int status, int rc, struct json_object *o)
{
	struct log_state s = { 0 };

	/* A repetition may have written nothing, but it is no failure. */
	if (h_good(rc) && store_log_state(rq->st, &s) == STORE_FAILED)
		rc = STORE_FAILED;
	if (store_end(rq->st, h_good(rc) ? STORE_DONE : rc) == STORE_FAILED)
		rc = STORE_FAILED;
	return h_answer(rq, rs, status, rc, o, s.head);
}

int
h_success(struct rsp *rs)
{
	struct json_object *o = json_object_new_object();

	json_put_bool(o, "success", true);
	return rsp_json(rs, 200, o);
}

int
h_key(struct req *rq, struct rsp *rs, const char **key)
{
	const char *k = req_header(rq, "Idempotency-Key");
	size_t len;

	*key = NULL;
	if (k == NULL)
		return 0;
	len = strlen(k);
	if (len == 0 || len > (size_t)rq->cf->client_id_bytes_max ||
	    !utf8_valid(k, len))
		return rsp_error(rs, 422, "invalid", "Idempotency-Key");
	*key = k;
	return 0;
}

/* What a repeated request must be equal in: method, path and body. */
static int
hash_request(const struct req *rq, char out[TOKEN_HASH_SIZE])
{
	struct buf b;
	int rc;

	buf_init(&b, ANSWER_BYTES_MAX);
	buf_printf(&b, "%s %s\n", rq->method, rq->path);
	buf_append(&b, rq->body, rq->body_len);
	token_hash(b.data, b.len, out);
	rc = b.err ? -1 : 0;
	buf_fini(&b);
	return rc;
}

int
h_once(struct req *rq, struct rsp *rs, int (*write)(struct req *, struct rsp *))
{
	char hash[TOKEN_HASH_SIZE];
	struct idem k = { .owner = rq->who.id, .hash = hash };
	char *first = NULL;
	int rc, status;

	if ((status = h_key(rq, rs, &k.key)) != 0)
		return status;
	if (k.key == NULL)
		return write(rq, rs);
	k.kind = rq->who.kind == WHO_CUSTOMER ? "customer" : "agent";
	if (hash_request(rq, hash) == -1)
		return rsp_error(rs, 503, "busy", NULL);

	if (store_begin(rq->st) == STORE_FAILED)
		return h_refuse(rq, rs, STORE_FAILED);
	rc = store_idem_find(rq->st, &k, &status, &first);
	if (rc != STORE_NONE) {
		(void)store_end(rq->st, STORE_NONE);
		if (rc != STORE_REPEATED)
			return h_refuse(rq, rs, rc);
		status = rsp_raw(rs, status, "application/json; charset=utf-8",
		    first, strlen(first));
		free(first);
		return status;
	}
	status = write(rq, rs);
	rc = STORE_NONE;
	if (status >= 200 && status < 300) {
		buf_append(&rs->body, "", 0); /* ends in NUL even if empty */
		rc = store_idem_add(rq->st, &k, status, rs->body.data);
	}
	if (store_end(rq->st, rc) == STORE_FAILED) {
		rsp_reset(rs);
		return h_refuse(rq, rs, STORE_FAILED);
	}
	return status;
}

int
h_is_word(const char *s, const char *words)
{
	size_t len, n;

	if (s == NULL || (len = strlen(s)) == 0)
		return 0;
	for (; *words != '\0'; words += n + (words[n] == '|')) {
		n = strcspn(words, "|");
		if (n == len && memcmp(s, words, n) == 0)
			return 1;
	}
	return 0;
}

const char *
h_word(struct req *rq, const char *key, const char *words)
{
	const char *s = req_opt(rq, key, 64, NULL);

	if (s != NULL && !h_is_word(s, words)) {
		rq->bad_field = key;
		return NULL;
	}
	return s;
}

const char *
h_name(struct req *rq, const char *key, size_t chars_min)
{
	size_t max = (size_t)rq->cf->name_chars_max;
	const char *s;

	/* A name's buffer bounds it, however much the setting allows. */
	if (max > (NAME_BYTES_MAX - 1) / 4)
		max = (NAME_BYTES_MAX - 1) / 4;
	s = req_text(rq, key, chars_min, max, max * 4, NULL);
	if (s != NULL && utf8_blank(s, strlen(s))) {
		rq->bad_field = key;
		return NULL;
	}
	return s;
}

const char *
h_email(struct req *rq, const char *key)
{
	const char *s = req_opt(rq, key, EMAIL_BYTES_MAX, NULL), *at;

	if (s == NULL || *s == '\0')
		return s;
	at = strrchr(s, '@');
	if (at == NULL || at == s || at[1] == '\0' ||
	    strpbrk(s, " \t\r\n<>,;\"") != NULL) {
		rq->bad_field = key;
		return NULL;
	}
	return s;
}

const char *
h_phone(struct req *rq, const char *key)
{
	const char *s = req_opt(rq, key, 40, NULL);

	if (s != NULL && strspn(s, "0123456789+-(). /#*") != strlen(s)) {
		rq->bad_field = key;
		return NULL;
	}
	return s;
}

/*
 * Whether ${v} is a text of ${min} to ${max} characters, without NUL; and not
 * blank, if it must have any.
 */
static bool
text_within(struct json_object *v, size_t min, int64_t max)
{
	const char *s;
	size_t len, n;

	if (!json_object_is_type(v, json_type_string))
		return false;
	s = json_object_get_string(v);
	len = (size_t)json_object_get_string_len(v);
	n = utf8_chars(s, len);
	return strlen(s) == len && n >= min && n <= (size_t)max &&
	       (min == 0 || !utf8_blank(s, len));
}

int
h_tags(struct req *rq, const char *key, struct json_object **out)
{
	struct json_object *a = NULL;
	size_t i, n;
	int rc = json_get_arr(rq->json, key, &a);

	*out = NULL;
	if (rc == 0)
		return 0;
	n = rc == 1 ? json_object_array_length(a) : 0;
	if (rc == -1 || n > (size_t)rq->cf->attributes_max)
		goto bad;
	for (i = 0; i < n; i++) {
		if (!text_within(json_object_array_get_idx(a, i), 1,
			rq->cf->name_chars_max))
			goto bad;
	}
	*out = a;
	return 1;
bad:
	rq->bad_field = key;
	return -1;
}

int
h_attributes(struct req *rq, const char *key, struct json_object **out)
{
	struct json_object *o = NULL;
	int rc = json_get_obj(rq->json, key, &o);

	*out = NULL;
	if (rc == 0)
		return 0;
	if (rc == -1 ||
	    json_object_object_length(o) > (int)rq->cf->attributes_max)
		goto bad;
	json_object_object_foreach(o, name, v)
	{
		size_t n = utf8_chars(name, strlen(name));

		if (n == 0 || n > (size_t)rq->cf->name_chars_max ||
		    !text_within(v, 0, rq->cf->value_chars_max))
			goto bad;
	}
	*out = o;
	return 1;
bad:
	rq->bad_field = key;
	return -1;
}

int
h_nullable_id(struct req *rq, const char *key, int64_t *v)
{
	struct json_object *o;

	if (rq->json == NULL || !json_object_object_get_ex(rq->json, key, &o))
		return 0;
	*v = 0;
	if (o == NULL)
		return 1;
	return req_id(rq, key, v);
}
