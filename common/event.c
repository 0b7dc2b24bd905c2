/*
 * An event and its one-line form.  The reader takes what the writer makes and
 * no more: names without escapes, no line breaks anywhere.
 */

#include "event.h"
#include "id.h"
#include "json.h"
#include "limits.h"
#include "utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void
event_encode(const struct event *e, struct buf *b)
{
	size_t i;

	buf_printf(b, "{\"id\":%lld", (long long)e->id);
	if (e->id != 0)
		buf_printf(b, ",\"prev\":%lld", (long long)e->prev);
	if (e->type == NULL) {
		buf_putc(b, '}');
		return;
	}
	buf_puts(b, ",\"type\":");
	json_write_str(b, e->type, strlen(e->type));
	buf_puts(b, ",\"rooms\":[");
	for (i = 0; i < e->nrooms; i++) {
		if (i > 0)
			buf_putc(b, ',');
		json_write_str(b, e->rooms[i], strlen(e->rooms[i]));
	}
	buf_putc(b, ']');
	if (e->except != NULL) {
		buf_puts(b, ",\"except\":");
		json_write_str(b, e->except, strlen(e->except));
	}
	buf_puts(b, ",\"data\":");
	if (e->data != NULL)
		buf_append(b, e->data, e->data_len);
	else
		buf_puts(b, "null");
	if (e->public != NULL) {
		buf_puts(b, ",\"public\":");
		if (e->public == e->data)
			buf_puts(b, "true");
		else
			buf_append(b, e->public, e->public_len);
	}
	buf_putc(b, '}');
}

/* A piece of the line. */
struct span {
	const char *p;
	size_t len;
};

struct line {
	const char *p, *end;
	int64_t id, prev;
	struct span type, data, public, rooms, except;
	size_t nrooms, rooms_bytes;
	unsigned seen; /* bit per member, against doubles */
};

static void
line_space(struct line *l)
{
	while (l->p < l->end && *l->p == ' ')
		l->p++;
}

static int
line_take(struct line *l, char c)
{
	line_space(l);
	if (l->p == l->end || *l->p != c)
		return -1;
	l->p++;
	line_space(l);
	return 0;
}

/* A string of letters, digits and _.:- in quotes, 1 to ${max} bytes. */
static int
line_name(struct line *l, size_t max, struct span *s)
{
	if (l->p == l->end || *l->p != '"')
		return -1;
	s->p = ++l->p;
	while (l->p < l->end && *l->p != '"') {
		if (!((*l->p >= 'a' && *l->p <= 'z') ||
			(*l->p >= 'A' && *l->p <= 'Z') ||
			(*l->p >= '0' && *l->p <= '9') || *l->p == '_' ||
			*l->p == '.' || *l->p == ':' || *l->p == '-'))
			return -1;
		l->p++;
	}
	s->len = (size_t)(l->p - s->p);
	if (l->p == l->end || s->len == 0 || s->len > max)
		return -1;
	l->p++;
	return 0;
}

static int
line_number(struct line *l, int64_t *v)
{
	const char *from = l->p;

	while (l->p < l->end && *l->p >= '0' && *l->p <= '9')
		l->p++;
	*v = id_cursor(from, (size_t)(l->p - from));
	return *v == -1 ? -1 : 0;
}

/* The array of rooms; kept as a span, counted. */
static int
line_rooms(struct line *l)
{
	struct span room;

	if (line_take(l, '[') == -1)
		return -1;
	l->rooms.p = l->p;
	if (l->p < l->end && *l->p == ']') {
		l->p++;
		return 0;
	}
	for (;;) {
		if (l->nrooms == EVENT_ROOMS_MAX ||
		    line_name(l, EVENT_ROOM_MAX, &room) == -1)
			return -1;
		l->nrooms++;
		l->rooms_bytes += room.len + 1;
		line_space(l);
		if (l->p < l->end && *l->p == ']')
			break;
		if (line_take(l, ',') == -1)
			return -1;
	}
	l->rooms.len = (size_t)(l->p - l->rooms.p);
	l->p++;
	return 0;
}

static int
line_value(struct line *l, struct span *s)
{
	s->p = l->p;
	if ((s->len = json_span(l->p, (size_t)(l->end - l->p))) == 0)
		return -1;
	l->p += s->len;
	return 0;
}

static int
line_member(struct line *l)
{
	static const struct span names[] = { { "id", 2 }, { "prev", 4 },
		{ "type", 4 }, { "rooms", 5 }, { "except", 6 }, { "data", 4 },
		{ "public", 6 } };
	struct span key;
	unsigned i;

	if (line_name(l, 16, &key) == -1 || line_take(l, ':') == -1)
		return -1;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].len == key.len &&
		    memcmp(names[i].p, key.p, key.len) == 0)
			break;
	if (i == sizeof(names) / sizeof(names[0]))
		return line_value(l, &key); /* from a newer writer */
	if (l->seen & (1u << i))
		return -1;
	l->seen |= 1u << i;
	switch (i) {
	case 0:
		return line_number(l, &l->id);
	case 1:
		return line_number(l, &l->prev);
	case 2:
		return line_name(l, EVENT_TYPE_MAX, &l->type);
	case 3:
		return line_rooms(l);
	case 4:
		return line_name(l, EVENT_ROOM_MAX, &l->except);
	case 5:
		return line_value(l, &l->data);
	default:
		return line_value(l, &l->public);
	}
}

static int
line_read(struct line *l)
{
	if (line_take(l, '{') == -1)
		return -1;
	for (;;) {
		if (line_member(l) == -1)
			return -1;
		line_space(l);
		if (l->p < l->end && *l->p == '}')
			break;
		if (line_take(l, ',') == -1)
			return -1;
	}
	l->p++;
	line_space(l);
	if (l->p != l->end)
		return -1;
	/* Stored: both numbers, growing; ephemeral: a type, no number. */
	if ((l->seen & 1u) == 0)
		return -1;
	if (l->id > 0 && ((l->seen & 2u) == 0 || l->prev >= l->id))
		return -1;
	if (l->id == 0 && ((l->seen & 2u) != 0 || l->type.p == NULL))
		return -1;
	/* With a type it is whole; without one it is a hint alone. */
	if (l->type.p != NULL)
		return (l->seen & 8u) && (l->seen & 32u) ? 0 : -1;
	return (l->seen & ~3u) == 0 ? 0 : -1;
}

static const char *
event_copy(char **to, const char *p, size_t len)
{
	char *s = *to;

	memcpy(s, p, len);
	s[len] = '\0';
	*to += len + 1;
	return s;
}

static void
event_rooms(
    struct event *e, const char **rooms, const struct line *l, char **to)
{
	struct line r = { .p = l->rooms.p, .end = l->rooms.p + l->rooms.len };
	struct span room;

	e->rooms = rooms;
	while (e->nrooms < l->nrooms &&
	       line_name(&r, EVENT_ROOM_MAX, &room) == 0) {
		rooms[e->nrooms++] = event_copy(to, room.p, room.len);
		if (line_take(&r, ',') == -1)
			break;
	}
}

/* Whether ${s} is the value true, or one to leave out. */
static bool
span_is(const struct span *s, const char *word)
{
	return s->len == strlen(word) && memcmp(s->p, word, s->len) == 0;
}

/* Whether a byte is below a space; eight at a time. */
static bool
has_control(const char *p, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t w;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&w, p, 8);
		if ((w - ones * 0x20) & ~w & ones << 7)
			return true;
	}
	for (; len > 0; p++, len--)
		if ((unsigned char)*p < 0x20)
			return true;
	return false;
}

int
event_parse(const char *line, size_t len, struct event **out)
{
	struct line l = { .p = line, .end = line + len };
	const char **rooms;
	struct event *e;
	size_t bytes;
	char *to;

	*out = NULL;
	if (len > EVENT_LINE_MAX || !utf8_valid(line, len))
		return -1;
	if (has_control(line, len) || line_read(&l) == -1)
		return -1;
	bytes = sizeof(*e) + l.nrooms * sizeof(*rooms) + l.rooms_bytes +
		l.type.len + l.except.len + l.data.len + l.public.len + 4;
	if ((e = calloc(1, bytes)) == NULL)
		return -1;
	rooms = (const char **)(e + 1);
	to = (char *)(rooms + l.nrooms);
	e->id = l.id;
	e->prev = l.prev;
	if (l.type.p != NULL) {
		e->type = event_copy(&to, l.type.p, l.type.len);
		event_rooms(e, rooms, &l, &to);
		e->data = event_copy(&to, l.data.p, l.data.len);
		e->data_len = l.data.len;
	}
	if (l.except.p != NULL)
		e->except = event_copy(&to, l.except.p, l.except.len);
	if (l.public.p != NULL && span_is(&l.public, "true")) {
		e->public = e->data;
		e->public_len = e->data_len;
	} else if (l.public.p != NULL && l.public.p[0] == '{') {
		e->public = event_copy(&to, l.public.p, l.public.len);
		e->public_len = l.public.len;
	}
	*out = e;
	return 1;
}

void
event_free(struct event *e)
{
	free(e);
}
