/* Internet addresses as text: compared, matched with lists, cut to networks. */

#include "addr.h"
#include "id.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
	0xff };

static bool
addr_is4(const struct addr *a)
{
	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

int
addr_parse(const char *s, size_t len, struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (len >= 2 && s[0] == '[' && s[len - 1] == ']') {
		s++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(text) || memchr(s, '\0', len) != NULL)
		return -1;
	memcpy(text, s, len);
	text[len] = '\0';
	if (strchr(text, ':') != NULL)
		return inet_pton(AF_INET6, text, a->b) == 1 ? 0 : -1;
	memcpy(a->b, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, a->b + 12) == 1 ? 0 : -1;
}

void
addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	const char *s;

	if (addr_is4(a))
		s = inet_ntop(AF_INET, a->b + 12, out, ADDR_TEXT_MAX);
	else
		s = inet_ntop(AF_INET6, a->b, out, ADDR_TEXT_MAX);
	if (s == NULL)
		out[0] = '\0';
}

bool
addr_loopback(const char *s)
{
	static const unsigned char one[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 1 };
	struct addr a;

	if (s == NULL || addr_parse(s, strlen(s), &a) == -1)
		return false;
	if (addr_is4(&a))
		return a.b[12] == 127;
	return memcmp(a.b, one, sizeof(one)) == 0;
}

/* Whether the first ${bits} of both are the same. */
static bool
addr_same(const struct addr *a, const struct addr *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	unsigned char mask;

	if (memcmp(a->b, b->b, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	mask = (unsigned char)(0xff << (8 - rest));
	return ((a->b[whole] ^ b->b[whole]) & mask) == 0;
}

/* The address or network written at ${s}: its ${*bits} count.  0, or -1. */
static int
addr_item(const char *s, size_t len, struct addr *net, int64_t *bits)
{
	const char *slash = memchr(s, '/', len);
	size_t n = slash != NULL ? (size_t)(slash - s) : len;

	*bits = 128;
	if (addr_parse(s, n, net) == -1)
		return -1;
	if (slash == NULL)
		return 0;
	if (id_number(slash + 1, len - n - 1, 0, addr_is4(net) ? 32 : 128,
		bits) == -1)
		return -1;
	if (addr_is4(net))
		*bits += 96;
	return 0;
}

bool
addr_listed(const char *list, const struct addr *a)
{
	struct addr net;
	int64_t bits;
	size_t n;

	for (; *list != '\0'; list += n) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n > 0 && addr_item(list, n, &net, &bits) == 0 &&
		    addr_same(&net, a, (unsigned)bits))
			return true;
	}
	return false;
}

/* Whether the IPv4 address is one of the Internet at large. */
static bool
public4(const unsigned char *b)
{
	static const struct {
		unsigned char net[4];
		unsigned bits;
	} bad[] = {
		{ { 0 }, 8 },             /* this network */
		{ { 10 }, 8 },            /* private */
		{ { 100, 64 }, 10 },      /* a carrier's own */
		{ { 127 }, 8 },           /* this host */
		{ { 169, 254 }, 16 },     /* this link */
		{ { 172, 16 }, 12 },      /* private */
		{ { 192, 0, 0 }, 24 },    /* protocols' own */
		{ { 192, 0, 2 }, 24 },    /* documentation */
		{ { 192, 88, 99 }, 24 },  /* 6to4 relays, as were */
		{ { 192, 168 }, 16 },     /* private */
		{ { 198, 18 }, 15 },      /* benchmarks */
		{ { 198, 51, 100 }, 24 }, /* documentation */
		{ { 203, 0, 113 }, 24 },  /* documentation */
		{ { 224 }, 3 },           /* groups, reserved, broadcast */
	};
	struct addr a, net;

	memcpy(a.b, b, 4);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(net.b, bad[i].net, 4);
		if (addr_same(&a, &net, bad[i].bits))
			return false;
	}
	return true;
}

bool
addr_public(const struct addr *a)
{
	static const unsigned char nat64[12] = { 0, 0x64, 0xff, 0x9b };
	static const struct {
		unsigned char net[4];
		unsigned bits;
	} bad[] = {
		{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
		{ { 0x20, 0x01 }, 23 },             /* protocols', Teredo */
		{ { 0x3f, 0xff }, 20 },             /* documentation */
	};
	struct addr net;

	if (addr_is4(a))
		return public4(a->b + 12);
	if (memcmp(a->b, nat64, sizeof(nat64)) == 0)
		return public4(a->b + 12);
	if (a->b[0] == 0x20 && a->b[1] == 0x02) /* 6to4 */
		return public4(a->b + 2);
	/* Of the rest only 2000::/3 is given to anybody. */
	if ((a->b[0] & 0xe0) != 0x20)
		return false;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(net.b, 0, sizeof(net.b));
		memcpy(net.b, bad[i].net, 4);
		if (addr_same(a, &net, bad[i].bits))
			return false;
	}
	return true;
}

bool
addr_list_ok(const char *list)
{
	struct addr net;
	int64_t bits;
	size_t n;

	for (; *list != '\0'; list += n) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n > 0 && addr_item(list, n, &net, &bits) == -1)
			return false;
	}
	return true;
}

void
addr_client(const char *peer, const char *forwarded, const char *trusted,
    char out[ADDR_TEXT_MAX])
{
	const char *end, *p;
	struct addr a;

	(void)snprintf(out, ADDR_TEXT_MAX, "%s", peer);
	if (addr_parse(peer, strlen(peer), &a) == -1)
		return;
	addr_text(&a, out);
	if (forwarded == NULL || trusted[0] == '\0')
		return;
	/* From the right: each trusted hop speaks for the one before it. */
	end = forwarded + strlen(forwarded);
	while (addr_listed(trusted, &a) && end > forwarded) {
		while (end > forwarded && (end[-1] == ' ' || end[-1] == ','))
			end--;
		for (p = end; p > forwarded && p[-1] != ',' && p[-1] != ' ';)
			p--;
		if (addr_parse(p, (size_t)(end - p), &a) == -1)
			return;
		addr_text(&a, out);
		end = p;
	}
}

void
addr_net(const char *s, char out[ADDR_TEXT_MAX])
{
	struct addr a;

	if (addr_parse(s, strlen(s), &a) == -1) {
		(void)snprintf(out, ADDR_TEXT_MAX, "%s", s);
		return;
	}
	if (!addr_is4(&a))
		memset(a.b + 8, 0, 8);
	addr_text(&a, out);
}
