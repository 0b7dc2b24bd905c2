/*
 * media.fcgi: files up and down.  A program of its own, since a file takes as
 * long as its sender or reader likes, and nobody else should wait for that.
 */

#include "h_media.h"
#include "serve.h"

#define STREAM ROUTE_STREAM

/* clang-format off */
static const struct route routes[] = {
	/* method  path				who		body  handler */
	{ "POST",  "/api/uploads",		WHO_MEMBER,	1,    upload_post, STREAM },
	{ "GET",   "/media/:id/:name",		WHO_ANY,	0,    media_get, 0 },
};
/* clang-format on */

int
main(int argc, char **argv)
{
	return serve(argc, argv, routes, sizeof(routes) / sizeof(routes[0]));
}
