#ifndef PARLEY_JSON_H
#define PARLEY_JSON_H

/*
 * json-c with limits.  json-c alone takes 'single quotes', NaN, raw control
 * characters and the last of doubled keys; a strict scan goes before it.
 */

#include "buf.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * json_parse(p, len, depth_max, members_max, str_max, out, why):
 * Parse the ${len} bytes at ${p}, all of them: one JSON text (RFC 8259) in
 * valid UTF-8, no doubled names, no integer beyond int64, at most ${depth_max}
 * levels, ${members_max} members and items in all, ${str_max} bytes in one
 * string or name (decoded).  A lone surrogate becomes U+FFFD.
 * 0 and a new object (NULL for the text `null`) that the caller puts; or -1
 * and ${*why}: the code of an error, "bad_json", "bad_utf8", "too_large".
 */
int json_parse(const char *p, size_t len, size_t depth_max, size_t members_max,
    size_t str_max, struct json_object **out, const char **why);

/*
 * json_get_str/int/bool/obj/arr(o, key, value):
 * Read member ${key} of the object ${o}: 1 and the value, 0 if it is absent or
 * null (the value is untouched), -1 if it has another type (or ${o} is no
 * object).  Texts and objects are borrowed from ${o}; ${len} may be NULL.  A
 * number with a fraction is no int.
 */
int json_get_str(
    struct json_object *o, const char *key, const char **p, size_t *len);
int json_get_int(struct json_object *o, const char *key, int64_t *v);
int json_get_bool(struct json_object *o, const char *key, bool *v);
int json_get_obj(
    struct json_object *o, const char *key, struct json_object **v);
int json_get_arr(
    struct json_object *o, const char *key, struct json_object **v);

/*
 * json_get_id(o, key, v):
 * An id as text or number ("5" and 5 are one): as above, and -1 if it is no
 * id (id.h).
 */
int json_get_id(struct json_object *o, const char *key, int64_t *v);

/*
 * json_put_*(o, key, value):
 * Set member ${key} of ${o}.  A NULL text and the id 0 become null; an id is
 * written as a decimal string.  json_put takes ${v}.
 */
void json_put_str(struct json_object *o, const char *key, const char *s);
void json_put_strn(
    struct json_object *o, const char *key, const char *p, size_t len);
void json_put_int(struct json_object *o, const char *key, int64_t v);
void json_put_id(struct json_object *o, const char *key, int64_t id);
void json_put_bool(struct json_object *o, const char *key, bool v);
void json_put(struct json_object *o, const char *key, struct json_object *v);

/*
 * json_write(o, b):
 * Append ${o} to ${b} as one line: no spaces, no escaped slash; controls and
 * U+2028/2029 escaped; what is not UTF-8 becomes U+FFFD.
 */
void json_write(struct json_object *o, struct buf *b);

/*
 * json_write_str(b, p, len):
 * Append the ${len} bytes at ${p} as a JSON string with its quotes, as
 * json_write would; for answers built without json-c.
 */
void json_write_str(struct buf *b, const char *p, size_t len);

/*
 * json_span(p, len):
 * Bytes that the JSON value at the start of ${p} takes, by the same grammar as
 * json_parse (limits of limits.h, doubled names not looked for), or 0 if there
 * is none.  For cutting a value out of a line without building it.
 */
size_t json_span(const char *p, size_t len);

#endif
