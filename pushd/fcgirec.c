/*
 * fcgirec.c: FastCGI records, the web server's side.
 *
 * Only what pushd needs: the responder role, one request at a time.
 */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "fcgirec.h"

enum { VERSION = 1, RESPONDER = 1, KEEP_CONN = 1, RECORD_MAX = 65528 };

static void
head(struct buf *b, int type, size_t len, size_t pad)
{
	unsigned char h[8] = { VERSION, (unsigned char)type, 0, 1,
		(unsigned char)(len >> 8), (unsigned char)len,
		(unsigned char)pad, 0 };

	buf_append(b, h, sizeof(h));
}

void
fcgirec_begin(struct buf *b)
{
	static const unsigned char body[8] = { 0, RESPONDER, KEEP_CONN };

	head(b, FCGIREC_BEGIN, sizeof(body), 0);
	buf_append(b, body, sizeof(body));
}

static void
param_len(struct buf *b, size_t n)
{
	unsigned char l[4] = { (unsigned char)(0x80 | n >> 24),
		(unsigned char)(n >> 16), (unsigned char)(n >> 8),
		(unsigned char)n };

	assert(n < 0x7fffffff);
	if (n < 128)
		buf_putc(b, (char)n);
	else
		buf_append(b, l, sizeof(l));
}

void
fcgirec_param(
    struct buf *params, const char *name, const char *value, size_t len)
{
	size_t n = strlen(name);

	param_len(params, n);
	param_len(params, len);
	buf_append(params, name, n);
	buf_append(params, value, len);
}

void
fcgirec_stream(struct buf *b, int type, const void *p, size_t len)
{
	static const char zero[8];
	const char *s = p;
	size_t n, pad;

	for (; len > 0; s += n, len -= n) {
		n = len < RECORD_MAX ? len : RECORD_MAX;
		pad = (8 - n % 8) % 8;
		head(b, type, n, pad);
		buf_append(b, s, n);
		buf_append(b, zero, pad);
	}
	head(b, type, 0, 0);
}

/* Bytes of a record's content. */
static size_t
content(struct fcgirec *r, const char *p, size_t len, struct fcgirec_got *got)
{
	size_t n = len < r->left ? len : r->left, i;

	r->left = (uint16_t)(r->left - n);
	switch (r->head[1]) {
	case FCGIREC_STDOUT:
	case FCGIREC_STDERR:
		got->what =
		    r->head[1] == FCGIREC_STDOUT ? FCGIREC_OUT : FCGIREC_ERR;
		got->p = p;
		got->len = n;
		break;
	case FCGIREC_END:
		for (i = 0; i < n && r->end_have < 8; i++)
			r->end[r->end_have++] = (unsigned char)p[i];
		break;
	default:
		break; /* a management record: nothing that we asked for */
	}
	return n;
}

/* The record and its padding are over. */
static void
record_end(struct fcgirec *r, struct fcgirec_got *got)
{
	r->in = 0;
	r->have = 0;
	if (r->head[1] != FCGIREC_END)
		return;
	got->what = r->end_have == 8 ? FCGIREC_DONE : FCGIREC_BAD;
	got->status = r->end[4]; /* protocolStatus; 0: request complete */
	r->end_have = 0;
}

size_t
fcgirec_read(
    struct fcgirec *r, const char *p, size_t len, struct fcgirec_got *got)
{
	size_t at = 0, n;

	memset(got, 0, sizeof(*got));
	got->what = FCGIREC_MORE;
	while (got->what == FCGIREC_MORE) {
		if (r->in && r->left == 0 && r->pad == 0) {
			record_end(r, got);
			continue;
		}
		if (at == len)
			break;
		if (r->in && r->left > 0) {
			at += content(r, p + at, len - at, got);
			continue;
		}
		if (r->in) {
			n = len - at < r->pad ? len - at : r->pad;
			r->pad = (unsigned char)(r->pad - n);
			at += n;
			continue;
		}
		r->head[r->have++] = (unsigned char)p[at++];
		if (r->have < 8)
			continue;
		r->left = (uint16_t)(r->head[4] << 8 | r->head[5]);
		r->pad = r->head[6];
		r->in = 1;
		n = (size_t)(r->head[2] << 8 | r->head[3]);
		if (r->head[0] != VERSION || n > 1 ||
		    (r->head[1] == FCGIREC_END && r->left < 8))
			got->what = FCGIREC_BAD;
	}
	return at;
}

/* The line at ${p}: its length without the end, and where the next begins. */
static int
line(const char *p, size_t len, size_t *next)
{
	const char *lf = memchr(p, '\n', len);
	size_t n;

	if (lf == NULL)
		return -1;
	n = (size_t)(lf - p);
	*next = n + 1;
	if (n > 0 && p[n - 1] == '\r')
		n--;
	return n > 65535 ? -1 : (int)n;
}

int
fcgirec_head(const char *p, size_t len, int *status)
{
	size_t at = 0, next;
	const char *v;
	int n;

	for (;; at += next) {
		n = line(p + at, len - at, &next);
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		if (memchr(p + at, ':', (size_t)n) == NULL)
			return -1;
	}
	at += next;
	*status = 200;
	n = fcgirec_field(p, at, "Status", &v);
	if (n == -1)
		return (int)at;
	if (n < 3 || v[0] < '1' || v[0] > '5' || v[1] < '0' || v[1] > '9' ||
	    v[2] < '0' || v[2] > '9' || (n > 3 && v[3] != ' '))
		return -1;
	*status = (v[0] - '0') * 100 + (v[1] - '0') * 10 + (v[2] - '0');
	return (int)at;
}

int
fcgirec_field(const char *p, size_t len, const char *name, const char **out)
{
	size_t at = 0, next, nlen = strlen(name);
	const char *v;
	int n;

	for (; at < len; at += next) {
		n = line(p + at, len - at, &next);
		if (n <= 0)
			return -1;
		if ((size_t)n <= nlen || p[at + nlen] != ':' ||
		    strncasecmp(p + at, name, nlen) != 0)
			continue;
		v = p + at + nlen + 1;
		n -= (int)nlen + 1;
		while (n > 0 && (*v == ' ' || *v == '\t')) {
			v++;
			n--;
		}
		*out = v;
		return n;
	}
	return -1;
}
