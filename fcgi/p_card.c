/*
 * p_card.c: a customer made ready for reading: the card beside a conversation
 * and the customer's own page.
 */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "p_card.h"
#include "p_words.h"
#include "page.h"
#include "store_customer.h"

/* The words for an attribute that Parley itself keeps; for others the key. */
static const char *
fact_label(const struct view *v, const char *key)
{
	struct json_object *known, *text;

	if (json_object_object_get_ex(view_texts(v), "fact", &known) &&
	    json_object_object_get_ex(known, key, &text))
		return json_object_get_string(text);
	return key;
}

/* The customer's attributes as a list. */
static void
put_facts(const struct view *v, struct json_object *customer)
{
	struct json_object *attributes, *list = json_object_new_array(), *o;

	if (json_get_obj(customer, "attributes", &attributes) == 1) {
		json_object_object_foreach(attributes, key, value)
		{
			o = json_object_new_object();
			json_put_str(o, "key", fact_label(v, key));
			json_put_str(o, "value", json_object_get_string(value));
			json_object_array_add(list, o);
		}
	}
	json_put(customer, "facts", list);
}

/* A tel: or mailto: address, where the text can be one. */
static void
put_contact(struct json_object *customer, const char *key, const char *scheme,
    const char *bytes)
{
	const char *p = NULL;
	char name[32];
	struct buf b;

	snprintf(name, sizeof(name), "%s_link", key);
	json_put_str(customer, name, NULL);
	if (json_get_str(customer, key, &p, NULL) != 1 || *p == '\0')
		return;
	for (const char *c = p; *c != '\0'; c++)
		if (strchr(bytes, *c) == NULL && !(*c >= '0' && *c <= '9') &&
		    !(bytes[0] == '@' &&
			((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z'))))
			return;
	buf_init(&b, 1024);
	buf_puts(&b, scheme);
	for (; *p != '\0'; p++)
		if (*p != ' ')
			buf_putc(&b, *p);
	json_put_strn(customer, name, b.data, b.len);
	buf_fini(&b);
}

void
card_customer(const struct view *v, struct json_object *customer)
{
	const char *id = "", *name = "", *locale = NULL, *phone = NULL,
		   *email = NULL;
	char key[32];
	int64_t at = 0;

	(void)json_get_str(customer, "id", &id, NULL);
	(void)json_get_str(customer, "name", &name, NULL);
	(void)json_get_str(customer, "phone", &phone, NULL);
	(void)json_get_str(customer, "email", &email, NULL);
	words_person(v, customer, id, name, "inbox.anonymous");
	words_presence(v, customer);
	words_tags(customer);
	put_facts(v, customer);
	put_contact(customer, "phone", "tel:", "+-() .");
	put_contact(customer, "email", "mailto:", "@.+-_");
	json_put_bool(customer, "claimed",
	    (phone != NULL && *phone != '\0') ||
		(email != NULL && *email != '\0'));
	(void)json_get_int(customer, "created_at", &at);
	words_date(v, customer, "since", "since_iso", at);
	if (json_get_str(customer, "locale", &locale, NULL) == 1 &&
	    (locale = page_locale(locale, strlen(locale))) != NULL) {
		snprintf(key, sizeof(key), "language.%s", locale);
		json_put_str(customer, "locale_name", view_text(v, key));
	} else
		json_put_str(customer, "locale_name", NULL);
}

int
card_history(const struct view *v, int64_t customer, int64_t but, int limit,
    struct json_object **out)
{
	struct store_page pg = { .limit = limit };
	struct json_object *list = NULL, *items;
	int rc;

	*out = json_object_new_array();
	rc = store_customer_conversations(
	    v->rq->st, &v->rq->who, customer, &pg, &list);
	if (rc == STORE_DONE && json_get_arr(list, "items", &items) == 1)
		for (size_t i = 0; i < json_object_array_length(items); i++) {
			struct json_object *o =
			    json_object_array_get_idx(items, i);
			int64_t id = 0;

			(void)json_get_id(o, "id", &id);
			if (id == but)
				continue;
			words_row(v, o);
			json_object_array_add(*out, json_object_get(o));
		}
	json_object_put(list);
	return rc;
}
