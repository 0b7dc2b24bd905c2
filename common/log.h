#ifndef PARLEY_LOG_H
#define PARLEY_LOG_H

/*
 * One line per fact: time, program, pid, level, `what key=value ...`.  Lines
 * are cut at LOG_LINE_MAX; controls and bytes that are not UTF-8 go out as
 * \xNN. The same line again and again collapses to "N suppressed". Never log
 * texts, names, tokens, cookies, query strings or bodies.
 */

enum { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * log_open(prog, path, level):
 * Log as ${prog} to the file ${path} (appended, made 0600), or to standard
 * error if NULL or if the file cannot be opened (then -1, and says so).
 * Lines above ${level} are dropped.  Keeps copies of both strings.
 */
int log_open(const char *prog, const char *path, int level);

/* log_reopen(): open the file again by its name, after it was rotated. */
void log_reopen(void);

/* log_level(name): the level called error, warn, info or debug; -1 if none. */
int log_level(const char *name);

/*
 * log_error, log_warn, log_info, log_debug(fmt, ...):
 * One line, if its level is written; no texts of people, no secrets.
 */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * log_sys(fmt, ...):
 * log_error with ": " and the text of errno added.  Keeps errno.
 */
void log_sys(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
