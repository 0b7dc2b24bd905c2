/*
 * Every statement of the store, as it stands in the sources, is prepared and
 * explained: no walk over a whole table, no sorting of what may be long.
 * Statements that other tests run are looked at there too (fixture_down), so
 * that nothing depends on this reader of C alone.
 */
#include "store_fixture.h"

#include <ctype.h>
#include <glob.h>

#define TEXT_MAX 16384

struct source {
	char *text;
	struct {
		char name[64];
		const char *body; /* in text */
		size_t len;
	} macros[64];
	size_t nmacros;
};

static char *
slurp(const char *path)
{
	FILE *fp = fopen(path, "r");
	char *text;
	long n;

	if (fp == NULL)
		fail_msg("%s: run from the project's root", path);
	fseek(fp, 0, SEEK_END);
	n = ftell(fp);
	rewind(fp);
	text = malloc((size_t)n + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)n, fp), n);
	text[n] = '\0';
	fclose(fp);
	return text;
}

static size_t
word(const char *p, char *out, size_t size)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	snprintf(out, size, "%.*s", (int)n, p);
	return n;
}

/* #define NAME ... with its continued lines. */
static void
read_macros(struct source *s)
{
	const char *p = s->text, *end;

	while ((p = strstr(p, "#define ")) != NULL) {
		p += 8;
		p += word(p, s->macros[s->nmacros].name, 64);
		end = p;
		while (*end != '\0' && *end != '\n')
			end += *end == '\\' && end[1] == '\n' ? 2 : 1;
		s->macros[s->nmacros].body = p;
		s->macros[s->nmacros].len = (size_t)(end - p);
		assert_true(++s->nmacros < 64);
		p = end;
	}
}

/* The string that C makes of literals and macros; false: of something else. */
static bool
evaluate(const struct source *s, const char *p, size_t len, char *out)
{
	const char *end = p + len;
	char name[64];
	size_t n = strlen(out), i;

	while (p < end) {
		if (isspace((unsigned char)*p) || *p == '\\') {
			p++;
		} else if (*p == '"') {
			for (p++; *p != '"'; p++) {
				if (*p == '\\')
					p++;
				assert_true(n < TEXT_MAX - 1);
				out[n++] = *p;
			}
			out[n] = '\0';
			p++;
		} else if (*p == '/' && p[1] == '*') {
			p = strstr(p, "*/") + 2;
		} else if (isalpha((unsigned char)*p)) {
			p += word(p, name, sizeof name);
			for (i = 0; i < s->nmacros; i++)
				if (strcmp(name, s->macros[i].name) == 0)
					break;
			if (i == s->nmacros || !evaluate(s, s->macros[i].body,
						   s->macros[i].len, out))
				return false;
			n = strlen(out);
		} else
			return false;
	}
	return true;
}

/* The end of an initialiser: the ';' outside of literals. */
static const char *
statement_end(const char *p)
{
	for (; *p != ';' && *p != '\0'; p++)
		if (*p == '"')
			for (p++; *p != '"'; p++)
				if (*p == '\\')
					p++;
	return p;
}

static bool
is_sql(const char *text)
{
	static const char *const verbs[] = { "SELECT ", "INSERT ", "UPDATE ",
		"DELETE ", "WITH ", NULL };
	const char *const *v;

	for (v = verbs; *v != NULL; v++)
		if (strncmp(text, *v, strlen(*v)) == 0)
			return true;
	return false;
}

static void
check_file(struct fixture_plan *plan, const char *path)
{
	struct source s = { .text = slurp(path) };
	const char *p = s.text, *end;
	char name[64], sql[TEXT_MAX];

	read_macros(&s);
	while ((p = strstr(p, "static const char ")) != NULL) {
		p += 18;
		p += word(p, name, sizeof name);
		if (strncmp(p, "[] =", 4) != 0)
			continue;
		p += 4;
		end = statement_end(p);
		sql[0] = '\0';
		if (!evaluate(&s, p, (size_t)(end - p), sql))
			fail_msg("%s: %s cannot be read", path, name);
		if (is_sql(sql))
			fixture_plan_one(plan, sql);
		p = end;
	}
	free(s.text);
}

static void
test_sources(void **state)
{
	struct fixture *f = *state;
	struct fixture_plan plan = { .st = f->st };
	glob_t g;
	size_t i;

	assert_int_equal(glob("fcgi/store*.c", 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= 10);
	for (i = 0; i < g.gl_pathc; i++)
		check_file(&plan, g.gl_pathv[i]);
	globfree(&g);
	assert_true(plan.n > 150); /* the reader reads */
	assert_int_equal(plan.bad, 0);
}

/* The check itself sees what it is for. */
static void
test_checker(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {
		"SELECT id FROM messages WHERE content = :x",
		"SELECT id FROM messages ORDER BY created_at LIMIT 5",
		"SELECT id FROM events WHERE data LIKE '%x%'",
		"SELECT 1 FROM nothing",
		"UPDATE customers SET fold = ''",
	};
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct fixture_plan plan = { .st = f->st };

		fixture_plan_one(&plan, bad[i]);
		assert_true(plan.bad > 0);
	}
}

static size_t
occurrences(const char *pattern, const char *text)
{
	size_t n = 0, i;
	glob_t g;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	for (i = 0; i < g.gl_pathc; i++) {
		char *source = slurp(g.gl_pathv[i]), *p = source;

		for (; (p = strstr(p, text)) != NULL; p++)
			n++;
		free(source);
	}
	globfree(&g);
	return n;
}

/* One write path. */
static void
test_one_write_path(void **state)
{
	(void)state;
	assert_int_equal(occurrences("fcgi/*.c", "INSERT INTO messages"), 1);
	assert_int_equal(occurrences("fcgi/*.c", "INSERT INTO events"), 1);
	assert_int_equal(
	    occurrences("fcgi/*.c", "INSERT INTO event_rooms") +
		occurrences("fcgi/*.c", "INSERT OR IGNORE INTO event_rooms"),
	    1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_sources),
		STORE_TEST(test_checker),
		cmocka_unit_test(test_one_write_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
