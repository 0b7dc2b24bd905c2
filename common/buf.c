/*
 * A growing byte string with a ceiling; what is built in it is checked once.
 */

#include "buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 512 /* bytes of the first allocation */

/* What an empty buf points to: never written. */
static char nothing[1];

void
buf_init(struct buf *b, size_t max)
{
	b->data = nothing;
	b->len = 0;
	b->cap = 0;
	b->max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4;
	b->err = 0;
}

void
buf_fini(struct buf *b)
{
	if (b->cap > 0)
		free(b->data);
	b->data = nothing;
	b->len = b->cap = 0;
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->err = 0;
	if (b->cap > 0)
		b->data[0] = '\0';
}

char *
buf_room(struct buf *b, size_t len)
{
	size_t cap, need;
	char *p;

	if (b->err)
		return NULL;
	if (len > b->max - b->len) {
		b->err = 1;
		return NULL;
	}
	need = b->len + len + 1;
	if (need > b->cap) {
		cap = b->cap > 0 ? b->cap : BUF_FIRST;
		while (cap < need)
			cap *= 2;
		if (cap > b->max + 1)
			cap = b->max + 1;
		p = realloc(b->cap > 0 ? b->data : NULL, cap);
		if (p == NULL) {
			b->err = 1;
			return NULL;
		}
		if (b->cap == 0)
			p[0] = '\0';
		b->data = p;
		b->cap = cap;
	}
	return b->data + b->len;
}

void
buf_append(struct buf *b, const void *p, size_t len)
{
	char *to;

	if (len == 0 || (to = buf_room(b, len)) == NULL)
		return;
	memcpy(to, p, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

static void
decimal(struct buf *b, long long v)
{
	unsigned long long u = (unsigned long long)v;
	char text[24], *p = text + sizeof(text);

	if (v < 0)
		u = 0 - u;
	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) > 0);
	if (v < 0)
		*--p = '-';
	buf_append(b, p, (size_t)(text + sizeof(text) - p));
}

/* The formats of whatever is written often: %s, %d and %lld; 0 at others. */
static int
plain(struct buf *b, const char *fmt, va_list ap)
{
	const char *at, *text;

	for (; (at = strchr(fmt, '%')) != NULL; fmt = at + 1) {
		buf_append(b, fmt, (size_t)(at - fmt));
		if (*++at == 's') {
			text = va_arg(ap, const char *);
			buf_puts(b, text ? text : "(null)");
		} else if (*at == 'd') {
			decimal(b, va_arg(ap, int));
		} else if (at[0] == 'l' && at[1] == 'l' && at[2] == 'd') {
			decimal(b, va_arg(ap, long long));
			at += 2;
		} else if (*at == '%') {
			buf_putc(b, '%');
		} else {
			return 0;
		}
	}
	buf_puts(b, fmt);
	return 1;
}

/* Any format.  All or nothing. */
__attribute__((format(printf, 2, 0))) static void
formatted(struct buf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;
	char *to;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n < 0) {
		b->err = 1;
	} else if ((size_t)n < sizeof(small)) {
		buf_append(b, small, (size_t)n);
	} else if ((to = buf_room(b, (size_t)n)) != NULL) {
		(void)vsnprintf(to, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t was = b->len;
	va_list ap;
	int done;

	if (b->err)
		return;
	va_start(ap, fmt);
	done = plain(b, fmt, ap);
	va_end(ap);
	if (done && !b->err)
		return;
	/* Take back what it wrote. */
	b->len = was;
	if (b->cap > 0)
		b->data[was] = '\0';
	if (done)
		return;
	b->err = 0;
	va_start(ap, fmt);
	formatted(b, fmt, ap);
	va_end(ap);
}

void
buf_drop(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
	b->data[b->len] = '\0';
}
