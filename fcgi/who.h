#ifndef PARLEY_WHO_H
#define PARLEY_WHO_H

/* Who asks. */

#include "../common/limits.h"

#include <stdbool.h>
#include <stdint.h>

enum who_kind {
	WHO_NOBODY,
	WHO_USER,     /* an agent or admin */
	WHO_CUSTOMER, /* of a shop, in its own conversations */
	WHO_PUSHD     /* pushd itself, with the internal key */
};

#define WHO_CSRF_SIZE 44 /* base64url of 256 bits and a NUL */

struct who {
	enum who_kind kind;
	int64_t id;      /* user or customer; 0 for nobody and pushd */
	int64_t session; /* session, or API key if via 'k'; else 0 */
	bool admin;
	bool confirmed; /* the database says so, not the signature alone */
	char via;       /* 'b'earer token, 'c'ookie, 'q'uery, 'i'nternal
			   (pushd for somebody), 'k' API key; 0 nobody */
	char ref[REF_BYTES_MAX];   /* u:5:12 c:9:40 k:5:3 i:5:agent:EXP; "" */
	char name[NAME_BYTES_MAX]; /* "" until confirmed */
	char locale[8];            /* vi, th, en or "" */
	char csrf[WHO_CSRF_SIZE];  /* for forms and X-CSRF-Token; "" if none */
	int64_t expires_at;        /* ms; 0: does not */
};

#endif
