#ifndef PARLEY_JWT_H
#define PARLEY_JWT_H

/* JSON Web Tokens: HS256 alone, strict. */

#include "../common/limits.h"

#include <stddef.h>
#include <stdint.h>

#define JWT_LEEWAY_S 60
#define JWT_AUDIENCE "parley" /* of tokens of ours */

struct jwt {
	char user[REF_BYTES_MAX];  /* userId, number or string, as text */
	int64_t user_id;           /* the same as an id; 0 if it is not one */
	int64_t session;           /* sid; 0 if absent */
	char role[16];             /* "" if absent */
	char name[NAME_BYTES_MAX]; /* "" if absent */
	char aud[208];             /* "" if absent */
	int64_t exp;               /* seconds */
	int64_t iat;               /* seconds; 0 if absent */
};

/*
 * jwt_sign(key, klen, j, out):
 * The token of ${j}: userId (as number if user_id > 0), sid, role, name and
 * aud where they are not empty, iat, exp.  Its length, or 0 if it does not fit.
 */
size_t jwt_sign(
    const void *key, size_t klen, const struct jwt *j, char out[JWT_BYTES_MAX]);

/*
 * jwt_verify(key, klen, p, len, now_s, j):
 * Check form, header, signature, exp (and nbf) with the leeway, and read the
 * claims.  0, or -1.  Never with a key under 32 bytes.
 */
int jwt_verify(const void *key, size_t klen, const char *p, size_t len,
    int64_t now_s, struct jwt *j);

#endif
