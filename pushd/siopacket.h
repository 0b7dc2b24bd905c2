#ifndef PARLEY_SIOPACKET_H
#define PARLEY_SIOPACKET_H

/*
 * Socket.IO packets, versions 5 and 4 of the protocol, as they lie in
 * Engine.IO messages.  Bytes in, values out: no socket, no loop.
 *
 * What the protocol does not allow a client is no packet: the connection it
 * came on is to be closed.
 */

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum siopacket_type {
	SIO_CONNECT,
	SIO_DISCONNECT,
	SIO_EVENT,
	SIO_ACK,
	SIO_CONNECT_ERROR,
	SIO_BINARY_EVENT,
	SIO_BINARY_ACK
};

/* The head of a packet; all borrowed from its text. */
struct siopacket {
	enum siopacket_type type;
	unsigned attachments; /* binary messages that follow */
	int64_t id;           /* of its acknowledgement; -1: none */
	const char *nsp;      /* namespace with its '/', without a query */
	size_t nsp_len;
	const char *data; /* JSON, not looked at yet */
	size_t len;       /* 0: none */
};

/*
 * siopacket_read(p, len, attachments_max, out):
 * Read the head of a client's packet.  0, or -1 if it is none.
 */
int siopacket_read(
    const char *p, size_t len, unsigned attachments_max, struct siopacket *out);

/*
 * siopacket_fits(x, data):
 * Whether the parsed payload ${data} (NULL: none, or `null`) is one that a
 * client may send in this packet: its shape, its event's name, its
 * placeholders.
 */
int siopacket_fits(const struct siopacket *x, struct json_object *data);

/*
 * siopacket_head(b, type, attachments, nsp, len, id):
 * Append what stands before the payload; ${id} -1: none.
 */
void siopacket_head(struct buf *b, enum siopacket_type type,
    unsigned attachments, const char *nsp, size_t len, int64_t id);

#endif
