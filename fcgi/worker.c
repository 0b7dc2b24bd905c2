/*
 * The worker: what must not make anyone wait.  Its loop sends to platforms
 * (deliver.c) and to others' programs (hook.c) and keeps house.  It keeps
 * nothing that another program needs and may be killed at any moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "bot.h"
#include "clock.h"
#include "deliver.h"
#include "emit.h"
#include "hook.h"
#include "inbound.h"
#include "log.h"
#include "media_dir.h"
#include "sock.h"
#include "starter.h"
#include "store.h"
#include "store_bot.h"
#include "store_conversation.h"
#include "store_event.h"
#include "store_hook.h"
#include "store_idem.h"
#include "store_presence.h"
#include "store_session.h"
#include "store_webhook.h"
#include "watch.h"
#include "worker.h"

#define SECOND_MS 1000LL
#define DAY_MS (86400 * SECOND_MS)
#define SETTLE_EVERY_MS SECOND_MS
#define INBOX_MS 50 /* of webhooks at once, then others */
#define HOUSE_EVERY_MS (60 * SECOND_MS)
#define FILES_EVERY_MS (6LL * 3600 * SECOND_MS) /* a look at all of them */
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
	sigaction(SIGXFSZ, &sa, NULL);
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
	static int64_t files_at;
	int64_t now = clock_now_ms(), done, wal;
	int64_t keep_ms = cf->retention_days * DAY_MS;

	PURGE(store_log_purge(st, keep_ms, cf->retention_events, &done));
	PURGE(store_webhook_purge(st, WEBHOOK_KEEP_MS));
	PURGE(store_bot_purge(st, WEBHOOK_KEEP_MS));
	PURGE(store_idem_purge(st, DAY_MS));
	PURGE(store_session_purge(st));
	PURGE(store_hook_purge(st, now - keep_ms));
	watch_channels(st);
	media_tidy(cf, st, now >= files_at);
	if (now >= files_at)
		files_at = now + FILES_EVERY_MS;
	store_checkpoint(st, false);
	if ((wal = store_wal_bytes(st)) > WAL_ALARM)
		log_warn("write-ahead log is large bytes=%lld", (long long)wal);
	store_idle(st);
}

/* Once a minute is enough, however often we are started. */
static bool
house_due(const struct conf *cf)
{
	char path[4200];
	struct stat sb;
	time_t now = time(NULL);
	int fd;

	snprintf(path, sizeof(path), "%s/house.at", cf->run_dir);
	if (stat(path, &sb) == 0 && sb.st_mtime <= now &&
	    now - sb.st_mtime < HOUSE_EVERY_MS / SECOND_MS)
		return false;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd != -1) {
		(void)futimens(fd, NULL);
		close(fd);
	}
	return true;
}

/* The loop; ${once}: until nothing was due for ${wait_s}. */
static int
work(struct store *st, const struct conf *cf, struct deliver *dl,
    struct hooks *hk, struct bots *bt, bool once, int64_t wait_s)
{
	int64_t settle_at = 0, house_at = 0, end_at = 0, now;
	size_t begun, busy;
	int pause_ms;

	for (;;) {
		now = clock_mono_ms();
		pause_ms = (int)cf->worker_poll_ms;
		begun = 0;
		if (reopening) {
			reopening = 0;
			log_reopen();
		}
		if (now >= settle_at) {
			settle_at = now + SETTLE_EVERY_MS;
			deliver_settle(dl);
			hooks_settle(hk);
			bots_settle(bt);
			store_conversation_wake(st);
			if (!cf->push_daemon)
				(void)store_presence_expire(
				    st, cf->presence_quiet_s * SECOND_MS);
		}
		if (!stopping) {
			/* More of it: no pause before the next round. */
			if (inbound_run(cf, st, INBOX_MS) == STORE_DONE)
				pause_ms = 0;
			begun = deliver_take(dl);
		} else {
			deliver_stop(dl);
		}
		store_idle(st);
		begun += hooks_take(hk, stopping != 0);
		begun += bots_take(bt, stopping != 0);
		busy = deliver_busy(dl) + hooks_busy(hk) + bots_busy(bt);
		store_idle(st);
		if (begun > 0 || busy > 0 || pause_ms == 0 || end_at == 0)
			end_at = now + wait_s * SECOND_MS;
		if (busy == 0 &&
		    (stopping ||
			(once && begun == 0 && pause_ms > 0 && now >= end_at)))
			break;
		if (deliver_run(dl, pause_ms) == -1)
			return 1;
		store_idle(st);
		if (now >= house_at && !once) {
			house_at = now + HOUSE_EVERY_MS;
			keep_house(st, cf);
		}
	}
	if (once && !stopping && (wait_s == 0 || house_due(cf)))
		keep_house(st, cf);
	return 0;
}

/*
 * As work() for one that is alone under its lock.  What somebody else wanted
 * while we still held it, after our last look, is ours to do: that one found
 * the lock taken and left it to us.
 */
static int
work_once(struct store *st, const struct conf *cf, struct deliver *dl,
    struct hooks *hk, struct bots *bt, int64_t wait_s)
{
	char lock[4200];
	int fd, i, rc = 0;

	snprintf(lock, sizeof(lock), "%s/work-once.lock", cf->run_dir);
	for (i = 0; i < 2 && rc == 0; i++) {
		if (i > 0 && (stopping || starter_due(st) > clock_now_ms()))
			break;
		if ((fd = sock_lock(lock)) == -1) {
			if (errno == EWOULDBLOCK || errno == EAGAIN)
				break;
			log_sys("worker lock %s", lock);
			return 1;
		}
		log_info("worker start once=1");
		rc = work(st, cf, dl, hk, bt, true, wait_s);
		if (!cf->worker_daemon)
			starter_wanted(cf, starter_due(st));
		close(fd);
		log_info("worker end");
	}
	return rc;
}

int
worker_run(struct conf *cf, bool once, int64_t wait_s)
{
	struct deliver *dl = NULL;
	struct hooks *hk = NULL;
	struct bots *bt = NULL;
	struct store *st = NULL;
	int rc = 1;

	stopping = reopening = 0;
	signals_set();
	if (sodium_init() == -1)
		return 1;
	emit_init(cf);
	if ((st = database_open(cf)) == NULL ||
	    (dl = deliver_new(cf, st)) == NULL ||
	    (hk = hooks_new(cf, st, deliver_http(dl))) == NULL ||
	    (bt = bots_new(cf, st, deliver_http(dl))) == NULL)
		goto out;
	if (once) {
		rc = work_once(st, cf, dl, hk, bt, wait_s);
		goto out;
	}
	log_info("worker start once=0");
	rc = work(st, cf, dl, hk, bt, false, 0);
	log_info("worker end");
out:
	deliver_free(dl);
	hooks_free(hk);
	bots_free(bt);
	store_close(st);
	emit_fini();
	return rc;
}
