/*
 * p_words.c: from the API's JSON to what one reads: names, times, links,
 * states, in the reader's language.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "clock.h"
#include "id.h"
#include "json.h"
#include "p_words.h"
#include "utf8.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define HUES 8
#define JOIN_MS (3 * MINUTE_MS) /* messages that stand together */
#define PREVIEW_CHARS 120
#define TEXT_MAX 512 /* bytes of a short text made here */

static const char *
str(struct json_object *o, const char *key)
{
	const char *p = NULL;

	return json_get_str(o, key, &p, NULL) == 1 ? p : "";
}

static int64_t
num(struct json_object *o, const char *key)
{
	int64_t v = 0;

	return json_get_int(o, key, &v) == 1 ? v : 0;
}

/* The length of the character at ${p} that stands for a word; skips marks. */
static size_t
initial_of(const char **p, size_t len)
{
	size_t n;

	/* A Thai vowel written before its consonant is no initial. */
	while (len >= 3 && memcmp(*p, "\xe0\xb9", 2) == 0 &&
	       (unsigned char)(*p)[2] >= 0x80 &&
	       (unsigned char)(*p)[2] <= 0x84) {
		*p += 3;
		len -= 3;
	}
	n = utf8_len(*p, len);
	return n;
}

/* First letters of the first and the last word of ${name}. */
static void
initials_of(const char *name, char out[16])
{
	const char *first = name + strspn(name, " "), *last = first, *p;
	size_t n, at = 0;

	for (p = first; *p != '\0'; p++)
		if (p[0] == ' ' && p[1] != ' ' && p[1] != '\0' && p[1] != '(')
			last = p + 1;
	n = initial_of(&first, strlen(first));
	memcpy(out, first, n);
	at = n;
	if (last > first) {
		n = initial_of(&last, strlen(last));
		memcpy(out + at, last, n);
		at += n;
	}
	out[at] = '\0';
	for (p = out; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			out[p - out] = (char)(*p - 'a' + 'A');
}

void
words_person(const struct view *v, struct json_object *o, const char *id,
    const char *name, const char *fallback)
{
	char text[TEXT_MAX], initials[16];
	uint32_t hash = 2166136261u;

	for (const char *p = id; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	json_put_int(o, "hue", hash % HUES);
	if (name[strspn(name, " ")] == '\0') {
		snprintf(
		    text, sizeof(text), "%s %s", view_text(v, fallback), id);
		name = text;
	}
	initials_of(name, initials);
	json_put_str(o, "initials", initials);
	json_put_str(o, "display_name", name);
}

/* ${text} with {n} replaced. */
static void
text_n(const char *text, int64_t n, char out[TEXT_MAX])
{
	const char *brace = strstr(text, "{n}");

	if (brace == NULL)
		snprintf(out, TEXT_MAX, "%s", text);
	else
		snprintf(out, TEXT_MAX, "%.*s%" PRId64 "%s",
		    (int)(brace - text), text, n, brace + 3);
}

void
words_presence(const struct view *v, struct json_object *o)
{
	int64_t seen = num(o, "last_seen_at"), ago = v->rq->now_ms - seen;
	const char *status = str(o, "status");
	char key[64], out[TEXT_MAX];

	if (status[0] == '\0') {
		status = "offline";
		json_put_str(o, "status", status);
	}
	if (strcmp(status, "offline") != 0 || seen == 0) {
		snprintf(key, sizeof(key), "presence.%s", status);
		json_put_str(o, "presence", view_text(v, key));
	} else if (ago < 5 * MINUTE_MS) {
		json_put_str(o, "presence", view_text(v, "presence.just_now"));
	} else {
		if (ago < HOUR_MS)
			text_n(view_text(v, "presence.minutes"),
			    ago / MINUTE_MS, out);
		else if (ago < DAY_MS)
			text_n(
			    view_text(v, "presence.hours"), ago / HOUR_MS, out);
		else
			text_n(
			    view_text(v, "presence.days"), ago / DAY_MS, out);
		json_put_str(o, "presence", out);
	}
}

/* ${ms} on the clocks of the shop's zone. */
static void
local_tm(const struct view *v, int64_t ms, struct tm *tm)
{
	time_t t = (time_t)(ms / 1000 + v->rq->cf->zone_minutes * 60);

	if (gmtime_r(&t, tm) == NULL)
		*tm = (struct tm){ .tm_mday = 1, .tm_year = 70 };
}

/* Days between the two moments as that zone counts them. */
static int64_t
days_between(const struct view *v, int64_t from, int64_t to)
{
	int64_t zone = v->rq->cf->zone_minutes * MINUTE_MS;

	return (to + zone) / DAY_MS - (from + zone) / DAY_MS;
}

/* The word ${i} of the list time.${key}. */
static const char *
time_word(const struct view *v, const char *key, int i)
{
	struct json_object *texts, *list = NULL;

	texts = view_texts(v);
	if (json_get_obj(texts, "time", &texts) != 1 ||
	    json_get_arr(texts, key, &list) != 1 || i < 0)
		return "";
	return json_object_get_string(
	    json_object_array_get_idx(list, (size_t)i));
}

/* Write the day of ${tm} as time.${key} says it. */
static void
day_write(const struct view *v, const char *key, const struct tm *tm,
    char out[TEXT_MAX])
{
	const char *p = view_text(v, key), *end;
	struct buf b;

	buf_init(&b, TEXT_MAX - 1);
	for (; *p != '\0'; p = *end == '\0' ? end : end + 1) {
		size_t n = strcspn(p, "{");

		buf_append(&b, p, n);
		p += n;
		end = p + strcspn(p, "}");
		if (strncmp(p, "{weekday", 8) == 0)
			buf_puts(&b, time_word(v, "weekday", tm->tm_wday));
		else if (strncmp(p, "{month_name", 11) == 0)
			buf_puts(&b, time_word(v, "month", tm->tm_mon));
		else if (strncmp(p, "{month", 6) == 0)
			buf_printf(&b, "%d", tm->tm_mon + 1);
		else if (strncmp(p, "{day", 4) == 0)
			buf_printf(&b, "%d", tm->tm_mday);
		else if (strncmp(p, "{year", 5) == 0)
			buf_printf(&b, "%d", tm->tm_year + 1900);
	}
	snprintf(out, TEXT_MAX, "%s", b.data);
	buf_fini(&b);
}

void
words_when(const struct view *v, struct json_object *o, int64_t ms)
{
	int64_t days = days_between(v, ms, v->rq->now_ms);
	char out[TEXT_MAX];
	struct tm tm;

	if (ms == 0)
		return;
	clock_iso(ms, out);
	json_put_str(o, "iso", out);
	json_put_int(o, "ms", ms);
	local_tm(v, ms, &tm);
	if (days <= 0)
		snprintf(out, sizeof(out), "%02d:%02d", tm.tm_hour, tm.tm_min);
	else if (days == 1)
		snprintf(
		    out, sizeof(out), "%s", view_text(v, "time.yesterday"));
	else
		day_write(
		    v, days < 300 ? "time.short" : "time.day_year", &tm, out);
	json_put_str(o, "when", out);
}

void
words_moment(const struct view *v, struct json_object *o, const char *key)
{
	struct json_object *at;
	int64_t ms;

	if (json_get_int(o, key, &ms) != 1)
		return;
	at = json_object_new_object();
	words_when(v, at, ms);
	json_put(o, key, at);
}

void
words_until(const struct view *v, struct json_object *o, int64_t ms)
{
	char out[TEXT_MAX], day[TEXT_MAX] = "";
	struct tm tm;

	local_tm(v, ms, &tm);
	if (days_between(v, ms, v->rq->now_ms) != 0)
		day_write(v, "time.short", &tm, day);
	snprintf(out, sizeof(out), "%02d:%02d%s%.400s", tm.tm_hour, tm.tm_min,
	    *day != '\0' ? ", " : "", day);
	json_put_str(o, "time", out);
}

void
words_date(const struct view *v, struct json_object *o, const char *key,
    const char *iso_key, int64_t ms)
{
	char out[TEXT_MAX];
	struct tm tm;

	if (ms == 0)
		return;
	clock_iso(ms, out);
	json_put_str(o, iso_key, out);
	local_tm(v, ms, &tm);
	day_write(v, "time.day_year", &tm, out);
	json_put_str(o, key, out);
}

/* The day a message stands under. */
static void
put_day(const struct view *v, struct json_object *m, int64_t ms)
{
	int64_t days = days_between(v, ms, v->rq->now_ms);
	char out[TEXT_MAX];
	struct tm tm;

	local_tm(v, ms, &tm);
	snprintf(out, sizeof(out), "%04d-%02d-%02d", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday);
	json_put_str(m, "day_key", out);
	if (days <= 0)
		json_put_str(m, "day", view_text(v, "time.today"));
	else if (days == 1)
		json_put_str(m, "day", view_text(v, "time.yesterday"));
	else {
		day_write(
		    v, days < 300 ? "time.day" : "time.day_year", &tm, out);
		json_put_str(m, "day", out);
	}
}

void
words_tags(struct json_object *o)
{
	struct json_object *tags;
	struct buf b;

	if (json_get_arr(o, "tags", &tags) != 1)
		return;
	buf_init(&b, 65536);
	for (size_t i = 0; i < json_object_array_length(tags); i++) {
		buf_puts(&b, i > 0 ? ", " : "");
		buf_puts(&b,
		    json_object_get_string(json_object_array_get_idx(tags, i)));
	}
	json_put_strn(o, "tags_text", b.data, b.len);
	buf_fini(&b);
}

struct json_object *
words_taglist(const char *text)
{
	struct json_object *list = json_object_new_array();

	while (*text != '\0') {
		size_t n = strcspn(text, ","), from = strspn(text, " \t"),
		       to = n;

		while (
		    to > from && (text[to - 1] == ' ' || text[to - 1] == '\t'))
			to--;
		if (from < to)
			json_object_array_add(
			    list, json_object_new_string_len(
				      text + from, (int)(to - from)));
		text += n + (text[n] == ',');
	}
	return list;
}

bool
words_tags_good(const struct conf *cf, struct json_object *list)
{
	size_t n = json_object_array_length(list);

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (utf8_chars(json_object_get_string(o),
			(size_t)json_object_get_string_len(o)) >
		    (size_t)cf->name_chars_max)
			return false;
	}
	return n <= (size_t)cf->attributes_max;
}

/* What to call a message that has no text: its kind. */
static const char *
kind_text(const struct view *v, struct json_object *m)
{
	char key[64];

	snprintf(key, sizeof(key), "kind.%s", str(m, "kind"));
	return view_text(v, key);
}

static void
put_preview(const struct view *v, struct json_object *o, struct json_object *m)
{
	const char *text = str(m, "content");
	struct json_object *sender = NULL;
	struct buf b;

	buf_init(&b, (size_t)TEXT_MAX * 2);
	if (num(m, "deleted_at") != 0)
		text = view_text(v, "conversation.deleted");
	else if (text[0] == '\0')
		text = kind_text(v, m);
	buf_append(&b, text, utf8_cut(text, strlen(text), PREVIEW_CHARS));
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == '\n')
			b.data[i] = ' ';
	json_put_strn(o, "preview", b.data, b.len);
	buf_fini(&b);
	(void)json_get_obj(m, "sender", &sender);
	if (strcmp(str(m, "type"), "note") == 0)
		json_put_str(
		    o, "preview_mark", view_text(v, "inbox.note_mark"));
	else if (strcmp(str(sender, "kind"), "bot") == 0)
		json_put_str(o, "preview_mark", view_text(v, "inbox.bot_mark"));
	else if (strcmp(str(sender, "kind"), "agent") == 0 &&
		 id_parse(str(sender, "id"), strlen(str(sender, "id"))) ==
		     v->rq->who.id)
		json_put_str(o, "preview_mark", view_text(v, "inbox.you"));
}

/* The other person of a direct conversation, or "". */
static const char *
other_name(const struct view *v, struct json_object *o)
{
	struct json_object *list;

	if (json_get_arr(o, "participants", &list) != 1)
		return "";
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *p = json_object_array_get_idx(list, i);
		const char *id = str(p, "id");

		if (id_parse(id, strlen(id)) != v->rq->who.id)
			return str(p, "name");
	}
	return "";
}

void
words_row(const struct view *v, struct json_object *o)
{
	struct json_object *customer = NULL, *last = NULL;
	const char *id = str(o, "id"), *name = str(o, "subject");

	if (json_get_obj(o, "customer", &customer) == 1) {
		id = str(customer, "id");
		name = str(customer, "name");
	} else if (strcmp(str(o, "type"), "direct") == 0)
		name = other_name(v, o);
	words_person(v, o, id, name, "inbox.anonymous");
	json_put_str(o, "name", str(o, "display_name"));
	json_put_bool(o, "is_open", strcmp(str(o, "status"), "open") == 0);
	json_put_bool(o, "is_closed", strcmp(str(o, "status"), "closed") == 0);
	json_put_bool(o, "is_web", strcmp(str(o, "platform"), "web") == 0);
	words_when(v, o, num(o, "last_message_at"));
	if (json_get_obj(o, "last_message", &last) == 1)
		put_preview(v, o, last);
	else
		json_put_str(o, "preview", view_text(v, "inbox.no_message"));
}

/* Whether the ${len} bytes at ${p} begin an address that may be a link. */
static size_t
scheme_len(const char *p, size_t len)
{
	static const char *const schemes[] = { "https://", "http://",
		"mailto:", "tel:" };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i]);

		if (len > n && strncasecmp(p, schemes[i], n) == 0)
			return n;
	}
	return 0;
}

/* Bytes of the address at ${p}, without the sentence's own punctuation. */
static size_t
address_len(const char *p, size_t len)
{
	size_t n = 0, open = 0, close = 0;

	while (n < len && (unsigned char)p[n] > 0x20 && p[n] != '<' &&
	       p[n] != '>' && p[n] != '"' && p[n] != 0x7f) {
		open += p[n] == '(';
		close += p[n] == ')';
		n++;
	}
	while (n > 0 && (strchr(".,;:!?'*", p[n - 1]) != NULL ||
			    (p[n - 1] == ')' && close > open))) {
		close -= p[n - 1] == ')';
		n--;
	}
	return n;
}

static void
run_add(struct json_object *list, const char *p, size_t len, bool link)
{
	struct json_object *o;

	if (len == 0)
		return;
	o = json_object_new_object();
	json_put_strn(o, "text", p, len);
	if (link)
		json_put_strn(o, "link", p, len);
	else
		json_put_str(o, "link", NULL);
	json_object_array_add(list, o);
}

static bool
word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

struct json_object *
words_runs(const char *text, size_t len)
{
	struct json_object *list = json_object_new_array();
	size_t from = 0, i = 0;

	while (i < len) {
		size_t scheme = 0, n;

		if (i == 0 || !word_byte(text[i - 1]))
			scheme = scheme_len(text + i, len - i);
		n = scheme > 0 ? address_len(text + i, len - i) : 0;
		if (n <= scheme) {
			i++;
			continue;
		}
		run_add(list, text + from, i - from, false);
		run_add(list, text + i, n, true);
		i += n;
		from = i;
	}
	run_add(list, text + from, len - from, false);
	return list;
}

/* Where it leads, and what of ours is shown in its place: see message.html. */
static void
put_shown(
    const struct view *v, struct json_object *a, bool ours, const char *url)
{
	static const char *const groups[] = { "image", "audio", "video" };
	const char *mime = str(a, "mime");
	struct buf link;

	buf_init(&link, 8192);
	if (url != NULL)
		buf_printf(&link, "%s%s", ours ? v->rq->base_path : "", url);
	json_put_str(a, "link", url != NULL ? link.data : NULL);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		size_t n = strlen(groups[i]);
		bool is =
		    ours && strncmp(mime, groups[i], n) == 0 && mime[n] == '/';

		json_put_str(a, groups[i], is ? link.data : NULL);
		if (is)
			json_put_bool(a, "shown", true);
	}
	buf_fini(&link);
}

static void
put_attachments(const struct view *v, struct json_object *m)
{
	struct json_object *list;

	if (json_get_arr(m, "attachments", &list) != 1)
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *a = json_object_array_get_idx(list, i);
		const char *url = str(a, "url"), *name = str(a, "name");
		bool ours = url[0] == '/' && url[1] != '/' && url[1] != '\\';
		bool http = strncasecmp(url, "http://", 7) == 0 ||
			    strncasecmp(url, "https://", 8) == 0;

		/* A file that is on its way may not come. */
		if (strcmp(str(a, "state"), "failed") == 0)
			json_put_str(a, "lost", view_text(v, "file.lost"));
		json_put_str(
		    a, "label", name[0] != '\0' ? name : kind_text(v, m));
		put_shown(v, a, ours, ours || http ? url : NULL);
	}
}

/* Why it did not get there: our word for it, then the platform's own. */
static void
put_why(const struct view *v, struct json_object *m)
{
	const char *error = str(m, "error"), *words;
	size_t n = strcspn(error, ":");
	char key[64];
	struct buf b;

	snprintf(
	    key, sizeof(key), "delivery_why.%.*s", n < 40 ? (int)n : 0, error);
	words = view_text(v, key);
	buf_init(&b, 4096);
	buf_puts(&b, words);
	buf_puts(&b, *words != '\0' ? error + n : error);
	json_put_str(m, "why", b.len > 0 && !b.err ? b.data : NULL);
	buf_fini(&b);
}

/* How far a message of the reader's own side got. */
static void
put_state(
    const struct view *v, struct json_object *m, const struct words_eyes *eyes)
{
	const char *status = str(m, "status"), *id = str(m, "id");
	bool failed = strcmp(status, "failed") == 0;
	char key[64];

	if (!failed && id_parse(id, strlen(id)) <= eyes->read_upto)
		status = "read";
	else if (status[0] == '\0')
		status = "sent";
	if (eyes->customer && (failed || strcmp(status, "read") != 0))
		status = "sent"; /* it is with us; the rest is not theirs */
	else if (failed)
		put_why(v, m);
	snprintf(key, sizeof(key), "delivery.%s", status);
	json_put_str(m, "state", view_text(v, key));
	json_put_bool(m, "failed", strcmp(status, "failed") == 0);
	json_put_str(m, "status", status); /* frees what it may point to */
}

static const char *
side_of(struct json_object *sender, const struct words_eyes *eyes)
{
	const char *kind = str(sender, "kind"), *id = str(sender, "id");
	bool own = id_parse(id, strlen(id)) == eyes->id;

	if (strcmp(kind, "system") == 0)
		return "mid";
	if (eyes->customer)
		return strcmp(kind, "customer") == 0 ? "us" : "them";
	if (eyes->among_users)
		return strcmp(kind, "agent") == 0 && own ? "us" : "them";
	return strcmp(kind, "customer") == 0 ? "them" : "us";
}

static void
put_sender(const struct view *v, struct json_object *m,
    struct json_object *sender, const struct words_eyes *eyes)
{
	const char *kind = str(sender, "kind"), *name = str(sender, "name");
	const char *id = str(sender, "id");

	if (strcmp(kind, "agent") == 0 && !eyes->customer &&
	    id_parse(id, strlen(id)) == eyes->id)
		name = view_text(v, "app.you");
	else if (name[0] == '\0')
		name = view_text(
		    v, strcmp(kind, "bot") == 0        ? "conversation.bot"
		       : strcmp(kind, "system") == 0   ? "conversation.system"
		       : strcmp(kind, "customer") == 0 ? "inbox.anonymous"
						       : "chat.team");
	json_put_str(m, "sender_name", name);
	/* A bot may be called like a person. */
	json_put_bool(
	    m, "bot", strcmp(kind, "bot") == 0 && *str(sender, "name") != '\0');
}

/* Whether the side alone says who wrote it. */
static bool
name_known(
    struct json_object *sender, const char *side, const struct words_eyes *eyes)
{
	const char *id = str(sender, "id");

	if (strcmp(str(sender, "kind"), "customer") == 0)
		return true;
	return !eyes->customer && strcmp(side, "us") == 0 &&
	       id_parse(id, strlen(id)) == eyes->id;
}

/* Make one message ready; ${last} is the one above it, or NULL. */
static void
put_message(const struct view *v, struct json_object *m,
    struct json_object *last, const struct words_eyes *eyes)
{
	int64_t at = num(m, "created_at"), above = num(last, "created_at");
	bool note = strcmp(str(m, "type"), "note") == 0, new_day, joined;
	const char *side, *text = str(m, "content"), *key;
	struct json_object *sender = NULL, *above_sender = NULL, *files;
	char out[CLOCK_ISO_SIZE];
	struct tm tm;

	(void)json_get_obj(m, "sender", &sender);
	(void)json_get_obj(last, "sender", &above_sender);
	new_day = last == NULL || days_between(v, above, at) != 0;
	json_put_str(m, "day", NULL);
	if (new_day)
		put_day(v, m, at);
	side = side_of(sender, eyes);
	key = str(last, "type");
	joined = !new_day && at - above < JOIN_MS &&
		 note == (strcmp(key, "note") == 0) &&
		 strcmp(str(sender, "kind"), str(above_sender, "kind")) == 0 &&
		 strcmp(str(sender, "id"), str(above_sender, "id")) == 0;
	json_put_str(m, "side", side);
	json_put_bool(m, "note", note);
	json_put_bool(m, "joined", joined);
	put_sender(v, m, sender, eyes);
	json_put_bool(m, "hide_name",
	    joined || (!note && name_known(sender, side, eyes)));
	json_put_bool(m, "deleted", num(m, "deleted_at") != 0);
	json_put_bool(
	    m, "edited", num(m, "edited_at") != 0 && num(m, "deleted_at") == 0);
	put_attachments(v, m);
	if (text[0] == '\0' && (json_get_arr(m, "attachments", &files) != 1 ||
				   json_object_array_length(files) == 0))
		text = kind_text(v, m);
	json_put(m, "runs", words_runs(text, strlen(text)));
	json_put_str(m, "state", NULL);
	json_put_bool(m, "failed", false);
	if (strcmp(side, "us") == 0 && !note && num(m, "deleted_at") == 0)
		put_state(v, m, eyes);
	clock_iso(at, out);
	json_put_str(m, "iso", out);
	local_tm(v, at, &tm);
	snprintf(out, sizeof(out), "%02d:%02d", tm.tm_hour, tm.tm_min);
	json_put_str(m, "clock", out);
}

struct json_object *
words_messages(const struct view *v, struct json_object *items,
    const struct words_eyes *eyes)
{
	struct json_object *list = json_object_new_array(), *last = NULL;

	for (size_t i = json_object_array_length(items); i > 0; i--) {
		struct json_object *m = json_object_array_get_idx(items, i - 1);

		put_message(v, m, last, eyes);
		json_object_array_add(list, json_object_get(m));
		last = m;
	}
	return list;
}

/* An object whose ${keys} are all there and empty. */
static struct json_object *
blank(const char *const *keys, size_t n)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < n; i++)
		json_put_str(o, keys[i], NULL);
	return o;
}

struct json_object *
words_blank_message(void)
{
	static const char *const keys[] = { "day", "id", "client_id", "status",
		"created_at", "sender", "sender_name", "bot", "note", "failed",
		"joined", "deleted", "runs", "attachments", "iso", "clock",
		"edited", "state", "why", "hide_name", "side" };

	return blank(keys, sizeof(keys) / sizeof(keys[0]));
}
