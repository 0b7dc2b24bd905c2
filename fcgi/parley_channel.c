/*
 * parley channel: accounts of platforms that are connected.  What a platform
 * wants to know is its adapter's matter (channel.h).
 */
#define _GNU_SOURCE /* explicit_bzero */

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "channel.h"
#include "channel_set.h"
#include "json.h"
#include "limits.h"
#include "parley.h"
#include "store.h"
#include "store_channel.h"
#include "store_channel_health.h"
#include "store_setting.h"

#define CHANNELS_MAX 1024       /* listed */
#define SETTINGS_MAX 32         /* --set of one channel */
#define SETTING_BYTES_MAX 65536 /* of one, from a file */

/* --- channel add ------------------------------------------------------------
 */

/* A setting's value; `@FILE` is what the file holds, without its last \n. */
static struct json_object *
set_value(const char *text)
{
	struct json_object *o = NULL;
	char *data;
	size_t len;
	FILE *f;

	if (*text != '@')
		return json_object_new_string(text);
	if ((f = fopen(text + 1, "r")) == NULL) {
		parley_err("%s: %s", text + 1, strerror(errno));
		return NULL;
	}
	if ((data = malloc(SETTING_BYTES_MAX)) != NULL) {
		len = fread(data, 1, SETTING_BYTES_MAX, f);
		while (
		    len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r'))
			len--;
		o = json_object_new_string_len(data, (int)len);
		explicit_bzero(data, SETTING_BYTES_MAX);
	}
	free(data);
	fclose(f);
	return o;
}

/* The key=value words, into ${all}. */
static int
read_settings(const struct channel *ch, const char *const *words, size_t n,
    struct json_object *all)
{
	const struct channel_key *k;
	struct json_object *v;
	char name[128];
	size_t i, len;

	for (i = 0; i < n; i++) {
		len = strcspn(words[i], "=");
		if (words[i][len] != '=' ||
		    parley_path(
			name, sizeof(name), "%.*s", (int)len, words[i]) == -1) {
			parley_err("--set %s: key=value", words[i]);
			return -1;
		}
		if ((k = channel_key_find(ch, name)) == NULL) {
			parley_err("--set %s: no such setting of %s", name,
			    ch->platform);
			return -1;
		}
		if ((v = set_value(words[i] + len + 1)) == NULL)
			return -1;
		json_object_object_add(all, k->name, v);
	}
	return 0;
}

static void
list_settings(FILE *f, const struct channel *ch)
{
	size_t i;

	fprintf(f, "settings of %s:\n", ch->platform);
	for (i = 0; i < ch->nkeys; i++)
		fprintf(f, "  %-28s %s%s%s\n", ch->keys[i].name,
		    ch->keys[i].help,
		    (ch->keys[i].flags & CHANNEL_MADE) != 0 ? " (made up if"
							      " not given)"
		    : (ch->keys[i].flags & CHANNEL_REQUIRED) != 0
			? " (required)"
			: "",
		    (ch->keys[i].flags & CHANNEL_SECRET) != 0 ? " (secret)"
							      : "");
}

/* --set may come often: take them out of ${args}, leave the rest. */
static int
take_sets(int *n, char **args, const char **words, size_t *nwords)
{
	int i, out = 0;

	*nwords = 0;
	for (i = 0; i < *n; i++) {
		const char *value = NULL;

		if (strncmp(args[i], "--set=", 6) == 0)
			value = args[i] + 6;
		else if (strcmp(args[i], "--set") == 0 && i + 1 < *n)
			value = args[++i];
		if (value == NULL) {
			args[out++] = args[i];
			continue;
		}
		if (*nwords == SETTINGS_MAX) {
			parley_err("more than %d settings", SETTINGS_MAX);
			return -1;
		}
		words[(*nwords)++] = value;
	}
	*n = out;
	return 0;
}

/* The address at which ${platform} reaches the channel. */
static void
put_webhook(const struct conf *cf, const char *platform, int64_t id)
{
	char base[1024];

	parley_base(cf, base, sizeof(base));
	printf("%s/webhooks/%s/%lld", base, platform, (long long)id);
}

/*
 * What to enter over there.  A setting is shown if it was made up just now;
 * who gave it has it, and it may be a secret.
 */
static void
put_paste(const struct conf *cf, const struct channel *ch, int64_t id,
    struct json_object *made)
{
	const char *p = ch->paste, *end;
	struct json_object *v;
	char name[64];

	for (; p != NULL && *p != '\0'; p = end + 1) {
		if (*p != '{' || (end = strchr(p, '}')) == NULL ||
		    parley_path(name, sizeof(name), "%.*s", (int)(end - p - 1),
			p + 1) == -1) {
			putchar(*p);
			end = p;
		} else if (strcmp(name, "webhook") == 0) {
			put_webhook(cf, ch->platform, id);
		} else if (json_object_object_get_ex(made, name, &v)) {
			fputs(json_object_get_string(v), stdout);
		} else {
			printf("(your %s)", name);
		}
	}
}

static int
channel_store(const struct conf *cf, const char *platform, const char *name,
    const char *account, struct json_object *config,
    struct json_object *secrets, struct json_object *made)
{
	const struct channel *ch = channel_find(platform);
	struct store *st = NULL;
	char object[32];
	int64_t id;
	int rc;

	if (parley_store(cf, &st) == -1)
		return -1;
	rc = store_channel_add(
	    st, platform, name, account, config, secrets, &id);
	if (rc == STORE_DONE) {
		snprintf(object, sizeof(object), "channel:%lld", (long long)id);
		store_audit(st, NULL, NULL, "channel_added", object, NULL);
		printf("channel %lld\n", (long long)id);
		if (ch != NULL) {
			fputs("webhook ", stdout);
			put_webhook(cf, platform, id);
			putchar('\n');
			put_paste(cf, ch, id, made);
		}
	} else if (rc == STORE_REFUSED) {
		parley_err("this %s account is connected already", platform);
	} else {
		parley_err("cannot store the channel");
	}
	store_close(st);
	return rc == STORE_DONE ? 0 : -1;
}

static int
channel_add(
    const char *platform, const char *name, const char **words, size_t nwords)
{
	const struct channel *ch = channel_find(platform);
	struct json_object *config = json_object_new_object();
	struct json_object *secrets = json_object_new_object();
	struct json_object *all = json_object_new_object();
	struct json_object *made = json_object_new_object();
	struct conf cf = { 0 };
	struct buf why, account;
	int rc = 1;

	buf_init(&why, 4096);
	buf_init(&account, 4096);
	if (ch == NULL && (strcmp(platform, "web") != 0 || nwords > 0)) {
		size_t i;

		fprintf(stderr, "parley: --platform %s: one of web", platform);
		for (i = 0; (ch = channel_at(i)) != NULL; i++)
			fprintf(stderr, ", %s", ch->platform);
		fputc('\n', stderr);
		goto out;
	}
	if (ch != NULL && read_settings(ch, words, nwords, all) == -1) {
		list_settings(stderr, ch);
		goto out;
	}
	if (ch != NULL) {
		channel_set_make(ch, all, made);
		if (channel_config_check(ch, all, &why) == -1) {
			parley_err("%s", why.data);
			list_settings(stderr, ch);
			goto out;
		}
		channel_account_name(ch, all, &account);
		channel_set_sort(ch, all, config, secrets);
	}
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		goto out;
	if (channel_store(&cf, platform, name,
		account.len > 0 ? account.data : NULL, config, secrets,
		made) == 0)
		rc = 0;
	conf_free(&cf);
out:
	buf_fini(&why);
	buf_fini(&account);
	json_object_put(config);
	json_object_put(secrets);
	json_object_put(all);
	json_object_put(made);
	return rc;
}

static int
channel_add_main(const struct parley_cmd *c, int n, char **args)
{
	const char *platform = NULL, *name = NULL, *words[SETTINGS_MAX];
	const struct parley_opt opts[] = { { "--platform", &platform, NULL },
		{ "--name", &name, NULL }, { NULL, NULL, NULL } };
	size_t nwords;
	int rc;

	if (take_sets(&n, args, words, &nwords) == -1)
		return 2;
	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (platform == NULL || name == NULL ||
	    !parley_plain(name, NAME_BYTES_MAX - 1)) {
		parley_err("channel add needs --platform and --name");
		return 2;
	}
	return channel_add(platform, name, words, nwords);
}

const struct parley_cmd parley_channel_add = { "channel add",
	"--platform P --name N [--set KEY=VALUE]...",
	"Connect an account of a platform.\n"
	"Its number, the address to enter as its webhook and what else to enter\n"
	"over there are printed.\n"
	"  --platform P     the platform, or web for another website; a wrong\n"
	"                   one lists them\n"
	"  --set KEY=VALUE  a setting; @FILE as value: what the file holds, so\n"
	"                   that a secret is no word of the command\n",
	channel_add_main };

/* --- channel set --- */

/* Whether those of ${row} are good as ${all} changes them. */
static int
settings_good(const struct channel *ch, const struct channel_row *row,
    struct json_object *all)
{
	struct channel_wrong wrong;
	struct buf why;
	int rc;

	buf_init(&why, 4096);
	rc = channel_set_check(ch, row->all, row->account, all, &why, &wrong);
	if (rc == -1)
		parley_err("%s", why.data);
	buf_fini(&why);
	return rc;
}

static int
channel_change(struct store *st, int64_t id, const char *name,
    const char **words, size_t nwords)
{
	struct json_object *config = json_object_new_object();
	struct json_object *secrets = json_object_new_object();
	struct json_object *all = json_object_new_object();
	const struct channel *ch = NULL;
	struct channel_row row = { 0 };
	char object[32];
	int rc = -1;

	if (store_channel_get(st, id, &row) != STORE_DONE ||
	    (ch = channel_find(row.platform)) == NULL) {
		parley_err("--id %lld: no such channel", (long long)id);
		goto out;
	}
	if (read_settings(ch, words, nwords, all) == -1 ||
	    settings_good(ch, &row, all) == -1)
		goto out;
	channel_set_sort(ch, all, config, secrets);
	if (store_begin(st) != STORE_FAILED) {
		rc = store_channel_set(st, id, name, config, secrets);
		/* It may be what the platform's refusal waited for. */
		if (rc == STORE_DONE)
			rc = store_channel_state(st, id, "ok", NULL);
		snprintf(object, sizeof(object), "channel:%lld", (long long)id);
		if (rc == STORE_DONE)
			rc = store_audit(
			    st, NULL, NULL, "channel_changed", object, NULL);
		rc = store_end(st, rc);
	}
	if (rc == STORE_DONE)
		printf("channel %lld\n", (long long)id);
	else
		parley_err("cannot store the channel");
	rc = rc == STORE_DONE ? 0 : -1;
out:
	channel_row_fini(&row);
	json_object_put(config);
	json_object_put(secrets);
	json_object_put(all);
	return rc;
}

static int
channel_set_main(const struct parley_cmd *c, int n, char **args)
{
	const char *id = NULL, *name = NULL, *words[SETTINGS_MAX];
	const struct parley_opt opts[] = { { "--id", &id, NULL },
		{ "--name", &name, NULL }, { NULL, NULL, NULL } };
	struct store *st = NULL;
	struct conf cf = { 0 };
	size_t nwords;
	long number;
	int rc;

	if (take_sets(&n, args, words, &nwords) == -1)
		return 2;
	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (id == NULL || parley_number(id, 1, LONG_MAX, &number) == -1 ||
	    (name != NULL && !parley_plain(name, NAME_BYTES_MAX - 1))) {
		parley_err("channel set needs --id, the channel's number");
		return 2;
	}
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	rc = parley_store(&cf, &st) == 0 &&
		     channel_change(st, number, name, words, nwords) == 0
		 ? 0
		 : 1;
	store_close(st);
	conf_free(&cf);
	return rc;
}

const struct parley_cmd parley_channel_set = { "channel set",
	"--id N [--name N] [--set KEY=VALUE]...",
	"Change a connected account, and let its queue go on.\n"
	"If the platform had refused it: with new tokens, after it was paid, or as\n"
	"it is.\n"
	"  --id N           the channel's number\n"
	"  --set KEY=VALUE  a setting; @FILE as value: what the file holds\n",
	channel_set_main };

/* --- channel list --- */

/* The end of a line: what is wrong, in words of store_channel_health. */
static void
put_problems(struct store *st, int64_t id)
{
	struct json_object *o = NULL, *list = NULL;
	size_t i;

	putchar('\t');
	if (store_channel_health(st, id, &o) == STORE_DONE &&
	    json_get_arr(o, "problems", &list) == 1)
		for (i = 0; i < json_object_array_length(list); i++)
			printf("%s%s", i > 0 ? "," : "",
			    json_object_get_string(
				json_object_array_get_idx(list, i)));
	if (list == NULL || json_object_array_length(list) == 0)
		putchar('-');
	putchar('\n');
	json_object_put(o);
}

static int
list_channels(const struct conf *cf, struct store *st)
{
	struct channel_row row;
	int64_t ids[CHANNELS_MAX];
	size_t n = 0, i;

	if (store_channel_ids(st, NULL, ids, CHANNELS_MAX, &n) != STORE_DONE)
		return -1;
	for (i = 0; i < n; i++) {
		switch (store_channel_get(st, ids[i], &row)) {
		case STORE_DONE:
			break;
		case STORE_NONE:
			continue;
		default:
			return -1;
		}
		printf("%lld\t%s\t%s\t%s\t", (long long)row.id, row.platform,
		    row.name, row.state);
		if (strcmp(row.platform, "web") == 0)
			putchar('-');
		else
			put_webhook(cf, row.platform, row.id);
		put_problems(st, ids[i]);
		channel_row_fini(&row);
	}
	return 0;
}

static int
channel_list_main(const struct parley_cmd *c, int n, char **args)
{
	struct store *st = NULL;
	struct conf cf = { 0 };
	int rc;

	if ((rc = parley_opts(c, n, args, NULL, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	rc = parley_store(&cf, &st);
	if (rc == 0 && (rc = list_channels(&cf, st)) == -1)
		parley_err("cannot read the channels");
	store_close(st);
	conf_free(&cf);
	return rc == 0 ? 0 : 1;
}

const struct parley_cmd parley_channel_list = { "channel list", "",
	"List the connected accounts.\n"
	"A line each, parted by tabs: number, platform, name, state (ok, reauth or\n"
	"off), the address to enter there as webhook, and what is wrong with it, -\n"
	"if nothing is; `parley channel check` says more.\n",
	channel_list_main };
