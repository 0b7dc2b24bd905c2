/* Images without what their makers wrote beside the picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image.h"

/* An image in memory, and what is made of it. */
struct mem {
	const unsigned char *p;
	size_t len, out_len;
	unsigned char out[65536];
	int fail;
};

static ssize_t
mem_read(void *arg, uint64_t at, void *to, size_t n)
{
	struct mem *m = arg;

	if (m->fail)
		return -1;
	if (at >= m->len)
		return 0;
	if (n > m->len - at)
		n = m->len - (size_t)at;
	memcpy(to, m->p + at, n);
	return (ssize_t)n;
}

static int
mem_write(void *arg, const void *p, size_t n)
{
	struct mem *m = arg;

	assert_true(m->out_len + n <= sizeof(m->out));
	memcpy(m->out + m->out_len, p, n);
	m->out_len += n;
	return 0;
}

static struct mem mem;
static const struct image_io io = { mem_read, mem_write, &mem };

static void
put(unsigned char *to, size_t *n, const char *p, size_t len)
{
	memcpy(to + *n, p, len);
	*n += len;
}
#define PUT(s) put(b, &n, s, sizeof(s) - 1)

static void
seg(unsigned char *b, size_t *n, const char *marker, const char *p, size_t len)
{
	b[(*n)++] = 0xff;
	b[(*n)++] = (unsigned char)*marker;
	b[(*n)++] = (unsigned char)((len + 2) >> 8);
	b[(*n)++] = (unsigned char)(len + 2);
	put(b, n, p, len);
}
#define SEG(m, s) seg(b, &n, m, s, sizeof(s) - 1)

/* 300 by 200, lying on its side, with all that may be said of a picture. */
static size_t
jpeg_make(unsigned char *b)
{
	size_t n = 0;

	PUT("\xff\xd8");
	SEG("\xe0", "JFIF\0\1\1\0\0\1\0\1\1\1PRE"); /* with a preview */
	SEG("\xe1", "Exif\0\0II\x2a\0\x08\0\0\0"
		    "\2\0"
		    "\x0f\1\2\0\6\0\0\0\x26\0\0\0" /* the camera's name */
		    "\x12\1\3\0\1\0\0\0\6\0\0\0"   /* orientation 6 */
		    "\0\0\0\0"
		    "SECRETCAMERA");
	SEG("\xe1", "http://ns.adobe.com/xap/1.0/\0SECRET");
	SEG("\xe2", "ICC_PROFILE\0\1\1XX");
	SEG("\xe2", "MPF\0SECRET");
	SEG("\xed", "SECRET");
	SEG("\xfe", "SECRET");
	SEG("\xfe", "");
	SEG("\xee", "Adobe\0\x64\0\0\0\0\1");
	SEG("\xdb", "QT");
	SEG("\xc2", "\x08\0\xc8\1\x2c\1\1\x11\0");
	PUT("\xff"); /* filling */
	SEG("\xc4", "HT");
	SEG("\xda", "SS");
	PUT("data\xff\0more\xff\xd0rest");
	SEG("\xc4", "HT");
	SEG("\xda", "SS");
	PUT("last");
	PUT("\xff\xd9");
	PUT("SECRET behind");
	return n;
}

static const char *
find(const unsigned char *p, size_t n, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= n; i++)
		if (memcmp(p + i, word, len) == 0)
			return (const char *)p + i;
	return NULL;
}

static void
jpeg_keeps_the_picture_alone(void **state)
{
	unsigned char b[1024];
	struct image im;

	(void)state;
	mem = (struct mem){ .p = b, .len = jpeg_make(b) };
	assert_int_equal(image_look(&io, IMAGE_JPEG, &im), 1);
	assert_int_equal(im.width, 300);
	assert_int_equal(im.height, 200);
	assert_int_equal(im.orientation, 6);
	assert_int_equal(image_strip(&io, IMAGE_JPEG, &im), 1);
	assert_null(find(mem.out, mem.out_len, "SECRET"));
	assert_null(find(mem.out, mem.out_len, "MPF"));
	assert_null(find(mem.out, mem.out_len, "PRE"));
	assert_non_null(find(mem.out, mem.out_len, "ICC_PROFILE"));
	assert_non_null(find(mem.out, mem.out_len, "Adobe"));
	assert_non_null(find(mem.out, mem.out_len, "JFIF"));
	assert_non_null(find(mem.out, mem.out_len, "rest\xff\xc4"));
	assert_memory_equal(mem.out + mem.out_len - 6, "last\xff\xd9", 6);

	/* What was made is such an image, and says the same. */
	unsigned char *made = malloc(mem.out_len);
	size_t len = mem.out_len;

	assert_non_null(made);
	memcpy(made, mem.out, len);
	mem = (struct mem){ .p = made, .len = len };
	assert_int_equal(image_look(&io, IMAGE_JPEG, &im), 1);
	assert_int_equal(im.orientation, 6);
	assert_int_equal(im.width, 300);
	assert_int_equal(image_strip(&io, IMAGE_JPEG, &im), 1);
	assert_int_equal(mem.out_len, len);
	assert_memory_equal(mem.out, made, len);
	free(made);
}

static void
be32(unsigned char *b, size_t *n, uint32_t v)
{
	b[(*n)++] = (unsigned char)(v >> 24);
	b[(*n)++] = (unsigned char)(v >> 16);
	b[(*n)++] = (unsigned char)(v >> 8);
	b[(*n)++] = (unsigned char)v;
}

static void
chunk(unsigned char *b, size_t *n, const char *type, const char *p, size_t len)
{
	be32(b, n, (uint32_t)len);
	put(b, n, type, 4);
	put(b, n, p, len);
	put(b, n, "CRC!", 4);
}
#define CHUNK(type, s) chunk(b, &n, type, s, sizeof(s) - 1)

static size_t
png_make(unsigned char *b)
{
	size_t n = 0;

	PUT("\x89PNG\r\n\x1a\n");
	CHUNK("IHDR", "\0\0\1\0\0\0\0\x80\x08\2\0\0\0");
	CHUNK("gAMA", "\0\1\2\3");
	CHUNK("tEXt", "SECRET\0text");
	CHUNK("iTXt", "SECRET");
	CHUNK("tIME", "SECRET1");
	CHUNK("prVt", "SECRET");
	CHUNK("eXIf", "MM\0\x2a\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x03\0\0"
		      "\0\0\0\0SECRET");
	CHUNK("IDAT", "picture");
	CHUNK("IDAT", "more");
	CHUNK("IEND", "");
	PUT("SECRET behind");
	return n;
}

static void
png_keeps_the_picture_alone(void **state)
{
	unsigned char b[1024], made[1024];
	struct image im;
	size_t len;

	(void)state;
	mem = (struct mem){ .p = b, .len = png_make(b) };
	assert_int_equal(image_look(&io, IMAGE_PNG, &im), 1);
	assert_int_equal(im.width, 256);
	assert_int_equal(im.height, 128);
	assert_int_equal(im.orientation, 3);
	assert_int_equal(image_strip(&io, IMAGE_PNG, &im), 1);
	assert_null(find(mem.out, mem.out_len, "SECRET"));
	assert_non_null(find(mem.out, mem.out_len, "gAMA"));
	assert_non_null(find(mem.out, mem.out_len, "picture"));
	/* Its own chunk of orientation, with the right sum. */
	const char *exif = find(mem.out, mem.out_len, "eXIf");
	assert_non_null(exif);
	assert_memory_equal(exif + 4 + 26, "\x84\x5f\x64\xce", 4);

	memcpy(made, mem.out, len = mem.out_len);
	mem = (struct mem){ .p = made, .len = len };
	assert_int_equal(image_look(&io, IMAGE_PNG, &im), 1);
	assert_int_equal(im.orientation, 3);
}

/* A picture cut anywhere is none, and nothing is read past its end. */
static void
cut_at_every_byte(void **state)
{
	unsigned char b[1024];
	struct image im;
	size_t n, whole;

	(void)state;
	n = jpeg_make(b);
	whole = n - strlen("SECRET behind");
	for (size_t i = 0; i <= n; i++) {
		unsigned char *p = malloc(i + 1);

		assert_non_null(p);
		memcpy(p, b, i);
		mem = (struct mem){ .p = p, .len = i };
		assert_int_equal(image_look(&io, IMAGE_JPEG, &im), i >= whole);
		im.orientation = 6;
		assert_int_equal(image_strip(&io, IMAGE_JPEG, &im), i >= whole);
		free(p);
	}
	n = png_make(b);
	whole = n - strlen("SECRET behind");
	for (size_t i = 0; i <= n; i++) {
		unsigned char *p = malloc(i + 1);

		assert_non_null(p);
		memcpy(p, b, i);
		mem = (struct mem){ .p = p, .len = i };
		assert_int_equal(image_look(&io, IMAGE_PNG, &im), i >= whole);
		im.orientation = 3;
		assert_int_equal(image_strip(&io, IMAGE_PNG, &im), i >= whole);
		free(p);
	}
}

/* One byte changed may make another picture or none, but nothing worse. */
static void
changed_at_every_byte(void **state)
{
	static const unsigned char values[] = { 0, 1, 0x7f, 0x80, 0xff };
	unsigned char b[1024];
	struct image im;
	size_t n;

	(void)state;
	for (int kind = IMAGE_JPEG; kind <= IMAGE_PNG; kind++) {
		n = kind == IMAGE_JPEG ? jpeg_make(b) : png_make(b);
		for (size_t i = 0; i < n; i++) {
			unsigned char was = b[i];

			for (size_t v = 0; v < sizeof(values); v++) {
				b[i] = values[v];
				mem = (struct mem){ .p = b, .len = n };
				if (image_look(
					&io, (enum image_kind)kind, &im) == 1)
					image_strip(
					    &io, (enum image_kind)kind, &im);
			}
			b[i] = was;
		}
	}
}

static int
look(enum image_kind kind, const char *p, size_t len, struct image *im)
{
	mem = (struct mem){ .p = (const unsigned char *)p, .len = len };
	return image_look(&io, kind, im);
}
#define LOOK(kind, s) look(kind, s, sizeof(s) - 1, &im)

static void
sizes_of_the_others(void **state)
{
	struct image im;

	(void)state;
	assert_int_equal(LOOK(IMAGE_GIF, "GIF89a\x10\1\x20\0\0\0\0"), 1);
	assert_int_equal(im.width, 272);
	assert_int_equal(im.height, 32);
	assert_int_equal(LOOK(IMAGE_GIF, "GIF89a\x10\1\x20\0\0\0"), 0);
	assert_int_equal(LOOK(IMAGE_GIF, "GIF88a\x10\1\x20\0\0\0\0"), 0);
	assert_int_equal(LOOK(IMAGE_GIF, "GIF89a\0\0\x20\0\0\0\0"), 0);
	assert_int_equal(
	    LOOK(IMAGE_WEBP, "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"
			     "\xff\3\0\xff\1\0"),
	    1);
	assert_int_equal(im.width, 1024);
	assert_int_equal(im.height, 512);
	assert_int_equal(
	    LOOK(IMAGE_WEBP, "RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\1\x2a"
			     "\x40\1\xf0\0"),
	    1);
	assert_int_equal(im.width, 320);
	assert_int_equal(im.height, 240);
	assert_int_equal(
	    LOOK(IMAGE_WEBP, "RIFF\0\0\0\0WEBPVP8L\x0a\0\0\0\x2f\x3f\xc1\x3b\0"
			     "\0\0\0\0\0"),
	    1);
	assert_int_equal(im.width, 320);
	assert_int_equal(im.height, 240);
	assert_int_equal(LOOK(IMAGE_WEBP, "RIFF\0\0\0\0WEBPXXXX"), 0);
}

static void
odd_ones_are_refused(void **state)
{
	struct image im;

	(void)state;
	/* No picture; none of pixels; a second beginning; an unknown marker. */
	assert_int_equal(LOOK(IMAGE_JPEG, "\xff\xd8\xff\xd9"), 0);
	assert_int_equal(
	    LOOK(IMAGE_JPEG, "\xff\xd8\xff\xc0\0\x0b\x08\0\0\1\x2c\1\1\x11\0"
			     "\xff\xda\0\4SSx\xff\xd9"),
	    0);
	assert_int_equal(LOOK(IMAGE_JPEG, "\xff\xd8\xff\xd8\0\2\xff\xd9"), 0);
	assert_int_equal(LOOK(IMAGE_JPEG, "\xff\xd8\xff\x02\0\2\xff\xd9"), 0);
	/* A chunk that must be known and is not; letters that are none. */
	assert_int_equal(
	    LOOK(IMAGE_PNG, "\x89PNG\r\n\x1a\n\0\0\0\0EVIL\0\0\0\0"), 0);
	assert_int_equal(LOOK(IMAGE_PNG, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHD1"
					 "\0\0\1\0\0\0\1\0\x08\2\0\0\0CRC!"),
	    0);
	mem.fail = 1;
	assert_int_equal(image_look(&io, IMAGE_PNG, &im), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jpeg_keeps_the_picture_alone),
		cmocka_unit_test(png_keeps_the_picture_alone),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(changed_at_every_byte),
		cmocka_unit_test(sizes_of_the_others),
		cmocka_unit_test(odd_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
