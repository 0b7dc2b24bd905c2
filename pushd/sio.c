/*
 * sio.c: Socket.IO on Engine.IO sessions.
 *
 * What the protocol does not allow ends the connection at once.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "eiopacket.h"
#include "json.h"
#include "limits.h"
#include "sio.h"
#include "siopacket.h"

enum { NSP_BYTES_MAX = 128 };

/* A packet whose attachments are coming. */
struct sio_in {
	struct siopacket head; /* but for its texts */
	unsigned nsp, n;
	size_t bytes;
	struct json_object *data;
	struct sio_part parts[];
};

static const struct sio_app *
app_of(const struct sio *s)
{
	return (const struct sio_app *)s->eio.app;
}

static void
in_free(struct sio_in *in)
{
	if (in == NULL)
		return;
	while (in->n > 0)
		free(in->parts[--in->n].p);
	json_object_put(in->data);
	free(in);
}

/* --- what goes out --- */

/* A head and ${data} (may be NULL) as one packet. */
static void
packet(struct sio *s, enum siopacket_type type, unsigned nparts,
    const char *nsp, size_t nsp_len, int64_t id, struct json_object *data)
{
	struct buf b;

	buf_init(&b, EVENT_LINE_MAX);
	buf_putc(&b, '0' + EIO_MESSAGE);
	siopacket_head(&b, type, nparts, nsp, nsp_len, id);
	if (data != NULL)
		json_write(data, &b);
	if (b.err)
		eio_end(&s->eio, 1011, "memory");
	else
		eio_text(&s->eio, b.data, b.len);
	buf_fini(&b);
}

static void
packet_nsp(struct sio *s, enum siopacket_type type, unsigned nparts,
    unsigned nsp, int64_t id, struct json_object *data)
{
	const char *name = app_of(s)->namespaces[nsp];

	packet(s, type, nparts, name, strlen(name), id, data);
}

void
sio_send(struct sio *s, unsigned nsp, int64_t id, int ack,
    struct json_object *data, const struct sio_part *parts, unsigned nparts)
{
	enum siopacket_type type =
	    nparts > 0 ? (ack ? SIO_BINARY_ACK : SIO_BINARY_EVENT)
		       : (ack ? SIO_ACK : SIO_EVENT);
	unsigned i;

	packet_nsp(s, type, nparts, nsp, ack ? id : -1, data);
	for (i = 0; i < nparts; i++)
		eio_bytes(&s->eio, parts[i].p, parts[i].len);
}

/* That a namespace is not the client's; version 4 has a text alone. */
static void
refuse(struct sio *s, const char *nsp, size_t len, const char *message)
{
	struct json_object *o;

	if (s->eio.eio == 3) {
		o = json_object_new_string(message);
	} else {
		o = json_object_new_object();
		json_put_str(o, "message", message);
	}
	packet(s, SIO_CONNECT_ERROR, 0, nsp, len, -1, o);
	json_object_put(o);
}

/* CONNECT is waited for, as long as there is nothing else. */
static void
wait_connect(struct sio *s)
{
	if (s->joined == 0 && s->asks == 0)
		eio_due(&s->eio, s->eio.all->lim.connect_ms);
}

void
sio_refused(struct sio *s, unsigned nsp, const char *message)
{
	const char *name = app_of(s)->namespaces[nsp];

	assert(s->asks & 1u << nsp);
	s->asks &= (uint8_t) ~(1u << nsp);
	refuse(s, name, strlen(name), message);
	wait_connect(s);
}

void
sio_connected(struct sio *s, unsigned nsp, struct json_object *fields)
{
	char sid[EIO_SID];

	assert(s->asks & 1u << nsp);
	s->asks &= (uint8_t) ~(1u << nsp);
	s->joined |= (uint8_t)(1u << nsp);
	eio_due(&s->eio, -1);
	/* In version 4 the session's id is the socket's, and nothing is said.
	 */
	if (s->eio.eio == 3) {
		packet_nsp(s, SIO_CONNECT, 0, nsp, -1, NULL);
		json_object_put(fields);
		return;
	}
	if (fields == NULL)
		fields = json_object_new_object();
	if (!json_object_object_get_ex(fields, "sid", NULL)) {
		eio_sid(sid);
		json_put_strn(fields, "sid", sid, EIO_SID);
	}
	packet_nsp(s, SIO_CONNECT, 0, nsp, -1, fields);
	json_object_put(fields);
}

void
sio_disconnect(struct sio *s, int code, const char *why)
{
	unsigned i;

	for (i = 0; app_of(s)->namespaces[i] != NULL; i++)
		if (s->joined & 1u << i)
			packet_nsp(s, SIO_DISCONNECT, 0, i, -1, NULL);
	eio_end(&s->eio, code, why);
}

/* --- what comes in --- */

static int
namespace_of(const struct sio *s, const struct siopacket *x, unsigned *nsp)
{
	const char *const *names = app_of(s)->namespaces;

	for (*nsp = 0; names[*nsp] != NULL; (*nsp)++)
		if (strlen(names[*nsp]) == x->nsp_len &&
		    memcmp(names[*nsp], x->nsp, x->nsp_len) == 0)
			return 1;
	return 0;
}

/* What asks for nothing that there is: no more of it than of pings. */
static void
idle_talk(struct sio *s)
{
	if (!eio_pinged(&s->eio))
		sio_disconnect(s, 1008, "too many packets");
}

static void
connect_asked(struct sio *s, const struct siopacket *x, unsigned nsp, int known,
    struct json_object *auth)
{
	if (!known && x->nsp_len <= NSP_BYTES_MAX) {
		refuse(s, x->nsp, x->nsp_len, "Invalid namespace");
		idle_talk(s);
	} else if (known && !((s->joined | s->asks) & 1u << nsp)) {
		s->asks |= (uint8_t)(1u << nsp);
		app_of(s)->connect(s, nsp, auth);
	} else if (s->eio.eio == 4 || nsp != 0 || !known) {
		/* Version 4 is in the first by itself, and may still ask. */
		eio_refuse(&s->eio);
	}
}

static void
disconnected(struct sio *s, unsigned nsp)
{
	s->joined &= (uint8_t) ~(1u << nsp);
	if (app_of(s)->disconnect != NULL)
		app_of(s)->disconnect(s, nsp);
	if (s->eio.state < EIO_ENDING)
		wait_connect(s);
}

/* A packet that is whole. */
static void
whole(struct sio *s, enum siopacket_type type, const struct sio_got *got)
{
	switch (type) {
	case SIO_EVENT:
	case SIO_BINARY_EVENT:
		app_of(s)->event(s, got);
		break;
	case SIO_DISCONNECT:
		disconnected(s, got->nsp);
		break;
	case SIO_ACK:
	case SIO_BINARY_ACK: /* none is asked for */
		idle_talk(s);
		break;
	case SIO_CONNECT:
	case SIO_CONNECT_ERROR:
		break;
	}
}

/* Keep it until its attachments are there.  Takes ${data}. */
static void
keep(struct sio *s, const struct siopacket *x, unsigned nsp,
    struct json_object *data)
{
	struct sio_in *in =
	    calloc(1, sizeof(*in) + x->attachments * sizeof(struct sio_part));

	if (in == NULL) {
		json_object_put(data);
		eio_end(&s->eio, 1011, "memory");
		return;
	}
	in->head = *x;
	in->nsp = nsp;
	in->data = data;
	s->in = in;
}

static void
on_packet(struct sio *s, const struct siopacket *x, struct json_object *data)
{
	struct sio_got got = { .id = x->id, .data = data };
	int known = namespace_of(s, x, &got.nsp);

	if (!siopacket_fits(x, data))
		eio_refuse(&s->eio);
	else if (x->type == SIO_CONNECT)
		connect_asked(s, x, got.nsp, known, data);
	else if (!known || !(s->joined & 1u << got.nsp))
		eio_refuse(&s->eio);
	else if (x->attachments > 0)
		keep(s, x, got.nsp, json_object_get(data));
	else
		whole(s, x->type, &got);
}

static void
attachment(struct sio *s, const char *p, size_t len)
{
	struct sio_in *in = s->in;
	struct sio_got got;
	struct sio_part *part;

	/* All of a packet's together are bounded as one message is. */
	if (in == NULL ||
	    in->bytes + len > (size_t)s->eio.all->lim.payload_bytes_max) {
		eio_refuse(&s->eio);
		return;
	}
	part = &in->parts[in->n];
	part->p = malloc(len + 1);
	if (part->p == NULL) {
		eio_end(&s->eio, 1011, "memory");
		return;
	}
	memcpy(part->p, p, len);
	part->len = len;
	in->n++;
	in->bytes += len;
	if (in->n < in->head.attachments)
		return;
	got = (struct sio_got){ .nsp = in->nsp,
		.id = in->head.id,
		.data = in->data,
		.parts = in->parts,
		.nparts = in->n };
	/* Taken off first: it may end the session. */
	s->in = NULL;
	if (s->joined & 1u << got.nsp)
		whole(s, in->head.type, &got);
	in_free(in);
}

void
sio_message(struct eio *e, int binary, char *p, size_t len)
{
	struct sio *s = (struct sio *)e;
	const struct conf *cf = e->all->conns->cf;
	struct json_object *data = NULL;
	struct siopacket x;
	const char *why = NULL;

	if (binary) {
		attachment(s, p, len);
		return;
	}
	if (s->in != NULL ||
	    siopacket_read(p, len, (unsigned)cf->socket_attachments_max, &x) ==
		-1) {
		eio_refuse(e);
		return;
	}
	if ((int64_t)x.len > cf->json_bytes_max) {
		eio_end(e, 1009, "too large");
		return;
	}
	if (x.len > 0 &&
	    json_parse(x.data, x.len, (size_t)cf->json_depth_max,
		(size_t)cf->json_members_max, (size_t)cf->json_string_bytes_max,
		&data, &why) == -1)
		eio_refuse(e);
	else
		on_packet(s, &x, data);
	json_object_put(data);
}

/* --- a session's life --- */

void
sio_open(struct eio *e)
{
	struct sio *s = (struct sio *)e;

	if (e->eio == 3) {
		s->asks = 1;
		app_of(s)->connect(s, 0, NULL);
	} else {
		wait_connect(s);
	}
}

void
sio_due(struct eio *e)
{
	struct sio *s = (struct sio *)e;

	if (s->joined == 0 && s->asks == 0)
		eio_end(e, 1008, "no CONNECT");
	else if (app_of(s)->late != NULL)
		app_of(s)->late(s);
}

void
sio_closed(struct eio *e)
{
	struct sio *s = (struct sio *)e;

	in_free(s->in);
	s->in = NULL;
	if (app_of(s)->closed != NULL)
		app_of(s)->closed(s);
}
