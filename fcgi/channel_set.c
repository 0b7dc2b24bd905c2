/*
 * channel_set.c: setting up an account: what is made up, what is secret, and
 * whether it is good.  Where settings come from and go to is the callers'.
 */
#define _GNU_SOURCE /* explicit_bzero */

#include <string.h>

#include "channel_set.h"
#include "json.h"
#include "token.h"

void
channel_set_make(
    const struct channel *ch, struct json_object *all, struct json_object *made)
{
	char text[TOKEN_SIZE];

	for (size_t i = 0; i < ch->nkeys; i++) {
		const struct channel_key *k = &ch->keys[i];

		if ((k->flags & CHANNEL_MADE) == 0 ||
		    json_object_object_get_ex(all, k->name, NULL))
			continue;
		token_new(text);
		json_put_str(all, k->name, text);
		json_put_str(made, k->name, text);
	}
	explicit_bzero(text, sizeof(text));
}

void
channel_set_sort(const struct channel *ch, struct json_object *all,
    struct json_object *config, struct json_object *secrets)
{
	struct json_object *v;

	for (size_t i = 0; i < ch->nkeys; i++)
		if (json_object_object_get_ex(all, ch->keys[i].name, &v))
			json_put((ch->keys[i].flags & CHANNEL_SECRET) != 0
				     ? secrets
				     : config,
			    ch->keys[i].name, json_object_get(v));
}

/* Whether the two have the same address under ${name}. */
static bool
same_address(const struct channel *ch, struct json_object *a,
    struct json_object *b, const char *name)
{
	struct channel_account one = { .ch = ch, .config = a };
	struct channel_account two = { .ch = ch, .config = b };

	return strcmp(channel_conf(&one, name), channel_conf(&two, name)) == 0;
}

/*
 * Another address of the API would be told the secrets that are there: nobody
 * gets at them so.  0, or -1 and ${why}, ${wrong}: which must be given again.
 */
static int
secrets_stay(const struct channel *ch, struct json_object *old,
    struct json_object *merged, struct json_object *change, struct buf *why,
    struct channel_wrong *wrong)
{
	const struct channel_key *base = NULL, *k;
	size_t i, n;

	for (i = 0; i < ch->nkeys && base == NULL; i++) {
		n = strlen(ch->keys[i].name);
		if (n > 5 && strcmp(ch->keys[i].name + n - 5, "_base") == 0 &&
		    !same_address(ch, old, merged, ch->keys[i].name))
			base = &ch->keys[i];
	}
	for (i = 0; i < ch->nkeys && base != NULL; i++) {
		k = &ch->keys[i];
		if ((k->flags & (CHANNEL_SECRET | CHANNEL_MADE)) !=
			CHANNEL_SECRET ||
		    !json_object_object_get_ex(old, k->name, NULL) ||
		    json_object_object_get_ex(change, k->name, NULL))
			continue;
		buf_printf(why, "%s is wanted again: %s is another address",
		    k->name, base->name);
		*wrong = (struct channel_wrong){ "again", k };
		return -1;
	}
	return 0;
}

int
channel_set_check(const struct channel *ch, struct json_object *old,
    const char *account, struct json_object *change, struct buf *why,
    struct channel_wrong *wrong)
{
	struct json_object *merged = json_object_new_object();
	struct buf name;
	int rc;

	json_object_object_foreach(old, key, value)
	{
		json_put(merged, key, json_object_get(value));
	}
	json_object_object_foreach(change, changed, fresh)
	{
		json_put(merged, changed, json_object_get(fresh));
	}
	rc = channel_config_wrong(ch, merged, wrong)
		 ? channel_config_check(ch, merged, why)
		 : secrets_stay(ch, old, merged, change, why, wrong);
	buf_init(&name, 4096);
	channel_account_name(ch, merged, &name);
	if (rc == 0 && strcmp(name.len > 0 ? name.data : "", account) != 0) {
		buf_printf(why, "%s is another account: add a channel for it",
		    name.len > 0 ? name.data : "that");
		*wrong = (struct channel_wrong){ "other",
			ch->account_key != NULL
			    ? channel_key_find(ch, ch->account_key)
			    : NULL };
		rc = -1;
	}
	buf_fini(&name);
	json_object_put(merged);
	return rc;
}
