#ifndef PARLEY_P_SETTINGS_H
#define PARLEY_P_SETTINGS_H

/* Pages for admins. */

#include "p_view.h"
#include "req.h"
#include "rsp.h"

int settings_page(struct req *rq, struct rsp *rs);
int settings_push_page(struct req *rq, struct rsp *rs);

/*
 * settings_begin(v, rq, rs, tab, title):
 * Begin a page of the settings, in a read transaction of the caller: ${tab} is
 * its name among their links, ${title} the key of a text.  STORE_DONE, or
 * STORE_FAILED: the view is dropped.
 */
int settings_begin(struct view *v, struct req *rq, struct rsp *rs,
    const char *tab, const char *title);

#endif
