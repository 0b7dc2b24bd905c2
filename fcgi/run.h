#ifndef RUN_H
#define RUN_H

/*
 * What the parts of parley run share: the run, its processes, and what each
 * part does for run.c.  They tell what is wrong by parley_err, once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf.h"
#include "parley.h"

#define RUN_PROCS_MAX 512 /* 6 pools of at most 64, and the rest */

enum run_kind { RUN_WEB, RUN_PUSHD, RUN_WORKER, RUN_POOL };

/* One process that is to be there. */
struct run_proc {
	enum run_kind kind;
	char name[24];       /* api-1; run/NAME.pid */
	const char *program; /* api.fcgi, of a pool */
	const char *log;     /* log/LOG.log */
	int fd;              /* its pool's socket, or -1 */
	pid_t pid;           /* 0: not running */
	pid_t old;           /* whose place it takes, until that is gone */
	bool again;          /* ... and then another is to take it */
	pid_t group;         /* of its predecessor, until all of that is gone */
	int64_t started_ms;
	int64_t due_ms; /* not before */
	int fails;      /* short lives in a row */
};

/* One run of a workspace. */
struct run {
	struct conf cf;
	char conf[PARLEY_PATH_MAX];
	char bin[PARLEY_PATH_MAX];
	char home[PARLEY_PATH_MAX]; /* of apache.conf and lighttpd.conf */
	char self[PARLEY_PATH_MAX];
	char push[PARLEY_PATH_MAX]; /* push_listen, its path absolute */
	const char *listen; /* address of the web server, without port */
	long port;
	bool apache; /* else lighttpd */
	bool cgi;    /* no pools, no pushd */
	bool demo;
	bool ready;
	pid_t probe; /* watches for everything to answer; 0 when done */
	struct run_proc proc[RUN_PROCS_MAX];
	size_t n;
};

/*
 * run_user_drop(r):
 * As root, give the workspace to the user of SUDO_UID, or nobody, see that the
 * folders above it let that user through, and become it.  0, or -1.
 */
int run_user_drop(struct run *r);

/*
 * run_place_find(r): the programs and the servers' configurations; 0, -1.
 * run_place_check(r): whether all of that is there and may be read, and nobody
 * else writes to the workspace; 0, -1.
 */
int run_place_find(struct run *r);
int run_place_check(const struct run *r);

/*
 * run_place_lock(r): one run a workspace, as long as this process lives; 0, -1.
 * run_place_clear(r):
 * What a run left that was killed: its processes end by themselves, but not at
 * once, and until then have our ports and locks.  Then their pid files go,
 * which would name strangers soon.
 */
int run_place_lock(const struct run *r);
void run_place_clear(const struct run *r);

/*
 * run_place_ports(r): ports that must be ours; a demo's own pushd port moves
 * out of the way.  0, -1.
 * run_place_port(r): the port of a loopback base_url, or 0.
 * run_place_url(r): a demo's links name the port that it has this time; 0, -1.
 */
int run_place_ports(struct run *r);
long run_place_port(const struct run *r);
int run_place_url(struct run *r);

/*
 * run_web_find(apache, out, size): the path of Apache, else of lighttpd, in
 * ${out}; NULL: it is not installed.
 * run_web_modules(): where Apache's modules are; NULL: not where usual.
 */
const char *run_web_find(bool apache, char *out, size_t size);
const char *run_web_modules(void);

/*
 * run_web_secret(r):
 * Write the files by which the web server learns the word that pushd knows it
 * by.  Not by the environment, which its children would inherit.  0, or -1.
 */
int run_web_secret(const struct run *r);

/*
 * In a child.  run_web_exec(r): become the web server, told what its
 * configuration wants to know; does not return.
 * run_env(name, value): into its environment; without memory it ends.
 */
void run_web_exec(const struct run *r);
void run_env(const char *name, const char *value);

/*
 * run_proc_due(r, most_ms): start what is due; ms until something else is, at
 * most ${most_ms}.
 * run_proc_ended(r, p, status, stopping): ${p} has ended: its children go too,
 * then it may start again, unless all is ${stopping}.
 */
int64_t run_proc_due(struct run *r, int64_t most_ms);
void run_proc_ended(
    struct run *r, struct run_proc *p, int status, bool stopping);

/*
 * run_proc_succeed(r, p):
 * A new pushd takes the place of the one that runs, its sockets and clients;
 * the old one sends back whom it could not pass on, and ends.
 * run_proc_old_ended(r, p, stopping): the predecessor has ended.
 * run_proc_restored(r, p): the successor did not get what it came for: the old
 * one goes on.
 */
void run_proc_succeed(struct run *r, struct run_proc *p);
void run_proc_old_ended(struct run *r, struct run_proc *p, bool stopping);
void run_proc_restored(struct run *r, struct run_proc *p);

/*
 * run_ready_probe(r): in a child of its own: wait until all answer, say who
 * does not, and end with 0 or 1.
 * run_ready_say(r): all have answered: say so.
 * run_ready_log(r, log): the last lines of a log, to say why they do not.
 */
void run_ready_probe(const struct run *r);
void run_ready_say(struct run *r);
void run_ready_log(const struct run *r, const char *log);

#endif
