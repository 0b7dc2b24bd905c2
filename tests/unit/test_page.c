/*
 * test_page.c: templates are parsed whole or refused with a line, values come
 * out escaped, and every bound holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "buf.h"
#include "log.h"
#include "page.h"

static const char model_text[] =
    "{\"name\":\"Lan <b>\\\"&'\",\"n\":42,\"yes\":true,\"no\":false,"
    "\"none\":null,\"empty\":\"\",\"zero\":0,\"list\":[{\"name\":\"a\"},"
    "{\"name\":\"b\"},{}],\"nolist\":[],\"obj\":{\"deep\":{\"er\":\"x\"},"
    "\"name\":null},\"words\":[\"p\",\"q\"],\"status\":\"open\","
    "\"ctl\":\"a\\u0000b\\u0007c\\n\"}";
static const char texts_text[] =
    "{\"hi\":\"Hi {name}!\",\"status\":{\"open\":\"Mở\"},"
    "\"odd\":\"{ {n} {list} {nothing} {a b} }{\",\"deep\":\"<{obj.deep.er}>\"}";

/* What ${tmpl} makes of the model above; "!" if it cannot be rendered. */
static const char *
fill(const char *tmpl, page_part_fn *part)
{
	static char out[4096];
	struct json_object *model = json_tokener_parse(model_text);
	struct json_object *texts = json_tokener_parse(texts_text);
	struct page_tmpl *t;
	const char *why;
	struct buf b;
	size_t line;

	assert_non_null(model);
	assert_non_null(texts);
	buf_init(&b, sizeof(out) - 1);
	t = page_parse(tmpl, strlen(tmpl), &why, &line);
	if (t == NULL)
		snprintf(out, sizeof(out), "!%zu %s", line, why);
	else if (page_fill(t, model, texts, part, NULL, &b) == -1)
		snprintf(out, sizeof(out), "!");
	else
		snprintf(out, sizeof(out), "%s", b.len > 0 ? b.data : "");
	page_tmpl_free(t);
	buf_fini(&b);
	json_object_put(model);
	json_object_put(texts);
	return out;
}

static void
values_are_escaped(void **state)
{
	(void)state;
	assert_string_equal(fill("<p title=\"{{name}}\">", NULL),
	    "<p title=\"Lan &lt;b&gt;&quot;&amp;&#39;\">");
	assert_string_equal(fill("{{ n }}{{yes}}{{no}}", NULL), "42truefalse");
	assert_string_equal(fill("{{none}}{{gone}}{{list}}{{obj}}", NULL), "");
	assert_string_equal(fill("{{obj.deep.er}}{{obj.gone.er}}", NULL), "x");
	assert_string_equal(fill("{{n.deep}}{{! {{ a remark }}", NULL), "");
	/* What HTML forbids is shown as a replacement, lines stay. */
	assert_string_equal(fill("{{ctl}}", NULL), "a\xef\xbf\xbd"
						   "b\xef\xbf\xbd"
						   "c\n");
}

static void
sections(void **state)
{
	(void)state;
	assert_string_equal(
	    fill("{{#yes}}1{{/yes}}{{#no}}2{{/no}}", NULL), "1");
	assert_string_equal(fill("{{#zero}}a{{/zero}}{{#none}}b{{/none}}"
				 "{{#empty}}c{{/empty}}{{#gone}}d{{/gone}}"
				 "{{#nolist}}e{{/nolist}}",
				NULL),
	    "");
	assert_string_equal(fill("{{^zero}}a{{/zero}}{{^none}}b{{/none}}"
				 "{{^empty}}c{{/empty}}{{^gone}}d{{/gone}}"
				 "{{^nolist}}e{{/nolist}}{{^yes}}f{{/yes}}",
				NULL),
	    "abcde");
	/* A name is looked for outwards, but null is found. */
	assert_string_equal(fill("{{#list}}[{{name}}{{n}}]{{/list}}", NULL),
	    "[a42][b42][Lan &lt;b&gt;&quot;&amp;&#39;42]");
	assert_string_equal(
	    fill("{{#obj}}[{{name}}{{deep.er}}]{{/obj}}", NULL), "[x]");
	assert_string_equal(fill("{{#words}}{{.}},{{/words}}", NULL), "p,q,");
	assert_string_equal(
	    fill("{{#obj.deep}}{{er}}{{/obj.deep}}", NULL), "x");
}

static void
texts(void **state)
{
	(void)state;
	assert_string_equal(
	    fill("{{t.hi}}", NULL), "Hi Lan &lt;b&gt;&quot;&amp;&#39;!");
	assert_string_equal(fill("{{t.status.@status}}", NULL), "Mở");
	assert_string_equal(
	    fill("{{t.status.@gone}}{{t.gone.x}}{{t.status}}", NULL), "");
	assert_string_equal(fill("{{t.deep}}", NULL), "&lt;x&gt;");
	/* Braces that name nothing vanish; a lone one stays. */
	assert_string_equal(fill("{{t.odd}}", NULL), "    }{");
}

static const struct page_tmpl *
itself(void *arg, const char *name)
{
	static struct page_tmpl *t;
	const char *why;
	size_t line;

	(void)arg;
	if (strcmp(name, "self") != 0)
		return NULL;
	if (t == NULL)
		t = page_parse("x{{>self}}", 10, &why, &line);
	return t;
}

static void
bounds(void **state)
{
	char deep[PAGE_SECTIONS_MAX * 8 + 64];
	size_t at = 0;

	(void)state;
	/* A part inside itself ends; a missing one is an error. */
	assert_string_equal(fill("{{>self}}", itself), "!");
	assert_string_equal(fill("{{>gone}}", itself), "!");
	assert_string_equal(fill("{{>gone}}", NULL), "!");

	for (int i = 0; i < PAGE_SECTIONS_MAX + 1; i++)
		at += (size_t)snprintf(deep + at, sizeof(deep) - at, "{{#n}}");
	assert_string_equal(fill(deep, NULL), "!1 sections too deep");
}

static void
faults_name_their_line(void **state)
{
	(void)state;
	assert_string_equal(fill("a\n{{b", NULL), "!2 a tag without an end");
	assert_string_equal(fill("{{}}", NULL), "!1 a tag without a good name");
	assert_string_equal(
	    fill("{{{n}}}", NULL), "!1 a tag without a good name");
	assert_string_equal(
	    fill("{{a..b}}", NULL), "!1 a tag without a good name");
	assert_string_equal(
	    fill("{{a b}}", NULL), "!1 a tag without a good name");
	assert_string_equal(
	    fill("{{>a.b}}", NULL), "!1 a part without a good name");
	assert_string_equal(
	    fill("\n\n{{#a}}\n", NULL), "!3 a section without an end");
	assert_string_equal(
	    fill("{{/a}}", NULL), "!1 an end without its section");
	assert_string_equal(
	    fill("{{#a.b}}\n{{/a}}", NULL), "!2 an end of another section");
}

static void
cut_at_every_byte(void **state)
{
	static const char tmpl[] =
	    "<p>{{name}} {{#list}}<i>{{name}}</i>{{/list}}{{^no}}-{{/no}}"
	    "{{>self}}{{! x }}{{t.status.@status}}{{#obj.deep}}{{.}}{{er}}"
	    "{{/obj.deep}}</p>";
	size_t parsed = 0;

	(void)state;
	for (size_t len = 0; len < sizeof(tmpl); len++) {
		/* Its own block, so that reading past the end is seen. */
		char *p = malloc(len + 1);
		struct page_tmpl *t;
		const char *why;
		size_t line;

		assert_non_null(p);
		memcpy(p, tmpl, len);
		t = page_parse(p, len, &why, &line);
		free(p);
		if (t == NULL) {
			assert_non_null(why);
			assert_int_equal(line, 1);
		} else
			parsed++;
		page_tmpl_free(t);
	}
	assert_true(parsed > 20 && parsed < sizeof(tmpl));
}

static void
locale_is_chosen(void **state)
{
	static const struct {
		const char *text, *locale;
	} cases[] = { { "vi", "vi" }, { "VI-vn", "vi" }, { "th_TH", "th" },
		{ "fr", NULL }, { "", NULL }, { "e", NULL }, { "eng", NULL },
		{ "fr-FR, en;q=0.5, th;q=0.9", "th" },
		{ "en;q=0, vi;q=0.1", "vi" }, { "en,vi", "en" },
		{ " \t,;q=,en;q=.5", "en" }, { "de;q=1,*;q=0.5", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got =
		    page_locale(cases[i].text, strlen(cases[i].text));

		if (cases[i].locale == NULL)
			assert_null(got);
		else
			assert_string_equal(got, cases[i].locale);
	}
}

static void
file_put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
a_set_reads_files_once(void **state)
{
	char dir[] = "/tmp/parley-page-XXXXXX";
	struct json_object *model = json_tokener_parse("{\"x\":\"<\"}");
	struct page_set *ps;
	struct buf b;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(mkdir("tmpl", 0700), 0);
	assert_int_equal(mkdir("i18n", 0700), 0);
	file_put("tmpl/a.html", "{{t.g.hi}} {{>b}}");
	file_put("tmpl/b.html", "[{{x}}]");
	file_put("tmpl/bad.html", "{{#x}}");
	file_put("i18n/vi.json", "{\"g\":{\"hi\":\"Chào\"}}");
	file_put("i18n/en.json", "[]");

	ps = page_set_new(dir);
	assert_non_null(ps);
	buf_init(&b, 1024);
	assert_int_equal(page_render(ps, "a", "vi", model, &b), 0);
	assert_string_equal(b.data, "Chào [&lt;]");
	assert_string_equal(page_text(ps, "vi", "g.hi"), "Chào");
	assert_string_equal(page_text(ps, "vi", "g"), "");
	assert_string_equal(page_text(ps, "vi", "g.hi.x"), "");
	assert_string_equal(page_text(ps, "vi", "gone.x"), "");
	/* Once read, the files are asked no more. */
	assert_int_equal(unlink("tmpl/a.html"), 0);
	assert_int_equal(unlink("tmpl/b.html"), 0);
	assert_int_equal(unlink("i18n/vi.json"), 0);
	buf_reset(&b);
	assert_int_equal(page_render(ps, "a", "vi", model, &b), 0);
	/* What is missing or wrong makes no page. */
	assert_int_equal(page_render(ps, "bad", "vi", model, &b), -1);
	assert_int_equal(page_render(ps, "gone", "vi", model, &b), -1);
	assert_int_equal(page_render(ps, "a", "en", model, &b), -1);
	assert_int_equal(page_render(ps, "a", "th", model, &b), -1);
	buf_fini(&b);
	page_set_free(ps);
	page_set_free(NULL);
	json_object_put(model);
	unlink("tmpl/bad.html");
	unlink("i18n/en.json");
	rmdir("tmpl");
	rmdir("i18n");
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_escaped),
		cmocka_unit_test(sections),
		cmocka_unit_test(texts),
		cmocka_unit_test(bounds),
		cmocka_unit_test(faults_name_their_line),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(locale_is_chosen),
		cmocka_unit_test(a_set_reads_files_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
