/*
 * poll.fcgi: polling, in a program of its own so that it stays small and never
 * waits behind a request that writes.
 */

#include "h_poll.h"
#include "serve.h"

#define POLL (ROUTE_NODB | ROUTE_HERE)

/* clang-format off */
static const struct route routes[] = {
	{ "GET", "/api/events/poll",	     WHO_MEMBER, 0, poll_get, POLL },
	{ "GET", "/api/api/events/poll",     WHO_MEMBER, 0, poll_get, POLL },
	/* pushd's; where there is none it does not wait. */
	{ "GET", "/api/events/longpoll",     WHO_MEMBER, 0, poll_get, POLL },
	{ "GET", "/api/api/events/longpoll", WHO_MEMBER, 0, poll_get, POLL },
};
/* clang-format on */

int
main(int argc, char **argv)
{
	return serve(argc, argv, routes, sizeof(routes) / sizeof(routes[0]));
}
