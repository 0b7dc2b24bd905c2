/* Names of files, and addresses that open one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file_kind.h"
#include "file_magic.h"
#include "media_link.h"
#include "utf8.h"

static void
names(void **state)
{
	static const char *const rows[][3] = {
		{ "image/png", "a.png", "a.png" },
		{ "image/png", "A.PNG", "A.PNG" },
		{ "image/png", "a.html", "a.html.png" },
		{ "image/png", "", "image.png" },
		{ "image/png", "...", "image.png" },
		{ "image/png", ".png", "png.png" },
		{ "image/png", "/etc/passwd", "passwd.png" },
		{ "image/png", "..\\..\\x.png", "x.png" },
		{ "image/png", "a\r\nb\t\"c:.png", "abc.png" },
		{ "image/png", "a\xe2\x80\xaegnp.exe", "agnp.exe.png" },
		{ "image/png", " a .png. ", "a .png" },
		{ "image/png", "\xff\xfe.png", "png.png" },
		{ "text/plain", "b\xc3\xa0i.csv", "b\xc3\xa0i.csv" },
		{ "application/pdf", "a.pdf.exe", "a.pdf.exe.pdf" },
		{ "audio/mp4", "", "audio.m4a" },
	};
	char out[FILE_NAME_SIZE], large[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		file_name_clean(file_kind_find(rows[i][0]), rows[i][1],
		    strlen(rows[i][1]), out);
		assert_string_equal(out, rows[i][2]);
	}
	for (size_t i = 0; i + 3 <= sizeof(large); i += 3)
		memcpy(large + i, "\xe0\xb8\x81", 3);
	file_name_clean(file_kind_find("image/png"), large, sizeof(large), out);
	assert_true(utf8_valid(out, strlen(out)));
	assert_true(strlen(out) > 200);
	assert_string_equal(out + strlen(out) - 4, ".png");
}

static void
kinds(void **state)
{
	const struct file_kind *k;

	(void)state;
	assert_int_equal(file_kind_of("", "GIF89a\1\0\1\0\0\0\0", 13, &k), 1);
	assert_string_equal(k->mime, "image/gif");
	assert_true(file_kind_inline(k));
	assert_int_equal(file_kind_of("", "plain words\n", 12, &k), 1);
	assert_string_equal(k->mime, "text/plain");
	assert_false(file_kind_inline(k));
	assert_int_equal(file_kind_of("", "\xef\xbb\xbf <svg/>", 10, &k), 0);
	assert_null(k);
	assert_int_equal(file_kind_of("", "", 0, &k), 0);
	assert_null(file_kind_find("text/html"));
	assert_null(file_kind_find("image/svg+xml"));
}

static void
links(void **state)
{
	static char key[] = "0123456789abcdef0123456789abcdef",
		    base[] = "https://chat.example", path[] = "/chat";
	struct conf cf = { .jwt_key = key,
		.base_url = base,
		.base_path = path,
		.media_link_life_s = 60 };
	struct buf b;
	char *id;

	(void)state;
	buf_init(&b, 4096);
	media_link(&cf, 12, "\xc4\x91 a.png", 1000000, &b);
	assert_memory_equal(
	    b.data, "https://chat.example/chat/media/12.1060.", 40);
	assert_string_equal(b.data + b.len - 15, "/%C4%91%20a.png");
	id = b.data + 32;
	*strchr(id, '/') = '\0';
	assert_int_equal(media_link_read(&cf, id, 1000000), 12);
	assert_int_equal(media_link_read(&cf, id, 1060999), 12);
	assert_int_equal(media_link_read(&cf, id, 1061000), 0);
	/* One byte of it changed is another, which opens nothing. */
	for (size_t i = 0; i < strlen(id); i++) {
		char was = id[i];

		id[i] = was == '1' ? '2' : '1';
		assert_int_equal(media_link_read(&cf, id, 1000000), 0);
		id[i] = '\0';
		assert_int_equal(media_link_read(&cf, id, 1000000), 0);
		id[i] = was;
	}
	key[0] = 'x';
	assert_int_equal(media_link_read(&cf, id, 1000000), 0);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(kinds),
		cmocka_unit_test(links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
