/*
 * multipart/form-data as it arrives.  A boundary begins with CR and holds no
 * other, so what looked like one and is none can be given out as data at once.
 */
#include "multipart.h"

#include <string.h>
#include <strings.h>

int
multipart_init(struct multipart *mp, const char *type,
    const struct multipart_calls *calls, void *arg)
{
	static const char word[] = "multipart/form-data";
	const char *p;
	size_t n;

	memset(mp, 0, sizeof(*mp));
	mp->calls = calls;
	mp->arg = arg;
	if (type == NULL || strncasecmp(type, word, sizeof(word) - 1) != 0)
		return -1;
	p = type + sizeof(word) - 1;
	for (;;) {
		p += strspn(p, " \t");
		if (*p++ != ';')
			return -1;
		p += strspn(p, " \t");
		if (strncasecmp(p, "boundary=", 9) == 0)
			break;
		p += strcspn(p, ";");
	}
	p += 9;
	if (*p == '"') {
		p++;
		n = strcspn(p, "\"");
		if (p[n] != '"')
			return -1;
	} else {
		n = strcspn(p, "; \t");
	}
	if (n == 0 || n > MULTIPART_BOUNDARY_MAX)
		return -1;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < 0x20 || (unsigned char)p[i] > 0x7e)
			return -1;
	memcpy(mp->mark, "\r\n--", 4);
	memcpy(mp->mark + 4, p, n);
	mp->mark_len = n + 4;
	/* The first one may stand at the very beginning. */
	mp->met = 2;
	return 0;
}

/* Decode what browsers escape in names: the quotation mark and line ends. */
static void
unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		if (s[0] == '%' && s[1] == '2' && s[2] == '2') {
			*to++ = '"';
			s += 2;
		} else if (s[0] == '%' && s[1] == '0' &&
			   strchr("AaDd", s[2]) != NULL && s[2] != '\0') {
			*to++ = ' ';
			s += 2;
		} else if (s[0] == '\\' && (s[1] == '"' || s[1] == '\\')) {
			*to++ = *++s;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Parameter ${key} of the header line ${line}, cut out of it; or NULL. */
static char *
parameter(char *line, const char *key)
{
	size_t n = strlen(key);
	char *p = line, *v, *end;

	while ((p = strchr(p, ';')) != NULL) {
		p++;
		p += strspn(p, " \t");
		v = p + strcspn(p, "=;");
		if (*v != '=')
			continue;
		end = ++v;
		if (*v == '"') {
			for (end = ++v; *end != '"'; end++) {
				if (*end == '\\' && end[1] != '\0')
					end++;
				if (*end == '\0')
					return NULL;
			}
		} else {
			end += strcspn(v, "; \t");
		}
		if (strncasecmp(p, key, n) == 0 && p[n] == '=') {
			*end = '\0';
			unescape(v);
			return v;
		}
		p = end;
	}
	return NULL;
}

/* The headers are whole: what part is it? */
static int
head_read(struct multipart *mp)
{
	char *line = mp->head, *end, *disposition = NULL, *name, *file;
	char copy[MULTIPART_HEAD_MAX + 1];

	mp->head[mp->head_len] = '\0';
	if (strlen(mp->head) != mp->head_len)
		return -1;
	for (; *line != '\0'; line = end + 2) {
		if ((end = strstr(line, "\r\n")) == NULL)
			return -1;
		*end = '\0';
		if (strncasecmp(line, "Content-Disposition:", 20) == 0)
			disposition = line + 20;
	}
	if (disposition == NULL)
		return -1;
	disposition += strspn(disposition, " \t");
	if (strncasecmp(disposition, "form-data", 9) != 0)
		return -1;
	memcpy(copy, disposition, strlen(disposition) + 1);
	file = parameter(copy, "filename");
	if ((name = parameter(disposition, "name")) == NULL)
		return -1;
	return mp->calls->part(mp->arg, name, file);
}

/* Content, where one is open; what stands before the first part is nothing. */
static int
content(struct multipart *mp, const char *p, size_t n)
{
	if (n == 0 || mp->state != MP_DATA)
		return 0;
	return mp->calls->data(mp->arg, p, n);
}

/* Look for the boundary; ${*used} of the bytes are done with. */
static int
scan(struct multipart *mp, const char *p, size_t len, size_t *used)
{
	const char *cr;
	size_t i = 0, n;
	int rc;

	while (i < len) {
		if (mp->met == 0) {
			cr = memchr(p + i, '\r', len - i);
			n = cr != NULL ? (size_t)(cr - p) - i : len - i;
			if ((rc = content(mp, p + i, n)) != 0)
				return rc;
			i += n;
			if (cr == NULL)
				break;
		}
		if (p[i] == mp->mark[mp->met]) {
			i++;
			if (++mp->met < mp->mark_len)
				continue;
			mp->met = 0;
			rc = mp->state == MP_DATA ? mp->calls->end(mp->arg) : 0;
			mp->state = MP_DELIMITED;
			*used = i;
			return rc;
		}
		/* It was none: what was held back is content. */
		n = mp->met;
		mp->met = 0;
		if ((rc = content(mp, mp->mark, n)) != 0)
			return rc;
		if (p[i] != '\r') {
			if ((rc = content(mp, p + i, 1)) != 0)
				return rc;
			i++;
		}
	}
	*used = i;
	return 0;
}

/* One byte of a part's headers. */
static int
head_byte(struct multipart *mp, char c)
{
	size_t n = mp->head_len;

	if (n == MULTIPART_HEAD_MAX)
		return -1;
	mp->head[n++] = c;
	mp->head_len = n;
	if (n < 4 || memcmp(mp->head + n - 4, "\r\n\r\n", 4) != 0)
		return 0;
	mp->head_len -= 2;
	mp->state = MP_DATA;
	mp->met = 0;
	return head_read(mp);
}

int
multipart_feed(struct multipart *mp, const char *p, size_t len)
{
	size_t used;
	int rc = 0;

	while (len > 0 && rc == 0) {
		used = 1;
		switch (mp->state) {
		case MP_BEFORE:
		case MP_DATA:
			rc = scan(mp, p, len, &used);
			break;
		case MP_DELIMITED:
			/* "--" ends it all, a line end begins a part. */
			if (*p == '-')
				mp->state = MP_DASH;
			else if (*p == '\n') {
				mp->state = MP_HEAD;
				mp->head_len = 0;
			} else if (*p != '\r' && *p != ' ' && *p != '\t')
				rc = -1;
			break;
		case MP_DASH:
			if (*p != '-')
				rc = -1;
			mp->state = MP_AFTER;
			break;
		case MP_HEAD:
			rc = head_byte(mp, *p);
			break;
		case MP_AFTER:
			used = len;
			break;
		}
		p += used;
		len -= used;
	}
	return rc;
}

bool
multipart_whole(const struct multipart *mp)
{
	return mp->state == MP_AFTER;
}
