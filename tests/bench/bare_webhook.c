/*
 * The floor for storing a webhook: the same row into the same table, by bare
 * SQLite, one commit each, nothing else around it.
 *
 *	bare_webhook DATABASE CHANNEL SECONDS full|normal BODY
 *
 * `%u` in BODY becomes a number of its own, as load has it.  Prints rows per
 * second.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static sqlite3_stmt *
prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *q;

	if (sqlite3_prepare_v3(
		db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL) == SQLITE_OK)
		return q;
	fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
	exit(1);
}

int
main(int argc, char **argv)
{
	static const char insert_sql[] =
	    "INSERT INTO webhook_inbox (channel_id, body_hash, body, state,"
	    " received_at) VALUES (?, ?, ?, 'done', ?)";
	sqlite3_stmt *steps[3];
	char body[4096], hash[65], number[32];
	const char *at;
	double began, ends;
	sqlite3 *db;
	long n = 0;
	int i, len;

	if (argc != 6 || (at = strstr(argv[5], "%u")) == NULL ||
	    sqlite3_open(argv[1], &db) != SQLITE_OK)
		return 2;
	sqlite3_exec(db, "PRAGMA foreign_keys=ON; PRAGMA busy_timeout=2000",
	    NULL, NULL, NULL);
	sqlite3_exec(db,
	    strcmp(argv[4], "full") == 0 ? "PRAGMA synchronous=FULL"
					 : "PRAGMA synchronous=NORMAL",
	    NULL, NULL, NULL);
	steps[0] = prepare(db, "BEGIN IMMEDIATE");
	steps[1] = prepare(db, insert_sql);
	steps[2] = prepare(db, "COMMIT");
	began = now_s();
	ends = began + strtod(argv[3], NULL);
	while (now_s() < ends) {
		snprintf(number, sizeof(number), "%ld%07ld", (long)getpid(), n);
		len = snprintf(body, sizeof(body), "%.*s%s%s",
		    (int)(at - argv[5]), argv[5], number, at + 2);
		snprintf(hash, sizeof(hash), "%08lx%056ld", (long)getpid(), n);
		sqlite3_bind_int64(steps[1], 1, strtoll(argv[2], NULL, 10));
		sqlite3_bind_text(steps[1], 2, hash, -1, SQLITE_STATIC);
		sqlite3_bind_blob(steps[1], 3, body, len, SQLITE_STATIC);
		sqlite3_bind_int64(
		    steps[1], 4, (sqlite3_int64)time(NULL) * 1000);
		for (i = 0; i < 3; i++) {
			if (sqlite3_step(steps[i]) != SQLITE_DONE) {
				fprintf(stderr, "%s\n", sqlite3_errmsg(db));
				return 1;
			}
			sqlite3_reset(steps[i]);
		}
		n++;
	}
	printf("%.1f\n", (double)n / (now_s() - began));
	return 0;
}
