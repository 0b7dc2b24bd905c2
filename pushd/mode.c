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
	if (m != MODE_PROTOCOL_TEST)
		return;
	setenv("PARLEY_CORS_ORIGINS", "*", 1);
	/* As the suites have them, unless the environment wants others. */
	setenv("PARLEY_PING_INTERVAL_MS", "300", 0);
	setenv("PARLEY_PING_TIMEOUT_MS", "200", 0);
	setenv("PARLEY_SOCKET_CONNECT_S", "1", 0);
}

void
mode_conf(enum mode m, struct conf *cf)
{
	if (m == MODE_SERVE)
		return;
	cf->limits = false; /* of rates and connections, on loopback */
	if (m == MODE_PROTOCOL_TEST) {
		cf->socket_payload_bytes_max = 1000000;
		return;
	}
	cf->ws_message_bytes_max = MODE_MESSAGE_MAX;
	cf->ws_fragments_max = MODE_MESSAGE_MAX;
	cf->queue_bytes_max = 4 * (MODE_MESSAGE_MAX + 16);
}
