/* LINE's adapter over any bytes. */
#include "channel_fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct channel_account ac;
	const char *p = (const char *)data;

	if (ac.ch == NULL) {
		ac.ch = channel_find("line");
		ac.config = json_object_new_object();
		json_put_str(ac.config, "line_bot_user_id",
		    "Uc0ffee00c0ffee00c0ffee00c0ffee00");
		json_put_str(ac.config, "line_channel_secret", "s");
	}
	fuzz_webhook(
	    &ac, "KoOXoPRLkFP31h4cWosJvn1NcQTAWFpV8eOs/4ZEBwE=", p, len);
	fuzz_signature(&ac, p, len);
	fuzz_answer(&ac, "x:1", p, len);
	return 0;
}
