#ifndef PARLEY_SERVE_H
#define PARLEY_SERVE_H

#include "route.h"

#include <stddef.h>

/*
 * serve(argc, argv, routes, n):
 * The whole of a FastCGI or CGI program's main: options (--conf FILE,
 * --version), configuration, log, then requests until TERM, INT or USR1, or
 * one request where it runs as CGI.  Returns the exit status.
 */
int serve(int argc, char **argv, const struct route *routes, size_t n);

/*
 * serve_idle: called after each FastCGI request was answered, with the store
 * if it is open (else NULL); for work nobody should wait for.  NULL: nothing.
 */
extern void (*serve_idle)(struct store *st);

#endif
