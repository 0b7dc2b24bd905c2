/*
 * eio_request.c: requests for Engine.IO: what they ask for, whose they are,
 * the handshake.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "eio_own.h"
#include "push.h"

enum { HANDSHAKE_S = 30 }; /* for the answer who it is */

void
eio_error(struct conn *c, const char *cors, enum eio_code code)
{
	static const struct {
		int status;
		const char *body;
	} says[] = {
		{ 400, "{\"code\":0,\"message\":\"Transport unknown\"}" },
		{ 400, "{\"code\":1,\"message\":\"Session ID unknown\"}" },
		{ 400, "{\"code\":2,\"message\":\"Bad handshake method\"}" },
		{ 400, "{\"code\":3,\"message\":\"Bad request\"}" },
		{ 403, "{\"code\":4,\"message\":\"Forbidden\"}" },
		{ 400, "{\"code\":5,\"message\":\"Unsupported protocol "
		       "version\"}" },
	};
	char headers[EIO_CORS_MAX + 40];

	snprintf(headers, sizeof(headers),
	    "Content-Type: application/json\r\n%s", cors);
	conn_reply(c, 0, says[code].status, headers, says[code].body);
}

void
eio_busy(struct conn *c, const char *cors)
{
	char headers[EIO_CORS_MAX + 40];

	snprintf(headers, sizeof(headers), "Retry-After: 2\r\n%s", cors);
	conn_error(c, 0, 503, headers, "busy", "Try again in a moment");
}

/* What a request asks for. */
struct asked {
	int socket;  /* transport=websocket; -1: none that there is */
	int eio;     /* 0: none that there is */
	int b64;     /* it cannot take bytes */
	int upgrade; /* it wants to be a WebSocket */
	int sid_len; /* -1: none */
	char sid[64];
	uint64_t cred, cred_headless; /* as in struct eio_more */
	int header;                   /* an Authorization is part of it */
	char cors[EIO_CORS_MAX];
	char accept[29];
};

static void
read_query(const struct request *rq, struct asked *a)
{
	char text[16];

	a->socket = -1;
	if (http_query(rq->head, rq->p, "transport", text, sizeof(text)) > 0) {
		if (strcmp(text, "websocket") == 0)
			a->socket = 1;
		else if (strcmp(text, "polling") == 0)
			a->socket = 0;
	}
	if (http_query(rq->head, rq->p, "EIO", text, sizeof(text)) == 1 &&
	    (text[0] == '4' || text[0] == '3'))
		a->eio = text[0] - '0';
	a->b64 = a->eio == 3 &&
		 http_query(rq->head, rq->p, "b64", text, sizeof(text)) == 1 &&
		 text[0] == '1';
	a->sid_len = http_query(rq->head, rq->p, "sid", a->sid, sizeof(a->sid));
	if (a->sid_len == 0)
		a->sid_len = -1;
	a->upgrade = http_lists(rq->head, rq->p, "Upgrade", "websocket");
}

/* --- whose it is --- */

static void
hash_part(crypto_generichash_state *st, const char *p, size_t len)
{
	uint64_t n = p ? len : UINT64_MAX;

	crypto_generichash_update(st, (const unsigned char *)&n, sizeof(n));
	if (p != NULL && len > 0)
		crypto_generichash_update(st, (const unsigned char *)p, len);
}

/* The value of a cookie in the header of ${len} bytes at ${p}, or NULL. */
static const char *
cookie(const char *p, size_t len, const char *name, size_t *out)
{
	const char *end = p + len, *stop;
	size_t n = strlen(name);

	for (; p < end; p = stop + 1) {
		while (p < end && *p == ' ')
			p++;
		stop = memchr(p, ';', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		if ((size_t)(stop - p) > n && p[n] == '=' &&
		    memcmp(p, name, n) == 0) {
			*out = (size_t)(stop - p) - n - 1;
			return p + n + 1;
		}
	}
	return NULL;
}

static uint64_t
hash_cred(const struct eios *x, const struct ident_cred *cred, int header)
{
	static const char *const names[] = { "parley", "__Host-parley",
		"parley-chat", "__Host-parley-chat", "auth_token" };
	crypto_generichash_state st;
	unsigned char hash[16];
	uint64_t out;
	const char *p;
	size_t i, len = 0;

	crypto_generichash_init(&st, x->key, sizeof(x->key), sizeof(hash));
	hash_part(
	    &st, header ? cred->authorization : NULL, cred->authorization_len);
	hash_part(&st, cred->token, cred->token ? strlen(cred->token) : 0);
	hash_part(
	    &st, cred->session, cred->session ? strlen(cred->session) : 0);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		p = cred->cookie
			? cookie(cred->cookie, cred->cookie_len, names[i], &len)
			: NULL;
		hash_part(&st, p, len);
	}
	crypto_generichash_final(&st, hash, sizeof(hash));
	memcpy(&out, hash, sizeof(out));
	return out;
}

/*
 * A sid belongs to the credential that opened it.  A browser's WebSocket
 * cannot send the Authorization header that its polling did.
 */
static int
belongs(const struct eio *s, const struct eio_app *app, const struct asked *a)
{
	if (s->app != app || (s->state == EIO_ENDING && a->socket))
		return 0;
	if (!app->ask || s->state == EIO_SOCKET || s->more->cred == a->cred)
		return 1;
	return a->socket && !a->header &&
	       s->more->cred_headless == a->cred_headless;
}

/* --- the handshake --- */

static void
on_who(void *arg, struct ident *id, int status, const char *code,
    const char *error)
{
	struct eio *s = arg;
	struct conn *c = s->more->get;

	(void)code;
	(void)error;
	s->more->wait = NULL;
	conn_resume(c);
	if (status != 403 && status != 429 && status != 503) {
		eio_begin(s, id);
		return;
	}
	s->more->get = NULL;
	c->t = NULL;
	if (status == 403)
		eio_error(c, s->more->cors, EIO_FORBIDDEN);
	else
		eio_busy(c, s->more->cors);
	eio_gone(s);
}

/* Returns a new session as the request wants it, or NULL. */
static struct eio *
session(struct eios *x, struct conn *c, const struct eio_app *app,
    const struct asked *a)
{
	struct eio *s = eio_new(x, app);
	struct eio_more *m;

	if (s == NULL)
		return NULL;
	m = s->more;
	m->cors = strdup(a->cors);
	if (m->cors == NULL) {
		eio_gone(s);
		return NULL;
	}
	s->eio = (uint8_t)a->eio;
	s->b64 = a->b64 != 0;
	s->unlimited = c->unlimited;
	m->socket = a->socket != 0;
	m->cred = a->cred;
	m->cred_headless = a->cred_headless;
	memcpy(m->accept, a->accept, sizeof(m->accept));
	/* A socket is counted itself. */
	if (!m->socket)
		m->peer = conn_peer_hold(c);
	return s;
}

static void
handshake(struct eios *x, struct conn *c, const struct eio_app *app,
    const struct asked *a, const struct ident_cred *cred)
{
	struct eio *s = session(x, c, app, a);

	if (s == NULL) {
		x->refused++;
		eio_busy(c, a->cors);
		return;
	}
	s->more->get = c;
	conn_take(c, a->socket ? &eio_socket_transport : &eio_get_transport, s);
	if (cred == NULL) {
		eio_begin(s, NULL);
		return;
	}
	s->more->direct = cred->authorization || cred->token || cred->session;
	s->more->wait = ident_ask(x->idents, cred, on_who, s);
	if (s->more->wait == NULL) {
		conn_close(c, "memory");
		return;
	}
	if (a->socket)
		conn_pause(c);
	conn_due(c, HANDSHAKE_S);
}

/* A request with the sid of a session. */
static void
go_on(struct eio *s, struct conn *c, const struct request *rq, struct asked *a)
{
	int taken = s->state == EIO_SOCKET || (a->socket && s->more->probe);

	if (s->eio != a->eio || taken)
		eio_error(c, a->cors, EIO_BAD_REQUEST);
	else if (a->socket)
		eio_socket_probe(s, c, a->accept);
	else if (conn_method(rq, "GET"))
		eio_poll_get(s, c, a->cors);
	else if (!conn_method(rq, "POST"))
		eio_error(c, a->cors, EIO_BAD_REQUEST);
	else if (s->state == EIO_ENDING)
		eio_error(c, a->cors, EIO_UNKNOWN_SID);
	else
		eio_poll_post(s, c, rq, a->cors);
}

void
eio_open(struct eios *x, struct conn *c, const struct request *rq,
    const struct eio_app *app)
{
	char token[PUSH_TOKEN_MAX], sess[PUSH_TOKEN_MAX];
	struct ident_cred cred = { 0 };
	struct eio *s = NULL;
	struct asked a = { .socket = -1 };
	int shows = 0, known;

	conn_cors(c, rq, a.cors, sizeof(a.cors));
	if (conn_method(rq, "OPTIONS")) {
		conn_reply(c, 0, 204, a.cors, NULL);
		return;
	}
	read_query(rq, &a);
	if (app->ask) {
		shows = push_cred(c, rq, &cred, token, sess);
		a.header = cred.authorization != NULL;
		a.cred = hash_cred(x, &cred, 1);
		a.cred_headless = hash_cred(x, &cred, 0);
	}
	if (a.sid_len != -1)
		s = eio_find(x, a.sid, a.sid_len > 0 ? (size_t)a.sid_len : 0);
	known = s != NULL && belongs(s, app, &a);
	if (a.socket == -1)
		eio_error(c, a.cors, EIO_UNKNOWN_TRANSPORT);
	else if (a.eio == 0)
		eio_error(c, a.cors, EIO_UNKNOWN_VERSION);
	else if (a.sid_len != -1 && !known)
		eio_error(c, a.cors, EIO_UNKNOWN_SID);
	else if (a.sid_len == -1 && !conn_method(rq, "GET"))
		eio_error(c, a.cors, EIO_BAD_METHOD);
	else if (a.socket ? http_ws_key(rq->head, rq->p, a.accept) != 101
			  : a.upgrade)
		eio_error(c, a.cors, EIO_BAD_REQUEST);
	else if (known)
		go_on(s, c, rq, &a);
	else
		handshake(x, c, app, &a, shows ? &cred : NULL);
}
