#ifndef PARLEY_ORIGIN_H
#define PARLEY_ORIGIN_H

/* Origins of pages that call us: CORS, and the check on cookies. */

#include <stdbool.h>
#include <stddef.h>

enum origin {
	ORIGIN_NO,     /* not allowed; also "null" and nonsense */
	ORIGIN_ANY,    /* the list is `*`: answer `*`, never credentials */
	ORIGIN_LISTED, /* listed, whole: reflect, credentials allowed */
	ORIGIN_OURS    /* our own */
};

/*
 * origin_check(origin, list, base_url, host, https):
 * What the header ${origin} is.  Ours: equal to the origin of ${base_url}, or
 * its host and port equal those of ${host} (the Host header, or NULL) and it
 * is https if ${https}.  ${list}: origins parted by commas or spaces, or `*`.
 */
enum origin origin_check(const char *origin, const char *list,
    const char *base_url, const char *host, bool https);

/* origin_list_ok(list): whether each of such a list is an origin or `*`. */
bool origin_list_ok(const char *list);

#endif
