/*
 * sandbox.c: pushd shut in: its user, limits, Landlock and seccomp.
 *
 * Landlock and seccomp overlap, so that a kernel without one of them still
 * has most of it.
 */
#define _GNU_SOURCE /* setgroups, RLIMIT_NPROC */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fence.h"
#include "id.h"
#include "log.h"
#include "sandbox.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_OFF 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(SANDBOX_OFF)
#define SANDBOX_OFF 1
#endif

/* A leak checker looks at us from a process that it makes for that. */
#ifdef SANDBOX_OFF
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

void
sandbox_begin(void)
{
	struct rlimit none = { 0, 0 };

	tzset(); /* reads a file, at the first stamp of the log else */
	if (setrlimit(RLIMIT_CORE, &none) == -1)
		log_sys("sandbox core");
	if (prctl(PR_SET_DUMPABLE, CHECKED) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		log_sys("sandbox prctl");
}

/* --- the user --- */

/* Who ${name} is; "": who has ${folder}, or nobody.  0, or -1. */
static int
user_find(const char *name, const char *folder, uid_t *uid, gid_t *gid)
{
	struct passwd *pw = NULL;
	struct stat st;
	int64_t n;

	if (name[0] == '\0' && stat(folder, &st) == 0 && st.st_uid != 0) {
		*uid = st.st_uid;
		*gid = st.st_gid;
		return 0;
	}
	if (name[0] == '\0')
		name = "nobody";
	pw = getpwnam(name);
	if (pw == NULL &&
	    id_number(name, strlen(name), 0, 0x7ffffffe, &n) == 0) {
		/* In a container it may have no name. */
		*uid = (uid_t)n;
		*gid = (gid_t)n;
		pw = getpwuid(*uid);
		if (pw == NULL)
			return 0;
	}
	if (pw == NULL)
		return -1;
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

int
sandbox_user(const char *name, const char *folder)
{
	uid_t uid = 0;
	gid_t gid = 0;

	if (geteuid() != 0 && name[0] == '\0')
		return 0;
	if (user_find(name, folder, &uid, &gid) == -1 || uid == 0) {
		log_error("sandbox user=%s why=%s", name,
		    uid == 0 && name[0] != '\0' ? "unknown or root"
						: "none to become");
		return -1;
	}
	if (geteuid() == uid)
		return 0;
	if (geteuid() != 0) {
		log_error("sandbox user=%s why=not started by root", name);
		return -1;
	}
	if (setgroups(0, NULL) == -1 || setgid(gid) == -1 ||
	    setuid(uid) == -1 || setuid(0) != -1) {
		log_sys("sandbox user=%ld", (long)uid);
		return -1;
	}
	/* The kernel makes who changes its user visible to others again. */
	sandbox_begin();
	return 0;
}

/* --- limits --- */

/* Files cannot grow, unless the log is one; no children. */
static void
limits(void)
{
	struct rlimit none = { 0, 0 };
	struct stat st;

	if (!CHECKED && setrlimit(RLIMIT_NPROC, &none) == -1)
		log_sys("sandbox limit=nproc");
	if (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		return;
	if (setrlimit(RLIMIT_FSIZE, &none) == -1)
		log_sys("sandbox limit=fsize");
}

/* --- seccomp --- */

#ifndef SANDBOX_OFF

/*
 * Allowed with any arguments: the kernel remembers that, and asks the filter
 * no more.  What a kind of machine does not have is passed over.
 */
static const char *const always[] = { "accept", "accept4", "brk",
	"clock_getres", "clock_gettime", "clock_nanosleep", "close", "connect",
	"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2",
	"epoll_wait", "eventfd2", "exit", "exit_group", "fstat", "futex",
	"getegid", "geteuid", "getgid", "getpeername", "getpid", "getrandom",
	"getrusage", "getsockname", "getsockopt", "gettid", "gettimeofday",
	"getuid", "lseek", "madvise", "mremap", "munmap", "nanosleep", "poll",
	"ppoll", "pread64", "read", "readv", "recvfrom", "recvmmsg", "recvmsg",
	"restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "sched_yield", "sendmmsg", "sendmsg", "sendto",
	"setsockopt", "shutdown", "sigaltstack", "sysinfo", "time",
	"timerfd_create", "timerfd_settime", "wait4", "write", "writev", NULL };

/* Of the child that reads settings. */
static const char *const reader[] = { "brk", "clock_gettime", "close", "exit",
	"exit_group", "fstat", "futex", "getcwd", "getpid", "getrandom",
	"lseek", "lstat", "madvise", "mremap", "munmap", "newfstatat", "read",
	"readlink", "readlinkat", "recvfrom", "restart_syscall",
	"rt_sigprocmask", "rt_sigreturn", "sendto", "stat", "write", NULL };

/* No honest way leads here. */
static const char *const deadly[] = { "bpf", "chroot", "clone", "clone3",
	"delete_module", "execve", "execveat", "finit_module", "fork", "fsopen",
	"init_module", "io_uring_setup", "kexec_file_load", "kexec_load",
	"keyctl", "mount", "mount_setattr", "move_mount", "open_by_handle_at",
	"open_tree", "perf_event_open", "personality", "pidfd_getfd",
	"pidfd_open", "pivot_root", "process_vm_readv", "process_vm_writev",
	"ptrace", "request_key", "setns", "unshare", "userfaultfd", "vfork",
	NULL };

/* A rule for the call of this name, if this machine has it. */
#define RULE(ctx, action, name, ...)                         \
	rule(ctx, action, name,                              \
	    sizeof((struct scmp_arg_cmp[]){ __VA_ARGS__ }) / \
		sizeof(struct scmp_arg_cmp),                 \
	    (struct scmp_arg_cmp[]){ __VA_ARGS__ })

static int
rule(scmp_filter_ctx ctx, uint32_t action, const char *name, size_t n,
    const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr < 0)
		return 0;
	return seccomp_rule_add_array(ctx, action, nr, (unsigned)n, args);
}

static int
rules(scmp_filter_ctx ctx, uint32_t action, const char *const *names)
{
	int rc = 0;

	for (; *names != NULL && rc == 0; names++)
		rc = rule(ctx, action, *names, 0, NULL);
	return rc;
}

/* Memory as needed, but never to be executed. */
static int
rules_memory(scmp_filter_ctx ctx)
{
	static const char *const names[] = { "mmap", "mmap2", "mprotect",
		"pkey_mprotect" };
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof(names) / sizeof(*names) && rc == 0; i++) {
		rc = RULE(ctx, SCMP_ACT_ALLOW, names[i],
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		if (rc == 0)
			rc = RULE(ctx, SCMP_ACT_KILL_PROCESS, names[i],
			    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	}
	return rc;
}

static int
rules_pushd(scmp_filter_ctx ctx)
{
	static const int fcntls[] = { F_GETFD, F_SETFD, F_GETFL, F_SETFL };
	size_t i;
	int rc = rules(ctx, SCMP_ACT_ALLOW, always);

	for (i = 0; i < sizeof(fcntls) / sizeof(*fcntls) && rc == 0; i++)
		rc = RULE(ctx, SCMP_ACT_ALLOW, "fcntl",
		    SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)fcntls[i]));
	if (rc == 0)
		rc = RULE(ctx, SCMP_ACT_ALLOW, "socket",
		    SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (rc == 0)
		rc = RULE(ctx, SCMP_ACT_KILL_PROCESS, "socket",
		    SCMP_A0(SCMP_CMP_NE, AF_UNIX));
	/* A failed assertion's signal, to ourselves. */
	if (rc == 0)
		rc = RULE(ctx, SCMP_ACT_ALLOW, "tgkill",
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* Limits may be asked for, not changed. */
	if (rc == 0)
		rc = RULE(ctx, SCMP_ACT_ALLOW, "prlimit64",
		    SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0));
	return rc;
}

static int
rules_reader(scmp_filter_ctx ctx)
{
	int rc = rules(ctx, SCMP_ACT_ALLOW, reader);

	if (rc == 0)
		rc = RULE(ctx, SCMP_ACT_ALLOW, "openat",
		    SCMP_A2(SCMP_CMP_MASKED_EQ,
			O_ACCMODE | O_CREAT | O_TRUNC |
			    (O_TMPFILE & ~O_DIRECTORY),
			O_RDONLY));
	return rc;
}

/* 0, or -errno. */
static int
filter(int for_reader)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	if (ctx == NULL)
		return -ENOMEM;
	/* Refusals are in the audit log; a tree, not a list, is searched. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	/* We run nobody else's code: no slower loads on old kernels. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	(void)seccomp_attr_set(
	    ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	rc = rules(ctx, SCMP_ACT_KILL_PROCESS, deadly);
	if (rc == 0)
		rc = rules_memory(ctx);
	if (rc == 0)
		rc = for_reader ? rules_reader(ctx) : rules_pushd(ctx);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc;
}

/* --- all of it --- */

/* The version in force, or 0. */
static int
fence(const char *readable)
{
	struct fence f;

	if (fence_begin(&f, 1) == -1) {
		log_warn("sandbox landlock=none why=%s", strerror(errno));
		return 0;
	}
	if (readable != NULL)
		fence_grant_folder(&f, readable, FENCE_READ);
	if (fence_end(&f) == -1) {
		log_sys("sandbox landlock=none");
		return 0;
	}
	if (f.version < 6)
		log_warn("sandbox landlock=%d: %s not fenced in", f.version,
		    f.version < 4 ? "TCP and abstract sockets are"
				  : "abstract sockets are");
	return f.version;
}

static void
enter(const char *readable)
{
	int version = fence(readable), rc = filter(readable != NULL);

	if (rc < 0)
		log_warn("sandbox seccomp=none why=%s", strerror(-rc));
	if (readable == NULL)
		log_info("sandbox user=%ld landlock=%d seccomp=%s",
		    (long)geteuid(), version, rc < 0 ? "none" : "on");
}

#else /* SANDBOX_OFF */

static void
enter(const char *readable)
{
	if (readable == NULL)
		log_warn("sandbox off: a build for checking");
}

#endif

void
sandbox_enter(void)
{
	limits();
	enter(NULL);
}

void
sandbox_reader(const char *path)
{
	limits();
	enter(path);
}
