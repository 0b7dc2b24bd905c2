/* The table of docs/channels.md says what the adapters do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channel_fixture.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define NOW INT64_C(1795000400000)
#define COLUMNS 9

static char *text; /* of the document */

static int
read_whole(const char *path, char **out)
{
	size_t max = 1 << 20, len;
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		return -1;
	*out = calloc(1, max + 1);
	len = fread(*out, 1, max, f);
	fclose(f);
	return len > 0 ? 0 : -1;
}

static int
setup(void **state)
{
	(void)state;
	return read_whole("docs/channels.md", &text);
}

static int
teardown(void **state)
{
	(void)state;
	free(text);
	return 0;
}

/* The cells of the line that begins with "| ${row} |". */
static void
row_cells(const char *row, char cells[COLUMNS][200])
{
	char begin[120];
	const char *p, *end;
	size_t i, len;

	snprintf(begin, sizeof(begin), "\n| %s |", row);
	p = strstr(text, begin);
	if (p == NULL)
		fail_msg("no row %s", row);
	for (i = 0, p += 3; i < COLUMNS; i++, p = end + 2) {
		end = strstr(p, " |");
		assert_non_null(end);
		len = (size_t)(end - p) < 199 ? (size_t)(end - p) : 199;
		while (len > 0 && *p == ' ') {
			p++;
			len--;
		}
		snprintf(cells[i], 200, "%.*s", (int)len, p);
	}
	assert_int_equal(*p, '\n');
}

static const char *
cell(const char *row, const char *platform)
{
	static char heads[COLUMNS][200], cells[COLUMNS][200];
	const char *p = strstr(text, "\n| | facebook |");

	assert_non_null(p);
	row_cells(row, cells);
	heads[0][0] = 0;
	p += 4;
	for (size_t i = 1; i < COLUMNS; i++) {
		sscanf(p, " %199[a-z] |", heads[i]);
		p = strchr(p, '|') + 1;
		if (strcmp(heads[i], platform) == 0)
			return cells[i];
	}
	fail_msg("no column %s", platform);
	return "";
}

static bool
says_yes(const char *row, const char *platform)
{
	const char *c = cell(row, platform);
	bool yes = strncmp(c, "yes", 3) == 0;

	if (!yes && strncmp(c, "no", 2) != 0)
		fail_msg("%s of %s: %s", row, platform, c);
	return yes;
}

static void
same(const char *row, const char *platform, bool is)
{
	if (says_yes(row, platform) != is)
		fail_msg(
		    "%s of %s: it is %s", row, platform, is ? "yes" : "no");
}

static struct channel_account
account(const struct channel *ch)
{
	struct channel_account ac = { .id = 1, .ch = ch };

	ac.config = json_object_new_object();
	for (size_t i = 0; i < ch->nkeys; i++)
		if (ch->keys[i].flags != 0)
			json_put_str(ac.config, ch->keys[i].name, "700:x");
	return ac;
}

static bool
acts(const struct channel_account *ac, int what)
{
	struct channel_act act = { .conversation = "77",
		.user = "77",
		.message_id = "m",
		.seen_token = "t" };
	struct http_request rq;
	bool does;

	if (ac->ch->act == NULL)
		return false;
	act.what = what == 0 ? CHANNEL_TYPING : CHANNEL_SEEN;
	http_request_init(&rq, "POST");
	does = ac->ch->act(ac, &act, &rq) == 1;
	http_request_fini(&rq);
	return does;
}

/* Numbers, keys and what shows at the customer. */
static void
numbers_and_acts(void **state)
{
	const struct channel *ch;

	(void)state;
	for (size_t i = 0; (ch = channel_at(i)) != NULL; i++) {
		struct channel_account ac = account(ch);
		const char *p = ch->platform;

		assert_int_equal(
		    atol(cell("requests at once", p)), ch->at_once);
		assert_int_equal(atol(cell("requests a second", p)), ch->per_s);
		assert_int_equal(
		    atol(cell("longest text", p)), ch->text_max(&ac));
		same("key against doubles", p, ch->keyed);
		same("token renews itself", p, ch->refresh != NULL);
		same("shows the customer that one types", p, acts(&ac, 0));
		/* On Telegram the act is for who pressed a button. */
		if (strcmp(p, "telegram") != 0)
			same("shows the customer what was seen", p,
			    acts(&ac, 1));
		json_object_put(ac.config);
	}
}

/* Until when and how many answers. */
static void
windows(void **state)
{
	const struct channel *ch;
	struct channel_reply r;

	(void)state;
	for (size_t i = 0; (ch = channel_at(i)) != NULL; i++) {
		struct channel_account ac = account(ch);
		const char *p = ch->platform, *c = cell("answer within", p);
		int64_t hours = atol(c);

		if (strcmp(c, "no limit") == 0)
			hours = 10 * 365 * 24;
		assert_true(hours > 0);
		r = ch->window(&ac, NOW - hours * HOUR_MS + 1000, 0, NOW);
		assert_int_equal(r.state, CHANNEL_WINDOW_OPEN);
		if (strcmp(c, "no limit") != 0) {
			r = ch->window(
			    &ac, NOW - hours * HOUR_MS - 1000, 0, NOW);
			assert_int_not_equal(r.state, CHANNEL_WINDOW_OPEN);
		}
		c = cell("answers in that time", p);
		r = ch->window(&ac, NOW - 1000, 0, NOW);
		assert_int_equal(
		    r.free_left, strcmp(c, "no limit") == 0 ? -1 : atol(c));
		json_object_put(ac.config);
	}
}

/* What an adapter reads of a kind it names somewhere. */
static void
events(void **state)
{
	static const struct {
		const char *row, *name;
	} rows[] = { { "customers' edits", "CHANNEL_EDIT" },
		{ "customers take back", "CHANNEL_DELETE" },
		{ "who follows, leaves or blocks", "CHANNEL_CONTACT" },
		{ "says: read", "CHANNEL_STATUS" } };
	const struct channel *ch;
	char path[100], *source;
	bool meta;

	(void)state;
	for (size_t i = 0; (ch = channel_at(i)) != NULL; i++) {
		meta = strcmp(ch->platform, "facebook") == 0 ||
		       strcmp(ch->platform, "instagram") == 0;
		snprintf(path, sizeof(path), "fcgi/channel_%s.c",
		    meta ? "meta_page" : ch->platform);
		assert_int_equal(read_whole(path, &source), 0);
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
			same(rows[k].row, ch->platform,
			    strstr(source, rows[k].name) != NULL);
		free(source);
	}
}

/* Every setting but the common ones and the worker's own has its line. */
static void
settings(void **state)
{
	static const char *const common[] = { "_text_max", "_base",
		"_api_version", "_expires_at" };
	const struct channel *ch;
	char name[80];

	(void)state;
	for (size_t i = 0; (ch = channel_at(i)) != NULL; i++)
		for (size_t k = 0; k < ch->nkeys; k++) {
			const char *key = ch->keys[k].name;
			bool other = false;

			for (size_t j = 0;
			     j < sizeof(common) / sizeof(common[0]); j++)
				other |= strstr(key, common[j]) != NULL;
			snprintf(name, sizeof(name), "`%s`", key);
			if (!other && strstr(text, name) == NULL)
				fail_msg("%s is not in docs/channels.md", key);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_acts),
		cmocka_unit_test(windows),
		cmocka_unit_test(events),
		cmocka_unit_test(settings),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
