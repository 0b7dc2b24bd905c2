/*
 * The floor for plain CGI with the database: a static C program that opens
 * PARLEY_DB, reads one row of it, answers and ends.
 */
#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
main(void)
{
	static const char sql[] = "SELECT status FROM conversations LIMIT 1";
	const char *path = getenv("PARLEY_DB");
	sqlite3_stmt *q;
	sqlite3 *db;

	(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (path == NULL ||
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) !=
		SQLITE_OK ||
	    sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK ||
	    sqlite3_step(q) != SQLITE_ROW)
		return 1;
	printf("Status: 200 OK\r\n"
	       "Content-Type: application/json; charset=utf-8\r\n"
	       "Cache-Control: no-store\r\n\r\n{\"status\":\"%s\"}\n",
	    (const char *)sqlite3_column_text(q, 0));
	(void)fflush(stdout);
	_exit(0);
}
