/* A bot's endpoint may answer anything. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "bot_prompt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const kinds[] = { "http", "assistant" };
	struct http_answer an;
	struct buf body;
	int64_t wait_s;
	size_t i;

	http_answer_init(&an);
	an.end = HTTP_ANSWERED;
	an.status = 200;
	buf_init(&body, len + 1);
	buf_append(&body, data, len);
	for (i = 0; i < 2; i++) {
		struct bot b = { .id = 1 };
		struct bot_answer a = { 0 };
		enum bot_reply rc;

		strncpy(b.kind, kinds[i], sizeof(b.kind) - 1);
		rc = bot_reply(&b, &an, &body, &a, &wait_s);
		assert(rc == BOT_ANSWERED || rc == BOT_FAILED);
		assert(rc == BOT_ANSWERED || (a.handover && a.text == NULL));
		assert(a.tokens >= 0);
		bot_answer_fini(&a);
	}
	buf_fini(&body);
	http_answer_fini(&an);
	return 0;
}
