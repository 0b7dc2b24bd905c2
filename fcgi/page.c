/*
 * page.c: HTML from templates, every value escaped.  A template is parsed once
 * a process into a flat list of nodes, in which a section knows where it ends.
 * What a page says is in the model; here is only how it gets into the text.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "buf.h"
#include "log.h"
#include "page.h"

enum node_op {
	NODE_TEXT,
	NODE_VALUE,
	NODE_SECTION,
	NODE_INVERSE,
	NODE_END,
	NODE_PART
};

/* One piece of a template. */
struct node {
	enum node_op op;
	const char *text; /* NODE_TEXT: bytes; else the steps of a name, */
			  /* each ended by NUL; none for {{.}} */
	size_t len;       /* NODE_TEXT: bytes; else steps */
	size_t mate;      /* NODE_SECTION, NODE_INVERSE: its NODE_END */
};

struct page_tmpl {
	char *source; /* the nodes point into it */
	struct node *nodes;
	size_t n, cap;
};

/* Where in a model the rendering is. */
struct fill {
	struct json_object *texts;
	struct json_object *scope[PAGE_SCOPES_MAX + 1];
	size_t depth; /* scopes in use */
	size_t parts; /* templates inside each other */
	size_t work;  /* nodes walked so far */
	page_part_fn *part;
	void *arg;
	struct buf *out;
};

/* A template read from its file, in the list of a set. */
struct page_file {
	struct page_file *next;
	struct page_tmpl *tmpl; /* NULL: could not be read; asked no more */
	char name[];
};

static const char *const locales[] = { "vi", "th", "en" };
#define LOCALES (sizeof(locales) / sizeof(locales[0]))

struct page_set {
	char *www;
	struct page_file *files;
	struct json_object *texts[LOCALES];
	bool tried[LOCALES];
};

/* Where ${c} stands twice in a row in the ${len} bytes at ${p}, or NULL. */
static char *
find_twice(char *p, size_t len, char c)
{
	for (size_t i = 0; i + 1 < len; i++)
		if (p[i] == c && p[i + 1] == c)
			return p + i;
	return NULL;
}

static bool
name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '@' || c == '-';
}

/*
 * Check the name in the ${len} bytes at ${p} and cut it into steps in place;
 * *${steps} is how many.  p[len] is overwritten too: it is the tag's brace.
 */
static bool
name_cut(char *p, size_t len, size_t *steps)
{
	*steps = 0;
	p[len] = '\0';
	if (len == 1 && p[0] == '.')
		return true;
	*steps = 1;
	for (size_t i = 0; i < len; i++) {
		if (p[i] != '.') {
			if (!name_char(p[i]))
				return false;
			continue;
		}
		if (i == 0 || p[i - 1] == '\0' || i + 1 == len ||
		    ++*steps > PAGE_STEPS_MAX)
			return false;
		p[i] = '\0';
	}
	return len > 0;
}

/* The ${n}th step of the name at ${p}. */
static const char *
name_step(const char *p, size_t n)
{
	while (n-- > 0)
		p += strlen(p) + 1;
	return p;
}

static bool
name_same(const struct node *a, const struct node *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		if (strcmp(name_step(a->text, i), name_step(b->text, i)) != 0)
			return false;
	return true;
}

static struct node *
node_add(struct page_tmpl *t, enum node_op op)
{
	struct node *grown;

	if (t->n == PAGE_NODES_MAX)
		return NULL;
	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 32 : t->cap * 2;

		grown = realloc(t->nodes, cap * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		t->nodes = grown;
		t->cap = cap;
	}
	t->nodes[t->n] = (struct node){ .op = op };
	return &t->nodes[t->n++];
}

/*
 * Take the tag whose inside is the ${len} bytes at ${p}.  ${open} holds the
 * *${depth} sections not yet closed.  NULL, or what is wrong.
 */
static const char *
tag_take(struct page_tmpl *t, char *p, size_t len, size_t *open, size_t *depth)
{
	enum node_op op = NODE_VALUE;
	struct node *nd, *mate;

	while (len > 0 && p[len - 1] == ' ')
		len--;
	if (len > 0 && p[0] == '!')
		return NULL;
	if (len > 0 && strchr("#^/>", p[0]) != NULL) {
		op = p[0] == '#'   ? NODE_SECTION
		     : p[0] == '^' ? NODE_INVERSE
		     : p[0] == '/' ? NODE_END
				   : NODE_PART;
		p++;
		len--;
	}
	while (len > 0 && p[0] == ' ') {
		p++;
		len--;
	}
	if ((nd = node_add(t, op)) == NULL)
		return "too many tags";
	nd->text = p;
	if (!name_cut(p, len, &nd->len))
		return "a tag without a good name";
	if (op == NODE_PART && nd->len != 1)
		return "a part without a good name";
	if (op == NODE_SECTION || op == NODE_INVERSE) {
		if (*depth == PAGE_SECTIONS_MAX)
			return "sections too deep";
		open[(*depth)++] = t->n - 1;
	}
	if (op == NODE_END) {
		if (*depth == 0)
			return "an end without its section";
		mate = &t->nodes[open[--*depth]];
		if (!name_same(mate, nd))
			return "an end of another section";
		mate->mate = t->n - 1;
	}
	return NULL;
}

static size_t
line_of(const char *text, const char *at)
{
	size_t line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

struct page_tmpl *
page_parse(const char *text, size_t len, const char **why, size_t *line)
{
	size_t open[PAGE_SECTIONS_MAX], depth = 0, at = 0;
	struct page_tmpl *t = calloc(1, sizeof(*t));
	struct node *nd;

	*why = "out of memory";
	*line = 1;
	if (t == NULL || len > PAGE_FILE_MAX ||
	    (t->source = malloc(len + 1)) == NULL)
		goto bad;
	if (len > 0)
		memcpy(t->source, text, len);
	t->source[len] = '\0';

	while (at < len) {
		char *p = t->source + at, *tag, *end;

		tag = find_twice(p, len - at, '{');
		end = tag != NULL ? tag : t->source + len;
		if (end > p) {
			*why = "too many tags";
			if ((nd = node_add(t, NODE_TEXT)) == NULL)
				goto bad;
			nd->text = p;
			nd->len = (size_t)(end - p);
			at += nd->len;
		}
		if (tag == NULL)
			break;
		*line = line_of(text, text + (tag - t->source));
		end = find_twice(tag + 2, len - at - 2, '}');
		*why = "a tag without an end";
		if (end == NULL)
			goto bad;
		*why =
		    tag_take(t, tag + 2, (size_t)(end - tag - 2), open, &depth);
		if (*why != NULL)
			goto bad;
		at = (size_t)(end + 2 - t->source);
	}
	*why = "a section without an end";
	if (depth == 0)
		return t;
	*line =
	    line_of(text, text + (t->nodes[open[depth - 1]].text - t->source));
bad:
	page_tmpl_free(t);
	return NULL;
}

void
page_tmpl_free(struct page_tmpl *t)
{
	if (t == NULL)
		return;
	free(t->nodes);
	free(t->source);
	free(t);
}

/* Append ${len} bytes so that they are text in HTML and in quoted values. */
static void
put_escaped(struct buf *out, const char *p, size_t len)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];
		const char *as;

		switch (c) {
		case '&':
			as = "&amp;";
			break;
		case '<':
			as = "&lt;";
			break;
		case '>':
			as = "&gt;";
			break;
		case '"':
			as = "&quot;";
			break;
		case '\'':
			as = "&#39;";
			break;
		case '\n':
		case '\t':
			continue;
		default:
			if (c >= 0x20 && c != 0x7f)
				continue;
			as = "\xef\xbf\xbd"; /* U+FFFD for what HTML forbids */
		}
		buf_append(out, p + from, i - from);
		buf_puts(out, as);
		from = i + 1;
	}
	buf_append(out, p + from, len - from);
}

static bool
is_true(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_null:
		return false;
	case json_type_boolean:
		return json_object_get_boolean(o);
	case json_type_int:
		return json_object_get_int64(o) != 0;
	case json_type_double:
		return json_object_get_double(o) != 0;
	case json_type_string:
		return json_object_get_string_len(o) > 0;
	case json_type_array:
		return json_object_array_length(o) > 0;
	case json_type_object:
		return true;
	}
	return false;
}

/* The value of the ${n} steps at ${p}, innermost scope first; may be NULL. */
static struct json_object *
look_up(const struct fill *f, const char *p, size_t n)
{
	struct json_object *o = NULL;
	bool found = false;

	if (n == 0)
		return f->scope[f->depth - 1];
	for (size_t i = f->depth; i > 0 && !found; i--)
		if (json_object_is_type(f->scope[i - 1], json_type_object))
			found =
			    json_object_object_get_ex(f->scope[i - 1], p, &o);
	for (size_t i = 1; i < n && o != NULL; i++) {
		p += strlen(p) + 1;
		if (!json_object_is_type(o, json_type_object) ||
		    !json_object_object_get_ex(o, p, &o))
			return NULL;
	}
	return o;
}

static void
put_value(struct fill *f, struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_string:
		put_escaped(f->out, json_object_get_string(o),
		    (size_t)json_object_get_string_len(o));
		break;
	case json_type_int:
		buf_printf(f->out, "%" PRId64, json_object_get_int64(o));
		break;
	case json_type_boolean:
	case json_type_double:
		put_escaped(f->out, json_object_get_string(o),
		    strlen(json_object_get_string(o)));
		break;
	case json_type_null:
	case json_type_array:
	case json_type_object:
		break;
	}
}

/* Append the text of the steps after "t", its {name}s filled in. */
static void
put_text(struct fill *f, const char *p, size_t n)
{
	struct json_object *o = f->texts;
	const char *text, *brace, *end;
	char name[64];
	size_t steps, len;

	for (size_t i = 1; i < n && o != NULL; i++) {
		const char *key = name_step(p, i);

		if (key[0] == '@')
			key = json_object_get_string(look_up(f, key + 1, 1));
		if (key == NULL || !json_object_is_type(o, json_type_object) ||
		    !json_object_object_get_ex(o, key, &o))
			o = NULL;
	}
	if (!json_object_is_type(o, json_type_string))
		return;
	text = json_object_get_string(o);
	while ((brace = strchr(text, '{')) != NULL &&
	       (end = strchr(brace, '}')) != NULL) {
		put_escaped(f->out, text, (size_t)(brace - text));
		len = (size_t)(end - brace - 1);
		text = end + 1;
		if (len == 0 || len >= sizeof(name))
			continue;
		memcpy(name, brace + 1, len);
		if (name_cut(name, len, &steps))
			put_value(f, look_up(f, name, steps));
	}
	put_escaped(f->out, text, strlen(text));
}

static int fill_nodes(struct fill *, const struct page_tmpl *, size_t, size_t);

/* Render nodes ${i} to ${end} with ${o} as the innermost scope. */
static int
fill_scope(struct fill *f, const struct page_tmpl *t, size_t i, size_t end,
    struct json_object *o)
{
	int rc;

	if (f->depth > PAGE_SCOPES_MAX)
		return -1;
	f->scope[f->depth++] = o;
	rc = fill_nodes(f, t, i, end);
	f->depth--;
	return rc;
}

static int
fill_section(struct fill *f, const struct page_tmpl *t, size_t at)
{
	const struct node *nd = &t->nodes[at];
	struct json_object *o = look_up(f, nd->text, nd->len);

	if (nd->op == NODE_INVERSE)
		return is_true(o) ? 0 : fill_nodes(f, t, at + 1, nd->mate);
	if (!is_true(o))
		return 0;
	if (!json_object_is_type(o, json_type_array))
		return fill_scope(f, t, at + 1, nd->mate, o);
	for (size_t i = 0; i < json_object_array_length(o); i++)
		if (fill_scope(f, t, at + 1, nd->mate,
			json_object_array_get_idx(o, i)) == -1)
			return -1;
	return 0;
}

static int
fill_part(struct fill *f, const char *name)
{
	const struct page_tmpl *t;
	int rc;

	if (f->parts == PAGE_PARTS_MAX || f->part == NULL ||
	    (t = f->part(f->arg, name)) == NULL)
		return -1;
	f->parts++;
	rc = fill_nodes(f, t, 0, t->n);
	f->parts--;
	return rc;
}

static int
fill_nodes(struct fill *f, const struct page_tmpl *t, size_t i, size_t end)
{
	for (; i < end; i++) {
		const struct node *nd = &t->nodes[i];

		if (++f->work > PAGE_WORK_MAX || f->out->err)
			return -1;
		switch (nd->op) {
		case NODE_TEXT:
			buf_append(f->out, nd->text, nd->len);
			break;
		case NODE_VALUE:
			if (nd->len > 1 && strcmp(nd->text, "t") == 0)
				put_text(f, nd->text, nd->len);
			else
				put_value(f, look_up(f, nd->text, nd->len));
			break;
		case NODE_SECTION:
		case NODE_INVERSE:
			if (fill_section(f, t, i) == -1)
				return -1;
			i = nd->mate;
			break;
		case NODE_END:
			break;
		case NODE_PART:
			if (fill_part(f, nd->text) == -1)
				return -1;
			break;
		}
	}
	return 0;
}

int
page_fill(const struct page_tmpl *t, struct json_object *model,
    struct json_object *texts, page_part_fn *part, void *arg, struct buf *out)
{
	struct fill f = { .texts = texts,
		.scope = { model },
		.depth = 1,
		.parts = 1,
		.part = part,
		.arg = arg,
		.out = out };

	return fill_nodes(&f, t, 0, t->n) == -1 || out->err ? -1 : 0;
}

struct page_set *
page_set_new(const char *www)
{
	struct page_set *ps = calloc(1, sizeof(*ps));

	if (ps != NULL && (ps->www = strdup(www)) == NULL) {
		free(ps);
		ps = NULL;
	}
	return ps;
}

void
page_set_free(struct page_set *ps)
{
	struct page_file *pf;

	if (ps == NULL)
		return;
	while ((pf = ps->files) != NULL) {
		ps->files = pf->next;
		page_tmpl_free(pf->tmpl);
		free(pf);
	}
	for (size_t i = 0; i < LOCALES; i++)
		json_object_put(ps->texts[i]);
	free(ps->www);
	free(ps);
}

/* Read www/${dir}/${name}${ext} whole into ${b}, which the caller ends. */
static int
file_read(struct page_set *ps, const char *dir, const char *name,
    const char *ext, struct buf *b)
{
	char path[4096], part[8192];
	ssize_t got = -1;
	int fd, n;

	buf_init(b, PAGE_FILE_MAX);
	n = snprintf(path, sizeof(path), "%s/%s/%s%s", ps->www, dir, name, ext);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		log_error("page name too long");
		return -1;
	}
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1) {
		log_sys("page open %s", path);
		return -1;
	}
	while ((got = read(fd, part, sizeof(part))) > 0)
		buf_append(b, part, (size_t)got);
	close(fd);
	if (got == -1 || b->err) {
		log_error("page read %s", path);
		return -1;
	}
	return 0;
}

/*
 * A page_part_fn over a set: the template ${name}, read when first wanted; of
 * icon-X the drawing img/X.svg, so that it takes the text's colour.
 */
static const struct page_tmpl *
set_find(void *arg, const char *name)
{
	struct page_set *ps = arg;
	bool icon = strncmp(name, "icon-", 5) == 0;
	struct page_file *pf;
	const char *why;
	struct buf b;
	size_t line;

	for (pf = ps->files; pf != NULL; pf = pf->next)
		if (strcmp(pf->name, name) == 0)
			return pf->tmpl;
	if ((pf = calloc(1, sizeof(*pf) + strlen(name) + 1)) == NULL)
		return NULL;
	memcpy(pf->name, name, strlen(name) + 1);
	pf->next = ps->files;
	ps->files = pf;
	if (file_read(ps, icon ? "img" : "tmpl", icon ? name + 5 : name,
		icon ? ".svg" : ".html", &b) == 0) {
		pf->tmpl = page_parse(b.data, b.len, &why, &line);
		if (pf->tmpl == NULL)
			log_error("page %s:%zu: %s", name, line, why);
	}
	buf_fini(&b);
	return pf->tmpl;
}

/* The index of the language of the ${len} bytes at ${p}, or -1. */
static int
locale_index(const char *p, size_t len)
{
	for (size_t i = 0; i < LOCALES; i++)
		if (len >= 2 && strncasecmp(p, locales[i], 2) == 0 &&
		    (len == 2 || p[2] == '-' || p[2] == '_'))
			return (int)i;
	return -1;
}

/* The weight in thousandths that ";q=0.8" at ${p} gives; 1000 without. */
static int
weight_of(const char *p, size_t len)
{
	const char *end = p + len;
	int weight = 0, unit = 1000;

	while (p < end && *p != '=')
		p++;
	if (p == end)
		return 1000;
	for (p++; p < end && unit > 0; p++) {
		if (*p == '.')
			continue;
		if (*p < '0' || *p > '9')
			break;
		weight += (*p - '0') * unit;
		unit /= 10;
	}
	return weight;
}

const char *
page_locale(const char *text, size_t len)
{
	const char *best = NULL, *p = text, *end = text + len;
	int most = 0;

	while (p < end) {
		const char *stop = memchr(p, ',', (size_t)(end - p)), *semi;
		size_t code;
		int i, weight;

		if (stop == NULL)
			stop = end;
		while (p < stop && (*p == ' ' || *p == '\t'))
			p++;
		semi = memchr(p, ';', (size_t)(stop - p));
		code = (size_t)((semi != NULL ? semi : stop) - p);
		i = locale_index(p, code);
		weight = weight_of(p + code, (size_t)(stop - p) - code);
		if (i != -1 && weight > most) {
			most = weight;
			best = locales[i];
		}
		p = stop + 1;
	}
	return best;
}

struct json_object *
page_texts(struct page_set *ps, const char *locale)
{
	int i = locale_index(locale, strlen(locale));
	struct buf b;

	if (i == -1)
		i = 0;
	if (ps->tried[i])
		return ps->texts[i];
	ps->tried[i] = true;
	if (file_read(ps, "i18n", locales[i], ".json", &b) == 0) {
		ps->texts[i] = json_tokener_parse(b.data);
		if (!json_object_is_type(ps->texts[i], json_type_object)) {
			log_error(
			    "page i18n/%s.json is not an object", locales[i]);
			json_object_put(ps->texts[i]);
			ps->texts[i] = NULL;
		}
	}
	buf_fini(&b);
	return ps->texts[i];
}

const char *
page_text(struct page_set *ps, const char *locale, const char *key)
{
	struct json_object *o = page_texts(ps, locale);
	char step[64];
	size_t len;

	for (; o != NULL; key += len + 1) {
		len = strcspn(key, ".");
		if (len >= sizeof(step) ||
		    !json_object_is_type(o, json_type_object))
			return "";
		memcpy(step, key, len);
		step[len] = '\0';
		if (!json_object_object_get_ex(o, step, &o))
			return "";
		if (key[len] == '\0')
			break;
	}
	if (!json_object_is_type(o, json_type_string))
		return "";
	return json_object_get_string(o);
}

int
page_render(struct page_set *ps, const char *name, const char *locale,
    struct json_object *model, struct buf *out)
{
	const struct page_tmpl *t = set_find(ps, name);
	struct json_object *texts = page_texts(ps, locale);

	if (t == NULL || texts == NULL)
		return -1;
	if (page_fill(t, model, texts, set_find, ps, out) == 0)
		return 0;
	log_error("page %s.html could not be rendered", name);
	return -1;
}
