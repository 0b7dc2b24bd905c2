/*
 * parley check and parley status: is it set up right, and how is it doing?
 * They look and tell; they change nothing but what opening a database does.
 */
#define _GNU_SOURCE /* nothing in POSIX tells the file system's type */

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "file_magic.h"
#include "limits.h"
#include "log.h"
#include "parley.h"
#include "sock.h"
#include "store.h"
#include "store_channel.h"
#include "store_event.h"
#include "store_user.h"
#include "token.h"

#define NFS_MAGIC 0x6969
#define SMB_MAGIC 0x517b
#define SMB2_MAGIC 0xfe534d42u
#define CIFS_MAGIC 0xff534d42u

static int faults, warnings;

static void
say(const char *kind, const char *what, const char *text)
{
	FILE *f = strcmp(kind, "ok") == 0 ? stdout : stderr;

	fflush(stdout);
	fprintf(
	    f, "%-5s %s%s%s\n", kind, what, *text != '\0' ? ": " : "", text);
	if (strcmp(kind, "ERROR") == 0)
		faults++;
	else if (strcmp(kind, "warn") == 0)
		warnings++;
}

/* --- the file ------------------------------------------------------------- */

static int
check_conf(const char *path, struct conf *cf)
{
	struct stat sb;
	struct buf err;
	const char *p;
	int rc;

	buf_init(&err, 65536);
	rc = conf_load(cf, path, CONF_ALL, &err);
	if (rc == -1) {
		fputs(err.data, stderr);
		for (p = err.data; (p = strchr(p, '\n')) != NULL; p++)
			faults++;
	} else {
		say("ok", path, "every line is understood");
	}
	buf_fini(&err);
	if (stat(path, &sb) == 0 && (sb.st_mode & 077) != 0)
		say("ERROR", path, "others can read its keys: chmod 600 it");
	return rc;
}

static void
check_folder(const char *path, const char *what, mode_t not )
{
	char text[PARLEY_PATH_MAX + 64];
	struct stat sb;

	if (stat(path, &sb) == -1) {
		snprintf(text, sizeof(text), "%s: %s", path, strerror(errno));
		say("ERROR", what, text);
	} else if (!S_ISDIR(sb.st_mode)) {
		snprintf(text, sizeof(text), "%s is no folder", path);
		say("ERROR", what, text);
	} else if ((sb.st_mode & not ) != 0) {
		snprintf(text, sizeof(text),
		    "%s has mode %o, which lets others in", path,
		    (unsigned)(sb.st_mode & 07777));
		say("ERROR", what, text);
	} else if (access(path, R_OK | W_OK | X_OK) == -1) {
		snprintf(text, sizeof(text), "%s: %s", path, strerror(errno));
		say("ERROR", what, text);
	} else {
		say("ok", what, path);
	}
}

static void
check_places(const struct conf *cf)
{
	const char *sockets[] = { cf->hint_socket, cf->api_socket,
		cf->poll_socket, cf->pages_socket, cf->webhook_socket,
		cf->media_socket, cf->push_api_socket };
	char path[PARLEY_PATH_MAX + 64];
	size_t i;

	check_folder(cf->state_dir, "state_dir", 022);
	check_folder(cf->run_dir, "run_dir", 027);
	check_folder(cf->log_dir, "log_dir", 027);
	check_folder(cf->media_dir, "media_dir", 027);
	snprintf(path, sizeof(path), "%s/tmpl", cf->www_dir);
	if (access(path, R_OK | X_OK) == -1)
		say("ERROR", "www_dir", "has no tmpl/ that can be read");
	else
		say("ok", "www_dir", cf->www_dir);
	if (strncmp(cf->state_dir, cf->www_dir, strlen(cf->www_dir)) == 0)
		say("ERROR", "state_dir",
		    "lies inside www_dir, from where files are served");
	for (i = 0; i < sizeof(sockets) / sizeof(*sockets); i++)
		if (strlen(sockets[i]) > SOCK_PATH_MAX)
			say("ERROR", sockets[i],
			    "longer than the 107 bytes of a socket's path");
}

static void
check_settings(const struct conf *cf)
{
	if (*cf->base_url == '\0')
		say("warn", "base_url",
		    "not set: links in answers cannot be made");
	else if (strncmp(cf->base_url, "https://", 8) != 0 &&
		 strncmp(cf->base_url, "http://127.0.0.1", 16) != 0 &&
		 strncmp(cf->base_url, "http://localhost", 16) != 0)
		say("warn", "base_url",
		    "plain http: cookies and tokens can be overheard");
	if (!cf->limits)
		say("warn", "limits",
		    "off: for load tests only, and on loopback only");
	if (cf->url_tokens)
		say("warn", "url_tokens",
		    "on: tokens in addresses end up in histories");
	if (strcmp(cf->cors_origins, "*") == 0)
		say("warn", "cors_origins", "any site's pages may call us");
}

/* --- libraries and system ----------------------------------------------------
 */

static void
check_libraries(void)
{
	char text[512];

	snprintf(text, sizeof(text),
	    "SQLite %s, json-c %s, libsodium %s, %s, libcurl %s",
	    sqlite3_libversion(), json_c_version(), sodium_version_string(),
	    OpenSSL_version(OPENSSL_VERSION),
	    curl_version_info(CURLVERSION_NOW)->version);
	say("ok", "libraries", text);
	if (sqlite3_libversion_number() < 3037000)
		say("ERROR", "SQLite", "older than 3.37: no STRICT tables");
	else if (sqlite3_libversion_number() < 3051003)
		say("ok", "SQLite",
		    "before 3.51.3 several processes could spoil the WAL by "
		    "checkpoints at once; the write lock keeps them apart");
	if (sqlite3_threadsafe() == 0)
		say("warn", "SQLite", "built without thread safety");
}

/* Without it no file is taken, from nobody. */
static void
check_magic(const struct conf *cf)
{
	const char *table =
	    *cf->magic_file != '\0' ? cf->magic_file : "the system's";
	char text[PARLEY_PATH_MAX + 512];
	struct buf why;

	buf_init(&why, 512);
	if (file_magic_open(cf->magic_file, &why) == -1) {
		snprintf(text, sizeof(text), "%s: %s; no file is taken", table,
		    why.len > 0 ? why.data : "?");
		say("ERROR", "magic_file", text);
	} else {
		say("ok", "magic_file", table);
	}
	buf_fini(&why);
}

static void
check_file_system(const struct conf *cf)
{
	struct statfs fs;
	struct statvfs vfs;
	char text[128];

	if (statfs(cf->state_dir, &fs) == 0 &&
	    ((unsigned long)fs.f_type == NFS_MAGIC ||
		(unsigned long)fs.f_type == SMB_MAGIC ||
		((unsigned long)fs.f_type & 0xffffffffu) == SMB2_MAGIC ||
		((unsigned long)fs.f_type & 0xffffffffu) == CIFS_MAGIC))
		say("ERROR", "file system",
		    "the database lies on a network file system, where its "
		    "shared memory does not work");
	if (statvfs(cf->state_dir, &vfs) == 0) {
		uint64_t left = (uint64_t)vfs.f_bavail * vfs.f_frsize;
		bool full = left < (uint64_t)cf->write_free_bytes_min;

		snprintf(text, sizeof(text), "%llu MiB free%s",
		    (unsigned long long)(left >> 20),
		    full ? ": nothing is written below write_free_bytes_min"
			 : "");
		say(full              ? "ERROR"
		    : left >> 20 < 64 ? "warn"
				      : "ok",
		    "disk", text);
	}
}

/*
 * Whether the lock that writers queue on works here: another process must not
 * get what we hold, and must get it when we let go.
 */
static void
check_lock(const struct conf *cf)
{
	char path[PARLEY_PATH_MAX + 64];
	int fd, status, round, bad = 0;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/check.lock", cf->run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1) {
		say("ERROR", path, strerror(errno));
		return;
	}
	for (round = 0; round < 2 && !bad; round++) {
		bad = flock(fd, round == 0 ? LOCK_EX : LOCK_UN) == -1;
		fflush(NULL);
		if ((pid = fork()) == 0) {
			int other = open(path, O_RDWR | O_CLOEXEC);

			_exit(
			    other != -1 && flock(other, LOCK_EX | LOCK_NB) == 0
				? 0
				: 1);
		}
		if (pid == -1 || waitpid(pid, &status, 0) != pid ||
		    !WIFEXITED(status) ||
		    WEXITSTATUS(status) != (round == 0 ? 1 : 0))
			bad = 1;
	}
	close(fd);
	unlink(path);
	if (bad)
		say("ERROR", "write lock",
		    "does not keep processes apart on this file system");
	else
		say("ok", "write lock", "keeps processes apart");
}

/* --- the database ------------------------------------------------------------
 */

static void
check_channels(struct store *st)
{
	struct channel_row row;
	const struct channel *ch;
	int64_t ids[256];
	size_t n = 0, i;
	struct buf why;
	char what[64];

	if (store_channel_ids(st, NULL, ids, 256, &n) != STORE_DONE)
		return;
	for (i = 0; i < n; i++) {
		if (store_channel_get(st, ids[i], &row) != STORE_DONE)
			continue;
		snprintf(what, sizeof(what), "channel %lld (%s)",
		    (long long)ids[i], row.platform);
		buf_init(&why, 4096);
		ch = channel_find(row.platform);
		if (strcmp(row.state, "ok") != 0)
			say("warn", what, row.state_text);
		else if (ch != NULL &&
			 channel_config_check(ch, row.all, &why) == -1)
			say("ERROR", what, why.data);
		else
			say("ok", what, row.state);
		buf_fini(&why);
		channel_row_fini(&row);
	}
}

static void
check_database(const struct conf *cf)
{
	struct store *st = NULL;
	char text[128], *why = NULL;
	struct stat sb;
	int64_t users;

	if (stat(cf->db, &sb) == 0 && (sb.st_mode & 077) != 0)
		say("ERROR", cf->db, "others can read it: chmod 600 it");
	if (parley_store(cf, &st) == -1) {
		faults++;
		return;
	}
	switch (store_check(st, &why)) {
	case STORE_DONE:
		snprintf(text, sizeof(text),
		    "whole, schema %d, write-ahead log %lld bytes",
		    store_schema(st), (long long)store_wal_bytes(st));
		say("ok", "database", text);
		break;
	case STORE_NONE:
		say("ERROR", "database", why != NULL ? why : "damaged");
		break;
	default:
		say("ERROR", "database", "cannot be checked");
	}
	free(why);
	if (store_user_count(st, &users) == STORE_DONE && users == 0)
		say("warn", "users", "nobody can log in: parley user add");
	check_channels(st);
	store_close(st);
}

static void
list_keys(void)
{
	const struct conf_key *k;
	size_t i;

	for (i = 0; i < conf_keys_n; i++) {
		k = &conf_keys[i];
		printf("%s = %s\n\t%s%s\n", k->name, k->dflt, k->help,
		    k->secret ? " (secret)" : "");
	}
}

static int
check_main(const struct parley_cmd *c, int n, char **args)
{
	char path[PARLEY_PATH_MAX];
	struct conf cf = { 0 };
	int keys = 0, rc;
	const struct parley_opt opts[] = { { "--keys", NULL, &keys },
		{ NULL, NULL, NULL } };

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (keys) {
		list_keys();
		return 0;
	}
	if (parley_conf_path(path, sizeof(path), 0) == -1)
		return 1;
	if (check_conf(path, &cf) == 0) {
		conf_free(&cf);
		if (parley_conf_load(&cf, CONF_ALL) == -1)
			return 1;
		check_settings(&cf);
		check_places(&cf);
		check_libraries();
		check_magic(&cf);
		check_file_system(&cf);
		check_lock(&cf);
		check_database(&cf);
	}
	conf_free(&cf);
	fflush(stdout);
	if (faults > 0)
		parley_err("%d fault%s, %d warning%s", faults,
		    faults == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
	return faults > 0 ? 1 : 0;
}

const struct parley_cmd parley_check = { "check", "[--keys]",
	"Tell what is wrong with a workspace.\n"
	"Settings by line, permissions, file system, write lock, libraries,\n"
	"database, channels.  Exit status 1 if something is.\n"
	"  --keys  list every setting with its default and meaning instead\n",
	check_main };

/* --- status ------------------------------------------------------------------
 */

/* A process named by its pid file: 1 alive, 0 not. */
static int
alive(const struct conf *cf, const char *file, long *pid)
{
	char path[PARLEY_PATH_MAX + 320], text[32];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", cf->run_dir, file);
	*pid = 0;
	if ((f = fopen(path, "r")) == NULL)
		return 0;
	if (fgets(text, sizeof(text), f) != NULL) {
		text[strcspn(text, "\n")] = '\0';
		if (parley_number(text, 2, 0x7fffffff, pid) == -1)
			*pid = 0;
	}
	fclose(f);
	return *pid > 0 && (kill((pid_t)*pid, 0) == 0 || errno == EPERM);
}

static int
pid_name(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return len > 4 && strcmp(e->d_name + len - 4, ".pid") == 0 &&
	       strcmp(e->d_name, "apache.pid") != 0 &&
	       strcmp(e->d_name, "lighttpd.pid") != 0;
}

/* How many of the named processes are alive, each with its line. */
static int
show_processes(const struct conf *cf)
{
	struct dirent **names;
	int i, n, up = 0;
	long pid;

	n = scandir(cf->run_dir, &names, pid_name, alphasort);
	for (i = 0; i < n; i++) {
		int lives = alive(cf, names[i]->d_name, &pid);

		up += lives;
		printf("%-14.*s %s %ld\n", (int)strlen(names[i]->d_name) - 4,
		    names[i]->d_name, lives ? "pid" : "gone, was pid", pid);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	if (up == 0)
		puts("nothing runs");
	return up;
}

static void
show_store(struct store *st)
{
	struct log_state s;
	int64_t users = 0;

	if (store_read(st) == STORE_FAILED)
		return;
	if (store_log_state(st, &s) == STORE_DONE)
		printf("log            head %lld, floor %lld, life %s\n",
		    (long long)s.head, (long long)s.floor, s.epoch);
	store_read_end(st);
	if (store_user_count(st, &users) == STORE_DONE)
		printf("users          %lld\n", (long long)users);
	printf("schema         %d\nwal            %lld bytes\n",
	    store_schema(st), (long long)store_wal_bytes(st));
}

static int
status_main(const struct parley_cmd *c, int n, char **args)
{
	struct store *st = NULL;
	struct conf cf = { 0 };
	int rc, up;

	if ((rc = parley_opts(c, n, args, NULL, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (parley_conf_load(&cf, CONF_ALL) == -1)
		return 1;
	printf("workspace      %s\n", cf.state_dir);
	if (*cf.base_url != '\0')
		printf("address        %s%s\n", cf.base_url, cf.base_path);
	up = show_processes(&cf);
	rc = parley_store(&cf, &st) == 0 && up > 0 ? 0 : 1;
	if (st != NULL)
		show_store(st);
	store_close(st);
	conf_free(&cf);
	return rc;
}

const struct parley_cmd parley_status = { "status", "",
	"Show which processes run, and how the database stands.\n"
	"Exit status 1 if nothing runs.\n",
	status_main };
