/*
 * What one pushd tells the next of its clients, cut at every byte, and with a
 * byte changed: what is short is refused and leaves nothing behind, whatever
 * else it says does no harm.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "clock.h"
#include "eio_own.h"
#include "live.h"
#include "live_work.h"
#include "log.h"
#include "push.h"
#include "socketio.h"
#include "sse.h"
#include "ws.h"

enum { HEAD = 5, TURNS = 3, CHANGES = 4 };

static struct push p;
static struct ident *id;
static struct buf session; /* the record of an Engine.IO session */
static const char sid[] = "01234567890123456789";

/* A number that looks like none, the same in each run. */
static unsigned
some(unsigned n)
{
	static uint32_t x = 1;

	x = x * 1664525 + 1013904223;
	return (x >> 8) % n;
}

static void
turns(void)
{
	int i;

	for (i = 0; i < TURNS; i++)
		ev_run(p.loop, EVRUN_NOWAIT);
}

static void
zeros(struct buf *b, int n)
{
	while (n-- > 0)
		carry_num(b, 0);
}

static struct carry_in
reading(const struct buf *b)
{
	return (struct carry_in){ .p = b->data, .left = b->len };
}

/* --- records, as a pushd would begin them --- */

static void
put_ident(struct buf *b, const char *ref)
{
	carry_text(b, ref);
	carry_text(b, "1");
	carry_text(b, "Mai");
	carry_text(b, "agent");
	carry_num(b, 2);
	carry_text(b, "inbox");
	carry_text(b, "user:1");
	carry_num(b, 1);
	carry_text(b, "21");
	carry_num(b, HUB_AGENT);
	carry_num(b, 0);
	carry_num(b, UINT32_MAX);
}

static void
put_conn(struct buf *b, const char *transport, const char *in)
{
	carry_text(b, transport);
	carry_text(b, "127.0.0.1");
	zeros(b, 5);
	carry_num(b, UINT32_MAX);
	zeros(b, 3);
	carry_bytes(b, in, strlen(in));
	carry_bytes(b, "not sent", 8);
}

/* In one conversation, typing there; live, or catching up from 3. */
static void
put_live(struct buf *b, int live)
{
	carry_text(b, "agent:1");
	carry_int(b, 3);
	carry_int(b, 4);
	carry_num(b, 7);
	carry_num(b, 100);
	zeros(b, 1);
	carry_num(b, (uint64_t)live);
	carry_num(b, (uint64_t)live);
	zeros(b, 1);
	carry_num(b, 1);
	carry_num(b, (uint64_t)live);
	zeros(b, 1);
	carry_int(b, 4);
	carry_num(b, 1);
	carry_text(b, "31");
	carry_text(b, "line-31");
	carry_num(b, LIVE_JOINED);
	zeros(b, 2);
	carry_num(b, 1);
	carry_text(b, "31");
	carry_int(b, clock_mono_ms());
	zeros(b, 1);
	carry_num(b, !live);
	if (!live)
		carry_int(b, 3);
	zeros(b, 1);
}

/* The first bytes of a message in pieces, with a ping between. */
static void
put_frames(struct buf *b, uint32_t most)
{
	char bytes[] = "\x01\x83\1\2\3\4"
		       "abc"
		       "\x89\x85\1\2\3\4"
		       "ab";
	struct wsframe w = { .message_max = most, .fragments_max = 10 };
	struct wsframe_got got;
	size_t at = 0;

	bytes[6] = 'a' ^ 1;
	bytes[7] = 'b' ^ 2;
	bytes[8] = 'c' ^ 3;
	do
		at +=
		    wsframe_read(&w, bytes + at, sizeof(bytes) - 1 - at, &got);
	while (got.what != WSFRAME_MORE);
	assert_int_equal(w.total, 3);
	wsframe_carry(&w, b);
	wsframe_fini(&w);
}

static void
make_head(struct buf *b)
{
	put_conn(b, NULL, "GET /chat/ws HTTP/1.1\r\nHos");
}

static void
make_ws(struct buf *b)
{
	put_conn(b, "websocket", "later");
	zeros(b, 4);
	carry_num(b, 1);
	zeros(b, 1);
	carry_num(b, 1);
	carry_bytes(b, "abc", 3);
	put_frames(b, 1000000);
	put_live(b, 1);
}

static void
make_chat(struct buf *b)
{
	put_conn(b, "chat", "");
	zeros(b, 5);
	put_live(b, 0);
}

static void
make_stream(struct buf *b)
{
	put_conn(b, "sse", "");
	carry_text(b, "agent:1");
	carry_num(b, DIALECT_BOTH);
	zeros(b, 1);
	carry_num(b, 1);
	carry_num(b, 1);
	zeros(b, 1);
	carry_int(b, 4);
	zeros(b, 1);
}

static void
make_opening(struct buf *b)
{
	put_conn(b, "sse", "");
	carry_text(b, "agent:1");
	zeros(b, 5);
	carry_int(b, 4);
	carry_num(b, 1);
	carry_int(b, 3);
	carry_num(b, 1);
	carry_int(b, 3);
}

static void
make_poll(struct buf *b)
{
	put_conn(b, "longpoll", "");
	carry_text(b, "agent:1");
	carry_text(b, "Vary: Origin\r\n");
	carry_int(b, 4);
}

static void
make_get(struct buf *b)
{
	put_conn(b, "engineio-poll", "");
	carry_bytes(b, sid, EIO_SID);
	carry_text(b, "");
}

static void
make_socket(struct buf *b)
{
	put_conn(b, "engineio", "");
	carry_bytes(b, sid, EIO_SID);
}

static void
put_session(struct buf *b, enum eio_state state)
{
	carry_num(b, 1);
	carry_bytes(b, sid, EIO_SID);
	carry_num(b, state);
	carry_num(b, 4);
	carry_num(b, 20000);
	zeros(b, 7);
	carry_num(b, 1);
	carry_bytes(b, "abc", 3);
	put_frames(b, 1000000);
	if (state == EIO_POLLS) {
		carry_text(b, "127.0.0.2");
		carry_num(b, 12345678);
		carry_num(b, 0);
		carry_num(b, 2);
		carry_bytes(b, "\x81\2ab", 4);
		carry_bytes(b, "\x82\1c", 3);
	}
	carry_num(b, 1);
	carry_bytes(b, "abcdefghijabcdefghij", SIOPAST_PID);
	zeros(b, 5);
	put_live(b, 1);
}

/* --- what is taken over, and what is left of it --- */

static int
adopt(struct carry_in in, int *client)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*client = fds[1];
	return conn_adopt(&p.conns, fds[0], &in);
}

/* Nobody is here, and the client of whom that was has been told. */
static void
nothing(int client)
{
	char bytes[4096];
	ssize_t n;

	assert_int_equal(p.conns.n, 0);
	assert_int_equal(p.eios.n, 0);
	assert_null(id->uses);
	assert_int_equal(id->person->group.n, 0);
	assert_null(p.longpolls.first);
	turns();
	assert_int_equal(p.conns.peers.used, 0);
	if (client == -1)
		return;
	do
		n = recv(client, bytes, sizeof(bytes), 0);
	while (n > 0);
	/* What it said last may not have been read. */
	assert_true(n == 0 || errno == ECONNRESET);
	close(client);
}

static void
close_it(struct conn *c, void *arg)
{
	(void)arg;
	conn_close(c, "test");
}

/* Whoever was taken over goes again. */
static void
send_away(int client)
{
	eios_each(&p.eios, eio_refuse);
	conns_each(&p.conns, close_it, NULL);
	turns();
	nothing(client);
}

static void
keep(void *arg, const struct buf *one)
{
	struct buf *b = arg;

	buf_reset(b); /* the last of them */
	buf_append(b, one->data, one->len);
}

static void
carry(struct conn *c, void *arg)
{
	struct buf *b = arg;

	buf_reset(b);
	if (conn_carry(c, b) == -1)
		buf_reset(b);
}

/* What it says of itself now. */
static void
told(struct buf *b)
{
	if (p.eios.n > 0)
		eios_carry(&p.eios, keep, &session);
	conns_each(&p.conns, carry, b);
	conns_carried(&p.conns, 0);
	eios_carried(&p.eios, 0);
}

/* Two joins, asked for once more, and a message. */
static void
ask_for(void)
{
	static const char *const names[] = { "21", "22", "22" };
	struct about a = { .has_name = 1 };
	struct live *v = live_using(id->uses);
	struct json_object *o;
	size_t i;

	assert_non_null(v);
	for (i = 0; i < 3; i++) {
		strcpy(a.name, names[i]);
		a.tag = (int64_t)i + 1;
		live_join(v, &a, 3);
	}
	a.tag = 4;
	o = json_object_new_object();
	json_object_object_add(o, "content", json_object_new_string("x"));
	live_send(v, &a, o, 0, 0);
	json_object_put(o);
	assert_int_equal(live_open(v), 4);
}

/* Whoever it is goes on: it says something, and is told something. */
static void
go_on(int client)
{
	static const char bytes[] = "\x80\x82\0\0\0\0ab\x81\x82\0\0\0\0{}";
	static const char line[] = "{\"id\":0,\"type\":\"typing_indicator\","
				   "\"rooms\":[\"inbox\",\"conversation:31\"],"
				   "\"data\":{\"conversation_id\":\"31\","
				   "\"user_id\":\"2\",\"typing\":true}}";
	struct event *e = NULL;

	(void)!write(client, bytes, sizeof(bytes) - 1);
	turns();
	assert_int_equal(event_parse(line, sizeof(line) - 1, &e), 1);
	hub_ephemeral(&p.hub, e);
	turns();
}

static const struct sample {
	const char *name;
	void (*make)(struct buf *);
	enum eio_state state; /* of its session; 0: it has none */
	int asks;
} samples[] = {
	{ "a request in part", make_head, 0, 0 },
	{ "a WebSocket that is in", make_ws, 0, 1 },
	{ "a chat that catches up", make_chat, 0, 0 },
	{ "a stream", make_stream, 0, 0 },
	{ "a stream that catches up", make_opening, 0, 0 },
	{ "a long poll", make_poll, 0, 0 },
	{ "a poll of Engine.IO", make_get, EIO_POLLS, 1 },
	{ "a socket of Engine.IO", make_socket, EIO_SOCKET, 1 },
};

/* The real records of ${s}: of its connection and, in ${session}, its other. */
static void
record_of(const struct sample *s, struct buf *b)
{
	struct carry_in in;
	struct buf first;
	int client;

	buf_init(b, 1 << 20);
	buf_reset(&session);
	buf_init(&first, 1 << 20);
	if (s->state) {
		put_session(&first, s->state);
		in = reading(&first);
		assert_int_equal(socketio_adopt(&p, &in), 0);
		buf_reset(&first);
	}
	s->make(&first);
	assert_int_equal(adopt(reading(&first), &client), 0);
	if (s->asks)
		ask_for();
	told(b);
	assert_true(b->len > 0);
	send_away(client);
	buf_fini(&first);
}

/* Its session, if it has one, comes first. */
static void
put_by(const struct sample *s)
{
	struct carry_in in = reading(&session);

	if (s->state)
		assert_int_equal(socketio_adopt(&p, &in), 0);
}

static void
whole(const struct sample *s, const struct buf *b)
{
	struct buf again, was;
	int client;

	buf_init(&again, 1 << 20);
	buf_init(&was, 1 << 20);
	buf_append(&was, session.data, session.len);
	put_by(s);
	assert_int_equal(adopt(reading(b), &client), 0);
	told(&again);
	assert_int_equal(again.len, b->len);
	assert_memory_equal(again.data, b->data, b->len);
	if (s->asks)
		assert_int_equal(live_open(live_using(id->uses)), 4);
	buf_reset(&session);
	buf_append(&session, was.data, was.len);
	go_on(client);
	send_away(client);
	buf_fini(&again);
	buf_fini(&was);
}

/* A copy of just the bytes, so that one more is out of bounds. */
static char *
copy(const struct buf *b, size_t len)
{
	char *out = malloc(len ? len : 1);

	assert_non_null(out);
	memcpy(out, b->data, len);
	return out;
}

static void
cut_conn(const struct sample *s, struct buf *b)
{
	size_t n, len = b->len;
	int client;
	char *cut;

	buf_putc(b, '\0'); /* one too many is no better */
	for (n = 0; n <= b->len; n++) {
		if (n == len)
			continue;
		put_by(s);
		cut = copy(b, n);
		assert_int_equal(
		    adopt((struct carry_in){ cut, n, 0 }, &client), -1);
		free(cut);
		/* A session without its socket goes; one that polls stays. */
		eios_adopted(&p.eios);
		if (s->state == EIO_POLLS && n < len)
			eios_each(&p.eios, eio_refuse);
		nothing(client);
	}
	b->len = len;
}

static void
change_conn(const struct sample *s, const struct buf *b)
{
	size_t n;
	int client, i;
	char *made;

	for (n = 0; n < b->len; n++)
		for (i = 0; i < CHANGES; i++) {
			put_by(s);
			made = copy(b, b->len);
			made[n] ^= (char)(i < 2 ? i + 1 : 1 + (int)some(255));
			if (adopt((struct carry_in){ made, b->len, 0 },
				&client) == 0)
				go_on(client);
			eios_adopted(&p.eios);
			turns();
			free(made);
			send_away(client);
		}
}

static void
cut_session(void)
{
	size_t n, len = session.len;
	struct carry_in in;
	char *cut;

	buf_putc(&session, '\0');
	for (n = 0; n <= session.len; n++) {
		if (n == len)
			continue;
		cut = copy(&session, n);
		in = (struct carry_in){ cut, n, 0 };
		assert_int_equal(socketio_adopt(&p, &in), -1);
		free(cut);
		nothing(-1);
	}
	session.len = len;
}

static void
change_session(const struct buf *b)
{
	struct carry_in in;
	int client, i;
	size_t n;
	char *made;

	for (n = 0; n < session.len; n++)
		for (i = 0; i < CHANGES; i++) {
			made = copy(&session, session.len);
			made[n] ^= (char)(i < 2 ? i + 1 : 1 + (int)some(255));
			in = (struct carry_in){ made, session.len, 0 };
			(void)socketio_adopt(&p, &in);
			if (adopt(reading(b), &client) == 0)
				go_on(client);
			eios_adopted(&p.eios);
			turns();
			free(made);
			send_away(client);
		}
}

static void
test_connections(void **state)
{
	const struct sample *s = samples;
	struct buf b;

	(void)state;
	for (; s < samples + sizeof(samples) / sizeof(samples[0]); s++) {
		record_of(s, &b);
		print_message(
		    "%s: %zu and %zu bytes\n", s->name, b.len, session.len);
		whole(s, &b);
		cut_conn(s, &b);
		change_conn(s, &b);
		if (s->state) {
			cut_session();
			change_session(&b);
		}
		buf_fini(&b);
	}
}

/* --- what stands for itself --- */

static void
forget(void *arg, struct event *e)
{
	(void)arg;
	assert_non_null(e->type);
	event_free(e);
}

static void
one_ident(struct buf *b)
{
	put_ident(b, "agent:2");
}

static int
take_ident(struct carry_in *in)
{
	int rc = idents_adopt(&p.idents, in);

	/* Nobody uses it: it goes.  The one of the fixture is used. */
	idents_adopted(&p.idents);
	return rc;
}

static void
one_presence(struct buf *b)
{
	carry_text(b, "u:2");
	carry_text(b, "agent:2");
	carry_num(b, 1);
	carry_num(b, 1);
	carry_int(b, clock_mono_ms() + 1000000);
}

static int
take_presence(struct carry_in *in)
{
	struct presence x;
	int rc;

	presence_init(&x, p.loop, p.backend, 1000);
	rc = presence_adopt(&x, in, 1000);
	assert_int_equal(x.all.used, rc == 0);
	turns();
	presence_fini(&x);
	return rc;
}

static void
one_typing(struct buf *b)
{
	static const char line[] =
	    "{\"id\":0,\"type\":\"typing_indicator\","
	    "\"rooms\":[\"conversation:1\"],\"except\":\"agent:9\","
	    "\"data\":{\"conversation_id\":\"1\",\"user_id\":\"2\","
	    "\"typing\":true},\"timestamp\":1}";

	carry_bytes(b, "1:agent:2", 9);
	carry_int(b, 1);
	carry_bytes(b, line, sizeof(line) - 1);
}

static int
take_typing(struct carry_in *in)
{
	struct typing x;
	int rc;

	typing_init(&x, p.loop, 1, forget, NULL);
	rc = typing_adopt(&x, in);
	assert_int_equal(x.all.used, rc == 0);
	turns(); /* its time has come long ago */
	typing_fini(&x);
	return rc;
}

static void
one_past(struct buf *b)
{
	carry_bytes(b, "abcdefghijabcdefghij", SIOPAST_PID);
	carry_text(b, "a2");
	carry_num(b, 5);
	carry_bytes(b,
	    "31\0"
	    "32",
	    6);
}

static int
take_past(struct carry_in *in)
{
	static const int64_t most = 10;
	struct siopast x;
	int rc;

	siopast_init(&x, &most, &most, &most);
	rc = siopast_adopt(&x, in);
	assert_int_equal(x.n, rc == 0);
	siopast_fini(&x);
	return rc;
}

static const struct {
	void (*put)(struct buf *);
	int (*take)(struct carry_in *);
} others[] = {
	{ one_ident, take_ident },
	{ one_presence, take_presence },
	{ one_typing, take_typing },
	{ one_past, take_past },
};

static void
test_others(void **state)
{
	struct ident_use use = { .ident = NULL };
	static const struct ident_ops none;
	struct carry_in in;
	struct buf b;
	size_t k, n;
	char *made;
	int i;

	(void)state;
	ident_use(&p.idents, id, &use, &none, 1);
	for (k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
		buf_init(&b, 65536);
		others[k].put(&b);
		in = reading(&b);
		assert_int_equal(others[k].take(&in), 0);
		for (n = 0; n < b.len; n++) {
			made = copy(&b, n);
			in = (struct carry_in){ made, n, 0 };
			assert_int_equal(others[k].take(&in), -1);
			free(made);
			for (i = 0; i < CHANGES; i++) {
				made = copy(&b, b.len);
				made[n] ^= (char)(1 + some(255));
				in = (struct carry_in){ made, b.len, 0 };
				(void)others[k].take(&in);
				free(made);
			}
		}
		assert_null(ident_of(&p.idents, "agent:2"));
		buf_fini(&b);
	}
	ident_unuse(&p.idents, &use);
}

/* --- */

static int
begin(void **state)
{
	static const struct eio_limits lim = { .ping_interval_ms = 25000,
		.ping_timeout_ms = 20000,
		.payload_bytes_max = 1000000 };
	static const struct transport_path paths[] = { { "/ws/live-chat",
							   &ws_transport },
		{ "/chat/ws", &ws_chat_transport },
		{ "/api/events/stream", &sse_transport },
		{ "/api/events/longpoll", &longpoll_transport },
		{ "/socket.io/", &socketio_transport }, { NULL, NULL } };
	static const struct backend_conf bc = { .socket = "/nowhere",
		.key = "",
		.pool = 1,
		.timeout_ms = 1000,
		.waiting_max = 10 };
	static const int64_t most = 100;
	struct carry_in in;
	struct buf b;

	(void)state;
	log_open("test_carried", "/dev/null", LOG_ERROR);
	p.loop = ev_loop_new(0);
	p.cf.connections_max = 100;
	p.cf.head_bytes_max = 16384;
	p.cf.header_bytes_max = 8192;
	p.cf.url_bytes_max = 8192;
	p.cf.headers_max = 100;
	p.cf.queue_bytes_max = 1 << 20;
	p.cf.ws_message_bytes_max = 1000000;
	p.cf.ws_fragments_max = 100;
	p.cf.socket_acks_max = p.cf.socket_rooms_max = 10;
	p.cf.client_id_bytes_max = 100;
	p.cf.user_message_rate_max = 100;
	p.cf.longpoll_s_max = 20;
	p.cf.ping_interval_ms = 25000;
	p.cf.ping_timeout_ms = 20000;
	hub_init(&p.hub, 10, 1 << 20);
	hub_start(&p.hub, 2, 0, "e");
	hub_skip(&p.hub, HEAD);
	p.hub.ready = 1;
	p.backend = backend_new(p.loop, &bc);
	p.replays.hub = &p.hub;
	p.replays.backend = p.backend;
	presence_init(&p.presence, p.loop, p.backend, 1000);
	p.cf.identity_s = 60;
	p.cf.push_pool = 2;
	p.cf.account_connections_max = most;
	idents_init(&p.idents, p.loop, p.backend, &p.presence, &p.cf);
	typing_init(&p.typing, p.loop, 1000, forget, NULL);
	longpolls_init(&p.longpolls, p.loop);
	siopast_init(&p.siopast, &most, &most, &most);
	conns_init(&p.conns, p.loop, &p.cf, paths);
	eios_init(&p.eios, &p.conns, &p.idents, &lim);
	p.conns.pathless = eio_transports;
	buf_init(&session, 1 << 20);
	buf_init(&b, 4096);
	put_ident(&b, "agent:1");
	in = reading(&b);
	assert_int_equal(idents_adopt(&p.idents, &in), 0);
	buf_fini(&b);
	id = ident_of(&p.idents, "agent:1");
	assert_non_null(id);
	ident_hold(id);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	ident_drop(&p.idents, id);
	buf_fini(&session);
	eios_fini(&p.eios);
	conns_fini(&p.conns);
	siopast_fini(&p.siopast);
	longpolls_fini(&p.longpolls);
	typing_fini(&p.typing);
	idents_adopted(&p.idents);
	idents_fini(&p.idents);
	presence_fini(&p.presence);
	backend_free(p.backend);
	hub_fini(&p.hub);
	ev_loop_destroy(p.loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_others),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, begin, end);
}
