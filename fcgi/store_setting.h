#ifndef STORE_SETTING_H
#define STORE_SETTING_H

#include "store.h"

/* Settings kept in the database, and the audit log. */

/* store_setting_get(st, key, out): returns new the JSON value. */
int store_setting_get(
    struct store *st, const char *key, struct json_object **out);

/*
 * store_audit(st, who, address, action, object, detail):
 * ${who} NULL: the command line.  ${object} "user:5" or NULL; ${detail} an
 * object of ids and words, or NULL; never texts or secrets.
 */
int store_audit(struct store *st, const struct who *who, const char *address,
    const char *action, const char *object, struct json_object *detail);

#endif
