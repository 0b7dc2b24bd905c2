#ifndef PARLEY_P_WORDS_H
#define PARLEY_P_WORDS_H

/* Things of the API made ready for reading: names, times, messages. */

#include "p_view.h"

/*
 * words_person(v, o, id, name, fallback):
 * Add initials and hue to ${o}, and ${name}, or ${fallback} and the id if it
 * is empty, as `display_name`.
 */
void words_person(const struct view *v, struct json_object *o, const char *id,
    const char *name, const char *fallback);

/* words_presence(v, o): add `presence`, as text, from status and last_seen_at.
 */
void words_presence(const struct view *v, struct json_object *o);

/* words_when(v, o, ms): add `iso`, `ms`, `when` (short), to ${o}. */
void words_when(const struct view *v, struct json_object *o, int64_t ms);

/* words_moment(v, o, key): the moment ${key} of ${o} as {iso, ms, when}. */
void words_moment(const struct view *v, struct json_object *o, const char *key);

/*
 * words_until(v, o, ms):
 * Add `time`, a moment to come: its clock, and its day if that is not today.
 */
void words_until(const struct view *v, struct json_object *o, int64_t ms);

/* words_date(v, o, key, iso_key, ms): add a day as text and the moment. */
void words_date(const struct view *v, struct json_object *o, const char *key,
    const char *iso_key, int64_t ms);

/* words_tags(o): add `tags_text`, the tags of ${o} with commas between. */
void words_tags(struct json_object *o);

/* words_taglist(text): returns new the array of names in "a, b". */
struct json_object *words_taglist(const char *text);

/* words_tags_good(cf, list): whether they are within the limits. */
bool words_tags_good(const struct conf *cf, struct json_object *list);

/*
 * words_row(v, o):
 * Make a conversation of the API ready for a list: name, initials, preview,
 * time.
 */
void words_row(const struct view *v, struct json_object *o);

/* Whose eyes a conversation is shown to. */
struct words_eyes {
	bool customer;     /* else an agent */
	bool among_users;  /* a direct or group conversation */
	int64_t id;        /* of the reader */
	int64_t read_upto; /* the others have read until this message */
};

/*
 * words_messages(v, items, eyes):
 * Returns new the messages ${items} of the API, newest first, as the template
 * wants them, oldest first: sides, days, links, states.
 */
struct json_object *words_messages(const struct view *v,
    struct json_object *items, const struct words_eyes *eyes);

/* words_blank_message(): returns new what scripts copy. */
struct json_object *words_blank_message(void);

/* words_runs(text, len): returns new [{text, link?}]: what may be a link. */
struct json_object *words_runs(const char *text, size_t len);

#endif
