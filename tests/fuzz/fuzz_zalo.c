/* Zalo's adapter over any bytes, and any text cut for it. */
#include "channel_fuzz.h"

/* Cutting any text keeps characters whole and loses nothing but a space. */
static void
split(const char *p, size_t len)
{
	char copy[512];
	size_t next, n;

	if (len < 1 || len > sizeof(copy) - 1 || memchr(p, '\0', len) != NULL ||
	    !utf8_valid(p, len))
		return;
	memcpy(copy, p, len);
	copy[len] = '\0';
	for (const char *t = copy; *t != '\0'; t += next) {
		n = channel_split(
		    t, 2 + (size_t)(unsigned char)p[0] % 40, &next);
		assert(next > 0 && n <= next && utf8_valid(t, n));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct channel_account ac;
	const char *p = (const char *)data;

	if (ac.ch == NULL) {
		ac.ch = channel_find("zalo");
		ac.config = json_object_new_object();
		json_put_str(ac.config, "zalo_app_id", "1845200000000000123");
		json_put_str(ac.config, "zalo_oa_id", "2520000000000000017");
		json_put_str(ac.config, "zalo_oa_secret", "s");
	}
	fuzz_webhook(&ac,
	    "mac=0123456789abcdef0123456789abcdef"
	    "0123456789abcdef0123456789abcdef",
	    p, len);
	fuzz_signature(&ac, p, len);
	fuzz_answer(&ac, "x:1", p, len);
	split(p, len);
	return 0;
}
