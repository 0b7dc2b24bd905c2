/*
 * Requests to others and their answers, as values.  How the bytes travel is
 * http_client.c's business.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "http_request.h"

#define URL_MAX 16384
#define HEADERS_MAX 32768
#define REQUEST_BODY_MAX (1 << 20)
#define ANSWER_BODY_MAX (1 << 20)

void
http_request_init(struct http_request *rq, const char *method)
{
	memset(rq, 0, sizeof(*rq));
	rq->method = method;
	buf_init(&rq->url, URL_MAX);
	buf_init(&rq->headers, HEADERS_MAX);
	buf_init(&rq->body, REQUEST_BODY_MAX);
	buf_init(&rq->fields, REQUEST_BODY_MAX);
}

void
http_request_fini(struct http_request *rq)
{
	buf_fini(&rq->url);
	buf_fini(&rq->headers);
	buf_fini(&rq->body);
	buf_fini(&rq->fields);
	free(rq->file_path);
	free(rq->file_name);
	rq->file_path = rq->file_name = NULL;
}

void
http_request_header(
    struct http_request *rq, const char *name, const char *value)
{
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			rq->url.err = 1;
			return;
		}
	buf_printf(&rq->headers, "%s: %s\n", name, value);
}

void
http_request_field(struct http_request *rq, const char *name, const char *value)
{
	buf_append(&rq->fields, name, strlen(name) + 1);
	buf_append(&rq->fields, value, strlen(value) + 1);
}

void
http_urlencode(struct buf *b, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL) &&
		    c != '\0')
			buf_putc(b, (char)c);
		else
			buf_printf(b, "%%%02X", c);
	}
}

void
http_answer_init(struct http_answer *an)
{
	memset(an, 0, sizeof(*an));
	an->end = HTTP_UNSENT;
	buf_init(&an->body, ANSWER_BODY_MAX);
}

void
http_answer_fini(struct http_answer *an)
{
	buf_fini(&an->body);
	free(an->location);
	an->location = NULL;
}
