/*
 * The answer: built whole, with the headers that every answer carries.
 */

#include "rsp.h"

#include "auth.h"
#include "json.h"
#include "limits.h"
#include "log.h"
#include "origin.h"
#include "route.h"

#include <assert.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define JSON_TYPE "application/json; charset=utf-8"
#define HTML_TYPE "text/html; charset=utf-8"
#define TEXT_TYPE "text/plain; charset=utf-8"
#define KEEP_BYTES_MAX (256u << 10) /* buffers above it go back to the heap */

#define PAGE_CSP                                                       \
	"default-src 'none'; script-src 'self'; style-src 'self'; "    \
	"img-src 'self' blob:; media-src 'self'; connect-src 'self'; " \
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
#define DATA_CSP "default-src 'none'; frame-ancestors 'none'"

int (*rsp_page_error)(struct rsp *rs, int status, const char *code,
    const char *field, struct buf *page);

/* What a person may read behind each code. */
static const struct {
	const char *code, *sentence;
} sentences[] = {
	{ "bad_request", "The request cannot be understood." },
	{ "bad_json", "The body is not valid JSON." },
	{ "bad_utf8", "The text is not valid UTF-8." },
	{ "bad_cursor", "The cursor is not valid." },
	{ "unauthenticated", "Authentication required" },
	{ "bad_login", "Wrong e-mail address or password." },
	{ "bad_signature", "The signature is missing or wrong." },
	{ "forbidden", "You may not do this." },
	{ "csrf", "The form has expired. Load the page again and repeat." },
	{ "bad_origin", "Requests from this site are not allowed." },
	{ "not_found", "There is no such thing here." },
	{ "method_not_allowed", "This method is not allowed here." },
	{ "timeout", "The request took too long to arrive." },
	{ "idempotency_conflict",
	    "The same key was used before with other content." },
	{ "new_messages", "There are newer messages." },
	{ "conflict", "This is not possible in the present state." },
	{ "closed", "The conversation is closed." },
	{ "gone", "This link has been used up or has expired." },
	{ "too_large", "The request is too large." },
	{ "bad_media_type", "This content type is not accepted here." },
	{ "bad_range", "The file has no such bytes." },
	{ "invalid", "A value is missing or not allowed." },
	{ "upgrade_required", "This address speaks WebSocket only." },
	{ "headers_too_large", "The request's headers are too large." },
	{ "rate_limited", "Too many requests. Please wait a little." },
	{ "internal", "Something went wrong on our side." },
	{ "busy", "The server is busy. Please try again in a moment." },
	{ "no_space", "The server has no space left to store this." },
	{ "maintenance", "The server is being maintained. Please try again." },
	{ "quota", "The quota for files is used up." },
};

const char *
rsp_sentence(const char *code)
{
	size_t i;

	for (i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		if (strcmp(sentences[i].code, code) == 0)
			return sentences[i].sentence;
	return "The request was refused.";
}

/* The words behind a status number. */
static const char *
rsp_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 422, "Unprocessable Content" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 507, "Insufficient Storage" },
	};
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Unknown";
}

void
rsp_init(struct rsp *rs, struct req *rq)
{
	rs->rq = rq;
	/* The buffers live as long as the process, unless they grew large. */
	if (rs->headers.data == NULL) {
		buf_init(&rs->headers, RSP_HEADERS_BYTES_MAX);
		buf_init(&rs->body, ANSWER_BYTES_MAX);
	}
	if (rs->body.cap > KEEP_BYTES_MAX) {
		buf_fini(&rs->body);
		buf_init(&rs->body, ANSWER_BYTES_MAX);
	}
	rsp_reset(rs);
}

/* No file after all. */
static void
rsp_unfile(struct rsp *rs)
{
	if (rs->file)
		close(rs->fd);
	rs->file = false;
}

void
rsp_reset(struct rsp *rs)
{
	rs->status = 0;
	rs->type = NULL;
	rs->csp = NULL;
	rs->cache = NULL;
	rs->code = NULL;
	rsp_unfile(rs);
	buf_reset(&rs->headers);
	buf_reset(&rs->body);
}

void
rsp_fini(struct rsp *rs)
{
	rsp_unfile(rs);
	buf_fini(&rs->headers);
	buf_fini(&rs->body);
}

/* An answer of ${status} with ${type}; the body is in rs->body. */
static int
rsp_done(struct rsp *rs, int status, const char *type)
{
	if (status == 503 && strstr(rs->headers.data, "Retry-After:") == NULL)
		rsp_header(rs, "Retry-After", "%u", 1 + randombytes_uniform(5));
	rs->status = status;
	rs->type = type;
	return status;
}

int
rsp_json(struct rsp *rs, int status, struct json_object *o)
{
	if (o == NULL) {
		log_error("rsp json: nothing to answer");
		return rsp_error(rs, 500, "internal", NULL);
	}
	buf_reset(&rs->body);
	json_write(o, &rs->body);
	(void)json_object_put(o);
	if (rs->body.err) {
		log_error("rsp json: does not fit");
		return rsp_error(rs, 503, "busy", NULL);
	}
	return rsp_done(rs, status, JSON_TYPE);
}

/* The body of a JSON error, without json-c: there may be no memory. */
static void
error_json(struct rsp *rs, int status, const char *code, const char *field)
{
	const char *sentence = rsp_sentence(code);
	struct buf *b = &rs->body;
	char text[256];

	if (field != NULL) {
		snprintf(text, sizeof(text), "%.*s: %.60s",
		    (int)strcspn(sentence, "."), sentence, field);
		sentence = text;
	}
	buf_puts(b, "{\"success\":false,\"error\":");
	json_write_str(b, sentence, strlen(sentence));
	buf_puts(b, ",\"code\":");
	json_write_str(b, code, strlen(code));
	if (field != NULL) {
		buf_puts(b, ",\"field\":");
		json_write_str(b, field, strlen(field));
	}
	if (status >= 500)
		buf_printf(b, ",\"request_id\":\"%s\"", rs->rq->id_text);
	buf_putc(b, '}');
}

/* The page where pages.c gave no better one.  Nothing in it is from outside. */
static void
error_page(struct rsp *rs, int status, const char *code)
{
	buf_printf(&rs->body,
	    "<!doctype html>\n<html lang=\"en\">"
	    "<meta charset=\"utf-8\">"
	    "<meta name=\"viewport\" content=\"width=device-width\">"
	    "<title>%d</title><h1>%d</h1><p>%s</p>",
	    status, status, rsp_sentence(code));
	if (status >= 500)
		buf_printf(&rs->body, "<p>%s</p>", rs->rq->id_text);
	buf_puts(&rs->body, "</html>\n");
}

/* Whether this request's errors are pages. */
static bool
wants_page(const struct rsp *rs)
{
	const struct req *rq = rs->rq;
	const char *accept;

	if (rq->route != NULL)
		return (rq->route->flags & ROUTE_PAGE) != 0;
	if (strncmp(rq->path, "/api/", 5) == 0)
		return false;
	accept = req_header(rq, "Accept");
	return accept != NULL && strstr(accept, "text/html") != NULL;
}

/* 401 on a page: to the log-in, and back here if it was only to look. */
static int
to_login(struct rsp *rs)
{
	struct req *rq = rs->rq;
	struct buf url;
	const char *p;
	int status;

	buf_init(&url, 2048);
	buf_puts(&url, "/login");
	if (req_is(rq, "GET") && strlen(rq->path) < 500) {
		buf_puts(&url, "?next=");
		for (p = rq->path; *p != '\0'; p++)
			if (strchr("/-_.~", *p) != NULL ||
			    (*p >= '0' && *p <= '9') ||
			    ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'))
				buf_putc(&url, *p);
			else
				buf_printf(&url, "%%%02X",
				    (unsigned)(unsigned char)*p);
	}
	status = rsp_redirect(rs, url.data);
	buf_fini(&url);
	return status;
}

int
rsp_error(struct rsp *rs, int status, const char *code, const char *field)
{
	struct buf page;

	rs->code = code;
	rs->cache = NULL;
	rs->csp = NULL;
	rsp_unfile(rs);
	buf_reset(&rs->body);
	if (status >= 500)
		log_warn("answer status=%d code=%s request=%s route=%s", status,
		    code, rs->rq->id_text,
		    rs->rq->route != NULL ? rs->rq->route->path : "-");
	if (!wants_page(rs)) {
		if (status == 401)
			rsp_header(rs, "WWW-Authenticate", "Bearer");
		error_json(rs, status, code, field);
		return rsp_done(rs, status, JSON_TYPE);
	}
	if (status == 401 && strcmp(code, "unauthenticated") == 0)
		return to_login(rs);
	buf_init(&page, ANSWER_BYTES_MAX);
	if (rsp_page_error != NULL &&
	    rsp_page_error(rs, status, code, field, &page) == 0 && !page.err)
		buf_append(&rs->body, page.data, page.len);
	else
		error_page(rs, status, code);
	buf_fini(&page);
	return rsp_done(rs, status, HTML_TYPE);
}

int
rsp_retry(struct rsp *rs, int status, const char *code, int64_t after_s)
{
	rsp_header(
	    rs, "Retry-After", "%lld", (long long)(after_s > 0 ? after_s : 1));
	return rsp_error(rs, status, code, NULL);
}

void
rsp_header(struct rsp *rs, const char *name, const char *fmt, ...)
{
	char text[4096];
	char *from, *to;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		log_error("rsp header %s does not fit", name);
		return;
	}
	/* A line break would begin another header. */
	for (from = to = text; *from != '\0'; from++)
		if ((unsigned char)*from >= 0x20 && *from != 0x7f)
			*to++ = *from;
	*to = '\0';
	buf_printf(&rs->headers, "%s: %s\r\n", name, text);
}

int
rsp_text(struct rsp *rs, int status, const char *s)
{
	return rsp_raw(rs, status, TEXT_TYPE, s, strlen(s));
}

int
rsp_raw(struct rsp *rs, int status, const char *type, const void *p, size_t len)
{
	buf_reset(&rs->body);
	buf_append(&rs->body, p, len);
	if (rs->body.err)
		return rsp_error(rs, 503, "busy", NULL);
	return rsp_done(rs, status, type);
}

int
rsp_file(struct rsp *rs, int status, const char *type, int fd, int64_t from,
    int64_t len)
{
	rsp_unfile(rs);
	buf_reset(&rs->body);
	rs->file = true;
	rs->fd = fd;
	rs->from = from;
	rs->len = len;
	return rsp_done(rs, status, type);
}

int
rsp_html(struct rsp *rs, int status, struct buf *page)
{
	struct buf was = rs->body;

	if (page->err) {
		log_error("rsp html: does not fit");
		return rsp_error(rs, 503, "busy", NULL);
	}
	rs->body = *page;
	rs->body.max = was.max;
	*page = was;
	buf_reset(page);
	return rsp_done(rs, status, HTML_TYPE);
}

int
rsp_redirect(struct rsp *rs, const char *url)
{
	buf_reset(&rs->body);
	if (url[0] == '/')
		rsp_header(rs, "Location", "%s%s", rs->rq->base_path, url);
	else
		rsp_header(rs, "Location", "%s", url);
	return rsp_done(rs, 303, TEXT_TYPE);
}

int
rsp_empty(struct rsp *rs, int status)
{
	buf_reset(&rs->body);
	return rsp_done(rs, status, NULL);
}

void
rsp_cookie(struct rsp *rs, const char *name, const char *value, int64_t age_s)
{
	bool secure = auth_secure(rs->rq);
	char age[48] = "";

	if (age_s > 0)
		(void)snprintf(
		    age, sizeof(age), "; Max-Age=%lld", (long long)age_s);
	else if (age_s < 0)
		(void)snprintf(age, sizeof(age), "; Max-Age=0");
	rsp_header(rs, "Set-Cookie",
	    "%s%s=%s; Path=/%s; HttpOnly; SameSite=Lax%s",
	    secure ? "__Host-" : "", name, age_s < 0 ? "" : value,
	    secure ? "; Secure" : "", age);
}

/* The CORS headers for this request. */
static void
rsp_cors(struct rsp *rs)
{
	struct req *rq = rs->rq;
	const char *origin = req_header(rq, "Origin");
	const char *list = rq->cf->cors_origins;

	if (list[0] == '\0')
		return;
	/* With a `*` alone the answer is the same for everybody. */
	if (strcmp(list, "*") != 0)
		rsp_header(rs, "Vary", "Origin");
	switch (
	    origin_check(origin, list, rq->cf->base_url, rq->host, rq->https)) {
	case ORIGIN_LISTED:
		rsp_header(rs, "Access-Control-Allow-Origin", "%s", origin);
		rsp_header(rs, "Access-Control-Allow-Credentials", "true");
		break;
	case ORIGIN_ANY:
		rsp_header(rs, "Access-Control-Allow-Origin", "*");
		break;
	default:
		return;
	}
	rsp_header(rs, "Access-Control-Expose-Headers",
	    "Accept-Ranges, Content-Range, ETag, Retry-After, X-Event-Id, "
	    "X-Event-Cursor");
	if (!req_is(rq, "OPTIONS"))
		return;
	rsp_header(rs, "Access-Control-Allow-Methods",
	    "GET, HEAD, POST, PUT, PATCH, DELETE");
	rsp_header(rs, "Access-Control-Allow-Headers",
	    "Authorization, Cache-Control, Content-Type, Idempotency-Key, "
	    "If-None-Match, If-Range, Last-Event-ID, Range, X-CSRF-Token");
	rsp_header(rs, "Access-Control-Max-Age", "600");
}

void
rsp_head(struct rsp *rs, struct buf *out)
{
	bool page = rs->type != NULL && strncmp(rs->type, "text/html", 9) == 0;

	rsp_cors(rs);
	buf_printf(
	    out, "Status: %d %s\r\n", rs->status, rsp_reason(rs->status));
	if (rs->type != NULL)
		buf_printf(out, "Content-Type: %s\r\n", rs->type);
	if (rs->status != 204 && rs->status != 304)
		buf_printf(out, "Content-Length: %lld\r\n",
		    rs->file ? (long long)rs->len : (long long)rs->body.len);
	buf_printf(out, "Cache-Control: %s\r\n",
	    rs->cache != NULL ? rs->cache : "no-store");
	buf_puts(out, "X-Content-Type-Options: nosniff\r\n"
		      "Referrer-Policy: no-referrer\r\n");
	buf_printf(out, "Content-Security-Policy: %s\r\n",
	    rs->csp != NULL ? rs->csp
	    : page          ? PAGE_CSP
			    : DATA_CSP);
	if (page)
		buf_puts(out, "Cross-Origin-Opener-Policy: same-origin\r\n");
	if (rs->rq->https)
		buf_puts(out, "Strict-Transport-Security: "
			      "max-age=31536000\r\n");
	buf_append(out, rs->headers.data, rs->headers.len);
	if (rs->headers.err)
		log_error("rsp headers do not fit");
	buf_puts(out, "\r\n");
}
