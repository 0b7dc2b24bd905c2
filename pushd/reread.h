#ifndef PARLEY_REREAD_H
#define PARLEY_REREAD_H

/*
 * Who reads the settings anew.  pushd may open no file once it runs, and shall
 * never hold the keys that are in that one; so a child of it, forked before
 * and shut in likewise, reads on demand and hands over what is pushd's.
 */

#include <ev.h>

#include "conf.h"

struct reread {
	struct ev_loop *loop;
	ev_io io;
	int fd; /* the child's; -1: none */
	void (*done)(void *arg, struct conf *cf, const char *fault);
	void *arg;
};

/*
 * reread_start(r, loop, path, done, arg):
 * Make the child; ${path} as for conf_load (NULL: no file).  ${done} is called
 * with each answer: settings, which it takes, or why there are none.  0, or -1
 * after logging.
 */
int reread_start(struct reread *r, struct ev_loop *loop, const char *path,
    void (*done)(void *arg, struct conf *cf, const char *fault), void *arg);

/* reread_ask(r): read; the answer comes later. */
void reread_ask(struct reread *r);

/* reread_stop(r): the child ends. */
void reread_stop(struct reread *r);

#endif
