/*
 * live.c: the application on a socket, in the live dialect's words.
 *
 * What a client sends becomes the ordinary request to api.fcgi; the answer is
 * the acknowledgement.  Events come as they are to a client that asked for
 * all, else in the live dialect's names and, of what is said in conversations,
 * only from those that it joined.
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "clock.h"
#include "dialect.h"
#include "fcgirec.h"
#include "id.h"
#include "json.h"
#include "limits.h"
#include "live.h"
#include "log.h"
#include "push.h"

enum {
	JOINED = 2,
	PENDING = 4, /* flags of a room, beside IDENT_ROOM */
	BEARER_MAX = 8192,
	COMMANDS_PER_MESSAGE = 2,
	COMMANDS_BURST = 100
};

/* A conversation that was joined. */
struct live_room {
	struct live_room *next;
	uint32_t typed_ms; /* when typing was last passed on; low bits */
	char *alias;       /* what else the client calls it, or NULL */
	char id[OUTBOX_ID_MAX];
};

/* A join on its way: asked for, then what was missed there. */
struct live_join {
	struct live_join *next;
	struct live *v;
	struct backend_call *call;
	struct replay *replay;
	int64_t cursor;
	int by_alias;
	char name[OUTBOX_ID_MAX]; /* as the client calls it */
	char id[OUTBOX_ID_MAX];   /* once it is known */
};

void
live_say(
    struct live *v, const char *type, struct json_object *payload, int64_t id)
{
	struct frame *f =
	    dialect_message(type, payload, id, id > 0 ? id : clock_now_ms());

	if (f != NULL)
		v->ops->send(v, f);
	frame_unref(f);
	if (id > v->sent_id)
		v->sent_id = id;
}

/* An `error` about ${about}, a conversation or message of the client's. */
void
live_error(struct live *v, const char *code, const char *message,
    const char *conversation, const char *client_id, int retry_s)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "message", message);
	json_put_str(o, "code", code);
	if (conversation != NULL && conversation[0] != '\0') {
		json_put_str(o, "conversationId", conversation);
		json_put_str(o, "line_user_id", conversation);
	}
	if (client_id != NULL)
		json_put_str(o, "clientId", client_id);
	if (retry_s > 0)
		json_put_int(o, "retry_after", retry_s);
	live_say(v, "error", o, 0);
}

void
live_refuse(struct live *v, const char *message)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "message", message);
	live_say(v, "auth_error", o, 0);
	v->ops->close(v, 1008, "authentication failed");
}

/* --- events --- */

/* Whether the client joined a conversation of this event. */
static int
in_joined(const struct live *v, const struct event *e)
{
	struct hub_link *l;
	size_t i;

	for (i = 0; i < e->nrooms; i++) {
		if (strncmp(e->rooms[i], "conversation:", 13) != 0)
			continue;
		l = hub_link_find(&v->sub, e->rooms[i], strlen(e->rooms[i]));
		if (l != NULL && (l->flags & (JOINED | PENDING)) == JOINED)
			return 1;
	}
	return 0;
}

static int
is_text(struct json_object *o, const char *key, const char *text)
{
	const char *p;
	size_t len;

	return json_get_str(o, key, &p, &len) == 1 && len == strlen(text) &&
	       memcmp(p, text, len) == 0;
}

/* The open request whose event this is, or NULL. */
static struct outbox_item *
own_send(struct live *v, const struct event *e)
{
	return outbox_own(&v->outbox, e, v->use.ident->id,
	    v->sub.form == HUB_CUSTOMER ? "customer" : "agent");
}

/* A presence of the client's own is no news to it. */
static int
own_presence(const struct live *v, const struct event *e)
{
	char text[200];
	int n;

	if (strcmp(e->type, "presence_update") != 0)
		return 0;
	n = snprintf(
	    text, sizeof(text), "\"user_id\":\"%s\"", v->use.ident->id);
	return n > 0 && v->sub.form == HUB_AGENT &&
	       memmem(e->data, e->data_len, text, (size_t)n) != NULL;
}

static size_t
room_name(char out[OUTBOX_ID_MAX + 16], const char *id)
{
	return (size_t)snprintf(out, OUTBOX_ID_MAX + 16, "conversation:%s", id);
}

/*
 * Members of a group have changed: who is no longer one leaves its room, in
 * the order of the log.  1 if that is this client.
 */
static int
taken_out(struct live *v, const struct event *e)
{
	struct json_object *o = NULL, *list = NULL, *item;
	char room[OUTBOX_ID_MAX + 16];
	const char *why, *id;
	size_t len, i;
	int in = 1;

	if (v->nrooms == 0 || v->sub.form == HUB_CUSTOMER ||
	    strcmp(e->type, "conversation_updated") != 0 ||
	    json_parse(e->data, e->data_len, JSON_DEPTH_MAX, 1000000,
		EVENT_LINE_MAX, &o, &why) == -1)
		return 0;
	if (json_get_str(o, "id", &id, &len) == 1 && len < OUTBOX_ID_MAX &&
	    !is_text(o, "type", "customer") &&
	    json_get_arr(o, "participants", &list) == 1) {
		in = 0;
		for (i = 0; !in && i < json_object_array_length(list); i++) {
			item = json_object_array_get_idx(list, i);
			in = is_text(item, "id", v->use.ident->id);
		}
		if (!in)
			hub_leave(&push_of(v->c)->hub, &v->sub, room,
			    room_name(room, id), JOINED | PENDING);
	}
	json_object_put(o);
	return !in;
}

/* Whether the event goes to this client at all, in whatever shape. */
static int
shows(struct live *v, struct hub_event *he)
{
	struct outbox_item *m = own_send(v, he->e);

	if (m != NULL)
		outbox_seen(&v->outbox, m, he);
	if (v->all)
		return 1;
	if (m != NULL)
		return 0; /* its message_sent stands for it */
	if (taken_out(v, he->e))
		return 0;
	if (dialect_conversational(he->e))
		return v->sub.form == HUB_CUSTOMER || in_joined(v, he->e);
	return !own_presence(v, he->e);
}

/* Whether there may be older ones to come than the newest. */
static int
owes(const struct live *v)
{
	const struct live_join *j;

	if (v->all || v->sub.form != HUB_AGENT)
		return 0;
	for (j = v->joins; j != NULL && j->cursor == PUSH_NOW; j = j->next)
		;
	return j != NULL || (v->replay != NULL && !v->caught_up);
}

static void
give(struct live *v, struct hub_event *he)
{
	enum dialect d = v->all ? DIALECT_SOCKET : DIALECT_LIVE;
	struct frame *f;

	/*
	 * What was missed in a conversation is older than what came, and
	 * comes, from elsewhere.  An id now would let a client that breaks
	 * off resume behind what a join still owes it.
	 */
	if (owes(v) && he->e->id > 0) {
		d = DIALECT_LIVE_BARE;
		v->bare = 1;
	} else if (he->e->id > v->sent_id) {
		v->sent_id = he->e->id;
	}
	f = dialect_frame(he, d, v->sub.form);
	if (f != NULL)
		v->ops->send(v, f);
}

/* All that joins owed has been given: the id that was left out. */
static void
settle_joins(struct live *v)
{
	struct hub *h = &push_of(v->c)->hub;

	if (!v->bare || !v->sub.live || v->sub.held || owes(v))
		return;
	v->bare = 0;
	live_say(v, "tick", json_object_new_object(), h->head);
}

static void
on_event(struct hub_sub *sub, struct hub_event *he)
{
	struct live *v = (struct live *)sub;

	if (shows(v, he))
		give(v, he);
}

/* --- catching up --- */

static int
is_full(const struct live *v)
{
	return conn_full(v->c);
}

static int
on_missed(void *arg, struct hub_event *he)
{
	struct live *v = arg;

	if (shows(v, he))
		give(v, he);
	return is_full(v);
}

static void
auth_success(struct live *v, int64_t cursor)
{
	const struct ident *id = v->use.ident;
	struct json_object *o = json_object_new_object();
	char text[24];

	json_put_str(o, "userId", id->id);
	json_put_str(
	    o, v->sub.form == HUB_AGENT ? "admin_id" : "customer_id", id->id);
	json_put_str(o, "role", id->role);
	json_put_str(o, "userName", id->name);
	if (cursor >= 0) {
		snprintf(text, sizeof(text), "%lld", (long long)cursor);
		json_put_str(o, "cursor", text);
	}
	live_say(v, "auth_success", o, 0);
}

static void
say_reset(struct live *v)
{
	struct push *p = push_of(v->c);

	p->resets++;
	log_info("websocket reset cursor=%lld", (long long)v->cursor);
	live_say(v, "reset", push_reset(p), 0);
}

static void join_missed(struct live_join *j);

static void
on_caught_up(void *arg, enum replay_end how, int64_t cursor)
{
	struct live *v = arg;
	struct conn *c = v->c;
	void *own = c->t;
	struct live_join *j, *next;

	v->replay = NULL;
	if (how == REPLAY_FAILED) {
		v->ops->close(v, 1011, "try again retry=2000");
		return;
	}
	if (how == REPLAY_RESET) {
		say_reset(v);
		v->cursor = PUSH_NOW;
	} else if (v->cursor == PUSH_NOW && !v->caught_up) {
		auth_success(v, cursor);
	}
	v->sub.cursor = cursor;
	v->sub.live = 1;
	v->caught_up = 1;
	/* Ids left out follow with the next event, after joins, or a tick. */
	if (v->sent_id < cursor && !v->bare)
		v->sent_id = cursor;
	/* Joins that were let in meanwhile: their turn. */
	for (j = v->joins; j != NULL; j = next) {
		next = j->next;
		if (j->replay != NULL)
			replay_go(j->replay); /* was held */
		else if (j->call == NULL)
			join_missed(j);
		if (c->t != own)
			return; /* it was the end */
	}
}

static const struct replay_ops replay_ops = { on_missed, on_caught_up };

/* --- identity --- */

static struct live *
live_of(struct ident_use *use)
{
	return (struct live *)((char *)use - offsetof(struct live, use));
}

/* It is who it was: from where it was held. */
static void
go_on(struct live *v)
{
	struct push *p = push_of(v->c);

	v->sub.held = 0;
	if (!v->sub.live) {
		live_go(v);
		return;
	}
	/* The log does not say of which joined rooms it was put out. */
	if (v->nrooms > 0 && !hub_covers(&p->hub, v->sub.cursor)) {
		v->ops->close(v, 1001, "resume");
		return;
	}
	v->sub.live = 0;
	v->replay = replay_new(&p->replays, &v->sub, v->use.ident->ref, NULL,
	    v->sub.cursor, &replay_ops, v);
	if (v->replay == NULL)
		v->ops->close(v, 1011, "memory");
	else
		live_go(v);
}

static void
on_changed(struct ident_use *use)
{
	struct live *v = live_of(use);

	if (ident_join(&push_of(v->c)->hub, &v->sub, use->ident) == -1)
		v->ops->close(v, 1011, "memory");
	else if (v->sub.held)
		go_on(v);
}

static void
on_doubted(struct ident_use *use)
{
	struct live *v = live_of(use);

	hub_hold(&push_of(v->c)->hub, &v->sub);
}

static void
on_gone(struct ident_use *use, const char *why)
{
	struct live *v = live_of(use);
	int ended = strcmp(why, "too many connections") != 0;

	if (ended)
		live_error(v, "unauthenticated", "The session has ended", NULL,
		    NULL, 0);
	v->ops->close(v, 1008, why);
}

static uint32_t
on_idle_since(struct ident_use *use)
{
	return live_of(use)->c->active_s;
}

static const struct ident_ops ident_ops = { on_doubted, on_changed, on_gone,
	on_idle_since };

/* The client is ${id} from now on; what it missed since ${w}->cursor. */
void
live_login(struct live *v, struct ident *id)
{
	struct push *p = push_of(v->c);
	uint32_t life = (uint32_t)p->cf.stream_life_s;

	v->state = LIVE_IN;
	v->sub.form = id->form;
	v->sub.event = on_event;
	v->sub.held = id->doubt;
	ident_use(&p->idents, id, &v->use, &ident_ops, v->c->unlimited);
	if (v->cookie != NULL)
		ident_drop(&p->idents, v->cookie);
	v->cookie = NULL;
	if (ident_join(&p->hub, &v->sub, id) == -1) {
		v->ops->close(v, 1011, "memory");
		return;
	}
	v->c->life_s = v->c->all->now_s + life + conn_jitter(life / 2 + 1);
	conn_due(v->c, 1 + conn_jitter((unsigned)p->cf.ws_ping_s));
	if (v->cursor != PUSH_NOW)
		auth_success(v, -1);
	v->replay = replay_new(
	    &p->replays, &v->sub, id->ref, NULL, v->cursor, &replay_ops, v);
	if (v->replay == NULL)
		v->ops->close(v, 1011, "memory");
	else
		replay_go(v->replay);
}

/* Said once more, by one who is in: only as the same person. */
static void
login_again(struct live *v, const struct ident *id)
{
	const struct ident *own = v->use.ident;

	if (id != NULL && id->form == own->form && strcmp(id->id, own->id) == 0)
		auth_success(v, v->sub.live ? v->sub.cursor : -1);
	else
		live_error(v, "already_authenticated",
		    "This connection is somebody already", NULL, NULL, 0);
}

/* The answer to an `auth` message. */
static void
on_auth(void *arg, struct ident *id, int status, const char *code,
    const char *error)
{
	struct live *v = arg;

	(void)code;
	v->wait = NULL;
	conn_resume(v->c);
	if (v->state == LIVE_IN) {
		login_again(v, id);
		return;
	}
	v->state = LIVE_NOBODY;
	if (id != NULL)
		live_login(v, id);
	else if (status == 503)
		v->ops->close(v, 1011, "try again retry=2000");
	else
		live_refuse(v, error);
}

/* --- a message's members --- */

/* A text, or a number as its text.  1, 0 absent, -1 not usable. */
static int
member(struct json_object *o, const char *key, char *out, size_t size)
{
	const char *p;
	int64_t n;
	size_t len;
	int rc;

	rc = json_get_str(o, key, &p, &len);
	if (rc == 0)
		return 0;
	if (rc == 1) {
		if (len == 0)
			return 0;
		if (len >= size || memchr(p, '\0', len) != NULL)
			return -1;
		memcpy(out, p, len);
		out[len] = '\0';
		return 1;
	}
	if (json_get_int(o, key, &n) != 1)
		return -1;
	snprintf(out, size, "%lld", (long long)n);
	return 1;
}

static int
first_member(
    struct json_object *o, const char *const *keys, char *out, size_t size)
{
	int rc = 0;

	for (out[0] = '\0'; *keys != NULL && rc == 0; keys++)
		rc = member(o, *keys, out, size);
	return rc;
}

static const char *const conversation_keys[] = { "line_user_id",
	"conversationId", "conversation_id", "groupId", NULL };
static const char *const client_id_keys[] = { "id", "client_id", "clientId",
	NULL };
static const char *const cursor_keys[] = { "cursor", "last_event_id",
	"lastEventId", "offset", NULL };

static int64_t
message_cursor(struct json_object *o, int64_t otherwise)
{
	char text[CURSOR_BYTES_MAX + 1];
	int rc = first_member(o, cursor_keys, text, sizeof(text));

	if (rc == 0)
		return otherwise;
	return rc == -1 ? PUSH_BAD : push_cursor(text, strlen(text));
}

/*
 * The conversation that ${o} names: ${name} as the client calls it, ${id} ours.
 * 1; 0 it names none; -1 none that could be.
 */
static int
conversation_of(struct live *v, struct json_object *o, char *name, char *id)
{
	struct live_room *r;
	int rc = first_member(o, conversation_keys, name, OUTBOX_ID_MAX);

	if (rc != 1)
		return rc;
	for (r = v->rooms; r != NULL; r = r->next)
		if (strcmp(r->id, name) == 0 ||
		    (r->alias != NULL && strcmp(r->alias, name) == 0)) {
			memcpy(id, r->id, OUTBOX_ID_MAX);
			return 1;
		}
	if (id_parse(name, strlen(name)) <= 0)
		return -1;
	memcpy(id, name, OUTBOX_ID_MAX);
	return 1;
}

/* As above; without one the only conversation there is. */
static int
conversation_or_only(
    struct live *v, struct json_object *o, char *name, char *id)
{
	const struct ident *who = v->use.ident;
	int rc = conversation_of(v, o, name, id);

	if (rc != 0)
		return rc;
	if (v->nrooms == 1)
		memcpy(id, v->rooms->id, OUTBOX_ID_MAX);
	else if (v->nrooms == 0 && v->joins != NULL && v->joins->next == NULL &&
		 id_parse(v->joins->name, strlen(v->joins->name)) > 0)
		memcpy(id, v->joins->name, OUTBOX_ID_MAX); /* about to be it */
	else if (v->nrooms == 0 && who->nconversations == 1 &&
		 strlen(who->conversations) < OUTBOX_ID_MAX)
		snprintf(id, OUTBOX_ID_MAX, "%s", who->conversations);
	else
		return 0;
	memcpy(name, id, OUTBOX_ID_MAX);
	return 1;
}

/* Says what is wrong where no conversation was found. */
static void
say_no_conversation(struct live *v, int rc, const char *name)
{
	if (rc == 0)
		live_error(
		    v, "bad_request", "Name the conversation", NULL, NULL, 0);
	else
		live_error(v, "not_found", "There is no such conversation",
		    name, NULL, 0);
}

/* --- auth --- */

static void
do_auth(struct live *v, struct json_object *root, struct json_object *o)
{
	struct push *p = push_of(v->c);
	struct ident_cred cred = { .addr = conn_addr(v->c) };
	static const char *const keys[] = { "token", "sessionId", "session" };
	struct json_object *payload = NULL;
	const char *text = "";
	size_t len = 0, i;
	struct buf bearer;

	if (is_text(o, "events", "all"))
		v->all = 1;
	if (v->state == LIVE_NOBODY)
		v->cursor = message_cursor(o, v->cursor);
	if (!json_object_object_get_ex(root, "payload", &payload) ||
	    json_get_str(root, "payload", &text, &len) != 1)
		for (i = 0; i < 3 && len == 0; i++)
			json_get_str(o, keys[i], &text, &len);

	if (len == 0) {
		if (v->state == LIVE_IN)
			auth_success(v, v->sub.live ? v->sub.cursor : -1);
		else if (v->cookie != NULL && !v->cookie->gone)
			live_login(v, v->cookie);
		else
			live_refuse(v, "Authentication required");
		return;
	}
	/* A token and a session's id are shown alike. */
	buf_init(&bearer, BEARER_MAX);
	buf_puts(&bearer, "Bearer ");
	buf_append(&bearer, text, len);
	if (bearer.err) {
		live_refuse(v, "Authentication required");
		buf_fini(&bearer);
		return;
	}
	cred.authorization = bearer.data;
	cred.authorization_len = bearer.len;
	if (v->state == LIVE_NOBODY)
		v->state = LIVE_ASKING;
	v->wait = ident_ask(&p->idents, &cred, on_auth, v);
	sodium_memzero(bearer.data, bearer.len);
	buf_fini(&bearer);
	if (v->wait == NULL)
		v->ops->close(v, 1011, "memory");
	else
		conn_pause(v->c); /* what follows waits for the answer */
}

/* --- rooms --- */

static struct live_room *
room_find(struct live *v, const char *id)
{
	struct live_room *r;

	for (r = v->rooms; r != NULL && strcmp(r->id, id) != 0; r = r->next)
		;
	return r;
}

static void
join_free(struct live_join *j)
{
	struct live_join **at;

	backend_cancel(j->call);
	replay_stop(j->replay);
	for (at = &j->v->joins; *at != j; at = &(*at)->next)
		;
	*at = j->next;
	free(j);
}

static int
on_join_missed(void *arg, struct hub_event *he)
{
	struct live_join *j = arg;
	struct live *v = j->v;

	/* The rest came, or comes, through the identity's own rooms. */
	if (dialect_conversational(he->e) && own_send(v, he->e) == NULL)
		give(v, he);
	return is_full(v);
}

static void
on_join_caught_up(void *arg, enum replay_end how, int64_t cursor)
{
	struct live_join *j = arg;
	struct live *v = j->v;
	char room[OUTBOX_ID_MAX + 16];
	struct hub_link *l;
	size_t n = room_name(room, j->id);

	(void)cursor;
	j->replay = NULL;
	l = hub_link_find(&v->sub, room, n);
	if (l != NULL)
		l->flags &= (uint16_t)~PENDING;
	if (how == REPLAY_RESET)
		say_reset(v);
	join_free(j);
	if (how == REPLAY_FAILED)
		v->ops->close(v, 1011, "try again retry=2000");
	else
		settle_joins(v);
}

static const struct replay_ops join_ops = { on_join_missed, on_join_caught_up };

/* Let in: what was missed in the conversation since the client's cursor. */
static void
join_missed(struct live_join *j)
{
	struct live *v = j->v;
	char room[OUTBOX_ID_MAX + 16];

	if (!v->sub.live || v->sub.held)
		return; /* after what it missed elsewhere */
	if (j->cursor == PUSH_NOW) {
		on_join_caught_up(j, REPLAY_LIVE, 0);
		return;
	}
	room_name(room, j->id);
	j->replay = replay_new(&push_of(v->c)->replays, &v->sub,
	    v->use.ident->ref, room, j->cursor, &join_ops, j);
	if (j->replay == NULL)
		v->ops->close(v, 1011, "memory");
	else
		replay_go(j->replay);
}

static int
room_add(struct live *v, const char *id, const char *alias)
{
	struct live_room *r = room_find(v, id);
	char room[OUTBOX_ID_MAX + 16];
	size_t n = room_name(room, id);

	if (r == NULL) {
		r = calloc(1, sizeof(*r));
		if (r == NULL)
			return -1;
		snprintf(r->id, sizeof(r->id), "%s", id);
		r->next = v->rooms;
		v->rooms = r;
		v->nrooms++;
	}
	if (r->alias == NULL && strcmp(alias, id) != 0)
		r->alias = strdup(alias);
	return hub_join(
	    &push_of(v->c)->hub, &v->sub, room, n, JOINED | PENDING);
}

static void on_join(void *arg, const struct backend_answer *a);

/* Ask whether it may join the conversation. */
static void
join_ask(struct live_join *j)
{
	struct live *v = j->v;
	struct json_object *ask = json_object_new_object();
	struct buf b;

	buf_init(&b, 4096);
	json_put_str(ask, "ref", v->use.ident->ref);
	json_put_str(ask, "conversation", j->id);
	json_write(ask, &b);
	json_object_put(ask);
	j->call = backend_call(push_of(v->c)->backend, BACKEND_SEND, "POST",
	    "/internal/join", NULL, NULL, b.data, b.len, on_join, j);
	buf_fini(&b);
	v->njoining++;
	if (j->call == NULL)
		on_join(j, &(struct backend_answer){ .why = "busy" });
}

static void
on_join(void *arg, const struct backend_answer *a)
{
	struct live_join *j = arg;
	struct live *v = j->v;
	struct json_object *o = NULL, *said;
	char cursor[24], alias[OUTBOX_ID_MAX] = "";
	const char *why;
	int64_t seen = 0;

	j->call = NULL;
	v->njoining--;
	if (a->status == 200)
		json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 1000, 65536,
		    &o, &why);
	if (o == NULL || member(o, "conversation", j->id, OUTBOX_ID_MAX) != 1) {
		if (a->status == 401 || a->status == 403 || a->status == 404)
			live_error(v, "not_found",
			    "There is no such conversation", j->name, NULL, 0);
		else
			live_error(v, "busy", "Try again in a moment", j->name,
			    NULL, 2);
		json_object_put(o);
		join_free(j);
		settle_joins(v);
		return;
	}
	member(o, "line_user_id", alias, sizeof(alias));
	json_get_int(o, "cursor", &seen);
	json_object_put(o);
	/* Access that was taken meanwhile: the answer did not know of it. */
	if (seen < push_of(v->c)->idents.control_id) {
		join_ask(j);
		return;
	}
	if (room_add(v, j->id, alias[0] ? alias : j->name) == -1) {
		v->ops->close(v, 1011, "memory");
		return;
	}
	said = json_object_new_object();
	json_put_str(said, "conversationId", j->id);
	json_put_str(said, "line_user_id",
	    j->by_alias ? j->name
	    : alias[0]  ? alias
			: j->id);
	/* Whatever is newer than this comes over this connection. */
	snprintf(
	    cursor, sizeof(cursor), "%lld", (long long)push_of(v->c)->hub.head);
	json_put_str(said, "cursor", cursor);
	live_say(v, "conversation_joined", said, 0);
	join_missed(j);
}

static void
do_join(struct live *v, struct json_object *o)
{
	struct live_join *j;
	char name[OUTBOX_ID_MAX], id[OUTBOX_ID_MAX], text[OUTBOX_ID_MAX];
	int rc = conversation_of(v, o, name, id);

	if (rc != 1) {
		say_no_conversation(v, rc, name);
		return;
	}
	if (room_find(v, id) == NULL &&
	    v->nrooms >= v->c->all->cf->socket_rooms_max) {
		live_error(v, "too_many_rooms",
		    "Leave another conversation first", name, NULL, 0);
		return;
	}
	for (j = v->joins; j != NULL; j = j->next)
		if (strcmp(j->name, name) == 0)
			return; /* is on its way */
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		v->ops->close(v, 1011, "memory");
		return;
	}
	j->v = v;
	j->next = v->joins;
	v->joins = j;
	memcpy(j->name, name, OUTBOX_ID_MAX);
	j->by_alias = member(o, "line_user_id", text, sizeof(text)) == 1;
	/* Who is in already, or gets all by itself, has missed nothing. */
	j->cursor = room_find(v, id) || v->all || v->sub.form == HUB_CUSTOMER
			? PUSH_NOW
			: message_cursor(o, v->cursor);
	memcpy(j->id, id, OUTBOX_ID_MAX);
	join_ask(j);
}

static void
do_leave(struct live *v, struct json_object *o)
{
	struct live_join *j, *next;
	struct live_room **at, *r;
	char name[OUTBOX_ID_MAX], id[OUTBOX_ID_MAX], room[OUTBOX_ID_MAX + 16];
	int rc = conversation_of(v, o, name, id);

	if (rc != 1) {
		say_no_conversation(v, rc, name);
		return;
	}
	for (j = v->joins; j != NULL; j = next) {
		next = j->next;
		if (strcmp(j->name, name) != 0 && strcmp(j->id, id) != 0)
			continue;
		if (j->call != NULL)
			v->njoining--;
		join_free(j);
	}
	settle_joins(v);
	hub_leave(&push_of(v->c)->hub, &v->sub, room, room_name(room, id),
	    JOINED | PENDING);
	for (at = &v->rooms; (r = *at) != NULL; at = &r->next)
		if (strcmp(r->id, id) == 0) {
			*at = r->next;
			v->nrooms--;
			free(r->alias);
			free(r);
			break;
		}
}

/* --- typing, read --- */

/* Into the line of requests. */
static void
ask(struct live *v, const char *what, const char *id, const char *name,
    const char *client_id, int named, const struct buf *body)
{
	if (outbox_add(&v->outbox, v->use.ident->ref, conn_addr(v->c), what, id,
		name, client_id, named, body) == -1)
		v->ops->close(v, 1011, "memory");
}

static void
pass_on(struct live *v, const char *what, const char *id, const char *name,
    struct json_object *body)
{
	struct buf b;

	buf_init(&b, 65536);
	json_write(body, &b);
	json_object_put(body);
	ask(v, what, id, name, "", 0, &b);
	buf_fini(&b);
}

static void
do_typing(struct live *v, struct json_object *o, int typing)
{
	struct json_object *body;
	struct live_room *r;
	char name[OUTBOX_ID_MAX], id[OUTBOX_ID_MAX];
	uint32_t now = (uint32_t)clock_mono_ms();
	int rc = conversation_or_only(v, o, name, id);

	if (rc != 1) {
		say_no_conversation(v, rc, name);
		return;
	}
	r = room_find(v, id);
	if (r != NULL && typing && r->typed_ms != 0 && !v->c->unlimited &&
	    now - r->typed_ms <
		(uint32_t)(1000 / v->c->all->cf->typing_rate_max))
		return; /* once a second is enough */
	if (r != NULL)
		r->typed_ms = typing ? now | 1 : 0;
	body = json_object_new_object();
	json_put_bool(body, "typing", typing);
	pass_on(v, "typing", id, name, body);
}

static void
do_read(struct live *v, struct json_object *o)
{
	static const char *const keys[] = { "messageId", "message_id", NULL };
	struct json_object *body;
	char name[OUTBOX_ID_MAX], id[OUTBOX_ID_MAX], message[OUTBOX_ID_MAX];
	int rc = conversation_or_only(v, o, name, id);

	if (rc != 1) {
		say_no_conversation(v, rc, name);
		return;
	}
	if (first_member(o, keys, message, sizeof(message)) != 1) {
		live_error(v, "bad_request", "Name the message", name, NULL, 0);
		return;
	}
	body = json_object_new_object();
	json_put_str(body, "message_id", message);
	pass_on(v, "read", id, name, body);
}

/* --- messages --- */

static void
on_refused(
    void *arg, const struct outbox_item *m, const struct backend_answer *a)
{
	struct json_object *o = NULL;
	char code[64] = "busy", error[256] = "Try again in a moment";
	const char *why, *value;
	int64_t retry = a->status == 0 ? 2 : 0;
	int n = -1;

	if (a->status != 0) {
		if (json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 10000,
			65536, &o, &why) == 0) {
			member(o, "code", code, sizeof(code));
			member(o, "error", error, sizeof(error));
		}
		json_object_put(o);
		n = fcgirec_field(a->head, a->head_len, "Retry-After", &value);
	}
	if (n > 0)
		retry = id_parse(value, (size_t)n);
	live_error(arg, code, error, m->name, m->named ? m->client_id : NULL,
	    (int)retry);
}

/* Whether events up to the hub's head are still on their way to the client. */
static int
is_behind(void *arg)
{
	const struct live *v = arg;

	return !v->sub.live || v->sub.held || v->joins != NULL;
}

/* Tell the sender that it is stored.  ${message}: as the API has it. */
static void
on_stored(void *arg, const struct outbox_item *m, struct json_object *message,
    int64_t event_id)
{
	struct live *v = arg;
	struct json_object *o = json_object_new_object(), *status;
	char text[OUTBOX_ID_MAX], iso[CLOCK_ISO_SIZE];
	const char *content;
	int64_t at = clock_now_ms(), id = 0;
	size_t len;

	if (member(message, "id", text, sizeof(text)) == 1)
		json_put_str(o, "id", text);
	json_put_str(o, "clientId", m->named ? m->client_id : NULL);
	json_put_str(o, "conversationId", m->conversation);
	json_put_str(o, "line_user_id", m->name);
	if (json_get_str(message, "content", &content, &len) == 1)
		json_put_strn(o, "content", content, len);
	json_get_int(message, "created_at", &at);
	clock_iso(at, iso);
	json_put_str(o, "timestamp", iso);
	if (json_object_object_get_ex(message, "status", &status) &&
	    status != NULL)
		json_put(o, "status", json_object_get(status));
	if (event_id > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)event_id);
		json_put_str(o, "event_id", text);
	}
	/*
	 * It stands for its event, and has the event's id, where that comes in
	 * the order of the log; where the log is not so far here, or is
	 * farther, or the client has older ones still to get, an id would make
	 * the client's cursor wrong.
	 */
	if (!v->all && !is_behind(v) && event_id > v->sent_id &&
	    event_id <= push_of(v->c)->hub.head)
		id = event_id;
	live_say(v, "message_sent", o, id);
}

static void
on_answered(void *arg)
{
	struct live *v = arg;

	v->ops->answered(v);
}

static const struct outbox_ops outbox_ops = { on_stored, on_refused,
	on_answered, is_behind };

/* The body of the request, from what the client may say of a message. */
static int
send_body(
    struct buf *b, struct json_object *o, int in_payload, const char *client_id)
{
	static const char *const as_is[] = { "kind", "attachments", "reply_to",
		"seen" };
	struct json_object *body, *v;
	const char *content, *type;
	size_t len, i;
	int rc;

	rc = json_get_str(o, "content", &content, &len);
	if (rc == 0)
		rc = json_get_str(o, "text", &content, &len);
	if (rc == 0)
		content = "", len = 0;
	if (rc == -1)
		return -1;
	body = json_object_new_object();
	json_put_strn(body, "content", content, len);
	json_put_str(body, "client_id", client_id);
	for (i = 0; i < sizeof(as_is) / sizeof(*as_is); i++)
		if (json_object_object_get_ex(o, as_is[i], &v) && v != NULL)
			json_put(body, as_is[i], json_object_get(v));
	if (json_object_object_get_ex(o, "replyTo", &v) && v != NULL)
		json_put(body, "reply_to", json_object_get(v));
	/* However it is spelt, what is meant for agents stays with them. */
	if (in_payload && json_get_str(o, "type", &type, NULL) == 1 &&
	    strcasecmp(type, "note") == 0)
		json_put_str(body, "type", "note");
	json_write(body, b);
	json_object_put(body);
	return b->err ? -1 : 0;
}

static void
do_send(struct live *v, struct json_object *o, int in_payload)
{
	char name[OUTBOX_ID_MAX], id[OUTBOX_ID_MAX],
	    client_id[OUTBOX_CLIENT_ID_MAX];
	unsigned char random[12];
	struct buf b;
	int rc, named;

	named = first_member(o, client_id_keys, client_id, sizeof(client_id));
	if (named == -1 ||
	    (named == 1 && (int64_t)strlen(client_id) >
			       v->c->all->cf->client_id_bytes_max)) {
		live_error(v, "invalid", "The message's id is too long", NULL,
		    NULL, 0);
		return;
	}
	rc = conversation_or_only(v, o, name, id);
	if (rc != 1) {
		say_no_conversation(v, rc, name);
		return;
	}
	if (!named) {
		randombytes_buf(random, sizeof(random));
		memcpy(client_id, "pushd-", 6);
		sodium_bin2hex(client_id + 6, sizeof(client_id) - 6, random,
		    sizeof(random));
	}
	buf_init(&b, BODY_BYTES_MAX);
	if (send_body(&b, o, in_payload, client_id) == -1) {
		live_error(v, "invalid", "A message's content is a text", name,
		    named ? client_id : NULL, 0);
		buf_fini(&b);
		return;
	}
	ask(v, "messages", id, name, client_id, named, &b);
	buf_fini(&b);
}

/* --- a message comes in --- */

/* Commands it may give: so many a second, and some at once. */
static int
may_command(struct live *v)
{
	const struct conf *cf = v->c->all->cf;
	uint32_t now = v->c->all->now_s, gain;

	if (v->c->unlimited)
		return 1;
	gain = (now - v->credit_s) * (uint32_t)cf->user_message_rate_max *
	       COMMANDS_PER_MESSAGE;
	v->credit_s = now;
	v->credit =
	    (uint16_t)(v->credit + gain > COMMANDS_BURST ? COMMANDS_BURST
							 : v->credit + gain);
	if (v->credit == 0)
		return 0;
	v->credit--;
	return 1;
}

static void
do_command(
    struct live *v, const char *type, struct json_object *o, int in_payload)
{
	char name[OUTBOX_ID_MAX], client_id[260];

	if (strcmp(type, "leave_conversation") == 0) {
		do_leave(v, o);
		return;
	}
	if (live_open(v) >= v->c->all->cf->socket_acks_max) {
		first_member(o, conversation_keys, name, sizeof(name));
		first_member(o, client_id_keys, client_id, sizeof(client_id));
		live_error(v, "rate_limited",
		    "Wait for the answers that are due", name,
		    client_id[0] ? client_id : NULL, 1);
		return;
	}
	if (strcmp(type, "message_send") == 0)
		do_send(v, o, in_payload);
	else if (strcmp(type, "join_conversation") == 0)
		do_join(v, o);
	else if (strcmp(type, "typing_start") == 0)
		do_typing(v, o, 1);
	else if (strcmp(type, "typing_stop") == 0)
		do_typing(v, o, 0);
	else if (strcmp(type, "message_read") == 0 ||
		 strcmp(type, "read_receipt") == 0)
		do_read(v, o);
	else
		live_error(
		    v, "unknown_type", "There is no such type", NULL, NULL, 0);
}

static void
on_object(struct live *v, struct json_object *root)
{
	struct json_object *payload = NULL, *o = root;
	char type[64];

	if (member(root, "type", type, sizeof(type)) != 1) {
		live_error(
		    v, "bad_request", "A message has a type", NULL, NULL, 0);
		return;
	}
	if (json_get_obj(root, "payload", &payload) == 1)
		o = payload;
	if (strcmp(type, "ping") == 0) {
		live_say(v, "pong", json_object_new_object(), 0);
		return;
	}
	if (!may_command(v)) {
		live_error(
		    v, "rate_limited", "Too many messages", NULL, NULL, 1);
		return;
	}
	if (strcmp(type, "auth") == 0)
		do_auth(v, root, o);
	else if (v->state != LIVE_IN)
		live_error(v, "unauthenticated", "Authentication required",
		    NULL, NULL, 0);
	else
		do_command(v, type, o, payload != NULL);
}

void
live_text(struct live *v, const char *p, size_t len)
{
	const struct conf *cf = v->c->all->cf;
	struct json_object *root = NULL;
	const char *why = "bad_json";

	v->c->active_s = v->c->all->now_s;
	if ((int64_t)len > cf->json_bytes_max)
		why = "too_large";
	else if (json_parse(p, len, (size_t)cf->json_depth_max,
		     (size_t)cf->json_members_max,
		     (size_t)cf->json_string_bytes_max, &root, &why) == 0 &&
		 json_object_is_type(root, json_type_object)) {
		on_object(v, root);
		json_object_put(root);
		return;
	}
	json_object_put(root);
	live_error(v, why,
	    strcmp(why, "too_large") == 0 ? "The message is too large"
					  : "A message is a JSON object",
	    NULL, NULL, 0);
}

/* --- its life --- */

void
live_init(struct live *v, struct conn *c, const struct live_ops *ops)
{
	struct push *p = push_of(c);

	v->c = c;
	v->ops = ops;
	v->credit = COMMANDS_BURST;
	v->cursor = PUSH_NOW;
	v->outbox.backend = p->backend;
	v->outbox.hub = &p->hub;
	v->outbox.ops = &outbox_ops;
	v->outbox.arg = v;
}

void
live_fini(struct live *v)
{
	struct push *p = push_of(v->c);
	struct live_join *j, *next;
	struct live_room *r;

	ident_cancel(&p->idents, v->wait);
	replay_stop(v->replay);
	for (j = v->joins; j != NULL; j = next) {
		next = j->next;
		join_free(j);
	}
	outbox_fini(&v->outbox);
	while ((r = v->rooms) != NULL) {
		v->rooms = r->next;
		free(r->alias);
		free(r);
	}
	hub_leave_all(&p->hub, &v->sub);
	ident_unuse(&p->idents, &v->use);
	if (v->cookie != NULL)
		ident_drop(&p->idents, v->cookie);
}

unsigned
live_open(const struct live *v)
{
	return v->outbox.open + v->njoining;
}

void
live_go(struct live *v)
{
	struct conn *c = v->c;
	void *own = c->t;
	struct live_join *j, *next;

	if (v->replay != NULL)
		replay_go(v->replay);
	if (c->t != own || !v->sub.live)
		return;
	for (j = v->joins; j != NULL; j = next) {
		next = j->next;
		if (j->replay != NULL)
			replay_go(j->replay);
		if (c->t != own)
			return; /* it was the end */
	}
}

void
live_settle(struct live *v)
{
	struct hub *h = &push_of(v->c)->hub;

	outbox_forget(&v->outbox);
	/* Only to who showed that it keeps a cursor. */
	if (!v->sub.live || v->sub.held || v->sent_id >= h->head ||
	    v->joins != NULL || (!v->all && v->cursor == PUSH_NOW))
		return;
	v->bare = 0;
	live_say(v, "tick", json_object_new_object(), h->head);
}
