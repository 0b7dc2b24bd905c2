/*
 * The web server of parley run: where it is on this machine, what its
 * configuration wants to know, and the word that pushd knows it by.
 */
#define _GNU_SOURCE /* strsep */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parley.h"
#include "run.h"

/* The first of ${names} in PATH or where servers usually are. */
static const char *
find_program(const char *const *names, char *out, size_t size)
{
	const char *path = getenv("PATH");
	char dirs[8192];
	char *p, *dir;
	size_t i;

	for (i = 0; names[i] != NULL; i++) {
		snprintf(dirs, sizeof(dirs), "%s:/usr/sbin:/usr/local/sbin",
		    path != NULL ? path : "/usr/bin");
		for (p = dirs; (dir = strsep(&p, ":")) != NULL;) {
			if (*dir == '\0')
				continue;
			if (parley_path(out, size, "%s/%s", dir, names[i]) ==
				0 &&
			    access(out, X_OK) == 0)
				return out;
		}
	}
	return NULL;
}

const char *
run_web_find(bool apache, char *out, size_t size)
{
	static const char *const apache_names[] = { "apache2", "httpd", NULL };
	static const char *const lighttpd_names[] = { "lighttpd", NULL };

	return find_program(apache ? apache_names : lighttpd_names, out, size);
}

const char *
run_web_modules(void)
{
	static const char *const dirs[] = { "/usr/lib/apache2/modules",
		"/usr/lib64/httpd/modules", "/usr/lib/httpd/modules",
		"/usr/lib64/apache2", "/usr/lib/apache2",
		"/usr/local/libexec/apache24", NULL };
	const char *dir = getenv("PARLEY_MODULES");
	char path[PARLEY_PATH_MAX];
	size_t i;

	if (dir != NULL)
		return dir;
	for (i = 0; dirs[i] != NULL; i++) {
		snprintf(path, sizeof(path), "%s/mod_alias.so", dirs[i]);
		if (access(path, R_OK) == 0)
			return dirs[i];
	}
	return NULL;
}

void
run_env(const char *name, const char *value)
{
	if (setenv(name, value, 1) == -1)
		_exit(127);
}

void
run_web_exec(const struct run *r)
{
	const char *push = r->push, *colon = strrchr(push, ':');
	char file[PARLEY_PATH_MAX + 64], program[PARLEY_PATH_MAX], num[16];
	char addr[PARLEY_PATH_MAX + 64], host[PARLEY_PATH_MAX];
	bool local = strchr(push, '/') != NULL;

	run_env("PARLEY_VAR", r->cf.state_dir);
	run_env("PARLEY_WWW", r->cf.www_dir);
	run_env("PARLEY_BIN", r->bin);
	run_env("PARLEY_LISTEN", r->listen);
	snprintf(num, sizeof(num), "%ld", r->port);
	run_env("PARLEY_PORT", num);
	snprintf(file, sizeof(file), "%s/%s.conf", r->home,
	    r->apache ? "apache" : "lighttpd");
	if (r->apache) {
		snprintf(addr, sizeof(addr),
		    local ? "unix:%s|http://pushd" : "http://%s", push);
		run_env("PARLEY_PUSH", addr);
		run_env("PARLEY_MODULES", run_web_modules());
		if (run_web_find(true, program, sizeof(program)) == NULL)
			_exit(127);
		if (r->cgi)
			execl(program, program, "-f", file, "-D",
			    "PARLEY_ALONE", "-D", "FOREGROUND", (char *)NULL);
		else
			execl(program, program, "-f", file, "-D",
			    "PARLEY_ALONE", "-D", "FOREGROUND", "-D",
			    "PARLEY_FCGI", (char *)NULL);
		_exit(127);
	}
	snprintf(host, sizeof(host), "%.*s",
	    local || colon == NULL ? (int)strlen(push) : (int)(colon - push),
	    push);
	run_env("PARLEY_PUSH_HOST", host);
	run_env("PARLEY_PUSH_PORT", local || colon == NULL ? "0" : colon + 1);
	run_env("PARLEY_IF_FCGI", r->cgi ? "(?!)" : "");
	run_env("PARLEY_IF_CGI", r->cgi ? "" : "(?!)");
	if (run_web_find(false, program, sizeof(program)) == NULL)
		_exit(127);
	execl(program, program, "-D", "-f", file, (char *)NULL);
	_exit(127);
}

int
run_web_secret(const struct run *r)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_.~+=";
	const char *secret = r->cf.proxy_secret;
	char path[PARLEY_PATH_MAX + 64];
	int fd, i;
	FILE *f;

	if (secret[strspn(secret, plain)] != '\0') {
		parley_err("proxy_secret may hold letters, digits and -_.~+=");
		return -1;
	}
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s-secret.conf", r->cf.run_dir,
		    i == 0 ? "apache" : "lighttpd");
		unlink(path);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd == -1 || (f = fdopen(fd, "w")) == NULL) {
			parley_err("%s: %s", path, strerror(errno));
			return -1;
		}
		fprintf(f,
		    i == 0 ? "Define PARLEY_PROXY_SECRET \"%s\"\n"
			   : "var.proxy_secret = \"%s\"\n",
		    secret);
		if (fclose(f) != 0)
			return -1;
	}
	return 0;
}
