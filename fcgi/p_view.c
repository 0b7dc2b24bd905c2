/*
 * p_view.c: what all pages share: the model's frame, rendering, one-time keys.
 * How a thing reads is p_words.c; which page shows what, the other p_*.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "p_view.h"
#include "p_words.h"
#include "page.h"
#include "store.h"
#include "store_conversation.h"
#include "store_event.h"
#include "store_idem.h"
#include "store_user.h"
#include "token.h"
#include "utf8.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)

/* The process's templates; made for the first page. */
static struct page_set *pages;

static struct page_set *
page_set(const struct req *rq)
{
	if (pages == NULL)
		pages = page_set_new(rq->cf->www_dir);
	return pages;
}

static const char *
locale_choose(struct req *rq)
{
	const char *p, *got;
	size_t len;

	if (rq->who.kind == WHO_USER && rq->who.locale[0] != '\0' &&
	    (got = page_locale(rq->who.locale, strlen(rq->who.locale))) != NULL)
		return got;
	if ((p = req_query(rq, "locale", &len)) != NULL &&
	    (got = page_locale(p, len)) != NULL)
		return got;
	if (rq->who.locale[0] != '\0' &&
	    (got = page_locale(rq->who.locale, strlen(rq->who.locale))) != NULL)
		return got;
	if ((p = req_header(rq, "Accept-Language")) != NULL &&
	    (got = page_locale(p, strlen(p))) != NULL)
		return got;
	got = page_locale(rq->cf->locale, strlen(rq->cf->locale));
	return got != NULL ? got : "vi";
}

void
view_begin(struct view *v, struct req *rq, struct rsp *rs, const char *name)
{
	const char *saved = req_query(rq, "saved", NULL);

	v->rq = rq;
	v->rs = rs;
	v->locale = locale_choose(rq);
	v->model = json_object_new_object();
	json_put_str(v->model, "view", name);
	json_put_str(v->model, "locale", v->locale);
	json_put_str(v->model, "base", rq->base_path);
	json_put_str(v->model, "csrf", rq->who.csrf);
	json_put_int(v->model, "zone", rq->cf->zone_minutes);
	if (saved != NULL && strcmp(saved, "1") == 0)
		json_put_bool(v->model, "saved", true);
}

void
view_drop(struct view *v)
{
	json_object_put(v->model);
	v->model = NULL;
}

int
view_end(struct view *v, int status, const char *tmpl)
{
	struct page_set *ps = page_set(v->rq);
	struct buf page;
	int rc = -1;

	buf_init(&page, PAGE_MAX);
	if (ps != NULL)
		rc = page_render(ps, tmpl, v->locale, v->model, &page);
	view_drop(v);
	rc = rc == 0 ? rsp_html(v->rs, status, &page)
		     : rsp_error(v->rs, 500, "internal", NULL);
	buf_fini(&page);
	return rc;
}

struct json_object *
view_texts(const struct view *v)
{
	struct page_set *ps = page_set(v->rq);

	return ps == NULL ? NULL : page_texts(ps, v->locale);
}

const char *
view_text(const struct view *v, const char *key)
{
	struct page_set *ps = page_set(v->rq);

	return ps == NULL ? "" : page_text(ps, v->locale, key);
}

void
view_locale(struct view *v, const char *locale)
{
	const char *got = page_locale(locale, strlen(locale));

	if (got == NULL)
		return;
	v->locale = got;
	json_put_str(v->model, "locale", got);
}

void
view_title(struct view *v, const char *title)
{
	json_put_str(v->model, "title", title);
}

int
view_agent(struct view *v)
{
	struct json_object *me, *unread;
	struct req *rq = v->rq;
	const char *name = "";
	int64_t total = 0;
	char id[24];

	if (store_user_json(rq->st, &rq->who, rq->who.id, &me) != STORE_DONE)
		return -1;
	snprintf(id, sizeof(id), "%" PRId64, rq->who.id);
	(void)json_get_str(me, "name", &name, NULL);
	words_person(v, me, id, name, "inbox.anonymous");
	json_put_bool(me, "admin", rq->who.admin);
	json_put(v->model, "me", me);
	if (store_unread(rq->st, &rq->who, &unread) != STORE_DONE)
		return -1;
	(void)json_get_int(unread, "total", &total);
	json_put_int(v->model, "unread_total", total);
	json_object_put(unread);
	return 0;
}

int
view_open(struct view *v, struct req *rq, struct rsp *rs, const char *name,
    const char *nav, const char *title)
{
	struct json_object *at = json_object_new_object();
	struct log_state s;
	int rc = STORE_FAILED;

	view_begin(v, rq, rs, name);
	view_title(v, view_text(v, title));
	json_put_str(v->model, "script", "inbox");
	json_put_bool(at, nav, true);
	json_put(v->model, "nav", at);
	if (store_read(rq->st) != STORE_FAILED) {
		rc = store_log_state(rq->st, &s);
		if (rc == STORE_DONE)
			json_put_int(v->model, "cursor", s.head);
		if (rc == STORE_DONE && view_agent(v) == -1)
			rc = STORE_FAILED;
		store_read_end(rq->st);
	}
	if (rc != STORE_DONE)
		view_drop(v);
	return rc;
}

void
view_key(struct view *v, const char *name)
{
	char key[TOKEN_SIZE];

	token_new(key);
	json_put_str(v->model, name, key);
}

void
view_refresh(
    struct view *v, const char *path, const char *query, int64_t active_at)
{
	int64_t quiet = v->rq->now_ms - active_at;
	int64_t times = quiet < 2 * MINUTE_MS    ? 1
			: quiet < 10 * MINUTE_MS ? 3
			: quiet < HOUR_MS        ? 6
						 : 12;
	const char *mark = query[0] != '\0' ? "?" : "";
	struct buf here;
	bool paused = req_query(v->rq, "pause", NULL) != NULL;

	buf_init(&here, 4096);
	buf_printf(&here, "%s%s%s%s", v->rq->base_path, path, mark, query);
	json_put_strn(v->model, "here", here.data, here.len);
	buf_puts(&here, query[0] != '\0' ? "&pause=1" : "?pause=1");
	json_put_strn(v->model, "here_paused", here.data, here.len);
	buf_fini(&here);
	if (paused)
		json_put_bool(v->model, "paused", true);
	else
		json_put_int(
		    v->model, "refresh", times * v->rq->cf->page_refresh_s);
}

struct json_object *
view_options(const char *const *keys, size_t n, const char *chosen)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_new_object();

		json_put_str(o, "key", keys[i]);
		json_put_bool(o, "selected", strcmp(keys[i], chosen) == 0);
		json_object_array_add(list, o);
	}
	return list;
}

void
view_languages(struct view *v)
{
	static const char *const all[] = { "vi", "th", "en" };

	json_put(v->model, "languages",
	    view_options(all, sizeof(all) / sizeof(all[0]), v->locale));
}

static bool
word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

void
view_url(struct buf *b, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	buf_putc(b, memchr(b->data, '?', b->len) == NULL ? '?' : '&');
	buf_puts(b, name);
	buf_putc(b, '=');
	for (const char *p = value; *p != '\0'; p++)
		if (word_byte(*p) || strchr("-_.~", *p) != NULL)
			buf_putc(b, *p);
		else
			buf_printf(b, "%%%02X", (unsigned char)*p);
}

const char *
view_content(struct req *rq, const char *text, size_t *len)
{
	size_t n = strlen(text), at = 0;
	char *out = req_alloc(rq, n + 1);

	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\r') {
			if (text[i + 1] == '\n')
				continue;
			out[at++] = '\n';
		} else if (at > 0 || strchr(" \t\n", text[i]) == NULL)
			out[at++] = text[i];
	}
	while (at > 0 && strchr(" \t\n", out[at - 1]) != NULL)
		at--;
	out[at] = '\0';
	*len = at;
	return out;
}

const char *
view_content_fault(const struct req *rq, const char *text, size_t len)
{
	if (utf8_blank(text, len))
		return "empty";
	if (len > (size_t)rq->cf->message_bytes_max ||
	    utf8_chars(text, len) > (size_t)rq->cf->message_chars_max)
		return "too_long";
	return NULL;
}

int
view_page_error(struct rsp *rs, int status, const char *code, const char *field,
    struct buf *page)
{
	struct page_set *ps = page_set(rs->rq);
	struct req *rq = rs->rq;
	bool chat = strncmp(rq->path, "/chat", 5) == 0;
	struct buf home;
	struct view v;
	int rc;

	(void)field;
	if (ps == NULL)
		return -1;
	view_begin(&v, rq, rs, "error");
	view_title(&v, view_text(&v, "error.title"));
	json_put_int(v.model, "status", status);
	json_put_str(v.model, "error", code);
	if (status >= 500)
		json_put_str(v.model, "request_id", rq->id_text);
	buf_init(&home, 1024);
	buf_printf(&home, "%s%s", rq->base_path, chat ? "/chat" : "/inbox");
	json_put_strn(v.model, "home", home.data, home.len);
	buf_fini(&home);
	rc = page_render(ps, "error", v.locale, v.model, page);
	view_drop(&v);
	return rc;
}

/* A form's key is its user's own; its route and path are part of it. */
static void
once_key(
    struct req *rq, const char *key, struct idem *k, char hash[TOKEN_HASH_SIZE])
{
	token_hash(rq->path, strlen(rq->path), hash);
	*k = (struct idem){
		.kind = "form", .owner = rq->who.id, .key = key, .hash = hash
	};
}

int
once_begin(struct req *rq, const char *key, const char **url)
{
	char hash[TOKEN_HASH_SIZE], *answer = NULL;
	struct idem k;
	int rc, status;

	once_key(rq, key, &k, hash);
	if (store_begin(rq->st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_idem_find(rq->st, &k, &status, &answer);
	if (rc == STORE_NONE)
		return STORE_DONE;
	if (rc == STORE_REPEATED) {
		*url = req_strdup(rq, answer, strlen(answer));
		if (*url == NULL)
			rc = STORE_FAILED;
	}
	free(answer);
	(void)store_end(rq->st, STORE_NONE);
	return rc;
}

int
once_end(struct req *rq, const char *key, int rc, const char *url)
{
	char hash[TOKEN_HASH_SIZE];
	struct idem k;
	int end = rc;

	once_key(rq, key, &k, hash);
	if (rc == STORE_DONE || rc == STORE_REPEATED)
		end = store_idem_add(rq->st, &k, 303, url);
	end = store_end(rq->st, end);
	return end == STORE_DONE ? rc : end;
}
