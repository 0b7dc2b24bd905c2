#ifndef DELIVER_JOB_H
#define DELIVER_JOB_H

#include "channel.h"
#include "deliver.h"
#include "deliver_pace.h"
#include "fetch_url.h"
#include "http_client.h"
#include "media_dir.h"
#include "store_channel.h"
#include "store_delivery.h"
#include "store_echo.h"
#include "store_media.h"

/*
 * What deliver.c (the list of jobs, profiles), deliver_send.c (one delivery
 * from claim to end), deliver_fetch.c (customers' files), deliver_token.c
 * (renewing tokens), deliver_act.c (typing and seen marks) and deliver_test.c
 * (whether an account works) share.
 */

#define DELIVER_WAIT_S_MAX 3600 /* whatever a platform asks for */

enum job_kind {
	JOB_SEND,
	JOB_PROFILE,
	JOB_REFRESH,
	JOB_FETCH,
	JOB_ACT,
	JOB_TEST,
};

#define TYPED_MAX 64 /* conversations that show somebody typing */

/* A conversation whose customer was told that an agent types. */
struct typed {
	int64_t conversation; /* 0: free */
	int64_t at;           /* monotonic ms */
};

/* One thing under way. */
struct job {
	struct job *next;
	struct deliver *dl;
	enum job_kind kind;
	bool going;     /* the HTTP client has it */
	bool waiting;   /* for a new token */
	bool refreshed; /* has had its new token: the next refusal counts */
	unsigned turn;  /* of deliver_run that looked at it last */
	int64_t since;  /* waiting since then, monotonic ms */
	int64_t channel;
	struct channel_row row;
	struct channel_account ac;
	char *token; /* the one the last request carried */

	/* JOB_SEND */
	char by[80];               /* the name of this claim */
	char said[ECHO_MARK_SIZE]; /* how its echo is told; "": not */
	struct delivery d;
	struct channel_out out;
	bool paced;   /* counted among its account's */
	bool started; /* a request of it has begun */
	char *text;   /* of this part, or where its file may be fetched */
	char *path;   /* of its file */
	struct attachment file;
	bool visible, keyed, bared, paid;
	bool busy;   /* the store could not give its file just now */
	bool held;   /* what kept it is not its own: no try */
	bool ending; /* the outcome is known but not yet stored */
	char state[12], external_id[256], error[400];
	char trouble[400]; /* why this try failed; "": it did not */
	int64_t due_at, wait_until;

	/* JOB_PROFILE */
	int64_t customer;
	char external[256], thread[256]; /* ids over there; "": none */

	/* JOB_REFRESH: the new settings, until they are stored */
	struct json_object *fresh;

	/* JOB_FETCH */
	struct fetch f;
	struct channel_media md;
	struct media_in in;
	enum media_verdict verdict; /* of what came so far */
	struct http_file into;
	struct fetch_url at; /* asked now */
	bool asks;           /* the answer is the adapter's, whatever it is */
	bool open;           /* it came by a plain address */
	int redirects;
};

struct deliver {
	const struct conf *cf;
	struct store *st;
	struct http_client *http;
	char by[64];     /* our name in leases */
	uint64_t claims; /* so far; each has a name of its own */
	struct job *jobs;
	size_t n;
	unsigned turn;
	struct pace *paces;       /* of the accounts met so far */
	size_t npaces, next_pace; /* whose turn it is */
	bool held_back;           /* a pace lets nothing begin just now */
	int64_t claim_at, profile_at, fetch_at; /* not before, monotonic ms */
	int64_t act_at, test_at;
	struct typed typed[TYPED_MAX];
};

/* job_new(dl, kind, channel): in the list, or NULL.  job_free: out of it. */
struct job *job_new(struct deliver *dl, enum job_kind kind, int64_t channel);
void job_free(struct job *j);

/* job_account(j): read the account again; false: gone, or no adapter. */
bool job_account(struct job *j);

/* pace_of(dl, channel): the pace of an account; NULL: not met yet. */
struct pace *pace_of(const struct deliver *dl, int64_t channel);

/*
 * job_gate(j, rq): let it go nowhere but where strangers' addresses may lead.
 * job_start(j, rq): begin a request of this job.  0, or -1.
 */
void job_gate(struct job *j, struct http_request *rq);
int job_start(struct job *j, struct http_request *rq);

/* profile_go(j) / send_go(j): the request of this job, with the token of now.
 */
void profile_go(struct job *j);
void send_go(struct job *j);

/*
 * fetch_take(dl): begin fetching customers' files; how many.  fetch_go(j): ask
 * the platform.  fetch_done: an answer.  fetch_again: later.  fetch_held: when
 * the account is mended.  fetch_end: what the job holds of its file.
 */
size_t fetch_take(struct deliver *dl);
void fetch_go(struct job *j);
void fetch_done(struct job *j, const struct http_answer *an);
void fetch_again(struct job *j, int64_t wait_s);
void fetch_held(struct job *j);
void fetch_end(struct job *j);

/*
 * tests_take(dl): begin the tests that are wanted.  test_go(j): ask.
 * test_done: the answer.  test_missed: there is no new token.
 */
void tests_take(struct deliver *dl);
void test_go(struct job *j);
void test_done(struct job *j, const struct http_answer *an);
void test_missed(struct job *j);

/* send_begin(j): a claimed delivery.  send_done: its request was answered. */
void send_begin(struct job *j);
void send_done(struct job *j, const struct http_answer *an);

/* send_store(j): the outcome, again after the store could not take it. */
void send_store(struct job *j);

/* send_held(j): back into the queue as it was.  send_again: after a pause. */
void send_held(struct job *j);
void send_again(
    struct job *j, int64_t wait_s, const char *reason, const char *words);

/* acts_take(dl): tell platforms who types, and what was seen.  act_done. */
void acts_take(struct deliver *dl);
void act_done(struct job *j, const struct http_answer *an);

/* token_note(j): remember which token the request carries. */
void token_note(struct job *j);

/* token_same(j): whether that one is the account's still; reads it again. */
bool token_same(struct job *j);

/* token_stale(j): none, or known to end soon, and there is a way to one. */
bool token_stale(const struct job *j);

/* token_wait(j): for a new one.  token_look(j): see whether it is there. */
void token_wait(struct job *j);
void token_look(struct job *j);

/* token_missed(j, refused): none came; ${refused}: an admin must act. */
void token_missed(struct job *j, bool refused);

/* token_done(r, an): a refresh was answered.  token_store: again. */
void token_done(struct job *r, const struct http_answer *an);
void token_store(struct job *r);

/*
 * token_refused(dl, channel, why): tell the agents, once, that an admin must
 * act; the account's queue stops.
 */
void token_refused(struct deliver *dl, int64_t channel, const char *why);

#endif
