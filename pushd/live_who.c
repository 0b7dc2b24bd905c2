/*
 * live_who.c: who a socket client is.
 *
 * A client is somebody by its upgrade request, by the cookie in it, or by what
 * it shows later; api.fcgi says who, and again when a session has changed.
 */
#include <stddef.h>
#include <string.h>

#include <sodium.h>

#include "live_work.h"

enum { BEARER_MAX = 8192 };

static struct live *
live_of(struct ident_use *use)
{
	return (struct live *)((char *)use - offsetof(struct live, use));
}

/* It is who it was: from where it was held. */
static void
go_on(struct live *v)
{
	struct push *p = live_push(v);

	v->sub.held = 0;
	if (!v->sub.live) {
		live_go(v);
		return;
	}
	/* The log does not say of which joined rooms it was put out. */
	if (v->work != NULL && v->work->nrooms > 0 &&
	    !hub_covers(&p->hub, v->sub.cursor)) {
		live_close(v, 1001, "resume");
		return;
	}
	v->sub.live = 0;
	live_catch_up(v, v->sub.cursor);
}

static void
on_changed(struct ident_use *use)
{
	struct live *v = live_of(use);

	if (ident_join(&live_push(v)->hub, &v->sub, use->ident) == -1)
		live_close(v, 1011, "memory");
	else if (v->sub.held)
		go_on(v);
}

static void
on_doubted(struct ident_use *use)
{
	struct live *v = live_of(use);

	hub_hold(&live_push(v)->hub, &v->sub);
	if (v->work == NULL)
		return;
	replay_void(v->work->replay);
	live_joins_void(v);
}

static void
on_gone(struct ident_use *use, const char *why)
{
	struct live *v = live_of(use);
	int ended = strcmp(why, "too many connections") != 0;

	if (ended)
		live_error(
		    v, NULL, "unauthenticated", "The session has ended", 0);
	live_close(v, 1008, why);
}

static uint32_t
on_idle_since(struct ident_use *use)
{
	struct live *v = live_of(use);

	return v->host->active_s(v);
}

static const struct ident_ops ident_ops = { on_doubted, on_changed, on_gone,
	on_idle_since };

struct live *
live_using(struct ident_use *use)
{
	return use->ops == &ident_ops ? live_of(use) : NULL;
}

static void
cookie_drop(struct live *v)
{
	if (v->work == NULL || v->work->cookie == NULL)
		return;
	ident_drop(&live_push(v)->idents, v->work->cookie);
	v->work->cookie = NULL;
}

int
live_cookie(struct live *v, struct ident *id)
{
	struct live_work *w = live_work(v);

	if (w == NULL)
		return -1;
	w->cookie = id;
	ident_hold(id);
	return 0;
}

int
live_become(struct live *v, struct ident *id, int unlimited)
{
	struct push *p = live_push(v);

	v->state = LIVE_IN;
	v->sub.form = id->form;
	v->sub.held = id->doubt;
	ident_use(&p->idents, id, &v->use, &ident_ops, unlimited);
	cookie_drop(v);
	return ident_join(&p->hub, &v->sub, id);
}

/* As live_login; ${tag} comes back. */
static void
login(struct live *v, struct ident *id, int64_t tag)
{
	if (live_become(v, id, v->unlimited) == -1) {
		live_close(v, 1011, "memory");
		return;
	}
	v->host->in(v);
	v->host->words->in(v, tag, 0);
	if (!v->waits)
		live_catch_up(v, v->cursor);
}

void
live_login(struct live *v, struct ident *id)
{
	login(v, id, -1);
}

/* Said once more, by one who is in: only as the same person. */
static void
login_again(struct live *v, const struct ident *id, int64_t tag)
{
	const struct ident *own = v->use.ident;
	const struct about a = { .tag = tag };

	if (id != NULL && id->form == own->form &&
	    strcmp(id->person->id, own->person->id) == 0)
		v->host->words->in(v, tag, 1);
	else
		live_error(v, &a, "already_authenticated",
		    "This connection is somebody already", 0);
}

static void
on_auth(void *arg, struct ident *id, int status, const char *code,
    const char *error)
{
	struct live *v = arg;
	int64_t tag = v->work->auth;

	(void)code;
	v->work->wait = NULL;
	v->host->hear(v, 1);
	if (v->state == LIVE_IN) {
		login_again(v, id, tag);
		return;
	}
	v->state = LIVE_NOBODY;
	if (id != NULL)
		login(v, id, tag);
	else if (status == 429 || status == 503)
		live_close(v, 1011, "try again retry=2000");
	else
		v->host->words->refused(v, tag, error);
}

/* Without a credential: as whom the cookie named, if anybody. */
static void
auth_by_cookie(struct live *v, int64_t tag)
{
	struct ident *cookie = v->work != NULL ? v->work->cookie : NULL;

	if (v->state == LIVE_IN)
		v->host->words->in(v, tag, 1);
	else if (cookie != NULL && !cookie->gone)
		login(v, cookie, tag);
	else
		v->host->words->refused(v, tag, "Authentication required");
}

void
live_auth(struct live *v, int64_t tag, const char *text, size_t len)
{
	struct ident_cred cred = { .addr = v->host->addr(v),
		.unlimited = v->unlimited };
	struct live_work *w;
	struct buf bearer;

	if (len == 0) {
		auth_by_cookie(v, tag);
		return;
	}
	w = live_work(v);
	if (w == NULL)
		return;
	/* A token and a session's id are shown alike. */
	buf_init(&bearer, BEARER_MAX);
	buf_puts(&bearer, "Bearer ");
	buf_append(&bearer, text, len);
	if (bearer.err) {
		buf_fini(&bearer);
		v->host->words->refused(v, tag, "Authentication required");
		return;
	}
	cred.authorization = bearer.data;
	cred.authorization_len = bearer.len;
	if (v->state == LIVE_NOBODY)
		v->state = LIVE_ASKING;
	w->auth = tag;
	w->wait = ident_ask(&live_push(v)->idents, &cred, on_auth, v);
	sodium_memzero(bearer.data, bearer.len);
	buf_fini(&bearer);
	if (w->wait == NULL)
		live_close(v, 1011, "memory");
	else
		v->host->hear(v, 0); /* what follows waits for the answer */
}
