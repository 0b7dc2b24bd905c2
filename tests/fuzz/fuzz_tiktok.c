/* TikTok's adapter over any bytes. */
#include "channel_fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct channel_account ac;
	const char *p = (const char *)data;

	if (ac.ch == NULL) {
		ac.ch = channel_find("tiktok");
		ac.config = json_object_new_object();
		json_put_str(ac.config, "tiktok_business_id",
		    "-000sAmPlEbUsInEsSoPeNiD_0001");
		json_put_str(ac.config, "tiktok_app_secret", "s");
		json_put_str(ac.config, "tiktok_sig_tolerance_s", "0");
	}
	fuzz_webhook(&ac,
	    "t=1795000300,s=0123456789abcdef0123456789abcdef"
	    "0123456789abcdef0123456789abcdef",
	    p, len);
	fuzz_signature(&ac, p, len);
	fuzz_answer(&ac, "x:1", p, len);
	return 0;
}
