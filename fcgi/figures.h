#ifndef PARLEY_FIGURES_H
#define PARLEY_FIGURES_H

/* Reading figures in Prometheus text, and writing them for people. */

#include <stddef.h>
#include <stdint.h>

/*
 * figures_get(text, key, v):
 * The value of ${key}, labels included, as it stands in ${text}.  0, or -1 if
 * it is not there or no number.
 */
int figures_get(const char *text, const char *key, double *v);

/*
 * figures_sum(text, name, label):
 * The sum over all of ${name} whose labels have ${label} (transport="sse"), or
 * of all if that is "".
 */
double figures_sum(const char *text, const char *name, const char *label);

#define FIGURES_SIZE 48

/*
 * figures_count(locale, n, out): 12,345 or 12.345, as the language has it.
 * figures_time(locale, s, out): "0.8 ms", "120 ms", "2.5 s".
 * figures_bytes(locale, n, out): "0 B", "12 KB", "3.4 MB", "1.2 GB".
 */
void figures_count(const char *locale, double n, char out[FIGURES_SIZE]);
void figures_time(const char *locale, double s, char out[FIGURES_SIZE]);
void figures_bytes(const char *locale, double n, char out[FIGURES_SIZE]);

#endif
