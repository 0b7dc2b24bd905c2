/*
 * The parts of sending that need neither network nor database: how long to
 * pause, what a part of a message is, where a file can be fetched.
 */
#include <string.h>

#include "buf.h"
#include "channel.h"
#include "deliver_plan.h"

#define URL_MAX_BYTES 8192
#define UPLOAD_BYTES_S (128 << 10) /* the slowest line that is waited for */

int64_t
deliver_pause_ms(int64_t tries, int64_t percent, uint32_t random)
{
	static const int64_t pause_ms[] = { 1000, 5000, 30000, 120000, 600000 };
	int64_t n = sizeof(pause_ms) / sizeof(pause_ms[0]), ms;

	if (tries > n)
		return -1;
	ms = pause_ms[tries < 1 ? 0 : tries - 1] * percent / 100;
	return ms + (int64_t)random % (ms / 4 + 1);
}

int64_t
deliver_upload_ms(int64_t total_ms, int64_t lease_ms, int64_t bytes)
{
	int64_t ms = total_ms + bytes * 1000 / UPLOAD_BYTES_S;
	int64_t most = lease_ms - total_ms;

	if (ms > most)
		ms = most;
	return ms > total_ms ? ms : total_ms;
}

int
deliver_part(const char *content, struct json_object *files, size_t units,
    int k, struct deliver_part *part)
{
	int texts = 0, n;
	const char *p;
	size_t len;

	memset(part, 0, sizeof(*part));
	while (channel_part(content, units, texts, &p, &len)) {
		if (texts++ == k) {
			part->text = p;
			part->len = len;
		}
	}
	n = texts;
	if (files != NULL)
		n += (int)json_object_array_length(files);
	if (k < 0 || k >= n)
		return 0;
	if (k >= texts)
		part->file =
		    json_object_array_get_idx(files, (size_t)(k - texts));
	return n;
}

char *
deliver_url(const char *base_url, const char *base_path, const char *url)
{
	struct buf b;
	char *copy = NULL;

	if (url == NULL)
		return NULL;
	buf_init(&b, URL_MAX_BYTES);
	if (url[0] == '/' && base_url[0] != '\0')
		buf_printf(&b, "%s%s%s", base_url, base_path, url);
	else if (strncmp(url, "https://", 8) == 0)
		buf_puts(&b, url);
	if (b.len > 0 && !b.err)
		copy = strdup(b.data);
	buf_fini(&b);
	return copy;
}
