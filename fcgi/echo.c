/*
 * The echo race: a platform tells us of our own message, and the answer to the
 * request that sent it was lost.  Where the echo does not carry our number, the
 * words decide.
 */
#include <string.h>

#include "echo.h"
#include "store_channel.h"
#include "store_delivery.h"
#include "store_echo.h"

#define AT_ONCE 32

/* What a delivery said: its part of the message's text. */
static bool
part_of(const struct echo *e, const struct channel_account *ac, const char **p,
    size_t *len)
{
	return channel_part(e->content, ac->ch->text_max(ac), e->part, p, len);
}

int
echo_match(struct store *st, const struct channel_account *ac,
    int64_t conversation, const char *text, int64_t at, int64_t came_at,
    int64_t *n)
{
	struct echo list[AT_ONCE];
	int64_t oldest = 0;
	size_t got, len;
	const char *p;
	int rc;

	rc = store_echo_waiting(
	    st, conversation, at, came_at, list, AT_ONCE, &got);
	if (rc != STORE_DONE)
		return rc;
	rc = STORE_NONE;
	for (size_t i = 0; i < got; i++) {
		if (!part_of(&list[i], ac, &p, &len) || strlen(text) != len ||
		    memcmp(text, p, len) != 0)
			continue;
		/* It may be of that one, whose answer tells. */
		if (list[i].awaited) {
			rc = STORE_NONE;
			break;
		}
		if (rc == STORE_NONE)
			oldest = list[i].delivery;
		rc = STORE_DONE;
	}
	if (rc == STORE_DONE)
		*n = oldest;
	echoes_fini(list, got);
	return rc;
}

static int
settle_one(struct store *st, const struct echo *e)
{
	struct channel_account ac = { .id = e->channel };
	struct channel_row row;
	char external[256];
	const char *p;
	size_t len;
	int rc;

	memset(&row, 0, sizeof(row));
	if ((ac.ch = channel_find(e->platform)) == NULL)
		return STORE_NONE;
	if ((rc = store_channel_get(st, e->channel, &row)) != STORE_DONE)
		return rc;
	ac.config = row.all;
	if (part_of(e, &ac, &p, &len))
		rc = store_echo_row(
		    st, e->delivery, p, len, external, sizeof(external));
	else
		rc = STORE_NONE;
	if (rc == STORE_DONE)
		rc = store_delivery_echo(
		    st, e->delivery, e->channel, 0, external, 0);
	channel_row_fini(&row);
	return rc;
}

/* By rows of echoes, until none of the oldest has one. */
static int
rows_settle(struct store *st)
{
	struct echo list[LAPSED_AT_ONCE];
	int rc, settled;
	size_t got;

	do {
		settled = 0;
		rc = store_echo_lapsed(st, list, LAPSED_AT_ONCE, &got);
		if (rc != STORE_DONE)
			return rc;
		for (size_t i = 0; i < got && rc != STORE_FAILED; i++)
			if ((rc = settle_one(st, &list[i])) == STORE_DONE)
				settled++;
		echoes_fini(list, got);
	} while (rc != STORE_FAILED && settled > 0);
	return rc;
}

int
echo_settle(struct store *st, int64_t *n)
{
	int rc;

	*n = 0;
	if ((rc = store_delivery_lapsed(st)) != STORE_DONE)
		return rc;
	/* As one: an echo comes before all of it, or finds it unknown. */
	if (store_begin(st) == -1)
		return STORE_FAILED;
	rc = rows_settle(st);
	if (rc != STORE_FAILED)
		rc = store_delivery_expired(st, n);
	return store_end(st, rc == STORE_FAILED ? rc : STORE_DONE);
}
