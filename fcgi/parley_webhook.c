/*
 * parley webhook: what platforms posted, as it came, and what became of it.
 * A stored one is run again here after a fix; what that means is inbound.c's
 * matter.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "inbound.h"
#include "json.h"
#include "parley.h"
#include "store.h"
#include "store_setting.h"
#include "store_webhook.h"

#define LIST_MAX 1000   /* of one answer of the store */
#define REPLAY_MAX 1000 /* named in one command */
#define RUN_MS 1000

/* The database, opened; -1 after telling. */
static int
open_all(struct conf *cf, struct store **st)
{
	if (parley_conf_load(cf, CONF_FCGI) == -1)
		return -1;
	if (parley_store(cf, st) == -1) {
		conf_free(cf);
		return -1;
	}
	return 0;
}

static int
number_of(const char *what, const char *text, int64_t *id)
{
	long n;

	if (text == NULL) {
		parley_err("%s needs the number of a webhook", what);
		return -1;
	}
	if (parley_number(text, 1, LONG_MAX, &n) == -1) {
		parley_err("%s: not the number of a webhook", what);
		return -1;
	}
	*id = n;
	return 0;
}

/* --- webhook list ----------------------------------------------------------
 */

static void
put_line(struct json_object *o)
{
	const char *platform = "", *state = "", *error = "";
	int64_t id = 0, channel = 0, at = 0, bytes = 0, tries = 0;
	char when[CLOCK_ISO_SIZE];
	size_t len;

	(void)json_get_int(o, "id", &id);
	(void)json_get_int(o, "channel_id", &channel);
	(void)json_get_int(o, "received_at", &at);
	(void)json_get_int(o, "bytes", &bytes);
	(void)json_get_int(o, "tries", &tries);
	(void)json_get_str(o, "platform", &platform, &len);
	(void)json_get_str(o, "state", &state, &len);
	if (json_get_str(o, "error", &error, &len) != 1)
		error = "-";
	clock_iso(at, when);
	printf("%" PRId64 "\t%s\t%s\t%" PRId64 "\t%s\t%" PRId64 "\t%" PRId64
	       "\t%s\n",
	    id, when, platform, channel, state, bytes, tries, error);
}

static int
webhook_list(struct store *st, const char *state, int64_t before, long limit)
{
	struct json_object *list;
	size_t i;

	if (store_webhooks(st, state, before, (int)limit, &list) != STORE_DONE)
		return -1;
	for (i = 0; i < json_object_array_length(list); i++)
		put_line(json_object_array_get_idx(list, i));
	json_object_put(list);
	return 0;
}

static int
webhook_list_main(const struct parley_cmd *c, int n, char **args)
{
	const char *limit = "50", *before = NULL;
	int failed = 0, fresh = 0, rc;
	const struct parley_opt opts[] = { { "--failed", NULL, &failed },
		{ "--new", NULL, &fresh }, { "--limit", &limit, NULL },
		{ "--before", &before, NULL }, { NULL, NULL, NULL } };
	struct store *st = NULL;
	struct conf cf = { 0 };
	int64_t below = 0;
	long most;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (parley_number(limit, 1, LIST_MAX, &most) == -1) {
		parley_err("--limit: 1 to %d", LIST_MAX);
		return 2;
	}
	if (before != NULL && number_of("--before", before, &below) == -1)
		return 2;
	if (open_all(&cf, &st) == -1)
		return 1;
	rc = webhook_list(st,
	    failed  ? "failed"
	    : fresh ? "new"
		    : NULL,
	    below, most);
	if (rc == -1)
		parley_err("cannot read the webhooks");
	store_close(st);
	conf_free(&cf);
	return rc == 0 ? 0 : 1;
}

const struct parley_cmd parley_webhook_list = { "webhook list",
	"[--failed | --new] [--limit N] [--before ID]",
	"List what platforms posted, the newest first.\n"
	"A line each, parted by tabs: number, time, platform, channel, state (new,\n"
	"done, ignored or failed), bytes (0: a message of it was deleted), tries\n"
	"that failed, and why.\n"
	"  --failed     those that could not be stored\n"
	"  --new        those that nobody has thought about yet\n"
	"  --limit N    so many, 50 if not said\n"
	"  --before ID  those older than that one\n",
	webhook_list_main };

/* --- webhook show --- */

static int
webhook_show_main(const struct parley_cmd *c, int n, char **args)
{
	const char *word = NULL;
	struct webhook_row w = { 0 };
	struct store *st = NULL;
	struct conf cf = { 0 };
	size_t nwords = 1;
	int64_t id;
	int rc;

	if ((rc = parley_opts(c, n, args, NULL, &word, &nwords)) != 0)
		return parley_status_of(rc);
	if (number_of("webhook show", word, &id) == -1)
		return 2;
	if (open_all(&cf, &st) == -1)
		return 1;
	rc = store_webhook_get(st, id, &w);
	if (rc == STORE_DONE)
		(void)fwrite(w.body, 1, w.len, stdout);
	else
		parley_err("%" PRId64 ": no such webhook", id);
	webhook_row_fini(&w);
	store_close(st);
	conf_free(&cf);
	return rc == STORE_DONE && fflush(stdout) == 0 ? 0 : 1;
}

const struct parley_cmd parley_webhook_show = { "webhook show", "ID",
	"Print the body of one, byte by byte as it came.\n",
	webhook_show_main };

/* --- webhook replay --- */

/* To be run again; -1 after telling why not. */
static int
renew_one(struct store *st, int64_t id)
{
	char object[32];
	int rc;

	if (store_begin(st) == STORE_FAILED)
		return -1;
	rc = store_webhook_again(st, id);
	snprintf(object, sizeof(object), "webhook:%" PRId64, id);
	if (rc == STORE_DONE)
		rc = store_audit(
		    st, NULL, NULL, "webhook_replayed", object, NULL);
	rc = store_end(st, rc);
	if (rc == STORE_DONE)
		return 0;
	parley_err("%" PRId64 ": %s", id,
	    rc == STORE_NONE      ? "no such webhook"
	    : rc == STORE_REFUSED ? "its body is gone with a deleted message"
				  : "not stored");
	return -1;
}

/* The numbers of those that failed, at most ${max}. */
static int
failed_ids(struct store *st, int64_t *ids, size_t max, size_t *n)
{
	struct json_object *list;
	int64_t id;

	*n = 0;
	if (store_webhooks(st, "failed", 0, (int)max, &list) != STORE_DONE)
		return -1;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (json_get_int(
			json_object_array_get_idx(list, i), "id", &id) == 1)
			ids[(*n)++] = id;
	json_object_put(list);
	return 0;
}

/* Run ${ids} again, the oldest first, and tell what became of each. */
static int
replay(const struct conf *cf, struct store *st, const int64_t *ids, size_t n)
{
	struct webhook_row w;
	int bad = 0, rc;

	for (size_t i = 0; i < n; i++)
		if (renew_one(st, ids[i]) == -1)
			bad = 1;
	do
		rc = inbound_run(cf, st, RUN_MS);
	while (rc == STORE_DONE);
	if (rc == STORE_FAILED) {
		parley_err("the database is busy or full: the worker, or the "
			   "next webhook, goes on with them");
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (store_webhook_get(st, ids[i], &w) != STORE_DONE)
			continue;
		printf("%" PRId64 "\t%s\t%s\n", ids[i], w.state,
		    w.error[0] != '\0' ? w.error : "-");
		if (strcmp(w.state, "failed") == 0)
			bad = 1;
		webhook_row_fini(&w);
	}
	return bad ? -1 : 0;
}

static int
webhook_replay_main(const struct parley_cmd *c, int n, char **args)
{
	const char *words[REPLAY_MAX];
	int64_t ids[REPLAY_MAX];
	int failed = 0, rc;
	const struct parley_opt opts[] = { { "--failed", NULL, &failed },
		{ NULL, NULL, NULL } };
	size_t nwords = REPLAY_MAX, i;
	struct store *st = NULL;
	struct conf cf = { 0 };

	if ((rc = parley_opts(c, n, args, opts, words, &nwords)) != 0)
		return parley_status_of(rc);
	if ((nwords == 0) == (failed == 0)) {
		parley_err("webhook replay needs numbers, or --failed");
		return 2;
	}
	for (i = 0; i < nwords; i++)
		if (number_of("webhook replay", words[i], &ids[i]) == -1)
			return 2;
	if (open_all(&cf, &st) == -1)
		return 1;
	if (failed && failed_ids(st, ids, REPLAY_MAX, &nwords) == -1)
		rc = -1;
	if (rc == 0)
		rc = replay(&cf, st, ids, nwords);
	store_close(st);
	conf_free(&cf);
	return rc == 0 ? 0 : 1;
}

const struct parley_cmd parley_webhook_replay = { "webhook replay",
	"ID... | --failed",
	"Run stored ones again, after what they need was mended.\n"
	"What they say and is there already stays as it is: nothing comes twice.\n"
	"A line each tells what became of it: number, state, why it failed.\n"
	"  --failed  those that could not be stored, at most 1,000 at once\n",
	webhook_replay_main };
