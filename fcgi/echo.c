/*
 * The echo race: a platform tells us of our own message, and the answer to the
 * request that sent it was lost, or held no id.  Where the echo does not carry
 * our number, what it says decides.
 */
#include "echo.h"
#include "store_delivery.h"
#include "store_echo.h"

#define AT_ONCE 32

int
echo_match(struct store *st, int64_t conversation, const char *kind,
    const char *text, int64_t at, int64_t came_at, int64_t *n)
{
	struct echo list[AT_ONCE];
	char said[ECHO_MARK_SIZE];
	size_t got;
	int rc;

	echo_mark(kind, text, said);
	rc = store_echo_waiting(
	    st, conversation, said, at, came_at, list, AT_ONCE, &got);
	if (rc != STORE_DONE)
		return rc;
	/* It may be of that one, whose answer tells. */
	for (size_t i = 0; i < got; i++)
		if (list[i].awaited)
			return STORE_NONE;
	*n = list[0].delivery;
	return STORE_DONE;
}

static int
settle_one(struct store *st, const struct echo *e)
{
	char external[256];
	int rc;

	rc = store_echo_row(st, e->delivery, external, sizeof(external));
	if (rc == STORE_DONE)
		rc = store_delivery_echo(
		    st, e->delivery, e->channel, 0, external, 0);
	return rc;
}

int
echo_adopt(struct store *st, int64_t conversation, const char *said)
{
	struct echo list[AT_ONCE];
	size_t got;
	int rc;

	rc = store_echo_waiting(
	    st, conversation, said, 0, 0, list, AT_ONCE, &got);
	for (size_t i = 0; i < got && rc != STORE_FAILED; i++)
		if (!list[i].awaited)
			rc = settle_one(st, &list[i]);
	return rc == STORE_FAILED ? rc : STORE_DONE;
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
