/* sandbox.c: trying to break out, each way in a process of its own. */

#define _GNU_SOURCE /* syscall, O_TMPFILE */

#include "buf.h"
#include "clock.h"
#include "conf.h"
#include "log.h"
#include "reread.h"
#include "sandbox.h"
#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <sodium.h>

/* Under a sanitizer, which cannot live in the sandbox, there is less of it. */
#ifdef __SANITIZE_ADDRESS__
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

/* How a try ends, beside an exit status of its own. */
enum { KILLED = 1000, CRASHED };

static char dir[] = "/tmp/test_sandbox.XXXXXX";
static char file[64], path[64], unix_path[64];
static int tcp_listener = -1, unix_listener = -1;
static struct sockaddr_in here;

/* 0 if it was refused as it should be, else what happened, by number. */
#define REFUSED(call) ((call) != -1 ? 1 : errno == EPERM ? 0 : 2)
/* Landlock says EACCES, seccomp EPERM: either will do. */
#define CLOSED(call) \
	((call) != -1 ? 1 : errno == EPERM || errno == EACCES ? 0 : 2)

/* --- what a break-in would try --- */

static int
read_file(void)
{
	return CLOSED(open("/etc/passwd", O_RDONLY)) |
	       CLOSED(open(file, O_RDONLY)) | CLOSED(open("/", O_RDONLY)) |
	       CLOSED(open("/proc/self/mem", O_RDWR));
}

/* Landlock's part of that; /proc/self is beyond it. */
static int
read_elsewhere(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	return CLOSED(open("/etc/passwd", O_RDONLY)) |
	       CLOSED(open(file, O_RDONLY)) |
	       CLOSED(open(path, O_CREAT | O_RDWR, 0600)) |
	       CLOSED(unlink(file)) | CLOSED(rename(file, path)) |
	       CLOSED(execv("/bin/true", argv));
}

static int
write_file(void)
{
	return CLOSED(open(file, O_WRONLY)) |
	       CLOSED(open(path, O_CREAT | O_RDWR, 0600)) |
	       CLOSED(open(dir, O_TMPFILE | O_RDWR, 0600)) |
	       CLOSED(unlink(file)) | CLOSED(rename(file, path)) |
	       CLOSED(mkdir(path, 0700)) | CLOSED(chmod(file, 0666)) |
	       CLOSED(symlink(file, path)) | CLOSED(truncate(file, 0)) |
	       CLOSED((int)syscall(SYS_memfd_create, "x", 0));
}

static int
run_program(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	return execv("/bin/true", argv) == -1 ? 3 : 1;
}

static int
run_descriptor(void)
{
	char *const none[] = { NULL };

	return syscall(SYS_execveat, 0, "", none, none, 0x1000) == -1 ? 3 : 1;
}

static int
make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid == -1 ? 3 : 1;
}

static void *
nothing(void *arg)
{
	return arg;
}

static int
make_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, nothing, NULL) != 0 ? 3 : 1;
}

static int
trace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == -1 ? 3 : 1;
}

static int
peek(void)
{
	return syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0) ==
		       -1
		   ? 3
		   : 1;
}

static int
socket_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) == -1 ? 3 : 1;
}

static int
socket_inet6(void)
{
	return socket(AF_INET6, SOCK_DGRAM, 0) == -1 ? 3 : 1;
}

static int
socket_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0) == -1 ? 3 : 1;
}

static int
socket_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) == -1 ? 3 : 1;
}

static int
uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL) == -1 ? 3 : 1;
}

static int
bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) == -1 ? 3 : 1;
}

static int
run_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? 3 : 1;
}

static int
run_memory_later(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 4;
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) == -1 ? 3 : 1;
}

static int
harm_others(void)
{
	return REFUSED(kill(getppid(), 0)) |
	       REFUSED((int)syscall(SYS_tgkill, getppid(), getppid(), 0)) |
	       REFUSED(setpriority(PRIO_PROCESS, 0, -5));
}

static int
get_rights(void)
{
	struct rlimit r = { 1000, 1000 };

	return REFUSED(setuid(0)) | REFUSED(prctl(PR_SET_DUMPABLE, 1)) |
	       REFUSED(setrlimit(RLIMIT_NPROC, &r)) |
	       REFUSED(setrlimit(RLIMIT_CORE, &r)) |
	       REFUSED((int)syscall(
		   SYS_prlimit64, getppid(), RLIMIT_CORE, NULL, &r));
}

static int
listen_elsewhere(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd == -1)
		return 4;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/x.sock", dir);
	return CLOSED(bind(fd, (struct sockaddr *)&un, sizeof(un))) |
	       REFUSED(listen(fd, 1));
}

/* A client's own connection, turned against another place. */
static int
connect_elsewhere(int fd)
{
	struct sockaddr off = { .sa_family = AF_UNSPEC };

	(void)connect(fd, &off, sizeof(off));
	if (connect(fd, (struct sockaddr *)&here, sizeof(here)) == 0)
		return 1;
	return errno == EACCES ? 0 : 2;
}

/* --- what pushd does all day --- */

static int
unix_talk(void)
{
	int fd = sock_connect(unix_path, SOCK_STREAM), other, on = 1;

	if (fd == -1 || (other = accept(unix_listener, NULL, NULL)) == -1)
		return 11;
	if (fcntl(other, F_SETFL, fcntl(other, F_GETFL) | O_NONBLOCK) == -1 ||
	    fcntl(other, F_SETFD, FD_CLOEXEC) == -1 || !sock_peer_ok(other) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &on, sizeof(on)) == -1)
		return 12;
	if (send(fd, "x", 1, MSG_NOSIGNAL) != 1 || close(other) == -1 ||
	    shutdown(fd, SHUT_RDWR) == -1 || close(fd) == -1)
		return 13;
	return 0;
}

/* A descriptor sent to a process that takes our place. */
static int
hand_over(int pair[2])
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = u.room,
		.msg_controllen = sizeof(u.room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	memset(&u, 0, sizeof(u));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &unix_listener, sizeof(int));
	if (sendmsg(pair[0], &m, MSG_NOSIGNAL) != 1 ||
	    recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC) != 1)
		return 21;
	return 0;
}

static int
memory_and_time(void)
{
	struct rlimit r;
	unsigned char id[32];
	char *p = NULL, *q;
	size_t i;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	for (i = 1; i < 64; i++) {
		if ((q = realloc(p, i << 20)) == NULL)
			return 31;
		p = q;
		p[(i << 20) - 1] = 'x';
	}
	free(p);
	randombytes_buf(id, sizeof(id));
	if (ep == -1 || close(ep) == -1 || clock_now_ms() == 0 ||
	    getrlimit(RLIMIT_NOFILE, &r) == -1)
		return 32;
	log_warn("still heard");
	return 0;
}

/* --- each in a process --- */

static int
ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : CRASHED;
	return WEXITSTATUS(status);
}

static int
tried(int (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		sandbox_begin();
		sandbox_enter();
		_exit(fn());
	}
	return ended(pid);
}

static void
refused(void **state)
{
	(void)state;
	assert_int_equal(tried(read_file), 0);
	assert_int_equal(tried(write_file), 0);
	assert_int_equal(tried(harm_others), 0);
	assert_int_equal(tried(get_rights), 0);
	assert_int_equal(tried(listen_elsewhere), 0);
}

static void
killed(void **state)
{
	(void)state;
	assert_int_equal(tried(run_program), KILLED);
	assert_int_equal(tried(run_descriptor), KILLED);
	assert_int_equal(tried(make_process), KILLED);
	assert_int_equal(tried(make_thread), KILLED);
	assert_int_equal(tried(trace), KILLED);
	assert_int_equal(tried(peek), KILLED);
	assert_int_equal(tried(socket_inet), KILLED);
	assert_int_equal(tried(socket_inet6), KILLED);
	assert_int_equal(tried(socket_netlink), KILLED);
	assert_int_equal(tried(socket_packet), KILLED);
	assert_int_equal(tried(uring), KILLED);
	assert_int_equal(tried(bpf), KILLED);
	assert_int_equal(tried(run_memory), KILLED);
	assert_int_equal(tried(run_memory_later), KILLED);
}

/* Only Landlock can tell where a connection goes: from its version 4. */
static void
elsewhere(void **state)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int fd, mine;
	pid_t pid;

	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 4)
		skip();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(
	    connect(fd, (struct sockaddr *)&here, sizeof(here)), 0);
	mine = accept(tcp_listener, (struct sockaddr *)&at, &len);
	assert_true(mine != -1);
	if ((pid = fork()) == 0) {
		sandbox_begin();
		sandbox_enter();
		_exit(connect_elsewhere(mine));
	}
	assert_int_equal(ended(pid), 0);
	close(mine);
	close(fd);
}

static void
needed(void **state)
{
	int pair[2];
	pid_t pid;

	(void)state;
	assert_int_equal(tried(unix_talk), 0);
	assert_int_equal(tried(memory_and_time), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	if ((pid = fork()) == 0) {
		sandbox_begin();
		sandbox_enter();
		_exit(hand_over(pair));
	}
	assert_int_equal(ended(pid), 0);
	close(pair[0]);
	close(pair[1]);
}

static int
fail_assertion(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

/* A bug found out still ends as one. */
static void
aborts(void **state)
{
	(void)state;
	assert_int_equal(tried(fail_assertion), CRASHED);
}

/* --- kernels that have less --- */

/* From here on the kernel does not know this call. */
static int
without(int nr)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0);

	/* The older way to the same. */
	if (rc == 0 && nr == SCMP_SYS(seccomp))
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EINVAL),
		    SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc;
}

static int
tried_without(int nr, int (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		sandbox_begin();
		if (without(nr) != 0)
			_exit(40);
		sandbox_enter();
		_exit(fn());
	}
	return ended(pid);
}

/* What one of the two would have refused, the other does. */
static void
bare_kernels(void **state)
{
	const int landlock = SYS_landlock_create_ruleset,
		  filters = SCMP_SYS(seccomp);

	(void)state;
	assert_int_equal(tried_without(landlock, read_file), 0);
	assert_int_equal(tried_without(landlock, write_file), 0);
	assert_int_equal(tried_without(landlock, make_process), KILLED);
	assert_int_equal(tried_without(landlock, unix_talk), 0);
	assert_int_equal(tried_without(landlock, memory_and_time), 0);
	assert_int_equal(tried_without(filters, unix_talk), 0);
	assert_int_equal(tried_without(filters, memory_and_time), 0);
	if (syscall(landlock, NULL, 0, 1) >= 1) {
		assert_int_equal(tried_without(filters, read_elsewhere), 0);
		if (geteuid() != 0) /* whom the limit does not hold */
			assert_int_equal(
			    tried_without(filters, make_process), 3);
	}
}

/* --- the child that reads settings --- */

static int
reader_tries(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char text[8];
	int fd = open(file, O_RDONLY);

	if (fd == -1 || read(fd, text, sizeof(text)) != 8)
		return 1;
	if (open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		return 2;
	if (open(file, O_RDWR) != -1 || errno != EPERM)
		return 3;
	if (open(path, O_CREAT | O_RDONLY, 0600) != -1 || errno != EPERM)
		return 4;
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd != -1 || errno != EPERM)
		return 5;
	return REFUSED(connect(0, (struct sockaddr *)&un, sizeof(un)));
}

static void
reader(void **state)
{
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		sandbox_begin();
		sandbox_reader(file);
		_exit(reader_tries());
	}
	assert_int_equal(ended(pid), 0);
}

static int
says(void)
{
	log_error("heard");
	return 0;
}

/* What comes into a log that is a file, on a kernel without the call. */
static void
logged_without(int nr, char text[1024])
{
	pid_t pid;
	int fd;

	if ((pid = fork()) == 0) {
		fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
		if (fd == -1 || dup2(fd, 2) != 2 ||
		    log_open("test", NULL, LOG_INFO) == -1)
			_exit(40);
		sandbox_begin();
		if (without(nr) != 0)
			_exit(41);
		sandbox_enter();
		_exit(says());
	}
	assert_int_equal(ended(pid), 0);
	memset(text, 0, 1024);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, text, 1023) > 0);
	close(fd);
	unlink(path);
}

/* It grows, also by what the kernel lacks. */
static void
logs_to_file(void **state)
{
	char text[1024];

	(void)state;
	logged_without(SCMP_SYS(seccomp), text);
	assert_non_null(strstr(text, "sandbox seccomp=none why="));
	assert_non_null(strstr(text, "heard"));
	logged_without(SYS_landlock_create_ruleset, text);
	assert_non_null(strstr(text, "sandbox landlock=none why="));
	assert_non_null(strstr(text, "landlock=0 seccomp=on"));
	assert_non_null(strstr(text, "heard"));
}

static struct conf got;
static char fault[256];

static void
on_done(void *arg, struct conf *cf, const char *why)
{
	conf_free(&got);
	fault[0] = '\0';
	if (cf != NULL)
		got = *cf;
	else
		snprintf(fault, sizeof(fault), "%s", why);
	ev_break(arg, EVBREAK_ALL);
}

static void
put(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(rename(path, file), 0); /* as editors do */
}

static void
rereads(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct reread r;

	(void)state;
	assert_int_equal(reread_start(&r, loop, file, on_done, loop), 0);
	put("internal_key = 0123456789abcdef\n"
	    "jwt_key = 0123456789abcdef0123456789abcdef\ndrain_s = 9\n");
	reread_ask(&r);
	ev_run(loop, 0);
	assert_string_equal(fault, "");
	assert_int_equal(got.drain_s, 9);
	assert_string_equal(got.internal_key, "0123456789abcdef");
	assert_string_equal(got.jwt_key, "");
	put("drain_s = many\n");
	reread_ask(&r);
	ev_run(loop, 0);
	assert_non_null(strstr(fault, "drain_s must be a number"));
	put("drain_s = 8\n");
	reread_ask(&r);
	ev_run(loop, 0);
	assert_int_equal(got.drain_s, 8);
	conf_free(&got);
	reread_stop(&r);
	assert_true(wait(NULL) > 0);
	ev_loop_destroy(loop);
}

/* --- the user --- */

static int
become_nobody(void)
{
	if (geteuid() != 0)
		return sandbox_user("", dir) == 0 &&
			       sandbox_user("root", dir) == -1
			   ? 0
			   : 1;
	if (sandbox_user("root", dir) != -1 || sandbox_user("0", dir) != -1 ||
	    sandbox_user("no-such-user", dir) != -1)
		return 2;
	/* The folder is root's: nobody; one of another: that one. */
	if (sandbox_user("", dir) == -1 || geteuid() == 0 || getuid() == 0 ||
	    getegid() == 0 || setuid(0) != -1)
		return 3;
	return prctl(PR_GET_DUMPABLE) == CHECKED ? 0 : 4;
}

static int
become_owner(void)
{
	if (geteuid() != 0)
		return 0;
	if (chown(dir, 4321, 4322) == -1 || sandbox_user("", dir) == -1)
		return 1;
	return geteuid() == 4321 && getegid() == 4322 && getgroups(0, NULL) == 0
		   ? 0
		   : 2;
}

/* A container's users may have no names. */
static int
become_number(void)
{
	if (geteuid() != 0)
		return 0;
	return sandbox_user("54321", dir) == 0 && geteuid() == 54321 &&
		       getegid() == 54321
		   ? 0
		   : 1;
}

static void
user(void **state)
{
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0)
		_exit(become_nobody());
	assert_int_equal(ended(pid), 0);
	if ((pid = fork()) == 0)
		_exit(become_number());
	assert_int_equal(ended(pid), 0);
	if ((pid = fork()) == 0)
		_exit(become_owner());
	assert_int_equal(ended(pid), 0);
}

static int
setup(void **state)
{
	socklen_t len = sizeof(here);

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_sandbox.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(file, sizeof(file), "%s/parley.conf", dir);
	(void)snprintf(path, sizeof(path), "%s/new.conf", dir);
	(void)snprintf(unix_path, sizeof(unix_path), "%s/a.sock", dir);
	put("drain_s = 7\n");
	unix_listener = sock_listen(unix_path, SOCK_STREAM, 5);
	tcp_listener = socket(AF_INET, SOCK_STREAM, 0);
	memset(&here, 0, sizeof(here));
	here.sin_family = AF_INET;
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(tcp_listener, (struct sockaddr *)&here, sizeof(here)) == -1 ||
	    listen(tcp_listener, 5) == -1)
		return -1;
	return getsockname(tcp_listener, (struct sockaddr *)&here, &len);
}

static int
teardown(void **state)
{
	char lock[80];

	(void)state;
	(void)close(tcp_listener);
	(void)close(unix_listener);
	(void)snprintf(lock, sizeof(lock), "%s.lock", unix_path);
	(void)unlink(lock);
	(void)unlink(unix_path);
	(void)unlink(file);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest shut_in[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(killed),
		cmocka_unit_test(elsewhere),
		cmocka_unit_test(aborts),
		cmocka_unit_test(bare_kernels),
		cmocka_unit_test(reader),
		cmocka_unit_test(logs_to_file),
	};
	const struct CMUnitTest always[] = {
		cmocka_unit_test(needed),
		cmocka_unit_test(rereads),
		cmocka_unit_test(user),
	};
	const char *preload = getenv("LD_PRELOAD");

	(void)signal(SIGPIPE, SIG_IGN);
	if (sodium_init() == -1)
		return 1;
	(void)log_open("test", NULL, LOG_ERROR);
	/* Nor can valgrind, and this is no build for it. */
	if (preload != NULL && strstr(preload, "vgpreload") != NULL)
		return 0;
	if (!CHECKED && cmocka_run_group_tests(shut_in, setup, teardown) != 0)
		return 1;
	return cmocka_run_group_tests(always, setup, teardown);
}
