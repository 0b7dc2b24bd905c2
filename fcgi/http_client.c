/*
 * Requests to others by libcurl, many at once on one thread.  What a request
 * says and what an answer means is its caller's business; this file knows how
 * far a request came, which decides whether it may be sent again.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "addr.h"
#include "buf.h"
#include "clock.h"
#include "http_client.h"
#include "log.h"

#ifndef PARLEY_VERSION
#define PARLEY_VERSION "dev"
#endif

struct http_client {
	CURLM *multi;
	struct http_limits limits;
	struct call *calls; /* under way */
	size_t busy;
};

/* One exchange under way. */
struct call {
	struct call *next, **link;
	struct http_client *c;
	CURL *easy;
	struct curl_slist *headers;
	curl_mime *mime;
	struct buf body; /* of the request */
	struct http_calls calls;
	void *arg;
	bool written;          /* from here on the far side may have read it */
	bool refused;          /* by the caller, before the first byte */
	struct http_file into; /* where ${filed} */
	bool filed;
	bool (*allow)(void *arg, const struct addr *a, int port);
	void *allow_arg;
	int64_t got;             /* bytes of the file */
	int64_t moved, moved_at; /* bytes of the answer, when the last came */
	struct http_answer an;
};

struct http_client *
http_client_new(const struct http_limits *limits)
{
	struct http_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->limits = *limits;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
	    (c->multi = curl_multi_init()) == NULL) {
		log_error("http client: libcurl does not start");
		free(c);
		return NULL;
	}
	return c;
}

static void
call_unlink(struct call *k)
{
	*k->link = k->next;
	if (k->next != NULL)
		k->next->link = k->link;
	curl_multi_remove_handle(k->c->multi, k->easy);
	k->c->busy--;
}

static void
call_free(struct call *k)
{
	curl_easy_cleanup(k->easy);
	curl_mime_free(k->mime);
	curl_slist_free_all(k->headers);
	buf_fini(&k->body);
	http_answer_fini(&k->an);
	free(k);
}

void
http_client_free(struct http_client *c)
{
	struct call *k;

	if (c == NULL)
		return;
	while ((k = c->calls) != NULL) {
		c->calls = k->next;
		k->link = &c->calls;
		call_unlink(k);
		call_free(k);
	}
	curl_multi_cleanup(c->multi);
	curl_global_cleanup();
	free(c);
}

/* Bytes of the answer; a short count makes libcurl give up. */
static size_t
body_in(char *p, size_t size, size_t n, void *arg)
{
	struct call *k = arg;
	long status = 0;

	if (k->filed)
		curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200) {
		if ((int64_t)(size * n) > k->into.bytes_max - k->got) {
			k->an.too_large = true;
			return 0;
		}
		if (k->into.take(k->into.arg, p, size * n) == -1)
			return 0;
		k->got += (int64_t)(size * n);
		return size * n;
	}
	buf_append(&k->an.body, p, size * n);
	return k->an.body.err ? 0 : size * n;
}

/* The connection stands, nothing was sent yet. */
static int
before_first_byte(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct call *k = arg;

	(void)to;
	(void)from;
	(void)to_port;
	(void)from_port;
	if (k->an.barred ||
	    (k->calls.before != NULL && k->calls.before(k->arg) == -1)) {
		k->refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	k->written = true;
	return CURL_PREREQFUNC_OK;
}

/* Turn header lines into libcurl's list. */
static int
headers_set(struct call *k, const struct buf *lines)
{
	char *copy = strdup(lines->len > 0 ? lines->data : ""), *line, *end;
	struct curl_slist *l;
	int rc = -1;

	if (copy == NULL)
		return -1;
	for (line = copy; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		if ((l = curl_slist_append(k->headers, line)) == NULL)
			goto out;
		k->headers = l;
	}
	/* A body is sent at once: no waiting for "100 Continue". */
	if ((l = curl_slist_append(k->headers, "Expect:")) == NULL)
		goto out;
	k->headers = l;
	rc = 0;
out:
	free(copy);
	return rc;
}

/* A multipart body: the fields, then the file. */
static int
multipart_set(struct call *k, const struct http_request *rq)
{
	const char *p = rq->fields.data, *end = p + rq->fields.len, *value;
	curl_mimepart *part;

	if ((k->mime = curl_mime_init(k->easy)) == NULL)
		return -1;
	for (; p < end; p = value + strlen(value) + 1) {
		value = p + strlen(p) + 1;
		if ((part = curl_mime_addpart(k->mime)) == NULL ||
		    curl_mime_name(part, p) != CURLE_OK ||
		    curl_mime_data(part, value, CURL_ZERO_TERMINATED) !=
			CURLE_OK)
			return -1;
	}
	if ((part = curl_mime_addpart(k->mime)) == NULL ||
	    curl_mime_name(part, rq->file_field) != CURLE_OK ||
	    curl_mime_filedata(part, rq->file_path) != CURLE_OK ||
	    curl_mime_filename(part, rq->file_name) != CURLE_OK)
		return -1;
	return curl_easy_setopt(k->easy, CURLOPT_MIMEPOST, k->mime) == CURLE_OK
		   ? 0
		   : -1;
}

static int
body_set(struct call *k, const struct http_request *rq)
{
	if (rq->file_path != NULL)
		return multipart_set(k, rq);
	if (strcmp(rq->method, "POST") != 0)
		return 0;
	buf_append(
	    &k->body, rq->body.len > 0 ? rq->body.data : "", rq->body.len);
	if (k->body.err)
		return -1;
	curl_easy_setopt(k->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(
	    k->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)k->body.len);
	return curl_easy_setopt(k->easy, CURLOPT_POSTFIELDS,
		   k->body.len > 0 ? k->body.data : "") == CURLE_OK
		   ? 0
		   : -1;
}

static void
options_set(struct call *k, const char *url)
{
	CURL *e = k->easy;

	curl_easy_setopt(e, CURLOPT_URL, url);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, k->headers);
	curl_easy_setopt(e, CURLOPT_PRIVATE, k);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, body_in);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, k);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_first_byte);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, k);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, k->c->limits.connect_ms);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, k->c->limits.total_ms);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_NOPROXY, "127.0.0.1,localhost,::1");
	curl_easy_setopt(e, CURLOPT_USERAGENT, "parley/" PARLEY_VERSION);
	/*
	 * On a kept connection that died libcurl sends a request again by
	 * itself, a POST too, and over HTTP/2 a refused stream.  Either would
	 * be a message twice, so each request has a connection of its own.
	 */
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
}

/* A socket for one of the addresses that the name led to, or none. */
static curl_socket_t
socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct call *k = arg;
	struct sockaddr_in6 in6;
	struct sockaddr_in in4;
	struct addr a;
	int port;

	(void)purpose;
	if (sa->family == AF_INET && sa->addrlen >= sizeof(in4)) {
		memcpy(&in4, &sa->addr, sizeof(in4));
		memcpy(a.b, mapped, sizeof(mapped));
		memcpy(a.b + 12, &in4.sin_addr, 4);
		port = ntohs(in4.sin_port);
	} else if (sa->family == AF_INET6 && sa->addrlen >= sizeof(in6)) {
		memcpy(&in6, &sa->addr, sizeof(in6));
		memcpy(a.b, &in6.sin6_addr, sizeof(a.b));
		port = ntohs(in6.sin6_port);
	} else {
		k->an.barred = true;
		return CURL_SOCKET_BAD;
	}
	/* A name that leads to a bad address, too, is not tried on. */
	if (k->an.barred || !k->allow(k->allow_arg, &a, port)) {
		k->an.barred = true;
		return CURL_SOCKET_BAD;
	}
	return socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);
}

/* Called again and again: has anything come since?  Not 0 gives up. */
static int
moved(void *arg, curl_off_t all, curl_off_t now, curl_off_t out_all,
    curl_off_t out)
{
	struct call *k = arg;

	(void)all;
	(void)out_all;
	(void)out;
	if ((int64_t)now != k->moved) {
		k->moved = (int64_t)now;
		k->moved_at = clock_mono_ms();
	}
	return clock_mono_ms() - k->moved_at > 1000 * (int64_t)k->into.stall_s;
}

/* A file has bounds of its own. */
static void
file_set(struct call *k)
{
	CURL *e = k->easy;

	curl_easy_setopt(
	    e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)k->into.bytes_max);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, k->into.total_ms);
	curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, moved);
	curl_easy_setopt(e, CURLOPT_XFERINFODATA, k);
	k->moved_at = clock_mono_ms();
}

/* Only where it is allowed to go. */
static void
gate_set(struct call *k)
{
	CURL *e = k->easy;

	/* Behind a proxy nobody would know where the name leads. */
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, socket_open);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, k);
}

int
http_client_start(struct http_client *c, const struct http_request *rq,
    const struct http_calls *calls, void *arg)
{
	struct call *k;

	if (rq->url.err || rq->headers.err || rq->body.err || rq->fields.err ||
	    rq->url.len == 0 || (k = calloc(1, sizeof(*k))) == NULL)
		return -1;
	k->c = c;
	k->calls = *calls;
	k->arg = arg;
	buf_init(&k->body, rq->body.len + 1);
	http_answer_init(&k->an);
	buf_fini(&k->an.body);
	buf_init(&k->an.body, c->limits.body_max);
	if ((k->easy = curl_easy_init()) == NULL ||
	    headers_set(k, &rq->headers) == -1 || body_set(k, rq) == -1)
		goto fail;
	options_set(k, rq->url.data);
	if (rq->total_ms > 0)
		curl_easy_setopt(k->easy, CURLOPT_TIMEOUT_MS, rq->total_ms);
	if (rq->into != NULL) {
		k->filed = true;
		k->into = *rq->into;
		file_set(k);
	}
	if (rq->allow != NULL) {
		k->allow = rq->allow;
		k->allow_arg = rq->allow_arg;
		gate_set(k);
	}
	if (curl_multi_add_handle(c->multi, k->easy) != CURLM_OK)
		goto fail;
	k->next = c->calls;
	k->link = &c->calls;
	if (k->next != NULL)
		k->next->link = &k->next;
	c->calls = k;
	c->busy++;
	return 0;
fail:
	call_free(k);
	return -1;
}

/* An exchange ended: say how far it came, and call back. */
static void
call_done(struct call *k, CURLcode res)
{
	curl_off_t after = 0;
	const char *why = k->an.barred ? "address not allowed"
			  : k->refused ? "not begun"
				       : curl_easy_strerror(res);
	char *to = NULL;

	if (res == CURLE_OK) {
		k->an.end = HTTP_ANSWERED;
		curl_easy_getinfo(
		    k->easy, CURLINFO_RESPONSE_CODE, &k->an.status);
		curl_easy_getinfo(k->easy, CURLINFO_RETRY_AFTER, &after);
		k->an.retry_after_s = (int64_t)after;
		curl_easy_getinfo(k->easy, CURLINFO_REDIRECT_URL, &to);
		k->an.location = to != NULL ? strdup(to) : NULL;
	} else {
		k->an.end = k->written ? HTTP_LOST : HTTP_UNSENT;
		if (res == CURLE_FILESIZE_EXCEEDED)
			k->an.too_large = true;
		strncpy(k->an.why, why, sizeof(k->an.why) - 1);
	}
	call_unlink(k);
	k->calls.done(k->arg, &k->an);
	call_free(k);
}

int
http_client_run(struct http_client *c, int wait_ms)
{
	int running, left;
	CURLMsg *m;
	void *k;

	if (curl_multi_perform(c->multi, &running) != CURLM_OK)
		goto fail;
	if ((m = curl_multi_info_read(c->multi, &left)) == NULL) {
		if (curl_multi_poll(c->multi, NULL, 0, wait_ms, NULL) !=
			CURLM_OK ||
		    curl_multi_perform(c->multi, &running) != CURLM_OK)
			goto fail;
		m = curl_multi_info_read(c->multi, &left);
	}
	for (; m != NULL; m = curl_multi_info_read(c->multi, &left)) {
		CURLcode res = m->data.result;

		if (m->msg == CURLMSG_DONE &&
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &k) ==
			CURLE_OK)
			call_done(k, res);
	}
	return 0;
fail:
	log_error("http client: libcurl fails");
	return -1;
}
