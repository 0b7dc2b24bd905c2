#ifndef PARLEY_CONFINE_H
#define PARLEY_CONFINE_H

#include "conf.h"

/*
 * confine(cf):
 * From here on this process may write only in the folders of ${cf}, read
 * those, the templates and a few files of the system, and start no program.
 * By Landlock; needs no privileges.  0; or -1 where the
 * kernel cannot, logged once a process: go on without.
 */
int confine(const struct conf *cf);

#endif
