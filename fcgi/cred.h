#ifndef PARLEY_CRED_H
#define PARLEY_CRED_H

/*
 * Who a credential shows: session cookie, token, API key, an integrator's
 * token; or a reference to one that was shown before.
 */

#include "../common/conf.h"
#include "jwt.h"
#include "store.h"
#include "token.h"
#include "who.h"

#include <stdbool.h>
#include <stdint.h>

/* Names of cookies; on TLS with `__Host-` in front (rsp_cookie does it). */
#define AUTH_COOKIE "parley"           /* a user's session */
#define AUTH_COOKIE_CUST "parley-chat" /* a customer's token */
#define AUTH_COOKIE_FORM "parley-form" /* CSRF secret where nobody is known */

/* What somebody shows; each NULL if absent.  In order of precedence. */
struct cred {
	const char *authorization; /* header, "Bearer T" */
	const char *token;         /* ?token=; only where url_tokens is on */
	const char *session;       /* ?session= */
	const char *cookie;        /* header */
	const char *ref;           /* alone: ask again who this is */
	const char *origin, *host; /* headers, for a cookie */
	const char *addr;          /* the client's address */
	bool https;
};

/* One read and proved, before the database was asked. */
struct shown {
	enum { SHOWN_SESSION, SHOWN_KEY, SHOWN_INTEGRATOR } kind;
	char secret[TOKEN_SIZE]; /* of a cookie or API key; "" if none */
	bool lesser;             /* the token says agent: never admin */
	struct jwt jwt;          /* of an integrator */
};

/* Answers of cred_read. */
enum { CRED_BAD = -1, CRED_NONE = 0, CRED_GOOD = 1 };

/*
 * cred_read(cf, c, customer, now_ms, w, sh):
 * Whatever ${c} shows, in the order of precedence, by its signature alone; of
 * cookies a customer's before a user's if ${customer}.  ${w} and ${sh} are
 * filled if it is CRED_GOOD, and ${w} is nobody else.  The caller wipes ${sh}.
 */
int cred_read(const struct conf *cf, const struct cred *c, bool customer,
    int64_t now_ms, struct who *w, struct shown *sh);

/*
 * cred_confirm(st, cf, w, sh):
 * Ask the database what the signature promised; fills in ${w}.  STORE_DONE:
 * still so; STORE_NONE: no more; STORE_FAILED.
 */
int cred_confirm(struct store *st, const struct conf *cf, struct who *w,
    const struct shown *sh);

/*
 * cred_ref(st, cf, ref, who):
 * Who ${ref} is now: 1; 0 ended, expired or disabled; -1 failed.
 */
int cred_ref(
    struct store *st, const struct conf *cf, const char *ref, struct who *who);

/*
 * cred_secure(cf, host, https):
 * Whether cookies of a request to ${host} are Secure and `__Host-`: always,
 * but over plain HTTP on loopback, or where allow_http is on.
 */
bool cred_secure(const struct conf *cf, const char *host, bool https);

#endif
