/* conf.c: the file, the environment over it, and what is wrong by line. */

#include "conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define KEY "0123456789abcdef0123456789abcdef"

static char dir[] = "/tmp/test_conf.XXXXXX";
static char file[64];
static struct conf cf;
static struct buf err;

static void
put(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(file, 0600), 0);
}

static int
load(const char *text, unsigned scope)
{
	put(text);
	buf_reset(&err);
	conf_free(&cf);
	return conf_load(&cf, file, scope, &err);
}

static void
defaults(void **state)
{
	char path[128];

	(void)state;
	assert_int_equal(load("jwt_key = " KEY "\n", CONF_FCGI), 0);
	assert_string_equal(cf.jwt_key, KEY);
	assert_int_equal(cf.json_depth_max, 32);
	assert_true(cf.limits);
	assert_false(cf.url_tokens);
	assert_string_equal(cf.synchronous, "full");
	assert_string_equal(cf.base_url, "");
	(void)snprintf(path, sizeof(path), "%s/parley.db", dir);
	assert_string_equal(cf.db, path);
	assert_string_equal(cf.state_dir, dir);
	(void)snprintf(path, sizeof(path), "%s/run/pushd.sock", dir);
	assert_string_equal(cf.push_listen, path);
}

static void
file_and_environment(void **state)
{
	(void)state;
	(void)setenv("PARLEY_LOCALE", "th", 1);
	(void)setenv("WEBSOCKET_CORS_ORIGIN", "https://a.example", 1);
	assert_int_equal(
	    load("# a comment\n; another\n\n"
		 "jwt_key=" KEY " ; kept\n  locale = en\nlimits: off\n"
		 "json_depth_max = 10\nbase_url = https://x.example/\n"
		 "db = /srv/x.db\npush_listen = 127.0.0.1:9000\n",
		CONF_FCGI),
	    0);
	(void)unsetenv("PARLEY_LOCALE");
	(void)unsetenv("WEBSOCKET_CORS_ORIGIN");
	assert_string_equal(cf.jwt_key, KEY " ; kept");
	assert_string_equal(cf.locale, "th");
	assert_string_equal(cf.cors_origins, "https://a.example");
	assert_false(cf.limits);
	assert_int_equal(cf.json_depth_max, 10);
	assert_string_equal(cf.base_url, "https://x.example");
	assert_string_equal(cf.db, "/srv/x.db");
	assert_string_equal(cf.push_listen, "127.0.0.1:9000");
}

static void
faults_by_line(void **state)
{
	(void)state;
	assert_int_equal(
	    load(
		"jwt_key = " KEY "\nnonsense = 1\n"
		"json_depth_max = many\nlimits = perhaps\nlocale = fr\nno equals\n"
		"limits = on\nbase_url = ftp://x\n",
		CONF_FCGI),
	    -1);
	assert_non_null(strstr(err.data, ":2: unknown setting nonsense\n"));
	assert_non_null(strstr(err.data, ":3: json_depth_max must be"));
	assert_non_null(strstr(err.data, ":4: limits must be on or off"));
	assert_non_null(strstr(err.data, ":5: locale must be one of vi|th|en"));
	assert_non_null(strstr(err.data, ":6: not of the form"));
	assert_non_null(strstr(err.data, ":7: limits was set in line 4"));
	assert_non_null(strstr(err.data, ":8: base_url must begin"));
	/* Values, which may be secrets, are never told. */
	assert_null(strstr(err.data, "many"));
	assert_null(strstr(err.data, "perhaps"));
}

static void
addresses(void **state)
{
	static const char *const bad[] = { "trusted_proxies = 999.1.1.1",
		"trusted_proxies = 10.0.0.0/8 10.0.0.0/33",
		"cors_origins = foo", "cors_origins = https://",
		"cors_origins = https://a.example/path", "[section]",
		" [section]", "metrics_addresses = x", "push_listen = 1:2:3",
		"push_listen = pushd.sock", "push_listen = 127.0.0.1:70000",
		"base_path = chat", "base_url = chat.example.com",
		"base_url = https://", "base_url = https://x.example/chat",
		"base_url = https://a@x.example", "fetch_ports = http",
		"fetch_ports = 80;443", "fetch_ports = 0",
		"fetch_ports = 80,-1" };
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text),
		    "jwt_key = " KEY "\n\n%s\nlocale = th\n", bad[i]);
		assert_int_equal(load(text, CONF_ALL), -1);
		assert_non_null(strstr(err.data, "parley.conf:3: "));
		assert_ptr_equal(
		    strchr(err.data, '\n'), err.data + err.len - 1);
	}
	assert_int_equal(
	    load("jwt_key = " KEY "\ntrusted_proxies = 10.0.0.0/8, ::1\n"
		 "cors_origins = https://a.example/ http://[::1]:8080,*\n"
		 "metrics_addresses =\npush_listen = [::1]:9000\n",
		CONF_ALL),
	    0);
	(void)setenv("PARLEY_TRUSTED_PROXIES", "x", 1);
	assert_int_equal(load("jwt_key = " KEY "\n\n"
			      "trusted_proxies = 10.0.0.1\n",
			     CONF_ALL),
	    -1);
	(void)unsetenv("PARLEY_TRUSTED_PROXIES");
	assert_non_null(strstr(err.data, "environment: trusted_proxies must"));
}

static void
keys(void **state)
{
	(void)state;
	assert_int_equal(load("", CONF_FCGI), -1);
	assert_non_null(strstr(err.data, "jwt_key must have 32 bytes"));
	assert_int_equal(load("", CONF_FCGI | CONF_LAX), 0);
	assert_int_equal(load("jwt_key = short\n", CONF_FCGI), -1);
	assert_int_equal(
	    load("jwt_key = " KEY "\nintegrator_key = short\n", CONF_FCGI), -1);
	/* pushd signs nothing, and does not even remember the keys. */
	assert_int_equal(load("jwt_key = " KEY "\nintegrator_key = " KEY "\n"
			      "internal_key = 0123456789abcdef\n",
			     CONF_PUSHD),
	    0);
	assert_string_equal(cf.jwt_key, "");
	assert_string_equal(cf.integrator_key, "");
	assert_string_equal(cf.internal_key, "0123456789abcdef");
}

static void
who_may_read(void **state)
{
	(void)state;
	put("jwt_key = " KEY "\n");
	assert_int_equal(chmod(file, 0644), 0);
	buf_reset(&err);
	conf_free(&cf);
	assert_int_equal(conf_load(&cf, file, CONF_FCGI, &err), -1);
	assert_non_null(strstr(err.data, "holds secrets"));
	buf_reset(&err);
	conf_free(&cf);
	assert_int_equal(
	    conf_load(&cf, "/nonexistent/parley.conf", CONF_FCGI, &err), -1);
	assert_string_equal(cf.base_url, "");
}

static void
found_by_environment(void **state)
{
	char out[100], tiny[4];

	(void)state;
	(void)setenv("PARLEY_CONF", file, 1);
	assert_int_equal(conf_find(out, sizeof(out)), 1);
	assert_string_equal(out, file);
	assert_int_equal(conf_find(tiny, sizeof(tiny)), 0);
	(void)unsetenv("PARLEY_CONF");
}

/* Each default must pass its own bounds, each name be a C name of its kind. */
static void
table(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < conf_keys_n; i++) {
		assert_true(strlen(conf_keys[i].name) < 50);
		assert_true(strlen(conf_keys[i].help) > 0);
		assert_true(conf_keys[i].scope != 0);
		for (j = 0; j < i; j++)
			assert_string_not_equal(
			    conf_keys[i].name, conf_keys[j].name);
	}
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(file, sizeof(file), "%s/parley.conf", dir);
	buf_init(&err, 65536);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	conf_free(&cf);
	buf_fini(&err);
	(void)unlink(file);
	return rmdir(dir);
}

/* What one process loaded another gets whole, and nothing in pieces. */
static void
packed(void **state)
{
	struct conf other;
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(load("jwt_key = " KEY "\ninternal_key = " KEY
			      "\ncors_origins = https://a.example\n"
			      "drain_s = 7\nurl_tokens = on\n",
			     CONF_PUSHD),
	    0);
	conf_pack(&cf, CONF_PUSHD, &b);
	assert_int_equal(conf_unpack(&other, CONF_PUSHD, b.data, b.len), 0);
	assert_string_equal(other.internal_key, KEY);
	assert_string_equal(other.cors_origins, "https://a.example");
	assert_string_equal(other.push_listen, cf.push_listen);
	assert_string_equal(other.file, cf.file);
	assert_int_equal(other.drain_s, 7);
	assert_true(other.url_tokens);
	assert_string_equal(other.jwt_key, "");
	conf_free(&other);
	for (i = 0; i < b.len; i++) {
		assert_int_equal(
		    conf_unpack(&other, CONF_PUSHD, b.data, i), -1);
		conf_free(&other);
	}
	buf_append(&b, "x", 1);
	assert_int_equal(conf_unpack(&other, CONF_PUSHD, b.data, b.len), -1);
	conf_free(&other);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(packed),
		cmocka_unit_test(file_and_environment),
		cmocka_unit_test(faults_by_line),
		cmocka_unit_test(addresses),
		cmocka_unit_test(keys),
		cmocka_unit_test(who_may_read),
		cmocka_unit_test(found_by_environment),
		cmocka_unit_test(table),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
