/*
 * The floor for storing a message: the very statements that the store runs
 * for one, in a loop over bare SQLite, nothing else around them.
 *
 *	bare_post DATABASE USER CONVERSATION SECONDS full|normal
 *
 * It stores one message the usual way while SQLite tells of each statement
 * and its values, then runs those again and again with new ids.  Prints
 * transactions per second.
 */
#include <ctype.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "emit.h"
#include "log.h"
#include "store.h"
#include "store_message.h"
#include "token.h"
#include "who.h"

#define STATEMENTS_MAX 128
#define VALUES_MAX 32

struct value {
	char name[40]; /* ":id" */
	char *text;    /* the literal, without quotes */
	int quoted, null;
	int64_t number;
};

struct statement {
	char *sql;
	struct value values[VALUES_MAX];
	size_t n;
	sqlite3_stmt *q;
};

static struct statement statements[STATEMENTS_MAX];
static size_t nstatements;
static int recording;
static char client_id[48]; /* of the recorded message */

/* The literal at ${p}: where it ends; what it is into ${v}. */
static const char *
literal(const char *p, struct value *v)
{
	char *out;

	v->text = out = calloc(1, strlen(p) + 1);
	if (out == NULL)
		exit(1);
	if (*p == '\'') {
		v->quoted = 1;
		for (p++; *p != '\0'; p++) {
			if (*p == '\'' && *++p != '\'')
				break;
			*out++ = *p;
		}
		return p;
	}
	while (
	    isalnum((unsigned char)*p) || *p == '-' || *p == '.' || *p == '\'')
		*out++ = *p++;
	v->null = strcmp(v->text, "NULL") == 0;
	v->number = strtoll(v->text, NULL, 10);
	return p;
}

/* Find each parameter's value by laying text and filled-in text side by side.
 */
static void
learn(struct statement *s, const char *with)
{
	const char *p = s->sql, *w = with;
	struct value *v;
	size_t len;

	while (*p != '\0' && *w != '\0') {
		if (*p == '\'') { /* a literal of the statement's own */
			do {
				p++, w++;
			} while (*p != '\0' && *p != '\'');
		}
		if (*p != ':') {
			p++, w++;
			continue;
		}
		v = &s->values[s->n];
		len =
		    1 + strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_0123456789");
		snprintf(v->name, sizeof(v->name), "%.*s", (int)len, p);
		p += len;
		w = literal(w, v);
		if (++s->n == VALUES_MAX)
			exit(1);
	}
}

static int
heard(unsigned kind, void *arg, void *stmt, void *text)
{
	struct statement *s = &statements[nstatements];
	char *with;

	(void)kind, (void)arg;
	if (!recording || strncmp(text, "--", 2) == 0 ||
	    nstatements == STATEMENTS_MAX)
		return 0;
	s->sql = strdup(text);
	with = sqlite3_expanded_sql(stmt);
	if (s->sql == NULL || with == NULL)
		exit(1);
	learn(s, with);
	sqlite3_free(with);
	nstatements++;
	return 0;
}

static int
opened(sqlite3 *db, char **err, const struct sqlite3_api_routines *api)
{
	(void)err, (void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, heard, NULL);
}

/* One message as the API stores it, while we listen. */
static int64_t
record(const char *path, int64_t user, int64_t conversation)
{
	struct store_options op = { .path = path };
	struct message m = { .conversation = conversation,
		.content = "Message of the benchmark, of a usual length.",
		.client_id = client_id };
	struct who who = { .kind = WHO_USER, .confirmed = true };
	struct store *st;
	int64_t id;

	who.id = user;
	m.content_len = strlen(m.content);
	sqlite3_auto_extension((void (*)(void))opened);
	if (store_open(&op, &st) != STORE_DONE)
		exit(1);
	recording = 1;
	if (store_message_add(st, &who, &m) != STORE_DONE)
		exit(1);
	recording = 0;
	sqlite3_cancel_auto_extension((void (*)(void))opened);
	id = m.id;
	message_fini(&m);
	store_close(st);
	return id;
}

/* Values of the run ${n}: ids anew, everything else as it was. */
static void
bind_all(struct statement *s, int64_t first, int64_t prev, int64_t id)
{
	char client[32];
	size_t i;

	for (i = 0; i < s->n; i++) {
		const struct value *v = &s->values[i];
		int at = sqlite3_bind_parameter_index(s->q, v->name);

		if (v->null) {
			sqlite3_bind_null(s->q, at);
		} else if (!v->quoted) {
			sqlite3_bind_int64(s->q, at,
			    v->number == first  ? id
			    : v->number == prev ? id - 1
						: v->number);
		} else if (strcmp(v->text, client_id) == 0) {
			snprintf(
			    client, sizeof(client), "b%lld", (long long)id);
			sqlite3_bind_text(
			    s->q, at, client, -1, SQLITE_TRANSIENT);
		} else {
			sqlite3_bind_text(s->q, at, v->text, -1, SQLITE_STATIC);
		}
	}
}

/* What the log's newest id was before the recorded message. */
static int64_t
prev_of(sqlite3 *db, int64_t id)
{
	sqlite3_stmt *q;
	int64_t prev = 0;

	if (sqlite3_prepare_v2(db, "SELECT prev FROM events WHERE id = ?", -1,
		&q, NULL) != SQLITE_OK)
		exit(1);
	sqlite3_bind_int64(q, 1, id);
	if (sqlite3_step(q) == SQLITE_ROW)
		prev = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return prev;
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	int64_t first, prev, id;
	sqlite3 *db;
	double began, ends;
	long n = 0;
	size_t i;
	int rc;

	if (argc != 6 || token_init() == -1)
		return 2;
	log_open("bare_post", NULL, LOG_WARN);
	snprintf(client_id, sizeof(client_id), "bench-%ld-%ld", (long)getpid(),
	    (long)time(NULL));
	first = record(
	    argv[1], strtoll(argv[2], NULL, 10), strtoll(argv[3], NULL, 10));
	if (sqlite3_open(argv[1], &db) != SQLITE_OK)
		return 1;
	prev = prev_of(db, first);
	sqlite3_exec(db, "PRAGMA foreign_keys=ON; PRAGMA busy_timeout=2000",
	    NULL, NULL, NULL);
	sqlite3_exec(db,
	    strcmp(argv[5], "full") == 0 ? "PRAGMA synchronous=FULL"
					 : "PRAGMA synchronous=NORMAL",
	    NULL, NULL, NULL);
	for (i = 0; i < nstatements; i++) {
		if (sqlite3_prepare_v3(db, statements[i].sql, -1,
			SQLITE_PREPARE_PERSISTENT, &statements[i].q,
			NULL) != SQLITE_OK) {
			fprintf(stderr, "%s: %s\n", statements[i].sql,
			    sqlite3_errmsg(db));
			return 1;
		}
		if (getenv("BENCH_SHOW") != NULL)
			fprintf(stderr, "%s\n", statements[i].sql);
	}
	id = first;
	began = now_s();
	ends = began + strtod(argv[4], NULL);
	while (now_s() < ends) {
		id++;
		for (i = 0; i < nstatements; i++) {
			bind_all(&statements[i], first, prev, id);
			while (
			    (rc = sqlite3_step(statements[i].q)) == SQLITE_ROW)
				;
			if (rc != SQLITE_DONE) {
				fprintf(stderr, "%s: %s\n", statements[i].sql,
				    sqlite3_errmsg(db));
				return 1;
			}
			sqlite3_reset(statements[i].q);
		}
		n++;
	}
	printf("%.1f\n", (double)n / (now_s() - began));
	return 0;
}
