/*
 * fuzz_page.c: any bytes as a template, over a model with one value of each
 * kind, itself as its own part; and the same bytes as a language's name.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <json-c/json.h>

#include "buf.h"
#include "page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct page_tmpl *
itself(void *arg, const char *name)
{
	(void)name;
	return arg;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct json_object *model, *texts;
	struct page_tmpl *t;
	const char *why;
	struct buf out;
	size_t line;

	if (model == NULL) {
		model = json_tokener_parse(
		    "{\"a\":\"<x>\",\"n\":1,\"l\":[{\"a\":\"&\"},{}],"
		    "\"o\":{\"p\":{\"q\":true}},\"z\":null}");
		texts = json_tokener_parse(
		    "{\"x\":\"{a}{n}{\",\"s\":{\"1\":\"{o.p.q}\"}}");
		if (model == NULL || texts == NULL)
			abort();
	}
	(void)page_locale((const char *)data, size);
	t = page_parse((const char *)data, size, &why, &line);
	if (t == NULL)
		return 0;
	buf_init(&out, 65536);
	(void)page_fill(t, model, texts, itself, t, &out);
	buf_fini(&out);
	page_tmpl_free(t);
	return 0;
}
