#ifndef PARLEY_H_MEDIA_H
#define PARLEY_H_MEDIA_H

/* Files: up by one request each, down by as many as one likes. */

#include "media_dir.h"
#include "req.h"
#include "rsp.h"

#include <stdbool.h>
#include <stddef.h>

int upload_post(struct req *rq, struct rsp *rs);
int media_get(struct req *rq, struct rsp *rs);

/* What a body brought: a file, if it has one, and the fields of a form. */
struct upload {
	struct media_in in;
	bool begun; /* there is a file */
	char name[1024];
	size_t name_len;
	struct req_field *fields;
	size_t nfields, fields_max;
};

/*
 * upload_read(rq, up): stream the body: a form's fields into the request
 * (req_form works then), its file, at most one, to the disk; or the whole body
 * as a file.  0, or the status to refuse with and ${*code}, ${*field}.
 * upload_check(up, ...): the file is whole: of a kind that is taken?  Kept.
 * upload_drop(up): after either; what was not stored goes.
 */
int upload_read(
    struct req *rq, struct upload *up, const char **code, const char **field);
int upload_check(struct upload *up, const char **code, const char **field);
void upload_drop(struct upload *up);

#endif
