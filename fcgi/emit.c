/*
 * Events to pushd after COMMIT.  A hint for speed: the socket is kept, never
 * waited for, and what it does not take is counted and forgotten.
 */

#include "emit.h"

#include "buf.h"
#include "clock.h"
#include "limits.h"
#include "log.h"
#include "share.h"
#include "sock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_BYTES_MAX (4u << 20)
#define AGAIN_MS 100 /* after a failed connect the next try waits so long */

/* run/emit.map: counters of all processes. */
struct counters {
	atomic_uint_least64_t sent, lost;
};

/* A queued line follows its length in the queue. */
static struct {
	char hint[SOCK_PATH_MAX + 1];
	char map_path[4200];
	int fd;
	int64_t again_at; /* monotonic ms */
	struct buf queue; /* size_t length, line, length, line ... */
	struct buf line;
	struct counters *count;
	bool set;
} em = { .fd = -1 };

void
emit_init(const struct conf *cf)
{
	if (em.set)
		emit_fini();
	(void)snprintf(em.hint, sizeof(em.hint), "%s", cf->hint_socket);
	(void)snprintf(
	    em.map_path, sizeof(em.map_path), "%s/emit.map", cf->run_dir);
	buf_init(&em.queue, QUEUE_BYTES_MAX);
	buf_init(&em.line, EVENT_PACKET_MAX);
	em.fd = -1;
	em.again_at = 0;
	em.set = true;
}

static struct counters *
emit_counters(void)
{
	if (em.count == NULL)
		em.count = share_map(em.map_path, sizeof(*em.count));
	return em.count;
}

static void
emit_count(bool sent)
{
	struct counters *c = emit_counters();

	if (c != NULL)
		atomic_fetch_add_explicit(
		    sent ? &c->sent : &c->lost, 1, memory_order_relaxed);
}

/* The packet of ${e} into em.line: whole, or by its id alone if too large. */
static bool
emit_encode(const struct event *e)
{
	struct event bare = { .id = e->id, .prev = e->prev };

	buf_reset(&em.line);
	event_encode(e, &em.line);
	if (!em.line.err)
		return true;
	if (e->id == 0)
		return false;
	buf_reset(&em.line);
	event_encode(&bare, &em.line);
	return !em.line.err;
}

static void
emit_close(void)
{
	if (em.fd != -1)
		(void)close(em.fd);
	em.fd = -1;
}

static int
emit_connect(void)
{
	int64_t now;

	if (em.fd != -1)
		return 0;
	now = clock_mono_ms();
	if (now < em.again_at)
		return -1;
	em.fd = sock_connect(em.hint, SOCK_SEQPACKET);
	/* Somebody else's socket at our path gets nothing. */
	if (em.fd != -1 && !sock_peer_ok(em.fd)) {
		log_warn("emit socket foreign");
		emit_close();
	}
	if (em.fd == -1) {
		em.again_at = now + AGAIN_MS;
		return -1;
	}
	return 0;
}

static void
emit_send(const char *p, size_t len)
{
	int tries;

	for (tries = 0; tries < 2; tries++) {
		if (emit_connect() == -1)
			break;
		if (send(em.fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT) != -1) {
			emit_count(true);
			return;
		}
		if (errno == EINTR)
			continue;
		/* Full: the reader is behind and will ask.  Else it is gone. */
		if (errno == EAGAIN || errno == EMSGSIZE || errno == ENOBUFS)
			break;
		emit_close();
	}
	emit_count(false);
}

void
emit_event(const struct event *e)
{
	size_t len;

	if (!em.set)
		return;
	if (!emit_encode(e))
		return;
	len = em.line.len;
	/* Whole or not at all: a half-queued line would garble the rest. */
	if (em.queue.err || len + sizeof(len) > em.queue.max - em.queue.len) {
		emit_count(false);
		return;
	}
	buf_append(&em.queue, &len, sizeof(len));
	buf_append(&em.queue, em.line.data, len);
}

void
emit_flush(void)
{
	size_t at = 0, len;

	if (!em.set)
		return;
	while (!em.queue.err && em.queue.len - at > sizeof(len)) {
		memcpy(&len, em.queue.data + at, sizeof(len));
		at += sizeof(len);
		emit_send(em.queue.data + at, len);
		at += len;
	}
	emit_drop();
}

void
emit_drop(void)
{
	if (!em.set)
		return;
	if (em.queue.cap > EVENT_PACKET_MAX) {
		buf_fini(&em.queue);
		buf_init(&em.queue, QUEUE_BYTES_MAX);
	}
	buf_reset(&em.queue);
}

void
emit_ephemeral(const struct event *e)
{
	if (em.set && emit_encode(e))
		emit_send(em.line.data, em.line.len);
}

uint64_t
emit_lost(void)
{
	struct counters *c = em.set ? emit_counters() : NULL;

	return c != NULL ? atomic_load(&c->lost) : 0;
}

uint64_t
emit_sent(void)
{
	struct counters *c = em.set ? emit_counters() : NULL;

	return c != NULL ? atomic_load(&c->sent) : 0;
}

void
emit_fini(void)
{
	if (!em.set)
		return;
	emit_close();
	buf_fini(&em.queue);
	buf_fini(&em.line);
	share_unmap(em.count, sizeof(*em.count));
	em.count = NULL;
	em.set = false;
}
