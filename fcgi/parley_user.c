/*
 * parley user add, parley token, parley channel add: what an admin makes from
 * the command line.  Rules about passwords, sessions and settings are theirs
 * who own them (token.h, auth.h, channel.h).
 */
#define _GNU_SOURCE /* explicit_bzero */

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth.h"
#include "buf.h"
#include "channel.h"
#include "clock.h"
#include "limits.h"
#include "parley.h"
#include "store.h"
#include "store_channel.h"
#include "store_conversation.h"
#include "store_customer.h"
#include "store_session.h"
#include "store_setting.h"
#include "store_user.h"
#include "token.h"
#include "utf8.h"

#define SETTINGS_MAX 32         /* --set of one channel */
#define SETTING_BYTES_MAX 65536 /* of one, from a file */

/* --- user add ---------------------------------------------------------------
 */

/*
 * The password: a line from standard input, unless that is a terminal or
 * empty; then a new one, and ${*made}.
 */
static void
take_password(char *out, size_t size, int *made)
{
	*out = '\0';
	if (!isatty(STDIN_FILENO) && fgets(out, (int)size, stdin) != NULL)
		out[strcspn(out, "\r\n")] = '\0';
	*made = *out == '\0';
	if (*made)
		parley_password(out, 17);
}

static int
plain_text(const char *s, size_t max)
{
	size_t i, len = strlen(s);

	if (len == 0 || len > max || !utf8_valid(s, len))
		return 0;
	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return 0;
	return 1;
}

static int
user_check(const char *email, const char *name, const char *role)
{
	const char *at;

	if (email == NULL || name == NULL || role == NULL) {
		parley_err("user add needs --email, --name and --role");
		return -1;
	}
	at = strchr(email, '@');
	if (!plain_text(email, EMAIL_BYTES_MAX) || at == NULL || at == email ||
	    at[1] == '\0' || strpbrk(email, " <>,") != NULL) {
		parley_err("--email %s: not an e-mail address", email);
		return -1;
	}
	if (!plain_text(name, NAME_BYTES_MAX - 1)) {
		parley_err("--name: 1 to %d bytes of text", NAME_BYTES_MAX - 1);
		return -1;
	}
	if (strcmp(role, "admin") != 0 && strcmp(role, "agent") != 0) {
		parley_err("--role %s: admin or agent", role);
		return -1;
	}
	return 0;
}

static int
user_store(const struct conf *cf, struct user *u)
{
	struct json_object *detail;
	struct store *st = NULL;
	char object[32];
	int rc;

	if (parley_store(cf, &st) == -1)
		return -1;
	rc = store_user_add(st, u);
	if (rc == STORE_DONE) {
		snprintf(object, sizeof(object), "user:%lld", (long long)u->id);
		detail = json_object_new_object();
		json_object_object_add(detail, "role",
		    json_object_new_string(u->admin ? "admin" : "agent"));
		store_audit(st, NULL, NULL, "user_added", object, detail);
		json_object_put(detail);
	} else if (rc == STORE_REFUSED) {
		parley_err("there is a user %s already", u->email);
	} else {
		parley_err("cannot store the user");
	}
	store_close(st);
	return rc == STORE_DONE ? 0 : -1;
}

static int
user_add_main(const struct parley_cmd *c, int n, char **args)
{
	const char *email = NULL, *name = NULL, *role = NULL, *bad;
	const struct parley_opt opts[] = { { "--email", &email, NULL },
		{ "--name", &name, NULL }, { "--role", &role, NULL },
		{ NULL, NULL, NULL } };
	char password[PASSWORD_BYTES_MAX + 3];
	struct conf cf = { 0 };
	struct user u;
	int made, rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (user_check(email, name, role) == -1)
		return 2;
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	memset(&u, 0, sizeof(u));
	rc = 1;
	take_password(password, sizeof(password), &made);
	if ((bad = password_bad(password, strlen(password))) != NULL) {
		parley_err("the password is too %s (%d to %d bytes)", bad,
		    PASSWORD_BYTES_MIN, PASSWORD_BYTES_MAX);
		goto out;
	}
	if (password_hash(&cf, password, strlen(password), u.password) == -1) {
		parley_err("cannot hash the password now");
		goto out;
	}
	snprintf(u.email, sizeof(u.email), "%s", email);
	snprintf(u.name, sizeof(u.name), "%s", name);
	snprintf(u.locale, sizeof(u.locale), "%s", cf.locale);
	u.admin = strcmp(role, "admin") == 0;
	if (user_store(&cf, &u) == -1)
		goto out;
	printf("user %lld\n", (long long)u.id);
	if (made)
		printf("password %s\n", password);
	rc = 0;
out:
	explicit_bzero(password, sizeof(password));
	explicit_bzero(u.password, sizeof(u.password));
	conf_free(&cf);
	return rc;
}

const struct parley_cmd parley_user_add = { "user add",
	"--email E --name N --role admin|agent",
	"Add somebody who logs in.  The password is the first line of standard\n"
	"input; if that is empty or a terminal one is made and printed, once.\n",
	user_add_main };

/* --- token ------------------------------------------------------------------
 */

static int
token_user(const struct conf *cf, struct store *st, const char *email)
{
	struct auth_session *s = calloc(1, sizeof(*s));
	struct user u;
	int rc = -1;

	if (s == NULL)
		return -1;
	switch (store_user_by_email(st, email, &u)) {
	case STORE_DONE:
		break;
	case STORE_NONE:
		parley_err("no user %s", email);
		goto out;
	default:
		parley_err("cannot read the database");
		goto out;
	}
	switch (auth_session_new(st, cf, u.id, "", "parley token", s)) {
	case 1:
		puts(s->token);
		rc = 0;
		break;
	case 0:
		parley_err("user %s is disabled", email);
		break;
	default:
		parley_err("cannot begin a session");
	}
out:
	explicit_bzero(&u, sizeof(u));
	explicit_bzero(s, sizeof(*s));
	free(s);
	return rc;
}

/* A resume link of the conversation: its address in ${url}. */
static int
make_link(const struct conf *cf, struct store *st, int64_t customer,
    int64_t conversation, char *url, size_t size)
{
	char link[TOKEN_SIZE], hash[TOKEN_HASH_SIZE], base[1024];

	token_new(link);
	token_hash(link, strlen(link), hash);
	if (store_link_add(st, hash, customer, conversation,
		clock_now_ms() + cf->resume_life_s * 1000) != STORE_DONE)
		return -1;
	parley_base(cf, base, sizeof(base));
	return parley_path(url, size, "%s/chat/%s", base, link);
}

static void
put_id(struct json_object *o, const char *key, int64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)id);
	json_object_object_add(o, key, json_object_new_string(text));
}

static int
token_customer(const struct conf *cf, struct store *st, const char *name)
{
	struct customer_patch p = { .name = name };
	int64_t channel, customer, conversation, expires;
	char token[TOKEN_TEXT_SIZE], url[2048];
	struct json_object *o;

	if (!plain_text(name, NAME_BYTES_MAX - 1)) {
		parley_err(
		    "--customer: 1 to %d bytes of text", NAME_BYTES_MAX - 1);
		return -1;
	}
	if (store_channel_first(st, "web", &channel) != STORE_DONE ||
	    store_customer_add(st, NULL, &p, &customer) != STORE_DONE ||
	    store_conversation_customer(st, NULL, customer, channel, NULL,
		&conversation) != STORE_DONE ||
	    auth_customer_new(st, cf, customer, "", token, &expires) != 1 ||
	    make_link(cf, st, customer, conversation, url, sizeof(url)) == -1) {
		parley_err("cannot make the customer");
		return -1;
	}
	o = json_object_new_object();
	json_object_object_add(o, "token", json_object_new_string(token));
	put_id(o, "customer_id", customer);
	put_id(o, "conversation_id", conversation);
	json_object_object_add(o, "resume_url", json_object_new_string(url));
	puts(json_object_to_json_string_ext(
	    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return 0;
}

static int
token_main(const struct parley_cmd *c, int n, char **args)
{
	const char *user = NULL, *customer = NULL;
	const struct parley_opt opts[] = { { "--user", &user, NULL },
		{ "--customer", &customer, NULL }, { NULL, NULL, NULL } };
	struct store *st = NULL;
	struct conf cf = { 0 };
	int rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if ((user == NULL) == (customer == NULL)) {
		parley_err("token needs one of --user EMAIL and --customer "
			   "NAME");
		return 2;
	}
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	rc = 1;
	if (parley_store(&cf, &st) == 0 &&
	    (user != NULL ? token_user(&cf, st, user)
			  : token_customer(&cf, st, customer)) == 0)
		rc = 0;
	store_close(st);
	conf_free(&cf);
	return rc;
}

const struct parley_cmd parley_token = { "token",
	"--user EMAIL | --customer NAME",
	"Print a token for programs.\n"
	"  --user EMAIL     a JWT of that user, for Authorization: Bearer\n"
	"  --customer NAME  a new customer with a conversation, as JSON:\n"
	"                   {token, customer_id, conversation_id, resume_url}\n",
	token_main };

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

/* Sort the key=value words into ${config} and ${secrets}, both into ${all}. */
static int
read_settings(const struct channel *ch, const char *const *words, size_t n,
    struct json_object *config, struct json_object *secrets,
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
		json_object_object_add(all, k->name, json_object_get(v));
		json_object_object_add(
		    (k->flags & CHANNEL_SECRET) != 0 ? secrets : config,
		    k->name, v);
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
		    (ch->keys[i].flags & CHANNEL_REQUIRED) != 0 ? " (required)"
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

static int
channel_store(const struct conf *cf, const char *platform, const char *name,
    const char *account, struct json_object *config,
    struct json_object *secrets)
{
	struct store *st = NULL;
	char base[1024], object[32];
	int64_t id;
	int rc;

	if (parley_store(cf, &st) == -1)
		return -1;
	rc = store_channel_add(
	    st, platform, name, account, config, secrets, &id);
	if (rc == STORE_DONE) {
		snprintf(object, sizeof(object), "channel:%lld", (long long)id);
		store_audit(st, NULL, NULL, "channel_added", object, NULL);
		parley_base(cf, base, sizeof(base));
		printf("channel %lld\n", (long long)id);
		if (strcmp(platform, "web") != 0)
			printf("webhook %s/webhooks/%s/%lld\n", base, platform,
			    (long long)id);
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
	struct json_object *account = NULL;
	struct conf cf = { 0 };
	struct buf why;
	int rc = 1;

	buf_init(&why, 4096);
	if (ch == NULL && (strcmp(platform, "web") != 0 || nwords > 0)) {
		size_t i;

		fprintf(stderr, "parley: --platform %s: one of web", platform);
		for (i = 0; (ch = channel_at(i)) != NULL; i++)
			fprintf(stderr, ", %s", ch->platform);
		fputc('\n', stderr);
		goto out;
	}
	if (ch != NULL &&
	    read_settings(ch, words, nwords, config, secrets, all) == -1) {
		list_settings(stderr, ch);
		goto out;
	}
	if (ch != NULL && channel_config_check(ch, all, &why) == -1) {
		parley_err("%s", why.data);
		list_settings(stderr, ch);
		goto out;
	}
	if (ch != NULL && ch->account_key != NULL)
		json_object_object_get_ex(all, ch->account_key, &account);
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		goto out;
	if (channel_store(&cf, platform, name,
		account != NULL ? json_object_get_string(account) : NULL,
		config, secrets) == 0)
		rc = 0;
	conf_free(&cf);
out:
	buf_fini(&why);
	json_object_put(config);
	json_object_put(secrets);
	json_object_put(all);
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
	    !plain_text(name, NAME_BYTES_MAX - 1)) {
		parley_err("channel add needs --platform and --name");
		return 2;
	}
	return channel_add(platform, name, words, nwords);
}

const struct parley_cmd parley_channel_add = { "channel add",
	"--platform P --name N [--set KEY=VALUE]...",
	"Connect an account of a platform, and print its number and the address\n"
	"to enter as its webhook.\n"
	"  --platform P     zalo, or web for another website\n"
	"  --set KEY=VALUE  a setting; @FILE as value: what the file holds, so\n"
	"                   that a secret is no word of the command\n",
	channel_add_main };

/* --- channel set --- */

/* The settings as they will be: those of ${row}, changed by ${all}. */
static int
settings_good(const struct channel *ch, const struct channel_row *row,
    struct json_object *all)
{
	struct json_object *merged = json_object_new_object(), *v;
	struct buf why;
	int rc = -1;

	buf_init(&why, 4096);
	json_object_object_foreach(row->all, key, value)
	{
		json_object_object_add(merged, key, json_object_get(value));
	}
	json_object_object_foreach(all, name, fresh)
	{
		json_object_object_add(merged, name, json_object_get(fresh));
	}
	if (ch->account_key != NULL &&
	    json_object_object_get_ex(all, ch->account_key, &v) &&
	    strcmp(json_object_get_string(v), row->account) != 0)
		parley_err("%s is another account: add a channel for it",
		    ch->account_key);
	else if (channel_config_check(ch, merged, &why) == -1)
		parley_err("%s", why.data);
	else
		rc = 0;
	buf_fini(&why);
	json_object_put(merged);
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
	if (read_settings(ch, words, nwords, config, secrets, all) == -1 ||
	    settings_good(ch, &row, all) == -1)
		goto out;
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
	    (name != NULL && !plain_text(name, NAME_BYTES_MAX - 1))) {
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
	"Change a connected account, and let its queue go on if the platform had\n"
	"refused it: with new tokens, after it was paid, or as it is.\n"
	"  --id N           the channel's number\n"
	"  --set KEY=VALUE  a setting; @FILE as value: what the file holds\n",
	channel_set_main };
