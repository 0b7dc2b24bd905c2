#ifndef PARLEY_SOCK_H
#define PARLEY_SOCK_H

/*
 * Sockets.  An address is a Unix path if it has a '/', else HOST:PORT with a
 * numeric host ([::1]:80 for IPv6).  All are non-blocking and close-on-exec.
 */

#include <sys/types.h>

/*
 * sock_listen(addr, type, backlog):
 * Listen at ${addr}; ${type} is SOCK_STREAM or SOCK_SEQPACKET (paths only).  A
 * path takes PATH.lock first, so a second instance never unlinks a live
 * socket; the lock lives as long as the process.  The socket is 0660.
 * The descriptor, or -1 after logging.
 */
int sock_listen(const char *addr, int type, int backlog);

/*
 * sock_listen_locked(addr, type, backlog, lock):
 * The same, and ${*lock} is the lock's descriptor, for who passes both on: -1
 * where there is none.
 */
int sock_listen_locked(const char *addr, int type, int backlog, int *lock);

/*
 * sock_connect(addr, type):
 * Begin to connect to ${addr}.  The descriptor (perhaps still connecting: TCP,
 * EINPROGRESS), or -1 with errno, not logged.
 */
int sock_connect(const char *addr, int type);

/* sock_addr_ok(addr): whether ${addr} can be such an address. */
int sock_addr_ok(const char *addr);

/* sock_peer_uid(fd, uid): the peer's user of a Unix socket: 0, or -1. */
int sock_peer_uid(int fd, uid_t *uid);

/*
 * sock_peer_ok(fd):
 * Whether the peer of a Unix socket is us or root.
 */
int sock_peer_ok(int fd);

/*
 * sock_backlog(fd):
 * Connections that wait at the listening socket ${fd}; -1 where the system
 * does not tell, not logged.
 */
int sock_backlog(int fd);

/*
 * sock_lock(path):
 * Take the exclusive lock file ${path} (made 0600) without waiting.  A
 * descriptor to keep open, or -1: errno EWOULDBLOCK if another holds it.
 */
int sock_lock(const char *path);

#endif
