/* fetch_url.c: what it takes for a host, libcurl takes for the same one. */

#include "fetch_url.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *host = NULL, *port = NULL;
	struct fetch_url u;
	struct addr a, b;
	CURLU *c = NULL;
	size_t n;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (fetch_url_read(text, &u) == -1 || (c = curl_url()) == NULL ||
	    curl_url_set(c, CURLUPART_URL, text, 0) != CURLUE_OK ||
	    curl_url_get(c, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(c, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) !=
		CURLUE_OK)
		goto out;
	assert(atoi(port) == u.port);
	n = strlen(host);
	if (addr_parse(u.host, strlen(u.host), &a) == 0)
		assert(addr_parse(host, n, &b) == 0 &&
		       memcmp(&a, &b, sizeof(a)) == 0);
	else
		assert(strcasecmp(host, u.host) == 0);
out:
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(c);
	free(text);
	return 0;
}
