/*
 * The route tables of api.fcgi, poll.fcgi and media.fcgi: no two rows meet,
 * each says who may and how much.  With --list it prints them, for the tests
 * that go through every route: PROGRAM METHOD PATH WHO.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int api_main(int argc, char **argv);
int poll_main(int argc, char **argv);
int media_main(int argc, char **argv);

#define main api_main
#define routes api_routes
#include "../../fcgi/api.c"
#undef main
#undef routes
#define main poll_main
#define routes poll_routes
#include "../../fcgi/poll.c"
#undef main
#undef routes
#define main media_main
#define routes media_routes
#include "../../fcgi/media.c"
#undef main
#undef routes

#include <stdio.h>
#include <string.h>

struct table {
	const char *program;
	const struct route *rows;
	size_t n;
};

static const struct table tables[] = {
	{ "api", api_routes, sizeof(api_routes) / sizeof(api_routes[0]) },
	{ "poll", poll_routes, sizeof(poll_routes) / sizeof(poll_routes[0]) },
	{ "media", media_routes,
	    sizeof(media_routes) / sizeof(media_routes[0]) },
};

#define TABLES (sizeof(tables) / sizeof(tables[0]))

static const char *
who_word(unsigned who)
{
	switch (who) {
	case WHO_ANY:
		return "nobody";
	case WHO_AGENT:
		return "agent";
	case WHO_ADMIN:
		return "admin";
	case WHO_CUST:
		return "customer";
	case WHO_ANY | WHO_CUST: /* a visitor's page */
		return "visitor";
	case WHO_MEMBER:
		return "member";
	case WHO_INTERNAL:
		return "internal";
	default:
		return NULL;
	}
}

static void
print_tables(void)
{
	size_t t, i;

	for (t = 0; t < TABLES; t++) {
		for (i = 0; i < tables[t].n; i++)
			if ((tables[t].rows[i].flags & ROUTE_PAGE) == 0)
				printf("%s %s %s %s\n", tables[t].program,
				    tables[t].rows[i].method,
				    tables[t].rows[i].path,
				    who_word(tables[t].rows[i].who));
	}
}

/* Each row is whole: a known method, a known kind of asker, a handler. */
static void
rows_are_whole(void **state)
{
	const struct route *r;
	size_t t, i;

	(void)state;
	for (t = 0; t < TABLES; t++) {
		for (i = 0; i < tables[t].n; i++) {
			r = &tables[t].rows[i];
			assert_non_null(r->handler);
			assert_non_null(who_word(r->who));
			assert_int_equal(r->path[0], '/');
			assert_true(strcmp(r->method, "GET") == 0 ||
				    strcmp(r->method, "POST") == 0 ||
				    strcmp(r->method, "PATCH") == 0 ||
				    strcmp(r->method, "DELETE") == 0);
			/* What is only read takes no body. */
			if (strcmp(r->method, "GET") == 0 ||
			    strcmp(r->method, "DELETE") == 0)
				assert_int_equal(r->body_max, 0);
			else
				assert_int_not_equal(r->body_max, 0);
		}
	}
}

/* No method and path twice. */
static void
rows_are_apart(void **state)
{
	size_t t, i, k;

	(void)state;
	for (t = 0; t < TABLES; t++) {
		for (i = 0; i < tables[t].n; i++) {
			for (k = 0; k < i; k++)
				assert_false(
				    strcmp(tables[t].rows[i].method,
					tables[t].rows[k].method) == 0 &&
				    strcmp(tables[t].rows[i].path,
					tables[t].rows[k].path) == 0);
		}
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_whole),
		cmocka_unit_test(rows_are_apart),
	};

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		print_tables();
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
