/*
 * protocoltest.c: applications that echo: one on Engine.IO, one on Socket.IO.
 */
#include <string.h>

#include "protocoltest.h"
#include "push.h"
#include "sio.h"

static void eio_transport_open(struct conn *c, const struct request *rq);
static void sio_transport_open(struct conn *c, const struct request *rq);

const struct transport protocoltest_eio_transport = { .name = "engineio-echo",
	.open = eio_transport_open };
const struct transport protocoltest_sio_transport = { .name = "socketio-echo",
	.open = sio_transport_open };

/* --- Engine.IO: each message comes back --- */

static void
echo_open(struct eio *s)
{
	(void)s;
}

static void
echo_message(struct eio *s, int binary, char *p, size_t len)
{
	/* The type stands in front of the data, wherever they came from. */
	if (binary)
		eio_bytes(s, p, len);
	else
		eio_text(s, p - 1, len + 1);
}

static void
echo_closed(struct eio *s)
{
	(void)s;
}

static const struct eio_app echo_app = { .size = sizeof(struct eio),
	.open = echo_open,
	.message = echo_message,
	.closed = echo_closed };

static void
eio_transport_open(struct conn *c, const struct request *rq)
{
	eio_open(&push_of(c)->eios, c, rq, &echo_app);
}

/* --- Socket.IO --- */

static const char *const namespaces[] = { "/", "/custom", NULL };

static void
on_connect(struct sio *s, unsigned nsp, struct json_object *auth)
{
	struct json_object *a = json_object_new_array();

	json_object_array_add(a, json_object_new_string("auth"));
	json_object_array_add(
	    a, auth ? json_object_get(auth) : json_object_new_object());
	sio_connected(s, nsp, NULL);
	sio_send(s, nsp, -1, 0, a, NULL, 0);
	json_object_put(a);
}

/* The arguments, behind ${name} if that is not NULL. */
static struct json_object *
arguments(struct json_object *data, const char *name)
{
	struct json_object *a = json_object_new_array();
	size_t i;

	if (name != NULL)
		json_object_array_add(a, json_object_new_string(name));
	for (i = 1; i < json_object_array_length(data); i++)
		json_object_array_add(
		    a, json_object_get(json_object_array_get_idx(data, i)));
	return a;
}

static void
on_event(struct sio *s, const struct sio_got *got)
{
	const char *name =
	    json_object_get_string(json_object_array_get_idx(got->data, 0));
	struct json_object *a = NULL;

	if (strcmp(name, "message") == 0 && got->nsp == 0) {
		a = arguments(got->data, "message-back");
		sio_send(s, got->nsp, -1, 0, a, got->parts, got->nparts);
	} else if (strcmp(name, "message-with-ack") == 0 && got->id != -1 &&
		   got->nsp == 0) {
		a = arguments(got->data, NULL);
		sio_send(s, got->nsp, got->id, 1, a, got->parts, got->nparts);
	}
	json_object_put(a);
}

static const struct sio_app sio_test_app = {
	.eio = { .size = sizeof(struct sio),
	    .open = sio_open,
	    .message = sio_message,
	    .due = sio_due,
	    .closed = sio_closed },
	.namespaces = namespaces,
	.connect = on_connect,
	.event = on_event,
};

static void
sio_transport_open(struct conn *c, const struct request *rq)
{
	eio_open(&push_of(c)->eios, c, rq, &sio_test_app.eio);
}
