#ifndef PARLEY_P_CHANNEL_PUT_H
#define PARLEY_P_CHANNEL_PUT_H

/* What the pages of platform accounts show, as the templates take it. */

#include "channel.h"
#include "p_view.h"
#include "req.h"
#include "store_channel.h"

#include <stdint.h>

/* How a setting is asked for, by the end of its name. */
enum channel_form {
	FORM_TEXT,
	FORM_TICK,   /* 1 or not */
	FORM_NUMBER, /* with a default that mostly fits */
	FORM_MORE,   /* likewise, a text */
	FORM_KEPT,   /* the worker's own */
	FORM_DATE,   /* of one that no worker keeps */
};

/* A form that comes back. */
struct channel_fault {
	const struct channel_key *key; /* at which; NULL: the whole form */
	const char *text;              /* to be read, or NULL */
};

/* channel_form_of(ch, k): how that setting of the platform is asked for. */
enum channel_form channel_form_of(
    const struct channel *ch, const struct channel_key *k);

/*
 * channel_day_read(day, ms):
 * The end of "2026-01-31", in ms as digits.  0, or -1: it is no day.
 */
int channel_day_read(const char *day, char ms[24]);

/*
 * channel_put_fields(v, o, ch, row, fault):
 * The form's fields into ${o}: those that one needs, and more that mostly
 * stay.  ${row}: of that account; NULL: of a new one.  ${fault}: what was
 * typed comes back; NULL: it is shown for the first time.  A secret never is.
 */
void channel_put_fields(const struct view *v, struct json_object *o,
    const struct channel *ch, const struct channel_row *row,
    const struct channel_fault *fault);

/* channel_put_guide(v, o, ch): what stands beside: where, and what to do. */
void channel_put_guide(
    const struct view *v, struct json_object *o, const struct channel *ch);

/*
 * channel_put_paste(v, o, ch, row, made):
 * What to enter over there, in rows.  ${made}: what was made up just now; a
 * secret of before is not shown.
 */
void channel_put_paste(const struct view *v, struct json_object *o,
    const struct channel *ch, const struct channel_row *row,
    struct json_object *made);

/* channel_row_json(row): returns new its name and state. */
struct json_object *channel_row_json(const struct channel_row *row);

/*
 * channel_health_json(v, health, id):
 * Returns new the health of channel ${id}, ready for reading; while a test is
 * under way the page ${v} loads itself again.
 */
struct json_object *channel_health_json(
    struct view *v, struct json_object *health, int64_t id);

#endif
