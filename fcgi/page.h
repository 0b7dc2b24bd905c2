/*
 * page.h: HTML pages from templates and texts.
 *
 * A template is HTML with
 *	{{x}} {{a.b}} {{.}}	a value of the model, always escaped; it stands
 *in text or in a quoted attribute, nowhere else
 *	{{#x}}...{{/x}}		once for each item of a list, once inside an
 *				object, once if x is true (not "", 0, null,
 *false)
 *	{{^x}}...{{/x}}		if x is not there or not true
 *	{{>part}}		another template in this place
 *	{{t.key}}		the text "key" in the reader's language; {name}
 *in it is filled in from the model, and a step @name of the key is replaced by
 *the value of that name, so
 *				{{t.status.@status}} reads "status.open"
 *	{{! ... }}		nothing
 * A name is looked for in the innermost object first, then outwards; a member
 * that is null is found.  There is no way to write a value unescaped.
 */
#ifndef FCGI_PAGE_H
#define FCGI_PAGE_H

#include <stddef.h>

struct buf;
struct json_object;

#define PAGE_SECTIONS_MAX 16 /* {{#}} and {{^}} inside each other */
#define PAGE_PARTS_MAX 8     /* {{>}} inside each other */
#define PAGE_STEPS_MAX 8     /* names in a.b.c */
#define PAGE_NODES_MAX 4096  /* pieces of one template */
#define PAGE_SCOPES_MAX ((size_t)PAGE_SECTIONS_MAX * PAGE_PARTS_MAX)
#define PAGE_WORK_MAX 4000000 /* pieces walked through for one page */
#define PAGE_FILE_MAX \
	((size_t)256 * 1024) /* bytes of a template or of the texts */
#define PAGE_MAX ((size_t)4 * 1024 * 1024) /* bytes of a rendered page */

/* A parsed template. */
struct page_tmpl;

/* All templates and texts of an installation, read when first asked for. */
struct page_set;

/*
 * page_parse(text, len, why, line):
 * Return the template in the ${len} bytes at ${text}, new, or NULL; then ${why}
 * says what is wrong and ${line} where, from 1.
 */
struct page_tmpl *page_parse(
    const char *text, size_t len, const char **why, size_t *line);

/*
 * page_tmpl_free(t):
 * Free ${t}, which may be NULL.
 */
void page_tmpl_free(struct page_tmpl *t);

/*
 * page_part_fn(arg, name):
 * Find the template for {{>name}}; it is borrowed until the rendering ends.
 * NULL makes the rendering fail.
 */
typedef const struct page_tmpl *page_part_fn(void *arg, const char *name);

/*
 * page_fill(t, model, texts, part, arg, out):
 * Append to ${out} what ${t} makes of the object ${model}, with the texts of
 * the object ${texts} (either may be NULL) and parts from ${part} (NULL:
 * none).  Return 0, or -1 if a bound was hit, a part is missing or ${out} is
 * full; what has been appended until then stays.
 */
int page_fill(const struct page_tmpl *t, struct json_object *model,
    struct json_object *texts, page_part_fn *part, void *arg, struct buf *out);

/*
 * page_set_new(www):
 * Return a new set over the folder ${www}, with its tmpl/NAME.html (a part
 * icon-NAME is img/NAME.svg) and i18n/LOCALE.json; nothing is read yet.  NULL
 * if out of memory.
 */
struct page_set *page_set_new(const char *www);

/*
 * page_set_free(ps):
 * Free ${ps}, which may be NULL.
 */
void page_set_free(struct page_set *ps);

/*
 * page_locale(text, len):
 * Return the language we have that the ${len} bytes at ${text} ask for: a code
 * such as "vi" or "th-TH", or a whole Accept-Language header, of which the
 * first known one counts in order of its q.  NULL if there is none.
 */
const char *page_locale(const char *text, size_t len);

/*
 * page_texts(ps, locale):
 * Return the texts of ${locale} ("vi", "th", "en"), borrowed until ${ps} is
 * freed, or NULL after logging.
 */
struct json_object *page_texts(struct page_set *ps, const char *locale);

/*
 * page_text(ps, locale, key):
 * Return the one text "group.name" of ${locale}, borrowed likewise, or "".
 */
const char *page_text(struct page_set *ps, const char *locale, const char *key);

/*
 * page_render(ps, name, locale, model, out):
 * Append the page tmpl/${name}.html for ${model} in ${locale} to ${out}.
 * Return 0, or -1 after logging.
 */
int page_render(struct page_set *ps, const char *name, const char *locale,
    struct json_object *model, struct buf *out);

#endif
