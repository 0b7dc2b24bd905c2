/*
 * When parley run is ready: every program has answered once.  Says so, or who
 * does not answer.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "parley.h"
#include "run.h"
#include "sock.h"

#define READY_MS 30000 /* to answer, all of them */

/* Wait until ${fd} is as ${events} says: 0, or -1. */
static int
wait_fd(int fd, short events)
{
	struct pollfd pf = { .fd = fd, .events = events };

	return poll(&pf, 1, 3000) == 1 ? 0 : -1;
}

/* Status of GET ${path} at ${addr}, or -1. */
static int
ask(const char *addr, const char *path)
{
	char text[512];
	size_t len = 0;
	ssize_t n;
	int status = -1, fd = sock_connect(addr, SOCK_STREAM);

	if (fd == -1)
		return -1;
	n = snprintf(text, sizeof(text),
	    "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path,
	    strchr(addr, '/') != NULL ? "localhost" : addr);
	if (wait_fd(fd, POLLOUT) == -1 ||
	    send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		goto out;
	while (len < 12 && wait_fd(fd, POLLIN) == 0) {
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	if (len >= 12 && strncmp(text, "HTTP/1.", 7) == 0)
		status = (int)strtol(text + 9, NULL, 10);
out:
	close(fd);
	return status;
}

void
run_ready_probe(const struct run *r)
{
	static const struct {
		const char *what, *path;
		int ok, also;
	} door[] = {
		{ "api.fcgi", "/health", 200, 200 },
		{ "pages.fcgi", "/login", 200, 303 },
		{ "poll.fcgi", "/api/events/poll", 401, 200 },
	};
	int64_t end = clock_mono_ms() + READY_MS;
	char web[128];
	int status = -1;
	size_t i;

	snprintf(web, sizeof(web), "%s:%ld", r->listen, r->port);
	for (i = 0; i < 3; i++) {
		for (;;) {
			status = ask(web, door[i].path);
			if (status == door[i].ok || status == door[i].also)
				break;
			if (clock_mono_ms() > end)
				goto late;
			nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
		}
	}
	while (!r->cgi && ask(r->push, "/health") != 200) {
		if (clock_mono_ms() > end) {
			parley_err(
			    "pushd does not answer at %s", r->cf.push_listen);
			_exit(1);
		}
		nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	}
	_exit(0);
late:
	if (status == -1)
		parley_err("the web server does not answer at %s", web);
	else
		parley_err("%s does not answer: GET %s gives %d", door[i].what,
		    door[i].path, status);
	_exit(1);
}

void
run_ready_log(const struct run *r, const char *log)
{
	char path[PARLEY_PATH_MAX + 64], text[2048];
	ssize_t n;
	off_t size;
	int fd;

	snprintf(path, sizeof(path), "%s/%s.log", r->cf.log_dir, log);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	size = lseek(fd, 0, SEEK_END);
	if (size > (off_t)sizeof(text))
		lseek(fd, size - (off_t)sizeof(text), SEEK_SET);
	else
		lseek(fd, 0, SEEK_SET);
	if ((n = read(fd, text, sizeof(text))) > 0)
		fprintf(stderr, "--- %s\n%.*s\n", path, (int)n, text);
	close(fd);
}

void
run_ready_say(struct run *r)
{
	char path[PARLEY_PATH_MAX + 64], text[4096];
	size_t n;
	FILE *f;

	r->ready = true;
	printf("ready http://%s:%ld\n", r->listen, r->port);
	snprintf(path, sizeof(path), "%s/" PARLEY_DEMO_FILE, r->cf.state_dir);
	if (r->demo && (f = fopen(path, "r")) != NULL) {
		while ((n = fread(text, 1, sizeof(text), f)) > 0)
			fwrite(text, 1, n, stdout);
		fclose(f);
		printf("  a shop's page: http://%s:%ld/demo.html\n"
		       "  the inbox:     http://%s:%ld/inbox\n",
		    r->listen, r->port, r->listen, r->port);
	}
	fflush(stdout);
	log_info("ready port=%ld web=%s mode=%s", r->port,
	    r->apache ? "apache" : "lighttpd", r->cgi ? "cgi" : "fcgi");
}
