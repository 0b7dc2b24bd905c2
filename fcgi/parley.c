/*
 * parley: the admin's command.  Finds which of its commands is meant and has
 * it done; each is a parley_*.c, but for `run`, which is run.c, and `work`,
 * which is worker.c.  Here are options, places and what they all need.
 */
#define _GNU_SOURCE /* initgroups, setgroups */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "parley.h"
#include "store.h"
#include "token.h"
#include "utf8.h"
#include "worker.h"

static const struct parley_cmd *const commands[] = { &parley_init, &parley_run,
	&parley_user_add, &parley_user_password, &parley_user_disable,
	&parley_user_enable, &parley_user_role, &parley_token, &parley_key_add,
	&parley_key_end, &parley_channel_list, &parley_channel_add,
	&parley_channel_set, &parley_channel_check, &parley_webhook_list,
	&parley_webhook_show, &parley_webhook_replay, &parley_work,
	&parley_check, &parley_status, NULL };

static const char *conf_option; /* --conf */

void
parley_err(const char *fmt, ...)
{
	va_list ap;

	fputs("parley: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int
parley_path(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

int
parley_number(const char *text, long lo, long hi, long *out)
{
	char *end;
	long n;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || n < lo || n > hi)
		return -1;
	*out = n;
	return 0;
}

int
parley_plain(const char *s, size_t max)
{
	size_t i, len = strlen(s);

	if (len == 0 || len > max || !utf8_valid(s, len))
		return 0;
	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return 0;
	return 1;
}

/* --- options -------------------------------------------------------------- */

static void
usage_of(FILE *f, const struct parley_cmd *c)
{
	fprintf(f, "usage: parley %s%s%s [--conf FILE]\n\n%s", c->name,
	    *c->args != '\0' ? " " : "", c->args, c->help);
}

static void
usage(FILE *f)
{
	size_t i;

	fputs("usage: parley COMMAND [OPTION...] [--conf FILE]\n\n", f);
	for (i = 0; commands[i] != NULL; i++)
		fprintf(f, "  %-14s %.*s\n", commands[i]->name,
		    (int)strcspn(commands[i]->help, "\n"), commands[i]->help);
	fputs("\nThe configuration is --conf FILE, else PARLEY_CONF, else a "
	      "parley.conf\nbeside the program, in its parent or in "
	      "parent/var.\nparley COMMAND --help tells more; parley(1) all.\n",
	    f);
}

/* The option among ${opts} that ${arg} is; ${*value} what follows a '='. */
static const struct parley_opt *
opt_find(const struct parley_opt *opts, const char *arg, const char **value)
{
	size_t len = strcspn(arg, "=");

	*value = arg[len] == '=' ? arg + len + 1 : NULL;
	for (; opts != NULL && opts->name != NULL; opts++)
		if (strlen(opts->name) == len &&
		    strncmp(opts->name, arg, len) == 0)
			return opts;
	return NULL;
}

int
parley_opts(const struct parley_cmd *c, int n, char **args,
    const struct parley_opt *opts, const char **rest, size_t *nrest)
{
	const struct parley_opt both[] = { { "--conf", &conf_option, NULL },
		{ NULL, NULL, NULL } };
	const struct parley_opt *o;
	const char *value;
	size_t max = nrest != NULL ? *nrest : 0, have = 0;
	int i;

	for (i = 0; i < n; i++) {
		if (strcmp(args[i], "--help") == 0 ||
		    strcmp(args[i], "-h") == 0) {
			usage_of(stdout, c);
			return 1;
		}
		if (args[i][0] != '-') {
			if (have == max) {
				parley_err(
				    "%s: %s: not expected", c->name, args[i]);
				return -1;
			}
			rest[have++] = args[i];
			continue;
		}
		if ((o = opt_find(opts, args[i], &value)) == NULL)
			o = opt_find(both, args[i], &value);
		if (o == NULL || (o->value == NULL && value != NULL)) {
			parley_err("%s: unknown option %s", c->name, args[i]);
			usage_of(stderr, c);
			return -1;
		}
		if (o->flag != NULL)
			*o->flag = 1;
		if (o->value == NULL)
			continue;
		/* What follows it may be the next option. */
		if (value == NULL && i + 1 < n &&
		    strncmp(args[i + 1], "--", 2) != 0)
			value = args[++i];
		if (value == NULL) {
			parley_err("%s: %s needs a value", c->name, o->name);
			return -1;
		}
		*o->value = value;
	}
	if (nrest != NULL)
		*nrest = have;
	return 0;
}

/* --- places --------------------------------------------------------------- */

/* The folder of this program, without a '/' at its end. */
static int
own_folder(char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size - 1);
	char *slash;

	if (n <= 0)
		return -1;
	out[n] = '\0';
	if ((slash = strrchr(out, '/')) == NULL)
		return -1;
	*slash = '\0';
	return 0;
}

/* ${dir}/${sub} with links and dots resolved, if ${dir}/${sub}/${file} is. */
static int
place(
    const char *dir, const char *sub, const char *file, char *out, size_t size)
{
	char path[PARLEY_PATH_MAX];
	char *real;
	int rc = -1;

	if (parley_path(path, sizeof(path), "%s/%s/%s", dir, sub, file) == -1 ||
	    access(path, F_OK) == -1 ||
	    parley_path(path, sizeof(path), "%s/%s", dir, sub) == -1)
		return -1;
	if ((real = realpath(path, NULL)) != NULL)
		rc = parley_path(out, size, "%s", real);
	free(real);
	return rc;
}

int
parley_bin(char *out, size_t size)
{
	char dir[PARLEY_PATH_MAX];

	if (own_folder(dir, sizeof(dir)) == -1)
		return -1;
	if (place(dir, ".", "api.fcgi", out, size) == 0 ||
	    place(dir, "../lib/parley", "api.fcgi", out, size) == 0)
		return 0;
	return -1;
}

int
parley_www(char *out, size_t size)
{
	static const char *const at[] = { "../www", "../../www",
		"../share/parley/www", "www", NULL };
	char dir[PARLEY_PATH_MAX];
	const char *env = getenv("PARLEY_WWW_DIR");
	size_t i;

	if (env != NULL)
		return place(env, ".", "tmpl", out, size);
	if (own_folder(dir, sizeof(dir)) == -1)
		return -1;
	for (i = 0; at[i] != NULL; i++)
		if (place(dir, at[i], "tmpl", out, size) == 0)
			return 0;
	return -1;
}

/*
 * Make the folder ${dir}, for us alone, and those above it that are missing,
 * open to others.  If one cannot be made, ${dir} ends with it.
 */
static int
make_folder(char *dir)
{
	mode_t mask;
	size_t i;
	int rc, why;

	for (i = 1; dir[i] != '\0'; i++) {
		if (dir[i] != '/' ||
		    dir[i + 1 + strspn(dir + i + 1, "/")] == '\0')
			continue;
		dir[i] = '\0';
		mask = umask(022);
		rc = mkdir(dir, 0755);
		why = errno;
		umask(mask);
		if (rc == -1 && access(dir, F_OK) == -1) {
			errno = why;
			return -1;
		}
		dir[i] = '/';
	}
	return mkdir(dir, 0700) == -1 && errno != EEXIST ? -1 : 0;
}

int
parley_conf_path(char *out, size_t size, int made)
{
	const char *path = conf_option, *slash;
	char dir[PARLEY_PATH_MAX];
	char *real;
	int rc;

	if (path == NULL)
		path = getenv("PARLEY_CONF");
	if (path == NULL && !made) {
		if (conf_find(out, size) == 1)
			return 0;
		parley_err("no parley.conf found: name it with --conf, or make "
			   "one with parley init");
		return -1;
	}
	if (path == NULL)
		path = "var/parley.conf";
	if (!made) {
		if ((real = realpath(path, NULL)) == NULL) {
			parley_err("%s: %s", path, strerror(errno));
			return -1;
		}
		rc = parley_path(out, size, "%s", real);
		free(real);
		return rc;
	}
	/* The file may be missing, and its folder. */
	slash = strrchr(path, '/');
	if (parley_path(dir, sizeof(dir), "%.*s",
		slash != NULL ? (int)(slash - path) + 1 : 1,
		slash != NULL ? path : ".") == -1)
		return -1;
	if (make_folder(dir) == -1) {
		parley_err("%s: %s", dir, strerror(errno));
		return -1;
	}
	if ((real = realpath(dir, NULL)) == NULL) {
		parley_err("%s: %s", dir, strerror(errno));
		return -1;
	}
	rc = parley_path(
	    out, size, "%s/%s", real, slash != NULL ? slash + 1 : path);
	free(real);
	return rc;
}

/* --- configuration and database --------------------------------------------
 */

/*
 * Root becomes the workspace's owner, if that user gets as far as the file;
 * else what root wrote there would be closed to the programs.
 */
static int
become_owner(const char *conf)
{
	struct stat sb;

	if (geteuid() != 0 || stat(conf, &sb) == -1 || sb.st_uid == 0)
		return 0;
	if (setegid(sb.st_gid) == -1 || seteuid(sb.st_uid) == -1)
		return 0;
	if (access(conf, F_OK) == -1 || eaccess(conf, R_OK) == -1) {
		if (seteuid(0) == -1 || setegid(0) == -1)
			return -1;
		return 0;
	}
	if (seteuid(0) == -1 || setgroups(0, NULL) == -1 ||
	    setgid(sb.st_gid) == -1 || setuid(sb.st_uid) == -1) {
		parley_err("cannot become user %ld", (long)sb.st_uid);
		return -1;
	}
	return 0;
}

int
parley_conf_load(struct conf *cf, unsigned flags)
{
	char path[PARLEY_PATH_MAX];
	struct buf err;
	int rc;

	if (parley_conf_path(path, sizeof(path), 0) == -1 ||
	    become_owner(path) == -1)
		return -1;
	umask(077);
	buf_init(&err, 65536);
	rc = conf_load(cf, path, flags, &err);
	if (rc == -1)
		fputs(err.data, stderr);
	buf_fini(&err);
	if (rc == -1) {
		conf_free(cf);
		return -1;
	}
	log_open("parley", NULL, LOG_WARN);
	return token_init();
}

/* Why there is no opening the database, ever: -1 after telling; 0: no reason.
 */
static int
store_tell(const struct conf *cf)
{
	struct store_options op = {
		.path = cf->db, .any_schema = true, .read_only = true
	};
	struct store *st = NULL;
	int schema, knows = store_schema_newest();

	if (access(cf->db, F_OK) == -1) {
		parley_err("%s: %s (parley init makes the database)", cf->db,
		    strerror(errno));
		return -1;
	}
	if (store_open(&op, &st) != STORE_DONE)
		return 0;
	schema = store_schema(st);
	store_close(st);
	if (schema == -1 || schema == knows)
		return 0;
	if (schema > knows)
		parley_err("%s is of a newer Parley: its schema is %d, this "
			   "one knows %d",
		    cf->db, schema, knows);
	else
		parley_err("%s is of an older Parley: its schema is %d, this "
			   "one has %d (parley init upgrades it)",
		    cf->db, schema, knows);
	return -1;
}

int
parley_store(const struct conf *cf, struct store **st)
{
	struct store_options op = { .path = cf->db,
		.mode = strcmp(cf->synchronous, "normal") == 0
			    ? STORE_MODE_NORMAL
			    : STORE_MODE_FULL };

	if (store_open(&op, st) == STORE_DONE)
		return 0;
	if (store_tell(cf) == 0)
		parley_err("cannot open the database %s", cf->db);
	return -1;
}

int
parley_store_there(const struct conf *cf)
{
	return store_tell(cf) == 0 ? 0 : -1;
}

int
parley_dirs(const struct conf *cf)
{
	const char *dirs[] = { cf->run_dir, cf->log_dir, cf->media_dir };
	size_t i;

	for (i = 0; i < 3; i++) {
		if (mkdir(dirs[i], 0700) == -1) {
			if (errno == EEXIST)
				continue;
			parley_err("%s: %s", dirs[i], strerror(errno));
			return -1;
		}
		/* The web server's group may get through to the sockets. */
		if (i == 0 && chmod(dirs[i], 0750) == -1)
			return -1;
	}
	return 0;
}

void
parley_base(const struct conf *cf, char *out, size_t size)
{
	snprintf(out, size, "%s%s",
	    *cf->base_url != '\0' ? cf->base_url : "http://127.0.0.1:8080",
	    cf->base_path);
}

/* Whether the line ${p} (up to its end) sets ${key}. */
static int
line_sets(const char *p, const char *key)
{
	size_t len = strlen(key);

	p += strspn(p, " \t");
	if (strncmp(p, key, len) != 0)
		return 0;
	p += len;
	p += strspn(p, " \t");
	return *p == '=';
}

static int
conf_rewrite(FILE *in, FILE *out, const char *key, const char *value)
{
	char *line = NULL;
	size_t cap = 0;
	int done = 0;

	while (getline(&line, &cap, in) > 0) {
		if (line_sets(line, key)) {
			if (!done)
				fprintf(out, "%s = %s\n", key, value);
			done = 1;
		} else {
			fputs(line, out);
		}
	}
	free(line);
	if (!done)
		fprintf(out, "%s = %s\n", key, value);
	return ferror(in) || fflush(out) != 0 || fsync(fileno(out)) == -1 ? -1
									  : 0;
}

int
parley_conf_set(const char *path, const char *key, const char *value)
{
	char tmp[PARLEY_PATH_MAX];
	FILE *in = NULL, *out = NULL;
	int fd, rc = -1;

	if (parley_path(tmp, sizeof(tmp), "%s.new", path) == -1)
		return -1;
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd != -1 && (out = fdopen(fd, "w")) == NULL)
		close(fd);
	in = fopen(path, "r");
	if (out != NULL && in != NULL)
		rc = conf_rewrite(in, out, key, value);
	if (out != NULL && fclose(out) != 0)
		rc = -1;
	if (in != NULL)
		fclose(in);
	if (rc == 0)
		rc = rename(tmp, path);
	if (rc == -1) {
		parley_err("%s: %s", path, strerror(errno));
		unlink(tmp);
	}
	return rc;
}

void
parley_password(char *out, size_t size)
{
	/* 32 characters that nobody mistakes for another */
	static const char set[] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char raw[64];
	size_t i;

	if (size > sizeof(raw))
		size = sizeof(raw);
	if (getrandom(raw, size, 0) != (ssize_t)size)
		abort();
	for (i = 0; i + 1 < size; i++)
		out[i] = set[raw[i] & 31];
	out[i] = '\0';
}

/* --- ports ---------------------------------------------------------------- */

/* Whether ${port} at ${host} can be bound; ${got}, if not NULL, what it is. */
static int
port_try(const char *host, int port, int *got)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd, one = 1, rc = -1;

	a.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		return 0; /* not ours to judge */
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    listen(fd, 1) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
		rc = 0;
		if (got != NULL)
			*got = ntohs(a.sin_port);
	}
	close(fd);
	return rc;
}

int
parley_port_busy(const char *addr)
{
	const char *colon = strrchr(addr, ':');
	char host[128];
	long port;

	if (colon == NULL || parley_number(colon + 1, 1, 65535, &port) == -1 ||
	    parley_path(
		host, sizeof(host), "%.*s", (int)(colon - addr), addr) == -1)
		return 0;
	return port_try(host, (int)port, NULL) == -1;
}

int
parley_free_port(int from)
{
	int port = 0;

	if (from > 0 && from < 65536 && port_try("127.0.0.1", from, NULL) == 0)
		return from;
	return port_try("127.0.0.1", 0, &port) == 0 ? port : 0;
}

/* --- work ------------------------------------------------------------------
 */

static int
work_main(const struct parley_cmd *c, int n, char **args)
{
	const char *wait = "0";
	int once = 0, rc;
	const struct parley_opt opts[] = { { "--once", NULL, &once },
		{ "--wait", &wait, NULL }, { NULL, NULL, NULL } };
	struct conf cf = { 0 };
	long wait_s;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (parley_number(wait, 0, 3600, &wait_s) == -1) {
		parley_err("work: --wait takes seconds, at most 3600");
		return 2;
	}
	if (parley_conf_load(&cf, CONF_FCGI) == -1)
		return 1;
	log_open("worker", NULL, log_level(cf.log_level));
	rc = worker_run(&cf, once != 0, wait_s);
	conf_free(&cf);
	return rc;
}

const struct parley_cmd parley_work = { "work", "[--once [--wait S]]",
	"Send to the platforms, read what they posted, and keep house.\n"
	"Runs until SIGTERM; with --once until nothing is due, for cron:\n"
	"  * * * * * parley work --once --conf FILE\n"
	"A second one at the same time ends at once.  With --wait it ends when there\n"
	"was nothing for S seconds.\n",
	work_main };

/* ${args} begin with the words of ${name}: how many words, or 0. */
static int
words_match(const char *name, int n, char **args)
{
	int words = 0;
	size_t len;

	while (*name != '\0') {
		len = strcspn(name, " ");
		if (words >= n || strlen(args[words]) != len ||
		    strncmp(args[words], name, len) != 0)
			return 0;
		words++;
		name += len;
		name += *name == ' ';
	}
	return words;
}

/* The commands of a noun that stands alone: how many there are. */
static int
noun_usage(FILE *f, const char *noun)
{
	size_t i, len = strlen(noun);
	int count = 0;

	for (i = 0; commands[i] != NULL; i++) {
		if (strncmp(commands[i]->name, noun, len) != 0 ||
		    commands[i]->name[len] != ' ')
			continue;
		fprintf(f, "%s parley %s%s%s\n",
		    count++ == 0 ? "usage:" : "      ", commands[i]->name,
		    *commands[i]->args != '\0' ? " " : "", commands[i]->args);
	}
	return count;
}

int
main(int argc, char **argv)
{
	int n = argc - 1, words;
	char **args = argv + 1;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	/* --conf may also stand before the command. */
	while (n > 0 && strncmp(args[0], "--conf", 6) == 0) {
		if (args[0][6] == '=') {
			conf_option = args[0] + 7;
			args++, n--;
		} else if (args[0][6] == '\0' && n > 1) {
			conf_option = args[1];
			args += 2, n -= 2;
		} else {
			break;
		}
	}
	if (n == 0) {
		usage(stderr);
		return 2;
	}
	if (strcmp(args[0], "--help") == 0 || strcmp(args[0], "-h") == 0 ||
	    strcmp(args[0], "help") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(args[0], "--version") == 0) {
		puts("parley " PARLEY_VERSION);
		return 0;
	}
	for (i = 0; commands[i] != NULL; i++)
		if ((words = words_match(commands[i]->name, n, args)) > 0)
			return commands[i]->run(
			    commands[i], n - words, args + words);
	if (noun_usage(
		n > 1 && strcmp(args[1], "--help") == 0 ? stdout : stderr,
		args[0]))
		return n > 1 && strcmp(args[1], "--help") == 0 ? 0 : 2;
	parley_err("unknown command %s", args[0]);
	usage(stderr);
	return 2;
}
