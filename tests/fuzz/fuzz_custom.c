/* The generic webhook's adapter over any bytes. */
#include "channel_fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct channel_account ac;
	const char *p = (const char *)data;

	if (ac.ch == NULL) {
		ac.ch = channel_find("custom");
		ac.config = json_object_new_object();
		json_put_str(ac.config, "custom_secret", "s");
	}
	fuzz_webhook(&ac,
	    "v1=0123456789abcdef0123456789abcdef"
	    "0123456789abcdef0123456789abcdef",
	    p, len);
	fuzz_signature(&ac, p, len);
	fuzz_answer(&ac, "x:1", p, len);
	return 0;
}
