#ifndef PARLEY_FENCE_H
#define PARLEY_FENCE_H

/*
 * Landlock: what this process may reach from here on, told to the kernel.
 * Needs no privileges, cannot be undone, and holds for children too.
 *
 *	struct fence f;
 *	if (fence_begin(&f, 0) == 0) {
 *		fence_grant(&f, dir, FENCE_READ);
 *		rc = fence_end(&f);
 *	}
 */

#include <stdint.h>

enum fence_access {
	FENCE_READ, /* read files and folders */
	FENCE_WRITE /* that, and write, make and remove them */
};

struct fence {
	int rules;   /* descriptor of the rules so far */
	int version; /* of the kernel's Landlock, from 1 */
	int failed;  /* a grant could not be made */
};

/*
 * fence_begin(f, alone):
 * Rules that grant no file at all and no program.  ${alone}: nor a TCP
 * connection or listening port (from version 4 of Landlock), nor an abstract
 * socket of a process outside or a signal to one (from version 6).
 * 0; -1 where the kernel has no Landlock, with errno, not logged.
 */
int fence_begin(struct fence *f, int alone);

/* fence_grant(f, path, access): ... but what is beneath ${path}, if it is. */
void fence_grant(struct fence *f, const char *path, enum fence_access access);

/* fence_grant_folder(f, path, access): the folder that holds ${path}. */
void fence_grant_folder(
    struct fence *f, const char *path, enum fence_access access);

/*
 * fence_end(f):
 * Put the rules into force, and no_new_privs with them.  0, or -1 with errno,
 * not logged: nothing is in force then.  Ends ${f} either way.
 */
int fence_end(struct fence *f);

#endif
