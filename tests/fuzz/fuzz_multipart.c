/* multipart.c: whole or byte by byte, the same parts. */

#include "multipart.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct seen {
	uint64_t hash;
	int open;
};

static void
mix(struct seen *s, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->hash = (s->hash ^ (unsigned char)p[i]) * 1099511628211u;
}

static int
part(void *arg, const char *name, const char *file)
{
	struct seen *s = arg;

	assert(!s->open);
	s->open = 1;
	mix(s, "<", 1);
	mix(s, name, strlen(name));
	if (file != NULL)
		mix(s, file, strlen(file));
	return 0;
}

static int
data(void *arg, const char *p, size_t n)
{
	struct seen *s = arg;

	assert(s->open && n > 0);
	mix(s, p, n);
	return 0;
}

static int
end(void *arg)
{
	struct seen *s = arg;

	assert(s->open);
	s->open = 0;
	mix(s, ">", 1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	static const struct multipart_calls calls = { part, data, end };
	static const char type[] = "multipart/form-data; boundary=b";
	struct seen a = { 0, 0 }, b = { 0, 0 };
	struct multipart mp, bytes;
	const char *p = (const char *)in;
	char head[128];
	int rc, rc2 = 0;

	if (size > 0 && in[0] == 'T') {
		size_t n = size < sizeof(head) ? size : sizeof(head);

		memcpy(head, p, n - 1);
		head[n - 1] = '\0';
		head[0] = 'm';
		(void)multipart_init(&mp, head, &calls, &a);
		return 0;
	}
	assert(multipart_init(&mp, type, &calls, &a) == 0);
	assert(multipart_init(&bytes, type, &calls, &b) == 0);
	rc = multipart_feed(&mp, p, size);
	for (size_t i = 0; i < size && rc2 == 0; i++)
		rc2 = multipart_feed(&bytes, p + i, 1);
	assert(rc == rc2 && a.hash == b.hash && a.open == b.open);
	assert(multipart_whole(&mp) == multipart_whole(&bytes));
	return 0;
}
