#ifndef PARLEY_SANDBOX_H
#define PARLEY_SANDBOX_H

/*
 * What is left to whoever takes pushd over.
 *
 * Once it runs, pushd keeps its descriptors, makes Unix sockets and takes
 * connections, and no more: no file is opened, no program started, no process
 * made, no other address family, no memory made executable.
 *
 * How a refused system call ends: those that pushd has no use for and a
 * break-in begins with (exec, fork, ptrace, foreign sockets, executable
 * memory, the kernel's wide doors) end the process at once, since nothing
 * honest led there; clients come back to the next one, and the log has
 * signal=31.  All others answer EPERM and go to the kernel's audit log: a
 * newer C library may try a call that we never heard of, and copes without.
 *
 * Builds under sanitizers have no seccomp and no Landlock, which their
 * run time could not live with, and may make a process, to look for leaks; so
 * has one made with -DSANDBOX_OFF, for valgrind.  The log says so.  No other
 * build has a way around.
 */

/*
 * sandbox_begin(): for the first moment: no core dumps, no tracing by others,
 * no rights by way of set-user-ID programs.
 */
void sandbox_begin(void);

/*
 * sandbox_user(name, folder):
 * Started by root: become the user ${name} (or its number); if it is "", the
 * owner of ${folder}, or nobody where that is root.  Not started by root:
 * nothing, and ${name} must be "" or who we are.  0, or -1 after logging.
 */
int sandbox_user(const char *name, const char *folder);

/*
 * sandbox_enter(): all sockets are open, no client has been heard.  What the
 * kernel cannot is logged, and the rest is in force.
 */
void sandbox_enter(void);

/*
 * sandbox_reader(path): the same for the child that reads the settings anew:
 * it makes no sockets, but opens what is in the folder of ${path} for reading.
 */
void sandbox_reader(const char *path);

#endif
