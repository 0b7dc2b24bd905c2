/*
 * ident.c: who connections are, as api.fcgi says.
 *
 * Three tables: credentials' hashes to identities (for ttl_s), references to
 * identities (while anybody holds one), accounts to their identities in use.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "clock.h"
#include "ident.h"
#include "json.h"
#include "limits.h"
#include "log.h"

enum { CRED_BYTES = 32, ASK_BYTES_MAX = 4 << 20 };

static const char TRY_AGAIN[] = "Try again in a moment";

/* A credential that was good, by its hash. */
struct cred {
	unsigned char hash[CRED_BYTES];
	struct ident *ident;
	uint32_t until_s;
	struct cred *next;
};

/* Who waits for an answer. */
struct ident_wait {
	struct ident_ask *ask;
	struct ident_wait *next;
	ident_fn *fn; /* NULL: no longer */
	void *arg;
};

/* A question, for one or more who show the same. */
struct ident_ask {
	unsigned char hash[CRED_BYTES];
	struct json_object *item; /* NULL: answered from memory */
	struct ident *known;
	struct ident_wait *waits;
	struct ident_ask *next;
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
ident_unref(struct idents *x, struct ident *id)
{
	if (id == NULL || --id->refs > 0)
		return;
	assert(id->uses == NULL && id->group.n == 0);
	if (table_get(&x->refs, id->ref, strlen(id->ref)) == id)
		table_del(&x->refs, id->ref, strlen(id->ref));
	free(id->text);
	free(id);
}

/* --- the line of identities in use, by the time to ask again --- */

static void
due_take(struct idents *x, struct ident *id)
{
	if (id->prev != NULL)
		id->prev->next = id->next;
	else if (x->due == id)
		x->due = id->next;
	else
		return;
	if (id->next != NULL)
		id->next->prev = id->prev;
	else
		x->due_last = id->prev;
	id->prev = id->next = NULL;
}

static void
due_add(struct idents *x, struct ident *id, uint32_t check_s)
{
	struct ident *after;

	due_take(x, id);
	id->check_s = check_s;
	after = x->due_last;
	while (after != NULL && after->check_s > check_s)
		after = after->prev;
	id->prev = after;
	id->next = after ? after->next : x->due;
	if (id->next != NULL)
		id->next->prev = id;
	else
		x->due_last = id;
	if (after != NULL)
		after->next = id;
	else
		x->due = id;
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

/* ${b} is what its texts are in, from ${at} on; takes it. */
static void
id_texts(struct ident *id, struct buf *b, const size_t at[6])
{
	free(id->text);
	/* Kept as long as the connection: no spare bytes. */
	id->text = realloc(b->data, b->len);
	if (id->text == NULL)
		id->text = b->data;
	id->ref = id->text + at[0];
	id->id = id->text + at[1];
	id->name = id->text + at[2];
	id->role = id->text + at[3];
	id->rooms = id->text + at[4];
	id->conversations = id->text + at[5];
}

/* Fill ${id} from an answer's item.  -1: not understood, nothing changed. */
static int
ident_fill(struct ident *id, struct json_object *o)
{
	static const char *const keys[4] = { "ref", "id", "name", "role" };
	size_t at[6], len, i;
	unsigned nrooms, nconversations;
	const char *p;
	struct buf b;

	buf_init(&b, 262144);
	for (i = 0; i < 4; i++) {
		at[i] = b.len;
		p = member(o, keys[i], &len);
		if (len == 0 && i < 2)
			b.err = 1;
		pack(&b, p, len);
	}
	at[4] = b.len;
	nrooms = pack_list(&b, o, "rooms");
	at[5] = b.len;
	nconversations = pack_list(&b, o, "conversations");
	if (b.err || nrooms == 0) {
		buf_fini(&b);
		return -1;
	}
	id_texts(id, &b, at);
	id->nrooms = (uint16_t)nrooms;
	id->group.set = 0; /* its rooms may be others */
	id->nconversations = (uint16_t)nconversations;
	p = member(o, "kind", &len);
	id->form = len == 8 && memcmp(p, "customer", 8) == 0 ? HUB_CUSTOMER
							     : HUB_AGENT;
	return 0;
}

/* The identity that an answer's item describes; held once by the caller. */
static struct ident *
ident_get(struct idents *x, struct json_object *o)
{
	struct ident *id;
	const char *ref;
	size_t len;

	ref = member(o, "ref", &len);
	id = len > 0 ? table_get(&x->refs, ref, len) : NULL;
	if (id != NULL && !id->gone) {
		/* The table's key moves with the text. */
		table_del(&x->refs, ref, len);
		if (ident_fill(id, o) == -1)
			log_warn("ident answer why=malformed");
		if (table_put(&x->refs, id->ref, strlen(id->ref), id) == -1)
			log_error("ident why=memory");
		id->refs++;
		return id;
	}
	if (id != NULL)
		table_del(&x->refs, ref, len);
	id = calloc(1, sizeof(*id));
	if (id == NULL)
		return NULL;
	id->refs = 1;
	if (ident_fill(id, o) == -1 ||
	    table_put(&x->refs, id->ref, strlen(id->ref), id) == -1) {
		free(id->text);
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

static void
remember(struct idents *x, const unsigned char *hash, struct ident *id)
{
	struct cred *c = table_get(&x->creds, (const char *)hash, CRED_BYTES);

	if (c != NULL) {
		/* Its time runs on; what it points to is what counts. */
		id->refs++;
		ident_unref(x, c->ident);
		c->ident = id;
		return;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return;
	memcpy(c->hash, hash, CRED_BYTES);
	if (table_put(&x->creds, (char *)c->hash, CRED_BYTES, c) == -1) {
		free(c);
		return;
	}
	c->ident = id;
	id->refs++;
	c->until_s = now_s() + x->ttl_s;
	if (x->newest != NULL)
		x->newest->next = c;
	else
		x->oldest = c;
	x->newest = c;
}

static void
forget_oldest(struct idents *x)
{
	struct cred *c = x->oldest;

	x->oldest = c->next;
	if (x->oldest == NULL)
		x->newest = NULL;
	table_del(&x->creds, (char *)c->hash, CRED_BYTES);
	ident_unref(x, c->ident);
	free(c);
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
    unsigned char hash[CRED_BYTES])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, x->key, sizeof(x->key), CRED_BYTES);
	hash_part(&st, c->authorization, c->authorization_len);
	hash_part(&st, c->token, c->token ? strlen(c->token) : 0);
	hash_part(&st, c->session, c->session ? strlen(c->session) : 0);
	hash_part(&st, c->cookie, c->cookie_len);
	hash_part(&st, c->origin, c->origin_len);
	hash_part(&st, c->host, c->host_len);
	crypto_generichash_final(&st, hash, CRED_BYTES);
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

struct ident_wait *
ident_ask(
    struct idents *x, const struct ident_cred *cred, ident_fn *fn, void *arg)
{
	unsigned char hash[CRED_BYTES];
	struct ident_ask *a;
	struct ident_wait *w = calloc(1, sizeof(*w));
	struct cred *c;

	if (w == NULL)
		return NULL;
	w->fn = fn;
	w->arg = arg;
	cred_hash(x, cred, hash);
	a = table_get(&x->asking, (char *)hash, CRED_BYTES);
	if (a == NULL) {
		a = calloc(1, sizeof(*a));
		if (a == NULL) {
			free(w);
			return NULL;
		}
		memcpy(a->hash, hash, CRED_BYTES);
		if (table_put(&x->asking, (char *)a->hash, CRED_BYTES, a) ==
		    -1) {
			free(a);
			free(w);
			return NULL;
		}
		c = table_get(&x->creds, (char *)hash, CRED_BYTES);
		if (c != NULL && !c->ident->gone && !c->ident->again &&
		    c->until_s > now_s()) {
			a->known = c->ident;
			a->known->refs++;
			x->remembered++;
		} else {
			a->item = cred_item(cred);
		}
		if (x->last != NULL)
			x->last->next = a;
		else
			x->first = a;
		x->last = a;
	}
	ev_idle_start(x->loop, &x->spin);
	w->ask = a;
	w->next = a->waits;
	a->waits = w;
	return w;
}

void
ident_cancel(struct idents *x, struct ident_wait *w)
{
	(void)x;
	if (w != NULL)
		w->fn = NULL;
}

/* Tell all who wait, and be done with the question. */
static void
ask_end(struct idents *x, struct ident_ask *a, struct ident *id, int status,
    const char *code, const char *error)
{
	struct ident_wait *w;

	table_del(&x->asking, (char *)a->hash, CRED_BYTES);
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
		id = ident_get(x, o);
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
		if (status >= 500)
			due_add(x, id, now_s() + 1);
		else
			ident_end(x, id, "session ended");
		return;
	}
	same = ident_get(x, o);
	if (same == id) {
		if (id->uses != NULL)
			due_add(x, id, id->again ? 0 : now_s() + x->ttl_s);
		if (!id->again) {
			id->doubt = 0;
			each_use(id, use_changed, NULL);
		}
	} else {
		ident_end(x, id, "session changed");
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
	       a->known == NULL) {
		x->first = a->next;
		if (x->first == NULL)
			x->last = NULL;
		a->next = NULL;
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
	while (b->n < IDENTIFY_ITEMS_MAX && (id = x->due) != NULL &&
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
		if (a->known != NULL) {
			x->first = a->next;
			if (x->first == NULL)
				x->last = NULL;
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
	while (x->due != NULL && x->due->check_s <= now &&
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
	while (x->oldest != NULL && x->oldest->until_s <= now)
		forget_oldest(x);
}

int
idents_init(struct idents *x, struct ev_loop *loop, struct backend *backend,
    struct presence *presence, unsigned ttl_s, unsigned pool,
    const int64_t *account_max)
{
	memset(x, 0, sizeof(*x));
	x->loop = loop;
	x->backend = backend;
	x->presence = presence;
	x->ttl_s = ttl_s;
	x->inflight_max = pool > 1 ? pool - 1 : 1;
	x->account_max = account_max;
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

	if (x->loop == NULL)
		return;
	ev_prepare_stop(x->loop, &x->prepare);
	ev_idle_stop(x->loop, &x->spin);
	ev_timer_stop(x->loop, &x->timer);
	while ((a = x->first) != NULL) {
		x->first = a->next;
		ask_end(x, a, NULL, 503, "busy", "");
	}
	while (x->oldest != NULL)
		forget_oldest(x);
	table_fini(&x->refs);
	table_fini(&x->creds);
	table_fini(&x->accounts);
	table_fini(&x->asking);
}

/* --- use --- */

static struct account *
account_get(struct idents *x, const struct ident *id)
{
	char key[160];
	struct account *a;
	int len;

	len = snprintf(key, sizeof(key), "%c:%s",
	    id->form == HUB_AGENT ? 'u' : 'c', id->id);
	if (len < 0 || (size_t)len >= sizeof(key))
		return NULL;
	a = table_get(&x->accounts, key, (size_t)len);
	if (a != NULL)
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
	struct account *a = id->account;

	assert(use->ident == NULL);
	use->ops = ops;
	use->ident = id;
	use->prev = NULL;
	use->next = id->uses;
	if (id->uses != NULL)
		id->uses->prev = use;
	id->refs++;
	if (id->uses == NULL) {
		if (!id->early)
			due_add(x, id, id->doubt ? 0 : now_s() + x->ttl_s);
		a = id->account = account_get(x, id);
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
	if (!unlimited && a->n > *x->account_max)
		account_trim(a, use);
}

void
ident_unuse(struct idents *x, struct ident_use *use)
{
	struct ident *id = use->ident, **at;
	struct account *a;

	if (id == NULL)
		return;
	a = id->account;
	use->ident = NULL;
	if (use->prev != NULL)
		use->prev->next = use->next;
	else
		id->uses = use->next;
	if (use->next != NULL)
		use->next->prev = use->prev;
	use->prev = use->next = NULL;
	if (id->uses == NULL) {
		due_take(x, id);
		id->account = NULL;
		if (a != NULL) {
			for (at = &a->idents; *at != id;
			     at = &(*at)->account_next)
				;
			*at = id->account_next;
			id->account_next = NULL;
		}
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
		if (id->uses == NULL)
			continue;
		each_use(id, use_doubted, NULL);
		if (!id->asked)
			due_add(x, id, 0);
	}
	json_object_put(o);
}

int
ident_join(struct hub *h, struct hub_sub *sub, struct ident *id)
{
	if (hub_enter(h, sub, &id->group) == -1)
		return -1;
	if (id->group.set)
		return 0;
	return hub_group_rooms(
	    h, &id->group, id->rooms, id->nrooms, IDENT_ROOM);
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
	buf_reset(b);
	carry_text(b, id->ref);
	carry_text(b, id->id);
	carry_text(b, id->name);
	carry_text(b, id->role);
	carry_list(b, id->rooms, id->nrooms);
	carry_list(b, id->conversations, id->nconversations);
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
	for (id = x->due; id != NULL; id = id->next)
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

int
idents_adopt(struct idents *x, struct carry_in *in)
{
	struct ident *id = calloc(1, sizeof(*id));
	const char *s;
	size_t at[6], i;
	struct buf b;

	if (id == NULL)
		return -1;
	buf_init(&b, 1 << 20);
	for (i = 0; i < 4; i++) {
		at[i] = b.len;
		s = carry_get_text(in, 65536);
		if (s == NULL)
			in->bad = 1;
		else
			pack(&b, s, strlen(s));
	}
	at[4] = b.len;
	id->nrooms = (uint16_t)pack_carried(&b, in);
	at[5] = b.len;
	id->nconversations = (uint16_t)pack_carried(&b, in);
	id->form = (uint8_t)carry_get_num(in, HUB_CUSTOMER);
	id->doubt = (uint8_t)carry_get_num(in, 1);
	id->check_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	if (carry_end(in) == -1 || b.err) {
		buf_fini(&b);
		free(id);
		return -1;
	}
	id_texts(id, &b, at);
	if (ident_of(x, id->ref) != NULL ||
	    table_put(&x->refs, id->ref, strlen(id->ref), id) == -1) {
		free(id->text);
		free(id);
		return -1;
	}
	id->refs = 1; /* until idents_adopted */
	id->early = 1;
	due_add(x, id, id->check_s);
	return 0;
}

void
idents_adopted(struct idents *x)
{
	struct ident *id, *next;

	for (id = x->due; id != NULL; id = next) {
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
