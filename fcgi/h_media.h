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

/* A file of a body. */
struct upload_file {
	struct media_in in;
	char name[1024];
	size_t name_len;
};

/* What a body brought: its files, if it has any, and the fields of a form. */
struct upload {
	struct upload_file *files;
	size_t nfiles, files_max;
	struct req_field *fields;
	size_t nfields, fields_max;
};

/*
 * upload_read(rq, up): stream the body: a form's fields into the request
 * (req_form works then), its files to the disk, one, or of a page's form as
 * many as a message may have; or the whole body as a file.  0, or the status to
 * refuse with and ${*code}, ${*field}.
 * upload_check(up, ...): the files are whole: of kinds that are taken?  Kept.
 * upload_drop(up): after either; what was not stored goes.
 */
int upload_read(
    struct req *rq, struct upload *up, const char **code, const char **field);
int upload_check(struct upload *up, const char **code, const char **field);
void upload_drop(struct upload *up);

#endif
