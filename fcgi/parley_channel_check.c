/*
 * parley channel check: how accounts are, and whether their platforms take
 * their tokens, said plainly.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "channel.h"
#include "clock.h"
#include "deliver.h"
#include "emit.h"
#include "json.h"
#include "parley.h"
#include "store.h"
#include "store_channel.h"
#include "store_channel_health.h"

#define CHANNELS_MAX 1024
#define WAIT_MS 100

/* What is wrong, and what to do. */
static const struct {
	const char *code, *text;
} problems[] = {
	{ "off", "it is switched off: switch it on again" },
	{ "reauth", "the platform refused it, its queue waits: enter a new"
		    " token with `parley channel set`" },
	{ "token_expired", "the token has ended: enter a new one with"
			   " `parley channel set`" },
	{ "token_ends", "the token ends soon and cannot be renewed by itself:"
			" enter a new one with `parley channel set`" },
	{ "renewal_ends", "what renews the token ends soon: connect the"
			  " account anew over there" },
	{ "refused", "webhooks are refused and none was taken since: compare"
		     " the secret with the one over there" },
	{ "errors", "the newest try to send failed" },
	{ "held", "the platform asked for a pause" },
	{ "unconfirmed", "nobody knows whether some messages arrived: look"
			 " over there, then send them again or leave them" },
};

static void
put_at(const char *what, struct json_object *o, const char *key)
{
	char when[CLOCK_ISO_SIZE];
	int64_t at = 0;

	if (json_get_int(o, key, &at) != 1)
		return;
	clock_iso(at, when);
	printf("  %-11s%s\n", what, when);
}

static const char *
text_of(struct json_object *o, const char *key)
{
	const char *p = "";

	return json_get_str(o, key, &p, NULL) == 1 ? p : "";
}

static int64_t
number_of(struct json_object *o, const char *key)
{
	int64_t n = 0;

	return json_get_int(o, key, &n) == 1 ? n : 0;
}

/* How it fares, as a person reads it. */
static void
put_health(struct json_object *o)
{
	struct json_object *part;
	char when[CLOCK_ISO_SIZE];
	bool renewed = false;
	int64_t at = 0;

	printf("  %-11s%s%s%s\n", "state", text_of(o, "state"),
	    *text_of(o, "state_text") != '\0' ? ": " : "",
	    text_of(o, "state_text"));
	put_at("received", o, "last_inbound_at");
	if (json_get_obj(o, "refused", &part) == 1) {
		clock_iso(number_of(part, "at"), when);
		printf("  %-11s%" PRId64 " webhooks, the newest %s: %s\n",
		    "refused", number_of(part, "count"), when,
		    text_of(part, "why"));
	}
	put_at("sent", o, "last_sent_at");
	if (json_get_obj(o, "last_error", &part) == 1) {
		clock_iso(number_of(part, "at"), when);
		printf("  %-11s%s: %s\n", "error", when, text_of(part, "text"));
	}
	printf("  %-11s%" PRId64 " waiting, %" PRId64 " unconfirmed\n",
	    "messages", number_of(o, "waiting"), number_of(o, "unconfirmed"));
	put_at("pause", o, "hold_until");
	if (json_get_int(o, "token_expires_at", &at) == 1) {
		(void)json_get_bool(o, "token_renewable", &renewed);
		clock_iso(at, when);
		printf("  %-11sends %s%s\n", "token", when,
		    renewed ? ", renewed by itself" : "");
	}
}

/* The problems, and what the test said; false: something is wrong. */
static bool
put_verdict(struct json_object *o)
{
	struct json_object *list = NULL, *test = NULL;
	const char *code;
	bool good = false;
	size_t i, k;

	if (json_get_arr(o, "problems", &list) != 1)
		return false;
	for (i = 0; i < json_object_array_length(list); i++) {
		code =
		    json_object_get_string(json_object_array_get_idx(list, i));
		for (k = 0; k < sizeof(problems) / sizeof(problems[0]); k++)
			if (strcmp(problems[k].code, code) == 0)
				printf(
				    "  %-11s%s\n", "problem", problems[k].text);
	}
	if (json_get_obj(o, "test", &test) != 1 ||
	    json_get_bool(test, "ok", &good) != 1)
		return false;
	if (good) {
		printf("  %-11sgood%s%s\n", "test",
		    *text_of(test, "account") != '\0' ? ", it is " : "",
		    text_of(test, "account"));
	} else {
		printf("  %-11sfailed%s%s\n", "test",
		    *text_of(test, "text") != '\0' ? ": " : "",
		    text_of(test, "text"));
		printf("  %-11s%s\n", "to do", text_of(test, "advice"));
	}
	return good && json_object_array_length(list) == 0;
}

/* Test one; 0 well, 1 not well, -1 failed. */
static int
check_one(struct store *st, struct deliver *dl, int64_t id)
{
	struct channel_row row = { 0 };
	struct json_object *o = NULL;
	int rc = store_channel_get(st, id, &row);

	if (rc != STORE_DONE) {
		parley_err("%" PRId64 ": no such channel", id);
		return -1;
	}
	printf("channel %" PRId64 "\t%s\t%s\n", id, row.platform, row.name);
	if (channel_find(row.platform) == NULL) {
		printf("  %-11s%s\n", "state", row.state);
		channel_row_fini(&row);
		return 0;
	}
	channel_row_fini(&row);
	rc = deliver_test(dl, id);
	while (rc == 0 && deliver_busy(dl) > 0)
		rc = deliver_run(dl, WAIT_MS);
	if (rc == -1 || store_channel_health(st, id, &o) != STORE_DONE) {
		parley_err("%" PRId64 ": cannot be tested", id);
		return -1;
	}
	put_health(o);
	rc = put_verdict(o) ? 0 : 1;
	json_object_put(o);
	return rc;
}

static int
check(const struct conf *cf, struct store *st, int64_t only)
{
	struct deliver *dl = deliver_new(cf, st);
	int64_t ids[CHANNELS_MAX] = { only };
	size_t n = 1;
	int rc = 0;

	if (dl == NULL ||
	    (only == 0 && store_channel_ids(st, NULL, ids, CHANNELS_MAX, &n) ==
			      STORE_FAILED)) {
		parley_err("cannot read the channels");
		deliver_free(dl);
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		if (check_one(st, dl, ids[i]) != 0)
			rc = 1;
	deliver_free(dl);
	return rc;
}

static int
channel_check_main(const struct parley_cmd *c, int n, char **args)
{
	const char *word = NULL;
	struct store *st = NULL;
	struct conf cf = { 0 };
	size_t words = 1;
	long id = 0;
	int rc;

	if ((rc = parley_opts(c, n, args, NULL, &word, &words)) != 0)
		return parley_status_of(rc);
	if (words == 1 && parley_number(word, 1, LONG_MAX, &id) == -1) {
		parley_err("%s: not the number of a channel", word);
		return 2;
	}
	if (sodium_init() == -1 || parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	emit_init(&cf);
	rc = 1;
	if (parley_store(&cf, &st) == 0)
		rc = check(&cf, st, id);
	store_close(st);
	emit_fini();
	conf_free(&cf);
	return rc;
}

const struct parley_cmd parley_channel_check = { "channel check", "[ID]",
	"Say how connected accounts are, and ask their platforms.\n"
	"What came in and went out last, what waits, when the token ends, what is\n"
	"wrong and what to do about it.  Each platform is asked whose the token is;\n"
	"nothing is sent to anybody.  Exit status 1 if something is not well.\n"
	"  ID  the channel's number; without it all of them\n",
	channel_check_main };
