/*
 * Sockets of ours: Unix paths guarded by a lock file, and loopback TCP where
 * it must be.
 */

#define _GNU_SOURCE /* struct ucred */

#include "id.h"
#include "limits.h"
#include "log.h"
#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCK_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

/* Fill ${un} with the path; -1 and ENAMETOOLONG if it does not fit. */
static int
sock_path(const char *path, struct sockaddr_un *un)
{
	size_t len = strlen(path);

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (len > SOCK_PATH_MAX || len >= sizeof(un->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(un->sun_path, path, len + 1);
	return 0;
}

/* Read HOST:PORT, numbers only; the length, or 0 and EINVAL. */
static socklen_t
sock_resolve(const char *addr, struct sockaddr_storage *ss)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;
	const char *colon = strrchr(addr, ':');
	char host[64];
	int64_t port;
	size_t n;

	errno = EINVAL;
	memset(ss, 0, sizeof(*ss));
	if (colon == NULL ||
	    id_number(colon + 1, strlen(colon + 1), 0, 65535, &port) == -1)
		return 0;
	n = (size_t)(colon - addr);
	if (n >= 2 && addr[0] == '[' && addr[n - 1] == ']') {
		addr++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(host))
		return 0;
	memcpy(host, addr, n);
	host[n] = '\0';
	if (strcmp(host, "localhost") == 0)
		(void)snprintf(host, sizeof(host), "127.0.0.1");
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		return sizeof(*v6);
	}
	return 0;
}

int
sock_addr_ok(const char *addr)
{
	struct sockaddr_storage ss;
	struct sockaddr_un un;

	if (strchr(addr, '/') != NULL)
		return sock_path(addr, &un) == 0;
	return sock_resolve(addr, &ss) != 0;
}

static int
sock_listen_unix(const char *path, int type, int backlog, int *lock_fd)
{
	struct sockaddr_un un;
	char lock[SOCK_PATH_MAX + 8];
	int fd = -1, held = -1;

	if (sock_path(path, &un) == -1) {
		log_sys("sock listen path=%s", path);
		return -1;
	}
	(void)snprintf(lock, sizeof(lock), "%s.lock", path);
	/* Without the lock somebody else may live at this path. */
	if ((held = sock_lock(lock)) == -1) {
		log_sys("sock listen lock=%s", lock);
		return -1;
	}
	(void)unlink(path);
	if ((fd = socket(AF_UNIX, type | SOCK_FLAGS, 0)) == -1)
		goto bad;
	if (bind(fd, (const struct sockaddr *)&un, sizeof(un)) == -1)
		goto bad;
	/* The folder keeps strangers out in the moment before this. */
	if (chmod(path, 0660) == -1 || listen(fd, backlog) == -1)
		goto bad;
	*lock_fd = held; /* stays open as long as the process lives */
	return fd;
bad:
	log_sys("sock listen path=%s", path);
	if (fd != -1)
		(void)close(fd);
	(void)close(held);
	return -1;
}

static int
sock_listen_tcp(const char *addr, int type, int backlog)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd = -1, on = 1;

	if (type != SOCK_STREAM || (len = sock_resolve(addr, &ss)) == 0) {
		log_error("sock listen addr=%s: no such address", addr);
		return -1;
	}
	if ((fd = socket(ss.ss_family, SOCK_STREAM | SOCK_FLAGS, 0)) == -1)
		goto bad;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&ss, len) == -1 ||
	    listen(fd, backlog) == -1)
		goto bad;
	return fd;
bad:
	log_sys("sock listen addr=%s", addr);
	if (fd != -1)
		(void)close(fd);
	return -1;
}

int
sock_listen_locked(const char *addr, int type, int backlog, int *lock)
{
	*lock = -1;
	if (strchr(addr, '/') != NULL)
		return sock_listen_unix(addr, type, backlog, lock);
	return sock_listen_tcp(addr, type, backlog);
}

int
sock_listen(const char *addr, int type, int backlog)
{
	int lock;

	return sock_listen_locked(addr, type, backlog, &lock);
}

int
sock_connect(const char *addr, int type)
{
	struct sockaddr_storage ss;
	struct sockaddr_un un;
	const struct sockaddr *to = (const struct sockaddr *)&ss;
	socklen_t len = sizeof(un);
	int fd, e, on = 1;

	if (strchr(addr, '/') != NULL) {
		if (sock_path(addr, &un) == -1)
			return -1;
		to = (const struct sockaddr *)&un;
	} else if ((len = sock_resolve(addr, &ss)) == 0) {
		return -1;
	}
	if ((fd = socket(to->sa_family, type | SOCK_FLAGS, 0)) == -1)
		return -1;
	if (to->sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, to, len) == -1 && errno != EINPROGRESS) {
		e = errno;
		(void)close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

int
sock_peer_uid(int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return -1;
	*uid = cred.uid;
	return 0;
}

int
sock_peer_ok(int fd)
{
	uid_t uid;

	if (sock_peer_uid(fd, &uid) == -1)
		return 0;
	return uid == geteuid() || uid == 0;
}

/* What the kernel says of the Unix socket with that inode. */
static int
unix_backlog(int nl, uint32_t inode)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req rq;
	} ask = { .h = { .nlmsg_len = sizeof(ask),
		      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		      .nlmsg_flags = NLM_F_REQUEST },
		.rq = { .sdiag_family = AF_UNIX,
		    .udiag_states = ~0U,
		    .udiag_ino = inode,
		    .udiag_show = UDIAG_SHOW_RQLEN,
		    .udiag_cookie = { ~0U, ~0U } } };
	union {
		struct nlmsghdr h;
		char bytes[1024];
	} got;
	const struct unix_diag_rqlen *len;
	const struct rtattr *at;
	ssize_t n;
	size_t left;

	if (send(nl, &ask, sizeof(ask), 0) != (ssize_t)sizeof(ask) ||
	    (n = recv(nl, &got, sizeof(got), MSG_DONTWAIT)) <= 0 ||
	    !NLMSG_OK(&got.h, (size_t)n) ||
	    got.h.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -1;
	at = (const void *)(got.bytes +
			    NLMSG_LENGTH(sizeof(struct unix_diag_msg)));
	left = got.h.nlmsg_len - NLMSG_LENGTH(sizeof(struct unix_diag_msg));
	for (; left >= sizeof(*at) && at->rta_len >= sizeof(*at) &&
	       at->rta_len <= left;
	     left -= RTA_ALIGN(at->rta_len),
	     at = (const void *)((const char *)at + RTA_ALIGN(at->rta_len)))
		if (at->rta_type == UNIX_DIAG_RQLEN &&
		    at->rta_len >= RTA_LENGTH(sizeof(*len))) {
			len = (const void *)((const char *)at + RTA_LENGTH(0));
			return (int)len->udiag_rqueue;
		}
	return -1;
}

int
sock_backlog(int fd)
{
	static int nl = -1;
	struct tcp_info ti;
	socklen_t size = sizeof(ti);
	struct stat sb;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &size) == 0)
		return (int)ti.tcpi_unacked;
	if (nl == -1)
		nl = socket(
		    AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (nl == -1 || fstat(fd, &sb) == -1)
		return -1;
	return unix_backlog(nl, (uint32_t)sb.st_ino);
}

int
sock_lock(const char *path)
{
	int fd, e;

	fd = open(
	    path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		e = errno;
		(void)close(fd);
		errno = e;
		return -1;
	}
	return fd;
}
