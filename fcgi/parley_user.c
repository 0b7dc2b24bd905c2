/*
 * parley user and parley token: who may come in.  Rules about passwords and
 * sessions are theirs who own them (token.h, auth.h, store_user.h).
 */
#define _GNU_SOURCE /* explicit_bzero */

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth_login.h"
#include "clock.h"
#include "emit.h"
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
role_check(const char *role)
{
	if (strcmp(role, "admin") == 0 || strcmp(role, "agent") == 0)
		return 0;
	parley_err("--role %s: admin or agent", role);
	return -1;
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
	if (!parley_plain(email, EMAIL_BYTES_MAX) || at == NULL ||
	    at == email || at[1] == '\0' || strpbrk(email, " <>,") != NULL) {
		parley_err("--email %s: not an e-mail address", email);
		return -1;
	}
	if (!parley_plain(name, NAME_BYTES_MAX - 1)) {
		parley_err("--name: 1 to %d bytes of text", NAME_BYTES_MAX - 1);
		return -1;
	}
	return role_check(role);
}

/* A password taken and hashed into ${hash}; shown in ${password} if ${*made}.
 */
static int
new_password(
    const struct conf *cf, char *password, size_t size, char *hash, int *made)
{
	const char *bad;

	take_password(password, size, made);
	if ((bad = password_bad(password, strlen(password))) != NULL) {
		parley_err("the password is too %s (%d to %d bytes)", bad,
		    PASSWORD_BYTES_MIN, PASSWORD_BYTES_MAX);
		return -1;
	}
	if (password_hash(cf, password, strlen(password), hash) == -1) {
		parley_err("cannot hash the password now");
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
	const char *email = NULL, *name = NULL, *role = NULL;
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
	if (new_password(&cf, password, sizeof(password), u.password, &made) ==
	    -1)
		goto out;
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
	"Add somebody who logs in.\n"
	"The password is the first line of standard input; if that is empty or a\n"
	"terminal one is made and printed, once.\n",
	user_add_main };

/* --- user password, disable, enable, role --------------------------------- */

/* Change ${u}, its sessions and the record of it, all or nothing. */
static int
user_write(struct store *st, const struct user *u, const char *hash,
    const struct user_patch *p, const char *what)
{
	char object[32];
	int rc;

	snprintf(object, sizeof(object), "user:%lld", (long long)u->id);
	if (store_begin(st) == STORE_FAILED)
		return STORE_FAILED;
	if (hash != NULL) {
		rc = store_user_password(st, u->id, hash);
		if (rc == STORE_DONE &&
		    store_session_end_user(st, u->id, 0) == STORE_FAILED)
			rc = STORE_FAILED;
	} else {
		rc = store_user_patch(st, u->id, p);
	}
	if (rc == STORE_DONE)
		rc = store_audit(st, NULL, NULL, what, object, NULL);
	return store_end(st, rc);
}

/* Of the user ${email}: a new password if ${hash}, else ${p}. */
static int
user_change(const struct conf *cf, const char *email, const char *hash,
    const struct user_patch *p, const char *what)
{
	struct store *st = NULL;
	struct user u;
	int rc;

	if (parley_store(cf, &st) == -1)
		return -1;
	emit_init(cf);
	rc = store_user_by_email(st, email, &u);
	explicit_bzero(u.password, sizeof(u.password));
	if (rc == STORE_NONE) {
		parley_err("no user %s", email);
		goto out;
	}
	if (rc == STORE_DONE)
		rc = user_write(st, &u, hash, p, what);
	if (rc == STORE_DONE)
		printf("user %lld\n", (long long)u.id);
	else if (rc == STORE_REFUSED)
		parley_err(
		    "%s is the last admin: make another one first", email);
	else
		parley_err("cannot store the change");
out:
	store_close(st);
	emit_fini();
	return rc == STORE_DONE ? 0 : -1;
}

static int
user_password_main(const struct parley_cmd *c, int n, char **args)
{
	const char *email = NULL;
	const struct parley_opt opts[] = { { "--email", &email, NULL },
		{ NULL, NULL, NULL } };
	char password[PASSWORD_BYTES_MAX + 3];
	struct conf cf = { 0 };
	struct user u;
	int made, rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (email == NULL) {
		parley_err("user password needs --email");
		return 2;
	}
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	rc = new_password(&cf, password, sizeof(password), u.password, &made);
	if (rc == 0)
		rc = user_change(&cf, email, u.password, NULL, "password");
	if (rc == 0 && made)
		printf("password %s\n", password);
	explicit_bzero(password, sizeof(password));
	explicit_bzero(u.password, sizeof(u.password));
	conf_free(&cf);
	return rc == 0 ? 0 : 1;
}

const struct parley_cmd parley_user_password = { "user password", "--email E",
	"Give somebody another password.\n"
	"It is the first line of standard input; if that is empty or a terminal\n"
	"one is made and printed, once.  All of the user's log-ins end.\n",
	user_password_main };

/* Of one who is named by --email alone. */
static int
user_flag(const struct parley_cmd *c, int n, char **args, int disabled)
{
	const struct user_patch p = { .admin = -1, .disabled = disabled };
	const char *email = NULL;
	const struct parley_opt opts[] = { { "--email", &email, NULL },
		{ NULL, NULL, NULL } };
	struct conf cf = { 0 };
	int rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (email == NULL) {
		parley_err("%s needs --email", c->name);
		return 2;
	}
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	rc = user_change(
	    &cf, email, NULL, &p, disabled ? "user_disabled" : "user_enabled");
	conf_free(&cf);
	return rc == 0 ? 0 : 1;
}

static int
user_disable_main(const struct parley_cmd *c, int n, char **args)
{
	return user_flag(c, n, args, 1);
}

static int
user_enable_main(const struct parley_cmd *c, int n, char **args)
{
	return user_flag(c, n, args, 0);
}

const struct parley_cmd parley_user_disable = { "user disable", "--email E",
	"Let somebody in no more.\n"
	"All of the user's log-ins end; what the user wrote stays.\n",
	user_disable_main };

const struct parley_cmd parley_user_enable = { "user enable", "--email E",
	"Let somebody in again who was disabled.\n", user_enable_main };

static int
user_role_main(const struct parley_cmd *c, int n, char **args)
{
	struct user_patch p = { .disabled = -1 };
	const char *email = NULL, *role = NULL;
	const struct parley_opt opts[] = { { "--email", &email, NULL },
		{ "--role", &role, NULL }, { NULL, NULL, NULL } };
	struct conf cf = { 0 };
	int rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (email == NULL || role == NULL) {
		parley_err("user role needs --email and --role");
		return 2;
	}
	if (role_check(role) == -1)
		return 2;
	p.admin = strcmp(role, "admin") == 0;
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	rc = user_change(&cf, email, NULL, &p, "user_role");
	conf_free(&cf);
	return rc == 0 ? 0 : 1;
}

const struct parley_cmd parley_user_role = { "user role",
	"--email E --role admin|agent",
	"Make somebody an admin, or an agent.\n"
	"All of the user's log-ins end, so that the next has the new rights.\n",
	user_role_main };

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

	if (!parley_plain(name, NAME_BYTES_MAX - 1)) {
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
