/*
 * parley key: keys by which programs act as a user, until they are ended.
 */
#define _GNU_SOURCE /* explicit_bzero */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth_login.h"
#include "emit.h"
#include "limits.h"
#include "parley.h"
#include "store.h"
#include "store_session.h"
#include "store_setting.h"
#include "store_user.h"

/* A key of the user ${email}, printed once. */
static int
key_make(const struct conf *cf, struct store *st, const char *email,
    const char *name)
{
	char text[TOKEN_TEXT_SIZE], object[32];
	struct user u;
	int64_t key;
	int rc;

	rc = store_user_by_email(st, email, &u);
	explicit_bzero(u.password, sizeof(u.password));
	if (rc == STORE_NONE) {
		parley_err("no user %s", email);
		return -1;
	}
	if (rc != STORE_DONE || store_begin(st) == STORE_FAILED)
		goto failed;
	rc = auth_key_new(st, cf, u.id, name, &key, text) == 1 ? STORE_DONE
							       : STORE_FAILED;
	if (rc == STORE_DONE) {
		(void)snprintf(object, sizeof(object), "user:%" PRId64, u.id);
		rc = store_audit(st, NULL, NULL, "key_added", object, NULL);
	}
	if (store_end(st, rc) != STORE_DONE)
		goto failed;
	printf("key %" PRId64 "\n%s\n", key, text);
	explicit_bzero(text, sizeof(text));
	return 0;
failed:
	parley_err("the key could not be stored");
	return -1;
}

static int
key_add_main(const struct parley_cmd *c, int n, char **args)
{
	const char *email = NULL, *name = NULL;
	const struct parley_opt opts[] = { { "--user", &email, NULL },
		{ "--name", &name, NULL }, { NULL, NULL, NULL } };
	struct conf cf = { 0 };
	struct store *st = NULL;
	int rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (email == NULL || name == NULL) {
		parley_err("key add needs --user and --name");
		return 2;
	}
	if (!parley_plain(name, NAME_BYTES_MAX - 1)) {
		parley_err("--name: 1 to %d bytes of text", NAME_BYTES_MAX - 1);
		return 2;
	}
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	rc = parley_store(&cf, &st);
	if (rc == 0)
		rc = key_make(&cf, st, email, name);
	store_close(st);
	conf_free(&cf);
	return rc == 0 ? 0 : 1;
}

const struct parley_cmd parley_key_add = { "key add", "--user EMAIL --name N",
	"Make an API key for a user, and print it once.\n"
	"A program sends it as `Authorization: Bearer KEY`; --name says which\n"
	"one it is.  It has the user's rights until `parley key end`.\n",
	key_add_main };

static int
key_end_main(const struct parley_cmd *c, int n, char **args)
{
	const char *text = NULL;
	const struct parley_opt opts[] = { { "--id", &text, NULL },
		{ NULL, NULL, NULL } };
	struct conf cf = { 0 };
	struct store *st = NULL;
	long id;
	int rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (text == NULL || parley_number(text, 1, INT32_MAX, &id) == -1) {
		parley_err(
		    "key end needs --id, the number that key add printed");
		return 2;
	}
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	if (parley_store(&cf, &st) == -1) {
		rc = -1;
		goto out;
	}
	emit_init(&cf);
	rc = store_key_end(st, id);
	if (rc == STORE_NONE)
		parley_err("no key %ld, or it has ended", id);
	else if (rc != STORE_DONE)
		parley_err("the key could not be ended");
	rc = rc == STORE_DONE ? 0 : -1;
	emit_fini();
out:
	store_close(st);
	conf_free(&cf);
	return rc == 0 ? 0 : 1;
}

const struct parley_cmd parley_key_end = { "key end", "--id N",
	"End a program's key; what it holds open is cut.\n", key_end_main };
