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

#define SETTINGS_PATH 96 /* bytes of an address of the settings */

/*
 * settings_once(rq, rs, act):
 * A form with a one-time `key` that is no page: ${act} does it inside the
 * transaction and says where its result is seen.  303 there; 422 if it set
 * bad_field; else h_refuse.
 */
int settings_once(struct req *rq, struct rsp *rs,
    int (*act)(struct req *rq, char path[SETTINGS_PATH]));

#endif
