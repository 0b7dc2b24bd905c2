/*
 * Token buckets in a mapped file.  A slot is two words, each changed by
 * compare-and-swap: there is no lock that a killed process could keep.
 */

#include "rate.h"

#include "addr.h"
#include "clock.h"
#include "share.h"
#include "token.h"

#include <ctype.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SLOTS 16384u /* a power of two; 16 bytes each */
#define PROBES 4u

/*
 * A bucket after "GCRA": ${free_at} is the time, in ms, when it will be full
 * again; what one request costs is added to it.  So time and tokens are one
 * number, and one exchange decides.
 */
struct slot {
	atomic_uint_least64_t key;    /* hash of what is counted; 0: unused */
	atomic_int_least64_t free_at; /* wall clock, microseconds */
};

static struct {
	struct slot *slots;
	char path[4200];
	/* Keys come from outside: nobody shall aim at another's slot. */
	unsigned char secret[TOKEN_MAC_BYTES];
} rt;

static struct slot *
rate_slots(const struct conf *cf)
{
	char path[sizeof(rt.path)];

	(void)snprintf(path, sizeof(path), "%s/rate.map", cf->run_dir);
	if (rt.slots != NULL && strcmp(path, rt.path) == 0)
		return rt.slots;
	rate_close();
	memcpy(rt.path, path, sizeof(path));
	token_hmac(cf->jwt_key, strlen(cf->jwt_key), "rate", 4, rt.secret);
	rt.slots = share_map(path, SLOTS * sizeof(struct slot));
	return rt.slots;
}

void
rate_close(void)
{
	share_unmap(rt.slots, SLOTS * sizeof(struct slot));
	rt.slots = NULL;
}

static uint64_t
rate_hash(const void *key, size_t len)
{
	unsigned char out[crypto_shorthash_BYTES];
	uint64_t h;

	(void)crypto_shorthash(out, key, len, rt.secret);
	memcpy(&h, out, sizeof(h));
	return h != 0 ? h : 1;
}

/* The slot of ${h}, or the one to take for it: unused, else longest full. */
static struct slot *
rate_slot(struct slot *slots, uint64_t h)
{
	struct slot *s, *old = NULL;
	int64_t at, old_at = INT64_MAX;
	uint64_t key;
	unsigned i;

	for (i = 0; i < PROBES; i++) {
		s = &slots[(h + i) & (SLOTS - 1)];
		key = atomic_load(&s->key);
		if (key == h)
			return s;
		at = key == 0 ? INT64_MIN : atomic_load(&s->free_at);
		if (at < old_at) {
			old = s;
			old_at = at;
		}
	}
	/* Two who take it at once: one counts in the other's, for a while. */
	atomic_store(&old->key, h);
	atomic_store(&old->free_at, 0);
	return old;
}

/*
 * Take ${cost_us} of the bucket that holds ${room_us}.  0, or microseconds to
 * wait; with ${look} nothing is taken.
 */
static int64_t
slot_take(
    struct slot *s, int64_t cost_us, int64_t room_us, int64_t now_us, bool look)
{
	int64_t was = atomic_load(&s->free_at), from, then;

	do {
		from = was;
		/* Full; or stale, from before the clock was set back. */
		if (from < now_us || from > now_us + room_us + cost_us)
			from = now_us;
		then = from + cost_us;
		if (then > now_us + room_us)
			return then - (now_us + room_us);
		if (look)
			return 0;
	} while (!atomic_compare_exchange_weak(&s->free_at, &was, then));
	return 0;
}

int64_t
rate_bucket(const struct conf *cf, const void *key, size_t len, int64_t rate,
    int64_t per_ms, int64_t burst, int64_t now_ms)
{
	struct slot *slots = rate_slots(cf);
	int64_t cost_us, wait_us;

	if (slots == NULL)
		return 0;
	cost_us = per_ms * 1000 / (rate > 0 ? rate : 1);
	if (cost_us < 1)
		cost_us = 1;
	wait_us = slot_take(rate_slot(slots, rate_hash(key, len)), cost_us,
	    cost_us * (burst > 0 ? burst : 1), now_ms * 1000, false);
	return (wait_us + 999999) / 1000000;
}

/* Whether limits count for this asker. */
static bool
rate_off(const struct req *rq)
{
	return (!rq->cf->limits && rq->loopback) || rq->who.kind == WHO_PUSHD;
}

/* What identifies the asker: the credential, else the network. */
static int
rate_who(const struct req *rq, char *out, size_t size)
{
	char net[ADDR_TEXT_MAX];

	switch (rq->who.kind) {
	case WHO_USER:
		return snprintf(out, size, "u%lld", (long long)rq->who.id);
	case WHO_CUSTOMER:
		return snprintf(out, size, "c%lld", (long long)rq->who.id);
	default:
		addr_net(rq->addr, net);
		return snprintf(out, size, "a%s", net);
	}
}

int64_t
rate_take(struct req *rq, enum rate_kind kind, int64_t id)
{
	const struct conf *cf = rq->cf;
	char key[160], who[80], net[ADDR_TEXT_MAX];
	int64_t rate, burst = 0, per_ms = 1000;
	int n;

	if (rate_off(rq))
		return 0;
	(void)rate_who(rq, who, sizeof(who));
	addr_net(rq->addr, net);
	switch (kind) {
	case RATE_CREDENTIAL:
		n = snprintf(key, sizeof(key), "r%s", rq->who.ref);
		rate = cf->credential_request_rate_max;
		burst = cf->credential_request_burst_max;
		break;
	case RATE_ADDRESS:
		n = snprintf(key, sizeof(key), "a%s", net);
		rate = cf->address_request_rate_max;
		burst = cf->address_request_burst_max;
		break;
	case RATE_USER_MESSAGE:
		n = snprintf(key, sizeof(key), "m%s", who);
		rate = cf->user_message_rate_max;
		burst = cf->user_message_burst_max;
		break;
	case RATE_CONVERSATION:
		n = snprintf(key, sizeof(key), "v%lld", (long long)id);
		rate = cf->conversation_message_rate_max;
		break;
	case RATE_CONVERSATION_NEW:
		n = snprintf(key, sizeof(key), "n%s", net);
		rate = cf->conversation_new_per_min_max;
		per_ms = 60000;
		break;
	case RATE_TYPING:
		n = snprintf(key, sizeof(key), "t%s.%lld", who, (long long)id);
		rate = cf->typing_rate_max;
		break;
	case RATE_PRESENCE:
		n = snprintf(key, sizeof(key), "p%s", who);
		rate = cf->presence_rate_max;
		break;
	case RATE_WEBHOOK:
		n = snprintf(key, sizeof(key), "w%lld", (long long)id);
		rate = cf->webhook_rate_max;
		break;
	case RATE_WEBHOOK_FAILURE:
		n = snprintf(key, sizeof(key), "x%s", net);
		rate = cf->webhook_failures_per_min_max;
		per_ms = 60000;
		break;
	default:
		return 0;
	}
	return rate_bucket(cf, key, (size_t)n, rate, per_ms,
	    burst > 0 ? burst : rate, rq->now_ms);
}

/*
 * Log-in failures.  A slot's number is how much delay has been earned: each
 * failure adds window / allowed; past the allowance what is over it counts as
 * further failures, and the delay doubles with each.
 */
static size_t
login_key(char *out, size_t size, char kind, const char *text)
{
	size_t i, n = strlen(text);

	if (n > size - 2)
		n = size - 2;
	out[0] = kind;
	for (i = 0; i < n; i++)
		out[i + 1] = (char)tolower((unsigned char)text[i]);
	return n + 1;
}

/* What a failure adds, for an allowance of ${max}. */
static int64_t
login_cost(const struct conf *cf, int64_t max)
{
	return cf->login_window_s * 1000000 / max;
}

/* Seconds to wait by the slot of ${key}; failures over the allowance double. */
static int64_t
login_wait(const struct conf *cf, const void *key, size_t len, int64_t max,
    int64_t now_us)
{
	struct slot *slots = rate_slots(cf), *s;
	int64_t cost = login_cost(cf, max), at, over, delay, since;

	if (slots == NULL)
		return 0;
	s = rate_slot(slots, rate_hash(key, len));
	at = atomic_load(&s->free_at) - now_us;
	/* ${at} = failures * cost, less the time gone by. */
	over = (at + cost - 1) / cost - max;
	if (at <= 0 || over < 0)
		return 0;
	delay = over >= 6 ? cf->login_delay_s_max : (int64_t)1 << over;
	if (delay > cf->login_delay_s_max)
		delay = cf->login_delay_s_max;
	/* The time since the last failure has been waited already. */
	since = over * cost + max * cost - at;
	delay = delay * 1000000 - since;
	return delay > 0 ? (delay + 999999) / 1000000 : 0;
}

static void
login_fail(const struct conf *cf, const void *key, size_t len, int64_t max,
    int64_t now_us)
{
	struct slot *slots = rate_slots(cf), *s;
	int64_t cost = login_cost(cf, max), was, then, left;

	if (slots == NULL)
		return;
	s = rate_slot(slots, rate_hash(key, len));
	was = atomic_load(&s->free_at);
	do {
		left = was - now_us;
		if (left < 0)
			left = 0;
		/* Rounded up to whole failures: the delay runs from now. */
		left = (left + cost - 1) / cost * cost + cost;
		if (left > (max + 7) * cost)
			left = (max + 7) * cost;
		then = now_us + left;
	} while (!atomic_compare_exchange_weak(&s->free_at, &was, then));
}

int64_t
rate_peek(const struct conf *cf, const char *account, const char *addr)
{
	char key[300], net[ADDR_TEXT_MAX];
	int64_t now_us = clock_now_ms() * 1000, a, b;

	if (!cf->limits && addr_loopback(addr))
		return 0;
	a = login_wait(cf, key, login_key(key, sizeof(key), 'l', account),
	    cf->login_account_failures_max, now_us);
	addr_net(addr, net);
	b = login_wait(cf, key, login_key(key, sizeof(key), 'f', net),
	    cf->login_address_failures_max, now_us);
	return a > b ? a : b;
}

void
rate_fail(const struct conf *cf, const char *account, const char *addr)
{
	char key[300], net[ADDR_TEXT_MAX];
	int64_t now_us = clock_now_ms() * 1000;

	if (!cf->limits && addr_loopback(addr))
		return;
	login_fail(cf, key, login_key(key, sizeof(key), 'l', account),
	    cf->login_account_failures_max, now_us);
	addr_net(addr, net);
	login_fail(cf, key, login_key(key, sizeof(key), 'f', net),
	    cf->login_address_failures_max, now_us);
}

void
rate_clear(const struct conf *cf, const char *account, const char *addr)
{
	struct slot *slots = rate_slots(cf), *s;
	char key[300], net[ADDR_TEXT_MAX];
	size_t n = login_key(key, sizeof(key), 'l', account);

	if (slots == NULL)
		return;
	atomic_store(&rate_slot(slots, rate_hash(key, n))->free_at, 0);
	addr_net(addr, net);
	n = login_key(key, sizeof(key), 'f', net);
	s = rate_slot(slots, rate_hash(key, n));
	(void)atomic_fetch_sub(
	    &s->free_at, login_cost(cf, cf->login_address_failures_max));
}
