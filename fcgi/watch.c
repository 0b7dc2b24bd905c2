/*
 * Telling agents, once a cause, that an admin must see to a channel before it
 * breaks, or because it did.
 */
#include "watch.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "store_channel_health.h"
#include "store_event.h"

#define CHANNELS_MAX 1000

int
watch_tell(struct store *st, const struct channel_row *row, const char *level,
    const char *action, const char *text)
{
	static const char *const rooms[] = { "inbox" };
	struct json_object *data = json_object_new_object();
	char message[1200];
	int rc;

	snprintf(message, sizeof(message), "%s: %s", row->name, text);
	json_put_str(data, "level", level);
	json_put_str(data, "message", message);
	json_put_str(data, "action", action);
	json_put_id(data, "channel_id", row->id);
	rc = store_event_send(
	    st, "system_notification", data, NULL, rooms, 1, NULL);
	json_object_put(data);
	return rc;
}

/* What the first of its problems about a token is called, and says. */
struct cause {
	const char *problem, *level, *at_key;
	const char *before, *after; /* the day */
};

static const struct cause causes[] = {
	{ "token_expired", "error", "token_expires_at",
	    "the access token ended on ", "; enter a new one" },
	{ "token_ends", "warning", "token_expires_at",
	    "the access token ends on ",
	    " and cannot be renewed by itself; enter a new one" },
	{ "renewal_ends", "warning", "renewal_expires_at",
	    "what renews the access token ends on ",
	    "; connect the account anew" },
};

static bool
has_problem(struct json_object *health, const char *code)
{
	struct json_object *list = NULL;

	if (json_get_arr(health, "problems", &list) != 1)
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (strcmp(json_object_get_string(
			       json_object_array_get_idx(list, i)),
			code) == 0)
			return true;
	return false;
}

/* Tell it unless that was done. */
static int
tell_once(struct store *st, int64_t id, const struct cause *c, int64_t at)
{
	struct channel_row row = { 0 };
	char cause[64], day[CLOCK_ISO_SIZE], text[256];
	int rc;

	snprintf(cause, sizeof(cause), "%s:%lld", c->problem, (long long)at);
	clock_iso(at, day);
	day[10] = '\0';
	snprintf(text, sizeof(text), "%s%s%s", c->before, day, c->after);
	if (store_begin(st) == STORE_FAILED)
		return STORE_FAILED;
	rc = store_channel_told(st, id, cause);
	if (rc == STORE_DONE)
		rc = store_channel_get(st, id, &row);
	if (rc == STORE_DONE) {
		log_warn("channel token ends id=%lld platform=%s cause=%s",
		    (long long)id, row.platform, cause);
		rc = watch_tell(st, &row, c->level, "token", text);
	}
	channel_row_fini(&row);
	return store_end(st, rc);
}

static void
look(struct store *st, int64_t id)
{
	struct json_object *o = NULL;
	int64_t at = 0;

	if (store_channel_health(st, id, &o) != STORE_DONE)
		return;
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		if (has_problem(o, causes[i].problem) &&
		    json_get_int(o, causes[i].at_key, &at) == 1) {
			(void)tell_once(st, id, &causes[i], at);
			break;
		}
	json_object_put(o);
}

void
watch_channels(struct store *st)
{
	int64_t ids[CHANNELS_MAX];
	size_t n;

	if (store_channel_ids(st, NULL, ids, CHANNELS_MAX, &n) != STORE_DONE)
		return;
	for (size_t i = 0; i < n; i++)
		look(st, ids[i]);
}
