/*
 * Random tokens, hashes, HMAC and passwords, all by libsodium; and the
 * credentials that carry their own proof.
 */

#include "token.h"

#include "clock.h"
#include "id.h"
#include "limits.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define HASH_OPS 2
#define HASH_MEMORY (19u << 20) /* bytes */
#define HASH_RETRY_MS 5

#define KEYED_MAX 8         /* keys whose HMAC has its beginning kept */
#define KEYED_BYTES_MAX 128 /* bytes of such a key */

/* Verified in place of an account that is not there: the same work. */
static const char nobody[] =
    "$argon2id$v=19$m=19456,t=2,p=1$gUA81AM5kGO0g+L1cfSmxw$bspazG"
    "FhkMGq0sLqp80FDXKnHYiCPMFDz8h3bJjE3XQ";

int
token_init(void)
{
	if (sodium_init() == -1) {
		log_error("token init: no source of randomness");
		return -1;
	}
	return 0;
}

size_t
token_b64(const void *p, size_t len, char *out)
{
	size_t size = (len * 4 + 2) / 3 + 1;

	(void)sodium_bin2base64(
	    out, size, p, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return size - 1;
}

/* What a letter of base64url stands for, or -1. */
static int
b64_value(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/*
 * By hand, since sodium's takes ten times as long to hide the letters, which
 * here come from outside and hide nothing.
 */
long
token_unb64(const char *p, size_t len, void *out, size_t size)
{
	unsigned char *to = out;
	unsigned bits = 0, have = 0;
	size_t i, n = 0;
	int v;

	for (i = 0; i < len; i++) {
		if ((v = b64_value(p[i])) == -1)
			return -1;
		bits = (bits << 6 | (unsigned)v) & 0xffff;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == size)
			return -1;
		to[n++] = (unsigned char)(bits >> have & 0xff);
	}
	/* One letter alone is none, and the rest must be no bits at all. */
	if (have == 6 || (bits & ((1u << have) - 1)) != 0)
		return -1;
	return (long)n;
}

void
token_new(char out[TOKEN_SIZE])
{
	unsigned char raw[32];

	randombytes_buf(raw, sizeof(raw));
	(void)token_b64(raw, sizeof(raw), out);
	sodium_memzero(raw, sizeof(raw));
}

void
token_hash(const void *p, size_t len, char out[TOKEN_HASH_SIZE])
{
	unsigned char raw[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256(raw, p, len);
	(void)sodium_bin2hex(out, TOKEN_HASH_SIZE, raw, sizeof(raw));
}

bool
token_equal(const void *a, size_t alen, const void *b, size_t blen)
{
	return alen == blen && sodium_memcmp(a, b, alen) == 0;
}

/*
 * A key's share of the work, done once a process: a poll with nothing new is
 * hardly more than its HMAC.
 */
static struct keyed {
	unsigned char key[KEYED_BYTES_MAX];
	size_t len; /* 0: free */
	crypto_auth_hmacsha256_state begun;
} keyed[KEYED_MAX];

static void
hmac_begin(crypto_auth_hmacsha256_state *st, const void *key, size_t len)
{
	static unsigned next;
	struct keyed *k;
	unsigned i;

	for (i = 0; i < KEYED_MAX && len <= KEYED_BYTES_MAX && len > 0; i++) {
		k = &keyed[i];
		if (k->len == len && sodium_memcmp(k->key, key, len) == 0) {
			*st = k->begun;
			return;
		}
	}
	(void)crypto_auth_hmacsha256_init(st, key, len);
	if (len > KEYED_BYTES_MAX || len == 0)
		return;
	k = &keyed[next++ % KEYED_MAX];
	memcpy(k->key, key, len);
	k->len = len;
	k->begun = *st;
}

void
token_hmac(const void *key, size_t klen, const void *p, size_t len,
    unsigned char mac[TOKEN_MAC_BYTES])
{
	crypto_auth_hmacsha256_state st;

	hmac_begin(&st, key, klen);
	(void)crypto_auth_hmacsha256_update(&st, p, len);
	(void)crypto_auth_hmacsha256_final(&st, mac);
}

void
token_hmac_at(const char *secret, const char *time, size_t tlen, const void *p,
    size_t len, unsigned char mac[TOKEN_MAC_BYTES])
{
	crypto_auth_hmacsha256_state st;

	hmac_begin(&st, secret, strlen(secret));
	(void)crypto_auth_hmacsha256_update(
	    &st, (const unsigned char *)time, tlen);
	(void)crypto_auth_hmacsha256_update(&st, (const unsigned char *)".", 1);
	(void)crypto_auth_hmacsha256_update(&st, p, len);
	(void)crypto_auth_hmacsha256_final(&st, mac);
}

/*
 * The state of an HMAC whose key was derived for ${use}, ready for the text:
 * deriving it anew each time would cost more than the proof itself.
 */
static const crypto_auth_hmacsha256_state *
mac_state(const struct conf *cf, const char *use)
{
	static struct made {
		const char *use;
		crypto_auth_hmacsha256_state st;
	} made[8];
	static char of[1025]; /* jwt_key they were made with */
	static size_t n;
	unsigned char key[TOKEN_MAC_BYTES];
	size_t i;

	if (strcmp(of, cf->jwt_key) != 0) {
		(void)snprintf(of, sizeof(of), "%s", cf->jwt_key);
		n = 0;
	}
	for (i = 0; i < n; i++)
		if (strcmp(made[i].use, use) == 0)
			return &made[i].st;
	/* There are fewer uses than places; another takes the last. */
	i = n < sizeof(made) / sizeof(made[0]) ? n++ : n - 1;
	/* One use's proofs are worth nothing for another. */
	token_hmac(cf->jwt_key, strlen(cf->jwt_key), use, strlen(use), key);
	made[i].use = use;
	(void)crypto_auth_hmacsha256_init(&made[i].st, key, sizeof(key));
	sodium_memzero(key, sizeof(key));
	return &made[i].st;
}

void
token_mac(const struct conf *cf, const char *use, const void *p, size_t len,
    char out[TOKEN_SIZE])
{
	crypto_auth_hmacsha256_state st = *mac_state(cf, use);
	unsigned char mac[TOKEN_MAC_BYTES];

	(void)crypto_auth_hmacsha256_update(&st, p, len);
	(void)crypto_auth_hmacsha256_final(&st, mac);
	(void)token_b64(mac, sizeof(mac), out);
}

/* What each kind looks like in front, and the use its proof is made for. */
static const struct form {
	const char *mark, *use;
} forms[] = {
	[TOKEN_CUSTOMER] = { "pc1.", "customer" },
	[TOKEN_COOKIE] = { "", "session" },
	[TOKEN_KEY] = { "pk1.", "key" },
};

void
token_write(const struct conf *cf, struct token *t, char out[TOKEN_TEXT_SIZE])
{
	const struct form *f = &forms[t->kind];
	char mac[TOKEN_SIZE];
	int n;

	if (t->kind == TOKEN_CUSTOMER)
		n = snprintf(out, TOKEN_TEXT_SIZE, "%s%lld.%lld.%lld", f->mark,
		    (long long)t->owner, (long long)t->session,
		    (long long)t->exp);
	else
		n = snprintf(out, TOKEN_TEXT_SIZE, "%s%lld.%lld.%s", f->mark,
		    (long long)t->owner, (long long)t->session, t->secret);
	token_mac(cf, f->use, out, (size_t)n, mac);
	(void)snprintf(out + n, TOKEN_TEXT_SIZE - (size_t)n, ".%s", mac);
	if (t->kind == TOKEN_CUSTOMER)
		memcpy(t->secret, mac, sizeof(mac));
}

/* Cut the part before the next dot (or the end) off ${*p}. */
static size_t
part(const char **p, const char *end, const char **from)
{
	const char *dot;

	*from = *p;
	if (*p == NULL)
		return 0;
	dot = memchr(*p, '.', (size_t)(end - *p));
	*p = dot != NULL ? dot + 1 : NULL;
	return (size_t)((dot != NULL ? dot : end) - *from);
}

int
token_read(const struct conf *cf, const char *p, size_t len, struct token *t)
{
	const char *end = p + len, *at = p, *from, *mac;
	unsigned char raw[32];
	char good[TOKEN_SIZE];
	size_t n;

	memset(t, 0, sizeof(*t));
	if (len > 4 && memcmp(p, "pc1.", 4) == 0)
		t->kind = TOKEN_CUSTOMER;
	else if (len > 4 && memcmp(p, "pk1.", 4) == 0)
		t->kind = TOKEN_KEY;
	else if (len > 0 && p[0] >= '0' && p[0] <= '9')
		t->kind = TOKEN_COOKIE;
	else
		return 0;
	at += strlen(forms[t->kind].mark);
	n = part(&at, end, &from);
	t->owner = id_parse(from, n);
	n = part(&at, end, &from);
	t->session = from != NULL ? id_parse(from, n) : 0;
	n = part(&at, end, &from);
	if (t->owner == 0 || t->session == 0 || from == NULL || at == NULL)
		goto bad;
	if (t->kind == TOKEN_CUSTOMER) {
		if ((t->exp = id_parse(from, n)) == 0)
			goto bad;
	} else {
		if (n != TOKEN_SIZE - 1 ||
		    token_unb64(from, n, raw, sizeof(raw)) != 32)
			goto bad;
		memcpy(t->secret, from, n);
	}
	n = part(&at, end, &mac);
	if (at != NULL || n != TOKEN_SIZE - 1)
		goto bad;
	token_mac(cf, forms[t->kind].use, p, (size_t)(mac - 1 - p), good);
	if (!token_equal(good, TOKEN_SIZE - 1, mac, n))
		goto bad;
	if (t->kind == TOKEN_CUSTOMER)
		memcpy(t->secret, mac, n);
	return 1;
bad:
	memset(t, 0, sizeof(*t));
	return -1;
}

/*
 * Wait for a turn to hash: one of hash_jobs_max lock files.  The descriptor to
 * close after it; -1 none came in time; -2 there is nowhere to lock: go ahead.
 */
static int
hash_turn(const struct conf *cf)
{
	const struct timespec nap = { 0, HASH_RETRY_MS * 1000000L };
	int64_t until = clock_mono_ms() + cf->hash_wait_ms_max;
	char path[PATH_MAX];
	int64_t i;
	int fd;

	for (;;) {
		for (i = 0; i < cf->hash_jobs_max; i++) {
			(void)snprintf(path, sizeof(path), "%s/hash.%lld.lock",
			    cf->run_dir, (long long)i);
			fd = open(path,
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
				O_NOCTTY,
			    0600);
			if (fd == -1) {
				log_sys("hash lock");
				return -2;
			}
			if (flock(fd, LOCK_EX | LOCK_NB) == 0)
				return fd;
			(void)close(fd);
		}
		if (clock_mono_ms() >= until)
			return -1;
		(void)nanosleep(&nap, NULL);
	}
}

int
password_hash(const struct conf *cf, const char *p, size_t len,
    char out[PASSWORD_HASH_SIZE])
{
	int fd, rc;

	if ((fd = hash_turn(cf)) == -1)
		return -1;
	rc = crypto_pwhash_str_alg(
	    out, p, len, HASH_OPS, HASH_MEMORY, crypto_pwhash_ALG_ARGON2ID13);
	if (fd >= 0)
		(void)close(fd);
	if (rc != 0)
		log_error("password hash: no memory");
	return rc == 0 ? 0 : -1;
}

int
password_verify(
    const struct conf *cf, const char *hash, const char *p, size_t len)
{
	const char *h = hash != NULL && hash[0] != '\0' ? hash : nobody;
	int fd, rc;

	if ((fd = hash_turn(cf)) == -1)
		return -1;
	errno = 0;
	rc = crypto_pwhash_str_verify(h, p, len);
	if (fd >= 0)
		(void)close(fd);
	if (rc != 0 && errno == ENOMEM) {
		log_error("password verify: no memory");
		return -1;
	}
	return rc == 0 && h == hash;
}

bool
password_old(const char *hash)
{
	return crypto_pwhash_str_needs_rehash(hash, HASH_OPS, HASH_MEMORY) != 0;
}

/* Of those with eight letters or more, the ones tried first everywhere. */
static const char *const common[] = {
	"123456789",
	"1234567890",
	"12345678",
	"123123123",
	"11111111",
	"00000000",
	"87654321",
	"987654321",
	"0987654321",
	"1q2w3e4r",
	"1qaz2wsx",
	"1q2w3e4r5t",
	"qwertyuiop",
	"qwerty123",
	"qwerty12",
	"qwertyui",
	"qwerty1234",
	"asdfghjkl",
	"asdfasdf",
	"zxcvbnm1",
	"password",
	"password1",
	"password12",
	"password123",
	"passw0rd",
	"p@ssw0rd",
	"p@ssword",
	"pa55word",
	"iloveyou",
	"iloveyou1",
	"sunshine",
	"princess",
	"football",
	"baseball",
	"superman",
	"starwars",
	"trustno1",
	"welcome1",
	"welcome123",
	"whatever",
	"letmein1",
	"letmein123",
	"dragon123",
	"monkey123",
	"michelle",
	"computer",
	"internet",
	"samsung1",
	"changeme",
	"changeit",
	"default1",
	"administrator",
	"admin123",
	"admin1234",
	"admin12345",
	"adminadmin",
	"root1234",
	"test1234",
	"testtest",
	"test12345",
	"guest123",
	"user1234",
	"abcd1234",
	"abc12345",
	"abc123456",
	"a1234567",
	"a12345678",
	"aa123456",
	"aa12345678",
	"123456aa",
	"123456789a",
	"1234qwer",
	"12341234",
	"11223344",
	"12344321",
	"123321123",
	"121212121",
	"147258369",
	"741852963",
	"159753456",
	"789456123",
	"123qweasd",
	"qweasdzxc",
	"1qazxsw2",
	"zaq12wsx",
	"q1w2e3r4",
	"q1w2e3r4t5",
	"asdf1234",
	"khongbiet",
	"khongco1",
	"anhyeuem",
	"emyeuanh",
	"yeuem123",
	"matkhau1",
	"matkhau123",
	"maiyeuem",
	"vietnam1",
	"vietnam123",
	"saigon123",
	"hanoi123",
	"thailand",
	"bangkok1",
	"bangkok123",
	"parley123",
	"parleychat",
	"livechat",
};

const char *
password_bad(const char *p, size_t len)
{
	size_t i;

	if (len < PASSWORD_BYTES_MIN)
		return "short";
	if (len > PASSWORD_BYTES_MAX)
		return "long";
	for (i = 1; i < len && p[i] == p[0]; i++)
		;
	if (i == len)
		return "common";
	for (i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (strlen(common[i]) == len &&
		    strncasecmp(common[i], p, len) == 0)
			return "common";
	return NULL;
}
