/*
 * wsframe.c: WebSocket frames, RFC 6455 section 5, the server's side.
 *
 * A message's bytes are handed on as they come; who wants them whole collects
 * them.  Control frames are small and handed over whole, also between the
 * fragments of a message.  Nothing is allocated on a declared length.
 */
#include <stdlib.h>
#include <string.h>

#include "wsframe.h"

enum { IN_HEAD, IN_PAYLOAD, IN_NOTHING };

/* Whether a peer may send this close code. */
static int
wsframe_code_ok(int code)
{
	return (code >= 1000 && code <= 1003) ||
	       (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

size_t
wsframe_head(unsigned char out[WSFRAME_HEAD_MAX], int opcode, size_t len)
{
	uint64_t n = len;
	int i;

	out[0] = (unsigned char)(0x80 | opcode);
	if (n < 126) {
		out[1] = (unsigned char)n;
		return 2;
	}
	if (n < 65536) {
		out[1] = 126;
		out[2] = (unsigned char)(n >> 8);
		out[3] = (unsigned char)n;
		return 4;
	}
	out[1] = 127;
	for (i = 0; i < 8; i++)
		out[2 + i] = (unsigned char)(n >> (56 - 8 * i));
	return 10;
}

int
wsframe_idle(const struct wsframe *w)
{
	return w->in == IN_HEAD && w->have == 0 && w->message == 0 &&
	       w->ctl == NULL;
}

void
wsframe_fini(struct wsframe *w)
{
	free(w->ctl);
	w->ctl = NULL;
}

static void
fail(struct wsframe *w, struct wsframe_got *got, int code)
{
	w->in = IN_NOTHING;
	got->what = WSFRAME_FAIL;
	got->code = code;
}

/* Bytes that the head has in all, as far as its first two tell. */
static size_t
head_size(const struct wsframe *w)
{
	size_t n = 6; /* with the mask */

	if (w->have < 2)
		return 2;
	if ((w->head[1] & 0x7f) == 126)
		n += 2;
	else if ((w->head[1] & 0x7f) == 127)
		n += 8;
	return n;
}

/* What the first two bytes alone can be refused for. */
static int
check_start(const struct wsframe *w)
{
	int fin = w->head[0] & 0x80, opcode = w->head[0] & 0x0f;

	if ((w->head[0] & 0x70) != 0 || (w->head[1] & 0x80) == 0)
		return 1002;
	if (opcode >= WS_CLOSE)
		return opcode > WS_PONG || !fin || (w->head[1] & 0x7f) > 125
			   ? 1002
			   : 0;
	if (opcode > WS_BINARY || (opcode == WS_CONT) != (w->message != 0))
		return 1002;
	if (opcode != WS_CONT)
		return 0;
	return w->fragments >= w->fragments_max ? 1009 : 0;
}

/* The head is whole: its length, and what that means for the message. */
static int
begin_payload(struct wsframe *w)
{
	int opcode = w->head[0] & 0x0f, i;
	unsigned char seven = w->head[1] & 0x7f;

	if (seven < 126) {
		w->left = seven;
	} else if (seven == 126) {
		w->left = (uint64_t)w->head[2] << 8 | w->head[3];
	} else {
		for (w->left = 0, i = 2; i < 10; i++)
			w->left = w->left << 8 | w->head[i];
		if (w->left >> 63)
			return 1002;
	}
	w->mask_at = 0;
	w->in = IN_PAYLOAD;
	if (opcode >= WS_CLOSE) {
		w->ctl_len = 0;
		return 0;
	}
	if (opcode != WS_CONT) {
		w->message = (unsigned char)opcode;
		w->total = 0;
		w->fragments = 0;
		memset(&w->utf8, 0, sizeof(w->utf8));
	}
	w->fragments++;
	return w->left > w->message_max - w->total ? 1009 : 0;
}

/* XOR with the mask, eight bytes at a time; the compiler does the rest. */
static void
unmask(struct wsframe *w, char *p, size_t len)
{
	const unsigned char *mask = w->head + head_size(w) - 4;
	unsigned char turned[8];
	uint64_t m, v;
	size_t i;

	for (i = 0; i < 8; i++)
		turned[i] = mask[(w->mask_at + i) & 3];
	memcpy(&m, turned, 8);
	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&v, p + i, 8);
		v ^= m;
		memcpy(p + i, &v, 8);
	}
	for (; i < len; i++)
		p[i] = (char)((unsigned char)p[i] ^ turned[i & 7]);
	w->mask_at = (unsigned char)((w->mask_at + len) & 3);
}

/* A control frame is whole. */
static void
control(struct wsframe *w, char *p, size_t len, struct wsframe_got *got)
{
	int opcode = w->head[0] & 0x0f;
	const unsigned char *u = (const unsigned char *)p;

	got->p = p;
	got->len = len;
	got->code = 0;
	if (opcode != WS_CLOSE) {
		got->what = opcode == WS_PING ? WSFRAME_PING : WSFRAME_PONG;
		return;
	}
	if (len == 1) {
		fail(w, got, 1002);
		return;
	}
	if (len >= 2) {
		got->code = u[0] << 8 | u[1];
		if (!wsframe_code_ok(got->code)) {
			fail(w, got, 1002);
			return;
		}
		if (!utf8_valid(p + 2, len - 2)) {
			fail(w, got, 1007);
			return;
		}
	}
	got->what = WSFRAME_CLOSE;
	w->in = IN_NOTHING;
}

/* Bytes of a control frame's payload, collected if they come in pieces. */
static size_t
read_control(struct wsframe *w, char *p, size_t len, struct wsframe_got *got)
{
	size_t n = len < w->left ? len : (size_t)w->left;

	if (n > 0)
		unmask(w, p, n);
	w->left -= n;
	if (w->left > 0 || w->ctl_len > 0) {
		if (w->ctl == NULL && (w->ctl = calloc(1, 125)) == NULL) {
			fail(w, got, 1011);
			return n;
		}
		memcpy(w->ctl + w->ctl_len, p, n);
		w->ctl_len = (unsigned char)(w->ctl_len + n);
		if (w->left > 0)
			return n;
		control(w, (char *)w->ctl, w->ctl_len, got);
	} else {
		control(w, p, n, got);
	}
	if (w->in == IN_PAYLOAD)
		w->in = IN_HEAD;
	w->have = 0;
	return n;
}

static size_t
read_data(struct wsframe *w, char *p, size_t len, struct wsframe_got *got)
{
	size_t n = len < w->left ? len : (size_t)w->left;
	int last = w->left == n && (w->head[0] & 0x80) != 0;

	if (n > 0)
		unmask(w, p, n);
	w->left -= n;
	w->total += (uint32_t)n;
	if (w->message == WS_TEXT &&
	    ((n > 0 && utf8_feed(&w->utf8, p, n) == -1) ||
		(last && w->utf8.need != 0))) {
		fail(w, got, 1007);
		return n;
	}
	got->opcode = w->message;
	got->p = p;
	got->len = n;
	got->fin = last;
	if (n > 0 || last)
		got->what = WSFRAME_DATA;
	if (w->left == 0) {
		w->in = IN_HEAD;
		w->have = 0;
		if (last)
			w->message = 0;
	}
	return n;
}

size_t
wsframe_read(struct wsframe *w, char *p, size_t len, struct wsframe_got *got)
{
	size_t taken = 0;
	int code;

	memset(got, 0, sizeof(*got)); /* what is WSFRAME_MORE */
	if (w->ctl != NULL && w->in == IN_HEAD)
		wsframe_fini(w); /* the caller is done with it */

	while (got->what == WSFRAME_MORE) {
		if (w->in == IN_NOTHING)
			return len;
		if (w->in == IN_PAYLOAD) {
			/* An empty payload is read without a byte. */
			if (taken == len && w->left > 0)
				break;
			taken +=
			    (w->head[0] & 0x0f) >= WS_CLOSE
				? read_control(w, p + taken, len - taken, got)
				: read_data(w, p + taken, len - taken, got);
			continue;
		}
		if (taken == len)
			break;
		w->head[w->have++] = (unsigned char)p[taken++];
		if (w->have == 2 && (code = check_start(w)) != 0)
			fail(w, got, code);
		else if (w->have > 2 && w->have == head_size(w) &&
			 (code = begin_payload(w)) != 0)
			fail(w, got, code);
	}
	return taken;
}

void
wsframe_carry(const struct wsframe *w, struct buf *b)
{
	carry_num(b, w->in);
	carry_num(b, w->message);
	carry_num(b, w->left);
	carry_num(b, w->total);
	carry_num(b, w->fragments);
	carry_num(b, w->mask_at);
	carry_num(b, w->utf8.need);
	carry_num(b, w->utf8.lo);
	carry_num(b, w->utf8.hi);
	carry_bytes(b, w->head, w->have);
	/* What is done with is not read again. */
	carry_bytes(b, w->ctl, w->in == IN_PAYLOAD ? w->ctl_len : 0);
}

/* Whether what was read could have come about. */
static int
possible(const struct wsframe *w)
{
	int ctl = (w->head[0] & 0x0f) >= WS_CLOSE;

	if (w->message > WS_BINARY || (w->total > w->message_max))
		return 0;
	if (w->in == IN_HEAD)
		return w->have < head_size(w) && w->ctl_len == 0 &&
		       (w->have < 2 || check_start(w) == 0);
	if (w->in == IN_NOTHING)
		return 1;
	if (w->have < 2 || w->have != head_size(w))
		return 0;
	if (ctl)
		return (w->head[0] & 0x0f) <= WS_PONG && w->left <= 125 &&
		       w->ctl_len + w->left <= 125;
	return w->message != 0 && w->left <= w->message_max - w->total;
}

int
wsframe_adopt(struct wsframe *w, struct carry_in *in)
{
	const char *head, *ctl;
	size_t have, len;

	w->in = (unsigned char)carry_get_num(in, IN_NOTHING);
	w->message = (unsigned char)carry_get_num(in, WS_BINARY);
	w->left = carry_get_num(in, INT64_MAX);
	w->total = (uint32_t)carry_get_num(in, UINT32_MAX);
	w->fragments = (uint32_t)carry_get_num(in, UINT32_MAX);
	w->mask_at = (unsigned char)carry_get_num(in, 3);
	w->utf8.need = (unsigned char)carry_get_num(in, 3);
	w->utf8.lo = (unsigned char)carry_get_num(in, 255);
	w->utf8.hi = (unsigned char)carry_get_num(in, 255);
	head = carry_get_bytes(in, &have, sizeof(w->head));
	ctl = carry_get_bytes(in, &len, 125);
	memcpy(w->head, head, have);
	w->have = (unsigned char)have;
	w->ctl_len = (unsigned char)len;
	if (in->bad || !possible(w))
		return -1;
	if (len == 0)
		return 0;
	w->ctl = calloc(1, 125);
	if (w->ctl == NULL)
		return -1;
	memcpy(w->ctl, ctl, len);
	return 0;
}
