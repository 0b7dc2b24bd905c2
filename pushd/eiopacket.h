#ifndef PARLEY_EIOPACKET_H
#define PARLEY_EIOPACKET_H

/*
 * Engine.IO packets, versions 4 and 3 of the protocol, and the payloads in
 * which polling carries them.  Bytes in, values out: no socket, no loop.
 */

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum eiopacket_type {
	EIO_OPEN,
	EIO_CLOSE,
	EIO_PING,
	EIO_PONG,
	EIO_MESSAGE,
	EIO_UPGRADE,
	EIO_NOOP
};

/* One packet. */
struct eiopacket {
	enum eiopacket_type type;
	int binary; /* the data are bytes, else UTF-8 */
	char *p;    /* the data, borrowed; behind it may be anything */
	size_t len;
};

/*
 * eiopacket_text(eio, p, len, out):
 * Read the text of a packet: a digit and its data, or base64 behind a `b`,
 * which is decoded in place.  ${eio} is 4 or 3; the text is UTF-8 already.  0,
 * or -1 if it is no packet.
 */
int eiopacket_text(int eio, char *p, size_t len, struct eiopacket *out);

/* eiopacket_binary(eio, p, len, out): read a binary WebSocket message. */
int eiopacket_binary(int eio, char *p, size_t len, struct eiopacket *out);

/* The packets of a payload.  Set all but ${at}. */
struct eiopayload {
	int eio;    /* 4 or 3 */
	int binary; /* version 3: it came as application/octet-stream */
	char *p;
	size_t len, at;
};

/*
 * eiopayload_next(x, out):
 * 1 and the next packet, 0 at the end, -1 if it cannot be read; so is a
 * payload without any.
 */
int eiopayload_next(struct eiopayload *x, struct eiopacket *out);

/* How packets are put together. */
enum eiopayload_form {
	EIO_FORM_4,       /* parted by 0x1e, what is binary as base64 */
	EIO_FORM_3,       /* version 3, text: nothing in it is binary */
	EIO_FORM_3_BINARY /* version 3, with bytes */
};

/*
 * eiopayload_put(b, form, binary, p, len):
 * Append one packet to a payload.  It is given as a WebSocket message would
 * carry it: text, or bytes (in version 3 behind their type).
 */
void eiopayload_put(struct buf *b, enum eiopayload_form form, int binary,
    const char *p, size_t len);

/*
 * eiopacket_base64(b, eio, p, len):
 * Append the text of a message of bytes, for who cannot take them as such.
 */
void eiopacket_base64(struct buf *b, int eio, const char *p, size_t len);

#endif
