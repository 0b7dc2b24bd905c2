/*
 * figures.c: from Prometheus text to what one reads.  The text is our own: it
 * is read as far as it goes, and nothing of it is shown but numbers.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"

/* The line after this one; NULL if there is none. */
static const char *
next(const char *line)
{
	const char *p = strchr(line, '\n');

	return p == NULL || p[1] == '\0' ? NULL : p + 1;
}

int
figures_get(const char *text, const char *key, double *v)
{
	size_t len = strlen(key);
	const char *line;
	char *end;

	for (line = text; line != NULL && *line != '\0'; line = next(line)) {
		if (strncmp(line, key, len) != 0 || line[len] != ' ')
			continue;
		*v = strtod(line + len + 1, &end);
		return end != line + len + 1 && isfinite(*v) ? 0 : -1;
	}
	return -1;
}

double
figures_sum(const char *text, const char *name, const char *label)
{
	size_t len = strlen(name);
	const char *line, *end, *found;
	double sum = 0, v;

	for (line = text; line != NULL && *line != '\0'; line = next(line)) {
		if (strncmp(line, name, len) != 0 ||
		    (line[len] != '{' && line[len] != ' '))
			continue;
		/* No label's value has a blank. */
		end = strchr(line, ' ');
		found = strstr(line, label);
		if (end == NULL || found == NULL || found > end)
			continue;
		v = strtod(end + 1, NULL);
		if (isfinite(v))
			sum += v;
	}
	return sum;
}

/* ${v} with so many decimals, and the language's marks. */
static void
number(const char *locale, double v, int decimals, char out[FIGURES_SIZE])
{
	int vi = strcmp(locale, "vi") == 0;
	char plain[FIGURES_SIZE], *dot;
	size_t i, n, at = 0;

	if (!isfinite(v) || v < 0 || v > 1e15)
		v = 0;
	snprintf(plain, sizeof(plain), "%.*f", decimals, v);
	dot = strchr(plain, '.');
	n = dot != NULL ? (size_t)(dot - plain) : strlen(plain);
	for (i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			out[at++] = vi ? '.' : ',';
		out[at++] = plain[i];
	}
	out[at] = '\0';
	if (dot != NULL)
		snprintf(out + at, FIGURES_SIZE - at, "%c%s", vi ? ',' : '.',
		    dot + 1);
}

/* Two or three digits that count, with a unit. */
static void
rounded(const char *locale, double v, const char *unit, char out[FIGURES_SIZE])
{
	size_t len;

	number(locale, v, v < 9.95 && v > 0 ? 1 : 0, out);
	len = strlen(out);
	snprintf(out + len, FIGURES_SIZE - len, " %s", unit);
}

void
figures_count(const char *locale, double n, char out[FIGURES_SIZE])
{
	number(locale, n, 0, out);
}

void
figures_time(const char *locale, double s, char out[FIGURES_SIZE])
{
	if (s < .9995)
		rounded(locale, s * 1000, "ms", out);
	else
		rounded(locale, s, "s", out);
}

void
figures_bytes(const char *locale, double n, char out[FIGURES_SIZE])
{
	static const char *const units[] = { "KB", "MB", "GB", "TB" };
	size_t i;

	if (n < 1000) {
		number(locale, n, 0, out);
		(void)snprintf(out + strlen(out), 3, " B");
		return;
	}
	n /= 1000;
	for (i = 0; i < 3 && n >= 999.5; i++)
		n /= 1000;
	rounded(locale, n, units[i], out);
}
