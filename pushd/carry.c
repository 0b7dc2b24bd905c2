/*
 * carry.c: what one pushd tells the next, as bytes.
 *
 * Numbers take seven bits a byte, the least first, the last without its top
 * bit.  A text is its length with the NUL, 0 for NULL, then the bytes.
 */
#include <string.h>

#include "carry.h"

void
carry_num(struct buf *b, uint64_t n)
{
	char out[10];
	size_t len = 0;

	for (; n >= 0x80; n >>= 7)
		out[len++] = (char)(0x80 | (n & 0x7f));
	out[len++] = (char)n;
	buf_append(b, out, len);
}

/* Small numbers of either sign stay short: 0, -1, 1, -2, ... */
void
carry_int(struct buf *b, int64_t n)
{
	carry_num(b, n < 0 ? ~((uint64_t)n << 1) : (uint64_t)n << 1);
}

void
carry_bytes(struct buf *b, const void *p, size_t len)
{
	carry_num(b, len);
	buf_append(b, p, len);
}

void
carry_text(struct buf *b, const char *s)
{
	if (s == NULL)
		carry_num(b, 0);
	else
		carry_bytes(b, s, strlen(s) + 1);
}

uint64_t
carry_get_num(struct carry_in *in, uint64_t max)
{
	uint64_t n = 0, byte;
	unsigned shift;

	for (shift = 0; shift < 64 && in->left > 0 && !in->bad; shift += 7) {
		byte = (unsigned char)*in->p++;
		in->left--;
		if (shift == 63 && (byte & 0x7f) > 1)
			break;
		n |= (byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (n > max)
			break;
		return n;
	}
	in->bad = 1;
	return 0;
}

int64_t
carry_get_int(struct carry_in *in, int64_t min, int64_t max)
{
	uint64_t z = carry_get_num(in, UINT64_MAX);
	int64_t n = (int64_t)(z >> 1);

	if (z & 1)
		n = -1 - n;
	if (n < min || n > max)
		in->bad = 1;
	return in->bad ? 0 : n;
}

const char *
carry_get_bytes(struct carry_in *in, size_t *len, size_t max)
{
	const char *p;

	*len = (size_t)carry_get_num(in, max);
	if (*len > in->left)
		in->bad = 1;
	if (in->bad) {
		*len = 0;
		return "";
	}
	p = in->p;
	in->p += *len;
	in->left -= *len;
	return p;
}

const char *
carry_get_text(struct carry_in *in, size_t max)
{
	size_t len;
	const char *p = carry_get_bytes(in, &len, max);

	if (in->bad || len == 0)
		return NULL;
	if (memchr(p, '\0', len) == p + len - 1)
		return p;
	in->bad = 1;
	return NULL;
}

int
carry_end(const struct carry_in *in)
{
	return in->bad || in->left > 0 ? -1 : 0;
}

void
carry_record(
    struct buf *b, unsigned type, unsigned fds, const struct buf *content)
{
	size_t len = content->len;
	char head[CARRY_HEAD] = { (char)len, (char)(len >> 8),
		(char)(len >> 16), (char)(len >> 24), (char)type, (char)fds };

	if (content->err || len > CARRY_RECORD_MAX) {
		b->err = 1;
		return;
	}
	buf_append(b, head, sizeof(head));
	buf_append(b, content->data, len);
}

ssize_t
carry_next(const char *p, size_t len, struct carry_record *r)
{
	const unsigned char *h = (const unsigned char *)p;
	size_t n;

	if (len < CARRY_HEAD)
		return 0;
	n = h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16 | (size_t)h[3] << 24;
	if (n > CARRY_RECORD_MAX)
		return -1;
	if (len - CARRY_HEAD < n)
		return 0;
	r->type = h[4];
	r->fds = h[5];
	r->in = (struct carry_in){ p + CARRY_HEAD, n, 0 };
	return (ssize_t)(CARRY_HEAD + n);
}
