/*
 * What the pages of platform accounts show: an account, its settings as fields
 * of a form, what to enter at the platform, and how it is.
 */
#define _GNU_SOURCE /* strptime, timegm */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "figures.h"
#include "h_channel.h"
#include "json.h"
#include "p_channel_put.h"
#include "p_words.h"

#define ADDRESS_MAX 4096 /* bytes of one of ours */
#define DAY_SIZE 16
#define DAY_S 86400
#define N(list) (sizeof(list) / sizeof((list)[0]))

/* Where one sets up the other side. */
static const struct console {
	const char *platform, *url;
} consoles[] = {
	{ "facebook", "https://developers.facebook.com/apps" },
	{ "instagram", "https://developers.facebook.com/apps" },
	{ "whatsapp", "https://developers.facebook.com/apps" },
	{ "zalo", "https://developers.zalo.me/apps" },
	{ "tiktok", "https://business-api.tiktok.com/portal/apps" },
	{ "line", "https://developers.line.biz/console" },
	{ "telegram", "https://t.me/BotFather" },
};

static const struct {
	const char *end;
	enum channel_form form;
} forms[] = {
	{ "_human_agent", FORM_TICK },
	{ "_allow_paid", FORM_TICK },
	{ "_use_reply", FORM_TICK },
	{ "_text_max", FORM_NUMBER },
	{ "_tolerance_s", FORM_NUMBER },
	{ "_error_class", FORM_MORE },
	{ "_expires_at", FORM_KEPT },
};

enum channel_form
channel_form_of(const struct channel *ch, const struct channel_key *k)
{
	size_t n = strlen(k->name), m;

	for (size_t i = 0; i < N(forms); i++)
		if ((m = strlen(forms[i].end)) < n &&
		    strcmp(k->name + n - m, forms[i].end) == 0)
			return forms[i].form == FORM_KEPT && ch->refresh == NULL
				   ? FORM_DATE
				   : forms[i].form;
	return k->value != NULL && *k->value != '\0' ? FORM_MORE : FORM_TEXT;
}

/* The text ${group}.${key}, or NULL; that of a setting by its name alone. */
static struct json_object *
text_of(const struct view *v, const char *group, const char *key)
{
	struct json_object *texts = view_texts(v), *g, *t = NULL;

	if (texts == NULL || json_get_obj(texts, group, &g) != 1 ||
	    !json_object_object_get_ex(g, key, &t))
		return NULL;
	return t;
}

static const char *
key_text(const struct view *v, const char *group, const struct channel *ch,
    const struct channel_key *k)
{
	struct json_object *t = text_of(v, group, k->name);

	if (t == NULL)
		t = text_of(v, group, k->name + strlen(ch->prefix) + 1);
	return t != NULL ? json_object_get_string(t) : NULL;
}

/* --- what is shown ------------------------------------------------------- */

/* A day in a date's field, from ms in digits; "" for none. */
static void
day_text(const char *ms, char out[DAY_SIZE])
{
	time_t at = (time_t)(strtoll(ms, NULL, 10) / 1000);
	struct tm tm;

	out[0] = '\0';
	if (at > 0 && gmtime_r(&at, &tm) != NULL)
		(void)strftime(out, DAY_SIZE, "%Y-%m-%d", &tm);
}

int
channel_day_read(const char *day, char ms[24])
{
	struct tm tm = { 0 };
	const char *end = strptime(day, "%Y-%m-%d", &tm);

	if (end == NULL || *end != '\0' || tm.tm_year < 70)
		return -1;
	snprintf(ms, 24, "%" PRId64, ((int64_t)timegm(&tm) + DAY_S - 1) * 1000);
	return 0;
}

/* The field of one setting; ${row}: of the account, or NULL. */
static struct json_object *
field_json(const struct view *v, const struct channel *ch,
    const struct channel_key *k, const struct channel_row *row,
    const struct channel_fault *fault)
{
	struct json_object *o = json_object_new_object(), *stored = NULL;
	const char *label = key_text(v, "channel_key", ch, k);
	bool back = fault != NULL;
	const char *typed = back ? req_form(v->rq, k->name, NULL) : NULL;
	bool secret = (k->flags & CHANNEL_SECRET) != 0;
	bool made = (k->flags & CHANNEL_MADE) != 0;
	bool needed = (k->flags & CHANNEL_REQUIRED) != 0;
	enum channel_form form = channel_form_of(ch, k);
	const char *value = NULL;
	char day[DAY_SIZE];

	if (row != NULL &&
	    json_object_object_get_ex(row->all, k->name, &stored))
		value = json_object_get_string(stored);
	json_put_str(o, "name", k->name);
	json_put_str(o, "label", label != NULL ? label : k->help);
	json_put_str(o, "help", key_text(v, "channel_help", ch, k));
	/* Null where it has none: the form's own are not this field's. */
	fault = fault != NULL && fault->key == k ? fault : NULL;
	json_put_str(o, "fault", fault != NULL ? fault->text : NULL);
	if (form == FORM_TICK) {
		json_put_bool(o, "tick", true);
		json_put_bool(o, "checked",
		    back ? typed != NULL
			 : value != NULL && strcmp(value, "1") == 0);
		return o;
	}
	json_put_bool(o, "entry", true);
	json_put_str(o, "type", secret ? "password" : "text");
	if (secret) {
		/* What is secret never goes back, not even into its form. */
		json_put_bool(o, "secret", true);
		json_put_bool(o, "set", value != NULL);
		json_put_bool(o, "again", typed != NULL && *typed != '\0');
		json_put_bool(o, "make", made && value != NULL);
		json_put_bool(o, "clear", !needed && value != NULL);
		json_put_bool(o, "made", made && value == NULL);
	} else if (form == FORM_DATE) {
		day_text(value != NULL ? value : "", day);
		json_put_str(o, "type", "date");
		json_put_str(o, "value", typed != NULL ? typed : day);
	} else {
		json_put_str(o, "value", typed != NULL ? typed : value);
		json_put_str(o, "usual", k->value);
		json_put_bool(o, "number", form == FORM_NUMBER);
	}
	json_put_bool(o, "fixed",
	    row != NULL && ch->account_key != NULL &&
		strcmp(ch->account_key, k->name) == 0);
	json_put_bool(o, "required", needed && !made && value == NULL);
	/* A token without which one can read, not answer, says so. */
	json_put_bool(o, "optional", !needed && !secret);
	return o;
}

void
channel_put_fields(const struct view *v, struct json_object *o,
    const struct channel *ch, const struct channel_row *row,
    const struct channel_fault *fault)
{
	struct json_object *fields = json_object_new_array(),
			   *more = json_object_new_array(), *field;

	for (size_t i = 0; i < ch->nkeys; i++) {
		const struct channel_key *k = &ch->keys[i];
		enum channel_form form = channel_form_of(ch, k);

		if (form == FORM_KEPT)
			continue;
		field = field_json(v, ch, k, row, fault);
		json_object_array_add(
		    form == FORM_NUMBER || form == FORM_MORE ? more : fields,
		    field);
		if ((form == FORM_NUMBER || form == FORM_MORE) &&
		    fault != NULL && fault->key == k)
			json_put_bool(o, "more_open", true);
	}
	json_put(o, "fields", fields);
	json_put_bool(o, "any_more", json_object_array_length(more) > 0);
	json_put(o, "more", more);
}

void
channel_put_guide(
    const struct view *v, struct json_object *o, const struct channel *ch)
{
	struct json_object *steps = text_of(v, "channel_get", ch->platform);
	struct json_object *note = text_of(v, "channel_note", ch->platform);

	for (size_t i = 0; i < N(consoles); i++)
		if (strcmp(consoles[i].platform, ch->platform) == 0)
			json_put_str(o, "console", consoles[i].url);
	json_put(o, "steps", json_object_get(steps));
	json_put(o, "note", json_object_get(note));
}

struct json_object *
channel_row_json(const struct channel_row *row)
{
	struct json_object *o = json_object_new_object();

	json_put_id(o, "id", row->id);
	json_put_str(o, "platform", row->platform);
	json_put_str(o, "name", row->name);
	json_put_str(o, "account", row->account);
	json_put_str(o, "state", row->state);
	json_put_bool(o, "off", strcmp(row->state, "off") == 0);
	json_put_bool(o, "reauth", strcmp(row->state, "reauth") == 0);
	json_put_str(o, "state_text", row->state_text);
	return o;
}

/* The key of the texts for what a line of `paste` calls ${label}. */
static void
paste_slug(const char *label, size_t len, char *out, size_t size)
{
	size_t i;

	for (i = 0; i < len && i + 1 < size; i++)
		out[i] = label[i] == ' ' ? '_'
			 : label[i] >= 'A' && label[i] <= 'Z'
			     ? (char)(label[i] - 'A' + 'a')
			     : label[i];
	out[i] = '\0';
}

/* Text that goes on from the line before. */
static void
paste_more(struct json_object *rows, const char *p, size_t len)
{
	size_t n = json_object_array_length(rows);
	struct json_object *o = json_object_array_get_idx(rows, n - 1);
	const char *before = "";
	bool words = false;
	struct buf b;

	(void)json_get_bool(o, "words", &words);
	if (words)
		return;
	(void)json_get_str(o, "value", &before, NULL);
	buf_init(&b, ADDRESS_MAX);
	buf_printf(&b, "%s %.*s", before, (int)len, p);
	json_put_str(o, "value", b.data);
	buf_fini(&b);
}

/*
 * The value of a line: as it is, or what {webhook} or {SETTING} stands for.
 * ${made}: what was made up just now; a secret of before is not shown.
 */
static void
put_value(const struct view *v, struct json_object *o,
    const struct channel_row *row, struct json_object *made, const char *p,
    size_t len)
{
	bool named = len > 2 && *p == '{' && p[len - 1] == '}', known = true;
	struct json_object *value = NULL;
	char name[64];
	struct buf b;

	buf_init(&b, ADDRESS_MAX);
	snprintf(name, sizeof(name), "%.*s", named ? (int)len - 2 : 0, p + 1);
	if (!named)
		json_put_strn(o, "value", p, len);
	else if (strcmp(name, "webhook") == 0) {
		channel_put_webhook(v->rq, row->platform, row->id, &b);
		json_put_str(o, "value", b.data);
	} else if ((known = json_object_object_get_ex(made, name, &value)))
		json_put(o, "value", json_object_get(value));
	json_put_bool(o, "fresh", value != NULL);
	json_put_bool(o, "hidden", !known);
	buf_fini(&b);
}

/* One line of `paste`: "label  value", or what goes on from the one before. */
static void
put_line(const struct view *v, const struct channel_row *row,
    struct json_object *made, const char *p, size_t len,
    struct json_object *rows)
{
	struct json_object *o, *said;
	size_t label = 0, at;
	char slug[64], key[96];

	while (label + 1 < len && strncmp(p + label, "  ", 2) != 0)
		label++;
	if (label + 1 >= len)
		label = 0;
	for (at = label; at < len && p[at] == ' ';)
		at++;
	if (label == 0 && at > 0 && json_object_array_length(rows) > 0) {
		paste_more(rows, p + at, len - at);
		return;
	}
	o = json_object_new_object();
	paste_slug(p, label, slug, sizeof(slug));
	if ((said = text_of(v, "channel_row", slug)) != NULL)
		json_put(o, "label", json_object_get(said));
	else
		json_put_strn(o, "label", p, label);
	put_value(v, o, row, made, p + at, len - at);
	snprintf(key, sizeof(key), "%.16s_%.64s", row->platform, slug);
	if ((said = text_of(v, "channel_value", key)) != NULL)
		json_put(o, "value", json_object_get(said));
	json_put_bool(o, "words", said != NULL);
	json_object_array_add(rows, o);
}

void
channel_put_paste(const struct view *v, struct json_object *o,
    const struct channel *ch, const struct channel_row *row,
    struct json_object *made)
{
	struct json_object *rows = json_object_new_array();
	const char *p = ch->paste;
	size_t len;

	for (; p != NULL && *p != '\0'; p += len + (p[len] == '\n')) {
		len = strcspn(p, "\n");
		if (strncmp(p, "  ", 2) == 0)
			put_line(v, row, made, p + 2, len - 2, rows);
	}
	json_put(o, "paste", rows);
}

/* --- how it is ----------------------------------------------------------- */

/* Add ${key}, the moment ${at}: {iso, ms, when, time}, and its ${words}. */
static void
put_moment(const struct view *v, struct json_object *o, const char *key,
    int64_t at, const char *words)
{
	struct json_object *m;

	if (at == 0)
		return;
	m = json_object_new_object();
	words_when(v, m, at);
	words_until(v, m, at);
	json_put_str(m, "words", words);
	json_put(o, key, m);
}

/* The moment in ${from}'s member ${key}, with the text in its ${words}. */
static void
put_event(const struct view *v, struct json_object *o, struct json_object *from,
    const char *key, const char *words)
{
	struct json_object *event;
	const char *text = NULL;
	int64_t at = 0;

	if (json_get_obj(from, key, &event) != 1)
		return;
	(void)json_get_int(event, "at", &at);
	(void)json_get_str(event, words, &text, NULL);
	put_moment(v, o, key, at, text);
}

static void
put_number(const struct view *v, struct json_object *o,
    struct json_object *from, const char *key)
{
	char text[FIGURES_SIZE];
	int64_t n = 0;

	(void)json_get_int(from, key, &n);
	figures_count(v->locale, (double)n, text);
	json_put_str(o, key, text);
}

/* The result of a test, or that one is under way. */
static void
put_test(struct view *v, struct json_object *o, struct json_object *health,
    int64_t id)
{
	struct json_object *test;
	const char *state = "";
	bool good = false;
	char path[64];

	if (json_get_obj(health, "test", &test) != 1)
		return;
	(void)json_get_str(test, "state", &state, NULL);
	if (strcmp(state, "done") != 0) {
		json_put_bool(o, "testing", true);
		snprintf(path, sizeof(path), "/settings/channels/%" PRId64, id);
		view_refresh(v, path, "", v->rq->now_ms);
		return;
	}
	put_event(v, o, health, "test", "text");
	(void)json_get_bool(test, "ok", &good);
	json_put_bool(o, good ? "test_good" : "test_bad", true);
	(void)json_get_str(test, "code", &state, NULL);
	json_put_str(o, "test_code", state);
}

struct json_object *
channel_health_json(struct view *v, struct json_object *health, int64_t id)
{
	static const char *const moments[] = { "last_inbound_at",
		"last_sent_at", "hold_until", "token_expires_at",
		"renewal_expires_at" };
	struct json_object *o = json_object_new_object(), *problems = NULL,
			   *list, *one;
	int64_t at;
	bool renewable = false;

	for (size_t i = 0; i < N(moments); i++) {
		at = 0;
		(void)json_get_int(health, moments[i], &at);
		put_moment(v, o, moments[i], at, NULL);
	}
	(void)json_get_bool(health, "token_renewable", &renewable);
	json_put_bool(o, "renewable", renewable);
	put_event(v, o, health, "last_error", "text");
	put_event(v, o, health, "refused", "why");
	put_number(v, o, health, "waiting");
	put_number(v, o, health, "unconfirmed");
	put_test(v, o, health, id);
	(void)json_get_arr(health, "problems", &problems);
	list = json_object_new_array();
	for (size_t i = 0;
	     problems != NULL && i < json_object_array_length(problems); i++) {
		one = json_object_new_object();
		json_put(one, "key",
		    json_object_get(json_object_array_get_idx(problems, i)));
		json_object_array_add(list, one);
	}
	json_put(o, "problems", list);
	json_put_bool(o, "well", json_object_array_length(list) == 0);
	return o;
}
