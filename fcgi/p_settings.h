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
 * Begin a page of the settings as view_open does: ${tab} is its name among
 * their links.
 */
int settings_begin(struct view *v, struct req *rq, struct rsp *rs,
    const char *tab, const char *title);

#endif
