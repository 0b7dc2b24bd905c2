/* The adapters of Meta's platforms over any bytes; handshakes, too. */
#include <stdio.h>
#include <stdlib.h>

#include "channel_fuzz.h"

static void
handshake(const struct channel_account *ac, const char *p, size_t len)
{
	char *query = calloc(1, len + 1);
	struct buf out;

	assert(query != NULL);
	memcpy(query, p, len);
	buf_init(&out, 512);
	if (ac->ch->handshake(ac, query, &out) == 200 && out.len > 0)
		fuzz_text(out.data);
	buf_fini(&out);
	free(query);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const accounts[][2] = {
		{ "facebook", "104857600000001" },
		{ "instagram", "17841400000000001" },
		{ "whatsapp", "106540352242922" },
	};
	const char *p = (const char *)data;

	for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
		struct channel_account ac = { .ch =
						  channel_find(accounts[i][0]),
			.config = json_object_new_object() };
		char name[64];

		json_put_str(ac.config, ac.ch->account_key, accounts[i][1]);
		json_put_str(ac.config, ac.ch->token_key, "a-token");
		snprintf(name, sizeof(name), "%s_app_secret", ac.ch->prefix);
		json_put_str(ac.config, name, "s");
		snprintf(name, sizeof(name), "%s_verify_token", ac.ch->prefix);
		json_put_str(ac.config, name, "v");
		fuzz_webhook(&ac,
		    "sha256=0123456789abcdef0123456789abcdef"
		    "0123456789abcdef0123456789abcdef",
		    p, len);
		fuzz_signature(&ac, p, len);
		fuzz_answer(&ac, "wa:1", p, len);
		handshake(&ac, p, len);
		json_object_put(ac.config);
	}
	return 0;
}
