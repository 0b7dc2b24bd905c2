/*
 * Text for searching: lower case, Latin letters without their marks, d for the
 * barred one, so that "xin chao" finds "Xin chào".  Other scripts stay.
 */
#include "store_db.h"

#include <stdlib.h>

/* Base letters from U+00C0 and U+1E00 on; '.': stays as it is. */
static const char fold_latin[] =
    "aaaaaaaceeeeiiii.nooooo.ouuuuy.saaaaaaaceeeeiiii.nooooo.ouuuuy.y"
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkk.llllll."
    ".llnnnnnn...oooooooorrrrrrsssssssstttt..uuuuuuuuuuuuwwyyyzzzzzz."
    "................................oo.............uu....";
static const char fold_more[] =
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
    "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
    "wwwwwwwwwwxxxxyyzzzzzzhtwy......aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
    "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......";

static unsigned
fold_letter(unsigned c)
{
	char to = '.';

	if (c >= 'A' && c <= 'Z')
		return c + 32;
	if (c >= 0xc0 && c < 0xc0 + sizeof fold_latin - 1)
		to = fold_latin[c - 0xc0];
	else if (c >= 0x1e00 && c < 0x1e00 + sizeof fold_more - 1)
		to = fold_more[c - 0x1e00];
	else if (c >= 0x300 && c <= 0x36f)
		return 0; /* a mark on its own */
	return to != '.' ? (unsigned char)to : c;
}

/* One code point of text known to be UTF-8; a stray byte is itself. */
static size_t
fold_decode(const unsigned char *p, size_t len, unsigned *c)
{
	size_t n = p[0] < 0xc0 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4, i;

	*c = p[0];
	if (n == 1 || n > len) {
		if (p[0] >= 0x80)
			*c = 0xfffd; /* not the letter of that number */
		return 1;
	}
	*c &= 0xffu >> (n + 1);
	for (i = 1; i < n; i++)
		*c = *c << 6 | (p[i] & 0x3f);
	return n;
}

char *
store_fold(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	char *out = malloc(len + 1), *o = out;
	size_t n, i;
	unsigned c, to;

	if (out == NULL)
		return NULL;
	while (len > 0) {
		n = fold_decode(p, len, &c);
		to = fold_letter(c);
		if (to == c)
			for (i = 0; i < n; i++)
				*o++ = (char)p[i];
		else if (to != 0)
			*o++ = (char)to;
		p += n;
		len -= n;
	}
	*o = '\0';
	return out;
}
