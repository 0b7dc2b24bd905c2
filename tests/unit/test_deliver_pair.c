/* The file that new tokens lie in until the database has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "deliver_pair.h"
#include "json.h"
#include "token.h"

static char dir[] = "/tmp/test_pair.XXXXXX", db[64], file[64];

static struct json_object *
pair(const char *access)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "zalo_access_token", access);
	json_put_str(o, "zalo_refresh_token", "r\"1");
	return o;
}

static const char *
text_of(struct json_object *o, const char *key)
{
	const char *p = NULL;

	return json_get_str(o, key, &p, NULL) == 1 ? p : NULL;
}

static void
kept_and_found(void **state)
{
	struct json_object *fresh = pair("new"), *got;
	struct stat sb;

	(void)state;
	assert_null(pair_find(db, 3, "old"));
	assert_int_equal(pair_keep(db, 3, "old", fresh), 0);
	assert_int_equal(stat(file, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	assert_null(pair_find(db, 4, "old"));

	got = pair_find(db, 3, "old");
	assert_non_null(got);
	assert_string_equal(text_of(got, "zalo_access_token"), "new");
	assert_string_equal(text_of(got, "zalo_refresh_token"), "r\"1");
	json_object_put(got);

	/* The next pair takes its place. */
	json_object_put(fresh);
	fresh = pair("newer");
	assert_int_equal(pair_keep(db, 3, "new", fresh), 0);
	got = pair_find(db, 3, "new");
	assert_string_equal(text_of(got, "zalo_access_token"), "newer");
	json_object_put(got);
	json_object_put(fresh);
	pair_drop(db, 3);
	assert_int_equal(access(file, F_OK), -1);
	pair_drop(db, 3);
}

static void
one_of_the_past_goes(void **state)
{
	struct json_object *fresh = pair("new");

	(void)state;
	assert_int_equal(pair_keep(db, 3, "old", fresh), 0);
	/* An admin has entered other tokens since. */
	assert_null(pair_find(db, 3, "entered"));
	assert_int_equal(access(file, F_OK), -1);
	json_object_put(fresh);
}

static void
half_a_file_is_none(void **state)
{
	struct json_object *fresh = pair("new"), *got;
	char whole[1000];
	size_t n;
	FILE *f;

	(void)state;
	assert_int_equal(pair_keep(db, 3, "old", fresh), 0);
	assert_non_null(f = fopen(file, "r"));
	n = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	assert_in_range(n, 50, sizeof(whole) - 1);
	for (size_t cut = 0; cut < n; cut++) {
		assert_non_null(f = fopen(file, "w"));
		fwrite(whole, 1, cut, f);
		fclose(f);
		assert_null(pair_find(db, 3, "old"));
	}
	assert_int_equal(pair_keep(db, 3, "old", fresh), 0);
	assert_non_null(got = pair_find(db, 3, "old"));
	json_object_put(got);
	json_object_put(fresh);
	pair_drop(db, 3);
}

static void
no_place_for_it(void **state)
{
	struct json_object *fresh = pair("new");

	(void)state;
	assert_int_equal(
	    pair_keep("/nowhere/at/all/p.db", 3, "old", fresh), -1);
	assert_null(pair_find("/nowhere/at/all/p.db", 3, "old"));
	json_object_put(fresh);
}

static int
setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(db, sizeof(db), "%s/parley.db", dir);
	snprintf(file, sizeof(file), "%s/.token-3", dir);
	return token_init();
}

static int
teardown(void **state)
{
	(void)state;
	return rmdir(dir); /* nothing is left in it */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_and_found),
		cmocka_unit_test(one_of_the_past_goes),
		cmocka_unit_test(half_a_file_is_none),
		cmocka_unit_test(no_place_for_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
