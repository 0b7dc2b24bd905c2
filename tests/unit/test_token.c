/* token.c and jwt.c: forged, cut, foreign and expired ones are worth nothing.
 */

#include "jwt.h"
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char key[] = "0123456789abcdef0123456789abcdef";
static struct conf cf;

static int
b64(const char *s, const char *want)
{
	char out[64];
	long n = token_unb64(s, strlen(s), out, sizeof(out));

	return n == (long)strlen(want) && memcmp(out, want, (size_t)n) == 0;
}

static void
base64(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(token_b64("\xff\xfe\x00", 3, out), 4);
	assert_string_equal(out, "__4A");
	assert_int_equal(token_b64("a", 1, out), 2);
	assert_string_equal(out, "YQ");
	assert_int_equal(token_b64("", 0, out), 0);
	assert_true(b64("YQ", "a"));
	assert_true(b64("", ""));
	/* No padding, no other alphabet, no stray bits, no spaces. */
	assert_int_equal(token_unb64("YQ==", 4, out, 64), -1);
	assert_int_equal(token_unb64("YR", 2, out, 64), -1);
	assert_int_equal(token_unb64("Y", 1, out, 64), -1);
	assert_int_equal(token_unb64("//4A", 4, out, 64), -1);
	assert_int_equal(token_unb64("Y Q", 3, out, 64), -1);
	assert_int_equal(token_unb64("YWFh", 4, out, 2), -1);
}

static void
randomness(void **state)
{
	char a[TOKEN_SIZE], b[TOKEN_SIZE], hash[TOKEN_HASH_SIZE];

	(void)state;
	token_new(a);
	token_new(b);
	assert_int_equal(strlen(a), 43);
	assert_string_not_equal(a, b);
	token_hash("abc", 3, hash);
	assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223"
				  "b00361a396177a9cb410ff61f20015ad");
	assert_true(token_equal("ab", 2, "ab", 2));
	assert_false(token_equal("ab", 2, "ac", 2));
	assert_false(token_equal("ab", 2, "abc", 3));
}

static void
credentials(void **state)
{
	static const enum token_kind kinds[] = { TOKEN_CUSTOMER, TOKEN_COOKIE,
		TOKEN_KEY };
	char text[TOKEN_TEXT_SIZE], copy[TOKEN_TEXT_SIZE + 2];
	struct token t, got;
	size_t k, i, n;

	(void)state;
	for (k = 0; k < 3; k++) {
		memset(&t, 0, sizeof(t));
		t.kind = kinds[k];
		t.owner = INT64_MAX;
		t.session = 12;
		if (t.kind == TOKEN_CUSTOMER)
			t.exp = 1767225599;
		else
			token_new(t.secret);
		token_write(&cf, &t, text);
		n = strlen(text);
		assert_int_equal(token_read(&cf, text, n, &got), 1);
		assert_int_equal(got.kind, t.kind);
		assert_true(got.owner == t.owner && got.session == 12 &&
			    got.exp == t.exp);
		assert_string_equal(got.secret, t.secret);
		/* Cut at each byte, and each byte changed. */
		for (i = 0; i < n; i++) {
			assert_int_not_equal(token_read(&cf, text, i, &got), 1);
			assert_int_equal(got.owner, 0);
			memcpy(copy, text, n + 1);
			copy[i] = copy[i] == 'A' ? 'B' : 'A';
			assert_int_not_equal(token_read(&cf, copy, n, &got), 1);
			copy[i] = '.';
			assert_true(text[i] == '.' ||
				    token_read(&cf, copy, n, &got) != 1);
		}
		(void)snprintf(copy, sizeof(copy), "%s.", text);
		assert_int_equal(token_read(&cf, copy, n + 1, &got), -1);
	}
	/* One kind's proof is none for another. */
	assert_int_equal(token_read(&cf, text + 4, n - 4, &got), -1);
	/* Of another form altogether: perhaps a JWT. */
	assert_int_equal(token_read(&cf, "eyJ.a.b", 7, &got), 0);
	assert_int_equal(token_read(&cf, "", 0, &got), 0);
}

static void
passwords(void **state)
{
	char hash[PASSWORD_HASH_SIZE];

	(void)state;
	assert_int_equal(password_hash(&cf, "correct horse", 13, hash), 0);
	assert_int_equal(
	    strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
	assert_int_equal(password_verify(&cf, hash, "correct horse", 13), 1);
	assert_int_equal(password_verify(&cf, hash, "correct horse ", 14), 0);
	/* Nobody's password is never right. */
	assert_int_equal(password_verify(&cf, NULL, "correct horse", 13), 0);
	assert_int_equal(password_verify(&cf, "", "", 0), 0);
	assert_false(password_old(hash));
	assert_true(
	    password_old("$argon2id$v=19$m=8192,t=1,p=1$"
			 "c2FsdHNhbHRzYWx0c2FsdA$"
			 "bspazGFhkMGq0sLqp80FDXKnHYiCPMFDz8h3bJjE3XQ"));
	assert_string_equal(password_bad("short", 5), "short");
	assert_string_equal(password_bad("PassWord123", 11), "common");
	assert_string_equal(password_bad("aaaaaaaaaa", 10), "common");
	assert_null(password_bad("correct horse", 13));
}

/* JWT. */

static char jwt_text[JWT_BYTES_MAX];

/* A token with this header and these claims, rightly signed. */
static size_t
make(const char *head, const char *claims)
{
	unsigned char mac[TOKEN_MAC_BYTES];
	size_t n;

	n = token_b64(head, strlen(head), jwt_text);
	jwt_text[n++] = '.';
	n += token_b64(claims, strlen(claims), jwt_text + n);
	token_hmac(key, 32, jwt_text, n, mac);
	jwt_text[n++] = '.';
	n += token_b64(mac, sizeof(mac), jwt_text + n);
	return n;
}

static int
verify(const char *head, const char *claims, struct jwt *j)
{
	return jwt_verify(key, 32, jwt_text, make(head, claims), 1000, j);
}

#define HS "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static void
jwt_round(void **state)
{
	struct jwt j = { .user_id = 5,
		.session = 12,
		.role = "agent",
		.name = "L\xc3\xaa \"x\"",
		.aud = "parley",
		.exp = 2000,
		.iat = 900 },
		   got;
	char text[JWT_BYTES_MAX], *p;
	size_t n, i;

	(void)state;
	n = jwt_sign(key, 32, &j, text);
	assert_int_equal(n, strlen(text));
	assert_int_equal(jwt_verify(key, 32, text, n, 1000, &got), 0);
	assert_int_equal(got.user_id, 5);
	assert_string_equal(got.user, "5");
	assert_int_equal(got.session, 12);
	assert_string_equal(got.role, "agent");
	assert_string_equal(got.name, j.name);
	assert_int_equal(got.exp, 2000);
	for (i = 0; i < n; i++) {
		/* From the heap, so that reading too far is seen. */
		p = malloc(i + 1);
		memcpy(p, text, i);
		assert_int_equal(jwt_verify(key, 32, p, i, 1000, &got), -1);
		free(p);
		p = malloc(n);
		memcpy(p, text, n);
		p[i] = p[i] == 'A' ? 'B' : 'A';
		assert_int_equal(jwt_verify(key, 32, p, n, 1000, &got), -1);
		free(p);
	}
	/* 60 s of leeway, not more. */
	assert_int_equal(jwt_verify(key, 32, text, n, 2059, &got), 0);
	assert_int_equal(jwt_verify(key, 32, text, n, 2060, &got), -1);
	/* A short key signs and proves nothing. */
	assert_int_equal(jwt_sign(key, 31, &j, text), 0);
	assert_int_equal(jwt_verify(key, 31, text, n, 1000, &got), -1);
	assert_int_equal(jwt_verify("x", 0, text, n, 1000, &got), -1);
}

static void
jwt_refused(void **state)
{
	static const char *const heads[] = { "{\"alg\":\"none\"}",
		"{\"alg\":\"HS384\"}", "{\"alg\":\"hs256\"}",
		"{\"alg\":\"RS256\"}", "{}", "[]",
		"{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
		"{\"alg\":\"HS256\",\"crit\":[\"x\"]}",
		"{\"alg\":\"HS256\",\"typ\":\"JWE\"}",
		"{\"alg\":[\"HS256\"]}" };
	static const char *const claims[] = { "{\"userId\":5}",
		"{\"exp\":2000}", "{\"userId\":null,\"exp\":2000}",
		"{\"userId\":\"\",\"exp\":2000}",
		"{\"userId\":[5],\"exp\":2000}",
		"{\"userId\":5,\"exp\":\"2000\"}", "{\"userId\":5,\"exp\":-1}",
		"{\"userId\":5,\"exp\":900}", "{\"userId\":5,\"exp\":null}",
		"{\"userId\":5,\"userId\":6,\"exp\":2000}",
		"{\"userId\":5,\"exp\":2000,\"nbf\":1061}",
		"{\"userId\":5,\"exp\":2000,\"role\":1}",
		"{\"userId\":5,\"exp\":2000,\"role\":\"aaaaaaaaaaaaaaaaaaaa\"}",
		"{\"userId\":5,\"exp\":2000,\"aud\":[\"a\",\"b\"]}",
		"{\"userId\":5,\"exp\":2000,\"sid\":{}}",
		"{\"userId\":5,\"exp\":1e300}", "{\"userId\":5,\"exp\":2000} ,",
		"not json", "" };
	struct jwt j;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (verify(heads[i], "{\"userId\":5,\"exp\":2000}", &j) == 0)
			fail_msg("taken: %s", heads[i]);
	for (i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		if (verify(HS, claims[i], &j) == 0)
			fail_msg("taken: %s", claims[i]);
	assert_int_equal(j.user_id, 0);
	/* What is good. */
	assert_int_equal(
	    verify("{\"alg\":\"HS256\"}",
		"{\"userId\":\"u-9\",\"exp\":2000.5,\"nbf\":1060,\"sid\":\"7\"}",
		&j),
	    0);
	assert_string_equal(j.user, "u-9");
	assert_int_equal(j.user_id, 0);
	assert_int_equal(j.session, 7);
	assert_string_equal(j.role, "");
	assert_int_equal(
	    verify(
		HS, "{\"userId\":\"5\",\"exp\":2000,\"aud\":[\"parley\"]}", &j),
	    0);
	assert_int_equal(j.user_id, 5);
	assert_string_equal(j.aud, "parley");
	/* Four parts; two parts. */
	n = make(HS, "{\"userId\":5,\"exp\":2000}");
	memcpy(jwt_text + n, ".x", 3);
	assert_int_equal(jwt_verify(key, 32, jwt_text, n + 2, 1000, &j), -1);
	assert_int_equal(jwt_verify(key, 32, "a.b", 3, 1000, &j), -1);
	assert_int_equal(jwt_verify(key, 32, "..", 2, 1000, &j), -1);
}

static int
setup(void **state)
{
	static char k[sizeof(key)], dir[] = "/tmp";

	(void)state;
	memcpy(k, key, sizeof(key));
	cf.jwt_key = k;
	cf.run_dir = dir;
	cf.hash_jobs_max = 2;
	cf.hash_wait_ms_max = 2000;
	return token_init();
}

/* The short way through our own form reads what the long way reads. */
static void
jwt_both_ways(void **state)
{
	static const char *const claims[] = {
		"\"userId\":5,\"sid\":\"12\",\"role\":\"agent\",\"name\":\"Trần Mai\","
		"\"aud\":\"parley\",\"iat\":900,\"exp\":2000}",
		"\"userId\":5,\"exp\":2000}",
		"\"userId\":5,\"exp\":940}",
		"\"userId\":0,\"exp\":2000}",
		"\"userId\":05,\"exp\":2000}",
		"\"userId\":5,\"sid\":\"x\",\"exp\":2000}",
		"\"userId\":5,\"sid\":\"12,\"exp\":2000}",
		"\"userId\":5,\"role\":\"a\\u0000b\",\"exp\":2000}",
		"\"userId\":5,\"role\":\"\\u0061dmin\",\"exp\":2000}",
		"\"userId\":5,\"name\":\"\xc3\",\"exp\":2000}",
		"\"userId\":5,\"name\":\"a\tb\",\"exp\":2000}",
		"\"userId\":5,\"role\":\"aaaaaaaaaaaaaaaa\",\"exp\":2000}",
		"\"userId\":9007199254740993,\"exp\":2000}",
		"\"userId\":99999999999999999999,\"exp\":2000}",
		"\"userId\":5,\"exp\":2000}}",
		"\"userId\":5,\"exp\":2000",
	};
	char ours[512], other[512];
	struct jwt a, b;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		(void)snprintf(ours, sizeof(ours), "{%s", claims[i]);
		(void)snprintf(other, sizeof(other), "{ %s", claims[i]);
		rc = verify(HS, ours, &a);
		if (i < 2)
			assert_int_equal(rc, 0);
		if (verify(HS, other, &b) != rc ||
		    memcmp(&a, &b, sizeof(a)) != 0)
			fail_msg("read in two ways: %s", claims[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64),
		cmocka_unit_test(randomness),
		cmocka_unit_test(credentials),
		cmocka_unit_test(passwords),
		cmocka_unit_test(jwt_round),
		cmocka_unit_test(jwt_refused),
		cmocka_unit_test(jwt_both_ways),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
