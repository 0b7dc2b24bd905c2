/*
 * One line per fact, one write(2) per line, so that processes may share a
 * file.  Knows nothing of what may not be logged: that is the caller's duty.
 */

#include "clock.h"
#include "limits.h"
#include "log.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLOOD_RATE 200  /* lines a second */
#define FLOOD_BURST 400 /* at once */
#define SAME_MS 10000   /* the same line is counted, not written, so long */

static struct {
	int fd;
	int level;
	char *prog, *path;
	char last[256];  /* beginning of the line before */
	int64_t last_at; /* when it was written, monotonic ms */
	unsigned same;   /* times it came again since */
	int64_t room;    /* lines that may still be written, * 1000 */
	int64_t room_at;
	unsigned suppressed; /* lines that found no room */
} lg = { .fd = STDERR_FILENO, .level = LOG_INFO };

static const char *const names[] = { "error", "warn", "info", "debug" };

static int
log_file(void)
{
	return open(lg.path,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
}

int
log_open(const char *prog, const char *path, int level)
{
	free(lg.prog);
	free(lg.path);
	lg.prog = strdup(prog);
	lg.path = path != NULL ? strdup(path) : NULL;
	lg.level = level;
	lg.room = (int64_t)FLOOD_BURST * 1000;
	lg.room_at = clock_mono_ms();
	if (lg.fd > STDERR_FILENO)
		(void)close(lg.fd);
	lg.fd = STDERR_FILENO;
	if (lg.path == NULL)
		return 0;
	if ((lg.fd = log_file()) == -1) {
		lg.fd = STDERR_FILENO;
		log_sys("log open");
		return -1;
	}
	return 0;
}

void
log_reopen(void)
{
	int fd;

	if (lg.path == NULL)
		return;
	if ((fd = log_file()) == -1) {
		log_sys("log reopen");
		return;
	}
	if (lg.fd > STDERR_FILENO)
		(void)close(lg.fd);
	lg.fd = fd;
}

int
log_level(const char *name)
{
	int i;

	for (i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/* Copy ${text} to ${out} with everything but printable UTF-8 as \xNN. */
static size_t
log_escape(const char *text, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = strlen(text), i = 0, n, at = 0;
	unsigned char c;

	while (i < len) {
		c = (unsigned char)text[i];
		n = utf8_len(text + i, len - i);
		/* C1 controls steer terminals too. */
		if (n > 0 && c >= 0x20 && c != 0x7f &&
		    !(n == 2 && c == 0xc2 &&
			(unsigned char)text[i + 1] < 0xa0)) {
			if (at + n > size)
				break;
			memcpy(out + at, text + i, n);
			at += n;
			i += n;
			continue;
		}
		if (at + 4 > size)
			break;
		out[at++] = '\\';
		out[at++] = 'x';
		out[at++] = hex[c >> 4];
		out[at++] = hex[c & 15];
		i++;
	}
	return at;
}

static void
log_write(int level, const char *text)
{
	char line[LOG_LINE_MAX + 1], when[CLOCK_ISO_SIZE];
	size_t at;
	int n;

	clock_iso(clock_now_ms(), when);
	n = snprintf(line, sizeof(line), "%s %.32s[%ld] %s: ", when,
	    lg.prog != NULL ? lg.prog : "parley", (long)getpid(), names[level]);
	if (n < 0)
		return;
	at = (size_t)n;
	at += log_escape(text, line + at, LOG_LINE_MAX - 1 - at);
	line[at++] = '\n';
	while (write(lg.fd, line, at) == -1 && errno == EINTR)
		;
}

/* Whether a line may be written now; counts it otherwise. */
static bool
log_room(int64_t now)
{
	char text[64];

	lg.room += (now - lg.room_at) * FLOOD_RATE;
	lg.room_at = now;
	if (lg.room > (int64_t)FLOOD_BURST * 1000)
		lg.room = (int64_t)FLOOD_BURST * 1000;
	if (lg.room < 1000) {
		lg.suppressed++;
		return false;
	}
	lg.room -= 1000;
	if (lg.suppressed > 0) {
		(void)snprintf(
		    text, sizeof(text), "log %u suppressed", lg.suppressed);
		lg.suppressed = 0;
		log_write(LOG_WARN, text);
	}
	return true;
}

static void
log_line(int level, const char *text)
{
	int64_t now = clock_mono_ms();
	char again[64];

	if (now - lg.last_at < SAME_MS && lg.last[0] != '\0' &&
	    strlen(text) < sizeof(lg.last) && strcmp(text, lg.last) == 0) {
		lg.same++;
		return;
	}
	if (!log_room(now))
		return;
	if (lg.same > 0) {
		(void)snprintf(
		    again, sizeof(again), "log %u suppressed", lg.same);
		lg.same = 0;
		log_write(LOG_INFO, again);
	}
	(void)snprintf(lg.last, sizeof(lg.last), "%s", text);
	lg.last_at = now;
	log_write(level, text);
}

static void __attribute__((format(printf, 2, 0)))
log_va(int level, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX];

	if (level > lg.level)
		return;
	if (vsnprintf(text, sizeof(text), fmt, ap) >= 0)
		log_line(level, text);
}

void
log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(LOG_ERROR, fmt, ap);
	va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(LOG_WARN, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(LOG_INFO, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(LOG_DEBUG, fmt, ap);
	va_end(ap);
}

void
log_sys(const char *fmt, ...)
{
	char text[LOG_LINE_MAX];
	int e = errno, n;
	va_list ap;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0) {
		if ((size_t)n < sizeof(text) - 1)
			(void)snprintf(text + n, sizeof(text) - (size_t)n,
			    ": %s", strerror(e));
		log_line(LOG_ERROR, text);
	}
	errno = e;
}
