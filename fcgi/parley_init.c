/*
 * parley init: a workspace. Its folder, parley.conf with keys of its own, and
 * the database at the newest schema; with --demo also people and talk to look
 * at.  What is there already stays as it is.
 */
#define _GNU_SOURCE /* explicit_bzero */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "parley.h"
#include "store.h"
#include "store_channel.h"
#include "store_user.h"
#include "token.h"

struct init {
	const char *url;
	long port;
	int demo;
};

static const char head[] =
    "# Parley.  key = value; what is not here has its default.\n"
    "# All keys: docs/configuration.md, or parley check --keys.\n"
    "# parley check tells what is wrong with this file, by line.\n\n";

/* The www_dir line, unless the default leads to the same place. */
static void
put_www(FILE *f, const char *state_dir)
{
	char www[PARLEY_PATH_MAX], dflt[PARLEY_PATH_MAX];
	char *real = NULL;

	if (parley_www(www, sizeof(www)) == -1)
		return;
	if (parley_path(dflt, sizeof(dflt), "%s/../www", state_dir) == 0)
		real = realpath(dflt, NULL);
	if (real == NULL || strcmp(real, www) != 0)
		fprintf(f, "www_dir = %s\n", www);
	free(real);
}

static void
put_key(FILE *f, const char *name)
{
	char key[TOKEN_SIZE];

	token_new(key);
	fprintf(f, "%s = %s\n", name, key);
	explicit_bzero(key, sizeof(key));
}

static void
put_conf(FILE *f, const char *state_dir, const struct init *in)
{
	fputs(head, f);
	if (in->url != NULL)
		fprintf(f, "base_url = %s\n", in->url);
	else if (in->demo)
		fprintf(f, "base_url = http://127.0.0.1:%ld\n", in->port);
	else
		fputs("# The address that browsers use; links are made of it.\n"
		      "# base_url = https://chat.example.com\n",
		    f);
	put_www(f, state_dir);
	if (in->demo)
		fprintf(f, "push_listen = 127.0.0.1:%d\ndrain_s = 1\n",
		    parley_free_port((int)in->port + 1));
	fputs("\n# Made at random for this workspace.  Tell nobody.\n", f);
	put_key(f, "jwt_key");
	put_key(f, "internal_key");
	put_key(f, "proxy_secret");
}

static int
write_conf(const char *path, const char *state_dir, const struct init *in)
{
	char tmp[PARLEY_PATH_MAX];
	FILE *f;
	int fd, bad;

	if (parley_path(tmp, sizeof(tmp), "%s.new", path) == -1) {
		parley_err("%s: %s", path, strerror(errno));
		return -1;
	}
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 || (f = fdopen(fd, "w")) == NULL) {
		parley_err("%s: %s", tmp, strerror(errno));
		return -1;
	}
	put_conf(f, state_dir, in);
	bad = ferror(f) || fflush(f) != 0 || fsync(fd) == -1;
	if (fclose(f) != 0 || bad || rename(tmp, path) == -1) {
		parley_err("%s: %s", path, strerror(errno));
		unlink(tmp);
		return -1;
	}
	return 0;
}

/* The database; then whoever writes in the widget has a channel. */
static int
make_store(const struct conf *cf, int demo)
{
	struct store_options op = { .path = cf->db, .create = true };
	struct store *st = NULL;
	int64_t id;
	int rc;

	rc = store_init(&op);
	if (rc != STORE_DONE && rc != STORE_REPEATED) {
		parley_err("cannot make the database %s", cf->db);
		return -1;
	}
	if (parley_store(cf, &st) == -1)
		return -1;
	rc = store_channel_first(st, "web", &id);
	if (rc == STORE_NONE)
		rc = store_channel_add(
		    st, "web", "Website", NULL, NULL, NULL, &id);
	rc = rc == STORE_DONE ? 0 : -1;
	if (rc == 0 && demo)
		rc = parley_demo_fill(cf, st);
	if (rc == -1)
		parley_err("cannot fill the database %s", cf->db);
	store_close(st);
	return rc;
}

static void
next_steps(const char *conf, const struct init *in)
{
	const char *q = strpbrk(conf, " \t") != NULL ? "'" : "";

	printf("workspace %s\n", conf);
	if (in->demo)
		printf("next: parley run --conf %s%s%s\n", q, conf, q);
	else
		printf("next:%s\n"
		       "  parley user add --email YOU --name NAME --role admin "
		       "--conf %s%s%s\n"
		       "  parley run --conf %s%s%s\n",
		    in->url == NULL ? " set base_url there, then" : "", q, conf,
		    q, q, conf, q);
}

static int
init_main(const struct parley_cmd *c, int n, char **args)
{
	struct init in = { .port = 8080 };
	const char *port = NULL;
	const struct parley_opt opts[] = { { "--demo", NULL, &in.demo },
		{ "--port", &port, NULL }, { "--url", &in.url, NULL },
		{ NULL, NULL, NULL } };
	char path[PARLEY_PATH_MAX], dir[PARLEY_PATH_MAX];
	struct conf cf = { 0 };
	bool made;
	int rc;

	if ((rc = parley_opts(c, n, args, opts, NULL, NULL)) != 0)
		return parley_status_of(rc);
	if (port != NULL && parley_number(port, 1, 65535, &in.port) == -1) {
		parley_err("--port %s: not a port", port);
		return 2;
	}
	umask(077);
	log_open("parley", NULL, LOG_WARN);
	if (token_init() == -1 || parley_conf_path(path, sizeof(path), 1) == -1)
		return 1;
	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	if ((made = access(path, F_OK) == -1) &&
	    write_conf(path, dir, &in) == -1)
		return 1;
	if (setenv("PARLEY_CONF", path, 1) == -1 ||
	    parley_conf_load(&cf, CONF_FCGI) == -1) {
		if (made) /* of options that are no settings */
			unlink(path);
		return 1;
	}
	if (!made && in.url != NULL && strcmp(in.url, cf.base_url) != 0)
		parley_err("%s is there already and stays as it is: for"
			   " another address set base_url in it",
		    path);
	rc = parley_dirs(&cf) == 0 && make_store(&cf, in.demo) == 0 ? 0 : 1;
	if (rc == 0)
		next_steps(path, &in);
	conf_free(&cf);
	return rc;
}

const struct parley_cmd parley_init = { "init",
	"[--demo] [--port N] [--url URL]",
	"Make a workspace: parley.conf with keys, and the database.\n"
	"The folder is that of --conf FILE, or var/ here.  Where there is one\n"
	"already, only its database is brought to this program's schema.\n"
	"  --demo      with an admin, two agents, customers and conversations in\n"
	"              three languages; log-ins are printed and kept in demo.txt\n"
	"  --port N    port for the demo's base_url (8080)\n"
	"  --url URL   base_url, the address that browsers use; in a workspace\n"
	"              that is there already it is not changed\n",
	init_main };
