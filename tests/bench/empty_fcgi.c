/*
 * The floor for FastCGI: answers every request with the same small JSON and
 * looks at nothing.  As plain CGI it does the same once.
 */
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char answer[] =
    "Status: 200 OK\r\n"
    "Content-Type: application/json; charset=utf-8\r\n"
    "Cache-Control: no-store\r\n"
    "\r\n"
    "{\"success\":true,\"events\":[],\"cursor\":\"1700000000000\","
    "\"timestamp\":1700000000000,\"more\":false,\"next_poll_ms\":3000}\n";

int
main(void)
{
	FCGX_Request rq;

	if (FCGX_IsCGI())
		return fputs(answer, stdout) < 0;
	/* The socket comes non-blocking, which FCGX_Accept_r cannot use. */
	if (fcntl(0, F_SETFL, fcntl(0, F_GETFL) & ~O_NONBLOCK) == -1)
		return 1;
	if (FCGX_Init() != 0 || FCGX_InitRequest(&rq, 0, 0) != 0)
		return 1;
	while (FCGX_Accept_r(&rq) == 0) {
		FCGX_PutStr(answer, (int)strlen(answer), rq.out);
		FCGX_Finish_r(&rq);
	}
	return 0;
}
