#ifndef FETCH_URL_H
#define FETCH_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "conf.h"

/*
 * Which addresses of others are fetched: public ones, on ports one would
 * expect, without anybody's name in them.  Nothing here asks anybody: URLs and
 * addresses in, yes or no out.
 */

#define FETCH_URL_MAX 4096 /* bytes */

struct fetch_url {
	bool https;
	char host[256]; /* lower case; an IPv6 address without brackets */
	int port;
};

/*
 * fetch_url_read(text, u): an absolute http or https URL in its plainest form.
 * 0; -1 it is none, too long, holds userinfo, controls, blanks, a backslash,
 * or a host or port that is written oddly.
 */
int fetch_url_read(const char *text, struct fetch_url *u);

/*
 * fetch_url_good(cf, u): whether it may be asked at all: the scheme, the port,
 * and the host where that is an address.  Hosts of fetch_networks may have any
 * port.
 */
bool fetch_url_good(const struct conf *cf, const struct fetch_url *u);

/*
 * fetch_url_why(cf, u): why it may not, in English; NULL: it may.
 */
const char *fetch_url_why(const struct conf *cf, const struct fetch_url *u);

/* fetch_addr_good(cf, a, port): whether one may connect to where it leads. */
bool fetch_addr_good(const struct conf *cf, const struct addr *a, int port);

/* fetch_url_same(a, b): of one origin: what is told one may be told the other.
 */
bool fetch_url_same(const struct fetch_url *a, const struct fetch_url *b);

#endif
