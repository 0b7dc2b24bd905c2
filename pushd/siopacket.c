/*
 * siopacket.c: Socket.IO packets.
 *
 *	<type>[<attachments>-][/<namespace>,][<ack id>][JSON]
 *
 * Whatever stands between the head and the JSON that belongs to neither is
 * left to the JSON's parser, which refuses it.
 */
#include <string.h>

#include "json.h"
#include "siopacket.h"

enum { ID_DIGITS_MAX = 15, COUNT_DIGITS_MAX = 4 };

/* Digits; how many there are, or -1 if they are too many. */
static int
number(const char *p, const char *end, int max, int64_t *out)
{
	int n = 0;

	*out = 0;
	while (p + n < end && p[n] >= '0' && p[n] <= '9') {
		if (n == max)
			return -1;
		*out = *out * 10 + (p[n++] - '0');
	}
	return n;
}

static int
is_binary(enum siopacket_type type)
{
	return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

int
siopacket_read(
    const char *p, size_t len, unsigned attachments_max, struct siopacket *out)
{
	const char *end = p + len, *at;
	int64_t count = 0;
	int n;

	if (len == 0 || *p < '0' || *p > '0' + SIO_BINARY_ACK)
		return -1;
	out->type = (enum siopacket_type)(*p++ - '0');
	if (is_binary(out->type)) {
		n = number(p, end, COUNT_DIGITS_MAX, &count);
		if (n <= 0 || count == 0 || count > attachments_max ||
		    p + n == end || p[n] != '-')
			return -1;
		p += n + 1;
	}
	out->attachments = (unsigned)count;

	out->nsp = "/";
	out->nsp_len = 1;
	if (p < end && *p == '/') {
		at = memchr(p, ',', (size_t)(end - p));
		out->nsp = p;
		p = at ? at + 1 : end;
		out->nsp_len = (size_t)((at ? at : end) - out->nsp);
		at = memchr(out->nsp, '?', out->nsp_len);
		if (at != NULL)
			out->nsp_len = (size_t)(at - out->nsp);
	}

	n = number(p, end, ID_DIGITS_MAX, &out->id);
	if (n == -1)
		return -1;
	if (n == 0)
		out->id = -1;
	out->data = p + n;
	out->len = (size_t)(end - out->data);
	return 0;
}

/* Names that mean something to the libraries themselves. */
static int
is_reserved(const char *name)
{
	static const char *const names[] = { "connect", "connect_error",
		"disconnect", "disconnecting", "newListener",
		"removeListener" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], name) == 0)
			return 1;
	return 0;
}

/* An event's: a name, then anything. */
static int
is_event(struct json_object *data)
{
	struct json_object *name;

	if (!json_object_is_type(data, json_type_array) ||
	    json_object_array_length(data) == 0)
		return 0;
	name = json_object_array_get_idx(data, 0);
	if (json_object_is_type(name, json_type_string))
		return !is_reserved(json_object_get_string(name));
	return json_object_is_type(name, json_type_int) ||
	       json_object_is_type(name, json_type_double);
}

/* Whether every place of an attachment names one that comes. */
static int
places_fit(struct json_object *v, unsigned n)
{
	struct json_object *item;
	bool place = false;
	int64_t num;
	size_t i;

	if (json_object_is_type(v, json_type_array)) {
		for (i = 0; i < json_object_array_length(v); i++)
			if (!places_fit(json_object_array_get_idx(v, i), n))
				return 0;
		return 1;
	}
	if (!json_object_is_type(v, json_type_object))
		return 1;
	if (json_get_bool(v, "_placeholder", &place) == 1 && place)
		return json_get_int(v, "num", &num) == 1 && num >= 0 && num < n;
	json_object_object_foreach(v, key, member)
	{
		(void)key;
		item = member;
		if (!places_fit(item, n))
			return 0;
	}
	return 1;
}

int
siopacket_fits(const struct siopacket *x, struct json_object *data)
{
	switch (x->type) {
	case SIO_CONNECT:
		return x->id == -1 && (x->len == 0 || json_object_is_type(data,
							  json_type_object));
	case SIO_DISCONNECT:
		return x->id == -1 && x->len == 0;
	case SIO_EVENT:
		return is_event(data);
	case SIO_BINARY_EVENT:
		return is_event(data) && places_fit(data, x->attachments);
	case SIO_ACK:
		return x->id != -1 &&
		       json_object_is_type(data, json_type_array);
	case SIO_BINARY_ACK:
		return x->id != -1 &&
		       json_object_is_type(data, json_type_array) &&
		       places_fit(data, x->attachments);
	case SIO_CONNECT_ERROR:
		break; /* a server's alone */
	}
	return 0;
}

void
siopacket_head(struct buf *b, enum siopacket_type type, unsigned attachments,
    const char *nsp, size_t len, int64_t id)
{
	buf_putc(b, (char)('0' + type));
	if (is_binary(type))
		buf_printf(b, "%u-", attachments);
	if (len > 1) {
		buf_append(b, nsp, len);
		buf_putc(b, ',');
	}
	if (id >= 0)
		buf_printf(b, "%lld", (long long)id);
}
