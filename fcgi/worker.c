/*
 * The worker: what must not make anyone wait.  Its loop sends to platforms
 * (deliver.c) and keeps house.  It keeps nothing that another program needs
 * and may be killed at any moment.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "clock.h"
#include "deliver.h"
#include "emit.h"
#include "inbound.h"
#include "log.h"
#include "sock.h"
#include "store.h"
#include "store_conversation.h"
#include "store_event.h"
#include "store_idem.h"
#include "store_presence.h"
#include "store_session.h"
#include "store_webhook.h"
#include "worker.h"

#define SECOND_MS 1000LL
#define DAY_MS (86400 * SECOND_MS)
#define SETTLE_EVERY_MS SECOND_MS
#define INBOX_MS 50 /* of webhooks at once, then others */
#define HOUSE_EVERY_MS (60 * SECOND_MS)
#define BATCHES_AT_ONCE 20            /* of a purge, then others may write */
#define WEBHOOK_KEEP_MS (30 * DAY_MS) /* platforms repeat for three days */
#define WAL_ALARM (64 << 20)          /* bytes */

static volatile sig_atomic_t stopping, reopening;

static void
on_signal(int sig)
{
	if (sig == SIGHUP)
		reopening = 1;
	else
		stopping = 1;
}

static void
signals_set(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_signal;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

static struct store *
database_open(const struct conf *cf)
{
	struct store_options op = { .path = cf->db,
		.mode = strcmp(cf->synchronous, "normal") == 0
			    ? STORE_MODE_NORMAL
			    : STORE_MODE_FULL,
		.space_min = cf->write_free_bytes_min };
	struct store *st = NULL;

	if (store_open(&op, &st) != STORE_DONE) {
		log_error("worker: the database cannot be opened");
		return NULL;
	}
	return st;
}

/* Call ${purge} as long as it finds something, within reason. */
#define PURGE(purge)                                                      \
	do {                                                              \
		for (int i_ = 0; i_ < BATCHES_AT_ONCE && !stopping; i_++) \
			if ((purge) != STORE_DONE)                        \
				break;                                    \
		store_idle(st);                                           \
	} while (0)

/* Retention and tidying: everything in small batches. */
static void
keep_house(struct store *st, const struct conf *cf)
{
	int64_t done, wal;
	int64_t keep_ms = cf->retention_days * DAY_MS;

	PURGE(store_log_purge(st, keep_ms, cf->retention_events, &done));
	PURGE(store_webhook_purge(st, WEBHOOK_KEEP_MS));
	PURGE(store_idem_purge(st, DAY_MS));
	PURGE(store_session_purge(st));
	store_checkpoint(st, false);
	if ((wal = store_wal_bytes(st)) > WAL_ALARM)
		log_warn("write-ahead log is large bytes=%lld", (long long)wal);
	store_idle(st);
}

/* The loop; ${once}: until nothing is due. */
static int
work(struct store *st, const struct conf *cf, struct deliver *dl, bool once)
{
	int64_t settle_at = 0, house_at = 0, now;
	size_t begun;
	int wait_ms;

	for (;;) {
		now = clock_mono_ms();
		wait_ms = (int)cf->worker_poll_ms;
		begun = 0;
		if (reopening) {
			reopening = 0;
			log_reopen();
		}
		if (now >= settle_at) {
			settle_at = now + SETTLE_EVERY_MS;
			deliver_settle(dl);
			store_conversation_wake(st);
			if (!cf->push_daemon)
				(void)store_presence_expire(
				    st, cf->presence_quiet_s * SECOND_MS);
		}
		if (!stopping) {
			/* More of it: no pause before the next round. */
			if (inbound_run(st, INBOX_MS) == STORE_DONE)
				wait_ms = 0;
			begun = deliver_take(dl);
		} else {
			deliver_stop(dl);
		}
		store_idle(st);
		if (deliver_busy(dl) == 0 &&
		    (stopping || (once && begun == 0 && wait_ms > 0)))
			break;
		if (deliver_run(dl, wait_ms) == -1)
			return 1;
		store_idle(st);
		if (now >= house_at && !once) {
			house_at = now + HOUSE_EVERY_MS;
			keep_house(st, cf);
		}
	}
	if (once && !stopping)
		keep_house(st, cf);
	return 0;
}

int
worker_run(struct conf *cf, bool once)
{
	struct deliver *dl = NULL;
	struct store *st = NULL;
	char lock[4200];
	int fd = -1, rc = 1;

	stopping = reopening = 0;
	signals_set();
	if (sodium_init() == -1)
		return 1;
	if (once) {
		snprintf(lock, sizeof(lock), "%s/work-once.lock", cf->run_dir);
		if ((fd = sock_lock(lock)) == -1) {
			if (errno == EWOULDBLOCK || errno == EAGAIN)
				return 0;
			log_sys("worker lock %s", lock);
			return 1;
		}
	}
	emit_init(cf);
	if ((st = database_open(cf)) == NULL ||
	    (dl = deliver_new(cf, st)) == NULL)
		goto out;
	log_info("worker start once=%d", once);
	rc = work(st, cf, dl, once);
	log_info("worker end");
out:
	deliver_free(dl);
	store_close(st);
	emit_fini();
	if (fd != -1)
		close(fd);
	return rc;
}
