/* UTF-8 checked, counted and cleaned. */

#include "utf8.h"

#include <stdint.h>
#include <string.h>

int
utf8_feed(struct utf8 *u, const void *p, size_t len)
{
	const unsigned char *s = p, *end = s + len;
	unsigned char c;

	while (s < end) {
		if (u->need == 0) {
			/* ASCII, eight at a time. */
			while (end - s >= 8) {
				uint64_t w;

				memcpy(&w, s, 8);
				if (w & UINT64_C(0x8080808080808080))
					break;
				s += 8;
			}
			if (s == end)
				break;
		}
		c = *s++;
		if (u->need > 0) {
			if (c < u->lo || c > u->hi)
				return -1;
			u->need--;
			u->lo = 0x80;
			u->hi = 0xbf;
			continue;
		}
		if (c < 0x80)
			continue;
		u->lo = 0x80;
		u->hi = 0xbf;
		if (c >= 0xc2 && c <= 0xdf) {
			u->need = 1;
		} else if (c >= 0xe0 && c <= 0xef) {
			u->need = 2;
			if (c == 0xe0)
				u->lo = 0xa0;
			else if (c == 0xed)
				u->hi = 0x9f;
		} else if (c >= 0xf0 && c <= 0xf4) {
			u->need = 3;
			if (c == 0xf0)
				u->lo = 0x90;
			else if (c == 0xf4)
				u->hi = 0x8f;
		} else {
			return -1;
		}
	}
	return 0;
}

bool
utf8_valid(const void *p, size_t len)
{
	struct utf8 u = { 0, 0, 0 };

	return utf8_feed(&u, p, len) == 0 && u.need == 0;
}

size_t
utf8_len(const void *p, size_t len)
{
	const unsigned char *s = p;
	struct utf8 u = { 0, 0, 0 };
	size_t i;

	for (i = 0; i < len && i < 4; i++) {
		if (utf8_feed(&u, s + i, 1) == -1)
			return 0;
		if (u.need == 0)
			return i + 1;
	}
	return 0;
}

void
utf8_clean(struct buf *b, const void *p, size_t len)
{
	const char *s = p, *end = s + len, *good = s;
	size_t n;

	if (utf8_valid(p, len)) {
		buf_append(b, p, len);
		return;
	}
	while (s < end) {
		if ((n = utf8_len(s, (size_t)(end - s))) > 0) {
			s += n;
			continue;
		}
		buf_append(b, good, (size_t)(s - good));
		buf_append(b, "\xef\xbf\xbd", 3);
		good = ++s;
	}
	buf_append(b, good, (size_t)(s - good));
}

size_t
utf8_chars(const void *p, size_t len)
{
	const unsigned char *s = p;
	size_t n = 0, i;

	for (i = 0; i < len; i++)
		n += (s[i] & 0xc0) != 0x80;
	return n;
}

/* White space, and the marks between letters that show nothing alone. */
static bool
is_space(uint32_t c)
{
	return c == ' ' || (c >= 0x09 && c <= 0x0d) || c == 0x85 || c == 0xa0 ||
	       c == 0x1680 || c == 0x180e || (c >= 0x2000 && c <= 0x200f) ||
	       c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
	       c == 0x2060 || c == 0x3000 || c == 0xfeff;
}

bool
utf8_blank(const void *p, size_t len)
{
	const unsigned char *s = p;
	size_t i = 0, n;
	uint32_t c;

	for (; i < len; i += n) {
		n = utf8_len(s + i, len - i);
		if (n == 1)
			c = s[i];
		else if (n == 2)
			c = (s[i] & 0x1fu) << 6 | (s[i + 1] & 0x3fu);
		else if (n == 3)
			c = (s[i] & 0x0fu) << 12 | (s[i + 1] & 0x3fu) << 6 |
			    (s[i + 2] & 0x3fu);
		else
			return false;
		if (!is_space(c))
			return false;
	}
	return true;
}

size_t
utf8_utf16_units(const void *p, size_t len)
{
	const unsigned char *s = p;
	size_t n = 0, i;

	for (i = 0; i < len; i++)
		n += (size_t)((s[i] & 0xc0) != 0x80) + (size_t)(s[i] >= 0xf0);
	return n;
}

size_t
utf8_cut(const void *p, size_t len, size_t chars_max)
{
	const unsigned char *s = p;
	size_t i = 0, n = 0;

	for (i = 0; i < len; i++)
		if ((s[i] & 0xc0) != 0x80 && n++ == chars_max)
			return i;
	return len;
}
