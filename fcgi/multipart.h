#ifndef MULTIPART_H
#define MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

/*
 * multipart/form-data (RFC 7578) as it arrives: bytes in, parts out, nothing
 * of their content is kept.
 */

#define MULTIPART_BOUNDARY_MAX 70 /* bytes, RFC 2046 */
#define MULTIPART_HEAD_MAX 4096   /* bytes of a part's headers */

/* What is told of each part; not 0 ends the reading. */
struct multipart_calls {
	/* ${file}: its file name, decoded; NULL: it is a field. */
	int (*part)(void *arg, const char *name, const char *file);
	int (*data)(void *arg, const char *p, size_t len);
	int (*end)(void *arg);
};

struct multipart {
	const struct multipart_calls *calls;
	void *arg;
	enum {
		MP_BEFORE,
		MP_DELIMITED,
		MP_DASH,
		MP_HEAD,
		MP_DATA,
		MP_AFTER
	} state;
	char mark[MULTIPART_BOUNDARY_MAX + 5]; /* "\r\n--" and the boundary */
	size_t mark_len, met;                  /* of it met so far */
	char head[MULTIPART_HEAD_MAX + 1];
	size_t head_len;
};

/*
 * multipart_init(mp, type, calls, arg): by the Content-Type; -1: it is not
 * multipart/form-data with a boundary.
 */
int multipart_init(struct multipart *mp, const char *type,
    const struct multipart_calls *calls, void *arg);

/*
 * multipart_feed(mp, p, len): the next bytes.  0; -1 malformed; else what a
 * call answered, after which nothing may be fed.
 */
int multipart_feed(struct multipart *mp, const char *p, size_t len);

/* multipart_whole(mp): whether the last boundary has been met. */
bool multipart_whole(const struct multipart *mp);

#endif
