/*
 * The request, parsed within limits: parameters, path, query, cookies, body.
 * Knows nothing of routes' meaning nor of who asks.
 */

#include "req.h"

#include "addr.h"
#include "clock.h"
#include "hex.h"
#include "id.h"
#include "route.h"
#include "utf8.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MEM_FIRST 16384           /* bytes kept from request to request */
#define MEM_CHUNK 65536           /* bytes of a chunk after that */
#define MEM_BYTES_MAX (48u << 20) /* bytes of one request in all */

/* A chunk of the request's memory. */
struct req_mem {
	struct req_mem *next;
	size_t used, size;
	/* ${size} bytes follow */
};

/* The first chunk: most requests need no other. */
static union {
	struct req_mem mem;
	char bytes[MEM_FIRST];
	max_align_t align;
} first;

void *
req_alloc(struct req *rq, size_t size)
{
	struct req_mem *m = rq->mem;
	size_t need, chunk;
	char *p;

	if (size > MEM_BYTES_MAX)
		return NULL;
	need = (size + 15) & ~(size_t)15;
	if (m == NULL || m->size - m->used < need) {
		if (rq->mem_bytes + need > MEM_BYTES_MAX)
			return NULL;
		if (m == NULL && need <= sizeof(first) - 64) {
			m = &first.mem;
			m->size = sizeof(first) - 32;
		} else {
			chunk = need > MEM_CHUNK ? need : MEM_CHUNK;
			if ((m = malloc(chunk + 32)) == NULL)
				return NULL;
			m->size = chunk;
			rq->mem_bytes += chunk;
		}
		m->used = 0;
		m->next = rq->mem;
		rq->mem = m;
	}
	p = (char *)m + 32 + m->used;
	m->used += need;
	return p;
}

char *
req_strdup(struct req *rq, const char *p, size_t len)
{
	char *s = req_alloc(rq, len + 1);

	if (s == NULL)
		return NULL;
	memcpy(s, p, len);
	s[len] = '\0';
	return s;
}

void
req_fini(struct req *rq)
{
	struct req_mem *m, *next;

	(void)json_object_put(rq->json);
	for (m = rq->mem; m != NULL; m = next) {
		next = m->next;
		if (m != &first.mem)
			free(m);
	}
	/* Nothing of this request may meet the next. */
	sodium_memzero(first.bytes, 32 + first.mem.used);
	memset(rq, 0, sizeof(*rq));
}

/* Parameters. */

const char *
req_param(const struct req *rq, const char *name)
{
	const char *p;
	size_t i;
	char **e;

	/* By hand: most names differ early, and this runs often. */
	for (e = rq->env; e != NULL && (p = *e) != NULL; e++) {
		for (i = 0; name[i] != '\0' && p[i] == name[i]; i++)
			;
		if (name[i] == '\0' && p[i] == '=')
			return p + i + 1;
	}
	return NULL;
}

const char *
req_header(const struct req *rq, const char *name)
{
	char param[128];
	const char *v;
	size_t i;

	/* Apache gives it under another name after a rewrite. */
	if (strcasecmp(name, "Authorization") == 0) {
		v = req_param(rq, "HTTP_AUTHORIZATION");
		if (v == NULL || v[0] == '\0')
			v = req_param(rq, "REDIRECT_HTTP_AUTHORIZATION");
		return v != NULL && v[0] != '\0' ? v : NULL;
	}
	if (strcasecmp(name, "Content-Type") == 0)
		return req_param(rq, "CONTENT_TYPE");
	if (strcasecmp(name, "Content-Length") == 0)
		return req_param(rq, "CONTENT_LENGTH");
	memcpy(param, "HTTP_", 5);
	for (i = 0; i < sizeof(param) - 6 && name[i] != '\0'; i++)
		param[5 + i] = name[i] == '-'
				   ? '_'
				   : (char)toupper((unsigned char)name[i]);
	param[5 + i] = '\0';
	return req_param(rq, param);
}

bool
req_is(const struct req *rq, const char *method)
{
	return strcmp(rq->method, method) == 0;
}

/* Decoding. */

/*
 * Decode %XX (and '+' as a space if ${plus}) of ${p} to ${out}.  The length,
 * or -1 for a bad escape.
 */
static long
unescape(const char *p, size_t len, char *out, bool plus)
{
	size_t i, n = 0;
	int a, b;

	for (i = 0; i < len; i++) {
		if (p[i] == '+' && plus) {
			out[n++] = ' ';
		} else if (p[i] != '%') {
			out[n++] = p[i];
		} else {
			if (len - i < 3 || (a = hex_digit(p[i + 1])) == -1 ||
			    (b = hex_digit(p[i + 2])) == -1)
				return -1;
			out[n++] = (char)(a * 16 + b);
			i += 2;
		}
	}
	return (long)n;
}

/* Decode one name or value of a form into ${*buf}, NUL behind it. */
static const char *
form_part(const char *p, size_t len, char **buf, size_t *out_len)
{
	char *s = *buf;
	long n = unescape(p, len, s, true);

	if (n == -1 || !utf8_valid(s, (size_t)n))
		return NULL;
	s[n] = '\0';
	*buf += n + 1;
	*out_len = (size_t)n;
	return s;
}

int
req_parse_form(
    const char *p, size_t len, char *buf, struct req_field *fields, size_t max)
{
	const char *end = p + len, *amp, *eq;
	struct req_field f;
	size_t n = 0;

	for (; p < end; p = amp + 1) {
		if ((amp = memchr(p, '&', (size_t)(end - p))) == NULL)
			amp = end;
		if (amp == p)
			continue;
		if ((eq = memchr(p, '=', (size_t)(amp - p))) == NULL)
			eq = amp;
		f.name = form_part(p, (size_t)(eq - p), &buf, &f.name_len);
		if (f.name == NULL)
			return -1;
		p = eq < amp ? eq + 1 : amp;
		if (p == amp) {
			/* The NUL behind the name serves. */
			f.value = f.name + f.name_len;
			f.value_len = 0;
		} else {
			f.value =
			    form_part(p, (size_t)(amp - p), &buf, &f.value_len);
			if (f.value == NULL)
				return -1;
		}
		if (n == max)
			return -1;
		fields[n++] = f;
		if (amp == end)
			break;
	}
	return (int)n;
}

/* A token of RFC 9110, as a cookie's name is. */
static bool
is_name(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)p[i]) &&
		    (p[i] == '\0' || strchr("!#$%&'*+-.^_`|~", p[i]) == NULL))
			return false;
	return len > 0;
}

/* Bytes a cookie's value may hold (RFC 6265), spaces and commas tolerated. */
static bool
is_value(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
			return false;
	return true;
}

static void
trim(const char **p, size_t *len)
{
	while (*len > 0 && (**p == ' ' || **p == '\t')) {
		(*p)++;
		(*len)--;
	}
	while (*len > 0 && ((*p)[*len - 1] == ' ' || (*p)[*len - 1] == '\t'))
		(*len)--;
}

int
req_parse_cookies(
    const char *p, size_t len, char *buf, struct req_field *fields, size_t max)
{
	const char *end = p + len, *semi, *eq, *name, *value;
	size_t n = 0, name_len, value_len;

	for (; p < end && n < max; p = semi + 1) {
		if ((semi = memchr(p, ';', (size_t)(end - p))) == NULL)
			semi = end;
		eq = memchr(p, '=', (size_t)(semi - p));
		if (eq != NULL) {
			name = p;
			name_len = (size_t)(eq - p);
			value = eq + 1;
			value_len = (size_t)(semi - value);
			trim(&name, &name_len);
			trim(&value, &value_len);
			if (value_len >= 2 && value[0] == '"' &&
			    value[value_len - 1] == '"') {
				value++;
				value_len -= 2;
			}
			if (is_name(name, name_len) &&
			    is_value(value, value_len)) {
				fields[n].name = memcpy(buf, name, name_len);
				fields[n].name_len = name_len;
				buf[name_len] = '\0';
				buf += name_len + 1;
				fields[n].value = memcpy(buf, value, value_len);
				fields[n].value_len = value_len;
				/* One of '=' and ';' gave the room for it. */
				buf[value_len] = '\0';
				buf += value_len + 1;
				n++;
			}
		}
		if (semi == end)
			break;
	}
	return (int)n;
}

int
req_parse_path(
    const char *p, size_t len, char *buf, char **segments, size_t max)
{
	const char *end = p + len, *slash;
	size_t n = 0;
	long i, got;

	if (len == 0 || *p != '/')
		return -1;
	for (p++; p < end; p = slash + 1) {
		if ((slash = memchr(p, '/', (size_t)(end - p))) == NULL)
			slash = end;
		got = unescape(p, (size_t)(slash - p), buf, false);
		if (got <= 0 || n == max || !utf8_valid(buf, (size_t)got))
			return -1;
		for (i = 0; i < got; i++)
			if ((unsigned char)buf[i] < 0x20 || buf[i] == '/' ||
			    buf[i] == '\\' || buf[i] == 0x7f)
				return -1;
		buf[got] = '\0';
		if (strcmp(buf, ".") == 0 || strcmp(buf, "..") == 0)
			return -1;
		segments[n++] = buf;
		buf += got + 1;
		if (slash == end)
			break;
	}
	return (int)n;
}

/* The head. */

/* Whether path ${p} lies in folder ${dir}; then ${*rest} is what follows. */
static bool
path_under(
    const char *p, size_t len, const char *dir, size_t n, const char **rest)
{
	if (len < n || memcmp(p, dir, n) != 0 || (len > n && p[n] != '/'))
		return false;
	*rest = p + n;
	return true;
}

/* Whether SCRIPT_NAME is a program's file: then we live in its folder. */
static bool
is_program(const char *s)
{
	size_t n = strlen(s);

	return n > 5 && (strcmp(s + n - 5, ".fcgi") == 0 ||
			    strcmp(s + n - 4, ".cgi") == 0);
}

/* Take the base path off ${p}: the setting, or what SCRIPT_NAME says. */
static int
req_base(struct req *rq, const char **p, size_t *len)
{
	const char *script = req_param(rq, "SCRIPT_NAME"), *rest = *p;
	size_t n;

	rq->base_path = rq->cf->base_path;
	n = strlen(rq->base_path);
	if (n > 0) {
		(void)path_under(*p, *len, rq->base_path, n, &rest);
	} else if (script != NULL && script[0] == '/' && is_program(script)) {
		n = strlen(script);
		if (!path_under(*p, *len, script, n, &rest)) {
			n = (size_t)(strrchr(script, '/') - script);
			if (!path_under(*p, *len, script, n, &rest))
				n = 0;
		}
		if ((rq->base_path = req_strdup(rq, script, n)) == NULL)
			return -1;
	}
	*len -= (size_t)(rest - *p);
	*p = rest;
	if (*len == 0) {
		*p = "/";
		*len = 1;
	}
	return 0;
}

/* REQUEST_URI to path and query. */
static int
req_uri(struct req *rq, const char **code)
{
	const char *uri = req_param(rq, "REQUEST_URI"), *p, *q;
	size_t len, i;
	char *text, *at, *buf;
	int n;

	if (uri == NULL || uri[0] == '\0') {
		*code = "bad_request";
		return 400;
	}
	if (strlen(uri) > (size_t)rq->cf->url_bytes_max) {
		*code = "too_large";
		return 414;
	}
	/* The absolute form, as a proxy's client writes it. */
	if (uri[0] != '/' && (p = strstr(uri, "://")) != NULL) {
		uri = p + 3 + strcspn(p + 3, "/?#");
		if (uri[0] != '/')
			uri = "/";
	}
	q = strchr(uri, '?');
	rq->query = q != NULL ? q + 1 : "";
	p = uri;
	len = q != NULL ? (size_t)(q - uri) : strlen(uri);
	if (req_base(rq, &p, &len) == -1)
		goto nomem;
	text = req_alloc(rq, len + 2);
	buf = req_alloc(rq, len + 2);
	if (text == NULL || buf == NULL)
		goto nomem;
	n = req_parse_path(p, len, buf, rq->segments, PATH_SEGMENTS_MAX);
	if (n == -1) {
		*code = "not_found";
		return 404;
	}
	rq->nsegments = (size_t)n;
	at = text;
	for (i = 0; i < rq->nsegments; i++) {
		*at++ = '/';
		at = stpcpy(at, rq->segments[i]);
	}
	if (at == text) {
		at[0] = '/';
		at[1] = '\0';
	}
	rq->path = text;
	return 0;
nomem:
	*code = "busy";
	return 503;
}

/* The limits on parameters, counted after libfcgi has read them. */
static int
req_params(const struct req *rq, const char **code)
{
	size_t bytes = 0, headers = 0, n;
	const char *eq;
	char **e;

	*code = "headers_too_large";
	for (e = rq->env; *e != NULL; e++) {
		n = strlen(*e);
		bytes += n + 1;
		if ((eq = strchr(*e, '=')) == NULL ||
		    (eq - *e) > rq->cf->param_name_bytes_max)
			return 431;
		if (strncmp(*e, "HTTP_", 5) == 0 &&
		    (++headers > (size_t)rq->cf->headers_max ||
			(int64_t)n > rq->cf->header_bytes_max))
			return 431;
	}
	return bytes > (size_t)rq->cf->params_bytes_max ? 431 : 0;
}

static void
req_client(struct req *rq)
{
	const char *peer = req_param(rq, "REMOTE_ADDR"), *v;
	char text[ADDR_TEXT_MAX];
	struct addr a;
	bool proxied;

	if (peer == NULL)
		peer = "";
	proxied = addr_parse(peer, strlen(peer), &a) == 0 &&
		  addr_listed(rq->cf->trusted_proxies, &a);
	addr_client(peer, req_header(rq, "X-Forwarded-For"),
	    rq->cf->trusted_proxies, text);
	rq->addr = req_strdup(rq, text, strlen(text));
	if (rq->addr == NULL)
		rq->addr = "";
	rq->loopback = addr_loopback(rq->addr);

	rq->https = strncmp(rq->cf->base_url, "https:", 6) == 0;
	if ((v = req_param(rq, "HTTPS")) != NULL &&
	    (strcasecmp(v, "on") == 0 || strcmp(v, "1") == 0))
		rq->https = true;
	if ((v = req_param(rq, "REQUEST_SCHEME")) != NULL &&
	    strcasecmp(v, "https") == 0)
		rq->https = true;
	if (proxied && (v = req_header(rq, "X-Forwarded-Proto")) != NULL &&
	    strcasecmp(v, "https") == 0)
		rq->https = true;
	if ((rq->host = req_header(rq, "Host")) == NULL)
		rq->host = "";
}

/* Name the request: the process at random, its requests by number. */
static void
req_name(struct req *rq)
{
	static unsigned char process[5];
	static unsigned number;

	if (number == 0)
		randombytes_buf(process, sizeof(process));
	(void)sodium_bin2hex(
	    rq->id_text, sizeof(rq->id_text), process, sizeof(process));
	(void)snprintf(rq->id_text + 2 * sizeof(process),
	    sizeof(rq->id_text) - 2 * sizeof(process), "%x", ++number);
}

int
req_init(struct req *rq, struct conf *cf, char **env, const char **code)
{
	int status;

	memset(rq, 0, sizeof(*rq));
	rq->cf = cf;
	rq->env = env;
	rq->now_ms = clock_now_ms();
	req_name(rq);
	rq->path = "/";
	rq->query = rq->body = rq->addr = rq->host = rq->base_path = "";
	if ((rq->method = req_param(rq, "REQUEST_METHOD")) == NULL)
		rq->method = "GET";
	if ((status = req_params(rq, code)) != 0)
		return status;
	req_client(rq);
	return req_uri(rq, code);
}

/* Query and cookies. */

static const struct req_field *
field_find(const struct req_field *f, size_t n, const char *name)
{
	size_t len = strlen(name), i;

	for (i = 0; i < n; i++)
		if (f[i].name_len == len && memcmp(f[i].name, name, len) == 0)
			return &f[i];
	return NULL;
}

/*
 * Parse ${p} by ${parse} into fields of the request's memory.  The number, or
 * -1 (malformed, too many, no memory).
 */
static int
fields_read(struct req *rq, const char *p, size_t len, size_t max,
    struct req_field **out,
    int (*parse)(const char *, size_t, char *, struct req_field *, size_t))
{
	size_t most = 1, i;
	char *buf;

	*out = NULL;
	if (len == 0)
		return 0;
	for (i = 0; i < len; i++)
		most += p[i] == '&' || p[i] == ';';
	if (most > max)
		most = max;
	/* Each field is its bytes, and a NUL that no '=' or '&' gave room for.
	 */
	buf = req_alloc(rq, len + 2);
	*out = req_alloc(rq, most * sizeof(**out));
	if (buf == NULL || *out == NULL)
		return -1;
	return parse(p, len, buf, *out, most);
}

/* Reads the query once.  -1 if it cannot be. */
static int
query_read(struct req *rq)
{
	int n;

	if (rq->query_read)
		return 0;
	rq->query_read = true;
	n = fields_read(rq, rq->query, strlen(rq->query), QUERY_FIELDS_MAX,
	    &rq->query_fields, req_parse_form);
	rq->nquery = n > 0 ? (size_t)n : 0;
	return n == -1 ? -1 : 0;
}

int
req_query_good(struct req *rq)
{
	return query_read(rq) == 0;
}

const char *
req_query(struct req *rq, const char *name, size_t *len)
{
	const struct req_field *f;

	(void)query_read(rq);
	if ((f = field_find(rq->query_fields, rq->nquery, name)) == NULL)
		return NULL;
	if (len != NULL)
		*len = f->value_len;
	return f->value;
}

int
req_query_int(
    struct req *rq, const char *name, int64_t lo, int64_t hi, int64_t *v)
{
	const char *p;
	size_t len;

	if ((p = req_query(rq, name, &len)) == NULL)
		return 0;
	if (id_number(p, len, lo, hi, v) == 0)
		return 1;
	rq->bad_field = name;
	return -1;
}

const char *
req_cookie(struct req *rq, const char *name)
{
	const struct req_field *f;
	const char *p;
	int n;

	if (!rq->cookies_read) {
		rq->cookies_read = true;
		if ((p = req_header(rq, "Cookie")) == NULL)
			p = "";
		n = fields_read(rq, p, strlen(p), COOKIES_MAX, &rq->cookies,
		    req_parse_cookies);
		rq->ncookies = n > 0 ? (size_t)n : 0;
	}
	f = field_find(rq->cookies, rq->ncookies, name);
	return f != NULL ? f->value : NULL;
}

/* The body. */

/* Whether the Content-Type ${v} is ${type}, parameters aside. */
static bool
type_is(const char *v, const char *type)
{
	size_t n = strlen(type);

	if (v == NULL || strncasecmp(v, type, n) != 0)
		return false;
	v += n;
	v += strspn(v, " \t");
	return *v == '\0' || *v == ';';
}

static int
body_json(struct req *rq, const char **code)
{
	const char *why;

	if (rq->body_len > (size_t)rq->cf->json_bytes_max) {
		*code = "too_large";
		return 413;
	}
	if (json_parse(rq->body, rq->body_len, (size_t)rq->cf->json_depth_max,
		(size_t)rq->cf->json_members_max,
		(size_t)rq->cf->json_string_bytes_max, &rq->json, &why) == -1) {
		*code = why;
		return strcmp(why, "too_large") == 0 ? 413 : 400;
	}
	if (!json_object_is_type(rq->json, json_type_object)) {
		(void)json_object_put(rq->json);
		rq->json = NULL;
		*code = "bad_request";
		return 400;
	}
	return 0;
}

static int
body_form(struct req *rq, const char **code)
{
	int n;

	if (rq->body_len > (size_t)rq->cf->form_bytes_max) {
		*code = "too_large";
		return 413;
	}
	n = fields_read(rq, rq->body, rq->body_len,
	    (size_t)rq->cf->form_fields_max, &rq->form_fields, req_parse_form);
	if (n == -1) {
		*code = "bad_request";
		return 400;
	}
	rq->nform = (size_t)n;
	return 0;
}

int
req_body(struct req *rq, const char *p, size_t len, const char **code)
{
	const char *type = req_header(rq, "Content-Type");
	unsigned flags = rq->route != NULL ? rq->route->flags : 0;

	rq->body = p;
	rq->body_len = len;
	if ((flags & ROUTE_RAW) != 0)
		return 0;
	if (len == 0) {
		/* No body is an empty object, an empty form. */
		if ((rq->json = json_object_new_object()) != NULL)
			return 0;
		*code = "busy";
		return 503;
	}
	if ((flags & ROUTE_FORM) != 0 &&
	    type_is(type, "application/x-www-form-urlencoded"))
		return body_form(rq, code);
	if (type_is(type, "application/json"))
		return body_json(rq, code);
	*code = "bad_media_type";
	return 415;
}

bool
req_has_type(const struct req *rq, const char *type)
{
	return type_is(req_header(rq, "Content-Type"), type);
}

/* Members of the body, of whichever kind it is. */

/* 1 and the text, 0 absent, -1 of another type. */
static int
member_text(struct req *rq, const char *key, const char **p, size_t *len)
{
	const struct req_field *f;

	if (rq->form_fields != NULL) {
		f = field_find(rq->form_fields, rq->nform, key);
		if (f == NULL)
			return 0;
		*p = f->value;
		*len = f->value_len;
		return 1;
	}
	if (rq->json == NULL)
		return 0;
	return json_get_str(rq->json, key, p, len);
}

static const char *
bad(struct req *rq, const char *key)
{
	if (rq->bad_field == NULL)
		rq->bad_field = key;
	return NULL;
}

const char *
req_str(struct req *rq, const char *key, size_t min, size_t max)
{
	const char *p;
	size_t len;

	if (member_text(rq, key, &p, &len) != 1 || len < min || len > max ||
	    memchr(p, '\0', len) != NULL)
		return bad(rq, key);
	return p;
}

const char *
req_opt(struct req *rq, const char *key, size_t max, const char *dflt)
{
	const char *p;
	size_t len;
	int rc;

	if ((rc = member_text(rq, key, &p, &len)) == 0)
		return dflt;
	if (rc == -1 || len > max || memchr(p, '\0', len) != NULL)
		return bad(rq, key);
	return p;
}

const char *
req_text(struct req *rq, const char *key, size_t chars_min, size_t chars_max,
    size_t bytes_max, const char *dflt)
{
	const char *p;
	size_t len, chars;
	int rc;

	if ((rc = member_text(rq, key, &p, &len)) == 0 ||
	    (rc == 1 && len == 0 && chars_min == 0))
		return chars_min > 0 ? bad(rq, key) : dflt;
	if (rc == -1 || len > bytes_max || memchr(p, '\0', len) != NULL)
		return bad(rq, key);
	chars = utf8_chars(p, len);
	if (chars < chars_min || chars > chars_max ||
	    (chars_min > 0 && utf8_blank(p, len)))
		return bad(rq, key);
	return p;
}

const char *
req_form(struct req *rq, const char *key, size_t *len)
{
	const struct req_field *f = field_find(rq->form_fields, rq->nform, key);

	if (f == NULL)
		return NULL;
	if (len != NULL)
		*len = f->value_len;
	return f->value;
}

int
req_int(struct req *rq, const char *key, int64_t lo, int64_t hi, int64_t *v)
{
	int64_t n = 0;
	const char *p;
	size_t len;
	int rc;

	if (rq->form_fields != NULL) {
		rc = member_text(rq, key, &p, &len);
		if (rc == 0 || len == 0)
			return 0;
		if (id_number(p, len, lo, hi, &n) == -1)
			rc = -1;
	} else {
		rc = rq->json != NULL ? json_get_int(rq->json, key, &n) : 0;
		if (rc == 1 && (n < lo || n > hi))
			rc = -1;
	}
	if (rc == -1)
		(void)bad(rq, key);
	if (rc == 1)
		*v = n;
	return rc;
}

int
req_bool(struct req *rq, const char *key, bool *v)
{
	static const char *const words[] = { "0", "off", "false", "1", "on",
		"true" };
	const char *p;
	size_t len, i;
	int rc;

	if (rq->form_fields == NULL) {
		rc = rq->json != NULL ? json_get_bool(rq->json, key, v) : 0;
		if (rc == -1)
			(void)bad(rq, key);
		return rc;
	}
	if (member_text(rq, key, &p, &len) != 1 || len == 0)
		return 0;
	for (i = 0; i < 6; i++)
		if (strcmp(words[i], p) == 0) {
			*v = i >= 3;
			return 1;
		}
	(void)bad(rq, key);
	return -1;
}

int
req_id(struct req *rq, const char *key, int64_t *v)
{
	int64_t id = 0;
	const char *p;
	size_t len;
	int rc;

	if (rq->form_fields != NULL) {
		rc = member_text(rq, key, &p, &len);
		if (rc == 0 || len == 0)
			return 0;
		if ((id = id_parse(p, len)) == 0)
			rc = -1;
	} else {
		rc = rq->json != NULL ? json_get_id(rq->json, key, &id) : 0;
	}
	if (rc == -1)
		(void)bad(rq, key);
	if (rc == 1)
		*v = id;
	return rc;
}

struct store *
req_store(struct req *rq)
{
	if (rq->st == NULL && rq->open_store != NULL)
		rq->st = rq->open_store(rq);
	return rq->st;
}

long
req_more(struct req *rq, char *to, size_t size)
{
	return rq->more != NULL ? rq->more(rq, to, size) : 0;
}

void
req_fields(struct req *rq, struct req_field *fields, size_t n)
{
	rq->form_fields = fields;
	rq->nform = n;
}
