#ifndef DELIVER_PLAN_H
#define DELIVER_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

/* What sending decides by numbers and texts alone. */

/*
 * deliver_pause_ms(tries, percent, random):
 * The pause after the ${tries}-th try was refused for now: 1 s, 5 s, 30 s,
 * 2 min, 10 min, each to ${percent} of it and up to a quarter longer by
 * ${random}.  Five pauses, so five tries at most follow the first one, and an
 * outage of twelve minutes costs nobody a message: -1 after the sixth.
 */
int64_t deliver_pause_ms(int64_t tries, int64_t percent, uint32_t random);

/*
 * deliver_upload_ms(total_ms, lease_ms, bytes): how long an exchange that
 * carries a file may take: ${total_ms} and what a slow line needs for it, but
 * so much less than the lease that its end is known in time.
 */
int64_t deliver_upload_ms(int64_t total_ms, int64_t lease_ms, int64_t bytes);

/* One part of a message: a text, or a file. */
struct deliver_part {
	const char *text; /* ${len} bytes in the message's content; or NULL */
	size_t len;
	struct json_object *file; /* borrowed of the attachments; or NULL */
};

/*
 * deliver_part(content, files, units, k, part):
 * The ${k}-th part from 0 of a message: its text in pieces of ${units} UTF-16
 * units, then its attachments ${files} (NULL: none) one by one.  How many parts
 * there are; 0 when this is none of them.
 */
int deliver_part(const char *content, struct json_object *files, size_t units,
    int k, struct deliver_part *part);

/*
 * deliver_url(base_url, base_path, url):
 * Where a platform may fetch an attachment of ours or of others; new, or NULL
 * when nowhere: a path without ${base_url}, or not https.
 */
char *deliver_url(const char *base_url, const char *base_path, const char *url);

#endif
