/*
 * What a bot says by rule: opening hours, words that it listens for, greeting,
 * hand-over; and which settings a bot may have.  Values in, values out.
 */
#include "bot_rules.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "json.h"
#include "store_db.h"
#include "utf8.h"

#define MINUTE_MS 60000
#define DAY_MINUTES 1440
#define RULES_MAX 200
#define WORDS_MAX 100
#define WORD_CHARS_MAX 100
#define HOURS_MAX 50
#define QUICK_MAX 13
#define QUICK_TITLE_CHARS 20
#define QUICK_PAYLOAD_BYTES 1000
#define ANSWER_MAX (1u << 20) /* bytes */

void
bot_answer_fini(struct bot_answer *a)
{
	free(a->text);
	json_object_put(a->quick);
	a->text = NULL;
	a->quick = NULL;
}

static const char *
text_of(struct json_object *o, const char *key)
{
	const char *p;

	return json_get_str(o, key, &p, NULL) == 1 && *p != '\0' ? p : NULL;
}

/* ---- hours -------------------------------------------------------------- */

/* "HH:MM" in minutes, "24:00" too; -1: it is none. */
static int
clock_minutes(const char *s)
{
	int h, m;

	if (s == NULL || strlen(s) != 5 || s[2] != ':' ||
	    strspn(s, "0123456789") != 2 || strspn(s + 3, "0123456789") != 2)
		return -1;
	h = (s[0] - '0') * 10 + s[1] - '0';
	m = (s[3] - '0') * 10 + s[4] - '0';
	return m < 60 && h * 60 + m <= DAY_MINUTES ? h * 60 + m : -1;
}

static bool
has_day(struct json_object *days, int day)
{
	size_t i;

	for (i = 0; i < json_object_array_length(days); i++)
		if (json_object_get_int(json_object_array_get_idx(days, i)) ==
		    day)
			return true;
	return false;
}

/* Whether one span holds that minute of that day, 1 Monday. */
static bool
span_holds(struct json_object *span, int day, int minute)
{
	int from = clock_minutes(text_of(span, "from"));
	int to = clock_minutes(text_of(span, "to"));
	struct json_object *days;

	if (from == -1 || to == -1 || json_get_arr(span, "days", &days) != 1)
		return false;
	if (from < to)
		return has_day(days, day) && minute >= from && minute < to;
	return (has_day(days, day) && minute >= from) ||
	       (has_day(days, day == 1 ? 7 : day - 1) && minute < to);
}

bool
bot_hours_open(struct json_object *config, int64_t at_ms, int64_t zone_minutes)
{
	int64_t minutes = at_ms / MINUTE_MS + zone_minutes;
	/* 1970 began on a Thursday. */
	int day = (int)((minutes / DAY_MINUTES + 3) % 7) + 1;
	int minute = (int)(minutes % DAY_MINUTES);
	struct json_object *hours;
	size_t i;

	if (json_get_arr(config, "hours", &hours) != 1 ||
	    json_object_array_length(hours) == 0)
		return true;
	for (i = 0; i < json_object_array_length(hours); i++)
		if (span_holds(
			json_object_array_get_idx(hours, i), day, minute))
			return true;
	return false;
}

static bool
is_open(struct json_object *config, const struct bot_question *q)
{
	return bot_hours_open(config, q->at_ms, q->zone_minutes);
}

bool
bot_on_duty(struct json_object *config, const struct bot_question *q)
{
	const char *when = text_of(config, "when");

	if (when == NULL || strcmp(when, "always") == 0)
		return true;
	return is_open(config, q) == (strcmp(when, "open") == 0);
}

/* ---- words -------------------------------------------------------------- */

static bool
is_latin(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Whether the folded word stands by itself in the folded text. */
static bool
word_stands(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *p = text;

	for (; len > 0 && (p = strstr(p, word)) != NULL; p++)
		if ((p == text || !is_latin(*word) || !is_latin(p[-1])) &&
		    (!is_latin(word[len - 1]) || !is_latin(p[len])))
			return true;
	return false;
}

bool
bot_says(const char *text, struct json_object *keywords)
{
	char *folded = store_fold(text, strlen(text)), *word;
	const char *s;
	bool found = false;
	size_t i;

	for (i = 0;
	     folded != NULL && !found && i < json_object_array_length(keywords);
	     i++) {
		s = json_object_get_string(
		    json_object_array_get_idx(keywords, i));
		if (s == NULL || (word = store_fold(s, strlen(s))) == NULL)
			continue;
		found = word_stands(folded, word);
		free(word);
	}
	free(folded);
	return found;
}

/* ---- answers to tap ---------------------------------------------------- */

/* A text of at most so many characters, without NUL. */
static bool
text_good(struct json_object *v, size_t chars, bool line)
{
	const char *s;
	size_t len;

	if (!json_object_is_type(v, json_type_string))
		return false;
	s = json_object_get_string(v);
	len = (size_t)json_object_get_string_len(v);
	return strlen(s) == len && utf8_chars(s, len) <= chars &&
	       (!line || strpbrk(s, "\r\n") == NULL);
}

static bool
quick_good(struct json_object *v)
{
	struct json_object *o, *title, *payload;
	size_t i;

	if (!json_object_is_type(v, json_type_array) ||
	    json_object_array_length(v) > QUICK_MAX)
		return false;
	for (i = 0; i < json_object_array_length(v); i++) {
		o = json_object_array_get_idx(v, i);
		if (!json_object_is_type(o, json_type_object) ||
		    !json_object_object_get_ex(o, "title", &title) ||
		    !text_good(title, QUICK_TITLE_CHARS, true) ||
		    json_object_get_string_len(title) == 0)
			return false;
		if (json_object_object_get_ex(o, "payload", &payload) &&
		    (!text_good(payload, QUICK_PAYLOAD_BYTES, false) ||
			json_object_get_string_len(payload) >
			    QUICK_PAYLOAD_BYTES))
			return false;
	}
	return true;
}

struct json_object *
bot_quick(struct json_object *list)
{
	struct json_object *out, *one, *title, *payload;
	size_t i;

	if (!quick_good(list))
		return NULL;
	out = json_object_new_array();
	for (i = 0; i < json_object_array_length(list); i++) {
		one = json_object_array_get_idx(list, i);
		json_object_object_get_ex(one, "title", &title);
		if (!json_object_object_get_ex(one, "payload", &payload))
			payload = title;
		one = json_object_new_object();
		json_put(one, "title", json_object_get(title));
		json_put(one, "payload", json_object_get(payload));
		json_object_array_add(out, one);
	}
	return out;
}

/* ---- answers ------------------------------------------------------------ */

/* Put ${s} before (or behind) what it says. */
static void
answer_add(struct bot_answer *a, const char *s, bool before)
{
	const char *first = before ? s : a->text;
	const char *last = before ? a->text : s;
	struct buf b;

	if (s == NULL)
		return;
	buf_init(&b, ANSWER_MAX);
	if (first != NULL)
		buf_puts(&b, first);
	if (first != NULL && last != NULL)
		buf_puts(&b, "\n\n");
	if (last != NULL)
		buf_puts(&b, last);
	if (!b.err) {
		free(a->text);
		a->text = strdup(b.data);
	}
	buf_fini(&b);
}

void
bot_handover(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a)
{
	const char *closed = text_of(config, "closed");

	a->handover = true;
	answer_add(a,
	    closed != NULL && !is_open(config, q)
		? closed
		: text_of(config, "handover_text"),
	    false);
}

bool
bot_wants_person(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a)
{
	struct json_object *words;

	if (json_get_arr(config, "handover", &words) != 1 ||
	    !bot_says(q->text, words))
		return false;
	a->reason = "rule";
	bot_handover(config, q, a);
	return true;
}

void
bot_greet(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a)
{
	const char *greeting = text_of(config, "greeting");

	if (q->greeted || greeting == NULL)
		return;
	answer_add(a, greeting, true);
	a->greets = true;
}

/* The first rule that matches; false: none does. */
static bool
rule_answer(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a)
{
	struct json_object *rules, *rule, *words, *quick;
	bool handover = false;
	size_t i;

	if (json_get_arr(config, "rules", &rules) != 1)
		return false;
	for (i = 0; i < json_object_array_length(rules); i++) {
		rule = json_object_array_get_idx(rules, i);
		if (json_get_arr(rule, "keywords", &words) != 1 ||
		    !bot_says(q->text, words))
			continue;
		answer_add(a, text_of(rule, "reply"), false);
		if (json_get_arr(rule, "quick_replies", &quick) == 1 &&
		    json_object_array_length(quick) > 0)
			a->quick = bot_quick(quick);
		(void)json_get_bool(rule, "handover", &handover);
		if (handover) {
			a->reason = "rule";
			bot_handover(config, q, a);
		}
		return true;
	}
	return false;
}

void
bot_rules_answer(struct json_object *config, const struct bot_question *q,
    struct bot_answer *a)
{
	const char *closed = text_of(config, "closed");

	if (!bot_wants_person(config, q, a) && !rule_answer(config, q, a))
		answer_add(a,
		    closed != NULL && !is_open(config, q)
			? closed
			: text_of(config, "fallback"),
		    false);
	bot_greet(config, q, a);
}

/* ---- settings ----------------------------------------------------------- */

enum what { TEXT, LINE, WORDS, HOURS, RULES, WHEN, URL, NUMBER };

/* One setting: which kinds have it, and what it is. */
struct setting {
	const char *name, *kinds; /* r, h, a */
	enum what what;
	int64_t min, max; /* NUMBER */
};

/* clang-format off */
static const struct setting settings[] = {
	{ "greeting",	   "rha", TEXT, 0, 0 },
	{ "closed",	   "rha", TEXT, 0, 0 },
	{ "handover_text", "rha", TEXT, 0, 0 },
	{ "handover",	   "rha", WORDS, 0, 0 },
	{ "hours",	   "rha", HOURS, 0, 0 },
	{ "when",	   "rha", WHEN, 0, 0 },
	{ "fallback",	   "r",	  TEXT, 0, 0 },
	{ "rules",	   "r",	  RULES, 0, 0 },
	{ "url",	   "h",	  URL, 0, 0 },
	{ "base_url",	   "a",	  URL, 0, 0 },
	{ "model",	   "a",	  LINE, 0, 0 },
	{ "system",	   "a",	  TEXT, 0, 0 },
	{ "history",	   "ha",  NUMBER, 0, 50 },
	{ "max_tokens",	   "a",	  NUMBER, 1, 100000 },
};
/* clang-format on */

static bool
words_good(struct json_object *v)
{
	size_t i, n;

	if (!json_object_is_type(v, json_type_array) ||
	    (n = json_object_array_length(v)) > WORDS_MAX)
		return false;
	for (i = 0; i < n; i++) {
		struct json_object *w = json_object_array_get_idx(v, i);

		if (!text_good(w, WORD_CHARS_MAX, true) ||
		    utf8_blank(json_object_get_string(w),
			(size_t)json_object_get_string_len(w)))
			return false;
	}
	return true;
}

static bool
hours_good(struct json_object *v)
{
	struct json_object *span, *days;
	size_t i, k;
	int64_t day;

	if (!json_object_is_type(v, json_type_array) ||
	    json_object_array_length(v) > HOURS_MAX)
		return false;
	for (i = 0; i < json_object_array_length(v); i++) {
		span = json_object_array_get_idx(v, i);
		if (!json_object_is_type(span, json_type_object) ||
		    clock_minutes(text_of(span, "from")) == -1 ||
		    clock_minutes(text_of(span, "to")) == -1 ||
		    json_get_arr(span, "days", &days) != 1 ||
		    json_object_array_length(days) == 0)
			return false;
		for (k = 0; k < json_object_array_length(days); k++) {
			struct json_object *d =
			    json_object_array_get_idx(days, k);

			day = json_object_get_int64(d);
			if (!json_object_is_type(d, json_type_int) || day < 1 ||
			    day > 7)
				return false;
		}
	}
	return true;
}

static bool
rule_good(struct json_object *o, const struct bot_limits *lim)
{
	bool keywords = false;

	if (!json_object_is_type(o, json_type_object))
		return false;
	json_object_object_foreach(o, key, v)
	{
		if (strcmp(key, "keywords") == 0)
			keywords =
			    words_good(v) && json_object_array_length(v) > 0;
		else if (strcmp(key, "reply") == 0) {
			if (!text_good(v, lim->text_chars, false))
				return false;
		} else if (strcmp(key, "quick_replies") == 0) {
			if (!quick_good(v))
				return false;
		} else if (strcmp(key, "handover") != 0 ||
			   !json_object_is_type(v, json_type_boolean))
			return false;
	}
	return keywords;
}

static bool
rules_good(struct json_object *v, const struct bot_limits *lim)
{
	size_t i;

	if (!json_object_is_type(v, json_type_array) ||
	    json_object_array_length(v) > RULES_MAX)
		return false;
	for (i = 0; i < json_object_array_length(v); i++)
		if (!rule_good(json_object_array_get_idx(v, i), lim))
			return false;
	return true;
}

static bool
url_good(struct json_object *v, const struct bot_limits *lim)
{
	const char *s = json_object_get_string(v);

	return text_good(v, lim->base_chars, true) &&
	       (strncmp(s, "https://", 8) == 0 ||
		   strncmp(s, "http://", 7) == 0) &&
	       strpbrk(s, " \t#\\") == NULL;
}

static bool
setting_good(const struct setting *s, struct json_object *v,
    const struct bot_limits *lim)
{
	const char *w;

	switch (s->what) {
	case TEXT:
		return text_good(v, lim->text_chars, false);
	case LINE:
		return text_good(v, lim->base_chars, true);
	case WORDS:
		return words_good(v);
	case HOURS:
		return hours_good(v);
	case RULES:
		return rules_good(v, lim);
	case WHEN:
		w = json_object_get_string(v);
		return w != NULL &&
		       (strcmp(w, "always") == 0 || strcmp(w, "open") == 0 ||
			   strcmp(w, "closed") == 0);
	case URL:
		return url_good(v, lim);
	case NUMBER:
		return json_object_is_type(v, json_type_int) &&
		       json_object_get_int64(v) >= s->min &&
		       json_object_get_int64(v) <= s->max;
	}
	return false;
}

static const struct setting *
setting_find(const char *kind, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (strcmp(settings[i].name, name) == 0 &&
		    strchr(settings[i].kinds, *kind) != NULL)
			return &settings[i];
	return NULL;
}

const char *
bot_config_bad(
    const char *kind, struct json_object *config, const struct bot_limits *lim)
{
	const struct setting *s;

	json_object_object_foreach(config, key, v)
	{
		if ((s = setting_find(kind, key)) == NULL ||
		    !setting_good(s, v, lim))
			return s != NULL ? s->name : "config";
	}
	if (strcmp(kind, "http") == 0 && text_of(config, "url") == NULL)
		return "url";
	if (strcmp(kind, "assistant") == 0) {
		if (text_of(config, "base_url") == NULL)
			return "base_url";
		if (text_of(config, "model") == NULL)
			return "model";
	}
	return NULL;
}

const char *
bot_secrets_bad(const char *kind, struct json_object *secrets)
{
	const char *name = strcmp(kind, "http") == 0        ? "secret"
			   : strcmp(kind, "assistant") == 0 ? "api_key"
							    : "";
	const char *s;

	json_object_object_foreach(secrets, key, v)
	{
		if (strcmp(key, name) != 0)
			return "secrets";
		s = json_object_get_string(v);
		if (!text_good(v, 1000, true) || *s == '\0')
			return name;
		/* It goes into a header. */
		for (; *s != '\0'; s++)
			if (*s <= ' ' || *s >= 127)
				return name;
	}
	return NULL;
}
