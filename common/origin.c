/* Which origins are ours, listed, or strangers: compared whole. */

#include "origin.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Bytes of scheme://host[:port] at the start of ${url}; 0 if it has none. */
static size_t
origin_len(const char *url)
{
	size_t n;

	if (strncasecmp(url, "http://", 7) == 0)
		n = 7;
	else if (strncasecmp(url, "https://", 8) == 0)
		n = 8;
	else
		return 0;
	return n + strcspn(url + n, "/?# \t,");
}

/* Length of ${s} less the port that goes without saying. */
static size_t
origin_bare(const char *s, size_t len, bool https)
{
	const char *port = https ? ":443" : ":80";
	size_t n = strlen(port);

	if (len > n && memcmp(s + len - n, port, n) == 0)
		return len - n;
	return len;
}

static bool
origin_same(const char *a, size_t alen, const char *b, size_t blen)
{
	return alen == blen && strncasecmp(a, b, alen) == 0;
}

enum origin
origin_check(const char *origin, const char *list, const char *base_url,
    const char *host, bool https)
{
	size_t len, n, skip, hlen;
	bool tls, any = false;

	if (origin == NULL || (len = origin_len(origin)) == 0 ||
	    origin[len] != '\0')
		return ORIGIN_NO;
	tls = tolower((unsigned char)origin[4]) == 's';
	skip = tls ? 8 : 7;
	if (len == skip || memchr(origin + skip, '@', len - skip) != NULL)
		return ORIGIN_NO;

	n = base_url != NULL ? origin_len(base_url) : 0;
	if (n > 0 && origin_same(origin, origin_bare(origin, len, tls),
			 base_url, origin_bare(base_url, n, tls)))
		return ORIGIN_OURS;
	if (host != NULL && host[0] != '\0' && (tls || !https)) {
		hlen = origin_bare(host, strlen(host), tls);
		n = origin_bare(origin, len, tls);
		if (origin_same(origin + skip, n - skip, host, hlen))
			return ORIGIN_OURS;
	}
	for (; list != NULL && *list != '\0'; list += n) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == 1 && *list == '*')
			any = true;
		else if (n > 0 && origin_same(origin, len, list,
				      list[n - 1] == '/' ? n - 1 : n))
			return ORIGIN_LISTED;
	}
	return any ? ORIGIN_ANY : ORIGIN_NO;
}

bool
origin_list_ok(const char *list)
{
	size_t n, len;

	for (; *list != '\0'; list += n) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == 0 || (n == 1 && *list == '*'))
			continue;
		len = list[n - 1] == '/' ? n - 1 : n;
		if (origin_len(list) != len || list[len - 1] == '/' ||
		    memchr(list, '@', len) != NULL)
			return false;
	}
	return true;
}
