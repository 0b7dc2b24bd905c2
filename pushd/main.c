/*
 * main.c: pushd, the push daemon.
 *
 * Joins the modules: events come from ingest, pass typing and identities, go
 * through the hub to transports; what clients send goes out by the backend.
 * No disk, no database, no keys, no business rules.
 */
#include <assert.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <sodium.h>

#include "conf.h"
#include "limits.h"
#include "log.h"
#include "metrics.h"
#include "protocoltest.h"
#include "push.h"
#include "sandbox.h"
#include "socketio.h"
#include "sse.h"
#include "ws.h"

#ifndef PARLEY_VERSION
#define PARLEY_VERSION "0"
#endif

enum {
	WAITING_MAX = 4096,
	CALL_MS = 10000,
	RING_BYTES_MAX = 64 << 20,
	LISTENS_MAX = 16,
	ADDRESS_MAX = 4200
};

/* A new protocol is a file and its paths here. */
static const struct transport_path paths[] = {
	{ "/api/events/stream", &sse_transport },
	{ "/api/api/events/stream", &sse_transport },
	{ "/chat/sse", &sse_transport },
	{ "/notifications/sse", &sse_transport },
	{ "/api/events/longpoll", &longpoll_transport },
	{ "/api/api/events/longpoll", &longpoll_transport },
	{ "/ws/live-chat", &ws_transport },
	{ "/chat/ws", &ws_chat_transport },
	{ "/", &ws_chat_transport },
	{ "/socket.io/", &socketio_transport },
	{ "/health", &health_transport },
	{ "/metrics", &metrics_transport },
	{ NULL, NULL },
};

/* --echo: all else is not there. */
static const struct transport_path echo_paths[] = {
	{ "/", &ws_transport },
	{ "/chat/ws", &ws_transport },
	{ "/ws/live-chat", &ws_transport },
	{ NULL, NULL },
};

/* --protocol-test. */
static const struct transport_path protocoltest_paths[] = {
	{ "/engine.io/", &protocoltest_eio_transport },
	{ "/socket.io/", &protocoltest_sio_transport },
	{ NULL, NULL },
};

static struct push push;
static struct conf first_conf; /* what long-lived parts borrow from */
static char conf_path[4096];
static ev_signal on_term, on_int, on_hup;

/* --- events --- */

static void
event_logged(void *arg, struct event *e)
{
	struct push *p = arg;
	uint64_t given = p->hub.deliveries;
	int64_t id = e->id;

	if (strcmp(e->type, "session_changed") == 0)
		ident_control(&p->idents, e);
	else if (strcmp(e->type, "new_message") == 0)
		typing_message(&p->typing, e);
	hub_append(&p->hub, e);
	if (p->hub.deliveries != given)
		metrics_event(p, id);
}

static void
event_ephemeral(void *arg, struct event *e)
{
	struct push *p = arg;

	if (e->type == NULL)
		event_free(e);
	else if (strcmp(e->type, "typing_indicator") == 0)
		typing_signal(&p->typing, e);
	else
		hub_ephemeral(&p->hub, e);
}

static void
typing_publish(void *arg, struct event *e)
{
	struct push *p = arg;

	hub_ephemeral(&p->hub, e);
}

static void
log_ready(void *arg)
{
	struct push *p = arg;

	log_info("ready head=%lld", (long long)p->hub.head);
	replays_ready(&p->replays);
}

static void
say_bye(struct conn *c, void *arg)
{
	(void)arg;
	if (c->state != CONN_OPEN)
		return;
	c->leaving = 1; /* also if it has answers to get first */
	c->tr->bye(c, 1 + conn_jitter(5));
}

static void
end_poll(struct eio *s)
{
	if (s->state == EIO_POLLS)
		eio_end(s, 1012, "log restart");
}

/* All cursors are void: clients come back, and are told so. */
static void
log_restart(void *arg)
{
	struct push *p = arg;

	log_warn("log restart");
	conns_each(&p->conns, say_bye, NULL);
	eios_each(&p->eios, end_poll); /* those that no request stands for */
}

static void
settle(struct conn *c, void *arg)
{
	(void)arg;
	if (c->state == CONN_OPEN && c->tr->settle != NULL)
		c->tr->settle(c);
}

/* A session that no request stands for just now. */
static void
settle_poll(struct eio *s)
{
	if (s->state == EIO_POLLS && s->app->settle != NULL)
		s->app->settle(s);
}

/* Old cursors become void: quiet clients get a newer one. */
static void
log_floor(void *arg, int64_t floor)
{
	struct push *p = arg;

	log_debug("log floor=%lld", (long long)floor);
	conns_each(&p->conns, settle, NULL);
	eios_each(&p->eios, settle_poll);
}

static const struct ingest_ops ingest_ops = { event_logged, event_ephemeral,
	log_ready, log_restart, log_floor };

/* --- signals --- */

static void
on_stop(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct push *p = w->data;

	(void)revents;
	if (p->conns.draining)
		ev_break(loop, EVBREAK_ALL); /* asked twice: at once */
	else
		push_drain(p);
}

static void
on_settings(void *arg, struct conf *cf, const char *fault)
{
	struct push *p = arg;

	if (cf == NULL) {
		log_error("conf not reread: %s", fault);
		return;
	}
	if (p->cf.internal_key != first_conf.internal_key)
		conf_free(&p->cf);
	p->cf = *cf;
	mode_conf(p->mode, &p->cf);
	log_open("pushd", NULL, log_level(p->cf.log_level));
	log_info("conf reread");
}

static void
on_reload(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct push *p = w->data;

	(void)loop;
	(void)revents;
	log_reopen();
	reread_ask(&p->reread);
}

static void
signals(struct push *p)
{
	signal(SIGPIPE, SIG_IGN);
	ev_signal_init(&on_term, on_stop, SIGTERM);
	ev_signal_init(&on_int, on_stop, SIGINT);
	ev_signal_init(&on_hup, on_reload, SIGHUP);
	on_term.data = on_int.data = on_hup.data = p;
	ev_signal_start(p->loop, &on_term);
	ev_signal_start(p->loop, &on_int);
	ev_signal_start(p->loop, &on_hup);
}

/* --- start --- */

static void
usage(FILE *f)
{
	fputs("usage: pushd [--conf FILE] [--listen ADDRESS]... "
	      "[--take-over[=sockets]]\n"
	      "       pushd [--conf FILE] --listen ADDRESS "
	      "--echo|--protocol-test\n"
	      "Holds the live connections of Parley: Server-Sent Events, "
	      "WebSockets, Socket.IO\nand polls that wait.\n\n"
	      "  --conf FILE       settings; else PARLEY_CONF, else "
	      "parley.conf nearby\n"
	      "  --listen ADDRESS  HOST:PORT or a socket's path, instead of "
	      "push_listen\n"
	      "  --take-over       from the pushd that runs: its sockets and "
	      "live connections\n"
	      "  --take-over=sockets  its sockets; it sends its clients back\n"
	      "  --echo            WebSockets echo, for conformance suites; "
	      "on loopback only\n"
	      "  --protocol-test   Engine.IO and Socket.IO echo, likewise\n"
	      "  --user NAME       who to become when started by root, instead "
	      "of push_user\n"
	      "  --version, --help\n\n"
	      "SIGTERM sends clients away and ends, SIGHUP rereads the "
	      "settings.\n",
	    f);
}

/* A path of the settings is relative to state_dir. */
static const char *
listen_address(const struct conf *cf, const char *addr, char *out, size_t size)
{
	assert(addr != NULL);
	if (strchr(addr, '/') == NULL || addr[0] == '/')
		return addr;
	snprintf(out, size, "%s/%s", cf->state_dir, addr);
	return out;
}

/* Where the next pushd finds us: beside the socket of the hints. */
static int
door_path(const struct conf *cf, char *out, size_t size)
{
	const char *slash = strrchr(cf->hint_socket, '/');
	int n = slash ? (int)(slash - cf->hint_socket) + 1 : 0;

	n = snprintf(out, size, "%.*shandover.sock", n, cf->hint_socket);
	if (n > 0 && (size_t)n < size)
		return 0;
	log_error("handover path=%s why=length", cf->hint_socket);
	return -1;
}

static int
listen_at(struct push *p, const char *const *addrs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((p->handover.came >> i & 1) == 0 &&
		    conns_listen(&p->conns, addrs[i]) == -1)
			return -1;
	return 0;
}

/* Listen, with what came from another pushd or with sockets of our own. */
static int
start_sockets(
    struct push *p, const char *const *addrs, size_t n, enum handover_want want)
{
	struct handover *h = &p->handover;
	char door[SOCK_PATH_MAX + 1];
	int took = 0;

	if (p->mode != MODE_SERVE)
		return listen_at(p, addrs, n);
	if (door_path(&p->cf, door, sizeof(door)) == -1)
		return -1;
	if (want != HANDOVER_NONE)
		took = handover_take(h, door, want, addrs, n);
	if (took == -1)
		return -1;
	/* Its lock is what a second pushd finds held. */
	if (took ? ingest_adopt(&p->ingest, p->loop, &p->hub, p->backend,
		       h->hints, h->nhints, (int)p->cf.backfill_ms, &ingest_ops,
		       p) == -1
		 : ingest_start(&p->ingest, p->loop, &p->hub, p->backend,
		       p->cf.hint_socket, (int)p->cf.backfill_ms, &ingest_ops,
		       p) == -1)
		return -1;
	if (listen_at(p, addrs, n) == -1 || handover_listen(h, door) == -1)
		return -1;
	presence_begin(&p->presence, !took);
	return took ? handover_go(h) : 0;
}

static int
start(struct push *p, const char *const *listens, int nlistens,
    enum handover_want want)
{
	static char paths_of[LISTENS_MAX][ADDRESS_MAX];
	struct backend_conf bc = { .socket = first_conf.push_api_socket,
		.key = first_conf.internal_key,
		.pool = (unsigned)p->cf.push_pool,
		.waiting_max = WAITING_MAX,
		.timeout_ms = CALL_MS };
	struct eio_limits lim = { .ping_interval_ms = p->cf.ping_interval_ms,
		.ping_timeout_ms = p->cf.ping_timeout_ms,
		.payload_bytes_max = p->cf.socket_payload_bytes_max,
		.upgrade_s = p->cf.socket_upgrade_s,
		.connect_ms = p->cf.socket_connect_s * 1000 };
	const char *addrs[LISTENS_MAX];
	int i;

	if (hub_init(&p->hub, (size_t)p->cf.ring_events_max, RING_BYTES_MAX) ==
	    -1)
		return -1;
	p->backend = backend_new(p->loop, &bc);
	if (p->backend == NULL)
		return -1;
	presence_init(
	    &p->presence, p->loop, p->backend, (int)p->cf.presence_grace_ms);
	idents_init(&p->idents, p->loop, p->backend, &p->presence, &p->cf);
	p->replays.hub = &p->hub;
	p->replays.backend = p->backend;
	typing_init(
	    &p->typing, p->loop, (int)p->cf.typing_ms, typing_publish, p);
	longpolls_init(&p->longpolls, p->loop);
	if (conns_init(&p->conns, p->loop, &p->cf,
		p->mode == MODE_ECHO            ? echo_paths
		: p->mode == MODE_PROTOCOL_TEST ? protocoltest_paths
						: paths) == -1)
		return -1;
	metrics_start(p);
	siopast_init(&p->siopast, &p->cf.socket_recovery_s,
	    &p->cf.socket_recoveries_max, &p->cf.account_connections_max);
	if (eios_init(&p->eios, &p->conns, &p->idents, &lim) == -1)
		return -1;
	p->conns.pathless = eio_transports;
	handover_init(&p->handover, p);
	for (i = 0; i < nlistens; i++)
		addrs[i] = listen_address(
		    &p->cf, listens[i], paths_of[i], ADDRESS_MAX);
	return start_sockets(p, addrs, (size_t)nlistens, want);
}

/* Tell systemd, if that started us, that we serve and are the one now. */
static void
notify(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char text[64];
	size_t len;
	int fd, n;

	if (path == NULL || (len = strlen(path)) >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, len);
	if (path[0] == '@')
		un.sun_path[0] = '\0';
	n = snprintf(
	    text, sizeof(text), "READY=1\nMAINPID=%ld", (long)getpid());
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) ==
		-1)
		log_sys("notify");
	if (fd != -1)
		close(fd);
}

static void
stop(struct push *p)
{
	metrics_stop(p);
	eios_fini(&p->eios);
	if (p->conns.loop != NULL)
		conns_fini(&p->conns);
	siopast_fini(&p->siopast);
	longpolls_fini(&p->longpolls);
	handover_fini(&p->handover);
	ingest_stop(&p->ingest);
	typing_fini(&p->typing);
	idents_fini(&p->idents);
	presence_fini(&p->presence);
	backend_free(p->backend);
	hub_fini(&p->hub);
	if (p->cf.internal_key != first_conf.internal_key)
		conf_free(&p->cf);
	conf_free(&first_conf);
	reread_stop(&p->reread);
	ev_loop_destroy(p->loop);
}

/* What the command line says; the texts are the command line's. */
struct asked {
	const char *conf, *user; /* NULL: not said */
	const char *listens[LISTENS_MAX];
	int nlistens;
	enum handover_want want;
	enum mode mode;
};

/* Read it into ${a}.  -1, or the exit status if that was all. */
static int
options_read(int argc, char **argv, struct asked *a)
{
	static const struct option options[] = { { "conf", required_argument,
						     NULL, 'c' },
		{ "listen", required_argument, NULL, 'l' },
		{ "take-over", optional_argument, NULL, 't' },
		{ "echo", no_argument, NULL, 'e' },
		{ "user", required_argument, NULL, 'u' },
		{ "protocol-test", no_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (opt) {
		case 'c':
			a->conf = optarg;
			break;
		case 'l':
			if (a->nlistens < LISTENS_MAX)
				a->listens[a->nlistens++] = optarg;
			break;
		case 'e':
			a->mode = MODE_ECHO;
			break;
		case 'u':
			a->user = optarg;
			break;
		case 'p':
			a->mode = MODE_PROTOCOL_TEST;
			break;
		case 't':
			a->want = optarg ? HANDOVER_SOCKETS : HANDOVER_ALL;
			if (optarg == NULL || strcmp(optarg, "sockets") == 0)
				break;
			usage(stderr);
			return 2;
		case 'V':
			puts("pushd " PARLEY_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	if (optind < argc ||
	    (a->mode != MODE_SERVE && a->want != HANDOVER_NONE)) {
		usage(stderr);
		return 2;
	}
	return -1;
}

/*
 * The settings, and where to listen if the command line does not say.  -1, or
 * the exit status if they are not to be had; then they are freed.
 */
static int
settings_read(struct push *p, struct asked *a)
{
	struct buf err;
	int i, rc;

	if (a->conf != NULL)
		snprintf(conf_path, sizeof(conf_path), "%s", a->conf);
	else
		(void)conf_find(conf_path, sizeof(conf_path));
	mode_env(p->mode);
	buf_init(&err, 65536);
	rc = conf_load(
	    &first_conf, conf_path[0] ? conf_path : NULL, CONF_PUSHD, &err);
	if (rc == -1)
		fprintf(stderr, "%s", err.data);
	buf_fini(&err);
	if (rc == -1) {
		conf_free(&first_conf);
		return 1;
	}
	p->cf = first_conf;
	mode_conf(p->mode, &p->cf);
	if (a->nlistens == 0)
		a->listens[a->nlistens++] = p->cf.push_listen;
	for (i = 0; i < a->nlistens; i++)
		if (!mode_listen_ok(p->mode, a->listens[i])) {
			fprintf(stderr,
			    "pushd: %s: this mode answers anybody, so it "
			    "listens on loopback alone: "
			    "--listen 127.0.0.1:PORT\n",
			    a->listens[i]);
			conf_free(&first_conf);
			return 2;
		}
	return -1;
}

int
main(int argc, char **argv)
{
	struct asked a = { .want = HANDOVER_NONE, .mode = MODE_SERVE };
	int rc;

	if ((rc = options_read(argc, argv, &a)) != -1)
		return rc;
	push.mode = a.mode;
	umask(077);
	sandbox_begin();
	/* Its file of settings is not read then, later, at the first hash. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
	    sodium_init() == -1) {
		fputs("pushd: libcrypto or libsodium\n", stderr);
		return 1;
	}
	if ((rc = settings_read(&push, &a)) != -1)
		return rc;
	log_open("pushd", NULL, log_level(push.cf.log_level));
	push.loop = ev_default_loop(EVFLAG_AUTO);
	if (push.loop == NULL) {
		log_error("loop why=none");
		return 1;
	}
	if (sandbox_user(
		a.user ? a.user : push.cf.push_user, push.cf.run_dir) == -1)
		return 1;
	rc = reread_start(&push.reread, push.loop,
	    conf_path[0] ? conf_path : NULL, on_settings, &push);
	signals(&push);
	if (rc == 0)
		rc = start(&push, a.listens, a.nlistens, a.want);
	if (rc == -1 && a.want != HANDOVER_NONE) {
		/* What came is the other's: not even a farewell is ours. */
		_exit(1);
	}
	if (rc == 0) {
		notify();
		sandbox_enter();
		log_info(
		    "start pid=%ld max=%zu", (long)getpid(), push.conns.max);
		ev_run(push.loop, 0);
		log_info("end");
	}
	stop(&push);
	return rc == 0 ? 0 : 1;
}
