#ifndef PARLEY_ADDR_H
#define PARLEY_ADDR_H

/* Internet addresses as text: who is asking, and from which network. */

#include <stdbool.h>
#include <stddef.h>

#define ADDR_TEXT_MAX 48 /* bytes of an address as text, with its NUL */

/* 16 bytes; IPv4 as ::ffff:a.b.c.d */
struct addr {
	unsigned char b[16];
};

/* addr_parse(s, len, a): 0, or -1 if it is no numeric address. */
int addr_parse(const char *s, size_t len, struct addr *a);

/* addr_text(a, out): the address as text. */
void addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);

/* addr_loopback(s): whether the text ${s} is 127.0.0.0/8, ::1 or mapped. */
bool addr_loopback(const char *s);

/*
 * addr_public(a): whether it is an address of the Internet at large: not of
 * this host, a private or local network, a group, documentation or nobody,
 * nor such an IPv4 address in the clothes of IPv6 (mapped, NAT64, 6to4,
 * Teredo).
 */
bool addr_public(const struct addr *a);

/*
 * addr_listed(list, a):
 * Whether ${a} is in ${list}: addresses and networks ("10.0.0.0/8"), parted
 * by commas or spaces.  What cannot be read matches nothing.
 */
bool addr_listed(const char *list, const struct addr *a);

/* addr_list_ok(list): whether all of such a list can be read. */
bool addr_list_ok(const char *list);

/*
 * addr_client(peer, forwarded, trusted, out):
 * The client's address: ${peer}, or, if that is in ${trusted}, the last of the
 * X-Forwarded-For ${forwarded} (or NULL) that is not.
 */
void addr_client(const char *peer, const char *forwarded, const char *trusted,
    char out[ADDR_TEXT_MAX]);

/*
 * addr_net(s, out):
 * The network that limits count by: an IPv4 address whole, of IPv6 the /64.
 * A text that is no address is copied, cut.
 */
void addr_net(const char *s, char out[ADDR_TEXT_MAX]);

#endif
