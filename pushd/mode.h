#ifndef PARLEY_MODE_H
#define PARLEY_MODE_H

/*
 * Modes for public conformance suites: pushd answers whoever comes, so on
 * loopback alone, and neither events nor the FastCGI programs have a part in
 * it.
 */

#include "conf.h"

enum mode {
	MODE_SERVE,        /* none of them */
	MODE_ECHO,         /* native WebSockets echo */
	MODE_PROTOCOL_TEST /* Engine.IO and Socket.IO echo */
};

#define MODE_MESSAGE_MAX (16 << 20) /* bytes */

/*
 * mode_listen_ok(m, addr):
 * Whether the mode may listen at ${addr}: loopback and a port.  A Unix path is
 * refused too, since a web server may pass strangers on to it.
 */
int mode_listen_ok(enum mode m, const char *addr);

/*
 * mode_env(m): into the environment what a mode's settings are to be read as.
 */
void mode_env(enum mode m);

/* mode_conf(m, cf): the settings as the mode has them. */
void mode_conf(enum mode m, struct conf *cf);

#endif
