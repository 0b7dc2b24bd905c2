#ifndef PARLEY_P_VIEW_H
#define PARLEY_P_VIEW_H

/* What all pages share: the model that every template needs, and its texts. */

#include "req.h"
#include "rsp.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What keeps the files of a form, in the asker's name, once the asker may write
 * there: 0 and their attachments' ids, or the status of what it answered.
 */
typedef int post_file(
    struct req *rq, struct rsp *rs, const int64_t **ids, size_t *n);

/* A page being made. */
struct view {
	struct req *rq;
	struct rsp *rs;
	const char *locale;        /* vi, th, en */
	struct json_object *model; /* ours until view_end */
};

/*
 * view_begin(v, rq, rs, name):
 * Begin a page for whoever asks; ${name} ("inbox") goes into its class.
 * view_end(v, status, tmpl): render it with tmpl/${tmpl}.html and answer it.
 * view_drop(v): give it up after something failed; view_end does it too.
 */
void view_begin(
    struct view *v, struct req *rq, struct rsp *rs, const char *name);
int view_end(struct view *v, int status, const char *tmpl);
void view_drop(struct view *v);

/*
 * view_locale(v, locale): make ${locale} the page's language if we have it.
 * view_text(v, key): a text of it, "group.name".  view_texts(v): all; borrowed.
 */
void view_locale(struct view *v, const char *locale);
const char *view_text(const struct view *v, const char *key);
struct json_object *view_texts(const struct view *v);

/* view_title(v, title): the page's title, shown before the product's name. */
void view_title(struct view *v, const char *title);

/*
 * view_agent(v):
 * What a page inside the frame of the agents needs: who they are, and how much
 * is unread.  0, or -1 if the store failed.
 */
int view_agent(struct view *v);

/*
 * view_open(v, rq, rs, name, nav, title):
 * Begin a page inside that frame: view_begin, the text ${title} as its title,
 * ${nav} as the current link of the menu, who they are, where the event log
 * stands.  STORE_DONE; else the page is dropped and the answer is h_refuse's.
 */
int view_open(struct view *v, struct req *rq, struct rsp *rs, const char *name,
    const char *nav, const char *title);

/* view_key(v, name): a new one-time key into the model. */
void view_key(struct view *v, const char *name);

/*
 * view_refresh(v, path, query, active_at):
 * Let the page refresh itself where there is no script: every page_refresh_s
 * after something happened at ${active_at}, later and later when nothing does.
 * Not if the reader has paused it.  ${query} is what follows "?" in the page's
 * own address, or "".
 */
void view_refresh(
    struct view *v, const char *path, const char *query, int64_t active_at);

/*
 * view_options(keys, n, chosen): returns new [{key, selected}].
 */
struct json_object *view_options(
    const char *const *keys, size_t n, const char *chosen);

/* view_languages(v): `languages` of the model: those there are, as options. */
void view_languages(struct view *v);

/*
 * view_url(b, name, value): append "?name=value" or "&name=value",
 * encoded; nothing for an empty value.
 */
void view_url(struct buf *b, const char *name, const char *value);

/*
 * view_content(rq, text, len):
 * A message from a form field: line ends as \n, without blanks around it;
 * lives as long as the request.  NULL if out of memory.
 */
const char *view_content(struct req *rq, const char *text, size_t *len);

/*
 * view_content_fault(rq, text, len): the error code of what cannot be sent:
 * "empty", "too_long"; or NULL.
 */
const char *view_content_fault(
    const struct req *rq, const char *text, size_t len);

/* view_page_error: for rsp_page_error. */
int view_page_error(struct rsp *rs, int status, const char *code,
    const char *field, struct buf *page);

/*
 * once_begin(rq, key, url):
 * Begin the transaction of a form that carries a one-time key.  STORE_DONE:
 * go on, end with once_end; STORE_REPEATED: it was sent before, ${*url} (in
 * the request's memory) is where its result is; else as store_begin.
 */
int once_begin(struct req *rq, const char *key, const char **url);

/*
 * once_end(rq, key, rc, url):
 * End it: commit with ${url} as the result if ${rc} is STORE_DONE (or
 * STORE_REPEATED: nothing changed), else roll back.  Returns ${rc}, or
 * STORE_FAILED.
 */
int once_end(struct req *rq, const char *key, int rc, const char *url);

#endif
