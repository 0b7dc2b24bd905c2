#ifndef PARLEY_SERVE_H
#define PARLEY_SERVE_H

#include "route.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * serve(argc, argv, routes, n):
 * The whole of a FastCGI or CGI program's main: options (--conf FILE,
 * --version), configuration, log, then requests until TERM, INT or USR1, or
 * one request where it runs as CGI.  Returns the exit status.
 */
int serve(int argc, char **argv, const struct route *routes, size_t n);

/*
 * serve_tail: called when the answer of a request has left, with the store if
 * it is open (else NULL): for work nobody should wait for.  As CGI the output
 * is closed by then.  NULL: nothing.
 * serve_waiting(): whether another request waits for this process, or for any
 * of its pool.
 */
extern void (*serve_tail)(const struct conf *cf, struct store *st);
bool serve_waiting(void);

#endif
