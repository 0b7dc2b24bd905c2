#ifndef PARLEY_WORDS_H
#define PARLEY_WORDS_H

/*
 * What vocabularies have in common: the members of a client's message.
 */

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "live.h"

/*
 * The live dialect, {type, payload, timestamp}, and the chat dialect, which is
 * flat: its events and answers carry the client's cursor as `cursor`.
 */
extern const struct live_words words_live, words_chat;

/*
 * words_member(o, key, out, size):
 * A text, or a number as its text.  1, 0 absent or empty, -1 not usable.
 */
int words_member(
    struct json_object *o, const char *key, char *out, size_t size);

/* words_first(o, keys, out, size): the first that is there; ends with NULL. */
int words_first(
    struct json_object *o, const char *const *keys, char *out, size_t size);

/* words_about(o, tag, a): which conversation and message ${o} names. */
void words_about(struct json_object *o, int64_t tag, struct about *a);

/* words_cursor(o): its cursor, PUSH_NOW if it has none, or PUSH_BAD. */
int64_t words_cursor(struct json_object *o);

/*
 * words_parse(v, p, len):
 * Returns the message as a new object within the limits of the settings; NULL
 * with an error said.
 */
struct json_object *words_parse(struct live *v, const char *p, size_t len);

/*
 * words_message(m, message, event_id):
 * Returns a new object: what the sender is told of its stored message.
 */
struct json_object *words_message(
    const struct outbox_item *m, struct json_object *message, int64_t event_id);

#endif
