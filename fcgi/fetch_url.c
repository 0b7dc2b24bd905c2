/*
 * Which addresses of others are fetched.  URLs are read strictly, so that what
 * is checked here and what libcurl connects to cannot be two things; the
 * address itself is checked when the name is resolved.
 */
#include "fetch_url.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "id.h"

/* Whether ${port} is in the list "80,443". */
static bool
port_listed(const char *list, int port)
{
	int64_t v;
	size_t n;

	for (; *list != '\0'; list += n) {
		list += strspn(list, ", ");
		n = strcspn(list, ", ");
		if (n > 0 && id_number(list, n, 1, 65535, &v) == 0 && v == port)
			return true;
	}
	return false;
}

/* The host of ${n} bytes at ${p}, in brackets or not. */
static int
host_read(const char *p, size_t n, struct fetch_url *u)
{
	struct addr a;
	bool six = n > 2 && p[0] == '[' && p[n - 1] == ']';

	if (six) {
		p++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(u->host))
		return -1;
	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' &&
		    c != '.' && c != '_' && !(six && c == ':'))
			return -1;
		u->host[i] = c;
	}
	u->host[n] = '\0';
	if (six)
		return addr_parse(u->host, n, &a);
	/* A last label of digits alone is an address, or would be read as one.
	 */
	p = strrchr(u->host, '.');
	p = p != NULL ? p + 1 : u->host;
	if (*p == '\0' || (*p >= '0' && *p <= '9'))
		return addr_parse(u->host, n, &a);
	return 0;
}

int
fetch_url_read(const char *text, struct fetch_url *u)
{
	size_t len = strlen(text), n, host;
	const char *p = text, *colon;
	int64_t port;

	memset(u, 0, sizeof(*u));
	if (len > FETCH_URL_MAX)
		return -1;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] <= 0x20 || p[i] == 0x7f || p[i] == '\\')
			return -1;
	if (strncasecmp(p, "https://", 8) == 0) {
		u->https = true;
		p += 8;
	} else if (strncasecmp(p, "http://", 7) == 0) {
		p += 7;
	} else {
		return -1;
	}
	n = strcspn(p, "/?#");
	if (memchr(p, '@', n) != NULL)
		return -1;
	/* The last colon, unless it is within brackets. */
	for (colon = p + n; colon > p && colon[-1] != ':' && colon[-1] != ']';)
		colon--;
	u->port = u->https ? 443 : 80;
	host = n;
	if (colon > p && colon[-1] == ':') {
		host = (size_t)(colon - 1 - p);
		if (id_number(colon, n - host - 1, 1, 65535, &port) == -1)
			return -1;
		u->port = (int)port;
	}
	return host_read(p, host, u);
}

bool
fetch_addr_good(const struct conf *cf, const struct addr *a, int port)
{
	if (addr_listed(cf->fetch_networks, a))
		return true;
	return addr_public(a) && port_listed(cf->fetch_ports, port);
}

bool
fetch_url_good(const struct conf *cf, const struct fetch_url *u)
{
	struct addr a;

	if (!u->https && !cf->fetch_http)
		return false;
	if (addr_parse(u->host, strlen(u->host), &a) == 0)
		return fetch_addr_good(cf, &a, u->port);
	/* Where a name leads shows when it is resolved. */
	return port_listed(cf->fetch_ports, u->port) ||
	       cf->fetch_networks[0] != '\0';
}

const char *
fetch_url_why(const struct conf *cf, const struct fetch_url *u)
{
	struct addr a;

	if (fetch_url_good(cf, u))
		return NULL;
	if (!u->https && !cf->fetch_http)
		return "The url must be https; the setting fetch_http allows"
		       " http.";
	if (addr_parse(u->host, strlen(u->host), &a) == 0 && !addr_public(&a))
		return "The url leads to an address that is not public; the"
		       " setting fetch_networks allows those of this house.";
	return "The url has another port than those of the setting"
	       " fetch_ports.";
}

bool
fetch_url_same(const struct fetch_url *a, const struct fetch_url *b)
{
	return a->https == b->https && a->port == b->port &&
	       strcmp(a->host, b->host) == 0;
}
