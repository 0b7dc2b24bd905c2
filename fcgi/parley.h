#ifndef PARLEY_PARLEY_H
#define PARLEY_PARLEY_H

/*
 * parley, the admin's command: what its parts share.  parley.c finds the
 * command, a parley_*.c or run.c does it.
 */

#include "conf.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct store;

#define PARLEY_PATH_MAX 4096

/* One command.  ${args} begins after its name; the exit status comes back. */
struct parley_cmd {
	const char *name; /* "init", "user add" */
	const char *args; /* for its usage line */
	const char *help; /* lines, each ended by \n; the first sums up */
	int (*run)(const struct parley_cmd *c, int n, char **args);
};

extern const struct parley_cmd parley_init, parley_user_add,
    parley_user_password, parley_user_disable, parley_user_enable,
    parley_user_role, parley_token, parley_key_add, parley_key_end,
    parley_channel_list, parley_channel_add, parley_channel_set,
    parley_channel_check, parley_webhook_list, parley_webhook_show,
    parley_webhook_replay, parley_work, parley_check, parley_status, parley_run;

/* What getopt would do, over long options alone. */
struct parley_opt {
	const char *name;   /* "--email" */
	const char **value; /* where its value goes; NULL: a flag */
	int *flag;          /* set to 1 if it is there */
};

/*
 * parley_opts(c, n, args, opts, rest, nrest):
 * Read ${args} as ${opts} (ended by a NULL name) say; --conf and --help are
 * understood everywhere.  Other words go to ${rest}[*nrest], if not NULL, at
 * most ${*nrest} of them.  0 to go on; 1 done (--help was answered); -1 after
 * telling what is wrong.
 */
int parley_opts(const struct parley_cmd *c, int n, char **args,
    const struct parley_opt *opts, const char **rest, size_t *nrest);

/* parley_status_of(rc): exit status after parley_opts said not to go on. */
#define parley_status_of(rc) ((rc) == 1 ? 0 : 2)

/* parley_err(fmt, ...): one line on standard error. */
void parley_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * parley_conf_path(out, size, made):
 * The configuration's absolute path: --conf, PARLEY_CONF, or found beside the
 * program.  With ${made} it need not exist: var/parley.conf here if nothing
 * else is said, and folders that it needs are made.  0, or -1 after telling.
 */
int parley_conf_path(char *out, size_t size, int made);

/*
 * parley_conf_load(cf, flags):
 * Find and load it (conf.h's scope and flags).  0, or -1 after telling.
 * As root it first becomes the user to whom the workspace belongs, so that
 * nothing there comes to belong to root.
 */
int parley_conf_load(struct conf *cf, unsigned flags);

/* parley_store(cf, st): open the database.  0, or -1 after telling. */
int parley_store(const struct conf *cf, struct store **st);

/* parley_dirs(cf): make the folders that are missing.  0; or -1, told. */
int parley_dirs(const struct conf *cf);

/*
 * parley_store_there(cf):
 * -1 after telling if there is no database, or one of another schema: then it
 * makes no sense to start anything.  Else 0, also if it cannot be opened now.
 */
int parley_store_there(const struct conf *cf);

/*
 * Places.  parley_bin: the folder of api.fcgi and the others (beside parley,
 * or ../lib/parley).  parley_www: the folder www/ that belongs to this
 * program.  0, or -1 if there is none.
 */
int parley_bin(char *out, size_t size);
int parley_www(char *out, size_t size);

/* parley_path(out, size, fmt, ...): 0, or -1 if it does not fit. */
int parley_path(char *out, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* parley_password(out, size): a new random password to show once. */
void parley_password(char *out, size_t size);

/*
 * parley_free_port(from):
 * A TCP port at 127.0.0.1 that nobody listens at: ${from} if it is one, else
 * one that the system picks.  0 if there is none.
 */
int parley_free_port(int from);

/* parley_port_busy(addr): whether HOST:PORT cannot be listened at. */
int parley_port_busy(const char *addr);

/* parley_number(text, lo, hi, out): a whole decimal number.  0, or -1. */
int parley_number(const char *text, long lo, long hi, long *out);

/* parley_plain(s, max): 1 to ${max} bytes of text without control characters.
 */
int parley_plain(const char *s, size_t max);

/*
 * parley_conf_set(path, key, value):
 * Replace or add one line of a configuration file, atomically, keeping the
 * rest as it is.  0, or -1 after telling.
 */
int parley_conf_set(const char *path, const char *key, const char *value);

/* parley_base(cf, out, size): base_url and base_path, or the default. */
void parley_base(const struct conf *cf, char *out, size_t size);

/*
 * parley_demo_fill(cf, st): fill a workspace without users for a first look,
 * its log-ins into PARLEY_DEMO_FILE.  0, or -1.
 */
int parley_demo_fill(const struct conf *cf, struct store *st);

#define PARLEY_DEMO_FILE "demo.txt" /* log-ins of a demo workspace, 0600 */

#endif
