/*
 * ident.c: who connections are, as api.fcgi says.
 *
 * Tables: credentials' hashes to identities (for ttl_s), references to
 * identities (while anybody holds one), what was answered to the person that it
 * describes, accounts to their identities in use.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "addr.h"
#include "clock.h"
#include "ident.h"
#include "json.h"
#include "limits.h"
#include "log.h"

enum { ASK_BYTES_MAX = 4 << 20 };

static const char TRY_AGAIN[] = "Try again in a moment";

/* Who waits for an answer. */
struct ident_wait {
	struct ident_ask *ask;
	struct ident_wait *next;
	ident_fn *fn; /* NULL: no longer */
	void *arg;
};

/* A question, for one or more who show the same. */
struct ident_ask {
	unsigned char hash[IDENT_HASH];
	struct json_object *item; /* NULL: answered from memory */
	struct ident *known;
	struct ident_wait *waits;
	struct ident_ask *prev, *next;
	struct ident_rate *rate; /* of who asked first; NULL: unlimited */
	uint32_t net;            /* ... when it asked */
	unsigned wanted;         /* by so many of those who wait */
	int in_line;             /* not on its way yet */
	int limited;             /* nobody is asked */
};

/* A request on its way. */
struct batch {
	struct idents *x;
	struct ident_ask *asks; /* new credentials, or */
	struct ident **idents;  /* identities asked about again */
	size_t n;
};

struct account {
	struct ident *idents;
	unsigned n; /* connections */
	char key[];
};

static uint32_t
now_s(void)
{
	return (uint32_t)(clock_mono_ms() / 1000);
}

static void
person_unref(struct idents *x, struct person *w)
{
	if (w == NULL || --w->refs > 0)
		return;
	assert(w->group.n == 0);
	table_del(&x->persons, w->text, w->len);
	free(w);
}

static void
ident_unref(struct idents *x, struct ident *id)
{
	if (id == NULL || --id->refs > 0)
		return;
	assert(id->uses == NULL && !id->known);
	if (table_get(&x->refs, id->ref, strlen(id->ref)) == id)
		table_del(&x->refs, id->ref, strlen(id->ref));
	person_unref(x, id->person);
	free(id);
}

/* --- lines of identities --- */

/* Nothing if it is in none; in another it must not be. */
static void
line_take(struct ident_line *l, struct ident *id)
{
	if (id->prev != NULL)
		id->prev->next = id->next;
	else if (l->first == id)
		l->first = id->next;
	else
		return;
	if (id->next != NULL)
		id->next->prev = id->prev;
	else
		l->last = id->prev;
	id->prev = id->next = NULL;
}

/* Behind ${after}; NULL: before all. */
static void
line_add(struct ident_line *l, struct ident *id, struct ident *after)
{
	id->prev = after;
	id->next = after ? after->next : l->first;
	if (id->next != NULL)
		id->next->prev = id;
	else
		l->last = id;
	if (after != NULL)
		after->next = id;
	else
		l->first = id;
}

static void
due_take(struct idents *x, struct ident *id)
{
	if (!id->resting)
		line_take(&x->due, id);
}

/* To be asked about again at ${check_s}. */
static void
due_add(struct idents *x, struct ident *id, uint32_t check_s)
{
	struct ident *after;

	assert(!id->resting);
	due_take(x, id);
	id->check_s = check_s;
	after = x->due.last;
	while (after != NULL && after->check_s > check_s)
		after = after->prev;
	line_add(&x->due, id, after);
}

/* --- reading an answer --- */

static const char *
member(struct json_object *o, const char *key, size_t *len)
{
	const char *p = "";

	*len = 0;
	if (json_get_str(o, key, &p, len) != 1 || memchr(p, '\0', *len))
		*len = 0;
	return p;
}

static void
pack(struct buf *b, const char *p, size_t len)
{
	buf_append(b, p, len);
	buf_putc(b, '\0');
}

static unsigned
pack_list(struct buf *b, struct json_object *o, const char *key)
{
	struct json_object *list = NULL, *item;
	unsigned n = 0;
	size_t i;

	if (json_get_arr(o, key, &list) != 1)
		return 0;
	for (i = 0; i < json_object_array_length(list) && n < 1000; i++) {
		item = json_object_array_get_idx(list, i);
		if (!json_object_is_type(item, json_type_string) ||
		    json_object_get_string_len(item) == 0)
			continue;
		pack(b, json_object_get_string(item),
		    strlen(json_object_get_string(item)));
		n++;
	}
	return n;
}

/* How a person is put together: texts, each with its NUL, as they stand. */
struct draft {
	struct buf b;
	size_t name, role, rooms, conversations; /* where they begin */
	unsigned nrooms, nconversations;
};

/* The person of that text, shared; held once by the caller. */
static struct person *
person_get(struct idents *x, const struct draft *d)
{
	struct person *w;

	if (d->b.err || d->nrooms == 0)
		return NULL;
	w = table_get(&x->persons, d->b.data, d->b.len);
	if (w != NULL) {
		w->refs++;
		return w;
	}
	w = calloc(1, sizeof(*w) + d->b.len);
	if (w == NULL)
		return NULL;
	memcpy(w->text, d->b.data, d->b.len);
	w->refs = 1;
	w->len = (uint32_t)d->b.len;
	w->id = w->text;
	w->name = w->text + d->name;
	w->role = w->text + d->role;
	w->rooms = w->text + d->rooms;
	w->nrooms = (uint16_t)d->nrooms;
	w->conversations = w->text + d->conversations;
	w->nconversations = (uint16_t)d->nconversations;
	if (table_put(&x->persons, w->text, w->len, w) == -1) {
		free(w);
		return NULL;
	}
	return w;
}

/* The person that an answer's item describes; NULL: not understood. */
static struct person *
person_of(struct idents *x, struct json_object *o)
{
	struct draft d = { .name = 0 };
	struct person *w;
	const char *p;
	size_t len;

	buf_init(&d.b, 262144);
	p = member(o, "id", &len);
	if (len == 0)
		d.b.err = 1;
	pack(&d.b, p, len);
	d.name = d.b.len;
	p = member(o, "name", &len);
	pack(&d.b, p, len);
	d.role = d.b.len;
	p = member(o, "role", &len);
	pack(&d.b, p, len);
	d.rooms = d.b.len;
	d.nrooms = pack_list(&d.b, o, "rooms");
	pack(&d.b, "", 0); /* between the two lists */
	d.conversations = d.b.len;
	d.nconversations = pack_list(&d.b, o, "conversations");
	w = person_get(x, &d);
	buf_fini(&d.b);
	return w;
}

/* A new one under its reference; takes ${w}; held once by the caller. */
static struct ident *
ident_new(struct idents *x, const char *ref, size_t len, struct person *w)
{
	struct ident *id = calloc(1, sizeof(*id) + len + 1);

	if (id == NULL) {
		person_unref(x, w);
		return NULL;
	}
	memcpy(id->ref, ref, len);
	id->refs = 1;
	id->person = w;
	if (table_put(&x->refs, id->ref, len, id) == -1) {
		person_unref(x, w);
		free(id);
		return NULL;
	}
	return id;
}

static void
each_use(struct ident *id, void (*fn)(struct ident_use *, const char *),
    const char *why)
{
	struct ident_use *u, *next;

	for (u = id->uses; u != NULL; u = next) {
		next = u->next;
		fn(u, why);
	}
}

static void
use_changed(struct ident_use *u, const char *why)
{
	(void)why;
	u->ops->changed(u);
}

static void
use_doubted(struct ident_use *u, const char *why)
{
	(void)why;
	u->ops->doubted(u);
}

static void
use_gone(struct ident_use *u, const char *why)
{
	u->ops->gone(u, why);
}

/*
 * The identity that an answer's item describes; held once by the caller.  Who
 * uses it is told if it is another person than before, but not by an answer
 * that is out of date: the next one tells.
 */
static struct ident *
ident_get(struct idents *x, struct json_object *o, int outdated)
{
	size_t len, kind_len;
	const char *ref = member(o, "ref", &len);
	const char *kind = member(o, "kind", &kind_len);
	struct person *w = person_of(x, o), *was;
	struct ident *id;

	if (len == 0 || w == NULL) {
		log_warn("ident answer why=malformed");
		person_unref(x, w);
		return NULL;
	}
	id = table_get(&x->refs, ref, len);
	if (id != NULL && id->gone) {
		table_del(&x->refs, ref, len);
		id = NULL;
	}
	if (id == NULL) {
		id = ident_new(x, ref, len, w);
		if (id != NULL)
			id->form =
			    kind_len == 8 && memcmp(kind, "customer", 8) == 0
				? HUB_CUSTOMER
				: HUB_AGENT;
		return id;
	}
	id->refs++;
	was = id->person;
	if (was == w || (outdated && id->uses != NULL)) {
		person_unref(x, w);
		return id;
	}
	id->person = w;
	each_use(id, use_changed, NULL);
	person_unref(x, was);
	return id;
}

/* Refused: whoever has it is cut, and it is not remembered. */
static void
ident_end(struct idents *x, struct ident *id, const char *why)
{
	id->gone = 1;
	id->refs++;
	each_use(id, use_gone, why);
	due_take(x, id);
	ident_unref(x, id);
}

/* --- the memory --- */

/* Its credential is asked about again when it is shown. */
static void
forget(struct idents *x, struct ident *id)
{
	if (!id->known)
		return;
	id->known = 0;
	table_del(&x->creds, (char *)id->hash, IDENT_HASH);
	if (id->resting) {
		id->resting = 0;
		line_take(&x->resting, id);
	}
	ident_unref(x, id);
}

/* Nobody uses it: it is kept as long as its credential is remembered. */
static void
rest(struct idents *x, struct ident *id)
{
	if (!id->known || id->resting || id->uses != NULL || id->early)
		return;
	due_take(x, id);
	id->resting = 1;
	line_add(&x->resting, id, x->resting.last);
}

static void
remember(struct idents *x, const unsigned char *hash, struct ident *id)
{
	struct ident *was =
	    table_get(&x->creds, (const char *)hash, IDENT_HASH);

	if (was != id) {
		if (was != NULL)
			forget(x, was);
		forget(x, id);
		memcpy(id->hash, hash, IDENT_HASH);
		if (table_put(&x->creds, (char *)id->hash, IDENT_HASH, id) ==
		    -1)
			return;
		id->known = 1;
		id->refs++;
	}
	id->until_s = now_s() + x->ttl_s;
}

/* --- addresses that show what is worth nothing --- */

/*
 * What is counted for the network of ${addr}, as of now.  Two of them may share
 * a place, which the newer one takes: the limit may act late, never early.
 */
static struct ident_rate *
rate_of(struct idents *x, const char *addr)
{
	char net[ADDR_TEXT_MAX];
	uint32_t hash[crypto_generichash_BYTES_MIN / sizeof(uint32_t)];
	uint32_t now = now_s();
	struct ident_rate *r;
	uint64_t over;

	addr_net(addr, net);
	crypto_generichash((unsigned char *)hash, sizeof(hash),
	    (unsigned char *)net, strlen(net), x->key, sizeof(x->key));
	r = &x->rates[hash[0] % IDENT_RATES];
	if (r->net != hash[1])
		*r = (struct ident_rate){ hash[1], 0, now };
	over = (uint64_t)(now - r->since) *
	       (uint64_t)x->cf->address_request_rate_max;
	r->n = over < r->n ? r->n - (uint32_t)over : 0;
	r->since = now;
	return r;
}

/*
 * What ${a} showed was worth nothing.  Another network may have the place by
 * now; and more than the bound is not held against it.
 */
static void
rate_count(const struct idents *x, const struct ident_ask *a)
{
	if (a->rate != NULL && a->rate->net == a->net &&
	    a->rate->n < x->cf->address_request_burst_max)
		a->rate->n++;
}

/* --- questions --- */

static void
hash_part(crypto_generichash_state *st, const char *p, size_t len)
{
	uint64_t n = p ? len : UINT64_MAX;

	crypto_generichash_update(st, (unsigned char *)&n, sizeof(n));
	if (p != NULL)
		crypto_generichash_update(st, (const unsigned char *)p, len);
}

static void
cred_hash(struct idents *x, const struct ident_cred *c,
    unsigned char hash[IDENT_HASH])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, x->key, sizeof(x->key), IDENT_HASH);
	hash_part(&st, c->authorization, c->authorization_len);
	hash_part(&st, c->token, c->token ? strlen(c->token) : 0);
	hash_part(&st, c->session, c->session ? strlen(c->session) : 0);
	hash_part(&st, c->cookie, c->cookie_len);
	hash_part(&st, c->origin, c->origin_len);
	hash_part(&st, c->host, c->host_len);
	crypto_generichash_final(&st, hash, IDENT_HASH);
	sodium_memzero(&st, sizeof(st));
}

static void
put_part(struct json_object *o, const char *key, const char *p, size_t len)
{
	if (p != NULL)
		json_put_strn(o, key, p, len);
}

static struct json_object *
cred_item(const struct ident_cred *c)
{
	struct json_object *o = json_object_new_object();

	put_part(o, "authorization", c->authorization, c->authorization_len);
	put_part(o, "token", c->token, c->token ? strlen(c->token) : 0);
	put_part(o, "session", c->session, c->session ? strlen(c->session) : 0);
	put_part(o, "cookie", c->cookie, c->cookie_len);
	put_part(o, "origin", c->origin, c->origin_len);
	put_part(o, "host", c->host, c->host_len);
	put_part(o, "addr", c->addr, c->addr ? strlen(c->addr) : 0);
	return o;
}

/* Into the line of questions, as the last. */
static void
ask_add(struct idents *x, struct ident_ask *a)
{
	a->prev = x->last;
	if (x->last != NULL)
		x->last->next = a;
	else
		x->first = a;
	x->last = a;
	a->in_line = 1;
}

static void
ask_take(struct idents *x, struct ident_ask *a)
{
	if (a->prev != NULL)
		a->prev->next = a->next;
	else
		x->first = a->next;
	if (a->next != NULL)
		a->next->prev = a->prev;
	else
		x->last = a->prev;
	a->prev = a->next = NULL;
	a->in_line = 0;
}

struct ident_wait *
ident_ask(
    struct idents *x, const struct ident_cred *cred, ident_fn *fn, void *arg)
{
	unsigned char hash[IDENT_HASH];
	struct ident_ask *a;
	struct ident_wait *w = calloc(1, sizeof(*w));
	struct ident *id;

	if (w == NULL)
		return NULL;
	w->fn = fn;
	w->arg = arg;
	cred_hash(x, cred, hash);
	a = table_get(&x->asking, (char *)hash, IDENT_HASH);
	if (a == NULL) {
		a = calloc(1, sizeof(*a));
		if (a == NULL) {
			free(w);
			return NULL;
		}
		memcpy(a->hash, hash, IDENT_HASH);
		if (table_put(&x->asking, (char *)a->hash, IDENT_HASH, a) ==
		    -1) {
			free(a);
			free(w);
			return NULL;
		}
		id = table_get(&x->creds, (char *)hash, IDENT_HASH);
		if (id != NULL && !id->gone && !id->again &&
		    id->until_s > now_s()) {
			a->known = id;
			a->known->refs++;
			x->remembered++;
		} else {
			a->item = cred_item(cred);
			a->rate = cred->unlimited || cred->addr == NULL
				      ? NULL
				      : rate_of(x, cred->addr);
			a->net = a->rate ? a->rate->net : 0;
			a->limited =
			    a->rate != NULL &&
			    a->rate->n >= x->cf->address_request_burst_max;
		}
		ask_add(x, a);
	}
	ev_idle_start(x->loop, &x->spin);
	w->ask = a;
	w->next = a->waits;
	a->waits = w;
	a->wanted++;
	return w;
}

/* Tell all who wait, and be done with the question. */
static void
ask_end(struct idents *x, struct ident_ask *a, struct ident *id, int status,
    const char *code, const char *error)
{
	struct ident_wait *w;

	table_del(&x->asking, (char *)a->hash, IDENT_HASH);
	while ((w = a->waits) != NULL) {
		a->waits = w->next;
		if (w->fn != NULL)
			w->fn(w->arg, id, status, code, error);
		free(w);
	}
	ident_unref(x, a->known);
	json_object_put(a->item);
	free(a);
}

void
ident_cancel(struct idents *x, struct ident_wait *w)
{
	struct ident_ask *a;

	if (w == NULL)
		return;
	a = w->ask;
	w->fn = NULL;
	if (--a->wanted > 0 || !a->in_line)
		return;
	/* Whoever asks and goes away keeps nobody else waiting. */
	ask_take(x, a);
	ask_end(x, a, NULL, 503, "busy", TRY_AGAIN);
}

static void
ask_answer(
    struct idents *x, struct ident_ask *a, struct json_object *o, int64_t head)
{
	char code[64] = "unauthenticated";
	char error[256] = "Authentication required";
	struct ident *id = NULL;
	bool ok = false;
	int64_t status = 401;
	const char *p;
	size_t len;

	if (json_get_bool(o, "ok", &ok) == 1 && ok) {
		id = ident_get(x, o, head < x->control_id);
		if (id == NULL)
			status = 503;
	} else {
		x->refused++;
		json_get_int(o, "status", &status);
		p = member(o, "code", &len);
		if (len > 0 && len < sizeof(code)) {
			memcpy(code, p, len);
			code[len] = '\0';
		}
		p = member(o, "error", &len);
		if (len > 0 && len < sizeof(error)) {
			memcpy(error, p, len);
			error[len] = '\0';
		}
	}
	if (id == NULL) {
		if (status != 503)
			rate_count(x, a);
		ask_end(x, a, NULL,
		    status == 403 || status == 503 ? (int)status : 401,
		    status == 503 ? "busy" : code, error);
		return;
	}
	remember(x, a->hash, id);
	/*
	 * Looked up before a session changed?  Then look again, at once, or as
	 * soon as it is used.
	 */
	if (head < x->control_id)
		id->again = id->doubt = 1;
	else if (id->uses == NULL)
		id->again = id->doubt = 0;
	ask_end(x, a, id, 200, NULL, NULL);
	if (id->again && id->uses != NULL)
		due_add(x, id, 0);
	rest(x, id);
	ident_unref(x, id);
}

static void
again_answer(struct idents *x, struct ident *id, struct json_object *o)
{
	bool ok = false;
	struct ident *same;
	int64_t status = 401;

	id->asked = 0;
	if (json_get_bool(o, "ok", &ok) != 1 || !ok) {
		json_get_int(o, "status", &status);
		log_debug("ident again ref=%s status=%lld", id->ref,
		    (long long)status);
		if (status < 500)
			ident_end(x, id, "session ended");
		else if (id->uses != NULL)
			due_add(x, id, now_s() + 1);
		return;
	}
	if (id->until_s <= now_s())
		forget(x, id);
	same = ident_get(x, o, id->again);
	if (same != NULL && same != id) {
		ident_end(x, id, "session changed");
	} else if (id->uses != NULL) {
		due_add(x, id,
		    id->again ? 0
		    : same    ? now_s() + x->ttl_s
			      : now_s() + 1);
		if (same != NULL && id->doubt && !id->again) {
			id->doubt = 0;
			each_use(id, use_changed, NULL);
		}
	}
	ident_unref(x, same);
}

static void
on_batch(void *arg, const struct backend_answer *a)
{
	struct batch *b = arg;
	struct idents *x = b->x;
	struct json_object *root = NULL, *items = NULL, *o;
	struct ident_ask *ask;
	const char *why;
	int64_t head = 0;
	size_t i;

	x->inflight--;
	if (a->status == 200 &&
	    json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 1000000,
		EVENT_LINE_MAX, &root, &why) == 0) {
		json_get_arr(root, "items", &items);
		json_get_int(root, "head", &head);
	}
	if (items == NULL || json_object_array_length(items) != b->n) {
		log_warn("identify status=%d n=%zu", a->status, b->n);
		items = NULL;
	}
	for (i = 0; i < b->n; i++) {
		o = items ? json_object_array_get_idx(items, i) : NULL;
		if (b->idents == NULL) {
			ask = b->asks;
			b->asks = ask->next;
			if (o != NULL)
				ask_answer(x, ask, o, head);
			else
				ask_end(x, ask, NULL, 503, "busy", TRY_AGAIN);
			continue;
		}
		if (o != NULL) {
			again_answer(x, b->idents[i], o);
		} else {
			b->idents[i]->asked = 0;
			if (b->idents[i]->uses != NULL)
				due_add(x, b->idents[i], now_s() + 1);
		}
		ident_unref(x, b->idents[i]);
	}
	json_object_put(root);
	free(b->idents);
	free(b);
}

static void
send_batch(struct idents *x, struct batch *b, struct json_object *items)
{
	struct json_object *root = json_object_new_object();
	struct backend_call *k = NULL;
	struct buf text;

	json_put(root, "items", items);
	buf_init(&text, ASK_BYTES_MAX);
	json_write(root, &text);
	json_object_put(root);
	x->inflight++;
	x->asked += b->n;
	if (!text.err)
		k = backend_call(x->backend, BACKEND_WHO, "POST",
		    "/internal/identify", NULL, NULL, text.data, text.len,
		    on_batch, b);
	if (text.cap > 0)
		sodium_memzero(text.data, text.len);
	buf_fini(&text);
	if (k == NULL)
		on_batch(b, &(struct backend_answer){ .why = "memory" });
}

/* A request for up to a hundred credentials, oldest first. */
static void
ask_new(struct idents *x)
{
	struct batch *b = calloc(1, sizeof(*b));
	struct json_object *items;
	struct ident_ask *a, **end;

	if (b == NULL)
		return;
	b->x = x;
	end = &b->asks;
	items = json_object_new_array();
	while (b->n < IDENTIFY_ITEMS_MAX && (a = x->first) != NULL &&
	       a->known == NULL && !a->limited) {
		ask_take(x, a);
		*end = a;
		end = &a->next;
		json_object_array_add(items, a->item);
		a->item = NULL;
		b->n++;
	}
	send_batch(x, b, items);
}

/* A request about identities in use whose time has come. */
static void
ask_again(struct idents *x, uint32_t now)
{
	struct batch *b = calloc(1, sizeof(*b));
	struct json_object *items, *o;
	struct ident *id;

	if (b == NULL)
		return;
	b->x = x;
	b->idents = calloc(IDENTIFY_ITEMS_MAX, sizeof(struct ident *));
	if (b->idents == NULL) {
		free(b);
		return;
	}
	items = json_object_new_array();
	while (b->n < IDENTIFY_ITEMS_MAX && (id = x->due.first) != NULL &&
	       id->check_s <= now) {
		due_take(x, id);
		id->asked = 1;
		id->again = 0;
		id->refs++;
		b->idents[b->n++] = id;
		o = json_object_new_object();
		json_put_str(o, "ref", id->ref);
		json_object_array_add(items, o);
	}
	send_batch(x, b, items);
}

/* Before the loop sleeps: what came in this turn goes out together. */
static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct idents *x = w->data;
	struct ident_ask *a;
	uint32_t now = now_s();

	(void)revents;
	ev_idle_stop(loop, &x->spin);
	while ((a = x->first) != NULL) {
		if (a->limited) {
			ask_take(x, a);
			x->limited++;
			ask_end(x, a, NULL, 429, "rate_limited",
			    "Too many requests");
			continue;
		}
		if (a->known != NULL) {
			ask_take(x, a);
			if (a->known->gone) /* while this waited */
				ask_end(x, a, NULL, 503, "busy", TRY_AGAIN);
			else
				ask_end(x, a, a->known, 200, NULL, NULL);
			continue;
		}
		if (x->inflight >= x->inflight_max)
			break;
		ask_new(x);
	}
	while (x->due.first != NULL && x->due.first->check_s <= now &&
	       x->inflight <= x->inflight_max)
		ask_again(x, now);
}

/* Its being active is all: the loop does not sleep then. */
static void
on_spin(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct idents *x = w->data;
	uint32_t now = now_s();

	(void)loop;
	(void)revents;
	while (x->resting.first != NULL && x->resting.first->until_s <= now)
		forget(x, x->resting.first);
}

int
idents_init(struct idents *x, struct ev_loop *loop, struct backend *backend,
    struct presence *presence, const struct conf *cf)
{
	memset(x, 0, sizeof(*x));
	x->loop = loop;
	x->backend = backend;
	x->presence = presence;
	x->ttl_s = (unsigned)cf->identity_s;
	x->inflight_max = cf->push_pool > 1 ? (unsigned)cf->push_pool - 1 : 1;
	x->cf = cf;
	randombytes_buf(x->key, sizeof(x->key));
	ev_prepare_init(&x->prepare, on_prepare);
	x->prepare.data = x;
	ev_set_priority(&x->prepare, 1); /* before the backend's */
	ev_prepare_start(loop, &x->prepare);
	ev_idle_init(&x->spin, on_spin);
	ev_timer_init(&x->timer, on_timer, 1., 1.);
	x->timer.data = x;
	ev_timer_start(loop, &x->timer);
	return 0;
}

void
idents_fini(struct idents *x)
{
	struct ident_ask *a;
	struct ident *id;
	size_t at = 0;

	if (x->loop == NULL)
		return;
	ev_prepare_stop(x->loop, &x->prepare);
	ev_idle_stop(x->loop, &x->spin);
	ev_timer_stop(x->loop, &x->timer);
	while ((a = x->first) != NULL) {
		ask_take(x, a);
		ask_end(x, a, NULL, 503, "busy", "");
	}
	for (; (id = table_next(&x->creds, &at)) != NULL; at--)
		forget(x, id); /* another may have come to its place */
	table_fini(&x->refs);
	table_fini(&x->creds);
	table_fini(&x->persons);
	table_fini(&x->accounts);
	table_fini(&x->asking);
}

/* --- use --- */

static struct account *
account_get(struct idents *x, const struct ident *id, int make)
{
	char key[160];
	struct account *a;
	int len;

	len = snprintf(key, sizeof(key), "%c:%s",
	    id->form == HUB_AGENT ? 'u' : 'c', id->person->id);
	if (len < 0 || (size_t)len >= sizeof(key))
		return NULL;
	a = table_get(&x->accounts, key, (size_t)len);
	if (a != NULL || !make)
		return a;
	a = calloc(1, sizeof(*a) + (size_t)len + 1);
	if (a == NULL)
		return NULL;
	memcpy(a->key, key, (size_t)len + 1);
	if (table_put(&x->accounts, a->key, (size_t)len, a) == -1) {
		free(a);
		return NULL;
	}
	return a;
}

/* Too many: the one that has been idle longest goes, of equals the oldest. */
static void
account_trim(struct account *a, const struct ident_use *but)
{
	struct ident_use *u, *worst = NULL;
	struct ident *id;
	uint32_t since, least = UINT32_MAX;

	for (id = a->idents; id != NULL; id = id->account_next)
		for (u = id->uses; u != NULL; u = u->next) {
			if (u == but)
				continue;
			since = u->ops->idle_since(u);
			if (worst == NULL || since <= least) {
				least = since;
				worst = u;
			}
		}
	if (worst != NULL)
		worst->ops->gone(worst, IDENT_TOO_MANY);
}

void
ident_hold(struct ident *id)
{
	id->refs++;
}

void
ident_drop(struct idents *x, struct ident *id)
{
	ident_unref(x, id);
}

void
ident_use(struct idents *x, struct ident *id, struct ident_use *use,
    const struct ident_ops *ops, int unlimited)
{
	struct account *a = account_get(x, id, 1);

	assert(use->ident == NULL);
	use->ops = ops;
	use->ident = id;
	use->prev = NULL;
	use->next = id->uses;
	if (id->uses != NULL)
		id->uses->prev = use;
	id->refs++;
	if (id->uses == NULL) {
		if (id->resting) {
			id->resting = 0;
			line_take(&x->resting, id);
		}
		if (!id->early)
			due_add(x, id, id->doubt ? 0 : now_s() + x->ttl_s);
		if (a != NULL) {
			id->account_next = a->idents;
			a->idents = id;
		}
	}
	id->uses = use;
	if (a == NULL)
		return;
	if (a->n++ == 0)
		presence_up(x->presence, a->key, id->ref);
	if (!unlimited && a->n > x->cf->account_connections_max)
		account_trim(a, use);
}

void
ident_unuse(struct idents *x, struct ident_use *use)
{
	struct ident *id = use->ident, **at;
	struct account *a;

	if (id == NULL)
		return;
	a = account_get(x, id, 0);
	use->ident = NULL;
	if (use->prev != NULL)
		use->prev->next = use->next;
	else
		id->uses = use->next;
	if (use->next != NULL)
		use->next->prev = use->prev;
	use->prev = use->next = NULL;
	if (id->uses == NULL) {
		if (!id->early) /* idents_adopted looks for it there */
			due_take(x, id);
		if (a != NULL) {
			for (at = &a->idents; *at != id;
			     at = &(*at)->account_next)
				;
			*at = id->account_next;
			id->account_next = NULL;
		}
		rest(x, id);
	}
	if (a != NULL && --a->n == 0) {
		presence_down(x->presence, a->key);
		table_del(&x->accounts, a->key, strlen(a->key));
		free(a);
	}
	ident_unref(x, id);
}

void
ident_control(struct idents *x, const struct event *e)
{
	struct json_object *o = NULL, *refs = NULL, *item;
	struct ident *id;
	const char *why, *ref;
	size_t i;

	if (e->id > x->control_id)
		x->control_id = e->id;
	if (json_parse(e->data, e->data_len, JSON_DEPTH_MAX, 100000,
		EVENT_LINE_MAX, &o, &why) == -1 ||
	    json_get_arr(o, "refs", &refs) != 1) {
		log_warn("ident control why=malformed");
		json_object_put(o);
		return;
	}
	for (i = 0; i < json_object_array_length(refs); i++) {
		item = json_object_array_get_idx(refs, i);
		if (!json_object_is_type(item, json_type_string))
			continue;
		ref = json_object_get_string(item);
		id = table_get(&x->refs, ref, strlen(ref));
		log_debug("ident changed ref=%s known=%d", ref, id != NULL);
		if (id == NULL)
			continue;
		/* Remembered only, it is asked about when it is used. */
		id->again = id->doubt = 1;
		id->refs++;
		each_use(id, use_doubted, NULL);
		if (id->uses != NULL && !id->asked)
			due_add(x, id, 0);
		ident_unref(x, id);
	}
	json_object_put(o);
}

int
ident_join(struct hub *h, struct hub_sub *sub, struct ident *id)
{
	struct person *w = id->person;

	if (hub_enter(h, sub, &w->group) == -1)
		return -1;
	return w->group.n > 1 ? 0
			      : hub_group_rooms(h, &w->group, w->rooms,
				    w->nrooms, IDENT_ROOM);
}

/* --- from one pushd to the next --- */

/* Texts that lie one behind the other. */
static void
carry_list(struct buf *b, const char *p, unsigned n)
{
	carry_num(b, n);
	for (; n > 0; n--, p += strlen(p) + 1)
		carry_text(b, p);
}

static void
carry_one(const struct ident *id, void (*each)(void *, const struct buf *),
    void *arg, struct buf *b)
{
	const struct person *w = id->person;

	buf_reset(b);
	carry_text(b, id->ref);
	carry_text(b, w->id);
	carry_text(b, w->name);
	carry_text(b, w->role);
	carry_list(b, w->rooms, w->nrooms);
	carry_list(b, w->conversations, w->nconversations);
	carry_num(b, id->form);
	carry_num(b, id->doubt);
	/* A question on its way is asked again. */
	carry_num(b, id->asked ? 0 : id->check_s);
	each(arg, b);
}

void
idents_carry(const struct idents *x,
    void (*each)(void *arg, const struct buf *one), void *arg)
{
	const struct ident *id;
	struct buf b;
	size_t at = 0;

	buf_init(&b, CARRY_RECORD_MAX);
	while ((id = table_next(&x->refs, &at)) != NULL)
		if (id->asked && id->uses != NULL)
			carry_one(id, each, arg, &b);
	for (id = x->due.first; id != NULL; id = id->next)
		if (!id->asked)
			carry_one(id, each, arg, &b);
	buf_fini(&b);
}

static unsigned
pack_carried(struct buf *b, struct carry_in *in)
{
	unsigned i, n = (unsigned)carry_get_num(in, 1000);
	const char *s;

	for (i = 0; i < n && !in->bad; i++) {
		s = carry_get_text(in, 262144);
		if (s == NULL || *s == '\0')
			in->bad = 1;
		else
			pack(b, s, strlen(s));
	}
	return n;
}

static struct person *
person_carried(struct idents *x, struct carry_in *in)
{
	struct draft d = { .name = 0 };
	struct person *w;
	const char *s[3];
	size_t at[3], i;

	buf_init(&d.b, 1 << 20);
	for (i = 0; i < 3; i++) {
		at[i] = d.b.len;
		s[i] = carry_get_text(in, 65536);
		if (s[i] == NULL)
			in->bad = 1;
		else
			pack(&d.b, s[i], strlen(s[i]));
	}
	d.name = at[1];
	d.role = at[2];
	d.rooms = d.b.len;
	d.nrooms = pack_carried(&d.b, in);
	pack(&d.b, "", 0);
	d.conversations = d.b.len;
	d.nconversations = pack_carried(&d.b, in);
	w = in->bad ? NULL : person_get(x, &d);
	buf_fini(&d.b);
	return w;
}

int
idents_adopt(struct idents *x, struct carry_in *in)
{
	const char *ref = carry_get_text(in, 65536);
	struct person *w = person_carried(x, in);
	int form = (int)carry_get_num(in, HUB_CUSTOMER);
	int doubt = (int)carry_get_num(in, 1);
	uint32_t check_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	struct ident *id;

	if (carry_end(in) == -1 || ref == NULL || w == NULL ||
	    ident_of(x, ref) != NULL) {
		person_unref(x, w);
		return -1;
	}
	id = ident_new(x, ref, strlen(ref), w);
	if (id == NULL)
		return -1;
	/* Held until idents_adopted. */
	id->form = (uint8_t)form;
	id->doubt = doubt != 0;
	id->early = 1;
	due_add(x, id, check_s);
	return 0;
}

void
idents_adopted(struct idents *x)
{
	struct ident *id, *next;

	for (id = x->due.first; id != NULL; id = next) {
		next = id->next;
		if (!id->early)
			continue;
		id->early = 0;
		if (id->uses == NULL)
			due_take(x, id);
		ident_unref(x, id);
	}
}

struct ident *
ident_of(const struct idents *x, const char *ref)
{
	return table_get(&x->refs, ref, strlen(ref));
}
