#ifndef PARLEY_TOKEN_H
#define PARLEY_TOKEN_H

/* Random tokens, hashes, HMAC, password hashes. */

#include "../common/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_SIZE 44      /* 256 bits in base64url and a NUL */
#define TOKEN_HASH_SIZE 65 /* SHA-256 in hex and a NUL */
#define TOKEN_MAC_BYTES 32
#define PASSWORD_HASH_SIZE 128

/* token_init(): call once a process, before all else here.  0, or -1. */
int token_init(void);

/* token_new(out): 256 random bits of the kernel. */
void token_new(char out[TOKEN_SIZE]);

/* token_hash(p, len, out): SHA-256 in hex: what the database keeps. */
void token_hash(const void *p, size_t len, char out[TOKEN_HASH_SIZE]);

/* token_equal(a, alen, b, blen): compare in constant time (for one length). */
bool token_equal(const void *a, size_t alen, const void *b, size_t blen);

/*
 * token_hmac(key, klen, p, len, mac): HMAC-SHA-256.
 * token_hmac_at(secret, time, tlen, p, len, mac): the same of the time, a dot
 * and the body, as webhooks are signed.
 */
void token_hmac(const void *key, size_t klen, const void *p, size_t len,
    unsigned char mac[TOKEN_MAC_BYTES]);
void token_hmac_at(const char *secret, const char *time, size_t tlen,
    const void *p, size_t len, unsigned char mac[TOKEN_MAC_BYTES]);

/*
 * token_mac(cf, use, p, len, out):
 * HMAC of the text with a key derived from jwt_key for ${use} ("session",
 * "csrf", ...; static), base64url.
 */
void token_mac(const struct conf *cf, const char *use, const void *p,
    size_t len, char out[TOKEN_SIZE]);

/*
 * token_b64(p, len, out): base64url without padding; (len * 4 + 2) / 3 + 1
 * bytes.  Returns the length.
 * token_unb64(p, len, out, size): strict: no padding, no spaces, no stray
 * bits.  The length, or -1.
 */
size_t token_b64(const void *p, size_t len, char *out);
long token_unb64(const char *p, size_t len, void *out, size_t size);

/*
 * Credentials that carry their own proof, so that a poll with nothing new is
 * answered without the database:
 *
 *	customer   pc1.CUSTOMER.SESSION.EXP.MAC		EXP in seconds
 *	cookie     USER.SESSION.SECRET.MAC
 *	API key    pk1.USER.KEY.SECRET.MAC
 *
 * The database keeps the SHA-256 of SECRET; a customer's MAC stands for itself.
 */
enum token_kind { TOKEN_NONE, TOKEN_CUSTOMER, TOKEN_COOKIE, TOKEN_KEY };

struct token {
	enum token_kind kind;
	int64_t owner;           /* customer or user */
	int64_t session;         /* session or API key */
	int64_t exp;             /* seconds; of a customer's, else 0 */
	char secret[TOKEN_SIZE]; /* SECRET, or MAC of a customer's */
};

#define TOKEN_TEXT_SIZE 192 /* any of the three as text, with its NUL */

/* token_write(cf, t, out): the text of ${t}; fills a customer's secret. */
void token_write(
    const struct conf *cf, struct token *t, char out[TOKEN_TEXT_SIZE]);

/*
 * token_read(cf, p, len, t):
 * Read and prove a credential.  1; 0 if it has another form altogether (a JWT
 * perhaps); -1 if it has the form and is forged or malformed.  Expiry is not
 * looked at.
 */
int token_read(
    const struct conf *cf, const char *p, size_t len, struct token *t);

/*
 * password_hash(cf, p, len, out):
 * Argon2id; waits for one of hash_jobs_max turns on this host.  0; -1 no turn
 * within hash_wait_ms_max, or no memory: answer 503 "busy".
 */
int password_hash(const struct conf *cf, const char *p, size_t len,
    char out[PASSWORD_HASH_SIZE]);

/*
 * password_verify(cf, hash, p, len):
 * 1 right, 0 wrong, -1 as above.  With ${hash} NULL (no such account) it does
 * the same work and says 0.
 */
int password_verify(
    const struct conf *cf, const char *hash, const char *p, size_t len);

/* password_old(hash): whether it was made with lesser settings than now. */
bool password_old(const char *hash);

/*
 * password_bad(p, len):
 * NULL, or why it must be refused: "short", "long" or "common".
 */
const char *password_bad(const char *p, size_t len);

#endif
