/* p_bot_form.c: any form is settings, and any settings are a form. */
#include "p_bot_form.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read, and shown again as if it had been refused. */
static void
read_as(struct req *rq, const char *kind)
{
	struct json_object *parts = bot_form_read(rq, kind),
			   *o = json_object_new_object();
	struct view v = { .rq = rq, .locale = "en" };
	struct bot_shown s = { .kind = kind,
		.values = json_object_object_get(parts, "config"),
		.back = true };

	assert(s.values != NULL);
	bot_form_put(&v, o, &s);
	json_object_put(o);
	json_object_put(parts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char www[] = "www";
	static struct conf cf = { .www_dir = www, .message_chars_max = 100 };
	struct req_field fields[FIELDS_MAX];
	struct req rq = { .cf = &cf, .base_path = "" };
	char *buf = malloc(size + 2);
	int n;

	if (buf == NULL)
		return 0;
	n = req_parse_form((const char *)data, size, buf, fields, FIELDS_MAX);
	if (n > 0) {
		req_fields(&rq, fields, (size_t)n);
		read_as(&rq, "rules");
		read_as(&rq, "http");
		read_as(&rq, "assistant");
	}
	req_fini(&rq);
	free(buf);
	return 0;
}
