/*
 * With -Icommon `#include <limits.h>` finds this file: pass it on, here and in
 * the headers of libraries.  As a system header it may say include_next.
 */
#pragma GCC system_header
#include_next <limits.h>

#ifndef PARLEY_LIMITS_H
#define PARLEY_LIMITS_H

/*
 * Ceilings fixed at compile time.  What an operator may change is a setting
 * (conf_keys.h) whose greatest value these do not undercut.
 */

#define BODY_BYTES_MAX (16u << 20)   /* any request body but an upload */
#define ANSWER_BYTES_MAX (64u << 20) /* any answer built in memory */
#define JSON_DEPTH_MAX 100           /* levels */
#define LOG_LINE_MAX 2048            /* bytes of a log line */
#define CONF_BYTES_MAX (1u << 20)    /* parley.conf */

#define SOCK_PATH_MAX 107 /* bytes of a Unix socket's path */

#define POLL_EVENTS_MAX 500          /* events of an answer to a poll */
#define EVENT_PACKET_MAX (64u << 10) /* bytes of a hint; else by id alone */
#define EVENT_LINE_MAX (4u << 20)    /* bytes of an event's line */
#define EVENT_TYPE_MAX 64            /* bytes; [A-Za-z0-9_.:-] */
#define EVENT_ROOMS_MAX 4096         /* rooms of an event */
#define EVENT_ROOM_MAX 64            /* bytes of a room's name */
#define CURSOR_MAX INT64_C(9007199254740991) /* 2^53 - 1 */
#define CURSOR_BYTES_MAX 32

#define PATH_ARGS_MAX 4      /* parameters in a route's path */
#define PATH_SEGMENTS_MAX 16 /* segments of a path */
#define QUERY_FIELDS_MAX 100 /* parameters in a query */
#define COOKIES_MAX 50       /* cookies of a request */
#define RSP_HEADERS_BYTES_MAX 16384

#define PASSWORD_BYTES_MIN 8
#define PASSWORD_BYTES_MAX 256
#define EMAIL_BYTES_MAX 254
#define REF_BYTES_MAX 64   /* a reference for pushd, with its NUL */
#define NAME_BYTES_MAX 804 /* 200 characters and a NUL */
#define JWT_BYTES_MAX 4096 /* a token's text */
#define IDENTIFY_ITEMS_MAX 100

#endif
