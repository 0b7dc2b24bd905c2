#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "buf.h"
#include "http_request.h"

/*
 * What a platform adapter does: prove a webhook, say in our words what it
 * holds, write the requests that send a message, and name the class of an
 * answer.  An adapter is one file and one const struct channel in the table of
 * channel.c.  It touches neither network nor database: bytes in, values out.
 */

/* One setting of an account, kept in its channel's config. */
struct channel_key {
	const char *name;  /* with the adapter's prefix: "zalo_app_id" */
	const char *value; /* when not set, or NULL */
	unsigned flags;    /* CHANNEL_SECRET, ... */
	const char *help;
};
#define CHANNEL_SECRET 1U   /* write-only */
#define CHANNEL_REQUIRED 2U /* the account is of no use without it */
#define CHANNEL_MADE 4U     /* made up at random where it is not given */

struct channel;

/* A connected account: what the store knows of it.  Borrowed. */
struct channel_account {
	int64_t id;
	const struct channel *ch;
	struct json_object *config; /* settings, by the names of ch->keys */
};

/* A webhook request as it came. */
struct channel_hook {
	const char *body;
	size_t len;
	int64_t now_ms;
	const char *(*header)(void *arg, const char *name); /* NULL: absent */
	void *arg;
};

/* The proof of a webhook request. */
enum channel_verdict {
	CHANNEL_GOOD,
	CHANNEL_FORGED, /* missing, wrong, stale or not checkable: 401 */
};

/* What an item of a webhook says. */
enum channel_op {
	CHANNEL_MESSAGE, /* content came, or went out elsewhere (echo) */
	CHANNEL_STATUS,  /* delivered or read, by ids or by watermark; or
			    failed after all, by ids */
	CHANNEL_EDIT,    /* text replaced */
	CHANNEL_DELETE,  /* taken back */
	CHANNEL_CONTACT, /* followed or unfollowed us */
	CHANNEL_NOTE,    /* known or unknown, nothing to store: logged */
};

/*
 * One item in our words.  Texts are UTF-8 without NUL, borrowed until
 * channel_batch_fini; NULL where the platform does not say.
 */
struct channel_item {
	enum channel_op op;
	bool out;                 /* MESSAGE: an echo of our own side */
	bool standby;             /* another app owns the thread */
	bool by_person;           /* echo: written by a human elsewhere */
	int64_t outbound;         /* echo: names our delivery N, or 0 */
	const char *conversation; /* external conversation id */
	const char *user;         /* external id of the customer */
	const char *user_name;    /* a claim; where the webhook has it */
	const char *user_avatar;  /* URL, likewise */
	const char *message_id;   /* dedupe key within the account */
	const char *kind;         /* text, image, ... unsupported */
	const char *text;
	const char *media_url, *media_ref, *mime, *name;
	int64_t size; /* bytes, -1: not stated */
	bool located; /* lat and lon are set; 0 is a place */
	double lat, lon;
	const char *payload;
	const char *reply_to;
	const char *reply_token; /* lets one answer go free of charge */
	const char *seen_token;  /* lets it be marked as seen */
	const char *quote_token; /* lets it be quoted */
	int64_t sent_at;         /* ms */
	const char *status;      /* STATUS: delivered, read, failed */
	const char *error;       /* STATUS failed: why, for agents */
	const char **ids;        /* STATUS: message ids, nids of them */
	size_t nids;
	int64_t watermark;       /* STATUS: without ids; ms, or 0 */
	int64_t version;         /* EDIT: the larger wins */
	bool follow;             /* CONTACT */
	const char *what;        /* NOTE: the event's name, for the log */
	struct json_object *raw; /* the event object, borrowed */
};

/* All items of one webhook body, in its order. */
struct channel_batch {
	struct channel_item *items;
	size_t n, cap;
	size_t max;          /* the rest is skipped */
	size_t skipped;      /* items that were not usable */
	const char **astray; /* accounts that others of them name */
	size_t nastray;
	struct json_object *root; /* owns the parsed texts */
	const char *field;        /* at fault, where parse says 422 */
	struct channel_chunk *chunks;
	int err; /* out of memory; sticks */
};

/* Why a delivery ended as it did. */
enum channel_class {
	CHANNEL_SENT,
	CHANNEL_RETRY,      /* later: backoff, at least wait_s */
	CHANNEL_RETRY_BARE, /* once at once, without the quote */
	CHANNEL_REAUTH,     /* the account is refused: refresh, or an admin */
	CHANNEL_PERMANENT,  /* never: reason says why */
	CHANNEL_UNKNOWN,    /* written, no usable answer */
	CHANNEL_MORE,       /* a step of several is done: build the next */
};

/* What to send: one part of one message. */
struct channel_out {
	int64_t number;            /* the delivery's own number N */
	const char *uuid;          /* the same for all tries */
	const char *conversation;  /* external conversation id */
	const char *user;          /* external customer id */
	const char *kind;          /* text, image, file, ... */
	const char *text;          /* or caption; NULL */
	const char *quote;         /* external id of the quoted message; NULL */
	const char *quote_token;   /* the quoted item's; NULL */
	const char *reply_token;   /* the newest item's, of now or NULL */
	struct json_object *quick; /* [{"title","payload"}]: answers to tap, on
				      the last part; NULL: none */
	const char *media_path;    /* file to upload, or NULL */
	const char *media_url;     /* where a platform may fetch it, or NULL */
	const char *media_name, *mime;
	int64_t media_size;
	int64_t last_inbound_at; /* ms, 0: never */
	int64_t now_ms;
	bool by_bot;      /* nobody wrote it: a program did */
	int64_t tries;    /* this one counted, from 1 */
	unsigned step;    /* counted up with each CHANNEL_MORE */
	char handle[256]; /* kept between steps, e.g. an upload's id */
};

/* What an answer means. */
struct channel_result {
	enum channel_class cls;
	bool refreshable;     /* REAUTH: a new token may cure it */
	int64_t wait_s;       /* RETRY: not before */
	bool hold;            /* RETRY: the whole account waits wait_s */
	bool once;            /* RETRY: the second time PERMANENT */
	char message_id[256]; /* SENT: the platform's id, or "" */
	char reason[64];      /* PERMANENT: window_closed, quota, ... */
	char message[256];    /* the platform's words, cleaned, for agents */
	char code[24];        /* its code, for the log */
};

/* May we still write to the customer? */
enum channel_window {
	CHANNEL_WINDOW_OPEN,
	CHANNEL_WINDOW_PAID,   /* possible, but not free */
	CHANNEL_WINDOW_CLOSED, /* the platform surely refuses, or we may not */
};

/*
 * The same with its limits.  Closed before ${until}: the platform would still
 * take it for money, which this account does not allow.
 */
struct channel_reply {
	enum channel_window state; /* of a message sent now */
	int64_t free_until;        /* ms; 0: no such limit */
	int64_t until;             /* ms; 0: the customer never wrote */
	int64_t free_left;         /* messages; -1: no such limit */
	bool asked; /* CLOSED by what we know, yet the platform decides */
};

/* What shows at the customer while nothing is sent. */
struct channel_act {
	enum { CHANNEL_TYPING, CHANNEL_TYPING_END, CHANNEL_SEEN } what;
	const char *conversation, *user; /* external ids; user may be NULL */
	const char *message_id;          /* SEEN: the newest of the customer */
	const char *seen_token;          /* and its token; NULL */
};

/* A file of a customer that must be asked for. */
struct channel_media {
	const char *conversation, *message_id; /* external ids */
	const char *kind;                      /* image, video, ... */
	const char *ref;                       /* the item's media_ref */
	unsigned step;     /* counted up with each CHANNEL_MORE */
	char handle[2048]; /* kept between steps, e.g. an address */
};

/* A contact's public face. */
struct channel_profile {
	const char *user; /* whom it is about, set by who asks */
	char name[256];
	char avatar_url[1024];
};

/* An adapter. */
struct channel {
	const char *platform;    /* as in URLs and the channels table */
	const char *prefix;      /* of its settings' names, without the _ */
	const char *account_key; /* the setting that names the account, NULL:
				    account() does, or nothing */
	const char *token_key;   /* the one a refresh renews, or NULL */
	const char *expires_key; /* end of that token in ms, 0: unknown */
	const char *renewal_key; /* end of what renews it, likewise, or NULL */
	const char *methods;     /* of its webhook, for Allow */
	const char *paste;       /* what an admin enters over there, in lines;
				    "{webhook}" and "{SETTING}" stand for what
				    they name */
	const char *ok;          /* body of a 200, NULL: empty */
	const char *ok_again;    /* the same when it was here before */
	const struct channel_key *keys;
	size_t nkeys;
	bool keyed;     /* sends carry an idempotency key: unknown is retried */
	bool json_only; /* its webhook must be application/json: else 415 */
	bool anybodys;  /* what is asked is no platform: fetch_networks rules */
	unsigned at_once, per_s; /* requests of one account, at most */
	unsigned early_s;        /* a token is renewed so long before its end */

	/*
	 * check(ac, key): NULL, or the word for what is wrong with the
	 * setting ${*key}, of those that channel.c knows, past what it sees
	 * itself.  NULL: nothing more.
	 * account(ac, out): the account's name, where it follows from others.
	 */
	const char *(*check)(
	    const struct channel_account *ac, const char **key);
	void (*account)(const struct channel_account *ac, struct buf *out);

	/*
	 * handshake(ac, query, out): the GET.  200 with the text in ${out},
	 * or 403, or 405.
	 */
	int (*handshake)(const struct channel_account *ac, const char *query,
	    struct buf *out);

	/* verify(ac, hook): over exactly the bytes received. */
	enum channel_verdict (*verify)(
	    const struct channel_account *ac, const struct channel_hook *hook);

	/*
	 * parse(ac, hook, batch): the items, appended.  0, or the status to
	 * refuse with: 400 not JSON or not UTF-8; 422 with batch->field.
	 */
	int (*parse)(const struct channel_account *ac,
	    const struct channel_hook *hook, struct channel_batch *batch);

	/*
	 * window(ac, last_inbound_at, sent_since, now_ms): may one more message
	 * go, after ${sent_since} of ours since the customer's last one (ms; 0:
	 * there was none)?
	 */
	struct channel_reply (*window)(const struct channel_account *ac,
	    int64_t last_inbound_at, int64_t sent_since, int64_t now_ms);

	/* text_max(ac): UTF-16 units of one text. */
	size_t (*text_max)(const struct channel_account *ac);

	/*
	 * lines(ac, out): whether the answers to tap of ${out}, the last part
	 * of a message, have no form there: they become lines of its text.
	 * NULL: they always have one.
	 * said(ac, out): the text of what send() sends, as an echo tells it;
	 * NULL: it is a file.  The function NULL: ${out}->text.
	 */
	bool (*lines)(
	    const struct channel_account *ac, const struct channel_out *out);
	const char *(*said)(
	    const struct channel_account *ac, const struct channel_out *out);

	/*
	 * send(ac, out, rq): the request of ${out}->step.  0: the message
	 * itself, under its key where the platform is keyed; 2: the message
	 * without a key although it is; 1: a preparation that nobody sees,
	 * which may be repeated; -1: this cannot be said on the platform, or a
	 * setting is bad.
	 */
	int (*send)(const struct channel_account *ac,
	    const struct channel_out *out, struct http_request *rq);

	/* answer(ac, out, an, rs): its class. */
	void (*answer)(const struct channel_account *ac,
	    struct channel_out *out, const struct http_answer *an,
	    struct channel_result *rs);

	/*
	 * refresh(ac, rq): 1 a request for a new token, 0 there is no way.
	 * refreshed(ac, an, now_ms): returns new the settings to change, or
	 * NULL when the answer holds no token.  Both NULL: no such thing.
	 */
	int (*refresh)(
	    const struct channel_account *ac, struct http_request *rq);
	struct json_object *(*refreshed)(const struct channel_account *ac,
	    const struct http_answer *an, int64_t now_ms);

	/*
	 * refresh_later(ac, an): of an answer without a token: it is to be
	 * asked for again, nobody needs to act.  NULL: its status tells.
	 */
	bool (*refresh_later)(
	    const struct channel_account *ac, const struct http_answer *an);

	/*
	 * act(ac, act, rq): 1 a request whose answer nobody waits for, 0 the
	 * platform has no such thing.  NULL: it has none of them.
	 */
	int (*act)(const struct channel_account *ac,
	    const struct channel_act *act, struct http_request *rq);

	/*
	 * media(ac, md, rq): the request of ${md}->step.  1: its answer is read
	 * by media_answer; 2: its answer is the file itself; 0: there is no
	 * way.  The answer to a 2 is the file when its status is 200, else,
	 * like any other, for media_answer: MORE (the next step), RETRY,
	 * REAUTH, PERMANENT.  Both NULL: no file must be asked for.
	 */
	int (*media)(const struct channel_account *ac,
	    const struct channel_media *md, struct http_request *rq);
	enum channel_class (*media_answer)(const struct channel_account *ac,
	    struct channel_media *md, const struct http_answer *an);

	/*
	 * profile(ac, user, conversation, rq): 1 a request, 0 nothing to ask;
	 * ${conversation} is the newest with them, external id, or NULL.
	 * profiled(ac, an, pf): class of the answer, ${pf} on SENT.
	 */
	int (*profile)(const struct channel_account *ac, const char *user,
	    const char *conversation, struct http_request *rq);
	enum channel_class (*profiled)(const struct channel_account *ac,
	    const struct http_answer *an, struct channel_profile *pf);

	/*
	 * probe(ac, now_ms, rq): the cheapest request that proves the token,
	 * changes nothing and names the account.  1, or 0: the settings have
	 * nothing to ask with.
	 * probed(ac, an, rs): as answer(); on SENT, message is the account's
	 * name and message_id its id over there, "" where it is not told.
	 */
	int (*probe)(const struct channel_account *ac, int64_t now_ms,
	    struct http_request *rq);
	void (*probed)(const struct channel_account *ac,
	    const struct http_answer *an, struct channel_result *rs);
};

/* channel_find(platform): the adapter, or NULL. */
const struct channel *channel_find(const char *platform);

/* channel_at(i): the i-th adapter, NULL past the last. */
const struct channel *channel_at(size_t i);

/*
 * channel_key_find(ch, name):
 * The setting called ${name}, in any letter case and with or without the
 * adapter's prefix, or NULL.
 */
const struct channel_key *channel_key_find(
    const struct channel *ch, const char *name);

/*
 * channel_conf(ac, name) / channel_conf_int(ac, name, lo, hi):
 * A setting or its default; "" / lo where there is neither or it is no number.
 */
const char *channel_conf(const struct channel_account *ac, const char *name);
int64_t channel_conf_int(
    const struct channel_account *ac, const char *name, int64_t lo, int64_t hi);

/* What is wrong with settings. */
struct channel_wrong {
	const char *code;              /* channel_fault.CODE in www/i18n */
	const struct channel_key *key; /* at which, or NULL */
};

/*
 * channel_config_wrong(ch, config, wrong):
 * Whether something is wrong, and what into ${wrong}: a required setting is
 * missing, a value is too long or holds controls, a *_base or *_url is not
 * https (http: loopback only), or what the adapter itself sees.
 */
bool channel_config_wrong(const struct channel *ch, struct json_object *config,
    struct channel_wrong *wrong);

/*
 * channel_config_check(ch, config, why):
 * 0, or -1 with what channel_config_wrong sees, in English, in ${why}.
 */
int channel_config_check(
    const struct channel *ch, struct json_object *config, struct buf *why);

/*
 * channel_account_name(ch, config, out):
 * Append what names the account over there; nothing where nothing does.
 */
void channel_account_name(
    const struct channel *ch, struct json_object *config, struct buf *out);

/*
 * channel_paste(ch, webhook, made, out):
 * What an admin enters over there, in lines; settings that are not in ${made}
 * are not told: who gave them has them, and they may be secrets.
 */
void channel_paste(const struct channel *ch, const char *webhook,
    struct json_object *made, struct buf *out);

/*
 * channel_reply_json(platform, config, last_inbound_at, sent_since, now_ms):
 * The reply window as agents are told of it; returns new {"state": "open",
 * "paid" or "closed", "free_until": ms or null, "until": ms, "free_left": n or
 * null}.  NULL where there is nothing to tell: no adapter, or the customer
 * never wrote.
 */
struct json_object *channel_reply_json(const char *platform,
    struct json_object *config, int64_t last_inbound_at, int64_t sent_since,
    int64_t now_ms);

#define CHANNEL_ENTRY_ITEMS 8 /* of a webhook's entry, on the whole */
void channel_batch_init(struct channel_batch *b);
void channel_batch_fini(struct channel_batch *b);

/*
 * channel_batch_add(b): a new zeroed item (size -1); NULL with b->err, or when
 * the batch is full, which counts as skipped.
 * channel_batch_text(b, p, len): a copy that lives as long as the batch, NUL
 * bytes as U+FFFD; NULL with b->err.
 * channel_batch_printf: likewise.
 */
struct channel_item *channel_batch_add(struct channel_batch *b);
const char *channel_batch_text(
    struct channel_batch *b, const char *p, size_t len);
const char *channel_batch_printf(struct channel_batch *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * channel_batch_astray(b, account):
 * An item that was skipped is of another account of the same application, which
 * has one address for all: note its name (NULL or "": none), each once, and
 * some hundreds at most.
 */
void channel_batch_astray(struct channel_batch *b, const char *account);

/*
 * channel_json(p, len, out):
 * Parse a webhook or answer body.  Integers too long for a double become
 * strings of their digits, so that ids stay what they were.  0, or -1.
 */
int channel_json(const char *p, size_t len, struct json_object **out);

/*
 * channel_text(b, o, key): member ${key}, a string or a whole number, as
 * text in the batch; NULL where there is none.
 */
const char *channel_text(
    struct channel_batch *b, struct json_object *o, const char *key);

/* channel_some(b, o, key): the same, NULL when it is empty, too. */
const char *channel_some(
    struct channel_batch *b, struct json_object *o, const char *key);

/*
 * channel_member(o, key): the member ${key}; NULL where there is none, it is
 * null, or ${o} is no object.
 * channel_obj(o, key) / channel_array(o, key): the same, NULL too when it is no
 * object / no array.
 */
struct json_object *channel_member(struct json_object *o, const char *key);
struct json_object *channel_obj(struct json_object *o, const char *key);
struct json_object *channel_array(struct json_object *o, const char *key);

/*
 * channel_degrees(o, key, max, out): member ${key} if it is a number from
 * -${max} to ${max}.
 */
bool channel_degrees(
    struct json_object *o, const char *key, double max, double *out);

/* channel_size(text): the bytes that these digits say; -1: no such number. */
int64_t channel_size(const char *text);

/* channel_time(text): ms from seconds or ms in digits; 0: none. */
int64_t channel_time(const char *text);

/*
 * channel_split(text, units, next):
 * Bytes of the first part of ${text} that has at most ${units} UTF-16 units,
 * cut at a line break or a space where one is near, never inside a code point;
 * ${next} is where the next part begins (past the space).  The whole length
 * when it fits.
 */
size_t channel_split(const char *text, size_t units, size_t *next);

/*
 * channel_part(text, units, k, p, len):
 * The ${k}-th of the parts, from 0; false past the last.  Empty text has none.
 */
bool channel_part(
    const char *text, size_t units, int k, const char **p, size_t *len);

/*
 * channel_copy(dst, size, src, len): text of others into a fixed field, cut
 * at a code point, controls as spaces, not UTF-8 as U+FFFD.
 */
void channel_copy(char *dst, size_t size, const char *src, size_t len);

/*
 * channel_url(ac, base, path, rq): the address of ${rq}: the setting ${base}
 * without slashes at its end, and ${path}.
 */
void channel_url(const struct channel_account *ac, const char *base,
    const char *path, struct http_request *rq);

/* channel_body(rq, o): ${o}, taken, as the JSON body.  0; -1: ${rq} is bad. */
int channel_body(struct http_request *rq, struct json_object *o);

/* channel_form(b, name, value): append a field of a form's body. */
void channel_form(struct buf *b, const char *name, const char *value);

/*
 * channel_quick_lines(b, quick): the titles of answers to tap, a "- " line
 * each, behind what ${b} holds: for platforms that have no such thing.
 */
void channel_quick_lines(struct buf *b, struct json_object *quick);

/*
 * handshake() of platforms that do not ask, and window() of those that take
 * messages whenever we like.
 */
int channel_no_handshake(
    const struct channel_account *ac, const char *query, struct buf *out);
struct channel_reply channel_always_open(const struct channel_account *ac,
    int64_t last_inbound_at, int64_t sent_since, int64_t now_ms);

/*
 * channel_face(pf, name, avatar_url):
 * What profiled() tells; NULL: not told.  An address that is not of https or
 * too long is none.
 */
void channel_face(
    struct channel_profile *pf, const char *name, const char *avatar_url);

/*
 * channel_named(b, o, id, name, rs): what probed() tells, from two members of
 * ${o}; without ${id} UNKNOWN: that was no answer.
 */
void channel_named(struct channel_batch *b, struct json_object *o,
    const char *id, const char *name, struct channel_result *rs);

/* channel_hex_equal(hex, len, bytes, n): constant time, any letter case. */
bool channel_hex_equal(
    const char *hex, size_t len, const unsigned char *bytes, size_t n);

extern const struct channel channel_facebook;
extern const struct channel channel_instagram;
extern const struct channel channel_whatsapp;
extern const struct channel channel_line;
extern const struct channel channel_tiktok;
extern const struct channel channel_zalo;
extern const struct channel channel_telegram;
extern const struct channel channel_custom;

#endif
