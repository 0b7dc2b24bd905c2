/*
 * Images by their headers.  JPEG is a row of segments, of which those from SOS
 * on have coded data behind them; PNG a row of chunks.  Both are walked twice:
 * to look, and to copy what is needed.
 */
#include "image.h"

#include <stdbool.h>
#include <string.h>

#define WINDOW 16384 /* bytes read at once */

#define EXIF_ORIENTATION 0x0112
#define EXIF_SHORT 3
#define EXIF_ENTRIES_MAX 1000

/* Reading with a window over the bytes. */
struct in {
	const struct image_io *io;
	unsigned char buf[WINDOW];
	uint64_t at;
	size_t len;
	bool failed;
	bool writes; /* the second walk */
};

static void
in_init(struct in *in, const struct image_io *io, bool writes)
{
	in->io = io;
	in->at = 0;
	in->len = 0;
	in->failed = false;
	in->writes = writes;
}

/* At least ${n} (at most WINDOW) bytes from ${at}, or NULL: there are none. */
static const unsigned char *
get(struct in *in, uint64_t at, size_t n)
{
	ssize_t got;

	if (at < in->at || at - in->at > in->len ||
	    in->len - (size_t)(at - in->at) < n) {
		in->at = at;
		in->len = 0;
		got = in->io->read(in->io->arg, at, in->buf, WINDOW);
		if (got < 0) {
			in->failed = true;
			return NULL;
		}
		in->len = (size_t)got;
	}
	if (in->len - (size_t)(at - in->at) < n)
		return NULL;
	return in->buf + (at - in->at);
}

/* How many bytes from ${at} on are in the window; 0 at the end. */
static size_t
some(struct in *in, uint64_t at)
{
	if (get(in, at, 1) == NULL)
		return 0;
	return in->len - (size_t)(at - in->at);
}

/* In the second walk. */
static int
put(struct in *in, const void *p, size_t n)
{
	if (!in->writes || n == 0)
		return 1;
	if (in->io->write(in->io->arg, p, n) == 0)
		return 1;
	in->failed = true;
	return 0;
}

static int
copy(struct in *in, uint64_t at, uint64_t n)
{
	const unsigned char *p;
	size_t got;

	/* Whether it is all there shows when the next header is read. */
	if (!in->writes)
		return n == 0 || get(in, at + n - 1, 1) != NULL;
	while (n > 0) {
		if ((got = some(in, at)) == 0)
			return 0;
		if (got > n)
			got = (size_t)n;
		p = get(in, at, got);
		if (p == NULL || !put(in, p, got))
			return 0;
		at += got;
		n -= got;
	}
	return 1;
}

static unsigned
be16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t
be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static uint32_t
le24(const unsigned char *p)
{
	return (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void
grow(struct image *im, uint32_t width, uint32_t height)
{
	if (width > im->width)
		im->width = width;
	if (height > im->height)
		im->height = height;
}

/* --- Exif ---------------------------------------------------------------- */

static unsigned
tiff16(const unsigned char *p, bool big)
{
	return big ? be16(p) : (unsigned)p[1] << 8 | p[0];
}

static uint32_t
tiff32(const unsigned char *p, bool big)
{
	return big ? be32(p)
		   : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 |
			 (uint32_t)p[1] << 8 | p[0];
}

/* The orientation in the ${len} bytes of TIFF at ${at}; 1 where none is. */
static unsigned
orientation(struct in *in, uint64_t at, uint64_t len)
{
	const unsigned char *p;
	unsigned n, i, v;
	uint32_t dir;
	bool big;

	if (len < 8 || (p = get(in, at, 8)) == NULL)
		return 1;
	big = p[0] == 'M' && p[1] == 'M';
	if (!big && (p[0] != 'I' || p[1] != 'I'))
		return 1;
	dir = tiff32(p + 4, big);
	if (tiff16(p + 2, big) != 42 || dir > len || len - dir < 2 ||
	    (p = get(in, at + dir, 2)) == NULL)
		return 1;
	n = tiff16(p, big);
	for (i = 0; i < n && i < EXIF_ENTRIES_MAX; i++) {
		uint64_t entry = (uint64_t)dir + 2 + 12 * (uint64_t)i;

		if (entry > len || len - entry < 12 ||
		    (p = get(in, at + entry, 12)) == NULL)
			return 1;
		if (tiff16(p, big) != EXIF_ORIENTATION)
			continue;
		v = tiff16(p + 8, big);
		return tiff16(p + 2, big) == EXIF_SHORT &&
			       tiff32(p + 4, big) == 1 && v >= 1 && v <= 8
			   ? v
			   : 1;
	}
	return 1;
}

/* A TIFF that says the orientation and no more. */
#define TIFF_BYTES 26
static void
tiff_write(unsigned v, unsigned char out[TIFF_BYTES])
{
	static const unsigned char form[TIFF_BYTES] = { 'M', 'M', 0, 42, 0, 0,
		0, 8, 0, 1, EXIF_ORIENTATION >> 8, EXIF_ORIENTATION & 0xff, 0,
		EXIF_SHORT, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0 };

	memcpy(out, form, sizeof(form));
	out[19] = (unsigned char)v;
}

/* --- JPEG ---------------------------------------------------------------- */

static bool
begins(struct in *in, uint64_t at, uint64_t len, const char *word, size_t n)
{
	const unsigned char *p;

	return len >= n && (p = get(in, at, n)) != NULL &&
	       memcmp(p, word, n) == 0;
}

/* Start of frame, of the kinds that browsers show. */
static bool
is_sof(unsigned m)
{
	return m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc;
}

/* JFIF without its preview. */
static int
jfif(struct in *in, uint64_t at, uint64_t len)
{
	unsigned char seg[18] = { 0xff, 0xe0, 0, 16 };
	const unsigned char *p;

	if (!in->writes || len < 14 || !begins(in, at, len, "JFIF", 5))
		return 1;
	if ((p = get(in, at, 14)) == NULL)
		return 0;
	memcpy(seg + 4, p, 12); /* 0 by 0 of a preview follow */
	return put(in, seg, sizeof(seg));
}

/* The segment of marker ${m} with ${len} bytes at ${at}: 1, or 0 no JPEG. */
static int
segment(struct in *in, unsigned m, uint64_t at, uint64_t len, struct image *im)
{
	const unsigned char *p;

	if (len > 0 && get(in, at + len - 1, 1) == NULL)
		return 0;
	if (is_sof(m)) {
		if (len < 6 || (p = get(in, at, 5)) == NULL ||
		    be16(p + 1) == 0 || be16(p + 3) == 0)
			return 0;
		grow(im, be16(p + 3), be16(p + 1));
	} else if (m == 0xe0) {
		return jfif(in, at, len);
	} else if (m == 0xe1) {
		if (im->orientation == 1 && begins(in, at, len, "Exif\0", 6))
			im->orientation = orientation(in, at + 6, len - 6);
		return 1;
	} else if (m == 0xe2) {
		if (!begins(in, at, len, "ICC_PROFILE", 12))
			return 1;
	} else if (m == 0xee) {
		if (!begins(in, at, len, "Adobe", 5))
			return 1;
	} else if ((m & 0xf0) == 0xe0 || m == 0xfe) {
		return 1; /* what applications and people wrote */
	} else if (m != 0xc4 && m != 0xcc && (m < 0xda || m > 0xdd)) {
		return 0;
	}
	return copy(in, at - 4, len + 4);
}

/* Past the coded data at ${at}: the next marker's place, or 0: cut short. */
static uint64_t
coded(struct in *in, uint64_t at)
{
	const unsigned char *p, *ff;
	uint64_t from = at;
	size_t n;

	while ((n = some(in, at)) > 0) {
		p = get(in, at, n);
		if ((ff = memchr(p, 0xff, n)) == NULL) {
			at += n;
		} else {
			at += (uint64_t)(ff - p);
			if ((p = get(in, at, 2)) == NULL)
				return 0;
			if (p[1] != 0 && (p[1] < 0xd0 || p[1] > 0xd7))
				return copy(in, from, at - from) ? at : 0;
			at += 2;
		}
		/* By pieces, while they are in the window. */
		if (!copy(in, from, at - from))
			return 0;
		from = at;
	}
	return 0;
}

static int
jpeg(struct in *in, struct image *im)
{
	bool shown = false;
	const unsigned char *p;
	uint64_t at = 2;
	unsigned m, len;

	if ((p = get(in, 0, 2)) == NULL || p[0] != 0xff || p[1] != 0xd8)
		return 0;
	if (!put(in, "\xff\xd8", 2))
		return 0;
	if (im->orientation != 1 && in->writes) {
		unsigned char seg[10 + TIFF_BYTES] = { 0xff, 0xe1, 0,
			8 + TIFF_BYTES, 'E', 'x', 'i', 'f' };

		tiff_write(im->orientation, seg + 10);
		if (!put(in, seg, sizeof(seg)))
			return 0;
	}
	for (;;) {
		if ((p = get(in, at, 2)) == NULL || p[0] != 0xff)
			return 0;
		m = p[1];
		if (m == 0xff) { /* filling */
			at++;
			continue;
		}
		if (m == 0xd9)
			return shown && im->width > 0 && put(in, "\xff\xd9", 2);
		if ((p = get(in, at, 4)) == NULL || (len = be16(p + 2)) < 2 ||
		    !segment(in, m, at + 4, len - 2, im))
			return 0;
		at += 2 + (uint64_t)len;
		if (m == 0xda) {
			shown = true;
			if ((at = coded(in, at)) == 0)
				return 0;
		}
	}
}

/* --- PNG ----------------------------------------------------------------- */

static uint32_t
crc32_of(const unsigned char *p, size_t n)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int k = 0; k < 8; k++)
			crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	return ~crc;
}

static void
be32_write(unsigned char *to, uint32_t v)
{
	to[0] = (unsigned char)(v >> 24);
	to[1] = (unsigned char)(v >> 16);
	to[2] = (unsigned char)(v >> 8);
	to[3] = (unsigned char)v;
}

static int
png_orientation(struct in *in, const struct image *im)
{
	unsigned char chunk[12 + TIFF_BYTES] = { 0, 0, 0, TIFF_BYTES, 'e', 'X',
		'I', 'f' };

	if (im->orientation == 1 || !in->writes)
		return 1;
	tiff_write(im->orientation, chunk + 8);
	be32_write(chunk + 8 + TIFF_BYTES, crc32_of(chunk + 4, 4 + TIFF_BYTES));
	return put(in, chunk, sizeof(chunk));
}

/* 1 a chunk that it takes to show the picture, 0 another, -1 no PNG. */
static int
png_needs(const unsigned char type[4])
{
	static const char names[] = "IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB "
				    "iCCP sBIT bKGD pHYs cICP mDCV cLLI acTL "
				    "fcTL fdAT";
	char word[5] = { 0 };

	for (int i = 0; i < 4; i++) {
		if ((type[i] | 0x20) < 'a' || (type[i] | 0x20) > 'z')
			return -1;
		word[i] = (char)type[i];
	}
	if (strstr(names, word) != NULL)
		return 1;
	return (type[0] & 0x20) != 0 ? 0 : -1;
}

static int
png(struct in *in, struct image *im)
{
	bool shown = false, first = true;
	unsigned char type[4];
	const unsigned char *p;
	uint64_t at = 8;
	uint32_t len;
	int needed;

	if ((p = get(in, 0, 8)) == NULL ||
	    memcmp(p, "\x89PNG\r\n\x1a\n", 8) != 0 || !put(in, p, 8))
		return 0;
	for (;; at += 12 + (uint64_t)len, first = false) {
		if ((p = get(in, at, 8)) == NULL || (len = be32(p)) > INT32_MAX)
			return 0;
		memcpy(type, p + 4, 4);
		if ((needed = png_needs(type)) == -1 ||
		    first != (memcmp(type, "IHDR", 4) == 0) ||
		    get(in, at + 11 + len, 1) == NULL)
			return 0;
		if (first) {
			if (len != 13 || (p = get(in, at + 8, 8)) == NULL ||
			    be32(p) == 0 || be32(p + 4) == 0)
				return 0;
			grow(im, be32(p), be32(p + 4));
		} else if (memcmp(type, "eXIf", 4) == 0) {
			im->orientation = orientation(in, at + 8, len);
		} else if (memcmp(type, "IDAT", 4) == 0) {
			shown = true;
		}
		if (needed == 1 && !copy(in, at, 12 + (uint64_t)len))
			return 0;
		if (first && !png_orientation(in, im))
			return 0;
		if (memcmp(type, "IEND", 4) == 0)
			return shown && len == 0;
	}
}

/* --- GIF and WebP -------------------------------------------------------- */

static int
gif(struct in *in, struct image *im)
{
	const unsigned char *p = get(in, 0, 13);

	if (p == NULL ||
	    (memcmp(p, "GIF87a", 6) != 0 && memcmp(p, "GIF89a", 6) != 0))
		return 0;
	grow(im, (uint32_t)p[7] << 8 | p[6], (uint32_t)p[9] << 8 | p[8]);
	return im->width > 0 && im->height > 0;
}

static int
webp(struct in *in, struct image *im)
{
	const unsigned char *p = get(in, 0, 30);
	uint32_t bits;

	if (p == NULL || memcmp(p, "RIFF", 4) != 0 ||
	    memcmp(p + 8, "WEBP", 4) != 0)
		return 0;
	if (memcmp(p + 12, "VP8X", 4) == 0) {
		grow(im, le24(p + 24) + 1, le24(p + 27) + 1);
	} else if (memcmp(p + 12, "VP8L", 4) == 0 && p[20] == 0x2f) {
		bits = (uint32_t)p[24] << 24 | le24(p + 21);
		grow(im, (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1);
	} else if (memcmp(p + 12, "VP8 ", 4) == 0 &&
		   memcmp(p + 23, "\x9d\x01\x2a", 3) == 0) {
		grow(im, ((uint32_t)p[27] << 8 | p[26]) & 0x3fff,
		    ((uint32_t)p[29] << 8 | p[28]) & 0x3fff);
	}
	return im->width > 0 && im->height > 0;
}

int
image_look(const struct image_io *io, enum image_kind kind, struct image *im)
{
	struct in in;
	int rc = 0;

	in_init(&in, io, false);
	*im = (struct image){ .orientation = 1 };
	switch (kind) {
	case IMAGE_JPEG:
		rc = jpeg(&in, im);
		break;
	case IMAGE_PNG:
		rc = png(&in, im);
		break;
	case IMAGE_GIF:
		rc = gif(&in, im);
		break;
	case IMAGE_WEBP:
		rc = webp(&in, im);
		break;
	}
	return in.failed ? -1 : rc;
}

int
image_strip(
    const struct image_io *io, enum image_kind kind, const struct image *im)
{
	struct image known = *im;
	struct in in;
	int rc;

	in_init(&in, io, true);
	rc = kind == IMAGE_JPEG  ? jpeg(&in, &known)
	     : kind == IMAGE_PNG ? png(&in, &known)
				 : 0;
	return in.failed ? -1 : rc;
}
