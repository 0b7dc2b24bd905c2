/*
 * Addresses by which a platform, which cannot log in, fetches one file: the
 * number, an end, and a proof of both.
 */
#include "media_link.h"

#include <stdio.h>
#include <string.h>

#include "http_request.h"
#include "id.h"
#include "token.h"

static void
proof(const struct conf *cf, int64_t id, int64_t until_s, char out[TOKEN_SIZE])
{
	char text[64];
	int n = snprintf(
	    text, sizeof(text), "%lld %lld", (long long)id, (long long)until_s);

	token_mac(cf, "media", text, (size_t)n, out);
}

void
media_link(const struct conf *cf, int64_t id, const char *name, int64_t now_ms,
    struct buf *out)
{
	int64_t until_s = now_ms / 1000 + cf->media_link_life_s;
	char mac[TOKEN_SIZE];

	proof(cf, id, until_s, mac);
	buf_printf(out, "%s%s/media/%lld.%lld.%s/", cf->base_url, cf->base_path,
	    (long long)id, (long long)until_s, mac);
	http_urlencode(out, name, strlen(name));
}

int64_t
media_link_read(const struct conf *cf, const char *text, int64_t now_ms)
{
	const char *a = strchr(text, '.'), *b;
	int64_t id, until_s;
	char mac[TOKEN_SIZE];

	if (a == NULL || (b = strchr(a + 1, '.')) == NULL ||
	    id_number(text, (size_t)(a - text), 1, INT64_MAX, &id) == -1 ||
	    id_number(a + 1, (size_t)(b - a - 1), 1, INT64_MAX / 1000,
		&until_s) == -1)
		return 0;
	proof(cf, id, until_s, mac);
	if (!token_equal(b + 1, strlen(b + 1), mac, strlen(mac)) ||
	    until_s < now_ms / 1000)
		return 0;
	return id;
}
