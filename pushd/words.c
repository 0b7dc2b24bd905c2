/*
 * words.c: what vocabularies have in common.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "limits.h"
#include "words.h"

int
words_member(struct json_object *o, const char *key, char *out, size_t size)
{
	const char *p;
	int64_t n;
	size_t len;
	int rc;

	rc = json_get_str(o, key, &p, &len);
	if (rc == 0)
		return 0;
	if (rc == 1) {
		if (len == 0)
			return 0;
		if (len >= size || memchr(p, '\0', len) != NULL)
			return -1;
		memcpy(out, p, len);
		out[len] = '\0';
		return 1;
	}
	if (json_get_int(o, key, &n) != 1)
		return -1;
	snprintf(out, size, "%lld", (long long)n);
	return 1;
}

int
words_first(
    struct json_object *o, const char *const *keys, char *out, size_t size)
{
	int rc = 0;

	for (out[0] = '\0'; *keys != NULL && rc == 0; keys++)
		rc = words_member(o, *keys, out, size);
	return rc;
}

void
words_about(struct json_object *o, int64_t tag, struct about *a)
{
	static const char *const names[] = { "line_user_id", "conversationId",
		"conversation_id", "groupId", NULL };
	static const char *const ids[] = { "id", "client_id", "clientId",
		NULL };
	char text[OUTBOX_ID_MAX];

	a->tag = tag;
	a->has_name = words_first(o, names, a->name, sizeof(a->name));
	a->by_line = words_member(o, names[0], text, sizeof(text)) == 1;
	a->has_client_id =
	    words_first(o, ids, a->client_id, sizeof(a->client_id));
}

int64_t
words_cursor(struct json_object *o)
{
	/* What a Socket.IO client keeps itself is newer than where it began. */
	static const char *const keys[] = { "offset", "cursor", "last_event_id",
		"lastEventId", NULL };
	char text[CURSOR_BYTES_MAX + 1];
	int rc = words_first(o, keys, text, sizeof(text));

	if (rc == 0)
		return PUSH_NOW;
	return rc == -1 ? PUSH_BAD : push_cursor(text, strlen(text));
}

struct json_object *
words_parse(struct live *v, const char *p, size_t len)
{
	const struct conf *cf = &live_push(v)->cf;
	const char *why = "too_large", *message = "The message is too large";
	struct json_object *root = NULL;

	if ((int64_t)len <= cf->json_bytes_max) {
		why = "bad_json";
		message = "A message is a JSON object";
		if (json_parse(p, len, (size_t)cf->json_depth_max,
			(size_t)cf->json_members_max,
			(size_t)cf->json_string_bytes_max, &root, &why) == 0 &&
		    json_object_is_type(root, json_type_object))
			return root;
		json_object_put(root);
	}
	v->host->words->error(v, NULL, why, message, 0);
	return NULL;
}

struct json_object *
words_message(
    const struct outbox_item *m, struct json_object *message, int64_t event_id)
{
	struct json_object *o = json_object_new_object(), *status;
	char text[OUTBOX_ID_MAX], iso[CLOCK_ISO_SIZE];
	int64_t at = clock_now_ms();
	const char *content;
	size_t len;

	if (words_member(message, "id", text, sizeof(text)) == 1)
		json_put_str(o, "id", text);
	json_put_str(
	    o, "clientId", m->about.has_client_id ? m->client_id : NULL);
	if (m->conversation[0] != '\0' ||
	    words_member(message, "conversation_id", text, sizeof(text)) != 1)
		snprintf(text, sizeof(text), "%s", m->conversation);
	json_put_str(o, "conversationId", text);
	json_put_str(
	    o, "line_user_id", m->about.name[0] ? m->about.name : text);
	if (words_member(message, "to", text, sizeof(text)) == 1)
		json_put_str(o, "to", text);
	if (json_get_str(message, "content", &content, &len) == 1)
		json_put_strn(o, "content", content, len);
	json_get_int(message, "created_at", &at);
	clock_iso(at, iso);
	json_put_str(o, "timestamp", iso);
	if (json_object_object_get_ex(message, "status", &status) &&
	    status != NULL)
		json_put(o, "status", json_object_get(status));
	if (event_id > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)event_id);
		json_put_str(o, "event_id", text);
	}
	return o;
}
