/*
 * media.fcgi: files up and down.  A program of its own, since a file takes as
 * long as its sender or reader likes, and nobody else should wait for that.
 */

#include "h_media.h"
#include "p_files.h"
#include "p_view.h"
#include "serve.h"

#define STREAM ROUTE_STREAM
#define FORM (ROUTE_PAGE | ROUTE_FORM | ROUTE_STREAM)

/* clang-format off */
static const struct route routes[] = {
	/* method  path				who		body  handler */
	{ "POST",  "/api/uploads",		WHO_MEMBER,	1,    upload_post, STREAM },
	{ "GET",   "/media/:id/:name",		WHO_ANY,	0,    media_get, 0 },
	{ "POST",  "/inbox/:id/files",		WHO_AGENT,	1,    inbox_post_file, FORM },
	{ "POST",  "/chat/:resume/files",	WHO_ANY | WHO_CUST, 1, visit_post_file, FORM },
};
/* clang-format on */

int
main(int argc, char **argv)
{
	rsp_page_error = view_page_error;
	return serve(argc, argv, routes, sizeof(routes) / sizeof(routes[0]));
}
