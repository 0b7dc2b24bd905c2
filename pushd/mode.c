/*
 * mode.c: modes for public conformance suites.
 */
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "mode.h"

int
mode_listen_ok(enum mode m, const char *addr)
{
	const char *colon = strrchr(addr, ':');
	char host[ADDR_TEXT_MAX];
	size_t n;

	if (m == MODE_SERVE)
		return 1;
	if (colon == NULL || strchr(addr, '/') != NULL)
		return 0;
	n = (size_t)(colon - addr);
	if (n >= 2 && addr[0] == '[' && addr[n - 1] == ']') {
		addr++;
		n -= 2;
	}
	if (n >= sizeof(host))
		return 0;
	memcpy(host, addr, n);
	host[n] = '\0';
	return strcmp(host, "localhost") == 0 || addr_loopback(host);
}

void
mode_env(enum mode m)
{
	if (m == MODE_PROTOCOL_TEST)
		setenv("PARLEY_CORS_ORIGINS", "*", 1);
}

void
mode_conf(enum mode m, struct conf *cf)
{
	if (m == MODE_SERVE)
		return;
	cf->limits = false; /* of rates and connections, on loopback */
	if (m == MODE_PROTOCOL_TEST) {
		cf->ping_interval_ms = 300;
		cf->ping_timeout_ms = 200;
		cf->socket_payload_bytes_max = 1000000;
		cf->socket_connect_s = 1;
		return;
	}
	cf->ws_message_bytes_max = MODE_MESSAGE_MAX;
	cf->ws_fragments_max = MODE_MESSAGE_MAX;
	cf->queue_bytes_max = 4 * (MODE_MESSAGE_MAX + 16);
}
