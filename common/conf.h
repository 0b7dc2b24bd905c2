#ifndef PARLEY_CONF_H
#define PARLEY_CONF_H

/*
 * The configuration: parley.conf (`key = value`), every key overridable as
 * PARLEY_KEY in the environment.  The settings are listed in conf_keys.h.
 */

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_FCGI 1u  /* FastCGI programs, worker, parley */
#define CONF_PUSHD 2u /* pushd: no signing keys, no database */
#define CONF_ALL 3u
/* With CONF_FCGI: do not insist on keys being set (parley init, check). */
#define CONF_LAX 4u

#define CONF_C_STR char *
#define CONF_C_PATH char *
#define CONF_C_WORD char *
#define CONF_C_NUM int64_t
#define CONF_C_BOOL bool

/* A member per key of conf_keys.h, of the same name; texts are never NULL. */
struct conf {
#define K(name, type, dflt, min, max, scope, secret, help) CONF_C_##type name;
#include "conf_keys.h"
#undef K
	char *file; /* path it was read from; "" if from none */
};

enum conf_type { CONF_STR, CONF_PATH, CONF_WORD, CONF_NUM, CONF_BOOL };

struct conf_key {
	const char *name;
	enum conf_type type;
	const char *dflt;
	int64_t min, max; /* of a number, or of a text's bytes */
	unsigned scope;   /* CONF_FCGI, CONF_PUSHD or both */
	bool secret;
	const char *help;
	size_t offset; /* in struct conf */
};

extern const struct conf_key conf_keys[];
extern const size_t conf_keys_n;

/*
 * conf_load(cf, path, scope, err):
 * Fill ${cf} from defaults, then the file ${path} (NULL: no file), then the
 * environment, keeping only keys of ${scope}.  Every fault (unknown or doubled
 * key, bad value, missing or short signing key, file readable by others while
 * it holds secrets) becomes a line `FILE:LINE: text` in ${err}, without the
 * value; all of them are found, not only the first.
 * 0, or -1 with ${err}; conf_free is right after either.
 */
int conf_load(
    struct conf *cf, const char *path, unsigned scope, struct buf *err);

/* conf_free(cf): wipe secrets and free all.  Harmless on a zeroed struct. */
void conf_free(struct conf *cf);

/*
 * conf_pack(cf, scope, out):
 * Append the settings of ${scope} as bytes, for another process of the same
 * build.  conf_unpack(cf, scope, p, len): fill ${cf} from them, all others
 * empty; 0, or -1 if they are not that.  conf_free is right after either.
 */
void conf_pack(const struct conf *cf, unsigned scope, struct buf *out);
int conf_unpack(struct conf *cf, unsigned scope, const char *p, size_t len);

/*
 * conf_find(out, size):
 * Where parley.conf is: PARLEY_CONF of the environment, else beside this
 * program's folder (/proc/self/exe), in its parent, in parent/var, and the
 * same one folder further up.  1 and ${out} (absolute), or 0 if there is none.
 */
int conf_find(char *out, size_t size);

#endif
