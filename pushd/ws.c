/*
 * ws.c: the native WebSocket and its live dialect.
 *
 * What a client sends becomes the ordinary request to api.fcgi, one at a time
 * for each connection, so that its messages keep their order; the answer is
 * the acknowledgement.  Events come as they are to a client that asked for
 * all, else in the live dialect's names and, of what is said in conversations,
 * only from those that it joined.
 */
#define _GNU_SOURCE /* memmem */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "clock.h"
#include "dialect.h"
#include "fcgirec.h"
#include "id.h"
#include "json.h"
#include "limits.h"
#include "log.h"
#include "push.h"
#include "ws.h"
#include "wsframe.h"

enum {
	JOINED = 2,
	PENDING = 4, /* flags of a room, beside IDENT_ROOM */
	ID_MAX = 64,
	BEARER_MAX = 8192,
	FULL = 4 /* of queue_bytes_max */,
	LATE_S = 60,
	SETTLE_BEATS = 2,
	COMMANDS_PER_MESSAGE = 2,
	COMMANDS_BURST = 100
};

enum ws_state { WS_NOBODY, WS_ASKING, WS_IN };

/* A conversation that was joined. */
struct ws_room {
	struct ws_room *next;
	uint32_t typed_ms; /* when typing was last passed on; low bits */
	char *alias;       /* what else the client calls it, or NULL */
	char id[ID_MAX];
};

/* A join on its way: asked for, then what was missed there. */
struct ws_join {
	struct ws_join *next;
	struct ws *ws;
	struct backend_call *call;
	struct replay *replay;
	int64_t cursor;
	int by_alias;
	char name[ID_MAX]; /* as the client calls it */
	char id[ID_MAX];   /* once it is known */
};

enum send_state {
	SEND_WAITS,
	SEND_ASKED,
	SEND_DONE, /* answered; its event is still to come, and not shown */
	SEND_LOST  /* no answer; its event, if it comes, is the answer */
};

/* A message that the client sent, or another request of its; in order. */
struct ws_send {
	struct ws_send *next;
	struct ws *ws;
	struct backend_call *call;
	struct hub_event *seen; /* came before the answer */
	enum send_state state;
	int64_t event_id; /* of DONE */
	uint32_t since_s;
	int named;        /* the client named ${client_id} itself */
	const char *what; /* last segment of the route: "messages", ... */
	char client_id[260];
	char conversation[ID_MAX], name[ID_MAX];
	size_t body_len;
	char body[];
};

struct ws {
	struct hub_sub sub; /* first */
	struct ident_use use;
	struct conn *c;
	struct wsframe frame;
	struct buf *message;  /* of several pieces, else NULL */
	struct ident *cookie; /* whom the upgrade's cookie names */
	struct ident_wait *wait;
	struct replay *replay;
	struct ws_room *rooms;
	struct ws_join *joins;
	struct ws_send *sends;
	struct ws_open *open;    /* while the upgrade is not answered */
	int64_t cursor;          /* the client's, where joins begin */
	int64_t sent_id;         /* the newest event id it was sent */
	uint32_t heard_s;        /* when any byte came */
	uint16_t nrooms, open_n; /* joined; requests without answer */
	uint16_t credit;         /* commands it may give at once */
	uint16_t peer_code;      /* of its Close; 1: it had none; 0: none yet */
	uint8_t pings;           /* in this second */
	uint8_t state, all, beats;
	uint32_t credit_s, pings_s;
};

/* What an upgrade said, until it is answered. */
struct ws_open {
	char accept[29];
	int direct; /* it named somebody by a token: no auth message needed */
	char cors[1024];
};

static void ws_open(struct conn *c, const struct request *rq);
static void ws_input(struct conn *c, char *p, size_t len);
static void ws_drained(struct conn *c);
static unsigned ws_tick(struct conn *c);
static void ws_settle(struct conn *c);
static void ws_bye(struct conn *c, unsigned back_s);
static void ws_gone(struct conn *c);

const struct transport ws_transport = { .name = "websocket",
	.open = ws_open,
	.input = ws_input,
	.drained = ws_drained,
	.tick = ws_tick,
	.settle = ws_settle,
	.bye = ws_bye,
	.gone = ws_gone };

/* --- what goes out --- */

static void
control(struct ws *w, int opcode, const void *p, size_t len)
{
	unsigned char text[WSFRAME_HEAD_MAX + 125];
	size_t n = wsframe_head(text, opcode, len);

	assert(len <= 125);
	memcpy(text + n, p, len);
	conn_write(w->c, text, n + len);
}

/* Close and end; ${w} is gone after this. */
static void
ws_close(struct ws *w, int code, const char *reason)
{
	unsigned char text[125];
	size_t n = strlen(reason);

	if (n > sizeof(text) - 2)
		n = sizeof(text) - 2;
	text[0] = (unsigned char)(code >> 8);
	text[1] = (unsigned char)code;
	memcpy(text + 2, reason, n);
	control(w, WS_CLOSE, text, code == 0 ? 0 : n + 2);
	conn_end(w->c, reason[0] ? reason : "close");
}

static void
say(struct ws *w, const char *type, struct json_object *payload, int64_t id)
{
	struct frame *f =
	    dialect_message(type, payload, id, id > 0 ? id : clock_now_ms());

	conn_send(w->c, f);
	frame_unref(f);
	if (id > w->sent_id)
		w->sent_id = id;
}

/* An `error` about ${about}, a conversation or message of the client's. */
static void
say_error(struct ws *w, const char *code, const char *message,
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
	say(w, "error", o, 0);
}

static void
auth_failed(struct ws *w, const char *message)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "message", message);
	say(w, "auth_error", o, 0);
	ws_close(w, 1008, "authentication failed");
}

/* --- events --- */

/* Whether the client joined a conversation of this event. */
static int
in_joined(const struct ws *w, const struct event *e)
{
	struct hub_link *l;
	size_t i;

	for (i = 0; i < e->nrooms; i++) {
		if (strncmp(e->rooms[i], "conversation:", 13) != 0)
			continue;
		l = hub_link_find(&w->sub, e->rooms[i], strlen(e->rooms[i]));
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

static void send_free(struct ws_send *m);
static void sent(struct ws *w, struct ws_send *m, struct json_object *message,
    int64_t event_id);

/* The open send whose event this is, or NULL. */
static struct ws_send *
own_send(struct ws *w, const struct event *e)
{
	struct json_object *data = NULL, *sender = NULL;
	struct ws_send *m;
	const char *why;

	if (w->sends == NULL || strcmp(e->type, "new_message") != 0 ||
	    json_parse(e->data, e->data_len, JSON_DEPTH_MAX, 1000000,
		EVENT_LINE_MAX, &data, &why) == -1)
		return NULL;
	for (m = w->sends; m != NULL; m = m->next)
		if (m->client_id[0] != '\0' &&
		    is_text(data, "client_id", m->client_id) &&
		    json_get_obj(data, "sender", &sender) == 1 &&
		    is_text(sender, "id", w->use.ident->id) &&
		    is_text(sender, "kind",
			w->sub.form == HUB_CUSTOMER ? "customer" : "agent"))
			break;
	json_object_put(data);
	return m;
}

/* An event of the client's own message: its message_sent stands for it. */
static void
own_event(struct ws *w, struct ws_send *m, struct hub_event *he)
{
	struct json_object *data = NULL;
	const char *why;

	switch (m->state) {
	case SEND_LOST:
		if (json_parse(he->e->data, he->e->data_len, JSON_DEPTH_MAX,
			1000000, EVENT_LINE_MAX, &data, &why) == 0)
			sent(w, m, data, he->e->id);
		json_object_put(data);
		send_free(m);
		break;
	case SEND_DONE:
		send_free(m);
		break;
	default:
		if (m->seen == NULL) {
			he->refs++;
			m->seen = he;
		}
	}
}

/* A presence of the client's own is no news to it. */
static int
own_presence(const struct ws *w, const struct event *e)
{
	char text[200];
	int n;

	if (strcmp(e->type, "presence_update") != 0)
		return 0;
	n = snprintf(
	    text, sizeof(text), "\"user_id\":\"%s\"", w->use.ident->id);
	return n > 0 && w->sub.form == HUB_AGENT &&
	       memmem(e->data, e->data_len, text, (size_t)n) != NULL;
}

/* Whether the event goes to this client at all, in whatever shape. */
static int
shows(struct ws *w, struct hub_event *he)
{
	struct ws_send *m;

	if (w->all)
		return 1;
	m = own_send(w, he->e);
	if (m != NULL) {
		own_event(w, m, he);
		return 0;
	}
	if (dialect_conversational(he->e))
		return w->sub.form == HUB_CUSTOMER || in_joined(w, he->e);
	return !own_presence(w, he->e);
}

static void
give(struct ws *w, struct hub_event *he)
{
	conn_send(
	    w->c, dialect_frame(
		      he, w->all ? DIALECT_SOCKET : DIALECT_LIVE, w->sub.form));
	if (he->e->id > w->sent_id)
		w->sent_id = he->e->id;
}

static void
on_event(struct hub_sub *sub, struct hub_event *he)
{
	struct ws *w = (struct ws *)sub;

	if (shows(w, he))
		give(w, he);
}

/* --- catching up --- */

static int
is_full(const struct ws *w)
{
	return w->c->queued > w->c->all->cf->queue_bytes_max / FULL;
}

static int
on_missed(void *arg, struct hub_event *he)
{
	struct ws *w = arg;

	if (shows(w, he))
		give(w, he);
	return is_full(w);
}

static void
auth_success(struct ws *w, int64_t cursor)
{
	const struct ident *id = w->use.ident;
	struct json_object *o = json_object_new_object();
	char text[24];

	json_put_str(o, "userId", id->id);
	json_put_str(
	    o, w->sub.form == HUB_AGENT ? "admin_id" : "customer_id", id->id);
	json_put_str(o, "role", id->role);
	json_put_str(o, "userName", id->name);
	if (cursor >= 0) {
		snprintf(text, sizeof(text), "%lld", (long long)cursor);
		json_put_str(o, "cursor", text);
	}
	say(w, "auth_success", o, 0);
}

static void
say_reset(struct ws *w)
{
	struct push *p = push_of(w->c);

	p->resets++;
	log_info("websocket reset cursor=%lld", (long long)w->cursor);
	say(w, "reset", push_reset(p), 0);
}

static void join_missed(struct ws_join *j);

static void
on_caught_up(void *arg, enum replay_end how, int64_t cursor)
{
	struct ws *w = arg;
	struct ws_join *j, *next;

	w->replay = NULL;
	if (how == REPLAY_FAILED) {
		ws_close(w, 1011, "try again retry=2000");
		return;
	}
	if (how == REPLAY_RESET) {
		say_reset(w);
		w->cursor = PUSH_NOW;
	} else if (w->cursor == PUSH_NOW) {
		auth_success(w, cursor);
	}
	w->sub.cursor = cursor;
	w->sub.live = 1;
	if (w->sent_id < cursor)
		w->sent_id = cursor;
	/* Joins that were let in meanwhile: their turn. */
	for (j = w->joins; j != NULL; j = next) {
		next = j->next;
		if (j->call == NULL && j->replay == NULL)
			join_missed(j);
	}
}

static const struct replay_ops replay_ops = { on_missed, on_caught_up };

/* --- identity --- */

static struct ws *
ws_of(struct ident_use *use)
{
	return (struct ws *)((char *)use - offsetof(struct ws, use));
}

static void
on_changed(struct ident_use *use)
{
	struct ws *w = ws_of(use);

	if (ident_join(&push_of(w->c)->hub, &w->sub, use->ident) == -1)
		ws_close(w, 1011, "memory");
}

static void
on_gone(struct ident_use *use, const char *why)
{
	struct ws *w = ws_of(use);
	int ended = strcmp(why, "too many connections") != 0;

	if (ended)
		say_error(w, "unauthenticated", "The session has ended", NULL,
		    NULL, 0);
	ws_close(w, 1008, why);
}

static uint32_t
on_idle_since(struct ident_use *use)
{
	return ws_of(use)->c->active_s;
}

static const struct ident_ops ident_ops = { on_changed, on_gone,
	on_idle_since };

/* The client is ${id} from now on; what it missed since ${w}->cursor. */
static void
login(struct ws *w, struct ident *id)
{
	struct push *p = push_of(w->c);
	uint32_t life = (uint32_t)p->cf.stream_life_s;

	w->state = WS_IN;
	w->sub.form = id->form;
	w->sub.event = on_event;
	ident_use(&p->idents, id, &w->use, &ident_ops, w->c->unlimited);
	if (w->cookie != NULL)
		ident_drop(&p->idents, w->cookie);
	w->cookie = NULL;
	if (ident_join(&p->hub, &w->sub, id) == -1) {
		ws_close(w, 1011, "memory");
		return;
	}
	w->c->life_s = w->c->all->now_s + life + conn_jitter(life / 2 + 1);
	conn_due(w->c, 1 + conn_jitter((unsigned)p->cf.ws_ping_s));
	if (w->cursor != PUSH_NOW)
		auth_success(w, -1);
	w->replay = replay_new(
	    &p->replays, &w->sub, id->ref, NULL, w->cursor, &replay_ops, w);
	if (w->replay == NULL)
		ws_close(w, 1011, "memory");
	else
		replay_go(w->replay);
}

/* Said once more, by one who is in: only as the same person. */
static void
login_again(struct ws *w, const struct ident *id)
{
	const struct ident *own = w->use.ident;

	if (id != NULL && id->form == own->form && strcmp(id->id, own->id) == 0)
		auth_success(w, w->sub.live ? w->sub.cursor : -1);
	else
		say_error(w, "already_authenticated",
		    "This connection is somebody already", NULL, NULL, 0);
}

/* The answer to an `auth` message. */
static void
on_auth(void *arg, struct ident *id, int status, const char *code,
    const char *error)
{
	struct ws *w = arg;

	(void)code;
	w->wait = NULL;
	conn_resume(w->c);
	if (w->state == WS_IN) {
		login_again(w, id);
		return;
	}
	w->state = WS_NOBODY;
	if (id != NULL)
		login(w, id);
	else if (status == 503)
		ws_close(w, 1011, "try again retry=2000");
	else
		auth_failed(w, error);
}

/* --- the upgrade --- */

static void
switch_protocols(struct ws *w)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_printf(&b,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    w->open->accept);
	conn_write(w->c, b.data, b.len);
	buf_fini(&b);
	free(w->open);
	w->open = NULL;
	w->heard_s = w->c->all->now_s;
	conn_due(w->c, (unsigned)w->c->all->cf->login_wait_s);
}

/* The answer to what the upgrade request showed. */
static void
on_upgrade(void *arg, struct ident *id, int status, const char *code,
    const char *error)
{
	struct ws *w = arg;
	int direct = w->open->direct;

	w->wait = NULL;
	conn_resume(w->c);
	if (status == 403 || status == 503) {
		conn_error(w->c, 0, status,
		    status == 503 ? "Retry-After: 2\r\n" : NULL, code, error);
		return;
	}
	switch_protocols(w);
	w->state = WS_NOBODY;
	if (direct && id == NULL) {
		auth_failed(w, error);
	} else if (direct) {
		login(w, id);
	} else if (id != NULL) {
		w->cookie = id;
		ident_hold(id);
	}
}

/* An upgrade that is refused: what it is told. */
static void
refuse(struct conn *c, int status)
{
	switch (status) {
	case 405:
		conn_error(c, 0, 405, "Allow: GET\r\n", "method_not_allowed",
		    "This address is for WebSockets");
		break;
	case 426:
		conn_error(c, 0, 426,
		    "Upgrade: websocket\r\nConnection: Upgrade, close\r\n",
		    "upgrade_required", "This address is for WebSockets");
		break;
	case 4260:
		conn_error(c, 0, 426,
		    "Upgrade: websocket\r\nConnection: Upgrade, close\r\n"
		    "Sec-WebSocket-Version: 13\r\n",
		    "upgrade_required", "Use version 13 of the protocol");
		break;
	default:
		conn_error(c, 0, 400, NULL, "bad_request",
		    "The handshake could not be read");
	}
}

static int64_t
url_cursor(const struct request *rq)
{
	static const char *const names[] = { "cursor", "lastEventId",
		"last_event_id", "offset" };
	char text[64];
	size_t i;
	int n;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		n = http_query(rq->head, rq->p, names[i], text, sizeof(text));
		if (n == -2)
			return PUSH_BAD;
		if (n > 0)
			return push_cursor(text, (size_t)n);
	}
	return PUSH_NOW;
}

static void
ws_open(struct conn *c, const struct request *rq)
{
	char token[PUSH_TOKEN_MAX], session[PUSH_TOKEN_MAX], accept[29];
	const struct conf *cf = c->all->cf;
	int status = http_ws_key(rq->head, rq->p, accept);
	struct ident_cred cred;
	struct ws *w;

	if (status != 101) {
		refuse(c, status);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w != NULL)
		w->open = calloc(1, sizeof(*w->open));
	if (w == NULL || w->open == NULL) {
		free(w);
		conn_close(c, "memory");
		return;
	}
	memcpy(w->open->accept, accept, sizeof(accept));
	w->c = c;
	w->frame.message_max = (uint32_t)cf->ws_message_bytes_max;
	w->frame.fragments_max = (uint32_t)cf->ws_fragments_max;
	w->cursor = url_cursor(rq);
	w->credit = COMMANDS_BURST;
	w->all = http_query(rq->head, rq->p, "events", token, 8) == 3 &&
		 strcmp(token, "all") == 0;
	conn_take(c, &ws_transport, w);
	if (!push_cred(c, rq, &cred, token, session)) {
		switch_protocols(w);
		return;
	}
	w->open->direct = cred.authorization || cred.token || cred.session;
	w->state = WS_ASKING;
	w->wait = ident_ask(&push_of(c)->idents, &cred, on_upgrade, w);
	if (w->wait == NULL) {
		conn_close(c, "memory");
		return;
	}
	conn_pause(c);
	conn_due(c, 30);
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
conversation_of(struct ws *w, struct json_object *o, char *name, char *id)
{
	struct ws_room *r;
	int rc = first_member(o, conversation_keys, name, ID_MAX);

	if (rc != 1)
		return rc;
	for (r = w->rooms; r != NULL; r = r->next)
		if (strcmp(r->id, name) == 0 ||
		    (r->alias != NULL && strcmp(r->alias, name) == 0)) {
			memcpy(id, r->id, ID_MAX);
			return 1;
		}
	if (id_parse(name, strlen(name)) <= 0)
		return -1;
	memcpy(id, name, ID_MAX);
	return 1;
}

/* As above; without one the only conversation there is. */
static int
conversation_or_only(struct ws *w, struct json_object *o, char *name, char *id)
{
	const struct ident *who = w->use.ident;
	int rc = conversation_of(w, o, name, id);

	if (rc != 0)
		return rc;
	if (w->nrooms == 1)
		memcpy(id, w->rooms->id, ID_MAX);
	else if (w->nrooms == 0 && w->joins != NULL && w->joins->next == NULL &&
		 id_parse(w->joins->name, strlen(w->joins->name)) > 0)
		memcpy(id, w->joins->name, ID_MAX); /* about to be it */
	else if (w->nrooms == 0 && who->nconversations == 1 &&
		 strlen(who->conversations) < ID_MAX)
		strcpy(id, who->conversations);
	else
		return 0;
	memcpy(name, id, ID_MAX);
	return 1;
}

/* Says what is wrong where no conversation was found. */
static void
say_no_conversation(struct ws *w, int rc, const char *name)
{
	if (rc == 0)
		say_error(
		    w, "bad_request", "Name the conversation", NULL, NULL, 0);
	else
		say_error(w, "not_found", "There is no such conversation", name,
		    NULL, 0);
}

/* --- auth --- */

static void
do_auth(struct ws *w, struct json_object *root, struct json_object *o)
{
	struct push *p = push_of(w->c);
	struct ident_cred cred = { .addr = conn_addr(w->c) };
	static const char *const keys[] = { "token", "sessionId", "session" };
	struct json_object *payload = NULL;
	const char *text = "";
	size_t len = 0, i;
	struct buf bearer;

	if (is_text(o, "events", "all"))
		w->all = 1;
	if (w->state == WS_NOBODY)
		w->cursor = message_cursor(o, w->cursor);
	if (!json_object_object_get_ex(root, "payload", &payload) ||
	    json_get_str(root, "payload", &text, &len) != 1)
		for (i = 0; i < 3 && len == 0; i++)
			json_get_str(o, keys[i], &text, &len);

	if (len == 0) {
		if (w->state == WS_IN)
			auth_success(w, w->sub.live ? w->sub.cursor : -1);
		else if (w->cookie != NULL && !w->cookie->gone)
			login(w, w->cookie);
		else
			auth_failed(w, "Authentication required");
		return;
	}
	/* A token and a session's id are shown alike. */
	buf_init(&bearer, BEARER_MAX);
	buf_puts(&bearer, "Bearer ");
	buf_append(&bearer, text, len);
	if (bearer.err) {
		auth_failed(w, "Authentication required");
		buf_fini(&bearer);
		return;
	}
	cred.authorization = bearer.data;
	cred.authorization_len = bearer.len;
	if (w->state == WS_NOBODY)
		w->state = WS_ASKING;
	w->wait = ident_ask(&p->idents, &cred, on_auth, w);
	sodium_memzero(bearer.data, bearer.len);
	buf_fini(&bearer);
	if (w->wait == NULL)
		ws_close(w, 1011, "memory");
	else
		conn_pause(w->c); /* what follows waits for the answer */
}

/* --- rooms --- */

static struct ws_room *
room_find(struct ws *w, const char *id)
{
	struct ws_room *r;

	for (r = w->rooms; r != NULL && strcmp(r->id, id) != 0; r = r->next)
		;
	return r;
}

static void
join_free(struct ws_join *j)
{
	struct ws_join **at;

	backend_cancel(j->call);
	replay_stop(j->replay);
	for (at = &j->ws->joins; *at != j; at = &(*at)->next)
		;
	*at = j->next;
	free(j);
}

static size_t
room_name(char out[ID_MAX + 16], const char *id)
{
	return (size_t)snprintf(out, ID_MAX + 16, "conversation:%s", id);
}

static int
on_join_missed(void *arg, struct hub_event *he)
{
	struct ws_join *j = arg;
	struct ws *w = j->ws;

	/* The rest came, or comes, through the identity's own rooms. */
	if (dialect_conversational(he->e) && own_send(w, he->e) == NULL)
		give(w, he);
	return is_full(w);
}

static void
on_join_caught_up(void *arg, enum replay_end how, int64_t cursor)
{
	struct ws_join *j = arg;
	struct ws *w = j->ws;
	char room[ID_MAX + 16];
	struct hub_link *l;
	size_t n = room_name(room, j->id);

	(void)cursor;
	j->replay = NULL;
	l = hub_link_find(&w->sub, room, n);
	if (l != NULL)
		l->flags &= (uint16_t)~PENDING;
	if (how == REPLAY_RESET)
		say_reset(w);
	join_free(j);
	if (how == REPLAY_FAILED)
		ws_close(w, 1011, "try again retry=2000");
}

static const struct replay_ops join_ops = { on_join_missed, on_join_caught_up };

/* Let in: what was missed in the conversation since the client's cursor. */
static void
join_missed(struct ws_join *j)
{
	struct ws *w = j->ws;
	char room[ID_MAX + 16];

	if (!w->sub.live)
		return; /* after what it missed elsewhere */
	if (j->cursor == PUSH_NOW) {
		on_join_caught_up(j, REPLAY_LIVE, 0);
		return;
	}
	room_name(room, j->id);
	j->replay = replay_new(&push_of(w->c)->replays, &w->sub,
	    w->use.ident->ref, room, j->cursor, &join_ops, j);
	if (j->replay == NULL)
		ws_close(w, 1011, "memory");
	else
		replay_go(j->replay);
}

static int
room_add(struct ws *w, const char *id, const char *alias)
{
	struct ws_room *r = room_find(w, id);
	char room[ID_MAX + 16];
	size_t n = room_name(room, id);

	if (r == NULL) {
		r = calloc(1, sizeof(*r));
		if (r == NULL)
			return -1;
		snprintf(r->id, sizeof(r->id), "%s", id);
		r->next = w->rooms;
		w->rooms = r;
		w->nrooms++;
	}
	if (r->alias == NULL && strcmp(alias, id) != 0)
		r->alias = strdup(alias);
	return hub_join(
	    &push_of(w->c)->hub, &w->sub, room, n, JOINED | PENDING);
}

static void
on_join(void *arg, const struct backend_answer *a)
{
	struct ws_join *j = arg;
	struct ws *w = j->ws;
	struct json_object *o = NULL, *said;
	char cursor[24], alias[ID_MAX] = "";
	const char *why;

	j->call = NULL;
	w->open_n--;
	if (a->status == 200)
		json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 1000, 65536,
		    &o, &why);
	if (o == NULL || member(o, "conversation", j->id, ID_MAX) != 1) {
		if (a->status == 401 || a->status == 403 || a->status == 404)
			say_error(w, "not_found",
			    "There is no such conversation", j->name, NULL, 0);
		else
			say_error(w, "busy", "Try again in a moment", j->name,
			    NULL, 2);
		json_object_put(o);
		join_free(j);
		return;
	}
	member(o, "line_user_id", alias, sizeof(alias));
	json_object_put(o);
	if (room_add(w, j->id, alias[0] ? alias : j->name) == -1) {
		ws_close(w, 1011, "memory");
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
	    cursor, sizeof(cursor), "%lld", (long long)push_of(w->c)->hub.head);
	json_put_str(said, "cursor", cursor);
	say(w, "conversation_joined", said, 0);
	join_missed(j);
}

static void
do_join(struct ws *w, struct json_object *o)
{
	struct json_object *ask;
	struct ws_join *j;
	char name[ID_MAX], id[ID_MAX], text[ID_MAX];
	int rc = conversation_of(w, o, name, id);
	struct buf b;

	if (rc != 1) {
		say_no_conversation(w, rc, name);
		return;
	}
	if (room_find(w, id) == NULL &&
	    w->nrooms >= w->c->all->cf->socket_rooms_max) {
		say_error(w, "too_many_rooms",
		    "Leave another conversation first", name, NULL, 0);
		return;
	}
	for (j = w->joins; j != NULL; j = j->next)
		if (strcmp(j->name, name) == 0)
			return; /* is on its way */
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		ws_close(w, 1011, "memory");
		return;
	}
	j->ws = w;
	j->next = w->joins;
	w->joins = j;
	memcpy(j->name, name, ID_MAX);
	j->by_alias = member(o, "line_user_id", text, sizeof(text)) == 1;
	/* Who is in already has missed nothing. */
	j->cursor = room_find(w, id) ? PUSH_NOW : message_cursor(o, w->cursor);
	buf_init(&b, 4096);
	ask = json_object_new_object();
	json_put_str(ask, "ref", w->use.ident->ref);
	json_put_str(ask, "conversation", id);
	json_write(ask, &b);
	json_object_put(ask);
	j->call = backend_call(push_of(w->c)->backend, BACKEND_SEND, "POST",
	    "/internal/join", NULL, NULL, b.data, b.len, on_join, j);
	buf_fini(&b);
	w->open_n++;
	if (j->call == NULL)
		on_join(j, &(struct backend_answer){ .why = "busy" });
}

static void
do_leave(struct ws *w, struct json_object *o)
{
	struct ws_join *j, *next;
	struct ws_room **at, *r;
	char name[ID_MAX], id[ID_MAX], room[ID_MAX + 16];
	int rc = conversation_of(w, o, name, id);

	if (rc != 1) {
		say_no_conversation(w, rc, name);
		return;
	}
	for (j = w->joins; j != NULL; j = next) {
		next = j->next;
		if (strcmp(j->name, name) != 0 && strcmp(j->id, id) != 0)
			continue;
		if (j->call != NULL)
			w->open_n--;
		join_free(j);
	}
	hub_leave(&push_of(w->c)->hub, &w->sub, room, room_name(room, id),
	    JOINED | PENDING);
	for (at = &w->rooms; (r = *at) != NULL; at = &r->next)
		if (strcmp(r->id, id) == 0) {
			*at = r->next;
			w->nrooms--;
			free(r->alias);
			free(r);
			break;
		}
}

/* --- typing, read --- */

static void
refused(struct ws *w, const struct backend_answer *a, const char *name,
    const char *client_id)
{
	struct json_object *o = NULL;
	char code[64] = "busy", error[256] = "Try again in a moment";
	const char *why, *v;
	int64_t retry = a->status == 0 ? 2 : 0;
	int n;

	if (a->status != 0 && json_parse(a->body, a->body_len, JSON_DEPTH_MAX,
				  10000, 65536, &o, &why) == 0) {
		member(o, "code", code, sizeof(code));
		member(o, "error", error, sizeof(error));
	}
	json_object_put(o);
	n = a->status ? fcgirec_field(a->head, a->head_len, "Retry-After", &v)
		      : -1;
	if (n > 0)
		retry = id_parse(v, (size_t)n);
	say_error(w, code, error, name, client_id, (int)retry);
}

static void send_add(struct ws *w, const char *what, const char *id,
    const char *name, const char *client_id, int named, const struct buf *b);

static void
pass_on(struct ws *w, const char *what, const char *id, const char *name,
    struct json_object *body)
{
	struct buf b;

	buf_init(&b, 65536);
	json_write(body, &b);
	json_object_put(body);
	send_add(w, what, id, name, "", 0, &b);
	buf_fini(&b);
}

static void
do_typing(struct ws *w, struct json_object *o, int typing)
{
	struct json_object *body;
	struct ws_room *r;
	char name[ID_MAX], id[ID_MAX];
	uint32_t now = (uint32_t)clock_mono_ms();
	int rc = conversation_or_only(w, o, name, id);

	if (rc != 1) {
		say_no_conversation(w, rc, name);
		return;
	}
	r = room_find(w, id);
	if (r != NULL && typing && r->typed_ms != 0 && !w->c->unlimited &&
	    now - r->typed_ms <
		(uint32_t)(1000 / w->c->all->cf->typing_rate_max))
		return; /* once a second is enough */
	if (r != NULL)
		r->typed_ms = typing ? now | 1 : 0;
	body = json_object_new_object();
	json_put_bool(body, "typing", typing);
	pass_on(w, "typing", id, name, body);
}

static void
do_read(struct ws *w, struct json_object *o)
{
	static const char *const keys[] = { "messageId", "message_id", NULL };
	struct json_object *body;
	char name[ID_MAX], id[ID_MAX], message[ID_MAX];
	int rc = conversation_or_only(w, o, name, id);

	if (rc != 1) {
		say_no_conversation(w, rc, name);
		return;
	}
	if (first_member(o, keys, message, sizeof(message)) != 1) {
		say_error(w, "bad_request", "Name the message", name, NULL, 0);
		return;
	}
	body = json_object_new_object();
	json_put_str(body, "message_id", message);
	pass_on(w, "read", id, name, body);
}

/* --- messages --- */

static void
send_free(struct ws_send *m)
{
	struct ws_send **at;

	backend_cancel(m->call);
	hub_event_unref(m->seen);
	for (at = &m->ws->sends; *at != m; at = &(*at)->next)
		;
	*at = m->next;
	free(m);
}

/* Tell the sender that it is stored.  ${message}: as the API has it. */
static void
sent(struct ws *w, struct ws_send *m, struct json_object *message,
    int64_t event_id)
{
	struct json_object *o = json_object_new_object();
	char text[ID_MAX], iso[CLOCK_ISO_SIZE];
	struct json_object *v;
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
	if (json_object_object_get_ex(message, "status", &v) && v != NULL)
		json_put(o, "status", json_object_get(v));
	if (event_id > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)event_id);
		json_put_str(o, "event_id", text);
	}
	/*
	 * It stands for its event, and has the event's id, where that comes in
	 * the order of the log; where the log is not so far here, or is
	 * farther, an id would make the client's cursor wrong.
	 */
	if (!w->all && event_id > w->sent_id &&
	    event_id <= push_of(w->c)->hub.head)
		id = event_id;
	say(w, "message_sent", o, id);
}

static void send_next(struct ws *w);
static void maybe_closed(struct ws *w);

/* The answer to typing or a receipt: only a refusal is told. */
static void
on_passed(struct ws *w, struct ws_send *m, const struct backend_answer *a)
{
	/* A rate limit here only means that a signal is dropped. */
	if ((a->status < 200 || a->status > 299) && a->status != 429)
		refused(w, a, m->name, NULL);
	send_free(m);
}

/* The answer to a message: its acknowledgement. */
static void
on_stored(struct ws *w, struct ws_send *m, const struct backend_answer *a)
{
	struct hub *h = &push_of(w->c)->hub;
	struct json_object *o = NULL;
	const char *why, *v;
	int n;

	if (a->status == 200 || a->status == 201) {
		n = fcgirec_field(a->head, a->head_len, "X-Event-Id", &v);
		m->event_id = n > 0 ? id_parse(v, (size_t)n) : 0;
		if (json_parse(a->body, a->body_len, JSON_DEPTH_MAX, 100000,
			EVENT_LINE_MAX, &o, &why) == 0)
			sent(w, m, o, m->event_id);
	} else if (m->seen != NULL &&
		   json_parse(m->seen->e->data, m->seen->e->data_len,
		       JSON_DEPTH_MAX, 100000, EVENT_LINE_MAX, &o, &why) == 0) {
		/* No answer, but it is in the log: that is one. */
		sent(w, m, o, m->seen->e->id);
	} else {
		refused(w, a, m->name, m->named ? m->client_id : NULL);
		if (a->status == 0 || a->status >= 500)
			m->state = SEND_LOST;
	}
	json_object_put(o);
	if (m->state == SEND_DONE &&
	    (m->seen != NULL || w->all || m->event_id <= h->head))
		send_free(m);
}

static void
on_sent(void *arg, const struct backend_answer *a)
{
	struct ws_send *m = arg;
	struct ws *w = m->ws;

	m->call = NULL;
	m->state = SEND_DONE;
	m->since_s = w->c->all->now_s;
	w->open_n--;
	if (m->client_id[0] == '\0')
		on_passed(w, m, a);
	else
		on_stored(w, m, a);
	send_next(w);
	maybe_closed(w);
}

/* One at a time, so that they keep their order. */
static void
send_next(struct ws *w)
{
	struct ws_send *m, *next;
	char uri[160];

	for (m = w->sends; m != NULL; m = next) {
		next = m->next;
		if (m->state == SEND_ASKED)
			return;
		if (m->state != SEND_WAITS)
			continue;
		m->state = SEND_ASKED;
		snprintf(uri, sizeof(uri), "/api/conversations/%s/%s",
		    m->conversation, m->what);
		m->call = backend_call(push_of(w->c)->backend, BACKEND_SEND,
		    "POST", uri, w->use.ident->ref, conn_addr(w->c), m->body,
		    m->body_len, on_sent, m);
		if (m->call != NULL)
			return;
		m->state = SEND_DONE;
		w->open_n--;
		refused(w, &(struct backend_answer){ .why = "busy" }, m->name,
		    m->named ? m->client_id : NULL);
		send_free(m);
	}
}

/* Events of ours that did not come to us need no remembering for ever. */
static void
sends_forget(struct ws *w)
{
	struct ws_send *m, *next;
	int64_t head = push_of(w->c)->hub.head;

	for (m = w->sends; m != NULL; m = next) {
		next = m->next;
		if ((m->state == SEND_DONE && m->event_id <= head) ||
		    (m->state == SEND_LOST &&
			w->c->all->now_s - m->since_s > LATE_S))
			send_free(m);
	}
}

/* Into the line; ${client_id} is empty for what is no message. */
static void
send_add(struct ws *w, const char *what, const char *id, const char *name,
    const char *client_id, int named, const struct buf *b)
{
	struct ws_send *m = calloc(1, sizeof(*m) + b->len), **at;

	if (m == NULL) {
		ws_close(w, 1011, "memory");
		return;
	}
	m->ws = w;
	m->what = what;
	m->named = named;
	strcpy(m->client_id, client_id);
	memcpy(m->conversation, id, ID_MAX);
	memcpy(m->name, name, ID_MAX);
	memcpy(m->body, b->data, b->len);
	m->body_len = b->len;
	sends_forget(w);
	for (at = &w->sends; *at != NULL; at = &(*at)->next)
		;
	*at = m;
	w->open_n++;
	send_next(w);
}

/* The body of the request, from what the client may say of a message. */
static int
send_body(
    struct buf *b, struct json_object *o, int in_payload, const char *client_id)
{
	static const char *const as_is[] = { "kind", "attachments", "reply_to",
		"seen" };
	struct json_object *body, *v;
	const char *content;
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
	if (in_payload && is_text(o, "type", "note"))
		json_put_str(body, "type", "note");
	json_write(body, b);
	json_object_put(body);
	return b->err ? -1 : 0;
}

static void
do_send(struct ws *w, struct json_object *o, int in_payload)
{
	char name[ID_MAX], id[ID_MAX], client_id[260];
	unsigned char random[12];
	struct buf b;
	int rc, named;

	named = first_member(o, client_id_keys, client_id, sizeof(client_id));
	if (named == -1 ||
	    (named == 1 && (int64_t)strlen(client_id) >
			       w->c->all->cf->client_id_bytes_max)) {
		say_error(w, "invalid", "The message's id is too long", NULL,
		    NULL, 0);
		return;
	}
	rc = conversation_or_only(w, o, name, id);
	if (rc != 1) {
		say_no_conversation(w, rc, name);
		return;
	}
	if (!named) {
		randombytes_buf(random, sizeof(random));
		strcpy(client_id, "pushd-");
		sodium_bin2hex(client_id + 6, sizeof(client_id) - 6, random,
		    sizeof(random));
	}
	buf_init(&b, BODY_BYTES_MAX);
	if (send_body(&b, o, in_payload, client_id) == -1) {
		say_error(w, "invalid", "A message's content is a text", name,
		    named ? client_id : NULL, 0);
		buf_fini(&b);
		return;
	}
	send_add(w, "messages", id, name, client_id, named, &b);
	buf_fini(&b);
}

/* --- a message comes in --- */

/* Commands it may give: so many a second, and some at once. */
static int
may_command(struct ws *w)
{
	const struct conf *cf = w->c->all->cf;
	uint32_t now = w->c->all->now_s, gain;

	if (w->c->unlimited)
		return 1;
	gain = (now - w->credit_s) * (uint32_t)cf->user_message_rate_max *
	       COMMANDS_PER_MESSAGE;
	w->credit_s = now;
	w->credit =
	    (uint16_t)(w->credit + gain > COMMANDS_BURST ? COMMANDS_BURST
							 : w->credit + gain);
	if (w->credit == 0)
		return 0;
	w->credit--;
	return 1;
}

static void
do_command(
    struct ws *w, const char *type, struct json_object *o, int in_payload)
{
	char name[ID_MAX], client_id[260];

	if (strcmp(type, "leave_conversation") == 0) {
		do_leave(w, o);
		return;
	}
	if (w->open_n >= w->c->all->cf->socket_acks_max) {
		first_member(o, conversation_keys, name, sizeof(name));
		first_member(o, client_id_keys, client_id, sizeof(client_id));
		say_error(w, "rate_limited",
		    "Wait for the answers that are due", name,
		    client_id[0] ? client_id : NULL, 1);
		return;
	}
	if (strcmp(type, "message_send") == 0)
		do_send(w, o, in_payload);
	else if (strcmp(type, "join_conversation") == 0)
		do_join(w, o);
	else if (strcmp(type, "typing_start") == 0)
		do_typing(w, o, 1);
	else if (strcmp(type, "typing_stop") == 0)
		do_typing(w, o, 0);
	else if (strcmp(type, "message_read") == 0 ||
		 strcmp(type, "read_receipt") == 0)
		do_read(w, o);
	else
		say_error(
		    w, "unknown_type", "There is no such type", NULL, NULL, 0);
}

static void
on_object(struct ws *w, struct json_object *root)
{
	struct json_object *payload = NULL, *o = root;
	char type[64];

	if (member(root, "type", type, sizeof(type)) != 1) {
		say_error(
		    w, "bad_request", "A message has a type", NULL, NULL, 0);
		return;
	}
	if (json_get_obj(root, "payload", &payload) == 1)
		o = payload;
	if (strcmp(type, "ping") == 0) {
		say(w, "pong", json_object_new_object(), 0);
		return;
	}
	if (!may_command(w)) {
		say_error(
		    w, "rate_limited", "Too many messages", NULL, NULL, 1);
		return;
	}
	if (strcmp(type, "auth") == 0)
		do_auth(w, root, o);
	else if (w->state != WS_IN)
		say_error(w, "unauthenticated", "Authentication required", NULL,
		    NULL, 0);
	else
		do_command(w, type, o, payload != NULL);
}

static void
on_text(struct ws *w, const char *p, size_t len)
{
	const struct conf *cf = w->c->all->cf;
	struct json_object *root = NULL;
	const char *why = "bad_json";

	w->c->active_s = w->c->all->now_s;
	if ((int64_t)len > cf->json_bytes_max)
		why = "too_large";
	else if (json_parse(p, len, (size_t)cf->json_depth_max,
		     (size_t)cf->json_members_max,
		     (size_t)cf->json_string_bytes_max, &root, &why) == 0 &&
		 json_object_is_type(root, json_type_object)) {
		on_object(w, root);
		json_object_put(root);
		return;
	}
	json_object_put(root);
	say_error(w, why,
	    strcmp(why, "too_large") == 0 ? "The message is too large"
					  : "A message is a JSON object",
	    NULL, NULL, 0);
}

/* A piece of a message; whole ones are not copied. */
static void
on_data(struct ws *w, const struct wsframe_got *got)
{
	struct buf *b = w->message;

	if (got->opcode == WS_BINARY) {
		if (got->fin)
			say_error(
			    w, "binary", "Messages are text", NULL, NULL, 0);
		return;
	}
	if (b == NULL && got->fin) {
		on_text(w, got->p, got->len);
		return;
	}
	if (b == NULL) {
		b = calloc(1, sizeof(*b));
		if (b != NULL)
			buf_init(b, w->frame.message_max);
		w->message = b;
	}
	if (b != NULL)
		buf_append(b, got->p, got->len);
	if (b == NULL || b->err) {
		ws_close(w, 1011, "memory");
		return;
	}
	if (!got->fin)
		return;
	/* Taken off first: the message may end the connection. */
	w->message = NULL;
	on_text(w, b->data, b->len);
	buf_fini(b);
	free(b);
}

static void
on_ping(struct ws *w, const char *p, size_t len)
{
	uint32_t now = w->c->all->now_s;

	if (w->pings_s != now) {
		w->pings_s = now;
		w->pings = 0;
	}
	if (++w->pings > w->c->all->cf->ws_ping_rate_max && !w->c->unlimited) {
		ws_close(w, 1008, "too many pings");
		return;
	}
	control(w, WS_PONG, p, len);
}

/* The client's Close is answered when the answers that are due have gone. */
static void
maybe_closed(struct ws *w)
{
	if (w->peer_code == 0 || w->open_n > 0)
		return;
	ws_close(w, w->peer_code == 1 ? 0 : w->peer_code, "");
}

static void
ws_input(struct conn *c, char *p, size_t len)
{
	struct ws *w = c->t;
	struct wsframe_got got;
	size_t at = 0;

	w->heard_s = c->all->now_s;
	while (c->state == CONN_OPEN && c->t == w) {
		if (c->paused) {
			if (at < len)
				conn_stash(c, p + at, len - at);
			return;
		}
		at += wsframe_read(&w->frame, p + at, len - at, &got);
		switch (got.what) {
		case WSFRAME_MORE:
			return;
		case WSFRAME_DATA:
			on_data(w, &got);
			break;
		case WSFRAME_PING:
			on_ping(w, got.p, got.len);
			break;
		case WSFRAME_PONG:
			break;
		case WSFRAME_CLOSE:
			w->peer_code = (uint16_t)(got.code ? got.code : 1);
			maybe_closed(w);
			return;
		case WSFRAME_FAIL:
			ws_close(w, got.code,
			    got.code == 1009   ? "too large"
			    : got.code == 1007 ? "not UTF-8"
			    : got.code == 1002 ? "protocol error"
					       : "fault");
			return;
		}
	}
}

/* --- the transport's part --- */

static void
ws_drained(struct conn *c)
{
	struct ws *w = c->t;
	struct ws_join *j, *next;

	if (w->replay != NULL)
		replay_go(w->replay);
	for (j = c->t == w ? w->joins : NULL; j != NULL; j = next) {
		next = j->next;
		if (j->replay != NULL)
			replay_go(j->replay);
		if (c->t != w)
			return;
	}
}

static void
ws_settle(struct conn *c)
{
	struct ws *w = c->t;
	struct hub *h = &push_of(c)->hub;

	/* Only to who showed that it keeps a cursor. */
	if (!w->sub.live || w->sent_id >= h->head || w->joins != NULL ||
	    (!w->all && w->cursor == PUSH_NOW))
		return;
	say(w, "tick", json_object_new_object(), h->head);
}

static unsigned
ws_tick(struct conn *c)
{
	struct ws *w = c->t;
	const struct conf *cf = c->all->cf;
	uint32_t now = c->all->now_s;

	if (w->open != NULL) {
		conn_error(c, 0, 503, "Retry-After: 2\r\n", "busy",
		    "Try again in a moment");
		return 0;
	}
	if (w->state != WS_IN) {
		ws_close(w, 1008, "no authentication");
		return 0;
	}
	if (now - w->heard_s >= (uint64_t)cf->silence_s_max) {
		conn_close(c, "silent");
		return 0;
	}
	if (now >= c->life_s && w->open_n == 0) {
		ws_close(w, 1001, "resume");
		return 0;
	}
	sends_forget(w);
	control(w, WS_PING, "", 0);
	if (++w->beats % SETTLE_BEATS == 0)
		ws_settle(c);
	return (unsigned)cf->ws_ping_s;
}

static void
ws_bye(struct conn *c, unsigned back_s)
{
	struct ws *w = c->t;
	char reason[48];

	if (w->open != NULL) {
		conn_error(c, 0, 503, "Retry-After: 2\r\n", "busy",
		    "Try again in a moment");
		return;
	}
	if (w->open_n > 0) {
		conn_due(c, 1); /* the answers first */
		return;
	}
	snprintf(reason, sizeof(reason), "restart retry=%u",
	    back_s * 1000 + conn_jitter(1000));
	ws_close(w, 1012, reason);
}

static void
ws_gone(struct conn *c)
{
	struct ws *w = c->t;
	struct push *p = push_of(c);
	struct ws_room *r;

	ident_cancel(&p->idents, w->wait);
	replay_stop(w->replay);
	while (w->joins != NULL)
		join_free(w->joins);
	while (w->sends != NULL)
		send_free(w->sends);
	while ((r = w->rooms) != NULL) {
		w->rooms = r->next;
		free(r->alias);
		free(r);
	}
	hub_leave_all(&p->hub, &w->sub);
	ident_unuse(&p->idents, &w->use);
	if (w->cookie != NULL)
		ident_drop(&p->idents, w->cookie);
	wsframe_fini(&w->frame);
	if (w->message != NULL)
		buf_fini(w->message);
	free(w->message);
	free(w->open);
	free(w);
}
