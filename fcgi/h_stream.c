/*
 * Streams are pushd's.  While it does not run, the web server asks for the
 * same path here (apache.conf, lighttpd.conf), and so does plain CGI.
 */

#include "h_stream.h"

/*
 * GET /api/events/stream, /api/api/events/stream, /chat/sse,
 *     /notifications/sse
 * 200 an empty stream that says to come back in 3 s: after any other status an
 * EventSource never does.
 */
int
stream_get(struct req *rq, struct rsp *rs)
{
	static const char text[] = "retry: 3000\n\n";

	(void)rq;
	return rsp_raw(rs, 200, "text/event-stream", text, sizeof(text) - 1);
}
