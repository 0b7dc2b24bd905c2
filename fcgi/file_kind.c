/*
 * The kinds of files that are taken, and names that fit them.  Which one some
 * bytes are says file_magic.c.
 */
#include "file_kind.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "utf8.h"

#define OFFICE "application/vnd.openxmlformats-officedocument."
#define ODF "application/vnd.oasis.opendocument."
#define NAME_CHARS 100

static const struct file_kind kinds[] = {
	{ "image/jpeg", "image", " jpg jpeg jpe jfif " },
	{ "image/png", "image", " png apng " },
	{ "image/gif", "image", " gif " },
	{ "image/webp", "image", " webp " },
	{ "video/mp4", "video", " mp4 m4v " },
	{ "video/webm", "video", " webm " },
	{ "video/ogg", "video", " ogv ogg " },
	{ "audio/mpeg", "audio", " mp3 mpga " },
	{ "audio/ogg", "audio", " ogg oga opus " },
	{ "audio/mp4", "audio", " m4a mp4 aac " },
	{ "application/pdf", "file", " pdf " },
	{ "text/plain", "file", " txt text csv log md json srt vcf ics " },
	{ "application/zip", "file", " zip " },
	{ "application/rtf", "file", " rtf " },
	{ "application/msword", "file", " doc " },
	{ "application/vnd.ms-excel", "file", " xls " },
	{ "application/vnd.ms-powerpoint", "file", " ppt " },
	{ "application/x-ole-storage", "file", " doc xls ppt " },
	{ OFFICE "wordprocessingml.document", "file", " docx " },
	{ OFFICE "spreadsheetml.sheet", "file", " xlsx " },
	{ OFFICE "presentationml.presentation", "file", " pptx " },
	{ ODF "text", "file", " odt " },
	{ ODF "spreadsheet", "file", " ods " },
	{ ODF "presentation", "file", " odp " },
};

const struct file_kind *
file_kind_find(const char *mime)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].mime, mime) == 0)
			return &kinds[i];
	return NULL;
}

int
file_kind_inline(const struct file_kind *k)
{
	return strcmp(k->group, "file") != 0;
}

/* --- names --------------------------------------------------------------- */

/* Whether the character of ${n} bytes at ${p} has no place in a file's name. */
static bool
name_bad(const unsigned char *p, size_t n)
{
	uint32_t c = p[0];

	if (n == 1)
		return c < 0x20 || c == 0x7f || strchr("/\\:*?\"<>|", p[0]);
	if (n == 2)
		c = (c & 0x1f) << 6 | (p[1] & 0x3f);
	else if (n == 3)
		c = (c & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 |
		    (p[2] & 0x3f);
	else
		return false;
	/* Controls, and marks by which a name reads other than it is. */
	return c < 0xa0 || c == 0xad || c == 0x61c || c == 0xfeff ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f);
}

static bool
ending_fits(const struct file_kind *k, const char *name)
{
	const char *dot = strrchr(name, '.');
	char word[16];
	size_t n;

	if (dot == NULL || dot == name || (n = strlen(dot + 1)) == 0 ||
	    n > sizeof(word) - 3)
		return false;
	word[0] = ' ';
	for (size_t i = 0; i < n; i++)
		word[1 + i] = dot[1 + i] >= 'A' && dot[1 + i] <= 'Z'
				  ? (char)(dot[1 + i] | 0x20)
				  : dot[1 + i];
	word[n + 1] = ' ';
	word[n + 2] = '\0';
	return strstr(k->exts, word) != NULL;
}

void
file_name_clean(const struct file_kind *k, const char *name, size_t len,
    char out[FILE_NAME_SIZE])
{
	const char *p = name, *end = name + len, *ext = k->exts + 1;
	size_t at = 0, chars = 0, n, room;

	for (const char *s = name; s < end; s++)
		if (*s == '/' || *s == '\\')
			p = s + 1;
	room = FILE_NAME_SIZE - 8; /* for an ending */
	for (; p < end && chars < NAME_CHARS; p += n) {
		if ((n = utf8_len(p, (size_t)(end - p))) == 0) {
			n = 1;
			continue;
		}
		if (name_bad((const unsigned char *)p, n))
			continue;
		/* Neither hidden nor beginning or ending in a blank. */
		if (at == 0 && (*p == '.' || *p == ' '))
			continue;
		if (at + n > room)
			break;
		memcpy(out + at, p, n);
		at += n;
		chars++;
	}
	while (at > 0 && (out[at - 1] == ' ' || out[at - 1] == '.'))
		at--;
	out[at] = '\0';
	if (at > 0 && ending_fits(k, out))
		return;
	if (at == 0) {
		memcpy(out, k->group, strlen(k->group));
		at = strlen(k->group);
	}
	out[at++] = '.';
	n = strcspn(ext, " ");
	memcpy(out + at, ext, n);
	out[at + n] = '\0';
}
