/*
 * Rights that change while something is on its way: an answer about who
 * somebody is that comes too late, what was missed and may no longer be seen,
 * joins, and signals between two polls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "api_fixture.h"
#include "log.h"
#include "push.h"
#include "sse.h"
#include "ws.h"

#define IDENTIFY "/internal/identify"
#define REPLAY "/internal/replay"
#define JOIN "/internal/join"

enum { BASE = 10, TURNS = 3 };

static struct push p;
static char got[1 << 16]; /* what a client was sent last */

static void
turns(void)
{
	int i;

	for (i = 0; i < TURNS; i++)
		ev_run(p.loop, EVRUN_NOWAIT);
}

/* --- clients --- */

/* A connection that has just sent the request ${head}. */
static int
client(const char *head)
{
	struct carry_in in;
	struct buf b;
	int fds[2], i;

	buf_init(&b, 65536);
	carry_text(&b, NULL);
	carry_text(&b, NULL);
	for (i = 0; i < 5; i++)
		carry_num(&b, 0);
	carry_num(&b, UINT32_MAX);
	for (i = 0; i < 3; i++)
		carry_num(&b, 0);
	carry_bytes(&b, head, strlen(head));
	carry_bytes(&b, "", 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	in = (struct carry_in){ .p = b.data, .left = b.len };
	assert_int_equal(conn_adopt(&p.conns, fds[0], &in), 0);
	buf_fini(&b);
	turns();
	return fds[1];
}

#define BEARER(t) "Host: h\r\nAuthorization: Bearer " t "\r\n"
#define STREAM(t, cursor)                             \
	"GET /api/events/stream HTTP/1.1\r\n" BEARER( \
	    t) "Last-Event-ID: " cursor "\r\n\r\n"
#define POLL(t, query) \
	"GET /api/events/longpoll?" query " HTTP/1.1\r\n" BEARER(t) "\r\n"
#define UPGRADE(t)                                      \
	BEARER(t)                                       \
	"Upgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Version: 13\r\n"                 \
	"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
#define SOCKET(t) "GET /ws/live-chat?events= HTTP/1.1\r\n" UPGRADE(t)

/* What came since, in ${got}; whether it is still open. */
static int
hear(int fd)
{
	size_t len = 0;
	ssize_t n;

	turns();
	while ((n = recv(fd, got + len, sizeof(got) - 1 - len, 0)) > 0)
		len += (size_t)n;
	got[len] = '\0';
	for (n = 0; (size_t)n < len; n++)
		if (got[n] == '\0')
			got[n] = ' ';
	return recv(fd, &(char){ 0 }, 1, MSG_PEEK) != 0;
}

static unsigned
count(const char *what)
{
	const char *s = got;
	unsigned n = 0;

	for (; (s = strstr(s, what)) != NULL; s++)
		n++;
	return n;
}

/* A masked text frame. */
static void
say(int fd, const char *text)
{
	char frame[256] = { '\x81', (char)(0x80 | strlen(text)) };

	assert_true(strlen(text) < 126);
	memcpy(frame + 6, text, strlen(text));
	assert_true(write(fd, frame, 6 + strlen(text)) > 0);
	turns();
}

static void
close_it(struct conn *c, void *arg)
{
	(void)arg;
	conn_close(c, "test");
}

/* --- what api.fcgi says --- */

#define MAI                                                             \
	"\"ok\":true,\"kind\":\"agent\",\"id\":\"1\",\"name\":\"Mai\"," \
	"\"role\":\"agent\",\"conversations\":[]"

/* The session ${ref} is Mai's, who stands in ${rooms}, as of ${head}. */
static void
is_mai(const char *ref, const char *rooms, int head)
{
	char text[512];

	snprintf(text, sizeof(text),
	    "{\"head\":%d,\"items\":[{" MAI ",\"ref\":\"%s\",\"rooms\":[%s]}]}",
	    head, ref, rooms);
	api_say(IDENTIFY, 200, text);
	turns();
}

static void
is_nobody(int head)
{
	char text[256];

	snprintf(text, sizeof(text),
	    "{\"head\":%d,\"items\":[{\"ok\":false,\"status\":401,"
	    "\"code\":\"unauthenticated\",\"error\":\"No\"}]}",
	    head);
	api_say(IDENTIFY, 200, text);
	turns();
}

/* An event of the log. */
static void
event(int id, const char *type, const char *room, const char *data)
{
	char line[512];
	struct event *e = NULL;

	snprintf(line, sizeof(line),
	    "{\"id\":%d,\"prev\":%d,\"type\":\"%s\",\"rooms\":[\"%s\"],"
	    "\"data\":%s}",
	    id, id - 1, type, room, data);
	assert_int_equal(event_parse(line, strlen(line), &e), 1);
	if (strcmp(type, "session_changed") == 0)
		ident_control(&p.idents, e);
	hub_append(&p.hub, e);
	turns();
}

/* The session has changed; what, has to be asked. */
static void
changed(int id, const char *ref)
{
	char data[64];

	snprintf(data, sizeof(data), "{\"refs\":[\"%s\"]}", ref);
	event(id, "session_changed", "none", data);
}

static void
signal_to(const char *room, const char *except, int n)
{
	char line[256];
	struct event *e = NULL;

	snprintf(line, sizeof(line),
	    "{\"id\":0,\"type\":\"typing_indicator\",\"rooms\":[\"%s\"],"
	    "\"except\":\"%s\",\"data\":{\"n\":\"s%d.\"}}",
	    room, except, n);
	assert_int_equal(event_parse(line, strlen(line), &e), 1);
	hub_ephemeral(&p.hub, e);
	turns();
}

/* --- who somebody is --- */

/* An answer for who is gone is for nobody; the others get theirs. */
static void
test_gone(void **state)
{
	static const char *const heads[] = { STREAM("t", "10"),
		POLL("t", "after=10"), SOCKET("t") };
	int fds[3], other;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		fds[i] = client(heads[i]);
	assert_int_equal(api_asked(IDENTIFY), 1); /* all show the same */
	for (i = 0; i < 3; i++)
		close(fds[i]);
	conns_each(&p.conns, close_it, NULL);
	turns();
	is_mai("a:1", "\"inbox\"", 10);
	assert_null(ident_of(&p.idents, "a:1")->uses);

	fds[0] = client(STREAM("u", "10"));
	fds[1] = client(POLL("u", "after=10"));
	fds[2] = client(STREAM("u", "10"));
	other = client(POLL("u", "after=10&wait=0"));
	close(fds[1]);
	turns();
	assert_int_equal(p.conns.n, 3);
	is_mai("a:2", "\"inbox\"", 10);
	assert_int_equal(api_asked(IDENTIFY) + api_asked(JOIN), 0);
	assert_false(hear(other));
	assert_int_equal(count("\"success\":true"), 1);
	event(11, "news", "inbox", "{\"t\":\"x1\"}");
	for (i = 0; i < 3; i += 2) {
		assert_true(hear(fds[i]));
		assert_int_equal(count("x1"), 1);
		close(fds[i]);
	}
	close(other);
}

/* Looked up before the session changed: nothing is given before it is again. */
static void
test_outdated(void **state)
{
	int stream, poll, refused;

	(void)state;
	stream = client(STREAM("t", "10"));
	poll = client(POLL("t", "after=10"));
	refused = client(STREAM("v", "10"));
	assert_int_equal(api_asked(IDENTIFY), 2);
	changed(11, "a:1");
	event(12, "news", "inbox", "{\"t\":\"x2\"}");
	is_mai("a:1", "\"inbox\",\"old\"", 10);
	is_mai("a:3", "\"inbox\"", 10);
	assert_true(hear(stream));
	assert_int_equal(count("x2"), 0);
	assert_true(hear(poll));
	assert_string_equal(got, "");
	/* Both are asked about again; what they see is what is so now. */
	assert_int_equal(api_asked(IDENTIFY), 2);
	is_mai("a:1", "\"inbox\"", 12);
	is_nobody(12);
	assert_true(hear(stream));
	assert_int_equal(count("x2"), 1);
	assert_false(hear(poll));
	assert_int_equal(count("x2"), 2); /* each is in an answer twice */
	assert_false(hear(refused));
	assert_int_equal(count("x2"), 0);
	event(13, "news", "old", "{\"t\":\"x3\"}");
	hear(stream);
	assert_int_equal(count("x3"), 0);
	close(stream);
	close(poll);
	close(refused);
}

/* --- what was missed --- */

#define PAGE(last, events) \
	"{\"events\":[" events "],\"last\":" last ",\"more\":false}"
#define NEWS(id, room, t)                                                \
	"{\"id\":" id ",\"prev\":0,\"type\":\"news\",\"rooms\":[\"" room \
	"\"],\"data\":{\"t\":\"" t "\"}}"

/* Rights are lost while the log is asked: its answer is not what counts. */
static void
test_replay(void **state)
{
	static const char *const heads[] = { STREAM("t", "5"),
		POLL("t", "after=5"),
		"GET /ws/live-chat?cursor=5 HTTP/1.1\r\n" UPGRADE("t") };
	int fd, id = 10;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		fd = client(heads[i]);
		is_mai("a:1", "\"inbox\",\"team\"", id);
		assert_int_equal(api_asked(REPLAY), 1);
		changed(++id, "a:1");
		/* What the log would have said is void: nobody listens. */
		assert_int_equal(api_asked(REPLAY), 0);
		assert_int_equal(api_asked(IDENTIFY), 1);
		is_mai("a:1", "\"inbox\"", id);
		assert_int_equal(api_asked(REPLAY), 1);
		assert_non_null(strstr(api_call(REPLAY)->uri, "after=5&"));
		api_say(REPLAY, 200, PAGE("10", NEWS("8", "inbox", "x4")));
		assert_int_equal(hear(fd), i != 1);
		assert_int_equal(count("x4"), i == 1 ? 2 : 1);
		close(fd);
		turns();
		/* Or it is nobody by now. */
		fd = client(heads[i]);
		assert_int_equal(api_asked(REPLAY), 1);
		changed(++id, "a:1");
		is_nobody(id);
		assert_int_equal(api_asked(REPLAY), 0);
		assert_false(hear(fd));
		assert_int_equal(count("x4"), 0);
		close(fd);
		turns();
		assert_int_equal(p.conns.n, 0);
	}
}

/* A page is given in part when rights are lost: the rest of it is not. */
static void
test_page(void **state)
{
	static char page[1 << 16];
	char big[4000];
	size_t n;
	int fd, i;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	n = (size_t)snprintf(page, sizeof(page), "{\"events\":[");
	for (i = 1; i <= 10; i++)
		n += (size_t)snprintf(page + n, sizeof(page) - n,
		    "%s{\"id\":%d,\"prev\":0,\"type\":\"news\",\"rooms\":"
		    "[\"team\"],\"data\":{\"n\":\"m%d.\",\"t\":\"%s\"}}",
		    i > 1 ? "," : "", i, i, big);
	snprintf(page + n, sizeof(page) - n, "],\"last\":10,\"more\":false}");
	fd = client(STREAM("t", "0"));
	is_mai("a:1", "\"inbox\",\"team\"", 10);
	api_say(REPLAY, 200, page);
	/* So much is queued that the rest waits; it has not been sent yet. */
	changed(11, "a:1");
	assert_true(hear(fd));
	assert_int_equal(count("m1."), 1);
	assert_int_equal(count("m10."), 0);
	is_mai("a:1", "\"inbox\"", 11);
	assert_int_equal(api_asked(REPLAY), 1);
	assert_null(strstr(api_call(REPLAY)->uri, "after=0&"));
	api_say(REPLAY, 200, PAGE("11", ""));
	assert_true(hear(fd));
	assert_int_equal(count("\"n\":"), 0);
	event(12, "news", "inbox", "{\"t\":\"x5\"}");
	hear(fd);
	assert_int_equal(count("x5"), 1);
	close(fd);
}

/* --- joins --- */

/* Access is taken while a join is asked for: the answer knew nothing of it. */
static void
test_join(void **state)
{
	int fd;

	(void)state;
	fd = client(SOCKET("t"));
	is_mai("a:1", "\"inbox\"", 10);
	hear(fd);
	say(fd, "{\"type\":\"join_conversation\","
		"\"payload\":{\"conversationId\":\"21\"}}");
	assert_int_equal(api_asked(JOIN), 1);
	changed(11, "a:1");
	api_say(JOIN, 200, "{\"conversation\":\"21\",\"cursor\":10}");
	assert_true(hear(fd));
	assert_int_equal(count("joined"), 0);
	/* Asked once more; as it is now, it is refused, once. */
	assert_int_equal(api_asked(JOIN), 1);
	is_mai("a:1", "\"inbox\"", 11);
	api_say(JOIN, 404, "{}");
	assert_true(hear(fd));
	assert_int_equal(count("not_found"), 1);
	event(12, "news", "conversation:21", "{\"t\":\"x6\"}");
	hear(fd);
	assert_int_equal(count("x6"), 0);
	assert_int_equal(api_asked(IDENTIFY) + api_asked(JOIN), 0);
	close(fd);
}

/* --- signals --- */

/* A poll of ${head}: what signals it had, as "s1.s2."; it is over. */
static const char *
polled(const char *head)
{
	static char seen[256];
	const char *s;
	int fd = client(head);
	size_t n = 0;

	if (api_asked(IDENTIFY) > 0)
		is_mai(strstr(head, "Bearer t") ? "a:1" : "a:2",
		    "\"inbox\",\"user:1\"", 10);
	assert_false(hear(fd));
	close(fd);
	s = strstr(got, "\"events\":[");
	assert_non_null(s);
	s = strtok(strstr(got, "\r\n\r\n") + 4, "]");
	for (; (s = strstr(s, "\"n\":\"")) != NULL; s += 5)
		n +=
		    (size_t)snprintf(seen + n, sizeof(seen) - n, "%.3s", s + 5);
	seen[n] = '\0';
	return seen;
}

static void
test_signals(void **state)
{
	int fd;

	(void)state;
	signal_to("inbox", "none", 1);
	/* Each session begins with its first poll, and hears for itself. */
	assert_string_equal(polled(POLL("t", "wait=0")), "");
	signal_to("inbox", "none", 2);
	assert_string_equal(polled(POLL("u", "wait=0")), "");
	signal_to("inbox", "none", 3);
	signal_to("elsewhere", "none", 4);
	signal_to("inbox", "user:1", 5);
	assert_string_equal(polled(POLL("t", "after=10")), "s2.s3.");
	assert_string_equal(polled(POLL("t", "after=10&wait=0")), "");
	assert_string_equal(polled(POLL("u", "after=10")), "s3.");
	assert_string_equal(polled(POLL("u", "after=10&wait=0")), "");
	/* In doubt they wait; then it has those that it still may hear. */
	signal_to("inbox", "none", 6);
	signal_to("user:1", "none", 7);
	fd = client(POLL("t", "after=10"));
	assert_int_equal(api_asked(IDENTIFY), 0);
	hear(fd);
	assert_int_equal(count("s6."), 2);
	assert_int_equal(count("s7."), 2);
	close(fd);
	signal_to("inbox", "none", 8);
	signal_to("user:1", "none", 9);
	changed(11, "a:1");
	fd = client(POLL("t", "after=11"));
	signal_to("inbox", "none", 1);
	assert_true(hear(fd));
	assert_string_equal(got, "");
	is_mai("a:1", "\"inbox\"", 11);
	assert_false(hear(fd));
	assert_int_equal(count("s8."), 2);
	assert_int_equal(count("s1."), 2);
	assert_int_equal(count("s9."), 0);
	close(fd);
}

/* --- */

static int
begin(void **state)
{
	static const struct transport_path paths[] = {
		{ "/ws/live-chat", &ws_transport },
		{ "/api/events/stream", &sse_transport },
		{ "/api/events/longpoll", &longpoll_transport }, { NULL, NULL }
	};
	static const int64_t most = 100;
	static char none[1];

	(void)state;
	log_open("test_doubt", "/dev/null", LOG_ERROR);
	memset(&p, 0, sizeof(p));
	p.loop = ev_loop_new(0);
	p.cf.base_path = p.cf.cors_origins = none;
	p.cf.connections_max = 100;
	p.cf.head_bytes_max = 16384;
	p.cf.header_bytes_max = 8192;
	p.cf.url_bytes_max = 8192;
	p.cf.headers_max = 100;
	p.cf.address_connections_max = 100;
	p.cf.queue_bytes_max = 65536;
	p.cf.ws_message_bytes_max = 65536;
	p.cf.json_bytes_max = p.cf.json_string_bytes_max = 65536;
	p.cf.json_members_max = p.cf.json_depth_max = 30;
	p.cf.ws_fragments_max = 10;
	p.cf.socket_acks_max = p.cf.socket_rooms_max = 10;
	p.cf.user_message_rate_max = 100;
	p.cf.longpoll_s_max = 20;
	p.cf.stream_life_s = 1000;
	p.cf.keepalive_s = 20;
	p.cf.login_wait_s = 10;
	hub_init(&p.hub, 100, 1 << 20);
	hub_start(&p.hub, BASE, 0, "e");
	p.hub.ready = 1;
	p.replays.hub = &p.hub;
	presence_init(&p.presence, p.loop, NULL, 1000000);
	p.presence.loop = p.loop;
	p.cf.identity_s = 60;
	p.cf.push_pool = 4;
	p.cf.account_connections_max = most;
	idents_init(&p.idents, p.loop, NULL, &p.presence, &p.cf);
	longpolls_init(&p.longpolls, p.loop);
	conns_init(&p.conns, p.loop, &p.cf, paths);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	conns_each(&p.conns, close_it, NULL);
	turns();
	longpolls_fini(&p.longpolls);
	conns_fini(&p.conns);
	backend_free(NULL);
	idents_fini(&p.idents);
	presence_fini(&p.presence);
	hub_fini(&p.hub);
	ev_loop_destroy(p.loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gone, begin, end),
		cmocka_unit_test_setup_teardown(test_outdated, begin, end),
		cmocka_unit_test_setup_teardown(test_replay, begin, end),
		cmocka_unit_test_setup_teardown(test_page, begin, end),
		cmocka_unit_test_setup_teardown(test_join, begin, end),
		cmocka_unit_test_setup_teardown(test_signals, begin, end),
	};

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
