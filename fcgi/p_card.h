#ifndef PARLEY_P_CARD_H
#define PARLEY_P_CARD_H

#include "p_view.h"

/* card_customer(v, customer): make the API's customer ready for a card. */
void card_customer(const struct view *v, struct json_object *customer);

/*
 * card_history(v, customer, but, limit, out): returns new the customer's
 * newest conversations, without the one ${but}, as rows.
 */
int card_history(const struct view *v, int64_t customer, int64_t but, int limit,
    struct json_object **out);

#endif
