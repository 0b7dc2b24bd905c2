/*
 * parley.conf: found, read by inih, overridden by the environment, checked.
 * The table of settings is conf_keys.h.
 */

#define _XOPEN_SOURCE 700 /* realpath */

#include "conf.h"
#include "addr.h"
#include "id.h"
#include "limits.h"
#include "log.h"
#include "origin.h"
#include "sock.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES_MIN 32 /* of a signing key, as its messages say */

#define F CONF_FCGI
#define P CONF_PUSHD
#define K(name, type, dflt, min, max, scope, secret, help)         \
	{ #name, CONF_##type, dflt, min, max, scope, secret, help, \
		offsetof(struct conf, name) },
const struct conf_key conf_keys[] = {
#include "conf_keys.h"
};
#undef K
#undef F
#undef P

const size_t conf_keys_n = sizeof(conf_keys) / sizeof(conf_keys[0]);

/* A load in progress. */
struct load {
	struct conf *cf;
	const char *file; /* name for messages */
	int line;         /* 0: the environment or a default */
	unsigned scope;
	const char *dir; /* PATHs are relative to it */
	struct buf *err;
	int *seen; /* line of each key in the file; 0 not there, -1 environment
		    */
};

static const struct conf_key *
conf_key_find(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < conf_keys_n; i++)
		if (strlen(conf_keys[i].name) == len &&
		    memcmp(conf_keys[i].name, name, len) == 0)
			return &conf_keys[i];
	return NULL;
}

/* Add a line to the errors. */
static void __attribute__((format(printf, 2, 3)))
load_error(struct load *ld, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (ld->line > 0)
		buf_printf(ld->err, "%s:%d: %s\n", ld->file, ld->line, text);
	else
		buf_printf(ld->err, "%s: %s\n", ld->file, text);
}

static void
wipe_free(char *s)
{
	volatile char *p = s;

	if (s == NULL)
		return;
	while (*p != '\0')
		*p++ = '\0';
	free(s);
}

static void *
member(struct conf *cf, const struct conf_key *k)
{
	return (char *)cf + k->offset;
}

static void
set_text(struct load *ld, const struct conf_key *k, char *copy)
{
	char **to = member(ld->cf, k);

	if (copy == NULL) {
		load_error(ld, "%s: out of memory", k->name);
		return;
	}
	wipe_free(*to);
	*to = copy;
}

static char *
join(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *s = malloc(n);

	if (s != NULL)
		(void)snprintf(s, n, "%s/%s", dir, name);
	return s;
}

/* The absolute form of ${v}, as a new string. */
static char *
set_path(const char *dir, const char *v)
{
	if (v[0] == '/')
		return strdup(v);
	if (strcmp(v, ".") == 0)
		return strdup(dir);
	while (strncmp(v, "./", 2) == 0)
		v += 2;
	return join(dir, v);
}

/* Whether ${v} is one of the words before the colon in ${help}. */
static bool
word_ok(const char *help, const char *v)
{
	size_t len = strlen(v), n;

	for (;; help += n + 1) {
		n = strcspn(help, "|:");
		if (n == len && memcmp(help, v, n) == 0)
			return true;
		if (help[n] != '|')
			return false;
	}
}

static int
bool_of(const char *v)
{
	static const char *const yes[] = { "on", "yes", "true", "1" };
	static const char *const no[] = { "off", "no", "false", "0" };
	size_t i;

	for (i = 0; i < 4; i++) {
		if (strcasecmp(v, yes[i]) == 0)
			return 1;
		if (strcasecmp(v, no[i]) == 0)
			return 0;
	}
	return -1;
}

static void
set(struct load *ld, const struct conf_key *k, const char *v)
{
	size_t len = strlen(v);
	int64_t n = 0;
	int b;

	if ((k->scope & ld->scope) == 0)
		return;
	switch (k->type) {
	case CONF_NUM:
		if (id_number(v, len, k->min, k->max, &n) == -1) {
			load_error(ld, "%s must be a number from %lld to %lld",
			    k->name, (long long)k->min, (long long)k->max);
			return;
		}
		memcpy(member(ld->cf, k), &n, sizeof(n));
		return;
	case CONF_BOOL:
		if ((b = bool_of(v)) == -1) {
			load_error(ld, "%s must be on or off", k->name);
			return;
		}
		*(bool *)member(ld->cf, k) = b == 1;
		return;
	case CONF_WORD:
		if (!word_ok(k->help, v)) {
			load_error(ld, "%s must be one of %.*s", k->name,
			    (int)strcspn(k->help, ":"), k->help);
			return;
		}
		set_text(ld, k, strdup(v));
		return;
	case CONF_STR:
		if (len < (size_t)k->min || len > (size_t)k->max) {
			load_error(ld, "%s must have %lld to %lld bytes",
			    k->name, (long long)k->min, (long long)k->max);
			return;
		}
		set_text(ld, k, strdup(v));
		return;
	case CONF_PATH:
		if (len < (size_t)k->min) {
			load_error(ld, "%s must not be empty", k->name);
			return;
		}
		set_text(ld, k, len == 0 ? strdup("") : set_path(ld->dir, v));
		return;
	}
}

/* inih found `name = value` in the line at hand. */
static int
load_pair(void *user, const char *section, const char *name, const char *value)
{
	struct load *ld = user;
	const struct conf_key *k = conf_key_find(name, strlen(name));
	size_t i;

	(void)section;
	if (k == NULL) {
		load_error(ld, "unknown setting %.64s", name);
		return 1;
	}
	i = (size_t)(k - conf_keys);
	if (ld->seen[i] > 0) {
		load_error(
		    ld, "%s was set in line %d already", name, ld->seen[i]);
		return 1;
	}
	ld->seen[i] = ld->line;
	set(ld, k, value);
	return 1;
}

/* Give the file to inih a line at a time, so that errors know theirs. */
static void
load_lines(struct load *ld, char *text)
{
	char *line, *next;

	ini_max_line = 32768;
	ini_use_stack = false;
	ini_allow_realloc = true;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	for (line = text; line != NULL; line = next) {
		ld->line++;
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		if (strlen(line) > 32000)
			load_error(ld, "line is too long");
		else if (line[strspn(line, " \t")] == '[')
			load_error(ld, "there are no [sections] here");
		else if (ini_parse_string(line, load_pair, ld) != 0)
			load_error(ld, "not of the form `name = value`");
	}
}

static int
load_read(struct load *ld, struct buf *text)
{
	struct stat st;
	ssize_t n = -1;
	char *to;
	int fd;

	if ((fd = open(ld->file, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1) {
		load_error(ld, "%s", strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		while ((to = buf_room(text, 4096)) != NULL &&
		       (n = read(fd, to, 4096)) > 0) {
			text->len += (size_t)n;
			text->data[text->len] = '\0';
		}
	(void)close(fd);
	if (n != 0 || strlen(text->data) != text->len) {
		load_error(ld, "cannot be read, is too large or no text");
		return -1;
	}
	if ((st.st_mode & (S_IRWXO | S_IWGRP)) != 0 &&
	    (strstr(text->data, "_key") != NULL ||
		strstr(text->data, "_secret") != NULL))
		load_error(ld, "holds secrets: other users must not read or "
			       "write it (chmod 600)");
	return 0;
}

static void
load_file(struct load *ld)
{
	struct buf text;

	buf_init(&text, CONF_BYTES_MAX);
	if (load_read(ld, &text) == 0)
		load_lines(ld, text.data);
	if (text.cap > 0)
		memset(text.data, 0, text.cap);
	buf_fini(&text);
	ld->line = 0;
}

static void
load_env(struct load *ld)
{
	/* Names that other servers' users know. */
	static const char *const also[][2] = {
		{ "WEBSOCKET_CORS_ORIGIN", "cors_origins" },
		{ "WEBSOCKET_PING_INTERVAL", "ping_interval_ms" },
		{ "WEBSOCKET_PING_TIMEOUT", "ping_timeout_ms" },
	};
	char name[64] = "PARLEY_";
	const char *v;
	const struct conf_key *k;
	size_t i, j;

	ld->file = "environment";
	for (i = 0; i < sizeof(also) / sizeof(also[0]); i++)
		if ((v = getenv(also[i][0])) != NULL) {
			k = conf_key_find(also[i][1], strlen(also[i][1]));
			ld->seen[k - conf_keys] = -1;
			set(ld, k, v);
		}
	for (i = 0; i < conf_keys_n; i++) {
		for (j = 0; conf_keys[i].name[j] != '\0'; j++)
			name[7 + j] =
			    (char)toupper((unsigned char)conf_keys[i].name[j]);
		name[7 + j] = '\0';
		if ((v = getenv(name)) != NULL) {
			ld->seen[i] = -1;
			set(ld, &conf_keys[i], v);
		}
	}
}

/* A fault of ${key}'s value, told where that was set. */
static void
load_fault(struct load *ld, const char *key, const char *text)
{
	const char *file = ld->file;
	int line = ld->seen[conf_key_find(key, strlen(key)) - conf_keys];

	if (line == -1)
		ld->file = "environment";
	ld->line = line;
	load_error(ld, "%s %s", key, text);
	ld->line = 0;
	ld->file = file;
}

/* http://HOST[:PORT], and no more. */
static bool
base_url_ok(const char *url)
{
	size_t n = strncmp(url, "http://", 7) == 0    ? 7
		   : strncmp(url, "https://", 8) == 0 ? 8
						      : 0;

	return n > 0 && url[n] != '\0' &&
	       strpbrk(url + n, "/?#@ \t,\\") == NULL;
}

/* Numbers from 1 to 65535 with commas between; none is a list, too. */
static bool
port_list_ok(const char *p)
{
	char *end;
	long n;

	while (*p != '\0') {
		p += strspn(p, " ");
		if (*p < '0' || *p > '9')
			return false;
		n = strtol(p, &end, 10);
		if (n < 1 || n > 65535)
			return false;
		p = end + strspn(end, " ");
		if (*p != '\0' && *p++ != ',')
			return false;
	}
	return true;
}

/* Where we are and who may come, beyond lengths. */
static void
load_check_places(struct load *ld)
{
	struct conf *cf = ld->cf;
	size_t i, n = strlen(cf->base_path), url = strlen(cf->base_url);

	while (url > 0 && cf->base_url[url - 1] == '/')
		cf->base_url[--url] = '\0';
	if (cf->base_url[0] != '\0' && !base_url_ok(cf->base_url))
		load_fault(ld, "base_url",
		    "must begin with http:// or https:// and have no path: "
		    "that is base_path");
	if (n > 0 && (cf->base_path[0] != '/' || cf->base_path[n - 1] == '/' ||
			 strpbrk(cf->base_path, "?# %\\") != NULL ||
			 strstr(cf->base_path, "//") != NULL))
		load_fault(
		    ld, "base_path", "must begin with / and not end with it");
	for (i = 0; i < conf_keys_n; i++) {
		const struct conf_key *k = &conf_keys[i];

		if (k->type == CONF_PATH && k->max <= SOCK_PATH_MAX &&
		    strlen(*(char **)member(cf, k)) > SOCK_PATH_MAX)
			load_fault(ld, k->name,
			    "is too long: a socket's path has at most 107 "
			    "bytes");
	}
	if (!sock_addr_ok(cf->push_listen))
		load_fault(ld, "push_listen",
		    "must be HOST:PORT, the host as a number, or a path with "
		    "a / in it of at most 107 bytes");
	if (!origin_list_ok(cf->cors_origins))
		load_fault(ld, "cors_origins",
		    "must be origins like https://shop.example, or *");
	if (!addr_list_ok(cf->trusted_proxies))
		load_fault(ld, "trusted_proxies",
		    "must be addresses or networks like 10.0.0.0/8");
	if (!addr_list_ok(cf->fetch_networks))
		load_fault(ld, "fetch_networks",
		    "is not a list of addresses and networks");
	if (!port_list_ok(cf->fetch_ports))
		load_fault(ld, "fetch_ports", "must be ports like 80,443");
	if (!addr_list_ok(cf->metrics_addresses))
		load_fault(ld, "metrics_addresses",
		    "must be addresses or networks like 10.0.0.0/8");
}

/* What one setting alone cannot tell. */
static void
load_check(struct load *ld)
{
	struct conf *cf = ld->cf;

	load_check_places(ld);
	if ((ld->scope & CONF_LAX) != 0)
		return;
	if ((ld->scope & CONF_FCGI) != 0 && strlen(cf->jwt_key) < KEY_BYTES_MIN)
		load_fault(ld, "jwt_key", "must have 32 bytes or more");
	if (cf->integrator_key[0] != '\0' &&
	    strlen(cf->integrator_key) < KEY_BYTES_MIN)
		load_fault(ld, "integrator_key", "must have 32 bytes or more");
	if (cf->internal_key[0] != '\0' && strlen(cf->internal_key) < 16)
		load_fault(ld, "internal_key", "must have 16 bytes or more");
}

/* Texts nobody set are empty, never NULL. */
static int
load_fill(struct conf *cf)
{
	size_t i;

	for (i = 0; i < conf_keys_n; i++) {
		char **to;

		if (conf_keys[i].type == CONF_NUM ||
		    conf_keys[i].type == CONF_BOOL)
			continue;
		to = member(cf, &conf_keys[i]);
		if (*to == NULL && (*to = strdup("")) == NULL)
			return -1;
	}
	if (cf->file == NULL && (cf->file = strdup("")) == NULL)
		return -1;
	return 0;
}

/* push_listen may be a path too: make it one from here. */
static void
load_listen(struct load *ld)
{
	struct conf *cf = ld->cf;

	if (cf->push_listen != NULL && strchr(cf->push_listen, '/') != NULL)
		set_text(ld, conf_key_find("push_listen", 11),
		    set_path(ld->dir, cf->push_listen));
}

/* The folder that holds the file, absolute, as a new string. */
static char *
load_dir(const char *path, char **full)
{
	char *dir = NULL, *slash;

	*full = NULL;
	if (path == NULL)
		return realpath(".", NULL);
	if ((*full = realpath(path, NULL)) == NULL)
		*full = strdup(path);
	if (*full == NULL || (dir = strdup(*full)) == NULL)
		return NULL;
	if ((slash = strrchr(dir, '/')) == NULL) {
		free(dir);
		return realpath(".", NULL);
	}
	*(slash == dir ? slash + 1 : slash) = '\0';
	return dir;
}

int
conf_load(struct conf *cf, const char *path, unsigned scope, struct buf *err)
{
	struct load ld = {
		.cf = cf, .file = "defaults", .scope = scope, .err = err
	};
	size_t i, before = err->len;
	char *dir = NULL;
	int *seen = NULL;

	memset(cf, 0, sizeof(*cf));
	dir = load_dir(path, &cf->file);
	seen = calloc(conf_keys_n, sizeof(*seen));
	if (dir == NULL || seen == NULL) {
		load_error(&ld, "out of memory, or no working directory");
		goto out;
	}
	ld.dir = dir;
	ld.seen = seen;
	for (i = 0; i < conf_keys_n; i++)
		set(&ld, &conf_keys[i], conf_keys[i].dflt);
	if (cf->file != NULL) {
		ld.file = cf->file;
		load_file(&ld);
	}
	load_env(&ld);
	load_listen(&ld);
	ld.file = cf->file != NULL ? cf->file : "settings";
	if (load_fill(cf) == -1)
		load_error(&ld, "out of memory");
	else
		load_check(&ld);
out:
	free(dir);
	free(seen);
	(void)load_fill(cf);
	return err->len == before && !err->err ? 0 : -1;
}

void
conf_free(struct conf *cf)
{
	size_t i;

	for (i = 0; i < conf_keys_n; i++)
		if (conf_keys[i].type != CONF_NUM &&
		    conf_keys[i].type != CONF_BOOL)
			wipe_free(*(char **)member(cf, &conf_keys[i]));
	free(cf->file);
	memset(cf, 0, sizeof(*cf));
}

/* Numbers as they lie in memory, a text with its NUL. */
void
conf_pack(const struct conf *cf, unsigned scope, struct buf *out)
{
	const struct conf_key *k;
	const char *at;

	for (k = conf_keys; k < conf_keys + conf_keys_n; k++) {
		if ((k->scope & scope) == 0)
			continue;
		at = (const char *)cf + k->offset;
		if (k->type == CONF_NUM) {
			buf_append(out, at, sizeof(int64_t));
		} else if (k->type == CONF_BOOL) {
			buf_append(out, at, sizeof(bool));
		} else {
			at = *(char *const *)(const void *)at;
			buf_append(out, at, strlen(at) + 1);
		}
	}
	buf_append(out, cf->file, strlen(cf->file) + 1);
}

/* A text's copy from the front of ${*p}; NULL if there is none. */
static char *
unpack_text(const char **p, const char *end)
{
	const char *nul =
	    *p < end ? memchr(*p, '\0', (size_t)(end - *p)) : NULL;
	char *copy;

	if (nul == NULL || (copy = strdup(*p)) == NULL)
		return NULL;
	*p = nul + 1;
	return copy;
}

static int
unpack_all(struct conf *cf, unsigned scope, const char *p, const char *end)
{
	const struct conf_key *k;
	size_t n;

	for (k = conf_keys; k < conf_keys + conf_keys_n; k++) {
		if ((k->scope & scope) == 0)
			continue;
		if (k->type == CONF_NUM || k->type == CONF_BOOL) {
			n = k->type == CONF_NUM ? sizeof(int64_t)
						: sizeof(bool);
			if ((size_t)(end - p) < n)
				return -1;
			memcpy(member(cf, k), p, n);
			p += n;
		} else if ((*(char **)member(cf, k) = unpack_text(&p, end)) ==
			   NULL) {
			return -1;
		}
	}
	cf->file = unpack_text(&p, end);
	return cf->file != NULL && p == end ? 0 : -1;
}

int
conf_unpack(struct conf *cf, unsigned scope, const char *p, size_t len)
{
	int rc;

	memset(cf, 0, sizeof(*cf));
	rc = unpack_all(cf, scope, p, p + len);
	return load_fill(cf) == -1 ? -1 : rc;
}

/* Try ${dir}/${sub}/parley.conf. */
static int
find_at(const char *dir, const char *sub, char *out, size_t size)
{
	char path[PATH_MAX];
	char *full;
	int n;

	n = snprintf(path, sizeof(path), "%s/%sparley.conf", dir, sub);
	if (n < 0 || (size_t)n >= sizeof(path) || access(path, R_OK) == -1)
		return 0;
	if ((full = realpath(path, NULL)) == NULL)
		return 0;
	n = snprintf(out, size, "%s", full);
	free(full);
	return n > 0 && (size_t)n < size;
}

int
conf_find(char *out, size_t size)
{
	const char *env = getenv("PARLEY_CONF");
	char dir[PATH_MAX], *slash;
	ssize_t n;
	int up;

	if (env != NULL && env[0] != '\0') {
		int len = snprintf(out, size, "%s", env);

		return len > 0 && (size_t)len < size;
	}
	n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	if (n <= 0)
		return 0;
	dir[n] = '\0';
	for (up = 0; up < 4; up++) {
		if ((slash = strrchr(dir, '/')) == NULL || slash == dir)
			break;
		*slash = '\0';
		if (find_at(dir, "", out, size) ||
		    find_at(dir, "var/", out, size))
			return 1;
	}
	return 0;
}
