/*
 * Where parley run finds things, and that nothing stands in their way: the
 * programs and folders, the lock, what a killed run left, the ports.
 */
#define _GNU_SOURCE /* memmem */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "parley.h"
#include "run.h"
#include "sock.h"

#define ORPHANS_MS 10000 /* what a killed run left has to end */

int
run_place_find(struct run *r)
{
	ssize_t n = readlink("/proc/self/exe", r->self, sizeof(r->self) - 1);
	char *slash;

	if (n <= 0 || parley_bin(r->bin, sizeof(r->bin)) == -1) {
		parley_err("cannot find the programs beside this one");
		return -1;
	}
	r->self[n] = '\0';
	/* apache.conf and lighttpd.conf stand beside www/. */
	if (parley_path(r->home, sizeof(r->home), "%s", r->cf.www_dir) == -1)
		return -1;
	if ((slash = strrchr(r->home, '/')) != NULL && slash != r->home)
		*slash = '\0';
	return 0;
}

int
run_place_check(const struct run *r)
{
	static const char *const programs[] = { "api.fcgi", "poll.fcgi",
		"pages.fcgi", "webhook.fcgi", "media.fcgi", NULL };
	char path[PARLEY_PATH_MAX + 64];
	struct stat sb;
	size_t i;

	/* The programs would refuse it, one after the other. */
	if (stat(r->cf.state_dir, &sb) == 0 && (sb.st_mode & S_IWOTH) != 0) {
		parley_err("%s may be written by others: chmod o-w it",
		    r->cf.state_dir);
		return -1;
	}
	for (i = 0; programs[i] != NULL; i++) {
		snprintf(path, sizeof(path), "%s/%s", r->bin, programs[i]);
		if (access(path, X_OK) == -1)
			goto missing;
	}
	snprintf(path, sizeof(path), "%s/pushd", r->bin);
	if (!r->cgi && access(path, X_OK) == -1)
		goto missing;
	snprintf(path, sizeof(path), "%s/%s.conf", r->home,
	    r->apache ? "apache" : "lighttpd");
	if (access(path, R_OK) == -1)
		goto missing;
	snprintf(path, sizeof(path), "%s/tmpl", r->cf.www_dir);
	if (access(path, R_OK | X_OK) == -1)
		goto missing;
	return 0;
missing:
	parley_err("%s: %s%s", path, strerror(errno),
	    errno == EACCES ? " (for the user that runs the servers)" : "");
	return -1;
}

int
run_place_lock(const struct run *r)
{
	char path[PARLEY_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/run.lock", r->cf.run_dir);
	if (sock_lock(path) != -1)
		return 0;
	if (errno == EWOULDBLOCK)
		parley_err(
		    "%s is in use: this workspace is running already", path);
	else
		parley_err("%s: %s", path, strerror(errno));
	return -1;
}

/* Whether ${pid} is a process of this workspace's: its command line says so. */
static bool
is_ours(const struct run *r, long pid)
{
	char path[64], text[PARLEY_PATH_MAX * 2], file[PARLEY_PATH_MAX + 64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	if ((f = fopen(path, "r")) != NULL) {
		n = fread(text, 1, sizeof(text), f);
		fclose(f);
	}
	if (memmem(text, n, r->conf, strlen(r->conf)) != NULL)
		return true;
	/* The web server knows its own file only, which others may use too. */
	snprintf(file, sizeof(file), "%s/apache.conf", r->home);
	if (memmem(text, n, file, strlen(file)) != NULL)
		return true;
	snprintf(file, sizeof(file), "%s/lighttpd.conf", r->home);
	return memmem(text, n, file, strlen(file)) != NULL;
}

void
run_place_clear(const struct run *r)
{
	char path[PARLEY_PATH_MAX + 320], text[32];
	int64_t end = clock_mono_ms() + ORPHANS_MS;
	const struct dirent *e;
	long pid;
	size_t len;
	FILE *f;
	DIR *d = opendir(r->cf.run_dir);

	while (d != NULL && (e = readdir(d)) != NULL) {
		len = strlen(e->d_name);
		if (len < 5 || strcmp(e->d_name + len - 4, ".pid") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", r->cf.run_dir, e->d_name);
		pid = 0;
		if ((f = fopen(path, "r")) != NULL) {
			if (fgets(text, sizeof(text), f) != NULL)
				pid = strtol(text, NULL, 10);
			fclose(f);
		}
		while (pid > 1 && clock_mono_ms() < end && is_ours(r, pid))
			nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
		unlink(path);
	}
	if (d != NULL)
		closedir(d);
}

long
run_place_port(const struct run *r)
{
	static const char *const at[] = {
		"http://127.0.0.1:", "http://localhost:", NULL
	};
	long port;
	size_t i;

	for (i = 0; at[i] != NULL; i++)
		if (strncmp(r->cf.base_url, at[i], strlen(at[i])) == 0 &&
		    parley_number(
			r->cf.base_url + strlen(at[i]), 1, 65535, &port) == 0)
			return port;
	return 0;
}

int
run_place_url(struct run *r)
{
	char url[300];

	if (!r->demo || run_place_port(r) == r->port)
		return 0;
	snprintf(url, sizeof(url), "http://127.0.0.1:%ld", r->port);
	free(r->cf.base_url);
	if ((r->cf.base_url = strdup(url)) == NULL)
		return -1;
	return parley_conf_set(r->conf, "base_url", url);
}

int
run_place_ports(struct run *r)
{
	char addr[300];
	int port;

	snprintf(addr, sizeof(addr), "%s:%ld", r->listen, r->port);
	if (parley_port_busy(addr)) {
		parley_err("port %ld is in use: choose another (--port, or "
			   "make run PORT=...)",
		    r->port);
		return -1;
	}
	if (strchr(r->cf.push_listen, '/') != NULL)
		return parley_path(r->push, sizeof(r->push), "%s%s%s",
		    *r->cf.push_listen == '/' ? "" : r->cf.state_dir,
		    *r->cf.push_listen == '/' ? "" : "/", r->cf.push_listen);
	snprintf(r->push, sizeof(r->push), "%s", r->cf.push_listen);
	if (r->cgi || !parley_port_busy(r->push))
		return 0;
	if (!r->demo || (port = parley_free_port((int)r->port + 1)) == 0) {
		parley_err("pushd's address %s (push_listen) is in use",
		    r->cf.push_listen);
		return -1;
	}
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", port);
	snprintf(r->push, sizeof(r->push), "%s", addr);
	return parley_conf_set(r->conf, "push_listen", addr);
}
