/*
 * test_p_words.c: names, links, times, messages as a reader sees them, and
 * what an options list, an address and a typed text become.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "p_view.h"
#include "p_words.h"

/* 2026-11-21 10:00 in UTC+7 */
#define NOW INT64_C(1795230000000)
#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

static char www[] = "www";
static char vi[] = "vi";
static struct conf cf = { .www_dir = www,
	.locale = vi,
	.zone_minutes = 420,
	.message_chars_max = 10,
	.message_bytes_max = 40 };
static struct req rq = { .cf = &cf, .now_ms = NOW, .base_path = "/b" };
static struct view v = { .rq = &rq, .locale = "vi" };

static const char *
get(struct json_object *o, const char *key)
{
	struct json_object *m = NULL;

	if (!json_object_object_get_ex(o, key, &m) || m == NULL)
		return "-";
	return json_object_get_string(m);
}

/* The runs of ${text}, links in brackets. */
static const char *
runs(const char *text)
{
	static char out[1024];
	struct json_object *list = words_runs(text, strlen(text));

	out[0] = '\0';
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		int link = strcmp(get(o, "link"), "-") != 0;

		strcat(out, link ? "[" : "");
		strcat(out, get(o, "text"));
		strcat(out, link ? "]" : "");
	}
	json_object_put(list);
	return out;
}

static void
links(void **state)
{
	(void)state;
	assert_string_equal(runs(""), "");
	assert_string_equal(runs("xem https://a.vn/x?y=1&z nhé"),
	    "xem [https://a.vn/x?y=1&z] nhé");
	assert_string_equal(runs("(http://a.vn/b_(c)). http://d"),
	    "([http://a.vn/b_(c)]). [http://d]");
	assert_string_equal(runs("mailto:a@b.vn, TEL:+84901!"),
	    "[mailto:a@b.vn], [TEL:+84901]!");
	/* Nothing else is one. */
	assert_string_equal(runs("javascript:alert(1) data:x file:///etc"),
	    "javascript:alert(1) data:x file:///etc");
	assert_string_equal(runs("xhttp://a.vn http:// https://..."),
	    "xhttp://a.vn http:// https://...");
	assert_string_equal(runs("http://a\nhttp://b<c>\"http://d\""),
	    "[http://a]\n[http://b]<c>\"[http://d]\"");
}

/* Cut anywhere, a text's runs are that text, and a cut scheme is no link. */
static void
links_cut_at_every_byte(void **state)
{
	static const char text[] = "a (https://b.vn/c), mailto:d@e.vn tel:1.";

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *p = malloc(len + 1);
		struct json_object *list;
		size_t at = 0;

		assert_non_null(p);
		memcpy(p, text, len);
		list = words_runs(p, len);
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			const char *run =
			    get(json_object_array_get_idx(list, i), "text");

			assert_memory_equal(p + at, run, strlen(run));
			at += strlen(run);
		}
		assert_int_equal(at, len);
		json_object_put(list);
		free(p);
	}
}

static void
person_is(const char *name, const char *initials, const char *display)
{
	struct json_object *o = json_object_new_object();

	words_person(&v, o, "12", name, "inbox.anonymous");
	assert_string_equal(get(o, "initials"), initials);
	assert_string_equal(get(o, "display_name"), display);
	json_object_put(o);
}

static void
people(void **state)
{
	(void)state;
	person_is("Nguyễn Thị Lan", "NL", "Nguyễn Thị Lan");
	person_is("đặng", "đ", "đặng");
	person_is("bob  smith ", "BS", "bob  smith ");
	person_is("เอก ใจดี", "อจ", "เอก ใจดี");
	person_is("", "K1", "Khách 12");
	person_is("   ", "K1", "Khách 12");
}

static void
presence_is(const char *status, int64_t ago, const char *text)
{
	struct json_object *o = json_object_new_object();

	json_put_str(o, "status", status);
	json_put_int(o, "last_seen_at", ago < 0 ? 0 : NOW - ago);
	words_presence(&v, o);
	assert_string_equal(get(o, "presence"), text);
	json_object_put(o);
}

static void
presence(void **state)
{
	(void)state;
	presence_is("online", 9 * HOUR, "Đang hoạt động");
	presence_is("busy", 0, "Đang bận");
	presence_is("offline", -1, "Ngoại tuyến");
	presence_is(NULL, -1, "Ngoại tuyến");
	presence_is("offline", 5 * MINUTE - 1, "Vừa truy cập");
	presence_is("offline", 5 * MINUTE, "5 phút trước");
	presence_is("offline", HOUR - 1, "59 phút trước");
	presence_is("offline", HOUR, "1 giờ trước");
	presence_is("offline", 24 * HOUR, "1 ngày trước");
}

static void
when_is(int64_t ago, const char *text)
{
	struct json_object *o = json_object_new_object();

	words_when(&v, o, NOW - ago);
	assert_string_equal(get(o, "when"), text);
	json_object_put(o);
}

static void
times(void **state)
{
	(void)state;
	when_is(0, "10:00");
	when_is(10 * HOUR, "00:00");
	when_is(10 * HOUR + 1, "Hôm qua");
	when_is(34 * HOUR + 1, "19/11");
	when_is(24 * HOUR * 400, "17/10/2025");
}

static void
tags(void **state)
{
	struct json_object *o = json_object_new_object();

	(void)state;
	json_put(o, "tags", words_taglist(" gấp ,, VIP khách,\t"));
	assert_string_equal(get(o, "tags"), "[ \"gấp\", \"VIP khách\" ]");
	words_tags(o);
	assert_string_equal(get(o, "tags_text"), "gấp, VIP khách");
	json_object_put(o);
}

static void
messages(void **state)
{
	struct words_eyes agent = { .id = 5, .read_upto = 12 };
	struct words_eyes customer = {
		.customer = true, .id = 9, .read_upto = 11
	};
	struct json_object *items = json_tokener_parse(
	    "["
	    "{\"id\":\"14\",\"type\":\"note\",\"content\":\"n\","
	    "\"sender\":{\"kind\":\"agent\",\"id\":\"6\",\"name\":\"Mai\"},"
	    "\"created_at\":1795229900000},"
	    "{\"id\":\"13\",\"type\":\"outgoing\",\"content\":\"c\","
	    "\"status\":\"failed\",\"sender\":{\"kind\":\"agent\",\"id\":\"5\","
	    "\"name\":\"Tôi\"},\"created_at\":1795229800000},"
	    "{\"id\":\"12\",\"type\":\"outgoing\",\"content\":\"b\","
	    "\"status\":\"sent\",\"sender\":{\"kind\":\"agent\",\"id\":\"5\","
	    "\"name\":\"Tôi\"},\"created_at\":1795229790000},"
	    "{\"id\":\"11\",\"type\":\"incoming\",\"content\":\"\","
	    "\"kind\":\"image\",\"attachments\":[{\"url\":\"javascript:x\","
	    "\"name\":\"a.png\"},{\"url\":\"//evil\"},{\"url\":\"/media/1\",\"mime\":\"image/png\"}],"
	    "\"sender\":{\"kind\":\"customer\",\"id\":\"9\"},"
	    "\"created_at\":1795100000000}]");
	struct json_object *list, *m, *files;

	(void)state;
	list = words_messages(&v, items, &agent);
	assert_int_equal(json_object_array_length(list), 4);
	m = json_object_array_get_idx(list, 0);
	assert_string_equal(get(m, "id"), "11");
	assert_string_equal(get(m, "side"), "them");
	assert_string_equal(get(m, "day"), "Thứ năm, 19/11");
	assert_string_equal(get(m, "sender_name"), "Khách");
	assert_string_equal(get(m, "state"), "-");
	json_object_object_get_ex(m, "attachments", &files);
	assert_string_equal(
	    get(json_object_array_get_idx(files, 0), "link"), "-");
	assert_string_equal(
	    get(json_object_array_get_idx(files, 1), "link"), "-");
	assert_string_equal(
	    get(json_object_array_get_idx(files, 1), "label"), "Hình ảnh");
	assert_string_equal(
	    get(json_object_array_get_idx(files, 2), "link"), "/b/media/1");
	assert_string_equal(
	    get(json_object_array_get_idx(files, 2), "image"), "/b/media/1");
	m = json_object_array_get_idx(list, 1);
	assert_string_equal(get(m, "side"), "us");
	assert_string_equal(get(m, "day"), "Hôm nay");
	assert_string_equal(get(m, "state"), "Đã đọc");
	assert_string_equal(get(m, "sender_name"), "Bạn");
	m = json_object_array_get_idx(list, 2);
	assert_string_equal(get(m, "joined"), "true");
	assert_string_equal(get(m, "state"), "Lỗi");
	assert_string_equal(get(m, "failed"), "true");
	m = json_object_array_get_idx(list, 3);
	assert_string_equal(get(m, "note"), "true");
	assert_string_equal(get(m, "sender_name"), "Mai");
	assert_string_equal(get(m, "hide_name"), "false");
	json_object_put(list);

	/* The customer's own side is the other one. */
	list = words_messages(&v, items, &customer);
	m = json_object_array_get_idx(list, 0);
	assert_string_equal(get(m, "side"), "us");
	assert_string_equal(get(m, "state"), "Đã đọc");
	m = json_object_array_get_idx(list, 1);
	assert_string_equal(get(m, "side"), "them");
	assert_string_equal(get(m, "sender_name"), "Tôi");
	assert_string_equal(get(m, "state"), "-");
	json_object_put(list);
	json_object_put(items);
}

static void
addresses(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 256);
	buf_puts(&b, "/inbox");
	view_url(&b, "view", "");
	view_url(&b, "q", "a b&ớ");
	view_url(&b, "x", "~");
	assert_string_equal(b.data, "/inbox?q=a%20b%26%E1%BB%9B&x=~");
	buf_fini(&b);
}

static void
contents(void **state)
{
	size_t len = 0;
	const char *p;

	(void)state;
	p = view_content(&rq, " \r\n a\r\nb\rc \t\r\n", &len);
	assert_string_equal(p, "a\nb\nc");
	assert_int_equal(len, 5);
	p = view_content(&rq, " \r\n", &len);
	assert_string_equal(view_content_fault(&rq, p, len), "empty");
	assert_null(view_content_fault(&rq, "ớớớớớớớớớớ", 30));
	assert_string_equal(
	    view_content_fault(&rq, "ớớớớớớớớớớớ", 33), "too_long");
	req_fini(&rq);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),
		cmocka_unit_test(links_cut_at_every_byte),
		cmocka_unit_test(people),
		cmocka_unit_test(presence),
		cmocka_unit_test(times),
		cmocka_unit_test(tags),
		cmocka_unit_test(messages),
		cmocka_unit_test(addresses),
		cmocka_unit_test(contents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
