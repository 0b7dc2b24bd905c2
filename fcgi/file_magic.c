/*
 * What some bytes are: libmagic says what they look like, the table of
 * file_kind.c which of that is taken.
 */
#include "file_magic.h"

#include <stdbool.h>
#include <string.h>

#include <magic.h>

#include "log.h"

/* What libmagic calls them where it has another name. */
static const struct {
	const char *theirs, *ours;
} aliases[] = {
	{ "video/x-m4v", "video/mp4" },
	{ "video/3gpp", "video/mp4" },
	{ "application/ogg", "audio/ogg" },
	{ "audio/x-m4a", "audio/mp4" },
	{ "audio/x-hx-aac-adts", "" },
	{ "text/rtf", "application/rtf" },
	{ "application/CDFV2", "application/x-ole-storage" },
	{ "application/json", "text/plain" },
	{ "application/x-ndjson", "text/plain" },
	{ "application/csv", "text/plain" },
	{ "application/x-subrip", "text/plain" },
	{ "text/csv", "text/plain" },
	{ "text/x-c", "text/plain" },
	{ "text/x-c++", "text/plain" },
	{ "text/x-java", "text/plain" },
	{ "text/x-tex", "text/plain" },
	{ "text/x-diff", "text/plain" },
	{ "text/x-makefile", "text/plain" },
	{ "text/x-asm", "text/plain" },
	{ "text/x-po", "text/plain" },
	{ "text/x-bibtex", "text/plain" },
	{ "text/x-pascal", "text/plain" },
	{ "text/x-fortran", "text/plain" },
	{ "text/x-Algol68", "text/plain" },
	{ "text/x-forth", "text/plain" },
	{ "text/x-dmtf-mif", "text/plain" },
	{ "text/x-vcard", "text/plain" },
	{ "text/vcard", "text/plain" },
	{ "text/calendar", "text/plain" },
	{ "text/troff", "text/plain" },
	{ "message/rfc822", "text/plain" },
};

/*
 * Text that something might run or show as a page, which libmagic may not
 * have known for one.
 */
static bool
text_is_code(const unsigned char *p, size_t len)
{
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;
		len -= 3;
	}
	while (len > 0 && strchr(" \t\r\n\f\v", *p) != NULL && *p != '\0') {
		p++;
		len--;
	}
	if (len < 2)
		return false;
	if (p[0] == '#' && p[1] == '!')
		return true;
	return p[0] == '<' &&
	       (strchr("!?/", p[1]) != NULL ||
		   ((p[1] | 0x20) >= 'a' && (p[1] | 0x20) <= 'z'));
}

static magic_t magic;

int
file_magic_open(const char *table, struct buf *why)
{
	magic_t m;

	if (magic != NULL)
		return 0;
	m = magic_open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS);
	if (m == NULL) {
		buf_puts(why, "no memory");
		return -1;
	}
	if (magic_load(m, *table != '\0' ? table : NULL) == -1) {
		buf_printf(why, "%.300s", magic_error(m));
		magic_close(m);
		return -1;
	}
	magic = m;
	return 0;
}

int
file_kind_of(
    const char *table, const void *p, size_t len, const struct file_kind **kind)
{
	const char *mime;

	struct buf why;

	*kind = NULL;
	buf_init(&why, 512);
	if (file_magic_open(table, &why) == -1) {
		log_error("magic_file: %s", why.len > 0 ? why.data : "?");
		buf_fini(&why);
		return -1;
	}
	buf_fini(&why);
	if (len > FILE_KIND_HEAD)
		len = FILE_KIND_HEAD;
	if (len == 0 || (mime = magic_buffer(magic, p, len)) == NULL)
		return 0;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (strcmp(aliases[i].theirs, mime) == 0) {
			mime = aliases[i].ours;
			break;
		}
	if ((*kind = file_kind_find(mime)) == NULL)
		return 0;
	if (strcmp(mime, "text/plain") == 0 && text_is_code(p, len)) {
		*kind = NULL;
		return 0;
	}
	return 1;
}
