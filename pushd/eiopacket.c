/*
 * eiopacket.c: Engine.IO packets and payloads.
 *
 * A payload is read when it is whole; its size was bounded when it came.
 * Nothing is allocated, base64 is decoded where it lies.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "eiopacket.h"
#include "utf8.h"

enum {
	SEPARATOR = 0x1e,
	LENGTH_DIGITS_MAX = 310 /* of a binary payload's packet */
};

/* Base64, with its padding or without: bytes, or -1. */
static int
decode(char *p, size_t len, size_t *out)
{
	int variant = len % 4 == 0 ? sodium_base64_VARIANT_ORIGINAL
				   : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;

	return sodium_base642bin(
	    (unsigned char *)p, len, p, len, NULL, out, NULL, variant);
}

int
eiopacket_text(int eio, char *p, size_t len, struct eiopacket *out)
{
	size_t skip = eio == 3 ? 2 : 1;

	if (len == 0)
		return -1;
	if (*p == 'b') {
		if (len < skip || (eio == 3 && p[1] != '0' + EIO_MESSAGE))
			return -1;
		out->type = EIO_MESSAGE;
		out->binary = 1;
		out->p = p + skip;
		return decode(out->p, len - skip, &out->len);
	}
	if (*p < '0' + EIO_OPEN || *p > '0' + EIO_NOOP)
		return -1;
	out->type = (enum eiopacket_type)(*p - '0');
	out->binary = 0;
	out->p = p + 1;
	out->len = len - 1;
	return 0;
}

int
eiopacket_binary(int eio, char *p, size_t len, struct eiopacket *out)
{
	size_t skip = eio == 3;

	if (skip && (len == 0 || *p != EIO_MESSAGE))
		return -1;
	out->type = EIO_MESSAGE;
	out->binary = 1;
	out->p = p + skip;
	out->len = len - skip;
	return 0;
}

/* --- reading a payload --- */

/* Bytes that ${units} UTF-16 code units of UTF-8 take, or -1. */
static int
span_units(const char *p, size_t len, size_t units, size_t *out)
{
	size_t at = 0, n;

	while (units > 0) {
		n = at < len ? utf8_len(p + at, len - at) : 0;
		if (n == 0 || (n == 4 && units < 2))
			return -1;
		units -= n == 4 ? 2 : 1;
		at += n;
	}
	*out = at;
	return 0;
}

static int
next_separated(struct eiopayload *x, struct eiopacket *out)
{
	char *p = x->p + x->at, *end;
	size_t left = x->len - x->at, n;

	end = memchr(p, SEPARATOR, left);
	n = end ? (size_t)(end - p) : left;
	/* One at the very end has nothing behind it, which is no packet. */
	if ((end != NULL && n + 1 == left) || !utf8_valid(p, n))
		return -1;
	x->at += n + (end != NULL);
	return eiopacket_text(x->eio, p, n, out) == -1 ? -1 : 1;
}

/* "12:..." */
static int
next_counted(struct eiopayload *x, struct eiopacket *out)
{
	char *p = x->p + x->at, *end = x->p + x->len;
	size_t units = 0, n;

	while (p < end && *p >= '0' && *p <= '9') {
		units = units * 10 + (size_t)(*p++ - '0');
		if (units > x->len)
			return -1;
	}
	if (p == end || *p != ':' || units == 0)
		return -1;
	p++;
	if (span_units(p, (size_t)(end - p), units, &n) == -1)
		return -1;
	x->at = (size_t)(p + n - x->p);
	return eiopacket_text(x->eio, p, n, out) == -1 ? -1 : 1;
}

/* Kind, length a digit a byte, 255, and the packet. */
static int
next_binary(struct eiopayload *x, struct eiopacket *out)
{
	char *p = x->p + x->at, *end = x->p + x->len;
	size_t n = 0;
	int kind = (unsigned char)*p++, digits = 0, rc;

	if (kind != 0 && kind != 1)
		return -1;
	while (p < end && (unsigned char)*p <= 9) {
		if (++digits > LENGTH_DIGITS_MAX)
			return -1;
		n = n * 10 + (size_t)*p++;
		if (n > x->len)
			return -1;
	}
	if (digits == 0 || p == end || (unsigned char)*p != 255)
		return -1;
	p++;
	if (n > (size_t)(end - p))
		return -1;
	x->at = (size_t)(p + n - x->p);
	if (kind == 1)
		rc = eiopacket_binary(x->eio, p, n, out);
	else
		rc = utf8_valid(p, n) ? eiopacket_text(x->eio, p, n, out) : -1;
	return rc == -1 ? -1 : 1;
}

int
eiopayload_next(struct eiopayload *x, struct eiopacket *out)
{
	if (x->at == x->len)
		return x->len == 0 ? -1 : 0;
	if (x->eio == 4)
		return next_separated(x, out);
	return x->binary ? next_binary(x, out) : next_counted(x, out);
}

/* --- writing --- */

void
eiopacket_base64(struct buf *b, int eio, const char *p, size_t len)
{
	size_t n =
	    sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
	char *to;

	buf_puts(b, eio == 3 ? "b4" : "b");
	to = buf_room(b, n); /* counts a NUL */
	if (to == NULL)
		return;
	sodium_bin2base64(to, n, (const unsigned char *)p, len,
	    sodium_base64_VARIANT_ORIGINAL);
	b->len += n - 1;
}

static void
put_binary(struct buf *b, int binary, const char *p, size_t len)
{
	char text[24];
	int i, n = snprintf(text, sizeof(text), "%zu", len);

	buf_putc(b, (char)(binary != 0));
	for (i = 0; i < n; i++)
		buf_putc(b, (char)(text[i] - '0'));
	buf_putc(b, (char)255);
	buf_append(b, p, len);
}

void
eiopayload_put(struct buf *b, enum eiopayload_form form, int binary,
    const char *p, size_t len)
{
	switch (form) {
	case EIO_FORM_4:
		if (b->len > 0)
			buf_putc(b, SEPARATOR);
		if (binary)
			eiopacket_base64(b, 4, p, len);
		else
			buf_append(b, p, len);
		break;
	case EIO_FORM_3:
		assert(!binary);
		buf_printf(b, "%zu:", utf8_utf16_units(p, len));
		buf_append(b, p, len);
		break;
	case EIO_FORM_3_BINARY:
		put_binary(b, binary, p, len);
		break;
	}
}
