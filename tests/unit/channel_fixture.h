#ifndef CHANNEL_FIXTURE_H
#define CHANNEL_FIXTURE_H

/*
 * What the tests of the adapters share: the samples, the accounts that these
 * are of, and a batch in the form in which expected.json has it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channel.h"
#include "json.h"

static inline char *
file_read(const char *name, size_t *len)
{
	char path[200];
	char *p = calloc(1, 65536);
	FILE *f;

	snprintf(path, sizeof(path), "tests/samples/%s", name);
	assert_non_null(f = fopen(path, "rb"));
	*len = fread(p, 1, 65535, f);
	fclose(f);
	return p;
}

static inline struct json_object *
file_json(const char *name)
{
	struct json_object *o = NULL;
	size_t len;
	char *p = file_read(name, &len);

	assert_int_equal(channel_json(p, len, &o), 0);
	free(p);
	return o;
}

static inline struct json_object *
member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, key, &v);
	return v;
}

static inline const char *
text_of(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key);

	return v != NULL ? json_object_get_string(v) : NULL;
}

/* The platform's account of the samples; its config is new. */
static inline struct channel_account
sample_account(const char *platform)
{
	struct json_object *all = file_json("signatures.json");
	struct json_object *own = member(member(all, "accounts"), platform);
	struct channel_account ac = { .id = 1, .ch = channel_find(platform) };

	ac.config = json_object_new_object();
	json_object_object_foreach(own, key, v)
	{
		const struct channel_key *k = channel_key_find(ac.ch, key);

		if (k != NULL)
			json_put_str(
			    ac.config, k->name, json_object_get_string(v));
	}
	json_object_put(all);
	return ac;
}

static inline void
put_some(struct json_object *o, const char *key, const char *v)
{
	if (v != NULL)
		json_put_str(o, key, v);
}

/* A batch in the form of expected.json. */
static inline struct json_object *
batch_json(const struct channel_batch *b)
{
	struct json_object *all = json_object_new_object();
	struct json_object *stored = json_object_new_array();
	struct json_object *statuses = json_object_new_array();
	struct json_object *updates = json_object_new_array();
	struct json_object *contacts = json_object_new_array();

	for (size_t i = 0; i < b->n; i++) {
		const struct channel_item *it = &b->items[i];
		struct json_object *o = json_object_new_object(), *ids;

		switch (it->op) {
		case CHANNEL_MESSAGE:
			json_put_str(o, "direction", it->out ? "out" : "in");
			json_put_str(o, "conversation", it->conversation);
			json_put_str(o, "user", it->user);
			json_put_str(o, "message_id", it->message_id);
			json_put_str(o, "kind", it->kind);
			json_put_str(o, "text", it->text);
			json_put_int(o, "sent_at", it->sent_at);
			put_some(o, "media_url", it->media_url);
			put_some(o, "media_ref", it->media_ref);
			put_some(o, "mime", it->mime);
			put_some(o, "name", it->name);
			put_some(o, "payload", it->payload);
			put_some(o, "reply_to", it->reply_to);
			if (it->size >= 0)
				json_put_int(o, "size", it->size);
			if (it->located) {
				json_put(
				    o, "lat", json_object_new_double(it->lat));
				json_put(
				    o, "lon", json_object_new_double(it->lon));
			}
			json_object_array_add(stored, o);
			break;
		case CHANNEL_STATUS:
			json_put_str(o, "status", it->status);
			json_put_str(o, "conversation", it->conversation);
			ids = json_object_new_array();
			for (size_t k = 0; k < it->nids; k++)
				json_object_array_add(
				    ids, json_object_new_string(it->ids[k]));
			if (it->nids > 0)
				json_put(o, "message_ids", ids);
			else
				json_object_put(ids);
			if (it->watermark != 0)
				json_put_int(o, "watermark", it->watermark);
			json_object_array_add(statuses, o);
			break;
		case CHANNEL_EDIT:
		case CHANNEL_DELETE:
			json_put_str(o, "message_id", it->message_id);
			if (it->op == CHANNEL_EDIT) {
				json_put_str(o, "op", "edit");
				json_put_str(o, "text", it->text);
				json_put_int(o, "version", it->version);
			} else {
				json_put_str(o, "op", "delete");
			}
			json_object_array_add(updates, o);
			break;
		case CHANNEL_CONTACT:
			json_put_str(o, "user", it->user);
			json_put_str(
			    o, "op", it->follow ? "follow" : "unfollow");
			json_object_array_add(contacts, o);
			break;
		default:
			json_object_put(o);
			break;
		}
	}
	json_put(all, "stored", stored);
	json_put(all, "statuses", statuses);
	json_put(all, "updates", updates);
	json_put(all, "contacts", contacts);
	return all;
}

static inline const char *
class_word(enum channel_class cls)
{
	switch (cls) {
	case CHANNEL_SENT:
	case CHANNEL_MORE:
		return "sent";
	case CHANNEL_RETRY:
		return "retryable";
	case CHANNEL_REAUTH:
		return "reauth";
	case CHANNEL_PERMANENT:
		return "permanent";
	default:
		return "unknown";
	}
}

#endif
