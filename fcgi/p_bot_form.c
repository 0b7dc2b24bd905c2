/* p_bot_form.c: a bot's settings as fields of a form, and back. */

#include "p_bot_form.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bot_rules.h"
#include "h_bot.h"
#include "json.h"
#include "p_words.h"
#include "utf8.h"

#define TEXT_MAX (1u << 20) /* bytes of one field */
#define BRIEF_CHARS 60      /* of a rule, folded */
#define ROWS_NEW 2          /* empty ones to fill in */
#define DAYS 7
#define DIGITS_MAX 15 /* of a number that json-c holds exactly */

enum form { LINE, URL, TEXT, WORDS, NUMBER, CHOICE, SECRET };

/* A field: its words are bot_key.NAME and bot_help.NAME. */
static const struct field {
	const char *name, *kinds; /* r, h, a */
	const char *group;        /* of the page */
	enum form form;
	bool config; /* a member of it */
	bool needed;
} fields[] = {
	/* clang-format off */
	{ "name",	   "rha", "who",    LINE,   false, true },
	{ "url",	   "h",	  "who",    URL,    true, true },
	{ "secret",	   "h",	  "who",    SECRET, false, false },
	{ "base_url",	   "a",	  "who",    URL,    true, true },
	{ "model",	   "a",	  "who",    LINE,   true, true },
	{ "api_key",	   "a",	  "who",    SECRET, false, false },
	{ "system",	   "a",	  "who",    TEXT,   true, false },
	{ "greeting",	   "rha", "talk",   TEXT,   true, false },
	{ "fallback",	   "r",	  "talk",   TEXT,   true, false },
	{ "handover",	   "rha", "talk",   WORDS,  true, false },
	{ "handover_text", "rha", "talk",   TEXT,   true, false },
	{ "when",	   "rha", "time",   CHOICE, true, false },
	{ "closed",	   "rha", "after",  TEXT,   true, false },
	{ "history",	   "ha",  "bounds", NUMBER, true, false },
	{ "max_tokens",	   "a",	  "bounds", NUMBER, true, false },
	{ "calls_max",	   "ha",  "bounds", NUMBER, false, false },
	{ "tokens_max",	   "a",	  "bounds", NUMBER, false, false },
	/* clang-format on */
};

static const char *const groups[] = { "who", "talk", "time", "after",
	"bounds" };
static const char *const whens[] = { "always", "open", "closed" };

#define N(list) (sizeof(list) / sizeof((list)[0]))

static bool
of_kind(const struct field *f, const char *kind)
{
	return strchr(f->kinds, *kind) != NULL;
}

/* A field of row ${n}: "rule_3_reply". */
static const char *
typed_row(
    struct req *rq, const char *row, size_t n, const char *what, bool trimmed)
{
	const char *sent;
	char name[48];
	size_t len;

	snprintf(name, sizeof(name), "%s_%zu_%s", row, n, what);
	sent = req_form(rq, name, NULL);
	return sent == NULL || !trimmed ? sent : view_content(rq, sent, &len);
}

/* The same, "" for none. */
static const char *
typed(struct req *rq, const char *row, size_t n, const char *what)
{
	const char *p = typed_row(rq, row, n, what, true);

	return p != NULL ? p : "";
}

/* ---- reading ------------------------------------------------------------ */

/* Returns new the words of lines and between commas. */
static struct json_object *
words_read(struct req *rq, const char *text)
{
	char *line = req_strdup(rq, text, strlen(text)), *p;

	for (p = line; p != NULL && *p != '\0'; p++)
		if (*p == '\n')
			*p = ',';
	return words_taglist(line != NULL ? line : "");
}

/* A number as one; what is none as it was typed, to be refused. */
static struct json_object *
number_read(const char *text)
{
	size_t len = strlen(text);

	return len <= DIGITS_MAX && strspn(text, "0123456789") == len
		   ? json_object_new_int64(strtoll(text, NULL, 10))
		   : json_object_new_string(text);
}

/* Returns new the answers to tap: "title" or "title | payload" a line. */
static struct json_object *
quick_read(const char *text)
{
	struct json_object *list = json_object_new_array(), *o;
	const char *bar;
	size_t len, title;

	for (; *text != '\0'; text += len + (text[len] == '\n')) {
		text += strspn(text, " \t");
		len = strcspn(text, "\n");
		bar = strstr(text, " | ");
		title = bar != NULL && bar < text + len ? (size_t)(bar - text)
							: len;
		if (title == 0)
			continue;
		o = json_object_new_object();
		json_put_strn(o, "title", text, title);
		if (title < len)
			json_put_strn(o, "payload", bar + 3, len - title - 3);
		json_object_array_add(list, o);
	}
	return list;
}

/* Returns new one rule of the form, or NULL: nothing is in it. */
static struct json_object *
rule_read(struct req *rq, size_t n)
{
	const char *words = typed(rq, "rule", n, "keywords");
	const char *reply = typed(rq, "rule", n, "reply");
	const char *quick = typed(rq, "rule", n, "quick_replies");
	bool handover = typed_row(rq, "rule", n, "handover", false) != NULL;
	struct json_object *o;

	if (typed_row(rq, "rule", n, "gone", false) != NULL ||
	    (*words == '\0' && *reply == '\0' && *quick == '\0' && !handover))
		return NULL;
	o = json_object_new_object();
	json_put(o, "keywords", words_read(rq, words));
	json_put_str(o, "reply", reply);
	if (*quick != '\0')
		json_put(o, "quick_replies", quick_read(quick));
	if (handover)
		json_put_bool(o, "handover", true);
	return o;
}

/*
 * Where it is to stand, doubled: before or after the one whose place it was
 * given.
 */
static int64_t
place_read(struct req *rq, size_t n)
{
	const char *p = typed(rq, "rule", n, "place");
	int64_t was = (int64_t)n, place = was;

	if (*p != '\0' && strlen(p) <= 4 &&
	    strspn(p, "0123456789") == strlen(p))
		place = strtoll(p, NULL, 10);
	return place * 2 + (place > was) - (place < was);
}

/* Returns new the rules in the order that the form gives them. */
static struct json_object *
rules_read(struct req *rq)
{
	struct json_object *list = json_object_new_array(), *o;
	size_t most = rq->nform, n, at, count = 0;
	int64_t *places = req_alloc(rq, (most + 1) * sizeof(*places)), place;

	for (n = 1; places != NULL && n <= most &&
		    typed_row(rq, "rule", n, "keywords", false) != NULL;
	     n++) {
		if ((o = rule_read(rq, n)) == NULL)
			continue;
		place = place_read(rq, n);
		for (at = count; at > 0 && places[at - 1] > place; at--) {
			places[at] = places[at - 1];
			json_object_array_put_idx(list, at,
			    json_object_get(
				json_object_array_get_idx(list, at - 1)));
		}
		places[at] = place;
		json_object_array_put_idx(list, at, o);
		count++;
	}
	return list;
}

/* Returns new the opening hours; rows without a day and a time are none. */
static struct json_object *
hours_read(struct req *rq)
{
	struct json_object *list = json_object_new_array(), *o, *days;
	const char *from, *to;
	char day[2] = "";
	size_t n;

	for (n = 1; typed_row(rq, "hours", n, "from", false) != NULL; n++) {
		from = typed(rq, "hours", n, "from");
		to = typed(rq, "hours", n, "to");
		days = json_object_new_array();
		for (int d = 1; d <= DAYS; d++) {
			day[0] = (char)('0' + d);
			if (typed_row(rq, "hours", n, day, false) != NULL)
				json_object_array_add(
				    days, json_object_new_int(d));
		}
		if (*from == '\0' && *to == '\0' &&
		    json_object_array_length(days) == 0) {
			json_object_put(days);
			continue;
		}
		o = json_object_new_object();
		json_put(o, "days", days);
		json_put_str(o, "from", from);
		json_put_str(o, "to", to);
		json_object_array_add(list, o);
	}
	return list;
}

/* A list without anything in it is no setting: null. */
static void
put_list(struct json_object *o, const char *key, struct json_object *list)
{
	if (json_object_array_length(list) > 0) {
		json_put(o, key, list);
		return;
	}
	json_object_put(list);
	json_put_str(o, key, NULL);
}

static void
field_read(struct req *rq, const struct field *f, struct json_object *config,
    struct json_object *secrets)
{
	const char *sent = req_form(rq, f->name, NULL), *text;
	char clear[48];
	size_t len;

	snprintf(clear, sizeof(clear), "clear_%s", f->name);
	if (sent == NULL || (text = view_content(rq, sent, &len)) == NULL)
		return;
	if (f->form == SECRET) {
		if (len > 0)
			json_put_str(secrets, f->name, text);
		else if (req_form(rq, clear, NULL) != NULL)
			json_put_str(secrets, f->name, NULL);
	} else if (!f->config) {
		return; /* a member of the request itself */
	} else if (f->form == WORDS) {
		put_list(config, f->name, words_read(rq, text));
	} else if (f->form == NUMBER && len > 0) {
		json_put(config, f->name, number_read(text));
	} else {
		json_put_str(config, f->name, len > 0 ? text : NULL);
	}
}

struct json_object *
bot_form_read(struct req *rq, const char *kind)
{
	struct json_object *o = json_object_new_object(),
			   *config = json_object_new_object(),
			   *secrets = json_object_new_object();

	for (size_t i = 0; i < N(fields); i++)
		if (of_kind(&fields[i], kind))
			field_read(rq, &fields[i], config, secrets);
	if (typed_row(rq, "hours", 1, "from", false) != NULL)
		put_list(config, "hours", hours_read(rq));
	if (*kind == 'r' && typed_row(rq, "rule", 1, "keywords", false) != NULL)
		put_list(config, "rules", rules_read(rq));
	json_put(o, "config", config);
	json_put(o, "secrets", secrets);
	return o;
}

/* ---- what is wrong ------------------------------------------------------ */

/* Whether a list of this one thing alone would be refused. */
static bool
one_bad(const struct bot_limits *lim, const char *field, struct json_object *v)
{
	struct json_object *config = json_object_new_object(),
			   *list = json_object_new_array();
	bool bad;

	json_object_array_add(list, json_object_get(v));
	json_put(config, field, list);
	bad = bot_config_bad("rules", config, lim) != NULL;
	json_object_put(config);
	return bad;
}

/* Which member of the rule is refused, beside good ones; NULL: all together. */
static const char *
rule_part(const struct bot_limits *lim, struct json_object *rule)
{
	static const char *const parts[] = { "keywords", "reply",
		"quick_replies" };
	struct json_object *o, *good, *part;
	bool bad;

	for (size_t i = 0; i < N(parts); i++) {
		if (!json_object_object_get_ex(rule, parts[i], &part))
			continue;
		o = json_object_new_object();
		good = json_object_new_array();
		json_object_array_add(good, json_object_new_string("x"));
		json_put(o, "keywords", good);
		json_put(o, parts[i], json_object_get(part));
		bad = one_bad(lim, "rules", o);
		json_object_put(o);
		if (bad)
			return parts[i];
	}
	return NULL;
}

/* Whether the value alone would be refused, or is needed and not there. */
static bool
field_bad(const struct view *v, const struct bot_shown *s,
    const struct field *f, struct json_object *value)
{
	struct bot_limits lim = bot_limits_of(v->rq->cf);
	struct json_object *config;
	const char *bad;
	bool wrong;

	if (!s->back)
		return false;
	if (s->field != NULL && strcmp(s->field, f->name) == 0)
		return true;
	if (!f->config || value == NULL)
		return f->needed && value == NULL;
	config = json_object_new_object();
	json_put(config, f->name, json_object_get(value));
	bad = bot_config_bad(s->kind, config, &lim);
	wrong = bad != NULL && strcmp(bad, f->name) == 0;
	json_object_put(config);
	return wrong;
}

/* ---- showing ------------------------------------------------------------ */

static void
list_text(struct json_object *list, const char *between, struct buf *b)
{
	size_t n = list != NULL ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++) {
		buf_puts(b, i > 0 ? between : "");
		buf_puts(b,
		    json_object_get_string(json_object_array_get_idx(list, i)));
	}
}

/* The text ${key} of a rule or span, or "". */
static const char *
str(struct json_object *o, const char *key)
{
	const char *p = NULL;

	return json_get_str(o, key, &p, NULL) == 1 ? p : "";
}

/* The words of ${group} for ${name}, or NULL. */
static const char *
words_of(const struct view *v, const char *group, const char *name)
{
	const char *text;
	char key[64];

	snprintf(key, sizeof(key), "%s.%s", group, name);
	text = view_text(v, key);
	return *text != '\0' ? text : NULL;
}

/* The line at what is wrong; NULL: nothing is. */
static void
put_fault(const struct view *v, struct json_object *o, const char *key,
    const char *name)
{
	const char *text = name != NULL ? words_of(v, "bot_fault", name) : NULL;

	if (name != NULL && text == NULL)
		text = view_text(v, "error.invalid");
	json_put_str(o, key, text);
}

static struct json_object *
choices(const struct view *v, const char *chosen)
{
	struct json_object *list = view_options(whens, N(whens), chosen);

	for (size_t i = 0; i < N(whens); i++)
		json_put_str(json_object_array_get_idx(list, i), "text",
		    words_of(v, "bot_when", whens[i]));
	return list;
}

/* What stands in the field. */
static void
put_value(const struct view *v, struct json_object *o, const struct field *f,
    struct json_object *value)
{
	struct buf b;

	buf_init(&b, TEXT_MAX);
	if (f->form == WORDS && json_object_is_type(value, json_type_array))
		list_text(value, "\n", &b);
	else if (value != NULL)
		buf_puts(&b, json_object_get_string(value));
	if (f->form == CHOICE) {
		json_put_bool(o, "choice", true);
		json_put(o, "options", choices(v, b.data));
	} else if (f->form == TEXT || f->form == WORDS) {
		json_put_bool(o, "area", true);
		json_put_int(o, "rows", strcmp(f->name, "system") == 0 ? 6 : 2);
	} else {
		json_put_bool(o, "entry", true);
		json_put_str(o, "type", f->form == URL ? "url" : "text");
		json_put_bool(o, "number", f->form == NUMBER);
		json_put_str(o, "usual", f->form == URL ? "https://" : NULL);
	}
	json_put_strn(o, "value", b.data, b.len);
	buf_fini(&b);
}

static struct json_object *
field_json(
    const struct view *v, const struct bot_shown *s, const struct field *f)
{
	struct json_object *o = json_object_new_object(), *value = NULL, *is;
	const char *sent;
	bool kept;

	json_object_object_get_ex(s->values, f->name, &value);

	json_put_str(o, "name", f->name);
	json_put_str(o, "label", words_of(v, "bot_key", f->name));
	json_put_str(o, "help", words_of(v, "bot_help", f->name));
	put_fault(v, o, "fault", field_bad(v, s, f, value) ? f->name : NULL);
	if (f->form != SECRET) {
		put_value(v, o, f, value);
		json_put_bool(o, "required", f->needed);
		return o;
	}
	/* What is secret never goes back, not even into its form. */
	kept =
	    s->set != NULL && json_object_object_get_ex(s->set, f->name, &is);
	sent = s->back ? req_form(v->rq, f->name, NULL) : NULL;
	json_put_bool(o, "entry", true);
	json_put_bool(o, "secret", true);
	json_put_str(o, "type", "password");
	json_put_bool(o, "set", kept);
	json_put_bool(o, "again", sent != NULL && *sent != '\0');
	json_put_bool(o, "clear", kept && *f->kinds == 'a');
	json_put_bool(o, "made", s->set == NULL && *f->kinds == 'h');
	return o;
}

/* A rule in one line. */
static void
put_brief(struct json_object *o, struct json_object *words, const char *reply)
{
	struct buf b, brief;
	size_t len;

	buf_init(&b, TEXT_MAX);
	buf_init(&brief, TEXT_MAX);
	list_text(words, ", ", &b);
	if (*reply != '\0')
		buf_printf(&b, " → %s", reply);
	len = utf8_cut(b.data, b.len, BRIEF_CHARS);
	buf_append(&brief, b.data, len);
	buf_puts(&brief, len < b.len ? "…" : "");
	json_put_strn(o, "brief", brief.data, brief.len);
	buf_fini(&b);
	buf_fini(&brief);
}

static void
put_quick(struct json_object *o, struct json_object *list)
{
	size_t n = list != NULL ? json_object_array_length(list) : 0;
	struct json_object *one;
	const char *title, *payload;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < n; i++) {
		one = json_object_array_get_idx(list, i);
		title = str(one, "title");
		payload = str(one, "payload");
		buf_puts(&b, i > 0 ? "\n" : "");
		buf_puts(&b, title);
		if (*payload != '\0' && strcmp(payload, title) != 0)
			buf_printf(&b, " | %s", payload);
	}
	json_put_strn(o, "quick", b.data, b.len);
	buf_fini(&b);
}

/* Row ${n}; ${rule} NULL: an empty one. */
static struct json_object *
rule_json(const struct view *v, const struct bot_limits *lim,
    struct json_object *rule, size_t n, bool wrong)
{
	const char *part = wrong ? rule_part(lim, rule) : NULL;
	struct json_object *o = json_object_new_object(), *words = NULL,
			   *quick = NULL;
	bool handover = false;
	struct buf b;

	(void)json_get_arr(rule, "keywords", &words);
	(void)json_get_arr(rule, "quick_replies", &quick);
	(void)json_get_bool(rule, "handover", &handover);
	buf_init(&b, TEXT_MAX);
	list_text(words, "\n", &b);
	json_put_int(o, "n", (int64_t)n);
	json_put_bool(o, "fresh", rule == NULL);
	json_put_bool(o, "open", wrong || (rule == NULL && n == 1));
	json_put_strn(o, "keywords", b.data, b.len);
	buf_fini(&b);
	json_put_str(o, "reply", str(rule, "reply"));
	put_quick(o, quick);
	json_put_bool(o, "handover", handover);
	put_brief(o, words, str(rule, "reply"));
	put_fault(v, o, "bad", wrong && part == NULL ? "rules" : NULL);
	put_fault(v, o, "bad_keywords",
	    part != NULL && *part == 'k' ? "keywords" : NULL);
	put_fault(
	    v, o, "bad_reply", part != NULL && *part == 'r' ? "reply" : NULL);
	put_fault(v, o, "bad_quick",
	    part != NULL && *part == 'q' ? "quick_replies" : NULL);
	return o;
}

static bool
has_day(struct json_object *days, int day)
{
	size_t n = days != NULL ? json_object_array_length(days) : 0;

	for (size_t i = 0; i < n; i++)
		if (json_object_get_int(json_object_array_get_idx(days, i)) ==
		    day)
			return true;
	return false;
}

/* A clock's field knows no 24:00; as an end, 00:00 is the same. */
static void
put_clock(struct json_object *o, const char *key, struct json_object *span)
{
	const char *at = str(span, key);

	json_put_str(o, key, strcmp(at, "24:00") == 0 ? "00:00" : at);
}

static struct json_object *
span_json(const struct view *v, struct json_object *span, size_t n, bool wrong)
{
	struct json_object *o = json_object_new_object(), *days = NULL,
			   *list = json_object_new_array(), *day;
	char name[2] = "";

	(void)json_get_arr(span, "days", &days);
	for (int d = 1; d <= DAYS; d++) {
		name[0] = (char)('0' + d);
		day = json_object_new_object();
		json_put_str(day, "d", name);
		json_put_str(day, "short", words_of(v, "bot_day", name));
		json_put_bool(day, "on", has_day(days, d));
		json_object_array_add(list, day);
	}
	json_put_int(o, "n", (int64_t)n);
	json_put(o, "days", list);
	put_clock(o, "from", span);
	put_clock(o, "to", span);
	put_fault(v, o, "bad", wrong ? "hours" : NULL);
	return o;
}

/* Rows of ${key}, and empty ones. */
static void
put_rows(const struct view *v, struct json_object *o, const char *key,
    const struct bot_shown *s)
{
	struct json_object *rows = json_object_new_array(), *list = NULL, *one;
	struct bot_limits lim = bot_limits_of(v->rq->cf);
	bool wrong, any = false;
	size_t n;

	(void)json_get_arr(s->values, key, &list);
	n = list != NULL ? json_object_array_length(list) : 0;
	for (size_t i = 0; i < n + ROWS_NEW; i++) {
		one = i < n ? json_object_array_get_idx(list, i) : NULL;
		wrong = s->back && one != NULL && one_bad(&lim, key, one);
		any = any || wrong;
		json_object_array_add(
		    rows, *key == 'r' ? rule_json(v, &lim, one, i + 1, wrong)
				      : span_json(v, one, i + 1, wrong));
	}
	json_put(o, key, rows);
	/* Too many of them is nobody's fault alone. */
	wrong =
	    s->back && !any && s->field != NULL && strcmp(s->field, key) == 0;
	put_fault(
	    v, o, *key == 'r' ? "bad_rules" : "bad_hours", wrong ? key : NULL);
}

void
bot_form_put(
    const struct view *v, struct json_object *o, const struct bot_shown *s)
{
	struct json_object *list;

	for (size_t g = 0; g < N(groups); g++) {
		list = json_object_new_array();
		for (size_t i = 0; i < N(fields); i++)
			if (strcmp(fields[i].group, groups[g]) == 0 &&
			    of_kind(&fields[i], s->kind))
				json_object_array_add(
				    list, field_json(v, s, &fields[i]));
		json_put_bool(o, "any_bounds",
		    strcmp(groups[g], "bounds") == 0 &&
			json_object_array_length(list) > 0);
		json_put(o, groups[g], list);
	}
	put_rows(v, o, "hours", s);
	json_put_bool(o, "by_rules", *s->kind == 'r');
	if (*s->kind == 'r')
		put_rows(v, o, "rules", s);
}
